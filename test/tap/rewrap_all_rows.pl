# What rewrap_all() says of rows that it cannot rewrap, and what ends it.  A cancellation and a timeout end it,
# whatever code of a table's owner does about them; an error that such code raises does not.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use Test::More;

my $node = new_node('main');
$node->init;
$node->configure_vault;
$node->start;

$node->safe_psql('postgres', q{
    CREATE EXTENSION key_vault;
    SELECT key_vault.kek_create('app');
    CREATE ROLE other;
    CREATE FUNCTION act() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        CASE TG_ARGV[0]
            WHEN 'loop' THEN LOOP END LOOP;
            WHEN 'sleep' THEN PERFORM pg_sleep(600);
            WHEN 'lock' THEN PERFORM pg_advisory_xact_lock(42);
            WHEN 'name' THEN PERFORM 1 FROM somewhere;
            WHEN 'null' THEN RETURN NULL;
            ELSE RAISE EXCEPTION 'as if' USING ERRCODE = TG_ARGV[0];
        END CASE;
        RETURN NEW;
    EXCEPTION WHEN query_canceled THEN
        CASE TG_ARGV[1]
            WHEN 'goes on' THEN RETURN NEW;
            WHEN 'calls it something else' THEN RAISE EXCEPTION 'something else';
            ELSE RAISE;
        END CASE;
    END
    $$;
});

# Two tables to be rewrapped: the first in order has a trigger that acts at its first row.
sub prepare
{
    my ($arguments) = @_;

    $node->safe_psql('postgres', qq{
        DROP TABLE IF EXISTS first, second;
        CREATE TABLE first AS SELECT n AS id, key_vault.generate_key('app') AS key FROM generate_series(1, 3) n;
        CREATE TABLE second AS TABLE first;
        CREATE TRIGGER act BEFORE UPDATE ON first FOR EACH ROW WHEN (NEW.id = 1) EXECUTE FUNCTION act($arguments);
        SELECT key_vault.kek_rotate('app');
    });
}

my $behind = q{SELECT string_agg(relation || ' ' || keys, ', ' ORDER BY relation::text) FROM key_vault.kek_usage('app')
    WHERE kek_version < (SELECT max(version) FROM key_vault.keks)};

sub rewrap
{
    my ($settings) = @_;
    my ($code, $out, $err) = $node->psql('postgres', ($settings // '') . q{CALL key_vault.rewrap_all('app')}, timeout => 30);

    $err =~ s/psql:<stdin>:\d+: //g;
    return $err;
}

# Errors that the trigger raises itself
prepare(q{'53100', ''});
my $said = rewrap();
like($said, qr/WARNING:  table public\.first could not be rewrapped\nDETAIL:  as if\n/, 'disk_full: the table is left');
like($said, qr/WARNING:  1 table still has keys .*\nHINT:  Do what the warnings about 1 table say, then call it again\./, 'and what to do about it is said');
is($node->safe_psql('postgres', $behind), 'first 3', 'the other one is rewrapped');
prepare(q{'57014', ''});
$said = rewrap();
like($said, qr/WARNING:  row \(0,1\) of table public\.first was not rewrapped\nDETAIL:  as if\n/, 'query_canceled: the rows are told');
is($node->safe_psql('postgres', $behind), 'first 1', 'and all others are rewrapped');

# An index predicate raises the error of a lock that cannot be had when rows are read.
prepare(q{'null', ''});
$node->safe_psql('postgres', q{
    CREATE FUNCTION as_if() RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
    BEGIN
        IF current_setting('test.as_if', true) = 'on' THEN RAISE 'as if' USING ERRCODE = 'lock_not_available'; END IF;
        RETURN true;
    END
    $$;
    CREATE INDEX ON first ((1)) WHERE as_if();
});
$said = rewrap(q{SET test.as_if = on; });
like($said, qr/WARNING:  table public\.first could not be rewrapped\nDETAIL:  as if\n/, 'lock_not_available: nobody has locked the table');
unlike($said, qr/is locked by others/, 'and nothing else is said');
is($node->safe_psql('postgres', $behind), 'first 3', 'the other one is rewrapped');
prepare(q{'name', ''});
like(rewrap(), qr/DETAIL:  relation "somewhere" does not exist\nHINT:  Triggers and other code of the table run with search_path pg_catalog, pg_temp here/,
    'names that are not qualified');

# statement_timeout, and triggers that do different things about it
foreach my $act (qw(loop sleep))
{
    foreach my $then ('', 'goes on', 'calls it something else')
    {
        prepare("'$act', '$then'");
        like(rewrap(q{SET statement_timeout = '300ms'; }), qr/ERROR:  canceling statement due to statement timeout/, "statement_timeout: trigger: $act $then");
        is($node->safe_psql('postgres', $behind), 'first 3, second 3', 'it ends the call');
    }
}

# lock_timeout limits each wait for a lock, and does not end the run.
my $holder = open_session($node);
look($holder, 'SELECT pg_advisory_lock(42)');
prepare(q{'lock', ''});
$said = rewrap(q{SET lock_timeout = '50ms'; });
like($said, qr/WARNING:  table public\.first is locked by others, and left\nDETAIL:  canceling statement due to lock timeout\n/, 'a lock that a trigger waits for');
like($said, qr/WARNING:  1 table still has keys .*\nHINT:  Call it again\.  key_vault/, 'may be free later');
is($node->safe_psql('postgres', $behind), 'first 3', 'the other table is rewrapped');
look($holder, 'SELECT pg_advisory_unlock(42)');
rewrap();
is($node->safe_psql('postgres', $behind), '', 'once it is free, all is');

# A cancellation by the user
foreach my $act (qw(loop sleep))
{
    prepare("'$act', ''");
    my $run = $node->background_psql('postgres', on_error_stop => 0);
    my $pid = $run->query('SELECT pg_backend_pid()');

    $run->query_until(qr/started/, qq{\\echo started\nCALL key_vault.rewrap_all('app');\n});
    $node->poll_query_until('postgres', "SELECT wait_event = 'PgSleep' OR '$act' = 'loop' AND query ~ 'rewrap_all' AND backend_xid IS NOT NULL FROM pg_stat_activity WHERE pid = $pid") or die;
    $node->safe_psql('postgres', "SELECT pg_cancel_backend($pid)");
    $run->query('SELECT 1');
    like($run->{stderr}, qr/ERROR:  canceling statement due to user request/, "a cancellation: trigger: $act");
    $run->{stderr} = '';
    $run->quit;
    is($node->safe_psql('postgres', $behind), 'first 3, second 3', 'ends the call');
}

# If another call would not help, the message says what to do.
prepare(q{'null', ''});
$said = rewrap();
like($said, qr/WARNING:  1 row of table public\.first was not rewrapped\nDETAIL:  A trigger or a rule of the table suppressed the update\./, 'a trigger that suppresses updates');
like($said, qr/HINT:  Do what the warnings about 1 table say/, 'is for its owner');

$node->safe_psql('postgres', q{
    DROP TABLE first, second;
    CREATE TABLE hashed (id integer, key key_vault.wrapped_key) PARTITION BY HASH (key);
    CREATE TABLE hashed_0 PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER 0);
    CREATE TABLE hashed_1 PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER 1);
    INSERT INTO hashed SELECT n, key_vault.generate_key('app') FROM generate_series(1, 60) n;
    ALTER TABLE hashed_1 OWNER TO other;
    SELECT key_vault.kek_rotate('app');
});
like(rewrap(), qr/WARNING:  row \S+ of table public\.hashed_0 was not rewrapped\nDETAIL:  new row for relation "hashed_0" violates partition constraint\nHINT:  Rows of public\.hashed_0 move to another partition with their new keys, but public\.hashed_1 is a foreign table or has another owner: use UPDATE public\.hashed with key_vault\.rewrap\(\)\.\n/,
    'partitions of several owners');
$node->safe_psql('postgres', 'UPDATE public.hashed SET key = key_vault.rewrap(key)');
is($node->safe_psql('postgres', $behind), '', 'and that helps');

$node->safe_psql('postgres', q{
    DROP TABLE hashed;
    CREATE TABLE referred (key key_vault.wrapped_key PRIMARY KEY);
    INSERT INTO referred SELECT key_vault.generate_key('app') FROM generate_series(1, 3) n;
    CREATE TABLE refers (key key_vault.wrapped_key REFERENCES referred ON UPDATE SET NULL);
    INSERT INTO refers TABLE referred;
    SELECT key_vault.kek_rotate('app');
});
like(rewrap(), qr/WARNING:  table public\.referred could not be rewrapped\nDETAIL:  foreign key refers_key_fkey of table public\.refers would set keys to NULL or to their default\nHINT:  Make the foreign key anew with ON UPDATE CASCADE\./,
    'a foreign key that would lose keys');
$node->safe_psql('postgres', 'ALTER TABLE refers DROP CONSTRAINT refers_key_fkey, ADD FOREIGN KEY (key) REFERENCES referred');
$said = rewrap();
like($said, qr/WARNING:  row \S+ of table public\.referred was not rewrapped\nDETAIL:  .* violates foreign key constraint "refers_key_fkey" on table "refers"\nHINT:  Foreign key refers_key_fkey of table public\.refers refers to keys: make it anew with ON UPDATE CASCADE, or drop it until all is rewrapped\./,
    'a foreign key that does not carry new keys over');
$node->safe_psql('postgres', 'ALTER TABLE refers DROP CONSTRAINT refers_key_fkey, ADD FOREIGN KEY (key) REFERENCES referred ON UPDATE CASCADE');
my ($code, $out, $err) = $node->psql('postgres', q{CALL key_vault.rewrap_all('app', only_table => 'refers')});
like($err, qr/HINT:  Foreign key refers_key_fkey refers to keys of table public\.referred: rewrap that table, and these rows follow\./, 'one that does, from the wrong end');
unlike(rewrap(), qr/WARNING/, 'and in the right order');
is($node->safe_psql('postgres', $behind), '', 'all is rewrapped');

$holder->quit;
$node->stop;
done_testing();
