#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# A new program for mesh-agent: taken from its own server alone, whole and
# able to run, and given back when it does not reach the server.  S-17 from
# the agent's side.

use strict;
use warnings;

use Digest::SHA qw(sha384);
use Test::More;

use Mesh::Test;
use Mesh::Server;

my $server = Mesh::Server->new(options => ['--updateTrial=4']);
my $exe = $server->own_program;
my $first = Mesh::Test::read_file(Mesh::Server::program());
my $second = "${first}2";       # an ELF file does not mind
my $third = "${first}3";

sub in_place { return sha384(Mesh::Test::read_file($exe)) }

# another one with the same data; what it says
sub by_hand {
    my ($of) = @_;
    my @run = ($of->{program}, 'run', "--policy=$of->{dir}/policy.msh",
               "--data=$of->{dir}/data");
    my $said = `timeout 60 @run 2>&1`;
    return $? >> 8 == 1 ? $said : "$?: $said";
}

# --- not asked for

$server->start;
my $s = $server->accept;
ok($s->admit, 'the agent is in');
is($s->offered, "\0" x 48, 'without selfUpdate it offers nothing');
is($s->send_program('x' x 100), 0, 'and takes nothing');
is_deeply([$s->until_pong], [], 'it stays');
is(in_place(), sha384($first), 'as what it was');
is($server->stop, 0, 'it ends');

# --- refused

$server->start(selfUpdate => 1);
$s = $server->accept;
$s->admit;
is($s->offered, sha384($first), 'with it, it offers itself');

is($s->send_program($second, 'x' x 48), int(length($second) / 65531) + 1,
   'it takes block after block');
ok($server->says(qr/not taken: it came damaged/), 'but not what came damaged');
$s->send_program('no program' x 100);
ok($server->says(qr/not taken: (?:exec|it does not run)/i),
   'nor what is no program') or diag $server->said;
$s->send_program("#!/bin/sh\nexit 1\n");
ok($server->says(qr/it does not run on this machine/),
   'nor what does not run here');
is_deeply([$s->until_pong], [], 'it stays');
is(in_place(), sha384($first), 'as what it was');
ok(!-e "$exe.update", 'and keeps nothing of it');

# --- taken

$s->send_program($second);
$s = $server->accept;
is(in_place(), sha384($second), 'a good program takes its place');
ok(-e "$exe.old", 'with the old one beside it');
ok($s && $s->admit, 'and comes back');
ok($server->says(qr/the new program is in use/), 'it is in use');
ok(!-e "$exe.old", 'and the old one gone');
is($s->offered, sha384($second), 'it offers itself');

# --- taken back

$s->send_program($third);
$s = $server->accept;
is(in_place(), sha384($third), 'another one takes its place');
$s->hello;                      # and is not let in
ok($server->says(qr/does not reach the server: the old one comes back/),
   'one that is not let in gives up');
$s = $server->accept;
ok($s && $s->admit, 'the one before comes back');
is(in_place(), sha384($second), 'as what it was');
is($s->offered, "\0" x 48, 'and offers nothing for a day');
is($s->send_program($third), 0, 'nor takes anything');
is($server->stop, 0, 'it ends');

# --- one that ends again and again

my $other = Mesh::Server->new;
$exe = $other->own_program;
$other->start(selfUpdate => 1);
$s = $other->accept;
$s->admit;
$s->send_program($second);

for my $n (1 .. 3) {
    $s = $other->accept;
    is(in_place(), sha384($second), "start $n: the new program");
    like(by_hand($other), qr/another agent runs with/, 'another one ends')
        for 1 .. 3;
    is(Mesh::Test::read_file("$exe.trial"), $n, 'and is no start of it');
    is(in_place(), sha384($second), 'nor takes it back');
    $other->stop('KILL');
    $s->close if $s;
    $other->start(selfUpdate => 1);
}
ok($other->says(qr/the old one comes back/), 'at the fourth it gives up');

# connections of those that ended may wait before it
my $back;
for (1 .. 5) {
    $s = $other->accept;
    last if $back = $s && $s->admit;
}
ok($back, 'and the old one is back');
is(in_place(), sha384($first), 'as what it was');
is($other->stop, 0, 'it ends');

# --- one that ends before it has opened anything

my $early = Mesh::Server->new;
$exe = $early->own_program;
my $broken = $first =~ s{/agent\.db\0}{/no/ag.db\0}gr;    # in no folder
isnt($broken, $first, 'a program that ends at once');
$early->start(selfUpdate => 1);
$s = $early->accept;
$s->admit;
$s->send_program($broken);

for my $n (1 .. 3) {
    ok($early->ended, "start $n: it has ended");
    is(in_place(), sha384($broken), 'as the new program');
    $early->start(selfUpdate => 1);
}
$s = $early->accept;
ok($s && $s->admit, 'at the fourth start the old one is back');
is(in_place(), sha384($first), 'as what it was');
like($early->said, qr/ends again and again: the old one comes back/,
     'which the log says');
is($s && $s->offered, "\0" x 48, 'it offers nothing for a day');
is_deeply([glob "$exe.*"], [], 'and nothing of the new one is left');
is($early->stop, 0, 'it ends');

# the power went while one was swapped for the other: both names are one file
link $exe, "$exe.old" or die "$exe.old: $!\n";
Mesh::Test::write_file("$exe.trial", '3');
$early->start(selfUpdate => 1);
$s = $early->accept;
ok($s && $s->admit, 'a swap that was cut off is made good once');
is_deeply([glob "$exe.*"], [], 'and leaves nothing');
is($early->stop, 0, 'it ends');

done_testing;
