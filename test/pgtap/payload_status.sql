--
-- The payload and the status of an uplink come from one look at its key.  So they fit each other, whatever another
-- session does while the row is read; and a row costs one look, however it is selected.
--
-- Another session changes KEKs between two columns, so these tests are not in a transaction.
--
\set ECHO none
\set QUIET 1
SET client_min_messages = error;
-- A statement must see what another session has committed.
SET default_transaction_isolation = 'read committed';
SELECT no_plan();
CREATE EXTENSION dblink;
SELECT format('host=%s port=%s dbname=%s', split_part(current_setting('unix_socket_directories'), ',', 1),
              current_setting('port'), current_database()) AS connection \gset
SELECT dblink_connect('administrator', :'connection') \g /dev/null

-- 20 uplinks of two devices.  The function that encrypts them is itself tested against another implementation
-- (test/oracle).
SELECT key_vault.kek_create('net'), key_vault.kek_create('lost'), key_vault.kek_create('other') \g /dev/null
CALL key_vault.create_storage('lorawan', kek_label => 'net');
INSERT INTO lorawan.device SELECT int8send(n), 'app', 'device ' || n FROM generate_series(1, 2) n;
INSERT INTO lorawan.session (dev_eui, session_key_id, application_id, dev_addr, app_s_key, started_at)
SELECT int8send(n), '\x01', 'app', '\x26011bda', key_vault.generate_key('net'), now() FROM generate_series(1, 2) n;
INSERT INTO lorawan.uplink (received_at, dev_eui, session_key_id, f_cnt, f_port, encrypted, dev_addr, frm_payload, application_id)
SELECT '2023-02-10 13:00Z'::timestamptz + f_cnt * interval '1 minute', dev_eui, session_key_id, f_cnt, 1, true, dev_addr,
       key_vault.lorawan_encrypt_uplink(app_s_key, dev_addr, f_cnt, int4send(f_cnt)), 'app'
  FROM lorawan.session, generate_series(1, 10) f_cnt;
ANALYZE;

-- Each reason why a payload may be missing, given by the function itself
CREATE TABLE look AS
SELECT 'decrypted' AS status, app_s_key AS key, '\x26011bda'::bytea AS dev_addr FROM lorawan.session WHERE dev_eui = int8send(1)
UNION ALL SELECT 'other DevAddr', key_vault.bind(key_vault.generate_key('net'), '\x26011bdb'), '\x26011bda'
UNION ALL SELECT 'not a session key', key_vault.generate_key('net', 32), '\x26011bda'
UNION ALL SELECT 'KEK destroyed', key_vault.generate_key('lost'), '\x26011bda'
UNION ALL SELECT 'KEK suspended', key_vault.generate_key('other'), '\x26011bda';
INSERT INTO look SELECT 'integrity failure', overlay(key::text PLACING CASE right(key::text, 1) WHEN '0' THEN '1' ELSE '0' END FROM length(key::text))::key_vault.wrapped_key, dev_addr FROM look WHERE status = 'decrypted';
INSERT INTO look SELECT 'KEK unknown', overlay(key::text PLACING '00000000' FROM 12)::key_vault.wrapped_key, dev_addr FROM look WHERE status = 'decrypted';
SELECT key_vault.kek_destroy('lost', 1, force => true), key_vault.kek_suspend('other', 1) \g /dev/null
SELECT results_eq($$SELECT status, (r.d).status, (r.d).payload FROM look, LATERAL (SELECT key_vault.lorawan_decrypt_uplink_status(key, dev_addr, 1, key_vault.lorawan_encrypt_uplink(s.app_s_key, '\x26011bda', 1, 'hello')) AS d
                       FROM lorawan.session s WHERE s.dev_eui = int8send(1) OFFSET 0) r ORDER BY 1$$,
    $$SELECT status, status, CASE status WHEN 'decrypted' THEN 'hello'::bytea END FROM look ORDER BY status$$, 'each reason is told, and decrypted comes with the payload');
SELECT results_eq($$SELECT (r.d).status, (r.d).payload FROM look, LATERAL (SELECT key_vault.lorawan_decrypt_downlink_status(key, dev_addr, 1, key_vault.lorawan_encrypt_downlink(key, dev_addr, 1, 'hello')) AS d OFFSET 0) r WHERE status = 'decrypted'$$,
    $$VALUES ('decrypted', 'hello'::bytea)$$, 'so with downlinks');
SELECT results_eq('SELECT status, (key_vault.lorawan_decrypt_uplink_status(key, dev_addr, 1, NULL)) IS NULL FROM look ORDER BY status', 'SELECT status, true FROM look ORDER BY status', 'a NULL gives NULL');
CREATE ROLE kv_status_nobody;
GRANT SELECT ON look TO kv_status_nobody;
SET ROLE kv_status_nobody;
SELECT throws_ok($$SELECT key_vault.lorawan_decrypt_uplink_status(key, dev_addr, 1, '\x00') FROM look WHERE status = 'decrypted'$$, '42501', 'permission denied for KEK label "net"', 'a missing privilege is an error, not a status');
RESET ROLE;
DROP OWNED BY kv_status_nobody;
DROP ROLE kv_status_nobody;

-- Between two columns of a row, another session takes the KEK out of use, or into use again.
CREATE FUNCTION other_session(call text) RETURNS void LANGUAGE sql VOLATILE AS $$
SELECT FROM dblink('administrator', 'SELECT 1 FROM ' || call) r (n integer)
$$;
CREATE FUNCTION suspended_before(wanted boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF wanted <> EXISTS (SELECT FROM key_vault.keks WHERE label = 'net' AND state = 'suspended') THEN
        PERFORM other_session(format('key_vault.kek_%s(''net'', 1)', CASE WHEN wanted THEN 'suspend' ELSE 'resume' END));
    END IF;
END
$$;
SELECT suspended_before(false) \g /dev/null
CREATE FUNCTION see(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    r record;
    kinds text;
BEGIN
    FOR r IN EXECUTE query LOOP
        IF (r.payload IS NOT NULL) <> (r.status = 'decrypted') THEN
            RETURN format('payload %s with status %s', coalesce(r.payload::text, 'NULL'), r.status);
        END IF;
        kinds := concat_ws(', ', kinds, r.status);
    END LOOP;
    RETURN kinds;
END
$$;
SELECT is(see($$SELECT payload, suspended_before(true), status FROM lorawan.uplink_decrypted WHERE dev_eui = int8send(1) AND f_cnt = 10$$), 'decrypted', 'suspended after the payload, before the status');
SELECT suspended_before(false) \g /dev/null
SELECT is(see($$SELECT payload, suspended_before(true), status FROM lorawan.device_latest WHERE dev_eui = int8send(1)$$), 'decrypted', 'so in device_latest');
SELECT suspended_before(false) \g /dev/null
SELECT is(see($$SELECT status, suspended_before(true), payload FROM lorawan.uplink_decrypted WHERE dev_eui = int8send(1) AND f_cnt = 10$$), 'decrypted', 'suspended after the status, before the payload');
SELECT is(see($$SELECT payload, suspended_before(false), status FROM lorawan.uplink_decrypted WHERE dev_eui = int8send(1) AND f_cnt = 10$$), 'KEK suspended', 'resumed in between');
SELECT suspended_before(false) \g /dev/null
SELECT is(see($$SELECT payload, suspended_before(f_cnt > 1), status FROM lorawan.uplink_decrypted WHERE dev_eui = int8send(1) AND f_cnt <= 4 AND status IS NOT NULL AND payload IS DISTINCT FROM '\x00'$$),
    'decrypted, decrypted, KEK suspended, KEK suspended', 'each row is a look of its own, also when it is chosen by them');

-- Two uplinks in one row, and their columns in any order
SELECT suspended_before(false) \g /dev/null
SELECT is(see($$SELECT a.payload, b.payload AS b_payload, suspended_before(true), a.status, b.status AS b_status FROM lorawan.uplink_decrypted a JOIN lorawan.uplink_decrypted b USING (dev_eui) WHERE dev_eui = int8send(1) AND a.f_cnt = 1 AND b.f_cnt = 2$$), 'decrypted', 'the first of two uplinks in a row');
SELECT suspended_before(false) \g /dev/null
SELECT is(see($$SELECT a.payload, b.payload AS b_payload, suspended_before(true), b.status, a.status AS b_status FROM lorawan.uplink_decrypted a JOIN lorawan.uplink_decrypted b USING (dev_eui) WHERE dev_eui = int8send(1) AND a.f_cnt = 1 AND b.f_cnt = 2$$), 'decrypted', 'the second');
SELECT suspended_before(false) \g /dev/null
SELECT results_eq($$SELECT (a.d).payload, (b.d).payload, suspended_before(true) IS NULL, (a.d).status, (b.d).status
      FROM (SELECT app_s_key AS k, key_vault.lorawan_encrypt_uplink(app_s_key, '\x26011bda', 1, 'one') AS one, key_vault.lorawan_encrypt_uplink(app_s_key, '\x26011bda', 1, 'two') AS two
              FROM lorawan.session WHERE dev_eui = int8send(1) OFFSET 0) s,
    LATERAL (SELECT key_vault.lorawan_decrypt_uplink_status(k, '\x26011bda', 1, one) AS d) a,
    LATERAL (SELECT key_vault.lorawan_decrypt_uplink_status(k, '\x26011bda', 1, two) AS d) b$$,
    $$VALUES ('one'::bytea, 'two'::bytea, false, 'decrypted', 'decrypted')$$, 'two payloads of a row are told apart');
SELECT suspended_before(false) \g /dev/null
SELECT results_eq($$SELECT (a.d).payload = 'one', (b.d).payload = 'one', (a.d).status, (b.d).status
      FROM (SELECT one.app_s_key AS k1, two.app_s_key AS k2, key_vault.lorawan_encrypt_uplink(one.app_s_key, '\x26011bda', 1, 'one') AS payload
              FROM lorawan.session one, lorawan.session two WHERE one.dev_eui = int8send(1) AND two.dev_eui = int8send(2) OFFSET 0) s,
    LATERAL (SELECT key_vault_internal.storage_read_uplink(true, 1::smallint, true, k1, NULL, NULL, '\x26011bda', 1, payload) AS d) a,
    LATERAL (SELECT key_vault_internal.storage_read_uplink(true, 1::smallint, true, k2, NULL, NULL, '\x26011bda', 1, payload) AS d) b$$,
    $$VALUES (true, false, 'decrypted', 'decrypted')$$, 'so are two keys');
-- The columns are computed below sorts, limits and joins.
SELECT is(see($$SELECT payload, suspended_before(true), status FROM lorawan.uplink_decrypted WHERE dev_eui = int8send(1) ORDER BY status, f_cnt LIMIT 1$$), 'decrypted', 'sorted by the status, a limit');
SELECT suspended_before(false) \g /dev/null
SELECT is(see($$SELECT u.payload, suspended_before(true), u.status FROM lorawan.device d LEFT JOIN lorawan.uplink_decrypted u USING (dev_eui) WHERE dev_eui = int8send(1) AND u.f_cnt = 1$$), 'decrypted', 'an outer join');
SELECT suspended_before(false) \g /dev/null
-- An envelope that is still to be imported
INSERT INTO lorawan.session (dev_eui, session_key_id, application_id, dev_addr, kek_label, encrypted_key, started_at)
SELECT int8send(3), '\x03', 'app', '\x26011bda', e.kek_label, e.encrypted_key, now() FROM key_vault.export_envelope((SELECT app_s_key FROM lorawan.session WHERE dev_eui = int8send(1)), 'net') e;
INSERT INTO lorawan.uplink (received_at, dev_eui, session_key_id, f_cnt, f_port, encrypted, dev_addr, frm_payload, application_id)
SELECT received_at, int8send(3), '\x03', f_cnt, f_port, true, dev_addr, frm_payload, application_id FROM lorawan.uplink WHERE dev_eui = int8send(1) AND f_cnt = 1;
SELECT is(see($$SELECT payload, suspended_before(true), status FROM lorawan.uplink_decrypted WHERE dev_eui = int8send(3)$$), 'decrypted', 'an envelope: suspended after the payload');
SELECT is(see($$SELECT payload, suspended_before(false), status FROM lorawan.uplink_decrypted WHERE dev_eui = int8send(3)$$), 'envelope not opened', 'an envelope: resumed after the payload');
DELETE FROM lorawan.uplink WHERE dev_eui = int8send(3);
DELETE FROM lorawan.session WHERE dev_eui = int8send(3);
-- A look is used for its own row and statement only, however similar the next row is.
SELECT suspended_before(false) \g /dev/null
SELECT is(see($$SELECT (d).payload, (d).status, suspended_before(true) FROM (SELECT app_s_key AS k FROM lorawan.session WHERE dev_eui = int8send(1)) s, generate_series(1, 3), LATERAL (SELECT key_vault.lorawan_decrypt_uplink_status(k, '\x26011bda', 1, '\x00') AS d) r$$),
    'decrypted, KEK suspended, KEK suspended', 'three rows that are the same');
SELECT suspended_before(false) \g /dev/null
CREATE FUNCTION twice(k key_vault.wrapped_key) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    a text := (key_vault.lorawan_decrypt_uplink_status(k, '\x26011bda', 1, '\x00')).status;
    b text;
BEGIN
    PERFORM suspended_before(true);
    b := (key_vault.lorawan_decrypt_uplink_status(k, '\x26011bda', 1, '\x00')).status;
    RETURN a || ', ' || b;
END
$$;
SELECT is(twice(app_s_key), 'decrypted, KEK suspended', 'two statements of a function') FROM lorawan.session WHERE dev_eui = int8send(1);
SELECT suspended_before(false) \g /dev/null

-- Each of the 20 rows costs one look, whichever columns are selected.
SET key_vault.cache = on;
CREATE FUNCTION looks(query text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    looks_before bigint := (SELECT hits + misses FROM key_vault.cache_stats());
BEGIN
    EXECUTE query;
    RETURN (SELECT hits + misses FROM key_vault.cache_stats()) - looks_before;
END
$$;
SELECT is(looks(query), 20::bigint, query) FROM unnest(ARRAY[
    'SELECT payload, status FROM lorawan.uplink_decrypted',
    'SELECT * FROM lorawan.uplink_decrypted ORDER BY status, payload',
    'SELECT payload FROM lorawan.uplink_decrypted',
    'SELECT status FROM lorawan.uplink_decrypted',
    'SELECT count(payload), max(length(payload)), count(status), min(status) FROM lorawan.uplink_decrypted',
    $$SELECT payload FROM lorawan.uplink_decrypted WHERE status = 'decrypted' AND payload <> '' AND length(payload) = 4$$,
    'SELECT status, count(payload) FROM lorawan.uplink_decrypted GROUP BY status']) query;
SELECT is(looks('SELECT payload, status FROM lorawan.device_latest'), 2::bigint, 'device_latest');
SELECT is(looks('SELECT received_at FROM lorawan.uplink_decrypted'), 0::bigint, 'none where neither is selected');
SELECT is(looks('SELECT payload, status FROM lorawan.uplink_decrypted WHERE dev_eui = int8send(2) AND f_cnt = 3'), 1::bigint, 'none for rows that are not selected');
-- A condition that no row meets, so that nothing empties the memory of the row
SELECT is(looks($$SELECT payload FROM lorawan.uplink_decrypted WHERE status || payload::text = 'x'$$), 20::bigint, 'rows that a condition leaves out');

SET enable_nestloop = off;
SET enable_hashjoin = off;
CREATE TABLE three AS SELECT n, 'app' AS application_id FROM generate_series(1, 3) n;
ANALYZE three;
SELECT is(looks($$SELECT FROM lorawan.uplink u JOIN three USING (application_id)
                   WHERE (key_vault.lorawan_decrypt_uplink_status((SELECT app_s_key FROM lorawan.session WHERE dev_eui = int8send(1)), '\x26011bda', u.f_cnt, '\x00')).status || n = 'x'$$),
    60::bigint, 'also when they are the same, and nothing comes between them');

SELECT * FROM finish();
SELECT dblink_disconnect('administrator') \g /dev/null
