-- From 1.1 on, only the privilege on the KEK label decides, and each function checks it.

-- In 1.0 kek_grant() granted EXECUTE on all functions.  This is revoked, since a role with such a grant cannot
-- be dropped.  From 1.1 on, these roles have EXECUTE through PUBLIC.
DO $$
DECLARE
    granted record;
BEGIN
    FOR granted IN
        SELECT DISTINCT p.oid::regprocedure AS function, a.grantee::regrole AS role
          FROM pg_depend d
          JOIN pg_proc p ON p.oid = d.objid
         CROSS JOIN LATERAL aclexplode(p.proacl) a
         WHERE d.refclassid = 'pg_extension'::regclass
           AND d.refobjid = (SELECT e.oid FROM pg_extension e WHERE e.extname = 'key_vault')
           AND d.classid = 'pg_proc'::regclass AND d.deptype = 'e'
           AND a.grantee NOT IN (0, p.proowner)
    LOOP
        EXECUTE format('REVOKE EXECUTE ON ROUTINE %s FROM %s CASCADE', granted.function, granted.role);
    END LOOP;
END
$$;

GRANT EXECUTE ON FUNCTION
    key_vault_internal.wrapped_key_in(cstring),
    key_vault_internal.wrapped_key_out(key_vault.wrapped_key),
    key_vault_internal.wrapped_key_recv(internal),
    key_vault_internal.wrapped_key_send(key_vault.wrapped_key),
    key_vault_internal.wrapped_key_eq(key_vault.wrapped_key, key_vault.wrapped_key),
    key_vault_internal.wrapped_key_ne(key_vault.wrapped_key, key_vault.wrapped_key),
    key_vault_internal.wrapped_key_lt(key_vault.wrapped_key, key_vault.wrapped_key),
    key_vault_internal.wrapped_key_le(key_vault.wrapped_key, key_vault.wrapped_key),
    key_vault_internal.wrapped_key_gt(key_vault.wrapped_key, key_vault.wrapped_key),
    key_vault_internal.wrapped_key_ge(key_vault.wrapped_key, key_vault.wrapped_key),
    key_vault_internal.wrapped_key_cmp(key_vault.wrapped_key, key_vault.wrapped_key),
    key_vault_internal.wrapped_key_hash(key_vault.wrapped_key),
    key_vault_internal.wrapped_key_hash_extended(key_vault.wrapped_key, bigint),
    key_vault.kek_create(text, integer, text),
    key_vault.kek_import(text, bytea),
    key_vault.kek_import_wrapped(text, bytea, text),
    key_vault.kek_rotate(text, text),
    key_vault.kek_suspend(text, integer),
    key_vault.kek_resume(text, integer),
    key_vault.kek_compromise(text, integer),
    key_vault.root_key_rotate(),
    key_vault.has_kek_privilege(text, text),
    key_vault.kek_grant(text, regrole, text),
    key_vault.kek_revoke(text, regrole, text),
    key_vault.root_keys(),
    key_vault.kek_id(key_vault.wrapped_key),
    key_vault.kek_label(key_vault.wrapped_key),
    key_vault.kek_version(key_vault.wrapped_key),
    key_vault.algorithm(key_vault.wrapped_key),
    key_vault.bound_dev_addr(key_vault.wrapped_key),
    key_vault.generate_key(text, integer),
    key_vault.wrap(bytea, text),
    key_vault.unwrap(key_vault.wrapped_key),
    key_vault.rewrap(key_vault.wrapped_key),
    key_vault.rewrap(key_vault.wrapped_key, text),
    key_vault.bind(key_vault.wrapped_key, bytea),
    key_vault.key_check_value(key_vault.wrapped_key),
    key_vault.import_envelope(text, bytea, text, bytea),
    key_vault.try_envelope_key(text, bytea),
    key_vault.export_envelope(key_vault.wrapped_key, text),
    key_vault.kek_ids(anyelement),
    key_vault.kek_usage(text),
    key_vault_internal.kek_erase(text, integer),
    key_vault.kek_destroy(text, integer, boolean),
    key_vault.kek_schedule_destroy(text, integer, interval),
    key_vault.kek_cancel_destroy(text, integer),
    key_vault.kek_destroy_due(),
    key_vault.lorawan_decrypt_uplink(key_vault.wrapped_key, bytea, bigint, bytea),
    key_vault.lorawan_decrypt_downlink(key_vault.wrapped_key, bytea, bigint, bytea),
    key_vault.lorawan_encrypt_uplink(key_vault.wrapped_key, bytea, bigint, bytea),
    key_vault.lorawan_encrypt_downlink(key_vault.wrapped_key, bytea, bigint, bytea),
    key_vault.lorawan_try_decrypt_uplink(key_vault.wrapped_key, bytea, bigint, bytea),
    key_vault.lorawan_try_decrypt_downlink(key_vault.wrapped_key, bytea, bigint, bytea),
    key_vault.key_status(key_vault.wrapped_key, bytea),
    key_vault.lorawan_join_1_0(key_vault.wrapped_key, bytea, bytea, text),
    key_vault.lorawan_join_1_1(key_vault.wrapped_key, key_vault.wrapped_key, bytea, bytea, text),
    key_vault.lorawan_rejoin_1_1(key_vault.wrapped_key, key_vault.wrapped_key, bytea, bytea, bytea, text),
    key_vault.lorawan_derive_js_int_key(key_vault.wrapped_key, bytea, text),
    key_vault.lorawan_derive_js_enc_key(key_vault.wrapped_key, bytea, text),
    key_vault.lorawan_derive_mc_root_key_1_0(key_vault.wrapped_key, text),
    key_vault.lorawan_derive_mc_root_key_1_1(key_vault.wrapped_key, text),
    key_vault.lorawan_derive_mc_ke_key(key_vault.wrapped_key, text),
    key_vault.lorawan_derive_mc_key(key_vault.wrapped_key, bytea, text),
    key_vault.lorawan_derive_mc_app_s_key(key_vault.wrapped_key, bytea, text),
    key_vault.lorawan_derive_mc_nwk_s_key(key_vault.wrapped_key, bytea, text),
    key_vault.lorawan_derive_data_block_int_key(key_vault.wrapped_key, text),
    key_vault.lorawan_derive_root_wor_s_key(key_vault.wrapped_key, text),
    key_vault.lorawan_derive_wor_s_int_key(key_vault.wrapped_key, bytea, text),
    key_vault.lorawan_derive_wor_s_enc_key(key_vault.wrapped_key, bytea, text),
    key_vault.lorawan_parse(bytea),
    key_vault.lorawan_mac_commands(bytea, boolean),
    key_vault.lorawan_build_uplink(bytea, bigint, integer, bytea, bytea, boolean, boolean, boolean, boolean, boolean),
    key_vault.lorawan_build_downlink(bytea, bigint, integer, bytea, bytea, boolean, boolean, boolean, boolean),
    key_vault.lorawan_build_join_request(bytea, bytea, integer),
    key_vault.lorawan_build_rejoin_request(integer, bytea, bytea, bytea, integer),
    key_vault.lorawan_build_join_accept(integer, bytea, bytea, integer, integer, integer, bytea, boolean),
    key_vault.lorawan_full_f_cnt(bigint, integer, integer),
    key_vault.lorawan_f_cnt(integer, integer, bigint),
    key_vault.lorawan_decrypt_uplink_f_opts(key_vault.wrapped_key, bytea, bigint, bytea),
    key_vault.lorawan_encrypt_uplink_f_opts(key_vault.wrapped_key, bytea, bigint, bytea),
    key_vault.lorawan_decrypt_downlink_f_opts(key_vault.wrapped_key, bytea, bigint, bytea, integer),
    key_vault.lorawan_encrypt_downlink_f_opts(key_vault.wrapped_key, bytea, bigint, bytea, integer),
    key_vault.lorawan_uplink_mic(key_vault.wrapped_key, bigint, bytea),
    key_vault.lorawan_uplink_mic(key_vault.wrapped_key, key_vault.wrapped_key, bigint, bigint, integer, integer, bytea),
    key_vault.lorawan_downlink_mic(key_vault.wrapped_key, bigint, bytea),
    key_vault.lorawan_downlink_mic(key_vault.wrapped_key, bigint, bigint, bytea),
    key_vault.lorawan_verify_uplink(key_vault.wrapped_key, bigint, bytea),
    key_vault.lorawan_verify_uplink(key_vault.wrapped_key, key_vault.wrapped_key, bigint, bigint, integer, integer, bytea),
    key_vault.lorawan_verify_downlink(key_vault.wrapped_key, bigint, bytea),
    key_vault.lorawan_verify_downlink(key_vault.wrapped_key, bigint, bigint, bytea),
    key_vault_internal.lorawan_find_session_step(anyelement, anyelement, key_vault.wrapped_key, bigint, bytea),
    key_vault_internal.lorawan_find_session_step(anyelement, anyelement, key_vault.wrapped_key, key_vault.wrapped_key, bigint, bigint, integer, integer, bytea),
    key_vault.lorawan_find_session(anyelement, key_vault.wrapped_key, bigint, bytea),
    key_vault.lorawan_find_session(anyelement, key_vault.wrapped_key, key_vault.wrapped_key, bigint, bigint, integer, integer, bytea),
    key_vault.lorawan_join_request_mic(key_vault.wrapped_key, bytea),
    key_vault.lorawan_verify_join_request(key_vault.wrapped_key, bytea),
    key_vault.lorawan_rejoin_request_mic(key_vault.wrapped_key, bytea),
    key_vault.lorawan_verify_rejoin_request(key_vault.wrapped_key, bytea),
    key_vault.lorawan_join_accept_mic(key_vault.wrapped_key, bytea),
    key_vault.lorawan_join_accept_mic(key_vault.wrapped_key, integer, bytea, integer, bytea),
    key_vault.lorawan_verify_join_accept(key_vault.wrapped_key, bytea),
    key_vault.lorawan_verify_join_accept(key_vault.wrapped_key, key_vault.wrapped_key, integer, bytea, integer, bytea),
    key_vault.lorawan_encrypt_join_accept(key_vault.wrapped_key, bytea),
    key_vault.lorawan_encrypt_join_accept(key_vault.wrapped_key, key_vault.wrapped_key, integer, bytea, integer, bytea),
    key_vault.seal(key_vault.wrapped_key, bytea),
    key_vault.open(key_vault.wrapped_key, bytea),
    key_vault.cache_flush(),
    key_vault.cache_stats(),
    key_vault.cache_stats_reset(),
    key_vault.cache_stats_all(),
    key_vault.cache_stats_reset_all(),
    key_vault.storage_events(jsonb),
    key_vault.storage_seal(text, text),
    key_vault.storage_wrap_keys(jsonb, text, key_vault.wrapped_key[], boolean),
    key_vault.storage_outage(text),
    key_vault.storage_refuse(text, text, text, text)
    TO PUBLIC;
GRANT EXECUTE ON PROCEDURE
    key_vault.rewrap_all(text, integer, interval, regclass),
    key_vault.maintain_storage(name, integer, interval)
    TO PUBLIC;

-- A view that is new in 1.1.  (The Makefile leaves out lines that begin with GRANT SELECT ON, so this is on two lines.)
GRANT SELECT
    ON key_vault.key_envelope_columns TO PUBLIC;
