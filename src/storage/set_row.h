/*
 * set_row.h
 *	  A message in a set, with what the storage has of it already.
 */
#ifndef SET_ROW_H
#define SET_ROW_H

#include "postgres.h"

#include "incoming.h"

typedef struct SetRow
{
	IncomingMessage *message;
	const MessageEvent *event;	/* the only event of the message */
	int			place;			/* of the message among those that came */

	/* What the storage has; set by set_look() */
	bool		same_device;	/* the device has this application and name */
	bool		has_session;
	const bytea *session_dev_addr;
	struct varlena *app_s_key;	/* of the session; NULL if it has none */
	const bytea *envelope_digest;	/* of the envelope in which that key came,
									 * or NULL */
	TimestampTz started_at;		/* of the session */
	bool		has_uplink;		/* an uplink with this time and FCnt */
	bool		same_uplink;	/* that uplink has the same content */
	const char *label_at_rest;	/* KEK label for a new key */
	bool		keep_message;	/* the storage keeps whole messages */

	/* What is decided; set by set_store.c */
	bool		alone;			/* it is left to be stored one by one */
	bool		is_repeated;	/* the row before is the same uplink */
	Outcome		outcome;
} SetRow;

/* Looks up what the storage has of n messages.  SPI must be connected. */
extern void set_look(SetRow *rows, int n);

/* The latest time that the tables of a storage take for an event: a day from now. */
extern TimestampTz set_latest_time(void);

#endif							/* SET_ROW_H */
