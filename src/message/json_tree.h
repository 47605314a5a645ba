/*
 * json_tree.h
 *	  JSON as a tree in memory: made from text or jsonb, searched by name, and converted back.
 *
 * The tree consists of JsonbValues, from which PostgreSQL makes a jsonb.  So if several
 * members of an object have the same name, only the last one counts, as in jsonb.
 *
 * Invariants: a text that cannot be read gives a JsonReading that says why, not an error; the
 * depth of a tree is limited, so functions may call themselves for each level.
 */
#ifndef JSON_TREE_H
#define JSON_TREE_H

#include "postgres.h"

#include "utils/jsonb.h"

typedef enum JsonReading
{
	JSON_READ,
	JSON_NOT_READ,				/* it is no JSON */
	JSON_TOO_DEEP,
	JSON_TOO_LARGE,				/* the text, or a number in it */
	JSON_OTHER_ENCODING			/* the database's encoding does not have a
								 * character */
} JsonReading;

/*
 * The largest size of a text that is read, in bytes.  Its tree takes about twenty times as
 * much memory.
 */
#define JSON_MAX_SIZE (16 * 1024 * 1024)

/*
 * Reads a text in the database's encoding.  The character \u0000, which no text of
 * PostgreSQL can have, becomes U+FFFD, or a question mark if the encoding is not UTF8.
 */
extern JsonReading json_tree_from_text(const char *text, size_t size, JsonbValue **tree);

/* The tree points into the jsonb. */
extern JsonReading json_tree_from_jsonb(Jsonb *jsonb, JsonbValue **tree);

extern Jsonb *json_tree_to_jsonb(const JsonbValue *tree);

/* Writes a tree as text, in the form that jsonb has. */
extern char *json_tree_to_text(const JsonbValue *tree, size_t *size);

/* Converts a text to UTF-8.  If the database's encoding is SQL_ASCII, returns it unchanged. */
extern const char *text_in_utf8(const char *text, size_t *size);

/* Whether the name of a member is string. */
extern bool json_name_is(const JsonbValue *name, const char *string);

/* The value of an object's member; NULL if there is no such member, or no object. */
extern JsonbValue *json_member(const JsonbValue *object, const char *name);

static inline bool
json_has(const JsonbValue *object, const char *name)
{
	return json_member(object, name) != NULL;
}

/* Whether a value is missing, or is JSON's null. */
static inline bool
json_is_null(const JsonbValue *value)
{
	return value == NULL || value->type == jbvNull;
}

static inline bool
json_is_object(const JsonbValue *value)
{
	return value != NULL && value->type == jbvObject;
}

/* A value as text, as the operator ->> returns it; NULL if it is missing or null. */
extern char *json_text(const JsonbValue *value);

/* Sorts the members of an object in which names were changed.  Of equal names the last stays. */
extern void json_sort_members(JsonbValue *object);

#endif							/* JSON_TREE_H */
