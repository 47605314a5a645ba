# While a row is decrypted, the cache guesses where the next rows' keys are (src/vault/keys_ahead.h).  A wrong
# guess costs time only, so this test counts the right ones: its copy of the library counts each use of a key
# that was guessed as an expiration.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use ChangedLibrary;
use Test::More;

my $node = new_node('ahead');
$node->init;
$node->configure_vault;
$node->start;

if (my $why = why_source_does_not_build("$FindBin::Bin/../.."))
{
    plan skip_all => $why;
}
my $library = build_changed('counting', 'src/vault/key_cache.c',
    [ qr/^(\tif \(wrapped_key->wrapped != loaded\))$/m, sub { "\tkey_cache_stats->expirations += wrapped_key->wrapped == loaded;\n$1" } ]);

$node->safe_psql('postgres', q{
    CREATE EXTENSION key_vault;
    SELECT key_vault.kek_create('net');
    SELECT key_vault.kek_create('other');
    CREATE TABLE device AS SELECT n, key_vault.generate_key(CASE n % 2 WHEN 0 THEN 'net' ELSE 'other' END) AS key
      FROM generate_series(1, 200) n;
    CREATE FUNCTION uplinks() RETURNS TABLE (n bigint, key key_vault.wrapped_key, f_cnt bigint, plain bytea, frm_payload bytea)
        LANGUAGE sql BEGIN ATOMIC
        SELECT i, key, i, p, key_vault.lorawan_encrypt_uplink(key, '\x26011bda', i, p)
          FROM generate_series(1, 4000) i
          JOIN device ON device.n = i * 7919 % 200 + 1
          CROSS JOIN LATERAL (SELECT substr(sha256(int8send(i)), 1, (i * 31 % 30)::int)) s (p)
         ORDER BY i;
    END;
    CREATE TABLE fixed AS SELECT n, key, f_cnt, int8send(n) AS plain, key_vault.lorawan_encrypt_uplink(key, '\x26011bda', f_cnt, int8send(n)) AS frm_payload FROM uplinks();
    CREATE TABLE varied AS SELECT * FROM uplinks();
    CREATE TABLE key_last AS SELECT n, f_cnt, plain, frm_payload, key FROM uplinks();
    CREATE TABLE holes AS SELECT * FROM uplinks();
    CREATE INDEX ON holes (md5(n::text));
    DELETE FROM holes WHERE n % 5 = 0;
});
use_library($node, 'postgres', $library);

my $session = $node->background_psql('postgres', on_error_stop => 1);
$session->query(q{SET client_min_messages = error; LOAD '} . $library . q{'; SET key_vault.cache = on; SET key_vault.cache_max_age = 0; SET max_parallel_workers_per_gather = 0});

# The part of the rows whose keys were guessed, in percent; -1 if a row is wrong
sub guessed
{
    my ($rows) = @_;
    my $query = qq{SELECT (CASE WHEN bool_and(key_vault.lorawan_decrypt_uplink(key, '\\x26011bda', f_cnt, frm_payload) = plain)
                                THEN count(*) ELSE -1 END) FROM $rows};
    $session->query($query);
    $session->query('SELECT key_vault.cache_stats_reset()');
    my $right = $session->query($query);
    my $count = $session->query('SELECT expirations FROM key_vault.cache_stats()');
    note("$rows: $right rows, $count guessed");
    return $right > 0 ? 100 * $count / $right : -1;
}

# The first row of a page cannot be guessed.
cmp_ok(guessed('fixed'),    '>=', 95, 'rows of one length: nearly all keys are guessed');
cmp_ok(guessed('varied'),   '>=', 95, 'rows of various lengths: nearly all');
cmp_ok(guessed('key_last'), '>=', 0,  'the key comes after columns of various lengths: each row is right');
cmp_ok(guessed('holes'),    '>=', 50, 'rows were deleted: more than half');
cmp_ok(guessed('(SELECT * FROM varied ORDER BY md5(n::text)) v'), '>=', 0, 'sorted: each row is right');
$session->query('SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off');
cmp_ok(guessed('(SELECT * FROM holes ORDER BY md5(n::text)) h'), '>=', 0, 'in the order of an index: each row is right');
$session->query('RESET enable_seqscan');
$session->query('VACUUM holes');
cmp_ok(guessed('holes'), '>=', 50, 'after VACUUM: more than half');
$session->query('INSERT INTO holes SELECT * FROM varied WHERE n % 5 = 0');
cmp_ok(guessed('holes'), '>=', 50, 'with new rows in the places of others: more than half');
$session->query('CREATE TEMPORARY TABLE mine AS SELECT * FROM varied');
is(guessed('mine'), 0, 'a temporary table is not in the shared buffers: none');
$session->quit;

done_testing();
