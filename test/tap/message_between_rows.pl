# A backend has two KEKs open and reads their rows again.  A message arrives when it has read the first row and not
# yet the second: the next look-up must not believe anything that was read before the message.
#
# No lock can stop a backend between the two reads, so the test uses a copy of the library that waits there for an
# advisory lock.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use ChangedLibrary;
use Test::More;

my $node = new_node('rows');
$node->init;
$node->configure_vault;
$node->start;
if (my $why = why_source_does_not_build("$FindBin::Bin/../.."))
{
    plan skip_all => $why;
}
$node->safe_psql('postgres', q{
    CREATE EXTENSION key_vault;
    SELECT key_vault.kek_create('other');
});

# The places where a copy waits: few rows are read one by one, many by reading the table.
my $wait = qq{
(void) DirectFunctionCall1(pg_advisory_lock_shared_int8, Int64GetDatum(1));
(void) DirectFunctionCall1(pg_advisory_unlock_shared_int8, Int64GetDatum(1));};
my $include = [ qr/^(#include "postgres.h")$/m, sub { qq{$1\n\n#include "utils/builtins.h"} } ];
my %library = (
    'one by one' => [
        $include,
        [ qr/^\tif \(n > 1 && n >= kek_table_pages\(\)\)$/m, sub { "\tif (false)" } ],
        [ qr/^(\t\tif \(!kek->withdrawn\))\n(\t\t\tcompare_with_row\(kek, kek_row_by_id.*;)$/m,
            sub { "$1\n{\n$2$wait\n}" } ] ],
    'by reading the table' => [
        $include,
        [ qr/^(\t\tkek->found_by_reading = reading;)$/m, sub { "$1\n$wait" } ] ]);

# Makes two labels, and returns a query for each that decrypts under it.
sub make_labels
{
    return map {
        $node->safe_psql('postgres', "SELECT key_vault.kek_create('$_')");
        $_ => uplink($node->safe_psql('postgres',
                "SELECT key_vault.wrap('\\x000102030405060708090a0b0c0d0e0f', '$_')"))
    } @_;
}

my $holder = open_session($node);

sub change
{
    my ($sql) = @_;
    $node->safe_psql('postgres', "SET client_min_messages = error; $sql");
}

# The backend reads the two rows in no particular order, so both KEKs are withdrawn after the first read.
foreach my $how (sort keys %library)
{
    my $library = build_changed($how =~ tr/ /_/r, 'src/vault/kek.c', @{ $library{$how} });

    use_library($node, 'postgres', $library);
    foreach my $mode (qw(on off verify))
    {
        withdraw_between_rows($how, $mode);
    }
    $node->safe_psql('postgres', "UPDATE pg_proc SET probin = '\$libdir/key_vault' WHERE probin = '$library'");
}
$holder->quit;
done_testing();

sub withdraw_between_rows
{
    my ($how, $mode) = @_;
    my %decrypt = make_labels("net $how $mode", "app $how $mode");
    my @labels  = sort keys %decrypt;
    my $list    = join ', ', map { "'$_'" } @labels;

    foreach (
        [ 'kek_suspend(label, 1)',                'is suspended' ],
        [ 'kek_destroy(label, 1, force => true)', 'is destroyed' ])
    {
        my ($withdrawal, $outcome) = @$_;
        my $session = open_session($node);
        my $pid     = look($session, 'SELECT pg_backend_pid()');

        look($session, "SET key_vault.cache = $mode");
        is(look($session, $decrypt{$_}), 'net payload', "KEK label $_ is open") foreach @labels;

        look($holder, 'SELECT pg_advisory_lock(1)');
        change(q{SELECT key_vault.kek_rotate('other')});
        $session->query_until(qr/started/, "\\echo started\n$decrypt{$labels[0]};\n");
        $node->poll_query_until('postgres', "SELECT wait_event = 'advisory' FROM pg_stat_activity WHERE pid = $pid")
          or die 'it does not wait';
        change("SELECT key_vault.$withdrawal FROM unnest(ARRAY[$list]) label");
        look($holder, 'SELECT pg_advisory_unlock(1)');

        # A statement that began before the withdrawal may succeed or fail.
        look($session, '');
        is(look($session, $decrypt{$_}), qq{ERROR:  KEK label "$_" version 1 $outcome},
            "$withdrawal after the first row was read: the next look-up under label $_")
          foreach @labels;
        $session->quit;
        change("SELECT key_vault.kek_resume(label, 1) FROM unnest(ARRAY[$list]) label")
          if $outcome eq 'is suspended';
    }
}
