/*
 * rewrap_all.c
 *	  Rewraps all keys of a label, in all tables of the database.
 *
 * It goes from table to table, and through each table in the order of its rows, in batches
 * (rewrap_batch.c).  Each batch is committed.  In one pass through a table some rows are
 * left: rows that others have locked are skipped, and an update moves a row, perhaps behind
 * the place that was reached.  So at the end of a pass one statement, whose snapshot sees
 * each row once, counts what is left, and if that is anything there is another pass.
 *
 * Invariants:
 * - Each batch is a transaction of its own, in which nothing is written but the rows and the
 *   progress: see rewrap_batch.c.
 * - If a row cannot be rewrapped there is a warning, and the run goes on.  A pass that leaves
 *   only such rows is the last.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "../catalog/access.h"
#include "../catalog/audit_log.h"
#include "../catalog/kek_label.h"
#include "../catalog/kek_row.h"
#include "../vault/wrapping.h"
#include "rewrap_all.h"
#include "rewrap_batch.h"
#include "rewrap_progress.h"
#include "rewrap_tables.h"

#define MAX_PASSES 5			/* through one table */
#define MAX_BUSY 5				/* batches one after the other that found
								 * locks of others */
#define MAX_FAILED_ROWS 100		/* after more, the run leaves the table */
#define MAX_ROW_WARNINGS 10		/* in one pass */
#define BUSY_WAIT_US INT64CONST(1000000)	/* microseconds */
#define NOTICE_INTERVAL_US INT64CONST(5000000)	/* microseconds */

typedef struct RewrapRun
{
	const char *label;
	int			batch_size;
	int64		sleep_us;
	MemoryContext batch_context;	/* reset after each batch */

	/* the whole run */
	int64		keys;
	int			tables;			/* with rows that were rewrapped */
	int			tables_busy;	/* left because of others' locks: another call
								 * can help */
	int			tables_refused; /* left for the reason that a warning gives */

	/* the present table */
	const char *table;			/* its name, quoted */
	ArrayType  *kek_ids;		/* the versions to rewrap from */
	RewrapProgress progress;
	TimestampTz noticed_at;
} RewrapRun;

static void
begin_transaction(void)
{
	/*
	 * In other isolation levels the snapshot is the transaction's, and a row
	 * that others have changed since is an error.
	 */
	(void) set_config_option("transaction_isolation", "read committed", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
}

static void
commit(RewrapRun *run)
{
	SPI_commit();
	begin_transaction();
	MemoryContextReset(run->batch_context);
}

/* To be called right after a commit, so that nobody waits for this transaction. */
static void
pause_for(int64 us)
{
	TimestampTz until = GetCurrentTimestamp() + us;

	for (;;)
	{
		int64		left = until - GetCurrentTimestamp();

		CHECK_FOR_INTERRUPTS();
		if (left <= 0)
			break;
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 Min((left + 999) / 1000, 60000), PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
}

static char *
seconds_text(double seconds)
{
	int64		whole = (int64) (seconds + 0.5);

	return psprintf(INT64_FORMAT ":%02d:%02d", whole / 3600, (int) (whole / 60 % 60),
					(int) (whole % 60));
}

static char *
keys_text(int64 keys)
{
	return psprintf(ngettext(INT64_FORMAT " key", INT64_FORMAT " keys", keys), keys);
}

static char *
tables_text(int tables)
{
	return psprintf(ngettext("%d table", "%d tables", tables), tables);
}

static void
notice_progress(RewrapRun *run)
{
	double		percent;
	double		rate;
	double		seconds_left;

	rewrap_progress_figures(&run->progress, &percent, &rate, &seconds_left);
	ereport(NOTICE,
			(errmsg("KEK label \"%s\", table %s: %.1f percent, %s rewrapped, %.0f keys/s, %s left",
					run->label, run->table, percent, keys_text(run->progress.keys), rate,
					seconds_text(seconds_left))));
	run->noticed_at = GetCurrentTimestamp();
}

/*
 * Looks up the versions to rewrap from and to.  Returns false if there are none to rewrap
 * from.  Raises an error if the label has no active version, or the caller lacks the
 * privilege.
 */
static bool
look_up_versions(RewrapRun *run)
{
	List	   *rows;
	ListCell   *cell;
	Datum	   *kek_ids;
	int			count = 0;

	run->progress.kek_id = vault_rewrap_target(run->label);
	rows = kek_rows_by_label(run->label);
	kek_ids = palloc(list_length(rows) * sizeof(Datum));
	foreach(cell, rows)
	{
		KekRow	   *row = lfirst(cell);

		if (row->state == KEK_DEACTIVATED || row->state == KEK_COMPROMISED)
			kek_ids[count++] = UUIDPGetDatum(&row->kek_id);
	}
	run->kek_ids = construct_array(kek_ids, count, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR);
	return count > 0;
}

static void
notice_suspended(const RewrapRun *run)
{
	ListCell   *cell;

	foreach(cell, kek_rows_by_label(run->label))
	{
		KekRow	   *row = lfirst(cell);

		if (row->state == KEK_SUSPENDED)
			ereport(NOTICE,
					(errmsg("KEK label \"%s\" version %d is suspended: its keys are left as they are",
							run->label, row->version)));
	}
}

static char *
row_text(ItemPointerData row)
{
	return DatumGetCString(DirectFunctionCall1(tidout, PointerGetDatum(&row)));
}

static bool
may_warn(const RewrapRun *run)
{
	return run->progress.rows_failed <= MAX_ROW_WARNINGS;
}

/* A hint about rows or a table that could not be rewrapped, or NULL. */
static const char *
refusal_hint(const RewrapBatch *batch)
{
	if (batch->error->hint)
		return batch->error->hint;
	if (batch->hint)
		return batch->hint;
	switch (batch->error->sqlerrcode)
	{
		case ERRCODE_UNDEFINED_TABLE:
		case ERRCODE_UNDEFINED_FUNCTION:
		case ERRCODE_UNDEFINED_OBJECT:
			return "Triggers and other code of the table run with search_path pg_catalog, pg_temp here: qualify their names, or give their functions SET search_path.";
		default:
			return NULL;
	}
}

static void
warn_table(const RewrapRun *run, const char *reason, const RewrapBatch *batch)
{
	const char *hint = refusal_hint(batch);

	ereport(WARNING,
			(errcode(batch->error->sqlerrcode),
			 errmsg("table %s %s", run->table, reason),
			 errdetail_internal("%s", batch->error->message),
			 hint ? errhint("%s", hint) : 0));
}

/*
 * A full disk or lack of memory has nothing to do with one row: trying the next rows would
 * make it worse.  If only the owner's code raises such an error, only his table is left.
 */
static bool
is_about_more_than_a_row(const ErrorData *error)
{
	return ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_INSUFFICIENT_RESOURCES ||
		ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_SYSTEM_ERROR;
}

/* Notes what a batch did, or warns.  Returns false if the table is to be left. */
static bool
handle_outcome(RewrapRun *run, RewrapOutcome outcome, const RewrapBatch *batch, int *max_rows,
			   int *busy)
{
	RewrapProgress *progress = &run->progress;

	*busy = outcome == REWRAP_BUSY ? *busy + 1 : 0;
	switch (outcome)
	{
		case REWRAP_OK:
			progress->next = batch->next;
			progress->end_block = batch->reached_end_block;
			progress->rows += batch->rows_rewrapped;
			progress->keys += batch->keys_rewrapped;
			run->keys += batch->keys_rewrapped;
			progress->rows_failed += batch->rows_suppressed + batch->rows_unopened;
			if (batch->rows_suppressed > 0 && may_warn(run))
				ereport(WARNING,
						(errmsg_plural(INT64_FORMAT " row of table %s was not rewrapped",
									   INT64_FORMAT " rows of table %s were not rewrapped",
									   batch->rows_suppressed, batch->rows_suppressed, run->table),
						 errdetail("A trigger or a rule of the table suppressed the update.")));
			if (batch->rows_unopened > 0 && may_warn(run))
				ereport(WARNING,
						(errmsg("row %s of table %s was not rewrapped",
								row_text(batch->unopened_row), run->table),
						 errdetail_plural("Its key does not open: %s.  There is " INT64_FORMAT
										  " such row in this batch.",
										  "Its key does not open: %s.  There are " INT64_FORMAT
										  " such rows in this batch.",
										  batch->rows_unopened, batch->unopened_reason, batch->rows_unopened)));
			*max_rows = Min((int64) *max_rows * 2, run->batch_size);
			break;

		case REWRAP_BUSY:
			if (*busy < MAX_BUSY)
				break;
			warn_table(run, "is locked by others, and left", batch);
			run->tables_busy++;
			return false;

		case REWRAP_ROWS_REFUSED:

			/* Halves the batch until the row that is refused is found. */
			if (batch->rows_seen > 1)
			{
				*max_rows = batch->rows_seen / 2;
				break;
			}
			if (is_about_more_than_a_row(batch->error))
			{
				warn_table(run, "could not be rewrapped", batch);
				run->tables_refused++;
				return false;
			}
			progress->rows_failed++;
			progress->next = batch->first_row;
			ItemPointerSetOffsetNumber(&progress->next,
									   ItemPointerGetOffsetNumberNoCheck(&batch->first_row) + 1);
			if (may_warn(run))
				ereport(WARNING,
						(errcode(batch->error->sqlerrcode),
						 errmsg("row %s of table %s was not rewrapped",
								row_text(batch->first_row), run->table),
						 errdetail_internal("%s", batch->error->message),
						 refusal_hint(batch) ? errhint("%s", refusal_hint(batch)) : 0));
			if (progress->rows_failed <= MAX_FAILED_ROWS)
				break;
			warn_table(run, "refuses too many rows, and is left", batch);
			run->tables_refused++;
			return false;

		case REWRAP_TABLE_REFUSED:
			warn_table(run, "could not be rewrapped", batch);
			run->tables_refused++;
			return false;

		case REWRAP_TABLE_GONE:
			return false;
	}
	return true;
}

/* One pass through the present table; false if the table is to be left. */
static bool
pass_through(RewrapRun *run)
{
	RewrapProgress *progress = &run->progress;
	int			max_rows = run->batch_size;
	int			busy = 0;

	for (;;)
	{
		RewrapBatch batch = {.relation = progress->relation};
		RewrapOutcome outcome;
		bool		goes_on;

		CHECK_FOR_INTERRUPTS();
		if (!look_up_versions(run))
			return true;
		batch.kek_ids = run->kek_ids;
		batch.from = progress->next;
		batch.end_block = progress->end_block;
		batch.max_rows = max_rows;
		outcome = rewrap_batch(&batch);
		goes_on = handle_outcome(run, outcome, &batch, &max_rows, &busy);
		if (outcome != REWRAP_TABLE_GONE)
			rewrap_progress_write(progress, false);
		commit(run);
		if (!goes_on)
			return false;
		if (GetCurrentTimestamp() - run->noticed_at >= NOTICE_INTERVAL_US)
			notice_progress(run);
		if (outcome == REWRAP_OK &&
			ItemPointerGetBlockNumberNoCheck(&progress->next) >= progress->end_block)
			return true;
		pause_for(outcome == REWRAP_BUSY ? BUSY_WAIT_US :
				  batch.rows_seen > 0 ? run->sleep_us : 0);
	}
}

static void
begin_pass(RewrapProgress *progress)
{
	progress->pass++;
	ItemPointerSet(&progress->next, 0, 1);
	progress->first_block = 0;
	progress->end_block = InvalidBlockNumber;
	progress->rows_failed = 0;
}

static void
warn_unreached(RewrapRun *run, int64 rows, const char *detail, const char *hint)
{
	run->progress.rows_left += rows;
	ereport(WARNING,
			(errmsg_plural(INT64_FORMAT " row of table %s holds keys that rewrap_all does not reach",
						   INT64_FORMAT " rows of table %s hold keys that rewrap_all does not reach",
						   rows, rows, run->table),
			 errdetail("%s", detail),
			 errhint("%s", hint)));
}

/*
 * Counts the rows that are left.  Returns false if they cannot be counted, or some have keys
 * that a batch cannot write.
 */
static bool
count_rows_left(RewrapRun *run)
{
	RewrapBatch batch = {.relation = run->progress.relation};
	RewrapCount count = {0};
	RewrapOutcome outcome;

	run->progress.rows_left = 0;
	if (!look_up_versions(run))
		return true;
	batch.kek_ids = run->kek_ids;
	outcome = rewrap_count(&batch, &count);
	if (outcome != REWRAP_OK)
	{
		run->progress.rows_left = -1;
		if (outcome != REWRAP_TABLE_GONE)
			warn_table(run, "could not be counted", &batch);
		return false;
	}
	run->progress.rows_left = count.rows;
	if (count.rows > 0)
		return true;
	if (count.unwritable > 0)
		warn_unreached(run, count.unwritable,
					   "They are in generated columns, or in columns of row, range or nested array types.",
					   "key_vault.kek_usage() names the columns.  Use UPDATE with key_vault.rewrap().");
	if (count.hidden > 0)
		warn_unreached(run, count.hidden,
					   "Another extension keeps them outside of the table's own heap, as TimescaleDB does in compressed chunks.",
					   "Use UPDATE with key_vault.rewrap() by the table that the extension provides, or decompress the rows and call rewrap_all again.");
	return count.unwritable == 0 && count.hidden == 0;
}

static void
rewrap_table(RewrapRun *run)
{
	RewrapProgress *progress = &run->progress;
	bool		reached_all;
	bool		resumed;
	int			tables_given_up = run->tables_busy + run->tables_refused;

	if (!look_up_versions(run))
		return;
	resumed = rewrap_progress_begin(progress);
	if (!resumed)
		begin_pass(progress);
	commit(run);
	if (resumed)
		ereport(NOTICE,
				(errmsg("table %s: goes on where it was stopped, in block %u of %u",
						run->table, progress->first_block, progress->end_block)));
	run->noticed_at = GetCurrentTimestamp();

	for (;;)
	{
		bool		passed = pass_through(run);

		reached_all = count_rows_left(run) && passed;
		if (!reached_all || progress->rows_left <= progress->rows_failed ||
			progress->pass >= MAX_PASSES)
			break;
		begin_pass(progress);
		rewrap_progress_write(progress, false);
		commit(run);
		/* Gives transactions that have locked rows time to end. */
		if (progress->pass > 2)
			pause_for(BUSY_WAIT_US);
	}
	rewrap_progress_write(progress, reached_all);
	commit(run);

	if (progress->rows > 0)
	{
		run->tables++;
		notice_progress(run);
	}
	if (progress->rows_left == 0 || tables_given_up < run->tables_busy + run->tables_refused)
		return;
	if (!reached_all || progress->rows_left <= progress->rows_failed)
		run->tables_refused++;
	else
		run->tables_busy++;
	if (reached_all)
		ereport(WARNING,
				(errmsg_plural(INT64_FORMAT " row of table %s still needs earlier versions of KEK label \"%s\"",
							   INT64_FORMAT " rows of table %s still need earlier versions of KEK label \"%s\"",
							   progress->rows_left, progress->rows_left, run->table, run->label),
				 progress->rows_left <= progress->rows_failed ?
				 errdetail("A trigger, rule or constraint of the table does not let them be changed, or their keys do not open.") :
				 errdetail("Others have locked them, or a trigger of the table changes them back.")));
}

static void
lock_and_rewrap_table(RewrapRun *run, Oid relation)
{
	int			holder;

	if (get_rel_name(relation) == NULL)
		return;
	run->table = MemoryContextStrdup(MemoryContextGetParent(run->batch_context),
									 quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)),
																get_rel_name(relation)));
	if (!rewrap_lock(run->label, relation, &holder))
	{
		run->tables_busy++;
		ereport(NOTICE,
				(errmsg("table %s is being rewrapped by process %d, and left to it",
						run->table, holder)));
		return;
	}
	run->progress = (RewrapProgress)
	{
		.label = run->label,.relation = relation,.rows_left = -1
	};
	rewrap_table(run);
	rewrap_unlock();
}

void
rewrap_all(const char *label, int batch_size, int64 sleep_us, Oid only)
{
	RewrapRun	run = {.label = label,.batch_size = batch_size,.sleep_us = sleep_us};
	TimestampTz started_at;
	MemoryContext context;
	List	   *tables;
	ListCell   *cell;

	PreventCommandDuringRecovery("rewrap_all()");
	kek_label_check(label);
	if (SPI_connect_ext(SPI_OPT_NONATOMIC) != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	context = CurrentMemoryContext;
	run.label = pstrdup(label);
	run.batch_context = AllocSetContextCreate(context, "key_vault rewrap_all batch",
											  ALLOCSET_DEFAULT_SIZES);
	(void) vault_rewrap_target(label);
	audit_log_server_line("rewrapping begun", label, 0, NULL);

	/* Ends the caller's transaction, with its deferred triggers. */
	commit(&run);
	started_at = GetCurrentTimestamp();
	notice_suspended(&run);
	tables = rewrap_find_tables(run.label, only, context);
	rewrap_progress_forget_dropped();
	commit(&run);

	MemoryContextSwitchTo(run.batch_context);
	foreach(cell, tables)
		lock_and_rewrap_table(&run, lfirst_oid(cell));
	MemoryContextSwitchTo(context);

	ereport(NOTICE,
			(errmsg("KEK label \"%s\": %s in %s rewrapped in %.1f s", run.label, keys_text(run.keys),
					tables_text(run.tables), (GetCurrentTimestamp() - started_at) / 1e6)));
	audit_log_server_line("rewrapping done", run.label, 0,
						  psprintf("{\"keys\": " INT64_FORMAT ", \"tables\": %d, \"tables_left\": %d}",
								   run.keys, run.tables, run.tables_busy + run.tables_refused));
	if (run.tables_busy + run.tables_refused > 0)
		ereport(WARNING,
				(errmsg_plural("%d table still has keys under earlier versions of KEK label \"%s\", or could not be rewrapped",
							   "%d tables still have keys under earlier versions of KEK label \"%s\", or could not be rewrapped",
							   run.tables_busy + run.tables_refused,
							   run.tables_busy + run.tables_refused, run.label),
				 run.tables_refused == 0 ?
				 errhint("Call it again.  key_vault.kek_usage() says where they are.") :
				 errhint_plural("Do what the warnings about %d table say, then call it again.  key_vault.kek_usage() says where the keys are.",
								"Do what the warnings about %d tables say, then call it again.  key_vault.kek_usage() says where the keys are.",
								run.tables_refused, run.tables_refused)));
	SPI_finish();
}
