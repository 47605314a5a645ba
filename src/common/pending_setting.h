/*
 * pending_setting.h
 *	  Settings that were reloaded while a statement runs.
 */
#ifndef PENDING_SETTING_H
#define PENDING_SETTING_H

#include "postgres.h"

/*
 * The value that the server's configuration files give a setting, if the server
 * was told to reload them and this session has not done so yet; current
 * otherwise, and where the files cannot be read.
 */
extern const char *pending_setting(const char *name, const char *current);

#endif							/* PENDING_SETTING_H */
