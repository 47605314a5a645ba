/*
 * errors.h
 *	  The extension's own SQLSTATEs, one for each kind of error, and the check for lack
 *	  of memory.
 *
 * Where PostgreSQL has an SQLSTATE for an error (a wrong argument, a missing
 * privilege), that one is used.
 */
#ifndef KEY_VAULT_ERRORS_H
#define KEY_VAULT_ERRORS_H

#include "postgres.h"

/*
 * The message domain of the errors that a file which includes this header raises.  By it
 * they can be told from errors with the same SQLSTATE that others raise (outage.c).
 */
#undef TEXTDOMAIN
#define TEXTDOMAIN "key_vault"

/* KEKs and wrapped keys */
#define ERRCODE_KEK_UNKNOWN				MAKE_SQLSTATE('K','V','0','0','1')
#define ERRCODE_KEK_SUSPENDED			MAKE_SQLSTATE('K','V','0','0','2')
#define ERRCODE_KEK_DESTROYED			MAKE_SQLSTATE('K','V','0','0','3')
#define ERRCODE_KEY_INTEGRITY			MAKE_SQLSTATE('K','V','0','0','4')
#define ERRCODE_KEY_CONTEXT				MAKE_SQLSTATE('K','V','0','0','5')
#define ERRCODE_KEY_LENGTH				MAKE_SQLSTATE('K','V','0','0','6')
#define ERRCODE_KEK_NOT_ACTIVE			MAKE_SQLSTATE('K','V','0','0','7')
/* KV008, "KEK in use", is raised in SQL by key_vault.kek_destroy(). */
#define ERRCODE_JOIN_MISMATCH			MAKE_SQLSTATE('K','V','0','0','9')

/* root keys */
#define ERRCODE_ROOT_KEY_UNSET			MAKE_SQLSTATE('K','V','1','0','1')
#define ERRCODE_ROOT_KEY_UNREADABLE		MAKE_SQLSTATE('K','V','1','0','2')
#define ERRCODE_ROOT_KEY_IN_DATA		MAKE_SQLSTATE('K','V','1','0','3')
#define ERRCODE_ROOT_KEY_TOO_OPEN		MAKE_SQLSTATE('K','V','1','0','4')
#define ERRCODE_ROOT_KEY_MALFORMED		MAKE_SQLSTATE('K','V','1','0','5')
#define ERRCODE_ROOT_KEY_WRONG			MAKE_SQLSTATE('K','V','1','0','6')
#define ERRCODE_ROOT_KEY_SETTING		MAKE_SQLSTATE('K','V','1','0','7')
#define ERRCODE_KEK_MATERIAL_DAMAGED	MAKE_SQLSTATE('K','V','1','0','8')

/* tokens (PKCS#11) */
#define ERRCODE_TOKEN_URI				MAKE_SQLSTATE('K','V','4','0','1')
#define ERRCODE_TOKEN_MODULE			MAKE_SQLSTATE('K','V','4','0','2')
#define ERRCODE_TOKEN_MISSING			MAKE_SQLSTATE('K','V','4','0','3')
#define ERRCODE_TOKEN_PIN				MAKE_SQLSTATE('K','V','4','0','4')
#define ERRCODE_TOKEN_KEY				MAKE_SQLSTATE('K','V','4','0','5')
#define ERRCODE_TOKEN_FAILED			MAKE_SQLSTATE('K','V','4','0','6')

/* the cache */
#define ERRCODE_CACHE_MISMATCH			MAKE_SQLSTATE('K','V','2','0','1')

/* LoRaWAN frames */
#define ERRCODE_FRAME_MALFORMED			MAKE_SQLSTATE('K','V','3','0','1')

/* sealed values */
#define ERRCODE_SEALED_INTEGRITY		MAKE_SQLSTATE('K','V','5','0','1')

/*
 * For memory that does not come from PostgreSQL's memory contexts: returns it, or
 * raises an error if it is NULL.
 */
static inline void *
check_allocated(void *memory)
{
	if (unlikely(memory == NULL))
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	return memory;
}

#endif							/* KEY_VAULT_ERRORS_H */
