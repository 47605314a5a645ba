/*
 * rewrap_write.c
 *	  Writes the rows of a batch of rewrap_all(), if partitions and foreign keys allow it.
 *
 * With its new key a row may belong to another partition, and only an UPDATE of the
 * partitioned table moves it.  Such an UPDATE runs the code of all partitions as one role, so
 * it is made only if the partitioned table and all partitions have the same owner.  It is an
 * error if a row is then in no partition.
 *
 * A foreign key that refers to wrapped keys must have ON UPDATE CASCADE.  If it would set the
 * referring column to NULL or to its default, that is an error before anything is written.
 * With other actions, PostgreSQL refuses to change rows that are referred to, and these are
 * left as they are.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_partitioned_table.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "nodes/bitmapset.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/queryenvironment.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "../catalog/key_columns.h"
#include "rewrap_work.h"

/* The name in the UPDATE of the relation with the rows to write. */
#define NEW_KEYS "key_vault_new_keys"

/* The range of ctid saves the plan from reading the whole table. */
#define ROWS_OF_BATCH \
	"t.ctid OPERATOR(pg_catalog.=) n.row_id" \
	" AND t.ctid OPERATOR(pg_catalog.>=) $1" \
	" AND t.ctid OPERATOR(pg_catalog.<=) $2" \
	" AND t.tableoid OPERATOR(pg_catalog.=) $3"

static char *
table_name(Oid relation)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)),
									  get_rel_name(relation));
}

/* If there are several hints the last one is shown. */
static void
give_hint(TableWork *work, const char *hint)
{
	work->batch->hint = MemoryContextStrdup(work->context, hint);
}

/* Whether the partition key of a table has a column with wrapped keys. */
static bool
is_partitioned_by_keys(Oid relation)
{
	HeapTuple	tuple = SearchSysCache1(PARTRELID, ObjectIdGetDatum(relation));
	Form_pg_partitioned_table form;
	Bitmapset  *columns = NULL;
	Datum		expressions;
	bool		isnull;
	bool		found = false;
	int			i = -1;

	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_partitioned_table) GETSTRUCT(tuple);
	for (int n = 0; n < form->partnatts; n++)
		if (form->partattrs.values[n] > 0)
			columns = bms_add_member(columns, form->partattrs.values[n] -
									 FirstLowInvalidHeapAttributeNumber);
	expressions = SysCacheGetAttr(PARTRELID, tuple, Anum_pg_partitioned_table_partexprs, &isnull);
	if (!isnull)
		pull_varattnos(stringToNode(TextDatumGetCString(expressions)), 1, &columns);
	ReleaseSysCache(tuple);

	while (!found && (i = bms_next_member(columns, i)) >= 0)
	{
		AttrNumber	number = i + FirstLowInvalidHeapAttributeNumber;

		/* 0: the whole row */
		found = number == 0 || (number > 0 && type_holds_wrapped_keys(get_atttype(relation, number)));
	}
	return found;
}

void
rewrap_lock_root(TableWork *work)
{
	Oid			relation = work->batch->relation;
	List	   *ancestors;
	List	   *tree;
	ListCell   *cell;
	bool		by_keys = false;

	if (!get_rel_relispartition(relation))
		return;
	ancestors = get_partition_ancestors(relation);
	foreach(cell, ancestors)
		by_keys |= is_partitioned_by_keys(lfirst_oid(cell));
	if (!by_keys)
		return;

	/* The partitioned table is locked before the partition, as others do it. */
	work->root = try_table_open(llast_oid(ancestors), RowExclusiveLock);
	if (work->root == NULL)
		return;
	tree = find_all_inheritors(RelationGetRelid(work->root), RowExclusiveLock, NULL);
	foreach(cell, tree)
	{
		HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(lfirst_oid(cell)));
		Form_pg_class form;
		bool		may_move;

		if (!HeapTupleIsValid(tuple))
			continue;
		form = (Form_pg_class) GETSTRUCT(tuple);
		may_move = form->relowner == work->root->rd_rel->relowner &&
			form->relkind != RELKIND_FOREIGN_TABLE;
		ReleaseSysCache(tuple);
		if (may_move)
			continue;
		give_hint(work,
				  psprintf("Rows of %s move to another partition with their new keys, but %s is a foreign table or has another owner: use UPDATE %s with key_vault.rewrap().",
						   table_name(relation), table_name(lfirst_oid(cell)),
						   table_name(RelationGetRelid(work->root))));
		table_close(work->root, NoLock);
		work->root = NULL;
		return;
	}
}

/* Whether one of a constraint's columns is one that is written. */
static bool
has_key_column(const TableWork *work, const AttrNumber *numbers, int count)
{
	ListCell   *cell;

	foreach(cell, work->columns)
	{
		const KeyColumn *column = lfirst(cell);

		for (int i = 0; i < count; i++)
			if (column->kind != KEY_COLUMN_OTHER && column->number == numbers[i])
				return true;
	}
	return false;
}

/*
 * Checks a foreign key that an UPDATE of the table sets off.  is_referred: the table is the
 * one that the foreign key refers to.
 */
static void
check_foreign_key(TableWork *work, Oid constraint, bool is_referred)
{
	HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
	AttrNumber	own[INDEX_MAX_KEYS];
	AttrNumber	referred[INDEX_MAX_KEYS];
	Form_pg_constraint form;
	const char *name;
	const char *table;
	int			count;

	if (!HeapTupleIsValid(tuple))
		return;
	form = (Form_pg_constraint) GETSTRUCT(tuple);
	DeconstructFkConstraintRow(tuple, &count, own, referred, NULL, NULL, NULL, NULL, NULL);
	if (has_key_column(work, is_referred ? referred : own, count))
	{
		name = quote_identifier(NameStr(form->conname));
		table = table_name(form->conrelid);
		if (is_referred && (form->confupdtype == FKCONSTR_ACTION_SETNULL ||
							form->confupdtype == FKCONSTR_ACTION_SETDEFAULT))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("foreign key %s of table %s would set keys to NULL or to their default",
							name, table),
					 errhint("Make the foreign key anew with ON UPDATE CASCADE.")));
		if (form->confupdtype != FKCONSTR_ACTION_CASCADE)
			give_hint(work,
					  psprintf("Foreign key %s of table %s refers to keys: make it anew with ON UPDATE CASCADE, or drop it until all is rewrapped.",
							   name, table));
		else if (!is_referred)
			give_hint(work,
					  psprintf("Foreign key %s refers to keys of table %s: rewrap that table, and these rows follow.",
							   name, table_name(form->confrelid)));
	}
	ReleaseSysCache(tuple);
}

void
rewrap_check_foreign_keys(TableWork *work)
{
	const TriggerDesc *triggers = work->table->trigdesc;

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		const Trigger *trigger = &triggers->triggers[i];
		int			kind = RI_FKey_trigger_type(trigger->tgfoid);

		if (kind != RI_TRIGGER_NONE && TRIGGER_FOR_UPDATE(trigger->tgtype) &&
			trigger->tgenabled != TRIGGER_DISABLED)
			check_foreign_key(work, trigger->tgconstraint, kind == RI_TRIGGER_PK);
	}
}

/*
 * Raises an error if rows are gone.  To move a row, PostgreSQL deletes it in one partition and
 * inserts it into another, and a trigger there that suppresses the INSERT does not keep the row
 * where it was.  A row that was not updated at all is still at its old place.
 */
static void
check_no_row_is_gone(TableWork *work, int64 not_updated, Oid *types, Datum *values)
{
	bool		isnull;
	int64		left;

	rewrap_execute(psprintf("SELECT pg_catalog.count(*) FROM ONLY %s AS t, " NEW_KEYS " AS n WHERE %s",
							work->name, ROWS_OF_BATCH), 3, types, values, NULL);
	left = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	if (left < not_updated)
		ereport(ERROR,
				(errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
				 errmsg("a trigger of a partition suppresses the insertion of rows that move to it"),
				 errdetail("They would be lost.")));
}

int64
rewrap_write_rows(TableWork *work, TupleDesc desc, Tuplestorestate *new_keys, int64 nrows,
				  ItemPointerData first, ItemPointerData last)
{
	EphemeralNamedRelationData relation = {0};
	StringInfoData sql;
	ListCell   *cell;
	bool		first_column = true;
	int64		updated;
	Oid			types[] = {TIDOID, TIDOID, OIDOID};
	Datum		values[] = {PointerGetDatum(&first), PointerGetDatum(&last),
	ObjectIdGetDatum(RelationGetRelid(work->table))};

	initStringInfo(&sql);
	if (work->root != NULL)
		appendStringInfo(&sql, "UPDATE %s AS t SET ", table_name(RelationGetRelid(work->root)));
	else
		appendStringInfo(&sql, "UPDATE ONLY %s AS t SET ", work->name);
	foreach(cell, work->columns)
	{
		const KeyColumn *column = lfirst(cell);

		if (column->kind == KEY_COLUMN_OTHER)
			continue;
		appendStringInfo(&sql, "%s%s = n.key_%d", first_column ? "" : ", ",
						 quote_identifier(column->name), foreach_current_index(cell) + 1);
		first_column = false;
	}

	appendStringInfoString(&sql, " FROM " NEW_KEYS " AS n WHERE " ROWS_OF_BATCH);

	relation.md.name = NEW_KEYS;
	relation.md.tupdesc = desc;
	relation.md.enrtype = ENR_NAMED_TUPLESTORE;
	relation.md.enrtuples = nrows;
	relation.reldata = new_keys;
	if (SPI_register_relation(&relation) != SPI_OK_REL_REGISTER)
		elog(ERROR, "SPI_register_relation failed");
	rewrap_execute(sql.data, lengthof(types), types, values, NULL);
	updated = SPI_processed;
	if (work->root != NULL && updated < nrows)
		check_no_row_is_gone(work, nrows - updated, types, values);
	return updated;
}
