CREATE PROCEDURE key_vault.create_storage(schema name, kek_label text DEFAULT NULL,
                                          partition_interval text DEFAULT NULL,
                                          keep_messages boolean DEFAULT NULL)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning AS $create_storage$
#variable_conflict use_variable
DECLARE
    settings record;
    taken text;
    parent text;
    app_s_key text;
    decrypted text;
BEGIN
    IF schema IS NULL THEN
        RAISE EXCEPTION 'schema of a storage must not be NULL' USING ERRCODE = 'null_value_not_allowed';
    ELSIF strpos(schema, '$body$') > 0 THEN
        -- It would end the functions' quotes.
        RAISE EXCEPTION 'schema of a storage must not have $body$ in its name' USING ERRCODE = 'invalid_name';
    END IF;
    IF to_regclass(format('%I.storage_settings', schema)) IS NULL THEN
        SELECT string_agg(quote_ident(o.name), ', ' ORDER BY o.name) INTO taken
          FROM (SELECT relname, relnamespace FROM pg_class
                 WHERE relname IN ('application', 'device', 'session', 'uplink', 'downlink', 'inbox', 'rejected',
                                   'rejected_key', 'uplink_decrypted', 'device_latest', 'uplink_default', 'downlink_default')
                UNION
                SELECT proname, pronamespace FROM pg_proc
                 WHERE proname IN ('ingest', 'ingest_line', 'store', 'store_or_reject', 'reject_line', 'put_session', 'kek_label',
                                   'replay_rejected')) o (name, namespace)
         WHERE o.namespace = to_regnamespace(quote_ident(schema));
        IF taken IS NOT NULL THEN
            RAISE EXCEPTION 'schema "%" has names already that a storage would have', schema
                USING ERRCODE = 'duplicate_object',
                      DETAIL = format('They are %s.', taken),
                      HINT = 'Choose another schema.';
        END IF;
        partition_interval := coalesce(partition_interval, 'day');
    ELSE
        EXECUTE format('SELECT * FROM %I.storage_settings', schema) INTO settings;
        IF partition_interval <> settings.partition_interval THEN
            RAISE EXCEPTION 'storage "%" has partitions of a % each', schema, settings.partition_interval
                USING ERRCODE = 'object_not_in_prerequisite_state',
                      DETAIL = 'The interval of a storage cannot be changed.';
        END IF;
    END IF;
    IF partition_interval NOT IN ('day', 'week', 'month') THEN
        RAISE EXCEPTION 'invalid partition interval "%"', partition_interval
            USING ERRCODE = 'invalid_parameter_value', HINT = 'It is day, week or month.';
    END IF;
    -- Where the schema is there, the right to make one is not asked for.
    IF to_regnamespace(quote_ident(schema)) IS NULL THEN
        EXECUTE format('CREATE SCHEMA %I', schema);
    END IF;

    EXECUTE format($ddl$
        CREATE TABLE IF NOT EXISTS %1$I.storage_settings (
            one_row            boolean PRIMARY KEY DEFAULT true CHECK (one_row),
            kek_label          text NOT NULL CHECK (kek_label <> ''),
            partition_interval text NOT NULL CHECK (partition_interval IN ('day', 'week', 'month')),
            keep_messages      boolean NOT NULL
        );
        COMMENT ON TABLE %1$I.storage_settings IS 'settings of this storage, one row';
        COMMENT ON COLUMN %1$I.storage_settings.kek_label IS 'KEK label that keys are stored under, where table application names no other';
        COMMENT ON COLUMN %1$I.storage_settings.partition_interval IS 'range of a partition in UTC; does not change';
        COMMENT ON COLUMN %1$I.storage_settings.keep_messages IS 'whether uplink and downlink keep the message as it came';

        CREATE TABLE IF NOT EXISTS %1$I.application (
            application_id text PRIMARY KEY,
            kek_label      text NOT NULL CHECK (kek_label <> '')
        );
        COMMENT ON TABLE %1$I.application IS 'applications whose new keys are stored under a KEK label of their own; optional';

        CREATE TABLE IF NOT EXISTS %1$I.device (
            dev_eui        bytea PRIMARY KEY CHECK (octet_length(dev_eui) = 8),
            application_id text NOT NULL,
            device_id      text
        );
        COMMENT ON TABLE %1$I.device IS 'devices, as the last message of them says';
        COMMENT ON COLUMN %1$I.device.dev_eui IS 'DevEUI, 8 bytes, big-endian as displayed';
        COMMENT ON COLUMN %1$I.device.device_id IS 'device_id of The Things Stack, deviceName of ChirpStack';

        CREATE TABLE IF NOT EXISTS %1$I.session (
            dev_eui         bytea NOT NULL CHECK (octet_length(dev_eui) = 8),
            session_key_id  bytea NOT NULL,
            application_id  text NOT NULL,
            dev_addr        bytea NOT NULL CHECK (octet_length(dev_addr) = 4),
            app_s_key       key_vault.wrapped_key,
            started_at      timestamptz NOT NULL,
            kek_label       text,
            encrypted_key   bytea,
            envelope_digest bytea CHECK (octet_length(envelope_digest) = 32),
            PRIMARY KEY (dev_eui, session_key_id),
            CHECK ((kek_label IS NULL) = (encrypted_key IS NULL)),
            CHECK (app_s_key IS NULL OR encrypted_key IS NULL)
        );
        CREATE INDEX IF NOT EXISTS session_pending_idx ON %1$I.session (kek_label) WHERE encrypted_key IS NOT NULL;
        COMMENT ON TABLE %1$I.session IS 'LoRaWAN sessions: each join begins one, and none is overwritten';
        COMMENT ON COLUMN %1$I.session.session_key_id IS 'SessionKeyID of the join server; where a message has none, 16 bytes made of its key envelope, or its deduplicationId';
        COMMENT ON COLUMN %1$I.session.dev_addr IS 'DevAddr, 4 bytes, big-endian as displayed';
        COMMENT ON COLUMN %1$I.session.app_s_key IS 'AppSKey, wrapped under the KEK at rest and bound to dev_addr; NULL while it is not known';
        COMMENT ON COLUMN %1$I.session.started_at IS 'time of the earliest message of the session';
        COMMENT ON COLUMN %1$I.session.kek_label IS 'KEK label of an envelope that could not be opened yet';
        COMMENT ON COLUMN %1$I.session.encrypted_key IS 'the envelope that could not be opened yet (AES-KW, RFC 3394)';
        COMMENT ON COLUMN %1$I.session.envelope_digest IS 'SHA-256 of the envelope that the key came in: by it the next message is known to bring the same key';

        CREATE TABLE IF NOT EXISTS %1$I.uplink (
            received_at    timestamptz NOT NULL,
            dev_eui        bytea NOT NULL CHECK (octet_length(dev_eui) = 8),
            session_key_id bytea,
            f_cnt          bigint NOT NULL CHECK (f_cnt BETWEEN 0 AND 4294967295),
            f_port         smallint NOT NULL CHECK (f_port BETWEEN 0 AND 255),
            encrypted      boolean NOT NULL,
            dev_addr       bytea NOT NULL CHECK (octet_length(dev_addr) = 4),
            frm_payload    bytea NOT NULL CHECK (octet_length(frm_payload) <= 255),
            application_id text NOT NULL,
            message        jsonb
        ) PARTITION BY RANGE (received_at);
        CREATE UNIQUE INDEX IF NOT EXISTS uplink_device_idx ON %1$I.uplink
            (dev_eui, received_at, f_cnt, session_key_id) NULLS NOT DISTINCT;
        CREATE INDEX IF NOT EXISTS uplink_received_at_idx ON %1$I.uplink USING brin (received_at);
        CREATE TABLE IF NOT EXISTS %1$I.uplink_default PARTITION OF %1$I.uplink DEFAULT;
        COMMENT ON TABLE %1$I.uplink IS 'uplinks as they came, payloads still encrypted where they were; partitioned by received_at, see key_vault.maintain_storage()';
        COMMENT ON COLUMN %1$I.uplink.received_at IS 'time of the network server';
        COMMENT ON COLUMN %1$I.uplink.f_cnt IS 'FCntUp, the full 32-bit counter';
        COMMENT ON COLUMN %1$I.uplink.encrypted IS 'false: the network sent the payload in the clear';
        COMMENT ON COLUMN %1$I.uplink.frm_payload IS 'FRMPayload, up to 255 bytes';
        COMMENT ON COLUMN %1$I.uplink.message IS 'the whole message, if storage_settings.keep_messages was set; without plaintext keys';

        CREATE TABLE IF NOT EXISTS %1$I.downlink (
            received_at    timestamptz NOT NULL,
            dev_eui        bytea NOT NULL CHECK (octet_length(dev_eui) = 8),
            event          text NOT NULL,
            session_key_id bytea,
            f_cnt          bigint CHECK (f_cnt BETWEEN 0 AND 4294967295),
            f_port         smallint CHECK (f_port BETWEEN 0 AND 255),
            dev_addr       bytea CHECK (octet_length(dev_addr) = 4),
            frm_payload    bytea NOT NULL CHECK (octet_length(frm_payload) <= 255),
            application_id text NOT NULL,
            queue_item_id  text,
            item           integer NOT NULL,
            message        jsonb
        ) PARTITION BY RANGE (received_at);
        CREATE UNIQUE INDEX IF NOT EXISTS downlink_device_idx ON %1$I.downlink
            (dev_eui, received_at, event, f_cnt, session_key_id, queue_item_id, item) NULLS NOT DISTINCT;
        CREATE INDEX IF NOT EXISTS downlink_received_at_idx ON %1$I.downlink USING brin (received_at);
        CREATE TABLE IF NOT EXISTS %1$I.downlink_default PARTITION OF %1$I.downlink DEFAULT;
        COMMENT ON TABLE %1$I.downlink IS 'what became of downlinks; payloads as they came, encrypted or not; partitioned by received_at';
        COMMENT ON COLUMN %1$I.downlink.event IS 'The Things Stack: queued, sent, ack, nack, failed, invalidated; ChirpStack: ack, nack, txack';
        COMMENT ON COLUMN %1$I.downlink.f_cnt IS 'FCntDown; of an invalidated empty queue the last one';
        COMMENT ON COLUMN %1$I.downlink.item IS 'place in the list of an event of several downlinks';

        CREATE TABLE IF NOT EXISTS %1$I.rejected (
            id          bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
            rejected_at timestamptz NOT NULL DEFAULT now(),
            tries       integer NOT NULL DEFAULT 1,
            sqlstate    text NOT NULL,
            reason      text NOT NULL,
            message     jsonb,
            digest      bytea NOT NULL UNIQUE
        );
        COMMENT ON TABLE %1$I.rejected IS 'messages that could not be used, whole; replay_rejected() tries them again';
        COMMENT ON COLUMN %1$I.rejected.message IS 'the message, with numbers of rejected_key in place of plaintext keys; NULL for a line that is no JSON object, which is wrapped in rejected_key as a whole';
        COMMENT ON COLUMN %1$I.rejected.digest IS 'SHA-256 of the message: a repeated delivery is kept once';

        CREATE TABLE IF NOT EXISTS %1$I.rejected_key (
            rejected_id bigint NOT NULL REFERENCES %1$I.rejected ON DELETE CASCADE,
            n           integer NOT NULL,
            key         key_vault.wrapped_key NOT NULL,
            PRIMARY KEY (rejected_id, n)
        );
        COMMENT ON TABLE %1$I.rejected_key IS 'what was plaintext keys in rejected messages, and lines that are no JSON';

        CREATE TABLE IF NOT EXISTS %1$I.inbox (message text);
        COMMENT ON TABLE %1$I.inbox IS 'stays empty: each line of JSON that is inserted or copied into it goes to ingest()';
        $ddl$, schema);

    EXECUTE format('INSERT INTO %I.storage_settings (kek_label, partition_interval, keep_messages)
                    VALUES (coalesce($1, $2), $3, coalesce($4, false))
                    ON CONFLICT (one_row) DO UPDATE
                    SET kek_label = coalesce($1, storage_settings.kek_label),
                        keep_messages = coalesce($4, storage_settings.keep_messages)', schema)
      USING kek_label, schema::text, coalesce(partition_interval, 'day'), keep_messages;

    -- Of a device's sessions, the one that the message is of; errors where its
    -- key is not the one that is here.
    EXECUTE format($ddl$
CREATE OR REPLACE FUNCTION %1$I.put_session(e key_vault.storage_event, wrapped key_vault.wrapped_key, at_rest_label text)
RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    s %1$I.session;
    digest bytea := sha256(convert_to(e.kek_label, 'UTF8') || '\x00' || e.encrypted_key);
    key key_vault.wrapped_key;
BEGIN
    SELECT * INTO s FROM %1$I.session i WHERE i.dev_eui = e.dev_eui AND i.session_key_id = e.session_key_id;
    IF NOT FOUND OR e.received_at < s.started_at THEN
        INSERT INTO %1$I.session AS old (dev_eui, session_key_id, application_id, dev_addr, started_at)
        VALUES (e.dev_eui, e.session_key_id, e.application_id, e.dev_addr, e.received_at)
        ON CONFLICT (dev_eui, session_key_id) DO UPDATE SET started_at = least(old.started_at, excluded.started_at);
    ELSIF wrapped IS NULL AND s.dev_addr = e.dev_addr
          AND (e.encrypted_key IS NULL OR s.envelope_digest = digest AND s.app_s_key IS NOT NULL)
    THEN
        RETURN;
    END IF;
    -- Its row is locked: two messages may bring two keys at the same time.
    SELECT * INTO STRICT s FROM %1$I.session i
     WHERE i.dev_eui = e.dev_eui AND i.session_key_id = e.session_key_id FOR UPDATE;

    IF s.dev_addr <> e.dev_addr THEN
        RAISE EXCEPTION 'session %% of device %% has DevAddr %%, not %%',
            encode(e.session_key_id, 'hex'), encode(e.dev_eui, 'hex'), encode(s.dev_addr, 'hex'), encode(e.dev_addr, 'hex')
            USING ERRCODE = 'integrity_constraint_violation';
    ELSIF wrapped IS NULL AND (e.encrypted_key IS NULL OR s.envelope_digest = digest AND s.app_s_key IS NOT NULL) THEN
        RETURN;
    ELSIF s.encrypted_key IS NOT NULL AND s.envelope_digest IS DISTINCT FROM digest THEN
        RAISE EXCEPTION 'session %% of device %% came with another key envelope before, which is not opened yet',
            encode(e.session_key_id, 'hex'), encode(e.dev_eui, 'hex')
            USING ERRCODE = 'integrity_constraint_violation',
                  DETAIL = format('That one has KEK label "%%s".', s.kek_label);
    ELSIF wrapped IS NULL AND NOT EXISTS (SELECT FROM key_vault.keks k WHERE k.label = e.kek_label) THEN
        -- The key cannot be had yet; where there is one, it cannot be compared.
        IF s.app_s_key IS NOT NULL THEN
            RAISE EXCEPTION 'KEK label "%%" does not exist', e.kek_label
                USING ERRCODE = 'KV001',
                      DETAIL = 'Whether the key is the one that the session has cannot be told.';
        END IF;
        UPDATE %1$I.session i SET kek_label = e.kek_label, encrypted_key = e.encrypted_key, envelope_digest = digest
         WHERE i.dev_eui = e.dev_eui AND i.session_key_id = e.session_key_id;
        RETURN;
    END IF;

    IF s.app_s_key IS NOT NULL THEN
        -- Wrapping is deterministic: the same key gives the same bytes.
        at_rest_label := coalesce(key_vault.kek_label(s.app_s_key), at_rest_label);
    END IF;
    key := CASE WHEN wrapped IS NULL THEN key_vault.import_envelope(e.kek_label, e.encrypted_key, at_rest_label, e.dev_addr)
                WHEN key_vault.kek_label(wrapped) = at_rest_label THEN key_vault.bind(wrapped, e.dev_addr)
                ELSE key_vault.bind(key_vault.rewrap(wrapped, at_rest_label), e.dev_addr) END;
    IF s.app_s_key IS NULL THEN
        UPDATE %1$I.session i
           SET app_s_key = key, envelope_digest = digest, kek_label = NULL, encrypted_key = NULL
         WHERE i.dev_eui = e.dev_eui AND i.session_key_id = e.session_key_id;
    ELSIF key OPERATOR(key_vault.<>) s.app_s_key AND key OPERATOR(key_vault.<>) key_vault.rewrap(s.app_s_key) THEN
        RAISE EXCEPTION 'session %% of device %% has another key', encode(e.session_key_id, 'hex'), encode(e.dev_eui, 'hex')
            USING ERRCODE = 'integrity_constraint_violation';
    ELSIF digest IS NOT NULL THEN
        UPDATE %1$I.session i SET envelope_digest = digest
         WHERE i.dev_eui = e.dev_eui AND i.session_key_id = e.session_key_id;
    END IF;
END
$body$;
COMMENT ON FUNCTION %1$I.put_session(key_vault.storage_event, key_vault.wrapped_key, text) IS
'makes or completes the session that a message is of; for store()';

CREATE OR REPLACE FUNCTION %1$I.kek_label(message jsonb)
RETURNS text LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
    RETURN coalesce((SELECT a.kek_label FROM %1$I.application a
                      WHERE a.application_id = coalesce(message #>> '{end_device_ids,application_ids,application_id}',
                                                        message #>> '{deviceInfo,applicationId}')),
                    (SELECT s.kek_label FROM %1$I.storage_settings s));
END
$body$;
COMMENT ON FUNCTION %1$I.kek_label(jsonb) IS 'KEK label that the keys of a message are stored under';

CREATE OR REPLACE FUNCTION %1$I.store(message jsonb, keys key_vault.wrapped_key[])
RETURNS text LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    e key_vault.storage_event;
    kept jsonb;
    result text := 'duplicate';
BEGIN
    SELECT store.message INTO kept FROM %1$I.storage_settings s WHERE s.keep_messages;
    FOR e IN SELECT * FROM key_vault.storage_events(message) LOOP
        IF NOT EXISTS (SELECT FROM %1$I.device d WHERE d.dev_eui = e.dev_eui AND d.application_id = e.application_id
                                                   AND d.device_id IS NOT DISTINCT FROM e.device_id) THEN
            INSERT INTO %1$I.device (dev_eui, application_id, device_id)
            VALUES (e.dev_eui, e.application_id, e.device_id)
            ON CONFLICT (dev_eui) DO UPDATE
               SET application_id = excluded.application_id, device_id = excluded.device_id;
        END IF;
        IF e.kind = 'join' OR e.encrypted_key IS NOT NULL OR e.key_number IS NOT NULL THEN
            IF e.key_number IS NOT NULL AND keys[e.key_number] IS NULL THEN
                RAISE EXCEPTION 'key %% of the message is missing', e.key_number USING ERRCODE = 'no_data_found';
            END IF;
            PERFORM %1$I.put_session(e, keys[e.key_number], %1$I.kek_label(message));
        END IF;
        CASE e.kind
            WHEN 'join' THEN
                result := 'join';
            WHEN 'uplink' THEN
                INSERT INTO %1$I.uplink (received_at, dev_eui, session_key_id, f_cnt, f_port, encrypted, dev_addr,
                                         frm_payload, application_id, message)
                VALUES (e.received_at, e.dev_eui, e.session_key_id, e.f_cnt, e.f_port, e.encrypted, e.dev_addr,
                        e.frm_payload, e.application_id, kept)
                ON CONFLICT DO NOTHING;
                IF FOUND THEN
                    result := 'uplink';
                ELSE
                    PERFORM FROM %1$I.uplink u
                      WHERE u.dev_eui = e.dev_eui AND u.received_at = e.received_at AND u.f_cnt = e.f_cnt
                        AND u.session_key_id IS NOT DISTINCT FROM e.session_key_id
                        AND (u.f_port, u.encrypted, u.dev_addr, u.frm_payload)
                            = (e.f_port, e.encrypted, e.dev_addr, e.frm_payload);
                    IF NOT FOUND THEN
                        RAISE EXCEPTION 'another uplink of device %% with f_cnt %% of that time is stored',
                            encode(e.dev_eui, 'hex'), e.f_cnt
                            USING ERRCODE = 'integrity_constraint_violation';
                    END IF;
                END IF;
            WHEN 'downlink' THEN
                INSERT INTO %1$I.downlink (received_at, dev_eui, event, session_key_id, f_cnt, f_port, dev_addr,
                                           frm_payload, application_id, queue_item_id, item, message)
                VALUES (e.received_at, e.dev_eui, e.event, e.session_key_id, e.f_cnt, e.f_port, e.dev_addr,
                        e.frm_payload, e.application_id, e.queue_item_id, e.item, kept)
                ON CONFLICT DO NOTHING;
                IF FOUND THEN
                    result := CASE result WHEN 'join' THEN 'join' ELSE 'downlink' END;
                ELSE
                    PERFORM FROM %1$I.downlink d
                      WHERE d.dev_eui = e.dev_eui AND d.received_at = e.received_at AND d.event = e.event
                        AND (d.f_cnt, d.session_key_id, d.queue_item_id, d.item, d.f_port, d.dev_addr, d.frm_payload)
                            IS NOT DISTINCT FROM
                            (e.f_cnt, e.session_key_id, e.queue_item_id, e.item, e.f_port, e.dev_addr, e.frm_payload);
                    IF NOT FOUND THEN
                        RAISE EXCEPTION 'another downlink of device %% with f_cnt %% of that time is stored',
                            encode(e.dev_eui, 'hex'), e.f_cnt
                            USING ERRCODE = 'integrity_constraint_violation';
                    END IF;
                END IF;
        END CASE;
    END LOOP;
    RETURN result;
END
$body$;
COMMENT ON FUNCTION %1$I.store(jsonb, key_vault.wrapped_key[]) IS
'stores a message whose plaintext keys are taken out; an error where it cannot be used; for ingest()';

-- Outages are for the sender to try again: only what may be about the message is caught.
CREATE OR REPLACE FUNCTION %1$I.store_or_reject(message jsonb, keys key_vault.wrapped_key[], digest bytea,
                                                why text DEFAULT NULL)
RETURNS text LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    state text;
    reason text;
    more text;
    hint text;
    relation text;
    rejected_id bigint;
BEGIN
    FOR try IN 1 .. 2 LOOP
        BEGIN
            IF message IS NULL THEN
                RAISE EXCEPTION '%%', why USING ERRCODE = 'invalid_text_representation';
            END IF;
            RETURN %1$I.store(message, keys);
        EXCEPTION WHEN query_canceled OR OTHERS THEN
            GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, reason = MESSAGE_TEXT, more = PG_EXCEPTION_DETAIL,
                                    hint = PG_EXCEPTION_HINT, relation = TABLE_NAME;
            IF key_vault.storage_outage(state) THEN
                PERFORM key_vault.storage_refuse(state, reason, more, hint);
            END IF;
        END;
        -- Or maintain_storage() made the partition while this waited for the default one.
        EXIT WHEN state <> '23514' OR relation NOT IN ('uplink_default', 'downlink_default');
    END LOOP;
    BEGIN
        INSERT INTO %1$I.rejected AS r (sqlstate, reason, message, digest) VALUES (state, reason, message, digest)
        ON CONFLICT ON CONSTRAINT rejected_digest_key DO UPDATE
           SET tries = r.tries + 1, sqlstate = excluded.sqlstate, reason = excluded.reason
        RETURNING id INTO rejected_id;
        INSERT INTO %1$I.rejected_key (rejected_id, n, key)
        SELECT rejected_id, k.n, k.key FROM unnest(keys) WITH ORDINALITY k (key, n)
        ON CONFLICT DO NOTHING;
    EXCEPTION WHEN query_canceled OR OTHERS THEN
        -- Without the detail, which may show the row.
        GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, more = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
        PERFORM key_vault.storage_refuse(state, more, format('A message was to be rejected: %%s.', reason), hint);
    END;
    RETURN 'rejected';
END
$body$;
COMMENT ON FUNCTION %1$I.store_or_reject(jsonb, key_vault.wrapped_key[], bytea, text) IS
'stores a message, or keeps it in rejected; where it is NULL, for the reason given; for ingest() and replay_rejected()';

CREATE OR REPLACE FUNCTION %1$I.reject_line(line text, why text)
RETURNS text LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    keys key_vault.wrapped_key[];
    state text;
    more text;
    hint text;
BEGIN
    BEGIN
        -- Whether there is a key in it cannot be told: all of it is wrapped.
        keys := key_vault.storage_seal(line, %1$I.kek_label(NULL));
    EXCEPTION WHEN query_canceled OR OTHERS THEN
        GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, more = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
        PERFORM key_vault.storage_refuse(state, SQLERRM, more, hint);
    END;
    RETURN %1$I.store_or_reject(NULL, keys, sha256(convert_to(line, 'UTF8')), why);
END
$body$;
COMMENT ON FUNCTION %1$I.reject_line(text, text) IS
'keeps a line in rejected that cannot be looked through for keys, wrapped whole; for ingest()';

CREATE OR REPLACE FUNCTION %1$I.ingest(message jsonb)
RETURNS text LANGUAGE plpgsql STRICT
SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    digest bytea := sha256(convert_to(message::text, 'UTF8'));
    keys key_vault.wrapped_key[];
    state text;
    more text;
    hint text;
    why text;
BEGIN
    IF jsonb_typeof(message) <> 'object' THEN
        RETURN %1$I.reject_line(message::text, 'line is not a JSON object');
    END IF;
    -- The Storage Integration API of The Things Stack wraps each message so.
    IF jsonb_typeof(message -> 'result') = 'object' AND message - 'result' = '{}' THEN
        message := message -> 'result';
    END IF;
    BEGIN
        SELECT w.message, w.keys INTO message, keys
          FROM key_vault.storage_wrap_keys(message, %1$I.kek_label(message)) w;
    EXCEPTION
        WHEN program_limit_exceeded THEN
            why := SQLERRM;
        WHEN query_canceled OR OTHERS THEN
            GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, more = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
            PERFORM key_vault.storage_refuse(state, SQLERRM, more, hint);
    END;
    IF why IS NOT NULL THEN
        RETURN %1$I.reject_line(message::text, format('message is not looked through for keys: %%s', why));
    END IF;
    RETURN %1$I.store_or_reject(message, keys, digest);
END
$body$;
COMMENT ON FUNCTION %1$I.ingest(jsonb) IS
'stores a message of The Things Stack or ChirpStack: returns uplink, join, downlink, duplicate, or rejected (see table rejected). Plaintext keys are wrapped first; where that fails it is an error. Takes wrap on the label at rest and unwrap on that of the envelope; rewrap on the former for plaintext keys and after its rotation';

CREATE OR REPLACE FUNCTION %1$I.ingest(line text)
RETURNS text LANGUAGE plpgsql STRICT
SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    message jsonb;
    has_nul boolean := false;
BEGIN
    BEGIN
        message := line;
    EXCEPTION
        WHEN untranslatable_character THEN
            has_nul := true;
        WHEN data_exception OR program_limit_exceeded THEN
            message := NULL;
    END;
    IF has_nul THEN
        -- No text of PostgreSQL has the character \u0000; payload formatters write it.
        BEGIN
            message := regexp_replace(line, '(?<!\\)((?:\\\\)*)\\u0000', '\1\\ufffd', 'g');
        EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
            message := NULL;
        END;
    END IF;
    IF message IS NULL THEN
        RETURN %1$I.reject_line(line, 'line is not a JSON object');
    END IF;
    RETURN %1$I.ingest(message);
END
$body$;
COMMENT ON FUNCTION %1$I.ingest(text) IS
'as ingest(jsonb), of a message in whatever state: one that is no JSON is rejected and wrapped whole';

CREATE OR REPLACE FUNCTION %1$I.ingest_line()
RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
    IF trim(NEW.message, E' \t\r\n') <> '' THEN
        PERFORM %1$I.ingest(NEW.message);
    END IF;
    RETURN NULL;
END
$body$;
COMMENT ON FUNCTION %1$I.ingest_line() IS 'trigger of inbox: hands the line to ingest(), and writes none';

CREATE OR REPLACE TRIGGER ingest BEFORE INSERT ON %1$I.inbox
    FOR EACH ROW EXECUTE FUNCTION %1$I.ingest_line();
-- Whatever session_replication_role is, no line is written as it is.
ALTER TABLE %1$I.inbox ENABLE ALWAYS TRIGGER ingest;

CREATE OR REPLACE FUNCTION %1$I.replay_rejected(OUT opened bigint, OUT stored bigint, OUT rejected bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    one record;
BEGIN
    opened := 0;
    stored := 0;
    rejected := 0;
    FOR one IN SELECT i.dev_eui, i.session_key_id, i.kek_label, i.encrypted_key, i.dev_addr,
                      coalesce(a.kek_label, ss.kek_label) AS at_rest_label
                 FROM %1$I.session i CROSS JOIN %1$I.storage_settings ss
                 LEFT JOIN %1$I.application a ON a.application_id = i.application_id
                WHERE i.encrypted_key IS NOT NULL AND i.kek_label IN (SELECT k.label FROM key_vault.keks k)
                FOR UPDATE OF i SKIP LOCKED
    LOOP
        BEGIN
            UPDATE %1$I.session i
               SET app_s_key = key_vault.import_envelope(one.kek_label, one.encrypted_key, one.at_rest_label, one.dev_addr),
                   kek_label = NULL, encrypted_key = NULL
             WHERE i.dev_eui = one.dev_eui AND i.session_key_id = one.session_key_id;
            opened := opened + 1;
        EXCEPTION WHEN OTHERS THEN
            IF key_vault.storage_outage(SQLSTATE) THEN
                RAISE;
            END IF;
            RAISE WARNING 'key envelope of session %% of device %% was not opened: %%',
                encode(one.session_key_id, 'hex'), encode(one.dev_eui, 'hex'), SQLERRM;
        END;
    END LOOP;
    FOR one IN SELECT r.id, r.message, r.digest,
                      ARRAY(SELECT k.key FROM %1$I.rejected_key k WHERE k.rejected_id = r.id ORDER BY k.n) AS keys
                 FROM %1$I.rejected r WHERE r.message IS NOT NULL ORDER BY r.id FOR UPDATE OF r SKIP LOCKED
    LOOP
        IF %1$I.store_or_reject(one.message, one.keys, one.digest) = 'rejected' THEN
            rejected := rejected + 1;
        ELSE
            DELETE FROM %1$I.rejected r WHERE r.id = one.id;
            stored := stored + 1;
        END IF;
    END LOOP;
END
$body$;
COMMENT ON FUNCTION %1$I.replay_rejected() IS
'opens key envelopes whose KEK was unknown, and tries the messages in rejected again, those that are JSON; returns how many keys were opened, how many messages were stored (or were stored already) and how many stay';
        $ddl$, schema);

    -- For whoever reads them; tables and keys are asked for the reader's privileges.
    -- An envelope whose KEK came later is read with that KEK, until replay_rejected()
    -- brings its key under the one at rest.
    app_s_key := $sql$coalesce(s.app_s_key,
                         CASE WHEN key_vault.has_kek_privilege(s.kek_label, 'decrypt')
                              THEN key_vault.try_envelope_key(s.kek_label, s.encrypted_key) END)$sql$;
    decrypted := format($sql$
       CASE WHEN NOT u.encrypted THEN u.frm_payload
            WHEN u.f_port > 0 OR u.frm_payload = '' THEN
                key_vault.lorawan_try_decrypt_uplink(%1$s,
                                                     u.dev_addr, u.f_cnt, u.frm_payload) END AS payload,
       CASE WHEN NOT u.encrypted THEN 'plain'
            WHEN u.f_port = 0 AND u.frm_payload <> '' THEN 'network payload'
            WHEN s.dev_eui IS NULL THEN 'no session'
            WHEN s.encrypted_key IS NOT NULL AND s.kek_label NOT IN (SELECT k.label FROM key_vault.keks k) THEN 'KEK unknown'
            WHEN s.app_s_key IS NULL AND s.encrypted_key IS NULL THEN 'no key'
            ELSE coalesce(nullif(coalesce(key_vault.key_status(%1$s,
                                                               u.dev_addr), 'envelope not opened'), 'ok'), 'decrypted')
       END AS status$sql$, app_s_key);
    EXECUTE format($ddl$
        CREATE OR REPLACE VIEW %1$I.uplink_decrypted WITH (security_invoker = true) AS
        SELECT u.received_at, u.application_id, d.device_id, u.dev_eui, u.dev_addr, u.session_key_id, u.f_cnt, u.f_port,
               %2$s
          FROM %1$I.uplink u
          LEFT JOIN %1$I.session s ON s.dev_eui = u.dev_eui AND s.session_key_id = u.session_key_id
          LEFT JOIN %1$I.device d ON d.dev_eui = u.dev_eui;
        COMMENT ON VIEW %1$I.uplink_decrypted IS 'uplinks, decrypted while they are read; takes SELECT on uplink, session and device, and the privilege decrypt on the KEK labels';
        COMMENT ON COLUMN %1$I.uplink_decrypted.payload IS 'FRMPayload in the clear; NULL where status says why';
        COMMENT ON COLUMN %1$I.uplink_decrypted.status IS 'plain, decrypted, no session, no key, KEK unknown, envelope not opened, network payload (FPort 0), or as key_vault.key_status() says';

        CREATE OR REPLACE VIEW %1$I.device_latest WITH (security_invoker = true) AS
        SELECT d.dev_eui, d.application_id, d.device_id, u.received_at, u.dev_addr, u.session_key_id, u.f_cnt, u.f_port,
               %2$s
          FROM %1$I.device d
         CROSS JOIN LATERAL (SELECT * FROM %1$I.uplink i WHERE i.dev_eui = d.dev_eui ORDER BY i.received_at DESC LIMIT 1) u
          LEFT JOIN %1$I.session s ON s.dev_eui = u.dev_eui AND s.session_key_id = u.session_key_id;
        COMMENT ON VIEW %1$I.device_latest IS 'the latest uplink of each device; otherwise as uplink_decrypted';
        $ddl$, schema, decrypted);

    CALL key_vault.maintain_storage(schema);
END
$create_storage$;
COMMENT ON PROCEDURE key_vault.create_storage(name, text, text, boolean) IS
'makes, in a schema, ordinary tables, views and functions that take, keep and decrypt the messages of The Things Stack and ChirpStack, owned by the caller; kek_label: the KEK label that keys are stored under, by default the name of the schema; partition_interval: day, week or month (UTC); keep_messages: also keep each message whole. Called again it brings functions and views up to date, and NULL leaves a setting as it is';

