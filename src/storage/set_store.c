/*
 * set_store.c
 *	  Stores many messages by few statements.
 *
 * First, what the storage has of the messages is looked up (set_look.c).  Then rows are
 * inserted by one statement for each of the tables device, session and uplink, in the order
 * of the table's key.  So two transactions that store the same messages wait for each other
 * in the same order, and cannot deadlock.
 *
 * Invariants:
 * - Sessions and uplinks that the storage has are not changed.  A message that would change
 *   one, or be refused, is left to be stored one by one.
 * - A set is stored in a subtransaction: as a whole, or not at all.  If it fails, it is
 *   halved, until the message is found that cannot be stored.
 * - If an INSERT writes fewer rows than it was given, because of another transaction or a
 *   trigger, the set has failed.
 * - Nothing is stored here if Citus has distributed the storage.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "../catalog/citus.h"
#include "../catalog/kek_label.h"
#include "../catalog/key_columns.h"
#include "../catalog/wrapped_key.h"
#include "../common/bytea.h"
#include "../vault/wrapping.h"
#include "attempt.h"
#include "set_row.h"
#include "set_store.h"
#include "statement.h"
#include "value_list.h"

/* A session that the set makes. */
typedef struct NewSession
{
	const SetRow *first;
	TimestampTz started_at;
	struct varlena *key;		/* NULL while no message brought it */
	const bytea *digest;		/* of its envelope; NULL for a key that came
								 * as plaintext */
} NewSession;

static int
compare_bytes(const bytea *one, const bytea *other)
{
	int			one_size = one != NULL ? (int) VARSIZE_ANY_EXHDR(one) : -1;
	int			other_size = other != NULL ? (int) VARSIZE_ANY_EXHDR(other) : -1;
	int			order = 0;

	if (Min(one_size, other_size) > 0)
		order = memcmp(VARDATA_ANY(one), VARDATA_ANY(other), Min(one_size, other_size));
	return order != 0 ? order : (one_size > other_size) - (one_size < other_size);
}

static bool
same_session(const MessageEvent *one, const MessageEvent *other)
{
	return compare_bytes(one->dev_eui, other->dev_eui) == 0 &&
		compare_bytes(one->session_key_id, other->session_key_id) == 0;
}

/* The order by device, session, time and FCnt, then as the messages came. */
static int
compare_rows(const void *a, const void *b)
{
	const SetRow *one = a;
	const SetRow *other = b;
	int			order = compare_bytes(one->event->dev_eui, other->event->dev_eui);

	if (order == 0)
		order = compare_bytes(one->event->session_key_id, other->event->session_key_id);
	if (order == 0)
		order = (one->event->received_at > other->event->received_at) - (one->event->received_at < other->event->received_at);
	if (order == 0)
		order = (one->event->f_cnt > other->event->f_cnt) - (one->event->f_cnt < other->event->f_cnt);
	return order != 0 ? order : one->place - other->place;
}

/* SHA-256 over the label, a zero byte and the wrapped key, as in session.sql. */
static bytea *
digest_of_envelope(const MessageEvent *event)
{
	const char *label = kek_label_utf8(event->kek_label);
	size_t		label_size = strlen(label) + 1;
	size_t		key_size = VARSIZE(event->encrypted_key) - VARHDRSZ;
	uint8	   *text = palloc(label_size + key_size);
	uint8		digest[SHA256_DIGEST_LENGTH];

	memcpy(text, label, label_size);
	memcpy(text + label_size, VARDATA(event->encrypted_key), key_size);
	(void) SHA256(text, label_size + key_size, digest);
	pfree(text);
	return bytea_from_bytes(digest, sizeof(digest));
}

static struct varlena *
key_of(const SetRow *row)
{
	if (row->event->key_number > list_length(row->message->keys))
		return NULL;
	return list_nth(row->message->keys, row->event->key_number - 1);
}

/* Makes the key of a message, bound to its DevAddr, for the column session.app_s_key. */
static struct varlena *
make_key(const SetRow *row)
{
	const MessageEvent *event = row->event;
	const uint8 *dev_addr = (const uint8 *) VARDATA(event->dev_addr);
	struct varlena *key;
	WrappedKey	wrapped;

	if (event->encrypted_key != NULL)
		key = vault_import(event->kek_label, (const uint8 *) VARDATA(event->encrypted_key),
						   VARSIZE(event->encrypted_key) - VARHDRSZ, row->label_at_rest, dev_addr);
	else
	{
		wrapped_key_from_varlena(key_of(row), &wrapped);
		key = vault_bind(&wrapped, dev_addr);
	}
	return key;
}

typedef struct KeyMaking
{
	const SetRow *row;
	struct varlena *key;		/* the result */
} KeyMaking;

static void
make_key_of(void *arg)
{
	KeyMaking  *making = arg;

	making->key = make_key(making->row);
}

/* Makes the key; returns NULL if the message is the reason that this fails. */
static struct varlena *
try_make_key(const SetRow *row)
{
	KeyMaking	making = {.row = row};

	return attempt(make_key_of, &making) == NULL ? making.key : NULL;
}

static bool
brings_key(const MessageEvent *event)
{
	return event->encrypted_key != NULL || event->key_number > 0;
}

/* Whether a message changes nothing of the session that the storage has, and does not contradict it. */
static bool
fits_known_session(const SetRow *row)
{
	const MessageEvent *event = row->event;

	if (compare_bytes(row->session_dev_addr, event->dev_addr) != 0 || event->received_at < row->started_at)
		return false;
	if (!brings_key(event))
		return true;
	if (row->app_s_key == NULL)
		return false;
	if (event->encrypted_key != NULL)
		return compare_bytes(row->envelope_digest, digest_of_envelope(event)) == 0;
	/* The same key under the same KEK gives the same bytes. */
	return key_of(row) != NULL && compare_bytes((bytea *) try_make_key(row), (bytea *) row->app_s_key) == 0;
}

/* Whether a message brings the key that an earlier message of the set brought for the session. */
static bool
brings_same_key(const SetRow *row, const NewSession *session)
{
	if (row->event->encrypted_key != NULL)
		return session->digest != NULL && compare_bytes(session->digest, digest_of_envelope(row->event)) == 0;
	return key_of(row) != NULL &&
		compare_bytes((bytea *) try_make_key(row), (bytea *) session->key) == 0;
}

/* Adds a message to a session that the set makes; returns false if it contradicts the session. */
static bool
join_new_session(SetRow *row, NewSession *session)
{
	const MessageEvent *event = row->event;

	if (compare_bytes(session->first->event->dev_addr, event->dev_addr) != 0)
		return false;
	if (brings_key(event) && session->key != NULL)
	{
		if (!brings_same_key(row, session))
			return false;
	}
	else if (brings_key(event))
	{
		if (event->encrypted_key == NULL && key_of(row) == NULL)
			return false;
		session->key = try_make_key(row);
		if (session->key == NULL)
			return false;
		session->digest = event->encrypted_key != NULL ? digest_of_envelope(event) : NULL;
	}
	session->started_at = Min(session->started_at, event->received_at);
	return true;
}

/* The order by device and session, then as the messages came. */
static int
compare_arrivals(const void *a, const void *b)
{
	const SetRow *one = *(SetRow *const *) a;
	const SetRow *other = *(SetRow *const *) b;
	int			order = compare_bytes(one->event->dev_eui, other->event->dev_eui);

	if (order == 0)
		order = compare_bytes(one->event->session_key_id, other->event->session_key_id);
	return order != 0 ? order : one->place - other->place;
}

/*
 * Finds the sessions that the set must make, and returns their number.  A message that does
 * not fit its session is left to be stored one by one.  If messages contradict each other,
 * the first of them makes the session.  If the first message of a new session is left, so are
 * those after it, since the session must be made in the order in which the messages came.
 */
static int
match_sessions(SetRow *rows, int n, NewSession *sessions)
{
	SetRow	  **arrivals = palloc(n * sizeof(SetRow *));
	const SetRow *set_aside = NULL;
	int			count = 0;

	for (int i = 0; i < n; i++)
		arrivals[i] = &rows[i];
	qsort(arrivals, n, sizeof(SetRow *), compare_arrivals);
	for (int i = 0; i < n; i++)
	{
		SetRow	   *row = arrivals[i];
		NewSession	begun = {.first = row,.started_at = row->event->received_at};

		if (row->event->kind != EVENT_JOIN && !brings_key(row->event))
			continue;
		if (row->has_session)
			row->alone |= !fits_known_session(row);
		else if (set_aside != NULL && same_session(set_aside->event, row->event))
			row->alone = true;
		else if (row->alone)
			set_aside = row;
		else if (count > 0 && same_session(sessions[count - 1].first->event, row->event))
			row->alone = !join_new_session(row, &sessions[count - 1]);
		else if (join_new_session(row, &begun))
			sessions[count++] = begun;
		else
		{
			row->alone = true;
			set_aside = row;
		}
	}
	return count;
}

static bool
is_same_uplink(const MessageEvent *one, const MessageEvent *other)
{
	return one->kind == EVENT_UPLINK && other->kind == EVENT_UPLINK && same_session(one, other) &&
		one->received_at == other->received_at && one->f_cnt == other->f_cnt;
}

static bool
has_same_content(const MessageEvent *one, const MessageEvent *other)
{
	return one->f_port == other->f_port && one->form == other->form &&
		compare_bytes(one->dev_addr, other->dev_addr) == 0 &&
		compare_bytes(one->frm_payload, other->frm_payload) == 0;
}

/* Finds uplinks that the storage has already, or that are in the set twice. */
static void
match_uplinks(SetRow *rows, int n)
{
	for (int i = 0; i < n; i++)
	{
		SetRow	   *row = &rows[i];

		if (row->event->kind != EVENT_UPLINK)
			continue;
		row->alone |= (row->has_uplink && !row->same_uplink) || !row->event->has_f_cnt;
		if (i > 0 && is_same_uplink(rows[i - 1].event, row->event))
		{
			row->is_repeated = true;
			row->alone |= !has_same_content(rows[i - 1].event, row->event);
		}
	}
}

/*
 * Raises an error unless a statement wrote all rows that it was given.  attempt() catches
 * the error.
 */
static void
require_all(uint64 written, int given)
{
	if (written != given)
		ereport(ERROR,
				(errcode(ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION),
				 errmsg_internal("set of %d rows was written in part", given)));
}

/*
 * A device has the name and the application of its latest message.  So only the latest
 * message of each device in the set is used, by the same rule as in storage_store().
 */
static void
insert_devices(const SetRow *rows, int n)
{
	static const Statement insert = {
		.sql = "INSERT INTO device AS old (dev_eui, application_id, device_id, seen_at)"
		" SELECT i.dev_eui, i.application_id, i.device_id, least(i.seen_at, now()) FROM ",
		.after_rows = " i (dev_eui, application_id, device_id, seen_at, n)"
		" ON CONFLICT (dev_eui) DO UPDATE"
		" SET application_id = excluded.application_id, device_id = coalesce(excluded.device_id, old.device_id),"
		" seen_at = excluded.seen_at"
		" WHERE old.seen_at <= excluded.seen_at"
		" AND NOT EXISTS (SELECT FROM uplink u WHERE u.dev_eui = excluded.dev_eui"
		" AND u.received_at > excluded.seen_at AND u.stored_at > excluded.seen_at)",
		.by_indexes = true
	};
	ValueList	lists[] = {
		value_list(BYTEAOID, n), value_list(TEXTOID, n), value_list(TEXTOID, n), value_list(TIMESTAMPTZOID, n)
	};
	const SetRow *latest = NULL;

	for (int i = 0; i < n; i++)
	{
		const SetRow *row = &rows[i];
		bool		is_last = i + 1 == n ||
		compare_bytes(row->event->dev_eui, rows[i + 1].event->dev_eui) != 0;

		if (!row->alone &&
			(latest == NULL || latest->event->received_at <= row->event->received_at))
			latest = row;
		if (!is_last)
			continue;
		if (latest != NULL && !latest->same_device)
		{
			value_list_add_pointer(&lists[0], latest->event->dev_eui);
			value_list_add_string(&lists[1], latest->event->application_id);
			value_list_add_string(&lists[2], latest->event->device_id);
			value_list_add(&lists[3], TimestampTzGetDatum(latest->event->received_at), false);
		}
		latest = NULL;
	}
	(void) statement_run_on_rows(&insert, NULL, lists, lengthof(lists));
}

static void
insert_sessions(const NewSession *sessions, int n)
{
	static const Statement insert = {
		.sql = "INSERT INTO session (dev_eui, session_key_id, application_id, dev_addr, app_s_key, started_at, envelope_digest)"
		" SELECT i.dev_eui, i.session_key_id, i.application_id, i.dev_addr, i.app_s_key, i.started_at, i.envelope_digest FROM ",
		.after_rows = " i (dev_eui, session_key_id, application_id, dev_addr, app_s_key, started_at, envelope_digest, n)"
		" ON CONFLICT DO NOTHING"
	};
	ValueList	lists[] = {
		value_list(BYTEAOID, n), value_list(BYTEAOID, n), value_list(TEXTOID, n), value_list(BYTEAOID, n),
		value_list(wrapped_key_type(), n), value_list(TIMESTAMPTZOID, n), value_list(BYTEAOID, n)
	};

	for (int i = 0; i < n; i++)
	{
		const MessageEvent *event = sessions[i].first->event;

		value_list_add_pointer(&lists[0], event->dev_eui);
		value_list_add_pointer(&lists[1], event->session_key_id);
		value_list_add_string(&lists[2], event->application_id);
		value_list_add_pointer(&lists[3], event->dev_addr);
		value_list_add_pointer(&lists[4], sessions[i].key);
		value_list_add(&lists[5], TimestampTzGetDatum(sessions[i].started_at), false);
		value_list_add_pointer(&lists[6], sessions[i].digest);
	}
	require_all(statement_run_on_rows(&insert, NULL, lists, lengthof(lists)), n);
}

static bool
is_to_insert(const SetRow *row)
{
	return !row->alone && !row->is_repeated && !row->has_uplink && row->event->kind == EVENT_UPLINK;
}

static void
insert_uplinks(const SetRow *rows, int n)
{
	static const Statement insert = {
		.sql = "INSERT INTO uplink (stored_at, dev_eui, session_key_id, application_id, received_at, f_cnt, f_port, encrypted,"
		" dev_addr, frm_payload, message, simulated)"
		" SELECT now(), i.dev_eui, i.session_key_id, i.application_id, i.received_at, i.f_cnt, i.f_port, i.encrypted,"
		" i.dev_addr, i.frm_payload, i.message, i.simulated FROM ",
		.after_rows = " i (dev_eui, session_key_id, application_id, received_at, f_cnt, f_port, encrypted,"
		" dev_addr, frm_payload, message, simulated, n)"
		" ON CONFLICT DO NOTHING"
	};
	ValueList	lists[] = {
		value_list(BYTEAOID, n), value_list(BYTEAOID, n), value_list(TEXTOID, n), value_list(TIMESTAMPTZOID, n),
		value_list(INT8OID, n), value_list(INT2OID, n), value_list(BOOLOID, n), value_list(BYTEAOID, n),
		value_list(BYTEAOID, n), value_list(JSONBOID, n), value_list(BOOLOID, n)
	};

	for (int i = 0; i < n; i++)
	{
		const MessageEvent *event = rows[i].event;

		if (!is_to_insert(&rows[i]))
			continue;
		value_list_add_pointer(&lists[0], event->dev_eui);
		value_list_add_pointer(&lists[1], event->session_key_id);
		value_list_add_string(&lists[2], event->application_id);
		value_list_add(&lists[3], TimestampTzGetDatum(event->received_at), false);
		value_list_add(&lists[4], Int64GetDatum(event->f_cnt), false);
		value_list_add(&lists[5], Int16GetDatum(event->f_port), false);
		value_list_add(&lists[6], BoolGetDatum(event->form == PAYLOAD_ENCRYPTED), event->form == PAYLOAD_NOT_SAID);
		value_list_add_pointer(&lists[7], event->dev_addr);
		value_list_add_pointer(&lists[8], event->frm_payload);
		value_list_add_pointer(&lists[9], rows[i].keep_message ? json_tree_to_jsonb(rows[i].message->tree) : NULL);
		value_list_add(&lists[10], BoolGetDatum(true), !event->is_simulated);
	}
	require_all(statement_run_on_rows(&insert, NULL, lists, lengthof(lists)), lists[0].n);
}

typedef struct SetRows
{
	SetRow	   *rows;
	int			n;
} SetRows;

/* Stores all rows; arg points to SetRows. */
static void
store_rows(void *arg)
{
	SetRow	   *rows = ((const SetRows *) arg)->rows;
	int			n = ((const SetRows *) arg)->n;
	NewSession *sessions = palloc(n * sizeof(NewSession));
	int			count;

	set_look(rows, n);
	for (int i = 0; i < n; i++)
		rows[i].alone = rows[i].is_repeated = false;
	match_uplinks(rows, n);
	count = match_sessions(rows, n, sessions);
	for (int i = 1; i < n; i++)
		rows[i].alone |= rows[i].is_repeated && rows[i - 1].alone;
	insert_devices(rows, n);
	insert_sessions(sessions, count);
	insert_uplinks(rows, n);
	for (int i = 0; i < n; i++)
	{
		if (rows[i].alone)
			rows[i].outcome = OUTCOME_OPEN;
		else if (rows[i].event->kind == EVENT_JOIN)
			rows[i].outcome = OUTCOME_JOIN;
		else
			rows[i].outcome = is_to_insert(&rows[i]) ? OUTCOME_UPLINK : OUTCOME_DUPLICATE;
	}
}

static void
store_or_halve(SetRow *rows, int n)
{
	SetRows		set = {rows, n};

	CHECK_FOR_INTERRUPTS();
	if (n == 0 || attempt(store_rows, &set) == NULL)
		return;
	for (int i = 0; i < n; i++)
		rows[i].outcome = OUTCOME_OPEN;
	if (n == 1)
		return;
	store_or_halve(rows, n / 2);
	store_or_halve(rows + n / 2, n - n / 2);
}

/*
 * Whether a message is one uplink or join, with a time that the tables take.  The session of
 * a plaintext key without a session key id is looked for among all sessions of its device.
 * If the storage translates messages, a plaintext key may be wrapped under another label
 * than that of its application.
 */
static bool
is_for_a_set(const IncomingMessage *message)
{
	const MessageEvent *event;

	if (message->why != NULL || message_is_faulty(&message->fault) || list_length(message->events) != 1)
		return false;
	event = linitial(message->events);
	return event->kind != EVENT_DOWNLINK && event->has_received_at && event->received_at <= set_latest_time() &&
		(event->key_number == 0 || (event->session_key_id != NULL && !message->storage->translates));
}

void
set_store(IncomingMessage **messages, int n)
{
	SetRow	   *rows;
	int			count = 0;

	/* Citus refuses statements on many devices, as this file has them. */
	if (citus_is_distributed(RelnameGetRelid("uplink")))
		return;
	rows = palloc0(n * sizeof(SetRow));
	for (int i = 0; i < n; i++)
	{
		if (!is_for_a_set(messages[i]))
			continue;
		rows[count].message = messages[i];
		rows[count].event = linitial(messages[i]->events);
		rows[count++].place = i;
	}
	qsort(rows, count, sizeof(SetRow), compare_rows);
	store_or_halve(rows, count);
	for (int i = 0; i < count; i++)
		rows[i].message->outcome = rows[i].outcome;
}
