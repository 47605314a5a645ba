/*
 * key_columns.c
 *	  Which columns of a table hold wrapped keys, and the wrapped keys inside of a
 *	  value of any type.
 *
 * Invariant: nothing here opens a key.
 *
 * The view wrapped_key_columns finds the same columns of all tables in SQL.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
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

/* Whether values of a type have values of another one in them. */
static bool
type_holds(Oid type, Oid wanted)
{
	check_stack_depth();
	type = getBaseType(type);
	if (type == wanted)
		return true;
	if (OidIsValid(get_element_type(type)))
		return type_holds(get_element_type(type), wanted);
	if (type_is_range(type))
		return type_holds(get_range_subtype(type), wanted);
	if (type_is_multirange(type))
		return type_holds(get_multirange_range(type), wanted);
	if (type_is_rowtype(type) && type != RECORDOID)
	{
		TupleDesc	desc = lookup_rowtype_tupdesc_copy(type, -1);

		for (int i = 0; i < desc->natts; i++)
			if (!TupleDescAttr(desc, i)->attisdropped &&
				type_holds(TupleDescAttr(desc, i)->atttypid, wanted))
				return true;
	}
	return false;
}

List *
key_columns_of(Relation table)
{
	TupleDesc	desc = RelationGetDescr(table);
	Oid			wanted = wrapped_key_type();
	List	   *columns = NIL;

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);
		KeyColumn  *column;
		Oid			base;

		if (attribute->attisdropped || !type_holds(attribute->atttypid, wanted))
			continue;
		column = palloc(sizeof(KeyColumn));
		column->number = attribute->attnum;
		column->name = pstrdup(NameStr(attribute->attname));
		base = getBaseType(attribute->atttypid);
		if (attribute->attgenerated != '\0')
			column->kind = KEY_COLUMN_OTHER;
		else if (base == wanted)
			column->kind = KEY_COLUMN_SINGLE;
		else if (OidIsValid(get_element_type(base)) &&
				 getBaseType(get_element_type(base)) == wanted)
			column->kind = KEY_COLUMN_ARRAY;
		else
			column->kind = KEY_COLUMN_OTHER;
		columns = lappend(columns, column);
	}
	return columns;
}

static void visit(Datum value, Oid type, Oid wanted, WrappedKeyVisitor visitor, void *arg);

static void
visit_array(Datum value, Oid wanted, WrappedKeyVisitor visitor, void *arg)
{
	ArrayType  *array = DatumGetArrayTypeP(value);
	Oid			type = ARR_ELEMTYPE(array);
	int16		length;
	bool		by_value;
	char		alignment;
	Datum	   *elements;
	bool	   *nulls;
	int			count;

	get_typlenbyvalalign(type, &length, &by_value, &alignment);
	deconstruct_array(array, type, length, by_value, alignment, &elements, &nulls, &count);
	for (int i = 0; i < count; i++)
		if (!nulls[i])
			visit(elements[i], type, wanted, visitor, arg);
}

static void
visit_row(Datum value, Oid wanted, WrappedKeyVisitor visitor, void *arg)
{
	HeapTupleHeader row = DatumGetHeapTupleHeader(value);
	TupleDesc	desc = lookup_rowtype_tupdesc_copy(HeapTupleHeaderGetTypeId(row),
												   HeapTupleHeaderGetTypMod(row));
	HeapTupleData tuple = {.t_len = HeapTupleHeaderGetDatumLength(row),.t_data = row};
	Datum	   *values = palloc(desc->natts * sizeof(Datum));
	bool	   *nulls = palloc(desc->natts * sizeof(bool));

	heap_deform_tuple(&tuple, desc, values, nulls);
	for (int i = 0; i < desc->natts; i++)
		if (!nulls[i] && !TupleDescAttr(desc, i)->attisdropped)
			visit(values[i], TupleDescAttr(desc, i)->atttypid, wanted, visitor, arg);
}

static void
visit_range(const RangeType *range, TypeCacheEntry *typcache, Oid wanted,
			WrappedKeyVisitor visitor, void *arg)
{
	RangeBound	lower;
	RangeBound	upper;
	bool		empty;

	range_deserialize(typcache, range, &lower, &upper, &empty);
	if (!empty && !lower.infinite)
		visit(lower.val, typcache->rngelemtype->type_id, wanted, visitor, arg);
	if (!empty && !upper.infinite)
		visit(upper.val, typcache->rngelemtype->type_id, wanted, visitor, arg);
}

static void
visit(Datum value, Oid type, Oid wanted, WrappedKeyVisitor visitor, void *arg)
{
	check_stack_depth();
	type = getBaseType(type);
	if (type == wanted)
		visitor(value, arg);
	else if (!type_holds(type, wanted) && type != RECORDOID)
		return;
	else if (OidIsValid(get_element_type(type)))
		visit_array(value, wanted, visitor, arg);
	else if (type_is_rowtype(type))
		visit_row(value, wanted, visitor, arg);
	else if (type_is_range(type))
		visit_range(DatumGetRangeTypeP(value), lookup_type_cache(type, TYPECACHE_RANGE_INFO),
					wanted, visitor, arg);
	else if (type_is_multirange(type))
	{
		TypeCacheEntry *typcache = lookup_type_cache(type, TYPECACHE_MULTIRANGE_INFO);
		int32		count;
		RangeType **ranges;

		multirange_deserialize(typcache->rngtype, DatumGetMultirangeTypeP(value),
							   &count, &ranges);
		for (int i = 0; i < count; i++)
			visit_range(ranges[i], typcache->rngtype, wanted, visitor, arg);
	}
}

void
visit_wrapped_keys(Datum value, Oid type, WrappedKeyVisitor visitor, void *arg)
{
	visit(value, type, wrapped_key_type(), visitor, arg);
}
