/*
 * hex.h
 *	  Bytes from hexadecimal digits.
 *
 * PostgreSQL's hex_decode() is not used, since it skips blanks, and shows a character
 * that is no digit in its error message: that character may be part of a key.
 */
#ifndef HEX_H
#define HEX_H

#include "postgres.h"

/* The value of a digit, of either case; -1 if the character is no digit. */
static inline int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Reads size bytes from 2 * size characters; false if one of them is no digit. */
static inline bool
hex_to_bytes(const char *hex, size_t size, uint8 *bytes)
{
	for (size_t i = 0; i < size; i++)
	{
		int			high = hex_digit(hex[2 * i]);
		int			low = hex_digit(hex[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		bytes[i] = high << 4 | low;
	}
	return true;
}

#endif							/* HEX_H */
