/*
 * value_list.h
 *	  Collects values, one for each row, that a statement takes, and makes an array of them.
 */
#ifndef VALUE_LIST_H
#define VALUE_LIST_H

#include "postgres.h"

#include "nodes/pg_list.h"

/* Values of one type; some may be NULL. */
typedef struct ValueList
{
	Oid			type;
	Datum	   *values;
	bool	   *nulls;
	int			n;
} ValueList;

/* Makes an empty list for at most max values. */
extern ValueList value_list(Oid type, int max);

extern void value_list_add(ValueList *list, Datum value, bool isnull);

/* Adds a value of a type that is passed by reference; the pointer NULL is SQL's NULL. */
extern void value_list_add_pointer(ValueList *list, const void *value);

/* Adds a C string as text; NULL is SQL's NULL. */
extern void value_list_add_string(ValueList *list, const char *string);

/* Makes an array of type TYPE[] from the values. */
extern Datum value_list_array(const ValueList *list);

/* Makes an array from a List of pointers to values of a type. */
extern Datum array_of_pointers(Oid type, const List *pointers);

#endif							/* VALUE_LIST_H */
