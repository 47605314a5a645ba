/*
 * incoming.h
 *	  Reads a message that is to be stored, and takes its plaintext keys out.
 */
#ifndef INCOMING_H
#define INCOMING_H

#include "postgres.h"

#include <openssl/sha.h>

#include "nodes/pg_list.h"
#include "utils/jsonb.h"

#include "../message/event.h"

/* What became of a message. */
typedef enum Outcome
{
	OUTCOME_OPEN,				/* not stored yet */
	OUTCOME_UPLINK,
	OUTCOME_JOIN,
	OUTCOME_DOWNLINK,
	OUTCOME_DUPLICATE,
	OUTCOME_REJECTED
} Outcome;

/* The storage that messages are for. */
typedef struct IncomingStorage
{
	const char *search_path;	/* of the storage; NULL if it is the current
								 * one */
	bool		translates;		/* it has a function that translates messages */
} IncomingStorage;

typedef struct IncomingMessage
{
	JsonbValue *tree;			/* NULL if a line is not a message, and was
								 * wrapped whole */
	const char *why;			/* why it is rejected and not stored, or NULL */
	bool		is_result;		/* it came as the member "result" of an object */
	List	   *keys;			/* the keys that were taken out, each a
								 * wrapped_key */
	bool		has_digest;
	uint8		digest[SHA256_DIGEST_LENGTH];
	List	   *events;			/* of MessageEvent */
	MessageFault fault;
	Outcome		outcome;
	const IncomingStorage *storage;
} IncomingMessage;

/* The setting key_vault.reject_reason; empty if messages are to be stored. */
extern char *incoming_reject_reason;

/*
 * Reads a message from a line of text, or from jsonb.  Its plaintext keys are wrapped under
 * the KEK label that the storage has for its application.  A line that cannot be searched for
 * keys is wrapped whole.
 */
extern IncomingMessage *incoming_from_text(const char *text, size_t size, const IncomingStorage *storage);
extern IncomingMessage *incoming_from_jsonb(Jsonb *jsonb, const IncomingStorage *storage);

/* SHA-256 of the message as it came. */
extern const uint8 *incoming_digest(IncomingMessage *message);

#endif							/* INCOMING_H */
