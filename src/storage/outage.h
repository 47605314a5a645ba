/*
 * outage.h
 *	  Tells errors that are about the server from those that are about a message.
 */
#ifndef OUTAGE_H
#define OUTAGE_H

#include "postgres.h"

/*
 * Whether an SQLSTATE means that the server, the root key or a token fails, or that the
 * statement was ended.  Then the message may be good, and its sender should send it again.
 */
extern bool is_outage(int sqlerrcode);

#endif							/* OUTAGE_H */
