-- The schema for what users call.  The script creates it, and not the control file: so CREATE
-- EXTENSION fails if there is already a schema of that name, which may have unknown objects.

CREATE SCHEMA key_vault;
COMMENT ON SCHEMA key_vault IS
'wrapped LoRaWAN session keys: functions, views and types for users; functions that these need themselves are in schema key_vault_internal';
GRANT USAGE ON SCHEMA key_vault TO PUBLIC;

SET LOCAL search_path = pg_catalog, pg_temp;
