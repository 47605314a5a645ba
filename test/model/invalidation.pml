/*
 * invalidation.pml
 *	  How one backend's key cache follows the table key_vault.kek.
 *
 * There are two rows (KEKs 0 and 1, of different labels), three wrapped keys (0
 * and 1 under KEK 0, 2 under KEK 1), and room for one key in the cache.  Other
 * sessions write to the table.  The reader, which is the backend, looks keys up
 * and changes rows in its own transactions; at every point a message or an error
 * may come.
 *
 * The assertions check:
 * P1	A look-up uses the key that the wrapped key of the look-up holds.
 * P2	No look-up fails because of a state that its KEK did not have while the
 *		look-up ran.
 * P3	No look-up uses a KEK that was withdrawn before it began, by a commit
 *		whose message was delivered, or by the abort or the prepare of the
 *		reader's own transaction.
 * kek.c: the KEK of an entry is open (the entry points to it).
 *
 * A flag (NO_ABORT ...) takes one part of the protocol away; then an assertion
 * must break.  The script "run" checks that.
 */
#ifndef WRITES
#define WRITES 2				/* transactions of other sessions */
#endif
#ifndef OWN_WRITES
#define OWN_WRITES 1			/* changes by the reader itself */
#endif
#define KEKS 2
#define KEK_OF(key) ((key) / 2)
#define EMPTY 3					/* no key's number */
#define QUEUE_SIZE 1			/* messages a backend may fall behind; 4096 there */

#define ABSENT 0				/* the states of a row */
#define USABLE 1				/* whatever unwraps */
#define SUSPENDED 2				/* or destroyed */
#define BIT(state) (1 << (state))

#define COPY(to, from) to[0] = from[0]; to[1] = from[1]
#define RESET(array) array[0] = 0; array[1] = 0

/* PostgreSQL: the rows, the lock on the table, the reader's message queue. */
byte committed[KEKS] = USABLE;
bool locked;
byte queued;
bool overflowed;
bool prepared;					/* a transaction that will leave prepared_row */
byte prepared_row[KEKS];

/* For the assertions only: the rows as of the last message that was delivered,
 * and the states that each row has had since the reader's look-up began. */
byte delivered[KEKS] = USABLE;
byte seen[KEKS];

byte writes_left = WRITES;
byte own_writes_left = OWN_WRITES;

#define MAKE_VISIBLE(to) atomic { \
	COPY(committed, to); \
	seen[0] = seen[0] | BIT(to[0]); seen[1] = seen[1] | BIT(to[1]) }

#define SEND(to) atomic { \
	if :: queued < QUEUE_SIZE -> queued++ :: else -> queued = 0; overflowed = true fi; \
	COPY(delivered, to) }

/* CommitTransaction(): ProcArrayEndTransaction(), AtEOXact_Inval(), locks. */
#ifdef MESSAGE_FIRST
#define COMMIT(to) SEND(to); MAKE_VISIBLE(to); locked = false
#else
#define COMMIT(to) MAKE_VISIBLE(to); SEND(to); locked = false
#endif

/* Changes one row or both: KEK 0 is suspended or resumed, KEK 1 is made or deleted. */
#define CHANGE(rows) \
	if \
	:: rows[0] = USABLE + SUSPENDED - rows[0] \
	:: rows[1] = USABLE + ABSENT - rows[1] \
	:: rows[0] = USABLE + SUSPENDED - rows[0]; rows[1] = USABLE + ABSENT - rows[1] \
	fi

/*
 * Another session, kek_admin.c: lock_kek_table(); set_state() or add_version(),
 * whose row triggers (key_vault_invalidate()) queue the message.  An abort
 * shows and sends nothing.
 */
active proctype writer()
{
	byte changed[KEKS];
	do
	:: atomic {
		   writes_left > 0 && !locked ->
		   locked = true; writes_left--; COPY(changed, committed); CHANGE(changed)
	   };
	   if :: COMMIT(changed) :: locked = false fi;
	   RESET(changed)
	:: writes_left == 0 -> break
	od
}

/* COMMIT PREPARED or ROLLBACK PREPARED, by any session. */
active proctype finisher()
{
end:
	do
	:: prepared ->
	   if :: COMMIT(prepared_row) :: locked = false fi;
	   atomic { prepared = false; RESET(prepared_row) }
	od
}

/* The reader's memory: invalidation.c, kek.c, key_cache.c. */
byte generation = 1;			/* kek_generation */
byte verified;					/* kek_verified_generation */
bool open[KEKS];				/* keks, and of each its row and withdrawn */
byte row[KEKS];
bool withdrawn[KEKS];
byte entry = EMPTY;				/* the cache: the wrapped key that it is for */
bool in_own;					/* in a transaction that changed rows */
byte own_row[KEKS];

/* AcceptInvalidationMessages(), which calls relation_changed(). */
inline accept()
{
	generation = generation + queued;
	queued = 0;
#ifndef NO_OVERFLOW
	generation = generation + overflowed;
#endif
	overflowed = false
}

/*
 * kek_row_by_id(): locking the table may accept messages; then the row is read
 * with a new catalog snapshot, own changes included.
 */
#define ROW_NOW(k) (in_own -> own_row[k] : committed[k])

inline may_accept()
{
	if :: atomic { queued > 0 || overflowed -> accept() } :: true fi
}

/* AbortTransaction(), AbortSubTransaction(), PostPrepare_Inval(). */
inline forget_own()
{
	in_own = false;
	RESET(own_row);
#ifndef NO_ABORT
	generation++
#endif
}

/* kek_verify_open(), after withdraw_changed_labels(). */
inline wipe_and_close()
{
#ifndef NO_WIPE
	if :: entry != EMPTY && withdrawn[KEK_OF(entry)] -> entry = EMPTY :: else fi;
#endif
	if :: withdrawn[0] -> open[0] = false; withdrawn[0] = false; row[0] = 0 :: else fi;
	if :: withdrawn[1] -> open[1] = false; withdrawn[1] = false; row[1] = 0 :: else fi;
#ifdef NO_GENERATION_GUARD
	verified = generation
#else
	verified = before
#endif
}

#ifdef NO_IDENTITY				/* bucket_matches() */
#define IS_CACHED (entry != EMPTY && KEK_OF(entry) == KEK_OF(key))
#else
#define IS_CACHED (entry == key)
#endif

/* Compares the answer of a look-up with the states that its KEK had meanwhile. */
#define ANSWER(state) assert(seen[KEK_OF(key)] & BIT(state))
#define USE \
	assert(entry == key);			/* P1 */ \
	assert(open[KEK_OF(entry)]); \
	ANSWER(USABLE)					/* P3 */

/*
 * The backend.  A look-up is look_up() of vault.c, with kek_accept_changes() and
 * kek_find() of kek.c.  Between its atomic blocks others may do anything.
 */
active proctype reader()
{
	byte key, k, before;
next:
	atomic {
		/* Only the difference of the two generations matters, so this makes fewer states. */
		key = 0; k = 0; before = 0; RESET(seen);
		generation = generation - verified; verified = 0
	};
end:
	if
	:: atomic {									/* a look-up begins */
		   if :: key = 0 :: key = 1 :: key = 2 fi;
		   seen[0] = (in_own -> BIT(own_row[0]) : BIT(delivered[0]) | BIT(committed[0]));
		   seen[1] = (in_own -> BIT(own_row[1]) : BIT(delivered[1]) | BIT(committed[1]))
	   }
	:: atomic {									/* a change, and its CommandCounterIncrement() */
		   own_writes_left > 0 && (in_own || !locked) ->
		   if :: !in_own -> COPY(own_row, committed) :: else fi;
		   locked = true; in_own = true; own_writes_left--; CHANGE(own_row); generation++
	   };
	   goto next
	:: in_own -> COMMIT(own_row); atomic { in_own = false; RESET(own_row) }; goto next
	:: atomic { in_own -> forget_own(); locked = false }; goto next		/* ROLLBACK */
	:: atomic { in_own -> COPY(prepared_row, own_row); prepared = true; forget_own() }; goto next
	fi;

	atomic {
#ifndef NO_ACCEPT
		accept();
#endif
		before = generation;
		if :: verified != generation :: else -> goto verified_now fi
	};
	do											/* read_rows_by_id(); read_table() is the same in one step */
	:: k == KEKS -> break
	:: k < KEKS && !open[k] -> k++
	:: k < KEKS && open[k] ->
	   may_accept();
	   atomic {
		   if :: true :: goto failed fi;		/* cancelled, out of memory */
		   withdrawn[k] = withdrawn[k] || ROW_NOW(k) != row[k];
		   k++
	   }
	od;
	atomic {
		wipe_and_close();
verified_now:
		k = KEK_OF(key);
		if :: IS_CACHED -> USE; goto next :: else fi	/* key_cache_find() */
	};
	if											/* kek_find() */
	:: open[k]
	:: !open[k] -> may_accept(); atomic { row[k] = ROW_NOW(k); open[k] = (row[k] != ABSENT) }
	fi;
	atomic {
		if
		:: row[k] == USABLE -> entry = key; USE	/* unwrap(), key_cache_keep() */
		:: else -> ANSWER(row[k])				/* P2 */
		fi
	};
	goto next;

failed:
	atomic { if :: in_own -> forget_own(); locked = false :: else fi };
	goto next
}
