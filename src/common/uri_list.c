/*
 * uri_list.c
 *	  Settings that are lists of URIs.
 *
 * The URIs are separated by commas; one that contains a comma is in double quotes.
 *
 * Invariant: every text is a list; what an entry means is for others to check.
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "uri_list.h"

char *
uri_list_next(const char **list)
{
	StringInfoData uri;
	const char *c = *list;

	while (*c == ',' || isspace((unsigned char) *c))
		c++;
	if (*c == '\0')
		return NULL;

	initStringInfo(&uri);
	if (*c == '"')
	{
		for (c++; *c != '\0' && (*c != '"' || c[1] == '"'); c++)
		{
			if (*c == '"')
				c++;
			appendStringInfoChar(&uri, *c);
		}
		if (*c == '"')
			c++;
	}
	for (; *c != '\0' && *c != ','; c++)
		appendStringInfoChar(&uri, *c);
	while (uri.len > 0 && isspace((unsigned char) uri.data[uri.len - 1]))
		uri.data[--uri.len] = '\0';
	*list = c;
	return uri.data;
}
