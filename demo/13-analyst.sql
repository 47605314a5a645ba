-- The analyst runs this file, who has the privilege decrypt and not unwrap.

SELECT * FROM reading WHERE device IN ('dev1', 'sensor1') ORDER BY device, f_cnt LIMIT 4
\p \g

\set ON_ERROR_STOP off
SELECT key_vault.unwrap(app_s_key) FROM session LIMIT 1
\p \g
\set ON_ERROR_STOP on
SELECT expect(:'SQLSTATE', '42501') \gset
