# The cache is switched off, to verify and back for all sessions of a busy server, with ALTER SYSTEM and a
# reload.  There must be no error, no wrong payload and no restart, and only superusers may do it.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use PostgreSQL::Test::Utils qw(slurp_file);
use IPC::Run ();
use Test::More;
use Time::HiRes qw(usleep);

my $node = new_node('reload');
$node->init;
$node->configure_vault;
$node->append_conf('postgresql.conf', "log_statement = none\n");
$node->start;

# Not loaded yet

sub error_of
{
    my ($sql) = @_;
    $node->psql('postgres', "\\set VERBOSITY verbose\n$sql", stderr => \my $stderr, on_error_stop => 0);
    return $stderr =~ /(ERROR|WARNING):\s+(\w{5}): (.*)/ ? "$1 $2: $3" : $stderr;
}

like(error_of('ALTER SYSTEM SET key_vault.cache = off'), qr/^ERROR 42704: unrecognized configuration parameter/,
    'ALTER SYSTEM does not know the settings before the library is loaded') if $node->pg_version < 17;
is(error_of(q{LOAD 'key_vault'; ALTER SYSTEM SET key_vault.cache = on; ALTER SYSTEM RESET key_vault.cache}), '',
    'it does after LOAD');

$node->safe_psql('postgres', q{
    CREATE EXTENSION key_vault;
    CREATE ROLE analyst LOGIN;
    CREATE ROLE operator LOGIN;
    GRANT SET ON PARAMETER key_vault.cache TO operator;
    SELECT key_vault.kek_create('net');
    SELECT key_vault.kek_grant('net', 'analyst', 'decrypt');
    CREATE TABLE device AS SELECT n, key_vault.generate_key('net') AS key FROM generate_series(1, 50) n;
    CREATE TABLE uplink AS
    SELECT n, f_cnt, int4send(f_cnt) AS payload,
           key_vault.lorawan_encrypt_uplink(key, '\x26011bda', f_cnt, int4send(f_cnt)) AS frm_payload
      FROM device, generate_series(1, 20) f_cnt;
    GRANT SELECT ON device, uplink TO analyst;
});
my $key = $node->safe_psql('postgres', 'SELECT key FROM device WHERE n = 1');

# Who may change the settings

my $use = qq{SELECT key_vault.key_status('$key', '\\x26011bda')};
foreach ([ cache => 'off' ], [ cache => 'verify' ], [ cache_size => '1MB' ], [ cache_max_age => 1 ],
    [ cache_max_uses => 1 ], [ cache_verify_rate => 0 ])
{
    my ($setting, $value) = @$_;
    is(error_of("SET ROLE analyst; $use; SET key_vault.$setting = '$value'"),
        qq{ERROR 42501: permission denied to set parameter "key_vault.$setting"}, "an analyst may not SET $setting = $value");

    # The library is not loaded yet when the setting is set, so that PostgreSQL does not yet know who may set
    # it.
    is(error_of("SET ROLE analyst; SET key_vault.$setting = '$value'; $use"),
        qq{WARNING 42501: permission denied to set parameter "key_vault.$setting"}, "nor in advance");
}
is(look_anew($node, 'SET ROLE analyst', "SET key_vault.cache = 'off'", $use, 'SHOW key_vault.cache') =~ s/.*\n//r, 'on',
    'what was set in advance has no effect');
is(error_of("SET ROLE analyst; LOAD 'key_vault'"), 'ERROR 42501: access to library "key_vault" is not allowed',
    'an analyst may not LOAD it');
is(error_of("LOAD 'key_vault'; SET ROLE analyst; ALTER SYSTEM SET key_vault.cache = off"),
    'ERROR 42501: permission denied to set parameter "key_vault.cache"', 'an analyst may not ALTER SYSTEM');
like(error_of("LOAD 'key_vault'; SET ROLE analyst; SHOW key_vault.root_key"), qr/^ERROR 42501: .* examine "key_vault.root_key"/,
    'an analyst may not SHOW root_key');
is(error_of("SET ROLE operator; SET key_vault.cache = off"), '', 'who was granted SET may');

my $trace = "$ENV{TESTDIR}/trace";
like(error_of("SET ROLE analyst; SET key_vault.root_key = 'command:touch $trace'; SELECT key_vault.lorawan_decrypt_uplink('$key', '\\x26011bda', 1, '\\x01')"),
    qr/^WARNING 55P02: parameter "key_vault.root_key" cannot be changed/, 'an analyst may not set root_key in advance');
ok(!-e $trace, 'and the command was not run');
like(error_of("LOAD 'key_vault'; SET key_vault.root_key = 'command:touch $trace'"), qr/^ERROR 55P02:/,
    'a superuser may not SET root_key');

# A busy server

$node->append_conf('postgresql.conf', "shared_preload_libraries = 'key_vault'\n");
$node->restart;

# Each transaction decrypts everything, and fails if a payload is wrong.
my $script = "$ENV{TESTDIR}/decrypt.sql";
open my $file, '>', $script or die "$script: $!";
print $file q{
    SELECT 1 / (count(*) = 1000)::integer FROM uplink JOIN device USING (n)
     WHERE key_vault.lorawan_decrypt_uplink(key, '\x26011bda', f_cnt, frm_payload) = payload;
};
close $file;
my ($pgbench_out, $pgbench_err) = ('', '');
my $pgbench = do {
    local $ENV{PGAPPNAME} = 'busy';
    IPC::Run::start([ 'pgbench', '-n', '-M', 'prepared', '-c', 4, '-T', 300, '-f', $script, '-h', $node->host,
            '-p', $node->port, 'postgres' ], '>', \$pgbench_out, '2>', \$pgbench_err);
};

sub pgbench_sessions
{
    my ($condition) = @_;
    return qq{SELECT count(*) = 4 AND bool_and($condition)
                FROM key_vault.cache_stats_sessions s JOIN pg_stat_activity USING (pid)
               WHERE application_name = 'busy'};
}
ok($node->poll_query_until('postgres', pgbench_sessions('s.entries = 50 AND s.hits > 1000')),
    'busy sessions use the cache');

# Three sessions: one is idle between statements, one is within a transaction, and one is within a statement
# when the setting changes: it has decrypted a row and waits for a lock before the next row.
my %session = map { $_ => open_session($node) } qw(idle transaction statement lock);
my $all = q{
    SELECT count(*) FROM uplink JOIN device USING (n)
     WHERE key_vault.lorawan_decrypt_uplink(key, '\x26011bda', f_cnt, frm_payload) = payload};
look($session{$_}, $all) foreach qw(idle transaction statement);
look($session{transaction}, 'BEGIN');
look($session{transaction}, $all);
look($session{lock}, 'SELECT pg_advisory_lock(1)');
my $pid = look($session{statement}, 'SELECT pg_backend_pid()');
$session{statement}->query_until(qr/started/, q{\echo started
    SELECT count(*) FROM (
        SELECT key_vault.lorawan_decrypt_uplink(key, '\x26011bda', f_cnt, frm_payload) = payload AS is_right,
               CASE WHEN n = 25 AND f_cnt = 10 THEN pg_advisory_xact_lock(1) IS NULL END
          FROM uplink JOIN device USING (n) ORDER BY n, f_cnt OFFSET 0) s
     WHERE is_right;
});
$node->poll_query_until('postgres', "SELECT wait_event = 'advisory' FROM pg_stat_activity WHERE pid = $pid")
  or die 'the statement does not wait';

# Sets the mode for all, waits until a session has it, and asks in the same statement what the session's cache
# holds.
sub set_mode_for_all
{
    my ($command, $mode, $in) = @_;
    $node->safe_psql('postgres', $command);
    $node->safe_psql('postgres', 'SELECT pg_reload_conf()');
    foreach my $name (@$in)
    {
        my $stats;
        foreach (1 .. 1000)
        {
            $stats = look($session{$name}, q{SELECT current_setting('key_vault.cache'), entries > 0 FROM key_vault.cache_stats()});
            last if $stats =~ /^$mode\|/;
            usleep(10_000);
        }
        like($stats, $mode eq 'off' ? qr/^off\|f$/ : qr/^$mode\|/, "$command: session $name has it");
    }
}

sub unwraps
{
    my ($name) = @_;
    my $before = look($session{$name}, 'SELECT unwraps FROM key_vault.cache_stats()');
    is(look($session{$name}, $all), 1000, "session $name: all right");
    return look($session{$name}, 'SELECT unwraps FROM key_vault.cache_stats()') - $before;
}

set_mode_for_all('ALTER SYSTEM SET key_vault.cache = off', 'off', [qw(idle transaction)]);
is(unwraps($_), 1000, "session $_: each row unwraps with the cache off") foreach qw(idle transaction);
is(look($session{transaction}, 'COMMIT'), '', 'the transaction commits');
look($session{lock}, 'SELECT pg_advisory_unlock(1)');
is($session{statement}->query(''), '1000', 'the statement that was running finishes right');
is($session{statement}->{stderr}, '', 'and without a word');
set_mode_for_all('SELECT 1', 'off', ['statement']);
is(unwraps('statement'), 1000, 'the next statement of its session has the cache off');
ok($node->poll_query_until('postgres', pgbench_sessions('s.entries = 0')), 'busy sessions have emptied their caches');
my $from = $node->safe_psql('postgres', 'SELECT sum(unwraps) FROM key_vault.cache_stats_sessions');
ok($node->poll_query_until('postgres', "SELECT sum(unwraps) > $from + 10000 AND sum(entries) = 0 FROM key_vault.cache_stats_sessions"),
    'busy sessions unwrap');

set_mode_for_all('ALTER SYSTEM SET key_vault.cache = verify', 'verify', [qw(idle transaction statement)]);
ok($node->poll_query_until('postgres', pgbench_sessions('s.entries = 50 AND s.verifications > 1000 AND s.mismatches = 0')),
    'busy sessions verify');
unwraps('idle');
is(unwraps('idle'), 1000, 'session idle: each row unwraps with cache = verify');

set_mode_for_all('ALTER SYSTEM RESET key_vault.cache', 'on', [qw(idle transaction statement)]);
unwraps('idle');
is(unwraps('idle'), 0, 'session idle: no row unwraps with the cache on again');
my $hits = $node->safe_psql('postgres', 'SELECT max(hits) FROM key_vault.cache_stats_sessions');
ok($node->poll_query_until('postgres', pgbench_sessions("s.entries = 50 AND s.hits > $hits")),
    'busy sessions use the cache again');

# Back and forth
foreach (1 .. 5)
{
    foreach my $command (map({ "ALTER SYSTEM SET key_vault.cache = $_" } qw(off verify on)), 'ALTER SYSTEM SET key_vault.cache_size = 0',
        'ALTER SYSTEM RESET ALL')
    {
        $node->safe_psql('postgres', $command);
        $node->safe_psql('postgres', 'SELECT pg_reload_conf()');
        is(look($session{idle}, $all), 1000, "$command: all right") if $_ == 1;
    }
}
ok($node->poll_query_until('postgres', pgbench_sessions('s.entries = 50')), 'busy sessions have full caches in the end');
$pgbench->pump_nb;
ok($pgbench->pumpable, 'pgbench runs still');
$pgbench->signal('INT');
$pgbench->finish;
unlike($pgbench_err, qr/error|abort/i, 'pgbench had no error');
$_->quit foreach values %session;

my $log = slurp_file($node->logfile);
unlike($log, qr/division by zero/, 'no payload was wrong');
unlike($log, qr/KV\d\d\d|the key cache held/, 'no error of the vault');

# In the middle of a statement
is(look_anew($node, q{
    SELECT count(*) FILTER (WHERE is_right), count(DISTINCT mode) FROM (
        SELECT set_config('key_vault.cache', (ARRAY['off', 'on', 'verify'])[1 + f_cnt % 3], false) AS mode,
               set_config('key_vault.cache_size', (ARRAY['0', '1MB'])[1 + n % 2], false),
               key_vault.lorawan_decrypt_uplink(key, '\x26011bda', f_cnt, frm_payload) = payload AS is_right
          FROM uplink JOIN device USING (n) OFFSET 0) s}), '1000|3', 'settings that change within a statement');

done_testing();
