/*
 * uri_list.h
 *	  Settings that are lists of URIs.
 */
#ifndef URI_LIST_H
#define URI_LIST_H

#include "postgres.h"

#include "deferred_error.h"

/*
 * Takes one URI off the list; NULL at the end.  Double quotes count only around
 * a whole entry: within a command they are the shell's.
 */
extern char *uri_list_next(const char **list);

/*
 * Whether a list that someone sets is well-formed: no entry is empty, and double
 * quotes come in pairs.  A list of nothing is.
 */
extern bool uri_list_check(const char *list, const char *setting, int sqlstate,
						   DeferredError *error);

#endif							/* URI_LIST_H */
