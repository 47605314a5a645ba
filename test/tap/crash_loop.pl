# kill -9 of every process of a server with fsync on, again and again for a quarter of a minute, at random
# moments; test/soak/crash_loop.py says what the server does meanwhile.  crash.pl, in contrast, kills at each
# step of each operation.
#
# KEY_VAULT_CRASH_MINUTES sets another time.  The long form (KEY_VAULT_LONG) takes 15 minutes unless this
# variable says otherwise.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use PythonTest;
use Test::More;

if (my $why = why_python_cannot())
{
    plan skip_all => $why;
}
my $minutes = $ENV{KEY_VAULT_CRASH_MINUTES} // ($ENV{KEY_VAULT_LONG} ? 15 : 0.25);

my $node = new_node('crash_loop');
$node->init;
$node->append_conf('postgresql.conf', q{
    shared_preload_libraries = 'key_vault'
    max_connections = 50
    client_min_messages = error
    log_min_messages = warning
    log_min_error_statement = panic
    log_statement = none
    fsync = on
    full_page_writes = on
});
# The setting stands in the file that ALTER SYSTEM changes, since the program changes it.
$node->append_conf('postgresql.auto.conf', "key_vault.root_key = 'file:$ENV{TESTDIR}/root.key'\n");
$node->start;
@ENV{qw(PGHOST PGPORT)} = ($node->host, $node->port);
relay('crash loop', "$FindBin::Bin/../soak/crash_loop.py", '--minutes', $minutes, '--root-key', "$ENV{TESTDIR}/root.key",
    '--log', $node->logfile, '--data', $node->data_dir,
    (defined $ENV{KEY_VAULT_SEED} ? ('--seed', $ENV{KEY_VAULT_SEED}) : ()));

# The program has restarted the server, so this object does not know its process id.
($node->{_pid}) = PostgreSQL::Test::Utils::slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/;
$node->stop;
done_testing();
