#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# TLS in front, by another nginx: agents prove themselves over the certificate
# that they saw there, and whose address it is says a header that is believed
# only from that one.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::INET;
use JSON::PP;
use Test::More;
use Mesh::Agent;
use Mesh::Control;
use Mesh::Test qw(escape);

my $front = Mesh::Test::port();
my $plain = Mesh::Test::port();
my $mesh = Mesh::Test->new;
my $dir = $mesh->{dir};
my $group;

# the plain listener with our endpoints, and the one with TLS before it
$mesh->{http} = <<"EOF";
    map \$http_upgrade \$up { default upgrade; '' close; }
    server {
        listen 127.0.0.1:$plain;
        server_name behind;
        set_real_ip_from 127.0.0.1;
        real_ip_header X-Forwarded-For;
        mesh_web_certificate file $dir/keys/web-ecdsa.pem $dir/keys/web-rsa.pem;
        mesh_url https://localhost:$front;
        mesh_agents $dir/agents;
        location / { root $dir/html; mesh on; mesh_relay on; }
        location = /where { return 200 \$remote_addr; }
    }
    server {
        listen 127.0.0.1:$plain;
        server_name hashed;
        mesh_web_certificate sha384 @{[ 'ab' x 48 ]};
        location / { root $dir/html; mesh on; }
    }
    server {
        listen 127.0.0.1:$front ssl;
        ssl_certificate $dir/keys/web-ecdsa.pem;
        ssl_certificate_key $dir/keys/web-ecdsa.key;
        ssl_certificate $dir/keys/web-rsa.pem;
        ssl_certificate_key $dir/keys/web-rsa.key;
        location / {
            proxy_pass http://127.0.0.1:$plain;
            proxy_http_version 1.1;
            proxy_buffering off;
            proxy_read_timeout 1h;
            proxy_set_header Host \$http_host;
            proxy_set_header Upgrade \$http_upgrade;
            proxy_set_header Connection \$up;
            proxy_set_header X-Forwarded-For \$http_x_test_from;
            proxy_set_header X-Forwarded-Proto https;
        }
    }
EOF

$mesh->start(prepare => sub {
    $mesh->admin(\"correct horse battery\n", 'user', 'add', 'admin',
                 '--site-admin');
    $group = $mesh->admin('group', 'add', 'Lab', '--owner', 'admin');
    chomp $group;
});
$mesh->{port} = $front;

# --- agent, page, terminal

my $agent = Mesh::Agent->new($mesh, n => 800, group => $group, name => 'far');
ok($agent->online, 'an agent proves itself through a proxy that ends its TLS');

my $control = Mesh::Control->new($mesh, 'admin', 'correct horse battery');
ok($control->ok, 'the control channel opens through it');
is($control->{serverinfo}{serverinfo}{port}, $front,
   'and knows the address from outside');

my ($node) = map { @$_ } values %{ $control->ask({ action => 'nodes' })
                                           ->{nodes} };
is($node->{conn}, 1, 'the device is online');

$control->ask({ action => 'msg', type => 'tunnel', nodeid => $node->{_id},
    usage => 1, value => "*/meshrelay.ashx?p=1&nodeid=$node->{_id}&id=abc" });
my $command = $agent->await('msg')->{json};
my ($path) = $command->{value} =~ m{^\*(/.*)};
$path =~ s/([\$\@])/sprintf '%%%02X', ord $1/ge;
my $cookie = $control->ask({ action => 'authcookie' })->{cookie};
my ($id, $auth) = map { escape($_) } $node->{_id}, $cookie;
my $viewer = $mesh->ws("/meshrelay.ashx?browser=1&p=1&nodeid=$id&id=abc"
                       . "&auth=$auth");
my $device = $mesh->ws($path);
is($viewer->read->{data}, 'c', 'a relay opens through it');
is($device->read->{data}, 'c', 'on both sides');
my $data = Mesh::Agent::random(5000) x 30;
$device->binary($data);
is($viewer->read->{data}, $data, 'and carries what it is given');
is(lc $command->{servertlshash}, unpack('H*', $agent->{web}),
   'the device is told the certificate of the proxy');

my $session = $mesh->get('/session.ashx');
is($session->{status}, 200, "the page's requests pass");
is(scalar @{ decode_json($session->{body})->{pins} }, 2,
   'and it is told the keys of the certificates in front');
$session = $mesh->get('/session.ashx', host => 'hashed');
is_deeply(decode_json($session->{body})->{pins}, [],
          'but none where only the hash of a certificate is known');
is($mesh->ws('/control.ashx', headers => { Origin => 'https://evil.example' })
        ->status, 403, 'S-01: a foreign Origin is refused behind it too');
is($mesh->ws('/control.ashx', headers => {
       Origin => "https://localhost:$front" })->status, 101,
   'its own is not');

# --- S-45: who is believed

is($mesh->get('/where', headers => { 'X-Test-From' => '192.0.2.7' })->{body},
   '192.0.2.7', 'a trusted proxy says where a client is');

# --- another certificate in front is refused, and said

my $stranger = Mesh::Agent->new($mesh, n => 801, group => $group,
                                name => 'proxied');
$stranger->connect;
$stranger->{web} = Mesh::Agent::random(48);
$stranger->request;
$stranger->info;
ok($stranger->held, 'an agent that saw another certificate is held');
my $status = $control->ask({ action => 'serverstatus' });
my ($refused) = grep { $_->{code} == 1 } @{ $status->{refused} };
is($refused->{hash}, unpack('H*', $stranger->{web}),
   'the page names the certificate that it saw');
is((grep { $_->{hash} eq unpack('H*', $agent->{web}) }
    @{ $status->{certificates} }), 1, 'beside the one that is expected');

$mesh->stop;
done_testing;
