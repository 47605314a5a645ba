/*
 * citus.c
 *	  The tables that the extension Citus spreads over servers.
 *
 * Citus keeps the rows of a table in shards, which are tables of their own on some of the
 * servers.  A shard has the name of its table with its number after it, and is in the same
 * schema.  From queries on pg_class, Citus hides the shards of the server on which the query
 * runs.  So pg_class is read without the planner here.
 *
 * Invariants:
 * - A relation is left out only if Citus's catalogue says that its rows are elsewhere.
 * - Citus's tables are in pg_catalog, where only a superuser can make tables.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type_d.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "citus.h"

/* Has the relation's oid in one of Citus's tables. */
#define RELATION_COLUMN "logicalrelid"

static Oid
citus_table(const char *name)
{
	return get_relname_relid(name, PG_CATALOG_NAMESPACE);
}

static AttrNumber
column_of(Relation table, const char *name, Oid type)
{
	AttrNumber	number = get_attnum(RelationGetRelid(table), name);

	if (number == InvalidAttrNumber || get_atttype(RelationGetRelid(table), number) != type)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("table %s of Citus has no column %s of the type that is known",
						RelationGetRelationName(table), name)));
	return number;
}

/* Begins to read the rows of one relation, or all rows if there is none, in a table of Citus. */
static SysScanDesc
begin_scan(Relation table, Oid relation)
{
	ScanKeyData key;

	ScanKeyInit(&key, column_of(table, RELATION_COLUMN, REGCLASSOID), BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(relation));
	return systable_beginscan(table, InvalidOid, false, NULL, OidIsValid(relation) ? 1 : 0, &key);
}

bool
citus_is_distributed(Oid relation)
{
	Oid			oid = citus_table("pg_dist_partition");
	Relation	table;
	SysScanDesc scan;
	bool		found;

	if (!OidIsValid(oid) || !OidIsValid(relation))
		return false;
	table = table_open(oid, AccessShareLock);
	scan = begin_scan(table, relation);
	found = HeapTupleIsValid(systable_getnext(scan));
	systable_endscan(scan);
	table_close(table, AccessShareLock);
	return found;
}

Oid
citus_heap_of(Oid relation)
{
	Relation	table;
	SysScanDesc scan;
	HeapTuple	tuple;
	Oid			shard = InvalidOid;
	int			shards = 0;

	if (!citus_is_distributed(relation))
		return relation;
	table = table_open(citus_table("pg_dist_shard"), AccessShareLock);
	scan = begin_scan(table, relation);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		Datum		number = heap_getattr(tuple, column_of(table, "shardid", INT8OID),
										  RelationGetDescr(table), &isnull);

		shards++;
		shard = get_relname_relid(psprintf("%s_" INT64_FORMAT, get_rel_name(relation),
										   DatumGetInt64(number)),
								  get_rel_namespace(relation));
	}
	systable_endscan(scan);
	table_close(table, AccessShareLock);
	if (shards != 1 || !OidIsValid(shard))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("this server does not have all rows of table %s",
						quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)),
												   get_rel_name(relation))),
				 errdetail("Citus has distributed the table."),
				 errhint("Make it a reference table, and let the coordinator be one of the cluster's nodes: SELECT citus_set_coordinator_host(...).")));
	return shard;
}

/* A table of pg_dist_partition, or a shard of pg_dist_shard. */
typedef struct DistributedTable
{
	Oid			oid;			/* hash key */
} DistributedTable;

typedef struct Shard
{
	int64		number;			/* hash key */
	Oid			table;
} Shard;

static HTAB *
read_distributed_tables(void)
{
	HASHCTL		control = {.keysize = sizeof(Oid),.entrysize = sizeof(DistributedTable),
	.hcxt = CurrentMemoryContext};
	HTAB	   *tables = hash_create("key_vault distributed tables", 64, &control,
									 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	Relation	table = table_open(citus_table("pg_dist_partition"), AccessShareLock);
	AttrNumber	column = column_of(table, RELATION_COLUMN, REGCLASSOID);
	SysScanDesc scan = begin_scan(table, InvalidOid);
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		Oid			oid = DatumGetObjectId(heap_getattr(tuple, column, RelationGetDescr(table), &isnull));

		(void) hash_search(tables, &oid, HASH_ENTER, NULL);
	}
	systable_endscan(scan);
	table_close(table, AccessShareLock);
	return tables;
}

static HTAB *
read_shards(void)
{
	HASHCTL		control = {.keysize = sizeof(int64),.entrysize = sizeof(Shard),
	.hcxt = CurrentMemoryContext};
	HTAB	   *shards = hash_create("key_vault shards", 256, &control,
									 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	Relation	table = table_open(citus_table("pg_dist_shard"), AccessShareLock);
	AttrNumber	relation_column = column_of(table, RELATION_COLUMN, REGCLASSOID);
	AttrNumber	number_column = column_of(table, "shardid", INT8OID);
	SysScanDesc scan = begin_scan(table, InvalidOid);
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		int64		number = DatumGetInt64(heap_getattr(tuple, number_column, RelationGetDescr(table), &isnull));
		Shard	   *shard = hash_search(shards, &number, HASH_ENTER, NULL);

		shard->table = DatumGetObjectId(heap_getattr(tuple, relation_column, RelationGetDescr(table), &isnull));
	}
	systable_endscan(scan);
	table_close(table, AccessShareLock);
	return shards;
}

/* The name of the table of which a relation is a shard by its name, or the relation's own name. */
static const char *
name_of_table(HTAB *shards, Form_pg_class form)
{
	const char *name = NameStr(form->relname);
	const char *digits = strrchr(name, '_');
	Shard	   *shard;
	int64		number;

	if (shards == NULL || digits == NULL || digits[1] == '\0' ||
		strspn(digits + 1, "0123456789") != strlen(digits + 1) || strlen(digits + 1) > 18)
		return name;
	number = strtoll(digits + 1, NULL, 10);
	shard = hash_search(shards, &number, HASH_FIND, NULL);
	if (shard == NULL || get_rel_namespace(shard->table) != form->relnamespace)
		return name;
	return get_rel_name(shard->table);
}

void
citus_list_relations(ReturnSetInfo *result)
{
	bool		has_citus = OidIsValid(citus_table("pg_dist_partition"));
	HTAB	   *tables = has_citus ? read_distributed_tables() : NULL;
	HTAB	   *shards = has_citus ? read_shards() : NULL;
	Relation	pg_class = table_open(RelationRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(pg_class, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_class form = (Form_pg_class) GETSTRUCT(tuple);
		NameData	name;
		Datum		values[5];
		bool		nulls[5] = {0};

		if (form->relkind != RELKIND_RELATION && form->relkind != RELKIND_MATVIEW &&
			form->relkind != RELKIND_FOREIGN_TABLE)
			continue;
		if (tables != NULL && hash_search(tables, &form->oid, HASH_FIND, NULL) != NULL)
			continue;
		namestrcpy(&name, name_of_table(shards, form));
		values[0] = ObjectIdGetDatum(form->oid);
		values[1] = NameGetDatum(&name);
		values[2] = ObjectIdGetDatum(form->relnamespace);
		values[3] = CharGetDatum(form->relkind);
		values[4] = CharGetDatum(form->relpersistence);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	systable_endscan(scan);
	table_close(pg_class, AccessShareLock);
	if (has_citus)
	{
		hash_destroy(tables);
		hash_destroy(shards);
	}
}
