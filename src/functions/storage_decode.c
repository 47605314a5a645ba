/*
 * storage_decode.c
 *	  SQL functions that decode the payloads of a storage.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/rel.h"

#include "../storage/decoder.h"
#include "row_look.h"

PG_FUNCTION_INFO_V1(key_vault_storage_decode);
PG_FUNCTION_INFO_V1(key_vault_storage_check_decoder);

/* What a place of a query keeps from row to row. */
typedef struct DecodePlace
{
	TupleDesc	desc;
	Oid			table;
	DecoderSet *decoders;
} DecodePlace;

/* The decoders are those that the table names when the statement begins. */
static DecodePlace *
place_of(FunctionCallInfo fcinfo)
{
	Oid			table = PG_GETARG_OID(0);
	DecodePlace *place = fcinfo->flinfo->fn_extra;

	if (place == NULL || place->table != table)
	{
		MemoryContext previous = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);

		place = palloc(sizeof(DecodePlace));
		if (get_call_result_type(fcinfo, NULL, &place->desc) != TYPEFUNC_COMPOSITE)
			elog(ERROR, "return type must be a row type");
		place->desc = BlessTupleDesc(place->desc);
		place->table = table;
		place->decoders = decoder_set_read(table);
		MemoryContextSwitchTo(previous);
		fcinfo->flinfo->fn_extra = place;
	}
	return place;
}

/* All that the result for a row depends on: see row_look.h. */
static uint8 *
pack_arguments(FunctionCallInfo fcinfo, size_t *size)
{
	struct
	{
		char		kind[8];
		Oid			role;
		Oid			table;
		int32		f_port;
		uint32		id_size;
	}			head = {"values"};
	const struct varlena *id = PG_GETARG_VARLENA_PP(1);
	const bytea *payload = PG_GETARG_BYTEA_PP(3);
	uint8	   *packed;

	head.role = GetUserId();
	head.table = PG_GETARG_OID(0);
	head.f_port = PG_GETARG_INT32(2);
	head.id_size = VARSIZE_ANY_EXHDR(id);
	*size = sizeof(head) + head.id_size + VARSIZE_ANY_EXHDR(payload);
	packed = palloc(*size);
	memcpy(packed, &head, sizeof(head));
	memcpy(packed + sizeof(head), VARDATA_ANY(id), head.id_size);
	memcpy(packed + sizeof(head) + head.id_size, VARDATA_ANY(payload), VARSIZE_ANY_EXHDR(payload));
	return packed;
}

static Datum
decode(FunctionCallInfo fcinfo)
{
	DecodePlace *place = place_of(fcinfo);
	Decoder    *decoder = decoder_find(place->decoders, text_to_cstring(PG_GETARG_TEXT_PP(1)));
	Decoded		decoded = {.isnull = true};
	const char *status;
	Datum		values[3] = {0};
	bool		nulls[3];

	if (decoder != NULL)
		decoded = decoder_run(place->decoders, decoder, PG_GETARG_DATUM(3), PG_GETARG_INT32(2));
	if (decoder == NULL)
		status = "no decoder";
	else if (decoded.error != NULL)
		status = "decoder failed";
	else
		status = decoded.isnull ? "nothing decoded" : "decoded";

	values[0] = decoded.value;
	nulls[0] = decoded.isnull;
	values[1] = CStringGetTextDatum(status);
	nulls[1] = false;
	nulls[2] = decoded.error == NULL;
	if (decoded.error != NULL)
		values[2] = CStringGetTextDatum(decoded.error);
	return HeapTupleGetDatum(heap_form_tuple(place->desc, values, nulls));
}

/* Arguments: table application, application_id, f_port, payload. */
Datum
key_vault_storage_decode(PG_FUNCTION_ARGS)
{
	size_t		size;
	const uint8 *arguments = pack_arguments(fcinfo, &size);
	Datum		result;

	if (row_look_find(fcinfo->flinfo, arguments, size, &result))
		PG_RETURN_DATUM(result);
	result = decode(fcinfo);
	row_look_keep(fcinfo->flinfo, arguments, size, result);
	PG_RETURN_DATUM(result);
}

static char *
column_text(HeapTuple row, TupleDesc desc, const char *name)
{
	return row == NULL ? NULL : SPI_getvalue(row, desc, SPI_fnumber(desc, name));
}

static bool
is_same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/*
 * The trigger of a storage's table application.  Roles that take in messages may have the
 * right to write to all tables of the storage, but a decoder runs as the owner: so only the
 * owner names one.
 */
Datum
key_vault_storage_check_decoder(PG_FUNCTION_ARGS)
{
	const TriggerData *data = (const TriggerData *) fcinfo->context;
	TupleDesc	desc;
	HeapTuple	new_row;
	HeapTuple	old_row;
	const char *decoder;
	const char *old_decoder;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("storage_check_decoder() is a trigger function")));
	desc = RelationGetDescr(data->tg_relation);
	old_row = TRIGGER_FIRED_BY_UPDATE(data->tg_event) ? data->tg_trigtuple : NULL;
	new_row = old_row != NULL ? data->tg_newtuple : data->tg_trigtuple;
	decoder = column_text(new_row, desc, "decoder");
	old_decoder = column_text(old_row, desc, "decoder");
	if (is_same(decoder, old_decoder) &&
		(decoder == NULL || is_same(column_text(new_row, desc, "application_id"),
									column_text(old_row, desc, "application_id"))))
		return PointerGetDatum(new_row);

	if (!has_privs_of_role(GetUserId(), data->tg_relation->rd_rel->relowner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of table %s to name a decoder",
						RelationGetRelationName(data->tg_relation)),
				 errdetail("A decoder runs with the rights of the owner, role \"%s\".",
						   GetUserNameFromId(data->tg_relation->rd_rel->relowner, false))));
	if (decoder != NULL)
		decoder_require(decoder, data->tg_relation);
	return PointerGetDatum(new_row);
}
