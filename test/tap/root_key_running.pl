# Rotation of the root key in the documented order, while statements run all the time.  A statement keeps the
# settings that it began with, and must not fail because of that.  The rotation empties no cache, since sealing
# a KEK anew does not change the KEK.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use PostgreSQL::Test::Utils;
use Test::More;

sub write_key
{
    my ($name, $byte) = @_;
    my $path = "$ENV{TESTDIR}/$name.key";

    umask 0077;
    open my $file, '>', $path or die "$path: $!";
    print $file $byte x 32, "\n";
    close $file or die "$path: $!";
    return "file:$path";
}
my %file = (a => write_key('a', 'a1'), b => write_key('b', 'b2'));

my $node = new_node('running');
$node->init;
$node->append_conf('postgresql.conf', "key_vault.root_key = '$file{a}'\n");
$node->start;
$node->safe_psql('postgres', q{
    CREATE EXTENSION key_vault;
    SELECT key_vault.kek_create('net'), key_vault.kek_create('later'), key_vault.kek_create('never');
    CREATE TABLE device AS
    SELECT n, key_vault.wrap('\x000102030405060708090a0b0c0d0e0f', CASE WHEN n < 3 THEN 'net' ELSE 'later' END) AS key
      FROM generate_series(1, 4) n;
    ALTER TABLE device ADD PRIMARY KEY (n);

    -- Waits until no session has the exclusive advisory lock of this number: the test opens a gate by releasing it.
    CREATE FUNCTION wait_at(gate bigint) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
    BEGIN
        PERFORM pg_advisory_lock_shared(gate);
        PERFORM pg_advisory_unlock_shared(gate);
        RETURN true;
    END
    $$;
});

sub set_list
{
    my $list = join ', ', @_;
    $node->adjust_conf('postgresql.conf', 'key_vault.root_key', "'$list'");
    $node->reload;
    $node->poll_query_until('postgres', 'SELECT current_setting($$key_vault.root_key$$) = $$' . $list . '$$') or die 'no reload';
}

sub wait_for_gate
{
    my ($pid) = @_;
    $node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND pid = $pid)")
      or die 'the statement does not come to the gate';
}

my $is_right = q{key_vault.lorawan_decrypt_uplink(key, '\x26011bda', 1, '\xbc96d0bce3c0d2abfcfa1e') = 'net payload'};
my $read = qq{SELECT count(*) FILTER (WHERE $is_right)
               FROM (SELECT key FROM device WHERE n IN (1, 2, 4) AND wait_at(n) ORDER BY n OFFSET 0) d};
my $ingest = qq{INSERT INTO device SELECT 10 + n, key_vault.wrap('\\x000102030405060708090a0b0c0d0e0f', CASE WHEN n < 3 THEN 'net' ELSE 'later' END)
                 FROM generate_series(1, 4) n WHERE n IN (1, 2, 4) AND wait_at(n) RETURNING $is_right};

# The mode of the cache, the statement, and the result that it must have
foreach (
    [ 'on',     $read,   3 ],
    [ 'off',    $read,   3 ],
    [ 'verify', $read,   3 ],
    [ 'on',     $ingest, "t\nt\nt" ])
{
    my ($mode, $sql, $expected) = @$_;
    my $what    = ($sql eq $read ? 'a query' : 'an ingestion') . ", cache $mode";
    my $gates   = open_session($node);
    my $running = open_session($node);
    my $idle    = open_session($node);
    my ($before, $after) = $node->safe_psql('postgres', 'SHOW key_vault.root_key') =~ /a\.key$/ ? qw(a b) : qw(b a);

    $_->query("SET key_vault.cache = $mode") foreach ($running, $idle);
    $idle->query($read);
    my $pid = $running->query('SELECT pg_backend_pid()');
    $gates->query('SELECT pg_advisory_lock(2), pg_advisory_lock(4)');
    $running->query_until(qr/^begun$/m, "\\echo begun\n$sql;\n\\echo ended\n");
    wait_for_gate($pid);

    # The statement's first row has opened a KEK under the old root key.
    set_list($file{$after}, $file{$before});
    is($node->safe_psql('postgres', 'SELECT key_vault.root_key_rotate()'), 3, "$what: all KEKs are sealed anew");
    $gates->query('SELECT pg_advisory_unlock(2)');
    $node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 4 AND NOT granted AND pid = $pid)")
      or die 'the statement does not come to the second gate';
    set_list($file{$after});
    $gates->query('SELECT pg_advisory_unlock(4)');
    my $rows = $running->query_until(qr/^ended$/m, "\n");
    $rows =~ s/^begun\n|^ended\n?//mg;
    is($rows =~ s/\s+\z//r, $expected, "$what: goes on with the KEK that it has open, and with one that it opens only then")
      or diag $running->{stderr};
    is(look($running, $read), 3, "$what: the next statement, too");

    my $entries = look($idle, 'SELECT entries FROM key_vault.cache_stats()');
    # Two keys, since wrapping one key twice with one KEK gives the same bytes.
    is($entries, $mode eq 'off' ? 0 : 2, "$what: the keys in the cache of an idle session");
    is(look($idle, $read), 3, "$what: that session");
    is(look($idle, 'SELECT withdrawals, entries FROM key_vault.cache_stats()'), "0|$entries", "$what: whose cache was not emptied");
    is(look_anew($node, $read), 3, "$what: a new session");
    $node->safe_psql('postgres', 'DELETE FROM device WHERE n > 10');
    $_->quit foreach ($gates, $running, $idle);
}

# A session has found the row of a KEK, and does not open the KEK, since the role lacks the privilege.  Then the KEK is
# sealed anew, and the old root key is taken away: what the session opens is the new row.
my $found = open_session($node);
$node->safe_psql('postgres', 'CREATE ROLE stranger; GRANT SELECT ON device TO stranger');
is(look($found, "SET ROLE stranger; $read"), 'ERROR:  permission denied for KEK label "net"', 'a KEK is found, and not opened');
my ($first, $second) = $node->safe_psql('postgres', 'SHOW key_vault.root_key') =~ /a\.key$/ ? qw(a b) : qw(b a);
set_list($file{$second}, $file{$first});
$node->safe_psql('postgres', 'SELECT key_vault.root_key_rotate()');
set_list($file{$second});
is(look($found, "RESET ROLE; $read"), 3, 'it opens, though it was sealed anew since then');
$found->quit;

# A row that changes in more than its sealing counts as another KEK: here its key check value changes.
my $session = open_session($node);
is(look($session, $read), 3, 'opened');
$node->safe_psql('postgres', q{
    SET session_replication_role = replica;
    UPDATE key_vault.kek SET sealed_material = other.sealed_material, kcv = other.kcv
      FROM key_vault.kek other WHERE kek.label = 'net' AND other.label = 'never'});
is(look($session, $read), 'ERROR:  sealed material of KEK label "net" version 1 is damaged', 'another material is not taken for the same KEK');
is(look($session, 'SELECT withdrawals > 0 FROM key_vault.cache_stats()'), 't', 'and its keys are withdrawn');
$session->quit;

done_testing();
