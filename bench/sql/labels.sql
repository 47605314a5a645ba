-- The KEKs of the table of labels: :labels of them, and a key under each.
CREATE TABLE device (n integer, label text, key key_vault.wrapped_key);
INSERT INTO device SELECT n, 'label ' || n FROM generate_series(1, :labels) n;
SELECT key_vault.kek_create(label) FROM device \g /dev/null
UPDATE device SET key = key_vault.generate_key(label);
VACUUM FULL ANALYZE device;
VACUUM FULL ANALYZE key_vault.kek;

CREATE TABLE figure (open integer, what text, wall float8, processor float8);

-- In a session that has so many KEKs open, the first look-up after so many have changed.  An UPDATE that changes
-- nothing of a KEK still sends a message; kek_suspend() is a change.
CREATE PROCEDURE look_up(open integer, changed integer, what text) LANGUAGE plpgsql AS $$
DECLARE
    other key_vault.wrapped_key := (SELECT key FROM device WHERE n = 1);
    wall bigint;
    processor bigint;
BEGIN
    PERFORM key_vault.unwrap(key) FROM device WHERE n <= open;
    COMMIT;
    IF changed = 1 THEN
        UPDATE key_vault.kek SET state_changed_at = now() WHERE label = 'label ' || open;
    ELSE
        PERFORM key_vault.kek_suspend(label, 1) FROM device WHERE n > open - changed AND n <= open;
    END IF;
    wall := wall_time();
    processor := processor_time();
    PERFORM key_vault.unwrap(other);
    wall := wall_time() - wall;
    processor := processor_time() - processor;
    ROLLBACK;
    INSERT INTO figure VALUES (open, what, wall, processor);
END
$$;

CREATE PROCEDURE wrap(open integer, what text) LANGUAGE plpgsql AS $$
DECLARE
    wall bigint := wall_time();
    processor bigint := processor_time();
BEGIN
    FOR i IN 1 .. 10000 LOOP
        PERFORM key_vault.wrap('\x000102030405060708090a0b0c0d0e0f', 'label 1');
    END LOOP;
    INSERT INTO figure VALUES (open, what, (wall_time() - wall) / 1e4, (processor_time() - processor) / 1e4);
END
$$;
