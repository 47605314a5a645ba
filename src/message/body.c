/*
 * body.c
 *	  The body of a request, or a line of a file, as text with messages.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "body.h"
#include "chirpstack_protobuf.h"
#include "field.h"
#include "json_split.h"
#include "json_tree.h"

/* What stands before the digits of a body that no text can hold; key_vault_ingest writes it, too. */
#define DIGITS "not UTF-8 text, in hexadecimal digits: "

/* Writes a body in hexadecimal digits, since no text of the database can hold it. */
static text *
digits_of_body(const char *bytes, size_t size)
{
	StringInfoData digits;

	initStringInfo(&digits);
	appendStringInfoString(&digits, DIGITS);
	for (size_t i = 0; i < size; i++)
		appendStringInfo(&digits, "%02x", (unsigned char) bytes[i]);
	return cstring_to_text_with_len(digits.data, digits.len);
}

/* Converts UTF-8 to text in the database's encoding. */
static text *
text_of_utf8(const char *bytes, size_t size)
{
	int			encoding = GetDatabaseEncoding();
	Oid			conversion;
	unsigned char *converted;

	if (!pg_verify_mbstr(PG_UTF8, bytes, size, true))
		return digits_of_body(bytes, size);
	if (encoding == PG_UTF8 || encoding == PG_SQL_ASCII)
		return cstring_to_text_with_len(bytes, size);
	conversion = FindDefaultConversionProc(PG_UTF8, encoding);
	if (!OidIsValid(conversion))
		return digits_of_body(bytes, size);
	converted = palloc((Size) size * MAX_CONVERSION_GROWTH + 1);
	if (pg_do_encoding_conversion_buf(conversion, PG_UTF8, encoding, (unsigned char *) unconstify(char *, bytes), size, converted,
									  size * MAX_CONVERSION_GROWTH + 1, true) < size)
		return digits_of_body(bytes, size);
	return cstring_to_text((char *) converted);
}

/* Returns NULL if the bytes are no event as Protocol Buffers. */
static text *
text_of_protobuf(const uint8 *bytes, size_t size)
{
	StringInfoData json;
	text	   *result = NULL;

	if (size > JSON_MAX_SIZE)
		return NULL;
	initStringInfo(&json);
	if (chirpstack_protobuf_to_json(bytes, size, &json))
		result = text_of_utf8(json.data, json.len);
	pfree(json.data);
	return result;
}

text *
body_to_text(const char *bytes, size_t size)
{
	text	   *event = text_of_protobuf((const uint8 *) bytes, size);

	if (event != NULL)
		return event;
	/* A byte order mark says nothing, and other encodings do not have it. */
	if (size >= strlen(BYTE_ORDER_MARK) && memcmp(bytes, BYTE_ORDER_MARK, strlen(BYTE_ORDER_MARK)) == 0)
	{
		bytes += strlen(BYTE_ORDER_MARK);
		size -= strlen(BYTE_ORDER_MARK);
	}
	return text_of_utf8(bytes, size);
}

bool
body_is_digits(const char *text, size_t size)
{
	return size > strlen(DIGITS) && memcmp(text, DIGITS, strlen(DIGITS)) == 0;
}

text *
body_of_line(const char *line, size_t size)
{
	bytea	   *bytes;

	if (size > 2 * JSON_MAX_SIZE)
		return NULL;
	if (body_is_digits(line, size))
		bytes = bytes_from_hex(line + strlen(DIGITS), size - strlen(DIGITS));
	else
		bytes = bytes_from_base64(line, size);
	return bytes == NULL ? NULL : text_of_protobuf((const uint8 *) VARDATA(bytes), VARSIZE(bytes) - VARHDRSZ);
}
