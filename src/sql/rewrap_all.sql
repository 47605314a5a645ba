-- Rewrapping all keys of a label.

CREATE OR REPLACE PROCEDURE key_vault.rewrap_all(label text, batch_size integer DEFAULT 10000,
                                      sleep interval DEFAULT '0', only_table regclass DEFAULT NULL)
AS 'MODULE_PATHNAME', 'key_vault_rewrap_all'
LANGUAGE C;
COMMENT ON PROCEDURE key_vault.rewrap_all(text, integer, interval, regclass) IS
'rewraps all keys of a label, in all wrapped_key columns of this database or in one table with its partitions and heirs, from the versions that only unwrap to the active one: batch_size rows (1 to 1000000) at a time, with a commit and a pause (sleep, at most 1 day) after each. Takes the privilege rewrap, and SELECT and UPDATE on the columns; the tables'' triggers and the like run as the tables'' owners, with search_path pg_catalog, pg_temp. Rows that others have locked come later; rows that cannot be rewrapped are told as warnings. Stopped, it goes on from there when called again. Progress comes as notices, and in the view rewrap_progress';
