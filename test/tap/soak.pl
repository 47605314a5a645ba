# Fifty sessions on one server for two minutes: test/soak/soak.py says what they do.
#
# The long form (KEY_VAULT_LONG) takes KEY_VAULT_SOAK_MINUTES, 30 by default, and kills a
# process of the server every minute, which then starts anew.  KEY_VAULT_SEED repeats the
# keys and messages of a run, though not its order.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use PythonTest;
use Test::More;

# Alone, it is run by KEY_VAULT_LONG=1 with KEY_VAULT_SOAK_MINUTES=N.
if (!$ENV{KEY_VAULT_LONG})
{
    plan tests => 1;
  SKIP:
    {
        skip 'two minutes of fifty sessions take both processors from all other tests: KEY_VAULT_LONG=1 runs it', 1;
    }
    exit;
}
if (my $why = why_python_cannot())
{
    plan skip_all => $why;
}
my $long    = $ENV{KEY_VAULT_LONG};
my $minutes = $long ? $ENV{KEY_VAULT_SOAK_MINUTES} // 30 : 2;

my $node = new_node('soak');
$node->init;
$node->append_conf('postgresql.conf', q{
    shared_preload_libraries = 'key_vault'
    max_connections = 120
    restart_after_crash = on
    autovacuum_naptime = 5
    client_min_messages = error
    log_min_messages = warning
    log_min_error_statement = panic
    log_statement = none
    fsync = off
});
# Where ALTER SYSTEM changes it.
$node->append_conf('postgresql.auto.conf', "key_vault.root_key = 'file:$ENV{TESTDIR}/root.key'\n");
$node->start;
@ENV{qw(PGHOST PGPORT)} = ($node->host, $node->port);
relay('soak', "$FindBin::Bin/../soak/soak.py", '--minutes', $minutes, '--root-key', "$ENV{TESTDIR}/root.key",
    '--log', $node->logfile, ($long ? '--crashes' : ()), (defined $ENV{KEY_VAULT_SEED} ? ('--seed', $ENV{KEY_VAULT_SEED}) : ()));
$node->stop;
done_testing();
