#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# Our agent at the stock server, of the npm package: it is let in, runs that
# server's script, and stays.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use File::Temp qw(tempdir);
use IO::Select;
use IPC::Open2 qw(open2);
use JSON::PP;
use POSIX qw(:sys_wait_h);
use Test::More;
use Time::HiRes qw(time sleep);
use Mesh::Program;
use Mesh::Test;

my $program = Mesh::Program->new('own');
my $stock = "$Mesh::Test::ROOT/t/node_modules/meshcentral";
my $dir = tempdir('/var/tmp/mesh-stock.XXXXXX', CLEANUP => 1);
my $port = Mesh::Test::port();
my @pids;

mkdir "$dir/$_" for qw(data files agent);
Mesh::Test::write_file("$dir/data/config.json", encode_json({
    settings => { cert => 'localhost.local', WANonly => \1, port => $port,
                  redirPort => 0, mpsPort => 0, selfUpdate => \0,
                  exactPorts => \1, autobackup => \0 },
    domains => { '' => { newAccounts => \1 } } }));

my @server = ('node', "$stock/meshcentral.js", '--datapath', "$dir/data",
              '--filespath', "$dir/files", '--fastcert');
run(@server, '--createaccount', 'admin', '--pass', 'Passw0rd!x');
run(@server, '--adminaccount', 'admin');
start('server', @server);
ok(wait_for(sub { said('server') =~ /HTTPS server running/ }, 120),
   'the stock server runs') or BAIL_OUT(said('server'));

my ($group) = control('adddevicegroup', '--name', 'lab') =~ m{mesh//(\S{64})};
ok($group, 'and has a device group');

# its address as the agent reaches it
my $policy = fetch('/meshsettings?id=' . Mesh::Test::escape($group))
             =~ s{localhost\.local}{127.0.0.1}r;
Mesh::Test::write_file("$dir/agent.msh", $policy);
my $agent = start('agent', $program->{file}, 'run',
                  "--policy=$dir/agent.msh", "--data=$dir/agent",
                  '--controlChannelIdleTimeout=5');
my $started = time;

ok(wait_for(sub { said('agent') =~ /connected to wss/ }, 60),
   'our agent is let in') or diag said('agent');
ok(wait_for(sub { said('agent') =~ /new script of the server, \d{6} bytes/ },
            60), 'and takes the script of that server');

my ($node) = Mesh::Test::read_file("$dir/agent/state") =~ /^node=(\S+)/m;
my $device = sub {
    my ($d) = grep { $_->{_id} eq "node//$node" }
              @{ decode_json(control('listdevices', '--json')) };
    return $d;
};
ok(wait_for(sub { ($device->() // {})->{conn} }, 30), 'it is online there');
is($device->()->{agent}{id}, 6, 'as what it is') if `uname -m` =~ /x86_64/;

# what the script of that server says about the device
my $info = sub { control('deviceinfo', '--id', $node) };
ok(wait_for(sub { $info->() =~ /Version: \S+/ }, 30),
   'its script runs, and tells the system');
ok(wait_for(sub { $info->() =~ /lo:.*127\.0\.0\.1|MAC Layer/s }, 30),
   'and the network');
like(control('runcommand', '--id', $node, '--run', 'echo $((6*7))ran',
             '--reply'), qr/42ran/, 'a command runs and is answered');

Mesh::Test::write_file("$dir/up", join '', map { chr rand 256 } 1 .. 200_000);
mkdir "$dir/target";
# this client now and then lets go of its own relay before the agent is there
my $said = '';
for (1 .. 3) {
    $said .= control('upload', '--id', $node, '--file', "$dir/up",
                     '--target', "$dir/target");
    last if -s "$dir/target/up";
}
for (1 .. 3) {
    $said .= control('download', '--id', $node, '--file', "$dir/target/up",
                     '--target', "$dir/down");
    last if -s "$dir/down";
}
ok(Mesh::Test::read_file("$dir/target/up") eq Mesh::Test::read_file("$dir/up"),
   'a file comes to the device whole') or diag $said;
ok(-e "$dir/down" && Mesh::Test::read_file("$dir/down")
   eq Mesh::Test::read_file("$dir/up"), 'and back') or diag $said;
my $shown = '';
for (1 .. 3) {
    $shown .= terminal('echo $((6*7))shown', qr/42shown/);
    last if $shown =~ /42shown/;
}
like($shown, qr/42shown/, 'a terminal shows what a command prints');

unlike(said('agent'), qr/script: /, 'nothing of the script fails');

# the first ping is due after 5 s, its answer 20 s later
sleep 27 - (time - $started) if time - $started < 27;
is(waitpid($agent, WNOHANG), 0, 'it stays');
is(scalar(() = said('agent') =~ /connected to/g), 1,
   'and stays connected, for the answer to a ping is seen');

kill 'TERM', $agent;
waitpid $agent, 0;
is($?, 0, 'it ends when it is asked to');
ok(wait_for(sub { !($device->() // {})->{conn} }, 30), 'and is offline there');

done_testing;


sub run {
    my $out = "$dir/run";
    my $pid = fork // die "fork: $!\n";
    if ($pid == 0) {
        open STDOUT, '>', $out;
        open STDERR, '>&', \*STDOUT;
        exec @_ or die;
    }
    waitpid $pid, 0;
    return Mesh::Test::read_file($out);
}

sub start {
    my ($name, @command) = @_;
    my $pid = fork // die "fork: $!\n";
    if ($pid == 0) {
        setpgrp;
        open STDOUT, '>', "$dir/$name.log";
        open STDERR, '>&', \*STDOUT;
        exec @command or die;
    }
    push @pids, $pid;
    return $pid;
}

sub said { return -e "$dir/$_[0].log" ? Mesh::Test::read_file("$dir/$_[0].log") : '' }

sub wait_for {
    my ($true, $seconds) = @_;
    my $end = time + $seconds;
    until ($true->()) {
        return 0 if time > $end;
        sleep 0.2;
    }
    return 1;
}

sub control {
    return run(client(@_));
}

# types into a terminal of the stock client; what it shows until $wanted
sub terminal {
    my ($line, $wanted) = @_;
    my $command = join ' ', map { "'$_'" } client('shell', '--id', $node);
    my $pid = open2(my $out, my $in, 'script', '-qec', $command, '/dev/null');
    my $shown = '';
    my $more = sub {
        my ($pattern, $seconds) = @_;
        my $end = time + $seconds;
        while ($shown !~ $pattern && time < $end) {
            next if !IO::Select->new($out)->can_read(0.2);
            sysread $out, $shown, 4096, length $shown or last;
        }
        return $shown =~ $pattern;
    };
    push @pids, $pid;
    $more->(qr/Connected\..*[#\$]/s, 30);

    # that client drops what is typed while it is not ready
    for (1 .. 10) {
        syswrite $in, "$line\n";
        last if $more->($wanted, 3);
    }
    kill 'KILL', $pid;

    return $shown;
}

sub client {
    return ('node', "$stock/meshctrl.js", @_, '--url',
            "wss://127.0.0.1:$port", '--loginuser', 'admin',
            '--loginpass', 'Passw0rd!x');
}

sub fetch {
    my ($path) = @_;
    require IO::Socket::SSL;
    my $s = IO::Socket::SSL->new(PeerAddr => "127.0.0.1:$port",
                                 SSL_verify_mode => 0) or die "no server\n";
    print $s "GET $path HTTP/1.0\r\nHost: localhost.local\r\n\r\n";
    my $answer = do { local $/; <$s> };
    return $answer =~ s/.*?\r\n\r\n//sr;
}

END {
    my $status = $?;
    for my $pid (@pids) {
        kill 'KILL', -$pid, $pid;
        waitpid $pid, 0;
    }
    $? = $status;
}
