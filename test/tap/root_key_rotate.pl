# Rotation of the root key.  Whatever ends it, all KEKs are sealed under the old root key or all under the new
# one, and both open.  There is a hot standby and a logical subscriber.  In the order that the documentation
# gives, no session of theirs fails at any step, and no running statement does.  In the wrong order, sessions
# that have no KEK open yet get one clear error, until the new root key is added to their list, which needs no
# restart.
# key is added to their list, with no restart.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use PostgreSQL::Test::Utils;
use Test::More;

# Root keys and their key check values: the first 5 bytes of AES-CMAC over "key_vault key check
# value", by python3-cryptography.
my %key = (
    a => '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f',
    b => 'e0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff',
    c => '0f0e0d0c0b0a09080706050403020100f0e0d0c0b0a090807060504030201000');
my %kcv = (a => 'd8bd746a8a', b => '4435acd115', c => kcv_of($key{c}));

sub kcv_of
{
    my ($key) = @_;
    my $kcv = `python3 -c "
from cryptography.hazmat.primitives import cmac
from cryptography.hazmat.primitives.ciphers import algorithms
c = cmac.CMAC(algorithms.AES(bytes.fromhex('$key')))
c.update(b'key_vault key check value')
print(c.finalize()[:5].hex(), end='')"`;

    die "python3-cryptography does not run\n" if $? != 0;
    return $kcv;
}

sub write_key
{
    my ($name, $content) = @_;
    my $path = "$ENV{TESTDIR}/$name.key";

    umask 0077;
    open my $file, '>', $path or die "$path: $!";
    print $file "$content\n";
    close $file or die "$path: $!";
    return "file:$path";
}
my %file = map { $_ => write_key($_, $key{$_}) } keys %key;

is($kcv{$_}, kcv_of($key{$_}), "key check value of root key $_") foreach qw(a b);

my $primary = new_node('primary');
$primary->init(allows_streaming => 'logical');
$primary->append_conf('postgresql.conf', "key_vault.root_key = '$file{a}'\nrestart_after_crash = on\n");
$primary->start;
$primary->safe_psql('postgres', q{
    SET client_min_messages = error;
    CREATE EXTENSION key_vault;
    CREATE ROLE administrator;
    SELECT key_vault.kek_create('net'), key_vault.kek_create('app', 128), key_vault.kek_create('idle', 192),
           key_vault.kek_create('gone');
    SELECT key_vault.kek_grant(label, 'administrator', 'admin') FROM key_vault.keks;
    CREATE PUBLICATION keks FOR TABLE key_vault.kek;
});
my $wrap   = q{SELECT key_vault.wrap('\x000102030405060708090a0b0c0d0e0f', '%s')};
my $key    = $primary->safe_psql('postgres', sprintf $wrap, 'net');
my $key_app = $primary->safe_psql('postgres', sprintf $wrap, 'app');
$primary->safe_psql('postgres', q{
    SET client_min_messages = error;
    SELECT key_vault.kek_rotate('net'), key_vault.kek_suspend('idle', 1), key_vault_internal.kek_erase('gone', 1);
});

my $standby = new_node('standby');
$primary->backup('for_standby');
$standby->init_from_backup($primary, 'for_standby', has_streaming => 1);
$standby->start;

my $subscriber = new_node('subscriber');
$subscriber->init;
$subscriber->append_conf('postgresql.conf', "key_vault.root_key = '$file{a}'\n");
$subscriber->start;
$subscriber->safe_psql('postgres', 'CREATE EXTENSION key_vault');
$subscriber->safe_psql('postgres',
    sprintf q{CREATE SUBSCRIPTION keks CONNECTION '%s dbname=postgres' PUBLICATION keks}, $primary->connstr);
$subscriber->wait_for_subscription_sync($primary, 'keks');

# Gives a server a list of root keys, and returns when new sessions and the open ones have it.
my %session = map { $_->name => open_session($_) } ($primary, $standby, $subscriber);
sub set_list
{
    my ($node, @uris) = @_;
    my $list = join ', ', @uris;

    $node->adjust_conf('postgresql.conf', 'key_vault.root_key', "'$list'");
    $node->reload;
    $node->poll_query_until('postgres', 'SELECT current_setting($$key_vault.root_key$$) = $$' . $list . '$$')
      or die 'no reload';
    # A session applies a reload between two commands.
    for (1 .. 1800)
    {
        last if look($session{$node->name}, q{SELECT current_setting('key_vault.root_key')}) eq $list;
        select undef, undef, undef, 0.1;
    }
}

# Every key opens, in the open session and in a new one.
sub all_open
{
    my ($node, $when) = @_;

    foreach ([ 'version 1', $key ], [ 'the other label', $key_app ])
    {
        my ($what, $wrapped) = @$_;
        is(look($session{$node->name}, uplink($wrapped)), 'net payload', "$when: $what opens in a warm session of the " . $node->name);
        is(look_anew($node, uplink($wrapped)), 'net payload', "$when: $what opens in a new session of the " . $node->name);
    }
}

sub sealed_under
{
    my ($node) = @_;
    return $node->safe_psql('postgres', q{SELECT string_agg(DISTINCT encode(root_key_id, 'hex'), ',') FROM key_vault.keks});
}

sub catch_up
{
    $primary->wait_for_catchup($standby);
    $primary->wait_for_catchup('keks');
}

sub rotate { return look_anew($_[0], 'SELECT key_vault.root_key_rotate()') }

# Which roles may rotate, and on which servers
is(look_anew($primary, 'SET ROLE administrator', 'SELECT key_vault.root_key_rotate()'),
    'ERROR:  permission denied to rotate the root key', 'the privilege admin is not enough');
like(rotate($standby), qr/^ERROR:  cannot execute rotation of the root key during recovery$/, 'a standby refuses');
is(rotate($primary), 0, 'nothing to do under one root key');
is(sealed_under($primary), $kcv{a}, 'sealed under the first root key');
all_open($_, 'before') foreach ($primary, $standby, $subscriber);

# The new root key is first in the primary's list.  A rotation that is rolled back, or that a crash ends before
# its commit, changes nothing.
set_list($primary, $file{b}, $file{a});
look_anew($primary, 'BEGIN', 'SELECT key_vault.root_key_rotate()', 'ROLLBACK');
is(sealed_under($primary), $kcv{a}, 'rolled back');
is(look($session{primary}, 'BEGIN; SELECT key_vault.root_key_rotate()'), 4, 'every KEK that has material, in an open transaction');
is(look($session{primary}, q{SELECT count(*) FROM key_vault.keks WHERE root_key_id = '\x} . $kcv{b} . q{'}), 4, 'sealed there under the new root key');
is(look($session{primary}, uplink($key)), 'net payload', 'and open there');
is(look($session{primary}, 'ROLLBACK; ' . uplink($key)), 'net payload', 'and after the rollback');

foreach my $how ('the backend is killed', 'the server stops at once')
{
    my $doomed = open_session($primary);

    my $pid = look($doomed, 'BEGIN; SELECT key_vault.root_key_rotate(); SELECT pg_backend_pid()');
    like($pid, qr/^4\n\d+$/, "rotated, not committed");
    $pid =~ s/.*\n//;
    $session{primary}->quit;
    if ($how =~ /backend/)
    {
        crash_backend($primary, $pid);
        eval { $doomed->quit };
    }
    else
    {
        $primary->stop('immediate');
        eval { $doomed->quit };
        $primary->start;
    }
    $session{primary} = open_session($primary);
    is(sealed_under($primary), $kcv{a}, "$how before the commit: all sealed under the old root key");
    all_open($primary, "$how before the commit");
}

# A KEK that does not open is named, and the other KEKs are sealed anew all the same.
$primary->safe_psql('postgres', q{
    CREATE TABLE saved AS SELECT kek_id, sealed_material FROM key_vault.kek WHERE label = 'idle';
    SET session_replication_role = replica;
    UPDATE key_vault.kek SET sealed_material = set_byte(sealed_material, 20, 255 - get_byte(sealed_material, 20)) WHERE label = 'idle'});
$primary->psql('postgres', 'BEGIN; SELECT key_vault.root_key_rotate(); ROLLBACK', stdout => \my $sealed, stderr => \my $warnings);
is($sealed, 3, 'all but a damaged KEK are sealed anew');
like($warnings, qr/WARNING:  sealed material of KEK label "idle" version 1 is damaged\n/, 'which is named');
like($warnings, qr/WARNING:  1 KEK is still sealed under another root key than the first\n(?:.*\n)*HINT:  Leave the other root keys/, 'with what not to do');
$primary->safe_psql('postgres', q{
    SET session_replication_role = replica;
    UPDATE key_vault.kek k SET sealed_material = s.sealed_material FROM saved s WHERE s.kek_id = k.kek_id});

# The wrong order: the primary comes first.
is(rotate($primary), 4, 'rotated before the others know the new root key');
$primary->stop('immediate');
$session{primary}->quit;
$primary->start;
$session{primary} = open_session($primary);
is(sealed_under($primary), $kcv{b}, 'committed before a crash: all sealed under the new root key');
all_open($primary, 'crashed after the commit');
catch_up();
foreach ($standby, $subscriber)
{
    my $error = 'ERROR:  KEK label "net" version 1 is sealed under another root key';

    is(sealed_under($_), $kcv{b}, 'the change has come to the ' . $_->name);
    is(look($session{$_->name}, uplink($key)), 'net payload', 'a warm session of the ' . $_->name . ' has its KEKs open');
    is(look_anew($_, uplink($key)), $error, 'a new one has no root key for them');
    set_list($_, $file{a}, $file{b});
    all_open($_, 'mended, without a restart');
}
set_list($_, $file{b}) foreach ($primary, $standby, $subscriber);
all_open($_, 'the old root key is taken away') foreach ($primary, $standby, $subscriber);

# The right order: the standby and the subscriber come first.  This time a command gives the new root key.
my $command = "command:cat $ENV{TESTDIR}/c.key";
set_list($_, $file{b}, $command) foreach ($standby, $subscriber);
set_list($primary, $command, $file{b});
all_open($_, 'the new root key is in the lists') foreach ($primary, $standby, $subscriber);
is(rotate($primary), 4, 'rotated to a command');
all_open($_, 'rotated, whether it has come or not') foreach ($primary, $standby, $subscriber);
catch_up();
is(sealed_under($_), $kcv{c}, 'sealed under the new root key on the ' . $_->name) foreach ($primary, $standby, $subscriber);
all_open($_, 'the change has come') foreach ($primary, $standby, $subscriber);
set_list($_, $command) foreach ($standby, $subscriber, $primary);
all_open($_, 'the old root key is taken away') foreach ($primary, $standby, $subscriber);
is(rotate($primary), 0, 'rotated again: nothing to do');

# The file that the setting names holds another key by the time of the rotation, and an open session has not
# read it again.
my $changing = write_key('changing', $key{a});
set_list($primary, $changing, $command);
is(look($session{primary}, 'SELECT key_vault.root_key_rotate()'), 4, 'to a file');
write_key('changing', $key{b});
is(look($session{primary}, 'SELECT key_vault.root_key_rotate()'),
    'ERROR:  KEK label "app" version 1 is sealed under another root key', 'whose content changed: never under the one that is gone');
is(sealed_under($primary), $kcv{a}, 'nothing was sealed');
is(look($session{primary}, q{SELECT key_vault.kek_create('swapped')}),
    'ERROR:  first root key of key_vault.root_key seals no KEK of this database', 'nor is a new KEK, under a root key that is there by mistake');
set_list($primary, $changing, $command, $file{a});
is(look($session{primary}, 'SELECT key_vault.root_key_rotate()'), 4, 'with the old one in the list');
is(sealed_under($primary), $kcv{b}, 'sealed under what the file holds now');
is(look($session{primary}, uplink($key)), 'net payload', 'and open');
is($primary->safe_psql('postgres', q{SELECT string_agg(label || ' ' || version || ' ' || state, ', ') FROM key_vault.keks}),
    'app 1 active, gone 1 destroyed, idle 1 suspended, net 1 deactivated, net 2 active', 'states are what they were');

$_->quit foreach values %session;
done_testing();
