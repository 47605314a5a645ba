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

/* Counts its changes. */
extern uint64 kek_token_generation;

/* The setting's check hook. */
extern bool kek_token_check_setting(char **newval, void **extra, GucSource source);

/* The setting's assign hook. */
extern void kek_token_assign(const char *newval, void *extra);

/* Raises unless a KEK's provider names a token of the setting. */
extern void kek_token_check_provider(const char *provider);

/* The key of a KEK's row; nothing is connected yet. */
extern void kek_token_key(const KekRow *row, TokenKey *key);

/* Why a token could not be used, as an error that names the KEK. */
extern void kek_token_report(const DeferredError *error, const KekRow *row);

/*
 * Makes the KEK that the row describes, in its provider's token, and fills in its
 * kcv.  If the transaction does not commit, the key is destroyed again.
 */
extern void kek_token_generate(KekRow *row);

/* Destroys the key of a KEK, once the transaction has committed. */
extern void kek_token_destroy(const KekRow *row);

#endif							/* KEK_TOKEN_H */
