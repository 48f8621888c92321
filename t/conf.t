#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# A wrong configuration is refused before anything starts, with file and line,
# in words that say what would be right.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Mesh::Test;

my @server = (
    ['mesh_limit agent per=hour 5;', qr/per=address/],
    ['mesh_limit camera per=user 5;', qr/"agent", "control" or "relay"/],
    ['mesh_limit agent per=user 5;', qr/no agents per user/],
    ['mesh_limit relay per=total 5;', qr/only "control" in total/],
    ['mesh_session_log syslog:server=unix:/dev/log;', qr/not syslog/],
    ['mesh_limit agent per=address 0;', qr/above zero/],
    ['mesh_limit agent per=address x;', qr/above zero/],
    ['mesh_limit agent per=address 5; mesh_limit agent per=address 6;',
     qr/duplicate/],
    ['mesh_url http://x.example;', qr/mesh_url|https/],
    ['mesh_url nonsense;', qr/https/],
    ['mesh_origin;', qr/invalid number of arguments/],
    ['mesh_origin https://;', qr/mesh_origin/],
    ['mesh_origin *.example.org;', qr/without/],
    ['mesh_web_certificate sha384 abc;', qr/sha384|hex/i],
    ['mesh_web_certificate file /does/not/exist.pem;', qr/No such file/],
    ['mesh_web_certificate nothing;', qr/mesh_web_certificate/],
    ['mesh_ping 0;', qr/mesh_ping/],
    ['mesh_ping 25s timeout=x;', qr/mesh_ping|timeout/],
    ['mesh_message_max agent=huge;', qr/mesh_message_max|size/],
    ['mesh_message_max robot=1m;', qr/mesh_message_max|robot/],
    ['mesh_buffer high=2m hard=1m;', qr/hard|high/],
    ['mesh_domain "a b";', qr/mesh_domain/],
    ['mesh_domain ../x;', qr/mesh_domain/],
    ['mesh_auth_timeout never;', qr/mesh_auth_timeout/],
    ['mesh_relay_wait -1;', qr/mesh_relay_wait/],
    ['mesh_relay_record;', qr/invalid number of arguments/],
    ['mesh_relay_record /tmp/x sometimes;', qr/invalid parameter "sometimes"/],
    ['mesh_relay_record /tmp/x protocols=1,;', qr/invalid parameter/],
    ['mesh_relay_record /tmp/x protocols=256;', qr/invalid parameter/],
    ['mesh_relay_record /tmp/x; mesh_relay_record /tmp/y;', qr/duplicate/],
    ['mesh_relay_record_keep weeks=2;', qr/invalid parameter "weeks=2"/],
    ['mesh_relay_record_keep size=0;', qr/invalid parameter/],
    ['mesh_relay_record_keep days;', qr/invalid parameter "days"/],
    ['mesh_frame_max many;', qr/mesh_frame_max/],
    ['mesh maybe;', qr/"on" or "off"/],
    ['mesh_lan maybe;', qr/"on" or "off"/],
    ['mesh_lan on;', qr/"mesh_lan" needs "mesh_url"/],
    ['mesh_url https://a; mesh_lan on; } server { mesh_lan on;',
     qr/on in another server/],
    ['mesh_nothing on;', qr/unknown directive "mesh_nothing"/],
);

my @main = (
    ['mesh_signer;', qr/invalid number of arguments|duplicate/],
    ['mesh_db oracle x;', qr/sqlite|duplicate/],
    ['mesh_ipc_path relative;', qr/mesh_ipc_path|duplicate/],
    ['mesh_zone 1k;', qr/mesh_zone|small/],
    ['mesh_core /does/not/exist.js;', qr/exist|duplicate/],
);

my @agents = (
    ['always', qr/invalid parameter "always"/],
    ['update update', qr/invalid number of arguments/],
    ['; mesh_agents /x', qr/duplicate/],
    ['; mesh_own_agents /x', qr/duplicate/],
);

for ([server => \@server], [main => \@main], [agents => \@agents]) {
    my ($where, $list) = @$_;
    for (@$list) {
        my ($text, $want) = @$_;
        my $mesh = Mesh::Test->new($where => "\n$text\n");
        my ($status, $said) = $mesh->check_conf;

        ok($status != 0 && $said =~ $want
           && $said =~ m{ in \Q$mesh->{dir}\E/nginx\.conf:\d+$}m,
           "refused with file and line: $text") or diag("$status: $said");
        $mesh->{stopped} = 1;
        File::Path::remove_tree($mesh->{dir});
    }
}

# what is right is taken
my $mesh = Mesh::Test->new(server => 'mesh_origin same; mesh_ping 25s;');
my ($status, $said) = $mesh->check_conf;
is($status, 0, 'a right configuration is taken') or diag($said);
$mesh->{stopped} = 1;
File::Path::remove_tree($mesh->{dir});

done_testing;
