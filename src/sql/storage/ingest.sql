-- Stores messages in a storage.
--
-- storage_ingest() is in C.  It takes plaintext keys out of messages, and stores messages of new and of known sessions
-- by few statements (src/storage/set_store.c).  The other messages come to storage_store(), one by one.  While
-- storage_ingest() runs, the server logs neither the statement nor the context of an error, since a message with a
-- plaintext key could be in them.
--
-- These functions serve all storages: session.sql has the rules for such functions.

CREATE OR REPLACE FUNCTION key_vault_internal.storage_store(message jsonb, keys key_vault.wrapped_key[])
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    e key_vault.storage_event;
    kept jsonb;
    result text := 'duplicate';
    at timestamptz := now();
    day constant interval := interval '1 day';
    slack interval;
    time_of_1_0 timestamptz;
    until timestamptz;
    same boolean;
    known record;
BEGIN
    SELECT storage_store.message INTO kept FROM storage_settings s WHERE s.keep_messages;
    FOR e IN SELECT * FROM key_vault_internal.storage_read_events(message) LOOP
        -- A time that is more than a day ahead comes from a wrong clock.
        IF e.received_at > at + day THEN
            e.received_at := NULL;
        END IF;
        slack := CASE WHEN e.received_at IS NULL THEN day ELSE interval '0' END;
        e.received_at := coalesce(e.received_at, at);
        -- These are two statements, since Citus refuses an INSERT with a subquery.
        IF NOT EXISTS (SELECT FROM device d WHERE d.dev_eui = e.dev_eui AND d.application_id = e.application_id
                                              AND d.device_id = coalesce(e.device_id, d.device_id))
           AND NOT EXISTS (SELECT FROM device d JOIN uplink u ON u.dev_eui = d.dev_eui
                            WHERE d.dev_eui = e.dev_eui AND u.received_at > least(e.received_at, at)
                              AND u.stored_at > least(e.received_at, at))
        THEN
            INSERT INTO device AS old (dev_eui, application_id, device_id, seen_at)
            VALUES (e.dev_eui, e.application_id, e.device_id, least(e.received_at, at))
            ON CONFLICT (dev_eui) DO UPDATE
               SET application_id = excluded.application_id, device_id = coalesce(excluded.device_id, old.device_id),
                   seen_at = excluded.seen_at
             WHERE old.seen_at <= excluded.seen_at;
        END IF;
        IF e.kind = 'join' OR e.encrypted_key IS NOT NULL OR e.key_number IS NOT NULL THEN
            IF e.key_number IS NOT NULL AND keys[e.key_number] IS NULL THEN
                RAISE EXCEPTION 'key % of the message is missing', e.key_number USING ERRCODE = 'no_data_found';
            END IF;
            IF e.session_key_id IS NULL THEN
                e.session_key_id := key_vault_internal.storage_session_of_key(e, keys[e.key_number]);
            END IF;
            PERFORM key_vault_internal.storage_put_session(e, keys[e.key_number],
                                                           key_vault_internal.storage_kek_label(e.application_id));
        END IF;
        CASE e.kind
            WHEN 'join' THEN
                result := 'join';
            WHEN 'uplink' THEN
                time_of_1_0 := (SELECT t FROM key_vault_internal.storage_time_of_1_0(message) t, storage_settings s
                                 WHERE t <= s.rows_of_1_0_until);
                -- If the INSERT finds a conflict, another transaction has just stored the same, or this server's clock was
                -- set back: then the second round searches the partitions of all later times, too.
                FOREACH until IN ARRAY ARRAY[at + day, 'infinity'] LOOP
                    SELECT (u.f_port, u.dev_addr, u.frm_payload) IS NOT DISTINCT FROM (e.f_port, e.dev_addr, e.frm_payload)
                           AND coalesce(u.encrypted = e.encrypted, true) AS same,
                           u.stored_at, u.received_at, u.f_cnt, u.encrypted
                      INTO known
                      FROM uplink u
                     WHERE u.dev_eui = e.dev_eui
                       AND (u.received_at BETWEEN e.received_at - slack AND e.received_at + slack
                            OR u.received_at = time_of_1_0 AND u.stored_at = time_of_1_0)
                       AND coalesce(u.f_cnt = e.f_cnt, true) AND u.session_key_id IS NOT DISTINCT FROM e.session_key_id
                       AND u.stored_at > least(e.received_at, time_of_1_0) - day AND u.stored_at < until
                       AND (slack = '0' OR u.received_at = u.stored_at
                            AND (u.f_port, u.dev_addr, u.frm_payload) IS NOT DISTINCT FROM (e.f_port, e.dev_addr, e.frm_payload)
                            AND coalesce(u.encrypted = e.encrypted, true))
                     ORDER BY coalesce(u.f_cnt = e.f_cnt, false) DESC LIMIT 1;
                    IF FOUND THEN
                        same := known.same;
                        -- Another delivery may have the fields that this one left out.
                        IF same AND (known.f_cnt IS NULL AND e.f_cnt IS NOT NULL
                                     OR known.encrypted IS NULL AND e.encrypted IS NOT NULL)
                        THEN
                            UPDATE uplink u
                               SET f_cnt = coalesce(u.f_cnt, e.f_cnt), encrypted = coalesce(u.encrypted, e.encrypted)
                             WHERE u.dev_eui = e.dev_eui AND u.received_at = known.received_at AND u.stored_at = known.stored_at
                               AND u.f_cnt IS NOT DISTINCT FROM known.f_cnt
                               AND u.session_key_id IS NOT DISTINCT FROM e.session_key_id;
                        END IF;
                        EXIT;
                    END IF;
                    INSERT INTO uplink (stored_at, dev_eui, session_key_id, f_cnt, f_port, encrypted, dev_addr,
                                        frm_payload, application_id, message, received_at, simulated)
                    VALUES (at, e.dev_eui, e.session_key_id, e.f_cnt, e.f_port, e.encrypted, e.dev_addr,
                            e.frm_payload, e.application_id, kept, e.received_at,
                            CASE WHEN storage_store.message -> 'simulated' = 'true' THEN true END)
                    ON CONFLICT DO NOTHING;
                    IF FOUND THEN
                        result := 'uplink';
                        same := true;
                        EXIT;
                    END IF;
                END LOOP;
                IF same IS NOT TRUE THEN
                    RAISE EXCEPTION 'another uplink of device % with f_cnt % of that time is stored',
                        encode(e.dev_eui, 'hex'), coalesce(e.f_cnt::text, 'missing')
                        USING ERRCODE = 'integrity_constraint_violation';
                END IF;
            WHEN 'downlink' THEN
                -- If the INSERT finds a conflict, another transaction has just stored the same, or this server's clock was
                -- set back: then the second round searches the partitions of all later times, too.
                FOREACH until IN ARRAY ARRAY[at + day, 'infinity'] LOOP
                    SELECT (d.f_port, d.dev_addr, d.frm_payload) IS NOT DISTINCT FROM (e.f_port, e.dev_addr, e.frm_payload)
                      INTO same
                      FROM downlink d
                     WHERE d.dev_eui = e.dev_eui AND d.received_at BETWEEN e.received_at - slack AND e.received_at + slack
                       AND d.event = e.event
                       AND (d.f_cnt, d.session_key_id, d.queue_item_id, d.item)
                           IS NOT DISTINCT FROM (e.f_cnt, e.session_key_id, e.queue_item_id, e.item)
                       AND d.stored_at > e.received_at - day AND d.stored_at < until
                       AND (slack = '0' OR d.received_at = d.stored_at
                            AND (d.f_port, d.dev_addr, d.frm_payload) IS NOT DISTINCT FROM (e.f_port, e.dev_addr, e.frm_payload))
                     LIMIT 1;
                    EXIT WHEN FOUND;
                    INSERT INTO downlink (stored_at, dev_eui, event, session_key_id, f_cnt, f_port, dev_addr,
                                          frm_payload, application_id, queue_item_id, item, message, received_at)
                    VALUES (at, e.dev_eui, e.event, e.session_key_id, e.f_cnt, e.f_port, e.dev_addr,
                            e.frm_payload, e.application_id, e.queue_item_id, e.item, kept, e.received_at)
                    ON CONFLICT DO NOTHING;
                    IF FOUND THEN
                        result := CASE result WHEN 'join' THEN 'join' ELSE 'downlink' END;
                        same := true;
                        EXIT;
                    END IF;
                END LOOP;
                IF same IS NOT TRUE THEN
                    RAISE EXCEPTION 'another downlink of device % with f_cnt % of that time is stored',
                        encode(e.dev_eui, 'hex'), e.f_cnt
                        USING ERRCODE = 'integrity_constraint_violation';
                END IF;
        END CASE;
    END LOOP;
    RETURN result;
END
$$;
COMMENT ON FUNCTION key_vault_internal.storage_store(jsonb, key_vault.wrapped_key[]) IS
'stores a message from which the plaintext keys were taken out; an error if it cannot be used';

CREATE OR REPLACE FUNCTION key_vault_internal.storage_ingest(message jsonb)
RETURNS text AS 'MODULE_PATHNAME', 'key_vault_storage_ingest_message'
LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION key_vault_internal.storage_ingest(jsonb) IS
'stores or rejects a message, or the messages of an array, in the storage in the first schema of search_path; returns what became of the message, or counts if there is not exactly one. For an error, the server logs neither the statement nor the context';

CREATE OR REPLACE FUNCTION key_vault_internal.storage_ingest(line text)
RETURNS text AS 'MODULE_PATHNAME', 'key_vault_storage_ingest_line'
LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION key_vault_internal.storage_ingest(text) IS
'as storage_ingest(jsonb), for a text with any number of messages; what is not JSON is rejected, and wrapped as a whole';

CREATE OR REPLACE FUNCTION key_vault_internal.storage_ingest(body bytea)
RETURNS text AS 'MODULE_PATHNAME', 'key_vault_storage_ingest_bytes'
LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION key_vault_internal.storage_ingest(bytea) IS
'as storage_ingest(text), for the body of a request, in UTF-8; a body that is not UTF-8 is rejected, in hexadecimal digits';

CREATE OR REPLACE FUNCTION key_vault_internal.storage_ingest_all(messages jsonb[], OUT stored bigint, OUT duplicates bigint,
                                                                 OUT rejected bigint)
AS 'MODULE_PATHNAME', 'key_vault_storage_ingest_messages'
LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION key_vault_internal.storage_ingest_all(jsonb[]) IS
'as storage_ingest(jsonb), for many messages, which are stored in sets; elements that are NULL are skipped';

CREATE OR REPLACE FUNCTION key_vault_internal.storage_ingest_all(lines text[], OUT stored bigint, OUT duplicates bigint,
                                                                 OUT rejected bigint)
AS 'MODULE_PATHNAME', 'key_vault_storage_ingest_lines'
LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION key_vault_internal.storage_ingest_all(text[]) IS
'as storage_ingest(text), for many lines, which are stored in sets; elements that are NULL are skipped';

CREATE OR REPLACE FUNCTION key_vault_internal.storage_inbox_line()
RETURNS trigger AS 'MODULE_PATHNAME', 'key_vault_storage_inbox_line'
LANGUAGE C;
COMMENT ON FUNCTION key_vault_internal.storage_inbox_line() IS
'trigger on the table inbox of a storage: keeps the messages of a line until the end of the statement, and writes nothing into inbox';

CREATE OR REPLACE FUNCTION key_vault_internal.storage_inbox_end()
RETURNS trigger AS 'MODULE_PATHNAME', 'key_vault_storage_inbox_end'
LANGUAGE C;
COMMENT ON FUNCTION key_vault_internal.storage_inbox_end() IS
'trigger on the table inbox of a storage: stores or rejects the lines of the statement, and says in a NOTICE how many';
