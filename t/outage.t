#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# What happens while the signer or the database is away, and after: nobody is
# lost who was there, nobody gets in who should not, and the page says so.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(sleep time);
use Mesh::Agent;
use Mesh::Control;
use Mesh::Test;

my $mesh = Mesh::Test->new(server => 'mesh_auth_timeout 60s;');
my $group = $mesh->lab;

my $n = 900;
my $control = Mesh::Control->new($mesh, 'admin', 'correct horse battery');
my $there = agent('there');
ok($there->online, 'an agent is online');

# --- S-27: the signer

$mesh->stop_pid($mesh->{signer_pid}, 'KILL');
$mesh->wait_for('the health to say it', sub {
    $mesh->get('/health.ashx')->{status} == 503;
});
like($mesh->get('/health.ashx')->{body}, qr/signer/,
     'the health page names what is away');
ok($there->{ws}->alive, 'who is online stays');

my $waiting = agent('waiting');
$waiting->connect;
$waiting->commit;
$waiting->request;
ok($waiting->await(1), 'a new agent is answered');

my $known = agent('known');
ok($known->online(skip => 1), 'one that needs no signature gets in');

unlink "$mesh->{dir}/signer.sock";
$mesh->start_signer;
ok($waiting->await(2), 'S-27: the signature comes when the signer is back');
$waiting->verify;
$waiting->info;
ok($waiting->await(4), 'and the agent gets in');
$mesh->wait_for('health', sub { $mesh->get('/health.ashx')->{status} == 200 });

# --- S-71: the database

SKIP: {
    skip 'a file does not go away', 6 if $mesh->{db} ne 'postgres';

    my $block = "ALTER DATABASE $mesh->{dbname} ALLOW_CONNECTIONS false";
    my $end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            . "WHERE datname = '$mesh->{dbname}'";
    psql($block);
    psql($end);
    $mesh->wait_for('the health to say it', sub {
        my $r = $mesh->get('/health.ashx');
        return $r->{status} == 503 && $r->{body} =~ /database/;
    });
    ok($there->{ws}->alive, 'S-71: agents stay while the database is away');

    my $reply = $control->ask({ action => 'events', limit => 5 });
    like($reply->{result} // '', qr/\S/, 'S-71: what needs it says that it is away');
    ok($control->ask({ action => 'meshes' })->{meshes},
       'S-71: what is in memory is still answered');

    my $late = agent('late');
    $late->connect;
    $late->request;
    $late->await(1);
    $late->verify;
    $late->info;
    ok($late->{ws}->alive, 'S-71: an agent that comes is kept waiting');

    psql("ALTER DATABASE $mesh->{dbname} ALLOW_CONNECTIONS true");
    $mesh->wait_for('health', sub {
        $mesh->get('/health.ashx')->{status} == 200;
    });
    ok($late->await(4), 'S-71: and let in when it is back');

    # the worker of this channel comes back when its own wait is over
    ok(eventually(sub {
        $control->ask({ action => 'events', limit => 5 })->{events};
    }), 'S-71: questions are answered again');
}

ok(eventually(sub {
    my $nodes = $control->ask({ action => 'nodes' })->{nodes};
    grep { $_->{_id} eq $there->node && $_->{conn} } map { @$_ } values %$nodes;
}), 'the first agent is online as before');

$mesh->stop;
done_testing;


sub agent {
    return Mesh::Agent->new($mesh, n => $n++, group => $group, name => $_[0]);
}

sub eventually { return eval { $mesh->wait_for('it', @_) } }

sub psql {
    Mesh::Test::run('psql', '-q', '-h', $ENV{MESH_PG}, '-U', 'mesh', '-d',
                    'postgres', '-c', $_[0]);
}
