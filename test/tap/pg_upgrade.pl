# pg_upgrade: to the same version, which tests the dump of the extension in binary mode and the start with it,
# and to every newer version that is installed together with key_vault.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use IPC::Run;
use Test::More;

my $pg_config = $ENV{PG_CONFIG} || 'pg_config';
chomp(my $bindir = `$pg_config --bindir`);

# Where Debian puts the versions.
my ($pattern, $version) = $bindir =~ m{^(.*/)(\d+)/bin$};
my @newer = grep {
    my ($other) = m{/(\d+)/bin$};
    chomp(my $pkglibdir = `$_/pg_config --pkglibdir 2>/dev/null` || '');
    $other > $version && -e "$pkglibdir/key_vault.so" && -x "$_/initdb"
} defined $version ? glob("$pattern*/bin") : ();

my $old = new_node('old');
$old->init;
$old->configure_vault;
$old->start;
$old->safe_psql('postgres', q{
    CREATE EXTENSION key_vault;
    CREATE ROLE gone;
    CREATE ROLE analyst;
    DROP ROLE gone;
    SELECT key_vault.kek_create(label) FROM unnest(ARRAY['net', 'app']) label;
    SELECT key_vault.kek_grant('net', 'analyst', 'decrypt');
    CREATE TABLE device (n integer PRIMARY KEY, key key_vault.wrapped_key, keys key_vault.wrapped_key[]);
    CREATE INDEX device_key ON device (key);
    CREATE INDEX device_hash ON device USING hash (key);
    INSERT INTO device SELECT n, key_vault.generate_key('net', n), ARRAY[key_vault.generate_key('app')] FROM generate_series(1, 100) n;
    SELECT key_vault.kek_rotate('net');
    INSERT INTO device SELECT n, key_vault.generate_key('net'), NULL FROM generate_series(101, 200) n;
});

my @looks = (
    [ 'KEKs' => q{SELECT md5(string_agg(k::text, ',' ORDER BY k::text)) FROM key_vault.kek k} ],
    [ 'keys' => q{SELECT count(*), md5(string_agg(key_vault.unwrap(key)::text, ',' ORDER BY n)),
          md5(string_agg(key_vault.unwrap(keys[1])::text, ',' ORDER BY n)) FROM device} ],
    [ 'privileges' => q{SELECT string_agg(concat(label, role, privilege), ',') FROM key_vault.kek_privilege} ],
    [ 'audit log' => q{SELECT md5(string_agg(l::text, ',' ORDER BY at)) FROM key_vault.audit_log l} ]);
my %before = map { $_->[0] => look_anew($old, $_->[1]) } @looks;
my $key = $old->safe_psql('postgres', 'SELECT key FROM device WHERE n = 150');
$old->stop;

sub upgrade
{
    my ($to, $new, $new_bindir) = @_;
    my $output;

    chdir $ENV{TESTDIR};
    ok(IPC::Run::run([ "$new_bindir/pg_upgrade", '--no-sync', '-b', $bindir, '-B', $new_bindir, '-d', $old->data_dir, '-D', $new->data_dir,
                '-p', $old->port, '-P', $new->port, '-s', $old->host, '-U', scalar getpwuid($<) ], '>&', \$output),
        "pg_upgrade to $to") or diag($output), return;
    $new->start;
    is(look_anew($new, $_->[1]), $before{ $_->[0] }, "$to: the $_->[0] are what they were") foreach @looks;
    is(look_anew($new, 'SET enable_seqscan = off', "SELECT n FROM device WHERE key $_ '$key'"), 150, "$to: indexes find keys by $_")
      foreach '=', 'OPERATOR(key_vault.=)';
    is(look_anew($new, 'SET enable_indexscan = off', 'SET enable_bitmapscan = off', "SELECT n FROM device WHERE key = '$key'"), 150, "$to: as the table does");
    is(look_anew($new, q{UPDATE device SET key = key_vault.rewrap(key)}, q{DO $$ BEGIN PERFORM key_vault.kek_destroy('net', 1); END $$},
            q{SELECT count(*) FROM device WHERE key_vault.kek_version(key) = 2}), 200, "$to: it rotates on");
    $new->stop;
}

my $same = new_node('same');
$same->init;
$same->configure_vault;
upgrade("version " . ($version // $old->pg_version), $same, $bindir);

SKIP:
{
    skip 'no newer PostgreSQL with key_vault is installed', 1 if !@newer;
    foreach my $new_bindir (@newer)
    {
        my ($to) = $new_bindir =~ m{/(\d+)/bin$};
        my $new;

        # A node has the version of the programs that are found first in the path.
        local $ENV{PATH} = "$new_bindir:$ENV{PATH}";
        $new = new_node("to_$to");
        # Checksums are on by default from PostgreSQL 18 on, and must be on or off on both sides.
        $new->init(extra => $to >= 18 && $version < 18 ? ['--no-data-checksums'] : []);
        $new->configure_vault;
        upgrade("version $to", $new, $new_bindir);
    }
}

done_testing();
