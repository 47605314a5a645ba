# A storage that Citus has distributed over two workers, where KEY_VAULT_CITUS names a directory into which Citus was
# installed (make install DESTDIR=...).  First come the commands of docs/citus.md, in the page's order.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../docs/lib";
use PrivatePostgres 'KEY_VAULT_CITUS';
use VaultCluster;
use Page;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

plan skip_all => 'KEY_VAULT_CITUS names no installation of Citus' unless $ENV{KEY_VAULT_CITUS};

my %node = map { $_ => new_node($_) } qw(coordinator worker1 worker2);
my ($coordinator, @workers) = @node{qw(coordinator worker1 worker2)};
foreach my $node ($coordinator, @workers)
{
    $node->init(allows_streaming => 'logical');
    $node->configure_vault;
    $node->append_conf('postgresql.conf', qq{
        citus.local_hostname = '@{[ $node->host ]}'
        shared_preload_libraries = 'citus'
        citus.shard_count = 4
        max_connections = 60
        autovacuum = off
    });
    $node->start;
}

# The workers have applied what was committed on the coordinator.
sub wait_for_workers
{
    $coordinator->wait_for_catchup("keks_$_") foreach 1, 2;
}

# Statements on a node, with client_min_messages = error: the last result, or the error
sub ask
{
    my ($node, @statements) = @_;
    return look_anew($node, @statements);
}

# The page
{
    my ($page, @blocks) = Page::read_page("$FindBin::Bin/../../docs/citus.md");
    my $subscribed = 0;
    foreach my $block (grep { $_->{kind} eq 'sql' } @blocks)
    {
        my $sql = $block->{text};
        $sql =~ s/'(coordinator|worker\d)', 5432/"'" . $node{$1}->host . "', " . $node{$1}->port/ge;
        $sql =~ s/host=(coordinator)/'host=' . $node{$1}->host . ' port=' . $node{$1}->port/ge;
        my ($first) = split /\n/, $block->{text};
        foreach my $server (@{ $block->{servers} })
        {
            my ($out, $err) = ('', '');
            my $ok = IPC::Run::run([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-P', 'footer=off', '-d', $node{$server}->connstr('postgres') ],
                '<', \$sql, '>', \$out, '2>', \$err);
            ok($ok, "docs/citus.md:$block->{line} on $server: $first") or diag($err);
            is(Page::masked($out), Page::masked($block->{output}), 'prints what the page shows') if defined $block->{output};
        }
        $subscribed ||= $sql =~ /SUBSCRIPTION keks_2/;
        if ($subscribed)
        {
            $_->poll_query_until('postgres', q{SELECT count(*) > 0 FROM key_vault.keks}) or die 'no KEK on ' . $_->name foreach @workers;
            wait_for_workers();
        }
    }
}

# Messages of devices on both workers.  The example message is that of the page with other DevEUIs, which are no part
# of the encryption.
my $message = slurp_file("$FindBin::Bin/../../demo/messages/the-things-stack.json");
$message =~ s/\s+/ /g;

sub of_device
{
    my ($n, $f_cnt) = @_;
    my $dev_eui = sprintf '0004A30B001C%04d', $n;
    (my $changed = $message) =~ s/0004A30B001C0530/$dev_eui/ or die;
    $changed =~ s/"f_cnt": \d+/"f_cnt": $f_cnt/ or die if defined $f_cnt;
    return $changed;
}
is(ask($coordinator, join(';', map { sprintf q{SELECT lorawan.ingest('%s')}, of_device($_) } 1 .. 9)), join("\n", ('uplink') x 9), 'messages of nine devices are stored');
is(ask($workers[0], sprintf q{SELECT lorawan.ingest('%s')}, of_device(10)), 'uplink', 'a worker takes one, too');
is(ask($workers[1], sprintf q{SELECT lorawan.ingest('%s')}, of_device(10)), 'duplicate', 'which is stored once');
{
    my $lines = join '', map { of_device($_) . "\n" } 10 .. 12;
    my $error = '';
    IPC::Run::run([ 'psql', '-Xq', '-d', $coordinator->connstr('postgres'), '-c', 'COPY lorawan.inbox FROM STDIN' ],
        '<', \($lines =~ s/\\/\\\\/gr), '2>', \$error);
    like($error, qr/stored 2, duplicates 1, rejected 0/, 'COPY into the inbox of the coordinator');
}
my $all = q{SELECT encode(payload, 'hex'), status, count(DISTINCT dev_eui) FROM lorawan.uplink_decrypted GROUP BY 1, 2 ORDER BY 2};
is(ask($_, $all), '0167010e02684a|decrypted|13', 'all decrypt for a session of ' . $_->name) foreach $coordinator, @workers;
is(ask($coordinator, q{SELECT count(payload) FROM lorawan.device_latest}), 13, 'device_latest');
like(ask($coordinator, q{EXPLAIN (COSTS OFF, VERBOSE) SELECT payload FROM lorawan.uplink_decrypted WHERE dev_eui = '\x0004a30b001c0001'}),
    qr/Task Count: 1\b.*storage_read_uplink/s, 'a device is asked for on its node, which decrypts');

# A decoder runs on the workers.
ask($coordinator, q{
    CREATE FUNCTION lorawan.first_byte(payload bytea, f_port integer) RETURNS jsonb LANGUAGE sql IMMUTABLE AS 'SELECT to_jsonb(get_byte(payload, 0))';
    INSERT INTO lorawan.application (application_id, decoder) VALUES ('app1', 'lorawan.first_byte')});
is(ask($coordinator, q{SELECT decoded, status, count(*) FROM lorawan.uplink_decoded GROUP BY 1, 2}), '1|decoded|13', 'payloads are decoded');
is(ask($coordinator, q{SELECT schema, version, to_do FROM key_vault.storages()}), 'lorawan|1.1|', 'storages() reads the settings');
is(ask($coordinator, q{CALL key_vault.create_storage('lorawan'); SELECT 1}), 1, 'create_storage() can be called again');

# Keys are counted once, on the node that has them.
sub usage
{
    my ($node) = @_;
    my %keys;
    foreach (split /\n/, ask($node, q{SELECT kek_version, relation, keys FROM key_vault.kek_usage('net')}))
    {
        my ($version, $relation, $keys) = split /\|/;
        like($relation, qr/^lorawan\.(session|rejected_key)_\d+$/, "$relation of " . $node->name . ' is a shard');
        $keys{$version} += $keys;
    }
    return \%keys;
}
sub cluster_usage
{
    return ask($coordinator, q{
        SELECT u.kek_version, sum(u.keys)
          FROM run_command_on_all_nodes($$SELECT coalesce(json_agg(u), '[]') FROM key_vault.kek_usage('net') u$$) r,
               json_to_recordset(r.result::json) u (kek_version integer, keys bigint) GROUP BY 1 ORDER BY 1});
}
my @usage = map { usage($_) } @workers;
ok($_->{2} > 0, 'keys on each worker') foreach @usage;
is($usage[0]{2} + $usage[1]{2}, 13, 'each key is counted once');
is(cluster_usage(), '2|13', 'and in the cluster');
is(ask($coordinator, q{SELECT count(*) FROM key_vault.kek_usage()}), 0, 'the coordinator has none');
$coordinator->psql('postgres', 'SELECT key_vault.kek_usage()', stderr => \my $notice);
like($notice, qr/NOTICE:  keys on other servers of the Citus cluster are not looked at\nDETAIL:  The other servers are: \S+, \S+\.\n/, 'and names the other nodes');
is(ask($workers[0], q{SELECT sum(opened) FROM key_vault.check_keys()}), $usage[0]{2}, 'check_keys() opens those of a worker');

# Nothing that a node needs is destroyed.
my $rewrap = q{SELECT string_agg(result, ' ') FROM run_command_on_all_nodes($$CALL key_vault.rewrap_all('net')$$)};
foreach my $mode (qw(on off one_entry verify))
{
    my $setting = $mode eq 'one_entry' ? 'key_vault.cache_size = 0' : "key_vault.cache = '$mode'";
    $_->append_conf('postgresql.conf', "key_vault.cache = on\n$setting\n"), $_->reload foreach $coordinator, @workers;
    my $old  = ask($coordinator, q{SELECT version FROM key_vault.keks WHERE label = 'net' AND state = 'active'});
    my $warm = open_session($coordinator);
    is(look($warm, $all), '0167010e02684a|decrypted|13', "cache $mode: all decrypt");
    ask($coordinator, q{SELECT key_vault.kek_rotate('net')});
    wait_for_workers();
    like(ask($coordinator, "SELECT key_vault.kek_destroy('net', $old)"), qr/^ERROR:  KEK label "net" version $old may still wrap keys on node /,
        "cache $mode: the rotated version is not destroyed");
    is(ask($workers[0], q{CALL key_vault.rewrap_all('net')}, 'SELECT 1'), 1, "cache $mode: one worker rewraps");
    like(ask($coordinator, "SELECT key_vault.kek_destroy('net', $old)"), qr/^ERROR:  KEK label "net" version $old may still wrap keys on node /,
        "cache $mode: nor while the other worker has keys");
    is(ask($coordinator, $rewrap), 'CALL CALL CALL', "cache $mode: all nodes rewrap");
    is(cluster_usage(), $old + 1 . '|13', "cache $mode: no key has the version before");
    is(ask($coordinator, "SELECT key_vault.kek_destroy('net', $old)"), '', "cache $mode: it is destroyed, without force");
    wait_for_workers();
    is(look($warm, $all), '0167010e02684a|decrypted|13', "cache $mode: and everything decrypts, in a warm session too");
    $warm->quit;
}
$_->append_conf('postgresql.conf', "key_vault.cache = on\nkey_vault.cache_size = 8192\n"), $_->reload foreach $coordinator, @workers;

# Another server that gets the KEKs, and is no node, cannot be asked.
my $active = q{(SELECT version FROM key_vault.keks WHERE label = 'net' AND state = 'active')};
my $old    = ask($coordinator, "SELECT $active");
ask($coordinator, q{SELECT key_vault.kek_rotate('net')});
wait_for_workers();
ask($coordinator, $rewrap);
ask($coordinator, q{SELECT pg_create_logical_replication_slot('another', 'pgoutput')});
like(ask($coordinator, "SELECT key_vault.kek_destroy('net', $old)"), qr/^ERROR:  rows of this database go to other servers/, 'another slot is not a node');
ask($coordinator, q{SELECT pg_drop_replication_slot('another')});
like(ask($workers[0], "SELECT key_vault.kek_destroy('net', $old)"), qr/^ERROR:  this server is a worker of a Citus cluster/, 'a worker destroys nothing');
$workers[1]->stop;
like(ask($coordinator, "SELECT key_vault.kek_destroy('net', $old)"), qr/^ERROR:  /, 'nor does the coordinator while a worker is down');
$workers[1]->start;
is(ask($coordinator, "SELECT state FROM key_vault.keks WHERE label = 'net' AND version = $old"), 'deactivated', 'it is there');
is(ask($coordinator, "SELECT key_vault.kek_destroy('net', $old)"), '', 'and is destroyed when all nodes answer');
wait_for_workers();

# A worker whose copy of the KEKs is late gives no wrong payload.
my ($device) = split /\n/, ask($workers[1], q{SELECT get_shard_id_for_distribution_column('lorawan.session', d), encode(d, 'hex')
    FROM (SELECT decode('0004a30b001c' || to_char(n, 'FM0000'), 'hex') FROM generate_series(100, 200) n) x (d)
    WHERE EXISTS (SELECT FROM pg_dist_placement p, pg_dist_local_group l
                   WHERE p.shardid = get_shard_id_for_distribution_column('lorawan.session', d) AND p.groupid = l.groupid) LIMIT 1});
my ($hex) = $device =~ /\|0004a30b001c(\d{4})$/ or die "no device of worker2: $device";
$old = ask($coordinator, "SELECT $active");
ask($workers[1], 'ALTER SUBSCRIPTION keks_2 DISABLE');
ask($coordinator, q{SELECT key_vault.kek_rotate('net')});
is(ask($coordinator, sprintf q{SELECT lorawan.ingest('%s')}, of_device($hex)), 'uplink', 'a key under the new version is stored on the late worker');
my $one = "SELECT status, payload FROM lorawan.uplink_decrypted WHERE dev_eui = '\\x0004a30b001c$hex'";
my $warm = open_session($coordinator);
is(look($warm, $one), 'KEK unknown|', 'its payload is not shown');
like(look($warm, "SELECT key_vault.lorawan_decrypt_uplink(s.app_s_key, s.dev_addr, 1, u.frm_payload) FROM lorawan.session s JOIN lorawan.uplink u USING (dev_eui, session_key_id) WHERE dev_eui = '\\x0004a30b001c$hex'"),
    qr/^ERROR:  .*KEK/, 'a call is an error that names the KEK') and note(look($warm, "SELECT key_vault.lorawan_decrypt_uplink(s.app_s_key, s.dev_addr, 1, u.frm_payload) FROM lorawan.session s JOIN lorawan.uplink u USING (dev_eui, session_key_id) WHERE dev_eui = '\\x0004a30b001c$hex'"));
ask($coordinator, $rewrap);
like(ask($coordinator, "SELECT key_vault.kek_destroy('net', $old)"), qr/^ERROR:  KEK label "net" version $old may still wrap keys on node /,
    'a version is not destroyed that is active on a worker');
ask($workers[1], 'ALTER SUBSCRIPTION keks_2 ENABLE');
wait_for_workers();
is(look($warm, $one), 'decrypted|\x0167010e02684a', 'and is shown when the worker has the KEK');

# How long a suspension takes to a warm session of a worker, and a rotation to a worker
sub measure
{
    my ($what, $change, $session, $look, $until) = @_;
    ask($coordinator, $change);
    my $begin = time;
    my $answer;
    do { $answer = look($session, $look) } until $answer =~ $until || time - $begin > $PostgreSQL::Test::Utils::timeout_default;
    like($answer, $until, $what);
    note(sprintf '%s: %.0f ms', $what, 1000 * (time - $begin));
}
my $worker = open_session($workers[1]);
look($worker, $one);
my $now = ask($coordinator, "SELECT $active");
measure('a suspension reaches a warm session of a worker', "SELECT key_vault.kek_suspend('net', $now)", $worker, $one, qr/^KEK suspended\|$/);
measure('so does a resumption', "SELECT key_vault.kek_resume('net', $now)", $worker, $one, qr/^decrypted\|/);
measure('and a rotation', q{SELECT key_vault.kek_rotate('net')}, $worker, "SELECT key_vault.kek_version(key_vault.generate_key('net'))", qr/^@{[ $now + 1 ]}$/);
measure('a suspension reaches a warm session of the coordinator', "SELECT key_vault.kek_suspend('net', $now)", $warm, $one, qr/^KEK suspended\|$/);
ask($coordinator, "SELECT key_vault.kek_resume('net', $now)");
wait_for_workers();
ask($coordinator, $rewrap);
$_->quit foreach $worker, $warm;

# A privilege holds on the node on which it was granted.
ask($coordinator, q{SELECT run_command_on_all_nodes($$SELECT key_vault.kek_grant('net', 'analyst', 'decrypt')$$)});
my $statuses = q{SELECT string_agg(DISTINCT status, ' ' ORDER BY status) FROM lorawan.uplink_decrypted};
is(ask($coordinator, 'SET ROLE analyst', $statuses), 'decrypted', 'granted on all nodes');
ask($coordinator, q{SELECT key_vault.kek_revoke('net', 'analyst', 'decrypt')});
is($coordinator->safe_psql('postgres', $statuses, extra_params => [ '-U', 'analyst' ]), 'decrypted', 'withdrawn on the coordinator alone, the workers decrypt');
ask($coordinator, q{SELECT run_command_on_all_nodes($$SELECT key_vault.kek_revoke('net', 'analyst', 'decrypt')$$)});
is($coordinator->safe_psql('postgres', $statuses, extra_params => [ '-U', 'analyst' ]), 'not permitted', 'withdrawn on all nodes, they do not');

# What cannot be stored yet is tried again: an envelope of an unknown KEK, and a message of an unknown form.
(my $later = of_device(300)) =~ s/"app1-kek"/"late"/ or die;
is(ask($coordinator, "SELECT lorawan.ingest('$later')", q{SELECT lorawan.ingest('{"form": "unknown"}')}), "uplink\nrejected", 'an envelope and a message that wait');
is(ask($coordinator, q{SELECT kek_label, relation ~ 'session_\d+$', keys FROM run_command_on_all_nodes($$SELECT coalesce(json_agg(u), '[]') FROM key_vault.kek_usage('late') u$$) r,
    json_to_recordset(r.result::json) u (kek_label text, relation text, keys bigint)}), 'late|t|1', 'the envelope is counted');
ask($coordinator, q{SELECT key_vault.kek_import('late', '\x000102030405060708090a0b0c0d0e0f')});
wait_for_workers();
is(ask($coordinator, 'SELECT * FROM lorawan.replay_rejected()'), '1|0|1', 'replay_rejected() opens the envelope, and leaves the message');
is(ask($coordinator, q{SELECT status FROM lorawan.uplink_decrypted WHERE dev_eui = '\x0004a30b001c0300'}), 'decrypted', 'which decrypts then');
is(ask($coordinator, q{CREATE FUNCTION lorawan.read_message(message jsonb) RETURNS jsonb LANGUAGE sql AS
    'SELECT CASE WHEN message ? ''form'' THEN ''[]''::jsonb END'}, 'SELECT stored + rejected FROM lorawan.replay_rejected()'), 1, 'replay_rejected() tries the message again');

# Partitions
ask($coordinator, q{INSERT INTO lorawan.uplink (stored_at, dev_eui, received_at, f_port, frm_payload, application_id)
    SELECT now() - n * interval '1 day', int8send(n), now() - n * interval '1 day', 1, '\x01', 'app1' FROM generate_series(1, 3) n});
is(ask($coordinator, q{CALL key_vault.maintain_storage('lorawan', 9); SELECT (SELECT count(*) FROM lorawan.uplink_default), (SELECT count(*) FROM lorawan.uplink WHERE stored_at < now() - interval '12 hours')}),
    '0|3', 'maintain_storage() makes partitions, and moves rows into them');
is(ask($coordinator, q{INSERT INTO lorawan.uplink_default (stored_at, dev_eui, received_at, f_port, frm_payload, application_id) VALUES (now() - interval '9 days', int8send(9), now(), 1, '\x01', 'app1')},
    q{CALL key_vault.maintain_storage('lorawan', 9, keep => '2 days'); SELECT count(*) FROM lorawan.uplink WHERE stored_at < now() - interval '12 hours'}), '2', 'and drops old ones');

# Moved to the other worker, a shard decrypts and is counted there.
my ($shard) = split /\n/, ask($workers[0], q{SELECT shardid FROM pg_dist_shard JOIN pg_dist_placement USING (shardid), pg_dist_local_group l
    WHERE logicalrelid = 'lorawan.session'::regclass AND pg_dist_placement.groupid = l.groupid LIMIT 1});
my $before = ask($coordinator, $all);
my $counted = cluster_usage();
is(ask($coordinator, sprintf q{SELECT citus_move_shard_placement(%s, '%s', %s, '%s', %s, 'block_writes')}, $shard, map { ($_->host, $_->port) } @workers), '', 'a shard moves');
is(ask($coordinator, $all), $before, 'and its rows decrypt');
ask($coordinator, 'CALL citus_cleanup_orphaned_resources()');
is(cluster_usage(), $counted, 'and are counted once');

done_testing();
