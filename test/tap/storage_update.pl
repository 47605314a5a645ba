# Storages that were made by version 1.0 keep working after ALTER EXTENSION UPDATE.  Then update_storage() or
# create_storage() brings them to the version of the extension, and every row, every grant and every payload is
# as before.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use IPC::Run;
use Test::More;

my $update = "$FindBin::Bin/../update";
my $node = new_node('storages');
$node->init;
$node->configure_vault;
$node->append_conf('postgresql.conf', 'log_statement = none');
$node->start;

# The rows that statements return, or their error
sub in_db
{
    my ($db, @statements) = @_;
    $node->psql($db, join(";\n", "\\set VERBOSITY verbose\nSET client_min_messages = error", @statements),
        stdout => \my $rows, stderr => \my $error, on_error_die => 0);
    return $error =~ /((?:ERROR|FATAL):  [\s\S]*?)(?:\nCONTEXT|\nLOCATION|\nSTATEMENT|$)/ ? $1 : $rows;
}

sub file_in_db
{
    my ($db, $file) = @_;
    my $output;
    IPC::Run::run([ 'psql', '-XqAt', '-d', $node->connstr($db), '-f', "$update/$file" ], '>&', \$output)
      or die "$file: $output";
    return $output;
}

$node->safe_psql('postgres', 'CREATE DATABASE old');
in_db('old', q{CREATE EXTENSION key_vault VERSION '1.0'});
file_in_db('old', 'storage_1_0.sql');
my $before = file_in_db('old', 'storage_1_0_look.sql');
like($before, qr/^read\|\\x0167010e02684a\|decrypted\|20$/m, 'a storage of 1.0: payloads');
like($before, qr/^read\|\|KEK unknown\|1$/m, 'one of which waits for its KEK');
like($before, qr/^session\|\w+\|4\|3\|1$/m, 'sessions');
like($before, qr/^rejected\|\w+\|3\|2$/m, 'rejected messages');
is(in_db('old', q{SELECT count(*) FROM lorawan.uplink_20240502}), 6, 'partitions');
is(in_db('old', q{SELECT count(*) FROM pg_proc WHERE pronamespace = 'lorawan'::regnamespace}), 9, 'nine functions');

# Messages stored by the role that writes, a rejected message that is stored later, and a KEK that comes after
# its envelope
sub goes_on
{
    my ($db, $how) = @_;
    my $has = sub { is(in_db($db, @_[ 1 .. $#_ ]), $_[0], "$how: $_[-1]") };

    $has->('uplink', 'SET ROLE storage_writer', 'SELECT lorawan.ingest(uplink(700))');
    $has->('duplicate', 'SET ROLE storage_writer', 'SELECT lorawan.ingest(uplink(700))');
    $has->('uplink', 'SET ROLE storage_writer', q{SELECT lorawan.ingest(uplink(701, '{"session_key_id": "AAAAAAAAAAAAAAAAAAAABg==", "app_s_key": {"key": "EC925802AE430CA77FD3DD73CB2CC588"}}'))});
    $has->('rejected', 'SET ROLE storage_writer', q{SELECT lorawan.ingest(uplink(702, '{"app_s_key": {"kek_label": "app1-kek", "encrypted_key": "CqqU11IcP6+Y5bzIjRjnPF0PMsjTD6gA"}}'))});
    like(in_db($db, 'SET ROLE storage_writer', q{SELECT lorawan.ingest('x'::text)}), qr/^ERROR:  42501: permission denied for function ingest/, "$how: what was not granted is not");
    like(in_db($db, 'SET ROLE storage_writer', q{SELECT lorawan.ingest(ARRAY['x'])}), qr/^ERROR:  42(?:501: permission denied for function ingest|883: )/, "$how: nor in another way");
    $has->('uplink', 'SET ROLE storage_writer', 'SELECT "My Storage".ingest(uplink(700))');
    is(in_db($db, q{SELECT key_vault.kek_import('late', '\x000102030405060708090a0b0c0d0e0f')}, q{SET ROLE storage_owner},
            q{UPDATE lorawan.rejected SET message = jsonb_set(message, '{uplink_message,f_cnt}', '65538') WHERE message #>> '{uplink_message,f_cnt}' = '-2'},
            q{UPDATE lorawan.session SET kek_label = 'app1-kek' WHERE kek_label = 'late'},
            'SELECT opened, stored, rejected FROM lorawan.replay_rejected()'), "1\n1|1|2", "$how: replay_rejected()");
    $has->('decrypted|24', 'SET ROLE storage_analyst', q{SELECT status, count(*) FROM lorawan.uplink_decrypted WHERE payload = '\x0167010e02684a' GROUP BY 1});
    $has->('', 'SET ROLE storage_owner', q{CALL key_vault.maintain_storage('lorawan')});
    $has->('0', 'SELECT count(*) FROM lorawan.uplink_default');
}

my $version = q{SELECT schema, owner, version, to_do FROM key_vault.storages()};
my $old_versions = "My Storage|storage_owner|1.0|CALL key_vault.update_storage('My Storage');\nlorawan|storage_owner|1.0|CALL key_vault.update_storage('lorawan');";

# Neither the extension nor the storages are updated.
$node->safe_psql('postgres', 'CREATE DATABASE not_updated TEMPLATE old');
goes_on('not_updated', 'the script of 1.0');

# The extension is updated, the storages are not yet.
in_db('old', 'ALTER EXTENSION key_vault UPDATE');
is(file_in_db('old', 'storage_1_0_look.sql'), $before, 'ALTER EXTENSION UPDATE leaves storages as they are');
is(in_db('old', $version), $old_versions, 'storages() says what is to be done');
is(in_db('old', 'SET ROLE storage_analyst', $version), $old_versions, 'to everybody');
$node->safe_psql('postgres', 'CREATE DATABASE storages_not_updated TEMPLATE old');
goes_on('storages_not_updated', 'storages of 1.0');
# Their messages are kept out of the log, as before the update.
foreach my $statement (q{SELECT lorawan.ingest('{"app_s_key": {"key": "A1B2C3D4E5F60718293A4B5C6D7E8F90"}}'::jsonb)},
    qq{COPY lorawan.inbox FROM STDIN (FORMAT csv, DELIMITER E'\\x01', QUOTE E'\\x02');\n{"app_s_key": {"key": "A1B2C3D4E5F60718293A4B5C6D7E8F90"}}\n\\.\n})
{
    like(in_db('storages_not_updated', q{SELECT key_vault.kek_suspend('lorawan', 1) WHERE EXISTS (SELECT FROM key_vault.keks WHERE label = 'lorawan' AND state = 'active')}, $statement),
        qr/ERROR:  KV007: /, 'a storage of 1.0: a plaintext key that cannot be wrapped');
}
unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/A1B2C3D4E5F60718293A4B5C6D7E8F90/, 'is not in the log');

# Who may update a storage, and in which state it must be
$node->safe_psql('postgres', 'CREATE DATABASE refused TEMPLATE old');
like(in_db('refused', q{CALL key_vault.update_storage('lorawan')}), qr/^ERROR:  42501: must be owner of storage "lorawan"\n.*\nHINT:  Connect as that role, or SET ROLE storage_owner\./, 'not a superuser, who would own what is made');
like(in_db('refused', 'SET ROLE storage_writer', q{CALL key_vault.update_storage('lorawan')}), qr/^ERROR:  42501: must be owner of storage/, 'not another role');
is(in_db('refused', 'SET ROLE storage_owner', 'GRANT CREATE ON SCHEMA lorawan TO storage_writer', q{SELECT to_do FROM key_vault.storages() WHERE schema = 'lorawan'}),
    q{REVOKE CREATE ON SCHEMA lorawan FROM storage_writer; CALL key_vault.update_storage('lorawan');}, 'not while others may create objects beside it');
like(in_db('refused', 'SET ROLE storage_owner', q{CALL key_vault.update_storage('lorawan')}), qr/^ERROR:  55000: other roles may create objects in schema "lorawan"\nDETAIL:  They are: storage_writer\./, 'which it says');
is(in_db('refused', 'SET ROLE storage_writer', 'CREATE FUNCTION lorawan.octet_length(jsonb) RETURNS integer LANGUAGE sql RETURN 1', 'RESET ROLE', 'REVOKE CREATE ON SCHEMA lorawan FROM storage_writer'), '', 'nor while');
like(in_db('refused', 'SET ROLE storage_owner', q{CALL key_vault.update_storage('lorawan')}), qr/^ERROR:  55000: schema "lorawan" has functions or operators of other roles\nDETAIL:  They are: lorawan\.octet_length\(jsonb\)\./, 'functions of others are there');
is(in_db('refused', q{SELECT count(*) FROM pg_proc WHERE pronamespace = 'lorawan'::regnamespace}), 10, 'nothing of it stays');
is(in_db('refused', 'DROP FUNCTION lorawan.octet_length(jsonb)', 'CREATE VIEW uses AS SELECT lorawan.kek_label(NULL::jsonb)'), '', 'nor');
like(in_db('refused', 'SET ROLE storage_owner', q{CALL key_vault.update_storage('lorawan')}), qr/^ERROR:  2BP01: .*\nDETAIL:  view public\.uses depends on function (?:lorawan\.)?kek_label\(jsonb\)/, 'while a view uses a function that is to go, which is named');

# The storages are updated, by either of the two calls.
foreach my $call ('update_storage', 'create_storage')
{
    my $db = "by_$call";
    $node->safe_psql('postgres', "CREATE DATABASE $db TEMPLATE old");
    # This session has the code of version 1.0 in its cache.
    my $session = $node->background_psql($db, on_error_stop => 0);
    $session->query('SET client_min_messages = error; SET ROLE storage_writer');
    is(look($session, 'SELECT lorawan.ingest(uplink(0))'), 'duplicate', "$call: a session that was there before");
    is(in_db($db, 'SET ROLE storage_owner', "CALL key_vault.$call('lorawan')", "CALL key_vault.$call('My Storage')", $version),
        "My Storage|storage_owner|1.1|\nlorawan|storage_owner|1.1|", "$call: both storages");
    is(in_db($db, q{SELECT string_agg(DISTINCT concat_ws(' ', pg_get_viewdef(c.oid) ~ 'storage_read_uplink.*s[.]app_s_key', pg_get_viewdef(c.oid) ~ 'try_decrypt|key_status'), ', ')
        FROM pg_class c WHERE c.relname IN ('uplink_decrypted', 'device_latest')}), 't f', "$call: views look once for a row");
    is(file_in_db($db, 'storage_1_0_look.sql'), $before, "$call: every row, grant and payload is as before");
    is(in_db($db, q{SELECT encrypted IS NULL, status, payload IS NULL FROM lorawan.uplink u JOIN lorawan.uplink_decrypted USING (dev_eui, received_at, f_cnt) WHERE encrypted IS NOT TRUE}),
        't|perhaps encrypted|t', "$call: what came without a key in a session that has one is not taken for plain");
    # create_storage() also maintains partitions, as it does in version 1.0.
    is(in_db($db, 'SELECT count(*) FROM lorawan.uplink_default'), $call eq 'update_storage' ? 2 : 0, "$call: and partitions");
    is(look($session, 'SELECT lorawan.ingest(uplink(10))'), 'duplicate', "$call: the session goes on");
    $session->quit;
    is(in_db($db, q{SELECT string_agg(oid::regprocedure::text, ' ' ORDER BY oid::regprocedure::text) FROM pg_proc WHERE pronamespace = 'lorawan'::regnamespace}),
        'lorawan.ingest(bytea) lorawan.ingest(json) lorawan.ingest(jsonb) lorawan.ingest(jsonb[]) lorawan.ingest(text) lorawan.ingest(text[]) lorawan.replay_rejected() lorawan.replay_rejected(bigint[])', "$call: the functions are those of this version");
    my $catalog = file_in_db($db, 'storage_catalog.sql');
    in_db($db, 'SET ROLE storage_owner', "CALL key_vault.$call('lorawan')");
    is(file_in_db($db, 'storage_catalog.sql'), $catalog, "$call: again, it changes nothing");
    $node->safe_psql('postgres', 'DROP DATABASE IF EXISTS fresh');
    $node->safe_psql('postgres', 'CREATE DATABASE fresh');
    is(in_db('fresh', 'CREATE EXTENSION key_vault', q{CALL key_vault.create_storage('lorawan')}), '', 'a new storage');
    is($catalog, file_in_db('fresh', 'storage_catalog.sql'), "$call: has the same columns, constraints, indexes, triggers, views and functions");
    goes_on($db, $call);

    # A dump and a restore
    $node->command_ok([ 'pg_dump', '-Fc', '-d', $node->connstr($db), '-f', "$ENV{TESTDIR}/dump" ], 'pg_dump');
    $node->safe_psql('postgres', "CREATE DATABASE restored_$db");
    $node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr("restored_$db"), "$ENV{TESTDIR}/dump" ], 'pg_restore');
    is(file_in_db("restored_$db", 'storage_1_0_look.sql'), file_in_db($db, 'storage_1_0_look.sql'), "$call: dumped and restored");
    is(in_db("restored_$db", $version), in_db($db, $version), "$call: with its version");
}

# Times that cannot be right: the rows that version 1.0 stored with them stay.  Maintenance neither drops them
# because of these times nor keeps them for ever.
$node->safe_psql('postgres', 'CREATE DATABASE times TEMPLATE not_updated');
is(in_db('times', 'SET ROLE storage_owner', q{SELECT string_agg(lorawan.ingest(uplink(n::integer, format('{"session_key_id": null, "app_s_key": null, "f_cnt": 7, "received_at": "%s"}', at)::jsonb)), ' ')
    FROM unnest('{0001-01-01T00:00:00Z,1980-01-06T00:00:00Z,1980-01-06T00:00:01Z,2199-01-01T00:00:00Z}'::text[]) WITH ORDINALITY u (at, n)},
    'SELECT count(*) FROM lorawan.uplink WHERE f_cnt = 7'), "uplink uplink uplink uplink\n4", 'uplinks of a storage of 1.0 with times that cannot be');
# ChirpStack's uplinks, of which 1.0 reads the gateway's time, and 1.1 the network server's
my $chirpstack = q{CREATE OR REPLACE FUNCTION chirpstack(f_cnt integer, data text DEFAULT 'BqiSEvuAbQ==') RETURNS jsonb LANGUAGE sql AS
    $$SELECT '{"deduplicationId": "3ac7e3c4-4401-4b8d-9386-a5c902f9202d", "time": "2024-05-01T12:00:00.5Z", "deviceInfo": {"applicationId": "app1", "deviceName": "dev3", "devEui": "0102030405060708"}, "devAddr": "01fa8b2c", "fPort": 2,
        "rxInfo": [{"nsTime": "2024-05-03T12:00:00Z"}], "joinServerContext": {"appSKey": {"kekLabel": "app1-kek", "aesKey": "7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"}}}'::jsonb || jsonb_build_object('fCnt', f_cnt, 'data', data)$$};
my $count = q{SELECT count(*) FROM lorawan.uplink WHERE f_cnt = 1042};
is(in_db('times', $chirpstack, q{SELECT lorawan.ingest(chirpstack(1042))}, $count), "uplink\n1", 'ChirpStack: a storage of 1.0 reads the time of the gateway');
is(in_db('times', 'ALTER EXTENSION key_vault UPDATE', q{SELECT lorawan.ingest(chirpstack(1042))}, $count), "duplicate\n1", 'also under 1.1');
is(in_db('times', 'SET ROLE storage_owner', q{CALL key_vault.update_storage('lorawan')},
    q{SELECT count(*), count(DISTINCT received_at), bool_and(received_at = stored_at AND stored_at BETWEEN now() - interval '1 minute' AND now()) FROM lorawan.uplink WHERE f_cnt = 7}),
    '4|4|t', 'have the time of the update');
is(in_db('times', q{SELECT count(*), bool_and(received_at = stored_at), max(stored_at) < '2025-01-01' FROM lorawan.uplink WHERE f_cnt <> 7}), '26|t|t', 'all others keep theirs');
is(in_db('times', q{SELECT lorawan.ingest(uplink(10))}), 'duplicate', 'and are known again');
is(in_db('times', q{SELECT lorawan.ingest(chirpstack(1042))}, q{SELECT * FROM lorawan.ingest(ARRAY[chirpstack(1042), chirpstack(1042)])}, $count), "duplicate\n0|2|0\n1", 'a second delivery after the update is one, though its time is read differently');
is(in_db('times', q{SELECT lorawan.ingest(chirpstack(1042, 'AA=='))}, q{SELECT lorawan.ingest(chirpstack(1043))}, $count), "rejected\nuplink\n1", 'another payload and another counter are not');
is(in_db('times', 'SET ROLE storage_owner', q{CREATE FUNCTION lorawan.read_message(message jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT message -> 'mine' $$},
    map { qq{SELECT lorawan.ingest('{"$_": {"kind": "uplink", "received_at": "2024-05-01T12:00:00Z", "dev_eui": "0004A30B001C0599", "application_id": "app1", "f_port": 2, "f_cnt": 7, "frm_payload": "01", "encrypted": false}}'::jsonb)} } 'mine', 'storage_event'),
    "uplink\nduplicate", 'the owner of an updated storage can translate messages for it');
is(in_db('times', 'SET ROLE storage_owner', 'DROP FUNCTION lorawan.read_message(jsonb)', q{DELETE FROM lorawan.uplink WHERE dev_eui = '\x0004A30B001C0599'}), '', 'and needs not');
is(in_db('times', 'SET ROLE storage_owner', q{CALL key_vault.maintain_storage('lorawan', keep => '1 day')}, 'SELECT count(*) FROM lorawan.uplink WHERE f_cnt = 7'), 4, 'they are not too old');
is(in_db('times', q{SELECT count(*) FROM pg_index i JOIN pg_inherits h ON h.inhrelid = i.indrelid JOIN pg_class c ON c.oid = h.inhrelid
    WHERE h.inhparent IN ('lorawan.uplink'::regclass, 'lorawan.downlink'::regclass) AND i.indisunique}),
    in_db('times', q{SELECT count(*) FROM pg_inherits WHERE inhparent IN ('lorawan.uplink'::regclass, 'lorawan.downlink'::regclass)}), 'each partition has its unique index');

# A storage with a later version than this extension's
is(in_db('by_update_storage', q{UPDATE lorawan.storage_settings SET version = '1.10'}, q{SELECT to_do FROM key_vault.storages() WHERE schema = 'lorawan'}), 'ALTER EXTENSION key_vault UPDATE;', 'a storage that is newer than the extension');
like(in_db('by_update_storage', 'SET ROLE storage_owner', q{CALL key_vault.create_storage('lorawan')}), qr/^ERROR:  55000: storage "lorawan" has version 1\.10, the extension knows storages of up to version 1\.1\n/, 'is left alone');

done_testing();
