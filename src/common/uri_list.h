/*
 * uri_list.h
 *	  Settings that are lists of URIs.
 */
#ifndef URI_LIST_H
#define URI_LIST_H

#include "postgres.h"

/*
 * Takes one URI off the list; NULL at the end.  Double quotes count only around
 * a whole entry: within a command they are the shell's.
 */
extern char *uri_list_next(const char **list);

#endif							/* URI_LIST_H */
