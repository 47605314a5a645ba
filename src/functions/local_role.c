/*
 * local_role.c
 *	  The type of the roles in table kek_privilege, and the trigger that keeps rows of
 *	  other servers out of it, and of other tables that are each database's own.
 *
 * A privilege on a KEK label is for a role of this server.  By logical replication rows of
 * another server can come into the table.  A role of the same name or oid may be somebody
 * else there.  A role that this server does not have must not be an error: it would stop the
 * subscription, and a KEK that is suspended after that would stay in use here.
 *
 * Invariants:
 * - If session_replication_role is replica, as in a process that applies the changes of
 *   another server, the input functions return no role (InvalidOid), whatever they are given.
 * - The binary form is the role's name, as the text form is, since an oid means nothing on
 *   another server.
 */
#include "postgres.h"

#include "commands/trigger.h"
#include "libpq/pqformat.h"
#include "utils/builtins.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(key_vault_local_role_in);
PG_FUNCTION_INFO_V1(key_vault_local_role_out);
PG_FUNCTION_INFO_V1(key_vault_local_role_recv);
PG_FUNCTION_INFO_V1(key_vault_local_role_send);
PG_FUNCTION_INFO_V1(key_vault_ignore_replicated);

static bool
is_from_another_server(void)
{
	return SessionReplicationRole == SESSION_REPLICATION_ROLE_REPLICA;
}

Datum
key_vault_local_role_in(PG_FUNCTION_ARGS)
{
	if (is_from_another_server())
		PG_RETURN_OID(InvalidOid);
	return regrolein(fcinfo);
}

Datum
key_vault_local_role_out(PG_FUNCTION_ARGS)
{
	return regroleout(fcinfo);
}

Datum
key_vault_local_role_recv(PG_FUNCTION_ARGS)
{
	StringInfo	message = (StringInfo) PG_GETARG_POINTER(0);
	int			size;

	if (is_from_another_server())
	{
		message->cursor = message->len;
		PG_RETURN_OID(InvalidOid);
	}
	return DirectFunctionCall1(regrolein,
							   CStringGetDatum(pq_getmsgtext(message,
															 message->len - message->cursor, &size)));
}

Datum
key_vault_local_role_send(PG_FUNCTION_ARGS)
{
	char	   *name = DatumGetCString(DirectFunctionCall1(regroleout, PG_GETARG_DATUM(0)));
	StringInfoData message;

	pq_begintypsend(&message);
	pq_sendtext(&message, name, strlen(name));
	PG_RETURN_BYTEA_P(pq_endtypsend(&message));
}

/* Trigger: skips the row with a warning, since an error would stop the subscription. */
Datum
key_vault_ignore_replicated(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BEFORE(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be called as a BEFORE ROW trigger",
						"key_vault_internal.ignore_replicated")));
	/* A run updates its progress many times: one warning is enough. */
	ereport(TRIGGER_FIRED_BY_INSERT(trigger->tg_event) ? WARNING : DEBUG1,
			(errmsg("a row for table key_vault.%s that comes from another server is ignored",
					RelationGetRelationName(trigger->tg_relation)),
			 errdetail("Privileges on KEK labels, scheduled destructions and the progress of rewrap_all() are each database's own."),
			 errhint("Publish table key_vault.kek alone.  If session_replication_role was set to restore a dump, grant the privileges again with key_vault.kek_grant(), and schedule destructions again with key_vault.kek_schedule_destroy().")));
	return PointerGetDatum(NULL);
}
