--
-- Takes away what setup.sql changed in the server.  Runs last.
--
\pset format unaligned
\pset tuples_only
LOAD 'key_vault';
SELECT current_setting('key_vault.root_key') =
       'command:echo 6b65795f7661756c7420726567726573732074657374206f6e6c7920726f6f74' AS ours \gset
\set ECHO none
\if :ours
ALTER SYSTEM RESET key_vault.root_key;
SELECT pg_reload_conf() AS reloaded \gset
\o /dev/null
SELECT format('SELECT pg_sleep(0.1) WHERE current_setting(%L) <> %L', 'key_vault.root_key', '')
  FROM generate_series(1, 300) \gexec
\o
\endif
\set ECHO all
SELECT current_setting('key_vault.root_key') <>
       'command:echo 6b65795f7661756c7420726567726573732074657374206f6e6c7920726f6f74';

-- No test leaves a role behind.
SELECT rolname FROM pg_roles WHERE rolname LIKE 'regress_kv%' ORDER BY rolname;
