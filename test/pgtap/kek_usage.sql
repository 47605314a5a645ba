--
-- kek_usage() and kek_destroy() count every key, even those that the caller cannot see.  If something cannot be
-- counted, they say so.
--
\set ECHO none
\set QUIET 1
SET client_min_messages = error;
-- With row_security on, policies hide rows; kek_destroy() needs READ COMMITTED.
ALTER DATABASE :"DBNAME" SET row_security = on;
ALTER DATABASE :"DBNAME" SET default_transaction_isolation = 'read committed';
\c
SET client_min_messages = error;
SELECT no_plan();
SELECT key_vault.kek_create('net') \g /dev/null
DROP ROLE IF EXISTS kv_usage_owner, kv_usage_reader;
CREATE ROLE kv_usage_owner;
CREATE ROLE kv_usage_reader;
SELECT key_vault.kek_grant('net', 'kv_usage_reader', 'admin'), key_vault.kek_grant('net', 'kv_usage_owner', 'wrap') \g /dev/null
GRANT CREATE ON SCHEMA public TO kv_usage_owner;
CREATE FUNCTION usage() RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(concat_ws(' ', relation, "column", kek_version, keys), ', ' ORDER BY relation::text, "column", kek_version) FROM key_vault.kek_usage() $$;

-- Row-level security, for the reader and for the owner
SET ROLE kv_usage_owner;
CREATE TABLE guarded (tenant name, key key_vault.wrapped_key);
INSERT INTO guarded SELECT v, key_vault.generate_key('net') FROM unnest(ARRAY['kv_usage_reader', 'else', 'else']) v;
CREATE POLICY own ON guarded USING (tenant = current_user);
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
ALTER TABLE guarded FORCE ROW LEVEL SECURITY;
GRANT SELECT, UPDATE ON guarded TO kv_usage_reader;
SELECT is((SELECT count(*) FROM guarded), 0::bigint, 'the owner sees none');
SELECT is(usage(), 'guarded key 1 3', 'kek_usage counts all, called by the owner');
SET ROLE kv_usage_reader;
SELECT is((SELECT count(*) FROM guarded), 1::bigint, 'the reader sees one');
SELECT is(usage(), 'guarded key 1 3', 'kek_usage counts all');
SET row_security = off;
SELECT is(usage(), 'guarded key 1 3', 'with row_security = off, too');
RESET row_security;
RESET ROLE;
REVOKE SELECT ON guarded FROM kv_usage_reader;
SET ROLE kv_usage_reader;
SELECT is(usage(), NULL, 'who may not read the column is told nothing');
SELECT throws_ok($$SELECT * FROM key_vault_internal.count_keys('guarded', 'key')$$, '42501', NULL, 'by no function');
RESET ROLE;
GRANT SELECT ON guarded TO kv_usage_reader;
SET ROLE kv_usage_reader;
SELECT key_vault.kek_rotate('net') \g /dev/null
SELECT throws_ok($$SELECT key_vault.kek_destroy('net', 1)$$, 'KV008', 'KEK label "net" version 1 still wraps 3 keys', 'kek_destroy counts all');
RESET ROLE;

-- A table that cannot be read, since its owner's code raises an error; here the error looks like a cancellation.
CREATE FUNCTION fails(text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF EXISTS (SELECT FROM public.switch) THEN RAISE EXCEPTION 'trap' USING ERRCODE = $1; END IF;
    RETURN true;
END $$;
CREATE TABLE switch ();
GRANT ALL ON switch TO kv_usage_owner;
SET ROLE kv_usage_owner;
CREATE TABLE trapped (key key_vault.wrapped_key);
CREATE INDEX ON trapped ((1)) WHERE fails('57014');
RESET ROLE;
INSERT INTO switch DEFAULT VALUES;
SELECT currval('__tresults___numb_seq') AS tests \gset
\c
SET client_min_messages = error;
SELECT no_plan();
SELECT setval('__tresults___numb_seq', :tests) \g /dev/null
SELECT is(usage(), 'guarded key 1 3', 'the others are counted');
SELECT throws_ok($$SELECT key_vault.kek_destroy('net', 1)$$, '38000', 'trap', 'but no KEK is destroyed then');
TRUNCATE switch;
DROP TABLE trapped;

-- A foreign table: nobody here knows which keys it has.
CREATE FOREIGN DATA WRAPPER kv_no_handler;
CREATE SERVER kv_nowhere FOREIGN DATA WRAPPER kv_no_handler;
CREATE FOREIGN TABLE remote (key key_vault.wrapped_key) SERVER kv_nowhere;
SELECT is(usage(), 'guarded key 1 3', 'what is far away is left out');
SELECT throws_ok($$SELECT key_vault.kek_destroy('net', 1)$$, '55000', NULL, 'and may need the KEK');
DROP FOREIGN TABLE remote;

-- A materialized view that was never refreshed, and one that was
CREATE MATERIALIZED VIEW empty AS SELECT key FROM guarded WITH NO DATA;
SELECT is(usage(), 'guarded key 1 3', 'a view that was never refreshed');
REFRESH MATERIALIZED VIEW empty;
SELECT is(usage(), 'empty key 1 3, guarded key 1 3', 'and is');
DROP MATERIALIZED VIEW empty;

-- In row types, ranges and arrays each key counts, and NULL does not.  With inheritance each row counts once.
CREATE TYPE kv_pair AS (a key_vault.wrapped_key, b key_vault.wrapped_key);
CREATE TABLE parent (pair kv_pair, list key_vault.wrapped_key[]);
CREATE TABLE child () INHERITS (parent);
INSERT INTO parent SELECT ROW(k, NULL)::kv_pair, ARRAY[k, NULL, k] FROM key_vault.generate_key('net') k;
INSERT INTO child SELECT ROW(k, k)::kv_pair, NULL FROM key_vault.generate_key('net') k;
SELECT is(usage(), 'child pair 2 2, guarded key 1 3, parent list 2 2, parent pair 2 1', 'each key once');

-- In ranges and multiranges, the bounds are keys; an empty range has none, and NULL is no bound.
CREATE TYPE kv_range AS RANGE (subtype = key_vault.wrapped_key, multirange_type_name = kv_multirange);
CREATE TABLE spans (span kv_range, several kv_multirange);
INSERT INTO spans
SELECT kv_range(k[1], NULL), kv_multirange(kv_range(k[1], k[2]), kv_range(k[3], k[4]), kv_range(k[5], NULL))
  FROM (SELECT array_agg(k ORDER BY k) FROM (SELECT key_vault.generate_key('net') FROM generate_series(1, 5)) keys (k)) made (k);
INSERT INTO spans VALUES ('empty', '{}'), (NULL, NULL);
SELECT is(usage(), 'child pair 2 2, guarded key 1 3, parent list 2 2, parent pair 2 1, spans several 2 5, spans span 2 1', 'each bound is a key');
SELECT is((SELECT cardinality(key_vault.kek_ids(several)) FROM spans WHERE NOT isempty(several)), 5, 'for kek_ids, too');
DROP TABLE spans;
DROP TYPE kv_range;

-- A version that is destroyed, and one that does not exist, each have an error of their own.
UPDATE guarded SET key = key_vault.rewrap(key);
SELECT lives_ok($$SELECT key_vault.kek_destroy('net', 1)$$, 'once all are rewrapped it is destroyed');
SELECT throws_ok($$SELECT key_vault.kek_destroy('net', 1)$$, 'KV003', 'KEK label "net" version 1 is already destroyed', 'and once only');
SELECT throws_ok($$SELECT key_vault.kek_destroy('net', 9)$$, 'KV001', NULL, 'no such version');
-- Several KEKs are destroyed in one transaction.
SELECT key_vault.kek_rotate('net'), key_vault.kek_rotate('net') \g /dev/null
UPDATE guarded SET key = key_vault.rewrap(key);
DROP TABLE child, parent;
SELECT key_vault.kek_schedule_destroy('net', v, '0') FROM generate_series(2, 3) v \g /dev/null
SELECT is(key_vault.kek_destroy_due(), 2, 'kek_destroy_due destroys several');
-- If the planner expects far more rows than there are, PostgreSQL compiles a query of some milliseconds just in time,
-- which takes most of a second.
CREATE FUNCTION expected_rows(query text) RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE
    plan json;
BEGIN
    EXECUTE 'EXPLAIN (FORMAT JSON) ' || query INTO plan;
    RETURN plan->0->'Plan'->>'Plan Rows';
END
$$;
SELECT cmp_ok(expected_rows('SELECT FROM key_vault.wrapped_key_columns'), '<', 10000::numeric, 'few columns of keys are expected');
DROP OWNED BY kv_usage_owner, kv_usage_reader;
DROP ROLE kv_usage_owner, kv_usage_reader;
SELECT * FROM finish();
