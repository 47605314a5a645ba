-- Functions of the triggers on the extension's tables.  They ask for no privilege, and do nothing that
-- would need one; others than the owner have no use for them in triggers of their own.

CREATE OR REPLACE FUNCTION key_vault_internal.invalidate()
RETURNS trigger AS 'MODULE_PATHNAME', 'key_vault_invalidate'
LANGUAGE C;
COMMENT ON FUNCTION key_vault_internal.invalidate() IS
'trigger: makes every session look again at the KEKs or privileges it remembers, once the change is committed';
REVOKE EXECUTE ON FUNCTION key_vault_internal.invalidate() FROM PUBLIC;

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
'trigger: keeps the identity and the material of KEKs from being changed by mistake';
REVOKE EXECUTE ON FUNCTION key_vault_internal.guard_kek() FROM PUBLIC;

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
'trigger: refuses whatever would change or remove rows of the audit log';
REVOKE EXECUTE ON FUNCTION key_vault_internal.guard_audit_log() FROM PUBLIC;

-- Members of pg_write_all_data could grant themselves what they like otherwise.
-- The functions write as the owner.
CREATE OR REPLACE FUNCTION key_vault_internal.guard_owner()
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
COMMENT ON FUNCTION key_vault_internal.guard_owner() IS
'trigger: refuses writers who have privileges on all tables, but not those of this table''s owner';
REVOKE EXECUTE ON FUNCTION key_vault_internal.guard_owner() FROM PUBLIC;
