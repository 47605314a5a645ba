/*
 * table_owner.c
 *	  Running what touches a table as the table's owner.
 *
 * Index expressions and predicates, triggers, rules, CHECKs, generated columns, row-level
 * policies and foreign data wrappers are chosen by a table's owner, who need not be as
 * trusted as the caller; the planner already runs some of them.  So whatever function
 * of the extension plans or runs a statement on somebody's table does it between
 * table_owner_become() and table_owner_leave().
 *
 * Invariants, in between:
 * - The current role is the owner, in a security-restricted operation, as in VACUUM and
 *   REFRESH MATERIALIZED VIEW: code cannot leave the role, make temporary
 *   objects, or leave something behind that runs later with the caller's rights.
 * - search_path is pg_catalog, pg_temp.  So the caller in turn cannot have the owner's code
 *   call functions of the caller's.
 * - Settings that the code changes are set back by table_owner_leave().
 * - No row is hidden: a policy does not apply to the owner, even if the table has FORCE
 *   ROW LEVEL SECURITY.
 * - Locks are taken as the caller, before: to take a lock runs no code.  No key is opened
 *   in between: the owner's code sees wrapped keys only.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/rel.h"

#include "table_owner.h"

void
table_owner_become(TableOwner *state, Relation table)
{
	GetUserIdAndSecContext(&state->save_user, &state->save_sec_context);
	SetUserIdAndSecContext(table->rd_rel->relowner,
						   state->save_sec_context | SECURITY_RESTRICTED_OPERATION |
						   SECURITY_NOFORCE_RLS);
	state->save_nestlevel = NewGUCNestLevel();
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

void
table_owner_leave(const TableOwner *state)
{
	AtEOXact_GUC(false, state->save_nestlevel);
	SetUserIdAndSecContext(state->save_user, state->save_sec_context);
}

/* No SQL, and no procedural language, sets the name of the C function that raised an error. */
static bool
raised_by(const ErrorData *error, const char *function)
{
	return error->funcname != NULL && strcmp(error->funcname, function) == 0;
}

bool
table_owner_error_ends_statement(const ErrorData *error)
{
	return error->sqlerrcode == ERRCODE_QUERY_CANCELED && raised_by(error, "ProcessInterrupts");
}

bool
table_owner_error_is_lock_wait(const ErrorData *error)
{
	return (error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE &&
			raised_by(error, "ProcessInterrupts")) ||
		(error->sqlerrcode == ERRCODE_T_R_DEADLOCK_DETECTED && raised_by(error, "DeadLockReport"));
}
