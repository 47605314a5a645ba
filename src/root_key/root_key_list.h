/*
 * root_key_list.h
 *	  The root keys of the setting key_vault.root_key, loaded as needed.
 */
#ifndef ROOT_KEY_LIST_H
#define ROOT_KEY_LIST_H

#include "postgres.h"

#include "utils/guc.h"

#include "../catalog/kek_row.h"
#include "../common/deferred_error.h"
#include "root_key_provider.h"

/* The setting key_vault.root_key. */
extern char *root_key_setting;

/* The setting's check hook: refuses what can never be a list of root keys. */
extern bool root_key_check_setting(char **newval, void **extra, GucSource source);

/* The next use reads the root keys anew, whatever this backend has of them. */
extern void root_key_forget_all(void);

/*
 * The nth root key of the setting, from 0, loaded; NULL when there are no more.
 * Raises when the setting is empty.  One that cannot be had is returned with
 * loaded false, and the error.
 */
extern RootKey *root_key_get(int n, DeferredError *error);

/*
 * The root key that a row's material is sealed under; NULL when there is a
 * error, whose detail names the KEK.
 */
extern RootKey *root_key_find(const KekRow *row, DeferredError *error);

/* The root key could not be used: the next time it is loaded anew. */
extern void root_key_forget(RootKey *key);

/* A key check value in hexadecimal digits. */
extern char *check_value_text(const uint8 kcv[KEY_CHECK_VALUE_SIZE]);

#endif							/* ROOT_KEY_LIST_H */
