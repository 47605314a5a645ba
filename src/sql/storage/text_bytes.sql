-- The text of a message as bytes.

CREATE OR REPLACE FUNCTION key_vault_internal.storage_text_bytes(string text)
RETURNS bytea LANGUAGE sql STABLE PARALLEL SAFE
RETURN pg_catalog.convert_to(string, CASE WHEN pg_catalog.getdatabaseencoding() OPERATOR(pg_catalog.=) 'SQL_ASCII'
                                          THEN 'SQL_ASCII' ELSE 'UTF8' END);
COMMENT ON FUNCTION key_vault_internal.storage_text_bytes(text) IS
'the bytes of a text in UTF-8; in a database of encoding SQL_ASCII its bytes unchanged, whatever they are';
