/*
 * kek_admin.c
 *	  Creating KEKs and changing their state.
 *
 * Each function checks the current role, takes the label's lock and a lock on the table kek,
 * locks the rows that it changes (all in kek_lock.c), reads them again, and writes as the
 * extension's owner.  Readers are not blocked.  Row triggers tell other sessions when the
 * transaction commits.
 *
 * Invariants:
 * - A label has at most one active version; a unique index ensures that, too.
 * - Versions count up from 1, and a number is never used again.
 * - A state changes only as NIST SP 800-57 part 1, section 7, allows.
 * - A KEK in the clear is wiped from the buffers of this file on every way out.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "../catalog/access.h"
#include "../catalog/audit_log.h"
#include "../catalog/extension_owner.h"
#include "../catalog/kek_row.h"
#include "../common/bytea.h"
#include "../common/crypto_error.h"
#include "../common/errors.h"
#include "../crypto/secure_memory.h"
#include "../root_key/root_key.h"
#include "../token/kek_token.h"
#include "../vault/wrapping.h"
#include "destroy_wait.h"
#include "kek_admin.h"
#include "kek_lock.h"

/* Begins to change the state of one version, without waiting for other administrators. */
static KekRow *
begin_state_change(const char *label, int32 version)
{
	(void) kek_lock_label(label, LABEL_LOCK_STATE);
	return kek_lock_version(label, version);
}

static KekRow *
active_version(List *rows)
{
	ListCell   *cell;

	foreach(cell, rows)
	{
		KekRow	   *row = lfirst(cell);

		if (row->state == KEK_ACTIVE)
			return row;
	}
	return NULL;
}

static void
set_state(const KekRow *row, KekState state)
{
	ExtensionOwner owner;
	Oid			types[] = {UUIDOID, TEXTOID};
	Datum		values[] = {UUIDPGetDatum(&row->kek_id),
	CStringGetTextDatum(kek_state_name(state))};

	extension_owner_begin(&owner);
	extension_owner_execute("UPDATE key_vault.kek SET state = $2, "
							"suspended_from = CASE WHEN $2 = 'suspended' THEN state END, "
							"root_key_id = CASE WHEN $2 <> 'destroyed' THEN root_key_id END, "
							"sealed_material = CASE WHEN $2 <> 'destroyed' THEN sealed_material END, "
							"state_changed_at = clock_timestamp() "
							"WHERE kek_id = $1",
							lengthof(types), types, values, NULL);
	extension_owner_end(&owner);
}

static char *
state_details(const KekRow *row, KekState state)
{
	return psprintf("{\"from\": \"%s\", \"to\": \"%s\"}", kek_state_name(row->state),
					kek_state_name(state));
}

/* Changes the state, and writes to the audit log. */
static void
change_state(const KekRow *row, KekState state, const char *event)
{
	set_state(row, state);
	audit_log_write(event, row->label, row->version, state_details(row, state));
}

/* Changes the state even if there is no space for a row of the audit log. */
static void
change_state_in_emergency(const KekRow *row, KekState state, const char *event)
{
	set_state(row, state);
	audit_log_try_write(event, row->label, row->version, state_details(row, state));
}

/* The row of a new version, which is not in the table yet. */
static KekRow
new_version(const char *label, List *rows, int32 key_bits, const char *provider)
{
	KekRow		row = {
		.label = pstrdup(label),
		.version = rows == NIL ? 1 : ((KekRow *) linitial(rows))->version + 1,
		.state = KEK_ACTIVE,
		.key_bits = key_bits,
		.provider = provider == NULL ? NULL : pstrdup(provider),
	};

	row.kek_id = *DatumGetUUIDP(DirectFunctionCall1(gen_random_uuid, (Datum) 0));
	return row;
}

/* A version that is to be made or imported. */
typedef struct NewVersion
{
	LabelWork	label_work;		/* must be first */
	int32		key_bits;		/* of a random KEK */
	const char *provider;		/* where to make it, or NULL */
	const uint8 *material;		/* of a KEK from outside */
	size_t		size;
	int32		version;		/* the result */
} NewVersion;

/*
 * Inserts the row of a new active version.  Its material is sealed or in its token already,
 * so if a root key or a token fails, nothing was written.
 */
static void
enter_version(NewVersion *work, const KekRow *row, List *rows, const char *event)
{
	const KekRow *active = active_version(rows);
	bool		is_local = row->provider == NULL;
	ExtensionOwner owner;
	Oid			types[] = {UUIDOID, TEXTOID, INT4OID, INT4OID, TEXTOID, BYTEAOID, BYTEAOID, BYTEAOID};
	Datum		values[lengthof(types)];
	char		nulls[] = "        ";

	if (active != NULL)
	{
		/* The active version may have been suspended meanwhile. */
		const KekRow *locked = kek_try_lock_version(active->label, active->version);

		if (locked == NULL)
		{
			work->label_work.busy_version = active->version;
			return;
		}
		if (locked->state == KEK_ACTIVE)
			set_state(locked, KEK_DEACTIVATED);
	}

	values[0] = UUIDPGetDatum(&row->kek_id);
	values[1] = CStringGetTextDatum(row->label);
	values[2] = Int32GetDatum(row->version);
	values[3] = Int32GetDatum(row->key_bits);
	values[4] = CStringGetTextDatum(is_local ? KEK_PROVIDER_LOCAL : row->provider);
	values[5] = PointerGetDatum(bytea_from_bytes(row->root_key_id, KEY_CHECK_VALUE_SIZE));
	values[6] = PointerGetDatum(row->sealed_material);
	nulls[5] = nulls[6] = is_local ? ' ' : 'n';
	values[7] = PointerGetDatum(bytea_from_bytes(row->kcv, KEY_CHECK_VALUE_SIZE));
	extension_owner_begin(&owner);
	extension_owner_execute("INSERT INTO key_vault.kek (kek_id, label, version, state, key_bits, "
							"provider, root_key_id, sealed_material, kcv) "
							"VALUES ($1, $2, $3, 'active', $4, $5, $6, $7, $8)",
							lengthof(types), types, values, nulls);
	extension_owner_end(&owner);
	audit_log_write(event, row->label, row->version, NULL);
	work->version = row->version;
}

static void
add_version(NewVersion *work, List *rows, const uint8 *material, size_t size, const char *event)
{
	KekRow		row = new_version(work->label_work.label, rows, size * 8, NULL);

	require_crypto_ok(key_check_value(material, size, row.kcv), "compute a key check value");
	root_key_require_in_use();
	root_key_seal(&row, material);
	enter_version(work, &row, rows, event);
}

/* provider is the token in which to make the KEK, or NULL. */
static void
add_random_version(NewVersion *work, List *rows, int32 key_bits, const char *provider,
				   const char *event)
{
	uint8		material[KEK_MAX_SIZE];

	if (provider != NULL)
	{
		KekRow		row = new_version(work->label_work.label, rows, key_bits, provider);

		kek_token_generate(&row);
		enter_version(work, &row, rows, event);
		return;
	}

	PG_TRY();
	{
		random_key_bytes(material, key_bits / 8);
		add_version(work, rows, material, key_bits / 8, event);
	}
	PG_FINALLY();
	{
		secure_wipe(material, sizeof(material));
	}
	PG_END_TRY();
}

/* Checks a provider; returns NULL for KEKs that are sealed in the table. */
static const char *
checked_provider(const char *provider)
{
	if (strcmp(provider, KEK_PROVIDER_LOCAL) == 0)
		return NULL;
	kek_token_check_provider(provider);
	return provider;
}

static void
create(LabelWork *label_work)
{
	NewVersion *work = (NewVersion *) label_work;
	const char *label = label_work->label;

	if (work->key_bits != 128 && work->key_bits != 192 && work->key_bits != 256)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a KEK has 128, 192 or 256 bits, not %d", work->key_bits)));
	if (kek_rows_by_label(label) != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("KEK label \"%s\" already exists", label),
				 errhint("Use key_vault.kek_rotate() to make a new version of it.")));
	add_random_version(work, NIL, work->key_bits, checked_provider(work->provider), "created");
}

int32
kek_create(const char *label, int32 key_bits, const char *provider)
{
	NewVersion	work = {{label, create},.key_bits = key_bits,.provider = provider};

	kek_work_on_label(&work.label_work);
	return work.version;
}

static void
import(LabelWork *label_work)
{
	NewVersion *work = (NewVersion *) label_work;
	const char *label = label_work->label;
	List	   *rows;
	ListCell   *cell;
	uint8		kcv[KEY_CHECK_VALUE_SIZE];

	if (work->size != 16 && work->size != 24 && work->size != 32)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a KEK has 16, 24 or 32 bytes, not %zu", work->size)));
	require_crypto_ok(key_check_value(work->material, work->size, kcv), "compute a key check value");

	rows = kek_rows_by_label(label);
	foreach(cell, rows)
	{
		const KekRow *row = lfirst(cell);

		/*
		 * A KEK that was destroyed may be imported again.  It becomes a new
		 * version; keys under the destroyed version stay lost.
		 */
		if (row->state != KEK_DESTROYED && memcmp(row->kcv, kcv, KEY_CHECK_VALUE_SIZE) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_OBJECT),
					 errmsg("KEK label \"%s\" version %d is this KEK already",
							label, row->version),
					 errdetail("The key check values are the same.")));
	}
	if (rows != NIL && ((KekRow *) linitial(rows))->provider != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("KEK label \"%s\" is in a token, and takes no KEK from outside", label),
				 errdetail("Its KEKs are made in the token and have never been anywhere else."),
				 errhint("Import the KEK under another label.")));
	add_version(work, rows, work->material, work->size, "imported");
}

int32
kek_import(const char *label, const uint8 *material, size_t size)
{
	NewVersion	work = {{label, import},.material = material,.size = size};

	kek_work_on_label(&work.label_work);
	return work.version;
}

int32
kek_import_wrapped(const char *label, const uint8 *wrapped, size_t wrapped_size,
				   const char *transport_label)
{
	uint8		material[KEY_WRAP_MAX_KEY];
	int32		version;

	PG_TRY();
	{
		vault_open_envelope(transport_label, wrapped, wrapped_size, material);
		version = kek_import(label, material, wrapped_size - KEY_WRAP_OVERHEAD);
	}
	PG_FINALLY();
	{
		secure_wipe(material, sizeof(material));
	}
	PG_END_TRY();
	return version;
}

static void
rotate(LabelWork *label_work)
{
	NewVersion *work = (NewVersion *) label_work;
	List	   *rows = kek_rows_existing(label_work->label);
	const KekRow *newest = linitial(rows);

	add_random_version(work, rows, newest->key_bits,
					   work->provider == NULL ? newest->provider : checked_provider(work->provider),
					   "rotated");
}

int32
kek_rotate(const char *label, const char *provider)
{
	NewVersion	work = {{label, rotate},.provider = provider};

	kek_work_on_label(&work.label_work);
	return work.version;
}

/* Raises the error that the KEK's state cannot be changed to the wanted one. */
static void
refuse_state(const KekRow *row, KekState wanted)
{
	bool		is_already = row->state == KEK_DESTROYED || row->state == wanted;

	ereport(ERROR,
			(errcode(row->state == KEK_DESTROYED ? ERRCODE_KEK_DESTROYED :
					 ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 is_already ?
			 errmsg("KEK label \"%s\" version %d is already %s", row->label, row->version,
					kek_state_name(row->state)) :
			 errmsg("KEK label \"%s\" version %d is %s, not suspended", row->label,
					row->version, kek_state_name(row->state))));
}

static void
notice_no_active_version(const KekRow *row)
{
	if (row->state == KEK_ACTIVE)
		ereport(NOTICE,
				(errmsg("KEK label \"%s\" has no active version now", row->label),
				 errhint("Use key_vault.kek_rotate() to make one.")));
}

void
kek_suspend(const char *label, int32 version)
{
	KekRow	   *row;

	row = begin_state_change(label, version);
	if (row->state == KEK_SUSPENDED || row->state == KEK_DESTROYED)
		refuse_state(row, KEK_SUSPENDED);
	change_state_in_emergency(row, KEK_SUSPENDED, "suspended");
	notice_no_active_version(row);
}

/* A version to be used again. */
typedef struct Resumption
{
	LabelWork	label_work;		/* must be first */
	int32		version;
} Resumption;

static void
resume(LabelWork *label_work)
{
	const char *label = label_work->label;
	int32		version = ((Resumption *) label_work)->version;
	const KekRow *row = kek_try_lock_version(label, version);
	KekState	state;

	if (row == NULL)
	{
		label_work->busy_version = version;
		return;
	}
	if (row->state != KEK_SUSPENDED)
		refuse_state(row, KEK_ACTIVE);
	state = row->suspended_from;

	/*
	 * If the label has another active version now, this version must not wrap
	 * any more.
	 */
	if (state == KEK_ACTIVE && active_version(kek_rows_existing(label)) != NULL)
		state = KEK_DEACTIVATED;
	change_state(row, state, "resumed");
}

void
kek_resume(const char *label, int32 version)
{
	Resumption	work = {{label, resume},.version = version};

	kek_work_on_label(&work.label_work);
}

void
kek_compromise(const char *label, int32 version)
{
	KekRow	   *row;

	row = begin_state_change(label, version);
	if (row->state == KEK_COMPROMISED || row->state == KEK_DESTROYED)
		refuse_state(row, KEK_COMPROMISED);
	change_state_in_emergency(row, KEK_COMPROMISED, "compromised");
	notice_no_active_version(row);
}

static bool
forget_schedule(const KekRow *row)
{
	ExtensionOwner owner;
	Oid			types[] = {UUIDOID};
	Datum		values[] = {UUIDPGetDatum(&row->kek_id)};
	bool		found;

	extension_owner_begin(&owner);
	found = extension_owner_execute("DELETE FROM key_vault.kek_destruction WHERE kek_id = $1",
									lengthof(types), types, values, NULL) > 0;
	extension_owner_end(&owner);
	return found;
}

static void
erase(const KekRow *row)
{
	if (row->provider != NULL)
		kek_token_destroy(row);
	change_state(row, KEK_DESTROYED, "destroyed");
	(void) forget_schedule(row);
	notice_no_active_version(row);
}

void
kek_erase(const char *label, int32 version)
{
	KekRow	   *row = begin_state_change(label, version);

	if (row->state == KEK_DESTROYED)
		refuse_state(row, KEK_DESTROYED);
	erase(row);
}

void
kek_erase_unused(const char *label, int32 version)
{
	KekRow	   *row;

	/*
	 * This function must not wait, since it has locks on tables that others
	 * use: see destroy_wait.c.
	 */
	(void) kek_lock_label(label, LABEL_LOCK_STATE);
	row = kek_try_lock_version(label, version);
	if (row == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("KEK label \"%s\" version %d is being changed by another transaction", label,
						version),
				 errhint("Call kek_destroy() again when that has ended.")));
	destroy_check_unchanged(row);
	erase(row);
}

void
kek_require_admin(const char *label)
{
	access_require(label, KEK_ADMIN);
}

TimestampTz
kek_schedule_destroy(const char *label, int32 version, const Interval *after)
{
	KekRow	   *row;
	ExtensionOwner owner;
	Oid			types[] = {UUIDOID, TIMESTAMPTZOID};
	Datum		values[lengthof(types)];
	TimestampTz now = GetCurrentTimestamp();

	row = begin_state_change(label, version);
	if (row->state == KEK_DESTROYED)
		refuse_state(row, KEK_DESTROYED);
	values[0] = UUIDPGetDatum(&row->kek_id);
	values[1] = DirectFunctionCall2(timestamptz_pl_interval,
									TimestampTzGetDatum(now), IntervalPGetDatum(after));
	if (DatumGetTimestampTz(values[1]) < now)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("waiting time must not be negative")));
	if (TIMESTAMP_NOT_FINITE(DatumGetTimestampTz(values[1])))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("waiting time must be finite")));

	/*
	 * The row is deleted and inserted, so that put_off_at is NULL.  An UPDATE
	 * of this column would fail with the table of version 1.0, which does not
	 * have it.
	 */
	(void) forget_schedule(row);
	extension_owner_begin(&owner);
	extension_owner_execute("INSERT INTO key_vault.kek_destruction (kek_id, destroy_at) VALUES ($1, $2)",
							lengthof(types), types, values, NULL);
	extension_owner_end(&owner);
	audit_log_write("scheduled", row->label, row->version,
					psprintf("{\"destroy_at\": \"%s\"}",
							 timestamptz_to_str(DatumGetTimestampTz(values[1]))));
	return DatumGetTimestampTz(values[1]);
}

bool
kek_cancel_destroy(const char *label, int32 version)
{
	KekRow	   *row;
	bool		found;

	row = begin_state_change(label, version);
	found = forget_schedule(row);
	if (found)
		audit_log_write("unscheduled", row->label, row->version, NULL);
	return found;
}

bool
kek_put_off_destroy(const char *label, int32 version)
{
	KekRow	   *row = begin_state_change(label, version);
	ExtensionOwner owner;
	Oid			types[] = {UUIDOID};
	Datum		values[] = {UUIDPGetDatum(&row->kek_id)};
	bool		put_off;

	extension_owner_begin(&owner);
	put_off = extension_owner_execute("UPDATE key_vault.kek_destruction SET"
									  " destroy_at = clock_timestamp() + interval '1 day',"
									  " put_off_at = clock_timestamp()"
									  " WHERE kek_id = $1 AND put_off_at IS NULL"
									  " AND destroy_at < clock_timestamp() - interval '1 day'",
									  lengthof(types), types, values, NULL) > 0;
	extension_owner_end(&owner);
	if (put_off)
		audit_log_write("scheduled", row->label, row->version, "{\"put_off\": \"1 day\"}");
	return put_off;
}
