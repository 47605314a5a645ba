--
-- Input of wrapped_key where PostgreSQL wants to know whether a text is valid, without an error: pg_input_is_valid()
-- of PostgreSQL 16, COPY ... ON_ERROR of 17.  And where a text or varchar is stored in a column of wrapped_key.
--
\set ECHO none
\set QUIET 1
SET client_min_messages = error;
SELECT current_setting('server_version_num')::int >= 160000 AS asks, current_setting('server_version_num')::int >= 170000 AS copies \gset
BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS key_vault;
SELECT no_plan();

-- The wrapped bytes of RFC 3394, section 4.1.
\set w kv1:aes-kw:00112233-4455-6677-8899-aabbccddeeff:1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5

\if :asks
SELECT ok(pg_input_is_valid(:'w', 'key_vault.wrapped_key'), 'a wrapped key is valid');
SELECT ok(NOT pg_input_is_valid(value, 'key_vault.wrapped_key'), 'not valid, and no error: ' || name)
  FROM (VALUES ('empty', ''), ('three fields', 'kv1:aes-kw:00112233-4455-6677-8899-aabbccddeeff'), ('one digit less', left(:'w', -1)),
               ('one byte less', left(:'w', -2)), ('no digits', left(:'w', -2) || 'zz'), ('unknown algorithm', replace(:'w', 'aes-kw', 'aes-ecb')),
               ('too long', :'w' || repeat('00', 65536))) v (name, value);
SELECT is((SELECT sql_error_code || ' ' || message FROM pg_input_error_info(left(:'w', -1), 'key_vault.wrapped_key')),
          '22P02 invalid input syntax for type wrapped_key', 'what is wrong is told');
\else
SELECT skip('PostgreSQL 16 and later');
\endif

\if :copies
CREATE TEMP TABLE loaded (n integer, key key_vault.wrapped_key);
SELECT format('COPY loaded FROM PROGRAM %L (ON_ERROR ignore)',
              format('printf "1\t%s\n2\t%s\n3\t%s\n"', :'w', left(:'w', -2), :'w')) \gexec
SELECT is(array_agg(n ORDER BY n), '{1,3}', 'COPY passes over a row that is no wrapped key') FROM loaded;
\else
SELECT skip('PostgreSQL 17 and later');
\endif

CREATE TEMP TABLE stored (key key_vault.wrapped_key, keys key_vault.wrapped_key[]);
PREPARE store_text(text, text[]) AS INSERT INTO stored VALUES ($1, $2);
PREPARE store_varchar(varchar, varchar[]) AS UPDATE stored SET (key, keys) = ROW($1, $2);
SELECT format('EXECUTE store_text(%L, ARRAY[%L])', :'w', :'w') \gexec
SELECT is(s::text, format('(%s,{%s})', :'w', :'w'), 'a text is stored') FROM stored s;
SELECT format('EXECUTE store_varchar(upper(%L), ARRAY[upper(%L), NULL])', :'w', :'w') \gexec
SELECT is(s::text, format('(%s,"{%s,NULL}")', :'w', :'w'), 'a varchar is stored') FROM stored s;
EXECUTE store_varchar(NULL, NULL);
SELECT is(s::text, '(,)', 'NULL is stored') FROM stored s;
-- The session key of the specification's example is no wrapped key, and the error does not show it.
SELECT throws_ok(format('EXECUTE store_text(%L, NULL)', value), '22P02', 'invalid input syntax for type wrapped_key', 'not stored: ' || name)
  FROM (VALUES ('empty', ''), ('a plaintext key', 'ec925802ae430ca77fd3dd73cb2cc588'), ('one byte less', left(:'w', -2)), ('as bytea', '\x' || repeat('00', 41))) v (name, value);
SELECT throws_ok(format('EXECUTE store_varchar(%L, NULL)', left(:'w', -1)), '22P02', 'invalid input syntax for type wrapped_key', 'not stored: a varchar that is one digit short');
SELECT throws_ok(format('PREPARE bytes(%s) AS INSERT INTO stored VALUES ($1)', type), '42804', NULL, 'no ' || type || ' is stored')
  FROM unnest(ARRAY['bytea', 'json', 'name', 'character(90)']) type;
SELECT throws_ok(format('PREPARE opened(%s) AS SELECT key_vault.unwrap($1)', type), '42883', NULL, 'no function takes a ' || type || ' for a wrapped key')
  FROM unnest(ARRAY['text', 'varchar']) type;
SELECT throws_ok(format('PREPARE compared(%s) AS SELECT FROM stored WHERE key = $1', type), '42883', NULL, 'no operator takes a ' || type || ' for a wrapped key')
  FROM unnest(ARRAY['text', 'varchar']) type;

SELECT * FROM finish();
ROLLBACK;
