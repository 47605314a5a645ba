/*
 * kek_privilege.h
 *	  Granting privileges on KEK labels, and withdrawing them.
 *
 * Both take the privilege admin on the label, for the current role.
 */
#ifndef KEK_PRIVILEGE_H
#define KEK_PRIVILEGE_H

#include "postgres.h"

/* Grants and withdraws a privilege; false when there was nothing to do. */
extern bool kek_privilege_grant(const char *label, Oid role, const char *privilege);
extern bool kek_privilege_revoke(const char *label, Oid role, const char *privilege);

#endif							/* KEK_PRIVILEGE_H */
