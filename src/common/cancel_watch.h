/*
 * cancel_watch.h
 *	  Notices that a statement is cancelled, even if the code that runs hides it.
 */
#ifndef CANCEL_WATCH_H
#define CANCEL_WATCH_H

#include "postgres.h"

typedef struct CancelWatch
{
	ErrorContextCallback callback;
	MemoryContext context;		/* for copies of errors; must outlive the
								 * watch */
	const char *table;			/* whose code runs, for the error; or NULL */
	char		message[256];	/* of the cancellation; "" if there was none */
} CancelWatch;

/* Begins to watch.  The watch must stay in memory until it ends, also after an error. */
extern void cancel_watch_begin(CancelWatch *watch, const char *table);

/* Ends it, and raises the error of the cancellation if there was one. */
extern void cancel_watch_end(CancelWatch *watch);

/*
 * Raises the error of the cancellation if there was one.  To be called in PG_CATCH() and
 * after it: the watch has ended if it began in PG_TRY().
 */
extern void cancel_watch_check(const CancelWatch *watch);

#endif							/* CANCEL_WATCH_H */
