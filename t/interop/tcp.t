#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# A real agent, the stock one or ours, with our core: TCP and UDP through it to
# servers on its own loopback (session.md 1.8).

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Digest::SHA qw(sha384_hex);
use IO::Select;
use IO::Socket::INET;
use JSON::PP;
use POSIX ();
use Test::More;
use Time::HiRes qw(time);
use Mesh::Control;
use Mesh::Program;
use Mesh::Relay qw(flood);
use Mesh::Test qw(escape);

my $program = Mesh::Program->new;
my $mesh = Mesh::Test->new;
my ($group, @children);
END { kill 'KILL', @children if @children }

$mesh->start(prepare => sub {
    $mesh->admin(\"correct horse battery\n", 'user', 'add', 'Admin',
                 '--site-admin');
    chomp($group = $mesh->admin('group', 'add', 'Lab', '--owner', 'admin'));
});
$program->enroll($mesh, $group =~ s{^mesh//}{}r);
my $control = Mesh::Control->new($mesh, 'admin', 'correct horse battery');
my $agent = $program->start;
my $device;
$mesh->wait_for('coreinfo', sub {
    ($device) = map { @$_ } values %{
        $control->ask({ action => 'nodes' })->{nodes} };
    return $device && ($device->{core} // '') =~ /^ngx_mesh core/;
});
my $node = $device->{_id};

# --- 10 MB there and back

my $echo = server(sub {
    my ($s) = @_;
    while (sysread $s, my $data, 65536) {
        while (length $data) {
            my $n = syswrite $s, $data or return;
            substr $data, 0, $n, '';
        }
    }
});
my $data = join '', map { pack 'N', ($_ * 2654435761) % 4294967296 }
           1 .. 2_621_440;
my $viewer = viewer({ tcpport => $echo });
is(said($viewer), 'c', 'a connection opens');
my $before = time;
my ($got, $sent) = ('', 0);
while (length $got < length $data) {
    if ($sent < length $data && $sent - length $got < 1 << 20) {
        $viewer->binary(substr $data, $sent, 60000) or last;
        $sent += 60000;
        next;
    }
    my $m = $viewer->read or last;
    last if exists $m->{close};
    $got .= $m->{data} if $m->{opcode} == 2;
}
note(sprintf '10 MB there and back in %.2f s', time - $before);
is(sha384_hex($got), sha384_hex($data),
   '10 MB come back from the other end as they went');

$viewer->text(encode_json({ ctrlChannel => 102938, type => 'rtt',
                            time => 7 }));
like(said($viewer), qr/"time":7/, 'the agent answers a probe beside the bytes');
$viewer->binary('on');
is(said($viewer), 'on', 'and no word of that is payload');

my ($row) = grep { ($_->{tcpport} // 0) == $echo }
            @{ $control->ask({ action => 'relays' })->{relays} };
is("$row->{tcpaddr} $row->{tcpport}", "127.0.0.1 $echo",
   'the list of sessions says where it goes');
$viewer->close;

# --- the other end

my $short = server(sub { syswrite $_[0], 'y' x 300_000 });
$viewer = viewer({ tcpport => $short, tcpaddr => 'localhost' });
is(said($viewer), 'c', 'to a name of the device itself');
$got = '';
my $end;
while (my $m = $viewer->read) {
    $end = $m->{close}, last if exists $m->{close};
    $got .= $m->{data} if $m->{opcode} == 2;
}
is(length $got, 300_000, 'all that it sent before its end comes');
is($end, 1000, 'and then the end');

my $none = $mesh->port;
$viewer = viewer({ tcpport => $none });
my @said;
while (my $m = $viewer->read) {
    last if exists $m->{close};
    push @said, $m->{data};
}
is(shift @said, 'c', 'a port where nobody listens opens');
ok(!$program->own || "@said" =~ /"code":"ECONNREFUSED"/,
   'and our agent says why it ends');

# --- one that reads nothing: who sends to it stands still

pipe my $release, my $go or die;
pipe my $count, my $told or die;
my $slow = server(sub {
    my ($s) = @_;
    sysread $release, my $byte, 1;
    my $n = 0;
    while (my $got = sysread $s, my $buffer, 1 << 20) { $n += $got }
    syswrite $told, "$n\n";
});
close $told;
my %rss = map { $_ => rss($_) } $mesh->workers, $agent;
$viewer = viewer({ tcpport => $slow });
is(said($viewer), 'c', 'a connection to one that reads nothing opens');
my $took = flood($viewer, 48 << 20);
note(sprintf '%.1f MB were taken', $took / (1 << 20));
ok(!$program->own || $took < 40 << 20, 'our agent takes no more than fits');
my ($most) = sort { $b <=> $a } map { rss($_) - $rss{$_} } $mesh->workers;
# a sanitizer keeps what was freed for a while
my $kept = $ENV{MESH_ASAN} ? 256 << 10 : 0;
cmp_ok($most, '<', $kept + (12 << 10), 'no worker grows for it');
cmp_ok(rss($agent) - $rss{$agent}, '<',
       $kept + ($program->own ? 16 << 10 : 128 << 10),
       'nor does our agent');
syswrite $go, 'x';
# the rest of a frame that was not taken
my $frame = length $viewer->frame(2, 'f' x 65000);
$viewer->raw('f' x (-$took % $frame));
$viewer->close;
my $read = readline $count;
is($read, int(($took + $frame - 1) / $frame) * 65000 . "\n",
   'when it reads on, all of it arrives');

# --- datagrams

my $udp = IO::Socket::INET->new(Proto => 'udp', LocalAddr => '127.0.0.1')
    or die "no UDP socket\n";
my $pid = fork // die;
if ($pid == 0) {
    while (my $from = $udp->recv(my $data, 65536)) {
        $udp->send("echo $data", 0, $from);
    }
    POSIX::_exit(0);
}
push @children, $pid;
$viewer = viewer({ udpport => $udp->sockport });
is(said($viewer), 'c', 'a relay of datagrams opens');
$got = '';
for my $size (1, 1200, 4000) {
    my $m;
    # one that comes before the agent listens is lost, as datagrams are
    for my $try (1 .. 40) {
        $viewer->binary('d' x $size);
        last if $m = $viewer->read(0.5);
    }
    $got .= ' ' . length(($m // {})->{data} // '');
    1 while $viewer->read(0.1);
}
is($got, ' 6 1205 4005', 'each is one message, both ways');
$viewer->close;

$mesh->stop;
done_testing;


sub viewer {
    my ($target) = @_;
    my $cookie = $control->ask({ action => 'authcookie' })->{cookie};
    my $url = '/meshrelay.ashx?auth=' . escape($cookie) . '&nodeid='
              . escape($node);
    $url .= "&$_=" . escape($target->{$_}) for sort keys %$target;
    return $mesh->ws($url);
}

sub said {
    my $m = $_[0]->read;
    return $m && $m->{data} // 'nothing';
}

# kB
sub rss {
    my ($pid) = @_;
    open my $in, '<', "/proc/$pid/status" or return 0;
    return (map { /^VmRSS:\s+(\d+)/ } <$in>)[0] // 0;
}

# a port of the loopback, where each that comes is served by a process
sub server {
    my ($serve) = @_;
    my $listen = IO::Socket::INET->new(Listen => 8, LocalAddr => '127.0.0.1')
        or die "cannot listen: $!\n";
    my $pid = fork // die;

    if ($pid == 0) {
        $SIG{CHLD} = 'IGNORE';
        $SIG{PIPE} = 'IGNORE';
        while (my $s = $listen->accept) {
            $serve->($s);
            CORE::close $s;
        }
        POSIX::_exit(0);
    }

    push @children, $pid;
    return $listen->sockport;
}
