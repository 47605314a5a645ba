/*
 * wrapped_key.h
 *	  The bytes of a wrapped_key value.
 *
 *	  byte 0		format version, 1
 *	  byte 1		algorithm (WrapAlgorithm)
 *	  bytes 2-17	kek_id, a uuid in network byte order
 *	  bytes 18-		the wrapped bytes
 */
#ifndef WRAPPED_KEY_H
#define WRAPPED_KEY_H

#include "postgres.h"

#include "utils/uuid.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#include "../crypto/key_wrap.h"
#include "../lorawan/payload.h"

#define WRAPPED_KEY_FORMAT 1

/* The size of all before the wrapped bytes, in bytes. */
#define WRAPPED_KEY_HEADER_SIZE (2 + UUID_LEN)

/*
 * The size, in bytes, of the context of a bound key, which is 01 00 00 00 and the DevAddr
 * as displayed.
 */
#define KEY_CONTEXT_SIZE 8

/* The values are stored in wrapped keys, so they must never change. */
typedef enum WrapAlgorithm
{
	WRAP_AES_KW = 1,			/* RFC 3394 */
	WRAP_AES_KWP = 2,			/* RFC 5649, for lengths that AES-KW cannot */
	WRAP_AES_KW_BOUND = 3		/* RFC 3394 over the context and the key */
} WrapAlgorithm;

/* The parts of a wrapped_key value; pointers point into it, sizes are in bytes. */
typedef struct WrappedKey
{
	const uint8 *bytes;			/* the whole value, without varlena header */
	uint32		size;
	WrapAlgorithm algorithm;
	const pg_uuid_t *kek_id;
	const uint8 *wrapped;
	uint32		wrapped_size;
} WrappedKey;

/*
 * Parses size bytes as a wrapped_key.  Returns NULL if they are one, otherwise a sentence
 * about what is wrong with them.
 */
extern const char *wrapped_key_parse(const uint8 *bytes, size_t size,
									 WrappedKey *wrapped_key);

/* Parses a stored value, which may have a short header; an error if it is damaged. */
extern void wrapped_key_from_varlena(const struct varlena *value,
									 WrappedKey *wrapped_key);

/* Makes a value with room for wrapped_size bytes at *wrapped, which the caller writes. */
extern struct varlena *wrapped_key_make(WrapAlgorithm algorithm,
										const pg_uuid_t *kek_id,
										size_t wrapped_size, uint8 **wrapped);

extern const char *wrap_algorithm_name(WrapAlgorithm algorithm);

/* Returns false if there is no algorithm of that name. */
extern bool wrap_algorithm_from_name(const char *name, size_t name_len,
									 WrapAlgorithm *algorithm);

/* Makes the context of a DevAddr; says whether a context is well-formed. */
extern void key_context_from_dev_addr(const uint8 dev_addr[LORAWAN_DEV_ADDR_SIZE],
									  uint8 context[KEY_CONTEXT_SIZE]);
extern bool key_context_is_valid(const uint8 context[KEY_CONTEXT_SIZE]);

#endif							/* WRAPPED_KEY_H */
