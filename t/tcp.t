#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# Connections through an agent (session.md 1.8): the server makes the id and
# commands the agent, and who may go where is a matter of rights, of the device
# and of what its group allows (S-50).

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use Test::More;
use Mesh::Agent;
use Mesh::Control;
use Mesh::Relay qw(answer opened);
use Mesh::Test qw(escape);

my $FULL = 0xffffffff;
my ($REMOTE, $RELAY) = (8, 0x200000);
my $OPEN = 'error: The group of this device does not allow connections to this '
           . 'address and port through it.';

my $mesh = Mesh::Test->new(server => 'mesh_relay_wait 3s; '
                                     . 'mesh_limit relay per=user 1000;');
my %group;
$mesh->start(prepare => sub {
    $mesh->admin(\"correct horse battery\n", 'user', 'add', 'admin',
                 '--site-admin');
    $mesh->admin(\"a password for tests\n", 'user', 'add', $_)
        for qw(mei oona);
    for my $name (qw(Lab Other)) {
        chomp($group{$name} = $mesh->admin('group', 'add', $name, '--owner',
                                           'admin'));
    }
});

my $admin = Mesh::Control->new($mesh, 'admin', 'correct horse battery');
my $agent = Mesh::Agent->new($mesh, n => 700, group => $group{Lab},
                             name => 'first');
my $second = Mesh::Agent->new($mesh, n => 701, group => $group{Other},
                              name => 'second');
$agent->online && $second->online or die "no agents\n";

# --- bytes, in one worker and across two

my ($n, %ids) = (0);
for my $i (1 .. 24) {
    my ($viewer, $device, $command) = pair($admin, $agent, { tcpport => 7 });
    my ($id) = $command->{value} =~ /[?&]id=([^&]+)/;
    $ids{$id}++;
    $n++ if $command->{tcpport} == 7 && $command->{tcpaddr} eq '127.0.0.1'
            && $id =~ /^[0-9a-f]{32}$/;
    $viewer->binary("up $i");
    $device->binary("down $i");
    is($device->read->{data} . ' ' . $viewer->read->{data}, "up $i down $i",
       'bytes pass both ways') if $i == 1;
    $viewer->close;
    is($device->closed, 1000, 'the end of the viewer ends the device')
        if $i == 1;
}
is($n, 24, 'the agent is told port and address, under an id of the server');
is(keys %ids, 24, 'S-51: no two of them are the same');
my ($local, $cross) = map { $mesh->metric($_) } qw(relays_local relays_cross);
ok($local > 0 && $cross > 0, "halves met in one worker ($local) and in two "
                             . "($cross)");

$mesh->stop;
done_testing;


# opens a viewer; what of a URL comes behind nodeid
sub viewer {
    my ($control, $agent, $target, $cookie) = @_;
    $cookie //= $control->ask({ action => 'authcookie' })->{cookie};
    my $url = '/meshrelay.ashx?auth=' . escape($cookie);
    $url .= '&nodeid=' . escape($agent->node) if $agent;
    $url .= "&$_=" . escape($target->{$_}) for sort keys %$target;
    return $mesh->ws($url);
}

# the command that the agent gets
sub command {
    my ($agent) = @_;
    while (my $m = $agent->await('msg')) {
        return $m->{json} if ($m->{json}{type} // '') eq 'tunnel';
    }
    die "no command\n";
}

sub pair {
    my ($control, $agent, $target, $cookie) = @_;
    my $viewer = viewer($control, $cookie ? undef : $agent, $target, $cookie);
    my $command = command($agent);
    my $device = answer($mesh, $command);
    my @said = map { ($_->read // {})->{data} // '' } $viewer, $device;
    die "not open: @said\n" if "@said" ne 'c c';
    return ($viewer, $device, $command);
}
