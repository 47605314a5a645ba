-- Payloads in Cayenne LPP.

CREATE OR REPLACE FUNCTION key_vault.cayenne_lpp(payload bytea, f_port integer DEFAULT 1)
RETURNS jsonb AS 'MODULE_PATHNAME', 'key_vault_cayenne_lpp'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 20;
COMMENT ON FUNCTION key_vault.cayenne_lpp(bytea, integer) IS
'decodes a payload in Cayenne Low Power Payload (https://github.com/myDevicesIoT/CayenneLPP), with the names of The Things Stack: temperature_1 is the temperature on channel 1. Units: degrees Celsius, percent, hPa, lux, g, degrees per second; gps is latitude, longitude (degrees) and altitude (meters). Of two values with one name, the later one stays. f_port makes no difference. An error if the payload is empty, cut off, or has a type that is not known. A decoder for storages';
