-- Protects the KEKs from being dropped together with the extension: see src/catalog/drop_guard.c.

CREATE OR REPLACE FUNCTION key_vault_internal.guard_drop()
RETURNS event_trigger AS 'MODULE_PATHNAME', 'key_vault_guard_drop'
LANGUAGE C;
COMMENT ON FUNCTION key_vault_internal.guard_drop() IS
'event trigger: loads the library, which refuses to drop KEKs that are not destroyed';
REVOKE EXECUTE ON FUNCTION key_vault_internal.guard_drop() FROM PUBLIC;

-- The commands that can drop the table of KEKs: by its name, or by CASCADE from something that the
-- extension needs, such as one of its functions or types that was taken out of it before.
CREATE EVENT TRIGGER key_vault_guard_drop ON ddl_command_start
    WHEN TAG IN ('DROP EXTENSION', 'DROP SCHEMA', 'DROP OWNED', 'DROP LANGUAGE', 'DROP ACCESS METHOD',
                 'DROP TABLE', 'DROP VIEW', 'DROP TYPE', 'DROP DOMAIN', 'DROP CAST', 'DROP AGGREGATE',
                 'DROP FUNCTION', 'DROP PROCEDURE', 'DROP ROUTINE',
                 'DROP OPERATOR', 'DROP OPERATOR CLASS', 'DROP OPERATOR FAMILY',
                 'ALTER TABLE', 'ALTER TYPE', 'ALTER DOMAIN')
    EXECUTE FUNCTION key_vault_internal.guard_drop();
ALTER EVENT TRIGGER key_vault_guard_drop ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER key_vault_guard_drop IS
'protects the KEKs from being dropped together with the extension, unless key_vault.allow_drop is on';
