-- The extension, and the functions of bench/floor; :floor is its library.
CREATE EXTENSION key_vault;
CREATE FUNCTION floor_copy(key_vault.wrapped_key, bytea, bigint, bytea) RETURNS bytea
    AS :'floor', 'floor_copy' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;
CREATE FUNCTION floor_verify(key_vault.wrapped_key, bigint, bytea) RETURNS boolean
    AS :'floor', 'floor_verify' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;
CREATE FUNCTION floor_aes(keys integer, blocks integer, bytea) RETURNS boolean
    AS :'floor', 'floor_aes' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;
CREATE FUNCTION wall_time() RETURNS bigint
    AS :'floor', 'wall_time' LANGUAGE C VOLATILE STRICT;
CREATE FUNCTION processor_time() RETURNS bigint
    AS :'floor', 'processor_time' LANGUAGE C VOLATILE STRICT;
