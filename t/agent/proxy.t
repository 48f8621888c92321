#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# mesh-agent behind the proxy of its policy, which is the only way to its
# server: nobody listens on the address that the policy names.

use strict;
use warnings;

use Digest::SHA qw(sha384);
use IO::Select;
use IO::Socket::INET;
use POSIX ();
use Test::More;

use Mesh::Test;
use Mesh::Server;

my $core = Mesh::Test::read_file("$Mesh::Test::ROOT/build/core.js");
my $server = Mesh::Server->new;
my $log = "$server->{dir}/proxy";
my $refuse = "$server->{dir}/refuse";
my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 16)
    or die "listen: $!\n";
my $at = '127.0.0.1:' . $listen->sockport;
my $pid = fork // die "fork: $!\n";

if ($pid == 0) {
    $SIG{CHLD} = 'IGNORE';
    while (my $s = $listen->accept) {
        next if fork;
        proxy($s);
        POSIX::_exit(0);
    }
    POSIX::_exit(0);
}

# CONNECT to whatever host; all of them are the server of the test
sub proxy {
    my ($s) = @_;
    my $head = '';
    while ($head !~ /\r\n\r\n/) {
        sysread $s, $head, 4096, length $head or return;
    }
    open my $f, '>>', $log or return;
    syswrite $f, $head;
    close $f;
    if (-e $refuse) {
        syswrite $s, "HTTP/1.1 403 Not today\r\n\r\n";
        return;
    }
    my $t = IO::Socket::INET->new("127.0.0.1:$server->{port}") or return;
    syswrite $s, "HTTP/1.1 200 OK\r\n\r\n";
    my $both = IO::Select->new($s, $t);
    for (;;) {
        for my $from ($both->can_read) {
            sysread $from, my $bytes, 65536 or return;
            my $to = $from == $s ? $t : $s;
            while (length $bytes) {
                my $n = syswrite $to, $bytes or return;
                substr $bytes, 0, $n, '';
            }
        }
    }
}

# what the proxy was asked
sub asked {
    return -e $log ? Mesh::Test::read_file($log) =~ /^(CONNECT \S+)/mg : ();
}

sub tunnel {
    my ($s) = @_;
    $s->json({ action => 'msg', type => 'tunnel', usage => 1,
               value => '*/meshrelay.ashx?p=1&id=a&rauth=b',
               rights => 4294967295, consent => 0, userid => 'user//a',
               username => 'a', remoteaddr => '127.0.0.1',
               servertlshash => unpack('H*', $s->{web}), soptions => {} });
    return $server->accept;
}

my $to = "[::1]:$server->{port}";
$server->start(WebProxy => "http://me:secret\@$at",
               MeshServer => "wss://$to/agent.ashx");
my $s = $server->accept;
ok($s && $s->admit, 'the agent comes in through its proxy');
is_deeply([asked()], ["CONNECT $to"], 'an IPv6 address stands in brackets');
like(Mesh::Test::read_file($log),
     qr/^Proxy-Authorization: Basic bWU6c2VjcmV0\r$/m, 'with its password');

is($s->core($core), sha384("\0\0\0\0$core"), 'it takes our core');
my $t = tunnel($s);
ok($t, 'a tunnel comes through the proxy too');
is(scalar(my @two = asked()), 2, 'which was asked for it');
$t->close if $t;

# --- it refuses: what then comes directly has tunnels that do so, too

$server->stop;
Mesh::Test::write_file($refuse, '');
unlink $log;
$server->start(WebProxy => $at);
$s = $server->accept;
like($server->said, qr/the proxy refuses: HTTP\/1\.1 403 Not today/,
     'the log says that the proxy refuses');
ok($s && $s->admit, 'the agent comes without it');
$s->send(pack 'nn', 16, 0);
$t = tunnel($s);
ok($t, 'and a tunnel too');
is(scalar(my @one = asked()), 1, 'for which no proxy is asked');

is($server->stop, 0, 'it ends');
kill 'KILL', $pid;
waitpid $pid, 0;

done_testing;
