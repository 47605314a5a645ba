-- Gives the column role a type that reads no role from another server (local_role.sql).  The privileges
-- stay as they are.

-- The type of a column cannot change while a view reads the column.  So this view does not read it, until
-- kek_views.sql replaces the view again.  What depends on the view stays.
CREATE OR REPLACE VIEW key_vault.kek_privileges AS
SELECT NULL::text COLLATE "C" AS label, NULL::regrole AS role, NULL::text COLLATE "C" AS privileges;

ALTER TABLE key_vault.kek_privilege ALTER COLUMN role TYPE key_vault_internal.local_role;

CREATE TRIGGER replicated BEFORE INSERT ON key_vault.kek_privilege
    FOR EACH ROW EXECUTE FUNCTION key_vault_internal.ignore_replicated();
ALTER TABLE key_vault.kek_privilege ENABLE REPLICA TRIGGER replicated;

-- Triggers that ignore rows of other servers, and that refuse a TRUNCATE, which a publication would carry to other servers.
CREATE TRIGGER guard_truncate BEFORE TRUNCATE ON key_vault.kek_privilege
    FOR EACH STATEMENT EXECUTE FUNCTION key_vault_internal.guard_truncate();
CREATE TRIGGER replicated BEFORE INSERT OR UPDATE OR DELETE ON key_vault.kek_destruction
    FOR EACH ROW EXECUTE FUNCTION key_vault_internal.ignore_replicated();
ALTER TABLE key_vault.kek_destruction ENABLE REPLICA TRIGGER replicated;
CREATE TRIGGER guard_truncate BEFORE TRUNCATE ON key_vault.kek_destruction
    FOR EACH STATEMENT EXECUTE FUNCTION key_vault_internal.guard_truncate();
CREATE TRIGGER replicated BEFORE INSERT OR UPDATE OR DELETE ON key_vault.rewrap_state
    FOR EACH ROW EXECUTE FUNCTION key_vault_internal.ignore_replicated();
ALTER TABLE key_vault.rewrap_state ENABLE REPLICA TRIGGER replicated;
CREATE TRIGGER guard_truncate BEFORE TRUNCATE ON key_vault.rewrap_state
    FOR EACH STATEMENT EXECUTE FUNCTION key_vault_internal.guard_truncate();
