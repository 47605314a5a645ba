--
-- Settings that change what a literal, an identifier or an expression in the text of a function means.  An extension
-- that is made under them must be the same as one that is made without them, and its functions must do the same.
--
-- standard_conforming_strings cannot be a setting of a server in which other tests run, since it changes their own
-- literals.  The key and its KEK are those of RFC 3394, section 4.1.
--
\set ECHO none
\set QUIET 1
SET client_min_messages = error;
SELECT current_database() AS before \gset
DROP DATABASE IF EXISTS key_vault_pgtap_settings;
CREATE DATABASE key_vault_pgtap_settings;
ALTER DATABASE key_vault_pgtap_settings SET client_min_messages = error;
ALTER DATABASE key_vault_pgtap_settings SET default_transaction_isolation = 'read committed';
\c key_vault_pgtap_settings
CREATE EXTENSION pgtap;
SELECT no_plan();
-- All objects of the extension, as text that does not depend on any of these settings
CREATE FUNCTION things() RETURNS SETOF text LANGUAGE sql SET search_path = pg_catalog
SET quote_all_identifiers = off SET IntervalStyle = postgres SET DateStyle = ISO SET bytea_output = hex SET extra_float_digits = 1 AS $$
WITH member AS (SELECT d.classid, d.objid FROM pg_depend d WHERE d.deptype = 'e' AND d.refobjid = (SELECT e.oid FROM pg_extension e WHERE e.extname = 'key_vault'))
SELECT 'comment ' || pg_describe_object(d.classoid, d.objoid, d.objsubid) || ': ' || d.description FROM pg_description d JOIN member m ON (m.classid, m.objid) = (d.classoid, d.objoid)
UNION ALL SELECT 'function ' || pg_describe_object('pg_proc'::regclass, p.oid, 0) || p.prosrc || translate(coalesce(p.proconfig::text, ''), E'\\"', '') || coalesce(pg_get_function_sqlbody(p.oid), '') FROM pg_proc p JOIN member m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid
UNION ALL SELECT 'view ' || c.relname || pg_get_viewdef(c.oid) FROM pg_class c JOIN member m ON m.objid = c.oid WHERE c.relkind = 'v'
UNION ALL SELECT 'constraint ' || k.conname || pg_get_constraintdef(k.oid) FROM pg_constraint k JOIN member m ON m.objid IN (k.conrelid, k.contypid) AND m.objid <> 0
UNION ALL SELECT 'default ' || a.adrelid::regclass || a.adnum || pg_get_expr(a.adbin, a.adrelid) FROM pg_attrdef a JOIN member m ON m.objid = a.adrelid
$$;
CREATE EXTENSION key_vault;
CREATE TABLE without AS SELECT things() AS thing;
DROP EXTENSION key_vault;
SET standard_conforming_strings = off;
SET backslash_quote = off;
SET quote_all_identifiers = on;
SET transform_null_equals = on;
SET array_nulls = off;
SET bytea_output = escape;
SET IntervalStyle = sql_standard;
SET DateStyle = German;
SET TimeZone = 'Pacific/Chatham';
SET extra_float_digits = -15;
SET plpgsql.variable_conflict = use_column;
CREATE EXTENSION key_vault;
SELECT cmp_ok(count(*), '>', 500::bigint, 'the extension has comments, functions, views, constraints and defaults') FROM without;
SELECT set_eq('SELECT things()', 'SELECT thing FROM without', 'made under odd settings, it is the same');

-- The functions, called under these settings
SELECT is(key_vault.kek_import('app', decode('000102030405060708090a0b0c0d0e0f', 'hex')), 1, 'a KEK is imported');
CREATE TABLE key AS SELECT key_vault.import_envelope('app', decode('1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5', 'hex'), 'app') AS key;
SELECT is(encode(key_vault.unwrap(key), 'hex'), '00112233445566778899aabbccddeeff', 'a key is unwrapped') FROM key;
SELECT is(key_vault.kek_rotate('app'), 2, 'the KEK is rotated');
SELECT is(string_agg(concat_ws(' ', kek_version, relation, keys), ', '), '1 "key" 1', 'keys are counted') FROM key_vault.kek_usage();
SELECT throws_ok($$SELECT key_vault.kek_destroy('app', 1)$$, 'KV008', NULL, 'the KEK is not destroyed while it is needed');
CALL key_vault.rewrap_all('app');
SELECT is(complete, true, 'keys are rewrapped') FROM (SELECT bool_and(state = 'done') AS complete FROM key_vault.rewrap_progress) r;
SELECT is(encode(key_vault.unwrap(key), 'hex'), '00112233445566778899aabbccddeeff', 'and are the same') FROM key;
SELECT isnt(key_vault.kek_schedule_destroy('app', 1, interval '0'), NULL, 'a destruction is scheduled');
SELECT is(key_vault.kek_destroy_due(), 1, 'and done');
SELECT is(string_agg(concat_ws(' ', version, state), ', ' ORDER BY version), '1 destroyed, 2 active', 'which the view shows') FROM key_vault.keks;
SELECT is(key_vault.kek_grant('app', 'pg_monitor', 'decrypt'), true, 'a privilege is granted');
SELECT is(string_agg(concat_ws(' ', label, role, privileges), ', '), 'app "pg_monitor" decrypt', 'which the view shows, too') FROM key_vault.kek_privileges WHERE role = 'pg_monitor'::regrole;
SELECT throws_ok($$UPDATE key_vault.kek SET label = 'other'$$, '55000', NULL, 'the table is guarded');
SELECT throws_ok('DELETE FROM key_vault.audit_log', '55000', NULL, 'and so is the audit log');
SELECT cmp_ok(count(*), '>', 4::bigint, 'which has the events') FROM key_vault.audit_log;
SELECT is(count(*), 1::bigint, 'KEKs are monitored') FROM key_vault.kek_health;

SELECT * FROM finish();
\c :before
SET client_min_messages = error;
DROP DATABASE key_vault_pgtap_settings;
