/*
 * table_owner.c
 *	  Running statements on a table as the table's owner.
 *
 * The owner of a table chooses its index expressions and predicates, triggers, rules,
 * CHECKs, generated columns, row-level policies and foreign data wrapper, and the caller
 * may not trust him; the planner already runs some of that code.  So if a function of the
 * extension plans or runs a statement on somebody's table, it does so between
 * table_owner_become() and table_owner_leave().
 *
 * Invariants between the two:
 * - The current role is the owner, in a security-restricted operation, as in VACUUM and
 *   REFRESH MATERIALIZED VIEW: the owner's code cannot change the role, create temporary
 *   objects, or leave something behind that runs later with the caller's rights.
 * - search_path is pg_catalog, pg_temp, so that the caller cannot make the owner's code
 *   call functions of the caller.
 * - table_owner_leave() sets back the settings that the owner's code has changed.
 * - A cancellation and the caller's statement_timeout end the statement, even if the owner's
 *   code catches their error and goes on: table_owner_leave() raises the error again.
 * - No row is hidden: policies do not apply to the owner, even if the table has FORCE ROW
 *   LEVEL SECURITY.
 * - Callers take locks before, with their own rights, since taking a lock runs no code.
 *   They open no key, so that the owner's code sees wrapped keys only.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "../common/outage.h"
#include "table_owner.h"

void
table_owner_become(TableOwner *state, Relation table)
{
	cancel_watch_begin(&state->watch,
					   quote_qualified_identifier(get_namespace_name(RelationGetNamespace(table)),
												  RelationGetRelationName(table)));
	GetUserIdAndSecContext(&state->save_user, &state->save_sec_context);
	SetUserIdAndSecContext(table->rd_rel->relowner,
						   state->save_sec_context | SECURITY_RESTRICTED_OPERATION |
						   SECURITY_NOFORCE_RLS);
	state->save_nestlevel = NewGUCNestLevel();
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

void
table_owner_leave(TableOwner *state)
{
	AtEOXact_GUC(false, state->save_nestlevel);
	SetUserIdAndSecContext(state->save_user, state->save_sec_context);

	/*
	 * A cancellation that has not raised its error yet is PostgreSQL's to
	 * raise.
	 */
	CHECK_FOR_INTERRUPTS();
	cancel_watch_end(&state->watch);
}

void
table_owner_rethrow_cancellation(const TableOwner *state, ErrorData *error)
{
	if (error_cancels_statement(error))
		ReThrowError(error);
	cancel_watch_check(&state->watch);
}
