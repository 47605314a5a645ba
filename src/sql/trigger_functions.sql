-- Functions of the triggers on the extension's tables.  They check no privilege, since they do nothing
-- that needs one.  PUBLIC has no EXECUTE, since nobody else needs them in triggers.

CREATE OR REPLACE FUNCTION key_vault_internal.invalidate()
RETURNS trigger AS 'MODULE_PATHNAME', 'key_vault_invalidate'
LANGUAGE C;
COMMENT ON FUNCTION key_vault_internal.invalidate() IS
'trigger: makes every session read the KEKs or privileges that it remembers again, once the change is committed';
REVOKE EXECUTE ON FUNCTION key_vault_internal.invalidate() FROM PUBLIC;

CREATE OR REPLACE FUNCTION key_vault_internal.ignore_replicated()
RETURNS trigger AS 'MODULE_PATHNAME', 'key_vault_ignore_replicated'
LANGUAGE C;
COMMENT ON FUNCTION key_vault_internal.ignore_replicated() IS
'trigger: passes over a row that comes from another server, with a warning';
REVOKE EXECUTE ON FUNCTION key_vault_internal.ignore_replicated() FROM PUBLIC;

CREATE OR REPLACE FUNCTION key_vault_internal.guard_kek()
RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        RAISE EXCEPTION 'table key_vault.kek cannot be truncated'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = 'Every key that its KEKs wrap would be lost.';
    ELSIF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'KEK label "%" version % cannot be deleted', OLD.label, OLD.version
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = 'Every key that it wraps would be lost, and its version used again.',
                  HINT = 'Use key_vault.kek_destroy(), which erases the material and leaves the row.';
    END IF;
    IF (NEW.kek_id, NEW.label, NEW.version, NEW.key_bits, NEW.provider, NEW.kcv, NEW.created_at)
       IS DISTINCT FROM
       (OLD.kek_id, OLD.label, OLD.version, OLD.key_bits, OLD.provider, OLD.kcv, OLD.created_at)
    THEN
        RAISE EXCEPTION 'identity of KEK label "%" version % cannot be changed', OLD.label, OLD.version
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = 'Only its state changes, and its sealed material together with the root key.';
    END IF;
    IF OLD.state = 'destroyed' THEN
        RAISE EXCEPTION 'KEK label "%" version % is destroyed', OLD.label, OLD.version
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    IF NEW.sealed_material IS DISTINCT FROM OLD.sealed_material
       AND NEW.state <> 'destroyed'
       AND NEW.root_key_id IS NOT DISTINCT FROM OLD.root_key_id
    THEN
        RAISE EXCEPTION 'sealed material of KEK label "%" version % cannot be changed', OLD.label, OLD.version
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = 'It changes only by sealing it under another root key, or by destroying it.';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION key_vault_internal.guard_kek() IS
'trigger: protects the identity and the material of KEKs from being changed by mistake';
REVOKE EXECUTE ON FUNCTION key_vault_internal.guard_kek() FROM PUBLIC;

CREATE OR REPLACE FUNCTION key_vault_internal.guard_truncate()
RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'table key_vault.% cannot be truncated', TG_TABLE_NAME
        USING ERRCODE = 'object_not_in_prerequisite_state',
              HINT = 'Use the functions of the extension: key_vault.kek_revoke() for privileges, key_vault.kek_cancel_destroy() for what is scheduled.';
END
$$;
COMMENT ON FUNCTION key_vault_internal.guard_truncate() IS
'trigger: refuses TRUNCATE, which a publication would carry to tables of other servers';
REVOKE EXECUTE ON FUNCTION key_vault_internal.guard_truncate() FROM PUBLIC;

CREATE OR REPLACE FUNCTION key_vault_internal.guard_audit_log()
RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'table key_vault.audit_log is append-only'
        USING ERRCODE = 'object_not_in_prerequisite_state',
              DETAIL = format('%s is refused.', TG_OP);
END
$$;
COMMENT ON FUNCTION key_vault_internal.guard_audit_log() IS
'trigger: refuses every command that would change or remove rows of the audit log';
REVOKE EXECUTE ON FUNCTION key_vault_internal.guard_audit_log() FROM PUBLIC;

-- Without this, members of pg_write_all_data could grant themselves any privilege.  The extension's
-- functions write as the owner.
CREATE OR REPLACE FUNCTION key_vault_internal.guard_owner()
RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT pg_has_role(current_user, (SELECT c.relowner FROM pg_class c WHERE c.oid = TG_RELID), 'USAGE') THEN
        RAISE EXCEPTION 'permission denied for table %', TG_TABLE_NAME
            USING ERRCODE = 'insufficient_privilege',
                  DETAIL = format('Only its owner writes to table key_vault.%I.', TG_TABLE_NAME),
                  HINT = 'Use the functions of the extension, as a role to which kek_grant() has granted the privilege.';
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION key_vault_internal.guard_owner() IS
'trigger: refuses roles that may write to all tables but do not have the privileges of this table''s owner';
REVOKE EXECUTE ON FUNCTION key_vault_internal.guard_owner() FROM PUBLIC;
