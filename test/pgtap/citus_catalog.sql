--
-- The tables that Citus keeps in shards, and the other nodes of its cluster.  Citus is in no Debian release, so its
-- catalogue is imitated here; tap/citus tests the real one.
--
\set ECHO none
\set QUIET 1
SET client_min_messages = error;
ALTER DATABASE :"DBNAME" SET default_transaction_isolation = 'read committed';
ALTER DATABASE :"DBNAME" SET allow_system_table_mods = on;
\c
SET client_min_messages = error;
SELECT no_plan();
SELECT key_vault.kek_create('net') \g /dev/null

-- The heap of the table session has keys that nobody can read any more, as after create_distributed_table().
CREATE TABLE session (dev_eui bigint, key key_vault.wrapped_key);
CREATE TABLE session_102008 (LIKE session);
CREATE TABLE session_102009 (LIKE session);
CREATE TABLE session_1 (LIKE session);
INSERT INTO session SELECT n, key_vault.generate_key('net') FROM generate_series(1, 9) n;
INSERT INTO session_102008 SELECT n, key_vault.generate_key('net') FROM generate_series(1, 3) n;
INSERT INTO session_1 SELECT n, key_vault.generate_key('net') FROM generate_series(1, 2) n;
CREATE MATERIALIZED VIEW kept AS SELECT key FROM session_1;
-- The rejected messages of a storage, whose envelopes are counted by the name of their table
CREATE TABLE storage_settings (one_row boolean);
CREATE TABLE rejected (message jsonb);
CREATE TABLE rejected_102010 (LIKE rejected);
CREATE TABLE rejected_7 (LIKE rejected);
INSERT INTO rejected_102010 VALUES ('{"kek_label": "net"}');
INSERT INTO rejected_7 VALUES ('{"kek_label": "net"}');

CREATE FUNCTION usage() RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(concat_ws(' ', relation, kek_version, keys), ', ' ORDER BY relation::text) FROM key_vault.kek_usage() WHERE kek_version IS NOT NULL $$;
SELECT is(usage(), 'kept 1 2, session 1 9, session_1 1 2, session_102008 1 3', 'without Citus, each is a table of its own');
SELECT is(key_vault_internal.other_nodes(), NULL, 'and there is no other node');

CREATE TABLE pg_catalog.pg_dist_partition (logicalrelid regclass);
CREATE TABLE pg_catalog.pg_dist_shard (logicalrelid regclass, shardid bigint);
CREATE TABLE pg_catalog.pg_dist_node (nodename text, nodeport integer, noderole text, groupid integer);
CREATE TABLE pg_catalog.pg_dist_local_group (groupid integer);
INSERT INTO pg_catalog.pg_dist_partition VALUES ('session'), ('rejected');
INSERT INTO pg_catalog.pg_dist_shard VALUES ('session', 102008), ('session', 102009), ('rejected', 102010);
INSERT INTO pg_catalog.pg_dist_node VALUES ('here', 5432, 'primary', 0);
INSERT INTO pg_catalog.pg_dist_local_group VALUES (0);

SELECT is(usage(), 'kept 1 2, session_1 1 2, session_102008 1 3', 'the shards are counted, and not the table that they make up');
SELECT results_eq('SELECT relation::text, keys FROM key_vault.kek_usage() WHERE kek_version IS NULL', $$VALUES ('rejected_102010', 1::bigint)$$,
                  'so are envelopes in shards of the table rejected');
SELECT is(key_vault_internal.other_nodes(), NULL, 'a cluster of this node alone has no other node');
DROP TABLE rejected_102010;

-- The versions before are destroyed if no node needs them.
SELECT key_vault.kek_rotate('net') \g /dev/null
SELECT throws_ok($$SELECT key_vault.kek_destroy('net', 1)$$, 'KV008', 'KEK label "net" version 1 still wraps 7 keys', 'kek_destroy() finds the keys of shards');
CALL key_vault.rewrap_all('net');
SELECT is(usage(), 'kept 1 2, session_1 2 2, session_102008 2 3', 'rewrap_all() rewraps shards');
SELECT is((SELECT count(*) FROM session WHERE key_vault.kek_version(key) = 1), 9::bigint, 'and not the table');
REFRESH MATERIALIZED VIEW kept;

CREATE TABLE answers (nodename text, nodeport integer, success boolean, result text);
CREATE TABLE asked (command text);
CREATE FUNCTION run_command_on_workers(command text) RETURNS SETOF answers LANGUAGE sql AS $$
    INSERT INTO public.asked VALUES (command); SELECT * FROM public.answers $$;
ALTER FUNCTION run_command_on_workers(text) SET SCHEMA pg_catalog;
INSERT INTO pg_catalog.pg_dist_node VALUES ('there', 5432, 'primary', 1), ('its standby', 5432, 'secondary', 1);
SELECT is(key_vault_internal.other_nodes(), ARRAY['there:5432'], 'another node');
SELECT throws_ok($$SELECT key_vault.kek_destroy('net', 1)$$, '55000', 'only 0 of the 1 other nodes of the Citus cluster could be asked for their keys', 'a node that was not asked');
INSERT INTO answers VALUES ('there', 5432, false, 'ERROR: KEK label "net" version 1 still wraps 5 keys');
SELECT throws_ok($$SELECT key_vault.kek_destroy('net', 1)$$, 'KV008', 'KEK label "net" version 1 may still wrap keys on node there:5432', 'a node that has keys');
UPDATE answers SET success = true, result = '["keks_1"]';
UPDATE pg_catalog.pg_dist_local_group SET groupid = 1;
UPDATE pg_catalog.pg_dist_node SET groupid = 1 - groupid WHERE noderole = 'primary';
SELECT throws_ok($$SELECT key_vault.kek_destroy('net', 1)$$, '55000', 'this server is a worker of a Citus cluster', 'a worker');
UPDATE pg_catalog.pg_dist_local_group SET groupid = 0;
UPDATE pg_catalog.pg_dist_node SET groupid = 1 - groupid WHERE noderole = 'primary';
TRUNCATE asked;
-- The KEKs are published, but no slot feeds a server that was not asked.
CREATE PUBLICATION keks FOR TABLE key_vault.kek;
UPDATE answers SET result = '[]';
SELECT throws_ok($$SELECT key_vault.kek_destroy('net', 1)$$, '55000', 'KEKs of this database are published to other servers', 'KEKs that are published to others');
UPDATE answers SET result = '["keks_1"]';
TRUNCATE asked;
SELECT lives_ok($$SELECT key_vault.kek_destroy('net', 1)$$, 'no node has keys');
SELECT results_eq('SELECT * FROM asked', $$SELECT 'SELECT to_json(key_vault_internal.kek_require_unused_here(''net'', 1))' FROM generate_series(1, 2)$$, 'each was asked twice');
SELECT is((SELECT state FROM key_vault.keks WHERE version = 1), 'destroyed', 'the KEK is destroyed');

-- What a node answers
SELECT key_vault.kek_rotate('net') \g /dev/null
DROP PUBLICATION keks;
SELECT throws_ok($$SELECT key_vault_internal.kek_require_unused_here('net', 2)$$, 'KV008', 'KEK label "net" version 2 still wraps 7 keys', 'a node has keys');
SELECT throws_ok($$SELECT key_vault_internal.kek_require_unused_here('net', 3)$$, '55000', 'KEK label "net" version 3 is active', 'or has the version active');
CALL key_vault.rewrap_all('net');
REFRESH MATERIALIZED VIEW kept;
SELECT is(key_vault_internal.kek_require_unused_here('net', 2), '{}', 'or does not need it');

SELECT * FROM finish();
