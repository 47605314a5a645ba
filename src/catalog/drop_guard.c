/*
 * drop_guard.c
 *	  Keeps KEKs from being dropped along with something else.
 *
 * DROP EXTENSION, DROP SCHEMA ... CASCADE and DROP OWNED drop the table of KEKs.  Whether
 * keys hang on them cannot be told: keys may be kept as text, in JSON or in
 * another database.  So the table is not dropped while one of its KEKs is not destroyed, unless
 * the setting key_vault.allow_drop says so.
 *
 * The hook sees every way in which the table can go, but only in a session that has
 * loaded the library.  So an event trigger of the extension, whose function is in the
 * library, is called at the start of the commands in question.  DROP DATABASE is
 * seen by neither.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_class.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "drop_guard.h"
#include "kek_row.h"

static bool allow_drop = false;
static object_access_hook_type next_hook = NULL;

static bool
is_kek_table(Oid relation)
{
	char	   *name = get_rel_name(relation);
	char	   *schema;

	if (name == NULL || strcmp(name, "kek") != 0 ||
		get_rel_relkind(relation) != RELKIND_RELATION ||
		get_attnum(relation, "sealed_material") == InvalidAttrNumber)
		return false;

	/* The schema may have been dropped by the same command before. */
	schema = get_namespace_name(get_rel_namespace(relation));
	return schema == NULL || strcmp(schema, "key_vault") == 0;
}

static void
refuse_if_keks_are_left(Oid relation)
{
	KekRow	   *example;
	int			left = kek_rows_left(relation, &example);

	if (left > 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot drop table key_vault.kek: it has KEKs that are not destroyed"),
				 errdetail_plural("There is %d, label \"%s\" version %d.  Every key that it wraps would be lost, wherever it is kept.",
								  "There are %d, among them label \"%s\" version %d.  Every key that they wrap would be lost, wherever it is kept.",
								  left, left, example->label, example->version),
				 errhint("To lose them all the same, run SET key_vault.allow_drop = on before.  For pg_restore --clean, set the environment variable PGOPTIONS to \"-c key_vault.allow_drop=on\".")));
}

static void
guard(ObjectAccessType access, Oid class_id, Oid object_id, int sub_id, void *arg)
{
	if (next_hook)
		next_hook(access, class_id, object_id, sub_id, arg);
	if (access == OAT_DROP && class_id == RelationRelationId && sub_id == 0 && !allow_drop &&
		is_kek_table(object_id))
		refuse_if_keks_are_left(object_id);
}

void
drop_guard_init(void)
{
	DefineCustomBoolVariable("key_vault.allow_drop",
							 "Lets a command drop the extension's tables although there are KEKs.",
							 "Every key that these wrap is lost then.",
							 &allow_drop, false, PGC_SUSET, 0, NULL, NULL, NULL);
	next_hook = object_access_hook;
	object_access_hook = guard;
}
