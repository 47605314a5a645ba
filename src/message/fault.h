/*
 * fault.h
 *	  Records what is wrong with a message, as data and not as an error.
 *
 * Network servers often send messages that cannot be used.  An error for each of them would
 * cost a subtransaction, or end the statement for all other messages.
 *
 * Invariants: only the first fault of a message is recorded, so functions may go on after a
 * fault; a fault contains no value that may be a key.
 */
#ifndef FAULT_H
#define FAULT_H

#include "postgres.h"

typedef struct MessageFault
{
	int			sqlerrcode;		/* 0 while there is no fault */
	const char *reason;			/* names the field */
	const char *detail;			/* what was found, or expected; or NULL */
} MessageFault;

static inline bool
message_is_faulty(const MessageFault *fault)
{
	return fault->sqlerrcode != 0;
}

/* Records a fault, unless there is one already. */
extern void message_fault(MessageFault *fault, int sqlerrcode, const char *detail,
						  const char *reason,...) pg_attribute_printf(4, 5);

#endif							/* FAULT_H */
