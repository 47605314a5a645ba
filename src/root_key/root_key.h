/*
 * root_key.h
 *	  Root keys: they seal the KEKs' material.
 */
#ifndef ROOT_KEY_H
#define ROOT_KEY_H

#include "postgres.h"

#include "utils/guc.h"

#include "../catalog/kek_row.h"

/* The setting key_vault.root_key. */
extern char *root_key_setting;

/* The check hook of settings that are lists of URIs: refuses one with a PIN. */
extern bool root_key_check_setting(char **newval, void **extra, GucSource source);

/* The setting's assign hook: whatever was loaded under the old one is wiped. */
extern void root_key_assign(const char *newval, void *extra);

/* The next use reads the root keys anew, whatever this backend has of them. */
extern void root_key_read_anew(void);

/* Whether the row's material is sealed under the first root key of the setting. */
extern bool root_key_is_first(const KekRow *row);

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
 * Opens it; material takes row->key_bits / 8 bytes.  The material's
 * key check value fits the row's, or it is an error.
 */
extern void root_key_open(const KekRow *row, uint8 *material);

#endif							/* ROOT_KEY_H */
