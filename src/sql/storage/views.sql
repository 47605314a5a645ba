-- The views of a storage, as they are in this version of the extension.

CREATE OR REPLACE FUNCTION key_vault_internal.storage_read_uplink(
    encrypted boolean, f_port smallint, has_session boolean, key key_vault.wrapped_key, kek_label text, encrypted_key bytea,
    dev_addr bytea, f_cnt bigint, frm_payload bytea, OUT payload bytea, OUT status text)
RETURNS record AS 'MODULE_PATHNAME', 'key_vault_storage_read_uplink'
LANGUAGE C STABLE PARALLEL SAFE COST 100;
COMMENT ON FUNCTION key_vault_internal.storage_read_uplink(boolean, smallint, boolean, key_vault.wrapped_key, text, bytea, bytea, bigint, bytea) IS
'payload and status of an uplink of a storage, as uplink_decrypted shows them; key, or kek_label and encrypted_key, are those of its session. If the current role lacks the privilege decrypt, the status says so, and there is no error';

CREATE OR REPLACE FUNCTION key_vault_internal.storage_make_views()
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    -- Payload and status come from one call, and so from one look-up of the key.  Because of the outer join the planner
    -- keeps the call as one expression, from which joins, sorts and aggregates above it take both columns.  Citus takes
    -- a subquery with a function that is not immutable only if it has a FROM clause: VALUES is one for which the planner
    -- makes no node.  The role
    -- that reads the view needs the privileges on tables and keys; the status says which keys it may not use.  If the
    -- KEK of an envelope was made after its messages came, each query opens the envelope with that KEK, until
    -- replay_rejected() wraps its key under the KEK at rest.
    CREATE OR REPLACE VIEW uplink_decrypted WITH (security_invoker = true) AS
    SELECT u.received_at, u.application_id, d.device_id, u.dev_eui, u.dev_addr, u.session_key_id, u.f_cnt, u.f_port,
           (r.uplink).payload, (r.uplink).status,
           u.stored_at, coalesce(u.simulated, false) AS simulated
      FROM uplink u
      LEFT JOIN session s ON s.dev_eui = u.dev_eui AND s.session_key_id = u.session_key_id
      LEFT JOIN LATERAL (SELECT key_vault_internal.storage_read_uplink(
                                    u.encrypted, u.f_port, s.dev_eui IS NOT NULL, s.app_s_key, s.kek_label, s.encrypted_key,
                                    coalesce(u.dev_addr, s.dev_addr), u.f_cnt, u.frm_payload) AS uplink FROM (VALUES (true)) v) r ON true
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
                                AS by_decoder FROM (VALUES (true)) v) r ON true;
    COMMENT ON VIEW uplink_decoded IS 'uplinks, decrypted and decoded while they are read; takes SELECT on uplink_decrypted and what that takes, and on application';
    COMMENT ON COLUMN uplink_decoded.decoded IS 'what the application''s decoder has made of the payload; if it is NULL, status says why';
    COMMENT ON COLUMN uplink_decoded.status IS 'decoded, nothing decoded (the decoder returned NULL), decoder failed, no decoder, or why there is no payload, as in uplink_decrypted';
    COMMENT ON COLUMN uplink_decoded.decoder_error IS 'the error of the decoder';

    -- The latest uplink is the one with the greatest least(received_at, stored_at): see tables.sql.  The first look-up
    -- takes this time, seen_at, of the uplink with the greatest received_at.  An uplink whose received_at is before
    -- seen_at cannot be later, so the second look-up reads only the others.
    CREATE OR REPLACE VIEW device_latest WITH (security_invoker = true) AS
    SELECT d.dev_eui, d.application_id, d.device_id, u.received_at, u.dev_addr, u.session_key_id, u.f_cnt, u.f_port,
           (r.uplink).payload, (r.uplink).status,
           u.stored_at, coalesce(u.simulated, false) AS simulated
      FROM device d
     CROSS JOIN LATERAL (SELECT least(i.received_at, i.stored_at) AS seen_at
                           FROM uplink i WHERE i.dev_eui = d.dev_eui ORDER BY i.received_at DESC LIMIT 1) l
     CROSS JOIN LATERAL (SELECT * FROM uplink i WHERE i.dev_eui = d.dev_eui AND i.received_at >= l.seen_at
                          ORDER BY least(i.received_at, i.stored_at) DESC, i.received_at DESC LIMIT 1) u
      LEFT JOIN session s ON s.dev_eui = u.dev_eui AND s.session_key_id = u.session_key_id
      LEFT JOIN LATERAL (SELECT key_vault_internal.storage_read_uplink(
                                    u.encrypted, u.f_port, s.dev_eui IS NOT NULL, s.app_s_key, s.kek_label, s.encrypted_key,
                                    coalesce(u.dev_addr, s.dev_addr), u.f_cnt, u.frm_payload) AS uplink FROM (VALUES (true)) v) r ON true;
    COMMENT ON VIEW device_latest IS 'the latest uplink of each device, by the earlier of received_at and stored_at; otherwise as uplink_decrypted';
END
$$;
COMMENT ON FUNCTION key_vault_internal.storage_make_views() IS
'makes or replaces the views of the storage in the first schema of search_path';
