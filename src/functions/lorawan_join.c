/*
 * lorawan_join.c
 *	  SQL functions that open join-accepts and derive their session keys.
 *
 * These functions only unpack arguments and make the result; the work is done in
 * src/vault/derivation.c.
 *
 * Invariant: there is no key in the clear here.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "funcapi.h"

#include "../common/bytea.h"
#include "../vault/derivation.h"
#include "arguments.h"
#include "mic_frames.h"
#include "result_row.h"

PG_FUNCTION_INFO_V1(key_vault_lorawan_join_1_0);
PG_FUNCTION_INFO_V1(key_vault_lorawan_join_1_1);
PG_FUNCTION_INFO_V1(key_vault_lorawan_rejoin_1_1);

/* The number of the results' columns before the keys. */
#define ACCEPT_COLUMNS 7

/* A frame from MHDR to MIC; check is one of the functions of mic_frames.h. */
static LorawanFrame
frame_argument(FunctionCallInfo fcinfo, int n,
			   void (*check) (FunctionCallInfo fcinfo, int n, bool has_mic, MicFrame *frame))
{
	MicFrame	argument;
	LorawanFrame frame;

	check(fcinfo, n, true, &argument);
	frame.bytes = argument.message;
	frame.len = argument.message_size + LORAWAN_MIC_SIZE;
	return frame;
}

/* The result: the fields of the join-accept, then the keys in the given order. */
static Datum
join_result(FunctionCallInfo fcinfo, const VaultJoin *join,
			const LorawanDerivation *keys, int n_keys)
{
	const LorawanJoinAccept *accept = &join->accept;
	Datum		values[ACCEPT_COLUMNS + LORAWAN_NWK_S_ENC_KEY];
	bool		nulls[ACCEPT_COLUMNS + LORAWAN_NWK_S_ENC_KEY] = {false};

	values[0] = Int32GetDatum(accept->join_nonce);
	values[1] = PointerGetDatum(bytea_from_bytes(accept->net_id, LORAWAN_NET_ID_SIZE));
	values[2] = PointerGetDatum(bytea_from_bytes(accept->dev_addr, LORAWAN_DEV_ADDR_SIZE));
	values[3] = Int32GetDatum(accept->dl_settings >> 4 & 0x07);
	values[4] = Int32GetDatum(accept->dl_settings & 0x0f);
	values[5] = Int32GetDatum(accept->rx_delay & 0x0f);
	nulls[6] = !accept->has_cf_list;
	if (accept->has_cf_list)
		values[6] = PointerGetDatum(bytea_from_bytes(accept->cf_list, LORAWAN_CF_LIST_SIZE));
	for (int i = 0; i < n_keys; i++)
		values[ACCEPT_COLUMNS + i] = PointerGetDatum(join->keys[keys[i]]);
	return HeapTupleGetDatum(heap_form_tuple(result_row_desc(fcinfo, ACCEPT_COLUMNS + n_keys), values, nulls));
}

Datum
key_vault_lorawan_join_1_0(PG_FUNCTION_ARGS)
{
	static const LorawanDerivation keys[] = {LORAWAN_F_NWK_S_INT_KEY, LORAWAN_APP_S_KEY};
	LorawanFrame request = frame_argument(fcinfo, 1, join_request_argument);
	LorawanFrame accept = frame_argument(fcinfo, 2, join_accept_argument);
	WrappedKey	app_key;
	VaultJoin	join;

	wrapped_key_argument(fcinfo, 0, &app_key);
	vault_join_1_0(&app_key, request, accept, label_argument(fcinfo, 3), &join);
	PG_RETURN_DATUM(join_result(fcinfo, &join, keys, lengthof(keys)));
}

static const LorawanDerivation keys_1_1[] = {
	LORAWAN_F_NWK_S_INT_KEY, LORAWAN_S_NWK_S_INT_KEY, LORAWAN_NWK_S_ENC_KEY, LORAWAN_APP_S_KEY
};

Datum
key_vault_lorawan_join_1_1(PG_FUNCTION_ARGS)
{
	LorawanFrame request = frame_argument(fcinfo, 2, join_request_argument);
	LorawanFrame accept = frame_argument(fcinfo, 3, join_accept_argument);
	WrappedKey	nwk_key;
	WrappedKey	app_key;
	VaultJoin	join;

	wrapped_key_argument(fcinfo, 0, &nwk_key);
	wrapped_key_argument(fcinfo, 1, &app_key);
	vault_join_1_1(&nwk_key, &app_key, request, NULL, accept, label_argument(fcinfo, 4),
				   &join);
	PG_RETURN_DATUM(join_result(fcinfo, &join, keys_1_1, lengthof(keys_1_1)));
}

Datum
key_vault_lorawan_rejoin_1_1(PG_FUNCTION_ARGS)
{
	const uint8 *join_eui = eui_argument(fcinfo, 2, "join_eui");
	LorawanFrame request = frame_argument(fcinfo, 3, rejoin_request_argument);
	LorawanFrame accept = frame_argument(fcinfo, 4, join_accept_argument);
	WrappedKey	nwk_key;
	WrappedKey	app_key;
	VaultJoin	join;

	wrapped_key_argument(fcinfo, 0, &nwk_key);
	wrapped_key_argument(fcinfo, 1, &app_key);
	vault_join_1_1(&nwk_key, &app_key, request, join_eui, accept, label_argument(fcinfo, 5),
				   &join);
	PG_RETURN_DATUM(join_result(fcinfo, &join, keys_1_1, lengthof(keys_1_1)));
}
