/*
 * cayenne_lpp.c
 *	  The table of types of Cayenne LPP, and reading payloads with it.
 *
 * The first part of the table has the types of myDevices, who defined the format
 * (https://github.com/myDevicesIoT/CayenneLPP).  They have the names that The Things Stack
 * gives them in decoded_payload.  The second part has those that devices with the library
 * CayenneLPP for Arduino send besides (https://github.com/ElectronicCats/CayenneLPP,
 * src/CayenneLPP.h).  They are named by the same rule, after the constants of that library.
 * Its type 240, a polyline of varying length, is left out.
 *
 * Invariant: nothing is read beyond the end of a payload.
 */
#include "cayenne_lpp.h"

#define UNSIGNED(size, decimals) {{size, false, 1, decimals, NULL}}
#define SIGNED(size, decimals) {{size, true, 1, decimals, NULL}}
#define HALVES(size) {{size, false, 5, 1, NULL}}
#define AXES(decimals) \
	{{2, true, 1, decimals, "x"}, {2, true, 1, decimals, "y"}, {2, true, 1, decimals, "z"}}

static const CayenneLppType types_known[] = {
	{0, "digital_in", UNSIGNED(1, 0)},
	{1, "digital_out", UNSIGNED(1, 0)},
	{2, "analog_in", SIGNED(2, 2)},
	{3, "analog_out", SIGNED(2, 2)},
	{101, "luminosity", UNSIGNED(2, 0)},	/* lux */
	{102, "presence", UNSIGNED(1, 0)},
	{103, "temperature", SIGNED(2, 1)}, /* degrees Celsius */
	{104, "relative_humidity", HALVES(1)},	/* percent */
	{113, "accelerometer", AXES(3)},	/* g */
	{115, "barometric_pressure", UNSIGNED(2, 1)},	/* hPa */
	{134, "gyrometer", AXES(2)},	/* degrees per second */
	{136, "gps",				/* degrees, degrees, meters */
		{{3, true, 1, 4, "latitude"}, {3, true, 1, 4, "longitude"}, {3, true, 1, 2, "altitude"}}
	},

	{100, "generic_sensor", UNSIGNED(4, 0)},
	{116, "voltage", UNSIGNED(2, 2)},	/* V */
	{117, "current", UNSIGNED(2, 3)},	/* A */
	{118, "frequency", UNSIGNED(4, 0)}, /* Hz */
	{120, "percentage", UNSIGNED(1, 0)},
	{121, "altitude", SIGNED(2, 0)},	/* meters */
	{125, "concentration", UNSIGNED(2, 0)}, /* ppm */
	{128, "power", UNSIGNED(2, 0)}, /* W */
	{130, "distance", UNSIGNED(4, 3)},	/* meters */
	{131, "energy", UNSIGNED(4, 3)},	/* kWh */
	{132, "direction", UNSIGNED(2, 0)}, /* degrees */
	{133, "unixtime", UNSIGNED(4, 0)},	/* seconds */
	{135, "colour", {{1, false, 1, 0, "r"}, {1, false, 1, 0, "g"}, {1, false, 1, 0, "b"}}},
	{142, "switch", UNSIGNED(1, 0)},
};

static const CayenneLppType *
find_type(uint8_t type)
{
	for (size_t i = 0; i < sizeof(types_known) / sizeof(types_known[0]); i++)
		if (types_known[i].type == type)
			return &types_known[i];
	return NULL;
}

static int64_t
read_number(const CayenneLppNumber *number, const uint8_t *bytes)
{
	int64_t		value = 0;

	for (int i = 0; i < number->size; i++)
		value = value << 8 | bytes[i];
	if (number->is_signed && bytes[0] >= 0x80)
		value -= INT64_C(1) << (8 * number->size);
	return value * number->factor;
}

const CayenneLppType *
cayenne_lpp_next(const uint8_t *payload, size_t len, size_t *offset, uint8_t *channel,
				 int64_t numbers[CAYENNE_LPP_MAX_NUMBERS], LorawanFault *fault)
{
	const CayenneLppType *type;
	size_t		at = *offset;

	fault->offset = at;
	fault->field = "channel";
	fault->problem = "is the last byte";
	if (len - at < 2)
		return NULL;
	*channel = payload[at++];
	type = find_type(payload[at]);
	if (type == NULL)
	{
		fault->offset = at;
		fault->field = "type";
		fault->problem = "is not known";
		return NULL;
	}
	at++;
	for (int i = 0; type->numbers[i].size > 0; i++)
	{
		if (len - at < type->numbers[i].size)
		{
			fault->field = type->name;
			fault->problem = "is cut off";
			return NULL;
		}
		numbers[i] = read_number(&type->numbers[i], payload + at);
		at += type->numbers[i].size;
	}
	*offset = at;
	return type;
}
