-- The functions that each storage has of its own: thin ones that set the search_path to its schema and call the
-- extension's.

CREATE OR REPLACE FUNCTION key_vault_internal.storage_make_functions()
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    -- Replaced rather than dropped, so that what was granted on them stays.  The search_path that each keeps is
    -- the one of this call: the storage's schema, then pg_temp.  PostgreSQL looks into pg_catalog before both.
    CREATE OR REPLACE FUNCTION ingest(message jsonb)
    RETURNS text LANGUAGE plpgsql STRICT
    SET search_path FROM CURRENT AS $body$
    BEGIN
        RETURN key_vault_internal.storage_ingest(message);
    END
    $body$;
    COMMENT ON FUNCTION ingest(jsonb) IS
    'stores a message of The Things Stack or ChirpStack: returns uplink, join, downlink, duplicate, or rejected (see table rejected). Plaintext keys are wrapped first; where that fails it is an error. Takes wrap on the label at rest and unwrap on that of the envelope; rewrap on the former for plaintext keys and after its rotation';

    CREATE OR REPLACE FUNCTION ingest(line text)
    RETURNS text LANGUAGE plpgsql STRICT
    SET search_path FROM CURRENT AS $body$
    BEGIN
        RETURN key_vault_internal.storage_ingest(line);
    END
    $body$;
    COMMENT ON FUNCTION ingest(text) IS
    'as ingest(jsonb), of a message in whatever state: one that is no JSON is rejected and wrapped whole';

    CREATE OR REPLACE FUNCTION replay_rejected(OUT opened bigint, OUT stored bigint, OUT rejected bigint)
    LANGUAGE plpgsql
    SET search_path FROM CURRENT AS $body$
    BEGIN
        SELECT r.opened, r.stored, r.rejected INTO opened, stored, rejected
          FROM key_vault_internal.storage_replay_rejected() r;
    END
    $body$;
    COMMENT ON FUNCTION replay_rejected() IS
    'opens key envelopes whose KEK was unknown, and tries the messages in rejected again, those that are JSON; returns how many keys were opened, how many messages were stored (or were stored already) and how many stay';

    CREATE OR REPLACE FUNCTION ingest_line()
    RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT AS $body$
    BEGIN
        IF trim(NEW.message, E' \t\r\n') <> '' THEN
            PERFORM key_vault_internal.storage_ingest(NEW.message);
        END IF;
        RETURN NULL;
    END
    $body$;
    COMMENT ON FUNCTION ingest_line() IS 'trigger of inbox: stores or rejects the line, and writes none into inbox';

    CREATE OR REPLACE TRIGGER ingest BEFORE INSERT ON inbox FOR EACH ROW EXECUTE FUNCTION ingest_line();
    -- Whatever session_replication_role is, no line is written as it is.
    ALTER TABLE inbox ENABLE ALWAYS TRIGGER ingest;
END
$$;
COMMENT ON FUNCTION key_vault_internal.storage_make_functions() IS
'makes the functions of a storage anew in the schema that comes first in search_path, which has its tables; what was granted on them stays';
