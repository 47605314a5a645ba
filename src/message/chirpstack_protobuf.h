/*
 * chirpstack_protobuf.h
 *	  Events of ChirpStack, version 4, as Protocol Buffers.
 */
#ifndef CHIRPSTACK_PROTOBUF_H
#define CHIRPSTACK_PROTOBUF_H

#include "postgres.h"

#include "lib/stringinfo.h"

/*
 * Appends the event as JSON, in UTF-8 and as ChirpStack itself would write it.  Returns false
 * if the bytes are no event, or one that is broken; then json has no meaning.
 */
extern bool chirpstack_protobuf_to_json(const uint8 *event, size_t size, StringInfo json);

#endif							/* CHIRPSTACK_PROTOBUF_H */
