-- Finds or makes the session of a message in a storage, and stores the key that the message brings.
--
-- The functions of this file, of rejected.sql and of ingest.sql serve all storages.  They name tables without a
-- schema: each storage has functions of its own, which set the search_path to its schema and call these.  Rows are
-- kept in variables of type record, and columns are listed one by one, since PL/pgSQL looks up a table's row type
-- only once in a session, and the next call may be for another storage.  A string literal has a backslash in it only
-- if it is written E'': it would mean something else if standard_conforming_strings is off.

CREATE OR REPLACE FUNCTION key_vault_internal.storage_kek_label(application text)
RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN coalesce((SELECT a.kek_label FROM application a WHERE a.application_id = storage_kek_label.application),
                    (SELECT s.kek_label FROM storage_settings s));
END
$$;
COMMENT ON FUNCTION key_vault_internal.storage_kek_label(text) IS
'KEK label under which a storage keeps the keys of an application';

CREATE OR REPLACE FUNCTION key_vault_internal.storage_put_session(e key_vault.storage_event,
                                                                  wrapped key_vault.wrapped_key, at_rest_label text)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    s record;
    digest bytea := sha256(key_vault_internal.storage_text_bytes(e.kek_label) || E'\\x00' || e.encrypted_key);
    key key_vault.wrapped_key;
BEGIN
    SELECT i.dev_addr, i.app_s_key, i.started_at, i.envelope_digest INTO s
      FROM session i WHERE i.dev_eui = e.dev_eui AND i.session_key_id = e.session_key_id;
    IF NOT FOUND OR e.received_at < s.started_at THEN
        INSERT INTO session AS old (dev_eui, session_key_id, application_id, dev_addr, started_at)
        VALUES (e.dev_eui, e.session_key_id, e.application_id, e.dev_addr, e.received_at)
        ON CONFLICT (dev_eui, session_key_id) DO UPDATE SET started_at = least(old.started_at, excluded.started_at);
    ELSIF wrapped IS NULL AND s.dev_addr = e.dev_addr
          AND (e.encrypted_key IS NULL OR s.envelope_digest = digest AND s.app_s_key IS NOT NULL)
    THEN
        RETURN;
    END IF;
    -- From here on the row is locked: two messages may bring two keys for the session at the same time.
    SELECT i.dev_addr, i.app_s_key, i.kek_label, i.encrypted_key, i.envelope_digest INTO STRICT s
      FROM session i WHERE i.dev_eui = e.dev_eui AND i.session_key_id = e.session_key_id FOR UPDATE;

    IF s.dev_addr <> e.dev_addr THEN
        RAISE EXCEPTION 'session % of device % has DevAddr %, not %',
            encode(e.session_key_id, 'hex'), encode(e.dev_eui, 'hex'), encode(s.dev_addr, 'hex'), encode(e.dev_addr, 'hex')
            USING ERRCODE = 'integrity_constraint_violation';
    ELSIF wrapped IS NULL AND (e.encrypted_key IS NULL OR s.envelope_digest = digest AND s.app_s_key IS NOT NULL) THEN
        RETURN;
    ELSIF s.encrypted_key IS NOT NULL AND s.envelope_digest IS DISTINCT FROM digest THEN
        RAISE EXCEPTION 'session % of device % came with another key envelope before, which is not opened yet',
            encode(e.session_key_id, 'hex'), encode(e.dev_eui, 'hex')
            USING ERRCODE = 'integrity_constraint_violation',
                  DETAIL = format('The KEK label of that envelope is "%s".', s.kek_label);
    ELSIF wrapped IS NULL AND NOT EXISTS (SELECT FROM key_vault.keks k WHERE k.label = e.kek_label) THEN
        -- Without the KEK the envelope cannot be opened, nor its key compared with the session's key.
        IF s.app_s_key IS NOT NULL THEN
            RAISE EXCEPTION 'KEK label "%" does not exist', e.kek_label
                USING ERRCODE = 'KV001',
                      DETAIL = 'So the key of the message cannot be compared with the one that the session has.';
        END IF;
        UPDATE session i SET kek_label = e.kek_label, encrypted_key = e.encrypted_key, envelope_digest = digest
         WHERE i.dev_eui = e.dev_eui AND i.session_key_id = e.session_key_id;
        RETURN;
    END IF;

    IF s.app_s_key IS NOT NULL THEN
        -- Wrapped keys can be compared only if they are under the same KEK: then equal keys have equal bytes.
        at_rest_label := coalesce(key_vault.kek_label(s.app_s_key), at_rest_label);
    END IF;
    key := CASE WHEN wrapped IS NULL THEN key_vault.import_envelope(e.kek_label, e.encrypted_key, at_rest_label, e.dev_addr)
                WHEN key_vault.kek_label(wrapped) = at_rest_label THEN key_vault.bind(wrapped, e.dev_addr)
                ELSE key_vault.bind(key_vault.rewrap(wrapped, at_rest_label), e.dev_addr) END;
    IF s.app_s_key IS NULL THEN
        UPDATE session i
           SET app_s_key = key, envelope_digest = digest, kek_label = NULL, encrypted_key = NULL
         WHERE i.dev_eui = e.dev_eui AND i.session_key_id = e.session_key_id;
    ELSIF key <> s.app_s_key AND key <> key_vault.rewrap(s.app_s_key) THEN
        RAISE EXCEPTION 'session % of device % has another key', encode(e.session_key_id, 'hex'), encode(e.dev_eui, 'hex')
            USING ERRCODE = 'integrity_constraint_violation',
                  HINT = 'The key of a session does not change: the sender may have mixed up the keys of two sessions.';
    ELSIF digest IS NOT NULL THEN
        UPDATE session i SET envelope_digest = digest
         WHERE i.dev_eui = e.dev_eui AND i.session_key_id = e.session_key_id;
    END IF;
END
$$;
COMMENT ON FUNCTION key_vault_internal.storage_put_session(key_vault.storage_event, key_vault.wrapped_key, text) IS
'makes or completes the session of a message; an error if the session has another DevAddr or key. wrapped: the key, if the message brought it as plaintext; at_rest_label: KEK label for a new key';

CREATE OR REPLACE FUNCTION key_vault_internal.storage_session_of_key(e key_vault.storage_event, wrapped key_vault.wrapped_key)
RETURNS bytea LANGUAGE plpgsql STABLE AS $$
DECLARE
    bound constant key_vault.wrapped_key := key_vault.bind(wrapped, e.dev_addr);
    known record;
BEGIN
    FOR known IN SELECT i.session_key_id, i.app_s_key, k.state
                   FROM session i
                   LEFT JOIN key_vault.keks k ON k.label = key_vault.kek_label(i.app_s_key)
                                             AND k.version = key_vault.kek_version(i.app_s_key)
                  WHERE i.dev_eui = e.dev_eui AND i.dev_addr = e.dev_addr
                    AND key_vault.kek_label(i.app_s_key) = key_vault.kek_label(bound)
                  ORDER BY i.started_at DESC
    LOOP
        IF known.app_s_key = bound THEN
            RETURN known.session_key_id;
        ELSIF known.state NOT IN ('suspended', 'destroyed') THEN
            -- After a rotation, equal keys have equal bytes only if both are wrapped anew.
            IF key_vault.rewrap(known.app_s_key) = key_vault.rewrap(bound) THEN
                RETURN known.session_key_id;
            END IF;
        END IF;
    END LOOP;
    -- It is made from the wrapped key.  From a digest of the key itself, a weak key could be guessed.
    RETURN substr(sha256(key_vault_internal.storage_text_bytes(bound::text)), 1, 16);
END
$$;
COMMENT ON FUNCTION key_vault_internal.storage_session_of_key(key_vault.storage_event, key_vault.wrapped_key) IS
'session key id for a message that has a plaintext key and no session key id: that of the device''s session with this key and DevAddr, or a new one';
