# Clients in other languages, each with Debian's own driver where that is installed.  They send and fetch keys
# and payloads in text and in binary form, in arrays and by COPY, read errors by their SQLSTATE, and call
# rewrap_all().  The programs are in test/clients, and those that docs/clients.md shows are run as they stand
# there.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use PostgreSQL::Test::Utils qw(slurp_file);
use IPC::Run;
use Test::More;

# For each client: its name on the page, its program, the command that runs it, and a command that succeeds if
# the driver is installed
my @clients = (
    [ 'psycopg 3', 'psycopg3.py', ['/usr/bin/python3'], [ '/usr/bin/python3', '-c', 'import psycopg' ] ],
    [ 'psycopg 2', 'psycopg2.py', ['/usr/bin/python3'], [ '/usr/bin/python3', '-c', 'import psycopg2' ] ],
    [ 'asyncpg',   'asyncpg.py',  ['/usr/bin/python3'], [ '/usr/bin/python3', '-c', 'import asyncpg' ] ],
    [ 'DBD::Pg',   'dbd_pg.pl',   ['/usr/bin/perl'],    [ '/usr/bin/perl', '-MDBD::Pg', '-e', '1' ] ],
    [ 'PHP',       'php.php',     ['php'],              [ 'php', '-r', 'exit(extension_loaded("pdo_pgsql") ? 0 : 1);' ] ],
    [ 'Ruby',      'ruby_pg.rb',  ['ruby'],             [ 'ruby', '-e', 'require "pg"' ] ]);

my $node = new_node('clients');
$node->init;
$node->configure_vault;
$node->start;
$node->safe_psql('postgres', q{
    CREATE EXTENSION key_vault;
    SELECT key_vault.kek_create('app1');
    CREATE TABLE session (dev_addr bytea PRIMARY KEY, app_s_key key_vault.wrapped_key NOT NULL);
    CREATE ROLE app LOGIN;
    GRANT ALL ON session TO app;
    SELECT key_vault.kek_grant('app1', 'app', privilege) FROM unnest(ARRAY['wrap', 'decrypt', 'rewrap']) privilege;
});

my $page = slurp_file("$FindBin::Bin/../../docs/clients.md");

# Runs a program as the role "app", on the server that libpq's variables name.  Python writes no compiled module
# beside it.
sub run_client
{
    my (@command) = @_;
    local @ENV{qw(PGHOST PGPORT PGUSER PGDATABASE PYTHONDONTWRITEBYTECODE)} = ($node->host, $node->port, 'app', 'postgres', 1);
    my $ended = IPC::Run::run(\@command, '>', \my $shown, '2>', \my $errors);
    return ($ended, $shown, $errors);
}

foreach (@clients)
{
    my ($name, $program, $interpreter, $probe) = @$_;

    SKIP:
    {
        skip "$name is not installed", 1 if !eval { IPC::Run::run($probe, '>&', \my $output) };

        # A key under version 1, so that rewrap_all() has something to do
        $node->safe_psql('postgres', q{SELECT key_vault.kek_rotate('app1')});
        my ($example) = $page =~ /^## \Q$name\E\n.*?^```\w+\n(.*?)^```$/ms or BAIL_OUT("docs/clients.md has no $name");
        my $file = "$ENV{TESTDIR}/example";
        PostgreSQL::Test::Utils::append_to_file($file, $example);
        my (undef, $shown, $errors) = run_client(@$interpreter, $file);
        unlink $file;
        is($shown, "6e6574207061796c6f6164 KV005\n", "$name: as the page shows it") or diag($errors);
        $node->safe_psql('postgres', 'DELETE FROM session');
        (my $ended, $shown, $errors) = run_client(@$interpreter, "$FindBin::Bin/../clients/$program");
        foreach my $line (split /\n/, $shown)
        {
            my ($failed, $what) = $line =~ /^(not )?ok - (.*)$/ or next;
            ok(!$failed, "$name: $what");
        }
        ok($ended, "$name: to the end") or diag($errors);
        $node->safe_psql('postgres', 'DELETE FROM session');
    }
}

done_testing();
