#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# Our agent built for another system, MESH_CROSS: the static one alone in an
# empty folder, those of other processors in an emulator.

use strict;
use warnings;

use Digest::SHA qw(sha384);
use File::Temp qw(tempdir);
use IO::Socket::INET;
use JSON::PP;
use Test::More;

use Mesh::Test;
use Mesh::Server;

my $kind = $ENV{MESH_CROSS} // 'static';
my $build = $ENV{MESH_BUILD} || "$Mesh::Test::ROOT/build";
my $agent = "$build/mesh-agent-$kind";
my $slow = 120;                         # seconds, to make a key
my $dns = '127.9.9.9';
my %emulator = (
    arm64 => 'qemu-aarch64 -L /usr/aarch64-linux-gnu',
    armhf => 'qemu-arm -L /usr/arm-linux-gnueabihf',
);

plan skip_all => "no $agent: make agent-$kind" if !-x $agent;
plan skip_all => 'needs root' if $<;

my $dir = tempdir('/var/tmp/mesh-cross.XXXXXX', CLEANUP => 1);
my $own = `$build/mesh-agent version`;
my $server = Mesh::Server->new(program => "$dir/run");
my %name = (MeshServer => "wss://localhost:$server->{port}/agent.ashx");
my $core = Mesh::Test::read_file("$build/core.js");

$kind eq 'static' ? alone() : emulated();
chmod 0755, "$dir/run";

if ($kind eq 'armhf') {
    unlike(`readelf -W --dyn-syms $agent`,
           qr/ (?:time|gettimeofday|clock_gettime|(?:local|gm)time_r|[fl]?stat)@/,
           'no time in it ends in 2038');
}

is(`$dir/run version`, $own, 'it says the version that all of them have');

# --- its server

$server->start(%name);
my $s = $server->accept($slow);
ok($s, 'it finds "localhost"') or diag($server->said);
ok($s->admit, 'it proves itself, and takes the proof of its server');
is(unpack('N', substr $s->{info}, 6), machine(), 'its number is of its kind');
is($s->core($core), sha384("\0\0\0\0$core"), 'it takes our core');
my ($info) = grep { ($_->{json}{action} // '') eq 'coreinfo' } @{ $s->{aside} };
ok($info, 'which runs, and reports');
my $says = "var a = require('MeshAgent'); setTimeout(function () { "
           . "a.SendCommand({ action: 'has', webrtc: a.hasWebRTC }); }, 100)";
$s->core($says);
my $has = $s->await('has');
is($has && $has->{json}{webrtc}, JSON::PP::false,
   'an agent that has no WebRTC in it says so');
$s->core($core);

if ($kind eq 'static') {
    $server->stop;

    my $pid = names();
    SKIP: {
        skip "no port 53 on $dns", 1 if !$pid;
        $server->start(MeshServer => "wss://mesh.test:$server->{port}/a");
        $s = $server->accept;
        ok($s && $s->admit, 'it asks the DNS for a name')
            or diag($server->said);
        kill 'KILL', $pid;
        waitpid $pid, 0;
    }

} else {
    $s->json({ action => 'msg', type => 'tunnel', usage => 1,
               value => '*/meshrelay.ashx?p=1&id=a&rauth=b',
               rights => 4294967295, consent => 0, userid => 'user//a',
               username => 'a', remoteaddr => '127.0.0.1',
               servertlshash => unpack('H*', $s->{web}), soptions => {} });
    my $t = $server->accept($slow);
    ok($t, 'it opens a tunnel');
    $t->send('c', 1);
    $t->send('1', 1);
    $t->send("echo \$((6 * 7))\n");
    my $text = '';
    while (my $m = $t->message) {
        last if exists $m->{close};
        $text .= $m->{data};
        last if $text =~ /\b42\b/;
    }
    like($text, qr/\b42\b/, 'a terminal runs in it');
}

SKIP: {
    my ($deb) = glob "$build/mesh-agent_*_$kind.deb";
    skip "no package: make deb-agent-$kind", 3 if !$deb;

    like(`dpkg-deb -f $deb Depends`, qr/^libc6 \(>= 2\.\d+\)$/,
         'its package needs the C library alone');
    system('dpkg-deb', '-x', $deb, "$dir/x");
    is(`$emulator{$kind} $dir/x/usr/lib/mesh-agent/mesh-agent version`, $own,
       'and has this agent');

    skip 'no lintian', 1 if !-x '/usr/bin/lintian';
    my $words = `cd $dir && lintian --allow-root --fail-on error $deb 2>&1`;
    is($?, 0, 'lintian finds no error') or diag($words);
}

is($server->stop, 0, 'it ends when it is told to');
done_testing();


# agent.md 2.8
sub machine { return { static => 36, arm64 => 32, armhf => 25 }->{$kind} }

# /proc apart, all that there is are its data and three files
sub alone {
    my $root = "$dir/root";
    mkdir "$root$_" or die "$root$_: $!\n" for '', qw(/proc /etc /data);
    system('cp', $agent, "$root/mesh-agent");
    Mesh::Test::write_file("$root/etc/hosts", "127.0.0.1 localhost\n");
    Mesh::Test::write_file("$root/etc/resolv.conf", "nameserver $dns\n");
    Mesh::Test::write_file("$dir/run", <<"END");
#!/bin/sh
cp $server->{dir}/policy.msh $root/ 2> /dev/null
[ "\$1" != run ] || set -- run --policy=/policy.msh --data=/data --log=info
exec unshare -m sh -c 'mount -t proc proc $root/proc &&
    exec chroot $root /mesh-agent "\$@"' sh "\$@"
END
}

sub emulated {
    Mesh::Test::write_file("$dir/run", <<"END");
#!/bin/sh
exec $emulator{$kind} $agent "\$@"
END
}

# a server of names that has one: its pid
sub names {
    my $s = IO::Socket::INET->new(Proto => 'udp', LocalAddr => $dns,
                                  LocalPort => 53) or return 0;
    my $pid = fork // die "fork: $!\n";
    return $pid if $pid;

    while (defined $s->recv(my $question, 512)) {
        my ($id, undef, $rest) = unpack 'nna*', $question;
        my ($name) = $rest =~ /^.{8}(\x04mesh\x04test\0)\0[\x01\x1c]\0\x01/s
            or next;
        my $type = unpack 'n', substr $rest, 8 + length $name;
        my $answer = $type == 1
            ? "\xc0\x0c" . pack('nnNnC4', 1, 1, 60, 4, 127, 0, 0, 1) : '';
        $s->send(pack('n6', $id, 0x8180, 1, $answer ? 1 : 0, 0, 0)
                 . $name . pack('nn', $type, 1) . $answer);
    }
    exit;
}
