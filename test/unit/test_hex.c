/*
 * test_hex.c
 *	  Tests of hex.h.
 */
#include <ctype.h>
#include <stdlib.h>

#include "check.h"
#include "crypto/hex.h"

/* Each character, against the C library. */
static void
hex_digits(void)
{
	for (int c = 0; c < 256; c++)
	{
		char		text[2] = {(char) c, 0};
		int			expected = c < 128 && isxdigit(c) ? (int) strtol(text, NULL, 16) : -1;

		CHECK(hex_digit((char) c) == expected);
	}
}

static void
hex_bytes(void)
{
	uint8_t		bytes[2] = {0xaa, 0xaa};

	CHECK(hex_to_bytes("fF0a", 2, bytes) && bytes[0] == 0xff && bytes[1] == 0x0a);
	CHECK(hex_to_bytes("", 0, bytes));
	CHECK(!hex_to_bytes("fF0g", 2, bytes));
	CHECK(!hex_to_bytes(" F0a", 2, bytes));
	CHECK(!hex_to_bytes("0x00", 2, bytes));
}

void
test_hex(void)
{
	RUN(hex_digits);
	RUN(hex_bytes);
}
