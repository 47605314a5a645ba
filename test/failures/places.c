/*
 * places.c
 *	  Tells apart the places from which calls come.
 *
 * A statement that makes two hundred thousand calls makes them from some thousand places.  A place is: the functions
 * of key_vault that are running and where in each, the innermost functions of the server, and the function in PL/pgSQL
 * that is running; of the latter also the line, if the function may do something about an error, that is in a block with
 * EXCEPTION, or keep something in spite of it, that is in a procedure, which may have committed.  From any other line
 * an error ends the transaction without a step of the function's.  What the server does in between does not count:
 * whether an allocation fails in the planning of one query or of the next is the same for key_vault.  Nor do the
 * functions that called the one in PL/pgSQL: they get the same error from anywhere in it, and have places of their own.
 *
 * A place has the same number in each session of a server.
 */
#include "postgres.h"

#include <execinfo.h>
#include <link.h>

#include "access/xact.h"
#include "catalog/pg_proc.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "plpgsql.h"

#include "places.h"

/* How many of the server's functions count: the one that allocates, say palloc(), and its caller. */
#define INNERMOST 2

/* The code of a library.  It is not at the same address in each session. */
typedef struct Range
{
	uintptr_t	begin;
	uintptr_t	end;
	uint64		name;
	bool		is_key_vault;
	bool		is_this;
}			Range;

static Range ranges[256];
static int	number_of_ranges = 0;

static int
add_ranges(struct dl_phdr_info *info, size_t size, void *data)
{
	for (int i = 0; i < info->dlpi_phnum && number_of_ranges < lengthof(ranges); i++)
	{
		const ElfW(Phdr) *header = &info->dlpi_phdr[i];

		if (header->p_type == PT_LOAD && (header->p_flags & PF_X) != 0)
		{
			Range	   *range = &ranges[number_of_ranges++];

			range->begin = info->dlpi_addr + header->p_vaddr;
			range->end = range->begin + header->p_memsz;
			range->name = hash_bytes_extended((const unsigned char *) info->dlpi_name, strlen(info->dlpi_name), 0);
			range->is_key_vault = strstr(info->dlpi_name, "key_vault.so") != NULL;
			range->is_this = (uintptr_t) add_ranges >= range->begin && (uintptr_t) add_ranges < range->end;
		}
	}
	return 0;
}

static const Range *
range_of(uintptr_t address)
{
	for (int i = 0; i < number_of_ranges; i++)
		if (address >= ranges[i].begin && address < ranges[i].end)
			return &ranges[i];
	return NULL;
}

/*
 * What PL/pgSQL gives to errors as their context: from it one learns which line is running.  Its address is seen
 * when the first line runs.
 */
static void (*plpgsql_context) (void *arg) = NULL;

static void
before_statement(PLpgSQL_execstate *estate, PLpgSQL_stmt *statement)
{
	if (plpgsql_context == NULL && error_context_stack != NULL && error_context_stack->arg == estate)
		plpgsql_context = error_context_stack->callback;
}

static PLpgSQL_plugin plugin = {.stmt_beg = before_statement};

void
prepare_places(void)
{
	void	   *frame[1];

	dl_iterate_phdr(add_ranges, NULL);
	/* The first call loads a library. */
	backtrace(frame, 1);
	*(PLpgSQL_plugin **) find_rendezvous_variable("PLpgSQL_plugin") = &plugin;
}

/* The number of the place from which this library was called */
int64
place_here(void)
{
	void	   *frames[1024];
	int			count = backtrace(frames, lengthof(frames));
	int			others = 0;
	uint64		place = 0;

	for (int i = 0; i < count; i++)
	{
		uintptr_t	address = (uintptr_t) frames[i];
		const Range *range = range_of(address);

		if (range == NULL || range->is_this)
			continue;
		if (others++ < INNERMOST || range->is_key_vault)
			place = hash_combine64(place, (address - range->begin) ^ range->name);
	}
	for (ErrorContextCallback *context = error_context_stack; context != NULL; context = context->previous)
	{
		if (plpgsql_context != NULL && context->callback == plpgsql_context)
		{
			PLpgSQL_execstate *estate = context->arg;
			const char *name = estate->func->fn_signature;
			int			level = GetCurrentTransactionNestLevel();
			bool		goes_on = level > 1 || estate->func->fn_prokind == PROKIND_PROCEDURE;

			place = hash_combine64(place, hash_bytes_extended((const unsigned char *) name, strlen(name), level));
			if (goes_on && estate->err_stmt != NULL)
				place = hash_combine64(place, estate->err_stmt->lineno);
			break;
		}
	}
	return (int64) place;
}

/* The places that were noted.  This memory is not the server's, whose allocations are being counted. */
#define MAX_PLACES (1 << 18)

static struct
{
	int64		place;
	int			first;			/* the number of the first call from there; 0 if there is no place here */
	int			last;
}			noted[MAX_PLACES];

void
forget_places(void)
{
	memset(noted, 0, sizeof(noted));
}

void
note_place(int64 place, int call)
{
	uint64		i = (uint64) place % MAX_PLACES;

	for (int tries = 0; noted[i].first != 0 && noted[i].place != place; i = (i + 1) % MAX_PLACES)
		if (++tries == MAX_PLACES)
			elog(FATAL, "there are more places than places.c can note");
	if (noted[i].first == 0)
	{
		noted[i].place = place;
		noted[i].first = call;
	}
	noted[i].last = call;
}

/* A line for each: its number, the first call and the last one from there. */
void
print_places(StringInfo buffer)
{
	for (int i = 0; i < MAX_PLACES; i++)
		if (noted[i].first != 0)
			appendStringInfo(buffer, INT64_FORMAT " %d %d\n", noted[i].place, noted[i].first, noted[i].last);
}
