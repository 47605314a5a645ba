/*
 * outage.c
 *	  Tells errors that are about the server from those that are about a message.
 */
#include "postgres.h"

#include "../common/errors.h"
#include "outage.h"

/*
 * Classes of errors, in PostgreSQL's appendix "Error Codes": Invalid Transaction State,
 * Transaction Rollback, Insufficient Resources, Object Not In Prerequisite State, Operator
 * Intervention, System Error, Internal Error.
 */
static const char *const outage_classes[] = {"25", "40", "53", "55", "57", "58", "XX"};

bool
is_outage(int sqlerrcode)
{
	const char *state = unpack_sql_state(sqlerrcode);

	for (int i = 0; i < lengthof(outage_classes); i++)
		if (strncmp(state, outage_classes[i], 2) == 0)
			return true;

	/*
	 * Errors about root keys, the cache and tokens.  These two are about one
	 * KEK.
	 */
	if (sqlerrcode == ERRCODE_KEK_MATERIAL_DAMAGED || sqlerrcode == ERRCODE_TOKEN_KEY)
		return false;
	return strncmp(state, "KV1", 3) == 0 || strncmp(state, "KV2", 3) == 0 || strncmp(state, "KV4", 3) == 0;
}
