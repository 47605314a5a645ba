# docs/reference.md and docs/tables.md beside the catalogue of a database that has the extension and the storage
# "lorawan".  The pages' prose and its order are written by hand; what the catalogue knows stands
# between two comments, the first of which says what belongs there:
#
#   <!-- functions: NAME NAME ... -->   signatures, with their comments
#   <!-- relations: NAME NAME ... -->   tables and views, with their columns
#   <!-- types: NAME NAME ... -->       types, with their attributes
#   <!-- settings: all -->
#   <!-- end -->

package Reference;

use strict;
use warnings;
use utf8;
use Text::Wrap ();

# Returns the text of the pages as it has to be, and what of the catalogue is in no place of it, and what is
# not in the catalogue any more.  query: a function that returns the rows of a query, each a list of columns.
sub rewritten
{
    my ($text, $query) = @_;
    my @faults;
    my %known = (
        functions => functions($query),
        relations => relations($query),
        types     => types($query),
        settings  => { all => settings($query) });
    my %named;

    $text =~ s{^(<!-- (functions|relations|types|settings): (.*?) -->\n).*?^(<!-- end -->)$}{
        my ($mark, $kind, $names, $end) = ($1, $2, $3, $4);
        my $content = '';
        foreach my $name (split ' ', $names)
        {
            push @faults, "$kind: $name is not in the database" if !$known{$kind}{$name};
            push @faults, "$kind: $name is there twice"         if $named{$kind}{$name}++;
            $content .= $known{$kind}{$name} // '';
        }
        "$mark\n$content\n$end"
    }gmse;

    # Of a storage only what users call is named.
    foreach my $kind (sort keys %known)
    {
        push @faults, map { "$kind: $_ is not named" } grep { !/\./ && !$named{$kind}{$_} } sort keys %{ $known{$kind} };
    }
    return ($text, @faults);
}

# The SQLSTATEs of a header that are not in the page's table, and those of the table that are not in the header.
sub sqlstate_faults
{
    my ($text, @sources) = @_;
    my $sources = join "\n", @sources;
    my %page   = map { $_ => 1 } $text   =~ /^\| (KV\d{3}) /mg;
    # In C headers, and in what SQL functions raise.
    my %header = map { s/[^KV0-9]//gr => 1 } $sources =~ /MAKE_SQLSTATE\(('K'.*?)\)/g, $sources =~ /ERRCODE = ('KV\d{3}')/g;

    return ((map { "SQLSTATE $_ is not in the table" } grep { !$page{$_} } sort keys %header),
        (map { "SQLSTATE $_ is in the table, but no error" } grep { !$header{$_} } sort keys %page));
}

# A name as the page has it: those of the extension without their schema.
my $name = q{CASE n.nspname WHEN 'key_vault' THEN '' ELSE n.nspname || '.' END};

# In schema key_vault what belongs to the extension; in schema lorawan all.
sub of_extension
{
    my ($class, $object) = @_;
    return qq{(n.nspname = 'key_vault' AND EXISTS (SELECT FROM pg_depend d
        WHERE d.classid = '$class'::regclass AND d.objid = $object.oid AND d.deptype = 'e') OR n.nspname = 'lorawan')};
}

sub functions
{
    my ($query) = @_;
    my %functions;
    foreach my $row ($query->(qq{
        SELECT $name || p.proname,
               CASE p.prokind WHEN 'p' THEN 'CALL ' ELSE '' END || $name || p.proname || '(' || pg_get_function_arguments(p.oid) || ')',
               pg_get_function_result(p.oid),
               CASE p.prokind WHEN 'a' THEN ' (aggregate)' WHEN 'w' THEN ' (window function)' ELSE '' END,
               obj_description(p.oid, 'pg_proc')
          FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
         WHERE @{[ of_extension('pg_proc', 'p') ]}
         ORDER BY p.proname, p.pronargs, 2}))
    {
        my ($function, $signature, $result, $kind, $comment) = @$row;
        s/key_vault\.//g, s/::[a-z ]+//g foreach $signature, $result;
        $functions{$function} .= item('`' . $signature . ($result eq '' ? '' : " → $result") . "`$kind", $comment);
    }
    return \%functions;
}

sub relations
{
    my ($query) = @_;
    my %relations;
    foreach my $row ($query->(qq{
        SELECT $name || c.relname, CASE c.relkind WHEN 'v' THEN 'view' ELSE 'table' END, obj_description(c.oid, 'pg_class'),
               (SELECT string_agg(format('| `%s` | %s | %s |', a.attname, replace(format_type(a.atttypid, a.atttypmod), 'key_vault.', ''),
                                         replace(col_description(c.oid, a.attnum), '|', '\\|')), chr(31) ORDER BY a.attnum)
                  FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
          FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'v', 'p') AND NOT c.relispartition AND @{[ of_extension('pg_class', 'c') ]}}))
    {
        my ($relation, $kind, $comment, $columns) = @$row;
        $relations{$relation} = item("$kind `$relation`", $comment) . "\n  | column | type | |\n  |---|---|---|\n"
          . join('', map { "  $_\n" } split /\x1f/, $columns) . "\n";
    }
    return \%relations;
}

sub types
{
    my ($query) = @_;
    my %types;
    foreach my $row ($query->(qq{
        SELECT t.typname, obj_description(t.oid, 'pg_type'),
               (SELECT string_agg(format('%s %s', a.attname, replace(format_type(a.atttypid, a.atttypmod), 'key_vault.', '')), ', ' ORDER BY a.attnum)
                  FROM pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped)
          FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace LEFT JOIN pg_class c ON c.oid = t.typrelid
         WHERE n.nspname = 'key_vault' AND (t.typtype = 'b' AND t.typelem = 0 OR t.typtype = 'd' OR c.relkind = 'c')}))
    {
        my ($type, $comment, $attributes) = @$row;
        $types{$type} = item("`$type" . ($attributes eq '' ? '' : " ($attributes)") . '`', $comment);
    }
    return \%types;
}

sub settings
{
    my ($query) = @_;
    my $content = "| setting | default | unit | can be set by | |\n|---|---|---|---|---|\n";
    foreach my $row ($query->(q{
        SELECT name, boot_val, unit, CASE context WHEN 'sighup' THEN 'configuration file, reload' WHEN 'superuser' THEN 'superusers, in a session too' ELSE context END,
               short_desc, extra_desc
          FROM pg_settings WHERE name LIKE 'key\_vault.%' ORDER BY name}))
    {
        my ($setting, $default, $unit, $context, $short, $extra) = @$row;
        $content .= sprintf "| `%s` | %s | %s | %s | %s |\n", $setting, $default eq '' ? 'empty' : $default, $unit, $context, join ' ', grep { $_ ne '' } $short, $extra;
    }
    return $content;
}

# An item of a list, from a comment that is no sentence.
sub item
{
    my ($head, $comment) = @_;
    $comment = ucfirst $comment if $comment !~ /^(?:aes-|[a-z]+_)/;
    $comment .= '.' if $comment ne '' && $comment !~ /\.$/;
    $comment =~ s/([<*])/\\$1/g;
    local $Text::Wrap::columns = 121;
    local $Text::Wrap::huge    = 'overflow';
    return "- $head  \n" . ($comment eq '' ? '' : Text::Wrap::wrap('  ', '  ', $comment) . "\n");
}

1;
