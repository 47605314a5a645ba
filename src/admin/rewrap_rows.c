/*
 * rewrap_rows.c
 *	  Rewraps the keys of the rows that a batch of rewrap_all() has read.
 *
 * Invariants: no code of the table's owner runs here; the current role is the caller, whose
 * privileges are checked as for any other use of a key.
 */
#include "postgres.h"

#include "access/tupdesc.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/uuid.h"

#include "../catalog/key_columns.h"
#include "../vault/wrapping.h"
#include "rewrap_work.h"

static bool
is_wanted(const RewrapBatch *batch, const pg_uuid_t *kek_id)
{
	const pg_uuid_t *wanted = (const pg_uuid_t *) ARR_DATA_PTR(batch->kek_ids);

	for (int i = 0; i < ARR_DIMS(batch->kek_ids)[0]; i++)
		if (memcmp(&wanted[i], kek_id, UUID_LEN) == 0)
			return true;
	return false;
}

/*
 * Rewraps a key, unless another KEK wraps it.  Returns false, and notes the reason, if it
 * cannot be unwrapped.
 */
static bool
rewrap_key(TableWork *work, Datum *key, int64 *count)
{
	WrappedKey	wrapped_key;
	VaultFailure failure;
	struct varlena *fresh;

	wrapped_key_from_varlena(PG_DETOAST_DATUM_PACKED(*key), &wrapped_key);
	if (!is_wanted(work->batch, wrapped_key.kek_id))
		return true;
	fresh = vault_try_rewrap(&wrapped_key, &failure);
	if (fresh == NULL)
	{
		work->batch->unopened_reason = vault_failure_name(failure);
		return false;
	}
	*key = PointerGetDatum(fresh);
	(*count)++;
	return true;
}

static bool
rewrap_array(TableWork *work, Datum *value, int64 *count)
{
	ArrayType  *array = DatumGetArrayTypeP(*value);
	int16		length;
	bool		by_value;
	char		alignment;
	Datum	   *keys;
	bool	   *nulls;
	int			nkeys;

	get_typlenbyvalalign(wrapped_key_type(), &length, &by_value, &alignment);
	deconstruct_array(array, ARR_ELEMTYPE(array), length, by_value, alignment,
					  &keys, &nulls, &nkeys);
	for (int i = 0; i < nkeys; i++)
		if (!nulls[i] && !rewrap_key(work, &keys[i], count))
			return false;
	*value = PointerGetDatum(construct_md_array(keys, nulls, ARR_NDIM(array), ARR_DIMS(array),
												ARR_LBOUND(array), wrapped_key_type(),
												length, by_value, alignment));
	return true;
}

/* The columns have base types; a domain checks a value when it is assigned. */
TupleDesc
rewrap_describe_new_keys(const TableWork *work)
{
	TupleDesc	desc = CreateTemplateTupleDesc(list_length(work->columns) + 1);
	ListCell   *cell;

	TupleDescInitEntry(desc, 1, "row_id", TIDOID, -1, 0);
	foreach(cell, work->columns)
	{
		const KeyColumn *column = lfirst(cell);
		int			n = foreach_current_index(cell) + 1;
		Oid			type = wrapped_key_type();

		if (column->kind == KEY_COLUMN_ARRAY)
			type = get_array_type(type);
		TupleDescInitEntry(desc, n + 1, psprintf("key_%d", n), type, -1, 0);
	}
	return desc;
}

int64
rewrap_rows(TableWork *work, TupleDesc desc, Tuplestorestate *new_keys, int64 *nkeys)
{
	RewrapBatch *batch = work->batch;
	int			ncolumns = list_length(work->columns);
	Datum	   *values = palloc0((ncolumns + 1) * sizeof(Datum));
	bool	   *nulls = palloc0((ncolumns + 1) * sizeof(bool));
	int64		nrows = 0;

	for (int i = 0; i < work->nrows; i++)
	{
		HeapTuple	row = work->rows[i];
		int64		row_keys = 0;
		bool		opened = true;
		ListCell   *cell;

		values[0] = SPI_getbinval(row, work->rows_desc, 1, &nulls[0]);
		foreach(cell, work->columns)
		{
			const KeyColumn *column = lfirst(cell);
			int			n = foreach_current_index(cell) + 1;

			values[n] = SPI_getbinval(row, work->rows_desc, n + 1, &nulls[n]);
			if (column->kind == KEY_COLUMN_OTHER)
				nulls[n] = true;
			if (nulls[n] || !opened)
				continue;
			opened = column->kind == KEY_COLUMN_SINGLE ?
				rewrap_key(work, &values[n], &row_keys) :
				rewrap_array(work, &values[n], &row_keys);
		}
		if (!opened)
		{
			batch->rows_unopened++;
			batch->unopened_row = *(ItemPointer) DatumGetPointer(values[0]);
			continue;
		}
		tuplestore_putvalues(new_keys, desc, values, nulls);
		*nkeys += row_keys;
		nrows++;
	}
	return nrows;
}
