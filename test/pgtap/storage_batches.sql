--
-- A storage and texts with several messages: arrays, one object after another, lines, on one line each or on many.
--
-- The uplinks are the example in demo/messages with other times.  Their payload under its key is 0167010e02684a.
--
\set ECHO none
\set QUIET 1
SET client_min_messages = error;
BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS key_vault;
SELECT no_plan();
LOAD 'key_vault';
SELECT key_vault.kek_import('app1-kek', '\x000102030405060708090a0b0c0d0e0f'), key_vault.kek_create('lorawan') \g /dev/null
CALL key_vault.create_storage('lorawan', keep_messages => true);
\ir storage_places.psql

CREATE FUNCTION pg_temp.m(minute integer) RETURNS jsonb LANGUAGE sql AS $$
SELECT format('{"deduplicationId":"3ac7e3c4-4401-4b8d-9386-a5c902f9202d","time":"2024-05-01T12:%s:00Z","deviceInfo":{"applicationId":"app1","deviceName":"a \"{[\\ name","devEui":"0102030405060708"},
 "devAddr":"01fa8b2c","fCnt":1042,"fPort":2,"data":"BqiSEvuAbQ==","rxInfo":[{"gatewayId":"0016c001f153a14c"},{}],"joinServerContext":{"sessionKeyId":"","appSKey":{"kekLabel":"app1-kek","aesKey":"7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"}}}', lpad(minute::text, 2, '0'))::jsonb $$;
CREATE FUNCTION pg_temp.t(minute integer) RETURNS text LANGUAGE sql AS 'SELECT pg_temp.m(minute)::text';
-- The minutes of the uplinks that are stored and decrypted, after which the storage is empty again; and the lines that were
-- rejected, as a role that may unwrap them reads them.
CREATE FUNCTION pg_temp.stored() RETURNS integer[] LANGUAGE plpgsql AS $$
DECLARE
    minutes integer[];
BEGIN
    SELECT array_agg(extract(minute FROM received_at AT TIME ZONE 'UTC')::integer ORDER BY received_at) INTO minutes
      FROM lorawan.uplink_decrypted WHERE payload = '\x0167010e02684a';
    DELETE FROM lorawan.uplink;
    RETURN minutes;
END $$;
CREATE FUNCTION pg_temp.rejected() RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
    lines text[];
BEGIN
    SELECT array_agg(line ORDER BY id) INTO lines
      FROM (SELECT r.id, convert_from((SELECT string_agg(key_vault.unwrap(k.key), '' ORDER BY k.n) FROM lorawan.rejected_key k WHERE k.rejected_id = r.id), 'UTF8') FROM lorawan.rejected r) l (id, line);
    DELETE FROM lorawan.rejected;
    RETURN lines;
END $$;

--
-- What ingest() says of several messages
--
SELECT is(lorawan.ingest(pg_temp.m(1)), 'uplink', 'one message');
SELECT is(lorawan.ingest(jsonb_build_array(pg_temp.m(2))), 'uplink', 'an array of one message is one message');
SELECT is(lorawan.ingest(jsonb_build_array(pg_temp.m(2))::text), 'duplicate', 'as text');
SELECT is(lorawan.ingest(jsonb_build_array(pg_temp.m(2), pg_temp.m(3), '{}'::jsonb, pg_temp.m(3), null, 7, '[]'::jsonb)), 'stored 1, duplicates 2, rejected 4', 'each element of an array has an outcome of its own');
SELECT is(pg_temp.stored(), '{1,2,3}', 'the messages of it are stored');
SELECT is(pg_temp.rejected(), '{NULL,"null",7,[]}', 'and the others are rejected, each by itself');
SELECT is(lorawan.ingest(jsonb_build_array(pg_temp.m(2), pg_temp.m(3), '{}'::jsonb, pg_temp.m(3), null, 7, '[]'::jsonb, 'a')::text), 'stored 2, duplicates 1, rejected 5', 'as text');
SELECT is(pg_temp.stored(), '{2,3}', 'likewise');
SELECT is(pg_temp.rejected(), '{NULL,"null",7,[],"\"a\""}', 'likewise');
SELECT is(lorawan.ingest(jsonb_build_array(pg_temp.m(4), pg_temp.m(5))::json), 'stored 2, duplicates 0, rejected 0', 'json');
SELECT is(lorawan.ingest('\xefbbbf'::bytea || convert_to(jsonb_build_array(pg_temp.m(4), pg_temp.m(6))::text, getdatabaseencoding())), 'stored 1, duplicates 1, rejected 0', 'the body of a request, with a byte order mark');
SELECT is(pg_temp.stored(), '{4,5,6}', 'are stored');
SELECT is(ARRAY[lorawan.ingest('[]'::text), lorawan.ingest('[]'::jsonb), lorawan.ingest(E' \n'::text), lorawan.ingest(''::bytea)], array_fill('stored 0, duplicates 0, rejected 0'::text, ARRAY[4]), 'no message');
SELECT results_eq($$SELECT * FROM lorawan.ingest(ARRAY[jsonb_build_array(pg_temp.m(1), pg_temp.m(2)), pg_temp.m(3)])$$, 'VALUES (3::bigint, 0::bigint, 0::bigint)', 'an array in jsonb[]');
SELECT results_eq($$SELECT * FROM lorawan.ingest(ARRAY[pg_temp.t(1) || E'\n' || pg_temp.t(4), '{"cut', pg_temp.m(5)::text])$$, 'VALUES (2::bigint, 1::bigint, 1::bigint)', 'lines in text[]');
SELECT is(pg_temp.stored(), '{1,2,3,4,5}', 'are stored');
SELECT is(pg_temp.rejected(), '{"{\"cut"}', 'but for the one that is cut off');
SELECT is((lorawan.ingest(ARRAY['{"a":', '1}'])).rejected, 2::bigint, 'two elements are two texts');
DELETE FROM lorawan.rejected;

--
-- How messages may follow each other
--
SELECT is(lorawan.ingest(pg_temp.t(1) || pg_temp.t(2)), 'stored 2, duplicates 0, rejected 0', 'one after another');
SELECT is(lorawan.ingest(pg_temp.t(3) || E'\n' || pg_temp.t(4) || E'\r\n\n' || pg_temp.t(5) || E'\n'), 'stored 3, duplicates 0, rejected 0', 'one on each line');
SELECT is(lorawan.ingest(jsonb_pretty(pg_temp.m(6)) || E'\n' || jsonb_pretty(pg_temp.m(7))), 'stored 2, duplicates 0, rejected 0', 'on many lines each');
SELECT is(lorawan.ingest(jsonb_pretty(jsonb_build_array(pg_temp.m(8), pg_temp.m(9)))), 'stored 2, duplicates 0, rejected 0', 'in an array of many lines');
SELECT is(lorawan.ingest(format('%s %s', jsonb_build_array(pg_temp.m(10)), jsonb_build_array(pg_temp.m(11)))), 'stored 2, duplicates 0, rejected 0', 'in two arrays');
SELECT is(lorawan.ingest(format(E'%s\n\n%s', jsonb_build_object('result', pg_temp.m(12)), jsonb_build_object('result', pg_temp.m(13)))), 'stored 2, duplicates 0, rejected 0', 'an export of the Storage Integration');
SELECT is(pg_temp.stored(), '{1,2,3,4,5,6,7,8,9,10,11,12,13}', 'are stored');
SELECT is(pg_temp.rejected(), NULL, 'and nothing is rejected');

--
-- What is wrong with one takes no other with it
--
SELECT is(lorawan.ingest(left(pg_temp.m(1)::text, n) || E'\n' || pg_temp.t(2) || E'\n' || pg_temp.t(3) || E'\n' || pg_temp.t(4)), 'stored 3, duplicates 0, rejected 1', 'a line that is cut after ' || n) || E'\n' ||
       is(pg_temp.stored(), '{2,3,4}', 'takes no other line with it') || E'\n' || is(pg_temp.rejected(), ARRAY[left(pg_temp.m(1)::text, n)], 'and is kept')
  FROM (SELECT i AS n FROM generate_series(1, length(pg_temp.m(1)::text) - 1) i WHERE left(pg_temp.m(1)::text, i) !~ ' $') cuts
 WHERE n % 23 = 1;
SELECT is(lorawan.ingest(left(jsonb_pretty(pg_temp.m(1)), n) || E'\n' || jsonb_pretty(pg_temp.m(2)) || E'\n' || jsonb_pretty(pg_temp.m(3))), 'stored 2, duplicates 0, rejected 1', 'a message of many lines that is cut after ' || n) || E'\n' ||
       is(pg_temp.stored(), '{2,3}', 'takes no other with it') || E'\n' || is(pg_temp.rejected(), ARRAY[rtrim(left(jsonb_pretty(pg_temp.m(1)), n), E' \n')], 'and is kept')
  FROM (SELECT n FROM generate_series(1, length(jsonb_pretty(pg_temp.m(1))) - 1, 37) n) cuts;
SELECT is(lorawan.ingest(jsonb_pretty(pg_temp.m(1)) || E'\nError: no more\n  than this\n' || jsonb_pretty(pg_temp.m(2))), 'stored 2, duplicates 0, rejected 1', 'lines that are no JSON');
SELECT is(pg_temp.rejected(), ARRAY[E'Error: no more\n  than this'], 'are kept as one');
SELECT is(pg_temp.stored(), '{1,2}', 'beside the messages');
SELECT is(lorawan.ingest(E'{"cut": 1\n' || pg_temp.t(1) || E'\n}'), 'stored 1, duplicates 0, rejected 2', 'a message between the parts of a broken one');
SELECT is(pg_temp.stored(), '{1}', 'is stored');
DELETE FROM lorawan.rejected;
SELECT is(lorawan.ingest(left(jsonb_build_array(pg_temp.m(1), pg_temp.m(2))::text, -30)), 'stored 1, duplicates 0, rejected 1', 'an array that is cut off');
SELECT is(pg_temp.stored(), '{1}', 'gives the messages that are whole');
SELECT is(pg_temp.rejected(), ARRAY[left(pg_temp.m(2)::text, -29)], 'and the rest');
SELECT is(lorawan.ingest(jsonb_pretty(jsonb_build_array(pg_temp.m(1), pg_temp.m(2), pg_temp.m(3)))), 'stored 3, duplicates 0, rejected 0', 'an array of many lines');
DELETE FROM lorawan.uplink;
SELECT is(lorawan.ingest(replace(jsonb_pretty(jsonb_build_array(pg_temp.m(1), pg_temp.m(2), pg_temp.m(3))), '"time": "2024-05-01T12:02:00Z",', '"time": 2024-05-01T12:02:00Z,')), 'stored 2, duplicates 0, rejected 1', 'in which one has no quotes');
SELECT is(pg_temp.stored(), '{1,3}', 'loses that one only');
DELETE FROM lorawan.rejected;
-- What looks like JSON with many beginnings and no end is read in a time that grows with its size, not with the square of it.
SET LOCAL statement_timeout = '30s';
SELECT matches(lorawan.ingest(repeat(E'{"a":[\n', 300000) || pg_temp.t(1)), '^stored 1, duplicates 0, rejected [1-9][0-9]?$', 'many beginnings without an end');
RESET statement_timeout;
SELECT is(pg_temp.stored(), '{1}', 'take no message with them');
DELETE FROM lorawan.rejected;

--
-- Keys
--
SELECT is(lorawan.ingest(E'\n[' || pg_temp.t(1) || ',' || (jsonb_set(pg_temp.m(2), '{joinServerContext}', '{"sessionKeyId": "0a", "appSKey": {"kekLabel": "", "aesKey": "obLD1OX2BxgpOktcbX6PkA=="}}'))::text || E']\n{"appSKey": "obLD1OX2BxgpOktcbX6PkA==", '), 'stored 2, duplicates 0, rejected 1', 'plaintext keys in a batch');
SELECT is_empty($$SELECT pg_temp.places('\xA1B2C3D4E5F60718293A4B5C6D7E8F90')$$, 'are wrapped');
SELECT is_empty($$SELECT pg_temp.places(convert_to('obLD1OX2BxgpOktcbX6PkA==', 'UTF8'))$$, 'and nowhere as they came');
DELETE FROM lorawan.rejected;
DELETE FROM lorawan.uplink;

--
-- The lines of the table inbox: those of a statement are one text
--
INSERT INTO lorawan.inbox SELECT unnest(string_to_array(jsonb_pretty(pg_temp.m(1)) || E'\n' || jsonb_pretty(pg_temp.m(2)) || E'\n' || pg_temp.t(3) || E'\n\n' || jsonb_pretty(jsonb_build_array(pg_temp.m(4), pg_temp.m(5))), E'\n'));
SELECT is(pg_temp.stored(), '{1,2,3,4,5}', 'messages on many lines');
SELECT is(pg_temp.rejected(), NULL, 'are whole');
INSERT INTO lorawan.inbox SELECT unnest(string_to_array(E'no JSON\n{"cut\nno JSON again\n' || pg_temp.t(1) || E'\n{"cut": \n' || pg_temp.t(2) || E'\n{"cut": [\n' || pg_temp.t(3), E'\n'));
SELECT is(pg_temp.stored(), '{1,2,3}', 'a line that is cut off takes no other with it');
SELECT is(pg_temp.rejected(), ARRAY['no JSON', '{"cut', 'no JSON again', '{"cut":', '{"cut": ['], 'and is rejected by itself');
INSERT INTO lorawan.inbox SELECT unnest(string_to_array(replace(jsonb_pretty(pg_temp.m(1)), '"fPort"', 'fPort') || E'\n' || jsonb_pretty(pg_temp.m(2)), E'\n'));
SELECT is(pg_temp.stored(), '{2}', 'a message on many lines with a fault');
SELECT is(pg_temp.rejected(), ARRAY[replace(jsonb_pretty(pg_temp.m(1)), '"fPort"', 'fPort')], 'is rejected as a whole');
INSERT INTO lorawan.inbox VALUES ('{');
INSERT INTO lorawan.inbox VALUES ('}');
SELECT is(pg_temp.rejected(), '{"{","}"}', 'but those of two statements are two');
ALTER TABLE lorawan.inbox DISABLE TRIGGER ingest_end;
INSERT INTO lorawan.inbox SELECT unnest(string_to_array(pg_temp.t(1) || E'\n' || pg_temp.t(2), E'\n'));
SELECT is(pg_temp.stored(), '{1,2}', 'without the trigger for the statement, each line is a text');

SELECT * FROM finish();
ROLLBACK;
