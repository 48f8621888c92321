#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# Workers come and go under sessions: reload, death, binary upgrade (S-26,
# S-29).  Seen through the echo endpoint, so no database is needed.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Mesh::Test;

my $mesh = Mesh::Test->new(main => 'mesh_drain 2s;', daemon => 1);
$mesh->start(no_database => 1, no_signer => 1);

sub ws { return $mesh->ws('/echo.ashx') }
sub echoes {
    my ($ws, $text) = @_;
    $ws->text($text) or return 0;
    my $m = $ws->read;
    return $m && ($m->{data} // '') eq $text;
}

# --- reload: sessions go on until mesh_drain has passed, then close 1001

my @old = map { ws() } 1 .. 12;
my @workers = $mesh->workers;
$mesh->reload;
is(scalar(grep { echoes($_, 'still here') } @old), 12,
   'sessions go on over a reload');
# one may still meet an old worker, which sends it away
$mesh->wait_for('new workers to serve', sub { echoes(ws(), 'new') });
pass('new ones meet new workers');
is(scalar(grep { $_->closed == 1001 } @old), 12,
   'sessions of old workers are closed 1001 within mesh_drain');
$mesh->wait_for('old workers to end', sub {
    my %now = map { $_ => 1 } $mesh->workers;
    !grep { $now{$_} } @workers;
});
pass('old workers end, and take their names along');

# --- death of a worker

$mesh->expect_alert(qr/exited on signal 9/);
my @all = map { ws() } 1 .. 16;
my ($victim) = $mesh->workers;
kill 'KILL', $victim;
$mesh->wait_for('another worker', sub {
    my @now = $mesh->workers;
    @now >= 4 && !grep { $_ == $victim } @now;
});
pass('S-26: the place of a dead worker is cleaned up');
my $alive = grep { echoes($_, 'alive') } @all;
cmp_ok($alive, '<', 16, 'its sessions are gone');
cmp_ok($alive, '>', 0, 'S-26: those of the others go on');
$mesh->wait_for('the counter', sub {
    $mesh->get('/metrics')->{body} =~ /^mesh_workers_died_total 1$/m;
});
pass('S-26: a counter tells');
is(scalar(grep { echoes(ws(), 'again') } 1 .. 8), 8, 'service goes on');

# --- shared memory is still right: what was counted in has been counted out

$_->abort for @all;
ok(echoes(ws(), 'after'), 'addresses are counted out with their worker');

# --- binary upgrade

my $session = ws();
my $pid = $mesh->{nginx_pid};
kill 'USR2', $pid;
$mesh->wait_for('the new master', sub {
    -e "$mesh->{dir}/nginx.pid.oldbin" && -s "$mesh->{dir}/nginx.pid"
        && $mesh->workers >= 8;
});
ok(echoes($session, 'upgrade'), 'S-29: a session goes on over USR2');
kill 'WINCH', $pid;
is($session->closed, 1001, 'WINCH to the old master drains its workers');
ok(echoes(ws(), 'upgraded'), 'S-29: the new binary serves');

my ($new) = Mesh::Test::read_file("$mesh->{dir}/nginx.pid") =~ /(\d+)/;
kill 'QUIT', $pid;
$mesh->wait_for('the end of the old master', sub { !kill 0, $pid });
delete $mesh->{pids}{$pid};
ok(echoes(ws(), 'alone'), 'and goes on alone');
kill 'TERM', $new;
$mesh->wait_for('the end', sub { !kill 0, $new });
delete $mesh->{nginx_pid};

$mesh->stop;
done_testing;
