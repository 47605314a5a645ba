/*
 * field.h
 *	  Reads the fields of a network server's message: the JSON value of a field as bytes,
 *	  integer, time or object.
 *
 * If a value is wrong, the functions record a fault that names the field, and return NULL,
 * 0 or false.
 */
#ifndef FIELD_H
#define FIELD_H

#include "postgres.h"

#include "datatype/timestamp.h"

#include "fault.h"
#include "json_tree.h"

typedef enum FieldEncoding
{
	FIELD_HEX,
	FIELD_BASE64
} FieldEncoding;

/* How many bytes a field may have; 0 is no limit. */
typedef struct FieldSize
{
	int			exact;
	int			maximum;
} FieldSize;

/* The bytes that a string encodes; NULL if it is missing or empty. */
extern bytea *field_bytes(const JsonbValue *value, const char *name, FieldEncoding encoding,
						  FieldSize size, MessageFault *fault);

/* An integer from 0 to a maximum; 0 if it is missing. */
extern int64 field_integer(const JsonbValue *value, const char *name, int64 maximum,
						   MessageFault *fault);

/*
 * Reads a time as in RFC 3339, with its zone.  Returns false if it is missing, faulty, or
 * before 2015.  LoRaWAN's first specification is of 2015, so an earlier time comes from a
 * clock that was not set and shows its zero (the year 1, 1970 or 1980).
 */
extern bool field_time(const JsonbValue *value, const char *name, TimestampTz *time,
					   MessageFault *fault);

/* The value itself, if it is an object; NULL if it is missing. */
extern const JsonbValue *field_object(const JsonbValue *value, const char *name,
									  MessageFault *fault);

/* Records a fault unless the field is there; expected says what it should have. */
extern void field_require(bool there, const char *name, const char *expected, MessageFault *fault);

/* Whether a string consists of hexadecimal digits. */
extern bool is_hex(const char *string, size_t size);

/* The bytes of a string in base64 (RFC 4648, with padding); NULL if it is not base64. */
extern bytea *bytes_from_base64(const char *string, size_t size);

/* The bytes of a string of hexadecimal digits; NULL if it is none. */
extern bytea *bytes_from_hex(const char *string, size_t size);

#endif							/* FIELD_H */
