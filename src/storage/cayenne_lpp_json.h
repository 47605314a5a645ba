/*
 * cayenne_lpp_json.h
 *	  Payloads in Cayenne LPP as jsonb.
 */
#ifndef CAYENNE_LPP_JSON_H
#define CAYENNE_LPP_JSON_H

#include "postgres.h"

#include "utils/jsonb.h"

/*
 * The values of a payload, named by their types and channels.  Returns NULL, and sets *error,
 * if the payload is malformed.
 */
extern Jsonb *cayenne_lpp_json(const bytea *payload, char **error);

#endif							/* CAYENNE_LPP_JSON_H */
