/*
 * kek.c
 *	  SQL functions that administer KEKs and the privileges on their labels, and the
 *	  function of the triggers of the tables kek and kek_privilege.
 *
 * These functions only unpack arguments; the work is done in src/admin/kek_admin.c,
 * kek_privilege.c and root_key_rotate.c, and in src/catalog/access.c.
 *
 * Invariant: no KEK in the clear is made or copied here.
 */
#include "postgres.h"

#include "commands/trigger.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "../admin/kek_admin.h"
#include "../admin/kek_privilege.h"
#include "../admin/root_key_rotate.h"
#include "../catalog/access.h"
#include "../catalog/unknown_label.h"
#include "arguments.h"
#include "../vault/plaintext_key.h"

PG_FUNCTION_INFO_V1(key_vault_kek_create);
PG_FUNCTION_INFO_V1(key_vault_kek_import);
PG_FUNCTION_INFO_V1(key_vault_kek_import_wrapped);
PG_FUNCTION_INFO_V1(key_vault_kek_rotate);
PG_FUNCTION_INFO_V1(key_vault_kek_suspend);
PG_FUNCTION_INFO_V1(key_vault_kek_resume);
PG_FUNCTION_INFO_V1(key_vault_kek_compromise);
PG_FUNCTION_INFO_V1(key_vault_kek_erase);
PG_FUNCTION_INFO_V1(key_vault_kek_schedule_destroy);
PG_FUNCTION_INFO_V1(key_vault_kek_cancel_destroy);
PG_FUNCTION_INFO_V1(key_vault_kek_grant);
PG_FUNCTION_INFO_V1(key_vault_kek_revoke);
PG_FUNCTION_INFO_V1(key_vault_root_key_rotate);
PG_FUNCTION_INFO_V1(key_vault_has_kek_privilege);
PG_FUNCTION_INFO_V1(key_vault_invalidate);
PG_FUNCTION_INFO_V1(key_vault_notice_unknown_label);

/* If the functions were strict, a NULL would do nothing, and nobody would notice. */
static void
refuse_null(FunctionCallInfo fcinfo, int i)
{
	if (PG_ARGISNULL(i))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument %d of function \"%s\" must not be NULL", i + 1,
						get_func_name(fcinfo->flinfo->fn_oid))));
}

static void
refuse_nulls(FunctionCallInfo fcinfo)
{
	for (int i = 0; i < PG_NARGS(); i++)
		refuse_null(fcinfo, i);
}

Datum
key_vault_kek_create(PG_FUNCTION_ARGS)
{
	refuse_nulls(fcinfo);
	PG_RETURN_INT32(kek_create(label_argument(fcinfo, 0), PG_GETARG_INT32(1),
							   text_to_cstring(PG_GETARG_TEXT_PP(2))));
}

Datum
key_vault_kek_import(PG_FUNCTION_ARGS)
{
	const bytea *material;

	refuse_nulls(fcinfo);
	material = PG_GETARG_BYTEA_PP(1);
	plaintext_key_check((const uint8 *) VARDATA_ANY(material), VARSIZE_ANY_EXHDR(material));
	PG_RETURN_INT32(kek_import(label_argument(fcinfo, 0),
							   (const uint8 *) VARDATA_ANY(material),
							   VARSIZE_ANY_EXHDR(material)));
}

Datum
key_vault_kek_import_wrapped(PG_FUNCTION_ARGS)
{
	const bytea *wrapped;

	refuse_nulls(fcinfo);
	wrapped = PG_GETARG_BYTEA_PP(1);
	PG_RETURN_INT32(kek_import_wrapped(label_argument(fcinfo, 0),
									   (const uint8 *) VARDATA_ANY(wrapped),
									   VARSIZE_ANY_EXHDR(wrapped),
									   label_argument(fcinfo, 2)));
}

Datum
key_vault_kek_rotate(PG_FUNCTION_ARGS)
{
	refuse_null(fcinfo, 0);
	PG_RETURN_INT32(kek_rotate(label_argument(fcinfo, 0),
							   PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1))));
}

Datum
key_vault_kek_suspend(PG_FUNCTION_ARGS)
{
	refuse_nulls(fcinfo);
	kek_suspend(label_argument(fcinfo, 0), PG_GETARG_INT32(1));
	PG_RETURN_VOID();
}

Datum
key_vault_kek_resume(PG_FUNCTION_ARGS)
{
	refuse_nulls(fcinfo);
	kek_resume(label_argument(fcinfo, 0), PG_GETARG_INT32(1));
	PG_RETURN_VOID();
}

Datum
key_vault_kek_compromise(PG_FUNCTION_ARGS)
{
	refuse_nulls(fcinfo);
	kek_compromise(label_argument(fcinfo, 0), PG_GETARG_INT32(1));
	PG_RETURN_VOID();
}

Datum
key_vault_kek_erase(PG_FUNCTION_ARGS)
{
	refuse_nulls(fcinfo);
	kek_erase(label_argument(fcinfo, 0), PG_GETARG_INT32(1));
	PG_RETURN_VOID();
}

Datum
key_vault_kek_schedule_destroy(PG_FUNCTION_ARGS)
{
	refuse_nulls(fcinfo);
	PG_RETURN_TIMESTAMPTZ(kek_schedule_destroy(label_argument(fcinfo, 0), PG_GETARG_INT32(1),
											   PG_GETARG_INTERVAL_P(2)));
}

Datum
key_vault_kek_cancel_destroy(PG_FUNCTION_ARGS)
{
	refuse_nulls(fcinfo);
	PG_RETURN_BOOL(kek_cancel_destroy(label_argument(fcinfo, 0), PG_GETARG_INT32(1)));
}

Datum
key_vault_kek_grant(PG_FUNCTION_ARGS)
{
	refuse_nulls(fcinfo);
	PG_RETURN_BOOL(kek_privilege_grant(label_argument(fcinfo, 0), PG_GETARG_OID(1),
									   text_to_cstring(PG_GETARG_TEXT_PP(2))));
}

Datum
key_vault_kek_revoke(PG_FUNCTION_ARGS)
{
	refuse_nulls(fcinfo);
	PG_RETURN_BOOL(kek_privilege_revoke(label_argument(fcinfo, 0), PG_GETARG_OID(1),
										text_to_cstring(PG_GETARG_TEXT_PP(2))));
}

Datum
key_vault_root_key_rotate(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(root_key_rotate());
}

Datum
key_vault_has_kek_privilege(PG_FUNCTION_ARGS)
{
	KekPrivileges privilege = access_privilege_from_name(text_to_cstring(PG_GETARG_TEXT_PP(1)));

	PG_RETURN_BOOL((access_held(label_argument(fcinfo, 0)) & privilege) != 0);
}

/*
 * The function of the triggers: queues a message about the change, which other backends get
 * when this transaction commits, and this backend before its next command.
 */
Datum
key_vault_invalidate(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be called as an AFTER trigger",
						"key_vault_internal.invalidate")));
	CacheInvalidateRelcacheByRelid(RelationGetRelid(trigger->tg_relation));
	return PointerGetDatum(NULL);
}

Datum
key_vault_notice_unknown_label(PG_FUNCTION_ARGS)
{
	notice_unknown_label(text_to_cstring(PG_GETARG_TEXT_PP(0)), "No key needs it.");
	PG_RETURN_VOID();
}
