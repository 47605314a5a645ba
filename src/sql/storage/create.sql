-- Makes a storage.

CREATE OR REPLACE FUNCTION key_vault_internal.storage_set(label text, interval_name text, keep boolean,
                                                          partitioning text)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE storage_settings s
       SET kek_label = coalesce(label, s.kek_label), keep_messages = coalesce(keep, s.keep_messages);
    IF NOT FOUND THEN
        INSERT INTO storage_settings (kek_label, partition_interval, keep_messages, version, partitioning)
        VALUES (label, interval_name, keep, key_vault_internal.storage_version(), partitioning);
    END IF;
END
$$;
COMMENT ON FUNCTION key_vault_internal.storage_set(text, text, boolean, text) IS
'changes the settings of the storage in the first schema of search_path, or makes them; NULL leaves a setting as it is; settings that are there keep interval and partitioning';

CREATE OR REPLACE PROCEDURE key_vault.create_storage(schema name, kek_label text DEFAULT NULL,
                                                     partition_interval text DEFAULT NULL,
                                                     keep_messages boolean DEFAULT NULL,
                                                     partitioning text DEFAULT NULL)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET quote_all_identifiers = off
SET client_min_messages = warning AS $$
#variable_conflict use_variable
DECLARE
    is_new boolean;
    settings regclass;
    old_interval text;
    old_partitioning text;
    taken text;
BEGIN
    IF schema IS NULL THEN
        RAISE EXCEPTION 'schema of a storage must not be NULL' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    is_new := to_regclass(format('%I.storage_settings', schema)) IS NULL;
    IF is_new THEN
        SELECT string_agg(quote_ident(o.name), ', ' ORDER BY o.name) INTO taken
          FROM (SELECT relname, relnamespace FROM pg_class
                 WHERE relname IN ('application', 'device', 'session', 'uplink', 'downlink', 'inbox', 'rejected',
                                   'rejected_key', 'uplink_decrypted', 'uplink_decoded', 'device_latest', 'uplink_default', 'downlink_default',
                                   'uplink_template', 'downlink_template')
                UNION
                SELECT proname, pronamespace FROM pg_proc
                 WHERE proname IN ('ingest', 'ingest_line', 'replay_rejected')) o (name, namespace)
         WHERE o.namespace = to_regnamespace(quote_ident(schema));
        IF taken IS NOT NULL THEN
            RAISE EXCEPTION 'schema "%" already has objects with names that a storage needs', schema
                USING ERRCODE = 'duplicate_object',
                      DETAIL = format('They are %s.', taken),
                      HINT = 'Choose another schema.';
        END IF;
        partition_interval := coalesce(partition_interval, 'day');
        partitioning := coalesce(partitioning, 'native');
    ELSE
        PERFORM key_vault_internal.storage_check(schema);
        settings := format('%I.storage_settings', schema)::regclass;
        old_interval := key_vault_internal.storage_setting(settings, 'partition_interval');
        partition_interval := coalesce(partition_interval, old_interval);
        IF partition_interval <> old_interval THEN
            RAISE EXCEPTION 'storage "%" has partitions of a % each', schema, old_interval
                USING ERRCODE = 'object_not_in_prerequisite_state',
                      DETAIL = 'The interval of a storage cannot be changed.';
        END IF;
        old_partitioning := coalesce(key_vault_internal.storage_setting(settings, 'partitioning'), 'native');
        partitioning := coalesce(partitioning, old_partitioning);
        IF partitioning <> old_partitioning THEN
            RAISE EXCEPTION 'storage "%" has partitioning "%"', schema, old_partitioning
                USING ERRCODE = 'object_not_in_prerequisite_state',
                      DETAIL = 'The partitioning of a storage cannot be changed.';
        END IF;
    END IF;
    IF partition_interval NOT IN ('day', 'week', 'month') THEN
        RAISE EXCEPTION 'invalid partition interval "%"', partition_interval
            USING ERRCODE = 'invalid_parameter_value', HINT = 'It is day, week or month.';
    END IF;
    IF partitioning NOT IN ('native', 'external', 'timescaledb', 'none') THEN
        RAISE EXCEPTION 'invalid partitioning "%"', partitioning
            USING ERRCODE = 'invalid_parameter_value', HINT = 'It is native, external, timescaledb or none.';
    END IF;
    IF is_new THEN
        -- If the schema exists, the caller does not need the privilege to create one.
        IF to_regnamespace(quote_ident(schema)) IS NULL THEN
            EXECUTE format('CREATE SCHEMA %I', schema);
        END IF;
        PERFORM key_vault_internal.storage_check_schema(schema);
        PERFORM set_config('search_path', format('%I, pg_temp', schema), true);
        PERFORM key_vault_internal.storage_build(partitioning, partition_interval);
        PERFORM key_vault_internal.storage_set(coalesce(kek_label, schema::text), partition_interval,
                                               coalesce(keep_messages, false), partitioning);
    ELSE
        PERFORM key_vault_internal.storage_update(schema, kek_label, keep_messages);
    END IF;
    CALL key_vault.maintain_storage(schema);
END
$$;
COMMENT ON PROCEDURE key_vault.create_storage(name, text, text, boolean, text) IS
'makes, in a schema, ordinary tables, views and functions that take, keep and decrypt the messages of The Things Stack, ChirpStack and other network servers, owned by the caller; schema: a new one, or one in which nobody else may create objects; kek_label: the KEK label under which keys are stored, by default the name of the schema; partition_interval: day, week or month (UTC); keep_messages: also keep each message whole; partitioning: native (the default: by maintain_storage), external (uplink and downlink are partitioned by stored_at, and another tool such as pg_partman makes the partitions), timescaledb (they are hypertables by stored_at, whose chunks maintain_storage makes and drops; a month has 30 days there) or none. Called again by the owner, it does what update_storage() does; NULL leaves a setting as it is';
