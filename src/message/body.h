/*
 * body.h
 *	  The body of a request, or a line of a file, as text with messages.
 */
#ifndef BODY_H
#define BODY_H

#include "postgres.h"

/*
 * Makes text in the database's encoding from bytes: UTF-8, with a byte order mark or without, or
 * an event of ChirpStack as Protocol Buffers, which becomes JSON.  What is neither, or cannot be
 * converted, is written in hexadecimal digits.
 */
extern text * body_to_text(const char *bytes, size_t size);

/* Whether a text is what body_to_text() writes in hexadecimal digits. */
extern bool body_is_digits(const char *text, size_t size);

/*
 * Makes JSON from a line that is an event of ChirpStack as Protocol Buffers, in base64, or in
 * hexadecimal digits as body_to_text() and key_vault_ingest write them.  Returns NULL if it is
 * another line.
 */
extern text * body_of_line(const char *line, size_t size);

#endif							/* BODY_H */
