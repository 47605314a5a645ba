/*
 * pending_setting.c
 *	  Settings that were reloaded while a statement runs.
 *
 * A session takes a reload in between two statements, and a parallel worker
 * never: a statement keeps the settings that it began with.  That is right for
 * what a statement means, but not for where its keys come from: a KEK that was
 * sealed anew, or made in another token, after a reload can be had only by
 * what the reload brought.  So whoever finds no other way asks here.
 *
 * Invariant: nothing is changed; the session itself takes the reload in its time.
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

/* What the server was started with on its command line stands above the files. */
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

	/* Of several lines the last one holds. */
	for (ConfigVariable *item = head; item != NULL; item = item->next)
		if (!item->ignore && pg_strcasecmp(item->name, name) == 0)
			value = item->value;
	return value;
}
