# The privilege to decrypt is revoked while a report reads a row: the row's status says so, and the report goes on.
#
# No lock can stop a backend while it reads a row, so the test uses copies of the library that wait there for an
# advisory lock.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use ChangedLibrary;
use Test::More;

my $node = new_node('report');
$node->init;
$node->configure_vault;
$node->start;
if (my $why = why_source_does_not_build("$FindBin::Bin/../.."))
{
    plan skip_all => $why;
}
# One uplink has a wrapped key, the other an envelope; the payload of both is net payload, see uplink().
$node->safe_psql('postgres', q{
    SET client_min_messages = error;
    CREATE EXTENSION key_vault;
    SELECT key_vault.kek_import('app1', '\x000102030405060708090a0b0c0d0e0f');
    CALL key_vault.create_storage('lorawan');
    CREATE ROLE analyst LOGIN;
    GRANT USAGE ON SCHEMA lorawan TO analyst;
    GRANT SELECT ON ALL TABLES IN SCHEMA lorawan TO analyst;
    INSERT INTO lorawan.session (dev_eui, session_key_id, application_id, dev_addr, app_s_key, kek_label, encrypted_key, started_at)
    SELECT int8send(n), 'id', 'app', '\x26011bda', key, (envelope).kek_label, (envelope).encrypted_key, now()
      FROM (VALUES (1, key_vault.wrap('\x000102030405060708090a0b0c0d0e0f', 'app1'), NULL::key_vault.key_envelope),
                   (2, NULL, key_vault.export_envelope(key_vault.wrap('\x000102030405060708090a0b0c0d0e0f', 'app1'), 'app1'))) v (n, key, envelope);
    INSERT INTO lorawan.uplink (received_at, dev_eui, session_key_id, f_cnt, f_port, encrypted, dev_addr, frm_payload, application_id)
    SELECT now(), int8send(n), 'id', 1, 1, true, '\x26011bda', '\xbc96d0bce3c0d2abfcfa1e', 'app' FROM generate_series(1, 2) n;
});

my $wait = qq{
(void) DirectFunctionCall1(pg_advisory_lock_shared_int8, Int64GetDatum(1));
(void) DirectFunctionCall1(pg_advisory_unlock_shared_int8, Int64GetDatum(1));};
my @places = (
    [ 'before its key is looked up', 'src/functions/lorawan.c', qr/^(\tdev_addr = dev_addr_argument\(fcinfo, first\);)$/m ],
    [ 'before its envelope is opened', 'src/vault/wrapping.c', qr/^(vault_try_envelope_key\(.*?\n)(?=\tkek_accept_changes)/ms ]);
my $holder = open_session($node);

foreach (@places)
{
    my ($when, $file, $place) = @$_;
    my $library = build_changed($when =~ tr/ /_/r, $file,
        [ qr/^(#include "postgres.h")$/m, sub { qq{$1\n\n#include "utils/builtins.h"} } ], [ $place, sub { "$1$wait\n" } ]);

    use_library($node, 'postgres', $library);
    read_while_revoked($when, $_) foreach ($file =~ /wrapping/ ? 2 : (1, 2));
    $node->safe_psql('postgres', "UPDATE pg_proc SET probin = '\$libdir/key_vault' WHERE probin = '$library'");
}
$holder->quit;
done_testing();

sub read_while_revoked
{
    my ($when, $device) = @_;
    my $report  = "SELECT coalesce(convert_from(payload, 'UTF8'), status) FROM lorawan.uplink_decrypted WHERE dev_eui = int8send($device)";
    my $what    = $device == 1 ? 'a wrapped key' : 'an envelope';
    my $refused = $device == 1 || $when =~ /looked up/ ? 'not permitted' : 'envelope not opened';

    foreach my $mode (qw(on off verify))
    {
        $node->safe_psql('postgres', q{SELECT key_vault.kek_grant('app1', 'analyst', 'decrypt')});
        my $session = open_session($node);
        my $pid     = look($session, 'SELECT pg_backend_pid()');

        look($session, "SET ROLE analyst; SET key_vault.cache = $mode");
        is(look($session, $report), 'net payload', "$what, cache $mode: the analyst may decrypt");
        look($holder, 'SELECT pg_advisory_lock(1)');
        $session->query_until(qr/started/, "\\echo started\n$report;\n");
        $node->poll_query_until('postgres', "SELECT wait_event = 'advisory' FROM pg_stat_activity WHERE pid = $pid")
          or die 'it does not wait';
        $node->safe_psql('postgres', q{SELECT key_vault.kek_revoke('app1', 'analyst', 'decrypt')});
        look($holder, 'SELECT pg_advisory_unlock(1)');
        is(look($session, ''), $refused, "$what, cache $mode: revoked $when");
        $session->quit;
    }
}
