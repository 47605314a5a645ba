#!/usr/bin/perl
# DBD::Pg: what docs/clients.md says of it, and more.  Prints TAP lines; libpq's variables say where the server is.

use strict;
use warnings;
use DBI;
use DBD::Pg qw(:pg_types);

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
ok($wrapped =~ /^kv1:aes-kw-bound:/, 'writes a key');

my $select = $dbh->prepare('SELECT key_vault.lorawan_decrypt_uplink(app_s_key, dev_addr, ?, ?) FROM session');
$select->bind_param(1, 1);
$select->bind_param(2, $frm_payload, { pg_type => PG_BYTEA });
$select->execute;
ok(($select->fetchrow_array)[0] eq 'net payload', 'reads a payload');
ok($dbh->selectrow_array('SELECT dev_addr FROM session WHERE app_s_key = ?', undef, $wrapped) eq $dev_addr, 'compares');
my ($keys) = $dbh->selectrow_array('SELECT array_agg(app_s_key)::text[] FROM session');
ok("@$keys" eq $wrapped, 'an array comes as an array of text');
ok($dbh->selectrow_array('SELECT count(*) FROM session WHERE app_s_key = ANY(?::key_vault.wrapped_key[])', undef, $keys) == 1, 'and goes back');

$dbh->do('COPY session TO STDOUT');
my ($row, @rows) = ('');
push @rows, $row while $dbh->pg_getcopydata(\$row) >= 0;
$dbh->do('CREATE TEMPORARY TABLE copied (LIKE session)');
$dbh->do('COPY copied FROM STDIN');
$dbh->pg_putcopydata($_) foreach @rows;
$dbh->pg_putcopyend;
ok($dbh->selectrow_array('SELECT count(*) FROM copied JOIN session USING (app_s_key)') == 1, 'COPY in text');

ok(sqlstate(q{SELECT key_vault.lorawan_decrypt_uplink(app_s_key, '\x01020304', 1, '') FROM session}) eq 'KV005', 'another DevAddr by its SQLSTATE');
ok(sqlstate('SELECT key_vault.unwrap(app_s_key) FROM session') eq '42501', 'a missing privilege by its SQLSTATE');

$dbh->begin_work;
ok(sqlstate(q{CALL key_vault.rewrap_all('app1')}) eq '25001', 'rewrap_all, not inside of a transaction');
$dbh->rollback;
my @notices;
{
    local $SIG{__WARN__} = sub { push @notices, @_ };
    $dbh->do(q{CALL key_vault.rewrap_all('app1')});
}
ok(scalar(grep { /rewrapped/ } @notices), 'outside of one, with its notices as warnings');
$dbh->do('DELETE FROM session');
$dbh->disconnect;
