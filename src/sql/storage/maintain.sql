-- Maintains the partitions of a storage: makes them ahead of time, moves rows from the default partition into them,
-- and drops old ones.  What it does with hypertables of TimescaleDB is in hypertables.sql.
--
-- maintain_storage() is in C: it runs one step after the other.  Each step is a transaction of its own, unless the
-- caller is in a transaction.  A step runs as the storage's owner, whoever calls it, since triggers and index
-- expressions of the tables are the owner's code.
--
-- A step does the first thing that it finds to do, up to a limit.  Nothing is remembered between steps.  So after an
-- error or a cancellation, the next run does the rest.

CREATE OR REPLACE FUNCTION key_vault_internal.storage_partition_name(parent regclass, start timestamptz)
RETURNS name LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET "TimeZone" = 'UTC' AS $$
SELECT (c.relname || to_char(start, '_YYYYMMDD'))::name FROM pg_class c WHERE c.oid = parent
$$;
COMMENT ON FUNCTION key_vault_internal.storage_partition_name(regclass, timestamptz) IS
'name of the partition of a storage''s table that begins at a time';

CREATE OR REPLACE FUNCTION key_vault_internal.storage_drop_old(parent regclass, default_partition regclass,
                                                               key_column name, oldest timestamptz, unit text)
RETURNS text LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET "TimeZone" = 'UTC'
SET "DateStyle" = 'ISO' AS $$
DECLARE
    -- The number of rows that a step deletes at most.
    max_deleted constant integer := 10000;
    part record;
    rows bigint;
BEGIN
    SELECT p.name, p.name::text AS told, p.until INTO part
      FROM (SELECT i.inhrelid::regclass AS name,
                   substring(pg_get_expr(c.relpartbound, c.oid) FROM 'TO [(]''(.*)''[)]')::timestamptz AS until
              FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
             WHERE i.inhparent = parent) p
     WHERE p.until <= oldest ORDER BY p.until LIMIT 1;
    IF FOUND THEN
        -- The lock keeps the number of rows as it is counted, until they are dropped.
        EXECUTE format('LOCK TABLE %s IN SHARE MODE', part.name);
        EXECUTE format('SELECT count(*) FROM %s', part.name) INTO rows;
        EXECUTE format('DROP TABLE %s', part.name);
        RETURN format('dropped partition %s: %s stored before %s', part.told,
                      CASE rows WHEN 1 THEN '1 row that was' ELSE rows || ' rows that were' END, part.until);
    END IF;
    -- Rows of whole intervals are deleted, as if each interval had a partition.  If Citus has distributed the table, all
    -- of them are deleted at once, since ctid says nothing then.
    IF EXISTS (SELECT FROM key_vault_internal.relations() r WHERE r.oid = coalesce(default_partition, parent)) THEN
        EXECUTE format('DELETE FROM %1$s WHERE ctid = ANY (ARRAY(SELECT d.ctid FROM %1$s d WHERE d.%2$I < $1 LIMIT $2))',
                       coalesce(default_partition, parent), key_column)
          USING date_trunc(unit, oldest), max_deleted;
    ELSE
        EXECUTE format('DELETE FROM %s WHERE %I < $1', coalesce(default_partition, parent), key_column)
          USING date_trunc(unit, oldest);
    END IF;
    GET DIAGNOSTICS rows = ROW_COUNT;
    IF rows > 0 THEN
        RETURN format(CASE rows WHEN 1 THEN 'deleted %s row of %s that was stored before %s' ELSE 'deleted %s rows of %s that were stored before %s' END,
                      rows, coalesce(default_partition, parent), date_trunc(unit, oldest));
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION key_vault_internal.storage_drop_old(regclass, regclass, name, timestamptz, text) IS
'drops a partition that is too old or, if there is none, deletes some rows that are too old; returns what it did, or NULL if there is nothing to do; for storage_maintain_step()';

CREATE OR REPLACE FUNCTION key_vault_internal.storage_make_partition(parent regclass, key_column name, start timestamptz,
                                                                     until timestamptz, rows_from regclass)
RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET "TimeZone" = 'UTC'
SET "DateStyle" = 'ISO' AS $$
DECLARE
    schema name;
    name name := key_vault_internal.storage_partition_name(parent, start);
    part regclass;
    columns text;
BEGIN
    SELECT n.nspname INTO STRICT schema
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = parent;
    EXECUTE format('CREATE TABLE %I.%I (LIKE %s INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE INCLUDING COMPRESSION)',
                   schema, name, parent);
    part := format('%I.%I', schema, name)::regclass;
    IF rows_from IS NOT NULL THEN
        SELECT string_agg(quote_ident(a.attname), ', ') INTO columns
          FROM pg_attribute a WHERE a.attrelid = parent AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '';
        EXECUTE format('WITH moved AS (DELETE FROM %1$s WHERE %2$I >= $1 AND %2$I < $2 RETURNING *)
                        INSERT INTO %3$s (%4$s) SELECT %4$s FROM moved', rows_from, key_column, part, columns)
          USING start, until;
    END IF;
    -- In a storage of version 1.0 that is not updated yet, the parent table has the index.
    IF key_column = 'stored_at' THEN
        PERFORM key_vault_internal.storage_finish_leaf(part, (SELECT c.relname FROM pg_class c WHERE c.oid = parent));
    END IF;
    EXECUTE format('ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (%L) TO (%L)', parent, part, start, until);
END
$$;
COMMENT ON FUNCTION key_vault_internal.storage_make_partition(regclass, name, timestamptz, timestamptz, regclass) IS
'makes a partition of a storage''s table, and moves the rows of its time from another table into it; for storage_maintain_step()';

CREATE OR REPLACE FUNCTION key_vault_internal.storage_maintain_step(schema name, ahead integer, keep interval)
RETURNS text LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET row_security = off
SET "TimeZone" = 'UTC'
SET "DateStyle" = 'ISO' AS $$
#variable_conflict use_variable
DECLARE
    -- The number of partitions that a step makes at most, and of rows that it moves into more than one partition.
    max_partitions constant integer := 16;
    max_moved constant bigint := 100000::bigint;
    oldest constant timestamptz := now() - keep;
    partitioning text;
    unit text;
    step interval;
    kind name;
    parent regclass;
    default_partition regclass;
    key_column name;
    starts timestamptz[];
    start timestamptz;
    rows bigint;
    came boolean;
    made integer;
    did text;
BEGIN
    PERFORM key_vault_internal.storage_check_relations(schema);
    IF ahead IS NULL OR ahead NOT BETWEEN 0 AND 1000 THEN
        RAISE EXCEPTION 'ahead must be from 0 to 1000 partitions' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF keep <= interval '0' THEN
        RAISE EXCEPTION 'keep must be a positive interval' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- A storage of version 1.0 that is not updated yet has no column partitioning.
    EXECUTE format('SELECT s.partition_interval, coalesce(to_jsonb(s) ->> ''partitioning'', ''native'') FROM %I.storage_settings s', schema)
       INTO STRICT unit, partitioning;
    step := ('1 ' || unit)::interval;
    IF partitioning = 'external' THEN
        IF keep IS NOT NULL THEN
            RAISE EXCEPTION 'partitions of storage "%" are managed by another tool', schema
                USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Tell that tool how long to keep partitions.';
        END IF;
        RETURN NULL;
    END IF;

    FOREACH kind IN ARRAY '{uplink,downlink}'::name[] LOOP
        parent := format('%I.%I', schema, kind)::regclass;
        -- This lock lets only one run do this at a time, and does not stop readers and writers.
        EXECUTE format('LOCK TABLE ONLY %s IN SHARE UPDATE EXCLUSIVE MODE', parent);
        IF partitioning = 'timescaledb' THEN
            did := key_vault_internal.storage_maintain_hypertable(parent, ahead, oldest);
            IF did IS NOT NULL THEN
                RETURN did;
            END IF;
            CONTINUE;
        END IF;
        IF partitioning = 'none' THEN
            key_column := 'stored_at';
        ELSE
            default_partition := format('%I.%I', schema, kind || '_default')::regclass;
            -- In a storage of version 1.0 that is not updated yet, it is received_at.
            SELECT a.attname INTO STRICT key_column
              FROM pg_partitioned_table p JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = p.partattrs[0]
             WHERE p.partrelid = parent;
        END IF;

        IF keep IS NOT NULL THEN
            did := key_vault_internal.storage_drop_old(parent, default_partition, key_column, oldest, unit);
            IF did IS NOT NULL THEN
                RETURN did;
            END IF;
        END IF;
        CONTINUE WHEN partitioning = 'none';

        -- Find rows in the default partition that came when there was no partition for them.  Take the rows of as many
        -- intervals as a step may move, and of one interval at least.
        EXECUTE format(
            'SELECT array_agg(n.start ORDER BY n.start), sum(n.rows)
               FROM (SELECT s.start, s.rows, sum(s.rows) OVER w - s.rows AS before, row_number() OVER w AS n
                       FROM (SELECT date_trunc($1, %I) AS start, count(*) AS rows FROM %s GROUP BY 1) s
                      WHERE s.start <= now() + $2
                        AND to_regclass(format(''%%I.%%I'', $3, key_vault_internal.storage_partition_name($4, s.start))) IS NULL
                     WINDOW w AS (ORDER BY s.start)) n
              WHERE n.n = 1 OR n.n <= $5 AND n.before + n.rows <= $6', key_column, default_partition)
           INTO starts, rows USING unit, ahead * step, schema, parent, max_partitions, max_moved;
        IF starts IS NOT NULL THEN
            -- Lock the parent table first.  A query that waited for the default partition only would have its list of
            -- partitions already, and would not find the rows that are moved.  Detach the default partition, so that a
            -- publication of the parent table does not publish that rows are deleted: a subscriber keeps them.
            EXECUTE format('LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE', parent);
            EXECUTE format('ALTER TABLE %s DETACH PARTITION %s', parent, default_partition);
            FOREACH start IN ARRAY starts LOOP
                PERFORM key_vault_internal.storage_make_partition(parent, key_column, start, start + step, default_partition);
            END LOOP;
            EXECUTE format('ALTER TABLE %s ATTACH PARTITION %s DEFAULT', parent, default_partition);
            RETURN format('moved %s of %s out of %s into %s, from %s on', CASE rows WHEN 1 THEN '1 row' ELSE rows || ' rows' END, kind, default_partition,
                          CASE cardinality(starts) WHEN 1 THEN '1 partition' ELSE cardinality(starts) || ' partitions' END, starts[1]);
        END IF;

        -- Make the partitions of the present interval and of those after it.
        starts := ARRAY(SELECT date_trunc(unit, now()) + n * step FROM generate_series(0, ahead) n
                         WHERE to_regclass(format('%I.%I', schema, key_vault_internal.storage_partition_name(
                                               parent, date_trunc(unit, now()) + n * step))) IS NULL
                         ORDER BY 1 LIMIT max_partitions);
        made := 0;
        FOREACH start IN ARRAY starts LOOP
            -- Take the lock that ATTACH PARTITION needs at once: a weaker lock that is raised later can deadlock.
            EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', default_partition);
            -- Rows that came in the meantime are moved by the next step.
            EXECUTE format('SELECT count(*) > 0 FROM (SELECT 1 FROM %1$s d WHERE d.%2$I >= $1 AND d.%2$I < $2 LIMIT 1) s',
                           default_partition, key_column)
               INTO came USING start, start + step;
            CONTINUE WHEN came;
            PERFORM key_vault_internal.storage_make_partition(parent, key_column, start, start + step, NULL);
            made := made + 1;
        END LOOP;
        IF cardinality(starts) > 0 THEN
            RETURN CASE WHEN made = 0 THEN '' ELSE format('made %s of %s, from %s on',
                               CASE made WHEN 1 THEN '1 partition' ELSE made || ' partitions' END, parent, starts[1]) END;
        END IF;

        -- A table may have the name of a partition and be none, for example because it was detached to be archived.
        FOR did IN
            EXECUTE format(
                'SELECT DISTINCT r.name::text
                   FROM (SELECT to_regclass(format(''%%I.%%I'', $1, key_vault_internal.storage_partition_name($2, s.start))) AS name
                           FROM (SELECT date_trunc($3, %I) AS start FROM %s UNION SELECT date_trunc($3, now()) + n * $4 FROM generate_series(0, $5) n) s) r
                  WHERE NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = $2 AND i.inhrelid = r.name)
                    AND r.name IS NOT NULL', key_column, default_partition)
              USING schema, parent, unit, step, ahead
        LOOP
            RAISE WARNING 'table % exists but is not a partition of %: rows of its time stay in the default partition', did, parent;
        END LOOP;
    END LOOP;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION key_vault_internal.storage_maintain_step(name, integer, interval) IS
'does a step of maintain_storage(), with the rights of the current role; returns what it did, an empty text if that needs no report, or NULL if nothing is left to do';

CREATE OR REPLACE PROCEDURE key_vault.maintain_storage(schema name, ahead integer DEFAULT 7, keep interval DEFAULT NULL)
AS 'MODULE_PATHNAME', 'key_vault_maintain_storage'
LANGUAGE C;
COMMENT ON PROCEDURE key_vault.maintain_storage(name, integer, interval) IS
'maintains a storage: makes the partitions of the present interval and of so many intervals ahead, moves rows from the default partitions into partitions of their own and, if keep is given, drops uplinks and downlinks that were stored longer ago (whole partitions, or chunks of a hypertable; rows, if there are no partitions); sessions are kept. The caller must have the rights of the storage''s owner; it runs as the owner. It works in steps, each a transaction of its own unless it is called in a transaction; a NOTICE says what each step did, with the number of rows that were dropped. Run it from time to time, for example by pg_cron';
