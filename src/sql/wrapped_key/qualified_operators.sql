-- The operators under the names that they had in version 1.0, such as OPERATOR(key_vault.=).  Views,
-- CHECKs and policies in dumps of 1.0 name them so.
--
-- The planner replaces each of them with the operator of pg_catalog, since it inlines functions of
-- this form (SQL, RETURN, without SET).  So indexes and hash joins work with them, although they are
-- in no operator class.

CREATE OR REPLACE FUNCTION key_vault_internal.wrapped_key_qualified_eq(a key_vault.wrapped_key, b key_vault.wrapped_key)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 1
RETURN a OPERATOR(pg_catalog.=) b;
COMMENT ON FUNCTION key_vault_internal.wrapped_key_qualified_eq(key_vault.wrapped_key, key_vault.wrapped_key) IS
'operator key_vault.=: stands for the operator =';
CREATE OPERATOR key_vault.= (
    LEFTARG = key_vault.wrapped_key, RIGHTARG = key_vault.wrapped_key,
    FUNCTION = key_vault_internal.wrapped_key_qualified_eq,
    COMMUTATOR = OPERATOR(key_vault.=), NEGATOR = OPERATOR(key_vault.<>),
    RESTRICT = eqsel, JOIN = eqjoinsel
);
COMMENT ON OPERATOR key_vault.= (key_vault.wrapped_key, key_vault.wrapped_key) IS
'the operator = of pg_catalog, under the name that it had in version 1.0';

CREATE OR REPLACE FUNCTION key_vault_internal.wrapped_key_qualified_ne(a key_vault.wrapped_key, b key_vault.wrapped_key)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 1
RETURN a OPERATOR(pg_catalog.<>) b;
COMMENT ON FUNCTION key_vault_internal.wrapped_key_qualified_ne(key_vault.wrapped_key, key_vault.wrapped_key) IS
'operator key_vault.<>: stands for the operator <>';
CREATE OPERATOR key_vault.<> (
    LEFTARG = key_vault.wrapped_key, RIGHTARG = key_vault.wrapped_key,
    FUNCTION = key_vault_internal.wrapped_key_qualified_ne,
    COMMUTATOR = OPERATOR(key_vault.<>), NEGATOR = OPERATOR(key_vault.=),
    RESTRICT = neqsel, JOIN = neqjoinsel
);
COMMENT ON OPERATOR key_vault.<> (key_vault.wrapped_key, key_vault.wrapped_key) IS
'the operator <> of pg_catalog, under the name that it had in version 1.0';

CREATE OR REPLACE FUNCTION key_vault_internal.wrapped_key_qualified_lt(a key_vault.wrapped_key, b key_vault.wrapped_key)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 1
RETURN a OPERATOR(pg_catalog.<) b;
COMMENT ON FUNCTION key_vault_internal.wrapped_key_qualified_lt(key_vault.wrapped_key, key_vault.wrapped_key) IS
'operator key_vault.<: stands for the operator <';
CREATE OPERATOR key_vault.< (
    LEFTARG = key_vault.wrapped_key, RIGHTARG = key_vault.wrapped_key,
    FUNCTION = key_vault_internal.wrapped_key_qualified_lt,
    COMMUTATOR = OPERATOR(key_vault.>), NEGATOR = OPERATOR(key_vault.>=),
    RESTRICT = scalarltsel, JOIN = scalarltjoinsel
);
COMMENT ON OPERATOR key_vault.< (key_vault.wrapped_key, key_vault.wrapped_key) IS
'the operator < of pg_catalog, under the name that it had in version 1.0';

CREATE OR REPLACE FUNCTION key_vault_internal.wrapped_key_qualified_le(a key_vault.wrapped_key, b key_vault.wrapped_key)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 1
RETURN a OPERATOR(pg_catalog.<=) b;
COMMENT ON FUNCTION key_vault_internal.wrapped_key_qualified_le(key_vault.wrapped_key, key_vault.wrapped_key) IS
'operator key_vault.<=: stands for the operator <=';
CREATE OPERATOR key_vault.<= (
    LEFTARG = key_vault.wrapped_key, RIGHTARG = key_vault.wrapped_key,
    FUNCTION = key_vault_internal.wrapped_key_qualified_le,
    COMMUTATOR = OPERATOR(key_vault.>=), NEGATOR = OPERATOR(key_vault.>),
    RESTRICT = scalarlesel, JOIN = scalarlejoinsel
);
COMMENT ON OPERATOR key_vault.<= (key_vault.wrapped_key, key_vault.wrapped_key) IS
'the operator <= of pg_catalog, under the name that it had in version 1.0';

CREATE OR REPLACE FUNCTION key_vault_internal.wrapped_key_qualified_gt(a key_vault.wrapped_key, b key_vault.wrapped_key)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 1
RETURN a OPERATOR(pg_catalog.>) b;
COMMENT ON FUNCTION key_vault_internal.wrapped_key_qualified_gt(key_vault.wrapped_key, key_vault.wrapped_key) IS
'operator key_vault.>: stands for the operator >';
CREATE OPERATOR key_vault.> (
    LEFTARG = key_vault.wrapped_key, RIGHTARG = key_vault.wrapped_key,
    FUNCTION = key_vault_internal.wrapped_key_qualified_gt,
    COMMUTATOR = OPERATOR(key_vault.<), NEGATOR = OPERATOR(key_vault.<=),
    RESTRICT = scalargtsel, JOIN = scalargtjoinsel
);
COMMENT ON OPERATOR key_vault.> (key_vault.wrapped_key, key_vault.wrapped_key) IS
'the operator > of pg_catalog, under the name that it had in version 1.0';

CREATE OR REPLACE FUNCTION key_vault_internal.wrapped_key_qualified_ge(a key_vault.wrapped_key, b key_vault.wrapped_key)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 1
RETURN a OPERATOR(pg_catalog.>=) b;
COMMENT ON FUNCTION key_vault_internal.wrapped_key_qualified_ge(key_vault.wrapped_key, key_vault.wrapped_key) IS
'operator key_vault.>=: stands for the operator >=';
CREATE OPERATOR key_vault.>= (
    LEFTARG = key_vault.wrapped_key, RIGHTARG = key_vault.wrapped_key,
    FUNCTION = key_vault_internal.wrapped_key_qualified_ge,
    COMMUTATOR = OPERATOR(key_vault.<=), NEGATOR = OPERATOR(key_vault.<),
    RESTRICT = scalargesel, JOIN = scalargejoinsel
);
COMMENT ON OPERATOR key_vault.>= (key_vault.wrapped_key, key_vault.wrapped_key) IS
'the operator >= of pg_catalog, under the name that it had in version 1.0';
