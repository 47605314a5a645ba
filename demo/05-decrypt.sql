-- Compares each decrypted uplink with its plaintext.  Each row is of another device
-- than the row before.

SELECT count(*) AS uplinks,
       expect(count(*) FILTER (WHERE d.payload = p.payload), 1202) AS right,
       expect(count(*) FILTER (WHERE d.payload IS DISTINCT FROM p.payload), 0) AS wrong,
       (SELECT string_agg(DISTINCT key_vault.kek_version(app_s_key)::text, ', ') FROM session) AS kek_versions
  FROM decrypted d FULL JOIN plaintext p USING (dev_addr, f_cnt);
