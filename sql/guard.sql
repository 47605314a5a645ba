--
-- The tables of KEKs, privileges and the audit log are written by the functions
-- alone, whatever a role may write otherwise; by hand, by their owner.
--
\pset format unaligned
\pset tuples_only
CREATE ROLE regress_kv_writer;
GRANT pg_write_all_data, pg_read_all_data TO regress_kv_writer;
SELECT key_vault.kek_create('guard');
CREATE TABLE guard_table (a integer);
SET ROLE regress_kv_writer;
-- It may write to any other table.
INSERT INTO guard_table VALUES (1);
SELECT failure($$INSERT INTO key_vault.kek_privilege (label, role, privilege) VALUES ('guard', 'regress_kv_writer', 'unwrap')$$);
SELECT failure($$INSERT INTO key_vault.kek_privilege (label, role, privilege) SELECT 'guard', 'regress_kv_writer', 'admin' WHERE false$$);
SELECT failure($$UPDATE key_vault.kek_privilege SET role = 'regress_kv_writer'$$);
SELECT failure($$DELETE FROM key_vault.kek_privilege$$);
SELECT failure($$UPDATE key_vault.kek SET state = 'compromised' WHERE label = 'guard'$$);
SELECT failure($$DELETE FROM key_vault.kek$$);
SELECT failure($$INSERT INTO key_vault.kek SELECT gen_random_uuid(), 'guard', 2, 'deactivated', NULL, key_bits, provider, root_key_id, sealed_material, kcv FROM key_vault.kek WHERE label = 'guard'$$);
SELECT failure($$INSERT INTO key_vault.audit_log (event, label, role, session_role, pid) VALUES ('created', 'guard', 'a', 'b', 1)$$);
SELECT failure($$COPY key_vault.kek_privilege (label, role, privilege) FROM PROGRAM 'echo'$$) LIKE '42501%';
SELECT failure($$TRUNCATE key_vault.kek_privilege$$);
SELECT failure($$WITH a AS (INSERT INTO key_vault.kek_privilege (label, role, privilege) VALUES ('guard', 'regress_kv_writer', 'unwrap') RETURNING 1) SELECT * FROM a$$);
SELECT key_vault.has_kek_privilege('guard', 'unwrap');
RESET ROLE;
-- A role with a privilege on labels writes through the functions,
SELECT key_vault.kek_grant('guard', 'regress_kv_writer', 'admin');
SET ROLE regress_kv_writer;
SELECT key_vault.kek_rotate('guard');
SELECT key_vault.kek_grant('guard', 'regress_kv_writer', 'wrap');
SELECT failure($$INSERT INTO key_vault.kek_privilege (label, role, privilege) VALUES ('guard', 'regress_kv_writer', 'unwrap')$$) LIKE '42501%';
RESET ROLE;
-- and the owner does by hand what is not guarded otherwise.
BEGIN;
INSERT INTO key_vault.kek_privilege (label, role, privilege) VALUES ('guard', 'regress_kv_writer', 'unwrap');
SELECT count(*) FROM key_vault.kek_privilege WHERE label = 'guard';
ROLLBACK;
SELECT label, version, state FROM key_vault.keks WHERE label = 'guard' ORDER BY version;
SELECT privileges FROM key_vault.kek_privileges WHERE label = 'guard';
-- Every table of the extension that has rows of its own is guarded.
SELECT c.oid::regclass FROM pg_class c WHERE c.relnamespace = 'key_vault'::regnamespace AND c.relkind = 'r'
   AND NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgfoid = 'key_vault_internal.guard_owner'::regproc AND t.tgenabled = 'O' AND t.tgtype & 28 = 28);

SELECT key_vault.kek_revoke('guard', 'regress_kv_writer', 'admin'), key_vault.kek_revoke('guard', 'regress_kv_writer', 'wrap');
DROP TABLE guard_table;
DROP ROLE regress_kv_writer;
