-- The tables frames_KEYS: :rows uplinks with payloads of 20 bytes, in the form in which a storage
-- integration keeps them, spread at random over that many session keys.  frames_in_order has the rows
-- of frames_1000000 in the order of their devices, so that the rows of a key are beside one another.
SELECT key_vault.kek_create('bench') \g /dev/null
SELECT setseed(0.5) \g /dev/null
CREATE UNLOGGED TABLE picked AS
    SELECT keys, n, floor(random() * keys)::int AS i
      FROM unnest(ARRAY[10, 10000, 100000, 1000000]) keys, generate_series(1, :rows) n;
CREATE UNLOGGED TABLE session_key AS
    SELECT i, key_vault.generate_key('bench') AS key FROM (SELECT DISTINCT i FROM picked OFFSET 0) p;
ANALYZE picked, session_key;
SELECT format('CREATE UNLOGGED TABLE frames_%s AS
    SELECT now() AS received_at, int8send(i) AS dev_eui, int4send(i) AS dev_addr,
           n::bigint AS f_cnt, 1::smallint AS f_port, key, substr(sha256(int4send(n)), 1, 20) AS frm_payload
      FROM picked JOIN session_key USING (i) WHERE keys = %s ORDER BY %s', name, keys, sorted)
  FROM (VALUES ('10', 10, 'n'), ('10000', 10000, 'n'), ('100000', 100000, 'n'), ('1000000', 1000000, 'n'),
               ('in_order', 1000000, 'i, n')) t (name, keys, sorted)
\gexec
DROP TABLE picked, session_key;
VACUUM ANALYZE;
