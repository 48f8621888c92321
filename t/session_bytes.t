#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# S-19: what passes in a session is data to the server.  Whatever it looks like,
# a path, a command of another channel, the head of a recording, the other side
# gets it as it was, and the server writes nothing but its recording.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use File::Find;
use JSON::PP;
use Test::More;
use Mesh::Agent;
use Mesh::Control;
use Mesh::Relay qw(relay);
use Mesh::Test;

my $mesh = Mesh::Test->new;
my $dir = "$mesh->{dir}/recordings";
$mesh->{server} = "mesh_relay_record $dir protocols=1,5; mesh_webrtc on;";
my $group = $mesh->lab;

my $admin = Mesh::Control->new($mesh, 'admin', 'correct horse battery');
my $agent = Mesh::Agent->new($mesh, n => 700, group => $group, name => 'pc');
$agent->online or die "no agent\n";

my $out = "$mesh->{dir}/written";
my @odd = (
    "$out/by-path", "../../../..$out/by-dots", "$out\0/nul",
    encode_json({ action => 'upload', path => $out, name => 'by-upload' }),
    encode_json({ action => 'mkdir', reqid => 1, path => "$out/by-mkdir" }),
    encode_json({ action => 'uploadack', reqid => 7 }),
    encode_json({ ctrlChannel => '102938', type => 'recording',
                  filename => "$out/by-control" }),
    encode_json({ action => 'createmesh', meshname => 'by-session',
                  meshtype => 2 }),
    # the first block of a recording, and its last
    pack('nnNQ>', 1, 0, 40, 0)
        . '{"magic":"MeshCentralRelaySession","ver":1}',
    pack('nnNQ>', 3, 0, 16, 0) . 'MeshCentralMCREC',
    "<script>$out</script>", "\xff\xfe" x 100,
);
my %before = files();

for my $p (1, 5, 10) {
    my ($v, $d) = relay($mesh, $admin, $agent, "odd$p", $p);
    my $n = 0;
    for my $data (@odd) {
        $v->binary($data);
        $n++ if ($d->read->{data} // '') eq $data;
        $d->binary($data);
        $n++ if ($v->read->{data} // '') eq $data;
        next if $data =~ /[^\x20-\x7e]/ || $data =~ /ctrlChannel/;
        $d->text($data);
        $n++ if ($v->read->{data} // '') eq $data;
    }
    my $all = 2 * @odd + grep { !/[^\x20-\x7e]/ && !/ctrlChannel/ } @odd;
    is($n, $all, "S-19: of kind $p all of it arrives as it was");
    $v->close;
    $d->closed;
}

my %now = files();
is_deeply([grep { !/^recordings\/[\w.-]+\.mcrec$/ } sort grep { !$before{$_} }
           keys %now], [], 'S-19: no file is written but the recordings');
is(scalar(grep { /\.mcrec$/ } keys %now), 3, 'one for each session');
is(scalar @{ $admin->ask({ action => 'meshes' })->{meshes} }, 1,
   'and nothing is done that it says');

$mesh->stop;
done_testing;


# what grows by itself is left out
sub files {
    my %found;
    find({ no_chdir => 1, wanted => sub {
        return if !-f;
        my $name = substr $_, 1 + length $mesh->{dir};
        $found{$name} = 1 if $name !~ m{^(?:logs|data/mesh\.db|tmp-)};
    } }, $mesh->{dir});
    return %found;
}
