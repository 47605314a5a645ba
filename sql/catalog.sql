--
-- What the extension puts into the catalog.
--
\pset format unaligned
\pset tuples_only
\pset null (null)

-- All is in its own schemas, and belongs to it.
SELECT extversion, extrelocatable FROM pg_extension WHERE extname = 'key_vault';
SELECT c.oid::regclass FROM pg_class c WHERE relnamespace = 'key_vault'::regnamespace AND relkind <> 'i'
   AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
   AND relkind <> 'c';
SELECT relname, relkind FROM pg_class WHERE relnamespace = 'key_vault'::regnamespace AND relkind <> 'i' ORDER BY relname COLLATE "C";

-- Each thing has a comment.
SELECT oid::regprocedure FROM pg_proc p WHERE pronamespace IN ('key_vault'::regnamespace, 'key_vault_internal'::regnamespace)
   AND obj_description(oid, 'pg_proc') IS NULL ORDER BY 1;
SELECT oid::regclass FROM pg_class WHERE relnamespace = 'key_vault'::regnamespace AND relkind IN ('r', 'v') AND obj_description(oid, 'pg_class') IS NULL;
SELECT t.oid::regtype FROM pg_type t LEFT JOIN pg_class c ON c.oid = t.typrelid
 WHERE typnamespace = 'key_vault'::regnamespace AND typelem = 0 AND (typrelid = 0 OR relkind = 'c') AND obj_description(t.oid, 'pg_type') IS NULL;

SELECT n.oid::regnamespace FROM pg_namespace n WHERE nspname LIKE 'key\_vault%' AND obj_description(oid, 'pg_namespace') IS NULL;
SELECT oprname FROM pg_operator o WHERE oprleft = 'key_vault.wrapped_key'::regtype AND obj_description(oid, 'pg_operator') IS NULL;
SELECT opcname FROM pg_opclass WHERE opcintype = 'key_vault.wrapped_key'::regtype AND (obj_description(oid, 'pg_opclass') IS NULL OR obj_description(opcfamily, 'pg_opfamily') IS NULL);
-- So has each column of tables, views and row types; storage_event is for storages alone.
SELECT attrelid::regclass, attname FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid
 WHERE relnamespace = 'key_vault'::regnamespace AND relkind IN ('r', 'v', 'c') AND relname <> 'storage_event' AND attnum > 0 AND col_description(attrelid, attnum) IS NULL ORDER BY 1, attnum;
-- In the other schema, which is not for users, there are functions and types alone.
SELECT DISTINCT d.classid::regclass::text FROM pg_depend d WHERE d.refclassid = 'pg_namespace'::regclass AND d.refobjid = 'key_vault_internal'::regnamespace ORDER BY 1;

-- Tables and views; the C code reads the columns of tables by their numbers.
SELECT attrelid::regclass, attnum, attname, format_type(atttypid, atttypmod), attnotnull
  FROM pg_attribute WHERE attrelid IN ('key_vault.kek'::regclass, 'key_vault.kek_privilege'::regclass) AND attnum > 0 ORDER BY attrelid::regclass::text, attnum;
SELECT attrelid::regclass, attname, format_type(atttypid, atttypmod)
  FROM pg_attribute WHERE attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'key_vault'::regnamespace AND relkind = 'v') AND attnum > 0 ORDER BY attrelid::regclass::text, attnum;
-- The views show no material.
SELECT attrelid::regclass, attname FROM pg_attribute JOIN pg_class c ON c.oid = attrelid WHERE relnamespace = 'key_vault'::regnamespace AND relkind IN ('v', 'm') AND attname LIKE '%material%';
-- Rows of both tables are in a dump.
SELECT unnest(extconfig)::regclass, unnest(extcondition) FROM pg_extension WHERE extname = 'key_vault';
-- Others write to them, by themselves, in no way.
SELECT relname, grantee, privilege_type FROM (SELECT relname, (aclexplode(relacl)).* FROM pg_class WHERE relnamespace = 'key_vault'::regnamespace AND relkind IN ('r', 'v')) a
 WHERE grantee = 0 ORDER BY relname;
SELECT count(*) FROM information_schema.table_privileges WHERE table_schema = 'key_vault' AND grantee = 'PUBLIC' AND privilege_type <> 'SELECT';

-- Changes are told to every session, also by a subscription's apply worker: that
-- fires row triggers only, and only those that are ALWAYS (A); the guard is for the origin (O).
SELECT tgrelid::regclass, tgname, tgenabled, tgtype & 1 = 1 AS for_row, tgtype & 2 = 2 AS before,
       tgtype & 4 = 4 AS on_insert, tgtype & 8 = 8 AS on_delete, tgtype & 16 = 16 AS on_update, tgtype & 32 = 32 AS on_truncate, tgfoid::regprocedure
  FROM pg_trigger WHERE tgrelid IN ('key_vault.kek'::regclass, 'key_vault.kek_privilege'::regclass) AND NOT tgisinternal ORDER BY tgrelid::regclass::text, tgname;

-- The type
SELECT typlen, typbyval, typalign, typstorage, typcategory, typdelim FROM pg_type WHERE oid = 'key_vault.wrapped_key'::regtype;
SELECT amname, opcname, opcdefault FROM pg_opclass o JOIN pg_am a ON a.oid = opcmethod WHERE opcintype = 'key_vault.wrapped_key'::regtype ORDER BY amname;
SELECT oprnamespace::regnamespace, oprname, oprcode::regprocedure, oprcom::regoperator, oprnegate::regoperator, oprcanmerge, oprcanhash, oprrest, oprjoin
  FROM pg_operator WHERE oprleft = 'key_vault.wrapped_key'::regtype ORDER BY oprnamespace::regnamespace::text COLLATE "C" DESC, oprname COLLATE "C";
-- Of casts to it there are two, which only store the text form, and of casts from it none: a bytea does not become one by itself.
SELECT castsource::regtype, casttarget::regtype, castcontext, castmethod FROM pg_cast WHERE 'key_vault.wrapped_key'::regtype IN (castsource, casttarget) ORDER BY 1;

--
-- Functions: as they are declared.  volatility, parallel, strict, cost
--
SELECT p.oid::regprocedure, pg_get_function_result(p.oid), provolatile, proparallel, proisstrict, procost::integer
  FROM pg_proc p WHERE pronamespace IN ('key_vault'::regnamespace, 'key_vault_internal'::regnamespace) ORDER BY p.oid::regprocedure::text COLLATE "C";
-- And true: what writes, or uses random numbers, is volatile, and in no parallel
-- worker; what reads a key or a KEK depends on tables and settings, so it is not immutable.
SELECT p.oid::regprocedure FROM pg_proc p WHERE pronamespace IN ('key_vault'::regnamespace, 'key_vault_internal'::regnamespace)
   AND proname ~ '^kek_(create|import|rotate|suspend|resume|compromise|erase|destroy|grant|revoke)' AND (provolatile <> 'v' OR proparallel <> 'u');
SELECT p.oid::regprocedure FROM pg_proc p WHERE pronamespace IN ('key_vault'::regnamespace, 'key_vault_internal'::regnamespace)
   AND proname ~ '^(generate|cache_)' AND provolatile <> 'v';
SELECT p.oid::regprocedure FROM pg_proc p WHERE pronamespace IN ('key_vault'::regnamespace, 'key_vault_internal'::regnamespace)
   AND provolatile = 'i' AND prokind <> 'a' AND proname !~ '^(wrapped_key_|lorawan_(parse|build_|mac_commands|full_f_cnt|f_cnt))' AND proname NOT IN ('kek_id', 'algorithm', 'cayenne_lpp')
   AND proname !~ '^storage_(events|read_events|time_of_1_0|outage|version)$';
-- The current role is the caller's everywhere; what is not C looks names up in pg_catalog, but for the code
-- of storages, which looks them up in the storage's schema: those that are listed here.
SELECT p.oid::regprocedure FROM pg_proc p WHERE pronamespace IN ('key_vault'::regnamespace, 'key_vault_internal'::regnamespace) AND prosecdef;
SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_language l ON l.oid = prolang WHERE pronamespace IN ('key_vault'::regnamespace, 'key_vault_internal'::regnamespace)
   AND lanname <> 'c' AND prokind <> 'a' AND prosqlbody IS NULL AND proconfig[1] IS DISTINCT FROM 'search_path=pg_catalog, pg_temp'
 ORDER BY p.oid::regprocedure::text COLLATE "C";
-- No function takes a function's place: C functions are all of the one library.
SELECT DISTINCT probin FROM pg_proc p JOIN pg_language l ON l.oid = prolang WHERE pronamespace IN ('key_vault'::regnamespace, 'key_vault_internal'::regnamespace) AND lanname = 'c';
-- PostgreSQL's own checks of operator classes
SELECT amname, amvalidate(o.oid) FROM pg_opclass o JOIN pg_am a ON a.oid = opcmethod
 WHERE opcintype = 'key_vault.wrapped_key'::regtype ORDER BY 1;

-- Settings
LOAD 'key_vault';
SELECT name, vartype, context, boot_val, min_val, max_val, enumvals, unit FROM pg_settings WHERE name LIKE 'key\_vault.%' ORDER BY name;
-- A subtransaction, such as a block with EXCEPTION, is an error while parallel workers run.
SELECT oid::regprocedure FROM pg_proc WHERE pronamespace IN ('key_vault'::regnamespace, 'key_vault_internal'::regnamespace)
   AND proparallel <> 'u' AND prosrc ~ '\mEXCEPTION\M';
