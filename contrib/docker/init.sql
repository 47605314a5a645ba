-- The storage "lorawan", its KEK, and the roles of the services ingest and exporter.
CREATE EXTENSION key_vault;
SELECT key_vault.kek_create('lorawan');
CALL key_vault.create_storage('lorawan');

CREATE ROLE ingester LOGIN;
GRANT USAGE ON SCHEMA lorawan TO ingester;
GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA lorawan TO ingester;
SELECT key_vault.kek_grant('lorawan', 'ingester', 'wrap'), key_vault.kek_grant('lorawan', 'ingester', 'rewrap');

CREATE ROLE exporter LOGIN IN ROLE pg_monitor;
-- It counts which keys, key envelopes and rejected messages need which KEK.
GRANT USAGE ON SCHEMA lorawan TO exporter;
GRANT SELECT (app_s_key, encrypted_key, kek_label) ON lorawan.session TO exporter;
GRANT SELECT (key) ON lorawan.rejected_key TO exporter;
GRANT SELECT (message) ON lorawan.rejected TO exporter;
