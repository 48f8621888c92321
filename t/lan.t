#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# Discovery on the local network: what is answered and what is not, over a
# reload and the death of a worker; then agents, ours and the stock one, that
# find their server.
#
# All of it is in networks of its own, two machines on a cable.  Where the
# system does not give them there is loopback alone, and less is tested.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Select;
use IO::Socket::INET;
use Socket qw(inet_aton inet_ntoa IPPROTO_IP SOL_SOCKET SO_REUSEADDR
              pack_sockaddr_in);
use Test::More;
use Time::HiRes qw(time sleep);
use Mesh::Program;
use Mesh::Test qw(escape);

my $apart = $ENV{MESH_LAN_APART} // '';

if (!$apart) {
    my $works = system('unshare -n ip link add mesh0 type veth peer name mesh1 '
                       . '2>/dev/null') == 0;
    $ENV{MESH_LAN_APART} = $works ? 'apart' : 'loopback';
    exec 'unshare', '-n', $^X, "-I$FindBin::Bin/lib", $0 if $works;
    $apart = 'loopback';
}

my $GROUP = '239.255.255.235';
my $own = Mesh::Program->new('own');
my $stock = Mesh::Program->new('stock');
my ($here, $there, @there) = ('127.0.0.1', '127.0.0.1');

if ($apart eq 'apart') {
    ($here, $there) = ('10.77.0.1', '10.77.0.2');
    my $pid = fork // die "fork: $!\n";
    if ($pid == 0) {
        exec 'unshare', '-n', 'sleep', '600';
    }
    END { kill 'KILL', $pid if $pid }
    @there = ('nsenter', '-t', $pid, '-n');
    my $net = readlink '/proc/self/ns/net';
    sleep 0.02 while (readlink("/proc/$pid/ns/net") // $net) eq $net;

    for ('ip link set lo up', 'ip addr add 203.0.113.1/32 dev lo',
         'ip link add cable type veth peer name end',
         "ip link set end netns $pid", "ip addr add $here/24 dev cable",
         'ip link set cable up', "@there ip link set lo up",
         "@there ip addr add $there/24 dev end", "@there ip link set end up")
    {
        system($_) == 0 or die "$_ failed\n";
    }
}

my $mesh = Mesh::Test->new(daemon => 1);
my $listen = $here eq '127.0.0.1' ? '' : "listen $here:$mesh->{port} ssl;";
$mesh->{server} = "$listen mesh_lan on;"
                  . "mesh_url https://mesh.example.org:$mesh->{port};";
my $group;

$mesh->start(prepare => sub {
    $mesh->admin(\"correct horse battery\n", 'user', 'add', 'Admin',
                 '--site-admin');
    $group = $mesh->admin('group', 'add', 'Lab', '--owner', 'admin');
    chomp $group;
});

# --- the policy

my $settings = '/meshsettings?id=' . escape($group =~ s{^mesh//}{}r);
my $policy = $mesh->get("$settings&server=local")->{body};
like($policy, qr/^MeshServer=local\r$/m, 'a policy for the network is given');
my ($id) = $policy =~ /^ServerID=([0-9A-F]{96})\r$/m;
is($mesh->get("$settings&server=other")->{status}, 400,
   'of another kind there is none');

# --- what is answered

my $url = "wss://%s:$mesh->{port}/agent.ashx";
is(ask($id), "MeshCentral2|$id|$url", 'who names the server is answered');
is(ask($id, '127.0.0.1'), "MeshCentral2|$id|$url", 'alone as in the group');
cmp_ok(length("MeshCentral2|$id|$url"), '<', 2 * length $id,
       'S-18: an answer is not twice as long as what asked for it');

for my $bad ('MeshServerScan', substr($id, 1), "${id}0", 'A' x 96, '', 'x' x 96,
             'x' x 60_000, "$id|wss://evil:1/agent.ashx")
{
    is(ask($bad, $GROUP, $id), 1, 'S-18: '
       . (length $bad > 20 ? length($bad) . ' bytes' : "\"$bad\"")
       . ' of something else are not answered, what follows is');
}

# the bound is of a second: wait for the start of one
sleep 1.05 - (time - int time);
my @socket = map { client() } 1 .. 3;
$_->send($id, 0, to($GROUP)) for map { @socket } 1 .. 10;
sleep 0.3;
my $answers = 0;
for my $s (@socket) {
    $answers++ while receive($s, 0.05);
}
cmp_ok($answers, '>=', 4, 'somebody who asks often is answered');
cmp_ok($answers, '<=', 8, 'S-18: but not each time');

SKIP: {
    skip 'one network only', 1 if $apart ne 'apart';
    sleep 1.1;
    is(ask($id, '203.0.113.1', undef, '203.0.113.1'), undef,
       'S-18: an address of no local network is not answered');
}

# --- workers come and go

my $ws = $mesh->ws('/echo.ashx');
$mesh->reload;
$mesh->wait_for('the old worker to leave', sub { answers($id) == 1 });
is(answers($id), 1, 'after a reload there is one answer, of the new workers');
$ws->close;

$mesh->expect_alert(qr/exited on signal 9/);
my @workers = $mesh->workers;
kill 'KILL', @workers;
$mesh->wait_for('other workers', sub {
    my %now = map { $_ => 1 } $mesh->workers;
    keys %now >= 4 && !grep { $now{$_} } @workers;
});
$mesh->wait_for('an answer', sub { answers($id) == 1 });
pass('S-26: a worker that died is followed by one that answers');

# --- agents

# it answers last, which is tried first, and nobody is at its port
my $liar = $mesh->spawn("$mesh->{dir}/logs/liar.log", @there, $^X, '-e', <<'EOF',
use IO::Socket::INET; use Socket qw(IPPROTO_IP inet_aton);
my ($group, $there, $id) = @ARGV;
my $s = IO::Socket::INET->new(LocalPort => 16989, Proto => 'udp',
                              LocalAddr => '0.0.0.0', ReuseAddr => 1) or die;
setsockopt $s, IPPROTO_IP, 35, inet_aton($group) . inet_aton('127.0.0.1');
$| = 1; print "ready\n";
while (defined $s->recv(my $query, 2000)) {
    next if $query ne $id;
    select undef, undef, undef, 0.1;
    $s->send("MeshCentral2|$id|wss://%s:9/agent.ashx");
}
EOF
    $GROUP, $there, $id);
$mesh->wait_for('the liar', sub { log_of('liar') =~ /ready/ });

my $agent = agent($own, 'own', '--log=debug');
$mesh->wait_for('our agent', sub { log_of('own') =~ /connected to/ });
like(log_of('own'), qr{connected to wss://\Q$here\E:$mesh->{port}/agent.ashx},
     'our agent finds its server');
like(log_of('own'), qr{no connection to wss://127\.0\.0\.1:9/agent\.ashx},
     'after it has tried who says that it is');
$mesh->stop_pid($agent, 'TERM');
$mesh->stop_pid($liar, 'KILL');

# another server's certificate is on the way: it is not obeyed
my $other = $policy =~ s/^ServerID=\K../FF/mr;
Mesh::Test::write_file("$mesh->{dir}/other.msh", $other);
my $lost = agent($own, 'other', '--log=debug');
$mesh->wait_for('a try', sub { log_of('other') =~ /nobody on this network/ });
pass('another server than that of the policy does not answer');
$mesh->stop_pid($lost, 'TERM');

SKIP: {
    skip 'loopback is not asked by the stock agent', 1 if $apart ne 'apart';
    # why is not known: it hears no answer then, while our agent does
    skip 'the stock agent does not find a build with sanitizers', 1
        if $ENV{MESH_ASAN};
    my $before = $mesh->metric('agents');
    my $pid = agent($stock, 'stock');
    $mesh->wait_for('the stock agent', sub {
        $mesh->metric('agents') > $before;
    });
    pass('the stock agent finds it too');
    $mesh->stop_pid($pid, 'KILL');
}

$mesh->stop;
done_testing;


sub client {
    my ($address) = @_;
    my $s = IO::Socket::INET->new(Proto => 'udp', LocalAddr => $address
                                                  // '127.0.0.1')
        or die "socket: $!\n";

    # IP_MULTICAST_IF
    setsockopt $s, IPPROTO_IP, 32, inet_aton('127.0.0.1');
    return $s;
}

sub to { return pack_sockaddr_in(16989, inet_aton($_[0])) }

sub receive {
    my ($s, $seconds) = @_;
    IO::Select->new($s)->can_read($seconds) or return;
    defined $s->recv(my $answer, 2000) or return;
    return $answer;
}

# the answer; with $then: whether only that, which is sent next, is answered
sub ask {
    my ($query, $to, $then, $from) = @_;
    my $s = client($from);

    # another slot of its bound each time
    sleep 0.3;
    $s->send($query, 0, to($to // $GROUP));
    $s->send($then, 0, to($to)) if $then;
    my $answer = receive($s, $from ? 1 : 5);
    return $then ? defined $answer && !defined receive($s, 0.1) : $answer;
}

sub answers {
    my ($query) = @_;
    my $s = client();
    sleep 0.3;
    $s->send($query, 0, to($GROUP));
    my $n = 0;
    $n++ while receive($s, 0.3);
    return $n;
}

sub agent {
    my ($program, $name, @options) = @_;
    my $dir = "$mesh->{dir}/$name";
    my $file = "$dir/" . ($program->own ? 'mesh-agent' : 'meshagent');

    mkdir $dir;
    system('cp', $program->{file}, $file) == 0 or die "cp: $!\n";
    chmod 0755, $file;
    Mesh::Test::write_file("$file.msh", $name eq 'other' ? $other : $policy);
    chdir $dir;
    my $pid = $mesh->spawn("$mesh->{dir}/logs/$name.log", @there, $file,
                           $program->own ? ('run', "--data=$dir", @options)
                                         : ());
    chdir '/';
    return $pid;
}

sub log_of {
    my $file = "$mesh->{dir}/logs/$_[0].log";
    return -e $file ? Mesh::Test::read_file($file) : '';
}
