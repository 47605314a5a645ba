# A storage with files and streams: lines of JSON are copied in, plaintext keys are in no file of the server,
# and the storage is dumped and restored.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use KeyVaultSecrets;
use JSON::PP;
use MIME::Base64 qw(decode_base64 encode_base64);
use Test::More;

my $node = new_node('storage');
$node->init;
$node->configure_vault;
$node->append_conf('postgresql.conf', <<'END');
log_statement = none
max_prepared_transactions = 2
deadlock_timeout = 100ms
END
$node->start;
$node->safe_psql('postgres', q{
    CREATE EXTENSION key_vault;
    SELECT key_vault.kek_import('app1-kek', '\x000102030405060708090a0b0c0d0e0f'), key_vault.kek_create('lorawan');
    CALL key_vault.create_storage('lorawan', keep_messages => true);
});

# The key in the examples' envelope, and payloads for these counters, encrypted with python3-cryptography's AES
my $envelope = { kek_label => 'app1-kek', encrypted_key => '7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo' };
my $app_s_key = pack 'H*', 'ec925802ae430ca77fd3dd73cb2cc588';
my $dev_addr = pack 'H*', '260B1234';

# Encrypts an FRMPayload of up to 16 bytes: LoRaWAN L2 1.0.4, section 4.3.3.
sub frm_payload
{
    my ($key, $f_cnt, $payload) = @_;
    my $block = pack('C x4 C', 1, 0) . reverse($dev_addr) . pack('V C C', $f_cnt, 0, 1);
    my ($k, $b) = (unpack('H*', $key), unpack('H*', $block));
    my $stream = `python3 -c "from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes; e = Cipher(algorithms.AES(bytes.fromhex('$k')), modes.ECB()).encryptor(); print(e.update(bytes.fromhex('$b')).hex())"`;
    $stream = pack 'H*', $stream =~ s/\s//r;
    length $stream == 16 or die 'python3-cryptography';
    return encode_base64($payload ^ substr($stream, 0, length $payload), '');
}
is(frm_payload($app_s_key, 65538, pack 'H*', '0167010e02684a'), 'LhFe2aRcmQ==', 'the oracle knows the example');

sub message
{
    my ($f_cnt, %uplink) = @_;
    return JSON::PP->new->canonical->encode({
        end_device_ids => { device_id => 'dev "1" \\ äöü', application_ids => { application_id => 'app1' },
            dev_eui => '0004A30B001C0530', dev_addr => '260B1234' },
        uplink_message => { session_key_id => 'AYfC0bag8+RHWGmqu8zd7g==', f_port => 2, f_cnt => $f_cnt,
            received_at => sprintf('2024-05-01T12:%02d:00Z', $f_cnt % 60), app_s_key => $envelope,
            frm_payload => frm_payload($app_s_key, $f_cnt, "text $f_cnt"), %uplink } });
}

sub copy
{
    my (@lines) = @_;
    open my $file, '>', "$ENV{TESTDIR}/lines" or die $!;
    print $file map { "$_\n" } @lines;
    close $file;
    my $status = $node->psql('postgres',
        qq{\\copy lorawan.inbox FROM '$ENV{TESTDIR}/lines' (FORMAT csv, DELIMITER E'\\x01', QUOTE E'\\x02')},
        stderr => \my $error);
    # Without the message that says how many were stored
    return $status . $error =~ s/^.*NOTICE:  stored .*\n(?:HINT: .*\n?)?//mgr;
}

# Quotes, backslashes and umlauts are stored unchanged, and so are lines that are not JSON.
my @counters = (65533 .. 65540);
is(copy((map { message($_) } @counters), '', '{"cut', message(65533)), '0', 'COPY of lines of JSON');
my $readings = q{SELECT count(*), bool_and(convert_from(payload, 'UTF8') = 'text ' || f_cnt), min(device_id), string_agg(DISTINCT status, ',') FROM lorawan.uplink_decrypted};
is($node->safe_psql('postgres', $readings), '8|t|dev "1" \\ äöü|decrypted', 'all are decrypted');
is($node->safe_psql('postgres', q{SELECT count(*), min(reason) FROM lorawan.rejected}), '1|line is not a JSON object', 'but for the one that was cut');

# Plaintext keys, wherever they stand in a message, are in no file of the server, and not in the log.
my %secrets = map { ("key $_" => random_bytes(16)) } 1 .. 13;
my %hex = map { ($_ => uc unpack 'H*', $secrets{$_}) } keys %secrets;
my %base64 = map { ($_ => encode_base64($secrets{$_}, '')) } keys %secrets;
sub id { return encode_base64(random_bytes(16), ''); }
is(copy(message(1, session_key_id => id(), app_s_key => { key => $hex{'key 1'} }),
        message(2, session_key_id => id(), app_s_key => { encrypted_key => $base64{'key 2'} }),
        message(3, session_key_id => id(), app_s_key => { encrypted_key => $base64{'key 3'} }, f_cnt => -1),
        message(4, session_key_id => id(), app_s_key => $hex{'key 4'}),
        qq({"app_s_key": {"key": "$hex{'key 5'}", cut)), '0', 'messages with plaintext keys');
is($node->safe_psql('postgres', 'SELECT count(*) FROM lorawan.session'), '3', 'two of them in sessions');
is($node->safe_psql('postgres', q{SELECT count(*) FROM lorawan.rejected}), '4', 'three rejected');
$node->safe_psql('postgres', q{SELECT key_vault.kek_suspend('lorawan', 1)});
like(copy(message(5, session_key_id => id(), app_s_key => { key => $hex{'key 6'} })), qr/^[1-9].*has no active version/s, 'one that cannot be wrapped is an error');
like(copy(qq({"app_s_key": {"key": "$hex{'key 7'}"}})), qr/^[1-9].*has no active version/s, 'also at the start of a line, where COPY shows it');
foreach my $cut ('', '}')
{
    my (undef, undef, $error) = $node->psql('postgres', qq~SELECT lorawan.ingest('{"app_s_key": {"key": "$hex{'key 8'}"}$cut')~);
    like($error, qr/has no active version/, 'also in a literal, of JSON or not');
}
$node->safe_psql('postgres', q{SELECT key_vault.kek_resume('lorawan', 1)});
# They are not in the log either if the statement is cancelled, its session ended, or a warning raised, while it
# waits for a lock.
foreach my $end ([ 'key 9', 'cancel' ], [ 'key 10', 'terminate' ])
{
    my ($key, $how) = @$end;
    my $locker = open_session($node);
    look($locker, 'BEGIN; LOCK TABLE lorawan.session');
    my $waiting = $node->background_psql('postgres', on_error_stop => 0);
    $waiting->query_until(qr/begun/, qq{\\echo begun\nSELECT lorawan.ingest('} . message(6, session_key_id => id(), app_s_key => { key => $hex{$key} }) . qq{');\n});
    $node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock'}) or die 'no wait';
    is($node->safe_psql('postgres', qq{SELECT pg_${how}_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'}), 't', "a statement with a key in a literal: $how");
    $node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock'}) or die 'still waits';
    $locker->quit;
    eval { $waiting->quit };
}
$node->safe_psql('postgres', q{CREATE FUNCTION warn() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE WARNING 'careful'; RETURN NEW; END$$;
    CREATE TRIGGER warn BEFORE INSERT ON lorawan.uplink FOR EACH ROW EXECUTE FUNCTION warn();
    SET log_min_error_statement = warning; SELECT lorawan.ingest('} . message(8, session_key_id => id(), app_s_key => { key => $hex{'key 11'} }) . q{');
    DROP TRIGGER warn ON lorawan.uplink; DELETE FROM lorawan.uplink WHERE f_cnt = 8; DELETE FROM lorawan.session WHERE envelope_digest IS NULL AND started_at = '2024-05-01T12:08:00Z'});
# The same after a deadlock, where PostgreSQL logs the statements of both sides
my @sides = map { $node->background_psql('postgres', on_error_stop => 0) } 1 .. 2;
my @ingest = map { my $key = $_; [ map { q{SELECT lorawan.ingest('} . (message(9, session_key_id => id(), app_s_key => { key => $hex{$key} }) =~ s/0004A30B001C0530/0004A30B001C060$_/r) . q{')} } 1 .. 2 ] } 'key 12', 'key 13';
$sides[$_]->query("BEGIN; $ingest[$_][$_]") foreach 0, 1;
$sides[0]->query_until(qr/begun/, "\\echo begun\n$ingest[0][1];\n");
$node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock'}) or die 'no wait';
$sides[1]->query($ingest[1][0]);
$_->query('ROLLBACK'), $_->quit foreach @sides;
my $log = PostgreSQL::Test::Utils::slurp_file($node->logfile);
like($log, qr/$_/, "the log has the rest: $_") foreach 'canceling statement due to user request', 'terminating connection due to administrator command', 'WARNING:  careful', 'deadlock detected';
$node->safe_psql('postgres', 'CHECKPOINT');
unlink "$ENV{TESTDIR}/lines";
my ($files, @found) = file_scanner(%secrets)->($node->basedir, $node->logfile);
cmp_ok($files, '>', 100, 'the files of the server are looked through');
is_deeply([ map { "$_->{name}, $_->{form}, $_->{path}" } @found ], [], 'and no key is in them');
my (undef, @there) = file_scanner(envelope => substr(decode_base64($envelope->{encrypted_key}), 0, 16))->($node->basedir);
ok(@there > 0, 'the envelope, which may be in a file, is found');

# A dump and a restore, with the KEKs
my $before = $node->safe_psql('postgres', q{SELECT * FROM lorawan.uplink_decrypted ORDER BY received_at, dev_addr, session_key_id});
foreach my $format ('custom', 'plain')
{
    $node->command_ok([ 'pg_dump', '-d', $node->connstr('postgres'), '-F', $format, '-f', "$ENV{TESTDIR}/dump" ], "pg_dump, $format");
    $node->safe_psql('postgres', 'CREATE DATABASE restored');
    if ($format eq 'custom')
    {
        $node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('restored'), "$ENV{TESTDIR}/dump" ], 'pg_restore');
    }
    else
    {
        $node->command_ok([ 'psql', '-qX', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-d', $node->connstr('restored'), '-f', "$ENV{TESTDIR}/dump" ], 'psql');
    }
    is($node->safe_psql('restored', q{SELECT * FROM lorawan.uplink_decrypted ORDER BY received_at, dev_addr, session_key_id}), $before, 'the restored storage decrypts the same');
    $node->safe_psql('restored', q{CALL key_vault.create_storage('lorawan')});
    is($node->safe_psql('restored', q{SELECT lorawan.ingest($m$} . message(65540) . q{$m$), lorawan.ingest($m$} . message(65541) . q{$m$)}), 'duplicate|uplink', 'and goes on');
    is($node->safe_psql('restored', 'SELECT count(*), (SELECT count(*) FROM lorawan.rejected_key) FROM lorawan.rejected'), '4|4', 'with what was rejected');
    $node->safe_psql('postgres', 'DROP DATABASE restored');
}

# Two connections bring the same uplinks of new sessions at the same time: each uplink is stored once.
my @sessions = map { open_session($node) } 1 .. 2;
look($_, 'BEGIN') foreach @sessions;
my $new = message(7, session_key_id => id());
is(look($sessions[0], qq{SELECT lorawan.ingest(\$m\$$new\$m\$)}), 'uplink', 'a session brings an uplink');
$sessions[1]->{run}->pump_nb;
my $second = $node->background_psql('postgres', on_error_stop => 0);
$second->query_until(qr/begun/, qq{\\echo begun\nSELECT lorawan.ingest(\$m\$$new\$m\$);\n});
$node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock'}) or die 'no wait';
look($sessions[0], 'COMMIT');
like($second->query('SELECT 1'), qr/duplicate/, 'another one, which had to wait, brings it again');
$_->quit foreach @sessions, $second;

done_testing();
