-- Two KEKs: the join server transports session keys under the first one, and this
-- server stores them under the second one.

CREATE EXTENSION key_vault;

-- The join server's KEK, which both sides know.  This server reads it from a file,
-- so that it is in no SQL text, and so in no log.
SELECT key_vault.kek_import('app1-kek', decode(pg_read_file(:'kek_file'), 'hex'))
    AS version \gset

-- The KEK for stored keys is random, and nobody ever sees it.
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
