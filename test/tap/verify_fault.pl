# If the cache has a fault, key_vault.cache = verify raises an error where there would be wrong bytes.
#
# The faults are built into copies of the library, and each copy is used by one database.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use ChangedLibrary;
use PostgreSQL::Test::Utils qw(slurp_file);
use Test::More;

# The name of each fault, and its changes in key_cache.c
my %faults = (
    # The last bit of the key in an entry is changed after the entry has been found.
    flipped => [
        [   qr/^\t\tentry->uses\+\+;$/m,
            sub { "\t\tkey_cache_unwrapped(entry)[entry->key_size + (entry->is_bound ? KEY_CONTEXT_SIZE : 0) - 1] ^= entry->uses++ == 1;" } ]
    ],

    # Entries are found without comparing the wrapped key, and all have the same hash value, so that different
    # keys meet.
    # The table's header is put in place of its #include: then one file is compiled, not all.
    mixed => [
        [ qr/^#include "cache_table.h"$/m, sub { slurp_file("$FindBin::Bin/../../src/vault/cache_table.h") } ],
        [   qr/^(static inline bool\nbucket_matches.*\n\{)$/m,
            sub { "$1\n\tif (sought == NULL)\n\t\treturn entry->wrapped_size == wrapped_key->wrapped_size;" } ],
        [ qr/^\treturn \(uint32\) word;$/m, sub { "\treturn 0;" } ]
    ],

    # The DevAddr of a bound key is changed in the same way.
    strayed => [
        [   qr/^\t\tentry->uses\+\+;$/m,
            sub { "\t\tkey_cache_unwrapped(entry)[KEY_CONTEXT_SIZE - 1] ^= entry->is_bound && entry->uses++ == 1;" } ]
    ]);

my $node = new_node('verify');
$node->init;
$node->configure_vault;
$node->append_conf('postgresql.conf', "log_statement = none\n");
$node->start;

if (my $why = why_source_does_not_build("$FindBin::Bin/../.."))
{
    plan skip_all => $why;
}

# Keys of devices under two labels, the bound ones last, and payloads encrypted with them
$node->safe_psql('postgres', 'CREATE DATABASE sound');
$node->safe_psql('sound', q{
    CREATE EXTENSION key_vault;
    SELECT key_vault.kek_create(label) FROM unnest(ARRAY['net', 'app']) label;
    CREATE TABLE device AS
    SELECT n, label, '\x26011bda'::bytea AS dev_addr, key_vault.generate_key(label) AS key
      FROM (VALUES (1, 'net'), (2, 'net'), (3, 'app'), (4, 'app')) AS v (n, label);
    INSERT INTO device SELECT n + 4, label, dev_addr, key_vault.bind(key, dev_addr) FROM device WHERE n <= 2;
    CREATE TABLE uplink AS
    SELECT n, f_cnt, key_vault.lorawan_encrypt_uplink(key, dev_addr, f_cnt, '\x0102030405060708') AS frm_payload
      FROM device, generate_series(1, 20) f_cnt;
});

# How many payloads of some devices come out right, wrong and not at all, as "right/wrong/null", or the error.
# Each row is a look-up.
sub outcome
{
    my ($session, $devices, $function) = @_;
    $function //= 'lorawan_decrypt_uplink';
    $session->{stderr} = '';
    my $rows = $session->query(qq{
        SELECT concat_ws('/', count(*) FILTER (WHERE payload = '\\x0102030405060708'),
                              count(*) FILTER (WHERE payload <> '\\x0102030405060708'),
                              count(*) FILTER (WHERE payload IS NULL))
          FROM (SELECT key_vault.$function(key, dev_addr, f_cnt, frm_payload) AS payload
                  FROM uplink JOIN device USING (n) WHERE n IN ($devices) ORDER BY n, f_cnt OFFSET 0) s});
    (my $error = $session->{stderr}) =~ s/^psql:\S+ //;
    $session->{stderr} = '';
    return $error eq '' ? $rows : $error;
}

sub start_session
{
    my ($database, $mode) = @_;
    my $session = $node->background_psql($database, on_error_stop => 0, extra_params => [ '-v', 'VERBOSITY=verbose' ]);
    $session->query("SET key_vault.cache = $mode");
    return $session;
}

# The library without a fault

foreach my $mode (qw(off on verify))
{
    my $session = start_session('sound', $mode);
    is(outcome($session, '1, 2, 3, 4, 5, 6'), '120/0/0', "no fault, cache = $mode: all right");
    is($session->query('SELECT verifications, mismatches FROM key_vault.cache_stats()'),
        $mode eq 'verify' ? '114|0' : '0|0', "no fault, cache = $mode: what was verified");
    $session->quit;
}

# Each fault: its name, the devices whose payloads are read, and the result with the cache on.
my $n_log = 0;
my %database;
foreach (
    [ flipped => '1',    '1/19/0' ],
    [ flipped => '3',    '1/19/0' ],
    [ flipped => '5',    '1/19/0' ],
    [ mixed   => '1, 2', '20/20/0' ],
    [ mixed   => '1, 3', '20/20/0' ],
    [ strayed => '5',    qr/^ERROR:  KV005:/ ])
{
    my ($fault, $devices, $with_cache) = @$_;
    my $what = "fault $fault, devices $devices";
    my $database = "database_$fault";

    if (!$database{$database}++)
    {
        my $library = build_changed($fault, 'src/vault/key_cache.c', @{ $faults{$fault} });

        $node->safe_psql('postgres', "CREATE DATABASE $database TEMPLATE sound");
        use_library($node, $database, $library);
    }

    my $off = start_session($database, 'off');
    my $all = $devices =~ /,/ ? '40/0/0' : '20/0/0';
    is(outcome($off, $devices), $all, "$what: right with the cache off");
    $off->quit;

    my $on  = start_session($database, 'on');
    my $got = outcome($on, $devices);
    ref $with_cache
      ? like($got, $with_cache, "$what: an error with the cache on")
      : is($got, $with_cache, "$what: wrong bytes with the cache on, so the fault is at work");
    $on->quit;

    my $verify = start_session($database, 'verify');
    my $label  = $devices eq '3' ? 'app' : 'net';
    $got = outcome($verify, $devices);
    like($got, qr/^ERROR:  KV201: key cache does not agree with the wrapped key$/m, "$what: an error with cache = verify");
    like($got, qr/^DETAIL:  .*KEK label "$label" version 1\./m, "$what: it names the KEK");
    is($verify->query('SELECT mismatches, entries FROM key_vault.cache_stats()'), '1|0',
        "$what: it is counted, and the cache emptied");
    $n_log++;
    my $logged = () = slurp_file($node->logfile) =~ /LOG:  key_vault: the key cache held a wrong key for KEK label "\w+" version 1$/mg;
    is($logged, $n_log, "$what: it is logged");

    like(outcome($verify, $devices, 'lorawan_try_decrypt_uplink'), qr/^ERROR:  KV201:/m,
        "$what: an error of lorawan_try_decrypt_uplink too");
    is($verify->query('SELECT mismatches FROM key_vault.cache_stats()'), 2, "$what: it is counted again");
    $n_log++;

    $verify->query('SET key_vault.cache_verify_rate = 0');
    $got = outcome($verify, $devices);
    ref $with_cache
      ? like($got, $with_cache, "$what: with a rate of 0 nothing is verified")
      : is($got, $with_cache, "$what: with a rate of 0 nothing is verified");
    $verify->query('SELECT key_vault.cache_flush()');

    # At least 19 hits, of which each is verified with a probability of one half: the chance that none is
    # verified is 2^-19.
    $verify->query('SET key_vault.cache_verify_rate = 0.5');
    like(outcome($verify, $devices), ref $with_cache ? qr/^ERROR:  KV(201|005):/ : qr/^ERROR:  KV201:/,
        "$what: with a rate of 0.5 it is found");
    $n_log = () = slurp_file($node->logfile) =~ /LOG:  key_vault: the key cache held/g;

    $verify->query('SET key_vault.cache = off');
    is(outcome($verify, $devices), $all, "$what: right again with the cache off");
    $verify->quit;
}

done_testing();
