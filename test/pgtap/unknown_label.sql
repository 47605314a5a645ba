--
-- A KEK label that does not exist: every function says so, and suggests the label that was probably meant, but only
-- to a role that may know that label.
--
\set ECHO none
\set QUIET 1
SET client_min_messages = error;
-- kek_destroy() needs READ COMMITTED.
SET default_transaction_isolation = 'read committed';
SELECT no_plan();
SELECT key_vault.kek_create('fleet-north'), key_vault.kek_create('fleet-south'), key_vault.kek_create('other') \g /dev/null
CREATE TABLE kept AS SELECT key_vault.generate_key('fleet-north') AS key;

CREATE FUNCTION told(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    message text;
    hint text;
BEGIN
    EXECUTE statement;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
    RETURN sqlstate || ': ' || message || '. ' || hint;
END
$$;

-- The label lacks one letter.  A superuser holds every privilege on every label, even on one that does not exist.
SELECT is(told(s), 'KV001: KEK label "fleet-nort" does not exist. There is a label "fleet-north".', s)
  FROM unnest(ARRAY[
      $$SELECT key_vault.kek_rotate('fleet-nort')$$,
      $$SELECT key_vault.kek_suspend('fleet-nort', 1)$$,
      $$SELECT key_vault.kek_resume('fleet-nort', 1)$$,
      $$SELECT key_vault.kek_compromise('fleet-nort', 1)$$,
      $$SELECT key_vault.kek_destroy('fleet-nort', 1)$$,
      $$SELECT key_vault.kek_destroy('fleet-nort', 1, force => true)$$,
      $$SELECT key_vault.kek_schedule_destroy('fleet-nort', 1, '1 day')$$,
      $$SELECT key_vault.kek_cancel_destroy('fleet-nort', 1)$$,
      $$SELECT key_vault.kek_import_wrapped('new', '\x000102030405060708090a0b0c0d0e0f1011121314151617', 'fleet-nort')$$,
      $$SELECT key_vault.wrap('\x000102030405060708090a0b0c0d0e0f', 'fleet-nort')$$,
      $$SELECT key_vault.generate_key('fleet-nort')$$,
      $$SELECT key_vault.rewrap(key, 'fleet-nort') FROM kept$$,
      $$SELECT key_vault.export_envelope(key, 'fleet-nort') FROM kept$$,
      $$SELECT key_vault.import_envelope('', '\x000102030405060708090a0b0c0d0e0f', 'fleet-nort')$$,
      $$SELECT key_vault.import_envelope('fleet-nort', '\x000102030405060708090a0b0c0d0e0f1011121314151617', 'fleet-north')$$]) s;

-- A call that is no error
SELECT is(told($$DO 'BEGIN PERFORM key_vault.kek_usage(''fleet-nort''); END' $$), 'no error', 'kek_usage() shows nothing, and a notice');

SELECT is(told($$SELECT key_vault.kek_rotate('fleet')$$), 'KV001: KEK label "fleet" does not exist. The view key_vault.keks lists the labels.', 'no label is near');
SELECT is(told(format('SELECT key_vault.wrap(%L, %L)', '\x000102030405060708090a0b0c0d0e0f', repeat('f', 1000000))),
          'KV001: KEK label "' || repeat('f', 1000000) || '" does not exist. The view key_vault.keks lists the labels.  Use key_vault.kek_create() or key_vault.kek_import() to make one.', 'nor near a very long one');
SELECT is(told($$SELECT key_vault.wrap('\x000102030405060708090a0b0c0d0e0f', '')$$),
          'KV001: KEK label "" does not exist. The view key_vault.keks lists the labels.  Use key_vault.kek_create() or key_vault.kek_import() to make one.', 'nor near the empty one');

-- A role that mistypes a label holds nothing on the label that it typed.
CREATE ROLE kv_label_user;
GRANT SELECT ON kept TO kv_label_user;
SELECT key_vault.kek_grant('fleet-south', 'kv_label_user', 'wrap') \g /dev/null
SET ROLE kv_label_user;
SELECT is(told($$SELECT key_vault.generate_key('fleet-sout')$$), '42501: permission denied for KEK label "fleet-sout". There is no such label, but there is a label "fleet-south".', 'for whom labels are no secret');
SELECT is(told($$SELECT key_vault.generate_key('fleet-north')$$), '42501: permission denied for KEK label "fleet-north". An administrator of the label can grant it with key_vault.kek_grant().', 'a label that is there');
RESET ROLE;

-- Where the view key_vault.keks is not for everyone, a label is suggested only to a role that holds something on it,
-- and no other role learns whether a label exists.
REVOKE SELECT ON key_vault.keks FROM PUBLIC;
SELECT key_vault.kek_grant('lost', 'kv_label_user', 'wrap'), key_vault.kek_grant('fleet-northern', 'kv_label_user', 'wrap'), key_vault.kek_grant('fleet-soutx', 'kv_label_user', 'wrap') \g /dev/null
SET ROLE kv_label_user;
SELECT is(told($$SELECT key_vault.generate_key('fleet-sout')$$), '42501: permission denied for KEK label "fleet-sout". An administrator of the label can grant it with key_vault.kek_grant().', 'not there');
SELECT is(told($$SELECT key_vault.generate_key('fleet-north')$$), '42501: permission denied for KEK label "fleet-north". An administrator of the label can grant it with key_vault.kek_grant().', 'there');
SELECT is(told($$SELECT key_vault.generate_key('fleet-northern')$$), 'KV001: KEK label "fleet-northern" does not exist. The view key_vault.keks lists the labels.  Use key_vault.kek_create() or key_vault.kek_import() to make one.', 'near another''s label');
SELECT is(told($$SELECT key_vault.generate_key('fleet-soutx')$$), 'KV001: KEK label "fleet-soutx" does not exist. There is a label "fleet-south".', 'near a label of one''s own');
RESET ROLE;
SELECT * FROM finish();
