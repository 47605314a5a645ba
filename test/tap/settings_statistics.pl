# Statistics of the caches: a session can always see its own; those of all sessions can be seen if key_vault is
# preloaded.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use Test::More;

my $node = new_node('statistics');
$node->init;
$node->configure_vault;
$node->append_conf('postgresql.conf', "log_statement = none\n");
$node->start;
$node->safe_psql('postgres', q{
    CREATE EXTENSION key_vault;
    CREATE ROLE analyst;
    CREATE ROLE monitor;
    GRANT pg_read_all_stats TO monitor;
    SELECT key_vault.kek_create('net');
    CREATE TABLE device AS SELECT n, key_vault.generate_key('net') AS key FROM generate_series(1, 10) n;
    CREATE DATABASE other;
});

my @counters = qw(hits misses unwraps evictions expirations withdrawals flushes verifications mismatches);
my $counters = join ', ', @counters;
my $decrypt  = q{SELECT count(key_vault.lorawan_decrypt_uplink(key, '\x26011bda', 1, '\x01')) FROM device};
my $own      = "SELECT $counters, entries FROM key_vault.cache_stats()";
my $sessions = "SELECT $counters, entries FROM key_vault.cache_stats_sessions";
my $total    = "SELECT $counters, entries FROM key_vault.cache_stats_total";

sub error_of
{
    my ($sql) = @_;
    $node->psql('postgres', "\\set VERBOSITY verbose\n$sql", stderr => \my $stderr, on_error_stop => 0);
    return $stderr =~ /ERROR:\s+(\w{5}): (.*)/ ? "$1 $2" : $stderr;
}

# The counters of the session's own cache, one after the other, whether key_vault is preloaded or not
sub check_own_counters
{
    my ($when) = @_;
    my $session = open_session($node);

    is(look($session, $own), '0|0|0|0|0|0|0|0|0|0', "$when: nothing at first");
    look($session, $decrypt);
    is(look($session, $own), '0|10|10|0|0|0|0|0|0|10', "$when: misses, unwraps and entries");
    look($session, $decrypt);
    is(look($session, $own), '10|10|10|0|0|0|0|0|0|10', "$when: hits");
    look($session, q{SET key_vault.cache = verify});
    look($session, $decrypt);
    is(look($session, $own), '20|10|20|0|0|0|0|10|0|10', "$when: verifications");
    look($session, q{SET key_vault.cache = on});
    look($session, q{SET key_vault.cache_size = 0});
    is(look($session, $own), '20|10|20|10|0|0|0|10|0|0', "$when: evictions");
    look($session, q{RESET key_vault.cache_size});
    look($session, $decrypt);
    $node->safe_psql('postgres', q{SET client_min_messages = error; SELECT key_vault.kek_suspend('net', 1)});
    like(look($session, $decrypt), qr/is suspended$/, "$when: suspended");
    $node->safe_psql('postgres', q{SELECT key_vault.kek_resume('net', 1)});
    is(look($session, $own), '20|21|30|10|0|10|0|10|0|0', "$when: withdrawals");
    look($session, q{SET key_vault.cache_max_uses = 1});
    look($session, $decrypt);
    look($session, $decrypt);
    is(look($session, $own), '20|41|50|10|10|10|0|10|0|10', "$when: expirations");
    look($session, q{RESET key_vault.cache_max_uses});
    cmp_ok(look($session, 'SELECT bytes FROM key_vault.cache_stats()'), '>', 10 * 58, "$when: bytes");
    look($session, q{SELECT key_vault.cache_flush()});
    is(look($session, $own), '20|41|50|10|10|10|1|10|0|0', "$when: flushes");
    is(look($session, 'SELECT bytes FROM key_vault.cache_stats()'), 0, "$when: no bytes");
    look($session, q{SET key_vault.cache = off});
    look($session, $decrypt);
    is(look($session, $own), '20|41|60|10|10|10|1|10|0|0', "$when: with the cache off only unwraps");
    look($session, q{RESET key_vault.cache});

    look($session, $decrypt);
    is(look($session, 'SELECT stats_reset IS NULL FROM key_vault.cache_stats()'), 't', "$when: not reset yet");
    look($session, 'SELECT key_vault.cache_stats_reset()');
    is(look($session, $own), '0|0|0|0|0|0|0|0|0|10', "$when: cache_stats_reset() leaves what is there at present");
    is(look($session, q{SELECT stats_reset > now() - interval '1 min' FROM key_vault.cache_stats()}), 't', "$when: when it was reset");
    look($session, $decrypt);
    is(look($session, $own), '10|0|0|0|0|0|0|0|0|10', "$when: it counts from there");
    return $session;
}

# Without preloading

check_own_counters('not preloaded')->quit;
my $must = '55000 key_vault must be loaded via "shared_preload_libraries" to see the caches of other sessions';
is(error_of("$_"), $must, "not preloaded: $_")
  foreach 'SELECT * FROM key_vault.cache_stats_sessions', 'SELECT * FROM key_vault.cache_stats_total',
  'SELECT * FROM key_vault.cache_stats_all()', 'SELECT key_vault.cache_stats_reset_all()';
is(look_anew($node, 'SET ROLE analyst', $own), '0|0|0|0|0|0|0|0|0|0', 'not preloaded: anyone may see one\'s own');

# Preloaded

$node->append_conf('postgresql.conf', "shared_preload_libraries = 'key_vault'\n");
$node->restart;
is($node->safe_psql('postgres', $total), '0|0|0|0|0|0|0|0|0|0', 'all together: nothing at first');
my $session = check_own_counters('preloaded');
my $pid = look($session, 'SELECT pg_backend_pid()');
is($node->safe_psql('postgres', $sessions), '10|0|0|0|0|0|0|0|0|10', 'the session is seen by others');
is($node->safe_psql('postgres', 'SELECT pid, datname, usename = current_user, bytes > 0, stats_reset IS NOT NULL FROM key_vault.cache_stats_sessions'),
    "$pid|postgres|t|t|t", 'and who it is');
is($node->safe_psql('postgres', $total), '30|51|70|10|10|10|1|10|0|10', 'what it reset is still in the sum of all');

# Another session, whose counts stay in the sum when it ends
my $other = open_session($node);
look($other, $decrypt) foreach 1 .. 3;
is($node->safe_psql('postgres', 'SELECT count(*), sum(hits), sum(entries) FROM key_vault.cache_stats_sessions'), '2|30|20', 'two sessions');
my $sum = '50|61|80|10|10|10|1|10|0';
is($node->safe_psql('postgres', $total), "$sum|20", 'all together');
$other->quit;
$node->poll_query_until('postgres', 'SELECT count(*) = 1 FROM key_vault.cache_stats_sessions') or die 'it does not end';
is($node->safe_psql('postgres', $total), "$sum|10", 'all together after one has ended: counts stay, entries go');

# A session that was terminated, and one that only read the statistics
$other = open_session($node);
look($other, $decrypt);
$node->safe_psql('postgres', 'SELECT pg_terminate_backend(' . look($other, 'SELECT pg_backend_pid()') . ')');
$node->poll_query_until('postgres', 'SELECT count(*) = 1 FROM key_vault.cache_stats_sessions') or die 'it does not end';
$other->{run}->finish;
is($node->safe_psql('postgres', $total), '50|71|90|10|10|10|1|10|0|10', 'what a terminated session counted');
is($node->safe_psql('postgres', "$own; SELECT count(*) FROM key_vault.cache_stats_sessions"),
    "0|0|0|0|0|0|0|0|0|0\n1", 'a session that does not use keys is not listed');

# Reset of the counters of all sessions

$node->safe_psql('postgres', 'SELECT key_vault.cache_stats_reset_all()');
is($node->safe_psql('postgres', $total), '0|0|0|0|0|0|0|0|0|10', 'cache_stats_reset_all(): all count from now');
is($node->safe_psql('postgres', "$sessions WHERE pid = $pid"), '0|0|0|0|0|0|0|0|0|10', 'so does the session for others');
is($node->safe_psql('postgres', q{SELECT stats_reset > now() - interval '1 min' FROM key_vault.cache_stats_total}), 't', 'when it was reset');
look($session, $decrypt);
is($node->safe_psql('postgres', $total), '10|0|0|0|0|0|0|0|0|10', 'they count from there');
look($session, 'SELECT key_vault.cache_stats_reset()');
is($node->safe_psql('postgres', $total), '10|0|0|0|0|0|0|0|0|10', 'a reset of one\'s own after it');
$session->quit;
$node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM key_vault.cache_stats_sessions') or die 'it does not end';
is($node->safe_psql('postgres', $total), '10|0|0|0|0|0|0|0|0|0', 'and its end');

# A new session may get the place in shared memory of one that has ended.  It shows nothing of that session's
# counts and resets.
my @first = map { open_session($node) } 1 .. 5;
look($_, $decrypt) foreach @first;
$node->safe_psql('postgres', 'SELECT key_vault.cache_stats_reset_all()');
$_->quit foreach @first;
$node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM key_vault.cache_stats_sessions') or die 'they do not end';
my @second = map { open_session($node) } 1 .. 5;
look($_, $decrypt) foreach @second;
is($node->safe_psql('postgres', $sessions), join("\n", ('0|10|10|0|0|0|0|0|0|10') x 5), 'sessions in the places of others');
is($node->safe_psql('postgres', $total), '0|50|50|0|0|0|0|0|0|50', 'and all together');
$other = shift @second;
$_->quit foreach @second;
$node->poll_query_until('postgres', 'SELECT count(*) = 1 FROM key_vault.cache_stats_sessions') or die 'they do not end';

# Who may see and reset the statistics

foreach my $view (qw(cache_stats_sessions cache_stats_total))
{
    is(error_of("SET ROLE analyst; SELECT * FROM key_vault.$view"), "42501 permission denied for view $view", "an analyst may not see $view");
    is(error_of("SET ROLE monitor; SELECT * FROM key_vault.$view"), '', "pg_read_all_stats may see $view");
}
is(error_of('SET ROLE analyst; SELECT * FROM key_vault.cache_stats_all()'),
    '42501 permission denied to see the key caches of other sessions', 'an analyst may not call cache_stats_all()');
is(look_anew($node, 'SET ROLE monitor', 'SELECT count(*) FROM key_vault.cache_stats_sessions'), 1, 'what a monitor sees');
foreach my $role (qw(analyst monitor))
{
    is(error_of("SET ROLE $role; SELECT key_vault.cache_stats_reset_all()"),
        '42501 permission denied to reset the counters of other sessions', "a role like $role may not reset all");
    is(error_of("SET ROLE $role; SELECT key_vault.cache_stats_reset(); SELECT key_vault.cache_flush(); SELECT * FROM key_vault.cache_stats()"), '',
        "a role like $role may see and reset its own");
}

# Sessions of another database are listed, too.
$node->safe_psql('other', 'CREATE EXTENSION key_vault');
is($node->safe_psql('other', 'SELECT datname FROM key_vault.cache_stats_sessions'), 'postgres', 'seen from another database');
$other->quit;

# After a crash of the server the counts begin at zero.
$node->stop('immediate');
$node->start;
is($node->safe_psql('postgres', $total), '0|0|0|0|0|0|0|0|0|0', 'after a crash: nothing');

done_testing();
