/*
 * uri_list.c
 *	  Settings that are lists of URIs.
 *
 * The URIs are separated by commas.  A URI that contains a comma is in double quotes,
 * and a double quote in it is doubled.
 *
 * Invariant: uri_list_next() makes entries of any text; only uri_list_check() says
 * whether the text is well-formed.  The entries themselves are not checked here.
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

static const char *
skip_blanks(const char *c)
{
	while (isspace((unsigned char) *c))
		c++;
	return c;
}

/* What is wrong with the list, as a sentence; NULL if nothing is. */
static char *
find_fault(const char *list)
{
	const char *c = skip_blanks(list);

	if (*c == '\0')
		return NULL;
	for (int entry = 1;; entry++)
	{
		const char *start = c;

		if (*c == '"')
		{
			for (c++; *c != '\0' && (*c != '"' || c[1] == '"'); c++)
				if (*c == '"')
					c++;
			if (*c == '\0')
				return psprintf(_("Entry %d has a double quote at its start and none at its end."), entry);
			if (c == start + 1)
				return psprintf(_("Entry %d is empty."), entry);
			c = skip_blanks(c + 1);
			if (*c != '\0' && *c != ',')
				return psprintf(_("Entry %d goes on after its closing double quote."), entry);
		}
		else
		{
			while (*c != '\0' && *c != ',')
				c++;
			if (c == start)
				return psprintf(_("Entry %d is empty."), entry);
		}
		if (*c == '\0')
			return NULL;
		c = skip_blanks(c + 1);
	}
}

bool
uri_list_check(const char *list, const char *setting, int sqlstate, DeferredError *error)
{
	char	   *fault = find_fault(list);

	if (fault == NULL)
		return true;
	return deferred_error_set(error, sqlstate,
							  psprintf(_("setting \"%s\" is not a list of URIs"), setting),
							  fault,
							  pstrdup(_("Put a comma between two entries, and double quotes around an entry that contains a comma.")));
}
