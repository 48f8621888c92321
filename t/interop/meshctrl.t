#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# The stock command line against our server, with an agent online, the stock one
# or ours: each of its subcommands that this server has, and a clear word for the
# others.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use JSON::PP;
use Test::More;
use Mesh::Control;
use Mesh::Program;
use Mesh::Test;

my $modules = "$Mesh::Test::ROOT/t/node_modules/meshcentral";
my $meshctrl = $ENV{MESH_MESHCTRL} || "$modules/meshctrl.js";
my $program = Mesh::Program->new;
die "no meshctrl at $meshctrl: make t/node_modules/.stamp\n" if !-e $meshctrl;

my $mesh = Mesh::Test->new;
my $group;
$mesh->start(prepare => sub {
    $mesh->admin(\"correct horse battery\n", 'user', 'add', 'admin',
                 '--site-admin');
    $mesh->admin(\"a password for tests\n", 'user', 'add', $_)
        for qw(bob eve);
    $group = $mesh->admin('group', 'add', 'Lab', '--owner', 'admin');
    chomp $group;
});
my $short = $group =~ s{.*/}{}r;
my $control = Mesh::Control->new($mesh, 'admin', 'correct horse battery');

# --- an agent, by the .msh

$program->enroll($mesh, $short);
my $agent = $program->start;
my $node = $control->event(sub { $_[0]{action} eq 'nodeconnect'
                                 && $_[0]{conn} == 1 })->{nodeid};
$mesh->wait_for('its inventory', sub {
    $control->ask({ action => 'getsysinfo', nodeid => $node })->{hardware}
        && $control->ask({ action => 'getnetworkinfo', nodeid => $node })
                   ->{netif2};
});

# --- who may in

like(ctrl_as(['admin', 'wrong'], 'serverinfo'), qr/Invalid login/,
     'a wrong password is an invalid login');
like(ctrl_as(['nobody', 'wrong'], 'serverinfo'), qr/Invalid login/,
     'so is a name that nobody has');

# --- questions

my $device = $node =~ s{.*/}{}r;
my @questions = (
    ['serverinfo', qr/^name: 127\.0\.0\.1/m],
    ['userinfo', qr/^_id: user\/\/admin/m],
    ['listusers', qr/^"bob", "bob"/m],
    ['listusers --nameexists eve', qr/^user\/\/eve$/m],
    ['listdevicegroups', qr/\Q$short\E.*Lab/],
    ['listdevicegroups --nameexists Lab', qr/\Q$short\E/],
    ["listusersofdevicegroup --id '$short'", qr/admin.*(?:Full|Rights)/is],
    ['listdevices', qr/\Q$device\E/],
    ["listdevices --group Lab --json", qr/"\Q$node\E"/],
    ["listdevices --id '$short' --count", qr/^1$/m],
    ['listdevices --filter nothing-like-this --count', qr/^0$/m],
    ["deviceinfo --id '$node'", qr/Debian/],
    ["deviceinfo --id '$node' --json", qr/"Networking"|cpu/i],
    ['listevents --limit 5', qr/^time,type,action,nodeid,userid,msg/],
    ["listevents --id '$node' --json", qr/^\[/],
);
for (@questions) {
    my ($command, $want) = @$_;
    like(ctrl($command), $want, "meshctrl $command" =~ s/'[^']{40,}'/ID/r);
}

# --- changes, each seen in the next

my @changes = (
    ['adddevicegroup --name Second --desc "another one"',
     qr/^ok mesh\/\/\S{64}/m],
    ['listdevicegroups', qr/Second/],
    ['editdevicegroup --group Second --name Third', qr/^ok$/m],
    ["addusertodevicegroup --group Lab --userid bob --fullrights",
     qr/added user bob/i],
    ["listusersofdevicegroup --id '$short'", qr/bob/],
    ["removeuserfromdevicegroup --group Lab --userid bob", qr/^ok$/m],
    ["addusertodevice --id '$node' --userid eve --remotecontrol",
     qr/added user|ok/i],
    ["editdevice --id '$node' --name renamed --desc 'a note' --tags 'a,b'",
     qr/^ok$/m],
    ['listdevices --json', qr/"name":\s*"renamed"/],
    ["movetodevicegroup --devid '$node' --group Third", qr/^ok$/m],
    ['listdevices --group Third --count', qr/^1$/m],
    ["movetodevicegroup --devid '$node' --group Lab", qr/^ok$/m],
    ['removedevicegroup --group Third', qr/^ok/m],
    ['removedevicegroup --group Third', qr/Invalid|Unknown|denied/],
);
for (@changes) {
    my ($command, $want) = @$_;
    like(ctrl($command), $want, "meshctrl $command" =~ s/'[^']{40,}'/ID/r);
}

# --- the device

like(ctrl("runcommand --id '$node' --run 'echo run-\$((6*7))' --reply"),
     qr/run-42/, 'meshctrl runcommand --reply prints what the device says');
like(ctrl("runcommand --id '$node' --run true"), qr/^OK$/m,
     'meshctrl runcommand without it says OK');
like(ctrl("devicetoast --id '$node' --title t --msg m"), qr/^ok$/mi,
     'meshctrl devicetoast');
like(ctrl("devicemessage --id '$node' --title t --msg m"), qr/^ok$/mi,
     'meshctrl devicemessage');
like(ctrl("deviceopenurl --id '$node' --openurl https://example.org/"),
     qr/^ok$/mi, 'meshctrl deviceopenurl');
like(ctrl("devicepower --id '$node' --wake"), qr/\S/,
     'meshctrl devicepower --wake is answered');
my $gone = 'node//' . 'A' x 64;
like(ctrl("runcommand --id '$gone' --run true"), qr/Invalid|denied/,
     'a device that is not there is said to be none');

# a shell, typed from standard input; it takes the short id alone
my $shell = ctrl("shell --id '$device'", "echo shell-\$((40+2))\nexit\n");
like($shell, qr/shell-42/, 'meshctrl shell reaches a shell on the device');

# --- rights, S-30 by another client

for my $command ("runcommand --id '$node' --run id",
                 "removedevice --id '$node'",
                 "removedevicegroup --id '$short'",
                 "editdevice --id '$node' --name evil",
                 "addusertodevicegroup --id '$short' --userid bob --fullrights")
{
    my $said = ctrl_as(['bob', 'a password for tests'], $command);
    like($said, qr/denied|invalid|unknown/i,
         "without rights: meshctrl $command" =~ s/'[^']{40,}'/ID/gr);
}
unlike(ctrl_as(['bob', 'a password for tests'], 'listdevices'), qr/renamed/,
       'S-33: who has no rights sees no device');

# --- what is not here yet is answered too (some of them print nothing), so
# that no script hangs

for my $command ('listusergroups', 'logintokens', 'adduser --user x --pass y',
                 "devicesharing --id '$node'", 'broadcast --msg x',
                 'listusersessions',
                 "generateinvitelink --group Lab --hours 1")
{
    my ($said, $status) = ctrl($command);
    isnt($status, 124, "meshctrl $command does not hang" =~ s/'[^']{40,}'/ID/r);
}

like(ctrl("removedevice --id '$node'"), qr/^ok$/mi, 'meshctrl removedevice');

$mesh->stop_pid($agent, 'KILL');
$mesh->stop;
done_testing;


sub ctrl { return ctrl_as(['admin', 'correct horse battery'], @_) }

# what it printed; exit status, 124 when it had to be ended
sub ctrl_as {
    my ($who, $command, $input) = @_;
    my $in = "$mesh->{dir}/input";

    Mesh::Test::write_file($in, $input // '');
    Mesh::Test::write_file("$in.sh", "exec node '$meshctrl' $command "
        . "--url wss://127.0.0.1:$mesh->{port} --loginuser '$who->[0]' "
        . "--loginpass '$who->[1]'\n");

    # a shell wants a terminal; it is typed at when it has a prompt
    my $text = defined $input
        ? `(sleep 3; cat $in; sleep 2) | timeout 15 script -qec 'sh $in.sh' /dev/null 2>&1`
        : `timeout 15 sh $in.sh 2>&1 </dev/null`;
    my $status = $? >> 8;

    return wantarray ? ($text, $status) : $text;
}
