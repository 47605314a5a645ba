-- One uplink.
SELECT key_vault.kek_create('bench');
CREATE TABLE uplink AS SELECT key_vault.generate_key('bench') AS key, '\x260B1234'::bytea AS dev_addr, 1::bigint AS f_cnt, '\x0167010e02684a0167010e02684a0167010e0268'::bytea AS frm_payload;
VACUUM ANALYZE uplink;
