/*
 * floor.c
 *	  What the benchmarks compare with: functions that do nothing but be called, and AES
 *	  alone.  And the clocks that they are measured with.
 *
 * floor_copy() takes the arguments of lorawan_decrypt_uplink() and returns a copy of the
 * payload.  floor_verify() takes those of lorawan_verify_uplink() and returns true.
 * floor_aes() sets an AES key some times and encrypts some blocks, each by a call of its
 * own, as CMAC and key wrap need them, since each block depends on the one before it.
 */
#include "postgres.h"

#include <time.h>

#include <openssl/evp.h>

#include "fmgr.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(floor_copy);
PG_FUNCTION_INFO_V1(floor_verify);
PG_FUNCTION_INFO_V1(floor_aes);
PG_FUNCTION_INFO_V1(wall_time);
PG_FUNCTION_INFO_V1(processor_time);

/* In bytes. */
#define AES_BLOCK_SIZE 16

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

/*
 * The result is false if OpenSSL fails.  The third argument is not used; without an
 * argument that differs from row to row, the planner might see a constant.
 */
Datum
floor_aes(PG_FUNCTION_ARGS)
{
	static EVP_CIPHER_CTX *context = NULL;
	static unsigned char block[AES_BLOCK_SIZE];
	int			keys = PG_GETARG_INT32(0);
	int			blocks = PG_GETARG_INT32(1);
	int			size;

	if (context == NULL)
	{
		context = EVP_CIPHER_CTX_new();
		if (context == NULL || !EVP_EncryptInit_ex(context, EVP_aes_128_ecb(), NULL, block, NULL))
			elog(ERROR, "no AES context");
	}
	for (int i = 0; i < keys; i++)
	{
		if (!EVP_EncryptInit_ex(context, NULL, NULL, block, NULL))
			PG_RETURN_BOOL(false);
	}
	for (int i = 0; i < blocks; i++)
	{
		if (!EVP_EncryptUpdate(context, block, &size, block, AES_BLOCK_SIZE))
			PG_RETURN_BOOL(false);
	}
	PG_RETURN_BOOL(true);
}

/* In nanoseconds. */
static int64
read_clock(clockid_t clock)
{
	struct timespec now;

	if (clock_gettime(clock, &now) != 0)
		elog(ERROR, "could not read a clock: %m");
	return now.tv_sec * INT64CONST(1000000000) + now.tv_nsec;
}

Datum
wall_time(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(read_clock(CLOCK_MONOTONIC));
}

/* Of this process, in the program and in the kernel. */
Datum
processor_time(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(read_clock(CLOCK_PROCESS_CPUTIME_ID));
}
