/*
 * storage_owner.c
 *	  SQL functions that administer a storage (see src/sql/storage) with the rights of its
 *	  owner, whoever calls them.
 *
 * Triggers, index expressions, CHECKs, row-level policies and views of a storage are its
 * owner's code.  So a function that reads or writes the tables for a superuser does it
 * between table_owner_become() and table_owner_leave(), or reads rows without the planner.
 *
 * Invariants:
 * - The owner of a storage is the owner of its table storage_settings.  The PL/pgSQL
 *   functions that are called here refuse a storage that has relations of another role.
 * - The functions do this for the owner, too.  Otherwise, after SET ROLE to the owner, the
 *   owner's code could use RESET ROLE to become the session's user.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/namespace.h"
#include "catalog/pg_type_d.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parse_func.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"

#include "../catalog/citus.h"
#include "../catalog/table_owner.h"

PG_FUNCTION_INFO_V1(key_vault_maintain_storage);
PG_FUNCTION_INFO_V1(key_vault_move_session);
PG_FUNCTION_INFO_V1(key_vault_storage_update);
PG_FUNCTION_INFO_V1(key_vault_storage_replay_rejected);
PG_FUNCTION_INFO_V1(key_vault_storage_setting);

#define SETTINGS_TABLE "storage_settings"
#define MAX_ARGUMENTS 4

/* Opens the table storage_settings, and locks it until the transaction ends. */
static Relation
open_settings(const char *schema)
{
	RangeVar   *name = makeRangeVar(pstrdup(schema), SETTINGS_TABLE, -1);
	Oid			oid = RangeVarGetRelid(name, AccessShareLock, true);

	if (!OidIsValid(oid) || get_rel_relkind(oid) != RELKIND_RELATION)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("schema \"%s\" is no storage", schema),
				 errhint("Make one with CALL key_vault.create_storage().")));
	return table_open(oid, NoLock);
}

static void
require_owner(Relation settings, const char *schema)
{
	if (!has_privs_of_role(GetUserId(), settings->rd_rel->relowner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of storage \"%s\"", schema),
				 errdetail("It belongs to role \"%s\".",
						   GetUserNameFromId(settings->rd_rel->relowner, false))));
}

/* Calls a function of the install script with the arguments of the calling function. */
static Datum
call_with_same_arguments(FunctionCallInfo fcinfo, char *function, const Oid *types)
{
	LOCAL_FCINFO(call, MAX_ARGUMENTS);
	FmgrInfo	info;
	Datum		result;
	bool		has_snapshot = ActiveSnapshotSet();

	fmgr_info(LookupFuncName(list_make2(makeString("key_vault_internal"), makeString(function)),
							 PG_NARGS(), types, false),
			  &info);
	InitFunctionCallInfoData(*call, &info, PG_NARGS(), PG_GET_COLLATION(), NULL, NULL);
	memcpy(call->args, fcinfo->args, PG_NARGS() * sizeof(NullableDatum));

	/* A procedure that may commit is called without a snapshot. */
	if (!has_snapshot)
		PushActiveSnapshot(GetTransactionSnapshot());
	result = FunctionCallInvoke(call);
	if (!has_snapshot)
		PopActiveSnapshot();
	fcinfo->isnull = call->isnull;
	return result;
}

static Datum
call_as_owner(FunctionCallInfo fcinfo, char *function, const Oid *types)
{
	const char *schema;
	Relation	settings;
	TableOwner	owner;
	Datum		result;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("schema of a storage must not be NULL")));
	schema = NameStr(*PG_GETARG_NAME(0));
	settings = open_settings(schema);
	require_owner(settings, schema);
	table_owner_become(&owner, settings);
	/* A table that is open cannot be altered. */
	table_close(settings, NoLock);
	result = call_with_same_arguments(fcinfo, function, types);
	table_owner_leave(&owner);
	return result;
}

/*
 * Calls storage_maintain_step() until it finds nothing to do, and commits after each step.  A
 * call in a transaction block or in a function cannot commit; then all steps are in the
 * caller's transaction.
 */
Datum
key_vault_maintain_storage(PG_FUNCTION_ARGS)
{
	static const Oid types[] = {NAMEOID, INT4OID, INTERVALOID};
	const CallContext *call = (const CallContext *) fcinfo->context;
	bool		may_commit = call != NULL && IsA(call, CallContext) && !call->atomic;

	if (SPI_connect_ext(may_commit ? SPI_OPT_NONATOMIC : 0) != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	for (;;)
	{
		Datum		result = call_as_owner(fcinfo, "storage_maintain_step", types);
		const char *did;

		if (fcinfo->isnull)
			break;
		did = TextDatumGetCString(result);
		if (*did != '\0')
			ereport(NOTICE, (errmsg_internal("%s", did)));
		if (may_commit)
		{
			SPI_commit();

			/*
			 * A snapshot from before a lock does not show rows that were
			 * inserted while the step waited for the lock.
			 */
			(void) set_config_option("transaction_isolation", "read committed", PGC_USERSET,
									 PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
		}
		CHECK_FOR_INTERRUPTS();
	}
	SPI_finish();
	fcinfo->isnull = false;
	PG_RETURN_VOID();
}

Datum
key_vault_move_session(PG_FUNCTION_ARGS)
{
	static const Oid types[] = {NAMEOID, BYTEAOID, BYTEAOID, TEXTOID};

	return call_as_owner(fcinfo, "storage_move_session", types);
}

Datum
key_vault_storage_update(PG_FUNCTION_ARGS)
{
	static const Oid types[] = {NAMEOID, TEXTOID, BOOLOID};

	return call_as_owner(fcinfo, "storage_bring_up_to_date", types);
}

/*
 * Works on the storage in the first schema of search_path, as storage_ingest() does.  A role
 * that does not have the owner's rights uses its own privileges on the tables and KEKs, as with
 * ingest().
 */
Datum
key_vault_storage_replay_rejected(PG_FUNCTION_ARGS)
{
	Oid			oid = RangeVarGetRelid(makeRangeVar(NULL, SETTINGS_TABLE, -1), AccessShareLock,
									   false);
	static const Oid types[] = {INT8ARRAYOID};
	Relation	settings = table_open(oid, NoLock);
	Datum		result;

	if (has_privs_of_role(GetUserId(), settings->rd_rel->relowner))
	{
		TableOwner	owner;
		char	   *schema = get_namespace_name(RelationGetNamespace(settings));

		table_owner_become(&owner, settings);
		(void) set_config_option("search_path",
								 psprintf("%s, pg_temp", quote_identifier(schema)),
								 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
		result = call_with_same_arguments(fcinfo, "storage_try_rejected", types);
		table_owner_leave(&owner);
	}
	else
		result = call_with_same_arguments(fcinfo, "storage_try_rejected", types);
	table_close(settings, NoLock);
	return result;
}

static AttrNumber
text_column(TupleDesc desc, const char *name)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(desc, i);

		if (!column->attisdropped && column->atttypid == TEXTOID &&
			strcmp(NameStr(column->attname), name) == 0)
			return column->attnum;
	}
	return InvalidAttrNumber;
}

/*
 * Returns a column of a storage's settings.  The row is read without the planner, which would
 * run the owner's index expressions.  Returns NULL if the current role may not read the
 * table, or if row-level policies limit what it may read.
 */
Datum
key_vault_storage_setting(PG_FUNCTION_ARGS)
{
	Oid			oid = PG_GETARG_OID(0);
	Relation	settings = try_relation_open(oid, AccessShareLock);
	Relation	heap;
	text	   *result = NULL;
	AttrNumber	column;

	if (settings == NULL)
		PG_RETURN_NULL();
	column = text_column(RelationGetDescr(settings), text_to_cstring(PG_GETARG_TEXT_PP(1)));
	if (column != InvalidAttrNumber && settings->rd_rel->relkind == RELKIND_RELATION &&
		(has_privs_of_role(GetUserId(), settings->rd_rel->relowner) ||
		 (pg_class_aclcheck(oid, GetUserId(), ACL_SELECT) == ACLCHECK_OK &&
		  check_enable_rls(oid, InvalidOid, true) == RLS_NONE)))
	{
		TupleTableSlot *slot;
		TableScanDesc scan;

		heap = table_open(citus_heap_of(oid), AccessShareLock);
		slot = table_slot_create(heap, NULL);
		scan = table_beginscan(heap, GetActiveSnapshot(), 0, NULL);

		if (table_scan_getnextslot(scan, ForwardScanDirection, slot))
		{
			bool		isnull;
			Datum		value = slot_getattr(slot, column, &isnull);

			if (!isnull)
				result = DatumGetTextPCopy(value);
		}
		table_endscan(scan);
		ExecDropSingleTupleTableSlot(slot);
		table_close(heap, AccessShareLock);
	}
	relation_close(settings, AccessShareLock);
	if (result == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(result);
}
