#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# A device that comes back is let in without asking the database, in any worker;
# and never as something that it is not any more.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Mesh::Agent;
use Mesh::Control;
use Mesh::Test;

# one worker at first: what it has heard, all have
my $mesh = Mesh::Test->new(workers => 1);
my %group;

$mesh->start(prepare => sub {
    $mesh->admin(\"correct horse battery\n", 'user', 'add', 'admin',
                 '--site-admin');
    for my $name (qw(Lab Other)) {
        $group{$name} = $mesh->admin('group', 'add', $name,
                                     '--owner', 'admin');
        chomp $group{$name};
    }
});

my $boss = Mesh::Control->new($mesh, 'admin', 'correct horse battery');
my ($n, $marks) = (770, 0);
my ($moved, $removed, $gone, $stays) = map { agent($_) }
                                       qw(moved removed gone stays);
my @late = map { agent("late$_") } 1 .. 3;
my @all = ($moved, $removed, $gone, $stays, @late);

settled();
again($_) for @all;
my $before = known();
again($_) for @all;
is(known() - $before, scalar @all,
   'who comes back is let in without a question to the database');
$_->close for @all;
$mesh->wait_for('their end', sub { !grep { online($_) } @all });
again($stays);
is(online($stays), 1, 'and so is the return');

# --- what its agent said last time is remembered

$stays->json({ action => 'coreinfo', value => 'core', caps => 15 });
$mesh->wait_for('the caps', sub {
    ($mesh->sql("SELECT agent_caps FROM device WHERE name = 'stays'"))[0]
    & 7 });
$stays->close;
again($stays);
is(known() - $before, @all + 2, 'it is remembered still');
is(($mesh->sql("SELECT agent_caps FROM device WHERE name = 'stays'"))[0] & 7, 7,
   'what the device can do is not forgotten by coming back');

# --- moved while it was away

is($boss->ask({ action => 'changeDeviceMesh', nodeids => [$moved->node],
                meshid => $group{Other} })->{result}, 'ok',
   'a device is moved to another group while it is away');
again($moved);
is(place($moved), $group{Other}, 'it comes back into that group');
my $event = $boss->event(sub { $_[0]{action} eq 'nodeconnect'
                               && $_[0]{nodeid} eq $moved->node
                               && $_[0]{conn}
                               && $_[0]{meshid} eq $group{Other} });
ok($event, 'and is announced there');

# --- removed while it was away, by a page and by another process

my ($old) = device('removed');
is($boss->ask({ action => 'removedevices', nodeids => [$removed->node] })
       ->{result}, 'ok', 'a device is removed while it is away');
again($removed);
isnt((device('removed'))[0], $old, 'it comes back as a new one');

($old) = device('gone');
$mesh->admin('device', 'remove', 'gone');
$mesh->wait_for('the new one', sub {
    again($gone) if !$gone->{ws} || !alive($gone);
    my ($id) = device('gone');
    return $id && $id ne $old && alive($gone);
});
pass('the same where no worker was told');
is(scalar(grep { $_ eq $gone->node } nodes()), 1, 'it is in the list, once');

# --- workers come and go

# one stays, and with it the old worker until the new ones have loaded
$_->close for $moved, $removed, $gone;
$mesh->{workers} = 4;
$mesh->write_conf;
$mesh->reload;
$before = known();
again($_), $_->close for @late;
is(known() - $before, scalar @late,
   'new workers know the devices of the old one');
$stays->close;

# by chance one of them is there again before the last has gone
my $kept = 1;
for (1 .. 5) {
    my @old = $mesh->workers;
    kill 'KILL', @old;
    $mesh->ready(@old);
    $before = known();
    again($late[0]);
    $kept = known() - $before or last;
    $late[0]->close;
}
is($kept, 0, 'when nobody was there to hear, all is asked anew');
$late[0]->close;

$mesh->expect_alert(qr/exited on signal 9/);
$mesh->stop;
done_testing();


sub agent {
    my ($name) = @_;
    my $agent = Mesh::Agent->new($mesh, n => $n++, group => $group{Lab},
                                 name => $name);
    ok($agent->online, "$name joins");
    return $agent;
}

sub again {
    my ($agent) = @_;
    $agent->online or die "$agent->{name} is not let in\n";
}

sub alive {
    my ($agent) = @_;
    return fileno $agent->{ws}{s} && $agent->{ws}->alive;
}

sub known { return $mesh->metric('agents_known') }

# the worker has read all that was written until now
sub settled {
    my $name = 'mark' . ++$marks;
    $mesh->admin('group', 'add', $name, '--owner', 'admin');
    $mesh->wait_for($name, sub {
        grep { $_->{name} eq $name }
             @{ $boss->ask({ action => 'meshes' })->{meshes} }
    });
}

sub device {
    my ($name) = @_;
    return $mesh->sql("SELECT device_id FROM device WHERE name = '$name'");
}

sub online {
    my ($agent) = @_;
    my $all = $boss->ask({ action => 'nodes' })->{nodes};
    my ($node) = grep { $_->{_id} eq $agent->node } map { @$_ } values %$all;
    return ($node->{conn} // 0) & 1;
}

sub place {
    my ($agent) = @_;
    my $all = $boss->ask({ action => 'nodes' })->{nodes};
    for my $group (keys %$all) {
        return $group if grep { $_->{_id} eq $agent->node } @{ $all->{$group} };
    }
    return undef;
}

sub nodes {
    my $all = $boss->ask({ action => 'nodes' })->{nodes};
    return map { $_->{_id} } map { @$_ } values %$all;
}
