/*
 * kek_admin.h
 *	  Creating KEKs and changing their state.
 *
 * For all functions, the current role needs the privilege admin on the label.
 */
#ifndef KEK_ADMIN_H
#define KEK_ADMIN_H

#include "postgres.h"

#include "datatype/timestamp.h"

/*
 * Creates a label with a random KEK of 128, 192 or 256 bits; returns the version, 1.
 * provider is KEK_PROVIDER_LOCAL, or the token in which to make the KEK.
 */
extern int32 kek_create(const char *label, int32 key_bits, const char *provider);

/*
 * Imports a KEK of 16, 24 or 32 bytes, as version 1 of a new label or as the next version,
 * which becomes the active one.  Returns the version.
 */
extern int32 kek_import(const char *label, const uint8 *material, size_t size);

/*
 * Imports a KEK that some version of transport_label has wrapped (AES-KW, RFC 3394).
 * Needs the privilege unwrap on transport_label, too.
 */
extern int32 kek_import_wrapped(const char *label, const uint8 *wrapped,
								size_t wrapped_size, const char *transport_label);

/*
 * Creates the next version of a label, a random KEK, which becomes the active one; returns
 * the version.  provider is as for kek_create(), or NULL for that of the newest version.
 */
extern int32 kek_rotate(const char *label, const char *provider);

extern void kek_suspend(const char *label, int32 version);
extern void kek_resume(const char *label, int32 version);
extern void kek_compromise(const char *label, int32 version);

/* Erases the material, without asking whether keys still need it. */
extern void kek_erase(const char *label, int32 version);

/*
 * Erases the material after destroy_hold_keys_still(), when the caller has counted the keys
 * and found none.
 */
extern void kek_erase_unused(const char *label, int32 version);

/* Raises an error if the current role does not have the privilege admin on the label. */
extern void kek_require_admin(const char *label);

/* Schedules the destruction by kek_destroy_due(), and returns its time. */
extern TimestampTz kek_schedule_destroy(const char *label, int32 version,
										const Interval *after);

/* Cancels the destruction; returns false if none was scheduled. */
extern bool kek_cancel_destroy(const char *label, int32 version);

/*
 * If the destruction is overdue by more than a day, and was not put off before, puts it off:
 * it is due a day from now.  Returns whether it did so.
 */
extern bool kek_put_off_destroy(const char *label, int32 version);

#endif							/* KEK_ADMIN_H */
