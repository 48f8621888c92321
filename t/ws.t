#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# WebSocket sessions, seen through the echo endpoint: upgrade, framing, limits,
# back pressure.  Needs no database.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Mesh::Test;

my $mesh = Mesh::Test->new(location => 'mesh_ping 2s timeout=2s;');
$mesh->start(no_database => 1, no_signer => 1);

sub ws { return $mesh->ws('/echo.ashx', @_) }

# --- upgrade

is(ws()->status, 101, 'an upgrade is answered');
is(ws(key => 'AAECAwQFBgcICQoLDA0ODx==')->status, 101,
   'a key that is not canonical base64 is taken as it came');
is(ws(key => 'AAECAwQFBgcICQoLDA0O')->status, 400, 'a short key is refused');
is(ws(headers => { 'Sec-WebSocket-Version' => 12 })->status, 426,
   'another version is refused');
is(ws(headers => { Upgrade => undef })->status, 426,
   'a request without upgrade is told so');
is(ws(headers => { Connection => 'keep-alive' })->status, 400,
   'an upgrade that the connection does not name is refused');
is(ws(method => 'POST')->status, 405, 'an upgrade is a GET');
is($mesh->ws('/echo.ashx/.websocket')->status, 101,
   'a path may end in /.websocket');
is($mesh->get('/nothing.ashx')->{status}, 404, 'other paths are not ours');

# --- data

my $ws = ws();
for my $n (0, 1, 125, 126, 127, 65535, 65536) {
    my $data = join '', map { chr(int(rand 26) + 97) } 1 .. $n;
    $ws->text($data);
    is($ws->read->{data}, $data, "$n bytes come back unchanged");
}

$ws->raw($ws->frame(1, 'ab', fin => 0) . $ws->frame(9, 'ping')
         . $ws->frame(0, 'cd'));
my $pong = $ws->read_frame;
is($pong->{opcode}, 10, 'a ping between two fragments is answered at once');
is($pong->{data}, 'ping', 'with its own payload');
is($ws->read->{data}, 'abcd', 'fragments are put together');

$ws->raw(join '', map { $ws->frame(1, "m$_") } 1 .. 300);
is(join(' ', map { $ws->read->{data} } 1 .. 300),
   join(' ', map { "m$_" } 1 .. 300), 'many frames in one write keep order');

my $bytes = $ws->frame(1, 'byte by byte');
$ws->raw($_) for split //, $bytes;
is($ws->read->{data}, 'byte by byte', 'a frame may come in any pieces');

$ws->close(1000);
is($ws->closed, 1000, 'a close is answered with its code');

$ws = ws(early => Mesh::WebSocket::frame(undef, 1, 'early'));
is($ws->read->{data}, 'early', 'a frame that came with the request counts');

# --- what is refused (S-22)

my %bad = (
    'an unmasked frame' => [1002, sub { $_[0]->frame(1, 'x',
                                                     unmasked => 1) }],
    'a reserved bit' => [1002, sub { $_[0]->frame(1, 'x', rsv => 0x40) }],
    'a reserved opcode' => [1002, sub { $_[0]->frame(3, 'x') }],
    'a continuation of nothing' => [1002, sub { $_[0]->frame(0, 'x') }],
    'a message within a message' =>
        [1002, sub { $_[0]->frame(1, 'x', fin => 0) . $_[0]->frame(1, 'x') }],
    'a long ping' => [1002, sub { $_[0]->frame(9, 'x' x 126) }],
    'a fragmented ping' => [1002, sub { $_[0]->frame(9, 'x', fin => 0) }],
    'text that is not UTF-8' => [1007, sub { $_[0]->frame(1, "\xff\xfe") }],
    'a message over the limit' => [1009, sub { $_[0]->frame(2, 'x' x 65537) }],
    'a length of 2^62' =>
        [1009, sub { pack('CCNN', 0x82, 0xff, 0x3fffffff, 0) . 'mask' }],
    'a length of 2^63' =>
        [1002, sub { pack('CCNN', 0x82, 0xff, 0x80000000, 0) . 'mask' }],
);

for my $what (sort keys %bad) {
    my ($code, $frame) = @{ $bad{$what} };
    $ws = ws();
    $ws->raw($frame->($ws));
    is($ws->closed, $code, "S-22: $what ends the session with $code");
}

# --- keep-alive: a client that is silent is asked, and then left

$ws = ws();
my $ping = $ws->read_frame;
is($ping->{opcode}, 9, 'a silent client gets a ping');
$ws->raw($ws->frame(10, ''));
$ping = $ws->read_frame;
is($ping->{opcode}, 9, 'an empty pong keeps it');
is($ws->closed, 1006, 'no pong ends it');

# --- a client that does not read costs a bounded queue

$ws = ws();
$ws->{s}->blocking(0);
my $sent = 0;
my $block = $ws->frame(2, 'x' x 60000);
for (1 .. 2000) {
    my $n = syswrite $ws->{s}, $block;
    last if !defined $n;
    $sent += $n;
    last if $n < length $block;
}
cmp_ok($sent, '<', 60 * 1024 * 1024,
       'who does not read cannot go on sending (S-18)');
$ws->abort;
is(ws()->status, 101, 'and harms nobody');

$mesh->stop;
done_testing;
