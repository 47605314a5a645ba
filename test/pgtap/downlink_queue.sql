--
-- A queue of downlinks, sealed at rest.  One statement opens and encrypts 500 messages with one unwrapping of each
-- key; after the network has dropped its queue, the statement does it again with new counters.  The statement is the
-- one of docs/downlink-queue.md.
--
-- This file sets the cache settings that it tests with.  The expected values come from pgcrypto: a message of up to
-- 16 bytes is XORed with AES(K, A_1), A_1 = 01 | 00 00 00 00 | 01 | DevAddr LE4 | FCnt LE4 | 00 | 01.
--
\set ECHO none
\set QUIET 1
SET client_min_messages = error;
BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS pgcrypto;
CREATE EXTENSION IF NOT EXISTS key_vault;
SELECT no_plan();
LOAD 'key_vault';
SELECT key_vault.kek_create('queue') \g /dev/null

CREATE TEMP TABLE application (application_id integer PRIMARY KEY, seal_key key_vault.wrapped_key NOT NULL);
CREATE TEMP TABLE session (session_id integer PRIMARY KEY, application_id integer, dev_addr bytea, app_s_key key_vault.wrapped_key, last_f_cnt_down bigint, plain bytea);
CREATE TEMP TABLE downlink (downlink_id integer PRIMARY KEY, session_id integer, f_port integer, sealed bytea NOT NULL);
INSERT INTO application SELECT a, key_vault.generate_key('queue', 32) FROM generate_series(1, 2) a;
INSERT INTO session
SELECT n, 1 + n % 2, dev_addr, key_vault.bind(key_vault.wrap(plain, 'queue'), dev_addr), 65500, plain
  FROM (SELECT n, decode('260b00' || lpad(to_hex(n), 2, '0'), 'hex') AS dev_addr, decode(md5('session ' || n), 'hex') AS plain FROM generate_series(1, 5) n) s;
-- 100 messages for each session, "message 1" and so on, in a queue that holds none of them in the clear.
INSERT INTO downlink
SELECT n, 1 + n % 5, 1, key_vault.seal(a.seal_key, convert_to('message ' || n, 'UTF8'))
  FROM generate_series(1, 500) n JOIN session s ON s.session_id = 1 + n % 5 JOIN application a USING (application_id);
SELECT is(count(*), 500::bigint, '500 messages') FROM downlink;
SELECT is(count(*), 0::bigint, 'none in the clear') FROM downlink WHERE position('message' IN encode(sealed, 'escape')) > 0;

CREATE TEMP VIEW handed_over AS
SELECT d.downlink_id, d.session_id, d.f_cnt, d.f_port,
       key_vault.lorawan_encrypt_downlink(s.app_s_key, s.dev_addr, d.f_cnt, key_vault.open(a.seal_key, d.sealed)) AS frm_payload
  FROM (SELECT d.*, s.last_f_cnt_down + row_number() OVER (PARTITION BY session_id ORDER BY downlink_id) AS f_cnt
          FROM downlink d JOIN session s USING (session_id)) d
  JOIN session s USING (session_id)
  JOIN application a USING (application_id);

CREATE FUNCTION pg_temp.le(value bytea) RETURNS text LANGUAGE sql AS
$$SELECT string_agg(encode(substr(value, i, 1), 'hex'), '' ORDER BY i DESC) FROM generate_series(1, length(value)) i$$;
CREATE FUNCTION pg_temp.wrong() RETURNS bigint LANGUAGE sql AS $$
SELECT count(*) FROM (
    SELECT h.*, s.plain, s.dev_addr, encrypt(decode('010000000001' || pg_temp.le(s.dev_addr) || pg_temp.le(substr(int8send(h.f_cnt), 5)) || '0001', 'hex'), s.plain, 'aes-ecb/pad:none') AS stream
      FROM handed_over h JOIN session s USING (session_id)) h
 WHERE EXISTS (SELECT FROM generate_series(0, length(frm_payload) - 1) i
                WHERE get_byte(frm_payload, i) # get_byte(stream, i) <> get_byte(convert_to('message ' || downlink_id, 'UTF8'), i))
    OR length(frm_payload) <> length('message ' || downlink_id)
$$;

-- Runs the statement once, and returns how often keys were unwrapped for it.
CREATE FUNCTION pg_temp.unwraps() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    before bigint := (SELECT unwraps FROM key_vault.cache_stats());
    n bigint;
BEGIN
    SELECT count(frm_payload) INTO n FROM handed_over;
    IF n <> 500 THEN
        RAISE EXCEPTION '% messages', n;
    END IF;
    RETURN (SELECT unwraps FROM key_vault.cache_stats()) - before;
END
$$;

SET key_vault.cache = on;
SET key_vault.cache_size = '16MB';
SET key_vault.cache_max_uses = 0;
SELECT key_vault.cache_flush() \g /dev/null
SELECT is(pg_temp.unwraps(), 7::bigint, 'cache on: each of 7 keys is unwrapped once, for 500 messages');
SELECT is(pg_temp.wrong(), 0::bigint, 'each message is right');
SELECT is(min(f_cnt), 65501::bigint, 'counters go on from the last one') FROM handed_over;
SELECT is(max(f_cnt), 65600::bigint, 'past 65535') FROM handed_over;
CREATE TEMP TABLE before AS SELECT * FROM handed_over;

-- The network has dropped the queue, and its counter has moved on.
UPDATE session SET last_f_cnt_down = 65700;
SELECT is(pg_temp.unwraps(), 0::bigint, 'after an invalidation: no key is unwrapped again');
SELECT is(pg_temp.wrong(), 0::bigint, 'each message is right again');
SELECT is(count(*), 500::bigint, 'with another ciphertext') FROM before b JOIN handed_over h USING (downlink_id) WHERE b.frm_payload <> h.frm_payload AND b.f_cnt <> h.f_cnt;

SET key_vault.cache = off;
SELECT is(pg_temp.unwraps(), 1000::bigint, 'cache off: both keys of each message are unwrapped');
SELECT is(pg_temp.wrong(), 0::bigint, 'and each message is right');
SET key_vault.cache = verify;
SELECT is(pg_temp.wrong(), 0::bigint, 'cache verify: each message is right');
SET key_vault.cache = on;
SET key_vault.cache_size = 0;
SELECT is(pg_temp.wrong(), 0::bigint, 'cache of one entry: each message is right');
SET key_vault.cache_size = '16MB';

-- What a user must not do: encrypt two messages with the same key and counter.
SELECT is(
    (SELECT string_agg(chr(get_byte(x, i) # get_byte(y, i)), '' ORDER BY i) FROM generate_series(0, 3) i),
    (SELECT string_agg(chr(get_byte('open', i) # get_byte('shut', i)), '' ORDER BY i) FROM generate_series(0, 3) i),
    'with a counter used twice the two ciphertexts give the XOR of the plaintexts without any key')
  FROM (SELECT key_vault.lorawan_encrypt_downlink(app_s_key, dev_addr, 7, 'open') AS x, key_vault.lorawan_encrypt_downlink(app_s_key, dev_addr, 7, 'shut') AS y FROM session WHERE session_id = 1) v;

-- A message that was changed stops the hand-over.
UPDATE downlink SET sealed = set_byte(sealed, 20, get_byte(sealed, 20) # 1) WHERE downlink_id = 250;
SELECT throws_ok('SELECT pg_temp.unwraps()', 'KV501', 'sealed value does not open with the key', 'a message that was changed is an error');
SELECT * FROM finish();
ROLLBACK;
