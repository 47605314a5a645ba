-- The type wrapped_key.

CREATE TYPE key_vault.wrapped_key (
    INPUT = key_vault_internal.wrapped_key_in,
    OUTPUT = key_vault_internal.wrapped_key_out,
    RECEIVE = key_vault_internal.wrapped_key_recv,
    SEND = key_vault_internal.wrapped_key_send,
    INTERNALLENGTH = VARIABLE,
    ALIGNMENT = int4,
    STORAGE = external
);
COMMENT ON TYPE key_vault.wrapped_key IS
'a key encrypted by a KEK: format version, algorithm, kek_id and wrapped bytes; written kv1:ALGORITHM:KEK_ID:HEX';
