-- Drivers that send a string as text or varchar, as JDBC's setString does, can store a wrapped key without a cast
-- of their own.  The string is read as any other wrapped key is, so what is none is an error.  Only storing casts: no
-- function takes a text for a wrapped key.

CREATE CAST (pg_catalog.text AS key_vault.wrapped_key) WITH INOUT AS ASSIGNMENT;
COMMENT ON CAST (pg_catalog.text AS key_vault.wrapped_key) IS
'reads the text form of a wrapped key, kv1:ALGORITHM:KEK_ID:HEX, when a text is stored in a column of wrapped_key';

CREATE CAST (pg_catalog.varchar AS key_vault.wrapped_key) WITH INOUT AS ASSIGNMENT;
COMMENT ON CAST (pg_catalog.varchar AS key_vault.wrapped_key) IS
'reads the text form of a wrapped key, kv1:ALGORITHM:KEK_ID:HEX, when a varchar is stored in a column of wrapped_key';
