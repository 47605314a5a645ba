# Messages of both network servers through a real broker, at quality of service 1, into a storage:
# with the broker and the database stopped, killed and started again in the middle of the stream,
# every message is there once.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use IPC::Run;
use PostgreSQL::Test::Utils;
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

# A Unix socket is the only listener.  Each change is saved, so that a broker that is killed knows
# its subscribers when it is started again.
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

sub start_broker
{
    $broker = IPC::Run::start([ 'mosquitto', '-c', "$dir/mosquitto.conf" ], '>', "$dir/broker.log", '2>&1');
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

# Stopped whatever happens.
END { local $?; foreach my $run ($ingest, $broker) { $run->kill_kill if $run; } }

# The stacks' example messages (demo/messages), of other counters and times.  A payload of no bytes
# is the same under every counter.
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

# Until the broker has it: it may be away.
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

# The broker has written down that it has this subscriber.
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
all_stored('messages of both stacks are stored');

stop_broker('TERM');
start_broker();
publish(10);
all_stored('the broker was restarted');

# Nothing is under way: what a killed broker has not written down nobody can bring back.
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

# The program itself is stopped, with the database away, and started again.
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

# What is no message: kept in rejected, and the stream goes on.
publish_one('v3/app1@t1/devices/dev1/up', $_) foreach ('{"end_device_ids": ', "tab\there, \\, line\nend", "\xff\xfe not UTF-8", "nul \0 byte", '\.',
    # What Perl, but not PostgreSQL, takes for UTF-8: half of a surrogate pair, a code point beyond U+10FFFF; and the last that is one
    "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf4\x8f\xbf\xbf");
publish(1);
all_stored('the stream goes on after what is no message');
ok($node->poll_query_until('postgres', 'SELECT count(*) = 8 FROM lorawan.rejected'), 'which is kept as rejected');
is(-s "$dir/spool", 0, 'nothing is left in the spool');

# A spool whose last line a crash cut: a whole message but for its end of line, half of an umlaut, half of an escape.
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

done_testing();
