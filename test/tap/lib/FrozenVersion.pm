# An installation of PostgreSQL that can also create the extension in a version of before, whose script
# is kept in test/update.  "make install" does not install that script, so the tests have a copy of
# PostgreSQL's programs, in a directory of their own, which finds its share directory beside it.

package FrozenVersion;

use strict;
use warnings;

use Exporter 'import';
use File::Path qw(make_path);

our @EXPORT = qw(installation_with);

my $pg_config = $ENV{PG_CONFIG} || 'pg_config';

sub run_command
{
    system(@_) == 0 or die "@_ failed\n";
}

# Makes the installation and returns its path, as PostgreSQL::Test::Cluster takes it.
sub installation_with
{
    my (@scripts) = @_;
    my $root = "$ENV{TESTDIR}/installation";
    my %place;

    foreach my $what (qw(bindir pkglibdir sharedir))
    {
        chomp($place{$what} = `$pg_config --$what`);
        make_path("$root$place{$what}");
    }
    # The programs look for the rest from where they are themselves, so these are no links.
    run_command("cp -L $place{bindir}/* $root$place{bindir}");
    run_command("ln -s $place{pkglibdir}/* $root$place{pkglibdir}");
    run_command("ln -s $place{sharedir}/* $root$place{sharedir} && rm $root$place{sharedir}/extension");
    mkdir "$root$place{sharedir}/extension";
    run_command("ln -s $place{sharedir}/extension/* $root$place{sharedir}/extension");
    foreach my $script (@scripts)
    {
        # One may be installed by hand.
        (my $name = $script) =~ s{.*/}{};
        unlink "$root$place{sharedir}/extension/$name";
        run_command('cp', $script, "$root$place{sharedir}/extension");
    }
    (my $path = "$root$place{bindir}") =~ s{/bin$}{};
    return $path;
}

1;
