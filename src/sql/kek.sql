-- KEKs, the privileges on their labels, and what is to be destroyed: the tables.

-- src/catalog/kek_row.c reads the columns by their numbers.
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
) WITH (fillfactor = 50);  -- room for a changed row beside the old one, on a full disk too
CREATE UNIQUE INDEX kek_active_key ON key_vault.kek (label) WHERE state = 'active';
SELECT pg_extension_config_dump('key_vault.kek', '');

COMMENT ON TABLE key_vault.kek IS
'key-encryption keys, their material sealed under a root key; written by the kek_ functions';
COMMENT ON COLUMN key_vault.kek.kek_id IS 'random, never used again; wrapped keys name it';
COMMENT ON COLUMN key_vault.kek.label IS 'KEK label, up to 255 bytes in UTF-8; its KEKs are its versions';
COMMENT ON COLUMN key_vault.kek.version IS 'version of the label, from 1 on';
COMMENT ON COLUMN key_vault.kek.state IS
'active (wraps and unwraps; one per label), deactivated and compromised (unwrap only), suspended (neither), destroyed (material erased)';
COMMENT ON COLUMN key_vault.kek.suspended_from IS 'while suspended: the state to return to';
COMMENT ON COLUMN key_vault.kek.key_bits IS 'length of the KEK: 128, 192 or 256 bits';
COMMENT ON COLUMN key_vault.kek.provider IS
'local, the material being sealed here, or the PKCS#11 URI of the token that the KEK is in, with the kek_id as CKA_ID';
COMMENT ON COLUMN key_vault.kek.root_key_id IS
'key check value of the root key that seals the material (5 bytes)';
COMMENT ON COLUMN key_vault.kek.sealed_material IS
'the KEK under AES-256-GCM: format (1 byte), nonce (12), ciphertext, tag (16)';
COMMENT ON COLUMN key_vault.kek.kcv IS
'key check value: first 5 bytes of AES-CMAC(KEK, "key_vault key check value")';
COMMENT ON COLUMN key_vault.kek.created_at IS 'when the version was made or imported';
COMMENT ON COLUMN key_vault.kek.state_changed_at IS 'when the state last changed';

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
COMMENT ON COLUMN key_vault.kek_privilege.label IS 'KEK label, which need not exist yet';
COMMENT ON COLUMN key_vault.kek_privilege.role IS 'role that holds the privilege, and with it the members that inherit from it';
COMMENT ON COLUMN key_vault.kek_privilege.privilege IS 'wrap, unwrap, decrypt, derive, rewrap or admin';
COMMENT ON COLUMN key_vault.kek_privilege.granted_at IS 'when kek_grant() was called';

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
COMMENT ON COLUMN key_vault.kek_destruction.kek_id IS 'the KEK, as in table kek';
COMMENT ON COLUMN key_vault.kek_destruction.destroy_at IS 'from when on kek_destroy_due() destroys it';
COMMENT ON COLUMN key_vault.kek_destruction.scheduled_at IS 'when kek_schedule_destroy() was last called for it';

-- Every session hears of a change.  Row triggers, since a subscription's apply
-- worker fires no statement triggers for rows; ALWAYS, since it and
-- session_replication_role = replica fire no others.
CREATE TRIGGER invalidate AFTER INSERT OR UPDATE OR DELETE ON key_vault.kek
    FOR EACH ROW EXECUTE FUNCTION key_vault_internal.invalidate();
CREATE TRIGGER invalidate_truncate AFTER TRUNCATE ON key_vault.kek
    FOR EACH STATEMENT EXECUTE FUNCTION key_vault_internal.invalidate();
CREATE TRIGGER invalidate AFTER INSERT OR UPDATE OR DELETE ON key_vault.kek_privilege
    FOR EACH ROW EXECUTE FUNCTION key_vault_internal.invalidate();
CREATE TRIGGER invalidate_truncate AFTER TRUNCATE ON key_vault.kek_privilege
    FOR EACH STATEMENT EXECUTE FUNCTION key_vault_internal.invalidate();
ALTER TABLE key_vault.kek ENABLE ALWAYS TRIGGER invalidate;
ALTER TABLE key_vault.kek ENABLE ALWAYS TRIGGER invalidate_truncate;
ALTER TABLE key_vault.kek_privilege ENABLE ALWAYS TRIGGER invalidate;
ALTER TABLE key_vault.kek_privilege ENABLE ALWAYS TRIGGER invalidate_truncate;

-- These are for the origin only (not ALWAYS): a subscriber's rows follow the publisher's.
CREATE TRIGGER guard BEFORE UPDATE OR DELETE ON key_vault.kek
    FOR EACH ROW EXECUTE FUNCTION key_vault_internal.guard_kek();
CREATE TRIGGER guard_truncate BEFORE TRUNCATE ON key_vault.kek
    FOR EACH STATEMENT EXECUTE FUNCTION key_vault_internal.guard_kek();
CREATE TRIGGER guard_owner BEFORE INSERT OR UPDATE OR DELETE ON key_vault.kek
    FOR EACH STATEMENT EXECUTE FUNCTION key_vault_internal.guard_owner();
CREATE TRIGGER guard_owner BEFORE INSERT OR UPDATE OR DELETE ON key_vault.kek_privilege
    FOR EACH STATEMENT EXECUTE FUNCTION key_vault_internal.guard_owner();
CREATE TRIGGER guard_owner BEFORE INSERT OR UPDATE OR DELETE ON key_vault.kek_destruction
    FOR EACH STATEMENT EXECUTE FUNCTION key_vault_internal.guard_owner();
