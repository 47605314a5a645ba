/*
 * key_count.c
 *	  Counts the keys in a column for each KEK, and the key envelopes in a column of a
 *	  storage for each label.
 *
 * All rows are read, as the relation's owner (owner_scan.c).
 *
 * Invariant: if a relation is read twice, the larger of the two numbers counts for each KEK
 * or label.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "key_columns.h"
#include "key_count.h"
#include "owner_scan.h"
#include "wrapped_key.h"

typedef struct KeyCount
{
	pg_uuid_t	kek_id;			/* hash key */
	int64		keys;			/* the larger number of the scans so far */
	int64		keys_now;		/* of the present scan */
} KeyCount;

/* One column's count. */
typedef struct ColumnCount
{
	HTAB	   *counts;
	KeyCount   *last;			/* count of the KEK of the previous key: most
								 * keys have the same KEK */
	Oid			type;			/* of the column */
} ColumnCount;

static void
count_key(Datum key, void *arg)
{
	ColumnCount *count = arg;
	WrappedKey	wrapped_key;

	wrapped_key_from_varlena(PG_DETOAST_DATUM_PACKED(key), &wrapped_key);
	if (count->last == NULL ||
		memcmp(&count->last->kek_id, wrapped_key.kek_id, UUID_LEN) != 0)
	{
		bool		found;

		count->last = hash_search(count->counts, wrapped_key.kek_id, HASH_ENTER, &found);
		if (!found)
			count->last->keys = count->last->keys_now = 0;
	}
	count->last->keys_now++;
}

static void
count_row(TupleTableSlot *slot, void *arg)
{
	ColumnCount *count = arg;
	bool		isnull;
	Datum		value = slot_getattr(slot, 1, &isnull);

	if (!isnull)
		visit_wrapped_keys(value, count->type, count_key, count);
}

static void
end_of_count(void *arg)
{
	ColumnCount *column = arg;
	HASH_SEQ_STATUS sequence;
	KeyCount   *count;

	column->last = NULL;
	hash_seq_init(&sequence, column->counts);
	while ((count = hash_seq_search(&sequence)) != NULL)
	{
		count->keys = Max(count->keys, count->keys_now);
		count->keys_now = 0;
	}
}

void
count_keys(Oid relation_id, const char *column, KeyCountVisitor visitor, void *arg)
{
	HASHCTL		control = {.keysize = sizeof(pg_uuid_t),.entrysize = sizeof(KeyCount),
	.hcxt = CurrentMemoryContext};
	ColumnCount counts = {0};
	OwnerScan	scan = {
		.targets = psprintf("t.%s", quote_identifier(column)),
		.tail = "",
		.row = count_row,
		.end = end_of_count,
		.arg = &counts,
		.doing = "counting keys in",
		.parallel = true,
	};
	AttrNumber	number;
	Relation	relation = owner_scan_open(relation_id, column, &number);
	HASH_SEQ_STATUS sequence;
	KeyCount   *count;

	if (relation == NULL)
		return;
	counts.counts = hash_create("key_vault keys by KEK", 16, &control,
								HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	counts.type = get_atttype(relation_id, number);
	owner_scan(relation, &scan);

	hash_seq_init(&sequence, counts.counts);
	while ((count = hash_seq_search(&sequence)) != NULL)
		visitor(&count->kek_id, count->keys, arg);
	hash_destroy(counts.counts);
	relation_close(relation, NoLock);
}

/* The envelopes of one label. */
typedef struct EnvelopeCount
{
	char	   *label;
	int64		envelopes;
} EnvelopeCount;

typedef struct EnvelopeCounts
{
	List	   *counts;			/* of EnvelopeCount pointers */
	MemoryContext context;
} EnvelopeCounts;

/* A row: label, number of envelopes. */
static void
count_envelope_row(TupleTableSlot *slot, void *arg)
{
	EnvelopeCounts *counts = arg;
	bool		isnull;
	char	   *label = TextDatumGetCString(slot_getattr(slot, 1, &isnull));
	int64		envelopes = DatumGetInt64(slot_getattr(slot, 2, &isnull));
	MemoryContext previous;
	EnvelopeCount *count;
	ListCell   *cell;

	foreach(cell, counts->counts)
	{
		count = lfirst(cell);
		if (strcmp(count->label, label) == 0)
		{
			count->envelopes = Max(count->envelopes, envelopes);
			return;
		}
	}
	previous = MemoryContextSwitchTo(counts->context);
	count = palloc(sizeof(EnvelopeCount));
	count->label = pstrdup(label);
	count->envelopes = envelopes;
	counts->counts = lappend(counts->counts, count);
	MemoryContextSwitchTo(previous);
}

static void
end_of_envelopes(void *arg)
{
}

void
count_envelopes(Oid relation_id, const char *column, EnvelopeCountVisitor visitor, void *arg)
{
	EnvelopeCounts counts = {.context = CurrentMemoryContext};
	OwnerScan	scan = {
		.row = count_envelope_row,
		.end = end_of_envelopes,
		.arg = &counts,
		.doing = "counting key envelopes in",
		.parallel = true,
	};
	AttrNumber	number;
	Relation	relation = owner_scan_open(relation_id, column, &number);
	const char *name = quote_identifier(column);
	ListCell   *cell;

	if (relation == NULL)
		return;
	scan.targets = "l.label, count(*)";
	if (get_atttype(relation_id, number) == JSONBOID)

		/*
		 * Whole messages: The Things Stack and ChirpStack have different
		 * names for the label.
		 */
		scan.tail = psprintf(", LATERAL (SELECT v #>> '{}' FROM jsonb_path_query(t.%s, '$.**.kek_label') v"
							 " UNION SELECT v #>> '{}' FROM jsonb_path_query(t.%s, '$.**.kekLabel') v)"
							 " l (label) WHERE l.label <> '' GROUP BY 1", name, name);
	else
		scan.tail = psprintf(" CROSS JOIN LATERAL (SELECT t.kek_label::text) l (label)"
							 " WHERE t.%s IS NOT NULL AND l.label IS NOT NULL GROUP BY 1", name);
	owner_scan(relation, &scan);
	foreach(cell, counts.counts)
	{
		EnvelopeCount *count = lfirst(cell);

		visitor(count->label, count->envelopes, arg);
	}
	relation_close(relation, NoLock);
}
