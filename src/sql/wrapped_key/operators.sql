-- The operators of the type wrapped_key, and its operator classes.
--
-- The operators are in pg_catalog, where every session finds them whatever its search_path: IN,
-- IS DISTINCT FROM, NULLIF, JOIN ... USING and MERGE, and what clients write for them, name no schema.

CREATE OPERATOR pg_catalog.= (
    LEFTARG = key_vault.wrapped_key, RIGHTARG = key_vault.wrapped_key,
    FUNCTION = key_vault_internal.wrapped_key_eq,
    COMMUTATOR = OPERATOR(pg_catalog.=), NEGATOR = OPERATOR(pg_catalog.<>),
    RESTRICT = eqsel, JOIN = eqjoinsel, HASHES, MERGES
);
COMMENT ON OPERATOR pg_catalog.= (key_vault.wrapped_key, key_vault.wrapped_key) IS
'whether two wrapped keys have the same bytes';

CREATE OPERATOR pg_catalog.<> (
    LEFTARG = key_vault.wrapped_key, RIGHTARG = key_vault.wrapped_key,
    FUNCTION = key_vault_internal.wrapped_key_ne,
    COMMUTATOR = OPERATOR(pg_catalog.<>), NEGATOR = OPERATOR(pg_catalog.=),
    RESTRICT = neqsel, JOIN = neqjoinsel
);
COMMENT ON OPERATOR pg_catalog.<> (key_vault.wrapped_key, key_vault.wrapped_key) IS
'whether two wrapped keys have different bytes';

CREATE OPERATOR pg_catalog.< (
    LEFTARG = key_vault.wrapped_key, RIGHTARG = key_vault.wrapped_key,
    FUNCTION = key_vault_internal.wrapped_key_lt,
    COMMUTATOR = OPERATOR(pg_catalog.>), NEGATOR = OPERATOR(pg_catalog.>=),
    RESTRICT = scalarltsel, JOIN = scalarltjoinsel
);
COMMENT ON OPERATOR pg_catalog.< (key_vault.wrapped_key, key_vault.wrapped_key) IS
'compares two wrapped keys byte by byte';

CREATE OPERATOR pg_catalog.<= (
    LEFTARG = key_vault.wrapped_key, RIGHTARG = key_vault.wrapped_key,
    FUNCTION = key_vault_internal.wrapped_key_le,
    COMMUTATOR = OPERATOR(pg_catalog.>=), NEGATOR = OPERATOR(pg_catalog.>),
    RESTRICT = scalarlesel, JOIN = scalarlejoinsel
);
COMMENT ON OPERATOR pg_catalog.<= (key_vault.wrapped_key, key_vault.wrapped_key) IS
'compares two wrapped keys byte by byte';

CREATE OPERATOR pg_catalog.> (
    LEFTARG = key_vault.wrapped_key, RIGHTARG = key_vault.wrapped_key,
    FUNCTION = key_vault_internal.wrapped_key_gt,
    COMMUTATOR = OPERATOR(pg_catalog.<), NEGATOR = OPERATOR(pg_catalog.<=),
    RESTRICT = scalargtsel, JOIN = scalargtjoinsel
);
COMMENT ON OPERATOR pg_catalog.> (key_vault.wrapped_key, key_vault.wrapped_key) IS
'compares two wrapped keys byte by byte';

CREATE OPERATOR pg_catalog.>= (
    LEFTARG = key_vault.wrapped_key, RIGHTARG = key_vault.wrapped_key,
    FUNCTION = key_vault_internal.wrapped_key_ge,
    COMMUTATOR = OPERATOR(pg_catalog.<=), NEGATOR = OPERATOR(pg_catalog.<),
    RESTRICT = scalargesel, JOIN = scalargejoinsel
);
COMMENT ON OPERATOR pg_catalog.>= (key_vault.wrapped_key, key_vault.wrapped_key) IS
'compares two wrapped keys byte by byte';

CREATE OPERATOR CLASS key_vault.wrapped_key_ops
DEFAULT FOR TYPE key_vault.wrapped_key USING btree AS
    OPERATOR 1 pg_catalog.<,
    OPERATOR 2 pg_catalog.<=,
    OPERATOR 3 pg_catalog.=,
    OPERATOR 4 pg_catalog.>=,
    OPERATOR 5 pg_catalog.>,
    FUNCTION 1 key_vault_internal.wrapped_key_cmp(key_vault.wrapped_key, key_vault.wrapped_key),
    FUNCTION 4 btequalimage(oid);
COMMENT ON OPERATOR CLASS key_vault.wrapped_key_ops USING btree IS
'btree indexes on columns of type wrapped_key: ordered by their bytes';
COMMENT ON OPERATOR FAMILY key_vault.wrapped_key_ops USING btree IS
'btree indexes on columns of type wrapped_key: ordered by their bytes';

CREATE OPERATOR CLASS key_vault.wrapped_key_ops
DEFAULT FOR TYPE key_vault.wrapped_key USING hash AS
    OPERATOR 1 pg_catalog.=,
    FUNCTION 1 key_vault_internal.wrapped_key_hash(key_vault.wrapped_key),
    FUNCTION 2 key_vault_internal.wrapped_key_hash_extended(key_vault.wrapped_key, bigint);
COMMENT ON OPERATOR CLASS key_vault.wrapped_key_ops USING hash IS
'hash indexes on columns of type wrapped_key: equality of their bytes';
COMMENT ON OPERATOR FAMILY key_vault.wrapped_key_ops USING hash IS
'hash indexes on columns of type wrapped_key: equality of their bytes';
