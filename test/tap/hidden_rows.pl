# Keys in rows that are not in the heap of their table, but that another extension's planner hook returns
# (test/hidden_rows).  They are counted, they keep their KEK from being destroyed, and as long as they need an
# old version rewrap_all() does not say that all is rewrapped.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use PostgreSQL::Test::Utils;
use VaultCluster;
use Test::More;

my $pg_config = $ENV{PG_CONFIG} || 'pg_config';
my $build     = "$ENV{TESTDIR}/hidden_rows";

system("cp -R $FindBin::Bin/../hidden_rows $build && make -s -C $build PG_CONFIG=$pg_config with_llvm=no > $build.log 2>&1") == 0
  or die slurp_file("$build.log");

my $node = new_node('main');
$node->init;
$node->configure_vault;
$node->append_conf('postgresql.conf', "session_preload_libraries = '$build/hidden_rows'");
$node->start;

# A table with two children: one has ten keys outside of its heap, the other five in its heap.  And a table
# whose heap has two rows in whose place the hook shows none.
$node->safe_psql('postgres', q{
    CREATE EXTENSION key_vault;
    SELECT key_vault.kek_create('net');
    CREATE TABLE hyper (id integer, key key_vault.wrapped_key);
    CREATE TABLE chunk () INHERITS (hyper);
    CREATE TABLE store AS SELECT n AS id, key_vault.generate_key('net')::text AS key FROM generate_series(1, 10) n;
    CREATE VIEW chunk_hidden AS SELECT id, key FROM ONLY chunk UNION ALL SELECT id, key::key_vault.wrapped_key FROM store;
    CREATE TABLE open_chunk () INHERITS (hyper);
    INSERT INTO open_chunk SELECT n, key_vault.generate_key('net') FROM generate_series(1, 5) n;
    CREATE TABLE replaced AS SELECT n AS id, key_vault.generate_key('net') AS key FROM generate_series(1, 2) n;
    CREATE VIEW replaced_hidden AS SELECT id, key FROM ONLY replaced WHERE false;
});

sub ask
{
    return $node->safe_psql('postgres', "SET client_min_messages = error; $_[0]");
}

# The hook works.
is(ask('SELECT count(*) FROM ONLY chunk'), 0,  'the heap shows nothing');
is(ask('SELECT count(*) FROM chunk'),      10, 'the hook shows the rows');
is(ask('SELECT count(*) FROM hyper'),      5,  'which do not come by way of the parent');
is(ask('SELECT count(*) FROM replaced'),   0,  'and hides others');

is(ask('SELECT relation, keys FROM key_vault.kek_usage()'), "chunk|10\nopen_chunk|5\nreplaced|2", 'kek_usage counts them all');

ask(q{SELECT key_vault.kek_rotate('net')});
ask(q{UPDATE ONLY open_chunk SET key = key_vault.rewrap(key); UPDATE ONLY replaced SET key = key_vault.rewrap(key)});
$node->psql('postgres', q{SELECT key_vault.kek_destroy('net', 1)}, stderr => \my $error);
like($error, qr/ERROR:  KEK label "net" version 1 still wraps 10 keys\nDETAIL:  There are 10 in column "key" of (public\.)?chunk\./, 'kek_destroy finds them');
is(ask(q{SELECT count(key_vault.unwrap(key)) FROM chunk}), 10, 'all are readable');

# rewrap_all() does not say that all is rewrapped.
$node->psql('postgres', q{CALL key_vault.rewrap_all('net')}, stderr => \my $messages);
like($messages, qr/WARNING:  10 rows of table public\.chunk hold keys that rewrap_all does not reach\n.*DETAIL:  Another extension keeps them outside.*\n.*HINT:  Use UPDATE with key_vault\.rewrap\(\) by the table that the extension provides/,
    'rewrap_all says what it does not reach');
like($messages, qr/WARNING:  1 table still has keys/, 'and that the call has not done all');
unlike($messages, qr/WARNING:.*(replaced|open_chunk)/, 'other tables are done');
is(ask(q{SELECT state, rows_left FROM key_vault.rewrap_progress WHERE relation = 'chunk'::regclass}), 'stopped|10', 'progress says so, too');

ask(q{UPDATE store SET key = key_vault.rewrap(key::key_vault.wrapped_key)::text});
ask(q{SELECT key_vault.kek_destroy('net', 1)});
is(ask(q{SELECT state FROM key_vault.keks WHERE version = 1}), 'destroyed', 'once none needs it, the KEK is destroyed');
is(ask(q{SELECT count(key_vault.unwrap(key)) FROM chunk}), 10, 'and all are readable still');

$node->stop;
done_testing();
