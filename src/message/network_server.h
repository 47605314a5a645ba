/*
 * network_server.h
 *	  What the files of the network servers share.  Each network server whose messages can be
 *	  read has a file.
 */
#ifndef NETWORK_SERVER_H
#define NETWORK_SERVER_H

#include "postgres.h"

#include "event.h"
#include "field.h"

/* MAX_PAYLOAD and the sizes of fields are in bytes. */
#define MAX_PAYLOAD 255
#define MAX_F_PORT 255
#define MAX_F_CNT PG_UINT32_MAX

/* What fields that must not be missing should have. */
#define EXPECTED_EUI "8 bytes as 16 hexadecimal digits"
#define EXPECTED_DEV_ADDR "4 bytes as 8 hexadecimal digits"
#define EXPECTED_NAME "a string"
#define EXPECTED_F_PORT "an integer from 0 to 255"
#define EXPECTED_WRAPPED_KEY "a key wrapped under the KEK of its label, in base64"

#define EUI_FIELD ((FieldSize) {.exact = 8})
#define DEV_ADDR_FIELD ((FieldSize) {.exact = 4})
#define PAYLOAD_FIELD ((FieldSize) {.maximum = MAX_PAYLOAD})
#define ANY_SIZE ((FieldSize) {0})

/* The size of a session key id that is made for a message that has none, in bytes. */
#define SESSION_KEY_ID_SIZE 16

/* The member of a message that has events in the form of own_format.c. */
#define OWN_FORMAT_MEMBER "storage_event"

/*
 * For each format: its events, a list of MessageEvent that must not be used if a fault is
 * recorded, and the application that a message names, or NULL.
 */
extern List *the_things_stack_events(const JsonbValue *message, MessageFault *fault);
extern char *the_things_stack_application(const JsonbValue *message);
extern List *chirpstack_events(const JsonbValue *message, MessageFault *fault);
extern char *chirpstack_application(const JsonbValue *message);
extern List *chirpstack_v3_events(const JsonbValue *message, MessageFault *fault);
extern char *chirpstack_v3_application(const JsonbValue *message);
extern List *aws_events(const JsonbValue *message, MessageFault *fault);
extern char *aws_application(const JsonbValue *message);
extern List *thingpark_events(const JsonbValue *message, MessageFault *fault);
extern char *thingpark_application(const JsonbValue *message);
extern List *loriot_events(const JsonbValue *message, MessageFault *fault);
extern char *loriot_application(const JsonbValue *message);
extern List *own_format_events(const JsonbValue *message, MessageFault *fault);
extern char *own_format_application(const JsonbValue *message);

/* The application that somebody has added to a message whose network server has none; or name. */
extern char *added_application(const JsonbValue *message, const char *name);

/* For a message that has no event of the kinds that a storage stores. */
extern FaultDetails other_event_details(const JsonbValue *message);

/* The names that a network server has for the parts of a key envelope. */
typedef struct EnvelopeNames
{
	const char *field;			/* the envelope itself */
	const char *label;
	const char *key;
} EnvelopeNames;

/*
 * Reads a key envelope into an event, which must have its DevAddr.  If the message has no
 * session key id, one is made from the envelope and the DevAddr, since each session has
 * another wrapped key.
 */
extern void read_envelope(const JsonbValue *envelope, const EnvelopeNames *names,
						  MessageEvent *event, MessageFault *fault);

/* Reads the FPort of an event that has its payload: only an empty payload may lack one. */
extern void read_f_port(const JsonbValue *value, const char *name, MessageEvent *event, MessageFault *fault);

/* Read a payload in base64, or in hexadecimal digits; a missing one has no bytes. */
extern bytea *read_payload(const JsonbValue *value, const char *name, MessageFault *fault);
extern bytea *read_hex_payload(const JsonbValue *value, const char *name, MessageFault *fault);

#endif							/* NETWORK_SERVER_H */
