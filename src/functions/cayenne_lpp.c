/*
 * cayenne_lpp.c
 *	  The SQL function that decodes payloads in Cayenne LPP.
 */
#include "postgres.h"

#include "fmgr.h"

#include "../storage/cayenne_lpp_json.h"

PG_FUNCTION_INFO_V1(key_vault_cayenne_lpp);

/* Arguments: payload, f_port, which makes no difference. */
Datum
key_vault_cayenne_lpp(PG_FUNCTION_ARGS)
{
	char	   *error;
	Jsonb	   *decoded = cayenne_lpp_json(PG_GETARG_BYTEA_PP(0), &error);

	if (decoded == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg_internal("%s", error)));
	PG_RETURN_JSONB_P(decoded);
}
