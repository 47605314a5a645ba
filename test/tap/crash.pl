# kill -9, of the backend and of the whole server, at each step of the operations that change KEKs: create,
# rotate, destroy, rewrap and the rotation of the root key.  Afterwards the operation is either done or not done
# at all, every key opens whose KEK was not destroyed on purpose, the audit log agrees with the KEKs, and the
# operation can be called again.
#
# A trigger holds the operation at the step where it is to be killed: before or after it writes a row, or at its
# commit, when all is written.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use IPC::Run;
use Test::More;

my $node = new_node('crash');
$node->init;
$node->configure_vault;
$node->append_conf('postgresql.conf', "restart_after_crash = on\nshared_preload_libraries = 'key_vault'\n");
$node->start;
$node->safe_psql('postgres', q{
    CREATE EXTENSION key_vault;
    CREATE TABLE device (n integer PRIMARY KEY, plain bytea, key key_vault.wrapped_key NOT NULL);

    CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF current_setting('test.hold', true) = concat_ws(' ', TG_ARGV[0], TG_OP, TG_RELNAME)
           AND to_jsonb(NEW) @> coalesce(nullif(current_setting('test.row', true), ''), '{}')::jsonb THEN
            PERFORM pg_sleep(1000);
        END IF;
        RETURN NEW;
    END $$;
});
foreach my $table (qw(key_vault.kek key_vault.audit_log key_vault.rewrap_state public.device))
{
    # PostgreSQL fires triggers in the order of their names, so these are the last ones.
    $node->safe_psql('postgres', qq{
        CREATE TRIGGER zzz_before BEFORE INSERT OR UPDATE ON $table FOR EACH ROW EXECUTE FUNCTION hold('before');
        CREATE TRIGGER zzz_after AFTER INSERT OR UPDATE ON $table FOR EACH ROW EXECUTE FUNCTION hold('after');
        CREATE CONSTRAINT TRIGGER zzz_commit AFTER INSERT OR UPDATE ON $table DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION hold('at commit of');
    });
}

sub sql
{
    my ($sql) = @_;
    $node->safe_psql('postgres', "SET client_min_messages = error; $sql");
}

# The KEKs and the keys under them, as they are now
sub state_of_things
{
    return sql(q{
        SELECT concat_ws(' ', label, version, state, encode(root_key_id, 'hex'), md5(sealed_material)) FROM key_vault.kek
        UNION ALL SELECT concat_ws(' ', n, key) FROM device ORDER BY 1});
}

# What must hold at any time.
sub check
{
    my ($what) = @_;

    is(sql(q{SELECT count(*), bool_and(key_vault.unwrap(key) = plain) FROM device}), '40|t', "$what: every key opens");
    is(sql(q{
        SELECT count(*) FROM key_vault.keks k
         WHERE (SELECT count(*) FROM key_vault.audit_log l WHERE (l.label, l.version) = (k.label, k.version)
                   AND l.event IN ('created', 'rotated')) <> 1
            OR (SELECT count(*) FROM key_vault.audit_log l WHERE (l.label, l.version) = (k.label, k.version)
                   AND l.event = 'destroyed') <> (k.state = 'destroyed')::integer}), 0, "$what: the audit log tells the same");
    is(sql(q{SELECT count(*) FROM key_vault.audit_log l WHERE version IS NOT NULL
                AND NOT EXISTS (SELECT FROM key_vault.keks k WHERE (l.label, l.version) = (k.label, k.version))}),
        0, "$what: and nothing else");
}

sub server_processes
{
    my ($postmaster) = @_;
    my @children;

    foreach my $stat (glob '/proc/[0-9]*/stat')
    {
        open my $file, '<', $stat or next;
        push @children, $1 if <$file> =~ /^(\d+) \(.*\) \S $postmaster /;
    }
    return @children;
}

sub kill_server
{
    my $postmaster = $node->{_pid};
    my @children   = server_processes($postmaster);

    kill 'KILL', $postmaster, @children;
    foreach my $process ($postmaster, @children)
    {
        select undef, undef, undef, 0.05 while kill 0, $process;
    }
    $node->{_pid} = undef;
    $node->start;
}

# Kills an operation at a step, either its backend or the whole server.
sub kill_at
{
    my ($operation, $step, $row, $whole_server) = @_;
    my @commands = map { ('-c', $_) } ('SET application_name = victim', "SET test.hold = '$step'", "SET test.row = '$row'", $operation);
    my ($out, $err) = ('', '');
    my $victim = IPC::Run::start([ 'psql', '-Xq', '-d', $node->connstr('postgres'), @commands ], '>', \$out, '2>', \$err,
        IPC::Run::timeout(180));

    $node->poll_query_until('postgres',
        q{SELECT count(*) FROM pg_stat_activity WHERE application_name = 'victim' AND wait_event = 'PgSleep'}, 1)
      or die "$operation does not come to: $step: $out $err";
    my $pid = $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE application_name = 'victim'});
    if ($whole_server)
    {
        kill_server();
        $victim->finish;
    }
    else
    {
        crash_backend($node, $pid);
        $victim->finish;
    }
}

# For each operation: how the test prepares it, its SQL, the steps at which it is killed, and what can be seen
# once it is done
sub fresh
{
    sql(q{TRUNCATE device;
        BEGIN; SET LOCAL session_replication_role = replica; DELETE FROM key_vault.kek; DELETE FROM key_vault.audit_log; COMMIT;
        SELECT key_vault.kek_create(label) FROM unnest(ARRAY['a', 'b']) label;
        INSERT INTO device SELECT n, decode(md5(n::text), 'hex'), key_vault.wrap(decode(md5(n::text), 'hex'), (ARRAY['a', 'b'])[1 + n % 2])
          FROM generate_series(1, 40) n});
}

# Puts one more root key at the head of the list.
my @root_keys = ("$ENV{TESTDIR}/root.key");
sub prepend_root_key
{
    my $path = "$ENV{TESTDIR}/root." . @root_keys;

    PostgreSQL::Test::Utils::system_or_bail('sh', '-c', "umask 077; openssl rand -hex 32 >$path");
    unshift @root_keys, $path;
    my $list = join ', ', map { "file:$_" } @root_keys;
    $node->append_conf('postgresql.conf', "key_vault.root_key = '$list'\n");
    $node->reload;
    $node->poll_query_until('postgres', qq{SELECT current_setting('key_vault.root_key') = '$list'}) or die 'no reload';
}

my %operations = (
    create => {
        sql   => q{SELECT key_vault.kek_create('c')},
        steps => [ 'before INSERT kek', 'after INSERT kek', 'before INSERT audit_log', 'after INSERT audit_log', 'at commit of INSERT kek' ],
        done  => [ q{SELECT count(*) FROM key_vault.keks WHERE label = 'c' AND state = 'active'}, 1 ],
    },
    rotate => {
        sql   => q{SELECT key_vault.kek_rotate('a')},
        steps => [ 'before UPDATE kek', 'after UPDATE kek', 'before INSERT kek', 'after INSERT kek', 'after INSERT audit_log',
            'at commit of UPDATE kek', 'at commit of INSERT kek' ],
        done  => [ q{SELECT string_agg(state, ',' ORDER BY version) FROM key_vault.keks WHERE label = 'a'}, 'deactivated,active' ],
    },
    destroy => {
        before => q{SELECT key_vault.kek_rotate('a'); UPDATE device SET key = key_vault.rewrap(key) WHERE key_vault.kek_label(key) = 'a'},
        sql   => q{SELECT key_vault.kek_destroy('a', 1)},
        steps => [ 'before UPDATE kek', 'after UPDATE kek', 'after INSERT audit_log', 'at commit of UPDATE kek' ],
        done  => [ q{SELECT string_agg(state, ',' ORDER BY version) FROM key_vault.keks WHERE label = 'a'}, 'destroyed,active' ],
    },
    'rewrap in one UPDATE' => {
        before => q{SELECT key_vault.kek_rotate('a')},
        sql   => q{UPDATE device SET key = key_vault.rewrap(key) WHERE key_vault.kek_label(key) = 'a' AND key_vault.kek_version(key) = 1},
        steps => [ 'before UPDATE device', 'after UPDATE device', 'at commit of UPDATE device' ],
        row   => '{"n": 20}',
        done  => [ q{SELECT min(key_vault.kek_version(key)) FROM device WHERE key_vault.kek_label(key) = 'a'}, 2 ],
    },
    # Batches that were committed stay: 5 keys of the 20 are rewrapped when the second batch is killed.
    rewrap_all => {
        before => q{SELECT key_vault.kek_rotate('a')},
        sql    => q{CALL key_vault.rewrap_all('a', batch_size => 5)},
        steps  => [
            [ 'before INSERT rewrap_state', '{"label": "a"}', 0 ],
            (map { [ $_, '{"n": 20}', 5 ] } 'before UPDATE device', 'after UPDATE device', 'at commit of UPDATE device'),
            (map { [ $_, '{"keys": 10}', 5 ] } 'before UPDATE rewrap_state', 'after UPDATE rewrap_state', 'at commit of UPDATE rewrap_state'),
            [ 'after INSERT audit_log', '{"event": "rewrapped"}', 20 ],
        ],
        stays  => q{SELECT count(*) FROM device WHERE (key_vault.kek_label(key), key_vault.kek_version(key)) = ('a', 2)},
        done   => [ q{SELECT min(key_vault.kek_version(key)) FROM device WHERE key_vault.kek_label(key) = 'a'}, 2 ],
    },
    'root key rotation' => {
        before => \&prepend_root_key,
        sql   => q{SELECT key_vault.root_key_rotate()},
        steps => [ 'before UPDATE kek', 'after UPDATE kek', 'after INSERT audit_log', 'at commit of UPDATE kek' ],
        # The row of the second KEK, so that the first one has already been sealed anew.
        row   => '{"label": "b"}',
        done  => [ q{SELECT count(DISTINCT k.root_key_id), bool_and(l.details ->> 'to' = encode(k.root_key_id, 'hex'))
                       FROM key_vault.keks k JOIN key_vault.audit_log l ON l.event = 'resealed' AND (l.label, l.version) = (k.label, k.version)},
            '1|t' ],
    },
);

foreach my $name (sort keys %operations)
{
    my $operation = $operations{$name};

    foreach (@{ $operation->{steps} })
    {
        my ($step, $row, $stays) = ref $_ ? @$_ : ($_, $operation->{row} // '', undef);

        foreach my $whole_server (0, 1)
        {
            my $what = "$name, " . ($whole_server ? 'server' : 'backend') . " killed $step";

            fresh();
            my $scene = $operation->{before} // 'SELECT';
            ref $scene ? $scene->() : sql($scene);
            my $before = state_of_things();
            kill_at($operation->{sql}, $step, $row, $whole_server);
            if (defined $stays)
            {
                is(sql($operation->{stays}), $stays, "$what: as far as it was committed");
            }
            else
            {
                is(state_of_things(), $before, "$what: it never was");
            }
            check($what);
            sql($operation->{sql});
            my ($look, $expected) = @{ $operation->{done} };
            is(sql($look), $expected, "$what: done again");
            check("$what: done again");
        }
    }

    # Once the operation has returned, a crash does not undo it.
    my $after = state_of_things();
    kill_server();
    is(state_of_things(), $after, "$name, server killed after it: it is done");
    check("$name, server killed after it");
}

done_testing();
