/*
 * one_by_one.h
 *	  Stores one message by itself, or puts it into the table rejected.
 */
#ifndef ONE_BY_ONE_H
#define ONE_BY_ONE_H

#include "postgres.h"

#include "incoming.h"

/* Stores or rejects a message whose outcome is OUTCOME_OPEN.  SPI must be connected. */
extern void one_by_one_store(IncomingMessage *message);

extern const char *outcome_name(Outcome outcome);

#endif							/* ONE_BY_ONE_H */
