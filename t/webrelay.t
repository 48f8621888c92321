#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# The web relay (session.md 1.12): pages of a device that the test plays, down
# to each byte.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::SSL;
use JSON::PP;
use Test::More;
use Time::HiRes qw(time);
use Mesh::Agent;
use Mesh::Control;
use Mesh::Relay qw(answer);
use Mesh::Test qw(escape);

my $relay = Mesh::Test::port();
my $mesh = Mesh::Test->new(server => 'mesh_limit relay per=user 1000;');
$mesh->{http} = server("mesh_web_relay :$relay;");

my $group;
$mesh->start(prepare => sub {
    $mesh->admin(\"correct horse battery\n", 'user', 'add', 'admin',
                 '--site-admin');
    $mesh->admin(\"a password for tests\n", 'user', 'add', $_) for qw(mei oona);
    $group = $mesh->admin('group', 'add', 'Lab', '--owner', 'admin');
    chomp $group;
});

my $admin = Mesh::Control->new($mesh, 'admin', 'correct horse battery');
my $mei = Mesh::Control->new($mesh, 'mei', 'a password for tests');
my $agent = Mesh::Agent->new($mesh, n => 720, group => $group, name => 'one');
$agent->online or die "no agent\n";

# --- a page

my $link = link_of($admin, port => 8080, appid => 1);
like($link, qr{^https://localhost:$relay/control-redirect\.ashx\?n=},
     'a page is opened at the relay\'s own port');

my $r = get($link);
is($r->{status}, 200, 'the link opens it');
my $cookie = session($r);
ok($cookie, 'with a cookie');

my ($s, $device) = asked($cookie, '/index.html?x=1');
my $q = request($device);
is($q->{line}, 'GET /index.html?x=1 HTTP/1.1', 'the device is asked for it');
reply($device, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
               . "Content-Length: 5\r\n\r\nhello");
$r = got($s);
is("$r->{status} $r->{body}", '200 hello', 'and its answer is the browser\'s');

$mesh->stop;
done_testing;


sub server {
    my ($directive) = @_;
    return "server { listen 127.0.0.1:$relay ssl; server_name localhost; "
         . "ssl_certificate $mesh->{dir}/keys/web-ecdsa.pem; "
         . "ssl_certificate_key $mesh->{dir}/keys/web-ecdsa.key; $directive "
         . "include $Mesh::Test::ROOT/conf/mesh-web.conf; }";
}

sub link_of {
    my ($who, %arg) = @_;
    my $reply = $who->ask({ action => 'webrelay', nodeid => $agent->node,
                            %arg });
    diag(encode_json($reply)) if ($reply->{result} // '') ne 'OK';
    return $reply->{url};
}

sub get {
    my ($url, %headers) = @_;
    my ($path) = $url =~ m{^(?:https://[^/]+)?(/.*)};
    return $mesh->request('GET', $path, port => $relay, headers => \%headers,
                          host => "localhost:$relay");
}

sub session { return $_[0]{head} =~ /^set-cookie: (__Host-mesh-web=[^;]+)/mi ? $1 : undef }
sub header { return $_[0]{head} =~ /^\Q$_[1]\E: (.*?)\r?$/mi ? $1 : undef }

# a request that is under way
sub ask {
    my ($cookie, $path, %arg) = @_;
    my $s = IO::Socket::SSL->new(
        PeerAddr => '127.0.0.1', PeerPort => $relay, SSL_verify_mode => 0,
        SSL_hostname => 'localhost') or die;
    my %head = (Host => "localhost:$relay", Connection => 'close',
                Cookie => $cookie, %{ $arg{headers} // {} });
    print $s join("\r\n", ($arg{method} // 'GET') . " $path HTTP/1.1",
                  map({ "$_: $head{$_}" } sort keys %head), '',
                  $arg{body} // '');
    ${*$s}{in} = '';
    return $s;
}

sub invitation {
    while (my $m = $agent->await('msg')) {
        return $m->{json} if ($m->{json}{type} // '') eq 'tunnel';
    }
    die "no invitation\n";
}

# the same, when the device's half is there
sub asked {
    my $s = ask(@_);
    my $command = invitation();
    my $device = answer($mesh, $command);
    my $m = $device->read;
    die "not joined\n" if ($m->{data} // '') ne 'c';
    $device->{asked} = $command;
    $device->{bytes} = '';
    return ($s, $device);
}

# what the device reads, up to the end of the headers
sub request {
    my ($device) = @_;
    while ($device->{bytes} !~ /\r\n\r\n/) {
        my $m = $device->read or last;
        last if !defined $m->{data};
        $device->{bytes} .= $m->{data};
    }
    my ($head, $rest) = split /\r\n\r\n/, $device->{bytes}, 2;
    $device->{bytes} = $rest // '';
    my ($line) = ($head // '') =~ /^(.*?)\r?$/m;
    return { line => $line, head => $head // '' };
}

sub reply { my ($device, $bytes) = @_; $device->binary($bytes) }

# the answer, to its end
sub got {
    my ($s) = @_;
    my $until = time + $Mesh::Test::DEADLINE;
    while (time < $until) {
        sysread($s, ${*$s}{in}, 65536, length ${*$s}{in}) or last;
    }
    my ($head, $body) = split /\r\n\r\n/, ${*$s}{in}, 2;
    my ($status) = ($head // '') =~ m{^HTTP/1\.1 (\d+)};
    $body = Mesh::Test::unchunk($body)
        if ($head // '') =~ /^transfer-encoding: chunked/mi;
    return { status => $status // 0, head => $head // '',
             body => $body // '' };
}
