-- Moves what 1.0 had in schema key_vault and 1.1 has in another schema.  All objects keep their oids, so
-- indexes, views, triggers and defaults that use them still work.

-- Functions that nobody calls by hand.
ALTER FUNCTION key_vault.wrapped_key_in(cstring) SET SCHEMA key_vault_internal;
ALTER FUNCTION key_vault.wrapped_key_out(key_vault.wrapped_key) SET SCHEMA key_vault_internal;
ALTER FUNCTION key_vault.wrapped_key_recv(internal) SET SCHEMA key_vault_internal;
ALTER FUNCTION key_vault.wrapped_key_send(key_vault.wrapped_key) SET SCHEMA key_vault_internal;
ALTER FUNCTION key_vault.wrapped_key_eq(key_vault.wrapped_key, key_vault.wrapped_key) SET SCHEMA key_vault_internal;
ALTER FUNCTION key_vault.wrapped_key_ne(key_vault.wrapped_key, key_vault.wrapped_key) SET SCHEMA key_vault_internal;
ALTER FUNCTION key_vault.wrapped_key_lt(key_vault.wrapped_key, key_vault.wrapped_key) SET SCHEMA key_vault_internal;
ALTER FUNCTION key_vault.wrapped_key_le(key_vault.wrapped_key, key_vault.wrapped_key) SET SCHEMA key_vault_internal;
ALTER FUNCTION key_vault.wrapped_key_gt(key_vault.wrapped_key, key_vault.wrapped_key) SET SCHEMA key_vault_internal;
ALTER FUNCTION key_vault.wrapped_key_ge(key_vault.wrapped_key, key_vault.wrapped_key) SET SCHEMA key_vault_internal;
ALTER FUNCTION key_vault.wrapped_key_cmp(key_vault.wrapped_key, key_vault.wrapped_key) SET SCHEMA key_vault_internal;
ALTER FUNCTION key_vault.wrapped_key_hash(key_vault.wrapped_key) SET SCHEMA key_vault_internal;
ALTER FUNCTION key_vault.wrapped_key_hash_extended(key_vault.wrapped_key, bigint) SET SCHEMA key_vault_internal;
ALTER FUNCTION key_vault.invalidate() SET SCHEMA key_vault_internal;
ALTER FUNCTION key_vault.guard_kek() SET SCHEMA key_vault_internal;
ALTER FUNCTION key_vault.guard_audit_log() SET SCHEMA key_vault_internal;
ALTER FUNCTION key_vault.guard_owner() SET SCHEMA key_vault_internal;
ALTER FUNCTION key_vault.kek_erase(text, integer) SET SCHEMA key_vault_internal;
ALTER FUNCTION key_vault.lorawan_find_session_step(anyelement, anyelement, key_vault.wrapped_key, bigint, bytea) SET SCHEMA key_vault_internal;
ALTER FUNCTION key_vault.lorawan_find_session_step(anyelement, anyelement, key_vault.wrapped_key, key_vault.wrapped_key, bigint, bigint, integer, integer, bytea) SET SCHEMA key_vault_internal;

-- From 1.1 on, storage_events() is in C, and nothing calls these functions.
DROP FUNCTION
    key_vault.storage_bytes(jsonb, text, text, integer, integer),
    key_vault.storage_integer(jsonb, text, bigint),
    key_vault.storage_time(jsonb, text),
    key_vault.storage_object(jsonb, text),
    key_vault.storage_require(boolean, text),
    key_vault.storage_envelope(key_vault.storage_event, jsonb, text, text, text);

-- Operators are moved to pg_catalog, so that they are found whatever the search_path is.  Schema key_vault
-- gets new operators with the same names (wrapped_key/qualified_operators.sql).
ALTER OPERATOR key_vault.= (key_vault.wrapped_key, key_vault.wrapped_key) SET SCHEMA pg_catalog;
ALTER OPERATOR key_vault.<> (key_vault.wrapped_key, key_vault.wrapped_key) SET SCHEMA pg_catalog;
ALTER OPERATOR key_vault.< (key_vault.wrapped_key, key_vault.wrapped_key) SET SCHEMA pg_catalog;
ALTER OPERATOR key_vault.<= (key_vault.wrapped_key, key_vault.wrapped_key) SET SCHEMA pg_catalog;
ALTER OPERATOR key_vault.> (key_vault.wrapped_key, key_vault.wrapped_key) SET SCHEMA pg_catalog;
ALTER OPERATOR key_vault.>= (key_vault.wrapped_key, key_vault.wrapped_key) SET SCHEMA pg_catalog;

-- In 1.1 it has one more argument.
DROP PROCEDURE key_vault.create_storage(name, text, text, boolean);
