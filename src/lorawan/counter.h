/*
 * counter.h
 *	  The full frame counter, from its low half, which is all that a frame carries
 *	  (LoRaWAN L2 1.0.x and 1.1, section 4.3.1.5).
 */
#ifndef LORAWAN_COUNTER_H
#define LORAWAN_COUNTER_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Finds the lowest counter that is not below last and whose low half is f_cnt16.  It
 * may be last itself, since a frame may be sent again.  Returns false, and leaves f_cnt
 * as it is, if that is more than max_gap above last (as it is for an old frame, too) or
 * needs more than 32 bits.
 */
static inline bool
lorawan_full_f_cnt(uint32_t last, uint16_t f_cnt16, uint16_t max_gap, uint32_t *f_cnt)
{
	uint16_t	gap = (uint16_t) (f_cnt16 - (uint16_t) last);

	if (gap > max_gap || gap > UINT32_MAX - last)
		return false;
	*f_cnt = last + gap;
	return true;
}

#endif							/* LORAWAN_COUNTER_H */
