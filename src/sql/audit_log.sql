-- The audit log.

-- The table has neither a primary key nor a serial number, so that rows of several databases can be collected in one
-- table.
CREATE TABLE key_vault.audit_log (
    at               timestamptz NOT NULL DEFAULT clock_timestamp(),
    event            text COLLATE "C" NOT NULL,
    label            text COLLATE "C" NOT NULL,
    version          integer,
    details          jsonb,
    role             name NOT NULL,
    session_role     name NOT NULL,
    client_addr      inet,
    application_name text,
    pid              integer NOT NULL
);
SELECT pg_extension_config_dump('key_vault.audit_log', '');
GRANT SELECT ON key_vault.audit_log TO pg_read_all_stats;

COMMENT ON TABLE key_vault.audit_log IS
'what was done to KEKs: created, imported, rotated, suspended, resumed, compromised, scheduled (for destruction), unscheduled, destroyed; resealed (under another root key); rewrapped (a row for each table and run); granted, revoked. The functions write a row in the transaction of the change and, at once, a line in the server''s log, which stays if the transaction is rolled back. Rows cannot be changed or deleted. Members of pg_read_all_stats can read them';
COMMENT ON COLUMN key_vault.audit_log.at IS 'time of the call; the transaction ended later';
COMMENT ON COLUMN key_vault.audit_log.event IS 'what was done: one of the words in the comment of the table';
COMMENT ON COLUMN key_vault.audit_log.label IS 'KEK label';
COMMENT ON COLUMN key_vault.audit_log.version IS 'version of the KEK; NULL if the event is about the whole label';
COMMENT ON COLUMN key_vault.audit_log.details IS
'for changes of state: from, to; for privileges: role, privilege; resealed: the root keys'' check values, from, to; for a schedule: destroy_at; for rewrapping: table, rows, keys, and whether the run finished';
COMMENT ON COLUMN key_vault.audit_log.role IS
'the current role, whose privilege was checked, by the name that it had then';
COMMENT ON COLUMN key_vault.audit_log.session_role IS 'the role that logged in (session_user)';
COMMENT ON COLUMN key_vault.audit_log.client_addr IS
'address of the client, or of the connection pooler that it uses; NULL for Unix sockets and background workers';
COMMENT ON COLUMN key_vault.audit_log.application_name IS 'the setting application_name of the session';
COMMENT ON COLUMN key_vault.audit_log.pid IS 'process id of the session, as in the server''s log';

-- These triggers are not ENABLE ALWAYS, as those of kek, so that they do not hinder a subscription that copies rows.
CREATE TRIGGER guard BEFORE UPDATE OR DELETE OR TRUNCATE ON key_vault.audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION key_vault_internal.guard_audit_log();
CREATE TRIGGER guard_owner BEFORE INSERT OR UPDATE OR DELETE ON key_vault.audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION key_vault_internal.guard_owner();
