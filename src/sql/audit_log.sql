-- The audit log
------------------------------------------------------------------------------

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

COMMENT ON TABLE key_vault.audit_log IS
'the life of each KEK: created, imported, rotated, suspended, resumed, compromised, scheduled (for destruction), unscheduled, destroyed; resealed (under another root key); rewrapped (a row for each table and run); granted, revoked. Written by the functions, in the transaction of the change; rows cannot be changed or deleted. Read by members of pg_read_all_stats';
COMMENT ON COLUMN key_vault.audit_log.at IS 'the moment of the call; the transaction ended later';
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
CREATE FUNCTION key_vault.guard_audit_log()
RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'table key_vault.audit_log is append-only'
        USING ERRCODE = 'object_not_in_prerequisite_state',
              DETAIL = format('%s is refused.', TG_OP);
END
$$;
COMMENT ON FUNCTION key_vault.guard_audit_log() IS
'trigger: refuses whatever would change or remove rows of the audit log';

CREATE TRIGGER guard BEFORE UPDATE OR DELETE OR TRUNCATE ON key_vault.audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION key_vault.guard_audit_log();

-- Members of pg_write_all_data could grant themselves what they like otherwise.
-- The functions write as the owner.
CREATE FUNCTION key_vault.guard_owner()
RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT pg_has_role(current_user, (SELECT c.relowner FROM pg_class c WHERE c.oid = TG_RELID), 'USAGE') THEN
        RAISE EXCEPTION 'permission denied for table %', TG_TABLE_NAME
            USING ERRCODE = 'insufficient_privilege',
                  DETAIL = format('Only its owner writes to table key_vault.%I.', TG_TABLE_NAME),
                  HINT = 'The functions of the extension do, for roles that kek_grant() names.';
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION key_vault.guard_owner() IS
'trigger: refuses writers who have privileges on all tables, but not those of this table''s owner';

CREATE TRIGGER guard_owner BEFORE INSERT OR UPDATE OR DELETE ON key_vault.kek
    FOR EACH STATEMENT EXECUTE FUNCTION key_vault.guard_owner();
CREATE TRIGGER guard_owner BEFORE INSERT OR UPDATE OR DELETE ON key_vault.kek_privilege
    FOR EACH STATEMENT EXECUTE FUNCTION key_vault.guard_owner();
CREATE TRIGGER guard_owner BEFORE INSERT OR UPDATE OR DELETE ON key_vault.audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION key_vault.guard_owner();
CREATE TRIGGER guard_owner BEFORE INSERT OR UPDATE OR DELETE ON key_vault.kek_destruction
    FOR EACH STATEMENT EXECUTE FUNCTION key_vault.guard_owner();

------------------------------------------------------------------------------
