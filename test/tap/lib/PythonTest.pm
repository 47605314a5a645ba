# Tests written in Python, which a Perl test starts together with the server that it made.  Each prints TAP
# lines, which are counted here.

package PythonTest;

use strict;
use warnings;

use Exporter 'import';
use Test::More;

our @EXPORT = qw(why_python_cannot run_python relay);

# Debian's Python, since Debian's modules are for that one.
my $python = '/usr/bin/python3';

my $pid;

sub why_python_cannot
{
    return if system("$python -c 'import psycopg2, cryptography' 2>/dev/null") == 0;
    return 'needs the packages python3-psycopg2 and python3-cryptography';
}

# The output of a program
sub run_python
{
    my (@command) = @_;
    open my $output, '-|', $python, '-B', @command or die "$python: $!\n";
    local $/;
    my $text = <$output>;
    close $output or die "@command failed\n";
    return $text;
}

# Runs a program, and takes its lines as tests and notes of this test.  It must end with status 0.
sub relay
{
    my ($name, @command) = @_;
    my $n = 0;

    $pid = open my $lines, '-|', $python, '-B', @command or die "$python: $!\n";
    while (my $line = <$lines>)
    {
        chomp $line;
        if ($line =~ /^(not )?ok - (.*?)(?: # TODO (.*))?$/)
        {
            my ($failed, $what, $todo) = ($1, $2, $3);
            $n++;
            my $builder = Test::More->builder;
            $builder->todo_start($todo) if defined $todo;
            $builder->ok(!defined $failed, $what);
            $builder->todo_end if defined $todo;
        }
        else
        {
            $line =~ s/^# ?//;
            note($line);
        }
    }
    close $lines;
    undef $pid;
    is($?, 0, "$name: it came to its end");
    cmp_ok($n, '>', 0, "$name: it told something");
}

# The program is ended, since it cannot go on without its server.
END
{
    my $status = $?;
    if (defined $pid)
    {
        kill 'KILL', $pid;
        waitpid $pid, 0;
    }
    $? = $status;
}

1;
