/*
 * value_list.c
 *	  Collects values, one for each row, that a statement takes, and makes an array of them.
 */
#include "postgres.h"

#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "value_list.h"

ValueList
value_list(Oid type, int max)
{
	ValueList	list = {.type = type};

	list.values = palloc(max * sizeof(Datum));
	list.nulls = palloc(max * sizeof(bool));
	return list;
}

void
value_list_add(ValueList *list, Datum value, bool isnull)
{
	list->values[list->n] = value;
	list->nulls[list->n++] = isnull;
}

void
value_list_add_pointer(ValueList *list, const void *value)
{
	value_list_add(list, PointerGetDatum(value), value == NULL);
}

void
value_list_add_string(ValueList *list, const char *string)
{
	value_list_add(list, string != NULL ? CStringGetTextDatum(string) : (Datum) 0, string == NULL);
}

Datum
value_list_array(const ValueList *list)
{
	int			dims[1] = {list->n};
	int			lower_bounds[1] = {1};
	int16		size;
	bool		by_value;
	char		align;

	get_typlenbyvalalign(list->type, &size, &by_value, &align);
	return PointerGetDatum(construct_md_array(list->values, list->nulls, 1, dims, lower_bounds,
											  list->type, size, by_value, align));
}

Datum
array_of_pointers(Oid type, const List *pointers)
{
	ValueList	list = value_list(type, list_length(pointers));

	for (int i = 0; i < list_length(pointers); i++)
		value_list_add_pointer(&list, list_nth(pointers, i));
	return value_list_array(&list);
}
