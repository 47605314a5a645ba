# No key appears in the clear in anything that a server writes.  With every log setting turned up, daily work is
# done with functions that take and return wrapped keys.  Then the data directory, while the server runs and
# when it is stopped, the server's log and a dump are searched for every key that was used: session keys, KEKs,
# root keys.
#
# The test finds out the keys only when everything has been copied.  One more key is put into SQL in the clear,
# in a database of its own, to show that the search finds keys.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use KeyVaultSecrets;
use Test::More;

my $node = new_node('canary');
$node->init(extra => ['--wal-segsize=1']);
$node->configure_vault;
$node->start;
my ($rc) = $node->psql('postgres',
    'CREATE EXTENSION pgcrypto; CREATE EXTENSION pg_stat_statements', on_error_die => 0);
plan skip_all => 'pgcrypto and pg_stat_statements are not installed' if $rc != 0;

my $quiet = slurp($node->data_dir . '/postgresql.conf');
$node->append_conf('postgresql.conf', q{
    shared_preload_libraries = 'pg_stat_statements, auto_explain'
    pg_stat_statements.track = all
    auto_explain.log_min_duration = 0
    auto_explain.log_analyze = on
    auto_explain.log_verbose = on
    auto_explain.log_triggers = on
    auto_explain.log_nested_statements = on
    log_statement = all
    log_min_duration_statement = 0
    log_duration = on
    log_parameter_max_length = -1
    log_parameter_max_length_on_error = -1
    log_error_verbosity = verbose
    log_min_error_statement = debug5
    log_min_messages = debug1
    log_replication_commands = on
    log_temp_files = 0
    wal_level = logical
    fsync = off
});
$node->append_conf('postgresql.conf', 'auto_explain.log_parameter_max_length = -1')
  if $node->pg_version >= 16;
$node->restart;

sub slurp
{
    my ($path) = @_;
    open my $file, '<:raw', $path or die "$path: $!";
    local $/;
    return scalar <$file>;
}

# The work, all of it in SQL

$node->safe_psql('postgres', q{
    CREATE EXTENSION key_vault;
    CREATE ROLE analyst;
    SELECT key_vault.kek_create(label, bits)
      FROM (VALUES ('transport', 256), ('net', 256), ('app', 128), ('lost', 192), ('secret', 256)) AS v (label, bits);
    SELECT key_vault.kek_grant('net', 'analyst', 'decrypt');
    SELECT key_vault.kek_rotate('net');

    CREATE TABLE device (n serial PRIMARY KEY, note text, key key_vault.wrapped_key, dev_addr bytea DEFAULT '\x26011bda');
    CREATE INDEX ON device (key);
    CREATE INDEX ON device USING hash (key);
    CREATE INDEX ON device ((key_vault.kek_id(key)));
    INSERT INTO device (note, key) SELECT 'generated', key_vault.generate_key('net') FROM generate_series(1, 20);
    INSERT INTO device (note, key) SELECT 'long', key_vault.generate_key('net', length) FROM unnest(ARRAY[24, 32, 40]) length;
    INSERT INTO device (note, key) SELECT 'odd', key_vault.generate_key('net', 17);

    -- Derived keys of each kind.  The keys that they are derived from are generated, and not a device's root keys.
    INSERT INTO device (note, key)
    SELECT 'derived', d.key
      FROM (SELECT key FROM device WHERE note = 'generated' ORDER BY n LIMIT 3) p,
           key_vault.lorawan_derive_mc_root_key_1_0(p.key, 'net') r (key),
           key_vault.lorawan_derive_mc_ke_key(r.key, 'net') k (key),
           key_vault.lorawan_derive_mc_key(k.key, '\x00112233445566778899aabbccddeeff', 'app') m (key),
           LATERAL (VALUES (r.key), (k.key), (m.key),
               (key_vault.lorawan_derive_mc_app_s_key(m.key, '\x26011bda', 'app')),
               (key_vault.lorawan_derive_mc_nwk_s_key(m.key, '\x26011bda', 'net')),
               (key_vault.lorawan_derive_js_int_key(p.key, '\x0004a30b001c0530', 'net')),
               (key_vault.lorawan_derive_js_enc_key(p.key, '\x0004a30b001c0530', 'app')),
               (key_vault.lorawan_derive_data_block_int_key(p.key, 'net')),
               (key_vault.lorawan_derive_wor_s_int_key(
                    key_vault.lorawan_derive_root_wor_s_key(p.key, 'net'), '\x26011bda', 'app'))) d (key);

    -- A KEK that came from another system: here it is a generated key.
    INSERT INTO device (note, key) SELECT 'KEK', key_vault.generate_key('net', 32);
    SELECT key_vault.kek_import_wrapped('imported',
               (key_vault.export_envelope(key, 'transport')).encrypted_key, 'transport')
      FROM device WHERE note = 'KEK';

    CREATE TABLE envelope AS
    SELECT n, (key_vault.export_envelope(key, 'transport')).* FROM device WHERE note = 'generated';
    INSERT INTO device (note, key)
    SELECT 'arrived', key_vault.import_envelope(kek_label, encrypted_key, 'imported') FROM envelope;
    INSERT INTO device (note, key)
    SELECT 'arrived bound', key_vault.import_envelope(kek_label, encrypted_key, 'app', '\x26011bda') FROM envelope;

    CREATE TABLE uplink AS
    SELECT n, g AS f_cnt, key_vault.lorawan_encrypt_uplink(key, dev_addr, g, '\x0102030405060708') AS frm_payload
      FROM device, generate_series(1, 5) g WHERE note ~ 'generated|arrived';
    SELECT key_vault.kek_rotate('net'), key_vault.kek_rotate('app');
    UPDATE device SET key = key_vault.rewrap(key);
    UPDATE device SET key = key_vault.bind(key, dev_addr) WHERE note = 'generated' AND n % 2 = 0;
    UPDATE device SET key = key_vault.rewrap(key, 'app') WHERE note = 'generated' AND n % 3 = 0;
    CREATE STATISTICS device_statistics ON note, key FROM device;
    ANALYZE;

    SELECT count(key_vault.key_check_value(key)) FROM device WHERE note !~ 'long|odd';
    SELECT count(key_vault.key_status(key, dev_addr)), count(key_vault.bound_dev_addr(key)) FROM device;
    SELECT * FROM key_vault.kek_usage();
    SELECT * FROM key_vault.cache_stats();
    CREATE TABLE outcome AS
    SELECT n, f_cnt, key_vault.lorawan_decrypt_uplink(key, dev_addr, f_cnt, frm_payload) AS up,
           key_vault.lorawan_try_decrypt_downlink(key, dev_addr, f_cnt, frm_payload) AS down
      FROM uplink JOIN device USING (n);
    CREATE MATERIALIZED VIEW report AS
    SELECT count(*) FROM uplink JOIN device USING (n)
     WHERE key_vault.lorawan_decrypt_uplink(key, dev_addr, f_cnt, frm_payload) = '\x0102030405060708';
});
is($node->safe_psql('postgres', 'SELECT * FROM report'), 300, 'the work is done');

# With every message that the server can log, and with its node trees
my $one = $node->safe_psql('postgres', q{SELECT key FROM device WHERE note = 'arrived' ORDER BY n LIMIT 1});
my $envelope = $node->safe_psql('postgres', 'SELECT encrypted_key FROM envelope ORDER BY n LIMIT 1');
my $loud = q{
    SET log_min_messages = debug5; SET debug_print_parse = on; SET debug_print_rewritten = on;
    SET debug_print_plan = on; SET client_min_messages = error;};
$node->safe_psql('postgres', $loud . qq{
    SELECT key_vault.lorawan_decrypt_uplink('$one', '\\x26011bda', 1, '\\x0102');
    SELECT key_vault.rewrap('$one'), key_vault.generate_key('net'), key_vault.export_envelope('$one', 'transport');
    SELECT key_vault.import_envelope('transport', '$envelope', 'net');
    SELECT key_vault.kek_rotate('net');
    PREPARE p (key_vault.wrapped_key) AS SELECT key_vault.lorawan_decrypt_uplink(\$1, '\\x26011bda', 1, '\\x0102');
    EXECUTE p ('$one');
    SET plan_cache_mode = force_generic_plan;
    EXECUTE p ('$one');
    SET key_vault.cache = verify;
    EXECUTE p ('$one');
    SELECT count(*) FROM device WHERE key OPERATOR(key_vault.=) key_vault.rewrap(key) AND note = 'arrived';
    DO \$\$ DECLARE k key_vault.wrapped_key = key_vault.generate_key('net');
    BEGIN
        k := key_vault.bind(k, '\\x26011bda');
        PERFORM key_vault.lorawan_try_decrypt_uplink(k, '\\x26011bda', 1, '\\x0102');
    END \$\$;
});

# Parameters, which are logged with the statement and with its error
my $script = "$ENV{TESTDIR}/parameters.sql";
foreach (
    q{SELECT key_vault.lorawan_decrypt_uplink(:key, '\x26011bda'::bytea, 1, '\x0102'::bytea);},
    q{SELECT key_vault.import_envelope('transport', :envelope, 'net');},
    q{SELECT key_vault.rewrap(:key::key_vault.wrapped_key, 'nosuch');},
    q{SELECT key_vault.import_envelope('app', :envelope, 'net');})
{
    open my $file, '>', $script or die "$script: $!";
    print $file "$_\n";
    close $file;
    system("pgbench -n -M prepared -t 1 -f $script -D 'key=$one' -D 'envelope=$envelope' -h "
          . $node->host . ' -p ' . $node->port . ' postgres > pgbench.log 2>&1');
}

# Errors of each kind: the SQLSTATE, and the SQL that raises it
my $root_key_text = unpack 'H*', root_key_bytes();
(my $damaged = $one) =~ s/(.)$/$1 eq '0' ? '1' : '0'/e;
(my $unknown = $one) =~ s/:[0-9a-f]{8}-/:00000000-/;
my $another = random_bytes(32);
my %file;
foreach (
    [ malformed => $root_key_text . "f\n" ],
    [ digits    => substr($root_key_text, 0, 63) . "x\n" ],
    [ another   => unpack('H*', $another) . "\n" ],
    [ open      => $root_key_text . "\n" ])
{
    my ($name, $text) = @$_;
    $file{$name} = "$ENV{TESTDIR}/$name.key";
    open my $file, '>', $file{$name} or die "$file{$name}: $!";
    print $file $text;
    close $file;
    chmod $name eq 'open' ? 0644 : 0600, $file{$name} or die "$file{$name}: $!";
}

sub error_of
{
    my ($sql) = @_;
    $node->psql('postgres', "\\set VERBOSITY verbose\n$sql", stderr => \my $stderr, on_error_stop => 0);
    return join ' ', $stderr =~ /^(?:psql:\S+ )?ERROR:\s+(\w{5}):/mg;
}

sub decrypt_with
{
    my ($key, $dev_addr) = @_;
    $dev_addr //= '\x26011bda';
    return "SELECT key_vault.lorawan_decrypt_uplink('$key', '$dev_addr', 1, '\\x0102');";
}

my %key_of = map { split /\|/ } split /\n/, $node->safe_psql('postgres', q{
    SELECT DISTINCT ON (note) note, key FROM device WHERE note ~ 'bound|long' ORDER BY note, n DESC});
my $lost = $node->safe_psql('postgres', q{SELECT key_vault.generate_key('lost')});
$node->safe_psql('postgres', qq{INSERT INTO device (note, key) VALUES ('lost', '$lost')});
foreach (
    [ KV001   => decrypt_with($unknown) ],
    [ KV001   => qq{SELECT key_vault.rewrap('$one', 'nosuch')} ],
    [ KV002   => q{SELECT key_vault.kek_suspend('lost', 1);} . decrypt_with($lost) ],
    [ KV007   => q{SELECT key_vault.generate_key('lost')} ],
    [ '55000' => q{SELECT key_vault.kek_suspend('lost', 1)} ],
    [ KV008   => q{SELECT key_vault.kek_destroy('lost', 1)} ],
    [ KV003   => q{SELECT key_vault.kek_destroy('lost', 1, force => true);} . decrypt_with($lost) ],
    [ KV004   => decrypt_with($damaged) ],
    [ KV004   => qq{SELECT key_vault.import_envelope('app', '$envelope', 'net')} ],
    [ KV005   => decrypt_with($key_of{'arrived bound'}, '\x01020304') ],
    [ KV005   => qq{SELECT key_vault.bind('$key_of{'arrived bound'}', '\\x01020304')} ],
    [ KV006   => decrypt_with($key_of{long}) ],
    [ KV006   => q{SELECT key_vault.bind(key, dev_addr) FROM device WHERE note = 'odd'} ],
    [ KV006   => q{SELECT key_vault.export_envelope(key, 'transport') FROM device WHERE note = 'odd'} ],
    [ KV009   => qq{SELECT key_vault.lorawan_join_1_0('$one', '\\x00' || substr(sha256(''), 1, 22), '\\x20' || sha256(''), 'net')} ],
    [ '42501' => q{SET ROLE analyst;} . qq{SELECT key_vault.rewrap('$one')} ],
    [ '42710' => q{SELECT key_vault.kek_create('net')} ],
    [ '42710' => q{SELECT key_vault.kek_import_wrapped('imported', (key_vault.export_envelope(key, 'transport')).encrypted_key, 'transport') FROM device WHERE note = 'KEK'} ],
    [ '22023' => decrypt_with($one, '\x01') ],
    [ '22003' => qq{SELECT key_vault.lorawan_decrypt_uplink('$one', '\\x26011bda', -1, '\\x01')} ],
    [ '22012' => qq{SELECT 1 / (length(key_vault.lorawan_decrypt_uplink('$one', '\\x26011bda', 1, '\\x01')) - 1)} ],
    [ '22P02' => decrypt_with('kv1:aes-kw:x:00') ],
    [ KV102   => undef, '/nonexistent' ],
    [ KV104   => undef, $file{open} ],
    [ KV105   => undef, $file{malformed} ],
    [ KV105   => undef, $file{digits} ],
    [ KV106   => undef, $file{another} ])
{
    my ($sqlstate, $sql, $root_key) = @$_;

    if (defined $root_key)
    {
        $node->append_conf('postgresql.conf', "key_vault.root_key = 'file:$root_key'");
        $node->reload;
        $node->poll_query_until('postgres', "SELECT current_setting('key_vault.root_key') ~ '$root_key'");
        $sql = decrypt_with($one);
    }
    is(error_of("$loud $sql"), $sqlstate, "an error with SQLSTATE $sqlstate");
}
$node->append_conf('postgresql.conf', "key_vault.root_key = 'file:$ENV{TESTDIR}/root.key'");
$node->reload;

# One canary for each way into the log, in a database of its own
my %canary = map { $_ => random_bytes(16) } qw(literal parameter stored text utility plan);
$node->safe_psql('postgres', 'CREATE DATABASE canary');
$node->safe_psql('canary', join ";\n", 'CREATE EXTENSION key_vault', q{SELECT key_vault.kek_create('net')},
    'SELECT key_vault.wrap(' . hex_literal($canary{literal}) . q{, 'net')},
    'CREATE TABLE stored AS SELECT ' . hex_literal($canary{stored}) . '::bytea AS key FROM generate_series(1, 100)',
    'INSERT INTO stored SELECT * FROM stored',
    q{CREATE TABLE text AS SELECT encode(} . hex_literal($canary{text}) . q{, 'base64') AS key},
    q{COMMENT ON TABLE text IS } . q{'} . uc(unpack 'H*', $canary{utility}) . q{'},
    'ANALYZE');
$node->safe_psql('canary', "$loud SELECT key_vault.wrap(" . hex_literal($canary{plan}) . q{, 'net')});
open my $file, '>', $script or die "$script: $!";
print $file q{SELECT key_vault.wrap(decode(:key, 'hex'), 'net');}, "\n";
close $file;
# The space keeps the variable from looking like a number, which pgbench would pass as one.
system("pgbench -n -M prepared -t 1 -f $script -D 'key= " . unpack('H*', $canary{parameter}) . "' -h "
      . $node->host . ' -p ' . $node->port . ' canary > pgbench.log 2>&1') == 0
  or diag(slurp('pgbench.log'));

# What the server wrote

my $copies = "$ENV{TESTDIR}/copies";
mkdir $copies or die "$copies: $!";
foreach (qw(postgres canary))
{
    system('pg_dump', '-h', $node->host, '-p', $node->port, '-f', "$copies/$_.sql", $_) == 0 or die 'pg_dump';
}
$node->safe_psql('postgres', 'CHECKPOINT');
system('cp', '-a', $node->data_dir, "$copies/running") == 0 or die 'cp';
$node->stop;
system('cp', '-a', $node->data_dir, "$copies/stopped") == 0 or die 'cp';
system('cp', '-a', $node->logfile,  "$copies/server.log") == 0 or die 'cp';

# Which keys were used

open my $conf, '>', $node->data_dir . '/postgresql.conf' or die "postgresql.conf: $!";
print $conf $quiet;
close $conf;
$node->start;
my %secret = ('root key' => root_key_bytes(), 'another root key' => $another);
foreach (split /\n/, $node->safe_psql('postgres',
        q{SELECT n, encode(key_vault.unwrap(key), 'hex') FROM device WHERE note <> 'lost'}))
{
    my ($n, $hex) = split /\|/;
    $secret{"key $n"} = pack 'H*', $hex;
}

# The KEKs: AES-GCM without its tag is AES-CTR from block 2 on.  key_vault's own key check value shows that the
# test has opened them rightly.
foreach (split /\n/, $node->safe_psql('postgres', q{
    SELECT label || ' ' || version, encode(kcv, 'hex'), key_bits / 8,
           encode(substr(sealed_material, 2, 12), 'hex'), encode(substr(sealed_material, 14), 'hex')
      FROM key_vault.kek WHERE state <> 'destroyed'}))
{
    my ($name, $kcv, $size, $nonce, $sealed) = split /\|/;
    my $blocks = $nonce . '00000002' . $nonce . '00000003';
    my $stream = pack 'H*', $node->safe_psql('postgres',
        qq{SELECT encode(encrypt('\\x$blocks', '\\x$root_key_text', 'aes-ecb/pad:none'), 'hex')});
    my $material = substr $stream ^ pack('H*', $sealed) . "\0" x 32, 0, $size;

    $secret{"KEK $name"} = $material;
    is($node->safe_psql('postgres', "SELECT key_vault.kek_import('check $name', " . hex_literal($material)
              . qq{); SELECT encode(kcv, 'hex') FROM key_vault.keks WHERE label = 'check $name'}),
        "1\n$kcv", "KEK $name is known");
}
cmp_ok(scalar(grep { /^key/ } keys %secret), '==', 92, 'keys to look for');
cmp_ok(scalar(grep { /^KEK/ } keys %secret), '==', 9, 'KEKs to look for');
$node->stop;

# The search

my $scan = file_scanner(%secret, map { ("canary $_" => $canary{$_}) } keys %canary);
my ($files, @found) = $scan->($copies);
cmp_ok($files, '>', 2000, 'files were searched');

my %where;
foreach (@found)
{
    my ($name, $form, $path) = @$_{qw(name form path)};
    my $place =
        $path =~ m{/pg_wal/}             ? 'WAL'
      : $path =~ m{pg_stat_statements|pgss_} ? 'pg_stat_statements'
      : $path =~ m{/base/|/global/}      ? 'heap'
      : $path =~ m{server\.log$}         ? 'log'
      : $path =~ m{\.sql$}               ? 'dump'
      :                                    $path;
    $where{$name}{"$form in $place"} = $path;
}
foreach (
    [ literal   => 'hex in log' ],
    [ parameter => 'hex in log' ],
    [ plan      => 'decimal in log' ],
    [ stored    => 'raw in heap', 'raw in WAL', 'hex in dump', 'hex in log' ],
    [ text      => 'base64 in heap', 'base64 in WAL', 'base64 in dump' ],
    [ utility   => 'hex in heap', 'hex in log', 'hex in pg_stat_statements' ])
{
    my ($name, @places) = @$_;
    ok($where{"canary $name"}{$_}, "the canary, $name, is found: $_") foreach @places;
}
foreach my $name (sort keys %secret)
{
    is(join(', ', map { "$_ ($where{$name}{$_})" } sort keys %{ $where{$name} }), '', "$name is found nowhere");
}

done_testing();
