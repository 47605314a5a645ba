------------------------------------------------------------------------------
-- The type wrapped_key
------------------------------------------------------------------------------

CREATE TYPE key_vault.wrapped_key;

CREATE FUNCTION key_vault.wrapped_key_in(cstring)
RETURNS key_vault.wrapped_key AS 'MODULE_PATHNAME'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION key_vault.wrapped_key_out(key_vault.wrapped_key)
RETURNS cstring AS 'MODULE_PATHNAME'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION key_vault.wrapped_key_recv(internal)
RETURNS key_vault.wrapped_key AS 'MODULE_PATHNAME'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION key_vault.wrapped_key_send(key_vault.wrapped_key)
RETURNS bytea AS 'MODULE_PATHNAME'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE TYPE key_vault.wrapped_key (
    INPUT = key_vault.wrapped_key_in,
    OUTPUT = key_vault.wrapped_key_out,
    RECEIVE = key_vault.wrapped_key_recv,
    SEND = key_vault.wrapped_key_send,
    INTERNALLENGTH = VARIABLE,
    ALIGNMENT = int4,
    STORAGE = external
);
COMMENT ON TYPE key_vault.wrapped_key IS
'a key encrypted by a KEK: format version, algorithm, kek_id and wrapped bytes; written kv1:ALGORITHM:KEK_ID:HEX';

CREATE FUNCTION key_vault.wrapped_key_eq(key_vault.wrapped_key, key_vault.wrapped_key)
RETURNS boolean AS 'MODULE_PATHNAME'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION key_vault.wrapped_key_ne(key_vault.wrapped_key, key_vault.wrapped_key)
RETURNS boolean AS 'MODULE_PATHNAME'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION key_vault.wrapped_key_lt(key_vault.wrapped_key, key_vault.wrapped_key)
RETURNS boolean AS 'MODULE_PATHNAME'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION key_vault.wrapped_key_le(key_vault.wrapped_key, key_vault.wrapped_key)
RETURNS boolean AS 'MODULE_PATHNAME'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION key_vault.wrapped_key_gt(key_vault.wrapped_key, key_vault.wrapped_key)
RETURNS boolean AS 'MODULE_PATHNAME'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION key_vault.wrapped_key_ge(key_vault.wrapped_key, key_vault.wrapped_key)
RETURNS boolean AS 'MODULE_PATHNAME'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION key_vault.wrapped_key_cmp(key_vault.wrapped_key, key_vault.wrapped_key)
RETURNS integer AS 'MODULE_PATHNAME'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION key_vault.wrapped_key_hash(key_vault.wrapped_key)
RETURNS integer AS 'MODULE_PATHNAME'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION key_vault.wrapped_key_hash_extended(key_vault.wrapped_key, bigint)
RETURNS bigint AS 'MODULE_PATHNAME'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE OPERATOR key_vault.= (
    LEFTARG = key_vault.wrapped_key, RIGHTARG = key_vault.wrapped_key,
    FUNCTION = key_vault.wrapped_key_eq,
    COMMUTATOR = OPERATOR(key_vault.=), NEGATOR = OPERATOR(key_vault.<>),
    RESTRICT = eqsel, JOIN = eqjoinsel, HASHES, MERGES
);
CREATE OPERATOR key_vault.<> (
    LEFTARG = key_vault.wrapped_key, RIGHTARG = key_vault.wrapped_key,
    FUNCTION = key_vault.wrapped_key_ne,
    COMMUTATOR = OPERATOR(key_vault.<>), NEGATOR = OPERATOR(key_vault.=),
    RESTRICT = neqsel, JOIN = neqjoinsel
);
CREATE OPERATOR key_vault.< (
    LEFTARG = key_vault.wrapped_key, RIGHTARG = key_vault.wrapped_key,
    FUNCTION = key_vault.wrapped_key_lt,
    COMMUTATOR = OPERATOR(key_vault.>), NEGATOR = OPERATOR(key_vault.>=),
    RESTRICT = scalarltsel, JOIN = scalarltjoinsel
);
CREATE OPERATOR key_vault.<= (
    LEFTARG = key_vault.wrapped_key, RIGHTARG = key_vault.wrapped_key,
    FUNCTION = key_vault.wrapped_key_le,
    COMMUTATOR = OPERATOR(key_vault.>=), NEGATOR = OPERATOR(key_vault.>),
    RESTRICT = scalarlesel, JOIN = scalarlejoinsel
);
CREATE OPERATOR key_vault.> (
    LEFTARG = key_vault.wrapped_key, RIGHTARG = key_vault.wrapped_key,
    FUNCTION = key_vault.wrapped_key_gt,
    COMMUTATOR = OPERATOR(key_vault.<), NEGATOR = OPERATOR(key_vault.<=),
    RESTRICT = scalargtsel, JOIN = scalargtjoinsel
);
CREATE OPERATOR key_vault.>= (
    LEFTARG = key_vault.wrapped_key, RIGHTARG = key_vault.wrapped_key,
    FUNCTION = key_vault.wrapped_key_ge,
    COMMUTATOR = OPERATOR(key_vault.<=), NEGATOR = OPERATOR(key_vault.<),
    RESTRICT = scalargesel, JOIN = scalargejoinsel
);

CREATE OPERATOR CLASS key_vault.wrapped_key_ops
DEFAULT FOR TYPE key_vault.wrapped_key USING btree AS
    OPERATOR 1 key_vault.<,
    OPERATOR 2 key_vault.<=,
    OPERATOR 3 key_vault.=,
    OPERATOR 4 key_vault.>=,
    OPERATOR 5 key_vault.>,
    FUNCTION 1 key_vault.wrapped_key_cmp(key_vault.wrapped_key, key_vault.wrapped_key),
    FUNCTION 4 btequalimage(oid);

CREATE OPERATOR CLASS key_vault.wrapped_key_ops
DEFAULT FOR TYPE key_vault.wrapped_key USING hash AS
    OPERATOR 1 key_vault.=,
    FUNCTION 1 key_vault.wrapped_key_hash(key_vault.wrapped_key),
    FUNCTION 2 key_vault.wrapped_key_hash_extended(key_vault.wrapped_key, bigint);

