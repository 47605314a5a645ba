/*
 * arguments.h
 *	  Checking and unpacking arguments that many SQL functions have.
 *
 * The C function of an SQL function key_vault.NAME is called key_vault_NAME.  Some C functions
 * are called wrapped_key_... and lorawan_... instead.  They had these names in version 1.0,
 * and keep them, since databases with that version call them.
 */
#ifndef ARGUMENTS_H
#define ARGUMENTS_H

#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"

#include "../catalog/wrapped_key.h"
#include "../lorawan/frame.h"

/* A wrapped_key argument; wrapped_key points into it. */
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

/* A DevAddr or McAddr: 4 bytes as displayed. */
static inline const uint8 *
address_argument(FunctionCallInfo fcinfo, int n, const char *name)
{
	const bytea *address = PG_GETARG_BYTEA_PP(n);

	if (VARSIZE_ANY_EXHDR(address) != LORAWAN_DEV_ADDR_SIZE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must have %d bytes, not %d", name, LORAWAN_DEV_ADDR_SIZE,
						(int) VARSIZE_ANY_EXHDR(address)),
				 errhint("A DevAddr is given as displayed (big-endian): '\\x260B1234'.")));
	return (const uint8 *) VARDATA_ANY(address);
}

static inline const uint8 *
dev_addr_argument(FunctionCallInfo fcinfo, int n)
{
	return address_argument(fcinfo, n, "dev_addr");
}

/* A DevEUI or JoinEUI: 8 bytes as displayed. */
static inline const uint8 *
eui_argument(FunctionCallInfo fcinfo, int n, const char *name)
{
	const bytea *eui = PG_GETARG_BYTEA_PP(n);

	if (VARSIZE_ANY_EXHDR(eui) != LORAWAN_EUI_SIZE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must have %d bytes, not %d", name, LORAWAN_EUI_SIZE,
						(int) VARSIZE_ANY_EXHDR(eui)),
				 errhint("An EUI is given as displayed (big-endian): '\\x0004A30B001C0530'.")));
	return (const uint8 *) VARDATA_ANY(eui);
}

/* A full frame counter. */
static inline uint32
counter_argument(FunctionCallInfo fcinfo, int n, const char *name)
{
	int64		counter = PG_GETARG_INT64(n);

	if (counter < 0 || counter > PG_UINT32_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("%s must be from 0 to 4294967295, not " INT64_FORMAT, name, counter),
				 errhint("It is the full 32-bit frame counter.")));
	return (uint32) counter;
}

static inline uint32
f_cnt_argument(FunctionCallInfo fcinfo, int n)
{
	return counter_argument(fcinfo, n, "f_cnt");
}

#endif							/* ARGUMENTS_H */
