#!/usr/bin/perl
# DBD::Pg: what docs/clients.md says of it, and more.  Prints TAP lines; libpq's variables say where the server is, and
# the argument is a file with a message.

use strict;
use warnings;
use DBI;
use DBD::Pg qw(:pg_types);
use JSON::PP;

my $key         = join '', map { chr } 0 .. 15;
my $dev_addr    = pack 'H*', '26011bda';
my $frm_payload = pack 'H*', 'bc96d0bce3c0d2abfcfa1e';

sub ok
{
    my ($good, $name) = @_;
    print $good ? '' : 'not ', "ok - $name\n";
}

my $dbh = DBI->connect('dbi:Pg:', undef, undef, { RaiseError => 1, PrintError => 0, AutoCommit => 1 });

# The SQLSTATE of what a statement fails with.
sub sqlstate
{
    my ($statement) = @_;
    return eval { $dbh->do($statement); 1 } ? '' : $dbh->state;
}

# Bytes are said to be bytes: else they are text.
my $insert = $dbh->prepare(q{INSERT INTO session VALUES (?, key_vault.bind(key_vault.wrap(?, 'app1'), ?)) RETURNING app_s_key});
$insert->bind_param(1, $dev_addr, { pg_type => PG_BYTEA });
$insert->bind_param(2, $key,      { pg_type => PG_BYTEA });
$insert->bind_param(3, $dev_addr, { pg_type => PG_BYTEA });
$insert->execute;
my ($wrapped) = $insert->fetchrow_array;
ok($wrapped =~ /^kv1:aes-kw-bound:/, 'write');

my $select = $dbh->prepare('SELECT key_vault.lorawan_decrypt_uplink(app_s_key, dev_addr, ?, ?) FROM session');
$select->bind_param(1, 1);
$select->bind_param(2, $frm_payload, { pg_type => PG_BYTEA });
$select->execute;
ok(($select->fetchrow_array)[0] eq 'net payload', 'read');
ok($dbh->selectrow_array('SELECT dev_addr FROM session WHERE app_s_key = ?', undef, $wrapped) eq $dev_addr, 'compare');
my ($keys) = $dbh->selectrow_array('SELECT array_agg(app_s_key)::text[] FROM session');
ok("@$keys" eq $wrapped, 'array, comes as an array of text');
ok($dbh->selectrow_array('SELECT count(*) FROM session WHERE app_s_key = ANY(?::key_vault.wrapped_key[])', undef, $keys) == 1, 'array, goes back');

foreach my $form ('text', 'binary')
{
    $dbh->do("COPY session TO STDOUT (FORMAT $form)");
    my ($row, @rows) = ('');
    push @rows, $row while $dbh->pg_getcopydata(\$row) >= 0;
    $dbh->do('CREATE TEMPORARY TABLE copied (LIKE session)');
    $dbh->do("COPY copied FROM STDIN (FORMAT $form)");
    $dbh->pg_putcopydata($_) foreach @rows;
    $dbh->pg_putcopyend;
    ok($dbh->selectrow_array('SELECT count(*) FROM copied JOIN session USING (app_s_key)') == 1, "COPY in $form");
    $dbh->do('DROP TABLE copied');
}

open my $file, '<:raw', $ARGV[0] or die "$ARGV[0]: $!";
my $body    = do { local $/; <$file> };
my $message = decode_json($body);
$message->{uplink_message}{f_cnt} = 2;
utf8::decode(my $string = $body);
my $ingest = $dbh->prepare('SELECT lorawan.ingest(?)');
$ingest->bind_param(1, $body, { pg_type => PG_BYTEA });
$ingest->execute;
ok(($ingest->fetchrow_array)[0] eq 'uplink', 'ingest bytes');
ok($dbh->selectrow_array('SELECT lorawan.ingest(?)', undef, $string) eq 'duplicate', 'ingest a string');
ok($dbh->selectrow_array('SELECT lorawan.ingest(?::jsonb)', undef, JSON::PP->new->encode($message)) eq 'uplink', 'ingest an object');

ok(sqlstate(q{SELECT key_vault.lorawan_decrypt_uplink(app_s_key, '\x01020304', 1, '') FROM session}) eq 'KV005', 'SQLSTATE of another DevAddr');
ok(sqlstate('SELECT key_vault.unwrap(app_s_key) FROM session') eq '42501', 'SQLSTATE of a missing privilege');

$dbh->begin_work;
ok(sqlstate(q{CALL key_vault.rewrap_all('app1')}) eq '25001', 'rewrap_all, not inside of a transaction');
$dbh->rollback;
my @notices;
{
    local $SIG{__WARN__} = sub { push @notices, @_ };
    $dbh->do(q{CALL key_vault.rewrap_all('app1')});
}
ok(scalar(grep { /rewrapped/ } @notices), 'rewrap_all, outside of one, with its notices as warnings');
$dbh->do('DELETE FROM session');
$dbh->disconnect;
