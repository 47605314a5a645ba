-- Administration of KEKs.  Each function asks for the privilege admin on its label, or for a superuser, before it
-- does anything.

CREATE OR REPLACE FUNCTION key_vault.kek_create(label text, key_bits integer DEFAULT 256, provider text DEFAULT 'local')
RETURNS integer AS 'MODULE_PATHNAME', 'key_vault_kek_create'
LANGUAGE C;
COMMENT ON FUNCTION key_vault.kek_create(text, integer, text) IS
'makes version 1 of a new KEK label, a random KEK of 128, 192 or 256 bits; returns the version. provider: local, or pkcs11:token=... (RFC 7512) for a token that key_vault.tokens lists; there the KEK is made in the token, never leaves it, and wraps keys of 16 bytes or more in multiples of 8. Takes the privilege admin';

CREATE OR REPLACE FUNCTION key_vault.kek_import(label text, material bytea)
RETURNS integer AS 'MODULE_PATHNAME', 'key_vault_kek_import'
LANGUAGE C;
COMMENT ON FUNCTION key_vault.kek_import(text, bytea) IS
'makes a KEK of 16, 24 or 32 bytes from outside the active version of a label, new or not; returns the version. Takes the privilege admin. Text of 32, 48 or 64 hexadecimal digits is refused (22023) unless key_vault.allow_hexadecimal_keys is on: it is a key without the \x before it. The KEK passes through SQL in the clear: pass it as a parameter of a prepared statement, never as a literal, with log_parameter_max_length and log_parameter_max_length_on_error = 0 and without auto_explain.log_verbose';

CREATE OR REPLACE FUNCTION key_vault.kek_import_wrapped(label text, wrapped_material bytea, transport_label text)
RETURNS integer AS 'MODULE_PATHNAME', 'key_vault_kek_import_wrapped'
LANGUAGE C;
COMMENT ON FUNCTION key_vault.kek_import_wrapped(text, bytea, text) IS
'as kek_import, of a KEK that comes wrapped (AES-KW, RFC 3394) with some version of another KEK. Takes admin on the label and unwrap on the transport label';

CREATE OR REPLACE FUNCTION key_vault.kek_rotate(label text, provider text DEFAULT NULL)
RETURNS integer AS 'MODULE_PATHNAME', 'key_vault_kek_rotate'
LANGUAGE C;
COMMENT ON FUNCTION key_vault.kek_rotate(text, text) IS
'makes a new random version of a label, of the same length, the active one; the one before unwraps only; returns the version. provider: as for kek_create, NULL for that of the newest version. Takes the privilege admin';

CREATE OR REPLACE FUNCTION key_vault.kek_suspend(label text, version integer)
RETURNS void AS 'MODULE_PATHNAME', 'key_vault_kek_suspend'
LANGUAGE C;
COMMENT ON FUNCTION key_vault.kek_suspend(text, integer) IS
'takes a KEK out of use: it neither wraps nor unwraps until kek_resume. Takes the privilege admin';

CREATE OR REPLACE FUNCTION key_vault.kek_resume(label text, version integer)
RETURNS void AS 'MODULE_PATHNAME', 'key_vault_kek_resume'
LANGUAGE C;
COMMENT ON FUNCTION key_vault.kek_resume(text, integer) IS
'takes a suspended KEK back into use, in the state it had, or deactivated if its label has another active version by now. Takes the privilege admin';

CREATE OR REPLACE FUNCTION key_vault.kek_compromise(label text, version integer)
RETURNS void AS 'MODULE_PATHNAME', 'key_vault_kek_compromise'
LANGUAGE C;
COMMENT ON FUNCTION key_vault.kek_compromise(text, integer) IS
'marks a KEK as known to others: it unwraps only, so that its keys can be rewrapped. Takes the privilege admin';

CREATE OR REPLACE FUNCTION key_vault.root_key_rotate()
RETURNS bigint AS 'MODULE_PATHNAME', 'key_vault_root_key_rotate'
LANGUAGE C;
COMMENT ON FUNCTION key_vault.root_key_rotate() IS
'seals every KEK under the first root key of key_vault.root_key, in this transaction, whichever root key of the list it is sealed under; returns how many were sealed anew. A KEK that does not open is named in a warning, and stays as it is. For superusers. Standbys and subscribers need the new root key in their lists before';

CREATE OR REPLACE FUNCTION key_vault.has_kek_privilege(label text, privilege text)
RETURNS boolean AS 'MODULE_PATHNAME', 'key_vault_has_kek_privilege'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION key_vault.has_kek_privilege(text, text) IS
'whether the current role holds a privilege on a KEK label: wrap, unwrap, decrypt, derive, rewrap or admin';

CREATE OR REPLACE FUNCTION key_vault.kek_grant(label text, role regrole, privilege text)
RETURNS boolean AS 'MODULE_PATHNAME', 'key_vault_kek_grant'
LANGUAGE C;
COMMENT ON FUNCTION key_vault.kek_grant(text, regrole, text) IS
'grants a privilege on a KEK label to a role and, through membership, to its members: wrap, unwrap (see keys), decrypt (and make payloads), derive, rewrap or admin; false if it was granted before. A label that does not exist yet is a notice, with the label that is most like it. Takes the privilege admin';

CREATE OR REPLACE FUNCTION key_vault.kek_revoke(label text, role regrole, privilege text)
RETURNS boolean AS 'MODULE_PATHNAME', 'key_vault_kek_revoke'
LANGUAGE C;
COMMENT ON FUNCTION key_vault.kek_revoke(text, regrole, text) IS
'withdraws what kek_grant granted; false if there was nothing to withdraw. Takes the privilege admin';
