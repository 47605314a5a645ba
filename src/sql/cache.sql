-- The cache
------------------------------------------------------------------------------

CREATE FUNCTION key_vault.cache_flush()
RETURNS void AS 'MODULE_PATHNAME', 'key_vault_cache_flush'
LANGUAGE C STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION key_vault.cache_flush() IS
'wipes the unwrapped keys that this session holds';

CREATE FUNCTION key_vault.cache_stats(
    OUT hits bigint, OUT misses bigint, OUT unwraps bigint, OUT evictions bigint,
    OUT expirations bigint, OUT withdrawals bigint, OUT flushes bigint,
    OUT verifications bigint, OUT mismatches bigint, OUT entries bigint,
    OUT bytes bigint, OUT stats_reset timestamptz)
RETURNS record AS 'MODULE_PATHNAME', 'key_vault_cache_stats'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION key_vault.cache_stats() IS
'counters of this session''s key cache, since its start or cache_stats_reset()';

CREATE FUNCTION key_vault.cache_stats_reset()
RETURNS void AS 'MODULE_PATHNAME', 'key_vault_cache_stats_reset'
LANGUAGE C STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION key_vault.cache_stats_reset() IS
'sets the counters of this session''s key cache to zero';

CREATE FUNCTION key_vault.cache_stats_all(
    OUT pid integer, OUT datid oid, OUT usesysid oid,
    OUT hits bigint, OUT misses bigint, OUT unwraps bigint, OUT evictions bigint,
    OUT expirations bigint, OUT withdrawals bigint, OUT flushes bigint,
    OUT verifications bigint, OUT mismatches bigint, OUT entries bigint,
    OUT bytes bigint, OUT stats_reset timestamptz)
RETURNS SETOF record AS 'MODULE_PATHNAME', 'key_vault_cache_stats_all'
LANGUAGE C VOLATILE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION key_vault.cache_stats_all() IS
'counters of every session''s key cache and, with pid NULL, of the sessions that ended; needs key_vault in shared_preload_libraries';

CREATE VIEW key_vault.cache_stats_sessions AS
SELECT s.pid, d.datname, r.rolname AS usename, s.hits, s.misses, s.unwraps, s.evictions,
       s.expirations, s.withdrawals, s.flushes, s.verifications, s.mismatches, s.entries,
       s.bytes, s.stats_reset
  FROM key_vault.cache_stats_all() s
  LEFT JOIN pg_database d ON d.oid = s.datid
  LEFT JOIN pg_roles r ON r.oid = s.usesysid
 WHERE s.pid IS NOT NULL;
COMMENT ON VIEW key_vault.cache_stats_sessions IS
'counters of every session''s key cache; needs key_vault in shared_preload_libraries';

CREATE VIEW key_vault.cache_stats_total AS
SELECT sum(hits)::bigint AS hits, sum(misses)::bigint AS misses, sum(unwraps)::bigint AS unwraps,
       sum(evictions)::bigint AS evictions, sum(expirations)::bigint AS expirations,
       sum(withdrawals)::bigint AS withdrawals, sum(flushes)::bigint AS flushes,
       sum(verifications)::bigint AS verifications, sum(mismatches)::bigint AS mismatches,
       sum(entries)::bigint AS entries, sum(bytes)::bigint AS bytes,
       max(stats_reset) FILTER (WHERE pid IS NULL) AS stats_reset
  FROM key_vault.cache_stats_all();
COMMENT ON VIEW key_vault.cache_stats_total IS
'counters of all key caches of the server together, of ended sessions too; needs key_vault in shared_preload_libraries';

CREATE FUNCTION key_vault.cache_stats_reset_all()
RETURNS void AS 'MODULE_PATHNAME', 'key_vault_cache_stats_reset_all'
LANGUAGE C STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION key_vault.cache_stats_reset_all() IS
'makes the counters of all key caches count from now; needs key_vault in shared_preload_libraries';

------------------------------------------------------------------------------
