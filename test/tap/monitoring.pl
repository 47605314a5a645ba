# What there is to watch over: the ages of KEKs, the root keys they are sealed under, and the keys left on old
# versions; in SQL, by a role that only monitors, and as metrics of prometheus-postgres-exporter.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use HTTP::Tiny;
use IPC::Run;
use Test::More;

my $queries = "$FindBin::Bin/../../contrib/prometheus-postgres-exporter.yaml";

my $node = new_node('monitored');
$node->init;
$node->configure_vault;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'key_vault'\nlisten_addresses = '127.0.0.1'\n");
$node->start;

# The exporter's role as the query file says.
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
    'a "quoted" label 1 active 5, b 1 deactivated 5, b 2 active 2', 'what hangs on them');
is(look_anew($node, 'SET ROLE nobody', $listed), 'ERROR:  permission denied to look at the root keys', 'not for everybody: root keys');
is(look_anew($node, 'SET ROLE nobody', $health), 'ERROR:  permission denied for view kek_health', 'not for everybody: health of KEKs');
is(look_anew($node, 'SET ROLE nobody', 'SELECT * FROM key_vault.kek_usage()'), '', 'of tables that a role may not read it hears nothing');
# Nor does a privilege on a label show more.
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

# Its metrics, in the order of their names and labels.
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

    # The exporter's session sees a reload.
    use_root_keys('second', 'first');
    @metrics = scrape();
    is(value_of('key_vault_kek_root_key_position', q{label="b", version="2"}, @metrics), 2, 'metric: sealed under an old root key');
    use_root_keys('second');
    @metrics = scrape();
    is(value_of('key_vault_kek_root_key_position', q{label="b", version="2"}, @metrics), 0, 'metric: sealed under a root key that is not there');

    # Each expression that the file offers is about a metric that there is.
    foreach my $name ($roles =~ /^#   \W*(?:absent\()?(key_vault_\w+)/mg)
    {
        ok(scalar(grep { /^$name\{/ } @metrics), "metric: $name, which the file tells to watch");
    }
    $exporter->kill_kill;
}

use_root_keys('second', 'first');
is(as_exporter($health), 'a "quoted" label 1 active 2, b 1 deactivated 2, b 2 active 2', 'sealed under an older root key');
$node->safe_psql('postgres', 'SELECT key_vault.root_key_rotate()');
is(as_exporter($health), 'a "quoted" label 1 active 1, b 1 deactivated 1, b 2 active 1', 'sealed anew');
use_root_keys('first');
is(as_exporter($health), 'a "quoted" label 1 active none, b 1 deactivated none, b 2 active none', 'sealed under none of the list');

# A file that went away is seen before a restart makes it felt.
use_root_keys('second', 'first');
my $session = open_session($node);
look($session, 'SELECT * FROM key_vault.root_keys()');
unlink $root_key{first};
is(look($session, $listed) =~ s/file \w{10}/file ID/r, '1 file ID, 2 file KV102', 'a root key that cannot be read, and why');
$session->quit;
$node->append_conf('postgresql.conf', "key_vault.root_key = ''\n");
$node->reload;
$node->poll_query_until('postgres', "SELECT current_setting('key_vault.root_key') = ''") or die 'no reload';
is(as_exporter($health), 'ERROR:  setting "key_vault.root_key" is not set', 'no root key at all');

done_testing();
