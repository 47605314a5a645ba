/*
 * one_by_one.c
 *	  Stores one message by itself, or puts it into the table rejected.  Tries again what was
 *	  rejected.
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
#include "../common/outage.h"
#include "attempt.h"
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

/* What storage_store() is called with, and what it returns. */
typedef struct Storing
{
	Datum		message;		/* jsonb */
	Datum		keys;			/* array of wrapped keys */
	Outcome		outcome;
} Storing;

static void
store(void *arg)
{
	static Oid	types[] = {JSONBOID, InvalidOid};
	static const Statement statement = {
		"SELECT key_vault_internal.storage_store($1, $2)", 2, types
	};
	Storing    *storing = arg;
	Datum		values[] = {storing->message, storing->keys};
	bool		isnull;

	types[1] = get_array_type(wrapped_key_type());
	(void) statement_run(&statement, values, NULL);
	storing->outcome = outcome_of_name(TextDatumGetCString(statement_column(0, 1, &isnull)));
}

/* The columns of the table rejected that say why a message is there. */
#define REASON_COLUMNS 6

static Datum
text_or_null(const char *string, bool *isnull)
{
	*isnull = string == NULL;
	return string != NULL ? CStringGetTextDatum(string) : (Datum) 0;
}

/*
 * Fills the columns: sqlstate, reason, field, found, expected, hint.
 *
 * storage_read_events() says in the fields of its error which field of the message is wrong.
 * Those of other errors can show the row of a table.
 */
static void
describe(const ErrorData *error, Datum *values, bool *nulls)
{
	const char *field = NULL;
	const char *found = NULL;
	const char *expected = NULL;

	if (error->datatype_name != NULL && error_is_of_this_library(error))
	{
		field = error->column_name;
		found = error->detail;
		expected = error->datatype_name;
	}
	values[0] = text_or_null(unpack_sql_state(error->sqlerrcode), &nulls[0]);
	values[1] = text_or_null(error->message, &nulls[1]);
	values[2] = text_or_null(field, &nulls[2]);
	values[3] = text_or_null(found, &nulls[3]);
	values[4] = text_or_null(expected, &nulls[4]);
	values[5] = text_or_null(error->hint, &nulls[5]);
}

static void
reject(IncomingMessage *message, const Storing *storing, const ErrorData *error)
{
	static Oid	types[] = {
		JSONBOID, InvalidOid, BYTEAOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID
	};
	static const Statement statement = {
		"SELECT key_vault_internal.storage_reject($1, $2, $3, $4, $5, $6, $7, $8, $9)", 9, types
	};
	Datum		values[3 + REASON_COLUMNS] = {
		storing->message, storing->keys,
		PointerGetDatum(bytea_from_bytes(incoming_digest(message), SHA256_DIGEST_LENGTH))
	};
	bool		reason_nulls[REASON_COLUMNS];
	char		nulls[] = "         ";

	describe(error, &values[3], reason_nulls);
	if (message->tree == NULL)
		nulls[0] = 'n';
	for (int i = 0; i < REASON_COLUMNS; i++)
		if (reason_nulls[i])
			nulls[3 + i] = 'n';
	types[1] = get_array_type(wrapped_key_type());
	(void) statement_run(&statement, values, nulls);
	message->outcome = OUTCOME_REJECTED;
}

/* Rejects a message for the reason that was found when it was read. */
static void
reject_unread(IncomingMessage *message, const Storing *storing)
{
	ErrorData	error = {
		.sqlerrcode = ERRCODE_RAISE_EXCEPTION,
		.message = unconstify(char *, message->why),
		.hint = "The setting key_vault.reject_reason was set."
	};

	if (message->tree == NULL)
	{
		error.sqlerrcode = ERRCODE_INVALID_TEXT_REPRESENTATION;
		error.hint = "It is wrapped, in rejected_key: roles that have unwrap on the KEK label can read it.";
	}
	reject(message, storing, &error);
}

void
one_by_one_store(IncomingMessage *message)
{
	Storing		storing = {.keys = array_of_pointers(wrapped_key_type(), message->keys)};
	ErrorData  *error;

	if (message->tree != NULL)
		storing.message = JsonbPGetDatum(json_tree_to_jsonb(message->tree));
	if (message->why != NULL)
	{
		reject_unread(message, &storing);
		return;
	}
	error = attempt(store, &storing);
	if (error != NULL)
		reject(message, &storing, error);
	else
		message->outcome = storing.outcome;
}

/* A message that was rejected. */
typedef struct Rejected
{
	Storing		storing;
	Datum		id;
	const ErrorData *error;		/* why it stays */
} Rejected;

static void
store_and_forget(void *arg)
{
	static const Oid types[] = {INT8OID};
	static const Statement statement = {"DELETE FROM rejected r WHERE r.id = $1", 1, types};
	Rejected   *rejected = arg;

	store(&rejected->storing);
	(void) statement_run(&statement, &rejected->id, NULL);
}

/* If the message stays for the same reason, its row is not written again. */
static void
write_reason(void *arg)
{
	static const Oid types[] = {TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, INT8OID};
	static const Statement statement = {
		"UPDATE rejected r SET sqlstate = $1, reason = $2, field = $3, found = $4, expected = $5, hint = $6"
		" WHERE r.id = $7 AND (r.sqlstate, r.reason) IS DISTINCT FROM ($1, $2)", 7, types
	};
	const Rejected *rejected = arg;
	Datum		values[REASON_COLUMNS + 1];
	bool		reason_nulls[REASON_COLUMNS];
	char		nulls[] = "       ";

	describe(rejected->error, values, reason_nulls);
	for (int i = 0; i < REASON_COLUMNS; i++)
		if (reason_nulls[i])
			nulls[i] = 'n';
	values[REASON_COLUMNS] = rejected->id;
	(void) statement_run(&statement, values, nulls);
}

bool
one_by_one_store_rejected(Datum id, Datum message, Datum keys)
{
	Rejected	rejected = {{message, keys}, id};

	rejected.error = attempt(store_and_forget, &rejected);
	if (rejected.error == NULL)
		return true;

	/*
	 * If the table's own code does not let the reason be written, the row
	 * stays as it is.  The other messages are tried all the same.
	 */
	(void) attempt(write_reason, &rejected);
	return false;
}

static void
open_envelope(void *arg)
{
	static const Oid types[] = {BYTEAOID, BYTEAOID, TEXTOID, BYTEAOID, TEXTOID, BYTEAOID};
	static const Statement statement = {
		"UPDATE session i"
		" SET app_s_key = key_vault.import_envelope($3, $4, $5, $6), kek_label = NULL, encrypted_key = NULL"
		" WHERE i.dev_eui = $1 AND i.session_key_id = $2", 6, types
	};

	(void) statement_run(&statement, arg, NULL);
}

ErrorData *
one_by_one_open_envelope(Datum *envelope)
{
	return attempt(open_envelope, envelope);
}
