# KEKs, and a table with wrapped keys, that pglogical replicates, by the commands of docs/scale.md.  Its apply
# process is not PostgreSQL's own; even so the subscriber's sessions learn of each change, no privilege arrives,
# and no server destroys a KEK that another one may need.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use Test::More;

my $page = PostgreSQL::Test::Utils::slurp_file("$FindBin::Bin/../../docs/scale.md");
my ($section) = $page =~ /^\*\*pglogical\*\*(.*?)(?:^\*\*|^## |\z)/ms or die 'no such section';
my @blocks = $section =~ /^```sql\n(.*?)^```$/msg;

chomp(my $sharedir = `pg_config --sharedir`);
plan skip_all => 'pglogical is not installed' if !-e "$sharedir/extension/pglogical.control";

my $provider = new_node('keks');
my $subscriber = new_node('shard0');
foreach ($provider, $subscriber)
{
    $_->init(allows_streaming => 'logical');
    $_->configure_vault;
    $_->append_conf('postgresql.conf', "shared_preload_libraries = 'key_vault, pglogical'\nmax_worker_processes = 20\n");
    $_->start;
    $_->safe_psql('postgres', q{
        CREATE EXTENSION key_vault;
        CREATE ROLE reader;
        CREATE TABLE session (n integer PRIMARY KEY, plain bytea, app_s_key key_vault.wrapped_key);
    });
}

# Later minor versions of PostgreSQL have a list of the plugins that they trust.
if (my $trusted = $provider->safe_psql('postgres', q{SELECT setting FROM pg_settings WHERE name = 'output_plugin_libraries'}))
{
    $provider->append_conf('postgresql.conf', "output_plugin_libraries = '$trusted, pglogical_output'\n");
    $provider->reload;
    $provider->poll_query_until('postgres', q{SELECT setting LIKE '%pglogical_output' FROM pg_settings WHERE name = 'output_plugin_libraries'}) or die;
}
$provider->safe_psql('postgres', q{SELECT key_vault.kek_create(label) FROM unnest(ARRAY['net', 'app']) label});
my $wrap = q{SELECT key_vault.wrap('\x000102030405060708090a0b0c0d0e0f', '%s')};
my $key = $provider->safe_psql('postgres', sprintf($wrap, 'net'));
my $app_key = $provider->safe_psql('postgres', sprintf($wrap, 'app'));

my $ok = 'net payload';
my $suspended = 'ERROR:  KEK label "net" version 1 is suspended';
my $unknown = qr/^ERROR:  KEK \S+ of the wrapped key is unknown here$/;
my $decrypt = uplink($key);
my $version = q{SELECT key_vault.kek_version(key_vault.generate_key('net'))};

# Two sessions that have used keys: one with no transaction open, one in a transaction with an old snapshot
my $idle = open_session($subscriber);
my $in_rr = open_session($subscriber);
like(look($idle, $decrypt), $unknown, 'unknown to the subscriber at first');

is(scalar(@blocks), 2, 'the page has two blocks');
sub run_block
{
    my ($node, $sql) = @_;

    $sql =~ s/host=keks dbname=postgres user=replicator password=''its password''/$provider->connstr('postgres') =~ s{'}{''}gr/ge;
    $sql =~ s/host=(keks|shard0) dbname=postgres/($1 eq 'keks' ? $provider : $subscriber)->connstr('postgres') =~ s{'}{''}gr/ge;
    my $error;
    is($node->psql('postgres', $sql, stderr => \$error), 0, 'a block of the page') or diag $error;
}
run_block($provider, $blocks[0]);
run_block($subscriber, $blocks[1]);
$subscriber->safe_psql('postgres', q{SELECT pglogical.wait_for_subscription_sync_complete('keks_0')});

sub catch_up { $provider->safe_psql('postgres', 'SELECT pglogical.wait_slot_confirm_lsn(NULL, NULL)'); }

sub publish
{
    my ($sql) = @_;
    $provider->safe_psql('postgres', "SET client_min_messages = error; $sql");
    catch_up();
}

sub begin
{
    look($in_rr, 'ROLLBACK');
    look($in_rr, 'BEGIN ISOLATION LEVEL REPEATABLE READ');
    is(look($_, $decrypt), $ok, 'the subscriber decrypts') foreach ($idle, $in_rr);
    is(look($_, uplink($app_key)), $ok, 'also under another label') foreach ($idle, $in_rr);
}

begin();
publish(q{SELECT key_vault.kek_suspend('net', 1)});
is(look($idle, $decrypt), $suspended, 'a suspension is seen with no transaction open');
is(look($in_rr, $decrypt), $suspended, 'and in an open transaction');
is(look_anew($subscriber, $decrypt), $suspended, 'and by a new session');
is(look($idle, uplink($app_key)), $ok, 'the other label decrypts on');
publish(q{SELECT key_vault.kek_resume('net', 1)});
begin();
is(look($_, $version), 1, 'version 1 is active') foreach ($idle, $in_rr);
publish(q{SELECT key_vault.kek_rotate('net')});
is(look($idle, $version), 2, 'a rotation is seen with no transaction open');
is(look($in_rr, $version), 2, 'and in an open transaction');
is(look_anew($subscriber, $version), 2, 'and by a new session');
is(look($_, $decrypt), $ok, 'keys of version 1 decrypt') foreach ($idle, $in_rr);
my $key_2 = $provider->safe_psql('postgres', sprintf($wrap, 'net'));
is(look($_, uplink($key_2)), $ok, 'keys of version 2 decrypt') foreach ($idle, $in_rr);
publish(q{BEGIN; SELECT key_vault.kek_suspend('net', 1); ROLLBACK});
is(look($_, $decrypt), $ok, 'a suspension that was rolled back is not seen') foreach ($idle, $in_rr);

# A table with keys: the first copy, later rows, and rewrapping
my $right = q{SELECT count(*), bool_and(key_vault.unwrap(app_s_key) = plain), string_agg(DISTINCT key_vault.kek_version(app_s_key)::text, ',') FROM session};
my $fill = q{INSERT INTO session SELECT n, decode(md5(n::text), 'hex'), key_vault.wrap(decode(md5(n::text), 'hex'), 'net') FROM generate_series(%d, %d) n};
$provider->safe_psql('postgres', sprintf($fill, 1, 100));
$provider->safe_psql('postgres', q{SELECT pglogical.replication_set_add_table('default', 'session', true)});
$subscriber->poll_query_until('postgres', q{SELECT count(*) = 100 FROM session}) or die 'the first copy does not come';
publish(sprintf($fill, 101, 200));
is(look_anew($subscriber, $right), '200|t|2', 'every key opens at the subscriber');
is(look($idle, $right), '200|t|2', 'also in a session that was open');
publish(q{SELECT key_vault.kek_rotate('net')});
publish(q{CALL key_vault.rewrap_all('net')});
is(look($idle, $right), '200|t|3', 'so they do when they are rewrapped');
is(look_anew($subscriber, $right), '200|t|3', 'also in a new session');

# Neither server sees all keys that need a KEK, so neither destroys one.
my $destroy = q{SET lock_timeout = '1s'; SELECT key_vault.kek_destroy('net', 1)};
my $refusal;
$provider->psql('postgres', $destroy, stderr => \$refusal);
like($refusal, qr/ERROR:  rows of this database go to other servers\nDETAIL:  It has logical replication slot pgl_\w+ \(pglogical_output\)/m, 'the provider destroys no KEK');
$subscriber->psql('postgres', $destroy, stderr => \$refusal);
like($refusal, qr/ERROR:  keys of this database come from other servers\nDETAIL:  Replication origin pgl_\w+ belongs to a subscription of pglogical/m, 'nor does the subscriber');
is(look($_, $decrypt), $ok, 'the key of version 1 is not lost') foreach ($idle, $in_rr);

# Privileges: none arrives, whether for the role of the same name or for the one of the same number, and what comes after them does.
$provider->safe_psql('postgres', 'CREATE ROLE of_provider');
my $number = $provider->safe_psql('postgres', q{SELECT 'of_provider'::regrole::oid});
$subscriber->safe_psql('postgres', "CREATE ROLE same_number; UPDATE pg_authid SET oid = $number WHERE rolname = 'same_number'");
$provider->safe_psql('postgres', q{SELECT key_vault.kek_grant('app', role, 'unwrap') FROM unnest(ARRAY['of_provider', 'reader']::regrole[]) role});
my $log = -s $subscriber->logfile;
$provider->safe_psql('postgres', q{SELECT pglogical.replication_set_add_table('default', 'key_vault.kek_privilege', true)});
publish(q{SELECT key_vault.kek_grant('app', role, 'decrypt') FROM unnest(ARRAY['of_provider', 'reader']::regrole[]) role});
ok($subscriber->wait_for_log(qr/WARNING:  a row for table key_vault\.kek_privilege that comes from another server is ignored/, $log), 'privileges are ignored, as the log says');
publish(q{SELECT key_vault.kek_suspend('app', 1)});
is(look($idle, uplink($app_key)), 'ERROR:  KEK label "app" version 1 is suspended', 'what comes after privileges is applied');
is($subscriber->safe_psql('postgres', 'SELECT count(*) FROM key_vault.kek_privilege'), 0, 'no privilege arrives');
foreach my $role ('same_number', 'reader')
{
    is(look_anew($subscriber, "SET ROLE $role", qq{SELECT key_vault.has_kek_privilege('app', '$_')}), 'f', "$role has not got $_") foreach ('unwrap', 'decrypt');
}

# With force, after the keys of the subscriber were counted, as the page says
is(look_anew($subscriber, q{SELECT string_agg(kek_version || ': ' || keys, ', ') FROM key_vault.kek_usage('net')}), '3: 200', 'the subscriber counts its keys');
publish(q{SELECT key_vault.kek_destroy('net', 1, force => true)});
is(look($_, $decrypt), 'ERROR:  KEK label "net" version 1 is destroyed', 'a destruction is seen') foreach ($idle, $in_rr);
is(look($_, $right), '200|t|3', 'and no key needed it') foreach ($idle);

# Without the subscription each of them destroys.
look($in_rr, 'ROLLBACK');
$subscriber->safe_psql('postgres', q{SELECT pglogical.drop_subscription('keks_0')});
foreach ($provider, $subscriber)
{
    $_->poll_query_until('postgres', 'SELECT count(*) = 0 FROM pg_replication_slots') or die 'there is still a slot';
    is(look_anew($_, q{SELECT key_vault.kek_destroy('net', 2)}), '', $_->name . ' destroys it');
    is(look_anew($_, $right), '200|t|3', 'its keys are there');
}

$_->quit foreach ($idle, $in_rr);
done_testing();
