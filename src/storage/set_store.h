/*
 * set_store.h
 *	  Stores many messages by few statements.
 */
#ifndef SET_STORE_H
#define SET_STORE_H

#include "postgres.h"

#include "incoming.h"

/*
 * Stores uplinks and joins whose session is new, or is known with the key that the message
 * brings.  Other messages keep OUTCOME_OPEN; they are for one_by_one_store().  SPI must be
 * connected.
 */
extern void set_store(IncomingMessage **messages, int n);

#endif							/* SET_STORE_H */
