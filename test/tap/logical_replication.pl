# A logical subscriber under the same root key gets its KEKs by replication.  The apply worker
# sets session_replication_role = replica and fires no statement triggers for rows; the
# subscriber's sessions hear of the change all the same.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use Test::More;

my $publisher  = new_node('publisher');
my $subscriber = new_node('subscriber');
$publisher->init(allows_streaming => 'logical');
$subscriber->init(allows_streaming => 'logical');
foreach ($publisher, $subscriber)
{
    $_->configure_vault;
    $_->start;
    $_->safe_psql('postgres', 'CREATE EXTENSION key_vault');
}
$publisher->safe_psql('postgres', q{
    SELECT key_vault.kek_create('net');
    SELECT key_vault.kek_create('app');
    CREATE PUBLICATION keks FOR TABLE key_vault.kek;
});
my $wrap    = q{SELECT key_vault.wrap('\x000102030405060708090a0b0c0d0e0f', 'net')};
my $key     = $publisher->safe_psql('postgres', $wrap);
my $app_key = $publisher->safe_psql('postgres',
    q{SELECT key_vault.wrap('\x000102030405060708090a0b0c0d0e0f', 'app')});

my $ok        = 'net payload';
my $suspended = 'ERROR:  KEK label "net" version 1 is suspended';
my $unknown   = qr/^ERROR:  KEK \S+ of the wrapped key is unknown here$/;
my $decrypt   = uplink($key);
my $version   = q{SELECT key_vault.kek_version(key_vault.wrap('\x000102030405060708090a0b0c0d0e0f', 'net'))};

# Warm with no transaction open, and in one with an old snapshot.
my $idle  = open_session($subscriber);
my $in_rr = open_session($subscriber);
like(look($idle, $decrypt), $unknown, 'unknown to the subscriber at first');
$subscriber->safe_psql('postgres',
    sprintf(q{CREATE SUBSCRIPTION keks CONNECTION '%s dbname=postgres' PUBLICATION keks}, $publisher->connstr));
$subscriber->wait_for_subscription_sync($publisher, 'keks');

sub begin
{
    look($in_rr, 'ROLLBACK');
    look($in_rr, 'BEGIN ISOLATION LEVEL REPEATABLE READ');
    is(look($_, $decrypt), $ok, 'subscriber decrypts') foreach ($idle, $in_rr);
    is(look($_, uplink($app_key)), $ok, 'subscriber decrypts under another label') foreach ($idle, $in_rr);
}

sub publish
{
    my ($sql) = @_;
    $publisher->safe_psql('postgres', "SET client_min_messages = error; $sql");
    $publisher->wait_for_catchup('keks');
}

begin();
publish(q{SELECT key_vault.kek_suspend('net', 1)});
is(look($idle,  $decrypt), $suspended, 'suspension seen with no transaction open');
is(look($in_rr, $decrypt), $suspended, 'suspension seen in an open transaction');
is(look_anew($subscriber, $decrypt), $suspended, 'suspension seen by a new session');
is(look($idle, uplink($app_key)), $ok, 'the other label decrypts on');

publish(q{SELECT key_vault.kek_resume('net', 1)});
begin();
is(look($_, $version), 1, 'version 1 is active') foreach ($idle, $in_rr);
publish(q{SELECT key_vault.kek_rotate('net')});
is(look($idle,  $version), 2, 'rotation seen with no transaction open');
is(look($in_rr, $version), 2, 'rotation seen in an open transaction');
is(look_anew($subscriber, $version), 2, 'rotation seen by a new session');
is(look($_, $decrypt), $ok, 'keys of version 1 decrypt') foreach ($idle, $in_rr);
my $key_2 = $publisher->safe_psql('postgres', $wrap);
is(look($_, uplink($key_2)), $ok, 'keys of the rotated version decrypt') foreach ($idle, $in_rr);
is(look_anew($subscriber, $wrap), $key_2, 'the subscriber wraps with the rotated version alike');

publish(q{BEGIN; SELECT key_vault.kek_suspend('net', 1); ROLLBACK});
is(look($_, $decrypt), $ok, 'a suspension that was rolled back is not seen') foreach ($idle, $in_rr);

publish(q{SELECT key_vault.kek_destroy('net', 1, force => true)});
is(look($_, $decrypt), 'ERROR:  KEK label "net" version 1 is destroyed', 'destruction seen') foreach ($idle, $in_rr);
is(look_anew($subscriber, $decrypt), 'ERROR:  KEK label "net" version 1 is destroyed', 'destruction seen by a new session');

# Rows that go.
look($in_rr, $_) foreach ('ROLLBACK', 'BEGIN');
is(look($_, uplink($key_2)), $ok, 'warm under version 2') foreach ($idle, $in_rr);
publish(q{SET session_replication_role = replica; DELETE FROM key_vault.kek WHERE label = 'net'});
like(look($_, uplink($key_2)), $unknown, 'deleted rows are gone') foreach ($idle, $in_rr);
is(look($idle, uplink($app_key)), $ok, 'the other label decrypts on');
look($in_rr, $_) foreach ('ROLLBACK', 'BEGIN');
is(look($in_rr, uplink($app_key)), $ok, 'the other label decrypts in a transaction');
publish(q{SET session_replication_role = replica; TRUNCATE key_vault.kek});
like(look($_, uplink($app_key)), $unknown, 'a truncated table is empty') foreach ($idle, $in_rr);
like(look_anew($subscriber, uplink($app_key)), $unknown, 'a truncated table is empty to a new session');

$_->quit foreach ($idle, $in_rr);
done_testing();
