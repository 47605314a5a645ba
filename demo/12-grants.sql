-- An analyst may use the keys for payloads, and may not see them.

CREATE ROLE analyst LOGIN;
GRANT SELECT ON reading, session TO analyst;
SELECT key_vault.kek_grant('app1-at-rest', 'analyst', 'decrypt') \gset

SELECT * FROM key_vault.kek_privileges;
