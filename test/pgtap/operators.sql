--
-- Comparison of wrapped keys in a session that has set no search_path: every form in which SQL names an operator, or
-- uses one without naming it; and the operators by the names that version 1.0 gave them.
--
\set ECHO none
\set QUIET 1
SET client_min_messages = error;
SET search_path = "$user", public;
BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS key_vault;
SELECT plan(51);
SELECT is(current_setting('search_path'), '"$user", public', 'the search_path is PostgreSQL''s own');

-- Keys 1 to 1000.  No key is opened, so any bytes will do.
CREATE FUNCTION wrapped(n integer) RETURNS key_vault.wrapped_key LANGUAGE sql IMMUTABLE AS
$$SELECT ('kv1:aes-kw:00112233-4455-6677-8899-aabbccddeeff:' || lpad(to_hex(n), 48, '0'))::key_vault.wrapped_key$$;
CREATE TABLE device (n integer PRIMARY KEY, key key_vault.wrapped_key NOT NULL);
INSERT INTO device SELECT n, wrapped(n) FROM generate_series(1, 1000) n;
CREATE TABLE seen (key key_vault.wrapped_key, n integer);
INSERT INTO seen SELECT wrapped(n % 10 + 1), n FROM generate_series(1, 100) n;
SELECT wrapped(7) AS key_7 \gset
SELECT wrapped(8) AS key_8 \gset

-- What clients write
SELECT is((SELECT array_agg(n ORDER BY n) FROM device WHERE key = :'key_7'), '{7}', '=');
SELECT is((SELECT array_agg(n ORDER BY n) FROM device WHERE key = :'key_7'::key_vault.wrapped_key), '{7}', '= with a cast');
SELECT is((SELECT count(*) FROM device WHERE key <> :'key_7'), 999::bigint, '<>');
SELECT is((SELECT count(*) FROM device WHERE key != :'key_7'), 999::bigint, '!=');
SELECT is((SELECT count(*) FROM device WHERE key < :'key_7'), 6::bigint, '<');
SELECT is((SELECT count(*) FROM device WHERE key <= :'key_7'), 7::bigint, '<=');
SELECT is((SELECT count(*) FROM device WHERE key > :'key_7'), 993::bigint, '>');
SELECT is((SELECT count(*) FROM device WHERE key >= :'key_7'), 994::bigint, '>=');
SELECT is((SELECT array_agg(n ORDER BY n) FROM device WHERE key IN (:'key_7', :'key_8')), '{7,8}', 'IN');
SELECT is((SELECT count(*) FROM device WHERE key NOT IN (:'key_7', :'key_8')), 998::bigint, 'NOT IN');
SELECT is((SELECT count(*) FROM device WHERE key IN (SELECT s.key FROM seen s)), 10::bigint, 'IN of a query');
SELECT is((SELECT count(*) FROM device WHERE key NOT IN (SELECT s.key FROM seen s)), 990::bigint, 'NOT IN of a query');
SELECT is((SELECT array_agg(n ORDER BY n) FROM device WHERE key = ANY (ARRAY[:'key_7', :'key_8']::key_vault.wrapped_key[])), '{7,8}', '= ANY');
SELECT is((SELECT count(*) FROM device WHERE key = ANY (SELECT s.key FROM seen s)), 10::bigint, '= ANY of a query');
SELECT is((SELECT count(*) FROM device WHERE key <> ALL (ARRAY[:'key_7', :'key_8']::key_vault.wrapped_key[])), 998::bigint, '<> ALL');
SELECT is((SELECT count(*) FROM device WHERE key BETWEEN :'key_7' AND :'key_8'), 2::bigint, 'BETWEEN');
SELECT is((SELECT count(*) FROM device WHERE key IS DISTINCT FROM :'key_7'), 999::bigint, 'IS DISTINCT FROM');
SELECT is((SELECT count(*) FROM device WHERE key IS NOT DISTINCT FROM :'key_7'), 1::bigint, 'IS NOT DISTINCT FROM');
SELECT is((SELECT NULLIF(key, :'key_7') FROM device WHERE n = 7), NULL, 'NULLIF');
SELECT is((SELECT CASE key WHEN :'key_7' THEN 'seven' END FROM device WHERE n = 7), 'seven', 'CASE');
SELECT is((SELECT count(*) FROM device WHERE (n, key) = (7, :'key_7'::key_vault.wrapped_key)), 1::bigint, 'rows: =');
SELECT is((SELECT count(*) FROM device WHERE (key, n) < (:'key_7'::key_vault.wrapped_key, 8)), 7::bigint, 'rows: <');
SELECT is((SELECT count(*) FROM device d JOIN seen USING (key)), 100::bigint, 'USING');
SELECT is((SELECT count(*) FROM device NATURAL JOIN (SELECT DISTINCT key FROM seen) s), 10::bigint, 'NATURAL JOIN');
SELECT is((SELECT count(*) FROM device d WHERE EXISTS (SELECT FROM seen s WHERE s.key = d.key)), 10::bigint, 'EXISTS');
SELECT is((SELECT greatest(:'key_7'::key_vault.wrapped_key, :'key_8')::text), :'key_8', 'greatest');
SELECT is((SELECT array_position(array_agg(key ORDER BY n), :'key_7'::key_vault.wrapped_key) FROM device), 7, 'array_position');
SELECT is((SELECT ARRAY[key] @> ARRAY[:'key_7']::key_vault.wrapped_key[] FROM device WHERE n = 7), true, 'arrays');

MERGE INTO seen s USING device d ON s.key = d.key WHEN MATCHED THEN UPDATE SET n = -1 WHEN NOT MATCHED THEN INSERT VALUES (d.key, 0);
SELECT is((SELECT (count(*), count(*) FILTER (WHERE n = -1)) FROM seen), (1090::bigint, 100::bigint), 'MERGE');
CREATE TABLE checked (key key_vault.wrapped_key UNIQUE CHECK (key <> 'kv1:aes-kw:00112233-4455-6677-8899-aabbccddeeff:000000000000000000000000000000000000000000000007'),
    EXCLUDE USING btree (key WITH =));
SELECT throws_ok(format('INSERT INTO checked VALUES (%L)', :'key_7'), '23514', NULL, 'CHECK');
SELECT lives_ok(format('INSERT INTO checked VALUES (%L)', :'key_8'), 'CHECK lets others in');
SELECT throws_ok(format('INSERT INTO checked VALUES (%L)', :'key_8'), '23505', NULL, 'UNIQUE');
SELECT lives_ok(format('INSERT INTO checked VALUES (%L) ON CONFLICT (key) DO NOTHING', :'key_8'), 'ON CONFLICT');

-- Clauses that use an operator without naming it
SELECT is((SELECT count(DISTINCT key) FROM seen), 1000::bigint, 'DISTINCT');
SELECT is((SELECT count(*) FROM (SELECT key FROM seen GROUP BY key HAVING count(*) = 10) g), 10::bigint, 'GROUP BY');
SELECT is((SELECT array_agg(n) FROM (SELECT n FROM device ORDER BY key LIMIT 3) o), '{1,2,3}', 'ORDER BY');
SELECT is((SELECT count(*) FROM (SELECT key FROM device EXCEPT SELECT key FROM seen WHERE n = -1) e), 990::bigint, 'EXCEPT');

-- Plans
CREATE FUNCTION plan_of(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    line text;
    lines text := '';
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
        lines := lines || line || E'\n';
    END LOOP;
    RETURN lines;
END
$$;
CREATE INDEX device_key ON device (key);
ANALYZE device, seen;
SELECT matches(plan_of(format('SELECT n FROM device WHERE %s', condition)), 'Index Cond: ', 'an index serves: ' || condition)
  FROM (VALUES (format('key = %L', :'key_7')), (format('key IN (%L, %L)', :'key_7', :'key_8')), (format('key OPERATOR(key_vault.=) %L', :'key_7')),
               (format('key OPERATOR(key_vault.<) %L', :'key_7')), (format('%L::key_vault.wrapped_key OPERATOR(key_vault.=) key', :'key_7'))) c (condition);
SELECT matches(plan_of('SELECT count(*) FROM device d JOIN seen s ON s.key = d.key'), 'Hash Cond: \(s\.key = d\.key\)', 'a hash join');
SELECT matches(plan_of('SELECT count(*) FROM device d JOIN seen s ON s.key OPERATOR(key_vault.=) d.key'), 'Hash Cond: \(s\.key = d\.key\)', 'with the name of 1.0, too');
SET LOCAL enable_hashjoin = off;
SET LOCAL enable_nestloop = off;
SELECT matches(plan_of('SELECT count(*) FROM device d JOIN seen s ON s.key = d.key'), 'Merge Cond: \(s\.key = d\.key\)|Merge Cond: \(d\.key = s\.key\)', 'a merge join');
RESET enable_hashjoin;
RESET enable_nestloop;
SELECT matches(plan_of('SELECT key FROM seen GROUP BY key'), 'HashAggregate', 'grouping by hashes');

-- The operators of both schemas give the same results, also for NULL.
SELECT is(bool_and((a.key = b.key) IS NOT DISTINCT FROM (a.key OPERATOR(key_vault.=) b.key) AND (a.key <> b.key) IS NOT DISTINCT FROM (a.key OPERATOR(key_vault.<>) b.key)
              AND (a.key < b.key) IS NOT DISTINCT FROM (a.key OPERATOR(key_vault.<) b.key) AND (a.key <= b.key) IS NOT DISTINCT FROM (a.key OPERATOR(key_vault.<=) b.key)
              AND (a.key > b.key) IS NOT DISTINCT FROM (a.key OPERATOR(key_vault.>) b.key) AND (a.key >= b.key) IS NOT DISTINCT FROM (a.key OPERATOR(key_vault.>=) b.key)),
          true, 'the operators of key_vault are those of pg_catalog')
  FROM (SELECT wrapped(n) AS key FROM generate_series(1, 5) n UNION ALL SELECT NULL) a, (SELECT wrapped(n) AS key FROM generate_series(1, 5) n UNION ALL SELECT NULL) b;
-- Untyped literals are still taken for text: the operators in pg_catalog do not make them wrapped keys.
SELECT is(pg_typeof(greatest('a', 'b'))::text || ('a' < 'B' COLLATE "C")::text || ('a' = 'a')::text || (NULL = NULL IS NULL)::text, 'textfalsetruetrue', 'literals of no type');
-- The results are the same with key_vault in the search_path.
SET LOCAL search_path = key_vault, public;
SELECT is((SELECT count(*) FROM device WHERE key = :'key_7'), 1::bigint, 'with the schema in the search_path');
SET LOCAL search_path = key_vault, pg_catalog, public;
SELECT is((SELECT count(*) FROM device WHERE key = :'key_7'), 1::bigint, 'even before pg_catalog');

SELECT * FROM finish();
ROLLBACK;
