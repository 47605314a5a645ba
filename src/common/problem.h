/*
 * problem.h
 *	  What is wrong with a root key, a token or a PIN, where it may not matter.
 *
 * Filled in place of an error, since there may be another root key that does; or
 * reported, when there is none.
 */
#ifndef PROBLEM_H
#define PROBLEM_H

#include "postgres.h"

typedef struct Problem
{
	int			sqlstate;
	char	   *message;		/* as for errmsg, already formatted */
	char	   *detail;			/* NULL when there is none */
	char	   *hint;			/* NULL when there is none */
} Problem;

/* Raises; the detail goes on with what the thing was needed for, if not NULL. */
extern void problem_report(const Problem *problem, const char *purpose);

/* The same as a warning. */
extern void problem_warn(const Problem *problem, const char *purpose);

/* In a check hook: the setting's new value is refused for it.  Returns false. */
extern bool problem_refuse_setting(const Problem *problem);

#endif							/* PROBLEM_H */
