# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# A session over the relay: the command to the agent, and both halves.

package Mesh::Relay;

use strict;
use warnings;

use Exporter qw(import);
use JSON::PP;
use Mesh::Test qw(escape);

our @EXPORT_OK = qw(tunnel invite answer viewer relay);

# the command of the viewer
sub tunnel {
    my ($agent, $id, $p) = @_;
    $p //= 1;
    return { action => 'msg', type => 'tunnel', nodeid => $agent->node,
             usage => $p, value => "*/meshrelay.ashx?p=$p&nodeid="
                                   . $agent->node . "&id=$id&rauth=x" };
}

# the one that the agent gets
sub invite {
    my ($control, $agent, $id, $p) = @_;
    my $r = $control->ask(tunnel($agent, $id, $p));
    die encode_json($r) if ($r->{result} // '') ne 'OK';
    while (my $m = $agent->await('msg', 10)) {
        return $m->{json} if ($m->{json}{type} // '') eq 'tunnel';
    }
    die "no invitation\n";
}

sub answer {
    my ($mesh, $command) = @_;
    my ($path) = $command->{value} =~ m{^\*(/.*)};
    $path =~ s/([\$\@])/sprintf '%%%02X', ord $1/ge;
    return $mesh->ws($path);
}

sub viewer {
    my ($mesh, $control, $agent, $id, $p) = @_;
    $p //= 1;
    my $cookie = $control->ask({ action => 'authcookie' })->{cookie};
    return $mesh->ws("/meshrelay.ashx?browser=1&p=$p&nodeid="
        . escape($agent->node) . "&id=$id&auth=" . escape($cookie));
}

# both sides, open, and the words that opened them
sub relay {
    my ($mesh, $control, $agent, $id, $p) = @_;
    my $command = invite($control, $agent, $id, $p);
    my $viewer = viewer($mesh, $control, $agent, $id, $p);
    my $device = answer($mesh, $command);
    my @said = map { ($_->read(10) // {})->{data} // '' } $viewer, $device;
    die "relay $id did not open: @said\n" if grep { !/^cr?$/ } @said;
    return ($viewer, $device, @said);
}

1;
