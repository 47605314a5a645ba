/*
 * token.h
 *	  Tokens reached through PKCS#11: their modules, sessions and logins.
 */
#ifndef TOKEN_H
#define TOKEN_H

#include "postgres.h"

#include <p11-kit/pkcs11.h>

#include "../common/deferred_error.h"
#include "token_uri.h"

typedef struct TokenModule
{
	struct TokenModule *next;
	char	   *path;
	CK_FUNCTION_LIST_PTR api;
	bool		is_initialized;
	int			sessions;		/* open */
} TokenModule;

typedef struct Token
{
	struct Token *next;
	TokenUri	uri;			/* what names it, and how to get there */
	TokenModule *module;		/* NULL until first connected */
	bool		is_connected;
	CK_SLOT_ID	slot;			/* while connected */
	CK_SESSION_HANDLE session;	/* while connected */
	uint64		session_number; /* of this backend; handles are good within it */
	bool		has_refused_pin;
	uint64		refused_pin;	/* a hash of it */
} Token;

/* The token that a URI names; nothing is connected yet. */
extern Token *token_get(const TokenUri *uri);

/* Sees to a session with the token, logged in. */
extern bool token_connect(Token *token, DeferredError *error);

/* Gives the session up; the next token_connect() opens another. */
extern void token_disconnect(Token *token);

/* How messages call it. */
extern const char *token_name(const Token *token);

/* Whether an answer means that session, login or handles are no longer good. */
extern bool token_is_lost(CK_RV rv);

/* Fills in that a function of the token failed. */
extern void token_describe_failure(const Token *token, const char *function, CK_RV rv,
								   DeferredError *error);

#endif							/* TOKEN_H */
