-- Made here rather than named in the control file, so that it fails where a
-- schema of that name, with who knows what in it, is there already.
CREATE SCHEMA key_vault;
GRANT USAGE ON SCHEMA key_vault TO PUBLIC;

SET LOCAL search_path = pg_catalog, pg_temp;

