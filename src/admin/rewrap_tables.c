/*
 * rewrap_tables.c
 *	  Finds the tables whose keys rewrap_all() rewraps.
 *
 * Invariant: no lock on a table is kept; a table may be dropped before it is its turn.
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type_d.h"
#include "executor/spi.h"
#include "nodes/value.h"
#include "parser/parse_func.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "../catalog/citus.h"
#include "rewrap_tables.h"

static void
notice_unreached(const char *kind, Oid relation, const char *hint)
{
	ereport(NOTICE,
			(errmsg("%s %s may hold wrapped keys, and is left as it is", kind,
					quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)),
											   get_rel_name(relation))),
			 errhint("%s", hint)));
}

/* Version 1.0 of the install script has no such function. */
static bool
has_other_nodes_function(void)
{
	static const Oid types[] = {TEXTOID};

	return OidIsValid(LookupFuncName(list_make2(makeString("key_vault_internal"),
												makeString("notice_other_nodes")),
									 1, types, true));
}

List *
rewrap_find_tables(const char *label, Oid only, MemoryContext context)
{
	List	   *wanted = OidIsValid(only) ? find_all_inheritors(only, NoLock, NULL) : NIL;
	List	   *tables = NIL;
	bool		found = !OidIsValid(only);

	if (!OidIsValid(only) && has_other_nodes_function() &&
		SPI_execute(psprintf("SELECT key_vault_internal.notice_other_nodes(%s)",
							 quote_literal_cstr(psprintf("CALL key_vault.rewrap_all(%s)",
														 quote_literal_cstr(label)))),
					false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not look up the servers of the cluster");
	if (SPI_execute("SELECT w.relation::pg_catalog.oid, w.relkind, pg_catalog.bool_or(w.other_session),"
					" pg_catalog.bool_or(EXISTS (SELECT FROM pg_catalog.pg_constraint AS c"
					" JOIN pg_catalog.pg_attribute AS a ON a.attrelid OPERATOR(pg_catalog.=) c.conrelid"
					" AND a.attnum OPERATOR(pg_catalog.=) ANY (c.conkey)"
					" WHERE c.contype OPERATOR(pg_catalog.=) 'f'"
					" AND c.conrelid OPERATOR(pg_catalog.=) w.relation"
					" AND a.attname OPERATOR(pg_catalog.=) w.\"column\"))"
					" FROM key_vault.wrapped_key_columns AS w GROUP BY 1, 2 ORDER BY 4, 1",
					false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not look up the columns of wrapped keys");
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		bool		isnull;
		Oid			relation = DatumGetObjectId(SPI_getbinval(row, desc, 1, &isnull));
		char		kind = DatumGetChar(SPI_getbinval(row, desc, 2, &isnull));

		if (OidIsValid(only) && !list_member_oid(wanted, relation))
			continue;
		found = true;
		if (kind == RELKIND_FOREIGN_TABLE)
			notice_unreached("foreign table", relation, "Rewrap them on the server where they are.");
		else if (kind == RELKIND_MATVIEW)
			notice_unreached("materialized view", relation, "Refresh it afterwards.");
		else if (DatumGetBool(SPI_getbinval(row, desc, 3, &isnull)))
			notice_unreached("temporary table", relation, "It is another session's.");
		else
		{
			MemoryContext previous = MemoryContextSwitchTo(context);

			tables = lappend_oid(tables, relation);
			MemoryContextSwitchTo(previous);
		}
	}
	if (!found)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("relation \"%s\" has no column of wrapped keys", get_rel_name(only)),
				 citus_is_distributed(only) ?
				 errhint("Citus has distributed it: name one of its shards, or no table.") : 0));
	return tables;
}
