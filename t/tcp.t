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

# --- S-50: where to

my %refused = (
    '192.168.1.5' => $OPEN, '10.0.0.1' => $OPEN, '169.254.169.254' => $OPEN,
    'fd00::1' => $OPEN, 'printer.example' => $OPEN,
    '0.0.0.0' => qr/^error: This address names/, '::' => qr/^error: This addr/,
    '2130706433' => qr/^error: This is neither/, '0x7f.1' => qr/^error: This is/,
    '0177.0.0.1' => qr/^error: This is neither/, '127.1' => qr/^error: This is/,
    '::127.0.0.1' => qr/^error: This is neither/,
    '64:ff9b::7f00:1' => qr/^error: This is neither/,
    "127.0.0.1\r\nX: y" => qr/^error: This is neither/,
);
for my $addr (sort keys %refused) {
    my ($said, $close) = refused(viewer($admin, $agent, { tcpport => 80,
                                                          tcpaddr => $addr }));
    my $want = $refused{$addr};
    ok((ref $want ? $said =~ $want : $said eq $want) && $close == 1008,
       'S-50: ' . $addr =~ s/\s+/ /gr . ' is refused in words')
        or diag("$said, $close");
}
for my $port (0, 65536, -1, 'x', '') {
    my ($said) = refused(viewer($admin, $agent, { tcpport => $port }));
    like($said, qr/^error: (?:A port is|The cookie)/, "port \"$port\" is none");
}
is((grep { ($_->{json}{type} // '') eq 'tunnel' } @{ $agent->{aside} // [] }),
   0, 'S-50: and no agent is asked for any of them');

for my $addr ('127.0.0.1', 'LOCALHOST', '::ffff:127.0.0.1', '::1', '127.8.9.1') {
    my ($viewer, undef, $command) = pair($admin, $agent, { tcpport => 65535,
                                                           tcpaddr => $addr });
    my $told = $addr =~ /^::1|127\.8/ ? $addr : '127.0.0.1';
    is($command->{tcpaddr}, $told, "S-50: $addr is the device itself, $told");
    $viewer->close;
}

# --- what a group allows beside that

for my $bad (['192.168.1.0/24', qr/^192\.168\.1\.0\/24: An entry is/],
             ['192.168.1.0/33:80', qr/: The number behind/],
             ['a:0', qr/: Ports are/], [7, qr/text/], ['', qr/An entry is/],
             ['1.2.3.4:80' x 40, qr/An entry is/])
{
    my $r = targets($bad->[0]);
    like($r->{result}, $bad->[1], 'a bad entry is refused in words')
        or diag(encode_json($r));
}
like(targets(map { "10.0.0.$_:80" } 1 .. 65)->{result}, qr/at most 64/,
     'a list that is too long too');
is(targets('192.168.1.0/24:22,80', 'Printer.example:9100', '[fd00::]/16:443')
       ->{result}, 'ok', 'a good one is taken');
my ($group) = grep { $_->{_id} eq $group{Lab} }
              @{ $admin->ask({ action => 'meshes' })->{meshes} };
is_deeply($group->{targets}, ['192.168.1.0/24:22,80', 'Printer.example:9100',
                              '[fd00::]/16:443'], 'and kept as it was written');

for (['192.168.1.77', 80, 'an address of the network'],
     ['::ffff:192.168.1.77', 22, 'the same in another spelling'],
     ['printer.EXAMPLE', 9100, 'a name'], ['fd00:1::9', 443, 'IPv6'])
{
    my ($addr, $port, $what) = @$_;
    my ($viewer, undef, $command) = reach($admin, $agent,
        { tcpport => $port, tcpaddr => $addr });
    is($command->{tcpaddr}, lc $addr =~ s/^::ffff://r,
       "S-50: $what can be reached when the group says so");
    $viewer->close;
}
is((refused(viewer($admin, $agent, { tcpport => 81,
                                     tcpaddr => '192.168.1.77' })))[0], $OPEN,
   'S-50: at the ports that it says');
is((refused(viewer($admin, $second, { tcpport => 80,
                                      tcpaddr => '192.168.1.77' })))[0], $OPEN,
   'S-50: through devices of that group');

# --- who

my $mei = Mesh::Control->new($mesh, 'mei', 'a password for tests');
my $unseen = 'error: This device is not connected, or you may not use it.';
is((refused(viewer($mei, $agent, { tcpport => 22 })))[0], $unseen,
   'S-33: a device of others answers');
is((refused(viewer($mei, undef, { tcpport => 22, nodeid => 'node//'
                                  . 'A' x 64 })))[0], $unseen,
   'S-33: as one that is not there');
for ([4 | 0x100000, 22, qr/no right/, 'neither remote control nor relay'],
     [$RELAY, 80, 'c', 'relay alone'], [$REMOTE, 80, 'c', 'remote control'],
     [$REMOTE | 0x10000, 5900, qr/more rights/, 'S-31: no desktop, to VNC'],
     [$REMOTE | 0x100, 5901, qr/more rights/, 'S-31: view only, to VNC'],
     [$REMOTE | 0x1000, 3389, qr/more rights/, 'S-31: limited input, to RDP'],
     [$REMOTE | 0x200, 22, qr/more rights/, 'S-31: no terminal, to SSH'],
     [$REMOTE | 0x10000, 80, 'c', 'no desktop, elsewhere'])
{
    my ($rights, $port, $want, $what) = @$_;
    give($mei, $rights);
    if (ref $want) {
        $mesh->wait_for("$what: refused", sub {
            my $viewer = viewer($mei, $agent, { tcpport => $port });
            my ($said) = refused($viewer);
            return $said =~ $want;
        });
        pass("$what: refused in words");
    } else {
        my ($viewer) = reach($mei, $agent, { tcpport => $port });
        ok($viewer, "$what: it opens");
        $viewer->close;
    }
}

# --- what ends one that is open

give($mei, $REMOTE);
my ($viewer, $device) = reach($mei, $agent, { tcpport => 80,
                                              tcpaddr => '192.168.1.77' });
my ($far, $there) = pair($mei, $agent, { tcpport => 80 });
targets();
is($viewer->closed(20), 1008,
   'S-50: what the group allows no more ends, when it is open');
like($device->closed(20), qr/^100[08]$/, 'S-50: the device is told');
$far->binary('on');
is(($there->read // {})->{data}, 'on',
   'S-50: and what goes to the device itself goes on');
give($mei, 0x100000);
is($far->closed(20), 1008, 'S-31: it ends when the right is gone');

# --- cookies of getcookie

give($mei, $REMOTE);
my $r = $mei->ask({ action => 'getcookie', nodeid => $agent->node,
                    tcpport => 5900, name => 'x', bogus => 'y' });
ok($r->{cookie} && $r->{tcpport} == 5900 && $r->{name} eq 'x'
   && !exists $r->{bogus}, 'getcookie gives a cookie for one target');
my $other;
($viewer, $device, $other) = pair($mei, $agent, {}, $r->{cookie});
is("$other->{tcpport} $other->{tcpaddr} $other->{userid}",
   '5900 127.0.0.1 user//mei', 'which opens that one, as who asked for it');
my ($row) = grep { ($_->{tcpport} // 0) == 5900 }
            @{ $mei->ask({ action => 'relays' })->{relays} };
is("$row->{tcpport} $row->{tcpaddr}", '5900 127.0.0.1',
   'the list of sessions says where it goes');
is($admin->ask({ action => 'endrelay', id => $row->{id} })->{result}, 'ok',
   'who manages the device ends it');
is($viewer->closed(20), 1008, 'and it ends');
my $event;
$mesh->wait_for('the event', sub {
    ($event) = grep { ($_->{action} // '') eq 'relaylog'
                      && exists $_->{bytesout}
                      && ($_->{tcpport} // 0) == 5900 }
               @{ $admin->ask({ action => 'events', nodeid => $agent->node })
                        ->{events} };
    return $event;
});
like($event->{msg}, qr/^mei ended a TCP session to 127\.0\.0\.1 port 5900 of \d+ seconds .* admin ended it$/,
     'an event says where it went, for how long and why it ended');

for (['another port', { tcpport => 22 }],
     ['another device', { nodeid => $second->node }])
{
    is((refused(viewer($admin, undef, $_->[1], $r->{cookie})))[0],
       'error: The cookie is for another connection.',
       "S-50: a cookie is of no use for $_->[0]");
}
$admin->send({ action => 'getcookie', nodeid => $agent->node, tcpport => 5900,
               tag => 'novnc' });
my $novnc = $admin->wait(sub { ($_[0]{tag} // '') eq 'novnc' })->{cookie};
($viewer, $device, $other) = pair($admin, $agent, {}, $novnc);
like($other->{value}, qr/[?&]p=12&/, 'of noVNC it is a VNC session');
$viewer->close;
isnt(opened($mesh->ws('/control.ashx?auth=' . escape($novnc))), 'open',
     'S-20: no cookie of that kind opens a control channel');
my ($spoilt) = $r->{cookie};
substr $spoilt, 40, 1, substr($spoilt, 40, 1) eq 'A' ? 'B' : 'A';
isnt(opened($mesh->ws('/meshrelay.ashx?auth=' . escape($spoilt))), 'open',
     'S-20: nor does a spoilt one open anything');
my ($ticket) = $other->{value} =~ /rauth=([^&]+)/;
isnt(opened($mesh->ws("/meshrelay.ashx?auth=$ticket&tcpport=1&nodeid="
                      . escape($agent->node))), 'open',
     'S-20: nor one of an agent');
isnt(opened($mesh->ws("/meshrelay.ashx?rauth=$ticket")), 'open',
     'S-51: who has no id is no device');
is($mei->ask({ action => 'getcookie', nodeid => $agent->node, tcpport => 80,
               tcpaddr => '192.168.1.77' })->{result}, $OPEN =~ s/^error: //r,
   'S-50: there is none for what the group does not allow');
give($mei, 0x100000);
like((refused(viewer($mei, undef, {}, $r->{cookie})))[0], qr/no right/,
     'S-31: a cookie is worth no more than its user');
$mesh->admin(\"another password 1\n", 'user', 'passwd', 'mei');
isnt(opened($mesh->ws('/meshrelay.ashx?auth=' . escape($r->{cookie}))), 'open',
     'S-07: and nothing after a change of the password');

# --- the command of a client that chose the id itself

my $command = { action => 'msg', type => 'tunnel', nodeid => $agent->node,
    usage => 0, value => '*/meshrelay.ashx?p=0&id=mine&rauth=x',
    tcpport => 80, tcpaddr => '192.168.1.77' };
is($admin->ask($command)->{result}, 'Unable to route',
   'S-50: a tunnel command goes by the same list');
is($admin->ask({ %$command, tcpaddr => 'localhost' })->{result}, 'OK',
   'to the device itself it is passed on');
$other = command($agent);
is("$other->{tcpport} $other->{tcpaddr}", '80 127.0.0.1', 'as it was checked');
$device = answer($mesh, $other);
$viewer = $mesh->ws('/meshrelay.ashx?browser=1&id=mine&nodeid='
    . escape($agent->node) . '&auth='
    . escape($admin->ask({ action => 'authcookie' })->{cookie}));
is(($viewer->read // {})->{data}, 'c', 'and the two halves meet');
$viewer->close;

# --- datagrams, and a device that does not come

($viewer, $device, $other) = pair($admin, $agent, { udpport => 53 });
is("$other->{udpport} $other->{udpaddr}", '53 127.0.0.1',
   'datagrams go the same way');
ok(!exists $other->{tcpport}, 'and not as TCP');
$viewer->close;

$viewer = viewer($admin, $agent, { tcpport => 80 });
command($agent);
is((refused($viewer))[0], 'error: The device did not answer in time.',
   'a device that does not come is said');
$agent->close;
$mesh->wait_for('the device to be away', sub {
    (refused(viewer($admin, $agent, { tcpport => 80 })))[0] eq $unseen;
});
pass('one that is away too');

$mesh->stop;
done_testing;


# a pair, also where a worker does not know yet that it may be
sub reach {
    my ($control, $agent, $target) = @_;
    for (1 .. 100) {
        my $viewer = viewer($control, $agent, $target);
        my $command;
        until ($command) {
            my $m = $viewer->read(0.05);
            last if $m;
            $command = eval { command($agent, 0.05) };
        }
        if (!$command) {
            $viewer->abort;
            next;
        }
        my $device = answer($mesh, $command);
        my @said = map { ($_->read // {})->{data} // '' } $viewer, $device;
        die "not open: @said\n" if "@said" ne 'c c';
        return ($viewer, $device, $command);
    }
    die "it is never allowed\n";
}

# what the viewer is told, and how it is closed
sub refused {
    my ($ws) = @_;
    return ($ws->status, 0) if $ws->status != 101;
    my $m = $ws->read // {};
    return ($m->{data} // '', $ws->closed);
}

sub targets {
    my (@list) = @_;
    return $admin->ask({ action => 'editmesh', meshid => $group{Lab},
                         targets => \@list });
}

# in this and, soon, in each worker
sub give {
    my ($control, $rights) = @_;
    $admin->ask({ action => 'addmeshuser', meshid => $group{Lab},
                  usernames => ['mei'], meshadmin => $rights });
    $mesh->wait_for('the right', sub {
        my ($group) = grep { $_->{_id} eq $group{Lab} }
                      @{ $control->ask({ action => 'meshes' })->{meshes} };
        return $group && $group->{links}{'user//mei'}{rights} == $rights;
    });
}

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
    my ($agent, $seconds) = @_;
    while (my $m = $agent->await('msg', $seconds)) {
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
