/*
 * message_keys.c
 *	  Finds the plaintext keys in a message, and wraps them.
 *
 * A key cannot be recognized by its value.  So it is recognized by its name: each name whose
 * last letters are "key", as in app_s_key, appSKey and key.
 *
 * Invariants: afterwards, the message has under such a name only wrapped keys, and numbers of
 * keys that were taken out; if a key cannot be wrapped, an error is raised, and nothing of
 * the message may be written.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/numeric.h"

#include "../catalog/wrapped_key.h"
#include "../common/bytea.h"
#include "../crypto/hex.h"
#include "../crypto/secure_memory.h"
#include "../lorawan/frame.h"
#include "../vault/plaintext_key.h"
#include "../vault/wrapping.h"
#include "field.h"
#include "message_keys.h"

/* The size of the pieces in which a text is wrapped, in bytes. */
#define PIECE_SIZE 4096

List *
message_seal(const char *text, size_t size, const char *label)
{
	List	   *pieces = NIL;
	const char *bytes = text_in_utf8(text, &size);

	for (size_t at = 0; at < size; at += PIECE_SIZE)
		pieces = lappend(pieces, vault_wrap(label, (const uint8 *) bytes + at, Min(size - at, PIECE_SIZE), NULL));
	return pieces;
}

static bool
name_ends_in(const JsonbValue *name, const char *ending)
{
	int			size = strlen(ending);

	return name->val.string.len >= size &&
		pg_strncasecmp(name->val.string.val + name->val.string.len - size, ending, size) == 0;
}

static int
count_keys(const JsonbValue *value)
{
	int			count = 0;

	if (value->type == jbvArray)
	{
		for (int i = 0; i < value->val.array.nElems; i++)
			count += count_keys(&value->val.array.elems[i]);
	}
	else if (value->type == jbvObject)
	{
		for (int i = 0; i < value->val.object.nPairs; i++)
			count += name_ends_in(&value->val.object.pairs[i].key, "key") +
				count_keys(&value->val.object.pairs[i].value);
	}
	return count;
}

static const char *
label_of(MessageKeys *keys)
{
	if (keys->known_label == NULL)
		keys->known_label = keys->label(keys);
	return keys->known_label;
}

static bool
has_label(const JsonbValue *object)
{
	char	   *label = json_text(json_member(object, "kek_label"));

	if (label == NULL)
		label = json_text(json_member(object, "kekLabel"));
	return label != NULL && *label != '\0';
}

/* Null, true, false and an empty string are no keys. */
static bool
is_no_key(const JsonbValue *value)
{
	return value->type == jbvNull || value->type == jbvBool ||
		(value->type == jbvString && value->val.string.len == 0);
}

/* The bytes of a key whose form is known, otherwise NULL. */
static bytea *
key_bytes(const JsonbValue *name, const JsonbValue *value)
{
	bytea	   *bytes;

	if (value->type != jbvString)
		return NULL;
	if (json_name_is(name, "key"))
	{
		if (value->val.string.len != 2 * LORAWAN_KEY_SIZE || !is_hex(value->val.string.val, value->val.string.len))
			return NULL;
		bytes = bytea_from_bytes((const uint8 *) value->val.string.val, LORAWAN_KEY_SIZE);
		(void) hex_to_bytes(value->val.string.val, LORAWAN_KEY_SIZE, (uint8 *) VARDATA(bytes));
		return bytes;
	}
	if (json_name_is(name, "encrypted_key") || json_name_is(name, "aesKey"))
		return bytes_from_base64(value->val.string.val, value->val.string.len);
	return NULL;
}

static JsonbValue
number(int n)
{
	JsonbValue	value = {.type = jbvNumeric};

	value.val.numeric = int64_to_numeric(n);
	return value;
}

/*
 * Seals a value whose form is not known: wraps its text in pieces, and puts an object with the
 * numbers of the pieces, {"sealed": [1, 2]}, in its place.
 */
static void
seal_value(JsonbValue *value, MessageKeys *keys)
{
	size_t		size;
	char	   *text = json_tree_to_text(value, &size);
	List	   *pieces = message_seal(text, size, label_of(keys));
	JsonbPair  *pair = palloc0(sizeof(JsonbPair));

	pair->key.type = jbvString;
	pair->key.val.string.val = pstrdup("sealed");
	pair->key.val.string.len = strlen("sealed");
	pair->value.type = jbvArray;
	pair->value.val.array.rawScalar = false;
	pair->value.val.array.nElems = list_length(pieces);
	pair->value.val.array.elems = palloc(list_length(pieces) * sizeof(JsonbValue));
	for (int i = 0; i < list_length(pieces); i++)
		pair->value.val.array.elems[i] = number(list_length(keys->wrapped) + i + 1);
	keys->wrapped = list_concat(keys->wrapped, pieces);
	value->type = jbvObject;
	value->val.object.nPairs = 1;
	value->val.object.pairs = pair;
}

/*
 * Wraps a value that may be a key: its name ends in "key", or it is in an object whose name
 * does.  A value that is wrapped already stays as it is.
 */
static void
wrap_member(JsonbPair *member, bool labelled, MessageKeys *keys)
{
	bytea	   *bytes = key_bytes(&member->key, &member->value);
	int			size = bytes != NULL ? VARSIZE(bytes) - VARHDRSZ : 0;
	bool		may_be_wrapped = labelled && !json_name_is(&member->key, "key");

	/*
	 * If all characters are hexadecimal digits, it is probably a plaintext
	 * key, and not a wrapped one in base64.
	 */
	if (may_be_wrapped && size >= 24 && size % 8 == 0 &&
		!is_hex(member->value.val.string.val, member->value.val.string.len))
		return;
	if (size == LORAWAN_KEY_SIZE && !may_be_wrapped)
	{
		plaintext_key_check((const uint8 *) VARDATA(bytes), size);
		keys->wrapped = lappend(keys->wrapped,
								vault_import("", (const uint8 *) VARDATA(bytes), size, label_of(keys), NULL));
		secure_wipe(VARDATA(bytes), size);
		member->key.val.string.val = pstrdup("wrapped_key");
		member->key.val.string.len = strlen("wrapped_key");
		member->value = number(list_length(keys->wrapped));
	}
	else
		seal_value(&member->value, keys);
}

static void
wrap_keys(JsonbValue *value, MessageKeys *keys, bool in_key)
{
	bool		labelled;
	int			before = list_length(keys->wrapped);

	if (value->type == jbvArray)
	{
		for (int i = 0; i < value->val.array.nElems; i++)
			wrap_keys(&value->val.array.elems[i], keys, false);
		return;
	}
	if (value->type != jbvObject)
		return;
	labelled = has_label(value);
	for (int i = 0; i < value->val.object.nPairs; i++)
	{
		JsonbPair  *member = &value->val.object.pairs[i];
		bool		is_key = name_ends_in(&member->key, "key");

		if (member->value.type == jbvObject)
			wrap_keys(&member->value, keys, in_key || is_key);
		else if (!is_key && (!in_key || name_ends_in(&member->key, "label")))
			wrap_keys(&member->value, keys, false);
		else if (!is_no_key(&member->value))
			wrap_member(member, labelled, keys);
	}
	if (list_length(keys->wrapped) > before)
		json_sort_members(value);
}

void
message_wrap_keys(JsonbValue *message, MessageKeys *keys, bool in_key, MessageFault *fault)
{
	int			count = count_keys(message);

	if (count > MESSAGE_MAX_KEYS)
		message_fault(fault, ERRCODE_PROGRAM_LIMIT_EXCEEDED, NO_DETAILS,
					  "message has more than %d keys", MESSAGE_MAX_KEYS);
	else if (count > 0 || in_key)
		wrap_keys(message, keys, in_key);
}
