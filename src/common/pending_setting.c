/*
 * pending_setting.c
 *	  Reading a setting that was changed while a statement runs.
 *
 * When the server reloads its configuration, a session takes the new settings after
 * the statement that it runs, and a parallel worker never does: a statement keeps the
 * settings with which it began.  But after the reload, a KEK may be sealed under a new
 * root key, or made in a new token, and then the statement can open it only with
 * the new settings.  So if the session's own settings do not help, the new ones are
 * looked for in the files.
 *
 * Invariant: no setting is changed here; the session itself does that after its
 * statement.
 */
#include "postgres.h"

#include "access/parallel.h"
#include "miscadmin.h"
#include "postmaster/interrupt.h"
#include "utils/guc.h"
#include "utils/guc_tables.h"

#include "pending_setting.h"

static const struct config_generic *
find_setting(const char *name)
{
#if PG_VERSION_NUM >= 160000
	return find_option(name, false, true, 0);
#else
	struct config_generic **all = get_guc_variables();

	for (int i = 0; i < GetNumConfigOptions(); i++)
		if (strcmp(all[i]->name, name) == 0)
			return all[i];
	return NULL;
#endif
}

/*
 * Whether the files decide about the setting: an option on the server's command line
 * has precedence over them.
 */
static bool
is_from_files(const char *name)
{
	const struct config_generic *setting = find_setting(name);

	return setting != NULL && setting->reset_source <= PGC_S_FILE;
}

const char *
pending_setting(const char *name, const char *current)
{
	ConfigVariable *head = NULL;
	ConfigVariable *tail = NULL;
	const char *value = "";

	if ((!ConfigReloadPending && !IsParallelWorker()) || !is_from_files(name) ||
		!ParseConfigFile(ConfigFileName, true, NULL, 0, 0, LOG, &head, &tail) ||
		!ParseConfigFile(PG_AUTOCONF_FILENAME, false, NULL, 0, 0, LOG, &head, &tail))
		return current;

	/* If several lines set it, the last one holds. */
	for (ConfigVariable *item = head; item != NULL; item = item->next)
		if (!item->ignore && pg_strcasecmp(item->name, name) == 0)
			value = item->value;
	return value;
}
