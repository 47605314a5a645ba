--
-- The counters of all sessions, where key_vault is in shared_preload_libraries.  Where it is not, asking for them is
-- an error that says so.
--
\set ECHO none
\set QUIET 1
SET client_min_messages = error;
SELECT current_database() AS before, current_setting('shared_preload_libraries') ~ '\mkey_vault\M' AS preloaded \gset
DROP DATABASE IF EXISTS key_vault_pgtap_cache_stats;
CREATE DATABASE key_vault_pgtap_cache_stats;
ALTER DATABASE key_vault_pgtap_cache_stats SET client_min_messages = error;
\c key_vault_pgtap_cache_stats
CREATE EXTENSION pgtap;
CREATE EXTENSION key_vault;
LOAD 'key_vault';
SELECT no_plan();
\if :preloaded
ALTER DATABASE key_vault_pgtap_cache_stats SET key_vault.cache = on;
ALTER DATABASE key_vault_pgtap_cache_stats SET key_vault.cache_size = '16MB';
SELECT key_vault.kek_create('stats') \g /dev/null
CREATE TABLE key AS SELECT n, key_vault.generate_key('stats') AS key FROM generate_series(1, 10) n;
CREATE FUNCTION use_keys(times integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    k key_vault.wrapped_key;
    payload bytea;
BEGIN
    FOR k IN SELECT key FROM key, generate_series(1, times) LOOP
        payload := key_vault.lorawan_decrypt_uplink(k, '\x260B1234', 1, '\x00');
    END LOOP;
END
$$;
\c
SELECT no_plan();
SELECT key_vault.cache_stats_reset_all() \g /dev/null
SELECT use_keys(3) \g /dev/null
SELECT is((hits, misses, unwraps, entries)::text, '(20,10,10,10)', 'this session counts') FROM key_vault.cache_stats();
SELECT is((hits, misses, unwraps, entries)::text, '(20,10,10,10)', 'all see it') FROM key_vault.cache_stats_sessions WHERE pid = pg_backend_pid();
SELECT is((datname, usename)::text, (current_database(), session_user)::text, 'with its database and role') FROM key_vault.cache_stats_sessions WHERE pid = pg_backend_pid();
SELECT is(s.bytes, c.bytes, 'and its memory') FROM key_vault.cache_stats_sessions s, key_vault.cache_stats() c WHERE pid = pg_backend_pid();
SELECT pg_backend_pid() AS ended \gset
SELECT currval('__tresults___numb_seq') AS tests \gset
\c
SELECT no_plan();
SELECT setval('__tresults___numb_seq', :tests) \g /dev/null
-- The session that \c left may take a moment to end.
DO $$
DECLARE
    start timestamptz := clock_timestamp();
BEGIN
    WHILE (SELECT count(*) > 0 FROM key_vault.cache_stats_sessions WHERE datname = current_database() AND pid <> pg_backend_pid()) AND clock_timestamp() < start + '60 s' LOOP
        PERFORM pg_sleep(0.01);
    END LOOP;
END
$$;
SELECT is(count(*), 0::bigint, 'a session that ended is not in the list') FROM key_vault.cache_stats_sessions WHERE pid = :ended;
SELECT is((hits, misses, unwraps)::text, '(20,10,10)', 'what it counted is in the sum of the ended') FROM key_vault.cache_stats_all() WHERE pid IS NULL;
SELECT use_keys(1) \g /dev/null
SELECT is((hits, misses, unwraps, entries)::text, '(20,20,20,10)', 'the total is of all, its entries of those that are there') FROM key_vault.cache_stats_total;
SELECT key_vault.cache_stats_reset() \g /dev/null
SELECT is((hits, misses, unwraps, entries)::text, '(0,0,0,10)', 'a reset of this session''s counters') FROM key_vault.cache_stats();
SELECT is((hits, misses, unwraps)::text, '(20,20,20)', 'takes nothing from the total') FROM key_vault.cache_stats_total;
SELECT use_keys(1) \g /dev/null
SELECT key_vault.cache_stats_reset_all() \g /dev/null
SELECT is((hits, misses, unwraps, entries)::text, '(0,0,0,10)', 'a reset of all begins anew') FROM key_vault.cache_stats_total;
SELECT ok(stats_reset BETWEEN now() - interval '1 min' AND now(), 'and is dated') FROM key_vault.cache_stats_total;
SELECT use_keys(2) \g /dev/null
SELECT is((hits, misses, unwraps)::text, '(20,0,0)', 'and counts from there') FROM key_vault.cache_stats_total;
\else
SELECT throws_ok('SELECT * FROM key_vault.cache_stats_all()', '55000', 'key_vault must be loaded via "shared_preload_libraries" to see the caches of other sessions', 'not preloaded: cache_stats_all');
SELECT throws_ok('SELECT * FROM key_vault.cache_stats_sessions', '55000', NULL, 'not preloaded: cache_stats_sessions');
SELECT throws_ok('SELECT * FROM key_vault.cache_stats_total', '55000', NULL, 'not preloaded: cache_stats_total');
SELECT throws_ok('SELECT key_vault.cache_stats_reset_all()', '55000', NULL, 'not preloaded: cache_stats_reset_all');
SELECT is(hits, 0::bigint, 'this session''s own are there all the same') FROM key_vault.cache_stats();
\endif
SELECT * FROM finish();
\c :before
DROP DATABASE key_vault_pgtap_cache_stats;
