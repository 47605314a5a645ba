-- The plain UPDATE that the table of rewrap compares rewrap_all() with.
SELECT key_vault.kek_create('bench');
-- Uses the same batches as rewrap_all(), by block numbers, since all rows have the same size.
CREATE PROCEDURE plain_update(batch integer) LANGUAGE plpgsql AS $$
DECLARE
    blocks integer := pg_relation_size('session') / current_setting('block_size')::integer;
    step integer := batch / greatest(1, (SELECT count(*) FROM session WHERE ctid < '(1,0)'));
BEGIN
    FOR n IN 0..blocks / step LOOP
        UPDATE session SET plain = '\x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20212223242526272829'
         WHERE ctid >= format('(%s,0)', n * step)::tid AND ctid < format('(%s,0)', (n + 1) * step)::tid;
        COMMIT;
    END LOOP;
END
$$;

-- Makes the table anew, so that both ways begin with the same one.
CREATE PROCEDURE fill(rows integer) LANGUAGE plpgsql AS $$
BEGIN
    DROP TABLE IF EXISTS session;
    CREATE TABLE session (id integer, dev_addr bytea, key key_vault.wrapped_key, plain bytea, payload bytea);
    INSERT INTO session
    SELECT n, '\x260B1234', k, substr(sha512(n::text::bytea), 1, 42), key_vault.lorawan_encrypt_uplink(k, '\x260B1234', n, '\x0167010e02684a')
      FROM (SELECT n, key_vault.generate_key('bench') FROM generate_series(1, rows) n OFFSET 0) s (n, k);
    CREATE UNIQUE INDEX ON session (id);
END
$$;
