#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# Desktop sessions that are not shared: what of a viewer's input reaches the
# device, by its rights (session.md 2.2), over one worker and two; the
# clipboard's; and the queue of a viewer on a slow line.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use Test::More;
use Time::HiRes qw(time);
use Mesh::Agent;
use Mesh::Control;
use Mesh::Relay qw(opened flood);
use Mesh::Test;

my %RIGHTS = (full => 8, limited => 8 + 4096, view => 256, none => 8 + 65536);

# a viewer's packets, session.md 5.5
my %PACKET = (
    key => pack('nnCC', 1, 6, 0, 0x41),
    ctrl => pack('nnCC', 1, 6, 0, 0x11),
    mouse => pack('nnCCnn', 2, 10, 0, 2, 300, 200),
    wheel => pack('nnCCnnn', 2, 12, 0, 0, 300, 200, 120),
    compression => pack('nnCCnn', 5, 10, 1, 40, 1024, 50),
    refresh => pack('nn', 6, 4),
    pause => pack('nnC', 8, 5, 1),
    cad => pack('nn', 10, 4),
    displays => pack('nn', 11, 4),
    display => pack('nnn', 12, 6, 65535),
    interval => pack('nnn', 13, 6, 100),
    touch => pack('nnCCNnn', 15, 14, 1, 1, 0x10006, 300, 200),
    unicode => pack('nnCn', 85, 7, 0, 0xe9),
    lock => pack('nnC', 87, 5, 1),
    message => pack('nn', 17, 7) . 'abc',
);
my @ALL = sort keys %PACKET;
my @VIEW = qw(compression display displays interval pause refresh);
my @LIMITED = sort @VIEW, qw(key mouse wheel unicode);

my $mesh = Mesh::Test->new(server => 'mesh_relay_wait 5s; mesh_desktop_share off;');
my $group;
$mesh->start(prepare => sub {
    $mesh->admin(\"correct horse battery\n", 'user', 'add', 'admin',
                 '--site-admin');
    $mesh->admin(\"a password for tests\n", 'user', 'add', $_)
        for sort keys %RIGHTS;
    $group = $mesh->admin('group', 'add', 'Lab', '--owner', 'admin');
    chomp $group;
});

my $admin = control('admin', 'correct horse battery');
my $agent = Mesh::Agent->new($mesh, n => 710, group => $group);
$agent->online or die "no agent\n";

my %who = (admin => $admin);
for my $name (sort keys %RIGHTS) {
    grant($name, $RIGHTS{$name});
    $who{$name} = control($name, 'a password for tests');
}

# --- rights open it, or not (S-30, S-31)

is($who{none}->ask(tunnel('none'))->{result}, 'Unable to route',
   'S-31: who has no desktop right is not routed');
isnt(opened(viewer($who{none}, 'none')), 'open',
     'S-31: nor does the half open');

# --- what passes; in one worker and in two

my %want = (admin => \@ALL, full => \@ALL, limited => \@LIMITED,
            view => \@VIEW);
my $n = 0;
for my $first (0, 1) {
    for my $name (sort keys %want) {
        my ($viewer, $device) = relay($who{$name}, 'p' . ++$n, $first);
        $viewer->binary($PACKET{$_}) for @ALL;
        is_deeply([passed($viewer, $device)], $want{$name},
            "S-31: of a viewer with $name rights passes what it may send, "
            . ($first ? 'device first' : 'viewer first'));
        $viewer->close;
    }
}
ok($mesh->metric('relays_local') > 0 || $mesh->metric('relays_cross') > 0,
   'halves have met');

# --- cut and joined, as no good viewer would send it

my ($viewer, $device) = relay($who{limited}, 'cuts');
my $stream = join '', map { $PACKET{$_} } @ALL;
$viewer->binary($stream);
is_deeply([passed($viewer, $device)], \@LIMITED,
          'S-31: packets in one message are told apart');
$viewer->raw(join '', map { $viewer->frame(2, $_) } split //, $stream);
is_deeply([passed($viewer, $device)], \@LIMITED,
          'S-31: so is one that comes byte by byte, in messages of their own');
$viewer->raw($viewer->frame(2, substr($stream, 0, 9), fin => 0)
             . $viewer->frame(9, 'between')
             . $viewer->frame(0, substr($stream, 9, 20), fin => 0)
             . $viewer->frame(0, substr($stream, 29)));
is_deeply([passed($viewer, $device)], \@LIMITED,
          'S-31: and one in fragments');
$viewer->binary(pack('nn', 200, 60000) . 'x' x 59996 . $PACKET{mouse});
is_deeply([passed($viewer, $device)], ['mouse'],
          'a long packet that is unknown is passed over to its end');
$viewer->binary($PACKET{mouse} x 20000);
is(scalar(my @many = passed($viewer, $device, 20)), 20000,
   'twenty thousand packets in one message are as many messages');
$viewer->binary(pack('nn', 2, 3));
is($viewer->closed, 1008, 'a packet shorter than its own head ends it');
isnt($device->closed, 0, 'on both sides');

# --- text (S-31)

($viewer, $device) = relay($who{limited}, 'texts');
my @texts = (
    ['2', 1], ['{"ctrlChannel":"102938","type":"rtt","time":5}', 1],
    ['{"ctrlChannel":102938,"type":"ping"}', 1],
    ['{"type":"options","tsid":1}', 1],
    ['{"type":"options","autolock":true}', 0],
    ['{"ctrlChannel":"102938","type":"lock"}', 0],
    ['{"ctrlChannel":"102938","type":"autolock","value":true}', 0],
    ['{"type":"offer","sdp":"v=0"}', 0],
    ['{"type":"rtt","type":"lock"}', 0], ['{"\u0074ype":"lock"}', 0],
    ['{"type":"termsize","cols":1,"rows":1}', 0], ['[]', 0], ['', 0],
    ['123456', 0], ['{"type":"rtt"', 0],
    ['{"type":"rtt","x":"' . 'y' x 9000 . '"}', 0],
);
for (@texts) {
    my ($text, $passes) = @$_;
    $viewer->text($text);
    $viewer->text('2');
    my $m = $device->read;
    is($m->{data}, $passes ? $text : '2', 'S-31: text of a limited viewer '
       . ($passes ? 'passes: ' : 'is dropped: ') . substr $text, 0, 50);
    $device->read if $passes;
}
$viewer->close;

($viewer, $device) = relay($admin, 'fulltext');
$viewer->text('{"type":"offer","sdp":"v=0"}');
like($device->read->{data}, qr/offer/, 'with all rights an offer passes');
$viewer->close;

# what comes before the device is there is filtered too
my $command = invite($who{view}, 'early');
$viewer = viewer($who{view}, 'early');
$viewer->binary($PACKET{key});
$viewer->binary($PACKET{refresh});
$viewer->alive;
$device = answer($command);
is($device->read->{data}, 'c', 'a viewer waits');
is_deeply([passed($viewer, $device)], ['refresh'],
          'S-31: what it sent before the device came is filtered too');
$viewer->close;

# a viewer that does not say what it is takes that from the invitation
$command = invite($who{limited}, 'unnamed');
$viewer = viewer($who{limited}, 'unnamed', '');
$device = answer($command);
is($viewer->read->{data}, 'c', 'a viewer may leave p out');
$device->read;
$viewer->binary($PACKET{$_}) for @ALL;
is_deeply([passed($viewer, $device)], \@LIMITED,
          'S-31: it is filtered as well');
$viewer->close;

# nor does it get past that by what it says that it is
$command = invite($who{limited}, 'files');
$device = answer($command);
$viewer = viewer($who{limited}, 'files', 5);
isnt($viewer->closed, 0, 'S-31: a viewer that says it is another is closed');
$device->close;

# --- rights that change while it runs (S-31)

($viewer, $device) = relay($who{full}, 'narrower');
my $begun = time;
grant('full', 8 + 4096);
is($viewer->closed, 1008, 'S-31: a desktop ends when input is taken away');
isnt($device->closed, 0, 'S-31: on both sides');
cmp_ok(time - $begun, '<', 10, 'S-31: soon');

($viewer, $device) = relay($who{full}, 'wider');
grant('full', 8);
# another worker may hear of it a moment later
my @wider;
$mesh->wait_for('the new right', sub {
    $viewer->binary($PACKET{ctrl});
    return @wider = passed($viewer, $device);
});
is_deeply(\@wider, ['ctrl'],
          'S-31: who may do more now does it in the same session');
$begun = time;
grant('full', 8 + 65536);
isnt($viewer->closed, 0, 'S-31: it ends with the right to the desktop');
cmp_ok(time - $begun, '<', 10, 'S-31: soon');

# --- the clipboard

grant('full', 8);
for (['admin', 'getclip', 'OK'], ['full', 'getclip', 'OK'],
     ['limited', 'getclip', 'OK'], ['view', 'getclip', 'Unable to route'],
     ['none', 'getclip', 'Unable to route'], ['admin', 'setclip', 'OK'],
     ['full', 'setclip', 'OK'], ['limited', 'setclip', 'Unable to route'],
     ['view', 'setclip', 'Unable to route'])
{
    my ($name, $type, $want) = @$_;
    my $r = $who{$name}->ask({ action => 'msg', type => $type,
                               nodeid => $agent->node, data => "t\n\x{e9}" });
    is($r->{result}, $want, "S-31: $type with $name rights: $want");
    next if $want ne 'OK';
    my $m = $agent->await('msg')->{json};
    is($m->{type}, $type, 'and the device gets it');
    is($m->{data}, $type eq 'setclip' ? "t\n\x{e9}" : undef, 'with its text');
    $agent->json({ action => 'msg', type => $type, sessionid => $m->{sessionid},
                   tag => $m->{tag}, data => 'from there' });
    my $reply = $who{$name}->wait(sub { ($_[0]{type} // '') eq $type });
    is($reply->{data}, 'from there', 'its answer comes to who has asked');
}
is($admin->ask({ action => 'msg', type => 'setclip', nodeid => $agent->node,
                 data => 'x' x 65536 })->{result}, 'Invalid data',
   'a clipboard of more than 64 KB is refused');

for my $type ('getclip', 'setclip') {
    $admin->ask({ action => 'msg', type => $type, nodeid => $agent->node,
                  data => 'part', offset => 7, size => 11 });
    my $m = $agent->await('msg')->{json};
    is_deeply([@$m{qw(type offset size)}], [$type, 7, 11],
              "$type: the device is told which part it is");
}
is($admin->ask({ action => 'msg', type => 'setclip', nodeid => $agent->node,
                 data => 'x', offset => 0, size => 1048577 })->{result},
   'Invalid size', 'a clipboard of more than 1 MB is refused');

# --- a slow viewer: little waits for it

for my $first (0, 1) {
    ($viewer, $device) = relay($admin, "slow$first", $first);
    my $sent = flood($device, 32 * 1048576);
    my $held = $sent - queued($viewer, 0x541b) - queued($device, 0x5411);
    cmp_ok($held, '<', 1_000_000,
           "of a picture that is not read little waits on the server ($held)");
}

$mesh->stop;
done_testing;


sub control { return Mesh::Control->new($mesh, @_) }

sub grant {
    my ($name, $rights) = @_;
    $admin->ask({ action => 'addmeshuser', meshid => $group,
                  usernames => [$name], meshadmin => $rights });
}

# names of the packets that came through before a text that marks the end
sub passed {
    my ($viewer, $device, $seconds) = @_;
    my %name = reverse %PACKET;
    my @got;
    my $end = '{"ctrlChannel":"102938","type":"rtt","time":77777}';
    $viewer->text($end);
    while (my $m = $device->read($seconds)) {
        last if !defined $m->{data} || $m->{data} eq $end;
        push @got, $name{ $m->{data} } // "?" . unpack 'H*', $m->{data};
    }
    return @got > 100 ? @got : sort @got;
}

# bytes in the kernel's queue: FIONREAD, SIOCOUTQ of Linux
sub queued {
    my ($ws, $what) = @_;
    my $n = pack 'i', 0;
    ioctl $ws->{s}, $what, $n or die "ioctl: $!\n";
    return unpack 'i', $n;
}

sub tunnel { return Mesh::Relay::tunnel($agent, $_[0], 2) }
sub invite { return Mesh::Relay::invite($_[0], $agent, $_[1], 2) }
sub answer { return Mesh::Relay::answer($mesh, @_) }

sub viewer {
    my ($control, $id, $p) = @_;
    return Mesh::Relay::viewer($mesh, $control, $agent, $id, $p // 2);
}

# both sides, open; the device first when asked for
sub relay {
    my ($control, $id, $device_first) = @_;
    my ($viewer, $device, @said) = Mesh::Relay::relay($mesh, $control, $agent,
                                                      $id, 2, $device_first);
    die "relay $id is recorded\n" if grep { $_ ne 'c' } @said;
    return ($viewer, $device);
}
