-- In one step, session keys are unwrapped with the transport KEK, bound to their
-- DevAddr, and wrapped with the KEK at rest.

INSERT INTO session (session_id, dev_addr, app_s_key)
SELECT DISTINCT ON (session_id) session_id, dev_addr,
       key_vault.import_envelope(kek_label, encrypted_key, 'app1-at-rest', dev_addr)
  FROM uplink
 ORDER BY session_id, id
ON CONFLICT DO NOTHING;

SELECT * FROM key_vault.kek_usage('app1-at-rest');

SELECT d.source, d.device, d.f_cnt, d.frm_payload AS stored,
       expect(d.payload, '\x0167010e02684a') AS decrypted
  FROM decrypted d WHERE device = 'dev1' ORDER BY source DESC;
