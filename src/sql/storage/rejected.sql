-- Messages that a storage cannot use: kept whole in the table rejected, and tried again.  What is wrong with the
-- server, not with the message, is an error instead, so that the sender keeps the message.
--
-- The code of every storage: see session.sql for the rules.

CREATE OR REPLACE FUNCTION key_vault_internal.storage_outage(state text)
RETURNS boolean LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
SELECT left(state, 2) IN ('25', '40', '53', '55', '57', '58', 'XX')
       OR left(state, 3) IN ('KV1', 'KV2', 'KV4') AND state NOT IN ('KV108', 'KV405')
$$;
COMMENT ON FUNCTION key_vault_internal.storage_outage(text) IS
'whether an SQLSTATE tells of an outage of the server, the root key or a token';

CREATE OR REPLACE FUNCTION key_vault_internal.storage_store_or_reject(message jsonb, keys key_vault.wrapped_key[],
                                                                      digest bytea, why text DEFAULT NULL)
RETURNS text LANGUAGE plpgsql AS $$
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
                RAISE EXCEPTION '%', why USING ERRCODE = 'invalid_text_representation';
            END IF;
            RETURN key_vault_internal.storage_store(message, keys);
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, reason = MESSAGE_TEXT, relation = TABLE_NAME;
            IF key_vault_internal.storage_outage(state) THEN
                RAISE;
            END IF;
        END;
        -- Once more, if maintain_storage() made the row's partition while this waited for the default one.
        EXIT WHEN state <> '23514' OR relation NOT IN ('uplink_default', 'downlink_default');
    END LOOP;
    BEGIN
        INSERT INTO rejected AS r (sqlstate, reason, message, digest) VALUES (state, reason, message, digest)
        ON CONFLICT ON CONSTRAINT rejected_digest_key DO UPDATE
           SET tries = r.tries + 1, sqlstate = excluded.sqlstate, reason = excluded.reason
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
'stores a message whose plaintext keys are taken out, or keeps it in rejected. message: NULL for a line that is to be rejected, why: for this reason; keys: what was taken out; digest: SHA-256 of the message as it came';

CREATE OR REPLACE FUNCTION key_vault_internal.storage_reject_line(line text, why text)
RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    -- Whether there is a key in it cannot be told: all of it is wrapped.
    RETURN key_vault_internal.storage_store_or_reject(
        NULL, key_vault_internal.storage_seal(line, key_vault_internal.storage_kek_label(NULL)),
        sha256(convert_to(line, 'UTF8')), why);
END
$$;
COMMENT ON FUNCTION key_vault_internal.storage_reject_line(text, text) IS
'keeps a line that cannot be looked through for keys in rejected, wrapped whole';

CREATE OR REPLACE FUNCTION key_vault_internal.storage_try_rejected(OUT opened bigint, OUT stored bigint, OUT rejected bigint)
LANGUAGE plpgsql AS $$
DECLARE
    one record;
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
    FOR one IN SELECT r.id, r.message, r.digest,
                      ARRAY(SELECT k.key FROM rejected_key k WHERE k.rejected_id = r.id ORDER BY k.n) AS keys
                 FROM rejected r WHERE r.message IS NOT NULL ORDER BY r.id FOR UPDATE OF r SKIP LOCKED
    LOOP
        IF key_vault_internal.storage_store_or_reject(one.message, one.keys, one.digest) = 'rejected' THEN
            rejected := rejected + 1;
        ELSE
            DELETE FROM rejected r WHERE r.id = one.id;
            stored := stored + 1;
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION key_vault_internal.storage_try_rejected() IS
'what storage_replay_rejected() does, with the rights of the current role';

CREATE OR REPLACE FUNCTION key_vault_internal.storage_replay_rejected(OUT opened bigint, OUT stored bigint,
                                                                      OUT rejected bigint)
AS 'MODULE_PATHNAME', 'key_vault_storage_replay_rejected'
LANGUAGE C;
COMMENT ON FUNCTION key_vault_internal.storage_replay_rejected() IS
'opens the key envelopes of a storage whose KEK was unknown before, and tries its rejected messages again; runs as the storage''s owner for superusers and others with the owner''s rights';
