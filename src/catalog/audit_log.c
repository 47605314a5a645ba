/*
 * audit_log.c
 *	  The table key_vault.audit_log: what was done to which KEK, by whom.
 *
 * Invariants: a row is written in the transaction of what it tells about, so
 * that neither is there without the other; roles are written by name, since
 * an oid may be another role's one day.  That rows stay as they are a trigger
 * sees to.
 *
 * Called by whatever in this storey changes a KEK, or keys by one.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "audit_log.h"
#include "owner_sql.h"

void
audit_log_write(const char *event, const char *label, int32 version, const char *details)
{
	OwnerSql	owner;
	Oid			types[] = {TEXTOID, TEXTOID, INT4OID, TEXTOID, TEXTOID};
	Datum		values[] = {CStringGetTextDatum(event), CStringGetTextDatum(label),
		Int32GetDatum(version), details == NULL ? (Datum) 0 : CStringGetTextDatum(details),
	CStringGetTextDatum(GetUserNameFromId(GetUserId(), false))};
	char		nulls[] = {' ', ' ', version == 0 ? 'n' : ' ', details == NULL ? 'n' : ' ', ' '};

	/* Session, client and application are those of the caller still. */
	owner_sql_begin(&owner);
	owner_sql_execute("INSERT INTO key_vault.audit_log (event, label, version, details, "
					  "role, session_role, client_addr, application_name, pid) "
					  "VALUES ($1, $2, $3, $4::jsonb, $5::name, session_user, inet_client_addr(), "
					  "current_setting('application_name'), pg_backend_pid())",
					  lengthof(types), types, values, nulls);
	owner_sql_end(&owner);
}
