#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# A reload with new web certificates under a terminal, its page and its agent
# (S-29): they go on, who comes later sees the new ones and proves himself over
# them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Crypt::PK::RSA;
use Digest::SHA qw(sha384);
use Test::More;
use Mesh::Agent;
use Mesh::Control;
use Mesh::Relay qw(relay invite answer);
use Mesh::Test;

my $mesh = Mesh::Test->new(main => 'mesh_drain 10m;');
my $keys = "$mesh->{dir}/keys";
my $group = $mesh->lab;

my $n = 1020;
my $admin = Mesh::Control->new($mesh, 'admin', 'correct horse battery');
my $agent = agent('early');
ok($agent->online, 'an agent is online');
my $old = $agent->{web};
is(unpack('H*', $old), hash('web-ecdsa'), 'it saw the certificate that is there');

# --- a terminal is open, with bytes on their way in both directions

my @end = relay($mesh, $admin, $agent, 'open');
my @data = map { Mesh::Agent::random(5000) x 20 . $_ } 1 .. 6;
$end[0]->binary($data[0]);
$end[1]->binary($data[1]);

Mesh::Test::run($mesh->{signer}, 'create', '--fastcert', "$mesh->{dir}/new");
for my $name (qw(web-ecdsa web-rsa)) {
    rename "$mesh->{dir}/new/$name.$_", "$keys/$name.$_" or die "$name: $!\n"
        for qw(key pem);
}
isnt(hash('web-ecdsa'), unpack('H*', $old), 'the web certificates are replaced');
my @before = $mesh->workers;
$mesh->reload;
$mesh->wait_for('the new workers alone to answer', sub {
    my $ws = $mesh->ws('/echo.ashx');
    my $worker = eval { $mesh->worker($ws) };
    $ws->abort;
    return $worker && !grep { $_ == $worker } @before;
});

is($end[1]->read->{data}, $data[0], 'what was on its way arrives over a reload');
is($end[0]->read->{data}, $data[1], 'in both directions');
$end[0]->binary($data[2]);
is($end[1]->read->{data}, $data[2], 'the terminal of before goes on, whole');
$end[1]->binary($data[3]);
is($end[0]->read->{data}, $data[3], 'in both directions');
ok($agent->{ws}->alive, 'the agent of before stays');
ok($admin->{ws}->alive, 'and so does the control channel');

# --- who comes now

my $late = agent('late');
ok($late->online, 'an agent that comes after it is let in');
is(unpack('H*', $late->{web}), hash('web-ecdsa'),
   'it saw the new certificate');
ok(proved($late), 'and our proof is over that');

my $skips = agent('skips');
ok($skips->online(skip => 1), 'one that knows our key, too');

my $rsa = agent('rsa');
ok($rsa->connect && $rsa->{web} ne $old, 'another sees a new one');
$rsa->request(web => pack 'H*', hash('web-rsa'));
ok($rsa->await(1), 'and may name the new RSA one');
$rsa->{web} = pack 'H*', hash('web-rsa');
$rsa->verify;
$rsa->info;
ok($rsa->await(4), 'under which it is let in');

my $grace = agent('grace');
$grace->connect;
$grace->{web} = $old;
$grace->prove;
ok($grace->await(4), 'one that saw the certificate of before is let in still');

my $foreign = agent('foreign');
$foreign->connect;
$foreign->request(web => Mesh::Agent::random(48));
$foreign->info;
ok($foreign->held, 'S-15: one that saw a third is not');

# --- old and new ones together

my $page = Mesh::Control->new($mesh, 'admin', 'correct horse battery');
is(online($_), 5, 'each page has all that are online') for $admin, $page;

my $command = invite($page, $agent, 'after');
is($command->{servertlshash}, hash('web-ecdsa'),
   'an agent of before is told which certificate its next session meets');
my $device = answer($mesh, $command);
my $viewer = Mesh::Relay::viewer($mesh, $page, $agent, 'after');
is($_->read->{data}, 'c', 'a new terminal on it opens') for $viewer, $device;
$viewer->binary($data[4]);
is($device->read->{data}, $data[4], 'and passes bytes');

$command = invite($admin, $late, 'back');
is($command->{servertlshash}, hash('web-ecdsa'),
   'so is a new one that a page of before asks');
$device = answer($mesh, $command);
$viewer = Mesh::Relay::viewer($mesh, $admin, $late, 'back');
is($_->read->{data}, 'c', 'a terminal on that opens') for $viewer, $device;
$device->binary($data[5]);
is($viewer->read->{data}, $data[5], 'and passes bytes');

$end[0]->binary('last');
is($end[1]->read->{data}, 'last', 'and the first one is there to its end');
$end[0]->close;
is($end[1]->closed, 1000, 'which is its own');

$mesh->stop;
done_testing;


sub agent {
    return Mesh::Agent->new($mesh, n => $n++, group => $group, name => $_[0]);
}

# of a certificate that lies in the folder of keys
sub hash {
    my $pem = Mesh::Test::read_file("$keys/$_[0].pem");
    return unpack 'H*', sha384(Mesh::Agent::pem_to_der($pem));
}

sub proved {
    my ($agent) = @_;
    my $len = unpack 'n', substr $agent->{proof}, 2, 2;
    my $cert = substr $agent->{proof}, 4, $len;
    my $key = Crypt::PK::RSA->new(\$cert);
    return $key->verify_message(substr($agent->{proof}, 4 + $len),
        $agent->{web} . $agent->{nonce} . $agent->{server_nonce}, 'SHA384',
        'v1.5');
}

# how many devices are, in the list of that page
sub online {
    my %nodes = %{ $_[0]->ask({ action => 'nodes' })->{nodes} };
    return scalar grep { ($_->{conn} // 0) & 1 } map { @$_ } values %nodes;
}
