-- Destroying KEKs, at once or after a waiting time.
--
-- kek_destroy() without force goes by the protocol in src/admin/destroy_wait.c: it waits for
-- whoever may hold a key that is not committed, locks the tables with keys, and counts.

CREATE OR REPLACE FUNCTION key_vault_internal.kek_erase(label text, version integer)
RETURNS void AS 'MODULE_PATHNAME', 'key_vault_kek_erase'
LANGUAGE C;
COMMENT ON FUNCTION key_vault_internal.kek_erase(text, integer) IS
'erases the material of a KEK without asking whether keys need it: for kek_destroy. Takes the privilege admin';

CREATE OR REPLACE FUNCTION key_vault_internal.kek_require_admin(label text)
RETURNS void AS 'MODULE_PATHNAME', 'key_vault_kek_require_admin'
LANGUAGE C STRICT;
COMMENT ON FUNCTION key_vault_internal.kek_require_admin(text) IS
'raises an error for a role that does not hold the privilege admin on the label';

CREATE OR REPLACE FUNCTION key_vault_internal.kek_wait_for_others(label text, version integer)
RETURNS void AS 'MODULE_PATHNAME', 'key_vault_kek_wait_for_others'
LANGUAGE C STRICT;
COMMENT ON FUNCTION key_vault_internal.kek_wait_for_others(text, integer) IS
'waits for the transactions of this database that are open, the prepared ones too: they may hold keys that are not committed. Takes no lock on a table; takes the privilege admin';

CREATE OR REPLACE FUNCTION key_vault_internal.kek_hold_keys_still(label text, version integer)
RETURNS void AS 'MODULE_PATHNAME', 'key_vault_kek_hold_keys_still'
LANGUAGE C STRICT;
COMMENT ON FUNCTION key_vault_internal.kek_hold_keys_still(text, integer) IS
'kek_wait_for_others, unless this transaction has done it, and then locks out the writers of all tables with wrapped_key columns until the transaction ends. Takes the privilege admin';

CREATE OR REPLACE FUNCTION key_vault_internal.kek_erase_unused(label text, version integer)
RETURNS void AS 'MODULE_PATHNAME', 'key_vault_kek_erase_unused'
LANGUAGE C STRICT;
COMMENT ON FUNCTION key_vault_internal.kek_erase_unused(text, integer) IS
'kek_erase after kek_hold_keys_still; refuses if the KEK was changed since. Takes the privilege admin';

CREATE OR REPLACE FUNCTION key_vault.kek_destroy(label text, version integer, force boolean DEFAULT false)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    destroyed_kek uuid;
    found_keys record;
    publications text;
BEGIN
    IF label IS NULL OR version IS NULL OR force IS NULL THEN
        RAISE EXCEPTION 'arguments of kek_destroy must not be NULL'
            USING ERRCODE = 'null_value_not_allowed';
    END IF;
    PERFORM key_vault_internal.kek_require_admin(label);
    IF force THEN
        PERFORM key_vault_internal.kek_erase(label, version);
        RETURN;
    END IF;
    -- An older snapshot would not show keys written since.
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
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
    PERFORM key_vault_internal.kek_hold_keys_still(label, version);
    SELECT k.kek_id INTO destroyed_kek FROM key_vault.keks k WHERE k.label = label AND k.version = version;
    -- An error in a table is the end: what cannot be counted may need the KEK.
    SELECT sum(c.keys) AS keys,
           string_agg(format('%s in column "%s" of %s', c.keys, w."column", w.relation), ', '
                      ORDER BY w.relation::text, w."column") AS places
      INTO found_keys
      FROM key_vault.wrapped_key_columns w,
           LATERAL key_vault_internal.count_keys(w.relation, w."column") c
     WHERE c.kek_id = destroyed_kek;
    IF found_keys.keys > 0 THEN
        RAISE EXCEPTION 'KEK label "%" version % still wraps % keys', label, version, found_keys.keys
            USING ERRCODE = 'KV008',
                  DETAIL = format('There are %s.', found_keys.places),
                  HINT = format('Rewrap them first: CALL key_vault.rewrap_all(%L). With force => true they are lost.', label);
    END IF;
    PERFORM key_vault_internal.kek_erase_unused(label, version);
    RAISE NOTICE 'KEK label "%" version % is destroyed; columns of type wrapped_key of this database alone were looked at', label, version
        USING DETAIL = 'Keys that are kept as bytea, text or JSON, in other databases or in backups are out of reach.';
END
$$;
COMMENT ON FUNCTION key_vault.kek_destroy(text, integer, boolean) IS
'erases the material of a KEK for ever: in the table, and in every session at its next look-up of a key. Without force the KEK must not be active; the function waits for all transactions of this database that are open (as CREATE INDEX CONCURRENTLY does, with lock_timeout as its limit), then locks out writers of all tables with wrapped_key columns until the transaction ends, and counts their keys. It refuses while such a column of this database holds a key that needs the KEK, while one cannot be read, and while table kek is published to other servers. Keys kept as bytea, text or JSON, in other databases, in backups or in a client''s memory it cannot see. The sealed material stays in WAL, in old backups, and in the dead row until VACUUM. Takes the privilege admin';

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

-- It runs unattended: a limit keeps runs from piling up.
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
    -- All are waited for before the first locks tables.
    FOR due IN SELECT k.label, k.version FROM key_vault.keks k
                WHERE k.destroy_at <= clock_timestamp() AND k.state NOT IN ('active', 'destroyed')
                  AND key_vault.has_kek_privilege(k.label, 'admin')
    LOOP
        BEGIN
            PERFORM key_vault_internal.kek_wait_for_others(due.label, due.version);
        EXCEPTION WHEN OTHERS THEN
            NULL;  -- kek_destroy() waits again, and says what is wrong
        END;
    END LOOP;
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
'destroys the KEKs whose waiting time is over, of labels that the current role administers, as kek_destroy does without force; returns how many. What is refused is a warning and stays scheduled; others'' transactions and locks are waited for 10 seconds for each KEK. For pg_cron, or whoever calls it';
