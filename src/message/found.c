/*
 * found.c
 *	  Describes what a message has, for people who look for its fault.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"

#include "found.h"

/* A key has 16 bytes, which are at least 22 characters in base64. */
#define MAX_VALUE_SIZE 15
#define MAX_NAME_SIZE 20

/* The number of names that are shown. */
#define MAX_NAMES 6

static const char *
count_of(const char *one, const char *several, int n)
{
	return psprintf(n == 1 ? one : several, n);
}

static const char *
found_string(const char *string, int size)
{
	if (size == 0)
		return "an empty string";
	if (size <= MAX_VALUE_SIZE)
		return psprintf("\"%.*s\"", size, string);
	return psprintf("a string of %d characters", pg_mbstrlen_with_len(string, size));
}

const char *
found_value(const JsonbValue *value)
{
	const char *number;

	if (value == NULL)
		return "nothing";
	switch (value->type)
	{
		case jbvNull:
			return "null";
		case jbvBool:
			return value->val.boolean ? "true" : "false";
		case jbvString:
			return found_string(value->val.string.val, value->val.string.len);
		case jbvNumeric:
			number = json_text(value);
			return strlen(number) <= MAX_VALUE_SIZE ? number : psprintf("a number of %zu characters", strlen(number));
		case jbvArray:
			return count_of("an array of %d element", "an array of %d elements", value->val.array.nElems);
		default:
			return count_of("an object of %d member", "an object of %d members", value->val.object.nPairs);
	}
}

const char *
found_members(const JsonbValue *object)
{
	StringInfoData names;
	int			shown = 0;
	int			others;

	initStringInfo(&names);
	for (int i = 0; i < object->val.object.nPairs && shown < MAX_NAMES; i++)
	{
		const JsonbValue *name = &object->val.object.pairs[i].key;

		if (name->val.string.len > MAX_NAME_SIZE)
			continue;
		appendStringInfo(&names, "%s%.*s", shown == 0 ? "" : ", ", name->val.string.len, name->val.string.val);
		shown++;
	}
	others = object->val.object.nPairs - shown;
	if (shown == 0)
		return found_value(object);
	if (others > 0)
		appendStringInfo(&names, " and %s", count_of("%d other", "%d others", others));
	return psprintf("the members %s", names.data);
}
