/*
 * fail_malloc.c
 *	  Makes the nth allocation fail that OpenSSL asks malloc() for, once.
 *
 * Preloaded into a server; without a call of fail_malloc_at() it does nothing.
 */
#define _GNU_SOURCE
#include <link.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *pointer, size_t size);

static int	counting;
static int	calls;
static int	fails_at;
static uintptr_t begin;
static uintptr_t end;

static int
find_libcrypto(struct dl_phdr_info *info, size_t size, void *data)
{
	if (strstr(info->dlpi_name, "libcrypto") == NULL)
		return 0;
	for (int i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_LOAD && (info->dlpi_phdr[i].p_flags & PF_X) != 0)
		{
			begin = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
			end = begin + info->dlpi_phdr[i].p_memsz;
		}
	return 1;
}

/* From now on the nth fails, none for 0; returns how many there were until now. */
int
fail_malloc_at(int n)
{
	int			before = calls;

	if (begin == 0)
		dl_iterate_phdr(find_libcrypto, NULL);
	calls = 0;
	fails_at = n;
	counting = n > 0;
	return begin == 0 ? -1 : before;
}

static int
fails(void *caller)
{
	return counting && (uintptr_t) caller >= begin && (uintptr_t) caller < end &&
		++calls == fails_at;
}

void *
malloc(size_t size)
{
	return fails(__builtin_return_address(0)) ? NULL : __libc_malloc(size);
}

void *
calloc(size_t n, size_t size)
{
	return fails(__builtin_return_address(0)) ? NULL : __libc_calloc(n, size);
}

void *
realloc(void *pointer, size_t size)
{
	return fails(__builtin_return_address(0)) ? NULL : __libc_realloc(pointer, size);
}
