/*
 * kek_row.h
 *	  The rows of the table key_vault.kek, as they are now.
 */
#ifndef KEK_ROW_H
#define KEK_ROW_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "utils/uuid.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#include "../crypto/cmac.h"

/* NIST SP 800-57 part 1, section 7. */
typedef enum KekState
{
	KEK_ACTIVE,					/* wraps and unwraps; one a label at most */
	KEK_DEACTIVATED,			/* unwraps only */
	KEK_COMPROMISED,			/* unwraps only, so that keys can be moved */
	KEK_SUSPENDED,				/* neither, until it is resumed */
	KEK_DESTROYED				/* its material is erased */
} KekState;

/* The provider of KEKs whose material is in their rows, sealed. */
#define KEK_PROVIDER_LOCAL "local"

/* The longest KEK, in bytes. */
#define KEK_MAX_SIZE 32

typedef struct KekRow
{
	pg_uuid_t	kek_id;
	char	   *label;
	int32		version;
	KekState	state;
	KekState	suspended_from; /* while suspended: the state to return to */
	int32		key_bits;
	char	   *provider;		/* the token that it is in; NULL: sealed here */
	uint8		root_key_id[KEY_CHECK_VALUE_SIZE];
	bytea	   *sealed_material;	/* NULL when destroyed or in a token */
	uint8		kcv[KEY_CHECK_VALUE_SIZE];
	TimestampTz state_changed_at;
	bool		is_own_change;	/* written by the current transaction */
} KekRow;

/* False when there is no such row.  Allocates in the current context. */
extern bool kek_row_by_id(const pg_uuid_t *kek_id, KekRow *row);

/* All versions of a label, in descending order; a list of KekRow pointers. */
extern List *kek_rows_by_label(const char *label);

/* The same; an error when there are none. */
extern List *kek_rows_existing(const char *label);

/* One version of a label, or an error. */
extern KekRow *kek_row_existing(const char *label, int32 version);

/*
 * How many KEKs of the table are not destroyed, and one of them.  Uses no index, so it
 * works while the table is being dropped.
 */
extern int	kek_rows_left(Oid table, KekRow **example);

/* All rows, in the order of label and version; a list of KekRow pointers. */
extern List *kek_rows_all(void);

/*
 * Locks all rows against administrators, to the end of the transaction; readers
 * go on.
 */
extern void kek_rows_lock(void);

extern const char *kek_state_name(KekState state);

#endif							/* KEK_ROW_H */
