--
-- Input of wrapped_key where PostgreSQL wants to know whether a text is valid, without an error: pg_input_is_valid()
-- of PostgreSQL 16, COPY ... ON_ERROR of 17.
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

SELECT * FROM finish();
ROLLBACK;
