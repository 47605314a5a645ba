# Dumps and restores.  With the same root key everything is readable, in whatever order it is restored.  With
# another root key there is one error, which names both root keys, and nothing is lost.  The KEKs that pg_dump
# -n and -t leave out can be restored later, from a dump of the KEKs alone.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use IPC::Run;
use Test::More;

my $source = new_node('source');
$source->init;
$source->configure_vault;
$source->start;
my @roles = map { "CREATE ROLE $_" } qw(analyst passing);
$source->safe_psql('postgres', join ';', @roles);
$source->safe_psql('postgres', q{
    SET client_min_messages = error;
    CREATE DATABASE lorawan;
});
$source->safe_psql('lorawan', q{
    SET client_min_messages = error;
    CREATE EXTENSION key_vault;
    SELECT key_vault.kek_create(label) FROM unnest(ARRAY['net', 'app', 'old']) label;
    SELECT key_vault.kek_grant('net', 'analyst', 'decrypt'), key_vault.kek_grant('net', 'passing', 'decrypt');
    CREATE DOMAIN app_key AS key_vault.wrapped_key;
    CREATE TABLE a_device (n integer PRIMARY KEY, net_key key_vault.wrapped_key, app_key app_key,
        CHECK (key_vault.algorithm(net_key) <> 'rot13'));
    CREATE INDEX ON a_device (net_key);
    CREATE INDEX ON a_device USING hash (net_key);
    CREATE INDEX ON a_device ((key_vault.kek_id(net_key)));
    CREATE TABLE z_part (n integer, keys key_vault.wrapped_key[]) PARTITION BY LIST (n);
    CREATE TABLE z_part_1 PARTITION OF z_part FOR VALUES IN (1);
    INSERT INTO a_device SELECT n, key_vault.generate_key('net'), key_vault.bind(key_vault.generate_key('app'), '\x26011bda')
      FROM generate_series(1, 50) n;
    SELECT key_vault.kek_rotate(label) FROM unnest(ARRAY['net', 'old']) label;
    INSERT INTO a_device SELECT n, key_vault.generate_key('net', n), key_vault.generate_key('app') FROM generate_series(51, 100) n;
    INSERT INTO z_part SELECT 1, ARRAY[net_key, app_key] FROM a_device;
    SELECT key_vault.kek_compromise('old', 2), key_vault.kek_destroy('old', 1);
    SELECT key_vault.kek_schedule_destroy('net', 1, interval '1 year');
    CREATE MATERIALIZED VIEW report AS SELECT count(key_vault.key_check_value(net_key)) FROM a_device WHERE n <= 50;
    DROP OWNED BY passing;
    DROP ROLE passing;
});

# Everything that should be the same after a restore
my $keys = q{
    SELECT count(*), md5(string_agg(key_vault.unwrap(net_key)::text || key_vault.unwrap(app_key)::text, ',' ORDER BY n)),
           (SELECT md5(string_agg(key_vault.unwrap(k)::text, ',' ORDER BY k)) FROM z_part, unnest(keys) k)
      FROM a_device};
my $vault = q{
    SELECT (SELECT md5(string_agg(k::text, ',' ORDER BY k::text)) FROM key_vault.kek k),
           (SELECT string_agg(concat_ws(' ', label, role, privilege), ',') FROM key_vault.kek_privilege
             WHERE role::text <> role::oid::text),
           (SELECT md5(string_agg(l::text, ',' ORDER BY l::text)) FROM key_vault.audit_log l),
           (SELECT string_agg(d::text, ',') FROM key_vault.kek_destruction d)};
my $all_keys  = $source->safe_psql('lorawan', $keys);
my $all_vault = $source->safe_psql('lorawan', $vault);
like($all_keys, qr/^100\|\w{32}\|\w{32}$/, 'there are keys to dump');

my $key_2 = $source->safe_psql('lorawan', 'SELECT net_key FROM a_device WHERE n = 60');

sub in_db
{
    my ($node, $db, $sql) = @_;
    $node->psql($db, "\\set VERBOSITY verbose\nSET client_min_messages = error; $sql",
        stdout => \my $rows, stderr => \my $error, on_error_die => 0);
    return $error =~ /((?:ERROR|FATAL):  .*(?:\nDETAIL:  .*)?)/ ? $1 : $rows;
}

sub dump_of
{
    my ($file, @options) = @_;
    my $path = "$ENV{TESTDIR}/$file";

    PostgreSQL::Test::Utils::run_log([ 'pg_dump', '-d', $source->connstr('lorawan'), '-f', $path, @options ])
      or die "pg_dump @options";
    return $path;
}

sub restore
{
    my ($node, $db, $path, @options) = @_;
    my @command = $path =~ /\.sql$/
      ? ('psql', '-Xq1', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($db), '-f', $path)
      : ('pg_restore', '--exit-on-error', '-d', $node->connstr($db), @options, $path);
    my $output;

    return IPC::Run::run(\@command, '>&', \$output) ? 'restored' : $output;
}

sub new_database
{
    my ($node, $db) = @_;
    $node->safe_psql('postgres', "CREATE DATABASE $db");
}

# The same root key

my $same = new_node('same');
$same->init;
$same->configure_vault;
$same->start;
$same->safe_psql('postgres', $roles[0]);

my $plain  = dump_of('plain.sql');
my $custom = dump_of('custom.dump', '-Fc');
my $slurped = PostgreSQL::Test::Utils::slurp_file($plain);
ok($slurped !~ /^net\tpassing/m && $slurped !~ / TO passing;/, 'privileges of a dropped role are in no dump');

new_database($same, 'plain');
is(restore($same, 'plain', $plain), 'restored', 'a plain dump is restored');
is(in_db($same, 'plain', $keys),  $all_keys,  'every key is as it was');
is(in_db($same, 'plain', $vault), $all_vault, 'so are KEKs, privileges and the audit log');
like(in_db($same, 'plain', 'DELETE FROM key_vault.audit_log'), qr/append-only/, 'which is append-only there');
like(in_db($same, 'plain', 'DELETE FROM key_vault.kek'), qr/cannot be deleted/, 'and KEKs are guarded');
is(in_db($same, 'plain', q{SET ROLE analyst; SELECT count(key_vault.key_status(net_key, '\x26011bda')) FROM a_device}),
    "ERROR:  42501: permission denied for table a_device", 'a role may no more than it might');
is(in_db($same, 'plain', q{SELECT key_vault.has_kek_privilege('net', 'decrypt'), key_vault.has_kek_privilege('net', 'unwrap') FROM (SELECT set_config('role', 'analyst', false)) s}),
    't|f', 'and has its privileges');
is(in_db($same, 'plain', q{SELECT key_vault.kek_rotate('net')}), 3, 'it rotates on');

# pg_restore --clean would drop KEKs that were made after the dump, so it needs permission by PGOPTIONS.
like(restore($same, 'plain', $custom, '--clean', '--if-exists'), qr/cannot drop table key_vault\.kek: .*HINT: .*PGOPTIONS/s, 'pg_restore --clean is refused');
is(in_db($same, 'plain', q{SELECT max(version) FROM key_vault.keks WHERE label = 'net'}), 3, 'and the KEKs are there');
{
    local $ENV{PGOPTIONS} = '-c key_vault.allow_drop=on';
    is(restore($same, 'plain', $custom, '--clean', '--if-exists'), 'restored', 'with PGOPTIONS it goes on');
}
is(in_db($same, 'plain', $keys),  $all_keys,  'every key is as it was');
is(in_db($same, 'plain', $vault), $all_vault, 'so are the KEKs');

# A restore works in any order: keys before KEKs, all entries backwards, and several entries in parallel.

sub entries
{
    my ($order) = @_;
    my $list = "$ENV{TESTDIR}/list";
    my @lines = split /\n/, `pg_restore -l '$custom'`;
    my @data = grep { / TABLE DATA / } @lines;
    my @others = grep { !/ TABLE DATA / && !/ MATERIALIZED VIEW DATA / && !/^;/ } @lines;
    my @last = grep { / MATERIALIZED VIEW DATA / } @lines;
    my ($post) = grep { $others[$_] =~ / (INDEX|CONSTRAINT) / } 0 .. $#others;

    @data = $order->(@data);
    open my $file, '>', $list or die "$list: $!";
    print $file "$_\n" foreach (@others[ 0 .. $post - 1 ], @data, @others[ $post .. $#others ], @last);
    close $file;
    return ($list, \@data);
}

new_database($same, 'backwards');
my ($list, $data) = entries(sub { sort { ($a =~ /key_vault/) <=> ($b =~ /key_vault/) } reverse @_ });
like($data->[-1], qr/ key_vault /, 'the KEKs come last');
unlike($data->[0], qr/ key_vault /, 'and keys first');
is(restore($same, 'backwards', $custom, '-L', $list), 'restored', 'the keys are restored before the KEKs');
is(in_db($same, 'backwards', $keys),  $all_keys,  'every key is as it was');
is(in_db($same, 'backwards', $vault), $all_vault, 'so are KEKs, privileges and the audit log');

new_database($same, 'parallel');
is(restore($same, 'parallel', $custom, '-j', 3), 'restored', 'restored by several jobs');
is(in_db($same, 'parallel', $keys),  $all_keys,  'every key is as it was');

new_database($same, 'sections');
is(restore($same, 'sections', $custom, "--section=$_"), 'restored', "section $_ by itself")
  foreach qw(pre-data data post-data);
is(in_db($same, 'sections', $keys),  $all_keys,  'every key is as it was');

# Another root key

my $other = new_node('other');
$other->init;
my $other_root_key = "$ENV{TESTDIR}/other.key";
PostgreSQL::Test::Utils::system_or_bail('sh', '-c', "umask 077; openssl rand -hex 32 >$other_root_key");
$other->append_conf('postgresql.conf', "key_vault.root_key = 'file:$other_root_key'\nfsync = off\n");
$other->start;
$other->safe_psql('postgres', $roles[0]);
new_database($other, 'lorawan');

# Only the content of the materialized view needs an opened key to be restored.
my @no_view = split /\n/, `pg_restore -l '$custom'`;
open my $file, '>', "$ENV{TESTDIR}/no_view" or die $!;
print $file "$_\n" foreach grep { !/ MATERIALIZED VIEW DATA / } @no_view;
close $file;
is(restore($other, 'lorawan', $custom, '-L', "$ENV{TESTDIR}/no_view"), 'restored', 'restored beside another root key');
is(in_db($other, 'lorawan', $vault), $all_vault, 'all of the KEKs is there');

# Under two root keys: a KEK that is made here, and one from the dump
like(in_db($other, 'lorawan', q{SELECT key_vault.kek_create('here')}), qr/^ERROR:  KV106: first root key of key_vault.root_key seals no KEK of this database/,
    'no KEK is made here while the root key of the others is not known');
in_db($other, 'lorawan', q{
    BEGIN;
    SET LOCAL session_replication_role = replica;
    CREATE TEMP TABLE before ON COMMIT DROP AS SELECT kek_id, state, suspended_from FROM key_vault.kek;
    UPDATE key_vault.kek SET state = 'suspended', suspended_from = state WHERE state NOT IN ('suspended', 'destroyed');
    SELECT key_vault.kek_create('here');
    UPDATE key_vault.kek k SET state = b.state, suspended_from = b.suspended_from FROM before b WHERE b.kek_id = k.kek_id;
    COMMIT});
my $theirs = in_db($other, 'lorawan', q{SELECT encode(root_key_id, 'hex') FROM key_vault.keks WHERE label = 'net' AND version = 2});
my $ours   = in_db($other, 'lorawan', q{SELECT encode(root_key_id, 'hex') FROM key_vault.keks WHERE label = 'here'});
isnt($ours, $theirs, 'they are sealed under different root keys');
my $wrong = qq{ERROR:  KV106: KEK label "net" version 2 is sealed under another root key\n}
  . qq{DETAIL:  It is sealed under the root key with key check value $theirs; key_vault.root_key has $ours.};
is(in_db($other, 'lorawan', $_), $wrong, 'one error, which names both root keys')
  foreach ("SELECT key_vault.unwrap('$key_2')", "SELECT key_vault.rewrap('$key_2')",
    "SELECT key_vault.generate_key('net')",
    "SELECT key_vault.lorawan_try_decrypt_uplink('$key_2', '\\x26011bda', 1, '\\x00')");
is(in_db($other, 'lorawan', q{SELECT key_vault.generate_key('here') IS NOT NULL}), 't', 'its own KEKs are not in the way');
is(in_db($other, 'lorawan', $vault =~ s/FROM key_vault.kek k/$&  WHERE label <> 'here'/r =~ s/FROM key_vault.audit_log l/$& WHERE label <> 'here'/r),
    $all_vault, 'nothing was lost by trying');

# Once the missing root key is in the list, a session that met the error goes on.
my $session = $other->background_psql('lorawan', on_error_stop => 0);
$session->query('SET client_min_messages = error');
like(look($session, "SELECT key_vault.unwrap('$key_2')"), qr/sealed under another root key/, 'the error in an open session');
$other->append_conf('postgresql.conf', "key_vault.root_key = 'file:$other_root_key, file:$ENV{TESTDIR}/root.key'\n");
$other->reload;
$other->poll_query_until('lorawan', q{LOAD 'key_vault'; SELECT current_setting('key_vault.root_key') LIKE '%,%'}, "LOAD\nt")
  or die 'no reload';
is(look($session, $keys), $all_keys, 'with both root keys in the list it reads every key');
$session->quit;
is(in_db($other, 'lorawan', 'REFRESH MATERIALIZED VIEW report; SELECT * FROM report'), 50, 'and the view can be filled');

# Dumps of only some tables

my $tables = dump_of('tables.sql', '-t', 'a_device', '-t', 'z_part*', '-t', 'app_key');
my $schema = dump_of('schema.sql', '-n', 'public');
ok(PostgreSQL::Test::Utils::slurp_file($_) !~ /COPY key_vault\.|CREATE EXTENSION/, 'pg_dump -t and -n leave KEKs and extension out')
  foreach ($tables, $schema);
my $keks = dump_of('keks.sql', '-e', 'key_vault', '-t', 'key_vault.*');
ok(PostgreSQL::Test::Utils::slurp_file($keks) !~ /public\./, 'the dump of the KEKs alone has no other table');

# The keys first, then the KEKs.
new_database($same, 'later');
$same->safe_psql('later', 'CREATE EXTENSION key_vault; CREATE DOMAIN app_key AS key_vault.wrapped_key');
is(restore($same, 'later', $tables), 'restored', 'pg_dump -t is restored where the extension is');
like(in_db($same, 'later', "SELECT key_vault.unwrap('$key_2')"), qr/^ERROR:  KV001: .*[0-9a-f]{8}-/, 'its keys have unknown KEKs');
is(in_db($same, 'later', q{SELECT DISTINCT key_vault.key_status(net_key, '\x26011bda') FROM a_device}), 'KEK unknown', 'and say so');
is(restore($same, 'later', $keks), 'restored', 'the dump of the KEKs alone is restored');
is(in_db($same, 'later', $keys),  $all_keys,  'every key is as it was');
is(in_db($same, 'later', $vault), $all_vault, 'so are KEKs, privileges and the audit log');
isnt(restore($same, 'later', $keks), 'restored', 'a second time it is refused');
is(in_db($same, 'later', $vault), $all_vault, 'and changes nothing');

# The dump of the KEKs alone, restored into a new database, brings the extension along.
new_database($same, 'alone');
is(restore($same, 'alone', $keks), 'restored', 'the dump of the KEKs alone brings the extension');
is(in_db($same, 'alone', $vault), $all_vault, 'and all KEKs');
is(in_db($same, 'alone', "SELECT length(key_vault.unwrap('$key_2'))"), 60, 'which open keys');

done_testing();
