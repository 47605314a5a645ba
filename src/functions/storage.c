/*
 * storage.c
 *	  What a storage (see "Storage" in the install script) needs of C.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(key_vault_storage_refuse);

static const char *
text_or_null(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(n));
}

/*
 * Raises an error again, kept short in the server log: the statement, and the
 * context that COPY adds, may have a message with a plaintext key in them.
 */
Datum
key_vault_storage_refuse(PG_FUNCTION_ARGS)
{
	const char *state = text_or_null(fcinfo, 0);
	const char *message = text_or_null(fcinfo, 1);
	const char *detail = text_or_null(fcinfo, 2);
	const char *hint = text_or_null(fcinfo, 3);

	if (state == NULL || strlen(state) != 5 || message == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an SQLSTATE and a message are needed")));
	ereport(ERROR,
			(errcode(MAKE_SQLSTATE(state[0], state[1], state[2], state[3], state[4])),
			 errmsg_internal("%s", message),
			 detail != NULL && *detail != '\0' ? errdetail_internal("%s", detail) : 0,
			 hint != NULL && *hint != '\0' ? errhint("%s", hint) : 0,
			 errhidestmt(true),
			 errhidecontext(true)));
	PG_RETURN_VOID();
}
