/*
 * new_setting.c
 *	  Adding the extension's settings to PostgreSQL's.
 *
 * PostgreSQL 15 has its settings in an array in the order of their names, and sorts the
 * whole array each time that a setting is added.  For the extension's settings that
 * takes half as long as all else that happens when a session loads the library and
 * decrypts for the first time.  An array that is in order already is only looked
 * through.  So each setting is defined by a name that comes after all others, the "~" in
 * front of it is taken away when all are defined, and then all are moved to their places
 * at once.
 *
 * A setting that the configuration files or the session have named before is in the
 * array already, as a placeholder, which PostgreSQL replaces without sorting.  The
 * postmaster need not hurry.  Later versions of PostgreSQL keep settings in a hash table.
 *
 * Invariant: new_settings_end() raises no error, so the array is in order before and
 * after it.  If a definition raises an error, the library is not loaded.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/guc_tables.h"

#include "new_setting.h"

#if PG_VERSION_NUM < 160000

/* No name of PostgreSQL's or of an extension begins with it. */
#define LAST_CHARACTER '~'

#define MAX_NEW_SETTINGS 16

const char *
new_setting_name(const char *name)
{
	if (process_shared_preload_libraries_in_progress ||
		GetConfigOption(name, true, false) != NULL)
		return name;
	return psprintf("%c%s", LAST_CHARACTER, name);
}

static int
lower_case(char c)
{
	return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
}

/* The order in which PostgreSQL has the names. */
static int
compare_names(const char *a, const char *b)
{
	while (*a != '\0' && lower_case(*a) == lower_case(*b))
	{
		a++;
		b++;
	}
	return lower_case(*a) - lower_case(*b);
}

void
new_settings_end(void)
{
	struct config_generic **all = get_guc_variables();
	struct config_generic *added[MAX_NEW_SETTINGS];
	int			place = GetNumConfigOptions();
	int			old = place;
	int			n = 0;

	while (old > 0 && n < MAX_NEW_SETTINGS && all[old - 1]->name[0] == LAST_CHARACTER)
	{
		added[n] = all[--old];
		added[n++]->name++;
	}

	/*
	 * Merges, from the end on; added[0] is the last one of those that were
	 * added.
	 */
	for (int i = 0; i < n; place--)
	{
		if (old > 0 && compare_names(all[old - 1]->name, added[i]->name) > 0)
			all[place - 1] = all[--old];
		else
			all[place - 1] = added[i++];
	}
}

#else

const char *
new_setting_name(const char *name)
{
	return name;
}

void
new_settings_end(void)
{
}

#endif
