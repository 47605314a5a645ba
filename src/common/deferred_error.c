/*
 * deferred_error.c
 *	  Errors that are noted first, and raised only if nothing else works.
 *
 * Invariant: the texts are in the memory context that was current when the error was
 * noted, and the error is raised before that context is reset.
 */
#include "postgres.h"

#include "utils/guc.h"

#include "deferred_error.h"
#include "errors.h"

void
deferred_error_add_detail(DeferredError *error, char *sentence)
{
	error->detail = error->detail == NULL ? sentence :
		psprintf("%s  %s", error->detail, sentence);
}

void
deferred_error_report(int level, const DeferredError *error, const char *purpose)
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
