/*
 * one_by_one.c
 *	  Stores one message by itself, or puts it into the table rejected.
 *
 * The work is done in PL/pgSQL (src/sql/storage), which is slower, but which a DBA can read.
 * Only the messages that set_store() leaves get here.
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "../catalog/key_columns.h"
#include "../common/bytea.h"
#include "one_by_one.h"
#include "statement.h"
#include "value_list.h"

static const char *const outcome_names[] = {
	[OUTCOME_OPEN] = "open",
	[OUTCOME_UPLINK] = "uplink",
	[OUTCOME_JOIN] = "join",
	[OUTCOME_DOWNLINK] = "downlink",
	[OUTCOME_DUPLICATE] = "duplicate",
	[OUTCOME_REJECTED] = "rejected"
};

const char *
outcome_name(Outcome outcome)
{
	return outcome_names[outcome];
}

static Outcome
outcome_of_name(const char *name)
{
	for (int i = 0; i < lengthof(outcome_names); i++)
		if (strcmp(name, outcome_names[i]) == 0)
			return (Outcome) i;
	elog(ERROR, "unknown outcome \"%s\"", name);
}

void
one_by_one_store(IncomingMessage *message)
{
	static Oid	types[] = {JSONBOID, InvalidOid, BYTEAOID, TEXTOID};
	static const Statement store = {
		"SELECT key_vault_internal.storage_store_or_reject($1, $2, $3, $4)", 4, types
	};
	Oid			key_type = wrapped_key_type();
	char		nulls[] = "    ";
	Datum		values[4] = {0};
	bool		isnull;

	types[1] = get_array_type(key_type);
	if (message->tree != NULL)
		values[0] = JsonbPGetDatum(json_tree_to_jsonb(message->tree));
	else
		nulls[0] = 'n';
	values[1] = array_of_pointers(key_type, message->keys);
	values[2] = PointerGetDatum(bytea_from_bytes(incoming_digest(message), SHA256_DIGEST_LENGTH));
	if (message->why != NULL)
		values[3] = CStringGetTextDatum(message->why);
	else
		nulls[3] = 'n';
	(void) statement_run(&store, values, nulls);
	message->outcome = outcome_of_name(TextDatumGetCString(statement_column(0, 1, &isnull)));
}
