--
-- Plaintext keys that are surely a mistake: hexadecimal digits as text, and zeros.
--
\pset format unaligned
\pset tuples_only
\pset null (null)

SELECT key_vault.kek_create('plain');
CREATE FUNCTION attempt(key bytea) RETURNS text LANGUAGE sql AS $$
SELECT concat_ws(' | ', failure(format('SELECT key_vault.wrap(%L, %L)', key, 'plain')), failure(format('SELECT key_vault.kek_import(%L, %L)', 'plain import', key)),
                 failure(format('SELECT key_vault.import_envelope(%L, %L, %L)', '', key, 'plain')), failure(format('SELECT key_vault.import_envelope(%L, %L, %L, %L)', '', key, 'plain', '\x26011bda'::bytea)))
$$;
-- The digits of a key of 128, 192 or 256 bits, in either case, and as they come with the mark of another language.
SELECT n, attempt(convert_to(key, 'UTF8')) FROM (VALUES
  (1, '000102030405060708090a0b0c0d0e0f'),
  (2, 'ABCDEF030405060708090A0B0C0D0E0F'),
  (3, '000102030405060708090a0b0c0d0e0f1011121314151617'),
  (4, '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f'),
  (5, '0x000102030405060708090a0b0c0d0e0f'),
  (6, '\x000102030405060708090a0b0c0d0e0f')) v (n, key) ORDER BY n;
-- As other programs write them: with separators, \x twice, a line end; and in base64
SELECT n, failure(format('SELECT key_vault.wrap(%L, %L)', convert_to(key, 'UTF8'), 'plain')) FROM (VALUES
  (1, '00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f'),
  (2, '00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F'),
  (3, '00010203-0405-0607-0809-0a0b0c0d0e0f'),
  (4, '000102030405060708090a0b0c0d0e0f' || E'\r\n'),
  (5, '\\x000102030405060708090a0b0c0d0e0f'),
  (6, '{0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x0E, 0x0F}'),
  (7, 'AAECAwQFBgcICQoLDA0ODw=='),
  (8, 'AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8='),
  (9, 'AAECAwQFBgcICQoL-_0ODw==' || E'\n')) v (n, key) ORDER BY n;
SELECT failure($$SELECT key_vault.kek_import('plain import', 'AAECAwQFBgcICQoLDA0ODw==')$$);
-- One character less or more, another end, or another character: a key
SELECT key, key_vault.wrap(convert_to(key, 'UTF8'), 'plain') IS NOT NULL FROM (VALUES
  ('00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0'), ('00_01_02_03_04_05_06_07_08_09_0a_0b_0c_0d_0e_0f'), ('AAECAwQFBgcICQoLDA0ODww='),
  ('AAECAwQFBgcICQoLDA0ODw='), ('AAECAwQFBgcICQoLDA0O.w=='), ('AAECAwQFBgcICQoLDA0ODxAREhMUFRYX'), ('AAECAwQFBgcICQoL')) v (key);
-- What the server makes of a literal without \x
SELECT key_vault.wrap('000102030405060708090a0b0c0d0e0f', 'plain');
-- As bytes, decoded, one digit less or more, or with a character that is no digit, it is a key of its length.
SELECT n, attempt(key) FROM (VALUES
  (1, '\x000102030405060708090a0b0c0d0e0f'::bytea),
  (2, decode('000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f', 'hex')),
  (3, '000102030405060708090a0b0c0d0e0'::bytea),
  (4, '000102030405060708090a0b0c0d0e0f1'::bytea),
  (5, 'g00102030405060708090a0b0c0d0e0f'::bytea),
  (6, '000102030405060708090a0b0c0d0e0/'::bytea),
  (7, '000102030405060708090a0b0c0d0e:f'::bytea),
  (8, '000102030405060708090a0b0c0d0e0f10111213'::bytea),
  (9, '0001020304050607'::bytea)) v (n, key) ORDER BY n;
-- None of the refused KEKs is there, and those that were taken have their lengths.
SELECT version, key_bits FROM key_vault.keks WHERE label = 'plain import' ORDER BY version;
-- It may be meant.
SET key_vault.allow_hexadecimal_keys = on;
SELECT key_vault.unwrap(key_vault.wrap('000102030405060708090a0b0c0d0e0f', 'plain'));
SELECT key_vault.kek_import('plain meant', '000102030405060708090a0b0c0d0e0f');
SELECT convert_from(key_vault.unwrap(key_vault.wrap('AAECAwQFBgcICQoLDA0ODw==', 'plain')), 'UTF8');
RESET key_vault.allow_hexadecimal_keys;
SELECT failure($$SELECT key_vault.wrap('000102030405060708090a0b0c0d0e0f', 'plain')$$);
-- A key that came wrapped is what its sender wrapped; text of a message is no key.
SELECT convert_from(string_agg(key_vault.unwrap(piece), ''), 'UTF8') FROM unnest(key_vault.storage_seal('000102030405060708090a0b0c0d0e0f', 'plain')) piece;
-- Zeros are a key, and a warning.
SET client_min_messages = warning;
SELECT length(key_vault.unwrap(key_vault.wrap(decode(repeat('00', 16), 'hex'), 'plain')));
SELECT key_vault.kek_import('plain zero', decode(repeat('00', 32), 'hex'));
SELECT key_vault.import_envelope('', decode(repeat('00', 16), 'hex'), 'plain') IS NOT NULL;
SELECT key_vault.wrap(decode('01' || repeat('00', 15), 'hex'), 'plain') IS NOT NULL, key_vault.wrap(decode(repeat('00', 15) || '01', 'hex'), 'plain') IS NOT NULL;
SET client_min_messages = error;
DROP FUNCTION attempt;
