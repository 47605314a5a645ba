-- The row type of an event that was read from a message of a network server.

CREATE TYPE key_vault.storage_event AS (
    kind           text,
    event          text,
    received_at    timestamptz,
    dev_eui        bytea,
    application_id text,
    device_id      text,
    dev_addr       bytea,
    session_key_id bytea,
    f_port         smallint,
    f_cnt          bigint,
    frm_payload    bytea,
    encrypted      boolean,
    kek_label      text,
    encrypted_key  bytea,
    key_number     integer,
    queue_item_id  text,
    item           integer
);
COMMENT ON TYPE key_vault.storage_event IS
'an event in a message of a network server: kind is uplink, join or downlink; received_at is NULL if the message has no possible time; EUIs and DevAddr are big-endian; kek_label and encrypted_key are the key envelope; key_number is the number of a plaintext key that was taken out of the message';
