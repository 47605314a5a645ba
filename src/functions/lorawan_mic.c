/*
 * lorawan_mic.c
 *	  SQL functions that make and check the MICs of data frames.
 *
 * To make a MIC they take a message, which is a PHYPayload without its MIC; to check one, a
 * PHYPayload.  DevAddr, direction and the low half of the counter are in the frame, and the
 * other arguments must agree with it.
 *
 * Invariants: MICs are compared in constant time.  A function that checks a MIC leaves no
 * computed MIC behind.
 */
#include "postgres.h"

#include "utils/datum.h"
#include "utils/lsyscache.h"

#include "../common/bytea.h"
#include "../common/crypto_error.h"
#include "../lorawan/mic.h"
#include "../vault/vault.h"
#include "arguments.h"
#include "mic_frames.h"

PG_FUNCTION_INFO_V1(lorawan_uplink_mic);
PG_FUNCTION_INFO_V1(lorawan_downlink_mic);
PG_FUNCTION_INFO_V1(lorawan_uplink_mic_1_1);
PG_FUNCTION_INFO_V1(lorawan_downlink_mic_1_1);
PG_FUNCTION_INFO_V1(lorawan_verify_uplink);
PG_FUNCTION_INFO_V1(lorawan_verify_downlink);
PG_FUNCTION_INFO_V1(lorawan_verify_uplink_1_1);
PG_FUNCTION_INFO_V1(lorawan_verify_downlink_1_1);
PG_FUNCTION_INFO_V1(lorawan_find_session_step);
PG_FUNCTION_INFO_V1(lorawan_find_session_step_1_1);

static uint8
byte_argument(FunctionCallInfo fcinfo, int n, const char *name)
{
	int32		value = PG_GETARG_INT32(n);

	if (value < 0 || value > UINT8_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("%s must be from 0 to 255, not %d", name, value)));
	return (uint8) value;
}

/*
 * Reads a frame and its full counter, which must agree, and sets the fields of the MIC's
 * block that follow from them.
 */
static void
read_message(FunctionCallInfo fcinfo, int n_f_cnt, int n_frame, bool has_mic,
			 LorawanDirection direction, MicFrame *frame, LorawanMicBlock *block)
{
	uint32		f_cnt = f_cnt_argument(fcinfo, n_f_cnt);

	data_frame_argument(fcinfo, n_frame, has_mic, direction, frame);
	if ((uint16) f_cnt != frame->f_cnt)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("f_cnt %u is not a counter of the frame", f_cnt),
				 errdetail("The frame has FCnt %u, the low 16 bits of its counter.", frame->f_cnt),
				 errhint("key_vault.lorawan_full_f_cnt() makes the full counter of a frame's.")));

	memset(block, 0, sizeof(*block));
	block->direction = direction;
	block->dev_addr = frame->dev_addr;
	block->f_cnt = f_cnt;
}

/* The key is borrowed only after the frame was read; in this time the processor loads it. */
static void
prefetched_key_argument(FunctionCallInfo fcinfo, int n, WrappedKey *wrapped_key)
{
	wrapped_key_argument(fcinfo, n, wrapped_key);
	vault_prefetch(wrapped_key);
}

/* Makes a MIC with one key; returns false if it has set *failure. */
static bool
make_mic(const WrappedKey *wrapped_key, const LorawanMicBlock *block,
		 const MicFrame *frame, VaultFailure *failure, uint8 mic[LORAWAN_MIC_SIZE])
{
	AesCipher  *key;
	CryptoStatus status;

	key = vault_borrow_cipher(wrapped_key, KEK_DERIVE, block->dev_addr, false, failure);
	if (key == NULL)
		return false;
	status = lorawan_data_mic(key, block, frame->message, frame->message_size, mic);
	vault_release();
	require_crypto_ok(status, "compute a MIC");
	return true;
}

/*
 * The MIC of LoRaWAN 1.0.  The arguments from first on are key, f_cnt and frame.  Returns
 * false if it has set *failure.
 */
static bool
mic_1_0(FunctionCallInfo fcinfo, int first, bool has_mic, LorawanDirection direction,
		VaultFailure *failure, MicFrame *frame, uint8 mic[LORAWAN_MIC_SIZE])
{
	WrappedKey	key;
	LorawanMicBlock block;

	prefetched_key_argument(fcinfo, first, &key);
	read_message(fcinfo, first + 1, first + 2, has_mic, direction, frame, &block);
	return make_mic(&key, &block, frame, failure, mic);
}

/*
 * The MIC of a LoRaWAN 1.1 uplink: two bytes of the MIC with the block B1, then two of the one
 * with B0.  The arguments from first on are f_nwk_s_int_key, s_nwk_s_int_key, f_cnt,
 * conf_f_cnt, tx_dr, tx_ch and frame.  Returns false if it has set *failure.
 */
static bool
uplink_mic_1_1(FunctionCallInfo fcinfo, int first, bool has_mic,
			   VaultFailure *failure, MicFrame *frame, uint8 mic[LORAWAN_MIC_SIZE])
{
	WrappedKey	f_key;
	WrappedKey	s_key;
	LorawanMicBlock block;
	uint8		mic_f[LORAWAN_MIC_SIZE];
	uint32		conf_f_cnt = counter_argument(fcinfo, first + 3, "conf_f_cnt");
	uint8		tx_dr = byte_argument(fcinfo, first + 4, "tx_dr");
	uint8		tx_ch = byte_argument(fcinfo, first + 5, "tx_ch");

	prefetched_key_argument(fcinfo, first, &f_key);
	prefetched_key_argument(fcinfo, first + 1, &s_key);
	read_message(fcinfo, first + 2, first + 6, has_mic, LORAWAN_UPLINK, frame, &block);
	if (!make_mic(&f_key, &block, frame, failure, mic_f))
		return false;
	block.conf_f_cnt = frame->ack ? (uint16) conf_f_cnt : 0;
	block.tx_dr = tx_dr;
	block.tx_ch = tx_ch;
	if (!make_mic(&s_key, &block, frame, failure, mic))
		return false;
	memcpy(mic + LORAWAN_MIC_SIZE / 2, mic_f, LORAWAN_MIC_SIZE / 2);
	return true;
}

/*
 * The MIC of a LoRaWAN 1.1 downlink.  The arguments are s_nwk_s_int_key, f_cnt, conf_f_cnt
 * and frame.
 */
static void
downlink_mic_1_1(FunctionCallInfo fcinfo, bool has_mic, MicFrame *frame,
				 uint8 mic[LORAWAN_MIC_SIZE])
{
	WrappedKey	key;
	LorawanMicBlock block;
	uint32		conf_f_cnt = counter_argument(fcinfo, 2, "conf_f_cnt");

	prefetched_key_argument(fcinfo, 0, &key);
	read_message(fcinfo, 1, 3, has_mic, LORAWAN_DOWNLINK, frame, &block);
	block.conf_f_cnt = frame->ack ? (uint16) conf_f_cnt : 0;
	(void) make_mic(&key, &block, frame, NULL, mic);
}

Datum
lorawan_uplink_mic(PG_FUNCTION_ARGS)
{
	MicFrame	frame;
	uint8		mic[LORAWAN_MIC_SIZE];

	(void) mic_1_0(fcinfo, 0, false, LORAWAN_UPLINK, NULL, &frame, mic);
	PG_RETURN_BYTEA_P(bytea_from_bytes(mic, sizeof(mic)));
}

Datum
lorawan_downlink_mic(PG_FUNCTION_ARGS)
{
	MicFrame	frame;
	uint8		mic[LORAWAN_MIC_SIZE];

	(void) mic_1_0(fcinfo, 0, false, LORAWAN_DOWNLINK, NULL, &frame, mic);
	PG_RETURN_BYTEA_P(bytea_from_bytes(mic, sizeof(mic)));
}

Datum
lorawan_uplink_mic_1_1(PG_FUNCTION_ARGS)
{
	MicFrame	frame;
	uint8		mic[LORAWAN_MIC_SIZE];

	(void) uplink_mic_1_1(fcinfo, 0, false, NULL, &frame, mic);
	PG_RETURN_BYTEA_P(bytea_from_bytes(mic, sizeof(mic)));
}

Datum
lorawan_downlink_mic_1_1(PG_FUNCTION_ARGS)
{
	MicFrame	frame;
	uint8		mic[LORAWAN_MIC_SIZE];

	downlink_mic_1_1(fcinfo, false, &frame, mic);
	PG_RETURN_BYTEA_P(bytea_from_bytes(mic, sizeof(mic)));
}

Datum
lorawan_verify_uplink(PG_FUNCTION_ARGS)
{
	MicFrame	frame;
	uint8		mic[LORAWAN_MIC_SIZE];

	(void) mic_1_0(fcinfo, 0, true, LORAWAN_UPLINK, NULL, &frame, mic);
	PG_RETURN_BOOL(lorawan_mic_fits(frame.mic, mic));
}

Datum
lorawan_verify_downlink(PG_FUNCTION_ARGS)
{
	MicFrame	frame;
	uint8		mic[LORAWAN_MIC_SIZE];

	(void) mic_1_0(fcinfo, 0, true, LORAWAN_DOWNLINK, NULL, &frame, mic);
	PG_RETURN_BOOL(lorawan_mic_fits(frame.mic, mic));
}

Datum
lorawan_verify_uplink_1_1(PG_FUNCTION_ARGS)
{
	MicFrame	frame;
	uint8		mic[LORAWAN_MIC_SIZE];

	(void) uplink_mic_1_1(fcinfo, 0, true, NULL, &frame, mic);
	PG_RETURN_BOOL(lorawan_mic_fits(frame.mic, mic));
}

Datum
lorawan_verify_downlink_1_1(PG_FUNCTION_ARGS)
{
	MicFrame	frame;
	uint8		mic[LORAWAN_MIC_SIZE];

	downlink_mic_1_1(fcinfo, true, &frame, mic);
	PG_RETURN_BOOL(lorawan_mic_fits(frame.mic, mic));
}

/*
 * The next state of the aggregate: the session of argument 1 if it fits, otherwise the one
 * that was found before, which is argument 0.
 */
static Datum
next_state(FunctionCallInfo fcinfo, bool fits)
{
	if (fits && !PG_ARGISNULL(0))
	{
		int16		typlen;
		bool		typbyval;

		get_typlenbyval(get_fn_expr_argtype(fcinfo->flinfo, 1), &typlen, &typbyval);
		if (!datumIsEqual(PG_GETARG_DATUM(0), PG_GETARG_DATUM(1), typbyval, typlen))
			ereport(ERROR,
					(errcode(ERRCODE_CARDINALITY_VIOLATION),
					 errmsg("the MIC of the frame fits more than one session"),
					 errhint("Sessions have keys of their own: look for one that is stored twice.")));
	}
	if (fits)
		PG_RETURN_DATUM(PG_GETARG_DATUM(1));
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	PG_RETURN_DATUM(PG_GETARG_DATUM(0));
}

static bool
any_is_null(FunctionCallInfo fcinfo, int first, int last)
{
	for (int i = first; i <= last; i++)
	{
		if (PG_ARGISNULL(i))
			return true;
	}
	return false;
}

/*
 * Arguments: the state, session, nwk_s_key, f_cnt, phy_payload.  A session whose key cannot
 * be used does not fit, and is no error: the right session must still be found.
 */
Datum
lorawan_find_session_step(PG_FUNCTION_ARGS)
{
	MicFrame	frame;
	uint8		mic[LORAWAN_MIC_SIZE];
	VaultFailure failure;

	return next_state(fcinfo,
					  !any_is_null(fcinfo, 1, 4) &&
					  mic_1_0(fcinfo, 2, true, LORAWAN_UPLINK, &failure, &frame, mic) &&
					  lorawan_mic_fits(frame.mic, mic));
}

/* Arguments: the state, session, and those of lorawan_verify_uplink_1_1(). */
Datum
lorawan_find_session_step_1_1(PG_FUNCTION_ARGS)
{
	MicFrame	frame;
	uint8		mic[LORAWAN_MIC_SIZE];
	VaultFailure failure;

	return next_state(fcinfo,
					  !any_is_null(fcinfo, 1, 8) &&
					  uplink_mic_1_1(fcinfo, 2, true, &failure, &frame, mic) &&
					  lorawan_mic_fits(frame.mic, mic));
}
