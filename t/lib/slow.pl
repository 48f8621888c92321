#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# A slow line: passes TCP connections to a port of this machine on, at a rate.
#
#   perl t/lib/slow.pl PORT
#
# prints the port that it listens on, and takes lines "rate N" from its
# standard input: N bytes a second each way for all connections together, 0 for
# no limit, which is how it begins.  It ends with its input.

use strict;
use warnings;

use IO::Handle;
use IO::Select;
use IO::Socket::INET;
use Socket qw(SOL_SOCKET SO_RCVBUF SO_SNDBUF IPPROTO_TCP TCP_MAXSEG TCP_NODELAY);
use Time::HiRes qw(time);

# what such a line itself would hold
use constant BUFFER => 8192;

$SIG{PIPE} = 'IGNORE';
$| = 1;

my $to = shift // die "usage: slow.pl PORT\n";
my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 128,
                                   ReuseAddr => 1) or die "cannot listen: $!\n";
# inherited by what it accepts; the segments of an Ethernet
setsockopt $listen, SOL_SOCKET, SO_RCVBUF, BUFFER;
setsockopt $listen, IPPROTO_TCP, TCP_MAXSEG, 1448;
print $listen->sockport, "\n";

my ($rate, $at) = (0, time);
my @room = (0, 0);      # bytes that may go, to the server and from it
my %peer;               # by fileno: { s, other, out, way, ended }

while (1) {
    my ($r, $w) = (IO::Select->new($listen, \*STDIN), IO::Select->new);

    for my $p (values %peer) {
        $r->add($p->{s}) if !$p->{ended} && length $p->{other}{out} < BUFFER;
        $w->add($p->{s}) if length $p->{out}
                            && (!$rate || $room[ $p->{way} ] >= 1);
    }

    my ($can_r, $can_w) = IO::Select->select($r, $w, undef, 0.02);
    my $now = time;
    $_ += ($now - $at) * $rate for @room;
    $_ = $_ > $rate / 20 ? $rate / 20 : $_ for @room;
    $at = $now;

    for my $s (@{ $can_r // [] }) {
        if ($s == $listen) {
            accepted();
        } elsif ($s == \*STDIN) {
            sysread STDIN, my $line, 256 or exit 0;
            ($rate) = $line =~ /^rate (\d+)/m if $line =~ /^rate \d+/m;
        } elsif (my $p = $peer{ fileno $s }) {
            my $n = sysread $s, $p->{other}{out}, BUFFER,
                            length $p->{other}{out};
            next if !defined $n && $!{EAGAIN};
            $p->{ended} = 1 if !$n;
        }
    }

    for my $s (@{ $can_w // [] }) {
        my $p = $peer{ fileno $s // next } or next;
        my $most = $rate ? int $room[ $p->{way} ] : BUFFER;
        next if $most < 1;
        my $n = syswrite $s, $p->{out}, $most;
        next if !defined $n && $!{EAGAIN};
        gone($p), next if !defined $n;
        substr($p->{out}, 0, $n) = '';
        $room[ $p->{way} ] -= $n;
    }

    for my $p (my @all = values %peer) {
        gone($p) if $p->{other} && $p->{ended} && !length $p->{other}{out};
    }
}

sub accepted {
    my $s = $listen->accept or return;
    my @pair;

    socket my $server, Socket::PF_INET, Socket::SOCK_STREAM, 0 or return;
    setsockopt $server, SOL_SOCKET, SO_RCVBUF, BUFFER;
    connect $server, Socket::pack_sockaddr_in($to,
                                              Socket::inet_aton('127.0.0.1'))
        or return;

    for ([$server, 0], [$s, 1]) {
        my ($sock, $way) = @$_;
        setsockopt $sock, SOL_SOCKET, SO_SNDBUF, BUFFER;
        setsockopt $sock, IPPROTO_TCP, TCP_NODELAY, 1;
        $sock->blocking(0);
        push @pair, { s => $sock, out => '', way => $way, ended => 0 };
    }

    ($pair[0]{other}, $pair[1]{other}) = @pair[1, 0];
    $peer{ fileno $_->{s} } = $_ for @pair;
}

sub gone {
    my ($p) = @_;

    for ($p, $p->{other}) {
        delete $peer{ fileno $_->{s} } if defined fileno $_->{s};
        close $_->{s};
        $_->{other} = undef if $_ != $p;
    }
    $p->{other} = undef;
}
