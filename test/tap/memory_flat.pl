# No call keeps memory: a session calls each kind of function, and meets each kind of error, 5,000 times in a loop (a million
# times in the long form; KEY_VAULT_CALLS sets another number), and has no more memory at the end than after the first fifth.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use Test::More;

my $calls = $ENV{KEY_VAULT_CALLS} // ($ENV{KEY_VAULT_LONG} ? 1_000_000 : 5_000);

# What the sizes of memory contexts and of the process may differ by: their blocks come and go.
my $context_bytes = 100_000;
my $process_bytes = 700_000;

my $node = new_node('flat');
$node->init;
$node->configure_vault;
$node->append_conf('postgresql.conf', "autovacuum = off\nlog_min_messages = fatal\nlog_statement = none\nmax_wal_size = 2GB\nsynchronous_commit = off\n");
$node->start;

# The payload's key, KEK and message are those of demo/messages.
$node->safe_psql('postgres', q{
    CREATE EXTENSION key_vault;
    SET search_path = key_vault;
    SELECT kek_create('net'), kek_create('other'), kek_create('suspended'), kek_create('lorawan'), kek_import('app1-kek', '\x000102030405060708090a0b0c0d0e0f');
    CREATE TABLE public.known AS
    SELECT wrap('\x000102030405060708090a0b0c0d0e0f', 'net') AS key, bind(wrap('\x000102030405060708090a0b0c0d0e0f', 'net'), '\x26011bda') AS bound,
           wrap('\x000102030405060708090a0b0c0d0e0f', 'suspended') AS suspended, generate_key('net', 32) AS sealing;
    SELECT kek_suspend('suspended', 1);
    CREATE TABLE public.device AS SELECT n, wrap(decode(md5(n::text), 'hex'), 'net') AS key FROM generate_series(0, 4999) n;
    ALTER TABLE public.device ADD PRIMARY KEY (n);
    CREATE ROLE nobody;
    GRANT SELECT ON public.known TO nobody;
    CALL create_storage('lorawan');
    CREATE FUNCTION public.message(f_cnt bigint) RETURNS jsonb LANGUAGE sql AS $$
    SELECT format('{"end_device_ids": {"device_id": "dev1", "application_ids": {"application_id": "app1"}, "dev_eui": "0004A30B001C0530", "dev_addr": "260B1234"},
        "uplink_message": {"session_key_id": "AYfC0bag8+RHWGmqu8zd7g==", "f_port": 2, "f_cnt": %s, "frm_payload": "LhFe2aRcmQ==", "received_at": "%s",
        "app_s_key": {"kek_label": "app1-kek", "encrypted_key": "7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"}}}',
        f_cnt, to_char(timestamp '2024-05-01' + f_cnt * interval '1 second', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))::jsonb $$;
});

# Runs a statement of PL/pgSQL in a loop, in which k is a row of known; an error must be the one that is named.  Returns
# bytes of memory contexts and of the process's own memory, after the first call, after a fifth and at the end.
sub memory_of
{
    my ($call, $error, $set) = @_;
    my $body = defined $error ? "BEGIN $call; RAISE 'no error'; EXCEPTION WHEN SQLSTATE '$error' THEN NULL; END" : $call;
    return $node->safe_psql('postgres', qq{
        SET search_path = key_vault, public;
        SET client_min_messages = error;
        CREATE TEMP TABLE measured (contexts bigint, process bigint);
        GRANT ALL ON measured TO PUBLIC;
        GRANT pg_monitor, pg_read_server_files TO nobody;
        GRANT EXECUTE ON FUNCTION pg_get_backend_memory_contexts() TO nobody;
        GRANT EXECUTE ON FUNCTION pg_read_file(text) TO nobody;
        $set;
        DO \$\$
        DECLARE
            k known;
            key wrapped_key;
        BEGIN
            SELECT * INTO k FROM known;
            FOR i IN 1 .. $calls LOOP
                $body;
                IF i % 1000 = 0 THEN
                    COMMIT;
                END IF;
                IF i IN (1, $calls / 5, $calls) THEN
                    INSERT INTO measured
                    SELECT (SELECT sum(total_bytes) FROM pg_get_backend_memory_contexts()),
                           1024 * substring(pg_read_file('/proc/self/status') FROM 'RssAnon:\\s+(\\d+)')::bigint;
                END IF;
            END LOOP;
        END \$\$;
        SELECT string_agg(contexts || ' ' || process, ' ') FROM measured});
}

sub is_flat
{
    my ($name, $call, %more) = @_;
    my (undef, undef, $contexts, $process, $contexts_later, $process_later) = split ' ', memory_of($call, $more{error}, $more{set} // 'SELECT');

    note(sprintf '%s: memory contexts %d, then %d; process %d, then %d', $name, $contexts, $contexts_later, $process, $process_later);
    cmp_ok($contexts_later - $contexts, '<', $context_bytes, "$name: memory contexts do not grow");
    cmp_ok($process_later - $process, '<', $process_bytes, "$name: nor does the process");
}

is_flat('decrypt', q{PERFORM lorawan_decrypt_uplink(k.key, '\x26011bda', i, '\x0102')});
is_flat('decrypt, cache off', q{PERFORM lorawan_decrypt_uplink(k.key, '\x26011bda', i, '\x0102')}, set => 'SET key_vault.cache = off');
is_flat('decrypt, more keys than the cache has room for',
    q{SELECT d.key INTO key FROM device d WHERE n = i % 5000; PERFORM lorawan_decrypt_uplink(key, '\x26011bda', i, '\x0102')},
    set => "SET key_vault.cache_size = '64kB'");
is_flat('verify mode', q{PERFORM lorawan_decrypt_uplink(k.key, '\x26011bda', i, '\x0102')}, set => 'SET key_vault.cache = verify');
is_flat('unwrap', q{PERFORM unwrap(k.key)});
is_flat('wrap', q{PERFORM wrap('\x000102030405060708090a0b0c0d0e0f', 'net')});
is_flat('wrap, AES-KWP', q{PERFORM wrap('\x0102030405', 'net')});
is_flat('generate', q{PERFORM generate_key('net')});
is_flat('rewrap', q{PERFORM rewrap(k.key, 'other')});
is_flat('bind', q{PERFORM bind(k.key, '\x26011bda')});
is_flat('MIC', q{PERFORM lorawan_uplink_mic(k.key, 2, '\x40f17dbe490002000195437876')});
is_flat('derive', q{PERFORM lorawan_derive_mc_ke_key(k.key, 'net')});
is_flat('seal and open', q{PERFORM open(k.sealing, seal(k.sealing, 'text', 'about'), 'about')});
is_flat('text and back', q{PERFORM k.key::text::wrapped_key});
is_flat('envelope', q{PERFORM import_envelope('app1-kek', '\xeea0081cf43da05a22fcc7f0aa4585ae2c18bd5d1b6cebe8', 'net')});
is_flat('flush', q{PERFORM cache_flush(); PERFORM unwrap(k.key)});
is_flat('ingest', q{PERFORM lorawan.ingest(message(i))});
is_flat('ingest, duplicate', q{PERFORM lorawan.ingest(message(1))});
is_flat('inbox', q{INSERT INTO lorawan.inbox VALUES (message(1)::text)});

is_flat('an error: suspended', q{PERFORM unwrap(k.suspended)}, error => 'KV002');
is_flat('an error: unknown KEK', q{PERFORM unwrap(overlay(k.key::text PLACING '00000000' FROM 12 FOR 8)::wrapped_key)}, error => 'KV001');
is_flat('an error: damaged', q{PERFORM unwrap((left(k.key::text, -1) || CASE right(k.key::text, 1) WHEN '0' THEN '1' ELSE '0' END)::wrapped_key)}, error => 'KV004');
is_flat('an error: another DevAddr', q{PERFORM lorawan_decrypt_uplink(k.bound, '\x00000000', i, '\x0102')}, error => 'KV005');
is_flat('an error: no privilege', q{PERFORM unwrap(k.key)}, error => '42501', set => 'SET ROLE nobody');
is_flat('an error: unknown label', q{PERFORM wrap('\x000102030405060708090a0b0c0d0e0f', 'nowhere')}, error => 'KV001');
is_flat('an error: text', q{PERFORM 'kv1:nonsense'::wrapped_key}, error => '22P02');
is_flat('an error: length of a key', q{PERFORM seal(k.key, 'text')}, error => 'KV006');
is_flat('an error: sealed value', q{PERFORM open(k.sealing, '\x0100000000000000000000000000000000000000000000000000000000')}, error => 'KV501');
is_flat('an error: argument', q{PERFORM lorawan_decrypt_uplink(k.key, '\x00', i, '\x0102')}, error => '22023');
is_flat('try_, another DevAddr', q{PERFORM lorawan_try_decrypt_uplink(k.bound, '\x00000000', i, '\x0102')});
is_flat('a message is rejected', q{PERFORM lorawan.ingest(message(-i))});
$node->stop;
done_testing();
