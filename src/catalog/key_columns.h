/*
 * key_columns.h
 *	  Finds the columns of a table that hold wrapped keys, and the wrapped keys in a
 *	  value of any type.
 */
#ifndef KEY_COLUMNS_H
#define KEY_COLUMNS_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/relcache.h"

/* How a column holds wrapped keys. */
typedef enum KeyColumnKind
{
	KEY_COLUMN_SINGLE,			/* its type is wrapped_key or a domain over it */
	KEY_COLUMN_ARRAY,			/* an array of these, or a domain over it */
	KEY_COLUMN_OTHER			/* a generated column, or keys in rows or
								 * ranges: rewrap_all() does not write it */
} KeyColumnKind;

typedef struct KeyColumn
{
	AttrNumber	number;
	char	   *name;
	KeyColumnKind kind;
} KeyColumn;

/* The type wrapped_key. */
extern Oid	wrapped_key_type(void);

/* Whether values of a type can contain wrapped keys. */
extern bool type_holds_wrapped_keys(Oid type);

/* The columns of a table that hold wrapped keys: a list of KeyColumn pointers. */
extern List *key_columns_of(Relation table);

/* Calls a function for each wrapped key in a value of any type. */
typedef void (*WrappedKeyVisitor) (Datum wrapped_key, void *arg);
extern void visit_wrapped_keys(Datum value, Oid type, WrappedKeyVisitor visitor, void *arg);

#endif							/* KEY_COLUMNS_H */
