#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# What a device group says of its devices: that they are called as they call
# themselves, and how long one may be away.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use Test::More;
use Time::HiRes qw(time);
use Mesh::Agent;
use Mesh::Control;
use Mesh::Test;

my $DAY = 86400000;
my $mesh = Mesh::Test->new(main => 'mesh_device_grace 3s;');
my (%group, $n);
$n = 720;

$mesh->start(prepare => sub {
    $mesh->admin(\"correct horse battery\n", 'user', 'add', 'admin',
                 '--site-admin');
    for my $name (qw(Names Plain Short Days)) {
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

# --- away

edit(Short => flags => 1);
edit(Days => expireDevs => 2);

my $there = agent('Short', name => 'there');
my $left = agent('Short', name => 'left');
my $old = agent('Days', name => 'old');
my $recent = agent('Days', name => 'recent');
my $still = agent('Days', name => 'still');
my $unseen = agent('Days', name => 'unseen');
$_->close for $left, $old, $recent, $unseen;
$mesh->wait_for('the end of their contacts in the database', sub {
    my ($ends) = $mesh->sql('SELECT count(*) FROM device_seen WHERE cause = 0');
    return $ends >= 4;
});

# as if days had passed; the end of one was not seen
my $now = int(time * 1000);
seen($old, $now - 3 * $DAY, 0);
seen($recent, $now - 1 * $DAY, 0);
seen($still, $now - 30 * $DAY, 1);
seen($unseen, $now - 30 * $DAY, 1);

$event = removed($left);
is($event && $event->{msgid}, 87,
   'a device of a group that keeps none is removed when it is away');
is_deeply($event && $event->{msgArgs}, ['left', 'Short'],
          'and the page can say which');
ok(removed($old), 'and one that was away for more days than its group allows');
$mesh->wait_for('the end that nobody saw', sub {
    my ($cause, $at) = split /\|/, ($mesh->sql('SELECT s.cause, s.at FROM '
        . 'device_seen s JOIN device d ON d.device_id = s.device_id WHERE '
        . "d.wire_id = '" . $unseen->node . "'"))[0] // '';
    return defined $cause && $cause == 0 && $at >= $now;
});
ok(node($unseen)->{name},
   'one whose end was not seen is away from when that is found');
ok(node($recent)->{name}, 'one that was there in that time stays');
ok(node($still)->{name} && $still->{ws}->alive,
   'so does one that is connected for longer');
ok(node($there)->{name} && $there->{ws}->alive, 'and one that is there');
is_deeply([$mesh->sql("SELECT name FROM device WHERE name IN ('left', 'old')")],
          [], 'nothing is left of those that went');

($log) = $mesh->sql("SELECT text FROM event WHERE action = 'removenode' AND "
                    . "text LIKE '%old%'");
is($log, 'Removed device old from device group Days, which it had not come '
         . 'back to', 'the log says why');

$left = again($left, name => 'left');
ok(node($left)->{name}, 'it can come back, as a new one');

# more than one step has
many(230);
$mesh->wait_for('the end of many', sub {
    my ($count) = $mesh->sql("SELECT count(*) FROM device "
                             . "WHERE name = 'many'");
    return $count == 0;
});
my ($told) = $mesh->sql("SELECT count(*) FROM event WHERE action = "
                        . "'removenode' AND text LIKE '%many%'");
is($told, 230, 'many go a hundred at a time, each with its event');

$_->close for $there, $still, $left, $plain;
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

sub removed {
    my ($agent) = @_;
    return $control->event(sub {
        $_[0]{action} eq 'removenode' && $_[0]{nodeid} eq $agent->node;
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

sub seen {
    my ($agent, $at, $cause) = @_;
    $mesh->sql("UPDATE device_seen SET at = $at, cause = $cause WHERE "
               . 'device_id = (SELECT device_id FROM device WHERE wire_id = '
               . "'" . $agent->node . "')");
}

# devices that went long ago
sub many {
    my ($count) = @_;
    my ($domain, $id) = split /\|/, ($mesh->sql('SELECT domain_id, '
        . "device_group_id FROM device_group WHERE name = 'Days'"))[0];
    my @rows = map {
        my $wire = 'node//' . Mesh::Agent::wire_id(pack 'N12', (7) x 11, $_);
        '(' . (900000000 + $_) . ", $domain, '$wire', $id, 2, 'many', "
        . "'many', 9000000000000)";
    } 1 .. $count;
    $mesh->sql('INSERT INTO device (device_id, domain_id, wire_id, '
               . 'device_group_id, kind, name, name_key, first_seen_at) '
               . 'VALUES ' . join ', ', @rows);
    $mesh->sql('INSERT INTO device_seen (device_id, at, cause, kind) '
               . 'SELECT device_id, 1, 0, 1 FROM device '
               . "WHERE name = 'many'");
}
