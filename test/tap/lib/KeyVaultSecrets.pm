# Searches the memory of a backend, and files, for keys that should not be there.

package KeyVaultSecrets;

use strict;
use warnings;

use Exporter 'import';
use Fcntl qw(O_RDONLY SEEK_SET);
use File::Find ();
use MIME::Base64 ();
use POSIX      ();

our @EXPORT = qw(random_bytes hex_literal root_key_bytes adopt_servers why_memory_is_closed
  memory_regions find_in_memory spellings file_scanner);

# Bytes to read at a time.  Pieces overlap, so that a key across the end of a piece is found.
my $PIECE   = 4 * 1024 * 1024;
my $OVERLAP = 4096;

sub random_bytes
{
    my ($n) = @_;
    open my $random, '<:raw', '/dev/urandom' or die "/dev/urandom: $!";
    read($random, my $bytes, $n) == $n or die "/dev/urandom: $!";
    return $bytes;
}

# Bytes as a bytea literal
sub hex_literal
{
    my ($bytes) = @_;
    return q{'\x} . unpack('H*', $bytes) . q{'};
}

# The root key of the test's servers
sub root_key_bytes
{
    open my $file, '<', "$ENV{TESTDIR}/root.key" or die "root.key: $!";
    chomp(my $line = <$file>);
    return pack 'H*', $line;
}

# Makes the servers that start from here on children of this process once pg_ctl has ended.  If
# kernel.yama.ptrace_scope is 1, a process may read the memory of its descendants only.
sub adopt_servers
{
    my %prctl  = (x86_64 => 157, aarch64 => 167);
    my $number = $prctl{ (POSIX::uname())[4] };

    # PR_SET_CHILD_SUBREAPER
    syscall $number, 36, 1, 0, 0, 0 if defined $number;
}

# The reason why a process's memory cannot be read, or nothing
sub why_memory_is_closed
{
    my ($pid) = @_;

    sysopen my $memory, "/proc/$pid/mem", O_RDONLY
      or return "the memory of a backend may not be read here (/proc/PID/mem: $!; ptrace scope?)";
    return 'the kernel does not show the flags of mappings (/proc/PID/smaps)'
      if !grep { $_->{flags} ne '' } memory_regions($pid);
    return;
}

# The writable mappings of a process.  Their kinds: "vault" is the memory that is kept out of core dumps, which
# only the vault's is; "heap" includes what malloc() maps by itself; "stack"; "shared"; "data" is that of the
# program and its libraries.
sub memory_regions
{
    my ($pid) = @_;
    my @regions;

    open my $smaps, '<', "/proc/$pid/smaps" or return;
    while (my $line = <$smaps>)
    {
        if ($line =~ /^([0-9a-f]+)-([0-9a-f]+) (\S{4}) \S+ \S+ (\d+)\s*(.*)$/)
        {
            push @regions,
              { start => hex $1, end => hex $2, mode => $3, inode => $4, name => $5, flags => '' };
        }
        elsif ($line =~ /^VmFlags:\s*(.*?)\s*$/)
        {
            $regions[-1]{flags} = $1;
        }
    }
    foreach my $region (@regions)
    {
        $region->{kind} =
            $region->{flags} =~ /\bdd\b/    ? 'vault'
          : $region->{mode}  =~ /s$/        ? 'shared'
          : $region->{name}  =~ /^\[stack/  ? 'stack'
          : $region->{inode} == 0           ? 'heap'
          :                                   'data';
    }
    return grep { $_->{mode} =~ /^rw/ } @regions;
}

# Where byte strings are in a process's memory: for each name a hash of kinds of memory, and for each kind a
# list of [address, region].  The argument needles maps a name to bytes, or to a list of alternatives.
sub find_in_memory
{
    my ($pid, %needles) = @_;
    my %found = map { $_ => {} } keys %needles;

    sysopen my $memory, "/proc/$pid/mem", O_RDONLY or die "/proc/$pid/mem: $!";
    foreach my $region (memory_regions($pid))
    {
        for (my $at = $region->{start}; $at < $region->{end}; $at += $PIECE)
        {
            my $wanted = $region->{end} - $at;
            $wanted = $PIECE + $OVERLAP if $wanted > $PIECE + $OVERLAP;
            sysseek $memory, $at, SEEK_SET or die "/proc/$pid/mem: $!";
            my $n = sysread($memory, my $bytes, $wanted);

            # The page is unmapped, or nothing is behind it, for example at the end of a mapped file.
            next if !$n;
            foreach my $name (keys %needles)
            {
                my $alternatives = $needles{$name};
                foreach my $needle (ref $alternatives ? @$alternatives : $alternatives)
                {
                    my $position = -1;
                    while (($position = index $bytes, $needle, $position + 1) >= 0)
                    {
                        next if $position >= $PIECE;
                        push @{ $found{$name}{ $region->{kind} } }, [ $at + $position, $region ];
                    }
                }
            }
        }
    }
    return \%found;
}

# The ways in which a key may be written: as it is, in hexadecimal digits, in base64 (also in the middle of
# something longer), in the escape form of bytea, and as PostgreSQL writes the bytes of a constant in its node
# trees, which are in catalogues, and in the log with a debug_print_ setting.
sub spellings
{
    my ($bytes) = @_;
    my %spellings = (
        raw     => [$bytes],
        hex     => [ unpack('H*', $bytes), uc unpack('H*', $bytes) ],
        decimal => [ join(' ', unpack 'c*', $bytes), join('', unpack 'c*', $bytes) ],
    );

    # The form of bytea_output = escape.  Arrays and rows double each backslash.  40 characters are enough to
    # exclude chance, and the scanner needs time and memory for each character.
    my $escape = $bytes;
    $escape =~ s/([^\x20-\x7e]|\\)/$1 eq '\\' ? '\\\\' : sprintf '\\%03o', ord $1/ge;
    foreach (0 .. 2)
    {
        push @{ $spellings{escape} }, substr $escape, 0, 40 if $escape ne $bytes;
        $escape =~ s/\\/\\\\/g;
    }

    # The base64 form of the bytes after 0, 1 or 2 other bytes, without the digits that also depend on the
    # neighbours.
    foreach my $before (0 .. 2)
    {
        my $text = MIME::Base64::encode_base64("\0" x $before . $bytes, '');
        $text =~ s/=+$//;
        my $cut  = $before == 0 ? 0 : $before + 1;
        my $bits = 8 * ($before + length $bytes);
        push @{ $spellings{base64} }, substr $text, $cut, int($bits / 6) - $cut;
    }
    return \%spellings;
}

# Makes a function that searches files and directories for keys.  It takes paths and returns a list of { name,
# form, path }, one for each key, form and file.  The argument secrets maps a name to bytes.
sub file_scanner
{
    my (%secrets) = @_;
    my %meaning;

    while (my ($name, $bytes) = each %secrets)
    {
        # Half of a long key would be bad enough, so each half is searched for.
        foreach my $part (length $bytes > 16 ? (substr($bytes, 0, 16), substr($bytes, -16)) : $bytes)
        {
            my $spellings = spellings($part);
            foreach my $form (keys %$spellings)
            {
                $meaning{$_} = [ $name, $form ] foreach @{ $spellings->{$form} };
            }
        }
    }

    # One pass over a file finds all of the keys.
    local ${^RE_TRIE_MAXBUF} = 1 << 26;
    my $any = join '|', map { quotemeta } sort keys %meaning;
    my $pattern = qr/($any)/;

    return sub {
        my %seen;
        my $files = 0;
        my $look  = sub {
            my $path = $_;
            return if !-f $path;
            open my $file, '<:raw', $path or return;
            $files++;
            my $bytes = do { local $/; <$file> } // '';

            # The server breaks lines, also within numbers.
            if ($path =~ /\.log$/)
            {
                (my $unbroken = $bytes) =~ tr/ \t\n//d;
                $bytes .= $unbroken;
            }
            while ($bytes =~ /$pattern/g)
            {
                my ($name, $form) = @{ $meaning{$1} };
                $seen{"$name $form $path"} //= { name => $name, form => $form, path => $path };
            }
        };
        File::Find::find({ wanted => $look, no_chdir => 1 }, @_);
        return ($files, map { $seen{$_} } sort keys %seen);
    };
}

1;
