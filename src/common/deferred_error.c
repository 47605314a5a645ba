/*
 * deferred_error.c
 *	  Errors that are noted first, and raised only if they turn out to matter.
 *
 * Invariant: the texts are formatted when the error is noted, in the memory context of
 * that moment, and it is raised before that context is reset.
 */
#include "postgres.h"

#include "utils/guc.h"

#include "deferred_error.h"

bool
deferred_error_set(DeferredError *error, int sqlstate, char *message, char *detail, char *hint)
{
	error->sqlstate = sqlstate;
	error->message = message;
	error->detail = detail;
	error->hint = hint;
	return false;
}

static void
report(int level, const DeferredError *error, const char *purpose)
{
	ereport(level,
			(errcode(error->sqlstate),
			 errmsg_internal("%s", error->message),
			 error->detail || purpose ?
			 errdetail_internal("%s%s%s", error->detail ? error->detail : "",
								error->detail && purpose ? "  " : "",
								purpose ? purpose : "") : 0,
			 error->hint ? errhint("%s", error->hint) : 0));
}

void
deferred_error_raise(const DeferredError *error, const char *purpose)
{
	report(ERROR, error, purpose);
	pg_unreachable();
}

void
deferred_error_warn(const DeferredError *error, const char *purpose)
{
	report(WARNING, error, purpose);
}

bool
deferred_error_refuse_setting(const DeferredError *error)
{
	GUC_check_errcode(error->sqlstate);
	GUC_check_errmsg("%s", error->message);
	if (error->detail != NULL)
		GUC_check_errdetail("%s", error->detail);
	if (error->hint != NULL)
		GUC_check_errhint("%s", error->hint);
	return false;
}
