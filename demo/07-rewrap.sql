-- The old version is needed as long as a key is wrapped with it.

\set ON_ERROR_STOP off
SELECT key_vault.kek_destroy('app1-at-rest', 1)
\p \g
\set ON_ERROR_STOP on
SELECT expect(:'SQLSTATE', 'KV008') \gset

UPDATE session SET app_s_key = key_vault.rewrap(app_s_key)
 WHERE key_vault.kek_version(app_s_key) = 1
\p \g

SELECT kek_label, expect(kek_version, 2) AS kek_version, state, relation, "column",
       expect(keys, 8) AS keys
  FROM key_vault.kek_usage('app1-at-rest');
