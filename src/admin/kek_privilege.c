/*
 * kek_privilege.c
 *	  Granting privileges on KEK labels, and withdrawing them.
 *
 * Invariant: a role that was dropped keeps no row, since its oid may one day be
 * another's.  A label may be granted on before it is there; that is said, for it may
 * be a label that was mistyped.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/varlena.h"

#include "../catalog/access.h"
#include "../catalog/audit_log.h"
#include "../catalog/extension_owner.h"
#include "../catalog/kek_row.h"
#include "kek_admin.h"
#include "kek_privilege.h"

/* A label with so many changes to it is taken for one that was mistyped. */
#define MAX_TYPING_ERRORS 3

static uint64
change_privilege(const char *label, Oid role, const char *privilege, const char *sql)
{
	Oid			types[] = {TEXTOID, OIDOID, TEXTOID};
	Datum		values[] = {CStringGetTextDatum(label), ObjectIdGetDatum(role),
	CStringGetTextDatum(privilege)};

	return extension_owner_execute(sql, lengthof(types), types, values, NULL);
}

/*
 * The script of version 1.0 lets only those call the functions to whom EXECUTE is
 * granted.  A grant here would be of no use to its role, and not say so.
 */
static void
require_public_functions(void)
{
	if (!OidIsValid(get_namespace_oid("key_vault_internal", true)))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("extension \"key_vault\" is older in this database than its library"),
				 errdetail("Privileges on KEK labels can be granted from version 1.1 on."),
				 errhint("Run ALTER EXTENSION key_vault UPDATE.")));
}

/* A dropped role's oid may one day be another's. */
static void
forget_dropped_roles(void)
{
	extension_owner_execute("DELETE FROM key_vault.kek_privilege p WHERE NOT EXISTS "
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

/* The label that a mistyped one was probably meant to be, or NULL. */
static const char *
nearest_label(const char *label)
{
	const char *nearest = NULL;
	int			limit = Min(MAX_TYPING_ERRORS, (int) strlen(label) / 2);
	ListCell   *cell;

	foreach(cell, kek_rows_all())
	{
		const KekRow *row = lfirst(cell);
		int			distance;

		CHECK_FOR_INTERRUPTS();
		distance = varstr_levenshtein_less_equal(label, strlen(label), row->label, strlen(row->label),
												 1, 1, 1, limit, true);
		if (distance > limit)
			continue;
		nearest = row->label;
		limit = distance - 1;
	}
	return nearest;
}

static void
notice_missing_label(const char *label)
{
	const char *nearest;

	if (kek_rows_by_label(label) != NIL)
		return;
	nearest = nearest_label(label);
	ereport(NOTICE,
			(errmsg("KEK label \"%s\" does not exist yet", label),
			 errdetail("The privilege holds for the label once it is made."),
			 nearest != NULL ? errhint("There is a label \"%s\".", nearest) : 0));
}

bool
kek_privilege_grant(const char *label, Oid role, const char *privilege)
{
	ExtensionOwner owner;
	bool		changed;

	kek_begin_administration(label);
	require_public_functions();
	(void) access_privilege_from_name(privilege);
	(void) GetUserNameFromId(role, false);	/* raises when there is no such
											 * role */

	extension_owner_begin(&owner);
	forget_dropped_roles();
	changed = change_privilege(label, role, privilege,
							   "INSERT INTO key_vault.kek_privilege (label, role, privilege) "
							   "VALUES ($1, $2, lower($3)) ON CONFLICT DO NOTHING") > 0;
	extension_owner_end(&owner);
	if (changed)
		log_privilege("granted", label, role, privilege);
	notice_missing_label(label);
	return changed;
}

bool
kek_privilege_revoke(const char *label, Oid role, const char *privilege)
{
	ExtensionOwner owner;
	bool		changed;

	kek_begin_administration(label);
	(void) access_privilege_from_name(privilege);

	extension_owner_begin(&owner);
	changed = change_privilege(label, role, privilege,
							   "DELETE FROM key_vault.kek_privilege "
							   "WHERE label = $1 AND role = $2 AND privilege = lower($3)") > 0;
	forget_dropped_roles();
	extension_owner_end(&owner);
	if (changed)
		log_privilege("revoked", label, role, privilege);
	return changed;
}
