-- A message on its way into a storage: plaintext keys are taken out of it, then it is stored or rejected.
--
-- storage_ingest() is in C: from it on, the server logs neither the statement nor the context of an error, where
-- a message with a plaintext key could stand.
--
-- The code of every storage: see session.sql for the rules.

CREATE OR REPLACE FUNCTION key_vault_internal.storage_store(message jsonb, keys key_vault.wrapped_key[])
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    e key_vault.storage_event;
    kept jsonb;
    result text := 'duplicate';
BEGIN
    SELECT storage_store.message INTO kept FROM storage_settings s WHERE s.keep_messages;
    FOR e IN SELECT * FROM key_vault.storage_events(message) LOOP
        IF NOT EXISTS (SELECT FROM device d WHERE d.dev_eui = e.dev_eui AND d.application_id = e.application_id
                                              AND d.device_id IS NOT DISTINCT FROM e.device_id) THEN
            INSERT INTO device (dev_eui, application_id, device_id)
            VALUES (e.dev_eui, e.application_id, e.device_id)
            ON CONFLICT (dev_eui) DO UPDATE
               SET application_id = excluded.application_id, device_id = excluded.device_id;
        END IF;
        IF e.kind = 'join' OR e.encrypted_key IS NOT NULL OR e.key_number IS NOT NULL THEN
            IF e.key_number IS NOT NULL AND keys[e.key_number] IS NULL THEN
                RAISE EXCEPTION 'key % of the message is missing', e.key_number USING ERRCODE = 'no_data_found';
            END IF;
            PERFORM key_vault_internal.storage_put_session(e, keys[e.key_number],
                                                           key_vault_internal.storage_kek_label(message));
        END IF;
        CASE e.kind
            WHEN 'join' THEN
                result := 'join';
            WHEN 'uplink' THEN
                INSERT INTO uplink (received_at, dev_eui, session_key_id, f_cnt, f_port, encrypted, dev_addr,
                                    frm_payload, application_id, message)
                VALUES (e.received_at, e.dev_eui, e.session_key_id, e.f_cnt, e.f_port, e.encrypted, e.dev_addr,
                        e.frm_payload, e.application_id, kept)
                ON CONFLICT DO NOTHING;
                IF FOUND THEN
                    result := 'uplink';
                ELSE
                    PERFORM FROM uplink u
                      WHERE u.dev_eui = e.dev_eui AND u.received_at = e.received_at AND u.f_cnt = e.f_cnt
                        AND u.session_key_id IS NOT DISTINCT FROM e.session_key_id
                        AND (u.f_port, u.encrypted, u.dev_addr, u.frm_payload)
                            = (e.f_port, e.encrypted, e.dev_addr, e.frm_payload);
                    IF NOT FOUND THEN
                        RAISE EXCEPTION 'another uplink of device % with f_cnt % of that time is stored',
                            encode(e.dev_eui, 'hex'), e.f_cnt
                            USING ERRCODE = 'integrity_constraint_violation';
                    END IF;
                END IF;
            WHEN 'downlink' THEN
                INSERT INTO downlink (received_at, dev_eui, event, session_key_id, f_cnt, f_port, dev_addr,
                                      frm_payload, application_id, queue_item_id, item, message)
                VALUES (e.received_at, e.dev_eui, e.event, e.session_key_id, e.f_cnt, e.f_port, e.dev_addr,
                        e.frm_payload, e.application_id, e.queue_item_id, e.item, kept)
                ON CONFLICT DO NOTHING;
                IF FOUND THEN
                    result := CASE result WHEN 'join' THEN 'join' ELSE 'downlink' END;
                ELSE
                    PERFORM FROM downlink d
                      WHERE d.dev_eui = e.dev_eui AND d.received_at = e.received_at AND d.event = e.event
                        AND (d.f_cnt, d.session_key_id, d.queue_item_id, d.item, d.f_port, d.dev_addr, d.frm_payload)
                            IS NOT DISTINCT FROM
                            (e.f_cnt, e.session_key_id, e.queue_item_id, e.item, e.f_port, e.dev_addr, e.frm_payload);
                    IF NOT FOUND THEN
                        RAISE EXCEPTION 'another downlink of device % with f_cnt % of that time is stored',
                            encode(e.dev_eui, 'hex'), e.f_cnt
                            USING ERRCODE = 'integrity_constraint_violation';
                    END IF;
                END IF;
        END CASE;
    END LOOP;
    RETURN result;
END
$$;
COMMENT ON FUNCTION key_vault_internal.storage_store(jsonb, key_vault.wrapped_key[]) IS
'stores a message whose plaintext keys are taken out; an error where it cannot be used';

CREATE OR REPLACE FUNCTION key_vault_internal.storage_take_message(message jsonb)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    digest bytea := sha256(convert_to(message::text, 'UTF8'));
    keys key_vault.wrapped_key[];
    why text;
BEGIN
    IF jsonb_typeof(message) <> 'object' THEN
        RETURN key_vault_internal.storage_reject_line(message::text, 'line is not a JSON object');
    END IF;
    -- The Storage Integration API of The Things Stack wraps each message so.
    IF jsonb_typeof(message -> 'result') = 'object' AND message - 'result' = '{}' THEN
        message := message -> 'result';
    END IF;
    BEGIN
        SELECT w.message, w.keys INTO message, keys
          FROM key_vault_internal.storage_wrap_keys(message, key_vault_internal.storage_kek_label(message)) w;
    EXCEPTION WHEN program_limit_exceeded THEN
        why := SQLERRM;
    END;
    IF why IS NOT NULL THEN
        RETURN key_vault_internal.storage_reject_line(message::text,
                                                      format('message is not looked through for keys: %s', why));
    END IF;
    RETURN key_vault_internal.storage_store_or_reject(message, keys, digest);
END
$$;
COMMENT ON FUNCTION key_vault_internal.storage_take_message(jsonb) IS
'takes the plaintext keys out of a message and stores or rejects it; for storage_ingest()';

CREATE OR REPLACE FUNCTION key_vault_internal.storage_take_line(line text)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    message jsonb;
    has_nul boolean := false;
BEGIN
    BEGIN
        message := line::jsonb;
    EXCEPTION
        WHEN untranslatable_character THEN
            has_nul := true;
        WHEN data_exception OR program_limit_exceeded THEN
            message := NULL;
    END;
    IF has_nul THEN
        -- Payload formatters write the character \u0000, which no text of PostgreSQL can have.
        BEGIN
            message := regexp_replace(line, E'(?<!\\\\)((?:\\\\\\\\)*)\\\\u0000', E'\\1\\\\ufffd', 'g')::jsonb;
        EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
            message := NULL;
        END;
    END IF;
    IF message IS NULL THEN
        RETURN key_vault_internal.storage_reject_line(line, 'line is not a JSON object');
    END IF;
    RETURN key_vault_internal.storage_take_message(message);
END
$$;
COMMENT ON FUNCTION key_vault_internal.storage_take_line(text) IS
'as storage_take_message(), of a message in whatever state; for storage_ingest()';

CREATE OR REPLACE FUNCTION key_vault_internal.storage_ingest(message jsonb)
RETURNS text AS 'MODULE_PATHNAME', 'key_vault_storage_ingest_message'
LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION key_vault_internal.storage_ingest(jsonb) IS
'stores or rejects a message in the storage that comes first in search_path; what goes wrong with it shows neither the statement nor the context in the server log';

CREATE OR REPLACE FUNCTION key_vault_internal.storage_ingest(line text)
RETURNS text AS 'MODULE_PATHNAME', 'key_vault_storage_ingest_line'
LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION key_vault_internal.storage_ingest(text) IS
'as storage_ingest(jsonb), of a message in whatever state: one that is no JSON is rejected and wrapped whole';
