# Maintenance of a storage that has much to do works in bounded steps, each a transaction of its own, and says
# what each step did.  And maintenance of a storage that has no partitions, or that is published.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use Test::More;

my $node = new_node('maintain');
$node->init(allows_streaming => 'logical');
$node->configure_vault;
$node->start;
$node->safe_psql('postgres', q{
    CREATE EXTENSION key_vault;
    SELECT key_vault.kek_create('lorawan');
    -- Adds uplinks that were stored at noon (UTC) of each of the last days before today; each is their number for a day.
    CREATE FUNCTION add_uplinks(storage text, days integer, each integer DEFAULT 1) RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM set_config('search_path', storage, true);
        INSERT INTO uplink (stored_at, received_at, dev_eui, f_cnt, f_port, encrypted, dev_addr, frm_payload, application_id)
        SELECT t, t, int8send(1), n, 1, false, int4send(1), int4send(n), 'app1'
          FROM generate_series(1, each) n, generate_series(1, days) d,
               LATERAL (SELECT date_trunc('day', now(), 'UTC') - make_interval(hours => 24 * d - 12)) l (t);
    END
    $$;
});
my $storage = sub { $node->safe_psql('postgres', "SET client_min_messages = error; CALL key_vault.create_storage($_[0])") };
# Calls maintain_storage(), and returns its exit status and its notices.
sub maintain
{
    my ($arguments) = @_;
    my $status = $node->psql('postgres', "CALL key_vault.maintain_storage($arguments)", stderr => \my $said);
    return ($status, map { s/^psql:<stdin>:1: NOTICE:  //r } split /\n/, $said);
}

# Far more days than partitions that one transaction can lock
$storage->(q{'lorawan'});
$node->safe_psql('postgres', q{SELECT add_uplinks('lorawan', 700, 2)});
is($node->safe_psql('postgres', 'SELECT count(*) FROM lorawan.uplink_default'), 1400, 'the default partition has 700 days');
is($node->safe_psql('postgres', 'SHOW max_locks_per_transaction'), 64, 'locks as by default');
isnt($node->psql('postgres', q{BEGIN; CALL key_vault.maintain_storage('lorawan'); COMMIT}, stderr => \my $error), 0, 'in a transaction of the caller');
like($error, qr/ERROR:  out of shared memory/, 'that is too much');
is($node->safe_psql('postgres', 'SELECT count(*), count(DISTINCT tableoid) FROM lorawan.uplink'), '1400|1', 'and nothing of it is done');
my ($status, @said) = maintain(q{'lorawan'});
is($status, 0, 'by itself it is not');
my $moved = 0;
$moved += $_ foreach map { /^moved (\d+) rows? of uplink out of lorawan\.uplink_default into (?:1 partition|1?\d partitions), from \S+ \S+ on$/ } @said;
is($moved, 1400, 'and says what it moves');
is(scalar(@said), 44, '16 days a step');
# A query that reads all partitions at once takes more locks than a step that makes some of them.
$node->append_conf('postgresql.conf', 'max_locks_per_transaction = 2000');
$node->restart;
is($node->safe_psql('postgres', q{SELECT count(*), count(DISTINCT tableoid), (SELECT count(*) FROM lorawan.uplink_default) FROM lorawan.uplink}), '1400|700|0', 'each day has its partition');
is($node->safe_psql('postgres', q{SELECT count(*) FROM lorawan.uplink WHERE tableoid::regclass::text <> 'lorawan.uplink_' || to_char(stored_at AT TIME ZONE 'UTC', 'YYYYMMDD')}), 0, 'which is its own');
is_deeply([ maintain(q{'lorawan'}) ], [0], 'then there is nothing to do, and it says nothing');

# Maintenance says how many rows it drops.  A day of which a part is younger than "keep" stays.
my $count = $node->safe_psql('postgres', q{SELECT count(*) FROM lorawan.uplink WHERE stored_at < date_trunc('day', now() - interval '690 days', 'UTC')});
($status, @said) = maintain(q{'lorawan', keep => '690 days'});
is($status, 0, 'keep');
my ($rows, $partitions) = (0, 0);
/^dropped partition lorawan\.uplink_\d{8}: (\d+) rows? that (?:was|were) stored before \S+ 00:00:00\+00$/ and $rows += $1, $partitions++ foreach @said;
is("$rows|$partitions|" . @said, "$count|" . $count / 2 . '|' . $count / 2, 'each partition that is dropped, with its rows');
is($node->safe_psql('postgres', q{SELECT count(*), min(stored_at) = date_trunc('day', now() - interval '690 days', 'UTC') + interval '12 hours' FROM lorawan.uplink}), (1400 - $count) . '|t', 'all others stay');

# After an interruption, the next run goes on where the last one ended.
$storage->(q{'interrupted', kek_label => 'lorawan'});
$node->safe_psql('postgres', q{SELECT add_uplinks('interrupted', 40)});
$node->safe_psql('postgres', q{
    CREATE FUNCTION stop() RETURNS event_trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF (SELECT count(*) FROM pg_inherits WHERE inhparent = 'interrupted.uplink'::regclass) > 30 THEN
            RAISE EXCEPTION 'stopped';
        END IF;
    END
    $$;
    CREATE EVENT TRIGGER stop ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION stop()});
($status, @said) = maintain(q{'interrupted'});
like("@said", qr/ERROR:  stopped/, 'a run that ends with an error') or diag "@said";
is($node->safe_psql('postgres', 'SELECT count(*), count(DISTINCT tableoid) FROM interrupted.uplink'), '40|17', 'has done its steps');
$node->safe_psql('postgres', 'DROP EVENT TRIGGER stop');
maintain(q{'interrupted'});
is($node->safe_psql('postgres', 'SELECT count(*), count(DISTINCT tableoid) FROM interrupted.uplink'), '40|40', 'and the next one the rest');

# A storage without partitions
$storage->(q{'plain', kek_label => 'lorawan', partitioning => 'none'});
$node->safe_psql('postgres', q{SELECT add_uplinks('plain', 5, 6000)});
($status, @said) = maintain(q{'plain', keep => '1 day'});
is_deeply([ map { /^deleted (\d+) rows of plain\.uplink that were stored before/ ? $1 : $_ } @said ], [ 10000, 10000, 4000 ], 'rows are deleted, some at a time');
is($node->safe_psql('postgres', q{SELECT count(*), min(stored_at) >= date_trunc('day', now() - interval '1 day', 'UTC') FROM plain.uplink}), '6000|t', 'the others stay');
is($node->safe_psql('postgres', q{SELECT relkind FROM pg_class WHERE oid IN ('plain.uplink'::regclass, 'plain.downlink'::regclass)}), "r\nr", 'there are no partitions');

my $drop_past = sub {
    $node->safe_psql('postgres', q{DO $$
    DECLARE
        name regclass;
    BEGIN
        FOR name IN SELECT c.oid FROM pg_class c WHERE c.relnamespace = 'published'::regnamespace AND c.relkind = 'r' AND c.relname ~ '^uplink_2'
                       AND c.relname < 'uplink_' || to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD') LOOP
            EXECUTE 'DROP TABLE ' || name;
        END LOOP;
    END
    $$});
};
# A published storage: rows that maintenance moves do not change for a subscriber, and rows that it deletes are
# deleted there.
$storage->(q{'published', kek_label => 'lorawan'});
foreach my $root ('true', 'false')
{
    $node->safe_psql('postgres', qq{
        CREATE PUBLICATION p FOR TABLE published.uplink WITH (publish_via_partition_root = $root);
        SELECT pg_create_logical_replication_slot('s', 'pgoutput');
        SELECT add_uplinks('published', 3)});
    my $changes = q{SELECT string_agg(k || n, ' ' ORDER BY k) FROM (SELECT chr(get_byte(data, 0)) AS k, count(*) AS n
        FROM pg_logical_slot_get_binary_changes('s', NULL, NULL, 'proto_version', '1', 'publication_names', 'p') GROUP BY 1) c WHERE k IN ('I', 'U', 'D', 'T')};
    is($node->safe_psql('postgres', $changes), 'I3', "publish_via_partition_root $root: uplinks are published");
    is((maintain(q{'published'}))[0], 0, 'it is maintained');
    is($node->safe_psql('postgres', "$changes; SELECT count(*), count(DISTINCT tableoid) FROM published.uplink"), "\n3|3", 'and what moves is not published');
    $drop_past->();
    $node->safe_psql('postgres', q{SELECT add_uplinks('published', 3)});
    ($status, @said) = maintain(q{'published', keep => '1 hour'});
    is($status, 0, 'what is too old is deleted') or diag "@said";
    is($node->safe_psql('postgres', $changes), $node->safe_psql('postgres', q{SELECT CASE WHEN extract(hour FROM now() AT TIME ZONE 'UTC') = 0 THEN 'D2 I3' ELSE 'D3 I3' END}), 'which is published');
    $node->safe_psql('postgres', q{SELECT pg_drop_replication_slot('s'); DROP PUBLICATION p; TRUNCATE published.uplink});
    $drop_past->();
}

done_testing();
