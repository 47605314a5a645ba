/*
 * mac_command.h
 *	  MAC commands in the clear, as they are in FOpts and in the FRMPayload of
 *	  frames with FPort 0 (LoRaWAN L2 1.0.4 and 1.1, section 5; for classes B and C
 *	  L2 1.1, sections 14 and 18).
 *
 * A CID means the same in 1.0.x and in 1.1, so the version need not be known.  The
 * direction must be, since a command and its answer have the same CID.
 */
#ifndef LORAWAN_MAC_COMMAND_H
#define LORAWAN_MAC_COMMAND_H

#include "frame.h"

/* The number of fields that a command has at most. */
#define LORAWAN_MAX_MAC_FIELDS 5

/* What the bits of a field mean. */
typedef enum LorawanMacFieldKind
{
	LORAWAN_MAC_NUMBER,
	LORAWAN_MAC_SIGNED,			/* two's complement */
	LORAWAN_MAC_FLAG,
	LORAWAN_MAC_FREQUENCY		/* in steps of 100 Hz, from 2.4 GHz on in
								 * steps of 200 Hz */
} LorawanMacFieldKind;

/*
 * A field of a command.  The payload is read as one little-endian number, in which
 * the field has some bits, shift bits above the lowest.
 */
typedef struct LorawanMacField
{
	const char *name;
	uint8_t		shift;
	uint8_t		bits;
	LorawanMacFieldKind kind;
} LorawanMacField;

/* A kind of command; after its last field comes one without a name. */
typedef struct LorawanMacCommand
{
	uint8_t		cid;
	LorawanDirection direction;
	uint8_t		size;			/* of the payload after the CID, in bytes */
	const char *name;
	LorawanMacField fields[LORAWAN_MAX_MAC_FIELDS];
} LorawanMacCommand;

/*
 * Reads the command at *offset, which is below len; sets *payload to what follows its
 * CID, and *offset to where the next command begins.  Returns NULL, and sets fault, if
 * the command is cut off, or not known: then nobody knows where the next one begins.
 */
extern const LorawanMacCommand *lorawan_mac_command_next(const uint8_t *commands, size_t len,
														 LorawanDirection direction,
														 size_t *offset,
														 const uint8_t **payload,
														 LorawanFault *fault);

/* The value of a field; for LORAWAN_MAC_FREQUENCY in Hz. */
extern int64_t lorawan_mac_field_value(const LorawanMacCommand *command,
									   const LorawanMacField *field,
									   const uint8_t *payload);

#endif							/* LORAWAN_MAC_COMMAND_H */
