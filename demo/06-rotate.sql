-- A new version becomes the active one.  The old one still unwraps.

SELECT key_vault.kek_rotate('app1-at-rest') AS new_version
\p \g

SELECT label, version, state FROM key_vault.keks WHERE label = 'app1-at-rest';
