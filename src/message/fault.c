/*
 * fault.c
 *	  Records what is wrong with a message, as data and not as an error.
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "fault.h"

void
message_fault(MessageFault *fault, int sqlerrcode, FaultDetails details, const char *reason,...)
{
	StringInfoData text;

	if (message_is_faulty(fault))
		return;
	initStringInfo(&text);
	for (;;)
	{
		va_list		args;
		int			needed;

		va_start(args, reason);
		needed = appendStringInfoVA(&text, reason, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(&text, needed);
	}
	fault->sqlerrcode = sqlerrcode;
	fault->reason = text.data;
	fault->details = details;
}
