# A program that takes commands one after another and keeps its state between them, as psql does in
# a terminal.

package Session;

use strict;
use warnings;
use IPC::Open2 ();

# Starts a program that prints a line when it is told to; echo: what tells it, with %s for the line.
sub new
{
    my ($class, $echo, @program) = @_;
    my $self = bless { echo => $echo, count => 0, unread => '' }, $class;
    $self->{pid} = IPC::Open2::open2($self->{out}, $self->{in}, @program);
    binmode $self->{in},  ':encoding(UTF-8)';
    $self->{in}->autoflush(1);
    return $self;
}

# Gives it commands; returns what it printed, and whether it came to their end within a time (in seconds).
sub run
{
    my ($self, $commands, $timeout) = @_;
    my $mark = 'end of block ' . ++$self->{count};
    local $SIG{PIPE} = 'IGNORE';
    print { $self->{in} } $commands, sprintf($self->{echo}, $mark), "\n";
    return $self->read_until(qr/^\Q$mark\E\n/m, $timeout);
}

# What it prints until a pattern comes, without the pattern; and whether it came.
sub read_until
{
    my ($self, $pattern, $timeout) = @_;
    my $end = time + $timeout;
    while ($self->{unread} !~ $pattern)
    {
        my $ready = '';
        vec($ready, fileno $self->{out}, 1) = 1;
        my $left = $end - time;
        if ($left <= 0 || !select($ready, undef, undef, $left) || !sysread $self->{out}, $self->{unread}, 65536, length $self->{unread})
        {
            my $printed = $self->{unread};
            $self->{unread} = '';
            return ($printed, 0);
        }
    }
    $self->{unread} =~ $pattern;
    my $printed = substr $self->{unread}, 0, $-[0];
    substr($self->{unread}, 0, $+[0]) = '';
    utf8::decode($printed);
    return ($printed, 1);
}

1;
