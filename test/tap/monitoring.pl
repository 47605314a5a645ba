# Monitoring: the ages of KEKs, the root keys they are sealed under, and the keys that are left under old
# versions; in SQL, by a role that may only monitor, and as metrics of prometheus-postgres-exporter.  Each query
# of the dashboard returns something, and each alert fires exactly when it should.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use HTTP::Tiny;
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Utils qw(slurp_file);
use Test::More;

my $contrib = "$FindBin::Bin/../../contrib";
my $queries = "$contrib/prometheus-postgres-exporter.yaml";
my $alerts  = slurp_file("$contrib/prometheus-alerts.yml");

my $node = new_node('monitored');
$node->init;
$node->configure_vault;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'key_vault'\nlisten_addresses = '127.0.0.1'\n");
$node->start;

# The role of the exporter is made as the head of the query file says.
my $roles = PostgreSQL::Test::Utils::slurp_file($queries);
my ($create_role, $grant) = $roles =~ /^#\s+(CREATE ROLE exporter .*;)\n#\s+(GRANT .*;)/m
  or die 'no statements for the role in the query file';
$node->safe_psql('postgres', qq{
    SET client_min_messages = error;
    CREATE EXTENSION key_vault;
    CREATE TABLE session (dev_addr bytea, app_s_key key_vault.wrapped_key);
    SELECT key_vault.kek_create(label) FROM unnest(ARRAY['a "quoted" label', 'b']) label;
    INSERT INTO session SELECT NULL, key_vault.generate_key(label)
      FROM unnest(ARRAY['a "quoted" label', 'b']) label, generate_series(1, 5);
    SELECT key_vault.kek_rotate('b');
    INSERT INTO session SELECT NULL, key_vault.generate_key('b') FROM generate_series(1, 2);
    CREATE TABLE uses AS SELECT key_vault.kek_id(app_s_key), key_vault.unwrap(app_s_key) IS NOT NULL FROM session;
    CALL key_vault.create_storage('lorawan', 'b');
    $create_role
    $grant
    CREATE ROLE nobody;
});

my %root_key = (first => "$ENV{TESTDIR}/root.key");
sub make_root_key
{
    my ($name) = @_;
    $root_key{$name} = "$ENV{TESTDIR}/$name.key";
    PostgreSQL::Test::Utils::system_or_bail('sh', '-c', "umask 077; openssl rand -hex 32 >$root_key{$name}");
}

sub use_root_keys
{
    my $list = join ', ', map { "file:$root_key{$_}" } @_;
    $node->append_conf('postgresql.conf', "key_vault.root_key = '$list'\n");
    $node->reload;
    $node->poll_query_until('postgres', "SELECT current_setting('key_vault.root_key') = '$list'") or die 'no reload';
}

my $health = q{SELECT string_agg(concat_ws(' ', label, version, state, coalesce(root_key_position::text, 'none')), ', '
    ORDER BY label, version) FROM key_vault.kek_health};
my $listed = q{SELECT string_agg(concat_ws(' ', position, scheme, coalesce(encode(root_key_id, 'hex'), problem)), ', '
    ORDER BY position) FROM key_vault.root_keys()};

sub as_exporter
{
    my ($sql) = @_;
    return look_anew($node, 'SET ROLE exporter', $sql);
}

my $first = $node->safe_psql('postgres', q{SELECT DISTINCT encode(root_key_id, 'hex') FROM key_vault.keks});
is(as_exporter($listed), "1 file $first", 'the root key by its check value');
is(as_exporter($health), 'a "quoted" label 1 active 1, b 1 deactivated 1, b 2 active 1', 'all sealed under the first');
is(as_exporter(q{SELECT bool_and(age_seconds BETWEEN 0 AND 300) FROM key_vault.kek_health}), 't', 'of an age');
is(as_exporter(q{SELECT string_agg(concat_ws(' ', kek_label, kek_version, state, keys), ', ' ORDER BY 1, kek_version) FROM key_vault.kek_usage()}),
    'a "quoted" label 1 active 5, b 1 deactivated 5, b 2 active 2', 'how many keys they wrap');
is(look_anew($node, 'SET ROLE nobody', $listed), 'ERROR:  permission denied to look at the root keys', 'not for everybody: root keys');
is(look_anew($node, 'SET ROLE nobody', $health), 'ERROR:  permission denied for view kek_health', 'not for everybody: health of KEKs');
is(look_anew($node, 'SET ROLE nobody', 'SELECT * FROM key_vault.kek_usage()'), '', 'of tables that a role may not read it hears nothing');
# A privilege on a label does not make more visible.
$node->safe_psql('postgres', q{SELECT key_vault.kek_grant('b', 'nobody', 'wrap')});
is(look_anew($node, 'SET ROLE nobody', $listed), 'ERROR:  permission denied to look at the root keys', 'a privilege on a label is none to it');

my $port = PostgreSQL::Test::Cluster::get_free_port();
my $exporter;
my $exporter_log = '';
sub start_exporter
{
    local $ENV{DATA_SOURCE_NAME} = 'host=127.0.0.1 port=' . $node->port . ' user=exporter dbname=postgres sslmode=disable';
    $exporter = IPC::Run::start([ 'prometheus-postgres-exporter', "--web.listen-address=127.0.0.1:$port",
            '--disable-default-metrics', '--disable-settings-metrics', "--extend.query-path=$queries" ], '>&', \$exporter_log);
}

# The exporter's metrics, in the order of their names and labels
sub scrape
{
    for (1 .. 100)
    {
        my $response = HTTP::Tiny->new->get("http://127.0.0.1:$port/metrics");
        return grep { /^key_vault_/ } split /\n/, $response->{content} if $response->{success};
        select undef, undef, undef, 0.1;
    }
    diag($exporter_log);
    return;
}

sub value_of
{
    my ($metric, $labels, @metrics) = @_;
    my @found = grep { /^\Q$metric\E\{/ } @metrics;

    foreach my $label (split /, /, $labels)
    {
        @found = grep { /[{,]\Q$label\E[,}]/ } @found;
    }
    return @found == 1 ? (split / /, $found[0])[-1] : scalar(@found) . ' of them';
}

# promtool runs each query of the dashboard over two hours of these metrics, and it must return something.
sub try_dashboard
{
    my (@metrics) = @_;

    if (system('command -v promtool >/dev/null') != 0)
    {
        SKIP: { skip 'promtool is not installed', 1 }
        return;
    }
    my $dashboard = decode_json(slurp_file("$contrib/grafana-dashboard.json"));
    my @panels    = @{ $dashboard->{panels} };
    cmp_ok(scalar(@panels), '>', 5, 'the dashboard has panels');
    foreach my $panel (@panels)
    {
        foreach my $target (@{ $panel->{targets} })
        {
            my $file = "$ENV{TESTDIR}/dashboard.yml";
            open my $out, '>', $file or die "$file: $!";
            print $out "evaluation_interval: 1m\ntests:\n  - interval: 1m\n    input_series:\n";
            foreach (@metrics)
            {
                my ($series, $value) = /^(.*) (\S+)$/ or next;
                # In YAML's single quotes a quote is two.
                printf $out "      - {series: '%s', values: '%dx120'}\n", $series =~ s/'/''/gr, $value;
            }
            print $out "    promql_expr_test:\n      - {expr: 'count($target->{expr}) > bool 0', eval_time: 2h, exp_samples: [{labels: '{}', value: 1}]}\n";
            close $out or die "$file: $!";
            my $ok = IPC::Run::run([ 'promtool', 'test', 'rules', $file ], '>&', \my $output);
            ok($ok, "dashboard: $panel->{title}: $target->{expr}") or diag($output);
        }
    }
}

# What health() says of the first two things that it checks
my $healthy = q{SELECT string_agg(concat_ws(': ', name, status, finding), ', ') FROM key_vault.health() WHERE name IN ('root keys', 'sealed KEKs')};

is(as_exporter($healthy), 'root keys: ok: 1 of 1 available, sealed KEKs: ok: all KEKs are sealed under the first root key', 'health: all is well');
like(as_exporter(q{SELECT status || ': ' || finding FROM key_vault.health() WHERE name = 'key caches'}), qr/^ok: hits \d+, misses \d+, evictions 0, mismatches 0$/,
    'health: the caches of all sessions, since the library is preloaded');

SKIP:
{
    skip 'promtool is not installed', 1 if system('command -v promtool >/dev/null') != 0;
    my $ok = IPC::Run::run([ 'promtool', 'test', 'rules', "$FindBin::Bin/../prometheus/alerts.test.yml" ], '>&', \my $output);
    ok($ok, 'alerts fire when they are to, and not else') or diag($output);
}

make_root_key('second');
SKIP:
{
    skip 'prometheus-postgres-exporter is not installed', 1
      if system('command -v prometheus-postgres-exporter >/dev/null') != 0;
    $node->append_conf('pg_hba.conf', 'host all exporter 127.0.0.1/32 trust');
    $node->reload;

    start_exporter();
    my @metrics = scrape();
    is(value_of('key_vault_root_key_available', qq{position="1", scheme="file", root_key_id="$first"}, @metrics), 1, 'metric: the root key is there');
    is(value_of('key_vault_kek_root_key_position', q{label="b", version="1", state="deactivated"}, @metrics), 1, 'metric: position of its root key');
    cmp_ok(value_of('key_vault_kek_age_seconds', q{label="a \\"quoted\\" label", version="1"}, @metrics), '<', 300, 'metric: the age of a KEK');
    is(value_of('key_vault_wrapped_keys', q{label="b", version="1", state="deactivated", relation="session", column="app_s_key"}, @metrics), 5,
        'metric: keys left on an old version');
    is(value_of('key_vault_wrapped_keys', q{label="b", version="2", state="active"}, @metrics), 2, 'metric: and on the new one');

    # The session that the exporter keeps open sees the new setting after a reload.
    use_root_keys('second', 'first');
    @metrics = scrape();
    is(value_of('key_vault_kek_root_key_position', q{label="b", version="2"}, @metrics), 2, 'metric: sealed under an old root key');
    use_root_keys('second');
    @metrics = scrape();
    is(value_of('key_vault_kek_root_key_position', q{label="b", version="2"}, @metrics), 0, 'metric: sealed under a root key that is not there');

    # All metrics that the alerts and the dashboard use exist.
    foreach my $name (sort keys %{ { map { $_ => 1 } $alerts =~ /\b(key_vault_\w+)(?=[{\[)\s])/g } })
    {
        ok(scalar(grep { /^$name\{/ } @metrics), "metric: $name, which an alert goes by");
    }
    try_dashboard(@metrics);
    $exporter->kill_kill;
}

use_root_keys('second', 'first');
is(as_exporter($health), 'a "quoted" label 1 active 2, b 1 deactivated 2, b 2 active 2', 'sealed under an older root key');
is(as_exporter($healthy), 'root keys: ok: 2 of 2 available, sealed KEKs: warning: 3 KEKs are sealed under an older root key', 'health: an older root key');
$node->safe_psql('postgres', 'SELECT key_vault.root_key_rotate()');
is(as_exporter($health), 'a "quoted" label 1 active 1, b 1 deactivated 1, b 2 active 1', 'sealed anew');
use_root_keys('first');
is(as_exporter($health), 'a "quoted" label 1 active none, b 1 deactivated none, b 2 active none', 'sealed under none of the list');
is(as_exporter($healthy), 'root keys: ok: 1 of 1 available, sealed KEKs: critical: 3 KEKs are sealed under a root key that the server does not have', 'health: none of the list');

# Monitoring shows that the root key file is gone before a restart would fail because of it.
use_root_keys('second', 'first');
my $session = open_session($node);
look($session, 'SELECT * FROM key_vault.root_keys()');
unlink $root_key{first};
is(look($session, $listed) =~ s/file \w{10}/file ID/r, '1 file ID, 2 file KV102', 'a root key that cannot be read, and why');
$session->quit;
is(as_exporter($healthy), 'root keys: warning: 1 of 2 available; not available: number 2 (file, SQLSTATE KV102), sealed KEKs: ok: all KEKs are sealed under the first root key',
    'health: a root key that cannot be read');
use_root_keys('first', 'second');
like(as_exporter($healthy), qr/^root keys: critical: 1 of 2 available; not available: number 1 /, 'health: the first one cannot be read');
$node->append_conf('postgresql.conf', "key_vault.root_key = ''\n");
$node->reload;
$node->poll_query_until('postgres', "SELECT current_setting('key_vault.root_key') = ''") or die 'no reload';
is(as_exporter($health), 'ERROR:  setting "key_vault.root_key" is not set', 'no root key at all');
is(as_exporter($healthy), 'root keys: critical: setting "key_vault.root_key" is not set', 'health: no root key at all');

done_testing();
