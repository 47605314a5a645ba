/*
 * field.c
 *	  Reads the fields of a network server's message: the JSON value of a field as bytes,
 *	  integer, time or object.
 */
#include "postgres.h"

#include <math.h>

#include "common/base64.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#include "../common/bytea.h"
#include "../crypto/hex.h"
#include "field.h"
#include "found.h"

/* A time before this year comes from a clock that was not set (see field.h). */
#define FIRST_YEAR 2015

#define EXPECTED_TIME "a time as in RFC 3339, such as 2024-05-01T12:00:00Z"

/* An integer of at most this number of digits fits into 64 bits. */
#define MAX_DIGITS 18

bool
is_hex(const char *string, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (hex_digit(string[i]) < 0)
			return false;
	return size > 0;
}

static bool
is_base64_character(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
		c == '+' || c == '/';
}

bytea *
bytes_from_base64(const char *string, size_t size)
{
	size_t		padding = 0;
	bytea	   *bytes;
	int			n;

	while (padding < 2 && padding < size && string[size - 1 - padding] == '=')
		padding++;
	if (size == 0 || size % 4 != 0)
		return NULL;
	for (size_t i = 0; i < size - padding; i++)
		if (!is_base64_character(string[i]))
			return NULL;
	bytes = palloc(VARHDRSZ + pg_b64_dec_len(size));
#if PG_VERSION_NUM >= 180000
	n = pg_b64_decode(string, size, (uint8 *) VARDATA(bytes), pg_b64_dec_len(size));
#else
	n = pg_b64_decode(string, size, VARDATA(bytes), pg_b64_dec_len(size));
#endif
	if (n < 0)
		return NULL;
	SET_VARSIZE(bytes, VARHDRSZ + n);
	return bytes;
}

bytea *
bytes_from_hex(const char *string, size_t size)
{
	bytea	   *bytes;

	if (size % 2 != 0 || !is_hex(string, size))
		return NULL;
	bytes = palloc(VARHDRSZ + size / 2);
	SET_VARSIZE(bytes, VARHDRSZ + size / 2);
	(void) hex_to_bytes(string, size / 2, (uint8 *) VARDATA(bytes));
	return bytes;
}

/* What may be wrong with a string that is not in the expected form. */
static const char *
hint_for_string(const JsonbValue *value, FieldEncoding encoding, FieldSize size)
{
	bytea	   *bytes;

	if (encoding == FIELD_BASE64)
		return "Write base64 with the characters + and / and with padding (RFC 4648, section 4).";
	bytes = bytes_from_base64(value->val.string.val, value->val.string.len);
	if (bytes != NULL && VARSIZE(bytes) - VARHDRSZ == size.exact)
		return "It is base64, as other network servers write it.";
	return "Write two digits for each byte, without a prefix and without separators.";
}

static FaultDetails
value_details(const JsonbValue *value, const char *name, const char *expected)
{
	FaultDetails details = {.field = name,.found = found_value(value),.expected = expected};

	return details;
}

static FaultDetails
bytes_details(const JsonbValue *value, const char *name, FieldEncoding encoding, FieldSize size)
{
	FaultDetails details = value_details(value, name, "base64");

	if (encoding == FIELD_HEX && size.exact != 0)
		details.expected = psprintf("%d bytes as %d hexadecimal digits", size.exact, 2 * size.exact);
	else if (encoding == FIELD_HEX)
		details.expected = "hexadecimal digits, two for each byte";
	else if (size.maximum != 0)
		details.expected = psprintf("at most %d bytes in base64", size.maximum);
	return details;
}

bytea *
field_bytes(const JsonbValue *value, const char *name, FieldEncoding encoding,
			FieldSize size, MessageFault *fault)
{
	bytea	   *bytes;
	int			n;

	if (json_is_null(value) || (value->type == jbvString && value->val.string.len == 0))
		return NULL;
	if (value->type != jbvString)
	{
		message_fault(fault, ERRCODE_INVALID_PARAMETER_VALUE, bytes_details(value, name, encoding, size),
					  "%s is not a string", name);
		return NULL;
	}
	bytes = encoding == FIELD_HEX ? bytes_from_hex(value->val.string.val, value->val.string.len) :
		bytes_from_base64(value->val.string.val, value->val.string.len);
	if (bytes == NULL)
	{
		FaultDetails details = bytes_details(value, name, encoding, size);

		details.hint = hint_for_string(value, encoding, size);
		message_fault(fault, ERRCODE_INVALID_PARAMETER_VALUE, details,
					  "%s is not %s", name, encoding == FIELD_HEX ? "hexadecimal" : "base64");
		return NULL;
	}
	n = VARSIZE(bytes) - VARHDRSZ;
	if (size.exact != 0 && n != size.exact)
		message_fault(fault, ERRCODE_INVALID_PARAMETER_VALUE, bytes_details(value, name, encoding, size),
					  ngettext("%s has %d byte, not %d", "%s has %d bytes, not %d", n),
					  name, n, size.exact);
	else if (size.maximum != 0 && n > size.maximum)
		message_fault(fault, ERRCODE_INVALID_PARAMETER_VALUE, bytes_details(value, name, encoding, size),
					  "%s has %d bytes, more than %d", name, n, size.maximum);
	else
		return bytes;
	return NULL;
}

int64
field_integer(const JsonbValue *value, const char *name, int64 maximum, MessageFault *fault)
{
	const char *digits;
	int64		result = 0;
	bool		fits;

	if (json_is_null(value))
		return 0;

	/*
	 * Objects and arrays are not made into text, since they can be large and
	 * are no integers.
	 */
	digits = value->type == jbvString || value->type == jbvNumeric ? json_text(value) : "";
	fits = *digits != '\0' && strlen(digits) <= MAX_DIGITS && strspn(digits, "0123456789") == strlen(digits);
	for (const char *digit = digits; fits && *digit != '\0'; digit++)
		result = result * 10 + (*digit - '0');
	if (fits && result <= maximum)
		return result;
	message_fault(fault, ERRCODE_INVALID_PARAMETER_VALUE,
				  value_details(value, name, psprintf("an integer from 0 to " INT64_FORMAT, maximum)),
				  "%s is not an integer from 0 to " INT64_FORMAT, name, maximum);
	return 0;
}

/* Reads a number of exactly count digits; returns false if another character is among them. */
static bool
read_digits(const char **at, int count, int *number)
{
	*number = 0;
	for (int i = 0; i < count; i++)
	{
		if (!isdigit((unsigned char) **at))
			return false;
		*number = *number * 10 + (*(*at)++ - '0');
	}
	return true;
}

static bool
read_character(const char **at, char c)
{
	return *(*at)++ == c;
}

/* The parts of a time as in RFC 3339, section 5.6. */
typedef struct TimeParts
{
	int			year;
	int			month;
	int			day;
	int			hour;
	int			minute;
	int			second;
	double		fraction;		/* seconds */
	int			zone;			/* seconds east of UTC */
} TimeParts;

static bool
read_zone(const char **at, int *zone)
{
	bool		is_east = **at == '+';
	int			hours;
	int			minutes;

	*zone = 0;
	if (**at == 'Z')
		return read_character(at, 'Z');
	if (**at != '+' && **at != '-')
		return false;
	(*at)++;
	if (!read_digits(at, 2, &hours) || !read_character(at, ':') || !read_digits(at, 2, &minutes))
		return false;
	*zone = (hours * 60 + minutes) * (is_east ? 60 : -60);
	return hours <= 23 && minutes <= 59;
}

static bool
read_time(const char *at, TimeParts *parts)
{
	if (!read_digits(&at, 4, &parts->year) || !read_character(&at, '-') ||
		!read_digits(&at, 2, &parts->month) || !read_character(&at, '-') ||
		!read_digits(&at, 2, &parts->day) || !read_character(&at, 'T') ||
		!read_digits(&at, 2, &parts->hour) || !read_character(&at, ':') ||
		!read_digits(&at, 2, &parts->minute) || !read_character(&at, ':') ||
		!read_digits(&at, 2, &parts->second))
		return false;
	parts->fraction = 0;
	if (*at == '.')
	{
		if (!isdigit((unsigned char) at[1]))
			return false;
		parts->fraction = strtod(at, NULL);
		at++;
		at += strspn(at, "0123456789");
	}
	return read_zone(&at, &parts->zone) && *at == '\0';
}

/* Whether this date and time exist.  Second 60, a leap second, is the next minute's first. */
static bool
is_valid(const TimeParts *parts)
{
	return parts->year >= 1 && parts->month >= 1 && parts->month <= 12 && parts->day >= 1 &&
		parts->day <= day_tab[isleap(parts->year)][parts->month - 1] &&
		parts->hour <= 23 && parts->minute <= 59 && parts->second <= 60;
}

bool
field_time(const JsonbValue *value, const char *name, TimestampTz *time, MessageFault *fault)
{
	TimeParts	parts;
	const char *text;

	if (json_is_null(value) || (value->type == jbvString && value->val.string.len == 0))
		return false;
	text = value->type == jbvString ? json_text(value) : "";
	if (!read_time(text, &parts))
	{
		message_fault(fault, ERRCODE_INVALID_PARAMETER_VALUE, value_details(value, name, EXPECTED_TIME),
					  "%s is not a time as in RFC 3339", name);
		return false;
	}
	if (parts.year < FIRST_YEAR)
		return false;
	if (!is_valid(&parts))
	{
		message_fault(fault, ERRCODE_DATETIME_FIELD_OVERFLOW, value_details(value, name, EXPECTED_TIME),
					  "date/time field value out of range: \"%s\"", text);
		return false;
	}
	/* The fraction is rounded to microseconds as PostgreSQL rounds it. */
	*time = (date2j(parts.year, parts.month, parts.day) - POSTGRES_EPOCH_JDATE) * USECS_PER_DAY +
		((parts.hour * MINS_PER_HOUR + parts.minute) * SECS_PER_MINUTE + parts.second - parts.zone) * USECS_PER_SEC +
		(int64) rint(parts.fraction * USECS_PER_SEC);
	return true;
}

const JsonbValue *
field_object(const JsonbValue *value, const char *name, MessageFault *fault)
{
	if (value == NULL || value->type == jbvObject)
		return value;
	message_fault(fault, ERRCODE_INVALID_PARAMETER_VALUE, value_details(value, name, "an object"),
				  "%s is not an object", name);
	return NULL;
}

void
field_require(bool there, const char *name, const char *expected, MessageFault *fault)
{
	FaultDetails details = {
		.field = name,
		.found = "nothing",
		.expected = expected,
		.hint = "If a field mask or a program in between takes the field away, let it keep the field."
	};

	if (!there)
		message_fault(fault, ERRCODE_INVALID_PARAMETER_VALUE, details, "%s is missing", name);
}
