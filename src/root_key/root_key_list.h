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

/* The setting's check hook: refuses a value that cannot be a list of root keys. */
extern bool root_key_check_setting(char **newval, void **extra, GucSource source);

/* Wipes the root keys that this backend has; the next use loads them anew. */
extern void root_key_forget_all(void);

/*
 * Returns the nth root key of the setting, counted from 0; NULL if there are fewer.
 * If it cannot be loaded, its field loaded is false, and an error is noted.  Raises
 * an error if the setting is empty.
 */
extern RootKey *root_key_get(int n, DeferredError *error);

/*
 * Returns the root key under which the row's material is sealed.  If it is missing or
 * cannot be loaded, returns NULL and notes an error, whose detail names the KEK.
 */
extern RootKey *root_key_find(const KekRow *row, DeferredError *error);

/* Wipes the root key; the next use loads it anew. */
extern void root_key_forget(RootKey *key);

/* A key check value as 10 hexadecimal digits. */
extern char *check_value_text(const uint8 kcv[KEY_CHECK_VALUE_SIZE]);

#endif							/* ROOT_KEY_LIST_H */
