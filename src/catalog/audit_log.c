/*
 * audit_log.c
 *	  The table key_vault.audit_log: what was done to which KEK, by whom.
 *
 * Invariants: a row is written in the transaction of what it tells about, so
 * that neither is there without the other; roles are written by name, since
 * an oid may be another role's one day.  That rows stay as they are a trigger
 * sees to.  In an emergency the change goes without its row, with a warning, where
 * the row cannot be written for lack of space.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "audit_log.h"
#include "extension_owner.h"

void
audit_log_write(const char *event, const char *label, int32 version, const char *details)
{
	ExtensionOwner owner;
	Oid			types[] = {TEXTOID, TEXTOID, INT4OID, TEXTOID, TEXTOID};
	Datum		values[] = {CStringGetTextDatum(event), CStringGetTextDatum(label),
		Int32GetDatum(version), details == NULL ? (Datum) 0 : CStringGetTextDatum(details),
	CStringGetTextDatum(GetUserNameFromId(GetUserId(), false))};
	char		nulls[] = {' ', ' ', version == 0 ? 'n' : ' ', details == NULL ? 'n' : ' ', ' '};

	/* Session, client and application are those of the caller still. */
	extension_owner_begin(&owner);
	extension_owner_execute("INSERT INTO key_vault.audit_log (event, label, version, details, "
							"role, session_role, client_addr, application_name, pid) "
							"VALUES ($1, $2, $3, $4::jsonb, $5::name, session_user, inet_client_addr(), "
							"current_setting('application_name'), pg_backend_pid())",
							lengthof(types), types, values, nulls);
	extension_owner_end(&owner);
}

void
audit_log_try_write(const char *event, const char *label, int32 version, const char *details)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner resource_owner = CurrentResourceOwner;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		audit_log_write(event, label, version, details);
		ReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = resource_owner;
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = resource_owner;
		if (ERRCODE_TO_CATEGORY(error->sqlerrcode) != ERRCODE_INSUFFICIENT_RESOURCES)
			ReThrowError(error);
		ereport(WARNING,
				(errcode(error->sqlerrcode),
				 errmsg("the audit log has no row of this: KEK label \"%s\" version %d %s",
						label, version, event),
				 errdetail_internal("%s", error->message)));
	}
	PG_END_TRY();
}
