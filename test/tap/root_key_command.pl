# Commands that give root keys and PINs: each is run once, is ended when its time is over and by whatever ends
# the statement, together with all of its process group, and is never run by the postmaster.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $dir = $ENV{TESTDIR};
my $key = '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f';

# The URI of a command that runs a script.  The script counts its runs and writes down its process id.
sub command
{
    my ($name, $text) = @_;
    my $path = "$dir/$name.sh";

    open my $file, '>', $path or die "$path: $!";
    print $file "echo run >> $dir/$name.runs\necho \$\$ > $dir/$name.pid\n$text\n";
    close $file or die "$path: $!";
    return "command:exec sh $path";
}
sub runs { my ($name) = @_; return -e "$dir/$name.runs" ? scalar(() = slurp_file("$dir/$name.runs") =~ /run/g) : 0 }

# The state of the process whose id a command has written down.  A zombie is a process that a backend did not reap;
# an orphan that the system's init does not reap counts as gone.
sub state_of
{
    my ($name) = @_;

    return 'not begun' if !-s "$dir/$name.pid";
    chomp(my $pid = slurp_file("$dir/$name.pid"));
    open my $stat, '<', "/proc/$pid/stat" or return 'gone';
    my $line = <$stat> // return 'gone';
    my ($state, $parent) = $line =~ /\) (\w) (\d+)/ or return 'gone';
    return 'alive' if $state ne 'Z';
    return `ps -o comm= -p $parent` =~ /postgres/ ? 'a zombie' : 'gone';
}
sub comes_to
{
    my ($wanted, @names) = @_;
    for (1 .. 300)
    {
        return 1 if !grep { state_of($_) ne $wanted } @names;
        sleep 0.1;
    }
    return 0;
}

# Processes that a command leaves behind, on purpose or because a test fails, end with the test.
END
{
    my $status = $?;
    foreach my $file (glob "$dir/*.pid")
    {
        my ($pid) = slurp_file($file) =~ /^(\d+)/ or next;
        kill 'KILL', $pid if -e "/proc/$pid/cmdline" && slurp_file("/proc/$pid/cmdline") =~ /^sleep\0/;
    }
    $? = $status;
}

my $node = new_node('command');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'key_vault'\nkey_vault.command_timeout = 60\nrestart_after_crash = on\nkey_vault.root_key = '" . command('first', "echo $key") . "'\n");
$node->start;
is(runs('first'), 0, 'no command is run when the server starts');

sub set_list
{
    my (@uris) = @_;
    my $list = join ', ', @uris;
    $node->adjust_conf('postgresql.conf', 'key_vault.root_key', "'$list'");
    $node->reload;
    $node->poll_query_until('postgres', 'SELECT current_setting($$key_vault.root_key$$) = $$' . $list . '$$') or die 'no reload';
}
sub set_timeout
{
    my ($seconds) = @_;
    $node->adjust_conf('postgresql.conf', 'key_vault.command_timeout', $seconds);
    $node->reload;
    $node->poll_query_until('postgres', "SELECT setting = '$seconds' FROM pg_settings WHERE name = 'key_vault.command_timeout'") or die 'no reload';
}

$node->safe_psql('postgres', 'CREATE EXTENSION key_vault');
$node->safe_psql('postgres', q{SELECT key_vault.kek_create('net')});
is(runs('first'), 1, 'a command is run once by a session that seals');
my $wrapped = $node->safe_psql('postgres', q{SELECT key_vault.wrap('\x000102030405060708090a0b0c0d0e0f', 'net')});
is(runs('first'), 2, 'and by one that opens');
my $decrypt = uplink($wrapped);
my $with_code = "\\set VERBOSITY verbose\n";

# The error with which a session fails, or the rows that it returns
sub failure
{
    my ($sql) = @_;
    $node->psql('postgres', "$with_code$sql", stdout => \my $rows, stderr => \my $error, on_error_die => 0);
    return $error =~ /((?:ERROR|FATAL):  .*)/ ? $1 : $rows;
}

# Whatever is wrong with a command, it is run once, and none of its processes is left.
my @faulty = (
    [ 'fails',  'exit 3', 'ERROR:  KV102: root key command failed' ],
    [ 'killed', 'kill -9 $$', 'ERROR:  KV102: root key command failed' ],
    [ 'silent', 'true', 'ERROR:  KV105: the output of the root key command does not hold a root key' ],
    [ 'another', "echo $key | tr 0 1", 'ERROR:  KV106: KEK label "net" version 1 is sealed under another root key' ],
    [ 'endless', 'yes & wait', 'ERROR:  KV105: root key command wrote too much' ],
    [ 'longer', "echo $key$key$key$key", 'ERROR:  KV105: root key command wrote too much' ]);
foreach (@faulty)
{
    my ($name, $text, $error) = @$_;
    set_list(command($name, $text));
    is(failure($decrypt), $error, "a command that is $name: an error of its own");
    is(runs($name), 1, 'it was run once');
    ok(comes_to('gone', $name), 'and is gone');
}

# Several commands in the list: each is run once, and then the one whose root key fits is used.
set_list(map { command(@$_) } ([ 'list_a', "echo $key | tr 0 2" ], [ 'list_b', 'exit 1' ], [ 'list_c', "echo $key" ]));
is(failure("$decrypt; $decrypt"), "net payload\nnet payload", 'a list of commands');
is(join(' ', map { runs($_) } qw(list_a list_b list_c)), '1 1 1', 'each was run once');

# A command may close its output and go on, and it may leave a process behind.
set_list(command('closes', "echo $key; exec >&-; sleep 0.3"));
is(failure($decrypt), 'net payload', 'a command that closes its output and goes on is waited for');
ok(comes_to('gone', 'closes'), 'to its end');
set_list(command('closes_and_fails', "echo $key; exec >&-; sleep 0.3; exit 1"));
is(failure($decrypt), 'ERROR:  KV102: root key command failed', 'whatever it is');
set_list(command('leaves', "sleep 1000 & echo \$! > $dir/left.pid; echo $key"));
is(failure($decrypt), 'net payload', 'a command that leaves a process behind with its output open is not waited for');
ok(comes_to('gone', 'left'), 'and the process is ended');
set_list(command('detaches', "setsid sh -c 'echo \$\$ > $dir/detached.pid; exec sleep 1000' & until [ -s $dir/detached.pid ]; do :; done; echo $key"));
is(failure($decrypt), 'net payload', 'nor is it for one that is in another process group');
is(state_of('detached'), 'alive', 'which goes on') and kill 'KILL', slurp_file("$dir/detached.pid") =~ /(\d+)/;

# The files, the process group and the signals that a command starts with
set_list(command('looks', "cat; ls -l /proc/\$\$/fd | grep -c '[0-9] -> ' > $dir/looks.fds; ps -o pgid= -p \$\$ > $dir/looks.pgid; grep SigIgn /proc/\$\$/status > $dir/looks.ignored; echo $key"));
is(failure($decrypt), 'net payload', 'a command that looks about');
is(slurp_file("$dir/looks.pgid") + 0, slurp_file("$dir/looks.pid") + 0, 'it is in a process group of its own');
cmp_ok(slurp_file("$dir/looks.fds"), '<=', 5, 'it has no files of the server open');
like(slurp_file("$dir/looks.ignored"), qr/SigIgn:\s*0+$/, 'it ignores no signals');

# The time limit ends a command, and none is run a second time.  "sleep" is a child of the command; one of them
# is in another process group, and the statement does not wait for that one.  Limits are so long that the command has
# begun when they end, also on a busy machine.
my $sleeps   = "sleep 1000 & echo \$! > $dir/%s_child.pid; wait";
my $detached = "setsid sh -c 'echo \$\$ > $dir/%s_far.pid; exec sleep 1000'; true";
sub sleeping { my ($name) = @_; return command($name, sprintf $sleeps, $name) }
set_timeout(3);
set_list(sleeping('slow'));
is(failure($decrypt), 'ERROR:  KV102: root key command took longer than 3 s', 'the limit of time');
is(runs('slow'), 1, 'run once');
ok(comes_to('gone', 'slow', 'slow_child'), 'with all its processes');
set_list(command('slow_detached', sprintf $detached, 'slow_detached'));
is(failure($decrypt), 'ERROR:  KV102: root key command took longer than 3 s', 'also of one that has left its process group');

# A very short limit is not rounded to 0, which would mean no limit.
set_timeout(0.4);
set_list(sleeping('shortly'));
is(failure($decrypt), 'ERROR:  KV102: root key command took longer than 0.4 s', 'a limit of less than a second');

# The limit is long from here on: the commands below end in other ways.
set_timeout(30);

# statement_timeout stays error 57014 and ends the statement, also in functions that return NULL instead of
# other errors.
my $try = "SELECT key_vault.lorawan_try_decrypt_uplink('$wrapped', '\\x26011bda', 1, '\\xbc')";
foreach ([ 'a statement', $decrypt ], [ 'a function that does without', $try ])
{
    my ($what, $sql) = @$_;
    (my $name = $what) =~ s/ /_/g;
    set_list(sleeping($name));
    is(failure("SET statement_timeout = '3s'; $sql"), 'ERROR:  57014: canceling statement due to statement timeout', "$what: a timeout");
    is(runs($name), 1, "$what: run once");
    ok(comes_to('gone', $name, "${name}_child"), "$what: nothing is left");
}
set_list(command('detached_too', sprintf $detached, 'detached_too'));
is(failure("SET statement_timeout = '3s'; $decrypt"), 'ERROR:  57014: canceling statement due to statement timeout', 'another process group: a timeout');

# The statement is cancelled.  The session goes on, and no zombie is left.
set_list(sleeping('cancelled'));
my $session = $node->background_psql('postgres', on_error_stop => 0);
my $backend = $session->query("$with_code SELECT pg_backend_pid()");
$session->query_until(qr/begun/, "\\echo begun\n$decrypt;\n\\echo ended\n");
ok(comes_to('alive', 'cancelled_child'), 'a command that is waited for');
$node->safe_psql('postgres', "SELECT pg_cancel_backend($backend)");
$session->query_until(qr/ended/, "\n");
like($session->{stderr}, qr/ERROR:  57014: canceling statement due to user request/, 'is cancelled');
$session->{stderr} = '';
ok(comes_to('gone', 'cancelled', 'cancelled_child'), 'and gone');
is(`ps -o stat= --ppid $backend`, '', 'the session has no children');
set_list(command('mended', "echo $key"));
is(look($session, $decrypt), 'net payload', 'mended, in the same session');
$session->quit;

# The session is terminated, or crashes, or the server stops in each of its ways.
foreach my $how (qw(terminate kill fast immediate))
{
    my $name = "ended_by_$how";
    set_list(sleeping($name));
    my $doomed = $node->background_psql('postgres', on_error_stop => 0);
    my $doomed_pid = $doomed->query('SELECT pg_backend_pid()');
    $doomed->query_until(qr/begun/, "\\echo begun\n$decrypt;\n");
    ok(comes_to('alive', "${name}_child"), "$how: a command that is waited for");
    if ($how eq 'terminate')
    {
        $node->safe_psql('postgres', "SELECT pg_terminate_backend($doomed_pid, 60000)");
        is($node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE pid = $doomed_pid"), 0, "$how: the session is gone");
    }
    elsif ($how eq 'kill')
    {
        crash_backend($node, $doomed_pid);
        pass("$how: the server is up again");
    }
    else
    {
        ok($node->stop($how), "$how: the server stops");
    }

    # A backend that is killed cannot clean up: the shell of the command still ends with it, but the processes
    # that the shell has started do not.
    ok(comes_to('gone', $how =~ /terminate|fast/ ? ($name, "${name}_child") : ($name)), "$how: the command is gone");
    kill 'KILL', slurp_file("$dir/${name}_child.pid") =~ /(\d+)/ if $how =~ /kill|immediate/;
    eval { $doomed->quit };
    $node->start if $how =~ /fast|immediate/;
}

set_list(command('last', "echo $key"));
is(failure($decrypt), 'net payload', 'and all is as it was');

done_testing();
