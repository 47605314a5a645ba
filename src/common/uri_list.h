/*
 * uri_list.h
 *	  Settings that are lists of URIs.
 */
#ifndef URI_LIST_H
#define URI_LIST_H

#include "postgres.h"

#include "deferred_error.h"

/*
 * Returns the next URI of the list, and moves *list behind it; NULL at the end.  Double
 * quotes belong to the list only around a whole entry; within an entry they belong to
 * it, for example to a shell command.
 */
extern char *uri_list_next(const char **list);

/*
 * Whether the value of a setting is a well-formed list: no entry is empty, and double
 * quotes come in pairs.  An empty list is well-formed.  Returns false, and notes an
 * error, if it is not.
 */
extern bool uri_list_check(const char *list, const char *setting, int sqlstate,
						   DeferredError *error);

#endif							/* URI_LIST_H */
