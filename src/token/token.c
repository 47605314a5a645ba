/*
 * token.c
 *	  Tokens that are reached through PKCS#11: their modules, sessions and logins.
 *
 * At first use, a backend loads the module and opens a session with the token; it keeps
 * both until it exits.  If a session is lost, the next use opens another.  When a module
 * has no session left it is finalized, and initialized again at the next use, since many
 * modules know only the tokens that were there when they were initialized.
 *
 * Invariants:
 * - The postmaster loads no module: a forked process must not use a module that its
 *   parent has initialized.
 * - The PIN is read from its source for each login, and wiped at once.
 * - A backend does not try a PIN again that the token has refused, but waits for another
 *   one.  No PIN is tried when one more refusal would lock the token.
 * - Only one backend at a time connects through a module.  So what the token says about
 *   refused PINs is still true at the login; and modules that keep tokens in files, as
 *   SoftHSM does, do not read a file while another login writes it.
 * - If something is wrong with a token, no error is raised here, but noted: there may be
 *   another root key.
 */
#include "postgres.h"

#include <dlfcn.h>
#include <signal.h>

#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lock.h"
#include "utils/memutils.h"

#include "../common/errors.h"
#include "../common/lasting_memory.h"
#include "../common/secret_command.h"
#include "../common/secret_source.h"
#include "../crypto/secure_memory.h"
#include "token.h"

/* p11-kit's module, which offers the tokens of all modules that the system knows. */
#define DEFAULT_MODULE "p11-kit-proxy.so"

/* In bytes.  PKCS#11 has no limit of its own; no token is known to take more. */
#define MAX_PIN_SIZE 256

static TokenModule *modules = NULL;
static Token *tokens = NULL;
static uint64 last_session_number = 0;

static bool
same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* A copy of a text that may be NULL. */
static char *
copy_text(const char *text)
{
	return text == NULL ? NULL : pstrdup(text);
}

Token *
token_get(const TokenUri *uri)
{
	Token	   *token;
	MemoryContext outer;

	for (token = tokens; token != NULL; token = token->next)
		if (same_text(token->uri.token, uri->token) &&
			same_text(token->uri.manufacturer, uri->manufacturer) &&
			same_text(token->uri.model, uri->model) &&
			same_text(token->uri.serial, uri->serial) &&
			same_text(token->uri.slot_id, uri->slot_id) &&
			same_text(token->uri.module_path, uri->module_path) &&
			same_text(token->uri.pin_source, uri->pin_source))
			return token;

	outer = lasting_begin("key_vault token");
	token = palloc0(sizeof(Token));
	token->uri.token = copy_text(uri->token);
	token->uri.manufacturer = copy_text(uri->manufacturer);
	token->uri.model = copy_text(uri->model);
	token->uri.serial = copy_text(uri->serial);
	token->uri.slot_id = copy_text(uri->slot_id);
	token->uri.module_path = copy_text(uri->module_path);
	token->uri.pin_source = copy_text(uri->pin_source);
	(void) lasting_keep(outer);
	token->next = tokens;
	tokens = token;
	return token;
}

const char *
token_name(const Token *token)
{
	return token->uri.token ? token->uri.token :
		token->uri.serial ? token->uri.serial :
		token->uri.model ? token->uri.model :
		token->uri.slot_id ? token->uri.slot_id : "";
}

static const char *
rv_name(CK_RV rv)
{
	static const struct
	{
		CK_RV		rv;
		const char *name;
	}			names[] =

	{
#define NAME(rv) {rv, #rv}
		NAME(CKR_HOST_MEMORY), NAME(CKR_SLOT_ID_INVALID), NAME(CKR_GENERAL_ERROR),
		NAME(CKR_FUNCTION_FAILED), NAME(CKR_ARGUMENTS_BAD), NAME(CKR_NEED_TO_CREATE_THREADS),
		NAME(CKR_CANT_LOCK), NAME(CKR_ATTRIBUTE_SENSITIVE), NAME(CKR_ATTRIBUTE_TYPE_INVALID),
		NAME(CKR_ATTRIBUTE_VALUE_INVALID), NAME(CKR_DEVICE_ERROR), NAME(CKR_DEVICE_MEMORY),
		NAME(CKR_DEVICE_REMOVED), NAME(CKR_FUNCTION_NOT_SUPPORTED), NAME(CKR_KEY_HANDLE_INVALID),
		NAME(CKR_KEY_SIZE_RANGE), NAME(CKR_KEY_TYPE_INCONSISTENT),
		NAME(CKR_KEY_FUNCTION_NOT_PERMITTED), NAME(CKR_KEY_NOT_WRAPPABLE),
		NAME(CKR_KEY_UNEXTRACTABLE), NAME(CKR_MECHANISM_INVALID),
		NAME(CKR_MECHANISM_PARAM_INVALID), NAME(CKR_OBJECT_HANDLE_INVALID),
		NAME(CKR_PIN_INCORRECT), NAME(CKR_PIN_INVALID), NAME(CKR_PIN_LEN_RANGE),
		NAME(CKR_PIN_EXPIRED), NAME(CKR_PIN_LOCKED), NAME(CKR_SESSION_CLOSED),
		NAME(CKR_SESSION_COUNT), NAME(CKR_SESSION_HANDLE_INVALID), NAME(CKR_SESSION_READ_ONLY),
		NAME(CKR_TEMPLATE_INCOMPLETE), NAME(CKR_TEMPLATE_INCONSISTENT),
		NAME(CKR_TOKEN_NOT_PRESENT), NAME(CKR_TOKEN_NOT_RECOGNIZED),
		NAME(CKR_TOKEN_WRITE_PROTECTED), NAME(CKR_UNWRAPPING_KEY_HANDLE_INVALID),
		NAME(CKR_USER_NOT_LOGGED_IN), NAME(CKR_USER_PIN_NOT_INITIALIZED),
		NAME(CKR_WRAPPING_KEY_HANDLE_INVALID), NAME(CKR_CRYPTOKI_NOT_INITIALIZED),
#undef NAME
	};

	for (int i = 0; i < lengthof(names); i++)
		if (names[i].rv == rv)
			return names[i].name;
	return psprintf("0x%lx", (unsigned long) rv);
}

void
token_describe_failure(const Token *token, const char *function, CK_RV rv, DeferredError *error)
{
	deferred_error_set(error, ERRCODE_TOKEN_FAILED,
					   psprintf("token \"%s\" failed", token_name(token)),
					   psprintf("%s answered %s.", function, rv_name(rv)), NULL);
}

bool
token_is_lost(CK_RV rv)
{
	switch (rv)
	{
		case CKR_SESSION_HANDLE_INVALID:
		case CKR_SESSION_CLOSED:
		case CKR_USER_NOT_LOGGED_IN:
		case CKR_DEVICE_REMOVED:
		case CKR_DEVICE_ERROR:
		case CKR_TOKEN_NOT_PRESENT:
		case CKR_TOKEN_NOT_RECOGNIZED:
		case CKR_SLOT_ID_INVALID:
		case CKR_KEY_HANDLE_INVALID:
		case CKR_OBJECT_HANDLE_INVALID:
		case CKR_WRAPPING_KEY_HANDLE_INVALID:
		case CKR_UNWRAPPING_KEY_HANDLE_INVALID:
		case CKR_CRYPTOKI_NOT_INITIALIZED:
			return true;
		default:
			return false;
	}
}

/* Runs when the backend exits: the modules close their sessions and wipe keys. */
static void
finalize_modules(int code, Datum arg)
{
	for (TokenModule *module = modules; module != NULL; module = module->next)
		if (module->is_initialized)
		{
			module->api->C_Finalize(NULL);
			module->is_initialized = false;
		}
}

static TokenModule *
load_module(const char *path, DeferredError *error)
{
	TokenModule *module;
	MemoryContext outer;
	MemoryContext context;
	void	   *library;
	CK_C_GetFunctionList get_function_list;
	CK_RV		rv;

	for (module = modules; module != NULL; module = module->next)
		if (strcmp(module->path, path) == 0)
			return module;

	if (IsPostmasterEnvironment && !IsUnderPostmaster)
		elog(ERROR, "a PKCS#11 module cannot be loaded in the postmaster");

	outer = lasting_begin("key_vault PKCS#11 module");
	module = palloc0(sizeof(TokenModule));
	module->path = pstrdup(path);
	context = MemoryContextSwitchTo(outer);

	library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (library == NULL)
	{
		deferred_error_set(error, ERRCODE_TOKEN_MODULE,
						   psprintf("could not load PKCS#11 module \"%s\"", path),
						   psprintf("%s.", dlerror()),
						   pstrdup("Name the module by module-path=/path in the URI; without it, p11-kit's is used."));
		return NULL;
	}
	get_function_list = (CK_C_GetFunctionList) dlsym(library, "C_GetFunctionList");
	rv = get_function_list == NULL ? CKR_FUNCTION_NOT_SUPPORTED : get_function_list(&module->api);
	if (rv != CKR_OK)
	{
		deferred_error_set(error, ERRCODE_TOKEN_MODULE,
						   psprintf("\"%s\" is not a PKCS#11 module", path),
						   psprintf("C_GetFunctionList answered %s.", rv_name(rv)), NULL);
		dlclose(library);
		return NULL;
	}
	if (modules == NULL)
		on_proc_exit(finalize_modules, (Datum) 0);
	MemoryContextSetParent(context, TopMemoryContext);
	module->next = modules;
	modules = module;
	return module;
}

static bool
initialize_module(TokenModule *module, DeferredError *error)
{
	sigset_t	all;
	sigset_t	before;
	CK_RV		rv;

	if (module->is_initialized)
		return true;

	/* If the module starts a thread, that must not get the backend's signals. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	rv = module->api->C_Initialize(NULL);
	sigprocmask(SIG_SETMASK, &before, NULL);

	if (rv != CKR_OK && rv != CKR_CRYPTOKI_ALREADY_INITIALIZED)
		return deferred_error_set(error, ERRCODE_TOKEN_MODULE,
								  psprintf("could not initialize PKCS#11 module \"%s\"", module->path),
								  psprintf("C_Initialize answered %s.", rv_name(rv)),
								  pstrdup("The module's own configuration must be readable to the server's operating system user."));
	module->is_initialized = true;
	return true;
}

void
token_disconnect(Token *token)
{
	TokenModule *module = token->module;

	if (!token->is_connected)
		return;
	token->is_connected = false;
	module->api->C_CloseSession(token->session);

	/* The module's other sessions stay open. */
	if (--module->sessions == 0)
	{
		module->api->C_Finalize(NULL);
		module->is_initialized = false;
	}
}

/* Whether a field of a token, which is padded with blanks, has the wanted value. */
static bool
field_is(const char *wanted, const unsigned char *field, size_t size)
{
	size_t		len = size;

	if (wanted == NULL)
		return true;
	while (len > 0 && field[len - 1] == ' ')
		len--;
	return strlen(wanted) == len && memcmp(wanted, field, len) == 0;
}

static bool
is_wanted(const TokenUri *uri, CK_SLOT_ID slot, const CK_TOKEN_INFO *info)
{
	return field_is(uri->token, info->label, sizeof(info->label)) &&
		field_is(uri->manufacturer, info->manufacturerID, sizeof(info->manufacturerID)) &&
		field_is(uri->model, info->model, sizeof(info->model)) &&
		field_is(uri->serial, info->serialNumber, sizeof(info->serialNumber)) &&
		(uri->slot_id == NULL || strcmp(uri->slot_id, psprintf("%lu", (unsigned long) slot)) == 0);
}

static bool
find_slot(Token *token, DeferredError *error)
{
	CK_FUNCTION_LIST_PTR api = token->module->api;
	CK_ULONG	n = 0;
	CK_SLOT_ID *slots;
	int			found = 0;
	int			others = 0;
	CK_RV		rv;

	rv = api->C_GetSlotList(CK_TRUE, NULL, &n);
	slots = palloc((n + 1) * sizeof(CK_SLOT_ID));
	if (rv == CKR_OK)
		rv = api->C_GetSlotList(CK_TRUE, slots, &n);
	if (rv != CKR_OK)
	{
		token_describe_failure(token, "C_GetSlotList", rv, error);
		return false;
	}
	for (CK_ULONG i = 0; i < n; i++)
	{
		CK_TOKEN_INFO info;

		if (api->C_GetTokenInfo(slots[i], &info) != CKR_OK ||
			(info.flags & CKF_TOKEN_INITIALIZED) == 0)
			continue;
		if (is_wanted(&token->uri, slots[i], &info))
		{
			token->slot = slots[i];
			found++;
		}
		else
			others++;
	}
	if (found == 1)
		return true;
	if (found == 0)
		return deferred_error_set(error, ERRCODE_TOKEN_MISSING,
								  psprintf("token \"%s\" is not there", token_name(token)),
								  psprintf("Other tokens of PKCS#11 module \"%s\": %d.",
										   token->module->path, others),
								  pstrdup("Connect the token; it is looked for again at the next use.  Label and serial number in the URI must be the token's."));
	return deferred_error_set(error, ERRCODE_TOKEN_URI,
							  psprintf("token \"%s\" is there %d times", token_name(token), found), NULL,
							  pstrdup("Add serial= to the URI, to tell them apart."));
}

static bool
read_pin(Token *token, char *pin, size_t *pin_size, DeferredError *error)
{
	const char *source = token->uri.pin_source;
	bool		done;

	if (source == NULL)
		return deferred_error_set(error, ERRCODE_TOKEN_PIN,
								  psprintf("token \"%s\" asks for a PIN", token_name(token)), NULL,
								  pstrdup("Add pin-source=file:/path or pin-source=|command to its URI."));

	if (*source == '|')
		done = secret_command_read("PIN command", source + 1, pin, MAX_PIN_SIZE, pin_size,
								   error);
	else
		done = secret_file_read("PIN file",
								strncmp(source, "file:", 5) == 0 ? source + 5 : source,
								pin, MAX_PIN_SIZE, pin_size, error);
	if (!done)
	{
		error->sqlstate = ERRCODE_TOKEN_PIN;
		return false;
	}
	if (*pin_size > 0 && pin[*pin_size - 1] == '\n')
		(*pin_size)--;
	if (*pin_size > 0 && pin[*pin_size - 1] == '\r')
		(*pin_size)--;
	return true;
}

/* Logs in with the PIN, unless that could lock the token. */
static bool
try_pin(Token *token, const CK_TOKEN_INFO *info, char *pin, size_t pin_size, DeferredError *error)
{
	uint64		hash = hash_bytes_extended((const unsigned char *) pin, pin_size, 0);
	CK_RV		rv;

	if (token->has_refused_pin && token->refused_pin == hash)
		return deferred_error_set(error, ERRCODE_TOKEN_PIN,
								  psprintf("PIN of token \"%s\" is wrong", token_name(token)),
								  pstrdup("The token refused it before, and it is not tried again: that could lock the token."),
								  pstrdup("Correct the PIN where pin-source says."));

	if ((info->flags & CKF_USER_PIN_LOCKED) != 0)
		rv = CKR_PIN_LOCKED;
	else if ((info->flags & CKF_USER_PIN_FINAL_TRY) != 0)
		return deferred_error_set(error, ERRCODE_TOKEN_PIN,
								  psprintf("PIN of token \"%s\" is not tried", token_name(token)),
								  pstrdup("Wrong PINs were tried before; one more would lock the token."),
								  pstrdup("Correct the PIN where pin-source says, then log in once by hand with the right one: pkcs11-tool --login --list-objects."));
	else
		rv = token->module->api->C_Login(token->session, CKU_USER, (unsigned char *) pin,
										 pin_size);

	switch (rv)
	{
		case CKR_OK:
		case CKR_USER_ALREADY_LOGGED_IN:
			token->has_refused_pin = false;
			return true;
		case CKR_PIN_INCORRECT:
		case CKR_PIN_INVALID:
		case CKR_PIN_LEN_RANGE:
			token->has_refused_pin = true;
			token->refused_pin = hash;
			return deferred_error_set(error, ERRCODE_TOKEN_PIN,
									  psprintf("PIN of token \"%s\" is wrong", token_name(token)),
									  psprintf("C_Login answered %s.", rv_name(rv)),
									  pstrdup("Correct the PIN where pin-source says."));
		case CKR_PIN_LOCKED:
		case CKR_PIN_EXPIRED:
		case CKR_USER_PIN_NOT_INITIALIZED:
			return deferred_error_set(error, ERRCODE_TOKEN_PIN,
									  psprintf("PIN of token \"%s\" cannot be used", token_name(token)),
									  psprintf("C_Login answered %s.", rv_name(rv)),
									  pstrdup("The token's security officer can set a new PIN."));
		default:
			token_describe_failure(token, "C_Login", rv, error);
			return false;
	}
}

static bool
log_in(Token *token, DeferredError *error)
{
	CK_TOKEN_INFO info;
	char		pin[MAX_PIN_SIZE];
	size_t		pin_size;
	bool		done;
	CK_RV		rv = token->module->api->C_GetTokenInfo(token->slot, &info);

	if (rv != CKR_OK)
	{
		token_describe_failure(token, "C_GetTokenInfo", rv, error);
		return false;
	}
	if ((info.flags & CKF_LOGIN_REQUIRED) == 0)
		return true;

	PG_TRY();
	{
		done = read_pin(token, pin, &pin_size, error) &&
			try_pin(token, &info, pin, pin_size, error);
	}
	PG_FINALLY();
	{
		secure_wipe(pin, sizeof(pin));
	}
	PG_END_TRY();
	return done;
}

static bool
open_session(Token *token, DeferredError *error)
{
	CK_RV		rv = token->module->api->C_OpenSession(token->slot, CKF_SERIAL_SESSION, NULL,
													   NULL, &token->session);

	if (rv == CKR_OK)
		return true;
	token_describe_failure(token, "C_OpenSession", rv, error);
	return false;
}

/*
 * Waits until no other backend connects through this module; the wait can be cancelled.  The
 * lock is a relation extension lock, the only type that parallel workers do not share
 * with each other.  It is in database 0, which does not exist, so no relation has it.
 */
static void
lock_module(const TokenModule *module, LOCKTAG *tag)
{
	SET_LOCKTAG_RELATION_EXTEND(*tag, InvalidOid,
								hash_bytes((const unsigned char *) module->path,
										   strlen(module->path)));
	(void) LockAcquire(tag, ExclusiveLock, false, false);
}

bool
token_connect(Token *token, DeferredError *error)
{
	LOCKTAG		tag;

	if (token->is_connected)
		return true;

	if (token->module == NULL)
	{
		token->module = load_module(token->uri.module_path ? token->uri.module_path :
									DEFAULT_MODULE, error);
		if (token->module == NULL)
			return false;
	}

	lock_module(token->module, &tag);
	if (initialize_module(token->module, error))
	{
		/* From here on, token_disconnect() undoes what is done. */
		token->module->sessions++;
		token->is_connected = true;
		token->session = CK_INVALID_HANDLE;
		PG_TRY();
		{
			if (find_slot(token, error) && open_session(token, error) &&
				log_in(token, error))
				token->session_number = ++last_session_number;
			else
				token_disconnect(token);
		}
		PG_CATCH();
		{
			token_disconnect(token);
			PG_RE_THROW();
		}
		PG_END_TRY();
	}
	LockRelease(&tag, ExclusiveLock, false);
	return token->is_connected;
}
