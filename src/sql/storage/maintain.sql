-- Partitions of a storage: made ahead, filled from the default partition, dropped when they are old.
--
-- maintain_storage() is in C: whoever calls it, the work is done as the storage's owner, since triggers and index
-- expressions of the tables are the owner's code.

CREATE OR REPLACE FUNCTION key_vault_internal.storage_make_partitions(schema name, ahead integer, keep interval)
RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
SET row_security = off
SET "TimeZone" = 'UTC'
SET "DateStyle" = 'ISO' AS $$
#variable_conflict use_variable
DECLARE
    parent regclass;
    default_partition regclass;
    step interval;
    unit text;
    oldest timestamptz := now() - keep;
    part record;
    part_name text;
    there regclass;
    starts timestamptz[];
    start timestamptz;
    moves boolean;
    came boolean;
BEGIN
    PERFORM key_vault_internal.storage_check_relations(schema);
    IF ahead IS NULL OR ahead NOT BETWEEN 0 AND 1000 THEN
        RAISE EXCEPTION 'ahead must be from 0 to 1000 partitions' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF keep <= interval '0' THEN
        RAISE EXCEPTION 'keep must be a positive interval' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    EXECUTE format('SELECT partition_interval FROM %I.storage_settings', schema) INTO STRICT unit;
    step := ('1 ' || unit)::interval;

    FOREACH parent IN ARRAY ARRAY[format('%I.uplink', schema), format('%I.downlink', schema)]::regclass[] LOOP
        SELECT format('%I.%I', schema, c.relname || '_default')::regclass INTO default_partition
          FROM pg_class c WHERE c.oid = parent;
        -- One run at a time; readers and writers go on.
        EXECUTE format('LOCK TABLE ONLY %s IN SHARE UPDATE EXCLUSIVE MODE', parent);

        IF keep IS NOT NULL THEN
            FOR part IN
                SELECT i.inhrelid::regclass AS name
                  FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                 WHERE i.inhparent = parent
                   AND substring(pg_get_expr(c.relpartbound, c.oid) FROM 'TO [(]''(.*)''[)]')::timestamptz <= oldest
            LOOP
                EXECUTE format('DROP TABLE %s', part.name);
            END LOOP;
            EXECUTE format('DELETE FROM %s WHERE received_at < $1', default_partition)
              USING date_trunc(unit, oldest);
        END IF;

        -- From now on, and what came for other times before.
        EXECUTE format(
            'SELECT array_agg(DISTINCT p.start ORDER BY p.start), bool_or(p.is_late)
               FROM (SELECT date_trunc($1, now()) + n * $2 AS start, false AS is_late FROM generate_series(0, $3) n
                     UNION
                     SELECT date_trunc($1, received_at), true FROM %s) p
              WHERE p.start <= now() + $3 * $2', default_partition)
           INTO starts, moves USING unit, step, ahead;
        IF moves THEN
            -- Who waits for the default partition knows the others already, and would find
            -- its rows nowhere: all wait for the table itself.
            EXECUTE format('LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE', parent);
        END IF;
        FOREACH start IN ARRAY starts LOOP
            part_name := (SELECT relname FROM pg_class WHERE oid = parent) || to_char(start, '_YYYYMMDD');
            there := to_regclass(format('%I.%I', schema, part_name));
            CONTINUE WHEN EXISTS (SELECT FROM pg_inherits WHERE inhparent = parent AND inhrelid = there);
            IF there IS NOT NULL THEN
                -- One that was detached, perhaps, to be archived.
                RAISE WARNING '% is there and no partition of %: rows of its time stay in the default partition', there, parent;
                CONTINUE;
            END IF;
            -- At once the lock that attaching takes: one that grows could be a deadlock.
            EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', default_partition);
            IF NOT moves THEN
                -- What came meanwhile is for the next run.
                EXECUTE format('SELECT EXISTS (SELECT FROM %s WHERE received_at >= $1 AND received_at < $2)',
                               default_partition)
                   INTO came USING start, start + step;
                CONTINUE WHEN came;
            END IF;
            EXECUTE format('CREATE TABLE %I.%I (LIKE %s INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE INCLUDING COMPRESSION)',
                           schema, part_name, parent);
            EXECUTE format('WITH moved AS (DELETE FROM %s WHERE received_at >= $1 AND received_at < $2 RETURNING *)
                            INSERT INTO %I.%I SELECT * FROM moved', default_partition, schema, part_name)
              USING start, start + step;
            EXECUTE format('ALTER TABLE %s ATTACH PARTITION %I.%I FOR VALUES FROM (%L) TO (%L)',
                           parent, schema, part_name, start, start + step);
        END LOOP;
    END LOOP;
END
$$;
COMMENT ON FUNCTION key_vault_internal.storage_make_partitions(name, integer, interval) IS
'what maintain_storage() does, with the rights of the current role';

CREATE OR REPLACE PROCEDURE key_vault.maintain_storage(schema name, ahead integer DEFAULT 7, keep interval DEFAULT NULL)
AS 'MODULE_PATHNAME', 'key_vault_maintain_storage'
LANGUAGE C;
COMMENT ON PROCEDURE key_vault.maintain_storage(name, integer, interval) IS
'for a storage made by create_storage, by its owner or whoever has the owner''s rights, and run as the owner: makes the partitions of now and so many intervals ahead, moves what came for other times out of the default partitions into their own, and, given keep, drops uplinks and downlinks that are older (whole partitions); sessions are kept. To be run from time to time, by pg_cron for instance';
