--
-- Decoders: functions of a storage's owner that make values of payloads while others read.
--
-- The owner has no rights of the reader's, and the reader none of the owner's.  Each application has another decoder
-- and one uplink, with the payload 0167010e02684a: 27.0 degrees and 37 percent in Cayenne LPP.
--
\set ECHO none
\set QUIET 1
SET client_min_messages = error;
BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS key_vault;
SELECT no_plan();
LOAD 'key_vault';
DROP ROLE IF EXISTS kv_decoder_owner, kv_decoder_member, kv_decoder_reader, kv_decoder_stranger, kv_decoder_ingester;
CREATE ROLE kv_decoder_owner;
CREATE ROLE kv_decoder_member IN ROLE kv_decoder_owner;
CREATE ROLE kv_decoder_reader;
CREATE ROLE kv_decoder_stranger;
CREATE ROLE kv_decoder_ingester;
SELECT key_vault.kek_create('farm'), key_vault.kek_create('hidden'), key_vault.kek_create('of the reader'),
       key_vault.kek_grant('farm', 'kv_decoder_reader', 'decrypt'), key_vault.kek_grant('of the reader', 'kv_decoder_reader', 'unwrap') \g /dev/null
CREATE SCHEMA farm AUTHORIZATION kv_decoder_owner;
CREATE SCHEMA "Odd Schema" AUTHORIZATION kv_decoder_owner;
CREATE SCHEMA of_reader AUTHORIZATION kv_decoder_reader;
GRANT USAGE ON SCHEMA of_reader TO kv_decoder_owner;
CREATE TABLE of_reader.secret AS SELECT key_vault.generate_key('of the reader') AS key, 'of the reader' AS text;
GRANT SELECT ON of_reader.secret TO kv_decoder_reader;
CREATE FUNCTION public.error_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;

SET ROLE kv_decoder_owner;
CALL key_vault.create_storage('farm');
CREATE TABLE farm.calibration AS SELECT 10 AS divisor;
CREATE TABLE farm.note (text text);
CREATE FUNCTION farm.plain(payload bytea, f_port integer) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN jsonb_build_object('port', f_port, 'bytes', length(payload));
END
$$;
CREATE FUNCTION farm.in_sql(payload bytea, f_port integer) RETURNS jsonb LANGUAGE sql STABLE AS $$
SELECT jsonb_build_object('temperature', (get_byte(payload, 2) << 8 | get_byte(payload, 3)) / c.divisor) FROM farm.calibration c
$$;
CREATE FUNCTION "Odd Schema"."De.code"(bytea, integer) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$ SELECT '[]'::jsonb $$;
CREATE FUNCTION farm.nothing(bytea, integer) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$ SELECT NULL::jsonb $$;
CREATE FUNCTION farm.raises(payload bytea, f_port integer) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RAISE 'no sensor sends %', payload USING ERRCODE = 'P0099'; END $$;
CREATE FUNCTION farm.says_canceled(bytea, integer) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RAISE query_canceled USING MESSAGE = 'not canceled'; END $$;
CREATE FUNCTION farm.says_full(bytea, integer) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RAISE disk_full USING MESSAGE = 'not full'; END $$;
CREATE FUNCTION farm.asserts(bytea, integer) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN ASSERT false, 'not true'; END $$;
CREATE FUNCTION farm.no_json(bytea, integer) RETURNS jsonb LANGUAGE sql AS $$ SELECT 'x{'::text::jsonb $$;
CREATE FUNCTION farm.recurses(payload bytea, f_port integer) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN farm.recurses(payload, f_port); END $$;
CREATE FUNCTION farm.writes(bytea, integer) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN INSERT INTO farm.note VALUES ('written'); RETURN '{}'; END $$;
CREATE FUNCTION farm.is_set(bytea, integer) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('search_path', 'farm', false), set_config('DateStyle', 'SQL', false), set_config('key_vault.reject_reason', 'decoder', false);
    RETURN '{}';
END
$$;
CREATE FUNCTION farm.random(bytea, integer) RETURNS jsonb LANGUAGE sql VOLATILE AS $$ SELECT to_jsonb(random()) $$;
CREATE TABLE farm.toasted AS SELECT jsonb_agg(sha256(int4send(n))) AS long FROM generate_series(1, 1000) n;
CREATE FUNCTION farm.stored(bytea, integer) RETURNS jsonb LANGUAGE sql STABLE AS $$ SELECT t.long FROM farm.toasted t $$;
-- It does what the reader may do, or gets more rights; and returns what succeeded.
CREATE FUNCTION farm.hostile(bytea, integer) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    attempt text;
    succeeded text[] := '{}';
BEGIN
    FOREACH attempt IN ARRAY ARRAY[
        'SELECT text FROM of_reader.secret', 'SELECT key_vault.unwrap(key) FROM of_reader.secret', 'SELECT readers_function()',
        'RESET ROLE', 'SET ROLE NONE', 'SET ROLE kv_decoder_reader', 'SET LOCAL ROLE kv_decoder_reader', 'SET SESSION AUTHORIZATION DEFAULT',
        'SET TRANSACTION READ WRITE', 'INSERT INTO farm.note VALUES (1)', 'CREATE TABLE farm.left_behind ()',
        'PREPARE left_behind AS SELECT 1', 'DECLARE left_behind CURSOR WITH HOLD FOR SELECT 1', 'LISTEN left_behind',
        'CREATE TEMPORARY TABLE left_behind (n integer)', 'ALTER ROLE kv_decoder_owner SUPERUSER',
        $q$SELECT key_vault.kek_grant('farm', 'kv_decoder_owner', 'unwrap')$q$] LOOP
        BEGIN
            EXECUTE attempt;
            succeeded := succeeded || attempt;
        EXCEPTION WHEN OTHERS THEN NULL;
        END;
    END LOOP;
    RETURN jsonb_build_object('role', current_user, 'search_path', current_setting('search_path'), 'succeeded', succeeded);
END
$$;
CREATE FUNCTION farm.sleeps(bytea, integer) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(3600); RETURN '{}'; END $$;
CREATE FUNCTION farm.sleeps_on(bytea, integer) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_sleep(3600);
EXCEPTION WHEN query_canceled THEN
    RETURN '{"canceled": false}';
END
$$;
CREATE FUNCTION farm.sorts(bytea, integer) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT to_jsonb(max(n)) FROM (SELECT n FROM generate_series(1, 100000) n ORDER BY -n OFFSET 0) sorted);
END
$$;
CREATE FUNCTION farm.dropped(bytea, integer) RETURNS jsonb LANGUAGE sql AS $$ SELECT '{}'::jsonb $$;
CREATE FUNCTION farm.given_away(bytea, integer) RETURNS jsonb LANGUAGE sql AS $$ SELECT '{}'::jsonb $$;
-- What is no decoder
CREATE FUNCTION farm.gives_text(bytea, integer) RETURNS text LANGUAGE sql AS $$ SELECT '{}'::text $$;
CREATE FUNCTION farm.gives_rows(bytea, integer) RETURNS SETOF jsonb LANGUAGE sql AS $$ SELECT '{}'::jsonb $$;
CREATE FUNCTION farm.of_bytes(bytea) RETURNS jsonb LANGUAGE sql AS $$ SELECT '{}'::jsonb $$;
CREATE PROCEDURE farm.procedure(bytea, integer) LANGUAGE sql AS $$ SELECT 1 $$;
RESET ROLE;
CREATE FUNCTION of_reader.decode(bytea, integer) RETURNS jsonb LANGUAGE sql AS $$ SELECT '{}'::jsonb $$;
ALTER FUNCTION of_reader.decode(bytea, integer) OWNER TO kv_decoder_stranger;
CREATE FUNCTION of_reader.readers_function() RETURNS integer LANGUAGE sql AS $$ SELECT 1 $$;
CREATE FUNCTION of_reader.of_member(bytea, integer) RETURNS jsonb LANGUAGE sql AS $$ SELECT '{}'::jsonb $$;
ALTER FUNCTION of_reader.of_member(bytea, integer) OWNER TO kv_decoder_member;
CREATE FUNCTION of_reader.of_superuser(bytea, integer) RETURNS jsonb LANGUAGE sql AS $$ SELECT to_jsonb(current_user::text) $$;
CREATE FUNCTION of_reader.for_others(bytea, integer) RETURNS jsonb LANGUAGE sql AS $$ SELECT '{}'::jsonb $$;
REVOKE EXECUTE ON FUNCTION of_reader.for_others(bytea, integer) FROM PUBLIC;

--
-- Naming
--
SET ROLE kv_decoder_owner;
INSERT INTO farm.application (application_id, decoder) VALUES
    ('lpp', 'key_vault.cayenne_lpp'), ('malformed', 'key_vault.cayenne_lpp'), ('plain', 'farm.plain'), ('in_sql', 'farm.in_sql'), ('odd', '"Odd Schema"."De.code"'),
    ('nothing', 'farm.nothing'), ('raises', 'farm.raises'), ('says_canceled', 'farm.says_canceled'), ('says_full', 'farm.says_full'),
    ('asserts', 'farm.asserts'), ('no_json', 'farm.no_json'), ('recurses', 'farm.recurses'), ('writes', 'farm.writes'), ('is_set', 'farm.is_set'), ('random', 'farm.random'),
    ('stored', 'farm.stored'), ('hostile', 'farm.hostile'), ('dropped', 'farm.dropped'), ('given_away', 'farm.given_away'), ('of_member', 'of_reader.of_member'),
    ('of_superuser', 'of_reader.of_superuser'), ('hidden', 'farm.raises');
INSERT INTO farm.application (application_id, kek_label) VALUES ('none', 'farm');
SELECT is(public.error_of(format('UPDATE farm.application SET decoder = %L WHERE application_id = ''none''', decoder)), '22023 ' || error, decoder)
  FROM (VALUES ('plain', 'decoder "plain" is not the name of a function with its schema'),
               ('', 'decoder "" is not the name of a function with its schema'),
               ('a.farm.plain', 'decoder "a.farm.plain" is not the name of a function with its schema'),
               ('farm.plain(bytea, integer)', 'decoder "farm.plain(bytea, integer)" is not the name of a function with its schema'),
               ('farm.absent', 'decoder farm.absent(bytea, integer) does not exist'),
               ('nowhere.plain', 'decoder nowhere.plain(bytea, integer) does not exist'),
               ('farm.of_bytes', 'decoder farm.of_bytes(bytea, integer) does not exist'),
               ('farm.gives_text', 'decoder farm.gives_text(bytea, integer) does not return jsonb'),
               ('farm.gives_rows', 'decoder farm.gives_rows(bytea, integer) does not return jsonb'),
               ('farm.procedure', 'decoder farm.procedure(bytea, integer) does not return jsonb'),
               ('of_reader.decode', 'decoder of_reader.decode(bytea, integer) belongs to role "kv_decoder_stranger", who could replace it'),
               ('of_reader.for_others', 'role "kv_decoder_owner" may not execute decoder of_reader.for_others(bytea, integer)')) v (decoder, error);
RESET ROLE;
SELECT is(public.error_of('UPDATE farm.application SET decoder = ''of_reader.decode'' WHERE application_id = ''none'''), '22023 decoder of_reader.decode(bytea, integer) belongs to role "kv_decoder_stranger", who could replace it', 'nor does a superuser name the function of another role');
-- A role that takes in messages may write to all tables.
GRANT USAGE ON SCHEMA farm TO kv_decoder_ingester;
GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA farm TO kv_decoder_ingester;
SET ROLE kv_decoder_ingester;
SELECT is(public.error_of(statement), '42501 must be owner of table application to name a decoder', statement)
  FROM unnest(ARRAY['INSERT INTO farm.application VALUES (''new'', NULL, ''farm.plain'')',
                    'INSERT INTO farm.application VALUES (''none'', NULL, ''farm.plain'') ON CONFLICT (application_id) DO UPDATE SET decoder = excluded.decoder',
                    'UPDATE farm.application SET decoder = ''farm.plain'' WHERE application_id = ''none''',
                    'UPDATE farm.application SET decoder = ''farm.plain'' WHERE application_id = ''raises''',
                    'UPDATE farm.application SET decoder = NULL WHERE application_id = ''raises''',
                    'UPDATE farm.application SET application_id = ''new'' WHERE application_id = ''raises''']) statement;
SELECT is(public.error_of(statement), 'no error', statement)
  FROM unnest(ARRAY['INSERT INTO farm.application VALUES (''new'', ''farm'')', 'UPDATE farm.application SET kek_label = ''farm'' WHERE application_id IN (''none'', ''raises'')',
                    'UPDATE farm.application SET application_id = ''newer'' WHERE application_id = ''new''']) statement;
SET ROLE kv_decoder_member;
SELECT is(public.error_of('UPDATE farm.application SET decoder = ''farm.plain'' WHERE application_id = ''newer'''), 'no error', 'a member of the owner names one');
RESET ROLE;

--
-- Reading
--
DROP FUNCTION farm.dropped(bytea, integer);
ALTER FUNCTION farm.given_away(bytea, integer) OWNER TO kv_decoder_stranger;
INSERT INTO farm.session (dev_eui, session_key_id, application_id, dev_addr, app_s_key, started_at)
SELECT int8send(n), int8send(n), a.application_id, int4send(n::integer), key_vault.generate_key(CASE a.application_id WHEN 'hidden' THEN 'hidden' ELSE 'farm' END), '2024-05-01 00:00Z'
  FROM (SELECT a.application_id, row_number() OVER (ORDER BY a.application_id COLLATE "C") AS n FROM farm.application a) a;
INSERT INTO farm.uplink (dev_eui, session_key_id, f_cnt, f_port, encrypted, dev_addr, frm_payload, application_id, received_at)
SELECT s.dev_eui, s.session_key_id, 1, 2, true, s.dev_addr,
       key_vault.lorawan_encrypt_uplink(s.app_s_key, s.dev_addr, 1, CASE s.application_id WHEN 'malformed' THEN '\x0167010e0268'::bytea ELSE '\x0167010e02684a' END), s.application_id, '2024-05-01 00:00Z'
  FROM farm.session s;
INSERT INTO farm.uplink (dev_eui, f_cnt, f_port, encrypted, frm_payload, application_id, received_at) VALUES
    (int8send(1000), 1, 7, false, '\x0102', 'plain', '2024-05-01 00:00Z'), (int8send(1000), 2, 7, false, '', 'plain', '2024-05-01 00:00Z'), (int8send(1001), 1, 1, false, '\x01', 'unknown', '2024-05-01 00:00Z'),
    (int8send(1002), 1, 0, true, '\x01', 'plain', '2024-05-01 00:00Z');
GRANT USAGE ON SCHEMA farm TO kv_decoder_reader;
GRANT SELECT ON farm.uplink, farm.session, farm.device, farm.uplink_decrypted, farm.uplink_decoded TO kv_decoder_reader;
SET ROLE kv_decoder_reader;
SET LOCAL search_path = of_reader, public;
SELECT throws_ok('SELECT decoded FROM farm.uplink_decoded', '42501', 'permission denied for table application', 'a reader needs SELECT on the table that names decoders');
SELECT lives_ok('SELECT payload FROM farm.uplink_decoded', 'unless no value is asked for');
RESET ROLE;
GRANT SELECT ON farm.application TO kv_decoder_reader;
SET ROLE kv_decoder_reader;
SELECT results_eq('SELECT application_id || '' '' || f_port, decoded, status, decoder_error FROM farm.uplink_decoded
                    WHERE application_id NOT IN (''hostile'', ''random'', ''stored'', ''recurses'') ORDER BY application_id COLLATE "C", f_port, f_cnt',
    $$VALUES ('asserts 2', NULL::jsonb, 'decoder failed', 'not true'),
             ('dropped 2', NULL, 'decoder failed', 'decoder farm.dropped(bytea, integer) does not exist'),
             ('given_away 2', NULL, 'decoder failed', 'decoder farm.given_away(bytea, integer) belongs to role "kv_decoder_stranger", who could replace it'),
             ('hidden 2', NULL, 'not permitted', NULL),
             ('in_sql 2', '{"temperature": 27}', 'decoded', NULL),
             ('is_set 2', '{}', 'decoded', NULL),
             ('lpp 2', '{"temperature_1": 27.0, "relative_humidity_2": 37.0}', 'decoded', NULL),
             ('malformed 2', NULL, 'decoder failed', 'malformed payload in Cayenne LPP: relative_humidity at offset 4 is cut off'),
             ('newer 2', '{"port": 2, "bytes": 7}', 'decoded', NULL),
             ('no_json 2', NULL, 'decoder failed', 'invalid input syntax for type json'),
             ('none 2', NULL, 'no decoder', NULL),
             ('nothing 2', NULL, 'nothing decoded', NULL),
             ('odd 2', '[]', 'decoded', NULL),
             ('of_member 2', '{}', 'decoded', NULL),
             ('of_superuser 2', '"kv_decoder_owner"', 'decoded', NULL),
             ('plain 0', NULL, 'network payload', NULL),
             ('plain 2', '{"port": 2, "bytes": 7}', 'decoded', NULL),
             ('plain 7', '{"port": 7, "bytes": 2}', 'decoded', NULL),
             ('plain 7', '{"port": 7, "bytes": 0}', 'decoded', NULL),
             ('raises 2', NULL, 'decoder failed', 'no sensor sends ' || '\x0167010e02684a'::bytea::text),
             ('says_canceled 2', NULL, 'decoder failed', 'not canceled'),
             ('says_full 2', NULL, 'decoder failed', 'not full'),
             ('unknown 1', NULL, 'no decoder', NULL),
             ('writes 2', NULL, 'decoder failed', 'cannot execute INSERT in a read-only transaction')$$, 'each row has its values or its reason');
SELECT results_eq('SELECT status, decoder_error FROM farm.uplink_decoded WHERE application_id = ''recurses''', $$VALUES ('decoder failed', 'stack depth limit exceeded')$$, 'endless recursion');
SELECT results_eq('SELECT decoded, payload, device_id, simulated FROM farm.uplink_decoded WHERE application_id = ''lpp''', $$VALUES ('{"temperature_1": 27.0, "relative_humidity_2": 37.0}'::jsonb, '\x0167010e02684a'::bytea, NULL::text, false)$$, 'the columns of uplink_decrypted are there, too');
SELECT is(avg((decoded ->> 'temperature_1')::numeric), 27.0, 'an aggregate of values') FROM farm.uplink_decoded;
SELECT is(jsonb_array_length(decoded), 1000, 'a value that was stored out of line') FROM farm.uplink_decoded WHERE application_id = 'stored';
SELECT is(count(*), 1::bigint, 'the columns of a row come from one call')
  FROM (SELECT decoded AS one, decoded AS two FROM farm.uplink_decoded WHERE application_id = 'random' OFFSET 0) d WHERE one = two;
SELECT is(decoded, '{"role": "kv_decoder_owner", "search_path": "pg_catalog, pg_temp", "succeeded": []}', 'a decoder has the rights of the owner, and none of the reader''s')
  FROM farm.uplink_decoded WHERE application_id = 'hostile';
SELECT is(current_user || ', ' || current_setting('search_path') || ', ' || current_setting('transaction_read_only'), 'kv_decoder_reader, of_reader, public, off', 'the reader is as before');
SELECT is(current_setting('key_vault.reject_reason'), '', 'no setting stays');
SELECT throws_ok('SELECT * FROM farm.calibration', '42501', NULL, 'the reader may not read what decoders read');
SELECT throws_ok('SELECT key_vault.unwrap(app_s_key) FROM farm.session', '42501', NULL, 'nor see a key');
RESET ROLE;
GRANT USAGE ON SCHEMA farm TO kv_decoder_stranger;
SET ROLE kv_decoder_stranger;
SELECT throws_ok($$SELECT key_vault_internal.storage_decode('farm.application', 'in_sql', 2, '\x0167010e02684a')$$, '42501', 'permission denied for table application', 'a stranger does not call decoders');
RESET ROLE;
SELECT is((SELECT count(*) FROM farm.note), 0::bigint, 'nothing is written');
RESET search_path;
CREATE MATERIALIZED VIEW public.latest AS SELECT application_id, decoded FROM farm.uplink_decoded;
SELECT is(decoded ->> 'role', 'kv_decoder_owner', 'a materialised view, while it is made') FROM public.latest WHERE application_id = 'hostile';
REFRESH MATERIALIZED VIEW public.latest;
SELECT is(decoded ->> 'role', 'kv_decoder_owner', 'and while it is refreshed') FROM public.latest WHERE application_id = 'hostile';

-- Subtransactions are not allowed in parallel plans.
SET LOCAL parallel_setup_cost = 0;
SET LOCAL parallel_tuple_cost = 0;
SET LOCAL min_parallel_table_scan_size = 0;
SELECT set_config(name, 'on', true) FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query') \g /dev/null
CREATE FUNCTION public.plan_of(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    line text;
    result text := '';
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS off) ' || query LOOP
        result := result || line || E'\n';
    END LOOP;
    RETURN result;
END
$$;
SELECT alike(plan_of('SELECT payload FROM farm.uplink_decrypted'), '%Gather%', 'the view without values is read in parallel');
SELECT unalike(plan_of('SELECT decoded FROM farm.uplink_decoded'), '%Gather%', 'the view with values is not');
SELECT is(count(decoded), 13::bigint, 'and is read all the same') FROM farm.uplink_decoded;

-- A cancellation ends the statement, also if the decoder catches it.
SET ROLE kv_decoder_owner;
INSERT INTO farm.application (application_id, decoder) VALUES ('sleeps', 'farm.sleeps'), ('sleeps on', 'farm.sleeps_on'), ('sorts', 'farm.sorts');
INSERT INTO farm.uplink (dev_eui, f_cnt, f_port, encrypted, frm_payload, application_id, received_at) VALUES
    (int8send(2000), 1, 7, false, '\x0102', 'sleeps', '2024-05-01 00:00Z'), (int8send(2001), 1, 7, false, '\x0102', 'sleeps on', '2024-05-01 00:00Z'),
    (int8send(2002), 1, 7, false, '\x0102', 'sorts', '2024-05-01 00:00Z');
SET ROLE kv_decoder_reader;
\set ON_ERROR_STOP 0
SAVEPOINT before;
SET LOCAL statement_timeout = '100ms';
SELECT decoded FROM farm.uplink_decoded WHERE application_id = 'sleeps';
\set state :SQLSTATE
ROLLBACK TO before;
SELECT is(:'state' || ' ' || :'LAST_ERROR_MESSAGE', '57014 canceling statement due to statement timeout', 'a decoder that takes too long');
SET LOCAL statement_timeout = '100ms';
SELECT decoded FROM farm.uplink_decoded WHERE application_id = 'sleeps on';
\set state :SQLSTATE
ROLLBACK TO before;
SELECT is(:'state' || ' ' || :'LAST_ERROR_MESSAGE', '57014 canceling statement due to statement timeout', 'and one that catches the error');
-- No more space on disk
RESET ROLE;
SET LOCAL temp_file_limit = 0;
SET LOCAL work_mem = '64kB';
SET LOCAL ROLE kv_decoder_reader;
SELECT decoded FROM farm.uplink_decoded WHERE application_id = 'sorts';
\set state :SQLSTATE
ROLLBACK TO before;
SELECT is(:'state'::text, '53400', 'an error of the server is one of the statement');
\set ON_ERROR_STOP 1
SELECT is(decoded, '100000', 'the same decoder with space') FROM farm.uplink_decoded WHERE application_id = 'sorts';
SELECT is(decoded, '{"port": 2, "bytes": 7}', 'others decode after it') FROM farm.uplink_decoded WHERE application_id = 'newer';
RESET ROLE;

SELECT * FROM finish();
ROLLBACK;
