#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# Native self-update, agent.md 4.5: who is asked, who gets the program, and how.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw(sha384);
use Test::More;
use Mesh::Agent;
use Mesh::Control;
use Mesh::Test;

my $BLOCK = 65531;
my $mesh = Mesh::Test->new(agents => 'update');
my $folder = "$mesh->{dir}/agents";
my $program = "\x7fELF" . join '', map { pack 'N', $_ } 1 .. 40000;
Mesh::Test::write_file("$folder/6", $program);
Mesh::Test::write_file("$folder/4", 'MZ' . 'x' x 1000);
Mesh::Test::write_file("$mesh->{dir}/own-agents/4", 'MZ' . 'y' x 1000);

my $group;
$mesh->start(prepare => \&people);

my $n = 1100;
my $core;       # of an agent that has none, as pushed

# --- the program comes in blocks, each after an acknowledgement

my $old = ready();
is(length $old->await(12)->{data}, 4, 'a stock agent is asked for its program');
answer($old, 'x' x 48);
is(length $old->await(10)->{data}, 4, 'another one: its core is taken away');
$old->binary(pack 'nn', 11, 0);
is(length $old->await(13)->{data}, 4, 'and its program begins');

my $got = '';
my $m = $old->await(14);
is(length($m->{data}) - 4, $BLOCK, 'with a block');
$got .= substr $m->{data}, 4;

$old->binary(pack 'nn', 14, 2);
is($old->message(0.3), undef, 'no other one comes for a wrong acknowledgement');

while (length $got < length $program) {
    $old->binary(pack 'nn', 14, 1);
    $m = $old->message(5) or last;
    is($m->{cmd}, 14, 'the next block comes for the right one');
    $got .= substr $m->{data}, 4;
}

ok($got eq $program, 'all of it has come');
$m = $old->message(5);
is($m->{cmd}, 13, 'and after the last block at once');
ok(substr($m->{data}, 4) eq sha384($program), 'the hash of it');
$old->binary(pack 'nn', 14, 1);
is($old->message(0.3), undef, 'and nothing more');
is($mesh->metric('updates'), 1, 'which is counted');
$old->close;

# --- who does not get it

my $new = ready();
$new->await(12);
answer($new, sha384($program));
is($new->message(0.3), undef, 'who has it gets nothing');
answer($new, 'y' x 48);
is($new->message(0.3), undef, 'nor who says something else unasked');
$new->close;

my $off = ready();
$off->await(12);
answer($off, "\0" x 48);
is($off->message(0.3), undef, 'nor who wants no updates');
$off->close;

for my $case (['of another product' => version => 7],
              ['that runs once' => caps => 0x138],
              ['for Windows' => agent_id => 4],
              ['of a kind that the folder does not have' => agent_id => 32])
{
    my ($what, @arg) = @$case;
    my $agent = ready(@arg);
    is($agent->await(12, 0.7), undef, "an agent $what is not asked");
    $agent->close;
}

my $ours = ready(version => 7, agent_id => 4);
ok($ours->await(12), 'but our own for Windows is');
answer($ours, 'x' x 48);
$ours->await(13);
is(substr($ours->await(14)->{data}, 4), 'MZ' . 'y' x 1000, 'and gets what is new');
$ours->close;

# --- one that asks for it, and fetches it itself

my $asks = ready(agent_id => 4, version => 7);
$asks->await(12);
$asks->json({ action => 'agentupdate', sessionid => 'user//admin/x' });
my $offer = $asks->await('agentupdate');
my $own = 'MZ' . 'y' x 1000;
is($offer->{json}{hash}, unpack('H*', sha384($own)),
   'S-17: an agent that asks for its program is told the hash of it');
is($offer->{json}{sessionid}, 'user//admin/x', 'and who wanted it');
is($offer->{json}{servertlshash}, unpack('H*', $asks->{web}),
   'S-17: and the certificate that it is to see');
my ($path) = $offer->{json}{url} =~ m{^\*(/.*)};
is($mesh->get($path)->{body}, $own, 'the address is that of the program');
$asks->json({ action => 'agentupdatedownloaded' });
$asks->json({ action => 'agentupdate' });
is($asks->await('agentupdate', 0.7), undef, 'S-18: once a minute');
$asks->close;

for my $case (['of a kind that is not here' => agent_id => 33],
              ['for Windows, of the other product' => agent_id => 4])
{
    my ($what, @arg) = @$case;
    my $agent = ready(@arg);
    $agent->json({ action => 'agentupdate' });
    is($agent->await('agentupdate', 0.7), undef,
       "one $what is offered nothing");
    $agent->close;
}

# --- no loops

my $key = $n++;
for my $time (1 .. 3) {
    my $agent = ready(n => $key);
    $agent->await(12);
    answer($agent, 'z' x 48);
    my $begun = $agent->await(13, $time < 3 ? 5 : 0.7);
    is(defined $begun ? 1 : 0, $time < 3 ? 1 : 0,
       "S-17: time $time that it comes back as it was");
    $agent->close;
}

# --- a new file

my $waiting = ready();
$waiting->await(12);
answer($waiting, sha384($program));
Mesh::Test::write_file("$folder/6.new", "$program and more");
rename "$folder/6.new", "$folder/6";
ok($waiting->await(12, 70), 'when the file is another one, all are asked again');
answer($waiting, sha384($program));
ok($waiting->await(13), 'and who has the old one gets it');
$waiting->close;

$mesh->stop;

# --- agents that say they are of kinds which nobody has, all in one worker

$mesh = Mesh::Test->new(agents => 'update', workers => 1);
Mesh::Test::write_file("$mesh->{dir}/agents/6", $program);
$mesh->start(prepare => \&people);
ready(agent_id => 20000 + $_)->close for 1 .. 64;
my $real = ready();
ok($real->await(12), 'S-18: kinds that are made up keep nobody from his update');
$real->close;

$mesh->stop;
done_testing();


sub people {
    $mesh->admin(\"correct horse battery\n", 'user', 'add', 'admin',
                 '--site-admin');
    $group = $mesh->admin('group', 'add', 'Lab', '--owner', 'admin');
    chomp $group;
}


# an agent whose core runs
sub ready {
    my $agent = Mesh::Agent->new($mesh, n => $n++, group => $group, @_);
    $agent->online or die "not online\n";
    $agent->await(11);

    if (!$core) {
        $agent->binary(pack 'nn', 11, 0);
        $core = substr $agent->await(20)->{data}, 4, 48;
    }

    $agent->binary(pack('nn', 11, 0) . $core);
    $agent->await('sysinfo') or die "its core does not run\n";

    return $agent;
}

sub answer {
    my ($agent, $hash) = @_;
    $agent->binary(pack('nn', 12, 0) . $hash);
}
