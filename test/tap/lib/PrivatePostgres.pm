# A private copy of PostgreSQL with key_vault and another extension that is in no Debian release, for the tests of a
# file.  An environment variable names the directory into which that extension was installed, with
#   make install DESTDIR=DIRECTORY
#
#   use PrivatePostgres 'KEY_VAULT_CITUS';    before VaultCluster, which takes the PostgreSQL that PG_CONFIG names
#
# Without the variable nothing is copied, and the tests should skip themselves.

package PrivatePostgres;

use strict;
use warnings;
use File::Temp qw(tempdir);
use FindBin;

my $copy = <<'END';
set -e
dir=$1 pg_config=$2 installed=$3
. "$4/../lib/private_postgres.sh"
private_postgres "$dir" "$pg_config"
own=$bindir/pg_config
for what in pkglibdir sharedir; do
    pattern='*.so' below=.
    [ $what = pkglibdir ] || pattern='*.control' below=extension
    to=$("$own" --$what)/$below from=$("$pg_config" --$what)/$below
    cp -a "$from"/key_vault* "$to"
    while read -r found; do cp -a "$found/." "$to"; done < <(find "$installed" -name "$pattern" -printf '%h\n' | sort -u | head -n 1)
done
END

sub import
{
    my (undef, $variable) = @_;
    my $installed = $ENV{$variable} or return;
    my $dir = tempdir('key_vault_postgres_XXXXXX', TMPDIR => 1, CLEANUP => 1);
    my $pg_config = $ENV{PG_CONFIG} || 'pg_config';

    chomp(my $bindir = `$pg_config --bindir`);
    chmod 0755, $dir;
    system('bash', '-c', $copy, 'bash', $dir, $pg_config, $installed, $FindBin::Bin) == 0
      or die "PostgreSQL could not be copied\n";
    $ENV{PG_CONFIG} = "$dir$bindir/pg_config";
}

1;
