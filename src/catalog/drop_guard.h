/*
 * drop_guard.h
 *	  Refuses commands that would drop the table of KEKs together with something else.
 */
#ifndef DROP_GUARD_H
#define DROP_GUARD_H

/* Defines the setting key_vault.allow_drop; called once. */
extern void drop_guard_define_setting(void);

/* Sets the hook; called once. */
extern void drop_guard_init(void);

#endif							/* DROP_GUARD_H */
