# Which keys a backend's memory holds.  While keys are in use they are in the vault's memory, which is locked
# and kept out of core dumps.  Once their use has ended, in whatever way, neither that memory nor OpenSSL's has
# them.
#
# The backend that the test searches never gets a key in the clear: its keys come in key envelopes.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use KeyVaultSecrets;
use Test::More;
use Time::HiRes qw(usleep);

adopt_servers();
my $node = new_node('memory');
$node->init;
$node->configure_vault;
$node->append_conf('postgresql.conf', "shared_buffers = '1MB'\n");
$node->start;

my %key = map { $_ => random_bytes(16) } qw(first second bound);
my %kek = map { $_ => random_bytes(32) } qw(net transport);

# Of long keys the first half, since a key schedule for decryption has no more of a key in its original form.
my %needles = (
    %key,
    'KEK net'       => substr($kek{net}, 0, 16),
    'root key'      => substr(root_key_bytes(), 0, 16),
    'root key text' => unpack('H*', root_key_bytes()),
);

# With track_activities on, shared memory would hold the text of these statements.
{
    local $ENV{PGOPTIONS} = '-c track_activities=off';
    $node->safe_psql('postgres', join ";\n", 'CREATE EXTENSION key_vault',
        'CREATE TABLE envelope (name text, envelope key_vault.key_envelope)',
        'CREATE TABLE device (name text, key key_vault.wrapped_key)',
        q{SELECT key_vault.kek_create('app')},
        (map { "SELECT key_vault.kek_import('$_', " . hex_literal($kek{$_}) . ')' } sort keys %kek),
        map { "INSERT INTO envelope SELECT '$_', key_vault.export_envelope(key_vault.wrap("
              . hex_literal($key{$_}) . ", 'net'), 'transport')" } sort keys %key);
}
$node->restart;

my $session = open_session($node);
my $pid     = look($session, 'SELECT pg_backend_pid()');
if (my $why = why_memory_is_closed($pid))
{
    $session->quit;
    plan skip_all => $why;
}

# In which kinds of memory a key is, for example "heap 1, vault 2".  A key in any other kind is only reported,
# since that is not the vault's doing.
sub where
{
    my ($name) = @_;
    my $found = find_in_memory($pid, $name => $needles{$name})->{$name};

    foreach my $kind (grep { !/heap|stack|vault/ } sort keys %$found)
    {
        diag(sprintf '%s found in memory of kind %s: address %x in %s', $name, $kind,
            $_->[0], $_->[1]{name} || 'an anonymous mapping')
          foreach @{ $found->{$kind} };
    }
    return join(', ', map { "$_ " . @{ $found->{$_} } } grep { /heap|stack|vault/ } sort keys %$found) || 'nowhere';
}

sub decrypt
{
    my ($name) = @_;
    return q{SELECT key_vault.lorawan_decrypt_uplink(key, '\x26011bda', 1, '\x0102') }
      . "FROM device WHERE name = '$name'";
}

# The same, but waits until the key is nowhere.  While it waits, the session looks up another key.
sub where_at_last
{
    my ($name) = @_;
    my $place;
    foreach (1 .. 200)
    {
        look($session, decrypt('other'));
        last if ($place = where($name)) eq 'nowhere';
        usleep(50_000);
    }
    return $place;
}

sub use_keys
{
    my ($times, @names) = @_;
    foreach my $name (@names)
    {
        look($session, decrypt($name)) foreach 1 .. $times;
    }
}

# Whether a key schedule begins with the key, so that the key can be found in it.  It does if the processor has
# instructions for AES.
my $visible = grep { /^flags\s*:.*\baes\b/ } split /\n/, `cat /proc/cpuinfo`;
diag('key schedules cannot be recognized on this machine: OpenSSL\'s memory is not looked at') if !$visible;
my $cached        = $visible ? 'heap 1, vault 1' : 'vault 1';
my $only_schedule = $visible ? 'heap 1'          : 'nowhere';

look($session, q{
    INSERT INTO device
    SELECT name, key_vault.import_envelope((envelope).kek_label, (envelope).encrypted_key, 'net',
                                           CASE name WHEN 'bound' THEN '\x26011bda'::bytea END)
      FROM envelope
     UNION ALL SELECT 'other', key_vault.generate_key('app')});
is(where($_), 'nowhere', "$_ key after its import") foreach sort keys %key;

# While keys are in use

use_keys(1, 'second');
is(where('second'), 'vault 1', 'a key used once is in the vault');
use_keys(3, 'first', 'bound');
is(where('first'), $cached,    'a key used again is in the vault, with a key schedule');
is(where('bound'), $cached,    'so is a bound key');
like(where('KEK net'), qr/vault 1$/, 'an open KEK is in the vault');
is(where('root key'),      'vault 1', 'the root key is in the vault');
is(where('root key text'), 'nowhere', 'the line that the root key was read from');

my @vault = grep { $_->{kind} eq 'vault' } memory_regions($pid);
cmp_ok(scalar @vault, '>', 0, 'the vault has mappings');
like($_->{flags}, qr/\blo\b/, 'a mapping of the vault is locked') foreach @vault;
my $found = find_in_memory($pid, first => $key{first})->{first}{vault}[0][1]{flags};
like($found, qr/\blo\b.*\bdd\b/, 'where the key is, it is locked and kept out of core dumps');

SKIP:
{
    my $core = "$ENV{TESTDIR}/core";
    skip 'there is no gcore', 3 if !grep { -x "$_/gcore" } split /:/, $ENV{PATH};
    system("gcore -o $core $pid > gcore.log 2>&1") == 0 or die "gcore failed\n";
    my %dumped;
    open my $file, '<:raw', "$core.$pid" or die "$core.$pid: $!";
    my $bytes = do { local $/; <$file> };
    close $file;
    unlink "$core.$pid";
    $dumped{$_} = index($bytes, $needles{$_}) >= 0 foreach keys %needles;
    ok(!$dumped{'root key'}, 'the root key is not in a core dump');
    ok(!$dumped{second},     'a key without a schedule of its own is not in a core dump');

    # The key is found in OpenSSL's memory, which shows that the test can read that.
    skip 'key schedules cannot be recognized', 1 if !$visible;
    ok($dumped{first}, 'the key schedule of a key in use is in a core dump');
}

# Whatever ends the use of a key

look($session, 'SET key_vault.cache_size = 0');
use_keys(3, 'second');
is(where('first'),  'nowhere', 'a key after its eviction');
is(where('bound'),  'nowhere', 'a bound key after its eviction');
is(where('second'), $cached,   'the key that came in its place');
look($session, 'RESET key_vault.cache_size');

use_keys(3, 'first', 'second', 'bound', 'other');
look($session, 'SET key_vault.cache_size = 0');
is(join(' ', map { where($_) } sort keys %key), 'nowhere nowhere nowhere', 'keys after SET cache_size = 0');
look($session, 'RESET key_vault.cache_size');

use_keys(3, 'first');
look($session, 'SELECT key_vault.cache_flush()');
is(where('first'), 'nowhere', 'a key after cache_flush()');

use_keys(3, 'first');
look($session, 'SET key_vault.cache = off');
is(where('first'), 'nowhere', 'a key after SET cache = off');
look($session, 'RESET key_vault.cache');

use_keys(3, 'first');
look($session, 'BEGIN');
look($session, 'SET LOCAL key_vault.cache = off');
look($session, 'ROLLBACK');
is(where('first'), 'nowhere', 'a key after SET LOCAL cache = off was rolled back');

use_keys(3, 'first', 'other');
is(where('first'), $cached, 'a key before its KEK is suspended');
$node->safe_psql('postgres', q{SET client_min_messages = error; SELECT key_vault.kek_suspend('net', 1)});
look($session, decrypt('other'));
is(where('first'),   'nowhere', 'a key after its KEK was suspended, and one look-up');
is(where('KEK net'), 'nowhere', 'the suspended KEK');
$node->safe_psql('postgres', q{SELECT key_vault.kek_resume('net', 1)});

look($session, 'SET key_vault.cache_max_age = 1');
use_keys(3, 'first');
is(where('first'), $cached, 'a key before cache_max_age');
is(where_at_last('first'), 'nowhere', 'a key that is not asked for after cache_max_age');

# After an error PostgreSQL has stopped all timeouts.
use_keys(3, 'first');
is(look($session, 'SELECT 1 / 0'), 'ERROR:  division by zero', 'an error within cache_max_age');
is(where_at_last('first'), 'nowhere', 'a key that is not asked for after an error and cache_max_age');
look($session, 'RESET key_vault.cache_max_age');

look($session, 'SELECT key_vault.cache_flush()');
look($session, 'SET key_vault.cache_max_uses = 2');
use_keys(3, 'first');
is(where('first'), 'vault 1', 'a key after cache_max_uses, unwrapped anew: once, without its schedule');
look($session, 'RESET key_vault.cache_max_uses');

look($session, 'SET key_vault.cache = verify');
look($session, 'SELECT key_vault.cache_flush()');
use_keys(3, 'first');
is(where('first'), $cached, 'a key with cache = verify: once');
look($session, 'SELECT key_vault.cache_flush()');
is(where('first'), 'nowhere', 'a key with cache = verify after cache_flush()');

# With the cache off

look($session, 'SET key_vault.cache = off');
look($session, 'BEGIN');
use_keys(3, 'first');
is(where('first'), $only_schedule, 'cache off, within a transaction: a key schedule at most');
look($session, 'COMMIT');
is(where('first'), 'nowhere', 'cache off: after COMMIT');

look($session, 'BEGIN');
use_keys(3, 'first');
look($session, 'ROLLBACK');
is(where('first'), 'nowhere', 'cache off: after ROLLBACK');

look($session, 'BEGIN');
foreach my $call (q{rewrap(key)}, q{rewrap(key, 'app')}, q{bind(key, '\x26011bda')},
    q{key_check_value(key)}, q{export_envelope(key, 'transport')}, q{bound_dev_addr(key)},
    q{import_envelope('transport', (envelope).encrypted_key, 'app')},
    q{try_envelope_key('transport', (envelope).encrypted_key)},
    q{import_envelope('transport', (envelope).encrypted_key, 'app', '\x26011bda')})
{
    my $result = look($session, "SELECT key_vault.$call FROM device JOIN envelope USING (name) ORDER BY name");
    unlike($result, qr/ERROR/, $call);
    is(where($_), 'nowhere', "cache off, within the transaction: $_ key after $call") foreach sort keys %key;
}
look($session, q{
    SELECT key_vault.key_status(key, '\x26011bda'), key_vault.key_status(key, '\x00000000'),
           key_vault.lorawan_try_decrypt_uplink(key, '\x00000000', 1, '\x0102')
      FROM device});
look($session, 'COMMIT');
is(where($_), 'nowhere', "cache off: $_ key after key_status() and a wrong DevAddr") foreach 'first', 'bound';
look($session, 'RESET key_vault.cache');

# Derived keys: the openssl program computes what they must be.

sub aes
{
    my ($key, $block) = @_;
    my $path = "$ENV{TESTDIR}/block";
    open my $file, '>:raw', $path or die "$path: $!";
    print $file pack('a16', $block);
    close $file;
    my $hex = `openssl enc -aes-128-ecb -nopad -K @{[unpack 'H*', $key]} -in $path | od -An -v -tx1`;
    $hex =~ s/\s//g;
    return pack 'H*', $hex;
}

look($session, 'SET key_vault.cache = off');
look($session, 'BEGIN');
foreach (
    [ q{lorawan_derive_mc_root_key_1_1(key, 'app')}, "\x20" ],
    [ q{lorawan_derive_js_int_key(key, '\x0000000000000007', 'net')}, "\x06\x07" ],
    [ q{lorawan_derive_mc_app_s_key(key, '\x26011bda', 'app')}, "\x01\xda\x1b\x01\x26" ],
    [ q{lorawan_derive_mc_key(key, '\x000102030405060708090a0b0c0d0e0f', 'app')}, pack 'C*', 0 .. 15 ])
{
    my ($call, $block) = @$_;
    $needles{$call} = aes($key{first}, $block);
    is($node->safe_psql('postgres', "SELECT encode(key_vault.unwrap(key_vault.$call), 'hex') FROM device WHERE name = 'first'"),
        unpack('H*', $needles{$call}), "$call in another session");
    like(look($session, "SELECT key_vault.$call FROM device WHERE name = 'first'"), qr/^kv1:/, $call);
    is(where($call),   'nowhere', "within the transaction: the key of $call");
    is(where('first'), 'nowhere', "within the transaction: the key that it is derived from");
}
look($session, 'COMMIT');

# A join-accept of zeros opens to the AES encryption of zeros.  JSIntKey is the AES encryption of a block that
# begins with 06.
$needles{opened}   = aes($key{first}, '');
$needles{JSIntKey} = aes($key{first}, "\x06");
foreach (q{lorawan_join_1_0(key, }, q{lorawan_join_1_1(key, key, })
{
    look($session, 'BEGIN');
    like(look($session, "SELECT key_vault.$_ decode(repeat('00', 23), 'hex'), decode('20' || repeat('00', 16), 'hex'), 'app') FROM device WHERE name = 'first'"),
        qr/join-accept does not fit/, "${_}...) of frames that do not fit");
    is(where($_), 'nowhere', "before ROLLBACK: $_") foreach qw(opened JSIntKey first);
    look($session, 'ROLLBACK');
}
look($session, 'RESET key_vault.cache');

look($session, 'BEGIN');
is(look($session, q{SELECT key_vault.kek_import_wrapped('imported', (envelope).encrypted_key, 'transport') FROM envelope WHERE name = 'first'}),
    1, 'a KEK imported');
is(where('first'), 'nowhere', 'a KEK after its import, within the transaction');
look($session, 'ROLLBACK');

# Errors

like(look($session, q{SELECT key_vault.rewrap(key, 'nosuch') FROM device WHERE name = 'first'}),
    qr/"nosuch" does not exist/, 'an error while a key is lent');
is(where('first'), 'nowhere', 'a lent key after an error');

foreach my $error_in ('SAVEPOINT s', 'a block')
{
    look($session, 'BEGIN');
    if ($error_in eq 'a block')
    {
        is(look($session, q{DO $$ BEGIN PERFORM key_vault.rewrap(key, 'nosuch') FROM device WHERE name = 'first';
                                   EXCEPTION WHEN OTHERS THEN NULL; END $$}), '', 'an error in a block');
    }
    else
    {
        look($session, $error_in);
        like(look($session, q{SELECT key_vault.rewrap(key, 'nosuch') FROM device WHERE name = 'first'}),
            qr/"nosuch" does not exist/, "an error after $error_in");
    }
    is(where('first'), 'nowhere', "a lent key after an error in a subtransaction, $error_in");
    look($session, 'ROLLBACK');
}

look($session, 'SET key_vault.cache = off');
look($session, 'BEGIN');
(my $failing = decrypt('first')) =~ s/SELECT (.*) FROM/SELECT 1 \/ (length($1) - 2) FROM/;
like(look($session, $failing), qr/division by zero/, 'an error after a decryption');
is(where('first'), 'nowhere', 'cache off: after an error, before ROLLBACK');
look($session, 'ROLLBACK');

(my $sleeping = decrypt('first')) =~ s/ FROM/, pg_sleep(1000) FROM/;
$session->query_until(qr/started/, "\\echo started\n$sleeping;\n");
$node->poll_query_until('postgres', "SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = $pid")
  or die 'it does not sleep';
is(where('first'), $only_schedule, 'cache off, within a statement: a key schedule at most');
$node->safe_psql('postgres', "SELECT pg_cancel_backend($pid)");
$session->query('');
like($session->{stderr}, qr/canceling statement/, 'a statement cancelled');
is(where('first'), 'nowhere', 'cache off: after it was cancelled');
look($session, 'RESET key_vault.cache');

# The root key

use_keys(1, 'first');
is(where('root key'), 'vault 1', 'the root key before the setting changes');
my $setting = $node->safe_psql('postgres', 'SHOW key_vault.root_key');
$node->append_conf('postgresql.conf', "key_vault.root_key = '$setting,file:/nonexistent'\n");
$node->reload;
foreach (1 .. 200)
{
    last if look($session, 'SHOW key_vault.root_key') =~ /nonexistent/;
    usleep(50_000);
}
is(where('root key'), 'nowhere', 'the root key after its setting changed');

$session->quit;
done_testing();
