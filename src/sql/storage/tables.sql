-- The tables of a storage, as they are in this version of the extension.

CREATE OR REPLACE FUNCTION key_vault_internal.storage_make_tables()
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    CREATE TABLE IF NOT EXISTS storage_settings (
        one_row            boolean PRIMARY KEY DEFAULT true CHECK (one_row),
        kek_label          text NOT NULL CHECK (kek_label <> ''),
        partition_interval text NOT NULL CHECK (partition_interval IN ('day', 'week', 'month')),
        keep_messages      boolean NOT NULL
    );
    ALTER TABLE storage_settings ADD COLUMN IF NOT EXISTS version text NOT NULL DEFAULT '1.0';
    COMMENT ON TABLE storage_settings IS 'settings of this storage, one row';
    COMMENT ON COLUMN storage_settings.kek_label IS 'KEK label that keys are stored under, where table application names no other';
    COMMENT ON COLUMN storage_settings.partition_interval IS 'range of a partition in UTC; does not change';
    COMMENT ON COLUMN storage_settings.keep_messages IS 'whether uplink and downlink keep the message as it came';
    COMMENT ON COLUMN storage_settings.version IS 'version of the extension whose tables, views and functions this storage has; see key_vault.storages()';

    CREATE TABLE IF NOT EXISTS application (
        application_id text PRIMARY KEY,
        kek_label      text NOT NULL CHECK (kek_label <> '')
    );
    COMMENT ON TABLE application IS 'applications whose new keys are stored under a KEK label of their own; optional';

    CREATE TABLE IF NOT EXISTS device (
        dev_eui        bytea PRIMARY KEY CHECK (octet_length(dev_eui) = 8),
        application_id text NOT NULL,
        device_id      text
    );
    COMMENT ON TABLE device IS 'devices, as the last message of them says';
    COMMENT ON COLUMN device.dev_eui IS 'DevEUI, 8 bytes, big-endian as displayed';
    COMMENT ON COLUMN device.device_id IS 'device_id of The Things Stack, deviceName of ChirpStack';

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
    COMMENT ON COLUMN session.session_key_id IS 'SessionKeyID of the join server; where a message has none, 16 bytes made of its key envelope, or its deduplicationId';
    COMMENT ON COLUMN session.dev_addr IS 'DevAddr, 4 bytes, big-endian as displayed';
    COMMENT ON COLUMN session.app_s_key IS 'AppSKey, wrapped under the KEK at rest and bound to dev_addr; NULL while it is not known';
    COMMENT ON COLUMN session.started_at IS 'time of the earliest message of the session';
    COMMENT ON COLUMN session.kek_label IS 'KEK label of an envelope that could not be opened yet';
    COMMENT ON COLUMN session.encrypted_key IS 'the envelope that could not be opened yet (AES-KW, RFC 3394)';
    COMMENT ON COLUMN session.envelope_digest IS 'SHA-256 of the envelope that the key came in: by it the next message is known to bring the same key';

    CREATE TABLE IF NOT EXISTS uplink (
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
    CREATE UNIQUE INDEX IF NOT EXISTS uplink_device_idx ON uplink
        (dev_eui, received_at, f_cnt, session_key_id) NULLS NOT DISTINCT;
    CREATE INDEX IF NOT EXISTS uplink_received_at_idx ON uplink USING brin (received_at);
    CREATE TABLE IF NOT EXISTS uplink_default PARTITION OF uplink DEFAULT;
    COMMENT ON TABLE uplink IS 'uplinks as they came, payloads still encrypted where they were; partitioned by received_at, see key_vault.maintain_storage()';
    COMMENT ON COLUMN uplink.received_at IS 'time of the network server';
    COMMENT ON COLUMN uplink.f_cnt IS 'FCntUp, the full 32-bit counter';
    COMMENT ON COLUMN uplink.encrypted IS 'false: the network sent the payload in the clear';
    COMMENT ON COLUMN uplink.frm_payload IS 'FRMPayload, up to 255 bytes';
    COMMENT ON COLUMN uplink.message IS 'the whole message, if storage_settings.keep_messages was set; without plaintext keys';

    CREATE TABLE IF NOT EXISTS downlink (
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
    CREATE UNIQUE INDEX IF NOT EXISTS downlink_device_idx ON downlink
        (dev_eui, received_at, event, f_cnt, session_key_id, queue_item_id, item) NULLS NOT DISTINCT;
    CREATE INDEX IF NOT EXISTS downlink_received_at_idx ON downlink USING brin (received_at);
    CREATE TABLE IF NOT EXISTS downlink_default PARTITION OF downlink DEFAULT;
    COMMENT ON TABLE downlink IS 'what became of downlinks; payloads as they came, encrypted or not; partitioned by received_at';
    COMMENT ON COLUMN downlink.event IS 'The Things Stack: queued, sent, ack, nack, failed, invalidated; ChirpStack: ack, nack, txack';
    COMMENT ON COLUMN downlink.f_cnt IS 'FCntDown; of an invalidated empty queue the last one';
    COMMENT ON COLUMN downlink.item IS 'place in the list of an event of several downlinks';

    CREATE TABLE IF NOT EXISTS rejected (
        id          bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
        rejected_at timestamptz NOT NULL DEFAULT now(),
        tries       integer NOT NULL DEFAULT 1,
        sqlstate    text NOT NULL,
        reason      text NOT NULL,
        message     jsonb,
        digest      bytea NOT NULL UNIQUE
    );
    COMMENT ON TABLE rejected IS 'messages that could not be used, whole; replay_rejected() tries them again';
    COMMENT ON COLUMN rejected.message IS 'the message, with numbers of rejected_key in place of plaintext keys; NULL for a line that is no JSON object, which is wrapped in rejected_key as a whole';
    COMMENT ON COLUMN rejected.digest IS 'SHA-256 of the message: a repeated delivery is kept once';

    CREATE TABLE IF NOT EXISTS rejected_key (
        rejected_id bigint NOT NULL REFERENCES rejected ON DELETE CASCADE,
        n           integer NOT NULL,
        key         key_vault.wrapped_key NOT NULL,
        PRIMARY KEY (rejected_id, n)
    );
    COMMENT ON TABLE rejected_key IS 'what was plaintext keys in rejected messages, and lines that are no JSON';

    CREATE TABLE IF NOT EXISTS inbox (message text);
    COMMENT ON TABLE inbox IS 'stays empty: each line of JSON that is inserted or copied into it goes to ingest()';
END
$$;
COMMENT ON FUNCTION key_vault_internal.storage_make_tables() IS
'makes the tables of a storage, those that are not there yet, in the schema that comes first in search_path';
