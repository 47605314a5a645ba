-- The data of the table of ingestion: a storage with 1,000 sessions of each network server, tables that are like its own, and a
-- function that makes messages.
SELECT key_vault.kek_create('bench'), key_vault.kek_import('app1-kek', '\x000102030405060708090a0b0c0d0e0f');
CALL key_vault.create_storage('bench', partitioning => 'none');

-- The same columns, constraints and indexes.
CREATE SCHEMA floor;
CREATE TABLE floor.uplink (LIKE bench.uplink INCLUDING ALL);
CREATE TABLE floor.session (LIKE bench.session INCLUDING ALL);
CREATE TABLE floor.device (LIKE bench.device INCLUDING ALL);

-- The example messages, with as many gateways as make 1.8 kB of each.  <time> is where the time of a message goes.
\set things_stack `tr -d '\n' <demo/messages/the-things-stack.json`
\set chirpstack `tr -d '\n' <demo/messages/chirpstack.json`
CREATE TABLE template AS
SELECT stack, regexp_replace(message::text, '"2024-05-01T12:00:00[0-9.]*(Z|\+00:00)"', '"<time>"', 'g') AS message
  FROM (SELECT 'things_stack' AS stack, jsonb_set(:'things_stack', '{uplink_message,rx_metadata}', jsonb_agg(jsonb_build_object(
                   'gateway_ids', jsonb_build_object('gateway_id', 'gateway-' || n, 'eui', '9C5C8E00001A05C4'), 'time', '2024-05-01T12:00:00.21Z',
                   'timestamp', 2463457000 + n, 'rssi', -35, 'channel_rssi', -35, 'snr', 5.2, 'channel_index', 2,
                   'received_at', '2024-05-01T12:00:00.24Z'))) AS message
          FROM generate_series(1, 4) n
        UNION ALL
        SELECT 'chirpstack', jsonb_set(:'chirpstack', '{rxInfo}', jsonb_agg(jsonb_build_object(
                   'gatewayId', '0016c001f153a14c', 'uplinkId', 4217106255 + n, 'gwTime', '2024-05-01T12:00:00.21Z', 'nsTime', '2024-05-01T12:00:00.24Z',
                   'rssi', -36, 'snr', 10.5, 'channel', 7, 'location', '{}'::jsonb, 'context', 'EFwMtA==', 'crcStatus', 'CRC_OK',
                   'metadata', jsonb_build_object('region_common_name', 'EU868', 'region_config_id', 'eu868'))))
          FROM generate_series(1, 4) n) m;

-- A message of a device, whose session is that of its number, received f_cnt seconds after the start of a day.
CREATE FUNCTION line(stack text, device bigint, f_cnt bigint) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE stack
           WHEN 'things_stack' THEN jsonb_set(jsonb_set(jsonb_set(m,
               '{end_device_ids,dev_eui}', to_jsonb(encode(int8send(device), 'hex'))),
               '{uplink_message,session_key_id}', to_jsonb(encode(substr(sha256(int8send(device)), 1, 16), 'base64'))),
               '{uplink_message,f_cnt}', to_jsonb(f_cnt))::text
           ELSE jsonb_set(jsonb_set(m,
               '{deviceInfo,devEui}', to_jsonb(encode(int8send(device), 'hex'))),
               '{fCnt}', to_jsonb(f_cnt))::text
           END
      FROM template t,
           LATERAL (SELECT replace(message, '<time>', to_char(timestamp '2024-05-01' + f_cnt * interval '1 second', 'YYYY-MM-DD"T"HH24:MI:SS.24"Z"'))::jsonb AS m) with_time
     WHERE t.stack = line.stack
$$;
CREATE TABLE lines (n bigint PRIMARY KEY, line text);

-- What the messages say, without a check.
CREATE VIEW things_stack AS
SELECT n, decode(m #>> '{end_device_ids,dev_eui}', 'hex') AS dev_eui, decode(m #>> '{uplink_message,session_key_id}', 'base64') AS session_key_id,
       (m #>> '{uplink_message,f_cnt}')::bigint AS f_cnt, (m #>> '{uplink_message,f_port}')::smallint AS f_port,
       decode(m #>> '{end_device_ids,dev_addr}', 'hex') AS dev_addr, decode(m #>> '{uplink_message,frm_payload}', 'base64') AS frm_payload,
       m #>> '{end_device_ids,application_ids,application_id}' AS application_id, m #>> '{end_device_ids,device_id}' AS device_id,
       (m #>> '{uplink_message,received_at}')::timestamptz AS received_at
  FROM (SELECT n, line::jsonb AS m FROM lines OFFSET 0) l;
CREATE VIEW chirpstack AS
SELECT n, decode(m #>> '{deviceInfo,devEui}', 'hex') AS dev_eui, decode(md5(m #>> '{joinServerContext,appSKey,aesKey}'), 'hex') AS session_key_id,
       (m ->> 'fCnt')::bigint AS f_cnt, (m ->> 'fPort')::smallint AS f_port,
       decode(m ->> 'devAddr', 'hex') AS dev_addr, decode(m ->> 'data', 'base64') AS frm_payload,
       m #>> '{deviceInfo,applicationId}' AS application_id, m #>> '{deviceInfo,deviceName}' AS device_id,
       (m ->> 'time')::timestamptz AS received_at
  FROM (SELECT n, line::jsonb AS m FROM lines OFFSET 0) l;
