/*
 * set_look.c
 *	  Looks up what a storage has of the messages in a set, by one statement.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type_d.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "set_row.h"
#include "statement.h"
#include "value_list.h"

/*
 * An uplink that is stored already has the same received_at; or it was stored by version 1.0,
 * and has the time that 1.0 read, in both columns.  Its counter is the same, or was left out.
 * For each time and counter there is an index scan by equality, so that it reads one row,
 * whatever a device has sent: a plan for = ANY would search by the counter, and read all
 * index entries of the device.
 *
 * The conditions on stored_at exclude most partitions: stored_at is at most a day before
 * received_at (a CHECK in tables.sql), and before set_latest_time() ($1).  By the parameters,
 * which are for the whole set, partitions are excluded before their scans are begun; $2 is
 * set_earliest_time().
 */
#define STORED_UPLINK \
	"SELECT (x.f_cnt, x.f_port, x.encrypted, x.dev_addr, x.frm_payload)" \
	" IS NOT DISTINCT FROM (i.f_cnt, i.f_port, i.encrypted, i.dev_addr, i.frm_payload) AS same" \
	" FROM uplink x WHERE x.dev_eui = i.dev_eui AND x.received_at = t.received_at" \
	" AND (x.received_at = i.received_at OR x.received_at = x.stored_at)" \
	" AND x.session_key_id IS NOT DISTINCT FROM i.session_key_id" \
	" AND x.stored_at > t.received_at - interval '1 day' AND x.stored_at > $2 AND x.stored_at < $1"

static const Oid look_types[] = {TIMESTAMPTZOID, TIMESTAMPTZOID};
static const Statement look = {
	.sql = "SELECT i.n, d.application_id, d.device_id, s.dev_addr, s.app_s_key, s.envelope_digest, s.started_at, u.same,"
	" coalesce(a.kek_label, ss.kek_label), ss.keep_messages FROM ",
	.after_rows = " i (dev_eui, session_key_id, application_id, received_at, f_cnt, f_port, encrypted, dev_addr, frm_payload, time_of_1_0, n)"
	" CROSS JOIN storage_settings ss"
	" LEFT JOIN application a ON a.application_id = i.application_id"
	" LEFT JOIN device d ON d.dev_eui = i.dev_eui"
	" LEFT JOIN session s ON s.dev_eui = i.dev_eui AND s.session_key_id = i.session_key_id"
	" LEFT JOIN LATERAL (SELECT same FROM (VALUES (i.received_at),"
	" (CASE WHEN i.time_of_1_0 <= ss.rows_of_1_0_until THEN i.time_of_1_0 END)) t (received_at),"
	" LATERAL (" STORED_UPLINK " AND x.f_cnt = i.f_cnt UNION ALL " STORED_UPLINK " AND x.f_cnt IS NULL) x LIMIT 1) u ON true",
	.nargs = lengthof(look_types),
	.types = look_types,
	.by_indexes = true
};

enum LookColumn
{
	COLUMN_N = 1,
	COLUMN_APPLICATION,
	COLUMN_DEVICE_ID,
	COLUMN_DEV_ADDR,
	COLUMN_APP_S_KEY,
	COLUMN_ENVELOPE_DIGEST,
	COLUMN_STARTED_AT,
	COLUMN_SAME_UPLINK,
	COLUMN_LABEL,
	COLUMN_KEEP
};

TimestampTz
set_latest_time(void)
{
	return GetCurrentTransactionStartTimestamp() + USECS_PER_DAY;
}

/*
 * No uplink of the set is stored with a stored_at before this time.  Two days, since the
 * interval of one day has 25 hours where clocks are set back.
 */
static TimestampTz
set_earliest_time(const SetRow *rows, int n)
{
	TimestampTz earliest = set_latest_time();

	for (int i = 0; i < n; i++)
	{
		const MessageEvent *event = rows[i].event;

		earliest = Min(earliest, event->received_at);
		if (event->has_time_of_1_0)
			earliest = Min(earliest, event->time_of_1_0);
	}
	return earliest - 2 * USECS_PER_DAY;
}

static bytea *
bytes_column(uint64 row, int column)
{
	bool		isnull;
	Datum		value = statement_column(row, column, &isnull);

	return isnull ? NULL : DatumGetByteaP(value);
}

static char *
string_column(uint64 row, int column)
{
	bool		isnull;
	Datum		value = statement_column(row, column, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

static void
read_row(uint64 n, SetRow *rows)
{
	bool		isnull;
	SetRow	   *row = &rows[DatumGetInt64(statement_column(n, COLUMN_N, &isnull)) - 1];
	const char *application = string_column(n, COLUMN_APPLICATION);
	const char *device_id = string_column(n, COLUMN_DEVICE_ID);
	Datum		started_at;

	row->same_device = application != NULL && strcmp(application, row->event->application_id) == 0 &&
		(row->event->device_id == NULL ||
		 (device_id != NULL && strcmp(device_id, row->event->device_id) == 0));
	row->session_dev_addr = bytes_column(n, COLUMN_DEV_ADDR);
	row->has_session = row->session_dev_addr != NULL;
	row->app_s_key = (struct varlena *) bytes_column(n, COLUMN_APP_S_KEY);
	row->envelope_digest = bytes_column(n, COLUMN_ENVELOPE_DIGEST);
	started_at = statement_column(n, COLUMN_STARTED_AT, &isnull);
	row->started_at = isnull ? 0 : DatumGetTimestampTz(started_at);
	row->same_uplink = DatumGetBool(statement_column(n, COLUMN_SAME_UPLINK, &isnull)) && !isnull;
	row->has_uplink = !isnull;
	row->label_at_rest = string_column(n, COLUMN_LABEL);
	row->keep_message = DatumGetBool(statement_column(n, COLUMN_KEEP, &isnull));
}

void
set_look(SetRow *rows, int n)
{
	ValueList	lists[] = {
		value_list(BYTEAOID, n), value_list(BYTEAOID, n), value_list(TEXTOID, n), value_list(TIMESTAMPTZOID, n),
		value_list(INT8OID, n), value_list(INT2OID, n), value_list(BOOLOID, n), value_list(BYTEAOID, n),
		value_list(BYTEAOID, n), value_list(TIMESTAMPTZOID, n)
	};
	Datum		values[] = {TimestampTzGetDatum(set_latest_time()), TimestampTzGetDatum(set_earliest_time(rows, n))};
	uint64		found;

	for (int i = 0; i < n; i++)
	{
		const MessageEvent *event = rows[i].event;
		bool		is_uplink = event->kind == EVENT_UPLINK;

		value_list_add_pointer(&lists[0], event->dev_eui);
		value_list_add_pointer(&lists[1], event->session_key_id);
		value_list_add_string(&lists[2], event->application_id);
		value_list_add(&lists[3], TimestampTzGetDatum(event->received_at), false);
		value_list_add(&lists[4], Int64GetDatum(event->f_cnt), !is_uplink || !event->has_f_cnt);
		value_list_add(&lists[5], Int16GetDatum(event->f_port), !is_uplink);
		value_list_add(&lists[6], BoolGetDatum(event->form == PAYLOAD_ENCRYPTED),
					   !is_uplink || event->form == PAYLOAD_NOT_SAID);
		value_list_add_pointer(&lists[7], event->dev_addr);
		value_list_add_pointer(&lists[8], event->frm_payload);
		value_list_add(&lists[9], TimestampTzGetDatum(event->time_of_1_0), !event->has_time_of_1_0);
	}
	found = statement_run_on_rows(&look, values, lists, lengthof(lists));
	if (found != n)
		elog(ERROR, "storage has " UINT64_FORMAT " answers for %d messages", found, n);
	for (uint64 i = 0; i < found; i++)
		read_row(i, rows);
}
