# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

package Mesh::Program;

# A real agent with its policy, in a folder of the test: the stock one or ours,
# as MESH_AGENT says (stock, own).  A test that takes either is run with both;
# without the program the stock one is an error, and ours skips the file.
#
#   my $program = Mesh::Program->new;       # before the server
#   $program->enroll($mesh, $group);
#   my $pid = $program->start;

use strict;
use warnings;

use File::Copy qw(copy);
use Test::More;
use Mesh::Test qw(escape);

sub new {
    my ($class, $kind) = @_;
    $kind //= $ENV{MESH_AGENT} // 'stock';

    my %file = (
        stock => $ENV{MESH_STOCK_AGENT} || "$Mesh::Test::ROOT/t/node_modules"
                 . '/meshcentral/agents/meshagent_x86-64',
        own => $ENV{MESH_AGENT_BIN} || "$Mesh::Test::ROOT/build/mesh-agent",
    );
    my $file = $file{$kind} or die "MESH_AGENT=\"$kind\" is not stock or own\n";

    plan skip_all => "no $file yet" if $kind eq 'own' && !-x $file;
    die "no stock agent at $file: make t/node_modules/.stamp\n" if !-e $file;

    return bless { kind => $kind, file => $file }, $class;
}

sub own { return $_[0]{kind} eq 'own' }

# group: its id, with or without mesh//
sub enroll {
    my ($self, $mesh, $group, $name) = @_;
    my $dir = "$mesh->{dir}/" . ($name // 'agent');
    my $program = $self->own ? 'mesh-agent' : 'meshagent';
    my $policy = $mesh->get('/meshsettings?id=' . escape($group))->{body};

    mkdir $dir;
    copy($self->{file}, "$dir/$program") or die "$self->{file}: $!\n";
    chmod 0755, "$dir/$program";

    # a service looks for a screen: not for that of another test
    my $display = $self->own && $ENV{DISPLAY}
                  ? "display=$ENV{DISPLAY}\r\n" : '';

    # which the stock agent would ask the DNS for
    Mesh::Test::write_file("$dir/$program.msh",
                           $policy =~ s/localhost/127.0.0.1/r . $display);

    @$self{qw(mesh dir program policy)} = ($mesh, $dir, "$dir/$program",
                                           $policy);
}

# what it says goes to logs/agent.log; pid, for stop_pid
sub start {
    my ($self) = @_;
    my $mesh = $self->{mesh};
    my @options = $self->own ? ('run', "--data=$self->{dir}") : ();

    # the stock agent keeps its data where it is started
    chdir $self->{dir} or die "$self->{dir}: $!\n";
    my $pid = $mesh->spawn("$mesh->{dir}/logs/agent.log", $self->{program},
                           @options);
    chdir '/';

    # a stock one that is told to end may not, where a tunnel of it is open
    $mesh->{kill}{$pid} = 1 if !$self->own;

    return $pid;
}

1;
