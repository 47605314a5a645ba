# The schedule of the runbook, as it is on the page, run by pg_cron.  An old KEK is rotated, its keys are
# rewrapped and, when its time has come, it is destroyed, and nobody has to do anything.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use Test::More;

my $page = PostgreSQL::Test::Utils::slurp_file("$FindBin::Bin/../../docs/runbook.md");
my ($section) = $page =~ /^## On a schedule\n(.*?)(?:^## |\z)/ms or die 'no such section';
my @jobs = $section =~ /^```sql\n(.*?)^```$/msg;

my $node = new_node('cron');
$node->init;
$node->configure_vault;
chomp(my $pkglibdir = `pg_config --pkglibdir`);
plan skip_all => 'pg_cron is not installed' if !-e "$pkglibdir/pg_cron.so";

# pg_cron connects as any client does.
$node->append_conf('postgresql.conf', qq{
    shared_preload_libraries = 'key_vault, pg_cron'
    cron.database_name = 'postgres'
    cron.host = '@{[ $node->host ]}'
});
$node->start;
$node->safe_psql('postgres', q{
    SET client_min_messages = error;
    CREATE EXTENSION key_vault;
    SELECT key_vault.kek_create(label) FROM unnest(ARRAY['app1', 'young']) label;
    CREATE TABLE session (n integer, plain bytea, app_s_key key_vault.wrapped_key NOT NULL);
    INSERT INTO session SELECT n, decode(md5(n::text), 'hex'), key_vault.wrap(decode(md5(n::text), 'hex'), 'app1')
      FROM generate_series(1, 1000) n;
    -- This makes the KEK older than the schedule allows.
    SET session_replication_role = replica;
    UPDATE key_vault.kek SET created_at = created_at - interval '1 year' WHERE label = 'app1';
});

# On the page the jobs run at certain hours; here each runs every minute.
my $scheduled = 0;
foreach my $job (@jobs)
{
    $scheduled += (my $sql = $job) =~ s/(cron\.schedule\('[^']+', )'[^']+'/$1'* * * * *'/g;
    $sql =~ s/interval '7 days'/interval '0'/;
    $node->safe_psql('postgres', $sql);
}
is($node->safe_psql('postgres', 'SELECT count(*) FROM cron.job'), $scheduled, 'jobs are scheduled');
cmp_ok($scheduled, '>=', 2, 'as the page says');

my $failed = q{SELECT string_agg(command || ': ' || return_message, E'\n') FROM cron.job_run_details WHERE status = 'failed'};
ok($node->poll_query_until('postgres', q{SELECT count(*) = 1000 FROM session WHERE key_vault.kek_version(app_s_key) >= 2}),
    'the old KEK is rotated, and all keys are rewrapped');
is($node->safe_psql('postgres', q{SELECT string_agg(version || ' ' || state, ', ') FROM key_vault.keks WHERE label = 'young'}),
    '1 active', 'a KEK that is not old stays');
ok($node->poll_query_until('postgres', q{SELECT state = 'destroyed' FROM key_vault.keks WHERE (label, version) = ('app1', 1)}),
    'the old version is destroyed');
is($node->safe_psql('postgres', q{SELECT count(*), bool_and(key_vault.unwrap(app_s_key) = plain) FROM session}), '1000|t', 'every key opens');
is($node->safe_psql('postgres', q{SELECT DISTINCT application_name FROM key_vault.audit_log WHERE event = 'rotated'}), 'pg_cron',
    'the audit log tells who did it');
is($node->safe_psql('postgres', $failed), '', 'no job failed');

done_testing();
