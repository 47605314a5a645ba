-- Storages and their versions: lists the storages, says what each needs, and brings one up to date.
--
-- ALTER EXTENSION UPDATE updates the code that all storages share.  The tables, views and functions of a storage belong
-- to its owner, who updates them by update_storage().

CREATE OR REPLACE FUNCTION key_vault_internal.storage_version()
RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
SELECT '1.1'
$$;
COMMENT ON FUNCTION key_vault_internal.storage_version() IS
'version of the tables, views and functions that create_storage() makes: the version of the extension that changed them last';

-- Members of a storage's owner, and superusers, may do all that the owner may do.  So they do not count as other roles.
-- pg_database_owner, the role that owns the schema public, counts as the role that owns the database.
CREATE OR REPLACE FUNCTION key_vault_internal.storage_is_other(role oid, owner oid)
RETURNS boolean LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp AS $$
SELECT role = 0
       OR NOT pg_has_role(CASE role WHEN 'pg_database_owner'::regrole THEN
                              (SELECT d.datdba FROM pg_database d WHERE d.datname = current_database())
                              ELSE role END, owner, 'MEMBER')
$$;
COMMENT ON FUNCTION key_vault_internal.storage_is_other(oid, oid) IS
'whether a role (0: PUBLIC) is neither a storage''s owner, nor a member of it, nor a superuser';

CREATE OR REPLACE FUNCTION key_vault_internal.storage_other_creators(schema oid, owner oid)
RETURNS text LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp AS $$
SELECT string_agg(CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END, ', '
                  ORDER BY a.grantee = 0, pg_get_userbyid(a.grantee))
  FROM pg_namespace n, aclexplode(n.nspacl) a
 WHERE n.oid = schema AND a.privilege_type = 'CREATE' AND a.grantee <> n.nspowner
   AND key_vault_internal.storage_is_other(a.grantee, owner)
$$;
COMMENT ON FUNCTION key_vault_internal.storage_other_creators(oid, oid) IS
'the roles that were granted CREATE on a schema, except the owner of its storage, the owner''s members and superusers; NULL if there are none';

CREATE OR REPLACE FUNCTION key_vault_internal.storage_check_schema(schema name)
RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    namespace oid := to_regnamespace(quote_ident(schema))::oid;
    caller oid := (SELECT r.oid FROM pg_roles r WHERE r.rolname = current_user);
    owner name;
    others text;
BEGIN
    IF schema = '$user' THEN
        RAISE EXCEPTION 'schema of a storage must not be "$user"'
            USING ERRCODE = 'invalid_name',
                  DETAIL = 'In search_path, "$user" means the schema that has the name of the current role.';
    END IF;
    SELECT pg_get_userbyid(n.nspowner) INTO owner
      FROM pg_namespace n WHERE n.oid = namespace AND key_vault_internal.storage_is_other(n.nspowner, caller);
    IF FOUND THEN
        RAISE EXCEPTION 'schema "%" belongs to role "%"', schema, owner
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = 'The functions of a storage look up names in its schema, so what another role creates there could run with the rights of whoever calls the functions.',
                  HINT = format('Make the storage as that role (SET ROLE %I), or make yours the owner: ALTER SCHEMA %I OWNER TO %I.', owner, schema, current_user);
    END IF;
    others := key_vault_internal.storage_other_creators(namespace, caller);
    IF others IS NOT NULL THEN
        RAISE EXCEPTION 'other roles may create objects in schema "%"', schema
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = format('They are: %s. The functions of a storage look up names in its schema, so what these roles create there could run with the rights of whoever calls the functions.', others),
                  HINT = format('Take the right from them: REVOKE CREATE ON SCHEMA %I FROM %s.', schema, others);
    END IF;
    SELECT string_agg(o.object, ', ' ORDER BY o.object) INTO others
      FROM (SELECT p.oid::regprocedure::text, p.proowner FROM pg_proc p WHERE p.pronamespace = namespace
             UNION ALL
            SELECT p.oid::regoperator::text, p.oprowner FROM pg_operator p WHERE p.oprnamespace = namespace) o (object, owner)
     WHERE key_vault_internal.storage_is_other(o.owner, caller);
    IF others IS NOT NULL THEN
        RAISE EXCEPTION 'schema "%" has functions or operators of other roles', schema
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = format('They are: %s. The functions of a storage look up names in its schema, so they could run with the rights of whoever calls the functions.', others),
                  HINT = format('Drop them, move them to another schema, or make %I their owner.', current_user);
    END IF;
END
$$;
COMMENT ON FUNCTION key_vault_internal.storage_check_schema(name) IS
'raises an error if roles other than the current one, its members and superusers may create objects in a schema that is to have a storage, or own functions or operators in it';

CREATE OR REPLACE FUNCTION key_vault_internal.storage_setting(settings regclass, name text)
RETURNS text AS 'MODULE_PATHNAME', 'key_vault_storage_setting'
LANGUAGE C STABLE STRICT;
COMMENT ON FUNCTION key_vault_internal.storage_setting(regclass, text) IS
'the value of a column of type text in a table storage_settings, read without running code of the table''s owner; NULL if there is no such column, or if the current role may not read it';

CREATE OR REPLACE FUNCTION key_vault_internal.storage_check_relations(schema name)
RETURNS void LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    storage_owner oid;
    others text;
BEGIN
    SELECT c.relowner INTO storage_owner FROM pg_class c WHERE c.oid = to_regclass(format('%I.storage_settings', schema));
    IF NOT FOUND THEN
        RAISE EXCEPTION 'schema "%" is no storage', schema
            USING ERRCODE = 'undefined_object', HINT = 'Make one with CALL key_vault.create_storage().';
    END IF;
    WITH RECURSIVE relation (oid) AS (
        SELECT c.oid FROM pg_class c
         WHERE c.relnamespace = to_regnamespace(quote_ident(schema))
           AND c.relname IN ('storage_settings', 'application', 'device', 'session', 'uplink', 'downlink', 'inbox', 'rejected',
                             'rejected_key', 'uplink_decrypted', 'uplink_decoded', 'device_latest', 'uplink_default', 'downlink_default',
                             'uplink_template', 'downlink_template')
        UNION
        SELECT i.inhrelid FROM pg_inherits i JOIN relation r ON r.oid = i.inhparent
    )
    SELECT string_agg(format('%s (%s)', c.oid::regclass, quote_ident(pg_get_userbyid(c.relowner))), ', ' ORDER BY c.oid::regclass::text)
      INTO others
      FROM relation r JOIN pg_class c ON c.oid = r.oid
     WHERE c.relowner <> storage_owner;
    IF others IS NOT NULL THEN
        RAISE EXCEPTION 'storage "%" has tables or views of other roles', schema
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = format('They are: %s. The storage belongs to role "%s", as whom triggers on them would run.', others, pg_get_userbyid(storage_owner)),
                  HINT = format('Make that role their owner: ALTER TABLE ... OWNER TO %I.', pg_get_userbyid(storage_owner));
    END IF;
END
$$;
COMMENT ON FUNCTION key_vault_internal.storage_check_relations(name) IS
'raises an error if a schema has no storage, or if tables, partitions or views of the storage belong to another role than its table storage_settings; the error names them';

CREATE OR REPLACE FUNCTION key_vault_internal.storage_check(schema name)
RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    settings regclass;
    owner name;
    version text;
BEGIN
    IF schema IS NULL THEN
        RAISE EXCEPTION 'schema of a storage must not be NULL' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    PERFORM key_vault_internal.storage_check_relations(schema);
    settings := format('%I.storage_settings', schema)::regclass;
    SELECT pg_get_userbyid(c.relowner) INTO owner FROM pg_class c WHERE c.oid = settings;
    IF owner <> current_user THEN
        RAISE EXCEPTION 'must be owner of storage "%"', schema
            USING ERRCODE = 'insufficient_privilege',
                  DETAIL = format('It belongs to role "%s", and so does what is made for it.', owner),
                  HINT = format('Connect as that role, or SET ROLE %I.', owner);
    END IF;
    version := key_vault_internal.storage_setting(settings, 'version');
    IF string_to_array(version, '.')::integer[]
       > string_to_array(key_vault_internal.storage_version(), '.')::integer[]
    THEN
        RAISE EXCEPTION 'storage "%" has version %, the extension knows storages of up to version %',
            schema, version, key_vault_internal.storage_version()
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Run ALTER EXTENSION key_vault UPDATE.';
    END IF;
    PERFORM key_vault_internal.storage_check_schema(schema);
END
$$;
COMMENT ON FUNCTION key_vault_internal.storage_check(name) IS
'raises an error if a schema has no storage, or one that the current role may not bring up to date';

CREATE OR REPLACE FUNCTION key_vault_internal.storage_build(partitioning text, unit text)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    -- Citus refuses statements by which tables are brought up to date.  A storage is brought up to date before it is
    -- distributed.
    IF to_regclass('session') IS NULL
       OR EXISTS (SELECT FROM key_vault_internal.relations() r WHERE r.oid = to_regclass('session'))
    THEN
        PERFORM key_vault_internal.storage_make_tables(partitioning, unit);
    ELSIF (SELECT s.version FROM storage_settings s) <> key_vault_internal.storage_version() THEN
        RAISE EXCEPTION 'tables of storage "%" are distributed by Citus, and cannot be brought up to date', current_schema()
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Make them local tables with undistribute_table(), and distribute them afterwards.';
    END IF;
    PERFORM key_vault_internal.storage_make_views();
    PERFORM key_vault_internal.storage_make_functions();
    -- In version 1.0 each storage had a copy of all the code.
    IF (SELECT s.version FROM storage_settings s) = '1.0' THEN
        DROP FUNCTION IF EXISTS
            put_session(key_vault.storage_event, key_vault.wrapped_key, text),
            kek_label(jsonb),
            store(jsonb, key_vault.wrapped_key[]),
            store_or_reject(jsonb, key_vault.wrapped_key[], bytea, text),
            reject_line(text, text);
    END IF;
    UPDATE storage_settings s SET version = key_vault_internal.storage_version()
     WHERE s.version <> key_vault_internal.storage_version();
END
$$;
COMMENT ON FUNCTION key_vault_internal.storage_build(text, text) IS
'makes the tables, views and functions of a storage of this version in the first schema of search_path, and drops functions that only older versions have';

-- The storage's functions get the search_path as it is written here; storages() compares it with this form.
CREATE OR REPLACE FUNCTION key_vault_internal.storage_bring_up_to_date(schema name, label text, keep boolean)
RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET quote_all_identifiers = off AS $$
DECLARE
    settings regclass;
BEGIN
    PERFORM key_vault_internal.storage_check_relations(schema);
    settings := format('%I.storage_settings', schema)::regclass;
    PERFORM set_config('search_path', format('%I, pg_temp', schema), true);
    PERFORM key_vault_internal.storage_build(coalesce(key_vault_internal.storage_setting(settings, 'partitioning'), 'native'),
                                             key_vault_internal.storage_setting(settings, 'partition_interval'));
    IF label IS NOT NULL OR keep IS NOT NULL THEN
        PERFORM key_vault_internal.storage_set(label, NULL, keep, NULL);
    END IF;
END
$$;
COMMENT ON FUNCTION key_vault_internal.storage_bring_up_to_date(name, text, boolean) IS
'does the work of storage_update(), with the rights of the current role';

CREATE OR REPLACE FUNCTION key_vault_internal.storage_update(schema name, label text, keep boolean)
RETURNS void AS 'MODULE_PATHNAME', 'key_vault_storage_update'
LANGUAGE C;
COMMENT ON FUNCTION key_vault_internal.storage_update(name, text, boolean) IS
'brings a storage up to date and changes its settings (NULL leaves one as it is); runs as the storage''s owner, since triggers on its tables are the owner''s code';

CREATE OR REPLACE FUNCTION key_vault.storages(OUT schema name, OUT owner name, OUT version text, OUT to_do text)
RETURNS SETOF record LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET quote_all_identifiers = off AS $$
#variable_conflict use_column
DECLARE
    one record;
    others text;
    numbers integer[];
    known integer[] := string_to_array(key_vault_internal.storage_version(), '.')::integer[];
BEGIN
    FOR one IN
        SELECT s.oid::regclass AS settings, s.relnamespace, s.relowner, n.nspname,
               key_vault_internal.storage_is_other(n.nspowner, s.relowner) AS schema_is_others,
               EXISTS (SELECT FROM pg_attribute a
                        WHERE a.attrelid = s.oid AND a.attname = 'version' AND NOT a.attisdropped) AS has_version,
               has_schema_privilege(s.relnamespace, 'USAGE') AS is_readable,
               (SELECT p.proconfig FROM pg_proc p
                 WHERE p.pronamespace = s.relnamespace AND p.proname = 'replay_rejected' AND p.pronargs = 0) AS proconfig
          FROM pg_class s JOIN pg_namespace n ON n.oid = s.relnamespace
         WHERE s.relname = 'storage_settings' AND s.relkind = 'r'
           AND EXISTS (SELECT FROM pg_class k JOIN pg_attribute a ON a.attrelid = k.oid
                        WHERE k.relnamespace = s.relnamespace AND k.relname = 'session' AND a.attname = 'app_s_key'
                          AND a.atttypid = 'key_vault.wrapped_key'::regtype)
         ORDER BY n.nspname
    LOOP
        schema := one.nspname;
        owner := pg_get_userbyid(one.relowner);
        version := NULL;
        to_do := NULL;
        IF NOT one.has_version THEN
            version := '1.0';
        ELSIF one.is_readable THEN
            version := key_vault_internal.storage_setting(one.settings, 'version');
        END IF;
        -- The version is what another role has written there, so it may be any text.
        numbers := CASE WHEN version ~ '^[0-9]{1,4}([.][0-9]{1,4}){0,3}$' THEN string_to_array(version, '.')::integer[] END;
        IF version IS NOT NULL AND (numbers IS NULL OR numbers < known)
           OR one.proconfig IS DISTINCT FROM ARRAY[format('search_path=%I, pg_temp', schema)] AND version IS NOT NULL
        THEN
            to_do := format('CALL key_vault.update_storage(%L);', schema);
        ELSIF numbers > known THEN
            to_do := 'ALTER EXTENSION key_vault UPDATE;';
        END IF;
        others := key_vault_internal.storage_other_creators(one.relnamespace, one.relowner);
        IF others IS NOT NULL THEN
            to_do := concat_ws(' ', format('REVOKE CREATE ON SCHEMA %I FROM %s;', schema, others), to_do);
        END IF;
        IF one.schema_is_others THEN
            to_do := concat_ws(' ', format('ALTER SCHEMA %I OWNER TO %I;', schema, owner), to_do);
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION key_vault.storages() IS
'the storages of this database: schema, owner, version (NULL if the caller may not read storage_settings), and to_do: SQL for the owner to run, NULL if there is nothing to do';

CREATE OR REPLACE PROCEDURE key_vault.update_storage(schema name)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning AS $$
BEGIN
    PERFORM key_vault_internal.storage_check(schema);
    PERFORM key_vault_internal.storage_update(schema, NULL, NULL);
END
$$;
COMMENT ON PROCEDURE key_vault.update_storage(name) IS
'brings the tables, views and functions of a storage to the version of the extension; rows, settings and grants stay. For the storage''s owner, after ALTER EXTENSION key_vault UPDATE; a second call changes nothing';
