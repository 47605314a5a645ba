# Messages that are changed at random.  Whatever comes, a storage takes it or rejects it with a reason: it raises no error,
# shows no plaintext key, and stores a set of messages as it stores them one by one.
#
# The messages are the demo's and some others, with the values that real ones have.  The changes are the same in each run,
# unless KEY_VAULT_SEED is set.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use VaultCluster;
use PostgreSQL::Test::Utils qw(slurp_file);
use JSON::PP;
use Test::More;
use IPC::Run;

my $seed = $ENV{KEY_VAULT_SEED} // 1;
my $rounds = $ENV{KEY_VAULT_LONG} ? 500 : 10;
my $key = 'EC925802AE430CA77FD3DD73CB2CC588';
srand($seed);
note "KEY_VAULT_SEED=$seed";

my $json = JSON::PP->new->canonical->allow_nonref;
my @originals = map { $json->decode(slurp_file($_)) } glob("$FindBin::Bin/../../demo/messages/*.json");
is(@originals, 2, 'the messages of the demo');
my ($tts) = grep { $_->{end_device_ids} } @originals;
my ($chirpstack) = grep { $_->{deviceInfo} } @originals;
sub copy { return $json->decode($json->encode($_[0])) }
{
    # A plaintext key, a join, downlinks, ChirpStack's other events
    my $with_key = copy($tts);
    $with_key->{uplink_message}{app_s_key} = { key => $key };
    my $join = copy($tts);
    my $uplink = delete $join->{uplink_message};
    $join->{join_accept} = { session_key_id => $uplink->{session_key_id}, app_s_key => $uplink->{app_s_key}, received_at => $uplink->{received_at}, invalidated_downlinks => [ { f_port => 3, f_cnt => 9, frm_payload => 'AQI=' } ] };
    my $downlinks = copy($tts);
    delete $downlinks->{uplink_message};
    $downlinks->{downlink_queue_invalidated} = { downlinks => [ map { { f_port => 3, f_cnt => $_, frm_payload => 'AQI=', session_key_id => $uplink->{session_key_id} } } 1 .. 3 ], last_f_cnt_down => 9 };
    my $ack = copy($chirpstack);
    delete @{$ack}{qw(devAddr data fCnt fPort rxInfo txInfo joinServerContext)};
    @{$ack}{qw(queueItemId acknowledged fCntDown)} = ('q1', JSON::PP::true, 4);
    push @originals, $with_key, $join, $downlinks, $ack, { result => copy($tts) };
}

# Other network servers, and the storage's own form
my @others;
{
    my $event = { kind => 'uplink', received_at => '2024-05-01T12:00:00Z', dev_eui => '0004A30B001C0531', application_id => 'app1', dev_addr => '260B1234', session_key_id => '0187', f_port => 2, f_cnt => 65538,
        frm_payload => '2e115ed9a45c99', app_s_key => copy($tts->{uplink_message}{app_s_key}) };
    my %frame = (%$event, phy_payload => '4034120b26000200022e115ed9a45c9901020304');
    delete @frame{qw(f_port frm_payload)};
    @others = ({ storage_event => $event }, { storage_event => [ { %frame }, { kind => 'downlink', event => 'sent', %{$event}{qw(received_at dev_eui application_id f_cnt)} } ] },
      { applicationID => '123', deviceName => 'd', devEUI => 'AgICAgICAgI=', devAddr => 'AFE5Qg==', rxInfo => [ { time => '2024-05-01T12:00:00Z' } ], txInfo => {}, fCnt => 10, fPort => 5, data => 'AQI=' },
      { WirelessDeviceId => 'd', PayloadData => 'AQI=', WirelessMetadata => { LoRaWAN => { DevAddr => '00b96cd4', DevEui => '58a0cb000202c990', FCnt => 1, FPort => 2, Timestamp => '2024-05-01T12:00:00Z' } } },
      { DevEUI_uplink => { Time => '2024-05-01T14:00:00.5+02:00', DevEUI => '0018B20000000B20', FPort => '1', FCntUp => '7', payload_hex => '0102', CustomerID => '11', AppSKey => $key, DevAddr => '04D2848E' } },
      { cmd => 'rx', EUI => '01020304050607AA', ts => 1714564800000, fcnt => 1, port => 1, encdata => '0102AABB' });
}

my @values = (undef, JSON::PP::true, JSON::PP::false, 0, 1, -1, 255, 256, 65538, 4294967295, 4294967296, 1.5, 1e300, '', 'x', '0', '00', 'AQI=', 'AQI', "\x{e4}\x{1f600}",
    "\x{0}", '0102030405060708', '260B1234', '2024-05-01T12:00:00Z', '2024-02-30T12:00:00Z', '0001-01-01T00:00:00Z', '9999-12-31T23:59:60Z', 'x' x 300, 'A' x 400, [], {}, [ [] ], [ {} ], [ 1, 2 ],
    { a => 1 }, { wrapped_key => 1 }, { sealed => [1] });
sub any { return $_[ int rand @_ ] }

# The places in a message, but for those in which a key stands: each a reference to the value, and what it is in.
sub places
{
    my ($value) = @_;
    return map { my $name = $_; $name =~ /key$/i && !ref $value->{$name} ? () : ([ $value, $name ], places($value->{$name})) } sort keys %$value if ref $value eq 'HASH';
    return map { ([ $value, $_ ], places($value->[$_])) } 0 .. $#$value if ref $value eq 'ARRAY';
    return ();
}

my @pool = @originals;

sub changed
{
    my $message = copy(any(@pool));
    foreach (1 .. 1 + int rand 3)
    {
        my @places = places($message) or last;
        my ($in, $at) = @{ any(@places) };
        my $what = int rand 4;
        if ($what == 0 && ref $in eq 'HASH') { delete $in->{$at} }
        elsif ($what == 1 && ref $in eq 'ARRAY') { push @$in, copy($in->[$at]) }
        else { my $new = copy(any(@values)); ref $in eq 'HASH' ? ($in->{$at} = $new) : ($in->[$at] = $new) }
    }
    my $text = $json->encode($message);
    # Of two uplinks that contradict each other, and of which one has no counter, the first one that is stored counts.  In a
    # set, this need not be the first one that came.  If they have no time, they contradict each other in one transaction only.
    my $events = $text =~ /"storage_event":\[/ ? 2 : 1;
    my @counters = $text =~ /"(?:f_cnt|fCnt|FCnt|FCntUp|fcnt)":[^n]/g;
    my @times = $text =~ /"(?:received_at|time|Timestamp|Time|ts)":(?:"2024|17)/g;
    return changed() if $text !~ /"(?:end_device_ids|deviceInfo)":/ && (@counters < $events || @times < $events);
    return $text;
}

# Bytes are changed, or taken away, in places of the text where no key stands.
sub damaged
{
    my $text = changed();
    $text = changed() while $text =~ /$key/;
    foreach (1 .. 1 + int rand 3)
    {
        my $at = int rand length $text;
        my $what = int rand 4;
        if ($what == 0) { substr($text, $at, 1) = any(split //, qq({}[]",:\\0a-\n )) }
        elsif ($what == 1) { substr($text, $at, 1 + int rand 20) = '' }
        elsif ($what == 2) { $text = substr $text, 0, $at }
        else { substr($text, $at, 0) = substr $text, int rand length $text, 30 }
    }
    return length $text ? $text : '{';
}

my $node = new_node('mutations');
$node->init;
$node->configure_vault;
$node->start;
$node->safe_psql('postgres', q{
    CREATE EXTENSION key_vault;
    SELECT key_vault.kek_import('app1-kek', '\x000102030405060708090a0b0c0d0e0f'), key_vault.kek_create('lorawan');
    CALL key_vault.create_storage('sets', kek_label => 'lorawan', keep_messages => true);
    CALL key_vault.create_storage('singles', kek_label => 'lorawan', keep_messages => true);
    CALL key_vault.create_storage('texts', kek_label => 'lorawan');
    CREATE TABLE line (n serial, line text);
    -- What a storage has, but for when each row was written
    CREATE FUNCTION contents(schema name) RETURNS SETOF text LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM set_config('search_path', format('%I, pg_catalog', schema), true);
        RETURN QUERY SELECT row(u.dev_eui, u.session_key_id, u.f_cnt, u.f_port, u.encrypted, u.dev_addr, u.frm_payload, u.application_id, u.message, nullif(u.received_at, u.stored_at), u.simulated)::text FROM uplink u
            UNION ALL SELECT row(d.dev_eui, d.event, d.session_key_id, d.f_cnt, d.f_port, d.dev_addr, d.frm_payload, d.application_id, d.queue_item_id, d.item, nullif(d.received_at, d.stored_at))::text FROM downlink d
            UNION ALL SELECT row(s.dev_eui, s.session_key_id, s.application_id, s.dev_addr, s.app_s_key, nullif(s.started_at > now() - interval '1 day', true), s.kek_label, s.encrypted_key, s.envelope_digest)::text FROM session s
            UNION ALL SELECT row(r.tries, r.sqlstate, r.reason, r.field, r.found, r.expected, r.hint, r.message, r.digest)::text FROM rejected r;
    END $$;
});

# The lines go in by COPY, so that any text can be one.
sub load
{
    my ($table, @lines) = @_;
    utf8::encode($_) foreach @lines;
    s/([\\\n\r\t])/{ "\\" => "\\\\", "\n" => '\\n', "\r" => '\\r', "\t" => '\\t' }->{$1}/ge foreach @lines;
    return "COPY $table FROM STDIN;\n" . join("\n", @lines) . "\n\\.\n";
}

my ($errors, $counts, $texts) = ('', '', '');
foreach my $round (1 .. 2 * $rounds)
{
    @pool = @others if $round > $rounds;
    my @lines = map { changed() } 1 .. 300;
    my ($status, $out, $error) = $node->psql('postgres', "SET client_min_messages = error; TRUNCATE line RESTART IDENTITY;\n" . load('line (line)', @lines) .
        q{SELECT stored + duplicates + rejected FROM sets.ingest(ARRAY(SELECT line FROM line ORDER BY n));
          SELECT count(singles.ingest(line)) FROM (SELECT line FROM line ORDER BY n) l;});
    $errors .= $error;
    $counts .= "$round: $out\n" if $out ne "300\n300";
    ($status, $out, $error) = $node->psql('postgres', "SET client_min_messages = error;\n" . load('texts.inbox', map { damaged() } 1 .. 300));
    $texts .= $error;
}
is($errors, '', (2 * $rounds * 300) . ' changed messages: no error');
is($counts, '', 'each has an outcome');
is($texts, '', 'as many damaged texts: no error');
is($node->safe_psql('postgres', q{SELECT a, count(*) FROM ((SELECT contents('sets') EXCEPT ALL SELECT contents('singles')) UNION ALL (SELECT contents('singles') EXCEPT ALL SELECT contents('sets'))) d (a) GROUP BY 1 LIMIT 5}), '', 'a set of messages is stored as each of them is');
cmp_ok($node->safe_psql('postgres', "SELECT count(*) FROM $_"), '>', $rounds, "there are $_") foreach qw(sets.uplink sets.downlink sets.session sets.rejected texts.rejected texts.uplink);
is($node->safe_psql('postgres', q{SELECT count(*) FROM sets.rejected WHERE reason = ''}), '0', 'rejected messages have a reason');
is($node->safe_psql('postgres', q{SELECT opened, stored FROM sets.replay_rejected()}), '0|0', 'which stands when they are tried again');
my $dump = '';
IPC::Run::run([ 'pg_dump', '-d', $node->connstr('postgres'), '--exclude-table=public.line' ], '>', \$dump) or die 'pg_dump';
unlike($dump, qr/$key|7JJYAq5DDKd\/091zyyzFiA|ec925802ae430ca77fd3dd73cb2cc588/i, 'the plaintext key is nowhere');
unlike(slurp_file($node->logfile), qr/$key/i, 'nor in the log');

done_testing();
