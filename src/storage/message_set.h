/*
 * message_set.h
 *	  Messages that are collected, and stored together.
 */
#ifndef MESSAGE_SET_H
#define MESSAGE_SET_H

#include "postgres.h"

#include "incoming.h"

typedef struct MessageCounts
{
	int64		stored;
	int64		duplicates;
	int64		rejected;
} MessageCounts;

typedef struct MessageSet MessageSet;

/*
 * Makes an empty set, in a new memory context whose parent is given.  Its messages are for
 * the storage in a schema; if schema is NULL, in the first schema of search_path.
 */
extern MessageSet *message_set_create(MemoryContext parent, const char *schema);

extern void message_set_delete(MessageSet *set);

/*
 * Reads the messages in a text or in jsonb, and adds them to the set; their plaintext keys
 * are wrapped at once.  If the set is large then, it is stored, to limit the memory that it
 * needs.  message_set_add_lines() keeps the beginning of a message that may go on in the next
 * lines.
 */
extern void message_set_add_text(MessageSet *set, const char *text, size_t size);
extern void message_set_add_lines(MessageSet *set, const char *lines, size_t size);
extern void message_set_add_jsonb(MessageSet *set, Jsonb *jsonb);

/* Stores or rejects all messages that were added, and empties the set. */
extern void message_set_store(MessageSet *set);

/* What became of the last message that was stored or rejected; OUTCOME_OPEN if none was. */
extern Outcome message_set_last(const MessageSet *set);

/* What became of all messages so far. */
extern MessageCounts message_set_counts(const MessageSet *set);

/* The same in words. */
extern char *message_counts_text(const MessageCounts *counts);

#endif							/* MESSAGE_SET_H */
