#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# The workers have no connections left (S-28): who comes is refused, who is
# there stays, and the status answers.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Select;
use IO::Socket::INET;
use Test::More;
use Mesh::Agent;
use Mesh::Control;
use Mesh::Relay qw(relay);
use Mesh::Test;

my $PASSWORD = 'correct horse battery';
my $mesh = Mesh::Test->new(connections => 64, server => <<'END');
client_header_timeout 3s;
mesh_limit control per=address 1000;
mesh_limit agent per=address 1000;
END
my $group;
$mesh->start(prepare => sub {
    $mesh->admin(\"$PASSWORD\n", 'user', 'add', 'admin', '--site-admin');
    $group = $mesh->admin('group', 'add', 'Lab', '--owner', 'admin');
    chomp $group;
});

my $agent = agent(1100);
ok($agent->online, 'an agent is online');
my $admin = Mesh::Control->new($mesh, 'admin', $PASSWORD);
my ($viewer, $device) = relay($mesh, $admin, $agent, 'open');

# --- by sessions

my ($refused, @open, %status) = (0);
while ($refused < 40 && @open < 500) {
    my $ws = eval { $mesh->ws(@open % 2 ? '/echo.ashx' : '/agent.ashx') };
    my $status = $ws ? $ws->status : 'closed';
    $status{$status}++;
    $status eq 101 ? push @open, $ws : $refused++;
}
note(scalar(@open) . ' sessions were let in');
is(join(' ', sort keys %status), '101 503',
   'S-28: without connections for sessions who comes is told so');
is((grep { $mesh->get('/metrics')->{status} == 200 } 1 .. 20), 20,
   'S-28: the status answers each time');
like($mesh->get('/metrics')->{body}, qr/^mesh_agents 1$/m, 'and knows how it is');
is($mesh->get('/health.ashx')->{status}, 200, 'the server is well');
cmp_ok($mesh->metric('limited'), '>=', $refused, 'the refused are counted');
going_on('beside them');

# --- by those that say nothing more than that they want TLS

$mesh->expect_alert(qr/ 64 worker_connections are not enough/);
my @slow;
for (1 .. 100) {
    my $s = IO::Socket::INET->new("127.0.0.1:$mesh->{port}") or die "connect\n";
    syswrite $s, "\x16";
    push @slow, $s;
}
my $select = IO::Select->new(@slow);
my @closed = $select->can_read($Mesh::Test::DEADLINE);
ok(scalar @closed, 'S-28: without any connection who comes is closed at once');
going_on('beside those');
for my $s ($select->handles) {
    $s->blocking(1);
    1 while sysread $s, my $in, 4096;
}
$mesh->wait_for('the status', sub { $mesh->get('/metrics')->{status} == 200 });
pass('S-28: they are let go in time, and the status answers again');

# --- room again

$_->abort for @open;
$mesh->wait_for('an agent', sub { agent(1101)->online });
pass('S-28: with room again who comes is let in');
is(scalar(grep { $_->{ws}->status == 101 } map {
    Mesh::Control->new($mesh, 'admin', $PASSWORD) } 1 .. 4), 4, 'pages, too');
going_on('to the end');

$mesh->stop;
done_testing;


sub agent {
    my ($n) = @_;
    return Mesh::Agent->new($mesh, n => $n, group => $group, name => "pc$n");
}

# who was there before
sub going_on {
    my ($when) = @_;
    my @data = map { Mesh::Agent::random(4000) x 20 . $_ } qw(up down);

    $viewer->binary($data[0]);
    $device->binary($data[1]);
    is($device->read->{data}, $data[0], "S-28: a terminal goes on $when");
    is($viewer->read->{data}, $data[1], 'in both directions');
    ok($agent->{ws}->alive, 'an agent stays');
    is($admin->ask({ action => 'nodes' })->{nodes}{$group}[0]{conn}, 1,
       'a page is answered');
}
