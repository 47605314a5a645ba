-- Which columns hold wrapped keys, and which KEKs wrap them.

-- Types that are made of wrapped_key hold wrapped keys, too: domains and, with more than one key
-- in a value, arrays, composite types and ranges.
--
-- The planner expects a recursive query to find thousands of types. PostgreSQL would then compile each query that uses
-- them just in time, which takes most of a second, although the query itself runs for milliseconds.
CREATE OR REPLACE FUNCTION key_vault_internal.key_types()
RETURNS TABLE (type oid, nested boolean)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 10
SET search_path = pg_catalog, pg_temp
SET jit = off AS $$
WITH RECURSIVE types (type, nested) AS (
    SELECT 'key_vault.wrapped_key'::regtype::oid, false
    UNION
    SELECT made.type, types.nested OR made.nested
      FROM types, LATERAL (
           SELECT t.oid, false FROM pg_type t
            WHERE t.typtype = 'd' AND t.typbasetype = types.type
           UNION ALL
           SELECT t.oid, true FROM pg_type t
            WHERE t.typelem = types.type AND t.typsubscript = 'array_subscript_handler'::regproc
           UNION ALL
           SELECT t.oid, true FROM pg_type t JOIN pg_attribute a ON a.attrelid = t.typrelid
            WHERE t.typtype = 'c' AND a.atttypid = types.type AND NOT a.attisdropped
           UNION ALL
           SELECT unnest(ARRAY[r.rngtypid, r.rngmultitypid]), true FROM pg_range r
            WHERE r.rngsubtype = types.type) AS made (type, nested)
)
SELECT types.type, types.nested FROM types
$$;
COMMENT ON FUNCTION key_vault_internal.key_types() IS
'the types whose values are wrapped keys or contain some; nested: true if a value can have several keys in it';

CREATE OR REPLACE VIEW key_vault.wrapped_key_columns AS
SELECT c.oid::regclass AS relation, a.attname AS "column", types.nested, c.kind AS relkind,
       c.persistence = 't' AND c.namespace <> pg_my_temp_schema() AS other_session
  FROM key_vault_internal.relations() c
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  JOIN key_vault_internal.key_types() types ON types.type = a.atttypid;
GRANT SELECT ON key_vault.wrapped_key_columns TO PUBLIC;
COMMENT ON VIEW key_vault.wrapped_key_columns IS
'all columns of this database that hold wrapped keys; nested: in arrays, composite types or ranges; other_session: in a temporary table of another session, which cannot be read';
COMMENT ON COLUMN key_vault.wrapped_key_columns.relation IS 'table, materialized view or foreign table';
COMMENT ON COLUMN key_vault.wrapped_key_columns."column" IS 'its column';
COMMENT ON COLUMN key_vault.wrapped_key_columns.nested IS 'true if a value can have several keys in it: arrays, composite types, ranges';
COMMENT ON COLUMN key_vault.wrapped_key_columns.relkind IS 'kind of the relation, as in pg_class: r (table), m (materialized view) or f (foreign table)';
COMMENT ON COLUMN key_vault.wrapped_key_columns.other_session IS 'true for a temporary table of another session, which cannot be read';

CREATE OR REPLACE FUNCTION key_vault.kek_ids(value anyelement)
RETURNS uuid[] AS 'MODULE_PATHNAME', 'key_vault_kek_ids'
LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION key_vault.kek_ids(anyelement) IS
'the kek_ids of the keys in a value of any type: a wrapped_key, or an array, row, range or domain made of them; one element for each key, in their order';

CREATE OR REPLACE FUNCTION key_vault_internal.count_keys(relation regclass, "column" name)
RETURNS TABLE (kek_id uuid, keys bigint)
AS 'MODULE_PATHNAME', 'key_vault_count_keys'
LANGUAGE C STABLE STRICT;
COMMENT ON FUNCTION key_vault_internal.count_keys(regclass, name) IS
'how many keys in a column of one relation, without its children, each KEK wraps; reads all rows, as the owner of the relation. Takes SELECT on the column';

CREATE OR REPLACE FUNCTION key_vault_internal.notice_unknown_label(label text)
RETURNS void AS 'MODULE_PATHNAME', 'key_vault_notice_unknown_label'
LANGUAGE C STABLE STRICT;
COMMENT ON FUNCTION key_vault_internal.notice_unknown_label(text) IS
'raises a notice if a KEK label does not exist, which names the label that is most like it';

-- Everyone may call it: count_keys() checks the caller's privileges on each column, and everything
-- else that it shows is in public views.
CREATE OR REPLACE FUNCTION key_vault.kek_usage(label text DEFAULT NULL)
RETURNS TABLE (kek_label text, kek_version integer, state text,
               relation regclass, "column" name, keys bigint)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    col record;
    message text;
BEGIN
    PERFORM key_vault_internal.notice_unknown_label(kek_usage.label);
    PERFORM key_vault_internal.notice_other_nodes('SELECT json_agg(u) FROM key_vault.kek_usage() u');
    FOR col IN SELECT c.*
                 FROM (SELECT w.relation, w."column", w.other_session, false FROM key_vault.wrapped_key_columns w
                       UNION ALL
                       SELECT e.relation, e."column", false, true FROM key_vault.key_envelope_columns e)
                      c (relation, "column", other_session, is_envelope)
                ORDER BY c.is_envelope, c.relation::text, c."column"
    LOOP
        IF col.other_session OR NOT has_column_privilege(col.relation, col."column", 'SELECT') THEN
            RAISE WARNING 'column "%" of table % could not be read and is left out', col."column", col.relation
                USING HINT = 'Call it as a role that may read the column, or as a superuser.';
            CONTINUE;
        END IF;
        BEGIN
            IF col.is_envelope THEN
                RETURN QUERY
                    SELECT e.kek_label, NULL::integer, NULL::text, col.relation, col."column", e.envelopes
                      FROM key_vault_internal.count_envelopes(col.relation, col."column") e
                     WHERE kek_usage.label IS NULL OR e.kek_label = kek_usage.label
                     ORDER BY 1;
                CONTINUE;
            END IF;
            RETURN QUERY
                SELECT k.label, k.version, k.state, col.relation, col."column", u.keys
                  FROM key_vault_internal.count_keys(col.relation, col."column") u
                  LEFT JOIN key_vault.keks k USING (kek_id)
                 WHERE kek_usage.label IS NULL OR k.label = kek_usage.label
                 ORDER BY 1, 2;
        EXCEPTION WHEN OTHERS THEN
            -- If the code of one table's owner fails, or a foreign server does not answer, the
            -- other tables are counted all the same.
            GET STACKED DIAGNOSTICS message = MESSAGE_TEXT;
            RAISE WARNING 'column "%" of table % could not be read and is left out', col."column", col.relation
                USING ERRCODE = SQLSTATE, DETAIL = 'The error is: ' || message || '.';
        END;
    END LOOP;
END
$$;
COMMENT ON FUNCTION key_vault.kek_usage(text) IS
'how many keys in which column each KEK version wraps, for one label or for all; label and version are NULL for KEKs that this database does not have. Then come key envelopes that storages have not opened yet, by their label; their version is NULL, since nobody knows which version opens them. Each table is read as its owner, a foreign table with its owner''s user mapping; rows that row-level security hides from the caller count, too. If a column cannot be read there is a warning. Of a Citus cluster, only the tables of this node are counted, and a notice names the others.';
