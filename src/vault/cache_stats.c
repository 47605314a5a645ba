/*
 * cache_stats.c
 *	  Counters of the key caches: of this backend, and of all backends.
 *
 * A backend counts without a lock: in its own memory or, if the library is preloaded, in a
 * slot of shared memory that only this backend writes.  Others read the slot at any time.
 * Each counter that they see is right, but they may see one counter before and another
 * after the same event.
 *
 * A slot's counters begin with 0 when its backend starts.  What is shown is the difference
 * to the baseline; a reset of all sets the baselines to the counters.
 *
 * Invariant: the owner of a slot, the baselines, and the sum of the backends that have
 * ended change only under the lock.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/shmem.h"

#include "cache_stats.h"

/* The first fields of KeyCacheStats count events; those from entries on do not. */
#define N_COUNTERS (offsetof(KeyCacheStats, entries) / sizeof(uint64))

typedef struct Slot
{
	BackendCacheStats current;	/* pid 0: the slot is free */
	uint64		baseline[N_COUNTERS];
} Slot;

typedef struct SharedStats
{
	LWLock	   *lock;
	KeyCacheStats ended;		/* the sum of the backends that have ended */
	TimestampTz reset_at;
	Slot		slots[FLEXIBLE_ARRAY_MEMBER];	/* MaxBackends of them */
} SharedStats;

static KeyCacheStats own_stats;
KeyCacheStats *key_cache_stats = &own_stats;

static SharedStats *shared = NULL;
static Slot *slot = NULL;
static shmem_request_hook_type previous_request_hook = NULL;
static shmem_startup_hook_type previous_startup_hook = NULL;

static Size
shared_size(void)
{
	return add_size(offsetof(SharedStats, slots), mul_size(MaxBackends, sizeof(Slot)));
}

static void
request_shared_memory(void)
{
	if (previous_request_hook)
		previous_request_hook();
	RequestAddinShmemSpace(shared_size());
	RequestNamedLWLockTranche("key_vault", 1);
}

static void
start_up(void)
{
	bool		found;

	if (previous_startup_hook)
		previous_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shared = ShmemInitStruct("key_vault", shared_size(), &found);
	if (!found)
	{
		memset(shared, 0, shared_size());
		shared->lock = &GetNamedLWLockTranche("key_vault")->lock;
	}
	LWLockRelease(AddinShmemInitLock);
}

void
cache_stats_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		return;
	previous_request_hook = shmem_request_hook;
	shmem_request_hook = request_shared_memory;
	previous_startup_hook = shmem_startup_hook;
	shmem_startup_hook = start_up;
}

/* Adds the counters of b, from the baseline on, to those of a. */
static void
add_counters(KeyCacheStats *a, const KeyCacheStats *b, const uint64 *baseline)
{
	for (int i = 0; i < N_COUNTERS; i++)
		((uint64 *) a)[i] += ((const uint64 *) b)[i] - baseline[i];
}

/* At the backend's end: adds its counters to the sum, and frees the slot. */
static void
detach(int code, Datum arg)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	add_counters(&shared->ended, &slot->current.stats, slot->baseline);
	own_stats = slot->current.stats;
	key_cache_stats = &own_stats;
	slot->current.pid = 0;
	LWLockRelease(shared->lock);
	slot = NULL;
}

void
cache_stats_attach(void)
{
	int			number = MyProc - ProcGlobal->allProcs;

	/* Auxiliary processes, whose numbers follow the backends', use no keys. */
	if (shared == NULL || slot != NULL || number >= MaxBackends)
		return;

	before_shmem_exit(detach, (Datum) 0);
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot = &shared->slots[number];
	memset(slot->baseline, 0, sizeof(slot->baseline));
	slot->current.stats = own_stats;
	slot->current.database = MyDatabaseId;
	slot->current.role = GetSessionUserId();
	slot->current.pid = MyProcPid;
	key_cache_stats = &slot->current.stats;
	LWLockRelease(shared->lock);
}

void
cache_stats_reset(void)
{
	uint64		entries = key_cache_stats->entries;
	uint64		bytes = key_cache_stats->bytes;

	/* What was counted so far must stay in the sum over all backends. */
	if (slot != NULL)
	{
		LWLockAcquire(shared->lock, LW_EXCLUSIVE);
		add_counters(&shared->ended, &slot->current.stats, slot->baseline);
		memset(slot->baseline, 0, sizeof(slot->baseline));
	}
	memset(key_cache_stats, 0, sizeof(*key_cache_stats));
	key_cache_stats->entries = entries;
	key_cache_stats->bytes = bytes;
	key_cache_stats->reset_at = GetCurrentTimestamp();
	if (slot != NULL)
		LWLockRelease(shared->lock);
}

static void
require_shared(void)
{
	if (shared == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("key_vault must be loaded via \"shared_preload_libraries\" to see the caches of other sessions"),
				 errhint("The function key_vault.cache_stats() shows the cache of this session without it.")));
}

BackendCacheStats *
cache_stats_collect(int *n)
{
	BackendCacheStats *all;

	require_shared();
	all = palloc0((MaxBackends + 1) * sizeof(BackendCacheStats));
	*n = 1;

	LWLockAcquire(shared->lock, LW_SHARED);
	all[0].stats = shared->ended;
	all[0].stats.reset_at = shared->reset_at;
	for (int i = 0; i < MaxBackends; i++)
	{
		const Slot *from = &shared->slots[i];
		BackendCacheStats *to = &all[*n];

		if (from->current.pid == 0)
			continue;
		*to = from->current;
		for (int j = 0; j < N_COUNTERS; j++)
			((uint64 *) &to->stats)[j] -= from->baseline[j];
		(*n)++;
	}
	LWLockRelease(shared->lock);
	return all;
}

void
cache_stats_reset_all(void)
{
	require_shared();
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	memset(&shared->ended, 0, sizeof(shared->ended));
	shared->reset_at = GetCurrentTimestamp();
	for (int i = 0; i < MaxBackends; i++)
		memcpy(shared->slots[i].baseline, &shared->slots[i].current.stats,
			   sizeof(shared->slots[i].baseline));
	LWLockRelease(shared->lock);
}
