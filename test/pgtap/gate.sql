--
-- The one gate: for each function of the extension, what happens when a role without any privilege calls it.  Everyone
-- may execute nearly all of them; each function checks the privileges itself.
--
-- A new function needs a row in the table gate, with a call of it and what must happen:
--   asks       error 42501: permission denied for KEK label.  LABEL in the call stands for a KEK label; the
--              answer must be the same for a label that does not exist.
--   asks else  error 42501 in words of its own: for superusers or members of pg_read_all_stats
--   works      it needs no privilege, and opens no key
--   SQLSTATE   it needs no privilege, and this call of it is an error
--   no execute PUBLIC may not execute it
--   no call    PostgreSQL lets nobody call it in a query
-- KEY and BOUND are wrapped keys of the label "gate", the second bound to DevAddr 260B1234.
--
\set ECHO none
\set QUIET 1
SET client_min_messages = error;
SELECT current_database() AS before \gset
DROP DATABASE IF EXISTS key_vault_pgtap_gate;
DROP ROLE IF EXISTS kv_gate_nobody;
CREATE DATABASE key_vault_pgtap_gate;
\c key_vault_pgtap_gate
SET client_min_messages = error;
CREATE EXTENSION pgtap;
CREATE EXTENSION key_vault;
CREATE ROLE kv_gate_nobody;
SELECT no_plan();

SELECT key_vault.kek_create('gate') \g /dev/null
CREATE TABLE gate_key AS
SELECT key_vault.wrap('\xec925802ae430ca77fd3dd73cb2cc588', 'gate') AS key,
       key_vault.bind(key_vault.wrap('\xec925802ae430ca77fd3dd73cb2cc588', 'gate'), '\x260B1234') AS bound;
GRANT SELECT ON gate_key TO PUBLIC;

CREATE TABLE gate (function regprocedure PRIMARY KEY, outcome text NOT NULL, call text);
GRANT SELECT ON gate TO PUBLIC;
SET search_path = key_vault, key_vault_internal, pg_catalog;
INSERT INTO public.gate VALUES
    -- Administration of KEKs
    ('kek_create(text, integer, text)', 'asks', $$kek_create(LABEL)$$),
    ('kek_import(text, bytea)', 'asks', $$kek_import(LABEL, '\x000102030405060708090a0b0c0d0e0f')$$),
    ('kek_import_wrapped(text, bytea, text)', 'asks', $$kek_import_wrapped(LABEL, '\x1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5', LABEL)$$),
    ('kek_rotate(text, text)', 'asks', $$kek_rotate(LABEL)$$),
    ('kek_suspend(text, integer)', 'asks', $$kek_suspend(LABEL, 1)$$),
    ('kek_resume(text, integer)', 'asks', $$kek_resume(LABEL, 1)$$),
    ('kek_compromise(text, integer)', 'asks', $$kek_compromise(LABEL, 1)$$),
    ('kek_destroy(text, integer, boolean)', 'asks', $$kek_destroy(LABEL, 1, true)$$),
    ('kek_erase(text, integer)', 'asks', $$kek_erase(LABEL, 1)$$),
    ('kek_require_admin(text)', 'asks', $$kek_require_admin(LABEL)$$),
    ('kek_wait_for_others(text, integer)', 'asks', $$kek_wait_for_others(LABEL, 1)$$),
    ('kek_hold_keys_still(text, integer)', 'asks', $$kek_hold_keys_still(LABEL, 1)$$),
    ('kek_erase_unused(text, integer)', 'asks', $$kek_erase_unused(LABEL, 1)$$),
    ('kek_schedule_destroy(text, integer, interval)', 'asks', $$kek_schedule_destroy(LABEL, 1, '0')$$),
    ('kek_cancel_destroy(text, integer)', 'asks', $$kek_cancel_destroy(LABEL, 1)$$),
    ('kek_put_off(text, integer)', 'asks', $$kek_put_off(LABEL, 1)$$),
    ('kek_refuse_while_replicated(name[], boolean)', 'works', $$kek_refuse_while_replicated('{}', false)$$),
    ('kek_require_unused(text, integer)', 'asks', $$kek_require_unused(LABEL, 1)$$),
    ('kek_require_unused_on_nodes(text, integer)', 'works', $$kek_require_unused_on_nodes(LABEL, 1)$$),
    ('kek_require_unused_here(text, integer)', 'asks', $$kek_require_unused_here(LABEL, 1)$$),
    ('relations()', 'works', $$relations()$$),
    ('key_types()', 'works', $$key_types()$$),
    ('other_nodes()', 'works', $$other_nodes()$$),
    ('notice_other_nodes(text)', 'works', $$notice_other_nodes('')$$),
    ('kek_destroy_due()', 'works', $$kek_destroy_due()$$),
    ('kek_grant(text, regrole, text)', 'asks', $$kek_grant(LABEL, 'kv_gate_nobody', 'wrap')$$),
    ('kek_revoke(text, regrole, text)', 'asks', $$kek_revoke(LABEL, 'kv_gate_nobody', 'wrap')$$),
    ('has_kek_privilege(text, text)', 'works', $$has_kek_privilege(LABEL, 'wrap')$$),
    ('root_key_rotate()', 'asks else', $$root_key_rotate()$$),
    ('root_keys()', 'asks else', $$root_keys()$$),
    ('health(interval, interval)', 'asks else', $$health()$$),
    ('storage_activity()', 'works', $$storage_activity()$$),
    ('memory_is_locked()', 'works', $$memory_is_locked()$$),
    ('explain_key(wrapped_key, bytea)', 'works', $$explain_key(KEY, '\x01020304')$$),
    ('kek_ids(anyelement)', 'works', $$kek_ids(KEY)$$),
    ('kek_usage(text)', 'works', $$kek_usage()$$),
    ('notice_unknown_label(text)', 'works', $$notice_unknown_label(LABEL)$$),
    ('check_keys()', 'works', $$check_keys()$$),
    ('check_column(regclass, name)', 'works', $$check_column('public.gate_key', 'key')$$),
    ('count_envelopes(regclass, name)', 'works', $$count_envelopes('public.gate_key', 'nothing')$$),
    ('count_keys(regclass, name)', 'works', $$count_keys('public.gate_key', 'key')$$),
    -- rewrap_all() needs a transaction of its own: see below.
    ('rewrap_all(text, integer, interval, regclass)', 'no call', NULL),
    -- Keys
    ('kek_id(wrapped_key)', 'works', $$kek_id(KEY)$$),
    ('kek_label(wrapped_key)', 'works', $$kek_label(KEY)$$),
    ('kek_version(wrapped_key)', 'works', $$kek_version(KEY)$$),
    ('algorithm(wrapped_key)', 'works', $$algorithm(KEY)$$),
    ('bound_dev_addr(wrapped_key)', 'asks', $$bound_dev_addr(BOUND)$$),
    ('generate_key(text, integer)', 'asks', $$generate_key(LABEL)$$),
    ('wrap(bytea, text)', 'asks', $$wrap('\xec925802ae430ca77fd3dd73cb2cc588', LABEL)$$),
    ('unwrap(wrapped_key)', 'asks', $$unwrap(KEY)$$),
    ('rewrap(wrapped_key)', 'asks', $$rewrap(KEY)$$),
    ('rewrap(wrapped_key, text)', 'asks', $$rewrap(KEY, 'gate')$$),
    ('bind(wrapped_key, bytea)', 'asks', $$bind(KEY, '\x260B1234')$$),
    ('key_check_value(wrapped_key)', 'asks', $$key_check_value(KEY)$$),
    ('import_envelope(text, bytea, text, bytea)', 'asks', $$import_envelope(LABEL, '\x1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5', LABEL)$$),
    ('try_envelope_key(text, bytea)', 'asks', $$try_envelope_key(LABEL, '\x1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5')$$),
    ('export_envelope(wrapped_key, text)', 'asks', $$export_envelope(KEY, 'gate')$$),
    ('seal(wrapped_key, bytea)', 'asks', $$seal(KEY, '\x00')$$),
    ('open(wrapped_key, bytea)', 'asks', $$open(KEY, '\x0100000000000000000000000000000000000000000000000000000000')$$),
    ('seal(wrapped_key, bytea, bytea)', 'asks', $$seal(KEY, '\x00', '\x01')$$),
    ('open(wrapped_key, bytea, bytea)', 'asks', $$open(KEY, '\x0200000000000000000000000000000000000000000000000000000000', '\x01')$$),
    -- Payloads and FOpts
    ('lorawan_decrypt_uplink(wrapped_key, bytea, bigint, bytea)', 'asks', $$lorawan_decrypt_uplink(KEY, '\x260B1234', 1, '\x00')$$),
    ('lorawan_decrypt_downlink(wrapped_key, bytea, bigint, bytea)', 'asks', $$lorawan_decrypt_downlink(KEY, '\x260B1234', 1, '\x00')$$),
    ('lorawan_encrypt_uplink(wrapped_key, bytea, bigint, bytea)', 'asks', $$lorawan_encrypt_uplink(KEY, '\x260B1234', 1, '\x00')$$),
    ('lorawan_encrypt_downlink(wrapped_key, bytea, bigint, bytea)', 'asks', $$lorawan_encrypt_downlink(KEY, '\x260B1234', 1, '\x00')$$),
    ('lorawan_try_decrypt_uplink(wrapped_key, bytea, bigint, bytea)', 'asks', $$lorawan_try_decrypt_uplink(KEY, '\x260B1234', 1, '\x00')$$),
    ('lorawan_try_decrypt_downlink(wrapped_key, bytea, bigint, bytea)', 'asks', $$lorawan_try_decrypt_downlink(KEY, '\x260B1234', 1, '\x00')$$),
    ('lorawan_decrypt_uplink_status(wrapped_key, bytea, bigint, bytea)', 'asks', $$lorawan_decrypt_uplink_status(KEY, '\x260B1234', 1, '\x00')$$),
    ('lorawan_decrypt_downlink_status(wrapped_key, bytea, bigint, bytea)', 'asks', $$lorawan_decrypt_downlink_status(KEY, '\x260B1234', 1, '\x00')$$),
    ('key_status(wrapped_key, bytea)', 'asks', $$key_status(KEY, '\x260B1234')$$),
    ('lorawan_decrypt_uplink_f_opts(wrapped_key, bytea, bigint, bytea)', 'asks', $$lorawan_decrypt_uplink_f_opts(KEY, '\x260B1234', 1, '\x00')$$),
    ('lorawan_encrypt_uplink_f_opts(wrapped_key, bytea, bigint, bytea)', 'asks', $$lorawan_encrypt_uplink_f_opts(KEY, '\x260B1234', 1, '\x00')$$),
    ('lorawan_decrypt_downlink_f_opts(wrapped_key, bytea, bigint, bytea, integer)', 'asks', $$lorawan_decrypt_downlink_f_opts(KEY, '\x260B1234', 1, '\x00', 1)$$),
    ('lorawan_encrypt_downlink_f_opts(wrapped_key, bytea, bigint, bytea, integer)', 'asks', $$lorawan_encrypt_downlink_f_opts(KEY, '\x260B1234', 1, '\x00', 1)$$),
    -- MICs
    ('lorawan_uplink_mic(wrapped_key, bigint, bytea)', 'asks', $$lorawan_uplink_mic(KEY, 2, '\x40f17dbe490002000195437876')$$),
    ('lorawan_uplink_mic(wrapped_key, wrapped_key, bigint, bigint, integer, integer, bytea)', 'asks', $$lorawan_uplink_mic(KEY, KEY, 2, 0, 0, 0, '\x40f17dbe490002000195437876')$$),
    ('lorawan_downlink_mic(wrapped_key, bigint, bytea)', 'asks', $$lorawan_downlink_mic(KEY, 2, '\x60f17dbe4920020001')$$),
    ('lorawan_downlink_mic(wrapped_key, bigint, bigint, bytea)', 'asks', $$lorawan_downlink_mic(KEY, 2, 0, '\x60f17dbe4920020001')$$),
    ('lorawan_verify_uplink(wrapped_key, bigint, bytea)', 'asks', $$lorawan_verify_uplink(KEY, 2, '\x40f17dbe4900020001954378762b11ff0d')$$),
    ('lorawan_verify_uplink(wrapped_key, wrapped_key, bigint, bigint, integer, integer, bytea)', 'asks', $$lorawan_verify_uplink(KEY, KEY, 2, 0, 0, 0, '\x40f17dbe4900020001954378762b11ff0d')$$),
    ('lorawan_verify_downlink(wrapped_key, bigint, bytea)', 'asks', $$lorawan_verify_downlink(KEY, 2, '\x60f17dbe4920020001f9d65d27')$$),
    ('lorawan_verify_downlink(wrapped_key, bigint, bigint, bytea)', 'asks', $$lorawan_verify_downlink(KEY, 2, 0, '\x60f17dbe4920020001f9d65d27')$$),
    ('lorawan_find_session(anyelement, wrapped_key, bigint, bytea)', 'asks', $$lorawan_find_session(1, KEY, 2, '\x40f17dbe4900020001954378762b11ff0d')$$),
    ('lorawan_find_session(anyelement, wrapped_key, wrapped_key, bigint, bigint, integer, integer, bytea)', 'asks', $$lorawan_find_session(1, KEY, KEY, 2, 0, 0, 0, '\x40f17dbe4900020001954378762b11ff0d')$$),
    ('lorawan_find_session_step(anyelement, anyelement, wrapped_key, bigint, bytea)', 'asks', $$lorawan_find_session_step(NULL, 1, KEY, 2, '\x40f17dbe4900020001954378762b11ff0d')$$),
    ('lorawan_find_session_step(anyelement, anyelement, wrapped_key, wrapped_key, bigint, bigint, integer, integer, bytea)', 'asks', $$lorawan_find_session_step(NULL, 1, KEY, KEY, 2, 0, 0, 0, '\x40f17dbe4900020001954378762b11ff0d')$$),
    ('lorawan_join_request_mic(wrapped_key, bytea)', 'asks', $$lorawan_join_request_mic(KEY, decode('00' || repeat('00', 18), 'hex'))$$),
    ('lorawan_verify_join_request(wrapped_key, bytea)', 'asks', $$lorawan_verify_join_request(KEY, decode('00' || repeat('00', 22), 'hex'))$$),
    ('lorawan_rejoin_request_mic(wrapped_key, bytea)', 'asks', $$lorawan_rejoin_request_mic(KEY, decode('c0' || repeat('00', 14), 'hex'))$$),
    ('lorawan_verify_rejoin_request(wrapped_key, bytea)', 'asks', $$lorawan_verify_rejoin_request(KEY, decode('c0' || repeat('00', 18), 'hex'))$$),
    ('lorawan_join_accept_mic(wrapped_key, bytea)', 'asks', $$lorawan_join_accept_mic(KEY, decode('20' || repeat('00', 12), 'hex'))$$),
    ('lorawan_join_accept_mic(wrapped_key, integer, bytea, integer, bytea)', 'asks', $$lorawan_join_accept_mic(KEY, 255, '\x0807060504030201', 1, decode('20' || repeat('00', 12), 'hex'))$$),
    ('lorawan_verify_join_accept(wrapped_key, bytea)', 'asks', $$lorawan_verify_join_accept(KEY, decode('20' || repeat('00', 16), 'hex'))$$),
    ('lorawan_verify_join_accept(wrapped_key, wrapped_key, integer, bytea, integer, bytea)', 'asks', $$lorawan_verify_join_accept(KEY, KEY, 255, '\x0807060504030201', 1, decode('20' || repeat('00', 16), 'hex'))$$),
    ('lorawan_encrypt_join_accept(wrapped_key, bytea)', 'asks', $$lorawan_encrypt_join_accept(KEY, decode('20' || repeat('00', 12), 'hex'))$$),
    ('lorawan_encrypt_join_accept(wrapped_key, wrapped_key, integer, bytea, integer, bytea)', 'asks', $$lorawan_encrypt_join_accept(KEY, KEY, 255, '\x0807060504030201', 1, decode('20' || repeat('00', 12), 'hex'))$$),
    -- Joins and derived keys
    ('lorawan_join_1_0(wrapped_key, bytea, bytea, text)', 'asks', $$lorawan_join_1_0(KEY, '\x0001020304050607080102030405060708cc8500000000', '\x204dd85ae608b87fc4889970b7d2042c9e', LABEL)$$),
    ('lorawan_join_1_1(wrapped_key, wrapped_key, bytea, bytea, text)', 'asks', $$lorawan_join_1_1(KEY, KEY, '\x0001020304050607080102030405060708cc8500000000', '\x204dd85ae608b87fc4889970b7d2042c9e', LABEL)$$),
    ('lorawan_rejoin_1_1(wrapped_key, wrapped_key, bytea, bytea, bytea, text)', 'asks', $$lorawan_rejoin_1_1(KEY, KEY, '\x0001020304050607', '\xc0001300000102030405060708cc8500000000', '\x204dd85ae608b87fc4889970b7d2042c9e', LABEL)$$),
    ('lorawan_derive_js_int_key(wrapped_key, bytea, text)', 'asks', $$lorawan_derive_js_int_key(KEY, '\x0001020304050607', LABEL)$$),
    ('lorawan_derive_js_enc_key(wrapped_key, bytea, text)', 'asks', $$lorawan_derive_js_enc_key(KEY, '\x0001020304050607', LABEL)$$),
    ('lorawan_derive_mc_root_key_1_0(wrapped_key, text)', 'asks', $$lorawan_derive_mc_root_key_1_0(KEY, LABEL)$$),
    ('lorawan_derive_mc_root_key_1_1(wrapped_key, text)', 'asks', $$lorawan_derive_mc_root_key_1_1(KEY, LABEL)$$),
    ('lorawan_derive_mc_ke_key(wrapped_key, text)', 'asks', $$lorawan_derive_mc_ke_key(KEY, LABEL)$$),
    ('lorawan_derive_mc_key(wrapped_key, bytea, text)', 'asks', $$lorawan_derive_mc_key(KEY, '\x00112233445566778899aabbccddeeff', LABEL)$$),
    ('lorawan_derive_mc_app_s_key(wrapped_key, bytea, text)', 'asks', $$lorawan_derive_mc_app_s_key(KEY, '\x260B1234', LABEL)$$),
    ('lorawan_derive_mc_nwk_s_key(wrapped_key, bytea, text)', 'asks', $$lorawan_derive_mc_nwk_s_key(KEY, '\x260B1234', LABEL)$$),
    ('lorawan_derive_data_block_int_key(wrapped_key, text)', 'asks', $$lorawan_derive_data_block_int_key(KEY, LABEL)$$),
    ('lorawan_derive_root_wor_s_key(wrapped_key, text)', 'asks', $$lorawan_derive_root_wor_s_key(KEY, LABEL)$$),
    ('lorawan_derive_wor_s_int_key(wrapped_key, bytea, text)', 'asks', $$lorawan_derive_wor_s_int_key(KEY, '\x260B1234', LABEL)$$),
    ('lorawan_derive_wor_s_enc_key(wrapped_key, bytea, text)', 'asks', $$lorawan_derive_wor_s_enc_key(KEY, '\x260B1234', LABEL)$$),
    -- Frames and counters: these functions take no key.
    ('lorawan_parse(bytea)', 'works', $$lorawan_parse('\x40f17dbe4900020001954378762b11ff0d')$$),
    ('lorawan_mac_commands(bytea, boolean)', 'works', $$lorawan_mac_commands('\x02', true)$$),
    ('cayenne_lpp(bytea, integer)', 'works', $$cayenne_lpp('\x0167010e02684a')$$),
    ('lorawan_build_uplink(bytea, bigint, integer, bytea, bytea, boolean, boolean, boolean, boolean, boolean)', 'works', $$lorawan_build_uplink('\x260B1234', 1)$$),
    ('lorawan_build_downlink(bytea, bigint, integer, bytea, bytea, boolean, boolean, boolean, boolean)', 'works', $$lorawan_build_downlink('\x260B1234', 1)$$),
    ('lorawan_build_join_request(bytea, bytea, integer)', 'works', $$lorawan_build_join_request('\x0001020304050607', '\x0001020304050607', 1)$$),
    ('lorawan_build_rejoin_request(integer, bytea, bytea, bytea, integer)', 'works', $$lorawan_build_rejoin_request(0, '\x000001', NULL, '\x0001020304050607', 1)$$),
    ('lorawan_build_join_accept(integer, bytea, bytea, integer, integer, integer, bytea, boolean)', 'works', $$lorawan_build_join_accept(1, '\x000001', '\x260B1234')$$),
    ('lorawan_full_f_cnt(bigint, integer, integer)', 'works', $$lorawan_full_f_cnt(1, 2)$$),
    ('lorawan_f_cnt(integer, integer, bigint)', 'works', $$lorawan_f_cnt(1) OVER ()$$),
    -- The cache
    ('cache_flush()', 'works', $$cache_flush()$$),
    ('cache_stats()', 'works', $$cache_stats()$$),
    ('cache_stats_reset()', 'works', $$cache_stats_reset()$$),
    ('cache_stats_all()', 'asks else', $$cache_stats_all()$$),
    ('cache_stats_reset_all()', 'asks else', $$cache_stats_reset_all()$$),
    -- The type
    ('local_role_in(cstring)', 'works', $$local_role_in('kv_gate_nobody')$$),
    ('local_role_out(local_role)', 'works', $$local_role_out('kv_gate_nobody')$$),
    ('local_role_recv(internal)', 'no call', NULL),
    ('local_role_send(local_role)', 'works', $$local_role_send('kv_gate_nobody')$$),
    ('wrapped_key_in(cstring)', 'works', $$wrapped_key_in('kv1:aes-kw:00112233-4455-6677-8899-aabbccddeeff:1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5')$$),
    ('wrapped_key_out(wrapped_key)', 'works', $$wrapped_key_out(KEY)$$),
    ('wrapped_key_recv(internal)', 'no call', NULL),
    ('wrapped_key_send(wrapped_key)', 'works', $$wrapped_key_send(KEY)$$),
    ('wrapped_key_eq(wrapped_key, wrapped_key)', 'works', $$wrapped_key_eq(KEY, KEY)$$),
    ('wrapped_key_ne(wrapped_key, wrapped_key)', 'works', $$wrapped_key_ne(KEY, KEY)$$),
    ('wrapped_key_lt(wrapped_key, wrapped_key)', 'works', $$wrapped_key_lt(KEY, KEY)$$),
    ('wrapped_key_le(wrapped_key, wrapped_key)', 'works', $$wrapped_key_le(KEY, KEY)$$),
    ('wrapped_key_gt(wrapped_key, wrapped_key)', 'works', $$wrapped_key_gt(KEY, KEY)$$),
    ('wrapped_key_ge(wrapped_key, wrapped_key)', 'works', $$wrapped_key_ge(KEY, KEY)$$),
    ('wrapped_key_cmp(wrapped_key, wrapped_key)', 'works', $$wrapped_key_cmp(KEY, KEY)$$),
    ('wrapped_key_hash(wrapped_key)', 'works', $$wrapped_key_hash(KEY)$$),
    ('wrapped_key_hash_extended(wrapped_key, bigint)', 'works', $$wrapped_key_hash_extended(KEY, 1)$$),
    ('wrapped_key_qualified_eq(wrapped_key, wrapped_key)', 'works', $$wrapped_key_qualified_eq(KEY, KEY)$$),
    ('wrapped_key_qualified_ne(wrapped_key, wrapped_key)', 'works', $$wrapped_key_qualified_ne(KEY, KEY)$$),
    ('wrapped_key_qualified_lt(wrapped_key, wrapped_key)', 'works', $$wrapped_key_qualified_lt(KEY, KEY)$$),
    ('wrapped_key_qualified_le(wrapped_key, wrapped_key)', 'works', $$wrapped_key_qualified_le(KEY, KEY)$$),
    ('wrapped_key_qualified_gt(wrapped_key, wrapped_key)', 'works', $$wrapped_key_qualified_gt(KEY, KEY)$$),
    ('wrapped_key_qualified_ge(wrapped_key, wrapped_key)', 'works', $$wrapped_key_qualified_ge(KEY, KEY)$$),
    -- Triggers
    ('ignore_replicated()', 'no execute', NULL),
    ('invalidate()', 'no execute', NULL),
    ('guard_kek()', 'no execute', NULL),
    ('guard_drop()', 'no execute', NULL),
    ('guard_audit_log()', 'no execute', NULL),
    ('guard_owner()', 'no execute', NULL),
    ('guard_truncate()', 'no execute', NULL),
    -- Storages: the functions that read messages open no key, and those that touch tables need the caller's
    -- privileges on the tables.
    ('storage_text_bytes(text)', 'works', $$storage_text_bytes('text')$$),
    ('storage_events(jsonb)', '0A000', $$storage_events('{}')$$),
    ('key_vault.storage_seal(text, text)', 'asks', $$key_vault.storage_seal('text', LABEL)$$),
    ('key_vault.storage_wrap_keys(jsonb, text, wrapped_key[], boolean)', 'asks', $$key_vault.storage_wrap_keys('{"key": "000102030405060708090a0b0c0d0e0f"}', LABEL)$$),
    ('key_vault.storage_outage(text)', 'works', $$key_vault.storage_outage('53100')$$),
    -- It refuses, since there is no storage of version 1.0 here.
    ('storage_refuse(text, text, text, text)', '42501', $$storage_refuse('22000', 'refused', NULL, NULL)$$),
    -- The code of the storages works on the tables in the caller's search_path, and here there are none.
    ('storage_kek_label(text)', '42P01', $$storage_kek_label('a')$$),
    ('storage_put_session(storage_event, wrapped_key, text)', '42P01', $$storage_put_session(NULL, NULL, 'gate')$$),
    ('storage_session_of_key(storage_event, wrapped_key)', '42P01', $$storage_session_of_key(NULL, NULL)$$),
    ('storage_store(jsonb, wrapped_key[])', '42P01', $$storage_store('{}', '{}')$$),
    ('storage_reject(jsonb, wrapped_key[], bytea, text, text, text, text, text, text)', '42P01', $$storage_reject('{}', '{}', '', '22000', 'gate', NULL, NULL, NULL, NULL)$$),
    ('storage_try_message(bigint, jsonb, wrapped_key[])', 'works', $$storage_try_message(1, '{}', '{}')$$),
    ('storage_try_envelope(bytea, bytea, text, bytea, text, bytea)', 'works', $$storage_try_envelope('', '', LABEL, '', LABEL, '')$$),
    ('storage_read_events(jsonb)', '0A000', $$storage_read_events('{}')$$),
    ('storage_time_of_1_0(jsonb)', 'works', $$storage_time_of_1_0('{}')$$),
    ('storage_allow_left_out()', '42P01', $$storage_allow_left_out()$$),
    ('storage_ingest(jsonb)', '42P01', $$storage_ingest('{}'::jsonb)$$),
    ('storage_ingest(text)', '42P01', $$storage_ingest('x'::text)$$),
    ('storage_ingest(bytea)', '42P01', $$storage_ingest('x'::bytea)$$),
    ('storage_ingest_all(jsonb[])', '42P01', $$storage_ingest_all(ARRAY['{}'::jsonb])$$),
    ('storage_ingest_all(text[])', '42P01', $$storage_ingest_all(ARRAY['x'])$$),
    ('storage_inbox_line()', '39P01', $$storage_inbox_line()$$),
    ('storage_inbox_end()', '39P01', $$storage_inbox_end()$$),
    ('storage_replay_rejected(bigint[])', '42P01', $$storage_replay_rejected(NULL)$$),
    ('storage_try_rejected(bigint[])', '42704', $$storage_try_rejected(NULL)$$),
    ('storage_finish_leaf(regclass, name)', '42501', $$storage_finish_leaf('pg_class', 'uplink')$$),
    ('storage_finish_leaves(name)', '42P01', $$storage_finish_leaves('uplink')$$),
    ('storage_add_stored_at(name)', 'works', $$storage_add_stored_at('uplink')$$),
    ('storage_timescaledb()', '42704', $$storage_timescaledb()$$),
    ('storage_make_hypertable(name, text)', '42704', $$storage_make_hypertable('uplink', 'day')$$),
    ('storage_maintain_hypertable(regclass, integer, timestamptz)', '42704', $$storage_maintain_hypertable('pg_class', 1, NULL)$$),
    ('storage_make_tables(text, text)', '42501', $$storage_make_tables('native', 'day')$$),
    ('storage_move_session(name, bytea, bytea, text)', '42704', $$storage_move_session('gate', '\x0004A30B001C0530', '\x01', 'app1')$$),
    -- This function answers with a status, which says that the role may not read the row.
    ('storage_read_uplink(boolean, smallint, boolean, wrapped_key, text, bytea, bytea, bigint, bytea)', 'works', $$storage_read_uplink(true, 1::smallint, true, KEY, NULL, NULL, '\x260B1234', 1, '\x00')$$),
    -- It takes SELECT on the table that it is given.
    ('storage_decode(regclass, text, integer, bytea)', '42501', $$storage_decode('pg_authid', 'app1', 1, '\x01')$$),
    ('storage_check_decoder()', '39P01', $$storage_check_decoder()$$),
    ('storage_make_views()', '42P01', $$storage_make_views()$$),
    ('storage_make_functions()', '42501', $$storage_make_functions()$$),
    ('storage_set(text, text, boolean, text)', '42P01', $$storage_set('gate', 'day', false, 'native')$$),
    ('storage_setting(regclass, text)', 'works', $$storage_setting('pg_class', 'version')$$),
    ('storage_check_relations(name)', '42704', $$storage_check_relations('gate')$$),
    ('storage_bring_up_to_date(name, text, boolean)', '42704', $$storage_bring_up_to_date('gate', NULL, NULL)$$),
    ('storage_update(name, text, boolean)', '42704', $$storage_update('gate', NULL, NULL)$$),
    ('storage_maintain_step(name, integer, interval)', '42704', $$storage_maintain_step('gate', 7, NULL)$$),
    ('storage_partition_name(regclass, timestamptz)', 'works', $$storage_partition_name('pg_class', now())$$),
    ('storage_drop_old(regclass, regclass, name, timestamptz, text)', '42883', $$storage_drop_old('pg_class', NULL, 'relname', now(), 'day')$$),
    ('storage_make_partition(regclass, name, timestamptz, timestamptz, regclass)', '42501', $$storage_make_partition('pg_class', 'relname', now(), now(), NULL)$$),
    ('storage_build(text, text)', '42501', $$storage_build('native', 'day')$$),
    ('storage_version()', 'works', $$storage_version()$$),
    ('storage_is_other(oid, oid)', 'works', $$storage_is_other(0, 0)$$),
    ('storage_other_creators(oid, oid)', 'works', $$storage_other_creators(0, 0)$$),
    ('storage_check_schema(name)', 'works', $$storage_check_schema('key_vault')$$),
    ('storage_check(name)', '42704', $$storage_check('gate')$$),
    ('storages()', 'works', $$storages()$$),
    ('create_storage(name, text, text, boolean, text)', '42501', $$CALL create_storage('gate')$$),
    ('move_session(name, bytea, bytea, text)', '42704', $$move_session('gate', '\x0004A30B001C0530', '\x01', 'app1')$$),
    ('update_storage(name)', '42704', $$CALL update_storage('gate')$$),
    ('maintain_storage(name, integer, interval)', '42704', $$CALL maintain_storage('gate')$$);
RESET search_path;

-- The table and the extension have the same functions: neither has one that the other lacks.
CREATE VIEW member AS
SELECT d.objid::regprocedure AS function
  FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
 WHERE d.refclassid = 'pg_extension'::regclass AND d.classid = 'pg_proc'::regclass AND d.deptype = 'e' AND e.extname = 'key_vault';
SELECT bag_eq('SELECT function FROM gate', 'SELECT function FROM member', 'it is said of each function what must happen');
SELECT is_empty($$SELECT function FROM gate JOIN pg_proc p ON p.oid = function WHERE call !~ ('\m' || proname || '\(')$$, 'each call is one of its function');

-- What a call gives: works, asks, asks else, or an SQLSTATE.  Whatever the functions do is undone.
CREATE FUNCTION outcome(call text, label text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    state text;
    message text;
BEGIN
    SELECT replace(replace(replace(call, 'LABEL', quote_literal(label)), 'KEY', quote_literal(key) || '::key_vault.wrapped_key'),
                   'BOUND', quote_literal(bound) || '::key_vault.wrapped_key') INTO call FROM gate_key;
    BEGIN
        EXECUTE CASE WHEN call LIKE 'CALL %' THEN call ELSE 'SELECT ' || call END;
        RAISE EXCEPTION USING ERRCODE = 'P0999';
    EXCEPTION
        WHEN SQLSTATE 'P0999' THEN
            RETURN 'works';
        WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT;
    END;
    RETURN CASE WHEN state = '42501' AND message = format('permission denied for KEK label "%s"', label) THEN 'asks'
                WHEN state = '42501' AND message LIKE 'permission denied to %' THEN 'asks else'
                ELSE state END;
END
$$;
ALTER FUNCTION outcome SET search_path = key_vault, key_vault_internal, public;

SELECT count(*) AS events FROM key_vault.audit_log \gset
SET ROLE kv_gate_nobody;
SELECT key_vault.cache_stats_reset() \g /dev/null
SELECT is(outcome(call, 'gate'), outcome, function::text) FROM gate WHERE outcome NOT IN ('no call', 'no execute') ORDER BY function::text;
SELECT is(outcome(call, 'nowhere'), outcome, function || ' does not tell whether a label exists')
  FROM gate WHERE call ~ 'LABEL' AND call !~ 'KEY' ORDER BY function::text;
SELECT ok(NOT has_function_privilege(function, 'EXECUTE'), function || ' is not for everyone to execute') FROM gate WHERE outcome = 'no execute';
SELECT ok(has_function_privilege(function, 'EXECUTE'), function || ' is') FROM gate WHERE outcome <> 'no execute';
SELECT is((SELECT (unwraps, entries) FROM key_vault.cache_stats()), (0::bigint, 0::bigint), 'no key was opened for it');

-- rewrap_all() commits, so it is called outside of a transaction.
\set ON_ERROR_STOP 0
\o /dev/null
CALL key_vault.rewrap_all('gate');
\o
SELECT is(:'LAST_ERROR_SQLSTATE' || ' ' || :'LAST_ERROR_MESSAGE', '42501 permission denied for KEK label "gate"', 'rewrap_all()');
\o /dev/null
CALL key_vault.rewrap_all('nowhere');
\o
SELECT is(:'LAST_ERROR_SQLSTATE' || ' ' || :'LAST_ERROR_MESSAGE', '42501 permission denied for KEK label "nowhere"', 'rewrap_all() does not tell whether a label exists');
\set ON_ERROR_STOP 1
RESET ROLE;
SELECT is(count(*), :events::bigint, 'nothing was done') FROM key_vault.audit_log;

-- Views and tables
SELECT set_eq($$SELECT c.relname::text FROM pg_class c JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
                  JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'key_vault' WHERE has_table_privilege('kv_gate_nobody', c.oid, 'SELECT')$$,
              ARRAY['keks', 'kek_privileges', 'wrapped_key_columns', 'key_envelope_columns', 'rewrap_progress'], 'the views that everyone may read');
SELECT is_empty($$SELECT c.relname::text FROM pg_class c JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
                    JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'key_vault' WHERE c.relkind <> 'c' AND has_table_privilege('kv_gate_nobody', c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')$$, 'that is all');
GRANT pg_read_all_stats TO kv_gate_nobody;
SELECT set_eq($$SELECT c.relname::text FROM pg_class c JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
                  JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'key_vault' WHERE has_table_privilege('kv_gate_nobody', c.oid, 'SELECT')$$,
              ARRAY['keks', 'kek_privileges', 'wrapped_key_columns', 'key_envelope_columns', 'rewrap_progress', 'audit_log', 'kek_health', 'cache_stats_sessions', 'cache_stats_total'],
              'the views of monitoring');
SELECT ok(has_schema_privilege('kv_gate_nobody', n, 'USAGE') AND NOT has_schema_privilege('kv_gate_nobody', n, 'CREATE'), 'names are found in schema ' || n)
  FROM unnest(ARRAY['key_vault', 'key_vault_internal']) n;

-- One privilege is enough to call the functions that need it.  DROP OWNED, which drops what the role owns, leaves it.
REVOKE pg_read_all_stats FROM kv_gate_nobody;
SELECT key_vault.kek_grant('gate', 'kv_gate_nobody', 'unwrap') \g /dev/null
DROP OWNED BY kv_gate_nobody;
SET ROLE kv_gate_nobody;
SELECT is(key_vault.unwrap(key), '\xec925802ae430ca77fd3dd73cb2cc588', 'DROP OWNED leaves the privilege') FROM gate_key;
RESET ROLE;

SELECT * FROM finish();
\c :before
SET client_min_messages = error;
DROP DATABASE key_vault_pgtap_gate;
DROP ROLE kv_gate_nobody;
