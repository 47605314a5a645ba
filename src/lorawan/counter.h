/*
 * counter.h
 *	  The full frame counter, of which a frame carries the low half (LoRaWAN
 *	  L2 1.0.x and 1.1, section 4.3.1.5).
 */
#ifndef LORAWAN_COUNTER_H
#define LORAWAN_COUNTER_H

#include <stdbool.h>
#include <stdint.h>

/*
 * The counter that ends with f_cnt16 and is the next such from last on, last
 * itself included: a frame may be sent again.  False: it is more than max_gap
 * ahead, which is also what an old frame looks like, or beyond 32 bits; then
 * f_cnt is left as it is.
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
