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
    provider         text COLLATE "C" NOT NULL DEFAULT 'local'
                     CHECK (provider = 'local' OR provider LIKE 'pkcs11:%'),
    root_key_id      bytea CHECK (octet_length(root_key_id) = 5),
    sealed_material  bytea,
    kcv              bytea NOT NULL CHECK (octet_length(kcv) = 5),
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    state_changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT kek_pkey PRIMARY KEY (kek_id),
    CONSTRAINT kek_label_version_key UNIQUE (label, version),
    CHECK ((state = 'suspended') = (suspended_from IS NOT NULL)),
    CHECK ((state = 'destroyed' OR provider <> 'local') = (sealed_material IS NULL)),
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
COMMENT ON COLUMN key_vault.kek.provider IS
'local, the material being sealed here, or the PKCS#11 URI of the token that the KEK is in, with the kek_id as CKA_ID';
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

CREATE FUNCTION key_vault.kek_create(label text, key_bits integer DEFAULT 256, provider text DEFAULT 'local')
RETURNS integer AS 'MODULE_PATHNAME', 'key_vault_kek_create'
LANGUAGE C;
COMMENT ON FUNCTION key_vault.kek_create(text, integer, text) IS
'makes version 1 of a new KEK label, a random KEK of 128, 192 or 256 bits; returns the version. provider: local, or pkcs11:token=... (RFC 7512) for a token that key_vault.tokens lists; there the KEK is made in the token, never leaves it, and wraps keys of 16 bytes or more in multiples of 8. Takes the privilege admin';

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

CREATE FUNCTION key_vault.kek_rotate(label text, provider text DEFAULT NULL)
RETURNS integer AS 'MODULE_PATHNAME', 'key_vault_kek_rotate'
LANGUAGE C;
COMMENT ON FUNCTION key_vault.kek_rotate(text, text) IS
'makes a new random version of a label, of the same length, the active one; the one before unwraps only; returns the version. provider: as for kek_create, NULL for that of the newest version. Takes the privilege admin';

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

-- No foreign key, so that a dump restores in any order; rows of kek stay.
CREATE TABLE key_vault.kek_destruction (
    kek_id       uuid NOT NULL,
    destroy_at   timestamptz NOT NULL,
    scheduled_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT kek_destruction_pkey PRIMARY KEY (kek_id)
);
SELECT pg_extension_config_dump('key_vault.kek_destruction', '');
COMMENT ON TABLE key_vault.kek_destruction IS
'KEKs that are to be destroyed; written by kek_schedule_destroy() and kek_cancel_destroy(), shown by the view keks';

CREATE VIEW key_vault.keks AS
SELECT label, version, state, key_bits, provider, kcv, root_key_id, created_at,
       state_changed_at, kek_id,
       (SELECT d.destroy_at FROM key_vault.kek_destruction d WHERE d.kek_id = kek.kek_id) AS destroy_at
  FROM key_vault.kek
 ORDER BY label, version;
COMMENT ON VIEW key_vault.keks IS
'the KEKs, without their sealed material; destroy_at: when kek_destroy_due() is to destroy it';

CREATE VIEW key_vault.kek_privileges AS
SELECT label, role, string_agg(privilege, ', ' ORDER BY privilege) AS privileges
  FROM key_vault.kek_privilege
 WHERE EXISTS (SELECT FROM pg_roles r WHERE r.oid = role)
 GROUP BY label, role
 ORDER BY label, role::text;
COMMENT ON VIEW key_vault.kek_privileges IS 'who may do what with the KEKs of which label; a dropped role no longer';

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
'the life of each KEK: created, imported, rotated, suspended, resumed, compromised, scheduled (for destruction), unscheduled, destroyed; resealed (under another root key); rewrapped (a row for each table and run); granted, revoked. Written by the functions, in the transaction of the change; rows cannot be changed or deleted. Read by members of pg_read_all_stats';
COMMENT ON COLUMN key_vault.audit_log.at IS 'the moment of the call; the transaction ended later';
COMMENT ON COLUMN key_vault.audit_log.version IS 'NULL for what is about the label as a whole';
COMMENT ON COLUMN key_vault.audit_log.details IS
'for changes of state: from, to; for privileges: role, privilege; resealed: the root keys'' check values, from, to; for a schedule: destroy_at; for rewrapping: table, rows, keys, and whether the run finished';
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

-- Members of pg_write_all_data could grant themselves what they like otherwise.
-- The functions write as the owner.
CREATE FUNCTION key_vault.guard_owner()
RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT pg_has_role(current_user, (SELECT c.relowner FROM pg_class c WHERE c.oid = TG_RELID), 'USAGE') THEN
        RAISE EXCEPTION 'permission denied for table %', TG_TABLE_NAME
            USING ERRCODE = 'insufficient_privilege',
                  DETAIL = format('Only its owner writes to table key_vault.%I.', TG_TABLE_NAME),
                  HINT = 'The functions of the extension do, for roles that kek_grant() names.';
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION key_vault.guard_owner() IS
'trigger: refuses writers who have privileges on all tables, but not those of this table''s owner';

CREATE TRIGGER guard_owner BEFORE INSERT OR UPDATE OR DELETE ON key_vault.kek
    FOR EACH STATEMENT EXECUTE FUNCTION key_vault.guard_owner();
CREATE TRIGGER guard_owner BEFORE INSERT OR UPDATE OR DELETE ON key_vault.kek_privilege
    FOR EACH STATEMENT EXECUTE FUNCTION key_vault.guard_owner();
CREATE TRIGGER guard_owner BEFORE INSERT OR UPDATE OR DELETE ON key_vault.audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION key_vault.guard_owner();
CREATE TRIGGER guard_owner BEFORE INSERT OR UPDATE OR DELETE ON key_vault.kek_destruction
    FOR EACH STATEMENT EXECUTE FUNCTION key_vault.guard_owner();

------------------------------------------------------------------------------
-- Monitoring
------------------------------------------------------------------------------

CREATE FUNCTION key_vault.root_keys(
    OUT "position" integer, OUT scheme text, OUT root_key_id bytea, OUT problem text)
RETURNS SETOF record AS 'MODULE_PATHNAME', 'key_vault_root_keys'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 2;
COMMENT ON FUNCTION key_vault.root_keys() IS
'the root keys of this server''s setting key_vault.root_key, read anew: position in the list from 1 (which seals), scheme (file, command), key check value (5 bytes) and, where it cannot be had, the SQLSTATE that says why; for members of pg_read_all_stats';

CREATE VIEW key_vault.kek_health AS
WITH root_keys AS MATERIALIZED (SELECT * FROM key_vault.root_keys())
SELECT k.label, k.version, k.state,
       extract(epoch FROM clock_timestamp() - k.created_at)::float8 AS age_seconds,
       k.root_key_id,
       (SELECT min(r."position") FROM root_keys r WHERE r.root_key_id = k.root_key_id) AS root_key_position
  FROM key_vault.keks k
 WHERE k.state <> 'destroyed';
COMMENT ON VIEW key_vault.kek_health IS
'what to watch of each KEK that is not destroyed: age_seconds since it was made; root_key_position: 1 when it is sealed under the first root key of this server''s list, more when under an older one, NULL when none of the list opens it (where root_key_id is not NULL); keys left on versions that are not active are counted by kek_usage(). For members of pg_read_all_stats';

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

CREATE FUNCTION key_vault.try_envelope_key(kek_label text, encrypted_key bytea)
RETURNS key_vault.wrapped_key AS 'MODULE_PATHNAME', 'key_vault_try_envelope_key'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION key_vault.try_envelope_key(text, bytea) IS
'a KeyEnvelope (LoRaWAN Backend Interfaces) as a wrapped key under its own KEK, unbound, with nothing rewrapped: to read with before it is imported; NULL where the label does not exist or no version of it opens the envelope. Takes the privilege decrypt on the envelope''s label';

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
SELECT c.oid::regclass AS relation, a.attname AS "column", types.nested, c.relkind,
       c.relpersistence = 't' AND c.relnamespace <> pg_my_temp_schema() AS other_session
  FROM pg_class c
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  JOIN types ON types.type = a.atttypid
 WHERE c.relkind IN ('r', 'm', 'f');
COMMENT ON VIEW key_vault.wrapped_key_columns IS
'the columns of this database that hold wrapped keys, of whatever table; nested: in arrays, composite types or ranges; other_session: in a temporary table of another session, which cannot be read';

CREATE FUNCTION key_vault.kek_ids(value anyelement)
RETURNS uuid[] AS 'MODULE_PATHNAME', 'key_vault_kek_ids'
LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION key_vault.kek_ids(anyelement) IS
'the KEKs that wrap the keys in a value of any type: a wrapped_key, or an array, row, range or domain made of them; one element a key, in their order';

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
        IF col.other_session OR NOT has_column_privilege(col.relation, col."column", 'SELECT') THEN
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
                format('SELECT * FROM unnest(key_vault.kek_ids(%I))', col."column")
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
    found_keys record;
    publications text;
    locked oid[] := '{}';
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
        SELECT string_agg(quote_ident(p.pubname), ', ' ORDER BY p.pubname) INTO publications
          FROM pg_publication_tables p WHERE p.schemaname = 'key_vault' AND p.tablename = 'kek';
        IF publications IS NOT NULL THEN
            RAISE EXCEPTION 'KEKs of this database are published to other servers'
                USING ERRCODE = 'object_not_in_prerequisite_state',
                      DETAIL = format('Table key_vault.kek is in publication %s. Keys of the subscribers that hang on the KEK cannot be seen from here.', publications),
                      HINT = 'Rewrap on the subscribers and see key_vault.kek_usage() there, then destroy the KEK with force => true.';
        END IF;
        -- Again, until no table came along while others were waited for.
        LOOP
            FOR col IN SELECT w.relation, w."column", w.relkind, w.other_session
                         FROM key_vault.wrapped_key_columns w
                        WHERE w.relation <> ALL (locked)
                        ORDER BY w.relation
            LOOP
                IF col.other_session
                   OR NOT has_column_privilege(col.relation, col."column", 'SELECT')
                   OR NOT has_table_privilege(col.relation, 'UPDATE, DELETE, TRUNCATE')
                THEN
                    RAISE EXCEPTION 'column "%" of table % could not be read and locked', col."column", col.relation
                        USING ERRCODE = 'insufficient_privilege',
                              DETAIL = 'Whether keys in it hang on the KEK cannot be told.',
                              HINT = CASE WHEN col.other_session THEN 'It is a temporary table of another session: wait for its end, or destroy the KEK with force => true.'
                                          ELSE 'Run it as a superuser, or destroy the KEK with force => true.' END;
                END IF;
                IF col.relkind = 'r' THEN
                    EXECUTE format('LOCK TABLE ONLY %s IN SHARE MODE', col.relation);
                END IF;
                locked := locked || col.relation::oid;
            END LOOP;
            EXIT WHEN NOT FOUND;
        END LOOP;
        SELECT sum(u.keys) AS keys, string_agg(format('%s in column "%s" of %s', u.keys, u."column", u.relation), ', ') AS places
          INTO found_keys
          FROM key_vault.kek_usage(label) u WHERE u.kek_version = version;
        IF found_keys.keys > 0 THEN
            RAISE EXCEPTION 'KEK label "%" version % still wraps % keys', label, version, found_keys.keys
                USING ERRCODE = 'KV008',
                      DETAIL = format('There are %s.', found_keys.places),
                      HINT = format('Rewrap them first: CALL key_vault.rewrap_all(%L). With force => true they are lost.', label);
        END IF;
    END IF;
    PERFORM key_vault.kek_erase(label, version);
    IF NOT force THEN
        RAISE NOTICE 'KEK label "%" version % is destroyed; columns of type wrapped_key of this database alone were looked at', label, version
            USING DETAIL = 'Keys that are kept as bytea, text or JSON, in other databases or in backups are out of reach.';
    END IF;
END
$$;
COMMENT ON FUNCTION key_vault.kek_destroy(text, integer, boolean) IS
'erases the material of a KEK for ever: in the table, and in every session at its next look-up of a key. Locks out writers of all tables with wrapped_key columns until the transaction ends. Without force it refuses while such a column of this database holds a key that needs it, while one cannot be read, and while table kek is published to other servers. Keys kept as bytea, text or JSON, in other databases or in backups it cannot see. The sealed material stays in WAL, in old backups, and in the dead row until VACUUM. Takes the privilege admin';

CREATE FUNCTION key_vault.kek_schedule_destroy(label text, version integer, after interval)
RETURNS timestamptz AS 'MODULE_PATHNAME', 'key_vault_kek_schedule_destroy'
LANGUAGE C;
COMMENT ON FUNCTION key_vault.kek_schedule_destroy(text, integer, interval) IS
'has a KEK destroyed by the first kek_destroy_due() after a waiting time, which may be changed by calling it again; until then it works as before; returns when. Takes the privilege admin';

CREATE FUNCTION key_vault.kek_cancel_destroy(label text, version integer)
RETURNS boolean AS 'MODULE_PATHNAME', 'key_vault_kek_cancel_destroy'
LANGUAGE C;
COMMENT ON FUNCTION key_vault.kek_cancel_destroy(text, integer) IS
'takes back kek_schedule_destroy; false if nothing was scheduled; takes the privilege admin';

-- It runs unattended: who waits for a lock has writers wait behind it.
CREATE FUNCTION key_vault.kek_destroy_due()
RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '10s' AS $$
DECLARE
    due record;
    message text;
    detail text;
    destroyed integer := 0;
BEGIN
    FOR due IN SELECT k.label, k.version FROM key_vault.keks k
                WHERE k.destroy_at <= clock_timestamp() AND k.state <> 'destroyed'
                  AND key_vault.has_kek_privilege(k.label, 'admin')
    LOOP
        BEGIN
            PERFORM key_vault.kek_destroy(due.label, due.version);
            destroyed := destroyed + 1;
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
            RAISE WARNING 'KEK label "%" version % is due, and could not be destroyed', due.label, due.version
                USING ERRCODE = SQLSTATE, DETAIL = concat_ws(' ', message || '.', nullif(detail, '')),
                      HINT = 'It stays scheduled.';
        END;
    END LOOP;
    RETURN destroyed;
END
$$;
COMMENT ON FUNCTION key_vault.kek_destroy_due() IS
'destroys the KEKs whose waiting time is over, of labels that the current role administers, as kek_destroy does without force; returns how many. What is refused is a warning and stays scheduled; a lock is waited for 10 seconds. For pg_cron, or whoever calls it';

------------------------------------------------------------------------------
-- Rewrapping all keys of a label
------------------------------------------------------------------------------

-- src/vault/rewrap_progress.c writes it.
CREATE TABLE key_vault.rewrap_state (
    label       text COLLATE "C" NOT NULL,
    relation    oid NOT NULL,
    lock_id     oid NOT NULL,
    kek_id      uuid NOT NULL,
    pass        integer NOT NULL,
    next_row    tid NOT NULL,
    first_block bigint NOT NULL,
    end_block   bigint NOT NULL,
    rows        bigint NOT NULL DEFAULT 0,
    keys        bigint NOT NULL DEFAULT 0,
    rows_failed bigint NOT NULL DEFAULT 0,
    rows_left   bigint,
    started_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    CONSTRAINT rewrap_state_pkey PRIMARY KEY (label, relation)
) WITH (fillfactor = 50);
COMMENT ON TABLE key_vault.rewrap_state IS
'how far rewrap_all() has come in which table; shown by the view rewrap_progress';
CREATE TRIGGER guard_owner BEFORE INSERT OR UPDATE OR DELETE ON key_vault.rewrap_state
    FOR EACH STATEMENT EXECUTE FUNCTION key_vault.guard_owner();

CREATE VIEW key_vault.rewrap_progress AS
SELECT s.label AS kek_label, s.relation::regclass AS relation,
       CASE WHEN l.pid IS NOT NULL THEN 'running'
            WHEN s.finished_at IS NULL THEN 'stopped'
            WHEN s.rows_left > 0 THEN 'rows left'
            ELSE 'done' END AS state,
       l.pid, s.pass,
       round(CASE WHEN s.finished_at IS NOT NULL OR s.end_block = 0 THEN 100
                  ELSE least(100, 100.0 * p.next_block / s.end_block) END, 1) AS percent,
       s.rows, s.keys, s.rows_failed, s.rows_left,
       round(s.keys / nullif(extract(epoch FROM s.updated_at - s.started_at), 0)) AS keys_per_second,
       CASE WHEN l.pid IS NOT NULL AND p.next_block > s.first_block
            THEN greatest((s.updated_at - s.started_at) * (s.end_block - p.next_block)::float8
                          / (p.next_block - s.first_block)::float8, '0') END AS time_left,
       s.started_at, s.updated_at, s.finished_at
  FROM key_vault.rewrap_state s
 CROSS JOIN LATERAL (SELECT (s.next_row::text::point)[0]::bigint) p (next_block)
  LEFT JOIN pg_locks l ON l.locktype = 'advisory' AND l.granted AND l.classid = s.relation
        AND l.objid = s.lock_id AND l.objsubid = 19318
        AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database());
COMMENT ON VIEW key_vault.rewrap_progress IS
'the last run of rewrap_all() by label and table, as of its last commit: state (running, stopped, done, or rows left), process, pass, percent of the pass, rows and keys rewrapped by this run, rows that could not be, rows left as counted at the end, keys a second, time left of the pass';

CREATE PROCEDURE key_vault.rewrap_all(label text, batch_size integer DEFAULT 10000,
                                      sleep interval DEFAULT '0', only_table regclass DEFAULT NULL)
AS 'MODULE_PATHNAME', 'key_vault_rewrap_all'
LANGUAGE C;
COMMENT ON PROCEDURE key_vault.rewrap_all(text, integer, interval, regclass) IS
'rewraps all keys of a label, in all wrapped_key columns of this database or in one table with its partitions and heirs, from the versions that only unwrap to the active one: batch_size rows (1 to 1000000) at a time, with a commit and a pause after each. Takes the privilege rewrap, and SELECT and UPDATE on the columns; the tables'' triggers and the like run as the tables'' owners. Rows that others have locked come later; rows that cannot be rewrapped are told as warnings. Stopped, it goes on from there when called again. Progress comes as notices, and in the view rewrap_progress';

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
              WHERE pronamespace = 'key_vault'::regnamespace AND proname ~ '^lorawan_(try_)?(de|en)crypt_(up|down)link$'
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
                    ('lorawan_derive_root_wor_s_key', 'RootWorSKey of a session: AES(NwkSEncKey (LoRaWAN 1.1) or NwkSKey (1.0), 01) (TS011, section 4.4). It is bound to what the session key is bound to'),
                    ('lorawan_derive_wor_s_int_key', 'WorSIntKey, bound to the DevAddr: AES(RootWorSKey, 01 | DevAddr) (TS011, section 4.5). dev_addr: 4 bytes, big-endian'),
                    ('lorawan_derive_wor_s_enc_key', 'WorSEncKey, bound to the DevAddr: AES(RootWorSKey, 02 | DevAddr) (TS011, section 4.5). dev_addr: 4 bytes, big-endian')
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
-- LoRaWAN frames and counters: without a key, for everyone
------------------------------------------------------------------------------

-- src/functions/lorawan_frame_functions.c sets the columns by their numbers.
CREATE TYPE key_vault.lorawan_frame AS (
    mtype        text,
    uplink       boolean,
    confirmed    boolean,
    dev_addr     bytea,
    adr          boolean,
    adr_ack_req  boolean,
    ack          boolean,
    class_b      boolean,
    f_pending    boolean,
    f_cnt16      integer,
    f_opts       bytea,
    f_port       integer,
    frm_payload  bytea,
    mic          bytea,
    join_eui     bytea,
    dev_eui      bytea,
    dev_nonce    integer,
    rejoin_type  integer,
    net_id       bytea,
    rj_count     integer,
    body         bytea
);
COMMENT ON TYPE key_vault.lorawan_frame IS
'a LoRaWAN frame taken apart (LoRaWAN L2 1.0.4 and 1.1, sections 4 and 6.2); columns that a frame of its mtype does not have are NULL';
COMMENT ON COLUMN key_vault.lorawan_frame.mtype IS
'join-request, join-accept, (un)confirmed data uplink or downlink, rejoin-request, proprietary';
COMMENT ON COLUMN key_vault.lorawan_frame.uplink IS 'sent by the device; NULL for proprietary frames';
COMMENT ON COLUMN key_vault.lorawan_frame.confirmed IS 'data frames: asks for an acknowledgement';
COMMENT ON COLUMN key_vault.lorawan_frame.dev_addr IS 'data frames: 4 bytes, big-endian as displayed';
COMMENT ON COLUMN key_vault.lorawan_frame.adr IS 'data frames: FCtrl, bit 7';
COMMENT ON COLUMN key_vault.lorawan_frame.adr_ack_req IS 'data uplinks: FCtrl, bit 6';
COMMENT ON COLUMN key_vault.lorawan_frame.ack IS 'data frames: FCtrl, bit 5';
COMMENT ON COLUMN key_vault.lorawan_frame.class_b IS 'data uplinks: FCtrl, bit 4';
COMMENT ON COLUMN key_vault.lorawan_frame.f_pending IS 'data downlinks: FCtrl, bit 4';
COMMENT ON COLUMN key_vault.lorawan_frame.f_cnt16 IS
'data frames: the low 16 bits of the frame counter, which is not yet what decryption takes: see lorawan_f_cnt and lorawan_full_f_cnt';
COMMENT ON COLUMN key_vault.lorawan_frame.f_opts IS
'data frames: 0 to 15 bytes of MAC commands; encrypted in LoRaWAN 1.1';
COMMENT ON COLUMN key_vault.lorawan_frame.f_port IS
'data frames: 0 to 255; NULL without FPort; with 0 the payload is MAC commands under a network session key';
COMMENT ON COLUMN key_vault.lorawan_frame.frm_payload IS 'data frames: encrypted; NULL without FPort';
COMMENT ON COLUMN key_vault.lorawan_frame.mic IS
'4 bytes, as in the frame; NULL for join-accepts, whose MIC is encrypted, and proprietary frames';
COMMENT ON COLUMN key_vault.lorawan_frame.join_eui IS
'join-requests and rejoin-requests of type 1: 8 bytes, big-endian as displayed; LoRaWAN 1.0 says AppEUI';
COMMENT ON COLUMN key_vault.lorawan_frame.dev_eui IS
'join-requests and rejoin-requests: 8 bytes, big-endian as displayed';
COMMENT ON COLUMN key_vault.lorawan_frame.dev_nonce IS 'join-requests: 0 to 65535';
COMMENT ON COLUMN key_vault.lorawan_frame.rejoin_type IS 'rejoin-requests: 0, 1 or 2';
COMMENT ON COLUMN key_vault.lorawan_frame.net_id IS
'rejoin-requests of types 0 and 2: 3 bytes, big-endian as displayed';
COMMENT ON COLUMN key_vault.lorawan_frame.rj_count IS
'rejoin-requests: RJcount0 (types 0 and 2) or RJcount1 (type 1), 0 to 65535';
COMMENT ON COLUMN key_vault.lorawan_frame.body IS
'what follows the MHDR: of join-accepts 16 or 32 bytes, encrypted, with the MIC; of proprietary frames all';

CREATE FUNCTION key_vault.lorawan_parse(phy_payload bytea)
RETURNS key_vault.lorawan_frame AS 'MODULE_PATHNAME', 'key_vault_lorawan_parse'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION key_vault.lorawan_parse(bytea) IS
'takes a LoRaWAN frame apart, a PHYPayload of at most 255 bytes with its MIC (LoRaWAN L2 1.0.4 and 1.1, sections 4 and 6.2); nothing is decrypted or checked against a key. Reserved bits are ignored. Error KV301, with the field and its offset, for a malformed frame. In FROM, so that it runs once a row: FROM uplink, key_vault.lorawan_parse(phy_payload) AS f';

CREATE FUNCTION key_vault.lorawan_mac_commands(
    commands bytea, uplink boolean,
    OUT n integer, OUT "offset" integer, OUT cid integer, OUT name text, OUT fields jsonb)
RETURNS SETOF record AS 'MODULE_PATHNAME', 'key_vault_lorawan_mac_commands'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10 ROWS 3;
COMMENT ON FUNCTION key_vault.lorawan_mac_commands(bytea, boolean) IS
'lists the MAC commands of FOpts or of an FRMPayload with FPort 0, in the clear (LoRaWAN L2 1.0.x and 1.1, section 5, and 1.1, sections 14 and 18), of an uplink or of a downlink: number from 1, offset in bytes, CID, name, and fields, NULL if it has none; frequencies are in Hz, gps_seconds since 1980-01-06 00:00:00 UTC in GPS time, fraction in 1/256 s. Error KV301 for an unknown or cut off command';

CREATE FUNCTION key_vault.lorawan_build_uplink(
    dev_addr bytea, f_cnt bigint, f_port integer DEFAULT NULL, frm_payload bytea DEFAULT NULL,
    f_opts bytea DEFAULT '', confirmed boolean DEFAULT false, adr boolean DEFAULT false,
    ack boolean DEFAULT false, adr_ack_req boolean DEFAULT false, class_b boolean DEFAULT false)
RETURNS bytea AS 'MODULE_PATHNAME', 'key_vault_lorawan_build_uplink'
LANGUAGE C IMMUTABLE PARALLEL SAFE;

CREATE FUNCTION key_vault.lorawan_build_downlink(
    dev_addr bytea, f_cnt bigint, f_port integer DEFAULT NULL, frm_payload bytea DEFAULT NULL,
    f_opts bytea DEFAULT '', confirmed boolean DEFAULT false, adr boolean DEFAULT false,
    ack boolean DEFAULT false, f_pending boolean DEFAULT false)
RETURNS bytea AS 'MODULE_PATHNAME', 'key_vault_lorawan_build_downlink'
LANGUAGE C IMMUTABLE PARALLEL SAFE;

DO $$
DECLARE
    f record;
BEGIN
    FOR f IN SELECT oid::regprocedure AS name, proname FROM pg_proc
              WHERE pronamespace = 'key_vault'::regnamespace AND proname IN ('lorawan_build_uplink', 'lorawan_build_downlink')
    LOOP
        EXECUTE format('COMMENT ON FUNCTION %s IS %L', f.name,
            format('makes a data %s up to its MIC (LoRaWAN L2 1.0.4 and 1.1, sections 4.2 and 4.3), at most 251 bytes: what the MIC is calculated over, and appended to; dev_addr: 4 bytes, big-endian; f_cnt: the full counter, 0 to 4294967295, whose low 16 bits are sent; frm_payload: encrypted, and f_port 0 to 255, or both NULL for a frame without them; f_opts: 0 to 15 bytes, encrypted in LoRaWAN 1.1. NULL if another argument is, or frm_payload where f_port is not',
                   substring(f.proname FROM '[a-z]+$')));
    END LOOP;
END
$$;

CREATE FUNCTION key_vault.lorawan_build_join_request(join_eui bytea, dev_eui bytea, dev_nonce integer)
RETURNS bytea AS 'MODULE_PATHNAME', 'key_vault_lorawan_build_join_request'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION key_vault.lorawan_build_join_request(bytea, bytea, integer) IS
'makes a join-request up to its MIC, 19 bytes (LoRaWAN L2 1.0.4, 6.2.5; 1.1, 6.2.2); EUIs: 8 bytes, big-endian; dev_nonce: 0 to 65535';

CREATE FUNCTION key_vault.lorawan_build_rejoin_request(
    rejoin_type integer, net_id bytea, join_eui bytea, dev_eui bytea, rj_count integer)
RETURNS bytea AS 'MODULE_PATHNAME', 'key_vault_lorawan_build_rejoin_request'
LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION key_vault.lorawan_build_rejoin_request(integer, bytea, bytea, bytea, integer) IS
'makes a rejoin-request up to its MIC (LoRaWAN L2 1.1, 6.2.4): types 0 and 2 with net_id (3 bytes), 15 bytes in all; type 1 with join_eui (8 bytes), 20 in all; the other one is NULL; big-endian; rj_count: 0 to 65535. NULL if an argument that there has to be is';

CREATE FUNCTION key_vault.lorawan_build_join_accept(
    join_nonce integer, net_id bytea, dev_addr bytea, rx1_dr_offset integer DEFAULT 0,
    rx2_data_rate integer DEFAULT 0, rx_delay integer DEFAULT 1, cf_list bytea DEFAULT '',
    opt_neg boolean DEFAULT false)
RETURNS bytea AS 'MODULE_PATHNAME', 'key_vault_lorawan_build_join_accept'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION key_vault.lorawan_build_join_accept(integer, bytea, bytea, integer, integer, integer, bytea, boolean) IS
'makes a join-accept up to its MIC and before its encryption, 13 bytes, or 29 with a CFList (LoRaWAN L2 1.0.4, 6.2.6; 1.1, 6.2.3); join_nonce: 0 to 16777215; net_id: 3 bytes, dev_addr: 4 bytes, both big-endian; rx1_dr_offset: 0 to 7; rx2_data_rate, rx_delay: 0 to 15; cf_list: 16 bytes as on the air, or empty; opt_neg: LoRaWAN 1.1';

CREATE FUNCTION key_vault.lorawan_full_f_cnt(last bigint, f_cnt16 integer, max_gap integer DEFAULT 16384)
RETURNS bigint AS 'MODULE_PATHNAME', 'key_vault_lorawan_full_f_cnt'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION key_vault.lorawan_full_f_cnt(bigint, integer, integer) IS
'the full 32-bit counter of a frame that carries f_cnt16 and comes after one with the counter last, or repeats it (LoRaWAN L2 1.0.x, 4.3.1.5). NULL if it is more than max_gap ahead (0 to 65535; MAX_FCNT_GAP of LoRaWAN 1.0.x by default), which is also what a frame older than last looks like, or beyond 4294967295';

CREATE FUNCTION key_vault.lorawan_f_cnt(f_cnt16 integer, max_gap integer DEFAULT 16384, last bigint DEFAULT NULL)
RETURNS bigint AS 'MODULE_PATHNAME', 'key_vault_lorawan_f_cnt'
LANGUAGE C IMMUTABLE WINDOW PARALLEL SAFE;
COMMENT ON FUNCTION key_vault.lorawan_f_cnt(integer, integer, bigint) IS
'window function: the full 32-bit counters of stored frames, as lorawan_full_f_cnt finds them one from the other, each from the row''s own f_cnt16: lorawan_f_cnt(f_cnt16) OVER (PARTITION BY session, direction ORDER BY received_at). The first row of a partition is taken for one of the first 65536 frames, or comes after the counter last. NULL for a row that is not accepted, which the next rows then are not seen from';

------------------------------------------------------------------------------
-- LoRaWAN: FOpts and message integrity codes
------------------------------------------------------------------------------

CREATE FUNCTION key_vault.lorawan_decrypt_uplink_f_opts(nwk_s_enc_key key_vault.wrapped_key, dev_addr bytea, f_cnt bigint, f_opts bytea)
RETURNS bytea AS 'MODULE_PATHNAME', 'lorawan_crypt_uplink_f_opts'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;

CREATE FUNCTION key_vault.lorawan_encrypt_uplink_f_opts(nwk_s_enc_key key_vault.wrapped_key, dev_addr bytea, f_cnt bigint, f_opts bytea)
RETURNS bytea AS 'MODULE_PATHNAME', 'lorawan_crypt_uplink_f_opts'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;

-- Not strict: f_port is NULL in frames without an FPort.
CREATE FUNCTION key_vault.lorawan_decrypt_downlink_f_opts(nwk_s_enc_key key_vault.wrapped_key, dev_addr bytea, f_cnt bigint, f_opts bytea, f_port integer)
RETURNS bytea AS 'MODULE_PATHNAME', 'lorawan_crypt_downlink_f_opts'
LANGUAGE C STABLE PARALLEL SAFE COST 10;

CREATE FUNCTION key_vault.lorawan_encrypt_downlink_f_opts(nwk_s_enc_key key_vault.wrapped_key, dev_addr bytea, f_cnt bigint, f_opts bytea, f_port integer)
RETURNS bytea AS 'MODULE_PATHNAME', 'lorawan_crypt_downlink_f_opts'
LANGUAGE C STABLE PARALLEL SAFE COST 10;

-- Data frames: of LoRaWAN 1.0 with one key, of 1.1 with the keys and values that its MICs take.
CREATE FUNCTION key_vault.lorawan_uplink_mic(nwk_s_key key_vault.wrapped_key, f_cnt bigint, message bytea)
RETURNS bytea AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;

CREATE FUNCTION key_vault.lorawan_uplink_mic(
    f_nwk_s_int_key key_vault.wrapped_key, s_nwk_s_int_key key_vault.wrapped_key,
    f_cnt bigint, conf_f_cnt bigint, tx_dr integer, tx_ch integer, message bytea)
RETURNS bytea AS 'MODULE_PATHNAME', 'lorawan_uplink_mic_1_1'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20;

CREATE FUNCTION key_vault.lorawan_downlink_mic(nwk_s_key key_vault.wrapped_key, f_cnt bigint, message bytea)
RETURNS bytea AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;

CREATE FUNCTION key_vault.lorawan_downlink_mic(s_nwk_s_int_key key_vault.wrapped_key, f_cnt bigint, conf_f_cnt bigint, message bytea)
RETURNS bytea AS 'MODULE_PATHNAME', 'lorawan_downlink_mic_1_1'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;

CREATE FUNCTION key_vault.lorawan_verify_uplink(nwk_s_key key_vault.wrapped_key, f_cnt bigint, phy_payload bytea)
RETURNS boolean AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;

CREATE FUNCTION key_vault.lorawan_verify_uplink(
    f_nwk_s_int_key key_vault.wrapped_key, s_nwk_s_int_key key_vault.wrapped_key,
    f_cnt bigint, conf_f_cnt bigint, tx_dr integer, tx_ch integer, phy_payload bytea)
RETURNS boolean AS 'MODULE_PATHNAME', 'lorawan_verify_uplink_1_1'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20;

CREATE FUNCTION key_vault.lorawan_verify_downlink(nwk_s_key key_vault.wrapped_key, f_cnt bigint, phy_payload bytea)
RETURNS boolean AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;

CREATE FUNCTION key_vault.lorawan_verify_downlink(s_nwk_s_int_key key_vault.wrapped_key, f_cnt bigint, conf_f_cnt bigint, phy_payload bytea)
RETURNS boolean AS 'MODULE_PATHNAME', 'lorawan_verify_downlink_1_1'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;

-- Which of the sessions that share a DevAddr sent a frame.
CREATE FUNCTION key_vault.lorawan_find_session_step(found anyelement, session anyelement, nwk_s_key key_vault.wrapped_key, f_cnt bigint, phy_payload bytea)
RETURNS anyelement AS 'MODULE_PATHNAME'
LANGUAGE C STABLE PARALLEL SAFE COST 10;

CREATE FUNCTION key_vault.lorawan_find_session_step(
    found anyelement, session anyelement,
    f_nwk_s_int_key key_vault.wrapped_key, s_nwk_s_int_key key_vault.wrapped_key,
    f_cnt bigint, conf_f_cnt bigint, tx_dr integer, tx_ch integer, phy_payload bytea)
RETURNS anyelement AS 'MODULE_PATHNAME', 'lorawan_find_session_step_1_1'
LANGUAGE C STABLE PARALLEL SAFE COST 20;

CREATE AGGREGATE key_vault.lorawan_find_session(session anyelement, nwk_s_key key_vault.wrapped_key, f_cnt bigint, phy_payload bytea) (
    SFUNC = key_vault.lorawan_find_session_step,
    STYPE = anyelement,
    PARALLEL = SAFE
);

CREATE AGGREGATE key_vault.lorawan_find_session(
    session anyelement,
    f_nwk_s_int_key key_vault.wrapped_key, s_nwk_s_int_key key_vault.wrapped_key,
    f_cnt bigint, conf_f_cnt bigint, tx_dr integer, tx_ch integer, phy_payload bytea) (
    SFUNC = key_vault.lorawan_find_session_step,
    STYPE = anyelement,
    PARALLEL = SAFE
);

-- Joins and rejoins
CREATE FUNCTION key_vault.lorawan_join_request_mic(root_key key_vault.wrapped_key, message bytea)
RETURNS bytea AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;

CREATE FUNCTION key_vault.lorawan_verify_join_request(root_key key_vault.wrapped_key, phy_payload bytea)
RETURNS boolean AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;

CREATE FUNCTION key_vault.lorawan_rejoin_request_mic(key key_vault.wrapped_key, message bytea)
RETURNS bytea AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;

CREATE FUNCTION key_vault.lorawan_verify_rejoin_request(key key_vault.wrapped_key, phy_payload bytea)
RETURNS boolean AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;

CREATE FUNCTION key_vault.lorawan_join_accept_mic(root_key key_vault.wrapped_key, message bytea)
RETURNS bytea AS 'MODULE_PATHNAME', 'lorawan_join_accept_mic_1_0'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;

CREATE FUNCTION key_vault.lorawan_join_accept_mic(js_int_key key_vault.wrapped_key, join_req_type integer, join_eui bytea, dev_nonce integer, message bytea)
RETURNS bytea AS 'MODULE_PATHNAME', 'lorawan_join_accept_mic_1_1'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;

CREATE FUNCTION key_vault.lorawan_verify_join_accept(root_key key_vault.wrapped_key, phy_payload bytea)
RETURNS boolean AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20;

CREATE FUNCTION key_vault.lorawan_verify_join_accept(
    encryption_key key_vault.wrapped_key, js_int_key key_vault.wrapped_key,
    join_req_type integer, join_eui bytea, dev_nonce integer, phy_payload bytea)
RETURNS boolean AS 'MODULE_PATHNAME', 'lorawan_verify_join_accept_1_1'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20;

CREATE FUNCTION key_vault.lorawan_encrypt_join_accept(root_key key_vault.wrapped_key, message bytea)
RETURNS bytea AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20;

CREATE FUNCTION key_vault.lorawan_encrypt_join_accept(
    encryption_key key_vault.wrapped_key, js_int_key key_vault.wrapped_key,
    join_req_type integer, join_eui bytea, dev_nonce integer, message bytea)
RETURNS bytea AS 'MODULE_PATHNAME', 'lorawan_encrypt_join_accept_1_1'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20;

-- What many of them have in common is written once.
DO $$
DECLARE
    f record;
    f_cnt constant text := '. f_cnt: the full 32-bit counter, 0 to 4294967295, an error where its low 16 bits are not the frame''s';
    v1_1 constant text := '. conf_f_cnt: the counter of the confirmed frame that this one acknowledges, of which 16 bits go in; it counts only where the frame''s ACK bit is set, so that 0 will do elsewhere';
    tx constant text := '. tx_dr, tx_ch: data rate and channel index of the transmission, 0 to 255';
    accept constant text := '. join_req_type: 255 where it answers a join-request, else the type of the rejoin-request, 0 to 2; join_eui: 8 bytes, big-endian; dev_nonce: 0 to 65535, DevNonce of the join-request or RJcount of the rejoin-request';
    message constant text := '. message: the PHYPayload from MHDR on, without the MIC; phy_payload: with it';
BEGIN
    FOR f IN SELECT p.oid::regprocedure AS name, p.prokind, c.comment
               FROM pg_proc p
               JOIN (VALUES
                    ('lorawan_decrypt_uplink_f_opts', 4, 'decrypts the FOpts of an uplink of LoRaWAN 1.1, 0 to 15 bytes, with NwkSEncKey (L2 1.1, section 4.3.1.6, with the errata about FCntDwn). dev_addr: 4 bytes, big-endian; f_cnt: the full 32-bit counter, 0 to 4294967295'),
                    ('lorawan_encrypt_uplink_f_opts', 4, 'encrypts FOpts as lorawan_decrypt_uplink_f_opts decrypts them'),
                    ('lorawan_decrypt_downlink_f_opts', 5, 'decrypts the FOpts of a downlink of LoRaWAN 1.1, 0 to 15 bytes, with NwkSEncKey (L2 1.1, section 4.3.1.6, with the errata about FCntDwn). dev_addr: 4 bytes, big-endian; f_cnt: the full 32-bit counter, 0 to 4294967295; f_port: the frame''s FPort, NULL if it has none, which tells AFCntDown (above 0) from NFCntDown'),
                    ('lorawan_encrypt_downlink_f_opts', 5, 'encrypts FOpts as lorawan_decrypt_downlink_f_opts decrypts them'),
                    ('lorawan_uplink_mic', 3, 'the MIC, 4 bytes, of an uplink of LoRaWAN 1.0: CMAC(NwkSKey, B0 | message) (L2 1.0.4, section 4.4); of a device of LoRaWAN 1.1 in a network of 1.0 with FNwkSIntKey' || message || f_cnt),
                    ('lorawan_uplink_mic', 7, 'the MIC, 4 bytes, of an uplink of LoRaWAN 1.1: half of it CMAC(SNwkSIntKey, B1 | message), half CMAC(FNwkSIntKey, B0 | message) (L2 1.1, section 4.4)' || message || f_cnt || v1_1 || tx),
                    ('lorawan_downlink_mic', 3, 'the MIC, 4 bytes, of a downlink of LoRaWAN 1.0: CMAC(NwkSKey, B0 | message) (L2 1.0.4, section 4.4)' || message || f_cnt),
                    ('lorawan_downlink_mic', 4, 'the MIC, 4 bytes, of a downlink of LoRaWAN 1.1: CMAC(SNwkSIntKey, B0 | message) (L2 1.1, section 4.4)' || message || f_cnt || v1_1),
                    ('lorawan_verify_uplink', 3, 'whether the MIC of an uplink of LoRaWAN 1.0 fits; see lorawan_uplink_mic' || message || f_cnt),
                    ('lorawan_verify_uplink', 7, 'whether the MIC of an uplink of LoRaWAN 1.1 fits; see lorawan_uplink_mic' || message || f_cnt || v1_1 || tx),
                    ('lorawan_verify_downlink', 3, 'whether the MIC of a downlink of LoRaWAN 1.0 fits; see lorawan_downlink_mic' || message || f_cnt),
                    ('lorawan_verify_downlink', 4, 'whether the MIC of a downlink of LoRaWAN 1.1 fits; see lorawan_downlink_mic' || message || f_cnt || v1_1),
                    ('lorawan_find_session', 4, 'aggregate: the session, of those that share a DevAddr, that an uplink of LoRaWAN 1.0 fits: the first argument of the row for which lorawan_verify_uplink is true. NULL if there is none, an error if there are several that differ. Rows with a NULL, and those whose key cannot be used (see key_status), do not fit'),
                    ('lorawan_find_session', 8, 'aggregate: the same for uplinks of LoRaWAN 1.1'),
                    ('lorawan_find_session_step', 5, 'the step of the aggregate lorawan_find_session for LoRaWAN 1.0'),
                    ('lorawan_find_session_step', 9, 'the step of the aggregate lorawan_find_session for LoRaWAN 1.1'),
                    ('lorawan_join_request_mic', 2, 'the MIC, 4 bytes, of a join-request: CMAC(AppKey (LoRaWAN 1.0) or NwkKey (1.1), message) (L2 1.0.4 and 1.1, section 6.2). message: 19 bytes, the PHYPayload without the MIC'),
                    ('lorawan_verify_join_request', 2, 'whether the MIC of a join-request fits; see lorawan_join_request_mic. phy_payload: 23 bytes'),
                    ('lorawan_rejoin_request_mic', 2, 'the MIC, 4 bytes, of a rejoin-request: CMAC(key, message), the key being SNwkSIntKey for types 0 and 2, JSIntKey for type 1 (L2 1.1, section 6.2.4). message: the PHYPayload without the MIC, 15 bytes, 20 of type 1. It has no DevAddr that a bound key could be checked against'),
                    ('lorawan_verify_rejoin_request', 2, 'whether the MIC of a rejoin-request fits; see lorawan_rejoin_request_mic. phy_payload: 19 bytes, 24 of type 1'),
                    ('lorawan_join_accept_mic', 2, 'the MIC, 4 bytes, of a join-accept of LoRaWAN 1.0: CMAC(AppKey, message) (L2 1.0.4, section 6.2); with NwkKey where the device is of LoRaWAN 1.1 and OptNeg not set. message: the PHYPayload in the clear without the MIC, 13 bytes, 29 with a CFList'),
                    ('lorawan_join_accept_mic', 5, 'the MIC, 4 bytes, of a join-accept of LoRaWAN 1.1: CMAC(JSIntKey, join_req_type | JoinEUI | DevNonce | message) (L2 1.1, section 6.2.3). message: the PHYPayload in the clear without the MIC, 13 bytes, 29 with a CFList' || accept),
                    ('lorawan_verify_join_accept', 2, 'whether the MIC of a join-accept of LoRaWAN 1.0, encrypted as on the air, fits; see lorawan_join_accept_mic. phy_payload: 17 bytes, 33 with a CFList'),
                    ('lorawan_verify_join_accept', 6, 'whether the MIC of a join-accept of LoRaWAN 1.1, encrypted as on the air, fits; see lorawan_join_accept_mic. encryption_key: NwkKey, or JSEncKey where it answers a rejoin-request; phy_payload: 17 bytes, 33 with a CFList' || accept),
                    ('lorawan_encrypt_join_accept', 2, 'the PHYPayload on the air of a join-accept of LoRaWAN 1.0: with its MIC, and encrypted (L2 1.0.4, section 6.2). message: as for lorawan_join_accept_mic'),
                    ('lorawan_encrypt_join_accept', 6, 'the PHYPayload on the air of a join-accept of LoRaWAN 1.1: with its MIC, and encrypted (L2 1.1, section 6.2.3). encryption_key: NwkKey, or JSEncKey where it answers a rejoin-request; message: as for lorawan_join_accept_mic' || accept)
                    ) AS c (name, arguments, comment) ON c.name = p.proname AND c.arguments = p.pronargs
              WHERE p.pronamespace = 'key_vault'::regnamespace
    LOOP
        EXECUTE format('COMMENT ON %s %s IS %L', CASE f.prokind WHEN 'a' THEN 'AGGREGATE' ELSE 'FUNCTION' END, f.name,
            f.comment || CASE WHEN f.prokind = 'a' THEN '' ELSE '; NULL if an argument is' || CASE WHEN f.comment ~ 'f_port' THEN ' (f_port excepted)' ELSE '' END END
                      || '; takes the privilege ' || CASE WHEN f.name::text ~ 'f_opts' THEN 'decrypt' ELSE 'derive' END);
    END LOOP;
END
$$;

------------------------------------------------------------------------------
-- Sealed values
------------------------------------------------------------------------------

CREATE FUNCTION key_vault.seal(key key_vault.wrapped_key, plaintext bytea)
RETURNS bytea AS 'MODULE_PATHNAME', 'key_vault_seal'
LANGUAGE C VOLATILE STRICT PARALLEL SAFE COST 20;
COMMENT ON FUNCTION key_vault.seal(key_vault.wrapped_key, bytea) IS
'encrypts plaintext that is to be stored, with AES-256-GCM and a random nonce: 29 bytes more. key: of 32 bytes, from generate_key(label, 32); not for more than 2^32 values. Each call gives another value. NULL if an argument is; takes the privilege decrypt';

CREATE FUNCTION key_vault.open(key key_vault.wrapped_key, sealed bytea)
RETURNS bytea AS 'MODULE_PATHNAME', 'key_vault_open'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20;
COMMENT ON FUNCTION key_vault.open(key_vault.wrapped_key, bytea) IS
'decrypts what seal made; an error (KV501) if it was changed or sealed with another key; NULL if an argument is; takes the privilege decrypt';

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
-- Storage
------------------------------------------------------------------------------

-- The messages of network servers, read into one form.  What is wrong with one
-- is an error, which names the field.

CREATE TYPE key_vault.storage_event AS (
    kind           text,
    event          text,
    received_at    timestamptz,
    dev_eui        bytea,
    application_id text,
    device_id      text,
    dev_addr       bytea,
    session_key_id bytea,
    f_port         smallint,
    f_cnt          bigint,
    frm_payload    bytea,
    encrypted      boolean,
    kek_label      text,
    encrypted_key  bytea,
    key_number     integer,
    queue_item_id  text,
    item           integer
);
COMMENT ON TYPE key_vault.storage_event IS
'what a storage takes from a message of a network server: kind uplink, join or downlink; EUIs and DevAddr big-endian; the key envelope, or the number of the key that storage_wrap_keys() took out';

CREATE FUNCTION key_vault.storage_bytes(value jsonb, field text, encoding text, size integer DEFAULT NULL,
                                        maximum integer DEFAULT NULL)
RETURNS bytea LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    string text := value #>> '{}';
    bytes bytea;
BEGIN
    IF coalesce(string, '') = '' THEN
        RETURN NULL;
    ELSIF jsonb_typeof(value) <> 'string' THEN
        RAISE EXCEPTION '% is not a string', field USING ERRCODE = 'invalid_parameter_value';
    ELSIF length(string) % 2 <> 0
       OR (CASE encoding WHEN 'hex' THEN string !~ '^[0-9A-Fa-f]+$'
                         ELSE string !~ '^[0-9A-Za-z+/]+={0,2}$' OR length(string) % 4 <> 0 END)
    THEN
        RAISE EXCEPTION '% is not %', field, CASE encoding WHEN 'hex' THEN 'hexadecimal' ELSE encoding END
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    bytes := decode(string, encoding);
    IF octet_length(bytes) <> size THEN
        RAISE EXCEPTION '% has % bytes, not %', field, octet_length(bytes), size
            USING ERRCODE = 'invalid_parameter_value';
    ELSIF octet_length(bytes) > maximum THEN
        RAISE EXCEPTION '% has % bytes, more than %', field, octet_length(bytes), maximum
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN bytes;
END
$$;
COMMENT ON FUNCTION key_vault.storage_bytes(jsonb, text, text, integer, integer) IS
'bytes of a JSON string in hex or base64; NULL where it is missing or empty; for storage_events()';

CREATE FUNCTION key_vault.storage_integer(value jsonb, field text, maximum bigint)
RETURNS bigint LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    string text := value #>> '{}';
BEGIN
    IF string IS NULL THEN
        RETURN 0;
    ELSIF string !~ '^[0-9]{1,18}$' OR string::bigint > maximum THEN
        RAISE EXCEPTION '% is not an integer from 0 to %', field, maximum
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN string;
END
$$;
COMMENT ON FUNCTION key_vault.storage_integer(jsonb, text, bigint) IS
'a JSON number from 0 to the maximum; 0 where it is missing, as The Things Stack leaves out what is zero; for storage_events()';

-- Not all that PostgreSQL takes for a time, such as "infinity" or "today".
CREATE FUNCTION key_vault.storage_time(value jsonb, field text)
RETURNS timestamptz LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    string text := value #>> '{}';
BEGIN
    IF coalesce(string, '') = '' THEN
        RETURN NULL;
    ELSIF string !~ '^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$' THEN
        RAISE EXCEPTION '% is not a time as in RFC 3339', field
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN string;
END
$$;
COMMENT ON FUNCTION key_vault.storage_time(jsonb, text) IS
'a time as in RFC 3339, with its zone; NULL where it is missing; for storage_events()';

CREATE FUNCTION key_vault.storage_object(value jsonb, field text)
RETURNS jsonb LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF jsonb_typeof(value) <> 'object' THEN
        RAISE EXCEPTION '% is not an object', field USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN value;
END
$$;
COMMENT ON FUNCTION key_vault.storage_object(jsonb, text) IS
'a JSON object; NULL where it is missing; for storage_events()';

CREATE FUNCTION key_vault.storage_require(missing boolean, field text)
RETURNS void LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF missing THEN
        RAISE EXCEPTION '% is missing', field USING ERRCODE = 'invalid_parameter_value';
    END IF;
END
$$;
COMMENT ON FUNCTION key_vault.storage_require(boolean, text) IS
'error that a field is missing; for storage_events()';

-- The key of an event, from the envelope's object.
CREATE FUNCTION key_vault.storage_envelope(event key_vault.storage_event, envelope jsonb, field text,
                                           label_name text, key_name text)
RETURNS key_vault.storage_event LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM key_vault.storage_object(envelope, field);
    IF jsonb_typeof(envelope -> 'wrapped_key') = 'number' THEN
        event.key_number := envelope ->> 'wrapped_key';
    ELSIF jsonb_typeof(envelope -> key_name) IS DISTINCT FROM 'string' AND jsonb_path_exists(envelope, '$.**.sealed') THEN
        RAISE EXCEPTION '% holds no key of 16 bytes and no wrapped one', field
            USING ERRCODE = 'invalid_parameter_value';
    ELSE
        event.encrypted_key := key_vault.storage_bytes(envelope -> key_name, field || '.' || key_name, 'base64');
        event.kek_label := envelope ->> label_name;
        PERFORM key_vault.storage_require(event.encrypted_key IS NULL, field || '.' || key_name);
        PERFORM key_vault.storage_require(event.kek_label IS NULL, field || '.' || label_name);
        -- Where no session key id is given, the wrapped key tells sessions apart.
        event.session_key_id := coalesce(event.session_key_id,
            substr(sha256(convert_to(event.kek_label, 'UTF8') || '\x00' || event.encrypted_key || event.dev_addr), 1, 16));
    END IF;
    RETURN event;
END
$$;
COMMENT ON FUNCTION key_vault.storage_envelope(key_vault.storage_event, jsonb, text, text, text) IS
'adds the key envelope of a message to its event; for storage_events()';

CREATE FUNCTION key_vault.storage_events(message jsonb)
RETURNS SETOF key_vault.storage_event LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    e key_vault.storage_event;
    ids jsonb;
    body jsonb;
    prefix text;
    one record;
BEGIN
    IF message ? 'end_device_ids' THEN
        ids := message -> 'end_device_ids';
        e.dev_eui := key_vault.storage_bytes(ids -> 'dev_eui', 'end_device_ids.dev_eui', 'hex', 8);
        e.application_id := ids #>> '{application_ids,application_id}';
        e.device_id := ids ->> 'device_id';
        e.dev_addr := key_vault.storage_bytes(ids -> 'dev_addr', 'end_device_ids.dev_addr', 'hex', 4);
        PERFORM key_vault.storage_require(e.dev_eui IS NULL, 'end_device_ids.dev_eui');
        PERFORM key_vault.storage_require(coalesce(e.application_id, '') = '', 'end_device_ids.application_ids.application_id');

        IF message ? 'uplink_message' THEN
            e.kind := 'uplink';
            body := key_vault.storage_object(message -> 'uplink_message', 'uplink_message');
            PERFORM key_vault.storage_require(e.dev_addr IS NULL, 'end_device_ids.dev_addr');
            -- The network server's time: the same for each delivery of an uplink.
            e.received_at := coalesce(key_vault.storage_time(body -> 'received_at', 'uplink_message.received_at'),
                                      key_vault.storage_time(message -> 'received_at', 'received_at'));
            PERFORM key_vault.storage_require(e.received_at IS NULL, 'received_at');
            e.session_key_id := key_vault.storage_bytes(body -> 'session_key_id', 'uplink_message.session_key_id', 'base64');
            e.f_port := key_vault.storage_integer(body -> 'f_port', 'uplink_message.f_port', 255);
            e.f_cnt := key_vault.storage_integer(body -> 'f_cnt', 'uplink_message.f_cnt', 4294967295);
            e.frm_payload := coalesce(key_vault.storage_bytes(body -> 'frm_payload', 'uplink_message.frm_payload', 'base64', NULL, 255), '');
            e.encrypted := coalesce(jsonb_typeof(body -> 'app_s_key'), 'null') <> 'null';
            IF e.encrypted THEN
                e := key_vault.storage_envelope(e, body -> 'app_s_key', 'uplink_message.app_s_key', 'kek_label', 'encrypted_key');
                PERFORM key_vault.storage_require(e.session_key_id IS NULL, 'uplink_message.session_key_id');
            END IF;
            RETURN NEXT e;
        ELSIF message ? 'join_accept' THEN
            e.kind := 'join';
            body := key_vault.storage_object(message -> 'join_accept', 'join_accept');
            e.dev_addr := coalesce(key_vault.storage_bytes(body -> 'dev_addr', 'join_accept.dev_addr', 'hex', 4), e.dev_addr);
            PERFORM key_vault.storage_require(e.dev_addr IS NULL, 'end_device_ids.dev_addr');
            e.received_at := coalesce(key_vault.storage_time(body -> 'received_at', 'join_accept.received_at'),
                                      key_vault.storage_time(message -> 'received_at', 'received_at'));
            PERFORM key_vault.storage_require(e.received_at IS NULL, 'received_at');
            e.session_key_id := key_vault.storage_bytes(body -> 'session_key_id', 'join_accept.session_key_id', 'base64');
            IF coalesce(jsonb_typeof(body -> 'app_s_key'), 'null') <> 'null' THEN
                e := key_vault.storage_envelope(e, body -> 'app_s_key', 'join_accept.app_s_key', 'kek_label', 'encrypted_key');
            END IF;
            PERFORM key_vault.storage_require(e.session_key_id IS NULL, 'join_accept.session_key_id');
            RETURN NEXT e;
            -- Downlinks that were queued for the session before come along with it.
            e.event := 'invalidated';
            prefix := 'join_accept.invalidated_downlinks';
            e.dev_addr := NULL;
            e.kek_label := NULL;
            e.encrypted_key := NULL;
            e.key_number := NULL;
        ELSE
            e.event := substring(k FROM 'downlink_(?:queue_)?(.*)') FROM jsonb_object_keys(message) k
                        WHERE k IN ('downlink_queued', 'downlink_sent', 'downlink_ack', 'downlink_nack',
                                    'downlink_failed', 'downlink_queue_invalidated');
            IF e.event IS NULL THEN
                RAISE EXCEPTION 'no uplink, join or downlink event of The Things Stack'
                    USING ERRCODE = 'feature_not_supported';
            END IF;
            e.received_at := key_vault.storage_time(message -> 'received_at', 'received_at');
            PERFORM key_vault.storage_require(e.received_at IS NULL, 'received_at');
            prefix := CASE e.event WHEN 'invalidated' THEN 'downlink_queue_invalidated' ELSE 'downlink_' || e.event END;
            body := key_vault.storage_object(message -> prefix, prefix);
        END IF;
        IF e.event IS NOT NULL THEN
            e.kind := 'downlink';
            FOR one IN
                SELECT d.value AS body, d.ordinality
                  FROM jsonb_array_elements(
                       CASE WHEN message ? 'join_accept' THEN nullif(body -> 'invalidated_downlinks', 'null')
                            WHEN e.event = 'failed' THEN jsonb_build_array(body -> 'downlink')
                            -- An empty queue is left out, and the event is one all the same.
                            WHEN e.event = 'invalidated' THEN coalesce(nullif(nullif(body -> 'downlinks', '[]'), 'null'),
                                jsonb_build_array(jsonb_build_object('f_cnt', body -> 'last_f_cnt_down')))
                            ELSE jsonb_build_array(body) END) WITH ORDINALITY d
            LOOP
                PERFORM key_vault.storage_object(one.body, 'downlink of ' || prefix);
                e.item := one.ordinality;
                e.session_key_id := coalesce(
                    key_vault.storage_bytes(one.body -> 'session_key_id', prefix || '.session_key_id', 'base64'),
                    CASE WHEN NOT message ? 'join_accept' THEN
                        key_vault.storage_bytes(body -> 'session_key_id', prefix || '.session_key_id', 'base64') END);
                e.f_port := key_vault.storage_integer(one.body -> 'f_port', prefix || '.f_port', 255);
                e.f_cnt := key_vault.storage_integer(one.body -> 'f_cnt', prefix || '.f_cnt', 4294967295);
                e.frm_payload := coalesce(key_vault.storage_bytes(one.body -> 'frm_payload', prefix || '.frm_payload', 'base64', NULL, 255), '');
                RETURN NEXT e;
            END LOOP;
        END IF;
    ELSIF message ? 'deviceInfo' THEN
        ids := message -> 'deviceInfo';
        e.dev_eui := key_vault.storage_bytes(ids -> 'devEui', 'deviceInfo.devEui', 'hex', 8);
        e.application_id := ids ->> 'applicationId';
        e.device_id := ids ->> 'deviceName';
        e.dev_addr := key_vault.storage_bytes(message -> 'devAddr', 'devAddr', 'hex', 4);
        e.received_at := key_vault.storage_time(message -> 'time', 'time');
        PERFORM key_vault.storage_require(e.dev_eui IS NULL, 'deviceInfo.devEui');
        PERFORM key_vault.storage_require(coalesce(e.application_id, '') = '', 'deviceInfo.applicationId');
        PERFORM key_vault.storage_require(e.received_at IS NULL, 'time');

        IF message ? 'devAddr' OR message ? 'fCnt' OR message ? 'data' THEN
            -- Both have a DevAddr; zeros are not left out, so an uplink has its counter.
            e.kind := CASE WHEN message ? 'fCnt' OR message ? 'data' THEN 'uplink' ELSE 'join' END;
            body := key_vault.storage_object(nullif(message -> 'joinServerContext', 'null'), 'joinServerContext');
            PERFORM key_vault.storage_require(e.dev_addr IS NULL, 'devAddr');
            e.session_key_id := key_vault.storage_bytes(body -> 'sessionKeyId', 'joinServerContext.sessionKeyId', 'hex');
            IF e.kind = 'uplink' THEN
                PERFORM key_vault.storage_require(NOT message ? 'fCnt', 'fCnt');
                e.f_port := key_vault.storage_integer(message -> 'fPort', 'fPort', 255);
                e.f_cnt := key_vault.storage_integer(message -> 'fCnt', 'fCnt', 4294967295);
                e.frm_payload := coalesce(key_vault.storage_bytes(message -> 'data', 'data', 'base64', NULL, 255), '');
                e.encrypted := e.session_key_id IS NOT NULL OR coalesce(body #>> '{appSKey,kekLabel}', '') <> '';
            END IF;
            -- A key without a label or session key id is one that ChirpStack decrypts with itself.
            IF jsonb_typeof(body -> 'appSKey') <> 'null' AND body -> 'appSKey' <> '{"kekLabel": "", "aesKey": ""}'
               AND (e.encrypted IS DISTINCT FROM false OR jsonb_typeof(body #> '{appSKey,wrapped_key}') IS DISTINCT FROM 'number')
            THEN
                e := key_vault.storage_envelope(e, body -> 'appSKey', 'joinServerContext.appSKey', 'kekLabel', 'aesKey');
            END IF;
            IF e.kind = 'join' AND e.session_key_id IS NULL THEN
                e.session_key_id := key_vault.storage_bytes(to_jsonb(replace(message ->> 'deduplicationId', '-', '')),
                                                            'deduplicationId', 'hex', 16);
                PERFORM key_vault.storage_require(e.session_key_id IS NULL, 'joinServerContext.sessionKeyId');
            END IF;
        ELSIF message ? 'acknowledged' OR message ? 'txInfo' THEN
            e.kind := 'downlink';
            e.event := CASE WHEN message ? 'txInfo' THEN 'txack'
                            WHEN message -> 'acknowledged' = 'true' THEN 'ack' ELSE 'nack' END;
            e.f_cnt := key_vault.storage_integer(message -> 'fCntDown', 'fCntDown', 4294967295);
            e.queue_item_id := message ->> 'queueItemId';
            e.frm_payload := '';
            e.item := 1;
        ELSE
            RAISE EXCEPTION 'no uplink, join or downlink event of ChirpStack'
                USING ERRCODE = 'feature_not_supported';
        END IF;
        RETURN NEXT e;
    ELSE
        RAISE EXCEPTION 'no message of The Things Stack or ChirpStack'
            USING ERRCODE = 'feature_not_supported',
                  DETAIL = 'Theirs have an object end_device_ids or deviceInfo.';
    END IF;
END
$$;
COMMENT ON FUNCTION key_vault.storage_events(jsonb) IS
'the uplink, join or downlink events of a message of The Things Stack or ChirpStack (event JSON of MQTT and webhooks); an error where a field is missing or wrong';

-- Plaintext keys in messages are wrapped before anything else is done with them.

CREATE FUNCTION key_vault.storage_seal(line text, label text)
RETURNS key_vault.wrapped_key[] LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
SELECT coalesce(array_agg(key_vault.wrap(substr(b.bytes, i, 4096), label) ORDER BY i), '{}')
  FROM (SELECT convert_to(line, 'UTF8') AS bytes) b, generate_series(1, octet_length(b.bytes), 4096) i
$$;
COMMENT ON FUNCTION key_vault.storage_seal(text, text) IS
'a text, wrapped in pieces of up to 4096 bytes of UTF-8: what may have a key in it that cannot be told apart; takes the privilege wrap';

CREATE FUNCTION key_vault.storage_wrap_keys(INOUT message jsonb, label text,
                                            INOUT keys key_vault.wrapped_key[] DEFAULT '{}',
                                            in_key boolean DEFAULT false)
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    names text[] := '{}';
    results jsonb[] := '{}';
    envelope jsonb;
    has_label boolean;
    pieces key_vault.wrapped_key[];
    size integer;
    plain bytea;
    one record;
BEGIN
    IF jsonb_typeof(message) NOT IN ('object', 'array') THEN
        RETURN;
    END IF;
    size := regexp_count(message::text, 'key": ', 1, 'i');
    IF size > 1000 THEN
        RAISE EXCEPTION 'message has more than 1000 keys' USING ERRCODE = 'program_limit_exceeded';
    ELSIF in_key THEN
        NULL;
    -- Nearly always there is no key, or one envelope and nothing else of that name.
    ELSIF size = 0 THEN
        RETURN;
    ELSIF size = 2 THEN
        envelope := coalesce(message #> '{uplink_message,app_s_key}', message #> '{join_accept,app_s_key}',
                             message #> '{joinServerContext,appSKey}');
        IF coalesce(envelope ->> 'kek_label', envelope ->> 'kekLabel', '') <> ''
           AND coalesce(envelope ->> 'encrypted_key', envelope ->> 'aesKey')
               ~ '^(?![0-9A-Fa-f]+$)([0-9A-Za-z+/]{32})+$'
           AND envelope - '{kek_label,kekLabel,encrypted_key,aesKey}'::text[] = '{}'
        THEN
            RETURN;         -- wrapped: 24 bytes or a multiple
        END IF;
    END IF;

    IF jsonb_typeof(message) = 'array' THEN
        FOR one IN SELECT value FROM jsonb_array_elements(message) LOOP
            IF jsonb_typeof(one.value) IN ('object', 'array') THEN
                SELECT w.message, w.keys INTO one.value, keys
                  FROM key_vault.storage_wrap_keys(one.value, label, keys) w;
            END IF;
            results := results || one.value;
        END LOOP;
        message := to_jsonb(results);
        RETURN;
    END IF;

    has_label := coalesce(message ->> 'kek_label', message ->> 'kekLabel', '') <> '';
    FOR one IN SELECT key AS name, value FROM jsonb_each(message) LOOP
        plain := NULL;
        IF jsonb_typeof(one.value) = 'object' THEN
            SELECT w.message, w.keys INTO one.value, keys
              FROM key_vault.storage_wrap_keys(one.value, label, keys, in_key OR one.name ~* 'key$') w;
        ELSIF one.name !~* 'key$' AND (NOT in_key OR one.name ~* 'label$') THEN
            IF jsonb_typeof(one.value) = 'array' THEN
                SELECT w.message, w.keys INTO one.value, keys
                  FROM key_vault.storage_wrap_keys(one.value, label, keys) w;
            END IF;
        ELSIF one.value NOT IN ('null', 'true', 'false', '""') THEN
            IF jsonb_typeof(one.value) = 'string' THEN
                plain := CASE
                    WHEN one.name = 'key' AND one.value #>> '{}' ~ '^[0-9A-Fa-f]{32}$'
                        THEN decode(one.value #>> '{}', 'hex')
                    WHEN one.name IN ('encrypted_key', 'aesKey') AND length(one.value #>> '{}') % 4 = 0
                         AND one.value #>> '{}' ~ '^[0-9A-Za-z+/]+={0,2}$'
                        THEN decode(one.value #>> '{}', 'base64') END;
            END IF;
            size := octet_length(plain);
            -- All in hexadecimal digits it is hardly base64, but a key in another form.
            IF has_label AND one.name <> 'key' AND size >= 24 AND size % 8 = 0
               AND one.value #>> '{}' !~ '^[0-9A-Fa-f]+$'
            THEN
                NULL;           -- wrapped already
            ELSIF size = 16 AND NOT (has_label AND one.name <> 'key') THEN
                keys := keys || key_vault.import_envelope('', plain, label);
                one.name := 'wrapped_key';
                one.value := cardinality(keys);
            ELSE
                pieces := key_vault.storage_seal(one.value::text, label);
                SELECT jsonb_build_object('sealed', jsonb_agg(cardinality(keys) + i)) INTO one.value
                  FROM generate_subscripts(pieces, 1) i;
                keys := keys || pieces;
            END IF;
        END IF;
        names := names || one.name;
        results := results || one.value;
    END LOOP;
    SELECT coalesce(jsonb_object_agg(r.name, r.value), '{}') INTO message
      FROM unnest(names, results) r (name, value);
END
$$;
COMMENT ON FUNCTION key_vault.storage_wrap_keys(jsonb, text, key_vault.wrapped_key[], boolean) IS
'the message with the number of a wrapped key in place of each plaintext key, and those keys: the key of an envelope without a label, and every value whose name ends in "key", of an object all but labels; takes the privilege wrap where there is one';

-- What is about the server, not about the message: it is for the sender to try again.
CREATE FUNCTION key_vault.storage_outage(state text)
RETURNS boolean LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
SELECT left(state, 2) IN ('25', '40', '53', '55', '57', '58', 'XX')
       OR left(state, 3) IN ('KV1', 'KV2', 'KV4') AND state NOT IN ('KV108', 'KV405')
$$;
COMMENT ON FUNCTION key_vault.storage_outage(text) IS
'whether an SQLSTATE tells of an outage: of the server, the root key or a token; for a storage''s functions';

CREATE FUNCTION key_vault.storage_refuse(sqlstate text, message text, detail text, hint text)
RETURNS void AS 'MODULE_PATHNAME', 'key_vault_storage_refuse'
LANGUAGE C VOLATILE PARALLEL SAFE;
COMMENT ON FUNCTION key_vault.storage_refuse(text, text, text, text) IS
'raises an error of which the server logs neither the statement nor the context: they may have a plaintext key in them';

CREATE PROCEDURE key_vault.create_storage(schema name, kek_label text DEFAULT NULL,
                                          partition_interval text DEFAULT NULL,
                                          keep_messages boolean DEFAULT NULL)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning AS $create_storage$
#variable_conflict use_variable
DECLARE
    settings record;
    taken text;
    parent text;
    app_s_key text;
    decrypted text;
BEGIN
    IF schema IS NULL THEN
        RAISE EXCEPTION 'schema of a storage must not be NULL' USING ERRCODE = 'null_value_not_allowed';
    ELSIF strpos(schema, '$body$') > 0 THEN
        -- It would end the functions' quotes.
        RAISE EXCEPTION 'schema of a storage must not have $body$ in its name' USING ERRCODE = 'invalid_name';
    END IF;
    IF to_regclass(format('%I.storage_settings', schema)) IS NULL THEN
        SELECT string_agg(quote_ident(o.name), ', ' ORDER BY o.name) INTO taken
          FROM (SELECT relname, relnamespace FROM pg_class
                 WHERE relname IN ('application', 'device', 'session', 'uplink', 'downlink', 'inbox', 'rejected',
                                   'rejected_key', 'uplink_decrypted', 'device_latest', 'uplink_default', 'downlink_default')
                UNION
                SELECT proname, pronamespace FROM pg_proc
                 WHERE proname IN ('ingest', 'ingest_line', 'store', 'store_or_reject', 'reject_line', 'put_session', 'kek_label',
                                   'replay_rejected')) o (name, namespace)
         WHERE o.namespace = to_regnamespace(quote_ident(schema));
        IF taken IS NOT NULL THEN
            RAISE EXCEPTION 'schema "%" has names already that a storage would have', schema
                USING ERRCODE = 'duplicate_object',
                      DETAIL = format('They are %s.', taken),
                      HINT = 'Choose another schema.';
        END IF;
        partition_interval := coalesce(partition_interval, 'day');
    ELSE
        EXECUTE format('SELECT * FROM %I.storage_settings', schema) INTO settings;
        IF partition_interval <> settings.partition_interval THEN
            RAISE EXCEPTION 'storage "%" has partitions of a % each', schema, settings.partition_interval
                USING ERRCODE = 'object_not_in_prerequisite_state',
                      DETAIL = 'The interval of a storage cannot be changed.';
        END IF;
    END IF;
    IF partition_interval NOT IN ('day', 'week', 'month') THEN
        RAISE EXCEPTION 'invalid partition interval "%"', partition_interval
            USING ERRCODE = 'invalid_parameter_value', HINT = 'It is day, week or month.';
    END IF;
    -- Where the schema is there, the right to make one is not asked for.
    IF to_regnamespace(quote_ident(schema)) IS NULL THEN
        EXECUTE format('CREATE SCHEMA %I', schema);
    END IF;

    EXECUTE format($ddl$
        CREATE TABLE IF NOT EXISTS %1$I.storage_settings (
            one_row            boolean PRIMARY KEY DEFAULT true CHECK (one_row),
            kek_label          text NOT NULL CHECK (kek_label <> ''),
            partition_interval text NOT NULL CHECK (partition_interval IN ('day', 'week', 'month')),
            keep_messages      boolean NOT NULL
        );
        COMMENT ON TABLE %1$I.storage_settings IS 'settings of this storage, one row';
        COMMENT ON COLUMN %1$I.storage_settings.kek_label IS 'KEK label that keys are stored under, where table application names no other';
        COMMENT ON COLUMN %1$I.storage_settings.partition_interval IS 'range of a partition in UTC; does not change';
        COMMENT ON COLUMN %1$I.storage_settings.keep_messages IS 'whether uplink and downlink keep the message as it came';

        CREATE TABLE IF NOT EXISTS %1$I.application (
            application_id text PRIMARY KEY,
            kek_label      text NOT NULL CHECK (kek_label <> '')
        );
        COMMENT ON TABLE %1$I.application IS 'applications whose new keys are stored under a KEK label of their own; optional';

        CREATE TABLE IF NOT EXISTS %1$I.device (
            dev_eui        bytea PRIMARY KEY CHECK (octet_length(dev_eui) = 8),
            application_id text NOT NULL,
            device_id      text
        );
        COMMENT ON TABLE %1$I.device IS 'devices, as the last message of them says';
        COMMENT ON COLUMN %1$I.device.dev_eui IS 'DevEUI, 8 bytes, big-endian as displayed';
        COMMENT ON COLUMN %1$I.device.device_id IS 'device_id of The Things Stack, deviceName of ChirpStack';

        CREATE TABLE IF NOT EXISTS %1$I.session (
            dev_eui         bytea NOT NULL CHECK (octet_length(dev_eui) = 8),
            session_key_id  bytea NOT NULL,
            application_id  text NOT NULL,
            dev_addr        bytea NOT NULL CHECK (octet_length(dev_addr) = 4),
            app_s_key       key_vault.wrapped_key,
            started_at      timestamptz NOT NULL,
            kek_label       text,
            encrypted_key   bytea,
            envelope_digest bytea CHECK (octet_length(envelope_digest) = 32),
            PRIMARY KEY (dev_eui, session_key_id),
            CHECK ((kek_label IS NULL) = (encrypted_key IS NULL)),
            CHECK (app_s_key IS NULL OR encrypted_key IS NULL)
        );
        CREATE INDEX IF NOT EXISTS session_pending_idx ON %1$I.session (kek_label) WHERE encrypted_key IS NOT NULL;
        COMMENT ON TABLE %1$I.session IS 'LoRaWAN sessions: each join begins one, and none is overwritten';
        COMMENT ON COLUMN %1$I.session.session_key_id IS 'SessionKeyID of the join server; where a message has none, 16 bytes made of its key envelope, or its deduplicationId';
        COMMENT ON COLUMN %1$I.session.dev_addr IS 'DevAddr, 4 bytes, big-endian as displayed';
        COMMENT ON COLUMN %1$I.session.app_s_key IS 'AppSKey, wrapped under the KEK at rest and bound to dev_addr; NULL while it is not known';
        COMMENT ON COLUMN %1$I.session.started_at IS 'time of the earliest message of the session';
        COMMENT ON COLUMN %1$I.session.kek_label IS 'KEK label of an envelope that could not be opened yet';
        COMMENT ON COLUMN %1$I.session.encrypted_key IS 'the envelope that could not be opened yet (AES-KW, RFC 3394)';
        COMMENT ON COLUMN %1$I.session.envelope_digest IS 'SHA-256 of the envelope that the key came in: by it the next message is known to bring the same key';

        CREATE TABLE IF NOT EXISTS %1$I.uplink (
            received_at    timestamptz NOT NULL,
            dev_eui        bytea NOT NULL CHECK (octet_length(dev_eui) = 8),
            session_key_id bytea,
            f_cnt          bigint NOT NULL CHECK (f_cnt BETWEEN 0 AND 4294967295),
            f_port         smallint NOT NULL CHECK (f_port BETWEEN 0 AND 255),
            encrypted      boolean NOT NULL,
            dev_addr       bytea NOT NULL CHECK (octet_length(dev_addr) = 4),
            frm_payload    bytea NOT NULL CHECK (octet_length(frm_payload) <= 255),
            application_id text NOT NULL,
            message        jsonb
        ) PARTITION BY RANGE (received_at);
        CREATE UNIQUE INDEX IF NOT EXISTS uplink_device_idx ON %1$I.uplink
            (dev_eui, received_at, f_cnt, session_key_id) NULLS NOT DISTINCT;
        CREATE INDEX IF NOT EXISTS uplink_received_at_idx ON %1$I.uplink USING brin (received_at);
        CREATE TABLE IF NOT EXISTS %1$I.uplink_default PARTITION OF %1$I.uplink DEFAULT;
        COMMENT ON TABLE %1$I.uplink IS 'uplinks as they came, payloads still encrypted where they were; partitioned by received_at, see key_vault.maintain_storage()';
        COMMENT ON COLUMN %1$I.uplink.received_at IS 'time of the network server';
        COMMENT ON COLUMN %1$I.uplink.f_cnt IS 'FCntUp, the full 32-bit counter';
        COMMENT ON COLUMN %1$I.uplink.encrypted IS 'false: the network sent the payload in the clear';
        COMMENT ON COLUMN %1$I.uplink.frm_payload IS 'FRMPayload, up to 255 bytes';
        COMMENT ON COLUMN %1$I.uplink.message IS 'the whole message, if storage_settings.keep_messages was set; without plaintext keys';

        CREATE TABLE IF NOT EXISTS %1$I.downlink (
            received_at    timestamptz NOT NULL,
            dev_eui        bytea NOT NULL CHECK (octet_length(dev_eui) = 8),
            event          text NOT NULL,
            session_key_id bytea,
            f_cnt          bigint CHECK (f_cnt BETWEEN 0 AND 4294967295),
            f_port         smallint CHECK (f_port BETWEEN 0 AND 255),
            dev_addr       bytea CHECK (octet_length(dev_addr) = 4),
            frm_payload    bytea NOT NULL CHECK (octet_length(frm_payload) <= 255),
            application_id text NOT NULL,
            queue_item_id  text,
            item           integer NOT NULL,
            message        jsonb
        ) PARTITION BY RANGE (received_at);
        CREATE UNIQUE INDEX IF NOT EXISTS downlink_device_idx ON %1$I.downlink
            (dev_eui, received_at, event, f_cnt, session_key_id, queue_item_id, item) NULLS NOT DISTINCT;
        CREATE INDEX IF NOT EXISTS downlink_received_at_idx ON %1$I.downlink USING brin (received_at);
        CREATE TABLE IF NOT EXISTS %1$I.downlink_default PARTITION OF %1$I.downlink DEFAULT;
        COMMENT ON TABLE %1$I.downlink IS 'what became of downlinks; payloads as they came, encrypted or not; partitioned by received_at';
        COMMENT ON COLUMN %1$I.downlink.event IS 'The Things Stack: queued, sent, ack, nack, failed, invalidated; ChirpStack: ack, nack, txack';
        COMMENT ON COLUMN %1$I.downlink.f_cnt IS 'FCntDown; of an invalidated empty queue the last one';
        COMMENT ON COLUMN %1$I.downlink.item IS 'place in the list of an event of several downlinks';

        CREATE TABLE IF NOT EXISTS %1$I.rejected (
            id          bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
            rejected_at timestamptz NOT NULL DEFAULT now(),
            tries       integer NOT NULL DEFAULT 1,
            sqlstate    text NOT NULL,
            reason      text NOT NULL,
            message     jsonb,
            digest      bytea NOT NULL UNIQUE
        );
        COMMENT ON TABLE %1$I.rejected IS 'messages that could not be used, whole; replay_rejected() tries them again';
        COMMENT ON COLUMN %1$I.rejected.message IS 'the message, with numbers of rejected_key in place of plaintext keys; NULL for a line that is no JSON object, which is wrapped in rejected_key as a whole';
        COMMENT ON COLUMN %1$I.rejected.digest IS 'SHA-256 of the message: a repeated delivery is kept once';

        CREATE TABLE IF NOT EXISTS %1$I.rejected_key (
            rejected_id bigint NOT NULL REFERENCES %1$I.rejected ON DELETE CASCADE,
            n           integer NOT NULL,
            key         key_vault.wrapped_key NOT NULL,
            PRIMARY KEY (rejected_id, n)
        );
        COMMENT ON TABLE %1$I.rejected_key IS 'what was plaintext keys in rejected messages, and lines that are no JSON';

        CREATE TABLE IF NOT EXISTS %1$I.inbox (message text);
        COMMENT ON TABLE %1$I.inbox IS 'stays empty: each line of JSON that is inserted or copied into it goes to ingest()';
        $ddl$, schema);

    EXECUTE format('INSERT INTO %I.storage_settings (kek_label, partition_interval, keep_messages)
                    VALUES (coalesce($1, $2), $3, coalesce($4, false))
                    ON CONFLICT (one_row) DO UPDATE
                    SET kek_label = coalesce($1, storage_settings.kek_label),
                        keep_messages = coalesce($4, storage_settings.keep_messages)', schema)
      USING kek_label, schema::text, coalesce(partition_interval, 'day'), keep_messages;

    -- Of a device's sessions, the one that the message is of; errors where its
    -- key is not the one that is here.
    EXECUTE format($ddl$
CREATE OR REPLACE FUNCTION %1$I.put_session(e key_vault.storage_event, wrapped key_vault.wrapped_key, at_rest_label text)
RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    s %1$I.session;
    digest bytea := sha256(convert_to(e.kek_label, 'UTF8') || '\x00' || e.encrypted_key);
    key key_vault.wrapped_key;
BEGIN
    SELECT * INTO s FROM %1$I.session i WHERE i.dev_eui = e.dev_eui AND i.session_key_id = e.session_key_id;
    IF NOT FOUND OR e.received_at < s.started_at THEN
        INSERT INTO %1$I.session AS old (dev_eui, session_key_id, application_id, dev_addr, started_at)
        VALUES (e.dev_eui, e.session_key_id, e.application_id, e.dev_addr, e.received_at)
        ON CONFLICT (dev_eui, session_key_id) DO UPDATE SET started_at = least(old.started_at, excluded.started_at);
    ELSIF wrapped IS NULL AND s.dev_addr = e.dev_addr
          AND (e.encrypted_key IS NULL OR s.envelope_digest = digest AND s.app_s_key IS NOT NULL)
    THEN
        RETURN;
    END IF;
    -- Its row is locked: two messages may bring two keys at the same time.
    SELECT * INTO STRICT s FROM %1$I.session i
     WHERE i.dev_eui = e.dev_eui AND i.session_key_id = e.session_key_id FOR UPDATE;

    IF s.dev_addr <> e.dev_addr THEN
        RAISE EXCEPTION 'session %% of device %% has DevAddr %%, not %%',
            encode(e.session_key_id, 'hex'), encode(e.dev_eui, 'hex'), encode(s.dev_addr, 'hex'), encode(e.dev_addr, 'hex')
            USING ERRCODE = 'integrity_constraint_violation';
    ELSIF wrapped IS NULL AND (e.encrypted_key IS NULL OR s.envelope_digest = digest AND s.app_s_key IS NOT NULL) THEN
        RETURN;
    ELSIF s.encrypted_key IS NOT NULL AND s.envelope_digest IS DISTINCT FROM digest THEN
        RAISE EXCEPTION 'session %% of device %% came with another key envelope before, which is not opened yet',
            encode(e.session_key_id, 'hex'), encode(e.dev_eui, 'hex')
            USING ERRCODE = 'integrity_constraint_violation',
                  DETAIL = format('That one has KEK label "%%s".', s.kek_label);
    ELSIF wrapped IS NULL AND NOT EXISTS (SELECT FROM key_vault.keks k WHERE k.label = e.kek_label) THEN
        -- The key cannot be had yet; where there is one, it cannot be compared.
        IF s.app_s_key IS NOT NULL THEN
            RAISE EXCEPTION 'KEK label "%%" does not exist', e.kek_label
                USING ERRCODE = 'KV001',
                      DETAIL = 'Whether the key is the one that the session has cannot be told.';
        END IF;
        UPDATE %1$I.session i SET kek_label = e.kek_label, encrypted_key = e.encrypted_key, envelope_digest = digest
         WHERE i.dev_eui = e.dev_eui AND i.session_key_id = e.session_key_id;
        RETURN;
    END IF;

    IF s.app_s_key IS NOT NULL THEN
        -- Wrapping is deterministic: the same key gives the same bytes.
        at_rest_label := coalesce(key_vault.kek_label(s.app_s_key), at_rest_label);
    END IF;
    key := CASE WHEN wrapped IS NULL THEN key_vault.import_envelope(e.kek_label, e.encrypted_key, at_rest_label, e.dev_addr)
                WHEN key_vault.kek_label(wrapped) = at_rest_label THEN key_vault.bind(wrapped, e.dev_addr)
                ELSE key_vault.bind(key_vault.rewrap(wrapped, at_rest_label), e.dev_addr) END;
    IF s.app_s_key IS NULL THEN
        UPDATE %1$I.session i
           SET app_s_key = key, envelope_digest = digest, kek_label = NULL, encrypted_key = NULL
         WHERE i.dev_eui = e.dev_eui AND i.session_key_id = e.session_key_id;
    ELSIF key OPERATOR(key_vault.<>) s.app_s_key AND key OPERATOR(key_vault.<>) key_vault.rewrap(s.app_s_key) THEN
        RAISE EXCEPTION 'session %% of device %% has another key', encode(e.session_key_id, 'hex'), encode(e.dev_eui, 'hex')
            USING ERRCODE = 'integrity_constraint_violation';
    ELSIF digest IS NOT NULL THEN
        UPDATE %1$I.session i SET envelope_digest = digest
         WHERE i.dev_eui = e.dev_eui AND i.session_key_id = e.session_key_id;
    END IF;
END
$body$;
COMMENT ON FUNCTION %1$I.put_session(key_vault.storage_event, key_vault.wrapped_key, text) IS
'makes or completes the session that a message is of; for store()';

CREATE OR REPLACE FUNCTION %1$I.kek_label(message jsonb)
RETURNS text LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
    RETURN coalesce((SELECT a.kek_label FROM %1$I.application a
                      WHERE a.application_id = coalesce(message #>> '{end_device_ids,application_ids,application_id}',
                                                        message #>> '{deviceInfo,applicationId}')),
                    (SELECT s.kek_label FROM %1$I.storage_settings s));
END
$body$;
COMMENT ON FUNCTION %1$I.kek_label(jsonb) IS 'KEK label that the keys of a message are stored under';

CREATE OR REPLACE FUNCTION %1$I.store(message jsonb, keys key_vault.wrapped_key[])
RETURNS text LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    e key_vault.storage_event;
    kept jsonb;
    result text := 'duplicate';
BEGIN
    SELECT store.message INTO kept FROM %1$I.storage_settings s WHERE s.keep_messages;
    FOR e IN SELECT * FROM key_vault.storage_events(message) LOOP
        IF NOT EXISTS (SELECT FROM %1$I.device d WHERE d.dev_eui = e.dev_eui AND d.application_id = e.application_id
                                                   AND d.device_id IS NOT DISTINCT FROM e.device_id) THEN
            INSERT INTO %1$I.device (dev_eui, application_id, device_id)
            VALUES (e.dev_eui, e.application_id, e.device_id)
            ON CONFLICT (dev_eui) DO UPDATE
               SET application_id = excluded.application_id, device_id = excluded.device_id;
        END IF;
        IF e.kind = 'join' OR e.encrypted_key IS NOT NULL OR e.key_number IS NOT NULL THEN
            IF e.key_number IS NOT NULL AND keys[e.key_number] IS NULL THEN
                RAISE EXCEPTION 'key %% of the message is missing', e.key_number USING ERRCODE = 'no_data_found';
            END IF;
            PERFORM %1$I.put_session(e, keys[e.key_number], %1$I.kek_label(message));
        END IF;
        CASE e.kind
            WHEN 'join' THEN
                result := 'join';
            WHEN 'uplink' THEN
                INSERT INTO %1$I.uplink (received_at, dev_eui, session_key_id, f_cnt, f_port, encrypted, dev_addr,
                                         frm_payload, application_id, message)
                VALUES (e.received_at, e.dev_eui, e.session_key_id, e.f_cnt, e.f_port, e.encrypted, e.dev_addr,
                        e.frm_payload, e.application_id, kept)
                ON CONFLICT DO NOTHING;
                IF FOUND THEN
                    result := 'uplink';
                ELSE
                    PERFORM FROM %1$I.uplink u
                      WHERE u.dev_eui = e.dev_eui AND u.received_at = e.received_at AND u.f_cnt = e.f_cnt
                        AND u.session_key_id IS NOT DISTINCT FROM e.session_key_id
                        AND (u.f_port, u.encrypted, u.dev_addr, u.frm_payload)
                            = (e.f_port, e.encrypted, e.dev_addr, e.frm_payload);
                    IF NOT FOUND THEN
                        RAISE EXCEPTION 'another uplink of device %% with f_cnt %% of that time is stored',
                            encode(e.dev_eui, 'hex'), e.f_cnt
                            USING ERRCODE = 'integrity_constraint_violation';
                    END IF;
                END IF;
            WHEN 'downlink' THEN
                INSERT INTO %1$I.downlink (received_at, dev_eui, event, session_key_id, f_cnt, f_port, dev_addr,
                                           frm_payload, application_id, queue_item_id, item, message)
                VALUES (e.received_at, e.dev_eui, e.event, e.session_key_id, e.f_cnt, e.f_port, e.dev_addr,
                        e.frm_payload, e.application_id, e.queue_item_id, e.item, kept)
                ON CONFLICT DO NOTHING;
                IF FOUND THEN
                    result := CASE result WHEN 'join' THEN 'join' ELSE 'downlink' END;
                ELSE
                    PERFORM FROM %1$I.downlink d
                      WHERE d.dev_eui = e.dev_eui AND d.received_at = e.received_at AND d.event = e.event
                        AND (d.f_cnt, d.session_key_id, d.queue_item_id, d.item, d.f_port, d.dev_addr, d.frm_payload)
                            IS NOT DISTINCT FROM
                            (e.f_cnt, e.session_key_id, e.queue_item_id, e.item, e.f_port, e.dev_addr, e.frm_payload);
                    IF NOT FOUND THEN
                        RAISE EXCEPTION 'another downlink of device %% with f_cnt %% of that time is stored',
                            encode(e.dev_eui, 'hex'), e.f_cnt
                            USING ERRCODE = 'integrity_constraint_violation';
                    END IF;
                END IF;
        END CASE;
    END LOOP;
    RETURN result;
END
$body$;
COMMENT ON FUNCTION %1$I.store(jsonb, key_vault.wrapped_key[]) IS
'stores a message whose plaintext keys are taken out; an error where it cannot be used; for ingest()';

-- Outages are for the sender to try again: only what may be about the message is caught.
CREATE OR REPLACE FUNCTION %1$I.store_or_reject(message jsonb, keys key_vault.wrapped_key[], digest bytea,
                                                why text DEFAULT NULL)
RETURNS text LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    state text;
    reason text;
    more text;
    hint text;
    relation text;
    rejected_id bigint;
BEGIN
    FOR try IN 1 .. 2 LOOP
        BEGIN
            IF message IS NULL THEN
                RAISE EXCEPTION '%%', why USING ERRCODE = 'invalid_text_representation';
            END IF;
            RETURN %1$I.store(message, keys);
        EXCEPTION WHEN query_canceled OR OTHERS THEN
            GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, reason = MESSAGE_TEXT, more = PG_EXCEPTION_DETAIL,
                                    hint = PG_EXCEPTION_HINT, relation = TABLE_NAME;
            IF key_vault.storage_outage(state) THEN
                PERFORM key_vault.storage_refuse(state, reason, more, hint);
            END IF;
        END;
        -- Or maintain_storage() made the partition while this waited for the default one.
        EXIT WHEN state <> '23514' OR relation NOT IN ('uplink_default', 'downlink_default');
    END LOOP;
    BEGIN
        INSERT INTO %1$I.rejected AS r (sqlstate, reason, message, digest) VALUES (state, reason, message, digest)
        ON CONFLICT ON CONSTRAINT rejected_digest_key DO UPDATE
           SET tries = r.tries + 1, sqlstate = excluded.sqlstate, reason = excluded.reason
        RETURNING id INTO rejected_id;
        INSERT INTO %1$I.rejected_key (rejected_id, n, key)
        SELECT rejected_id, k.n, k.key FROM unnest(keys) WITH ORDINALITY k (key, n)
        ON CONFLICT DO NOTHING;
    EXCEPTION WHEN query_canceled OR OTHERS THEN
        -- Without the detail, which may show the row.
        GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, more = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
        PERFORM key_vault.storage_refuse(state, more, format('A message was to be rejected: %%s.', reason), hint);
    END;
    RETURN 'rejected';
END
$body$;
COMMENT ON FUNCTION %1$I.store_or_reject(jsonb, key_vault.wrapped_key[], bytea, text) IS
'stores a message, or keeps it in rejected; where it is NULL, for the reason given; for ingest() and replay_rejected()';

CREATE OR REPLACE FUNCTION %1$I.reject_line(line text, why text)
RETURNS text LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    keys key_vault.wrapped_key[];
    state text;
    more text;
    hint text;
BEGIN
    BEGIN
        -- Whether there is a key in it cannot be told: all of it is wrapped.
        keys := key_vault.storage_seal(line, %1$I.kek_label(NULL));
    EXCEPTION WHEN query_canceled OR OTHERS THEN
        GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, more = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
        PERFORM key_vault.storage_refuse(state, SQLERRM, more, hint);
    END;
    RETURN %1$I.store_or_reject(NULL, keys, sha256(convert_to(line, 'UTF8')), why);
END
$body$;
COMMENT ON FUNCTION %1$I.reject_line(text, text) IS
'keeps a line in rejected that cannot be looked through for keys, wrapped whole; for ingest()';

CREATE OR REPLACE FUNCTION %1$I.ingest(message jsonb)
RETURNS text LANGUAGE plpgsql STRICT
SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    digest bytea := sha256(convert_to(message::text, 'UTF8'));
    keys key_vault.wrapped_key[];
    state text;
    more text;
    hint text;
    why text;
BEGIN
    IF jsonb_typeof(message) <> 'object' THEN
        RETURN %1$I.reject_line(message::text, 'line is not a JSON object');
    END IF;
    -- The Storage Integration API of The Things Stack wraps each message so.
    IF jsonb_typeof(message -> 'result') = 'object' AND message - 'result' = '{}' THEN
        message := message -> 'result';
    END IF;
    BEGIN
        SELECT w.message, w.keys INTO message, keys
          FROM key_vault.storage_wrap_keys(message, %1$I.kek_label(message)) w;
    EXCEPTION
        WHEN program_limit_exceeded THEN
            why := SQLERRM;
        WHEN query_canceled OR OTHERS THEN
            GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, more = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
            PERFORM key_vault.storage_refuse(state, SQLERRM, more, hint);
    END;
    IF why IS NOT NULL THEN
        RETURN %1$I.reject_line(message::text, format('message is not looked through for keys: %%s', why));
    END IF;
    RETURN %1$I.store_or_reject(message, keys, digest);
END
$body$;
COMMENT ON FUNCTION %1$I.ingest(jsonb) IS
'stores a message of The Things Stack or ChirpStack: returns uplink, join, downlink, duplicate, or rejected (see table rejected). Plaintext keys are wrapped first; where that fails it is an error. Takes wrap on the label at rest and unwrap on that of the envelope; rewrap on the former for plaintext keys and after its rotation';

CREATE OR REPLACE FUNCTION %1$I.ingest(line text)
RETURNS text LANGUAGE plpgsql STRICT
SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    message jsonb;
    has_nul boolean := false;
BEGIN
    BEGIN
        message := line;
    EXCEPTION
        WHEN untranslatable_character THEN
            has_nul := true;
        WHEN data_exception OR program_limit_exceeded THEN
            message := NULL;
    END;
    IF has_nul THEN
        -- No text of PostgreSQL has the character \u0000; payload formatters write it.
        BEGIN
            message := regexp_replace(line, '(?<!\\)((?:\\\\)*)\\u0000', '\1\\ufffd', 'g');
        EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
            message := NULL;
        END;
    END IF;
    IF message IS NULL THEN
        RETURN %1$I.reject_line(line, 'line is not a JSON object');
    END IF;
    RETURN %1$I.ingest(message);
END
$body$;
COMMENT ON FUNCTION %1$I.ingest(text) IS
'as ingest(jsonb), of a message in whatever state: one that is no JSON is rejected and wrapped whole';

CREATE OR REPLACE FUNCTION %1$I.ingest_line()
RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
    IF trim(NEW.message, E' \t\r\n') <> '' THEN
        PERFORM %1$I.ingest(NEW.message);
    END IF;
    RETURN NULL;
END
$body$;
COMMENT ON FUNCTION %1$I.ingest_line() IS 'trigger of inbox: hands the line to ingest(), and writes none';

CREATE OR REPLACE TRIGGER ingest BEFORE INSERT ON %1$I.inbox
    FOR EACH ROW EXECUTE FUNCTION %1$I.ingest_line();
-- Whatever session_replication_role is, no line is written as it is.
ALTER TABLE %1$I.inbox ENABLE ALWAYS TRIGGER ingest;

CREATE OR REPLACE FUNCTION %1$I.replay_rejected(OUT opened bigint, OUT stored bigint, OUT rejected bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    one record;
BEGIN
    opened := 0;
    stored := 0;
    rejected := 0;
    FOR one IN SELECT i.dev_eui, i.session_key_id, i.kek_label, i.encrypted_key, i.dev_addr,
                      coalesce(a.kek_label, ss.kek_label) AS at_rest_label
                 FROM %1$I.session i CROSS JOIN %1$I.storage_settings ss
                 LEFT JOIN %1$I.application a ON a.application_id = i.application_id
                WHERE i.encrypted_key IS NOT NULL AND i.kek_label IN (SELECT k.label FROM key_vault.keks k)
                FOR UPDATE OF i SKIP LOCKED
    LOOP
        BEGIN
            UPDATE %1$I.session i
               SET app_s_key = key_vault.import_envelope(one.kek_label, one.encrypted_key, one.at_rest_label, one.dev_addr),
                   kek_label = NULL, encrypted_key = NULL
             WHERE i.dev_eui = one.dev_eui AND i.session_key_id = one.session_key_id;
            opened := opened + 1;
        EXCEPTION WHEN OTHERS THEN
            IF key_vault.storage_outage(SQLSTATE) THEN
                RAISE;
            END IF;
            RAISE WARNING 'key envelope of session %% of device %% was not opened: %%',
                encode(one.session_key_id, 'hex'), encode(one.dev_eui, 'hex'), SQLERRM;
        END;
    END LOOP;
    FOR one IN SELECT r.id, r.message, r.digest,
                      ARRAY(SELECT k.key FROM %1$I.rejected_key k WHERE k.rejected_id = r.id ORDER BY k.n) AS keys
                 FROM %1$I.rejected r WHERE r.message IS NOT NULL ORDER BY r.id FOR UPDATE OF r SKIP LOCKED
    LOOP
        IF %1$I.store_or_reject(one.message, one.keys, one.digest) = 'rejected' THEN
            rejected := rejected + 1;
        ELSE
            DELETE FROM %1$I.rejected r WHERE r.id = one.id;
            stored := stored + 1;
        END IF;
    END LOOP;
END
$body$;
COMMENT ON FUNCTION %1$I.replay_rejected() IS
'opens key envelopes whose KEK was unknown, and tries the messages in rejected again, those that are JSON; returns how many keys were opened, how many messages were stored (or were stored already) and how many stay';
        $ddl$, schema);

    -- For whoever reads them; tables and keys are asked for the reader's privileges.
    -- An envelope whose KEK came later is read with that KEK, until replay_rejected()
    -- brings its key under the one at rest.
    app_s_key := $sql$coalesce(s.app_s_key,
                         CASE WHEN key_vault.has_kek_privilege(s.kek_label, 'decrypt')
                              THEN key_vault.try_envelope_key(s.kek_label, s.encrypted_key) END)$sql$;
    decrypted := format($sql$
       CASE WHEN NOT u.encrypted THEN u.frm_payload
            WHEN u.f_port > 0 OR u.frm_payload = '' THEN
                key_vault.lorawan_try_decrypt_uplink(%1$s,
                                                     u.dev_addr, u.f_cnt, u.frm_payload) END AS payload,
       CASE WHEN NOT u.encrypted THEN 'plain'
            WHEN u.f_port = 0 AND u.frm_payload <> '' THEN 'network payload'
            WHEN s.dev_eui IS NULL THEN 'no session'
            WHEN s.encrypted_key IS NOT NULL AND s.kek_label NOT IN (SELECT k.label FROM key_vault.keks k) THEN 'KEK unknown'
            WHEN s.app_s_key IS NULL AND s.encrypted_key IS NULL THEN 'no key'
            ELSE coalesce(nullif(coalesce(key_vault.key_status(%1$s,
                                                               u.dev_addr), 'envelope not opened'), 'ok'), 'decrypted')
       END AS status$sql$, app_s_key);
    EXECUTE format($ddl$
        CREATE OR REPLACE VIEW %1$I.uplink_decrypted WITH (security_invoker = true) AS
        SELECT u.received_at, u.application_id, d.device_id, u.dev_eui, u.dev_addr, u.session_key_id, u.f_cnt, u.f_port,
               %2$s
          FROM %1$I.uplink u
          LEFT JOIN %1$I.session s ON s.dev_eui = u.dev_eui AND s.session_key_id = u.session_key_id
          LEFT JOIN %1$I.device d ON d.dev_eui = u.dev_eui;
        COMMENT ON VIEW %1$I.uplink_decrypted IS 'uplinks, decrypted while they are read; takes SELECT on uplink, session and device, and the privilege decrypt on the KEK labels';
        COMMENT ON COLUMN %1$I.uplink_decrypted.payload IS 'FRMPayload in the clear; NULL where status says why';
        COMMENT ON COLUMN %1$I.uplink_decrypted.status IS 'plain, decrypted, no session, no key, KEK unknown, envelope not opened, network payload (FPort 0), or as key_vault.key_status() says';

        CREATE OR REPLACE VIEW %1$I.device_latest WITH (security_invoker = true) AS
        SELECT d.dev_eui, d.application_id, d.device_id, u.received_at, u.dev_addr, u.session_key_id, u.f_cnt, u.f_port,
               %2$s
          FROM %1$I.device d
         CROSS JOIN LATERAL (SELECT * FROM %1$I.uplink i WHERE i.dev_eui = d.dev_eui ORDER BY i.received_at DESC LIMIT 1) u
          LEFT JOIN %1$I.session s ON s.dev_eui = u.dev_eui AND s.session_key_id = u.session_key_id;
        COMMENT ON VIEW %1$I.device_latest IS 'the latest uplink of each device; otherwise as uplink_decrypted';
        $ddl$, schema, decrypted);

    CALL key_vault.maintain_storage(schema);
END
$create_storage$;
COMMENT ON PROCEDURE key_vault.create_storage(name, text, text, boolean) IS
'makes, in a schema, ordinary tables, views and functions that take, keep and decrypt the messages of The Things Stack and ChirpStack, owned by the caller; kek_label: the KEK label that keys are stored under, by default the name of the schema; partition_interval: day, week or month (UTC); keep_messages: also keep each message whole. Called again it brings functions and views up to date, and NULL leaves a setting as it is';

CREATE PROCEDURE key_vault.maintain_storage(schema name, ahead integer DEFAULT 7, keep interval DEFAULT NULL)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
SET row_security = off
SET "TimeZone" = 'UTC' AS $$
#variable_conflict use_variable
DECLARE
    parent regclass;
    default_partition text;
    step interval;
    unit text;
    owner name;
    oldest timestamptz := now() - keep;
    part record;
    partition text;
    starts timestamptz[];
    start timestamptz;
    moves boolean;
    came boolean;
BEGIN
    IF to_regclass(format('%I.storage_settings', schema)) IS NULL THEN
        RAISE EXCEPTION 'schema "%" is no storage', schema
            USING ERRCODE = 'undefined_object', HINT = 'Make one with CALL key_vault.create_storage().';
    END IF;
    IF ahead IS NULL OR ahead NOT BETWEEN 0 AND 1000 THEN
        RAISE EXCEPTION 'ahead must be from 0 to 1000 partitions' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF keep <= interval '0' THEN
        RAISE EXCEPTION 'keep must be a positive interval' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    EXECUTE format('SELECT partition_interval FROM %I.storage_settings', schema) INTO STRICT unit;
    step := '1 ' || unit;

    FOREACH parent IN ARRAY ARRAY[format('%I.uplink', schema), format('%I.downlink', schema)]::regclass[] LOOP
        SELECT r.rolname, format('%I.%I', schema, c.relname || '_default') INTO owner, default_partition
          FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner WHERE c.oid = parent;
        -- One run at a time; readers and writers go on.
        EXECUTE format('LOCK TABLE ONLY %s IN SHARE UPDATE EXCLUSIVE MODE', parent);

        IF keep IS NOT NULL THEN
            FOR part IN
                SELECT i.inhrelid::regclass AS name
                  FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                 WHERE i.inhparent = parent
                   AND substring(pg_get_expr(c.relpartbound, c.oid) FROM 'TO \(''(.*)''\)')::timestamptz <= oldest
            LOOP
                EXECUTE format('DROP TABLE %s', part.name);
            END LOOP;
            EXECUTE format('DELETE FROM %s WHERE received_at < $1', default_partition)
              USING date_trunc(unit, oldest);
        END IF;

        -- From now on, and what came for other times before.
        EXECUTE format(
            'SELECT array_agg(DISTINCT p.start ORDER BY p.start), bool_or(p.is_late)
               FROM (SELECT date_trunc($1, now()) + n * $2 AS start, false AS is_late FROM generate_series(0, $3) n
                     UNION
                     SELECT date_trunc($1, received_at), true FROM %s) p
              WHERE p.start <= now() + $3 * $2', default_partition)
           INTO starts, moves USING unit, step, ahead;
        IF moves THEN
            -- Who waits for the default partition knows the others already, and would find
            -- its rows nowhere: all wait for the table itself.
            EXECUTE format('LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE', parent);
        END IF;
        FOREACH start IN ARRAY starts LOOP
            partition := format('%I.%I', schema,
                                (SELECT relname FROM pg_class WHERE oid = parent) || to_char(start, '_YYYYMMDD'));
            CONTINUE WHEN EXISTS (SELECT FROM pg_inherits WHERE inhparent = parent AND inhrelid = to_regclass(partition));
            IF to_regclass(partition) IS NOT NULL THEN
                -- One that was detached, perhaps, to be archived.
                RAISE WARNING '% is there and no partition of %: rows of its time stay in the default partition', partition, parent;
                CONTINUE;
            END IF;
            -- At once the lock that attaching takes: one that grows could be a deadlock.
            EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', default_partition);
            IF NOT moves THEN
                -- What came meanwhile is for the next run.
                EXECUTE format('SELECT EXISTS (SELECT FROM %s WHERE received_at >= $1 AND received_at < $2)',
                               default_partition)
                   INTO came USING start, start + step;
                CONTINUE WHEN came;
            END IF;
            EXECUTE format('CREATE TABLE %s (LIKE %s INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE INCLUDING COMPRESSION)',
                           partition, parent);
            IF owner <> current_user THEN
                EXECUTE format('ALTER TABLE %s OWNER TO %I', partition, owner);
            END IF;
            EXECUTE format('WITH moved AS (DELETE FROM %s WHERE received_at >= $1 AND received_at < $2 RETURNING *)
                            INSERT INTO %s SELECT * FROM moved', default_partition, partition)
              USING start, start + step;
            EXECUTE format('ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (%L) TO (%L)',
                           parent, partition, start, start + step);
        END LOOP;
    END LOOP;
END
$$;
COMMENT ON PROCEDURE key_vault.maintain_storage(name, integer, interval) IS
'for a storage made by create_storage: makes the partitions of now and so many intervals ahead, moves what came for other times out of the default partitions into their own, and, given keep, drops uplinks and downlinks that are older (whole partitions); sessions are kept. To be run from time to time, by pg_cron for instance';

------------------------------------------------------------------------------
-- Privileges
------------------------------------------------------------------------------

-- What opens, makes or administers keys is for those whom kek_grant() names; it
-- gives them EXECUTE.  The functions about the cache ask for themselves.
REVOKE EXECUTE ON ALL ROUTINES IN SCHEMA key_vault FROM PUBLIC;

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOR f IN SELECT oid::regprocedure FROM pg_proc
              WHERE pronamespace = 'key_vault'::regnamespace
                AND (proname ~ '^wrapped_key_'
                     OR proname ~ '^lorawan_build_'
                     OR proname IN ('lorawan_parse', 'lorawan_mac_commands',
                                    'lorawan_full_f_cnt', 'lorawan_f_cnt')
                     OR proname IN ('kek_id', 'kek_ids', 'kek_label', 'kek_version', 'algorithm',
                                    'has_kek_privilege', 'cache_flush', 'cache_stats',
                                    'cache_stats_reset', 'cache_stats_all',
                                    'cache_stats_reset_all')
                     -- These open no keys; the tables are asked for the caller's privileges.
                     OR proname IN ('create_storage', 'maintain_storage', 'storage_events', 'storage_envelope',
                                    'storage_bytes', 'storage_integer', 'storage_time', 'storage_require',
                                    'storage_refuse', 'storage_object', 'storage_outage'))
    LOOP
        EXECUTE format('GRANT EXECUTE ON ROUTINE %s TO PUBLIC', f);
    END LOOP;
END
$$;
GRANT SELECT ON key_vault.cache_stats_sessions, key_vault.cache_stats_total TO pg_read_all_stats;
-- It names sessions and clients, as pg_stat_activity does for the same role.
GRANT SELECT ON key_vault.audit_log TO pg_read_all_stats;
GRANT SELECT ON key_vault.kek_health TO pg_read_all_stats;
GRANT EXECUTE ON FUNCTION key_vault.root_keys(), key_vault.kek_usage(text) TO pg_read_all_stats;
GRANT SELECT ON key_vault.keks, key_vault.kek_privileges, key_vault.wrapped_key_columns,
                key_vault.rewrap_progress TO PUBLIC;
