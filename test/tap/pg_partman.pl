# A storage whose partitions pg_partman manages, by the commands of docs/storage.md; and a table of wrapped keys of
# one's own that it manages, with a rotation of its KEK.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use Test::More;

my $page = PostgreSQL::Test::Utils::slurp_file("$FindBin::Bin/../../docs/storage.md");
my ($section) = $page =~ /^\*\*pg_partman(.*?)(?:^\*\*|^## |\z)/ms or die 'no such section';
my @blocks = $section =~ /^```sql\n(.*?)^```$/msg;

my $node = new_node('partman');
$node->init;
$node->configure_vault;
$node->start;
chomp(my $sharedir = `pg_config --sharedir`);
plan skip_all => 'pg_partman is not installed' if !-e "$sharedir/extension/pg_partman.control";
my $version = (map { /^default_version = '(\d+)/ ? $1 : () } split /\n/, PostgreSQL::Test::Utils::slurp_file("$sharedir/extension/pg_partman.control"))[0];
plan skip_all => "pg_partman $version has another create_parent()" if $version != 4;

$node->safe_psql('postgres', q{
    SET client_min_messages = error;
    CREATE EXTENSION key_vault;
    SELECT key_vault.kek_import('app1-kek', '\x000102030405060708090a0b0c0d0e0f');
    CREATE FUNCTION uplink(f_cnt integer) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('end_device_ids', '{"device_id":"dev1","application_ids":{"application_id":"app1"},"dev_eui":"0004A30B001C0530","dev_addr":"260B1234"}'::jsonb,
        'uplink_message', jsonb_build_object('f_cnt', f_cnt, 'f_port', 2, 'frm_payload', 'AQI=', 'received_at', '2024-05-01T12:00:00Z'))
    $$;
});
my $error;
is(scalar(@blocks), 2, 'the page has two blocks');
is($node->psql('postgres', $blocks[0], stderr => \$error), 0, 'the storage is made') or diag $error;
like($node->safe_psql('postgres', q{SELECT string_agg(inhrelid::regclass::text, ' ' ORDER BY inhrelid::regclass::text) FROM pg_inherits WHERE inhparent = 'fleet.uplink'::regclass}),
    qr/^fleet\.uplink_default(?: fleet\.uplink_p\d{4}_\d\d_\d\d){9}$/, 'pg_partman makes partitions');
is($node->safe_psql('postgres', q{SELECT count(*), count(*) FILTER (WHERE EXISTS (SELECT FROM pg_index x WHERE x.indrelid = c.oid AND x.indisunique AND x.indnullsnotdistinct))
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'fleet.uplink'::regclass AND c.relname <> 'uplink_default'}), '9|9', 'with the unique index that each needs');
is($node->safe_psql('postgres', q{SELECT fleet.ingest(uplink(1)), fleet.ingest(uplink(2)), fleet.ingest(uplink(1))}), 'uplink|uplink|duplicate', 'messages are stored, once');
is($node->safe_psql('postgres', q{SELECT string_agg(DISTINCT tableoid::regclass::text, ' ') = 'fleet.uplink_p' || to_char(now(), 'YYYY_MM_DD') FROM fleet.uplink}), 't', 'in the partition of today');
is($node->psql('postgres', q{CALL key_vault.maintain_storage('fleet')}, stderr => \$error), 0, 'maintain_storage() leaves it alone');
is($error, '', 'without a word');
isnt($node->psql('postgres', q{CALL key_vault.maintain_storage('fleet', keep => '1 year')}, stderr => \$error), 0, 'but does not pass over keep');
like($error, qr/ERROR:  partitions of storage "fleet" are managed by another tool\nHINT:  Tell that tool how long to keep partitions\./, 'and says who keeps');

# An old partition, and the retention time that the page sets
$node->safe_psql('postgres', q{
    SET client_min_messages = error;
    SELECT partman.create_partition_time('fleet.uplink', ARRAY[date_trunc('day', now()) - interval '400 days']);
    UPDATE fleet.uplink SET stored_at = date_trunc('day', now()) - interval '400 days' + interval '1 hour' WHERE f_cnt = 1});
is($node->safe_psql('postgres', q{SELECT count(DISTINCT tableoid), count(*) FROM fleet.uplink}), '2|2', 'an uplink of 400 days ago');
is($node->psql('postgres', $blocks[1], stderr => \$error), 0, 'retention by pg_partman') or diag $error;
is($node->safe_psql('postgres', q{SELECT string_agg(f_cnt::text, ' ') FROM fleet.uplink}), '2', 'drops what is older than a year');
is($node->safe_psql('postgres', q{SET client_min_messages = error; CALL key_vault.create_storage('fleet'); SELECT partitioning FROM fleet.storage_settings}), 'external', 'made again, it is as it was');

# A table of one's own: partitions of today and of 40 days ago, keys in both, and one in the default partition.
$node->safe_psql('postgres', q{
    SET client_min_messages = error;
    SELECT key_vault.kek_create('own');
    CREATE TABLE joined (at timestamptz NOT NULL, n integer, key key_vault.wrapped_key) PARTITION BY RANGE (at);
    SELECT partman.create_parent('public.joined', 'at', 'native', 'daily');
    SELECT partman.create_partition_time('public.joined', ARRAY[date_trunc('day', now()) - interval '40 days']);
    INSERT INTO joined SELECT date_trunc('day', now()) + days * interval '1 day', n, key_vault.wrap(decode(md5(n::text), 'hex'), 'own')
      FROM (VALUES (0), (-40), (-80)) d(days), generate_series(1, 100) n;
});
my $tables = q{SELECT count(DISTINCT tableoid), count(DISTINCT tableoid) FILTER (WHERE tableoid = 'joined_default'::regclass) FROM joined};
my $all_open = q{SELECT count(*), bool_and(key_vault.unwrap(key) = decode(md5(n::text), 'hex')) FROM };
is(look_anew($node, $tables), '3|1', 'keys are in two partitions of pg_partman and in the default one');
my $warm = open_session($node);
is(look($warm, "$all_open joined"), '300|t', 'every key opens');

# Rewrapping goes on while pg_partman makes partitions, moves rows out of the default one, and detaches the oldest.
$node->safe_psql('postgres', q{SELECT key_vault.kek_rotate('own')});
my $rewrapping = open_session($node);
$rewrapping->query_until(qr/begins/, "\\echo begins\nCALL key_vault.rewrap_all('own', batch_size => 50, sleep => '500 ms');\n\\echo ends\n");
$node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM key_vault.rewrap_progress WHERE kek_label = 'own'}) or die 'rewrap_all() does not begin';
is($node->psql('postgres', q{
    SET client_min_messages = error;
    CALL partman.partition_data_proc('public.joined', p_interval => '1 day');
    UPDATE partman.part_config SET retention = '60 days', retention_keep_table = true, infinite_time_partitions = true, premake = 6 WHERE parent_table = 'public.joined';
    CALL partman.run_maintenance_proc();
}, stderr => \$error), 0, 'pg_partman works while rewrap_all() runs') or diag $error;
$rewrapping->query_until(qr/ends/, '');
$rewrapping->quit;
my $detached = $node->safe_psql('postgres', q{SELECT 'joined_p' || to_char(date_trunc('day', now()) - interval '80 days', 'YYYY_MM_DD')});
is(look_anew($node, $tables), '2|0', 'nothing is in the default partition any more');
is(look_anew($node, "SELECT relispartition, relkind FROM pg_class WHERE relname = '$detached'"), 'f|r', 'and a partition of old rows is detached and kept');
is(look_anew($node, q{CALL key_vault.rewrap_all('own')}), '', 'rewrap_all() finds what was moved meanwhile');
is(look_anew($node, q{SELECT kek_version, sum(keys) FROM key_vault.kek_usage('own') WHERE keys > 0 GROUP BY 1}), '2|300', 'all keys, also those of the detached partition, are of the new version');
is(look_anew($node, q{SELECT key_vault.kek_destroy('own', 1)}), '', 'so the old one can be destroyed');
is(look($warm, "$all_open joined"), '200|t', 'every key opens in a session that was open');
is(look_anew($node, "$all_open joined"), '200|t', 'and in a new one');
is(look_anew($node, "$all_open $detached"), '100|t', 'also in the detached partition');
is(look_anew($node, q{SELECT key_vault.kek_rotate('own')}, q{DELETE FROM joined}, q{SELECT key_vault.kek_destroy('own', 2)}),
    'ERROR:  KEK label "own" version 2 still wraps 100 keys', 'whose keys stand in the way of a destruction');
$warm->quit;

done_testing();
