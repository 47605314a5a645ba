# Tables with wrapped keys, and the table of KEKs itself, that VACUUM FULL or pg_repack write anew: while rewrap_all()
# runs, and between two runs, when the place that the first one had reached means other rows.  No key is left under
# the earlier version, none is lost, and sessions that have used keys before follow each change.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use Test::More;

my $page = PostgreSQL::Test::Utils::slurp_file("$FindBin::Bin/../../docs/runbook.md");
my ($repack) = $page =~ /^```sh\n(pg_repack .*)\n```$/m or die 'the page does not call pg_repack';
chomp(my $bindir = `pg_config --bindir`);
chomp(my $sharedir = `pg_config --sharedir`);
my $has_repack = -x "$bindir/pg_repack" && -e "$sharedir/extension/pg_repack.control";

my $node = new_node('rewritten');
$node->init;
$node->configure_vault;
$node->append_conf('postgresql.conf', "autovacuum = off\n");
$node->start;
my $rows = $ENV{KEY_VAULT_LONG} ? 200000 : 4000;
my $batch = $rows / 20;
my $stop = $rows / 2 + 1;

# Half way through the table there is a row whose trigger waits for a lock.
$node->safe_psql('postgres', qq{
    CREATE EXTENSION key_vault;
    SELECT key_vault.kek_create('app1');
    CREATE TABLE session (id integer PRIMARY KEY, app_s_key key_vault.wrapped_key, plain bytea);
    CREATE INDEX by_key ON session (app_s_key);
    INSERT INTO session SELECT n, key_vault.wrap(decode(md5(n::text), 'hex'), 'app1'), decode(md5(n::text), 'hex') FROM generate_series(1, $rows) n;
    CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS \$\$
    BEGIN
        PERFORM pg_advisory_xact_lock(42);
        RETURN NEW;
    END
    \$\$;
    CREATE TRIGGER wait BEFORE UPDATE ON session FOR EACH ROW WHEN (NEW.id = $stop) EXECUTE FUNCTION wait();
});
$node->safe_psql('postgres', 'CREATE EXTENSION pg_repack') if $has_repack;

my $right = q{SELECT count(*), count(*) FILTER (WHERE key_vault.unwrap(app_s_key) = plain) FROM session};
my $found = q{SET enable_seqscan = off; SELECT count(*) FROM unnest(ARRAY(SELECT app_s_key FROM session WHERE id % 100 = 0)) k JOIN session s ON s.app_s_key = k};
my $versions = q{SELECT string_agg(kek_version || ': ' || keys, ', ' ORDER BY kek_version) FROM key_vault.kek_usage('app1')};
my $version = 1;
my $gate = open_session($node);
my $warm = open_session($node);
my $in_transaction = open_session($node);
my @runs;

# Programs that are still there when the test fails are stopped, before their server is.
END { local $?; $_->kill_kill foreach @runs; }

sub start
{
    my (@command) = @_;
    my %run = (out => '');

    push @runs, $run{run} = IPC::Run::start([@command], '<', \undef, '>', \$run{out}, '2>&1', IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
    return \%run;
}

sub start_sql { return start('psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), map { ('-c', $_) } @_); }

# What writes a table anew, as a program that is started
my %tools = (
    'VACUUM FULL' => sub { start_sql("VACUUM FULL $_[0]") },
    'pg_repack' => sub {
        my @words = split ' ', $repack;
        s/^session$/$_[0]/ foreach @words;
        start($words[0], '-h', $node->host, '-p', $node->port, '-d', 'postgres', '-T', 600, @words[1 .. $#words], ($_[0] eq 'session' ? ('-o', 'id DESC') : ()));
    });

sub ends_well
{
    my ($run, $what) = @_;

    ok($run->{run}->finish, "$what ends well") or diag($run->{out});
}

sub all_right
{
    my ($how) = @_;

    is(look($_, $right), "$rows|$rows", "$how: all keys are right in a session that has used them") foreach ($warm, $in_transaction);
    is(look_anew($node, $right), "$rows|$rows", "$how: and in a new one");
    is(look_anew($node, $found), $rows / 100, "$how: keys are found by their index");
}

sub rotate
{
    $node->safe_psql('postgres', q{SELECT key_vault.kek_rotate('app1')});
    $version++;
}

# A run of rewrap_all() that waits in the middle of the table, whose rows are in the order of their ids
sub start_rewrapping
{
    rotate();
    $node->safe_psql('postgres', 'CLUSTER session USING session_pkey');
    look($gate, 'SELECT pg_advisory_lock(42)');
    my $run = start_sql(q{SET lock_timeout = '10min'}, qq{CALL key_vault.rewrap_all('app1', batch_size => $batch, sleep => '20ms')});
    $node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 42 AND NOT granted})
      or die 'the run does not come to the row';
    return $run;
}

sub file_of { return $node->safe_psql('postgres', "SELECT pg_relation_filenode('$_[0]')"); }

# Whether a session of pg_repack, or any other one that has not got a lock on the table, waits
my $waits = q{SELECT count(*) > 0 FROM pg_locks WHERE relation = '%s'::regclass AND mode = 'AccessExclusiveLock' AND NOT granted};

foreach my $tool ('VACUUM FULL', 'pg_repack')
{
  SKIP: {
        skip 'pg_repack is not installed', 1 if $tool eq 'pg_repack' && !$has_repack;
        look($in_transaction, $_) foreach ('ROLLBACK', 'BEGIN');
        all_right("$tool, before");
        look($in_transaction, $_) foreach ('ROLLBACK');

        # Between the steps of rewrap_all(): it is stopped, and called again.
        my $file = file_of('session');
        my $run = start_rewrapping();
        $node->safe_psql('postgres', q{SELECT pg_cancel_backend(pid) FROM key_vault.rewrap_progress WHERE state = 'running'});
        $run->{run}->finish;
        look($gate, 'SELECT pg_advisory_unlock(42)');
        my $half = $rows / 2;
        is(look_anew($node, $versions), ($version - 1) . ": $half, $version: $half", "$tool: half of the keys are rewrapped");
        ends_well($tools{$tool}->('session'), $tool);
        isnt(file_of('session'), $file, "$tool: the table is written anew");
        all_right("$tool, half rewrapped");
        is(look_anew($node, $versions), ($version - 1) . ": $half, $version: $half", "$tool: so are its keys counted afterwards");
        my (undef, undef, $notices) = $node->psql('postgres', q{CALL key_vault.rewrap_all('app1')});
        like($notices, qr/goes on where it was stopped/, "$tool: the next run goes on");
        is(look_anew($node, $versions), "$version: $rows", "$tool: and passes over no key");
        is(look_anew($node, qq{SELECT key_vault.kek_destroy('app1', $version - 1)}), '', "$tool: the earlier version is destroyed");
        all_right("$tool, afterwards");

        # While it runs: the tool waits for a batch, and the next batches wait for the tool, or work beside it.
        $file = file_of('session');
        $run = start_rewrapping();
        my $beside = $tools{$tool}->('session');
        $node->poll_query_until('postgres', sprintf($waits, 'session')) or die "$tool does not come to the lock";
        look($gate, 'SELECT pg_advisory_unlock(42)');
        ends_well($run, "$tool: rewrap_all() beside it");
        ends_well($beside, "$tool beside rewrap_all()");
        isnt(file_of('session'), $file, "$tool: the table is written anew again");
        is(look_anew($node, $versions), "$version: $rows", "$tool: all keys are rewrapped");
        is(look_anew($node, qq{SELECT key_vault.kek_destroy('app1', $version - 1)}), '', "$tool: the version before is destroyed");
        all_right("$tool, while it ran");

        # The table of KEKs, while a rotation is not committed yet
        $file = file_of('key_vault.kek');
        look($gate, $_) foreach ('BEGIN', q{SELECT key_vault.kek_rotate('app1')});
        $version++;
        $beside = $tools{$tool}->('key_vault.kek');
        $node->poll_query_until('postgres', sprintf($waits, 'key_vault.kek')) or die "$tool does not come to the lock";
        look($gate, 'COMMIT');
        ends_well($beside, "$tool of table kek");
        isnt(file_of('key_vault.kek'), $file, "$tool: table kek is written anew");
        my $active = q{SELECT key_vault.kek_version(key_vault.generate_key('app1'))};
        is(look($_, $active), $version, "$tool: a session that has used the KEK wraps with the new version") foreach ($warm, $in_transaction);
        is(look_anew($node, $active), $version, "$tool: so does a new one");
        all_right("$tool of table kek");
        look($in_transaction, $_) foreach ('BEGIN');
        all_right("$tool of table kek, once more");
        $node->safe_psql('postgres', qq{SET client_min_messages = error; SELECT key_vault.kek_suspend('app1', $version - 1)});
        like(look($_, $right), qr/ERROR:  KEK label "app1" version \d+ is suspended/, "$tool: a suspension after it is seen") foreach ($warm, $in_transaction);
        like(look_anew($node, $right), qr/ERROR:  KEK label "app1" version \d+ is suspended/, "$tool: by a new session, too");
        $node->safe_psql('postgres', qq{SELECT key_vault.kek_resume('app1', $version - 1)});
        look($in_transaction, 'ROLLBACK');
        $node->safe_psql('postgres', q{CALL key_vault.rewrap_all('app1')});
        all_right("$tool of table kek, afterwards");
    }
}

# pg_repack waits between its copy of the table and the exchange of both, since a transaction is open; that it is
# stopped, too, keeps it from bringing its copy up to date.  So the copy has keys of the version before, while the
# table has none, and a log table of pg_repack has the rows that were changed.
SKIP: {
    skip 'pg_repack is not installed', 1 if !$has_repack;
    my $copy = $node->safe_psql('postgres', q{SELECT 'repack.table_' || 'session'::regclass::oid});
    my $log = $node->safe_psql('postgres', q{SELECT 'repack.log_' || 'session'::regclass::oid});
    my $usage = q{SELECT string_agg(concat(relation, ' ', kek_version, ': ', keys), ', ' ORDER BY relation::text, kek_version) FROM key_vault.kek_usage('app1')};
    my $destroy = q{SET lock_timeout = '1s'; SELECT key_vault.kek_destroy('app1', %d)};
    my $ended = q{SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'pg_repack'};
    my $half_done = sub {
        look($gate, 'BEGIN; SELECT 1');
        my $run = $tools{'pg_repack'}->('session');
        $node->poll_query_until('postgres', "SELECT to_regclass('$copy') IS NOT NULL") or die 'pg_repack does not copy';
        $run->{run}->signal('STOP');
        rotate();
        return $run;
    };

    my $run = $half_done->();
    my $old = $version - 1;
    $node->safe_psql('postgres', q{CALL key_vault.rewrap_all('app1', only_table => 'session')});
    is(look_anew($node, $usage), "$log $version: $rows, $copy $old: $rows, session $version: $rows", 'the keys of the copy are counted');
    like(look_anew($node, sprintf($destroy, $old)), qr/^ERROR:  canceling statement due to lock timeout/, 'the version is not destroyed meanwhile');
    all_right('rewrapped beside a copy');
    look($gate, 'COMMIT');
    $run->{run}->signal('CONT');
    ends_well($run, 'pg_repack after that');
    is(look_anew($node, $usage), "session $version: $rows", 'it did not bring back the earlier version');
    is(look_anew($node, sprintf($destroy, $old)), '', 'which is destroyed now');
    all_right('after the exchange');

    # It is killed there, and its copy stays.
    $run = $half_done->();
    $old = $version - 1;
    $run->{run}->kill_kill;
    look($gate, 'COMMIT');
    $node->poll_query_until('postgres', $ended) or die 'pg_repack does not end';
    is(look_anew($node, $usage), "$copy $old: $rows, session $old: $rows", 'what is left is counted');
    like(look_anew($node, sprintf($destroy, $old)), qr/^ERROR:  KEK label "app1" version $old (?:is|still|wraps)/, 'and is a reason to refuse');
    $node->safe_psql('postgres', q{CALL key_vault.rewrap_all('app1')});
    is(look_anew($node, $usage), "$log $version: $rows, $copy $version: $rows, session $version: $rows", 'both are rewrapped');
    is(look_anew($node, sprintf($destroy, $old)), '', 'before the version is destroyed');
    $node->safe_psql('postgres', 'SET client_min_messages = error; DROP EXTENSION pg_repack CASCADE; CREATE EXTENSION pg_repack');
    is(look_anew($node, $usage), "session $version: $rows", 'it is cleared away, as the page says');
    ends_well($tools{'pg_repack'}->('session'), 'pg_repack again');
    all_right('in the end');
}

$_->quit foreach ($gate, $warm, $in_transaction);
done_testing();
