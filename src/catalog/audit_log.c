/*
 * audit_log.c
 *	  Entries about what was done to KEKs: rows of the table key_vault.audit_log, and
 *	  lines of the server's log.
 *
 * Invariants:
 * - A row is written in the same transaction as the change, so that neither is there
 *   without the other.  Only audit_log_try_write() lets a change be made without its
 *   row, with a warning, if there is not enough disk space or memory.
 * - Roles are written by name, since an oid may be given to another role later.
 *
 * A trigger of the table keeps rows from being changed.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "../common/subtransaction.h"
#include "audit_log.h"
#include "extension_owner.h"

/* Bytes that are not printable ASCII are written as \xNN, as in E'...'. */
static void
append_printable(StringInfo line, const char *text, const char *escaped)
{
	for (; *text != '\0'; text++)
	{
		if (*text < ' ' || *text > '~')
			appendStringInfo(line, "\\x%02x", (unsigned char) *text);
		else
		{
			if (strchr(escaped, *text) != NULL)
				appendStringInfoChar(line, '\\');
			appendStringInfoChar(line, *text);
		}
	}
}

static void
append_name(StringInfo line, const char *before, const char *name)
{
	appendStringInfo(line, "%s\"", before);
	append_printable(line, name, "\"\\");
	appendStringInfoChar(line, '"');
}

void
audit_log_server_line(const char *event, const char *label, int32 version, const char *details)
{
	FullTransactionId transaction = GetTopFullTransactionIdIfAny();
	StringInfoData line;

	initStringInfo(&line);
	if (label != NULL)
		append_name(&line, " KEK label ", label);
	if (version != 0)
		appendStringInfo(&line, " version %d", version);
	append_name(&line, " by role ", GetUserNameFromId(GetUserId(), false));
	append_name(&line, ", session role ", GetUserNameFromId(GetSessionUserId(), false));
	if (FullTransactionIdIsValid(transaction))
		appendStringInfo(&line, ", transaction " UINT64_FORMAT,
						 U64FromFullTransactionId(transaction));
	if (details != NULL)
	{
		appendStringInfoString(&line, ": ");
		append_printable(&line, details, "");
	}
	ereport(LOG_SERVER_ONLY,
			(errmsg_internal("key_vault: %s%s", event, line.data),
			 errhidestmt(true), errhidecontext(true)));
	pfree(line.data);
}

void
audit_log_write(const char *event, const char *label, int32 version, const char *details)
{
	ExtensionOwner owner;
	Oid			types[] = {TEXTOID, TEXTOID, INT4OID, TEXTOID, TEXTOID};
	Datum		values[] = {CStringGetTextDatum(event), CStringGetTextDatum(label),
		Int32GetDatum(version), details == NULL ? (Datum) 0 : CStringGetTextDatum(details),
	CStringGetTextDatum(GetUserNameFromId(GetUserId(), false))};
	char		nulls[] = {' ', ' ', version == 0 ? 'n' : ' ', details == NULL ? 'n' : ' ', ' '};

	audit_log_server_line(event, label, version, details);

	/*
	 * session_user, the client and the application are still those of the
	 * caller.
	 */
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
	Subtransaction subtransaction;

	subtransaction_begin(&subtransaction);
	PG_TRY();
	{
		audit_log_write(event, label, version, details);
		subtransaction_commit(&subtransaction);
	}
	PG_CATCH();
	{
		ErrorData  *error = subtransaction_catch(&subtransaction);

		if (ERRCODE_TO_CATEGORY(error->sqlerrcode) != ERRCODE_INSUFFICIENT_RESOURCES)
			ReThrowError(error);
		ereport(WARNING,
				(errcode(error->sqlerrcode),
				 errmsg("no row was written to the audit log: KEK label \"%s\" version %d %s",
						label, version, event),
				 errdetail_internal("%s", error->message)));
	}
	PG_END_TRY();
}
