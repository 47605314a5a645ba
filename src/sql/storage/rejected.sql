-- Messages that a storage cannot use are kept whole in the table rejected, and can be tried again.  If it is the
-- server that fails, and not the message that is wrong, an error is raised instead, so that the sender keeps the
-- message.
--
-- These functions serve all storages: session.sql has the rules for such functions.

CREATE OR REPLACE FUNCTION key_vault_internal.storage_reject(message jsonb, keys key_vault.wrapped_key[], digest bytea,
                                                             state text, reason text, field text, was_found text,
                                                             expected text, hint text)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    more text;
    other_hint text;
    rejected_id bigint;
BEGIN
    BEGIN
        INSERT INTO rejected AS r (sqlstate, reason, field, found, expected, hint, message, digest)
        VALUES (state, reason, field, was_found, expected, hint, message, digest)
        ON CONFLICT ON CONSTRAINT rejected_digest_key DO UPDATE
           SET tries = r.tries + 1, sqlstate = excluded.sqlstate, reason = excluded.reason, field = excluded.field,
               found = excluded.found, expected = excluded.expected, hint = excluded.hint
        RETURNING r.id INTO rejected_id;
        INSERT INTO rejected_key (rejected_id, n, key)
        SELECT rejected_id, k.n, k.key FROM unnest(keys) WITH ORDINALITY k (key, n)
        ON CONFLICT DO NOTHING;
    EXCEPTION WHEN OTHERS THEN
        -- The detail of this error may show the row, so the reason for the rejection takes its place.
        GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, more = MESSAGE_TEXT, other_hint = PG_EXCEPTION_HINT;
        RAISE EXCEPTION '%', more
            USING ERRCODE = state,
                  DETAIL = format('A message was to be rejected: %s.', reason),
                  HINT = coalesce(nullif(other_hint, ''), 'The message is not stored: send it again.');
    END;
END
$$;
COMMENT ON FUNCTION key_vault_internal.storage_reject(jsonb, key_vault.wrapped_key[], bytea, text, text, text, text, text, text) IS
'puts a message from which the plaintext keys were taken out into rejected. message: NULL for a line that is not a message; keys: the keys that were taken out, wrapped; digest: SHA-256 of the message as it came; the others: for the columns of rejected';

CREATE OR REPLACE FUNCTION key_vault_internal.storage_try_message(rejected_id bigint, message jsonb,
                                                                  keys key_vault.wrapped_key[])
RETURNS boolean AS 'MODULE_PATHNAME', 'key_vault_storage_try_message'
LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION key_vault_internal.storage_try_message(bigint, jsonb, key_vault.wrapped_key[]) IS
'stores a message of the table rejected, and deletes it there; false if the message stays, with its present reason; an error if the server fails';

CREATE OR REPLACE FUNCTION key_vault_internal.storage_try_envelope(dev_eui bytea, session_key_id bytea, kek_label text,
                                                                   encrypted_key bytea, at_rest_label text,
                                                                   dev_addr bytea)
RETURNS text AS 'MODULE_PATHNAME', 'key_vault_storage_try_envelope'
LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION key_vault_internal.storage_try_envelope(bytea, bytea, text, bytea, text, bytea) IS
'opens the key envelope of a session, and stores its key under the KEK at rest; returns the reason if the envelope does not open, or NULL; an error if the server fails';

CREATE OR REPLACE FUNCTION key_vault_internal.storage_try_rejected(ids bigint[], OUT opened bigint, OUT stored bigint,
                                                                   OUT rejected bigint)
LANGUAGE plpgsql AS $$
DECLARE
    known_labels constant text[] := ARRAY(SELECT k.label FROM key_vault.keks k);
    one record;
    why text;
BEGIN
    PERFORM key_vault_internal.storage_check_relations(current_schema());
    opened := 0;
    stored := 0;
    rejected := 0;
    -- Each row is locked by a statement of its own, and not by the loop's query, since Citus locks only rows of one
    -- shard in a statement.  A row that another replay has locked is left to it; one that it has done is not found.
    FOR one IN SELECT i.dev_eui, i.session_key_id, i.kek_label, i.encrypted_key, i.dev_addr,
                      coalesce(a.kek_label, ss.kek_label) AS at_rest_label
                 FROM session i CROSS JOIN storage_settings ss
                 LEFT JOIN application a ON a.application_id = i.application_id
                WHERE i.encrypted_key IS NOT NULL AND i.kek_label = ANY (known_labels)
    LOOP
        PERFORM 1 FROM session i
          WHERE i.dev_eui = one.dev_eui AND i.session_key_id = one.session_key_id
            AND i.encrypted_key = one.encrypted_key AND i.kek_label = one.kek_label
            FOR UPDATE SKIP LOCKED;
        CONTINUE WHEN NOT FOUND;
        why := key_vault_internal.storage_try_envelope(one.dev_eui, one.session_key_id, one.kek_label, one.encrypted_key,
                                                       one.at_rest_label, one.dev_addr);
        IF why IS NULL THEN
            opened := opened + 1;
        ELSE
            RAISE WARNING 'key envelope of session % of device % was not opened: %',
                encode(one.session_key_id, 'hex'), encode(one.dev_eui, 'hex'), why;
        END IF;
    END LOOP;
    FOR one IN SELECT r.id, r.message,
                      ARRAY(SELECT k.key FROM rejected_key k WHERE k.rejected_id = r.id ORDER BY k.n) AS keys
                 FROM rejected r WHERE r.message IS NOT NULL AND (ids IS NULL OR r.id = ANY (ids))
                ORDER BY r.id
    LOOP
        PERFORM 1 FROM rejected r WHERE r.id = one.id FOR UPDATE SKIP LOCKED;
        CONTINUE WHEN NOT FOUND;
        IF key_vault_internal.storage_try_message(one.id, one.message, one.keys) THEN
            stored := stored + 1;
        ELSE
            rejected := rejected + 1;
        END IF;
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
