/*
 * lorawan_derive.c
 *	  SQL functions that derive one LoRaWAN key from another.
 *
 * These functions only make the block from which a key is derived; the work is done in
 * src/vault/derivation.c.  The blocks differ in their first byte, and in what follows it:
 * nothing, a DevEUI, or the address to which the derived key is bound.
 *
 * Invariant: there is no key in the clear here.
 */
#include "postgres.h"

#include "../vault/derivation.h"
#include "arguments.h"

PG_FUNCTION_INFO_V1(lorawan_derive_js_int_key);
PG_FUNCTION_INFO_V1(lorawan_derive_js_enc_key);
PG_FUNCTION_INFO_V1(lorawan_derive_mc_root_key_1_0);
PG_FUNCTION_INFO_V1(lorawan_derive_mc_root_key_1_1);
PG_FUNCTION_INFO_V1(lorawan_derive_mc_ke_key);
PG_FUNCTION_INFO_V1(lorawan_derive_mc_key);
PG_FUNCTION_INFO_V1(lorawan_derive_mc_app_s_key);
PG_FUNCTION_INFO_V1(lorawan_derive_mc_nwk_s_key);
PG_FUNCTION_INFO_V1(lorawan_derive_data_block_int_key);
PG_FUNCTION_INFO_V1(lorawan_derive_root_wor_s_key);
PG_FUNCTION_INFO_V1(lorawan_derive_wor_s_int_key);
PG_FUNCTION_INFO_V1(lorawan_derive_wor_s_enc_key);

/* Arguments: key, label. */
static Datum
derive(FunctionCallInfo fcinfo, LorawanDerivation derivation)
{
	WrappedKey	parent;
	uint8		block[AES_BLOCK_SIZE];

	wrapped_key_argument(fcinfo, 0, &parent);
	lorawan_derivation_block(derivation, NULL, 0, block);
	PG_RETURN_POINTER(vault_derive(&parent, block, NULL, label_argument(fcinfo, 1)));
}

/* Arguments: key, dev_eui, label. */
static Datum
derive_for_device(FunctionCallInfo fcinfo, LorawanDerivation derivation)
{
	WrappedKey	parent;
	uint8		block[AES_BLOCK_SIZE];

	wrapped_key_argument(fcinfo, 0, &parent);
	lorawan_derivation_block(derivation, eui_argument(fcinfo, 1, "dev_eui"),
							 LORAWAN_EUI_SIZE, block);
	PG_RETURN_POINTER(vault_derive(&parent, block, NULL, label_argument(fcinfo, 2)));
}

/* Arguments: key, dev_addr or mc_addr, label. */
static Datum
derive_for_address(FunctionCallInfo fcinfo, LorawanDerivation derivation,
				   const char *name)
{
	WrappedKey	parent;
	const uint8 *address = address_argument(fcinfo, 1, name);
	uint8		block[AES_BLOCK_SIZE];

	wrapped_key_argument(fcinfo, 0, &parent);
	lorawan_derivation_block(derivation, address, LORAWAN_DEV_ADDR_SIZE, block);
	PG_RETURN_POINTER(vault_derive(&parent, block, address, label_argument(fcinfo, 2)));
}

Datum
lorawan_derive_js_int_key(PG_FUNCTION_ARGS)
{
	return derive_for_device(fcinfo, LORAWAN_JS_INT_KEY);
}

Datum
lorawan_derive_js_enc_key(PG_FUNCTION_ARGS)
{
	return derive_for_device(fcinfo, LORAWAN_JS_ENC_KEY);
}

Datum
lorawan_derive_mc_root_key_1_0(PG_FUNCTION_ARGS)
{
	return derive(fcinfo, LORAWAN_MC_ROOT_KEY_1_0);
}

Datum
lorawan_derive_mc_root_key_1_1(PG_FUNCTION_ARGS)
{
	return derive(fcinfo, LORAWAN_MC_ROOT_KEY_1_1);
}

Datum
lorawan_derive_mc_ke_key(PG_FUNCTION_ARGS)
{
	return derive(fcinfo, LORAWAN_MC_KE_KEY);
}

/* Arguments: key, mc_key_encrypted (which is the block), label. */
Datum
lorawan_derive_mc_key(PG_FUNCTION_ARGS)
{
	WrappedKey	parent;
	const bytea *encrypted = PG_GETARG_BYTEA_PP(1);

	wrapped_key_argument(fcinfo, 0, &parent);
	if (VARSIZE_ANY_EXHDR(encrypted) != AES_BLOCK_SIZE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("mc_key_encrypted must have %d bytes, not %d", AES_BLOCK_SIZE,
						(int) VARSIZE_ANY_EXHDR(encrypted)),
				 errhint("It is given as it stands in McGroupSetupReq.")));
	PG_RETURN_POINTER(vault_derive(&parent, (const uint8 *) VARDATA_ANY(encrypted),
								   NULL, label_argument(fcinfo, 2)));
}

Datum
lorawan_derive_mc_app_s_key(PG_FUNCTION_ARGS)
{
	return derive_for_address(fcinfo, LORAWAN_MC_APP_S_KEY, "mc_addr");
}

Datum
lorawan_derive_mc_nwk_s_key(PG_FUNCTION_ARGS)
{
	return derive_for_address(fcinfo, LORAWAN_MC_NWK_S_KEY, "mc_addr");
}

Datum
lorawan_derive_data_block_int_key(PG_FUNCTION_ARGS)
{
	return derive(fcinfo, LORAWAN_DATA_BLOCK_INT_KEY);
}

Datum
lorawan_derive_root_wor_s_key(PG_FUNCTION_ARGS)
{
	return derive(fcinfo, LORAWAN_ROOT_WOR_S_KEY);
}

Datum
lorawan_derive_wor_s_int_key(PG_FUNCTION_ARGS)
{
	return derive_for_address(fcinfo, LORAWAN_WOR_S_INT_KEY, "dev_addr");
}

Datum
lorawan_derive_wor_s_enc_key(PG_FUNCTION_ARGS)
{
	return derive_for_address(fcinfo, LORAWAN_WOR_S_ENC_KEY, "dev_addr");
}
