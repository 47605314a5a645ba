-- Destroying KEKs, at once or after a waiting time.
--
-- kek_destroy() without force goes through the steps in src/admin/destroy_wait.c: it waits for
-- transactions that may have a key that is not committed, locks the tables with keys, and counts them.

CREATE OR REPLACE FUNCTION key_vault_internal.kek_erase(label text, version integer)
RETURNS void AS 'MODULE_PATHNAME', 'key_vault_kek_erase'
LANGUAGE C;
COMMENT ON FUNCTION key_vault_internal.kek_erase(text, integer) IS
'erases the material of a KEK without asking whether keys need it: for kek_destroy. Takes the privilege admin';

CREATE OR REPLACE FUNCTION key_vault_internal.kek_require_admin(label text)
RETURNS void AS 'MODULE_PATHNAME', 'key_vault_kek_require_admin'
LANGUAGE C STRICT;
COMMENT ON FUNCTION key_vault_internal.kek_require_admin(text) IS
'raises an error if the current role does not have the privilege admin on the label';

CREATE OR REPLACE FUNCTION key_vault_internal.kek_wait_for_others(label text, version integer)
RETURNS void AS 'MODULE_PATHNAME', 'key_vault_kek_wait_for_others'
LANGUAGE C STRICT;
COMMENT ON FUNCTION key_vault_internal.kek_wait_for_others(text, integer) IS
'waits for all open transactions of this database, also for prepared ones, since they may have keys that are not committed. Takes no lock on a table. Takes the privilege admin';

CREATE OR REPLACE FUNCTION key_vault_internal.kek_hold_keys_still(label text, version integer)
RETURNS void AS 'MODULE_PATHNAME', 'key_vault_kek_hold_keys_still'
LANGUAGE C STRICT;
COMMENT ON FUNCTION key_vault_internal.kek_hold_keys_still(text, integer) IS
'calls kek_wait_for_others, unless this transaction has done so; then locks all tables with wrapped_key columns until the transaction ends, so that nobody writes to them. Takes the privilege admin';

CREATE OR REPLACE FUNCTION key_vault_internal.kek_erase_unused(label text, version integer)
RETURNS void AS 'MODULE_PATHNAME', 'key_vault_kek_erase_unused'
LANGUAGE C STRICT;
COMMENT ON FUNCTION key_vault_internal.kek_erase_unused(text, integer) IS
'erases the material of a KEK after kek_hold_keys_still; raises an error if the KEK was changed since. Takes the privilege admin';

-- Keys of other servers cannot be counted: those to which this database sends rows, and those from
-- which rows are on their way to it.  Only the nodes of a Citus cluster can be asked.
CREATE OR REPLACE FUNCTION key_vault_internal.kek_refuse_while_replicated(asked_slots name[], is_node boolean)
RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    names text;
    how_to_be_sure CONSTANT text := 'Destroy the KEK on the server that the KEKs come from. Or make sure that it wraps no key there, wait until the subscription has applied everything, look at key_vault.kek_usage(), and destroy the KEK with force => true.';
BEGIN
    SELECT string_agg(quote_ident(p.pubname), ', ' ORDER BY p.pubname) INTO names
      FROM pg_publication_tables p
     WHERE p.schemaname = 'key_vault' AND p.tablename = 'kek' AND cardinality(asked_slots) = 0;
    IF names IS NOT NULL THEN
        RAISE EXCEPTION 'KEKs of this database are published to other servers'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = format('Table key_vault.kek is in publication %s. Keys on the subscribers that the KEK wraps cannot be seen from here.', names),
                  HINT = 'Rewrap on the subscribers and see key_vault.kek_usage() there, then destroy the KEK with force => true.';
    END IF;
    SELECT string_agg(format('%s (%s)', quote_ident(s.slot_name), s.plugin), ', ' ORDER BY s.slot_name) INTO names
      FROM pg_replication_slots s
     WHERE s.slot_type = 'logical' AND s.database = current_database() AND s.slot_name <> ALL (asked_slots);
    IF names IS NOT NULL THEN
        RAISE EXCEPTION 'rows of this database go to other servers'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = format('It has logical replication slot %s. Keys in what was sent, or is still to be sent, cannot be seen from here.', names),
                  HINT = 'See key_vault.kek_usage() on the servers that the slot feeds, then destroy the KEK with force => true. Drop a slot that nobody uses: SELECT pg_drop_replication_slot(name).';
    END IF;
    -- A subscription to a partitioned table fills its partitions.
    SELECT string_agg(DISTINCT quote_ident(s.subname), ', ' ORDER BY quote_ident(s.subname)) INTO names
      FROM pg_subscription s
      JOIN pg_subscription_rel r ON r.srsubid = s.oid
     CROSS JOIN LATERAL (SELECT r.srrelid::regclass UNION SELECT t.relid FROM pg_partition_tree(r.srrelid) t) l (relation)
     WHERE s.subdbid = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
       AND (NOT is_node AND l.relation = 'key_vault.kek'::regclass
            OR l.relation IN (SELECT w.relation FROM key_vault.wrapped_key_columns w
                              UNION ALL SELECT e.relation FROM key_vault.key_envelope_columns e));
    IF names IS NOT NULL THEN
        RAISE EXCEPTION 'keys of this database come from other servers'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = format('Subscription %s fills table key_vault.kek, or a table with keys. What it has not applied yet cannot be seen from here.', names),
                  HINT = how_to_be_sure;
    END IF;
    -- Each subscription of pglogical has an origin. Everybody may read their names, but not pglogical's own tables.
    SELECT string_agg(quote_ident(o.roname), ', ' ORDER BY o.roname) INTO names
      FROM pg_replication_origin o
     WHERE starts_with(o.roname, 'pgl_') AND EXISTS (SELECT FROM pg_extension e WHERE e.extname = 'pglogical');
    IF names IS NOT NULL THEN
        RAISE EXCEPTION 'keys of this database come from other servers'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = format('Replication origin %s belongs to a subscription of pglogical. What it has not applied yet cannot be seen from here.', names),
                  HINT = how_to_be_sure;
    END IF;
END
$$;
COMMENT ON FUNCTION key_vault_internal.kek_refuse_while_replicated(name[], boolean) IS
'an error while table kek is published, this database has a logical replication slot, a subscription fills table kek or a table with keys, or pglogical has a subscription. asked_slots: the slots that feed servers which were asked for their keys; if there are any, table kek may be published. is_node: a subscription may fill table kek';

CREATE OR REPLACE FUNCTION key_vault_internal.kek_require_unused(label text, version integer)
RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    unused_kek uuid;
    found_keys record;
    found_envelopes record;
BEGIN
    PERFORM key_vault_internal.kek_require_admin(label);
    SELECT k.kek_id INTO unused_kek FROM key_vault.keks k WHERE k.label = label AND k.version = version;
    -- If a table cannot be read that is an error: it may have keys that need the KEK.
    SELECT sum(c.keys) AS keys,
           string_agg(format('%s in column "%s" of %s', c.keys, w."column", w.relation), ', '
                      ORDER BY w.relation::text, w."column") AS places
      INTO found_keys
      FROM key_vault.wrapped_key_columns w,
           LATERAL key_vault_internal.count_keys(w.relation, w."column") c
     WHERE c.kek_id = unused_kek;
    IF found_keys.keys > 0 THEN
        RAISE EXCEPTION 'KEK label "%" version % still wraps % %', label, version, found_keys.keys,
            CASE found_keys.keys WHEN 1 THEN 'key' ELSE 'keys' END
            USING ERRCODE = 'KV008',
                  DETAIL = format('There %s %s.', CASE found_keys.keys WHEN 1 THEN 'is' ELSE 'are' END, found_keys.places),
                  HINT = format('Rewrap them first: CALL key_vault.rewrap_all(%L). With force => true they are lost.', label);
    END IF;
    -- Which version opens an envelope is not known before it is opened.
    SELECT sum(c.envelopes) AS envelopes,
           string_agg(format('%s in column "%s" of %s', c.envelopes, e."column", e.relation), ', '
                      ORDER BY e.relation::text, e."column") AS places
      INTO found_envelopes
      FROM key_vault.key_envelope_columns e,
           LATERAL key_vault_internal.count_envelopes(e.relation, e."column") c
     WHERE c.kek_label = label;
    IF found_envelopes.envelopes > 0 THEN
        RAISE EXCEPTION '% % of KEK label "%" % not opened yet', found_envelopes.envelopes,
            CASE found_envelopes.envelopes WHEN 1 THEN 'key envelope' ELSE 'key envelopes' END, label,
            CASE found_envelopes.envelopes WHEN 1 THEN 'is' ELSE 'are' END
            USING ERRCODE = 'KV008',
                  DETAIL = format('By column: %s. Version %s may be the one that opens them.', found_envelopes.places, version),
                  HINT = 'Open them first: SELECT * FROM replay_rejected() of the storage opens the envelopes of sessions, and tries rejected messages again; delete those that are no longer wanted. With force => true their keys are lost.';
    END IF;
END
$$;
COMMENT ON FUNCTION key_vault_internal.kek_require_unused(text, integer) IS
'an error if the KEK wraps a key in a column of this database, if one cannot be read, or if a storage has key envelopes of the label that are not opened yet. Takes the privilege admin';

-- A key could be moved to a node that was asked before, so each node is asked twice.  A move takes time, since the
-- application copies the key, or Citus moves a shard: so a key that one round misses is seen by the other.
-- Nothing is locked here while a node waits for its transactions: one of them may wait for this session.
CREATE OR REPLACE FUNCTION key_vault_internal.kek_require_unused_on_nodes(label text, version integer)
RETURNS name[] LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    nodes constant text[] := key_vault_internal.other_nodes();
    command constant text := format('SELECT to_json(key_vault_internal.kek_require_unused_here(%L, %s))', label, version);
    slots name[] := ARRAY[]::name[];
    answers integer;
    answer record;
BEGIN
    IF nodes IS NULL THEN
        RETURN slots;
    END IF;
    EXECUTE 'SELECT count(*) FROM pg_dist_local_group l WHERE l.groupid <> 0' INTO answers;
    IF answers > 0 THEN
        RAISE EXCEPTION 'this server is a worker of a Citus cluster'
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Destroy the KEK on the coordinator.';
    END IF;
    PERFORM key_vault_internal.kek_wait_for_others(label, version);
    PERFORM key_vault_internal.kek_require_unused(label, version);
    FOR round IN 1 .. 2 LOOP
        answers := 0;
        FOR answer IN EXECUTE 'SELECT r.nodename, r.nodeport, r.success, r.result FROM run_command_on_workers($1) r' USING command LOOP
            IF NOT answer.success THEN
                RAISE EXCEPTION 'KEK label "%" version % may still wrap keys on node %:%', label, version, answer.nodename, answer.nodeport
                    USING ERRCODE = 'KV008', DETAIL = format('The answer of the node is: %s.', answer.result),
                          HINT = format('Count the keys of all nodes, and rewrap them: SELECT * FROM run_command_on_all_nodes(%L). With force => true they are lost.',
                                        format('CALL key_vault.rewrap_all(%L)', label));
            END IF;
            slots := slots || ARRAY(SELECT s.name::name FROM json_array_elements_text(answer.result::json) s (name));
            answers := answers + 1;
        END LOOP;
        IF answers <> cardinality(nodes) THEN
            RAISE EXCEPTION 'only % of the % other nodes of the Citus cluster could be asked for their keys', answers, cardinality(nodes)
                USING ERRCODE = 'object_not_in_prerequisite_state',
                      DETAIL = format('The nodes are: %s.', array_to_string(nodes, ', '));
        END IF;
    END LOOP;
    RETURN slots;
END
$$;
COMMENT ON FUNCTION key_vault_internal.kek_require_unused_on_nodes(text, integer) IS
'an error if the KEK wraps a key on another node of the Citus cluster, or if a node does not answer; returns the names of the replication slots from which the nodes get their KEKs. Takes the privilege admin on each node';

-- The lock_timeout ends a wait for a transaction that waits for the session which asks.
CREATE OR REPLACE FUNCTION key_vault_internal.kek_require_unused_here(label text, version integer)
RETURNS name[] LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '1min' AS $$
BEGIN
    PERFORM key_vault_internal.kek_refuse_while_replicated('{}', true);
    PERFORM key_vault_internal.kek_hold_keys_still(label, version);
    PERFORM key_vault_internal.kek_require_unused(label, version);
    RETURN ARRAY(SELECT s.subslotname
                   FROM pg_subscription s JOIN pg_subscription_rel r ON r.srsubid = s.oid
                  WHERE r.srrelid = 'key_vault.kek'::regclass AND s.subslotname IS NOT NULL);
END
$$;
COMMENT ON FUNCTION key_vault_internal.kek_require_unused_here(text, integer) IS
'what kek_destroy() asks another node of a Citus cluster: an error if the KEK is active or wraps a key there; returns the names of the replication slots from which the node gets its KEKs. Takes the privilege admin';

CREATE OR REPLACE FUNCTION key_vault.kek_destroy(label text, version integer, force boolean DEFAULT false)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
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
    -- With an older snapshot the count would not see keys that were written since.
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        RAISE EXCEPTION 'kek_destroy must run in a READ COMMITTED transaction'
            USING ERRCODE = 'active_sql_transaction';
    END IF;
    PERFORM key_vault_internal.kek_refuse_while_replicated(key_vault_internal.kek_require_unused_on_nodes(label, version), false);
    PERFORM key_vault_internal.kek_hold_keys_still(label, version);
    PERFORM key_vault_internal.kek_require_unused(label, version);
    PERFORM key_vault_internal.kek_erase_unused(label, version);
    RAISE NOTICE 'KEK label "%" version % is destroyed; only columns of type wrapped_key of this database were searched', label, version
        USING DETAIL = 'Keys that are kept as bytea, text or JSON, in other databases or in backups were not found by this search.';
END
$$;
COMMENT ON FUNCTION key_vault.kek_destroy(text, integer, boolean) IS
'erases the material of a KEK for ever: in the table, and in every session at its next look-up of a key. Without force the KEK must not be active; the function waits for all open transactions of this database (as CREATE INDEX CONCURRENTLY does, for at most lock_timeout), then locks all tables with wrapped_key columns until the transaction ends, so that nobody writes to them, and counts their keys. It raises an error if such a column of this database has a key that the KEK wraps, if one cannot be read, if a storage has key envelopes of the label that are not opened yet, if the table kek is published to other servers, if this database has a logical replication slot, if a subscription fills the table kek or a table with keys, or if pglogical has a subscription. On the coordinator of a Citus cluster it asks the other nodes, too: it is an error if one of them has such keys or envelopes, does not answer, or has the KEK active still; the table kek may be published to these nodes. It does not find keys that are kept as bytea, text or JSON, in definitions (defaults, views, functions), in other databases, in backups or in a client''s memory. The sealed material stays in WAL, in old backups, and in the dead row until VACUUM. Takes the privilege admin';

CREATE OR REPLACE FUNCTION key_vault.kek_schedule_destroy(label text, version integer, after interval)
RETURNS timestamptz AS 'MODULE_PATHNAME', 'key_vault_kek_schedule_destroy'
LANGUAGE C;
COMMENT ON FUNCTION key_vault.kek_schedule_destroy(text, integer, interval) IS
'schedules the destruction of a KEK: the first kek_destroy_due() after a waiting time destroys it. Until then the KEK works as before, and another call changes the time. Returns the time. Takes the privilege admin';

CREATE OR REPLACE FUNCTION key_vault_internal.kek_put_off(label text, version integer)
RETURNS boolean AS 'MODULE_PATHNAME', 'key_vault_kek_put_off'
LANGUAGE C STRICT;
COMMENT ON FUNCTION key_vault_internal.kek_put_off(text, integer) IS
'puts the destruction off by a day if it is overdue by more than a day and was not put off before; returns whether it did so. Takes the privilege admin';

CREATE OR REPLACE FUNCTION key_vault.kek_cancel_destroy(label text, version integer)
RETURNS boolean AS 'MODULE_PATHNAME', 'key_vault_kek_cancel_destroy'
LANGUAGE C;
COMMENT ON FUNCTION key_vault.kek_cancel_destroy(text, integer) IS
'cancels what kek_schedule_destroy has scheduled; returns false if nothing was scheduled. Takes the privilege admin';

-- This function runs on a schedule, and nobody watches it.  The lock_timeout keeps several runs from waiting at the same
-- time.
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
    -- Wait for the transactions that each of these KEKs has to wait for, before the first of them locks tables.
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
            IF key_vault_internal.kek_put_off(due.label, due.version) THEN
                RAISE WARNING 'KEK label "%" version % is overdue by more than a day, and is put off by one day', due.label, due.version
                    USING DETAIL = 'The clock of the server may have jumped, or nobody called kek_destroy_due() for so long.',
                          HINT = 'If it is not to be destroyed, call key_vault.kek_cancel_destroy() now.';
                CONTINUE;
            END IF;
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
'destroys the KEKs whose waiting time is over, of labels on which the current role has the privilege admin, as kek_destroy does without force; returns how many. If one cannot be destroyed there is a warning, and it stays scheduled. For each KEK it waits 10 seconds at most for other transactions and locks. A destruction that is overdue by more than a day is put off by one day, once, with a warning: the clock may have jumped. To be called regularly, for example by pg_cron';
