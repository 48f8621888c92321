#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# The shared zone (S-28): what guesses at passwords leave in it has a bound, and
# where sessions have filled it who comes is refused and who is there stays.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::INET;
use JSON::PP;
use Test::More;
use Mesh::Agent;
use Mesh::Browser;
use Mesh::Control;
use Mesh::Relay qw(relay);
use Mesh::Test;

my $PASSWORD = 'correct horse battery';
my $TRIES = 10000;      # more than 1 MB has room for

my ($plain, $mesh, $group, $client);
server();

my $agent = agent(1110);
ok($agent->online, 'an agent is online');
my $admin = Mesh::Control->new($mesh, 'admin', $PASSWORD);
my ($viewer, $device) = relay($mesh, $admin, $agent, 'open');
$client = Mesh::Browser->new($mesh);

# --- guesses, each from another address

my ($s, %said) = (dial());
for my $i (1 .. $TRIES) {
    $said{post($s, '/setup.ashx', address(10, $i),
               { token => 'x', username => 'x', password => 'x' })}++;
}
is(join(' ', keys %said), '403', "$TRIES guesses from as many addresses are heard");
my @many = map { session(address(11, $_)) // () } 1 .. 200;
is(scalar @many, 200, 'S-18: and what they leave takes nobody the place');
$_->close for @many;

# --- guesses of one that is locked out, each at another user

my $guess = { username => 'x', password => 'wrong' };
$said{post($s, '/setup.ashx', '192.0.2.1', { token => 'x', %$guess })}++
    for 1 .. 31;
is(post($s, '/login.ashx', '192.0.2.1', $guess), 429, 'an address is locked out');
for my $i (1 .. 12) {
    post($s, '/login.ashx', '192.0.2.1', { %$guess, username => 'Admin' });
}
is(post($s, '/login.ashx', '192.0.2.2', { %$guess, username => 'admin' }), 401,
   'S-45: who is locked out cannot lock out others');

# --- sessions, until there is room for no more

my @open = filled(50);
note(scalar(@open) . ' addresses had a session');
cmp_ok(scalar @open, '<', 9000, 'S-28: with the zone full who comes is told 503');
is($mesh->get('/metrics')->{status}, 200, 'S-28: the status answers');
like($mesh->get('/metrics')->{body}, qr/^mesh_agents 1$/m, 'and knows how it is');
my $logged = () = $mesh->error_log =~ /\[crit\].*no room in "mesh_zone"/g;
cmp_ok($logged, '>', 0, 'S-28: the log says so');
cmp_ok($logged, '<', 25, 'but not each time');
my @data = map { Mesh::Agent::random(4000) x 20 . $_ } qw(up down);
$viewer->binary($data[0]);
$device->binary($data[1]);
is($device->read->{data}, $data[0], 'S-28: a terminal goes on');
is($viewer->read->{data}, $data[1], 'in both directions');
is(post($s, '/login.ashx', '192.0.2.1', $guess), 429,
   'S-45: who is locked out stays so');
ok($agent->{ws}->alive, 'an agent stays');
is($admin->ask({ action => 'nodes' })->{nodes}{$group}[0]{conn}, 1,
   'a page is answered');
my $late = agent(1111);
ok(!$late->connect || !$late->prove || $late->held,
   'an agent that comes is not let in');

# --- room again

$_->close for @open;
$mesh->wait_for('an agent', sub { ($late = agent(1111))->online });
pass('S-28: with room again who comes is let in');
ok(Mesh::Control->new($mesh, 'admin', $PASSWORD)->ok, 'a page, too');
$mesh->stop;

# --- there was no guess yet, and now there is no room for one

server();
$client = Mesh::Browser->new($mesh);
@open = filled(5);
$s = dial();
my ($n, $answer) = (0, 401);
$answer = guessed(++$n) while $answer == 401 && $n < 500;
is($answer, 429, 'S-45: a guess that cannot be counted is not heard');
note("after $n guesses");
$_->close for @open;
$mesh->wait_for('room', sub { guessed($n) == 401 });
pass('S-45: with room again it is');
$mesh->stop;
done_testing;


# with the smallest zone; behind a proxy anybody is anywhere, and one needs no TLS
sub server {
    $plain = Mesh::Test::port();
    $mesh = Mesh::Test->new(main => 'mesh_zone 1m;');
    $mesh->{http} = <<"END";
    server {
        listen 127.0.0.1:$plain reuseport;
        server_name behind;
        access_log off;
        keepalive_requests 100000;
        set_real_ip_from 127.0.0.1;
        real_ip_header X-Forwarded-For;
        mesh_url https://localhost:$mesh->{port};
        location / { root $mesh->{dir}/html; mesh on; }
    }
END
    $group = $mesh->lab;
}

# one guess of an address, at a user of its own
sub guessed {
    my ($i) = @_;
    return post($s, '/login.ashx', address(13, $i),
                { username => "user$i", password => 'wrong' });
}

# sessions of as many addresses, until so many were refused
sub filled {
    my ($times) = @_;
    my ($refused, @open) = (0);

    while ($refused < $times && @open < 9000) {
        my $session = session(address(12, @open + $refused));
        $session ? push @open, $session : $refused++;
    }

    return @open;
}

sub agent {
    my ($n) = @_;
    return Mesh::Agent->new($mesh, n => $n, group => $group, name => "pc$n");
}

sub address { return join '.', $_[0], unpack 'C3', substr pack('N', $_[1]), 1 }

sub dial {
    return IO::Socket::INET->new("127.0.0.1:$plain") || die "connect: $!\n";
}

# a request on an open connection; its status
sub post {
    my ($s, $path, $from, $data) = @_;
    my $body = encode_json($data);
    my %head = (%{ $client->headers }, 'X-Forwarded-For' => $from,
                'X-Mesh-CSRF' => $client->{info}{csrf}, Host => 'behind',
                'Content-Length' => length $body);
    $s->syswrite("POST $path HTTP/1.1\r\n"
                 . join('', map { "$_: $head{$_}\r\n" } keys %head)
                 . "\r\n$body");
    my $in = '';
    while ($in !~ /^content-length: (\d+).*?\r\n\r\n(.*)/msi || length $2 < $1) {
        $s->sysread($in, 65536, length $in) or die "post: $in\n";
    }
    return $in =~ m{^HTTP/1\.1 (\d+)} ? $1 : 0;
}

# a session that is let in
sub session {
    my ($from) = @_;
    my $s = dial();
    $s->syswrite("GET /echo.ashx HTTP/1.1\r\nHost: behind\r\n"
                 . "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                 . "Sec-WebSocket-Version: 13\r\nX-Forwarded-For: $from\r\n"
                 . "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n");
    my $in = '';
    while ($in !~ /\r\n\r\n/) {
        $s->sysread($in, 65536, length $in) or die "session: $in\n";
    }
    my ($status) = $in =~ m{^HTTP/1\.1 (\d+)};
    die "session: $in\n" if $status != 101 && $status != 503;
    return $status == 101 ? $s : undef;
}
