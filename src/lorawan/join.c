/*
 * join.c
 *	  Joins: opening a join-accept, and deriving the session keys.
 *
 * Invariants:
 * - Nothing of an opened join-accept, and no session key, is written to the
 *   caller's LorawanJoin before all MICs were computed and found to be right.
 * - Whichever MIC is wrong, the same steps are taken and the same status returned.
 * - Keys are only in the caller's LorawanJoin, which is in secure memory; an opened
 *   join-accept is wiped on every way out.
 */
#include "join.h"

#include <string.h>

#include <openssl/crypto.h>

#include "../crypto/secure_memory.h"

#define MHDR_SIZE 1

/* The offsets of the fields of a join-accept in the clear, in bytes. */
#define ACCEPT_JOIN_NONCE 1
#define ACCEPT_NET_ID 4
#define ACCEPT_DEV_ADDR 7
#define ACCEPT_DL_SETTINGS 11
#define ACCEPT_RX_DELAY 12
#define ACCEPT_CF_LIST 13

/* Parses a frame; false if it is malformed or not of this type. */
static bool
parse(LorawanFrame frame, LorawanMType m_type, LorawanFrameFields *fields)
{
	LorawanFault fault;

	return lorawan_frame_parse(frame.bytes, frame.len, fields, &fault) &&
		fields->m_type == m_type;
}

static bool
is_join_accept(LorawanFrame frame)
{
	LorawanFrameFields fields;

	return parse(frame, LORAWAN_JOIN_ACCEPT, &fields);
}

static void
reverse(uint8_t *out, const uint8_t *in, size_t len)
{
	for (size_t i = 0; i < len; i++)
		out[i] = in[len - 1 - i];
}

/*
 * Opening is AES encryption of all but the MHDR: the sender has used AES
 * decryption, so that devices need no more than encryption.
 */
CryptoStatus
lorawan_join_accept_open(AesCipher *key, LorawanFrame accept, LorawanOpenedAccept *opened)
{
	opened->frame[0] = accept.bytes[0];
	opened->len = accept.len - LORAWAN_MIC_SIZE;
	return aes_cipher_run(key, accept.bytes + MHDR_SIZE, opened->frame + MHDR_SIZE,
						  accept.len - MHDR_SIZE);
}

void
lorawan_join_accept_read(const uint8_t *frame, size_t len, LorawanJoinAccept *accept)
{
	accept->join_nonce = frame[ACCEPT_JOIN_NONCE] |
		(uint32_t) frame[ACCEPT_JOIN_NONCE + 1] << 8 |
		(uint32_t) frame[ACCEPT_JOIN_NONCE + 2] << 16;
	reverse(accept->net_id, frame + ACCEPT_NET_ID, LORAWAN_NET_ID_SIZE);
	reverse(accept->dev_addr, frame + ACCEPT_DEV_ADDR, LORAWAN_DEV_ADDR_SIZE);
	accept->dl_settings = frame[ACCEPT_DL_SETTINGS];
	accept->rx_delay = frame[ACCEPT_RX_DELAY];
	accept->has_cf_list = len > ACCEPT_CF_LIST;
	if (accept->has_cf_list)
		memcpy(accept->cf_list, frame + ACCEPT_CF_LIST, LORAWAN_CF_LIST_SIZE);
}

/*
 * The block of the session keys: JoinNonce, then NetID (1.0) or JoinEUI (1.1)
 * as displayed, then DevNonce.
 */
static void
make_block(const LorawanJoinAccept *accept, const uint8_t *middle, size_t middle_len,
		   uint16_t dev_nonce, uint8_t block[AES_BLOCK_SIZE])
{
	uint8_t    *next = block + 1;

	memset(block, 0, AES_BLOCK_SIZE);
	*next++ = (uint8_t) accept->join_nonce;
	*next++ = (uint8_t) (accept->join_nonce >> 8);
	*next++ = (uint8_t) (accept->join_nonce >> 16);
	reverse(next, middle, middle_len);
	next += middle_len;
	*next++ = (uint8_t) dev_nonce;
	*next++ = (uint8_t) (dev_nonce >> 8);
}

static CryptoStatus
derive_session_key(AesCipher *root_key, LorawanJoin *join, LorawanDerivation derivation)
{
	join->block[0] = (uint8_t) derivation;
	return aes_cipher_run(root_key, join->block, join->keys[derivation], AES_BLOCK_SIZE);
}

static CryptoStatus
join_1_0(AesCipher *app_key, LorawanFrame request, const LorawanFrameFields *asked,
		 LorawanFrame accept, LorawanOpenedAccept *opened, LorawanJoin *join)
{
	size_t		request_len = request.len - LORAWAN_MIC_SIZE;
	uint8_t		request_mic[LORAWAN_MIC_SIZE];
	uint8_t		accept_mic[LORAWAN_MIC_SIZE];
	bool		fits;
	CryptoStatus status;

	status = lorawan_join_accept_open(app_key, accept, opened);
	if (status == CRYPTO_OK)
		status = lorawan_message_mic(app_key, request.bytes, request_len, request_mic);
	if (status == CRYPTO_OK)
		status = lorawan_message_mic(app_key, opened->frame, opened->len, accept_mic);
	if (status != CRYPTO_OK)
		return status;
	fits = lorawan_mic_fits(request.bytes + request_len, request_mic);
	fits &= lorawan_mic_fits(opened->frame + opened->len, accept_mic);
	if (!fits)
		return CRYPTO_INTEGRITY;

	lorawan_join_accept_read(opened->frame, opened->len, &join->accept);
	make_block(&join->accept, join->accept.net_id, LORAWAN_NET_ID_SIZE, asked->dev_nonce,
			   join->block);
	status = derive_session_key(app_key, join, LORAWAN_F_NWK_S_INT_KEY);
	if (status == CRYPTO_OK)
		status = derive_session_key(app_key, join, LORAWAN_APP_S_KEY);
	return status;
}

CryptoStatus
lorawan_join_1_0(AesCipher *app_key, LorawanFrame request, LorawanFrame accept,
				 LorawanJoin *join)
{
	LorawanFrameFields asked;
	LorawanOpenedAccept opened;
	CryptoStatus status;

	if (!parse(request, LORAWAN_JOIN_REQUEST, &asked) ||
		!is_join_accept(accept))
		return CRYPTO_BAD_LENGTH;

	status = join_1_0(app_key, request, &asked, accept, &opened, join);
	OPENSSL_cleanse(&opened, sizeof(opened));
	return status;
}

/* Derives JSIntKey or JSEncKey, and keys a context with it. */
static CryptoStatus
set_js_key(AesCipher *nwk_key, LorawanDerivation derivation,
		   const LorawanFrameFields *asked, LorawanJoin *join, AesCipher *js_key)
{
	uint8_t		block[AES_BLOCK_SIZE];
	CryptoStatus status;

	lorawan_derivation_block(derivation, asked->dev_eui, LORAWAN_EUI_SIZE, block);
	status = aes_cipher_run(nwk_key, block, join->js_key, AES_BLOCK_SIZE);
	if (status == CRYPTO_OK)
		status = aes_cipher_set_key(js_key, join->js_key, LORAWAN_KEY_SIZE, AES_ENCRYPT);
	return status;
}

static CryptoStatus
join_1_1(AesCipher *nwk_key, AesCipher *js_key, LorawanFrame request,
		 const LorawanFrameFields *asked, const uint8_t *join_eui,
		 LorawanFrame accept, LorawanOpenedAccept *opened, LorawanJoin *join)
{
	bool		is_rejoin = asked->m_type == LORAWAN_REJOIN_REQUEST;
	size_t		request_len = request.len - LORAWAN_MIC_SIZE;
	uint8_t		request_mic[LORAWAN_MIC_SIZE];
	uint8_t		accept_mic[LORAWAN_MIC_SIZE];
	bool		fits = true;
	CryptoStatus status = CRYPTO_OK;

	/* A join-accept that answers a rejoin-request is encrypted with JSEncKey. */
	if (is_rejoin)
		status = set_js_key(nwk_key, LORAWAN_JS_ENC_KEY, asked, join, js_key);
	if (status == CRYPTO_OK)
		status = lorawan_join_accept_open(is_rejoin ? js_key : nwk_key, accept, opened);

	if (status == CRYPTO_OK)
		status = set_js_key(nwk_key, LORAWAN_JS_INT_KEY, asked, join, js_key);
	if (status == CRYPTO_OK)
		status = lorawan_join_accept_mic(js_key, is_rejoin ? asked->rejoin_type : LORAWAN_JOIN,
										 join_eui, asked->dev_nonce, opened->frame, opened->len,
										 accept_mic);

	/*
	 * Rejoin-requests of types 0 and 2 carry no JoinEUI, and their MIC is
	 * made with a key of the previous session, which is not known here.
	 */
	if (status == CRYPTO_OK && (!is_rejoin || asked->rejoin_type == 1))
	{
		status = lorawan_message_mic(is_rejoin ? js_key : nwk_key, request.bytes, request_len,
									 request_mic);
		fits = lorawan_mic_fits(request.bytes + request_len, request_mic) &
			(memcmp(asked->join_eui, join_eui, LORAWAN_EUI_SIZE) == 0);
	}
	if (status != CRYPTO_OK)
		return status;

	/* Without OptNeg, keys and MIC would be as in LoRaWAN 1.0. */
	fits &= lorawan_mic_fits(opened->frame + opened->len, accept_mic) &
		((opened->frame[ACCEPT_DL_SETTINGS] & LORAWAN_OPT_NEG) != 0);
	if (!fits)
		return CRYPTO_INTEGRITY;

	lorawan_join_accept_read(opened->frame, opened->len, &join->accept);
	make_block(&join->accept, join_eui, LORAWAN_EUI_SIZE, asked->dev_nonce, join->block);
	status = derive_session_key(nwk_key, join, LORAWAN_F_NWK_S_INT_KEY);
	if (status == CRYPTO_OK)
		status = derive_session_key(nwk_key, join, LORAWAN_S_NWK_S_INT_KEY);
	if (status == CRYPTO_OK)
		status = derive_session_key(nwk_key, join, LORAWAN_NWK_S_ENC_KEY);
	return status;
}

CryptoStatus
lorawan_join_1_1(AesCipher *nwk_key, LorawanFrame request, const uint8_t *join_eui,
				 LorawanFrame accept, LorawanJoin *join)
{
	AesCipher  *js_key;
	LorawanFrameFields asked;
	LorawanOpenedAccept opened;
	CryptoStatus status;

	if (!parse(request, join_eui == NULL ? LORAWAN_JOIN_REQUEST : LORAWAN_REJOIN_REQUEST,
			   &asked) ||
		!is_join_accept(accept))
		return CRYPTO_BAD_LENGTH;

	js_key = aes_cipher_new();
	if (js_key == NULL)
		return CRYPTO_NO_MEMORY;
	status = join_1_1(nwk_key, js_key, request, &asked,
					  join_eui == NULL ? asked.join_eui : join_eui, accept, &opened, join);
	aes_cipher_free(js_key);
	OPENSSL_cleanse(&opened, sizeof(opened));
	return status;
}

CryptoStatus
lorawan_join_app_s_key(AesCipher *app_key, LorawanJoin *join)
{
	return derive_session_key(app_key, join, LORAWAN_APP_S_KEY);
}
