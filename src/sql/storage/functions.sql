-- The functions that belong to each storage.  They only set the search_path to the storage's schema, and call the
-- extension's functions.

CREATE OR REPLACE FUNCTION key_vault_internal.storage_make_functions()
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    had_arrays constant boolean := to_regprocedure('ingest(text[])') IS NOT NULL;
BEGIN
    -- The functions are replaced and not dropped, so that privileges that were granted on them stay.  Each gets the
    -- search_path of this call: the storage's schema, then pg_temp.  PostgreSQL searches pg_catalog before both.
    CREATE OR REPLACE FUNCTION ingest(message jsonb)
    RETURNS text LANGUAGE plpgsql STRICT
    SET search_path FROM CURRENT AS $body$
    BEGIN
        RETURN key_vault_internal.storage_ingest(message);
    END
    $body$;
    COMMENT ON FUNCTION ingest(jsonb) IS
    'stores a message of a network server, such as The Things Stack or ChirpStack: returns uplink, join, downlink, duplicate, or rejected (see table rejected). Of an array, each element is a message; if there is not exactly one, it returns counts: stored 2, duplicates 1, rejected 0. Plaintext keys are wrapped first; if that fails, it is an error. Takes wrap on the label at rest and unwrap on the label of the envelope; for plaintext keys, and after a rotation, also rewrap on the label at rest';

    CREATE OR REPLACE FUNCTION ingest(line text)
    RETURNS text LANGUAGE plpgsql STRICT
    SET search_path FROM CURRENT AS $body$
    BEGIN
        RETURN key_vault_internal.storage_ingest(line);
    END
    $body$;
    COMMENT ON FUNCTION ingest(text) IS
    'as ingest(jsonb), for a message as text, or for many: an array, one on each line, or one after another. What is not JSON is rejected, and wrapped as a whole';

    CREATE OR REPLACE FUNCTION ingest(message json)
    RETURNS text LANGUAGE plpgsql STRICT
    SET search_path FROM CURRENT AS $body$
    BEGIN
        RETURN key_vault_internal.storage_ingest(message::text);
    END
    $body$;
    COMMENT ON FUNCTION ingest(json) IS 'as ingest(text)';

    CREATE OR REPLACE FUNCTION ingest(body bytea)
    RETURNS text LANGUAGE plpgsql STRICT
    SET search_path FROM CURRENT AS $body$
    BEGIN
        RETURN key_vault_internal.storage_ingest(body);
    END
    $body$;
    COMMENT ON FUNCTION ingest(bytea) IS 'as ingest(text), for the body of a request, in UTF-8, with or without a byte order mark; a body that is not UTF-8 is rejected, in hexadecimal digits';

    CREATE OR REPLACE FUNCTION ingest(messages jsonb[], OUT stored bigint, OUT duplicates bigint, OUT rejected bigint)
    LANGUAGE plpgsql STRICT
    SET search_path FROM CURRENT AS $body$
    BEGIN
        SELECT r.stored, r.duplicates, r.rejected INTO stored, duplicates, rejected
          FROM key_vault_internal.storage_ingest_all(messages) r;
    END
    $body$;
    COMMENT ON FUNCTION ingest(jsonb[]) IS
    'as ingest(jsonb), for many messages in a fraction of the time; returns how many were stored, were stored already, and were rejected. Elements that are NULL are skipped';

    CREATE OR REPLACE FUNCTION ingest(lines text[], OUT stored bigint, OUT duplicates bigint, OUT rejected bigint)
    LANGUAGE plpgsql STRICT
    SET search_path FROM CURRENT AS $body$
    BEGIN
        SELECT r.stored, r.duplicates, r.rejected INTO stored, duplicates, rejected
          FROM key_vault_internal.storage_ingest_all(lines) r;
    END
    $body$;
    COMMENT ON FUNCTION ingest(text[]) IS
    'as ingest(text), for many messages; returns the same counts as ingest(jsonb[])';

    -- If the owner has taken ingest() from PUBLIC, these new functions are taken from PUBLIC, too.
    IF NOT had_arrays AND NOT has_function_privilege('public', 'ingest(text)', 'EXECUTE') THEN
        REVOKE ALL ON FUNCTION ingest(json), ingest(bytea), ingest(jsonb[]), ingest(text[]) FROM PUBLIC;
    END IF;

    CREATE OR REPLACE FUNCTION replay_rejected(OUT opened bigint, OUT stored bigint, OUT rejected bigint)
    LANGUAGE plpgsql
    SET search_path FROM CURRENT AS $body$
    BEGIN
        SELECT r.opened, r.stored, r.rejected INTO opened, stored, rejected
          FROM key_vault_internal.storage_replay_rejected(NULL) r;
    END
    $body$;
    COMMENT ON FUNCTION replay_rejected() IS
    'opens key envelopes whose KEK was unknown, and tries rejected messages that are JSON again; returns how many envelopes were opened, how many messages were stored (or were stored already), and how many stay rejected';

    CREATE OR REPLACE FUNCTION replay_rejected(ids bigint[], OUT opened bigint, OUT stored bigint, OUT rejected bigint)
    LANGUAGE plpgsql
    SET search_path FROM CURRENT AS $body$
    BEGIN
        SELECT r.opened, r.stored, r.rejected INTO opened, stored, rejected
          FROM key_vault_internal.storage_replay_rejected(coalesce(ids, '{}')) r;
    END
    $body$;
    COMMENT ON FUNCTION replay_rejected(bigint[]) IS
    'as replay_rejected(), but tries only the rejected messages with these ids; all key envelopes are opened';

    CREATE OR REPLACE TRIGGER ingest BEFORE INSERT ON inbox
        FOR EACH ROW EXECUTE FUNCTION key_vault_internal.storage_inbox_line();
    CREATE OR REPLACE TRIGGER ingest_end AFTER INSERT ON inbox
        FOR EACH STATEMENT EXECUTE FUNCTION key_vault_internal.storage_inbox_end();
    -- Whatever session_replication_role is, no line may be written to the table inbox, and each must be stored.
    ALTER TABLE inbox ENABLE ALWAYS TRIGGER ingest;
    ALTER TABLE inbox ENABLE ALWAYS TRIGGER ingest_end;
    -- The trigger function of storages of version 1.0.
    DROP FUNCTION IF EXISTS ingest_line();
END
$$;
COMMENT ON FUNCTION key_vault_internal.storage_make_functions() IS
'makes or replaces the functions of the storage in the first schema of search_path; privileges that were granted on them stay';
