/*
 * fault.h
 *	  Records what is wrong with a message, as data and not as an error.
 *
 * Network servers often send messages that cannot be used.  An error for each of them would
 * cost a subtransaction, or end the statement for all other messages.
 *
 * Invariants: only the first fault of a message is recorded, so functions may go on after a
 * fault; a fault contains no value that may be a key (see found.h).
 */
#ifndef FAULT_H
#define FAULT_H

#include "postgres.h"

/* Each member is NULL if there is nothing to say. */
typedef struct FaultDetails
{
	const char *field;
	const char *found;			/* what the field has instead */
	const char *expected;		/* what the field should have */
	const char *hint;			/* a full sentence */
} FaultDetails;

typedef struct MessageFault
{
	int			sqlerrcode;		/* 0 while there is no fault */
	const char *reason;			/* names the field */
	FaultDetails details;
} MessageFault;

static inline bool
message_is_faulty(const MessageFault *fault)
{
	return fault->sqlerrcode != 0;
}

/* Records a fault, unless there is one already. */
extern void message_fault(MessageFault *fault, int sqlerrcode, FaultDetails details,
						  const char *reason,...) pg_attribute_printf(4, 5);

/* For a fault of the whole message. */
#define NO_DETAILS ((FaultDetails) {0})

#endif							/* FAULT_H */
