# A base backup that is taken while KEKs are rotated starts up and decrypts every key in it.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use IPC::Run;
use Test::More;

my $primary = new_node('primary');
$primary->init(allows_streaming => 1);
$primary->configure_vault;
$primary->start;
$primary->safe_psql('postgres', q{
    CREATE EXTENSION key_vault;
    CREATE TABLE device (n integer PRIMARY KEY, key key_vault.wrapped_key);
    SELECT key_vault.kek_create('net');
    INSERT INTO device VALUES (1, key_vault.wrap('\x000102030405060708090a0b0c0d0e0f', 'net'));
});

# The backup is slow enough for rotations to fall in the middle of it.  Each rotation adds a key that needs the
# new version.
my $path = "$ENV{TESTDIR}/backup";
my $backup = IPC::Run::start(
    [
        'pg_basebackup', '-D', $path, '-d', $primary->connstr('postgres'),
        '--checkpoint=fast', '--wal-method=stream', '--max-rate=16M', '--no-sync'
    ],
    '>', \my $out, '2>', \my $err, IPC::Run::timeout(180));
my $session = open_session($primary);
my $rotations = 0;
while ($backup->pumpable)
{
    my $n = $rotations + 2;
    look($session, q{BEGIN; SELECT key_vault.kek_rotate('net');} .
            qq{INSERT INTO device VALUES ($n, key_vault.wrap('\\x000102030405060708090a0b0c0d0e0f', 'net'));} .
            q{UPDATE device SET key = key_vault.rewrap(key) WHERE n = 1; COMMIT});
    $rotations++;
    $backup->pump_nb;
}
ok($backup->finish, 'pg_basebackup ends well') or diag($err);
cmp_ok($rotations, '>=', 2, 'KEKs were rotated meanwhile');
is(look($session, 'SELECT count(*) FROM device'), $rotations + 1, 'each rotation was committed');
$session->quit;
$primary->stop;

my $restored = new_node('restored');
mkdir $restored->basedir;
rename $path, $restored->data_dir or die "$path: $!";
$restored->append_conf('postgresql.conf', 'port = ' . $restored->port . "\n");
$restored->start;
is(look_anew($restored, q{SELECT count(*) > 0, bool_and(convert_from(key_vault.lorawan_decrypt_uplink(key,
        '\x26011bda', 1, '\xbc96d0bce3c0d2abfcfa1e'), 'UTF8') = 'net payload') FROM device}),
    't|t', 'every key in the backup decrypts');
is(look_anew($restored, q{SELECT max(n) = (SELECT max(version) FROM key_vault.keks) FROM device}),
    't', 'the keys and the KEKs are of one moment');
is(look_anew($restored, q{SELECT key_vault.kek_rotate('net') = max(n) + 1 FROM device}), 't', 'it rotates on');

done_testing();
