/*
 * access.h
 *	  Who may do what with the KEKs of a label, and what goes by no label.
 */
#ifndef ACCESS_H
#define ACCESS_H

#include "postgres.h"

#include "miscadmin.h"

#include "invalidation.h"

/* A set of privileges on a label. */
typedef uint32 KekPrivileges;

#define KEK_WRAP		(1 << 0)	/* bring keys under the label */
#define KEK_UNWRAP		(1 << 1)	/* see keys */
#define KEK_DECRYPT		(1 << 2)	/* decrypt and make payloads */
#define KEK_DERIVE		(1 << 3)	/* MICs, joins, derivation */
#define KEK_REWRAP		(1 << 4)	/* to another version of the same label */
#define KEK_ADMIN		(1 << 5)	/* the KEKs themselves, and grants */
#define KEK_ALL_PRIVILEGES ((1 << 6) - 1)

/* Whoever may open keys of a label in any way. */
#define KEK_OPENS_KEYS	(KEK_UNWRAP | KEK_DECRYPT | KEK_DERIVE | KEK_REWRAP)

/* What was found for one role, and when; zeroed, it holds nothing. */
typedef struct AccessMemo
{
	uint64		generation;		/* access_generation before the look-up */
	Oid			role;
	KekPrivileges held;
} AccessMemo;

/* What the current role holds on a label. */
extern KekPrivileges access_held(const char *label);

/* An error unless the current role holds any of these on the label. */
extern void access_require(const char *label, KekPrivileges any_of);

extern void access_require_anew(AccessMemo *memo, const char *label,
								KekPrivileges any_of);

/* The same through a memo that belongs to this label. */
static inline void
access_require_memo(AccessMemo *memo, const char *label, KekPrivileges any_of)
{
	if (unlikely(memo->generation != access_generation ||
				 memo->role != GetUserId() || (memo->held & any_of) == 0))
		access_require_anew(memo, label, any_of);
}

/*
 * An error unless the current role is a superuser, or has the privileges of
 * pg_read_all_stats: "permission denied to" do what.
 */
extern void access_require_superuser(const char *what, const char *detail);
extern void access_require_stats_reader(const char *what, const char *detail);

/* A privilege by its name; an error when there is none. */
extern KekPrivileges access_privilege_from_name(const char *name);

/* The name of one privilege. */
extern const char *access_privilege_name(KekPrivileges privilege);

#endif							/* ACCESS_H */
