# Uplinks on several servers: the partitions of a coordinator are foreign tables on the shards' decrypting
# views, so that each shard decrypts its own rows.  The shards get the KEKs by logical replication.  Each shard
# checks the privileges of the role that its user mapping names.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $publisher   = new_node('publisher');
my $coordinator = new_node('coordinator');
my @shards      = (new_node('shard0'), new_node('shard1'));

foreach my $node ($publisher, $coordinator, @shards)
{
    $node->init(allows_streaming => 'logical');
    $node->configure_vault;
    $node->start;
}
$publisher->safe_psql('postgres', q{
    CREATE EXTENSION key_vault;
    SELECT key_vault.kek_create('net');
    CREATE PUBLICATION keks FOR TABLE key_vault.kek;
});

# The coordinator needs the type of the keys that it passes on, and no KEK.
$coordinator->safe_psql('postgres', q{
    CREATE EXTENSION key_vault;
    CREATE EXTENSION postgres_fdw;
    CREATE ROLE analyst;
    CREATE TABLE uplink (dev_eui bytea NOT NULL, dev_addr bytea, f_cnt bigint, key key_vault.wrapped_key, frm_payload bytea)
        PARTITION BY HASH (dev_eui);
    CREATE TABLE uplink_decrypted (dev_eui bytea NOT NULL, f_cnt bigint, payload bytea) PARTITION BY HASH (dev_eui);
    GRANT SELECT ON uplink_decrypted TO analyst;
});
foreach my $i (0, 1)
{
    $shards[$i]->safe_psql('postgres', q{
        CREATE EXTENSION key_vault;
        CREATE TABLE uplink (dev_eui bytea NOT NULL, dev_addr bytea, f_cnt bigint, key key_vault.wrapped_key, frm_payload bytea);
        CREATE VIEW uplink_decrypted AS
            SELECT dev_eui, f_cnt, key_vault.lorawan_decrypt_uplink(key, dev_addr, f_cnt, frm_payload) AS payload FROM uplink;
        CREATE ROLE reader LOGIN;
        GRANT SELECT ON uplink_decrypted TO reader;
    });
    $shards[$i]->safe_psql('postgres', sprintf(q{CREATE SUBSCRIPTION keks_%s CONNECTION '%s dbname=postgres' PUBLICATION keks},
        $i, $publisher->connstr));
    $shards[$i]->wait_for_subscription_sync($publisher, "keks_$i");
    $coordinator->safe_psql('postgres', sprintf(q{
        CREATE SERVER shard%1$s FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '%2$s', port '%3$s', dbname 'postgres');
        CREATE USER MAPPING FOR CURRENT_USER SERVER shard%1$s;
        CREATE USER MAPPING FOR analyst SERVER shard%1$s OPTIONS (user 'reader', password_required 'false');
        CREATE FOREIGN TABLE uplink_%1$s PARTITION OF uplink FOR VALUES WITH (MODULUS 2, REMAINDER %1$s)
            SERVER shard%1$s OPTIONS (table_name 'uplink');
        CREATE FOREIGN TABLE uplink_decrypted_%1$s PARTITION OF uplink_decrypted FOR VALUES WITH (MODULUS 2, REMAINDER %1$s)
            SERVER shard%1$s OPTIONS (table_name 'uplink_decrypted');
    }, $i, $shards[$i]->host, $shards[$i]->port));
}

# The key 000102030405060708090a0b0c0d0e0f and the payload "net payload": see uplink() in VaultCluster.
my $key = $publisher->safe_psql('postgres',
    q{SELECT key_vault.wrap('\x000102030405060708090a0b0c0d0e0f', 'net')});
$coordinator->safe_psql('postgres', qq{
    INSERT INTO uplink SELECT int8send(n), '\\x26011bda', 1, '$key', '\\xbc96d0bce3c0d2abfcfa1e' FROM generate_series(1, 100) n
});
my @stored = map { $_->safe_psql('postgres', 'SELECT count(*) FROM uplink') } @shards;
is($stored[0] + $stored[1], 100, 'the rows went to the shards');
ok($stored[0] > 0 && $stored[1] > 0, 'to both of them');

my $all     = q{SELECT convert_from(payload, 'UTF8'), count(*) FROM uplink_decrypted GROUP BY 1};
my $analyst = open_session($coordinator);
look($analyst, 'SET ROLE analyst');
like(look($analyst, $all), qr/^ERROR:  permission denied for KEK label "net"/,
    'the mapped role may not, and is who is asked');

$shards[0]->safe_psql('postgres', q{SELECT key_vault.kek_grant('net', 'reader', 'decrypt')});
$coordinator->safe_psql('postgres', 'GRANT SELECT ON uplink_decrypted_0, uplink_decrypted_1 TO analyst');
is(look($analyst, 'SELECT count(payload) FROM uplink_decrypted_0'), $stored[0], 'granted on one shard, its rows decrypt');
like(look($analyst, $all), qr/^ERROR:  permission denied/, 'and those of the other do not');

$shards[1]->safe_psql('postgres', q{SELECT key_vault.kek_grant('net', 'reader', 'decrypt')});
is(look($analyst, $all), 'net payload|100', 'granted on both, every row decrypts where it lies');
like(look($analyst, q{EXPLAIN (VERBOSE, COSTS OFF) SELECT payload FROM uplink_decrypted WHERE dev_eui = '\x0000000000000001'}),
    qr/^Foreign Scan on (public\.)?uplink_decrypted_\d.*Remote SQL: SELECT payload FROM public\.uplink_decrypted WHERE/s,
    'a device is asked for on its own shard');

# Rotation on the publisher reaches the sessions that postgres_fdw keeps open on the shards.
sub publish
{
    my ($sql) = @_;
    $publisher->safe_psql('postgres', "SET client_min_messages = error; $sql");
    $publisher->wait_for_catchup("keks_$_") foreach 0, 1;
}
my $backends = q{SELECT array_agg(pid) FROM pg_stat_activity WHERE usename = 'reader'};
my @warm = map { $_->safe_psql('postgres', $backends) } @shards;

publish(q{SELECT key_vault.kek_suspend('net', 1)});
like(look($analyst, "SELECT payload FROM uplink_decrypted_0"), qr/^ERROR:  KEK label "net" version 1 is suspended/,
    'a suspension reaches a warm session of a shard');
like(look($analyst, $all), qr/^ERROR:  KEK label "net" version 1 is suspended/, 'and of all');
publish(q{SELECT key_vault.kek_resume('net', 1); SELECT key_vault.kek_rotate('net')});
is(look($analyst, $all), 'net payload|100', 'after a rotation the old keys decrypt');
is_deeply([ map { $_->safe_psql('postgres', $backends) } @shards ], \@warm, 'in the same sessions');
is($_->safe_psql('postgres', "SELECT key_vault.kek_version(key_vault.rewrap('$key'))"), 2, 'the rotated version wraps on ' . $_->name)
  foreach @shards;
is($shards[1]->safe_psql('postgres', q{
    UPDATE uplink SET key = key_vault.rewrap(key);
    SELECT DISTINCT key_vault.kek_version(key) FROM uplink;
}), 2, 'a shard rewraps its own keys');
is(look($analyst, $all), 'net payload|100', 'and they decrypt');

publish(q{SELECT key_vault.kek_destroy('net', 1, force => true)});
like(look($analyst, 'SELECT count(payload) FROM uplink_decrypted_0'), qr/^ERROR:  KEK label "net" version 1 is destroyed/,
    'what was not rewrapped is gone with its KEK');

# plproxy: one query on every shard, without a foreign table
SKIP:
{
    skip 'plproxy is not installed', 1
      if $coordinator->safe_psql('postgres', q{SELECT count(*) FROM pg_available_extensions WHERE name = 'plproxy'}) == 0;
    my ($p0, $p1) = map { sprintf 'host=%s port=%s dbname=postgres', $_->host, $_->port } @shards;
    $coordinator->safe_psql('postgres', qq{
        CREATE EXTENSION plproxy;
        CREATE SERVER shards FOREIGN DATA WRAPPER plproxy OPTIONS (p0 '$p0', p1 '$p1');
        CREATE USER MAPPING FOR PUBLIC SERVER shards OPTIONS (user 'reader');
        GRANT USAGE ON FOREIGN SERVER shards TO analyst;
        CREATE FUNCTION decrypted_count() RETURNS SETOF bigint LANGUAGE plproxy AS \$\$
            CLUSTER 'shards'; RUN ON ALL; SELECT count(payload) FROM uplink_decrypted WHERE f_cnt = 1;
        \$\$;
    });
    publish(q{SELECT 1});
    $shards[0]->safe_psql('postgres', q{TRUNCATE uplink});
    is(look($analyst, 'SELECT sum(decrypted_count)::bigint FROM decrypted_count()'), $stored[1], 'plproxy asks all shards, as the mapped role');
}

# A storage on each shard: each message goes to the shard of its device, and the views of the shards become one
# table.
SKIP:
{
    skip 'plproxy is not installed', 1
      if $coordinator->safe_psql('postgres', q{SELECT count(*) FROM pg_extension WHERE extname = 'plproxy'}) == 0;
    publish(q{SELECT key_vault.kek_import('app1-kek', '\x000102030405060708090a0b0c0d0e0f')});
    $_->safe_psql('postgres', q{
        CALL key_vault.create_storage('lorawan', kek_label => 'net');
        GRANT USAGE ON SCHEMA lorawan TO reader;
        GRANT SELECT ON lorawan.uplink, lorawan.session, lorawan.device, lorawan.uplink_decrypted TO reader;
        CREATE ROLE ingester LOGIN;
        GRANT USAGE ON SCHEMA lorawan TO ingester;
        GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA lorawan TO ingester;
        SELECT key_vault.kek_grant('app1-kek', 'ingester', 'unwrap'), key_vault.kek_grant('net', 'ingester', 'wrap'),
               key_vault.kek_grant('net', 'ingester', 'rewrap');
    }) foreach @shards;

    # The statements are those of docs/scale.md.
    my $docs = slurp_file("$FindBin::Bin/../../docs/scale.md");
    my ($sql) = $docs =~ /## The storage on shards\n.*?```sql\nCREATE USER MAPPING .*?\n(CREATE SCHEMA .*?)```/s or die 'docs/scale.md has no SQL there';
    $coordinator->safe_psql('postgres', $sql . q{
        CREATE ROLE collector;
        CREATE USER MAPPING FOR collector SERVER shards OPTIONS (user 'ingester');
        GRANT USAGE ON FOREIGN SERVER shards TO collector;
        GRANT USAGE ON SCHEMA fleet, shard0, shard1 TO collector, analyst;
        GRANT SELECT ON fleet.uplink_decrypted TO analyst;
    });
    # The example messages (demo/messages) of twenty devices: the DevEUI is no part of the encryption, so
    # the payload stays right.
    my $the_things_stack = slurp_file("$FindBin::Bin/../../demo/messages/the-things-stack.json");
    my $chirpstack       = slurp_file("$FindBin::Bin/../../demo/messages/chirpstack.json");
    my $collector        = open_session($coordinator);
    look($collector, 'SET ROLE collector');
    my @results;
    foreach my $n (10 .. 19)
    {
        (my $message = $the_things_stack) =~ s/0004A30B001C0530/0004A30B001C05$n/ or die;
        push @results, look($collector, "SELECT fleet.ingest('$message')");
        push @results, look($collector, qq{SELECT fleet.ingest('{"result": $message}')});
        ($message = $chirpstack) =~ s/0102030405060708/01020304050607$n/ or die;
        push @results, look($collector, "SELECT fleet.ingest('$message')");
    }
    is_deeply(\@results, [ ('uplink', 'duplicate', 'uplink') x 10 ], 'messages are ingested where their devices are, an exported one too');
    is(look($collector, q{SELECT fleet.ingest('{"end_device_ids": {"dev_eui": "none"}}')}), 'rejected', 'one of no device is kept as well');
    # A call commits on its shard at once.
    (my $message = $chirpstack) =~ s/"fCnt": 1042/"fCnt": 1043/ or die;
    is(look($collector, "BEGIN; SELECT fleet.ingest('$message'); ROLLBACK; SELECT fleet.ingest('$message')"),
        "uplink\nduplicate", 'a call has committed, whatever becomes of the transaction around it');
    my @on_shards = map { $_->safe_psql('postgres', 'SELECT count(*) FROM lorawan.uplink') } @shards;
    ok($on_shards[0] > 0 && $on_shards[1] > 0, 'they are on both shards') or diag("@on_shards");
    is(look($analyst, q{SELECT encode(payload, 'hex'), status, count(DISTINCT dev_eui) FROM fleet.uplink_decrypted WHERE f_cnt <> 1043 GROUP BY 1, 2}),
        '0167010e02684a|decrypted|20', 'all of them decrypt, each on its shard');
    is(look($analyst, sprintf q{SELECT count(*) FROM fleet.uplink_decrypted WHERE dev_eui = '\x0004a30b001c05%s'}, $_), 1,
        "device $_ is found on the one shard that is asked") foreach 10 .. 19;
    like(look($analyst, q{EXPLAIN (VERBOSE, COSTS OFF) SELECT payload FROM fleet.uplink_decrypted WHERE dev_eui = '\x0004a30b001c0510' AND received_at > '2024-05-01'}),
        qr/^Foreign Scan on shard\d\.uplink_decrypted.*Remote SQL: SELECT payload FROM lorawan\.uplink_decrypted WHERE .*received_at/s,
        'with all conditions of the query');
    $collector->quit;
}

$analyst->quit;
done_testing();
