-- The tables of the benchmark of MICs and joins: whole frames with the payloads of decrypt.sql
-- and with MICs, and the join-request and join-accept of 1,000 devices.
SET client_min_messages = warning;
CREATE FUNCTION floor_verify(key_vault.wrapped_key, bigint, bytea) RETURNS boolean
    AS :'floor', 'floor_verify' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;
SELECT format('CREATE UNLOGGED TABLE mic_%1$s AS
    SELECT received_at, dev_eui, key, f_cnt, message || key_vault.lorawan_uplink_mic(key, f_cnt, message) AS phy_payload
      FROM (SELECT *, key_vault.lorawan_build_uplink(dev_addr, f_cnt, 1, frm_payload) AS message FROM frames_%1$s) f', keys)
  FROM unnest(ARRAY[10, 10000, 1000000]) keys
\gexec
CREATE UNLOGGED TABLE device AS
    SELECT i, key_vault.generate_key('bench') AS app_key FROM generate_series(0, 999) i;
CREATE UNLOGGED TABLE joins AS
    SELECT app_key, dev_addr, request || key_vault.lorawan_join_request_mic(app_key, request) AS join_request,
           key_vault.lorawan_encrypt_join_accept(app_key, accept) AS join_accept
      FROM (SELECT app_key, int4send(n) AS dev_addr,
                   key_vault.lorawan_build_join_request(int8send(1), int8send(i), n % 65536) AS request,
                   key_vault.lorawan_build_join_accept(n % 16777216, '\x000013', int4send(n)) AS accept
              FROM generate_series(1, :'joins'::int) n JOIN device ON i = n % 1000) j;
VACUUM ANALYZE;
