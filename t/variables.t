#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# Variables for access logs: which session, of whom, on which device.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Mesh::Agent;
use Mesh::Control;
use Mesh::Relay qw(relay);
use Mesh::Test;

my $mesh = Mesh::Test->new(http => <<'EOF');
log_format who '$uri $status kind=$mesh_kind session=$mesh_session '
               'domain=$mesh_domain user=$mesh_user node=$mesh_node';
EOF
$mesh->{server} = "access_log $mesh->{dir}/logs/who.log who;";

my $group = $mesh->lab;

my $control = Mesh::Control->new($mesh, 'admin', 'correct horse battery');
like(logged('/control.ashx'),
     qr{ 101 kind=control session=\d+ domain= user=user//admin node=-$},
     'a page is logged with its user');

my $agent = Mesh::Agent->new($mesh, n => 740, group => $group);
$agent->online or BAIL_OUT('the agent does not get in');
like(logged('/agent.ashx'),
     qr{ 101 kind=agent session=\d+ domain= user=- node=-$},
     'an agent has not said who it is when it is logged');

my ($viewer, $device) = relay($mesh, $control, $agent, 'seen', 1);
my $node = quotemeta $agent->node;
like($_, qr{ 101 kind=relay session=\d+ domain= user=user//admin node=$node$},
     'both halves of a session are logged with its user and its device')
    for logged('/meshrelay.ashx', 2);

my $wrong = Mesh::Control->new($mesh, 'admin', 'wrong');
$mesh->wait_for('the second page', sub { my @l = lines('/control.ashx');
                                          @l >= 2 });
like((lines('/control.ashx'))[1], qr{ user=- node=-$},
     'who does not know the password of a user is not logged as him');

$mesh->get('/index.html');
like(logged('/index.html'), qr{ 200 kind=- session=- .*user=- node=-$},
     'a file is nobody\'s');

$mesh->get('/devicefile.ashx?n=' . Mesh::Test::escape($agent->node)
           . '&f=/etc/passwd');
like(logged('/devicefile.ashx'), qr{ kind=- session=- .*user=- node=-$},
     'nor is what was refused');

$_->abort for $viewer, $device;
$agent->close;
$mesh->stop;
done_testing;


sub lines {
    my ($uri) = @_;
    return grep { index($_, "$uri ") == 0 }
           split /\n/, Mesh::Test::read_file("$mesh->{dir}/logs/who.log");
}

# the lines of it, as many as are to come
sub logged {
    my ($uri, $count) = @_;
    my @lines;
    $mesh->wait_for("$uri in the log", sub {
        @lines = lines($uri);
        return @lines >= ($count // 1);
    });
    return $count ? @lines : $lines[0];
}
