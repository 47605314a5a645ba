/*
 * fault.c
 *	  Makes the nth call of a kind fail, once, in the session that asks for it.
 *
 * A library of its own, which works on the key_vault that is installed: it changes the
 * tables of addresses by which key_vault, libcrypto and the server call other
 * libraries (ELF's global offset table), and the server's table of functions for memory
 * contexts.  Kinds:
 *
 *	  palloc	an allocation in a memory context, wherever in the server
 *	  malloc	an allocation that libcrypto asks malloc() for
 *	  openssl	a call of OpenSSL by key_vault, which returns what means failure
 *	  spi		a call of SPI by key_vault, which raises what a damaged disk raises
 *	  system	a call of the operating system by key_vault: memory, files, processes
 *	  disk		a write to a table's file by the server: no space left
 *	  cancel	none: at an allocation, the statement is cancelled; the first after each time that the server
 *				looked whether it is
 *
 * What the server does in critical sections, and before and after a transaction, is not made to fail: it
 * may not fail there, or the server would restart.  Nor is what would end the server by a fault of its own, see
 * server_would_crash().
 */
#include "postgres.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <execinfo.h>
#include <link.h>
#include <malloc.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "access/xact.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/memnodes.h"
#include "parser/analyze.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "places.h"

PG_MODULE_MAGIC;

static const char *const kinds[] = {"palloc", "malloc", "openssl", "spi", "system", "disk", "cancel"};

typedef enum Kind
{
	PALLOC,
	MALLOC,
	OPENSSL,
	SPI,
	SYSTEM,
	DISK,
	CANCEL,
	NONE
}			Kind;

static Kind wanted = NONE;
static bool counting = false;
static bool fired = false;
static int	calls = 0;
static int	fails_at = 0;
static int64 place;				/* of the call that has failed */
static bool noting = false;		/* of the places of all calls */

static bool
may_fail(void)
{
	return counting && IsTransactionState() && CritSectionCount == 0;
}

static bool
fails(Kind kind)
{
	if (kind != wanted || !may_fail())
		return false;
	calls++;
	if (noting)
		note_place(place_here(), calls);
	if (calls != fails_at)
		return false;
	fired = true;
	place = place_here();
	return true;
}

/* Memory contexts */

static MemoryContextMethods real_methods;

#if PG_VERSION_NUM >= 170000
#define FLAGS_PARAMETER , int flags
#define FLAGS_ARGUMENT , flags
#define NO_MEMORY(context, size) MemoryContextAllocationFailure(context, size, flags)
#else
#define FLAGS_PARAMETER
#define FLAGS_ARGUMENT
#define NO_MEMORY(context, size) NULL
#endif
#if PG_VERSION_NUM >= 160000
#define CONTEXT_PARAMETER
#define CONTEXT_ARGUMENT
#else
#define CONTEXT_PARAMETER MemoryContext in,
#define CONTEXT_ARGUMENT in,
#endif

/*
 * PostgreSQL has two faults of its own if there is no memory (seen with 15.20).
 *
 * LockAcquireExtended() makes an entry for a new lock, and allocates a list in it.  Without memory for the list, the
 * entry stays without one until the end of the transaction.  If a subtransaction ends before, and the same lock is taken
 * again, the server writes into the list that is not there.
 *
 * pgstat_get_entry_ref() does the same with an entry for statistics, whose pointer is then not set at all.  The server
 * follows it when the session ends.
 */
static bool
server_would_crash(MemoryContext context)
{
	void	   *frames[6];
	int			count;

	if (strcmp(context->name, "PgStat Shared Ref") == 0)
		return true;
	if (context != TopMemoryContext || GetCurrentTransactionNestLevel() == 1)
		return false;
	count = backtrace(frames, lengthof(frames));
	for (int i = 0; i < count; i++)
	{
		Dl_info		info;

		if (dladdr(frames[i], &info) != 0 && info.dli_sname != NULL &&
			strcmp(info.dli_sname, "LockAcquireExtended") == 0)
			return true;
	}
	return false;
}

/*
 * The context for errors has memory set aside, so that there is some for the error that there is none.
 *
 * A cancellation comes when the server next looks for one, and it looks only if InterruptPending is set.  That it
 * has been reset says that the server has looked since the last allocation.  Until it does so, all allocations
 * mean the same, and count as one call.
 */
static bool
palloc_fails(MemoryContext context)
{
	if (context == ErrorContext || (counting && server_would_crash(context)))
		return false;
	if (wanted == CANCEL && !InterruptPending && may_fail())
	{
		if (fails(CANCEL))
			QueryCancelPending = true;
		InterruptPending = true;
	}
	return fails(PALLOC);
}

static void *
fail_context_alloc(MemoryContext context, Size size FLAGS_PARAMETER)
{
	return palloc_fails(context) ? NO_MEMORY(context, size) : real_methods.alloc(context, size FLAGS_ARGUMENT);
}

static void *
fail_context_realloc(CONTEXT_PARAMETER void *pointer, Size size FLAGS_PARAMETER)
{
	MemoryContext context = GetMemoryChunkContext(pointer);

	return palloc_fails(context) ? NO_MEMORY(context, size) : real_methods.realloc(CONTEXT_ARGUMENT pointer, size FLAGS_ARGUMENT);
}

/*
 * Calls of other libraries.  Each function here takes and hands on eight arguments, whatever its parameters
 * are, which the calling conventions of the machines below allow.
 */
#if defined(__x86_64__)
#define IS_CALL(type) ((type) == R_X86_64_JUMP_SLOT || (type) == R_X86_64_GLOB_DAT)
#elif defined(__aarch64__)
#define IS_CALL(type) ((type) == R_AARCH64_JUMP_SLOT || (type) == R_AARCH64_GLOB_DAT)
#else
#error "the relocations of this machine are not known here"
#endif

#define PARAMETERS long a, long b, long c, long d, long e, long f, long g, long h
#define ARGUMENTS a, b, c, d, e, f, g, h
typedef long (*Function) (PARAMETERS);

/* As if a source file of the server raised it, since key_vault goes by that. */
static long
raise_error(int sqlerrcode, const char *message, const char *file)
{
	if (errstart(ERROR, NULL))
	{
		errcode(sqlerrcode);
		errmsg_internal("%s", message);
		errfinish(file, __LINE__, "fault");
	}
	return 0;
}

static long
with_errno(int number, long result)
{
	errno = number;
	return result;
}

/* Whether a file is one of a table, and not one of the write-ahead log. */
static bool
is_table(int fd)
{
	char		name[32];
	char		path[1024];
	ssize_t		length;

	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	length = readlink(name, path, sizeof(path) - 1);
	if (length < 0)
		return false;
	path[length] = '\0';
	return strstr(path, "/base/") != NULL;
}

/* Library, function, whether the call fails, and what it returns then */
#define CALLS \
	CALL("libcrypto.so", malloc, fails(MALLOC), 0) \
	CALL("libcrypto.so", calloc, fails(MALLOC), 0) \
	CALL("libcrypto.so", realloc, fails(MALLOC), 0) \
	CALL("key_vault.so", AllocSetContextCreateInternal, fails(PALLOC), raise_error(ERRCODE_OUT_OF_MEMORY, "out of memory", "aset.c")) \
	CALL("", pwrite, is_table((int) a) && fails(DISK), with_errno(ENOSPC, -1)) \
	CALL("", pwritev, is_table((int) a) && fails(DISK), with_errno(ENOSPC, -1)) \
	CALL("", posix_fallocate, is_table((int) a) && fails(DISK), ENOSPC) \
	CALL("key_vault.so", EVP_CIPHER_CTX_new, fails(OPENSSL), 0) \
	CALL("key_vault.so", EVP_CIPHER_CTX_ctrl, fails(OPENSSL), 0) \
	CALL("key_vault.so", EVP_CIPHER_fetch, fails(OPENSSL), 0) \
	CALL("key_vault.so", EVP_CipherInit_ex2, fails(OPENSSL), 0) \
	CALL("key_vault.so", EVP_CipherUpdate, fails(OPENSSL), 0) \
	CALL("key_vault.so", OSSL_PROVIDER_query_operation, fails(OPENSSL), 0) \
	CALL("key_vault.so", CRYPTO_zalloc, fails(OPENSSL), 0) \
	CALL("key_vault.so", RAND_bytes, fails(OPENSSL), 0) \
	CALL("key_vault.so", RAND_priv_bytes, fails(OPENSSL), 0) \
	CALL("key_vault.so", SHA256, fails(OPENSSL), 0) \
	CALL("key_vault.so", SPI_commit, fails(SPI), raise_error(ERRCODE_IO_ERROR, "could not read block", "md.c")) \
	CALL("key_vault.so", SPI_connect, fails(SPI), raise_error(ERRCODE_IO_ERROR, "could not read block", "md.c")) \
	CALL("key_vault.so", SPI_connect_ext, fails(SPI), raise_error(ERRCODE_IO_ERROR, "could not read block", "md.c")) \
	CALL("key_vault.so", SPI_execute, fails(SPI), raise_error(ERRCODE_IO_ERROR, "could not read block", "md.c")) \
	CALL("key_vault.so", SPI_execute_extended, fails(SPI), raise_error(ERRCODE_IO_ERROR, "could not read block", "md.c")) \
	CALL("key_vault.so", SPI_execute_plan, fails(SPI), raise_error(ERRCODE_IO_ERROR, "could not read block", "md.c")) \
	CALL("key_vault.so", SPI_execute_with_args, fails(SPI), raise_error(ERRCODE_IO_ERROR, "could not read block", "md.c")) \
	CALL("key_vault.so", SPI_finish, fails(SPI), raise_error(ERRCODE_IO_ERROR, "could not read block", "md.c")) \
	CALL("key_vault.so", SPI_fnumber, fails(SPI), raise_error(ERRCODE_IO_ERROR, "could not read block", "md.c")) \
	CALL("key_vault.so", SPI_getbinval, fails(SPI), raise_error(ERRCODE_IO_ERROR, "could not read block", "md.c")) \
	CALL("key_vault.so", SPI_gettypeid, fails(SPI), raise_error(ERRCODE_IO_ERROR, "could not read block", "md.c")) \
	CALL("key_vault.so", SPI_getvalue, fails(SPI), raise_error(ERRCODE_IO_ERROR, "could not read block", "md.c")) \
	CALL("key_vault.so", SPI_keepplan, fails(SPI), raise_error(ERRCODE_IO_ERROR, "could not read block", "md.c")) \
	CALL("key_vault.so", SPI_prepare_cursor, fails(SPI), raise_error(ERRCODE_IO_ERROR, "could not read block", "md.c")) \
	CALL("key_vault.so", SPI_register_relation, fails(SPI), raise_error(ERRCODE_IO_ERROR, "could not read block", "md.c")) \
	CALL("key_vault.so", mmap, fails(SYSTEM), with_errno(ENOMEM, -1)) \
	CALL("key_vault.so", mlock2, fails(SYSTEM), with_errno(ENOMEM, -1)) \
	CALL("key_vault.so", mlock, fails(SYSTEM), with_errno(ENOMEM, -1)) \
	CALL("key_vault.so", madvise, fails(SYSTEM), with_errno(EINVAL, -1)) \
	CALL("key_vault.so", open, fails(SYSTEM), with_errno(EMFILE, -1)) \
	CALL("key_vault.so", OpenTransientFile, fails(SYSTEM), with_errno(EIO, -1)) \
	CALL("key_vault.so", fstat, fails(SYSTEM), with_errno(EIO, -1)) \
	CALL("key_vault.so", read, fails(SYSTEM), with_errno(EIO, -1)) \
	CALL("key_vault.so", pipe, fails(SYSTEM), with_errno(EMFILE, -1)) \
	CALL("key_vault.so", fork, fails(SYSTEM), with_errno(EAGAIN, -1)) \
	CALL("key_vault.so", fcntl, fails(SYSTEM), with_errno(EINVAL, -1))

/*
 * Calls of libcrypto and of SPI that cannot fail, or of which the failure means nothing.  If EVP_CipherFinal_ex()
 * fails, that means that a tag is wrong, and that is what key_vault says then.
 */
static const char *const cannot_fail[] = {
	"CRYPTO_free", "CRYPTO_memcmp", "ERR_get_error", "ERR_new", "ERR_set_debug", "ERR_set_error",
	"EVP_CIPHER_CTX_free", "EVP_CIPHER_CTX_get_key_length", "EVP_CIPHER_free", "EVP_CIPHER_get0_provider",
	"EVP_CipherFinal_ex", "OPENSSL_cleanse",
	"OSSL_PARAM_construct_end", "OSSL_PARAM_construct_uint", "OSSL_PROVIDER_get0_provider_ctx",
	"OSSL_PROVIDER_unquery_operation", "SPI_processed", "SPI_result_code_string", "SPI_tuptable"
};

#define CALL(library, name, condition, result) \
static Function real_##name; \
static long \
fail_##name(PARAMETERS) \
{ \
	return (condition) ? (result) : real_##name(ARGUMENTS); \
}
CALLS
#undef CALL

static const struct
{
	const char *library;		/* part of its file's name; the server's is empty */
	const char *name;
	Function	replacement;
	Function   *real;
}			imports[] = {
#define CALL(library, name, condition, result) {library, #name, fail_##name, &real_##name},
	CALLS
#undef CALL
};

static void
make_writable(void *address)
{
	uintptr_t	page = (uintptr_t) sysconf(_SC_PAGESIZE);
	uintptr_t	begin = (uintptr_t) address & ~(page - 1);
	uintptr_t	end = ((uintptr_t) address + sizeof(MemoryContextMethods) + page - 1) & ~(page - 1);

	if (mprotect((void *) begin, end - begin, PROT_READ | PROT_WRITE) != 0)
		elog(ERROR, "mprotect: %m");
}

static bool
is_known(const char *name)
{
	for (int i = 0; i < lengthof(imports); i++)
		if (strcmp(imports[i].name, name) == 0)
			return true;
	for (int i = 0; i < lengthof(cannot_fail); i++)
		if (strcmp(cannot_fail[i], name) == 0)
			return true;
	return false;
}

/* Where libcrypto is.  dladdr() knows, too, but looks at all symbols of the server each time. */
static uintptr_t libcrypto_begin = 0;
static uintptr_t libcrypto_end = 0;

static bool
is_of_libcrypto(const char *name)
{
	uintptr_t	function = (uintptr_t) dlsym(RTLD_DEFAULT, name);

	return function >= libcrypto_begin && function < libcrypto_end;
}

static int
find_libcrypto(struct dl_phdr_info *info, size_t size, void *data)
{
	if (strstr(info->dlpi_name, "libcrypto.so") == NULL)
		return 0;
	for (int i = 0; i < info->dlpi_phnum; i++)
	{
		if (info->dlpi_phdr[i].p_type == PT_LOAD)
		{
			uintptr_t	begin = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;

			if (libcrypto_begin == 0 || begin < libcrypto_begin)
				libcrypto_begin = begin;
			libcrypto_end = Max(libcrypto_end, begin + info->dlpi_phdr[i].p_memsz);
		}
	}
	return 1;
}

static void
change_call(const char *library, const char *name, void **slot)
{
	for (int i = 0; i < lengthof(imports); i++)
		if (strcmp(imports[i].name, name) == 0 &&
			(imports[i].library[0] == '\0' ? library[0] == '\0' : strstr(library, imports[i].library) != NULL))
		{
			/* The real one is set first, since its caller may be running. */
			*imports[i].real = (Function) dlsym(RTLD_DEFAULT, name);
			make_writable(slot);
			*slot = (void *) imports[i].replacement;
			return;
		}
	if (strstr(library, "key_vault.so") != NULL && !is_known(name) &&
		(strncmp(name, "SPI_", 4) == 0 || is_of_libcrypto(name)))
		elog(ERROR, "fault.c does not know the function %s, which key_vault calls", name);
}

static void
change_calls(const char *library, uintptr_t base, const ElfW(Rela) *relocations, size_t size, const ElfW(Sym) *symbols, const char *strings)
{
	for (size_t i = 0; i < size / sizeof(ElfW(Rela)); i++)
	{
		const ElfW(Sym) *symbol = &symbols[ELF64_R_SYM(relocations[i].r_info)];

		if (IS_CALL(ELF64_R_TYPE(relocations[i].r_info)) && symbol->st_shndx == SHN_UNDEF)
			change_call(library, strings + symbol->st_name, (void **) (base + relocations[i].r_offset));
	}
}

static int
change_object(struct dl_phdr_info *info, size_t size, void *data)
{
	const ElfW(Rela) *relocations[2] = {NULL, NULL};
	size_t		sizes[2] = {0, 0};
	const ElfW(Sym) *symbols = NULL;
	const char *strings = NULL;

	if (info->dlpi_name[0] != '\0' && strstr(info->dlpi_name, "libcrypto.so") == NULL && strstr(info->dlpi_name, "key_vault.so") == NULL)
		return 0;
	for (int i = 0; i < info->dlpi_phnum; i++)
	{
		if (info->dlpi_phdr[i].p_type != PT_DYNAMIC)
			continue;
		for (const ElfW(Dyn) *entry = (const ElfW(Dyn) *) (info->dlpi_addr + info->dlpi_phdr[i].p_vaddr); entry->d_tag != DT_NULL; entry++)
		{
			switch (entry->d_tag)
			{
				case DT_SYMTAB:
					symbols = (const ElfW(Sym) *) entry->d_un.d_ptr;
					break;
				case DT_STRTAB:
					strings = (const char *) entry->d_un.d_ptr;
					break;
				case DT_RELA:
					relocations[0] = (const ElfW(Rela) *) entry->d_un.d_ptr;
					break;
				case DT_RELASZ:
					sizes[0] = entry->d_un.d_val;
					break;
				case DT_JMPREL:
					relocations[1] = (const ElfW(Rela) *) entry->d_un.d_ptr;
					break;
				case DT_PLTRELSZ:
					sizes[1] = entry->d_un.d_val;
					break;
			}
		}
	}
	for (int i = 0; i < 2; i++)
		if (relocations[i] != NULL)
			change_calls(info->dlpi_name, info->dlpi_addr, relocations[i], sizes[i], symbols, strings);
	return 0;
}

/* Counting begins with the statement after the one that asks for it, once that is parsed. */
static post_parse_analyze_hook_type next_hook;
static bool counts_next = false;

static void
begin_counting(ParseState *pstate, Query *query, JumbleState *jumble)
{
	if (next_hook != NULL)
		next_hook(pstate, query, jumble);
	if (counts_next)
	{
		counts_next = false;
		counting = true;
	}
}

/* If the session crashes, where it was is in the server's log. */
static void
crashed(SIGNAL_ARGS)
{
	void	   *frames[50];

	backtrace_symbols_fd(frames, backtrace(frames, lengthof(frames)), STDERR_FILENO);
	signal(postgres_signal_arg, SIG_DFL);
	raise(postgres_signal_arg);
}

static void
prepare(void)
{
	static bool prepared = false;
	MemoryContextMethods *methods = unconstify(MemoryContextMethods *, TopMemoryContext->methods);

	if (prepared)
		return;
	load_file("$libdir/key_vault", false);
	if (dl_iterate_phdr(find_libcrypto, NULL) == 0)
		elog(ERROR, "libcrypto is not loaded");
	dl_iterate_phdr(change_object, NULL);
	real_methods = *methods;
	make_writable(methods);
	methods->alloc = fail_context_alloc;
	methods->realloc = fail_context_realloc;
	signal(SIGSEGV, crashed);
	signal(SIGABRT, crashed);
	next_hook = post_parse_analyze_hook;
	post_parse_analyze_hook = begin_counting;
	prepare_places();
	prepared = true;
}

static Kind
kind_named(const char *name)
{
	for (int i = 0; i < lengthof(kinds); i++)
		if (strcmp(kinds[i], name) == 0)
			return (Kind) i;
	elog(ERROR, "there is no kind %s", name);
}

PG_FUNCTION_INFO_V1(fault_at);

/*
 * fault_at(kind, n): in the next statement, and those after it until fault_calls(), the nth call of a kind fails.
 * None does if n is 0, and if it is -1, when the places of all calls are noted.
 */
Datum
fault_at(PG_FUNCTION_ARGS)
{
	prepare();
	wanted = kind_named(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	fails_at = PG_GETARG_INT32(1);
	noting = fails_at < 0;
	if (noting)
		forget_places();
	calls = 0;
	fired = counting = false;
	counts_next = true;
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(fault_calls);

/* Ends it; returns how many calls there were, or minus the number of the one that has failed. */
Datum
fault_calls(PG_FUNCTION_ARGS)
{
	counting = counts_next = false;
	PG_RETURN_INT32(fired ? -fails_at : calls);
}

PG_FUNCTION_INFO_V1(fault_place);

/* The place of the call that has failed. */
Datum
fault_place(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(place);
}

PG_FUNCTION_INFO_V1(fault_places);

/* The places of all calls, a line each, with the numbers of the first and the last call there. */
Datum
fault_places(PG_FUNCTION_ARGS)
{
	StringInfoData buffer;

	initStringInfo(&buffer);
	print_places(&buffer);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(buffer.data, buffer.len));
}

PG_FUNCTION_INFO_V1(fault_heap);

/* The bytes that malloc() has given to this process. */
Datum
fault_heap(PG_FUNCTION_ARGS)
{
	struct mallinfo2 info = mallinfo2();

	PG_RETURN_INT64((int64) (info.uordblks + info.hblkhd));
}
