/*
 * root_key_list.c
 *	  The root keys of the setting key_vault.root_key, loaded as needed.
 *
 * A root key is identified by its key check value, so that a wrong one is noticed, and
 * named in the error, before anything is opened with it.
 *
 * Invariants:
 * - The static list is whole at all times, also after an error.
 * - When the setting changes, the root keys that were loaded are wiped.
 * - One search loads no root key twice, so that it runs no command twice.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/builtins.h"

#include "../common/errors.h"
#include "../common/lasting_memory.h"
#include "../common/pending_setting.h"
#include "../common/uri_list.h"
#include "../token/token_uri.h"
#include "root_key_list.h"

char	   *root_key_setting = NULL;

static const RootKeyProvider *const providers[] = {
	&root_key_file_provider,
	&root_key_command_provider,
	&root_key_pkcs11_provider,
};

typedef struct RootKeyList
{
	MemoryContext context;		/* all of the list is in it */
	char	   *setting;		/* the value that it was made from */
	int			n;				/* number of keys */
	RootKey    *keys;			/* in the order of the setting */
} RootKeyList;

/* NULL until it is needed. */
static RootKeyList *root_keys = NULL;

void
root_key_forget(RootKey *key)
{
	if (key->loaded)
		key->provider->forget(key);
	key->loaded = false;
}

void
root_key_forget_all(void)
{
	RootKeyList *list = root_keys;

	if (list == NULL)
		return;
	root_keys = NULL;
	for (int i = 0; i < list->n; i++)
		root_key_forget(&list->keys[i]);
	MemoryContextDelete(list->context);
}

static const RootKeyProvider *
provider_of(const char *uri)
{
	for (int i = 0; i < lengthof(providers); i++)
		if (strncmp(uri, providers[i]->scheme, strlen(providers[i]->scheme)) == 0)
			return providers[i];
	return NULL;
}

/* No message shows an entry, since it may be a root key, or contain a PIN. */
static bool
check_entry(const char *uri, int entry, DeferredError *error)
{
	const RootKeyProvider *provider = provider_of(uri);

	if (provider != NULL)
		return provider->check(uri + strlen(provider->scheme), error);
	return deferred_error_set(error, ERRCODE_ROOT_KEY_SETTING,
							  _("setting \"key_vault.root_key\" has an entry without a known scheme"),
							  psprintf(_("An entry is \"file:/path\", \"command:shell command\" or \"pkcs11:...\"; entry %d is none of them."),
									   entry),
							  _("Put double quotes around an entry that contains a comma."));
}

bool
root_key_check_setting(char **newval, void **extra, GucSource source)
{
	const char *list = *newval;
	char	   *uri;
	DeferredError error;

	if (list == NULL)
		return true;
	if (!uri_list_check(list, "key_vault.root_key", ERRCODE_ROOT_KEY_SETTING, &error))
		return deferred_error_refuse_setting(&error);
	for (int entry = 1; (uri = uri_list_next(&list)) != NULL; entry++)
		if (!check_entry(uri, entry, &error))
			return deferred_error_refuse_setting(&error);
	return true;
}

/* Makes a list whose root keys are not loaded; NULL if an entry has no known scheme. */
static RootKeyList *
make_list(const char *setting)
{
	MemoryContext before = lasting_begin("key_vault root keys");
	RootKeyList *list = palloc0(sizeof(RootKeyList));
	const char *rest;
	char	   *uri;

	list->setting = pstrdup(setting);

	/* There are no more entries than characters. */
	list->keys = palloc0((strlen(setting) + 1) * sizeof(RootKey));
	for (rest = list->setting; (uri = uri_list_next(&rest)) != NULL; list->n++)
	{
		RootKey    *key = &list->keys[list->n];

		key->provider = provider_of(uri);
		if (key->provider == NULL)
		{
			MemoryContextSwitchTo(before);
			return NULL;
		}
		key->location = uri + strlen(key->provider->scheme);
	}
	list->context = lasting_keep(before);
	return list;
}

static void
ensure_list(void)
{
	if (root_keys == NULL)
		root_keys = make_list(root_key_setting ? root_key_setting : "");
	if (root_keys == NULL)
		elog(ERROR, "key_vault.root_key has an entry without a known scheme");
	if (root_keys->n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_ROOT_KEY_UNSET),
				 errmsg("setting \"key_vault.root_key\" is not set"),
				 errdetail("KEKs are stored sealed under a root key, and none is configured."),
				 errhint("Make one with: key_vault_make_root_key /etc/key_vault/root.key, as root or the server's user; then ALTER SYSTEM SET key_vault.root_key = 'file:/etc/key_vault/root.key' and SELECT pg_reload_conf().")));
}

static bool
ensure_loaded(RootKey *key, DeferredError *error)
{
	if (!key->loaded)
		key->loaded = key->provider->load(key, key->location, error);
	return key->loaded;
}

RootKey *
root_key_get(int n, DeferredError *error)
{
	ensure_list();
	if (n >= root_keys->n)
		return NULL;
	(void) ensure_loaded(&root_keys->keys[n], error);
	return &root_keys->keys[n];
}

char *
check_value_text(const uint8 kcv[KEY_CHECK_VALUE_SIZE])
{
	char	   *text = palloc(2 * KEY_CHECK_VALUE_SIZE + 1);

	hex_encode((const char *) kcv, KEY_CHECK_VALUE_SIZE, text);
	text[2 * KEY_CHECK_VALUE_SIZE] = '\0';
	return text;
}

/* The search for one root key in the list. */
typedef struct Search
{
	const uint8 *id;			/* key check value of the wanted root key */
	bool	   *tried;			/* for each key, whether this search loaded it */
	bool		has_error;
	DeferredError error;		/* of the first key that could not be loaded */
} Search;

static RootKey *
find_loaded(const Search *search)
{
	for (int i = 0; i < root_keys->n; i++)
	{
		RootKey    *key = &root_keys->keys[i];

		if (key->loaded && memcmp(key->id, search->id, KEY_CHECK_VALUE_SIZE) == 0)
			return key;
	}
	return NULL;
}

/*
 * Loads the keys that are not loaded yet until the right one is found.  If another key of
 * the list cannot be loaded, that is an error only if the right one is not found.
 */
static RootKey *
find_by_loading(Search *search)
{
	for (int i = 0; i < root_keys->n; i++)
	{
		RootKey    *key = &root_keys->keys[i];
		DeferredError error;

		if (key->loaded || search->tried[i])
			continue;
		search->tried[i] = true;
		if (ensure_loaded(key, &error))
		{
			if (memcmp(key->id, search->id, KEY_CHECK_VALUE_SIZE) == 0)
				return key;
		}
		else if (!search->has_error)
		{
			search->error = error;
			search->has_error = true;
		}
	}
	return NULL;
}

/*
 * Prepares a second search, since what is loaded may be out of date: a file may contain
 * another root key now, or the setting may have been changed by a reload, which this
 * session takes only when its statement has ended.
 */
static void
prepare_second_search(Search *search)
{
	const char *setting = pending_setting("key_vault.root_key", root_keys->setting);
	RootKeyList *newer = NULL;

	if (strcmp(setting, root_keys->setting) != 0)
		newer = make_list(setting);
	if (newer != NULL && newer->n > 0)
	{
		root_key_forget_all();
		root_keys = newer;
		search->tried = palloc0(newer->n * sizeof(bool));
		search->has_error = false;
		return;
	}
	for (int i = 0; i < root_keys->n; i++)
		if (!search->tried[i])
			root_key_forget(&root_keys->keys[i]);
}

static char *
ids_of_list(void)
{
	StringInfoData ids;

	initStringInfo(&ids);
	for (int i = 0; i < root_keys->n; i++)
		appendStringInfo(&ids, "%s%s", i > 0 ? ", " : "",
						 check_value_text(root_keys->keys[i].id));
	return ids.data;
}

static void
describe_missing(const KekRow *row, const Search *search, DeferredError *error)
{
	if (search->has_error)
	{
		*error = search->error;
		deferred_error_add_detail(error,
								  psprintf(_("It was tried for KEK label \"%s\" version %d, which is sealed under the root key with key check value %s."),
										   row->label, row->version,
										   check_value_text(row->root_key_id)));
		return;
	}
	(void) deferred_error_set(error, ERRCODE_ROOT_KEY_WRONG,
							  psprintf(_("KEK label \"%s\" version %d is sealed under another root key"),
									   row->label, row->version),
							  psprintf(_("It is sealed under the root key with key check value %s; key_vault.root_key has %s."),
									   check_value_text(row->root_key_id), ids_of_list()),
							  pstrdup(_("Add the root key that it was sealed under to the list in key_vault.root_key.")));
}

RootKey *
root_key_find(const KekRow *row, DeferredError *error)
{
	Search		search = {.id = row->root_key_id};
	RootKey    *key;

	ensure_list();
	search.tried = palloc0(root_keys->n * sizeof(bool));
	key = find_loaded(&search);
	if (key == NULL)
		key = find_by_loading(&search);
	if (key == NULL)
	{
		prepare_second_search(&search);
		key = find_by_loading(&search);
	}
	if (key == NULL)
		describe_missing(row, &search, error);
	return key;
}
