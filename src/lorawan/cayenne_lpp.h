/*
 * cayenne_lpp.h
 *	  Payloads in Cayenne Low Power Payload: a list of values, each with its channel and its
 *	  type (https://github.com/myDevicesIoT/CayenneLPP).
 */
#ifndef LORAWAN_CAYENNE_LPP_H
#define LORAWAN_CAYENNE_LPP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "frame.h"

/* The number of numbers that a value has at most. */
#define CAYENNE_LPP_MAX_NUMBERS 3

/* A number, big-endian.  Its value is that of the bytes * factor / 10^decimals. */
typedef struct CayenneLppNumber
{
	uint8_t		size;			/* in bytes; 0 after the last number */
	bool		is_signed;		/* two's complement */
	uint8_t		factor;
	uint8_t		decimals;
	const char *name;			/* NULL if the value has only one number */
} CayenneLppNumber;

typedef struct CayenneLppType
{
	uint8_t		type;
	const char *name;
	CayenneLppNumber numbers[CAYENNE_LPP_MAX_NUMBERS + 1];
} CayenneLppType;

/*
 * Reads the value at *offset, which is below len.  Sets *channel, and numbers to its numbers,
 * multiplied by 10^decimals; and *offset to where the next value begins.  Returns NULL, and
 * sets fault, if the value is cut off, or its type not known: then nobody knows where the
 * next value begins.
 */
extern const CayenneLppType *cayenne_lpp_next(const uint8_t *payload, size_t len,
											  size_t *offset, uint8_t *channel,
											  int64_t numbers[CAYENNE_LPP_MAX_NUMBERS],
											  LorawanFault *fault);

#endif							/* LORAWAN_CAYENNE_LPP_H */
