# A logical subscriber with the same root key gets its KEKs by replication, but no privileges.  The apply worker
# sets session_replication_role = replica and fires no statement triggers for rows; even so the subscriber's
# sessions learn of each change.

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

# Two sessions that have used keys: one with no transaction open, one in a transaction with an old snapshot
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

# Rows that are deleted
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

# A privilege holds in the database in which it was granted.  On the publisher "reader" may unwrap, and so may a
# role that the subscriber does not have; on the subscriber another role has that role's number, and it has no
# privilege.  Changes that come after such a row are still applied.
sub in_both
{
    my ($sql) = @_;
    $_->safe_psql('postgres', $sql) foreach ($publisher, $subscriber);
}

sub count_of { return $subscriber->safe_psql('postgres', 'SELECT count(*) FROM key_vault.kek_privilege'); }

sub holds
{
    my ($role, $privilege, $label) = @_;
    return look_anew($subscriber, "SET ROLE $role", "SELECT key_vault.has_kek_privilege('$label', '$privilege')");
}

$subscriber->safe_psql('postgres', 'DROP SUBSCRIPTION keks');
$publisher->safe_psql('postgres', 'DROP PUBLICATION keks');
in_both('CREATE ROLE reader');
$publisher->safe_psql('postgres', 'CREATE ROLE of_publisher');
my $number = $publisher->safe_psql('postgres', q{SELECT 'of_publisher'::regrole::oid});
$subscriber->safe_psql('postgres', "CREATE ROLE same_number; UPDATE pg_authid SET oid = $number WHERE rolname = 'same_number'");
is($subscriber->safe_psql('postgres', q{SELECT 'same_number'::regrole::oid}), $number, 'a role of the same number');

foreach my $binary ('false', 'true')
{
    my $how = $binary eq 'true' ? 'binary' : 'text';

    in_both('SET session_replication_role = replica; TRUNCATE key_vault.kek, key_vault.kek_privilege, key_vault.kek_destruction, key_vault.rewrap_state');
    $publisher->safe_psql('postgres', q{
        SET client_min_messages = error;
        SELECT key_vault.kek_create('net');
        SELECT key_vault.kek_grant('net', 'of_publisher', 'unwrap');
        SELECT key_vault.kek_grant('net', 'reader', 'unwrap');
    });
    $subscriber->safe_psql('postgres', q{SET client_min_messages = error; SELECT key_vault.kek_grant('net', 'reader', 'derive')});
    # The initial copy of the tables
    $publisher->safe_psql('postgres', 'CREATE PUBLICATION everything FOR ALL TABLES');
    $subscriber->safe_psql('postgres', sprintf(
            q{CREATE SUBSCRIPTION everything CONNECTION '%s dbname=postgres' PUBLICATION everything WITH (binary = %s)}, $publisher->connstr, $binary));
    $subscriber->wait_for_subscription_sync($publisher, 'everything');
    is(count_of(), 1, "$how: the first copy brings no privilege");
    is(holds('same_number', 'unwrap', 'net'), 'f', "$how: none to the role of the same number");
    is(holds('reader', 'unwrap', 'net'), 'f', "$how: none to the role of the same name");
    is(holds('reader', 'derive', 'net'), 't', "$how: what was granted here holds");

    # The publisher's changes touch neither a destruction that is scheduled here nor the progress of a run here,
    # and they do not stop the subscription.
    my $state = q{INSERT INTO key_vault.rewrap_state (label, relation, kek_id, lock_id, pass, next_row, first_block, end_block, rows)
        SELECT 'net', 'pg_class'::regclass, kek_id, 1, 1, '(0,1)', 0, 0, %d FROM key_vault.keks};
    $subscriber->safe_psql('postgres', q{SELECT key_vault.kek_schedule_destroy('net', 1, '1000 days'); } . sprintf($state, 77));
    $publisher->safe_psql('postgres', q{
        SET client_min_messages = error;
        SELECT key_vault.kek_schedule_destroy('net', 1, '1 day'), key_vault.kek_schedule_destroy('net', 1, '2 days');
        SELECT key_vault.kek_cancel_destroy('net', 1);
    } . sprintf($state, 5) . q{; UPDATE key_vault.rewrap_state SET rows = 6});
    $publisher->wait_for_catchup('everything');
    is($subscriber->safe_psql('postgres', q{SELECT destroy_at > now() + '900 days' FROM key_vault.keks}), 't', "$how: what is scheduled here stays so");
    is($subscriber->safe_psql('postgres', 'SELECT label, rows FROM key_vault.rewrap_state'), 'net|77', "$how: the progress of a run of the publisher is none here");
    foreach my $table (qw(kek_privilege kek_destruction rewrap_state))
    {
        $publisher->psql('postgres', "TRUNCATE key_vault.$table", stderr => \my $truncate);
        like($truncate, qr/ERROR:  table key_vault\.$table cannot be truncated/, "$how: nobody truncates $table, for others too");
    }

    # Changes after the initial copy
    my $log = -s $subscriber->logfile;
    my ($rc, $out, $warning) = $publisher->psql('postgres', q{SELECT key_vault.kek_grant('net', 'of_publisher', 'decrypt')});
    like($warning, qr/WARNING:  table key_vault.kek_privilege is in publication "everything"/, "$how: kek_grant warns where privileges are published");
    $publisher->safe_psql('postgres', q{
        SET client_min_messages = error;
        SELECT key_vault.kek_grant('net', 'reader', 'decrypt'), key_vault.kek_grant('net', 'reader', 'derive');
        UPDATE key_vault.kek_privilege SET privilege = 'wrap' WHERE privilege = 'decrypt';
        SELECT key_vault.kek_revoke('net', 'reader', 'derive'), key_vault.kek_revoke('net', 'reader', 'wrap');
        DROP ROLE IF EXISTS short_lived; CREATE ROLE short_lived;
        SELECT key_vault.kek_grant('net', 'short_lived', 'unwrap');
        DROP ROLE short_lived;
        SELECT key_vault.kek_grant('net', 'reader', 'admin');
        SELECT key_vault.kek_suspend('net', 1);
    });
    $publisher->wait_for_catchup('everything');
    is($subscriber->safe_psql('postgres', q{SELECT state FROM key_vault.keks}), 'suspended', "$how: a suspension after privileges arrives");
    is(count_of(), 1, "$how: no privilege has arrived");
    is(holds('same_number', $_, 'net'), 'f', "$how: the role of the same number has no $_") foreach qw(unwrap decrypt wrap);
    is(holds('reader', $_, 'net'), 'f', "$how: the role of the same name has no $_") foreach qw(unwrap decrypt wrap admin);
    is(holds('reader', 'derive', 'net'), 't', "$how: what was granted here is not withdrawn from elsewhere");
    ok($subscriber->wait_for_log(qr/WARNING:  a row for table key_vault\.kek_privilege that comes from another server is ignored/, $log),
        "$how: the subscriber's log says so");

    # Neither server sees all keys that need a KEK, so neither destroys one.
    my $destroy = q{SELECT key_vault.kek_destroy('net', 1)};
    $subscriber->psql('postgres', $destroy, stderr => \my $refusal);
    like($refusal, qr/ERROR:  keys of this database come from other servers\nDETAIL:  Subscription everything fills/m, "$how: the subscriber destroys no KEK");
    $publisher->psql('postgres', $destroy, stderr => \$refusal);
    like($refusal, qr/ERROR:  KEKs of this database are published to other servers$/m, "$how: nor does the publisher");
    $publisher->safe_psql('postgres', 'DROP PUBLICATION everything');
    $publisher->psql('postgres', $destroy, stderr => \$refusal);
    like($refusal, qr/ERROR:  rows of this database go to other servers\nDETAIL:  It has logical replication slot everything \(pgoutput\)/m,
        "$how: nor while there is a slot");
    $subscriber->safe_psql('postgres', 'DROP SUBSCRIPTION everything');
    is(look_anew($publisher, $destroy), '', "$how: without these it does");
}

# Replication slots in this database that belong to no subscription
$publisher->safe_psql('postgres', q{SELECT key_vault.kek_create('slot'), key_vault.kek_rotate('slot')});
$publisher->safe_psql('postgres', q{SELECT pg_create_logical_replication_slot('of_others', 'test_decoding')});
like(look_anew($publisher, q{SELECT key_vault.kek_destroy('slot', 1)}), qr/^ERROR:  rows of this database go to other servers/, 'a slot with another plugin');
$publisher->safe_psql('postgres', q{SELECT pg_drop_replication_slot('of_others'); SELECT pg_create_physical_replication_slot('physical')});
$publisher->safe_psql('postgres', 'CREATE DATABASE other');
$publisher->safe_psql('other', q{SELECT pg_create_logical_replication_slot('of_other', 'test_decoding')});
is(look_anew($publisher, q{SELECT key_vault.kek_destroy('slot', 1)}), '', 'a physical slot is none, nor one of another database');
$publisher->safe_psql('other', q{SELECT pg_drop_replication_slot('of_other')});

# One subscription fills a partitioned table that has keys, another one a table without keys.
$_->safe_psql('postgres', 'CREATE TABLE parted (n integer, key key_vault.wrapped_key) PARTITION BY LIST (n); CREATE TABLE part PARTITION OF parted DEFAULT; CREATE TABLE plain (n integer)')
  foreach ($publisher, $subscriber);
$publisher->safe_psql('postgres', 'CREATE PUBLICATION parted FOR TABLE parted WITH (publish_via_partition_root = true); CREATE PUBLICATION plain FOR TABLE plain');
sub subscribe
{
    my ($to) = @_;
    $subscriber->safe_psql('postgres', sprintf(q{CREATE SUBSCRIPTION %s CONNECTION '%s dbname=postgres' PUBLICATION %1$s}, $to, $publisher->connstr));
}
$subscriber->safe_psql('postgres', q{SET client_min_messages = error; SELECT key_vault.kek_create('own'), key_vault.kek_rotate('own'), key_vault.kek_rotate('own')});
subscribe('plain');
is(look_anew($subscriber, q{SELECT key_vault.kek_destroy('own', 1)}), '', 'a subscription to a table without keys is no reason to refuse');
subscribe('parted');
like(look_anew($subscriber, q{SELECT key_vault.kek_destroy('own', 2)}), qr/^ERROR:  keys of this database come from other servers/, 'one to a partitioned table with keys is');
is(look_anew($subscriber, q{SELECT key_vault.kek_destroy('own', 2, force => true)}), '', 'but not with force');
$subscriber->safe_psql('postgres', "DROP SUBSCRIPTION $_") foreach qw(parted plain);

# Lines for the inbox of a storage: one is copied when the subscription begins, and two come later.  They are not
# JSON, so the storage rejects them and keeps them.
$subscriber->safe_psql('postgres', q{SET client_min_messages = error; CALL key_vault.create_storage('mail', kek_label => 'own')});
$publisher->safe_psql('postgres', q{CREATE SCHEMA mail; CREATE TABLE mail.inbox (message text); INSERT INTO mail.inbox VALUES ('one'); CREATE PUBLICATION mail FOR TABLE mail.inbox});
subscribe('mail');
$subscriber->wait_for_subscription_sync($publisher, 'mail');
$publisher->safe_psql('postgres', q{INSERT INTO mail.inbox VALUES ('two'), ('three')});
$publisher->wait_for_catchup('mail');
is($subscriber->safe_psql('postgres', 'SELECT count(*) FROM mail.rejected'), 3, 'no line that comes from another server is lost');
is($subscriber->safe_psql('postgres', 'SELECT count(*) FROM mail.inbox'), 0, 'nor written to the inbox');
$subscriber->safe_psql('postgres', 'DROP SUBSCRIPTION mail');

# Other programs that apply the changes of another server set session_replication_role, too.
my $no_role = $subscriber->safe_psql('postgres', q{
    SET client_min_messages = error;
    SET session_replication_role = replica;
    SELECT 'nobody'::key_vault_internal.local_role::oid, 'reader'::key_vault_internal.local_role::oid;
});
is($no_role, '0|0', 'there, the name of a role is no role');
like(look_anew($subscriber, 'SET session_replication_role = replica', q{SELECT key_vault.kek_grant('net', 'reader', 'unwrap')}),
    qr/^ERROR:  privileges on KEK labels cannot be granted while session_replication_role is replica/, 'there, nothing can be granted');
like(look_anew($subscriber, q{SELECT 'nobody'::key_vault_internal.local_role}), qr/^ERROR:  role "nobody" does not exist/, 'elsewhere a role must be there');

done_testing();
