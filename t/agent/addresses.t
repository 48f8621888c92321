#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# A name of two addresses, of which the first takes each connection and leads
# nowhere: it does not hide the other one, neither from the channel nor from
# tunnels.

use strict;
use warnings;

use Digest::SHA qw(sha384);
use IO::Socket::INET;
use POSIX ();
use Test::More;

use Mesh::Test;
use Mesh::Server;

plan skip_all => 'needs root and mount namespaces'
    if $< || system('unshare', '-m', 'true');

my @addresses = qw(127.0.0.1 127.0.0.2);
my $core = Mesh::Test::read_file("$Mesh::Test::ROOT/build/core.js");
my $server = Mesh::Server->new;
my $dir = $server->{dir};

# the order in which the system gives them
Mesh::Test::write_file("$dir/hosts", join '', map { "$_ two.example\n" }
                       @addresses);
my $given = `unshare -m sh -euc 'mount --bind $dir/hosts /etc/hosts
                                 getent ahostsv4 two.example'`;
my ($first) = $given =~ /^(\S+)\s+STREAM/;
my ($second) = grep { $_ ne $first } @addresses;
like($given, qr/^\Q$second\E\s/m, "the name has $first and $second");

# the server at the second one, and somebody else at the first
my $port = $server->{port};
my %listen = ('127.0.0.1' => $server->{socket});
$listen{'127.0.0.2'} = IO::Socket::INET->new(
    LocalAddr => '127.0.0.2', LocalPort => $port, Listen => 16,
    ReuseAddr => 1) or die "listen: $!\n";
$server->{socket} = $listen{$second};

# hangs up on who has said something
my $pid = fork // die "fork: $!\n";
if ($pid == 0) {
    while (my $s = $listen{$first}->accept) {
        sysread $s, my $hello, 16384;
        open my $log, '>>', "$dir/first" or last;
        syswrite $log, 'x';
    }
    POSIX::_exit(0);
}
END { kill 'KILL', $pid if $pid }

Mesh::Test::write_file("$dir/agent", "#!/bin/sh\nexec unshare -m sh -euc "
    . "'mount --bind $dir/hosts /etc/hosts; exec \"\$0\" \"\$@\"' "
    . Mesh::Server::program() . ' "$@"' . "\n");
chmod 0755, "$dir/agent";
$server->{program} = "$dir/agent";

$server->start(MeshServer => "wss://two.example:$port/agent.ashx");
my $s = $server->accept;
ok($s && $s->admit, 'the agent comes in at the second address');
is(-s "$dir/first", 1, 'after one try at the first');
like($server->said, qr{no connection to wss://two\.example\S*: it hangs up},
     'of which the log says what is wrong');

is($s->core($core), sha384("\0\0\0\0$core"), 'it takes our core');
$s->json({ action => 'msg', type => 'tunnel', usage => 5,
           value => '*/meshrelay.ashx?p=5&id=a&rauth=b',
           rights => 4294967295, consent => 0, userid => 'user//a',
           username => 'a', remoteaddr => '127.0.0.1',
           servertlshash => unpack('H*', $s->{web}), soptions => {} });
my $t = $server->accept;
ok($t, 'a tunnel goes to where the channel is');
$t->close if $t;

$s->close;
$s = $server->accept;
ok($s && $s->admit, 'and so does the next channel');
is(-s "$dir/first", 1, 'without another try at the first');

is($server->stop, 0, 'it ends');

done_testing;
