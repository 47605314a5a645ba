/*
 * result_row.c
 *	  The row type of a function's result.
 *
 * Invariant: fn_extra is set last, so that it is whole after an error.
 */
#include "postgres.h"

#include "funcapi.h"

#include "result_row.h"

TupleDesc
result_row_desc(FunctionCallInfo fcinfo, int columns)
{
	TupleDesc	desc = fcinfo->flinfo->fn_extra;

	if (desc == NULL)
	{
		MemoryContext previous = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);

		if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE || desc->natts != columns)
			elog(ERROR, "return type must be a row of %d columns", columns);
		desc = BlessTupleDesc(desc);
		MemoryContextSwitchTo(previous);
		fcinfo->flinfo->fn_extra = desc;
	}
	return desc;
}
