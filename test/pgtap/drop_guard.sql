--
-- KEKs are not dropped together with something else unless a superuser allows it, even in a session that has not used
-- the extension.
--
\set ECHO none
\set QUIET 1
SET client_min_messages = error;
SELECT no_plan();
CREATE SCHEMA home;
CREATE TABLE kept (key text);
SELECT key_vault.kek_create('kept') \g /dev/null
INSERT INTO kept SELECT key_vault.generate_key('kept')::text;
SELECT is((SELECT count(*) FROM key_vault.kek_usage()), 0::bigint, 'keys as text are counted nowhere');

-- Each statement runs in a session of its own, as its first command.
SELECT currval('__tresults___numb_seq') AS tests \gset
\c
SET client_min_messages = error;
SELECT no_plan();
SELECT setval('__tresults___numb_seq', :tests) \g /dev/null
SELECT throws_ok('DROP EXTENSION key_vault', '55000', 'cannot drop table key_vault.kek: it has KEKs that are not destroyed', 'DROP EXTENSION');
SELECT currval('__tresults___numb_seq') AS tests \gset
\c
SET client_min_messages = error;
SELECT no_plan();
SELECT setval('__tresults___numb_seq', :tests) \g /dev/null
SELECT throws_ok('DROP EXTENSION plpgsql CASCADE', '55000', NULL, 'DROP of what the extension depends on');
SELECT currval('__tresults___numb_seq') AS tests \gset
\c
SET client_min_messages = error;
SELECT no_plan();
SELECT setval('__tresults___numb_seq', :tests) \g /dev/null
SELECT throws_ok('DROP LANGUAGE plpgsql CASCADE', NULL, NULL, 'DROP LANGUAGE');
SELECT throws_ok('DROP TABLE key_vault.kek CASCADE', NULL, NULL, 'DROP TABLE');
SELECT currval('__tresults___numb_seq') AS tests \gset
\c
SET client_min_messages = error;
SELECT no_plan();
SELECT setval('__tresults___numb_seq', :tests) \g /dev/null
SELECT throws_ok('ALTER TABLE key_vault.kek DROP COLUMN sealed_material CASCADE', '55000', 'cannot drop table key_vault.kek: it has KEKs that are not destroyed', 'the column with the material');
SELECT currval('__tresults___numb_seq') AS tests \gset
\c
SET client_min_messages = error;
SELECT no_plan();
SELECT setval('__tresults___numb_seq', :tests) \g /dev/null
SELECT throws_ok('ALTER EXTENSION key_vault DROP TYPE key_vault.wrapped_key; DROP TYPE key_vault.wrapped_key CASCADE', '55000', 'cannot drop table key_vault.kek: it has KEKs that are not destroyed', 'DROP TYPE of a type that was taken out of the extension');
SELECT currval('__tresults___numb_seq') AS tests \gset
\c
SET client_min_messages = error;
SELECT no_plan();
SELECT setval('__tresults___numb_seq', :tests) \g /dev/null
SELECT throws_ok('ALTER EXTENSION key_vault DROP FUNCTION key_vault_internal.guard_drop(); DROP FUNCTION key_vault_internal.guard_drop() CASCADE', '55000', 'cannot drop table key_vault.kek: it has KEKs that are not destroyed', 'DROP FUNCTION of a function that was');
SELECT currval('__tresults___numb_seq') AS tests \gset
\c
SET client_min_messages = error;
SELECT no_plan();
SELECT setval('__tresults___numb_seq', :tests) \g /dev/null
SELECT throws_ok('ALTER EXTENSION key_vault DROP VIEW key_vault.keks; DROP VIEW key_vault.keks CASCADE', '55000', 'cannot drop table key_vault.kek: it has KEKs that are not destroyed', 'DROP VIEW of a view that was');
SELECT currval('__tresults___numb_seq') AS tests \gset
\c
SET client_min_messages = error;
SELECT no_plan();
SELECT setval('__tresults___numb_seq', :tests) \g /dev/null
SET session_replication_role = replica;
SELECT throws_ok('DROP EXTENSION key_vault CASCADE', '55000', NULL, 'with session_replication_role = replica');
RESET session_replication_role;

-- DROP OWNED, and DROP SCHEMA with everything in it
CREATE ROLE kv_drop_owner SUPERUSER;
BEGIN;
SELECT key_vault.kek_suspend('kept', 1) \g /dev/null
UPDATE pg_extension SET extowner = 'kv_drop_owner'::regrole WHERE extname = 'key_vault';
UPDATE pg_shdepend SET refobjid = 'kv_drop_owner'::regrole WHERE classid = 'pg_extension'::regclass;
INSERT INTO pg_shdepend (dbid, classid, objid, objsubid, refclassid, refobjid, deptype)
SELECT (SELECT oid FROM pg_database WHERE datname = current_database()), 'pg_extension'::regclass, oid, 0, 'pg_authid'::regclass, 'kv_drop_owner'::regrole, 'o'
  FROM pg_extension WHERE extname = 'key_vault' AND NOT EXISTS (SELECT FROM pg_shdepend WHERE classid = 'pg_extension'::regclass AND refobjid = 'kv_drop_owner'::regrole);
SELECT throws_ok('DROP OWNED BY kv_drop_owner CASCADE', '55000', NULL, 'DROP OWNED');
ROLLBACK;
DROP ROLE kv_drop_owner;
SELECT throws_ok('DROP SCHEMA key_vault, key_vault_internal CASCADE', NULL, NULL, 'DROP SCHEMA');
SELECT throws_ok('ALTER EXTENSION key_vault DROP TABLE key_vault.kek; DROP TABLE key_vault.kek CASCADE', '55000', NULL, 'a table taken out of the extension');

-- Tables, schemas and columns that were renamed or moved
SELECT throws_ok('ALTER TABLE key_vault.kek RENAME TO kek2; DROP EXTENSION key_vault', '55000', NULL, 'a table of another name');
SELECT throws_ok('ALTER SCHEMA key_vault RENAME TO vault2; DROP EXTENSION key_vault', '55000', NULL, 'a schema of another name');
SELECT throws_ok('ALTER TABLE key_vault.kek SET SCHEMA home; DROP EXTENSION key_vault', '55000', NULL, 'in another schema');
SELECT throws_ok('ALTER TABLE key_vault.kek DROP COLUMN sealed_material CASCADE', '55000', NULL, 'the column with the material alone');
SELECT throws_ok('ALTER TABLE key_vault.kek DROP COLUMN kek_id CASCADE', '55000', NULL, 'the column that keys name');

-- Nothing else is refused.
CREATE TABLE home.kek (state text);
INSERT INTO home.kek VALUES ('active');
SELECT lives_ok('DROP TABLE home.kek', 'another table of the name');
SELECT lives_ok('DROP SCHEMA home', 'another schema');
SELECT is((SELECT length(key_vault.unwrap(key::key_vault.wrapped_key)) FROM kept), 16, 'nothing is lost');

-- A superuser may drop the extension once the setting key_vault.allow_drop is on.
CREATE ROLE kv_drop_user;
SET ROLE kv_drop_user;
SELECT throws_ok('SET key_vault.allow_drop = on', '42501', NULL, 'the setting is for superusers');
RESET ROLE;
DROP ROLE kv_drop_user;
BEGIN;
SET LOCAL key_vault.allow_drop = on;
SELECT lives_ok('DROP EXTENSION key_vault CASCADE', 'with the setting it goes');
ROLLBACK;
SELECT currval('__tresults___numb_seq') AS tests \gset
\c
-- The same in a session that has not loaded the library
BEGIN;
SET client_min_messages = error;
SET LOCAL key_vault.allow_drop = on;
SELECT no_plan();
SELECT setval('__tresults___numb_seq', :tests) \g /dev/null
SELECT lives_ok('DROP EXTENSION key_vault CASCADE', 'in a new session');
SELECT currval('__tresults___numb_seq') AS tests \gset
ROLLBACK;
\c
SET client_min_messages = error;
SELECT no_plan();
SELECT setval('__tresults___numb_seq', :tests) \g /dev/null
SELECT key_vault.kek_destroy('kept', 1, force => true) \g /dev/null
SELECT lives_ok('DROP EXTENSION key_vault', 'and when every KEK is destroyed');
SELECT * FROM finish();
