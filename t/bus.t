#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# Answers of a device to a session in another worker: what is long leaves other
# messages their way, and what is too long is said to be.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use Test::More;
use Mesh::Agent;
use Mesh::Control;
use Mesh::Test;

my $PASSWORD = 'correct horse battery';
my $MB = 1048576;
my $mesh = Mesh::Test->new(workers => 2);
my $group;
$mesh->start(prepare => sub {
    $mesh->admin(\"$PASSWORD\n", 'user', 'add', 'admin', '--site-admin');
    $group = $mesh->admin('group', 'add', 'Lab', '--owner', 'admin');
    chomp $group;
});

my $agent = Mesh::Agent->new($mesh, n => 760, group => $group, name => 'far');
ok($agent->online, 'a device is online');
my $worker = $mesh->worker($agent->{ws});

# sessions in one worker with the device, and in the other
my (@near, @far);
for (1 .. 100) {
    my $c = Mesh::Control->new($mesh, 'admin', $PASSWORD);
    push @{ $mesh->worker($c->{ws}) == $worker ? \@near : \@far }, $c;
    last if @near >= 2 && @far >= 2;
}
ok(@near >= 2 && @far >= 2, 'sessions are in its worker and in the other');

for my $place (['its worker', @near], ['another worker', @far]) {
    my ($where, $asker, $other) = @$place;

    for my $size (0.5, 4, 7, 10, 14) {
        my $asked = asked($asker, "big$size");
        my $small = asked($other, "small$size");
        $agent->{ws}->raw(join '', map { $agent->{ws}->frame(2, $_) }
            answer($small, 'before'), answer($asked, 'x' x ($size * $MB)),
            $size < 8 ? answer($asked, 'after') : (), answer($small, 'behind'));

        is(length said($asker, "big$size"), $size * $MB,
           "$size MB come to who asked in $where");
        # what waits for one who does not read has a bound of its own
        is(said($asker, "big$size"), 'after', 'and what was said behind it')
            if $size < 8;
        is(said($other, "small$size") . said($other, "small$size"),
           'beforebehind', 'another session hears what it asked for');
    }

    my $asked = asked($asker, 'huge');
    $agent->json(answer($asked, 'x' x (20 * $MB)));
    like(said($asker, 'huge'), qr/too large/,
         "S-18: who asked in $where is told that an answer is too large");

    $agent->json(answer(asked($asker, 'next'), 'well'));
    is(said($asker, 'next'), 'well', 'the next answer is heard');
}

is($mesh->metric('bus_closes'), 0, 'no link between workers was closed');

$agent->close;
$mesh->stop;
done_testing;


# a command with that number, as the device has it
sub asked {
    my ($control, $id) = @_;
    $control->send({ action => 'runcommands', nodeids => [$agent->node],
                     type => 3, cmds => 'id', reply => JSON::PP::true,
                     responseid => $id });
    while (my $m = $agent->await('runcommands')) {
        return $m->{json} if $m->{json}{responseid} eq $id;
    }
    die "$id did not reach the device\n";
}

# as text: JSON in Perl takes seconds for some megabytes
sub answer {
    my ($asked, $text) = @_;
    return qq({"action":"msg","type":"runcommands","result":"$text",)
           . qq("sessionid":"$asked->{sessionid}",)
           . qq("responseid":"$asked->{responseid}"});
}

# the result of the next answer to that command, under the device's name
sub said {
    my ($control, $id) = @_;
    my $node = $agent->node;
    while (my $m = $control->{ws}->read($Mesh::Control::DEADLINE)) {
        my $text = $m->{data} // return '';
        next if index($text, qq("responseid":"$id")) < 0
                || index($text, qq("nodeid":"$node")) < 0
                || $text !~ /"result":"/g;
        return substr $text, pos $text, index($text, '"', pos $text)
                                        - pos $text;
    }
    return '';
}
