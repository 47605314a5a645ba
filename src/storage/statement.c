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
#include "utils/guc.h"
#include "utils/hsearch.h"

#include "statement.h"

typedef struct PlanKey
{
	Oid			schema;
	const Statement *statement;
} PlanKey;

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

static SPIPlanPtr
prepare(const Statement *statement)
{
	/*
	 * A generic plan: it is good for any set of messages, and planning takes
	 * longer than storing a message.
	 */
	SPIPlanPtr	plan = SPI_prepare_cursor(statement->sql, statement->nargs,
										  unconstify(Oid *, statement->types),
										  CURSOR_OPT_GENERIC_PLAN);

	if (plan == NULL || SPI_keepplan(plan) != 0)
		elog(ERROR, "statement of a storage could not be prepared");
	return plan;
}

static SPIPlanPtr
find_plan(const Statement *statement)
{
	PlanKey		key = {.schema = first_schema(),.statement = statement};
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
	plan = prepare(statement);
	entry = hash_search(plans, &key, HASH_ENTER, NULL);
	entry->plan = plan;
	return plan;
}

uint64
statement_run(const Statement *statement, Datum *values, const char *nulls)
{
	int			result = SPI_execute_plan(find_plan(statement), values, nulls, false, 0);

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
uint64
statement_run_by_indexes(const Statement *statement, Datum *values, const char *nulls)
{
	static const char *const settings[] = {
		"enable_seqscan", "enable_bitmapscan", "enable_hashjoin", "enable_mergejoin", "jit"
	};
	int			nestlevel = NewGUCNestLevel();
	uint64		n;

	for (int i = 0; i < lengthof(settings); i++)
		(void) set_config_option(settings[i], "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	n = statement_run(statement, values, nulls);
	AtEOXact_GUC(true, nestlevel);
	return n;
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
