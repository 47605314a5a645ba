-- Destroying KEKs, at once or after a waiting time.

CREATE OR REPLACE FUNCTION key_vault_internal.kek_erase(label text, version integer)
RETURNS void AS 'MODULE_PATHNAME', 'key_vault_kek_erase'
LANGUAGE C;
COMMENT ON FUNCTION key_vault_internal.kek_erase(text, integer) IS
'erases the material of a KEK without asking whether keys need it: for kek_destroy. Takes the privilege admin';

CREATE OR REPLACE FUNCTION key_vault.kek_destroy(label text, version integer, force boolean DEFAULT false)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET row_security = off AS $$
#variable_conflict use_variable
DECLARE
    col record;
    found_keys record;
    publications text;
    locked oid[] := '{}'::oid[];
BEGIN
    IF label IS NULL OR version IS NULL OR force IS NULL THEN
        RAISE EXCEPTION 'arguments of kek_destroy must not be NULL'
            USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF NOT key_vault.has_kek_privilege(label, 'admin') THEN
        -- Says so in the words of all the others.
        PERFORM key_vault_internal.kek_erase(label, version);
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
    PERFORM key_vault_internal.kek_erase(label, version);
    IF NOT force THEN
        RAISE NOTICE 'KEK label "%" version % is destroyed; columns of type wrapped_key of this database alone were looked at', label, version
            USING DETAIL = 'Keys that are kept as bytea, text or JSON, in other databases or in backups are out of reach.';
    END IF;
END
$$;
COMMENT ON FUNCTION key_vault.kek_destroy(text, integer, boolean) IS
'erases the material of a KEK for ever: in the table, and in every session at its next look-up of a key. Locks out writers of all tables with wrapped_key columns until the transaction ends. Without force it refuses while such a column of this database holds a key that needs it, while one cannot be read, and while table kek is published to other servers. Keys kept as bytea, text or JSON, in other databases or in backups it cannot see. The sealed material stays in WAL, in old backups, and in the dead row until VACUUM. Takes the privilege admin';

CREATE OR REPLACE FUNCTION key_vault.kek_schedule_destroy(label text, version integer, after interval)
RETURNS timestamptz AS 'MODULE_PATHNAME', 'key_vault_kek_schedule_destroy'
LANGUAGE C;
COMMENT ON FUNCTION key_vault.kek_schedule_destroy(text, integer, interval) IS
'has a KEK destroyed by the first kek_destroy_due() after a waiting time, which may be changed by calling it again; until then it works as before; returns when. Takes the privilege admin';

CREATE OR REPLACE FUNCTION key_vault.kek_cancel_destroy(label text, version integer)
RETURNS boolean AS 'MODULE_PATHNAME', 'key_vault_kek_cancel_destroy'
LANGUAGE C;
COMMENT ON FUNCTION key_vault.kek_cancel_destroy(text, integer) IS
'takes back kek_schedule_destroy; false if nothing was scheduled. Takes the privilege admin';

-- It runs unattended: who waits for a lock has writers wait behind it.
CREATE OR REPLACE FUNCTION key_vault.kek_destroy_due()
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
