-- The schema for functions that users do not call: those of types, operators, indexes, triggers
-- and aggregates.
--
-- PUBLIC has USAGE, since kek_destroy() calls functions in it with the rights of its caller.

CREATE SCHEMA key_vault_internal;
COMMENT ON SCHEMA key_vault_internal IS
'functions and types that the extension key_vault needs itself: do not use them, since any version may change them';
GRANT USAGE ON SCHEMA key_vault_internal TO PUBLIC;
