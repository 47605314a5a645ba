-- The data of the table of storage: a storage with :sessions sessions and :rows uplinks of this month.
CREATE EXTENSION pgcrypto;
SELECT key_vault.kek_create('bench'), key_vault.kek_import('app1-kek', '\x000102030405060708090a0b0c0d0e0f');
CALL key_vault.create_storage('bench', partition_interval => 'month');

INSERT INTO bench.device SELECT int8send(n), 'bench', n FROM generate_series(1, :sessions) n;
INSERT INTO bench.session (dev_eui, session_key_id, application_id, dev_addr, app_s_key, started_at)
SELECT int8send(n), sha256(int8send(n)), 'bench', int4send(n), key_vault.bind(key_vault.generate_key('bench'), int4send(n)), now()
  FROM generate_series(1, :sessions) n;
SELECT setseed(0.5);
INSERT INTO bench.uplink (received_at, dev_eui, session_key_id, f_cnt, f_port, encrypted, dev_addr, frm_payload, application_id)
SELECT date_trunc('month', now(), 'UTC') + interval '28 days' * (n / :rows::float8), int8send(d), sha256(int8send(d)), n, 1, true,
       int4send(d), substr(sha256(int4send(n)), 1, 20), 'bench'
  FROM (SELECT n, 1 + floor(random() * :sessions)::integer AS d FROM generate_series(1, :rows) n) u;
-- Keys in the clear, for the report with pgcrypto, which need not unwrap them.
CREATE UNLOGGED TABLE clear_key AS SELECT dev_eui, session_key_id, key_vault.unwrap(app_s_key) AS key FROM bench.session;
VACUUM ANALYZE;
