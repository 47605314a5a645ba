/*
 * uri_list.c
 *	  Settings that are lists of URIs.
 *
 * The URIs stand between commas; one with a comma in it stands in double
 * quotes.  Called by root_key.c and kek_token.c.
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
