/*
 * kek_token.c
 *	  KEKs that live in tokens.
 *
 * The provider of such a KEK is a PKCS#11 URI that says in which token it is, and
 * nothing else.  How to reach the token (its module and PIN) is in the setting
 * key_vault.tokens.  Otherwise somebody who may create a KEK, or write to a
 * publisher's table, could make the server load any library.  The id of the key in
 * the token is the kek_id.
 *
 * Tokens have no transactions.  Invariants:
 * - A key in the token is destroyed only after the transaction that destroys the KEK
 *   has committed.
 * - A key that was made in a transaction that does not commit is destroyed again.  If
 *   that fails, or the server crashes, the key stays in the token, and nothing uses it.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"

#include "../catalog/kek_label.h"
#include "../common/errors.h"
#include "../common/pending_setting.h"
#include "../common/uri_list.h"
#include "kek_token.h"

char	   *kek_token_setting = NULL;
uint64		kek_token_generation = 1;

/* A key that is to be destroyed when the transaction commits, or when it aborts. */
typedef struct PendingKey
{
	struct PendingKey *next;
	TokenKey	key;
	bool		at_commit;		/* false: at abort */
	int			nest_level;		/* of the subtransaction it belongs to */
	char		kek[FLEXIBLE_ARRAY_MEMBER]; /* name of the KEK in messages */
} PendingKey;

/* In TopTransactionContext; the last one is at the start. */
static PendingKey *pending_keys = NULL;

void
kek_token_assign(const char *newval, void *extra)
{
	kek_token_generation++;
}

static bool
parse(const char *text, const char *what, TokenUri *uri, DeferredError *error)
{
	if (strncmp(text, TOKEN_URI_SCHEME, strlen(TOKEN_URI_SCHEME)) != 0)
	{
		return deferred_error_set(error, ERRCODE_TOKEN_URI,
								  psprintf(_("%s is not a PKCS#11 URI"), what),
								  NULL,
								  pstrdup(_("Write it as pkcs11:token=label, the token's label percent-encoded.")));
	}
	if (token_uri_parse(text + strlen(TOKEN_URI_SCHEME), uri, error))
		return true;
	deferred_error_add_detail(error, psprintf(_("It is %s."), what));
	return false;
}

/* Whether an attribute is as the provider says, if it says anything of it. */
static bool
is_as_wanted(const char *wanted, const char *actual)
{
	return wanted == NULL || (actual != NULL && strcmp(wanted, actual) == 0);
}

bool
kek_token_check_setting(char **newval, void **extra, GucSource source)
{
	const char *list = *newval;
	char	   *entry;
	TokenUri	uri;
	DeferredError error;

	if (list == NULL)
		return true;
	if (!uri_list_check(list, "key_vault.tokens", ERRCODE_TOKEN_URI, &error))
		return deferred_error_refuse_setting(&error);
	while ((entry = uri_list_next(&list)) != NULL)
		if (!parse(entry, _("an entry of key_vault.tokens"), &uri, &error))
			return deferred_error_refuse_setting(&error);
	return true;
}

/* The token in a list of URIs that has the wanted attributes; NULL if there is none. */
static Token *
find_in_setting(const TokenUri *wanted, const char *list)
{
	TokenUri	uri;
	char	   *entry;
	DeferredError error;

	while ((entry = uri_list_next(&list)) != NULL)
	{
		if (!parse(entry, _("an entry of key_vault.tokens"), &uri, &error))
			deferred_error_raise(&error, NULL);
		if (is_as_wanted(wanted->token, uri.token) &&
			is_as_wanted(wanted->serial, uri.serial) &&
			is_as_wanted(wanted->manufacturer, uri.manufacturer) &&
			is_as_wanted(wanted->model, uri.model))
			return token_get(&uri);
	}
	return NULL;
}

/*
 * The token that a provider names; an error if the setting has none.  The token may be
 * one that came into the setting by a reload, which this session takes only when its
 * statement has ended; so a setting that was reloaded is searched, too.
 */
static Token *
find_token(const char *provider)
{
	const char *list = kek_token_setting ? kek_token_setting : "";
	TokenUri	wanted;
	Token	   *token;
	DeferredError error;

	if (!parse(provider, _("the provider of a KEK"), &wanted, &error))
		deferred_error_raise(&error, NULL);
	if (wanted.object != NULL || wanted.id != NULL || wanted.slot_id != NULL ||
		wanted.module_path != NULL || wanted.pin_source != NULL ||
		(wanted.token == NULL && wanted.serial == NULL))
		ereport(ERROR,
				(errcode(ERRCODE_TOKEN_URI),
				 errmsg("provider of a KEK must name a token, and nothing else"),
				 errdetail("It must have token or serial, and may have manufacturer and model.  The key is made in the token; module and PIN are in the setting key_vault.tokens.")));

	token = find_in_setting(&wanted, list);
	if (token == NULL)
		token = find_in_setting(&wanted, pending_setting("key_vault.tokens", list));
	if (token == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_TOKEN_URI),
				 errmsg("setting \"key_vault.tokens\" has no entry for \"%s\"", provider),
				 errhint("Add one that has the same attributes, and after a question mark module-path and pin-source.")));
	return token;
}

void
kek_token_check_provider(const char *provider)
{
	for (const char *c = provider; *c != '\0'; c++)
		if (IS_HIGHBIT_SET(*c))
			ereport(ERROR,
					(errcode(ERRCODE_TOKEN_URI),
					 errmsg("provider of a KEK is not percent-encoded"),
					 errdetail("Letters other than those of ASCII differ from one database encoding to another."),
					 errhint("Write each byte of their UTF-8 form as a percent sign and two hexadecimal digits.")));
	(void) find_token(provider);
}

void
kek_token_key(const KekRow *row, TokenKey *key)
{
	memset(key, 0, sizeof(*key));
	key->token = find_token(row->provider);
	key->id_size = UUID_LEN;
	memcpy(key->id, &row->kek_id, UUID_LEN);
	key->has_kcv = true;
	memcpy(key->kcv, row->kcv, KEY_CHECK_VALUE_SIZE);
}

void
kek_token_report(const DeferredError *error, const KekRow *row)
{
	deferred_error_raise(error,
						 psprintf(_("KEK label \"%s\" version %d is in that token."),
								  row->label, row->version));
}

/* A failure is a warning: when a transaction has ended it is too late for an error. */
static void
destroy_pending(PendingKey *pending)
{
	DeferredError error;

	if (!token_key_destroy(&pending->key, &error))
	{
		error.hint = pstrdup("Delete it in the token by its id, which is the kek_id.");
		deferred_error_warn(&error, psprintf(_("The key of %s stays in the token."), pending->kek));
	}
}

static void
end_transaction(XactEvent event, void *arg)
{
	PendingKey *pending;
	bool		committed;

	switch (event)
	{
		case XACT_EVENT_COMMIT:
			committed = true;
			break;
		case XACT_EVENT_ABORT:
			committed = false;
			break;
		case XACT_EVENT_PRE_PREPARE:
			if (pending_keys != NULL)
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 errmsg("cannot PREPARE a transaction that has made or destroyed a KEK in a token")));
			return;
		default:
			return;
	}
	pending = pending_keys;
	pending_keys = NULL;
	for (; pending != NULL; pending = pending->next)
		if (pending->at_commit == committed)
			destroy_pending(pending);
}

static void
end_subtransaction(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	int			nest_level = GetCurrentTransactionNestLevel();
	PendingKey **link = &pending_keys;

	if (event != SUBXACT_EVENT_COMMIT_SUB && event != SUBXACT_EVENT_ABORT_SUB)
		return;
	while (*link != NULL)
	{
		PendingKey *pending = *link;

		if (pending->nest_level < nest_level)
			break;
		if (event == SUBXACT_EVENT_COMMIT_SUB)
		{
			pending->nest_level = nest_level - 1;
			link = &pending->next;
			continue;
		}
		*link = pending->next;
		if (!pending->at_commit)
			destroy_pending(pending);
	}
}

/* To be called before the key is made or destroyed, so that no error can follow that. */
static PendingKey *
make_pending(const KekRow *row, bool at_commit)
{
	static bool registered = false;
	char	   *kek = psprintf(_("KEK label \"%s\" version %d"), row->label, row->version);
	PendingKey *pending = MemoryContextAllocZero(TopTransactionContext,
												 offsetof(PendingKey, kek) + strlen(kek) + 1);

	if (!registered)
	{
		RegisterXactCallback(end_transaction, NULL);
		RegisterSubXactCallback(end_subtransaction, NULL);
		registered = true;
	}
	memcpy(pending->kek, kek, strlen(kek) + 1);
	pending->at_commit = at_commit;
	pending->nest_level = GetCurrentTransactionNestLevel();
	return pending;
}

static void
add_pending(PendingKey *pending, const TokenKey *key)
{
	pending->key = *key;
	pending->key.label = NULL;
	pending->next = pending_keys;
	pending_keys = pending;
}

void
kek_token_generate(KekRow *row)
{
	PendingKey *pending = make_pending(row, false);
	TokenKey	key;
	DeferredError error;

	kek_token_key(row, &key);
	key.has_kcv = false;
	key.label = psprintf("key_vault %s %d", kek_label_utf8(row->label), row->version);
	if (!token_key_generate(&key, row->key_bits / 8, &error))
		kek_token_report(&error, row);
	add_pending(pending, &key);
	memcpy(row->kcv, key.kcv, KEY_CHECK_VALUE_SIZE);
}

void
kek_token_destroy(const KekRow *row)
{
	PendingKey *pending = make_pending(row, true);
	TokenKey	key;
	DeferredError error;

	/* If the token is lost for good, it must be possible to destroy its KEKs. */
	kek_token_key(row, &key);
	if (!token_key_find(&key, &error))
	{
		deferred_error_warn(&error,
							psprintf(_("If the key of KEK label \"%s\" version %d is there, it stays in the token."),
									 row->label, row->version));
		return;
	}
	add_pending(pending, &key);
}
