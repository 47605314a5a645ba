/*
 * one_by_one.h
 *	  Stores one message by itself, or puts it into the table rejected.  Tries again what was
 *	  rejected.
 */
#ifndef ONE_BY_ONE_H
#define ONE_BY_ONE_H

#include "postgres.h"

#include "incoming.h"

/* Stores or rejects a message whose outcome is OUTCOME_OPEN.  SPI must be connected. */
extern void one_by_one_store(IncomingMessage *message);

/*
 * Stores a message that was rejected, and takes it out of rejected.  Returns false if the
 * message stays there; its row has the present reason then.  Arguments as in
 * storage_try_message().  SPI must be connected.
 */
extern bool one_by_one_store_rejected(Datum id, Datum message, Datum keys);

/*
 * Opens the key envelope of a session.  Returns NULL, or the error if it stays as it is.
 * envelope: the arguments of storage_try_envelope().  SPI must be connected.
 */
extern ErrorData *one_by_one_open_envelope(Datum *envelope);

extern const char *outcome_name(Outcome outcome);

#endif							/* ONE_BY_ONE_H */
