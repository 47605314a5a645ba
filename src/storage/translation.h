/*
 * translation.h
 *	  The function of a storage's owner that translates messages of formats of his own:
 *	  read_message(jsonb), in the storage's schema.
 */
#ifndef TRANSLATION_H
#define TRANSLATION_H

#include "postgres.h"

#include "nodes/pg_list.h"

#include "../message/event.h"

/* Whether the storage in the first schema of search_path has such a function. */
extern bool translation_exists(void);

/*
 * Reads the events of a message by that function, or by message_events() if it returns NULL.
 * It is the owner's code, and can raise any error.
 */
extern List *translation_events(const JsonbValue *message, MessageFault *fault);

#endif							/* TRANSLATION_H */
