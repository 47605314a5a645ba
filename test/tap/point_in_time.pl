# Recovery to a moment in the middle of a rotation: before its commit, between two batches of rewrapping, after
# the old KEK was destroyed, and within a transaction that never ended.  Each time KEKs and keys belong to the
# same moment, all keys open, and the rotation can be done again from there.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use Test::More;

my $primary = new_node('primary');
$primary->init(has_archiving => 1, allows_streaming => 1);
$primary->configure_vault;
$primary->start;
$primary->safe_psql('postgres', q{
    CREATE EXTENSION key_vault;
    CREATE TABLE device (n integer PRIMARY KEY, plain bytea, key key_vault.wrapped_key);
    SELECT key_vault.kek_create('net');
    INSERT INTO device SELECT n, decode(md5(n::text), 'hex'), key_vault.wrap(decode(md5(n::text), 'hex'), 'net')
      FROM generate_series(1, 100) n;
});
$primary->backup('base');

my $rewrap = q{UPDATE device SET key = key_vault.rewrap(key) WHERE key_vault.kek_version(key) = 1};
my @moments;
sub moment
{
    my ($name, $expected, $session) = @_;
    my $sql = "SELECT pg_create_restore_point('$name')";

    push @moments, [ $name, $expected ];
    defined $session ? look($session, $sql) : $primary->safe_psql('postgres', $sql);
}

# For each moment, what is committed by then: the states of the versions, and the number of keys under each.
my $session = open_session($primary);
look($session, "BEGIN; SELECT key_vault.kek_rotate('net')");
moment('rotated_not_committed', '1 active: 100', $session);
look($session, "$rewrap AND n <= 50");
moment('rewrapped_not_committed', '1 active: 100', $session);
look($session, 'ROLLBACK');
look($session, "SELECT key_vault.kek_rotate('net')");
moment('rotated', '1 deactivated: 100, 2 active: 0', $session);
look($session, "$rewrap AND n <= 50");
moment('half_rewrapped', '1 deactivated: 50, 2 active: 50', $session);
look($session, $rewrap);
look($session, "BEGIN; SELECT key_vault.kek_destroy('net', 1)");
moment('destroyed_not_committed', '1 deactivated: 0, 2 active: 100', $session);
look($session, 'COMMIT');
moment('destroyed', '1 destroyed: 0, 2 active: 100', $session);
$session->quit;
my $last = $primary->safe_psql('postgres', 'SELECT pg_walfile_name(pg_switch_wal())');
$primary->poll_query_until('postgres', "SELECT last_archived_wal >= '$last' FROM pg_stat_archiver")
  or die 'WAL is not archived';

foreach my $moment (@moments)
{
    my ($name, $expected) = @$moment;
    my $node = new_node($name);

    $node->init_from_backup($primary, 'base', has_restoring => 1, standby => 0);
    $node->append_conf('postgresql.conf', qq{
        recovery_target_name = '$name'
        recovery_target_action = 'promote'
        archive_mode = off
    });
    $node->start;
    $node->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()') or die "$name is not up";

    is(look_anew($node, q{SELECT string_agg(concat(version, ' ', state, ': ', keys), ', ' ORDER BY version)
          FROM (SELECT k.version, k.state, count(d) AS keys FROM key_vault.keks k
                  LEFT JOIN device d ON key_vault.kek_id(d.key) = k.kek_id GROUP BY 1, 2) v}),
        $expected, "$name: KEKs and keys are of one moment");
    is(look_anew($node, q{SELECT count(*), bool_and(key_vault.unwrap(key) = plain) FROM device}),
        '100|t', "$name: every key opens");
    is(look_anew($node, q{SELECT count(*) = (SELECT max(version) - 1 FROM key_vault.keks)
          FROM key_vault.audit_log WHERE event = 'rotated'}), 't', "$name: the audit log is of it, too");

    # The rotation goes on from there.
    my $version = look_anew($node, q{SELECT key_vault.kek_rotate('net')});
    is(look_anew($node, "UPDATE device SET key = key_vault.rewrap(key)",
            "DO \$\$ BEGIN PERFORM key_vault.kek_destroy('net', version) FROM key_vault.keks WHERE state = 'deactivated'; END \$\$",
            "SELECT count(*), bool_and(key_vault.unwrap(key) = plain AND key_vault.kek_version(key) = $version) FROM device"),
        '100|t', "$name: rotated, rewrapped and destroyed anew");
    $node->stop;
}

done_testing();
