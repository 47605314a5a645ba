-- The views of a storage, as they are in this version of the extension.

CREATE OR REPLACE FUNCTION key_vault_internal.storage_make_views()
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    -- Tables and keys are asked for the privileges of who reads the view.  An envelope whose KEK came later than
    -- its messages is opened with that KEK in each query, until replay_rejected() brings its key under the KEK
    -- at rest.
    CREATE OR REPLACE VIEW uplink_decrypted WITH (security_invoker = true) AS
    SELECT u.received_at, u.application_id, d.device_id, u.dev_eui, u.dev_addr, u.session_key_id, u.f_cnt, u.f_port,
           CASE WHEN NOT u.encrypted THEN u.frm_payload
                WHEN u.f_port > 0 OR u.frm_payload = '' THEN
                    key_vault.lorawan_try_decrypt_uplink(
                        coalesce(s.app_s_key, CASE WHEN key_vault.has_kek_privilege(s.kek_label, 'decrypt')
                                                   THEN key_vault.try_envelope_key(s.kek_label, s.encrypted_key) END),
                        u.dev_addr, u.f_cnt, u.frm_payload) END AS payload,
           CASE WHEN NOT u.encrypted THEN 'plain'
                WHEN u.f_port = 0 AND u.frm_payload <> '' THEN 'network payload'
                WHEN s.dev_eui IS NULL THEN 'no session'
                WHEN s.encrypted_key IS NOT NULL AND s.kek_label NOT IN (SELECT k.label FROM key_vault.keks k) THEN 'KEK unknown'
                WHEN s.app_s_key IS NULL AND s.encrypted_key IS NULL THEN 'no key'
                ELSE coalesce(nullif(coalesce(key_vault.key_status(
                        coalesce(s.app_s_key, CASE WHEN key_vault.has_kek_privilege(s.kek_label, 'decrypt')
                                                   THEN key_vault.try_envelope_key(s.kek_label, s.encrypted_key) END),
                        u.dev_addr), 'envelope not opened'), 'ok'), 'decrypted')
           END AS status
      FROM uplink u
      LEFT JOIN session s ON s.dev_eui = u.dev_eui AND s.session_key_id = u.session_key_id
      LEFT JOIN device d ON d.dev_eui = u.dev_eui;
    COMMENT ON VIEW uplink_decrypted IS 'uplinks, decrypted while they are read; takes SELECT on uplink, session and device, and the privilege decrypt on the KEK labels';
    COMMENT ON COLUMN uplink_decrypted.payload IS 'FRMPayload in the clear; NULL where status says why';
    COMMENT ON COLUMN uplink_decrypted.status IS 'plain, decrypted, no session, no key, KEK unknown, envelope not opened, network payload (FPort 0), or as key_vault.key_status() says';

    CREATE OR REPLACE VIEW device_latest WITH (security_invoker = true) AS
    SELECT d.dev_eui, d.application_id, d.device_id, u.received_at, u.dev_addr, u.session_key_id, u.f_cnt, u.f_port,
           CASE WHEN NOT u.encrypted THEN u.frm_payload
                WHEN u.f_port > 0 OR u.frm_payload = '' THEN
                    key_vault.lorawan_try_decrypt_uplink(
                        coalesce(s.app_s_key, CASE WHEN key_vault.has_kek_privilege(s.kek_label, 'decrypt')
                                                   THEN key_vault.try_envelope_key(s.kek_label, s.encrypted_key) END),
                        u.dev_addr, u.f_cnt, u.frm_payload) END AS payload,
           CASE WHEN NOT u.encrypted THEN 'plain'
                WHEN u.f_port = 0 AND u.frm_payload <> '' THEN 'network payload'
                WHEN s.dev_eui IS NULL THEN 'no session'
                WHEN s.encrypted_key IS NOT NULL AND s.kek_label NOT IN (SELECT k.label FROM key_vault.keks k) THEN 'KEK unknown'
                WHEN s.app_s_key IS NULL AND s.encrypted_key IS NULL THEN 'no key'
                ELSE coalesce(nullif(coalesce(key_vault.key_status(
                        coalesce(s.app_s_key, CASE WHEN key_vault.has_kek_privilege(s.kek_label, 'decrypt')
                                                   THEN key_vault.try_envelope_key(s.kek_label, s.encrypted_key) END),
                        u.dev_addr), 'envelope not opened'), 'ok'), 'decrypted')
           END AS status
      FROM device d
     CROSS JOIN LATERAL (SELECT * FROM uplink i WHERE i.dev_eui = d.dev_eui ORDER BY i.received_at DESC LIMIT 1) u
      LEFT JOIN session s ON s.dev_eui = u.dev_eui AND s.session_key_id = u.session_key_id;
    COMMENT ON VIEW device_latest IS 'the latest uplink of each device; otherwise as uplink_decrypted';
END
$$;
COMMENT ON FUNCTION key_vault_internal.storage_make_views() IS
'makes the views of a storage anew in the schema that comes first in search_path, which has its tables';
