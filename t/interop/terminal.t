#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# A real agent, the stock one or ours, against our server: enrolled by its .msh,
# online, running our core, with a terminal through the relay; on the full path,
# then on the one without a signature.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Digest::MD5;
use JSON::PP;
use MIME::Base64 qw(encode_base64);
use Test::More;
use Time::HiRes qw(time);
use Mesh::Program;
use Mesh::Test qw(escape);

my $program = Mesh::Program->new;
my $mesh = Mesh::Test->new;
my $group;

$mesh->start(prepare => sub {
    $mesh->admin(\"correct horse battery\n", 'user', 'add', 'Admin',
                 '--site-admin');
    $group = $mesh->admin('group', 'add', 'Lab', '--owner', 'admin');
    chomp $group;
});

# --- enrolment

$program->enroll($mesh, $group =~ s{^mesh//}{}r);
like($program->{policy}, qr/^\r\nMeshName=Lab\r\n/,
     'the .msh begins with an empty line');

my $control = control();
my ($agent, $node) = agent_start();
like($node, qr{^node//}, 'the device appears by itself');

my $nodes = ask({ action => 'nodes' });
my ($device) = map { @$_ } values %{ $nodes->{nodes} };
is($device->{_id}, $node, 'it is in the list');
is($device->{conn}, 1, 'and online');

# what it says of itself is written with the next flush
$mesh->wait_for('coreinfo', sub {
    $nodes = ask({ action => 'nodes' });
    ($device) = map { @$_ } values %{ $nodes->{nodes} };
    return $device->{core} && $device->{osdesc};
});
like($device->{core} // '', qr/^ngx_mesh core/, 'it runs our core');
like($device->{osdesc}, qr/Debian/, 'and tells what it is');

# --- console and commands

$control->text(encode_json({ action => 'msg', type => 'console',
    nodeid => $node, value => 'help', responseid => 'console' }));
my $reply = wait_for(sub { ($_[0]{type} // '') eq 'console' });
like($reply->{value}, qr/coreinfo/, 'a console command is answered');
ok(!exists $reply->{sessionid}, 'without the session that asked');

$control->text(encode_json({ action => 'runcommands', nodeids => [$node],
    type => 3, cmds => 'echo run-$((6*7))', runAsUser => 0, reply => \1,
    responseid => 'run' }));
$reply = wait_for(sub { ($_[0]{type} // '') eq 'runcommands' });
like($reply->{result}, qr/run-42/, 'a command runs, and its output comes');

# --- terminal

my $before = time;
my $viewer = tunnel('abc123');
is($viewer->read->{data}, 'c', 'the terminal opens');
note(sprintf 'terminal after %.3f s', time - $before);

start_shell($viewer, 100, 30);
$viewer->binary("echo mesh-\$((20+22)); stty size\n");
like(shell_until($viewer, qr/mesh-42\r?\n30 100/), qr/30 100/,
     'it echoes, and has the size that was asked for');

$viewer->text('{"ctrlChannel":"102938","type":"termsize","cols":81,"rows":27}');
$viewer->binary("stty size\n");
like(shell_until($viewer, qr/27 81/), qr/27 81/, 'it can be resized');

$viewer->binary("printf '\\342\\202\\254 \\303\\244\\n'\n");
like(shell_until($viewer, qr/\xe2\x82\xac \xc3\xa4\r?\n/), qr/\xe2\x82\xac/,
     'UTF-8 passes');

my $own = `ls -R /usr | md5sum`;
$own =~ s/ .*//s;
$viewer->binary("ls -R /usr | md5sum\n");
like(shell_until($viewer, qr/\b[0-9a-f]{32}\b/), qr/\Q$own\E/,
     'what runs in it sees the same machine');

$viewer->binary("ls -R /usr > $mesh->{dir}/ls; cat $mesh->{dir}/ls; "
                . "echo END-\$((1+1))\n");
my $text = shell_until($viewer, qr/END-2\r?\n/, 60);
my $md5 = Digest::MD5->new;
my ($listing) = $text =~ /(\/usr:\r\n.*)END-2/s;
$listing =~ s/\r\n/\n/g;
is($md5->add($listing)->hexdigest,
   Digest::MD5->new->add(Mesh::Test::read_file("$mesh->{dir}/ls"))->hexdigest,
   'a long listing arrives unharmed through the relay');

# --- a third side, a foreign id (S-51)

my $third = viewer('abc123');
is($third->closed, 1008, 'S-51: a second viewer of a pair is closed');
$viewer->binary("echo undisturbed\n");
like(shell_until($viewer, qr/undisturbed\r?\n/), qr/undisturbed/,
     'S-51: and the pair goes on');

is($mesh->ws('/meshrelay.ashx?p=1&id=abc123&rauth=AAAA')->status, 403,
   'S-51: a device half without an invitation is refused');

# --- reload in the middle of it: it goes on, also with a new core to come

$mesh->reload;
$viewer->binary("echo after-\$((2+3))\n");
like(shell_until($viewer, qr/after-5\r?\n/), qr/after-5/,
     'a terminal goes on over a reload');

$viewer->close;
is($viewer->closed, 1000, 'it closes');

# --- reconnect, without a signature of ours

my $signed = $mesh->metric('sign_requests');
$mesh->stop_pid($agent, 'KILL');
wait_event(sub { $_[0]{action} eq 'nodeconnect' && $_[0]{conn} == 0 });
($agent, my $again) = agent_start();
is($again, $node, 'it comes back as the same device');
is($mesh->metric('handshakes_skipped') > 0 ? 1 : 0, 1,
   'knowing the certificate already');
is($mesh->metric('sign_requests'), $signed,
   'which costs no signature');

# --- stored

my $info;
$mesh->wait_for('hardware', sub {
    $info = ask({ action => 'getsysinfo', nodeid => $node });
    return $info->{hardware};
});
ok($info->{hardware}{identifiers}, 'its hardware is stored');

$mesh->stop_pid($agent, 'KILL');
$mesh->stop;
done_testing;

sub control {
    my $ws = $mesh->ws('/control.ashx', headers => { 'x-meshauth' =>
        join ',', map { encode_base64($_, '') } 'admin',
                      'correct horse battery' });
    for (1 .. 2) { $ws->read or die "no control channel\n" }
    return $ws;
}

# pid and node id, when it is online
sub agent_start {
    my $pid = $program->start;
    my $event = wait_event(sub { $_[0]{action} eq 'nodeconnect'
                                 && $_[0]{conn} == 1 });
    return ($pid, $event->{nodeid});
}

sub wait_for {
    my ($want) = @_;
    while (my $m = $control->read) {
        die "control channel closed\n" if !defined $m->{data};
        my $j = decode_json($m->{data});
        return $j if $want->($j);
    }
    die "waited in vain on the control channel\n";
}

sub wait_event {
    my ($want) = @_;
    return wait_for(sub { $_[0]{action} eq 'event'
                          && $want->($_[0]{event}) })->{event};
}

sub ask {
    my ($request) = @_;
    $control->text(encode_json($request));
    return wait_for(sub { $_[0]{action} eq $request->{action} });
}

sub viewer {
    my ($id) = @_;
    my $cookie = ask({ action => 'authcookie' });
    return $mesh->ws('/meshrelay.ashx?browser=1&p=1&nodeid=' . escape($node)
        . "&id=$id&auth=" . escape($cookie->{cookie}));
}

sub tunnel {
    my ($id) = @_;
    my $cookie = ask({ action => 'authcookie' });
    $control->text(encode_json({ action => 'msg', type => 'tunnel',
        nodeid => $node, usage => 1, value => '*/meshrelay.ashx?p=1&nodeid='
        . "$node&id=$id&rauth=$cookie->{rcookie}" }));
    return $mesh->ws('/meshrelay.ashx?browser=1&p=1&nodeid=' . escape($node)
        . "&id=$id&auth=" . escape($cookie->{cookie}));
}

sub start_shell {
    my ($ws, $cols, $rows) = @_;
    $ws->text(encode_json({ ctrlChannel => '102938', type => 'options',
                            cols => $cols, rows => $rows }));
    $ws->text('1');
    # the prompt
    shell_until($ws, qr/[#\$] $/);
}

sub shell_until {
    my ($ws, $want, $seconds) = @_;
    my $until = time + ($seconds // 20);
    my $text = '';
    while (time < $until) {
        my $m = $ws->read($until - time) or last;
        last if !defined $m->{data};
        $text .= $m->{data} if $m->{opcode} == 2;
        return $text if $text =~ $want;
    }
    return $text;
}

