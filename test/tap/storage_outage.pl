# A storage while the root key cannot be read, the disk is full, memory is short, or somebody cancels the statement:
# storing a message is an error, so that the sender tries again. No message is put among the rejected ones, where each
# would wait until somebody looks.  What the storage's own triggers raise, in whatever language, is no such error.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use PostgreSQL::Test::Utils qw(slurp_file);
use Test::More;
use IPC::Run;

my $node = new_node('outage');
$node->init;
$node->configure_vault;
$node->append_conf('postgresql.conf', "max_locks_per_transaction = 10\n");
$node->start;
$node->safe_psql('postgres', q{
    CREATE EXTENSION key_vault;
    SELECT key_vault.kek_import('app1-kek', '\x000102030405060708090a0b0c0d0e0f'), key_vault.kek_import('late', '\x000102030405060708090a0b0c0d0e0f'), key_vault.kek_create('lorawan');
    CALL key_vault.create_storage('lorawan');
});
my ($root_key) = slurp_file($node->data_dir . '/postgresql.conf') =~ /^key_vault\.root_key = 'file:(.*)'/m;

# Stores an uplink of a session whose key is under a KEK label of its own.
sub uplink_of
{
    my ($session_key_id, $kek_label) = @_;
    return qq~SELECT lorawan.ingest('{"end_device_ids": {"application_ids": {"application_id": "app1"}, "dev_eui": "0004A30B001C0530", "dev_addr": "260B1234"},
        "uplink_message": {"session_key_id": "$session_key_id", "f_port": 2, "f_cnt": 65538, "frm_payload": "LhFe2aRcmQ==", "received_at": "2024-05-01T12:00:00Z",
        "app_s_key": {"kek_label": "$kek_label", "encrypted_key": "7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"}}}')~;
}
is($node->safe_psql('postgres', uplink_of('AAAAAAAAAAAAAAAAAAAAAQ==', 'app1-kek')), 'uplink', 'an uplink');
is($node->safe_psql('postgres', uplink_of('AAAAAAAAAAAAAAAAAAAAAg==', 'unknown')), 'uplink', 'and one whose KEK is unknown');

rename $root_key, "$root_key.away" or die "$root_key: $!";
$node->reload;
my ($status, undef, $error) = $node->psql('postgres', "\\set VERBOSITY sqlstate\n" . uplink_of('AAAAAAAAAAAAAAAAAAAAAw==', 'app1-kek'));
like($error, qr/KV102/, 'an uplink of a new session, while the root key cannot be read, is an error');
(undef, undef, $error) = $node->psql('postgres', qq{\\set VERBOSITY sqlstate\nUPDATE lorawan.session SET kek_label = 'late' WHERE kek_label = 'unknown'; SELECT * FROM lorawan.replay_rejected()});
like($error, qr/ERROR:  KV102/, 'so is trying again');
is($node->safe_psql('postgres', 'SELECT count(*) FROM lorawan.rejected'), '0', 'nothing is rejected');
is($node->safe_psql('postgres', 'SELECT count(*) FROM lorawan.uplink'), '2', 'or stored');

rename "$root_key.away", $root_key or die "$root_key: $!";
$node->reload;
is($node->safe_psql('postgres', uplink_of('AAAAAAAAAAAAAAAAAAAAAw==', 'app1-kek')), 'uplink', 'once it is back, the sender\'s next try is stored');
is($node->safe_psql('postgres', 'SELECT opened FROM lorawan.replay_rejected()'), '1', 'and the envelope is opened');
is($node->safe_psql('postgres', q{SELECT count(*) FROM lorawan.uplink_decrypted WHERE payload = '\x0167010e02684a'}), '3', 'all are decrypted');


# Errors that PostgreSQL raises while a trigger of the storage runs
$node->safe_psql('postgres', q{
    CREATE SEQUENCE times;
    CREATE TABLE act (what text);
    INSERT INTO act VALUES ('');
    CREATE FUNCTION act() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        what text := (SELECT a.what FROM public.act a);
        texts text[];
    BEGIN
        -- Once in a call: a timeout ends the first sleep only.
        IF nextval('public.times') > 1 THEN
            RETURN NEW;
        END IF;
        CASE split_part(what, ' ', 1)
            WHEN 'sleep' THEN PERFORM pg_sleep(600);
            WHEN 'locks' THEN PERFORM pg_advisory_xact_lock(n) FROM generate_series(1, 100000) n;
            WHEN 'memory' THEN
                FOR i IN 1 .. 40 LOOP
                    texts := texts || repeat('x', 10000000);
                END LOOP;
            WHEN 'wait' THEN LOCK TABLE public.act IN ACCESS EXCLUSIVE MODE;
            ELSE NULL;
        END CASE;
        RETURN NEW;
    EXCEPTION WHEN query_canceled THEN
        IF what = 'sleep and go on' THEN RETURN NEW; END IF;
        IF what = 'sleep and lie' THEN RAISE 'something else'; END IF;
        RAISE;
    END
    $$;
    CREATE TRIGGER act BEFORE INSERT ON lorawan.uplink FOR EACH ROW EXECUTE FUNCTION act();
});
my $f_cnt = 70000;

# An ingestion of two uplinks: of one message each, or of an array
sub ingest
{
    my ($way) = @_;
    my $uplink = sub { my $n = $f_cnt++; qq~'{"end_device_ids": {"application_ids": {"application_id": "app1"}, "dev_eui": "0004A30B001C0530", "dev_addr": "260B1234"},
        "uplink_message": {"session_key_id": "AAAAAAAAAAAAAAAAAAAAAQ==", "f_port": 2, "f_cnt": $n, "frm_payload": "LhFe2aRcmQ==", "received_at": "2024-05-01T12:00:00Z"}}'~ };

    return 'SELECT lorawan.ingest(' . $uplink->() . '::jsonb)' if $way eq 'one message';
    return 'SELECT lorawan.ingest(ARRAY[' . join(', ', map { $uplink->() } 1 .. 2) . '])' if $way eq 'an array';
    return 'INSERT INTO lorawan.inbox VALUES ' . join(', ', map { '(' . $uplink->() . ')' } 1 .. 2) if $way eq 'the inbox';
    # The message is one that was rejected before.
    $node->safe_psql('postgres', q{UPDATE act SET what = ''});
    my $message = $uplink->();
    $node->safe_psql('postgres', "SET key_vault.reject_reason = 'as if'; SELECT lorawan.ingest($message\::jsonb)");
    return 'SELECT * FROM lorawan.replay_rejected()';
}

sub error_of
{
    my ($sql, $settings) = @_;
    my (undef, undef, $error) = $node->psql('postgres', "\\set VERBOSITY verbose\n" . ($settings // '') . $sql, timeout => 60);
    return $error =~ /(ERROR: .*)/ ? $1 : 'no error';
}

sub nothing_is_kept
{
    my ($name) = @_;
    is($node->safe_psql('postgres', q{SELECT count(*) FROM lorawan.rejected WHERE reason <> 'as if'}), '0', "$name: nothing is rejected");
    is($node->safe_psql('postgres', 'SELECT count(*) FROM lorawan.uplink WHERE f_cnt >= 70000'), '0', "$name: or stored");
    $node->safe_psql('postgres', 'DELETE FROM lorawan.rejected');
}

foreach my $way ('one message', 'an array', 'the inbox', 'replay_rejected()')
{
    my $sql;
    my $begin = sub { $sql = ingest($way); $node->safe_psql('postgres', "UPDATE act SET what = '$_[0]'; SELECT setval('times', 1, false)") };

    foreach my $what ('sleep', 'sleep and go on', 'sleep and lie')
    {
        $begin->($what);
        like(error_of($sql, q{SET statement_timeout = '200ms'; }), qr/57014: canceling statement due to statement timeout/, "$way: a timeout: $what");

        $begin->($what);
        my $session = open_session($node);
        my $pid = $session->query('SELECT pg_backend_pid()');
        $session->query_until(qr/started/, "\\echo started\n$sql;\n");
        $node->poll_query_until('postgres', "SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = $pid") or die;
        $node->safe_psql('postgres', "SELECT pg_cancel_backend($pid)");
        $session->query('SELECT 1');
        like($session->{stderr}, qr/ERROR:  canceling statement due to user request/, "$way: a cancellation: $what");
        $session->{stderr} = '';
        $session->quit;
    }
    $begin->('locks');
    like(error_of($sql), qr/53200: out of shared memory/, "$way: no room for locks");
    $begin->('wait');
    my $holder = open_session($node);
    $holder->query('BEGIN; LOCK TABLE act IN ROW EXCLUSIVE MODE');
    like(error_of($sql, q{SET lock_timeout = '100ms'; }), qr/55P03: canceling statement due to lock timeout/, "$way: lock_timeout");
    $holder->query('ROLLBACK');
    $holder->quit;
    nothing_is_kept($way);
}

# Memory is short: a session gets 100 MB more than it has.
SKIP: {
    skip 'prlimit is not there', 3 if system('prlimit --version > /dev/null 2>&1') != 0;
    my $sql = ingest('an array');
    $node->safe_psql('postgres', q{UPDATE act SET what = 'memory'; SELECT setval('times', 1, false)});
    my $session = open_session($node);
    my $pid = $session->query(q{SELECT count(*) > 0 FROM lorawan.uplink_decrypted; SELECT pg_backend_pid()}) =~ /^(\d+)$/m ? $1 : die;
    my ($pages) = slurp_file("/proc/$pid/statm") =~ /^(\d+)/;
    system('prlimit', "--pid=$pid", '--as=' . ($pages * 4096 + 100_000_000) . ':') == 0 or die 'prlimit';
    $session->query($sql);
    like($session->{stderr}, qr/ERROR:  out of memory/, 'memory is short');
    $session->{stderr} = '';
    $session->quit;
    nothing_is_kept('memory is short');
}

# The disk is full: the file of a table is a link to a device that takes no byte.
$node->safe_psql('postgres', q{UPDATE act SET what = ''; DELETE FROM lorawan.uplink; CREATE TABLE filled (n integer)});
$node->safe_psql('postgres', q{
    CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO public.filled VALUES (1); RETURN NEW; END$$;
    CREATE TRIGGER fill BEFORE INSERT ON lorawan.uplink FOR EACH ROW EXECUTE FUNCTION fill();
});
my $file = $node->data_dir . '/' . $node->safe_psql('postgres', q{SELECT pg_relation_filepath('filled')});
$node->stop;
unlink $file or die "$file: $!";
symlink '/dev/full', $file or die "$file: $!";
$node->start;
foreach my $way ('one message', 'an array', 'the inbox', 'replay_rejected()')
{
    $node->safe_psql('postgres', 'ALTER TABLE lorawan.uplink DISABLE TRIGGER fill');
    my $sql = ingest($way);
    $node->safe_psql('postgres', 'ALTER TABLE lorawan.uplink ENABLE TRIGGER fill');
    like(error_of($sql), qr/53100: could not (?:extend|write).*No space left on device/, "$way: a full disk");
    nothing_is_kept("$way: a full disk");
}
$node->stop;
unlink $file or die "$file: $!";
open my $empty, '>', $file or die "$file: $!";
$node->start;
$node->safe_psql('postgres', 'DROP TABLE filled; DROP TRIGGER fill ON lorawan.uplink; DROP TRIGGER act ON lorawan.uplink; DROP FUNCTION fill(), act()');

# Errors of the storage's own code, in other languages; and a cancellation that they take for an exception
my %languages = (
    plpython3u => [
        q{e = plpy.SPIError('as if'); e.sqlstate = '53100'; raise e},
        q{plpy.error('as if', sqlstate='57014')}, q{plpy.error('as if', sqlstate='KV102')}, q{raise Exception('as if')},
        q{plpy.execute("DO $x$ BEGIN RAISE 'as if' USING ERRCODE = '53100'; END $x$")},
    ],
    plperl => [ q{elog(ERROR, 'as if')}, q{die 'as if'}, q{spi_exec_query(q(DO $x$ BEGIN RAISE 'as if' USING ERRCODE = 'XX000'; END $x$))} ],
    pltcl  => [ q{elog ERROR {as if}}, q{error {as if}}, q{spi_exec {DO $x$ BEGIN RAISE 'as if' USING ERRCODE = '57014'; END $x$}} ],
);
my %sleep = (
    plpython3u => qq{try:\n    plpy.execute('SELECT pg_sleep(600)')\nexcept Exception:\n    plpy.error('as if')},
    plperl => q{eval { spi_exec_query('SELECT pg_sleep(600)') }; return},
    pltcl => q{catch {spi_exec {SELECT pg_sleep(600)}}; return OK},
);
my %decode = (
    plpython3u => q(return '{"port": %d}' % f_port),
    plperl => q(return "{\\"port\\": $_[1]}"),
    pltcl => q(return "{\\"port\\": $2}"),
);

# A decoder of the application app1, and what a query of the decoded uplinks gives
sub decoded
{
    my ($language, $body, $query, $before) = @_;
    $node->safe_psql('postgres', "CREATE OR REPLACE FUNCTION lorawan.decode(payload bytea, f_port integer) RETURNS jsonb LANGUAGE $language AS \$body\$\n$body\n\$body\$;
        INSERT INTO lorawan.application (application_id, decoder) VALUES ('app1', 'lorawan.decode') ON CONFLICT (application_id) DO UPDATE SET decoder = excluded.decoder");
    return $before ? error_of($query, $before) : $node->safe_psql('postgres', $query);
}
my $statuses = 'SELECT status, decoded FROM lorawan.uplink_decoded';
$node->safe_psql('postgres', q{INSERT INTO lorawan.uplink (dev_eui, f_cnt, f_port, encrypted, frm_payload, application_id, received_at)
    VALUES ('\x0004A30B001C0530', 1, 2, false, '\x01', 'app1', now())});

foreach my $language (sort keys %languages)
{
  SKIP: {
        my ($missing) = $node->psql('postgres', "CREATE EXTENSION $language");
        skip "$language is not installed", 1 if $missing;
        foreach my $body (@{ $languages{$language} })
        {
            $node->safe_psql('postgres', "CREATE OR REPLACE FUNCTION fail() RETURNS trigger LANGUAGE $language AS \$body\$\n$body\n\$body\$;
                CREATE OR REPLACE TRIGGER fail BEFORE INSERT ON lorawan.uplink FOR EACH ROW EXECUTE FUNCTION fail()");
            is($node->safe_psql('postgres', ingest('one message')), 'rejected', "$language: $body");
            is($node->safe_psql('postgres', ingest('an array')), '(0,0,2)', "$language: $body: an array");
        }
        $node->safe_psql('postgres', 'DELETE FROM lorawan.rejected');
        $node->safe_psql('postgres', "CREATE OR REPLACE FUNCTION fail() RETURNS trigger LANGUAGE $language AS \$body\$\n$sleep{$language}\n\$body\$");
        like(error_of(ingest('one message'), q{SET statement_timeout = '200ms'; }), qr/57014: canceling statement due to statement timeout/, "$language: a timeout that it hides");
        nothing_is_kept($language);
        # The same as a decoder
        is(decoded($language, $decode{$language}, $statuses), 'decoded|{"port": 2}', "$language: a decoder");
        is(decoded($language, $_, $statuses), 'decoder failed|', "$language: a decoder: $_") foreach @{ $languages{$language} };
        like(decoded($language, $sleep{$language}, $statuses, q{SET statement_timeout = '200ms'; }), qr/57014: canceling statement due to statement timeout/, "$language: a timeout that a decoder hides");
    }
}

done_testing();
