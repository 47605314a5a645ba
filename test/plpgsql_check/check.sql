-- What test/plpgsql_check/run does in its database.  Each function is a test.

CREATE SEQUENCE test;
-- A line of TAP
CREATE FUNCTION result(passes boolean, what text) RETURNS text LANGUAGE sql AS $$
SELECT CASE WHEN passes THEN 'ok ' ELSE 'not ok ' END || nextval('public.test') || ' - ' || what
$$;

CREATE EXTENSION key_vault;
CREATE EXTENSION plpgsql_check;
SELECT key_vault.kek_create('check') \g /dev/null
-- Functions that name tables without a schema are checked with the tables of this storage.
CALL key_vault.create_storage('My Storage', kek_label => 'check');

-- What the functions for hypertables use of TimescaleDB, which this database does not have
CREATE SCHEMA timescaledb_information
    CREATE TABLE hypertables (hypertable_schema name, hypertable_name name)
    CREATE TABLE chunks (hypertable_schema name, hypertable_name name, chunk_schema name, chunk_name name, range_start timestamptz, range_end timestamptz, is_compressed boolean)
    CREATE TABLE dimensions (hypertable_schema name, hypertable_name name, column_name name, time_interval interval);
CREATE SCHEMA _timescaledb_functions;
CREATE FUNCTION _timescaledb_functions.create_chunk(hypertable regclass, slices jsonb, schema_name name, table_name name) RETURNS void LANGUAGE sql AS '';

-- Findings that are right as they are, and why.
CREATE TABLE accepted (function regprocedure, finding text, reason text);
INSERT INTO accepted VALUES
    ('key_vault.kek_usage(text)', 'name of parameter "column" is reserved keyword', 'users know it under this name'),
    ('key_vault_internal.other_nodes()', 'relation "pg_dist_node" does not exist', 'a table of Citus, which is read only if it is there'),
    ('key_vault_internal.kek_require_unused_on_nodes(text,integer)', 'relation "pg_dist_local_group" does not exist', 'a table of Citus, which is read only if it is there'),
    ('key_vault.check_keys()', 'name of parameter "column" is reserved keyword', 'as kek_usage() calls it'),
    ('key_vault_internal.storage_make_partition(regclass,name,timestamptz,timestamptz,regclass)', 'text type variable is not sanitized', 'names of columns, by quote_ident()'),
    ('key_vault_internal.storage_drop_old(regclass,regclass,name,timestamptz,text)', 'routine is marked as VOLATILE, should be STABLE', 'writes by EXECUTE'),
    ('key_vault_internal.storage_move_session(name,bytea,bytea,text)', 'routine is marked as VOLATILE, should be STABLE', 'writes by EXECUTE');

-- All there are: the extension's, and the storage's own.
CREATE VIEW functions AS
SELECT p.oid::regprocedure AS function,
       coalesce((SELECT min(t.tgrelid::oid) FROM pg_trigger t WHERE t.tgfoid = p.oid AND NOT t.tgisinternal), 0)::regclass AS relation
  FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
 WHERE l.lanname = 'plpgsql'
   AND (p.pronamespace = '"My Storage"'::regnamespace
        OR EXISTS (SELECT FROM pg_depend d
                    WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
                      AND d.refclassid = 'pg_extension'::regclass
                      AND d.refobjid = (SELECT e.oid FROM pg_extension e WHERE e.extname = 'key_vault')));

-- The findings of a function, a line each, without those that are accepted.
CREATE FUNCTION findings(function regprocedure, relation regclass DEFAULT 0)
RETURNS SETOF text LANGUAGE sql
SET search_path FROM CURRENT AS $$
SELECT concat_ws(' ', f.level || ',', 'line ' || f.lineno || ':', f.message, f.detail, f.hint)
  FROM plpgsql_check_function_tb(function, relation, other_warnings => true, extra_warnings => true,
                                 performance_warnings => true, security_warnings => true, compatibility_warnings => true) f
 WHERE NOT EXISTS (SELECT FROM accepted a WHERE a.function = findings.function AND f.message LIKE a.finding)
$$;
ALTER FUNCTION findings(regprocedure, regclass) SET search_path = "My Storage", public, pg_temp;

SELECT result(count(f) = 0, function::text) || coalesce(string_agg(E'\n# ' || f, ''), '')
  FROM functions LEFT JOIN LATERAL findings(function, relation) f ON true
 GROUP BY function ORDER BY function::text COLLATE "C";
SELECT result(count(*) >= 25, count(*) || ' functions were looked at') FROM functions;

-- None is accepted that is not there any more.
SELECT result(EXISTS (SELECT FROM plpgsql_check_function_tb(function, security_warnings => true, performance_warnings => true) f WHERE f.message LIKE finding),
              'accepted: ' || function || ': ' || finding) FROM accepted;

-- That it finds what is wrong: each of these is one thing that PostgreSQL lets pass when a function is made.
CREATE FUNCTION fault(what text, function text, finding text) RETURNS text LANGUAGE sql AS $$
SELECT result(EXISTS (SELECT FROM findings(function::regprocedure) f WHERE f LIKE finding), 'it finds ' || what)
$$;
BEGIN;
ALTER TABLE "My Storage".uplink DROP COLUMN f_port CASCADE;
SELECT fault('a column that is not there', 'key_vault_internal.storage_store(jsonb,key_vault.wrapped_key[])', '%column u.f_port does not exist%');
ROLLBACK;
BEGIN;
ALTER TABLE "My Storage".rejected RENAME TO other;
SELECT fault('a table that is not there', 'key_vault_internal.storage_try_rejected(bigint[])', '%relation "rejected" does not exist%');
ROLLBACK;
BEGIN;
ALTER FUNCTION key_vault_internal.storage_text_bytes(text) RENAME TO other;
SELECT fault('a function that is not there', 'key_vault_internal.storage_put_session(key_vault.storage_event,key_vault.wrapped_key,text)', '%function key_vault_internal.storage_text_bytes(text) does not exist%');
ROLLBACK;
CREATE FUNCTION faulty(argument text) RETURNS integer LANGUAGE plpgsql STABLE AS $$
DECLARE
    unused integer;
BEGIN
    EXECUTE 'SELECT ' || argument;
    RETURN argument;
END
$$;
SELECT fault('a variable that is not used', 'faulty(text)', '%unused variable "unused"%');
SELECT fault('EXECUTE of what is not quoted', 'faulty(text)', '%SQL injection%');
SELECT fault('a cast that is not written', 'faulty(text)', '%cast "text" value to "integer" type%');
