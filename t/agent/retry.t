#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# mesh-agent and servers that do not let it in: how long it waits, which it
# says in its log, and that it finds the other one of its policy.

use strict;
use warnings;

use File::Copy qw(copy);
use IO::Select;
use IO::Socket::INET;
use Test::More;

use Mesh::Test;
use Mesh::Server;

# the delays that it has chosen so far, in seconds
sub delays { return $_[0]->said =~ /; next try in (\d+\.\d) s$/mg }

# --- a close that follows message 3

my $server = Mesh::Server->new;
$server->start;

for my $n (0 .. 2) {
    my $s = $server->accept;
    if (!grep { $_ == 4 } $s->hello) {
        $s->challenge;
        $s->await(2);
        $s->prove;
    }
    ok($s->await(3), 'it has sent message 3');
    is(() = delays($server), $n, 'and has not given up');
    $s->send(pack('n', 1008), 8);
    is($s->closed, 1008, 'it answers the close');
    $s->close;
    ok($server->says(qr/(?:no connection.*){@{[$n + 1]}}/s),
       'then it is closed') or diag $server->said;
    my $delay = (delays($server))[$n];
    cmp_ok($delay, '>=', 2 ** $n * 0.5 - 0.1, 'it waits longer each time');
    cmp_ok($delay, '<=', 2 ** $n * 1.5, 'but not for ever');
}
like($server->said, qr/it closes with code 1008; next try/,
     'the log has the code');
is($server->stop, 0, 'it ends');

# the same device, as a key takes its time
sub twin {
    my $twin = Mesh::Server->new;
    copy("$server->{dir}/data/agent.db", "$twin->{dir}/data/agent.db")
        or die "agent.db: $!\n";
    return $twin;
}

# --- agents that lose their server in one moment

my @many = map { twin() } 1 .. 8;
$_->start(MeshServer => 'wss://127.0.0.1:1/agent.ashx') for @many;
my @first = map { $_->says(qr/next try in/); (delays($_))[0] // 'none' } @many;
is(grep(/^(?:0\.[5-9]|1\.[0-5])$/, @first), 8,
   'each waits about a second the first time') or diag "@first";
my %different = map { $_ => 1 } @first;
cmp_ok(keys %different, '>', 1, 'but they do not come back together')
    or diag "@first";
is($_->stop, 0, 'it ends') for @many;

# --- two servers: the one that is called first is no good

# of 127.0.0.1 and .2; the agent begins with any of them
sub pair {
    my $pair = twin();
    my %url;
    for my $host ('127.0.0.1', '127.0.0.2') {
        my $s = $host eq '127.0.0.1' ? $pair->{socket}
            : IO::Socket::INET->new(LocalAddr => $host, Listen => 16,
                                    LocalPort => $pair->{port}, ReuseAddr => 1)
            or die "listen: $!\n";
        push @{ $pair->{both} }, $s;
        $url{$s} = "wss://$host:$pair->{port}/agent.ashx";
    }
    $pair->start(MeshServer => join(',', sort values %url),
                 ServerID => join(',', (uc unpack 'H*', $pair->{id}) x 2),
                 controlChannelIdleTimeout => 5, admitTimeout => 10);

    my ($called) = IO::Select->new(@{ $pair->{both} })->can_read(60)
        or die "nobody calls\n";
    my ($other) = grep { $_ != $called } @{ $pair->{both} };
    @$pair{qw(socket other bad good)} = ($called, $other, @url{$called, $other});
    return $pair;
}

# the other one lets it in
sub over {
    my ($pair, $how, $why) = @_;
    @$pair{qw(socket other)} = @$pair{qw(other socket)};
    my $s = $pair->accept;
    ok($s && $s->admit, "where the first one $how, the second lets it in")
        or diag $pair->said;
    like($pair->said, qr/no connection to \Q$pair->{bad}\E: $why; (?#
         )next try in [01]\.\d s\n.*connected to \Q$pair->{good}\E$/m,
         'at once, and it says why') or diag $pair->said;
    return $s;
}

my $pair = pair();
$pair->{socket}->accept->close;
my $s = over($pair, 'hangs up', '.*');

# and back, when the second one goes and is not there any more
my $back = $pair->{other};
close $pair->{socket};
$s->close;
$pair->{socket} = $back;
$s = $pair->accept;
ok($s && $s->admit, 'and the first one, when the second is gone')
    or diag $pair->said;
my ($one, $two) = map { quotemeta } @$pair{qw(bad good)};
like($pair->said, qr/lost $two:.*no connection to $two: .* refused(?#
     );.*connected to $one$/ms,
     'after it has asked the second once more');
is($pair->stop, 0, 'it ends');

$pair = pair();
$s = $pair->tls;
$s->request;
$s->raw("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 3000\r\n\r\n");
$s->close;
over($pair, 'refuses', 'it answers 503');
is($pair->stop, 0, 'it ends');

# --- or holds the connection: all of them at the same time

my ($tcp, $tls, $ws, $ping) = map { pair() } 1 .. 4;
my @held = (scalar $tcp->{socket}->accept, $tls->tls, $ws->accept, $ping->accept);
$held[1]->request;
my $f;
1 while $f = $held[3]->frame and $f->{opcode} != 9;
ok($f, 'it pings who does not let it in');
$held[3]->send($f->{data}, 10);

over($tcp, 'says nothing', '.*');
over($tls, 'does not answer', '.*');
over($ws, 'does not even answer a ping', 'it does not answer');
over($ping, 'answers that alone', 'it does not let us in');
is($_->stop, 0, 'it ends') for $tcp, $tls, $ws, $ping;

done_testing;
