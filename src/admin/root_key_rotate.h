/*
 * root_key_rotate.h
 *	  Sealing all KEKs under another root key.
 */
#ifndef ROOT_KEY_ROTATE_H
#define ROOT_KEY_ROTATE_H

#include "postgres.h"

/*
 * Seals every KEK that is not sealed under the first root key of the setting
 * under that one; returns their number.  Warns of those that do not open.  For
 * superusers.
 */
extern int64 root_key_rotate(void);

#endif							/* ROOT_KEY_ROTATE_H */
