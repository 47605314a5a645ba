# Code of a table's owner catches the error of statement_timeout or of a cancellation, and goes on or raises
# another error.  A function that reads or writes the table, or administers a storage, must still end.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use Test::More;

my $node = new_node('main');
$node->init;
$node->configure_vault;
$node->start;

# Index predicates, which the planner evaluates, and triggers, of a table with a key and of tables of a storage: they
# take a long time, but only once in each call.  A sequence remembers that, since no rollback sets it back;
# otherwise the next statement would wait again.
$node->safe_psql('postgres', q{
    CREATE EXTENSION key_vault;
    SELECT key_vault.kek_create('app');
    CREATE ROLE owner;
    SELECT key_vault.kek_grant('app', 'owner', 'wrap');
    CREATE SCHEMA owned AUTHORIZATION owner;
    GRANT CREATE ON DATABASE postgres TO owner;
    ALTER DATABASE postgres SET default_transaction_isolation = 'read committed';
    SET ROLE owner;
    CREATE TABLE owned.how (act text, reaction text);
    INSERT INTO owned.how VALUES ('nothing', '');
    CREATE SEQUENCE owned.times;
    CREATE FUNCTION owned.act() RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
    DECLARE
        how owned.how;
    BEGIN
        SELECT * INTO how FROM owned.how;
        IF how.act = 'nothing' OR nextval('owned.times') > 1 THEN
            RETURN true;
        ELSIF how.act = 'sleep' THEN
            PERFORM pg_sleep(600);
        ELSIF how.act = 'loop' THEN
            LOOP END LOOP;
        END IF;
        RETURN true;
    EXCEPTION WHEN query_canceled THEN
        CASE how.reaction
            WHEN 'goes on' THEN RETURN true;
            WHEN 'calls it something else' THEN RAISE EXCEPTION 'something else';
            ELSE RAISE;
        END CASE;
    END
    $$;
    CREATE TABLE owned.device AS SELECT key_vault.generate_key('app') AS key;
    CREATE INDEX ON owned.device ((1)) WHERE owned.act();
    CALL key_vault.create_storage('storage', kek_label => 'app');
    CREATE INDEX ON storage.rejected ((1)) WHERE owned.act();
    CREATE INDEX ON storage.uplink_default ((1)) WHERE owned.act();
    CREATE INDEX ON storage.storage_settings ((1)) WHERE owned.act();
    CREATE FUNCTION owned.act_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM owned.act(); RETURN NEW; END $$;
    CREATE TRIGGER act BEFORE UPDATE ON storage.session FOR EACH ROW EXECUTE FUNCTION owned.act_row();
    CREATE TRIGGER act BEFORE UPDATE ON storage.storage_settings FOR EACH ROW EXECUTE FUNCTION owned.act_row();
    CREATE TABLE owned.triggered AS SELECT key_vault.generate_key('app') AS key;
    CREATE TRIGGER act BEFORE UPDATE ON owned.triggered FOR EACH ROW EXECUTE FUNCTION owned.act_row();
    INSERT INTO storage.session (dev_eui, session_key_id, application_id, dev_addr, app_s_key, started_at)
    SELECT '\\x0004A30B001C0530', '\\x01', 'a', '\\x260B1234', key_vault.generate_key('app'), now();
    SELECT storage.ingest('{"end_device_ids": {"device_id": "d", "application_ids": {"application_id": "a"}, "dev_eui": "0004A30B001C0530", "dev_addr": "260B1234"},
        "uplink_message": {"f_cnt": -1, "received_at": "2024-05-03T12:00:00Z"}}');
    RESET ROLE;
    SELECT key_vault.kek_rotate('app');
});
is($node->safe_psql('postgres', 'SELECT count(*) FROM storage.rejected'), '1', 'a message is rejected');

my %calls = (
    'kek_usage' => 'SELECT * FROM key_vault.kek_usage()',
    'kek_destroy' => q{SELECT key_vault.kek_destroy('app', 1)},
    'check_keys' => 'SELECT * FROM key_vault.check_keys()',
    'rewrap_all of a table with an index' => q{CALL key_vault.rewrap_all('app', only_table => 'owned.device')},
    'rewrap_all of a table with a trigger' => q{CALL key_vault.rewrap_all('app', only_table => 'owned.triggered')},
    'replay_rejected' => 'SELECT * FROM storage.replay_rejected()',
    'maintain_storage' => q{CALL key_vault.maintain_storage('storage')},
    'create_storage called again' => q{SET ROLE owner; CALL key_vault.create_storage('storage', keep_messages => true)},
    'update_storage' => q{SET ROLE owner; CALL key_vault.update_storage('storage')},
    'move_session' => q{SELECT key_vault.move_session('storage', '\x0004A30B001C0530', '\x01', 'b')},
);
# In a storage the error of the owner's code ends the call, too.
my %of_storage = map { $_ => 1 } ('replay_rejected', 'maintain_storage', 'create_storage called again', 'update_storage', 'move_session');
my $timeout = qr/ERROR:  canceling statement due to statement timeout/;

foreach my $name (sort keys %calls)
{
    foreach my $act (qw(sleep loop))
    {
        foreach my $then ('', 'goes on', 'calls it something else')
        {
            $node->safe_psql('postgres', "UPDATE owned.how SET act = '$act', reaction = '$then'; SELECT setval('owned.times', 1, false)");
            my ($code, $out, $err) = $node->psql('postgres', "SET statement_timeout = '300ms'; $calls{$name}", timeout => 30);
            my $end = $of_storage{$name} && $then eq 'calls it something else' ? qr/$timeout|ERROR:  something else/ : $timeout;
            like($err, $end, "$name: the owner's code: $act $then");
            is($out, '', 'and no result');
        }
    }

    # A cancellation by the user
    foreach my $then ('', 'goes on', 'calls it something else')
    {
        $node->safe_psql('postgres', "UPDATE owned.how SET act = 'sleep', reaction = '$then'; SELECT setval('owned.times', 1, false)");
        my $run = $node->background_psql('postgres', on_error_stop => 0);
        my $pid = $run->query('SELECT pg_backend_pid()');
        my $end = qr/ERROR:  canceling statement due to user request/;

        $end = qr/$end|ERROR:  something else/ if $of_storage{$name} && $then eq 'calls it something else';
        $run->query_until(qr/started/, qq{\\echo started\n$calls{$name};\n});
        $node->poll_query_until('postgres', "SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = $pid") or die;
        $node->safe_psql('postgres', "SELECT pg_cancel_backend($pid)");
        $run->query('SELECT 1');
        like($run->{stderr}, $end, "$name: a cancellation: $then");
        $run->{stderr} = '';
        $run->quit;
    }
}
$node->safe_psql('postgres', q{UPDATE owned.how SET act = 'nothing'});
is($node->safe_psql('postgres', 'SELECT keys, opened FROM key_vault.check_keys() WHERE relation = \'owned.device\'::regclass'), '1|1', 'without it all is as before');
is($node->safe_psql('postgres', q{SELECT state FROM key_vault.keks WHERE version = 1}), 'deactivated', 'and no KEK is destroyed');
$node->stop;
done_testing;
