-- Two storages in a database of version 1.0, with all that storages can hold: uplinks of several days, joins,
-- downlinks, sessions with keys and with envelopes that wait for their KEK, rejected messages with and without
-- plaintext keys, partitions, and what was granted on tables and functions.
--
-- The uplinks are the example of demo/messages, whose payload under its key is 0167010e02684a.
-- storage_1_0_look.sql shows all of it; it must not change by an update.

\set ON_ERROR_STOP on
SET client_min_messages = error;
CREATE ROLE storage_owner;
CREATE ROLE storage_writer;
CREATE ROLE storage_analyst;
SELECT key_vault.kek_import('app1-kek', '\x000102030405060708090a0b0c0d0e0f'), key_vault.kek_create('lorawan'), key_vault.kek_create('app2 at rest') \g /dev/null
CREATE SCHEMA lorawan AUTHORIZATION storage_owner;
CREATE SCHEMA "My Storage" AUTHORIZATION storage_owner;
-- What kek_grant() of 1.0 does: the row, and EXECUTE on all functions.
INSERT INTO key_vault.kek_privilege (label, role, privilege) VALUES
    ('lorawan', 'storage_owner', 'wrap'), ('lorawan', 'storage_owner', 'rewrap'), ('app1-kek', 'storage_owner', 'unwrap'),
    ('app2 at rest', 'storage_owner', 'wrap'),
    ('lorawan', 'storage_writer', 'wrap'), ('lorawan', 'storage_writer', 'rewrap'), ('app1-kek', 'storage_writer', 'unwrap'),
    ('lorawan', 'storage_analyst', 'decrypt'), ('app2 at rest', 'storage_analyst', 'decrypt');
GRANT EXECUTE ON ALL ROUTINES IN SCHEMA key_vault TO storage_owner, storage_writer, storage_analyst;

CREATE FUNCTION uplink(minute integer, changes jsonb DEFAULT '{}', top jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
SELECT jsonb_build_object('end_device_ids', '{"device_id":"dev1","application_ids":{"application_id":"app1"},"dev_eui":"0004A30B001C0530","dev_addr":"260B1234"}'::jsonb,
    'uplink_message', '{"session_key_id":"AYfC0bag8+RHWGmqu8zd7g==","f_port":2,"f_cnt":65538,"frm_payload":"LhFe2aRcmQ==","app_s_key":{"kek_label":"app1-kek","encrypted_key":"7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"}}'::jsonb
    || jsonb_build_object('received_at', format('2024-05-%sT12:%s:00Z', lpad((1 + minute / 60)::text, 2, '0'), lpad((minute % 60)::text, 2, '0'))) || changes) || top
$$;

SET ROLE storage_owner;
CALL key_vault.create_storage('lorawan', keep_messages => true);
CALL key_vault.create_storage('My Storage', kek_label => 'lorawan', partition_interval => 'month');
INSERT INTO lorawan.application VALUES ('app2', 'app2 at rest');
-- Uplinks of three days, of two sessions and two applications, one in the clear
INSERT INTO lorawan.inbox SELECT uplink(minute) FROM generate_series(0, 150, 10) minute;
INSERT INTO lorawan.inbox SELECT uplink(155, '{"session_key_id": "AAAAAAAAAAAAAAAAAAAAAg=="}', '{"end_device_ids": {"device_id": "dev2", "application_ids": {"application_id": "app2"}, "dev_eui": "0004A30B001C0532", "dev_addr": "260B1234"}}');
INSERT INTO lorawan.inbox SELECT jsonb_set(uplink(156), '{uplink_message,app_s_key}', 'null');
-- A plaintext key, a join, downlinks
INSERT INTO lorawan.inbox SELECT uplink(157, '{"session_key_id": "AAAAAAAAAAAAAAAAAAAAAw==", "app_s_key": {"key": "EC925802AE430CA77FD3DD73CB2CC588"}}');
INSERT INTO lorawan.inbox SELECT uplink(0) - 'uplink_message' || '{"received_at": "2024-05-01T11:00:00Z", "join_accept": {"session_key_id": "AYfC0bag8+RHWGmqu8zd7g=="}}';
INSERT INTO lorawan.inbox SELECT uplink(0) - 'uplink_message' || '{"received_at": "2024-05-01T11:00:00Z", "downlink_sent": {"session_key_id": "AYfC0bag8+RHWGmqu8zd7g==", "f_port": 3, "f_cnt": 9, "frm_payload": "AQI="}}';
-- Envelopes that wait for their KEK
INSERT INTO lorawan.inbox SELECT uplink(158, '{"session_key_id": "AAAAAAAAAAAAAAAAAAAABA==", "app_s_key": {"kek_label": "late", "encrypted_key": "7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"}}');
-- Rejected: a field that is wrong, the same with a plaintext key, what is no JSON
INSERT INTO lorawan.inbox SELECT uplink(159, '{"f_cnt": -1}');
INSERT INTO lorawan.inbox SELECT uplink(159, '{"f_cnt": -2, "session_key_id": "AAAAAAAAAAAAAAAAAAAABQ==", "app_s_key": {"key": "EC925802AE430CA77FD3DD73CB2CC588"}}');
INSERT INTO lorawan.inbox VALUES ('{"app_s_key": {"key": "EC925802AE430CA77FD3DD73CB2CC588"');
-- The days of the uplinks get partitions; what comes then lies in the default partition.
CALL key_vault.maintain_storage('lorawan');
INSERT INTO lorawan.inbox SELECT uplink(minute) FROM generate_series(600, 610, 10) minute;
INSERT INTO "My Storage".inbox SELECT uplink(minute) FROM generate_series(0, 20, 10) minute;

GRANT USAGE ON SCHEMA lorawan, "My Storage" TO storage_writer, storage_analyst;
GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA lorawan, "My Storage" TO storage_writer;
REVOKE EXECUTE ON FUNCTION lorawan.ingest(jsonb), lorawan.ingest(text), lorawan.replay_rejected() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lorawan.ingest(jsonb) TO storage_writer;
GRANT SELECT ON lorawan.uplink, lorawan.session, lorawan.device, lorawan.uplink_decrypted, lorawan.device_latest TO storage_analyst;
CREATE VIEW lorawan.reading WITH (security_invoker = true) AS
SELECT dev_eui, received_at, get_byte(payload, 1) AS value FROM lorawan.uplink_decrypted;
GRANT SELECT ON lorawan.reading TO storage_analyst;
RESET ROLE;
