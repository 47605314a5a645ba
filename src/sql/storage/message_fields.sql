-- Fields of a network server's message: the JSON value of a field as bytes, integer, time or object.  What is
-- wrong with a value is an error that names the field.
--
-- No string literal here has a backslash in it (but E'' ones): such a literal would mean something else in a
-- session whose standard_conforming_strings is off.

CREATE OR REPLACE FUNCTION key_vault_internal.storage_bytes(value jsonb, field text, encoding text, size integer DEFAULT NULL,
                                                    maximum integer DEFAULT NULL)
RETURNS bytea LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    string text := value #>> '{}';
    bytes bytea;
BEGIN
    IF coalesce(string, '') = '' THEN
        RETURN NULL;
    ELSIF jsonb_typeof(value) <> 'string' THEN
        RAISE EXCEPTION '% is not a string', field USING ERRCODE = 'invalid_parameter_value';
    ELSIF length(string) % 2 <> 0
       OR (CASE encoding WHEN 'hex' THEN string !~ '^[0-9A-Fa-f]+$'
                         ELSE string !~ '^[0-9A-Za-z+/]+={0,2}$' OR length(string) % 4 <> 0 END)
    THEN
        RAISE EXCEPTION '% is not %', field, CASE encoding WHEN 'hex' THEN 'hexadecimal' ELSE encoding END
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    bytes := decode(string, encoding);
    IF octet_length(bytes) <> size THEN
        RAISE EXCEPTION '% has % bytes, not %', field, octet_length(bytes), size
            USING ERRCODE = 'invalid_parameter_value';
    ELSIF octet_length(bytes) > maximum THEN
        RAISE EXCEPTION '% has % bytes, more than %', field, octet_length(bytes), maximum
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN bytes;
END
$$;
COMMENT ON FUNCTION key_vault_internal.storage_bytes(jsonb, text, text, integer, integer) IS
'bytes of a JSON string in hex or base64; NULL where it is missing or empty; for storage_events()';

CREATE OR REPLACE FUNCTION key_vault_internal.storage_integer(value jsonb, field text, maximum bigint)
RETURNS bigint LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    string text := value #>> '{}';
BEGIN
    IF string IS NULL THEN
        RETURN 0::bigint;
    ELSIF string !~ '^[0-9]{1,18}$' OR string::bigint > maximum THEN
        RAISE EXCEPTION '% is not an integer from 0 to %', field, maximum
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN string::bigint;
END
$$;
COMMENT ON FUNCTION key_vault_internal.storage_integer(jsonb, text, bigint) IS
'a JSON number from 0 to the maximum; 0 where it is missing, as The Things Stack leaves out what is zero; for storage_events()';

-- Not all that PostgreSQL takes for a time, such as "infinity" or "today".
CREATE OR REPLACE FUNCTION key_vault_internal.storage_time(value jsonb, field text)
RETURNS timestamptz LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    string text := value #>> '{}';
BEGIN
    IF coalesce(string, '') = '' THEN
        RETURN NULL;
    ELSIF string !~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$' THEN
        RAISE EXCEPTION '% is not a time as in RFC 3339', field
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN string::timestamptz;
END
$$;
COMMENT ON FUNCTION key_vault_internal.storage_time(jsonb, text) IS
'a time as in RFC 3339, with its zone; NULL where it is missing; for storage_events()';

CREATE OR REPLACE FUNCTION key_vault_internal.storage_object(value jsonb, field text)
RETURNS jsonb LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF jsonb_typeof(value) <> 'object' THEN
        RAISE EXCEPTION '% is not an object', field USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN value;
END
$$;
COMMENT ON FUNCTION key_vault_internal.storage_object(jsonb, text) IS
'a JSON object; NULL where it is missing; for storage_events()';

CREATE OR REPLACE FUNCTION key_vault_internal.storage_require(missing boolean, field text)
RETURNS void LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF missing THEN
        RAISE EXCEPTION '% is missing', field USING ERRCODE = 'invalid_parameter_value';
    END IF;
END
$$;
COMMENT ON FUNCTION key_vault_internal.storage_require(boolean, text) IS
'error that a field is missing; for storage_events()';
