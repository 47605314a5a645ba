-- What the table of decryption compares with: tables clear_NAME with the first :sample rows of frames_NAME, the keys in
-- the clear, and the right payloads; and views pgcrypto_NAME that decrypt them with pgcrypto's AES, both blocks of each.
CREATE EXTENSION pgcrypto;
SELECT format('CREATE UNLOGGED TABLE clear_%1$s AS
    SELECT key_vault.unwrap(key) AS key, dev_addr, f_cnt, frm_payload, key_vault.lorawan_decrypt_uplink(key, dev_addr, f_cnt, frm_payload) AS payload
      FROM (SELECT * FROM frames_%1$s LIMIT %2$s) f', name, :sample)
  FROM unnest(ARRAY['10', '10000', '100000', '1000000', 'in_order']) name
\gexec

-- PostgreSQL has XOR of bit strings only.  OFFSET 0 keeps the planner from computing the inner expressions more than once.
SELECT format($view$CREATE VIEW pgcrypto_%1$s AS
    SELECT int8send(substring(bits FROM 1 FOR 64)::bigint) || int8send(substring(bits FROM 65 FOR 64)::bigint)
               || int4send(substring(bits FROM 129 FOR 32)::integer) AS decrypted, payload
      FROM (SELECT ('x' || encode(encrypt(a || '\x01' || a || '\x02', key, 'aes-ecb/pad:none'), 'hex'))::bit(160)
                       # ('x' || encode(frm_payload, 'hex'))::bit(160) AS bits, payload
              FROM (SELECT '\x010000000000'::bytea || substr(dev_addr, 4, 1) || substr(dev_addr, 3, 1) || substr(dev_addr, 2, 1) || substr(dev_addr, 1, 1)
                               || substr(int8send(f_cnt), 8, 1) || substr(int8send(f_cnt), 7, 1) || substr(int8send(f_cnt), 6, 1) || substr(int8send(f_cnt), 5, 1)
                               || '\x00'::bytea AS a, key, frm_payload, payload
                      FROM clear_%1$s OFFSET 0) s OFFSET 0) t$view$, name)
  FROM unnest(ARRAY['10', '10000', '100000', '1000000', 'in_order']) name
\gexec
VACUUM ANALYZE;
SELECT 1 / (count(*) FILTER (WHERE decrypted IS DISTINCT FROM payload) = 0)::int FROM pgcrypto_10000;
