# Libraries built from the sources with some lines changed, to put in a fault, or to make a backend wait where
# no lock can stop it.  They are not installed: a database uses one through pg_proc.probin.

package ChangedLibrary;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Utils qw(slurp_file);
use Test::More;

our @EXPORT = qw(why_source_does_not_build build_changed use_library);

my $pg_config = $ENV{PG_CONFIG} || 'pg_config';
my ($source, $build);

sub make_library
{
    unlink "$build/key_vault.so";
    return system("make -s -j2 -C $build PG_CONFIG=$pg_config with_llvm=no key_vault.so > $build/log 2>&1") == 0;
}

# Builds the sources as they are; if that fails here, returns the reason.
sub why_source_does_not_build
{
    ($source) = @_;
    $build = "$ENV{TESTDIR}/build";
    system("mkdir $build && cp -R $source/Makefile $source/src $source/key_vault.control $build && find $build -name '*.[ob]*' -delete") == 0
      or die "cannot copy the source\n";
    return if make_library();
    return 'the library does not build here: ' . (slurp_file("$build/log") =~ /(.*\S)/)[0];
}

# Builds a library with changes in one file, each a pattern and a function that makes the replacement; returns
# its path.
sub build_changed
{
    my ($name, $path, @changes) = @_;
    my $original = slurp_file("$source/$path");
    my $text     = $original;
    my $library  = "$ENV{TESTDIR}/$name.so";

    foreach my $change (@changes)
    {
        my ($pattern, $replacement) = @$change;
        ok($text =~ s/$pattern/$replacement->()/e, "$name: $path is changed")
          or BAIL_OUT("$path is not what it was: adapt the change");
    }
    write_file("$build/$path", $text);
    make_library() or die slurp_file("$build/log");
    rename "$build/key_vault.so", $library or die "$library: $!";

    # The source is put back for the next build.  The object is removed, since make compares file times, which
    # may be too coarse.
    write_file("$build/$path", $original);
    (my $object = "$build/$path") =~ s/c$/o/;
    unlink $object;
    return $library;
}

sub write_file
{
    my ($path, $text) = @_;
    open my $file, '>', $path or die "$path: $!";
    print $file $text;
    close $file or die "$path: $!";
}

# Makes new sessions on a database load this library instead of the installed one.
sub use_library
{
    my ($node, $database, $library) = @_;
    is($node->safe_psql($database, qq{
            WITH moved AS (UPDATE pg_proc SET probin = '$library' WHERE probin = '\$libdir/key_vault' RETURNING 1)
            SELECT count(*) > 40 FROM moved}), 't', "database $database uses the library $library");
}

1;
