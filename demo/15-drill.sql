-- Ten devices under one KEK send a temperature every ten minutes, for a day, in Cayenne LPP.

CREATE TABLE sent AS
SELECT d.*, '2023-02-10 00:00Z'::timestamptz + i * interval '10 minutes' + n * interval '1 second' AS at,
       65450 + i AS f_cnt, temperature, '\x0167'::bytea || int2send((temperature * 10)::smallint) AS payload
  FROM (SELECT n, int8send(n) AS dev_eui, int4send(x'260B3000'::integer + n) AS dev_addr,
               key_vault.generate_key('app1-kek') AS app_s_key
          FROM generate_series(1, 10) AS n) AS d, generate_series(0, 143) AS i,
       LATERAL round((8 + n - 9 * cos(pi() * (i - 24) / 72))::numeric, 1) AS temperature;

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

-- The storage decodes the payloads of this application.
INSERT INTO lorawan.application (application_id, decoder) VALUES ('app1', 'key_vault.cayenne_lpp')
\p \g

-- The payloads of three hours, in the application server's table and in the storage
SELECT hour, count(*) AS uplinks,
       expect(count(*) FILTER (WHERE a.payload <> s.payload),
              CASE hour WHEN '14:00' THEN 54 ELSE 0 END) AS wrong_at_application_server,
       expect(count(*) FILTER (WHERE d.payload IS DISTINCT FROM s.payload), 0) AS wrong_in_storage
  FROM (SELECT *, to_char(at AT TIME ZONE 'UTC', 'HH24:00') AS hour FROM sent) s
  JOIN application_server a USING (dev_eui, at)
  LEFT JOIN lorawan.uplink_decrypted d ON d.dev_eui = s.dev_eui AND d.received_at = s.at
 WHERE hour BETWEEN '13:00' AND '15:00'
 GROUP BY hour ORDER BY hour;

-- The readings of one sensor as bars, a block for each degree.  The storage's are those that were sent.
CREATE FUNCTION bar(temperature numeric) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT repeat('█', temperature::integer) || to_char(temperature, ' FM90.0') || ' °C'
$$;
CREATE FUNCTION temperature(payload bytea) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN key_vault.cayenne_lpp(payload) ->> 'temperature_1';
EXCEPTION WHEN invalid_parameter_value THEN
    RETURN NULL;
END
$$;
SELECT to_char(s.at AT TIME ZONE 'UTC', 'HH24:MI') AS time, coalesce(bar(temperature(a.payload)), 'garbage') AS "decrypted by the server",
       expect(bar((d.decoded ->> 'temperature_1')::numeric), bar(s.temperature)) AS "read from the storage"
  FROM sent s JOIN application_server a USING (dev_eui, at)
  LEFT JOIN lorawan.uplink_decoded d ON d.dev_eui = s.dev_eui AND d.received_at = s.at
 WHERE s.n = 5 AND s.at BETWEEN '2023-02-10 13:00Z' AND '2023-02-10 16:00Z' AND extract(minute FROM s.at) IN (0, 30)
 ORDER BY 1;

-- Its rows are put right from the view.
UPDATE application_server a SET payload = d.payload
  FROM lorawan.uplink_decrypted d
 WHERE d.dev_eui = a.dev_eui AND d.received_at = a.at AND a.payload <> d.payload
\p \g

SELECT expect(count(*), 1440) AS right FROM application_server a JOIN sent s USING (dev_eui, at) WHERE a.payload = s.payload;

GRANT USAGE ON SCHEMA lorawan TO analyst;
GRANT SELECT ON lorawan.uplink, lorawan.session, lorawan.device, lorawan.application,
    lorawan.uplink_decrypted, lorawan.uplink_decoded TO analyst;
-- What the analyst has to find
CREATE VIEW day AS SELECT date_trunc('hour', at) AS hour, avg(temperature)::numeric(5, 2) AS temperature FROM sent GROUP BY 1;
GRANT SELECT ON day TO analyst;
