/*
 * arguments.h
 *	  Arguments that many SQL functions share, checked and unpacked.
 */
#ifndef ARGUMENTS_H
#define ARGUMENTS_H

#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"

#include "../vault/wrapped_key.h"

/* A wrapped_key argument; what comes out points into the argument. */
static inline void
wrapped_key_argument(FunctionCallInfo fcinfo, int n, WrappedKey *wrapped_key)
{
	wrapped_key_from_varlena(PG_GETARG_VARLENA_PP(n), wrapped_key);
}

static inline char *
label_argument(FunctionCallInfo fcinfo, int n)
{
	return text_to_cstring(PG_GETARG_TEXT_PP(n));
}

/* A DevAddr: 4 bytes as displayed. */
static inline const uint8 *
dev_addr_argument(FunctionCallInfo fcinfo, int n)
{
	const bytea *dev_addr = PG_GETARG_BYTEA_PP(n);

	if (VARSIZE_ANY_EXHDR(dev_addr) != LORAWAN_DEV_ADDR_SIZE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("dev_addr must have %d bytes, not %d", LORAWAN_DEV_ADDR_SIZE,
						(int) VARSIZE_ANY_EXHDR(dev_addr)),
				 errhint("A DevAddr is given as displayed (big-endian): '\\x260B1234'.")));
	return (const uint8 *) VARDATA_ANY(dev_addr);
}

#endif							/* ARGUMENTS_H */
