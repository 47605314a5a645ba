-- Messages that a storage cannot use are kept whole in the table rejected, and can be tried again.  If it is the
-- server that fails, and not the message that is wrong, an error is raised instead, so that the sender keeps the
-- message.
--
-- These functions serve all storages: session.sql has the rules for such functions.

CREATE OR REPLACE FUNCTION key_vault_internal.storage_outage(state text)
RETURNS boolean AS 'MODULE_PATHNAME', 'key_vault_storage_outage'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION key_vault_internal.storage_outage(text) IS
'whether an SQLSTATE means that the server, the root key or a token fails';

CREATE OR REPLACE FUNCTION key_vault_internal.storage_store_or_reject(message jsonb, keys key_vault.wrapped_key[],
                                                                      digest bytea, why text DEFAULT NULL)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    state text;
    reason text;
    more text;
    hint text;
    relation text;
    object_schema text;
    field text;
    found text;
    expected text;
    rejected_id bigint;
BEGIN
    FOR try IN 1 .. 2 LOOP
        BEGIN
            IF why IS NOT NULL THEN
                RAISE EXCEPTION '%', why
                    USING ERRCODE = CASE WHEN message IS NULL THEN 'invalid_text_representation' ELSE 'raise_exception' END,
                          HINT = CASE WHEN message IS NULL
                                      THEN 'It is wrapped, in rejected_key: roles that have unwrap on the KEK label can read it.'
                                      ELSE 'The setting key_vault.reject_reason was set.' END;
            END IF;
            RETURN key_vault_internal.storage_store(message, keys);
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, reason = MESSAGE_TEXT, relation = TABLE_NAME,
                object_schema = SCHEMA_NAME, field = COLUMN_NAME, found = PG_EXCEPTION_DETAIL, expected = PG_DATATYPE_NAME,
                hint = PG_EXCEPTION_HINT;
            IF key_vault_internal.storage_outage(state) THEN
                RAISE;
            END IF;
        END;
        -- The second try is for a row whose partition was made by maintain_storage() while this transaction waited for
        -- the default partition.
        EXIT WHEN state <> '23514' OR relation NOT IN ('uplink_default', 'downlink_default');
    END LOOP;
    field := nullif(field, '');
    found := nullif(found, '');
    hint := nullif(hint, '');
    IF expected = '' OR object_schema <> '' THEN
        -- The error does not come from storage_read_events(), but from a table, for example: its detail may show the row.
        field := NULL;
        found := NULL;
        expected := NULL;
    END IF;
    BEGIN
        INSERT INTO rejected AS r (sqlstate, reason, field, found, expected, hint, message, digest)
        VALUES (state, reason, field, found, expected, hint, message, digest)
        ON CONFLICT ON CONSTRAINT rejected_digest_key DO UPDATE
           SET tries = r.tries + 1, sqlstate = excluded.sqlstate, reason = excluded.reason, field = excluded.field,
               found = excluded.found, expected = excluded.expected, hint = excluded.hint
        RETURNING r.id INTO rejected_id;
        INSERT INTO rejected_key (rejected_id, n, key)
        SELECT rejected_id, k.n, k.key FROM unnest(keys) WITH ORDINALITY k (key, n)
        ON CONFLICT DO NOTHING;
    EXCEPTION WHEN OTHERS THEN
        -- The detail of this error may show the row, so the reason for the rejection takes its place.
        GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, more = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
        RAISE EXCEPTION '%', more
            USING ERRCODE = state,
                  DETAIL = format('A message was to be rejected: %s.', reason),
                  HINT = coalesce(nullif(hint, ''), 'The message is not stored: send it again.');
    END;
    RETURN 'rejected';
END
$$;
COMMENT ON FUNCTION key_vault_internal.storage_store_or_reject(jsonb, key_vault.wrapped_key[], bytea, text) IS
'stores a message from which the plaintext keys were taken out, or puts it into rejected. message: NULL for a line that is not a message; why: the reason to reject it, NULL if it is to be stored; keys: the keys that were taken out, wrapped; digest: SHA-256 of the message as it came';

CREATE OR REPLACE FUNCTION key_vault_internal.storage_try_rejected(ids bigint[], OUT opened bigint, OUT stored bigint,
                                                                   OUT rejected bigint)
LANGUAGE plpgsql AS $$
DECLARE
    one record;
    state text;
    why text;
    object_schema text;
    at_field text;
    was_found text;
    was_expected text;
    may_help text;
BEGIN
    PERFORM key_vault_internal.storage_check_relations(current_schema());
    opened := 0;
    stored := 0;
    rejected := 0;
    FOR one IN SELECT i.dev_eui, i.session_key_id, i.kek_label, i.encrypted_key, i.dev_addr,
                      coalesce(a.kek_label, ss.kek_label) AS at_rest_label
                 FROM session i CROSS JOIN storage_settings ss
                 LEFT JOIN application a ON a.application_id = i.application_id
                WHERE i.encrypted_key IS NOT NULL AND i.kek_label IN (SELECT k.label FROM key_vault.keks k)
                FOR UPDATE OF i SKIP LOCKED
    LOOP
        BEGIN
            UPDATE session i
               SET app_s_key = key_vault.import_envelope(one.kek_label, one.encrypted_key, one.at_rest_label, one.dev_addr),
                   kek_label = NULL, encrypted_key = NULL
             WHERE i.dev_eui = one.dev_eui AND i.session_key_id = one.session_key_id;
            opened := opened + 1;
        EXCEPTION WHEN OTHERS THEN
            IF key_vault_internal.storage_outage(SQLSTATE) THEN
                RAISE;
            END IF;
            RAISE WARNING 'key envelope of session % of device % was not opened: %',
                encode(one.session_key_id, 'hex'), encode(one.dev_eui, 'hex'), SQLERRM;
        END;
    END LOOP;
    FOR one IN SELECT r.id, r.message, r.sqlstate, r.reason,
                      ARRAY(SELECT k.key FROM rejected_key k WHERE k.rejected_id = r.id ORDER BY k.n) AS keys
                 FROM rejected r WHERE r.message IS NOT NULL AND (ids IS NULL OR r.id = ANY (ids))
                ORDER BY r.id FOR UPDATE OF r SKIP LOCKED
    LOOP
        BEGIN
            PERFORM key_vault_internal.storage_store(one.message, one.keys);
            DELETE FROM rejected r WHERE r.id = one.id;
            stored := stored + 1;
        EXCEPTION WHEN OTHERS THEN
            IF key_vault_internal.storage_outage(SQLSTATE) THEN
                RAISE;
            END IF;
            -- If the message stays for the same reason, its row is not written again.
            GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, why = MESSAGE_TEXT, object_schema = SCHEMA_NAME,
                at_field = COLUMN_NAME, was_found = PG_EXCEPTION_DETAIL, was_expected = PG_DATATYPE_NAME,
                may_help = PG_EXCEPTION_HINT;
            IF was_expected = '' OR object_schema <> '' THEN
                at_field := NULL;
                was_found := NULL;
                was_expected := NULL;
            END IF;
            UPDATE rejected r
               SET sqlstate = state, reason = why, field = nullif(at_field, ''), found = nullif(was_found, ''), expected = was_expected,
                   hint = nullif(may_help, '')
             WHERE r.id = one.id AND (state, why) IS DISTINCT FROM (one.sqlstate, one.reason);
            rejected := rejected + 1;
        END;
    END LOOP;
END
$$;
COMMENT ON FUNCTION key_vault_internal.storage_try_rejected(bigint[]) IS
'does the work of storage_replay_rejected(), with the rights of the current role';

CREATE OR REPLACE FUNCTION key_vault_internal.storage_replay_rejected(ids bigint[], OUT opened bigint, OUT stored bigint,
                                                                      OUT rejected bigint)
AS 'MODULE_PATHNAME', 'key_vault_storage_replay_rejected'
LANGUAGE C;
COMMENT ON FUNCTION key_vault_internal.storage_replay_rejected(bigint[]) IS
'opens the key envelopes of a storage whose KEK was unknown, and tries its rejected messages again; ids: only the messages with these ids, or all if it is NULL. If the caller has the rights of the storage''s owner, it runs as the owner';
