/*
 * mic_frames.h
 *	  Frames as arguments of the functions that make and check MICs.
 */
#ifndef MIC_FRAMES_H
#define MIC_FRAMES_H

#include "postgres.h"

#include "fmgr.h"

#include "../lorawan/frame.h"

/* What the functions need of a frame; the pointers point into the argument. */
typedef struct MicFrame
{
	const uint8 *message;		/* the frame without its MIC */
	size_t		message_size;	/* in bytes */
	const uint8 *mic;			/* NULL if the argument has no MIC */

	/* data frames, and join-accepts in the clear */
	uint8		dev_addr[LORAWAN_DEV_ADDR_SIZE];

	/* data frames */
	uint16		f_cnt;			/* the low half of the counter */
	bool		ack;
} MicFrame;

/*
 * Read an argument that must be a frame of one kind, with or without its MIC; raise an error
 * if it is not.  A join-accept with its MIC is encrypted together with it.
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
