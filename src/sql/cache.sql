-- The key cache: this session's, and those of all sessions.

CREATE OR REPLACE FUNCTION key_vault.cache_flush()
RETURNS void AS 'MODULE_PATHNAME', 'key_vault_cache_flush'
LANGUAGE C STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION key_vault.cache_flush() IS
'wipes the unwrapped keys that this session has in its cache';

CREATE OR REPLACE FUNCTION key_vault.cache_stats(
    OUT hits bigint, OUT misses bigint, OUT unwraps bigint, OUT evictions bigint,
    OUT expirations bigint, OUT withdrawals bigint, OUT flushes bigint,
    OUT verifications bigint, OUT mismatches bigint, OUT entries bigint,
    OUT bytes bigint, OUT stats_reset timestamptz)
RETURNS record AS 'MODULE_PATHNAME', 'key_vault_cache_stats'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION key_vault.cache_stats() IS
'counters of this session''s key cache, since its start or cache_stats_reset()';

CREATE OR REPLACE FUNCTION key_vault.cache_stats_reset()
RETURNS void AS 'MODULE_PATHNAME', 'key_vault_cache_stats_reset'
LANGUAGE C STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION key_vault.cache_stats_reset() IS
'sets the counters of this session''s key cache to zero';

CREATE OR REPLACE FUNCTION key_vault.cache_stats_all(
    OUT pid integer, OUT datid oid, OUT usesysid oid,
    OUT hits bigint, OUT misses bigint, OUT unwraps bigint, OUT evictions bigint,
    OUT expirations bigint, OUT withdrawals bigint, OUT flushes bigint,
    OUT verifications bigint, OUT mismatches bigint, OUT entries bigint,
    OUT bytes bigint, OUT stats_reset timestamptz)
RETURNS SETOF record AS 'MODULE_PATHNAME', 'key_vault_cache_stats_all'
LANGUAGE C VOLATILE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION key_vault.cache_stats_all() IS
'counters of every session''s key cache and, with pid NULL, of the sessions that have ended; needs key_vault in shared_preload_libraries';

CREATE OR REPLACE VIEW key_vault.cache_stats_sessions AS
SELECT s.pid, d.datname, r.rolname AS usename, s.hits, s.misses, s.unwraps, s.evictions,
       s.expirations, s.withdrawals, s.flushes, s.verifications, s.mismatches, s.entries,
       s.bytes, s.stats_reset
  FROM key_vault.cache_stats_all() s
  LEFT JOIN pg_database d ON d.oid = s.datid
  LEFT JOIN pg_roles r ON r.oid = s.usesysid
 WHERE s.pid IS NOT NULL;
GRANT SELECT ON key_vault.cache_stats_sessions TO pg_read_all_stats;
COMMENT ON VIEW key_vault.cache_stats_sessions IS
'counters of every session''s key cache; needs key_vault in shared_preload_libraries';
COMMENT ON COLUMN key_vault.cache_stats_sessions.pid IS 'process id of the session';
COMMENT ON COLUMN key_vault.cache_stats_sessions.datname IS 'its database';
COMMENT ON COLUMN key_vault.cache_stats_sessions.usename IS 'the role that logged in';
COMMENT ON COLUMN key_vault.cache_stats_sessions.hits IS 'keys that the cache had';
COMMENT ON COLUMN key_vault.cache_stats_sessions.misses IS 'keys that the cache did not have';
COMMENT ON COLUMN key_vault.cache_stats_sessions.unwraps IS 'how often a key was unwrapped, also to verify the cache';
COMMENT ON COLUMN key_vault.cache_stats_sessions.evictions IS 'keys removed to make room';
COMMENT ON COLUMN key_vault.cache_stats_sessions.expirations IS 'keys removed because they were too old or used too often';
COMMENT ON COLUMN key_vault.cache_stats_sessions.withdrawals IS 'keys removed because a KEK of their label changed';
COMMENT ON COLUMN key_vault.cache_stats_sessions.flushes IS 'times that a cache was emptied';
COMMENT ON COLUMN key_vault.cache_stats_sessions.verifications IS 'hits that were compared with the wrapped key';
COMMENT ON COLUMN key_vault.cache_stats_sessions.mismatches IS 'verifications that found another key';
COMMENT ON COLUMN key_vault.cache_stats_sessions.entries IS 'keys in the cache now';
COMMENT ON COLUMN key_vault.cache_stats_sessions.bytes IS 'memory that they take, in bytes';
COMMENT ON COLUMN key_vault.cache_stats_sessions.stats_reset IS 'when the counters were last set to zero; NULL if never';

CREATE OR REPLACE VIEW key_vault.cache_stats_total AS
SELECT sum(hits)::bigint AS hits, sum(misses)::bigint AS misses, sum(unwraps)::bigint AS unwraps,
       sum(evictions)::bigint AS evictions, sum(expirations)::bigint AS expirations,
       sum(withdrawals)::bigint AS withdrawals, sum(flushes)::bigint AS flushes,
       sum(verifications)::bigint AS verifications, sum(mismatches)::bigint AS mismatches,
       sum(entries)::bigint AS entries, sum(bytes)::bigint AS bytes,
       max(stats_reset) FILTER (WHERE pid IS NULL) AS stats_reset
  FROM key_vault.cache_stats_all();
GRANT SELECT ON key_vault.cache_stats_total TO pg_read_all_stats;
COMMENT ON VIEW key_vault.cache_stats_total IS
'the sums of the counters of all sessions'' key caches, also of sessions that have ended; needs key_vault in shared_preload_libraries';
COMMENT ON COLUMN key_vault.cache_stats_total.hits IS 'keys that the cache had';
COMMENT ON COLUMN key_vault.cache_stats_total.misses IS 'keys that the cache did not have';
COMMENT ON COLUMN key_vault.cache_stats_total.unwraps IS 'how often a key was unwrapped, also to verify the cache';
COMMENT ON COLUMN key_vault.cache_stats_total.evictions IS 'keys removed to make room';
COMMENT ON COLUMN key_vault.cache_stats_total.expirations IS 'keys removed because they were too old or used too often';
COMMENT ON COLUMN key_vault.cache_stats_total.withdrawals IS 'keys removed because a KEK of their label changed';
COMMENT ON COLUMN key_vault.cache_stats_total.flushes IS 'times that a cache was emptied';
COMMENT ON COLUMN key_vault.cache_stats_total.verifications IS 'hits that were compared with the wrapped key';
COMMENT ON COLUMN key_vault.cache_stats_total.mismatches IS 'verifications that found another key';
COMMENT ON COLUMN key_vault.cache_stats_total.entries IS 'keys in the cache now';
COMMENT ON COLUMN key_vault.cache_stats_total.bytes IS 'memory that they take, in bytes';
COMMENT ON COLUMN key_vault.cache_stats_total.stats_reset IS 'when cache_stats_reset_all() was last called; NULL if never';

CREATE OR REPLACE FUNCTION key_vault.cache_stats_reset_all()
RETURNS void AS 'MODULE_PATHNAME', 'key_vault_cache_stats_reset_all'
LANGUAGE C STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION key_vault.cache_stats_reset_all() IS
'sets the counters of all sessions'' key caches to zero; needs key_vault in shared_preload_libraries';
