/*
 * root_key.c
 *	  Root keys: the list in key_vault.root_key, sealing and opening.
 *
 * The setting is a comma-separated list of URIs; one with a comma in it stands
 * in double quotes.  The first seals, all open.  A root key is known by its key
 * check value, so that a wrong one is found and named before it is tried.
 *
 * Sealed material is a format byte (1), the nonce (12 bytes), the ciphertext
 * and the tag (16 bytes) of AES-256-GCM.  The additional data binds it to the
 * row's kek_id, label and version: material moved to another row does not open.
 *
 * Invariant: root keys loaded under one value of the setting are wiped when it
 * changes.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "../common/errors.h"
#include "../common/uri_list.h"
#include "../crypto/secure_memory.h"
#include "../token/token_uri.h"
#include "root_key.h"
#include "root_key_provider.h"

#define SEALED_FORMAT 1
#define SEALED_OVERHEAD (1 + AEAD_NONCE_SIZE + AEAD_TAG_SIZE)

char	   *root_key_setting = NULL;

static const RootKeyProvider *const providers[] = {
	&root_key_file_provider,
	&root_key_command_provider,
	&root_key_pkcs11_provider,
};

/* The setting's root keys, in its order; empty until first needed. */
static RootKey *root_keys = NULL;
static int	n_root_keys = 0;

void
root_key_forget_all(void)
{
	for (int i = 0; i < n_root_keys; i++)
	{
		if (root_keys[i].loaded)
			root_keys[i].provider->forget(&root_keys[i]);
		pfree(root_keys[i].location);
	}
	if (root_keys != NULL)
		pfree(root_keys);
	root_keys = NULL;
	n_root_keys = 0;
}

/*
 * A PIN in the setting would be shown to whoever may see the setting, and
 * logged when it is wrong: so it never gets there.
 */
bool
root_key_check_setting(char **newval, void **extra, GucSource source)
{
	const char *list = *newval;
	char	   *uri;

	if (list == NULL)
		return true;
	while ((uri = uri_list_next(&list)) != NULL)
		if (strncmp(uri, TOKEN_URI_SCHEME, strlen(TOKEN_URI_SCHEME)) == 0 &&
			strstr(uri, "pin-value=") != NULL)
		{
			GUC_check_errcode(ERRCODE_TOKEN_URI);
			GUC_check_errmsg("PKCS#11 URI with a PIN in it is refused");
			GUC_check_errhint("Use pin-source=file:/path, or pin-source=|command, in place of pin-value, and change the PIN.");
			return false;
		}
	return true;
}

static void
add_root_key(const char *uri)
{
	int			entry;

	for (int i = 0; i < lengthof(providers); i++)
	{
		size_t		scheme_len = strlen(providers[i]->scheme);

		if (strncmp(uri, providers[i]->scheme, scheme_len) == 0)
		{
			char	   *location = MemoryContextStrdup(TopMemoryContext, uri + scheme_len);

			root_keys[n_root_keys].provider = providers[i];
			root_keys[n_root_keys].location = location;
			n_root_keys++;
			return;
		}
	}
	entry = n_root_keys + 1;
	root_key_forget_all();
	ereport(ERROR,
			(errcode(ERRCODE_ROOT_KEY_SETTING),
			 errmsg("setting \"key_vault.root_key\" has an entry without a known scheme"),
			 errdetail("An entry is \"file:/path\", \"command:shell command\" or \"pkcs11:...\"; entry %d is none of them.",
					   entry),
			 errhint("Put double quotes around an entry that contains a comma.")));
}

static void
parse_setting(void)
{
	const char *list = root_key_setting ? root_key_setting : "";
	char	   *uri;

	if (root_keys != NULL)
		return;

	/* There are no more entries than commas and one. */
	root_keys = MemoryContextAllocZero(TopMemoryContext,
									   (strlen(list) + 1) * sizeof(RootKey));
	while ((uri = uri_list_next(&list)) != NULL)
		add_root_key(uri);

	if (n_root_keys == 0)
	{
		root_key_forget_all();
		ereport(ERROR,
				(errcode(ERRCODE_ROOT_KEY_UNSET),
				 errmsg("setting \"key_vault.root_key\" is not set"),
				 errdetail("KEKs are stored sealed under a root key, and none is configured."),
				 errhint("Make one with: openssl rand -hex 32; put it into a file that only the server's user can read, outside the data directory; then ALTER SYSTEM SET key_vault.root_key = 'file:/path' and SELECT pg_reload_conf().")));
	}
}

static bool
ensure_loaded(RootKey *key, DeferredError *error)
{
	if (!key->loaded)
		key->loaded = key->provider->load(key, key->location, error);
	return key->loaded;
}

bool
root_key_status(int n, RootKeyStatus *status)
{
	const char *scheme;
	DeferredError error;

	parse_setting();
	if (n >= n_root_keys)
		return false;

	scheme = root_keys[n].provider->scheme;
	status->scheme = pnstrdup(scheme, strlen(scheme) - 1);
	status->sqlstate = ensure_loaded(&root_keys[n], &error) ? 0 : error.sqlstate;
	memcpy(status->id, root_keys[n].id, KEY_CHECK_VALUE_SIZE);
	return true;
}

static char *
check_value_text(const uint8 kcv[KEY_CHECK_VALUE_SIZE])
{
	char	   *text = palloc(2 * KEY_CHECK_VALUE_SIZE + 1);

	hex_encode((const char *) kcv, KEY_CHECK_VALUE_SIZE, text);
	text[2 * KEY_CHECK_VALUE_SIZE] = '\0';
	return text;
}

/*
 * The root key with an id.  One that cannot be had is passed over as long as
 * another fits: then it is no reason to refuse.
 */
static RootKey *
find_root_key(const KekRow *row)
{
	DeferredError error;
	bool		has_error = false;
	StringInfoData ids;

	/* The second round reads the keys anew: a file may hold another by now. */
	for (int round = 0; round < 2; round++)
	{
		if (round > 0)
			root_key_forget_all();
		parse_setting();
		has_error = false;
		for (int i = 0; i < n_root_keys; i++)
		{
			DeferredError this_error;

			if (!ensure_loaded(&root_keys[i], &this_error))
			{
				if (!has_error)
					error = this_error;
				has_error = true;
			}
			else if (memcmp(root_keys[i].id, row->root_key_id, KEY_CHECK_VALUE_SIZE) == 0)
				return &root_keys[i];
		}
	}

	if (has_error)
		deferred_error_raise(&error,
							 psprintf(_("It was tried for KEK label \"%s\" version %d, which is sealed under the root key with key check value %s."),
									  row->label, row->version, check_value_text(row->root_key_id)));

	initStringInfo(&ids);
	for (int i = 0; i < n_root_keys; i++)
		appendStringInfo(&ids, "%s%s", i > 0 ? ", " : "", check_value_text(root_keys[i].id));
	ereport(ERROR,
			(errcode(ERRCODE_ROOT_KEY_WRONG),
			 errmsg("KEK label \"%s\" version %d is sealed under another root key",
					row->label, row->version),
			 errdetail("It is sealed under the root key with key check value %s; key_vault.root_key has %s.",
					   check_value_text(row->root_key_id), ids.data),
			 errhint("Add the root key that it was sealed under to the list in key_vault.root_key.")));
}

/* What the sealed material is bound to: kek_id, version and label. */
static bytea *
additional_data(const KekRow *row)
{
	static const char domain[] = "key_vault KEK material 1";
	StringInfoData data;
	uint32		version = pg_hton32((uint32) row->version);

	initStringInfo(&data);
	appendStringInfoSpaces(&data, VARHDRSZ);
	appendBinaryStringInfo(&data, domain, sizeof(domain));
	appendBinaryStringInfo(&data, (const char *) &row->kek_id, UUID_LEN);
	appendBinaryStringInfo(&data, (const char *) &version, sizeof(version));
	appendBinaryStringInfo(&data, row->label, strlen(row->label));
	SET_VARSIZE(data.data, data.len);
	return (bytea *) data.data;
}

/* The root key could not be used.  Next time it is loaded anew. */
static void
report_failure(RootKey *key, const KekRow *row, CryptoStatus status, const DeferredError *error)
{
	key->provider->forget(key);
	key->loaded = false;
	if (error->message == NULL)
		elog(ERROR, "could not use a root key: crypto status %d", status);
	deferred_error_raise(error,
						 psprintf(_("The root key in it is for KEK label \"%s\" version %d."),
								  row->label, row->version));
}

/* The first of the list, which is to seal the KEK of a row. */
static RootKey *
sealing_root_key(const KekRow *row)
{
	DeferredError error;

	parse_setting();
	if (!ensure_loaded(&root_keys[0], &error))
		deferred_error_raise(&error,
							 psprintf(_("It is the first of key_vault.root_key and is to seal KEK label \"%s\" version %d."),
									  row->label, row->version));
	return &root_keys[0];
}

bool
root_key_is_first(const KekRow *row)
{
	return memcmp(sealing_root_key(row)->id, row->root_key_id, KEY_CHECK_VALUE_SIZE) == 0;
}

void
root_key_seal(KekRow *row, const uint8 *material)
{
	size_t		len = row->key_bits / 8;
	RootKey    *key = sealing_root_key(row);
	DeferredError error = {0};
	bytea	   *aad = additional_data(row);
	uint8	   *sealed;
	CryptoStatus status;

	row->sealed_material = palloc(VARHDRSZ + SEALED_OVERHEAD + len);
	SET_VARSIZE(row->sealed_material, VARHDRSZ + SEALED_OVERHEAD + len);
	sealed = (uint8 *) VARDATA(row->sealed_material);
	sealed[0] = SEALED_FORMAT;
	status = key->provider->seal(key, (uint8 *) VARDATA(aad), VARSIZE(aad) - VARHDRSZ,
								 material, len, sealed + 1,
								 sealed + 1 + AEAD_NONCE_SIZE,
								 sealed + 1 + AEAD_NONCE_SIZE + len, &error);
	if (status != CRYPTO_OK)
		report_failure(key, row, status, &error);
	memcpy(row->root_key_id, key->id, KEY_CHECK_VALUE_SIZE);
	pfree(aad);
}

void
root_key_open(const KekRow *row, uint8 *material)
{
	RootKey    *key = find_root_key(row);
	DeferredError error = {0};
	size_t		len = row->key_bits / 8;
	bytea	   *aad = additional_data(row);
	const uint8 *sealed = (const uint8 *) VARDATA(row->sealed_material);
	uint8		kcv[KEY_CHECK_VALUE_SIZE];
	CryptoStatus status = CRYPTO_INTEGRITY;

	if (VARSIZE(row->sealed_material) - VARHDRSZ == SEALED_OVERHEAD + len &&
		sealed[0] == SEALED_FORMAT)
		status = key->provider->open(key, sealed + 1,
									 (uint8 *) VARDATA(aad), VARSIZE(aad) - VARHDRSZ,
									 sealed + 1 + AEAD_NONCE_SIZE, len,
									 sealed + 1 + AEAD_NONCE_SIZE + len, material,
									 &error);
	pfree(aad);

	if (status == CRYPTO_OK)
		status = key_check_value(material, len, kcv);
	if (status == CRYPTO_OK && memcmp(kcv, row->kcv, KEY_CHECK_VALUE_SIZE) != 0)
		status = CRYPTO_INTEGRITY;
	if (status == CRYPTO_INTEGRITY)
	{
		secure_wipe(material, len);
		ereport(ERROR,
				(errcode(ERRCODE_KEK_MATERIAL_DAMAGED),
				 errmsg("sealed material of KEK label \"%s\" version %d is damaged",
						row->label, row->version),
				 errdetail("The root key with key check value %s is the right one, but the row's kek_id, label, version, material or key check value is not what was sealed.",
						   check_value_text(row->root_key_id)),
				 errhint("Restore the row of key_vault.kek from a backup.")));
	}
	if (status != CRYPTO_OK)
	{
		secure_wipe(material, len);
		report_failure(key, row, status, &error);
	}
}
