/*
 * incoming.c
 *	  Reads a message that is to be stored, and takes its plaintext keys out.
 *
 * Invariant: the IncomingMessage that a function here returns has no plaintext key in it.
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "../message/body.h"
#include "../message/message_keys.h"
#include "attempt.h"
#include "incoming.h"
#include "statement.h"
#include "translation.h"

char	   *incoming_reject_reason = "";

#define NO_OBJECT "line is not a JSON object"
#define NO_BODY "message is neither text in UTF-8 nor a whole event of ChirpStack"

/*
 * The KEK label under which a storage keeps the keys of an application; without an
 * application (NULL), the label of the storage.
 */
static const char *
label_at_rest(const char *application, const char *search_path)
{
	static const Oid types[] = {TEXTOID};
	static const Statement look = {
		"SELECT coalesce((SELECT a.kek_label FROM application a WHERE a.application_id = $1),"
		" (SELECT s.kek_label FROM storage_settings s))", 1, types
	};
	MemoryContext caller = CurrentMemoryContext;
	Datum		values[1];
	bool		isnull;
	Datum		value;
	char	   *label;
	int			nestlevel = search_path_begin(search_path);

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	values[0] = application != NULL ? CStringGetTextDatum(application) : (Datum) 0;
	(void) statement_run(&look, values, application != NULL ? " " : "n");
	value = statement_column(0, 1, &isnull);
	if (isnull)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("storage has no settings"),
				 errhint("CALL key_vault.create_storage() again.")));
	label = MemoryContextStrdup(caller, TextDatumGetCString(value));
	SPI_finish();
	search_path_end(nestlevel);
	return label;
}

static void
digest_text(const char *text, size_t size, uint8 *digest)
{
	const char *utf8 = text_in_utf8(text, &size);

	(void) SHA256((const uint8 *) utf8, size, digest);
}

const uint8 *
incoming_digest(IncomingMessage *message)
{
	if (!message->has_digest)
	{
		size_t		size;
		char	   *text = json_tree_to_text(message->tree, &size);

		if (message->is_result)
		{
			text = psprintf("{\"result\": %s}", text);
			size = strlen(text);
		}
		digest_text(text, size, message->digest);
		message->has_digest = true;
	}
	return message->digest;
}

/* Called for the first key that is found, before the message is changed. */
static const char *
label_for_keys(MessageKeys *keys)
{
	IncomingMessage *message = keys->context;

	(void) incoming_digest(message);
	return label_at_rest(message_application(message->tree), message->storage->search_path);
}

/* Wraps a whole line, since it cannot be searched for keys. */
static IncomingMessage *
wrap_line(IncomingMessage *message, const char *text, size_t size, const char *why)
{
	message->tree = NULL;
	message->why = why;
	digest_text(text, size, message->digest);
	message->has_digest = true;
	message->keys = message_seal(text, size, label_at_rest(NULL, message->storage->search_path));
	return message;
}

static IncomingMessage *
wrap_tree(IncomingMessage *message, const JsonbValue *tree, const char *why)
{
	size_t		size;
	char	   *text = json_tree_to_text(tree, &size);

	return wrap_line(message, text, size, why);
}

static const char *
why_not_read(JsonReading reading)
{
	switch (reading)
	{
		case JSON_TOO_DEEP:
			return "line is nested too deep";
		case JSON_TOO_LARGE:
			return psprintf("line is larger than %d MB, or has a number that is too large",
							JSON_MAX_SIZE / (1024 * 1024));
		case JSON_OTHER_ENCODING:
			return psprintf("line has characters that a database of encoding %s cannot have",
							GetDatabaseEncodingName());
		default:
			return NO_OBJECT;
	}
}

static void
translate_in_storage(void *arg)
{
	IncomingMessage *message = arg;
	int			nestlevel = search_path_begin(message->storage->search_path);

	message->events = translation_events(message->tree, &message->fault);
	search_path_end(nestlevel);
}

/*
 * Reads the events by the storage's own function.  If it fails, the message is stored by
 * itself: then the function is called again, and its error is why the message is rejected.
 */
static void
read_by_translation(IncomingMessage *message)
{
	const ErrorData *error = attempt(translate_in_storage, message);

	if (error != NULL)
		message_fault(&message->fault, error->sqlerrcode, NO_DETAILS, "%s", error->message);
}

/* Reads a JSON object as it came. */
static IncomingMessage *
read_object(IncomingMessage *message, JsonbValue *tree)
{
	MessageKeys keys = {.label = label_for_keys,.context = message};
	JsonbValue *result = json_member(tree, "result");
	MessageFault fault = {0};

	/*
	 * The Storage Integration API of The Things Stack puts each message into
	 * an object as its only member, result.
	 */
	message->is_result = json_is_object(result) && tree->val.object.nPairs == 1;
	message->tree = message->is_result ? result : tree;
	message_wrap_keys(message->tree, &keys, false, &fault);
	if (message_is_faulty(&fault))
		return wrap_tree(message, tree, psprintf("message is not looked through for keys: %s", fault.reason));
	message->keys = keys.wrapped;
	if (incoming_reject_reason[0] != '\0')
		message->why = pstrdup(incoming_reject_reason);
	if (message->storage->translates)
		read_by_translation(message);
	else
		message->events = message_events(message->tree, &message->fault);
	return message;
}

IncomingMessage *
incoming_from_text(const char *text, size_t size, const IncomingStorage *storage)
{
	IncomingMessage *message = palloc0(sizeof(IncomingMessage));
	JsonbValue *tree;
	JsonReading reading = json_tree_from_text(text, size, &tree);

	message->storage = storage;
	if (body_is_digits(text, size))
		return wrap_line(message, text, size, NO_BODY);
	if (reading != JSON_READ || !json_is_object(tree))
		return wrap_line(message, text, size, why_not_read(reading));
	return read_object(message, tree);
}

IncomingMessage *
incoming_from_jsonb(Jsonb *jsonb, const IncomingStorage *storage)
{
	IncomingMessage *message = palloc0(sizeof(IncomingMessage));
	JsonbValue *tree;
	JsonReading reading = json_tree_from_jsonb(jsonb, &tree);

	message->storage = storage;
	if (reading != JSON_READ)
	{
		StringInfoData text;

		initStringInfo(&text);
		(void) JsonbToCString(&text, &jsonb->root, VARSIZE(jsonb));
		return wrap_line(message, text.data, text.len, why_not_read(reading));
	}
	if (!json_is_object(tree))
		return wrap_tree(message, tree, NO_OBJECT);
	return read_object(message, tree);
}
