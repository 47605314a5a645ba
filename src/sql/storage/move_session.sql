-- Moves a session to another application.

CREATE OR REPLACE FUNCTION key_vault_internal.storage_move_session(schema name, dev_eui bytea, session_key_id bytea,
                                                                   application_id text)
RETURNS text LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    label text;
    moved bigint;
BEGIN
    PERFORM key_vault_internal.storage_check_relations(schema);
    IF dev_eui IS NULL OR session_key_id IS NULL OR coalesce(application_id, '') = '' THEN
        RAISE EXCEPTION 'a session and an application are needed' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    EXECUTE format('SELECT coalesce((SELECT a.kek_label FROM %1$I.application a WHERE a.application_id = $1), s.kek_label)
                      FROM %1$I.storage_settings s', schema)
       INTO STRICT label USING application_id;
    EXECUTE format('UPDATE %I.session s
                       SET application_id = $1,
                           app_s_key = CASE WHEN key_vault.kek_label(s.app_s_key) = $2 THEN s.app_s_key
                                            ELSE key_vault.rewrap(s.app_s_key, $2) END
                     WHERE s.dev_eui = $3 AND s.session_key_id = $4', schema)
      USING application_id, label, dev_eui, session_key_id;
    GET DIAGNOSTICS moved = ROW_COUNT;
    IF moved = 0 THEN
        RAISE EXCEPTION 'device % has no session %', encode(dev_eui, 'hex'), encode(session_key_id, 'hex')
            USING ERRCODE = 'no_data_found';
    END IF;
    RETURN label;
END
$$;
COMMENT ON FUNCTION key_vault_internal.storage_move_session(name, bytea, bytea, text) IS
'does the work of key_vault.move_session(), with the rights of the current role';

CREATE OR REPLACE FUNCTION key_vault.move_session(schema name, dev_eui bytea, session_key_id bytea, application_id text)
RETURNS text AS 'MODULE_PATHNAME', 'key_vault_move_session'
LANGUAGE C;
COMMENT ON FUNCTION key_vault.move_session(name, bytea, bytea, text) IS
'moves a session of a device (dev_eui, 8 bytes as displayed) to another application of a storage, and wraps its key under that application''s KEK label, which it returns. The caller must have the rights of the storage''s owner. It runs as the owner, who needs the privileges that rewrap(key, label) takes: unwrap on the old label and wrap on the new one. A role that may decrypt under the new label can then read all uplinks of the session';
