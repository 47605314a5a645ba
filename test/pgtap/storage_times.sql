--
-- The times of a storage: those that the network gives, those that cannot be right, and what must not depend on them.
--
-- In this transaction all messages are stored at now(), so an UPDATE makes the rows of other times.
--
\set ECHO none
\set QUIET 1
SET client_min_messages = error;
BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS key_vault;
SELECT no_plan();
LOAD 'key_vault';
SET LOCAL TimeZone = 'UTC';
SELECT key_vault.kek_create('lorawan') \g /dev/null
CALL key_vault.create_storage('lorawan');

-- A time in the form of RFC 3339
CREATE FUNCTION pg_temp.text_of(at timestamptz) RETURNS text LANGUAGE sql AS $$SELECT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')$$;
CREATE FUNCTION pg_temp.tts(f_cnt integer, at text, top text DEFAULT NULL, changes jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
SELECT jsonb_strip_nulls(jsonb_build_object('end_device_ids', '{"device_id":"dev1","application_ids":{"application_id":"app1"},"dev_eui":"0004A30B001C0530","dev_addr":"260B1234"}'::jsonb,
    'received_at', top, 'uplink_message', jsonb_build_object('f_port', 2, 'f_cnt', f_cnt, 'frm_payload', 'AQI=', 'received_at', at)) || changes)
$$;
CREATE FUNCTION pg_temp.cs(f_cnt integer, at text, rx_info jsonb DEFAULT '[]') RETURNS jsonb LANGUAGE sql AS $$
SELECT jsonb_build_object('deviceInfo', '{"applicationId":"app1","deviceName":"dev2","devEui":"0102030405060708"}'::jsonb, 'devAddr', '01fa8b2c',
    'fCnt', f_cnt, 'fPort', 2, 'data', 'AQI=', 'time', at, 'rxInfo', rx_info)
$$;
CREATE FUNCTION pg_temp.minutes(n integer) RETURNS text LANGUAGE sql AS $$SELECT pg_temp.text_of(now() + n * interval '1 minute')$$;
-- Whether received_at of the uplink with this counter is the time in the message, or the time at which the row was
-- stored
CREATE FUNCTION pg_temp.said(cnt integer) RETURNS text LANGUAGE sql AS $$
SELECT CASE WHEN received_at = stored_at THEN 'stored_at' ELSE pg_temp.text_of(received_at) END FROM lorawan.uplink WHERE f_cnt = cnt
$$;

-- Of several times in a message, the one from the most reliable clock is taken.
SELECT lorawan.ingest(pg_temp.cs(1, pg_temp.minutes(30), format('[{"gatewayId": "1"}, {"nsTime": "%s"}, {"nsTime": "%s"}]', pg_temp.minutes(-2), pg_temp.minutes(-1))::jsonb)) \g /dev/null
SELECT is(pg_temp.said(1), pg_temp.minutes(-2), 'ChirpStack: the network server''s clock, not that of a gateway which is half an hour ahead');
SELECT lorawan.ingest(pg_temp.cs(2, pg_temp.minutes(-3), '[{"gatewayId": "1"}]')) \g /dev/null
SELECT is(pg_temp.said(2), pg_temp.minutes(-3), 'the gateway''s where there is no other');
SELECT lorawan.ingest(pg_temp.cs(3, '1980-01-06T00:00:12Z', format('[{"nsTime": "%s"}]', pg_temp.minutes(-4))::jsonb)) \g /dev/null
SELECT is(pg_temp.said(3), pg_temp.minutes(-4), 'a gateway that has no time yet');
SELECT lorawan.ingest(pg_temp.tts(4, pg_temp.minutes(-5), pg_temp.minutes(-4))) \g /dev/null
SELECT is(pg_temp.said(4), pg_temp.minutes(-5), 'The Things Stack: the network server''s time');
SELECT lorawan.ingest(pg_temp.tts(5, '0001-01-01T00:00:00Z', pg_temp.minutes(-4))) \g /dev/null
SELECT is(pg_temp.said(5), pg_temp.minutes(-4), 'the application server''s, for an uplink that is simulated');
-- A time that cannot be right counts as missing.
SELECT is(array_agg(lorawan.ingest(pg_temp.cs(10 + n::integer, at))), '{uplink,uplink,uplink,uplink,uplink}', 'zeros of clocks, and what is before LoRaWAN')
  FROM unnest('{0001-01-01T00:00:00Z,0000-00-00T00:00:00Z,1970-01-01T00:00:00Z,1980-01-06T00:00:00Z,2014-12-31T23:59:59.999999Z}'::text[]) WITH ORDINALITY u (at, n);
SELECT is(array_agg(DISTINCT pg_temp.said(10 + n)), '{stored_at}', 'are no times') FROM generate_series(1, 5) n;
SELECT lorawan.ingest(pg_temp.cs(16, '2015-01-01T00:00:00Z')), lorawan.ingest(pg_temp.tts(17, NULL)), lorawan.ingest(pg_temp.cs(18, '2015-01-01T00:00:00Z') - 'time'),
    lorawan.ingest(pg_temp.cs(19, pg_temp.text_of(now() + interval '1 day'))), lorawan.ingest(pg_temp.cs(20, pg_temp.text_of(now() + interval '1 day 0.000001 s'))) \g /dev/null
SELECT is(pg_temp.said(16), '2015-01-01T00:00:00.000000Z', 'the first that can be');
SELECT is(pg_temp.said(17) || pg_temp.said(18), 'stored_atstored_at', 'no time at all');
SELECT is(pg_temp.said(19), pg_temp.text_of(now() + interval '1 day'), 'a clock that is a day ahead');
SELECT is(pg_temp.said(20), 'stored_at', 'or more');
SELECT is(lorawan.ingest(pg_temp.cs(21, 'yesterday')), 'rejected', 'what is no time is rejected');
SELECT is(lorawan.ingest(pg_temp.cs(21, pg_temp.minutes(-1), '[{"nsTime": 7}]')), 'rejected', 'in each place');
SELECT results_eq('SELECT reason FROM lorawan.rejected ORDER BY id', $$VALUES ('time is not a time as in RFC 3339'), ('rxInfo.nsTime is not a time as in RFC 3339')$$, 'which the reason names');

-- Maintenance drops uplinks by the time at which they were stored.
SELECT count(*) AS uplinks FROM lorawan.uplink \gset
CALL key_vault.maintain_storage('lorawan', keep => '1 minute');
SELECT is(count(*), :uplinks::bigint, 'no uplink is dropped by what its sender says') FROM lorawan.uplink;

-- A second delivery of an uplink
SELECT is(array_agg(DISTINCT lorawan.ingest(m)), '{duplicate}', 'a message without a time that can be is known again') FROM unnest(ARRAY[pg_temp.cs(14, '1980-01-06T00:00:00Z'), pg_temp.tts(17, NULL), pg_temp.cs(20, pg_temp.text_of(now() + interval '1 day 0.000001 s'))]) m;
UPDATE lorawan.uplink SET stored_at = now() - interval '1 second', received_at = now() - interval '1 second' WHERE f_cnt = 14;
SELECT is(lorawan.ingest(pg_temp.cs(14, '1980-01-06T00:00:00Z') || '{"data": "AQM="}'), 'uplink', 'by its content');
SELECT is(lorawan.ingest(pg_temp.cs(14, '1980-01-06T00:00:00Z') || '{"data": "AQM="}'), 'duplicate', 'of whichever there are');
UPDATE lorawan.uplink SET stored_at = now() - interval '23:59', received_at = now() - interval '23:59' WHERE f_cnt = 11;
SELECT is(lorawan.ingest(pg_temp.cs(11, '1980-01-06T00:00:00Z')), 'duplicate', 'for a day');
UPDATE lorawan.uplink SET stored_at = now() - interval '24:01', received_at = now() - interval '24:01' WHERE f_cnt = 11;
SELECT is(lorawan.ingest(pg_temp.cs(11, '1980-01-06T00:00:00Z')), 'uplink', 'not longer');
-- Uplinks in the partition of a week ago, from a gateway whose clock was half a day ahead, and from one two days
-- behind
SELECT lorawan.ingest(pg_temp.cs(30, pg_temp.text_of(now() - interval '6 days 12:00'))), lorawan.ingest(pg_temp.cs(31, pg_temp.text_of(now() - interval '9 days'))) \g /dev/null
UPDATE lorawan.uplink SET stored_at = now() - interval '7 days' WHERE f_cnt IN (30, 31);
CALL key_vault.maintain_storage('lorawan');
SELECT is(array_agg(tableoid::regclass::text), array_fill('lorawan.uplink_' || to_char(now() - interval '7 days', 'YYYYMMDD'), ARRAY[2]), 'uplinks in the partition of a week ago') FROM lorawan.uplink WHERE f_cnt IN (30, 31);
SELECT is(lorawan.ingest(pg_temp.cs(30, pg_temp.text_of(now() - interval '6 days 12:00'))), 'duplicate', 'are known, too, by a clock that was ahead');
SELECT is(lorawan.ingest(pg_temp.cs(31, pg_temp.text_of(now() - interval '9 days'))), 'duplicate', 'and by one that was behind');
SELECT results_eq($$SELECT * FROM lorawan.ingest(ARRAY[jsonb_set(pg_temp.cs(32, pg_temp.text_of(now())), '{deviceInfo,devEui}', '"0000000000000001"'),
    pg_temp.cs(30, pg_temp.text_of(now() - interval '6 days 12:00')), pg_temp.cs(31, pg_temp.text_of(now() - interval '9 days'))])$$, 'VALUES (1::bigint, 2::bigint, 0::bigint)', 'in a set with a new one of another device, too');
SELECT is(lorawan.ingest(pg_temp.cs(31, pg_temp.text_of(now() - interval '9 days')) || '{"data": "AQM="}'), 'rejected', 'another payload of that time is rejected');
-- Downlinks
CREATE FUNCTION pg_temp.queued(correlation text) RETURNS jsonb LANGUAGE sql AS $$
SELECT pg_temp.tts(0, NULL) - 'uplink_message' || jsonb_build_object('correlation_ids', jsonb_build_array(correlation), 'downlink_queued', '{"f_port": 3, "frm_payload": "AQI="}'::jsonb)
$$;
SELECT is(ARRAY[lorawan.ingest(pg_temp.queued('a')), lorawan.ingest(pg_temp.queued('b')), lorawan.ingest(pg_temp.queued('a'))], '{downlink,downlink,duplicate}', 'downlinks without a time are told apart');
SELECT results_eq('SELECT DISTINCT received_at = stored_at, queue_item_id ~ ''^[0-9a-f]{32}$'' FROM lorawan.downlink', 'VALUES (true, true)', 'by their correlation_ids');

-- A storage of version 1.0 has the gateway's time for uplinks of ChirpStack, in both columns.  After the update a second
-- delivery, of which the network server's time is read, is known again.
CREATE FUNCTION pg_temp.twice(f_cnt integer, hours integer, data text DEFAULT 'AQI=') RETURNS jsonb LANGUAGE sql AS $$
SELECT pg_temp.cs(f_cnt, pg_temp.text_of(now() - interval '30 days'), jsonb_build_array(jsonb_build_object('nsTime', pg_temp.text_of(now() - interval '30 days' + hours * interval '1 hour')))) || jsonb_build_object('data', data) $$;
SELECT lorawan.ingest(pg_temp.twice(200, 1)), lorawan.ingest(pg_temp.twice(201, 50)), lorawan.ingest(pg_temp.twice(202, -50)), lorawan.ingest(pg_temp.twice(203, 1)) \g /dev/null
UPDATE lorawan.uplink SET received_at = now() - interval '30 days', stored_at = now() - interval '30 days' WHERE f_cnt BETWEEN 200 AND 202;
UPDATE lorawan.uplink SET received_at = now() - interval '30 days' WHERE f_cnt = 203;
SELECT is(lorawan.ingest(pg_temp.twice(200, 1, 'AQM=')), 'uplink', 'in a storage that never was of 1.0, another time is another uplink');
DELETE FROM lorawan.uplink WHERE f_cnt = 200 AND received_at <> stored_at;
UPDATE lorawan.storage_settings SET rows_of_1_0_until = now();
SELECT is(array_agg(lorawan.ingest(pg_temp.twice(n, h))), '{duplicate,duplicate,duplicate}', 'ChirpStack''s uplinks that 1.0 stored are known again') FROM (VALUES (200, 1), (201, 50), (202, -50)) v (n, h);
SELECT results_eq('SELECT * FROM lorawan.ingest(ARRAY[pg_temp.twice(200, 1), pg_temp.twice(201, 50), pg_temp.twice(202, -50), pg_temp.twice(210, 1)])', 'VALUES (1::bigint, 3::bigint, 0::bigint)', 'in a set, too');
SELECT is(lorawan.ingest(pg_temp.twice(200, 1) - 'fCnt'), 'duplicate', 'and one that is stored by itself');
SELECT is(lorawan.ingest(pg_temp.twice(200, 1, 'AQM=')), 'rejected', 'another payload is none');
SELECT is(lorawan.ingest(pg_temp.twice(203, 1)), 'uplink', 'nor is the time of a row that 1.0 did not store');
UPDATE lorawan.storage_settings SET rows_of_1_0_until = now() - interval '31 days';
SELECT is(lorawan.ingest(pg_temp.twice(202, -50)), 'uplink', 'nor one that 1.0 cannot have stored');
UPDATE lorawan.storage_settings SET rows_of_1_0_until = NULL;
TRUNCATE lorawan.rejected CASCADE;

-- Which uplink is the latest of a device
CREATE FUNCTION pg_temp.latest() RETURNS bigint LANGUAGE sql AS $$SELECT f_cnt FROM lorawan.device_latest WHERE device_id = 'dev1'$$;
TRUNCATE lorawan.uplink;
SELECT lorawan.ingest(pg_temp.tts(1, pg_temp.minutes(-60))), lorawan.ingest(pg_temp.tts(2, pg_temp.minutes(700))) \g /dev/null
UPDATE lorawan.uplink SET stored_at = now() - interval '50 minutes';
SELECT is(pg_temp.latest(), 2::bigint, 'an uplink whose clock is ahead');
SELECT lorawan.ingest(pg_temp.tts(3, pg_temp.minutes(-1))) \g /dev/null
SELECT is(pg_temp.latest(), 3::bigint, 'is the latest until the next one');
SELECT lorawan.ingest(pg_temp.tts(4, '2024-05-01T12:00:00Z')) \g /dev/null
SELECT is(pg_temp.latest(), 3::bigint, 'not one that comes late');
SELECT lorawan.ingest(pg_temp.tts(5, '2099-05-01T12:00:00Z')) \g /dev/null
SELECT is(pg_temp.latest(), 5::bigint, 'one without a time that can be counts as of now');
SELECT is(count(*), 1::bigint, 'there is one row') FROM lorawan.device_latest WHERE device_id = 'dev1';

-- The name and the application of a device
CREATE FUNCTION pg_temp.named(name text, f_cnt integer, at text, application text DEFAULT 'app1') RETURNS text LANGUAGE sql AS $$
SELECT lorawan.ingest(pg_temp.tts(f_cnt, at, NULL, jsonb_build_object('end_device_ids',
    jsonb_build_object('device_id', name, 'application_ids', jsonb_build_object('application_id', application), 'dev_eui', '0004A30B001C0531', 'dev_addr', '260B1235'))))
$$;
CREATE FUNCTION pg_temp.known() RETURNS text LANGUAGE sql AS $$SELECT concat_ws('/', application_id, device_id) FROM lorawan.device WHERE dev_eui = '\x0004A30B001C0531'$$;
CREATE FUNCTION pg_temp.names(how text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_temp.named('old', 1, pg_temp.minutes(-60)), pg_temp.named('new', 2, pg_temp.minutes(-40), 'app2');
    RETURN NEXT is(pg_temp.known(), 'app2/new', how || 'a device is renamed, and moved to another application');
    PERFORM pg_temp.named('old', 3, pg_temp.minutes(-50));
    RETURN NEXT is(pg_temp.known(), 'app2/new', how || 'a message of before that comes late does not turn it back');
    PERFORM pg_temp.named('new', 4, pg_temp.minutes(-20), 'app2'), pg_temp.named('old', 5, pg_temp.minutes(-30));
    RETURN NEXT is(pg_temp.known(), 'app2/new', how || 'nor one between two that say the same');
    PERFORM pg_temp.named('ahead', 6, pg_temp.minutes(700));
    RETURN NEXT is(pg_temp.known(), 'app1/ahead', how || 'a clock that is ahead');
    UPDATE lorawan.device SET seen_at = now() - interval '10 minutes' WHERE dev_eui = '\x0004A30B001C0531';
    UPDATE lorawan.uplink SET stored_at = now() - interval '10 minutes' WHERE dev_eui = '\x0004A30B001C0531';
    PERFORM pg_temp.named('after', 7, pg_temp.minutes(-5));
    RETURN NEXT is(pg_temp.known(), 'app1/after', how || 'does not hold it for long');
    PERFORM pg_temp.named(NULL, 8, pg_temp.minutes(-4), 'app3');
    RETURN NEXT is(pg_temp.known(), 'app3/after', how || 'a message without a name does not take it away');
END
$$;
SELECT pg_temp.names('');

-- A message without a counter is not stored with others in a set, but by itself.
CREATE OR REPLACE FUNCTION pg_temp.named(name text, f_cnt integer, at text, application text DEFAULT 'app1') RETURNS text LANGUAGE sql AS $$
SELECT lorawan.ingest(pg_temp.tts(f_cnt, at, NULL, jsonb_build_object('end_device_ids',
    jsonb_build_object('device_id', name, 'application_ids', jsonb_build_object('application_id', application), 'dev_eui', '0004A30B001C0531', 'dev_addr', '260B1235'))) #- '{uplink_message,f_cnt}')
$$;
DELETE FROM lorawan.device WHERE dev_eui = '\x0004A30B001C0531';
DELETE FROM lorawan.uplink WHERE dev_eui = '\x0004A30B001C0531';
SELECT pg_temp.names('by itself: ');

SELECT * FROM finish();
ROLLBACK;
