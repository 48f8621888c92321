#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# mesh_webrtc: which sessions the server lets go beside it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use Test::More;
use Mesh::Agent;
use Mesh::Control;
use Mesh::Test;

for my $on (0, 1) {
    my $says = $on ? 'with mesh_webrtc' : 'without mesh_webrtc';
    my $mesh = Mesh::Test->new(server => $on ? 'mesh_webrtc on;' : '');
    my $group;
    $mesh->start(prepare => sub {
        $mesh->admin(\"correct horse battery\n", 'user', 'add', 'admin',
                     '--site-admin');
        $mesh->admin(\"a password for tests\n", 'user', 'add', 'mei');
        $group = $mesh->admin('group', 'add', 'Lab', '--owner', 'admin');
        chomp $group;
    });

    my $admin = Mesh::Control->new($mesh, 'admin', 'correct horse battery');
    my $agent = Mesh::Agent->new($mesh, n => 700, group => $group);
    $agent->online or die "no agent\n";

    my $features = $admin->{serverinfo}{serverinfo}{features};
    is($features & 0x80 ? 1 : 0, $on, "$says the client is told so");

    my %want = (1 => 0, 5 => $on, 10 => 0, 2 => $on);
    for my $p (sort { $a <=> $b } keys %want) {
        is(allowed($admin, $agent, $p), $want{$p},
           "$says a session of protocol $p may "
           . ($want{$p} ? 'go beside the server' : 'not leave the server'));
    }

    # limited input: whatever its desktop may be, it stays where it is seen
    $admin->ask({ action => 'addmeshuser', meshid => $group,
                  usernames => ['mei'], meshadmin => 0x1008 });
    my $mei = Mesh::Control->new($mesh, 'mei', 'a password for tests');
    ok(!allowed($mei, $agent, 2),
       "S-31: $says a desktop with limited input does not leave the server");
    is(allowed($mei, $agent, 5), $on, "$says its files are not limited");

    $mesh->stop;
}

done_testing;


# what the agent is told; undef: it gets no command
sub allowed {
    my ($control, $agent, $p) = @_;
    my $id = "rtc$p" . int rand 1e9;
    my $r = $control->ask({
        action => 'msg', type => 'tunnel', nodeid => $agent->node,
        usage => $p, soptions => { webrtc => JSON::PP::true },
        value => "*/meshrelay.ashx?p=$p&nodeid=" . $agent->node
                 . "&id=$id&rauth=x" });
    return undef if ($r->{result} // '') ne 'OK';
    while (my $m = $agent->await('msg')) {
        next if ($m->{json}{type} // '') ne 'tunnel';
        return $m->{json}{soptions}{webrtc} ? 1 : 0;
    }
    return undef;
}
