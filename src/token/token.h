/*
 * token.h
 *	  Tokens that are reached through PKCS#11: their modules, sessions and logins.
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
	int			sessions;		/* how many are open */
} TokenModule;

typedef struct Token
{
	struct Token *next;
	TokenUri	uri;			/* which token it is, and how to reach it */
	TokenModule *module;		/* NULL until the first connection */
	bool		is_connected;
	CK_SLOT_ID	slot;			/* while connected */
	CK_SESSION_HANDLE session;	/* while connected */
	uint64		session_number; /* counts the sessions of this backend;
								 * handles are valid within one */
	bool		has_refused_pin;
	uint64		refused_pin;	/* its hash */
} Token;

/* Returns the token that a URI names; does not connect to it yet. */
extern Token *token_get(const TokenUri *uri);

/*
 * Makes sure that there is a session with the token, and that it is logged in.  Returns
 * false, and notes an error, if that fails.
 */
extern bool token_connect(Token *token, DeferredError *error);

/* Closes the session; the next token_connect() opens another. */
extern void token_disconnect(Token *token);

/* The name of the token in messages. */
extern const char *token_name(const Token *token);

/* Whether a return value means that session, login or handles are not valid any more. */
extern bool token_is_lost(CK_RV rv);

/* Notes an error that says that a PKCS#11 function failed, and how. */
extern void token_describe_failure(const Token *token, const char *function, CK_RV rv,
								   DeferredError *error);

#endif							/* TOKEN_H */
