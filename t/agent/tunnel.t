#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# Whom mesh-agent, with our core, opens a tunnel to, and whom not; and what
# becomes of one while its core or its server goes.  S-23 from the agent's
# side.

use strict;
use warnings;

use Digest::SHA qw(sha384);
use Test::More;

use Mesh::Test;
use Mesh::Server;

my $core = Mesh::Test::read_file("$Mesh::Test::ROOT/build/core.js");
my $server = Mesh::Server->new;
$server->start;
my $s = $server->accept;
ok($s->admit, 'the agent is in');
is($s->core($core), sha384("\0\0\0\0$core"), 'with our core');
my $info = (grep { ($_->{json}{action} // '') eq 'coreinfo' }
            @{ $s->{aside} })[0];
ok($info, 'which reports');

sub tunnel {
    my (%more) = @_;
    $s->json({ action => 'msg', type => 'tunnel', usage => 1,
               value => '*/meshrelay.ashx?p=1&id=a&rauth=b@c$d',
               rights => 4294967295, consent => 0, userid => 'user//a',
               username => 'a', remoteaddr => '127.0.0.1',
               servertlshash => unpack('H*', $s->{web}), soptions => {},
               %more });
}

sub hash_of {
    my (undef, $cert) = Mesh::Server::identity($_[0]);
    return unpack 'H*', sha384($cert);
}

# a viewer's terminal: what comes back for a command
sub shell {
    my ($t, $command, $want) = @_;
    $t->send("$command\n");
    my $text = '';
    while (my $m = $t->message) {
        return undef if exists $m->{close};
        $text .= $m->{data};
        return $text if $text =~ $want;
    }
    return undef;
}

# --- the certificate

tunnel();
my $t = $server->accept;
ok($t, 'a tunnel is opened to the certificate of the channel');
like($t->{request}, qr{^GET /meshrelay\.ashx\?p=1&id=a&rauth=b%40c%24d },
     'with @ and $ escaped');
$t->send('c', 1);
$t->send('1', 1);
like(shell($t, 'echo $((6 * 7))', qr/\b42\b/), qr/42/, 'a terminal runs in it');

tunnel();
my $u = $server->tls(undef, 904);
ok(!$u || !defined $u->request, 'to another certificate nothing is sent');

tunnel(servertlshash => hash_of(904));
$u = $server->accept(undef, 904);
ok($u, 'to another one that the channel has named it is opened');
$u->close;

tunnel(servertlshash => hash_of(903));
$u = $server->tls(undef, 904);
ok(!$u || !defined $u->request, 'but not to a third one');

tunnel(servertlshash => undef);
$u = $server->tls(undef, 904);
ok(!$u || !defined $u->request, 'and without a hash not to a new one');

# --- where to

for my $value ("*/a HTTP/1.1\r\nX-Evil: 1\r\n\r\n", "*/a b", "*/a\nb",
               'wss://127.0.0.2:9/x', '//evil/x', '*', '', undef, 7, [],
               '*/' . 'x' x 9000, "*/\x{e4}")
{
    tunnel(value => $value);
}
is_deeply([grep { $_ ne 'log' && $_ ne 'sessions' } $s->until_pong], [],
          'tunnels to nowhere are not answered');
ok(!IO::Select->new($server->{socket})->can_read(0.5),
   'nor is anybody called for them');

# --- one who sends pings and reads no answers

sub kilobytes {
    return Mesh::Test::read_file("/proc/$server->{pid}/status")
           =~ /VmRSS:\s+(\d+)/ && $1;
}

tunnel();
$u = $server->accept;
$u->send('c', 1);
my $ping = '{"ctrlChannel":"102938","type":"ping"}';
my $was = kilobytes();
my $frame = pack('CC', 0x81, length $ping) . $ping;
$u->raw($frame x 1000) for 1 .. 150;
isnt(($s->until_pong)[-1] // '', 'gone',
     'pings without a reader stop nothing else');
SKIP: {
    skip 'the sanitizer keeps what was freed', 1 if $ENV{MESH_ASAN};
    cmp_ok(kilobytes() - $was, '<', 16384,
           'nor do their answers fill the memory');
}
my $pongs = 0;
$pongs++ while $pongs < 1000 && ($u->message(10) // {})->{json};
is($pongs, 1000, 'who reads on has answers');
$u->json({ ctrlChannel => '102938', type => 'close' });
$u->close;

# --- a session outlives its core and its channel

is($s->core('1;'), sha384("\0\0\0\0001;"), 'another script comes');
like(shell($t, 'echo $((6 * 8))', qr/\b48\b/), qr/48/, 'the terminal goes on');
is($s->core($core), sha384("\0\0\0\0$core"), 'and another one');
$s->close;
like(shell($t, 'echo $((6 * 9))', qr/\b54\b/), qr/54/,
     'the terminal goes on without a channel');
$s = $server->accept;
ok($s && $s->admit, 'which comes back');
like(shell($t, 'echo $((6 * 6))', qr/\b36\b/), qr/36/, 'and with it again');

# --- an invitation, whose page has a ticket behind "#"

$s->json({ action => 'openUrl', sessionid => 'user//a/1', userid => 'user//a',
           username => 'a', rights => 0x4000,
           url => 'https://localhost/#/messenger/x/y?auth=secret' });
my ($logged, $told);
while (!$told) {
    my $m = $s->message or last;
    $logged = $m->{json} if ($m->{json}{action} // '') eq 'log';
    $told = $m->{json} if ($m->{json}{action} // '') eq 'openUrl';
}
is_deeply([@$told{qw(sessionid url)}, defined $told->{success}],
          ['user//a/1', 'https://localhost/', 1],
          'who invited is told whether the page opened');
is($logged->{msg}, 'Opening: https://localhost/', 'S-05: the log has no ticket');

# --- its end

my $pid = shell($t, 'echo pid $$', qr/pid \d+\s/) =~ /pid (\d+)/ && $1;
ok($pid && kill(0, $pid), 'the shell is a process');
$t->close;
my $gone;
for (1 .. 200) {
    last if $gone = !kill 0, $pid;
    select undef, undef, undef, 0.05;
}
ok($gone, 'which ends with its viewer');

tunnel();
$t = $server->accept;
$t->send('c', 1);
$t->send('1', 1);
$pid = shell($t, 'echo pid $$', qr/pid \d+\s/) =~ /pid (\d+)/ && $1;
is($server->stop, 0, 'the agent ends with a terminal open');
for (1 .. 200) {
    last if $gone = !kill 0, $pid;
    select undef, undef, undef, 0.05;
}
ok($gone, 'and its shell with it');

done_testing;
