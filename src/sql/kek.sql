------------------------------------------------------------------------------
-- KEKs
------------------------------------------------------------------------------

-- src/vault/kek_row.c reads the columns by their numbers.
CREATE TABLE key_vault.kek (
    kek_id           uuid NOT NULL,
    label            text COLLATE "C" NOT NULL CHECK (label <> ''),
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

