/*
 * new_setting.h
 *	  Adding the extension's settings to PostgreSQL's.
 */
#ifndef NEW_SETTING_H
#define NEW_SETTING_H

#include "postgres.h"

/*
 * The name to define a setting by.  Between the first call and new_settings_end(), all
 * settings are defined, in the order of their names.
 */
extern const char *new_setting_name(const char *name);

/* Gives the settings their own names. */
extern void new_settings_end(void);

#endif							/* NEW_SETTING_H */
