-- Changes the tables uplink and downlink of version 1.0.  They are partitioned by received_at, the time that the network
-- gave; the tables of this version are partitioned by stored_at, the time at which a row was stored.
--
-- The tables stay, and so do their rows, grants, policies, triggers, and the owner's views of them.  The column
-- received_at, by which they are partitioned, is renamed to stored_at, and received_at is a new column with the same
-- times.  A row whose time is impossible (before 2015, or more than a day ahead) gets the time of the update in both
-- columns, so that it is neither dropped at once because of its age, nor kept for ever.

CREATE OR REPLACE FUNCTION key_vault_internal.storage_add_stored_at(parent name)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    old oid := to_regclass(quote_ident(parent))::oid;
BEGIN
    IF old IS NULL
       OR EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = old AND a.attname = 'stored_at' AND NOT a.attisdropped)
    THEN
        RETURN;
    END IF;
    EXECUTE format('ALTER TABLE %I RENAME received_at TO stored_at', parent);
    EXECUTE format('DROP INDEX %I, %I', parent || '_device_idx', parent || '_received_at_idx');
    EXECUTE format('ALTER TABLE %I ALTER stored_at SET DEFAULT now()', parent);
    EXECUTE format('ALTER TABLE %I ADD received_at timestamptz', parent);
    -- This writes each partition anew.  An UPDATE would leave it twice as large.
    EXECUTE format('ALTER TABLE %I ALTER received_at TYPE timestamptz USING stored_at, ALTER received_at SET NOT NULL', parent);
    -- Each row gets another microsecond, since the unique index of a partition includes received_at.
    EXECUTE format(
        'UPDATE %1$I u SET stored_at = now() - n.n * interval ''1 us'', received_at = now() - n.n * interval ''1 us''
           FROM (SELECT w.tableoid, w.ctid, row_number() OVER (ORDER BY w.stored_at DESC) AS n
                   FROM %1$I w WHERE w.stored_at < ''2015-01-01 00:00Z'' OR w.stored_at > now() + interval ''1 day'') n
          WHERE u.tableoid = n.tableoid AND u.ctid = n.ctid', parent);
    UPDATE storage_settings s SET rows_of_1_0_until = now() + interval '1 day';
END
$$;
COMMENT ON FUNCTION key_vault_internal.storage_add_stored_at(name) IS
'changes a table uplink or downlink of version 1.0, in the first schema of search_path, to one of this version; leaves other tables as they are';
