-- Administration of KEKs.  Before each function does anything, it checks in C that the current role has
-- the privilege admin on the label, or is a superuser.

CREATE OR REPLACE FUNCTION key_vault.kek_create(label text, key_bits integer DEFAULT 256, provider text DEFAULT 'local')
RETURNS integer AS 'MODULE_PATHNAME', 'key_vault_kek_create'
LANGUAGE C;
COMMENT ON FUNCTION key_vault.kek_create(text, integer, text) IS
'creates a KEK label with version 1, a random KEK of 128, 192 or 256 bits; returns the version. provider: local, or pkcs11:token=... (RFC 7512) for a token that key_vault.tokens lists: then the KEK is made in the token, never leaves it, and wraps keys of 16 bytes or more in multiples of 8. Takes the privilege admin';

CREATE OR REPLACE FUNCTION key_vault.kek_import(label text, material bytea)
RETURNS integer AS 'MODULE_PATHNAME', 'key_vault_kek_import'
LANGUAGE C;
COMMENT ON FUNCTION key_vault.kek_import(text, bytea) IS
'imports a KEK of 16, 24 or 32 bytes, as version 1 of a new label or as the next version of a label; it becomes the active version; returns the version. Takes the privilege admin. Text of 32, 48 or 64 hexadecimal digits, also with separators, and a key of 16 or 32 bytes in base64 are refused (22023) unless key_vault.allow_hexadecimal_keys is on: such a key was not decoded. The KEK passes through SQL in the clear: pass it as a parameter of a prepared statement, never as a literal, with log_parameter_max_length and log_parameter_max_length_on_error = 0 and without auto_explain.log_verbose';

CREATE OR REPLACE FUNCTION key_vault.kek_import_wrapped(label text, wrapped_material bytea, transport_label text)
RETURNS integer AS 'MODULE_PATHNAME', 'key_vault_kek_import_wrapped'
LANGUAGE C;
COMMENT ON FUNCTION key_vault.kek_import_wrapped(text, bytea, text) IS
'does the same as kek_import with a KEK that some version of transport_label has wrapped (AES-KW, RFC 3394). Takes admin on label and unwrap on transport_label';

CREATE OR REPLACE FUNCTION key_vault.kek_rotate(label text, provider text DEFAULT NULL)
RETURNS integer AS 'MODULE_PATHNAME', 'key_vault_kek_rotate'
LANGUAGE C;
COMMENT ON FUNCTION key_vault.kek_rotate(text, text) IS
'creates the next version of a label, a random KEK of the same length, which becomes the active version; the version before only unwraps from then on; returns the version. provider: as for kek_create, or NULL for that of the newest version. Takes the privilege admin';

CREATE OR REPLACE FUNCTION key_vault.kek_suspend(label text, version integer)
RETURNS void AS 'MODULE_PATHNAME', 'key_vault_kek_suspend'
LANGUAGE C;
COMMENT ON FUNCTION key_vault.kek_suspend(text, integer) IS
'suspends a KEK: it neither wraps nor unwraps until kek_resume is called. Takes the privilege admin';

CREATE OR REPLACE FUNCTION key_vault.kek_resume(label text, version integer)
RETURNS void AS 'MODULE_PATHNAME', 'key_vault_kek_resume'
LANGUAGE C;
COMMENT ON FUNCTION key_vault.kek_resume(text, integer) IS
'ends the suspension of a KEK: it gets the state that it had before, or deactivated if that was active and its label has another active version now. Takes the privilege admin';

CREATE OR REPLACE FUNCTION key_vault.kek_compromise(label text, version integer)
RETURNS void AS 'MODULE_PATHNAME', 'key_vault_kek_compromise'
LANGUAGE C;
COMMENT ON FUNCTION key_vault.kek_compromise(text, integer) IS
'marks a KEK as known to others: from then on it only unwraps, so that its keys can be rewrapped. Takes the privilege admin';

CREATE OR REPLACE FUNCTION key_vault.root_key_rotate()
RETURNS bigint AS 'MODULE_PATHNAME', 'key_vault_root_key_rotate'
LANGUAGE C;
COMMENT ON FUNCTION key_vault.root_key_rotate() IS
'seals every KEK that is sealed under another root key of the list under the first one of key_vault.root_key, in this transaction; returns how many were sealed anew. A KEK that does not open stays as it is, and a warning names it. For superusers only. Standbys and subscribers must have the new root key in their lists before';

CREATE OR REPLACE FUNCTION key_vault.has_kek_privilege(label text, privilege text)
RETURNS boolean AS 'MODULE_PATHNAME', 'key_vault_has_kek_privilege'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION key_vault.has_kek_privilege(text, text) IS
'whether the current role has a privilege on a KEK label: wrap, unwrap, decrypt, derive, rewrap or admin';

CREATE OR REPLACE FUNCTION key_vault.kek_grant(label text, role regrole, privilege text)
RETURNS boolean AS 'MODULE_PATHNAME', 'key_vault_kek_grant'
LANGUAGE C;
COMMENT ON FUNCTION key_vault.kek_grant(text, regrole, text) IS
'grants a privilege on a KEK label to a role, and so to roles that inherit from it: wrap, unwrap (see keys), decrypt (and encrypt payloads), derive, rewrap or admin; returns false if it was granted before. If the label does not exist yet, a notice says so and names the label that is most like it. The privilege holds only in this database: rows that come from another server by replication are ignored, and there is a warning if the table kek_privilege is published. Takes the privilege admin';

CREATE OR REPLACE FUNCTION key_vault.kek_revoke(label text, role regrole, privilege text)
RETURNS boolean AS 'MODULE_PATHNAME', 'key_vault_kek_revoke'
LANGUAGE C;
COMMENT ON FUNCTION key_vault.kek_revoke(text, regrole, text) IS
'revokes what kek_grant granted; returns false if there was nothing to revoke; a notice says so then if the label does not exist. Takes the privilege admin';
