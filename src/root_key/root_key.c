/*
 * root_key.c
 *	  Sealing KEKs under root keys, and opening them.
 *
 * The first root key of the setting seals; all root keys of the setting open.
 *
 * Sealed material is a format byte, and the nonce (12 bytes), the ciphertext and the
 * tag (16 bytes) of AES-256-GCM.  The additional data are the row's kek_id, version
 * and label, so that material that was moved to another row does not open.  In format 2
 * the label is in UTF-8.  In format 1, which is not made any more, it is in the
 * encoding of the database in which the KEK was sealed.
 *
 * Invariant: what was sealed in one database can be opened in any other that has the
 * row and the root key, whatever the encodings of the two databases are.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "port/pg_bswap.h"

#include "../catalog/kek_label.h"
#include "../common/crypto_error.h"
#include "../common/errors.h"
#include "../common/uri_list.h"
#include "../crypto/secure_memory.h"
#include "../token/token_uri.h"
#include "root_key.h"
#include "root_key_list.h"
#include "root_key_provider.h"

/* How much longer sealed material is than the material, in bytes. */
#define SEALED_OVERHEAD (1 + AEAD_NONCE_SIZE + AEAD_TAG_SIZE)

/* The format byte. */
enum
{
	SEALED_LABEL_AS_IS = 1,
	SEALED_LABEL_UTF8 = 2
};

bool
root_key_status(int n, RootKeyStatus *status)
{
	DeferredError error;
	const RootKey *key = root_key_get(n, &error);
	const char *scheme;

	if (key == NULL)
		return false;
	scheme = key->provider->scheme;
	status->scheme = pnstrdup(scheme, strlen(scheme) - 1);
	status->sqlstate = key->loaded ? 0 : error.sqlstate;
	memcpy(status->id, key->id, KEY_CHECK_VALUE_SIZE);
	return true;
}

/* The additional data, which bind sealed material to its row. */
static StringInfo
additional_data(const KekRow *row, uint8 format, const char *label)
{
	static const char domain[] = "key_vault KEK material ";
	StringInfo	data = makeStringInfo();
	uint32		version = pg_hton32((uint32) row->version);

	appendStringInfoString(data, domain);
	appendStringInfoChar(data, '0' + format);
	appendStringInfoChar(data, '\0');
	appendBinaryStringInfo(data, (const char *) &row->kek_id, UUID_LEN);
	appendBinaryStringInfo(data, (const char *) &version, sizeof(version));
	appendStringInfoString(data, label);
	return data;
}

/* Completes the error about a root key that failed, and lets it be loaded anew. */
static void
describe_failure(RootKey *key, const KekRow *row, CryptoStatus status, DeferredError *error)
{
	root_key_forget(key);
	if (error->message == NULL)
		crypto_error(status, "use a root key");
	deferred_error_add_detail(error,
							  psprintf(_("The root key in it is for KEK label \"%s\" version %d."),
									   row->label, row->version));
}

/*
 * The first root key of the setting.  If it cannot be loaded an error is raised, with
 * purpose in its detail.
 */
static RootKey *
first_root_key(const char *purpose)
{
	DeferredError error;
	RootKey    *key = root_key_get(0, &error);

	if (!key->loaded)
		deferred_error_raise(&error, purpose);
	return key;
}

static RootKey *
sealing_root_key(const KekRow *row)
{
	return first_root_key(psprintf(_("It is the first of key_vault.root_key and is to seal KEK label \"%s\" version %d."),
								   row->label, row->version));
}

bool
root_key_is_first(const KekRow *row)
{
	return memcmp(sealing_root_key(row)->id, row->root_key_id, KEY_CHECK_VALUE_SIZE) == 0;
}

void
root_key_require_in_use(void)
{
	const RootKey *key = first_root_key(_("It is the first of key_vault.root_key and is to seal a KEK."));
	KekScan    *rows = kek_scan_begin();
	KekRow		row;
	bool		seals_any = false;
	bool		are_others_in_use = false;

	/* Mostly the first row is enough. */
	while (!seals_any && kek_scan_next(rows))
	{
		kek_scan_row(rows, &row);
		if (row.sealed_material == NULL)
			continue;
		if (memcmp(row.root_key_id, key->id, KEY_CHECK_VALUE_SIZE) == 0)
			seals_any = true;
		else if (row.state != KEK_SUSPENDED)
			are_others_in_use = true;
	}
	kek_scan_end(rows);
	if (are_others_in_use && !seals_any)
		ereport(ERROR,
				(errcode(ERRCODE_ROOT_KEY_WRONG),
				 errmsg("first root key of key_vault.root_key seals no KEK of this database"),
				 errdetail("Its key check value is %s.  What it sealed would be lost with it, if it is there by mistake.",
						   check_value_text(key->id)),
				 errhint("If it is the new root key, run SELECT key_vault.root_key_rotate() first.  If it is not, put the right one back.  If that is lost, suspend the KEKs that it seals with key_vault.kek_suspend().  The view key_vault.keks shows under which root keys the KEKs are sealed.")));
}

void
root_key_seal(KekRow *row, const uint8 *material)
{
	size_t		len = row->key_bits / 8;
	RootKey    *key = sealing_root_key(row);
	DeferredError error = {0};
	StringInfo	aad = additional_data(row, SEALED_LABEL_UTF8, kek_label_utf8(row->label));
	bytea	   *sealed_material = palloc(VARHDRSZ + SEALED_OVERHEAD + len);
	uint8	   *sealed = (uint8 *) VARDATA(sealed_material);
	CryptoStatus status;

	SET_VARSIZE(sealed_material, VARHDRSZ + SEALED_OVERHEAD + len);
	sealed[0] = SEALED_LABEL_UTF8;
	status = key->provider->seal(key, (uint8 *) aad->data, aad->len,
								 material, len, sealed + 1,
								 sealed + 1 + AEAD_NONCE_SIZE,
								 sealed + 1 + AEAD_NONCE_SIZE + len, &error);
	if (status != CRYPTO_OK)
	{
		describe_failure(key, row, status, &error);
		deferred_error_raise(&error, NULL);
	}
	row->sealed_material = sealed_material;
	memcpy(row->root_key_id, key->id, KEY_CHECK_VALUE_SIZE);
	pfree(aad->data);
}

static CryptoStatus
open_with_label(RootKey *key, const KekRow *row, const char *label, uint8 *material,
				DeferredError *error)
{
	const uint8 *sealed = (const uint8 *) VARDATA(row->sealed_material);
	size_t		len = row->key_bits / 8;
	StringInfo	aad = additional_data(row, sealed[0], label);
	CryptoStatus status;

	status = key->provider->open(key, sealed + 1, (uint8 *) aad->data, aad->len,
								 sealed + 1 + AEAD_NONCE_SIZE, len,
								 sealed + 1 + AEAD_NONCE_SIZE + len, material, error);
	pfree(aad->data);
	return status;
}

/*
 * Opens with the label in the encoding that the format says.  If that fails, the label
 * may have been in another encoding in the database in which the KEK was sealed, so
 * the other spellings are tried.
 */
static CryptoStatus
open_material(RootKey *key, const KekRow *row, uint8 *material, DeferredError *error)
{
	size_t		size = VARSIZE(row->sealed_material) - VARHDRSZ;
	uint8		format = size > 0 ? *(uint8 *) VARDATA(row->sealed_material) : 0;
	const char *label;
	CryptoStatus status;
	List	   *spellings;
	ListCell   *cell;

	if (size != SEALED_OVERHEAD + row->key_bits / 8 ||
		(format != SEALED_LABEL_AS_IS && format != SEALED_LABEL_UTF8))
		return CRYPTO_INTEGRITY;

	label = format == SEALED_LABEL_UTF8 ? kek_label_utf8(row->label) : row->label;
	status = open_with_label(key, row, label, material, error);
	if (status != CRYPTO_INTEGRITY)
		return status;

	spellings = kek_label_spellings(row->label);
	foreach(cell, spellings)
	{
		if (strcmp(lfirst(cell), label) == 0)
			continue;
		status = open_with_label(key, row, lfirst(cell), material, error);
		if (status != CRYPTO_INTEGRITY)
			break;
	}
	return status;
}

static CryptoStatus
check_material(const KekRow *row, const uint8 *material)
{
	uint8		kcv[KEY_CHECK_VALUE_SIZE];
	CryptoStatus status = key_check_value(material, row->key_bits / 8, kcv);

	if (status == CRYPTO_OK && memcmp(kcv, row->kcv, KEY_CHECK_VALUE_SIZE) != 0)
		status = CRYPTO_INTEGRITY;
	return status;
}

bool
root_key_try_open(const KekRow *row, uint8 *material, DeferredError *error)
{
	RootKey    *key = root_key_find(row, error);
	CryptoStatus status;

	if (key == NULL)
		return false;
	error->message = error->detail = error->hint = NULL;
	status = open_material(key, row, material, error);
	if (status == CRYPTO_OK)
	{
		status = check_material(row, material);
		if (status == CRYPTO_OK)
			return true;
		secure_wipe(material, row->key_bits / 8);
		if (status != CRYPTO_INTEGRITY)
			crypto_error(status, "compute a key check value");
	}
	if (status != CRYPTO_INTEGRITY)
	{
		describe_failure(key, row, status, error);
		return false;
	}

	return deferred_error_set(error, ERRCODE_KEK_MATERIAL_DAMAGED,
							  psprintf(_("sealed material of KEK label \"%s\" version %d is damaged"),
									   row->label, row->version),
							  psprintf(_("The root key with key check value %s is the right one, but the row's kek_id, label, version, material or key check value is not what was sealed."),
									   check_value_text(row->root_key_id)),
							  pstrdup(_("Restore the row of key_vault.kek from a backup.")));
}

void
root_key_open(const KekRow *row, uint8 *material)
{
	DeferredError error;

	if (!root_key_try_open(row, material, &error))
		deferred_error_raise(&error, NULL);
}
