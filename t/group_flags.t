#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# What a device group says of its devices: that they are called as they call
# themselves.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use Test::More;
use Mesh::Agent;
use Mesh::Control;
use Mesh::Test;

my $mesh = Mesh::Test->new;
my (%group, $n);
$n = 720;

$mesh->start(prepare => sub {
    $mesh->admin(\"correct horse battery\n", 'user', 'add', 'admin',
                 '--site-admin');
    for my $name (qw(Names Plain)) {
        $group{$name} = $mesh->admin('group', 'add', $name,
                                     '--owner', 'admin');
        chomp $group{$name};
    }
});

my $control = Mesh::Control->new($mesh, 'admin', 'correct horse battery');
edit(Names => flags => 2);

# --- names

my $agent = agent('Names', name => 'first');
$agent->close;
rename_device($agent, 'By hand');
$agent = again($agent, name => 'second');
my $event = changed($agent);
is($event && $event->{node}{name}, 'second',
   'a device is called as its host is when it comes back');
is(node($agent)->{name}, 'second', 'for everybody');
$mesh->wait_for('what it calls itself', sub {
    (node($agent)->{rname} // '') eq 'second';
});
my ($log) = grep { ($_->{msgid} // 0) == 140 && $_->{msg} =~ /second/ }
            @{ $control->ask({ action => 'events',
                               nodeid => $agent->node })->{events} };
like($log && $log->{msg},
     qr/^Changed device second from group Names: name, .*itself/,
     'the log says that it was the device');
is($log && $log->{userid}, undef, 'and no person');

my $rows = renames();
$agent->close;
$agent = again($agent, name => 'second');
$agent->json({ action => 'coreinfo', value => 'core', caps => 14,
               name => '<b>third</b>' });
$event = changed($agent);
is($event && $event->{node}{name}, '<b>third</b>',
   'and as its core says, whatever that is');
is(renames() - $rows, 1, 'a name that it has already is no event');

# S-18
$agent->json({ action => 'coreinfo', value => 'core', caps => 14,
               name => "flood $_" }) for 1 .. 40;
$agent->json({ action => 'coreinfo', value => 'core', caps => 14,
               name => 'x' x 300 });
$agent->json({ action => 'coreinfo', value => 'core', osdesc => 'Last' });
$control->event(sub { (($_[0]{node} // {})->{osdesc} // '') eq 'Last' });
cmp_ok(renames() - $rows, '<', 6, 'S-18: it has a few names a minute');
$agent->close;

my $plain = agent('Plain', name => 'first');
$plain->close;
rename_device($plain, 'By hand');
$plain = again($plain, name => 'second');
$plain->json({ action => 'coreinfo', value => 'core', caps => 14,
               name => 'third', osdesc => 'Said' });
$control->event(sub { (($_[0]{node} // {})->{osdesc} // '') eq 'Said' });
$mesh->wait_for('its own name', sub {
    (node($plain)->{rname} // '') eq 'second';
});
is(node($plain)->{name}, 'By hand',
   'a device of another group keeps the name that it was given');

$plain->close;
$mesh->stop;
done_testing;


sub agent {
    my ($group, %arg) = @_;
    my $agent = Mesh::Agent->new($mesh, n => $n++, group => $group{$group},
                                 %arg);
    $agent->online or die "not online\n";
    return $agent;
}

sub again {
    my ($old, %arg) = @_;
    my $agent = Mesh::Agent->new($mesh, %$old, %arg,
                                 nonce => Mesh::Agent::random(48));
    $agent->online or die "not online again\n";
    return $agent;
}

sub edit {
    my ($name, @what) = @_;
    my $reply = $control->ask({ action => 'editmesh', meshid => $group{$name},
                                @what });
    die encode_json($reply) if $reply->{result} ne 'ok';
}

sub rename_device {
    my ($agent, $name) = @_;
    $control->ask({ action => 'changedevice', nodeid => $agent->node,
                    name => $name });
    $mesh->wait_for('a name by hand', sub {
        (node($agent)->{name} // '') eq $name;
    });
    changed($agent);
}

sub changed {
    my ($agent) = @_;
    return $control->event(sub {
        $_[0]{action} eq 'changenode' && ($_[0]{nodeid} // '') eq $agent->node
        && exists $_[0]{node}{name};
    });
}

sub node {
    my ($agent) = @_;
    my $nodes = $control->ask({ action => 'nodes' })->{nodes};
    my ($node) = grep { $_->{_id} eq $agent->node }
                 map { @$_ } values %$nodes;
    return $node // {};
}

sub renames {
    my ($count) = $mesh->sql("SELECT count(*) FROM event "
                             . "WHERE action = 'changenode' AND "
                             . "text LIKE '%itself%'");
    return $count;
}
