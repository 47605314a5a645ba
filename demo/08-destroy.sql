-- All keys have been rewrapped, so no key needs version 1.

SELECT key_vault.kek_destroy('app1-at-rest', 1)
\p \gset

SELECT label, version, state, sealed_material IS NULL AS erased
  FROM key_vault.kek WHERE label = 'app1-at-rest' ORDER BY version;
