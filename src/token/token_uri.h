/*
 * token_uri.h
 *	  PKCS#11 URIs (RFC 7512), as far as they name tokens and AES keys in them.
 */
#ifndef TOKEN_URI_H
#define TOKEN_URI_H

#include "postgres.h"

#include "../common/deferred_error.h"

#define TOKEN_URI_SCHEME "pkcs11:"

/* The decoded attributes; NULL for those that are not there. */
typedef struct TokenUri
{
	/* which token */
	char	   *token;
	char	   *manufacturer;
	char	   *model;
	char	   *serial;
	char	   *slot_id;

	/* which key in it */
	char	   *object;
	char	   *id;				/* bytes; may contain zeros */
	size_t		id_size;
	char	   *type;

	/* how to get there */
	char	   *module_path;
	char	   *pin_source;
} TokenUri;

/*
 * Takes a URI apart; what is after the scheme, that is.  False after an
 * error that was noted.  Allocates in the current context.
 */
extern bool token_uri_parse(const char *location, TokenUri *uri, DeferredError *error);

#endif							/* TOKEN_URI_H */
