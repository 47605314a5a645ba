-- Rewrapping all keys of a label.

CREATE OR REPLACE PROCEDURE key_vault.rewrap_all(label text, batch_size integer DEFAULT 10000,
                                      sleep interval DEFAULT '0', only_table regclass DEFAULT NULL)
AS 'MODULE_PATHNAME', 'key_vault_rewrap_all'
LANGUAGE C;
COMMENT ON PROCEDURE key_vault.rewrap_all(text, integer, interval, regclass) IS
'rewraps all keys of a label from its deactivated and compromised versions to the active one, in all wrapped_key columns of this database or in one table with its partitions and children: batch_size rows (1 to 1000000) at a time, with a commit and a pause (sleep, at most 1 day) after each batch. Takes the privilege rewrap, and SELECT and UPDATE on the columns; triggers and other code of a table run as its owner, with search_path pg_catalog, pg_temp. Rows that others have locked are rewrapped in a later pass; for rows that cannot be rewrapped there are warnings. If it was stopped, the next call goes on from there. Notices and the view rewrap_progress show the progress';
