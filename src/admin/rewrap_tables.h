/*
 * rewrap_tables.h
 *	  Finds the tables whose keys rewrap_all() rewraps.
 */
#ifndef REWRAP_TABLES_H
#define REWRAP_TABLES_H

#include "postgres.h"

#include "nodes/pg_list.h"

/*
 * Returns the oids of the tables with wrapped keys, in this memory context; only is one table
 * (with its partitions and children), or InvalidOid for all.  A notice names those that cannot
 * be rewrapped.  Tables with a foreign key on wrapped keys come last, since ON UPDATE CASCADE
 * may have rewrapped their keys before it is their turn.  To be called while connected to SPI.
 */
extern List *rewrap_find_tables(const char *label, Oid only, MemoryContext context);

#endif							/* REWRAP_TABLES_H */
