/*
 * root_key_rotate.c
 *	  Sealing all KEKs under another root key.
 *
 * All within the caller's transaction: whatever ends it, each KEK is sealed under
 * its old root key or all are sealed under the new one.  Both are in the
 * setting then, so either opens.
 *
 * Invariants:
 * - Nothing is written that this server cannot open: the root keys are read
 *   anew at the start, and each KEK is opened again before its row is written.
 * - A KEK in the clear is wiped from the buffers of this file on every way out.
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
#include "../crypto/secure_memory.h"
#include "../root_key/root_key.h"
#include "root_key_rotate.h"

static void
seal_anew(KekRow *row)
{
	uint8		material[KEK_MAX_SIZE];

	PG_TRY();
	{
		root_key_open(row, material);
		root_key_seal(row, material);
		root_key_open(row, material);
	}
	PG_FINALLY();
	{
		secure_wipe(material, sizeof(material));
	}
	PG_END_TRY();
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

int64
root_key_rotate(void)
{
	ListCell   *cell;
	int64		sealed = 0;

	PreventCommandDuringRecovery("rotation of the root key");

	/* Who may not does not wait; who may no more has waited in vain. */
	require_superuser();
	kek_rows_lock();
	require_superuser();

	audit_log_server_line("rotation of the root key begun", NULL, 0, NULL);

	/* A file may hold another key by now than when this backend read it. */
	root_key_forget_all();
	foreach(cell, kek_rows_all())
	{
		KekRow	   *row = lfirst(cell);
		uint8		sealed_before[KEY_CHECK_VALUE_SIZE];

		CHECK_FOR_INTERRUPTS();
		if (row->sealed_material == NULL || root_key_is_first(row))
			continue;
		memcpy(sealed_before, row->root_key_id, KEY_CHECK_VALUE_SIZE);
		seal_anew(row);
		write_row(row);
		log_row(row, sealed_before);
		sealed++;
	}
	audit_log_server_line("rotation of the root key done", NULL, 0,
						  psprintf("{\"keks\": " INT64_FORMAT "}", sealed));
	return sealed;
}
