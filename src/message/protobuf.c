/*
 * protobuf.c
 *	  The wire format of Protocol Buffers: a message as a sequence of fields with numbers.
 *
 * A message may come from anybody, so nothing that it says is trusted.
 *
 * Invariant: no byte outside the message is read.
 */
#include "protobuf.h"

/* A varint has at most this number of bytes, each with 7 bits. */
#define MAX_VARINT 10

#define MAX_NUMBER ((UINT32_C(1) << 29) - 1)

static bool
read_varint(ProtobufReader *reader, uint64_t *value)
{
	*value = 0;
	for (int i = 0; i < MAX_VARINT && reader->at < reader->end; i++)
	{
		uint8_t		byte = *reader->at++;

		*value |= (uint64_t) (byte & 0x7f) << (7 * i);
		if ((byte & 0x80) == 0)
			return true;
	}
	return false;
}

/* Reads a little-endian number of size bytes. */
static bool
read_fixed(ProtobufReader *reader, int size, uint64_t *value)
{
	*value = 0;
	if (reader->end - reader->at < size)
		return false;
	for (int i = 0; i < size; i++)
		*value |= (uint64_t) *reader->at++ << (8 * i);
	return true;
}

static bool
read_bytes(ProtobufReader *reader, ProtobufField *field)
{
	uint64_t	size;

	if (!read_varint(reader, &size) || size > (size_t) (reader->end - reader->at))
		return false;
	field->bytes = reader->at;
	field->size = size;
	reader->at += size;
	return true;
}

static bool
read_field(ProtobufReader *reader, ProtobufField *field)
{
	uint64_t	tag;

	if (!read_varint(reader, &tag) || (tag >> 3) == 0 || (tag >> 3) > MAX_NUMBER)
		return false;
	field->number = tag >> 3;
	switch (tag & 0x07)
	{
		case PROTOBUF_VARINT:
			field->wire = PROTOBUF_VARINT;
			return read_varint(reader, &field->value);
		case PROTOBUF_64_BITS:
			field->wire = PROTOBUF_64_BITS;
			return read_fixed(reader, 8, &field->value);
		case PROTOBUF_BYTES:
			field->wire = PROTOBUF_BYTES;
			return read_bytes(reader, field);
		case PROTOBUF_32_BITS:
			field->wire = PROTOBUF_32_BITS;
			return read_fixed(reader, 4, &field->value);
		default:
			return false;
	}
}

bool
protobuf_next(ProtobufReader *reader, ProtobufField *field)
{
	ProtobufField empty = {0};

	*field = empty;
	if (reader->is_broken || reader->at == reader->end)
		return false;
	reader->is_broken = !read_field(reader, field);
	return !reader->is_broken;
}

bool
protobuf_is_whole(const uint8_t *message, size_t size)
{
	ProtobufReader reader = protobuf_reader(message, size);
	ProtobufField field;

	while (protobuf_next(&reader, &field))
		;
	return !reader.is_broken;
}
