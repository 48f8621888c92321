#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# The relay: two hundred of them over four workers, who may take which half
# (session.md 1.15), back pressure, and what ends one.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use Test::More;
use Time::HiRes qw(sleep time);
use Mesh::Agent;
use Mesh::Browser;
use Mesh::Control;
use Mesh::Relay qw(tunnel invite opened flood);
use Mesh::Test qw(escape);

my $mesh = Mesh::Test->new(server => 'mesh_relay_wait 3s; '
                              . 'mesh_limit relay per=user 1000;');
my %group;
$mesh->start(prepare => sub {
    $mesh->admin(\"correct horse battery\n", 'user', 'add', 'admin',
                 '--site-admin');
    $mesh->admin(\"a password for tests\n", 'user', 'add', $_)
        for qw(mei oona);
    $group{$_} = $mesh->admin('group', 'add', $_, '--owner', 'admin')
        for qw(Lab Attic);
    chomp %group;
});

my $admin = control('admin', 'correct horse battery');
my $agent = Mesh::Agent->new($mesh, n => 700, group => $group{Lab},
                             name => 'first');
my $second = Mesh::Agent->new($mesh, n => 701, group => $group{Lab},
                              name => 'second');
$agent->online && $second->online or die "no agents\n";

# --- two hundred, in any order and any two workers

my (@pair, $bad);
for my $i (1 .. 200) {
    my ($viewer, $device) = relay($admin, $agent, "pair$i", $i % 2);
    push @pair, [$viewer, $device, $i];
}
is(scalar @pair, 200, '200 relays open');

my $n = 0;
for (@pair) {
    my ($viewer, $device, $i) = @$_;
    my $down = Mesh::Agent::random(3000) x 7 . "down $i";
    my $up = Mesh::Agent::random(2000) x 5 . "up $i";
    $viewer->binary($up);
    $device->binary($down);
    $device->text("text $i");
    $n++ if ($device->read->{data} // '') eq $up
            && ($viewer->read->{data} // '') eq $down
            && ($viewer->read->{data} // '') eq "text $i";
}
is($n, 200, 'each carries both ways, whole and in order, what is its own');

my ($local, $cross) = map { $mesh->metric($_) } qw(relays_local relays_cross);
ok($local > 0 && $cross > 0 && $local + $cross == 200,
   "halves met in one worker ($local) and in two ($cross)");

$_->[0]->close for @pair;
is((grep { $_->[1]->closed != 1000 } @pair), 0,
   'when one side closes, so does the other, with its code');

# --- frames of every kind pass as they are

my ($viewer, $device) = relay($admin, $agent, 'frames');
for my $size (0, 1, 125, 126, 127, 65535, 65536, 70000, 1_000_000) {
    my $data = Mesh::Agent::random($size % 997) . 'x' x ($size - $size % 997);
    $device->binary($data);
    my $got = $viewer->read;
    ok($got && $got->{data} eq $data, "a frame of $size bytes passes");
}
$device->raw($device->frame(2, 'one ', fin => 0)
             . $device->frame(9, 'between') . $device->frame(0, 'message'));
is($viewer->read->{data}, 'one message', 'a message in two frames is one');

# --- S-51: ids are names, not secrets

my $invited = invite($admin, $agent, 'taken');
my $half = viewer($admin, $agent, 'taken');
is(viewer($admin, $agent, 'taken')->closed, 1008,
   'S-51: a second viewer of a waiting relay is closed');
my $other = answer($invited);
is($half->read->{data}, 'c', 'S-51: and the one that waited is served');
is($other->read->{data}, 'c', 'S-51: by the device');
like(answer($invited)->closed, qr/^1(?!000)/, 'S-51: a second device half is closed');
$half->binary('still here');
is($other->read->{data}, 'still here', 'S-51: and the pair goes on');
$half->close;

my $ticket = rauth($invited);
for (['another id', "/meshrelay.ashx?p=1&id=taken2&rauth=$ticket"],
     ['no ticket', '/meshrelay.ashx?p=1&id=x1'],
     ['a ticket that is none', '/meshrelay.ashx?p=1&id=x1&rauth=AAAA'],
     ['a ticket for the control channel', '/meshrelay.ashx?p=1&id=x1&rauth='
      . escape($admin->ask({ action => 'authcookie' })->{cookie})],
     ['no id', "/meshrelay.ashx?p=1&rauth=$ticket"],
     ['an id of other characters', "/meshrelay.ashx?p=1&id=a%2Fb&rauth=$ticket"],
     ['an id that is too long', '/meshrelay.ashx?p=1&id=' . 'a' x 65
      . "&rauth=$ticket"])
{
    my ($what, $path) = @$_;
    my $said = opened($mesh->ws($path));
    isnt($said, 'open', "S-51: a half with $what is refused");
}

# another account: no contact, whatever the id
$admin->ask({ action => 'addmeshuser', meshid => $group{Lab},
              usernames => ['mei'], meshadmin => 8 });
my $mei = control('mei', 'a password for tests');
my $oona = control('oona', 'a password for tests');
$invited = invite($admin, $agent, 'shared');
my $hers = viewer($mei, $agent, 'shared');
my $his = viewer($admin, $agent, 'shared');
answer($invited);
is($his->read->{data}, 'c', 'S-51: the relay is of who asked for it');
is(($hers->read(0.5) // {})->{data}, undef,
   'S-51: another account with the same id hears nothing of it');
$his->close;

# another device than the one that was asked for
$invited = invite($admin, $agent, 'which');
my $wrong = viewer($admin, $second, 'which');
my $right = answer($invited);
is(($wrong->read(0.5) // {})->{data}, undef,
   'S-51: a viewer of another device does not meet it');

# --- who is on which device, and the end of it

my ($listed, $far) = relay($mei, $agent, 'listed');
$far->binary('x' x 5000);
$listed->read;
my $row;
$mesh->wait_for('the list', sub {
    ($row) = on($mei);
    return $row && $row->{bytesin} >= 5000;
});
is_deeply([@$row{qw(nodeid userid username address protocol endable)}],
          [$agent->node, 'user//mei', 'mei', '127.0.0.1', 1, JSON::PP::true],
          'who has a session sees which, to whom, from where, and its bytes');
cmp_ok(abs($row->{since} / 1000 - time), '<', 30, 'and since when');
is((on($admin))[0]{id}, $row->{id}, 'who sees the device sees it too');
is(scalar on($oona), 0, 'S-31: who does not see the device, not');
unlike(encode_json([on($admin)]), qr/listed|auth|cookie/,
       'S-34: the list has neither relay ids nor cookies');

is($oona->ask({ action => 'endrelay', id => $row->{id} })->{result},
   'Invalid session', 'S-30: who does not see it cannot end it');
$admin->ask({ action => 'addmeshuser', meshid => $group{Lab},
              usernames => ['oona'], meshadmin => 8 });
$mesh->wait_for('the right in her worker', sub { on($oona) });
is($oona->ask({ action => 'endrelay', id => $row->{id} })->{result},
   'Permission denied', 'S-30: nor who does not manage the device');
is($oona->ask({ action => 'endrelay', id => '0' x 16 })->{result},
   'Invalid session', 'nor is there one of any name');
$admin->ask({ action => 'addmeshuser', meshid => $group{Lab},
              usernames => ['oona'], meshadmin => 8 + 0x2000 });
ok($mesh->wait_for('the right in her worker', sub { !on($oona) }),
   'who is not told what others do does not see it');
$admin->ask({ action => 'removemeshuser', meshid => $group{Lab},
              userid => 'user//oona' });

is($admin->ask({ action => 'endrelay', id => $row->{id} })->{result}, 'ok',
   'who manages the device may');
is($listed->closed, 1008, 'and it ends for its viewer');
isnt($far->closed, 0, 'and for the device');
is(scalar on($mei), 0, 'and is in no list');
like(ended('person'), qr/^mei ended a terminal session of \d+ seconds from 127\.0\.0\.1, as admin ended it$/,
     'the event says who ended it');

for (['closed', 'its viewer', sub { $_[0]->close }],
     ['lost', 'a broken line', sub { $_[0]->abort }],
     ['device', 'its device', sub { $_[1]->close }])
{
    my ($reason, $who, $end) = @$_;
    my @half = relay($admin, $agent, "by$reason");
    $end->(@half);
    $_->closed for grep { !gone($_) } @half[$reason eq 'device' ? 0 : 1];
    ok(ended($reason), "a session that ended by $who says so in its event");
}

# --- rights: at the opening, and while it runs (S-31)

is($oona->ask(tunnel($agent, 'none'))->{result}, 'Unable to route',
   'S-30: who has no right is not routed');
isnt(opened(viewer($oona, $agent, 'none')), 'open',
     'S-30: nor does the half open');
like(opened($mesh->ws('/meshrelay.ashx?p=1&id=x1')), qr/close|40\d/,
     'who is nobody is told so and closed');

my ($v, $d) = relay($mei, $agent, 'revoked');
my $begun = time;
$admin->ask({ action => 'addmeshuser', meshid => $group{Lab},
              usernames => ['mei'], meshadmin => 8 + 512 });
isnt($v->closed, 0, 'S-31: a terminal ends when the right is taken');
isnt($d->closed, 0, 'S-31: on both sides');
cmp_ok(time - $begun, '<', 10, 'S-31: soon');
is($mei->ask(tunnel($agent, 'again'))->{result}, 'Unable to route',
   'S-31: and does not open again');

# --- the web session that it runs in (S-07)

my $browser = Mesh::Browser->login($mesh, 'admin', 'correct horse battery');
my $page = $browser->control;
my $elsewhere = Mesh::Browser->login($mesh, 'admin', 'correct horse battery');
my @web = map { [relay($page, $agent, "web$_")] } 1 .. 8;
my @kept = map { [relay($_, $agent, 'kept' . $n++)] }
           $admin, $elsewhere->control;
is($browser->post('logout', {})->{status}, 200, 'somebody signs out');
$begun = time;
is((grep { $_->[0]->closed == 1008 && $_->[1]->closed } @web), 8,
   'S-07: with it end the sessions on devices, in all workers');
cmp_ok(time - $begun, '<', 10, 'S-07: soon');
like(ended('session'), qr/, as its web session was over$/,
     'S-07: and their events say so');
is((grep { gone($_->[0]) || gone($_->[1]) } @kept), 0,
   'those of the same person elsewhere, and without a web session, go on');

@web = relay($elsewhere->control, $agent, 'removed');
my ($gone) = grep { !$_->{current} }
              @{ $admin->ask({ action => 'webSessions' })->{sessions} };
$admin->ask({ action => 'webSessions', remove => $gone->{id} });
$begun = time;
isnt($web[0]->closed, 0,
     'S-07: a web session that another one ends takes them with it');
cmp_ok(time - $begun, '<', 10, 'S-07: soon as well');

$browser = Mesh::Browser->login($mesh, 'admin', 'correct horse battery');
my $due = time + 3;
$mesh->sql('UPDATE web_session SET expires_at = ' . int($due * 1000));
$page = $browser->control;
@web = relay($page, $agent, 'expires');
isnt($web[0]->closed, 0, 'S-07: one whose time is up, too');
isnt($page->{ws}->closed, 0, 'S-07: and its control channel');
my $late = time - $due;
ok($late > -0.1 && $late < 2, "S-07: at its time ($late s late)");

# --- the device is removed, or moved while nobody hears of it

for (['removed', 1, { action => 'removedevices' }],
     ['removed while its agent is away', 0, { action => 'removedevices' }],
     ['moved while its agent is away', 0,
      { action => 'changeDeviceMesh', meshid => $group{Attic} }])
{
    my ($what, $there, $command) = @$_;
    my $doomed = Mesh::Agent->new($mesh, n => 702, group => $group{Lab},
                                  name => 'doomed');
    $doomed->online or die "no agent\n";
    my @half = relay($admin, $doomed, 'doomed' . $n++);
    if (!$there) {
        $doomed->close;
        $mesh->wait_for('the agent to be away', sub { !online($doomed) });
        ok(!gone($half[0]), 'a session outlives the control channel');
    }
    $begun = time;
    $admin->ask({ %$command, nodeids => [$doomed->node] });
    is($half[0]->closed, 1008, "S-31: a session on a device ends that is $what");
    isnt($half[1]->closed, 0, 'S-31: on both sides');
    cmp_ok(time - $begun, '<', 10, 'S-31: soon');
    $doomed->close if $there;
}

# --- a half alone

$begun = time;
my $lone = viewer($admin, $agent, 'lonely');
isnt($lone->closed, 0, 'a half that nobody joins is let go');
cmp_ok(time - $begun, '<', 20, 'after mesh_relay_wait');

# --- back pressure, in one worker and in two

my $before = $mesh->memory;
my $quiet = listed();
for my $i (1 .. 6) {
    my ($slow, $fast) = relay($admin, $agent, "slow$i");
    my $sent = flood($fast, 64 * 1048576);
    cmp_ok($sent, '<', 40 * 1048576,
           'a device that sends faster than is read is stopped');
    push @pair, [$slow, $fast];
}
# a sanitizer keeps what was freed for a while
cmp_ok($mesh->memory - $before, '<', ($ENV{MESH_ASAN} ? 256 : 32) * 1048576,
       'S-18: and no worker keeps for it what is not read');

# one whose viewer does not read ends late
$_->close for map { @$_ } splice @pair, -6;
$mesh->wait_for('their end', sub { return listed() == $quiet });

# --- a worker dies

my @relays = map { [relay($admin, $agent, "dying$_")] } 1 .. 8;
my %before = ends();
my $were = listed();
my @workers = $mesh->workers;
$mesh->expect_alert(qr/worker process \d+ exited on signal 9/,
                    qr/^.*: could not lock|ngx_mesh/);
kill 'KILL', $workers[0];
my $ended = 0;
for (@relays) {
    my ($a, $b) = @$_;
    # both ends or none, as soon as the other worker has seen it
    $ended++ if eval { $mesh->wait_for('both', sub { !gone($a) == !gone($b) }) };
}
is($ended, 8, 'S-26: a relay of a dead worker ends on both sides, others stay');

# --- and all of them, with what they alone knew

my %end;
$admin = again($workers[0]);
$mesh->wait_for('their ends in the log', sub {
    %end = ends();
    delete @end{keys %before};
    return keys %end && keys %end == $were - listed();
});
my @last = map { [relay($admin, $agent, "last$_")] } 1 .. 4;
$_->[1]->binary('x' x 5000), $_->[0]->read for @last;
$mesh->wait_for('their bytes in the list', sub {
    4 == grep { $_->{bytesin} >= 5000 && $_->{bytesin} < 6000 }
        @{ $admin->ask({ action => 'relays' })->{relays} };
});
$were = listed();
%before = ends();
# none of them sees another go
my @all = $mesh->workers;
kill $_, @all for qw(STOP KILL);
$_->[0]->closed for @last;
$admin = again(@workers, @all);
$mesh->wait_for('their ends in the log', sub {
    %end = ends();
    delete @end{keys %before};
    return keys %end >= $were;
});

# one more, whose event is the last
my @after = relay($admin, $agent, 'after');
$after[0]->close;
$mesh->wait_for('that in the log', sub {
    return grep { $_->[0]{reason} eq 'closed' && !$before{$_->[0]{msgArgs}[0]} }
        values %{ { ends() } };
});
%end = ends();
is((grep { @$_ != 1 } values %end), 0, 'each session ended once in the log');
delete @end{keys %before};
my @words = grep { $_->{reason} eq 'worker' } map { @$_ } values %end;
is(@words, $were, 'S-26: those of killed workers too, and why');
like($words[0]{msg}, qr/^admin ended a terminal session of \d+ seconds from 127\.0\.0\.1, as a process of the server ended$/,
     'in words');
is((grep { $_->{bytesin} >= 5000 && $_->{bytesin} < 6000 } @words), 4,
   'with the bytes that were seen last');
is_deeply([map { $_->{protocol} } @words], [(1) x @words],
          'and what they were');
is(listed(), 0, 'none of them is in a list');

$mesh->stop;
done_testing;


sub control { return Mesh::Control->new($mesh, @_) }
sub answer { return Mesh::Relay::answer($mesh, @_) }
sub viewer { return Mesh::Relay::viewer($mesh, @_) }

# both sides, open; the device first when asked for
sub relay {
    my ($control, $agent, $id, $device_first) = @_;
    my ($viewer, $device, @said) = Mesh::Relay::relay($mesh, $control, $agent,
                                                      $id, 1, $device_first);
    die "relay $id is recorded\n" if grep { $_ ne 'c' } @said;
    return ($viewer, $device);
}

# sessions of mei, as somebody's list has them
sub on {
    return grep { $_->{username} eq 'mei' }
        @{ $_[0]->ask({ action => 'relays' })->{relays} };
}

# the words of the newest event of a session that ended for this reason
sub ended {
    my ($reason) = @_;
    $reason = 'ended' if $reason eq 'person';
    my $e;
    $mesh->wait_for("an event: $reason", sub {
        ($e) = grep { ($_->{reason} // '') eq $reason }
            @{ $admin->ask({ action => 'events', nodeid => $agent->node,
                             limit => 50 })->{events} };
        return $e;
    });
    return $e->{msg};
}

# who was in a worker that is gone
sub again {
    $mesh->ready(@_);
    $agent = Mesh::Agent->new($mesh, n => 700, group => $group{Lab},
                              name => 'pc');
    $agent->online or die "no agent\n";
    return control('admin', 'correct horse battery');
}

sub listed {
    return scalar @{ $admin->ask({ action => 'relays' })->{relays} };
}

# events of sessions that ended, by session
sub ends {
    my %end;
    push @{ $end{$_->{msgArgs}[0]} }, $_
        for grep { defined $_->{reason} }
            @{ $admin->ask({ action => 'events', nodeid => $agent->node,
                             limit => 1000 })->{events} };
    return %end;
}

# is the agent there, as the server sees it?
sub online {
    my ($agent) = @_;
    my %nodes = %{ $admin->ask({ action => 'nodes' })->{nodes} };
    return grep { $_->{_id} eq $agent->node && ($_->{conn} // 0) & 1 }
        map { @$_ } values %nodes;
}

sub rauth { return $_[0]{value} =~ /rauth=([^&]+)/ ? escape($1) : '' }

# resident bytes of all workers
sub gone {
    my ($ws) = @_;
    return $ws->{gone} ||= !$ws->alive(3);
}
