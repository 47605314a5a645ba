# A failover by repmgr, by the commands of docs/scale.md, while messages are stored and read: no message that was
# acknowledged is lost, every payload is right, sessions of the standby go on, and KEKs are rotated before, and after on
# the new primary.  The old primary acknowledges nothing when it comes back, and then follows the new one.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $page = slurp_file("$FindBin::Bin/../../docs/scale.md");
my ($section) = $page =~ /^\*\*Failover(.*?)(?:^\*\*|^## |\z)/ms or die 'no such section';
my ($register, $rejoin) = $section =~ /^```sh\n(.*?)^```$/msg;

chomp(my $bindir = `pg_config --bindir`);
plan skip_all => 'repmgr is not installed' if !-x "$bindir/repmgrd";
my $dir = $ENV{TESTDIR};

my $old = new_node('old');
my $new = new_node('new');
my @runs;

# What this test has started is stopped, even if it fails, also a server that repmgr has started.
END
{
    local $?;
    $_->kill_kill foreach @runs;
    system("$bindir/pg_ctl", '-s', '-m', 'immediate', '-D', $old->data_dir, 'stop') if $old && -e $old->data_dir . '/postmaster.pid';
}

$old->init(allows_streaming => 1);
$old->configure_vault;
$old->append_conf('postgresql.conf', "shared_preload_libraries = 'key_vault, repmgr'\nwal_log_hints = on\nwal_keep_size = '256MB'\n");
$old->start;
$old->backup('for_standby');
$new->init_from_backup($old, 'for_standby', has_streaming => 1);
$new->start;
$old->append_conf('postgresql.conf', "synchronous_standby_names = 'new'\n");
$old->reload;

sub write_conf
{
    my ($node, $number) = @_;
    my ($name, $connstr) = ($node->name, $node->connstr('postgres') =~ s/'//gr);

    append_to_file("$dir/$name.conf", <<"END");
node_id = $number
node_name = '$name'
conninfo = '$connstr connect_timeout=2'
data_directory = '@{[ $node->data_dir ]}'
config_directory = '@{[ $node->data_dir ]}'
pg_bindir = '$bindir'
failover = automatic
promote_command = '$bindir/repmgr -f $dir/$name.conf standby promote'
follow_command = '$bindir/repmgr -f $dir/$name.conf standby follow --upstream-node-id=%n'
reconnect_attempts = 3
reconnect_interval = 1
monitor_interval_secs = 1
repmgrd_pid_file = '$dir/$name.pid'
END
}

sub repmgr
{
    my ($node, $command, @more) = @_;
    my @words = split ' ', $command;
    my $name = $node->name;
    my $out;

    ok(IPC::Run::run([ "$bindir/repmgr", '-f', "$dir/$name.conf", @words, @more ], '<', \undef, '>', \$out, '2>&1'), "repmgr $command") or diag $out;
}

sub start
{
    my $run = { out => '' };

    push @runs, $run->{run} = IPC::Run::start([@_], '<', \undef, '>', \$run->{out}, '2>&1', IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
    return $run;
}

write_conf($old, 1);
write_conf($new, 2);
my ($of_primary, $of_standby) = $register =~ /^repmgr (primary register).*\n^repmgr (standby register)/m or die 'the page does not register';
repmgr($old, $of_primary);
$old->wait_for_catchup('new', 'replay', $old->lsn('write'));
repmgr($new, $of_standby);
my $repmgrd = start("$bindir/repmgrd", '-f', "$dir/new.conf", '--daemonize=false');

# The payload of message n is n.
$old->safe_psql('postgres', q{
    SET client_min_messages = error;
    CREATE EXTENSION key_vault;
    SELECT key_vault.kek_import('app1-kek', '\x000102030405060708090a0b0c0d0e0f');
    CALL key_vault.create_storage('lorawan', kek_label => 'net');
    SELECT key_vault.kek_create('net') WHERE NOT EXISTS (SELECT FROM key_vault.keks WHERE label = 'net');
    CREATE TABLE device AS SELECT '\x260B1234'::bytea AS dev_addr, key_vault.import_envelope('app1-kek', decode('7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo', 'base64'), 'net') AS key;
    CREATE FUNCTION message(n bigint) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('end_device_ids', '{"device_id":"dev1","application_ids":{"application_id":"app1"},"dev_eui":"0004A30B001C0530","dev_addr":"260B1234"}'::jsonb,
        'uplink_message', jsonb_build_object('session_key_id', 'AYfC0bag8+RHWGmqu8zd7g==', 'f_cnt', n, 'f_port', 2, 'received_at', '2024-05-01T12:00:00Z',
            'frm_payload', encode(key_vault.lorawan_encrypt_uplink(key, dev_addr, n, int8send(n)), 'base64'),
            'app_s_key', '{"kek_label":"app1-kek","encrypted_key":"7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"}'::jsonb))
      FROM device
    $$;
});

# A client that knows both servers, and sends a message again until it is acknowledged.  It writes what it got, and
# what it reads of the message then.
my ($first, $second) = ($old->port, $new->port);
my $conninfo = 'dbname=postgres host=' . join(',', $old->host, $new->host) . " port=$first,$second target_session_attrs=read-write connect_timeout=5";
append_to_file("$dir/acknowledged", '');
my $writer = start('bash', '-c', q{
    n=1
    until [ -e "$2/stop" ]; do
        if answer=$(psql -XAtq -v ON_ERROR_STOP=1 -d "$1" -c "SELECT lorawan.ingest(message($n))" -c "SELECT payload = int8send($n) FROM lorawan.uplink_decrypted WHERE f_cnt = $n" 2>>"$2/errors"); then
            echo "$n" $answer >>"$2/acknowledged"
            n=$((n + 1))
        fi
    done}, 'writer', $conninfo, $dir);

sub acknowledged { return split /\n/, slurp_file("$dir/acknowledged"); }

# Returns when some more messages are acknowledged.
sub more
{
    my ($count) = @_;
    my $goal = $count + acknowledged();

    foreach (1 .. 20 * $PostgreSQL::Test::Utils::timeout_default)
    {
        return if acknowledged() >= $goal;
        select undef, undef, undef, 0.05;
    }
    die 'the writer does not get on: ' . slurp_file("$dir/errors");
}

my $right = q{SELECT count(*) > 0, bool_and(payload = int8send(f_cnt)) FROM lorawan.uplink_decrypted};
my $version = q{SELECT key_vault.kek_version(key_vault.generate_key('net'))};
more(10);
my $rotate = q{SET client_min_messages = error; SELECT key_vault.kek_rotate('net')};
is($old->safe_psql('postgres', $rotate), 2, 'rotated under load');
$old->safe_psql('postgres', q{SET client_min_messages = error; CALL key_vault.rewrap_all('net')});
$old->wait_for_catchup('new', 'replay', $old->lsn('write'));
my $warm = open_session($new);
is(look($warm, $right), 't|t', 'the standby decrypts');
more(5);

# The primary fails in the middle of it, and repmgrd promotes the standby.
$old->stop('immediate');
my $at_failure = acknowledged();
$new->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()') or die 'the standby is not promoted';
more(10);
is(look($warm, $right), 't|t', 'a session of the standby goes on when it is promoted');
is($new->safe_psql('postgres', $rotate), 3, 'rotated on the new primary under load');
is(look($warm, $version), 3, 'the session that was open sees it');
is(look_anew($new, $version), 3, 'a new one does, too');
$new->safe_psql('postgres', q{SET client_min_messages = error; CALL key_vault.rewrap_all('net')});
is(look_anew($new, q{SELECT count(key_vault.kek_destroy('net', version)) FROM key_vault.keks WHERE label = 'net' AND state = 'deactivated'}), 2, 'earlier versions are destroyed');
more(5);
append_to_file("$dir/stop", '');
ok($writer->{run}->finish, 'the writer ends');

my @acknowledged = acknowledged();
cmp_ok(scalar(@acknowledged), '>', $at_failure, @acknowledged . " messages, $at_failure of them before the failure");
is(scalar(grep { !/^\d+ (?:uplink|duplicate) t$/ } @acknowledged), 0, 'each is stored, and its payload is right at once');
my $rows = @acknowledged;
is($new->safe_psql('postgres', "SELECT count(*), bool_and(payload = int8send(f_cnt)) FROM lorawan.uplink_decrypted WHERE f_cnt <= $rows"), "$rows|t", 'none is lost, and all are right');
is($new->safe_psql('postgres', q{SELECT sum(keys) = sum(opened) FROM key_vault.check_keys()}), 't', 'every key opens');

# The old primary comes back by itself, which nobody should let it.  What it is told is not acknowledged.
$old->start;
my $lost = start('psql', '-XAtq', '-d', $old->connstr('postgres'), '-c', 'SELECT lorawan.ingest(message(1000000))');
ok($old->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND backend_type = 'client backend'}), 'a commit waits for the standby');
$old->stop('fast');
$lost->{run}->finish;
unlike($lost->{out}, qr/^uplink/m, 'it is not acknowledged');

# As a standby it has what the new primary has.
my ($command) = $rejoin =~ /^repmgr (node rejoin .*)$/m or die 'the page does not rejoin';
my $connstr = $new->connstr('postgres') =~ s/'//gr;
repmgr($old, $command =~ s/-d '[^']*' *//r, '-d', $connstr, '--config-files=postgresql.conf', "--config-archive-dir=$dir");
$old->_update_pid(1);
$new->wait_for_catchup('old', 'replay', $new->lsn('write'));
is($old->safe_psql('postgres', 'SELECT pg_is_in_recovery()'), 't', 'the old primary is a standby');
is($old->safe_psql('postgres', 'SELECT count(*), bool_and(payload = int8send(f_cnt)) FROM lorawan.uplink_decrypted'),
    $new->safe_psql('postgres', 'SELECT count(*), bool_and(payload = int8send(f_cnt)) FROM lorawan.uplink_decrypted'), 'it has the same messages');
is(look_anew($old, q{SELECT string_agg(version || ' ' || state, ', ' ORDER BY version) FROM key_vault.keks WHERE label = 'net'}), '1 destroyed, 2 destroyed, 3 active', 'and the same KEKs');

$warm->quit;
$old->stop;
$repmgrd->{run}->kill_kill;
done_testing();
