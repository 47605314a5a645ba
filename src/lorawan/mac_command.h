/*
 * mac_command.h
 *	  MAC commands, as they stand in FOpts and in FRMPayloads with FPort 0
 *	  (LoRaWAN L2 1.0.4 and 1.1, section 5; of classes B and C 1.1, sections
 *	  14 and 18).
 *
 * No CID has one meaning in 1.0.x and another one in 1.1, so the version is not asked
 * for; the direction is, since a command and its answer share a CID.
 */
#ifndef LORAWAN_MAC_COMMAND_H
#define LORAWAN_MAC_COMMAND_H

#include "frame.h"

#define LORAWAN_MAX_MAC_FIELDS 5

/* How the bits of a field are to be read. */
typedef enum LorawanMacFieldKind
{
	LORAWAN_MAC_NUMBER,
	LORAWAN_MAC_SIGNED,			/* two's complement */
	LORAWAN_MAC_FLAG,
	LORAWAN_MAC_FREQUENCY		/* in Hz: the number times 100, or times 200
								 * from 2.4 GHz on */
} LorawanMacFieldKind;

/*
 * A field of a command: bits of its payload, which as a whole is a
 * little-endian number.
 */
typedef struct LorawanMacField
{
	const char *name;
	uint8_t		shift;
	uint8_t		bits;
	LorawanMacFieldKind kind;
} LorawanMacField;

/* A kind of command; fields end with the first that has no name. */
typedef struct LorawanMacCommand
{
	uint8_t		cid;
	LorawanDirection direction;
	uint8_t		size;			/* of the payload, without the CID */
	const char *name;
	LorawanMacField fields[LORAWAN_MAX_MAC_FIELDS];
} LorawanMacCommand;

/*
 * Reads the command at an offset below len, sets payload to its payload, and
 * moves the offset behind it.  NULL: it is unknown, which leaves open where the
 * next one begins, or cut off; fault says which.
 */
extern const LorawanMacCommand *lorawan_mac_command_next(const uint8_t *commands, size_t len,
														 LorawanDirection direction,
														 size_t *offset,
														 const uint8_t **payload,
														 LorawanFault *fault);

/* The value of a field. */
extern int64_t lorawan_mac_field_value(const LorawanMacCommand *command,
									   const LorawanMacField *field,
									   const uint8_t *payload);

#endif							/* LORAWAN_MAC_COMMAND_H */
