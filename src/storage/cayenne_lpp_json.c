/*
 * cayenne_lpp_json.c
 *	  Payloads in Cayenne LPP as jsonb.
 *
 * It is done for each row of a report, so it must be fast.
 */
#include "postgres.h"

#include "utils/numeric.h"

#include "../lorawan/cayenne_lpp.h"
#include "cayenne_lpp_json.h"

static void
push_key(JsonbParseState **state, const char *key)
{
	JsonbValue	value = {.type = jbvString};

	value.val.string.val = unconstify(char *, key);
	value.val.string.len = strlen(key);
	(void) pushJsonbValue(state, WJB_KEY, &value);
}

/* The value of an object's member. */
static void
push_number(JsonbParseState **state, const CayenneLppNumber *number, int64 digits)
{
	JsonbValue	value = {.type = jbvNumeric};

	value.val.numeric = int64_div_fast_to_numeric(digits, number->decimals);
	(void) pushJsonbValue(state, WJB_VALUE, &value);
}

static void
push_value(JsonbParseState **state, const CayenneLppType *type, uint8 channel,
		   const int64 *numbers)
{
	push_key(state, psprintf("%s_%u", type->name, channel));
	if (type->numbers[0].name == NULL)
	{
		push_number(state, &type->numbers[0], numbers[0]);
		return;
	}
	(void) pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; type->numbers[i].size > 0; i++)
	{
		push_key(state, type->numbers[i].name);
		push_number(state, &type->numbers[i], numbers[i]);
	}
	(void) pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

Jsonb *
cayenne_lpp_json(const bytea *payload, char **error)
{
	const uint8 *bytes = (const uint8 *) VARDATA_ANY(payload);
	size_t		size = VARSIZE_ANY_EXHDR(payload);
	size_t		offset = 0;
	JsonbParseState *state = NULL;

	if (size == 0)
	{
		*error = "payload in Cayenne LPP is empty";
		return NULL;
	}
	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	while (offset < size)
	{
		uint8		channel;
		int64		numbers[CAYENNE_LPP_MAX_NUMBERS];
		LorawanFault fault;
		const CayenneLppType *type =
		cayenne_lpp_next(bytes, size, &offset, &channel, numbers, &fault);

		if (type == NULL)
		{
			*error = psprintf("malformed payload in Cayenne LPP: %s at offset %zu %s",
							  fault.field, fault.offset, fault.problem);
			return NULL;
		}
		push_value(&state, type, channel, numbers);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}
