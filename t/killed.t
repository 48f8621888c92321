#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# A worker is killed that has agents, pages and relays at once (S-26): those of
# the others go on, and each list of devices, old and new, is soon what is true.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(time);
use Mesh::Agent;
use Mesh::Control;
use Mesh::Relay qw(relay);
use Mesh::Test;

my $PASSWORD = 'correct horse battery';
my $mesh = Mesh::Test->new;
my $group;
$mesh->start(prepare => sub {
    $mesh->admin(\"$PASSWORD\n", 'user', 'add', 'admin', '--site-admin');
    $group = $mesh->admin('group', 'add', 'Lab', '--owner', 'admin');
    chomp $group;
});

# --- some of each in every worker

my ($n, %worker) = (1040);
my (@agent, @page, @relay);
until (spread(map { $_->{ws} } @agent)) {
    my $agent = agent($n++);
    $agent->online or die "no agent\n";
    push @agent, $agent;
}
until (spread(map { $_->{ws} } @page)) {
    push @page, page();
}
for my $i (1 .. 100) {
    last if @relay > 7 && spread(map { $_->[0] } @relay)
            && spread(map { $_->[1] } @relay);
    push @relay, [(relay($mesh, $page[0], $agent[$i % @agent], "r$i"))[0, 1]];
}
is(online($page[0]), names(@agent), 'a page has all devices online');

my ($victim) = $mesh->workers;
my ($lost, $left) = part(sub { $_[0]{ws} }, @agent);
my ($blind, $watch) = part(sub { $_[0]{ws} }, @page);
my @cut = grep { in($_->[0]) || in($_->[1]) } @relay;
my @whole = grep { !in($_->[0]) && !in($_->[1]) } @relay;
note(scalar(@$lost) . ' of ' . @agent . ' agents, ' . @$blind . ' of ' . @page
     . ' pages and ' . @cut . ' of ' . @relay . ' relays are to go');
ok(@$lost && @$left && @$blind && @$watch && @cut && @whole,
   'a worker has some of the agents, of the pages and of the relays');

# --- it goes

$mesh->expect_alert(qr/worker process \d+ exited on signal 9/);
my $begun = time;
kill 'KILL', $victim;

for my $page (@$watch) {
    my %gone = map { $_->node => 1 } @$lost;
    while (%gone) {
        my $event = $page->event(sub {
            $_[0]{action} eq 'nodeconnect' && !$_[0]{conn}
                && $gone{$_[0]{nodeid}};
        }) or last;
        delete $gone{$event->{nodeid}};
    }
    is(scalar keys %gone, 0, 'S-26: a page of another worker is told who went');
}
timed('they were told', $begun);

is(online($_), names(@$left), 'S-26: its list has who is there, and nobody else')
    for @$watch;
my $new;
$mesh->wait_for('a new page', sub { ($new = eval { page() }) && $new->ok });
is(online($new), names(@$left), 'S-26: and so has that of a new page');
$mesh->wait_for('the count', sub {
    $mesh->get('/metrics')->{body} =~ /^mesh_agents (\d+)$/m && $1 == @$left;
});
timed('all was right', $begun);

is((grep { !$_->{ws}->alive } @$left), 0, 'S-26: the agents of others go on');
isnt($_->{ws}->closed, 0, 'a page of it ends') for @$blind;

my $passed = 0;
for my $i (0 .. $#whole) {
    my ($viewer, $device) = @{ $whole[$i] };
    my @data = map { Mesh::Agent::random(3000) x 20 . "$_ $i" } qw(up down);
    $viewer->binary($data[0]);
    $device->binary($data[1]);
    $passed++ if ($device->read->{data} // '') eq $data[0]
                 && ($viewer->read->{data} // '') eq $data[1];
}
is($passed, scalar @whole, 'S-26: relays of others go on, whole');
is((grep { !$_->closed } map { @$_ } @cut), 0,
   'S-26: one with a half in it ends on both sides');

# --- who was lost comes back

$mesh->wait_for('the place of the dead', sub { $mesh->workers >= 4 });
for my $agent (@$lost) {
    $mesh->wait_for('room for an agent', sub {
        ($agent = agent($agent->{n}))->online;
    });
}
for my $page (@$watch, $new) {
    $mesh->wait_for('all to be back', sub { online($page) eq names(@agent) });
}
pass('S-26: agents that come back are online in every list');
ok(relay($mesh, $new, $_, 'again' . $_->{n}), 'with terminals') for @$lost;
timed('all were back', $begun);

$mesh->stop;
done_testing;


sub agent {
    my ($n) = @_;
    return Mesh::Agent->new($mesh, n => $n, group => $group, name => "pc$n");
}

sub page { return Mesh::Control->new($mesh, 'admin', $PASSWORD) }

# has every worker one of them?
sub spread {
    my %seen = map { ($worker{$_} //= $mesh->worker($_)) => 1 } @_;
    return keys %seen >= 4;
}

# is it in the one that dies?
sub in { return ($worker{$_[0]} //= $mesh->worker($_[0])) == $victim }

sub part {
    my ($of, @all) = @_;
    return [grep { in($of->($_)) } @all], [grep { !in($of->($_)) } @all];
}

# devices that are online, as a page has them
sub online {
    my %nodes = %{ $_[0]->ask({ action => 'nodes' })->{nodes} };
    return join ' ', sort map { $_->{name} }
           grep { ($_->{conn} // 0) & 1 } map { @$_ } values %nodes;
}

sub names { return join ' ', sort map { $_->{name} } @_ }

sub timed {
    my ($what, $begun) = @_;
    my $seconds = sprintf '%.2f', time - $begun;
    note("$what after $seconds s");
    cmp_ok($seconds, '<', $Mesh::Test::DEADLINE, "S-26: $what soon");
}
