#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# The control channel: who changed something finds it in the next answer.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Mesh::Agent;
use Mesh::Control;
use Mesh::Test;

my $TIMES = 8;      # on several sessions, which several workers serve

my $mesh = Mesh::Test->new;
my $first;
$mesh->start(prepare => sub {
    $mesh->admin(\"correct horse battery\n", 'user', 'add', 'admin',
                 '--site-admin');
    $mesh->admin(\"a password for tests\n", 'user', 'add', 'other');
    $first = $mesh->admin('group', 'add', 'First', '--owner', 'admin');
    chomp $first;
});

my $agent = Mesh::Agent->new($mesh, n => 700, group => $first, name => 'pc');
$agent->online or die "no agent\n";

my (%old, $admin);

for my $time (1 .. $TIMES) {
    $admin = Mesh::Control->new($mesh, 'admin', 'correct horse battery');

    my $made = $admin->ask({ action => 'createmesh', meshname => "G$time",
                             meshtype => 2 });
    my $id = $made->{meshid};
    seen('createmesh', scalar group($id), sub { $_[0] && $_[0]{name} eq "G$time" });

    $admin->ask({ action => 'editmesh', meshid => $id, meshname => 'New' });
    seen('editmesh', scalar group($id), sub { $_[0] && $_[0]{name} eq 'New' });

    $admin->ask({ action => 'addmeshuser', meshid => $id, meshadmin => 8,
                  usernames => ['other'] });
    seen('addmeshuser', scalar group($id), sub { $_[0]{links}{'user//other'} });

    $admin->ask({ action => 'removemeshuser', meshid => $id,
                  userid => 'user//other' });
    seen('removemeshuser', scalar group($id), sub { !$_[0]{links}{'user//other'} });

    $admin->ask({ action => 'changeDeviceMesh', nodeids => [$agent->node],
                  meshid => $id });
    seen('changeDeviceMesh', devices($id), sub { @{ $_[0] } == 1 });

    $admin->ask({ action => 'changedevice', nodeid => $agent->node,
                  name => "pc $time" });
    seen('changedevice', devices($id), sub { $_[0][0]{name} eq "pc $time" });

    $admin->ask({ action => 'changeDeviceMesh', nodeids => [$agent->node],
                  meshid => $first });
    seen('changeDeviceMesh', devices($id), sub { !@{ $_[0] } });

    $admin->ask({ action => 'deletemesh', meshid => $id });
    seen('deletemesh', scalar group($id), sub { !$_[0] });

    $admin->close;
}

is($old{$_}, 0, "after $_ the next answer is not older than it")
    for sort keys %old;

$agent->close;
$mesh->stop;
done_testing();


sub seen {
    my ($action, $got, $good) = @_;
    $old{$action} += $good->($got) ? 0 : 1;
}

sub group {
    my ($id) = @_;
    my $all = $admin->ask({ action => 'meshes' })->{meshes};
    return (grep { $_->{_id} eq $id } @$all)[0];
}

sub devices {
    my ($id) = @_;
    return $admin->ask({ action => 'nodes' })->{nodes}{$id} // [];
}
