/*
 * drop_guard.c
 *	  Refuses commands that would drop the table of KEKs together with something else.
 *
 * DROP EXTENSION, DROP SCHEMA ... CASCADE and DROP OWNED drop that table.  Nobody can say
 * whether the KEKs in it are still needed, since wrapped keys may be kept as text, in
 * JSON or in another database.  So the table is not dropped before all its KEKs are
 * destroyed, unless the setting key_vault.allow_drop is on.  Then the server's log has a
 * line about each KEK.
 *
 * A hook of PostgreSQL sees every command that drops the table, but only if the session
 * has loaded this library.  So the extension has an event trigger whose function is in
 * this library: PostgreSQL loads it before such a command runs.  Neither sees DROP
 * DATABASE.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_class.h"
#include "commands/extension.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "../common/new_setting.h"
#include "audit_log.h"
#include "drop_guard.h"
#include "kek_row.h"

static bool allow_drop = false;
static object_access_hook_type next_hook = NULL;

/*
 * The table of KEKs is known by its columns and by the extension that it belongs to, since it and its
 * schema can be renamed; or by its name, since it can be taken out of the extension.
 */
static bool
is_kek_table(Oid relation)
{
	char	   *name = get_rel_name(relation);
	char	   *schema;
	char	   *extension;

	if (name == NULL || get_rel_relkind(relation) != RELKIND_RELATION ||
		get_attnum(relation, "sealed_material") == InvalidAttrNumber)
		return false;
	extension = get_extension_name(getExtensionOfObject(RelationRelationId, relation));
	if (extension != NULL && strcmp(extension, "key_vault") == 0)
		return true;

	/* The same command may have dropped the schema before. */
	schema = get_namespace_name(get_rel_namespace(relation));
	return strcmp(name, "kek") == 0 && (schema == NULL || strcmp(schema, "key_vault") == 0);
}

static void
refuse(const List *keks)
{
	const KekRow *example = llast(keks);
	int			left = list_length(keks);

	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("cannot drop table key_vault.kek: it has KEKs that are not destroyed"),
			 errdetail_plural("There is %d, label \"%s\" version %d.  Every key that it wraps would be lost, wherever it is kept.",
							  "There are %d, among them label \"%s\" version %d.  Every key that they wrap would be lost, wherever it is kept.",
							  left, left, example->label, example->version),
			 errhint("To lose them all the same, run SET key_vault.allow_drop = on before.  For pg_restore --clean, set the environment variable PGOPTIONS to \"-c key_vault.allow_drop=on\".")));
}

/* The audit log is dropped with the KEKs, so that the server's log is all that is left. */
static void
log_drop(const List *keks)
{
	ListCell   *cell;

	foreach(cell, keks)
	{
		const KekRow *kek = lfirst(cell);

		audit_log_server_line("dropped", kek->label, kek->version, NULL);
	}
}

static void
guard(ObjectAccessType access, Oid class_id, Oid object_id, int sub_id, void *arg)
{
	if (next_hook)
		next_hook(access, class_id, object_id, sub_id, arg);
	/* sub_id: the number of a column that is dropped, or 0 */
	if (access == OAT_DROP && class_id == RelationRelationId && is_kek_table(object_id))
	{
		List	   *keks = kek_rows_left(object_id);

		if (allow_drop)
			log_drop(keks);
		else if (keks != NIL)
			refuse(keks);
	}
}

void
drop_guard_define_setting(void)
{
	DefineCustomBoolVariable(new_setting_name("key_vault.allow_drop"),
							 "Lets a command drop the extension's tables although there are KEKs.",
							 "Every key that these KEKs wrap is lost then.",
							 &allow_drop, false, PGC_SUSET, 0, NULL, NULL, NULL);
}

void
drop_guard_init(void)
{
	next_hook = object_access_hook;
	object_access_hook = guard;
}
