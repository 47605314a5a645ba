--
-- Payloads in Cayenne LPP.
--
-- The expected values are others': the examples of myDevices (https://github.com/myDevicesIoT/CayenneLPP, README.md)
-- and of The Things Stack (https://www.thethingsindustries.com/docs/integrations/payload-formatters/cayenne), and the
-- tests of The Things Stack (pkg/messageprocessors/cayennelpp/cayennelpp_test.go) and of the library for Arduino
-- (https://github.com/ElectronicCats/CayenneLPP, test/aunit/main.cpp and test/catch2/LppMessageTest.cpp).
--
\set ECHO none
\set QUIET 1
SET client_min_messages = error;
BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS key_vault;
SELECT no_plan();

CREATE TEMPORARY TABLE vector (payload bytea, decoded jsonb, source text);
INSERT INTO vector VALUES
    ('\x03670110056700FF', '{"temperature_3": 27.2, "temperature_5": 25.5}', 'myDevices: two temperatures'),
    ('\x0167FFD7067104D2FB2E0000', '{"temperature_1": -4.1, "accelerometer_6": {"x": 1.234, "y": -1.234, "z": 0.000}}', 'myDevices: temperature and accelerometer'),
    ('\x018806765FF2960A0003E8', '{"gps_1": {"latitude": 42.3519, "longitude": -87.9094, "altitude": 10.00}}', 'myDevices: GPS'),
    (decode('A2cBEAVnAP8=', 'base64'), '{"temperature_3": 27.2, "temperature_5": 25.5}', 'The Things Stack: two temperatures'),
    (decode('AHMnvwBnAN4=', 'base64'), '{"barometric_pressure_0": 1017.5, "temperature_0": 22.2}', 'The Things Stack: pressure and temperature'),
    ('\x0100FF 020164 0302154A 0403EAB6 056501F4 066632 0767FF64 086863 0971FE58000F0682 0A7329EF 0B8601630231FE66 0C8807FD8700BEF500086A',
     '{"digital_in_1": 255, "digital_out_2": 100, "analog_in_3": 54.5, "analog_out_4": -54.5, "luminosity_5": 500, "presence_6": 50,
       "temperature_7": -15.6, "relative_humidity_8": 49.5, "accelerometer_9": {"x": -0.424, "y": 0.015, "z": 1.666},
       "barometric_pressure_10": 1073.5, "gyrometer_11": {"x": 3.55, "y": 5.61, "z": -4.10},
       "gps_12": {"latitude": 52.3655, "longitude": 4.8885, "altitude": 21.54}}', 'The Things Stack: all its types'),
    ('\x0367011002686C', '{"temperature_3": 27.2, "relative_humidity_2": 54}', 'Arduino: several channels'),
    ('\x0180FFFF', '{"power_1": 65535}', 'Arduino: the highest value'),
    ('\x0567FFD1', '{"temperature_5": -4.7}', 'Arduino: below zero'),
    ('\x0164000003E6', '{"generic_sensor_1": 998}', 'Arduino: generic sensor'),
    ('\x037457B8', '{"voltage_3": 224.56}', 'Arduino: voltage'),
    ('\x017500ED', '{"current_1": 0.237}', 'Arduino: current'),
    ('\x017633BE27A0', '{"frequency_1": 868100000}', 'Arduino: frequency'),
    ('\x0579FFEF', '{"altitude_5": -17}', 'Arduino: altitude'),
    ('\x05800D7A', '{"power_5": 3450}', 'Arduino: power'),
    ('\x018200000022', '{"distance_1": 0.034}', 'Arduino: distance'),
    ('\x018300795B30', '{"energy_1": 7953.2}', 'Arduino: energy'),
    ('\x01840100', '{"direction_1": 256}', 'Arduino: direction'),
    ('\x058E01', '{"switch_5": 1}', 'Arduino: switch'),
    -- By its table of types: 1 % of one byte; seconds of four; one byte for each colour; 1 ppm of two.
    ('\x08781C 0B8500000021 018708090A 017D000B', '{"percentage_8": 28, "unixtime_11": 33, "colour_1": {"r": 8, "g": 9, "b": 10}, "concentration_1": 11}', 'Arduino: its other types'),
    -- 0x010e = 270, 0x4a = 74
    ('\x0167010E02684A', '{"temperature_1": 27.0, "relative_humidity_2": 37.0}', 'the example of the documentation');
SELECT is(key_vault.cayenne_lpp(payload, 1), decoded, source) FROM vector;

SELECT is(key_vault.cayenne_lpp('\x0167010E02684A')::text, '{"temperature_1": 27.0, "relative_humidity_2": 37.0}', 'numbers have the digits that the format has');
SELECT is(avg((key_vault.cayenne_lpp(payload, 2) ->> 'temperature_1')::numeric), 27.0, 'and are numbers')
  FROM (VALUES ('\x0167010D'::bytea), ('\x0167010F')) v (payload);
SELECT is(key_vault.cayenne_lpp('\x01670001016700FF'), '{"temperature_1": 25.5}', 'of two values with one name the later one stays');
SELECT is(key_vault.cayenne_lpp('\xFF67FFFF00678000'), '{"temperature_255": -0.1, "temperature_0": -3276.8}', 'the ends of the ranges');
SELECT is(key_vault.cayenne_lpp('\x0164FFFFFFFF02888000007FFFFF800000'), '{"generic_sensor_1": 4294967295, "gps_2": {"latitude": -838.8608, "longitude": 838.8607, "altitude": -83886.08}}', 'and of longer numbers');
SELECT is(key_vault.cayenne_lpp(NULL), NULL, 'NULL');

-- What is no payload of this kind
SELECT throws_ok($$SELECT key_vault.cayenne_lpp('')$$, '22023', 'payload in Cayenne LPP is empty', 'nothing');
SELECT throws_ok($$SELECT key_vault.cayenne_lpp('\x0167010E02')$$, '22023', 'malformed payload in Cayenne LPP: channel at offset 4 is the last byte', 'a channel alone');
SELECT throws_ok($$SELECT key_vault.cayenne_lpp('\x0167010E02684A0304')$$, '22023', 'malformed payload in Cayenne LPP: type at offset 8 is not known', 'a type that nobody has defined');
SELECT throws_ok($$SELECT key_vault.cayenne_lpp('\x0167010E0268')$$, '22023', 'malformed payload in Cayenne LPP: relative_humidity at offset 4 is cut off', 'a value that is cut off');
SELECT throws_ok($$SELECT key_vault.cayenne_lpp('\x01F0010203040506')$$, '22023', 'malformed payload in Cayenne LPP: type at offset 1 is not known', 'a polyline');
-- Each beginning of a payload is one if it ends between two values, and otherwise an error.
CREATE FUNCTION pg_temp.names(payload bytea) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT count(*) FROM jsonb_object_keys(key_vault.cayenne_lpp(payload)));
EXCEPTION WHEN invalid_parameter_value THEN
    RETURN NULL;
END
$$;
-- The ends of the values: digital in and out have 3 bytes, with channel and type; analog in and out 4, and so on.
SELECT is((SELECT array_agg(n ORDER BY n) FROM generate_series(1, length(payload)) n WHERE pg_temp.names(substr(payload, 1, n)) IS NOT NULL),
          ARRAY[3, 6, 10, 14, 18, 21, 25, 28, 36, 40, 48, 59], 'where a payload of all types may end')
  FROM vector WHERE source = 'The Things Stack: all its types';
SELECT is(pg_temp.names(string_agg(substr(int2send(n::smallint), 2) || '\x0001', '')), 85::bigint, '255 bytes') FROM generate_series(1, 85) n;

SELECT * FROM finish();
ROLLBACK;
