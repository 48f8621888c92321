#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# Who works on a device now: told to pages from the server's own relays, and
# what its agent says of itself beside them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use Test::More;
use Mesh::Agent;
use Mesh::Control;
use Mesh::Relay qw(relay);
use Mesh::Test;

my $mesh = Mesh::Test->new;
my $group;
$mesh->start(prepare => sub {
    $mesh->admin(\"correct horse battery\n", 'user', 'add', 'admin',
                 '--site-admin');
    $mesh->admin(\"battery staple horse\n", 'user', 'add', 'quiet');
    $group = $mesh->admin('group', 'add', 'Lab', '--owner', 'admin');
    chomp $group;
});

my $control = Mesh::Control->new($mesh, 'admin', 'correct horse battery');
my $own = $control->{userinfo}{userinfo}{_id};

# 8: remote control, 8192: sees nothing of what others do
$control->ask({ action => 'addmeshuser', meshid => $group,
                usernames => ['quiet'], meshadmin => 8 | 8192 });
my $quiet = Mesh::Control->new($mesh, 'quiet', 'battery staple horse');

my $agent = Mesh::Agent->new($mesh, n => 700, group => $group);
$agent->online or BAIL_OUT('the agent does not get in');

my ($viewer, $device) = relay($mesh, $control, $agent, 'busy', 1);
is_deeply(sessions(sub { $_[0]{terminal} }), { terminal => { $own => 1 } },
          'a terminal that opens is told, and whose it is');
is_deeply(node($control)->{sessions}, { terminal => { $own => 1 } },
          'the list of devices says it too');
is_deeply(row($control), { terminal => { $own => 1 } },
          'and so does the list of the page');
is(node($quiet)->{sessions}, undef,
   'not to one who is not to see what others do');
is_deeply(row($quiet), {}, 'in either list');

my ($second, $end) = relay($mesh, $control, $agent, 'busy2', 5);
is_deeply(sessions(sub { $_[0]{files} }),
          { terminal => { $own => 1 }, files => { $own => 1 } },
          'a second one of another kind is told beside it');

# S-13: tunnels are counted here, whatever the agent says of them
$agent->json({ action => 'sessions', type => $_,
               value => { 'user//victim' => 3 } })
    for qw(kvm terminal files tcp udp nobody);
$agent->json({ action => 'sessions', type => 'app', value => $_ })
    for 'text', [1], { x => 'y' x 10000 };
$agent->json({ action => 'sessions', type => 'app',
               value => { 'The "app"' => 2 } });
my $said = sessions(sub { $_[0]{app} });
is_deeply($said, { terminal => { $own => 1 }, files => { $own => 1 },
                   app => { 'The "app"' => 2 } },
          'S-13: an agent tells of its own programs, not of sessions');

$agent->json({ action => 'sessions', type => 'help',
               value => { mei => 'It <b>beeps</b>' } });
$agent->json({ action => 'battery', state => 'dc', level => 41 });
$said = sessions(sub { $_[0]{battery} });
is_deeply($said->{help}, { mei => 'It <b>beeps</b>' },
          'who asks for help at the device is told, in its words');
is_deeply($said->{battery}, { state => 'dc', level => 41 },
          'and how full its battery is');

$agent->json({ action => 'sessions', type => $_, value => {} })
    for qw(app help);
$said = sessions(sub { !$_[0]{app} && !$_[0]{help} });
is_deeply([sort keys %$said], [qw(battery files terminal)],
          'what it has no more of is gone');

# S-18: a flood of it
$agent->json({ action => 'sessions', type => 'app', value => { x => $_ } })
    for 1 .. 200;
sessions(sub { (($_[0]{app} // {})->{x} // 0) == 200 });
cmp_ok(scalar(grep { ($_->{event}{action} // '') eq 'devicesessions' }
              @{ $control->{kept} }), '<', 20,
       'S-18: a flood of them is told once a second');

$_->abort for $viewer, $second, $device, $end;
$said = sessions(sub { !$_[0]{terminal} && !$_[0]{files} });
ok($said, 'the end of sessions is told');
is(node($control)->{sessions}, undef, 'and stands in no list');

my $heard = 0;
while (my $m = $quiet->next(0.5)) {
    $heard++ if ($m->{event}{action} // '') eq 'devicesessions';
}
is($heard, 0, 'who is not to see what others do has heard nothing of it');

$agent->close;
$mesh->stop;
done_testing;


sub sessions {
    my ($want) = @_;
    my $event = $control->event(sub {
        $_[0]{action} eq 'devicesessions' && $_[0]{nodeid} eq $agent->node
        && $want->($_[0]{sessions});
    });
    return $event && $event->{sessions};
}

sub node {
    my ($c) = @_;
    my $nodes = $c->ask({ action => 'nodes' })->{nodes};
    return (map { @$_ } values %$nodes)[0];
}

sub row {
    my ($c) = @_;
    my $reply = $c->ask({ action => 'devicelist' });
    my ($i) = grep { $reply->{columns}[$_] eq 'sessions' }
              0 .. $#{ $reply->{columns} };
    return defined $i ? $reply->{rows}[0][$i] : undef;
}
