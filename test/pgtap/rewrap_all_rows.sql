--
-- rewrap_all(): rows that partitions, foreign keys, or errors of owners' code keep in place or seem to keep in place;
-- and types nested in types.
--
-- It commits, so these tests are not in a transaction.  tap/rewrap_all_rows tests its messages about such rows.
--
\set ECHO none
\set QUIET 1
SET client_min_messages = error;
SELECT no_plan();
CREATE ROLE regress_kv_rows;
GRANT CREATE ON SCHEMA public TO regress_kv_rows;
SELECT key_vault.kek_create('app') \g /dev/null

CREATE FUNCTION progress(wanted regclass) RETURNS text LANGUAGE sql AS
$$SELECT format('%s: %s rows, %s failed, %s left', state, rows, rows_failed, rows_left)
    FROM key_vault.rewrap_progress WHERE relation = wanted$$;
-- How many keys of which tables are still under an earlier version
CREATE FUNCTION behind(pattern text DEFAULT '') RETURNS text LANGUAGE sql AS
$$SELECT string_agg(relation || ' ' || keys, ', ' ORDER BY relation::text COLLATE "C")
    FROM key_vault.kek_usage('app')
   WHERE kek_version < (SELECT max(version) FROM key_vault.keks WHERE label = 'app') AND relation::text ~ pattern$$;

------------------------------------------------------------------------------
-- An error that an owner's code raises says nothing about the server
------------------------------------------------------------------------------

CREATE TABLE a_first (id integer, key key_vault.wrapped_key);
CREATE FUNCTION raise() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.id = 10 THEN
        RAISE EXCEPTION 'as if' USING ERRCODE = TG_ARGV[0];
    END IF;
    RETURN NEW;
END
$$;
ALTER TABLE a_first OWNER TO regress_kv_rows;
CREATE TABLE b_other AS SELECT n AS id, key_vault.generate_key('app') AS key FROM generate_series(1, 5) n;

-- The trigger raises an error at row 10 of the 20.  If the error could concern the whole server, the rest of the
-- table is left; if it could not, only that row is passed over.
CREATE TABLE raised (state text, well boolean);
CREATE TRIGGER raise BEFORE UPDATE ON a_first FOR EACH ROW EXECUTE FUNCTION raise('00000');
\set ON_ERROR_STOP 0
SELECT 'TRUNCATE a_first',
       'INSERT INTO a_first SELECT n, key_vault.generate_key(''app'') FROM generate_series(1, 20) n',
       'SELECT key_vault.kek_rotate(''app'')',
       'DROP TRIGGER raise ON a_first',
       format('CREATE TRIGGER raise BEFORE UPDATE ON a_first FOR EACH ROW EXECUTE FUNCTION raise(%L)', state),
       'CALL key_vault.rewrap_all(''app'')',
       format('INSERT INTO raised VALUES (%L, behind() = %L AND progress(''b_other'') = ''done: 5 rows, 0 failed, 0 left'')', state, behind)
  FROM (VALUES ('53100', 'a_first 11'), ('53200', 'a_first 11'), ('58030', 'a_first 11'), ('57014', 'a_first 1'),
               ('57P01', 'a_first 1'), ('57P02', 'a_first 1'), ('55P03', 'a_first 1'), ('40P01', 'a_first 1'),
               ('40001', 'a_first 1'), ('P0004', 'a_first 1'), ('XX000', 'a_first 1'), ('25P04', 'a_first 1')) s (state, behind)
\gexec
\set ON_ERROR_STOP 1
SELECT ok(well, format('a trigger that raises %s: the other table is rewrapped, and what can be of this one', state)) FROM raised;
SELECT is(count(*), 12::bigint, 'for each of them') FROM raised;
DROP TABLE a_first, b_other;
DROP FUNCTION raise;

------------------------------------------------------------------------------
-- Tables partitioned by the key
------------------------------------------------------------------------------

CREATE FUNCTION fill(wanted regclass) RETURNS void LANGUAGE plpgsql AS
$$BEGIN EXECUTE format('INSERT INTO %s SELECT n, key_vault.wrap(decode(md5(n::text), ''hex''), ''app'') FROM generate_series(1, 200) n', wanted); END$$;
CREATE FUNCTION wrong_keys(wanted regclass) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    wrong bigint;
BEGIN
    EXECUTE format('SELECT 200 - count(DISTINCT id) + 200 - count(*) + count(*) FILTER (WHERE key_vault.unwrap(key) <> decode(md5(id::text), ''hex'')) FROM %s', wanted) INTO wrong;
    RETURN wrong;
END
$$;
CREATE TABLE hashed (id integer, key key_vault.wrapped_key) PARTITION BY HASH (key);
CREATE TABLE hashed_0 PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER 0);
-- A partition whose columns have another order, and one that is partitioned itself
CREATE TABLE hashed_1 (gone integer, key key_vault.wrapped_key, id integer) PARTITION BY LIST (id);
ALTER TABLE hashed_1 DROP COLUMN gone;
CREATE TABLE hashed_1_default PARTITION OF hashed_1 DEFAULT;
ALTER TABLE hashed ATTACH PARTITION hashed_1 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE by_text (id integer, key key_vault.wrapped_key) PARTITION BY RANGE ((right(key::text, 1)));
CREATE TABLE by_text_low PARTITION OF by_text FOR VALUES FROM (MINVALUE) TO ('8');
CREATE TABLE by_text_high PARTITION OF by_text FOR VALUES FROM ('8') TO (MAXVALUE);
SELECT fill('hashed'), fill('by_text') \g /dev/null
SELECT tableoid::regclass AS part, id INTO TABLE places FROM hashed UNION ALL SELECT tableoid::regclass, id FROM by_text;
SELECT key_vault.kek_rotate('app') \g /dev/null
CALL key_vault.rewrap_all('app', batch_size => 13);
SELECT is(behind(), NULL, 'tables partitioned by the key, by an expression of it: all is rewrapped');
SELECT is(wrong_keys('hashed') + wrong_keys('by_text'), 0::bigint, 'no row is lost, doubled or changed');
-- Each of the 200 rows moves with a probability of one half: fewer than 20 moves are as good as impossible.
SELECT cmp_ok((SELECT count(*) FROM hashed h JOIN places p USING (id) WHERE h.tableoid <> p.part AND p.part::text ~ 'hashed'), '>', 20::bigint, 'many have moved to another partition');

-- A trigger that suppresses the INSERT of a row that moves does not make it disappear.
CREATE TABLE strict (id integer, key key_vault.wrapped_key) PARTITION BY HASH (key);
CREATE TABLE strict_0 PARTITION OF strict FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE strict_1 PARTITION OF strict FOR VALUES WITH (MODULUS 2, REMAINDER 1);
SELECT fill('strict') \g /dev/null
CREATE FUNCTION suppress() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER suppress BEFORE INSERT ON strict_1 FOR EACH ROW EXECUTE FUNCTION suppress();
SELECT key_vault.kek_rotate('app') \g /dev/null
CALL key_vault.rewrap_all('app', batch_size => 13);
SELECT is(wrong_keys('strict'), 0::bigint, 'no row is lost where a trigger suppresses its insertion');
SELECT matches(behind(), '^strict_0 \d+$', 'such rows stay in their partition');
DROP TRIGGER suppress ON strict_1;
CREATE TRIGGER suppress BEFORE DELETE ON strict_0 FOR EACH ROW EXECUTE FUNCTION suppress();
CALL key_vault.rewrap_all('app', batch_size => 13);
SELECT is(wrong_keys('strict'), 0::bigint, 'nor where a trigger suppresses its deletion');
DROP TRIGGER suppress ON strict_0;
CALL key_vault.rewrap_all('app');
SELECT is(behind(), NULL, 'without triggers all is rewrapped');

-- The caller must be allowed to write to the partitioned table, too.
CREATE ROLE regress_kv_rewraps;
SELECT key_vault.kek_grant('app', 'regress_kv_rewraps', 'rewrap') \g /dev/null
GRANT SELECT, UPDATE ON hashed_0, hashed_1_default TO regress_kv_rewraps;
SELECT key_vault.kek_rotate('app') \g /dev/null
SET ROLE regress_kv_rewraps;
CALL key_vault.rewrap_all('app', only_table => 'hashed_0');
RESET ROLE;
SELECT ok(behind('hashed_0') IS NOT NULL AND behind('hashed_1') IS NOT NULL AND split_part(progress('hashed_0'), ',', 1) = 'stopped: 0 rows', 'a role that may not write the partitioned table moves nothing');
GRANT SELECT (id, key), UPDATE (key) ON hashed TO regress_kv_rewraps;
SET ROLE regress_kv_rewraps;
CALL key_vault.rewrap_all('app', only_table => 'hashed');
RESET ROLE;
SELECT is(behind('hashed'), NULL, 'with UPDATE on its column it does');

-- Code of another owner, who has only a partition, would run as the owner of the partitioned table.
SELECT key_vault.kek_rotate('app') \g /dev/null
ALTER TABLE hashed_0 OWNER TO regress_kv_rows;
CREATE TABLE seen (role name);
GRANT INSERT ON seen TO PUBLIC;
CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO public.seen VALUES (current_user); RETURN NEW; END$$;
CREATE TRIGGER look BEFORE INSERT OR UPDATE ON hashed_0 FOR EACH ROW EXECUTE FUNCTION look();
CALL key_vault.rewrap_all('app', only_table => 'hashed');
SELECT is((SELECT string_agg(DISTINCT role, ', ') FROM seen), 'regress_kv_rows', 'partitions of several owners: each owner''s code runs as him');
SELECT cmp_ok((SELECT sum(keys) FROM key_vault.kek_usage('app') WHERE relation::text ~ 'hashed' AND kek_version < (SELECT max(version) FROM key_vault.keks)), '<', 200::numeric, 'rows that can stay are rewrapped');
SELECT is(wrong_keys('hashed'), 0::bigint, 'the others stay as they are');
ALTER TABLE hashed_0 OWNER TO CURRENT_USER;
CALL key_vault.rewrap_all('app');
SELECT is(behind(), NULL, 'given one owner, the next call takes care of them');
SELECT is(wrong_keys('hashed'), 0::bigint, 'with the right keys');
DROP TABLE hashed, by_text, places;

------------------------------------------------------------------------------
-- Foreign keys that refer to keys
------------------------------------------------------------------------------

-- The referring table is made first, so that rewrap_all() would come to it first.
CREATE TABLE refers (id integer, key key_vault.wrapped_key);
CREATE TABLE referred (id integer, key key_vault.wrapped_key PRIMARY KEY);
SELECT fill('referred') \g /dev/null
INSERT INTO refers SELECT * FROM referred WHERE id <= 150;
INSERT INTO refers VALUES (0, NULL);

ALTER TABLE refers ADD CONSTRAINT refers_key_fkey FOREIGN KEY (key) REFERENCES referred ON UPDATE CASCADE;
SELECT key_vault.kek_rotate('app') \g /dev/null
CALL key_vault.rewrap_all('app', batch_size => 60);
SELECT is(behind(), NULL, 'ON UPDATE CASCADE: both tables are rewrapped');
SELECT is(progress('refers') || '; ' || progress('referred'), 'done: 0 rows, 0 failed, 0 left; done: 200 rows, 0 failed, 0 left', 'the referring rows by the foreign key');
SELECT is(wrong_keys('referred'), 0::bigint, 'with the right keys');
SELECT is((SELECT count(*) FROM refers JOIN referred USING (id, key)), 150::bigint, 'and refer to the rows that they referred to');

-- With these actions the referring rows would lose their keys.
SELECT 'ALTER TABLE refers DROP CONSTRAINT refers_key_fkey',
       format('ALTER TABLE refers ALTER key %s DEFAULT %L, ADD CONSTRAINT refers_key_fkey FOREIGN KEY (key) REFERENCES referred ON UPDATE %s', 'SET', key, action),
       'SELECT key_vault.kek_rotate(''app'')',
       'CALL key_vault.rewrap_all(''app'')',
       format('SELECT is((SELECT count(*) FROM refers JOIN referred USING (id, key)), 150::bigint, ''ON UPDATE %s: nothing that refers is changed'')', action),
       'SELECT is(progress(''referred''), ''stopped: 0 rows, 0 failed, 200 left'', ''the table is left'')'
  FROM (SELECT key FROM referred WHERE id = 200) d, unnest(ARRAY['SET NULL', 'SET DEFAULT']) action \gexec

-- These actions refuse a change of rows that are referred to, at once or at the end of the statement or transaction.
SELECT 'ALTER TABLE refers DROP CONSTRAINT refers_key_fkey',
       format('ALTER TABLE refers ADD CONSTRAINT refers_key_fkey FOREIGN KEY (key) REFERENCES referred %s', action),
       'DELETE FROM refers WHERE id > 50',
       'SELECT key_vault.kek_rotate(''app'')',
       'CALL key_vault.rewrap_all(''app'')',
       format('SELECT is(behind(), ''referred 50, refers 50'', ''%s: all but the rows that are referred to'')', action),
       'SELECT is(wrong_keys(''referred'') + 50 - (SELECT count(*) FROM refers JOIN referred USING (id, key)), 0::bigint, ''keys and references are as before'')'
  FROM unnest(ARRAY['ON UPDATE NO ACTION', 'ON UPDATE RESTRICT', 'DEFERRABLE INITIALLY DEFERRED']) action \gexec
ALTER TABLE refers DROP CONSTRAINT refers_key_fkey;
CALL key_vault.rewrap_all('app');
SELECT is(behind(), NULL, 'without the foreign key, all');
-- Wrapping a key twice gives the same bytes, so rows that refer to each other still do after a run.
ALTER TABLE refers ADD CONSTRAINT refers_key_fkey FOREIGN KEY (key) REFERENCES referred;
SELECT is((SELECT count(*) FROM refers JOIN referred USING (id, key)), 50::bigint, 'and the foreign key can be made anew');
DROP TABLE refers, referred;

-- Two rows whose wrapped keys differ but hold one key, under a unique index
CREATE TABLE twice (id integer, key key_vault.wrapped_key UNIQUE);
INSERT INTO twice VALUES (1, key_vault.wrap('\x000102030405060708090a0b0c0d0e0f', 'app'));
SELECT key_vault.kek_rotate('app') \g /dev/null
INSERT INTO twice VALUES (2, key_vault.wrap('\x000102030405060708090a0b0c0d0e0f', 'app')), (3, key_vault.generate_key('app'));
SELECT key_vault.kek_rotate('app') \g /dev/null
CALL key_vault.rewrap_all('app');
SELECT is(progress('twice'), 'rows left: 2 rows, 1 failed, 1 left', 'a unique index keeps one of two rows with the same key as it is');
DROP TABLE twice;

------------------------------------------------------------------------------
-- Types in types
------------------------------------------------------------------------------

-- 2^18 paths lead from the outermost type to the innermost one, which has no key in it.  (PostgreSQL itself walks
-- them all when it makes the types.)
CREATE TYPE level_0 AS (a integer, b text);
SELECT format('CREATE TYPE level_%s AS (a level_%s, b level_%2$s)', n, n - 1) FROM generate_series(1, 18) n \gexec
CREATE TABLE deep (value level_18, values level_18[], key key_vault.wrapped_key);
INSERT INTO deep VALUES (NULL, ARRAY[NULL]::level_18[], key_vault.generate_key('app'));
SELECT key_vault.kek_rotate('app') \g /dev/null
CREATE FUNCTION peak() RETURNS bigint LANGUAGE sql AS
$$SELECT substring(pg_read_file('/proc/self/status', 0, 100000) FROM 'VmPeak:\s+(\d+) kB')::bigint$$;
SELECT currval('__tresults___numb_seq') AS tests \gset
\c
SET client_min_messages = error;
SET jit = off;
SELECT count(*) FROM key_vault.wrapped_key_columns \g /dev/null
SELECT peak() AS before \gset
CALL key_vault.rewrap_all('app');
SELECT peak() AS after \gset
SELECT key_vault.kek_ids(d) AS ids, key_vault.kek_ids(NULLIF(d.values, '{}')) AS none FROM deep d \gset
SELECT no_plan();
SELECT setval('__tresults___numb_seq', :tests) \g /dev/null
SELECT is(behind('deep'), NULL, 'a table with types in types is rewrapped');
-- To remember each path in 100 bytes would take 26 MB.
SELECT cmp_ok((:after - :before)::bigint, '<', 20000::bigint, 'each type is walked once, not once for each path to it: ' || (:after - :before) || ' kB');
SELECT is(:'ids' || :'none', format('{%s}{}', key_vault.kek_id(key)), 'and so are the types of a row') FROM deep;
DROP TABLE deep;

-- 2^40 paths are more than any walk can finish.  PostgreSQL could not make such types either, so the test changes the
-- catalogue rows of other types.
SELECT format('CREATE TYPE high_%s AS (a level_0, b level_0)', n) FROM generate_series(1, 40) n \gexec
SET allow_system_table_mods = on;
UPDATE pg_attribute SET atttypid = format('high_%s', substring(attrelid::regclass::text FROM 6)::integer - 1)::regtype
 WHERE attrelid::regclass::text ~ '^high_' AND attrelid <> 'high_1'::regclass;
RESET allow_system_table_mods;
CREATE TABLE high (id integer, key key_vault.wrapped_key, value level_0);
SET allow_system_table_mods = on;
UPDATE pg_attribute SET atttypid = 'high_40'::regtype WHERE attrelid = 'high'::regclass AND attname = 'value';
RESET allow_system_table_mods;
INSERT INTO high (id, key) VALUES (1, key_vault.generate_key('app'));
SELECT key_vault.kek_rotate('app') \g /dev/null
-- The timeout only ends the test if it fails.
SET statement_timeout = '60s';
\set ON_ERROR_STOP 0
CALL key_vault.rewrap_all('app', only_table => 'high');
SELECT coalesce(behind('high'), 'none') AS behind, key_vault.kek_ids(h) = ARRAY[key_vault.kek_id(key)] AS found FROM high h \gset
\set ON_ERROR_STOP 1
RESET statement_timeout;
SELECT is(:'behind' || ' ' || :'found', 'none t', 'nor does it take time for each path');
DROP TABLE high;

-- A value with keys in all of its 2^8 places, and one with keys in some
CREATE TYPE tree_0 AS (note text, key key_vault.wrapped_key);
SELECT format('CREATE TYPE tree_%s AS (a tree_%s, "dropped later" integer, b tree_%2$s)', n, n - 1) FROM generate_series(1, 8) n \gexec
SELECT format('ALTER TYPE tree_%s DROP ATTRIBUTE "dropped later"', n) FROM generate_series(1, 8) n \gexec
CREATE DOMAIN tree_domain AS tree_8;
CREATE FUNCTION grow(depth integer) RETURNS text LANGUAGE sql AS
$$SELECT format('ROW(%s, %1$s)::tree_%s', CASE WHEN depth = 1 THEN 'ROW(NULL, k)::tree_0' ELSE grow(depth - 1) END, depth)$$;
CREATE TABLE trees (value tree_domain, values tree_8[], halves tree_1[]);
SELECT format('INSERT INTO trees SELECT %s, ARRAY[NULL, %1$s], (SELECT array_agg(CASE n %% 3 WHEN 0 THEN NULL WHEN 1 THEN ROW(ROW(NULL, k), NULL)::tree_1 ELSE ROW(NULL, NULL)::tree_1 END) FROM generate_series(1, 9000) n) FROM key_vault.generate_key(''app'') k', grow(8)) \gexec
SELECT is((SELECT string_agg("column" || ' ' || keys, ', ' ORDER BY "column" COLLATE "C") FROM key_vault.kek_usage('app') WHERE relation = 'trees'::regclass),
    'halves 3000, value 256, values 256', 'keys in rows in rows, in domains, in arrays with NULLs: each is counted');
SELECT is(cardinality(key_vault.kek_ids(ARRAY[ROW(1, key), ROW('x'::text, ARRAY[key, NULL])])), 2, 'in rows of no declared type, too')
  FROM (SELECT ((value).a.a.a.a.a.a.a.a).key FROM trees) k;
SELECT is(cardinality(key_vault.kek_ids(t)), 3512, 'and in a row of the table') FROM trees t;

DROP TABLE trees;

------------------------------------------------------------------------------
-- Large values: the size of a batch in bytes is limited, too
------------------------------------------------------------------------------

CREATE TABLE wide (keys key_vault.wrapped_key[]);
INSERT INTO wide SELECT array_fill(k, '{30000}') FROM key_vault.generate_key('app') k, generate_series(1, 20);
SELECT key_vault.kek_rotate('app') \g /dev/null
CALL key_vault.rewrap_all('app', only_table => 'wide');
SELECT is(behind('wide'), NULL, 'arrays of many keys are rewrapped');
SELECT is(pass, 1, 'in one pass') FROM key_vault.rewrap_progress WHERE relation = 'wide'::regclass;
SELECT cmp_ok(count(DISTINCT xmin::text), '>=', 3::bigint, 'in several batches, although there are few rows') FROM wide;
DROP TABLE wide;
DROP OWNED BY regress_kv_rows, regress_kv_rewraps CASCADE;
DROP ROLE regress_kv_rows, regress_kv_rewraps;
SELECT * FROM finish();
