--
-- What the other tests stand on.  Runs first.
--
\pset format unaligned
\pset tuples_only
\pset null (null)

-- A schema of that name, with who knows what in it, is not taken over.
CREATE SCHEMA key_vault;
\set SHOW_CONTEXT never
CREATE EXTENSION key_vault;
\set SHOW_CONTEXT errors
DROP SCHEMA key_vault;
CREATE EXTENSION key_vault;

-- Where the server has no root key, the tests bring one; teardown takes it
-- away again.  Settings are known once the library is loaded.
LOAD 'key_vault';
SELECT current_setting('key_vault.root_key') = '' AS unset,
       'command:echo 6b65795f7661756c7420726567726573732074657374206f6e6c7920726f6f74' AS root_key \gset
\set ECHO none
\if :unset
ALTER SYSTEM SET key_vault.root_key = :'root_key';
SELECT pg_reload_conf() AS reloaded \gset
\o /dev/null
SELECT format('SELECT pg_sleep(0.1) WHERE current_setting(%L) <> %L', 'key_vault.root_key', :'root_key')
  FROM generate_series(1, 300) \gexec
\o
\endif
\set ECHO all
SELECT current_setting('key_vault.root_key') <> '';

-- A warning about memory that could not be locked depends on the machine.
SELECT format('ALTER DATABASE %I SET client_min_messages = error', current_database()) AS alter_database \gset
:alter_database;

-- What a statement fails with: SQLSTATE, message and detail.  The random ids of
-- KEKs are masked.
CREATE FUNCTION failure(statement text)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    message text;
    detail text;
BEGIN
    EXECUTE statement;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
    RETURN regexp_replace(concat_ws(' / ', sqlstate, message, nullif(detail, '')),
                          '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}', 'UUID', 'g');
END
$$;

-- A function that finds nothing to complain about must not pass for a test.
SELECT failure('SELECT 1');
SELECT failure('SELECT 1/0');
