/*
 * audit_log.h
 *	  Entries about what was done to KEKs: rows of the table key_vault.audit_log, and
 *	  lines of the server's log.
 *
 * A function that changes a KEK, or its keys, writes an entry in the same transaction,
 * after it has checked the current role.  The name of an event is a past participle
 * ("rotated"); the comment of the table lists them.
 */
#ifndef AUDIT_LOG_H
#define AUDIT_LOG_H

#include "postgres.h"

/*
 * Inserts one row, and writes the same to the server's log.  version is 0 if the event is
 * about the label as a whole.  details is a JSON object in the database's encoding, or
 * NULL, and must not contain a key.  Time, roles and client are found here.  The entry
 * names the current role, so this must not be called between extension_owner_begin()
 * and extension_owner_end().
 */
extern void audit_log_write(const char *event, const char *label, int32 version,
							const char *details);

/*
 * Does the same.  But if there is not enough disk space or memory to write the row, it
 * only warns: for changes that must be possible in an emergency.
 */
extern void audit_log_try_write(const char *event, const char *label, int32 version,
								const char *details);

/*
 * Writes only the line in the server's log, for events that have no row; label may be
 * NULL.
 */
extern void audit_log_server_line(const char *event, const char *label, int32 version,
								  const char *details);

#endif							/* AUDIT_LOG_H */
