-- This session was open the whole time, and had a key under the destroyed version in
-- its cache.  It cannot use that key either.

\set ON_ERROR_STOP off
SELECT key_vault.lorawan_decrypt_uplink(:'old_key', dev_addr, f_cnt, frm_payload)
  FROM uplink WHERE session_id = :'old_session' LIMIT 1;
\set ON_ERROR_STOP on
SELECT expect(:'SQLSTATE', 'KV003') \gset

SELECT hits, unwraps, withdrawals, entries FROM key_vault.cache_stats();
