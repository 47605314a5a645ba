/*
 * plaintext_key.c
 *	  Checking keys that come in as plaintext for mistakes.
 *
 * If text without \x is made a bytea, its bytes are those of the characters.  So the 32
 * digits of a key of 128 bits become a key of 256 bits, and nothing else would ever notice
 * that.  One of more than 10^33 random keys looks like such digits.
 *
 * Invariant: no byte of a key is in a message.
 */
#include "postgres.h"

#include "../common/hex.h"
#include "plaintext_key.h"

bool		plaintext_key_allow_hexadecimal = false;

/*
 * Whether the bytes are the digits of a key of 128, 192 or 256 bits, perhaps with \x or 0x
 * before them.
 */
static bool
is_hexadecimal_text(const uint8 *key, size_t size)
{
	if (size > 2 && (key[0] == '\\' || key[0] == '0') && key[1] == 'x')
	{
		key += 2;
		size -= 2;
	}
	if (size != 32 && size != 48 && size != 64)
		return false;
	for (size_t i = 0; i < size; i++)
		if (hex_digit((char) key[i]) < 0)
			return false;
	return true;
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
	if (size > 0 && is_zero(key, size))
		ereport(WARNING,
				(errmsg("all bytes of the key are zero"),
				 errdetail("Such a key protects nothing.")));
}
