/*
 * fuzz_join.c
 *	  Joins of any request with any join-accept: what fits gives keys, and what does not
 *	  gives nothing.
 *
 * An input is a byte of options, a byte with the length of the request, the request, and the
 * join-accept.  Since no fuzzer finds a MIC, an option has both computed.
 */
#include "lorawan/join.h"

#include "crypto/aes.h"
#include "lorawan/derive.h"
#include "lorawan/mic.h"
#include "must.h"

#define OPTION_1_1 1
#define OPTION_REJOIN 2
#define OPTION_RIGHT_MICS 4

static const uint8_t root_key[LORAWAN_KEY_SIZE] = {0x2b, 0x7e, 0x15, 0x16};
static const uint8_t session_eui[LORAWAN_EUI_SIZE] = {1, 2, 3, 4, 5, 6, 7, 8};

static AesCipher *
cipher_of(const uint8_t *key, AesDirection direction)
{
	AesCipher  *cipher = aes_cipher_new();

	MUST(cipher != NULL && aes_cipher_set_key(cipher, key, LORAWAN_KEY_SIZE, direction) == CRYPTO_OK);
	return cipher;
}

static void
derive(LorawanDerivation derivation, const uint8_t *eui, uint8_t key[LORAWAN_KEY_SIZE])
{
	AesCipher  *root = cipher_of(root_key, AES_ENCRYPT);
	uint8_t		block[AES_BLOCK_SIZE];

	lorawan_derivation_block(derivation, eui, LORAWAN_EUI_SIZE, block);
	MUST(aes_cipher_run(root, block, key, AES_BLOCK_SIZE) == CRYPTO_OK);
	aes_cipher_free(root);
}

/* Takes the join-accept for one in the clear, and sends it as a network does. */
static void
make_mics(int options, uint8_t *request, size_t request_len, const LorawanFrameFields *asked,
		  uint8_t *accept, size_t accept_len)
{
	bool		is_1_1 = (options & OPTION_1_1) != 0;
	bool		is_rejoin = is_1_1 && (options & OPTION_REJOIN) != 0;
	uint8_t		js_int_key[LORAWAN_KEY_SIZE];
	uint8_t		js_enc_key[LORAWAN_KEY_SIZE];
	AesCipher  *root = cipher_of(root_key, AES_ENCRYPT);
	AesCipher  *js_int;
	AesCipher  *sender;
	uint8_t		sent[LORAWAN_JOIN_ACCEPT_MAX_SIZE];

	derive(LORAWAN_JS_INT_KEY, asked->dev_eui, js_int_key);
	derive(LORAWAN_JS_ENC_KEY, asked->dev_eui, js_enc_key);
	js_int = cipher_of(js_int_key, AES_ENCRYPT);
	MUST(lorawan_message_mic(is_rejoin ? js_int : root, request, request_len - LORAWAN_MIC_SIZE,
							 request + request_len - LORAWAN_MIC_SIZE) == CRYPTO_OK);
	if (is_1_1)
		MUST(lorawan_join_accept_mic(js_int, is_rejoin ? asked->rejoin_type : LORAWAN_JOIN,
									 is_rejoin ? session_eui : asked->join_eui, asked->dev_nonce,
									 accept, accept_len - LORAWAN_MIC_SIZE,
									 accept + accept_len - LORAWAN_MIC_SIZE) == CRYPTO_OK);
	else
		MUST(lorawan_message_mic(root, accept, accept_len - LORAWAN_MIC_SIZE,
								 accept + accept_len - LORAWAN_MIC_SIZE) == CRYPTO_OK);
	sender = cipher_of(is_rejoin ? js_enc_key : root_key, AES_DECRYPT);
	MUST(aes_cipher_run(sender, accept + 1, sent, accept_len - 1) == CRYPTO_OK);
	memcpy(accept + 1, sent, accept_len - 1);
	aes_cipher_free(root);
	aes_cipher_free(js_int);
	aes_cipher_free(sender);
}

static bool
is_well_formed(const uint8_t *frame, size_t len, LorawanMType m_type, LorawanFrameFields *fields)
{
	LorawanFault fault;

	return lorawan_frame_parse(frame, len, fields, &fault) && fields->m_type == m_type;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int			options;
	bool		is_rejoin;
	size_t		request_len;
	size_t		accept_len;
	uint8_t    *request;
	uint8_t    *accept;
	LorawanFrameFields asked;
	LorawanFrameFields answered;
	bool		is_valid;
	bool		opt_neg = false;
	AesCipher  *root;
	LorawanJoin join;
	LorawanJoin before;
	CryptoStatus status;

	if (size < 2)
		return 0;
	options = data[0];
	is_rejoin = (options & OPTION_1_1) != 0 && (options & OPTION_REJOIN) != 0;
	request_len = data[1] < size - 2 ? data[1] : size - 2;
	accept_len = size - 2 - request_len;

	/* Each in memory of its own, so that the sanitizer knows where it ends. */
	request = malloc(request_len + 1);
	accept = malloc(accept_len + 1);
	MUST(request != NULL && accept != NULL);
	memcpy(request, data + 2, request_len);
	memcpy(accept, data + 2 + request_len, accept_len);
	request = realloc(request, request_len ? request_len : 1);
	accept = realloc(accept, accept_len ? accept_len : 1);

	is_valid = is_well_formed(request, request_len,
							  is_rejoin ? LORAWAN_REJOIN_REQUEST : LORAWAN_JOIN_REQUEST, &asked) &&
		is_well_formed(accept, accept_len, LORAWAN_JOIN_ACCEPT, &answered);
	if (is_valid && (options & OPTION_RIGHT_MICS) != 0)
	{
		opt_neg = (accept[11] & 0x80) != 0;
		make_mics(options, request, request_len, &asked, accept, accept_len);
	}

	memset(&join, 0xa5, sizeof(join));
	before = join;
	root = cipher_of(root_key, AES_ENCRYPT);
	if ((options & OPTION_1_1) != 0)
		status = lorawan_join_1_1(root, (LorawanFrame) {request, request_len},
								  is_rejoin ? session_eui : NULL,
								  (LorawanFrame) {accept, accept_len}, &join);
	else
		status = lorawan_join_1_0(root, (LorawanFrame) {request, request_len},
								  (LorawanFrame) {accept, accept_len}, &join);

	if (!is_valid)
		MUST(status == CRYPTO_BAD_LENGTH);
	else if ((options & OPTION_RIGHT_MICS) == 0)
		MUST(status == CRYPTO_OK || status == CRYPTO_INTEGRITY);
	else if (is_rejoin && asked.rejoin_type == 1)
		MUST(status == (opt_neg && memcmp(asked.join_eui, session_eui, LORAWAN_EUI_SIZE) == 0 ? CRYPTO_OK : CRYPTO_INTEGRITY));
	else
		MUST(status == (opt_neg || (options & OPTION_1_1) == 0 ? CRYPTO_OK : CRYPTO_INTEGRITY));
	if (status != CRYPTO_OK)
		MUST(memcmp(&join.accept, &before.accept, sizeof(join.accept)) == 0 &&
			 memcmp(join.keys, before.keys, sizeof(join.keys)) == 0);
	else if ((options & OPTION_1_1) != 0)
		MUST(lorawan_join_app_s_key(root, &join) == CRYPTO_OK);
	aes_cipher_free(root);
	free(request);
	free(accept);
	return 0;
}
