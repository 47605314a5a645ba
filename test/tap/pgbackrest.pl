# pgBackRest, by the commands of the runbook: a full backup, an incremental one in the middle of a rotation, and
# restores to moments in and after it.  Each time KEKs and keys are of the same moment and all keys open,
# if the server has the root key of that moment; if not, there is an error that names it.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $page = slurp_file("$FindBin::Bin/../../docs/runbook.md");
my ($section) = $page =~ /^\*\*pgBackRest\*\*(.*?)(?:^\*\*|^## |\z)/ms or die 'no such section';
my ($backup, $restore) = $section =~ /^```sh\n(.*?)^```$/msg;

plan skip_all => 'pgbackrest is not installed' unless grep { -x "$_/pgbackrest" } split(/:/, $ENV{PATH});

my $primary = new_node('primary');
my $dir = $primary->basedir;
$ENV{PGBACKREST_CONFIG} = "$dir/pgbackrest.conf";
$primary->init(allows_streaming => 1);
$primary->configure_vault;
$primary->append_conf('postgresql.conf', "archive_mode = on\narchive_command = 'pgbackrest --stanza=main archive-push %p'\n");
append_to_file($ENV{PGBACKREST_CONFIG}, sprintf(<<'END', (map { "$dir/$_" } qw(repo log lock spool)), $primary->data_dir, $primary->host, $primary->port));
[global]
repo1-path=%s
log-path=%s
lock-path=%s
spool-path=%s
log-level-console=warn
start-fast=y
compress-type=none
[main]
pg1-path=%s
pg1-socket-path=%s
pg1-port=%s
END
mkdir "$dir/$_" or die foreach qw(repo log lock spool);
$primary->start;
$primary->safe_psql('postgres', q{
    CREATE EXTENSION key_vault;
    CREATE ROLE analyst;
    CREATE TABLE device (n integer PRIMARY KEY, plain bytea, key key_vault.wrapped_key);
    SELECT key_vault.kek_create('net');
    SELECT key_vault.kek_grant('net', 'analyst', 'unwrap');
    GRANT SELECT ON device TO analyst;
    INSERT INTO device SELECT n, decode(md5(n::text), 'hex'), key_vault.wrap(decode(md5(n::text), 'hex'), 'net') FROM generate_series(1, 100) n;
});

sub ends_well
{
    my ($what, $command) = @_;

    is(system('bash', '-c', $command), 0, $what);
}

# A target is looked for in backups that ended in an earlier second.
my @moments;
sub moment
{
    my ($name, $expected) = @_;

    push @moments, [ $name, $expected, $primary->safe_psql('postgres', 'SELECT clock_timestamp()') ];
}

sub next_second
{
    my $now = $primary->safe_psql('postgres', 'SELECT clock_timestamp()');
    $primary->poll_query_until('postgres', "SELECT date_trunc('second', clock_timestamp()) > '$now'") or die;
}

ends_well('a stanza is made', 'pgbackrest --stanza=main stanza-create');
ends_well('a full backup', $backup);
$primary->safe_psql('postgres', q{
    SELECT key_vault.kek_rotate('net');
    UPDATE device SET key = key_vault.rewrap(key) WHERE n <= 50;
});
ends_well('an incremental backup', $backup =~ s/backup$/--type=incr backup/r);
next_second();
moment('half rewrapped', '1 deactivated: 50, 2 active: 50');
$primary->safe_psql('postgres', q{CALL key_vault.rewrap_all('net')});
$primary->safe_psql('postgres', q{SELECT key_vault.kek_destroy('net', 1); SELECT key_vault.kek_revoke('net', 'analyst', 'unwrap')});

# The root key is rotated, too.
my $old_key = "$ENV{TESTDIR}/root.key";
my $new_key = "$ENV{TESTDIR}/root-2.key";
my $hex = slurp_file($old_key) =~ s/\s//gr;
append_to_file($new_key, reverse($hex) . "\n");
chmod 0600, $new_key or die;
$primary->append_conf('postgresql.conf', "key_vault.root_key = 'file:$new_key, file:$old_key'\n");
$primary->reload;
$primary->poll_query_until('postgres', q{SELECT count(*) = 2 FROM key_vault.root_keys()}) or die;
$primary->safe_psql('postgres', q{SELECT key_vault.root_key_rotate()});
moment('a new root key', '1 destroyed: 0, 2 active: 100');
$primary->safe_psql('postgres', q{DELETE FROM device});
my $last = $primary->safe_psql('postgres', 'SELECT pg_walfile_name(pg_switch_wal())');
$primary->poll_query_until('postgres', "SELECT last_archived_wal >= '$last' FROM pg_stat_archiver") or die 'WAL is not archived';
is(system("grep -rqiF -e $hex -e " . reverse($hex) . " $dir/repo"), 1 << 8, 'no root key is in the backups');

foreach my $moment (@moments)
{
    my ($name, $expected, $time) = @$moment;
    my $node = new_node($name =~ tr/ /_/r);
    my $has = $name eq 'a new root key' ? $new_key : $old_key;

    mkdir $node->basedir;
    mkdir $node->data_dir, 0700 or die;
    local @ENV{qw(PGBACKREST_PG1_PATH moment)} = ($node->data_dir, $time);
    ends_well("$name: restored", $restore);
    $node->append_conf('postgresql.conf', 'port = ' . $node->port . "\narchive_mode = off\nkey_vault.root_key = 'file:" . ($has eq $old_key ? $new_key : $old_key) . "'\n");
    $node->start;
    $node->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()') or die "$name is not up";

    my $all_open = q{SELECT count(*), bool_and(key_vault.unwrap(key) = plain) FROM device};
    like(look_anew($node, $all_open), qr/^ERROR:  .*root key/, "$name: with another root key, an error says so");
    is(look_anew($node, q{SELECT string_agg(problems::text, '') <> '' FROM key_vault.check_keys()}), 't', "$name: and so does check_keys()");
    $node->append_conf('postgresql.conf', "key_vault.root_key = 'file:$has'\n");
    $node->reload;
    $node->poll_query_until('postgres', qq{SELECT current_setting('key_vault.root_key') = 'file:$has'}) or die;
    my $warm = open_session($node);
    is(look($warm, $all_open), '100|t', "$name: with its own, every key opens");
    is(look_anew($node, q{SELECT string_agg(concat(version, ' ', state, ': ', keys), ', ' ORDER BY version)
          FROM (SELECT k.version, k.state, count(d) AS keys FROM key_vault.keks k
                  LEFT JOIN device d ON key_vault.kek_id(d.key) = k.kek_id GROUP BY 1, 2) v}),
        $expected, "$name: KEKs and keys are of one moment");
    is(look_anew($node, q{SELECT sum(keys), sum(opened) FROM key_vault.check_keys()}), '100|100', "$name: check_keys() opens all of them");
    my $granted = $expected =~ /destroyed/ ? 'ERROR:  permission denied for KEK label "net"' : '100|t';
    is(look_anew($node, 'SET ROLE analyst', $all_open), $granted, "$name: privileges are of it, too");

    # The rotation goes on from there.
    is(look_anew($node, q{SELECT key_vault.kek_rotate('net') > 1}), 't', "$name: rotated anew");
    is(look_anew($node, q{CALL key_vault.rewrap_all('net')}), '', "$name: rewrapped");
    is(look_anew($node, q{SELECT count(key_vault.kek_destroy(label, version)) > 0 FROM key_vault.keks WHERE state = 'deactivated'}), 't', "$name: and destroyed");
    is(look($warm, $all_open), '100|t', "$name: every key opens in the session that was open");
    is(look_anew($node, $all_open), '100|t', "$name: and in a new one");
    $warm->quit;
    $node->stop;
}

done_testing();
