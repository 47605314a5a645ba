/*
 * plaintext_key.c
 *	  Checking keys that come in as plaintext for mistakes.
 *
 * If text without \x is made a bytea, its bytes are those of the characters.  So the 32
 * digits of a key of 128 bits become a key of 256 bits, and the 24 characters of one in
 * base64 a key of 192 bits, and nothing else would ever notice that.  One of more than 10^17
 * random keys looks like such text.
 *
 * Invariant: no byte of a key is in a message.
 */
#include "postgres.h"

#include "../crypto/hex.h"
#include "plaintext_key.h"

bool		plaintext_key_allow_hexadecimal = false;

static bool
is_one_of(uint8 character, const char *characters)
{
	return character != '\0' && strchr(characters, character) != NULL;
}

/*
 * Whether the bytes are the digits of a key of 128, 192 or 256 bits, also as other programs
 * write them: with \x or 0x before all digits or before each byte, with separators, in quotes
 * or brackets, with a line end.
 */
static bool
is_hexadecimal_text(const uint8 *key, size_t size)
{
	size_t		digits = 0;

	for (size_t i = 0; i < size; i++)
	{
		if (is_one_of(key[i], " \t\r\n:-,'\"{}\\xX") ||
			(key[i] == '0' && i + 1 < size && is_one_of(key[i + 1], "xX")))
			continue;
		if (hex_digit((char) key[i]) < 0)
			return false;
		digits++;
	}
	return digits == 32 || digits == 48 || digits == 64;
}

/*
 * Whether the bytes are a key of 128 or 256 bits in base64.  One of 192 bits has no padding,
 * and any 32 letters would look like it.
 */
static bool
is_base64_text(const uint8 *key, size_t size)
{
	size_t		padding = 0;

	while (size > 0 && is_one_of(key[size - 1], "\r\n"))
		size--;
	for (; size > 0 && key[size - 1] == '='; size--)
		padding++;
	for (size_t i = 0; i < size; i++)
		if (!is_one_of(key[i], "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_"))
			return false;
	return (size == 22 && padding == 2) || (size == 43 && padding == 1);
}

static bool
is_zero(const uint8 *key, size_t size)
{
	uint8		bits = 0;

	for (size_t i = 0; i < size; i++)
		bits |= key[i];
	return bits == 0;
}

void
plaintext_key_check(const uint8 *key, size_t size)
{
	if (is_hexadecimal_text(key, size) && !plaintext_key_allow_hexadecimal)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("key consists of hexadecimal digits, as text"),
				 errdetail("Its %zu bytes are the characters, not the bytes that the digits stand for.", size),
				 errhint("Use decode(digits, 'hex'), or write \\x before the digits.  If the characters are the key, SET key_vault.allow_hexadecimal_keys = on.")));
	if (is_base64_text(key, size) && !plaintext_key_allow_hexadecimal)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("key is base64, as text"),
				 errdetail("Its %zu bytes are the characters, not the bytes that they stand for.", size),
				 errhint("Use decode(text, 'base64').  If the characters are the key, SET key_vault.allow_hexadecimal_keys = on.")));
	if (size > 0 && is_zero(key, size))
		ereport(WARNING,
				(errmsg("all bytes of the key are zero"),
				 errdetail("Such a key protects nothing.")));
}
