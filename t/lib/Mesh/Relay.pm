# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# A session over the relay: the command to the agent, and both halves.

package Mesh::Relay;

use strict;
use warnings;

use Exporter qw(import);
use IO::Select;
use JSON::PP;
use Mesh::Test qw(escape);

our @EXPORT_OK = qw(tunnel invite answer viewer relay opened flood pour);

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
    while (my $m = $agent->await('msg')) {
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

# p '' for one that does not say what it wants
sub viewer {
    my ($mesh, $control, $agent, $id, $p) = @_;
    $p = !defined $p ? '&p=1' : length $p ? "&p=$p" : '';
    my $cookie = $control->ask({ action => 'authcookie' })->{cookie};
    return $mesh->ws("/meshrelay.ashx?browser=1$p&nodeid="
        . escape($agent->node) . "&id=$id&auth=" . escape($cookie));
}

# both sides, open, and the words that opened them; the device first if asked
sub relay {
    my ($mesh, $control, $agent, $id, $p, $device_first) = @_;
    my $command = invite($control, $agent, $id, $p);
    my ($viewer, $device);
    $device = answer($mesh, $command) if $device_first;
    $viewer = viewer($mesh, $control, $agent, $id, $p);
    $device //= answer($mesh, $command);
    my @said = map { ($_->read // {})->{data} // '' } $viewer, $device;
    die "relay $id did not open: @said\n" if grep { !/^cr?$/ } @said;
    return ($viewer, $device, @said);
}

# what a half met
sub opened {
    my ($ws) = @_;
    return $ws->status if $ws->status != 101;
    my $m = $ws->read(1);
    return !$m ? 'silent' : exists $m->{close} ? "closed $m->{close}"
         : $m->{data} =~ /^cr?$/ ? 'open' : $m->{data};
}

# sends until it is taken no more; how much was
sub flood {
    my ($ws, $most) = @_;
    my $frame = $ws->frame(2, 'f' x 65000);
    my $s = $ws->{s};
    my $sent = 0;
    $s->blocking(0);
    while ($sent < $most) {
        my $n = syswrite $s, $frame, length($frame);
        if (!defined $n) {
            IO::Select->new($s)->can_write(1) or last;
            next;
        }
        $sent += $n;
        $frame = substr $frame, $n;
        $frame = $ws->frame(2, 'f' x 65000) if !length $frame;
    }
    $s->blocking(1);
    return $sent;
}

# sends all of size, after a head, in a process of its own: how much was taken of it
# until nobody takes more, and the process
sub pour {
    my ($device, $size, $head) = @_;
    pipe my $told, my $tell or die;
    my $pid = fork // die;
    if (!$pid) {
        alarm 120;
        $device->binary($head) if defined $head;
        for (1 .. $size / 65536) {
            $device->binary('q' x 65536);
            syswrite $tell, '.';
        }
        kill KILL => $$;
    }
    close $tell;
    my $sent = 0;
    my $blocks = IO::Select->new($told);
    while ($blocks->can_read(1) && sysread $told, my $dots, 4096) {
        $sent += 65536 * length $dots;
    }
    return ($sent, $pid);
}

1;
