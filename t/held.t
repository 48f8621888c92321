#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# Agents that are refused are held, and have a bound of their own: over it
# nobody new is let in before one of them has gone.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Mesh::Agent;
use Mesh::Test;

plan(skip_all => 'nothing of it is of the database')
    if ($ENV{MESH_DB} // '') eq 'postgres';

my $mesh = Mesh::Test->new(workers => 1, main => 'mesh_handshakes 4;',
                           server => 'mesh_refuse_hold 600s;');
my $group = $mesh->lab;

my $n = 1000;
my $there = agent('there', $group);
ok($there->online, 'an agent is online');

my @held = map { refused("held$_") } 1 .. 4;
ok($_->held, "S-18: $_->{name} is held") for @held;
$mesh->wait_for('their number', sub {
    $mesh->get('/metrics')->{body} =~ /^mesh_agents_held 4$/m;
});
is(scalar(grep { $_->{ws}->alive } @held), 4, 'all are held at once');

my $late = agent('late', $group);
ok(!$late->connect, 'S-18: over the bound nobody is let in');
is($late->{ws}->status, 503, 'who comes is told to come later');
is(scalar(grep { $_->{ws}->alive } @held), 4, 'and none of the held is put out');
ok($there->{ws}->alive, 'nor who was there');

$held[0]->close;
$mesh->wait_for('room', sub { agent('next', $group)->online });
pass('when one of them goes there is room again');

$mesh->stop;
done_testing;


# it names a group that is not here
sub refused {
    my $agent = agent($_[0], $group);
    $agent->connect;
    $agent->request;
    $agent->await(1);
    $agent->verify;
    $agent->info(group => Mesh::Agent::random(48));
    return $agent;
}

sub agent {
    my ($name, $of) = @_;
    return Mesh::Agent->new($mesh, n => $n++, name => $name, group => $of);
}
