# The audit log does not record uses of keys.  pgaudit writes those to the server's log: who called which
# function, and attempts that were refused.  Both logs describe the same session.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use Test::More;

my $node = new_node('audited');
$node->init;
$node->configure_vault;
chomp(my $pkglibdir = `pg_config --pkglibdir`);
plan skip_all => 'pgaudit is not installed' if !-e "$pkglibdir/pgaudit.so";
$node->append_conf('postgresql.conf', q{
    shared_preload_libraries = 'key_vault, pgaudit'
    log_line_prefix = '%u %p '
    log_statement = none
    pgaudit.log = 'function'
    pgaudit.log_catalog = off
    pgaudit.role = 'auditor'
});
$node->start;
$node->safe_psql('postgres', q{
    SET client_min_messages = error;
    CREATE EXTENSION pgaudit;
    CREATE EXTENSION key_vault;
    CREATE ROLE auditor;
    CREATE ROLE analyst LOGIN;
    CREATE ROLE admin LOGIN;
    SELECT key_vault.kek_create('net');
    CREATE TABLE session (dev_addr bytea, key key_vault.wrapped_key);
    INSERT INTO session SELECT '\x26011bda', key_vault.generate_key('net') FROM generate_series(1, 100);
    CREATE VIEW reading AS SELECT key_vault.lorawan_decrypt_uplink(key, dev_addr, 1, '\x00') AS payload FROM session;
    GRANT SELECT ON session, reading TO analyst;
    GRANT SELECT (key) ON session TO auditor;
    SELECT key_vault.kek_grant('net', 'analyst', 'decrypt'), key_vault.kek_grant('net', 'admin', 'admin');
});

# The log's lines of a session.
sub audited
{
    my ($user, @statements) = @_;
    my $offset = -s $node->logfile;

    $node->psql('postgres', join(";\n", @statements), extra_params => [ '-U', $user ], on_error_die => 0);
    my $log = substr(PostgreSQL::Test::Utils::slurp_file($node->logfile), $offset);
    return [ map { s/^(\w+) \d+ LOG:  AUDIT: /$1 /r } grep { /^\w+ \d+ (LOG:  AUDIT:|ERROR:)/ } split /\n/, $log ];
}

my $uses = audited('analyst', 'SELECT count(DISTINCT payload) FROM reading');
is(scalar(grep { /^analyst SESSION,.*FUNCTION,EXECUTE,FUNCTION,key_vault\.lorawan_decrypt_uplink,/ } @$uses), 1,
    'a use through a view: once a statement, by name') or diag(@$uses);
is(scalar(grep { /^analyst OBJECT,.*,READ,SELECT,TABLE,public\.session,/ } @$uses), 1, 'and the reading of wrapped keys');

$uses = audited('analyst', 'SELECT key_vault.unwrap(key) FROM session');
is(scalar(grep { /^analyst SESSION,.*,key_vault\.unwrap,/ } @$uses), 1, 'a refused attempt');
is(scalar(grep { /^analyst \d+ ERROR:  permission denied for KEK label "net"/ } @$uses), 1, 'and its refusal');

# A query that uses no keys writes none of these lines, so the lines above come from the keys.
$uses = audited('analyst', 'SELECT count(*) FROM pg_class');
is(scalar(grep { /key_vault|session/ } @$uses), 0, 'nothing of what is not about keys');

$uses = audited('admin', q{SELECT key_vault.kek_rotate('net')});
is(scalar(grep { /^admin SESSION,.*,key_vault\.kek_rotate,/ } @$uses), 1, 'administration, too');
my ($pid) = PostgreSQL::Test::Utils::slurp_file($node->logfile) =~ /^admin (\d+) LOG:  AUDIT:.*kek_rotate/m;
is($node->safe_psql('postgres', q{SELECT event, label, version, role, session_role, pid FROM key_vault.audit_log ORDER BY at DESC LIMIT 1}),
    "rotated|net|2|admin|admin|$pid", 'as in the audit log, with the same process id');

done_testing();
