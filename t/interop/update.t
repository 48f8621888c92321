#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# An agent, the stock one or ours, takes a new program from our server and comes
# back with it.  Here it is the same program with some bytes behind it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Digest::SHA qw(sha384_hex);
use Test::More;
use Mesh::Control;
use Mesh::Program;
use Mesh::Test;

my $agent = Mesh::Program->new;

my $mesh = Mesh::Test->new(agents => 'update');
my $group = $mesh->lab;

$agent->enroll($mesh, $group);

my $control = Mesh::Control->new($mesh, 'admin', 'correct horse battery');
$agent->start;
ok($control->event(sub { ($_[0]{action} // '') eq 'nodeconnect'
                         && $_[0]{conn} }), 'the agent is online');

my $program = Mesh::Test::read_file($agent->{file}) . "\0" x 1000;
my $folder = "$mesh->{dir}/" . ($agent->own ? 'own-agents' : 'agents');
Mesh::Test::write_file("$folder/6.new", $program);
rename "$folder/6.new", "$folder/6";

$mesh->wait_for('the update', sub { $mesh->metric('updates') == 1 });
ok($control->event(sub { ($_[0]{action} // '') eq 'nodeconnect'
                         && !$_[0]{conn} }), 'it goes to change its program');
ok($control->event(sub { ($_[0]{action} // '') eq 'nodeconnect'
                         && $_[0]{conn} }), 'and comes back');
is(sha384_hex(Mesh::Test::read_file($agent->{program})), sha384_hex($program),
   'as the new one');

my $nodes;
$mesh->wait_for('its core', sub {
    $nodes = $control->ask({ action => 'nodes' })->{nodes};
    return (map { @$_ } values %$nodes)[0]{core};
});
is(scalar(map { @$_ } values %$nodes), 1, 'it is the same device');
is($mesh->metric('updates'), 1, 'and is left alone with what it has');

# it has started itself anew, out of our sight
for my $proc (glob '/proc/[0-9]*') {
    my ($pid) = $proc =~ /(\d+)/;
    kill 'KILL', $pid
        if (readlink("$proc/exe") // '') =~ /^\Q$agent->{program}\E/;
}

$mesh->stop;
done_testing();
