/*
 * root_key_rotate.h
 *	  Sealing all KEKs under the first root key of the setting.
 */
#ifndef ROOT_KEY_ROTATE_H
#define ROOT_KEY_ROTATE_H

#include "postgres.h"

/*
 * Seals every KEK that is sealed under another root key under the first one of the setting;
 * returns their number.  Warns of KEKs that do not open.  For superusers only.
 */
extern int64 root_key_rotate(void);

#endif							/* ROOT_KEY_ROTATE_H */
