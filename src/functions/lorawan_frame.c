/*
 * lorawan_frame.c
 *	  SQL functions that parse and build LoRaWAN frames, and parse lists of MAC commands.
 *
 * Invariant: they use no key, and read nothing but their arguments.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "funcapi.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#include "../common/bytea.h"
#include "../common/errors.h"
#include "../lorawan/frame.h"
#include "../lorawan/mac_command.h"
#include "arguments.h"
#include "result_row.h"

PG_FUNCTION_INFO_V1(key_vault_lorawan_parse);
PG_FUNCTION_INFO_V1(key_vault_lorawan_mac_commands);
PG_FUNCTION_INFO_V1(key_vault_lorawan_build_uplink);
PG_FUNCTION_INFO_V1(key_vault_lorawan_build_downlink);
PG_FUNCTION_INFO_V1(key_vault_lorawan_build_join_request);
PG_FUNCTION_INFO_V1(key_vault_lorawan_build_rejoin_request);
PG_FUNCTION_INFO_V1(key_vault_lorawan_build_join_accept);

/* The columns of the type key_vault.lorawan_frame, in their order. */
enum
{
	COL_M_TYPE,
	COL_UPLINK,
	COL_CONFIRMED,
	COL_DEV_ADDR,
	COL_ADR,
	COL_ADR_ACK_REQ,
	COL_ACK,
	COL_CLASS_B,
	COL_F_PENDING,
	COL_F_CNT16,
	COL_F_OPTS,
	COL_F_PORT,
	COL_FRM_PAYLOAD,
	COL_MIC,
	COL_JOIN_EUI,
	COL_DEV_EUI,
	COL_DEV_NONCE,
	COL_REJOIN_TYPE,
	COL_NET_ID,
	COL_RJ_COUNT,
	COL_BODY,
	N_FRAME_COLUMNS
};

/* Names as in LoRaWAN L2 1.0.4, section 4.2.1; L2 1.1 has rejoin-requests, too. */
static const char *const m_type_names[] = {
	[LORAWAN_JOIN_REQUEST] = "join-request",
	[LORAWAN_JOIN_ACCEPT] = "join-accept",
	[LORAWAN_UNCONFIRMED_UP] = "unconfirmed data uplink",
	[LORAWAN_UNCONFIRMED_DOWN] = "unconfirmed data downlink",
	[LORAWAN_CONFIRMED_UP] = "confirmed data uplink",
	[LORAWAN_CONFIRMED_DOWN] = "confirmed data downlink",
	[LORAWAN_REJOIN_REQUEST] = "rejoin-request",
	[LORAWAN_PROPRIETARY] = "proprietary",
};

/* A row that is being made; a column is NULL until it is set. */
typedef struct FrameRow
{
	Datum		values[N_FRAME_COLUMNS];
	bool		nulls[N_FRAME_COLUMNS];
} FrameRow;

static void
set_column(FrameRow *row, int column, Datum value)
{
	row->values[column] = value;
	row->nulls[column] = false;
}

static void
set_bytes(FrameRow *row, int column, const uint8 *bytes, size_t size)
{
	set_column(row, column, PointerGetDatum(bytea_from_bytes(bytes, size)));
}

static void
set_data_columns(FrameRow *row, const LorawanFrameFields *fields)
{
	bool		uplink = lorawan_is_uplink(fields->m_type);

	set_column(row, COL_CONFIRMED,
			   BoolGetDatum(fields->m_type == LORAWAN_CONFIRMED_UP ||
							fields->m_type == LORAWAN_CONFIRMED_DOWN));
	set_bytes(row, COL_DEV_ADDR, fields->dev_addr, LORAWAN_DEV_ADDR_SIZE);
	set_column(row, COL_ADR, BoolGetDatum(fields->adr));
	set_column(row, COL_ACK, BoolGetDatum(fields->ack));
	if (uplink)
	{
		set_column(row, COL_ADR_ACK_REQ, BoolGetDatum(fields->adr_ack_req));
		set_column(row, COL_CLASS_B, BoolGetDatum(fields->class_b));
	}
	else
		set_column(row, COL_F_PENDING, BoolGetDatum(fields->f_pending));
	set_column(row, COL_F_CNT16, Int32GetDatum(fields->f_cnt));
	set_bytes(row, COL_F_OPTS, fields->f_opts, fields->f_opts_len);
	if (fields->has_f_port)
	{
		set_column(row, COL_F_PORT, Int32GetDatum(fields->f_port));
		set_bytes(row, COL_FRM_PAYLOAD, fields->frm_payload, fields->frm_payload_len);
	}
}

static void
set_request_columns(FrameRow *row, const LorawanFrameFields *fields)
{
	bool		rejoin = fields->m_type == LORAWAN_REJOIN_REQUEST;

	if (rejoin)
		set_column(row, COL_REJOIN_TYPE, Int32GetDatum(fields->rejoin_type));
	if (rejoin && fields->rejoin_type != 1)
		set_bytes(row, COL_NET_ID, fields->net_id, LORAWAN_NET_ID_SIZE);
	else
		set_bytes(row, COL_JOIN_EUI, fields->join_eui, LORAWAN_EUI_SIZE);
	set_bytes(row, COL_DEV_EUI, fields->dev_eui, LORAWAN_EUI_SIZE);
	set_column(row, rejoin ? COL_RJ_COUNT : COL_DEV_NONCE,
			   Int32GetDatum(fields->dev_nonce));
}

Datum
key_vault_lorawan_parse(PG_FUNCTION_ARGS)
{
	const bytea *frame = PG_GETARG_BYTEA_PP(0);
	LorawanFrameFields fields;
	LorawanFault fault;
	FrameRow	row;

	if (!lorawan_frame_parse((const uint8 *) VARDATA_ANY(frame), VARSIZE_ANY_EXHDR(frame),
							 &fields, &fault))
		ereport(ERROR,
				(errcode(ERRCODE_FRAME_MALFORMED),
				 errmsg("malformed LoRaWAN frame: %s at offset %zu", fault.field, fault.offset),
				 errdetail("It %s.", fault.problem)));

	memset(row.nulls, true, sizeof(row.nulls));
	set_column(&row, COL_M_TYPE, CStringGetTextDatum(m_type_names[fields.m_type]));
	if (fields.m_type != LORAWAN_PROPRIETARY)
		set_column(&row, COL_UPLINK, BoolGetDatum(lorawan_is_uplink(fields.m_type)));
	if (lorawan_is_data(fields.m_type))
		set_data_columns(&row, &fields);
	else if (fields.body != NULL)
		set_bytes(&row, COL_BODY, fields.body, fields.body_len);
	else
		set_request_columns(&row, &fields);
	if (fields.mic != NULL)
		set_bytes(&row, COL_MIC, fields.mic, LORAWAN_MIC_SIZE);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(result_row_desc(fcinfo, N_FRAME_COLUMNS),
													  row.values, row.nulls)));
}

/* A command's fields as a JSON object, or NULL if it has none. */
static Jsonb *
mac_fields_jsonb(const LorawanMacCommand *command, const uint8 *payload)
{
	JsonbParseState *state = NULL;
	JsonbValue *object;

	if (command->fields[0].name == NULL)
		return NULL;
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < LORAWAN_MAX_MAC_FIELDS && command->fields[i].name != NULL; i++)
	{
		const LorawanMacField *field = &command->fields[i];
		int64		number = lorawan_mac_field_value(command, field, payload);
		JsonbValue	key;
		JsonbValue	value;

		key.type = jbvString;
		key.val.string.val = unconstify(char *, field->name);
		key.val.string.len = strlen(field->name);
		pushJsonbValue(&state, WJB_KEY, &key);
		if (field->kind == LORAWAN_MAC_FLAG)
		{
			value.type = jbvBool;
			value.val.boolean = number != 0;
		}
		else
		{
			value.type = jbvNumeric;
			value.val.numeric = int64_to_numeric(number);
		}
		pushJsonbValue(&state, WJB_VALUE, &value);
	}
	object = pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	return JsonbValueToJsonb(object);
}

/* Arguments: commands, uplink. */
Datum
key_vault_lorawan_mac_commands(PG_FUNCTION_ARGS)
{
	const bytea *argument = PG_GETARG_BYTEA_PP(0);
	const uint8 *commands = (const uint8 *) VARDATA_ANY(argument);
	size_t		len = VARSIZE_ANY_EXHDR(argument);
	LorawanDirection direction = PG_GETARG_BOOL(1) ? LORAWAN_UPLINK : LORAWAN_DOWNLINK;
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	size_t		offset = 0;
	int32		n = 0;

	InitMaterializedSRF(fcinfo, 0);
	while (offset < len)
	{
		size_t		begin = offset;
		const uint8 *payload;
		LorawanFault fault;
		const LorawanMacCommand *command =
		lorawan_mac_command_next(commands, len, direction, &offset, &payload, &fault);
		Datum		values[5];
		bool		nulls[5] = {false};
		Jsonb	   *fields;

		if (command == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_FRAME_MALFORMED),
					 errmsg("malformed MAC commands: %s at offset %zu", fault.field, fault.offset),
					 errdetail("It %s.", fault.problem),
					 errhint("MAC commands must be decrypted: in FRMPayload always, in FOpts from LoRaWAN 1.1 on.")));
		fields = mac_fields_jsonb(command, payload);
		values[0] = Int32GetDatum(++n);
		values[1] = Int32GetDatum(begin);
		values[2] = Int32GetDatum(command->cid);
		values[3] = CStringGetTextDatum(command->name);
		values[4] = JsonbPGetDatum(fields);
		nulls[4] = fields == NULL;
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* An argument of a fixed number of bytes. */
static const uint8 *
bytes_argument(FunctionCallInfo fcinfo, int n, const char *name, int size)
{
	const bytea *bytes = PG_GETARG_BYTEA_PP(n);

	if (VARSIZE_ANY_EXHDR(bytes) != size)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must have %d bytes, not %d", name, size,
						(int) VARSIZE_ANY_EXHDR(bytes))));
	return (const uint8 *) VARDATA_ANY(bytes);
}

static int64
number_argument(int64 value, const char *name, int64 max)
{
	if (value < 0 || value > max)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("%s must be from 0 to " INT64_FORMAT ", not " INT64_FORMAT,
						name, max, value)));
	return value;
}

static Datum
built_message(const LorawanFrameFields *fields)
{
	uint8		message[LORAWAN_MAX_MESSAGE];
	size_t		len;
	LorawanFault fault;

	if (!lorawan_message_build(fields, message, &len, &fault))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("no such LoRaWAN frame: %s at offset %zu", fault.field, fault.offset),
				 errdetail("It %s.", fault.problem)));
	PG_RETURN_BYTEA_P(bytea_from_bytes(message, len));
}

/*
 * Arguments: dev_addr, f_cnt, f_port, frm_payload, f_opts, confirmed, adr, ack;
 * uplinks: adr_ack_req, class_b; downlinks: f_pending.  Without an FPort there is no
 * FRMPayload, and both are NULL.
 */
static Datum
build_data(FunctionCallInfo fcinfo, bool uplink)
{
	enum
	{
		ARG_F_PORT = 2,
		ARG_FRM_PAYLOAD = 3
	};
	LorawanFrameFields fields = {0};
	const bytea *f_opts;

	for (int i = 0; i < PG_NARGS(); i++)
	{
		if (PG_ARGISNULL(i) && i != ARG_F_PORT &&
			(i != ARG_FRM_PAYLOAD || !PG_ARGISNULL(ARG_F_PORT)))
			PG_RETURN_NULL();
	}
	if (PG_ARGISNULL(ARG_F_PORT) && !PG_ARGISNULL(ARG_FRM_PAYLOAD))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("f_port must not be NULL where there is an frm_payload")));

	if (PG_GETARG_BOOL(5))
		fields.m_type = uplink ? LORAWAN_CONFIRMED_UP : LORAWAN_CONFIRMED_DOWN;
	else
		fields.m_type = uplink ? LORAWAN_UNCONFIRMED_UP : LORAWAN_UNCONFIRMED_DOWN;
	memcpy(fields.dev_addr, dev_addr_argument(fcinfo, 0), LORAWAN_DEV_ADDR_SIZE);
	fields.f_cnt = (uint16) number_argument(PG_GETARG_INT64(1), "f_cnt", PG_UINT32_MAX);
	if (!PG_ARGISNULL(ARG_F_PORT))
	{
		const bytea *frm_payload = PG_GETARG_BYTEA_PP(ARG_FRM_PAYLOAD);

		fields.has_f_port = true;
		fields.f_port = number_argument(PG_GETARG_INT32(ARG_F_PORT), "f_port", 255);
		fields.frm_payload = (const uint8 *) VARDATA_ANY(frm_payload);
		fields.frm_payload_len = VARSIZE_ANY_EXHDR(frm_payload);
	}
	f_opts = PG_GETARG_BYTEA_PP(4);
	fields.f_opts = (const uint8 *) VARDATA_ANY(f_opts);
	fields.f_opts_len = VARSIZE_ANY_EXHDR(f_opts);
	fields.adr = PG_GETARG_BOOL(6);
	fields.ack = PG_GETARG_BOOL(7);
	if (uplink)
	{
		fields.adr_ack_req = PG_GETARG_BOOL(8);
		fields.class_b = PG_GETARG_BOOL(9);
	}
	else
		fields.f_pending = PG_GETARG_BOOL(8);
	return built_message(&fields);
}

Datum
key_vault_lorawan_build_uplink(PG_FUNCTION_ARGS)
{
	return build_data(fcinfo, true);
}

Datum
key_vault_lorawan_build_downlink(PG_FUNCTION_ARGS)
{
	return build_data(fcinfo, false);
}

/* Arguments: join_eui, dev_eui, dev_nonce. */
Datum
key_vault_lorawan_build_join_request(PG_FUNCTION_ARGS)
{
	LorawanFrameFields fields = {.m_type = LORAWAN_JOIN_REQUEST};

	memcpy(fields.join_eui, eui_argument(fcinfo, 0, "join_eui"), LORAWAN_EUI_SIZE);
	memcpy(fields.dev_eui, eui_argument(fcinfo, 1, "dev_eui"), LORAWAN_EUI_SIZE);
	fields.dev_nonce = number_argument(PG_GETARG_INT32(2), "dev_nonce", PG_UINT16_MAX);
	return built_message(&fields);
}

/*
 * Arguments: rejoin_type, net_id, join_eui, dev_eui, rj_count.  The type decides which of
 * net_id and join_eui is needed; the other one must be NULL.
 */
Datum
key_vault_lorawan_build_rejoin_request(PG_FUNCTION_ARGS)
{
	LorawanFrameFields fields = {.m_type = LORAWAN_REJOIN_REQUEST};
	int			identifier;
	int			other;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(3) || PG_ARGISNULL(4))
		PG_RETURN_NULL();
	fields.rejoin_type = number_argument(PG_GETARG_INT32(0), "rejoin_type", 2);
	identifier = fields.rejoin_type == 1 ? 2 : 1;
	other = 3 - identifier;
	if (!PG_ARGISNULL(other))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a rejoin-request of type %d has no %s", fields.rejoin_type,
						other == 1 ? "net_id" : "join_eui")));
	if (PG_ARGISNULL(identifier))
		PG_RETURN_NULL();
	if (fields.rejoin_type == 1)
		memcpy(fields.join_eui, eui_argument(fcinfo, 2, "join_eui"), LORAWAN_EUI_SIZE);
	else
		memcpy(fields.net_id, bytes_argument(fcinfo, 1, "net_id", LORAWAN_NET_ID_SIZE),
			   LORAWAN_NET_ID_SIZE);
	memcpy(fields.dev_eui, eui_argument(fcinfo, 3, "dev_eui"), LORAWAN_EUI_SIZE);
	fields.dev_nonce = number_argument(PG_GETARG_INT32(4), "rj_count", PG_UINT16_MAX);
	return built_message(&fields);
}

/*
 * Arguments: join_nonce, net_id, dev_addr, rx1_dr_offset, rx2_data_rate, rx_delay,
 * cf_list, opt_neg.
 */
Datum
key_vault_lorawan_build_join_accept(PG_FUNCTION_ARGS)
{
	uint32		join_nonce = number_argument(PG_GETARG_INT32(0), "join_nonce", 0xffffff);
	const uint8 *net_id = bytes_argument(fcinfo, 1, "net_id", LORAWAN_NET_ID_SIZE);
	const uint8 *dev_addr = dev_addr_argument(fcinfo, 2);
	uint8		rx1_dr_offset = number_argument(PG_GETARG_INT32(3), "rx1_dr_offset", 7);
	uint8		rx2_data_rate = number_argument(PG_GETARG_INT32(4), "rx2_data_rate", 15);
	uint8		rx_delay = number_argument(PG_GETARG_INT32(5), "rx_delay", 15);
	const uint8 *cf_list = NULL;
	uint8		dl_settings = rx1_dr_offset << 4 | rx2_data_rate;
	uint8		message[LORAWAN_MAX_MESSAGE];
	size_t		len;

	if (VARSIZE_ANY_EXHDR(PG_GETARG_BYTEA_PP(6)) > 0)
		cf_list = bytes_argument(fcinfo, 6, "cf_list", LORAWAN_CF_LIST_SIZE);
	if (PG_GETARG_BOOL(7))
		dl_settings |= LORAWAN_OPT_NEG;
	len = lorawan_join_accept_build(join_nonce, net_id, dev_addr, dl_settings,
									rx_delay, cf_list, message);
	PG_RETURN_BYTEA_P(bytea_from_bytes(message, len));
}
