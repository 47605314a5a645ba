/*
 * kek.h
 *	  The KEKs that this backend holds open.
 */
#ifndef KEK_H
#define KEK_H

#include "postgres.h"

#include "utils/inval.h"

#include "../catalog/access.h"
#include "../catalog/invalidation.h"
#include "../catalog/kek_row.h"
#include "../crypto/key_wrap.h"
#include "../token/token_key.h"

typedef struct Kek
{
	pg_uuid_t	kek_id;			/* hash key */
	KekRow		row;			/* as last read */
	MemoryContext context;		/* what row points to */
	AccessMemo	access;			/* privileges on row.label */
	bool		withdrawn;		/* its row changed: to be closed */
	bool		is_open;		/* material holds the key */
	uint8	   *material;		/* secure memory, row.key_bits / 8 bytes */
	AesCipher  *wrap_cipher;	/* NULL until needed */
	AesCipher  *unwrap_cipher;	/* NULL until needed */
	TokenKey	token_key;		/* of one in a token */
	uint64		tokens_generation;	/* of the setting, when token_key was
									 * found; 0: never */
} Kek;

/* kek_generation as it stood before the rows of the open KEKs were last read. */
extern uint64 kek_verified_generation;

extern void kek_verify_open(void);

/*
 * What lets go of the KEKs that are marked as withdrawn, each time before they are
 * closed.  It must not raise.
 */
extern void kek_before_closing(void (*callback) (void));

/*
 * Accepts what other sessions committed: KEKs whose rows changed are closed, and
 * the cached keys of their labels wiped.  Every look-up begins with it; no
 * pointer from an earlier look-up is good after it.
 */
static inline void
kek_accept_changes(void)
{
	AcceptInvalidationMessages();
	if (unlikely(kek_verified_generation != kek_generation))
		kek_verify_open();
}

/*
 * A KEK by its id; NULL when there is none.  Good until the next
 * kek_accept_changes().
 */
extern Kek *kek_find(const pg_uuid_t *kek_id);

/* The active version of a label; NULL when it has none. */
extern Kek *kek_find_active(const char *label);

/* Whether its state allows unwrapping. */
extern bool kek_can_unwrap(const Kek *kek);

/*
 * Wrap and unwrap with it as the functions of key_wrap.h do, here or in its
 * token.  Open it if need be; raise if that fails, and if its token does, or
 * takes no such length.
 */
extern CryptoStatus kek_wrap(Kek *kek, const uint8 *key, size_t key_size, uint8 *wrapped);
extern CryptoStatus kek_wrap_pad(Kek *kek, const uint8 *key, size_t key_size,
								 uint8 *wrapped);
extern CryptoStatus kek_unwrap(Kek *kek, const uint8 *wrapped, size_t wrapped_size,
							   uint8 *key);
extern CryptoStatus kek_unwrap_pad(Kek *kek, const uint8 *wrapped, size_t wrapped_size,
								   uint8 *key, size_t *key_size);

#endif							/* KEK_H */
