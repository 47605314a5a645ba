/*
 * message_keys.h
 *	  Finds the plaintext keys in a message, and wraps them.
 *
 * The keys are taken out of the message and numbered from 1.  The number of a key takes its
 * place in the message.
 */
#ifndef MESSAGE_KEYS_H
#define MESSAGE_KEYS_H

#include "postgres.h"

#include "nodes/pg_list.h"

#include "fault.h"
#include "json_tree.h"

typedef struct MessageKeys
{
	List	   *wrapped;		/* values of type wrapped_key; the first has
								 * number 1 */

	/*
	 * Returns the KEK label to wrap with.  It is called for the first key,
	 * before the message is changed.
	 */
	const char *(*label) (struct MessageKeys *keys);
	const char *known_label;	/* what label() returned, or NULL */
	void	   *context;		/* for label() */
} MessageKeys;

/* The highest number of keys in a message. */
#define MESSAGE_MAX_KEYS 1000

/*
 * Takes the plaintext keys out of a message, and changes the message.  These are all values
 * whose names end in "key", and all values but labels in objects with such a name.  The key
 * of an envelope that has a label is wrapped already, and stays.
 *
 * in_key says that the message itself is an object with such a name.  A message with too many
 * keys has a fault, and stays as it is.  If there is a key, the current role needs the
 * privilege wrap on the label.
 */
extern void message_wrap_keys(JsonbValue *message, MessageKeys *keys, bool in_key,
							  MessageFault *fault);

/*
 * Wraps a whole text, which may have a key in it that cannot be found, in pieces of up to
 * 4096 bytes of UTF-8.  Returns a list of values of type wrapped_key.  The current role needs
 * the privilege wrap on the label.
 */
extern List *message_seal(const char *text, size_t size, const char *label);

#endif							/* MESSAGE_KEYS_H */
