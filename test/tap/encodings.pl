# KEK labels that are not ASCII.  KEKs open, and can be sealed under another root key, in databases whose
# encoding differs from that of the database in which they were made: after a dump and restore, or by a
# subscription.  And a label that one database accepts is accepted by all.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use PostgreSQL::Test::Utils;
use Test::More;

# The client encoding is UTF-8, except with SQL_ASCII, which converts nothing.
$ENV{PGCLIENTENCODING} = 'UTF8';
my $key     = '000102030405060708090a0b0c0d0e0f';
# Only some encodings have the sharp s, and GB18030 has four bytes for it, which no other encoding reads.
my $umlauts = "\xc3\xbc" x 120;
my %label   = (ascii => 'plain', umlaut => "Gro\xc3\x9fschl\xc3\xbcssel", long => $umlauts);
my %made    = map { $_ => '' } keys %label;

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
my %file = (a => write_key('a', 'a1'), b => write_key('b', 'b2'), c => write_key('c', 'c3'));

my $node = new_node('encodings');
$node->init(allows_streaming => 'logical');
$node->append_conf('postgresql.conf', "key_vault.root_key = '$file{a}'\nwal_level = logical\n");
$node->start;

sub set_list
{
    my $list = join ', ', @_;
    $node->adjust_conf('postgresql.conf', 'key_vault.root_key', "'$list'");
    $node->reload;
    $node->poll_query_until('postgres', 'SELECT current_setting($$key_vault.root_key$$) = $$' . $list . '$$') or die 'no reload';
}
sub create
{
    my ($database, $encoding) = @_;
    $node->safe_psql('postgres', "CREATE DATABASE $database ENCODING '$encoding' LOCALE 'C' TEMPLATE template0");
    return $database;
}
sub in_database
{
    my ($database, $sql) = @_;
    $node->psql($database, "SET client_min_messages = error; $sql", stdout => \my $rows, stderr => \my $error, on_error_die => 0);
    return $error =~ /((?:ERROR|FATAL):  .*)/ ? $1 : $rows;
}
sub opens_all
{
    my ($database) = @_;
    return in_database($database, "SELECT count(*) FILTER (WHERE key_vault.unwrap(key) = '\\x$key') || ' of ' || count(*) FROM device");
}

# Makes a database with a KEK for each label, and a key under each KEK.
sub make_source
{
    my ($database, $encoding) = @_;
    create($database, $encoding);
    $node->safe_psql($database, 'CREATE EXTENSION key_vault; CREATE TABLE device (key key_vault.wrapped_key)');
    foreach my $name (sort keys %label)
    {
        next if in_database($database, "SELECT key_vault.kek_create('$label{$name}')") ne '1';
        $node->safe_psql($database, "INSERT INTO device VALUES (key_vault.wrap('\\x$key', '$label{$name}'))");
    }
    return $database;
}

# Seals KEKs in format 1, as version 1.0 does, with the label in the database's encoding.  The material is
# opened with the root key and sealed by another implementation of AES-GCM.
sub seal_as_before
{
    my ($database) = @_;
    my $python = <<'END';
import sys, struct, uuid
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
root = AESGCM(bytes.fromhex(sys.argv[1] * 32))
for line in sys.stdin:
    kek_id, version, utf8, label, material = line.strip().split('|')
    rest = uuid.UUID(kek_id).bytes + struct.pack('>i', int(version))
    m = bytes.fromhex(material)
    assert m[0] == 2
    kek = root.decrypt(m[1:13], m[13:], b'key_vault KEK material 2\0' + rest + bytes.fromhex(utf8))
    sealed = b'\1' + m[1:13] + root.encrypt(m[1:13], kek, b'key_vault KEK material 1\0' + rest + bytes.fromhex(label))
    print("UPDATE key_vault.kek SET sealed_material = '\\x%s' WHERE kek_id = '%s';" % (sealed.hex(), kek_id))
END
    my $rows = $node->safe_psql($database, q{
        SELECT kek_id, version, encode(CASE getdatabaseencoding() WHEN 'SQL_ASCII' THEN label::bytea ELSE convert_to(label, 'UTF8') END, 'hex'),
               encode(CASE getdatabaseencoding() WHEN 'SQL_ASCII' THEN label::bytea ELSE convert_to(label, getdatabaseencoding()) END, 'hex'),
               encode(sealed_material, 'hex')
          FROM key_vault.kek});
    my ($sql, $error);
    IPC::Run::run([ 'python3', '-c', $python, 'a1' ], '<', \$rows, '>', \$sql, '2>', \$error) or die $error;
    $node->safe_psql($database, "SET session_replication_role = replica; $sql");
}

# pg_dump from each encoding to each other one, with sealed material in both formats
my %name_of = (UTF8 => 'utf8', LATIN1 => 'latin1', EUC_JIS_2004 => 'euc', SQL_ASCII => 'sql_ascii');
my $restored = 0;
foreach my $format (2, 1)
{
    foreach my $from (sort keys %name_of)
    {
        set_list($file{a});
        my $source = make_source("from_$name_of{$from}_$format", $from);
        my $n = $node->safe_psql($source, 'SELECT count(*) FROM device');
        is($n, 3, "$from: all labels");
        seal_as_before($source) if $format == 1;
        is(opens_all($source), "$n of $n", "format $format, $from: opens where it was made");

        foreach my $to (sort keys %name_of)
        {
            next if $to eq $from;
            my $what   = "format $format, $from to $to";
            my $target = create('target_' . ++$restored, $to);
            my $dump   = "$ENV{TESTDIR}/dump.sql";

            # A database without conversions gets the bytes as they are in the dump.
            run_log([ 'pg_dump', '-f', $dump, '-d', $node->connstr($source) ]) or die 'pg_dump';
            my $errors;
            IPC::Run::run([ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($target), '-f', $dump ], '>', \my $ignored, '2>', \$errors);
            is($errors, '', "$what: restored");
            is(opens_all($target), "$n of $n", "$what: all open");
            set_list($file{b}, $file{a});
            is(in_database($target, 'SELECT key_vault.root_key_rotate()'), $n, "$what: all are sealed under another root key");
            set_list($file{b});
            is(opens_all($target), "$n of $n", "$what: and open");
            is(in_database($target, "SELECT DISTINCT get_byte(sealed_material, 0) FROM key_vault.kek"), 2, "$what: with their labels in UTF-8");
            set_list($file{a});
            $node->safe_psql('postgres', "DROP DATABASE $target");
        }
        $node->safe_psql('postgres', "DROP DATABASE $source");
    }
}

# A dump in an encoding that no database can have, restored without conversion; and MULE_INTERNAL, which is
# converted to LATIN1 and its like, but not to UTF-8.
foreach my $way ([ 'UTF8', 'GB18030', 'SQL_ASCII' ], [ 'LATIN1', 'LATIN1', 'MULE_INTERNAL' ], [ 'MULE_INTERNAL', 'LATIN1', 'UTF8' ], [ 'MULE_INTERNAL', 'LATIN1', 'SQL_ASCII' ])
{
    my ($from, $by, $to) = @$way;
    my $what = "$from by $by to $to";

    local $ENV{PGCLIENTENCODING} = 'LATIN1' if $by eq 'LATIN1';
    my $source = make_source('from_' . ++$restored, $from);
    my $target = create("target_$restored", $to);
    my $dump   = "$ENV{TESTDIR}/dump.sql";
    my $n      = opens_all($source);

    like($n, qr/^([23]) of \1$/, "$what: opens where it was made");
    run_log([ 'pg_dump', '-E', $by, '-f', $dump, '-d', $node->connstr($source) ]) or die 'pg_dump';
    IPC::Run::run([ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($target), '-f', $dump ], '>', \my $ignored, '2>', \my $errors);
    is($errors, '', "$what: restored");
    is(opens_all($target), $n, "$what: all open");
    $node->safe_psql('postgres', "DROP DATABASE $source");
    $node->safe_psql('postgres', "DROP DATABASE $target");
}

# The length of a label is limited in UTF-8, whatever the database's encoding.  A longer label that exists
# already stays.
foreach my $encoding (qw(UTF8 LATIN1))
{
    my $database = make_source("limit_$name_of{$encoding}", $encoding);
    my $longest  = "\xc3\xbc" x 127 . 'x';
    is(in_database($database, "SELECT key_vault.kek_create('$longest')"), 1, "$encoding: a label of 255 bytes in UTF-8");
    is(in_database($database, "SELECT key_vault.kek_create('${longest}x')"), 'ERROR:  invalid KEK label', "$encoding: and of one more");
    is(in_database($database, "SELECT key_vault.kek_import('" . "\xc3\xbc" x 130 . "', '\\x$key')"), 'ERROR:  invalid KEK label', "$encoding: 130 umlauts");
}
my $too_long = "\xc3\xbc" x 130;
$node->safe_psql('limit_latin1', "SET session_replication_role = replica; UPDATE key_vault.kek SET label = '$too_long' WHERE label = '$umlauts'");
is(in_database('limit_latin1', "SELECT key_vault.kek_rotate('$too_long'), key_vault.kek_suspend('$too_long', 1)"), '2|', 'a longer one from before is administered as the others');
create('limit_restored', 'UTF8');
IPC::Run::run([ 'pg_dump', '-d', $node->connstr('limit_latin1') ], '|', [ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('limit_restored') ], '>', \my $ignored, '2>', \my $errors);
is($errors, '', 'and restored into a database of another encoding');
is(in_database('limit_restored', "SELECT count(*) FROM key_vault.kek WHERE label = '$too_long'"), 2, 'with all its versions');

# A subscription converts labels, too.
my $publisher = make_source('publisher', 'LATIN1');
$node->safe_psql($publisher, 'CREATE PUBLICATION keks FOR TABLE key_vault.kek, device');
$node->safe_psql($publisher, q{SELECT pg_create_logical_replication_slot('keks', 'pgoutput')});
create('subscriber', 'UTF8');
$node->safe_psql('subscriber', 'CREATE EXTENSION key_vault; CREATE TABLE device (key key_vault.wrapped_key)');
$node->safe_psql('subscriber', sprintf q{CREATE SUBSCRIPTION keks CONNECTION '%s dbname=%s' PUBLICATION keks WITH (create_slot = false)}, $node->connstr, $publisher);
$node->wait_for_subscription_sync($node, 'keks', 'subscriber');
is(opens_all('subscriber'), '3 of 3', 'LATIN1 to UTF8: all open on a subscriber');
$node->safe_psql($publisher, "SELECT key_vault.kek_rotate('$label{umlaut}')");
$node->safe_psql($publisher, "INSERT INTO device VALUES (key_vault.wrap('\\x$key', '$label{umlaut}'))");
$node->wait_for_catchup('keks');
is(opens_all('subscriber'), '4 of 4', 'also one that came later');
$node->safe_psql('subscriber', 'ALTER SUBSCRIPTION keks DISABLE; ALTER SUBSCRIPTION keks SET (slot_name = NONE); DROP SUBSCRIPTION keks');

# The material is still bound to its label.
$node->safe_psql('subscriber', qq{
    SET session_replication_role = replica;
    UPDATE key_vault.kek SET label = 'Schl\xc3\xb6ssel' WHERE label = '$label{umlaut}' AND version = 1});
is(in_database('subscriber', 'SELECT count(key_vault.unwrap(key)) FROM device'),
    "ERROR:  sealed material of KEK label \"Schl\xc3\xb6ssel\" version 1 is damaged", 'material under another label does not open');

done_testing();
