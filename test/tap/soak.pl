# Fifty sessions on one server for half a minute: test/soak/soak.py says what they do.
#
# KEY_VAULT_SOAK_MINUTES sets another time.  The long form (KEY_VAULT_LONG) takes 30 minutes unless that
# variable says otherwise, and kills a process of the server every minute, after which the server recovers.
# KEY_VAULT_SEED repeats the keys and messages of a run, but not its order.

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
my $long    = $ENV{KEY_VAULT_LONG};
my $minutes = $ENV{KEY_VAULT_SOAK_MINUTES} // ($long ? 30 : 0.5);

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
# The setting stands in the file that ALTER SYSTEM changes, since the program changes it.
$node->append_conf('postgresql.auto.conf', "key_vault.root_key = 'file:$ENV{TESTDIR}/root.key'\n");
$node->start;
@ENV{qw(PGHOST PGPORT)} = ($node->host, $node->port);
relay('soak', "$FindBin::Bin/../soak/soak.py", '--minutes', $minutes, '--root-key', "$ENV{TESTDIR}/root.key",
    '--log', $node->logfile, ($long ? '--crashes' : ()), (defined $ENV{KEY_VAULT_SEED} ? ('--seed', $ENV{KEY_VAULT_SEED}) : ()));
$node->stop;
done_testing();
