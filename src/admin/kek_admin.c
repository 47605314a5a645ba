/*
 * kek_admin.c
 *	  Making KEKs and changing their state.
 *
 * Each function checks the current role, takes the label's lock (label_lock.c) and
 * a lock on the table kek, locks the rows that it changes, looks at
 * them as they are then, and writes as the extension's owner.  Readers are not blocked.  The row
 * triggers do the rest: other sessions hear of it when it commits.
 *
 * Invariants: a label has one active version at most (a unique index says so
 * too); versions count up from 1 and are never used again; a state changes only
 * along the arrows of NIST SP 800-57 part 1, section 7; a KEK in the clear is wiped
 * from the buffers of this file on every way out.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "../catalog/access.h"
#include "../catalog/audit_log.h"
#include "../catalog/extension_owner.h"
#include "../catalog/kek_label.h"
#include "../catalog/kek_row.h"
#include "../catalog/label_lock.h"
#include "../catalog/vault_tables.h"
#include "../common/bytea.h"
#include "../common/crypto_error.h"
#include "../common/errors.h"
#include "../crypto/secure_memory.h"
#include "../root_key/root_key.h"
#include "../token/kek_token.h"
#include "../vault/wrapping.h"
#include "destroy_wait.h"
#include "kek_admin.h"

static void
begin_work_on(const char *label, LabelLock kind)
{
	PreventCommandDuringRecovery("administration of KEKs");
	kek_label_check(label);

	/* Who may not does not wait; who may no more has waited in vain. */
	access_require(label, KEK_ADMIN);
	label_lock(label, kind);
	LockRelationOid(vault_tables_index_oid("kek"), RowExclusiveLock);
	access_require(label, KEK_ADMIN);
}

void
kek_begin_administration(const char *label)
{
	begin_work_on(label, LABEL_LOCK_VERSIONS);
}

/*
 * Locks the row of a version, which waits for whoever has changed it and not
 * committed, unless nowait is true; returns it as it is then.
 */
static KekRow *
lock_version(const char *label, int32 version, bool nowait)
{
	KekRow	   *row = kek_row_existing(label, version);
	ExtensionOwner owner;
	Oid			types[] = {UUIDOID};
	Datum		values[] = {UUIDPGetDatum(&row->kek_id)};

	extension_owner_begin(&owner);
	extension_owner_execute(nowait ?
							"SELECT FROM key_vault.kek WHERE kek_id = $1 FOR NO KEY UPDATE NOWAIT" :
							"SELECT FROM key_vault.kek WHERE kek_id = $1 FOR NO KEY UPDATE",
							lengthof(types), types, values, NULL);
	extension_owner_end(&owner);
	return kek_row_existing(label, version);
}

/* One version, whatever the others are: waits for no other administrator. */
static KekRow *
begin_state_change(const char *label, int32 version)
{
	begin_work_on(label, LABEL_LOCK_STATE);
	return lock_version(label, version, false);
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

/* The same by an administrator's wish, which is to be seen later. */
static void
change_state(const KekRow *row, KekState state, const char *event)
{
	set_state(row, state);
	audit_log_write(event, row->label, row->version, state_details(row, state));
}

/* An emergency goes on where there is no space for a row of the audit log. */
static void
change_state_in_emergency(const KekRow *row, KekState state, const char *event)
{
	set_state(row, state);
	audit_log_try_write(event, row->label, row->version, state_details(row, state));
}

/* A version yet to be entered. */
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

/*
 * Enters a new active version, whose material is sealed or in its token by now:
 * an unusable root key or token leaves no trace.
 */
static int32
enter_version(const KekRow *row, List *rows, const char *event)
{
	const KekRow *active = active_version(rows);
	bool		is_local = row->provider == NULL;
	ExtensionOwner owner;
	Oid			types[] = {UUIDOID, TEXTOID, INT4OID, INT4OID, TEXTOID, BYTEAOID, BYTEAOID, BYTEAOID};
	Datum		values[lengthof(types)];
	char		nulls[] = "        ";

	/* It may have been suspended meanwhile. */
	if (active != NULL)
		active = lock_version(active->label, active->version, false);
	if (active != NULL && active->state == KEK_ACTIVE)
		set_state(active, KEK_DEACTIVATED);

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
	return row->version;
}

static int32
add_version(const char *label, List *rows, const uint8 *material, size_t size,
			const char *event)
{
	KekRow		row = new_version(label, rows, size * 8, NULL);

	require_crypto_ok(key_check_value(material, size, row.kcv), "compute a key check value");
	root_key_require_in_use();
	root_key_seal(&row, material);
	return enter_version(&row, rows, event);
}

/* provider: the token to make it in, or NULL. */
static int32
add_random_version(const char *label, List *rows, int32 key_bits, const char *provider,
				   const char *event)
{
	uint8		material[KEK_MAX_SIZE];
	int32		version;

	if (provider != NULL)
	{
		KekRow		row = new_version(label, rows, key_bits, provider);

		kek_token_generate(&row);
		return enter_version(&row, rows, event);
	}

	PG_TRY();
	{
		random_key_bytes(material, key_bits / 8);
		version = add_version(label, rows, material, key_bits / 8, event);
	}
	PG_FINALLY();
	{
		secure_wipe(material, sizeof(material));
	}
	PG_END_TRY();
	return version;
}

/* NULL for a KEK that is to be kept here. */
static const char *
checked_provider(const char *provider)
{
	if (strcmp(provider, KEK_PROVIDER_LOCAL) == 0)
		return NULL;
	kek_token_check_provider(provider);
	return provider;
}

int32
kek_create(const char *label, int32 key_bits, const char *provider)
{
	kek_begin_administration(label);
	if (key_bits != 128 && key_bits != 192 && key_bits != 256)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a KEK has 128, 192 or 256 bits, not %d", key_bits)));
	if (kek_rows_by_label(label) != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("KEK label \"%s\" already exists", label),
				 errhint("Use key_vault.kek_rotate() to make a new version of it.")));
	return add_random_version(label, NIL, key_bits, checked_provider(provider), "created");
}

int32
kek_import(const char *label, const uint8 *material, size_t size)
{
	List	   *rows;
	ListCell   *cell;
	uint8		kcv[KEY_CHECK_VALUE_SIZE];

	kek_begin_administration(label);
	if (size != 16 && size != 24 && size != 32)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a KEK has 16, 24 or 32 bytes, not %zu", size)));
	require_crypto_ok(key_check_value(material, size, kcv), "compute a key check value");

	rows = kek_rows_by_label(label);
	foreach(cell, rows)
	{
		const KekRow *row = lfirst(cell);

		if (memcmp(row->kcv, kcv, KEY_CHECK_VALUE_SIZE) == 0)
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
	return add_version(label, rows, material, size, "imported");
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

int32
kek_rotate(const char *label, const char *provider)
{
	List	   *rows;
	const KekRow *newest;

	kek_begin_administration(label);
	rows = kek_rows_existing(label);
	newest = linitial(rows);
	return add_random_version(label, rows, newest->key_bits,
							  provider == NULL ? newest->provider : checked_provider(provider),
							  "rotated");
}

/* Nothing becomes of a destroyed KEK, and nothing twice what it is. */
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

void
kek_resume(const char *label, int32 version)
{
	KekRow	   *row;
	KekState	state;

	kek_begin_administration(label);
	row = lock_version(label, version, false);
	if (row->state != KEK_SUSPENDED)
		refuse_state(row, KEK_ACTIVE);
	state = row->suspended_from;

	/* The label went on without it: it no longer wraps. */
	if (state == KEK_ACTIVE && active_version(kek_rows_existing(label)) != NULL)
		state = KEK_DEACTIVATED;
	change_state(row, state, "resumed");
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

	/* It holds locks on others' tables: see destroy_wait.c. */
	begin_work_on(label, LABEL_LOCK_STATE);
	row = lock_version(label, version, true);
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

	extension_owner_begin(&owner);
	extension_owner_execute("INSERT INTO key_vault.kek_destruction (kek_id, destroy_at) VALUES ($1, $2) "
							"ON CONFLICT (kek_id) DO UPDATE SET destroy_at = $2, "
							"scheduled_at = clock_timestamp()",
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
