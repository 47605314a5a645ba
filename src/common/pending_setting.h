/*
 * pending_setting.h
 *	  Reading a setting that was changed while a statement runs.
 */
#ifndef PENDING_SETTING_H
#define PENDING_SETTING_H

#include "postgres.h"

/*
 * Returns the value that the server's configuration files give to a setting, if the
 * server has reloaded them and this session has not yet.  Otherwise, and if the files
 * cannot be read, returns current.
 */
extern const char *pending_setting(const char *name, const char *current);

#endif							/* PENDING_SETTING_H */
