# Throwaway systems.  Each is this machine's files with a layer of its own over them, which takes all
# that is written; so the commands of a page run with the paths, users and services that the page
# names, and nothing of the machine changes.  Layers can be put on one another: what one page leaves
# is what the next page begins with.
#
# Nothing here works without the mount, process and network namespaces that test/docs/run makes first.
# They also see to it that no process and no mount outlives the test.

package System;

use strict;
use warnings;
use Socket qw(AF_INET SOCK_DGRAM);

my $layers;
my $version;

# Seconds that a block of commands may take. README's first one builds the extension, beside other suites.
my $LONGEST_BLOCK = 900;

# Makes room for layers, in memory.  pg_version: the PostgreSQL major version of the systems' server.
sub init
{
    my ($dir, $pg_version) = @_;
    ($layers, $version) = ($dir, $pg_version);
    command('mount', '--make-rprivate', '/');
    command('mount', '-t', 'tmpfs', 'docs', $layers);

    # The interface of this namespace's own addresses is down at first: SIOCSIFFLAGS, IFF_UP.
    socket(my $socket, AF_INET, SOCK_DGRAM, 0) or die "socket: $!\n";
    my $request = pack 'a16 s x14', 'lo', 1;
    ioctl($socket, 0x8914, $request) or die "cannot bring up lo: $!\n";
}

# A new system on top of another one's layers, or of the machine's own files.
sub new
{
    my ($class, $name, $below) = @_;
    my $dir  = "$layers/$name";
    my $self = bless { root => "$dir/root", layers => [ "$dir/files", $below ? @{ $below->{layers} } : '/' ] }, $class;

    mkdir $_ or die "$_: $!\n" foreach $dir, "$dir/files", "$dir/work", "$dir/root";
    command('mount', '-t', 'overlay', 'docs', '-o',
        'lowerdir=' . join(':', @{ $self->{layers} }[ 1 .. $#{ $self->{layers} } ]) . ",upperdir=$dir/files,workdir=$dir/work", $self->{root});
    command('mount', '-t', 'proc', 'proc', "$self->{root}/proc");
    command('mount', '--rbind', '/dev', "$self->{root}/dev");
    command('mount', '-t', 'tmpfs', '-o', 'mode=1777', 'shm', "$self->{root}/dev/shm");
    command('mount', '-t', 'tmpfs', '-o', 'mode=1777', 'tmp', "$self->{root}/tmp");
    command('mount', '-t', 'tmpfs', '-o', 'mode=755', 'run', "$self->{root}/run");
    $self->as('root', 'install -d -o postgres -g postgres -m 2775 /run/postgresql; mkdir -p /run/lock');
    return $self;
}

# Runs a script as a user in a login shell's environment; returns its exit status and all that it printed.
# It may take some minutes, since a page may build the extension.
sub as
{
    my ($self, $user, $script) = @_;
    open my $out, '-|', 'timeout', '--kill-after=5', $LONGEST_BLOCK, $self->shell($user, 'bash', '-euo', 'pipefail', '-c', "exec 2>&1 </dev/null\n$script")
      or die "cannot fork: $!\n";
    binmode $out, ':encoding(UTF-8)';
    my $output = do { local $/; <$out> } // '';
    close $out;
    return ($?, $output);
}

# The command line that runs a program as a user in the system.
sub shell
{
    my ($self, $user, @program) = @_;
    open my $users, '<', "$self->{root}/etc/passwd" or die "$self->{root}/etc/passwd: $!\n";
    my ($home) = map { (split /:/)[5] } grep { /^\Q$user\E:/ } <$users>;
    die "there is no user $user\n" if !defined $home;
    return ('chroot', $self->{root}, '/usr/sbin/runuser', '-u', $user, '--', 'env', '-i', "--chdir=$home", "HOME=$home", "USER=$user",
        "LOGNAME=$user", 'LANG=C.UTF-8', 'TERM=dumb', 'SHELL=/bin/bash', 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', @program);
}

# The machine as Debian leaves it when its packages were just installed: no keys, no tokens, and one
# new cluster "main"; a user "you" who may use sudo; and the project's files in that user's home.
sub make_pristine
{
    my ($self, $project) = @_;
    $self->must('root', <<"END");
rm -rf /etc/key_vault /etc/postgresql /var/lib/postgresql/* /var/lib/softhsm/tokens/* /var/backups/* /etc/sudoers.d/you
install -d -o postgres -g postgres /etc/postgresql
rm -f /usr/lib/postgresql/$version/lib/key_vault.so /usr/share/postgresql/$version/extension/key_vault*
gpasswd --delete postgres softhsm >/dev/null 2>&1 || true
ln -sf /usr/share/zoneinfo/Etc/UTC /etc/localtime
echo Etc/UTC >/etc/timezone
useradd -m -s /bin/bash you
echo 'you ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/you
ln -s '$project->{packages}' /usr/local/bin/apt-get
mkdir /home/you/key_vault
END
    command('sh', '-c', 'tar -C "$0" --exclude=./.git --exclude="*.o" --exclude="*.bc" --exclude="*.so" --exclude="./key_vault--*.sql" -c . | tar -C "$1" -x --no-same-owner',
        $project->{tree}, "$self->{root}/home/you/key_vault");
    # Services that test/run has only unpacked, at the places where Debian installs them.
    foreach my $dir (grep { -d "$ENV{KEY_VAULT_UNPACKED}/$_" } $ENV{KEY_VAULT_UNPACKED} ? qw(lib usr/lib usr/sbin) : ())
    {
        command('cp', '--archive', '--no-clobber', "$ENV{KEY_VAULT_UNPACKED}/$dir/.", "$self->{root}/$dir/");
    }
    command('cp', $project->{packages}, "$self->{root}/usr/local/bin/apt-get.docs");
    $self->must('root', <<"END");
mv -f /usr/local/bin/apt-get.docs /usr/local/bin/apt-get
chown -R you: /home/you/key_vault
pg_createcluster $version main
service postgresql start
END
}

sub must
{
    my ($self, $user, $script) = @_;
    my ($status, $output) = $self->as($user, $script);
    die "cannot prepare the system:\n$script\n$output" if $status != 0;
    return $output;
}

# Ends what runs in the system, and unmounts it; its layer stays, for others to stand on.
sub stop
{
    my ($self) = @_;
    $self->as('root', 'pg_lsclusters -h | while read -r version name rest; do pg_ctlcluster --force "$version" "$name" stop; done');
    foreach my $process (glob '/proc/[0-9]*')
    {
        my $root = readlink "$process/root" or next;
        kill 'KILL', substr($process, 6) if index($root, $self->{root}) == 0;
    }
    command('umount', '--recursive', '--lazy', $self->{root});
}

sub command
{
    system(@_) == 0 or die "@_: failed\n";
}

1;
