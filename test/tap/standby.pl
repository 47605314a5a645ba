# A hot standby: its open sessions see a change once it is replayed, also in a transaction.  The standby
# decrypts without writing anything, and its open sessions go on when it is promoted.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use Test::More;

my $primary = new_node('primary');
$primary->init(allows_streaming => 1);
$primary->configure_vault;
$primary->start;
$primary->safe_psql('postgres', q{
    CREATE EXTENSION key_vault;
    CREATE ROLE analyst;
    CREATE ROLE team;
    CREATE ROLE member;
    SELECT key_vault.kek_create(label) FROM unnest(ARRAY['net', 'app']) label;
    SELECT key_vault.kek_grant('net', role, 'decrypt') FROM unnest(ARRAY['analyst', 'team']::regrole[]) role;
    SELECT key_vault.kek_grant('app', role, 'decrypt') FROM unnest(ARRAY['analyst', 'member']::regrole[]) role;
    GRANT team TO member;
    CREATE TABLE device (n integer, key key_vault.wrapped_key);
    INSERT INTO device SELECT n, key_vault.generate_key('net') FROM generate_series(1, 1000) n;
});
my $key = $primary->safe_psql('postgres',
    q{SELECT key_vault.wrap('\x000102030405060708090a0b0c0d0e0f', 'net')});
my $app_key = $primary->safe_psql('postgres',
    q{SELECT key_vault.wrap('\x000102030405060708090a0b0c0d0e0f', 'app')});

my $standby = new_node('standby');
$primary->backup('for_standby');
$standby->init_from_backup($primary, 'for_standby', has_streaming => 1);
$standby->start;
$primary->wait_for_catchup($standby);

my $ok        = 'net payload';
my $suspended = 'ERROR:  KEK label "net" version 1 is suspended';
my $denied    = 'ERROR:  permission denied for KEK label "net"';
my $decrypt   = uplink($key);
my $version   = q{SELECT key_vault.kek_version(key_vault.wrap('\x000102030405060708090a0b0c0d0e0f', 'net'))};

sub on_primary
{
    my ($sql) = @_;
    $primary->safe_psql('postgres', "SET client_min_messages = error; $sql");
    $primary->wait_for_catchup($standby);
}

# Three sessions: one with no transaction open, one in a transaction with an old snapshot, and one that has set
# another role in a transaction.
my $idle  = open_session($standby);
my $in_rr = open_session($standby);
my $role  = open_session($standby);
sub begin
{
    look($in_rr, 'ROLLBACK');
    look($in_rr, 'BEGIN ISOLATION LEVEL REPEATABLE READ');
    look($role, 'ROLLBACK');
    look($role, 'BEGIN');
    look($role, 'SET LOCAL ROLE analyst');
    is(look($_, $decrypt), $ok, 'standby decrypts') foreach ($idle, $in_rr, $role);
}

begin();
is(look($idle, q{SELECT count(key_vault.lorawan_decrypt_uplink(key, '\x26011bda', 1, '\x00')) FROM device}),
    1000, 'standby decrypts a table');
is(look($idle, q{SELECT count(key_vault.lorawan_try_decrypt_uplink(key, '\x26011bda', 1, '\x00')) FROM device}),
    1000, 'standby decrypts a table from the cache');
is(look($idle, $version), 1, 'standby wraps with the active version');
like(look($idle, q{SELECT key_vault.kek_suspend('net', 1)}), qr/^ERROR:  cannot .*recovery/,
    'standby does not administer');

# A query that writes needs a transaction id, so a query that has none has written nothing.
is(look_anew($primary, 'BEGIN', "DO \$\$ BEGIN PERFORM ($decrypt); END \$\$",
        q{SELECT pg_current_xact_id_if_assigned() IS NULL}),
    't', 'decryption takes no transaction id on the primary');

on_primary(q{SELECT key_vault.kek_suspend('net', 1)});
is(look($idle,  $decrypt), $suspended, 'suspension seen with no transaction open');
is(look($in_rr, $decrypt), $suspended, 'suspension seen in an open transaction');
is(look($role,  $decrypt), $suspended, 'suspension seen by another role in an open transaction');
is(look_anew($standby, $decrypt), $suspended, 'suspension seen by a new session');
is(look($idle, uplink($app_key)), $ok, 'the other label decrypts on');

on_primary(q{SELECT key_vault.kek_resume('net', 1)});
begin();
is(look($_, $version), 1, 'version 1 is active') foreach ($idle, $in_rr);
on_primary(q{SELECT key_vault.kek_rotate('net')});
is(look($idle,  $version), 2, 'rotation seen with no transaction open');
is(look($in_rr, $version), 2, 'rotation seen in an open transaction');
is(look_anew($standby, $version), 2, 'rotation seen by a new session');
is(look($_, $decrypt), $ok, 'keys of version 1 decrypt after the rotation') foreach ($idle, $in_rr, $role);
my $key_2 = $primary->safe_psql('postgres',
    q{SELECT key_vault.wrap('\x000102030405060708090a0b0c0d0e0f', 'net')});
isnt($key_2, $key, 'the primary wraps otherwise after the rotation');
is(look($_, uplink($key_2)), $ok, 'keys of version 2 decrypt') foreach ($idle, $in_rr, $role);

on_primary(q{SELECT key_vault.kek_revoke('net', 'analyst', 'decrypt')});
is(look($role, $decrypt), $denied, 'revocation seen in an open transaction');
is(look($idle, $decrypt), $ok, 'revocation does not matter to another role');
is(look_anew($standby, 'SET ROLE analyst', $decrypt), $denied, 'revocation seen by a new session');

look($role, $_) foreach ('ROLLBACK', 'BEGIN', 'SET LOCAL ROLE member');
is(look($role, $decrypt), $ok, 'a member decrypts');
on_primary(q{REVOKE team FROM member});
is(look($role, $decrypt), $denied, 'the end of a membership seen in an open transaction');

# A change that is rolled back, or only prepared, has no effect on the standby.
on_primary(q{BEGIN; SELECT key_vault.kek_suspend('net', 1); ROLLBACK});
is(look($_, $decrypt), $ok, 'a suspension that was rolled back is not seen') foreach ($idle, $in_rr);

on_primary(q{SELECT key_vault.kek_destroy('net', 1, force => true)});
is(look($_, $decrypt), 'ERROR:  KEK label "net" version 1 is destroyed', 'destruction seen') foreach ($idle, $in_rr);

# Promotion, while sessions are open that have used keys
is(look($idle, uplink($key_2)), $ok, 'warm before the promotion');
$primary->stop;
$standby->promote;
is(look($idle, uplink($key_2)), $ok, 'a warm session goes on after the promotion');
is(look_anew($standby, uplink($key_2)), $ok, 'a new session after the promotion');
look($in_rr, $_) foreach ('ROLLBACK', 'BEGIN');
is(look($in_rr, uplink($key_2)), $ok, 'warm in a transaction after the promotion');
is($standby->safe_psql('postgres', q{SELECT key_vault.kek_rotate('net')}), 3, 'rotates after the promotion');
is(look($idle,  $version), 3, 'rotation on the new primary seen with no transaction open');
is(look($in_rr, $version), 3, 'rotation on the new primary seen in an open transaction');
$standby->safe_psql('postgres', q{SELECT key_vault.kek_suspend('net', 2)});
is(look($idle,  uplink($key_2)), 'ERROR:  KEK label "net" version 2 is suspended', 'suspension on the new primary seen with no transaction open');
is(look($in_rr, uplink($key_2)), 'ERROR:  KEK label "net" version 2 is suspended', 'suspension on the new primary seen in an open transaction');

$_->quit foreach ($idle, $in_rr, $role);
done_testing();
