/*
 * lorawan_join_mic.c
 *	  SQL functions that make and check the MICs of join-requests, rejoin-requests and
 *	  join-accepts, and encrypt join-accepts.
 *
 * Invariant: an opened join-accept is wiped, and nothing of it is returned but whether its
 * MIC is right.
 */
#include "postgres.h"

#include "../common/bytea.h"
#include "../common/crypto_error.h"
#include "../crypto/secure_memory.h"
#include "../lorawan/join.h"
#include "../vault/vault.h"
#include "arguments.h"
#include "mic_frames.h"

PG_FUNCTION_INFO_V1(lorawan_join_request_mic);
PG_FUNCTION_INFO_V1(lorawan_verify_join_request);
PG_FUNCTION_INFO_V1(lorawan_rejoin_request_mic);
PG_FUNCTION_INFO_V1(lorawan_verify_rejoin_request);
PG_FUNCTION_INFO_V1(lorawan_join_accept_mic_1_0);
PG_FUNCTION_INFO_V1(lorawan_join_accept_mic_1_1);
PG_FUNCTION_INFO_V1(lorawan_verify_join_accept);
PG_FUNCTION_INFO_V1(lorawan_verify_join_accept_1_1);
PG_FUNCTION_INFO_V1(lorawan_encrypt_join_accept);
PG_FUNCTION_INFO_V1(lorawan_encrypt_join_accept_1_1);

/* What the MIC of a join-accept of LoRaWAN 1.1 covers besides the join-accept. */
typedef struct JoinContext
{
	uint8		join_req_type;
	const uint8 *join_eui;
	uint16		dev_nonce;
} JoinContext;

static void
check_status(CryptoStatus status)
{
	require_crypto_ok(status, "compute a MIC");
}

/*
 * Computes the MIC of a message in the clear with the key of argument n.  context is NULL if
 * the MIC covers only the message; dev_addr is NULL if the message has none.
 */
static void
message_mic(FunctionCallInfo fcinfo, int n, const JoinContext *context,
			const uint8 *dev_addr, const uint8 *message, size_t size,
			uint8 mic[LORAWAN_MIC_SIZE])
{
	WrappedKey	wrapped_key;
	AesCipher  *key;
	CryptoStatus status;

	wrapped_key_argument(fcinfo, n, &wrapped_key);
	key = vault_borrow_cipher(&wrapped_key, KEK_DERIVE, dev_addr, false, NULL);
	if (context == NULL)
		status = lorawan_message_mic(key, message, size, mic);
	else
		status = lorawan_join_accept_mic(key, context->join_req_type, context->join_eui,
										 context->dev_nonce, message, size, mic);
	vault_release();
	check_status(status);
}

Datum
lorawan_join_request_mic(PG_FUNCTION_ARGS)
{
	MicFrame	frame;
	uint8		mic[LORAWAN_MIC_SIZE];

	join_request_argument(fcinfo, 1, false, &frame);
	message_mic(fcinfo, 0, NULL, NULL, frame.message, frame.message_size, mic);
	PG_RETURN_BYTEA_P(bytea_from_bytes(mic, sizeof(mic)));
}

Datum
lorawan_verify_join_request(PG_FUNCTION_ARGS)
{
	MicFrame	frame;
	uint8		mic[LORAWAN_MIC_SIZE];

	join_request_argument(fcinfo, 1, true, &frame);
	message_mic(fcinfo, 0, NULL, NULL, frame.message, frame.message_size, mic);
	PG_RETURN_BOOL(lorawan_mic_fits(frame.mic, mic));
}

Datum
lorawan_rejoin_request_mic(PG_FUNCTION_ARGS)
{
	MicFrame	frame;
	uint8		mic[LORAWAN_MIC_SIZE];

	rejoin_request_argument(fcinfo, 1, false, &frame);
	message_mic(fcinfo, 0, NULL, NULL, frame.message, frame.message_size, mic);
	PG_RETURN_BYTEA_P(bytea_from_bytes(mic, sizeof(mic)));
}

Datum
lorawan_verify_rejoin_request(PG_FUNCTION_ARGS)
{
	MicFrame	frame;
	uint8		mic[LORAWAN_MIC_SIZE];

	rejoin_request_argument(fcinfo, 1, true, &frame);
	message_mic(fcinfo, 0, NULL, NULL, frame.message, frame.message_size, mic);
	PG_RETURN_BOOL(lorawan_mic_fits(frame.mic, mic));
}

/* The arguments from first on are join_req_type, join_eui and dev_nonce. */
static void
join_context_arguments(FunctionCallInfo fcinfo, int first, JoinContext *context)
{
	int32		join_req_type = PG_GETARG_INT32(first);
	int32		dev_nonce = PG_GETARG_INT32(first + 2);

	if (join_req_type != LORAWAN_JOIN && (join_req_type < 0 || join_req_type > 2))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("join_req_type must be 0, 1, 2 or 255, not %d", join_req_type),
				 errhint("It is the type of the rejoin-request that is answered, or 255 for a join-request.")));
	if (dev_nonce < 0 || dev_nonce > PG_UINT16_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("dev_nonce must be from 0 to 65535, not %d", dev_nonce)));
	context->join_req_type = (uint8) join_req_type;
	context->join_eui = eui_argument(fcinfo, first + 1, "join_eui");
	context->dev_nonce = (uint16) dev_nonce;
}

/*
 * Checks a join-accept as it is sent: it is encrypted with the key of argument 0, and its MIC
 * is made with the key of argument n_mic_key.
 */
static bool
verify_join_accept(FunctionCallInfo fcinfo, int n_mic_key, int n_frame,
				   const JoinContext *context)
{
	MicFrame	frame;
	LorawanFrame accept;
	LorawanOpenedAccept opened;
	LorawanJoinAccept fields;
	uint8		mic[LORAWAN_MIC_SIZE];
	WrappedKey	wrapped_key;
	bool		fits;

	join_accept_argument(fcinfo, n_frame, true, &frame);
	accept.bytes = frame.message;
	accept.len = frame.message_size + LORAWAN_MIC_SIZE;
	wrapped_key_argument(fcinfo, 0, &wrapped_key);

	PG_TRY();
	{
		CryptoStatus status;

		status = lorawan_join_accept_open(vault_borrow_cipher(&wrapped_key, KEK_DERIVE, NULL, false, NULL),
										  accept, &opened);
		vault_release();
		check_status(status);
		message_mic(fcinfo, n_mic_key, context, NULL, opened.frame, opened.len, mic);
		fits = lorawan_mic_fits(opened.frame + opened.len, mic);
		if (fits)
			lorawan_join_accept_read(opened.frame, opened.len, &fields);
	}
	PG_FINALLY();
	{
		secure_wipe(&opened, sizeof(opened));
	}
	PG_END_TRY();

	/*
	 * The MIC shows that the DevAddr is right, so a key that is bound to
	 * another is an error.
	 */
	if (fits)
	{
		(void) vault_borrow_cipher(&wrapped_key, KEK_DERIVE, fields.dev_addr, false, NULL);
		wrapped_key_argument(fcinfo, n_mic_key, &wrapped_key);
		(void) vault_borrow_cipher(&wrapped_key, KEK_DERIVE, fields.dev_addr, false, NULL);
		vault_release();
	}
	return fits;
}

/*
 * Makes the frame that is sent: adds the MIC, and encrypts by AES decryption, so that
 * devices need only AES encryption.
 */
static bytea *
encrypt_join_accept(FunctionCallInfo fcinfo, int n_mic_key, int n_message,
					const JoinContext *context)
{
	MicFrame	frame;
	bytea	   *result;
	uint8	   *bytes;
	WrappedKey	wrapped_key;
	VaultKey	key;
	AesCipher  *cipher;
	CryptoStatus status;

	join_accept_argument(fcinfo, n_message, false, &frame);
	result = palloc(VARHDRSZ + frame.message_size + LORAWAN_MIC_SIZE);
	SET_VARSIZE(result, VARHDRSZ + frame.message_size + LORAWAN_MIC_SIZE);
	bytes = (uint8 *) VARDATA(result);
	memcpy(bytes, frame.message, frame.message_size);
	message_mic(fcinfo, n_mic_key, context, frame.dev_addr, frame.message,
				frame.message_size, bytes + frame.message_size);

	/*
	 * The contexts that the vault lends can only encrypt.  Borrowing one
	 * checks the key's length and binding; the key itself is then borrowed to
	 * decrypt.
	 */
	wrapped_key_argument(fcinfo, 0, &wrapped_key);
	(void) vault_borrow_cipher(&wrapped_key, KEK_DERIVE, frame.dev_addr, false, NULL);
	key = vault_borrow_key(&wrapped_key, KEK_DERIVE);
	cipher = aes_cipher_new();
	status = cipher == NULL ? CRYPTO_NO_MEMORY :
		aes_cipher_set_key(cipher, key.key, key.key_size, AES_DECRYPT);
	if (status == CRYPTO_OK)
		status = aes_cipher_run(cipher, bytes + 1, bytes + 1,
								frame.message_size - 1 + LORAWAN_MIC_SIZE);
	aes_cipher_free(cipher);
	vault_release();
	require_crypto_ok(status, "encrypt a join-accept");
	return result;
}

/* Arguments: app_key, message. */
Datum
lorawan_join_accept_mic_1_0(PG_FUNCTION_ARGS)
{
	MicFrame	frame;
	uint8		mic[LORAWAN_MIC_SIZE];

	join_accept_argument(fcinfo, 1, false, &frame);
	message_mic(fcinfo, 0, NULL, frame.dev_addr, frame.message, frame.message_size, mic);
	PG_RETURN_BYTEA_P(bytea_from_bytes(mic, sizeof(mic)));
}

/* Arguments: js_int_key, join_req_type, join_eui, dev_nonce, message. */
Datum
lorawan_join_accept_mic_1_1(PG_FUNCTION_ARGS)
{
	MicFrame	frame;
	JoinContext context;
	uint8		mic[LORAWAN_MIC_SIZE];

	join_context_arguments(fcinfo, 1, &context);
	join_accept_argument(fcinfo, 4, false, &frame);
	message_mic(fcinfo, 0, &context, frame.dev_addr, frame.message, frame.message_size, mic);
	PG_RETURN_BYTEA_P(bytea_from_bytes(mic, sizeof(mic)));
}

/* Arguments: app_key, phy_payload. */
Datum
lorawan_verify_join_accept(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(verify_join_accept(fcinfo, 0, 1, NULL));
}

/* Arguments: enc_key, js_int_key, join_req_type, join_eui, dev_nonce, phy_payload. */
Datum
lorawan_verify_join_accept_1_1(PG_FUNCTION_ARGS)
{
	JoinContext context;

	join_context_arguments(fcinfo, 2, &context);
	PG_RETURN_BOOL(verify_join_accept(fcinfo, 1, 5, &context));
}

/* Arguments: app_key, message. */
Datum
lorawan_encrypt_join_accept(PG_FUNCTION_ARGS)
{
	PG_RETURN_BYTEA_P(encrypt_join_accept(fcinfo, 0, 1, NULL));
}

/* Arguments: enc_key, js_int_key, join_req_type, join_eui, dev_nonce, message. */
Datum
lorawan_encrypt_join_accept_1_1(PG_FUNCTION_ARGS)
{
	JoinContext context;

	join_context_arguments(fcinfo, 2, &context);
	PG_RETURN_BYTEA_P(encrypt_join_accept(fcinfo, 1, 5, &context));
}
