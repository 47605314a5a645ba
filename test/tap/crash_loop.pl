# kill -9 of every process of a server with fsync on, again and again for a minute, at moments
# that nothing chooses: test/soak/crash_loop.py says what goes on meanwhile.  crash.pl kills
# at each step of each operation.
#
# The long form (KEY_VAULT_LONG) takes KEY_VAULT_CRASH_MINUTES, 15 by default.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use PythonTest;
use Test::More;

# Alone, it is run by KEY_VAULT_LONG=1 with KEY_VAULT_CRASH_MINUTES=N.
if (!$ENV{KEY_VAULT_LONG})
{
    plan tests => 1;
  SKIP:
    {
        skip 'it kills its server for a minute with fsync on, and takes both processors from all other tests: KEY_VAULT_LONG=1 runs it', 1;
    }
    exit;
}
if (my $why = why_python_cannot())
{
    plan skip_all => $why;
}
my $minutes = $ENV{KEY_VAULT_LONG} ? $ENV{KEY_VAULT_CRASH_MINUTES} // 15 : 1;

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
# Where ALTER SYSTEM changes it.
$node->append_conf('postgresql.auto.conf', "key_vault.root_key = 'file:$ENV{TESTDIR}/root.key'\n");
$node->start;
@ENV{qw(PGHOST PGPORT)} = ($node->host, $node->port);
relay('crash loop', "$FindBin::Bin/../soak/crash_loop.py", '--minutes', $minutes, '--root-key', "$ENV{TESTDIR}/root.key",
    '--log', $node->logfile, '--data', $node->data_dir,
    (defined $ENV{KEY_VAULT_SEED} ? ('--seed', $ENV{KEY_VAULT_SEED}) : ()));

# It was started anew meanwhile, not by this.
($node->{_pid}) = PostgreSQL::Test::Utils::slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/;
$node->stop;
done_testing();
