-- The type key_envelope.

CREATE TYPE key_vault.key_envelope AS (kek_label text, encrypted_key bytea);
COMMENT ON TYPE key_vault.key_envelope IS
'KeyEnvelope of LoRaWAN Backend Interfaces: KEK label and wrapped key (AES-KW, RFC 3394)';
COMMENT ON COLUMN key_vault.key_envelope.kek_label IS 'label of the KEK that wraps the key; empty if the key is in the clear';
COMMENT ON COLUMN key_vault.key_envelope.encrypted_key IS 'the key, wrapped (AES-KW, RFC 3394): 8 bytes more than the key has';
