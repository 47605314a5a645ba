/*
 * root_key_rotate.c
 *	  Sealing all KEKs under the first root key of the setting.
 *
 * All is done in the caller's transaction.  If it does not commit, each KEK is still sealed
 * under its old root key.  The setting must have both root keys meanwhile, so KEKs open in
 * either case.
 *
 * Invariants:
 * - No KEK is written that this server cannot open: the root keys are loaded anew at the
 *   start, and each KEK is opened again before its row is written.
 * - A KEK in the clear is wiped from the buffers of this file on every way out.
 * - A KEK that cannot be opened stays as it is, and a warning names it.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "../catalog/access.h"
#include "../catalog/audit_log.h"
#include "../catalog/extension_owner.h"
#include "../catalog/kek_row.h"
#include "../common/bytea.h"
#include "../common/errors.h"
#include "../crypto/secure_memory.h"
#include "../root_key/root_key.h"
#include "../root_key/root_key_list.h"
#include "root_key_rotate.h"

/* Seals the KEK of a row anew; returns false, and notes an error, if it does not open. */
static bool
seal_anew(KekRow *row, DeferredError *error)
{
	uint8		material[KEK_MAX_SIZE];
	bool		opened;

	PG_TRY();
	{
		opened = root_key_try_open(row, material, error);
		if (opened)
		{
			root_key_seal(row, material);
			root_key_open(row, material);
		}
	}
	PG_FINALLY();
	{
		secure_wipe(material, sizeof(material));
	}
	PG_END_TRY();
	return opened;
}

static void
write_row(const KekRow *row)
{
	ExtensionOwner owner;
	Oid			types[] = {UUIDOID, BYTEAOID, BYTEAOID};
	Datum		values[lengthof(types)];

	values[0] = UUIDPGetDatum(&row->kek_id);
	values[1] = PointerGetDatum(bytea_from_bytes(row->root_key_id, KEY_CHECK_VALUE_SIZE));
	values[2] = PointerGetDatum(row->sealed_material);
	extension_owner_begin(&owner);
	extension_owner_execute("UPDATE key_vault.kek SET root_key_id = $2, sealed_material = $3 "
							"WHERE kek_id = $1",
							lengthof(types), types, values, NULL);
	extension_owner_end(&owner);
}

static void
log_row(const KekRow *row, const uint8 sealed_before[KEY_CHECK_VALUE_SIZE])
{
	char		from[2 * KEY_CHECK_VALUE_SIZE + 1] = {0};
	char		to[2 * KEY_CHECK_VALUE_SIZE + 1] = {0};

	hex_encode((const char *) sealed_before, KEY_CHECK_VALUE_SIZE, from);
	hex_encode((const char *) row->root_key_id, KEY_CHECK_VALUE_SIZE, to);
	audit_log_write("resealed", row->label, row->version,
					psprintf("{\"from\": \"%s\", \"to\": \"%s\"}", from, to));
}

static void
require_superuser(void)
{
	access_require_superuser("rotate the root key",
							 "Only superusers may, as only they set key_vault.root_key.");
}

/* A KEK that did not open. */
typedef struct Failure
{
	const KekRow *row;
	DeferredError error;
} Failure;

/* Whether it is known from another KEK that the root key cannot be loaded. */
static bool
root_key_has_failed(const KekRow *row, const List *failures)
{
	ListCell   *cell;

	foreach(cell, failures)
	{
		const Failure *failure = lfirst(cell);

		if (failure->error.sqlstate != ERRCODE_KEK_MATERIAL_DAMAGED &&
			memcmp(failure->row->root_key_id, row->root_key_id, KEY_CHECK_VALUE_SIZE) == 0)
			return true;
	}
	return false;
}

static void
warn_of_failures(const List *failures, int skipped)
{
	ListCell   *cell;

	foreach(cell, failures)
		deferred_error_warn(&((Failure *) lfirst(cell))->error, NULL);
	ereport(WARNING,
			(errmsg_plural("%d KEK is still sealed under another root key than the first",
						   "%d KEKs are still sealed under another root key than the first",
						   list_length(failures) + skipped,
						   list_length(failures) + skipped),
			 errdetail("The view key_vault.keks shows which.  All others are sealed under the first."),
			 errhint("Leave the other root keys in key_vault.root_key until these KEKs open again, and call key_vault.root_key_rotate() then.")));
}

/*
 * If some KEKs do not open, the others are sealed anew all the same.  If no KEK is sealed
 * under the first root key in the end, that is an error.
 */
int64
root_key_rotate(void)
{
	ListCell   *cell;
	int64		sealed = 0;
	int64		sealed_before_this = 0;
	int			skipped = 0;
	List	   *failures = NIL;

	PreventCommandDuringRecovery("rotation of the root key");

	/*
	 * Checked before the wait, so that another role does not wait, and after
	 * it, since the role may have lost the attribute meanwhile.
	 */
	require_superuser();
	kek_rows_lock();
	require_superuser();

	audit_log_server_line("rotation of the root key begun", NULL, 0, NULL);

	/* A file may contain another key now than when this backend read it. */
	root_key_forget_all();
	foreach(cell, kek_rows_all())
	{
		KekRow	   *row = lfirst(cell);
		uint8		sealed_before[KEY_CHECK_VALUE_SIZE];
		Failure		failure = {.row = row};

		CHECK_FOR_INTERRUPTS();
		if (row->sealed_material == NULL)
			continue;
		if (root_key_is_first(row))
		{
			sealed_before_this++;
			continue;
		}
		if (root_key_has_failed(row, failures))
		{
			skipped++;
			continue;
		}
		memcpy(sealed_before, row->root_key_id, KEY_CHECK_VALUE_SIZE);
		if (!seal_anew(row, &failure.error))
		{
			failures = lappend(failures, memcpy(palloc(sizeof(Failure)), &failure, sizeof(Failure)));
			continue;
		}
		write_row(row);
		log_row(row, sealed_before);
		sealed++;
	}
	if (failures != NIL && sealed + sealed_before_this == 0)
		deferred_error_raise(&((Failure *) linitial(failures))->error, NULL);
	if (failures != NIL)
		warn_of_failures(failures, skipped);
	audit_log_server_line("rotation of the root key done", NULL, 0,
						  psprintf("{\"keks\": " INT64_FORMAT "}", sealed));
	return sealed;
}
