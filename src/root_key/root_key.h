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
 * Raises an error if this database has sealed KEKs and the first root key has sealed
 * none of them: it may not be the root key that the administrator believes it is.
 * KEKs that are suspended do not count, so that somebody who has lost a root key can
 * suspend its KEKs and go on with another.
 */
extern void root_key_require_in_use(void);

/* One root key of the setting, for monitoring. */
typedef struct RootKeyStatus
{
	const char *scheme;			/* without the colon */
	uint8		id[KEY_CHECK_VALUE_SIZE];
	int			sqlstate;		/* 0, or why it cannot be loaded; then id is
								 * not set */
} RootKeyStatus;

/* The nth root key of the setting, counted from 0; false if there are fewer. */
extern bool root_key_status(int n, RootKeyStatus *status);

/*
 * Seals the material of the row's KEK under the first root key of the setting, and sets
 * the row's sealed_material and root_key_id.
 */
extern void root_key_seal(KekRow *row, const uint8 *material);

/*
 * Opens the material, and checks that its key check value is the row's; material has
 * room for row->key_bits / 8 bytes.  Returns false, and notes an error that names the
 * KEK, if that fails.
 */
extern bool root_key_try_open(const KekRow *row, uint8 *material, DeferredError *error);

/* Does the same, but raises an error if that fails. */
extern void root_key_open(const KekRow *row, uint8 *material);

#endif							/* ROOT_KEY_H */
