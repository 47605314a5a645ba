/*
 * access.h
 *	  Checks of privileges: those on KEK labels, and those of superusers and readers of
 *	  statistics.
 */
#ifndef ACCESS_H
#define ACCESS_H

#include "postgres.h"

#include "miscadmin.h"

#include "invalidation.h"

/* A set of privileges on a label. */
typedef uint32 KekPrivileges;

#define KEK_WRAP		(1 << 0)	/* wrap keys with the label's KEK */
#define KEK_UNWRAP		(1 << 1)	/* see keys in the clear */
#define KEK_DECRYPT		(1 << 2)	/* decrypt and encrypt payloads */
#define KEK_DERIVE		(1 << 3)	/* MICs, joins, derived keys */
#define KEK_REWRAP		(1 << 4)	/* move keys to another version of the
									 * label */
#define KEK_ADMIN		(1 << 5)	/* change the label's KEKs and privileges */
#define KEK_ALL_PRIVILEGES ((1 << 6) - 1)

/* The privileges with which keys of a label are opened in some way. */
#define KEK_OPENS_KEYS	(KEK_UNWRAP | KEK_DECRYPT | KEK_DERIVE | KEK_REWRAP)

/* The privileges that one role has on a label.  A memo whose fields are all zero is out of date. */
typedef struct AccessMemo
{
	uint64		generation;		/* access_generation before the privileges
								 * were read */
	Oid			role;
	KekPrivileges held;
} AccessMemo;

/* The privileges that the current role has on a label. */
extern KekPrivileges access_held(const char *label);

/* Raises an error unless the current role has one of these privileges on the label. */
extern void access_require(const char *label, KekPrivileges any_of);

/* Does the same, and puts the privileges that it read into the memo. */
extern void access_require_anew(AccessMemo *memo, const char *label,
								KekPrivileges any_of);

/* Reads the privileges of the current role on the label into the memo. */
extern void access_look_anew(AccessMemo *memo, const char *label);

/*
 * The privileges of the current role on the label, from a memo about this label.  If the memo
 * is out of date, or is about another role, they are read anew.
 */
static inline KekPrivileges
access_held_memo(AccessMemo *memo, const char *label)
{
	if (unlikely(memo->generation != access_generation || memo->role != GetUserId()))
		access_look_anew(memo, label);
	return memo->held;
}

/*
 * Raises an error unless the current role has one of these privileges on the label.  They are
 * read only if the memo, which must be about this label, does not show that it has one.
 */
static inline void
access_require_memo(AccessMemo *memo, const char *label, KekPrivileges any_of)
{
	if (unlikely(memo->generation != access_generation ||
				 memo->role != GetUserId() || (memo->held & any_of) == 0))
		access_require_anew(memo, label, any_of);
}

/*
 * Raise an error unless the current role is a superuser, or has the privileges of
 * pg_read_all_stats.  The error's message is "permission denied to", followed by what.
 */
extern void access_require_superuser(const char *what, const char *detail);
extern void access_require_stats_reader(const char *what, const char *detail);

/* The privilege of this name; an error if there is none. */
extern KekPrivileges access_privilege_from_name(const char *name);

/* The name of one privilege. */
extern const char *access_privilege_name(KekPrivileges privilege);

#endif							/* ACCESS_H */
