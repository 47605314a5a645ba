/*
 * row_look.c
 *	  Remembers the result of a function for one row, so that a query that calls the function
 *	  several times for this row looks up the key only once.
 *
 * If a function returns two columns, the planner may put a call of it in the place of each:
 * (f(x)).payload, (f(x)).status.  If each call looked up the key, a KEK could be suspended
 * between the two, and the row would contradict itself.
 *
 * A node of the plan computes one row in one memory context, which the executor resets before
 * the next row.  So a result is remembered in that context and goes with it.  A node may
 * compute several rows before the context is reset, if a condition excludes some of them.
 * Then the same place in the query calls the function a second time, and the key is looked up
 * again.
 *
 * Invariants: a result is used only in the memory context in which it was made, and only once
 * by each place of the query; results whose context was reset are not in the list any more.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "row_look.h"

/*
 * The number of results that are remembered for one row, for example of a join of uplinks:
 * more than a query selects, and few enough to search.
 */
#define MAX_LOOKS 8

/* The number of places of a query that share a result; another place makes its own. */
#define MAX_PLACES 16

/* One result. */
typedef struct RowLook
{
	const uint8 *args;			/* all that the result depends on */
	size_t		size;			/* of args, in bytes */
	Datum		result;
	int			nplaces;
	FmgrInfo   *places[MAX_PLACES]; /* calls that have got the result */
} RowLook;

/* The results for one row. */
typedef struct RowLooks
{
	struct RowLooks *next;
	MemoryContext row;			/* the context in which the row is computed */
	MemoryContextCallback callback;
	int			nlooks;
	int			oldest;			/* the one to replace if there are MAX_LOOKS */
	RowLook		looks[MAX_LOOKS];
} RowLooks;

/* One for each memory context; the last one is at the start. */
static RowLooks *rows = NULL;

static void
forget(void *arg)
{
	for (RowLooks **row = &rows; *row != NULL; row = &(*row)->next)
	{
		if (*row == arg)
		{
			*row = (*row)->next;
			return;
		}
	}
}

static RowLooks *
looks_of_this_row(void)
{
	for (RowLooks *row = rows; row != NULL; row = row->next)
		if (row->row == CurrentMemoryContext)
			return row;
	return NULL;
}

static RowLook *
find_look(RowLooks *row, const uint8 *args, size_t size)
{
	for (int i = 0; i < row->nlooks; i++)
		if (row->looks[i].size == size && memcmp(row->looks[i].args, args, size) == 0)
			return &row->looks[i];
	return NULL;
}

/* Notes that a place gets the result; false if it has got it before. */
static bool
give_to(RowLook *look, FmgrInfo *place)
{
	for (int i = 0; i < look->nplaces; i++)
		if (look->places[i] == place)
			return false;
	if (look->nplaces == MAX_PLACES)
		return false;
	look->places[look->nplaces++] = place;
	return true;
}

bool
row_look_find(FmgrInfo *place, const uint8 *args, size_t size, Datum *result)
{
	RowLooks   *row = looks_of_this_row();
	RowLook    *look = row == NULL ? NULL : find_look(row, args, size);

	if (look == NULL || !give_to(look, place))
		return false;
	*result = look->result;
	return true;
}

static RowLooks *
begin_row(void)
{
	RowLooks   *row = palloc(sizeof(RowLooks));

	row->row = CurrentMemoryContext;
	row->nlooks = 0;
	row->oldest = 0;
	row->callback.func = forget;
	row->callback.arg = row;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &row->callback);
	row->next = rows;
	rows = row;
	return row;
}

void
row_look_keep(FmgrInfo *place, const uint8 *args, size_t size, Datum result)
{
	RowLooks   *row = looks_of_this_row();
	RowLook    *look;

	if (row == NULL)
		row = begin_row();
	look = find_look(row, args, size);
	if (look == NULL && row->nlooks < MAX_LOOKS)
		look = &row->looks[row->nlooks++];
	else if (look == NULL)
	{
		look = &row->looks[row->oldest];
		row->oldest = (row->oldest + 1) % MAX_LOOKS;
	}
	look->args = args;
	look->size = size;
	look->result = result;
	look->nplaces = 1;
	look->places[0] = place;
}
