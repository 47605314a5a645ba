# Each function that administers KEKs writes a line to the server's log when it is called, which no rollback
# takes back.  The line says who did what to which label.  No name can make it look like two lines, and neither
# the statement nor its parameters, which may hold a key, are in it.

use strict;
use warnings;
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use Test::More;

my $node = new_node('logged');
$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->configure_vault;
# Statements are not logged by themselves, but every line is logged with all that settings can add to it: its statement,
# parameters and context.
$node->append_conf('postgresql.conf', q{
    log_line_prefix = '%u '
    log_statement = none
    log_min_error_statement = debug5
    log_parameter_max_length_on_error = -1
    log_error_verbosity = verbose
    client_min_messages = error
});
$node->start;
$node->safe_psql('postgres', q{
    CREATE EXTENSION key_vault;
    CREATE ROLE admin LOGIN;
    CREATE ROLE officer;
    GRANT officer TO admin;
    SELECT key_vault.kek_create('net'), key_vault.kek_create('transport');
    SELECT key_vault.kek_grant('net', 'officer', 'admin'), key_vault.kek_grant('new', 'officer', 'admin');
    CREATE TABLE kept AS SELECT key_vault.generate_key('net') AS key;
});

# The text that is written to the log while statements run in one session.  The statements may fail.
sub logged
{
    my ($user, @statements) = @_;
    my $offset = -s $node->logfile;

    $node->psql('postgres', join(";\n", @statements), extra_params => [ '-U', $user ], on_error_die => 0, on_error_stop => 0);
    return substr(PostgreSQL::Test::Utils::slurp_file($node->logfile), $offset);
}

# The lines that the extension writes, with N in place of the number of the transaction
my $super = getpwuid $<;

sub lines
{
    return map { s/^\w+ LOG:  00000: key_vault: //r =~ s/, transaction \d+/, transaction N/r }
      grep { /^\w+ LOG:  00000: key_vault: / } split /\n/, logged(@_);
}

sub one_line
{
    my ($line, $name, @statements) = @_;
    is_deeply([ lines(@statements) ], [$line], $name);
}

my $by_super = qq{by role "$super", session role "$super", transaction N};
my $by_officer = q{by role "officer", session role "admin", transaction N};

# After the rollback only the line in the log is left.
my @undone = lines('admin', 'SET ROLE officer', q{BEGIN}, q{SELECT key_vault.kek_grant('net', 'officer', 'unwrap')},
    q{SELECT count(key_vault.unwrap(key)) FROM kept}, 'ROLLBACK');
is_deeply(\@undone, [qq{granted KEK label "net" $by_officer: {"role": "officer", "privilege": "unwrap"}}], 'a grant that is rolled back');
is($node->safe_psql('postgres', q{SELECT count(*) FROM key_vault.audit_log WHERE details->>'privilege' = 'unwrap'}), 0, 'and has no row');
one_line(qq{granted KEK label "net" $by_officer: {"role": "officer", "privilege": "unwrap"}}, 'one in a savepoint',
    'admin', 'SET ROLE officer', 'BEGIN', 'SAVEPOINT s', q{SELECT key_vault.kek_grant('net', 'officer', 'unwrap')}, 'ROLLBACK TO s', 'COMMIT');
$node->safe_psql('postgres', q{SELECT key_vault.kek_suspend('net', 1)});
one_line(qq{resumed KEK label "net" version 1 $by_officer: {"from": "suspended", "to": "active"}}, 'a KEK resumed for a moment',
    'admin', 'SET ROLE officer', 'BEGIN', q{SELECT key_vault.kek_resume('net', 1)}, 'ROLLBACK');
is($node->safe_psql('postgres', q{SELECT state FROM key_vault.keks WHERE label = 'net'}), 'suspended', 'it is suspended still');

# The line names the transaction, whose outcome can be asked for.
my ($transaction) = logged($super, 'BEGIN', q{SELECT key_vault.kek_resume('net', 1)}, 'ROLLBACK') =~ /, transaction (\d+)/;
is($node->safe_psql('postgres', "SELECT pg_xact_status('$transaction')"), 'aborted', 'the line names the transaction');

# Every function
my $envelope = $node->safe_psql('postgres', q{SELECT encrypted_key FROM key_vault.export_envelope(key_vault.generate_key('transport'), 'transport')});
one_line(qq{resumed KEK label "net" version 1 $by_super: {"from": "suspended", "to": "active"}}, 'kek_resume', $super, q{SELECT key_vault.kek_resume('net', 1)});
one_line(qq{created KEK label "new" version 1 $by_officer}, 'kek_create', 'admin', 'SET ROLE officer', q{SELECT key_vault.kek_create('new')});
one_line(qq{imported KEK label "new" version 2 $by_super}, 'kek_import_wrapped', $super, qq{SELECT key_vault.kek_import_wrapped('new', '$envelope', 'transport')});
one_line(qq{rotated KEK label "new" version 3 $by_super}, 'kek_rotate', $super, q{SELECT key_vault.kek_rotate('new')});
one_line(qq{suspended KEK label "new" version 2 $by_super: {"from": "deactivated", "to": "suspended"}}, 'kek_suspend', $super, q{SELECT key_vault.kek_suspend('new', 2)});
one_line(qq{compromised KEK label "new" version 1 $by_super: {"from": "deactivated", "to": "compromised"}}, 'kek_compromise', $super, q{SELECT key_vault.kek_compromise('new', 1)});
like((lines($super, q{SELECT key_vault.kek_schedule_destroy('new', 1, '1 day')}))[0],
    qr/^scheduled KEK label "new" version 1 \Q$by_super\E: \{"destroy_at": "[-0-9:. +A-Z]+"\}$/, 'kek_schedule_destroy');
one_line(qq{unscheduled KEK label "new" version 1 $by_super}, 'kek_cancel_destroy', $super, q{SELECT key_vault.kek_cancel_destroy('new', 1)});
one_line(qq{destroyed KEK label "new" version 1 $by_super: {"from": "compromised", "to": "destroyed"}}, 'kek_destroy', $super, q{SELECT key_vault.kek_destroy('new', 1)});
one_line(qq{revoked KEK label "new" $by_super: {"role": "officer", "privilege": "admin"}}, 'kek_revoke', $super, q{SELECT key_vault.kek_revoke('new', 'officer', 'admin')});
$node->safe_psql('postgres', q{SELECT key_vault.kek_rotate('net')});
my @rewrapping = lines($super, q{CALL key_vault.rewrap_all('net')});
is($rewrapping[0], qq{rewrapping begun KEK label "net" by role "$super", session role "$super"}, 'rewrap_all begins');
like($rewrapping[1], qr/^rewrapped KEK label "net" \Q$by_super\E: \{.*"table": "public\.kept".*\}$/, 'a table');
is($rewrapping[-1], qq{rewrapping done KEK label "net" by role "$super", session role "$super": {"keys": 1, "tables": 1, "tables_left": 0}}, 'and is done');
is(scalar @rewrapping, 3, 'nothing else');
my @rotation = lines($super, 'SELECT key_vault.root_key_rotate()');
is_deeply(\@rotation, [ qq{rotation of the root key begun by role "$super", session role "$super"},
    qq{rotation of the root key done by role "$super", session role "$super": {"keks": 0}} ], 'root_key_rotate');

# Under another root key
my $other = "$ENV{TESTDIR}/other.key";
open my $file, '>', $other or die $!;
print $file 'ab' x 32, "\n";
close $file;
chmod 0600, $other;
$node->append_conf('postgresql.conf', "key_vault.root_key = 'file:$other, file:$ENV{TESTDIR}/root.key'\n");
$node->reload;
$node->poll_query_until('postgres', q{SELECT current_setting('key_vault.root_key') ~ 'other'}) or die;
@rotation = lines($super, 'SELECT key_vault.root_key_rotate()');
is(scalar(grep { /^resealed KEK label "\w+" version \d \Q$by_super\E: \{"from": "[0-9a-f]{10}", "to": "[0-9a-f]{10}"\}$/ } @rotation), 5,
    'a line for each KEK that is sealed anew') or diag(join "\n", @rotation);

# Neither keys nor statements
my $key = 'b35a7c0d91e4f6280a1b2c3d4e5f6071';
$node->safe_psql('postgres', q{SELECT key_vault.kek_grant('import', 'officer', 'admin')});
my $log = logged($super, "SELECT key_vault.kek_import('import', '\\x$key')",
    "DO \$\$ BEGIN PERFORM key_vault.kek_import('import2', '\\x$key'); END \$\$");
like($log, qr/imported KEK label "import" version 1/, 'an import from a literal is in the log');
like($log, qr/imported KEK label "import2" version 1/, 'one in a function, too');
unlike($log, qr/$key/i, 'its key is not');
my $script = "$ENV{TESTDIR}/import.sql";
open $file, '>', $script or die $!;
print $file q{SELECT key_vault.kek_import('import3', decode(:key, 'hex'));}, "\n";
close $file;
my $offset = -s $node->logfile;
system("pgbench -n -M prepared -t 1 -f $script -D 'key= $key' -h " . $node->host . ' -p ' . $node->port . ' postgres > pgbench.log 2>&1');
$log = substr(PostgreSQL::Test::Utils::slurp_file($node->logfile), $offset);
like($log, qr/imported KEK label "import3" version 1/, 'an import from a parameter is in the log');
unlike($log, qr/$key/i, 'its key is not');

# Names that contain line ends, or that look like the rest of a line
one_line(qq{created KEK label "x\\" version 9 by role \\"nobody\\\\n" version 1 $by_super}, 'a label with quotes and a backslash', $super,
    q{SELECT key_vault.kek_create('x" version 9 by role "nobody\n')});
one_line(qq{created KEK label "Ger\\xc3\\xa4t \\xe2\\x80\\xa8" version 1 $by_super}, 'a label that is not ASCII', $super,
    q{SELECT key_vault.kek_create(U&'Ger\00e4t \2028')});
$node->safe_psql('postgres', qq{CREATE ROLE "r\nroot LOG:  00000: key_vault: \x{1b}"});
my @role = lines($super, qq{SELECT key_vault.kek_grant('net', '"r\nroot LOG:  00000: key_vault: \x{1b}"', 'wrap')},
    qq{SET ROLE "r\nroot LOG:  00000: key_vault: \x{1b}"}, q{SELECT key_vault.kek_suspend('net', 1)});
is_deeply(\@role, [qq{granted KEK label "net" $by_super: {"role": "r\\nroot LOG:  00000: key_vault: \\u001b", "privilege": "wrap"}}], 'so with roles');

# Clients do not see the lines, and a caller without the privilege writes none.
$node->psql('postgres', q{SET client_min_messages = debug5; SELECT key_vault.kek_suspend('net', 1)}, stderr => \my $stderr);
unlike($stderr, qr/key_vault: /, 'a client does not see the line');
is_deeply([ lines('admin', q{SELECT key_vault.kek_rotate('transport')}) ], [], 'what is refused writes only the error');
is_deeply([ lines($super, q{SELECT count(key_vault.generate_key('net'))}, q{SELECT key_vault.kek_revoke('net', 'officer', 'derive')}) ], [], 'nor does what changes nothing');

# Who drops the extension drops the audit log, too.
my $left    = $node->safe_psql('postgres', q{SELECT count(*) FROM key_vault.keks WHERE state <> 'destroyed'});
my @dropped = lines($super, 'BEGIN', 'SET LOCAL key_vault.allow_drop = on', 'DROP EXTENSION key_vault CASCADE', 'ROLLBACK');
is(scalar(grep { /^dropped KEK label ".*" version \d+ by role "\Q$super\E"/ } @dropped), $left, 'a line for each KEK that is dropped');
ok((grep { /^dropped KEK label "net" version 2 / } @dropped), 'with label and version');

done_testing();
