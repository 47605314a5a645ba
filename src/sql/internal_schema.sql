-- The schema of what nobody calls by hand: the functions behind types, operators, indexes,
-- triggers and aggregates.
--
-- PUBLIC may look names up in it, since kek_destroy(), which runs with the rights of its
-- caller, calls a function in it.

CREATE SCHEMA key_vault_internal;
COMMENT ON SCHEMA key_vault_internal IS
'functions that the extension key_vault needs itself: not to be called, and free to change in any version';
GRANT USAGE ON SCHEMA key_vault_internal TO PUBLIC;
