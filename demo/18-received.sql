-- Compares the messages that were published with those that are in the storage.

SELECT d.device_id, s.dev_eui, expect(count(DISTINCT s.n), 90) AS published, expect(count(d.dev_eui), 90) AS stored,
       expect(count(*) FILTER (WHERE d.payload = s.payload), 90) AS right
  FROM stream s LEFT JOIN lorawan.uplink_decrypted d USING (dev_eui, received_at)
 GROUP BY 1, 2 ORDER BY 2
\p \g
