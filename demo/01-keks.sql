-- Two KEKs: the one that the join server transports session keys with, and the
-- one that they are stored under.

CREATE EXTENSION key_vault;

-- The join server's KEK, known to both sides.  The server reads it from a file,
-- so that it stands in no SQL text, and so in no log.
SELECT key_vault.kek_import('app1-kek', decode(pg_read_file(:'kek_file'), 'hex'))
    AS version \gset

-- Our own, random; nobody ever sees it.
SELECT key_vault.kek_create('app1-at-rest') AS version \gset

SELECT label, version, state, key_bits FROM key_vault.keks;

-- For the demo's checks: passes a value through, or stops with an error.
CREATE FUNCTION expect(actual anycompatible, expected anycompatible)
RETURNS anycompatible LANGUAGE plpgsql AS $$
BEGIN
    IF actual IS DISTINCT FROM expected THEN
        RAISE EXCEPTION 'demo: expected %, got %', expected, coalesce(actual::text, 'NULL');
    END IF;
    RETURN actual;
END
$$;
