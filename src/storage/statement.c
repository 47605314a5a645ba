/*
 * statement.c
 *	  Statements on the tables of a storage, prepared once for each storage and session.
 *
 * Invariant: only a complete plan is in the table of plans.  The plans of a storage that is
 * dropped stay until the session ends.  A new storage with the same name has other plans,
 * since its schema has another oid.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type_d.h"
#include "lib/stringinfo.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"

#include "statement.h"

/*
 * How a statement takes rows.  The executor begins and ends faster if there is one row, which
 * comes as values, than if there are arrays, which are the arguments of a function.
 */
typedef enum RowsForm
{
	NO_ROWS,
	ONE_ROW,
	ARRAYS
} RowsForm;

typedef struct PlanKey
{
	const Statement *statement;
	Oid			schema;
	RowsForm	form;
} PlanKey;

StaticAssertDecl(sizeof(PlanKey) == sizeof(Statement *) + sizeof(Oid) + sizeof(RowsForm),
				 "a key that is hashed as bytes has no padding");

typedef struct PlanEntry
{
	PlanKey		key;
	SPIPlanPtr	plan;
} PlanEntry;

/* The number of plans for which the table is made at first: it grows. */
#define FEW_PLANS 64

static HTAB *plans = NULL;

static Oid
first_schema(void)
{
	List	   *path = fetch_search_path(false);

	return path == NIL ? InvalidOid : linitial_oid(path);
}

/* Writes the rows of the statement, whose columns are the arguments from $first on. */
static void
write_rows(StringInfo sql, RowsForm form, int first, int columns)
{
	appendStringInfoString(sql, form == ONE_ROW ? "(VALUES (" : "unnest(");
	for (int i = 0; i < columns; i++)
		appendStringInfo(sql, "%s$%d", i > 0 ? ", " : "", first + i);
	appendStringInfoString(sql, form == ONE_ROW ? ", 1::bigint))" : ") WITH ORDINALITY");
}

static SPIPlanPtr
prepare(const Statement *statement, RowsForm form, const ValueList *lists, int nlists)
{
	Oid		   *types = palloc((statement->nargs + nlists) * sizeof(Oid));
	StringInfoData sql;
	SPIPlanPtr	plan;

	if (statement->nargs > 0)
		memcpy(types, statement->types, statement->nargs * sizeof(Oid));
	for (int i = 0; i < nlists; i++)
		types[statement->nargs + i] = form == ONE_ROW ? lists[i].type : get_array_type(lists[i].type);
	initStringInfo(&sql);
	appendStringInfoString(&sql, statement->sql);
	if (form != NO_ROWS)
	{
		write_rows(&sql, form, statement->nargs + 1, nlists);
		appendStringInfoString(&sql, statement->after_rows);
	}

	/*
	 * A generic plan: it is good for any set of messages, and planning takes
	 * longer than storing a message.
	 */
	plan = SPI_prepare_cursor(sql.data, statement->nargs + nlists, types, CURSOR_OPT_GENERIC_PLAN);
	if (plan == NULL || SPI_keepplan(plan) != 0)
		elog(ERROR, "statement of a storage could not be prepared");
	return plan;
}

static SPIPlanPtr
find_plan(const Statement *statement, RowsForm form, const ValueList *lists, int nlists)
{
	PlanKey		key = {.statement = statement,.schema = first_schema(),.form = form};
	PlanEntry  *entry;
	SPIPlanPtr	plan;

	if (plans == NULL)
	{
		HASHCTL		control = {.keysize = sizeof(PlanKey),.entrysize = sizeof(PlanEntry)};

		plans = hash_create("key_vault plans of storages", FEW_PLANS, &control, HASH_ELEM | HASH_BLOBS);
	}
	entry = hash_search(plans, &key, HASH_FIND, NULL);
	if (entry != NULL)
		return entry->plan;
	plan = prepare(statement, form, lists, nlists);
	entry = hash_search(plans, &key, HASH_ENTER, NULL);
	entry->plan = plan;
	return plan;
}

static uint64
run(SPIPlanPtr plan, Datum *values, const char *nulls)
{
	int			result = SPI_execute_plan(plan, values, nulls, false, 0);

	if (result < 0)
		elog(ERROR, "statement of a storage failed: %s", SPI_result_code_string(result));
	return SPI_processed;
}

/*
 * A plan that is kept must be good for tables of any size.  If it were made while the storage
 * is empty, it would read whole tables for each set later, so other scans than those of
 * indexes are turned off.  jit is off since the planner adds a high cost for each scan that
 * is turned off, and would compile the statement because of this cost.
 */
static uint64
run_by_indexes(SPIPlanPtr plan, Datum *values, const char *nulls)
{
	static const char *const settings[] = {
		"enable_seqscan", "enable_bitmapscan", "enable_hashjoin", "enable_mergejoin", "jit"
	};
	int			nestlevel = NewGUCNestLevel();
	uint64		n;

	for (int i = 0; i < lengthof(settings); i++)
		(void) set_config_option(settings[i], "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	n = run(plan, values, nulls);
	AtEOXact_GUC(true, nestlevel);
	return n;
}

uint64
statement_run(const Statement *statement, Datum *values, const char *nulls)
{
	return run(find_plan(statement, NO_ROWS, NULL, 0), values, nulls);
}

uint64
statement_run_on_rows(const Statement *statement, const Datum *values, const ValueList *lists, int nlists)
{
	int			nargs = statement->nargs;
	RowsForm	form = lists[0].n == 1 ? ONE_ROW : ARRAYS;
	Datum	   *all;
	char	   *nulls;
	SPIPlanPtr	plan;

	if (lists[0].n == 0)
		return 0;
	all = palloc((nargs + nlists) * sizeof(Datum));
	nulls = palloc(nargs + nlists);
	if (nargs > 0)
		memcpy(all, values, nargs * sizeof(Datum));
	memset(nulls, ' ', nargs + nlists);
	for (int i = 0; i < nlists; i++)
	{
		all[nargs + i] = form == ONE_ROW ? lists[i].values[0] : value_list_array(&lists[i]);
		if (form == ONE_ROW && lists[i].nulls[0])
			nulls[nargs + i] = 'n';
	}
	plan = find_plan(statement, form, lists, nlists);
	return (statement->by_indexes ? run_by_indexes : run) (plan, all, nulls);
}

Datum
statement_column(uint64 row, int column, bool *isnull)
{
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, isnull);
}

int
search_path_begin(const char *search_path)
{
	int			nestlevel;

	if (search_path == NULL)
		return 0;
	nestlevel = NewGUCNestLevel();
	(void) set_config_option("search_path", search_path, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
	return nestlevel;
}

void
search_path_end(int nestlevel)
{
	if (nestlevel != 0)
		AtEOXact_GUC(true, nestlevel);
}
