/*
 * test_cayenne_lpp.c
 *	  Tests of lorawan/cayenne_lpp.c; pgtap/cayenne_lpp has the vectors.
 */
#include "check.h"
#include "lorawan/cayenne_lpp.h"

/* For each type: payloads that end in each byte of a value, and one byte after it. */
static void
ends_of_values(void)
{
	uint8_t		payload[2 + CAYENNE_LPP_MAX_NUMBERS * 4 + 2] = {0};
	int			ntypes = 0;

	for (int type = 0; type < 256; type++)
	{
		size_t		complete = 0;

		payload[1] = (uint8_t) type;
		for (size_t len = 1; len < sizeof(payload); len++)
		{
			size_t		offset = 0;
			uint8_t		channel;
			int64_t		numbers[CAYENNE_LPP_MAX_NUMBERS];
			LorawanFault fault;
			const CayenneLppType *read =
			cayenne_lpp_next(payload, len, &offset, &channel, numbers, &fault);

			if (read == NULL)
			{
				CHECK(complete == 0);
				CHECK(offset == 0);
				CHECK(fault.field != NULL && fault.problem != NULL && fault.offset < len);
				continue;
			}
			CHECK(read->type == type);
			if (complete == 0)
				complete = len;
			CHECK(offset == complete);
		}
		ntypes += complete > 0;
	}
	/* twelve of myDevices, and fourteen of the library for Arduino */
	CHECK(ntypes == 26);
}

void
test_cayenne_lpp(void)
{
	RUN(ends_of_values);
}
