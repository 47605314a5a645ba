# The commands of docs/storage.md and docs/incident.md, taken out of the pages and run.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use Cwd ();
use PostgreSQL::Test::Utils;
use Test::More;

my $root = Cwd::realpath("$FindBin::Bin/../..");
my $node = new_node('docs');
$node->init;
$node->configure_vault;
chomp(my $pkglibdir = `pg_config --pkglibdir`);
my $cron = -e "$pkglibdir/pg_cron.so";
$node->append_conf('postgresql.conf', "timezone = 'UTC'\n");
$node->append_conf('postgresql.conf', qq{
    shared_preload_libraries = 'pg_cron'
    cron.database_name = 'lorawan'
    cron.host = '@{[ $node->host ]}'
}) if $cron;
$node->start;
$node->safe_psql('postgres', 'CREATE DATABASE lorawan');
$node->safe_psql('lorawan', q{
    SET client_min_messages = error;
    ALTER DATABASE lorawan SET client_min_messages = error;
    CREATE EXTENSION key_vault;
    SELECT key_vault.kek_import('app1-kek', '\x000102030405060708090a0b0c0d0e0f');
});
$node->safe_psql('lorawan', 'CREATE EXTENSION pg_cron') if $cron;

# The examples of both stacks, on a line each, and a line that was cut.
my ($the_things_stack, $chirpstack) = map { slurp_file("$root/demo/messages/$_.json") =~ s/\s*\n\s*//gr } 'the-things-stack', 'chirpstack';
append_to_file("$ENV{TESTDIR}/messages.json", "$the_things_stack\n$chirpstack\n" . substr($chirpstack, 0, 100) . "\n");

# The blocks of a page, in the order that they have there: [language, text].
sub blocks
{
    my ($page) = @_;
    my $text = slurp_file("$root/docs/$page");
    my @blocks;
    push @blocks, [ $1, $2 ] while $text =~ /^```(\w+)\n(.*?)^```$/msg;
    return @blocks;
}

# What psql prints, or its error.
sub psql_prints
{
    my ($sql) = @_;
    my ($out, $err) = ('', '');
    my $ok = IPC::Run::run([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-P', 'footer=off', '-d', $node->connstr('lorawan') ], '<', \$sql, '>', \$out, '2>', \$err);
    return ($ok, $ok ? $out : $err);
}

my $ran = 0;
my %seen;
chdir $ENV{TESTDIR} or die $!;
foreach my $block (blocks('storage.md'))
{
    my ($language, $text) = @$block;
    my ($ok, $out);
    (my $title = $text) =~ s/\n.*//s;
    if ($language eq 'sh')
    {
        next if $text =~ /^curl/;
        local @ENV{qw(PGHOST PGPORT)} = ($node->host, $node->port);
        $out = `$text 2>&1`;
        $ok = $? == 0;
    }
    elsif ($text =~ /cron\.schedule/)
    {
        next if !$cron;
        $node->safe_psql('lorawan', q{INSERT INTO lorawan.inbox SELECT jsonb_set(jsonb_set($m$} . $the_things_stack . q{$m$, '{uplink_message,f_cnt}', '9'), '{uplink_message,received_at}', to_jsonb(to_char(now() AT TIME ZONE 'UTC' - interval '5 days', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')))::text});
        $text =~ s/(cron\.schedule\('[^']+', )'[^']+'/$1'* * * * *'/g;
        ($ok, $out) = psql_prints($text);
        $seen{cron} = 1;
    }
    else
    {
        $text =~ s/\$1/\$m\$$the_things_stack\$m\$/;
        ($ok, $out) = psql_prints($text);
        $seen{decrypted} ||= $out =~ /\\x0167010e02684a *\| *decrypted/;
        $seen{reading} ||= $out =~ /\| dev1 +\| 27\.0/;
        $seen{line} ||= index($out, substr $chirpstack, 0, 100) >= 0;
        $seen{plan} ||= $out =~ /Seq Scan|Index Scan|Bitmap/;
    }
    ok($ok, "storage.md: $title") or diag($out);
    $ran++;
}
cmp_ok($ran, '>=', 14, 'there are blocks to run');
ok($seen{$_}, "the page shows it: $_") foreach qw(decrypted reading line plan);
is($node->safe_psql('lorawan', q{SELECT count(*) FROM lorawan.uplink_decrypted WHERE received_at < '2025-01-01'}), '0', 'with keep, what is older than a year is gone');
is($node->safe_psql('lorawan', q{SET ROLE ingester; SELECT lorawan.ingest($m$} . $chirpstack . q{$m$)}), 'uplink', 'the ingester of the page may ingest');
is($node->safe_psql('lorawan', q{GRANT USAGE ON SCHEMA lorawan TO app1_analyst; GRANT SELECT ON lorawan.uplink TO app1_analyst; SET ROLE app1_analyst; SELECT count(*) FROM lorawan.uplink WHERE application_id <> 'app1'}), '0', 'its analyst of an application sees nothing else');

# The incident, as the demo makes it; garbled again, since the demo ends with it repaired.
my ($expect) = slurp_file("$root/demo/01-keks.sql") =~ /(CREATE FUNCTION expect.*)/s;
my ($ok, $out) = psql_prints('CREATE ROLE analyst_of_demo;' . $expect . slurp_file("$root/demo/15-drill.sql") . q{
    UPDATE application_server SET payload = int8send(0)
     WHERE at >= '2023-02-10 14:00Z' AND at < '2023-02-10 15:00Z' AND dev_eui <> int8send(1);});
ok($ok, 'the drill of the demo') or diag($out);
my @incident = blocks('incident.md');
while (my $block = shift @incident)
{
    my ($language, $text) = @$block;
    next if $language ne 'sql';
    ($ok, $out) = psql_prints($text);
    ok($ok, 'incident.md: ' . ($text =~ s/\n.*//sr)) or diag($out);
    if (@incident && $incident[0][0] eq 'text')
    {
        is($out =~ s/[ \n]+$//mgr, $incident[0][1] =~ s/[ \n]+$//mgr, 'prints what the page shows');
    }
    if ($text =~ /cache = verify/)
    {
        my @answers = $out =~ /(decrypted \|\s+60 \| \w{32})/g;
        is(scalar(@answers), 2, 'two answers');
        is($answers[0], $answers[1], 'which are the same');
    }
}
is($node->safe_psql('lorawan', 'SELECT count(*) FROM application_server a JOIN sent s USING (dev_eui, at) WHERE a.payload = s.payload'), '180', 'all is right in the end');

SKIP:
{
    skip 'pg_cron is not installed', 3 if !$cron;
    ok($seen{cron}, 'jobs are scheduled');
    ok($node->poll_query_until('lorawan', q{SELECT count(*) = 1 FROM pg_inherits WHERE inhparent = 'lorawan.uplink'::regclass
        AND inhrelid = to_regclass(to_char(now() AT TIME ZONE 'UTC' - interval '5 days', '"lorawan.uplink_"YYYYMMDD'))}), 'pg_cron makes the partition of what came late');
    ok($node->poll_query_until('lorawan', q{SELECT count(*) > 0 FROM cron.job_run_details WHERE command ~ 'replay_rejected' AND status = 'succeeded'}), 'and tries again what was rejected');
}

done_testing();
