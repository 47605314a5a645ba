/*
 * kek_token.h
 *	  KEKs that live in tokens.
 */
#ifndef KEK_TOKEN_H
#define KEK_TOKEN_H

#include "postgres.h"

#include "utils/guc.h"

#include "../catalog/kek_row.h"
#include "token_key.h"

/* The setting key_vault.tokens. */
extern char *kek_token_setting;

/* Counts the changes of that setting. */
extern uint64 kek_token_generation;

/* The setting's check hook. */
extern bool kek_token_check_setting(char **newval, void **extra, GucSource source);

/* The setting's assign hook. */
extern void kek_token_assign(const char *newval, void *extra);

/* Raises an error unless a KEK's provider names a token of the setting. */
extern void kek_token_check_provider(const char *provider);

/* Sets key to the key of a KEK's row; does not connect to the token yet. */
extern void kek_token_key(const KekRow *row, TokenKey *key);

/* Raises an error about a token, with a detail that names the KEK. */
extern void kek_token_report(const DeferredError *error, const KekRow *row);

/*
 * Makes the row's KEK in the token of its provider, and sets the row's kcv.  If the
 * transaction does not commit, the key is destroyed again.
 */
extern void kek_token_generate(KekRow *row);

/* Destroys the key of a KEK when the transaction has committed. */
extern void kek_token_destroy(const KekRow *row);

#endif							/* KEK_TOKEN_H */
