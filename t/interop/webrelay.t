#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# A real agent, the stock one or ours, with our core: pages of a web server on
# its own loopback, over HTTP and HTTPS (session.md 1.12).

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Digest::SHA qw(sha256_hex);
use IPC::Open2;
use JSON::PP;
use Test::More;
use Time::HiRes qw(time);
use Mesh::Control;
use Mesh::Program;
use Mesh::Test;

my $program = Mesh::Program->new;
my $relay = Mesh::Test::port();
my $mesh = Mesh::Test->new;
$mesh->{http} = "server { listen 127.0.0.1:$relay ssl; server_name localhost; "
    . "ssl_certificate $mesh->{dir}/keys/web-ecdsa.pem; "
    . "ssl_certificate_key $mesh->{dir}/keys/web-ecdsa.key; "
    . "mesh_web_relay :$relay; "
    . "include $Mesh::Test::ROOT/conf/mesh-web.conf; }";

my $group;
$mesh->start(prepare => sub {
    $mesh->admin(\"correct horse battery\n", 'user', 'add', 'Admin',
                 '--site-admin');
    chomp($group = $mesh->admin('group', 'add', 'Lab', '--owner', 'admin'));
});
$program->enroll($mesh, $group =~ s{^mesh//}{}r);
my $control = Mesh::Control->new($mesh, 'admin', 'correct horse battery');
$program->start;
my $device;
$mesh->wait_for('coreinfo', sub {
    ($device) = map { @$_ } values %{
        $control->ask({ action => 'nodes' })->{nodes} };
    return $device && ($device->{core} // '') =~ /^ngx_mesh core/;
});

my $pid = open2(my $out, my $in, 'node', "$FindBin::Bin/page/web.mjs",
                "$mesh->{dir}/keys/web-ecdsa.key",
                "$mesh->{dir}/keys/web-ecdsa.pem");
my ($http, $https) = split ' ', readline $out;

for my $case (['HTTP', 1, $http], ['HTTPS', 2, $https]) {
    my ($name, $appid, $port) = @$case;
    my $cookie = page($port, $appid);
    ok($cookie, "$name: a page opens");

    my $r = get('/', $cookie);
    is($r->{status}, 200, "$name: it comes");
    like($r->{body}, qr/<title>device</, "$name: and is the device's");
    my $jar = join '; ', $cookie,
              $r->{head} =~ /^set-cookie: (__Host-mesh-web-[^;]+)/mig;

    my $seen = decode_json(get('/seen', $jar)->{body});
    is($seen->{cookie}, 'sid=42; theme=dark', "$name: it has its cookies again");
    is($seen->{host}, "127.0.0.1:$port", "$name: and is called by its name");

    $r = get('/moved', $cookie);
    is($r->{status}, 302, "$name: a redirect is one");
    like($r->{head}, qr{^location: (?:https://localhost:$relay)?/seen\r?$}mi,
         "$name: to where the browser finds it");

    is(get('/none', $cookie)->{status}, 404, "$name: what is not there is not");

    my $body = join '', map { pack 'N', ($_ * 2654435761) % 4294967296 }
               1 .. 500_000;
    $r = $mesh->request('POST', '/hash', port => $relay, body => $body,
                        host => "localhost:$relay",
                        headers => { Cookie => $cookie });
    is($r->{body}, sha256_hex($body), "$name: 2 MB arrive as they are");

    my $before = time;
    $r = get('/big', $cookie);
    note(sprintf '%s: 20 MB in %.2f s', $name, time - $before);
    my $hash = substr $r->{body}, -64, 64, '';
    is(length $r->{body}, 320 * 65536, "$name: 20 MB in chunks come whole");
    is(sha256_hex($r->{body}), $hash, "$name: and as they were sent");

    my $ws = Mesh::WebSocket->connect(port => $relay, path => '/socket',
        headers => { Cookie => $cookie, Origin => "https://localhost:$relay" });
    is($ws->status, 101, "$name: a WebSocket opens");
    $ws->text('hello device');
    is($ws->read->{data}, 'HELLO DEVICE', "$name: and speaks");
    $ws->abort;
}

my $none = page(Mesh::Test::port(), 1);
my $r = get('/', $none);
is($r->{status}, 502, 'where nobody listens there is no page');
like($r->{body}, qr{Nothing (?:listens on this|answers at this) port}, 'and it says why');

$r = get('/', page($http, 2));
is($r->{status}, 502, 'nor is there one where nobody speaks TLS');

close $in;
waitpid $pid, 0;
$mesh->stop;
done_testing;


# the cookie of a page that was opened
sub page {
    my ($port, $appid) = @_;
    my $reply = $control->ask({ action => 'webrelay', port => $port + 0,
                                nodeid => $device->{_id}, appid => $appid });
    my ($path) = ($reply->{url} // '') =~ m{^https://localhost:$relay(/.*)}
        or die encode_json($reply);
    my ($cookie) = get($path)->{head} =~ /^set-cookie: (__Host-mesh-web=[^;]+)/mi;
    return $cookie;
}

sub get {
    my ($path, $cookie) = @_;
    return $mesh->request('GET', $path, port => $relay,
                          host => "localhost:$relay",
                          headers => $cookie ? { Cookie => $cookie } : {});
}
