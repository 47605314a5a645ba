-- The schema of what users call.  The script makes it itself, rather than that the control
-- file names it: so CREATE EXTENSION fails where a schema of that name, with unknown
-- objects in it, is there already.

CREATE SCHEMA key_vault;
COMMENT ON SCHEMA key_vault IS
'wrapped LoRaWAN session keys: the functions, views and types that users need; what these need themselves is in schema key_vault_internal';
GRANT USAGE ON SCHEMA key_vault TO PUBLIC;

SET LOCAL search_path = pg_catalog, pg_temp;
