#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# Recordings (session.md 8): what is in them, in both cases of a relay, what a
# killed worker leaves, who may have them, how they end.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use Test::More;
use Time::HiRes qw(time);
use Mesh::Agent;
use Mesh::Control;
use Mesh::Relay qw(relay invite viewer answer);
use Mesh::Test qw(escape);

my $mesh = Mesh::Test->new;
my $dir = "$mesh->{dir}/recordings";
$mesh->{server} = "mesh_relay_record $dir protocols=1,5; "
                . 'mesh_relay_record_keep days=30; mesh_webrtc on;';
my $group;
$mesh->start(prepare => sub {
    $mesh->admin(\"correct horse battery\n", 'user', 'add', 'admin',
                 '--site-admin');
    $mesh->admin(\"a password for tests\n", 'user', 'add', 'mei');
    $group = $mesh->admin('group', 'add', 'Lab', '--owner', 'admin');
    chomp $group;
});

my $admin = Mesh::Control->new($mesh, 'admin', 'correct horse battery');
my $mei = Mesh::Control->new($mesh, 'mei', 'a password for tests');
my $agent = Mesh::Agent->new($mesh, n => 700, group => $group, name => 'pc');
$agent->online or die "no agent\n";

# --- one session, as players expect it

my ($v, $d, @said) = relay($mesh, $admin, $agent, 'first');
is_deeply(\@said, ['cr', 'cr'], 'who is recorded is told so, on both sides')
    if $mesh->metric('relays_local');
is($said[0], 'cr', 'the viewer is told that it is recorded');
$v->text('1');
is($d->read->{data}, '1', 'the session works');
$d->binary("\$ \xff\0prompt");
is($v->read->{data}, "\$ \xff\0prompt", 'both ways');
$v->close;
$d->closed;

my ($first) = whole(1);
my @block = blocks("$dir/$first->{filename}");
is($block[0]{type}, 1, 'the first block is about the session');
my $meta = decode_json($block[0]{data});
is_deeply([@$meta{qw(magic ver userid username protocol nodeid ipaddr1)}],
          ['MeshCentralRelaySession', 1, 'user//admin', 'admin', 1,
           $agent->node, '127.0.0.1'], 'and says whose, where, from where');
is_deeply([map { [@$_{qw(type flags data)}] } @block[1 .. $#block]],
          [[2, 2, '1'], [2, 1, "\$ \xff\0prompt"], [3, 0, 'MeshCentralMCREC']],
          'then each message with its side and kind, then the end');
ok(!(grep { abs($_->{time} / 1000 - time) > 60 } @block), 'with their times');
like($first->{filename},
     qr/^relaysession-\d{4}(?:-\d\d){5}-admin-[0-9a-f]{16}\.mcrec$/,
     'its name says when and who');
is((stat "$dir/$first->{filename}")[2] & 0777, 0600, 'nobody else reads it');
my $event;
$mesh->wait_for('the event', sub {
    ($event) = grep { $_->{action} eq 'recording' }
        @{ $admin->ask({ action => 'events', limit => 20 })->{events} };
});
is($event->{filename}, $first->{filename}, 'an event says that it is there');
is($event->{size}, -s "$dir/$first->{filename}", 'and how large it is');

# --- messages are whole and in order, whatever the frames were

my ($n, $tried) = (0, 0);
for my $i (1 .. 60) {
    last if $i > 8 && $mesh->metric('relays_local')
            && $mesh->metric('relays_cross');
    $tried++;
    ($v, $d) = relay($mesh, $admin, $agent, "mixed$i", 5);
    my $large = Mesh::Agent::random(1000) x 400;
    my $half = length($large) / 2;

    # the device is in the middle of a message when the viewer says something
    $d->raw($d->frame(2, substr($large, 0, $half), fin => 0));
    $v->fill(time + 10) while !length $v->{in};
    $v->text('5');
    $v->binary("key $_") for 1 .. 3;
    $d->read for 1 .. 4;
    $v->raw($v->frame(2, 'cut ', fin => 0) . $v->frame(9, 'ping')
            . $v->frame(0, 'in two'));
    $d->read;
    $d->raw($d->frame(0, substr $large, $half));
    $v->read;
    $v->binary('after');
    $d->read;
    $v->close;
    $d->closed;

    my ($newest) = whole(1 + $i);
    my @message = map { $_->{data} } grep { $_->{type} == 2 }
        blocks("$dir/$newest->{filename}");
    $n++ if join('|', map { $_ eq $large ? 'LARGE' : $_ } @message)
            eq 'LARGE|5|key 1|key 2|key 3|cut in two|after';
}
is($n, $tried, 'messages that were sent at once are each whole, in their order');
my ($local, $cross) = map { $mesh->metric($_) } qw(relays_local relays_cross);
ok($local && $cross, "in one worker ($local) and over two ($cross)");

# --- a protocol that is not among them

($v, $d, @said) = relay($mesh, $admin, $agent, 'other', 2);
is($said[0], 'c', 'a protocol that is not named is not recorded');
$v->close;

is(invite($admin, $agent, 'beside', 5)->{soptions}{webrtc}, JSON::PP::false,
   'what is recorded does not go beside the server');
is(invite($admin, $agent, 'beside2', 2)->{soptions}{webrtc}, JSON::PP::true,
   'what is not may');

# --- who sends faster than is read

($v, $d) = relay($mesh, $admin, $agent, 'flood', 10);
my $before = $mesh->memory;
my $sent = 0;
my $frame = $d->frame(2, 'f' x 60000);
my $reader = fork // die "fork: $!\n";
if (!$reader) {
    1 while $v->read;
    exit 0;
}
$sent += $d->raw($frame) ? 60000 : 0 for 1 .. 500;
cmp_ok($mesh->memory - $before, '<', ($ENV{MESH_ASAN} ? 256 : 24) * 1048576,
       'S-18: a recording of 30 MB is not kept in memory');
$d->close;
waitpid $reader, 0;
my ($flood) = whole(2 + $tried);
is((grep { $_->{type} == 2 && $_->{data} eq 'f' x 60000 }
    blocks("$dir/$flood->{filename}")), $sent / 60000, 'and is all there');

# --- a download of the browser's own (devicefile.ashx)

my $file = Mesh::Agent::random(1 << 20) x 3;
my ($got, $down) = download();
is_deeply([map { $_->{data} } $down->read, $down->read],
          ['{"type":"options","file":"/f"}', '10'], 'a download is asked for');
$down->text('{"op":"ok","size":' . length($file) . '}');
$down->binary(substr $file, $_ * 65536, 65536) for 0 .. 47;
is(do { local $/; <$got> }, length $file, 'it comes whole while it is recorded');
close $got;
my ($download) = whole(3 + $tried);
is($download->{protocol}, 10, 'it has a recording, as sessions of files have');
my @parts = grep { $_->{type} == 2 } blocks("$dir/$download->{filename}");
is_deeply([map { [@$_{qw(flags data)}] } @parts[0 .. 2]],
          [[2, '{"type":"options","file":"/f"}'], [2, '10'],
           [0, '{"op":"ok","size":' . length($file) . '}']],
          'with what was asked for and answered');
ok(join('', map { $_->{data} } @parts[3 .. $#parts]) eq $file,
   'and all of the file');

# --- whoever offers to go beside it all the same

my @leave = (
    '{"type":"offer","sdp":"v=0"}',
    '{"sdp":"v=0","ctrlChannel":"102938","type":"answer"}',
    (map { qq({"ctrlChannel":102938,"type":"webrtc$_"}) } 0 .. 2),
    '{"\u0074yp\u0065":"off\u0065r","sdp":"v=0"}',
    " \r\n\t{ \"a\" : {\"type\":[\"}\",1]} , \"type\"\n:\t\"offer\" }",
    '{"type":"offer","type":"rtt"}',
    '{"x":"\\\\","type":"offer"}',
    '{"action":"webRtcSdp","id":0,"sdp":{}}',
    '{"action":"webRtcIce","id":0}', '{"action":"rtcSwitch","v":0}',
    '{"pad":"' . 'x' x 9000 . '","type":"offer"}');
my @stay = (
    '{"type":"rtt","time":1}', '{"type":"offers"}', '{"type":1}', '5', '{', '',
    '{"msg":"\"type\":\"offer\"","a":{"type":"offer"},"b":["type","offer"]}',
    "say {\"type\":\"offer\"}",
    '{"dir":[' . join(',', ('{"n":"type","t":"offer"}') x 20000) . ']}');

# all of it, cut into frames and into reads, and something behind it
sub said {
    my ($from, $to, $cut) = @_;
    for my $text (@leave, @stay) {
        my @part = $cut ? $text =~ /(.{1,7})/gs : $text;
        @part = (substr($text, 0, 9), substr $text, 9) if @part > 2000;
        @part = '' if !@part;
        for my $n (0 .. $#part) {
            my $frame = $from->frame($n ? 0 : 1, $part[$n], fin => $n == $#part);
            next if $from->raw($frame) && $n % 50;
            $from->alive;
        }
    }
    $from->raw($from->frame(1, '{"type":"of', fin => 0)
               . $from->frame(9, 'between') . $from->frame(0, 'fer"}')
               . $from->frame(2, "{\"type\":\"offer\"}"));
    return map { $to->read->{data} } @stay, 'binary';
}

my %where;
my $tries = 0;
while (keys %where < 2 && $tries++ < 60) {
    my $in_one = $mesh->metric('relays_local');
    ($v, $d, @said) = relay($mesh, $admin, $agent, "leave$tries", 5);
    my $case = $mesh->metric('relays_local') > $in_one ? 'one worker' : 'two';
    if (!$where{$case}++) {
        for my $cut (0, 1) {
            my $how = $cut ? 'in many frames' : 'in one frame each';
            is_deeply([said($v, $d, $cut)], [@stay, '{"type":"offer"}'],
                      "no offer leaves a recorded session, $how, in $case");
            is_deeply([said($d, $v, $cut)], [@stay, '{"type":"offer"}'],
                      "nor an answer, $how, in $case");
        }
    }
    $_->close, $_->closed for $v, $d;
}
is(keys %where, 2, 'that is so in one worker and over two');
my ($left) = whole(3 + $tried + $tries);
my %kept = map { $_->{data} => 1 } blocks("$dir/$left->{filename}");
is_deeply([grep { $kept{$_} } @leave], [], 'what was dropped was not recorded');
is_deeply([grep { !$kept{$_} } @stay], [], 'what was not was');

my $early = invite($admin, $agent, 'early', 5);
$v = viewer($mesh, $admin, $agent, 'early', 5);
$v->text($leave[0]);
$v->raw($v->frame(1, '{"a":1', fin => 0));
$v->alive;
$d = answer($mesh, $early);
$v->raw($v->frame(0, '}'));
$_->read for $v, $d;
is($d->read->{data}, '{"a":1}',
   'nor one that was made before the device came');
$v->text('{"pad":"' . 'x' x 100_000 . '","type":"offer"}');
is($v->closed, 1008, 'one that is too long to be kept ends the session');
$d->closed;

($v, $d) = relay($mesh, $admin, $agent, 'free', 2);
$v->text($leave[0]);
is($d->read->{data}, $leave[0], 'where nothing is recorded an offer passes');
$_->close for $v, $d;

# --- a worker is killed

my @open = map { [relay($mesh, $admin, $agent, "killed$_", 8)] } 1 .. 6;
for (@open) {
    $_->[0]->text('1');
    $_->[1]->binary('before the kill');
    $_->[0]->read;
}
$mesh->wait_for('what was said to be on disk', sub {
    6 == grep { /before the kill/ } map { Mesh::Test::read_file($_) }
        glob "$dir/*.mcrec";
});
$mesh->expect_alert(qr/worker process \d+ exited on signal 9/,
                    qr/^.*: could not lock|ngx_mesh/);
my @workers = $mesh->workers;
kill 'KILL', @workers;
$_->[0]->closed for @open;
$mesh->ready(@workers);
$admin = Mesh::Control->new($mesh, 'admin', 'correct horse battery');
my @cut = grep { !$_->{whole} } @{ recordings($admin) };
is(scalar @cut, 6, 'S-26: sessions of killed workers are in the list');
is((grep { grep { $_->{data} eq 'before the kill' }
               blocks("$dir/$_->{filename}") } @cut), 6, 'and play so far');
is($cut[0]{protocol}, 8, 'also another terminal than the one that is named');
$agent = Mesh::Agent->new($mesh, n => 700, group => $group, name => 'pc');
$agent->online or die "no agent\n";

# --- S-55: who may have them

is($mei && Mesh::Control->new($mesh, 'mei', 'a password for tests')
       ->ask({ action => 'recordings' })->{result}, 'Access denied',
   'S-55: without the right there is no list');
is($mesh->get("/recordings.ashx?file=$first->{filename}")->{status}, 401,
   'S-55: nor a file without a session');
my $cookie = login('mei', 'a password for tests');
is(fetch($first->{filename}, $cookie)->{status}, 401,
   'S-55: nor with one that has no right to it');
$cookie = login('admin', 'correct horse battery');
$got = fetch($first->{filename}, $cookie);
is($got->{status}, 200, 'who has it gets the file');
is($got->{body}, Mesh::Test::read_file("$dir/$first->{filename}"), 'whole');
like($got->{head}, qr/^content-disposition: attachment; filename="\Q$first->{filename}\E"\r?$/mi,
     'to be kept, not shown');
like($got->{head}, qr/^x-content-type-options: nosniff/mi, 'nor guessed');
$got = fetch($first->{filename}, $cookie, Range => 'bytes=16-39');
is($got->{status}, 206, 'a player asks for parts');
is($got->{body}, substr(Mesh::Test::read_file("$dir/$first->{filename}"), 16, 24),
   'and gets them');

Mesh::Test::write_file("$dir/secret.txt", 'not a recording');
Mesh::Test::write_file("$dir/text.mcrec", 'not a recording either');
Mesh::Test::write_file("$dir/relaysession-x-2026-01-01-00-00-00-a-1.mcrec",
    block(1, 0, encode_json({ magic => 'MeshCentralRelaySession', ver => 1,
                              nodeid => 'node/x/' . 'a' x 64 })));
symlink "$mesh->{dir}/nginx.conf", "$dir/link.mcrec";
for my $name ('../nginx.conf', '..%2fnginx.conf', 'secret.txt', 'text.mcrec',
              'link.mcrec', '.mcrec', '', 'a%00.mcrec', 'x' x 300 . '.mcrec',
              'relaysession-x-2026-01-01-00-00-00-a-1.mcrec')
{
    like(fetch($name, $cookie)->{status}, qr/^40[14]$/,
         'S-55: "' . substr($name, 0, 50) . '" is no recording of this domain');
    next if $name =~ /%/ || $name eq '';
    is($admin->ask({ action => 'deleterecording', file => $name })->{result},
       'Invalid file', 'S-55: nor can it be deleted')
}
ok(-e "$dir/secret.txt" && -e "$dir/text.mcrec" && -l "$dir/link.mcrec",
   'S-55: they are all there');

my $own = @{ recordings($admin) };
Mesh::Test::write_file("$dir/relaysession-x-2100-01-01-00-00-0$_-a-1.mcrec",
    Mesh::Test::read_file("$dir/relaysession-x-2026-01-01-00-00-00-a-1.mcrec"))
    for 1 .. 3;
is(@{ $admin->ask({ action => 'recordings', limit => 2 })->{events} }, 2,
   'S-33: newer ones of another domain hide none of this');
my $list = $admin->ask({ action => 'recordings', limit => $own });
is_deeply([scalar @{ $list->{events} }, $list->{more}],
          [$own, JSON::PP::false], 'S-33: nor does "more" tell of them');
ok($admin->ask({ action => 'recordings', limit => $own - 1 })->{more},
   'it tells of those of this one');

is($admin->ask({ action => 'deleterecording', file => $first->{filename} })
       ->{result}, 'ok', 'a recording is deleted');
ok(!-e "$dir/$first->{filename}", 'S-55: with its file');
is(fetch($first->{filename}, $cookie)->{status}, 404, 'S-55: and is gone');

# --- how long they are kept

my ($old) = grep { $_->{whole} } @{ recordings($admin) };
utime time, time - 31 * 86400, "$dir/$old->{filename}";
($v, $d) = relay($mesh, $admin, $agent, 'sweep');
$v->close;
$mesh->wait_for('the old one to go', sub { !-e "$dir/$old->{filename}" });
ok(1, 'after mesh_relay_record_keep a recording is removed');
ok(-e "$dir/secret.txt", 'and nothing else');

for my $keep ('count=2', 'size=4k') {
    my $mesh = Mesh::Test->new;
    my $dir = "$mesh->{dir}/recordings";
    my $group;
    $mesh->{server} = "mesh_relay_record $dir; mesh_relay_record_keep $keep;";
    mkdir $dir;
    Mesh::Test::write_file("$dir/relaysession-$_-01-01-00-00-00-a-1.mcrec",
                           'x' x 5000) for 2000, 2100, 2101;
    $mesh->start(prepare => sub {
        $mesh->admin(\"correct horse battery\n", 'user', 'add', 'admin',
                     '--site-admin');
        $group = $mesh->admin('group', 'add', 'Lab', '--owner', 'admin');
        chomp $group;
    });
    my $left = sub { return grep { !/-210\d-/ } glob "$dir/*.mcrec" };
    ok($mesh->wait_for('the oldest to go', sub { !$left->() }),
       "$keep: what is over it goes when the server starts");

    my $admin = Mesh::Control->new($mesh, 'admin', 'correct horse battery');
    my $agent = Mesh::Agent->new($mesh, n => 700, group => $group,
                                 name => 'pc');
    $agent->online or die "no agent\n";
    my @idle = relay($mesh, $admin, $agent, 'idle');
    $idle[0]->binary('x' x 5000);
    my $file;
    $mesh->wait_for('its file', sub {
        ($file) = $left->();
        return $file && -s $file > 5000;
    });
    utime time - 7200, time - 7200, $file;
    my @brief = relay($mesh, $admin, $agent, 'brief');
    $mesh->wait_for('another file', sub { $left->() == 2 });
    $brief[0]->binary('x' x 5000);
    $brief[1]->read;
    $_->close for @brief[0, 1];
    $mesh->wait_for('that to go', sub { $left->() < 2 });
    is_deeply([$left->()], [$file],
              "$keep: one that is still written is kept, however long idle");
    $_->close for @idle[0, 1];
    ok($mesh->wait_for('the idle one to go', sub { !$left->() }),
       "$keep: and goes when it is not");
    $mesh->stop;
}

# --- a desktop has an index, that of session.md 8.6

{
    my $mesh = Mesh::Test->new;
    my $dir = "$mesh->{dir}/recordings";
    my $group;
    $mesh->{server} = "mesh_relay_record $dir; mesh_desktop_share off;";
    $mesh->start(prepare => sub {
        $mesh->admin(\"correct horse battery\n", 'user', 'add', 'admin',
                     '--site-admin');
        $group = $mesh->admin('group', 'add', 'Lab', '--owner', 'admin');
        chomp $group;
    });
    my $admin = Mesh::Control->new($mesh, 'admin', 'correct horse battery');
    my $agent = Mesh::Agent->new($mesh, n => 700, group => $group,
                                 name => 'pc');
    $agent->online or die "no agent\n";

    my %seen;
    for my $cut ('', pack 'n2', 3, 9000) {
        my @half = relay($mesh, $admin, $agent, 'desk' . length $cut, 2);
        $half[0]->text('2');
        $half[1]->read;
        $half[1]->binary(pack 'n4', 7, 8, 64, 64);
        $half[1]->binary($cut) if length $cut;
        $half[1]->binary(pack 'n4', 7, 8, 64, 64);
        $half[0]->read for 1 .. (length $cut ? 3 : 2);
        $half[0]->close;
        $half[1]->closed;
        my $file;
        $mesh->wait_for('the recording', sub {
            ($file) = grep { $_->{action} eq 'recording'
                             && !$seen{$_->{filename}}
                             && -s "$dir/$_->{filename}" == $_->{size} }
                @{ $admin->ask({ action => 'events', limit => 5 })->{events} };
        });
        $seen{$file->{filename}} = 1;
        my @block = blocks("$dir/$file->{filename}");
        if (length $cut) {
            is_deeply([map { $_->{type} } @block], [1, 2, 2, 2, 2, 3],
                      'a desktop that an index cannot tell of has none');
            is($block[-1]{data}, 'MeshCentralMCREC', 'and ends as all others');
            next;
        }
        is_deeply([map { $_->{type} } @block], [1, 2, 2, 2, 4, 3],
                  'a desktop has an index behind its messages');
        is_deeply(decode_json($block[4]{data}),
                  { indexInterval => 10, indexes => [],
                    indexStartTime => $block[1]{time} },
                  'from its first message on');
        is_deeply([@{ $block[5] }{qw(data time)}],
                  ['MeshCentralMCNDX',
                   $file->{size} - 32 - 16 - length $block[4]{data}],
                  'and an end that says where the index is');
        my ($row) = @{ recordings($admin) };
        is_deeply([@$row{qw(whole lengthTime)}],
                  [JSON::PP::true,
                   int(($block[4]{time} - $block[0]{time}) / 1000)],
                  'the list has its end');
        is($row->{size}, $file->{size}, 'and its size');
    }
    $mesh->stop;
}

# --- a session that must be recorded and cannot be

rename $dir, "$dir.away";
my $command = invite($admin, $agent, 'nowhere');
$v = viewer($mesh, $admin, $agent, 'nowhere');
$d = answer($mesh, $command);
$v->read;
is($v->closed, 1011, 'a session that cannot be recorded ends');
like($mesh->error_log, qr/recording ".*" cannot be made, the session ends/,
     'and the log says why');
($got, $down) = download();
$down->closed;
is(do { local $/; <$got> }, 0, 'nor is there a download that cannot be');
close $got;
rename "$dir.away", $dir;
($v, $d, @said) = relay($mesh, $admin, $agent, 'again');
is($said[0], 'cr', 'with the folder back it goes on');
$v->close;

$mesh->stop;
done_testing;


sub block {
    my ($type, $flags, $data) = @_;
    return pack('nnNNN', $type, $flags, length $data, 0x19a, 0) . $data;
}

# blocks of a file; the last may be cut
sub blocks {
    my ($file) = @_;
    my $bytes = Mesh::Test::read_file($file);
    my @list;
    while (length $bytes >= 16) {
        my ($type, $flags, $size, $high, $low) = unpack 'nnNNN', $bytes;
        push @list, { type => $type, flags => $flags,
                      time => $high * 2**32 + $low,
                      data => substr $bytes, 16, $size };
        $bytes = substr $bytes, 16 + $size > length $bytes ? length $bytes
                                                           : 16 + $size;
    }
    return @list;
}

# the length that a browser gets, from a child, and the agent's half
sub download {
    my $cookie = escape($admin->ask({ action => 'authcookie' })->{cookie});
    my $pid = open(my $got, '-|') // die "fork: $!\n";
    if (!$pid) {
        my $r = $mesh->get('/devicefile.ashx?f=/f&n=' . escape($agent->node)
                           . "&c=$cookie");
        print $r->{status} == 200 ? length $r->{body} : 0;
        exit 0;
    }
    while (my $m = $agent->await('msg')) {
        next if ($m->{json}{type} // '') ne 'tunnel';
        my $device = answer($mesh, $m->{json});
        $device->read;
        return ($got, $device);
    }
    die "no invitation\n";
}

sub recordings { return $_[0]->ask({ action => 'recordings' })->{events} }

# the list, newest first, once n of it are whole
sub whole {
    my ($n) = @_;
    my @list;
    $mesh->wait_for("$n recordings", sub {
        @list = grep { $_->{whole} } @{ recordings($admin) };
        return @list >= $n;
    });

    # those of one second have no order of their own
    return sort { $b->{startTime} <=> $a->{startTime} } @list;
}

# the cookies of a browser that is signed in
sub login {
    my ($user, $password) = @_;
    my $page = $mesh->get('/session.ashx');
    my %cookie = $page->{head} =~ /^set-cookie: (__Host-[\w-]+)=([^;\r\n]+)/mig;
    my $r = $mesh->request('POST', '/login.ashx',
        headers => { Cookie => join('; ', map { "$_=$cookie{$_}" } keys %cookie),
                     Origin => "https://localhost:$mesh->{port}",
                     'X-Mesh-CSRF' => decode_json($page->{body})->{csrf},
                     'Content-Type' => 'application/json' },
        body => encode_json({ username => $user, password => $password }));
    die "login: $r->{status} $r->{body}\n" if $r->{status} != 200;
    my ($session) = $r->{head} =~ /^set-cookie: (__Host-mesh=[^;\r\n]+)/mi;
    return $session;
}

sub fetch {
    my ($name, $cookie, %more) = @_;
    return $mesh->get("/recordings.ashx?file=$name",
                      headers => { Cookie => $cookie, %more });
}

# resident bytes of all workers
