#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# S-21: all that we build for users is built so that a fault in it is hard to
# use: it lies anywhere, its tables are read only, its stack runs no code and is
# watched, and so are the copies of known size.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use File::Temp qw(tempdir);
use Test::More;
use Mesh::Test;

plan(skip_all => 'the sanitizers have builds of their own') if $ENV{MESH_ASAN};
plan(skip_all => 'nothing of it is of the database')
    if ($ENV{MESH_DB} // '') eq 'postgres';

my $build = "$Mesh::Test::ROOT/build";
my $modules = $ENV{MESH_MODULES} || "$build/modules";

for my $file ("$modules/ngx_http_mesh_module.so", "$build/mesh-signer",
              "$build/mesh-admin", "$build/mesh-agent",
              "$build/mesh_agent_rtc.so") {
    my ($name) = $file =~ m{([^/]+)$};
    next if !-e $file && $name =~ /agent/;      # a build of the server alone
    my $elf = Mesh::Test::run('readelf', '-hldW', $file);
    my $symbols = Mesh::Test::run('readelf', '-sW', '--dyn-syms', $file);

    like($elf, qr/Type: +DYN/, "$name may lie anywhere");
    like($elf, qr/GNU_RELRO/, "$name: its tables are read only");
    like($elf, qr/BIND_NOW|Flags:.*NOW/, 'from the start');
    like($elf, qr/GNU_STACK .* RW +0x/, "$name: its stack runs no code");
    like($symbols, qr/__stack_chk_fail/, "$name: its stack is watched");
    like($symbols, qr/__\w+_chk\b/, "$name: copies of known size are watched");
}

# S-74: a module of another nginx, or of one that was built otherwise

my $nginx = $ENV{MESH_NGINX} || '/usr/sbin/nginx';
my $dir = tempdir(CLEANUP => 1);
my $code = Mesh::Test::read_file("$modules/ngx_http_mesh_module.so");
my ($major, $minor, $patch) =
    Mesh::Test::run('sh', '-c', "$nginx -v 2>&1") =~ /(\d+)\.(\d+)\.(\d+)/;
my $version = pack 'L', $major * 1_000_000 + $minor * 1000 + $patch;
my ($signature) = $code =~ /(\d,\d,\d,[01]{20,})\0/;
(my $built = $signature) =~ tr/01/10/;

for (['for another nginx', $version, pack('L', 1_999_999),
      qr/version 1999999 instead of/],
     ['otherwise', $signature, $built, qr/not binary compatible/]) {
    my ($how, $is, $be, $words) = @$_;
    (my $other = $code) =~ s/\Q$is\E/$be/g;
    Mesh::Test::write_file("$dir/other.so", $other);
    Mesh::Test::write_file("$dir/nginx.conf",
        "load_module $dir/other.so;\nevents {}\nerror_log stderr;\n");
    my $said = `$nginx -t -e stderr -c $dir/nginx.conf 2>&1`;
    isnt($?, 0, "S-74: a module that was built $how is refused");
    like($said, qr/\Q$dir\E\/other\.so.* $words.*nginx\.conf:1/,
         'by name, file and line');
}

done_testing;
