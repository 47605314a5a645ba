/*
 * json_tree.c
 *	  JSON as a tree in memory: made from text or jsonb, searched by name, and converted back.
 *
 * PostgreSQL's own JSON parser reads the text in one pass, and calls the functions below for
 * each object, array and scalar.  Before that, look_at() finds what the parser or these
 * functions would raise an error for.  So only three errors are left: a lack of memory, a
 * cancellation, and a character that the database's encoding does not have, which
 * try_parse() catches.
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "common/jsonapi.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/numeric.h"

#include "../crypto/hex.h"
#include "../common/subtransaction.h"
#include "json_tree.h"

/* The stack that PostgreSQL's functions take for one level of JSON at most, in bytes. */
#define STACK_OF_A_LEVEL 512

/*
 * A number fits into the type numeric if it has at most this number of characters, and its
 * exponent at most this number of digits.
 */
#define MAX_NUMBER 10000
#define MAX_EXPONENT 3

/* Since PostgreSQL 16, the functions that the parser calls return a result. */
#if PG_VERSION_NUM >= 160000
#define ACTION static JsonParseErrorType
#define DONE return JSON_SUCCESS
#else
#define ACTION static void
#define DONE return
#endif

typedef struct Builder
{
	JsonbParseState *state;
	JsonbValue *tree;
} Builder;

ACTION
object_start(void *state)
{
	Builder    *builder = state;

	CHECK_FOR_INTERRUPTS();
	builder->tree = pushJsonbValue(&builder->state, WJB_BEGIN_OBJECT, NULL);
	DONE;
}

ACTION
object_end(void *state)
{
	Builder    *builder = state;

	builder->tree = pushJsonbValue(&builder->state, WJB_END_OBJECT, NULL);
	DONE;
}

ACTION
array_start(void *state)
{
	Builder    *builder = state;

	CHECK_FOR_INTERRUPTS();
	builder->tree = pushJsonbValue(&builder->state, WJB_BEGIN_ARRAY, NULL);
	DONE;
}

ACTION
array_end(void *state)
{
	Builder    *builder = state;

	builder->tree = pushJsonbValue(&builder->state, WJB_END_ARRAY, NULL);
	DONE;
}

ACTION
member_start(void *state, char *name, bool isnull)
{
	Builder    *builder = state;
	JsonbValue	key = {.type = jbvString};

	key.val.string.val = name;
	key.val.string.len = strlen(name);
	builder->tree = pushJsonbValue(&builder->state, WJB_KEY, &key);
	DONE;
}

ACTION
scalar(void *state, char *token, JsonTokenType type)
{
	Builder    *builder = state;
	JsonbValue	value;

	switch (type)
	{
		case JSON_TOKEN_STRING:
			value.type = jbvString;
			value.val.string.val = token;
			value.val.string.len = strlen(token);
			break;
		case JSON_TOKEN_NUMBER:
			value.type = jbvNumeric;
			value.val.numeric = DatumGetNumeric(DirectFunctionCall3(numeric_in,
																	CStringGetDatum(token),
																	ObjectIdGetDatum(InvalidOid),
																	Int32GetDatum(-1)));
			break;
		case JSON_TOKEN_TRUE:
		case JSON_TOKEN_FALSE:
			value.type = jbvBool;
			value.val.boolean = type == JSON_TOKEN_TRUE;
			break;
		default:
			value.type = jbvNull;
			break;
	}
	if (builder->state == NULL)
	{
		/* The whole text is this one value. */
		builder->tree = palloc(sizeof(JsonbValue));
		*builder->tree = value;
	}
	else
		builder->tree = pushJsonbValue(&builder->state,
									   builder->state->contVal.type == jbvArray ? WJB_ELEM : WJB_VALUE,
									   &value);
	DONE;
}

static JsonParseErrorType
parse(const char *text, size_t size, JsonbValue **tree)
{
	Builder		builder = {0};
	JsonSemAction actions = {
		.semstate = &builder,
		.object_start = object_start,
		.object_end = object_end,
		.array_start = array_start,
		.array_end = array_end,
		.object_field_start = member_start,
		.scalar = scalar
	};
	JsonParseErrorType result;
#if PG_VERSION_NUM >= 170000
	JsonLexContext *lex = makeJsonLexContextCstringLen(NULL, text, size, GetDatabaseEncoding(), true);
#else
	JsonLexContext *lex = makeJsonLexContextCstringLen(unconstify(char *, text), size,
													   GetDatabaseEncoding(), true);
#endif

	result = pg_parse_json(lex, &actions);
	*tree = builder.tree;
	return result;
}

/* Does the same.  Sets untranslatable if the database's encoding does not have a character. */
static JsonParseErrorType
try_parse(const char *text, size_t size, JsonbValue **tree, bool *untranslatable)
{
	Subtransaction state;
	volatile JsonParseErrorType result = JSON_SUCCESS;
	MemoryContext context = CurrentMemoryContext;

	subtransaction_begin(&state);
	PG_TRY();
	{
		MemoryContextSwitchTo(context);
		result = parse(text, size, tree);
		subtransaction_commit(&state);
	}
	PG_CATCH();
	{
		ErrorData  *error = subtransaction_catch(&state);

		/*
		 * If the encoding is SQL_ASCII, PostgreSQL raises "feature not
		 * supported".
		 */
		if (error->sqlerrcode != ERRCODE_UNTRANSLATABLE_CHARACTER &&
			error->sqlerrcode != ERRCODE_FEATURE_NOT_SUPPORTED)
			ReThrowError(error);
		*untranslatable = true;
	}
	PG_END_TRY();
	return result;
}

/* What is known of a text before it is parsed. */
typedef struct Outlook
{
	int			depth;
	bool		has_large_number;
	bool		has_escaped_nul;
	bool		has_escaped_character;	/* that is not ASCII */
} Outlook;

/* The value of the four digits of an escape \uXXXX, or -1. */
static int
escaped_character(const char *digits, const char *end)
{
	uint8		bytes[2];

	return end - digits >= 4 && hex_to_bytes(digits, 2, bytes) ? bytes[0] << 8 | bytes[1] : -1;
}

/* Looks at a string from the character behind its first quote; returns where its last quote is. */
static const char *
look_at_string(const char *at, const char *end, Outlook *outlook)
{
	for (; at < end && *at != '"'; at++)
	{
		if (*at != '\\' || ++at == end)
			continue;
		if (*at == 'u')
		{
			int			character = escaped_character(at + 1, end);

			outlook->has_escaped_nul |= character == 0;
			outlook->has_escaped_character |= character > 0x7f;
		}
	}
	return at;
}

static const char *
look_at_number(const char *at, const char *end, Outlook *outlook)
{
	const char *start = at;
	const char *exponent = NULL;

	for (; at < end && (isdigit((unsigned char) *at) || strchr("+-.eE", *at) != NULL); at++)
		if (*at == 'e' || *at == 'E')
			exponent = at + 1;
	outlook->has_large_number |= at - start > MAX_NUMBER;
	if (exponent != NULL)
	{
		while (exponent < at && strchr("+-0", *exponent) != NULL)
			exponent++;
		outlook->has_large_number |= at - exponent > MAX_EXPONENT;
	}
	return at - 1;
}

static Outlook
look_at(const char *text, size_t size)
{
	const char *end = text + size;
	Outlook		outlook = {0};
	int			depth = 0;

	for (const char *at = text; at < end; at++)
	{
		if (*at == '"')
			at = look_at_string(at + 1, end, &outlook);
		else if (*at == '{' || *at == '[')
		{
			depth++;
			outlook.depth = Max(outlook.depth, depth);
		}
		else if (*at == '}' || *at == ']')
			depth--;
		else if (isdigit((unsigned char) *at))
			at = look_at_number(at, end, &outlook);
	}
	return outlook;
}

/* Copies a text, and replaces each \u0000, which a text of PostgreSQL cannot have. */
static char *
replace_escaped_nul(const char *text, size_t *size)
{
	char	   *copy = palloc(*size + 1);
	char	   *to = copy;
	const char *end = text + *size;
	bool		unicode = GetDatabaseEncoding() == PG_UTF8;

	for (const char *at = text; at < end;)
	{
		if (*at != '\\' || end - at < 2)
			*to++ = *at++;
		else if (at[1] == 'u' && escaped_character(at + 2, end) == 0)
		{
			const char *instead = unicode ? "\\ufffd" : "?";

			memcpy(to, instead, strlen(instead));
			to += strlen(instead);
			at += 6;
		}
		else
		{
			*to++ = *at++;
			*to++ = *at++;
		}
	}
	*to = '\0';
	*size = to - copy;
	return copy;
}

/* The number of levels of JSON for which the stack is surely large enough. */
static int
max_levels(void)
{
	return max_stack_depth * (1024 / STACK_OF_A_LEVEL);
}

JsonReading
json_tree_from_text(const char *text, size_t size, JsonbValue **tree)
{
	Outlook		outlook;
	bool		untranslatable = false;
	JsonParseErrorType result;

	*tree = NULL;
	if (size > JSON_MAX_SIZE)
		return JSON_TOO_LARGE;
	outlook = look_at(text, size);
	if (outlook.depth > max_levels())
		return JSON_TOO_DEEP;
	if (outlook.has_large_number)
		return JSON_TOO_LARGE;
	if (outlook.has_escaped_nul)
		text = replace_escaped_nul(text, &size);
	if (outlook.has_escaped_character && GetDatabaseEncoding() != PG_UTF8)
		result = try_parse(text, size, tree, &untranslatable);
	else
		result = parse(text, size, tree);
	if (untranslatable)
		return JSON_OTHER_ENCODING;
	return result == JSON_SUCCESS && *tree != NULL ? JSON_READ : JSON_NOT_READ;
}

JsonReading
json_tree_from_jsonb(Jsonb *jsonb, JsonbValue **tree)
{
	JsonbParseState *state = NULL;
	JsonbIterator *iterator = JsonbIteratorInit(&jsonb->root);
	JsonbIteratorToken token;
	JsonbValue	value;
	int			depth = 0;

	*tree = NULL;
	while ((token = JsonbIteratorNext(&iterator, &value, false)) != WJB_DONE)
	{
		bool		begins = token == WJB_BEGIN_OBJECT || token == WJB_BEGIN_ARRAY;
		bool		ends = token == WJB_END_OBJECT || token == WJB_END_ARRAY;

		CHECK_FOR_INTERRUPTS();
		if (begins && ++depth > max_levels())
			return JSON_TOO_DEEP;
		if (ends)
			depth--;

		/*
		 * The token that begins an array says whether it is an array, or
		 * stands for a scalar.
		 */
		*tree = pushJsonbValue(&state, token,
							   begins || ends ? (token == WJB_BEGIN_ARRAY && value.val.array.rawScalar ? &value : NULL) : &value);
	}
	return JSON_READ;
}

Jsonb *
json_tree_to_jsonb(const JsonbValue *tree)
{
	return JsonbValueToJsonb(unconstify(JsonbValue *, tree));
}

char *
json_tree_to_text(const JsonbValue *tree, size_t *size)
{
	StringInfoData text;
	Jsonb	   *jsonb = json_tree_to_jsonb(tree);

	initStringInfo(&text);
	(void) JsonbToCString(&text, &jsonb->root, VARSIZE(jsonb));
	*size = text.len;
	return text.data;
}

const char *
text_in_utf8(const char *text, size_t *size)
{
	const char *utf8;

	if (GetDatabaseEncoding() == PG_SQL_ASCII)
		return text;
	utf8 = pg_server_to_any(text, *size, PG_UTF8);
	if (utf8 != text)
		*size = strlen(utf8);
	return utf8;
}

bool
json_name_is(const JsonbValue *name, const char *string)
{
	return name->val.string.len == strlen(string) &&
		memcmp(name->val.string.val, string, name->val.string.len) == 0;
}

JsonbValue *
json_member(const JsonbValue *object, const char *name)
{
	if (!json_is_object(object))
		return NULL;
	for (int i = 0; i < object->val.object.nPairs; i++)
	{
		JsonbPair  *pair = &object->val.object.pairs[i];

		if (json_name_is(&pair->key, name))
			return &pair->value;
	}
	return NULL;
}

char *
json_text(const JsonbValue *value)
{
	size_t		size;

	if (json_is_null(value))
		return NULL;
	switch (value->type)
	{
		case jbvString:
			return pnstrdup(value->val.string.val, value->val.string.len);
		case jbvNumeric:
			return DatumGetCString(DirectFunctionCall1(numeric_out,
													   NumericGetDatum(value->val.numeric)));
		case jbvBool:
			return pstrdup(value->val.boolean ? "true" : "false");
		default:
			return json_tree_to_text(value, &size);
	}
}

/* The order of jsonb: shorter names first, then by their bytes, then as they came. */
static int
compare_members(const void *a, const void *b)
{
	const JsonbPair *one = a;
	const JsonbPair *other = b;
	int			order;

	if (one->key.val.string.len != other->key.val.string.len)
		return one->key.val.string.len < other->key.val.string.len ? -1 : 1;
	order = memcmp(one->key.val.string.val, other->key.val.string.val, one->key.val.string.len);
	if (order == 0)
		order = one->order < other->order ? -1 : 1;
	return order;
}

static bool
have_same_name(const JsonbPair *one, const JsonbPair *other)
{
	return one->key.val.string.len == other->key.val.string.len &&
		memcmp(one->key.val.string.val, other->key.val.string.val, one->key.val.string.len) == 0;
}

void
json_sort_members(JsonbValue *object)
{
	JsonbPair  *pairs = object->val.object.pairs;
	int			n = object->val.object.nPairs;
	int			kept = 0;

	for (int i = 0; i < n; i++)
		pairs[i].order = i;
	qsort(pairs, n, sizeof(JsonbPair), compare_members);
	for (int i = 0; i < n; i++)
	{
		if (i + 1 < n && have_same_name(&pairs[i], &pairs[i + 1]))
			continue;
		pairs[kept++] = pairs[i];
	}
	object->val.object.nPairs = kept;
}
