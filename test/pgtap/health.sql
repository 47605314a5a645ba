-- health(): each row says ok where nothing is wrong; where the test breaks something, the row says what is wrong and
-- what to do.  storage_activity() counts without reading tables.  explain_key() says why a row does not decrypt.
\set ON_ERROR_STOP 1
SET client_min_messages = warning;
SELECT no_plan();

CREATE FUNCTION state(of text) RETURNS text LANGUAGE sql AS $$
SELECT concat_ws(': ', h.status, h.finding) FROM key_vault.health() h WHERE h.name = of
$$;
-- What a session counted can be seen once the statement that flushes its counts has ended.
CREATE VIEW counted AS SELECT a::text AS activity FROM key_vault.storage_activity() a;
GRANT SELECT ON counted TO PUBLIC;

SELECT set_eq($$SELECT name FROM key_vault.health()$$,
    ARRAY['root keys', 'sealed KEKs', 'root key age', 'KEK age', 'compromised KEKs', 'destructions due', 'memory of keys', 'key caches', 'version',
          'storages', 'rejected messages', 'partitions'], 'what is watched');
SELECT is_empty($$SELECT * FROM key_vault.health() WHERE status = 'critical'$$, 'nothing is critical in a new database');
SELECT is_empty($$SELECT * FROM key_vault.health() WHERE status = 'ok' AND advice IS NOT NULL OR status <> 'ok' AND advice IS NULL
                  OR status NOT IN ('ok', 'warning', 'critical') OR finding IS NULL$$, 'advice where something is wrong, and nowhere else');

-- KEKs
SELECT key_vault.kek_create('a'), key_vault.kek_create('b') \g /dev/null
SELECT is(state('root keys'), 'ok: 1 of 1 available', 'the root key is there');
SELECT is(state('sealed KEKs'), 'ok: all KEKs are sealed under the first root key', 'it seals');
SELECT is(state('root key age'), 'ok: the first root key has been in use since ' || to_char(current_date, 'YYYY-MM-DD'), 'its age');
SELECT is(state('KEK age'), 'ok: no active KEK is older than max_kek_age', 'KEKs are young');
SELECT is((SELECT status || ': ' || finding FROM key_vault.health(max_kek_age => '-1 day') WHERE name = 'KEK age'),
    format('warning: older than max_kek_age: "a" (%s), "b" (%1$s)', to_char(current_date, 'YYYY-MM-DD')), 'KEKs that are too old');
SELECT is((SELECT status FROM key_vault.health(max_root_key_age => '-1 day') WHERE name = 'root key age'), 'warning', 'a root key that is too old');
SELECT throws_ok('SELECT * FROM key_vault.health(NULL)', '22004', 'arguments of health must not be NULL', 'no NULL');
SELECT key_vault.kek_rotate('a'), key_vault.kek_compromise('a', 1) \g /dev/null
SELECT is(state('compromised KEKs'), 'critical: not destroyed yet: "a" version 1', 'a compromised version that is still there');
SELECT key_vault.kek_destroy('a', 1, force => true) \g /dev/null
SELECT is(state('compromised KEKs'), 'ok: there are none', 'destroyed, it is none');
SELECT key_vault.kek_rotate('b'), key_vault.kek_schedule_destroy('b', 1, '0') \g /dev/null
SELECT is(state('destructions due'), 'ok: no KEK has been due for more than a day', 'due a moment ago');
UPDATE key_vault.kek_destruction SET destroy_at = clock_timestamp() - interval '25 hours';
SELECT is(state('destructions due'), 'warning: due for more than a day: "b" version 1', 'due since yesterday');

SELECT is(state('memory of keys'), 'ok: it is locked', 'memory') WHERE key_vault_internal.memory_is_locked();
SELECT is(state('key caches'), 'ok: the caches of other sessions cannot be seen, since the library is not preloaded', 'caches of this server are not watched');
SELECT is(state('version'), 'ok: 1.1', 'the version');

-- Storages
SELECT is(state('storages'), 'ok: 0, and nothing to do', 'no storage');
SELECT is_empty('SELECT * FROM key_vault.storage_activity()', 'no activity');
CREATE ROLE kv_health_owner;
CREATE ROLE kv_health_monitor IN ROLE pg_read_all_stats;
CREATE SCHEMA "Lora wan" AUTHORIZATION kv_health_owner;
SELECT key_vault.kek_create('rest'), key_vault.kek_grant('rest', 'kv_health_owner', 'wrap') \g /dev/null
SET ROLE kv_health_owner;
CALL key_vault.create_storage('Lora wan', 'rest');
SELECT "Lora wan".ingest(format('{"end_device_ids": {"device_id": "d", "application_ids": {"application_id": "a"}, "dev_eui": "0004A30B001C0530", "dev_addr": "260B1234"},
    "uplink_message": {"session_key_id": "AYfC0bag8+RHWGmqu8zd7g==", "f_port": 2, "f_cnt": %s, "frm_payload": "LhFe2aRcmQ==", "received_at": %s}}',
    n, to_json(to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')))::jsonb) FROM generate_series(1, 3) n \g /dev/null
RESET ROLE;
SELECT is(state('storages'), 'ok: 1, and nothing to do', 'a storage');
SELECT pg_stat_force_next_flush() \g /dev/null
SELECT is((SELECT activity FROM counted), '("Lora wan",3,0,0,0,0)', 'three uplinks');
SELECT is(state('rejected messages'), 'ok: there are none', 'none was rejected');
SET ROLE kv_health_owner;
SELECT "Lora wan".ingest('{"uplink_message": {}}') \g /dev/null
RESET ROLE;
SELECT pg_stat_force_next_flush() \g /dev/null
SELECT is((SELECT activity FROM counted), '("Lora wan",3,0,1,1,0)', 'and a message that was rejected');
SELECT is(state('rejected messages'), 'warning: about 1 in "Lora wan"', 'which is told');
GRANT CREATE ON SCHEMA "Lora wan" TO PUBLIC;
SELECT is((SELECT concat_ws(': ', status, finding, advice) FROM key_vault.health() WHERE name = 'storages'),
    'warning: there is something to do: REVOKE CREATE ON SCHEMA "Lora wan" FROM PUBLIC;', 'what a storage lacks');
REVOKE CREATE ON SCHEMA "Lora wan" FROM PUBLIC;

-- The activity of a storage can be read without a privilege on it.  health() is for readers of statistics only.
SET ROLE kv_health_monitor;
SELECT pg_stat_force_next_flush() \g /dev/null
SELECT is((SELECT activity FROM counted), '("Lora wan",3,0,1,1,0)', 'activity, for a role that may not enter the schema');
SELECT isnt_empty('SELECT * FROM key_vault.health()', 'health, for a reader of statistics');
RESET ROLE;
REVOKE pg_read_all_stats FROM kv_health_monitor;
SET ROLE kv_health_monitor;
SELECT throws_ok('SELECT * FROM key_vault.health()', '42501', 'permission denied to look at the root keys', 'and for no other');
RESET ROLE;

-- Why a row does not decrypt
CREATE TABLE key AS SELECT key_vault.generate_key('a') AS free, key_vault.bind(key_vault.generate_key('a'), '\x260b1234') AS bound;
SELECT is(key_vault.explain_key(bound, '\x260b1234'), 'Role "' || current_user || '" can decrypt with this key for DevAddr 260b1234: it is wrapped with KEK label "a" version 2 and bound to this DevAddr. '
    'If a payload is not what the device sent, then f_cnt is not the full 32-bit counter, the direction is the other one, or the key is of another session.', 'it decrypts') FROM key;
SELECT matches(key_vault.explain_key(free, '\x260b1234'), 'version 2, and bound to none\.', 'as does one that is bound to none') FROM key;
SELECT is(key_vault.explain_key(bound, '\x260b5678'), 'Wrapped key is bound to another DevAddr. It is wrapped with KEK label "a" version 2. Check that the key and the frame are of the same session.', 'of another device') FROM key;
SELECT is(key_vault.explain_key(NULL, '\x260b1234'), 'There is no key: the wrapped key is NULL, so that the payload stays encrypted.', 'no key');
SELECT is(key_vault.explain_key(bound, NULL), 'There is no DevAddr: it is NULL, and a payload is decrypted for its DevAddr.', 'no DevAddr') FROM key;
SELECT matches(key_vault.explain_key(bound, '\x260b12'), '^Dev_addr must have 4 bytes, not 3\.', 'a DevAddr of three bytes') FROM key;
SELECT matches(key_vault.explain_key(regexp_replace(free::text, '.$', CASE right(free::text, 1) WHEN '0' THEN '1' ELSE '0' END)::key_vault.wrapped_key, '\x260b1234'),
    '^Wrapped key does not open with KEK label "a" version 2\.', 'a damaged key') FROM key;
SELECT matches(key_vault.explain_key('kv1:aes-kw:00000000-0000-4000-8000-000000000000:000000000000000000000000000000000000000000000000', '\x260b1234'),
    '00000000-0000-4000-8000-000000000000', 'an unknown KEK, by its id');
GRANT SELECT ON key TO kv_health_monitor;
SET ROLE kv_health_monitor;
SELECT matches(key_vault.explain_key(bound, '\x260b1234'), '^Permission denied for KEK label "a"\. Role "kv_health_monitor" lacks privilege "decrypt" on the label\.', 'a privilege that is missing') FROM key;
RESET ROLE;
SELECT key_vault.kek_suspend('a', 2) \g /dev/null
SELECT matches(key_vault.explain_key(bound, '\x260b1234'), '^KEK label "a" version 2 is suspended\.', 'a suspended KEK') FROM key;
SELECT key_vault.kek_destroy('a', 2, force => true) \g /dev/null
SELECT matches(key_vault.explain_key(bound, '\x260b1234'), '^KEK label "a" version 2 is destroyed\.', 'a destroyed KEK') FROM key;

SELECT * FROM finish();
DROP OWNED BY kv_health_owner, kv_health_monitor CASCADE;
DROP ROLE kv_health_owner, kv_health_monitor;
