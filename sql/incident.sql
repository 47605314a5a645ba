--
-- The incident that the extension exists for: an unwrapped-key cache that forgot
-- the wrapped key in its key gave all devices under one KEK the first one's
-- AppSKey, and nothing failed.
--
-- Two devices under one KEK, their uplinks interleaved, 1000 times.  The keys,
-- and what their uplinks become with the wrong one, are those of lorawan.sql.
--
\pset format unaligned
\pset tuples_only
\pset null (null)

SELECT key_vault.kek_import('incident', '\x000102030405060708090a0b0c0d0e0f');
CREATE TABLE incident_device (device text, key key_vault.wrapped_key, frm_payload bytea, expected bytea);
-- Counter 65538, DevAddr 260B1234: 0167010e02684a under the one key; under the
-- other one the same bytes on the air are d3acabad76d801.
INSERT INTO incident_device
SELECT 'a', format('kv1:aes-kw:%s:eea0081cf43da05a22fcc7f0aa4585ae2c18bd5d1b6cebe8', kek_id)::key_vault.wrapped_key, '\x2e115ed9a45c99'::bytea, '\x0167010e02684a'::bytea
  FROM key_vault.keks WHERE label = 'incident'
UNION ALL
SELECT 'b', format('kv1:aes-kw:%s:0aaa94d7521c3faf98e5bcc88d18e73c5d0f32c8d30fa800', kek_id)::key_vault.wrapped_key, '\x2e115ed9a45c99', '\xd3acabad76d801'
  FROM key_vault.keks WHERE label = 'incident';

-- one query, the devices in turn
CREATE TABLE incident_uplink AS
SELECT n, d.* FROM generate_series(1, 1000) n, incident_device d ORDER BY n, device;
SELECT device, count(*), count(*) FILTER (WHERE key_vault.lorawan_decrypt_uplink(key, '\x260B1234', 65538, frm_payload) = expected) AS right_bytes
  FROM incident_uplink GROUP BY device ORDER BY device;

-- a statement for each, and the plan's constants come and go
DO $$
DECLARE
    uplink record;
    payload bytea;
    wrong integer := 0;
    done integer := 0;
BEGIN
    FOR uplink IN SELECT * FROM incident_uplink ORDER BY n, device LOOP
        EXECUTE 'SELECT key_vault.lorawan_decrypt_uplink($1, $2, $3, $4)' INTO payload
          USING uplink.key, '\x260B1234'::bytea, 65538::bigint, uplink.frm_payload;
        done := done + 1;
        wrong := wrong + (payload IS DISTINCT FROM uplink.expected)::integer;
    END LOOP;
    IF wrong <> 0 OR done <> 2000 THEN
        RAISE EXCEPTION '% of % payloads are wrong', wrong, done;
    END IF;
END
$$;

-- and with a rotation between, the keys rewrapped or not
SELECT key_vault.kek_rotate('incident');
UPDATE incident_uplink SET key = key_vault.rewrap(key) WHERE n % 3 = 0;
SELECT key_vault.kek_version(key), device, count(*), count(*) FILTER (WHERE key_vault.lorawan_decrypt_uplink(key, '\x260B1234', 65538, frm_payload) = expected) AS right_bytes
  FROM incident_uplink GROUP BY 1, 2 ORDER BY 1, 2;

DROP TABLE incident_device, incident_uplink;
