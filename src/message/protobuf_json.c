/*
 * protobuf_json.c
 *	  Writes messages of Protocol Buffers as JSON, by rules that name their fields.
 *
 * Invariants: a field that is not of its type breaks the message, so that no zero takes its
 * place; the depth is limited, so functions may call themselves for each level; the time and the
 * text are linear in the size of the message, since the rules of a message are few.
 */
#include "postgres.h"

#include <math.h>

#include "common/base64.h"
#include "common/shortest_dec.h"
#include "miscadmin.h"
#include "utils/datetime.h"

#include "protobuf_json.h"

/* The depth of google.protobuf.Struct, which decoders of payloads make, in levels. */
#define MAX_DEPTH 60

/* Times from the year 1 to 9999, in seconds since 1970 */
#define FIRST_SECOND INT64CONST(-62135596800)
#define LAST_SECOND INT64CONST(253402300799)

static bool write_struct(const uint8 *message, size_t size, int depth, StringInfo json);

bool
protobuf_find(const uint8 *message, size_t size, uint32 number, ProtobufField *found)
{
	ProtobufReader reader = protobuf_reader(message, size);
	ProtobufField field;
	bool		is_there = false;

	while (protobuf_next(&reader, &field))
	{
		if (field.number != number)
			continue;
		*found = field;
		is_there = true;
	}
	return is_there;
}

static void
write_string(const uint8 *bytes, size_t size, StringInfo json)
{
	appendStringInfoChar(json, '"');
	for (size_t i = 0; i < size; i++)
	{
		if (bytes[i] == '"' || bytes[i] == '\\')
			appendStringInfoChar(json, '\\');
		if (bytes[i] < ' ')
			appendStringInfo(json, "\\u%04x", bytes[i]);
		else
			appendStringInfoChar(json, bytes[i]);
	}
	appendStringInfoChar(json, '"');
}

static void
write_base64(const uint8 *bytes, size_t size, StringInfo json)
{
	int			length = pg_b64_enc_len(size);

	appendStringInfoChar(json, '"');
	enlargeStringInfo(json, length + 1);
#if PG_VERSION_NUM >= 180000
	length = pg_b64_encode(bytes, size, json->data + json->len, length);
#else
	length = pg_b64_encode((const char *) bytes, size, json->data + json->len, length);
#endif
	json->len += Max(length, 0);
	appendStringInfoChar(json, '"');
}

/* JSON has no numbers for infinities and NaN. */
static void
write_double(double value, StringInfo json)
{
	char		text[DOUBLE_SHORTEST_DECIMAL_LEN];

	if (isnan(value) || isinf(value))
		appendStringInfoString(json, isnan(value) ? "\"NaN\"" : value < 0 ? "\"-Infinity\"" : "\"Infinity\"");
	else
	{
		double_to_shortest_decimal_buf(value, text);
		appendStringInfoString(json, text);
	}
}

static void
write_float(float value, StringInfo json)
{
	char		text[FLOAT_SHORTEST_DECIMAL_LEN];

	if (isnan(value) || isinf(value))
		write_double(value, json);
	else
	{
		float_to_shortest_decimal_buf(value, text);
		appendStringInfoString(json, text);
	}
}

static void
write_enum(const char *const *names, uint64 value, StringInfo json)
{
	uint64		n = 0;

	while (n < value && names[n] != NULL)
		n++;
	if (names[n] != NULL)
		appendStringInfo(json, "\"%s\"", names[n]);
	else
		appendStringInfo(json, UINT64_FORMAT, value);
}

/* Reads a Timestamp or Duration: seconds and nanoseconds. */
static bool
read_time(const ProtobufField *field, int64 *seconds, int32 *nanoseconds)
{
	ProtobufField part;

	*seconds = 0;
	*nanoseconds = 0;
	if (!protobuf_is_whole(field->bytes, field->size))
		return false;
	if (protobuf_find(field->bytes, field->size, 1, &part))
	{
		if (part.wire != PROTOBUF_VARINT)
			return false;
		*seconds = (int64) part.value;
	}
	if (protobuf_find(field->bytes, field->size, 2, &part))
	{
		if (part.wire != PROTOBUF_VARINT || part.value > 999999999)
			return false;
		*nanoseconds = (int32) part.value;
	}
	return *seconds >= FIRST_SECOND && *seconds <= LAST_SECOND;
}

static bool
write_time(const ProtobufField *field, StringInfo json)
{
	int64		seconds;
	int32		nanoseconds;
	int64		day;
	int			second;
	int			year;
	int			month;
	int			mday;

	if (!read_time(field, &seconds, &nanoseconds))
		return false;
	day = (seconds - FIRST_SECOND) / SECS_PER_DAY + FIRST_SECOND / SECS_PER_DAY;
	second = (seconds - FIRST_SECOND) % SECS_PER_DAY;
	j2date(day + UNIX_EPOCH_JDATE, &year, &month, &mday);
	appendStringInfo(json, "\"%04d-%02d-%02dT%02d:%02d:%02d.%09dZ\"", year, month, mday,
					 second / SECS_PER_HOUR, second / SECS_PER_MINUTE % MINS_PER_HOUR, second % SECS_PER_MINUTE,
					 nanoseconds);
	return true;
}

static bool
write_duration(const ProtobufField *field, StringInfo json)
{
	int64		seconds;
	int32		nanoseconds;

	if (!read_time(field, &seconds, &nanoseconds))
		return false;
	appendStringInfo(json, "\"" INT64_FORMAT ".%09ds\"", seconds, nanoseconds);
	return true;
}

/* Writes a key of a map, which is field 1 of an entry, and finds the value, field 2. */
static bool
write_key(const ProtobufField *entry, bool is_first, ProtobufField *value, StringInfo json)
{
	ProtobufField key = {.wire = PROTOBUF_BYTES,.bytes = (const uint8 *) ""};

	*value = key;
	if (entry->wire != PROTOBUF_BYTES || !protobuf_is_whole(entry->bytes, entry->size))
		return false;
	(void) protobuf_find(entry->bytes, entry->size, 1, &key);
	(void) protobuf_find(entry->bytes, entry->size, 2, value);
	if (key.wire != PROTOBUF_BYTES || value->wire != PROTOBUF_BYTES)
		return false;
	if (!is_first)
		appendStringInfoChar(json, ',');
	write_string(key.bytes, key.size, json);
	appendStringInfoChar(json, ':');
	return true;
}

/* Writes a google.protobuf.Value, which has one of six fields. */
static bool
write_value(const uint8 *message, size_t size, int depth, StringInfo json)
{
	ProtobufReader reader = protobuf_reader(message, size);
	ProtobufField field;
	ProtobufField last = {0};
	static const ProtobufWire wires[] = {
		PROTOBUF_VARINT, PROTOBUF_VARINT, PROTOBUF_64_BITS, PROTOBUF_BYTES, PROTOBUF_VARINT, PROTOBUF_BYTES,
		PROTOBUF_BYTES
	};
	double		number;
	bool		is_first = true;

	while (protobuf_next(&reader, &field))
		last = field;
	if (reader.is_broken || depth > MAX_DEPTH || last.number >= lengthof(wires) || last.wire != wires[last.number])
		return false;
	switch (last.number)
	{
		case 2:
			memcpy(&number, &last.value, sizeof(number));
			write_double(number, json);
			return true;
		case 3:
			write_string(last.bytes, last.size, json);
			return true;
		case 4:
			appendStringInfoString(json, last.value != 0 ? "true" : "false");
			return true;
		case 5:
			return write_struct(last.bytes, last.size, depth + 1, json);
		case 6:
			appendStringInfoChar(json, '[');
			reader = protobuf_reader(last.bytes, last.size);
			while (protobuf_next(&reader, &field))
			{
				CHECK_FOR_INTERRUPTS();
				if (!is_first)
					appendStringInfoChar(json, ',');
				is_first = false;
				if (field.number != 1 || field.wire != PROTOBUF_BYTES ||
					!write_value(field.bytes, field.size, depth + 1, json))
					return false;
			}
			appendStringInfoChar(json, ']');
			return !reader.is_broken;
		default:
			appendStringInfoString(json, "null");
			return true;
	}
}

static bool
write_struct(const uint8 *message, size_t size, int depth, StringInfo json)
{
	ProtobufReader reader = protobuf_reader(message, size);
	ProtobufField entry;
	ProtobufField value;
	bool		is_first = true;

	appendStringInfoChar(json, '{');
	while (protobuf_next(&reader, &entry))
	{
		CHECK_FOR_INTERRUPTS();
		if (entry.number != 1 || !write_key(&entry, is_first, &value, json) ||
			!write_value(value.bytes, value.size, depth, json))
			return false;
		is_first = false;
	}
	appendStringInfoChar(json, '}');
	return !reader.is_broken;
}

/* Writes the entries of a map from string to string: they are fields of one number in the message. */
static bool
write_map(uint32 number, const uint8 *message, size_t size, StringInfo json)
{
	ProtobufReader reader = protobuf_reader(message, size);
	ProtobufField entry;
	ProtobufField value;
	bool		is_first = true;

	appendStringInfoChar(json, '{');
	while (protobuf_next(&reader, &entry))
	{
		CHECK_FOR_INTERRUPTS();
		if (entry.number != number)
			continue;
		if (!write_key(&entry, is_first, &value, json))
			return false;
		write_string(value.bytes, value.size, json);
		is_first = false;
	}
	appendStringInfoChar(json, '}');
	return true;
}

static bool
write_list(const FieldRule *rule, const uint8 *message, size_t size, StringInfo json)
{
	ProtobufReader reader = protobuf_reader(message, size);
	ProtobufField field;
	bool		is_first = true;

	appendStringInfoChar(json, '[');
	while (protobuf_next(&reader, &field))
	{
		CHECK_FOR_INTERRUPTS();
		if (field.number != rule->number)
			continue;
		if (!is_first)
			appendStringInfoChar(json, ',');
		is_first = false;
		if (field.wire != PROTOBUF_BYTES || !protobuf_write_json(rule->rules, field.bytes, field.size, json))
			return false;
	}
	appendStringInfoChar(json, ']');
	return true;
}

static ProtobufWire
wire_of(FieldType type)
{
	switch (type)
	{
		case TYPE_UNSIGNED:
		case TYPE_SIGNED:
		case TYPE_BOOL:
		case TYPE_ENUM:
			return PROTOBUF_VARINT;
		case TYPE_FLOAT:
			return PROTOBUF_32_BITS;
		case TYPE_DOUBLE:
			return PROTOBUF_64_BITS;
		default:
			return PROTOBUF_BYTES;
	}
}

static bool
write_field(const FieldRule *rule, const ProtobufField *field, StringInfo json)
{
	uint32		bits = (uint32) field->value;
	float		single;
	double		number;

	switch (rule->type)
	{
		case TYPE_STRING:
			write_string(field->bytes, field->size, json);
			return true;
		case TYPE_BYTES:
			write_base64(field->bytes, field->size, json);
			return true;
		case TYPE_UNSIGNED:
			appendStringInfo(json, UINT64_FORMAT, field->value);
			return true;
		case TYPE_SIGNED:
			appendStringInfo(json, INT64_FORMAT, (int64) field->value);
			return true;
		case TYPE_BOOL:
			appendStringInfoString(json, field->value != 0 ? "true" : "false");
			return true;
		case TYPE_ENUM:
			write_enum(rule->names, field->value, json);
			return true;
		case TYPE_FLOAT:
			memcpy(&single, &bits, sizeof(single));
			write_float(single, json);
			return true;
		case TYPE_DOUBLE:
			memcpy(&number, &field->value, sizeof(number));
			write_double(number, json);
			return true;
		case TYPE_TIME:
			return write_time(field, json);
		case TYPE_DURATION:
			return write_duration(field, json);
		case TYPE_STRUCT:
			return write_struct(field->bytes, field->size, 1, json);
		default:
			return protobuf_write_json(rule->rules, field->bytes, field->size, json);
	}
}

bool
protobuf_write_json(const FieldRule *rules, const uint8 *message, size_t size, StringInfo json)
{
	bool		is_first = true;

	if (!protobuf_is_whole(message, size))
		return false;
	appendStringInfoChar(json, '{');
	for (const FieldRule *rule = rules; rule->number != 0; rule++)
	{
		ProtobufField field = {.wire = wire_of(rule->type),.bytes = (const uint8 *) ""};
		bool		is_there = protobuf_find(message, size, rule->number, &field);

		if (!is_there && !rule->has_default)
			continue;
		appendStringInfo(json, "%s\"%s\":", is_first ? "" : ",", rule->name);
		is_first = false;
		if (field.wire != wire_of(rule->type))
			return false;
		if (rule->type == TYPE_MAP ? !write_map(rule->number, message, size, json) :
			rule->type == TYPE_LIST ? !write_list(rule, message, size, json) :
			!write_field(rule, &field, json))
			return false;
	}
	appendStringInfoChar(json, '}');
	return true;
}
