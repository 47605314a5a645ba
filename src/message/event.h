/*
 * event.h
 *	  The events in a message of a network server (uplinks, joins and downlinks), with typed
 *	  fields.
 */
#ifndef EVENT_H
#define EVENT_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

#include "fault.h"
#include "json_tree.h"

typedef enum EventKind
{
	EVENT_UPLINK,
	EVENT_JOIN,
	EVENT_DOWNLINK
} EventKind;

/* What a message says of the payload of an uplink. */
typedef enum PayloadForm
{
	PAYLOAD_NOT_SAID,			/* the field that would say it may have been
								 * left out */
	PAYLOAD_PLAIN,
	PAYLOAD_ENCRYPTED
} PayloadForm;

/* A pointer is NULL if the message does not have the field. */
typedef struct MessageEvent
{
	EventKind	kind;
	const char *event;			/* what happened to a downlink, as "sent" */
	bool		has_received_at;	/* whether received_at is set */
	TimestampTz received_at;
	bool		has_time_of_1_0;	/* whether version 1.0 of the extension
									 * read another time, and this is set: */
	TimestampTz time_of_1_0;
	bytea	   *dev_eui;
	const char *application_id;
	const char *device_id;
	bytea	   *dev_addr;
	bytea	   *session_key_id; /* also NULL if it is to be made from a
								 * plaintext key */
	bool		has_f_port;
	int16		f_port;
	bool		has_f_cnt;		/* false for an uplink whose counter may have
								 * been left out */
	int64		f_cnt;			/* of uplinks and downlinks */
	bytea	   *frm_payload;
	PayloadForm form;			/* of the payload of an uplink */
	bool		is_simulated;	/* an uplink that no device has sent */
	const char *kek_label;		/* of the key envelope */
	bytea	   *encrypted_key;	/* of the key envelope */
	int			key_number;		/* of the key that message_wrap_keys() took
								 * out of the message, from 1; 0 if none */
	const char *queue_item_id;
	int			item;			/* the number of a downlink in the message,
								 * from 1 */
} MessageEvent;

/*
 * Reads the events of a message of a network server, or of one in the form of own_format.c,
 * after message_wrap_keys() has taken the plaintext keys out of it.  Returns a list of MessageEvent; if the message
 * cannot be used, returns NIL and sets the fault.
 */
extern List *message_events(const JsonbValue *message, MessageFault *fault);

/*
 * Reads the value of a member storage_event, which is the form of own_format.c, in the same
 * way.
 */
extern List *own_format_read(const JsonbValue *value, MessageFault *fault);

/* The application that a message names, even if the message is faulty; NULL if it names none. */
extern char *message_application(const JsonbValue *message);

#endif							/* EVENT_H */
