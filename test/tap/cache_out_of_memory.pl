# The key cache when there is no memory for its table to grow: each key is still right, the keys in the cache
# stay there, and the table grows again once there is memory.
#
# The test uses a copy of the library in which the cache's own allocations fail while a file exists: all of
# them, or the second of the two that the cache makes each time its table grows.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use ChangedLibrary;
use Test::More;

my $node = new_node('memory');
$node->init;
$node->configure_vault;
$node->start;

if (my $why = why_source_does_not_build("$FindBin::Bin/../.."))
{
    plan skip_all => $why;
}
my $no_memory = "$ENV{TESTDIR}/no_memory";
my $first_is_there = "$ENV{TESTDIR}/first_is_there";
my $library   = build_changed('failing', 'src/vault/key_cache.c',
    [ qr/^(int\t+key_cache_mode = KEY_CACHE_ON;)$/m, sub { <<"END" . $1 } ]);
#include <unistd.h>
static void *
alloc_if_allowed(MemoryContext context, Size size, int flags)
{
	static int	calls = 0;

	if (access("$no_memory", F_OK) != 0)
		return MemoryContextAllocExtended(context, size, flags);
	if (access("$first_is_there", F_OK) == 0 && calls++ % 2 == 0)
		return MemoryContextAllocExtended(context, size, flags);
	if ((flags & MCXT_ALLOC_NO_OOM) == 0)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	return NULL;
}
#define MemoryContextAllocExtended alloc_if_allowed
END

# 2,000 keys: the table of a session grows several times.  The last part fills a cache with all 8,000.
$node->safe_psql('postgres', q{
    CREATE EXTENSION key_vault;
    SELECT key_vault.kek_create('net');
    CREATE TABLE device AS SELECT n, key_vault.generate_key('net') AS key FROM generate_series(1, 8000) n;
    CREATE TABLE uplink AS
    SELECT n, int4send(n) AS payload, key_vault.lorawan_encrypt_uplink(key, '\x26011bda', n, int4send(n)) AS frm_payload FROM device;
});
use_library($node, 'postgres', $library);

my $session;

# How many payloads of the first devices come out right, or the error
sub right
{
    my ($devices) = @_;
    $session->{stderr} = '';
    my $right = $session->query(qq{
        SELECT count(*) FROM uplink JOIN device USING (n)
         WHERE n <= $devices AND key_vault.lorawan_decrypt_uplink(key, '\\x26011bda', n, frm_payload) = payload});
    return $session->{stderr} eq '' ? $right : $session->{stderr};
}

sub stats
{
    my ($columns) = @_;
    return $session->query("SELECT $columns FROM key_vault.cache_stats()");
}

sub set_memory
{
    my ($is_there) = @_;
    if ($is_there) { unlink $no_memory or die "$no_memory: $!" }
    else           { open my $file, '>', $no_memory or die "$no_memory: $!" }
}

foreach my $which ('the first', 'the second')
{
    note("$which of two allocations fails");
    if ($which eq 'the second') { open my $file, '>', $first_is_there or die "$first_is_there: $!" }
    $session = $node->background_psql('postgres', on_error_stop => 0);
    $session->query(q{SET client_min_messages = error; LOAD '} . $library . q{'; SET key_vault.cache = on; SET key_vault.cache_size = '16MB'; SET key_vault.cache_max_age = 0});

    set_memory(0);
    is(right(100),        100, 'without memory for a table: each key is right');
    is(stats('entries'),  0,   'and none is in the cache');
    set_memory(1);
    is(right(100),        100, 'with memory: right');
    is(stats('entries'),  100, 'and all are in the cache');

    set_memory(0);
    is(right(2000), 2000, 'without memory to grow: each key is right');
    my $entries = stats('entries');
    cmp_ok($entries, '>=', 100,  'what was in the cache has stayed');
    cmp_ok($entries, '<',  2000, 'what has no room is not in the cache');
    is(right(2000), 2000, 'and again: right');
    is(stats('entries'), $entries, 'with the same keys in the cache');
    $session->query('SELECT key_vault.cache_stats_reset()');
    is(right(100), 100, 'the first ones again');
    is(stats('hits'), 100, 'are found');

    set_memory(1);
    is(right(2000), 2000, 'with memory again: right');
    is(stats('entries'), 2000, 'and all are in the cache');
    $session->query('SELECT key_vault.cache_stats_reset()');
    is(right(2000), 2000, 'once more: right');
    is(stats('hits || $$ $$ || misses'), '2000 0', 'all from the cache');
    $session->query('SELECT key_vault.cache_flush()');
    is(stats('entries || $$ $$ || bytes'), '0 0', 'after cache_flush() nothing is left');
    is(right(2000), 2000, 'and it fills again');
    $session->quit;
}

note('no memory for the ghosts of keys that are not inserted');
unlink $first_is_there;
$session = $node->background_psql('postgres', on_error_stop => 0);
$session->query(q{SET client_min_messages = error; LOAD '} . $library . q{'; SET key_vault.cache = on; SET key_vault.cache_size = '1MB'; SET key_vault.cache_max_age = 0});
is(right(8000), 8000, 'a cache that has room for nearly all: each key is right');
set_memory(0);
$session->query(q{SET key_vault.cache_size = '720kB'});
is(right(8000), 8000, 'a full cache without memory for ghosts: right');
cmp_ok(stats('entries'), '>', 4096, 'it is full');
is(right(8000), 8000, 'and again: right');
set_memory(1);
is(right(8000), 8000, 'with memory again: right');
is(right(8000), 8000, 'and once more');
$session->quit;

done_testing();
