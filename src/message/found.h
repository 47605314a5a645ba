/*
 * found.h
 *	  Describes what a message has, for people who look for its fault.
 *
 * Invariant: a description contains no key, even if a key stands in a field that is for
 * something else.  So strings and numbers are shown only if they have fewer characters than a
 * key has bytes, and names only if they are shorter than a key in base64.
 */
#ifndef FOUND_H
#define FOUND_H

#include "json_tree.h"

/* As: nothing, null, true, 256, "abc", a string of 32 characters, an array of 3 elements. */
extern const char *found_value(const JsonbValue *value);

/* The names of an object's members, as: the members a, b and 5 others. */
extern const char *found_members(const JsonbValue *object);

#endif							/* FOUND_H */
