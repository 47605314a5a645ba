# The runbook, docs/rotation.md, as it is: each section on a server of its own, every command
# in its order, and the output where the page shows one.  A comment of the page sets the scene.  Paths below /etc/key_vault and
# /var/backups lead elsewhere; check values, which are random, are masked.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use IPC::Run;
use Test::More;

my $page = PostgreSQL::Test::Utils::slurp_file("$FindBin::Bin/../../docs/rotation.md");

# What the page stands on: README's tour, with three devices.
my $tour = q{
    CREATE EXTENSION key_vault;
    SELECT key_vault.kek_create('app1');
    CREATE TABLE session (dev_addr bytea PRIMARY KEY, app_s_key key_vault.wrapped_key NOT NULL);
    INSERT INTO session SELECT dev_addr, key_vault.bind(key_vault.generate_key('app1'), dev_addr)
      FROM unnest(ARRAY['\x260B1234', '\x260B5678', '\x260B9ABC']::bytea[]) dev_addr;
    CREATE TABLE uplink (dev_addr bytea, f_cnt bigint, frm_payload bytea);
    INSERT INTO uplink
    SELECT dev_addr, n, key_vault.lorawan_encrypt_uplink(app_s_key, dev_addr, n, '\x0167010e02684a')
      FROM session, generate_series(65535, 65537) AS n;
    CREATE VIEW reading AS
    SELECT u.*, key_vault.lorawan_decrypt_uplink(s.app_s_key, u.dev_addr, u.f_cnt, u.frm_payload) AS payload
      FROM uplink u JOIN session s USING (dev_addr);
};

# Sections that have a test of their own.
my %elsewhere = ('On a schedule' => 'pg_cron.pl');

sub masked
{
    my ($text, $dir) = @_;

    $text =~ s/\\x[0-9a-f]{10}\b/\\xKCV/g;
    $text =~ s/\b(check value|has) [0-9a-f]{10}\b/$1 KCV/g;
    $text =~ s{\Q$dir\E/etc}{/etc/key_vault}g;
    $text =~ s{\Q$dir\E/backups}{/var/backups}g;
    $text =~ s{\b\d+ keys/s, [0-9:]+ left}{N keys/s, T left};
    $text =~ s/rewrapped in [0-9.]+ s/rewrapped in N s/;
    $text =~ s/[ \t]+$//mg;
    $text =~ s/\n+\z/\n/;
    return $text;
}

# SoftHSM's token "vault", and its PIN where the page has it; the configuration that finds it.
sub make_token
{
    my ($dir) = @_;
    my $conf = "$dir/softhsm2.conf";

    mkdir $_ or die "$_: $!" foreach ("$dir/softhsm", "$dir/softhsm/tokens");
    PostgreSQL::Test::Utils::append_to_file($conf, "directories.tokendir = $dir/softhsm/tokens\nobjectstore.backend = file\n");
    PostgreSQL::Test::Utils::append_to_file("$dir/etc/pin", "4711\n");
    chmod 0600, "$dir/etc/pin";
    local $ENV{SOFTHSM2_CONF} = $conf;
    PostgreSQL::Test::Utils::system_or_bail('softhsm2-util', '--init-token', '--free', '--label', 'vault', '--so-pin', '12345678', '--pin', '4711');
    return $conf;
}

# Runs the blocks of a section: what is in a text block is the output of the one before it.
sub run_section
{
    my ($title, $section) = @_;
    my $name = lc $title =~ s/\W+/_/gr;
    my $node = new_node($name);
    my $dir  = "$ENV{TESTDIR}/$name.d";

    mkdir $_ or die "$_: $!" foreach ($dir, "$dir/etc", "$dir/backups");
    chmod 0700, "$dir/etc";
    local $ENV{SOFTHSM2_CONF} = make_token($dir) if $section =~ /pkcs11:/;
    PostgreSQL::Test::Utils::system_or_bail('sh', '-c', "umask 077; openssl rand -hex 32 >$dir/etc/root.key");
    $node->init(allows_streaming => 1);
    $node->append_conf('postgresql.conf',
        "shared_preload_libraries = 'key_vault'\nkey_vault.root_key = 'file:$dir/etc/root.key'\n");
    $node->start;
    $node->safe_psql('postgres', 'CREATE DATABASE lorawan');
    local $ENV{PGDATABASE} = 'lorawan';
    local $ENV{PGHOST}     = $node->host;
    local $ENV{PGPORT}     = $node->port;
    $node->safe_psql('lorawan', $tour);

    my @blocks;
    push @blocks, [ $1 // $3, $2 // $4 ] while $section =~ /^```(sql|sh|text)\n(.*?)^```$|^<!-- (sh)\n(.*?)^-->$/msg;
    while (my $block = shift @blocks)
    {
        my ($kind, $text) = @$block;
        my $expected = @blocks && $blocks[0][0] eq 'text' ? (shift @blocks)->[1] : undef;
        (my $input = $text) =~ s{/etc/key_vault}{$dir/etc}g;
        $input =~ s{/var/backups}{$dir/backups}g;
        $input =~ s{/var/lib/softhsm}{$dir/softhsm}g;
        my $stop = defined $expected && $expected =~ /^ERROR:/m ? 0 : 1;
        my @command = $kind eq 'sql'
          ? ('psql', '-Xq', '-v', "ON_ERROR_STOP=$stop", '-P', 'footer=off')
          : ('bash', '-e', '-u', '-o', 'pipefail');
        my $output = '';
        my $before = $node->safe_psql('postgres', 'SELECT clock_timestamp()');
        my $ok = IPC::Run::run(\@command, '<', \$input, '>&', \$output, IPC::Run::timeout(180));
        my ($first) = $text =~ /^(?!LOAD)(.*)$/m;
        ok($ok, "$title: $first") or diag($output);
        is(masked($output, $dir), masked($expected, $dir), "$title: $first: the output")
          if defined $expected;
        # New sessions have it then.
        $node->poll_query_until('postgres', "SELECT pg_conf_load_time() > '$before'") or die 'no reload'
          if $text =~ /pg_reload_conf/;
    }
    is(look_at($node, q{SELECT count(*), bool_and(payload = '\x0167010e02684a') FROM reading}),
        '9|t', "$title: the payloads at its end");
    $node->stop;
}

sub look_at
{
    my ($node, $sql) = @_;
    $node->psql('lorawan', $sql, stdout => \my $rows, stderr => \my $error, on_error_die => 0);
    return $error eq '' ? $rows : $error;
}

my ($head, @sections) = split /^## /m, $page;
foreach my $section (@sections)
{
    my ($title) = $section =~ /^(.*)$/m;
    like($head, qr/\[\Q$title\E\]\(#\Q${\ (lc $title =~ s{ }{-}gr)}\E\)/, "$title is in the contents");
    run_section($title, $section) unless $elsewhere{$title};
}
cmp_ok(scalar @sections, '>', 2, 'the page has sections');

done_testing();
