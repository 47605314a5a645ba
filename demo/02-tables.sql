-- Messages are stored as they come; views give them their meaning.

CREATE TABLE message (
    id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    body jsonb NOT NULL
);

-- One row per LoRaWAN session: keys change with every join.
CREATE TABLE session (
    session_id text PRIMARY KEY,
    dev_addr   bytea NOT NULL,
    app_s_key  key_vault.wrapped_key NOT NULL
);

-- The Things Stack leaves out fields that are zero: no f_cnt means 0.  Its bytes are
-- upper-case hexadecimal or base64; ChirpStack's are lower-case.  If ChirpStack
-- gives no session key id, the wrapped key tells sessions apart.
CREATE VIEW uplink AS
SELECT id,
       'The Things Stack' AS source,
       body #>> '{end_device_ids,device_id}' AS device,
       decode(body #>> '{end_device_ids,dev_addr}', 'hex') AS dev_addr,
       coalesce((up ->> 'f_cnt')::bigint, 0) AS f_cnt,
       decode(up ->> 'frm_payload', 'base64') AS frm_payload,
       up ->> 'session_key_id' AS session_id,
       up #>> '{app_s_key,kek_label}' AS kek_label,
       decode(up #>> '{app_s_key,encrypted_key}', 'base64') AS encrypted_key
  FROM message, LATERAL (SELECT body -> 'uplink_message' AS up) AS m
 WHERE body ? 'uplink_message'
UNION ALL
SELECT id,
       'ChirpStack',
       body #>> '{deviceInfo,deviceName}',
       decode(body ->> 'devAddr', 'hex'),
       (body ->> 'fCnt')::bigint,
       decode(body ->> 'data', 'base64'),
       coalesce(nullif(js ->> 'sessionKeyId', ''), js #>> '{appSKey,aesKey}'),
       js #>> '{appSKey,kekLabel}',
       decode(js #>> '{appSKey,aesKey}', 'base64')
  FROM message, LATERAL (SELECT body -> 'joinServerContext' AS js) AS m
 WHERE body ? 'joinServerContext';

-- This view decrypts when it is read; no decrypted payload is stored.
CREATE VIEW decrypted AS
SELECT u.id, u.source, u.device, u.dev_addr, u.f_cnt, u.frm_payload,
       key_vault.lorawan_decrypt_uplink(s.app_s_key, u.dev_addr, u.f_cnt, u.frm_payload) AS payload
  FROM uplink u JOIN session s USING (session_id);

-- What the payloads of these devices mean: 01 67, temperature in 0.1 degrees
-- (2 bytes); 02 68, humidity in 0.5 % (1 byte).
CREATE VIEW reading AS
SELECT device, f_cnt,
       ((get_byte(payload, 2) * 256 + get_byte(payload, 3)) / 10.0)::numeric(5, 1) AS temperature,
       (get_byte(payload, 6) / 2.0)::numeric(4, 1) AS humidity
  FROM decrypted;

-- For the demo's checks only: the payloads as they were before the encryption.
CREATE TABLE plaintext (
    dev_addr bytea,
    f_cnt    bigint,
    payload  bytea NOT NULL,
    PRIMARY KEY (dev_addr, f_cnt)
);
