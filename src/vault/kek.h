/*
 * kek.h
 *	  The KEKs that this backend has open.
 */
#ifndef KEK_H
#define KEK_H

#include "postgres.h"

#include "lib/ilist.h"
#include "utils/inval.h"

#include "../catalog/access.h"
#include "../catalog/invalidation.h"
#include "../catalog/kek_row.h"
#include "../crypto/key_wrap.h"
#include "../token/token_key.h"

/* A label with its open KEKs. */
typedef struct OpenLabel
{
	char	   *name;			/* hash key */
	MemoryContext context;		/* of name */
	dlist_head	keks;			/* of Kek.label_link */
} OpenLabel;

typedef struct Kek
{
	pg_uuid_t	kek_id;			/* hash key */
	KekRow		row;			/* as it was last read */
	MemoryContext context;		/* of what row points to */
	OpenLabel  *label;			/* row.label */
	dlist_node	label_link;		/* in label->keks */
	uint64		found_by_reading;	/* number of the last reading of the whole
									 * table that found the row */
	AccessMemo	access;			/* privileges on row.label */
	bool		withdrawn;		/* a row of its label changed: to be closed */
	bool		is_open;		/* material has the key */
	uint8	   *material;		/* secure memory, row.key_bits / 8 bytes */
	AesCipher  *wrap_cipher;	/* NULL until needed */
	AesCipher  *unwrap_cipher;	/* NULL until needed */
	TokenKey	token_key;		/* for a KEK in a token */
	uint64		tokens_generation;	/* kek_token_generation when token_key was
									 * set; 0: it was not */
} Kek;

/* The value of kek_generation before the rows of the open KEKs were last read. */
extern uint64 kek_verified_generation;

/* Reads the rows of the open KEKs again, and closes those that must be closed. */
extern void kek_verify_open(void);

/*
 * Sets a function that is called each time before KEKs are closed.  It must forget the
 * KEKs that are withdrawn, and must not raise an error.
 */
extern void kek_before_closing(void (*callback) (void));

/*
 * Applies what other sessions have committed: if the row of a KEK has changed, the KEKs of
 * its label are closed and their cached keys wiped.  Every look-up begins with it.  No
 * pointer from an earlier look-up is valid after it.
 */
static inline void
kek_accept_changes(void)
{
	AcceptInvalidationMessages();
	if (unlikely(kek_verified_generation != kek_generation))
		kek_verify_open();
}

/*
 * Finds a KEK by its id; NULL if there is none.  The pointer is valid until the next
 * kek_accept_changes().
 */
extern Kek *kek_find(const pg_uuid_t *kek_id);

/* Finds the active version of a label; NULL if there is none. */
extern Kek *kek_find_active(const char *label);

/* Whether its state allows unwrapping. */
extern bool kek_can_unwrap(const Kek *kek);

/*
 * Wrap and unwrap with the KEK as the functions of key_wrap.h do, in this process or in the
 * KEK's token.  They open the KEK if it is not open yet.  They raise an error if that
 * fails, if the token fails, or if it cannot wrap a key of this length.
 */
extern CryptoStatus kek_wrap(Kek *kek, const uint8 *key, size_t key_size, uint8 *wrapped);
extern CryptoStatus kek_wrap_set(Kek *kek, const uint8 *prefix, size_t prefix_size,
								 const uint8 *const *keys, size_t n_keys, size_t key_size,
								 uint8 *const *wrapped);
extern CryptoStatus kek_wrap_pad(Kek *kek, const uint8 *key, size_t key_size,
								 uint8 *wrapped);
extern CryptoStatus kek_unwrap(Kek *kek, const uint8 *wrapped, size_t wrapped_size,
							   uint8 *key);
extern CryptoStatus kek_unwrap_pad(Kek *kek, const uint8 *wrapped, size_t wrapped_size,
								   uint8 *key, size_t *key_size);

#endif							/* KEK_H */
