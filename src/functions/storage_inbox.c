/*
 * storage_inbox.c
 *	  The triggers of a storage's table inbox: lines are collected, and stored when the
 *	  statement ends.
 *
 * Invariants:
 * - No line is written to the table.
 * - The lines of a statement are stored when it ends, and forgotten if it fails.  They are
 *	 in a set that belongs to the table and the subtransaction, and that is freed with the
 *	 subtransaction.
 * - If no AFTER trigger for the statement fires, each line is stored at once: the trigger is
 *	 missing or not enabled ALWAYS, or the line comes by logical replication, whose workers
 *	 fire only triggers for rows.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type_d.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "nodes/value.h"
#include "parser/parse_func.h"
#include "replication/logicalworker.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "../storage/message_set.h"
#include "storage.h"

PG_FUNCTION_INFO_V1(key_vault_storage_inbox_line);
PG_FUNCTION_INFO_V1(key_vault_storage_inbox_end);

/* The lines that a statement has inserted. */
typedef struct OpenSet
{
	struct OpenSet *next;
	Oid			table;
	SubTransactionId subtransaction;
	MessageSet *messages;
	MemoryContext context;
	MemoryContextCallback callback;
} OpenSet;

static OpenSet *open_sets = NULL;

static void
forget(void *arg)
{
	for (OpenSet **set = &open_sets; *set != NULL; set = &(*set)->next)
	{
		if (*set == arg)
		{
			*set = (*set)->next;
			return;
		}
	}
}

static OpenSet *
find_open_set(Oid table)
{
	SubTransactionId subtransaction = GetCurrentSubTransactionId();

	for (OpenSet *set = open_sets; set != NULL; set = set->next)
		if (set->table == table && set->subtransaction == subtransaction)
			return set;
	return NULL;
}

static OpenSet *
open_set(Relation inbox)
{
	MemoryContext context = AllocSetContextCreate(CurTransactionContext, "key_vault inbox", ALLOCSET_SMALL_SIZES);
	OpenSet    *set = MemoryContextAllocZero(context, sizeof(OpenSet));

	set->table = RelationGetRelid(inbox);
	set->subtransaction = GetCurrentSubTransactionId();
	set->context = context;
	set->messages = message_set_create(context, get_namespace_name(RelationGetNamespace(inbox)));
	set->callback.func = forget;
	set->callback.arg = set;
	MemoryContextRegisterResetCallback(context, &set->callback);
	set->next = open_sets;
	open_sets = set;
	return set;
}

/* Whether key_vault_storage_inbox_end() is called when the statement ends. */
static bool
has_end(const TriggerData *data)
{
	const TriggerDesc *triggers = data->tg_relation->trigdesc;
	Oid			end_function = LookupFuncName(list_make2(makeString("key_vault_internal"),
														 makeString("storage_inbox_end")), 0, NULL, false);

	if (IsLogicalWorker())
		return false;
	for (int i = 0; i < triggers->numtriggers; i++)
	{
		const Trigger *trigger = &triggers->triggers[i];

		if (trigger->tgfoid == end_function && trigger->tgenabled == TRIGGER_FIRES_ALWAYS &&
			trigger->tgtype == (TRIGGER_TYPE_AFTER | TRIGGER_TYPE_INSERT))
			return true;
	}
	return false;
}

static void
tell_counts(const MessageSet *messages)
{
	MessageCounts counts = message_set_counts(messages);

	ereport(NOTICE,
			(errmsg_internal("%s", message_counts_text(&counts)),
			 counts.rejected > 0 ? errhint("The table rejected says why.") : 0));
}

static void
require_trigger(FunctionCallInfo fcinfo, bool fires)
{
	if (!CALLED_AS_TRIGGER(fcinfo) || !fires)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function is for the table inbox of a storage, as a trigger of INSERT")));
}

Datum
key_vault_storage_inbox_line(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	ErrorContextCallback callback;
	TupleDesc	desc;
	int			column;
	bool		isnull;
	Datum		value;
	text	   *line;

	require_trigger(fcinfo, CALLED_AS_TRIGGER(fcinfo) && TRIGGER_FIRED_BY_INSERT(data->tg_event) &&
					TRIGGER_FIRED_FOR_ROW(data->tg_event) && TRIGGER_FIRED_BEFORE(data->tg_event));
	out_of_the_log_begin(&callback);
	desc = RelationGetDescr(data->tg_relation);
	column = SPI_fnumber(desc, "message");
	if (column <= 0 || SPI_gettypeid(desc, column) != TEXTOID)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("table \"%s\" has no column message of type text", RelationGetRelationName(data->tg_relation))));
	value = heap_getattr(data->tg_trigtuple, column, desc, &isnull);
	line = isnull ? NULL : DatumGetTextPP(value);
	if (line != NULL)
	{
		OpenSet    *set = find_open_set(RelationGetRelid(data->tg_relation));
		bool		is_last = set == NULL && !has_end(data);

		if (set == NULL)
			set = open_set(data->tg_relation);
		message_set_add_lines(set->messages, VARDATA_ANY(line), VARSIZE_ANY_EXHDR(line));
		if (is_last)
		{
			message_set_store(set->messages);
			MemoryContextDelete(set->context);
		}
	}
	out_of_the_log_end(&callback);
	/* NULL makes PostgreSQL write no row. */
	PG_RETURN_POINTER(NULL);
}

Datum
key_vault_storage_inbox_end(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	ErrorContextCallback callback;
	OpenSet    *set;

	require_trigger(fcinfo, CALLED_AS_TRIGGER(fcinfo) && TRIGGER_FIRED_BY_INSERT(data->tg_event) &&
					TRIGGER_FIRED_FOR_STATEMENT(data->tg_event) && TRIGGER_FIRED_AFTER(data->tg_event));
	set = find_open_set(RelationGetRelid(data->tg_relation));
	if (set == NULL)
		PG_RETURN_POINTER(NULL);
	out_of_the_log_begin(&callback);
	message_set_store(set->messages);
	tell_counts(set->messages);
	MemoryContextDelete(set->context);
	out_of_the_log_end(&callback);
	PG_RETURN_POINTER(NULL);
}
