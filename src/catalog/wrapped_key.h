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
#define WRAPPED_KEY_HEADER_SIZE (2 + UUID_LEN)

/* The context of a bound key: 01 00 00 00, then the DevAddr as displayed. */
#define KEY_CONTEXT_SIZE 8

/* The values are stored: they never change their meaning. */
typedef enum WrapAlgorithm
{
	WRAP_AES_KW = 1,			/* RFC 3394 */
	WRAP_AES_KWP = 2,			/* RFC 5649, for lengths that AES-KW cannot */
	WRAP_AES_KW_BOUND = 3		/* RFC 3394 over the context and the key */
} WrapAlgorithm;

/* A look at a wrapped_key value; points into it. */
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
 * Looks at size bytes as a wrapped_key.  Returns NULL when they are one, or
 * else what is wrong with them, as an errdetail.
 */
extern const char *wrapped_key_parse(const uint8 *bytes, size_t size,
									 WrappedKey *wrapped_key);

/* Looks at a stored value, which may have a short header; an error if damaged. */
extern void wrapped_key_from_varlena(const struct varlena *value,
									 WrappedKey *wrapped_key);

/* A new value with room for wrapped_size bytes at *wrapped, still to be filled. */
extern struct varlena *wrapped_key_make(WrapAlgorithm algorithm,
										const pg_uuid_t *kek_id,
										size_t wrapped_size, uint8 **wrapped);

extern const char *wrap_algorithm_name(WrapAlgorithm algorithm);

/* False when there is no algorithm of that name. */
extern bool wrap_algorithm_from_name(const char *name, size_t name_len,
									 WrapAlgorithm *algorithm);

/* Writes a DevAddr's context, or reads one; false when the context is none. */
extern void key_context_from_dev_addr(const uint8 dev_addr[LORAWAN_DEV_ADDR_SIZE],
									  uint8 context[KEY_CONTEXT_SIZE]);
extern bool key_context_is_valid(const uint8 context[KEY_CONTEXT_SIZE]);

#endif							/* WRAPPED_KEY_H */
