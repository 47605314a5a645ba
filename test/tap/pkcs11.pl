# Root keys and KEKs in a token, by SoftHSM.  Another implementation opens what the token seals and wraps.  The
# postmaster loads no module.  Every fault has an error of its own, and when it is mended the same session goes
# on.  lib/faulty_token.c adds the faults that SoftHSM does not have.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $softhsm = '/usr/lib/softhsm/libsofthsm2.so';
my $dir     = $ENV{TESTDIR};
my $pin     = 'canary-4711';
my %key     = (
    a => '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f',
    b => 'e0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff',
    known => '0f0e0d0c0b0a09080706050403020100f0e0d0c0b0a090807060504030201000');

sub write_file
{
    my ($name, $content, $mode) = @_;

    open my $file, '>:raw', "$dir/$name" or die "$dir/$name: $!";
    print $file $content;
    close $file or die "$dir/$name: $!";
    chmod $mode // 0600, "$dir/$name" or die "$dir/$name: $!";
    return "$dir/$name";
}

sub run_quietly
{
    my $output;
    IPC::Run::run([@_], '<', \undef, '>&', \$output) or die "@_: $output";
    return $output;
}

# Another implementation of the algorithms, to compare with
sub python
{
    my ($code) = @_;
    my ($output, $error);
    IPC::Run::run([ 'python3', '-c', <<"END" . $code ], '>', \$output, '2>', \$error) or return "error: $error";
from cryptography.hazmat.primitives import cmac
from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import aes_key_wrap, aes_key_unwrap
import struct, uuid
def kcv(key):
    c = cmac.CMAC(algorithms.AES(bytes.fromhex(key)))
    c.update(b'key_vault key check value')
    return c.finalize()[:5].hex()
END
    chomp $output;
    return $output;
}

# A token for this test, with two AES keys that are known
mkdir "$dir/tokens", 0700 or die $!;
$ENV{SOFTHSM2_CONF} = write_file('softhsm2.conf', "directories.tokendir = $dir/tokens\nobjectstore.backend = file\nlog.level = ERROR\n");
$ENV{FAULTY_TOKEN} = "$dir/fault";
run_quietly('softhsm2-util', '--init-token', '--free', '--label', 'vault', '--so-pin', '12345678', '--pin', $pin);
run_quietly('cc', '-Wall', '-shared', '-fPIC', '-I/usr/include/p11-kit-1', '-o', "$dir/faulty.so", "$FindBin::Bin/lib/faulty_token.c", '-ldl');
write_file('pin', "$pin\n");
write_file("$_.key", "$key{$_}\n") foreach qw(a b);

sub pkcs11_tool { return run_quietly('pkcs11-tool', '--module', $softhsm, '--token-label', 'vault', '--login', '--pin', $pin, @_) }

sub import_key
{
    my ($hex, $label, $id) = @_;
    write_file('import', pack('H*', $hex));
    pkcs11_tool('--write-object', "$dir/import", '--type', 'secrkey', '--key-type', 'AES:32', '--label', $label, '--id', $id, '--private', '--sensitive');
    unlink "$dir/import";
}
import_key($key{b}, 'root', '01');

# The ids of the keys in the token.  From OpenSC 0.27 on, the bytes have colons between them and no leading
# zeros.
sub ids
{
    my @ids = pkcs11_tool('--list-objects', '--type', 'secrkey') =~ /ID:\s+(\S+)/g;
    return sort map { join '', map { length > 1 ? $_ : "0$_" } split /:/ } @ids;
}

my $get_there = "module-path=$dir/faulty.so&pin-source=file:$dir/pin";
my $root      = "pkcs11:token=vault;object=root?$get_there";
my $tokens    = "pkcs11:token=vault?$get_there";

my $node = new_node('hsm');
$node->init(allows_streaming => 1);
$node->append_conf('postgresql.conf',
    "shared_preload_libraries = 'key_vault'\nmax_prepared_transactions = 2\nkey_vault.root_key = 'file:$dir/a.key'\nkey_vault.tokens = '$tokens'\n");
$node->start;
my $started = $node->safe_psql('postgres', 'SELECT pg_postmaster_start_time()');

# The rows of a statement or its SQLSTATE and message, in a session that stays open or in a new one.
my $warm;
sub begin_warm
{
    $warm->quit if $warm;
    $warm = open_session($node);
    $warm->query('\set VERBOSITY verbose');
}
sub in_warm { my ($sql) = @_; return tidy(look($warm, $sql)) }
sub anew
{
    my ($sql) = @_;
    $node->psql('postgres', "\\set VERBOSITY verbose\nSET client_min_messages = error;\n$sql", stdout => \my $rows, stderr => \my $error, on_error_die => 0);
    return tidy($error eq '' ? $rows : $error =~ /((?:ERROR|FATAL):  .*)/ ? $1 : $error);
}
sub tidy { my ($text) = @_; $text =~ s/^ERROR:  (\w{5}): /$1 /; return $text }

sub configure
{
    my ($name, $value) = @_;
    $node->adjust_conf('postgresql.conf', $name, "'$value'");
    $node->reload;
    $node->poll_query_until('postgres', "SELECT current_setting('$name') = \$\$$value\$\$") or die 'no reload';
    for (1 .. 1800)
    {
        last if look($warm, "SELECT current_setting('$name')") eq $value;
        select undef, undef, undef, 0.1;
    }
}

sub fault { my ($name) = @_; defined $name ? write_file('fault', "$name\n") : unlink "$dir/fault" }
sub count { my ($suffix) = @_; return -e "$dir/fault.$suffix" ? scalar(() = slurp_file("$dir/fault.$suffix") =~ /\n/g) : 0 }

begin_warm();

#
# Root keys
#
$node->safe_psql('postgres', q{CREATE EXTENSION key_vault; SELECT key_vault.kek_create('net'), key_vault.kek_create('small', 128)});
my $key = $node->safe_psql('postgres', q{SELECT key_vault.wrap('\x000102030405060708090a0b0c0d0e0f', 'net')});
my $decrypt = uplink($key);
my $ok      = 'net payload';
is(in_warm($decrypt), $ok, 'under a root key in a file');

configure('key_vault.root_key', "$root, file:$dir/a.key");
is(in_warm($decrypt), $ok, 'with a root key in the token as well');
is(in_warm('SELECT key_vault.root_key_rotate()'), 2, 'rotated from the file to the token');
is(in_warm(q{SELECT DISTINCT encode(root_key_id, 'hex') FROM key_vault.keks}), python("print(kcv('$key{b}'))"),
    'the id is the key check value of the key in the token');
configure('key_vault.root_key', $root);
is(anew($decrypt), $ok, 'opened by the token, in a new session');
is(in_warm($decrypt), $ok, 'and in a warm one');
is(in_warm(q{SELECT key_vault.kek_create('made')}), 1, 'a KEK is made under it');

my ($material, $kek_id) = split /\|/, $node->safe_psql('postgres', q{SELECT encode(sealed_material, 'hex'), kek_id FROM key_vault.kek WHERE label = 'net'});
my $wrapped = (split /:/, $key)[3];
is(python(<<"END"), '000102030405060708090a0b0c0d0e0f', 'another implementation of AES-GCM and AES-KW opens what the token sealed');
m = bytes.fromhex('$material')
aad = b'key_vault KEK material 2\\0' + uuid.UUID('$kek_id').bytes + struct.pack('>i', 1) + b'net'
kek = AESGCM(bytes.fromhex('$key{b}')).decrypt(m[1:13], m[13:], aad)
print(aes_key_unwrap(kek, bytes.fromhex('$wrapped')).hex())
END

# Damaged material and a failing token have different errors, though SoftHSM answers the same to both.
$node->safe_psql('postgres', q{
    SET session_replication_role = replica;
    UPDATE key_vault.kek SET sealed_material = set_byte(sealed_material, 20, 255 - get_byte(sealed_material, 20)) WHERE label = 'made'});
my $use_made = q{SELECT key_vault.generate_key('made') IS NOT NULL};
is(anew($use_made), 'KV108 sealed material of KEK label "made" version 1 is damaged', 'damaged material');
fault('broken');
is(anew($use_made), 'KV406 token "vault" failed', 'a token that fails');
is(anew($decrypt), 'KV406 token "vault" failed', 'and for a key that is sound');
is(anew(q{SELECT key_vault.kek_create('not made')}), 'KV406 token "vault" failed', 'it does not seal');
fault(undef);
is(anew($decrypt), $ok, 'mended');

# The PKCS#11 module is loaded in backends that use it, and never in the postmaster.
sub has_module { my ($pid) = @_; return slurp_file("/proc/$pid/maps") =~ /libsofthsm2/ ? 1 : 0 }
my ($postmaster) = slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/;
is(has_module(in_warm('SELECT pg_backend_pid()')), 1, 'the module is loaded in a backend that uses it');
is(has_module($postmaster), 0, 'and not in the postmaster');
my $unused = open_session($node);
is(has_module(look($unused, 'SELECT pg_backend_pid()')), 0, 'nor in a backend that does not');
$unused->quit;

# Each fault in the URI of a root key, and the way back
my %uri = (
    'no module'              => [ "pkcs11:token=vault;object=root?module-path=$dir/nowhere.so&pin-source=file:$dir/pin", qr/^KV402 could not load PKCS#11 module/ ],
    'a library of another kind' => [ "pkcs11:token=vault;object=root?module-path=libm.so.6&pin-source=file:$dir/pin", qr/^KV402 "libm.so.6" is not a PKCS#11 module/ ],
    'another token'          => [ "pkcs11:token=other;object=root?$get_there", qr/^KV403 token "other" is not there/ ],
    'another serial number'  => [ "pkcs11:token=vault;serial=1;object=root?$get_there", qr/^KV403 token "vault" is not there/ ],
    'another key'            => [ "pkcs11:token=vault;object=other?$get_there", qr/^KV405 key "other" is not in token "vault"/ ],
    'another id'             => [ "pkcs11:token=vault;object=root;id=%02?$get_there", qr/^KV405 key "root" is not in token "vault"/ ],
    'no key'                 => [ "pkcs11:token=vault?$get_there", qr/^KV401 PKCS#11 URI of a root key does not name a key/ ],
    'no PIN'                 => [ "pkcs11:token=vault;object=root?module-path=$dir/faulty.so", qr/^KV404 token "vault" asks for a PIN/ ],
    'no PIN file'            => [ "pkcs11:token=vault;object=root?module-path=$dir/faulty.so&pin-source=$dir/nowhere", qr/^KV404 could not read PIN file/ ],
    'a PIN file in the data directory' => [ "pkcs11:token=vault;object=root?module-path=$dir/faulty.so&pin-source=PG_VERSION", qr/^KV404 PIN file "PG_VERSION" is inside the data directory/ ],
    'a PIN command that fails' => [ "pkcs11:token=vault;object=root?module-path=$dir/faulty.so&pin-source=%7Cfalse", qr/^KV404 PIN command failed/ ],
    'an unknown attribute'   => [ "pkcs11:token=vault;object=root;colour=red?$get_there", qr/^KV401 PKCS#11 URI with attribute "colour" is not supported/ ],
    'an attribute twice'     => [ "pkcs11:token=vault;token=vault;object=root?$get_there", qr/^KV401 invalid PKCS#11 URI: attribute "token" is there twice/ ],
    'an attribute in the wrong place' => [ "pkcs11:token=vault;object=root;pin-source=file:$dir/pin", qr/^KV401 PKCS#11 URI with attribute "pin-source" is not supported/ ],
    'no percent-encoding'    => [ "pkcs11:token=vault;object=root%2?$get_there", qr/^KV401 invalid PKCS#11 URI: attribute "object" is not percent-encoded/ ],
    'no value'               => [ 'pkcs11:vault', qr/^KV401 invalid PKCS#11 URI/ ],
    'another type'           => [ "pkcs11:token=vault;object=root;type=private?$get_there", qr/^KV401 PKCS#11 URI with type "private" is not supported/ ]);
# A URI that is wrong in itself is refused when the setting is changed.
foreach my $what (sort keys %uri)
{
    my ($uri, $error) = @{ $uri{$what} };
    if ($error =~ /KV401/)
    {
        like(anew("ALTER SYSTEM SET key_vault.root_key = '$uri'"), $error, "$what: refused");
        next;
    }
    configure('key_vault.root_key', $uri);
    like(anew($decrypt), $error, "$what: an error of its own");
}
foreach ([ 'by its id', "pkcs11:token=vault;id=%01?$get_there" ], [ 'percent-encoded', "pkcs11:token=%76ault;object=r%6Fot;type=secret-key?$get_there" ],
    [ 'the PIN from a command', "pkcs11:token=vault;object=root?module-path=$softhsm&pin-source=|cat $dir/pin" ])
{
    configure('key_vault.root_key', $_->[1]);
    is(anew($decrypt), $ok, "named $_->[0]");
}
configure('key_vault.root_key', "pkcs11:token=other;object=root?$get_there, $root");
is(anew($decrypt), $ok, 'a token that is not there does not keep the next of the list from opening');
like(anew("ALTER SYSTEM SET key_vault.root_key = 'pkcs11:token=vault;object=root?pin-value=1234'"),
    qr/^KV401 PKCS#11 URI with a PIN in it is refused/, 'no PIN in a setting');
like(anew("ALTER SYSTEM SET key_vault.tokens = 'pkcs11:token=vault?pin-value=1234'"), qr/^KV401 .* is refused/, 'nor in the other');

# Back to a root key in a file
configure('key_vault.root_key', "file:$dir/a.key, $root");
$node->safe_psql('postgres', q{SET session_replication_role = replica; DELETE FROM key_vault.kek WHERE label = 'made'});
is(in_warm('SELECT key_vault.root_key_rotate()'), 2, 'rotated back to the file');
configure('key_vault.root_key', "file:$dir/a.key");
is(anew($decrypt), $ok, 'opened by the file');

#
# KEKs
#
begin_warm();
is(in_warm(q{SELECT key_vault.kek_create('hsm', provider => 'pkcs11:token=vault')}), 1, 'a KEK in the token');
is(in_warm(q{SELECT provider, root_key_id IS NULL FROM key_vault.keks WHERE label = 'hsm'}), 'pkcs11:token=vault|t', 'as the view says');
my $hsm_key = in_warm(q{SELECT key_vault.wrap('\x000102030405060708090a0b0c0d0e0f', 'hsm')});
my $bound   = in_warm("SELECT key_vault.bind('$hsm_key', '\\x26011bda')");
my $decrypt_hsm = uplink($hsm_key);
is(in_warm($decrypt_hsm), $ok, 'wraps and unwraps');
is(anew(uplink($bound)), $ok, 'a bound key');
is(anew("SELECT key_vault.unwrap('$hsm_key')"), '\x000102030405060708090a0b0c0d0e0f', 'the key itself');
is(anew(q{SELECT algorithm, count(*), count(DISTINCT key) FROM (SELECT key_vault.generate_key('hsm', n) AS key FROM generate_series(16, 4088, 8) n) g, key_vault.algorithm(key) GROUP BY 1}),
    'aes-kw|510|510', 'keys of all lengths that AES-KW has');
is(anew(q{SELECT count(*) FROM generate_series(16, 4088, 8) n, LATERAL (SELECT decode(repeat('c7', n), 'hex') AS plain) p
           WHERE key_vault.unwrap(key_vault.wrap(plain, 'hsm')) = plain}), 510, 'and they come out as they went in');
is(anew("SELECT key_vault.generate_key('hsm', $_)"), "KV006 a key of $_ " . ($_ == 1 ? 'byte' : 'bytes') . ' cannot be wrapped in a token', "not of $_ bytes") foreach (1, 8, 15, 17, 4095);

# A KEK whose bytes are known: the token must give the same results as another implementation.
my $known_id = '6b6e6f77-6e00-4000-8000-000000000001';
(my $known_hex = $known_id) =~ s/-//g;
import_key($key{known}, 'known', $known_hex);
my $known_kcv = python("print(kcv('$key{known}'))");
$node->safe_psql('postgres', qq{INSERT INTO key_vault.kek (kek_id, label, version, state, key_bits, provider, kcv)
    VALUES ('$known_id', 'known', 1, 'active', 256, 'pkcs11:token=vault', '\\x$known_kcv')});
foreach (16, 24, 32, 64, 4096)
{
    my $plain = join '', map { sprintf '%02x', $_ * 7 % 256 } 1 .. $_;
    is((split /:/, anew("SELECT key_vault.wrap('\\x$plain', 'known')"))[3], python("print(aes_key_wrap(bytes.fromhex('$key{known}'), bytes.fromhex('$plain')).hex())"),
        "$_ bytes wrapped as another implementation wraps them");
}
is((split /:/, anew(q{SELECT key_vault.bind(key_vault.wrap('\x000102030405060708090a0b0c0d0e0f', 'known'), '\x26011bda')}))[3],
    python("print(aes_key_wrap(bytes.fromhex('$key{known}'), bytes.fromhex('0100000026011bda000102030405060708090a0b0c0d0e0f')).hex())"), 'a bound key as well');

# The keys of a join are wrapped in one call: those in the token are the same as those under a KEK outside it.
is(anew(q{WITH device AS (SELECT key_vault.wrap('\x000102030405060708090a0b0c0d0e0f', 'net') AS root, key_vault.lorawan_build_join_request('\x0000000000000001', '\x0000000000000002', 7) AS request),
                frames AS (SELECT root, request || key_vault.lorawan_join_request_mic(root, request) AS request,
                                  key_vault.lorawan_encrypt_join_accept(root, key_vault.lorawan_build_join_accept(5, '\x000013', '\x26011bda')) AS accept FROM device)
          SELECT key_vault.unwrap(h.nwk_s_key) = key_vault.unwrap(l.nwk_s_key), key_vault.unwrap(h.app_s_key) = key_vault.unwrap(l.app_s_key),
                 key_vault.algorithm(h.nwk_s_key), key_vault.kek_label(h.app_s_key), key_vault.lorawan_derive_mc_ke_key(root, 'hsm') = key_vault.rewrap(key_vault.lorawan_derive_mc_ke_key(root, 'net'), 'hsm')
            FROM frames, key_vault.lorawan_join_1_0(root, request, accept, 'hsm') h, key_vault.lorawan_join_1_0(root, request, accept, 'net') l}),
    't|t|aes-kw-bound|hsm|t', 'the keys of a join, and a derived key');
my $envelope = python("print(aes_key_wrap(bytes.fromhex('$key{known}'), bytes.fromhex('000102030405060708090a0b0c0d0e0f')).hex())");
is(anew(uplink(anew("SELECT key_vault.import_envelope('known', '\\x$envelope', 'hsm')"))), $ok, 'an envelope, from one KEK in the token to another');
is(anew("SELECT encrypted_key FROM key_vault.export_envelope('$hsm_key', 'known')"), "\\x$envelope", 'and back');
is(anew("SELECT key_vault.kek_import_wrapped('imported', '\\x$envelope', 'known')"), 1, 'a KEK imported that comes wrapped with one in the token');
is(anew(q{SELECT encode(kcv, 'hex') FROM key_vault.keks WHERE label = 'imported'}), python("print(kcv('000102030405060708090a0b0c0d0e0f'))"), 'is the right one');
my $refused = '55000 KEK label "hsm" is in a token, and takes no KEK from outside';
is(anew(q{SELECT key_vault.kek_import('hsm', '\x000102030405060708090a0b0c0d0e0f')}), $refused, 'no KEK goes into the token from outside');
is(anew("SELECT key_vault.kek_import_wrapped('hsm', '\\x$envelope', 'known')"), $refused, 'nor wrapped');

# Damaged keys, in every mode of the cache and in a report
(my $damaged = $hsm_key) =~ s/(.)$/$1 eq '0' ? '1' : '0'/e;
my $try = "SELECT key_vault.lorawan_try_decrypt_uplink('%s', '\\x26011bda', 1, '\\xbc96d0bce3c0d2abfcfa1e') IS NULL";
(my $as_kwp = $hsm_key) =~ s/aes-kw:/aes-kwp:/;
foreach my $mode ('cache = on', 'cache = off', 'cache_size = 0', 'cache = verify')
{
    begin_warm();
    in_warm("SET key_vault.$mode");
    is(in_warm($decrypt_hsm), $ok, "$mode: first") ;
    is(in_warm($decrypt_hsm), $ok, "$mode: again");
    is(in_warm(uplink($bound)), $ok, "$mode: another key");
    is(in_warm($decrypt_hsm), $ok, "$mode: the first once more");
    is(in_warm(uplink($damaged)), 'KV004 wrapped key does not open with KEK label "hsm" version 1', "$mode: a damaged key");
    is(in_warm(uplink($as_kwp)), 'KV004 wrapped key does not open with KEK label "hsm" version 1', "$mode: an algorithm that the token does not do");
    is(in_warm(sprintf $try, $damaged), 't', "$mode: a damaged key is NULL where that is asked for");
    is(in_warm('SELECT mismatches FROM key_vault.cache_stats()'), 0, "$mode: nothing amiss");
    fault('broken');
    if ($mode eq 'cache = on')
    {
        is(in_warm($decrypt_hsm), $ok, "$mode: a key in the cache needs no token");
    }
    else
    {
        is(in_warm($decrypt_hsm), 'KV406 token "vault" failed', "$mode: a token that fails") if $mode ne 'cache_size = 0';
    }
    is(in_warm(sprintf $try, $damaged), 'KV406 token "vault" failed', "$mode: a token that fails is an error where a damaged key is NULL");
    fault(undef);
    is(in_warm($decrypt_hsm), $ok, "$mode: mended");
    fault('lost');
    my $sessions = count('sessions');
    is(in_warm(sprintf $try, $damaged), 't', "$mode: a session that was lost");
    is(in_warm($decrypt_hsm), $ok, "$mode: is opened again");
    is(count('sessions'), $sessions + 1, "$mode: once");
}

# The token is removed and comes back, while a session with its cache off uses it.
begin_warm();
in_warm('SET key_vault.cache = off');
is(in_warm($decrypt_hsm), $ok, 'the token is there');
fault('removed');
is(in_warm($decrypt_hsm), 'KV403 token "vault" is not there', 'it is taken away');
is(in_warm(sprintf $try, $hsm_key), 'KV403 token "vault" is not there', 'which is an error for lorawan_try_decrypt_uplink, too');
is(anew(q{SELECT key_vault.kek_create('nowhere', provider => 'pkcs11:token=vault')}), 'KV403 token "vault" is not there', 'no KEK is made');
is(in_warm($decrypt), $ok, 'KEKs that are not in it go on');
fault(undef);
is(in_warm($decrypt_hsm), $ok, 'it comes back');
rename "$dir/tokens", "$dir/elsewhere" or die $!;
mkdir "$dir/tokens" or die $!;
is(anew($decrypt_hsm), 'KV403 token "vault" is not there', "SoftHSM's own token is gone");
rmdir "$dir/tokens" and rename "$dir/elsewhere", "$dir/tokens" or die $!;
is(anew($decrypt_hsm), $ok, 'and back');

# PINs: a session tries a wrong PIN once, and not at all when that would lock the token.
write_file('pin', "wrong\n");
begin_warm();
my $logins = count('logins');
is(in_warm($decrypt_hsm), 'KV404 PIN of token "vault" is wrong', 'a wrong PIN') for 1 .. 3;
is(count('logins'), $logins + 1, 'is tried once');
fault('last_try');
is(anew($decrypt_hsm), 'KV404 PIN of token "vault" is not tried', 'and not at all when it would lock the token');
write_file('pin', "$pin\n");
is(anew($decrypt_hsm), 'KV404 PIN of token "vault" is not tried', 'whatever the PIN');
fault('locked');
is(anew($decrypt_hsm), 'KV404 PIN of token "vault" cannot be used', 'a token that is locked');
is(count('logins'), $logins + 1, 'none of them was tried');
fault(undef);
write_file('pin', "wrong 2\r\n");
is(in_warm($decrypt_hsm), 'KV404 PIN of token "vault" is wrong', 'another wrong PIN');
is(count('logins'), $logins + 2, 'is tried');
write_file('pin', "$pin\n", 0644);
is(in_warm($decrypt_hsm), "KV404 PIN file \"$dir/pin\" has group or world access", 'a PIN file that others may read');
write_file('pin', "$pin\n");
is(in_warm($decrypt_hsm), $ok, 'the right PIN, in the same session');
write_file('pin', '');
is(anew($decrypt_hsm), 'KV404 PIN of token "vault" is wrong', 'an empty PIN file');
write_file('pin', $pin);
is(anew($decrypt_hsm), $ok, 'no line end');

# Keys that are gone from the token, or replaced by others of the same name
begin_warm();
in_warm('SET key_vault.cache = off');
my $known_key = in_warm(q{SELECT key_vault.wrap('\x000102030405060708090a0b0c0d0e0f', 'known')});
pkcs11_tool('--delete-object', '--type', 'secrkey', '--id', $known_hex);
my $missing = "KV405 key with id $known_hex is not in token \"vault\"";
is(anew(uplink($known_key)), $missing, 'a key that is gone, in a new session');
is(in_warm(uplink($known_key)), $missing, 'and in one that had it');
import_key($key{a}, 'known', $known_hex);
is(in_warm(uplink($known_key)), "KV405 key with id $known_hex is another one in token \"vault\"", 'another key under its id');
import_key($key{known}, 'known', $known_hex);
is(anew(uplink($known_key)), "KV405 key with id $known_hex is more than once in token \"vault\"", 'both');
pkcs11_tool('--delete-object', '--type', 'secrkey', '--id', $known_hex) for 1 .. 2;
import_key($key{known}, 'known', $known_hex);
is(in_warm(uplink($known_key)), $ok, 'the key is back, in the same session');

# The provider of a KEK may name a token, and nothing that the server would run.
$node->safe_psql('postgres', q{CREATE ROLE administrator; SELECT key_vault.kek_grant('mine', 'administrator', 'admin')});
my $not_only_token = 'KV401 provider of a KEK must name a token, and nothing else';
is(anew("SET ROLE administrator; SELECT key_vault.kek_create('mine', provider => '$_->[0]')"), $_->[1], "provider $_->[0]")
  foreach ([ "pkcs11:token=vault?module-path=$dir/faulty.so", $not_only_token ], [ "pkcs11:token=vault?pin-source=|id", $not_only_token ],
    [ 'pkcs11:token=vault;object=root', $not_only_token ], [ 'pkcs11:', $not_only_token ], [ 'pkcs11:manufacturer=SoftHSM', $not_only_token ],
    [ 'pkcs11:token=other', 'KV401 setting "key_vault.tokens" has no entry for "pkcs11:token=other"' ],
    [ 'pkcs11:token=vault;serial=1', 'KV401 setting "key_vault.tokens" has no entry for "pkcs11:token=vault;serial=1"' ],
    [ 'file:/x', 'KV401 the provider of a KEK is not a PKCS#11 URI' ], [ '', 'KV401 the provider of a KEK is not a PKCS#11 URI' ],
    [ 'pkcs11:token=vault?pin-value=1', 'KV401 PKCS#11 URI with a PIN in it is refused' ],
    [ 'pkcs11:token=vault', '1' ]);
configure('key_vault.tokens', '');
is(anew($decrypt_hsm), 'KV401 setting "key_vault.tokens" has no entry for "pkcs11:token=vault"', 'no tokens in the setting');
is(in_warm($decrypt_hsm), 'KV401 setting "key_vault.tokens" has no entry for "pkcs11:token=vault"', 'a warm session hears of it');
configure('key_vault.tokens', "pkcs11:token=other?$get_there, $tokens");
is(in_warm($decrypt_hsm), $ok, 'the second of a list');

# Rotation, destruction, and transactions that do not commit.
is(in_warm(q{SELECT key_vault.kek_rotate('hsm')}), 2, 'rotated, in the token');
is(in_warm(q{SELECT provider FROM key_vault.keks WHERE label = 'hsm' AND version = 2}), 'pkcs11:token=vault', 'as the view says');
is(in_warm($decrypt_hsm), $ok, 'version 1 unwraps');
my $rewrapped = in_warm("SELECT key_vault.rewrap('$bound')");
is(in_warm("SELECT key_vault.kek_version('$rewrapped')"), 2, 'rewrapped');
is(anew(uplink($rewrapped)), $ok, 'and opens');
sub kek_ids { return join ' ', sort(split(/\s+/, $node->safe_psql('postgres', q{SELECT replace(kek_id::text, '-', '') FROM key_vault.keks WHERE provider <> 'local' AND state <> 'destroyed'})), '01') }
sub token_ids { return join ' ', ids() }
is(token_ids(), kek_ids(), 'the keys in the token are the KEKs');
my @before = ids();
in_warm(q{BEGIN; SELECT key_vault.kek_create('undone', provider => 'pkcs11:token=vault'); SELECT key_vault.kek_rotate('hsm')});
my @during = ids();
is(@during, @before + 2, 'made in a transaction');
in_warm('ROLLBACK');
is(token_ids(), kek_ids(), 'which is rolled back: they are gone from the token');
in_warm(q{BEGIN; SAVEPOINT a; SELECT key_vault.kek_create('undone', provider => 'pkcs11:token=vault'); ROLLBACK TO a;
    SAVEPOINT b; SELECT key_vault.kek_create('done', provider => 'pkcs11:token=vault'); RELEASE b; COMMIT});
is(token_ids(), kek_ids(), 'savepoints: one undone, one done');
is(anew(q{SELECT count(key_vault.generate_key('done'))}), 1, 'the one done works');
is(in_warm(q{BEGIN; SELECT key_vault.kek_create('prepared', provider => 'pkcs11:token=vault'); PREPARE TRANSACTION 'p'}) =~ s/.*\n//r,
    '0A000 cannot PREPARE a transaction that has made or destroyed a KEK in a token', 'not to be prepared');
in_warm('ROLLBACK');
is(token_ids(), kek_ids(), 'and undone');
in_warm(q{BEGIN; SELECT key_vault.kek_destroy('hsm', 1, force => true)});
is(in_warm($decrypt_hsm), 'KV003 KEK label "hsm" version 1 is destroyed', 'destroyed in a transaction');
in_warm('ROLLBACK');
is(in_warm($decrypt_hsm), $ok, 'which is rolled back: it is there');
in_warm(q{SELECT key_vault.kek_destroy('hsm', 1, force => true)});
is(token_ids(), kek_ids(), 'destroyed: gone from the token');
is(anew($decrypt_hsm), 'KV003 KEK label "hsm" version 1 is destroyed', 'and here');
fault('removed');
$node->psql('postgres', q{SELECT key_vault.kek_destroy('done', 1, force => true)}, stderr => \my $warning);
like($warning, qr/WARNING:  token "vault" is not there\n.*KEK label "done" version 1/, 'a token that is gone does not keep its KEKs from being destroyed');
fault(undef);
is(anew(q{SELECT state FROM key_vault.keks WHERE label = 'done'}), 'destroyed', 'so it is');

# A label's KEK goes into the token and out again, by rotations.
is(in_warm(q{SELECT key_vault.kek_rotate('net', 'pkcs11:token=vault')}), 2, 'a label moves into the token');
is(in_warm($decrypt), $ok, 'its keys open');
my $moved = in_warm("SELECT key_vault.rewrap('$key')");
is(in_warm("SELECT key_vault.kek_version('$moved')"), 2, 'and are rewrapped');
is(in_warm(q{SELECT key_vault.kek_destroy('net', 1, force => true)}), '', 'what was outside is destroyed');
is(anew(uplink($moved)), $ok, 'they open there');
is(in_warm(q{SELECT key_vault.kek_rotate('net', 'local')}), 3, 'and out again');
is(anew(uplink(anew("SELECT key_vault.rewrap('$moved')"))), $ok, 'they open here');
is(in_warm('SELECT key_vault.root_key_rotate()'), 0, 'KEKs in the token are under no root key');
is(in_warm(q{SELECT key_vault.kek_suspend('hsm', 2)}), '', 'a KEK in the token is suspended');
is(in_warm(uplink($rewrapped)), 'KV002 KEK label "hsm" version 2 is suspended', 'it is');
is(in_warm(q{SELECT key_vault.kek_resume('hsm', 2)}), '', 'and resumed');
is(in_warm(uplink($rewrapped)), $ok, 'it opens');

# Parallel workers have sessions of their own.
$node->safe_psql('postgres', q{
    CREATE TABLE device AS SELECT n, key_vault.generate_key('hsm') AS key FROM generate_series(1, 50) n;
    CREATE TABLE uplink AS SELECT n, key_vault.lorawan_encrypt_uplink(key, '\x26011bda', i, '\x0102') AS payload, key, i FROM device, generate_series(1, 100) i;
    ALTER TABLE uplink SET (parallel_workers = 2);
    ANALYZE uplink});
in_warm('SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET parallel_leader_participation = off');
my $query = q{SELECT count(*) FROM uplink WHERE key_vault.lorawan_decrypt_uplink(key, '\x26011bda', i, payload) = '\x0102'};
my $sessions = count('sessions');
like(in_warm("EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off) $query"), qr/Workers Launched: [12]/, 'in parallel workers');
is(in_warm($query), 5000, 'they decrypt');
cmp_ok(count('sessions'), '>', $sessions, 'with sessions of their own');

# A hot standby finds the token by its own settings.
my $standby = new_node('standby');
$node->backup('for_standby');
$standby->init_from_backup($node, 'for_standby', has_streaming => 1);
$standby->start;
is(look_anew($standby, uplink($rewrapped)), $ok, 'a standby unwraps in the token');
$standby->stop;

# p11-kit's module, which finds SoftHSM by the system's configuration
SKIP:
{
    skip 'p11-kit has no configuration of SoftHSM', 1 if !-e '/usr/share/p11-kit/modules/softhsm2.module' || !glob('/usr/lib/*/p11-kit-proxy.so');
    configure('key_vault.tokens', "pkcs11:token=vault?pin-source=file:$dir/pin");
    is(anew(uplink($rewrapped)), $ok, "by p11-kit's module");
}

is($node->safe_psql('postgres', 'SELECT pg_postmaster_start_time()'), $started, 'all without a restart, or a crash');
$warm->quit;
$node->stop;
my $log = slurp_file($node->logfile);
unlike($log, qr/\Q$pin\E/, 'the PIN is not in the log');
done_testing();
