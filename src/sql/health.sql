-- Monitoring: health() has one row for each thing to watch, with advice, and storage_activity() counts what storages
-- take in.

CREATE OR REPLACE FUNCTION key_vault_internal.memory_is_locked()
RETURNS boolean AS 'MODULE_PATHNAME', 'key_vault_memory_is_locked'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION key_vault_internal.memory_is_locked() IS
'whether the memory for keys of this session could be locked and kept out of core dumps, that of this call included';

-- These are PostgreSQL's own counters: no table is read, no privilege on a table is needed, and no code of a table's
-- owner runs.
CREATE OR REPLACE FUNCTION key_vault.storage_activity(
    OUT schema name, OUT uplinks_inserted bigint, OUT downlinks_inserted bigint,
    OUT messages_rejected bigint, OUT rejected_now bigint, OUT in_default_partitions bigint)
RETURNS SETOF record LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp AS $$
SELECT s.schema,
       coalesce(sum(pg_stat_get_tuples_inserted(t.relid)) FILTER (WHERE c.relname = 'uplink'), 0)::bigint,
       coalesce(sum(pg_stat_get_tuples_inserted(t.relid)) FILTER (WHERE c.relname = 'downlink'), 0)::bigint,
       coalesce(max(pg_stat_get_tuples_inserted(c.oid)) FILTER (WHERE c.relname = 'rejected'), 0),
       coalesce(max(pg_stat_get_live_tuples(c.oid)) FILTER (WHERE c.relname = 'rejected'), 0),
       coalesce(sum(pg_stat_get_live_tuples(t.relid)) FILTER (WHERE t.relid = p.partdefid), 0)::bigint
  FROM key_vault.storages() s
  JOIN pg_namespace n ON n.nspname = s.schema
  LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname IN ('uplink', 'downlink', 'rejected') AND c.relkind IN ('r', 'p')
  LEFT JOIN pg_partitioned_table p ON p.partrelid = c.oid
  LEFT JOIN LATERAL (SELECT l.relid::oid FROM pg_partition_tree(c.oid) l WHERE l.isleaf
                     UNION ALL
                     SELECT c.oid WHERE c.relkind = 'r'
                     UNION ALL
                     -- The chunks of a hypertable of TimescaleDB
                     SELECT i.inhrelid FROM pg_inherits i WHERE i.inhparent = c.oid AND c.relkind = 'r') t ON true
 GROUP BY s.schema
 ORDER BY s.schema
$$;
COMMENT ON FUNCTION key_vault.storage_activity() IS
'what the storages of this database have taken in, by PostgreSQL''s statistics, without reading a table: uplinks_inserted, downlinks_inserted and messages_rejected: rows that were inserted since the statistics began, into the tables, partitions and chunks that exist; rejected_now: about how many messages are in rejected; in_default_partitions: about how many rows maintain_storage() has to move. If a counter does not grow, nothing comes in; a counter falls when an old partition is dropped, or after a crash';

CREATE OR REPLACE FUNCTION key_vault.health(
    max_kek_age interval DEFAULT '1 year', max_root_key_age interval DEFAULT '2 years',
    OUT name text, OUT status text, OUT finding text, OUT advice text)
RETURNS SETOF record LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET DateStyle = ISO AS $$
#variable_conflict use_column
DECLARE
    first_id bytea;
    used_since timestamptz;
    problems text;
    bad bigint;
    least integer;
    older bigint;
    caches record;
    message text;
BEGIN
    IF max_kek_age IS NULL OR max_root_key_age IS NULL THEN
        RAISE EXCEPTION 'arguments of health must not be NULL' USING ERRCODE = 'null_value_not_allowed';
    END IF;

    -- The root keys of the list, and which of them can be read.
    name := 'root keys';
    status := 'ok';
    advice := NULL;
    BEGIN
        SELECT (array_agg(r.root_key_id ORDER BY r."position"))[1], min(r."position") FILTER (WHERE r.problem IS NOT NULL),
               format('%s of %s available', count(*) FILTER (WHERE r.problem IS NULL), count(*)),
               string_agg(format('number %s (%s, SQLSTATE %s)', r."position", r.scheme, r.problem), ', ' ORDER BY r."position")
                   FILTER (WHERE r.problem IS NOT NULL)
          INTO first_id, least, finding, problems
          FROM key_vault.root_keys() r;
        IF problems IS NOT NULL THEN
            status := CASE least WHEN 1 THEN 'critical' ELSE 'warning' END;
            finding := format('%s; not available: %s', finding, problems);
            advice := 'The server log says why. Check the file, command or token that key_vault.root_key names.';
        END IF;
    EXCEPTION WHEN SQLSTATE 'KV101' THEN
        GET STACKED DIAGNOSTICS message = MESSAGE_TEXT;
        status := 'critical';
        finding := message;
        advice := 'Set key_vault.root_key to the root key that the KEKs are sealed under. For the first one, run key_vault_make_root_key.';
    END;
    RETURN NEXT;

    IF finding IS DISTINCT FROM message THEN
        name := 'sealed KEKs';
        SELECT count(*) FILTER (WHERE k.root_key_position IS NULL), count(*) FILTER (WHERE k.root_key_position > 1)
          INTO bad, older
          FROM key_vault.kek_health k WHERE k.root_key_id IS NOT NULL;
        status := CASE WHEN bad > 0 THEN 'critical' WHEN older > 0 THEN 'warning' ELSE 'ok' END;
        finding := CASE WHEN bad > 0 THEN format('%s sealed under a root key that the server does not have',
                                                    CASE bad WHEN 1 THEN '1 KEK is' ELSE bad || ' KEKs are' END)
                        WHEN older > 0 THEN format('%s sealed under an older root key',
                                                      CASE older WHEN 1 THEN '1 KEK is' ELSE older || ' KEKs are' END)
                        ELSE 'all KEKs are sealed under the first root key' END;
        advice := CASE WHEN bad > 0 THEN 'Put that root key back into key_vault.root_key: its key check value is root_key_id in key_vault.kek_health.'
                       WHEN older > 0 THEN 'SELECT key_vault.root_key_rotate();' END;
        RETURN NEXT;

        -- The use of a root key began when KEKs were sealed anew under it, or when the first KEK under it was made.
        name := 'root key age';
        SELECT coalesce((SELECT min(a.at) FROM key_vault.audit_log a
                          WHERE a.event = 'resealed' AND a.details ->> 'to' = encode(first_id, 'hex')),
                        (SELECT min(k.created_at) FROM key_vault.keks k WHERE k.root_key_id = first_id))
          INTO used_since;
        status := CASE WHEN used_since < clock_timestamp() - max_root_key_age THEN 'warning' ELSE 'ok' END;
        finding := CASE WHEN used_since IS NULL THEN 'no KEK is sealed under the first root key yet'
                        ELSE format('the first root key has been in use since %s', used_since::date) END;
        advice := CASE status WHEN 'warning' THEN 'Make a new one, put it first in key_vault.root_key, reload, and call key_vault.root_key_rotate().' END;
        RETURN NEXT;
    END IF;

    name := 'KEK age';
    SELECT string_agg(format('"%s" (%s)', k.label, k.created_at::date), ', ' ORDER BY k.created_at, k.label) INTO problems
      FROM key_vault.keks k WHERE k.state = 'active' AND k.created_at < clock_timestamp() - max_kek_age;
    status := CASE WHEN problems IS NULL THEN 'ok' ELSE 'warning' END;
    finding := coalesce('older than max_kek_age: ' || problems, 'no active KEK is older than max_kek_age');
    advice := CASE status WHEN 'warning' THEN 'SELECT key_vault.kek_rotate(label); CALL key_vault.rewrap_all(label);' END;
    RETURN NEXT;

    name := 'compromised KEKs';
    SELECT string_agg(format('"%s" version %s', k.label, k.version), ', ' ORDER BY k.label, k.version) INTO problems
      FROM key_vault.keks k WHERE k.state = 'compromised';
    status := CASE WHEN problems IS NULL THEN 'ok' ELSE 'critical' END;
    finding := coalesce('not destroyed yet: ' || problems, 'there are none');
    advice := CASE status WHEN 'critical' THEN 'CALL key_vault.rewrap_all(label); SELECT key_vault.kek_destroy(label, version);' END;
    RETURN NEXT;

    name := 'destructions due';
    SELECT string_agg(format('"%s" version %s', k.label, k.version), ', ' ORDER BY k.label, k.version) INTO problems
      FROM key_vault.keks k WHERE k.state <> 'destroyed' AND k.destroy_at < clock_timestamp() - interval '1 day';
    status := CASE WHEN problems IS NULL THEN 'ok' ELSE 'warning' END;
    finding := coalesce('due for more than a day: ' || problems, 'no KEK has been due for more than a day');
    advice := CASE status WHEN 'warning' THEN 'SELECT key_vault.kek_destroy_due(); -- its warnings say what prevents it' END;
    RETURN NEXT;

    name := 'memory of keys';
    status := CASE WHEN key_vault_internal.memory_is_locked() THEN 'ok' ELSE 'warning' END;
    finding := CASE status WHEN 'ok' THEN 'it is locked' ELSE 'it cannot be locked, and may be swapped to disk' END;
    advice := CASE status WHEN 'warning' THEN 'Raise the limit on locked memory of the server''s service: LimitMEMLOCK in systemd.' END;
    RETURN NEXT;

    name := 'key caches';
    status := 'ok';
    advice := NULL;
    BEGIN
        SELECT sum(c.hits)::bigint AS hits, sum(c.misses)::bigint AS misses, sum(c.evictions)::bigint AS evictions,
               sum(c.mismatches)::bigint AS mismatches
          INTO caches
          FROM key_vault.cache_stats_all() c;
        finding := format('hits %s, misses %s, evictions %s, mismatches %s', caches.hits, caches.misses, caches.evictions, caches.mismatches);
        IF caches.mismatches > 0 THEN
            status := 'critical';
            advice := 'A cached key was not the key in its wrapped key. No payload was decrypted with it. Keep the server log, and report this as a bug.';
        ELSIF caches.evictions > 1000 AND caches.misses > caches.hits THEN
            -- The keys that are in use do not fit into the cache, so most of them are unwrapped at each use.
            status := 'warning';
            advice := 'Raise key_vault.cache_size.';
        END IF;
    EXCEPTION WHEN object_not_in_prerequisite_state THEN
        finding := 'the caches of other sessions cannot be seen, since the library is not preloaded';
    END;
    RETURN NEXT;

    name := 'version';
    SELECT e.extversion, a.default_version INTO finding, problems
      FROM pg_extension e JOIN pg_available_extensions a ON a.name = e.extname WHERE e.extname = 'key_vault';
    status := CASE WHEN finding = problems THEN 'ok' ELSE 'warning' END;
    advice := CASE status WHEN 'warning' THEN 'ALTER EXTENSION key_vault UPDATE;' END;
    finding := CASE status WHEN 'ok' THEN finding ELSE format('%s in this database, %s installed', finding, problems) END;
    RETURN NEXT;

    name := 'storages';
    SELECT count(*), string_agg(s.to_do, ' ' ORDER BY s.schema) INTO bad, advice FROM key_vault.storages() s;
    status := CASE WHEN advice IS NULL THEN 'ok' ELSE 'warning' END;
    finding := CASE status WHEN 'ok' THEN format('%s, and nothing to do', bad) ELSE 'there is something to do' END;
    RETURN NEXT;

    name := 'rejected messages';
    SELECT string_agg(format('about %s in %I', a.rejected_now, a.schema), ', ' ORDER BY a.schema) INTO problems
      FROM key_vault.storage_activity() a WHERE a.rejected_now > 0;
    status := CASE WHEN problems IS NULL THEN 'ok' ELSE 'warning' END;
    finding := coalesce(problems, 'there are none');
    advice := CASE status WHEN 'warning' THEN 'SELECT reason, count(*) FROM rejected GROUP BY reason; remove the cause, then SELECT replay_rejected();' END;
    RETURN NEXT;

    name := 'partitions';
    SELECT string_agg(format('about %s in %I', a.in_default_partitions, a.schema), ', ' ORDER BY a.schema) INTO problems
      FROM key_vault.storage_activity() a WHERE a.in_default_partitions > 0;
    status := CASE WHEN problems IS NULL THEN 'ok' ELSE 'warning' END;
    finding := coalesce('rows in default partitions: ' || problems, 'the default partitions are empty');
    advice := CASE status WHEN 'warning' THEN 'CALL key_vault.maintain_storage(schema);' END;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION key_vault.health(interval, interval) IS
'one row for each thing to watch in this database and server: name; status ok, warning or critical; finding: what was found; advice: what to do, NULL if there is nothing to do. There is a warning if an active KEK is older than max_kek_age, or if the first root key has been in use for longer than max_root_key_age. It reads the root keys anew, and no tables of users: kek_usage() counts the keys that old versions still wrap. For members of pg_read_all_stats';
