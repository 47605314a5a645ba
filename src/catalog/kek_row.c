/*
 * kek_row.c
 *	  Reading the table key_vault.kek, as it is now.
 *
 * Invariant: each read takes a new catalog snapshot.  The transaction's own snapshot may
 * be older than an invalidation message that was already accepted, and an old row would
 * then be remembered for ever.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "../common/errors.h"
#include "kek_row.h"
#include "lock_wait.h"
#include "unknown_label.h"
#include "vault_tables.h"

/* The columns of kek, in the order of the install script. */
enum
{
	Anum_kek_kek_id = 1,
	Anum_kek_label,
	Anum_kek_version,
	Anum_kek_state,
	Anum_kek_suspended_from,
	Anum_kek_key_bits,
	Anum_kek_provider,
	Anum_kek_root_key_id,
	Anum_kek_sealed_material,
	Anum_kek_kcv,
	Anum_kek_created_at,
	Anum_kek_state_changed_at
};

static const char *const state_names[] = {
	[KEK_ACTIVE] = "active",
	[KEK_DEACTIVATED] = "deactivated",
	[KEK_COMPROMISED] = "compromised",
	[KEK_SUSPENDED] = "suspended",
	[KEK_DESTROYED] = "destroyed",
};

const char *
kek_state_name(KekState state)
{
	return state_names[state];
}

static KekState
state_from_name(const char *name)
{
	for (int i = 0; i < lengthof(state_names); i++)
		if (strcmp(state_names[i], name) == 0)
			return (KekState) i;
	elog(ERROR, "unrecognized KEK state \"%s\"", name);
}

static void
copy_check_value(uint8 to[KEY_CHECK_VALUE_SIZE], Datum from)
{
	bytea	   *value = DatumGetByteaPP(from);

	if (VARSIZE_ANY_EXHDR(value) != KEY_CHECK_VALUE_SIZE)
		elog(ERROR, "key check value in table key_vault.kek has wrong length");
	memcpy(to, VARDATA_ANY(value), KEY_CHECK_VALUE_SIZE);
}

static KekRowPlace
place_of(HeapTuple tuple)
{
	KekRowPlace place = {.tid = tuple->t_self,.xmin = HeapTupleHeaderGetRawXmin(tuple->t_data)};

	return place;
}

static void
read_row(HeapTuple tuple, TupleDesc desc, KekRow *row)
{
	Datum	   *values = palloc(desc->natts * sizeof(Datum));
	bool	   *nulls = palloc(desc->natts * sizeof(bool));

#define COLUMN(name) values[Anum_kek_##name - 1]
#define IS_NULL(name) nulls[Anum_kek_##name - 1]

	heap_deform_tuple(tuple, desc, values, nulls);
	memset(row, 0, sizeof(*row));
	row->kek_id = *DatumGetUUIDP(COLUMN(kek_id));
	row->label = TextDatumGetCString(COLUMN(label));
	row->version = DatumGetInt32(COLUMN(version));
	row->state = state_from_name(TextDatumGetCString(COLUMN(state)));
	if (!IS_NULL(suspended_from))
		row->suspended_from = state_from_name(TextDatumGetCString(COLUMN(suspended_from)));
	row->key_bits = DatumGetInt32(COLUMN(key_bits));
	row->provider = TextDatumGetCString(COLUMN(provider));
	if (strcmp(row->provider, KEK_PROVIDER_LOCAL) == 0)
	{
		pfree(row->provider);
		row->provider = NULL;
	}
	if (!IS_NULL(root_key_id))
		copy_check_value(row->root_key_id, COLUMN(root_key_id));
	if (!IS_NULL(sealed_material))
		row->sealed_material = DatumGetByteaPCopy(COLUMN(sealed_material));
	copy_check_value(row->kcv, COLUMN(kcv));
	row->state_changed_at = DatumGetTimestampTz(COLUMN(state_changed_at));
	row->is_own_change =
		TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(tuple->t_data));
	row->place = place_of(tuple);

#undef COLUMN
#undef IS_NULL

	pfree(values);
	pfree(nulls);
}

bool
kek_row_by_id(const pg_uuid_t *kek_id, KekRow *row)
{
	Relation	table = vault_tables_open_kek();
	SysScanDesc scan;
	ScanKeyData key;
	HeapTuple	tuple;
	bool		found;

	ScanKeyInit(&key, Anum_kek_kek_id, BTEqualStrategyNumber, F_UUID_EQ,
				UUIDPGetDatum(kek_id));
	scan = vault_tables_begin_scan(table, "kek_pkey", 1, &key);
	tuple = systable_getnext(scan);
	found = HeapTupleIsValid(tuple);
	if (found)
		read_row(tuple, RelationGetDescr(table), row);
	systable_endscan(scan);
	table_close(table, AccessShareLock);
	return found;
}

BlockNumber
kek_table_pages(void)
{
	Relation	table = vault_tables_open_kek();
	BlockNumber pages = RelationGetNumberOfBlocks(table);

	table_close(table, AccessShareLock);
	return pages;
}

struct KekScan
{
	Relation	table;
	SysScanDesc scan;
	HeapTuple	tuple;
};

/* Uses no index, so that it works while the table is being dropped. */
static KekScan *
scan_table(Relation table)
{
	KekScan    *scan = palloc(sizeof(KekScan));

	scan->table = table;
	scan->scan = systable_beginscan(table, InvalidOid, false, NULL, 0, NULL);
	return scan;
}

KekScan *
kek_scan_begin(void)
{
	return scan_table(vault_tables_open_kek());
}

bool
kek_scan_next(KekScan *scan)
{
	scan->tuple = systable_getnext(scan->scan);
	return HeapTupleIsValid(scan->tuple);
}

pg_uuid_t
kek_scan_id(const KekScan *scan)
{
	bool		isnull;

	return *DatumGetUUIDP(heap_getattr(scan->tuple, Anum_kek_kek_id,
									   RelationGetDescr(scan->table), &isnull));
}

KekRowPlace
kek_scan_place(const KekScan *scan)
{
	return place_of(scan->tuple);
}

void
kek_scan_row(const KekScan *scan, KekRow *row)
{
	read_row(scan->tuple, RelationGetDescr(scan->table), row);
}

void
kek_scan_end(KekScan *scan)
{
	systable_endscan(scan->scan);
	table_close(scan->table, AccessShareLock);
	pfree(scan);
}

static int
newest_first(const ListCell *a, const ListCell *b)
{
	int32		version_a = ((KekRow *) lfirst(a))->version;
	int32		version_b = ((KekRow *) lfirst(b))->version;

	return (version_a < version_b) - (version_a > version_b);
}

/* Returns the rows with these keys, which are about label and version, in any order. */
static List *
scan_rows(int nkeys, ScanKeyData *keys)
{
	Relation	table = vault_tables_open_kek();
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *rows = NIL;

	scan = vault_tables_begin_scan(table, "kek_label_version_key", nkeys, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		KekRow	   *row = palloc(sizeof(KekRow));

		read_row(tuple, RelationGetDescr(table), row);
		rows = lappend(rows, row);
	}
	systable_endscan(scan);
	table_close(table, AccessShareLock);
	return rows;
}

List *
kek_rows_by_label(const char *label)
{
	ScanKeyData key;
	List	   *rows;

	ScanKeyInit(&key, Anum_kek_label, BTEqualStrategyNumber, F_TEXTEQ,
				CStringGetTextDatum(label));
	rows = scan_rows(1, &key);
	list_sort(rows, newest_first);
	return rows;
}

List *
kek_rows_existing(const char *label)
{
	require_label_exists(label, "The view key_vault.keks lists the labels.");
	return kek_rows_by_label(label);
}

KekRow *
kek_row_existing(const char *label, int32 version)
{
	ListCell   *cell;

	foreach(cell, kek_rows_existing(label))
	{
		KekRow	   *row = lfirst(cell);

		if (row->version == version)
			return row;
	}
	ereport(ERROR,
			(errcode(ERRCODE_KEK_UNKNOWN),
			 errmsg("KEK label \"%s\" has no version %d", label, version),
			 errhint("The view key_vault.keks lists the versions.")));
}

List *
kek_rows_left(Oid table_id)
{
	KekScan    *scan = scan_table(table_open(table_id, AccessShareLock));
	List	   *rows = NIL;

	while (kek_scan_next(scan))
	{
		KekRow	   *row = palloc(sizeof(KekRow));

		kek_scan_row(scan, row);
		if (row->state != KEK_DESTROYED)
			rows = lappend(rows, row);
	}
	kek_scan_end(scan);
	return rows;
}

static int
by_label_and_version(const ListCell *a, const ListCell *b)
{
	int			order = strcmp(((KekRow *) lfirst(a))->label, ((KekRow *) lfirst(b))->label);

	return order != 0 ? order : newest_first(b, a);
}

List *
kek_rows_all(void)
{
	List	   *rows = scan_rows(0, NULL);

	list_sort(rows, by_label_and_version);
	return rows;
}

void
kek_rows_lock(void)
{
	Relation	table = vault_tables_open_kek();
	LockWait	wait = {.relation = RelationGetRelid(table),.mode = ShareRowExclusiveLock};
	LockPatience patience;

	/*
	 * Waits in short slices, so that kek_suspend() in an emergency does not
	 * queue behind this lock for long.
	 */
	lock_patience_begin(&patience);
	if (lock_wait(&patience, &wait, 0) == LOCK_WAIT_BLOCKED)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_DEADLOCK_DETECTED),
				 errmsg("cannot wait for %s, which waits for this transaction",
						lock_wait_name(&wait))));
	table_close(table, AccessShareLock);
}
