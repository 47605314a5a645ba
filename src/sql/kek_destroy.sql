-- What hangs on a KEK, and destroying one
------------------------------------------------------------------------------

-- Whatever is made of wrapped_key holds wrapped keys: domains and, with more
-- than one key in a value, arrays, composite types and ranges.
CREATE VIEW key_vault.wrapped_key_columns AS
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
SELECT c.oid::regclass AS relation, a.attname AS "column", types.nested, c.relkind,
       c.relpersistence = 't' AND c.relnamespace <> pg_my_temp_schema() AS other_session
  FROM pg_class c
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  JOIN types ON types.type = a.atttypid
 WHERE c.relkind IN ('r', 'm', 'f');
COMMENT ON VIEW key_vault.wrapped_key_columns IS
'the columns of this database that hold wrapped keys, of whatever table; nested: in arrays, composite types or ranges; other_session: in a temporary table of another session, which cannot be read';

CREATE FUNCTION key_vault.kek_ids(value anyelement)
RETURNS uuid[] AS 'MODULE_PATHNAME', 'key_vault_kek_ids'
LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION key_vault.kek_ids(anyelement) IS
'the KEKs that wrap the keys in a value of any type: a wrapped_key, or an array, row, range or domain made of them; one element a key, in their order';

CREATE FUNCTION key_vault.kek_usage(label text DEFAULT NULL)
RETURNS TABLE (kek_label text, kek_version integer, state text,
               relation regclass, "column" name, keys bigint)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    col record;
BEGIN
    FOR col IN SELECT * FROM key_vault.wrapped_key_columns w ORDER BY w.relation::text, w."column"
    LOOP
        IF col.other_session OR NOT has_column_privilege(col.relation, col."column", 'SELECT') THEN
            RAISE WARNING 'column "%" of table % could not be read and is left out', col."column", col.relation
                USING HINT = 'A role that may read it, or a superuser, sees all.';
            CONTINUE;
        END IF;
        RETURN QUERY EXECUTE format(
            'SELECT k.label, k.version, k.state, %3$L::regclass, %2$L::name, u.keys
               FROM (SELECT v.kek_id, count(*) AS keys
                       FROM ONLY %1$s, LATERAL (%4$s) AS v (kek_id)
                      WHERE v.kek_id IS NOT NULL GROUP BY 1) u
               LEFT JOIN key_vault.keks k USING (kek_id)
              WHERE $1 IS NULL OR k.label = $1
              ORDER BY 1, 2',
            col.relation, col."column", col.relation::oid,
            CASE WHEN col.nested THEN
                format('SELECT * FROM unnest(key_vault.kek_ids(%I))', col."column")
            ELSE
                format('VALUES (key_vault.kek_id(%I::key_vault.wrapped_key))', col."column")
            END)
        USING label;
    END LOOP;
END
$$;
COMMENT ON FUNCTION key_vault.kek_usage(text) IS
'how many wrapped keys of which column hang on which KEK version, of one label or of all; label and version are NULL for KEKs that this database does not know';

CREATE FUNCTION key_vault.kek_erase(label text, version integer)
RETURNS void AS 'MODULE_PATHNAME', 'key_vault_kek_erase'
LANGUAGE C;
COMMENT ON FUNCTION key_vault.kek_erase(text, integer) IS
'erases the material of a KEK without asking whether keys need it: for kek_destroy; takes the privilege admin';

CREATE FUNCTION key_vault.kek_destroy(label text, version integer, force boolean DEFAULT false)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET row_security = off AS $$
#variable_conflict use_variable
DECLARE
    col record;
    found_keys record;
    publications text;
    locked oid[] := '{}';
BEGIN
    IF label IS NULL OR version IS NULL OR force IS NULL THEN
        RAISE EXCEPTION 'arguments of kek_destroy must not be NULL'
            USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF NOT key_vault.has_kek_privilege(label, 'admin') THEN
        -- Says so in the words of all the others.
        PERFORM key_vault.kek_erase(label, version);
    END IF;
    IF NOT force THEN
        -- An older snapshot would not show keys written since.
        IF current_setting('transaction_isolation') <> 'read committed' THEN
            RAISE EXCEPTION 'kek_destroy must run in a READ COMMITTED transaction'
                USING ERRCODE = 'active_sql_transaction';
        END IF;
        SELECT string_agg(quote_ident(p.pubname), ', ' ORDER BY p.pubname) INTO publications
          FROM pg_publication_tables p WHERE p.schemaname = 'key_vault' AND p.tablename = 'kek';
        IF publications IS NOT NULL THEN
            RAISE EXCEPTION 'KEKs of this database are published to other servers'
                USING ERRCODE = 'object_not_in_prerequisite_state',
                      DETAIL = format('Table key_vault.kek is in publication %s. Keys of the subscribers that hang on the KEK cannot be seen from here.', publications),
                      HINT = 'Rewrap on the subscribers and see key_vault.kek_usage() there, then destroy the KEK with force => true.';
        END IF;
        -- Again, until no table came along while others were waited for.
        LOOP
            FOR col IN SELECT w.relation, w."column", w.relkind, w.other_session
                         FROM key_vault.wrapped_key_columns w
                        WHERE w.relation <> ALL (locked)
                        ORDER BY w.relation
            LOOP
                IF col.other_session
                   OR NOT has_column_privilege(col.relation, col."column", 'SELECT')
                   OR NOT has_table_privilege(col.relation, 'UPDATE, DELETE, TRUNCATE')
                THEN
                    RAISE EXCEPTION 'column "%" of table % could not be read and locked', col."column", col.relation
                        USING ERRCODE = 'insufficient_privilege',
                              DETAIL = 'Whether keys in it hang on the KEK cannot be told.',
                              HINT = CASE WHEN col.other_session THEN 'It is a temporary table of another session: wait for its end, or destroy the KEK with force => true.'
                                          ELSE 'Run it as a superuser, or destroy the KEK with force => true.' END;
                END IF;
                IF col.relkind = 'r' THEN
                    EXECUTE format('LOCK TABLE ONLY %s IN SHARE MODE', col.relation);
                END IF;
                locked := locked || col.relation::oid;
            END LOOP;
            EXIT WHEN NOT FOUND;
        END LOOP;
        SELECT sum(u.keys) AS keys, string_agg(format('%s in column "%s" of %s', u.keys, u."column", u.relation), ', ') AS places
          INTO found_keys
          FROM key_vault.kek_usage(label) u WHERE u.kek_version = version;
        IF found_keys.keys > 0 THEN
            RAISE EXCEPTION 'KEK label "%" version % still wraps % keys', label, version, found_keys.keys
                USING ERRCODE = 'KV008',
                      DETAIL = format('There are %s.', found_keys.places),
                      HINT = format('Rewrap them first: CALL key_vault.rewrap_all(%L). With force => true they are lost.', label);
        END IF;
    END IF;
    PERFORM key_vault.kek_erase(label, version);
    IF NOT force THEN
        RAISE NOTICE 'KEK label "%" version % is destroyed; columns of type wrapped_key of this database alone were looked at', label, version
            USING DETAIL = 'Keys that are kept as bytea, text or JSON, in other databases or in backups are out of reach.';
    END IF;
END
$$;
COMMENT ON FUNCTION key_vault.kek_destroy(text, integer, boolean) IS
'erases the material of a KEK for ever: in the table, and in every session at its next look-up of a key. Locks out writers of all tables with wrapped_key columns until the transaction ends. Without force it refuses while such a column of this database holds a key that needs it, while one cannot be read, and while table kek is published to other servers. Keys kept as bytea, text or JSON, in other databases or in backups it cannot see. The sealed material stays in WAL, in old backups, and in the dead row until VACUUM. Takes the privilege admin';

CREATE FUNCTION key_vault.kek_schedule_destroy(label text, version integer, after interval)
RETURNS timestamptz AS 'MODULE_PATHNAME', 'key_vault_kek_schedule_destroy'
LANGUAGE C;
COMMENT ON FUNCTION key_vault.kek_schedule_destroy(text, integer, interval) IS
'has a KEK destroyed by the first kek_destroy_due() after a waiting time, which may be changed by calling it again; until then it works as before; returns when. Takes the privilege admin';

CREATE FUNCTION key_vault.kek_cancel_destroy(label text, version integer)
RETURNS boolean AS 'MODULE_PATHNAME', 'key_vault_kek_cancel_destroy'
LANGUAGE C;
COMMENT ON FUNCTION key_vault.kek_cancel_destroy(text, integer) IS
'takes back kek_schedule_destroy; false if nothing was scheduled; takes the privilege admin';

-- It runs unattended: who waits for a lock has writers wait behind it.
CREATE FUNCTION key_vault.kek_destroy_due()
RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '10s' AS $$
DECLARE
    due record;
    message text;
    detail text;
    destroyed integer := 0;
BEGIN
    FOR due IN SELECT k.label, k.version FROM key_vault.keks k
                WHERE k.destroy_at <= clock_timestamp() AND k.state <> 'destroyed'
                  AND key_vault.has_kek_privilege(k.label, 'admin')
    LOOP
        BEGIN
            PERFORM key_vault.kek_destroy(due.label, due.version);
            destroyed := destroyed + 1;
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
            RAISE WARNING 'KEK label "%" version % is due, and could not be destroyed', due.label, due.version
                USING ERRCODE = SQLSTATE, DETAIL = concat_ws(' ', message || '.', nullif(detail, '')),
                      HINT = 'It stays scheduled.';
        END;
    END LOOP;
    RETURN destroyed;
END
$$;
COMMENT ON FUNCTION key_vault.kek_destroy_due() IS
'destroys the KEKs whose waiting time is over, of labels that the current role administers, as kek_destroy does without force; returns how many. What is refused is a warning and stays scheduled; a lock is waited for 10 seconds. For pg_cron, or whoever calls it';

------------------------------------------------------------------------------
