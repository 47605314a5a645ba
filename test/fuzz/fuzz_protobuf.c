/*
 * fuzz_protobuf.c
 *	  What must hold for any bytes at all, for libFuzzer to try and refute: see
 *	  message/protobuf.c.
 */
#include "message/protobuf.h"

#include "must.h"

/* Reads the fields of a message, and of all that may be messages in it. */
static void
try_message(const uint8_t *message, size_t size, int depth)
{
	ProtobufReader reader = protobuf_reader(message, size);
	ProtobufField field;
	const uint8_t *before = message;
	bool		is_whole;

	while (protobuf_next(&reader, &field))
	{
		MUST(reader.at > before && reader.at <= message + size);
		MUST(field.number > 0 && field.number < (UINT32_C(1) << 29));
		before = reader.at;
		if (field.wire != PROTOBUF_BYTES)
		{
			MUST(field.wire != PROTOBUF_32_BITS || field.value <= UINT32_MAX);
			continue;
		}
		MUST(field.bytes >= message && field.bytes + field.size == reader.at);
		touch(field.bytes, field.size);
		if (depth < 20)
			try_message(field.bytes, field.size, depth + 1);
	}
	is_whole = !reader.is_broken;
	MUST(!is_whole || reader.at == message + size);
	MUST(protobuf_is_whole(message, size) == is_whole);
	MUST(!protobuf_next(&reader, &field));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	try_message(data, size, 0);
	return 0;
}
