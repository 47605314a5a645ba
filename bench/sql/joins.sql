-- The table joins: :joins join-requests and join-accepts of LoRaWAN 1.0, of 1,000 devices.
SELECT key_vault.kek_create('bench') \g /dev/null
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
