-- What bench/labels measures, in milliseconds, but for wrapping: that is in microseconds.
CREATE EXTENSION key_vault;
CREATE TABLE device (n integer, label text, key key_vault.wrapped_key);
INSERT INTO device SELECT n, 'label ' || n FROM generate_series(1, :labels) n;
SELECT key_vault.kek_create(label) FROM device \g /dev/null
UPDATE device SET key = key_vault.generate_key(label);
VACUUM FULL ANALYZE device;
VACUUM FULL ANALYZE key_vault.kek;

CREATE TABLE figure (open integer, changed integer, round integer, milliseconds numeric);

-- An UPDATE that changes nothing of a KEK still sends a message; kek_suspend() and kek_resume() are changes.
CREATE PROCEDURE measure(open integer, changed integer, rounds integer) LANGUAGE plpgsql AS $$
DECLARE
    other key_vault.wrapped_key := (SELECT key FROM device WHERE n = 1);
    began timestamptz;
    took interval;
BEGIN
    FOR round IN 1 .. rounds LOOP
        PERFORM key_vault.unwrap(key) FROM device WHERE n <= open;
        COMMIT;
        IF changed = 1 THEN
            UPDATE key_vault.kek SET state_changed_at = now() WHERE label = 'label ' || open;
        ELSE
            PERFORM key_vault.kek_suspend(label, 1) FROM device WHERE n > open - changed AND n <= open;
        END IF;
        began := clock_timestamp();
        PERFORM key_vault.unwrap(other);
        took := clock_timestamp() - began;
        ROLLBACK;
        INSERT INTO figure VALUES (open, changed, round, 1000 * extract(epoch FROM took));
    END LOOP;
END
$$;

CREATE FUNCTION wrapping(open integer) RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE
    began timestamptz;
BEGIN
    PERFORM key_vault.unwrap(key) FROM device WHERE n <= open;
    began := clock_timestamp();
    FOR i IN 1 .. 10000 LOOP
        PERFORM key_vault.wrap('\x000102030405060708090a0b0c0d0e0f', 'label 1');
    END LOOP;
    RETURN 100 * extract(epoch FROM clock_timestamp() - began);
END
$$;

-- Each number of open KEKs has a session of its own, since a KEK stays open.
CREATE TABLE wrapped (open integer, microseconds numeric);
\connect
CALL measure(2, 1, :rounds);
INSERT INTO wrapped SELECT 2, wrapping(2) FROM generate_series(1, :rounds);
\connect
CALL measure(100, 1, :rounds);
INSERT INTO wrapped SELECT 100, wrapping(100) FROM generate_series(1, :rounds);
\connect
CALL measure(:labels / 2, 1, :rounds);
CALL measure(:labels / 2, (:labels) * 3 / 10, :rounds);
INSERT INTO wrapped SELECT :labels / 2, wrapping(:labels / 2) FROM generate_series(1, :rounds);
\connect
CALL measure(:labels, 1, :rounds);
CALL measure(:labels, (:labels) * 3 / 10, :rounds);
INSERT INTO wrapped SELECT :labels, wrapping(:labels) FROM generate_series(1, :rounds);

\pset border 2
SELECT open AS "open KEKs",
       round((percentile_cont(0.5) WITHIN GROUP (ORDER BY milliseconds) FILTER (WHERE changed = 1))::numeric, 3) AS "ms after 1 change",
       round((percentile_cont(0.5) WITHIN GROUP (ORDER BY milliseconds) FILTER (WHERE changed > 1))::numeric, 3) AS "ms after many changes",
       (SELECT round((percentile_cont(0.5) WITHIN GROUP (ORDER BY microseconds))::numeric, 2) FROM wrapped w WHERE w.open = f.open)
           AS "us to wrap a key"
  FROM figure f GROUP BY open ORDER BY open;
