-- Messages of The Things Stack and of ChirpStack, read into rows of key_vault.storage_event.  What is wrong with
-- a message is an error that names the field.

-- The key of an event, from the envelope's object.
CREATE OR REPLACE FUNCTION key_vault_internal.storage_envelope(event key_vault.storage_event, envelope jsonb,
                                                               field text, label_name text, key_name text)
RETURNS key_vault.storage_event LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM key_vault_internal.storage_object(envelope, field);
    IF jsonb_typeof(envelope -> 'wrapped_key') = 'number' THEN
        event.key_number := (envelope ->> 'wrapped_key')::integer;
    ELSIF jsonb_typeof(envelope -> key_name) IS DISTINCT FROM 'string' AND jsonb_path_exists(envelope, '$.**.sealed') THEN
        RAISE EXCEPTION '% holds no key of 16 bytes and no wrapped one', field
            USING ERRCODE = 'invalid_parameter_value';
    ELSE
        event.encrypted_key := key_vault_internal.storage_bytes(envelope -> key_name, field || '.' || key_name, 'base64');
        event.kek_label := envelope ->> label_name;
        PERFORM key_vault_internal.storage_require(event.encrypted_key IS NULL, field || '.' || key_name);
        PERFORM key_vault_internal.storage_require(event.kek_label IS NULL, field || '.' || label_name);
        -- Where no session key id is given, the wrapped key tells sessions apart.
        event.session_key_id := coalesce(event.session_key_id,
            substr(sha256(convert_to(event.kek_label, 'UTF8') || E'\\x00' || event.encrypted_key || event.dev_addr), 1, 16));
    END IF;
    RETURN event;
END
$$;
COMMENT ON FUNCTION key_vault_internal.storage_envelope(key_vault.storage_event, jsonb, text, text, text) IS
'adds the key envelope of a message to its event; for storage_events()';

CREATE OR REPLACE FUNCTION key_vault.storage_events(message jsonb)
RETURNS SETOF key_vault.storage_event LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    e key_vault.storage_event;
    ids jsonb;
    body jsonb;
    prefix text;
    one record;
BEGIN
    IF message ? 'end_device_ids' THEN
        ids := message -> 'end_device_ids';
        e.dev_eui := key_vault_internal.storage_bytes(ids -> 'dev_eui', 'end_device_ids.dev_eui', 'hex', 8);
        e.application_id := ids #>> '{application_ids,application_id}';
        e.device_id := ids ->> 'device_id';
        e.dev_addr := key_vault_internal.storage_bytes(ids -> 'dev_addr', 'end_device_ids.dev_addr', 'hex', 4);
        PERFORM key_vault_internal.storage_require(e.dev_eui IS NULL, 'end_device_ids.dev_eui');
        PERFORM key_vault_internal.storage_require(coalesce(e.application_id, '') = '', 'end_device_ids.application_ids.application_id');

        IF message ? 'uplink_message' THEN
            e.kind := 'uplink';
            body := key_vault_internal.storage_object(message -> 'uplink_message', 'uplink_message');
            PERFORM key_vault_internal.storage_require(e.dev_addr IS NULL, 'end_device_ids.dev_addr');
            -- The network server's time: the same for each delivery of an uplink.
            e.received_at := coalesce(key_vault_internal.storage_time(body -> 'received_at', 'uplink_message.received_at'),
                                      key_vault_internal.storage_time(message -> 'received_at', 'received_at'));
            PERFORM key_vault_internal.storage_require(e.received_at IS NULL, 'received_at');
            e.session_key_id := key_vault_internal.storage_bytes(body -> 'session_key_id', 'uplink_message.session_key_id', 'base64');
            e.f_port := key_vault_internal.storage_integer(body -> 'f_port', 'uplink_message.f_port', 255)::smallint;
            e.f_cnt := key_vault_internal.storage_integer(body -> 'f_cnt', 'uplink_message.f_cnt', 4294967295);
            e.frm_payload := coalesce(key_vault_internal.storage_bytes(body -> 'frm_payload', 'uplink_message.frm_payload', 'base64', NULL, 255), '');
            e.encrypted := coalesce(jsonb_typeof(body -> 'app_s_key'), 'null') <> 'null';
            IF e.encrypted THEN
                e := key_vault_internal.storage_envelope(e, body -> 'app_s_key', 'uplink_message.app_s_key', 'kek_label', 'encrypted_key');
                PERFORM key_vault_internal.storage_require(e.session_key_id IS NULL, 'uplink_message.session_key_id');
            END IF;
            RETURN NEXT e;
        ELSIF message ? 'join_accept' THEN
            e.kind := 'join';
            body := key_vault_internal.storage_object(message -> 'join_accept', 'join_accept');
            e.dev_addr := coalesce(key_vault_internal.storage_bytes(body -> 'dev_addr', 'join_accept.dev_addr', 'hex', 4), e.dev_addr);
            PERFORM key_vault_internal.storage_require(e.dev_addr IS NULL, 'end_device_ids.dev_addr');
            e.received_at := coalesce(key_vault_internal.storage_time(body -> 'received_at', 'join_accept.received_at'),
                                      key_vault_internal.storage_time(message -> 'received_at', 'received_at'));
            PERFORM key_vault_internal.storage_require(e.received_at IS NULL, 'received_at');
            e.session_key_id := key_vault_internal.storage_bytes(body -> 'session_key_id', 'join_accept.session_key_id', 'base64');
            IF coalesce(jsonb_typeof(body -> 'app_s_key'), 'null') <> 'null' THEN
                e := key_vault_internal.storage_envelope(e, body -> 'app_s_key', 'join_accept.app_s_key', 'kek_label', 'encrypted_key');
            END IF;
            PERFORM key_vault_internal.storage_require(e.session_key_id IS NULL, 'join_accept.session_key_id');
            RETURN NEXT e;
            -- Downlinks that were queued for the session before come along with it.
            e.event := 'invalidated';
            prefix := 'join_accept.invalidated_downlinks';
            e.dev_addr := NULL;
            e.kek_label := NULL;
            e.encrypted_key := NULL;
            e.key_number := NULL;
        ELSE
            e.event := substring(k FROM 'downlink_(?:queue_)?(.*)') FROM jsonb_object_keys(message) k
                        WHERE k IN ('downlink_queued', 'downlink_sent', 'downlink_ack', 'downlink_nack',
                                    'downlink_failed', 'downlink_queue_invalidated');
            IF e.event IS NULL THEN
                RAISE EXCEPTION 'no uplink, join or downlink event of The Things Stack'
                    USING ERRCODE = 'feature_not_supported';
            END IF;
            e.received_at := key_vault_internal.storage_time(message -> 'received_at', 'received_at');
            PERFORM key_vault_internal.storage_require(e.received_at IS NULL, 'received_at');
            prefix := CASE e.event WHEN 'invalidated' THEN 'downlink_queue_invalidated' ELSE 'downlink_' || e.event END;
            body := key_vault_internal.storage_object(message -> prefix, prefix);
        END IF;
        IF e.event IS NOT NULL THEN
            e.kind := 'downlink';
            FOR one IN
                SELECT d.value AS body, d.ordinality
                  FROM jsonb_array_elements(
                       CASE WHEN message ? 'join_accept' THEN nullif(body -> 'invalidated_downlinks', 'null')
                            WHEN e.event = 'failed' THEN jsonb_build_array(body -> 'downlink')
                            -- An empty queue is left out, and the event is one all the same.
                            WHEN e.event = 'invalidated' THEN coalesce(nullif(nullif(body -> 'downlinks', '[]'), 'null'),
                                jsonb_build_array(jsonb_build_object('f_cnt', body -> 'last_f_cnt_down')))
                            ELSE jsonb_build_array(body) END) WITH ORDINALITY d
            LOOP
                PERFORM key_vault_internal.storage_object(one.body, 'downlink of ' || prefix);
                e.item := one.ordinality::integer;
                e.session_key_id := coalesce(
                    key_vault_internal.storage_bytes(one.body -> 'session_key_id', prefix || '.session_key_id', 'base64'),
                    CASE WHEN NOT message ? 'join_accept' THEN
                        key_vault_internal.storage_bytes(body -> 'session_key_id', prefix || '.session_key_id', 'base64') END);
                e.f_port := key_vault_internal.storage_integer(one.body -> 'f_port', prefix || '.f_port', 255)::smallint;
                e.f_cnt := key_vault_internal.storage_integer(one.body -> 'f_cnt', prefix || '.f_cnt', 4294967295);
                e.frm_payload := coalesce(key_vault_internal.storage_bytes(one.body -> 'frm_payload', prefix || '.frm_payload', 'base64', NULL, 255), '');
                RETURN NEXT e;
            END LOOP;
        END IF;
    ELSIF message ? 'deviceInfo' THEN
        ids := message -> 'deviceInfo';
        e.dev_eui := key_vault_internal.storage_bytes(ids -> 'devEui', 'deviceInfo.devEui', 'hex', 8);
        e.application_id := ids ->> 'applicationId';
        e.device_id := ids ->> 'deviceName';
        e.dev_addr := key_vault_internal.storage_bytes(message -> 'devAddr', 'devAddr', 'hex', 4);
        e.received_at := key_vault_internal.storage_time(message -> 'time', 'time');
        PERFORM key_vault_internal.storage_require(e.dev_eui IS NULL, 'deviceInfo.devEui');
        PERFORM key_vault_internal.storage_require(coalesce(e.application_id, '') = '', 'deviceInfo.applicationId');
        PERFORM key_vault_internal.storage_require(e.received_at IS NULL, 'time');

        IF message ? 'devAddr' OR message ? 'fCnt' OR message ? 'data' THEN
            -- Both have a DevAddr; zeros are not left out, so an uplink has its counter.
            e.kind := CASE WHEN message ? 'fCnt' OR message ? 'data' THEN 'uplink' ELSE 'join' END;
            body := key_vault_internal.storage_object(nullif(message -> 'joinServerContext', 'null'), 'joinServerContext');
            PERFORM key_vault_internal.storage_require(e.dev_addr IS NULL, 'devAddr');
            e.session_key_id := key_vault_internal.storage_bytes(body -> 'sessionKeyId', 'joinServerContext.sessionKeyId', 'hex');
            IF e.kind = 'uplink' THEN
                PERFORM key_vault_internal.storage_require(NOT message ? 'fCnt', 'fCnt');
                e.f_port := key_vault_internal.storage_integer(message -> 'fPort', 'fPort', 255)::smallint;
                e.f_cnt := key_vault_internal.storage_integer(message -> 'fCnt', 'fCnt', 4294967295);
                e.frm_payload := coalesce(key_vault_internal.storage_bytes(message -> 'data', 'data', 'base64', NULL, 255), '');
                e.encrypted := e.session_key_id IS NOT NULL OR coalesce(body #>> '{appSKey,kekLabel}', '') <> '';
            END IF;
            -- A key without a label or session key id is one that ChirpStack decrypts with itself.
            IF jsonb_typeof(body -> 'appSKey') <> 'null' AND body -> 'appSKey' <> '{"kekLabel": "", "aesKey": ""}'
               AND (e.encrypted IS DISTINCT FROM false OR jsonb_typeof(body #> '{appSKey,wrapped_key}') IS DISTINCT FROM 'number')
            THEN
                e := key_vault_internal.storage_envelope(e, body -> 'appSKey', 'joinServerContext.appSKey', 'kekLabel', 'aesKey');
            END IF;
            IF e.kind = 'join' AND e.session_key_id IS NULL THEN
                e.session_key_id := key_vault_internal.storage_bytes(to_jsonb(replace(message ->> 'deduplicationId', '-', '')),
                                                            'deduplicationId', 'hex', 16);
                PERFORM key_vault_internal.storage_require(e.session_key_id IS NULL, 'joinServerContext.sessionKeyId');
            END IF;
        ELSIF message ? 'acknowledged' OR message ? 'txInfo' THEN
            e.kind := 'downlink';
            e.event := CASE WHEN message ? 'txInfo' THEN 'txack'
                            WHEN message -> 'acknowledged' = 'true' THEN 'ack' ELSE 'nack' END;
            e.f_cnt := key_vault_internal.storage_integer(message -> 'fCntDown', 'fCntDown', 4294967295);
            e.queue_item_id := message ->> 'queueItemId';
            e.frm_payload := '';
            e.item := 1;
        ELSE
            RAISE EXCEPTION 'no uplink, join or downlink event of ChirpStack'
                USING ERRCODE = 'feature_not_supported';
        END IF;
        RETURN NEXT e;
    ELSE
        RAISE EXCEPTION 'no message of The Things Stack or ChirpStack'
            USING ERRCODE = 'feature_not_supported',
                  DETAIL = 'Theirs have an object end_device_ids or deviceInfo.';
    END IF;
END
$$;
COMMENT ON FUNCTION key_vault.storage_events(jsonb) IS
'the uplink, join or downlink events of a message of The Things Stack or ChirpStack (event JSON of MQTT and webhooks); an error where a field is missing or wrong';
