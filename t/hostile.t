#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# Peers that are slow, that compress, and that put lines into values.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Select;
use IO::Socket::INET;
use IO::Socket::SSL;
use Test::More;
use Mesh::Agent;
use Mesh::Control;
use Mesh::Test qw(escape);
use Mesh::WebSocket;

my $PASSWORD = 'correct horse battery';
my $EACH = 60;      # of each kind, in four workers
my $mesh = Mesh::Test->new(server => <<'END');
client_header_timeout 3s;
client_body_timeout   3s;
mesh_auth_timeout     3s;
END
my $group;
$mesh->start(prepare => sub {
    $mesh->admin(\"$PASSWORD\n", 'user', 'add', 'admin', '--site-admin');
    $group = $mesh->admin('group', 'add', 'Home', '--owner', 'admin');
    chomp $group;
});
my $port = $mesh->{port};

# --- S-28

my %slow = (
    'a TLS handshake' => sub {
        my $s = IO::Socket::INET->new("127.0.0.1:$port") or die "connect\n";
        syswrite $s, "\x16";
        return $s;
    },
    'a request' => sub { part("GET /control.ashx HTTP/1.1\r\nHost: lo") },
    'a sign-in' => sub {
        part("POST /login HTTP/1.1\r\nHost: localhost:$port\r\n"
             . "Content-Length: 200\r\n\r\nu");
    },
    'a proof of who it is' => sub {
        my $ws = $mesh->ws('/agent.ashx');
        die 'no agent session: ' . $ws->status . "\n" if $ws->status != 101;
        return $ws->{s};
    },
);
my %open;
for my $kind (sort keys %slow) {
    push @{ $open{$kind} }, $slow{$kind}->() for 1 .. $EACH;
}

is($mesh->get('/health.ashx')->{status}, 200,
   'S-28: beside senders that stop in the middle the server is well');
like($mesh->get('/metrics')->{body}, qr/^mesh_agents 0$/m, 'and tells how it is');
ok(Mesh::Control->new($mesh, 'admin', $PASSWORD)->ok, 'somebody signs in');

my $agent = Mesh::Agent->new($mesh, n => 720, group => $group, name => 'quick');
ok($agent->online, 'and a device gets in');

for my $kind (sort keys %open) {
    is(left(@{ $open{$kind} }), 0, "S-28: who stops within $kind is let go");
}

ok($agent->{ws}->alive, 'the device is still there');

# --- S-25

for my $path ('/agent.ashx', '/control.ashx', '/meshrelay.ashx?id=x') {
    my $ws = $mesh->ws($path, headers => {
        'Sec-WebSocket-Extensions' => 'permessage-deflate; client_max_window_bits'
    });
    is($ws->status, 101, "$path takes one that could compress");
    unlike($ws->{head}, qr/^sec-websocket-extensions/mi,
           "S-25: $path does not offer to decompress");
}

my $ws = $mesh->ws('/agent.ashx');
my $frame = $ws->frame(2, "\0\1");
substr($frame, 0, 1) |= "\x40";
$ws->raw($frame);
is($ws->closed, 1002, 'S-25: a compressed frame breaks the framing');

my $zipped = $mesh->request('POST', '/login', body => "\x1f\x8b" . 'x' x 60,
                            headers => { 'Content-Encoding' => 'gzip' });
cmp_ok($zipped->{status}, '>=', 400, 'S-25: a compressed sign-in is refused');
cmp_ok($zipped->{status}, '<', 500, 'and not by an error of ours');

# --- S-53

my $admin = Mesh::Control->new($mesh, 'admin', $PASSWORD);
my %named = ("a\r\nMeshServer=wss://evil.example/" => 0, "a\nX: 1" => 0,
             'Evil "\'; $(id) # \\' => 1);

for my $name (sort keys %named) {
    my $made = $admin->ask({ action => 'createmesh', meshname => $name,
                             meshtype => 2 });
    is(defined $made->{meshid} ? 1 : 0, $named{$name},
       'S-53: a group has its name in one line');
    next if !$made->{meshid};

    my $r = $mesh->get('/meshsettings?id=' . escape($made->{meshid}));
    is($r->{status}, 200, 'a group with signs in its name has settings');
    like($r->{body}, qr/^MeshName=\Q$name\E\r$/m, 'with the name as it is');
    is(() = $r->{body} =~ /^MeshServer=/mg, 1, 'and one server');
    unlike($r->{head}, qr/evil/i, 'S-53: and it is in no header');
}

for my $value ("a\r\nX: 1", 'a"b', "a'b", 'a;b', '$(id)', "a\0b") {
    for my $arg (qw(tag installflags)) {
        my $r = $mesh->get('/meshsettings?id=' . escape($group) . "&$arg="
                           . escape($value));
        is($r->{status}, 400, "S-53: $arg that is no word is refused");
        unlike($r->{head}, qr/^X:/m, 'and makes no header');
    }
}

$agent->close;
$mesh->stop;
done_testing();


sub part {
    my ($text) = @_;
    my $s = IO::Socket::SSL->new(
        PeerAddr => '127.0.0.1', PeerPort => $port, SSL_verify_mode => 0,
        SSL_hostname => 'localhost', Timeout => 10) or die "connect\n";
    syswrite $s, $text;
    return $s;
}

# how many of them the server has not closed
sub left {
    my %open = map { $_ => $_ } @_;
    my $until = time + $Mesh::Test::DEADLINE;

    while (%open && time < $until) {
        for my $s (IO::Select->new(values %open)->can_read(1)) {
            # under TLS: the end of the transport, or an alert before it
            my $n = CORE::recv(bare($s), my $in, 65536, 0);
            delete $open{$s} if !defined $n || $in eq '';
        }
    }

    return scalar keys %open;
}

sub bare {
    my ($s) = @_;
    open my $fh, '+<&=', fileno $s or die "fd: $!\n";
    return $fh;
}
