-- Every column, constraint, index, trigger, view and function of the storage in schema lorawan, with comments, so
-- that one that was updated can be compared with a new one.  What users made beside it has no comment.

\set ON_ERROR_STOP on
SELECT c.relname, c.relkind, c.reloptions, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
       pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum)
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
 WHERE c.relnamespace = 'lorawan'::regnamespace AND NOT c.relispartition AND a.attnum > 0
   AND NOT EXISTS (SELECT FROM pg_index i JOIN pg_class p ON p.oid = i.indrelid WHERE i.indexrelid = c.oid AND p.relispartition)
   AND c.relname <> 'reading' ORDER BY c.relname, a.attnum;
SELECT c.relname, obj_description(c.oid, 'pg_class'), pg_get_viewdef(c.oid) FROM pg_class c
 WHERE c.relnamespace = 'lorawan'::regnamespace AND NOT c.relispartition AND c.relkind IN ('r', 'p', 'v') AND c.relname <> 'reading' ORDER BY 1;
SELECT c.conrelid::regclass, c.conname, pg_get_constraintdef(c.oid) FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid
 WHERE c.connamespace = 'lorawan'::regnamespace AND NOT t.relispartition ORDER BY 1, 2;
SELECT pg_get_indexdef(i.indexrelid) FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid
 WHERE t.relnamespace = 'lorawan'::regnamespace AND NOT t.relispartition ORDER BY 1;
SELECT pg_get_triggerdef(g.oid), g.tgenabled FROM pg_trigger g JOIN pg_class t ON t.oid = g.tgrelid
 WHERE t.relnamespace = 'lorawan'::regnamespace AND NOT t.relispartition AND NOT g.tgisinternal ORDER BY 1;
SELECT pg_get_functiondef(p.oid), obj_description(p.oid, 'pg_proc') FROM pg_proc p WHERE p.pronamespace = 'lorawan'::regnamespace ORDER BY 1;
