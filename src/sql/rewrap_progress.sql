-- The progress of rewrap_all(): a table, and the view that shows it.

-- src/admin/rewrap_progress.c writes it.
CREATE TABLE key_vault.rewrap_state (
    label       text COLLATE "C" NOT NULL,
    relation    oid NOT NULL,
    lock_id     oid NOT NULL,
    kek_id      uuid NOT NULL,
    pass        integer NOT NULL,
    next_row    tid NOT NULL,
    first_block bigint NOT NULL,
    end_block   bigint NOT NULL,
    rows        bigint NOT NULL DEFAULT 0,
    keys        bigint NOT NULL DEFAULT 0,
    rows_failed bigint NOT NULL DEFAULT 0,
    rows_left   bigint,
    started_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    CONSTRAINT rewrap_state_pkey PRIMARY KEY (label, relation)
) WITH (fillfactor = 50);
COMMENT ON TABLE key_vault.rewrap_state IS
'the progress of rewrap_all() in each table; the view rewrap_progress shows it';
COMMENT ON COLUMN key_vault.rewrap_state.label IS 'KEK label';
COMMENT ON COLUMN key_vault.rewrap_state.relation IS 'oid of the table';
COMMENT ON COLUMN key_vault.rewrap_state.lock_id IS 'objid of the advisory lock that a run has, whose classid is the oid of the table';
COMMENT ON COLUMN key_vault.rewrap_state.kek_id IS 'kek_id of the KEK that wraps the keys anew';
COMMENT ON COLUMN key_vault.rewrap_state.pass IS 'which pass through the table this is, from 1 on';
COMMENT ON COLUMN key_vault.rewrap_state.next_row IS 'ctid at which the pass goes on';
COMMENT ON COLUMN key_vault.rewrap_state.first_block IS 'block in which this run began';
COMMENT ON COLUMN key_vault.rewrap_state.end_block IS 'block before which the pass ends';
COMMENT ON COLUMN key_vault.rewrap_state.rows IS 'rows rewrapped by the run';
COMMENT ON COLUMN key_vault.rewrap_state.keys IS 'keys rewrapped by the run';
COMMENT ON COLUMN key_vault.rewrap_state.rows_failed IS 'rows that could not be rewrapped in this pass';
COMMENT ON COLUMN key_vault.rewrap_state.rows_left IS 'rows left at the end; NULL until they are counted';
COMMENT ON COLUMN key_vault.rewrap_state.started_at IS 'when the run began';
COMMENT ON COLUMN key_vault.rewrap_state.updated_at IS 'time of the last commit';
COMMENT ON COLUMN key_vault.rewrap_state.finished_at IS 'when the run ended; NULL before';
-- A row that comes from another server has the oid of a table there.  On this server another table has this oid, or none.
CREATE TRIGGER replicated BEFORE INSERT OR UPDATE OR DELETE ON key_vault.rewrap_state
    FOR EACH ROW EXECUTE FUNCTION key_vault_internal.ignore_replicated();
ALTER TABLE key_vault.rewrap_state ENABLE REPLICA TRIGGER replicated;
CREATE TRIGGER guard_truncate BEFORE TRUNCATE ON key_vault.rewrap_state
    FOR EACH STATEMENT EXECUTE FUNCTION key_vault_internal.guard_truncate();
CREATE TRIGGER guard_owner BEFORE INSERT OR UPDATE OR DELETE ON key_vault.rewrap_state
    FOR EACH STATEMENT EXECUTE FUNCTION key_vault_internal.guard_owner();

CREATE VIEW key_vault.rewrap_progress AS
SELECT s.label AS kek_label, s.relation::regclass AS relation,
       CASE WHEN l.pid IS NOT NULL THEN 'running'
            WHEN s.finished_at IS NULL THEN 'stopped'
            WHEN s.rows_left > 0 THEN 'rows left'
            ELSE 'done' END AS state,
       l.pid, s.pass,
       round(CASE WHEN s.finished_at IS NOT NULL OR s.end_block = 0 THEN 100
                  ELSE least(100, 100.0 * p.next_block / s.end_block) END, 1) AS percent,
       s.rows, s.keys, s.rows_failed, s.rows_left,
       round(s.keys / nullif(extract(epoch FROM s.updated_at - s.started_at), 0)) AS keys_per_second,
       CASE WHEN l.pid IS NOT NULL AND p.next_block > s.first_block
            THEN greatest((s.updated_at - s.started_at) * (s.end_block - p.next_block)::float8
                          / (p.next_block - s.first_block)::float8, '0') END AS time_left,
       s.started_at, s.updated_at, s.finished_at
  FROM key_vault.rewrap_state s
 CROSS JOIN LATERAL (SELECT (s.next_row::text::point)[0]::bigint) p (next_block)
  LEFT JOIN pg_locks l ON l.locktype = 'advisory' AND l.granted AND l.classid = s.relation
        AND l.objid = s.lock_id AND l.objsubid = 19318
        AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database());
GRANT SELECT ON key_vault.rewrap_progress TO PUBLIC;
COMMENT ON VIEW key_vault.rewrap_progress IS
'the last run of rewrap_all() for each label and table, as of its last commit: state (running, stopped, done, or rows left), process, pass, percent of the pass, rows and keys rewrapped by this run, rows that could not be rewrapped, rows left as counted at the end, keys per second, and time left of the pass';
COMMENT ON COLUMN key_vault.rewrap_progress.kek_label IS 'KEK label';
COMMENT ON COLUMN key_vault.rewrap_progress.relation IS 'the table';
COMMENT ON COLUMN key_vault.rewrap_progress.state IS 'running, stopped, done, or rows left';
COMMENT ON COLUMN key_vault.rewrap_progress.pid IS 'process id of the session that runs it; NULL if none does';
COMMENT ON COLUMN key_vault.rewrap_progress.pass IS 'which pass through the table this is, from 1 on';
COMMENT ON COLUMN key_vault.rewrap_progress.percent IS 'how much of the pass is done';
COMMENT ON COLUMN key_vault.rewrap_progress.rows IS 'rows rewrapped by the run';
COMMENT ON COLUMN key_vault.rewrap_progress.keys IS 'keys rewrapped by the run';
COMMENT ON COLUMN key_vault.rewrap_progress.rows_failed IS 'rows that could not be rewrapped';
COMMENT ON COLUMN key_vault.rewrap_progress.rows_left IS 'rows left at the end; NULL until they are counted';
COMMENT ON COLUMN key_vault.rewrap_progress.keys_per_second IS 'keys per second, on average over the run';
COMMENT ON COLUMN key_vault.rewrap_progress.time_left IS 'estimate for the rest of the pass; NULL while nothing is running';
COMMENT ON COLUMN key_vault.rewrap_progress.started_at IS 'when the run began';
COMMENT ON COLUMN key_vault.rewrap_progress.updated_at IS 'time of the last commit';
COMMENT ON COLUMN key_vault.rewrap_progress.finished_at IS 'when the run ended; NULL before';
