/*
 * places.h
 *	  Tells apart the places from which calls come: see places.c.
 */
#ifndef PLACES_H
#define PLACES_H

#include "lib/stringinfo.h"

extern void prepare_places(void);
extern int64 place_here(void);
extern void forget_places(void);
extern void note_place(int64 place, int call);
extern void print_places(StringInfo buffer);

#endif							/* PLACES_H */
