/*
 * bytea.h
 *	  New values of type bytea.
 */
#ifndef BYTEA_H
#define BYTEA_H

#include "postgres.h"

#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* Makes a bytea with a copy of these bytes, which may be NULL if there are none. */
static inline bytea *
bytea_from_bytes(const uint8 *bytes, size_t size)
{
	bytea	   *value = palloc(VARHDRSZ + size);

	SET_VARSIZE(value, VARHDRSZ + size);
	if (size > 0)
		memcpy(VARDATA(value), bytes, size);
	return value;
}

#endif							/* BYTEA_H */
