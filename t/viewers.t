#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# Several viewers of one desktop (session.md 9 and 1.15, rule 11): one stream of
# the device, the picture for who comes late, each at its own pace, and what
# each of them may do.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Select;
use JSON::PP;
use Socket qw(SOL_SOCKET SO_SNDBUF);
use Test::More;
use Time::HiRes qw(time);
use Mesh::Agent;
use Mesh::Control;
use Mesh::Relay;
use Mesh::Test;

my %RIGHTS = (full => 8, limited => 8 + 4096, view => 256);
my %PACKET = (
    key => pack('nnCC', 1, 6, 0, 0x41),
    ctrl => pack('nnCC', 1, 6, 0, 0x11),
    mouse => pack('nnCCnn', 2, 10, 0, 2, 30, 20),
    refresh => pack('nn', 6, 4),
    pause => pack('nnC', 8, 5, 1),
    go => pack('nnC', 8, 5, 0),
    cad => pack('nn', 10, 4),
    display => pack('nnn', 12, 6, 65535),
    unicode => pack('nnCn', 85, 7, 0, 0xe9),
    lock => pack('nnC', 87, 5, 1),
    up => pack('nnCC', 1, 6, 1, 0x41),
    released => pack('nnCCnn', 2, 10, 0, 4, 30, 20),
);
my $SIZE = pack 'nnnn', 7, 8, 640, 480;
my $LIMIT = 2 * 1048576;

my $mesh = Mesh::Test->new(
    server => "mesh_relay_wait 8s; mesh_desktop_cache $LIMIT;");
my $group;
$mesh->start(prepare => sub {
    $mesh->admin(\"correct horse battery\n", 'user', 'add', 'admin',
                 '--site-admin');
    $mesh->admin(\"a password for tests\n", 'user', 'add', $_)
        for sort keys %RIGHTS;
    $group = $mesh->admin('group', 'add', 'Lab', '--owner', 'admin');
    chomp $group;
});

my $admin = Mesh::Control->new($mesh, 'admin', 'correct horse battery');
my $agent = Mesh::Agent->new($mesh, n => 720, group => $group);
$agent->online or die "no agent\n";

my %who = (admin => $admin);
for my $name (sort keys %RIGHTS) {
    grant($name, $RIGHTS{$name});
    $who{$name} = Mesh::Control->new($mesh, $name, 'a password for tests');
}

my $n = 0;
my %users;      # by socket, as metadata said last
my $rest = '';  # of a message that a device has begun with

# --- one stream

my $command = invite('view');
is($command->{rights}, 8,
   'the device is told of all input: the server sees to who may give it');
is($command->{soptions}{webrtc}, JSON::PP::false,
   'a stream that is shared does not leave the server');

my @seen = (watch('view'));
is($seen[0]->read->{data}, 'c', 'a viewer starts before the device is there');
my $said = metadata($seen[0]);
is_deeply($said->{users}, { 'user//view' => 1 }, 'and is told who watches');
is($said->{startTime}, undef, 'nothing yet');
$seen[0]->text('{"type":"options","tsid":3}');
$seen[0]->text('2');
$seen[0]->binary(compression(40, 512, 100));

my $device = answer($command);
is($device->read->{data}, 'c', 'the device starts when it comes');
is($device->read->{data}, '{"type":"options","tsid":3}',
   'it gets the options of the first viewer,');
is($device->read->{data}, '2', 'the protocol,');
is($device->read->{data}, compression(40, 512, 100), 'and how it is wanted');
ok(metadata($seen[0])->{startTime}, 'the viewer hears that it is there');

$device->binary($SIZE);
$device->binary(tile(0, 0, 640, 480, 'old'));
$device->binary(tile(64, 64, 64, 64, 'middle'));
$device->binary(tile(64, 64, 64, 64, 'new'));
is_deeply([pictures($seen[0], 'new')], ['size', qw(old middle new)],
          'the first viewer sees all that comes');

push @seen, watch($_) for qw(admin full limited full admin view limited);
is_deeply([pictures($seen[$_], 'new')], ['c', 'size', qw(old new)],
          "viewer $_ gets the whole picture at once, without what is covered")
    for 1 .. 7;
$device->binary(tile(128, 0, 64, 64, 'live'));
is_deeply([pictures($seen[$_], 'live')], ['live'], "and what follows: $_")
    for 0 .. 7;

is_deeply(users($seen[7]),
          { map { ("user//$_" => 2) } qw(admin full limited view) },
          'each is told who watches, and how often');

# every viewer's page calls the device once more
my $more = answer(invite('admin'));
isnt($more->closed, 0, 'a second half of the device is let go at once');
$device->binary(tile(128, 0, 64, 64, 'still'));
is_deeply([pictures($seen[3], 'still')], ['still'], 'and the first one stays');
is(scalar(grep { $_ eq '2' } drain($device)), 0,
   'the device has started once only');

# --- input, by each one's rights (S-31)

my %want = (
    1 => [qw(cad ctrl display key lock mouse unicode)],
    2 => [qw(cad ctrl display key lock mouse unicode)],
    3 => [qw(display key mouse unicode)],
    0 => [],
);
for my $i (sort keys %want) {
    $seen[$i]->binary($PACKET{$_})
        for qw(cad ctrl display key lock mouse unicode);
    is_deeply([sent($i)], $want{$i},
              "S-31: of viewer $i the device gets what it may send");
}
$seen[0]->text('{"ctrlChannel":"102938","type":"lock"}');
$seen[3]->text('{"ctrlChannel":"102938","type":"lock"}');
$seen[1]->text('{"ctrlChannel":"102938","type":"offer","sdp":"v=0"}');
$seen[1]->text('{"ctrlChannel":"102938","type":"close"}');
$seen[1]->text('1');
$seen[1]->text('{"ctrlChannel":"102938","type":"lock"}');
is_deeply([drain($device)], ['{"ctrlChannel":"102938","type":"lock"}'],
          'S-31: of texts one lock has passed, of who may');

# --- how it is wanted: the best of all

$seen[1]->binary(compression(30, 1024, 400));
is_deeply([drain($device)], [compression(40, 1024, 100)],
          'quality, size and rate are the best that anybody asks for');
$seen[2]->binary(compression(20, 512, 500));
is_deeply([drain($device)], [], 'what asks for less changes nothing');
$seen[1]->binary($PACKET{refresh});
is_deeply([drain($device)], [$PACKET{refresh}],
          'after a change the picture is asked for anew');
$seen[1]->binary($PACKET{refresh});
is_deeply([pictures($seen[1], 'still')], ['size', qw(old new still)],
          'else who wants it again has it from the server');
is_deeply([drain($device)], [], 'and the device is not asked');

# --- pause

$seen[$_]->binary($PACKET{pause}) for 1 .. 7;
echo($seen[$_]) for 1 .. 7;
is_deeply([drain($device)], [], 'the device goes on while one looks');
$device->binary(tile(0, 0, 32, 32, 'paused'));
is_deeply([pictures($seen[0], 'paused')], ['paused'], 'who does sees it');
is_deeply([pictures($seen[1])], [], 'who has paused does not');
$seen[1]->binary($PACKET{go});
is_deeply([pictures($seen[1], 'paused')], ['paused'], 'until it goes on');
$seen[$_]->binary($PACKET{pause}) for 0, 1;
is_deeply([map { unpack 'H*', $_ } drain($device, 1)],
          [unpack 'H*', $PACKET{pause}],
          'it is told to rest when all have paused');
$seen[$_]->binary($PACKET{go}) for 0 .. 7;
is_deeply([drain($device)], [$PACKET{go}], 'and to go on with the first');

# --- what the device says

drain_all(@seen);
my $console = '{"ctrlChannel":"102938","type":"console","msg":"hello"}';
$device->text($console);
$device->text('{"ctrlChannel":"102938","type":"metadata","users":{"x":1}}');
$device->binary(pack 'nnnnnn', 11, 12, 2, 1, 2, 1);
$device->binary(pack 'nnC', 88, 5, 5);
$device->binary(pack('nn', 4, 16) . 'x' x 12);
$device->binary(pack 'nnC', 18, 5, 2);
for my $i (0, 4) {
    my @got = others($seen[$i], pack 'nnC', 18, 5, 2);
    is_deeply([map { unpack 'n', $_ } grep { !/^\{/ } @got], [11, 88, 18],
              "displays, cursor and lights reach viewer $i, and no copy");
    is_deeply([grep { /^\{/ && !/"startTime"/ } @got], [$console],
              'of its texts only what it says to the person');
}
my $late = watch('limited');
my @late = others($late, tile(0, 0, 32, 32, 'paused'));
is_deeply([map { /^[c{]/ ? substr $_, 0, 1 : unpack 'n', $_ } @late[0 .. 6]],
          ['c', 11, '{', 18, '{', 88, 7],
          'who comes late gets them first, then the picture');
$late->close;
isnt($late->closed, 0, 'one may go');
$mesh->wait_for('one less', sub {
    return users($seen[1])->{'user//limited'} == 2;
});

# --- keys that one held who goes

my $hand = watch('full');
$hand->binary($PACKET{key});
$hand->binary($PACKET{mouse});
is_deeply([sent($hand)], [qw(key mouse)], 'a viewer holds a key and a button');
$hand->abort;
is_deeply([map { name($_) } $device->read->{data}, $device->read->{data}],
          [qw(up released)], 'they come up when its connection breaks');

# --- packets in other forms than agents send today

$device->binary(tile(0, 0, 32, 32, 'two') . tile(32, 0, 32, 32, 'in one'));
is_deeply([pictures($seen[0], 'in one')], ['two', 'in one'],
          'two packets in a message are two');
my $parts = tile(0, 32, 32, 32, 'over three');
$device->binary(substr $parts, 0, 10);
$device->binary(substr $parts, 10, 20);
$device->binary(substr $parts, 30);
is_deeply([pictures($seen[0], 'over three')], ['over three'],
          'one over three messages is one');
$device->binary($_) for tile(640, 0, 32, 32, 'beside'),
    pack('nnnn', 3, 20, 0, 0) . 'no image at', pack('nn', 3, 4), 'x', '',
    pack('nn', 3, 2), pack('nnNnn', 27, 8, 0xffffffff, 3, 0) . 'x' x 40,
    pack('nnnn', 7, 8, 0, 480), pack('nnn', 7, 6, 640);
$device->binary(tile(0, 32, 32, 32, 'z' x 70000));
is_deeply([map { length } pictures($seen[0], 'z' x 70000)], [70000],
          'a long one passes, and what is no tile does not');

# --- a slow viewer does not hold the others, and skips what is old

my $slow = $seen[7];
drain_all(@seen);
my $sent = 0;
my $fast = 0;
for my $k (1 .. 150) {
    my $mark = sprintf 'frame %d ', $k;
    $device->binary(tile(0, 0, 640, 480, $mark . 'f' x 50000));
    $sent++;
    $fast++ if index((pictures($seen[1], qr/^\Q$mark\E/))[-1], $mark) == 0;
    pictures($seen[$_], qr/^\Q$mark\E/) for 0, 2;
}
is($fast, $sent, 'who is fast sees each of 150 pictures, 7 MB');
my @slow = pictures($slow, qr/^frame 150 /);
cmp_ok(scalar @slow, '<', 100, 'one that did not read skips old ones: it got '
       . scalar @slow);
like($slow[-1], qr/^frame 150 /, 'and has the newest in the end');

# all of them slow: the device waits
drain_all(@seen);
my $wait = flood(48 * 1048576);
cmp_ok($wait, '<', 32 * 1048576, 'where nobody reads the device is not read');

# and goes on when they read again
catch_up($device, tile(0, 0, 640, 480, 'caught up'), @seen);
is_deeply([map { (pictures($_, 'caught up'))[-1] } @seen],
          [('caught up') x @seen], 'all of them get the newest in the end');

ok(abandon(), 'it goes on') or diag 'no device';

# also where a word of the viewer comes with the room for more: of small
# pictures what is left for it then leaves at once
@seen = (watch('admin'));
do {
    push @seen, watch('full');
} until worker($seen[-1]) != worker($seen[0]);
$_->text('2') for @seen;
$device = answer(invite('admin'));
$device->binary($SIZE);
pictures($_, 'size') for @seen;
flood(48 * 1048576, 2000);
my $holder = worker($seen[0]);
kill 'STOP', $holder;
$seen[-1]->text('{"ctrlChannel":102938,"type":"rtt","time":"awake"}');
1 while take($seen[-1], 1);
kill 'CONT', $holder;
catch_up($device, tile(0, 0, 640, 480, 'awake'), $seen[-1]);
is((pictures($seen[-1], 'awake'))[-1], 'awake',
   'so does one that speaks as it reads again');
ok(abandon(), 'it goes on') or diag 'no device';

# --- S-18: what a device sends costs its worker a bounded time

my @tiny = (tile(0, 0, 8192, 8192, '')) x 60000;
for my $how ('in one message', 'each in one of its own') {
    @seen = (watch('admin'));
    $seen[0]->text('2');
    $device = answer(invite('admin'));
    my $echo = beside($seen[0]);
    $device->binary($_) for pack('nnnn', 7, 8, 8192, 8192),
        tile(0, 0, 32, 32, 'begun');
    pictures($seen[0], 'begun');
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        $device->raw($how =~ /one message/
                     ? $device->frame(2, join '', @tiny)
                     : join '', map { $device->frame(2, $_) } @tiny);
        kill 'KILL', $$;
    }
    my $from = time;
    isnt($device->closed, 0, "S-18: a device with 60000 screens, $how, is let go");
    is($echo->alive, 1, 'S-18: its worker serves others,');
    cmp_ok(time - $from, '<', 60, 'S-18: and soon');
    waitpid $pid, 0;
    isnt($seen[0]->closed, 0, 'S-18: the viewer is told');
}

# --- S-18: the memory of one picture is bounded

@seen = (watch('admin'));
$seen[0]->text('2');
$device = answer(invite('admin'));
$device->binary(pack 'nnnn', 7, 8, 8192, 8192);
my $before = memory();
for my $k (0 .. 399) {
    $device->binary(tile(32 * ($k % 256), 32 * int($k / 256), 32, 32,
                         "part $k " . 'p' x 50000));
    pictures($seen[0], qr/^part $k /);
}
# freed memory is kept for a while by the sanitizer
cmp_ok(memory() - $before, '<', $ENV{MESH_ASAN} ? 400_000 : 10_000,
       'S-18: of 20 MB in tiles that nothing covers little stays');
$device->binary(tile(0, 0, 32, 32, 'h' x (3 * 1048576)));
$device->binary(tile(0, 0, 32, 32, 'after'));
is_deeply([pictures($seen[0], 'after')], ['after'],
          'S-18: a tile of 3 MB, over the bound, is left out, and the '
          . 'session goes on');
drain($device);
$late = watch('full');
my @part = pictures($late, 'after');
cmp_ok(length(join '', @part), '<', $LIMIT,
       'S-18: who comes late gets what is kept');
$mesh->wait_for('a refresh', sub {
    return grep { $_ eq $PACKET{refresh} } drain($device);
});
pass('and the device is asked for the rest');

# --- rights that end (S-31)

my $limited = watch('limited');
echo($limited);
my $begun = time;
grant('full', 0x10000 + 8);
isnt($late->closed, 0, 'S-31: a viewer ends when its right does');
cmp_ok(time - $begun, '<', 10, 'S-31: soon');
is(echo($seen[0]), 1, 'S-31: and the others go on');
grant('limited', 0x10000 + 8);
isnt($limited->closed, 0, 'S-31: also from another worker');
grant($_, $RIGHTS{$_}) for qw(full limited);

# who called the device may go, the stream stays
$command = invite('full');
$seen[0]->close;
isnt($device->closed, 0, 'with the last viewer the device is let go');
@seen = map { watch($_) } qw(full view);
$_->text('2') for @seen;
$device = answer($command);
is($device->read->{data}, 'c', 'it comes for one of two');
grant('full', 0x10000 + 8);
isnt($seen[0]->closed, 0, 'S-31: whose right ends');
$device->binary($SIZE);
$device->binary(tile(0, 0, 32, 32, 'alone'));
is_deeply([pictures($seen[1], 'alone')], ['c', 'size', 'alone'],
          'S-31: the other one has the stream on');
grant('full', 8);

# --- the device goes; a new one of the same device takes the place

$command = invite('view');
come_back();
my $new = answer(invite('view'));
is($new->read->{data}, 'c', 'a half of a device that came back is let in');
isnt($device->closed, 0, 'in place of the one from before');
is($new->read->{data}, '2', 'and starts');
$new->binary($SIZE);
$new->binary(tile(0, 0, 32, 32, 'back'));
is_deeply([pictures($seen[1], 'back')], ['back'],
          'which viewers see as the same session');

# once in the middle of a packet, once in that of a message
for my $how (qw(packet message)) {
    my $old = $new;
    my $half = substr tile(0, 32, 32, 32, 'h' x 5000), 0, 3000;
    $old->binary(tile(32, 0, 32, 32, "then a $how")
                 . ($how eq 'packet' ? $half : ''));
    $old->raw($old->frame(2, $half, fin => 0)) if $how eq 'message';
    pictures($seen[1], "then a $how");
    $old->alive;
    come_back();
    $new = answer(invite('view'));
    is($new->read->{data}, 'c', "it comes back in the middle of a $how");
    $new->binary(tile(32, 32, 32, 32, "after a $how"));
    my @all = others($seen[1], tile(32, 32, 32, 32, "after a $how"));
    is_deeply([map { unpack 'H40', $_ } grep { !/^\{/ && !whole($_) } @all],
              [], 'of what was cut viewers get nothing,');
    is($all[-1], tile(32, 32, 32, 32, "after a $how"), 'and what follows whole');
    isnt($old->closed, 0, 'the former half is let go');
}
$new->abort;
isnt($seen[1]->closed, 0, 'when the device goes the viewers are told');

# --- none that comes

my $other = Mesh::Agent->new($mesh, n => 721, group => $group);
$other->online or die "no agent\n";
$device = answer(Mesh::Relay::invite($admin, $other, 'lone', 2));
my $alone = watch('view');
is($alone->read->{data}, 'c', 'a viewer waits for a device');
isnt($alone->closed, 0, 'not for ever');
isnt($device->closed, 0, 'nor does a device for a viewer');

# --- whoever is asked at the device is so for each viewer

$admin->ask({ action => 'changedevice', nodeid => $agent->node,
              consent => 8 });
$mesh->wait_for('a session of its own', sub {
    my ($v, $d) = eval { Mesh::Relay::relay($mesh, $admin, $agent,
                                            'own' . ++$n, 2) };
    return 0 if !$v;
    $d->binary('anything');
    my $m = $v->read(1);
    $_->abort for $v, $d;
    return $m && ($m->{data} // '') eq 'anything';
});
pass('where a person is asked each viewer has a session of its own');
$admin->ask({ action => 'changedevice', nodeid => $agent->node,
              consent => 0 });

# --- a recording is one, of the device's stream

my $dir = "$mesh->{dir}/recordings";
$mesh->{server} .= " mesh_relay_record $dir protocols=2;";
$mesh->write_conf;
my @kept = @seen = (watch('admin'), watch('view'));
$_->text('2') for @kept;
my $first = answer(invite('admin'));
$first->binary($_) for $SIZE, tile(0, 0, 32, 32, 'before');
pictures($_, 'before') for @kept;
my %before = map { $_ => 1 } $mesh->workers;
$mesh->reload;
$mesh->wait_for('new workers that know the accounts', sub {
    my %ready = map { $_ => 1 } $mesh->error_log =~ /(\d+)#\d+: mesh model: /g;
    return 4 == grep { !$before{$_} } keys %ready;
});

# --- a reload

$first->binary(tile(32, 0, 32, 32, 'reloaded'));
is_deeply([map { (pictures($_, 'reloaded'))[-1] } @kept], [('reloaded') x 2],
          'viewers from before a reload get pictures on');
drain($first, 0);
$kept[0]->binary($PACKET{key});
is_deeply([drain($first, 0)], [$PACKET{key}], 'and the device their keys');

# who comes later has a desk of the new workers, however long that one lasts
$mesh->wait_for('a session that is recorded', sub {
    @seen = (watch('admin'));
    return 1 if (($seen[0]->read(20) // {})->{data} // '') eq 'cr';
    $seen[0]->abort;
    return 0;
});
push @seen, watch('view');
is($seen[1]->read(20)->{data}, 'cr', 'who is recorded is told so');
$_->text('2') for @seen;
$device = answer(invite('admin'));
is($device->read(20)->{data}, 'cr', 'the device too');
is($device->read(20)->{data}, '2', 'it starts');
$device->binary($_) for $SIZE, tile(0, 0, 32, 32, 'one'),
    tile(0, 0, 32, 32, 'two');
pictures($_, 'two') for @seen;
$seen[0]->binary($PACKET{key});
my $cut = tile(0, 0, 32, 32, 'cut' x 2000);
$device->raw($device->frame(2, substr($cut, 0, 3000), fin => 0));
$device->alive;
come_back();
my $other_half = answer(invite('admin'));
is($other_half->read(20)->{data}, 'cr', 'it is recorded on when it comes back,');
$other_half->binary($_) for $SIZE, tile(0, 0, 32, 32, 'three');
is((pictures($_, 'three'))[-1], 'three', 'and seen') for @seen;
$other_half->raw(
    $other_half->frame(2, substr($cut, 0, 3000), fin => 0));
$other_half->alive;
$other_half->abort;
$_->closed for @seen;
my @block;
$mesh->wait_for('a whole recording', sub {
    my ($file) = glob "$dir/*.mcrec" or return 0;
    @block = blocks(Mesh::Test::read_file($file));
    return @block && $block[-1]{data} eq 'MeshCentralMCREC';
});
is(scalar(() = glob "$dir/*.mcrec"), 1, 'of two viewers there is one');
is_deeply([grep { index($cut, $_) != 0 }
           map { $_->{data} } grep { $_->{type} == 2 } @block],
          [$SIZE, tile(0, 0, 32, 32, 'one'), tile(0, 0, 32, 32, 'two'), $SIZE,
           tile(0, 0, 32, 32, 'three')],
          'with all that the device has sent, once, and what was cut apart');
$first->binary(tile(64, 0, 32, 32, 'still there'));
is((pictures($_, 'still there'))[-1], 'still there',
   'the desk from before the reload goes on') for @kept;
$_->close for @kept;

# workers from before live as long as they have sessions
$_->close for values %who, $agent, $other;
$mesh->wait_for('the end of old workers', sub { $mesh->workers == 4 });

$mesh->stop;
done_testing;


sub blocks {
    my ($bytes) = @_;
    my @list;
    while (length $bytes >= 16) {
        my ($type, $size) = unpack 'nx2N', $bytes;
        push @list, { type => $type, data => substr $bytes, 16, $size };
        $bytes = length $bytes > 16 + $size ? substr $bytes, 16 + $size : '';
    }
    return @list;
}


sub grant {
    my ($name, $rights) = @_;
    $admin->ask({ action => 'addmeshuser', meshid => $group,
                  usernames => [$name], meshadmin => $rights });
}

# the device, by another connection
sub come_back {
    $agent->close;
    $agent = Mesh::Agent->new($mesh, n => 720, group => $group);
    $agent->online or die "no agent\n";
}

# one packet and nothing else
sub whole {
    my ($data) = @_;
    return length $data >= 8 && unpack('n', $data) == 27
        ? length $data == 8 + unpack('x4N', $data)
        : length $data >= 4 && length $data == unpack('x2n', $data);
}

sub invite { return Mesh::Relay::invite($who{ $_[0] }, $agent, 'i' . ++$n, 2) }
sub answer { return Mesh::Relay::answer($mesh, @_) }

sub watch {
    return Mesh::Relay::viewer($mesh, $who{ $_[0] }, $agent, 'v' . ++$n, 2);
}

sub compression { return pack 'nnCCnn', 5, 10, 1, @_ }

# a JPEG of that size as far as its head goes
sub tile {
    my ($x, $y, $w, $h, $data) = @_;
    my $image = pack('nnnCnnC', 0xffd8, 0xffc0, 17, 8, $h, $w, 3)
              . "\0" x 9 . $data;
    my $len = length $image;
    return $len > 65500
        ? pack('nnNnnnn', 27, 8, 8 + $len, 3, 0, $x, $y) . $image
        : pack('nnnn', 3, 8 + $len, $x, $y) . $image;
}

sub name { my %name = reverse %PACKET; return $name{ $_[0] } // unpack 'H*', $_[0] }

# what a message is: the text in a tile, 'size', or itself
sub what {
    my ($data) = @_;
    return $data if $data =~ /^[c{]/;
    my $cmd = unpack 'n', $data;
    return substr $data, 8 + 21 if $cmd == 3;
    return substr $data, 16 + 21 if $cmd == 27;
    return $cmd == 7 ? 'size' : $data;
}

# pictures, and the start, up to the one that ends them; to the echo without
sub pictures {
    my ($ws, $end) = @_;
    my $token = 'p' . ++$n;
    $ws->text(qq({"ctrlChannel":102938,"type":"rtt","time":"$token"}))
        if !defined $end;
    my @got;
    while (my $m = $ws->read(20)) {
        return @got, "closed $m->{close}" if exists $m->{close};
        $users{$ws} = decode_json($m->{data})->{users}
            if $m->{data} =~ /^\{.*"metadata"/;
        my $what = what($m->{data});
        return @got if !defined $end && $what =~ /"time":"$token"/;
        next if $what =~ /^\{/ || ($m->{data} !~ /^c/
            && !grep { $_ == unpack 'n', $m->{data} } 3, 7, 27);
        push @got, $what;
        return @got if defined $end && (ref $end ? $what =~ $end
                                                 : $what eq $end);
    }
    return @got, 'nothing more';
}

# all messages before one
sub others {
    my ($ws, $end) = @_;
    my @got;
    while (my $m = $ws->read(20)) {
        push @got, $m->{data} // last;
        last if $got[-1] eq $end;
    }
    return @got;
}

sub metadata {
    my ($ws) = @_;
    while (my $m = $ws->read(20)) {
        return decode_json($m->{data}) if ($m->{data} // last) =~ /"metadata"/;
    }
    return {};
}

# 1: all that the server had for it has come
sub echo {
    my ($ws) = @_;
    my @got = pictures($ws);
    return @got && $got[-1] =~ /^(?:closed|nothing)/ ? 0 : 1;
}

# who watches, as it was told last
sub users {
    my ($ws) = @_;
    echo($ws);
    return $users{$ws};
}

sub drain_all { pictures($_) for @_ }

# what the device has got, in all, up to a key that admin presses
sub drain {
    my ($device, $by) = @_;
    my $mark = pack 'nnCn', 85, 7, 1, 0x7777;
    my $ws = $seen[ $by // (@seen > 1 ? 1 : 0) ];
    $ws->binary($mark);
    my @got;
    while (my $m = $device->read(20)) {
        last if ($m->{data} // last) eq $mark;
        push @got, $m->{data};
    }
    return @got;
}

# names of what a viewer's input left at the device
sub sent {
    my ($of) = @_;
    my $ws = ref $of ? $of : $seen[$of];
    echo($ws);
    return sort map { name($_) } drain($device);
}

# bytes of pictures that are taken while no viewer reads
sub flood {
    my ($most, $size) = @_;
    my $frame = $device->frame(2, tile(0, 0, 640, 480, 'f' x ($size // 60000)));
    my ($s, $sent, $at) = ($device->{s}, 0, 0);
    # what waits in its kernel goes on slowly afterwards: on loopback each
    # window that was shut is asked for by a timer
    setsockopt $s, SOL_SOCKET, SO_SNDBUF, 65536;
    $s->blocking(0);
    while ($sent < $most) {
        my $n = syswrite $s, $frame, length($frame) - $at, $at;
        if (!defined $n) {
            IO::Select->new($s)->can_write(2) or last;
            next;
        }
        $sent += $n;
        $at = ($at + $n) % length $frame;
    }
    $s->blocking(1);
    $rest = substr $frame, $at;
    return $sent;
}

# which worker has it: that with the other end of its connection
sub worker { return $mesh->worker($_[0]) }

# another session of the worker that has this one
sub beside {
    my ($ws) = @_;
    my @tried;
    do {
        push @tried, $mesh->ws('/echo.ashx');
    } until worker($tried[-1]) == worker($ws);
    return $tried[-1];
}

# all that has come for it, to be read later; 0: it was nothing
sub take {
    my ($ws, $seconds) = @_;
    my $s = $ws->{s};
    my $n = 0;
    while ($s->pending || IO::Select->new($s)->can_read($n ? 0 : $seconds)) {
        sysread $s, $ws->{in}, 1048576, length $ws->{in} or last;
        $n++;
    }
    return $n;
}

# the rest of a flood and one message more, for which its readers make room
sub catch_up {
    my ($device, $last, @reader) = @_;
    my $s = $device->{s};
    my $bytes = $rest . $device->frame(2, $last);
    my $until = time + 60;
    $s->blocking(0);
    while (length $bytes && time < $until) {
        my $n = syswrite $s, $bytes;
        $bytes = substr $bytes, $n if $n;
        take($_, 0) for @reader;
        IO::Select->new(map { $_->{s} } @reader)->can_read(0.01) if !$n;
    }
    $s->blocking(1);
    $rest = '';
}

# KB of all workers
sub memory {
    my $kb = 0;
    for my $pid ($mesh->workers) {
        open my $f, '<', "/proc/$pid/status" or next;
        $kb += /^VmRSS:\s+(\d+)/ ? $1 : 0 while <$f>;
    }
    return $kb;
}

# ends the stream, however much of it is under way
sub abandon {
    $_->abort for @seen;
    return $device->closed(20) != 0;
}
