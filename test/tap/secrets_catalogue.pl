# Payloads and keys in the clear are looked for in every catalogue and statistics table, in the WAL, the log,
# the files of the server and a dump.  Ordinary work (a storage, views, indexes, statistics, ANALYZE) leaves
# none anywhere.  Each thing that a user may make of plaintext has a payload of its own, which must be found
# exactly in the places that docs/security.md names, so that the page leaves no place out.
#
# Keys and payloads come from python3-cryptography, and pass through no SQL.  secrets_canary.pl tests the keys
# in daily administration.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use KeyVaultSecrets;
use PythonTest;
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Utils qw(slurp_file);
use Test::More;

if (my $why = why_python_cannot())
{
    plan skip_all => $why;
}

my $node = new_node('catalogue');
$node->init(extra => ['--wal-segsize=1']);
$node->configure_vault;
$node->append_conf('postgresql.conf', q{
    shared_preload_libraries = 'key_vault'
    wal_level = logical
    max_wal_size = 4GB
    min_wal_size = 1GB
    wal_keep_size = 4GB
    autovacuum_naptime = 1
    log_statement = all
    log_duration = on
    log_parameter_max_length = -1
    log_parameter_max_length_on_error = -1
    log_error_verbosity = verbose
    log_min_messages = debug1
});
$node->start;

# Known uplinks, a hash for each.  The program prints their KEK first, which is written to a file.
sub known
{
    my (@arguments) = @_;
    my ($first, @lines) = split /\n/,
      run_python("$FindBin::Bin/../soak/known_messages.py", @arguments);
    my $kek = decode_json($first)->{kek};
    write_file("$ENV{TESTDIR}/transport.kek", "$kek\n");
    return map { decode_json($_) } @lines;
}

sub write_file
{
    my ($path, $text) = @_;
    open my $file, '>', $path or die "$path: $!";
    print $file $text;
    close $file or die "$path: $!";
}

# The transport KEK comes from a file, so that no statement contains it.
sub make_database
{
    my ($name) = @_;
    $node->safe_psql('postgres', "CREATE DATABASE $name");
    $node->safe_psql($name, qq{
        CREATE EXTENSION key_vault;
        SELECT key_vault.kek_create('rest');
        SELECT key_vault.kek_import('transport', decode(trim(pg_read_file('$ENV{TESTDIR}/transport.kek'), E'\\n'), 'hex'));
    });
}

# Writes every row of every relation in the system's schemas as text, one file for each relation, as a role sees
# it.  A session that is already open also shows what it has prepared.
sub catalogue_dump
{
    my ($database, $role, $before) = @_;
    my $directory = "$ENV{TESTDIR}/copies/$database.$role";
    mkdir $directory or die "$directory: $!";
    my @relations = split /\n/, $node->safe_psql($database, q{
        SELECT n.nspname || '.' || quote_ident(c.relname) || ' ' || c.relkind::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname IN ('pg_catalog', 'information_schema') AND c.relkind IN ('r', 'v', 'm')});
    my $script = "$before\n";
    foreach my $output (qw(hex escape))
    {
        # PostgreSQL's statistics have their data in types that have text forms, too.
        $script .= "SET bytea_output = $output;\n";
        foreach (@relations)
        {
            my ($relation, $kind) = /^(.*) (.)$/;
            # The second way of writing bytes is needed only for tables and statistics.
            next if $output eq 'escape' && ($role ne 'postgres' || $kind ne 'r' && $relation !~ /pg_stat/);
            (my $file = $relation) =~ s/\W/_/g;
            $script .= "\\copy (SELECT t::text FROM $relation t) TO '$directory/$kind.$file.$output'\n";
        }
    }
    my @command = ('psql', '-Xq', '-d', $node->connstr($database));
    IPC::Run::run(\@command, '<', \"SET ROLE $role;\n$script", '>', \my $out, '2>', \my $error);
    my @failed = grep { !/permission denied|must be/ } $error =~ /ERROR:  (.*)/g;
    is(join("\n", @failed), '', "$database: the catalogues were read as $role: " . @relations . ' of them');
}

mkdir "$ENV{TESTDIR}/copies";

#------------------------------------------------------------------------
# Ordinary work
#------------------------------------------------------------------------

my @ordinary = known(10, 12);
make_database('ordinary');
write_file("$ENV{TESTDIR}/lines", join '', map { "$_->{message}\n" } @ordinary);
$node->safe_psql('ordinary', q{
    CREATE ROLE owner LOGIN;
    CREATE ROLE nobody;
    GRANT CREATE ON DATABASE ordinary TO owner;
    SELECT key_vault.kek_grant('rest', 'owner', p) FROM unnest(ARRAY['wrap', 'rewrap', 'decrypt']) p;
    SELECT key_vault.kek_grant('transport', 'owner', p) FROM unnest(ARRAY['unwrap', 'decrypt']) p;
});
$node->safe_psql('ordinary', qq{
    SET ROLE owner;
    CALL key_vault.create_storage('lorawan', 'rest', keep_messages => true);
    \\copy lorawan.inbox FROM '$ENV{TESTDIR}/lines' (FORMAT csv, DELIMITER E'\\x01', QUOTE E'\\x02')
});
my $readable = q{SELECT count(*) FROM lorawan.uplink_decrypted WHERE status = 'decrypted' AND length(payload) = 16};
is($node->safe_psql('ordinary', $readable), 120, 'the storage decrypts the messages');
$node->safe_psql('ordinary', q{
    SET ROLE owner;
    CREATE INDEX ON lorawan.session (app_s_key);
    CREATE INDEX ON lorawan.session USING hash (app_s_key);
    CREATE INDEX ON lorawan.session ((key_vault.kek_id(app_s_key)));
    CREATE INDEX ON lorawan.session ((key_vault.algorithm(app_s_key))) WHERE app_s_key IS NOT NULL;
    CREATE STATISTICS lorawan.s1 (mcv, ndistinct, dependencies) ON dev_addr, app_s_key, kek_label FROM lorawan.session;
    CREATE STATISTICS lorawan.s2 ON (key_vault.kek_id(app_s_key)) FROM lorawan.session;
    CREATE STATISTICS lorawan.s3 ON (key_vault.key_status(app_s_key, dev_addr)) FROM lorawan.session;
    CREATE STATISTICS lorawan.s4 ON (key_vault.kek_label(app_s_key)), (key_vault.kek_version(app_s_key)) FROM lorawan.session;
    CREATE STATISTICS lorawan.s5 (mcv, ndistinct, dependencies) ON frm_payload, f_port FROM lorawan.uplink;
    CREATE VIEW lorawan.reading AS SELECT * FROM lorawan.uplink_decrypted WHERE length(payload) > 3;
    CREATE MATERIALIZED VIEW lorawan.report AS
    SELECT status, count(*), avg(length(payload)) FROM lorawan.uplink_decrypted GROUP BY 1;
    CREATE TABLE lorawan.sealed AS
    SELECT key_vault.seal(k.key, v.payload) AS value
      FROM (SELECT key_vault.generate_key('rest', 32) AS key) k, lorawan.uplink_decrypted v;
    ALTER TABLE lorawan.uplink ALTER frm_payload SET STATISTICS 10000;
    RESET ROLE;
    SELECT key_vault.kek_rotate('rest');
    SET ROLE owner;
    CALL key_vault.rewrap_all('rest');
    REFRESH MATERIALIZED VIEW lorawan.report;
    ANALYZE;
    -- The planner reads statistics, and evaluates stable functions if their arguments are constants.
    SET max_parallel_workers_per_gather = 2; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;
    SELECT count(*) FROM lorawan.uplink_decrypted a JOIN lorawan.reading b USING (payload) WHERE a.payload > '\x00';
    SELECT count(DISTINCT payload) FROM lorawan.reading GROUP BY length(payload) ORDER BY max(encode(payload, 'hex')) LIMIT 1;
    PREPARE p (bigint) AS SELECT payload FROM lorawan.uplink_decrypted WHERE f_cnt = $1;
    EXECUTE p (1); EXECUTE p (2); EXECUTE p (3); EXECUTE p (4); EXECUTE p (5); EXECUTE p (6);
});
$node->psql('ordinary', q{
    SET ROLE owner;
    SELECT 1 / (octet_length(payload) - 16) FROM lorawan.uplink_decrypted;
    SELECT convert_from(payload, 'UTF8')::integer FROM lorawan.uplink_decrypted;
    SELECT ('\x' || payload)::bytea FROM lorawan.uplink_decrypted;
    SELECT nosuch(payload) FROM lorawan.uplink_decrypted;
}, on_error_stop => 0);

# No function that opens keys is immutable, so an index or a generated column of plaintext needs a wrapper that
# claims to be.
is($node->safe_psql('ordinary', q{
    SELECT string_agg(proname, ', ') FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace
     WHERE nspname = 'key_vault' AND provolatile = 'i'
       AND proname !~ '^storage_' AND proname ~ 'crypt|unwrap|^open|seal$|envelope|derive|check_value|bind|verify|_mic$'}), '', 'nothing that opens keys is immutable');
my $error_of = sub {
    $node->psql('ordinary', $_[0], stderr => \my $stderr);
    return $stderr;
};
like($error_of->(q{CREATE TABLE t (k key_vault.wrapped_key, a bytea, p bytea); CREATE INDEX ON t ((key_vault.lorawan_decrypt_uplink(k, a, 1, p)))}),
    qr/functions in index expression must be marked IMMUTABLE/, 'so an index of payloads is refused');

#------------------------------------------------------------------------
# What users make of plaintext
#------------------------------------------------------------------------

make_database('leaky');
$node->safe_psql('leaky', q{
    -- Users should not write such a function: it is declared IMMUTABLE, but calls one that is not.
    CREATE FUNCTION plain(k key_vault.wrapped_key, a bytea, f bigint, p bytea) RETURNS bytea LANGUAGE sql IMMUTABLE
    AS 'SELECT key_vault.lorawan_decrypt_uplink($1, $2, $3, $4)';
    CREATE FUNCTION as_text(bytea) RETURNS text LANGUAGE sql IMMUTABLE AS $$SELECT encode($1, 'base64')$$;
});
my $decrypted = 'key_vault.lorawan_decrypt_uplink(k, a, f, p)';
my $wrapper   = 'plain(k, a, f, p)';

# Each construction: its name, its statements ($t is its table with the columns k, a, f, p; $h is the payload in
# hexadecimal digits, where it is a literal), and the catalogues that have the payload afterwards.  Tables bring
# it into heap and WAL and the dump, too.  The catalogues follow from PostgreSQL's documentation of each.
my @constructions = (
    [ 'statistics on an expression', qq{CREATE STATISTICS \$t_s ON ($decrypted) FROM \$t},
        'pg_statistic_ext_data' ],
    [ 'statistics on a text of it', qq{CREATE STATISTICS \$t_s ON (as_text($decrypted)) FROM \$t},
        'pg_statistic_ext_data' ],
    [ 'statistics on several expressions', qq{CREATE STATISTICS \$t_s (mcv) ON ($decrypted), (f % 2) FROM \$t},
        'pg_statistic_ext_data' ],
    [ 'an index on an expression', qq{CREATE INDEX ON \$t (($wrapper))}, 'pg_statistic' ],
    [ 'a hash index on an expression', qq{CREATE INDEX ON \$t USING hash (($wrapper))}, 'pg_statistic' ],
    [ 'a materialised view', qq{CREATE MATERIALIZED VIEW \$t_m AS SELECT $decrypted AS payload FROM \$t}, 'pg_statistic' ],
    [ 'a table', qq{CREATE TABLE \$t_c AS SELECT $decrypted AS payload FROM \$t}, 'pg_statistic' ],
    [ 'a table, with statistics of several columns', qq{CREATE TABLE \$t_c AS SELECT $decrypted AS payload, f % 2 AS f FROM \$t;
        CREATE STATISTICS \$t_s (mcv) ON payload, f FROM \$t_c}, 'pg_statistic pg_statistic_ext_data' ],
    [ 'a generated column', qq{ALTER TABLE \$t ADD g bytea GENERATED ALWAYS AS ($wrapper) STORED}, 'pg_statistic' ],
    [ 'an unlogged table', qq{CREATE UNLOGGED TABLE \$t_c AS SELECT $decrypted AS payload FROM \$t}, 'pg_statistic' ],
    # The payload is a literal.
    [ 'the condition of an index', qq{CREATE INDEX ON \$t (f) WHERE $wrapper = '\\x\$h'}, 'pg_index' ],
    [ 'a view', qq{CREATE VIEW \$t_v AS SELECT * FROM \$t WHERE $decrypted = '\\x\$h'}, 'pg_rewrite' ],
    [ 'a CHECK', qq{ALTER TABLE \$t ADD CHECK ($wrapper <> '\\x\$h') NOT VALID}, 'pg_constraint' ],
    [ 'a default', qq{ALTER TABLE \$t ADD d bytea; ALTER TABLE \$t ALTER d SET DEFAULT '\\x\$h'}, 'pg_attrdef' ],
    [ 'a policy', qq{CREATE POLICY p ON \$t USING ($decrypted <> '\\x\$h')}, 'pg_policy' ],
    [ 'a trigger', qq{CREATE TRIGGER t BEFORE UPDATE ON \$t FOR EACH ROW WHEN (plain(OLD.k, OLD.a, OLD.f, OLD.p) = '\\x\$h')
        EXECUTE FUNCTION suppress_redundant_updates_trigger()}, 'pg_trigger' ],
    [ 'the bound of a partition', qq{CREATE TABLE \$t_p (LIKE \$t) PARTITION BY LIST (($wrapper));
        CREATE TABLE \$t_p1 PARTITION OF \$t_p FOR VALUES IN ('\\x\$h')}, 'pg_class' ],
    [ 'the body of a function', qq{CREATE FUNCTION \$t_f() RETURNS boolean LANGUAGE sql AS 'SELECT \$\$\$h\$\$ > \$\$a\$\$'}, 'pg_proc' ],
    [ 'a comment', qq{COMMENT ON TABLE \$t IS '\$h'}, 'pg_description' ],
    # The payload is in a message of the server.
    [ 'a unique index that is violated', qq{CREATE UNIQUE INDEX ON \$t (($wrapper))}, '' ],
    # A key, used by a role that may unwrap it
    [ 'statistics on a key', qq{CREATE STATISTICS \$t_s ON (key_vault.unwrap(k)) FROM \$t}, 'pg_statistic_ext_data' ],
);

# One table for each construction.  All of its payloads are the same, so that the payload is among the most
# common values, too.
my @leaky = known(scalar @constructions, 100, 'SAME');
make_database('another');    # As known() made another KEK; not looked at.
$node->safe_psql('leaky', qq{
    SELECT key_vault.kek_import('new transport', decode(trim(pg_read_file('$ENV{TESTDIR}/transport.kek'), E'\\n'), 'hex'))});
my %canary;
my @statements;
foreach my $n (0 .. $#constructions)
{
    my ($name, $sql) = @{ $constructions[$n] };
    my @uplinks = @leaky[ 100 * $n .. 100 * $n + 99 ];
    my $table = "t$n";
    my $secret = $name eq 'statistics on a key' ? 'session_key' : 'payload';
    $canary{$name} = pack 'H*', $uplinks[0]{$secret};
    my $rows = join ",\n", map { "('\\x$_->{encrypted_key}'::bytea, '\\x$_->{dev_addr}'::bytea, $_->{f_cnt}::bigint, '\\x$_->{frm_payload}'::bytea)" } @uplinks;
    $node->safe_psql('leaky', qq{
        CREATE TABLE $table AS
        SELECT key_vault.import_envelope('new transport', v.e, 'rest', v.a) AS k, a, f, p FROM (VALUES $rows) v (e, a, f, p)});
    $sql =~ s/\$t_/${table}_/g;
    $sql =~ s/\$t\b/$table/g;
    $sql =~ s/\$h\b/unpack 'H*', $canary{$name}/ge;
    my $status = $node->psql('leaky', $sql, stderr => \my $stderr);
    push @statements, [ $name, $sql, $status, $stderr ];
}
foreach (@statements)
{
    my ($name, $sql, $status, $stderr) = @$_;
    if ($name =~ /violated/)
    {
        like($stderr, qr/could not create unique index.*Key .* is duplicated/s, "leaky: $name");
    }
    else
    {
        is($stderr, '', "leaky: $name");
    }
}
$node->safe_psql('leaky', 'ANALYZE');

#------------------------------------------------------------------------
# The search
#------------------------------------------------------------------------

catalogue_dump('ordinary', 'postgres', q{
    PREPARE q AS SELECT payload FROM lorawan.uplink_decrypted; EXECUTE q;
    BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT payload FROM lorawan.uplink_decrypted; FETCH 3 FROM c; COMMIT;});
catalogue_dump('ordinary', 'nobody', '');
catalogue_dump('leaky', 'postgres', '');
catalogue_dump('leaky', 'nobody', '');
foreach (qw(ordinary leaky))
{
    system('pg_dump', '-h', $node->host, '-p', $node->port, '-f', "$ENV{TESTDIR}/copies/$_.sql", $_) == 0 or die 'pg_dump';
}
my ($ordinary, $leaky) = split /\|/, $node->safe_psql('postgres', q{
    SELECT (SELECT oid FROM pg_database WHERE datname = 'ordinary'), (SELECT oid FROM pg_database WHERE datname = 'leaky')});
$node->stop;
system('cp', '-a', $node->data_dir, "$ENV{TESTDIR}/copies/data") == 0 or die 'cp';
system('cp', '-a', $node->logfile, "$ENV{TESTDIR}/copies/server.log") == 0 or die 'cp';

my %secret = map { ("leaky $_" => $canary{$_}) } keys %canary;
foreach (@ordinary)
{
    $secret{"payload $_->{payload}"} = pack 'H*', $_->{payload};
    $secret{"key $_->{session_key}"} = pack 'H*', $_->{session_key};
}
cmp_ok(scalar(keys %secret), '==', @constructions + 120 + 10, 'what is looked for');

my ($files, @found) = file_scanner(%secret)->("$ENV{TESTDIR}/copies");
cmp_ok($files, '>', 1500, "files were searched: $files");
my %where;
foreach (@found)
{
    my ($name, $form, $path) = @$_{qw(name form path)};
    my $place =
        $path =~ m{copies/\w+\.(\w+)/r\.pg_catalog_(\w+)\.} ? "$2 as $1"
      : $path =~ m{copies/\w+\.(\w+)/[vm]\.(?:pg_catalog|information_schema)_(\w+)\.} ? "view $2 as $1"
      : $path =~ m{/pg_wal/}      ? 'WAL'
      : $path =~ m{/base/|/global/} ? 'heap'
      : $path =~ m{server\.log$}  ? 'log'
      : $path =~ m{\.sql$}        ? 'dump'
      :                             $path;
    $where{$name}{$place} = "$form in $path";
}

my @found_ordinary = map { my $name = $_; map { "$name: $where{$name}{$_}" } sort keys %{ $where{$name} } }
  grep { !/^leaky/ } sort keys %where;
is(join("\n", @found_ordinary), '', 'ordinary work leaves no payload and no key in the clear anywhere');

foreach (@constructions)
{
    my ($name, $sql, $catalogue) = @$_;
    my %places = %{ $where{"leaky $name"} // {} };
    my @catalogues = map { s/ as postgres$//r } grep { !/^view/ && / as postgres$/ } sort keys %places;

    my $is_literal = $sql =~ /\$h/;

    # ANALYZE also reads the catalogues, so text in a catalogue may be in the statistics of that catalogue, too.
    @catalogues = grep { $_ ne 'pg_statistic' } @catalogues if $catalogue !~ /\bpg_statistic\b/;
    is("@catalogues", $catalogue, "$name: the catalogues that have its plaintext");
    # Rows of catalogues may be compressed, and then heap and WAL do not show their text.
    # Of an unlogged table the WAL has the row of pg_statistic only.
    foreach ($is_literal || $name =~ /violated/ ? 'log' : $name =~ /unlogged/ ? 'heap' : ('heap', 'WAL'))
    {
        ok($places{$_}, "$name: found in: $_");
    }
    my @all = grep { / as nobody$/ } sort keys %places;
    # Everyone who can connect can read the definitions in the catalogues.  Statistics can be read only by roles
    # that may read the table.
    $is_literal || is("@all", '', "$name: shown to no one who may not read the table");
    note("$name: ", join ', ', map { s/ as postgres$//r } grep { !/ as nobody$/ } sort keys %places);
    note("$name: shown to everybody: ", join ', ', map { s/ as nobody$//r } @all) if @all;
}

done_testing();
