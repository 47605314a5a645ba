/*
 * fault.c
 *	  Makes the nth allocation fail that the library asks for, once.
 *
 * Linked into a copy of the library with the linker's --wrap, so that each call of
 * a function below comes here first; and for what OpenSSL allocates itself,
 * together with fail_malloc.c, preloaded into the server.
 */
#include "postgres.h"

#include <dlfcn.h>

#include "fmgr.h"
#include "lib/stringinfo.h"
#include "nodes/pg_list.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

static bool counting = false;
static int	calls = 0;
static int	fails_at = 0;

extern Datum fail_at(PG_FUNCTION_ARGS);
extern Datum fail_openssl_at(PG_FUNCTION_ARGS);

static bool
fails(void)
{
	return counting && ++calls == fails_at;
}

static void
may_fail(void)
{
	if (fails())
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"), errdetail("Call %d fails.", calls)));
}

#define WRAPPED(type, name, parameters, arguments) \
extern type __real_##name parameters; \
extern type __wrap_##name parameters; \
type __wrap_##name parameters { may_fail(); return __real_##name arguments; }

#define WRAPPED_NULL(type, name, parameters, arguments) \
extern type __real_##name parameters; \
extern type __wrap_##name parameters; \
type __wrap_##name parameters { return fails() ? NULL : __real_##name arguments; }

WRAPPED(void *, palloc, (Size size), (size))
WRAPPED(void *, palloc0, (Size size), (size))
WRAPPED(void *, repalloc, (void *pointer, Size size), (pointer, size))
WRAPPED(void *, repalloc_huge, (void *pointer, Size size), (pointer, size))
WRAPPED(char *, pstrdup, (const char *in), (in))
WRAPPED(char *, pnstrdup, (const char *in, Size len), (in, len))
WRAPPED(void *, MemoryContextAlloc, (MemoryContext context, Size size), (context, size))
WRAPPED(void *, MemoryContextAllocZero, (MemoryContext context, Size size), (context, size))
WRAPPED(char *, MemoryContextStrdup, (MemoryContext context, const char *in), (context, in))
WRAPPED(MemoryContext, AllocSetContextCreateInternal, (MemoryContext parent, const char *name, Size minimum, Size initial, Size maximum), (parent, name, minimum, initial, maximum))
WRAPPED(HTAB *, hash_create, (const char *name, long n, const HASHCTL *info, int flags), (name, n, info, flags))
WRAPPED(List *, lappend, (List *list, void *datum), (list, datum))
WRAPPED(StringInfo, makeStringInfo, (void), ())
WRAPPED(void, initStringInfo, (StringInfo text), (text))
WRAPPED_NULL(void *, secure_alloc, (size_t size), (size))
WRAPPED_NULL(void *, aes_cipher_new, (void), ())
WRAPPED_NULL(void *, EVP_CIPHER_CTX_new, (void), ())

extern void *__real_hash_search(HTAB *table, const void *key, HASHACTION action, bool *found);
extern void *__wrap_hash_search(HTAB *table, const void *key, HASHACTION action, bool *found);

void *
__wrap_hash_search(HTAB *table, const void *key, HASHACTION action, bool *found)
{
	if (action == HASH_ENTER)
		may_fail();
	return __real_hash_search(table, key, action, found);
}

extern char *__wrap_psprintf(const char *format,...);

char *
__wrap_psprintf(const char *format,...)
{
	char		text[8192];
	va_list		arguments;

	may_fail();
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	return __real_pstrdup(text);
}

PG_FUNCTION_INFO_V1(fail_at);

/* From now on the nth fails, none for 0; returns how many there were until now. */
Datum
fail_at(PG_FUNCTION_ARGS)
{
	int			before = calls;

	fails_at = PG_GETARG_INT32(0);
	counting = fails_at > 0;
	calls = 0;
	PG_RETURN_INT32(before);
}

PG_FUNCTION_INFO_V1(fail_openssl_at);

/* The same for what OpenSSL allocates. */
Datum
fail_openssl_at(PG_FUNCTION_ARGS)
{
	int			(*fail_malloc_at) (int) = (int (*) (int)) dlsym(RTLD_DEFAULT, "fail_malloc_at");

	if (fail_malloc_at == NULL)
		elog(ERROR, "the server was started without fail_malloc.c");
	PG_RETURN_INT32(fail_malloc_at(PG_GETARG_INT32(0)));
}
