/*
 * outage.c
 *	  Tells errors that are about the server from those that are about a message, a row or a
 *	  table, and from those that code of a table's owner raises.
 *
 * An error has the name of the C function and of the source file that raised it, and code in
 * SQL or a procedural language cannot choose them: what RAISE of PL/pgSQL raises comes from
 * pl_exec.c, what plpy.error raises from plpy_elog.c.  Errors about keys that this library
 * raises have a message domain of their own (errors.h).  So the errors to believe are listed
 * here by their source file.  All others count as the owner's: those of procedural
 * languages, of C code in other extensions, and those that a foreign server has sent.
 */
#include "postgres.h"

#include "errors.h"
#include "outage.h"

/*
 * Classes of errors, in PostgreSQL's appendix "Error Codes": Invalid Transaction State,
 * Transaction Rollback, Insufficient Resources, Object Not In Prerequisite State, Operator
 * Intervention, System Error, Internal Error.
 */
static const char *const outage_classes[] = {"25", "40", "53", "55", "57", "58", "XX"};

/*
 * The source files of PostgreSQL that raise such errors while rows are read and stored, and
 * what the SQLSTATEs begin with that are believed if they come from there.
 */
static const struct
{
	const char *files;			/* with a space before and after each */
	const char *states;			/* the same */
}			sources[] = {

	/* cancellations and timeouts; conflicts with recovery */
	{" postgres.c ", " 25 40 55 57 "},
	/* a standby, or a transaction that only reads */
	{" utility.c ", " 25 "},
	/* deadlocks and serialization failures */
	{
		" deadlock.c predicate.c nodeModifyTable.c nodeLockRows.c heapam_handler.c trigger.c ",
		" 40 "
	},
	/* memory */
	{
		" mcxt.c aset.c generation.c slab.c bump.c dsa.c dsm.c dsm_impl.c dshash.c shmem.c"
		" shm_toc.c dynahash.c lock.c predicate.c procarray.c pgstat_shmem.c ",
		" 53 "
	},
	/* files */
	{
		" fd.c md.c smgr.c slru.c bufmgr.c localbuf.c buffile.c logtape.c tuplestore.c"
		" sharedtuplestore.c nodeHashjoin.c nodeAgg.c ",
		" 53 58 XX "
	},
	{" dfmgr.c dsm.c dsm_impl.c ", " 53 58 "},
	/* damaged tables and indexes */
	{
		" bufpage.c heapam.c heapam_handler.c heaptoast.c nbtinsert.c nbtpage.c nbtsearch.c ",
		" XX001 XX002 "
	},
};

bool
sqlstate_is_outage(int sqlerrcode)
{
	const char *state = unpack_sql_state(sqlerrcode);

	for (int i = 0; i < lengthof(outage_classes); i++)
		if (strncmp(state, outage_classes[i], 2) == 0)
			return true;

	/*
	 * Errors about root keys, the cache and tokens.  These two are about one
	 * KEK.
	 */
	if (sqlerrcode == ERRCODE_KEK_MATERIAL_DAMAGED || sqlerrcode == ERRCODE_TOKEN_KEY)
		return false;
	return strncmp(state, "KV1", 3) == 0 || strncmp(state, "KV2", 3) == 0 || strncmp(state, "KV4", 3) == 0;
}

/* Whether a word is in a list of words with a space before and after each. */
static bool
has_word(const char *list, const char *word, size_t length)
{
	char		spaced[64];

	if (length > sizeof(spaced) - 3)
		return false;
	snprintf(spaced, sizeof(spaced), " %.*s ", (int) length, word);
	return strstr(list, spaced) != NULL;
}

/* Whether the SQLSTATE, or its class, is in a list. */
static bool
has_state(const char *list, int sqlerrcode)
{
	const char *state = unpack_sql_state(sqlerrcode);

	return has_word(list, state, 5) || has_word(list, state, 2);
}

bool
error_is_of_this_library(const ErrorData *error)
{
	return error->domain != NULL && strcmp(error->domain, TEXTDOMAIN) == 0;
}

bool
error_is_outage(const ErrorData *error)
{
	if (error_is_of_this_library(error))
		return sqlstate_is_outage(error->sqlerrcode);
	if (error->filename == NULL)
		return false;
	for (int i = 0; i < lengthof(sources); i++)
		if (has_word(sources[i].files, error->filename, strlen(error->filename)) &&
			has_state(sources[i].states, error->sqlerrcode))
			return true;
	return false;
}

static bool
raised_by(const ErrorData *error, const char *function)
{
	return error->funcname != NULL && strcmp(error->funcname, function) == 0;
}

/* cancel_watch_check() raises what the first of them has raised. */
bool
error_cancels_statement(const ErrorData *error)
{
	return error->sqlerrcode == ERRCODE_QUERY_CANCELED &&
		(raised_by(error, "ProcessInterrupts") || error_is_of_this_library(error));
}

bool
error_ends_lock_wait(const ErrorData *error)
{
	return (error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE &&
			raised_by(error, "ProcessInterrupts")) ||
		(error->sqlerrcode == ERRCODE_T_R_DEADLOCK_DETECTED && raised_by(error, "DeadLockReport"));
}
