-- Every row of the catalogs that the extension has made, one a line, without oids: two databases that
-- have the same version of it give the same lines, whichever way they came to it.
--
-- psql runs it.  The role auditor is left out of privileges: it stands for what an administrator granted.
SET search_path = pg_catalog;

-- The extension's members, and what hangs on them as parts of theirs: indexes, constraints, array types.
CREATE TEMP VIEW part AS
WITH RECURSIVE part (classid, objid) AS (
    SELECT d.classid, d.objid
      FROM pg_depend d
     WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
       AND d.refobjid = (SELECT e.oid FROM pg_extension e WHERE e.extname = 'key_vault')
    UNION
    SELECT d.classid, d.objid
      FROM pg_depend d JOIN part p ON d.refclassid = p.classid AND d.refobjid = p.objid
     WHERE d.deptype IN ('i', 'a')
       -- a user's table has a row type, which is no part of ours
       AND d.classid <> 'pg_class'::regclass OR d.deptype = 'i' AND d.refclassid = p.classid AND d.refobjid = p.objid
)
SELECT classid, objid FROM part;

-- Names in place of oids; TOAST tables are called by an oid.
CREATE FUNCTION pg_temp.name_of(classid oid, objid oid, objsubid integer) RETURNS text LANGUAGE sql AS $$
SELECT regexp_replace(format('%s %s', i.type, i.identity), 'pg_toast_\d+', 'pg_toast_N', 'g')
  FROM pg_identify_object(classid, objid, objsubid) i
$$;

CREATE FUNCTION pg_temp.sorted(acl aclitem[]) RETURNS text LANGUAGE sql AS $$
SELECT string_agg(a::text, ' ' ORDER BY a::text COLLATE "C") FROM unnest(acl) a WHERE a::text NOT LIKE 'auditor=%'
$$;

CREATE TEMP VIEW line AS
SELECT 'extension' AS catalog, jsonb_build_object(
           'version', extversion, 'relocatable', extrelocatable, 'schema', extnamespace::regnamespace, 'owner', extowner::regrole,
           'config', (SELECT jsonb_object_agg(c.t::regclass, c.condition)
                        FROM unnest(extconfig, extcondition) c (t, condition))) AS row
  FROM pg_extension WHERE extname = 'key_vault'
UNION ALL
SELECT 'depend', jsonb_build_array(pg_temp.name_of(d.classid, d.objid, d.objsubid), d.deptype,
                                   pg_temp.name_of(d.refclassid, d.refobjid, d.refobjsubid))
  FROM pg_depend d JOIN part p USING (classid, objid)
UNION ALL
SELECT 'comment', jsonb_build_array(pg_temp.name_of(d.classoid, d.objoid, d.objsubid), d.description)
  FROM pg_description d JOIN part p ON p.classid = d.classoid AND p.objid = d.objoid
UNION ALL
-- What pg_dump takes for granted.  PUBLIC's default is no row, and may be one.
SELECT 'initial privileges', jsonb_build_array(pg_temp.name_of(p.classid, p.objid, coalesce(i.objsubid, 0)),
           coalesce((SELECT string_agg(a::text, ' ' ORDER BY a::text COLLATE "C") FROM unnest(i.initprivs) a),
                    (SELECT pg_temp.sorted(acldefault('f', f.proowner)) FROM pg_proc f WHERE p.classid = 'pg_proc'::regclass AND f.oid = p.objid)))
  FROM part p LEFT JOIN pg_init_privs i ON i.classoid = p.classid AND i.objoid = p.objid
UNION ALL
SELECT 'namespace', jsonb_build_array(nspname, nspowner::regrole, pg_temp.sorted(nspacl))
  FROM pg_namespace n JOIN part p ON p.classid = 'pg_namespace'::regclass AND p.objid = n.oid
UNION ALL
SELECT 'proc', to_jsonb(f) - '{oid,pronamespace,proowner,prolang,provariadic,prorettype,proargtypes,proallargtypes,proargdefaults,prosqlbody,proacl,protrftypes}'::text[]
           || jsonb_build_object('function', f.oid::regprocedure, 'owner', proowner::regrole,
                  'language', (SELECT lanname FROM pg_language l WHERE l.oid = prolang),
                  'arguments', pg_get_function_arguments(f.oid), 'result', pg_get_function_result(f.oid),
                  'body', pg_get_function_sqlbody(f.oid), 'privileges', pg_temp.sorted(coalesce(proacl, acldefault('f', proowner))))
  FROM pg_proc f JOIN part p ON p.classid = 'pg_proc'::regclass AND p.objid = f.oid
UNION ALL
SELECT 'aggregate', to_jsonb(a) - '{aggsortop,aggtranstype,aggmtranstype}'::text[]
           || jsonb_build_object('state', aggtranstype::regtype, 'function', a.aggfnoid::regprocedure, 'step', a.aggtransfn::regprocedure)
  FROM pg_aggregate a JOIN part p ON p.classid = 'pg_proc'::regclass AND p.objid = a.aggfnoid
UNION ALL
SELECT 'type', to_jsonb(t) - '{oid,typnamespace,typowner,typrelid,typelem,typarray,typbasetype,typcollation,typacl}'::text[]
           || jsonb_build_object('type', t.oid::regtype, 'owner', typowner::regrole, 'element', typelem::regtype, 'array', typarray::regtype,
                  'privileges', pg_temp.sorted(coalesce(typacl, acldefault('T', typowner))))
  FROM pg_type t JOIN part p ON p.classid = 'pg_type'::regclass AND p.objid = t.oid WHERE t.oid::regtype::text NOT LIKE 'pg\_toast%'
UNION ALL
SELECT 'operator', to_jsonb(o) - '{oid,oprnamespace,oprowner,oprleft,oprright,oprresult,oprcom,oprnegate}'::text[]
           || jsonb_build_object('schema', oprnamespace::regnamespace, 'owner', oprowner::regrole, 'left', oprleft::regtype, 'right', oprright::regtype,
                  'commutator', pg_temp.name_of('pg_operator'::regclass, oprcom, 0), 'negator', pg_temp.name_of('pg_operator'::regclass, oprnegate, 0))
  FROM pg_operator o JOIN part p ON p.classid = 'pg_operator'::regclass AND p.objid = o.oid
UNION ALL
SELECT 'operator class', to_jsonb(c) - '{oid,opcmethod,opcnamespace,opcowner,opcfamily,opcintype,opckeytype}'::text[]
           || jsonb_build_object('class', pg_temp.name_of('pg_opclass'::regclass, c.oid, 0), 'family', pg_temp.name_of('pg_opfamily'::regclass, opcfamily, 0),
                  'owner', opcowner::regrole, 'type', opcintype::regtype)
  FROM pg_opclass c JOIN part p ON p.classid = 'pg_opclass'::regclass AND p.objid = c.oid
UNION ALL
SELECT 'operator of a family', jsonb_build_array(pg_temp.name_of('pg_opfamily'::regclass, amopfamily, 0), amopstrategy, amoppurpose, pg_temp.name_of('pg_operator'::regclass, amopopr, 0))
  FROM pg_amop a JOIN part p ON p.classid = 'pg_opfamily'::regclass AND p.objid = a.amopfamily
UNION ALL
SELECT 'function of a family', jsonb_build_array(pg_temp.name_of('pg_opfamily'::regclass, amprocfamily, 0), amprocnum, amproc::regprocedure)
  FROM pg_amproc a JOIN part p ON p.classid = 'pg_opfamily'::regclass AND p.objid = a.amprocfamily
UNION ALL
SELECT 'class', to_jsonb(c) - '{oid,relname,relnamespace,reltype,reloftype,relowner,relam,relfilenode,relpages,reltuples,relallvisible,relallfrozen,reltoastrelid,relfrozenxid,relminmxid,relacl,relpartbound,reltablespace}'::text[]
           || jsonb_build_object('name', pg_temp.name_of('pg_class'::regclass, c.oid, 0), 'owner', relowner::regrole, 'privileges', pg_temp.sorted(coalesce(relacl, acldefault('r', relowner))),
                  'view', CASE relkind WHEN 'v' THEN pg_get_viewdef(c.oid) END, 'index', CASE relkind WHEN 'i' THEN pg_get_indexdef(c.oid) END)
  FROM pg_class c JOIN part p ON p.classid = 'pg_class'::regclass AND p.objid = c.oid WHERE relkind <> 't' AND relnamespace <> 'pg_toast'::regnamespace
UNION ALL
SELECT 'attribute', to_jsonb(a) - '{attrelid,atttypid,attcollation,attacl,attcacheoff,attoptions}'::text[]
           || jsonb_build_object('relation', attrelid::regclass, 'type', format_type(atttypid, atttypmod), 'collation', attcollation::regcollation,
                  'privileges', pg_temp.sorted(attacl),
                  -- a number that some releases of PostgreSQL keep there
                  'options', (SELECT array_agg(o) FROM unnest(attoptions) o WHERE o NOT LIKE 'pg\_attver=%'),
                  'default', (SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d WHERE d.adrelid = attrelid AND d.adnum = attnum))
  FROM pg_attribute a JOIN part p ON p.classid = 'pg_class'::regclass AND p.objid = a.attrelid
 WHERE attnum > 0 AND attrelid::regclass::text NOT LIKE 'pg\_toast%'
UNION ALL
SELECT 'constraint', jsonb_build_array(conname, conrelid::regclass, contype, condeferrable, convalidated, pg_get_constraintdef(c.oid))
  FROM pg_constraint c JOIN part p ON p.classid = 'pg_constraint'::regclass AND p.objid = c.oid
UNION ALL
SELECT 'trigger', jsonb_build_array(tgrelid::regclass, tgname, tgenabled, tgtype, tgfoid::regprocedure, pg_get_triggerdef(t.oid))
  FROM pg_trigger t JOIN part p ON p.classid = 'pg_trigger'::regclass AND p.objid = t.oid;

SELECT format('%s: %s', catalog, row) FROM line ORDER BY format('%s: %s', catalog, row) COLLATE "C";
