#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# The control channel: who changed something finds it in the next answer; and a
# deletion that was cut is finished.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use Test::More;
use Mesh::Agent;
use Mesh::Control;
use Mesh::Test;

my $TIMES = 8;      # on several sessions, which several workers serve

my $mesh = Mesh::Test->new;
my $first;
$mesh->start(prepare => sub {
    $mesh->admin(\"correct horse battery\n", 'user', 'add', 'admin',
                 '--site-admin');
    $mesh->admin(\"a password for tests\n", 'user', 'add', 'other');
    $first = $mesh->admin('group', 'add', 'First', '--owner', 'admin');
    chomp $first;
});

my $agent = Mesh::Agent->new($mesh, n => 700, group => $first, name => 'pc');
$agent->online or die "no agent\n";

my (%old, $admin);

for my $time (1 .. $TIMES) {
    $admin = Mesh::Control->new($mesh, 'admin', 'correct horse battery');

    my $made = $admin->ask({ action => 'createmesh', meshname => "G$time",
                             meshtype => 2 });
    my $id = $made->{meshid};
    seen('createmesh', scalar group($id), sub { $_[0] && $_[0]{name} eq "G$time" });

    $admin->ask({ action => 'editmesh', meshid => $id, meshname => 'New' });
    seen('editmesh', scalar group($id), sub { $_[0] && $_[0]{name} eq 'New' });

    $admin->ask({ action => 'addmeshuser', meshid => $id, meshadmin => 8,
                  usernames => ['other'] });
    seen('addmeshuser', scalar group($id), sub { $_[0]{links}{'user//other'} });

    $admin->ask({ action => 'removemeshuser', meshid => $id,
                  userid => 'user//other' });
    seen('removemeshuser', scalar group($id), sub { !$_[0]{links}{'user//other'} });

    $admin->ask({ action => 'changeDeviceMesh', nodeids => [$agent->node],
                  meshid => $id });
    seen('changeDeviceMesh', devices($id), sub { @{ $_[0] } == 1 });

    $admin->ask({ action => 'changedevice', nodeid => $agent->node,
                  name => "pc $time" });
    seen('changedevice', devices($id), sub { $_[0][0]{name} eq "pc $time" });

    $admin->ask({ action => 'changeDeviceMesh', nodeids => [$agent->node],
                  meshid => $first });
    seen('changeDeviceMesh', devices($id), sub { !@{ $_[0] } });

    $admin->ask({ action => 'deletemesh', meshid => $id });
    seen('deletemesh', scalar group($id), sub { !$_[0] });

    $admin->close;
}

is($old{$_}, 0, "after $_ the next answer is not older than it")
    for sort keys %old;

# --- each device is woken by the agents of its own group

$admin = Mesh::Control->new($mesh, 'admin', 'correct horse battery');
my $second = $admin->ask({ action => 'createmesh', meshname => 'Second',
                           meshtype => 2 })->{meshid};
my @near = ($agent, map { Mesh::Agent->new($mesh, n => 700 + $_->[0],
    group => $_->[1], name => "pc $_->[0]") } [1, $first], [2, $second],
    [3, $second]);
for my $n (0 .. $#near) {
    $near[$n]->online or die "no agent\n" if $n;
    $near[$n]->json({ action => 'netinfo', netif2 => { eth0 => [{
        mac => "02:00:00:00:00:0$n", family => 'IPv4', address => '10.0.0.1',
        status => 'up' }] } });
    $mesh->wait_for('the addresses', sub {
        $admin->ask({ action => 'getnetworkinfo', nodeid => $near[$n]->node })
              ->{netif2};
    });
}

$admin->ask({ action => 'wakedevices',
              nodeids => [map { $_->node } @near[0, 2, 1, 3]] });
for my $n (0 .. $#near) {
    my @macs = map { my $m = $near[$n]->await('wakeonlan');
                     $m ? @{ $m->{json}{macs} } : () } 1 .. 2;
    is("@macs", join(' ', map { "02:00:00:00:00:0$_" } $n < 2 ? (0, 1) : (2, 3)),
       "agent $n wakes the devices of its group");
}
like($admin->ask({ action => 'wakedevices', nodeids => [$near[3]->node] })
           ->{result}, qr/^Used 2 device/, 'one device is told by how many');

# --- an agent that goes while commands for it are on their way to its worker

do {
    $admin = Mesh::Control->new($mesh, 'admin', 'correct horse battery');
} while $mesh->worker($admin->{ws}) == $mesh->worker($near[3]{ws});
my $holder = $mesh->worker($near[3]{ws});
my %nodes = (nodeid => $near[3]->node, nodeids => [$near[3]->node]);
kill 'STOP', $holder;
$near[3]->close;
is($admin->ask({ action => 'msg', type => $_, value => 'x', %nodes })->{result},
   'OK', "$_ is on its way") for qw(ps console);
is($admin->ask({ action => 'runcommands', type => 3, cmds => 'id', %nodes,
                 reply => JSON::PP::true, ack => JSON::PP::true })->{result},
   'OK', 'a command is, too');
kill 'CONT', $holder;
for my $case (['ps', 'Unable to route'], ['console', 'Unable to route'],
              ['runcommands', 'Agent not connected']) {
    my $m = $admin->wait(sub { $_[0]{action} eq 'msg'
                               && ($_[0]{type} // '') eq $case->[0] });
    is_deeply($m && [@$m{qw(nodeid result)}], [$nodes{nodeid}, $case->[1]],
              "$case->[0]: the device is not reached, and that is told");
}

$_->close for @near[1, 2];
$admin->close;

# --- a group whose deletion was cut after its first act

$mesh->sql("INSERT INTO device (device_id, domain_id, wire_id,"
    . " device_group_id, kind, name, name_key, first_seen_at)"
    . " WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
    . " WHERE i < 250) SELECT 900000000 + i, domain_id,"
    . " 'node//left' || i, device_group_id, 2, 'left', 'left', 1"
    . " FROM n, device_group WHERE wire_id = '$first'");
$mesh->sql("UPDATE device_group SET deleted_at = 1"
           . " WHERE wire_id = '$first'");
$mesh->reload;
$mesh->wait_for('the rest of the deletion', sub { !left('access') });
is(left('device'), 0, 'a start deletes what is left of a deleted group');
is(($mesh->sql('SELECT count(*) FROM change WHERE kind = 6'
               . ' AND id BETWEEN 900000001 AND 900000250'))[0], 250,
   'and other servers are told of each device');
ok($agent->{ws}->closed, 'an agent of it does not stay');

$agent->close;
$mesh->stop;
done_testing();


sub seen {
    my ($action, $got, $good) = @_;
    $old{$action} += $good->($got) ? 0 : 1;
}

sub left {
    my ($table) = @_;
    return ($mesh->sql("SELECT count(*) FROM $table AS t JOIN device_group AS g"
                       . ' ON g.device_group_id = t.device_group_id'
                       . " WHERE g.wire_id = '$first'"))[0];
}

sub group {
    my ($id) = @_;
    my $all = $admin->ask({ action => 'meshes' })->{meshes};
    return (grep { $_->{_id} eq $id } @$all)[0];
}

sub devices {
    my ($id) = @_;
    return $admin->ask({ action => 'nodes' })->{nodes}{$id} // [];
}
