-- The tables mic_KEYS: whole frames with the payloads of frames_KEYS, and with MICs.
SELECT format('CREATE UNLOGGED TABLE mic_%1$s AS
    SELECT received_at, dev_eui, key, f_cnt, message || key_vault.lorawan_uplink_mic(key, f_cnt, message) AS phy_payload
      FROM (SELECT *, key_vault.lorawan_build_uplink(dev_addr, f_cnt, 1, frm_payload) AS message FROM frames_%1$s) f', name)
  FROM unnest(ARRAY['10', '10000', '100000', '1000000', 'in_order']) name
\gexec
DROP TABLE frames_10, frames_10000, frames_100000, frames_1000000, frames_in_order;
VACUUM ANALYZE;
