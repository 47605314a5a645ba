# A pool in transaction mode: transactions of several roles follow each other on one server connection, and a
# role does not get to use the keys that another role has brought into the cache.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'pgbouncer is not installed'
  unless grep { -x "$_/pgbouncer" } split(/:/, $ENV{PATH}), '/usr/sbin';
$ENV{PATH} .= ':/usr/sbin';

my $node = new_node('pooled');
$node->init;
$node->configure_vault;
$node->start;
$node->safe_psql('postgres', q{
    CREATE EXTENSION key_vault;
    CREATE ROLE analyst;
    CREATE ROLE stranger;
    CREATE ROLE app LOGIN NOINHERIT IN ROLE analyst, stranger;
    SELECT key_vault.kek_create('net');
    SELECT key_vault.kek_grant('net', 'analyst', 'decrypt');
    SELECT key_vault.kek_grant('net', role, 'wrap') FROM unnest(ARRAY['app', 'stranger']::regrole[]) role;
});
my $key = $node->safe_psql('postgres',
    q{SELECT key_vault.wrap('\x000102030405060708090a0b0c0d0e0f', 'net')});

# pgbouncer listens in a socket directory of its own, and not on TCP.
my $dir  = PostgreSQL::Test::Utils::tempdir_short();
my $port = 6432;
append_to_file("$dir/pgbouncer.ini", sprintf(<<'END', $node->host, $node->port, $dir, $port));
[databases]
postgres = host=%s port=%s dbname=postgres user=app
[pgbouncer]
listen_addr =
unix_socket_dir = %s
unix_socket_mode = 0700
listen_port = %s
auth_type = any
pool_mode = transaction
default_pool_size = 1
END
my $bouncer = IPC::Run::start([ 'pgbouncer', "$dir/pgbouncer.ini" ],
    '>', \my $log, '2>&1', IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));

# pgbouncer is stopped, even if the test fails.
END { local $?; $bouncer->kill_kill if $bouncer; }

my $pooled = "host=$dir port=$port dbname=postgres user=anyone";

sub client
{
    my %client = (in => '', out => '', err => '', n => 0);
    $client{run} = IPC::Run::start(
        [ 'psql', '-XAtq', '-d', $pooled, '-f', '-' ],
        '<', \$client{in}, '>', \$client{out}, '2>', \$client{err},
        IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
    return \%client;
}

# The rows or the error of some SQL in a client that stays connected to the pool.
sub ask
{
    my ($client, $sql) = @_;
    my $mark = 'end of answer ' . ++$client->{n};

    $client->{in} .= "$sql;\n\\echo '$mark'\n\\warn '$mark'\n";
    $client->{run}->pump until $client->{out} =~ /^$mark\n/m && $client->{err} =~ /^$mark\n/m;
    my ($out, $err) = ($client->{out}, $client->{err});
    $client->{out} = $client->{err} = '';
    s/^\Q$mark\E\n//m foreach ($out, $err);
    chomp $out;
    return $err =~ /(ERROR:  .*)/ ? $1 : $err ne '' ? $err : $out;
}

# pgbouncer is ready when it answers.
my $tries = 0;
until (IPC::Run::run([ 'psql', '-XAtq', '-d', $pooled, '-c', 'SELECT 1' ], '>', \my $out, '2>', \my $err))
{
    $bouncer->pump_nb;
    BAIL_OUT("pgbouncer does not answer: $err $log") if ++$tries > 100;
    select undef, undef, undef, 0.1;
}

my $ok      = 'net payload';
my $denied  = 'ERROR:  permission denied for KEK label "net"';
my $decrypt = uplink($key);

my ($analyst, $stranger, $nobody) = (client(), client(), client());
my %pids;

sub as
{
    my ($client, $role) = @_;
    my $set = $role ? "SET LOCAL ROLE $role;" : '';
    my $pid = ask($client, "BEGIN; $set SELECT pg_backend_pid()");

    $pids{$pid}++;
    my $answer = ask($client, $decrypt);
    my $again = ask($client, $decrypt);
    ask($client, 'COMMIT');
    return $answer eq $ok ? "$answer, $again" : $answer;
}

for my $round (1 .. 3)
{
    is(as($analyst, 'analyst'),   "$ok, $ok", "round $round: the analyst decrypts");
    is(as($stranger, 'stranger'), $denied,    "round $round: the stranger does not get the analyst's key");
    is(as($nobody),               $denied,    "round $round: nor does the pool's own role");
    is(as($stranger, 'analyst'),  "$ok, $ok", "round $round: another client as the analyst decrypts");
    is(as($analyst, 'stranger'),  $denied,    "round $round: the analyst's client as a stranger does not");
}

# A change is seen by clients of the pool, too.
$node->safe_psql('postgres', q{SELECT key_vault.kek_grant('other', 'analyst', 'decrypt'); SELECT key_vault.kek_revoke('net', 'analyst', 'decrypt')});
is(as($analyst, 'analyst'), $denied, 'revoked');
$node->safe_psql('postgres', q{SELECT key_vault.kek_grant('net', 'analyst', 'decrypt')});
is(as($analyst, 'analyst'), "$ok, $ok", 'granted again');
$node->safe_psql('postgres', q{SET client_min_messages = error; SELECT key_vault.kek_suspend('net', 1)});
is(as($analyst, 'analyst'), 'ERROR:  KEK label "net" version 1 is suspended', 'suspended');
is(as($stranger, 'stranger'), $denied, 'a stranger does not hear that it is');

is(scalar(keys %pids), 1, 'it was all one server connection');

$_->{run}->finish foreach grep { $_->{in} .= "\\q\n" } ($analyst, $stranger, $nobody);
done_testing();
