/*
 * message_set.c
 *	  Messages that are collected, and stored together.
 *
 * Invariants: a message is without plaintext keys when it is in a set; the memory that a set
 * needs does not grow with the number of messages that are added.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "../common/bytea.h"
#include "../common/cancel_watch.h"
#include "../message/body.h"
#include "../message/json_split.h"
#include "message_set.h"
#include "one_by_one.h"
#include "set_store.h"
#include "statement.h"
#include "translation.h"

/* A set is stored when it has this number of messages, or this number of bytes of text. */
#define SET_MESSAGES 1000
#define SET_SIZE (2 * 1024 * 1024)

struct MessageSet
{
	MemoryContext context;
	MemoryContext messages_context;
	JsonSplitter *splitter;
	IncomingMessage *messages[SET_MESSAGES];
	int			n;
	size_t		size;
	MessageCounts counts;
	Outcome		last;
	IncomingStorage storage;
};

void
message_set_delete(MessageSet *set)
{
	MemoryContextDelete(set->context);
}

static void
add(MessageSet *set, IncomingMessage *message, size_t size)
{
	set->messages[set->n++] = message;
	set->size += size;
}

static void
count(MessageSet *set, Outcome outcome)
{
	if (outcome == OUTCOME_REJECTED)
		set->counts.rejected++;
	else if (outcome == OUTCOME_DUPLICATE)
		set->counts.duplicates++;
	else
		set->counts.stored++;
}

/* A message of the set that was rejected, and how often equal ones came after it. */
typedef struct Rejected
{
	IncomingMessage *message;
	int64		again;
} Rejected;

static void
count_again(List *rejected)
{
	static Oid	types[] = {BYTEAOID, INT8OID};
	static const Statement statement = {
		"UPDATE rejected SET tries = tries + $2 WHERE digest = $1", 2, types
	};
	ListCell   *cell;

	foreach(cell, rejected)
	{
		const Rejected *one = lfirst(cell);
		Datum		values[] = {
			PointerGetDatum(bytea_from_bytes(incoming_digest(one->message), SHA256_DIGEST_LENGTH)),
			Int64GetDatum(one->again)
		};

		if (one->again > 0)
			(void) statement_run(&statement, values, NULL);
	}
}

/*
 * Stores or rejects one message.  rejected is a list of those that were rejected since the
 * last one was stored, and the new list is returned.  A message that is equal to one of them
 * is only counted: if it were written again, the row in the table rejected would get another
 * version, and all versions before it would be read.
 */
static List *
store_one(IncomingMessage *message, List *rejected)
{
	Rejected   *one;
	ListCell   *cell;

	foreach(cell, rejected)
	{
		one = lfirst(cell);
		if (memcmp(incoming_digest(one->message), incoming_digest(message), SHA256_DIGEST_LENGTH) == 0)
		{
			one->again++;
			message->outcome = OUTCOME_REJECTED;
			return rejected;
		}
	}
	one_by_one_store(message);
	if (message->outcome == OUTCOME_REJECTED)
	{
		one = palloc(sizeof(Rejected));
		one->message = message;
		one->again = 0;
		return lappend(rejected, one);
	}
	if (message->outcome == OUTCOME_DUPLICATE)
		return rejected;
	count_again(rejected);
	return NIL;
}

/* Stores or rejects the messages in the set, and empties it. */
static void
store(MessageSet *set)
{
	CancelWatch watch;
	List	   *rejected = NIL;
	int			nestlevel;

	if (set->n == 0)
		return;
	cancel_watch_begin(&watch, NULL);
	nestlevel = search_path_begin(set->storage.search_path);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	set_store(set->messages, set->n);
	for (int i = 0; i < set->n; i++)
	{
		IncomingMessage *message = set->messages[i];

		CHECK_FOR_INTERRUPTS();
		if (message->outcome == OUTCOME_OPEN)
			rejected = store_one(message, rejected);
		cancel_watch_check(&watch);
		set->last = message->outcome;
		count(set, set->last);
	}
	count_again(rejected);
	SPI_finish();
	search_path_end(nestlevel);
	cancel_watch_end(&watch);
	set->n = 0;
	set->size = 0;
	MemoryContextReset(set->messages_context);
}

static void
store_if_large(MessageSet *set)
{
	if (set->n == SET_MESSAGES || set->size >= SET_SIZE)
		store(set);
}

static void
add_text(MessageSet *set, const char *text, size_t size)
{
	MemoryContext before = MemoryContextSwitchTo(set->messages_context);

	add(set, incoming_from_text(text, size, &set->storage), size);
	MemoryContextSwitchTo(before);
	store_if_large(set);
}

/*
 * Adds what is no JSON object.  Each of its lines may be an event as Protocol Buffers; the lines
 * between these are kept together, since they may be one message that is cut off.
 */
static void
add_other(MessageSet *set, const char *text, size_t size)
{
	size_t		start = 0;		/* of what was not added yet */
	size_t		at = 0;

	while (at < size)
	{
		const char *end = memchr(text + at, '\n', size - at);
		size_t		line_end = end != NULL ? (size_t) (end - text) : size;
		size_t		next = Min(line_end + 1, size);
		size_t		line_size = line_end - at;
		struct varlena *event;

		CHECK_FOR_INTERRUPTS();
		while (line_size > 0 && strchr(" \t\r", text[at + line_size - 1]) != NULL)
			line_size--;
		event = body_of_line(text + at, line_size);
		if (event != NULL)
		{
			if (at > start)
				add_text(set, text + start, at - start);
			add_text(set, VARDATA(event), VARSIZE(event) - VARHDRSZ);
			pfree(event);
			start = next;
		}
		at = next;
	}
	if (size > start)
		add_text(set, text + start, size - start);
}

/* Adds a piece of a text that the splitter found: a message, or what is none. */
static void
add_piece(void *context, const char *text, size_t size)
{
	MessageSet *set = context;

	if (size > 0 && text[0] == '{')
		add_text(set, text, size);
	else
		add_other(set, text, size);
}

MessageSet *
message_set_create(MemoryContext parent, const char *schema)
{
	MemoryContext context = AllocSetContextCreate(parent, "key_vault messages of a storage", ALLOCSET_DEFAULT_SIZES);
	MemoryContext before = MemoryContextSwitchTo(context);
	MessageSet *set = palloc0(sizeof(MessageSet));
	int			nestlevel;

	set->context = context;
	set->messages_context = AllocSetContextCreate(context, "key_vault set of messages", ALLOCSET_DEFAULT_SIZES);
	set->splitter = json_splitter_create(add_piece, set);
	if (schema != NULL)
		set->storage.search_path = psprintf("%s, pg_temp", quote_identifier(schema));
	nestlevel = search_path_begin(set->storage.search_path);
	set->storage.translates = translation_exists();
	search_path_end(nestlevel);
	MemoryContextSwitchTo(before);
	return set;
}

void
message_set_add_lines(MessageSet *set, const char *lines, size_t size)
{
	json_splitter_add(set->splitter, lines, size);
}

void
message_set_add_text(MessageSet *set, const char *text, size_t size)
{
	json_splitter_add(set->splitter, text, size);
	json_splitter_finish(set->splitter);
}

static void
add_jsonb(MessageSet *set, Jsonb *message)
{
	MemoryContext before = MemoryContextSwitchTo(set->messages_context);
	Jsonb	   *copy = palloc(VARSIZE(message));

	CHECK_FOR_INTERRUPTS();
	/* The message that is read from it points into it. */
	memcpy(copy, message, VARSIZE(message));
	add(set, incoming_from_jsonb(copy, &set->storage), VARSIZE(message));
	MemoryContextSwitchTo(before);
	store_if_large(set);
}

void
message_set_add_jsonb(MessageSet *set, Jsonb *jsonb)
{
	JsonbIterator *iterator;
	JsonbValue	element;

	if (!JB_ROOT_IS_ARRAY(jsonb) || JB_ROOT_IS_SCALAR(jsonb))
	{
		add_jsonb(set, jsonb);
		return;
	}
	iterator = JsonbIteratorInit(&jsonb->root);
	(void) JsonbIteratorNext(&iterator, &element, true);
	while (JsonbIteratorNext(&iterator, &element, true) == WJB_ELEM)
	{
		Jsonb	   *message = JsonbValueToJsonb(&element);

		add_jsonb(set, message);
		pfree(message);
	}
}

void
message_set_store(MessageSet *set)
{
	json_splitter_finish(set->splitter);
	store(set);
}

Outcome
message_set_last(const MessageSet *set)
{
	return set->last;
}

MessageCounts
message_set_counts(const MessageSet *set)
{
	return set->counts;
}

char *
message_counts_text(const MessageCounts *counts)
{
	return psprintf("stored " INT64_FORMAT ", duplicates " INT64_FORMAT ", rejected " INT64_FORMAT,
					counts->stored, counts->duplicates, counts->rejected);
}
