-- Checks whether the keys of this database open, for example after a restore.

CREATE OR REPLACE FUNCTION key_vault_internal.check_column(relation regclass, "column" name)
RETURNS TABLE (problem text, keys bigint)
AS 'MODULE_PATHNAME', 'key_vault_check_column'
LANGUAGE C STABLE STRICT;
COMMENT ON FUNCTION key_vault_internal.check_column(regclass, name) IS
'how many keys in a column of one relation, without its children, open (problem is NULL), and how many do not, for each problem; reads all rows, as the owner of the relation. Takes SELECT on the column; keys of labels on which the caller has neither a privilege that opens keys nor admin are counted with a problem';

CREATE OR REPLACE FUNCTION key_vault.check_keys()
RETURNS TABLE (relation regclass, "column" name, keys bigint, opened bigint, problems jsonb)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    col record;
    found record;
    message text;
BEGIN
    FOR col IN SELECT * FROM key_vault.wrapped_key_columns w ORDER BY w.relation::text, w."column"
    LOOP
        relation := col.relation;
        "column" := col."column";
        keys := NULL;
        opened := NULL;
        IF col.other_session THEN
            problems := jsonb_build_object('it is a temporary table of another session', NULL);
        ELSE
            BEGIN
                SELECT coalesce(sum(c.keys), 0)::bigint AS keys,
                       coalesce(sum(c.keys) FILTER (WHERE c.problem IS NULL), 0)::bigint AS opened,
                       jsonb_object_agg(c.problem, c.keys) FILTER (WHERE c.problem IS NOT NULL) AS problems
                  INTO found
                  FROM key_vault_internal.check_column(col.relation, col."column") c;
                keys := found.keys;
                opened := found.opened;
                problems := found.problems;
            EXCEPTION WHEN OTHERS THEN
                -- One table that cannot be read does not keep the others from being checked.
                GET STACKED DIAGNOSTICS message = MESSAGE_TEXT;
                problems := jsonb_build_object(message, NULL);
            END;
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION key_vault.check_keys() IS
'opens every wrapped key of this database and shows none: for each column how many keys it has, how many open, and problems, an object with the reason and the number of keys for those that do not (NULL where there are none). Reasons are those of key_status(), or the message of the error that a use of the key raises. Where a column could not be read, the numbers are NULL and problems has the error. Each table is read as its owner; rows that row-level security hides from the caller count too. Keys of labels on which the caller has neither a privilege that opens keys nor admin are not opened: call it as a superuser after a restore';
