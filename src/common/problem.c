/*
 * problem.c
 *	  Reporting what is wrong with a root key, a token or a PIN.
 */
#include "postgres.h"

#include "utils/guc.h"

#include "problem.h"

static void
report(int level, const Problem *problem, const char *purpose)
{
	ereport(level,
			(errcode(problem->sqlstate),
			 errmsg_internal("%s", problem->message),
			 problem->detail || purpose ?
			 errdetail_internal("%s%s%s", problem->detail ? problem->detail : "",
								problem->detail && purpose ? "  " : "",
								purpose ? purpose : "") : 0,
			 problem->hint ? errhint("%s", problem->hint) : 0));
}

void
problem_report(const Problem *problem, const char *purpose)
{
	report(ERROR, problem, purpose);
	pg_unreachable();
}

void
problem_warn(const Problem *problem, const char *purpose)
{
	report(WARNING, problem, purpose);
}

bool
problem_refuse_setting(const Problem *problem)
{
	GUC_check_errcode(problem->sqlstate);
	GUC_check_errmsg("%s", problem->message);
	if (problem->detail != NULL)
		GUC_check_errdetail("%s", problem->detail);
	if (problem->hint != NULL)
		GUC_check_errhint("%s", problem->hint);
	return false;
}
