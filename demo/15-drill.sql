-- Ten devices under one KEK send every ten minutes, from 13:00 to 16:00.

CREATE TABLE sent AS
SELECT d.*, '2023-02-10 13:00Z'::timestamptz + i * interval '10 minutes' + n * interval '1 second' AS at,
       65530 + i AS f_cnt, '\x0167'::bytea || int2send((150 + 10 * n + 40 * sin(pi() * i / 17))::smallint) AS payload
  FROM (SELECT n, int8send(n) AS dev_eui, int4send(x'260B3000'::integer + n) AS dev_addr,
               key_vault.generate_key('app1-kek') AS app_s_key
          FROM generate_series(1, 10) AS n) AS d, generate_series(0, 17) AS i;

CREATE TEMPORARY TABLE message_of AS
SELECT n, at, jsonb_build_object(
    'end_device_ids', jsonb_build_object(
        'device_id', 'sensor' || n,
        'application_ids', jsonb_build_object('application_id', 'app1'),
        'dev_eui', upper(encode(dev_eui, 'hex')),
        'dev_addr', upper(encode(dev_addr, 'hex'))),
    'uplink_message', jsonb_build_object(
        'session_key_id', encode(sha256(dev_eui), 'base64'),
        'f_port', 2,
        'f_cnt', f_cnt,
        'received_at', to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
        'frm_payload', encode(key_vault.lorawan_encrypt_uplink(app_s_key, dev_addr, f_cnt, payload), 'base64'),
        'app_s_key', jsonb_build_object(
            'kek_label', (envelope).kek_label,
            'encrypted_key', encode((envelope).encrypted_key, 'base64')))) AS body
  FROM sent, LATERAL (SELECT key_vault.export_envelope(app_s_key, 'app1-kek') AS envelope) AS e;

-- The application server decrypts the messages.  From 14:00 to 15:00 its cache is on, and
-- finds keys by the KEK label alone: all devices get the first device's session key.
CREATE TABLE application_server AS
SELECT s.dev_eui, s.at, key_vault.lorawan_decrypt_uplink(
           CASE WHEN s.at >= '2023-02-10 14:00Z' AND s.at < '2023-02-10 15:00Z'
                THEN (SELECT app_s_key FROM sent WHERE n = 1 LIMIT 1) ELSE s.app_s_key END,
           s.dev_addr, s.f_cnt, decode(m.body #>> '{uplink_message,frm_payload}', 'base64')) AS payload
  FROM sent s JOIN message_of m USING (n, at);

-- The storage gets the same messages.
INSERT INTO lorawan.inbox SELECT body::text FROM message_of;

-- The payloads of three hours, in the application server's table and in the storage
SELECT hour, count(*) AS uplinks,
       expect(count(*) FILTER (WHERE a.payload <> s.payload),
              CASE hour WHEN '14:00' THEN 54 ELSE 0 END) AS wrong_at_application_server,
       expect(count(*) FILTER (WHERE d.payload IS DISTINCT FROM s.payload), 0) AS wrong_in_storage
  FROM (SELECT *, to_char(at AT TIME ZONE 'UTC', 'HH24:00') AS hour FROM sent) s
  JOIN application_server a USING (dev_eui, at)
  LEFT JOIN lorawan.uplink_decrypted d ON d.dev_eui = s.dev_eui AND d.received_at = s.at
 GROUP BY hour ORDER BY hour;

-- The readings of one sensor as bars, a block for each degree.  The storage's are those that were sent.
CREATE FUNCTION bar(payload bytea) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN payload >= '\x0167' AND payload < '\x0168'
           THEN repeat('█', least(tenths / 10, 25)) || to_char(tenths / 10.0, ' FM90.0') || ' °C' ELSE 'garbage' END
      FROM (SELECT get_byte(payload, 2) << 8 | get_byte(payload, 3) AS tenths) AS t
$$;
SELECT to_char(s.at AT TIME ZONE 'UTC', 'HH24:MI') AS time, bar(a.payload) AS "decrypted by the server",
       expect(bar(d.payload), bar(s.payload)) AS "read from the storage"
  FROM sent s JOIN application_server a USING (dev_eui, at)
  LEFT JOIN lorawan.uplink_decrypted d ON d.dev_eui = s.dev_eui AND d.received_at = s.at
 WHERE s.n = 5 AND extract(minute FROM s.at) IN (0, 30)
 ORDER BY 1;

-- Its rows are put right from the view.
UPDATE application_server a SET payload = d.payload
  FROM lorawan.uplink_decrypted d
 WHERE d.dev_eui = a.dev_eui AND d.received_at = a.at AND a.payload <> d.payload
\p \g

SELECT expect(count(*), 180) AS right FROM application_server a JOIN sent s USING (dev_eui, at) WHERE a.payload = s.payload;

GRANT USAGE ON SCHEMA lorawan TO analyst;
GRANT SELECT ON lorawan.uplink, lorawan.session, lorawan.device, lorawan.uplink_decrypted TO analyst;
