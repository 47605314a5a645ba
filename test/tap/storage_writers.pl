# Two connections that store the same messages in opposite orders, and the memory of a connection that stores many.
#
# In each round both connections store the same messages of new devices and sessions, one of them in reverse order.  The
# connection that is behind finds what the other has stored, which is faster, so it soon waits for the other's rows.  The
# short form has 300 rounds and 100,000 messages, the long form 10,000 rounds and 1,000,000 messages.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use PostgreSQL::Test::Utils qw(slurp_file);
use Test::More;
use IPC::Run;

my ($rounds, $batches) = $ENV{KEY_VAULT_LONG} ? (10_000, 50) : (300, 5);
my $messages = 40;

my $node = new_node('writers');
$node->init;
$node->configure_vault;
$node->append_conf('postgresql.conf', "deadlock_timeout = 20ms\nshared_buffers = 16MB\n");
$node->start;
# A message of device and session n.  Every other one is an uplink of The Things Stack, the rest are of ChirpStack.
$node->safe_psql('postgres', q~
    CREATE EXTENSION key_vault;
    SELECT key_vault.kek_import('app1-kek', '\x000102030405060708090a0b0c0d0e0f'), key_vault.kek_create('lorawan');
    CALL key_vault.create_storage('lorawan');
    CREATE FUNCTION message(n bigint, f_cnt bigint DEFAULT 1) RETURNS text LANGUAGE sql AS $$
    SELECT CASE WHEN n % 2 = 0
        THEN format('{"end_device_ids": {"device_id": "dev%s", "application_ids": {"application_id": "app1"}, "dev_eui": "%s", "dev_addr": "260B1234"}, "uplink_message": {"session_key_id": "AYfC0bag8+RHWGmqu8zd7g==", "f_port": 2, "f_cnt": %s, "frm_payload": "LhFe2aRcmQ==", "received_at": "2024-05-01T12:00:00Z", "app_s_key": {"kek_label": "app1-kek", "encrypted_key": "7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"}}}',
                    n, lpad(to_hex(n), 16, '0'), f_cnt)
        ELSE format('{"deduplicationId": "3ac7e3c4-4401-4b8d-9386-a5c902f9202d", "time": "2024-05-01T12:00:00Z", "deviceInfo": {"applicationId": "app1", "deviceName": "dev%s", "devEui": "%s"}, "devAddr": "01fa8b2c", "fCnt": %s, "fPort": 2, "data": "BqiSEvuAbQ==", "joinServerContext": {"sessionKeyId": "0102", "appSKey": {"kekLabel": "app1-kek", "aesKey": "7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"}}}',
                    n, lpad(to_hex(n), 16, '0'), f_cnt) END $$;
~);

my @writers;
foreach my $order ('n', '-n')
{
    my $script = "\\set VERBOSITY sqlstate\n" . join '', map {
        my $first = $_ * $messages;
        "SELECT stored + duplicates, rejected FROM lorawan.ingest(ARRAY(SELECT message(n) FROM generate_series($first, $first + $messages - 1) n ORDER BY $order));\n"
    } 0 .. $rounds - 1;
    my %writer = (in => $script, out => '', err => '');
    $writer{run} = IPC::Run::start([ 'psql', '-XqAt', '-d', $node->connstr('postgres') ], '<', \$writer{in}, '>', \$writer{out}, '2>', \$writer{err});
    push @writers, \%writer;
}
foreach my $writer (@writers)
{
    $writer->{run}->finish;
    is($writer->{err}, '', 'a writer: no error');
    is(() = $writer->{out} =~ /^$messages\|0$/mg, $rounds, 'every message is stored or was stored already');
}
is($node->safe_psql('postgres', 'SELECT count(*), count(DISTINCT dev_eui) FROM lorawan.uplink'), join('|', ($rounds * $messages) x 2), "each message once, after $rounds rounds");
is($node->safe_psql('postgres', 'SELECT count(*) FROM lorawan.session'), $rounds * $messages, 'and each session');
unlike(slurp_file($node->logfile), qr/deadlock detected/, 'no deadlock');

# The memory of a connection: all of it but the server's shared memory.  The first batch fills caches.
my $writer = $node->background_psql('postgres');
my $pid = $writer->query('SELECT pg_backend_pid()');
$writer->query(q{TRUNCATE lorawan.uplink; SET client_min_messages = error});
sub own_memory
{
    my ($kb) = slurp_file("/proc/$pid/status") =~ /^RssAnon:\s+(\d+) kB/m;
    return $kb;
}
my @memory;
foreach my $batch (1 .. $batches)
{
    $writer->query("INSERT INTO lorawan.inbox SELECT message(n % 1000, $batch * 100000 + n) FROM generate_series(1, 20000) n");
    push @memory, own_memory();
}
is($writer->query('SELECT count(*) FROM lorawan.uplink'), $batches * 20000, ($batches * 20000) . ' messages');
note "memory after each batch of 20,000, in kB: @memory";
# A plan that is made anew may need some megabytes more, once.
cmp_ok($memory[-1] - $memory[0], '<', 16 * 1024, 'take about as much memory as 20,000');
# All in one statement, whose memory is looked at while it runs: after it, memory would be freed again.
my $all = $batches * 20000;
$writer->query('TRUNCATE lorawan.uplink');
$writer->query(q~CREATE FUNCTION memory() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.f_cnt % 20000 = 0 THEN
            RAISE WARNING 'memory %', substring(pg_read_file('/proc/self/status') FROM 'RssAnon:\s+(\d+)');
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER memory BEFORE INSERT ON lorawan.uplink FOR EACH ROW EXECUTE FUNCTION memory(); SET client_min_messages = warning~);
$writer->query("INSERT INTO lorawan.inbox SELECT message(n % 1000, n) FROM generate_series(1, $all) n");
my @during = $writer->{stderr} =~ /memory (\d+)/g;
note "memory during the statement: @during";
is(@during, $batches, 'a single statement, looked at each 20,000 messages');
cmp_ok($during[-1] - $during[1], '<', 4096, 'takes no more memory at its end than at its beginning');
is($writer->query('SELECT count(*) FROM lorawan.uplink'), $all, 'and stores them all');
$writer->quit;

done_testing();
