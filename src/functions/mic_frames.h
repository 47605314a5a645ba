/*
 * mic_frames.h
 *	  Frames as arguments of the functions that make and check MICs.
 */
#ifndef MIC_FRAMES_H
#define MIC_FRAMES_H

#include "postgres.h"

#include "fmgr.h"

#include "../lorawan/frame.h"

/* A frame, as far as MICs are concerned; points into the argument. */
typedef struct MicFrame
{
	const uint8 *message;		/* MHDR up to the MIC */
	size_t		message_size;
	const uint8 *mic;			/* behind the message, if has_mic */

	/* data frames, and join-accepts in the clear */
	uint8		dev_addr[LORAWAN_DEV_ADDR_SIZE];

	/* data frames */
	uint16		f_cnt;			/* the low half of the counter */
	bool		ack;
} MicFrame;

/*
 * A frame of some kind, with its MIC or up to it; an error if the argument is none.
 * Where a join-accept has its MIC it is encrypted, and its MIC too.
 */
extern void data_frame_argument(FunctionCallInfo fcinfo, int n, bool has_mic,
								LorawanDirection direction, MicFrame *frame);
extern void join_request_argument(FunctionCallInfo fcinfo, int n, bool has_mic,
								  MicFrame *frame);
extern void rejoin_request_argument(FunctionCallInfo fcinfo, int n, bool has_mic,
									MicFrame *frame);
extern void join_accept_argument(FunctionCallInfo fcinfo, int n, bool has_mic,
								 MicFrame *frame);

#endif							/* MIC_FRAMES_H */
