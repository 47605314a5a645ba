# The first use of the library in a session, which it loads there or which the postmaster has preloaded: the
# answers are right, all settings are found, and the postmaster never holds a key.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use KeyVaultSecrets;
use Test::More;

adopt_servers();
my $node = new_node('first_use');
$node->init;
$node->configure_vault;
$node->append_conf('postgresql.conf', q{
    max_parallel_workers_per_gather = 2
    parallel_setup_cost = 0
    parallel_tuple_cost = 0
    restart_after_crash = on
});
$node->start;

my %key = (session => random_bytes(16), KEK => random_bytes(32), 'root key' => root_key_bytes());
{
    # With track_activities on, shared memory would hold the text of these statements.
    local $ENV{PGOPTIONS} = '-c track_activities=off';
    $node->safe_psql('postgres', join ";\n", 'CREATE EXTENSION key_vault',
        q{SELECT key_vault.kek_import('net', } . hex_literal($key{KEK}) . ')',
        'CREATE TABLE device AS SELECT key_vault.wrap(' . hex_literal($key{session}) . q{, 'net') AS key},
        q{CREATE TABLE uplink AS
          SELECT n, key, key_vault.lorawan_encrypt_uplink(key, '\x26011bda', n, int4send(n)) AS frm_payload
            FROM device, generate_series(1, 2000) n},
        'ALTER TABLE uplink SET (parallel_workers = 2)', 'CREATE ROLE analyst', 'GRANT SELECT ON uplink TO analyst',
        q{SELECT key_vault.kek_grant('net', 'analyst', 'decrypt')});
}

my $decrypt =
  q{SELECT count(*) FROM uplink WHERE key_vault.lorawan_decrypt_uplink(key, '\x26011bda', n, frm_payload) = int4send(n)};
my $named = q{SELECT string_agg(name || '=' || setting, ' ' ORDER BY name) FROM pg_settings
               WHERE name LIKE '%key\_vault%' AND name <> 'key_vault.root_key'};
my $by_default = 'key_vault.allow_drop=off key_vault.allow_hexadecimal_keys=off key_vault.cache=on '
  . 'key_vault.cache_max_age=600 key_vault.cache_max_uses=0 key_vault.cache_size=16384 key_vault.cache_verify_rate=1 '
  . 'key_vault.command_timeout=60 key_vault.reject_reason= key_vault.tokens=';

# PostgreSQL searches for a name in the order of the names, so it finds none that is in a wrong place.
my $lost = q{SELECT count(*) FROM pg_settings WHERE current_setting(name, true) IS NULL};

sub check_answers
{
    my ($how) = @_;

    is(look_anew($node, $decrypt), '2000', "$how: right answers");
    is(look_anew($node, 'SET ROLE analyst', $decrypt), '2000', "$how: and for another role");
    is(look_anew($node, 'SET enable_indexscan = off', 'SET max_parallel_workers_per_gather = 0', $decrypt), '2000',
        "$how: and without workers");
    is(look_anew($node, 'SET key_vault.cache = off', $decrypt), '2000', "$how: and without the cache");
    is(look_anew($node, "LOAD 'key_vault'", $named), $by_default, "$how: its settings");
    is(look_anew($node, "LOAD 'key_vault'", $lost), '0', "$how: every setting is found");
}

check_answers('loaded by the session');

# Settings that the session, the database and the role name before the library is loaded
$node->safe_psql('postgres', q{
    LOAD 'key_vault';
    ALTER DATABASE postgres SET key_vault.cache_size = '1MB';
    CREATE ROLE named LOGIN SUPERUSER;
    ALTER ROLE named SET KEY_VAULT.REJECT_REASON = 'test'});
{
    local $ENV{PGOPTIONS} = '-c key_vault.cache_max_uses=5 -c key_vaulu.other=1 -c key_vaul.other=1';
    my $session = $node->background_psql('postgres', on_error_stop => 0, extra_params => [ '-U', 'named' ]);

    look($session, "LOAD 'key_vault'");
    is(look($session, $lost), '0', 'after settings were named before: every setting is found');
    is(look($session, q{SELECT concat_ws(' ', current_setting('key_vault.cache_max_uses'), current_setting('Key_Vault.Cache_Size'),
                               current_setting('key_vault.reject_reason'), current_setting('key_vaul.other'), current_setting('key_vaulu.other'))}),
        '5 1MB test 1 1', 'after settings were named before: they have these values');
    is(look($session, 'SET key_vault.cache_max_age = 7; SHOW key_vault.cache_max_age'), '7s', 'and another can be set');
    like(look($session, 'SET key_vault.unknown = 7'), qr/ERROR:  invalid configuration parameter name "key_vault.unknown"/,
        'and an unknown one cannot');
    $session->quit;
}
$node->safe_psql('postgres', 'ALTER DATABASE postgres RESET key_vault.cache_size');

# Preloaded

$node->append_conf('postgresql.conf', "shared_preload_libraries = 'key_vault'\n");
$node->restart;
check_answers('preloaded');

my $session = open_session($node);
is(look($session, $decrypt), '2000', 'preloaded: right answers in a session');
crash_backend($node, look($session, 'SELECT pg_backend_pid()'));
check_answers('preloaded, after a crash');
$node->restart;
check_answers('preloaded, after a restart');

SKIP:
{
    my ($postmaster) = PostgreSQL::Test::Utils::slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/;
    my $why = why_memory_is_closed($postmaster);

    skip $why, 5 if $why;
    is(scalar(grep { $_->{kind} eq 'vault' } memory_regions($postmaster)), 0, 'the postmaster has no memory for keys');

    # Keys that others have used are not in it either, in no spelling.
    foreach my $name (sort keys %key)
    {
        my $found = find_in_memory($postmaster, $name => [ $key{$name}, unpack 'H*', $key{$name} ])->{$name};
        is(join(' ', sort keys %$found), '', "the postmaster does not hold the $name");
    }

    my $backend = open_session($node);
    look($backend, $decrypt);
    my $pid = look($backend, 'SELECT pg_backend_pid()');
    ok(exists find_in_memory($pid, root => $key{'root key'})->{root}{vault}, 'a backend does, so the search finds keys');
    $backend->quit;
}

done_testing();
