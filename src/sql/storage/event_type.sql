-- What a message of a network server comes down to: a row type with which the functions of a storage pass on
-- what they need of it.

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
'what a storage takes from a message of a network server: kind uplink, join or downlink; EUIs and DevAddr big-endian; the key envelope, or the number of the key that storage_wrap_keys() took out';
