#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# An agent of Mesh::Agent for tests that are no Perl: connects, says "online",
# then each JSON message that it gets, one a line; what it reads, one JSON a
# line, it sends.
#
#   agent.pl port number name group

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use IO::Select;
use JSON::PP;
use Mesh::Agent;
use Mesh::Test;
use Mesh::WebSocket;

my ($port, $n, $name, $group) = @ARGV;
$| = 1;

my $agent = Mesh::Agent->new(bless({}, 'Server'), n => $n, name => $name,
                             group => $group);
$agent->online or die "the agent is not let in\n";
print "online ", $agent->node, "\n";

my $select = IO::Select->new(\*STDIN, $agent->{ws}{s});

while (1) {
    my @ready = $select->can_read;

    if (grep { $_ == \*STDIN } @ready) {
        my $line = <STDIN> // last;
        $agent->json($line);
    }

    if ($agent->{ws}{s}->pending || grep { $_ == $agent->{ws}{s} } @ready) {
        my $m = $agent->message // last;
        last if exists $m->{close};
        print encode_json($m->{json}), "\n" if $m->{json};
    }
}


package Server;

sub ws {
    my (undef, $path, %arg) = @_;
    return Mesh::WebSocket->connect(port => $port, path => $path, %arg);
}
