-- Privileges
------------------------------------------------------------------------------

-- What opens, makes or administers keys is for those whom kek_grant() names; it
-- gives them EXECUTE.  The functions about the cache ask for themselves.
REVOKE EXECUTE ON ALL ROUTINES IN SCHEMA key_vault FROM PUBLIC;

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOR f IN SELECT oid::regprocedure FROM pg_proc
              WHERE pronamespace = 'key_vault'::regnamespace
                AND (proname ~ '^wrapped_key_'
                     OR proname ~ '^lorawan_build_'
                     OR proname IN ('lorawan_parse', 'lorawan_mac_commands',
                                    'lorawan_full_f_cnt', 'lorawan_f_cnt')
                     OR proname IN ('kek_id', 'kek_ids', 'kek_label', 'kek_version', 'algorithm',
                                    'has_kek_privilege', 'cache_flush', 'cache_stats',
                                    'cache_stats_reset', 'cache_stats_all',
                                    'cache_stats_reset_all')
                     -- These open no keys; the tables are asked for the caller's privileges.
                     OR proname IN ('create_storage', 'maintain_storage', 'storage_events', 'storage_envelope',
                                    'storage_bytes', 'storage_integer', 'storage_time', 'storage_require',
                                    'storage_refuse', 'storage_object', 'storage_outage'))
    LOOP
        EXECUTE format('GRANT EXECUTE ON ROUTINE %s TO PUBLIC', f);
    END LOOP;
END
$$;
GRANT SELECT ON key_vault.cache_stats_sessions, key_vault.cache_stats_total TO pg_read_all_stats;
-- It names sessions and clients, as pg_stat_activity does for the same role.
GRANT SELECT ON key_vault.audit_log TO pg_read_all_stats;
GRANT SELECT ON key_vault.kek_health TO pg_read_all_stats;
GRANT EXECUTE ON FUNCTION key_vault.root_keys(), key_vault.kek_usage(text) TO pg_read_all_stats;
GRANT SELECT ON key_vault.keks, key_vault.kek_privileges, key_vault.wrapped_key_columns,
                key_vault.rewrap_progress TO PUBLIC;
