/*
 * audit_log.h
 *	  What was done to which KEK, by whom: in the table key_vault.audit_log, and in
 *	  the server's log.
 *
 * Whoever changes a KEK, or keys by it, writes here in the same
 * transaction, once the current role was checked.  Events so far: created,
 * imported, rotated, suspended, resumed, compromised, scheduled, unscheduled,
 * destroyed, rewrapped, resealed, granted, revoked; another one is a past
 * participle, too, and is named in the table's comment.
 */
#ifndef AUDIT_LOG_H
#define AUDIT_LOG_H

#include "postgres.h"

/*
 * Appends one row, and writes the same to the server's log.  Time, roles and client are found here: the role is the current
 * one, so it must not be called between extension_owner_begin() and extension_owner_end().
 * version: 0 when the event is about the label as a whole.  details: a JSON
 * object in the database's encoding (escape_json() helps), or NULL; never
 * a key.
 */
extern void audit_log_write(const char *event, const char *label, int32 version,
							const char *details);

/*
 * The same, but where the row cannot be written for lack of resources, such as disk space,
 * that is a warning.  For what must not fail for it.
 */
extern void audit_log_try_write(const char *event, const char *label, int32 version,
								const char *details);

/*
 * Only the line in the server's log, for what has no row of its own; label may be
 * NULL then.
 */
extern void audit_log_server_line(const char *event, const char *label, int32 version,
								  const char *details);

#endif							/* AUDIT_LOG_H */
