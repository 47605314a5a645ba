/*
 * token_key.c
 *	  AES keys that stay in a token, and the operations with them.
 *
 * Invariants:
 * - In each session with the token, a key's key check value is compared with the known
 *   one before the key is used, so that another key of the same name is not used in
 *   its place.
 * - CRYPTO_INTEGRITY means that the bytes do not open, and not that the token failed.  If
 *   the token's return value may mean either, the token is asked to open bytes that it
 *   has just made itself: if it can, the fault is in the bytes.
 * - A key that is unwrapped or wrapped is an object of the session for that moment.  It
 *   is destroyed at once, no error can be raised before it is, and copies of it here
 *   are wiped.
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "../common/errors.h"
#include "../crypto/secure_memory.h"
#include "token_key.h"

/* Values of attributes, which PKCS#11 takes by pointers that are not const. */
static CK_BBOOL yes = CK_TRUE;
static CK_BBOOL no = CK_FALSE;
static CK_OBJECT_CLASS secret_key = CKO_SECRET_KEY;
static CK_KEY_TYPE aes = CKK_AES;
static CK_KEY_TYPE generic_secret = CKK_GENERIC_SECRET;

/* What a PKCS#11 function returned, and its name. */
typedef struct Answer
{
	CK_RV		rv;
	const char *function;
} Answer;

static bool
answer(Answer *to, const char *function, CK_RV rv)
{
	to->rv = rv;
	to->function = function;
	return rv == CKR_OK;
}

#define CALL(to, key, function, ...) \
	answer(to, #function, (key)->token->module->api->function(__VA_ARGS__))

static const char *
key_name(const TokenKey *key)
{
	StringInfoData name;

	if (key->label != NULL)
		return psprintf("\"%s\"", key->label);
	initStringInfo(&name);
	appendStringInfoString(&name, "with id ");
	for (size_t i = 0; i < key->id_size; i++)
		appendStringInfo(&name, "%02x", key->id[i]);
	return name.data;
}

static bool
describe_key(const TokenKey *key, const char *what, char *detail, char *hint, DeferredError *error)
{
	return deferred_error_set(error, ERRCODE_TOKEN_KEY,
							  psprintf("key %s %s token \"%s\"", key_name(key), what,
									   token_name(key->token)),
							  detail, hint);
}

/*
 * Looks for the key by its label and id.  If there is exactly one, mac is its CMAC of
 * the text for key check values.
 */
static bool
look_for(TokenKey *key, CK_OBJECT_HANDLE handles[2], CK_ULONG *found, uint8 mac[AES_CMAC_SIZE],
		 Answer *to)
{
	CK_SESSION_HANDLE session = key->token->session;
	CK_ATTRIBUTE by_label = {CKA_LABEL, key->label, key->label ? strlen(key->label) : 0};
	CK_ATTRIBUTE by_id = {CKA_ID, key->id, key->id_size};
	CK_ATTRIBUTE wanted[4] = {
		{CKA_CLASS, &secret_key, sizeof(secret_key)},
		{CKA_KEY_TYPE, &aes, sizeof(aes)},
	};
	CK_ULONG	n = 2;
	CK_MECHANISM cmac = {CKM_AES_CMAC, NULL, 0};
	CK_ULONG	mac_size = AES_CMAC_SIZE;
	bool		done;

	if (key->label != NULL)
		wanted[n++] = by_label;
	if (key->id_size > 0)
		wanted[n++] = by_id;

	*found = 0;
	if (!CALL(to, key, C_FindObjectsInit, session, wanted, n))
		return false;
	done = CALL(to, key, C_FindObjects, session, handles, 2, found);
	key->token->module->api->C_FindObjectsFinal(session);
	if (!done)
		return false;
	if (*found != 1)
		return true;

	return CALL(to, key, C_SignInit, session, &cmac, handles[0]) &&
		CALL(to, key, C_Sign, session, (unsigned char *) KEY_CHECK_STRING,
			 strlen(KEY_CHECK_STRING), mac, &mac_size);
}

/* Finds the key; sets *lost if it failed because the session is lost. */
static bool
find_once(TokenKey *key, bool *lost, DeferredError *error)
{
	CK_OBJECT_HANDLE handles[2];
	CK_ULONG	found;
	uint8		mac[AES_CMAC_SIZE];
	Answer		to;

	*lost = false;
	if (!token_connect(key->token, error))
		return false;
	if (key->session_number == key->token->session_number)
		return true;
	if (!look_for(key, handles, &found, mac, &to))
	{
		*lost = token_is_lost(to.rv);
		token_describe_failure(key->token, to.function, to.rv, error);
		if (!*lost && strncmp(to.function, "C_Sign", 6) == 0)
			error->hint = pstrdup("The key must be an AES key that may sign (CKA_SIGN) with CKM_AES_CMAC: its key check value tells it from others.");
		return false;
	}
	if (found == 0)
		return describe_key(key, "is not in", NULL,
							pstrdup("It is looked for again at the next use.  Restore it from the token's backup."),
							error);
	if (found > 1)
		return describe_key(key, "is more than once in", NULL,
							pstrdup("Name it by its id as well: id=%01 in the URI."), error);
	if (key->has_kcv && memcmp(key->kcv, mac, KEY_CHECK_VALUE_SIZE) != 0)
		return describe_key(key, "is another one in",
							psprintf("Its key check value is %02x%02x%02x%02x%02x, not %02x%02x%02x%02x%02x.",
									 mac[0], mac[1], mac[2], mac[3], mac[4], key->kcv[0],
									 key->kcv[1], key->kcv[2], key->kcv[3], key->kcv[4]),
							pstrdup("Restore the key from the token's backup."), error);

	memcpy(key->kcv, mac, KEY_CHECK_VALUE_SIZE);
	key->has_kcv = true;
	key->handle = handles[0];
	key->session_number = key->token->session_number;
	return true;
}

bool
token_key_find(TokenKey *key, DeferredError *error)
{
	bool		lost;

	if (find_once(key, &lost, error))
		return true;
	if (!lost)
		return false;
	token_disconnect(key->token);
	return find_once(key, &lost, error);
}

/* An operation with a key, which with_key() runs.  Sizes are in bytes. */
typedef struct Operation
{
	bool		(*run) (TokenKey *key, struct Operation *operation, Answer *to);
	const uint8 *aad;
	size_t		aad_size;
	uint8	   *nonce;
	const uint8 *in;
	size_t		in_size;
	uint8	   *out;
	size_t		out_size;		/* that the operation must give */
} Operation;

/* Finds the key and runs an operation; a second time if the session was lost. */
static bool
with_key(TokenKey *key, Operation *operation, Answer *to, DeferredError *error)
{
	for (int attempt = 0; attempt < 2; attempt++)
	{
		to->rv = CKR_OK;
		if (!token_key_find(key, error))
			return false;
		if (operation->run(key, operation, to))
			return true;
		token_describe_failure(key->token, to->function, to->rv, error);
		if (!token_is_lost(to->rv))
			break;
		token_disconnect(key->token);
	}
	return false;
}

/* Whether some tokens return this if the bytes that they are to open are wrong. */
static bool
may_be_integrity(CK_RV rv)
{
	return rv == CKR_GENERAL_ERROR || rv == CKR_FUNCTION_FAILED || rv == CKR_WRAPPED_KEY_INVALID ||
		rv == CKR_WRAPPED_KEY_LEN_RANGE || rv == CKR_ENCRYPTED_DATA_INVALID ||
		rv == CKR_ENCRYPTED_DATA_LEN_RANGE || rv == CKR_DATA_INVALID ||
		rv == CKR_DATA_LEN_RANGE || rv == CKR_SIGNATURE_INVALID || rv == CKR_ARGUMENTS_BAD;
}

/*
 * Seals with AES-GCM.  PKCS#11 puts the tag after the ciphertext; when opening, some
 * tokens need as much room for the plaintext as for both.
 */
static bool
run_seal(TokenKey *key, Operation *operation, Answer *to)
{
	CK_GCM_PARAMS parameters = {operation->nonce, AEAD_NONCE_SIZE, AEAD_NONCE_SIZE * 8,
	(unsigned char *) operation->aad, operation->aad_size, AEAD_TAG_SIZE * 8};
	CK_MECHANISM gcm = {CKM_AES_GCM, &parameters, sizeof(parameters)};
	CK_ULONG	size = operation->out_size;

	return CALL(to, key, C_EncryptInit, key->token->session, &gcm, key->handle) &&
		CALL(to, key, C_Encrypt, key->token->session, (unsigned char *) operation->in,
			 operation->in_size, operation->out, &size) &&
		answer(to, "C_Encrypt", size == operation->out_size ? CKR_OK : CKR_DATA_LEN_RANGE);
}

static bool
run_open(TokenKey *key, Operation *operation, Answer *to)
{
	CK_GCM_PARAMS parameters = {operation->nonce, AEAD_NONCE_SIZE, AEAD_NONCE_SIZE * 8,
	(unsigned char *) operation->aad, operation->aad_size, AEAD_TAG_SIZE * 8};
	CK_MECHANISM gcm = {CKM_AES_GCM, &parameters, sizeof(parameters)};
	CK_ULONG	size = operation->in_size;

	return CALL(to, key, C_DecryptInit, key->token->session, &gcm, key->handle) &&
		CALL(to, key, C_Decrypt, key->token->session, (unsigned char *) operation->in,
			 operation->in_size, operation->out, &size) &&
		answer(to, "C_Decrypt", size == operation->out_size ? CKR_OK : CKR_DATA_LEN_RANGE);
}

/* The longest material that is sealed, in bytes. */
#define MAX_SEALED 64

CryptoStatus
token_key_seal(TokenKey *key, const uint8 *aad, size_t aad_len, const uint8 *plaintext,
			   size_t plaintext_len, uint8 nonce[AEAD_NONCE_SIZE], uint8 *ciphertext,
			   uint8 tag[AEAD_TAG_SIZE], DeferredError *error)
{
	uint8		sealed[MAX_SEALED + AEAD_TAG_SIZE];
	Operation	operation = {
		.run = run_seal,
		.aad = aad,
		.aad_size = aad_len,
		.nonce = nonce,
		.in = plaintext,
		.in_size = plaintext_len,
		.out = sealed,
		.out_size = plaintext_len + AEAD_TAG_SIZE,
	};
	Answer		to;

	Assert(plaintext_len <= MAX_SEALED);
	if (!secure_random(nonce, AEAD_NONCE_SIZE))
	{
		token_describe_failure(key->token, "the random generator", CKR_FUNCTION_FAILED, error);
		return CRYPTO_LIBRARY;
	}
	if (!with_key(key, &operation, &to, error))
		return CRYPTO_LIBRARY;
	memcpy(ciphertext, sealed, plaintext_len);
	memcpy(tag, sealed + plaintext_len, AEAD_TAG_SIZE);
	return CRYPTO_OK;
}

/* Whether the token opens what it has sealed itself. */
static bool
seals_and_opens(TokenKey *key)
{
	static const uint8 plaintext[16];
	uint8		nonce[AEAD_NONCE_SIZE];
	uint8		sealed[sizeof(plaintext) + AEAD_TAG_SIZE];
	uint8		opened[sizeof(sealed)];
	Operation	operation = {
		.run = run_open,
		.nonce = nonce,
		.in = sealed,
		.in_size = sizeof(sealed),
		.out = opened,
		.out_size = sizeof(plaintext),
	};
	DeferredError error;
	Answer		to;

	return token_key_seal(key, NULL, 0, plaintext, sizeof(plaintext), nonce, sealed,
						  sealed + sizeof(plaintext), &error) == CRYPTO_OK &&
		with_key(key, &operation, &to, &error) &&
		memcmp(opened, plaintext, sizeof(plaintext)) == 0;
}

CryptoStatus
token_key_open(TokenKey *key, const uint8 nonce[AEAD_NONCE_SIZE], const uint8 *aad,
			   size_t aad_len, const uint8 *ciphertext, size_t ciphertext_len,
			   const uint8 tag[AEAD_TAG_SIZE], uint8 *plaintext, DeferredError *error)
{
	uint8		sealed[MAX_SEALED + AEAD_TAG_SIZE];
	uint8		opened[MAX_SEALED + AEAD_TAG_SIZE];
	uint8		used_nonce[AEAD_NONCE_SIZE];
	Operation	operation = {
		.run = run_open,
		.aad = aad,
		.aad_size = aad_len,
		.nonce = used_nonce,
		.in = sealed,
		.in_size = ciphertext_len + AEAD_TAG_SIZE,
		.out = opened,
		.out_size = ciphertext_len,
	};
	CryptoStatus status = CRYPTO_OK;
	Answer		to;

	Assert(ciphertext_len <= MAX_SEALED);
	memcpy(used_nonce, nonce, AEAD_NONCE_SIZE);
	memcpy(sealed, ciphertext, ciphertext_len);
	memcpy(sealed + ciphertext_len, tag, AEAD_TAG_SIZE);
	if (with_key(key, &operation, &to, error))
		memcpy(plaintext, opened, ciphertext_len);
	else
		status = may_be_integrity(to.rv) && seals_and_opens(key) ? CRYPTO_INTEGRITY :
			CRYPTO_LIBRARY;
	secure_wipe(opened, sizeof(opened));
	return status;
}

/* Wraps with AES-KW; the key to wrap has to be made an object first. */
static bool
run_wrap(TokenKey *key, Operation *operation, Answer *to)
{
	CK_SESSION_HANDLE session = key->token->session;
	CK_ATTRIBUTE attributes[] = {
		{CKA_CLASS, &secret_key, sizeof(secret_key)},
		{CKA_KEY_TYPE, &generic_secret, sizeof(generic_secret)},
		{CKA_TOKEN, &no, sizeof(no)},
		{CKA_SENSITIVE, &no, sizeof(no)},
		{CKA_EXTRACTABLE, &yes, sizeof(yes)},
		{CKA_VALUE, (void *) operation->in, operation->in_size},
	};
	CK_MECHANISM kw = {CKM_AES_KEY_WRAP, NULL, 0};
	CK_OBJECT_HANDLE object;
	CK_ULONG	size = operation->out_size;
	bool		done;

	if (!CALL(to, key, C_CreateObject, session, attributes, lengthof(attributes), &object))
		return false;
	done = CALL(to, key, C_WrapKey, session, &kw, key->handle, object, operation->out, &size) &&
		answer(to, "C_WrapKey", size == operation->out_size ? CKR_OK : CKR_DATA_LEN_RANGE);
	key->token->module->api->C_DestroyObject(session, object);
	return done;
}

static bool
run_unwrap(TokenKey *key, Operation *operation, Answer *to)
{
	CK_SESSION_HANDLE session = key->token->session;
	CK_ATTRIBUTE attributes[] = {
		{CKA_CLASS, &secret_key, sizeof(secret_key)},
		{CKA_KEY_TYPE, &generic_secret, sizeof(generic_secret)},
		{CKA_TOKEN, &no, sizeof(no)},
		{CKA_SENSITIVE, &no, sizeof(no)},
		{CKA_EXTRACTABLE, &yes, sizeof(yes)},
	};
	CK_MECHANISM kw = {CKM_AES_KEY_WRAP, NULL, 0};
	CK_ATTRIBUTE value = {CKA_VALUE, operation->out, operation->out_size};
	CK_OBJECT_HANDLE object;
	bool		done;

	if (!CALL(to, key, C_UnwrapKey, session, &kw, key->handle, (unsigned char *) operation->in,
			  operation->in_size, attributes, lengthof(attributes), &object))
		return false;
	done = CALL(to, key, C_GetAttributeValue, session, object, &value, 1) &&
		answer(to, "C_GetAttributeValue",
			   value.ulValueLen == operation->out_size ? CKR_OK : CKR_ATTRIBUTE_VALUE_INVALID);
	if (!done)
		secure_wipe(operation->out, operation->out_size);
	key->token->module->api->C_DestroyObject(session, object);
	return done;
}

CryptoStatus
token_key_wrap(TokenKey *key, const uint8 *wrapped_key, size_t size, uint8 *wrapped,
			   DeferredError *error)
{
	Operation	operation = {
		.run = run_wrap,
		.in = wrapped_key,
		.in_size = size,
		.out = wrapped,
		.out_size = size + KEY_WRAP_OVERHEAD,
	};
	Answer		to;

	return with_key(key, &operation, &to, error) ? CRYPTO_OK : CRYPTO_LIBRARY;
}

/* Whether the token unwraps what it has wrapped itself. */
static bool
wraps_and_unwraps(TokenKey *key)
{
	static const uint8 zeros[16];
	uint8		wrapped[sizeof(zeros) + KEY_WRAP_OVERHEAD];
	uint8		unwrapped[sizeof(zeros)];
	Operation	operation = {
		.run = run_unwrap,
		.in = wrapped,
		.in_size = sizeof(wrapped),
		.out = unwrapped,
		.out_size = sizeof(unwrapped),
	};
	DeferredError error;
	Answer		to;

	return token_key_wrap(key, zeros, sizeof(zeros), wrapped, &error) == CRYPTO_OK &&
		with_key(key, &operation, &to, &error) &&
		memcmp(unwrapped, zeros, sizeof(zeros)) == 0;
}

CryptoStatus
token_key_unwrap(TokenKey *key, const uint8 *wrapped, size_t wrapped_size, uint8 *unwrapped,
				 DeferredError *error)
{
	Operation	operation = {
		.run = run_unwrap,
		.in = wrapped,
		.in_size = wrapped_size,
		.out = unwrapped,
		.out_size = wrapped_size - KEY_WRAP_OVERHEAD,
	};
	Answer		to;

	if (with_key(key, &operation, &to, error))
		return CRYPTO_OK;
	return may_be_integrity(to.rv) && wraps_and_unwraps(key) ? CRYPTO_INTEGRITY : CRYPTO_LIBRARY;
}

/*
 * Opens a session that may write, which the token's usual session may not.  The login
 * holds for all sessions of the process.
 */
static bool
begin_writing(TokenKey *key, CK_SESSION_HANDLE *session, Answer *to)
{
	return CALL(to, key, C_OpenSession, key->token->slot, CKF_SERIAL_SESSION | CKF_RW_SESSION,
				NULL, NULL, session);
}

static bool
generate(TokenKey *key, size_t size, Answer *to)
{
	CK_ULONG	value_len = size;
	CK_ATTRIBUTE attributes[] = {
		{CKA_CLASS, &secret_key, sizeof(secret_key)},
		{CKA_KEY_TYPE, &aes, sizeof(aes)},
		{CKA_VALUE_LEN, &value_len, sizeof(value_len)},
		{CKA_LABEL, key->label, strlen(key->label)},
		{CKA_ID, key->id, key->id_size},
		{CKA_TOKEN, &yes, sizeof(yes)},
		{CKA_PRIVATE, &yes, sizeof(yes)},
		{CKA_SENSITIVE, &yes, sizeof(yes)},
		{CKA_EXTRACTABLE, &no, sizeof(no)},
		{CKA_WRAP, &yes, sizeof(yes)},
		{CKA_UNWRAP, &yes, sizeof(yes)},
		{CKA_SIGN, &yes, sizeof(yes)},	/* the key check value */
		{CKA_VERIFY, &no, sizeof(no)},
		{CKA_ENCRYPT, &no, sizeof(no)},
		{CKA_DECRYPT, &no, sizeof(no)},
	};
	CK_MECHANISM key_gen = {CKM_AES_KEY_GEN, NULL, 0};
	CK_SESSION_HANDLE session;
	CK_OBJECT_HANDLE object;
	bool		done;

	if (!begin_writing(key, &session, to))
		return false;
	done = CALL(to, key, C_GenerateKey, session, &key_gen, attributes, lengthof(attributes),
				&object);
	key->token->module->api->C_CloseSession(session);
	return done;
}

bool
token_key_generate(TokenKey *key, size_t size, DeferredError *error)
{
	Answer		to;

	for (int attempt = 0; attempt < 2; attempt++)
	{
		if (!token_connect(key->token, error))
			return false;
		if (generate(key, size, &to))
			return token_key_find(key, error);
		token_describe_failure(key->token, to.function, to.rv, error);
		if (!token_is_lost(to.rv))
			break;
		token_disconnect(key->token);
	}
	return false;
}

bool
token_key_destroy(TokenKey *key, DeferredError *error)
{
	CK_SESSION_HANDLE session;
	Answer		to = {CKR_SESSION_CLOSED, "C_DestroyObject"};

	if (key->token->is_connected && key->session_number == key->token->session_number &&
		begin_writing(key, &session, &to))
	{
		(void) CALL(&to, key, C_DestroyObject, session, key->handle);
		key->token->module->api->C_CloseSession(session);
	}
	if (to.rv == CKR_OK)
		return true;
	token_describe_failure(key->token, to.function, to.rv, error);
	return false;
}
