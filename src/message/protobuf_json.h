/*
 * protobuf_json.h
 *	  Writes messages of Protocol Buffers as JSON, by rules that name their fields.
 */
#ifndef PROTOBUF_JSON_H
#define PROTOBUF_JSON_H

#include "postgres.h"

#include "lib/stringinfo.h"

#include "protobuf.h"

typedef enum FieldType
{
	TYPE_STRING,
	TYPE_BYTES,
	TYPE_UNSIGNED,
	TYPE_SIGNED,
	TYPE_BOOL,
	TYPE_FLOAT,
	TYPE_DOUBLE,
	TYPE_ENUM,
	TYPE_TIME,					/* google.protobuf.Timestamp */
	TYPE_DURATION,				/* google.protobuf.Duration */
	TYPE_MAP,					/* from string to string */
	TYPE_STRUCT,				/* google.protobuf.Struct */
	TYPE_MESSAGE,
	TYPE_LIST					/* repeated, of messages */
} FieldType;

typedef struct FieldRule
{
	uint32		number;			/* 0 ends a list of rules */
	const char *name;			/* in JSON */
	FieldType	type;
	const struct FieldRule *rules;	/* of a message */
	const char *const *names;	/* of the values of an enum; NULL ends them */
	bool		has_default;	/* it is written if it is missing, which means
								 * zero or empty */
} FieldRule;

/* Finds the last field with this number; returns false if there is none. */
extern bool protobuf_find(const uint8 *message, size_t size, uint32 number, ProtobufField *found);

/*
 * Appends a message as JSON, in UTF-8 if its strings are.  Fields without a rule are skipped.
 * Returns false if the message is broken, or a field is not of its type; then json has no
 * meaning.
 */
extern bool protobuf_write_json(const FieldRule *rules, const uint8 *message, size_t size, StringInfo json);

#endif							/* PROTOBUF_JSON_H */
