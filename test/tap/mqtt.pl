# Messages of both network servers go through a real broker, at quality of service 1, into a storage.  The broker
# and the database are stopped, killed and started again in the middle of the stream, and in the end every
# message is there once.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use IPC::Run;
use PostgreSQL::Test::Utils;
use MIME::Base64 qw(decode_base64);
use Test::More;

$ENV{PATH} .= ':/usr/sbin';
foreach my $program (qw(mosquitto mosquitto_sub mosquitto_pub))
{
    plan skip_all => "$program is not installed" unless grep { -x "$_/$program" } split /:/, $ENV{PATH};
}
my $root = "$FindBin::Bin/../..";
my $dir  = PostgreSQL::Test::Utils::tempdir_short();

my $node = new_node('storage');
$node->init;
$node->configure_vault;
$node->start;
$node->safe_psql('postgres', q{
    CREATE EXTENSION key_vault;
    SELECT key_vault.kek_import('app1-kek', '\x000102030405060708090a0b0c0d0e0f'), key_vault.kek_create('lorawan');
    CALL key_vault.create_storage('lorawan');
});

# The broker listens on a Unix socket only.  It saves each change, so that after a kill it still knows its
# subscribers.
append_to_file("$dir/mosquitto.conf", <<"END");
listener 0 $dir/broker
allow_anonymous true
persistence true
persistence_location $dir/
autosave_interval 1
autosave_on_changes true
max_queued_messages 0
END
my ($broker, $ingest);

# Returns when the broker answers.  mosquitto_sub, and with it key_vault_ingest, ends at its start if there is
# no broker.
sub start_broker
{
    $broker = IPC::Run::start([ 'mosquitto', '-c', "$dir/mosquitto.conf" ], '>', "$dir/broker.log", '2>&1');
    publish_one('started', 'nobody takes this topic');
}

sub stop_broker
{
    my ($signal) = @_;
    $broker->signal($signal);
    $broker->finish;
}

sub start_ingest
{
    local $ENV{PGHOST}     = $node->host;
    local $ENV{PGPORT}     = $node->port;
    local $ENV{PGDATABASE} = 'postgres';
    $ingest = IPC::Run::start(
        [ "$root/integration/mqtt/key_vault_ingest", "$dir/spool", 'lorawan', '--unix', "$dir/broker", '-i', 'ingest', '-c', '-q', '1',
          '-t', 'v3/+/devices/+/up', '-t', 'application/+/device/+/event/up' ],
        '>', "$dir/ingest.log", '2>&1');
}

# The processes are stopped, even if the test fails.
END { local $?; foreach my $run ($ingest, $broker) { $run->kill_kill if $run; } }

# The example messages of both network servers (demo/messages), with other counters and times.  Their payloads
# are empty, since an empty payload is the same under every counter.
my %stack = (
    'the-things-stack' => sub {
        my ($n) = @_;
        my $message = slurp_file("$root/demo/messages/the-things-stack.json");
        $message =~ s/"f_cnt": 65538/"f_cnt": $n/ && $message =~ s/12:00:00\.24Z/sprintf '12:%02d:%02d.24Z', $n \/ 60, $n % 60/e or die;
        return ('v3/app1@t1/devices/dev1/up', $message);
    },
    chirpstack => sub {
        my ($n) = @_;
        my $message = slurp_file("$root/demo/messages/chirpstack.json");
        $message =~ s/"fCnt": 1042/"fCnt": $n/ && $message =~ s/12:00:00Z/sprintf '12:%02d:%02dZ', $n \/ 60, $n % 60/e or die;
        return ('application/17c82e96-be03-4f38-aef3-f83d48582d97/device/0102030405060708/event/up', $message);
    });

# Tries until the broker has the message, since the broker may be down.
sub publish_one
{
    my ($topic, $message) = @_;
    foreach (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
    {
        return if IPC::Run::run([ 'mosquitto_pub', '--unix', "$dir/broker", '-q', '1', '-t', $topic, '-s' ],
            '<', \$message, '>', \my $out, '2>&1');
        select undef, undef, undef, 0.1;
    }
    die 'the broker does not answer';
}

my $published = 0;

sub publish
{
    my ($count) = @_;
    foreach (1 .. $count)
    {
        $published++;
        publish_one($stack{$_}->($published)) foreach sort keys %stack;
    }
}

sub all_stored
{
    my ($name) = @_;
    ok($node->poll_query_until('postgres', sprintf 'SELECT count(*) = %d FROM lorawan.uplink', 2 * $published), $name);
}

# Whether the broker has written its subscriber to disk
sub subscription_saved
{
    foreach (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
    {
        return if -e "$dir/mosquitto.db" && slurp_file("$dir/mosquitto.db") =~ m{event/up.*ingest|ingest.*event/up}s;
        select undef, undef, undef, 0.1;
    }
    die 'the broker does not save its state';
}

start_broker();
start_ingest();
subscription_saved();
publish(10);
all_stored('messages of both network servers are stored');

stop_broker('TERM');
start_broker();
publish(10);
all_stored('the broker was restarted');

# The broker is killed while no message is under way, since a message that it has not yet written to disk would
# be lost.
stop_broker('KILL');
start_broker();
publish(10);
all_stored('the broker was killed and restarted');

$node->stop('immediate');
publish(10);
stop_broker('TERM');
start_broker();
publish(10);
$node->start;
all_stored('the database was down, the broker restarted meanwhile');

$node->stop('immediate');
$node->start;
publish(10);
all_stored('the database crashed in the middle of the stream');

# key_vault_ingest itself is stopped while the database is down, and started again.
$node->stop('fast');
publish(10);
$ingest->signal('TERM');
$ingest->finish;
publish(10);
$node->start;
start_ingest();
all_stored('the program was stopped while the database was down');

is($node->safe_psql('postgres', 'SELECT dev_eui, count(*), count(DISTINCT f_cnt), min(f_cnt), max(f_cnt) FROM lorawan.uplink GROUP BY 1 ORDER BY 1'),
    "\\x0004a30b001c0530|$published|$published|1|$published\n\\x0102030405060708|$published|$published|1|$published",
    'each message is there, once');
is($node->safe_psql('postgres', 'SELECT status, count(*) FROM lorawan.uplink_decrypted GROUP BY 1'), 'decrypted|' . 2 * $published,
    'and is decrypted');

# Lines that are no messages are kept in rejected, and the stream goes on.
publish_one('v3/app1@t1/devices/dev1/up', $_) foreach ('{"end_device_ids": ', "tab\there, \\, line\nend", "\xff\xfe not UTF-8", "nul \0 byte", '\.',
    # Perl takes these for UTF-8, PostgreSQL does not: half of a surrogate pair, a code point beyond U+10FFFF.
    # Both take the third one, which is the last code point.
    "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf4\x8f\xbf\xbf");
publish(1);
all_stored('the stream goes on after what is no message');
ok($node->poll_query_until('postgres', 'SELECT count(*) = 8 FROM lorawan.rejected'), 'which is kept as rejected');
is(-s "$dir/spool", 0, 'nothing is left in the spool');

# An event as Protocol Buffers (see pgtap/protobuf_events.js), once with and once without a byte that is not UTF-8
publish_one('application/app1/device/0102030405060709/event/up', decode_base64($_))
  foreach ('EgYI0PnIsQYaHhoEYXBwMToEZGV2MkIQMDEwMjAzMDQwNTA2MDcwOSIIMDFmYThiMmM4B0ACUgcBZwEOAmhKYgBqAA==',
    'EgYI0PnIsQYaHhoEYXBwMToEZGV2MkIQMDEwMjAzMDQwNTA2MDcwOSIIMDFmYThiMmM4CEACUgcBZwEOAmj/YgBqAA==');
ok($node->poll_query_until('postgres', q{SELECT count(*) = 2 FROM lorawan.uplink WHERE dev_eui = '\x0102030405060709'}),
    'events as Protocol Buffers are stored');
is($node->safe_psql('postgres', q{DELETE FROM lorawan.uplink WHERE dev_eui = '\x0102030405060709' RETURNING frm_payload}),
    "\\x0167010e02684a\n\\x0167010e0268ff", 'with their payloads');

# A spool whose last line was cut by a crash: a whole message without its end of line, half of an umlaut, half
# of an escape
my $whole = $stack{chirpstack}->(++$published) =~ s/\s*\n\s*//gr;
foreach my $cut ($whole, "{\"a\": \"\xc3", '{"a": "\\')
{
    $ingest->signal('TERM');
    $ingest->finish;
    append_to_file("$dir/spool", $cut);
    start_ingest();
    ok($node->poll_query_until('postgres', q{SELECT pg_stat_file('} . "$dir/spool" . q{')::text LIKE '(0,%'}), 'a line that was cut does not hold up others');
}
publish_one($stack{'the-things-stack'}->($published));
all_stored('the stream goes on after it');
is($node->safe_psql('postgres', 'SELECT count(*) FROM lorawan.rejected'), '10', 'and it is kept');

# In the middle of a batch that waits in the spool, a message fails each time with an error of the server.
$node->safe_psql('postgres', q{
    CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
        IF NEW.f_cnt = 3000 THEN
            PERFORM pg_cancel_backend(pg_backend_pid()), pg_sleep(60);
        END IF;
        RETURN NEW;
    EXCEPTION WHEN query_canceled THEN
        RETURN NEW;
    END$$;
    CREATE TRIGGER fail BEFORE INSERT ON lorawan.uplink FOR EACH ROW EXECUTE FUNCTION fail();
    DELETE FROM lorawan.rejected;
    DELETE FROM lorawan.uplink;
});
$ingest->signal('TERM');
$ingest->finish;
append_to_file("$dir/spool", join '', map { ($stack{chirpstack}->($_) =~ s/\s*\n\s*//gr) . "\n" } 2996 .. 3006);
start_ingest();
ok($node->poll_query_until('postgres', 'SELECT count(*) = 10 FROM lorawan.uplink'), 'the messages before and after one that always fails are stored');
is($node->safe_psql('postgres', q{SELECT reason, message->>'fCnt' FROM lorawan.rejected}), q{failed 8 times: 57014: canceling statement due to user request|3000}, 'which is rejected, with its reason');
publish_one($stack{chirpstack}->(3010));
ok($node->poll_query_until('postgres', 'SELECT count(*) = 11 FROM lorawan.uplink'), 'the stream goes on');
is($node->safe_psql('postgres', 'SELECT string_agg(f_cnt::text, $$ $$ ORDER BY f_cnt) FROM lorawan.uplink'),
    '2996 2997 2998 2999 3001 3002 3003 3004 3005 3006 3010', 'each message is there, once');
is(-s "$dir/spool", 0, 'the spool is empty');
ok(!-e "$dir/spool.part", 'and nothing is left beside it');
unlike(slurp_file("$dir/ingest.log"), qr/caught the error/, 'no detail, which could show a message, is told');
$node->safe_psql('postgres', 'DROP TRIGGER fail ON lorawan.uplink');
is($node->safe_psql('postgres', 'SELECT stored, rejected FROM lorawan.replay_rejected()'), '1|0', 'once the cause is mended, the message is stored');

done_testing();
