/*
 * deferred_error.h
 *	  Errors that are noted first, and raised only if they turn out to matter.
 *
 * A root key, a token or a PIN that cannot be used is no error yet: the setting may
 * name another root key that will do.  When none does, the first one's error is raised.
 */
#ifndef DEFERRED_ERROR_H
#define DEFERRED_ERROR_H

#include "postgres.h"

typedef struct DeferredError
{
	int			sqlstate;
	char	   *message;		/* as for errmsg, already formatted */
	char	   *detail;			/* NULL when there is none */
	char	   *hint;			/* NULL when there is none */
} DeferredError;

/*
 * Notes an error.  Returns false, so that a function that answers whether it succeeded
 * can return what this returns.
 */
extern bool deferred_error_set(DeferredError *error, int sqlstate, char *message, char *detail,
							   char *hint);

/*
 * Raises it; purpose, a sentence that says what was to be done, is added to the detail
 * unless it is NULL.
 */
extern void deferred_error_raise(const DeferredError *error, const char *purpose);

/* Warns of it in the same words. */
extern void deferred_error_warn(const DeferredError *error, const char *purpose);

/* In a setting's check hook: refuses the new value for it.  Returns false. */
extern bool deferred_error_refuse_setting(const DeferredError *error);

#endif							/* DEFERRED_ERROR_H */
