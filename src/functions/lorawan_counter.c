/*
 * lorawan_counter.c
 *	  SQL functions that find the full frame counter from its low half, which is all that a
 *	  frame carries.
 *
 * They use no key.  lorawan_f_cnt() is a window function and not an aggregate: for rows with
 * the same ORDER BY value, or with a frame clause, an aggregate would return the counter of
 * another row, and decrypting with a wrong counter gives garbage.
 */
#include "postgres.h"

#include "fmgr.h"
#include "windowapi.h"

#include "../lorawan/counter.h"

PG_FUNCTION_INFO_V1(key_vault_lorawan_full_f_cnt);
PG_FUNCTION_INFO_V1(key_vault_lorawan_f_cnt);

/* The state for one partition of the window. */
typedef struct CounterState
{
	bool		started;		/* last is set */
	uint32		last;			/* the counter of the last accepted frame */
} CounterState;

static uint16
check_f_cnt16(int32 f_cnt16)
{
	if (f_cnt16 < 0 || f_cnt16 > PG_UINT16_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("f_cnt16 must be from 0 to 65535, not %d", f_cnt16),
				 errhint("It is the counter as the frame carries it, of 16 bits.")));
	return (uint16) f_cnt16;
}

static uint16
check_max_gap(int32 max_gap)
{
	if (max_gap < 0 || max_gap > PG_UINT16_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("max_gap must be from 0 to 65535, not %d", max_gap)));
	return (uint16) max_gap;
}

static uint32
check_last(int64 last)
{
	if (last < 0 || last > PG_UINT32_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("last must be from 0 to 4294967295, not " INT64_FORMAT, last),
				 errhint("It is a full 32-bit frame counter.")));
	return (uint32) last;
}

/* Arguments: last, f_cnt16, max_gap. */
Datum
key_vault_lorawan_full_f_cnt(PG_FUNCTION_ARGS)
{
	uint32		last = check_last(PG_GETARG_INT64(0));
	uint16		f_cnt16 = check_f_cnt16(PG_GETARG_INT32(1));
	uint16		max_gap = check_max_gap(PG_GETARG_INT32(2));
	uint32		f_cnt;

	if (!lorawan_full_f_cnt(last, f_cnt16, max_gap, &f_cnt))
		PG_RETURN_NULL();
	PG_RETURN_INT64(f_cnt);
}

/*
 * Arguments: f_cnt16, max_gap, last.  A row whose counter is NULL, or too far from the last
 * accepted one, gets NULL and does not change the last accepted one.
 */
Datum
key_vault_lorawan_f_cnt(PG_FUNCTION_ARGS)
{
	WindowObject window = PG_WINDOW_OBJECT();
	CounterState *state = WinGetPartitionLocalMemory(window, sizeof(CounterState));
	bool		no_f_cnt16;
	bool		no_max_gap;
	int32		f_cnt16 = DatumGetInt32(WinGetFuncArgCurrent(window, 0, &no_f_cnt16));
	int32		max_gap = DatumGetInt32(WinGetFuncArgCurrent(window, 1, &no_max_gap));

	if (no_f_cnt16 || no_max_gap)
		PG_RETURN_NULL();
	check_f_cnt16(f_cnt16);
	check_max_gap(max_gap);
	if (!state->started)
	{
		bool		no_last;
		Datum		last = WinGetFuncArgCurrent(window, 2, &no_last);

		/*
		 * Without last, the first frame is taken to have a counter below
		 * 65536.
		 */
		state->last = no_last ? f_cnt16 : check_last(DatumGetInt64(last));
		state->started = true;
	}
	if (!lorawan_full_f_cnt(state->last, f_cnt16, max_gap, &state->last))
		PG_RETURN_NULL();
	PG_RETURN_INT64(state->last);
}
