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
 * Reads a message and adds it to the set; its plaintext keys are wrapped at once.  If the set
 * is large then, it is stored, to limit the memory that it needs.
 */
extern void message_set_add_text(MessageSet *set, const char *text, size_t size);
extern void message_set_add_jsonb(MessageSet *set, Jsonb *jsonb);

/* Stores or rejects the messages in the set, and empties it. */
extern void message_set_store(MessageSet *set);

/* What became of the last message that was stored or rejected. */
extern Outcome message_set_last(const MessageSet *set);

/* What became of all messages so far. */
extern MessageCounts message_set_counts(const MessageSet *set);

#endif							/* MESSAGE_SET_H */
