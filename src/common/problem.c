/*
 * problem.c
 *	  Reporting what is wrong with a root key, a token or a PIN.
 *
 * Called by what uses root keys and tokens.
 */
#include "postgres.h"

#include "problem.h"

static void
report(int level, const Problem *problem, const char *purpose)
{
	ereport(level,
			(errcode(problem->sqlstate),
			 errmsg_internal("%s", problem->message),
			 errdetail_internal("%s%s%s", problem->detail ? problem->detail : "",
								problem->detail ? "  " : "", purpose),
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
