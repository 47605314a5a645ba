-- Finds key envelopes that storages could not open yet.  They need their KEK, as wrapped keys do.

-- The columns are found by the names of tables and columns, as storages() finds storages.
CREATE OR REPLACE VIEW key_vault.key_envelope_columns AS
SELECT c.oid::regclass AS relation, a.attname AS "column"
  FROM key_vault_internal.relations() c
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
 WHERE c.kind = 'r'
   AND EXISTS (SELECT FROM pg_class s WHERE s.relnamespace = c.namespace AND s.relname = 'storage_settings' AND s.relkind = 'r')
   AND (a.attname = 'encrypted_key' AND a.atttypid = 'bytea'::regtype
        AND EXISTS (SELECT FROM pg_attribute l WHERE l.attrelid = c.oid AND l.attname = 'kek_label' AND l.atttypid = 'text'::regtype AND NOT l.attisdropped)
        OR c.table_name = 'rejected' AND a.attname = 'message' AND a.atttypid = 'jsonb'::regtype);
GRANT SELECT ON key_vault.key_envelope_columns TO PUBLIC;
COMMENT ON VIEW key_vault.key_envelope_columns IS
'where the storages of this database keep key envelopes that are not opened yet: in bytes beside a column kek_label, and in rejected messages';
COMMENT ON COLUMN key_vault.key_envelope_columns.relation IS 'table of a storage';
COMMENT ON COLUMN key_vault.key_envelope_columns."column" IS 'its column: encrypted_key (bytea), or message (jsonb)';

CREATE OR REPLACE FUNCTION key_vault_internal.count_envelopes(relation regclass, "column" name)
RETURNS TABLE (kek_label text, envelopes bigint)
AS 'MODULE_PATHNAME', 'key_vault_count_envelopes'
LANGUAGE C STABLE STRICT;
COMMENT ON FUNCTION key_vault_internal.count_envelopes(regclass, name) IS
'the KEK labels of the key envelopes in a column of key_envelope_columns, each with its number of envelopes, or of messages with such envelopes; reads all rows, as the owner of the relation. Takes SELECT on the column';
