# Failures of every call: an allocation, OpenSSL, SPI, a file, the disk, and a cancellation at each step, in every
# function, cold and warm.  test/failures/main.py says what must be then.
#
# In the short form, calls that differ from day to day fail: two of each kind in the statements of the script, and in some
# functions.  In the long form all do but for most allocations, with a server for each core.  KEY_VAULT_FAILURES may have
# further arguments.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use PythonTest;
use PostgreSQL::Test::Utils;
use Test::More;

if (my $why = why_python_cannot())
{
    plan skip_all => $why;
}
my $dir       = $ENV{TESTDIR};
my $failures  = "$FindBin::Bin/../failures";
my $pg_config = $ENV{PG_CONFIG} || 'pg_config';
chomp(my $includes = `$pg_config --includedir-server`);
system("cc -Wall -O1 -fno-builtin -D_GNU_SOURCE -shared -fPIC -I$includes -o $dir/fault.so $failures/fault.c $failures/places.c") == 0 or die;

chomp(my $cores = `nproc`);
my @nodes;
foreach my $number (1 .. ($ENV{KEY_VAULT_LONG} ? $cores : 1))
{
    my $node = new_node("failures_$number");
    $node->init;
    $node->configure_vault;
    # Whoever makes tables and rolls that back looks through all buffers for each.
    $node->append_conf('postgresql.conf', "restart_after_crash = on\nautovacuum = off\nshared_buffers = 8MB\n");
    $node->start;
    push @nodes, $node;
}

# The KEKs of the script are sealed under the second root key first.
my ($root_key) = slurp_file($nodes[0]->data_dir . '/postgresql.conf') =~ /key_vault.root_key = 'file:(.*)'/ or die;
my $command = '"command:echo 00000000000000000000000000000000000000000000000000000000000000aa"';
my $other = "$dir/other.key";
system("umask 077; echo 00000000000000000000000000000000000000000000000000000000000000bb > $other") == 0 or die;
$ENV{PGHOST} = $nodes[0]->host;
relay('failures', "$failures/main.py", "$dir/fault.so", "$FindBin::Bin/../pgtap/gate.sql",
    '--ports', join(',', map { $_->port } @nodes), '--root-keys', "file:$other, $command, file:$root_key", ($ENV{KEY_VAULT_LONG} ? () : ('--points', 1, '--one-of', 120, '--seed', int(time / 86400))), split ' ', $ENV{KEY_VAULT_FAILURES} // '');
$_->stop foreach @nodes;
done_testing();
