--
-- Emergencies while the disk is full: kek_suspend() and kek_compromise() do not need space for a row of the audit
-- log.  A trigger raises the error that a full disk gives.
--
\set ECHO none
\set QUIET 1
SET client_min_messages = error;
SELECT no_plan();
SELECT key_vault.kek_create(label) FROM unnest(ARRAY['a', 'b', 'c']) label \g /dev/null
CREATE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = TG_ARGV[0]; END $$;
CREATE TRIGGER full_disk BEFORE INSERT ON key_vault.audit_log FOR EACH ROW EXECUTE FUNCTION fails('53100');
SELECT lives_ok($$SELECT key_vault.kek_suspend('a', 1)$$, 'a KEK is suspended');
SELECT lives_ok($$SELECT key_vault.kek_compromise('b', 1)$$, 'a KEK is compromised');
SELECT is((SELECT string_agg(label || ' ' || state, ', ' ORDER BY label) FROM key_vault.keks), 'a suspended, b compromised, c active', 'they are');
SELECT throws_ok($$SELECT key_vault.kek_resume('a', 1)$$, '53100', NULL, 'what is no emergency fails');
SELECT throws_ok($$SELECT key_vault.kek_rotate('c')$$, '53100', NULL, 'and so does a rotation');
DROP TRIGGER full_disk ON key_vault.audit_log;
CREATE TRIGGER broken BEFORE INSERT ON key_vault.audit_log FOR EACH ROW EXECUTE FUNCTION fails('22012');
SELECT throws_ok($$SELECT key_vault.kek_suspend('c', 1)$$, '22012', NULL, 'another error is one');
DROP TRIGGER broken ON key_vault.audit_log;
SELECT is((SELECT string_agg(label || ' ' || state, ', ' ORDER BY label) FROM key_vault.keks), 'a suspended, b compromised, c active', 'nothing else has changed');
SELECT * FROM finish();
