/*
 * owner_scan.h
 *	  Reads all rows of a relation as its owner.
 */
#ifndef OWNER_SCAN_H
#define OWNER_SCAN_H

#include "postgres.h"

#include "executor/tuptable.h"
#include "utils/relcache.h"

/* What to read, and the functions that get it. */
typedef struct OwnerScan
{
	const char *targets;		/* select list; the relation is called t */
	const char *tail;			/* what follows the relation in the statement:
								 * "" or more */
	void		(*row) (TupleTableSlot *slot, void *arg);	/* its memory is reset
															 * after each row */
	void		(*end) (void *arg); /* after each time that the relation was
									 * read */
	void	   *arg;
	const char *doing;			/* for the notices of a long scan, as
								 * "counting keys in" */
	bool		parallel;		/* whether parallel workers may read */
} OwnerScan;

/* Reads the relation, without its children: once, or twice where rows can be elsewhere. */
extern void owner_scan(Relation relation, const OwnerScan *scan);

/*
 * Opens a relation, locks it, and finds a column of it, on which the current role must
 * have SELECT.  Returns NULL if the relation or the column does not exist any more, or if the
 * relation is a materialized view without contents.
 */
extern Relation owner_scan_open(Oid relation, const char *column, AttrNumber *number);

/*
 * Whether another extension may keep rows of a relation outside of its heap, where only a
 * statement without ONLY sees them.
 */
extern bool rows_can_be_elsewhere(Relation relation);

#endif							/* OWNER_SCAN_H */
