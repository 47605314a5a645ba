# The extension in a directory of its own, as an image volume has it (docs/containers.md): PostgreSQL 18 finds the
# scripts by extension_control_path, and the library by dynamic_library_path.  The root key is a file as Kubernetes
# mounts secrets: a symbolic link to a directory that changes with the secret.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $pg_config = $ENV{PG_CONFIG} || 'pg_config';
my ($major) = `$pg_config --version` =~ /(\d+)/;
plan skip_all => "PostgreSQL $major has no extension_control_path, which is new in 18" if $major < 18;

# As an image has it: see the stage "cloudnativepg" of contrib/docker/Dockerfile.
my $dir = "$ENV{TESTDIR}/extensions/key_vault";
chomp(my ($pkglibdir, $sharedir) = map { scalar `$pg_config --$_` } qw(pkglibdir sharedir));
system_or_bail('mkdir', '-p', "$dir/lib", "$dir/share/extension");
system_or_bail('cp', "$pkglibdir/key_vault.so", "$dir/lib");
system_or_bail('cp', glob("$sharedir/extension/key_vault*"), "$dir/share/extension");

my $node = new_node('extension_path');
my ($projected, $root_key) = ("$ENV{TESTDIR}/projected", "$ENV{TESTDIR}/root.key");
mkdir $_, 0755 foreach $projected, "$projected/..2026";
system_or_bail('install', '-m', '0400', $root_key, "$projected/..2026/root.key");
symlink '..2026', "$projected/..data" or die "$projected/..data: $!";
symlink '..data/root.key', "$projected/root.key" or die "$projected/root.key: $!";

# Its directory comes first, since the extension is installed beside PostgreSQL's own, too.
$node->init;
$node->append_conf('postgresql.conf', qq{
    fsync = off
    extension_control_path = '$dir/share:\$system'
    dynamic_library_path = '$dir/lib:\$libdir'
    shared_preload_libraries = 'key_vault'
    key_vault.root_key = 'file:$projected/root.key'
});
$node->start;
my $loaded = q{SELECT string_agg(DISTINCT path[1], ' ') FROM regexp_matches(pg_read_file('/proc/self/maps'), '/\S*/key_vault\.so', 'g') AS m (path)};
is($node->safe_psql('postgres', $loaded), "$dir/lib/key_vault.so", 'preloaded from its directory');

my $make = q{
    SELECT key_vault.kek_create('app1');
    CREATE TABLE device AS SELECT key_vault.wrap('\x000102030405060708090a0b0c0d0e0f', 'app1') AS key;
};
my $read = 'SELECT encode(key_vault.unwrap(key), $$hex$$) FROM device';
$node->safe_psql('postgres', "CREATE EXTENSION key_vault; $make");
is($node->safe_psql('postgres', $read), '000102030405060708090a0b0c0d0e0f', 'reads a key');
is($node->safe_psql('postgres', "SET debug_parallel_query = on; $read"), '000102030405060708090a0b0c0d0e0f', 'a parallel worker reads it');

$node->safe_psql('postgres', 'CREATE DATABASE updated');
$node->safe_psql('updated', "CREATE EXTENSION key_vault VERSION '1.0'; $make ALTER EXTENSION key_vault UPDATE");
is($node->safe_psql('updated', "SELECT extversion FROM pg_extension WHERE extname = 'key_vault'; $read"),
    "1.1\n000102030405060708090a0b0c0d0e0f", 'updates from 1.0');

$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->restart;
is($node->safe_psql('postgres', "$read; $loaded"), "000102030405060708090a0b0c0d0e0f\n$dir/lib/key_vault.so", 'not preloaded, it is loaded from there');

done_testing();
