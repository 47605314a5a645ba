-- The tables of KEKs, of the privileges on their labels, and of scheduled destructions.

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
) WITH (fillfactor = 50);  -- so that a row can be changed even if the disk is full
CREATE UNIQUE INDEX kek_active_key ON key_vault.kek (label) WHERE state = 'active';
SELECT pg_extension_config_dump('key_vault.kek', '');

COMMENT ON TABLE key_vault.kek IS
'key-encryption keys, their material sealed under a root key; written by the kek_ functions';
COMMENT ON COLUMN key_vault.kek.kek_id IS 'random, and never used again; each wrapped key has the one of its KEK';
COMMENT ON COLUMN key_vault.kek.label IS 'KEK label, up to 255 bytes in UTF-8; a label can have several KEKs, its versions';
COMMENT ON COLUMN key_vault.kek.version IS 'version of the label, from 1 on';
COMMENT ON COLUMN key_vault.kek.state IS
'active (wraps and unwraps; one per label), deactivated and compromised (unwrap only), suspended (neither), destroyed (material erased)';
COMMENT ON COLUMN key_vault.kek.suspended_from IS 'while suspended: the state to return to';
COMMENT ON COLUMN key_vault.kek.key_bits IS 'length of the KEK: 128, 192 or 256 bits';
COMMENT ON COLUMN key_vault.kek.provider IS
'local if the sealed material is in this row; otherwise the PKCS#11 URI of the token that the KEK is in, with the kek_id as CKA_ID';
COMMENT ON COLUMN key_vault.kek.root_key_id IS
'key check value of the root key that seals the material (5 bytes)';
COMMENT ON COLUMN key_vault.kek.sealed_material IS
'the KEK under AES-256-GCM: format (1 byte), nonce (12), ciphertext, tag (16)';
COMMENT ON COLUMN key_vault.kek.kcv IS
'key check value: first 5 bytes of AES-CMAC(KEK, "key_vault key check value")';
COMMENT ON COLUMN key_vault.kek.created_at IS 'when the version was created or imported';
COMMENT ON COLUMN key_vault.kek.state_changed_at IS 'when the state last changed';

CREATE TABLE key_vault.kek_privilege (
    label      text COLLATE "C" NOT NULL,
    role       key_vault_internal.local_role NOT NULL,
    privilege  text COLLATE "C" NOT NULL
               CHECK (privilege IN ('wrap', 'unwrap', 'decrypt', 'derive', 'rewrap', 'admin')),
    granted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT kek_privilege_pkey PRIMARY KEY (label, role, privilege)
);
-- Rows of dropped roles are left out of dumps, since another role may have the same oid on the server to which the
-- dump is restored.
SELECT pg_extension_config_dump('key_vault.kek_privilege',
    'WHERE EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.oid = role)');
COMMENT ON TABLE key_vault.kek_privilege IS
'who may do what with the KEKs of a label; written by kek_grant() and kek_revoke()';
COMMENT ON COLUMN key_vault.kek_privilege.label IS 'KEK label, which need not exist yet';
COMMENT ON COLUMN key_vault.kek_privilege.role IS 'role that has the privilege; roles that inherit from it have it, too';
COMMENT ON COLUMN key_vault.kek_privilege.privilege IS 'wrap, unwrap, decrypt, derive, rewrap or admin';
COMMENT ON COLUMN key_vault.kek_privilege.granted_at IS 'when kek_grant() was called';
-- A row that comes from another server by replication gives no privilege on this server.  An UPDATE or DELETE that
-- comes from there finds no row, since its role is read as no role.
CREATE TRIGGER replicated BEFORE INSERT ON key_vault.kek_privilege
    FOR EACH ROW EXECUTE FUNCTION key_vault_internal.ignore_replicated();
ALTER TABLE key_vault.kek_privilege ENABLE REPLICA TRIGGER replicated;

-- This table has no foreign key, so that a dump can be restored in any order.  Rows of kek are never deleted.
CREATE TABLE key_vault.kek_destruction (
    kek_id       uuid NOT NULL,
    destroy_at   timestamptz NOT NULL,
    scheduled_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    put_off_at   timestamptz,
    CONSTRAINT kek_destruction_pkey PRIMARY KEY (kek_id)
);
-- A destruction that another server has scheduled is not one of this database.
CREATE TRIGGER replicated BEFORE INSERT OR UPDATE OR DELETE ON key_vault.kek_destruction
    FOR EACH ROW EXECUTE FUNCTION key_vault_internal.ignore_replicated();
ALTER TABLE key_vault.kek_destruction ENABLE REPLICA TRIGGER replicated;
SELECT pg_extension_config_dump('key_vault.kek_destruction', '');
COMMENT ON TABLE key_vault.kek_destruction IS
'KEKs that are to be destroyed; written by kek_schedule_destroy() and kek_cancel_destroy(), shown by the view keks';
COMMENT ON COLUMN key_vault.kek_destruction.kek_id IS 'kek_id of the KEK in the table kek';
COMMENT ON COLUMN key_vault.kek_destruction.destroy_at IS 'from this time on, kek_destroy_due() destroys the KEK';
COMMENT ON COLUMN key_vault.kek_destruction.scheduled_at IS 'when kek_schedule_destroy() was last called for the KEK';
COMMENT ON COLUMN key_vault.kek_destruction.put_off_at IS
'when kek_destroy_due() put the destruction off by a day, since it was overdue by more than one; NULL if it has not';

-- These triggers tell every session of a change.  The apply worker of a subscription fires only
-- row triggers for rows, and only those with ENABLE ALWAYS; so does session_replication_role =
-- replica.
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

-- These triggers are not ENABLE ALWAYS: on a subscriber, a subscription may change the rows.
CREATE TRIGGER guard BEFORE UPDATE OR DELETE ON key_vault.kek
    FOR EACH ROW EXECUTE FUNCTION key_vault_internal.guard_kek();
CREATE TRIGGER guard_truncate BEFORE TRUNCATE ON key_vault.kek
    FOR EACH STATEMENT EXECUTE FUNCTION key_vault_internal.guard_kek();
CREATE TRIGGER guard_owner BEFORE INSERT OR UPDATE OR DELETE ON key_vault.kek
    FOR EACH STATEMENT EXECUTE FUNCTION key_vault_internal.guard_owner();
-- A TRUNCATE that is published would empty the subscriber's table, whose rows are its own.
CREATE TRIGGER guard_truncate BEFORE TRUNCATE ON key_vault.kek_privilege
    FOR EACH STATEMENT EXECUTE FUNCTION key_vault_internal.guard_truncate();
CREATE TRIGGER guard_owner BEFORE INSERT OR UPDATE OR DELETE ON key_vault.kek_privilege
    FOR EACH STATEMENT EXECUTE FUNCTION key_vault_internal.guard_owner();
CREATE TRIGGER guard_truncate BEFORE TRUNCATE ON key_vault.kek_destruction
    FOR EACH STATEMENT EXECUTE FUNCTION key_vault_internal.guard_truncate();
CREATE TRIGGER guard_owner BEFORE INSERT OR UPDATE OR DELETE ON key_vault.kek_destruction
    FOR EACH STATEMENT EXECUTE FUNCTION key_vault_internal.guard_owner();
