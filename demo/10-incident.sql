-- The envelope of another device under the same KEK: the broken cache used such keys.

\set others_key 'CqqU11IcP6+Y5bzIjRjnPF0PMsjTD6gA'

-- A key that is not bound to a DevAddr gives wrong bytes, and there is no error.
SELECT expect(d.payload, '\x0167010e02684a') AS with_its_own_key,
       expect(key_vault.lorawan_decrypt_uplink(
                  key_vault.import_envelope('app1-kek', decode(:'others_key', 'base64'), 'app1-at-rest'),
                  d.dev_addr, d.f_cnt, d.frm_payload),
              '\xd3acabad76d801') AS with_the_other_devices_key
  FROM decrypted d WHERE d.dev_addr = '\x260B1234';

-- A key that is bound to its DevAddr is an error for any other device.
\set ON_ERROR_STOP off
SELECT key_vault.lorawan_decrypt_uplink(
           key_vault.import_envelope('app1-kek', decode(:'others_key', 'base64'), 'app1-at-rest', '\x260B5678'),
           u.dev_addr, u.f_cnt, u.frm_payload)
  FROM uplink u WHERE u.dev_addr = '\x260B1234';
\set ON_ERROR_STOP on
SELECT expect(:'SQLSTATE', 'KV005') \gset
