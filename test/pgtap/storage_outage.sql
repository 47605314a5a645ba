--
-- Errors while a message is stored.  If the server, the root key or a token fails, the error is passed on, so that the
-- sender sends the message again.  If the storage's own code fails (triggers, CHECKs, index expressions), the message
-- is kept as rejected, whatever the SQLSTATE is: one message must not hold up those behind it.
--
-- Here the server's errors are those that one session can bring about; test/tap/storage_outage.pl has others.
--
\set ECHO none
\set QUIET 1
SET client_min_messages = error;
BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS key_vault;
SELECT no_plan();
SELECT key_vault.kek_create('edges') \g /dev/null
CALL key_vault.create_storage('edges');
CREATE FUNCTION pg_temp.uplink(n integer, more jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
SELECT jsonb_build_object('end_device_ids', '{"application_ids": {"application_id": "app1"}, "dev_eui": "0004A30B001C0530", "dev_addr": "260B1234"}'::jsonb,
    'uplink_message', jsonb_build_object('f_port', 2, 'f_cnt', n, 'frm_payload', 'LhFe2aRcmQ==', 'received_at', '2024-05-01T12:00:00Z') || more)
$$;

-- What the code of the storage does at uplink 13
CREATE FUNCTION edges.act(f_cnt bigint) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    what text := current_setting('test.what');
BEGIN
    IF f_cnt <> 13 THEN
        RETURN true;
    ELSIF what = 'ASSERT' THEN
        ASSERT false, 'failed';
    ELSIF what = 'rethrow' THEN
        BEGIN
            RAISE 'failed' USING ERRCODE = '53100';
        EXCEPTION WHEN disk_full THEN
            RAISE;
        END;
    ELSIF what = 'read-only' THEN
        -- PostgreSQL raises an error because of the setting.
        PERFORM set_config('transaction_read_only', 'on', true);
        DELETE FROM edges.device WHERE false;
    ELSIF what = 'temporary files' THEN
        PERFORM set_config('temp_file_limit', '1', true), set_config('work_mem', '64', true);
        PERFORM count(*) FROM (SELECT n FROM generate_series(1, 100000) n ORDER BY n DESC) n;
    ELSIF what <> 'nothing' THEN
        RAISE 'failed' USING ERRCODE = what;
    END IF;
    RETURN true;
END
$$;
CREATE FUNCTION edges.act() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM edges.act(NEW.f_cnt); RETURN NEW; END $$;
CREATE TRIGGER act BEFORE INSERT ON edges.uplink FOR EACH ROW EXECUTE FUNCTION edges.act();
CREATE FUNCTION pg_temp.error_of(statement text, what text DEFAULT current_setting('test.what')) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
BEGIN
    PERFORM set_config('test.what', what, true);
    EXECUTE statement INTO result;
    RETURN result;
EXCEPTION WHEN OTHERS OR assert_failure OR query_canceled THEN
    RETURN 'error ' || SQLSTATE;
END
$$;

-- Everything that looks like an outage, and is none.  The classes are those of PostgreSQL's appendix "Error Codes".
CREATE TEMP TABLE cause AS
SELECT CASE what WHEN 'ASSERT' THEN 'P0004' WHEN 'rethrow' THEN '53100' ELSE what END AS state, what
  FROM unnest('{25006,40001,40P01,53100,53200,55000,55P03,57014,57P01,58030,XX000,XX001,XX002,KV102,KV201,KV403,P0001,22023,23514,KV001,KV108,KV405,ASSERT,rethrow}'::text[]) what;
SELECT is(key_vault.storage_outage(state), state !~ '^(P|2[23]|KV0|KV108|KV405)', state || ': for storages of version 1.0, which know the SQLSTATE only')
  FROM cause;

CREATE FUNCTION pg_temp.each_way(what text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    state text := (SELECT c.state FROM cause c WHERE c.what = each_way.what);
BEGIN
    PERFORM set_config('test.what', what, true);
    DELETE FROM edges.rejected;
    DELETE FROM edges.uplink;
    RETURN NEXT is(pg_temp.error_of('SELECT edges.ingest(pg_temp.uplink(13))'), 'rejected', what || ': one message');
    RETURN NEXT is(pg_temp.error_of('SELECT edges.ingest(pg_temp.uplink(13)::text)'), 'rejected', what || ': as text');
    RETURN NEXT is(pg_temp.error_of('SELECT edges.ingest(ARRAY[pg_temp.uplink(11), pg_temp.uplink(12), pg_temp.uplink(13), pg_temp.uplink(14)])'), '(3,0,1)', what || ': an array');
    RETURN NEXT is(pg_temp.error_of('SELECT edges.ingest(ARRAY[pg_temp.uplink(13), pg_temp.uplink(15)]::text[])'), '(1,0,1)', what || ': an array of lines');
    INSERT INTO edges.inbox VALUES (pg_temp.uplink(13)::text), (pg_temp.uplink(16)::text);
    RETURN NEXT results_eq('SELECT r.sqlstate, r.tries, r.message #>> ''{uplink_message,f_cnt}'' FROM edges.rejected r',
        format('VALUES (%L, 5, ''13'')', state), what || ': the table inbox; and the message is kept once');
    RETURN NEXT is(pg_temp.error_of('SELECT edges.replay_rejected()'), '(0,0,1)', what || ': replay_rejected()');
    PERFORM set_config('test.what', 'nothing', true);
    RETURN NEXT is(pg_temp.error_of('SELECT edges.replay_rejected()'), '(0,1,0)', what || ': once the cause is mended');
    RETURN NEXT is((SELECT string_agg(f_cnt::text, ' ' ORDER BY f_cnt) FROM edges.uplink), '11 12 13 14 15 16', what || ': each is stored once');
END
$$;
SELECT pg_temp.each_way(what) FROM cause;

-- Not only triggers
-- IMMUTABLE, as functions in an index must be
CREATE FUNCTION edges.act(f_port smallint, f_cnt bigint) RETURNS smallint LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM edges.act(f_cnt); RETURN f_port; END $$;
DROP TRIGGER act ON edges.uplink;
ALTER TABLE edges.uplink ADD CHECK (edges.act(f_cnt));
SELECT pg_temp.each_way('57014') AS "by a CHECK";
SELECT pg_temp.each_way('ASSERT') AS "by a CHECK";
ALTER TABLE edges.uplink DROP CONSTRAINT uplink_f_cnt_check1;
SELECT set_config('test.what', 'nothing', true) \g /dev/null
CREATE INDEX act_idx ON edges.uplink (edges.act(f_port, f_cnt));
SELECT pg_temp.each_way('53100') AS "by an index";
SELECT pg_temp.each_way('ASSERT') AS "by an index";
DROP INDEX edges.act_idx;

-- A key envelope that was not opened, and code that fails when the key comes
SELECT edges.ingest(pg_temp.uplink(20, '{"session_key_id": "AAAAAAAAAAAAAAAAAAAAAg==", "app_s_key": {"kek_label": "late", "encrypted_key": "7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"}}')),
    edges.ingest(pg_temp.uplink(21, '{"session_key_id": "AAAAAAAAAAAAAAAAAAAAAw==", "app_s_key": {"kek_label": "late", "encrypted_key": "7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"}}')) \g /dev/null
CREATE FUNCTION edges.refuse_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM edges.act(CASE get_byte(NEW.session_key_id, 15) WHEN 2 THEN 13 ELSE 0 END);
    RETURN NEW;
END
$$;
CREATE TRIGGER refuse_key BEFORE UPDATE ON edges.session FOR EACH ROW EXECUTE FUNCTION edges.refuse_key();
SELECT key_vault.kek_import('late', '\x000102030405060708090a0b0c0d0e0f') \g /dev/null
SELECT is(pg_temp.error_of('SELECT edges.replay_rejected()', what), format('(%s,0,0)', CASE n WHEN 1 THEN 1 ELSE 0 END), 'key envelopes: ' || what)
  FROM unnest('{ASSERT,57014,53100,XX000,KV102}'::text[]) WITH ORDINALITY w (what, n) ORDER BY n;
SELECT is(pg_temp.error_of('SELECT edges.replay_rejected()', 'nothing'), '(1,0,0)', 'key envelopes: once the cause is mended');

-- What is the server's error stays an error, and leaves nothing behind.
CREATE TRIGGER act BEFORE INSERT ON edges.uplink FOR EACH ROW EXECUTE FUNCTION edges.act();
DELETE FROM edges.uplink;
INSERT INTO edges.rejected (sqlstate, reason, message, digest) VALUES ('P0001', 'as if', pg_temp.uplink(13), 'as if');
SELECT is(pg_temp.error_of(call, what), 'error ' || state, format('%s: %s', what, call))
  FROM (VALUES ('read-only', '25006'), ('temporary files', '53400')) v (what, state),
       unnest(ARRAY['SELECT edges.ingest(pg_temp.uplink(13))', 'SELECT edges.ingest(ARRAY[pg_temp.uplink(12), pg_temp.uplink(13)])',
                    'INSERT INTO edges.inbox VALUES (pg_temp.uplink(12)::text), (pg_temp.uplink(13)::text)', 'SELECT edges.replay_rejected()']) call;
SELECT results_eq('SELECT reason, tries FROM edges.rejected', $$VALUES ('as if', 1)$$, 'no message is rejected');
SELECT is_empty('SELECT FROM edges.uplink', 'or stored');

-- What a trigger says in the fields of its error is not taken for what was found in the message.
CREATE FUNCTION edges.pretend() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'failed' USING DATATYPE = 'expected', DETAIL = NEW::text, COLUMN = 'field', HINT = 'hint'; END $$;
CREATE TRIGGER a_pretend BEFORE INSERT ON edges.uplink FOR EACH ROW EXECUTE FUNCTION edges.pretend();
SELECT is(pg_temp.error_of('SELECT edges.ingest(pg_temp.uplink(30))'), 'rejected', 'an error with fields');
SELECT results_eq('SELECT field, found, expected, hint FROM edges.rejected WHERE reason = ''failed''', 'SELECT NULL::text, NULL::text, NULL::text, ''hint''', 'only its hint is shown');
SELECT is(pg_temp.error_of('SELECT edges.replay_rejected()'), '(0,0,2)', 'tried again');
SELECT results_eq('SELECT field, found, expected, hint FROM edges.rejected WHERE reason = ''failed'' ORDER BY id DESC LIMIT 1', 'SELECT NULL::text, NULL::text, NULL::text, ''hint''', 'the same');
DROP TRIGGER a_pretend ON edges.uplink;

-- The table rejected does not let the reason of a message be written: the others are tried all the same.
DELETE FROM edges.rejected;
SELECT set_config('test.what', '53100', true) \g /dev/null
INSERT INTO edges.rejected (sqlstate, reason, message, digest) VALUES ('P0001', 'as if', pg_temp.uplink(13), '1'), ('P0001', 'as if', pg_temp.uplink(31), '2');
CREATE FUNCTION edges.refuse_reason() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ASSERT false; END $$;
CREATE TRIGGER refuse_reason BEFORE UPDATE ON edges.rejected FOR EACH ROW EXECUTE FUNCTION edges.refuse_reason();
SELECT is(pg_temp.error_of('SELECT edges.replay_rejected()'), '(0,1,1)', 'a reason that cannot be written');
SELECT results_eq('SELECT reason, message #>> ''{uplink_message,f_cnt}'' FROM edges.rejected', $$VALUES ('as if', '13')$$, 'the message stays, with the reason that it had');
DROP TRIGGER refuse_reason ON edges.rejected;

-- The table rejected refuses a message: it can be kept nowhere, so that is an error.
SELECT set_config('test.what', '53100', true) \g /dev/null
CREATE FUNCTION edges.refuse_rejected() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ASSERT false; END $$;
CREATE TRIGGER refuse_rejected BEFORE INSERT ON edges.rejected FOR EACH ROW EXECUTE FUNCTION edges.refuse_rejected();
SELECT is(pg_temp.error_of('SELECT edges.ingest(pg_temp.uplink(13))'), 'error P0004', 'a message that cannot even be rejected');

SELECT * FROM finish();
ROLLBACK;
