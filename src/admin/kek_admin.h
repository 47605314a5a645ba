/*
 * kek_admin.h
 *	  Making KEKs and changing their state.
 *
 * All take the privilege admin on the label, for the current role.
 */
#ifndef KEK_ADMIN_H
#define KEK_ADMIN_H

#include "postgres.h"

#include "datatype/timestamp.h"

/*
 * Begins what depends on all versions of a label, or on its privileges: asks for the
 * privilege, and takes the label's lock.
 */
extern void kek_begin_administration(const char *label);

/*
 * A new label with a random KEK of 128, 192 or 256 bits; returns the version, 1.
 * provider: KEK_PROVIDER_LOCAL, or the token to make it in.
 */
extern int32 kek_create(const char *label, int32 key_bits, const char *provider);

/*
 * A KEK from outside, of 16, 24 or 32 bytes: version 1 of a new label, or the
 * next one, which becomes the active one.  Returns the version.
 */
extern int32 kek_import(const char *label, const uint8 *material, size_t size);

/*
 * The same for a KEK that comes wrapped (AES-KW, RFC 3394) with some version of
 * transport_label, on which it takes the privilege unwrap besides.
 */
extern int32 kek_import_wrapped(const char *label, const uint8 *wrapped,
								size_t wrapped_size, const char *transport_label);

/*
 * A new random version of a label, which becomes the active one; returns it.
 * provider: as for kek_create(), or NULL for that of the newest version.
 */
extern int32 kek_rotate(const char *label, const char *provider);

extern void kek_suspend(const char *label, int32 version);
extern void kek_resume(const char *label, int32 version);
extern void kek_compromise(const char *label, int32 version);

/* Erases the material.  Whether keys still need it is for the caller to know. */
extern void kek_erase(const char *label, int32 version);

/* The same after destroy_hold_keys_still(), and after the keys were counted. */
extern void kek_erase_unused(const char *label, int32 version);

/* An error for a role that does not hold the privilege. */
extern void kek_require_admin(const char *label);

/*
 * Notes when kek_destroy_due() is to destroy it, and returns that; takes it
 * back, false when there was nothing to take back.
 */
extern TimestampTz kek_schedule_destroy(const char *label, int32 version,
										const Interval *after);
extern bool kek_cancel_destroy(const char *label, int32 version);

#endif							/* KEK_ADMIN_H */
