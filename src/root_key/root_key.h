/*
 * root_key.h
 *	  Sealing KEKs under root keys, and opening them.
 */
#ifndef ROOT_KEY_H
#define ROOT_KEY_H

#include "postgres.h"

#include "../catalog/kek_row.h"
#include "../common/deferred_error.h"

/* Whether the row's material is sealed under the first root key of the setting. */
extern bool root_key_is_first(const KekRow *row);

/*
 * Raises when the first root key seals none of the KEKs of this database although
 * there are some: it may be another one than its administrator believes.  KEKs that
 * are suspended may be under others: so whoever has lost one root key goes on with
 * another.
 */
extern void root_key_require_in_use(void);

/* One root key of the setting, for those who watch over it. */
typedef struct RootKeyStatus
{
	const char *scheme;			/* without the colon */
	uint8		id[KEY_CHECK_VALUE_SIZE];
	int			sqlstate;		/* why it cannot be had, and has no id; or 0 */
} RootKeyStatus;

/* The nth root key of the setting, from 0; false when there are no more. */
extern bool root_key_status(int n, RootKeyStatus *status);

/*
 * Seals the material of the KEK that the row describes, under the first root
 * key of the setting; fills the row's sealed_material and root_key_id.
 */
extern void root_key_seal(KekRow *row, const uint8 *material);

/*
 * Opens it; material takes row->key_bits / 8 bytes, and the material's key check
 * value fits the row's.  False when there is an error, which names the KEK.
 */
extern bool root_key_try_open(const KekRow *row, uint8 *material, DeferredError *error);

/* The same, or an error. */
extern void root_key_open(const KekRow *row, uint8 *material);

#endif							/* ROOT_KEY_H */
