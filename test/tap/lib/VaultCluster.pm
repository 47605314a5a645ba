# Servers with key_vault for the tests of this directory, on top of PostgreSQL's own
# PostgreSQL::Test::Cluster.  PG_CONFIG says which PostgreSQL; pg_config in the PATH otherwise.
#
# Everything lies in one temporary directory and is reached by Unix sockets in it;
# servers are stopped and the directory removed at the end, also after a failure, unless
# PG_TEST_NOCLEAN is set.

package VaultCluster;

use strict;
use warnings;

use Exporter 'import';
use File::Temp qw(tempdir);

BEGIN
{
    my $pg_config = $ENV{PG_CONFIG} || 'pg_config';
    chomp(my $bindir = `$pg_config --bindir`);
    chomp(my $pgxs   = `$pg_config --pgxs`);
    die "$pg_config does not run\n" if $bindir eq '' || $pgxs eq '';
    (my $test = $pgxs) =~ s{/makefiles/pgxs\.mk$}{/test};

    # PostgreSQL does not run as root: go on as its user.
    if ($> == 0)
    {
        my ($uid, $gid, $home) = (getpwnam('postgres'))[2, 3, 7]
          or die "there is no user postgres to run the servers as\n";
        $) = "$gid $gid";
        $( = $gid;
        ($<, $>) = ($uid, $uid);
        die "could not become user postgres\n" if $> != $uid || $< != $uid;
        $ENV{HOME} = $home;
        delete $ENV{TMPDIR};
    }

    my $dir = tempdir('key_vault_tap_XXXXXX', TMPDIR => 1, CLEANUP => 1);
    chdir $dir or die "$dir: $!\n";

    # PostgreSQL 15 needs the first variable, later versions the others.  Logs may be wanted elsewhere.
    $ENV{TESTDIR}     = $dir;
    $ENV{TESTDATADIR} = "$dir/data";
    $ENV{TESTLOGDIR} //= "$dir/log";
    mkdir $_ foreach grep { !-d } @ENV{qw(TESTDATADIR TESTLOGDIR)};
    $ENV{PG_REGRESS} = "$test/regress/pg_regress";
    $ENV{PATH}       = "$bindir:$ENV{PATH}";
    unshift @INC, "$test/perl";
}

# The END blocks of a program run after a signal, too.
$SIG{$_} = sub { die "stopped by a signal\n" } foreach qw(HUP INT TERM);

# This stands before PostgreSQL's modules, so that it runs after their END blocks, which keep the files of a
# failed test.
END { $File::Temp::KEEP_ALL = defined $ENV{PG_TEST_NOCLEAN}; }

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(new_node crash_backend open_session look look_anew uplink);

my @nodes;

# A new root key, which all servers of a test use
my $root_key = "$ENV{TESTDIR}/root.key";

sub write_root_key
{
    open my $random, '<:raw', '/dev/urandom' or die "/dev/urandom: $!";
    read($random, my $bytes, 32) == 32 or die "/dev/urandom: $!";
    umask 0077;
    open my $file, '>', $root_key or die "$root_key: $!";
    print $file unpack('H*', $bytes), "\n";
    close $file or die "$root_key: $!";
}

# A node that is not yet initialized
sub new_node
{
    my ($name) = @_;
    my $node = PostgreSQL::Test::Cluster->new($name);

    write_root_key() unless -e $root_key;
    push @nodes, $node;
    return $node;
}

# The settings that its postgresql.conf needs
sub PostgreSQL::Test::Cluster::configure_vault
{
    my ($node) = @_;
    $node->append_conf('postgresql.conf', "key_vault.root_key = 'file:$root_key'\nfsync = off\n");
}

# Kills a backend, as a crash would, and with it all sessions of its server; returns when the server has
# recovered.  It does not wait with a query: a psql that is refused ends before it has read one, which would end
# the test.
sub crash_backend
{
    my ($node, $pid) = @_;
    my $log = -s $node->logfile;

    kill 'KILL', $pid;
    $node->wait_for_log(qr/all server processes terminated; reinitializing/, $log);
    foreach (1 .. 20 * $PostgreSQL::Test::Utils::timeout_default)
    {
        return if IPC::Run::run([ 'pg_isready', '-q', '-d', $node->connstr('postgres') ]);
        select undef, undef, undef, 0.05;
    }
    die $node->name . " does not come up\n";
}

# A session that stays open, and runs one statement after the other
sub open_session
{
    my ($node) = @_;
    my $session = $node->background_psql('postgres', on_error_stop => 0);

    $session->query('SET client_min_messages = error');
    return $session;
}

sub message_of
{
    my ($stderr) = @_;
    my ($message) = $stderr =~ /((?:ERROR|FATAL):  .*)/;

    return $message // $stderr;
}

# The rows that a query returns in an open session, or its error
sub look
{
    my ($session, $sql) = @_;

    $session->{stderr} = '';
    my $rows  = $session->query($sql);
    my $error = $session->{stderr};
    $session->{stderr} = '';
    return $error eq '' ? $rows : message_of($error);
}

# The same for the last of some statements in a session of its own
sub look_anew
{
    my ($node, @statements) = @_;
    my $sql = join ";\n", 'SET client_min_messages = error', @statements;

    $node->psql('postgres', $sql, stdout => \my $rows, stderr => \my $error, on_error_die => 0);
    return $error eq '' ? $rows : message_of($error);
}

# A query that decrypts "net payload", which was encrypted with the key 000102030405060708090a0b0c0d0e0f
sub uplink
{
    my ($wrapped_key) = @_;

    return "SELECT convert_from(key_vault.lorawan_decrypt_uplink('$wrapped_key', "
      . "'\\x26011bda', 1, '\\xbc96d0bce3c0d2abfcfa1e'), 'UTF8')";
}

END
{
    my $status = $?;

    if ($status != 0 || !Test::More->builder->is_passing)
    {
        foreach my $node (@nodes)
        {
            my @lines = split /\n/, (-e $node->logfile ? slurp_file($node->logfile) : '');
            splice @lines, 0, -40 if @lines > 40;
            diag(join "\n", 'End of the log of server ' . $node->name . ':', @lines);
        }
    }
    $? = $status;
}

1;
