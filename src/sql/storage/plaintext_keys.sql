-- Plaintext keys in messages are wrapped before anything else is done with the message.

CREATE OR REPLACE FUNCTION key_vault_internal.wrap_text(bytes bytea, label text)
RETURNS key_vault.wrapped_key AS 'MODULE_PATHNAME', 'key_vault_wrap_text'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20;
COMMENT ON FUNCTION key_vault_internal.wrap_text(bytea, text) IS
'as key_vault.wrap(), for pieces of text, which may consist of hexadecimal digits; takes the privilege wrap';

CREATE OR REPLACE FUNCTION key_vault_internal.storage_seal(line text, label text)
RETURNS key_vault.wrapped_key[] LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
SELECT coalesce(array_agg(key_vault_internal.wrap_text(substr(b.bytes, i, 4096), label) ORDER BY i), '{}')
  FROM (SELECT convert_to(line, 'UTF8') AS bytes) b, generate_series(1, octet_length(b.bytes), 4096) i
$$;
COMMENT ON FUNCTION key_vault_internal.storage_seal(text, text) IS
'a text, wrapped in pieces of up to 4096 bytes of UTF-8: what may have a key in it that cannot be told apart; takes the privilege wrap';

CREATE OR REPLACE FUNCTION key_vault_internal.storage_wrap_keys(INOUT message jsonb, label text,
                                                                INOUT keys key_vault.wrapped_key[] DEFAULT '{}',
                                                                in_key boolean DEFAULT false)
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    names text[] := '{}'::text[];
    results jsonb[] := '{}'::jsonb[];
    envelope jsonb;
    has_label boolean;
    pieces key_vault.wrapped_key[];
    size integer;
    plain bytea;
    one record;
BEGIN
    IF jsonb_typeof(message) NOT IN ('object', 'array') THEN
        RETURN;
    END IF;
    size := regexp_count(message::text, 'key": ', 1, 'i');
    IF size > 1000 THEN
        RAISE EXCEPTION 'message has more than 1000 keys' USING ERRCODE = 'program_limit_exceeded';
    ELSIF in_key THEN
        NULL;
    -- Nearly always there is no key, or one envelope and nothing else of that name.
    ELSIF size = 0 THEN
        RETURN;
    ELSIF size = 2 THEN
        envelope := coalesce(message #> '{uplink_message,app_s_key}', message #> '{join_accept,app_s_key}',
                             message #> '{joinServerContext,appSKey}');
        IF coalesce(envelope ->> 'kek_label', envelope ->> 'kekLabel', '') <> ''
           AND coalesce(envelope ->> 'encrypted_key', envelope ->> 'aesKey')
               ~ '^(?![0-9A-Fa-f]+$)([0-9A-Za-z+/]{32})+$'
           AND envelope - '{kek_label,kekLabel,encrypted_key,aesKey}'::text[] = '{}'
        THEN
            RETURN;         -- wrapped: 24 bytes or a multiple
        END IF;
    END IF;

    IF jsonb_typeof(message) = 'array' THEN
        FOR one IN SELECT value FROM jsonb_array_elements(message) LOOP
            IF jsonb_typeof(one.value) IN ('object', 'array') THEN
                SELECT w.message, w.keys INTO one.value, keys
                  FROM key_vault_internal.storage_wrap_keys(one.value, label, keys) w;
            END IF;
            results := results || one.value;
        END LOOP;
        message := to_jsonb(results);
        RETURN;
    END IF;

    has_label := coalesce(message ->> 'kek_label', message ->> 'kekLabel', '') <> '';
    FOR one IN SELECT key AS name, value FROM jsonb_each(message) LOOP
        plain := NULL;
        IF jsonb_typeof(one.value) = 'object' THEN
            SELECT w.message, w.keys INTO one.value, keys
              FROM key_vault_internal.storage_wrap_keys(one.value, label, keys, in_key OR one.name ~* 'key$') w;
        ELSIF one.name !~* 'key$' AND (NOT in_key OR one.name ~* 'label$') THEN
            IF jsonb_typeof(one.value) = 'array' THEN
                SELECT w.message, w.keys INTO one.value, keys
                  FROM key_vault_internal.storage_wrap_keys(one.value, label, keys) w;
            END IF;
        ELSIF one.value NOT IN ('null', 'true', 'false', '""') THEN
            IF jsonb_typeof(one.value) = 'string' THEN
                plain := CASE
                    WHEN one.name = 'key' AND one.value #>> '{}' ~ '^[0-9A-Fa-f]{32}$'
                        THEN decode(one.value #>> '{}', 'hex')
                    WHEN one.name IN ('encrypted_key', 'aesKey') AND length(one.value #>> '{}') % 4 = 0
                         AND one.value #>> '{}' ~ '^[0-9A-Za-z+/]+={0,2}$'
                        THEN decode(one.value #>> '{}', 'base64') END;
            END IF;
            size := octet_length(plain);
            -- All in hexadecimal digits it is hardly base64, but a key in another form.
            IF has_label AND one.name <> 'key' AND size >= 24 AND size % 8 = 0
               AND one.value #>> '{}' !~ '^[0-9A-Fa-f]+$'
            THEN
                NULL;           -- wrapped already
            ELSIF size = 16 AND NOT (has_label AND one.name <> 'key') THEN
                keys := keys || key_vault.import_envelope('', plain, label);
                one.name := 'wrapped_key';
                one.value := to_jsonb(cardinality(keys));
            ELSE
                pieces := key_vault_internal.storage_seal(one.value::text, label);
                SELECT jsonb_build_object('sealed', jsonb_agg(cardinality(keys) + i)) INTO one.value
                  FROM generate_subscripts(pieces, 1) i;
                keys := keys || pieces;
            END IF;
        END IF;
        names := names || one.name;
        results := results || one.value;
    END LOOP;
    SELECT coalesce(jsonb_object_agg(r.name, r.value), '{}') INTO message
      FROM unnest(names, results) r (name, value);
END
$$;
COMMENT ON FUNCTION key_vault_internal.storage_wrap_keys(jsonb, text, key_vault.wrapped_key[], boolean) IS
'the message with the number of a wrapped key in place of each plaintext key, and those keys: the key of an envelope without a label, and every value whose name ends in "key", of an object all but labels; takes the privilege wrap where there is one';
