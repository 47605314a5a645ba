--
-- Messages that are stored as a set have the same result as messages stored one by one.  Each message comes in four
-- ways (by the PL/pgSQL that stores a message by itself, by ingest() of arrays, by COPY to the inbox, by ingest() of
-- each) into four storages under one KEK, so that the same key gives the same wrapped bytes.  In the end the tables
-- of all storages must be the same.
--
-- The uplinks are the example in demo/messages, whose payload under its key is 0167010e02684a.
--
\set ECHO none
\set QUIET 1
SET client_min_messages = error;
BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS key_vault;
SELECT no_plan();
LOAD 'key_vault';
SELECT key_vault.kek_import('app1-kek', '\x000102030405060708090a0b0c0d0e0f'), key_vault.kek_create('sets') \g /dev/null
CALL key_vault.create_storage('reference', kek_label => 'sets', keep_messages => true);
CALL key_vault.create_storage('of_lines', kek_label => 'sets', keep_messages => true);
CALL key_vault.create_storage('of_messages', kek_label => 'sets', keep_messages => true);
CALL key_vault.create_storage('of_inbox', kek_label => 'sets', keep_messages => true);
CALL key_vault.create_storage('of_each', kek_label => 'sets', keep_messages => true);

-- Stores one message by itself, without the code for sets.
CREATE FUNCTION reference.store(message jsonb) RETURNS text LANGUAGE plpgsql SET search_path = reference, pg_temp AS $$
DECLARE
    w record;
    field text;
    found text;
    expected text;
    hint text;
BEGIN
    SELECT * INTO w FROM key_vault.storage_wrap_keys(message, 'sets');
    RETURN key_vault_internal.storage_store(w.message, w.keys);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS field = COLUMN_NAME, found = PG_EXCEPTION_DETAIL, expected = PG_DATATYPE_NAME, hint = PG_EXCEPTION_HINT;
    PERFORM key_vault_internal.storage_reject(w.message, w.keys, sha256(convert_to(message::text, 'UTF8')), SQLSTATE, SQLERRM,
        nullif(field, ''), CASE WHEN expected <> '' THEN found END, nullif(expected, ''), nullif(hint, ''));
    RETURN 'rejected';
END
$$;

-- Messages of few devices, sessions, times and counters, so that some of them concern the same uplink or session and
-- contradict each other.  The digits of a hash choose what each message has.
CREATE FUNCTION pg_temp.digit(n integer, what integer, choices integer) RETURNS integer LANGUAGE sql AS
$$SELECT get_byte(sha256(convert_to(n || '/' || what, 'UTF8')), 0) % choices$$;
CREATE TEMP TABLE incoming (n integer, message jsonb);
INSERT INTO incoming
SELECT n, jsonb_build_object(
    'end_device_ids', jsonb_build_object('dev_eui', '0004A30B001C053' || pg_temp.digit(n, 1, 4), 'device_id', 'dev' || CASE pg_temp.digit(n, 2, 20) WHEN 0 THEN 'new' ELSE '' END,
        'dev_addr', CASE pg_temp.digit(n, 3, 30) WHEN 0 THEN '260B9999' ELSE '260B1234' END, 'application_ids', '{"application_id": "app1"}'::jsonb),
    CASE WHEN pg_temp.digit(n, 4, 8) > 0 THEN 'uplink_message' ELSE 'join_accept' END, jsonb_strip_nulls(jsonb_build_object(
        'session_key_id', encode(int4send(pg_temp.digit(n, 5, 6)), 'base64'),
        'received_at', CASE pg_temp.digit(n, 6, 25) WHEN 0 THEN NULL WHEN 1 THEN '2024-13-01T00:00:00Z' ELSE '2024-05-01T12:0' || pg_temp.digit(n, 7, 10) || ':00Z' END,
        'f_port', 2, 'f_cnt', pg_temp.digit(n, 8, 7) - CASE pg_temp.digit(n, 9, 30) WHEN 0 THEN 9 ELSE 0 END,
        'frm_payload', CASE pg_temp.digit(n, 10, 10) WHEN 0 THEN 'AAAA' ELSE 'LhFe2aRcmQ==' END,
        'app_s_key', CASE pg_temp.digit(n, 11, 30)
            WHEN 0 THEN NULL
            WHEN 1 THEN '{"kek_label": "app1-kek", "encrypted_key": "CqqU11IcP6+Y5bzIjRjnPF0PMsjTD6gA"}'
            WHEN 2 THEN '{"kek_label": "unknown", "encrypted_key": "7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"}'
            WHEN 3 THEN '{"kek_label": "app1-kek", "encrypted_key": "7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvA"}'
            WHEN 4 THEN '{"key": "EC925802AE430CA77FD3DD73CB2CC588"}'
            WHEN 5 THEN '{"key": "EC925802AE430CA77FD3DD73CB2CC580"}'
            ELSE '{"kek_label": "app1-kek", "encrypted_key": "7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"}' END::jsonb)))
  FROM generate_series(1, 600) n;

-- All rows of a storage, without generated numbers, the times of rejections, and the names of devices, which follow
-- the latest message
CREATE FUNCTION pg_temp.content(storage text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE format($q$
        SELECT 'uplink ' || (to_jsonb(u))::text FROM %1$I.uplink u
        UNION ALL SELECT 'session ' || to_jsonb(s)::text FROM %1$I.session s
        UNION ALL SELECT 'rejected ' || (to_jsonb(r) - '{id,rejected_at}'::text[])::text FROM %1$I.rejected r
        UNION ALL SELECT 'key ' || (to_jsonb(k) - '{rejected_id}'::text[])::text FROM %1$I.rejected_key k
        UNION ALL SELECT 'device ' || dev_eui::text FROM %1$I.device$q$, storage);
END
$$;
SELECT count(reference.store(message)) FROM (SELECT message FROM incoming ORDER BY n OFFSET 0) m \g /dev/null
CREATE TEMP TABLE of_lines AS SELECT r.* FROM (SELECT array_agg(message::text ORDER BY n) AS all_of_them FROM incoming) a, of_lines.ingest(all_of_them) r;
CREATE TEMP TABLE of_messages AS SELECT r.* FROM (SELECT array_agg(message ORDER BY n) AS all_of_them FROM incoming) a, of_messages.ingest(all_of_them) r;
INSERT INTO of_inbox.inbox SELECT message::text FROM incoming ORDER BY n;
SELECT count(of_each.ingest(message)) FROM (SELECT message FROM incoming ORDER BY n OFFSET 0) m \g /dev/null
SELECT cmp_ok(count(*), '>', 100::bigint, 'uplinks of the reference') FROM reference.uplink;
SELECT cmp_ok(count(*), '>', 20::bigint, 'and rejected messages') FROM reference.rejected;
SELECT cmp_ok(count(DISTINCT sqlstate), '>=', 4::bigint, 'of several reasons') FROM reference.rejected;
SELECT bag_eq($$SELECT pg_temp.content('of_each')$$, $$SELECT pg_temp.content('reference')$$, 'each by ingest()');
SELECT bag_eq($$SELECT pg_temp.content('of_lines')$$, $$SELECT pg_temp.content('reference')$$, 'an array of lines');
SELECT bag_eq($$SELECT pg_temp.content('of_messages')$$, $$SELECT pg_temp.content('reference')$$, 'an array of messages');
SELECT bag_eq($$SELECT pg_temp.content('of_inbox')$$, $$SELECT pg_temp.content('reference')$$, 'lines of the inbox');
SELECT is(stored + duplicates + rejected, 600::bigint, 'the counts are of all messages') FROM of_lines;
SELECT is(rejected, (SELECT sum(tries) FROM of_lines.rejected)::bigint, 'and of those that were rejected') FROM of_lines;
SELECT results_eq('TABLE of_messages', 'TABLE of_lines', 'the same for messages');
-- All messages once more, as one set: nothing is stored twice.
SELECT is(r.duplicates > 0 AND r.stored <= (SELECT count(*) FROM incoming WHERE message ? 'join_accept'), true, 'again, at most joins are stored')
  FROM (SELECT array_agg(message::text ORDER BY n) AS all_of_them FROM incoming) a, of_lines.ingest(all_of_them) r;
SELECT is((SELECT count(*) FROM of_lines.uplink), (SELECT count(*) FROM reference.uplink), 'uplinks are there once');

-- Sets around the largest size: at most 1,000 messages are stored at once.
CREATE FUNCTION pg_temp.uplinks(first integer, last integer) RETURNS text[] LANGUAGE sql AS $$
SELECT coalesce(array_agg(format('{"end_device_ids":{"dev_eui":"0004A30B001C0600","dev_addr":"260B1234","application_ids":{"application_id":"app1"}},"uplink_message":{"session_key_id":"AQ==","f_port":2,"f_cnt":%s,"frm_payload":"LhFe2aRcmQ==","received_at":"2024-05-01T12:00:00Z","app_s_key":{"kek_label":"app1-kek","encrypted_key":"7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"}}}', n) ORDER BY n DESC), '{}')
  FROM generate_series(first, last) n $$;
SELECT results_eq(format('SELECT * FROM of_each.ingest(pg_temp.uplinks(1, %s))', n), format('VALUES (%s::bigint, %s::bigint, 0::bigint)', n - before, before), n || ' messages')
  FROM (VALUES (0, 0), (1, 0), (999, 1), (1000, 999), (1001, 1000), (2500, 1001)) v (n, before);
SELECT results_eq($$SELECT * FROM of_each.ingest(ARRAY[NULL, 'x', NULL]::text[])$$, 'VALUES (0::bigint, 0::bigint, 1::bigint)', 'elements that are NULL are passed over');
SELECT is(of_each.ingest(NULL::text[]), NULL, 'an array that is NULL');

-- If one message among many fails, only that one is rejected.
CREATE FUNCTION pg_temp.refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN IF NEW.f_cnt = 5077 THEN RAISE EXCEPTION 'no 5077'; END IF; RETURN NEW; END$$;
CREATE TRIGGER refuse BEFORE INSERT ON of_each.uplink FOR EACH ROW EXECUTE FUNCTION pg_temp.refuse();
SELECT results_eq('SELECT * FROM of_each.ingest(pg_temp.uplinks(5001, 5200))', 'VALUES (199::bigint, 0::bigint, 1::bigint)', 'a trigger that refuses one uplink of 200');
SELECT is(reason, 'no 5077', 'which is rejected') FROM of_each.rejected WHERE sqlstate = 'P0001';
DROP TRIGGER refuse ON of_each.uplink;

-- A message that is rejected many times makes few versions of its row, or the time would grow with the square of
-- their number; tries counts all.
SELECT pg_stat_get_xact_tuples_updated('of_each.rejected'::regclass) AS updated \gset
SELECT results_eq($$SELECT * FROM of_each.ingest(array_fill('{"bad": 1}'::text, ARRAY[900]) || '{"bad": 2}'::text || '{"bad": 1}'::text)$$, 'VALUES (0::bigint, 0::bigint, 902::bigint)', 'equal messages are rejected');
SELECT cmp_ok(pg_stat_get_xact_tuples_updated('of_each.rejected'::regclass) - :updated, '<', 10::bigint, 'with few versions of the row');
SELECT results_eq($$SELECT tries FROM of_each.rejected WHERE message ? 'bad' ORDER BY id$$, 'VALUES (901), (1)', 'and each of them is counted');
DELETE FROM of_each.rejected WHERE message ? 'bad';

-- Messages in the types that drivers send: json, and the bytes of a body
SELECT is(of_each.ingest((pg_temp.uplinks(6001, 6001))[1]::json), 'uplink', 'json');
SELECT is(of_each.ingest(convert_to((pg_temp.uplinks(6002, 6002))[1], 'UTF8')), 'uplink', 'bytes');
SELECT is(of_each.ingest('\x7bff7d'::bytea), 'rejected', 'bytes that are no UTF-8');
SELECT is(convert_from(string_agg(key_vault.unwrap(key), '' ORDER BY n), 'UTF8'), 'not UTF-8 text, in hexadecimal digits: 7bff7d', 'are kept in digits')
  FROM of_each.rejected_key WHERE rejected_id = (SELECT max(id) FROM of_each.rejected);
SELECT is(count(*), 2::bigint, 'the others are stored') FROM of_each.uplink WHERE f_cnt IN (6001, 6002);

-- A line for the inbox of one storage within a statement that fills the inbox of another, and within a savepoint that
-- is rolled back
CREATE FUNCTION pg_temp.hand_on(line text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    BEGIN
        INSERT INTO of_inbox.inbox VALUES (line);
        RAISE EXCEPTION 'undone';
    EXCEPTION WHEN raise_exception THEN
        NULL;
    END;
    INSERT INTO of_each.inbox VALUES (line);
    RETURN line;
END
$$;
SELECT count(*) AS before FROM of_inbox.uplink \gset
INSERT INTO of_inbox.inbox SELECT pg_temp.hand_on(line) FROM unnest(pg_temp.uplinks(7001, 7010)) line;
SELECT is((SELECT count(*) FROM of_inbox.uplink) - :before, 10::bigint, 'the outer statement''s lines are stored');
SELECT is(count(*), 10::bigint, 'and the inner one''s') FROM of_each.uplink WHERE f_cnt BETWEEN 7001 AND 7010;
-- If the trigger at the end of the statement is disabled, each line is stored at once.
ALTER TABLE of_inbox.inbox DISABLE TRIGGER ingest_end;
INSERT INTO of_inbox.inbox SELECT unnest(pg_temp.uplinks(8001, 8003));
SELECT is(count(*), 3::bigint, 'no line is lost where a trigger is disabled') FROM of_inbox.uplink WHERE f_cnt BETWEEN 8001 AND 8003;
SELECT is_empty('SELECT * FROM of_inbox.inbox', 'nor written to the inbox');

SELECT * FROM finish();
ROLLBACK;
