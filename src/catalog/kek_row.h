/*
 * kek_row.h
 *	  Reading the table key_vault.kek, as it is now.
 */
#ifndef KEK_ROW_H
#define KEK_ROW_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "storage/itemptr.h"
#include "utils/uuid.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#include "../crypto/cmac.h"

/* The states of a KEK (NIST SP 800-57 part 1, section 7). */
typedef enum KekState
{
	KEK_ACTIVE,					/* wraps and unwraps; at most one of a label */
	KEK_DEACTIVATED,			/* unwraps only */
	KEK_COMPROMISED,			/* unwraps only, so that keys can be moved */
	KEK_SUSPENDED,				/* neither, until it is resumed */
	KEK_DESTROYED				/* its material is erased */
} KekState;

/* In the column provider: the sealed material is in the row itself. */
#define KEK_PROVIDER_LOCAL "local"

/* The longest KEK, in bytes. */
#define KEK_MAX_SIZE 32

/*
 * Where a version of a row is, and which transaction wrote it.  As long as a row has the
 * same of both, it has not changed: an update makes a new version, and nothing else is
 * put into an old one's place by the same transaction.
 */
typedef struct KekRowPlace
{
	ItemPointerData tid;
	TransactionId xmin;
} KekRowPlace;

typedef struct KekRow
{
	pg_uuid_t	kek_id;
	char	   *label;
	int32		version;
	KekState	state;
	KekState	suspended_from; /* while suspended: the state to return to */
	int32		key_bits;
	char	   *provider;		/* the token it is in; NULL: sealed in the row */
	uint8		root_key_id[KEY_CHECK_VALUE_SIZE];
	bytea	   *sealed_material;	/* NULL if destroyed or in a token */
	uint8		kcv[KEY_CHECK_VALUE_SIZE];
	TimestampTz state_changed_at;
	bool		is_own_change;	/* the current transaction wrote the row */
	KekRowPlace place;
} KekRow;

/* Reads a row, in the current memory context; false if there is none. */
extern bool kek_row_by_id(const pg_uuid_t *kek_id, KekRow *row);

/* All versions of a label, the newest first: a list of KekRow pointers. */
extern List *kek_rows_by_label(const char *label);

/* Does the same, but raises an error if the label has none. */
extern List *kek_rows_existing(const char *label);

/* One version of a label; an error if it does not exist. */
extern KekRow *kek_row_existing(const char *label, int32 version);

/* The size of the table, in pages. */
extern BlockNumber kek_table_pages(void);

/*
 * Goes through the whole table, for somebody who does not need all of each row.
 * kek_scan_next() goes to the next row, and returns false if there is none.  The others are
 * about that row; kek_scan_row() reads it, in the current memory context.
 */
typedef struct KekScan KekScan;

extern KekScan *kek_scan_begin(void);
extern bool kek_scan_next(KekScan *scan);
extern pg_uuid_t kek_scan_id(const KekScan *scan);
extern KekRowPlace kek_scan_place(const KekScan *scan);
extern void kek_scan_row(const KekScan *scan, KekRow *row);
extern void kek_scan_end(KekScan *scan);

static inline bool
kek_same_place(const KekRowPlace *a, const KekRowPlace *b)
{
	return ItemPointerEquals(unconstify(ItemPointerData *, &a->tid),
							 unconstify(ItemPointerData *, &b->tid)) &&
		a->xmin == b->xmin;
}

/*
 * The KEKs of the table that are not destroyed, in no order: a list of KekRow pointers.
 * Uses no index, so it works while the table is being dropped.
 */
extern List *kek_rows_left(Oid table);

/* All rows, ordered by label and version: a list of KekRow pointers. */
extern List *kek_rows_all(void);

/*
 * Locks the table until the end of the transaction, so that nobody else changes a row.
 * Reading is not hindered.
 */
extern void kek_rows_lock(void);

extern const char *kek_state_name(KekState state);

#endif							/* KEK_ROW_H */
