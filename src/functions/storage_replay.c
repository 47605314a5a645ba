/*
 * storage_replay.c
 *	  SQL functions that try again what a storage could not do when a message came.  They are
 *	  called by storage_try_rejected().
 */
#include "postgres.h"

#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"

#include "../storage/one_by_one.h"

PG_FUNCTION_INFO_V1(key_vault_storage_try_message);
PG_FUNCTION_INFO_V1(key_vault_storage_try_envelope);

/* Arguments: id in the table rejected, message, its keys. */
Datum
key_vault_storage_try_message(PG_FUNCTION_ARGS)
{
	bool		stored;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	stored = one_by_one_store_rejected(PG_GETARG_DATUM(0), PG_GETARG_DATUM(1), PG_GETARG_DATUM(2));
	SPI_finish();
	PG_RETURN_BOOL(stored);
}

/*
 * Arguments: dev_eui and session_key_id of a session, KEK label and encrypted key of its
 * envelope, KEK label at rest, DevAddr.  Returns a reason, or NULL.
 */
Datum
key_vault_storage_try_envelope(PG_FUNCTION_ARGS)
{
	MemoryContext context = CurrentMemoryContext;
	Datum		envelope[6];
	ErrorData  *error;
	text	   *reason = NULL;

	for (int i = 0; i < lengthof(envelope); i++)
		envelope[i] = PG_GETARG_DATUM(i);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	error = one_by_one_open_envelope(envelope);
	MemoryContextSwitchTo(context);
	if (error != NULL)
		reason = cstring_to_text(error->message);
	SPI_finish();
	if (reason == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(reason);
}
