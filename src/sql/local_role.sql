-- The type of the roles in table kek_privilege: src/functions/local_role.c says why it is not regrole.

CREATE TYPE key_vault_internal.local_role;

CREATE FUNCTION key_vault_internal.local_role_in(cstring)
RETURNS key_vault_internal.local_role AS 'MODULE_PATHNAME', 'key_vault_local_role_in'
LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION key_vault_internal.local_role_in(cstring) IS
'input of type local_role: a role of this server by its name, error 42704 if there is none; if session_replication_role is replica, no role, whatever the text is';

CREATE FUNCTION key_vault_internal.local_role_out(key_vault_internal.local_role)
RETURNS cstring AS 'MODULE_PATHNAME', 'key_vault_local_role_out'
LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION key_vault_internal.local_role_out(key_vault_internal.local_role) IS
'output of type local_role: the name of the role';

CREATE FUNCTION key_vault_internal.local_role_recv(internal)
RETURNS key_vault_internal.local_role AS 'MODULE_PATHNAME', 'key_vault_local_role_recv'
LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION key_vault_internal.local_role_recv(internal) IS
'binary input of type local_role: the name of the role, as for text';

CREATE FUNCTION key_vault_internal.local_role_send(key_vault_internal.local_role)
RETURNS bytea AS 'MODULE_PATHNAME', 'key_vault_local_role_send'
LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION key_vault_internal.local_role_send(key_vault_internal.local_role) IS
'binary output of type local_role: the name of the role';

-- It is stored and compared as the oid of the role, as regrole is; so it needs no operators of its own.
CREATE TYPE key_vault_internal.local_role (
    INPUT = key_vault_internal.local_role_in,
    OUTPUT = key_vault_internal.local_role_out,
    RECEIVE = key_vault_internal.local_role_recv,
    SEND = key_vault_internal.local_role_send,
    LIKE = pg_catalog.oid,
    CATEGORY = 'N'
);
COMMENT ON TYPE key_vault_internal.local_role IS
'a role of this server, as regrole; a value that comes from another server by replication is read as no role';
CREATE CAST (key_vault_internal.local_role AS pg_catalog.oid) WITHOUT FUNCTION AS IMPLICIT;
CREATE CAST (key_vault_internal.local_role AS pg_catalog.regrole) WITHOUT FUNCTION AS IMPLICIT;
CREATE CAST (pg_catalog.oid AS key_vault_internal.local_role) WITHOUT FUNCTION AS ASSIGNMENT;
CREATE CAST (pg_catalog.regrole AS key_vault_internal.local_role) WITHOUT FUNCTION AS ASSIGNMENT;
