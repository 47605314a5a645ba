-- The views of a storage, as they are in this version of the extension.

CREATE OR REPLACE FUNCTION key_vault_internal.storage_decrypt_uplink(
    key key_vault.wrapped_key, dev_addr bytea, f_cnt bigint, frm_payload bytea, OUT payload bytea, OUT status text)
RETURNS record AS 'MODULE_PATHNAME', 'key_vault_storage_decrypt_uplink_with_key'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION key_vault_internal.storage_decrypt_uplink(key_vault.wrapped_key, bytea, bigint, bytea) IS
'does the same as key_vault.lorawan_decrypt_uplink_status(); but if the current role lacks the privilege decrypt, the status is not permitted, and there is no error';

CREATE OR REPLACE FUNCTION key_vault_internal.storage_decrypt_uplink(
    kek_label text, encrypted_key bytea, dev_addr bytea, f_cnt bigint, frm_payload bytea, OUT payload bytea, OUT status text)
RETURNS record AS 'MODULE_PATHNAME', 'key_vault_storage_decrypt_uplink'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION key_vault_internal.storage_decrypt_uplink(text, bytea, bytea, bigint, bytea) IS
'does the same as key_vault.lorawan_decrypt_uplink_status() with a key that is still in its envelope; the status is KEK unknown if the label does not exist, and envelope not opened if none of its versions opens the envelope or the current role lacks the privilege decrypt';

CREATE OR REPLACE FUNCTION key_vault_internal.storage_make_views()
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    -- Payload and status come from one call, and so from one look-up of the key.  Because of the outer join the planner
    -- keeps the call as one expression, from which joins, sorts and aggregates above it take both columns.  The role
    -- that reads the view needs the privileges on tables and keys; the status says which keys it may not use.  If the
    -- KEK of an envelope was made after its messages came, each query opens the envelope with that KEK, until
    -- replay_rejected() wraps its key under the KEK at rest.
    CREATE OR REPLACE VIEW uplink_decrypted WITH (security_invoker = true) AS
    SELECT u.received_at, u.application_id, d.device_id, u.dev_eui, u.dev_addr, u.session_key_id, u.f_cnt, u.f_port,
           CASE WHEN u.encrypted THEN coalesce((r.by_key).payload, (r.by_envelope).payload)
                WHEN u.encrypted IS NULL AND u.frm_payload <> '' AND (s.app_s_key IS NOT NULL OR s.encrypted_key IS NOT NULL) THEN NULL
                ELSE u.frm_payload END AS payload,
           coalesce((r.by_key).status, (r.by_envelope).status,
                    CASE WHEN u.encrypted IS NULL AND u.frm_payload <> '' AND (s.app_s_key IS NOT NULL OR s.encrypted_key IS NOT NULL)
                         THEN 'perhaps encrypted'
                         WHEN u.encrypted IS NOT TRUE THEN 'plain'
                         WHEN u.f_port = 0 AND u.frm_payload <> '' THEN 'network payload'
                         WHEN s.dev_eui IS NULL THEN 'no session'
                         WHEN s.app_s_key IS NULL AND s.encrypted_key IS NULL THEN 'no key'
                         ELSE 'counter missing' END) AS status,
           u.stored_at, coalesce(u.simulated, false) AS simulated
      FROM uplink u
      LEFT JOIN session s ON s.dev_eui = u.dev_eui AND s.session_key_id = u.session_key_id
      LEFT JOIN LATERAL (SELECT key_vault_internal.storage_decrypt_uplink(
                                    CASE WHEN u.encrypted AND (u.f_port > 0 OR u.frm_payload = '') THEN s.app_s_key END,
                                    coalesce(u.dev_addr, s.dev_addr), u.f_cnt, u.frm_payload) AS by_key,
                                key_vault_internal.storage_decrypt_uplink(
                                    CASE WHEN u.encrypted AND (u.f_port > 0 OR u.frm_payload = '') THEN s.kek_label END,
                                    s.encrypted_key, coalesce(u.dev_addr, s.dev_addr), u.f_cnt, u.frm_payload) AS by_envelope) r ON true
      LEFT JOIN device d ON d.dev_eui = u.dev_eui;
    COMMENT ON VIEW uplink_decrypted IS 'uplinks, decrypted while they are read; takes SELECT on uplink, session and device; rows with a key that the current role may not use to decrypt have status not permitted';
    COMMENT ON COLUMN uplink_decrypted.simulated IS 'whether the message says that no device sent the uplink';
    COMMENT ON COLUMN uplink_decrypted.payload IS 'FRMPayload, decrypted; if it is NULL, status says why';
    COMMENT ON COLUMN uplink_decrypted.status IS 'plain, decrypted, perhaps encrypted (the message does not say, and the session has a key), counter missing, not permitted (no privilege decrypt on the KEK label), no session, no key, KEK unknown, envelope not opened, network payload (FPort 0), or as key_vault.key_status() says';

    -- The planner keeps the call of the decoder as one expression, as above.
    CREATE OR REPLACE VIEW uplink_decoded WITH (security_invoker = true) AS
    SELECT u.received_at, u.application_id, u.device_id, u.dev_eui, u.dev_addr, u.session_key_id, u.f_cnt, u.f_port,
           u.payload, (r.by_decoder).decoded, coalesce((r.by_decoder).status, u.status) AS status,
           (r.by_decoder).decoder_error, u.stored_at, u.simulated
      FROM uplink_decrypted u
      LEFT JOIN LATERAL (SELECT key_vault_internal.storage_decode('application'::regclass, u.application_id, u.f_port, u.payload)
                                AS by_decoder) r ON true;
    COMMENT ON VIEW uplink_decoded IS 'uplinks, decrypted and decoded while they are read; takes SELECT on uplink_decrypted and what that takes, and on application';
    COMMENT ON COLUMN uplink_decoded.decoded IS 'what the application''s decoder has made of the payload; if it is NULL, status says why';
    COMMENT ON COLUMN uplink_decoded.status IS 'decoded, nothing decoded (the decoder returned NULL), decoder failed, no decoder, or why there is no payload, as in uplink_decrypted';
    COMMENT ON COLUMN uplink_decoded.decoder_error IS 'the error of the decoder';

    -- The latest uplink is the one with the greatest least(received_at, stored_at): see tables.sql.  The first look-up
    -- takes this time, seen_at, of the uplink with the greatest received_at.  An uplink whose received_at is before
    -- seen_at cannot be later, so the second look-up reads only the others.
    CREATE OR REPLACE VIEW device_latest WITH (security_invoker = true) AS
    SELECT d.dev_eui, d.application_id, d.device_id, u.received_at, u.dev_addr, u.session_key_id, u.f_cnt, u.f_port,
           CASE WHEN u.encrypted THEN coalesce((r.by_key).payload, (r.by_envelope).payload)
                WHEN u.encrypted IS NULL AND u.frm_payload <> '' AND (s.app_s_key IS NOT NULL OR s.encrypted_key IS NOT NULL) THEN NULL
                ELSE u.frm_payload END AS payload,
           coalesce((r.by_key).status, (r.by_envelope).status,
                    CASE WHEN u.encrypted IS NULL AND u.frm_payload <> '' AND (s.app_s_key IS NOT NULL OR s.encrypted_key IS NOT NULL)
                         THEN 'perhaps encrypted'
                         WHEN u.encrypted IS NOT TRUE THEN 'plain'
                         WHEN u.f_port = 0 AND u.frm_payload <> '' THEN 'network payload'
                         WHEN s.dev_eui IS NULL THEN 'no session'
                         WHEN s.app_s_key IS NULL AND s.encrypted_key IS NULL THEN 'no key'
                         ELSE 'counter missing' END) AS status,
           u.stored_at, coalesce(u.simulated, false) AS simulated
      FROM device d
     CROSS JOIN LATERAL (SELECT least(i.received_at, i.stored_at) AS seen_at
                           FROM uplink i WHERE i.dev_eui = d.dev_eui ORDER BY i.received_at DESC LIMIT 1) l
     CROSS JOIN LATERAL (SELECT * FROM uplink i WHERE i.dev_eui = d.dev_eui AND i.received_at >= l.seen_at
                          ORDER BY least(i.received_at, i.stored_at) DESC, i.received_at DESC LIMIT 1) u
      LEFT JOIN session s ON s.dev_eui = u.dev_eui AND s.session_key_id = u.session_key_id
      LEFT JOIN LATERAL (SELECT key_vault_internal.storage_decrypt_uplink(
                                    CASE WHEN u.encrypted AND (u.f_port > 0 OR u.frm_payload = '') THEN s.app_s_key END,
                                    coalesce(u.dev_addr, s.dev_addr), u.f_cnt, u.frm_payload) AS by_key,
                                key_vault_internal.storage_decrypt_uplink(
                                    CASE WHEN u.encrypted AND (u.f_port > 0 OR u.frm_payload = '') THEN s.kek_label END,
                                    s.encrypted_key, coalesce(u.dev_addr, s.dev_addr), u.f_cnt, u.frm_payload) AS by_envelope) r ON true;
    COMMENT ON VIEW device_latest IS 'the latest uplink of each device, by the earlier of received_at and stored_at; otherwise as uplink_decrypted';
END
$$;
COMMENT ON FUNCTION key_vault_internal.storage_make_views() IS
'makes or replaces the views of the storage in the first schema of search_path';
