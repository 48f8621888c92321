#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# The agent endpoint: who gets in, who is held, what a device can and cannot say.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Compress::Raw::Zlib;
use Crypt::PK::RSA;
use Digest::SHA qw(sha384);
use JSON::PP;
use Test::More;
use Time::HiRes qw(sleep time);
use Mesh::Agent;
use Mesh::Control;
use Mesh::Test;

my $mesh = Mesh::Test->new;
my (%group, $control, $n);

$mesh->start(prepare => sub {
    $mesh->admin(\"correct horse battery\n", 'user', 'add', 'admin',
                 '--site-admin');
    $mesh->admin(\"battery staple horse\n", 'user', 'add', 'stranger');
    for my $name (qw(Lab Other)) {
        $group{$name} = $mesh->admin('group', 'add', $name,
                                     '--owner', 'admin');
        chomp $group{$name};
    }
});

$control = Mesh::Control->new($mesh, 'admin', 'correct horse battery');
$n = 100;

# --- the two ways in

my $first = agent(name => 'full-path');
ok($first->online, 'an agent gets in on the full path');
is(server_signature($first), 1,
   'our proof is the signature of the agent-server key over what it saw');
is(event('addnode')->{node}{name}, 'full-path', 'it is a new device');
is(online($first), 1, 'and online');

my $again = Mesh::Agent->new($mesh, %$first, nonce => Mesh::Agent::random(48));
my $signed = $mesh->metric('sign_requests');
ok($again->online(skip => 1), 'it gets in again without a signature of ours');
is($mesh->metric('sign_requests'), $signed, 'which costs none');
is(($first->message(10) // {})->{close} // 'open', 'open',
   'the connection before it is not closed: a stock agent would come back');
ok($first->held, 'it is held');
$first->close;
is(online($again), 1, 'its end does not take the device offline');
$again->close;
ok(event('nodeconnect', sub { $_[0]{conn} == 0 }), 'the end of the last does');

# --- S-15: the handshake, out of order, cut, repeated, replayed

my %wrong = (
    'a hash that is not of our certificate' => sub {
        $_[0]->request(web => Mesh::Agent::random(48));
        $_[0]->info;
    },
    'a signature over other nonces' => sub {
        $_[0]->prove(server => Mesh::Agent::random(48));
    },
    'a signature over swapped nonces' => sub {
        $_[0]->request;
        $_[0]->await(1);
        $_[0]->verify(server => $_[0]{nonce}, nonce => $_[0]{server_nonce});
        $_[0]->info;
    },
    'a signature over another certificate' => sub {
        $_[0]->prove(web => Mesh::Agent::random(48));
    },
    'a replayed signature' => sub {
        my ($key, $cert) = @{$first}{qw(key cert)};
        $_[0]->request;
        $_[0]->await(1);
        $_[0]->verify(cert => $cert, signature => $key->sign_message(
            $_[0]{web} . $first->{server_nonce} . $first->{nonce}, 'SHA384',
            'v1.5'));
        $_[0]->info;
    },
    'our own proof sent back' => sub {
        $_[0]->request;
        $_[0]->await(1);
        my $m = $_[0]->await(2);
        $_[0]->binary($m->{data});
        $_[0]->info;
    },
    'a certificate that is none' => sub {
        $_[0]->prove(cert => 'x' x 700);
    },
    'a certificate with bytes behind it' => sub {
        $_[0]->prove(cert => $_[0]{cert} . 'x');
    },
    'an empty signature' => sub {
        $_[0]->prove(signature => '');
    },
    'a signature of CMS that is none' => sub {
        $_[0]->prove(signature => "\x30\x82\x01\x00" . 'x' x 996);
    },
    'a group that is not here' => sub {
        $_[0]->request;
        $_[0]->await(1);
        $_[0]->verify;
        $_[0]->info(group => Mesh::Agent::random(48));
    },
);

my @held;        # its reason may still have to come from the database
for my $what (sort keys %wrong) {
    my $agent = agent();
    $agent->connect;
    $wrong{$what}->($agent);
    ok($agent->held, "S-15: $what is held, not let in and not closed");
    push @held, $agent;
}

my %weak = (1024 => 'of 1024 bits', 8192 => 'of 8192 bits');
for my $bits (sort keys %weak) {
    my $agent = agent(n => 1, bits => $bits);
    $agent->connect;
    $agent->prove;
    ok($agent->held, "S-15: a key $weak{$bits} is held");
    $agent->close;
}

my $agent = agent();
$agent->connect;
$agent->verify(server => Mesh::Agent::random(48));
$agent->info;
$agent->json({ action => 'coreinfo', value => 'early', osdesc => 'x' });
$agent->binary(pack('nn', 11, 0) . 'h' x 48);
$agent->request;
$agent->await(1);
ok($agent->held, 'S-15: a proof before our nonce was known is worth nothing');
$agent->close;

$agent = agent();
$agent->connect;
for (1 .. 3) {
    $agent->request;
    $agent->info;
    $agent->host;
}
$agent->await(1);
$agent->verify;
ok($agent->await(4), 'S-23: what comes twice counts once');
is($agent->message(0.3)->{cmd} // 'none', 11, 'and is answered once');
$agent->close;

# each message of a good handshake, cut at each of some places
for my $len (0, 1, 2, 3, 49, 50, 97) {
    my $cut = agent();
    $cut->connect;
    $cut->binary(substr pack('n', 1) . $cut->{web} . $cut->{nonce}, 0, $len);
    $cut->binary(substr pack('nn', 2, 700) . 'c' x 700, 0, $len);
    $cut->binary(substr pack('nNNNN', 3, 1, 6, 0, 1), 0, $len % 18);
    ok($cut->held, "S-22: messages cut at $len do no harm");
    $cut->close;
}

$agent = agent();
$agent->connect;
$agent->host for 1 .. 40;
ok($agent->held, 'S-18: more messages than a handshake has are not read');
$agent->close;

# --- who is refused can be seen

my %seen;
$mesh->wait_for('all reasons in the list', sub {
    my $status = $control->ask({ action => 'serverstatus' });
    %seen = map { $_->{code} => $_ } @{ $status->{refused} };
    return 5 == grep { $seen{$_} } 1, 2, 3, 7, 8;
});
ok(!(grep { $_->{reason} eq '' } values %seen),
   'the page can tell who is held and why');
$_->close for @held;
like($mesh->error_log, qr/mesh agent: saw certificate [0-9a-f]{96}, ours is/,
     'a foreign certificate is in the log, with ours beside it');

# --- S-13, S-14: a device speaks for itself alone

my $victim = agent(name => 'victim');
my $rogue = agent(name => 'rogue', group => $group{Other});
ok($victim->online && $rogue->online, 'two devices are online');
$control->event(sub { $_[0]{action} eq 'addnode'
                      && $_[0]{node}{name} eq 'rogue' });

$rogue->json({ action => 'coreinfo', nodeid => $victim->node,
               domain => 'other', meshid => $group{Lab}, value => 'rogue core',
               osdesc => 'Rogue OS', caps => 31, users => ['<b>x</b>'],
               defender => { RealTimeProtection => JSON::PP::true } });
$mesh->wait_for('coreinfo', sub { (node($rogue)->{osdesc} // '')
                                  eq 'Rogue OS' });
isnt(node($victim)->{osdesc} // '', 'Rogue OS',
     'S-13: a device changes nothing of another by naming it');
is(node($rogue)->{meshid}, $group{Other}, 'S-13: nor its own group');
is_deeply(node($rogue)->{defender}, { RealTimeProtection => JSON::PP::true },
          'what it says of its guard is shown');

my @verbs = qw(nodes meshes users events createmesh deletemesh addmeshuser
               runcommands poweraction removedevices changedevice authcookie
               userinfo serverinfo webSessions);
$rogue->json({ action => $_, nodeid => $victim->node, nodeids =>
               [$victim->node], meshid => $group{Lab}, name => 'owned',
               cmds => 'id', type => 3, tag => 1, responseid => 'x' })
    for @verbs;
$rogue->json({ action => 'msg', type => 'console', nodeid => $victim->node,
               value => 'help' });
$rogue->json({ action => 'msg', type => 'tunnel', nodeid => $victim->node,
               value => '*/meshrelay.ashx?id=x' });
$rogue->json({ action => 'sysinfo', nodeid => $victim->node,
               data => { hardware => { identifiers => { x => 'rogue' } },
                         hash => 'a' x 96 } });
my $quiet = 1;
while (my $m = $rogue->message(0.5)) {
    $quiet = 0 if $m->{json} && grep { $_ eq $m->{json}{action} } @verbs;
}
ok($quiet, 'S-14: no verb of the control channel answers a device');
my $heard = 0;
while (my $m = $victim->message(0.5)) {
    $heard++ if $m->{json} && ($m->{json}{action} // '') eq 'msg'
                && ($m->{json}{type} // '') =~ /^(?:console|tunnel)$/;
}
is($heard, 0, 'S-14: and no device makes another one act');
is(node($victim)->{name}, 'victim', 'S-14: nothing of it was done');

$victim->json({ action => 'coreinfo', osdesc => $_, value => 'core' })
    for ('Same OS', 'Same OS', 'Same OS', 'Another OS');
event('changenode', sub { ($_[0]{node}{osdesc} // '') eq 'Another OS' });
is((grep { ($_->{event}{node}{osdesc} // '') eq 'Same OS' }
    @{ $control->{kept} }), 1, 'S-18: what a device says again is no event');

# --- a session that nobody has, S-13

$rogue->json({ action => 'msg', type => 'console', value => 'psst',
               sessionid => "user//admin/" . 'a' x 40 });
$rogue->json({ action => 'msg', type => 'cpuinfo', value => 'psst',
               sessionid => $control->{userinfo}{userinfo}{_id} . '/x' });
is($control->wait(sub { ($_[0]{value} // '') eq 'psst' }, 1), undef,
   'S-13: only who asked a device hears from it');

$control->send({ action => 'msg', type => 'console', nodeid => $rogue->node,
                 value => 'hello' });
my $asked = $rogue->await('msg');
is($asked->{json}{value}, 'hello', 'who asks is heard by the device');
$rogue->json({ %{ $asked->{json} }, value => 'answered',
               nodeid => $victim->node });
my $answer = $control->wait(sub { ($_[0]{value} // '') eq 'answered' });
is($answer->{nodeid}, $rogue->node,
   'and its answer comes under its own name, whatever it wrote');

# --- S-13: who asks a person for leave may say for whom

for my $user ('user//stranger', 'user//nobody', 'user/other/admin', 7) {
    $rogue->json({ action => 'getUserImage', userid => $user, promise => 1 });
    is($rogue->await('getUserImage', 0.5), undef,
       "S-13: a device learns nothing of $user, who has no right on it");
}
$rogue->json({ action => 'getUserImage', userid => 'user//admin',
               promise => 7, pipe => 'p', name => 'root', image => 'x' });
my $picture = $rogue->await('getUserImage');
is_deeply($picture && $picture->{json},
          { action => 'getUserImage', userid => 'user//admin', promise => 7,
            pipe => 'p', name => 'admin', realname => '' },
          'it is told the name of one who has');
$rogue->json({ action => 'getUserImage', userid => 'user//admin' });
is($rogue->await('getUserImage', 0.5), undef, 'S-18: once a minute');

# --- S-18, S-23, S-24: floods and JSON of the worst kind

my @worst = ('{', '{"action":', '[1]', '{}', '{"action":7}', '{"action":null}',
    '{"action":{"a":1}}', '{"action":"coreinfo","value":' . '[' x 10000,
    '{"action":"coreinfo","a":' . '{"a":' x 10000 . '1' . '}' x 10001,
    '{"action":"coreinfo","value":"' . "\xff\xfe\x00" . '"}',
    '{"action":"coreinfo","value":"\ud800"}',
    '{"action":"coreinfo","caps":1e999}', '{"action":"coreinfo","caps":-1}',
    '{"action":"coreinfo",' . join(',', map { "\"k$_\":1" } 1 .. 20000) . '}',
    '{"action":"coreinfo","value":"a","value":"b"}',
    '{"action":"coreinfo","osdesc":"' . 'x' x 1000000 . '"}',
    '{"action":"nobody","x":1}', '{"action":"log","msgid":99999,"msg":7}',
    '{"action":"netinfo","netif2":7}', '{"action":"sysinfo","data":[]}',
    '{"action":"sessions","type":"kvm","value":"x"}', "\0" x 100,
    '{"action":"battery","level":"x"}');
for my $bad (@worst) {
    $rogue->json($bad);
    $rogue->binary($bad);
}
$rogue->binary(pack('nn', $_, 7) . 'x' x 40)
    for 0, 6 .. 9, 10 .. 40, 999, 1000, 31488, 65535;
ok($rogue->{ws}->alive, 'S-24: no JSON and no command closes or breaks it');
ok($victim->{ws}->alive, 'nor anybody else');

my $rows = node_events($rogue);
is((grep { length encode_json($_) > 8192 } @{ $control->{kept} }), 0,
   'S-22: a text of a megabyte reaches no browser');
# of several reads: what one of them brings is heard at once
my $begun = time;
my $pad = 'x' x 400;
for my $i (1 .. 400) {
    $rogue->json({ action => 'log', msgid => 1, msg => "flood $i $pad" });
    $rogue->json({ action => 'coreinfo', value => "core $i",
                   osdesc => "OS $i" });
}
$victim->json({ action => 'ping' });
ok($victim->await('pong'), 'S-18: beside a flood other devices are heard');
ok($control->ask({ action => 'serverstatus' }), 'and so is a page');
cmp_ok(time - $begun, '<', 10, 'at once');
ok($rogue->{ws}->alive, 'S-18: a flood is read to its end');
cmp_ok(time - $begun, '>', 7, 'but later: 50 messages a second');
$mesh->wait_for('the last of the flood', sub {
    (node($rogue)->{osdesc} // '') =~ /^OS \d+$/;
});
cmp_ok(node_events($rogue) - $rows, '<', 1000,
       'S-18: and writes a bounded number of events');
is($mesh->get('/health.ashx')->{status}, 200, 'the server is well');

# --- S-17: the core by its hash

my $fresh = agent(caps => 0x18);
ok($fresh->online, 'an agent with no core gets in');
my $wanted = $fresh->await(11);
is(length $wanted->{data}, 4, 'it is asked for the hash of its core');
$fresh->binary(pack('nn', 11, 0));
my $push = $fresh->await(10);
my $core = substr $push->{data}, 52;
is(substr($push->{data}, 4, 48), sha384($core),
   'S-17: the core comes with its own hash');
like(substr($core, 4), qr/ngx_mesh core/, 'and it is ours');
$fresh->binary(pack('nn', 11, 0) . sha384($core));
ok($fresh->await(16), 'once it has it, it is told to start it');
$fresh->close;

my $small = agent();
$small->online;
$small->await(11);
$small->binary(pack('nn', 11, 0));
$push = $small->await(20)->{data};
my $inflate = Compress::Raw::Zlib::Inflate->new(-WindowBits => -MAX_WBITS);
my $packed = substr $push, 52;
cmp_ok($inflate->inflate($packed, my $text), '==', Z_STREAM_END,
   'an agent that can gets it as raw DEFLATE');
ok($text eq $core && substr($push, 4, 48) eq sha384($core),
   'S-17: the same core, with the hash of what is in it');
cmp_ok(length $push, '<', length($core) / 2, 'in less than half of the bytes');
$small->close;

my $twin = agent(n => 990);
$twin->online;
$twin->await(11);
$twin->binary(pack('nn', 11, 0) . sha384($core));
is($twin->await('sysinfo')->{json}{hash}, undef,
   'one without an inventory is asked for it');
$twin->json({ action => 'sysinfo', data => { hash => 'h"1',
    hardware => { identifiers => { cpu_name => 'test' } } } });
$mesh->wait_for('the inventory', sub {
    $control->ask({ action => 'getsysinfo', nodeid => $twin->node })->{hardware};
});
$twin->json({ action => 'sysinfocheck' });
is($twin->await('sysinfo')->{json}{hash}, 'h"1',
   'one that asks hears what is stored');
$twin->json({ action => 'sysinfocheck' });
is($twin->await('sysinfo', 0.5), undef, 'once a minute');
$twin->close;
$twin = agent(n => 990);
$twin->online;
$twin->await(11);
$twin->binary(pack('nn', 11, 0) . sha384($core));
is($twin->await('sysinfo')->{json}{hash}, 'h"1',
   'and so does one that comes back');
$twin->close;

my $looping = agent();
$looping->online;
my $pushed = 0;
$looping->await(11);
for (1 .. 20) {
    $looping->binary(pack('nn', 11, 0) . 'z' x 48);
    while (my $m = $looping->message(0.2)) {
        $pushed++ if ($m->{cmd} // 0) =~ /^[12]0$/;
    }
}
cmp_ok($pushed, '<=', 5, 'S-17: an agent that never has it does not get it for ever');
ok($looping->{ws}->alive, 'and stays');
$looping->close;

# --- S-15: a clone, and one that comes again and again

my @same = map { Mesh::Agent->new($mesh, n => 3000, group => $group{Lab},
                                  name => 'clone',
                                  nonce => Mesh::Agent::random(48)) } 1 .. 9;
my $in = grep { $_->online } @same[0 .. 5];
is($in, 6, 'an identity may connect six times in two minutes');
$same[6]->connect;
$same[6]->prove;
ok($same[6]->held, 'S-18: the seventh time it is held');
$_->close for grep { $_->{ws} } @same;

# --- removal while it is online

my $doomed = agent(name => 'doomed');
$doomed->online;
$mesh->wait_for('doomed', sub { node($doomed)->{name} });
$control->ask({ action => 'removedevices', nodeids => [$doomed->node] });
ok(event('removenode', sub { $_[0]{nodeid} eq $doomed->node }),
   'a device is removed');
$doomed->close;
ok($doomed->online, 'an agent of it comes back as a new one');
$doomed->close;

$_->close for $victim, $rogue;
$mesh->stop;
done_testing;


sub agent {
    return Mesh::Agent->new($mesh, n => $n++, group => $group{Lab}, @_);
}

sub event {
    my ($action, $want) = @_;
    return $control->event(sub { $_[0]{action} eq $action
                                 && (!$want || $want->($_[0])) });
}

sub node {
    my ($agent) = @_;
    my $reply = $control->ask({ action => 'nodes' });
    my $nodes = $reply->{nodes};
    for my $group (keys %$nodes) {
        my ($node) = grep { $_->{_id} eq $agent->node } @{ $nodes->{$group} };
        return { meshid => $group, %$node } if $node;
    }
    return {};
}

sub online { return (node($_[0])->{conn} // 0) & 1 }

sub node_events {
    my ($agent) = @_;
    my $reply = $control->ask({ action => 'events', nodeid => $agent->node,
                                limit => 10000 });
    return scalar @{ $reply->{events} // die "no events: ", encode_json({ closed => $control->{closed}, kept => [map { $_->{action} } @{ $control->{kept} }], reply => $reply }) };
}

sub server_signature {
    my ($agent) = @_;
    my $data = $agent->{proof};
    my $len = unpack 'x2n', $data;
    my $der = substr $data, 4, $len;
    my $own = Mesh::Test::read_file("$mesh->{dir}/keys/agentserver.pem");
    return 'another certificate' if Mesh::Agent::pem_to_der($own) ne $der;
    my $key = Crypt::PK::RSA->new("$mesh->{dir}/keys/agentserver.key");
    return $key->verify_message(substr($data, 4 + $len), $agent->{web}
        . $agent->{nonce} . $agent->{server_nonce}, 'SHA384', 'v1.5') ? 1 : 0;
}

