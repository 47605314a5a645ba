-- Monitoring: root keys and the health of KEKs.

CREATE OR REPLACE FUNCTION key_vault.root_keys(
    OUT "position" integer, OUT scheme text, OUT root_key_id bytea, OUT problem text)
RETURNS SETOF record AS 'MODULE_PATHNAME', 'key_vault_root_keys'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 2;
COMMENT ON FUNCTION key_vault.root_keys() IS
'the root keys of this server''s setting key_vault.root_key, loaded anew: position in the list (the first, 1, seals), scheme (file, command or pkcs11), key check value (5 bytes) and, if the root key cannot be loaded, the SQLSTATE of the error; for members of pg_read_all_stats';

CREATE OR REPLACE VIEW key_vault.kek_health AS
WITH root_keys AS MATERIALIZED (SELECT * FROM key_vault.root_keys())
SELECT k.label, k.version, k.state,
       extract(epoch FROM clock_timestamp() - k.created_at)::float8 AS age_seconds,
       k.root_key_id,
       (SELECT min(r."position") FROM root_keys r WHERE r.root_key_id = k.root_key_id) AS root_key_position
  FROM key_vault.keks k
 WHERE k.state <> 'destroyed';
GRANT SELECT ON key_vault.kek_health TO pg_read_all_stats;
COMMENT ON VIEW key_vault.kek_health IS
'for monitoring, about each KEK that is not destroyed: age_seconds since it was created; root_key_position: 1 if it is sealed under the first root key of this server''s list, more if under a later one, NULL if the list does not have its root key (or root_key_id is NULL). kek_usage() counts the keys that are still wrapped by versions that are not active. For members of pg_read_all_stats';
COMMENT ON COLUMN key_vault.kek_health.label IS 'KEK label';
COMMENT ON COLUMN key_vault.kek_health.version IS 'version of the label';
COMMENT ON COLUMN key_vault.kek_health.state IS 'state of the KEK, as in the view keks';
COMMENT ON COLUMN key_vault.kek_health.age_seconds IS 'seconds since the KEK was created or imported';
COMMENT ON COLUMN key_vault.kek_health.root_key_id IS 'key check value (5 bytes) of the root key that seals the KEK; NULL for KEKs that are in a token';
COMMENT ON COLUMN key_vault.kek_health.root_key_position IS 'position of that root key in the setting key_vault.root_key, from 1 on; NULL if the setting does not have it';
