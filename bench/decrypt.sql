-- The tables of the decryption benchmark: :rows uplinks with payloads of 20 bytes, in the form
-- in which a storage integration keeps them, spread at random over 10, 10,000 and 1,000,000 session
-- keys.  The floor, which the results are compared with, is the same query with a function that
-- only copies its payload.
SET client_min_messages = warning;
CREATE EXTENSION key_vault;
CREATE FUNCTION floor_copy(key_vault.wrapped_key, bytea, bigint, bytea) RETURNS bytea
    AS :'floor', 'floor_copy' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;
SELECT key_vault.kek_create('bench') \g /dev/null
SELECT setseed(0.5) \g /dev/null
CREATE UNLOGGED TABLE session_key AS
    SELECT i, key_vault.generate_key('bench') AS key FROM generate_series(0, 999999) i;
ALTER TABLE session_key ADD PRIMARY KEY (i);
SELECT format('CREATE UNLOGGED TABLE frames_%1$s AS
    SELECT now() AS received_at, int8send(f.i) AS dev_eui, int4send(f.i) AS dev_addr,
           f.n::bigint AS f_cnt, 1::smallint AS f_port, s.key,
           substr(sha256(int4send(f.n)), 1, 20) AS frm_payload
      FROM (SELECT n, floor(random() * %1$s)::int AS i FROM generate_series(1, %2$s) n) f
      JOIN session_key s USING (i) ORDER BY f.n', keys, :'rows')
  FROM unnest(ARRAY[10, 10000, 1000000]) keys
\gexec
VACUUM ANALYZE;
