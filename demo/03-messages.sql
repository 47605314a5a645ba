-- One message of The Things Stack, one of ChirpStack, and 1200 made here.

\set the_things_stack `cat messages/the-things-stack.json`
\set chirpstack `cat messages/chirpstack.json`
INSERT INTO message (body) VALUES (:'the_things_stack'), (:'chirpstack');
INSERT INTO plaintext VALUES ('\x260B1234', 65538, '\x0167010e02684a'),
                             ('\x01FA8B2C', 1042, '\x0167010e02684a');

-- Six devices, each with a session key that the "join server" makes.
CREATE TEMPORARY TABLE device AS
SELECT n, 'sensor' || n AS name, int4send(x'260B2000'::integer + n) AS dev_addr,
       key_vault.generate_key('app1-kek') AS app_s_key
  FROM generate_series(1, 6) AS n;

-- Two hundred uplinks of each.  The counters of sensor1 start at 0, those of the
-- others pass 65535.
CREATE TEMPORARY TABLE generated AS
SELECT d.n, i, d.name, d.dev_addr, d.app_s_key,
       CASE WHEN d.n = 1 THEN i ELSE 65500 + i END::bigint AS f_cnt,
       '\x0167'::bytea || int2send((180 + 10 * d.n + i)::smallint)
           || '\x0268'::bytea || set_byte('\x00', 0, 60 + i % 100) AS payload
  FROM device d, generate_series(0, 199) AS i;

INSERT INTO plaintext SELECT dev_addr, f_cnt, payload FROM generated ORDER BY i, n;

-- In the order in which an application server sends them: the first uplink of each
-- device, then the second of each, and so on.
INSERT INTO message (body)
SELECT jsonb_strip_nulls(jsonb_build_object(
    'end_device_ids', jsonb_build_object(
        'device_id', name,
        'dev_addr', upper(encode(dev_addr, 'hex'))),
    'uplink_message', jsonb_build_object(
        'session_key_id', encode(sha256(dev_addr), 'base64'),
        'f_port', 2,
        'f_cnt', nullif(f_cnt, 0),
        'frm_payload', encode(key_vault.lorawan_encrypt_uplink(app_s_key, dev_addr, f_cnt, payload), 'base64'),
        'app_s_key', jsonb_build_object(
            'kek_label', (envelope).kek_label,
            'encrypted_key', encode((envelope).encrypted_key, 'base64')))))
  FROM generated, LATERAL (SELECT key_vault.export_envelope(app_s_key, 'app1-kek') AS envelope) AS e
 ORDER BY i, n;

SELECT source, expect(count(*), CASE source WHEN 'ChirpStack' THEN 1 ELSE 1201 END) AS messages,
       count(DISTINCT dev_addr) AS devices, min(f_cnt) AS first_f_cnt, max(f_cnt) AS last_f_cnt
  FROM uplink GROUP BY source ORDER BY source;
