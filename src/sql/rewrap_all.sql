-- Rewrapping all keys of a label
------------------------------------------------------------------------------

-- src/vault/rewrap_progress.c writes it.
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
'how far rewrap_all() has come in which table; shown by the view rewrap_progress';
CREATE TRIGGER guard_owner BEFORE INSERT OR UPDATE OR DELETE ON key_vault.rewrap_state
    FOR EACH STATEMENT EXECUTE FUNCTION key_vault.guard_owner();

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
COMMENT ON VIEW key_vault.rewrap_progress IS
'the last run of rewrap_all() by label and table, as of its last commit: state (running, stopped, done, or rows left), process, pass, percent of the pass, rows and keys rewrapped by this run, rows that could not be, rows left as counted at the end, keys a second, time left of the pass';

CREATE PROCEDURE key_vault.rewrap_all(label text, batch_size integer DEFAULT 10000,
                                      sleep interval DEFAULT '0', only_table regclass DEFAULT NULL)
AS 'MODULE_PATHNAME', 'key_vault_rewrap_all'
LANGUAGE C;
COMMENT ON PROCEDURE key_vault.rewrap_all(text, integer, interval, regclass) IS
'rewraps all keys of a label, in all wrapped_key columns of this database or in one table with its partitions and heirs, from the versions that only unwrap to the active one: batch_size rows (1 to 1000000) at a time, with a commit and a pause after each. Takes the privilege rewrap, and SELECT and UPDATE on the columns; the tables'' triggers and the like run as the tables'' owners. Rows that others have locked come later; rows that cannot be rewrapped are told as warnings. Stopped, it goes on from there when called again. Progress comes as notices, and in the view rewrap_progress';

------------------------------------------------------------------------------
