-- The analyst runs this file: a day of ten sensors, by hour.

SELECT to_char(date_trunc('hour', received_at) AT TIME ZONE 'UTC', 'HH24:MI') AS hour, expect(count(*), 60) AS uplinks,
       bar(avg((decoded ->> 'temperature_1')::numeric)) AS temperature
  FROM lorawan.uplink_decoded
 WHERE application_id = 'app1' AND received_at >= '2023-02-10' AND received_at < '2023-02-11'
 GROUP BY 1 ORDER BY 1
\p \g

SELECT expect(count(*), 24) AS hours_are_right
  FROM day JOIN (SELECT date_trunc('hour', received_at) AS hour, avg((decoded ->> 'temperature_1')::numeric)::numeric(5, 2) AS temperature
                   FROM lorawan.uplink_decoded WHERE status = 'decoded' GROUP BY 1) d USING (hour, temperature);

\set ON_ERROR_STOP off
SELECT key_vault.unwrap(app_s_key) FROM lorawan.session LIMIT 1
\p \g
\set ON_ERROR_STOP on
SELECT expect(:'SQLSTATE', '42501') \gset
