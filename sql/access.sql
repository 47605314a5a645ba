--
-- Who may do what with the KEKs of a label.
--
\pset format unaligned
\pset tuples_only
\pset null (null)
-- kek_destroy() takes it.
SET default_transaction_isolation = 'read committed';

CREATE ROLE regress_kv_admin;
CREATE ROLE regress_kv_user;
CREATE ROLE regress_kv_group;
CREATE ROLE regress_kv_member IN ROLE regress_kv_group;
CREATE ROLE regress_kv_noinherit NOINHERIT;
GRANT regress_kv_group TO regress_kv_noinherit;
CREATE ROLE regress_kv_super SUPERUSER;

SELECT key_vault.kek_import('access a', '\x000102030405060708090a0b0c0d0e0f'), key_vault.kek_create('access b'), key_vault.kek_create('access c');
CREATE TABLE access_key (name text, key key_vault.wrapped_key);
INSERT INTO access_key VALUES ('a', key_vault.wrap('\xec925802ae430ca77fd3dd73cb2cc588', 'access a')),
    ('b', key_vault.wrap('\xec925802ae430ca77fd3dd73cb2cc580', 'access b')),
    ('bound', key_vault.bind(key_vault.wrap('\xec925802ae430ca77fd3dd73cb2cc588', 'access a'), '\x260B1234'));
GRANT SELECT ON access_key TO PUBLIC;
SELECT key AS key_a FROM access_key WHERE name = 'a' \gset
SELECT key AS key_b FROM access_key WHERE name = 'b' \gset
SELECT key AS key_bound FROM access_key WHERE name = 'bound' \gset

--
-- PUBLIC: the type, its comparison and accessors, nothing that opens a key.
--
SET ROLE regress_kv_user;
SELECT :'key_a'::key_vault.wrapped_key OPERATOR(key_vault.=) :'key_a'::key_vault.wrapped_key, :'key_a'::key_vault.wrapped_key OPERATOR(key_vault.=) :'key_b'::key_vault.wrapped_key;
SELECT count(DISTINCT key) FROM access_key;
SELECT name, key_vault.kek_label(key), key_vault.kek_version(key), key_vault.algorithm(key), key_vault.kek_id(key) IS NOT NULL FROM access_key ORDER BY name;
SELECT label, version, state FROM key_vault.keks WHERE label LIKE 'access %';
SELECT failure('SELECT * FROM key_vault.kek'), failure('SELECT * FROM key_vault.kek_privilege');
SELECT failure($$INSERT INTO key_vault.kek_privilege (label, role, privilege) VALUES ('access a', 'regress_kv_user', 'admin')$$);
SELECT failure('UPDATE key_vault.keks SET state = ''active''');
SELECT failure('DELETE FROM key_vault.kek_privileges');
SELECT failure('CREATE TABLE key_vault.mine ()');
SELECT key_vault.has_kek_privilege('access a', p), key_vault.has_kek_privilege('access nowhere', p)
  FROM unnest('{wrap,unwrap,decrypt,derive,rewrap,admin}'::text[]) p;
SELECT failure($$SELECT key_vault.has_kek_privilege('access a', 'select')$$);
RESET ROLE;
-- What PUBLIC may not call, in full: functions of triggers, which ask for nothing.
SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace IN ('key_vault'::regnamespace, 'key_vault_internal'::regnamespace)
   AND NOT has_function_privilege('regress_kv_user', p.oid, 'EXECUTE') ORDER BY p.oid::regprocedure::text COLLATE "C";
-- Each function that takes a privilege asks for it itself, one by one; test/pgtap/gate.sql knows them all.
CREATE TABLE access_call (n serial, privilege text, call text);
INSERT INTO access_call (privilege, call) VALUES
    ('wrap', $$key_vault.wrap('\xec925802ae430ca77fd3dd73cb2cc588', 'access a')$$),
    ('wrap', $$key_vault.generate_key('access a')$$),
    ('wrap', $$key_vault.import_envelope('', '\xec925802ae430ca77fd3dd73cb2cc588', 'access a')$$),
    ('wrap', $$key_vault.storage_seal('text', 'access a')$$),
    ('wrap', $$key_vault.storage_wrap_keys('{"app_s_key": {"encrypted_key": "7JJYAq5DDKd/091zyyzFiA=="}}', 'access a')$$),
    ('unwrap', format('key_vault.unwrap(%L)', :'key_a')),
    ('unwrap + wrap', format('key_vault.rewrap(%L, %L)', :'key_a', 'access a')),
    ('unwrap + wrap', $$key_vault.import_envelope('access a', decode('7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo', 'base64'), 'access a')$$),
    ('unwrap + wrap', format('key_vault.export_envelope(%L, %L)', :'key_a', 'access a')),
    ('decrypt', format('key_vault.lorawan_decrypt_uplink(%L, %L, 1, %L)', :'key_a', '\x260B1234', '\x01')),
    ('decrypt', format('key_vault.lorawan_decrypt_downlink(%L, %L, 1, %L)', :'key_a', '\x260B1234', '\x01')),
    ('decrypt', format('key_vault.lorawan_encrypt_uplink(%L, %L, 1, %L)', :'key_a', '\x260B1234', '\x01')),
    ('decrypt', format('key_vault.lorawan_encrypt_downlink(%L, %L, 1, %L)', :'key_a', '\x260B1234', '\x01')),
    ('decrypt', format('key_vault.lorawan_try_decrypt_uplink(%L, %L, 1, %L)', :'key_a', '\x260B1234', '\x01')),
    ('decrypt', format('key_vault.lorawan_try_decrypt_downlink(%L, %L, 1, %L)', :'key_a', '\x260B1234', '\x01')),
    ('decrypt', format('key_vault.key_status(%L, %L)', :'key_a', '\x260B1234')),
    ('decrypt', $$key_vault.try_envelope_key('access a', decode('7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo', 'base64'))$$),
    ('decrypt', format('key_vault.lorawan_decrypt_uplink_f_opts(%L, %L, 1, %L)', :'key_a', '\x260B1234', '\x01')),
    ('decrypt', format('key_vault.lorawan_encrypt_uplink_f_opts(%L, %L, 1, %L)', :'key_a', '\x260B1234', '\x01')),
    ('decrypt', format('key_vault.lorawan_decrypt_downlink_f_opts(%L, %L, 1, %L, 1)', :'key_a', '\x260B1234', '\x01')),
    ('decrypt', format('key_vault.lorawan_encrypt_downlink_f_opts(%L, %L, 1, %L, 1)', :'key_a', '\x260B1234', '\x01')),
    ('decrypt', format('key_vault.seal(%L, %L)', :'key_a', '\x01')),
    ('decrypt', format('key_vault.open(%L, %L)', :'key_a', '\x01' || repeat('00', 28))),
    ('derive', format('key_vault.lorawan_uplink_mic(%L, 2, %L)', :'key_a', '\x40f17dbe490002000195437876')),
    ('derive', format('key_vault.lorawan_uplink_mic(%1$L, %1$L, 2, 0, 0, 0, %2$L)', :'key_a', '\x40f17dbe490002000195437876')),
    ('derive', format('key_vault.lorawan_downlink_mic(%L, 2, %L)', :'key_a', '\x60f17dbe4920020001')),
    ('derive', format('key_vault.lorawan_downlink_mic(%L, 2, 0, %L)', :'key_a', '\x60f17dbe4920020001')),
    ('derive', format('key_vault.lorawan_verify_uplink(%L, 2, %L)', :'key_a', '\x40f17dbe4900020001954378762b11ff0d')),
    ('derive', format('key_vault.lorawan_verify_uplink(%1$L, %1$L, 2, 0, 0, 0, %2$L)', :'key_a', '\x40f17dbe4900020001954378762b11ff0d')),
    ('derive', format('key_vault.lorawan_verify_downlink(%L, 2, %L)', :'key_a', '\x60f17dbe4920020001f9d65d27')),
    ('derive', format('key_vault.lorawan_verify_downlink(%L, 2, 0, %L)', :'key_a', '\x60f17dbe4920020001f9d65d27')),
    ('derive', format('key_vault.lorawan_find_session(1, %L, 2, %L)', :'key_a', '\x40f17dbe4900020001954378762b11ff0d')),
    ('derive', format('key_vault.lorawan_find_session(1, %1$L, %1$L, 2, 0, 0, 0, %2$L)', :'key_a', '\x40f17dbe4900020001954378762b11ff0d')),
    ('derive', format('key_vault_internal.lorawan_find_session_step(NULL, 1, %L, 2, %L)', :'key_a', '\x40f17dbe4900020001954378762b11ff0d')),
    ('derive', format('key_vault_internal.lorawan_find_session_step(NULL, 1, %1$L, %1$L, 2, 0, 0, 0, %2$L)', :'key_a', '\x40f17dbe4900020001954378762b11ff0d')),
    ('derive', format('key_vault.lorawan_join_request_mic(%L, %L)', :'key_a', '\x00' || repeat('00', 18))),
    ('derive', format('key_vault.lorawan_verify_join_request(%L, %L)', :'key_a', '\x00' || repeat('00', 22))),
    ('derive', format('key_vault.lorawan_rejoin_request_mic(%L, %L)', :'key_a', '\xc0' || repeat('00', 14))),
    ('derive', format('key_vault.lorawan_verify_rejoin_request(%L, %L)', :'key_a', '\xc0' || repeat('00', 18))),
    ('derive', format('key_vault.lorawan_join_accept_mic(%L, %L)', :'key_a', '\x20' || repeat('00', 12))),
    ('derive', format('key_vault.lorawan_join_accept_mic(%L, 255, %L, 1, %L)', :'key_a', '\x0807060504030201', '\x20' || repeat('00', 12))),
    ('derive', format('key_vault.lorawan_verify_join_accept(%L, %L)', :'key_a', '\x20' || repeat('00', 16))),
    ('derive', format('key_vault.lorawan_verify_join_accept(%1$L, %1$L, 255, %2$L, 1, %3$L)', :'key_a', '\x0807060504030201', '\x20' || repeat('00', 16))),
    ('derive', format('key_vault.lorawan_encrypt_join_accept(%L, %L)', :'key_a', '\x20' || repeat('00', 12))),
    ('derive', format('key_vault.lorawan_encrypt_join_accept(%1$L, %1$L, 255, %2$L, 1, %3$L)', :'key_a', '\x0807060504030201', '\x20' || repeat('00', 12))),
    ('rewrap', format('key_vault.rewrap(%L)', :'key_a')),
    ('derive + wrap', format($$key_vault.lorawan_join_1_0(%L, decode('0001020304050607080102030405060708cc8500000000', 'hex'), decode('204dd85ae608b87fc4889970b7d2042c9e', 'hex'), 'access a')$$, :'key_a')),
    ('derive + wrap', format($$key_vault.lorawan_join_1_1(%L, %L, decode('0001020304050607080102030405060708cc8500000000', 'hex'), decode('204dd85ae608b87fc4889970b7d2042c9e', 'hex'), 'access a')$$, :'key_a', :'key_a')),
    ('derive + wrap', format($$key_vault.lorawan_rejoin_1_1(%L, %L, '\x0001020304050607', decode('c0001300000102030405060708cc8500000000', 'hex'), decode('204dd85ae608b87fc4889970b7d2042c9e', 'hex'), 'access a')$$, :'key_a', :'key_a')),
    ('derive + wrap', format($$key_vault.lorawan_derive_js_int_key(%L, '\x0001020304050607', 'access a')$$, :'key_a')),
    ('derive + wrap', format($$key_vault.lorawan_derive_js_enc_key(%L, '\x0001020304050607', 'access a')$$, :'key_a')),
    ('derive + wrap', format($$key_vault.lorawan_derive_mc_root_key_1_0(%L, 'access a')$$, :'key_a')),
    ('derive + wrap', format($$key_vault.lorawan_derive_mc_root_key_1_1(%L, 'access a')$$, :'key_a')),
    ('derive + wrap', format($$key_vault.lorawan_derive_mc_ke_key(%L, 'access a')$$, :'key_a')),
    ('derive + wrap', format($$key_vault.lorawan_derive_mc_key(%L, '\x00112233445566778899aabbccddeeff', 'access a')$$, :'key_a')),
    ('derive + wrap', format($$key_vault.lorawan_derive_mc_app_s_key(%L, '\x260B1234', 'access a')$$, :'key_a')),
    ('derive + wrap', format($$key_vault.lorawan_derive_mc_nwk_s_key(%L, '\x260B1234', 'access a')$$, :'key_a')),
    ('derive + wrap', format($$key_vault.lorawan_derive_data_block_int_key(%L, 'access a')$$, :'key_a')),
    ('derive + wrap', format($$key_vault.lorawan_derive_root_wor_s_key(%L, 'access a')$$, :'key_a')),
    ('derive + wrap', format($$key_vault.lorawan_derive_wor_s_int_key(%L, '\x260B1234', 'access a')$$, :'key_a')),
    ('derive + wrap', format($$key_vault.lorawan_derive_wor_s_enc_key(%L, '\x260B1234', 'access a')$$, :'key_a')),
    ('rewrap', format('key_vault.bind(%L, %L)', :'key_a', '\x260B1234')),
    ('any that opens', format('key_vault.key_check_value(%L)', :'key_a')),
    ('any that opens', format('key_vault.bound_dev_addr(%L)', :'key_bound')),
    ('admin', $$key_vault.kek_create('access a')$$),
    ('admin', $$key_vault.kek_import('access a', '\x000102030405060708090a0b0c0d0e0f')$$),
    ('admin', $$key_vault.kek_rotate('access a')$$),
    ('admin', $$key_vault.kek_suspend('access a', 9)$$),
    ('admin', $$key_vault.kek_resume('access a', 9)$$),
    ('admin', $$key_vault.kek_compromise('access a', 9)$$),
    ('admin', $$key_vault_internal.kek_erase('access a', 9)$$),
    ('admin', $$key_vault.kek_destroy('access a', 9)$$),
    ('admin', $$key_vault.kek_destroy('access a', 9, true)$$),
    ('admin', $$key_vault.kek_schedule_destroy('access a', 9, '1 day')$$),
    ('admin', $$key_vault.kek_cancel_destroy('access a', 9)$$),
    ('admin', $$key_vault.kek_grant('access a', 'regress_kv_user', 'derive')$$),
    ('admin', $$key_vault.kek_revoke('access a', 'regress_kv_user', 'derive')$$),
    ('admin + unwrap', $$key_vault.kek_import_wrapped('access a', '\x1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5', 'access a')$$),
    ('', 'key_vault.kek_destroy_due()'),
    ('', 'key_vault.kek_usage()'),
    ('', 'key_vault.root_keys()'),
    ('', 'key_vault.root_key_rotate()');
GRANT SELECT ON access_call TO PUBLIC;
SET ROLE regress_kv_user;
SELECT failure('SELECT ' || call) FROM access_call ORDER BY n;
RESET ROLE;
SET ROLE regress_kv_user;
SELECT failure($$CALL key_vault.rewrap_all('access a')$$);
RESET ROLE;
-- What tells about other sessions asks for itself; a session's own cache is its own.
SET ROLE regress_kv_user;
SELECT failure('SELECT * FROM key_vault.cache_stats_all()');
SELECT failure('SELECT key_vault.cache_stats_reset_all()');
SELECT failure('SELECT * FROM key_vault.cache_stats_sessions');
SELECT failure('SELECT * FROM key_vault.cache_stats_total');
SELECT failure('SELECT key_vault.cache_flush(), key_vault.cache_stats(), key_vault.cache_stats_reset()');
RESET ROLE;
GRANT pg_read_all_stats TO regress_kv_user;
SET ROLE regress_kv_user;
SELECT failure('SELECT * FROM key_vault.cache_stats_sessions') LIKE '42501%';
SELECT failure('SELECT key_vault.cache_stats_reset_all()');
RESET ROLE;
REVOKE pg_read_all_stats FROM regress_kv_user;
--
-- Each privilege opens its own functions, and no other's.
--
CREATE FUNCTION access_allowed() RETURNS TABLE (call text, result text) LANGUAGE sql AS
$$SELECT substring(call FROM 'key_vault(?:_internal)?\.(\w+)'), f.result FROM access_call, LATERAL (SELECT failure('SELECT ' || call) AS result) f
   WHERE privilege <> '' AND f.result NOT LIKE '42501 / permission denied for KEK label "access a" / Role "regress_kv_user" lacks privilege %' ORDER BY n$$;
SELECT key_vault.kek_grant('access a', 'regress_kv_user', 'wrap');
SET ROLE regress_kv_user;
SELECT * FROM access_allowed();
SELECT p FROM unnest('{wrap,unwrap,decrypt,derive,rewrap,admin}'::text[]) p WHERE key_vault.has_kek_privilege('access a', p);
-- what is asked for is said
SELECT DISTINCT failure('SELECT ' || call) FROM access_call WHERE privilege <> '' AND failure('SELECT ' || call) LIKE '42501%' ORDER BY 1;
RESET ROLE;
SELECT key_vault.kek_revoke('access a', 'regress_kv_user', 'wrap'), key_vault.kek_grant('access a', 'regress_kv_user', 'unwrap');
SET ROLE regress_kv_user;
SELECT * FROM access_allowed();
RESET ROLE;
SELECT key_vault.kek_grant('access a', 'regress_kv_user', 'WRAP');
SET ROLE regress_kv_user;
SELECT * FROM access_allowed();
RESET ROLE;
SELECT key_vault.kek_revoke('access a', 'regress_kv_user', 'wrap'), key_vault.kek_revoke('access a', 'regress_kv_user', 'unwrap'), key_vault.kek_grant('access a', 'regress_kv_user', 'decrypt');
SET ROLE regress_kv_user;
SELECT * FROM access_allowed();
RESET ROLE;
SELECT key_vault.kek_revoke('access a', 'regress_kv_user', 'decrypt'), key_vault.kek_grant('access a', 'regress_kv_user', 'derive');
SET ROLE regress_kv_user;
SELECT * FROM access_allowed();
RESET ROLE;
SELECT key_vault.kek_revoke('access a', 'regress_kv_user', 'derive'), key_vault.kek_grant('access a', 'regress_kv_user', 'rewrap');
SET ROLE regress_kv_user;
SELECT * FROM access_allowed();
RESET ROLE;
SELECT key_vault.kek_revoke('access a', 'regress_kv_user', 'rewrap'), key_vault.kek_grant('access a', 'regress_kv_user', 'admin');
SET ROLE regress_kv_user;
BEGIN;
SELECT * FROM access_allowed();
ROLLBACK;
-- Admin is for this label only, and is not for keys.
SELECT failure($$SELECT key_vault.kek_rotate('access b')$$);
SELECT failure($$SELECT key_vault.kek_grant('access b', 'regress_kv_user', 'admin')$$);
SELECT failure($$SELECT key_vault.kek_create('access new')$$);
RESET ROLE;
SELECT key_vault.kek_revoke('access a', 'regress_kv_user', 'admin');
SET ROLE regress_kv_user;
SELECT DISTINCT failure('SELECT ' || call) FROM access_call WHERE call ~ 'unwrap|decrypt_uplink';
RESET ROLE;

--
-- kek_grant, kek_revoke
--
SELECT key_vault.kek_grant('access a', 'regress_kv_user', 'decrypt'), key_vault.kek_grant('access a', 'regress_kv_user', 'decrypt'),
       key_vault.kek_grant('access a', 'regress_kv_user', 'unwrap'), key_vault.kek_grant('access b', 'regress_kv_user', 'wrap');
SELECT * FROM key_vault.kek_privileges WHERE label LIKE 'access %';
SELECT key_vault.kek_revoke('access a', 'regress_kv_user', 'wrap'), key_vault.kek_revoke('access a', 'regress_kv_user', 'unwrap'), key_vault.kek_revoke('access a', 'regress_kv_user', 'unwrap');
-- A label that is not there yet: a notice, with the label that is nearest.  "access a" to "access d" are there, and no label like the others.
SET client_min_messages = notice;
SELECT label, key_vault.kek_grant(label, 'regress_kv_user', 'wrap'), key_vault.kek_grant(label, 'regress_kv_user', 'wrap'), key_vault.kek_revoke(label, 'regress_kv_user', 'wrap')
  FROM unnest('{acess a,access,Axess b,wxyz access a,x,access a}'::text[]) label;
SELECT key_vault.kek_revoke('acess a', 'regress_kv_user', 'wrap');
SELECT * FROM key_vault.kek_usage('acess a');
SET client_min_messages = error;
SELECT failure($$SELECT key_vault.kek_grant('access a', 'regress_kv_user', 'select')$$);
SELECT failure($$SELECT key_vault.kek_grant('access a', 'regress_kv_user', '')$$);
SELECT failure($$SELECT key_vault.kek_grant('access a', 'regress_kv_nobody', 'wrap')$$);
SELECT failure($$SELECT key_vault.kek_grant('access a', 0, 'wrap')$$);
SELECT failure($$SELECT key_vault.kek_grant('', 'regress_kv_user', 'wrap')$$);
SELECT failure($$SELECT key_vault.kek_revoke('access a', 'regress_kv_user', 'select')$$);
-- Moving a key to another label takes unwrap here and wrap there; each alone is not enough.
SET ROLE regress_kv_user;
SELECT failure(format('SELECT key_vault.rewrap(%L, %L)', :'key_a', 'access b'));
RESET ROLE;
SELECT key_vault.kek_grant('access a', 'regress_kv_user', 'unwrap'), key_vault.kek_revoke('access b', 'regress_kv_user', 'wrap');
SET ROLE regress_kv_user;
SELECT failure(format('SELECT key_vault.rewrap(%L, %L)', :'key_a', 'access b'));
SELECT failure(format('SELECT key_vault.export_envelope(%L, %L)', :'key_a', 'access b'));
SELECT failure($$SELECT key_vault.import_envelope('access a', decode('7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo', 'base64'), 'access b')$$);
RESET ROLE;
SELECT key_vault.kek_grant('access b', 'regress_kv_user', 'wrap');
SET ROLE regress_kv_user;
SELECT key_vault.kek_label(key_vault.rewrap(:'key_a', 'access b')), (key_vault.export_envelope(:'key_a', 'access b')).kek_label,
       key_vault.kek_label(key_vault.import_envelope('access a', decode('7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo', 'base64'), 'access b'));
RESET ROLE;
SELECT key_vault.kek_revoke('access a', 'regress_kv_user', 'unwrap'), key_vault.kek_revoke('access b', 'regress_kv_user', 'wrap');
-- Granting and withdrawing privileges leaves EXECUTE as it is: PUBLIC has it.
SELECT key_vault.kek_revoke('access a', 'regress_kv_user', 'decrypt');
SELECT count(*) FROM pg_proc, aclexplode(proacl) WHERE grantee = 'regress_kv_user'::regrole;
-- A member's own privilege does not go with its group's.
SELECT key_vault.kek_grant('access a', 'regress_kv_group', 'unwrap'), key_vault.kek_grant('access a', 'regress_kv_member', 'decrypt');
SELECT key_vault.kek_revoke('access a', 'regress_kv_group', 'unwrap');
SET ROLE regress_kv_member;
SELECT key_vault.lorawan_decrypt_uplink(:'key_a', '\x260B1234', 65538, '\x2e115ed9a45c99');
RESET ROLE;
SELECT key_vault.kek_revoke('access a', 'regress_kv_member', 'decrypt');

--
-- An administrator who is no superuser
--
REVOKE SELECT ON access_key FROM PUBLIC;
SELECT key_vault.kek_grant('access d', 'regress_kv_admin', 'admin');
SET ROLE regress_kv_admin;
SELECT key_vault.kek_create('access d');
SELECT failure($$SELECT key_vault.generate_key('access d')$$);
SELECT key_vault.kek_grant('access d', 'regress_kv_admin', 'wrap');
SELECT key_vault.algorithm(key_vault.generate_key('access d'));
SELECT key_vault.kek_rotate('access d');
SELECT key_vault.kek_suspend('access d', 1), key_vault.kek_resume('access d', 1), key_vault.kek_compromise('access d', 1);
SELECT key_vault.kek_import('access d', '\x000102030405060708090a0b0c0d0e0f');
SELECT label, version, state FROM key_vault.keks WHERE label = 'access d';
-- A role that may not read all columns cannot know whether the KEK wraps keys in them.
RESET ROLE;
CREATE TABLE access_secret (key key_vault.wrapped_key);
INSERT INTO access_secret SELECT key_vault.generate_key('access d');
SET ROLE regress_kv_admin;
SELECT failure($$SELECT key_vault.kek_destroy('access d', 1)$$) LIKE '42501 / column "%" of table % could not be read and locked / So it is not known whether the KEK wraps keys in it.';
SELECT version, state FROM key_vault.keks WHERE label = 'access d' ORDER BY version LIMIT 1;
SELECT key_vault.kek_destroy('access d', 1, force => true);
SELECT version, state FROM key_vault.keks WHERE label = 'access d' ORDER BY version LIMIT 1;
RESET ROLE;

--
-- Membership: inherited, not inherited, granted and withdrawn while a session
-- has the key.
--
SELECT key_vault.kek_grant('access a', 'regress_kv_group', 'decrypt');
\set decrypt 'SELECT key_vault.lorawan_decrypt_uplink(:''key_a'', ''\\x260B1234'', 65538, ''\\x2e115ed9a45c99'')'
SET ROLE regress_kv_group;
:decrypt;
SET ROLE regress_kv_member;
:decrypt;
SET ROLE regress_kv_noinherit;
SELECT failure(format('SELECT key_vault.unwrap(%L)', :'key_a'));
RESET ROLE;
-- Another grant of its own does not give it the group's privilege.
SELECT key_vault.kek_grant('access c', 'regress_kv_noinherit', 'wrap');
SET ROLE regress_kv_noinherit;
:decrypt;
SELECT key_vault.has_kek_privilege('access a', 'decrypt');
SET ROLE regress_kv_user;
:decrypt;
RESET ROLE;
GRANT regress_kv_group TO regress_kv_user;
SET ROLE regress_kv_user;
:decrypt;
RESET ROLE;
REVOKE regress_kv_group FROM regress_kv_user;
SET ROLE regress_kv_user;
:decrypt;
RESET ROLE;
-- The same key, one role after the other, and no change of grants between: each
-- is asked for itself, and so is one that was a member a moment ago.
SELECT key_vault.kek_grant('access c', 'regress_kv_user', 'wrap');
SET ROLE regress_kv_member;
:decrypt;
SET ROLE regress_kv_user;
:decrypt;
SET ROLE regress_kv_member;
:decrypt;
RESET ROLE;
GRANT regress_kv_group TO regress_kv_user;
SET ROLE regress_kv_user;
:decrypt;
RESET ROLE;
REVOKE regress_kv_group FROM regress_kv_user;
SET ROLE regress_kv_user;
:decrypt;
RESET ROLE;
SELECT key_vault.kek_revoke('access c', 'regress_kv_user', 'wrap');
-- seen within a transaction, too, and undone with it
BEGIN;
SET LOCAL ROLE regress_kv_member;
:decrypt;
RESET ROLE;
SAVEPOINT s;
SELECT key_vault.kek_revoke('access a', 'regress_kv_group', 'decrypt'), key_vault.kek_grant('access c', 'regress_kv_group', 'decrypt');
SET LOCAL ROLE regress_kv_member;
SELECT failure(format('SELECT key_vault.lorawan_decrypt_uplink(%L, %L, 1, %L)', :'key_a', '\x260B1234', '\x01'));
ROLLBACK TO s;
SET LOCAL ROLE regress_kv_member;
:decrypt;
ROLLBACK;
SET ROLE regress_kv_member;
:decrypt;
RESET ROLE;
SELECT key_vault.kek_revoke('access a', 'regress_kv_group', 'decrypt'), key_vault.kek_grant('access c', 'regress_kv_group', 'decrypt');
SET ROLE regress_kv_member;
:decrypt;
RESET ROLE;
-- within one statement
SELECT key_vault.kek_grant('access a', 'regress_kv_member', 'decrypt');
CREATE FUNCTION access_as(role name, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
BEGIN
    EXECUTE format('SET LOCAL ROLE %I', role);
    EXECUTE statement INTO result;
    RESET ROLE;
    RETURN result;
EXCEPTION WHEN OTHERS THEN
    RESET ROLE;
    RETURN concat_ws(' / ', sqlstate, sqlerrm);
END
$$;
SELECT step, CASE step
    WHEN 2 THEN key_vault.kek_revoke('access a', 'regress_kv_member', 'decrypt')::text
    WHEN 4 THEN key_vault.kek_grant('access a', 'regress_kv_member', 'decrypt')::text
    ELSE access_as('regress_kv_member', format('SELECT key_vault.lorawan_decrypt_uplink(%L, %L, 65538, %L)', :'key_a', '\x260B1234', '\x2e115ed9a45c99')) END
  FROM generate_series(1, 5) step;

--
-- Superusers may everything, for as long as they are.
--
SET ROLE regress_kv_super;
:decrypt;
SELECT bool_and(key_vault.has_kek_privilege('access a', p)) FROM unnest('{wrap,unwrap,decrypt,derive,rewrap,admin}'::text[]) p;
RESET ROLE;
SELECT key_vault.kek_grant('access c', 'regress_kv_super', 'wrap');
ALTER ROLE regress_kv_super NOSUPERUSER;
SET ROLE regress_kv_super;
:decrypt;
-- but what was granted by name meanwhile is there
SELECT key_vault.algorithm(key_vault.generate_key('access c'));
RESET ROLE;

--
-- SECURITY DEFINER functions and views: the current role is who it is.
--
CREATE FUNCTION access_definer(key key_vault.wrapped_key) RETURNS bytea LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
$$SELECT key_vault.lorawan_decrypt_uplink(key, '\x260B1234', 65538, '\x2e115ed9a45c99')$$;
ALTER FUNCTION access_definer OWNER TO regress_kv_member;
CREATE FUNCTION access_invoker(key key_vault.wrapped_key) RETURNS bytea LANGUAGE sql SET search_path = pg_catalog, pg_temp AS
$$SELECT key_vault.lorawan_decrypt_uplink(key, '\x260B1234', 65538, '\x2e115ed9a45c99')$$;
CREATE VIEW access_view AS SELECT name, key_vault.lorawan_decrypt_uplink(key, '\x260B1234', 65538, '\x2e115ed9a45c99') FROM access_key WHERE name = 'a';
GRANT SELECT ON access_view TO PUBLIC;
SET ROLE regress_kv_user;
SELECT access_definer(:'key_a');
SELECT failure(format('SELECT access_invoker(%L)', :'key_a'));
SELECT failure('TABLE access_view');
RESET ROLE;
SET ROLE regress_kv_member;
SELECT access_invoker(:'key_a');
TABLE access_view;
-- a definer who lost it
RESET ROLE;
SELECT key_vault.kek_revoke('access a', 'regress_kv_member', 'decrypt');
SET ROLE regress_kv_user;
SELECT failure(format('SELECT access_definer(%L)', :'key_a'));
RESET ROLE;

--
-- Hostile search paths: what a caller puts into the way is not what runs.
--
CREATE SCHEMA access_hostile;
GRANT ALL ON SCHEMA access_hostile TO regress_kv_admin;
SET ROLE regress_kv_admin;
CREATE FUNCTION access_hostile.trap(uuid, uuid) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'trapped'; END$$;
CREATE FUNCTION access_hostile.trap(text, text) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'trapped'; END$$;
CREATE FUNCTION access_hostile.trap(integer, integer) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'trapped'; END$$;
CREATE FUNCTION access_hostile.trap(oid, oid) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'trapped'; END$$;
CREATE FUNCTION access_hostile.lower(text) RETURNS text LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'trapped'; END$$;
CREATE FUNCTION access_hostile.clock_timestamp() RETURNS timestamptz LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'trapped'; END$$;
CREATE FUNCTION access_hostile.format(text, VARIADIC text[]) RETURNS text LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'trapped'; END$$;
CREATE FUNCTION access_hostile.current_setting(text) RETURNS text LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'trapped'; END$$;
CREATE FUNCTION access_hostile.has_column_privilege(oid, name, text) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RETURN true; END$$;
CREATE FUNCTION access_hostile.has_function_privilege(oid, oid, text) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'trapped'; END$$;
CREATE FUNCTION access_hostile.count(bigint) RETURNS bigint LANGUAGE plpgsql AS $$BEGIN RETURN 0; END$$;
CREATE OPERATOR access_hostile.= (LEFTARG = uuid, RIGHTARG = uuid, FUNCTION = access_hostile.trap);
CREATE OPERATOR access_hostile.= (LEFTARG = text, RIGHTARG = text, FUNCTION = access_hostile.trap);
CREATE OPERATOR access_hostile.= (LEFTARG = integer, RIGHTARG = integer, FUNCTION = access_hostile.trap);
CREATE OPERATOR access_hostile.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = access_hostile.trap);
CREATE OPERATOR access_hostile.<> (LEFTARG = text, RIGHTARG = text, FUNCTION = access_hostile.trap);
CREATE TEMP TABLE kek (kek_id uuid, label text);
CREATE TEMP TABLE kek_privilege (label text, role regrole, privilege text);
INSERT INTO kek_privilege VALUES ('access a', 'regress_kv_admin', 'unwrap');
CREATE TEMP TABLE keks (kek_id uuid, label text, version integer, state text);
CREATE TEMP TABLE pg_proc (pronamespace oid, oid oid);
CREATE TEMP TABLE pg_class AS SELECT * FROM pg_catalog.pg_class LIMIT 0;
CREATE TEMP TABLE pg_attribute AS SELECT attrelid, attname, attnum, atttypid, attisdropped FROM pg_catalog.pg_attribute LIMIT 0;
CREATE TEMP TABLE pg_type AS SELECT oid, typtype, typbasetype, typelem, typsubscript FROM pg_catalog.pg_type LIMIT 0;
SET search_path = pg_temp, access_hostile, pg_catalog, public;
-- The trap works: a caller's own comparison runs into it.
\set VERBOSITY terse
SELECT 'a'::text = 'b'::text;
SELECT pg_catalog.count(*) FROM pg_class;
SELECT key_vault.unwrap(:'key_a');
SELECT key_vault.kek_rotate('access d');
SELECT key_vault.kek_suspend('access d', 2), key_vault.kek_resume('access d', 2);
SELECT key_vault.kek_grant('access d', 'regress_kv_user', 'wrap'), key_vault.kek_revoke('access d', 'regress_kv_user', 'wrap');
SELECT key_vault.kek_destroy('access d', 2);
SELECT pg_catalog.count(*) FROM key_vault.kek_usage();
\set VERBOSITY default
SET search_path = pg_catalog, public;
SELECT version, state FROM key_vault.keks WHERE label = 'access d';
DROP TABLE pg_temp.kek, pg_temp.kek_privilege, pg_temp.keks, pg_temp.pg_proc, pg_temp.pg_attribute, pg_temp.pg_type, pg_temp.pg_class;
RESET search_path;
RESET ROLE;

--
-- A dropped role: its privileges are nobody's.
--
CREATE ROLE regress_kv_dropped;
SELECT key_vault.kek_grant('access a', 'regress_kv_dropped', 'unwrap');
SELECT 'regress_kv_dropped'::regrole::oid AS dropped \gset
-- The privilege is no object that the role owns, and does not keep it from being dropped.
DROP OWNED BY regress_kv_dropped;
SET ROLE regress_kv_dropped;
SELECT key_vault.has_kek_privilege('access a', 'unwrap');
RESET ROLE;
DROP ROLE regress_kv_dropped;
SELECT count(*) FROM key_vault.kek_privilege p JOIN key_vault.kek_privileges v USING (label, role) WHERE p.role = :dropped;
CREATE ROLE regress_kv_dropped;
SET ROLE regress_kv_dropped;
SELECT key_vault.has_kek_privilege('access a', 'unwrap');
RESET ROLE;
SET ROLE regress_kv_user;
SELECT key_vault.has_kek_privilege('access a', 'unwrap');
RESET ROLE;
-- What is left of it can be taken away.
SELECT key_vault.kek_revoke('access a', :dropped, 'unwrap') IS NOT NULL;
SELECT count(*) FROM key_vault.kek_privilege WHERE role = :dropped;
DROP ROLE regress_kv_dropped;

--
-- Settings are for superusers.
--
SET ROLE regress_kv_user;
SELECT name, failure(format('SET %s = %s', name, value))
  FROM (VALUES ('key_vault.cache', 'off'), ('key_vault.cache_size', '0'), ('key_vault.cache_max_age', '1'), ('key_vault.cache_max_uses', '0'), ('key_vault.cache_verify_rate', '0')) v (name, value);
SELECT left(failure('SHOW key_vault.root_key'), 5);
SELECT count(*) FROM pg_settings WHERE name = 'key_vault.root_key';
SELECT left(failure($$SELECT current_setting('key_vault.root_key')$$), 5);
SELECT failure($$SET key_vault.nonsense = 1$$);
RESET ROLE;
SELECT failure($$SET key_vault.root_key = 'file:/dev/null'$$);

DROP OWNED BY regress_kv_admin, regress_kv_user, regress_kv_group, regress_kv_member, regress_kv_noinherit, regress_kv_super;
DROP VIEW access_view;
DROP FUNCTION access_invoker, access_as, access_allowed;
DROP SCHEMA access_hostile;
DROP TABLE access_key, access_call, access_secret;
DELETE FROM key_vault.kek_privilege WHERE label LIKE 'access %';
DROP ROLE regress_kv_admin, regress_kv_user, regress_kv_member, regress_kv_noinherit, regress_kv_group, regress_kv_super;
