/*
 * kek_privilege.c
 *	  Granting privileges on KEK labels, and revoking them.
 *
 * A privilege may be granted on a label that does not exist yet.  A notice says so, since the
 * label may be mistyped.  A warning says if the table is published, since a subscriber
 * does not use privileges that come from another server.
 *
 * Invariant: a change here deletes the rows of roles that were dropped, since a new role may
 * get the oid of a dropped one.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_publication.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/lsyscache.h"

#include "../catalog/access.h"
#include "../catalog/audit_log.h"
#include "../catalog/extension_owner.h"
#include "../catalog/unknown_label.h"
#include "kek_lock.h"
#include "kek_privilege.h"

static uint64
change_privilege(const char *label, Oid role, const char *privilege, const char *sql)
{
	Oid			types[] = {TEXTOID, OIDOID, TEXTOID};
	Datum		values[] = {CStringGetTextDatum(label), ObjectIdGetDatum(role),
	CStringGetTextDatum(privilege)};

	return extension_owner_execute(sql, lengthof(types), types, values, NULL);
}

/*
 * In a database with the extension's version 1.0, roles need EXECUTE on the functions,
 * too; a privilege on a label would be of no use to them, and nothing would say so.
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

/* With this setting a trigger would ignore the new row (src/functions/local_role.c). */
static void
require_origin(void)
{
	if (SessionReplicationRole == SESSION_REPLICATION_ROLE_REPLICA)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("privileges on KEK labels cannot be granted while session_replication_role is replica"),
				 errhint("Run SET session_replication_role = origin before.")));
}

static void
warn_if_published(void)
{
	Oid			schema = get_namespace_oid("key_vault", false);
	Oid			table = get_relname_relid("kek_privilege", schema);
	List	   *publications = list_concat(list_concat(GetRelationPublications(table),
													   GetSchemaPublications(schema)),
										   GetAllTablesPublications());

	if (publications != NIL)
		ereport(WARNING,
				(errmsg("table key_vault.kek_privilege is in publication \"%s\"",
						get_publication_name(linitial_oid(publications), false)),
				 errdetail("A privilege on a KEK label holds in this database alone: a subscriber of version 1.1 or later ignores it, and one of version 1.0 may give it to another role or stop."),
				 errhint("Publish table key_vault.kek alone, and grant on each server.")));
}

/*
 * A new role may get the oid of a dropped one.  This deletes rows of all labels, so it does not wait
 * for a transaction that does the same and may have the lock of another label.
 */
static void
forget_dropped_roles(void)
{
	extension_owner_execute("DELETE FROM key_vault.kek_privilege WHERE ctid = ANY (ARRAY("
							"SELECT p.ctid FROM key_vault.kek_privilege p WHERE NOT EXISTS "
							"(SELECT FROM pg_roles r WHERE r.oid = p.role) FOR UPDATE SKIP LOCKED))",
							0, NULL, NULL, NULL);
}

static void
log_privilege(const char *event, const char *label, Oid role, const char *privilege)
{
	char	   *name = GetUserNameFromId(role, true);
	StringInfoData details;

	initStringInfo(&details);
	appendStringInfoString(&details, "{\"role\": ");
	/* If the role was dropped, its oid is written, as the type regrole does. */
	escape_json(&details, name != NULL ? name : psprintf("%u", role));
	appendStringInfo(&details, ", \"privilege\": \"%s\"}",
					 access_privilege_name(access_privilege_from_name(privilege)));
	audit_log_write(event, label, 0, details.data);
}

bool
kek_privilege_grant(const char *label, Oid role, const char *privilege)
{
	ExtensionOwner owner;
	bool		changed;

	(void) kek_lock_label(label, LABEL_LOCK_VERSIONS);
	require_public_functions();
	require_origin();
	(void) access_privilege_from_name(privilege);
	(void) GetUserNameFromId(role, false);	/* an error if there is no such
											 * role */

	extension_owner_begin(&owner);
	forget_dropped_roles();
	changed = change_privilege(label, role, privilege,
							   "INSERT INTO key_vault.kek_privilege (label, role, privilege) "
							   "VALUES ($1, $2, lower($3)) ON CONFLICT DO NOTHING") > 0;
	extension_owner_end(&owner);
	if (changed)
		log_privilege("granted", label, role, privilege);
	notice_unknown_label(label, "The privilege holds for the label once it is made.");
	warn_if_published();
	return changed;
}

bool
kek_privilege_revoke(const char *label, Oid role, const char *privilege)
{
	ExtensionOwner owner;
	bool		changed;

	(void) kek_lock_label(label, LABEL_LOCK_VERSIONS);
	(void) access_privilege_from_name(privilege);

	extension_owner_begin(&owner);
	changed = change_privilege(label, role, privilege,
							   "DELETE FROM key_vault.kek_privilege "
							   "WHERE label = $1 AND role = $2 AND privilege = lower($3)") > 0;
	forget_dropped_roles();
	extension_owner_end(&owner);
	if (changed)
		log_privilege("revoked", label, role, privilege);
	else
		notice_unknown_label(label, "There was nothing to revoke.");
	return changed;
}
