# A server that may not lock memory works, and says once in each session that uses keys that it cannot lock it.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use KeyVaultSecrets;
use Test::More;

my $node = new_node('not_locked');
$node->init;
$node->configure_vault;
$node->start;
$node->safe_psql('postgres', q{
    CREATE EXTENSION key_vault;
    SELECT key_vault.kek_create('net');
    CREATE TABLE device AS
    SELECT n, key_vault.generate_key('net') AS key FROM generate_series(1, 2000) n;
    CREATE TABLE uplink AS
    SELECT n, int4send(n) AS payload, key_vault.lorawan_encrypt_uplink(key, '\x26011bda', n, int4send(n)) AS frm_payload
      FROM device;
});
$node->stop;

my $decrypt = q{
    SELECT count(*) FROM uplink JOIN device USING (n)
     WHERE key_vault.lorawan_decrypt_uplink(key, '\x26011bda', n, frm_payload) = payload};
my $warning = qr/WARNING:  memory of keys could not be locked/;

my $running = 0;

sub stop
{
    $running = 0;
    return system('pg_ctl', '-w', '-s', '-D', $node->data_dir, '-m', 'fast', 'stop');
}

END
{
    my $status = $?;
    stop() if $running;
    $? = $status;
}

# The limit in kB, and how many warnings a session gives.  A shell sets the limit and starts the server.
foreach (
    [ 'as here',          undef, undef ],
    [ 'no locked memory', 0,     1 ],
    [ 'one chunk of it',  64,    1 ])
{
    my ($name, $limit, $warnings) = @$_;
    my $command = join ' ', defined $limit ? "ulimit -l $limit &&" : '', 'exec pg_ctl -w -s -D', $node->data_dir,
      '-l', $node->logfile, '-o "--cluster-name=not_locked" start';
    $running = 1;
    system('sh', '-c', $command) == 0 or BAIL_OUT("the server does not start: $name");

    my $session = $node->background_psql('postgres', on_error_stop => 0);
    my $pid     = $session->query('SELECT pg_backend_pid()');
    my ($soft)  = `cat /proc/$pid/limits` =~ /^Max locked memory\s+(\S+)/m;
    is($soft, $limit * 1024, "$name: the limit of a backend") if defined $limit;

    my ($warned, $right) = (0, 0);
    foreach my $mode (qw(on on verify off on))
    {
        $session->query("SET key_vault.cache = $mode");
        $session->{stderr} = '';
        $right++ if $session->query($decrypt) eq '2000';
        $warned += () = $session->{stderr} =~ /$warning/g;
        $session->{stderr} = '';
    }
    is($right,  5,         "$name: right answers, whatever the cache");
    is($warned, $warnings, "$name: one warning in a session") if defined $warnings;
    $session->quit;

    $node->psql('postgres', $decrypt, stderr => \my $stderr);
    my $again = () = $stderr =~ /$warning/g;
    is($again, $warnings, "$name: and one in the next") if defined $warnings;
    like($stderr, qr/HINT:.*LimitMEMLOCK=/, "$name: with advice") if $warnings;

    # Each of these uses is the first one in its session that needs memory for a key.
    foreach (
        [ 'wraps', q{SELECT key_vault.wrap('\x000102030405060708090a0b0c0d0e0f', 'net')} ],
        [ 'generates a key', q{SELECT key_vault.generate_key('net')} ],
        [ 'unwraps with the cache off', 'SET key_vault.cache = off; SELECT key_vault.unwrap(key) FROM device LIMIT 1' ],
        [ 'makes a KEK', q{BEGIN; SELECT key_vault.kek_create('other'); ROLLBACK} ],
        [ 'looks at the root keys', 'SELECT FROM key_vault.root_keys()' ])
    {
        my ($what, $sql) = @$_;
        $node->psql('postgres', $sql, stderr => \my $warning_of_first);
        # Checked for a limit of 0 only: with a small limit, the memory for one key may or may not fit into it.
        is(scalar(() = $warning_of_first =~ /$warning/g), $warnings, "$name: one in a session that $what") if defined $limit && $limit == 0;
    }

    stop() == 0 or BAIL_OUT('the server does not stop');
}

done_testing();
