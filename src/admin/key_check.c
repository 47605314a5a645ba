/*
 * key_check.c
 *	  Checks whether the keys in a column open.
 *
 * Invariants:
 * - Rows are read as the relation's owner (owner_scan.c), but keys are opened as the
 *   caller: a role that may not open the keys of a label learns nothing about them.
 * - No key leaves this file, only how many keys open, and why the others do not.
 * - If a KEK cannot be used, for example because its root key is missing, this is a
 *   problem of the keys under it.  If the server itself fails, the check ends.
 */
#include "postgres.h"

#include "access/relation.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/uuid.h"

#include "../catalog/key_columns.h"
#include "../catalog/owner_scan.h"
#include "../common/subtransaction.h"
#include "../vault/vault.h"
#include "key_check.h"

/*
 * With one of these privileges the caller could find out the same key by key or, with admin,
 * could grant itself such a privilege.
 */
#define MAY_CHECK (KEK_OPENS_KEYS | KEK_ADMIN)

/* What is known about one KEK. */
typedef struct CheckedKek
{
	pg_uuid_t	kek_id;			/* hash key */
	const char *problem;		/* why it cannot be used; NULL if it can */
} CheckedKek;

typedef struct Problem
{
	const char *reason;
	int64		keys;
} Problem;

/* What one scan has found. */
typedef struct Tally
{
	int64		keys;
	int64		opened;
	List	   *problems;		/* of Problem pointers */
} Tally;

typedef struct ColumnCheck
{
	Oid			type;			/* of the column */
	HTAB	   *keks;			/* of CheckedKek */
	MemoryContext context;		/* of what lasts longer than a row */
	Oid			caller;
	int			caller_sec_context;
	Tally		now;			/* of the present scan */
	Tally		result;			/* of the scan that found most keys */
} ColumnCheck;

static void
add_problem(ColumnCheck *check, const char *reason)
{
	MemoryContext previous;
	Problem    *problem;
	ListCell   *cell;

	foreach(cell, check->now.problems)
	{
		problem = lfirst(cell);
		if (strcmp(problem->reason, reason) == 0)
		{
			problem->keys++;
			return;
		}
	}
	previous = MemoryContextSwitchTo(check->context);
	problem = palloc(sizeof(Problem));
	problem->reason = pstrdup(reason);
	problem->keys = 1;
	check->now.problems = lappend(check->now.problems, problem);
	MemoryContextSwitchTo(previous);
}

static bool
ends_check(const ErrorData *error)
{
	int			category = ERRCODE_TO_CATEGORY(error->sqlerrcode);

	return category == ERRCODE_INSUFFICIENT_RESOURCES ||
		category == ERRCODE_OPERATOR_INTERVENTION || category == ERRCODE_INTERNAL_ERROR;
}

/* Tries a KEK with one of its keys.  Returns why it cannot be used, or NULL if it can. */
static const char *
try_kek(ColumnCheck *check, const WrappedKey *wrapped_key)
{
	Subtransaction subtransaction;
	const char *problem = NULL;

	subtransaction_begin(&subtransaction);
	PG_TRY();
	{
		VaultKey	key;
		VaultFailure failure;

		(void) vault_try_borrow_key(wrapped_key, MAY_CHECK, &key, &failure);
		vault_release();
		subtransaction_commit(&subtransaction);
	}
	PG_CATCH();
	{
		ErrorData  *error = subtransaction_catch(&subtransaction);

		if (ends_check(error))
			ReThrowError(error);
		problem = MemoryContextStrdup(check->context, error->message);
		FreeErrorData(error);
	}
	PG_END_TRY();
	return problem;
}

/* Runs as the caller of check_keys(). */
static void
open_key(ColumnCheck *check, const WrappedKey *wrapped_key)
{
	bool		found;
	CheckedKek *kek = hash_search(check->keks, wrapped_key->kek_id, HASH_ENTER, &found);
	VaultKey	key;
	VaultFailure failure;

	if (!found)
		kek->problem = try_kek(check, wrapped_key);
	if (kek->problem != NULL)
		add_problem(check, kek->problem);
	else if (vault_try_borrow_key(wrapped_key, MAY_CHECK, &key, &failure))
	{
		vault_release();
		check->now.opened++;
	}
	else
		add_problem(check, vault_failure_name(failure));
}

static void
check_key(Datum value, void *arg)
{
	ColumnCheck *check = arg;
	WrappedKey	wrapped_key;
	Oid			owner;
	int			sec_context;

	wrapped_key_from_varlena(PG_DETOAST_DATUM_PACKED(value), &wrapped_key);
	check->now.keys++;
	GetUserIdAndSecContext(&owner, &sec_context);
	SetUserIdAndSecContext(check->caller, check->caller_sec_context);
	open_key(check, &wrapped_key);
	SetUserIdAndSecContext(owner, sec_context);
}

static void
check_row(TupleTableSlot *slot, void *arg)
{
	ColumnCheck *check = arg;
	bool		isnull;
	Datum		value = slot_getattr(slot, 1, &isnull);

	if (!isnull)
		visit_wrapped_keys(value, check->type, check_key, check);
}

static void
end_of_scan(void *arg)
{
	ColumnCheck *check = arg;

	if (check->now.keys > check->result.keys)
		check->result = check->now;
	check->now = (Tally)
	{
		0
	};
}

void
check_keys(Oid relation_id, const char *column, KeyCheckVisitor visitor, void *arg)
{
	HASHCTL		control = {.keysize = sizeof(pg_uuid_t),.entrysize = sizeof(CheckedKek),
	.hcxt = CurrentMemoryContext};
	ColumnCheck check = {.context = CurrentMemoryContext};
	OwnerScan	scan = {
		.targets = psprintf("t.%s", quote_identifier(column)),
		.tail = "",
		.row = check_row,
		.end = end_of_scan,
		.arg = &check,
		.doing = "checking keys in",
		.parallel = false,		/* a parallel scan allows no subtransactions */
	};
	AttrNumber	number;
	Relation	relation = owner_scan_open(relation_id, column, &number);
	ListCell   *cell;

	if (relation == NULL)
		return;
	GetUserIdAndSecContext(&check.caller, &check.caller_sec_context);
	check.keks = hash_create("key_vault checked KEKs", 16, &control,
							 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	check.type = get_atttype(relation_id, number);
	owner_scan(relation, &scan);

	visitor(NULL, check.result.opened, arg);
	foreach(cell, check.result.problems)
	{
		const Problem *problem = lfirst(cell);

		visitor(problem->reason, problem->keys, arg);
	}
	hash_destroy(check.keks);
	relation_close(relation, NoLock);
}
