-- The analyst runs this file: SQL decodes payloads and aggregates them.

SELECT date_trunc('hour', received_at AT TIME ZONE 'UTC') AS hour, expect(count(*), 60) AS uplinks,
       avg((get_byte(payload, 2) << 8 | get_byte(payload, 3)) / 10.0)::numeric(5, 2) AS temperature
  FROM lorawan.uplink_decrypted
 WHERE application_id = 'app1' AND received_at >= '2023-02-10' AND received_at < '2023-02-11'
 GROUP BY 1 ORDER BY 1
\p \g

\set ON_ERROR_STOP off
SELECT key_vault.unwrap(app_s_key) FROM lorawan.session LIMIT 1
\p \g
\set ON_ERROR_STOP on
SELECT expect(:'SQLSTATE', '42501') \gset
