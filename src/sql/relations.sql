-- The relations that can hold rows, and the other servers of a cluster.

-- It does not read pg_class with a query, since Citus hides tables from queries on pg_class.
CREATE OR REPLACE FUNCTION key_vault_internal.relations()
RETURNS TABLE (oid oid, table_name name, namespace oid, kind "char", persistence "char")
AS 'MODULE_PATHNAME', 'key_vault_relations'
LANGUAGE C STABLE PARALLEL SAFE;
COMMENT ON FUNCTION key_vault_internal.relations() IS
'all tables, materialized views and foreign tables of this database, with those that Citus hides (shards), and without those whose rows Citus keeps in shards; table_name: for a shard, the name of the table to which it belongs';

CREATE OR REPLACE FUNCTION key_vault_internal.other_nodes()
RETURNS text[] LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    nodes text[];
BEGIN
    IF to_regclass('pg_catalog.pg_dist_node') IS NOT NULL THEN
        EXECUTE 'SELECT array_agg(format(''%s:%s'', n.nodename, n.nodeport) ORDER BY n.nodename, n.nodeport)
                   FROM pg_dist_node n
                  WHERE n.noderole::text = ''primary'' AND n.groupid NOT IN (SELECT l.groupid FROM pg_dist_local_group l)'
           INTO nodes;
    END IF;
    RETURN nodes;
END
$$;
COMMENT ON FUNCTION key_vault_internal.other_nodes() IS
'the other servers of the Citus cluster to which this one belongs, as name:port; NULL if there are none';

CREATE OR REPLACE FUNCTION key_vault_internal.notice_other_nodes(command text)
RETURNS void LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    nodes constant text[] := key_vault_internal.other_nodes();
BEGIN
    IF nodes IS NOT NULL THEN
        RAISE NOTICE 'keys on other servers of the Citus cluster are not looked at'
            USING DETAIL = format('The other servers are: %s.', array_to_string(nodes, ', ')),
                  HINT = format('Run it on all of them: SELECT * FROM run_command_on_all_nodes(%L).', command);
    END IF;
END
$$;
COMMENT ON FUNCTION key_vault_internal.notice_other_nodes(text) IS
'says in a NOTICE which other servers of the Citus cluster have keys that a command does not reach';
