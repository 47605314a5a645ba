-- The audit log.

-- No key and no number: rows of several databases can come together in one.
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
'the life of each KEK: created, imported, rotated, suspended, resumed, compromised, scheduled (for destruction), unscheduled, destroyed; resealed (under another root key); rewrapped (a row for each table and run); granted, revoked. Written by the functions, in the transaction of the change; each writes a line to the server''s log besides, at once, which no rollback takes back. Rows cannot be changed or deleted. Read by members of pg_read_all_stats';
COMMENT ON COLUMN key_vault.audit_log.at IS 'the moment of the call; the transaction ended later';
COMMENT ON COLUMN key_vault.audit_log.event IS 'what was done, as listed for the table';
COMMENT ON COLUMN key_vault.audit_log.label IS 'KEK label that it was done to';
COMMENT ON COLUMN key_vault.audit_log.version IS 'NULL for what is about the label as a whole';
COMMENT ON COLUMN key_vault.audit_log.details IS
'for changes of state: from, to; for privileges: role, privilege; resealed: the root keys'' check values, from, to; for a schedule: destroy_at; for rewrapping: table, rows, keys, and whether the run finished';
COMMENT ON COLUMN key_vault.audit_log.role IS
'the current role, whose privilege was checked; roles are kept by name, as they were called then';
COMMENT ON COLUMN key_vault.audit_log.session_role IS 'the role that logged in (session_user)';
COMMENT ON COLUMN key_vault.audit_log.client_addr IS
'address of the client, or of the pooler before it; NULL for Unix sockets and background workers';
COMMENT ON COLUMN key_vault.audit_log.application_name IS 'as the client called itself';
COMMENT ON COLUMN key_vault.audit_log.pid IS 'process id of the session, as in the server''s log';

-- On the origin only, as the guard of kek: a subscription's rows come as they are.
CREATE TRIGGER guard BEFORE UPDATE OR DELETE OR TRUNCATE ON key_vault.audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION key_vault_internal.guard_audit_log();
CREATE TRIGGER guard_owner BEFORE INSERT OR UPDATE OR DELETE ON key_vault.audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION key_vault_internal.guard_owner();
