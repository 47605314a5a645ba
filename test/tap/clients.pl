# Clients in other languages, each with the driver that Debian or npm has, where that is installed.  They send and
# fetch keys and payloads in text and in binary form, in arrays and by COPY, ingest a message, read errors by their
# SQLSTATE, and call rewrap_all().  The programs are in test/clients, and those that docs/clients.md shows are run
# as they stand there.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use PostgreSQL::Test::Utils qw(append_to_file slurp_file);
use IPC::Run;
use Test::More;

my $clients = "$FindBin::Bin/../clients";
my $jar     = '/usr/share/java/postgresql.jar';
my $modules = "$ENV{TESTDIR}/npm";

# In offline mode; the directory of sources is Debian's.
my @go = ('env', 'GO111MODULE=off', 'GOPATH=/usr/share/gocode', "GOCACHE=$ENV{TESTDIR}/go", 'go', 'run');

# For each client: its name on the page, its program, the command that runs it, and a command that succeeds if
# the driver is installed
my @clients = (
    [ 'psycopg 3', 'psycopg3.py', ['/usr/bin/python3'], [ '/usr/bin/python3', '-c', 'import psycopg' ] ],
    [ 'psycopg 2', 'psycopg2.py', ['/usr/bin/python3'], [ '/usr/bin/python3', '-c', 'import psycopg2' ] ],
    [ 'asyncpg',   'asyncpg.py',  ['/usr/bin/python3'], [ '/usr/bin/python3', '-c', 'import asyncpg' ] ],
    [ 'SQLAlchemy', 'sqlalchemy.py', ['/usr/bin/python3'], [ '/usr/bin/python3', '-c', 'import sqlalchemy, psycopg2' ] ],
    [ 'node pg',   'node_pg.js',  [ 'env', "NODE_PATH=$modules/node_modules", 'node' ], [ 'test', '-d', "$modules/node_modules/pg" ] ],
    [ 'JDBC',      'Jdbc.java',   [ 'java', '-cp', $jar ], [ 'sh', '-c', "command -v javac && test -e $jar" ] ],
    [ 'DBD::Pg',   'dbd_pg.pl',   ['/usr/bin/perl'],    [ '/usr/bin/perl', '-MDBD::Pg', '-e', '1' ] ],
    [ 'PHP',       'php.php',     ['php'],              [ 'php', '-r', 'exit(extension_loaded("pdo_pgsql") ? 0 : 1);' ] ],
    [ 'Ruby',      'ruby_pg.rb',  ['ruby'],             [ 'ruby', '-e', 'require "pg"' ] ],
    [ 'Go',        'lib_pq.go',   \@go, [ 'sh', '-c', 'command -v go && test -d /usr/share/gocode/src/github.com/lib/pq' ] ]);

# What is tried with each of them, and what only with some, as columns of the table on the page
my @with_each = ('write', 'read', 'compare', 'array', 'ingest a string', 'ingest bytes', 'ingest an object', 'SQLSTATE', 'rewrap_all');
my @columns = ('read in binary', 'COPY in text', 'COPY in binary');

# The registry has what Debian does not; without node, npm or a network there is nothing to try.
mkdir $modules;
my $npm = IPC::Run::run([ 'sh', '-c', 'command -v node && command -v npm && exec "$@"', 'sh',
        "$clients/../lib/install_from_npm", $clients, $modules ], '>&', \my $npm_log);
ok($npm, 'npm installs pg') or diag($npm_log) if $ENV{KEY_VAULT_CI};

# JDBC knows no Unix sockets: for the role "app" there is a port of this machine's own, with a password.
my $node = new_node('clients');
my $password = unpack 'H*', join '', map { chr rand 256 } 1 .. 16;
$node->init(extra => [ '--encoding=UTF8', '--locale=C.UTF-8' ]);
$node->configure_vault;
$node->append_conf('postgresql.conf', "listen_addresses = '127.0.0.1'");
unlink $node->data_dir . '/pg_hba.conf';
$node->append_conf('pg_hba.conf', "local all all trust\nhost postgres app 127.0.0.1/32 scram-sha-256");
$node->start;
$node->safe_psql('postgres', q{
    CREATE EXTENSION key_vault;
    SELECT key_vault.kek_create('app1');
    CREATE TABLE session (dev_addr bytea PRIMARY KEY, app_s_key key_vault.wrapped_key NOT NULL);
    CREATE TABLE old_key (key key_vault.wrapped_key);
    CALL key_vault.create_storage('lorawan', kek_label => 'app1');
    CREATE ROLE app LOGIN;
    GRANT ALL ON session, old_key TO app;
    GRANT USAGE ON SCHEMA lorawan TO app;
    GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA lorawan TO app;
    SELECT key_vault.kek_grant('app1', 'app', privilege) FROM unnest(ARRAY['wrap', 'decrypt', 'rewrap']) privilege;
});

$node->safe_psql('postgres', "ALTER ROLE app PASSWORD '$password'");

my $page = slurp_file("$FindBin::Bin/../../docs/clients.md");

# Runs a program as the role "app", on the server that libpq's variables name.  Python writes no compiled module
# beside it.
sub run_client
{
    my (@command) = @_;
    local @ENV{qw(PGHOST PGPORT PGUSER PGDATABASE PYTHONDONTWRITEBYTECODE)} = ($node->host, $node->port, 'app', 'postgres', 1);
    local $ENV{JDBC_URL} = 'jdbc:postgresql://127.0.0.1:' . $node->port . "/postgres?user=app&password=$password";
    my $ended = IPC::Run::run(\@command, '>', \my $shown, '2>', \my $errors);
    return ($ended, $shown, $errors);
}

foreach (@clients)
{
    my ($name, $program, $interpreter, $probe) = @$_;

    SKIP:
    {
        skip "$name is not installed", 1 if !eval { IPC::Run::run($probe, '>&', \my $output) };

        my ($example) = $page =~ /^## \Q$name\E\n.*?^```\w+\n(.*?)^```$/ms or BAIL_OUT("docs/clients.md has no $name");
        my $file = "$ENV{TESTDIR}/example_$program";
        append_to_file($file, $example);
        my (undef, $shown, $errors) = run_client(@$interpreter, $file);
        is($shown, "6e6574207061796c6f6164 KV005\n", "$name: as the page shows it") or diag($errors);
        $node->safe_psql('postgres', 'DELETE FROM session');

        # A key under the version before, so that rewrap_all() has something to do
        $node->safe_psql('postgres', q{TRUNCATE old_key; INSERT INTO old_key VALUES (key_vault.generate_key('app1')); SELECT key_vault.kek_rotate('app1')});
        (my $ended, $shown, $errors) = run_client(@$interpreter, "$clients/$program", "$clients/uplink.json");
        my %tried;
        foreach my $line (split /\n/, $shown)
        {
            my ($failed, $what) = $line =~ /^(not )?ok - (.*)$/ or next;
            ok(!$failed, "$name: $what");
            my ($topic) = $what =~ /^(${\join '|', sort { length $b <=> length $a } @with_each, @columns})\b/;
            $tried{$topic // $what} = 1;
            $tried{read} = 1 if $what =~ /^read in binary/;
        }
        ok($ended, "$name: to the end") or diag($errors);
        is($node->safe_psql('postgres', q{SELECT k.state FROM old_key JOIN key_vault.keks k ON k.label = 'app1' AND k.version = key_vault.kek_version(key)}),
            'active', "$name: the key is rewrapped");
        is(join(', ', grep { !$tried{$_} } @with_each), '', "$name: all was tried that is tried with each");
        my ($cells) = $page =~ /^\| \[\Q$name\E\]\(.*?\) \| [^|]* \| (.*) \|$/m;
        is($cells, join(' | ', map { $tried{$_} ? 'yes' : 'no' } @columns), "$name: the page's table says what was tried");
        is($node->safe_psql('postgres', q{SELECT count(*), string_agg(DISTINCT device_id, ' '), (SELECT count(*) FROM lorawan.rejected) FROM lorawan.uplink JOIN lorawan.device USING (dev_eui)}),
            '2|Fühler-1|0', "$name: the messages are stored");
        $node->safe_psql('postgres', 'TRUNCATE session, lorawan.uplink, lorawan.device, lorawan.session, lorawan.rejected CASCADE');
    }
}

done_testing();
