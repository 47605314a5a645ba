-- Makes the tables uplink and downlink hypertables of TimescaleDB, and maintains their chunks.
--
-- TimescaleDB may be missing in a database, so its functions and views stand in texts that are run only where a storage
-- has hypertables.
--
-- Each chunk into which rows may come has a unique index of its own, for the same reason as a partition (leaves.sql).
-- So maintain_storage() makes chunks ahead of time.  TimescaleDB makes a chunk itself if there is none for a row; such
-- a chunk gets its unique index when maintain_storage() is called next.  Until then it has the index of the hypertable,
-- by which a second delivery is found once the first one is committed.

CREATE OR REPLACE FUNCTION key_vault_internal.storage_timescaledb()
RETURNS name LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    schema name;
BEGIN
    SELECT n.nspname INTO schema
      FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'timescaledb';
    IF NOT FOUND THEN
        RAISE EXCEPTION 'this database does not have the extension timescaledb'
            USING ERRCODE = 'undefined_object',
                  HINT = 'Name timescaledb in shared_preload_libraries, restart the server, and run CREATE EXTENSION timescaledb.';
    END IF;
    RETURN schema;
END
$$;
COMMENT ON FUNCTION key_vault_internal.storage_timescaledb() IS
'the schema in which the functions of the extension timescaledb are; an error if this database does not have it';

CREATE OR REPLACE FUNCTION key_vault_internal.storage_make_hypertable(parent name, unit text)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    timescaledb constant name := key_vault_internal.storage_timescaledb();
    hypertable constant regclass := quote_ident(parent)::regclass;
    schema constant name := (SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = hypertable);
    is_made boolean;
BEGIN
    EXECUTE 'SELECT count(*) > 0 FROM timescaledb_information.hypertables h WHERE h.hypertable_schema = $1 AND h.hypertable_name = $2'
       INTO is_made USING schema, parent;
    IF NOT is_made THEN
        -- The owner of the storage may make indexes on chunks only in a schema of his own.  A chunk has a fixed size, so
        -- a month has 30 days.
        EXECUTE format('SELECT %I.create_hypertable($1, ''stored_at''::name, associated_schema_name => $2, associated_table_prefix => $3,
                            chunk_time_interval => $4, create_default_indexes => false, migrate_data => true)', timescaledb)
          USING hypertable, schema, parent,
                CASE unit WHEN 'month' THEN interval '30 days' WHEN 'week' THEN interval '7 days' ELSE interval '1 day' END;
    END IF;
    EXECUTE format('CREATE INDEX IF NOT EXISTS %I ON %I (dev_eui, received_at)', parent || '_device_idx', parent);
    IF (SELECT c.relreplident FROM pg_class c WHERE c.oid = hypertable) = 'd' THEN
        EXECUTE format('ALTER TABLE %I REPLICA IDENTITY FULL', parent);
    END IF;
END
$$;
COMMENT ON FUNCTION key_vault_internal.storage_make_hypertable(name, text) IS
'makes the table uplink or downlink in the first schema of search_path a hypertable by stored_at, with its rows, if it is none yet; unit: day, week or month, the time that a chunk covers';

CREATE OR REPLACE FUNCTION key_vault_internal.storage_maintain_hypertable(parent regclass, ahead integer, oldest timestamptz)
RETURNS text LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET "TimeZone" = 'UTC'
SET "DateStyle" = 'ISO' AS $$
DECLARE
    timescaledb constant name := key_vault_internal.storage_timescaledb();
    -- The number of chunks that a step makes at most.
    max_chunks constant integer := 16;
    schema name;
    kind name;
    part record;
    rows bigint;
    seconds bigint;
    starts timestamptz[];
    start timestamptz;
    repeated text;
BEGIN
    SELECT n.nspname, c.relname INTO STRICT schema, kind
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = parent;
    EXECUTE 'SELECT format(''%I.%I'', c.chunk_schema, c.chunk_name)::regclass AS name, format(''%I.%I'', c.chunk_schema, c.chunk_name) AS told,
                    c.range_end AS until
               FROM timescaledb_information.chunks c
              WHERE c.hypertable_schema = $1 AND c.hypertable_name = $2 AND c.range_end <= $3 ORDER BY c.range_end LIMIT 1'
       INTO part USING schema, kind, oldest;
    IF part.name IS NOT NULL THEN
        -- The lock keeps the number of rows as it is counted, until they are dropped.
        EXECUTE format('LOCK TABLE %s IN SHARE MODE', part.name);
        EXECUTE format('SELECT count(*) FROM %s', part.name) INTO rows;
        EXECUTE format('SELECT %I.drop_chunks($1, older_than => $2)', timescaledb) USING parent, part.until;
        RETURN format('dropped chunk %s: %s stored before %s', part.told,
                      CASE rows WHEN 1 THEN '1 row that was' ELSE rows || ' rows that were' END, part.until);
    END IF;

    -- Chunks begin at multiples of their size, counted from 1970.  The edition of TimescaleDB under the Apache licence has
    -- no function that makes a chunk.
    EXECUTE 'SELECT extract(epoch FROM d.time_interval)::bigint FROM timescaledb_information.dimensions d
              WHERE d.hypertable_schema = $1 AND d.hypertable_name = $2 AND d.column_name = ''stored_at'''
       INTO STRICT seconds USING schema, kind;
    IF current_setting('timescaledb.license') <> 'apache' THEN
        EXECUTE 'SELECT array_agg(w.start ORDER BY w.start)
                   FROM (SELECT s.start
                           FROM generate_series(0, $3) n,
                                LATERAL (SELECT to_timestamp((floor(extract(epoch FROM now()) / $4) + n) * $4)) s (start)
                          WHERE NOT EXISTS (SELECT FROM timescaledb_information.chunks c
                                             WHERE c.hypertable_schema = $1 AND c.hypertable_name = $2
                                               AND c.range_start < s.start + make_interval(secs => $4) AND c.range_end > s.start)
                          ORDER BY 1 LIMIT $5) w'
           INTO starts USING schema, kind, ahead, seconds, max_chunks;
        FOREACH start IN ARRAY coalesce(starts, '{}') LOOP
            EXECUTE 'SELECT _timescaledb_functions.create_chunk($1, jsonb_build_object(''stored_at'', jsonb_build_array($2, $3)), $4, $5)'
              USING parent, (extract(epoch FROM start) * 1000000)::bigint, ((extract(epoch FROM start) + seconds) * 1000000)::bigint,
                    schema, key_vault_internal.storage_partition_name(parent, start);
        END LOOP;
    END IF;
    FOR part IN
        EXECUTE 'SELECT format(''%I.%I'', c.chunk_schema, c.chunk_name)::regclass AS name FROM timescaledb_information.chunks c
                  WHERE c.hypertable_schema = $1 AND c.hypertable_name = $2 AND c.range_end > now() AND NOT c.is_compressed
                  ORDER BY c.range_end' USING schema, kind
    LOOP
        BEGIN
            PERFORM key_vault_internal.storage_finish_leaf(part.name, kind);
        EXCEPTION WHEN unique_violation THEN
            GET STACKED DIAGNOSTICS repeated = PG_EXCEPTION_DETAIL;
            RAISE WARNING 'chunk % has a message twice', part.name
                USING DETAIL = repeated, HINT = 'Delete one of the two rows. Until then, the chunk has no unique index.';
        END;
    END LOOP;
    IF starts IS NOT NULL THEN
        RETURN format('made %s of %s, from %s on',
                      CASE cardinality(starts) WHEN 1 THEN '1 chunk' ELSE cardinality(starts) || ' chunks' END, parent, starts[1]);
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION key_vault_internal.storage_maintain_hypertable(regclass, integer, timestamptz) IS
'drops a chunk of a storage''s hypertable whose rows were all stored before a time (NULL: none) or, if there is none, makes chunks ahead, and gives those of the present and of the time ahead their unique index; returns what it did, or NULL if there is nothing left to do; for storage_maintain_step()';
