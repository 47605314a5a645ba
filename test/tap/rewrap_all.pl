# rewrap_all() is stopped in the middle (cancelled, its session ended, its process and the whole server killed)
# and called again.  Also: what others see of it meanwhile, what it and kek_destroy() say of tables that they
# cannot reach, and how much memory it takes.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('rewrap_all');
$node->init;
$node->configure_vault;
$node->append_conf('postgresql.conf', "max_locks_per_transaction = 128\nautovacuum = off\nrestart_after_crash = on\n");
$node->start;

my $rows = $ENV{KEY_VAULT_LONG} ? 200000 : 6000;
my $batch = $rows / 20;
my $stop = $rows / 2 + 1;

# Half way through the table there is a row whose trigger waits for a lock.
$node->safe_psql('postgres', qq{
    CREATE EXTENSION key_vault;
    SELECT key_vault.kek_create('app');
    CREATE TABLE session (id integer PRIMARY KEY, key key_vault.wrapped_key, plain bytea);
    CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS \$\$
    BEGIN
        PERFORM pg_advisory_xact_lock(42);
        RETURN NEW;
    END
    \$\$;
    CREATE TRIGGER wait BEFORE UPDATE ON session FOR EACH ROW WHEN (NEW.id = $stop) EXECUTE FUNCTION wait();
});

my $wrong_keys = q{SELECT count(*) FROM session WHERE key_vault.unwrap(key) <> plain};
my $progress = q{SELECT state, rows, keys, pass FROM key_vault.rewrap_progress};
my $versions = q{SELECT kek_version, keys FROM key_vault.kek_usage('app') ORDER BY 1};

my $version = 1;
my $gate = open_session($node);

# Inserts all rows anew, in the order of their ids.
sub fill
{
    $node->safe_psql('postgres', qq{
        TRUNCATE session;
        INSERT INTO session SELECT n, key_vault.wrap(decode(md5(n::text), 'hex'), 'app'), decode(md5(n::text), 'hex')
          FROM generate_series(1, $rows) n;
    });
}

# Starts a run in a session of its own, and returns when the run waits at the row.
sub start_run
{
    my $run = $node->background_psql('postgres', on_error_stop => 0);

    fill();
    $node->safe_psql('postgres', q{SET client_min_messages = error; SELECT key_vault.kek_rotate('app')});
    $version++;
    look($gate, 'SELECT pg_advisory_lock(42)');
    $run->query_until(qr/started/, qq{
        \\echo started
        SET lock_timeout = '30min';
        CALL key_vault.rewrap_all('app', batch_size => $batch);
    });
    $node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 42 AND NOT granted})
      or die 'the run does not come to the row';
    return $run;
}

sub end_run
{
    my ($run) = @_;
    eval { $run->quit };
}

sub in_half
{
    my $half = $rows / 2;
    my $rest = $rows - $half;

    my $old = $version - 1;
    is($node->safe_psql('postgres', $versions), "$old|$rest\n$version|$half", "@_: what was committed is rewrapped, the rest is not");
    is($node->safe_psql('postgres', $wrong_keys), 0, "@_: all keys are right, in a new session");
}

sub resume
{
    my ($how) = @_;
    my $before = $node->safe_psql('postgres', qq{SELECT md5(string_agg(ctid::text || xmin, ',' ORDER BY id)) FROM session WHERE id <= $rows / 2});

    look($gate, 'SELECT pg_advisory_unlock(42)');
    my ($code, $out, $err) = $node->psql('postgres', qq{CALL key_vault.rewrap_all('app', batch_size => $batch)});
    is($code, 0, "$how: called again, it succeeds");
    like($err, qr/NOTICE:  table public\.session: goes on where it was stopped, in block \d+ of \d+/, "$how: it goes on where it was");
    is($node->safe_psql('postgres', $versions), "$version|$rows", "$how: all keys are rewrapped");
    is($node->safe_psql('postgres', qq{SELECT md5(string_agg(ctid::text || xmin, ',' ORDER BY id)) FROM session WHERE id <= $rows / 2}),
        $before, "$how: no row twice");
    is($node->safe_psql('postgres', $progress), "done|" . $rows / 2 . '|' . $rows / 2 . '|1', "$how: progress says what this run did");
    is($node->safe_psql('postgres', $wrong_keys), 0, "$how: all keys are right afterwards, in a new session");
    is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'}), 0, "$how: no lock is left");
}

# Cancelled
fill();
my $reader = open_session($node);
is(look($reader, $wrong_keys), 0, 'a reader has all keys at first');
my $run = start_run();
is($node->safe_psql('postgres', q{SELECT state, rows, keys, pass, percent BETWEEN 40 AND 60, keys_per_second > 0, time_left > '0', pid = (SELECT pid FROM pg_locks WHERE objid = 42 AND NOT granted)
    FROM key_vault.rewrap_progress}), join('|', 'running', $rows / 2, $rows / 2, 1, 't', 't', 't', 't'), 'another session can watch it');
is(look($reader, $wrong_keys), 0, 'a reader is not blocked, and has all keys');
my ($code, $out, $err) = $node->psql('postgres', q{CALL key_vault.rewrap_all('app')});
is($code, 0, 'a second run ends');
like($err, qr/NOTICE:  table public\.session is being rewrapped by process \d+, and left to it/, 'and says who is at it');
like($err, qr/WARNING:  1 table still has keys/, 'and that something is left');
is($node->safe_psql('postgres', q{SELECT pg_cancel_backend(pid) FROM key_vault.rewrap_progress WHERE state = 'running'}), 't', 'it is cancelled');
$node->poll_query_until('postgres', q{SELECT state = 'stopped' FROM key_vault.rewrap_progress}) or die;
in_half('cancelled');
end_run($run);
resume('cancelled');

# Its session ended
$run = start_run();
$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM key_vault.rewrap_progress WHERE state = 'running'});
$node->poll_query_until('postgres', q{SELECT state = 'stopped' FROM key_vault.rewrap_progress}) or die;
end_run($run);
in_half('terminated');
resume('terminated');

# Its process killed: this ends all sessions, and the server recovers.
$run = start_run();
my $pid = $node->safe_psql('postgres', q{SELECT pid FROM key_vault.rewrap_progress WHERE state = 'running'});
crash_backend($node, $pid);
end_run($run);
eval { $gate->quit };
eval { $reader->quit };
$node->poll_query_until('postgres', q{SELECT state = 'stopped' FROM key_vault.rewrap_progress}) or die;
$gate = open_session($node);
in_half('kill -9');
resume('kill -9');

# The whole server killed
$run = start_run();
$node->stop('immediate');
end_run($run);
eval { $gate->quit };
$node->start;
$gate = open_session($node);
is($node->safe_psql('postgres', q{SELECT state, pid FROM key_vault.rewrap_progress}), 'stopped|', 'server killed: progress says that it is stopped');
in_half('server killed');
resume('server killed');
is($node->safe_psql('postgres', q{SELECT details ->> 'finished', count(*), sum((details ->> 'keys')::integer) FROM key_vault.audit_log WHERE event = 'rewrapped' GROUP BY 1 ORDER BY 1}),
    "false|4|" . 2 * $rows . "\ntrue|4|" . 2 * $rows, 'the audit log has what stopped runs did, and the others');
is($node->safe_psql('postgres', q{SET client_min_messages = error; SELECT count(key_vault.kek_destroy('app', version)) FROM key_vault.keks WHERE state = 'deactivated'}), 4,
    'no key needs the earlier versions');
is($node->safe_psql('postgres', $wrong_keys), 0, 'they are not missed');

# Rows that another session has locked are rewrapped in a later pass.  A table that another session has locked
# is left, and all other tables are done.
$node->safe_psql('postgres', q{SELECT key_vault.kek_rotate('app'); DROP TRIGGER wait ON session;
    CREATE TABLE locked AS SELECT id, key FROM session WHERE id <= 5});
$version++;
$node->safe_psql('postgres', q{UPDATE session SET key = key WHERE id = 1});
my $holder = open_session($node);
look($holder, 'BEGIN; UPDATE session SET plain = plain WHERE id IN (7, 8)');
$run = $node->background_psql('postgres', on_error_stop => 0);
$run->query_until(qr/started/, qq{\\echo started\nCALL key_vault.rewrap_all('app', only_table => 'session');\n});
$node->poll_query_until('postgres', q{SELECT pass > 1 FROM key_vault.rewrap_progress WHERE relation = 'session'::regclass}) or die;
is($node->safe_psql('postgres', q{SELECT kek_version, keys FROM key_vault.kek_usage('app') WHERE relation = 'session'::regclass ORDER BY 1}), ($version - 1) . "|2\n$version|" . ($rows - 2),
    'rows that others have locked are passed over');
look($holder, 'COMMIT');
$node->poll_query_until('postgres', q{SELECT state = 'done' FROM key_vault.rewrap_progress WHERE relation = 'session'::regclass}) or die;
end_run($run);
is($node->safe_psql('postgres', q{SELECT kek_version, keys FROM key_vault.kek_usage('app') WHERE relation = 'session'::regclass}), "$version|$rows", 'and rewrapped once they are free');

look($holder, 'BEGIN; LOCK TABLE locked');
($code, $out, $err) = $node->psql('postgres', q{SET lock_timeout = '50ms'; CALL key_vault.rewrap_all('app')});
like($err, qr/WARNING:  table public\.locked is locked by others, and left/, 'a locked table is left');
look($holder, 'COMMIT');
$node->safe_psql('postgres', q{CALL key_vault.rewrap_all('app')});
is($node->safe_psql('postgres', $versions), "$version|5\n$version|$rows", 'until the next call');

# It names the keys that it cannot reach.
$node->safe_psql('postgres', q{
    CREATE EXTENSION postgres_fdw;
    CREATE MATERIALIZED VIEW copies AS SELECT key FROM session WHERE id < 4;
    CREATE SERVER elsewhere FOREIGN DATA WRAPPER postgres_fdw;
    CREATE FOREIGN TABLE away (key key_vault.wrapped_key) SERVER elsewhere;
    CREATE TABLE strays (name text, pair key_vault.wrapped_key[]);
    SELECT key_vault.kek_rotate('app');
});
$version++;
look($holder, 'CREATE TEMP TABLE kept AS SELECT key FROM session WHERE id < 4');
($code, $out, $err) = $node->psql('postgres', q{CALL key_vault.rewrap_all('app')});
like($err, qr/NOTICE:  foreign table public\.away may hold wrapped keys/, 'foreign tables are named');
like($err, qr/NOTICE:  materialized view public\.copies may hold wrapped keys/, 'so are materialized views');
like($err, qr/NOTICE:  temporary table pg_temp_\d+\.kept may hold wrapped keys/, "and other sessions' temporary tables");
like($err, qr/NOTICE:  KEK label "app", table public\.session: 100\.0 percent, $rows keys rewrapped, \d+ keys\/s, 0:00:00 left/, 'progress comes as notices');

my $destroy = sprintf q{SELECT key_vault.kek_destroy('app', %d)}, $version - 1;
sub refusal { ($code, $out, $err) = $node->psql('postgres', $destroy); return $err; }
like(refusal(), qr/ERROR:  column "key" of table pg_temp_\d+\.kept could not be read and locked\nDETAIL:  .*\nHINT:  It is a temporary table of another session/,
    'kek_destroy: not while another session may keep keys');
look($holder, 'DROP TABLE kept');
like(refusal(), qr/ERROR:  .*(user mapping not found|could not connect)/, 'kek_destroy: not while a foreign table cannot be read');
$node->safe_psql('postgres', 'DROP FOREIGN TABLE away');
like(refusal(), qr/ERROR:  KEK label "app" version \d+ still wraps 3 keys\nDETAIL:  There are 3 in column "key" of public\.copies\.\nHINT:  .*rewrap_all\('app'\)/,
    'kek_destroy: says what and where');
$node->safe_psql('postgres', 'REFRESH MATERIALIZED VIEW copies');

# Writers are locked out while kek_destroy() counts keys, and a key that was written before is counted.
my $old = $node->safe_psql('postgres', q{SELECT key FROM session WHERE id = 9});
$node->safe_psql('postgres', q{SELECT key_vault.kek_rotate('app'); CALL key_vault.rewrap_all('app'); REFRESH MATERIALIZED VIEW copies});
$version++;
$destroy = sprintf q{SELECT key_vault.kek_destroy('app', %d)}, $version - 1;
look($holder, qq{BEGIN; INSERT INTO strays VALUES ('uncommitted', ARRAY['$old']::key_vault.wrapped_key[])});
my $destroyer = $node->background_psql('postgres', on_error_stop => 0);
$destroyer->query_until(qr/started/, "\\echo started\n$destroy;\n");
$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'virtualxid' AND NOT granted}) or die;
look($holder, 'COMMIT');
$destroyer->query('SELECT 1');
like($destroyer->{stderr}, qr/still wraps 1 key\n.*There is 1 in column "pair" of public\.strays/, 'kek_destroy waits for writers, and counts what they wrote');
$destroyer->{stderr} = '';
$destroyer->quit;
$node->safe_psql('postgres', 'DELETE FROM strays');
my $warm = open_session($node);
is(look($warm, "SELECT length(key_vault.unwrap('$old'))"), 16, 'a session has the KEK open');
($code, $out, $err) = $node->psql('postgres', $destroy);
like($err, qr/NOTICE:  .*\nDETAIL:  Keys that are kept as bytea, text or JSON, in other databases or in backups were not found by this search\./, 'kek_destroy names what it did not search');
like(look($warm, "SELECT length(key_vault.unwrap('$old'))"), qr/^ERROR:  KEK label "app" version \d+ is destroyed/, 'destroyed in a warm session');
like(look_anew($node, "SELECT length(key_vault.unwrap('$old'))"), qr/^ERROR:  KEK label "app" version \d+ is destroyed/, 'and in a new one');
is($node->safe_psql('postgres', sprintf q{SELECT sealed_material IS NULL FROM key_vault.kek WHERE label = 'app' AND version = %d}, $version - 1), 't', 'and erased');

# Memory: a run over twenty times as many rows takes no more of it.
sub peak_of_run
{
    my ($table) = @_;
    my $session = $node->background_psql('postgres', on_error_stop => 0);

    $node->safe_psql('postgres', q{SELECT key_vault.kek_rotate('app')});
    my $backend = $session->query('SELECT pg_backend_pid()');
    $session->query("SET client_min_messages = error; CALL key_vault.rewrap_all('app', batch_size => 500, only_table => '$table')");
    my ($peak) = slurp_file("/proc/$backend/status") =~ /VmData:\s+(\d+) kB/;
    $session->quit;
    return $peak;
}
$node->safe_psql('postgres', q{
    CREATE TABLE small AS SELECT g AS id, key_vault.generate_key('app') AS key FROM generate_series(1, 1000) g;
    CREATE TABLE large AS SELECT g AS id, key_vault.generate_key('app') AS key FROM generate_series(1, 20000) g;
});
my $small = peak_of_run('small');
my $large = peak_of_run('large');
cmp_ok($large - $small, '<', 2048, "memory does not grow with the table ($small kB, $large kB)");

$_->quit foreach $gate, $holder, $warm;
done_testing();
