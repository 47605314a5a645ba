/*
 * lorawan_join_functions.c
 *	  SQL functions that open join-accepts and derive their session keys.
 *
 * Thin: what they do is in src/vault/derivation.c.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "funcapi.h"

#include "../vault/derivation.h"
#include "arguments.h"

PG_FUNCTION_INFO_V1(key_vault_lorawan_join_1_0);
PG_FUNCTION_INFO_V1(key_vault_lorawan_join_1_1);
PG_FUNCTION_INFO_V1(key_vault_lorawan_rejoin_1_1);

/* Columns of the results before the keys. */
#define ACCEPT_COLUMNS 7

static LorawanFrame
frame_argument(FunctionCallInfo fcinfo, int n)
{
	const bytea *bytes = PG_GETARG_BYTEA_PP(n);
	LorawanFrame frame = {(const uint8 *) VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes)};

	return frame;
}

static void
refuse_frame(const char *name, LorawanFrame frame, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 frame.len == 0 ? errmsg("%s is empty", name) :
			 errmsg("%s has %zu bytes and MHDR %02x", name, frame.len, frame.bytes[0]),
			 errdetail_internal("%s", detail)));
}

static LorawanFrame
join_request_argument(FunctionCallInfo fcinfo, int n)
{
	LorawanFrame frame = frame_argument(fcinfo, n);

	if (!lorawan_is_join_request(frame))
		refuse_frame("join_request", frame,
					 "A join-request has 23 bytes, from MHDR (00) to MIC.");
	return frame;
}

static LorawanFrame
rejoin_request_argument(FunctionCallInfo fcinfo, int n)
{
	LorawanFrame frame = frame_argument(fcinfo, n);

	if (!lorawan_is_rejoin_request(frame))
		refuse_frame("rejoin_request", frame,
					 "A rejoin-request has 19 bytes (types 0 and 2) or 24 (type 1), from MHDR (c0) to MIC.");
	return frame;
}

static LorawanFrame
join_accept_argument(FunctionCallInfo fcinfo, int n)
{
	LorawanFrame frame = frame_argument(fcinfo, n);

	if (!lorawan_is_join_accept(frame))
		refuse_frame("join_accept", frame,
					 "A join-accept has 17 bytes, or 33 with a CFList, from MHDR (20) to MIC.");
	return frame;
}

/* The row of a result: what was accepted, then the keys in the order given. */
static Datum
join_result(FunctionCallInfo fcinfo, const VaultJoin *join,
			const LorawanDerivation *keys, int n_keys)
{
	const LorawanJoinAccept *accept = &join->accept;
	TupleDesc	desc;
	Datum		values[ACCEPT_COLUMNS + LORAWAN_NWK_S_ENC_KEY];
	bool		nulls[ACCEPT_COLUMNS + LORAWAN_NWK_S_ENC_KEY] = {false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	values[0] = Int32GetDatum(accept->join_nonce);
	values[1] = PointerGetDatum(make_bytea(accept->net_id, LORAWAN_NET_ID_SIZE));
	values[2] = PointerGetDatum(make_bytea(accept->dev_addr, LORAWAN_DEV_ADDR_SIZE));
	values[3] = Int32GetDatum(accept->dl_settings >> 4 & 0x07);
	values[4] = Int32GetDatum(accept->dl_settings & 0x0f);
	values[5] = Int32GetDatum(accept->rx_delay & 0x0f);
	nulls[6] = !accept->has_cf_list;
	if (accept->has_cf_list)
		values[6] = PointerGetDatum(make_bytea(accept->cf_list, LORAWAN_CF_LIST_SIZE));
	for (int i = 0; i < n_keys; i++)
		values[ACCEPT_COLUMNS + i] = PointerGetDatum(join->keys[keys[i]]);
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

Datum
key_vault_lorawan_join_1_0(PG_FUNCTION_ARGS)
{
	static const LorawanDerivation keys[] = {LORAWAN_F_NWK_S_INT_KEY, LORAWAN_APP_S_KEY};
	WrappedKey	app_key;
	VaultJoin	join;

	wrapped_key_argument(fcinfo, 0, &app_key);
	vault_join_1_0(&app_key, join_request_argument(fcinfo, 1),
				   join_accept_argument(fcinfo, 2), label_argument(fcinfo, 3), &join);
	PG_RETURN_DATUM(join_result(fcinfo, &join, keys, lengthof(keys)));
}

static const LorawanDerivation keys_1_1[] = {
	LORAWAN_F_NWK_S_INT_KEY, LORAWAN_S_NWK_S_INT_KEY, LORAWAN_NWK_S_ENC_KEY, LORAWAN_APP_S_KEY
};

Datum
key_vault_lorawan_join_1_1(PG_FUNCTION_ARGS)
{
	WrappedKey	nwk_key;
	WrappedKey	app_key;
	VaultJoin	join;

	wrapped_key_argument(fcinfo, 0, &nwk_key);
	wrapped_key_argument(fcinfo, 1, &app_key);
	vault_join_1_1(&nwk_key, &app_key, join_request_argument(fcinfo, 2), NULL,
				   join_accept_argument(fcinfo, 3), label_argument(fcinfo, 4), &join);
	PG_RETURN_DATUM(join_result(fcinfo, &join, keys_1_1, lengthof(keys_1_1)));
}

Datum
key_vault_lorawan_rejoin_1_1(PG_FUNCTION_ARGS)
{
	WrappedKey	nwk_key;
	WrappedKey	app_key;
	VaultJoin	join;

	wrapped_key_argument(fcinfo, 0, &nwk_key);
	wrapped_key_argument(fcinfo, 1, &app_key);
	vault_join_1_1(&nwk_key, &app_key, rejoin_request_argument(fcinfo, 3),
				   eui_argument(fcinfo, 2, "join_eui"),
				   join_accept_argument(fcinfo, 4), label_argument(fcinfo, 5), &join);
	PG_RETURN_DATUM(join_result(fcinfo, &join, keys_1_1, lengthof(keys_1_1)));
}
