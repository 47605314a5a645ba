# A storage in hypertables of TimescaleDB, and hypertables of a user's own with wrapped keys, with compressed chunks
# and without, in each mode of the cache.  The commands are those of docs/timescaledb.md, in the page's order.
#
# KEY_VAULT_TIMESCALEDB names a directory into which TimescaleDB was installed (make install DESTDIR=...), for this
# PostgreSQL.  Its files are laid into a private copy of PostgreSQL.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use PostgreSQL::Test::Utils qw(slurp_file system_or_bail);
use Test::More;
use File::Find ();
use IPC::Run;

my $timescaledb = $ENV{KEY_VAULT_TIMESCALEDB} // '';
plan skip_all => 'KEY_VAULT_TIMESCALEDB names no installation of TimescaleDB' if $timescaledb eq '';
my @found;
File::Find::find({ no_chdir => 1, wanted => sub { push @found, $_ if -f && m{/timescaledb[^/]*\.(?:so|control|sql)\z} } }, $timescaledb);
die "no TimescaleDB in $timescaledb\n" if !grep { /\.control\z/ } @found;

# The copy is made without key_vault, so that is laid into it, too.
my $pg_config = $ENV{PG_CONFIG} || 'pg_config';
my ($pkglibdir, $sharedir, $bindir) = map { my $path = `$pg_config --$_`; chomp $path; $path } qw(pkglibdir sharedir bindir);
my $copy = "$ENV{TESTDIR}/postgresql";
system_or_bail('bash', '-ec', '. "$1"; private_postgres "$2" "$3"', 'bash', "$FindBin::Bin/../lib/private_postgres.sh", $copy, $pg_config);
system_or_bail('cp', '-L', "$pkglibdir/key_vault.so", grep({ /\.so\z/ } @found), "$copy$pkglibdir");
system_or_bail('cp', '-L', glob("$sharedir/extension/key_vault*"), grep({ !/\.so\z/ } @found), "$copy$sharedir/extension");
$ENV{PATH} = "$copy$bindir:$ENV{PATH}";

my $page = slurp_file("$FindBin::Bin/../../docs/timescaledb.md");
my %section = map { /^(.*)\n/ => [/^```sql\n(.*?)^```$/msg] } split /^## /m, $page;
is(join(' ', map { scalar @{ $section{$_} } } 'A storage in hypertables', 'Compression', 'Old rows', 'An average for each hour', 'Who sees the averages', 'Your own hypertables', 'Moving a storage'),
    '1 1 1 1 2 1 2', 'the blocks of the page');
my ($preload) = $page =~ /^(shared_preload_libraries = .*)$/m;

# Of device n.  The payload is a temperature of 27 degrees; every other message is of ChirpStack, whose payload is
# another one.
my $functions = q~
    CREATE FUNCTION message(n bigint, f_cnt text DEFAULT '65538') RETURNS text LANGUAGE sql AS $$
    SELECT CASE WHEN n % 2 = 0
        THEN format('{"end_device_ids": {"device_id": "dev%s", "application_ids": {"application_id": "app1"}, "dev_eui": "%s", "dev_addr": "260B1234"}, "uplink_message": {"session_key_id": "AYfC0bag8+RHWGmqu8zd7g==", "f_port": 2, %s"frm_payload": "LhFe2aRcmQ==", "received_at": "2024-05-01T12:00:00Z", "app_s_key": {"kek_label": "app1-kek", "encrypted_key": "7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"}}}',
                    n, lpad(to_hex(n), 16, '0'), '"f_cnt": ' || f_cnt || ', ')
        ELSE format('{"deduplicationId": "3ac7e3c4-4401-4b8d-9386-a5c902f9202d", "time": "2024-05-01T12:00:00Z", "deviceInfo": {"applicationId": "app1", "deviceName": "dev%s", "devEui": "%s"}, "devAddr": "01fa8b2c", "fCnt": 1042, "fPort": 2, "data": "BqiSEvuAbQ==", "joinServerContext": {"sessionKeyId": "0102", "appSKey": {"kekLabel": "app1-kek", "aesKey": "7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"}}}',
                    n, lpad(to_hex(n), 16, '0')) END $$;
    -- Rows as those of device 2, stored some days ago; each is their number.
    CREATE FUNCTION add_old(storage text, days integer, each integer) RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM set_config('search_path', storage, true);
        INSERT INTO uplink (stored_at, received_at, dev_eui, session_key_id, f_cnt, f_port, encrypted, dev_addr, frm_payload, application_id)
        SELECT date_trunc('day', now(), 'UTC') - make_interval(hours => 24 * days - 12), u.received_at - make_interval(days => days, secs => n), u.dev_eui, u.session_key_id, u.f_cnt, 2, true, u.dev_addr, u.frm_payload, 'app1'
          FROM generate_series(1, each) n, uplink u WHERE u.dev_eui = '\x0000000000000002' AND u.stored_at > date_trunc('day', now(), 'UTC');
    END
    $$;
~;

my ($node, $said);

# What a query returns
sub ask
{
    my ($sql) = @_;
    return $node->safe_psql('postgres', "SET client_min_messages = error; $sql");
}

# Runs a block; what it says is in $said.
sub run
{
    my ($sql, $test) = @_;
    is($node->psql('postgres', $sql, stderr => \$said, on_error_stop => 1), 0, $test) or diag $said;
}

# The error of a statement
sub fails
{
    my ($sql, $pattern, $test) = @_;
    isnt($node->psql('postgres', $sql, stderr => \$said), 0, $test);
    like($said, $pattern, "$test: the error");
}

# Messages of devices m to n by each way of ingestion; how many were stored, and were duplicates
sub ingest_set { ask("SELECT stored, duplicates, rejected FROM $_[0].ingest(ARRAY(SELECT message(n) FROM generate_series($_[1], $_[2]) n))") }

sub copy_in
{
    my ($storage, $from, $to) = @_;
    my $lines = ask("SELECT string_agg(message(n), E'\\n') FROM generate_series($from, $to) n");
    $node->psql('postgres', "COPY $storage.inbox FROM stdin (FORMAT csv, DELIMITER E'\\x01', QUOTE E'\\x02');\n$lines\n\\.\n", stderr => \$said);
    return $said =~ /stored (\d+), duplicates (\d+), rejected (\d+)/ ? "$1|$2|$3" : $said;
}

# Two sessions that bring the same new message at the same moment: the second waits, and then finds a duplicate.  The
# device and its session are known, so what they wait for is the unique index of the chunk.  The message of device n
# stays, that of both sessions does not.
sub at_once
{
    my ($storage, $n, $test) = @_;
    my $ingest = "SELECT $storage.ingest(message(4, '$n'))";
    my $rows = "FROM $storage.uplink WHERE dev_eui = '\\x0000000000000004' AND f_cnt = $n";
    is(ask("SELECT $storage.ingest(message($n))"), 'uplink', "$test: another message");
    my $first = $node->background_psql('postgres');
    is($first->query("BEGIN; $ingest"), 'uplink', "$test: the first delivery");
    my $out = '';
    my $second = IPC::Run::start([ 'psql', '-XqAt', '-d', $node->connstr('postgres') . ' application_name=second', '-c', $ingest ], '>', \$out, '2>&1');
    # Without the index it would not wait, and its row would be there.
    $node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'second' AND wait_event_type = 'Lock') OR EXISTS (SELECT $rows)")
      or die "no wait: $out";
    $first->query('COMMIT');
    $second->finish;
    $first->quit;
    is($out, "duplicate\n", "$test: the second");
    is(ask("SELECT count(*) $rows"), 1, "$test: one row");
    ask("DELETE $rows");
}

my $unique = q{EXISTS (SELECT FROM pg_index x WHERE x.indrelid = i.inhrelid AND x.indisunique AND x.indnullsnotdistinct AND x.indnkeyatts = 4)};
sub chunks { ask("SELECT count(*), count(*) FILTER (WHERE $unique) FROM pg_inherits i WHERE i.inhparent = '$_[0].uplink'::regclass") }
sub decrypted { ask("SELECT string_agg(DISTINCT concat(status, payload), ' '), count(*) FROM $_[0].uplink_decrypted WHERE dev_addr = '\\x260B1234'") }

sub storage_in_hypertables
{
    fails(q{CALL key_vault.create_storage('fleet', partitioning => 'timescaledb')},
        qr/ERROR:  this database does not have the extension timescaledb\n.*HINT:  Name timescaledb in shared_preload_libraries, restart the server, and run CREATE EXTENSION timescaledb\./s, 'without TimescaleDB');
    is(ask(q{SELECT to_regnamespace('fleet') IS NULL}), 't', 'nothing is made');
    run($section{'A storage in hypertables'}[0], 'a storage');
    # What TimescaleDB does at times of its own would come between the tests.
    ask('SELECT _timescaledb_functions.stop_background_workers()');
    is(ask(q{SELECT string_agg(hypertable_name, ' ' ORDER BY hypertable_name) FROM timescaledb_information.hypertables WHERE hypertable_schema = 'fleet'}), 'downlink uplink', 'has two hypertables');
    is(chunks('fleet'), '8|8', 'and chunks for today and seven days, each with its unique index');
    is(ask(q{SELECT count(*) FROM timescaledb_information.chunks WHERE hypertable_schema = 'fleet' AND chunk_schema = 'fleet' AND extract(hour FROM range_start AT TIME ZONE 'UTC') = 0 AND range_end - range_start = '1 day'}), 16, 'of a day (UTC) each');

    is(ask('SELECT fleet.ingest(message(1)), fleet.ingest(message(2)), fleet.ingest(message(1)), fleet.ingest(message(2))'), 'uplink|uplink|duplicate|duplicate', 'messages are stored, once');
    is(ingest_set('fleet', 1, 100), '98|2|0', 'by sets');
    is(copy_in('fleet', 1, 150), '50|100|0', 'and by COPY');
    at_once('fleet', 151, 'at once');
    is(ask(q{SELECT string_agg(DISTINCT tableoid::regclass::text, ' ') = 'fleet.uplink_' || to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD') FROM fleet.uplink}), 't', 'all in the chunk of today');
    is(decrypted('fleet'), 'decrypted\x0167010e02684a|75', 'and the view decrypts them');
}

sub compressed_storage
{
    run($section{'Compression'}[0], 'compression');
    is(ask(q{SELECT fleet.ingest(message(170, NULL))}), 'uplink', 'an uplink without its counter');
    ask(q{SELECT compress_chunk(c) FROM show_chunks('fleet.uplink') c});
    is(ask(q{SELECT count(*) FROM ONLY fleet.uplink; SELECT pg_relation_size('fleet.uplink_' || to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD'))}), "0\n0", 'all rows are compressed');
    is(decrypted('fleet'), 'counter missing decrypted\x0167010e02684a|76', 'and the view decrypts them');
    is(ask('SELECT fleet.ingest(message(1)), fleet.ingest(message(2))'), 'duplicate|duplicate', 'duplicates of compressed uplinks are known');
    is(ingest_set('fleet', 1, 151), '0|151|0', 'by sets');
    is(copy_in('fleet', 1, 151), '0|151|0', 'and by COPY');
    is(ask(q{SELECT fleet.ingest(message(170)); SELECT count(*), max(f_cnt) FROM fleet.uplink WHERE dev_eui = '\x00000000000000AA'}), "duplicate\n1|65538", 'another delivery brings the counter to a compressed uplink');
    fails(q{INSERT INTO fleet.uplink SELECT * FROM fleet.uplink WHERE dev_eui = '\x0000000000000007'}, qr/ERROR:  duplicate key value violates unique constraint/, 'the unique index sees compressed rows');
    is(ask(q{INSERT INTO fleet.uplink SELECT * FROM fleet.uplink WHERE dev_eui = '\x0000000000000007' ON CONFLICT DO NOTHING; SELECT count(*) FROM fleet.uplink WHERE dev_eui = '\x0000000000000007'}), 1, 'as ON CONFLICT does');
    at_once('fleet', 152, 'at once, beside compressed rows');
    is(ask(q{SELECT fleet.ingest(message(1000, '1')), fleet.ingest(message(1000, '1'))}), 'uplink|duplicate', 'new ones are stored');
    ask(q{SELECT compress_chunk(c, recompress => true) FROM show_chunks('fleet.uplink') c});
    is(ask(q{SELECT fleet.ingest(message(152)), fleet.ingest(message(1000, '1'))}), 'duplicate|duplicate', 'and found when they are compressed');
    ask(q{DELETE FROM fleet.uplink WHERE dev_eui = '\x00000000000003E8'});
    is(ask(q{SELECT payload, status FROM fleet.device_latest WHERE dev_eui = '\x0000000000000002'}), '\x0167010e02684a|decrypted', 'the latest of a device');
}

sub keys_of_storage
{
    ask(q{SELECT key_vault.kek_rotate('fleet')});
    is(ask(q{SELECT sum(keys) = (SELECT count(*) FROM fleet.session) FROM key_vault.kek_usage('fleet')}), 't', 'usage counts the keys of sessions');
    fails(q{SELECT key_vault.kek_destroy('fleet', 1)}, qr/still wraps/, 'a KEK that is needed');
    ask(q{CALL key_vault.rewrap_all('fleet')});
    ask(q{SELECT key_vault.kek_destroy('fleet', 1)});
    is(decrypted('fleet'), 'decrypted\x0167010e02684a|77', 'after rewrapping and destruction all are readable');
    is(ask(q{SELECT stored + duplicates, rejected FROM fleet.ingest(ARRAY(SELECT message(n) FROM generate_series(1, 153) n))}), '153|0', 'and messages come in');
}

sub maintenance
{
    is(ask(q{CALL key_vault.create_storage('fleet'); CALL key_vault.create_storage('fleet', partitioning => 'timescaledb'); CALL key_vault.update_storage('fleet'); SELECT partitioning FROM fleet.storage_settings}), 'timescaledb', 'made again, it is as it was');
    fails(q{CALL key_vault.create_storage('fleet', partitioning => 'native')}, qr/storage "fleet" has partitioning "timescaledb"/, 'and becomes no other');
    is(ask('SELECT to_do IS NULL FROM key_vault.storages()'), 't', 'nothing is to do');
    run(q{CALL key_vault.maintain_storage('fleet')}, 'maintenance');
    is($said, '', 'has nothing to do');
    run(q{CALL key_vault.maintain_storage('fleet', ahead => 40)}, 'further ahead');
    like($said, qr/NOTICE:  made 16 chunks of fleet\.uplink, from \S+ 00:00:00\+00 on\n.*NOTICE:  made 16 chunks.*\n.*NOTICE:  made 1 chunk of fleet\.uplink,/, 'makes chunks, 16 in a step');
    is(chunks('fleet'), '41|41', 'each with its index');

    # Chunks of 3 to 6 days ago, two of which are compressed; "keep" goes by whole chunks.
    ask("SELECT add_old('fleet', days, days) FROM generate_series(3, 6) days");
    is(chunks('fleet'), '45|41', 'chunks of the past need no unique index');
    ask(q{SELECT compress_chunk(c) FROM show_chunks('fleet.uplink', older_than => now() - interval '4 days') c});
    my $before = ask('SELECT count(*) FROM fleet.uplink');
    run(q{CALL key_vault.maintain_storage('fleet', keep => '4 days')}, 'keep');
    is(join(' ', $said =~ /NOTICE:  dropped chunk fleet\.\w+: (\d+) rows? that (?:was|were) stored before \S+ 00:00:00\+00$/mg), '6 5', 'drops the chunks that are old, and says how many rows they had');
    is(ask('SELECT count(*) FROM fleet.uplink'), $before - 11, 'and no others');

    # A chunk that TimescaleDB has made, with a message that came twice
    ask(q{INSERT INTO fleet.uplink (stored_at, received_at, dev_eui, session_key_id, f_cnt, f_port, encrypted, dev_addr, frm_payload, application_id)
        SELECT now() + interval '50 days', now(), int8send(1), int8send(1), 1, 1, true, int4send(1), int4send(1), 'app1' FROM generate_series(1, 2)});
    is(chunks('fleet'), '44|41', 'a chunk that TimescaleDB made lacks the index');
    run(q{CALL key_vault.maintain_storage('fleet')}, 'maintenance');
    like($said, qr/WARNING:  chunk fleet\.\w+ has a message twice\n.*DETAIL:  Key \(.*\) is duplicated\.\n.*HINT:  Delete one of the two rows\./, 'warns if a message is in it twice');
    ask(q{DELETE FROM fleet.uplink WHERE stored_at > now() + interval '49 days'});
    run(q{CALL key_vault.maintain_storage('fleet')}, 'maintenance');
    is(chunks('fleet'), '44|42', 'and gives it the index when it can');

    ask(q{SELECT add_old('fleet', 400, 3)});
    run($section{'Old rows'}[0], 'a job of TimescaleDB');
    run(q{SELECT format('CALL run_job(%s)', job_id) FROM timescaledb_information.jobs WHERE proc_name = 'maintain' \gexec}, 'runs');
    like($said, qr/NOTICE:  dropped chunk fleet\.\w+: 3 rows that were stored before/, 'and drops what is older than a year');
    is(ask('SELECT uplinks_inserted > 150 FROM key_vault.storage_activity()'), 't', 'activity counts the chunks');
}

sub averages
{
    run($section{'An average for each hour'}[0], 'a continuous aggregate');
    like($said, qr/WARNING:  using non-immutable functions/, 'TimescaleDB warns');
    # Uplinks of three days ago are computed, those of this hour are not.
    ask(q{CALL refresh_continuous_aggregate('fleet.hourly', NULL, now() - interval '1 day')});
    is(ask('SELECT sum(uplinks), min(temperature)::integer, max(temperature)::integer FROM fleet.hourly'), '7|27|27', 'it is decrypted and decoded');
    is(ask(q{SELECT count(*) FROM fleet.uplink WHERE dev_eui = '\x0000000000000002' AND frm_payload <> '\x2e115ed9a45c99'}), 0, 'the table stays encrypted');

    run($section{'Who sees the averages'}[0], 'a view that asks for the privilege');
    is(ask('SET ROLE viewer; SELECT count(*) > 0 FROM fleet.hourly_temperature'), 't', 'shows averages to one who may decrypt');
    fails('SET ROLE viewer; SELECT * FROM fleet.hourly', qr/permission denied for/, 'who does not read the aggregate itself');
    fails('SET ROLE viewer; SELECT * FROM fleet.uplink', qr/permission denied for/, 'nor the uplinks');
    ask(q{SELECT key_vault.kek_revoke('fleet', 'viewer', 'decrypt')});
    is(ask('SET ROLE viewer; SELECT count(*) FROM fleet.hourly_temperature'), 0, 'and none to one who may not');
    ask('CREATE ROLE reader; GRANT USAGE ON SCHEMA fleet TO reader');
    fails('SET ROLE reader; SELECT * FROM fleet.hourly', qr/permission denied for/, 'at first only the owner reads the aggregate');
    ask('GRANT SELECT ON fleet.hourly TO reader');
    is(ask('SET ROLE reader; SELECT sum(uplinks), max(temperature)::integer FROM fleet.hourly'), '7|27', 'with SELECT, its materialised part needs no decrypt');

    run($section{'Who sees the averages'}[1], 'a real-time aggregate');
    fails('SET ROLE reader; SELECT sum(uplinks), max(temperature)::integer FROM fleet.hourly', qr/ERROR:  permission denied for KEK label "fleet"/, 'asks its reader for decrypt');
    ask(q{SELECT key_vault.kek_grant('fleet', 'reader', 'decrypt')});
    is(ask(q{SET ROLE reader; SELECT max(temperature)::integer FROM fleet.hourly WHERE hour > now() - interval '2 hours'}), 27, 'and then has the present');
    is(ask('SET ROLE reader; SELECT sum(uplinks) FROM fleet.hourly'), ask(q{SELECT count(*) FROM fleet.uplink WHERE encrypted AND session_key_id IS NOT NULL}), 'and all uplinks');

    # A refresh while the KEK is suspended, and one by force afterwards
    my $yesterday = q{CALL refresh_continuous_aggregate('fleet.hourly', NULL, now() - interval '1 day', force => true)};
    ask(q{SELECT key_vault.kek_suspend('fleet', 2)});
    ask($yesterday);
    is(ask(q{SELECT sum(uplinks), max(temperature)::integer FROM fleet.hourly WHERE hour < now() - interval '1 day'}), '7|', 'refreshed while the KEK is suspended, there are no averages');
    ask(q{SELECT key_vault.kek_resume('fleet', 2); SELECT key_vault.kek_rotate('fleet')});
    ask($yesterday);
    is(ask(q{SELECT sum(uplinks), max(temperature)::integer FROM fleet.hourly WHERE hour < now() - interval '1 day'}), '7|27', 'refreshed by force afterwards, there are');
}

# A storage whose owner is no superuser
sub owner
{
    ask(q{CREATE ROLE keeper LOGIN; GRANT CREATE ON DATABASE postgres TO keeper;
        SELECT key_vault.kek_grant('fleet', 'keeper', p) FROM unnest('{wrap,rewrap}'::text[]) p; SELECT key_vault.kek_grant('app1-kek', 'keeper', 'unwrap')});
    run(q{SET ROLE keeper; CALL key_vault.create_storage('kept', kek_label => 'fleet', partitioning => 'timescaledb')}, 'an owner who is no superuser');
    is(ask('SET ROLE keeper; SELECT stored, duplicates FROM kept.ingest(ARRAY(SELECT message(n) FROM generate_series(1, 10) n))'), '10|0', 'stores');
    ask(q{SET ROLE keeper; SELECT add_old('kept', 5, 2)});
    run(q{CALL key_vault.maintain_storage('kept', ahead => 9, keep => '2 days')}, 'and maintains');
    like($said, qr/dropped chunk kept\.\w+: 2 rows.*made 2 chunks of kept\.uplink/s, 'by dropping and making chunks');
    is(chunks('kept'), '10|10', 'with their index');
    is(ask(q{SELECT string_agg(DISTINCT pg_get_userbyid(c.relowner), ' ') FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'kept.uplink'::regclass}), 'keeper', 'which belong to the owner');
    ask('SET ROLE keeper; ' . $section{'An average for each hour'}[0] =~ s/fleet\b/kept/gr);
    my $refresh = q{SET ROLE keeper; CALL refresh_continuous_aggregate('kept.hourly', NULL, now() + interval '2 hours')};
    fails($refresh, qr/ERROR:  permission denied for KEK label "fleet"/, 'the owner of an aggregate needs decrypt');
    is(ask('SELECT count(*) FROM kept.hourly'), 0, 'without, nothing is written');
    ask(q{SELECT key_vault.kek_grant('fleet', 'keeper', 'decrypt')});
    run($refresh, 'with it, the next refresh');
    is(ask('SELECT sum(uplinks) FROM kept.hourly'), 10, 'does the work');
    # Row-level security
    fails(q{ALTER TABLE fleet.uplink ENABLE ROW LEVEL SECURITY}, qr/not supported on hypertables that have columnstore/, 'no policies with compression');
    ask(q{CREATE POLICY none ON kept.uplink FOR SELECT TO reader USING (false); ALTER TABLE kept.uplink ENABLE ROW LEVEL SECURITY;
        GRANT USAGE ON SCHEMA kept TO reader; GRANT SELECT ON kept.uplink TO reader});
    is(ask(q{SELECT format('SET ROLE reader; SELECT count(*) FROM kept.uplink; SELECT count(*) > 0 FROM kept.uplink_%s', to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD')) \gexec}), "0\nt", 'policies do not guard chunks');
}

# Hypertables of a user's own beside a table of sessions, all with keys: one with compressed chunks, one whose
# chunks are compressed by the key, one without.
sub own_hypertables
{
    ask(q{
        SELECT key_vault.kek_create('own');
        CREATE TABLE sessions AS SELECT n AS dev, key_vault.generate_key('own') AS key FROM generate_series(1, 5) n;
        CREATE TABLE packed (at timestamptz NOT NULL, dev integer, key key_vault.wrapped_key);
        SELECT create_hypertable('packed', 'at', chunk_time_interval => interval '1 day');
        INSERT INTO packed SELECT '2026-05-01 00:00Z'::timestamptz + make_interval(hours => n), 1 + n % 5, key_vault.generate_key('own') FROM generate_series(0, 95) n;
        CREATE TABLE segmented (LIKE packed);
        SELECT create_hypertable('segmented', 'at', chunk_time_interval => interval '1 day');
        INSERT INTO segmented SELECT '2026-05-01 00:00Z'::timestamptz + make_interval(hours => n), s.dev, s.key FROM generate_series(0, 95) n JOIN sessions s ON s.dev = 1 + n % 5;
        CREATE TABLE loose (LIKE packed);
        SELECT create_hypertable('loose', 'at', chunk_time_interval => interval '1 day');
        INSERT INTO loose SELECT at, dev, key_vault.generate_key('own') FROM packed;
        ALTER TABLE packed SET (timescaledb.compress, timescaledb.compress_segmentby = 'dev');
        ALTER TABLE segmented SET (timescaledb.compress, timescaledb.compress_segmentby = 'dev, key');
        SELECT compress_chunk(c) FROM show_chunks('packed', older_than => '2026-05-03'::timestamptz) c;
        SELECT compress_chunk(c) FROM show_chunks('segmented', older_than => '2026-05-03'::timestamptz) c;
    });
    my $digest = q{SELECT string_agg(t || count || sum, ' ' ORDER BY t) FROM (SELECT t, count(*), sum(hashtext(concat(at, dev, key_vault.unwrap(key))))
        FROM (SELECT 'packed' AS t, * FROM packed UNION ALL SELECT 'segmented', * FROM segmented UNION ALL SELECT 'loose', * FROM loose UNION ALL SELECT 'sessions', '2026-05-01', dev, key FROM sessions) r GROUP BY t) d};
    my $plain = ask($digest);
    my $versions = q{SELECT string_agg(t || v || ':' || n, ' ' ORDER BY t, v) FROM (SELECT t, k.version AS v, count(*) AS n
        FROM (SELECT 'packed' AS t, key FROM packed UNION ALL SELECT 'segmented', key FROM segmented UNION ALL SELECT 'loose', key FROM loose UNION ALL SELECT 'sessions', key FROM sessions) r
        JOIN key_vault.keks k ON k.kek_id = key_vault.kek_id(r.key) GROUP BY t, v) d};
    my $usage = q{SELECT string_agg(t || v || ':' || keys, ' ' ORDER BY t, v) FROM (SELECT coalesce(h.inhparent::regclass, u.relation)::text AS t, u.kek_version AS v, sum(u.keys) AS keys
        FROM key_vault.kek_usage('own') u LEFT JOIN pg_inherits h ON h.inhrelid = u.relation WHERE u.relation::text !~ 'compress' GROUP BY 1, 2) x};

    is(ask($versions), 'loose1:96 packed1:96 segmented1:96 sessions1:5', 'keys in all of them');
    is(ask($usage), ask($versions), 'usage counts each of them');
    ask(q{SELECT key_vault.kek_rotate('own')});
    fails(q{SELECT key_vault.kek_destroy('own', 1)}, qr/still wraps (\d+) keys/, 'a KEK that is needed');
    run(q{CALL key_vault.rewrap_all('own')}, 'rewrap_all');
    like($said, qr/WARNING:  24 rows of table _timescaledb_internal\._hyper_\w+ hold keys that rewrap_all does not reach/, 'warns of compressed chunks');
    like($said, qr/WARNING:  \d tables still have keys/, 'and that not all is done');
    is(ask($versions), 'loose2:96 packed1:48 packed2:48 segmented2:96 sessions2:5', 'all others are rewrapped');
    is(ask($usage), ask($versions), 'as usage says');
    is(ask($digest), $plain, 'and no key is another one');
    fails(q{SELECT key_vault.kek_destroy('own', 1)}, qr/still wraps 48 keys/, 'the KEK stays while compressed rows need it');
    is(ask($digest), $plain, 'and all keys are readable');

    # The commands of the page: its label is fleet, its hypertable reading, and one chunk at a time is rewrapped.
    my $block = $section{'Your own hypertables'}[0] =~ s/'fleet'/'own'/gr =~ s/\breading\b/packed/gr;
    run($block, 'the commands of the page');
    is(ask($versions), 'loose3:96 packed1:24 packed3:72 segmented3:96 sessions3:5', 'one chunk is rewrapped');
    is(ask(q{SELECT count(*) FROM timescaledb_information.chunks WHERE hypertable_name = 'packed' AND is_compressed}), 2, 'and compressed again');
    ask(q{UPDATE packed SET key = key_vault.rewrap(key) WHERE at >= '2026-05-02' AND at < '2026-05-03'});
    ask(q{SELECT compress_chunk(c, recompress => true) FROM show_chunks('packed') c});
    run(q{CALL key_vault.rewrap_all('own')}, 'rewrap_all at last');
    unlike($said, qr/WARNING/, 'has nothing to warn of');
    is(ask($usage), ask($versions), 'usage says so, too');
    ask(q{SELECT key_vault.kek_destroy('own', v) FROM generate_series(1, 2) v});
    is(ask($digest), $plain, 'after the destruction of the old versions each key is what it was');
    is(ask(q{SELECT string_agg(DISTINCT state, ' ') FROM key_vault.keks WHERE label = 'own' AND version < 3}), 'destroyed', 'and they are destroyed');

    # A key that another session has written into a chunk, and not committed yet, keeps its KEK.
    ask(q{SELECT key_vault.kek_rotate('own')});
    my $writer = $node->background_psql('postgres');
    $writer->query(q{BEGIN; INSERT INTO packed SELECT '2026-05-09 00:00Z', 1, key FROM sessions LIMIT 1});
    my $out = '';
    my $destroyer = IPC::Run::start([ 'psql', '-XqAt', '-d', $node->connstr('postgres') . ' application_name=destroyer', '-c', q{SELECT key_vault.kek_destroy('own', 3)} ], '>', \$out, '2>&1');
    $node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'destroyer' AND wait_event_type IN ('Lock', 'Extension')}) or die "no wait: $out";
    $writer->query('COMMIT');
    $writer->quit;
    $destroyer->finish;
    like($out, qr/still wraps \d+ keys/, 'a chunk that is made while kek_destroy waits is counted');
}

my $contents = sub { ask("SELECT count(*), md5(string_agg(u::text, '' ORDER BY u::text)) FROM $_[0].uplink u") };

sub moves
{
    ask(q{CALL key_vault.create_storage('lorawan', kek_label => 'fleet'); CALL key_vault.create_storage('plain', kek_label => 'fleet', partitioning => 'none')});
    foreach my $storage ('lorawan', 'plain')
    {
        is(ingest_set($storage, 1, 50), '50|0|0', "$storage: uplinks");
        ask("SELECT add_old('$storage', days, 2) FROM generate_series(1, 40) days");
        ask("CALL key_vault.maintain_storage('$storage')");
        ask("GRANT SELECT ON $storage.uplink TO reader; CREATE VIEW public.of_$storage AS SELECT f_cnt FROM $storage.uplink") if $storage eq 'plain';
    }
    my %before = map { $_ => $contents->($_) } 'lorawan', 'plain';
    run($section{'Moving a storage'}[0], 'from partitions');
    run($section{'Moving a storage'}[1], 'from one table');
    foreach my $storage ('lorawan', 'plain')
    {
        is($contents->($storage), $before{$storage}, "$storage: all rows are kept");
        is(ask("SELECT count(*) FROM timescaledb_information.hypertables WHERE hypertable_schema = '$storage'"), 2, 'in hypertables');
        is(chunks($storage), '48|8', 'in chunks of a day');
        is(ingest_set($storage, 1, 51), '1|50|0', 'duplicates are known');
        at_once($storage, 60, $storage);
        is(decrypted($storage), 'decrypted\x0167010e02684a|106', 'the view decrypts them');
        run("CALL key_vault.maintain_storage('$storage', keep => '30 days')", 'maintenance');
        is(scalar(() = $said =~ /NOTICE:  dropped chunk $storage\.\w+: 2 rows/g), 10, 'drops old chunks');
        is(ask("CALL key_vault.create_storage('$storage'); SELECT count(*) FROM key_vault.storages() WHERE to_do IS NOT NULL"), 0, 'nothing is to do');
    }
    is(ask(q{SELECT count(*) FROM pg_class WHERE relnamespace = 'lorawan'::regnamespace AND relname ~ '_default$'}), 0, 'the old tables are gone');
    is(ask(q{SELECT has_table_privilege('reader', 'plain.uplink', 'SELECT'), count(*) > 50 FROM public.of_plain}), 't|t', 'grants and views of one table stay');
}

# The edition under the Apache licence has no function that makes a chunk.
sub apache_edition
{
    $node->append_conf('postgresql.conf', "timescaledb.license = 'apache'");
    $node->restart;
    ask(q{CALL key_vault.create_storage('apache', kek_label => 'fleet', partitioning => 'timescaledb')});
    is(ingest_set('apache', 1, 10), '10|0|0', 'the edition under the Apache licence stores');
    is(ingest_set('apache', 1, 10), '0|10|0', 'each message once');
    is(chunks('apache'), '1|0', 'a chunk that TimescaleDB makes lacks its unique index');
    ask(q{SELECT add_old('apache', 5, 2)});
    run(q{CALL key_vault.maintain_storage('apache', keep => '2 days')}, 'until maintenance');
    is(chunks('apache'), '1|1', 'which makes it');
    like($said, qr/NOTICE:  dropped chunk apache\.\w+: 2 rows that were stored before/, 'and drops old chunks') or diag $said;
    at_once('apache', 60, 'then, at once');
}

foreach my $mode (qw(on off one_entry verify))
{
    note("cache: $mode");
    $node = new_node("timescaledb_$mode");
    $node->init;
    $node->configure_vault;
    $node->append_conf('postgresql.conf', "$preload\ntimescaledb.telemetry_level = off\ntimezone = 'UTC'\n"
          . { on => '', off => 'key_vault.cache = off', one_entry => 'key_vault.cache_size = 0', verify => 'key_vault.cache = verify' }->{$mode});
    $node->start;
    ask(q{CREATE EXTENSION key_vault; SELECT key_vault.kek_import('app1-kek', '\x000102030405060708090a0b0c0d0e0f')});
    ask($functions);
    storage_in_hypertables();
    compressed_storage();
    keys_of_storage();
    maintenance();
    averages();
    own_hypertables();
    owner();
    moves();
    apache_edition() if $mode eq 'on';
    is(ask(q{SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'}) =~ /^\d/, 1, 'TimescaleDB') and note(ask(q{SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'}));
    $node->stop;
}

done_testing();
