#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# A new program for mesh-agent while the disk is full: the old one goes on,
# says why, and takes it when there is room.  S-17 from the agent's side.

use strict;
use warnings;

use Digest::SHA qw(sha384);
use Test::More;

use Mesh::Test;
use Mesh::Server;

my $server = Mesh::Server->new(options => ['--updateTrial=5']);
my $disk = "$server->{dir}/data";
my $size = -s Mesh::Server::program();
my $mounted = $> == 0 && system('mount', '-t', 'tmpfs', '-o',
                                'mode=0700,size=' . int($size * 1.6), 'tmpfs',
                                $disk) == 0;
plan(skip_all => 'only root may mount a small disk') if !$mounted;

END { local $?; system('umount', '-l', $disk) if $mounted }

my $exe = $server->own_program($disk);
my $first = Mesh::Test::read_file($exe);
my $second = "${first}2";       # an ELF file does not mind

sub in_place { return sha384(Mesh::Test::read_file($exe)) }

# as it was, and nothing beside it
sub unchanged {
    my ($s) = @_;
    is_deeply([$s->until_pong], [], 'it stays');
    is(in_place(), sha384($first), 'as what it was');
    is_deeply([glob "$exe.*"], [], 'and keeps nothing of it');
}

# --- no room for it

$server->start(selfUpdate => 1);
my $s = $server->accept;
ok($s->admit, 'the agent is in');
my $node = $s->{node};
my $acks = $s->send_program($second);
cmp_ok($acks, '>', 0, 'a program that the disk does not hold begins');
cmp_ok($acks, '<', int(length($second) / 65531) + 1, 'and does not end');
ok($server->says(qr/program is not taken: no space (?:is )?left/),
   'which its log says') or diag $server->said;
unchanged($s);

# --- room for it, but not for a byte beside it

is(system('mount', '-o', 'remount,size=' . 5 * $size, $disk), 0,
   'there is more room');
$s->send_program("#!/bin/sh\ndd if=/dev/zero of=$disk/filler bs=64k "
                 . "2>/dev/null\nexit 0\n");
ok($server->says(qr/not taken: .*not taken: no space left on device/s),
   'a program that it cannot take back is not taken') or diag $server->said;
ok(-s "$disk/filler", 'the disk was full');
unchanged($s);

# --- room again

unlink "$disk/filler";
$s->send_program($second);
$s = $server->accept;
is(in_place(), sha384($second), 'where there is room, it is taken');
ok($s && $s->admit, 'and comes back');
is(unpack('H*', $s->{node}), unpack('H*', $node), 'as the same device');
ok($server->says(qr/the new program is in use/), 'it is in use');
is_deeply([glob "$exe.*"], [], 'and nothing of the old one is left');

# --- a trial that fails while the disk is full

$s->send_program("${first}3");
$s = $server->accept;
is(in_place(), sha384("${first}3"), 'another one takes its place');
system("dd if=/dev/zero of=$disk/filler bs=64k 2>/dev/null");
$s->hello;                      # and is not let in
ok($server->says(qr/does not reach the server: the old one comes back/),
   'one that is not let in gives up on a full disk, too');
$s = $server->accept;
ok($s && $s->admit, 'the one before comes back') or diag $server->said;
is(in_place(), sha384($second), 'as what it was');
is_deeply([glob "$exe.*"], [], 'and nothing of the new one is left');
is($server->stop, 0, 'it ends');

done_testing;
