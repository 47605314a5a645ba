# Every change of a KEK or a privilege is tried in an open session and in a new one.  Nothing may work only
# until a user reconnects, or only after.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use Test::More;

my $node = new_node('sessions');
$node->init;
$node->configure_vault;
$node->start;
$node->safe_psql('postgres', q{
    CREATE EXTENSION key_vault;
    CREATE ROLE analyst;
    SELECT key_vault.kek_create('net');
    SELECT key_vault.kek_grant('net', 'analyst', privilege)
      FROM unnest(ARRAY['decrypt', 'wrap']) privilege;
    SELECT key_vault.kek_grant('other', 'analyst', 'decrypt');
});

my $ok        = 'net payload';
my $suspended = 'ERROR:  KEK label "net" version 1 is suspended';
my $destroyed = 'ERROR:  KEK label "net" version 1 is destroyed';
my $inactive  = 'ERROR:  KEK label "net" has no active version';
my $denied    = 'ERROR:  permission denied for KEK label "net"';

my $key = $node->safe_psql('postgres',
    q{SELECT key_vault.wrap('\x000102030405060708090a0b0c0d0e0f', 'net')});
my $decrypt = uplink($key);
my $version = q{SELECT key_vault.kek_version(key_vault.generate_key('net'))};

# A change, the result of a decryption after it, and the version that wraps after it
my @changes = (
    [ q{kek_suspend('net', 1)},                     $suspended, $inactive ],
    [ q{kek_resume('net', 1)},                      $ok,        1 ],
    [ q{kek_rotate('net')},                         $ok,        2 ],
    [ q{kek_suspend('net', 1)},                     $suspended, 2 ],
    [ q{kek_resume('net', 1)},                      $ok,        2 ],
    [ q{kek_suspend('net', 2)},                     $ok,        $inactive ],
    [ q{kek_rotate('net')},                         $ok,        3 ],
    [ q{kek_resume('net', 2)},                      $ok,        3 ],
    [ q{kek_compromise('net', 3)},                  $ok,        $inactive ],
    [ q{kek_import('net', '\x000102030405060708090a0b0c0d0e0f')}, $ok, 4 ],
    [ q{kek_revoke('net', 'analyst', 'decrypt')},   $denied,    4 ],
    [ q{kek_grant('net', 'analyst', 'decrypt')},    $ok,        4 ],
    [ q{kek_revoke('net', 'analyst', 'wrap')},      $ok,        $denied ],
    [ q{kek_grant('net', 'analyst', 'wrap')},       $ok,        4 ],
    [ q{kek_destroy('net', 1, force => true)},      $destroyed, 4 ],
);

my %sessions = map { $_ => open_session($node) } qw(on off verify);
foreach my $mode (sort keys %sessions)
{
    look($sessions{$mode}, "SET key_vault.cache = $mode");
    look($sessions{$mode}, 'SET ROLE analyst');
    is(look($sessions{$mode}, $decrypt), $ok, "cache $mode: decrypts at first");
    is(look($sessions{$mode}, $version), 1,   "cache $mode: wraps with version 1 at first");
}
foreach (@changes)
{
    my ($change, $payload, $wrapping) = @$_;

    # The open sessions use their key once more, so that it is in their cache.
    look($sessions{$_}, $decrypt) foreach keys %sessions;
    $node->safe_psql('postgres', "SET client_min_messages = error; SELECT key_vault.$change");
    foreach my $mode (sort keys %sessions)
    {
        is(look($sessions{$mode}, $decrypt), $payload, "after $change, cache $mode: decryption in a warm session");
        is(look($sessions{$mode}, $version), $wrapping, "after $change, cache $mode: wrapping in a warm session");
    }
    is(look_anew($node, 'SET ROLE analyst', $decrypt), $payload, "after $change: decryption in a new session");
    is(look_anew($node, 'SET ROLE analyst', $version), $wrapping, "after $change: wrapping in a new session");
}

# Roles and memberships.  The member also has a privilege on another label, which must not count.
$node->safe_psql('postgres', q{
    CREATE ROLE team;
    CREATE ROLE member;
    SELECT key_vault.kek_grant('net', 'team', 'decrypt');
    SELECT key_vault.kek_grant('other', 'member', 'decrypt');
});
$decrypt = uplink($node->safe_psql('postgres',
    q{SELECT key_vault.wrap('\x000102030405060708090a0b0c0d0e0f', 'net')}));
foreach my $mode (sort keys %sessions)
{
    is(look($sessions{$mode}, $decrypt), $ok, "cache $mode: decrypts under the active version");
    look($sessions{$mode}, 'RESET ROLE');
    look($sessions{$mode}, 'SET ROLE member');
    is(look($sessions{$mode}, $decrypt), $denied, "cache $mode: another role does not");
}
foreach (
    [ 'GRANT team TO member',            $ok ],
    [ 'REVOKE team FROM member',         $denied ],
    [ 'ALTER ROLE member SUPERUSER',     $ok ],
    [ 'ALTER ROLE member NOSUPERUSER',   $denied ],
    [ 'GRANT team TO member',            $ok ],
    [ 'DROP OWNED BY team; DROP ROLE team', $denied ])
{
    my ($change, $payload) = @$_;

    look($sessions{$_}, $decrypt) foreach keys %sessions;
    $node->safe_psql('postgres', $change);
    is(look($sessions{$_}, $decrypt), $payload, "after $change, cache $_: a warm session") foreach sort keys %sessions;
    is(look_anew($node, 'SET ROLE member', $decrypt), $payload, "after $change: a new session");
}
$_->quit foreach values %sessions;

$node->restart;
is(look_anew($node, 'SET ROLE analyst', $decrypt), $ok, 'after a restart: decrypts');
is(look_anew($node, 'SET ROLE member', $decrypt), $denied, 'after a restart: denied still');
is(look_anew($node, 'SET ROLE analyst', uplink($key)), $destroyed, 'after a restart: destroyed still');
is(look_anew($node, 'SET ROLE analyst', $version), 4, 'after a restart: the active version still wraps');

done_testing();
