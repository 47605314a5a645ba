/*
 * kek_label.h
 *	  KEK labels, and their bytes for cryptography.
 */
#ifndef KEK_LABEL_H
#define KEK_LABEL_H

#include "postgres.h"

#include "nodes/pg_list.h"

/* The longest label of a new KEK, in bytes of UTF-8. */
#define KEK_LABEL_MAX_SIZE 255

/*
 * Raises unless a KEK has the label, or a new one may have it: 1 to
 * KEK_LABEL_MAX_SIZE bytes in UTF-8, no control characters.  What is there was
 * accepted before, maybe by a database with another encoding.
 */
extern void kek_label_check(const char *label);

/*
 * The label in UTF-8; the label itself where the database's encoding is SQL_ASCII,
 * whose characters have no names, and where there is no conversion.
 */
extern const char *kek_label_utf8(const char *label);

/*
 * What the label may have looked like in the database that sealed a KEK, which
 * may have had another encoding: a list of C strings.  Empty for ASCII, which
 * looks the same in all of them.
 */
extern List *kek_label_spellings(const char *label);

#endif							/* KEK_LABEL_H */
