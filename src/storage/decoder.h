/*
 * decoder.h
 *	  Decoders of a storage: functions that make values (jsonb) of payloads.
 */
#ifndef DECODER_H
#define DECODER_H

#include "postgres.h"

#include "utils/relcache.h"

/* The decoder that a storage's table application names for an application. */
typedef struct Decoder Decoder;

/* The decoders of a storage. */
typedef struct DecoderSet DecoderSet;

/*
 * Reads which decoders a table application names, into the current memory context.  Raises an
 * error if the current role may not read the table.
 */
extern DecoderSet *decoder_set_read(Oid application_table);

/* The decoder of an application; NULL if it has none. */
extern Decoder *decoder_find(DecoderSet *set, const char *application_id);

/* What a decoder has made of a payload. */
typedef struct Decoded
{
	Datum		value;			/* jsonb */
	bool		isnull;
	const char *error;			/* NULL if there was none */
} Decoded;

/*
 * Runs a decoder as the owner of the storage.  An error of the decoder is returned.  If the
 * server is the reason, or the statement was cancelled, the error is raised.
 */
extern Decoded decoder_run(DecoderSet *set, Decoder *decoder, Datum payload, int32 f_port);

/*
 * Raises an error unless a name is that of a function that may be a decoder of a storage, in
 * whose table application it is written.
 */
extern void decoder_require(const char *name, Relation application_table);

#endif							/* DECODER_H */
