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
 * Raises an error unless the label may be used: it has 1 to KEK_LABEL_MAX_SIZE bytes in
 * UTF-8 and no control characters.  A label that a KEK has already may always be used:
 * it may come from a database with another encoding.
 */
extern void kek_label_check(const char *label);

/*
 * The label in UTF-8.  If the database's encoding is SQL_ASCII, or the label cannot be
 * converted, the label as it is.
 */
extern const char *kek_label_utf8(const char *label);

/*
 * All bytes that the label may have had in the database in which a KEK was sealed, whose
 * encoding may have been another: a list of C strings.  The list is empty if the label
 * is ASCII, which has the same bytes in every encoding.
 */
extern List *kek_label_spellings(const char *label);

#endif							/* KEK_LABEL_H */
