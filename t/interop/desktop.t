#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# The desktop of a real agent before a virtual screen, through our server and
# with our core: pictures come, input arrives, several look on, rights hold.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use IO::Handle;
use IO::Select;
use IPC::Open2 qw(open2);
use JSON::PP;
use POSIX ();
use Test::More;
use Time::HiRes qw(time);
use Mesh::Control;
use Mesh::Program;
use Mesh::Test qw(escape);

my $program = Mesh::Program->new;

# --- a screen, and what tells of it

pipe my $said, my $says or die "pipe: $!\n";
my $xvfb = fork // die "fork: $!\n";
if (!$xvfb) {
    POSIX::dup2(fileno $says, 9);
    open STDERR, '>', '/dev/null';
    exec 'Xvfb', '-displayfd', 9, '-screen', 0, '640x480x24', '-nolisten',
         'tcp', '-noreset' or POSIX::_exit(1);
}
close $says;
chomp(my $display = <$said> // die "no Xvfb\n");
$ENV{DISPLAY} = ":$display";

my $client = open2(my $lines, my $orders,
                   "$Mesh::Test::ROOT/build/mesh_screen");
$orders->autoflush(1);
my @screen;

my $mesh = Mesh::Test->new;
my $group;
$mesh->start(prepare => sub {
    $mesh->admin(\"correct horse battery\n", 'user', 'add', 'admin',
                 '--site-admin');
    $mesh->admin(\"a password for tests\n", 'user', 'add', $_)
        for qw(view limited);
    $group = $mesh->admin('group', 'add', 'Lab', '--owner', 'admin');
    chomp $group;
});

my %who = (admin => Mesh::Control->new($mesh, 'admin',
                                       'correct horse battery'));
for (['view', 256], ['limited', 8 + 4096]) {
    $who{admin}->ask({ action => 'addmeshuser', meshid => $group,
                       usernames => [$_->[0]], meshadmin => $_->[1] });
    $who{ $_->[0] } = Mesh::Control->new($mesh, $_->[0],
                                         'a password for tests');
}

$program->enroll($mesh, $group =~ s{^mesh//}{}r);
my $agent = $program->start;
my $node = $who{admin}->event(sub { $_[0]{action} eq 'nodeconnect'
                                    && $_[0]{conn} == 1 }, 60)->{nodeid};

# it says what it can when its core runs
my $device;
$mesh->wait_for('coreinfo', sub {
    my $nodes = $who{admin}->ask({ action => 'nodes' });
    ($device) = map { @$_ } values %{ $nodes->{nodes} };
    return $device->{core};
});

if (!($device->{caps} // 1) & 1) {
    end();
    plan skip_all => 'this agent has no desktop';
}

# --- the picture

$orders->print("pattern 1\n");
my $admin = tunnel('admin', 'first');
my $size = packet($admin, 7);
is_deeply([unpack 'x4nn', $size], [640, 480], 'the size of the screen comes');
my $tile = packet($admin, 3);
like(substr($tile, 8), qr/^\xff\xd8\xff/, 'then a picture, as a JPEG');
is_deeply([map { $_ % 32 } unpack 'x4nn', $tile], [0, 0],
          'at a multiple of 32 pixels');

# --- input

$admin->binary(pack 'nnCC', 1, 6, $_, 0x41) for 0, 1;
ok(happened('key down 61') && happened('key up 61'), 'a key arrives');
$admin->binary(pack('nnCCnn', 2, 10, 0, 2, 300, 200)
               . pack('nnCCnn', 2, 10, 0, 4, 310, 220));
ok(happened('button down 1 300 200') && happened('button up 1 310 220'),
   'the mouse arrives, two packets of one message in their order');
$admin->binary(pack 'nnCn', 85, 7, 0, 0x20ac);
ok(happened(qr/key down (?:100)?20ac/), 'a character that is on no key arrives');

# --- several look on (S-31)

my $view = tunnel('view', 'second');
my $users = control($admin, 'metadata');
is($users->{users}{'user//view'}, 1, 'who looks on is told to the others');
ok(packet($view, 3), 'the second gets the whole screen');
$view->binary(pack 'nnCC', 1, 6, 0, 0x42);
$view->binary(pack 'nnCCnn', 2, 10, 0, 2, 1, 1);
$view->binary(pack 'nn', 6, 4);
ok(packet($view, 3), 'and again when it asks for it');

my $limited = tunnel('limited', 'third');
ok(packet($limited, 3), 'a third one as well');
$limited->binary(pack 'nnCC', 1, 6, 0, 0x11);
$limited->binary(pack 'nn', 10, 4);
$limited->binary(pack 'nnCC', 1, 6, $_, 0x43) for 0, 1;
ok(happened('key down 63'), 'S-31: limited input types');
is(scalar(grep { /^key down (62|ffe3)$|^button down 1 1 1$/ } @screen), 0,
   'S-31: but sends no Ctrl, and who may only look nothing at all');

$admin->text('{"ctrlChannel":"102938","type":"rtt","time":7}');
is(control($admin, 'rtt')->{time}, 7, 'a probe comes back');

# --- rest

for ($admin, $view, $limited) {
    $_->binary(pack 'nnC', 8, 5, 1);
    $_->text('{"ctrlChannel":"102938","type":"ping"}');
    control($_, 'pong');
}
$orders->print("pattern 2\n");
ok(happened('painted 2'), 'the screen changes');
$admin->text('{"ctrlChannel":"102938","type":"ping"}');
control($admin, 'pong');
$admin->binary(pack 'nnC', 8, 5, 0);
ok(packet($admin, 3), 'one that wants pictures again gets the change');

# --- one of several has a slow line: 256 kbit/s

my $slow_pid = open2(my $port, my $rate, $^X,
                     "$Mesh::Test::ROOT/t/lib/slow.pl", $mesh->{port});
$rate->autoflush(1);
chomp(my $by = <$port> // die "no slow line\n");
my @fast = ($admin, map { tunnel('admin', "fast$_") } 1, 2);
my $slow = tunnel('admin', 'slow', port => $by);
$_->binary(pack 'nnC', 8, 5, 0) for $view, $limited;
$rate->print("rate 32000\n");
$_->binary(pack 'nnCCnn', 5, 10, 1, 100, 1024, 50) for @fast, $slow;
echo($_) for @fast;

my (@of, @late);
my $changes = 20;
for my $n (1 .. $changes) {
    $orders->print('pattern ', 100 + $n, "\n");
    happened('painted ' . (100 + $n)) or last;
    for my $i (0 .. $#fast) {
        my $tile = packet($fast[$i], 3) // last;
        push @{ $of[$i] }, $tile, echo($fast[$i]);
    }
    push @late, tiles($slow, 0);
    last if @of < @fast;
}
push @{ $of[$_] }, echo($fast[$_]) for 0 .. $#fast;
cmp_ok(scalar @{ $of[$_] }, '>=', $changes,
       "who is fast sees each of $changes changes beside a slow one: $_")
    for 0 .. $#fast;
is($of[$_][-1], $of[0][-1], 'and what the others see') for 1, 2;
my $until = $Mesh::Test::DEADLINE + time;
push @late, tiles($slow, 1)
    while time < $until && (!@late || $late[-1] ne $of[0][-1]);
ok(@late && $late[-1] eq $of[0][-1],
   'the slow one has the newest picture in the end');
$_->close for @fast[1, 2], $slow;
close $rate;
waitpid $slow_pid, 0;

# --- the end

$_->close for $view, $limited;
$users = control($admin, 'metadata')
    while ($users->{users}{'user//limited'} // 0)
          || ($users->{users}{'user//view'} // 0)
          || ($users->{users}{'user//admin'} // 0) > 1;
is_deeply($users->{users}, { 'user//admin' => 1 },
          'who has left is no longer among them');
$admin->close;
$admin = tunnel('admin', 'again');
ok(packet($admin, 3), 'it opens again after all have left');
$admin->close;

end();
done_testing;


sub end {
    $mesh->stop_pid($agent, 'KILL');
    $mesh->stop;
    kill 'KILL', $client, $xvfb;
    waitpid $_, 0 for $client, $xvfb;
}

END { kill 'KILL', grep { $_ } $client, $xvfb if $xvfb }

sub tunnel {
    my ($name, $id, %arg) = @_;
    my $cookie = $who{$name}->ask({ action => 'authcookie' });
    my $r = $who{$name}->ask({ action => 'msg', type => 'tunnel',
        nodeid => $node, usage => 2, value => '*/meshrelay.ashx?p=2&nodeid='
        . "$node&id=$id&rauth=$cookie->{rcookie}" });
    die "$name: $r->{result}\n" if $r->{result} ne 'OK';
    my $ws = $mesh->ws('/meshrelay.ashx?browser=1&p=2&nodeid=' . escape($node)
        . "&id=$id&auth=" . escape($cookie->{cookie}), %arg);
    my $m = $ws->read;
    die "no c\n" if ($m->{data} // '') ne 'c';
    $ws->text('2');
    return $ws;
}

# tiles that come within so many seconds, or before the echo of a probe
sub tiles {
    my ($ws, $seconds, $mark) = @_;
    my @got;
    while (my $m = $ws->read($seconds)) {
        last if !defined $m->{data};
        last if defined $mark && $m->{data} =~ /"time":"$mark"/;
        next if $m->{opcode} != 2;
        my $data = $m->{data};
        $data = substr $data, 8 if unpack('n', $data) == 27;
        push @got, $data if unpack('n', $data) == 3;
    }
    return @got;
}

sub echo {
    my ($ws) = @_;
    my $mark = int rand 1e9;
    $ws->text(qq({"ctrlChannel":"102938","type":"rtt","time":"$mark"}));
    return tiles($ws, undef, $mark);
}

# the next packet of that number, a jumbo without its head
sub packet {
    my ($ws, $number) = @_;
    while (my $m = $ws->read) {
        return undef if !defined $m->{data};
        next if $m->{opcode} != 2;
        my $data = $m->{data};
        $data = substr $data, 8 if unpack('n', $data) == 27;
        return $data if unpack('n', $data) == $number;
    }
    return undef;
}

sub control {
    my ($ws, $type) = @_;
    while (my $m = $ws->read) {
        die "closed, no $type\n" if !defined $m->{data};
        next if $m->{opcode} != 1 || $m->{data} !~ /^\{/;
        my $json = decode_json($m->{data});
        return $json if $json->{type} eq $type;
    }
    die "no $type\n";
}

# a line of the screen that begins so has come, or comes
sub happened {
    my ($want) = @_;
    my $until = time + $Mesh::Test::DEADLINE;
    $want = quotemeta $want if !ref $want;
    while (1) {
        return 1 if grep { /^$want(?: |$)/ } @screen;
        my $left = $until - time;
        return 0 if $left <= 0 || !IO::Select->new($lines)->can_read($left);
        sysread $lines, my $more, 65536 or return 0;
        push @screen, split /\n/, $more;
    }
}
