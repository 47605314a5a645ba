# The update from version 1.0 to the installed version, by ALTER EXTENSION UPDATE, by dump and restore and by
# pg_upgrade.  Afterwards every catalogue row is as in a new database, and every key and payload reads as
# before, also for roles that got their privileges under 1.0.  With the library of today and the script of 1.0,
# everything still works, or says that the extension must be updated.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use IPC::Run;
use Test::More;

my $update = "$FindBin::Bin/../update";
my $pg_config = $ENV{PG_CONFIG} || 'pg_config';
chomp(my $bindir = `$pg_config --bindir`);

my $node = new_node('old');
$node->init;
$node->configure_vault;
$node->start;

sub in_db
{
    my ($server, $db, @statements) = @_;
    $server->psql($db, join(";\n", "\\set VERBOSITY verbose\nSET client_min_messages = error", @statements),
        stdout => \my $rows, stderr => \my $error, on_error_die => 0);
    return $error =~ /((?:ERROR|FATAL):  [\s\S]*?)(?:\nCONTEXT|\nLOCATION|\nSTATEMENT|$)/ ? $1 : $rows;
}

# Does what kek_grant() of version 1.0 does: it adds the row, and grants EXECUTE on all functions.
sub grant_1_0
{
    my ($label, $role, $privilege) = @_;
    return qq{INSERT INTO key_vault.kek_privilege (label, role, privilege) VALUES ('$label', '$role', '$privilege');
              GRANT EXECUTE ON ALL ROUTINES IN SCHEMA key_vault TO $role};
}

my @roles = qw(analyst admin group_of_readers reader auditor owner);
$node->safe_psql('postgres', join ';', (map { "CREATE ROLE $_" } @roles), 'GRANT group_of_readers TO reader', 'CREATE DATABASE lorawan');

# The KEK 00 01 ... 0f, and an uplink of the LoRaWAN example in test/pgtap: the key of the device, DevAddr
# 260B1234, counter 65538.
my $app_s_key = '\xec925802ae430ca77fd3dd73cb2cc588';
my $envelope = '{"kek_label": "app1-kek", "encrypted_key": "7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"}';
sub message
{
    my ($f_cnt, $payload, $key) = @_;
    return qq[{"end_device_ids": {"device_id": "dev", "application_ids": {"application_id": "app1"}, "dev_eui": "0004A30B001C0530", "dev_addr": "260B1234"},
        "uplink_message": {"session_key_id": "AYfC0bag8+RHWGmqu8zd7g==", "f_port": 2, "f_cnt": $f_cnt, "received_at": "2024-05-01T12:00:00Z",
        "app_s_key": $key, "frm_payload": "$payload"}}];
}

my $error = in_db($node, 'lorawan', q{CREATE EXTENSION key_vault VERSION '1.0'},
    # KEKs in all states
    q{SELECT key_vault.kek_create(label) FROM unnest(ARRAY['net', 'states', 'gone', 'late']) label},
    q{SELECT key_vault.kek_import('app1-kek', '\x000102030405060708090a0b0c0d0e0f')},
    q{SELECT key_vault.kek_create('lorawan')},
    # Keys in columns, arrays, domains, row types, ranges
    q{CREATE DOMAIN app_key AS key_vault.wrapped_key CHECK (VALUE OPERATOR(key_vault.<>) 'kv1:aes-kw:00000000-0000-0000-0000-000000000000:000000000000000000000000000000000000000000000000')},
    q{CREATE TYPE two_keys AS (a key_vault.wrapped_key, b key_vault.wrapped_key)},
    q{CREATE TYPE key_range AS RANGE (SUBTYPE = key_vault.wrapped_key)},
    q{CREATE TABLE device (n integer PRIMARY KEY, key key_vault.wrapped_key NOT NULL, domain app_key, keys key_vault.wrapped_key[], pair two_keys,
        range key_range, dev_addr bytea, f_cnt bigint, payload bytea,
        CHECK (key OPERATOR(key_vault.<>) 'kv1:aes-kw:00000000-0000-0000-0000-000000000000:000000000000000000000000000000000000000000000000'))},
    q{CREATE INDEX device_key ON device (key)},
    q{CREATE INDEX device_hash ON device USING hash (key)},
    q{CREATE INDEX device_same ON device (n) WHERE key OPERATOR(key_vault.=) key},
    q{INSERT INTO device SELECT n, key_vault.generate_key('net', 16), key_vault.bind(key_vault.generate_key('net'), '\x26011bda'),
        ARRAY[key_vault.generate_key('states'), key_vault.generate_key('net')], ROW(key_vault.generate_key('net', 32), NULL::key_vault.wrapped_key)::two_keys
        FROM generate_series(1, 20) n},
    q{SELECT key_vault.kek_rotate('net'), key_vault.kek_rotate('states')},
    q{INSERT INTO device SELECT n, key_vault.generate_key('net'), NULL, ARRAY[key_vault.generate_key('states')], NULL FROM generate_series(21, 40) n},
    q{UPDATE device SET range = key_range(least(a.key, b.key), greatest(a.key, b.key)) FROM device a, device b WHERE a.n = 1 AND b.n = 2 AND device.n = 3},
    qq{UPDATE device SET key = key_vault.wrap('$app_s_key', 'net'), dev_addr = '\\x260B1234', f_cnt = 65538, payload = '\\x2e115ed9a45c99' WHERE n > 30},
    q{SELECT key_vault.kek_rotate('states'), key_vault.kek_compromise('states', 1), key_vault.kek_rotate('states'), key_vault.kek_suspend('states', 3)},
    q{SELECT key_vault.kek_destroy('gone', 1)},
    q{SELECT key_vault.kek_schedule_destroy('late', 1, interval '1 year')},
    # Objects that use the operators by name, and objects that depend on them
    q{CREATE VIEW same AS SELECT a.n FROM device a JOIN device b ON a.key OPERATOR(key_vault.=) b.key WHERE a.key OPERATOR(key_vault.>=) b.key},
    q{CREATE VIEW among AS SELECT n FROM device WHERE key OPERATOR(key_vault.=) ANY (SELECT d.key FROM device d WHERE d.n < 10) ORDER BY key},
    q{CREATE VIEW of_net AS SELECT n FROM device WHERE 'net' = ALL (SELECT k.label FROM key_vault.keks k WHERE k.kek_id = ANY (key_vault.kek_ids(keys[2:2])))},
    q{CREATE FUNCTION is_same(a key_vault.wrapped_key, b key_vault.wrapped_key) RETURNS boolean LANGUAGE sql RETURN a OPERATOR(key_vault.=) b},
    # Roles
    grant_1_0('net', 'analyst', 'decrypt'), grant_1_0('net', 'admin', 'admin'), grant_1_0('late', 'admin', 'admin'), grant_1_0('net', 'group_of_readers', 'unwrap'), grant_1_0('lorawan', 'owner', 'wrap'),
    grant_1_0('lorawan', 'owner', 'rewrap'), grant_1_0('app1-kek', 'owner', 'unwrap'), grant_1_0('lorawan', 'analyst', 'decrypt'),
    grant_1_0('app1-kek', 'analyst', 'decrypt'),
    q{GRANT SELECT ON device TO PUBLIC},
    q{GRANT SELECT ON key_vault.audit_log, key_vault.kek_privilege TO auditor},
    q{GRANT EXECUTE ON FUNCTION key_vault.kek_usage(text) TO auditor},
    # A storage of a role that is no superuser
    q{GRANT CREATE ON DATABASE lorawan TO owner}, q{SET ROLE owner}, q{CALL key_vault.create_storage('lorawan', keep_messages => true)},
    q{INSERT INTO lorawan.inbox VALUES ($m$} . message(65538, 'LhFe2aRcmQ==', $envelope) . q{$m$)},
    q{INSERT INTO lorawan.inbox VALUES ($m$} . message(-1, 'LhFe2aRcmQ==', $envelope) . q{$m$), ('no JSON')},
    q{GRANT USAGE ON SCHEMA lorawan TO analyst}, q{GRANT SELECT ON ALL TABLES IN SCHEMA lorawan TO analyst},
    q{RESET ROLE}, q{SELECT 'made'});
like($error, qr/^made$/m, 'a database of 1.0');
is(in_db($node, 'lorawan', q{SELECT extversion FROM pg_extension WHERE extname = 'key_vault'}), '1.0', 'it has version 1.0');
is(in_db($node, 'lorawan', q{SELECT string_agg(DISTINCT state, ' ' ORDER BY state) FROM key_vault.kek}),
    'active compromised deactivated destroyed suspended', 'it has KEKs in all states');

# The queries that must give the same before and after; each is [role, query].
my $payloads = q{SELECT count(*), string_agg(DISTINCT key_vault.lorawan_decrypt_uplink(key, dev_addr, f_cnt, payload)::text, ',') FROM device WHERE payload IS NOT NULL};
my @looks = (
    [ 'postgres', q{SELECT md5(string_agg(concat(key_vault.unwrap(key), key_vault.unwrap(domain), key_vault.unwrap(keys[2]), key_vault.unwrap((pair).a),
        key_vault.unwrap(lower(range)), key_vault.unwrap(upper(range))), ',' ORDER BY n)), count(*) FROM device} ],
    [ 'postgres', q{SELECT string_agg(key_vault.key_status(keys[1], '\x26011bda'), ',' ORDER BY n) FROM device} ],
    map({ [ 'postgres', "SELECT md5(string_agg(t::text, ',' ORDER BY t::text)), count(*) FROM $_ t" ] }
        qw(device key_vault.kek key_vault.kek_privilege key_vault.keks key_vault.kek_privileges same among of_net
        lorawan.uplink lorawan.session lorawan.rejected lorawan.rejected_key)),
    # The table has one more column since version 1.1.
    [ 'postgres', q{SELECT string_agg(concat_ws(' ', kek_id, destroy_at, scheduled_at), ',' ORDER BY kek_id) FROM key_vault.kek_destruction} ],
    [ 'postgres', q{SELECT string_agg(event, ',' ORDER BY at) FROM key_vault.audit_log WHERE event <> 'granted'} ],
    [ 'postgres', q{SELECT count(*) FROM device a, device b WHERE is_same(a.key, b.key)} ],
    [ 'postgres', q{SELECT n, md5(key::text), rank() OVER (ORDER BY key) FROM device ORDER BY n} ],
    [ 'analyst', $payloads ],
    [ 'analyst', q{SELECT key_vault.unwrap(key) FROM device WHERE n = 1} ],
    [ 'analyst', q{SELECT payload FROM lorawan.uplink_decrypted} ],
    [ 'reader', q{SELECT md5(string_agg(key_vault.unwrap(key)::text, ',' ORDER BY n)) FROM device} ],
    [ 'reader', $payloads ],
    [ 'auditor', q{SELECT count(*) > 5 FROM key_vault.audit_log} ],
    [ 'auditor', q{SELECT string_agg(u::text, ',' ORDER BY u::text) FROM key_vault.kek_usage('net') u} ],
    [ 'admin', q{SELECT key_vault.has_kek_privilege('net', 'admin'), key_vault.has_kek_privilege('net', 'unwrap')} ]);
my @before = map { in_db($node, 'lorawan', "SET ROLE $_->[0]", $_->[1]) } @looks;
my ($n_payload) = grep { $looks[$_][1] eq $payloads } 0 .. $#looks;
# This payload was decrypted with python3-cryptography, as in test/pgtap.  It is Cayenne LPP, 27.0 degrees and
# 37 percent.
is($before[$n_payload], '10|\x0167010e02684a', 'under 1.0 payloads are what they were before encryption');
like($before[ $n_payload + 1 ], qr/^ERROR:  42501: permission denied for KEK label "net"/, 'an analyst sees no key');
is($before[ $n_payload + 2 ], '\x0167010e02684a', 'nor a storage: he sees payloads');
ok(0 == grep({ /^ERROR/ && !/42501: permission denied for KEK label/ } @before), 'every other look gives an answer')
  or diag(join "\n", @before);

sub looks_the_same
{
    my ($server, $db, $how) = @_;
    my @now = map { in_db($server, $db, "SET ROLE $_->[0]", $_->[1]) } @looks;
    my @other = grep { $now[$_] ne $before[$_] } 0 .. $#looks;

    is(scalar @other, 0, "$how: all " . @looks . ' looks give what they gave under 1.0')
      or diag(map { "$looks[$_][0]: $looks[$_][1]\nwas $before[$_]\nis  $now[$_]\n" } @other);
}

sub catalog
{
    my ($server, $db) = @_;
    my $lines;

    IPC::Run::run([ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', $server->connstr($db), '-f', "$update/catalog.sql" ], '>', \$lines)
      or die "catalog of $db";
    return $lines;
}

$node->safe_psql('postgres', 'CREATE DATABASE fresh');
$node->safe_psql('fresh', 'CREATE EXTENSION key_vault');
my $fresh = catalog($node, 'fresh');
cmp_ok(() = $fresh =~ /\n/g, '>', 1500, 'a new database has so many catalogue rows');
note(scalar(() = $fresh =~ /\n/g) . ' catalogue rows');

sub catalog_is_as_fresh
{
    my ($server, $db, $how) = @_;
    my %lines;

    $lines{$_}++ foreach split /\n/, $fresh;
    $lines{$_}-- foreach split /\n/, catalog($server, $db);
    my @others = grep { $lines{$_} } sort keys %lines;
    is(scalar @others, 0, "$how: every catalogue row is as in a new database")
      or diag(map { ($lines{$_} > 0 ? 'lacks ' : 'has ') . "$_\n" } @others[ 0 .. ($#others > 20 ? 20 : $#others) ]);
}

# Work that goes on after the update: writing, rotating, messages for the storage of version 1.0, objects that
# use the operators
sub goes_on
{
    my ($server, $db, $how) = @_;
    my $has = sub { is(in_db($server, $db, @_[ 1 .. $#_ ]), $_[0], "$how: $_[-1]") };

    $has->(1, q{SET enable_seqscan = off}, q{SELECT count(*) FROM device WHERE key OPERATOR(key_vault.=) (SELECT d.key FROM device d WHERE n = 7)});
    like(in_db($server, $db, q{SET enable_seqscan = off}, q{EXPLAIN (COSTS OFF) SELECT n FROM device WHERE key OPERATOR(key_vault.=) 'kv1:aes-kw:00000000-0000-0000-0000-000000000000:000000000000000000000000000000000000000000000000'}),
        qr/Index Cond: \(key (=|OPERATOR\(key_vault\.=\)) /, "$how: the operators of 1.0 use the indexes");
    like(in_db($server, $db, q{INSERT INTO device (n, key) VALUES (50, 'kv1:aes-kw:00000000-0000-0000-0000-000000000000:000000000000000000000000000000000000000000000000')}),
        qr/^ERROR:  23514: /, "$how: a CHECK with the operator of 1.0");
    $has->('2|1', q{SET ROLE owner}, q{INSERT INTO lorawan.inbox VALUES ($m$} . message(65539, 'LhFe2aRcmQ==', $envelope) . q{$m$)},
        q{INSERT INTO lorawan.inbox VALUES ($m$} . message(-2, 'LhFe2aRcmQ==', '{"key": "EC925802AE430CA77FD3DD73CB2CC588"}') . q{$m$)},
        q{SELECT (SELECT count(*) FROM lorawan.uplink), (SELECT count(*) FROM lorawan.rejected WHERE message::text LIKE '%"f_cnt": -2%')});
    $has->('', q{SET ROLE owner}, q{CALL key_vault.maintain_storage('lorawan')});
    $has->('3|', q{SET ROLE admin}, q{SELECT key_vault.kek_rotate('net'), key_vault.kek_suspend('net', 2)});
    $has->('t', q{SET ROLE analyst}, q{SELECT key_vault.lorawan_try_decrypt_uplink(key, dev_addr, f_cnt, payload) IS NULL FROM device WHERE n = 35});
    $has->('t', q{SELECT key_vault.kek_resume('net', 2) IS NOT NULL});
    $has->('', q{CALL key_vault.rewrap_all('net')});
    $has->('0', q{SELECT count(*) FROM device WHERE key_vault.kek_version(key) <> 3});
    $has->('10|\x0167010e02684a', q{SET ROLE analyst}, $payloads);
    $has->('', q{SELECT key_vault.kek_destroy('late', 1, force => true)});
    like(in_db($server, $db, q{DELETE FROM key_vault.kek}), qr/^ERROR:  55000: .* cannot be deleted/, "$how: KEKs are guarded");
    like(in_db($server, $db, q{DELETE FROM key_vault.audit_log}), qr/^ERROR:  55000: .* append-only/, "$how: so is the audit log");
}

# Grants made by version 1.1, and grants of 1.0 that are revoked
sub grants_work
{
    my ($server, $db, $how) = @_;

    is(in_db($server, $db, q{SELECT key_vault.kek_revoke('net', 'analyst', 'decrypt')}, 'SET ROLE analyst', $payloads)
          =~ /^ERROR:  42501: permission denied for KEK label "net"/, 1, "$how: what was granted under 1.0 can be withdrawn");
    is(in_db($server, $db, q{SELECT key_vault.kek_grant('net', 'analyst', 'decrypt')}, 'SET ROLE analyst', $payloads),
        "t\n$before[$n_payload]", "$how: and granted again");
    is(in_db($server, $db, q{SELECT count(*) FROM pg_proc, aclexplode(proacl) WHERE grantee = 'analyst'::regrole}), 0, "$how: which grants EXECUTE on nothing");
    is(in_db($server, $db, 'DROP OWNED BY reader, group_of_readers', 'SET ROLE reader', $looks[ $n_payload + 3 ][1]), $before[ $n_payload + 3 ],
        "$how: DROP OWNED leaves privileges on labels");
}

# 1. The library of today with the script of 1.0

$node->safe_psql('postgres', 'CREATE DATABASE not_updated TEMPLATE lorawan');
goes_on($node, 'not_updated', 'not updated');
my $error_of_grant = in_db($node, 'not_updated', q{SELECT key_vault.kek_grant('net', 'auditor', 'decrypt')});
like($error_of_grant, qr/^ERROR:  55000: .*HINT:  Run ALTER EXTENSION key_vault UPDATE\./s, 'not updated: kek_grant() says to update');
is(in_db($node, 'not_updated', q{SELECT count(*) FROM key_vault.kek_privilege WHERE role = 'auditor'::regrole}), 0, 'and grants nothing');
is(in_db($node, 'not_updated', q{SELECT key_vault.kek_revoke('net', 'analyst', 'decrypt')}, 'SET ROLE analyst', $payloads)
      =~ /^ERROR:  42501: permission denied for KEK label "net"/, 1, 'not updated: kek_revoke() withdraws');

# 2. ALTER EXTENSION UPDATE

$node->safe_psql('postgres', "CREATE DATABASE $_ TEMPLATE lorawan") foreach qw(updated in_the_way);
my $session = $node->background_psql('updated', on_error_stop => 0);
$session->query('SET client_min_messages = error; SET ROLE analyst');
is(look($session, $payloads), $before[$n_payload], 'a session that was there before');
is(in_db($node, 'updated', 'ALTER EXTENSION key_vault UPDATE', q{SELECT extversion FROM pg_extension WHERE extname = 'key_vault'}), '1.1', 'updated');
is(look($session, $payloads), $before[$n_payload], 'it goes on');
$session->quit;
catalog_is_as_fresh($node, 'updated', 'updated');
looks_the_same($node, 'updated', 'updated');

# The update does not take over an object that is in the way: it fails, and leaves nothing behind.
my $old = catalog($node, 'in_the_way');
foreach my $obstacle ('CREATE SCHEMA key_vault_internal', 'CREATE OPERATOR pg_catalog.= (LEFTARG = key_vault.wrapped_key, RIGHTARG = key_vault.wrapped_key, FUNCTION = key_vault.wrapped_key_eq)')
{
    like(in_db($node, 'in_the_way', 'BEGIN', $obstacle, 'ALTER EXTENSION key_vault UPDATE'), qr/^ERROR:  (42\w{3}|23505): .* (already exists|unique constraint "pg_operator)/, "not over what is there: $obstacle");
}
is(catalog($node, 'in_the_way'), $old, 'nothing of it stays');

# 3. Dump and restore into a new database

sub dump_of
{
    my ($db) = @_;
    my $path = "$ENV{TESTDIR}/$db.dump";

    PostgreSQL::Test::Utils::run_log([ 'pg_dump', '-Fc', '-d', $node->connstr($db), '-f', $path ]) or die 'pg_dump';
    return $path;
}

sub restore
{
    my ($db, $path, @options) = @_;
    my $output;

    $node->safe_psql('postgres', "CREATE DATABASE $db");
    IPC::Run::run([ 'pg_restore', '-d', $node->connstr($db), @options, $path ], '>&', \$output);
    return $output;
}

# kek_grant() of version 1.0 granted EXECUTE on functions that version 1.1 has in another schema.  Only these
# grants in the dump fail.
my $dump = dump_of('lorawan');
my @refused = restore('all_of_it', $dump) =~ /^pg_restore: error: (.*(?:\nCommand was: .*)?)/mg;
ok(@refused > 0 && 0 == grep({ !/ERROR:  (?:function|procedure) key_vault\.\w+\(.*does not exist\nCommand was: GRANT / } @refused), 'a dump of 1.0 restores, but for grants of functions')
  or diag(@refused);
looks_the_same($node, 'all_of_it', 'restored from 1.0');

# pg_restore --use-list leaves these grants out.
my $list = "$ENV{TESTDIR}/list";
open my $file, '>', $list or die $!;
print $file grep { !/ ACL key_vault FUNCTION / && !/ ACL key_vault PROCEDURE / } `pg_restore -l '$dump'`;
close $file;
is(restore('restored', $dump, '--exit-on-error', '-L', $list), '', 'without these it restores without an error');
catalog_is_as_fresh($node, 'restored', 'restored from 1.0');
looks_the_same($node, 'restored', 'restored from 1.0');
# Another way: the dump is restored into version 1.0, in one transaction, and the extension is updated then.
sub restore_into_1_0
{
    my ($db, $path) = @_;
    my $output;

    $node->safe_psql('postgres', "CREATE DATABASE $db");
    $node->safe_psql($db, q{CREATE EXTENSION key_vault VERSION '1.0'});
    IPC::Run::run([ 'pg_restore', '-d', $node->connstr($db), '--exit-on-error', '--single-transaction', $path ], '>&', \$output);
    is($output, '', 'a dump of 1.0 restores whole where version 1.0 is');
    is(in_db($node, $db, 'ALTER EXTENSION key_vault UPDATE'), '', 'and is updated then');
}
restore_into_1_0('restored_into_1_0', $dump);
catalog_is_as_fresh($node, 'restored_into_1_0', 'restored into 1.0, then updated');
looks_the_same($node, 'restored_into_1_0', 'restored into 1.0, then updated');

is(restore('without_privileges', $dump, '--exit-on-error', '-x'), '', 'so it does with -x');
is(in_db($node, 'without_privileges', q{GRANT SELECT ON device TO analyst}, 'SET ROLE analyst', $payloads), $before[$n_payload], 'which leaves privileges on labels');

# A dump of an updated database has no such grants, but it has an administrator's own grants.
is(restore('again', dump_of('updated'), '--exit-on-error'), '', 'a dump of what was updated restores');
catalog_is_as_fresh($node, 'again', 'dumped after the update');
looks_the_same($node, 'again', 'dumped after the update');

foreach (qw(updated restored again))
{
    goes_on($node, $_, $_);
    grants_work($node, $_, $_);
}

# 4. pg_upgrade, which keeps the version of the extension

$node->safe_psql('postgres', "DROP DATABASE $_") foreach qw(fresh not_updated in_the_way all_of_it restored restored_into_1_0 without_privileges again);
$node->stop;
my $new = new_node('new');
$new->init;
$new->configure_vault;
my $output;
chdir $ENV{TESTDIR};
ok(IPC::Run::run([ 'pg_upgrade', '--no-sync', '-b', $bindir, '-B', $bindir, '-d', $node->data_dir, '-D', $new->data_dir,
            '-p', $node->port, '-P', $new->port, '-s', $node->host, '-U', scalar getpwuid($<) ], '>&', \$output), 'pg_upgrade')
  or diag($output);
$new->start;
is(in_db($new, 'lorawan', q{SELECT extversion FROM pg_extension WHERE extname = 'key_vault'}), '1.0', 'it keeps version 1.0');
looks_the_same($new, 'lorawan', 'after pg_upgrade');
is(in_db($new, 'lorawan', 'ALTER EXTENSION key_vault UPDATE', q{SELECT extversion FROM pg_extension WHERE extname = 'key_vault'}), '1.1', 'and can be updated');
catalog_is_as_fresh($new, $_, "pg_upgrade: $_") foreach qw(lorawan updated);
looks_the_same($new, 'lorawan', 'updated after pg_upgrade');
goes_on($new, 'lorawan', 'updated after pg_upgrade');
grants_work($new, 'lorawan', 'updated after pg_upgrade');

done_testing();
