/*
 * drop_guard.h
 *	  Keeps KEKs from being dropped along with something else.
 */
#ifndef DROP_GUARD_H
#define DROP_GUARD_H

/* The setting key_vault.allow_drop, and the hook; once, when the library is loaded. */
extern void drop_guard_init(void);

#endif							/* DROP_GUARD_H */
