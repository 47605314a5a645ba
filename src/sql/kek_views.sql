-- The views of KEKs and of the privileges on their labels.

CREATE OR REPLACE VIEW key_vault.keks AS
SELECT label, version, state, key_bits, provider, kcv, root_key_id, created_at,
       state_changed_at, kek_id,
       (SELECT d.destroy_at FROM key_vault.kek_destruction d WHERE d.kek_id = kek.kek_id) AS destroy_at
  FROM key_vault.kek
 ORDER BY label, version;
GRANT SELECT ON key_vault.keks TO PUBLIC;
COMMENT ON VIEW key_vault.keks IS
'the KEKs, without their sealed material; destroy_at: when kek_destroy_due() is to destroy the KEK';
COMMENT ON COLUMN key_vault.keks.label IS 'KEK label';
COMMENT ON COLUMN key_vault.keks.version IS 'version of the label, from 1 on';
COMMENT ON COLUMN key_vault.keks.state IS 'active (wraps and unwraps; one per label), deactivated and compromised (unwrap only), suspended (neither), destroyed (material erased)';
COMMENT ON COLUMN key_vault.keks.key_bits IS 'length of the KEK: 128, 192 or 256 bits';
COMMENT ON COLUMN key_vault.keks.provider IS 'local, or the PKCS#11 URI of the token that the KEK is in';
COMMENT ON COLUMN key_vault.keks.kcv IS 'key check value: first 5 bytes of AES-CMAC(KEK, "key_vault key check value")';
COMMENT ON COLUMN key_vault.keks.root_key_id IS 'key check value (5 bytes) of the root key that seals the KEK; NULL for KEKs that are in a token or destroyed';
COMMENT ON COLUMN key_vault.keks.created_at IS 'when the version was created or imported';
COMMENT ON COLUMN key_vault.keks.state_changed_at IS 'when the state last changed';
COMMENT ON COLUMN key_vault.keks.kek_id IS 'random, and never used again; each wrapped key has the one of its KEK';
COMMENT ON COLUMN key_vault.keks.destroy_at IS 'from this time on, kek_destroy_due() destroys the KEK; NULL if nothing is scheduled';

CREATE OR REPLACE VIEW key_vault.kek_privileges AS
SELECT p.label, p.role::regrole AS role, string_agg(p.privilege, ', ' ORDER BY p.privilege) AS privileges
  FROM key_vault.kek_privilege p
 WHERE EXISTS (SELECT FROM pg_roles r WHERE r.oid = p.role)
 GROUP BY p.label, p.role
 ORDER BY p.label, p.role::text;
GRANT SELECT ON key_vault.kek_privileges TO PUBLIC;
COMMENT ON VIEW key_vault.kek_privileges IS 'who may do what with the KEKs of which label, without roles that were dropped';
COMMENT ON COLUMN key_vault.kek_privileges.label IS 'KEK label';
COMMENT ON COLUMN key_vault.kek_privileges.role IS 'role that has the privileges; roles that inherit from it have them, too';
COMMENT ON COLUMN key_vault.kek_privileges.privileges IS 'which of wrap, unwrap, decrypt, derive, rewrap and admin, with commas between them';
