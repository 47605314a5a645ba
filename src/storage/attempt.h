/*
 * attempt.h
 *	  Work in a storage that may fail because of one message.
 */
#ifndef ATTEMPT_H
#define ATTEMPT_H

#include "postgres.h"

/*
 * Does work in a subtransaction.  Returns NULL if it succeeded.  If a message is the reason
 * that it failed, the subtransaction is rolled back, and the error is returned.  If the
 * server is the reason, or the statement was cancelled, the error is raised.
 */
extern ErrorData *attempt(void (*work) (void *arg), void *arg);

#endif							/* ATTEMPT_H */
