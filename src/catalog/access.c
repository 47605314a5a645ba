/*
 * access.c
 *	  Checks of privileges: those on KEK labels, and those of superusers and readers of
 *	  statistics.
 *
 * Invariants:
 * - The current role is checked at every use of a key, also if the key is in the cache.
 * - PostgreSQL decides about role membership.  The result is remembered only as long as
 *   access_generation does not change, which counts every message about grants,
 *   memberships and roles.
 * - PostgreSQL remembers its own results, too, so each check first accepts the messages
 *   that have arrived.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_authid.h"
#include "lib/stringinfo.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "access.h"
#include "kek_row.h"
#include "unknown_label.h"
#include "vault_tables.h"

/* The columns of kek_privilege, in the order of the install script. */
#define Anum_kek_privilege_label 1
#define Anum_kek_privilege_role 2
#define Anum_kek_privilege_privilege 3

static const struct
{
	const char *name;
	KekPrivileges privilege;
}			privilege_names[] =

{
	{"wrap", KEK_WRAP},
	{"unwrap", KEK_UNWRAP},
	{"decrypt", KEK_DECRYPT},
	{"derive", KEK_DERIVE},
	{"rewrap", KEK_REWRAP},
	{"admin", KEK_ADMIN},
};

KekPrivileges
access_privilege_from_name(const char *name)
{
	for (int i = 0; i < lengthof(privilege_names); i++)
		if (pg_strcasecmp(privilege_names[i].name, name) == 0)
			return privilege_names[i].privilege;

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unrecognized KEK privilege: \"%s\"", name),
			 errhint("The privileges are wrap, unwrap, decrypt, derive, rewrap and admin.")));
}

const char *
access_privilege_name(KekPrivileges privilege)
{
	for (int i = 0; i < lengthof(privilege_names); i++)
		if (privilege_names[i].privilege == privilege)
			return privilege_names[i].name;

	elog(ERROR, "no single KEK privilege: %u", privilege);
}

KekPrivileges
access_held(const char *label)
{
	Oid			role = GetUserId();
	KekPrivileges held = 0;
	Relation	table;
	SysScanDesc scan;
	ScanKeyData key;
	HeapTuple	tuple;

	/* Callers that do not look up a key have not accepted the messages yet. */
	AcceptInvalidationMessages();

	/* The role may have been dropped while its session goes on. */
	if (!SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(role)))
		return 0;
	if (superuser_arg(role))
		return KEK_ALL_PRIVILEGES;

	table = vault_tables_open_kek_privilege();
	ScanKeyInit(&key, Anum_kek_privilege_label, BTEqualStrategyNumber, F_TEXTEQ,
				CStringGetTextDatum(label));

	scan = vault_tables_begin_scan(table, "kek_privilege_pkey", 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		Oid			grantee;

		grantee = DatumGetObjectId(heap_getattr(tuple, Anum_kek_privilege_role,
												RelationGetDescr(table), &isnull));
		if (has_privs_of_role(role, grantee))
			held |= access_privilege_from_name(TextDatumGetCString(heap_getattr(tuple,
																				Anum_kek_privilege_privilege,
																				RelationGetDescr(table),
																				&isnull)));
	}
	systable_endscan(scan);
	table_close(table, AccessShareLock);
	return held;
}

static void
check_held(KekPrivileges held, const char *label, KekPrivileges any_of)
{
	StringInfoData names;
	const char *nearest = NULL;

	if (likely((held & any_of) != 0))
		return;

	/* The label may be mistyped: nobody holds a privilege on such a label. */
	if (may_know_labels() && kek_rows_by_label(label) == NIL)
		nearest = nearest_label(label);
	initStringInfo(&names);
	for (int i = 0; i < lengthof(privilege_names); i++)
		if (any_of & privilege_names[i].privilege)
			appendStringInfo(&names, "%s\"%s\"", names.len > 0 ? " or " : "",
							 privilege_names[i].name);
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied for KEK label \"%s\"", label),
			 errdetail("Role \"%s\" lacks privilege %s on the label.",
					   GetUserNameFromId(GetUserId(), true), names.data),
			 nearest != NULL ? errhint("There is no such label, but there is a label \"%s\".", nearest) :
			 errhint("An administrator of the label can grant it with key_vault.kek_grant().")));
}

void
access_require(const char *label, KekPrivileges any_of)
{
	check_held(access_held(label), label, any_of);
}

void
access_look_anew(AccessMemo *memo, const char *label)
{
	uint64		generation = access_generation;

	/*
	 * The generation was read before the look-up.  So a message that arrives
	 * during the look-up makes the memo out of date.
	 */
	memo->generation = 0;
	memo->held = access_held(label);
	memo->role = GetUserId();
	memo->generation = generation;
}

void
access_require_anew(AccessMemo *memo, const char *label, KekPrivileges any_of)
{
	access_look_anew(memo, label);
	check_held(memo->held, label, any_of);
}

static void
require(bool may, const char *what, const char *detail)
{
	if (!may)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to %s", what),
				 errdetail("%s", detail)));
}

void
access_require_superuser(const char *what, const char *detail)
{
	AcceptInvalidationMessages();
	require(superuser(), what, detail);
}

void
access_require_stats_reader(const char *what, const char *detail)
{
	AcceptInvalidationMessages();
	require(has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS), what, detail);
}
