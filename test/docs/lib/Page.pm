# A page of documentation, taken apart into what can be run: its fenced blocks, in their order, each
# with what the page's HTML comments say about it.
#
# A block in the language sh or sql is a command; a block "text" right after it is its output.  Every
# other fenced block needs a comment that says why it is not run.  These comments are known:
#
#   <!-- test: SETTING; SETTING ... -->   for the next block, or, before the page's first heading, for all:
#        sh as USER, sql as USER          who runs shell blocks and SQL blocks
#        in DATABASE                      the database of an SQL block (of other servers it is postgres)
#        on SERVER SERVER ...             the servers of an SQL block, where the page has more than one
#        needs PACKAGE                    a package that not every release of Debian has; the block is skipped where it is missing
#        new session                      a psql of its own, where others go on with the one before
#        $1 = VALUE                       what stands in for a parameter that a driver would pass
#        in the background                a shell block that goes on until the page ends
#   <!-- varies: PATTERN -->              what differs from run to run in the next output
#   <!-- not run: REASON -->              the next block cannot be run
#   <!-- setup sh|sql [as USER]: REASON   a block that readers do not need, since their system has what it makes
#   COMMANDS -->

package Page;

use strict;
use warnings;

# Returns the page's settings and its blocks.
sub read_page
{
    my ($path) = @_;
    open my $file, '<:encoding(UTF-8)', $path or die "$path: $!\n";
    my $text = do { local $/; <$file> };

    my (%page, @blocks, %next);
    my $seen_heading;
    while ($text =~ /^(?:(\#)|```(\w*)\n(.*?)^```$|<!--\s*(test|varies|not\ run|setup\ (?:sh|sql)(?:\ as\ \w+)?):\s*(.*?)\s*-->)/msgx)
    {
        my ($heading, $language, $block, $comment, $value) = ($1, $2, $3, $4, $5);
        my $line = 1 + (substr($text, 0, $-[0]) =~ tr/\n//);
        if (defined $heading)
        {
            $seen_heading = 1;
        }
        elsif (defined $comment)
        {
            if ($comment eq 'test')
            {
                my %settings = settings($value, "$path:$line");
                if ($seen_heading) { %next = (%next, %settings) }
                else               { %page = (%page, %settings) }
            }
            elsif ($comment eq 'varies')  { push @{ $next{varies} }, $value }
            elsif ($comment eq 'not run') { $next{not_run} = $value }
            else
            {
                my ($reason, $commands) = split /\n/, $value, 2;
                my ($kind, $user) = $comment =~ /^setup (sh|sql)(?: as (\w+))?/;
                push @blocks, { %page, %next, kind => $kind, text => "$commands\n", line => $line, setup => 1, $user ? ("${kind}_as" => $user) : () };
                %next = ();
            }
        }
        else
        {
            if ($language eq 'text' && !$next{not_run} && @blocks && !defined $blocks[-1]{output} && !$blocks[-1]{setup})
            {
                $blocks[-1]{output} = $block;
                $blocks[-1]{varies} = $next{varies} || [];
            }
            else
            {
                push @blocks, { %page, %next, kind => $language, text => $block, line => $line };
            }
            %next = ();
        }
    }
    return (\%page, @blocks);
}

# Without what differs from run to run: random keys and ids, times and rates; and without what one
# does not see, spaces at the end of lines.
sub masked
{
    my ($text, @varies) = @_;
    $text =~ s/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/UUID/g;
    $text =~ s/\bkv1:([a-z-]+):UUID:[0-9a-f]+/kv1:$1:UUID:KEY/g;
    $text =~ s{\b[0-9]+ keys/s, [0-9:]+ left}{N keys/s, T left}g;
    $text =~ s/rewrapped in [0-9.]+ s/rewrapped in N s/g;
    $text =~ s/$_/.../g foreach @varies;
    $text =~ s/[ \t]+$//mg;
    $text =~ s/\n{2,}/\n\n/g;
    $text =~ s/\A\n+|\n+\z//g;
    return $text;
}

# The links to files of this project, [line, path, anchor]; and the anchors that the page's headings make.
sub links
{
    my ($path) = @_;
    open my $file, '<:encoding(UTF-8)', $path or die "$path: $!\n";
    my (@links, %anchors, $in_block);
    while (my $line = <$file>)
    {
        $in_block = !$in_block if $line =~ /^```/;
        next if $in_block;
        if (my ($heading) = $line =~ /^#+ (.*\S)/)
        {
            $heading =~ s/[^\w\s-]//g;
            $anchors{ lc $heading =~ s/ /-/gr } = 1;
        }
        while ($line =~ /\]\(([^)#\s]*)(?:#([^)\s]*))?\)|(?:src|srcset)="([^"]*)"/g)
        {
            my ($target, $anchor) = ($1 // $3, $2);
            push @links, [ $., $target, $anchor ] if $target !~ /^[a-z]+:/;
        }
    }
    return (\@links, \%anchors);
}

sub settings
{
    my ($text, $place) = @_;
    my %settings;
    foreach my $setting (split /\s*;\s*/, $text)
    {
        if    ($setting =~ /^(sh|sql) as (\w+)$/)                  { $settings{"$1_as"} = $2 }
        elsif ($setting =~ /^needs (\S+)$/)                        { $settings{needs} = $1 }
        elsif ($setting eq 'new session')                          { $settings{new_session} = 1 }
        elsif ($setting =~ /^in (\w+)$/)                           { $settings{database} = $1 }
        elsif ($setting =~ /^on (\w+(?: \w+)*)$/)                  { $settings{servers} = [ split / /, $1 ] }
        elsif ($setting =~ /^\$(\d+) = (.*)$/s)                    { $settings{parameters}{$1} = $2 }
        elsif ($setting eq 'in the background')                    { $settings{background} = 1 }
        else { die "$place: the setting \"$setting\" is none that test/docs knows\n" }
    }
    return %settings;
}

1;
