#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# The Origin rule, on every WebSocket path of the table of endpoints.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Mesh::Test;

my @paths = qw(/agent.ashx /control.ashx /meshrelay.ashx?id=abc /echo.ashx);

# S-01: the paths in the code are the paths in this test
my $source = Mesh::Test::read_file(
    "$Mesh::Test::ROOT/ngx_mesh_module/ngx_http_mesh_module.c");
my %web = map { $_ => 1 } qw(session login logout setup health recordings
                              devicefile);
my @code = grep { !$web{ s/\.ashx//r } } $source =~ /"(\w+\.ashx)"/g;
is(join(' ', sort @code), join(' ', sort map { m{^/(\w+\.ashx)} } @paths),
   'S-01: each WebSocket path in the code is tested here');

my $mesh = Mesh::Test->new;
$mesh->start(no_database => 1, no_signer => 1);
my $port = $mesh->{port};

my @foreign = ('https://evil.example', "https://evil.example:$port", 'null',
    'https://localhost', "http://localhost:$port", "https://localhost.:$port",
    "https://sub.localhost:$port", "https://localhost:$port.evil.example",
    "https://localhost:${port}0", "https://localhost:" . ($port + 1), '',
    'https://', "https:///localhost:$port", "localhost:$port/x",
    "file://localhost:$port", "https://xn--lcalhost-n2a:$port",
    "https://[::1]:$port", "https://user\@localhost:$port",
    "https://localhost:$port https://evil.example");

for my $path (@paths) {
    for my $origin (@foreign) {
        is($mesh->ws($path, headers => { Origin => $origin })->status, 403,
           "S-01, S-02, S-03: $path refuses \"$origin\"");
    }
}

for my $origin ("https://localhost:$port", "HTTPS://LocalHost:$port") {
    is($mesh->ws('/echo.ashx', headers => { Origin => $origin })->status, 101,
       "S-03: the own name is taken: $origin");
}

is($mesh->ws('/echo.ashx', headers => { Origin => "https://[::1]:$port",
                                        Host => "[::1]:$port" })->status, 101,
   'S-03: an IPv6 address is compared like a name');
is($mesh->ws('/echo.ashx')->status, 101, 'no Origin is what agents send');

$mesh->stop;
done_testing;
