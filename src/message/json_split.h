/*
 * json_split.h
 *	  Takes a text apart into the JSON objects in it: one on each line (NDJSON), one after
 *	  another, on many lines each, or as the elements of an array.
 *
 * White space, commas and byte order marks between the objects are skipped, and so are the
 * brackets of an array that is not inside an object.  All else is passed on in pieces, too,
 * each of which ends before a line that begins with an object.  So an object that is cut off
 * takes no other object with it.
 */
#ifndef JSON_SPLIT_H
#define JSON_SPLIT_H

#include "postgres.h"

#define BYTE_ORDER_MARK "\xef\xbb\xbf"

typedef struct JsonSplitter JsonSplitter;

/* Takes a piece of the text: an object, or what is none. */
typedef void (*JsonPiece) (void *context, const char *text, size_t size);

/* Makes a splitter in the current memory context. */
extern JsonSplitter *json_splitter_create(JsonPiece piece, void *context);

/*
 * Takes the next lines of the text.  It passes on the pieces that end in them, and keeps an
 * object that may go on in the next lines.
 */
extern void json_splitter_add(JsonSplitter *splitter, const char *lines, size_t size);

/* The text is at its end: passes on what was kept. */
extern void json_splitter_finish(JsonSplitter *splitter);

#endif							/* JSON_SPLIT_H */
