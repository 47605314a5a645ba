/*
 * unknown_label.h
 *	  Errors and notices about a KEK label that does not exist.
 */
#ifndef UNKNOWN_LABEL_H
#define UNKNOWN_LABEL_H

#include "postgres.h"

/* Whether the current role may read the view that shows all labels. */
extern bool may_know_labels(void);

/*
 * The label that a mistyped one was probably meant to be, or NULL.  It is one that the
 * current role may know.
 */
extern const char *nearest_label(const char *label);

/*
 * Raises an error if the label does not exist.  The error's hint names the nearest label, or is
 * the text hint if there is none.
 */
extern void require_label_exists(const char *label, const char *hint);

/* Raises a notice instead; detail says what follows from it. */
extern void notice_unknown_label(const char *label, const char *detail);

#endif							/* UNKNOWN_LABEL_H */
