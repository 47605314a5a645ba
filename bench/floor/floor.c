/*
 * floor.c
 *	  Functions that do nothing, to measure the cost of a call alone: one takes the
 *	  arguments of lorawan_decrypt_uplink() and returns a copy of the payload, the other
 *	  takes those of lorawan_verify_uplink() and returns true.
 */
#include "postgres.h"

#include "fmgr.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(floor_copy);
PG_FUNCTION_INFO_V1(floor_verify);

Datum
floor_copy(PG_FUNCTION_ARGS)
{
	struct varlena *key = PG_GETARG_VARLENA_PP(0);
	bytea	   *dev_addr = PG_GETARG_BYTEA_PP(1);
	int64		f_cnt = PG_GETARG_INT64(2);
	bytea	   *payload = PG_GETARG_BYTEA_PP(3);
	size_t		size = VARSIZE_ANY_EXHDR(payload);
	bytea	   *result;

	if (VARSIZE_ANY_EXHDR(key) == 0 || VARSIZE_ANY_EXHDR(dev_addr) != 4 || f_cnt < 0)
		PG_RETURN_NULL();
	result = palloc(VARHDRSZ + size);
	SET_VARSIZE(result, VARHDRSZ + size);
	memcpy(VARDATA(result), VARDATA_ANY(payload), size);
	PG_RETURN_BYTEA_P(result);
}

Datum
floor_verify(PG_FUNCTION_ARGS)
{
	struct varlena *key = PG_GETARG_VARLENA_PP(0);
	int64		f_cnt = PG_GETARG_INT64(1);
	bytea	   *frame = PG_GETARG_BYTEA_PP(2);

	PG_RETURN_BOOL(VARSIZE_ANY_EXHDR(key) > 0 && VARSIZE_ANY_EXHDR(frame) > 12 && f_cnt >= 0);
}
