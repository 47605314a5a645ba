/*
 * protobuf.h
 *	  The wire format of Protocol Buffers: a message as a sequence of fields with numbers.
 *
 * No header of PostgreSQL is needed, so that the reader can be fuzzed without a server.
 */
#ifndef PROTOBUF_H
#define PROTOBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The values are those of the wire format. */
typedef enum ProtobufWire
{
	PROTOBUF_VARINT = 0,
	PROTOBUF_64_BITS = 1,
	PROTOBUF_BYTES = 2,
	PROTOBUF_32_BITS = 5
} ProtobufWire;

typedef struct ProtobufField
{
	uint32_t	number;
	ProtobufWire wire;
	uint64_t	value;			/* all but PROTOBUF_BYTES */
	const uint8_t *bytes;		/* PROTOBUF_BYTES: they are in the message */
	size_t		size;
} ProtobufField;

typedef struct ProtobufReader
{
	const uint8_t *at;
	const uint8_t *end;
	bool		is_broken;		/* the message is cut off, or no message */
} ProtobufReader;

static inline ProtobufReader
protobuf_reader(const uint8_t *message, size_t size)
{
	ProtobufReader reader = {message, message + size, false};

	return reader;
}

/* Reads the next field; returns false at the end, or if the message is broken. */
extern bool protobuf_next(ProtobufReader *reader, ProtobufField *field);

/* Whether a message consists of whole fields. */
extern bool protobuf_is_whole(const uint8_t *message, size_t size);

#endif							/* PROTOBUF_H */
