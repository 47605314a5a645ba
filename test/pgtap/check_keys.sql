--
-- check_keys() says of every column how many keys open and why the others do not.  It shows no key.
--
\set ECHO none
\set QUIET 1
SET client_min_messages = error;
-- With row_security on, policies hide rows instead of raising an error.
ALTER DATABASE :"DBNAME" SET row_security = on;
\c
SET client_min_messages = error;
SELECT no_plan();
CREATE FUNCTION checked() RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(concat_ws(' ', relation, "column", coalesce(keys::text, '?'), coalesce(opened::text, '?'),
                                regexp_replace(problems::text, 'key check value [0-9a-f]+', 'key check value KCV', 'g')), E'\n' ORDER BY relation::text, "column")
      FROM key_vault.check_keys() $$;
SELECT is(checked(), NULL, 'no column, no row');

-- Keys in columns, arrays, domains and row types: 7; 3 times 2, of which one is NULL; 2; and 1
SELECT key_vault.kek_create(label) FROM unnest(ARRAY['net', 'app', 'away', 'gone', 'unsealed']) label \g /dev/null
CREATE DOMAIN checked_key AS key_vault.wrapped_key;
CREATE TYPE pair AS (a key_vault.wrapped_key, b key_vault.wrapped_key);
CREATE TABLE device (key key_vault.wrapped_key, list key_vault.wrapped_key[], domain checked_key, pair pair, n integer);
INSERT INTO device (key) SELECT key_vault.generate_key('net') FROM generate_series(1, 7);
INSERT INTO device (list) SELECT ARRAY[key_vault.generate_key('app'), CASE WHEN n > 1 THEN key_vault.generate_key('net', 33) END] FROM generate_series(1, 3) n;
INSERT INTO device (domain) SELECT key_vault.bind(key_vault.generate_key('net'), '\x260B1234') FROM generate_series(1, 2);
INSERT INTO device (pair) VALUES (ROW(key_vault.generate_key('app'), NULL)::pair);
CREATE TABLE heir () INHERITS (device);
INSERT INTO heir (key) VALUES (key_vault.generate_key('net'));
SELECT is(checked(), E'device domain 2 2\ndevice key 7 7\ndevice list 5 5\ndevice pair 1 1\nheir domain 0 0\nheir key 1 1\nheir list 0 0\nheir pair 0 0', 'all open');
DROP TABLE heir;

-- Keys that do not open: 2 with a bit changed (the last 8 bytes are the end of the last line of hexadecimal digits),
-- 1 of another database, 3 under a suspended KEK, 1 under a destroyed KEK, 2 under a KEK whose root key is not here.
CREATE FUNCTION with_last_digit_changed(key key_vault.wrapped_key) RETURNS key_vault.wrapped_key LANGUAGE sql AS
$$SELECT (left(key::text, -1) || CASE right(key::text, 1) WHEN '0' THEN '1' ELSE '0' END)::key_vault.wrapped_key$$;
CREATE TABLE restored (key key_vault.wrapped_key);
INSERT INTO restored SELECT key_vault.generate_key('net') FROM generate_series(1, 4);
INSERT INTO restored SELECT with_last_digit_changed(key_vault.generate_key('net')) FROM generate_series(1, 2);
INSERT INTO restored VALUES ('kv1:aes-kw:00000000-0000-0000-0000-000000000000:000000000000000000000000000000000000000000000000');
INSERT INTO restored SELECT key_vault.generate_key('away') FROM generate_series(1, 3);
INSERT INTO restored SELECT key_vault.generate_key('gone');
INSERT INTO restored SELECT key_vault.generate_key('unsealed') FROM generate_series(1, 2);
SELECT key_vault.kek_suspend('away', 1), key_vault.kek_destroy('gone', 1, force => true) \g /dev/null
SET session_replication_role = replica;
UPDATE key_vault.kek SET root_key_id = '\x0102030405' WHERE label = 'unsealed';
RESET session_replication_role;
SELECT currval('__tresults___numb_seq') AS tests \gset
\c
SET client_min_messages = error;
SELECT no_plan();
SELECT setval('__tresults___numb_seq', :tests) \g /dev/null
SELECT is((keys, opened), (13::bigint, 4::bigint), 'how many open') FROM key_vault.check_keys() WHERE relation = 'restored'::regclass;
SELECT is((SELECT jsonb_object_agg(CASE WHEN key LIKE '%root key%' THEN 'root key' ELSE key END, value) FROM jsonb_each(problems)),
    '{"integrity failure": 2, "KEK unknown": 1, "KEK suspended": 3, "KEK destroyed": 1, "root key": 2}', 'and why the others do not')
  FROM key_vault.check_keys() WHERE relation = 'restored'::regclass;
SELECT is((SELECT count(*) FROM key_vault.check_keys() WHERE keys IS DISTINCT FROM opened), 1::bigint, 'one column is named');
SELECT is((SELECT count(*) FROM key_vault.check_keys() c, device d WHERE d.key IS NOT NULL AND strpos(c::text, encode(key_vault.unwrap(d.key), 'hex')) > 0), 0::bigint, 'no key is shown');

-- A role that may open keys of a label, or administers the label, may check its keys; no other role may.  All rows
-- are checked, even those that a policy hides.
CREATE ROLE kv_check_reader;
CREATE ROLE kv_check_owner;
GRANT SELECT ON device TO kv_check_reader;
CREATE TABLE guarded (key key_vault.wrapped_key);
INSERT INTO guarded SELECT key_vault.generate_key(l) FROM unnest(ARRAY['net', 'net', 'app']) l;
ALTER TABLE guarded OWNER TO kv_check_owner;
CREATE POLICY nothing ON guarded USING (false);
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
ALTER TABLE guarded FORCE ROW LEVEL SECURITY;
GRANT SELECT ON guarded TO kv_check_reader;
DROP TABLE restored;
SELECT is(checked() ~ '^device domain 2 2\ndevice key 7 7\ndevice list 5 5\ndevice pair 1 1\nguarded key 3 3$', true, 'rows that a policy hides');
SET ROLE kv_check_reader;
SELECT is((SELECT count(*) FROM guarded), 0::bigint, 'the reader sees none');
SELECT is((keys, opened, problems), (3::bigint, 0::bigint, '{"permission denied for KEK label \"app\"": 1, "permission denied for KEK label \"net\"": 2}'::jsonb), 'SELECT alone opens nothing')
  FROM key_vault.check_keys() WHERE relation = 'guarded'::regclass;
RESET ROLE;
SELECT key_vault.kek_grant('net', 'kv_check_reader', 'admin'), key_vault.kek_grant('app', 'kv_check_reader', 'wrap') \g /dev/null
SET ROLE kv_check_reader;
SELECT is((keys, opened, problems), (3::bigint, 2::bigint, '{"permission denied for KEK label \"app\"": 1}'::jsonb), 'admin does, wrap does not')
  FROM key_vault.check_keys() WHERE relation = 'guarded'::regclass;
RESET ROLE;
SELECT key_vault.kek_grant('app', 'kv_check_reader', 'decrypt') \g /dev/null
REVOKE SELECT ON device FROM kv_check_reader;
SET ROLE kv_check_reader;
SELECT is((keys, opened, problems), (3::bigint, 3::bigint, NULL::jsonb), 'so does decrypt') FROM key_vault.check_keys() WHERE relation = 'guarded'::regclass;
SELECT is((keys, opened, problems), (NULL::bigint, NULL::bigint, '{"permission denied for column \"key\" of table device": null}'::jsonb), 'a column that is not for the caller')
  FROM key_vault.check_keys() WHERE relation = 'device'::regclass AND "column" = 'key';
RESET ROLE;

-- Code of a table's owner runs as the owner, but the keys are opened with the privileges of the caller.
CREATE FUNCTION spy(text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF EXISTS (SELECT FROM public.switch) AND current_user <> 'kv_check_owner' THEN RAISE EXCEPTION 'runs as %', current_user; END IF;
    RETURN true;
END $$;
CREATE TABLE switch ();
GRANT ALL ON switch TO PUBLIC;
GRANT CREATE ON SCHEMA public TO kv_check_owner;
SET ROLE kv_check_owner;
CREATE INDEX ON guarded ((1)) WHERE public.spy('x');
RESET ROLE;
INSERT INTO switch DEFAULT VALUES;
SELECT currval('__tresults___numb_seq') AS tests \gset
\c
SET client_min_messages = error;
SELECT no_plan();
SELECT setval('__tresults___numb_seq', :tests) \g /dev/null
SELECT is((keys, opened, problems), (3::bigint, 3::bigint, NULL::jsonb), 'code of the owner runs as the owner') FROM key_vault.check_keys() WHERE relation = 'guarded'::regclass;
SELECT is(current_user::text, session_user::text, 'and the caller is who he was');

DROP TABLE guarded;
DROP OWNED BY kv_check_reader, kv_check_owner;
DROP ROLE kv_check_reader, kv_check_owner;
SELECT * FROM finish();
