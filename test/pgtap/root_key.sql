--
-- Root keys: where the server gets them, and the error for each way in which it cannot.
--
-- This file changes key_vault.root_key with ALTER SYSTEM, and puts it back at the end.  The server makes the key
-- files, in a directory in /tmp that is removed.
--
\set ECHO none
\set QUIET 1
SET client_min_messages = error;
SELECT current_database() AS before \gset
DROP DATABASE IF EXISTS key_vault_pgtap_root_key;
CREATE DATABASE key_vault_pgtap_root_key;
ALTER DATABASE key_vault_pgtap_root_key SET bytea_output = hex;
ALTER DATABASE key_vault_pgtap_root_key SET client_min_messages = error;
\c key_vault_pgtap_root_key
CREATE EXTENSION pgtap;
CREATE EXTENSION key_vault;
SELECT no_plan();
LOAD 'key_vault';
SELECT coalesce(max(setting), '') AS root_key_before FROM pg_file_settings WHERE name = 'key_vault.root_key' AND sourcefile LIKE '%/postgresql.auto.conf' \gset

SELECT '/tmp/key_vault_pgtap_' || gen_random_uuid() AS dir \gset
SELECT format('COPY (SELECT '''') TO PROGRAM %L', 'cat > /dev/null; mkdir -m 700 ' || :'dir') AS make_dir \gset
:make_dir;
SELECT set_config('test.dir', :'dir', false) \g /dev/null
ALTER DATABASE key_vault_pgtap_root_key SET test.dir = :'dir';
CREATE FUNCTION shell(command text) RETURNS void LANGUAGE plpgsql AS
$$BEGIN EXECUTE format('COPY (SELECT '''') TO PROGRAM %L', format('cat > /dev/null; cd %s && { %s; }', current_setting('test.dir'), command)); END$$;
CREATE FUNCTION file(name text, content text, mode text DEFAULT '600') RETURNS void LANGUAGE sql AS
$$SELECT shell(format('umask 077; printf ''%s'' > %s; chmod %s %s', content, name, mode, name))$$;

-- Commands that give the setting a value and wait until this session has it.  They are run with \gexec, since ALTER
-- SYSTEM cannot be in a function, and a setting does not change within a statement.
CREATE FUNCTION change_root_key(value text) RETURNS SETOF text LANGUAGE sql AS
$$SELECT format('ALTER SYSTEM SET key_vault.root_key = %L', value)
  UNION ALL SELECT 'SELECT pg_reload_conf()'
  UNION ALL SELECT format('SELECT pg_sleep(0.02) WHERE current_setting(%L) IS DISTINCT FROM %L', 'key_vault.root_key', value) FROM generate_series(1, 1500)$$;
-- A new KEK is sealed under the first root key of the list.  That may be another one than the root key of the KEKs
-- that exist, which would be an error, so they are put aside meanwhile.
CREATE FUNCTION seals(label text) RETURNS bytea LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('session_replication_role', 'replica', true);
    CREATE TEMP TABLE others AS TABLE key_vault.kek;
    DELETE FROM key_vault.kek;
    PERFORM key_vault.kek_create(label);
    INSERT INTO key_vault.kek TABLE others;
    DROP TABLE others;
    PERFORM set_config('session_replication_role', 'origin', true);
    RETURN (SELECT root_key_id FROM key_vault.keks k WHERE k.label = seals.label);
END
$$;
-- What a statement returns, or its error, so that the file goes on after a failed test
CREATE FUNCTION result(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
BEGIN
    EXECUTE statement INTO result;
    RETURN result;
EXCEPTION WHEN OTHERS THEN
    RETURN sqlstate || ' ' || sqlerrm;
END
$$;
CREATE TABLE key (label text, key key_vault.wrapped_key);
CREATE FUNCTION opens(wanted text) RETURNS bytea LANGUAGE sql AS
$$SELECT key_vault.unwrap(key) FROM key WHERE label = wanted$$;

-- Two root keys, 00..1f and e0..ff.  Their key check values (python3-cryptography) are
-- d8bd746a8a and 4435acd115.
SELECT file('a', '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n'), file('b', 'e0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff\n') \g /dev/null

-- unset
\o /dev/null
SELECT change_root_key('') \gexec
\o
SELECT throws_ok($$SELECT seals('x')$$, 'KV101', 'setting "key_vault.root_key" is not set', 'unset');
SELECT is(count(*), 0::bigint, 'nothing was written') FROM key_vault.keks;

-- file:, with a good file
\o /dev/null
SELECT change_root_key(format('file:%s/a', current_setting('test.dir'))) \gexec
\o
SELECT is(result($$SELECT seals('a')$$), '\xd8bd746a8a', 'file: seals, under the root key with its key check value');
INSERT INTO key VALUES ('a', key_vault.wrap('\xec925802ae430ca77fd3dd73cb2cc588', 'a'));
SELECT is(result($$SELECT opens('a')$$), '\xec925802ae430ca77fd3dd73cb2cc588', 'and opens');
SELECT file('upper', '000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F\n'), file('crlf', '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\r\n'), file('bare', '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f'), file('readonly', '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n', '400') \g /dev/null
\o /dev/null
SELECT change_root_key(format('file:%s/upper', current_setting('test.dir'))) \gexec
\o
SELECT is(result($$SELECT seals('upper')$$), '\xd8bd746a8a', 'upper case digits');
\o /dev/null
SELECT change_root_key(format('file:%s/crlf', current_setting('test.dir'))) \gexec
\o
SELECT is(result($$SELECT seals('crlf')$$), '\xd8bd746a8a', 'a line end of two characters');
\o /dev/null
SELECT change_root_key(format('file:%s/bare', current_setting('test.dir'))) \gexec
\o
SELECT is(result($$SELECT seals('bare')$$), '\xd8bd746a8a', 'no line end');
\o /dev/null
SELECT change_root_key(format('file:%s/readonly', current_setting('test.dir'))) \gexec
\o
SELECT is(result($$SELECT seals('readonly')$$), '\xd8bd746a8a', 'mode 0400');

-- unreadable
\o /dev/null
SELECT change_root_key(format('file:%s/nowhere', current_setting('test.dir'))) \gexec
\o
SELECT throws_ok($$SELECT seals('x')$$, 'KV102', format('could not read root key file "%s/nowhere"', current_setting('test.dir')), 'no such file');
\o /dev/null
SELECT change_root_key(format('file:%s', current_setting('test.dir'))) \gexec
\o
SELECT throws_ok($$SELECT seals('x')$$, 'KV102', NULL, 'a directory');
SELECT shell('mkfifo -m 600 pipe') \g /dev/null
\o /dev/null
SELECT change_root_key(format('file:%s/pipe', current_setting('test.dir'))) \gexec
\o
SELECT throws_ok($$SELECT seals('x')$$, 'KV102', NULL, 'a named pipe is not waited for');
SELECT file('closed', '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n', '000') \g /dev/null
\o /dev/null
SELECT change_root_key(format('file:%s/closed', current_setting('test.dir'))) \gexec
\o
SELECT throws_ok($$SELECT seals('x')$$, 'KV102', NULL, 'a file that the server may not read');

-- inside the data directory
\o /dev/null
SELECT change_root_key(format('file:%s/PG_VERSION', current_setting('data_directory'))) \gexec
\o
SELECT throws_ok($$SELECT seals('x')$$, 'KV103', format('root key file "%s/PG_VERSION" is inside the data directory or a tablespace', current_setting('data_directory')), 'in the data directory');
SELECT shell(format('ln -s %s/PG_VERSION link', current_setting('data_directory'))) \g /dev/null
\o /dev/null
SELECT change_root_key(format('file:%s/link', current_setting('test.dir'))) \gexec
\o
SELECT throws_ok($$SELECT seals('x')$$, 'KV103', NULL, 'by a symbolic link');
\o /dev/null
SELECT change_root_key(format('file:%s/../../../../../../..%s/PG_VERSION', current_setting('test.dir'), current_setting('data_directory'))) \gexec
\o
SELECT throws_ok($$SELECT seals('x')$$, 'KV103', NULL, 'by a detour');

-- inside a tablespace, in the part of it that a base backup copies
SELECT shell('mkdir -m 700 tablespace') \g /dev/null
SELECT format('CREATE TABLESPACE key_vault_pgtap_root_key LOCATION %L', current_setting('test.dir') || '/tablespace') \gexec
SELECT shell('cp a tablespace/PG_*') \g /dev/null
\o /dev/null
SELECT change_root_key(format('file:%s/tablespace/%s/a', current_setting('test.dir'), ls)) FROM pg_ls_dir(current_setting('test.dir') || '/tablespace') ls \gexec
\o
SELECT throws_ok($$SELECT seals('x')$$, 'KV103', NULL, 'in a tablespace');
SELECT shell('rm tablespace/PG_*/a') \g /dev/null
DROP TABLESPACE key_vault_pgtap_root_key;

-- readable or writable by others
SELECT file('m644', '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n', '644'), file('m640', '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n', '640'), file('m602', '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n', '602') \g /dev/null
\o /dev/null
SELECT change_root_key(format('file:%s/m644', current_setting('test.dir'))) \gexec
\o
SELECT throws_ok($$SELECT seals('x')$$, 'KV104', format('root key file "%s/m644" has group or world access', current_setting('test.dir')), 'mode 0644');
\o /dev/null
SELECT change_root_key(format('file:%s/m640', current_setting('test.dir'))) \gexec
\o
SELECT throws_ok($$SELECT seals('x')$$, 'KV104', NULL, 'mode 0640, the file not root''s');
\o /dev/null
SELECT change_root_key(format('file:%s/m602', current_setting('test.dir'))) \gexec
\o
SELECT throws_ok($$SELECT seals('x')$$, 'KV104', NULL, 'mode 0602');
\o /dev/null
SELECT change_root_key('file:/etc/passwd') \gexec
\o
SELECT throws_ok($$SELECT seals('x')$$, 'KV104', NULL, 'a file of root that all may read');
-- A file of another user: the server cannot make one, so the test looks for one on this machine.
CREATE TEMP TABLE found (path text);
COPY found FROM PROGRAM 'find /var /etc /usr /home /run -xdev -type f ! -user "$(id -un)" ! -user root -readable 2>/dev/null | head -n 1; true';
\o /dev/null
SELECT change_root_key('file:' || coalesce((SELECT path FROM found), '/etc/passwd')) \gexec
\o
SELECT CASE WHEN path IS NOT NULL THEN throws_ok($$SELECT seals('x')$$, 'KV104', format('root key file "%s" must be owned by the database user or root', path), 'another user''s file')
            ELSE skip('no other user''s file that the server can read', 1) END
  FROM (SELECT max(path) AS path FROM found) f;

-- malformed
SELECT file('empty', ''), file('m63', '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1\n'), file('m65', '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f0\n'),
       file('nohex', '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1g\n'), file('two', '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n\n'),
       file('space', ' 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n'), file('m128', '000102030405060708090a0b0c0d0e0f\n') \g /dev/null
SELECT shell('yes 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f | head -n 100 > long; chmod 600 long') \g /dev/null
\o /dev/null
SELECT change_root_key(format('file:%s/empty', current_setting('test.dir'))) \gexec
\o
SELECT throws_ok($$SELECT seals('x')$$, 'KV105', format('root key file "%s/empty" does not hold a root key', current_setting('test.dir')), 'an empty file');
\o /dev/null
SELECT change_root_key(format('file:%s/m63', current_setting('test.dir'))) \gexec
\o
SELECT throws_ok($$SELECT seals('x')$$, 'KV105', NULL, '63 digits');
\o /dev/null
SELECT change_root_key(format('file:%s/m65', current_setting('test.dir'))) \gexec
\o
SELECT throws_ok($$SELECT seals('x')$$, 'KV105', NULL, '65 digits');
\o /dev/null
SELECT change_root_key(format('file:%s/nohex', current_setting('test.dir'))) \gexec
\o
SELECT throws_ok($$SELECT seals('x')$$, 'KV105', NULL, 'a letter that is no digit');
\o /dev/null
SELECT change_root_key(format('file:%s/two', current_setting('test.dir'))) \gexec
\o
SELECT throws_ok($$SELECT seals('x')$$, 'KV105', NULL, 'an empty line after it');
\o /dev/null
SELECT change_root_key(format('file:%s/space', current_setting('test.dir'))) \gexec
\o
SELECT throws_ok($$SELECT seals('x')$$, 'KV105', NULL, 'a space before it');
\o /dev/null
SELECT change_root_key(format('file:%s/m128', current_setting('test.dir'))) \gexec
\o
SELECT throws_ok($$SELECT seals('x')$$, 'KV105', NULL, '16 bytes');
\o /dev/null
SELECT change_root_key(format('file:%s/long', current_setting('test.dir'))) \gexec
\o
SELECT throws_ok($$SELECT seals('x')$$, 'KV105', NULL, 'a hundred lines');

-- A value that can never be a list of root keys is refused when it is set, whatever the value was before.
\set ON_ERROR_STOP off
ALTER SYSTEM SET key_vault.root_key = 'vault:/x';
\set ON_ERROR_STOP on
SELECT is(:'SQLSTATE' || ' ' || :'LAST_ERROR_MESSAGE', 'KV107 setting "key_vault.root_key" has an entry without a known scheme', 'another scheme');
\set ON_ERROR_STOP off
ALTER SYSTEM SET key_vault.root_key = '/x/a';
\set ON_ERROR_STOP on
SELECT is(:'SQLSTATE'::text, 'KV107', 'a path without a scheme');
\set ON_ERROR_STOP off
ALTER SYSTEM SET key_vault.root_key = 'file:/x/a, b';
\set ON_ERROR_STOP on
SELECT is(:'SQLSTATE'::text, 'KV107', 'a second entry without a scheme');
\set ON_ERROR_STOP off
ALTER SYSTEM SET key_vault.root_key = '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f';
\set ON_ERROR_STOP on
SELECT is(:'SQLSTATE' || ' ' || :'LAST_ERROR_MESSAGE', 'KV107 setting "key_vault.root_key" has an entry without a known scheme', 'the key itself, which the message does not repeat');
\set ON_ERROR_STOP off
ALTER SYSTEM SET key_vault.root_key = 'file:PG_VERSION';
\set ON_ERROR_STOP on
SELECT is(:'SQLSTATE' || ' ' || :'LAST_ERROR_MESSAGE', 'KV107 root key file must be named by its absolute path', 'a relative path, which begins in the data directory');
\set ON_ERROR_STOP off
ALTER SYSTEM SET key_vault.root_key = 'file:';
\set ON_ERROR_STOP on
SELECT is(:'SQLSTATE'::text, 'KV107', 'no path');
\set ON_ERROR_STOP off
ALTER SYSTEM SET key_vault.root_key = 'command: ';
\set ON_ERROR_STOP on
SELECT is(:'SQLSTATE' || ' ' || :'LAST_ERROR_MESSAGE', 'KV107 root key command is empty', 'no command');
\set ON_ERROR_STOP off
ALTER SYSTEM SET key_vault.root_key = 'pkcs11:token=a';
\set ON_ERROR_STOP on
SELECT is(:'SQLSTATE' || ' ' || :'LAST_ERROR_MESSAGE', 'KV401 PKCS#11 URI of a root key does not name a key', 'a token without a key');
\set ON_ERROR_STOP off
ALTER SYSTEM SET key_vault.root_key = 'pkcs11:token;object=b';
\set ON_ERROR_STOP on
SELECT is(:'SQLSTATE' || ' ' || :'LAST_ERROR_MESSAGE', 'KV401 invalid PKCS#11 URI', 'no PKCS#11 URI');
\set ON_ERROR_STOP off
ALTER SYSTEM SET key_vault.root_key = ' , ,';
\set ON_ERROR_STOP on
SELECT is(:'SQLSTATE' || ' ' || :'LAST_ERROR_MESSAGE', 'KV107 setting "key_vault.root_key" is not a list of URIs', 'nothing but commas');
\set ON_ERROR_STOP off
ALTER SYSTEM SET key_vault.root_key = 'file:/x/a,, file:/x/b';
\set ON_ERROR_STOP on
SELECT is(:'SQLSTATE'::text, 'KV107', 'an empty entry in between');
\set ON_ERROR_STOP off
ALTER SYSTEM SET key_vault.root_key = 'file:/x/a,';
\set ON_ERROR_STOP on
SELECT is(:'SQLSTATE'::text, 'KV107', 'an empty entry at the end');
\set ON_ERROR_STOP off
ALTER SYSTEM SET key_vault.root_key = '"", file:/x/a';
\set ON_ERROR_STOP on
SELECT is(:'SQLSTATE'::text, 'KV107', 'an empty entry in double quotes');
\set ON_ERROR_STOP off
ALTER SYSTEM SET key_vault.root_key = '"file:/x/a, file:/x/b';
\set ON_ERROR_STOP on
SELECT is(:'SQLSTATE'::text, 'KV107', 'a double quote that is not closed');
\set ON_ERROR_STOP off
ALTER SYSTEM SET key_vault.root_key = '"file:/x/a" b, file:/x/b';
\set ON_ERROR_STOP on
SELECT is(:'SQLSTATE'::text, 'KV107', 'text after a double quote');
\set ON_ERROR_STOP off
ALTER SYSTEM SET key_vault.tokens = 'pkcs11:token=a,, pkcs11:token=b';
\set ON_ERROR_STOP on
SELECT is(:'SQLSTATE' || ' ' || :'LAST_ERROR_MESSAGE', 'KV401 setting "key_vault.tokens" is not a list of URIs', 'an empty entry among the tokens');
-- If the separator before a PIN is wrong, the PIN would be a part of the label.
\set ON_ERROR_STOP off
ALTER SYSTEM SET key_vault.tokens = 'pkcs11:token=a&pin-value=1234';
\set ON_ERROR_STOP on
SELECT is(:'SQLSTATE' || ' ' || :'LAST_ERROR_MESSAGE', 'KV401 PKCS#11 URI with a PIN in it is refused', 'a PIN behind an ampersand before the question mark');
\set ON_ERROR_STOP off
ALTER SYSTEM SET key_vault.root_key = 'pkcs11:token=a;object=b?module-path=/lib.so;PIN-value=1234';
\set ON_ERROR_STOP on
SELECT is(:'SQLSTATE' || ' ' || :'LAST_ERROR_MESSAGE', 'KV401 PKCS#11 URI with a PIN in it is refused', 'behind a semicolon after it');
\set ON_ERROR_STOP off
ALTER SYSTEM SET key_vault.tokens = 'pkcs11:token=a:pin-value=1234';
\set ON_ERROR_STOP on
SELECT is(:'SQLSTATE' || ' ' || :'LAST_ERROR_MESSAGE', 'KV401 PKCS#11 URI with a PIN in it is refused', 'behind a colon');
SELECT throws_ok($$SELECT key_vault.kek_create('x', provider => 'pkcs11:token=a;serial=1&pin-value=1234')$$, 'KV401', 'PKCS#11 URI with a PIN in it is refused', 'in the provider of a KEK');
\set ON_ERROR_STOP off
ALTER SYSTEM SET key_vault.tokens = 'file:/x';
\set ON_ERROR_STOP on
SELECT is(:'SQLSTATE' || ' ' || :'LAST_ERROR_MESSAGE', 'KV401 an entry of key_vault.tokens is not a PKCS#11 URI', 'no token');
SELECT is(count(*), 0::bigint, 'none of it was taken') FROM pg_file_settings
 WHERE sourcefile LIKE '%/postgresql.auto.conf' AND name ~ '^key_vault' AND setting !~ format('^file:%s/long$', current_setting('test.dir'));

-- command:
\o /dev/null
SELECT change_root_key(format('command:cat %s/b', current_setting('test.dir'))) \gexec
\o
SELECT is(result($$SELECT seals('command')$$), '\x4435acd115', 'a command');
\o /dev/null
SELECT change_root_key('command:exit 3') \gexec
\o
SELECT throws_ok($$SELECT seals('x')$$, 'KV102', 'root key command failed', 'a command that fails');
\o /dev/null
SELECT change_root_key(format('command:cat %s/b; exit 3', current_setting('test.dir'))) \gexec
\o
SELECT throws_ok($$SELECT seals('x')$$, 'KV102', NULL, 'a command that prints a key and fails');
\o /dev/null
SELECT change_root_key('command:/nowhere/no_such_command') \gexec
\o
SELECT throws_ok($$SELECT seals('x')$$, 'KV102', NULL, 'a command that is not there');
\o /dev/null
SELECT change_root_key('command:true') \gexec
\o
SELECT throws_ok($$SELECT seals('x')$$, 'KV105', 'the output of the root key command does not hold a root key', 'a command that prints nothing');
\o /dev/null
SELECT change_root_key('command:yes') \gexec
\o
SELECT throws_ok($$SELECT seals('x')$$, 'KV105', 'root key command wrote too much', 'a command that prints without end');
\o /dev/null
SELECT change_root_key(format('"command:printf %%s,%%s , , >/dev/null; cat %s/b"', current_setting('test.dir'))) \gexec
\o
SELECT is(result($$SELECT seals('quoted')$$), '\x4435acd115', 'an entry with commas in it, in quotes');
\o /dev/null
SELECT change_root_key(format('command:cat "%s/b"', current_setting('test.dir'))) \gexec
\o
SELECT is(result($$SELECT seals('quotes within')$$), '\x4435acd115', 'quotes within a command');
SELECT shell('cp -p b ''b  2''') \g /dev/null
\o /dev/null
SELECT change_root_key(format('command:cat "%s/b  2"', current_setting('test.dir'))) \gexec
\o
SELECT lives_ok($$SELECT seals('quotes that matter')$$, 'quotes within a command are the shell''s');

-- A list: the first root key seals, and all of them open.
\o /dev/null
SELECT change_root_key(format('file:%s/b', current_setting('test.dir'))) \gexec
\o
SELECT is(result($$SELECT seals('b')$$), '\x4435acd115', 'another root key alone');
INSERT INTO key VALUES ('b', key_vault.wrap('\xec925802ae430ca77fd3dd73cb2cc580', 'b'));
\o /dev/null
SELECT change_root_key(format('file:%s/b, file:%s/a', current_setting('test.dir'), current_setting('test.dir'))) \gexec
\o
SELECT is(result($$SELECT seals('list')$$), '\x4435acd115', 'the first of a list seals');

-- KEKs that this session has open stay open, so a new session tries what the setting opens.
SELECT currval('__tresults___numb_seq') AS tests \gset
\c
SELECT no_plan();
SELECT setval('__tresults___numb_seq', :tests) \g /dev/null
SELECT is(result($$SELECT opens('a')$$), '\xec925802ae430ca77fd3dd73cb2cc588', 'the second of a list opens');
SELECT is(result($$SELECT opens('b')$$), '\xec925802ae430ca77fd3dd73cb2cc580', 'and so does the first');

-- The wrong root key: the error names both key check values, and the KEK.
\o /dev/null
SELECT change_root_key(format('file:%s/b', current_setting('test.dir'))) \gexec
\o
SELECT currval('__tresults___numb_seq') AS tests \gset
\c
SELECT no_plan();
SELECT setval('__tresults___numb_seq', :tests) \g /dev/null
CREATE FUNCTION detail_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text;
BEGIN
    EXECUTE statement;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN detail;
END
$$;
SELECT throws_ok($$SELECT opens('a')$$, 'KV106', 'KEK label "a" version 1 is sealed under another root key', 'the wrong root key');
SELECT is(detail_of($$SELECT opens('a')$$), 'It is sealed under the root key with key check value d8bd746a8a; key_vault.root_key has 4435acd115.', 'and both are named');
SELECT throws_ok($$SELECT key_vault.lorawan_try_decrypt_uplink(key, '\x260B1234', 1, '\x00') FROM key WHERE label = 'a'$$, 'KV106', NULL, 'it is an error for lorawan_try_decrypt_uplink, too');
SELECT is(result($$SELECT opens('b')$$), '\xec925802ae430ca77fd3dd73cb2cc580', 'and what is under the right one opens');

-- An entry of the list that cannot be read does not keep the other entries from opening KEKs.
\o /dev/null
SELECT change_root_key(format('file:%s/nowhere, file:%s/a', current_setting('test.dir'), current_setting('test.dir'))) \gexec
\o
SELECT is(result($$SELECT opens('a')$$), '\xec925802ae430ca77fd3dd73cb2cc588', 'opened by the second when the first is gone');
SELECT throws_ok($$SELECT seals('x')$$, 'KV102', NULL, 'but nothing is sealed under another than the first');
SELECT is(count(*), 0::bigint, 'and nothing is written') FROM key_vault.keks WHERE label = 'x';

-- A first root key under which none of the KEKs here is sealed seals no new one until root_key_rotate() has been
-- called.
SELECT file('c', '0f0e0d0c0b0a09080706050403020100f0e0d0c0b0a090807060504030201000\n') \g /dev/null
\o /dev/null
SELECT change_root_key(format('file:%s/c, file:%s/a, file:%s/b', current_setting('test.dir'), current_setting('test.dir'), current_setting('test.dir'))) \gexec
\o
SELECT throws_ok($$SELECT key_vault.kek_create('x')$$, 'KV106', 'first root key of key_vault.root_key seals no KEK of this database', 'no KEK is made under a root key that is not in use');
SELECT throws_ok($$SELECT key_vault.kek_rotate('a')$$, 'KV106', NULL, 'nor a version');
SELECT throws_ok($$SELECT key_vault.kek_import('x', '\x000102030405060708090a0b0c0d0e0f')$$, 'KV106', NULL, 'nor is one imported');
SELECT is(result($$SELECT opens('a')$$), '\xec925802ae430ca77fd3dd73cb2cc588', 'what is there opens');
SELECT lives_ok($$SELECT key_vault.kek_suspend('a', 1), key_vault.kek_resume('a', 1)$$, 'and its state changes');
BEGIN;
SELECT cmp_ok(key_vault.root_key_rotate(), '>', 0::bigint, 'root_key_rotate() takes it into use');
SELECT lives_ok($$SELECT key_vault.kek_create('x')$$, 'and then it seals');
ROLLBACK;
BEGIN;
SELECT key_vault_internal.kek_erase(label, version) FROM key_vault.keks \g /dev/null
SELECT lives_ok($$SELECT key_vault.kek_create('x')$$, 'where all KEKs are destroyed, any root key will do');
ROLLBACK;
BEGIN;
SELECT key_vault.kek_suspend(label, version) FROM key_vault.keks WHERE label <> 'a' \g /dev/null
SELECT throws_ok($$SELECT key_vault.kek_create('x')$$, 'KV106', NULL, 'where one is in use, it must be the right one');
SELECT key_vault.kek_suspend('a', 1) \g /dev/null
SELECT lives_ok($$SELECT key_vault.kek_rotate('a')$$, 'where all are suspended, since their root key is lost, another one seals');
SELECT lives_ok($$SELECT key_vault.kek_resume('a', 1), key_vault.kek_create('x')$$, 'and goes on to');
ROLLBACK;

-- The file is given another key while the setting stays the same.
SELECT file('changing', 'e0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff\n') \g /dev/null
\o /dev/null
SELECT change_root_key(format('file:%s/changing', current_setting('test.dir'))) \gexec
\o
SELECT currval('__tresults___numb_seq') AS tests \gset
\c
SELECT no_plan();
SELECT setval('__tresults___numb_seq', :tests) \g /dev/null
SELECT is(result($$SELECT opens('b')$$), '\xec925802ae430ca77fd3dd73cb2cc580', 'a file');
SELECT file('changing', '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n') \g /dev/null
SELECT is(result($$SELECT opens('a')$$), '\xec925802ae430ca77fd3dd73cb2cc588', 'whose content changed is read again');

-- Put the setting back.
SELECT :'root_key_before' <> '' AS was_set \gset
\if :was_set
ALTER SYSTEM SET key_vault.root_key = :'root_key_before';
\else
ALTER SYSTEM RESET key_vault.root_key;
\endif
SELECT pg_reload_conf() \g /dev/null
SELECT shell(format('cd /; rm -r %s', current_setting('test.dir'))) \g /dev/null
SELECT * FROM finish();
\c :before
DROP DATABASE key_vault_pgtap_root_key;
