/*
 * kek_admin.c
 *	  Making KEKs and changing their state.
 *
 * Each function checks the current role, takes a lock that lets one
 * administrator at a time write to the kek table (readers are not blocked), looks at
 * the rows as they are then, and writes as the extension's owner.  The row
 * triggers do the rest: other sessions hear of it when it commits.
 *
 * Invariants: a label has one active version at most (a unique index says so
 * too); versions count up from 1 and are never used again; a state changes only
 * along the arrows of NIST SP 800-57 part 1, section 7.
 *
 * Called by src/functions.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "../catalog/access.h"
#include "../catalog/audit_log.h"
#include "../catalog/kek_label.h"
#include "../catalog/kek_row.h"
#include "../catalog/owner_sql.h"
#include "../common/bytes.h"
#include "../common/crypto_error.h"
#include "../common/errors.h"
#include "../crypto/secure_memory.h"
#include "../root_key/root_key.h"
#include "../token/kek_token.h"
#include "../vault/wrapping.h"
#include "kek_admin.h"

static void
begin_administration(const char *label)
{
	PreventCommandDuringRecovery("administration of KEKs");

	/* A label that is there was accepted before, here or in another database. */
	if (kek_rows_by_label(label) == NIL)
		kek_label_check_new(label);

	/* Who may not does not wait; who may no more has waited in vain. */
	access_require(label, KEK_ADMIN);
	kek_rows_lock();
	access_require(label, KEK_ADMIN);
}

/* The versions of a label, newest first; an error when there are none. */
static List *
existing_versions(const char *label)
{
	List	   *rows = kek_rows_by_label(label);

	if (rows == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_KEK_UNKNOWN),
				 errmsg("KEK label \"%s\" does not exist", label),
				 errhint("The view key_vault.keks lists the labels.")));
	return rows;
}

static KekRow *
existing_version(const char *label, int32 version)
{
	ListCell   *cell;

	foreach(cell, existing_versions(label))
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
	OwnerSql	owner;
	Oid			types[] = {UUIDOID, TEXTOID};
	Datum		values[] = {UUIDPGetDatum(&row->kek_id),
	CStringGetTextDatum(kek_state_name(state))};

	owner_sql_begin(&owner);
	owner_sql_execute("UPDATE key_vault.kek SET state = $2, "
					  "suspended_from = CASE WHEN $2 = 'suspended' THEN state END, "
					  "root_key_id = CASE WHEN $2 <> 'destroyed' THEN root_key_id END, "
					  "sealed_material = CASE WHEN $2 <> 'destroyed' THEN sealed_material END, "
					  "state_changed_at = clock_timestamp() "
					  "WHERE kek_id = $1",
					  lengthof(types), types, values, NULL);
	owner_sql_end(&owner);
}

/* The same by an administrator's wish, which is to be seen later. */
static void
change_state(const KekRow *row, KekState state, const char *event)
{
	set_state(row, state);
	audit_log_write(event, row->label, row->version,
					psprintf("{\"from\": \"%s\", \"to\": \"%s\"}",
							 kek_state_name(row->state), kek_state_name(state)));
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
	OwnerSql	owner;
	Oid			types[] = {UUIDOID, TEXTOID, INT4OID, INT4OID, TEXTOID, BYTEAOID, BYTEAOID, BYTEAOID};
	Datum		values[lengthof(types)];
	char		nulls[] = "        ";

	if (active != NULL)
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
	owner_sql_begin(&owner);
	owner_sql_execute("INSERT INTO key_vault.kek (kek_id, label, version, state, key_bits, "
					  "provider, root_key_id, sealed_material, kcv) "
					  "VALUES ($1, $2, $3, 'active', $4, $5, $6, $7, $8)",
					  lengthof(types), types, values, nulls);
	owner_sql_end(&owner);
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
	begin_administration(label);
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

	begin_administration(label);
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
kek_rotate(const char *label, const char *provider)
{
	List	   *rows;
	const KekRow *newest;

	begin_administration(label);
	rows = existing_versions(label);
	newest = linitial(rows);
	return add_random_version(label, rows, newest->key_bits,
							  provider == NULL ? newest->provider : checked_provider(provider),
							  "rotated");
}

static void
refuse_state(const KekRow *row)
{
	ereport(ERROR,
			(errcode(row->state == KEK_DESTROYED ? ERRCODE_KEK_DESTROYED :
					 ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("KEK label \"%s\" version %d is %s", row->label, row->version,
					kek_state_name(row->state))));
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

	begin_administration(label);
	row = existing_version(label, version);
	if (row->state == KEK_SUSPENDED || row->state == KEK_DESTROYED)
		refuse_state(row);
	change_state(row, KEK_SUSPENDED, "suspended");
	notice_no_active_version(row);
}

void
kek_resume(const char *label, int32 version)
{
	KekRow	   *row;
	KekState	state;

	begin_administration(label);
	row = existing_version(label, version);
	if (row->state != KEK_SUSPENDED)
		refuse_state(row);
	state = row->suspended_from;

	/* The label went on without it: it no longer wraps. */
	if (state == KEK_ACTIVE && active_version(existing_versions(label)) != NULL)
		state = KEK_DEACTIVATED;
	change_state(row, state, "resumed");
}

void
kek_compromise(const char *label, int32 version)
{
	KekRow	   *row;

	begin_administration(label);
	row = existing_version(label, version);
	if (row->state == KEK_COMPROMISED || row->state == KEK_DESTROYED)
		refuse_state(row);
	change_state(row, KEK_COMPROMISED, "compromised");
	notice_no_active_version(row);
}

static bool
forget_schedule(const KekRow *row)
{
	OwnerSql	owner;
	Oid			types[] = {UUIDOID};
	Datum		values[] = {UUIDPGetDatum(&row->kek_id)};
	bool		found;

	owner_sql_begin(&owner);
	found = owner_sql_execute("DELETE FROM key_vault.kek_destruction WHERE kek_id = $1",
							  lengthof(types), types, values, NULL) > 0;
	owner_sql_end(&owner);
	return found;
}

void
kek_erase(const char *label, int32 version)
{
	KekRow	   *row;

	begin_administration(label);
	row = existing_version(label, version);
	if (row->state == KEK_DESTROYED)
		refuse_state(row);
	if (row->provider != NULL)
		kek_token_destroy(row);
	change_state(row, KEK_DESTROYED, "destroyed");
	(void) forget_schedule(row);
	notice_no_active_version(row);
}

TimestampTz
kek_schedule_destroy(const char *label, int32 version, const Interval *after)
{
	KekRow	   *row;
	OwnerSql	owner;
	Oid			types[] = {UUIDOID, TIMESTAMPTZOID};
	Datum		values[lengthof(types)];
	TimestampTz now = GetCurrentTimestamp();

	begin_administration(label);
	row = existing_version(label, version);
	if (row->state == KEK_DESTROYED)
		refuse_state(row);
	values[0] = UUIDPGetDatum(&row->kek_id);
	values[1] = DirectFunctionCall2(timestamptz_pl_interval,
									TimestampTzGetDatum(now), IntervalPGetDatum(after));
	if (DatumGetTimestampTz(values[1]) < now)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("waiting time must not be negative")));

	owner_sql_begin(&owner);
	owner_sql_execute("INSERT INTO key_vault.kek_destruction (kek_id, destroy_at) VALUES ($1, $2) "
					  "ON CONFLICT (kek_id) DO UPDATE SET destroy_at = $2, "
					  "scheduled_at = clock_timestamp()",
					  lengthof(types), types, values, NULL);
	owner_sql_end(&owner);
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

	begin_administration(label);
	row = existing_version(label, version);
	found = forget_schedule(row);
	if (found)
		audit_log_write("unscheduled", row->label, row->version, NULL);
	return found;
}

static uint64
change_privilege(const char *label, Oid role, const char *privilege, const char *sql)
{
	Oid			types[] = {TEXTOID, OIDOID, TEXTOID};
	Datum		values[] = {CStringGetTextDatum(label), ObjectIdGetDatum(role),
	CStringGetTextDatum(privilege)};

	return owner_sql_execute(sql, lengthof(types), types, values, NULL);
}

/*
 * Whoever holds a privilege on some label may call the extension's functions,
 * which ask for the label's privilege at each use; nobody else may.
 */
static void
change_execute(const char *command, const char *preposition, Oid role)
{
	char	   *sql = psprintf("%s EXECUTE ON ALL ROUTINES IN SCHEMA key_vault %s %s",
							   command, preposition,
							   quote_identifier(GetUserNameFromId(role, false)));

	owner_sql_execute(sql, 0, NULL, NULL, NULL);
}

/* By name: what it has by membership or as a superuser it may lose. */
static bool
lacks_execute(Oid role)
{
	Oid			types[] = {OIDOID};
	Datum		values[] = {ObjectIdGetDatum(role)};

	return owner_sql_execute("SELECT FROM pg_proc WHERE pronamespace = 'key_vault'::regnamespace "
							 "AND NOT EXISTS (SELECT FROM aclexplode(proacl) WHERE grantee = $1) "
							 "LIMIT 1", lengthof(types), types, values, NULL) > 0;
}

/* A dropped role's oid may one day be another's. */
static void
forget_dropped_roles(void)
{
	owner_sql_execute("DELETE FROM key_vault.kek_privilege p WHERE NOT EXISTS "
					  "(SELECT FROM pg_roles r WHERE r.oid = p.role)",
					  0, NULL, NULL, NULL);
}

static void
log_privilege(const char *event, const char *label, Oid role, const char *privilege)
{
	char	   *name = GetUserNameFromId(role, true);
	StringInfoData details;

	initStringInfo(&details);
	appendStringInfoString(&details, "{\"role\": ");
	/* What regrole shows of a role that was dropped. */
	escape_json(&details, name != NULL ? name : psprintf("%u", role));
	appendStringInfo(&details, ", \"privilege\": \"%s\"}",
					 access_privilege_name(access_privilege_from_name(privilege)));
	audit_log_write(event, label, 0, details.data);
}

bool
kek_privilege_grant(const char *label, Oid role, const char *privilege)
{
	OwnerSql	owner;
	bool		changed;

	begin_administration(label);
	(void) access_privilege_from_name(privilege);
	(void) GetUserNameFromId(role, false);	/* raises when there is no such
											 * role */

	owner_sql_begin(&owner);
	forget_dropped_roles();
	changed = change_privilege(label, role, privilege,
							   "INSERT INTO key_vault.kek_privilege (label, role, privilege) "
							   "VALUES ($1, $2, lower($3)) ON CONFLICT DO NOTHING") > 0;

	if (lacks_execute(role))
		change_execute("GRANT", "TO", role);
	owner_sql_end(&owner);
	if (changed)
		log_privilege("granted", label, role, privilege);
	return changed;
}

bool
kek_privilege_revoke(const char *label, Oid role, const char *privilege)
{
	OwnerSql	owner;
	bool		changed;

	begin_administration(label);
	(void) access_privilege_from_name(privilege);

	owner_sql_begin(&owner);
	changed = change_privilege(label, role, privilege,
							   "DELETE FROM key_vault.kek_privilege "
							   "WHERE label = $1 AND role = $2 AND privilege = lower($3)") > 0;
	forget_dropped_roles();
	if (changed && GetUserNameFromId(role, true) != NULL &&
		!access_is_granted(role))
		change_execute("REVOKE", "FROM", role);
	owner_sql_end(&owner);
	if (changed)
		log_privilege("revoked", label, role, privilege);
	return changed;
}
