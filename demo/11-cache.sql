-- The conditions of the incident: many devices under one KEK, and each row is of another
-- device than the row before.  The cache is on, then has room for one key only, then
-- verifies each hit, and then is off.

CREATE TEMPORARY TABLE cache_run (n serial, cache text, decryptions bigint, wrong bigint,
                                  hits bigint, unwraps bigint, mismatches bigint);
DO $$
DECLARE
    run record;
BEGIN
    FOR run IN SELECT * FROM (VALUES ('on', '16MB'), ('on', '0'), ('verify', '16MB'), ('off', '16MB')) AS v (cache, size)
    LOOP
        PERFORM set_config('key_vault.cache', run.cache, true);
        PERFORM set_config('key_vault.cache_size', run.size, true);
        PERFORM key_vault.cache_flush(), key_vault.cache_stats_reset();
        INSERT INTO cache_run (cache, decryptions, wrong)
        SELECT run.cache || CASE run.size WHEN '0' THEN ', one key' ELSE '' END,
               count(*), count(*) FILTER (WHERE d.payload IS DISTINCT FROM p.payload)
          FROM decrypted d JOIN plaintext p USING (dev_addr, f_cnt);
        UPDATE cache_run r SET hits = s.hits, unwraps = s.unwraps, mismatches = s.mismatches
          FROM key_vault.cache_stats() AS s WHERE r.hits IS NULL;
    END LOOP;
END
$$;

SELECT cache, expect(decryptions, 1202) AS decryptions, expect(wrong, 0) AS wrong,
       hits, unwraps, expect(mismatches, 0) AS mismatches
  FROM cache_run ORDER BY n;
