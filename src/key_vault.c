/*
 * key_vault.c
 *	  What happens when the library is loaded: settings are defined and callbacks
 *	  registered.
 *
 * Invariant: nothing here reads a table or a root key, or takes memory for keys, since the
 * postmaster may load the library.
 */
#include "postgres.h"

#include <limits.h>

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/guc.h"

#include "catalog/drop_guard.h"
#include "catalog/invalidation.h"
#include "common/new_setting.h"
#include "common/secret_command.h"
#include "crypto/aead.h"
#include "crypto/aes.h"
#include "vault/plaintext_key.h"
#include "root_key/root_key.h"
#include "root_key/root_key_list.h"
#include "storage/incoming.h"
#include "token/kek_token.h"
#include "vault/cache_stats.h"
#include "vault/key_cache.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

static const struct config_enum_entry cache_modes[] = {
	{"off", KEY_CACHE_OFF, false},
	{"on", KEY_CACHE_ON, false},
	{"verify", KEY_CACHE_VERIFY, false},
	{"false", KEY_CACHE_OFF, true},
	{"true", KEY_CACHE_ON, true},
	{"no", KEY_CACHE_OFF, true},
	{"yes", KEY_CACHE_ON, true},
	{"0", KEY_CACHE_OFF, true},
	{"1", KEY_CACHE_ON, true},
	{NULL, 0, false}
};

static void
assign_root_key(const char *newval, void *extra)
{
	root_key_forget_all();
}

/*
 * Defines the settings, in the order of their names.  Limits of time are real numbers,
 * since 0 means no limit: PostgreSQL would round 1ms to an integer of 0 seconds.
 */
static void
define_settings(void)
{
	drop_guard_define_setting();
	DefineCustomBoolVariable(new_setting_name("key_vault.allow_hexadecimal_keys"),
							 "Whether a plaintext key may consist of hexadecimal digits or base64 as text.",
							 "Otherwise it is taken for a key that was not decoded.",
							 &plaintext_key_allow_hexadecimal, false, PGC_USERSET, 0,
							 NULL, NULL, NULL);
	DefineCustomEnumVariable(new_setting_name("key_vault.cache"),
							 "Whether unwrapped keys are kept in the session's memory.",
							 "With \"verify\", keys are unwrapped on a hit too, and compared.",
							 &key_cache_mode, KEY_CACHE_ON, cache_modes, PGC_SUSET, 0,
							 NULL, key_cache_assign_mode, NULL);
	DefineCustomRealVariable(new_setting_name("key_vault.cache_max_age"),
							 "Time after which an unwrapped key is wiped, at the session's next look-up.",
							 "0 is no limit.",
							 &key_cache_max_age, 600, 0, INT_MAX / 1000, PGC_SUSET,
							 GUC_UNIT_S, NULL, key_cache_assign_max_age, NULL);
	DefineCustomIntVariable(new_setting_name("key_vault.cache_max_uses"),
							"Number of uses after which a key is unwrapped anew.",
							"0 is no limit.",
							&key_cache_max_uses, 0, 0, INT_MAX, PGC_SUSET,
							0, NULL, key_cache_assign_max_uses, NULL);
	DefineCustomIntVariable(new_setting_name("key_vault.cache_size"),
							"Memory that a session may use for unwrapped keys.",
							"0 is room for one key.",
							&key_cache_size, 16384, 0, MAX_KILOBYTES, PGC_SUSET,
							GUC_UNIT_KB, NULL, key_cache_assign_size, NULL);
	DefineCustomRealVariable(new_setting_name("key_vault.cache_verify_rate"),
							 "Fraction of hits that are verified with key_vault.cache = verify.",
							 NULL,
							 &key_cache_verify_rate, 1.0, 0.0, 1.0, PGC_SUSET,
							 0, NULL, NULL, NULL);
	DefineCustomRealVariable(new_setting_name("key_vault.command_timeout"),
							 "Time that a command for a root key or a PIN may take.",
							 "0 is no limit.",
							 &secret_command_timeout, 60, 0, INT_MAX / 1000, PGC_SIGHUP,
							 GUC_SUPERUSER_ONLY | GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomStringVariable(new_setting_name("key_vault.reject_reason"),
							   "Why messages that come into storages are put into rejected and not stored.",
							   "Empty: they are stored.",
							   &incoming_reject_reason, "", PGC_USERSET, 0,
							   NULL, NULL, NULL);
	DefineCustomStringVariable(new_setting_name("key_vault.root_key"),
							   "Where the root keys come from that seal the KEKs.",
							   "A comma-separated list of URIs, file:/path, command:shell command or pkcs11:...; the first seals, all open.",
							   &root_key_setting, "", PGC_SIGHUP,
							   GUC_SUPERUSER_ONLY, root_key_check_setting, assign_root_key, NULL);
	DefineCustomStringVariable(new_setting_name("key_vault.tokens"),
							   "The tokens in which KEKs may be, and how to reach them.",
							   "A comma-separated list of PKCS#11 URIs, with module-path and pin-source.",
							   &kek_token_setting, "", PGC_SIGHUP,
							   GUC_SUPERUSER_ONLY, kek_token_check_setting, kek_token_assign, NULL);
	new_settings_end();
	MarkGUCPrefixReserved("key_vault");
}

void
_PG_init(void)
{
	define_settings();
	drop_guard_init();
	invalidation_init();
	key_cache_init();
	cache_stats_init();

	/* Then OpenSSL's search for them is not made in each session. */
	if (process_shared_preload_libraries_in_progress)
	{
		aes_fetch();
		aead_fetch();
	}
}
