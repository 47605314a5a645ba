-- Gives the partitions of uplink and downlink what they cannot have from the parent table.
--
-- Each partition has a unique index of its own, which refuses a second delivery that comes at the same moment.  A
-- unique index of the parent would have to include stored_at, by which the tables are partitioned, and two deliveries
-- of a message differ in stored_at.

CREATE OR REPLACE FUNCTION key_vault_internal.storage_finish_leaf(leaf regclass, parent name)
RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    columns constant text[] := CASE parent
        WHEN 'uplink' THEN '{dev_eui,received_at,f_cnt,session_key_id}'::text[]
        WHEN 'downlink' THEN '{dev_eui,received_at,event,f_cnt,session_key_id,queue_item_id,item}'::text[]
    END;
    name text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_index i
                    WHERE i.indrelid = leaf AND i.indisunique AND i.indnullsnotdistinct AND i.indisvalid
                      AND i.indpred IS NULL AND i.indnkeyatts = cardinality(columns)
                      AND columns = ARRAY(SELECT pg_get_indexdef(i.indexrelid, n::integer, true)
                                            FROM generate_series(1, i.indnkeyatts) n))
    THEN
        SELECT left(c.relname, 52) || '_device_idx' INTO name FROM pg_class c WHERE c.oid = leaf;
        EXECUTE format('CREATE UNIQUE INDEX %I ON %s (%s) NULLS NOT DISTINCT', name, leaf, array_to_string(columns, ', '));
    END IF;
    -- The rows of a published table can be deleted only if it has a replica identity.  An index with columns that can
    -- be NULL, as this one, cannot be the replica identity.
    IF (SELECT c.relreplident FROM pg_class c WHERE c.oid = leaf) = 'd' THEN
        EXECUTE format('ALTER TABLE %s REPLICA IDENTITY FULL', leaf);
    END IF;
END
$$;
COMMENT ON FUNCTION key_vault_internal.storage_finish_leaf(regclass, name) IS
'gives a partition of a storage''s table uplink or downlink its unique index, if it is missing, and the replica identity FULL, if it has the default one';

CREATE OR REPLACE FUNCTION key_vault_internal.storage_finish_leaves(parent name)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    leaf regclass;
BEGIN
    -- A table that is not partitioned is its own leaf.
    FOR leaf IN SELECT c.oid::regclass FROM pg_class c WHERE c.oid = quote_ident(parent)::regclass AND c.relkind = 'r'
                 UNION ALL
                SELECT t.relid FROM pg_partition_tree(quote_ident(parent)) t WHERE t.isleaf ORDER BY 1 LOOP
        PERFORM key_vault_internal.storage_finish_leaf(leaf, parent);
    END LOOP;
    IF (SELECT c.relreplident FROM pg_class c WHERE c.oid = quote_ident(parent)::regclass) = 'd' THEN
        EXECUTE format('ALTER TABLE %I REPLICA IDENTITY FULL', parent);
    END IF;
END
$$;
COMMENT ON FUNCTION key_vault_internal.storage_finish_leaves(name) IS
'calls storage_finish_leaf() for all partitions of a table in the first schema of search_path';
