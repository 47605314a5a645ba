/*
 * decoder.c
 *	  Decoders of a storage: functions that make values (jsonb) of payloads.
 *
 * A decoder is code of the storage's owner that runs while somebody else reads.
 *
 * Invariants:
 * - It runs as the owner, in a security-restricted operation, with search_path pg_catalog,
 *   pg_temp.  So it has no right of the reader's, and cannot become the reader.
 * - It runs in a read-only subtransaction, which is rolled back in any case.  So nothing of
 *   what it does stays: neither rows nor settings.
 * - Only a function that nobody but the owner can replace is run: one of the owner, of his
 *   members, of superusers, or of the extension's owner.
 * - The reader can read the table application: only whom the owner has let read it can call
 *   decoders with payloads of their own choice.
 * - An error of a decoder is that of a row.  One of the server, and a cancellation, end the
 *   statement.
 *
 * The decoder key_vault.cayenne_lpp() is called without all this, which takes some ten times
 * as long as decoding a payload: it is code of this library, and returns its errors.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type_d.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

#include "../catalog/citus.h"
#include "../catalog/vault_tables.h"
#include "../common/cancel_watch.h"
#include "../common/outage.h"
#include "../common/subtransaction.h"
#include "cayenne_lpp_json.h"
#include "decoder.h"

struct Decoder
{
	char	   *application_id;
	char	   *refusal;		/* why the function may not be run; or NULL */
	bool		is_cayenne_lpp;
	Oid			oid;
	FmgrInfo	function;		/* fn_oid is 0 before the first call */
};

struct DecoderSet
{
	MemoryContext context;
	Oid			owner;
	char	   *table;
	int			ndecoders;
	int			max_decoders;
	Decoder    *decoders;		/* in the order of application_id */
};

/* How many decoders there is place for at first. */
#define FEW_DECODERS 16

static Oid
extension_owner(void)
{
	Relation	table = vault_tables_open_kek();
	Oid			owner = table->rd_rel->relowner;

	table_close(table, AccessShareLock);
	return owner;
}

static bool
may_execute(Oid function, Oid schema, Oid role)
{
#if PG_VERSION_NUM >= 160000
	return object_aclcheck(NamespaceRelationId, schema, role, ACL_USAGE) == ACLCHECK_OK &&
		object_aclcheck(ProcedureRelationId, function, role, ACL_EXECUTE) == ACLCHECK_OK;
#else
	return pg_namespace_aclcheck(schema, role, ACL_USAGE) == ACLCHECK_OK &&
		pg_proc_aclcheck(function, role, ACL_EXECUTE) == ACLCHECK_OK;
#endif
}

/* Why a function may not be a decoder of a storage that belongs to a role; NULL if it may. */
static char *
refusal_of_function(HeapTuple tuple, const char *name, Oid owner)
{
	Form_pg_proc function = (Form_pg_proc) GETSTRUCT(tuple);

	if (function->prokind != PROKIND_FUNCTION || function->proretset ||
		function->prorettype != JSONBOID)
		return psprintf("decoder %s(bytea, integer) does not return jsonb", name);
	if (!is_member_of_role(function->proowner, owner) && function->proowner != extension_owner())
		return psprintf("decoder %s(bytea, integer) belongs to role \"%s\", who could replace it",
						name, GetUserNameFromId(function->proowner, false));
	if (!may_execute(function->oid, function->pronamespace, owner))
		return psprintf("role \"%s\" may not execute decoder %s(bytea, integer)",
						GetUserNameFromId(owner, false), name);
	return NULL;
}

/* Fills the decoder: which function has this name, or why it may not be one. */
static void
look_up(const char *name, Oid owner, Decoder *decoder)
{
	static const Oid types[] = {BYTEAOID, INT4OID};
	List	   *names;
	Oid			schema;
	HeapTuple	tuple;

	memset(decoder, 0, sizeof(Decoder));
	if (!SplitIdentifierString(pstrdup(name), '.', &names) || list_length(names) != 2)
	{
		decoder->refusal = psprintf("decoder \"%s\" is not the name of a function with its schema", name);
		return;
	}
	schema = get_namespace_oid(linitial(names), true);
	tuple = SearchSysCache3(PROCNAMEARGSNSP, CStringGetDatum(lsecond(names)),
							PointerGetDatum(buildoidvector(types, lengthof(types))),
							ObjectIdGetDatum(schema));
	if (!HeapTupleIsValid(tuple))
	{
		decoder->refusal = psprintf("decoder %s(bytea, integer) does not exist", name);
		return;
	}
	decoder->oid = ((Form_pg_proc) GETSTRUCT(tuple))->oid;
	decoder->refusal = refusal_of_function(tuple, name, owner);
	decoder->is_cayenne_lpp = strcmp(linitial(names), "key_vault") == 0 &&
		strcmp(lsecond(names), "cayenne_lpp") == 0;
	ReleaseSysCache(tuple);
}

void
decoder_require(const char *name, Relation application_table)
{
	Decoder		decoder;

	look_up(name, application_table->rd_rel->relowner, &decoder);
	if (decoder.refusal != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg_internal("%s", decoder.refusal),
				 errhint("A decoder is a function (payload bytea, f_port integer) that returns jsonb, belongs to the storage's owner, and is named with its schema.")));
}

static void
add_decoder(DecoderSet *set, const char *application_id, const char *name)
{
	Decoder    *decoder;

	if (set->ndecoders == set->max_decoders)
	{
		set->max_decoders *= 2;
		set->decoders = repalloc(set->decoders, set->max_decoders * sizeof(Decoder));
	}
	decoder = &set->decoders[set->ndecoders++];
	look_up(name, set->owner, decoder);
	decoder->application_id = pstrdup(application_id);
}

static int
compare(const void *a, const void *b)
{
	return strcmp(((const Decoder *) a)->application_id, ((const Decoder *) b)->application_id);
}

static AttrNumber
text_column(Relation table, const char *name)
{
	AttrNumber	column = get_attnum(RelationGetRelid(table), name);

	if (column == InvalidAttrNumber || get_atttype(RelationGetRelid(table), column) != TEXTOID)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("table \"%s\" has no column %s of type text",
						RelationGetRelationName(table), name)));
	return column;
}

/*
 * The rows are read without the planner, which would run the owner's index expressions and
 * policies with the rights of the reader.
 */
static void
read_rows(DecoderSet *set, Relation table)
{
	AttrNumber	id_column = text_column(table, "application_id");
	AttrNumber	name_column = text_column(table, "decoder");
	Relation	heap = table_open(citus_heap_of(RelationGetRelid(table)), AccessShareLock);
	TupleTableSlot *slot = table_slot_create(heap, NULL);
	TableScanDesc scan = table_beginscan(heap, GetActiveSnapshot(), 0, NULL);

	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		bool		id_isnull;
		bool		name_isnull;
		Datum		id = slot_getattr(slot, id_column, &id_isnull);
		Datum		name = slot_getattr(slot, name_column, &name_isnull);

		if (!id_isnull && !name_isnull)
			add_decoder(set, TextDatumGetCString(id), TextDatumGetCString(name));
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	table_close(heap, AccessShareLock);
}

DecoderSet *
decoder_set_read(Oid application_table)
{
	Relation	table = table_open(application_table, AccessShareLock);
	DecoderSet *set = palloc(sizeof(DecoderSet));
	AclResult	allowed = pg_class_aclcheck(application_table, GetUserId(), ACL_SELECT);

	if (allowed != ACLCHECK_OK)
		aclcheck_error(allowed, OBJECT_TABLE, RelationGetRelationName(table));
	if (table->rd_rel->relkind != RELKIND_RELATION)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a table", RelationGetRelationName(table))));
	set->context = CurrentMemoryContext;
	set->owner = table->rd_rel->relowner;
	set->table = quote_qualified_identifier(get_namespace_name(RelationGetNamespace(table)),
											RelationGetRelationName(table));
	set->ndecoders = 0;
	set->max_decoders = FEW_DECODERS;
	set->decoders = palloc(set->max_decoders * sizeof(Decoder));
	read_rows(set, table);
	qsort(set->decoders, set->ndecoders, sizeof(Decoder), compare);
	table_close(table, AccessShareLock);
	return set;
}

Decoder *
decoder_find(DecoderSet *set, const char *application_id)
{
	Decoder		key = {.application_id = unconstify(char *, application_id)};

	return bsearch(&key, set->decoders, set->ndecoders, sizeof(Decoder), compare);
}

/* Calls the function, in the subtransaction; the result is in the caller's memory. */
static Decoded
call(const DecoderSet *set, Decoder *decoder, Datum payload, int32 f_port)
{
	LOCAL_FCINFO(fcinfo, 2);
	Decoded		decoded = {0};
	Oid			reader;
	int			context;

	/* The end of the subtransaction sets all of this back. */
	XactReadOnly = true;
	GetUserIdAndSecContext(&reader, &context);
	SetUserIdAndSecContext(set->owner, context | SECURITY_RESTRICTED_OPERATION);
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_LOCAL, true, 0, false);
	if (!OidIsValid(decoder->function.fn_oid))
		fmgr_info_cxt(decoder->oid, &decoder->function, set->context);

	InitFunctionCallInfoData(*fcinfo, &decoder->function, 2, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = payload;
	fcinfo->args[0].isnull = false;
	fcinfo->args[1].value = Int32GetDatum(f_port);
	fcinfo->args[1].isnull = false;
	decoded.value = FunctionCallInvoke(fcinfo);
	decoded.isnull = fcinfo->isnull;
	if (!decoded.isnull)
		decoded.value = JsonbPGetDatum(DatumGetJsonbPCopy(decoded.value));
	return decoded;
}

static Decoded
decode_cayenne_lpp(Datum payload)
{
	char	   *error = NULL;
	Jsonb	   *value = cayenne_lpp_json(DatumGetByteaPP(payload), &error);

	return (Decoded)
	{
		.value = JsonbPGetDatum(value),.isnull = value == NULL,.error = error
	};
}

Decoded
decoder_run(DecoderSet *set, Decoder *decoder, Datum payload, int32 f_port)
{
	Subtransaction state;
	CancelWatch watch;
	volatile Decoded decoded = {.isnull = true};

	if (decoder->refusal != NULL)
	{
		decoded.error = decoder->refusal;
		return decoded;
	}
	if (decoder->is_cayenne_lpp)
		return decode_cayenne_lpp(payload);
	cancel_watch_begin(&watch, set->table);
	subtransaction_begin(&state);
	PG_TRY();
	{
		Decoded		result = call(set, decoder, payload, f_port);

		decoded.value = result.value;
		decoded.isnull = result.isnull;
		subtransaction_roll_back(&state);
	}
	PG_CATCH();
	{
		ErrorData  *error = subtransaction_catch(&state);

		/* That the transaction only reads is the doing of this file. */
		if (error_is_outage(error) && error->sqlerrcode != ERRCODE_READ_ONLY_SQL_TRANSACTION)
			ReThrowError(error);
		decoded.error = error->message;
	}
	PG_END_TRY();
	cancel_watch_end(&watch);
	return decoded;
}
