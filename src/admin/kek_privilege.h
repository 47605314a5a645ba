/*
 * kek_privilege.h
 *	  Granting privileges on KEK labels, and revoking them.
 */
#ifndef KEK_PRIVILEGE_H
#define KEK_PRIVILEGE_H

#include "postgres.h"

/*
 * Grant and revoke a privilege; false if there was nothing to do.  The current role needs
 * the privilege admin on the label.
 */
extern bool kek_privilege_grant(const char *label, Oid role, const char *privilege);
extern bool kek_privilege_revoke(const char *label, Oid role, const char *privilege);

#endif							/* KEK_PRIVILEGE_H */
