/*
 * key_columns.c
 *	  Finds the columns of a table that hold wrapped keys, and the wrapped keys in a
 *	  value of any type.
 *
 * Invariant: nothing here opens a key.
 *
 * The view wrapped_key_columns finds the same columns, of all tables, in SQL.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/multirangetypes.h"
#include "utils/rangetypes.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "key_columns.h"
#include "wrapped_key.h"

Oid
wrapped_key_type(void)
{
	Oid			schema = get_namespace_oid("key_vault", false);

	return GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid,
						   CStringGetDatum("wrapped_key"), ObjectIdGetDatum(schema));
}

/* Whether values of one row type can contain wrapped keys. */
typedef struct RowTypeEntry
{
	Oid			type;			/* hash key */
	bool		holds;
} RowTypeEntry;

/* A walk through types, or through a value. */
typedef struct Walk
{
	Oid			wanted;			/* the type wrapped_key */
	HTAB	   *row_types;		/* those found so far; NULL if there are none */
	WrappedKeyVisitor visitor;
	void	   *arg;
} Walk;

static RowTypeEntry *
find_row_type(Walk *walk, Oid type, bool *found)
{
	HASHCTL		control = {.keysize = sizeof(Oid),.entrysize = sizeof(RowTypeEntry),
	.hcxt = CurrentMemoryContext};

	if (walk->row_types == NULL)
		walk->row_types = hash_create("key_vault row types", 32, &control,
									  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	return hash_search(walk->row_types, &type, HASH_ENTER, found);
}

static void
end_walk(Walk *walk)
{
	if (walk->row_types != NULL)
		hash_destroy(walk->row_types);
}

/*
 * Whether values of a type can contain wrapped keys.  A record without a declared type
 * can contain anything.
 */
static bool
type_holds(Walk *walk, Oid type)
{
	RowTypeEntry *entry;
	bool		found;
	TupleDesc	desc;

	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	type = getBaseType(type);
	if (type == walk->wanted || type == RECORDOID)
		return true;
	if (OidIsValid(get_element_type(type)))
		return type_holds(walk, get_element_type(type));
	if (type_is_range(type))
		return type_holds(walk, get_range_subtype(type));
	if (type_is_multirange(type))
		return type_holds(walk, get_multirange_range(type));
	if (!type_is_rowtype(type))
		return false;

	entry = find_row_type(walk, type, &found);
	if (found)
		return entry->holds;
	entry->holds = false;
	desc = lookup_rowtype_tupdesc(type, -1);
	for (int i = 0; i < desc->natts && !entry->holds; i++)
		entry->holds = !TupleDescAttr(desc, i)->attisdropped &&
			type_holds(walk, TupleDescAttr(desc, i)->atttypid);
	ReleaseTupleDesc(desc);
	return entry->holds;
}

bool
type_holds_wrapped_keys(Oid type)
{
	Walk		walk = {.wanted = wrapped_key_type()};
	bool		holds = type_holds(&walk, type);

	end_walk(&walk);
	return holds;
}

List *
key_columns_of(Relation table)
{
	TupleDesc	desc = RelationGetDescr(table);
	Walk		walk = {.wanted = wrapped_key_type()};
	List	   *columns = NIL;

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);
		KeyColumn  *column;
		Oid			base;

		if (attribute->attisdropped || !type_holds(&walk, attribute->atttypid))
			continue;
		column = palloc(sizeof(KeyColumn));
		column->number = attribute->attnum;
		column->name = pstrdup(NameStr(attribute->attname));
		base = getBaseType(attribute->atttypid);
		column->kind = KEY_COLUMN_OTHER;
		if (attribute->attgenerated == '\0')
		{
			if (base == walk.wanted)
				column->kind = KEY_COLUMN_SINGLE;
			else if (OidIsValid(get_element_type(base)) &&
					 getBaseType(get_element_type(base)) == walk.wanted)
				column->kind = KEY_COLUMN_ARRAY;
		}
		columns = lappend(columns, column);
	}
	end_walk(&walk);
	return columns;
}

static void visit(Walk *walk, Datum value, Oid type);

/* Goes element by element, so that it needs no memory for all of them at once. */
static void
visit_array(Walk *walk, Datum value)
{
	ArrayType  *array = DatumGetArrayTypeP(value);
	ArrayIterator iterator = array_create_iterator(array, 0, NULL);
	Datum		element;
	bool		isnull;

	while (array_iterate(iterator, &element, &isnull))
		if (!isnull)
			visit(walk, element, ARR_ELEMTYPE(array));
	array_free_iterator(iterator);
	if ((Pointer) array != DatumGetPointer(value))
		pfree(array);
}

static void
visit_row(Walk *walk, Datum value)
{
	HeapTupleHeader row = DatumGetHeapTupleHeader(value);
	TupleDesc	desc = lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(row),
											  HeapTupleHeaderGetTypMod(row));
	HeapTupleData tuple = {.t_len = HeapTupleHeaderGetDatumLength(row),.t_data = row};
	Datum	   *values = palloc(desc->natts * sizeof(Datum));
	bool	   *nulls = palloc(desc->natts * sizeof(bool));

	heap_deform_tuple(&tuple, desc, values, nulls);
	for (int i = 0; i < desc->natts; i++)
		if (!nulls[i] && !TupleDescAttr(desc, i)->attisdropped)
			visit(walk, values[i], TupleDescAttr(desc, i)->atttypid);
	pfree(values);
	pfree(nulls);
	ReleaseTupleDesc(desc);
	if ((Pointer) row != DatumGetPointer(value))
		pfree(row);
}

static void
visit_range(Walk *walk, const RangeType *range, TypeCacheEntry *typcache)
{
	RangeBound	lower;
	RangeBound	upper;
	bool		empty;

	range_deserialize(typcache, range, &lower, &upper, &empty);
	if (!empty && !lower.infinite)
		visit(walk, lower.val, typcache->rngelemtype->type_id);
	if (!empty && !upper.infinite)
		visit(walk, upper.val, typcache->rngelemtype->type_id);
}

static void
visit(Walk *walk, Datum value, Oid type)
{
	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	type = getBaseType(type);
	if (type == walk->wanted)
		walk->visitor(value, walk->arg);
	else if (!type_holds(walk, type))
		return;
	else if (OidIsValid(get_element_type(type)))
		visit_array(walk, value);
	else if (type_is_rowtype(type))
		visit_row(walk, value);
	else if (type_is_range(type))
		visit_range(walk, DatumGetRangeTypeP(value),
					lookup_type_cache(type, TYPECACHE_RANGE_INFO));
	else if (type_is_multirange(type))
	{
		TypeCacheEntry *typcache = lookup_type_cache(type, TYPECACHE_MULTIRANGE_INFO);
		int32		count;
		RangeType **ranges;

		multirange_deserialize(typcache->rngtype, DatumGetMultirangeTypeP(value),
							   &count, &ranges);
		for (int i = 0; i < count; i++)
			visit_range(walk, ranges[i], typcache->rngtype);
	}
}

void
visit_wrapped_keys(Datum value, Oid type, WrappedKeyVisitor visitor, void *arg)
{
	Walk		walk = {.wanted = wrapped_key_type(),.visitor = visitor,.arg = arg};

	visit(&walk, value, type);
	end_walk(&walk);
}
