/*
 * token_uri.h
 *	  PKCS#11 URIs (RFC 7512), as far as they name tokens and AES keys in them.
 */
#ifndef TOKEN_URI_H
#define TOKEN_URI_H

#include "postgres.h"

#include "../common/deferred_error.h"

#define TOKEN_URI_SCHEME "pkcs11:"

/* The attributes, decoded; NULL for those that are not there. */
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

	/* how to reach the token */
	char	   *module_path;
	char	   *pin_source;
} TokenUri;

/*
 * Parses what comes after the scheme of a URI, in the current memory context.  Returns
 * false, and notes an error, if it is malformed or not supported.
 */
extern bool token_uri_parse(const char *location, TokenUri *uri, DeferredError *error);

#endif							/* TOKEN_URI_H */
