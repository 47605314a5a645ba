/*
 * citus.h
 *	  The tables that the extension Citus spreads over servers.
 *
 * Everything here is read from Citus's catalogue.  Where Citus is not installed, no table is
 * distributed.
 */
#ifndef CITUS_H
#define CITUS_H

#include "postgres.h"

#include "funcapi.h"

/*
 * Whether a table is distributed by Citus, or a reference table.  Its rows are in other
 * tables, the shards; its own heap is empty, or has an old copy of the rows.
 */
extern bool citus_is_distributed(Oid relation);

/*
 * The table whose heap has the rows of a relation, for a relation that has all of its rows on
 * this server: the shard of a reference table, or the relation itself.
 */
extern Oid	citus_heap_of(Oid relation);

/* Puts a row into result for each relation that can hold rows: see relations.sql. */
extern void citus_list_relations(ReturnSetInfo *result);

#endif							/* CITUS_H */
