/*
 * hex.h
 *	  Bytes from hexadecimal digits.
 *
 * The digits may be those of a key, so there is no branch and no address that depends on
 * them; only whether all of them are digits is told.  PostgreSQL's hex_decode() is not used,
 * since it skips blanks, and shows a character that is no digit in its error message: that
 * character may be part of a key.
 */
#ifndef HEX_H
#define HEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All ones if x is less than limit, else 0; both are below 2^31. */
static inline uint32_t
hex_mask_less(uint32_t x, uint32_t limit)
{
	return 0 - ((x - limit) >> 31);
}

/* The value of a digit, of either case; -1 if the character is no digit. */
static inline int
hex_digit(char c)
{
	/* 0 to 9 for decimal digits only. */
	uint32_t	decimal = (uint32_t) (uint8_t) c ^ '0';

	/* 0 to 5 for the letters A to F and a to f only. */
	uint32_t	letter = (((uint32_t) (uint8_t) c | 0x20) ^ 0x60) - 1;
	uint32_t	is_decimal = hex_mask_less(decimal, 10);
	uint32_t	is_letter = hex_mask_less(letter & 0xff, 6);

	return (int) ((decimal & is_decimal) | ((letter + 10) & is_letter) |
				  ~(is_decimal | is_letter));
}

/* Reads size bytes from 2 * size characters; false if one of them is no digit. */
static inline bool
hex_to_bytes(const char *hex, size_t size, uint8_t *bytes)
{
	int			all = 0;		/* negative as soon as one value is */

	for (size_t i = 0; i < size; i++)
	{
		int			high = hex_digit(hex[2 * i]);
		int			low = hex_digit(hex[2 * i + 1]);

		all |= high | low;
		bytes[i] = (uint8_t) ((uint32_t) high << 4 | (uint32_t) low);
	}
	return all >= 0;
}

#endif							/* HEX_H */
