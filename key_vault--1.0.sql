/* key_vault--1.0.sql */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION key_vault" to load this file. \quit

-- Made here rather than named in the control file, so that it fails where a
-- schema of that name, with who knows what in it, is there already.
CREATE SCHEMA key_vault;
GRANT USAGE ON SCHEMA key_vault TO PUBLIC;

SET LOCAL search_path = pg_catalog, pg_temp;

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

------------------------------------------------------------------------------
-- KEKs
------------------------------------------------------------------------------

-- src/vault/kek_row.c reads the columns by their numbers.
CREATE TABLE key_vault.kek (
    kek_id           uuid NOT NULL,
    label            text COLLATE "C" NOT NULL CHECK (octet_length(label) BETWEEN 1 AND 255),
    version          integer NOT NULL CHECK (version > 0),
    state            text COLLATE "C" NOT NULL
                     CHECK (state IN ('active', 'deactivated', 'compromised', 'suspended', 'destroyed')),
    suspended_from   text COLLATE "C" CHECK (suspended_from IN ('active', 'deactivated', 'compromised')),
    key_bits         integer NOT NULL CHECK (key_bits IN (128, 192, 256)),
    provider         text COLLATE "C" NOT NULL DEFAULT 'local' CHECK (provider IN ('local')),
    root_key_id      bytea CHECK (octet_length(root_key_id) = 5),
    sealed_material  bytea,
    kcv              bytea NOT NULL CHECK (octet_length(kcv) = 5),
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    state_changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT kek_pkey PRIMARY KEY (kek_id),
    CONSTRAINT kek_label_version_key UNIQUE (label, version),
    CHECK ((state = 'suspended') = (suspended_from IS NOT NULL)),
    CHECK ((state = 'destroyed') = (sealed_material IS NULL)),
    CHECK ((sealed_material IS NULL) = (root_key_id IS NULL))
);
CREATE UNIQUE INDEX kek_active_key ON key_vault.kek (label) WHERE state = 'active';
SELECT pg_extension_config_dump('key_vault.kek', '');

COMMENT ON TABLE key_vault.kek IS
'key-encryption keys, their material sealed under a root key; written by the kek_ functions';
COMMENT ON COLUMN key_vault.kek.kek_id IS 'random, never used again; wrapped keys name it';
COMMENT ON COLUMN key_vault.kek.state IS
'active (wraps and unwraps; one per label), deactivated and compromised (unwrap only), suspended (neither), destroyed (material erased)';
COMMENT ON COLUMN key_vault.kek.suspended_from IS 'while suspended: the state to return to';
COMMENT ON COLUMN key_vault.kek.root_key_id IS
'key check value of the root key that seals the material (5 bytes)';
COMMENT ON COLUMN key_vault.kek.sealed_material IS
'the KEK under AES-256-GCM: format (1 byte), nonce (12), ciphertext, tag (16)';
COMMENT ON COLUMN key_vault.kek.kcv IS
'key check value: first 5 bytes of AES-CMAC(KEK, "key_vault key check value")';

CREATE TABLE key_vault.kek_privilege (
    label      text COLLATE "C" NOT NULL,
    role       regrole NOT NULL,
    privilege  text COLLATE "C" NOT NULL
               CHECK (privilege IN ('wrap', 'unwrap', 'decrypt', 'derive', 'rewrap', 'admin')),
    granted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT kek_privilege_pkey PRIMARY KEY (label, role, privilege)
);
-- Not what dropped roles left: where it is restored, their oids may be others'.
SELECT pg_extension_config_dump('key_vault.kek_privilege',
    'WHERE EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.oid = role)');
COMMENT ON TABLE key_vault.kek_privilege IS
'who may do what with the KEKs of a label; written by kek_grant() and kek_revoke()';

-- Every session hears of a change.  Row triggers, since a subscription's apply
-- worker fires no statement triggers for rows; ALWAYS, since it and
-- session_replication_role = replica fire no others.
CREATE FUNCTION key_vault.invalidate()
RETURNS trigger AS 'MODULE_PATHNAME', 'key_vault_invalidate'
LANGUAGE C;
COMMENT ON FUNCTION key_vault.invalidate() IS
'trigger: makes every session look again at the KEKs or privileges it remembers, once the change is committed';

CREATE TRIGGER invalidate AFTER INSERT OR UPDATE OR DELETE ON key_vault.kek
    FOR EACH ROW EXECUTE FUNCTION key_vault.invalidate();
CREATE TRIGGER invalidate_truncate AFTER TRUNCATE ON key_vault.kek
    FOR EACH STATEMENT EXECUTE FUNCTION key_vault.invalidate();
CREATE TRIGGER invalidate AFTER INSERT OR UPDATE OR DELETE ON key_vault.kek_privilege
    FOR EACH ROW EXECUTE FUNCTION key_vault.invalidate();
CREATE TRIGGER invalidate_truncate AFTER TRUNCATE ON key_vault.kek_privilege
    FOR EACH STATEMENT EXECUTE FUNCTION key_vault.invalidate();
ALTER TABLE key_vault.kek ENABLE ALWAYS TRIGGER invalidate;
ALTER TABLE key_vault.kek ENABLE ALWAYS TRIGGER invalidate_truncate;
ALTER TABLE key_vault.kek_privilege ENABLE ALWAYS TRIGGER invalidate;
ALTER TABLE key_vault.kek_privilege ENABLE ALWAYS TRIGGER invalidate_truncate;

-- On the origin only (not ALWAYS): a subscriber's rows follow the publisher's.
CREATE FUNCTION key_vault.guard_kek()
RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        RAISE EXCEPTION 'table key_vault.kek cannot be truncated'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = 'Every key that its KEKs wrap would be lost.';
    ELSIF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'KEK label "%" version % cannot be deleted', OLD.label, OLD.version
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = 'Every key that it wraps would be lost, and its version used again.',
                  HINT = 'Use key_vault.kek_destroy(), which erases the material and leaves the row.';
    END IF;
    IF (NEW.kek_id, NEW.label, NEW.version, NEW.key_bits, NEW.provider, NEW.kcv, NEW.created_at)
       IS DISTINCT FROM
       (OLD.kek_id, OLD.label, OLD.version, OLD.key_bits, OLD.provider, OLD.kcv, OLD.created_at)
    THEN
        RAISE EXCEPTION 'identity of KEK label "%" version % cannot be changed', OLD.label, OLD.version
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = 'Only its state changes, and its sealed material together with the root key.';
    END IF;
    IF OLD.state = 'destroyed' THEN
        RAISE EXCEPTION 'KEK label "%" version % is destroyed', OLD.label, OLD.version
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    IF NEW.sealed_material IS DISTINCT FROM OLD.sealed_material
       AND NEW.state <> 'destroyed'
       AND NEW.root_key_id IS NOT DISTINCT FROM OLD.root_key_id
    THEN
        RAISE EXCEPTION 'sealed material of KEK label "%" version % cannot be changed', OLD.label, OLD.version
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = 'It changes only by sealing it under another root key, or by destroying it.';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION key_vault.guard_kek() IS
'trigger: keeps the identity and the material of KEKs from being changed by mistake';

CREATE TRIGGER guard BEFORE UPDATE OR DELETE ON key_vault.kek
    FOR EACH ROW EXECUTE FUNCTION key_vault.guard_kek();
CREATE TRIGGER guard_truncate BEFORE TRUNCATE ON key_vault.kek
    FOR EACH STATEMENT EXECUTE FUNCTION key_vault.guard_kek();

CREATE FUNCTION key_vault.kek_create(label text, key_bits integer DEFAULT 256)
RETURNS integer AS 'MODULE_PATHNAME', 'key_vault_kek_create'
LANGUAGE C;
COMMENT ON FUNCTION key_vault.kek_create(text, integer) IS
'makes version 1 of a new KEK label, a random KEK of 128, 192 or 256 bits; returns the version; takes the privilege admin';

CREATE FUNCTION key_vault.kek_import(label text, material bytea)
RETURNS integer AS 'MODULE_PATHNAME', 'key_vault_kek_import'
LANGUAGE C;
COMMENT ON FUNCTION key_vault.kek_import(text, bytea) IS
'makes a KEK of 16, 24 or 32 bytes from outside the active version of a label, new or not; returns the version; takes the privilege admin. The KEK passes through SQL in the clear: pass it as a parameter of a prepared statement, never as a literal, with log_parameter_max_length and log_parameter_max_length_on_error = 0 and without auto_explain.log_verbose';

CREATE FUNCTION key_vault.kek_import_wrapped(label text, wrapped_material bytea, transport_label text)
RETURNS integer AS 'MODULE_PATHNAME', 'key_vault_kek_import_wrapped'
LANGUAGE C;
COMMENT ON FUNCTION key_vault.kek_import_wrapped(text, bytea, text) IS
'as kek_import, of a KEK that comes wrapped (AES-KW, RFC 3394) with some version of another KEK; takes admin on the label and unwrap on the transport label';

CREATE FUNCTION key_vault.kek_rotate(label text)
RETURNS integer AS 'MODULE_PATHNAME', 'key_vault_kek_rotate'
LANGUAGE C;
COMMENT ON FUNCTION key_vault.kek_rotate(text) IS
'makes a new random version of a label, of the same length, the active one; the one before unwraps only; returns the version; takes the privilege admin';

CREATE FUNCTION key_vault.kek_suspend(label text, version integer)
RETURNS void AS 'MODULE_PATHNAME', 'key_vault_kek_suspend'
LANGUAGE C;
COMMENT ON FUNCTION key_vault.kek_suspend(text, integer) IS
'takes a KEK out of use: it neither wraps nor unwraps until kek_resume; takes the privilege admin';

CREATE FUNCTION key_vault.kek_resume(label text, version integer)
RETURNS void AS 'MODULE_PATHNAME', 'key_vault_kek_resume'
LANGUAGE C;
COMMENT ON FUNCTION key_vault.kek_resume(text, integer) IS
'takes a suspended KEK back into use, in the state it had, or deactivated if its label has another active version by now; takes the privilege admin';

CREATE FUNCTION key_vault.kek_compromise(label text, version integer)
RETURNS void AS 'MODULE_PATHNAME', 'key_vault_kek_compromise'
LANGUAGE C;
COMMENT ON FUNCTION key_vault.kek_compromise(text, integer) IS
'marks a KEK as known to others: it unwraps only, so that its keys can be rewrapped; takes the privilege admin';

CREATE FUNCTION key_vault.root_key_rotate()
RETURNS bigint AS 'MODULE_PATHNAME', 'key_vault_root_key_rotate'
LANGUAGE C;
COMMENT ON FUNCTION key_vault.root_key_rotate() IS
'seals every KEK under the first root key of key_vault.root_key, in this transaction, whichever root key of the list it is sealed under; returns how many were sealed anew; for superusers. Standbys and subscribers need the new root key in their lists before';

CREATE FUNCTION key_vault.has_kek_privilege(label text, privilege text)
RETURNS boolean AS 'MODULE_PATHNAME', 'key_vault_has_kek_privilege'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION key_vault.has_kek_privilege(text, text) IS
'whether the current role holds a privilege on a KEK label: wrap, unwrap, decrypt, derive, rewrap or admin';

CREATE FUNCTION key_vault.kek_grant(label text, role regrole, privilege text)
RETURNS boolean AS 'MODULE_PATHNAME', 'key_vault_kek_grant'
LANGUAGE C;
COMMENT ON FUNCTION key_vault.kek_grant(text, regrole, text) IS
'grants a privilege on a KEK label to a role and, through membership, to its members: wrap, unwrap (see keys), decrypt (and make payloads), derive, rewrap or admin; false if it was granted before; takes the privilege admin';

CREATE FUNCTION key_vault.kek_revoke(label text, role regrole, privilege text)
RETURNS boolean AS 'MODULE_PATHNAME', 'key_vault_kek_revoke'
LANGUAGE C;
COMMENT ON FUNCTION key_vault.kek_revoke(text, regrole, text) IS
'withdraws what kek_grant granted; false if there was nothing to withdraw; takes the privilege admin';

CREATE VIEW key_vault.keks AS
SELECT label, version, state, key_bits, provider, kcv, root_key_id, created_at,
       state_changed_at, kek_id
  FROM key_vault.kek
 ORDER BY label, version;
COMMENT ON VIEW key_vault.keks IS 'the KEKs, without their sealed material';

CREATE VIEW key_vault.kek_privileges AS
SELECT label, role, string_agg(privilege, ', ' ORDER BY privilege) AS privileges
  FROM key_vault.kek_privilege
 GROUP BY label, role
 ORDER BY label, role::text;
COMMENT ON VIEW key_vault.kek_privileges IS 'who may do what with the KEKs of which label';

------------------------------------------------------------------------------
-- The audit log
------------------------------------------------------------------------------

-- No key and no number: rows of several databases can come together in one.
CREATE TABLE key_vault.audit_log (
    at               timestamptz NOT NULL DEFAULT clock_timestamp(),
    event            text COLLATE "C" NOT NULL,
    label            text COLLATE "C" NOT NULL,
    version          integer,
    details          jsonb,
    role             name NOT NULL,
    session_role     name NOT NULL,
    client_addr      inet,
    application_name text,
    pid              integer NOT NULL
);
SELECT pg_extension_config_dump('key_vault.audit_log', '');

COMMENT ON TABLE key_vault.audit_log IS
'the life of each KEK: created, imported, rotated, suspended, resumed, compromised, destroyed; resealed (under another root key); granted, revoked. Written by the functions, in the transaction of the change; rows cannot be changed or deleted. Read by members of pg_read_all_stats';
COMMENT ON COLUMN key_vault.audit_log.at IS 'the moment of the call; the transaction ended later';
COMMENT ON COLUMN key_vault.audit_log.version IS 'NULL for what is about the label as a whole';
COMMENT ON COLUMN key_vault.audit_log.details IS
'for changes of state: from, to; for privileges: role, privilege; resealed: the root keys'' check values, from, to';
COMMENT ON COLUMN key_vault.audit_log.role IS
'the current role, whose privilege was checked; roles are kept by name, as they were called then';
COMMENT ON COLUMN key_vault.audit_log.session_role IS 'the role that logged in (session_user)';
COMMENT ON COLUMN key_vault.audit_log.client_addr IS
'address of the client, or of the pooler before it; NULL for Unix sockets and background workers';
COMMENT ON COLUMN key_vault.audit_log.application_name IS 'as the client called itself';
COMMENT ON COLUMN key_vault.audit_log.pid IS 'process id of the session, as in the server''s log';

-- On the origin only, as the guard of kek: a subscription's rows come as they are.
CREATE FUNCTION key_vault.guard_audit_log()
RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'table key_vault.audit_log is append-only'
        USING ERRCODE = 'object_not_in_prerequisite_state',
              DETAIL = format('%s is refused.', TG_OP);
END
$$;
COMMENT ON FUNCTION key_vault.guard_audit_log() IS
'trigger: refuses whatever would change or remove rows of the audit log';

CREATE TRIGGER guard BEFORE UPDATE OR DELETE OR TRUNCATE ON key_vault.audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION key_vault.guard_audit_log();

------------------------------------------------------------------------------
-- Wrapped keys
------------------------------------------------------------------------------

CREATE FUNCTION key_vault.kek_id(key key_vault.wrapped_key)
RETURNS uuid AS 'MODULE_PATHNAME', 'wrapped_key_kek_id'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION key_vault.kek_id(key_vault.wrapped_key) IS
'the KEK that wraps the key';

CREATE FUNCTION key_vault.kek_label(key key_vault.wrapped_key)
RETURNS text AS 'MODULE_PATHNAME', 'wrapped_key_kek_label'
LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION key_vault.kek_label(key_vault.wrapped_key) IS
'label of the KEK that wraps the key; NULL when this database does not know it';

CREATE FUNCTION key_vault.kek_version(key key_vault.wrapped_key)
RETURNS integer AS 'MODULE_PATHNAME', 'wrapped_key_kek_version'
LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION key_vault.kek_version(key_vault.wrapped_key) IS
'version of the KEK that wraps the key; NULL when this database does not know it';

CREATE FUNCTION key_vault.algorithm(key key_vault.wrapped_key)
RETURNS text AS 'MODULE_PATHNAME', 'wrapped_key_algorithm'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION key_vault.algorithm(key_vault.wrapped_key) IS
'aes-kw (RFC 3394), aes-kwp (RFC 5649) or aes-kw-bound (RFC 3394 over 01 00 00 00, the DevAddr and the key)';

CREATE FUNCTION key_vault.bound_dev_addr(key key_vault.wrapped_key)
RETURNS bytea AS 'MODULE_PATHNAME', 'wrapped_key_bound_dev_addr'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION key_vault.bound_dev_addr(key_vault.wrapped_key) IS
'the DevAddr (4 bytes, big-endian) that a bound key is for, NULL for others; takes unwrap, decrypt, derive or rewrap';

CREATE TYPE key_vault.key_envelope AS (kek_label text, encrypted_key bytea);
COMMENT ON TYPE key_vault.key_envelope IS
'KeyEnvelope of LoRaWAN Backend Interfaces: KEK label and wrapped key (AES-KW, RFC 3394)';

CREATE FUNCTION key_vault.generate_key(label text, length integer DEFAULT 16)
RETURNS key_vault.wrapped_key AS 'MODULE_PATHNAME', 'key_vault_generate_key'
LANGUAGE C VOLATILE STRICT PARALLEL SAFE COST 20;
COMMENT ON FUNCTION key_vault.generate_key(text, integer) IS
'a new random key of 1 to 4096 bytes, wrapped with the label''s active KEK; takes the privilege wrap';

CREATE FUNCTION key_vault.wrap(key bytea, label text)
RETURNS key_vault.wrapped_key AS 'MODULE_PATHNAME', 'key_vault_wrap'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20;
COMMENT ON FUNCTION key_vault.wrap(bytea, text) IS
'a key of 1 to 4096 bytes, wrapped with the label''s active KEK: AES-KW, or AES-KWP for lengths that AES-KW cannot; takes the privilege wrap. The key passes through SQL in the clear: pass it as a parameter of a prepared statement, never as a literal, with log_parameter_max_length and log_parameter_max_length_on_error = 0 and without auto_explain.log_verbose';

CREATE FUNCTION key_vault.unwrap(key key_vault.wrapped_key)
RETURNS bytea AS 'MODULE_PATHNAME', 'key_vault_unwrap'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20;
COMMENT ON FUNCTION key_vault.unwrap(key_vault.wrapped_key) IS
'the key in the clear, without the context of a bound key; takes the privilege unwrap. Not for daily work: what it returns is as secret as the key';

CREATE FUNCTION key_vault.rewrap(key key_vault.wrapped_key)
RETURNS key_vault.wrapped_key AS 'MODULE_PATHNAME', 'key_vault_rewrap'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20;
COMMENT ON FUNCTION key_vault.rewrap(key_vault.wrapped_key) IS
'the same key, wrapped with the active KEK of the same label; keeps the binding; takes the privilege rewrap';

CREATE FUNCTION key_vault.rewrap(key key_vault.wrapped_key, label text)
RETURNS key_vault.wrapped_key AS 'MODULE_PATHNAME', 'key_vault_rewrap_to'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20;
COMMENT ON FUNCTION key_vault.rewrap(key_vault.wrapped_key, text) IS
'the same key, wrapped with the active KEK of another label; keeps the binding; takes unwrap on the old label and wrap on the new';

CREATE FUNCTION key_vault.bind(key key_vault.wrapped_key, dev_addr bytea)
RETURNS key_vault.wrapped_key AS 'MODULE_PATHNAME', 'key_vault_bind'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20;
COMMENT ON FUNCTION key_vault.bind(key_vault.wrapped_key, bytea) IS
'the same key, bound to a DevAddr (4 bytes, big-endian): used for any other it is an error; takes the privilege rewrap';

CREATE FUNCTION key_vault.key_check_value(key key_vault.wrapped_key)
RETURNS bytea AS 'MODULE_PATHNAME', 'key_vault_key_check_value'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20;
COMMENT ON FUNCTION key_vault.key_check_value(key_vault.wrapped_key) IS
'first 5 bytes of AES-CMAC(key, "key_vault key check value"), for keys of 16, 24 or 32 bytes; takes unwrap, decrypt, derive or rewrap';

CREATE FUNCTION key_vault.import_envelope(kek_label text, encrypted_key bytea, at_rest_label text,
                                          dev_addr bytea DEFAULT NULL)
RETURNS key_vault.wrapped_key AS 'MODULE_PATHNAME', 'key_vault_import_envelope'
LANGUAGE C STABLE PARALLEL SAFE COST 20;
COMMENT ON FUNCTION key_vault.import_envelope(text, bytea, text, bytea) IS
'the key of a KeyEnvelope (LoRaWAN Backend Interfaces), wrapped with the active KEK of the label at rest and, given a DevAddr (4 bytes, big-endian), bound to it; the version of the envelope''s KEK is the one that fits; an empty KEK label means that the 16 bytes are the key itself. NULL if an argument other than dev_addr is. Takes unwrap on the envelope''s label and wrap on the label at rest';

CREATE FUNCTION key_vault.export_envelope(key key_vault.wrapped_key, transport_label text)
RETURNS key_vault.key_envelope AS 'MODULE_PATHNAME', 'key_vault_export_envelope'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20;
COMMENT ON FUNCTION key_vault.export_envelope(key_vault.wrapped_key, text) IS
'the key as a KeyEnvelope (LoRaWAN Backend Interfaces) under the active KEK of the transport label; drops the binding; takes unwrap on its label and wrap on the transport label';

------------------------------------------------------------------------------
-- What hangs on a KEK, and destroying one
------------------------------------------------------------------------------

-- Whatever is made of wrapped_key holds wrapped keys: domains and, with more
-- than one key in a value, arrays, composite types and ranges.
CREATE VIEW key_vault.wrapped_key_columns AS
WITH RECURSIVE types (type, nested) AS (
    SELECT 'key_vault.wrapped_key'::regtype::oid, false
    UNION
    SELECT made.type, types.nested OR made.nested
      FROM types, LATERAL (
           SELECT t.oid, false FROM pg_type t
            WHERE t.typtype = 'd' AND t.typbasetype = types.type
           UNION ALL
           SELECT t.oid, true FROM pg_type t
            WHERE t.typelem = types.type AND t.typsubscript = 'array_subscript_handler'::regproc
           UNION ALL
           SELECT t.oid, true FROM pg_type t JOIN pg_attribute a ON a.attrelid = t.typrelid
            WHERE t.typtype = 'c' AND a.atttypid = types.type AND NOT a.attisdropped
           UNION ALL
           SELECT unnest(ARRAY[r.rngtypid, r.rngmultitypid]), true FROM pg_range r
            WHERE r.rngsubtype = types.type) AS made (type, nested)
)
SELECT c.oid::regclass AS relation, a.attname AS "column", types.nested, c.relkind
  FROM pg_class c
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  JOIN types ON types.type = a.atttypid
 WHERE c.relkind IN ('r', 'm', 'f')
   AND NOT (c.relpersistence = 't' AND c.relnamespace <> pg_my_temp_schema());
COMMENT ON VIEW key_vault.wrapped_key_columns IS
'the columns of this database that hold wrapped keys, of whatever table; nested: in arrays, composite types or ranges';

CREATE FUNCTION key_vault.kek_usage(label text DEFAULT NULL)
RETURNS TABLE (kek_label text, kek_version integer, state text,
               relation regclass, "column" name, keys bigint)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    col record;
BEGIN
    FOR col IN SELECT * FROM key_vault.wrapped_key_columns w ORDER BY w.relation::text, w."column"
    LOOP
        IF NOT has_column_privilege(col.relation, col."column", 'SELECT') THEN
            RAISE WARNING 'column "%" of table % could not be read and is left out', col."column", col.relation
                USING HINT = 'A role that may read it, or a superuser, sees all.';
            CONTINUE;
        END IF;
        RETURN QUERY EXECUTE format(
            'SELECT k.label, k.version, k.state, %3$L::regclass, %2$L::name, u.keys
               FROM (SELECT v.kek_id, count(*) AS keys
                       FROM ONLY %1$s, LATERAL (%4$s) AS v (kek_id)
                      WHERE v.kek_id IS NOT NULL GROUP BY 1) u
               LEFT JOIN key_vault.keks k USING (kek_id)
              WHERE $1 IS NULL OR k.label = $1
              ORDER BY 1, 2',
            col.relation, col."column", col.relation::oid,
            CASE WHEN col.nested THEN
                format('SELECT (regexp_matches(%I::text, %L, %L))[1]::uuid', col."column",
                       'kv1:[a-z-]+:([0-9a-f-]{36}):', 'g')
            ELSE
                format('VALUES (key_vault.kek_id(%I::key_vault.wrapped_key))', col."column")
            END)
        USING label;
    END LOOP;
END
$$;
COMMENT ON FUNCTION key_vault.kek_usage(text) IS
'how many wrapped keys of which column hang on which KEK version, of one label or of all; label and version are NULL for KEKs that this database does not know';

CREATE FUNCTION key_vault.kek_erase(label text, version integer)
RETURNS void AS 'MODULE_PATHNAME', 'key_vault_kek_erase'
LANGUAGE C;
COMMENT ON FUNCTION key_vault.kek_erase(text, integer) IS
'erases the material of a KEK without asking whether keys need it: for kek_destroy; takes the privilege admin';

CREATE FUNCTION key_vault.kek_destroy(label text, version integer, force boolean DEFAULT false)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET row_security = off AS $$
#variable_conflict use_variable
DECLARE
    col record;
    found record;
BEGIN
    IF label IS NULL OR version IS NULL OR force IS NULL THEN
        RAISE EXCEPTION 'arguments of kek_destroy must not be NULL'
            USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF NOT key_vault.has_kek_privilege(label, 'admin') THEN
        -- Says so in the words of all the others.
        PERFORM key_vault.kek_erase(label, version);
    END IF;
    IF NOT force THEN
        -- An older snapshot would not show keys written since.
        IF current_setting('transaction_isolation') <> 'read committed' THEN
            RAISE EXCEPTION 'kek_destroy must run in a READ COMMITTED transaction'
                USING ERRCODE = 'active_sql_transaction';
        END IF;
        FOR col IN SELECT w.relation, w."column", w.relkind FROM key_vault.wrapped_key_columns w
                    ORDER BY w.relation
        LOOP
            IF NOT has_column_privilege(col.relation, col."column", 'SELECT')
               OR NOT has_table_privilege(col.relation, 'UPDATE, DELETE, TRUNCATE')
            THEN
                RAISE EXCEPTION 'column "%" of table % could not be read and locked', col."column", col.relation
                    USING ERRCODE = 'insufficient_privilege',
                          DETAIL = 'Whether keys in it hang on the KEK cannot be told.',
                          HINT = 'Run it as a superuser, or destroy the KEK with force => true.';
            END IF;
            IF col.relkind = 'r' THEN
                EXECUTE format('LOCK TABLE ONLY %s IN SHARE MODE', col.relation);
            END IF;
        END LOOP;
        SELECT sum(u.keys) AS keys, string_agg(format('%s in column "%s" of %s', u.keys, u."column", u.relation), ', ') AS places
          INTO found
          FROM key_vault.kek_usage(label) u WHERE u.kek_version = version;
        IF found.keys > 0 THEN
            RAISE EXCEPTION 'KEK label "%" version % still wraps % keys', label, version, found.keys
                USING ERRCODE = 'KV008',
                      DETAIL = format('There are %s.', found.places),
                      HINT = 'Rewrap them first: UPDATE ... SET column = key_vault.rewrap(column). With force => true they are lost.';
        END IF;
    END IF;
    PERFORM key_vault.kek_erase(label, version);
END
$$;
COMMENT ON FUNCTION key_vault.kek_destroy(text, integer, boolean) IS
'erases the material of a KEK for ever. Without force it refuses while a wrapped_key column of this database holds a key that needs it; keys kept as bytea, text or JSON, in other databases or in backups it cannot see. Takes the privilege admin';

------------------------------------------------------------------------------
-- LoRaWAN
------------------------------------------------------------------------------

CREATE FUNCTION key_vault.lorawan_decrypt_uplink(key key_vault.wrapped_key, dev_addr bytea, f_cnt bigint, frm_payload bytea)
RETURNS bytea AS 'MODULE_PATHNAME', 'lorawan_crypt_uplink'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;

CREATE FUNCTION key_vault.lorawan_decrypt_downlink(key key_vault.wrapped_key, dev_addr bytea, f_cnt bigint, frm_payload bytea)
RETURNS bytea AS 'MODULE_PATHNAME', 'lorawan_crypt_downlink'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;

CREATE FUNCTION key_vault.lorawan_encrypt_uplink(key key_vault.wrapped_key, dev_addr bytea, f_cnt bigint, frm_payload bytea)
RETURNS bytea AS 'MODULE_PATHNAME', 'lorawan_crypt_uplink'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;

CREATE FUNCTION key_vault.lorawan_encrypt_downlink(key key_vault.wrapped_key, dev_addr bytea, f_cnt bigint, frm_payload bytea)
RETURNS bytea AS 'MODULE_PATHNAME', 'lorawan_crypt_downlink'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;

CREATE FUNCTION key_vault.lorawan_try_decrypt_uplink(key key_vault.wrapped_key, dev_addr bytea, f_cnt bigint, frm_payload bytea)
RETURNS bytea AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;

CREATE FUNCTION key_vault.lorawan_try_decrypt_downlink(key key_vault.wrapped_key, dev_addr bytea, f_cnt bigint, frm_payload bytea)
RETURNS bytea AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;

DO $$
DECLARE
    f record;
BEGIN
    FOR f IN SELECT oid::regprocedure AS name, proname FROM pg_proc
              WHERE pronamespace = 'key_vault'::regnamespace AND proname ~ '^lorawan_.*crypt_'
    LOOP
        EXECUTE format('COMMENT ON FUNCTION %s IS %L', f.name,
            format('%s an FRMPayload of an %s (LoRaWAN L2 1.0.4 and 1.1, section 4.3.3) of at most 255 bytes; dev_addr: 4 bytes, big-endian; f_cnt: the full 32-bit counter, 0 to 4294967295; %sNULL if an argument is; takes the privilege decrypt',
                CASE WHEN f.proname ~ 'encrypt' THEN 'encrypts' ELSE 'decrypts' END,
                CASE WHEN f.proname ~ 'uplink' THEN 'uplink' ELSE 'downlink' END,
                CASE WHEN f.proname ~ 'try' THEN
                    'NULL for a key whose KEK is unknown, suspended or destroyed, that fails its integrity check, is bound to another DevAddr or is no session key (see key_status); '
                ELSE '' END));
    END LOOP;
END
$$;

CREATE FUNCTION key_vault.key_status(key key_vault.wrapped_key, dev_addr bytea)
RETURNS text AS 'MODULE_PATHNAME', 'key_vault_key_status'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION key_vault.key_status(key_vault.wrapped_key, bytea) IS
'whether a session key can be used for a DevAddr (4 bytes, big-endian): ok, KEK unknown, KEK suspended, KEK destroyed, integrity failure, other DevAddr or not a session key; takes the privilege decrypt';

------------------------------------------------------------------------------
-- LoRaWAN: joins and derived keys
------------------------------------------------------------------------------

CREATE FUNCTION key_vault.lorawan_join_1_0(
    app_key key_vault.wrapped_key, join_request bytea, join_accept bytea, label text,
    OUT join_nonce integer, OUT net_id bytea, OUT dev_addr bytea,
    OUT rx1_dr_offset integer, OUT rx2_data_rate integer, OUT rx_delay integer, OUT cf_list bytea,
    OUT nwk_s_key key_vault.wrapped_key, OUT app_s_key key_vault.wrapped_key)
AS 'MODULE_PATHNAME', 'key_vault_lorawan_join_1_0'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 60;

CREATE FUNCTION key_vault.lorawan_join_1_1(
    nwk_key key_vault.wrapped_key, app_key key_vault.wrapped_key,
    join_request bytea, join_accept bytea, label text,
    OUT join_nonce integer, OUT net_id bytea, OUT dev_addr bytea,
    OUT rx1_dr_offset integer, OUT rx2_data_rate integer, OUT rx_delay integer, OUT cf_list bytea,
    OUT f_nwk_s_int_key key_vault.wrapped_key, OUT s_nwk_s_int_key key_vault.wrapped_key,
    OUT nwk_s_enc_key key_vault.wrapped_key, OUT app_s_key key_vault.wrapped_key)
AS 'MODULE_PATHNAME', 'key_vault_lorawan_join_1_1'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 100;

CREATE FUNCTION key_vault.lorawan_rejoin_1_1(
    nwk_key key_vault.wrapped_key, app_key key_vault.wrapped_key, join_eui bytea,
    rejoin_request bytea, join_accept bytea, label text,
    OUT join_nonce integer, OUT net_id bytea, OUT dev_addr bytea,
    OUT rx1_dr_offset integer, OUT rx2_data_rate integer, OUT rx_delay integer, OUT cf_list bytea,
    OUT f_nwk_s_int_key key_vault.wrapped_key, OUT s_nwk_s_int_key key_vault.wrapped_key,
    OUT nwk_s_enc_key key_vault.wrapped_key, OUT app_s_key key_vault.wrapped_key)
AS 'MODULE_PATHNAME', 'key_vault_lorawan_rejoin_1_1'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 100;

CREATE FUNCTION key_vault.lorawan_derive_js_int_key(nwk_key key_vault.wrapped_key, dev_eui bytea, label text)
RETURNS key_vault.wrapped_key AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 30;

CREATE FUNCTION key_vault.lorawan_derive_js_enc_key(nwk_key key_vault.wrapped_key, dev_eui bytea, label text)
RETURNS key_vault.wrapped_key AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 30;

CREATE FUNCTION key_vault.lorawan_derive_mc_root_key_1_0(gen_app_key key_vault.wrapped_key, label text)
RETURNS key_vault.wrapped_key AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 30;

CREATE FUNCTION key_vault.lorawan_derive_mc_root_key_1_1(app_key key_vault.wrapped_key, label text)
RETURNS key_vault.wrapped_key AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 30;

CREATE FUNCTION key_vault.lorawan_derive_mc_ke_key(mc_root_key key_vault.wrapped_key, label text)
RETURNS key_vault.wrapped_key AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 30;

CREATE FUNCTION key_vault.lorawan_derive_mc_key(mc_ke_key key_vault.wrapped_key, mc_key_encrypted bytea, label text)
RETURNS key_vault.wrapped_key AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 30;

CREATE FUNCTION key_vault.lorawan_derive_mc_app_s_key(mc_key key_vault.wrapped_key, mc_addr bytea, label text)
RETURNS key_vault.wrapped_key AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 30;

CREATE FUNCTION key_vault.lorawan_derive_mc_nwk_s_key(mc_key key_vault.wrapped_key, mc_addr bytea, label text)
RETURNS key_vault.wrapped_key AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 30;

CREATE FUNCTION key_vault.lorawan_derive_data_block_int_key(app_key key_vault.wrapped_key, label text)
RETURNS key_vault.wrapped_key AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 30;

CREATE FUNCTION key_vault.lorawan_derive_root_wor_s_key(nwk_s_enc_key key_vault.wrapped_key, label text)
RETURNS key_vault.wrapped_key AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 30;

CREATE FUNCTION key_vault.lorawan_derive_wor_s_int_key(root_wor_s_key key_vault.wrapped_key, dev_addr bytea, label text)
RETURNS key_vault.wrapped_key AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 30;

CREATE FUNCTION key_vault.lorawan_derive_wor_s_enc_key(root_wor_s_key key_vault.wrapped_key, dev_addr bytea, label text)
RETURNS key_vault.wrapped_key AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 30;

-- What all of them have in common is written once.
DO $$
DECLARE
    f record;
BEGIN
    FOR f IN SELECT p.oid::regprocedure AS name, c.comment
               FROM pg_proc p
               JOIN (VALUES
                    ('lorawan_join_1_0', 'what a join-accept says, and the session keys of its join, NwkSKey and AppSKey, bound to its DevAddr (LoRaWAN L2 1.0.4, sections 6.2.5 and 6.2.6; of a LoRaWAN 1.1 device in a 1.0 network with the NwkKey). join_request, join_accept: whole PHYPayloads of 23, and 17 or 33 bytes. The MICs of both must fit the key, or else the error is KV009, whatever the reason. That the join-accept answers this join-request, and not another of the same device, is for the caller to know: its MIC does not cover DevNonce'),
                    ('lorawan_join_1_1', 'what a join-accept says, and the session keys of its join, FNwkSIntKey, SNwkSIntKey and NwkSEncKey (from the NwkKey) and AppSKey (from the AppKey), bound to its DevAddr (LoRaWAN L2 1.1, sections 6.2.2 and 6.2.3). join_request, join_accept: whole PHYPayloads of 23, and 17 or 33 bytes. Both must fit the NwkKey and each other, and OptNeg must be set, or else the error is KV009, whatever the reason. No MIC covers the AppKey: that it is the device''s is for the caller to know'),
                    ('lorawan_rejoin_1_1', 'as lorawan_join_1_1, of a join-accept that answers a rejoin-request of type 0, 1 or 2 (LoRaWAN L2 1.1, sections 6.2.3 and 6.2.4) and is encrypted with JSEncKey. join_eui: 8 bytes, big-endian, of the device (types 0 and 2 do not carry it). rejoin_request: a whole PHYPayload of 19 bytes (types 0 and 2) or 24 (type 1). The MIC of types 0 and 2 is not checked, since its key is the SNwkSIntKey of the session before'),
                    ('lorawan_derive_js_int_key', 'JSIntKey, for the MICs of rejoin-requests of type 1 and of join-accepts: AES(NwkKey, 06 | DevEUI) (LoRaWAN L2 1.1, section 6.1.1.4). dev_eui: 8 bytes, big-endian'),
                    ('lorawan_derive_js_enc_key', 'JSEncKey, which encrypts join-accepts that answer rejoin-requests: AES(NwkKey, 05 | DevEUI) (LoRaWAN L2 1.1, section 6.1.1.4). dev_eui: 8 bytes, big-endian'),
                    ('lorawan_derive_mc_root_key_1_0', 'McRootKey of a LoRaWAN 1.0 device: AES(GenAppKey, 00) (TS005, section 4.3)'),
                    ('lorawan_derive_mc_root_key_1_1', 'McRootKey of a LoRaWAN 1.1 device: AES(AppKey, 20) (TS005, section 4.3)'),
                    ('lorawan_derive_mc_ke_key', 'McKEKey, which encrypts McKeys on their way to a device: AES(McRootKey, 00) (TS005, section 4.3)'),
                    ('lorawan_derive_mc_key', 'McKey of a multicast group: AES(McKEKey, McKey_encrypted) (TS005, section 4.3). mc_key_encrypted: the 16 bytes of McGroupSetupReq as they are. Nothing tells whether they were encrypted with this McKEKey: with another one it is another McKey'),
                    ('lorawan_derive_mc_app_s_key', 'McAppSKey, bound to the McAddr: AES(McKey, 01 | McAddr) (TS005, section 4.3). mc_addr: 4 bytes, big-endian'),
                    ('lorawan_derive_mc_nwk_s_key', 'McNwkSKey, bound to the McAddr: AES(McKey, 02 | McAddr) (TS005, section 4.3). mc_addr: 4 bytes, big-endian'),
                    ('lorawan_derive_data_block_int_key', 'DataBlockIntKey, for the MICs of data blocks such as firmware: AES(GenAppKey (LoRaWAN 1.0) or AppKey (1.1), 30) (TS004, section 3.3)'),
                    ('lorawan_derive_root_wor_s_key', 'RootWorSKey of a session: AES(NwkSEncKey (LoRaWAN 1.1) or NwkSKey (1.0), 01) (TS011). It is bound to what the session key is bound to'),
                    ('lorawan_derive_wor_s_int_key', 'WorSIntKey, bound to the DevAddr: AES(RootWorSKey, 01 | DevAddr) (TS011). dev_addr: 4 bytes, big-endian'),
                    ('lorawan_derive_wor_s_enc_key', 'WorSEncKey, bound to the DevAddr: AES(RootWorSKey, 02 | DevAddr) (TS011). dev_addr: 4 bytes, big-endian')
                    ) AS c (name, comment) ON c.name = p.proname
              WHERE p.pronamespace = 'key_vault'::regnamespace
    LOOP
        EXECUTE format('COMMENT ON FUNCTION %s IS %L', f.name,
            f.comment || CASE WHEN f.comment ~ 'join-accept says|as lorawan_join' THEN
                '. join_nonce: 0 to 16777215; net_id: 3 bytes, dev_addr: 4, big-endian; rx_delay: 0 to 15, seconds, 0 meaning 1; cf_list: 16 bytes as on the air, or NULL'
            ELSE '' END ||
            '. The result is wrapped with the active KEK of the label; NULL if an argument is. Takes derive on the label of the key, wrap on this one, and where they are not the same unwrap on the first too');
    END LOOP;
END
$$;

------------------------------------------------------------------------------
-- The cache
------------------------------------------------------------------------------

CREATE FUNCTION key_vault.cache_flush()
RETURNS void AS 'MODULE_PATHNAME', 'key_vault_cache_flush'
LANGUAGE C STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION key_vault.cache_flush() IS
'wipes the unwrapped keys that this session holds';

CREATE FUNCTION key_vault.cache_stats(
    OUT hits bigint, OUT misses bigint, OUT unwraps bigint, OUT evictions bigint,
    OUT expirations bigint, OUT withdrawals bigint, OUT flushes bigint,
    OUT verifications bigint, OUT mismatches bigint, OUT entries bigint,
    OUT bytes bigint, OUT stats_reset timestamptz)
RETURNS record AS 'MODULE_PATHNAME', 'key_vault_cache_stats'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION key_vault.cache_stats() IS
'counters of this session''s key cache, since its start or cache_stats_reset()';

CREATE FUNCTION key_vault.cache_stats_reset()
RETURNS void AS 'MODULE_PATHNAME', 'key_vault_cache_stats_reset'
LANGUAGE C STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION key_vault.cache_stats_reset() IS
'sets the counters of this session''s key cache to zero';

CREATE FUNCTION key_vault.cache_stats_all(
    OUT pid integer, OUT datid oid, OUT usesysid oid,
    OUT hits bigint, OUT misses bigint, OUT unwraps bigint, OUT evictions bigint,
    OUT expirations bigint, OUT withdrawals bigint, OUT flushes bigint,
    OUT verifications bigint, OUT mismatches bigint, OUT entries bigint,
    OUT bytes bigint, OUT stats_reset timestamptz)
RETURNS SETOF record AS 'MODULE_PATHNAME', 'key_vault_cache_stats_all'
LANGUAGE C VOLATILE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION key_vault.cache_stats_all() IS
'counters of every session''s key cache and, with pid NULL, of the sessions that ended; needs key_vault in shared_preload_libraries';

CREATE VIEW key_vault.cache_stats_sessions AS
SELECT s.pid, d.datname, r.rolname AS usename, s.hits, s.misses, s.unwraps, s.evictions,
       s.expirations, s.withdrawals, s.flushes, s.verifications, s.mismatches, s.entries,
       s.bytes, s.stats_reset
  FROM key_vault.cache_stats_all() s
  LEFT JOIN pg_database d ON d.oid = s.datid
  LEFT JOIN pg_roles r ON r.oid = s.usesysid
 WHERE s.pid IS NOT NULL;
COMMENT ON VIEW key_vault.cache_stats_sessions IS
'counters of every session''s key cache; needs key_vault in shared_preload_libraries';

CREATE VIEW key_vault.cache_stats_total AS
SELECT sum(hits)::bigint AS hits, sum(misses)::bigint AS misses, sum(unwraps)::bigint AS unwraps,
       sum(evictions)::bigint AS evictions, sum(expirations)::bigint AS expirations,
       sum(withdrawals)::bigint AS withdrawals, sum(flushes)::bigint AS flushes,
       sum(verifications)::bigint AS verifications, sum(mismatches)::bigint AS mismatches,
       sum(entries)::bigint AS entries, sum(bytes)::bigint AS bytes,
       max(stats_reset) FILTER (WHERE pid IS NULL) AS stats_reset
  FROM key_vault.cache_stats_all();
COMMENT ON VIEW key_vault.cache_stats_total IS
'counters of all key caches of the server together, of ended sessions too; needs key_vault in shared_preload_libraries';

CREATE FUNCTION key_vault.cache_stats_reset_all()
RETURNS void AS 'MODULE_PATHNAME', 'key_vault_cache_stats_reset_all'
LANGUAGE C STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION key_vault.cache_stats_reset_all() IS
'makes the counters of all key caches count from now; needs key_vault in shared_preload_libraries';

------------------------------------------------------------------------------
-- Privileges
------------------------------------------------------------------------------

-- What opens, makes or administers keys is for those whom kek_grant() names; it
-- gives them EXECUTE.  The functions about the cache ask for themselves.
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA key_vault FROM PUBLIC;

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOR f IN SELECT oid::regprocedure FROM pg_proc
              WHERE pronamespace = 'key_vault'::regnamespace
                AND (proname ~ '^wrapped_key_'
                     OR proname IN ('kek_id', 'kek_label', 'kek_version', 'algorithm',
                                    'has_kek_privilege', 'cache_flush', 'cache_stats',
                                    'cache_stats_reset', 'cache_stats_all',
                                    'cache_stats_reset_all'))
    LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO PUBLIC', f);
    END LOOP;
END
$$;
GRANT SELECT ON key_vault.cache_stats_sessions, key_vault.cache_stats_total TO pg_read_all_stats;
-- It names sessions and clients, as pg_stat_activity does for the same role.
GRANT SELECT ON key_vault.audit_log TO pg_read_all_stats;
GRANT SELECT ON key_vault.keks, key_vault.kek_privileges, key_vault.wrapped_key_columns TO PUBLIC;
