/*
 * deferred_error.h
 *	  Errors that are noted first, and raised only if nothing else works.
 *
 * If a root key, a token or a PIN cannot be used, that is not an error yet: the setting
 * may name another root key that opens the KEK.  If none does, the error about the
 * first one is raised.
 */
#ifndef DEFERRED_ERROR_H
#define DEFERRED_ERROR_H

#include "postgres.h"

typedef struct DeferredError
{
	int			sqlstate;
	char	   *message;		/* the primary message, already formatted */
	char	   *detail;			/* NULL when there is none */
	char	   *hint;			/* NULL when there is none */
} DeferredError;

/*
 * Notes an error.  Always returns false, so that a function whose result is whether it
 * succeeded can end with "return deferred_error_set(...)".
 */
static inline bool
deferred_error_set(DeferredError *error, int sqlstate, char *message, char *detail, char *hint)
{
	error->sqlstate = sqlstate;
	error->message = message;
	error->detail = detail;
	error->hint = hint;
	return false;
}

/* Adds a sentence to the detail. */
extern void deferred_error_add_detail(DeferredError *error, char *sentence);

/*
 * Reports the error at a level of ereport().  If purpose is not NULL, it is a sentence
 * that says what was to be done, and is added to the detail.
 */
extern void deferred_error_report(int level, const DeferredError *error, const char *purpose);

/* Raises it.  Inline, so that the compiler sees that it does not return. */
static inline void
deferred_error_raise(const DeferredError *error, const char *purpose)
{
	deferred_error_report(ERROR, error, purpose);
	pg_unreachable();
}

/* Makes a warning of it, with the same texts. */
static inline void
deferred_error_warn(const DeferredError *error, const char *purpose)
{
	deferred_error_report(WARNING, error, purpose);
}

/* For a setting's check hook: makes it the reason to refuse the value; returns false. */
extern bool deferred_error_refuse_setting(const DeferredError *error);

#endif							/* DEFERRED_ERROR_H */
