--
-- What keeps kek_destroy() and kek_destroy_due() from destroying a KEK, besides keys in columns: key envelopes that
-- wait in a storage, a change of the KEK in the same transaction, a clock that jumped.
\set ECHO none
\set QUIET 1
SET client_min_messages = error;
-- kek_destroy() needs READ COMMITTED.
ALTER DATABASE :"DBNAME" SET default_transaction_isolation = 'read committed';
\c
SET client_min_messages = error;
SELECT no_plan();
CREATE FUNCTION states(of text) RETURNS text LANGUAGE sql AS
$$SELECT string_agg(version || ' ' || state, ', ' ORDER BY version) FROM key_vault.keks WHERE label = of$$;
CREATE FUNCTION usage(of text) RETURNS text LANGUAGE sql AS
$$SELECT string_agg(concat_ws(' ', relation, "column", coalesce(kek_version::text, '?'), keys), ', ' ORDER BY relation::text, "column", kek_version) FROM key_vault.kek_usage(of)$$;

-- Key envelopes of a KEK that is not known when they come.  The KEK is 00 01 ... 0f, and the envelope is that of the
-- LoRaWAN example of the other tests: DevAddr 260B1234, counter 65538.
SELECT key_vault.kek_create('lorawan') \g /dev/null
CALL key_vault.create_storage('lorawan');
CREATE FUNCTION message(f_cnt integer, session text) RETURNS text LANGUAGE sql AS $$
SELECT format('{"end_device_ids": {"device_id": "dev", "application_ids": {"application_id": "app1"}, "dev_eui": "0004A30B001C0530", "dev_addr": "260B1234"},
    "uplink_message": {"session_key_id": "%s", "f_port": 2, "f_cnt": %s, "received_at": "2024-05-01T12:00:00Z",
    "app_s_key": {"kek_label": "app1-kek", "encrypted_key": "7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"}, "frm_payload": "LhFe2aRcmQ=="}}', session, f_cnt)
$$;
INSERT INTO lorawan.inbox VALUES (message(65538, 'AYfC0bag8+RHWGmqu8zd7g==')), (message(65538, 'AYfC0bag8+RHWGmqu8zd7w=='));
INSERT INTO lorawan.inbox VALUES (message(-1, 'AYfC0bag8+RHWGmqu8zd7g=='));
SELECT is((SELECT count(*) FROM lorawan.session WHERE encrypted_key IS NOT NULL), 2::bigint, 'two envelopes wait');
SELECT is((SELECT count(*) FROM lorawan.rejected), 1::bigint, 'and a rejected message has another');
SELECT key_vault.kek_import('app1-kek', '\x000102030405060708090a0b0c0d0e0f'), key_vault.kek_rotate('app1-kek') \g /dev/null
SELECT is(usage('app1-kek'), 'lorawan.rejected message ? 1, lorawan.session encrypted_key ? 2', 'kek_usage counts them, of no version');
SELECT is(usage('app2-kek'), NULL, 'for their label alone');
SELECT set_eq('SELECT relation::text, "column"::text FROM key_vault.key_envelope_columns', $$VALUES ('lorawan.session', 'encrypted_key'), ('lorawan.rejected', 'message')$$, 'the view names the columns');
SELECT throws_ok($$SELECT key_vault.kek_destroy('app1-kek', 1)$$, 'KV008', '3 key envelopes of KEK label "app1-kek" are not opened yet', 'kek_destroy refuses');
SELECT key_vault.kek_schedule_destroy('app1-kek', 1, '0') \g /dev/null
SELECT is(key_vault.kek_destroy_due(), 0, 'so does kek_destroy_due');
SELECT is((SELECT count(*) FROM key_vault.keks WHERE label = 'app1-kek' AND version = 1 AND destroy_at IS NOT NULL), 1::bigint, 'it stays scheduled');
SELECT key_vault.kek_create('app2-kek'), key_vault.kek_rotate('app2-kek') \g /dev/null
SELECT lives_ok($$SELECT key_vault.kek_destroy('app2-kek', 1)$$, 'another label goes');
SELECT is(r::text, '(2,0,1)', 'replay_rejected opens what waits') FROM lorawan.replay_rejected() r;
SELECT throws_ok($$SELECT key_vault.kek_destroy('app1-kek', 1)$$, 'KV008', '1 key envelope of KEK label "app1-kek" is not opened yet', 'a rejected message has one still');
DELETE FROM lorawan.rejected;
SELECT is(usage('app1-kek'), NULL, 'nothing waits');
SELECT is(key_vault.kek_destroy_due(), 1, 'then it is destroyed');
SELECT is((SELECT count(*) FROM lorawan.uplink_decrypted WHERE payload = '\x0167010e02684a'), 2::bigint, 'and the keys are there');

-- A role that may not read a storage is told nothing of it.
CREATE ROLE kv_destroy_nobody;
SET ROLE kv_destroy_nobody;
SELECT is(usage(NULL), NULL, 'no count for a role without SELECT');
SELECT throws_ok($$SELECT * FROM key_vault_internal.count_envelopes('lorawan.session', 'encrypted_key')$$, '42501', NULL, 'by no function');
RESET ROLE;
-- A table that has the same columns but is not in a storage does not count.
CREATE TABLE session (kek_label text, encrypted_key bytea);
SELECT is((SELECT count(*) FROM key_vault.key_envelope_columns WHERE relation = 'public.session'::regclass), 0::bigint, 'a table elsewhere is none of a storage');

-- A KEK that was changed in the same transaction, in a savepoint too
SELECT key_vault.kek_create('changed') \g /dev/null
BEGIN;
SAVEPOINT s;
SELECT key_vault.kek_rotate('changed') \g /dev/null
RELEASE s;
SELECT throws_ok($$SELECT key_vault.kek_destroy('changed', 1)$$, '55000', 'KEK label "changed" version 1 was changed in this transaction', 'a change in a savepoint that was released');
SAVEPOINT t;
SELECT throws_ok($$SELECT key_vault.kek_destroy('changed', 1)$$, '55000', 'KEK label "changed" version 1 was changed in this transaction', 'seen from another savepoint');
ROLLBACK;
BEGIN;
SAVEPOINT s;
SELECT key_vault.kek_suspend('changed', 1) \g /dev/null
ROLLBACK TO s;
SELECT throws_ok($$SELECT key_vault.kek_destroy('changed', 1)$$, '55000', 'KEK label "changed" version 1 is active', 'a change that was rolled back is none');
ROLLBACK;
SELECT key_vault.kek_rotate('changed') \g /dev/null
BEGIN;
SAVEPOINT s;
SELECT key_vault.kek_destroy('changed', 1) \g /dev/null
SELECT is(states('changed'), '1 destroyed, 2 active', 'destroyed in a savepoint');
ROLLBACK TO s;
SELECT is(states('changed'), '1 deactivated, 2 active', 'which is rolled back');
SELECT lives_ok($$SELECT key_vault.kek_destroy('changed', 1)$$, 'again in the same transaction');
COMMIT;
SELECT is(states('changed'), '1 destroyed, 2 active', 'which is committed');

-- A transport KEK whose material is imported again becomes a new version.  The wrapped KEK is that of sql/keks.sql:
-- 00..0f under 00..0f.
SELECT key_vault.kek_import('transport', '\x000102030405060708090a0b0c0d0e0f') \g /dev/null
CREATE TABLE old_key AS SELECT key_vault.generate_key('transport') AS key;
SELECT throws_ok($$SELECT key_vault.kek_import('transport', '\x000102030405060708090a0b0c0d0e0f')$$, '42710', NULL, 'the same KEK is refused');
SELECT key_vault.kek_destroy('transport', 1, force => true) \g /dev/null
SELECT is(key_vault.kek_import('transport', '\x000102030405060708090a0b0c0d0e0f'), 2, 'one that was destroyed comes as a new version');
SELECT is(states('transport'), '1 destroyed, 2 active', 'and the old one stays destroyed');
SELECT throws_ok('SELECT key_vault.unwrap(key) FROM old_key', 'KV003', NULL, 'with the keys under it');
SELECT is(key_vault.unwrap(key_vault.import_envelope('transport', '\xeea0081cf43da05a22fcc7f0aa4585ae2c18bd5d1b6cebe8', 'lorawan')), '\xec925802ae430ca77fd3dd73cb2cc588', 'its envelopes open');
DROP TABLE old_key;

-- A destruction that is overdue by more than a day is put off by a day, once.
SELECT key_vault.kek_create('late'), key_vault.kek_rotate('late'), key_vault.kek_schedule_destroy('late', 1, '30 days') \g /dev/null
CREATE FUNCTION clock_jumps(over interval) RETURNS void LANGUAGE sql AS
$$UPDATE key_vault.kek_destruction SET destroy_at = clock_timestamp() - over WHERE kek_id = (SELECT kek_id FROM key_vault.keks WHERE label = 'late' AND version = 1)$$;
SELECT clock_jumps('25 hours') \g /dev/null
SELECT is(key_vault.kek_destroy_due(), 0, 'overdue by 25 hours: not yet');
SELECT is(states('late'), '1 deactivated, 2 active', 'it is as it was');
SELECT ok(destroy_at BETWEEN now() + interval '23 hours 59 minutes' AND now() + interval '1 day', 'and put off by a day') FROM key_vault.keks WHERE label = 'late' AND version = 1;
SELECT is(key_vault.kek_destroy_due(), 0, 'which is waited for');
SELECT is((SELECT details FROM key_vault.audit_log WHERE label = 'late' ORDER BY at DESC LIMIT 1), '{"put_off": "1 day"}', 'the audit log has it');
SELECT key_vault.kek_schedule_destroy('late', 1, '0'), clock_jumps('25 hours') \g /dev/null
SELECT is(key_vault.kek_destroy_due(), 0, 'once for each time that it is scheduled');
SELECT clock_jumps('25 hours') \g /dev/null
SELECT is(key_vault.kek_destroy_due(), 1, 'not twice');
SELECT is(states('late'), '1 destroyed, 2 active', 'then it is destroyed');
SELECT key_vault.kek_rotate('late'), key_vault.kek_schedule_destroy('late', 2, '0') \g /dev/null
SELECT is(key_vault.kek_destroy_due(), 1, 'what is due in time is not put off');

DROP ROLE kv_destroy_nobody;
SELECT * FROM finish();
