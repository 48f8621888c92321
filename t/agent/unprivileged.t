#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# mesh-agent as an account that is not root: it is online with what that
# account may do, and says what it may not.

use strict;
use warnings;

use Digest::SHA qw(sha384);
use Test::More;

use Mesh::Test;
use Mesh::Server;

my $user = 'nobody';
my ($uid, $gid) = (getpwnam $user)[2, 3];
plan skip_all => 'only root may become another one' if $< || !defined $uid;

my $core = Mesh::Test::read_file("$Mesh::Test::ROOT/build/core.js");
my $server = Mesh::Server->new;
my $dir = $server->{dir};
my $exe = $server->own_program;
chmod 0711, $dir;
Mesh::Test::write_file("$dir/agent", "#!/bin/sh\nexec setpriv --reuid $uid "
    . "--regid $gid --clear-groups --reset-env $exe \"\$@\"\n");
chmod 0755, "$dir/agent";
Mesh::Test::write_file($server->{log}, '');
$server->{program} = "$dir/agent";

# --- the data folder

$server->start;
ok($server->ended, 'with a folder of root\'s it does not start');
like($server->said, qr/the data folder "\Q$dir\E\/data" cannot be made or (?#
     )written: name another with --data=DIR/, 'and says why')
    or diag $server->said;

chown $uid, $gid, "$dir/data" or die "$dir/data: $!\n";
$server->start(selfUpdate => 1);
my $s = $server->accept;
ok($s && $s->admit, 'with one of its own it is in') or diag $server->said;
is((stat "$dir/data/agent.db")[4], $uid, 'its key is its own');
is((stat _)[2] & 0777, 0600, 'and nobody else\'s');

# --- a program that it may not replace

my $first = Mesh::Test::read_file($exe);
is($s->send_program("${first}2"), 0, 'it takes no new program');
ok($server->says(qr/"\Q$exe\E\.update" cannot be written: permission denied/),
   'and says that it may not write it') or diag $server->said;
is_deeply([$s->until_pong], [], 'it stays');

# --- what it reports

is($s->core($core), sha384("\0\0\0\0$core"), 'it runs our core');
my ($info) = map { $_->{json} } grep { ($_->{json}{action} // '') eq 'coreinfo' }
             @{ $s->{aside} };
ok($info, 'which reports');
ok(exists $info->{root} && !$info->{root}, 'that it is not root');

# --- terminals

sub terminal {
    my ($protocol, %options) = @_;
    $s->json({ action => 'msg', type => 'tunnel', usage => 1,
               value => '*/meshrelay.ashx?p=1&id=a&rauth=b',
               rights => 4294967295, consent => 0, userid => 'user//a',
               username => 'a', remoteaddr => '127.0.0.1',
               servertlshash => unpack('H*', $s->{web}), soptions => {} });
    my $t = $server->accept or return undef;
    $t->send('c', 1);
    $t->json({ ctrlChannel => '102938', type => 'options', %options })
        if %options;
    $t->send($protocol, 1);
    return $t;
}

# what comes until it matches
sub reads {
    my ($t, $want) = @_;
    my $text = '';
    while (my $m = $t->message) {
        last if exists $m->{close};
        $text .= $m->{data};
        return $text if $text =~ $want;
    }
    return "$text (the end)";
}

my $t = terminal(1);
ok($t, 'a terminal is opened');
$t->send("echo \"=\$(id -u):\$(id -G):\$(test -t 0 && pwd)=\"\n");
like(reads($t, qr/=\d+:.*=/), qr{=$uid:$gid:/.*=}, 'as that user, in no group');
$t->close;

$t = terminal(8, tsid => 0);
like(reads($t, qr/Failed.*?"/), qr/this agent does not run as root/,
     'none as root, who is told why');
$t->close;

is($server->stop, 0, 'it ends');

done_testing;
