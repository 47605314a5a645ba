# A storage while the root key cannot be read: storing a message is an error, so that the sender tries again. No
# message is put among the rejected ones, where each would wait until somebody looks.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use PostgreSQL::Test::Utils qw(slurp_file);
use Test::More;

my $node = new_node('outage');
$node->init;
$node->configure_vault;
$node->start;
$node->safe_psql('postgres', q{
    CREATE EXTENSION key_vault;
    SELECT key_vault.kek_import('app1-kek', '\x000102030405060708090a0b0c0d0e0f'), key_vault.kek_import('late', '\x000102030405060708090a0b0c0d0e0f'), key_vault.kek_create('lorawan');
    CALL key_vault.create_storage('lorawan');
});
my ($root_key) = slurp_file($node->data_dir . '/postgresql.conf') =~ /^key_vault\.root_key = 'file:(.*)'/m;

# Stores an uplink of a session whose key is under a KEK label of its own.
sub uplink_of
{
    my ($session_key_id, $kek_label) = @_;
    return qq~SELECT lorawan.ingest('{"end_device_ids": {"application_ids": {"application_id": "app1"}, "dev_eui": "0004A30B001C0530", "dev_addr": "260B1234"},
        "uplink_message": {"session_key_id": "$session_key_id", "f_port": 2, "f_cnt": 65538, "frm_payload": "LhFe2aRcmQ==", "received_at": "2024-05-01T12:00:00Z",
        "app_s_key": {"kek_label": "$kek_label", "encrypted_key": "7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"}}}')~;
}
is($node->safe_psql('postgres', uplink_of('AAAAAAAAAAAAAAAAAAAAAQ==', 'app1-kek')), 'uplink', 'an uplink');
is($node->safe_psql('postgres', uplink_of('AAAAAAAAAAAAAAAAAAAAAg==', 'unknown')), 'uplink', 'and one whose KEK is unknown');

rename $root_key, "$root_key.away" or die "$root_key: $!";
$node->reload;
my ($status, undef, $error) = $node->psql('postgres', "\\set VERBOSITY sqlstate\n" . uplink_of('AAAAAAAAAAAAAAAAAAAAAw==', 'app1-kek'));
like($error, qr/KV102/, 'an uplink of a new session, while the root key cannot be read, is an error');
(undef, undef, $error) = $node->psql('postgres', qq{\\set VERBOSITY sqlstate\nUPDATE lorawan.session SET kek_label = 'late' WHERE kek_label = 'unknown'; SELECT * FROM lorawan.replay_rejected()});
like($error, qr/ERROR:  KV102/, 'so is trying again');
is($node->safe_psql('postgres', 'SELECT count(*) FROM lorawan.rejected'), '0', 'nothing is rejected');
is($node->safe_psql('postgres', 'SELECT count(*) FROM lorawan.uplink'), '2', 'or stored');

rename "$root_key.away", $root_key or die "$root_key: $!";
$node->reload;
is($node->safe_psql('postgres', uplink_of('AAAAAAAAAAAAAAAAAAAAAw==', 'app1-kek')), 'uplink', 'once it is back, the sender\'s next try is stored');
is($node->safe_psql('postgres', 'SELECT opened FROM lorawan.replay_rejected()'), '1', 'and the envelope is opened');
is($node->safe_psql('postgres', q{SELECT count(*) FROM lorawan.uplink_decrypted WHERE payload = '\x0167010e02684a'}), '3', 'all are decrypted');

done_testing();
