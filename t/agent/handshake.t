#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# mesh-agent against servers that are not the one of its policy, or that do
# what they should not: it says why in its log, and comes back.  S-15 and S-23
# from the agent's side.

use strict;
use warnings;

use Digest::SHA qw(sha384);
use Test::More;
use Time::HiRes qw(time);

use Mesh::Test;
use Mesh::Server;

my $server = Mesh::Server->new;
$server->start;

# --- the full path

my $s = $server->accept;
ok($s, 'it calls the server of its policy');
like($s->{request}, qr{^GET /agent\.ashx HTTP/1\.1\r\n}, 'for agent.ashx');
is_deeply([$s->hello], [30, 31, 5, 1], 'its first messages stand in order');
is(substr($s->{hello}{5}, 2), $server->{id}, '5 names the server it expects');
is($s->{agent_web}, $s->{web}, '1 has the hash of the certificate it saw');

$s->challenge(web => 'x' x 48);
is_deeply([$s->until_pong], [], 'another hash of us is not answered');
like($server->said, qr/shows a certificate that is not its own/,
     'its log says that somebody may listen');

$s->challenge;
my $m = $s->await(2);
ok($m && $s->proved($m), 'it proves its key over both nonces');
my $node = unpack 'H*', $s->{node};

my ($other, $other_cert) = Mesh::Server::identity(903);
$s->prove(rsa => $other, cert => $other_cert);
is_deeply([$s->until_pong], [], 'another server\'s proof tells it nothing');
like($server->said, qr/is not the server of the policy/, 'and is logged');

$s->prove(signature => 'x' x 256);
$s->prove(nonce => 'y' x 48);
$s->prove(web => 'z' x 48);
$s->prove(agent => $s->{nonce}, nonce => $s->{agent_nonce});
is_deeply([$s->until_pong], [], 'nor do wrong signatures of the right one');

$s->send(pack 'n', 4);
$s->send(pack('nn', 11, 0));
$s->json({ action => 'ping' });
$s->core_now('require("MeshAgent").SendCommand({action:"owned"});');
is_deeply([$s->until_pong], [], 'nobody is obeyed who has not proved himself');

$s->prove;
$m = $s->await(3);
ok($m, 'then it says what it is');
is(substr($m->{data}, 18, 48), $server->{group}, 'of which group');
is(unpack('N', substr $m->{data}, 10, 4) > 0, 1, 'its release, not 0');
ok($s->await(15), 'and is in, as it was let in before');
$s->send(pack('nn', 11, 0));
is(length $s->await(11)->{data}, 4, 'it has no script of the wrong server');

$s->send(pack('nn', 12, 7));
is($s->await(12)->{data}, pack('nn', 12, 7) . "\0" x 48,
   'it does not offer itself for replacement');
$s->send(pack 'n', $_) for 1, 2, 4, 77;
$s->send('');
$s->send(pack('n', $_) . 'x' x 7) for 0, 3, 9, 11, 12, 13, 16, 999, 65535;
is_deeply([$s->until_pong], [], 'messages that are none are ignored');

# --- the short path, and the way back to the full one

$s->close;
my $start = time;
$s = $server->accept;
cmp_ok(time - $start, '>', 0.4, 'it does not come back at once');
is_deeply([$s->hello], [30, 31, 5, 4, 1], 'to a known certificate it says so');
ok($s->await(3), 'and what it is, without waiting');
$s->close;

$s = $server->accept(undef, 904);
is_deeply([$s->hello], [30, 31, 5, 1], 'to a new certificate it does not');
$s->challenge;
ok($s->proved($s->await(2)), 'but proves itself');
is_deeply([$s->until_pong], [], 'and waits for the proof');
$s->close;

# --- too much, too early

$s = $server->accept;
$s->hello;
$s->challenge;
$s->await(2);
my $lines = () = $server->said =~ /signs what it should not/g;
$s->prove(signature => 'x' x 256) for 1 .. 100;
is($s->closed, 1008, 'who proves himself wrongly for ever is left');
$lines = (() = $server->said =~ /signs what it should not/g) - $lines;
cmp_ok($lines, '<=', 32, 'and does not fill the log');
$s->close;

# --- too long, too early

$s = $server->accept;
$s->hello;
$s->send('x' x 9000);
is($s->closed, 1009, 'before it is in, no message is long');
$s->close;

# --- after kill -9

kill 'KILL', $server->{pid};
waitpid delete $server->{pid}, 0;
$server->start;
$s = $server->accept;
$s->hello;
$s->challenge;
$s->await(2);
$s->close;
is($server->stop, 0, 'it ends when it is asked to');

$server->start;
$s = $server->accept;
ok($s->admit, 'after kill -9 it is let in');
is(unpack('H*', $s->{node}), $node, 'as the same device');
is($server->stop, 0, 'and ends with a goodbye');
is(($s->await('none', 5), $s->{aside}[-1]{close})[-1], 1001,
   'which says that it goes away');

# --- refused

my $busy = Mesh::Server->new;
$busy->start;

my @gap;
for (1 .. 3) {
    $start = time;
    $s = $busy->tls(60) or last;
    push @gap, time - $start;
    $s->request;
    $s->raw("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 3\r\n\r\n");
    $s->close;
}
is(scalar @gap, 3, 'refused it comes again');
cmp_ok($_, '>', 2.9, 'but not before it was told') for @gap[1, 2];
like($busy->said, qr/it answers 503/, 'its log says what was answered');

$s = $busy->tls(60);
$s->request;
$s->raw("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 99999999999\r\n"
        . "\r\n");
$s->close;
ok($busy->says(qr/it answers 503; next try in (?:[3-9]|10)\d{3}\./),
   'what is too long is an hour') or diag $busy->said;
is($busy->stop, 0, 'it ends while it waits');

# the other one of the list has not refused
my $two = Mesh::Server->new;
$two->start(MeshServer => "wss://127.0.0.1:$two->{port}/agent.ashx,"
                          . "wss://127.0.0.2:$two->{port}/agent.ashx",
            ServerID => join ',', (uc unpack 'H*', $two->{id}) x 2);
$s = $two->tls(60);
$s->request;
$s->raw("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 3000\r\n\r\n");
$s->close;
ok($two->says(qr/it answers 503; next try in \d\.\d s/),
   'one server of a list does not delay the next one') or diag $two->said;
is($two->stop, 0, 'it ends');

done_testing;
