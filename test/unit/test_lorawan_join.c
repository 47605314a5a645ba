/*
 * test_lorawan_join.c
 *	  Tests of lorawan/derive.c and lorawan/join.c.
 */
#include <openssl/err.h>

#include "check.h"
#include "lorawan/join.h"
#include "vectors.h"

/* The kinds of the vectors */
#define KIND_1_0 10
#define KIND_JOIN 0xff

/* lorawan_derive() with a key. */
static CryptoStatus
derive(const uint8_t parent[LORAWAN_KEY_SIZE], const uint8_t block[AES_BLOCK_SIZE],
	   uint8_t key[LORAWAN_KEY_SIZE])
{
	AesCipher  *cipher = keyed_cipher(parent, LORAWAN_KEY_SIZE, AES_ENCRYPT);
	CryptoStatus status = lorawan_derive(cipher, block, key);

	aes_cipher_free(cipher);
	return status;
}

static void
derive_expected_values(void)
{
	for (size_t i = 0; i < LENGTH(derive_vectors); i++)
	{
		const DeriveVector *v = &derive_vectors[i];
		Bytes		parent = from_hex(v->parent);
		Bytes		identifier = from_hex(v->identifier);
		Bytes		expected = from_hex(v->key);
		uint8_t		block[AES_BLOCK_SIZE];
		uint8_t		key[LORAWAN_KEY_SIZE];

		memset(block, 0xaa, sizeof(block));
		lorawan_derivation_block((LorawanDerivation) v->first, identifier.data,
								 identifier.len, block);
		CHECK(derive(parent.data, block, key) == CRYPTO_OK);
		CHECK_FOR(v->source, memcmp(key, expected.data, sizeof(key)) == 0);
	}
}

/* Lora-net/LoRaMac-node, src/apps/LoRaMac/fuota-test-01/readme.md */
static void
derive_mc_key(void)
{
	Bytes		mc_ke_key = from_hex("2c578f7927a949d3b511ae8fb69145c6");
	Bytes		encrypted = from_hex("015e85f4b99dc0b944066cd07498330b");
	Bytes		mc_key = from_hex("0102030405060708090a0b0c0d0e0f10");
	uint8_t		key[LORAWAN_KEY_SIZE];

	CHECK(derive(mc_ke_key.data, encrypted.data, key) == CRYPTO_OK);
	CHECK(memcmp(key, mc_key.data, sizeof(key)) == 0);
}

/* A vector, as bytes that a test can change. */
typedef struct JoinCase
{
	uint32_t	kind;
	Bytes		nwk_key;
	Bytes		app_key;
	Bytes		request;
	Bytes		join_eui;
	Bytes		accept;
} JoinCase;

static JoinCase
join_case(const JoinVector *v)
{
	JoinCase	c = {
		v->kind, from_hex(v->nwk_key), from_hex(v->app_key), from_hex(v->request),
		from_hex(v->join_eui), from_hex(v->accept)
	};

	return c;
}

static CryptoStatus
join(const JoinCase *c, LorawanJoin *result)
{
	LorawanFrame request = {c->request.data, c->request.len};
	LorawanFrame accept = {c->accept.data, c->accept.len};
	AesCipher  *key = keyed_cipher(c->nwk_key.data, LORAWAN_KEY_SIZE, AES_ENCRYPT);
	CryptoStatus status;

	if (c->kind == KIND_1_0)
		status = lorawan_join_1_0(key, request, accept, result);
	else
	{
		status = lorawan_join_1_1(key, request,
								  c->kind == KIND_JOIN ? NULL : c->join_eui.data, accept, result);
		CHECK(aes_cipher_set_key(key, c->app_key.data, LORAWAN_KEY_SIZE, AES_ENCRYPT) == CRYPTO_OK);
		if (status == CRYPTO_OK)
			status = lorawan_join_app_s_key(key, result);
	}
	aes_cipher_free(key);
	return status;
}

static bool
key_is(const LorawanJoin *result, LorawanDerivation derivation, const char *expected)
{
	Bytes		key = from_hex(expected);

	return key.len == 0 || memcmp(result->keys[derivation], key.data, key.len) == 0;
}

static void
join_expected_values(void)
{
	for (size_t i = 0; i < LENGTH(join_vectors); i++)
	{
		const JoinVector *v = &join_vectors[i];
		JoinCase	c = join_case(v);
		Bytes		body = from_hex(v->body);
		const uint8_t *b = body.data;
		LorawanJoin result;

		CHECK_FOR(v->source, join(&c, &result) == CRYPTO_OK);
		CHECK_FOR(v->source, key_is(&result, LORAWAN_F_NWK_S_INT_KEY, v->f_nwk_s_int_key));
		CHECK_FOR(v->source, key_is(&result, LORAWAN_APP_S_KEY, v->app_s_key));
		CHECK_FOR(v->source, key_is(&result, LORAWAN_S_NWK_S_INT_KEY, v->s_nwk_s_int_key));
		CHECK_FOR(v->source, key_is(&result, LORAWAN_NWK_S_ENC_KEY, v->nwk_s_enc_key));

		CHECK(result.accept.join_nonce == (uint32_t) (b[0] | b[1] << 8 | b[2] << 16));
		CHECK(result.accept.net_id[0] == b[5] && result.accept.net_id[1] == b[4] &&
			  result.accept.net_id[2] == b[3]);
		CHECK(result.accept.dev_addr[0] == b[9] && result.accept.dev_addr[1] == b[8] &&
			  result.accept.dev_addr[2] == b[7] && result.accept.dev_addr[3] == b[6]);
		CHECK(result.accept.dl_settings == b[10] && result.accept.rx_delay == b[11]);
		CHECK(result.accept.has_cf_list == (body.len == 28));
		CHECK(body.len == 12 || memcmp(result.accept.cf_list, b + 12, 16) == 0);
	}
}

/* Does not fit, and leaves nothing of itself behind. */
static bool
is_refused(const JoinCase *c)
{
	LorawanJoin result;

	memset(&result, 0xaa, sizeof(result));
	return join(c, &result) == CRYPTO_INTEGRITY &&
		all_bytes_are(&result.accept, 0xaa, sizeof(result.accept)) &&
		all_bytes_are(result.keys, 0xaa, sizeof(result.keys));
}

/* Every bit of the frames and the key, but what the MICs leave out. */
static void
join_changed(void)
{
	for (size_t i = 0; i < LENGTH(join_vectors); i++)
	{
		const JoinVector *v = &join_vectors[i];
		const JoinCase good = join_case(v);
		bool		has_own_key = v->kind == 0 || v->kind == 2;
		LorawanJoin result;

		for (size_t bit = 8; bit < good.accept.len * 8; bit++)
		{
			JoinCase	c = good;

			c.accept.data[bit / 8] ^= 1 << bit % 8;
			CHECK_FOR(v->source, is_refused(&c));
		}
		for (size_t bit = 8; bit < good.request.len * 8; bit++)
		{
			/* NetID and MIC of rejoin-requests of types 0 and 2 */
			bool		is_open = has_own_key &&
			((bit >= 16 && bit < 40) || bit >= (good.request.len - LORAWAN_MIC_SIZE) * 8);
			JoinCase	c = good;

			c.request.data[bit / 8] ^= 1 << bit % 8;
			if (v->kind != KIND_1_0 && v->kind != KIND_JOIN && bit < 16)
			{
				/* Another type, of this length or of another. */
				CHECK_FOR(v->source, join(&c, &result) != CRYPTO_OK);
				continue;
			}
			CHECK_FOR(v->source, is_open ? join(&c, &result) == CRYPTO_OK : is_refused(&c));
		}
		for (size_t bit = 0; bit < LORAWAN_KEY_SIZE * 8; bit++)
		{
			JoinCase	c = good;

			c.nwk_key.data[bit / 8] ^= 1 << bit % 8;
			CHECK_FOR(v->source, is_refused(&c));
		}
		if (v->kind <= 2)
		{
			for (size_t bit = 0; bit < LORAWAN_EUI_SIZE * 8; bit++)
			{
				JoinCase	c = good;

				c.join_eui.data[bit / 8] ^= 1 << bit % 8;
				CHECK_FOR(v->source, is_refused(&c));
			}
		}
	}
}

/* Frames of one join with those of any other do not fit. */
static void
join_mixed(void)
{
	for (size_t i = 0; i < LENGTH(join_vectors); i++)
	{
		for (size_t j = 0; j < LENGTH(join_vectors); j++)
		{
			JoinCase	c = join_case(&join_vectors[i]);

			if (i == j)
				continue;
			c.accept = join_case(&join_vectors[j]).accept;
			CHECK_FOR(join_vectors[i].source, is_refused(&c));
		}
	}
}

/*
 * A join-accept of 1.0 does not pass for one of 1.1, nor the other way round, with
 * everything else the same.
 */
static void
join_versions(void)
{
	for (size_t i = 0; i < LENGTH(join_vectors); i++)
	{
		JoinCase	c = join_case(&join_vectors[i]);

		if (c.kind == KIND_1_0)
			c.kind = KIND_JOIN;
		else if (c.kind == KIND_JOIN)
			c.kind = KIND_1_0;
		else
			continue;
		CHECK_FOR(join_vectors[i].source, is_refused(&c));
	}
}

/* The wrong length or MHDR. */
static void
join_other_frames(void)
{
	for (size_t i = 0; i < LENGTH(join_vectors); i++)
	{
		const JoinCase good = join_case(&join_vectors[i]);
		LorawanJoin result;

		for (size_t len = 0; len <= 64; len++)
		{
			JoinCase	c = good;

			c.accept.len = len;
			if (len != 17 && len != 33)
				CHECK(join(&c, &result) == CRYPTO_BAD_LENGTH);
			c = good;
			c.request.len = len;
			if (len != good.request.len)
				CHECK(join(&c, &result) == CRYPTO_BAD_LENGTH);
		}
		for (int mhdr = 0; mhdr < 256; mhdr++)
		{
			JoinCase	c = good;

			/* Bits 4 to 2 are RFU; the MIC covers them. */
			c.accept.data[0] = (uint8_t) mhdr;
			if (mhdr != good.accept.data[0])
				CHECK(join(&c, &result) ==
					  ((mhdr & 0xe3) == good.accept.data[0] ? CRYPTO_INTEGRITY : CRYPTO_BAD_LENGTH));
			c = good;
			c.request.data[0] = (uint8_t) mhdr;
			if ((mhdr & 0xe3) != good.request.data[0])
				CHECK(join(&c, &result) == CRYPTO_BAD_LENGTH);
		}
	}
}

static const JoinVector *stack_vector;

static void
join_on_stack(void *unused)
{
	static LorawanJoin result;
	JoinCase	c = join_case(stack_vector);

	(void) unused;
	CHECK(join(&c, &result) == CRYPTO_OK);
}

/* Session keys and what the join-accept said are not left on the stack. */
static void
join_stack_wiped(void)
{
	for (size_t i = 0; i < LENGTH(join_vectors); i++)
	{
		Bytes		body = from_hex(join_vectors[i].body);
		Bytes		key = from_hex(join_vectors[i].f_nwk_s_int_key);

		stack_vector = &join_vectors[i];
		CHECK_FOR(stack_vector->source, !stack_holds(join_on_stack, NULL, body.data, 12));
		CHECK_FOR(stack_vector->source, !stack_holds(join_on_stack, NULL, key.data, 8));
	}
}

/* JSIntKey, the last key that a join of LoRaWAN 1.1 makes for its own use. */
static void
join_heap_wiped(void)
{
	for (size_t i = 0; i < LENGTH(join_vectors); i++)
	{
		JoinCase	c = join_case(&join_vectors[i]);
		LorawanJoin result;

		if (c.kind == KIND_1_0)
			continue;
		CHECK(join(&c, &result) == CRYPTO_OK);
		heap_watch(result.js_key, LORAWAN_KEY_SIZE);
		CHECK(join(&c, &result) == CRYPTO_OK);
		CHECK_FOR(join_vectors[i].source, heap_unwatch() == 0);
	}
}

void
test_lorawan_join(void)
{
	RUN(derive_expected_values);
	RUN(derive_mc_key);
	RUN(join_expected_values);
	RUN(join_changed);
	RUN(join_mixed);
	RUN(join_versions);
	RUN(join_other_frames);
	RUN(join_heap_wiped);
	RUN_NATIVE(join_stack_wiped);
}
