-- The tables of a storage, as they are in this version of the extension.
--
-- Rows of uplink and downlink have two times.  stored_at is the time at which the row was written, by this server's
-- clock: it decides to which partition a row belongs, and when it is old enough to be dropped.  received_at is the
-- time that the network gave, which may be wrong.  A message cannot have come later than either of them.  So the
-- latest message is the one with the greatest least(received_at, stored_at).
--
-- A second delivery of a message must be found, whatever the sender's clock says.  So these rules hold:
-- - received_at is at most a day after stored_at.  A time that is further ahead is treated as missing.
-- - If the network gives no time, received_at is equal to stored_at.
-- - So a message with a time T has a row with received_at = T and stored_at > T - 1 day.  A message without a time
--   has a row with received_at = stored_at; for a day, a second delivery is recognized by its content.

CREATE OR REPLACE FUNCTION key_vault_internal.storage_make_tables(partitioning text, unit text)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    parent name;
    by_time constant text := CASE WHEN partitioning IN ('none', 'timescaledb') THEN '' ELSE 'PARTITION BY RANGE (stored_at)' END;
BEGIN
    CREATE TABLE IF NOT EXISTS storage_settings (
        one_row            boolean PRIMARY KEY DEFAULT true CHECK (one_row),
        kek_label          text NOT NULL CHECK (kek_label <> ''),
        partition_interval text NOT NULL CHECK (partition_interval IN ('day', 'week', 'month')),
        keep_messages      boolean NOT NULL
    );
    ALTER TABLE storage_settings ADD COLUMN IF NOT EXISTS version text NOT NULL DEFAULT '1.0';
    ALTER TABLE storage_settings ADD COLUMN IF NOT EXISTS partitioning text NOT NULL DEFAULT 'native'
        CHECK (partitioning IN ('native', 'external', 'timescaledb', 'none'));
    ALTER TABLE storage_settings ADD COLUMN IF NOT EXISTS rows_of_1_0_until timestamptz;
    COMMENT ON TABLE storage_settings IS 'settings of this storage, one row';
    COMMENT ON COLUMN storage_settings.kek_label IS 'KEK label under which keys are stored, unless the table application has another for the application';
    COMMENT ON COLUMN storage_settings.partition_interval IS 'the time that a partition covers: day, week or month, in UTC; it does not change';
    COMMENT ON COLUMN storage_settings.partitioning IS 'who makes and drops the partitions of uplink and downlink: native: key_vault.maintain_storage(); external: another tool, such as pg_partman; timescaledb: they are hypertables, and key_vault.maintain_storage() makes and drops their chunks; none: there are no partitions; create_storage() does not change it';
    COMMENT ON COLUMN storage_settings.keep_messages IS 'whether uplink and downlink keep the message as it came';
    COMMENT ON COLUMN storage_settings.rows_of_1_0_until IS 'the latest time that a row of version 1.0 may have; NULL if the storage was made by a later version. Version 1.0 read another time of ChirpStack''s uplinks, by which they are known again';
    COMMENT ON COLUMN storage_settings.version IS 'version of the extension whose tables, views and functions this storage has; see key_vault.storages()';

    CREATE TABLE IF NOT EXISTS application (
        application_id text PRIMARY KEY,
        kek_label      text CHECK (kek_label <> '')
    );
    ALTER TABLE application ALTER kek_label DROP NOT NULL, ADD COLUMN IF NOT EXISTS decoder text;
    CREATE OR REPLACE TRIGGER check_decoder BEFORE INSERT OR UPDATE ON application
        FOR EACH ROW EXECUTE FUNCTION key_vault_internal.storage_check_decoder();
    COMMENT ON TABLE application IS 'applications that have a KEK label or a decoder of their own; optional';
    COMMENT ON COLUMN application.kek_label IS 'KEK label under which new keys of the application are stored; NULL for that of storage_settings';
    COMMENT ON COLUMN application.decoder IS 'name of the function, with its schema, by which uplink_decoded decodes payloads: (payload bytea, f_port integer) returns jsonb; only the owner of the table may set it, and the function runs with the owner''s rights';

    CREATE TABLE IF NOT EXISTS device (
        dev_eui        bytea PRIMARY KEY CHECK (octet_length(dev_eui) = 8),
        application_id text NOT NULL,
        device_id      text
    );
    ALTER TABLE device ADD COLUMN IF NOT EXISTS seen_at timestamptz NOT NULL DEFAULT '-infinity';
    COMMENT ON TABLE device IS 'devices, with the application and the name of their latest message';
    COMMENT ON COLUMN device.dev_eui IS 'DevEUI, 8 bytes, big-endian as displayed';
    COMMENT ON COLUMN device.device_id IS 'device_id of The Things Stack, deviceName of ChirpStack';
    COMMENT ON COLUMN device.seen_at IS 'time of the message from which application_id and device_id come; an older message does not change them';

    CREATE TABLE IF NOT EXISTS session (
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
    CREATE INDEX IF NOT EXISTS session_pending_idx ON session (kek_label) WHERE encrypted_key IS NOT NULL;
    COMMENT ON TABLE session IS 'LoRaWAN sessions: each join begins one, and none is overwritten';
    COMMENT ON COLUMN session.session_key_id IS 'SessionKeyID of the join server; if a message has none, 16 bytes made from its key envelope and DevAddr, or its deduplicationId';
    COMMENT ON COLUMN session.dev_addr IS 'DevAddr, 4 bytes, big-endian as displayed';
    COMMENT ON COLUMN session.app_s_key IS 'AppSKey, wrapped under the KEK at rest and bound to dev_addr; NULL while it is not known';
    COMMENT ON COLUMN session.started_at IS 'time of the earliest message of the session';
    COMMENT ON COLUMN session.kek_label IS 'KEK label of an envelope that could not be opened yet';
    COMMENT ON COLUMN session.encrypted_key IS 'the envelope that could not be opened yet (AES-KW, RFC 3394)';
    COMMENT ON COLUMN session.envelope_digest IS 'SHA-256 of the envelope in which the key came: a message with the same envelope brings the same key';

    PERFORM key_vault_internal.storage_add_stored_at('uplink');
    PERFORM key_vault_internal.storage_add_stored_at('downlink');
    EXECUTE 'CREATE TABLE IF NOT EXISTS uplink (
        stored_at      timestamptz NOT NULL DEFAULT now(),
        dev_eui        bytea NOT NULL CHECK (octet_length(dev_eui) = 8),
        session_key_id bytea,
        f_cnt          bigint CHECK (f_cnt BETWEEN 0 AND 4294967295),
        f_port         smallint NOT NULL CHECK (f_port BETWEEN 0 AND 255),
        encrypted      boolean,
        dev_addr       bytea CHECK (octet_length(dev_addr) = 4),
        frm_payload    bytea NOT NULL CHECK (octet_length(frm_payload) <= 255),
        application_id text NOT NULL,
        message        jsonb,
        received_at    timestamptz NOT NULL
    ) ' || by_time;
    ALTER TABLE uplink ADD COLUMN IF NOT EXISTS simulated boolean CHECK (simulated);
    PERFORM key_vault_internal.storage_allow_left_out();
    CREATE INDEX IF NOT EXISTS uplink_received_at_idx ON uplink USING brin (received_at);
    COMMENT ON TABLE uplink IS 'uplinks as they came; a payload that came encrypted is stored encrypted; partitioned by stored_at, see key_vault.maintain_storage()';
    COMMENT ON COLUMN uplink.stored_at IS 'when the row was written, by the clock of this server; old rows are dropped by this time';
    COMMENT ON COLUMN uplink.received_at IS 'when the network received the uplink, as the message says; equal to stored_at if the message has no time, or one before 2015 or more than a day ahead';
    COMMENT ON COLUMN uplink.f_cnt IS 'FCntUp, the full 32-bit counter; NULL if the message has none, and may have left out another one than 0';
    COMMENT ON COLUMN uplink.encrypted IS 'whether the network sent the payload encrypted; NULL if the message does not say: then it counts as plain unless the session has a key';
    COMMENT ON COLUMN uplink.dev_addr IS 'DevAddr, 4 bytes, big-endian as displayed; NULL if the message has none, which only one whose payload is not encrypted may lack';
    COMMENT ON COLUMN uplink.simulated IS 'true if the message says that the uplink was simulated, and no device sent it; otherwise NULL';
    COMMENT ON COLUMN uplink.frm_payload IS 'FRMPayload, up to 255 bytes';
    COMMENT ON COLUMN uplink.message IS 'the whole message, if storage_settings.keep_messages was set; without plaintext keys';

    EXECUTE 'CREATE TABLE IF NOT EXISTS downlink (
        stored_at      timestamptz NOT NULL DEFAULT now(),
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
        message        jsonb,
        received_at    timestamptz NOT NULL
    ) ' || by_time;
    CREATE INDEX IF NOT EXISTS downlink_received_at_idx ON downlink USING brin (received_at);
    COMMENT ON TABLE downlink IS 'events of downlinks; payloads as they came, encrypted or not; partitioned by stored_at';
    COMMENT ON COLUMN downlink.stored_at IS 'when the row was written, by the clock of this server; old rows are dropped by this time';
    COMMENT ON COLUMN downlink.received_at IS 'time of the event, as the message says; equal to stored_at if the message has no time, or one before 2015 or more than a day ahead';
    COMMENT ON COLUMN downlink.queue_item_id IS 'queueItemId of ChirpStack; for a message of The Things Stack without a time, 32 hexadecimal digits made from its correlation_ids';
    COMMENT ON COLUMN downlink.event IS 'The Things Stack: queued, sent, ack, nack, failed, invalidated; ChirpStack: ack, nack, txack';
    COMMENT ON COLUMN downlink.f_cnt IS 'FCntDown; if an empty queue was invalidated, the last one that was used';
    COMMENT ON COLUMN downlink.item IS 'position in the list of an event that has several downlinks, from 1';

    FOREACH parent IN ARRAY '{uplink,downlink}'::name[] LOOP
        IF partitioning = 'native' THEN
            EXECUTE format('CREATE TABLE IF NOT EXISTS %I PARTITION OF %I DEFAULT', parent || '_default', parent);
        ELSIF partitioning = 'external' THEN
            -- From this table, the tool copies to a new partition what its parent does not have.
            EXECUTE format('CREATE TABLE IF NOT EXISTS %I (LIKE %I)', parent || '_template', parent);
            EXECUTE format('COMMENT ON TABLE %I IS %L', parent || '_template',
                           format('stays empty: partitions of %s are made like it', parent));
            PERFORM key_vault_internal.storage_finish_leaf(quote_ident(parent || '_template')::regclass, parent);
        END IF;
        IF partitioning = 'none' THEN
            EXECUTE format('CREATE INDEX IF NOT EXISTS %I ON %I USING brin (stored_at)', parent || '_stored_at_idx', parent);
        END IF;
        IF partitioning = 'timescaledb' THEN
            PERFORM key_vault_internal.storage_make_hypertable(parent, unit);
        ELSE
            PERFORM key_vault_internal.storage_finish_leaves(parent);
        END IF;
    END LOOP;

    CREATE TABLE IF NOT EXISTS rejected (
        id          bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
        rejected_at timestamptz NOT NULL DEFAULT now(),
        tries       integer NOT NULL DEFAULT 1,
        sqlstate    text NOT NULL,
        reason      text NOT NULL,
        message     jsonb,
        digest      bytea NOT NULL UNIQUE
    );
    ALTER TABLE rejected ADD COLUMN IF NOT EXISTS field text, ADD COLUMN IF NOT EXISTS found text,
        ADD COLUMN IF NOT EXISTS expected text, ADD COLUMN IF NOT EXISTS hint text;
    COMMENT ON TABLE rejected IS 'whole messages that could not be used; replay_rejected() tries them again';
    COMMENT ON COLUMN rejected.field IS 'the field of the message that is wrong; NULL if it is not one field';
    COMMENT ON COLUMN rejected.found IS 'what the message has there: the value if it is short, otherwise its kind and size; never a key';
    COMMENT ON COLUMN rejected.expected IS 'what should be there';
    COMMENT ON COLUMN rejected.hint IS 'what may help';
    COMMENT ON COLUMN rejected.message IS 'the message, with a number (rejected_key.n) in place of each plaintext key; NULL for a line that is not a JSON object: it is wrapped as a whole, in rejected_key';
    COMMENT ON COLUMN rejected.digest IS 'SHA-256 of the message: a repeated delivery is kept once';

    CREATE TABLE IF NOT EXISTS rejected_key (
        rejected_id bigint NOT NULL REFERENCES rejected ON DELETE CASCADE,
        n           integer NOT NULL,
        key         key_vault.wrapped_key NOT NULL,
        PRIMARY KEY (rejected_id, n)
    );
    COMMENT ON TABLE rejected_key IS 'wrapped keys that rejected messages brought as plaintext, and lines that are not JSON objects, wrapped in pieces';

    CREATE TABLE IF NOT EXISTS inbox (message text);
    COMMENT ON TABLE inbox IS 'stays empty: the lines that a statement inserts or copies into it are ingested as one text, which may have one message on each line, or messages on many lines each, or arrays of them';
END
$$;
COMMENT ON FUNCTION key_vault_internal.storage_make_tables(text, text) IS
'makes the missing tables of a storage in the first schema of search_path; partitioning: native, external, timescaledb or none; unit: day, week or month';
