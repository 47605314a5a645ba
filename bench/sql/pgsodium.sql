-- pgsodium has none of LoRaWAN's ciphers.  So these tables sodium_NAME have the payloads of clear_NAME sealed by
-- crypto_secretbox(), each with the hash of its session key.
CREATE EXTENSION pgsodium;
SELECT format('CREATE UNLOGGED TABLE sodium_%1$s AS
    SELECT key, nonce, pgsodium.crypto_secretbox(payload, nonce, key) AS sealed, payload
      FROM (SELECT sha256(key) AS key, substr(sha512(frm_payload), 1, 24) AS nonce, payload FROM clear_%1$s OFFSET 0) c', name)
  FROM unnest(ARRAY['10', '10000', '100000', '1000000', 'in_order']) name
\gexec
VACUUM ANALYZE;
SELECT 1 / (count(*) FILTER (WHERE pgsodium.crypto_secretbox_open(sealed, nonce, key) IS DISTINCT FROM payload) = 0)::int FROM sodium_10000;
