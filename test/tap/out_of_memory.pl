# Lack of memory: whichever allocation fails, the error is out_of_memory, and the next statements of
# the session are right.  The test makes each allocation fail, from the first one to the last, each in a session
# of its own.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use ChangedLibrary;
use PostgreSQL::Test::Utils;
use Test::More;

my $dir       = $ENV{TESTDIR};
my $pg_config = $ENV{PG_CONFIG} || 'pg_config';
chomp(my $includes = `$pg_config --includedir-server`);

# A copy of the library whose allocations can be made to fail.
my $why_not = why_source_does_not_build("$FindBin::Bin/../..");
plan skip_all => $why_not if defined $why_not;
my @wrapped = slurp_file("$FindBin::Bin/lib/fault.c") =~ /(?:^WRAPPED(?:_NULL)?\([^,]*, |__real_)(\w+)/mg;
my %seen;
my $flags = join ' ', map { "-Wl,--wrap=$_" } grep { !/^name$/ && !$seen{$_}++ } @wrapped, 'psprintf';
system("cp $FindBin::Bin/lib/fault.c $dir/build/src/common/fault.c && rm $dir/build/key_vault.so") == 0 or die;
system("make -s -j2 -C $dir/build PG_CONFIG=$pg_config with_llvm=no PG_LDFLAGS='$flags' key_vault.so > $dir/log.make 2>&1") == 0 or die slurp_file("$dir/log.make");
system("cc -Wall -shared -fPIC -O1 -fno-builtin -o $dir/fail_malloc.so $FindBin::Bin/lib/fail_malloc.c") == 0 or die;

my $node = new_node('memory');
$node->init;
$node->configure_vault;

# One root key comes from a file and one from a command, so that both are tested.
my $root_key = slurp_file($node->data_dir . '/postgresql.conf') =~ /key_vault.root_key = 'file:(.*)'/ ? $1 : die;
$node->append_conf('postgresql.conf', "key_vault.root_key = 'file:$root_key, \"command:echo 00000000000000000000000000000000000000000000000000000000000000aa\"'\n");
{
    local $ENV{LD_PRELOAD} = "$dir/fail_malloc.so";
    $node->start;
}
$node->safe_psql('postgres', 'CREATE EXTENSION key_vault');
use_library($node, 'postgres', "$dir/build/key_vault.so");
$node->safe_psql('postgres', qq{
    CREATE FUNCTION fail_at(integer) RETURNS integer LANGUAGE C AS '$dir/build/key_vault.so';
    CREATE FUNCTION fail_openssl_at(integer) RETURNS integer LANGUAGE C AS '$dir/build/key_vault.so';
    SELECT key_vault.kek_create('net'), key_vault.kek_create('b\xc3\xbcro');
});
my $key = '000102030405060708090a0b0c0d0e0f';
my %wrapped = map { $_ => $node->safe_psql('postgres', "SELECT key_vault.wrap('\\x$key', '$_')") } ('net', "b\xc3\xbcro");
my $decrypt = uplink($wrapped{net});
my $unwrap  = "SELECT key_vault.unwrap('" . $wrapped{"b\xc3\xbcro"} . "')";

# This script loads root keys, opens KEKs, wraps, unwraps, makes a KEK, and seals all KEKs under another root
# key.
my @script = (
    $decrypt, $unwrap,
    q{SELECT key_vault.unwrap(key_vault.wrap('\x} . $key . q{', 'net'))},
    q{SELECT count(*) FROM key_vault.root_keys()},
    q{SELECT key_vault.unwrap(key_vault.generate_key('net', 20)) IS NOT NULL},
    q{BEGIN; SELECT key_vault.kek_create('other'); ROLLBACK},
    q{SET session_replication_role = replica; BEGIN; UPDATE key_vault.kek SET root_key_id = '\x0000000000'; }
      . q{SELECT key_vault.unwrap(key_vault.wrap('\x} . $key . q{', 'net')); ROLLBACK; RESET session_replication_role},
    $decrypt, $unwrap);
my @right = ('net payload', "\\x$key", "\\x$key", 2, 't', 1, "\\x$key", 'net payload', "\\x$key");

# Runs the script in a session; returns its answers, with errors as their SQLSTATE.
sub run_script
{
    my ($function, $n) = @_;
    my $sql = "\\set VERBOSITY sqlstate\nSET client_min_messages = error;\n\\echo begin\nSELECT $function($n);\n";
    $sql .= "\\echo statement\n$_;\n" foreach @script;
    $sql .= "ROLLBACK;\n\\echo statement\nSELECT $function(0);\n";
    $sql .= "\\echo statement\n$_;\n" foreach @script;
    $sql .= "ROLLBACK;\n";
    my ($output, $rc) = ('', 0);
    IPC::Run::run([ 'psql', '-XqAt', '-d', $node->connstr('postgres') ], '<', \$sql, '>&', \$output);
    my ($head, @parts) = split /^statement\n/m, $output;
    s/\s+\z// foreach @parts;
    my @first = splice @parts, 0, scalar @script;
    my $calls = shift @parts;
    return (\@first, $calls, \@parts);
}

foreach my $function (qw(fail_at fail_openssl_at))
{
    my ($failures, $wrong, $n) = (0, 0, 0);
    for ($n = 1; $n < 5000; $n++)
    {
        my ($first, $calls, $second) = run_script($function, $n);
        my @unexpected;
        foreach my $i (0 .. $#script)
        {
            my $answer = $first->[$i] // 'no answer';
            if ($answer =~ /53200/) { $failures++ }
            elsif ($answer ne $right[$i]) { push @unexpected, "statement $i: $answer" }
            push @unexpected, "statement $i, afterwards: " . ($second->[$i] // 'no answer') if ($second->[$i] // '') ne $right[$i];
        }
        if (@unexpected && $wrong++ < 5)
        {
            fail("$function($n)");
            diag join "\n", @unexpected;
        }
        last if defined $calls && $calls =~ /^\d+$/ && $calls < $n;
    }
    is($wrong, 0, "$function: each failure is out_of_memory, and all is right afterwards");
    cmp_ok($failures, '>', 10, "$function: there were failures");
    note "$function: $n runs, $failures failures";
}

done_testing();
