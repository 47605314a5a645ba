--
-- The audit log: each step of a KEK's life, by whom, and nothing of it taken back.
--
\pset format unaligned
\pset tuples_only
\pset null (null)
CREATE ROLE regress_kv_auditor;
CREATE ROLE regress_kv_operator;
CREATE ROLE "regress_kv ""odd\ name";
SET application_name = 'regress "audit"';
CREATE TEMP TABLE audit_before AS SELECT count(*) AS rows FROM key_vault.audit_log;
GRANT SELECT ON audit_before TO PUBLIC;

-- Each function that changes something writes one row.
SELECT key_vault.kek_create('audit'), key_vault.kek_grant('audit', 'regress_kv_operator', 'Admin');
SET ROLE regress_kv_operator;
SELECT key_vault.kek_rotate('audit'), key_vault.kek_import('audit', '\x000102030405060708090a0b0c0d0e0f');
SELECT key_vault.kek_suspend('audit', 2), key_vault.kek_resume('audit', 2), key_vault.kek_compromise('audit', 2);
SELECT key_vault_internal.kek_erase('audit', 1);
SELECT key_vault.kek_suspend('audit', 3);
SELECT key_vault.kek_rotate('audit');
SELECT key_vault.kek_resume('audit', 3);
SELECT key_vault.kek_grant('audit', '"regress_kv ""odd\ name"', 'unwrap'), key_vault.kek_revoke('audit', '"regress_kv ""odd\ name"', 'UNWRAP');
-- What changes nothing, is refused or is rolled back is not there.
SELECT key_vault.kek_grant('audit', 'regress_kv_operator', 'admin'), key_vault.kek_revoke('audit', 'regress_kv_operator', 'wrap');
SELECT failure($$SELECT key_vault.kek_resume('audit', 4)$$);
SELECT failure($$SELECT key_vault.kek_create('audit elsewhere')$$);
BEGIN;
SELECT key_vault.kek_rotate('audit');
ROLLBACK;
SELECT failure('TABLE key_vault.audit_log');
RESET ROLE;
GRANT pg_read_all_stats TO regress_kv_auditor;
SET ROLE regress_kv_auditor;
SELECT event, label, version, details, role = 'regress_kv_operator' AS by_operator, session_role = session_user AS session_is, application_name
  FROM key_vault.audit_log ORDER BY at OFFSET (SELECT rows FROM audit_before);
SELECT bool_and(pid = pg_backend_pid()), bool_and(client_addr IS NOT DISTINCT FROM inet_client_addr()), bool_and(at <= clock_timestamp())
  FROM key_vault.audit_log WHERE label = 'audit';
-- Its reader is no writer.
SELECT failure($$INSERT INTO key_vault.audit_log (event, label, role, session_role, pid) VALUES ('created', 'a', 'b', 'c', 1)$$);
SELECT failure('DELETE FROM key_vault.audit_log');
RESET ROLE;

-- Nor is its owner, without removing the guard first.
SELECT failure($$UPDATE key_vault.audit_log SET label = 'x'$$);
SELECT failure($$UPDATE key_vault.audit_log SET label = 'x' WHERE false$$);
SELECT failure('DELETE FROM key_vault.audit_log');
SELECT failure('TRUNCATE key_vault.audit_log');
SELECT failure($$MERGE INTO key_vault.audit_log USING audit_before ON true WHEN MATCHED THEN DELETE$$);
-- What a subscription or a restore does is.
BEGIN;
SET LOCAL session_replication_role = replica;
DELETE FROM key_vault.audit_log WHERE event = 'suspended' AND label = 'audit';
ROLLBACK;
SELECT count(*) FROM key_vault.audit_log WHERE event = 'suspended' AND label = 'audit';

-- A SECURITY DEFINER function acts as its owner; the session is still the caller's.
CREATE FUNCTION audit_definer() RETURNS integer LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$SELECT key_vault.kek_rotate('audit')$$;
GRANT CREATE ON SCHEMA public TO regress_kv_operator;
ALTER FUNCTION audit_definer OWNER TO regress_kv_operator;
SELECT audit_definer();
SELECT event, version, role, session_role = session_user FROM key_vault.audit_log ORDER BY at DESC LIMIT 1;
DROP FUNCTION audit_definer;
REVOKE CREATE ON SCHEMA public FROM regress_kv_operator;

-- A role that is gone stays in it by its name, and revoking from it names its oid.
CREATE ROLE regress_kv_leaver;
SELECT key_vault.kek_grant('audit', 'regress_kv_leaver', 'wrap');
SELECT 'regress_kv_leaver'::regrole::oid AS leaver \gset
DROP OWNED BY regress_kv_leaver;
DROP ROLE regress_kv_leaver;
SELECT key_vault.kek_revoke('audit', :leaver, 'wrap');
SELECT event, replace(details::text, :'leaver', 'OID') FROM key_vault.audit_log ORDER BY at DESC LIMIT 2;

-- Under a hostile search path
CREATE TEMP TABLE audit_log (event text, label text, version integer, details jsonb, role name, session_role name, client_addr inet, application_name text, pid integer);
CREATE FUNCTION pg_temp.pg_backend_pid() RETURNS integer LANGUAGE sql AS 'SELECT -1';
SET search_path = pg_temp, pg_catalog;
SELECT key_vault.kek_suspend('audit', 2);
SELECT count(*) FROM audit_log;
SELECT event, pid > 0 FROM key_vault.audit_log ORDER BY at DESC LIMIT 1;
RESET search_path;
DROP TABLE pg_temp.audit_log;

RESET application_name;
SELECT key_vault.kek_revoke('audit', 'regress_kv_operator', 'admin');
DROP ROLE regress_kv_auditor, regress_kv_operator, "regress_kv ""odd\ name";
