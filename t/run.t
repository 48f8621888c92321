#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# make run: starts, stops, keeps its data, and says what is wrong in words.
# Packages and builds are there already: make test has seen to them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Cwd qw(abs_path);
use File::Temp qw(tempdir);
use IO::Socket::INET;
use IO::Socket::SSL;
use POSIX qw(:sys_wait_h);
use Test::More;
use Time::HiRes qw(sleep time);
use Mesh::Control;
use Mesh::Test;

plan skip_all => 'needs root' if $<;

my $root = abs_path(__FILE__) =~ s{/t/run\.t$}{}r;

# not below /root, which the workers' user cannot enter
my $dir = tempdir('/var/tmp/mesh-run.XXXXXX', CLEANUP => 1);
my $data = "$dir/data";
my $owner = $$;
my %running;

chmod 0755, $dir;
delete @ENV{qw(URL DB MESH_DATA AGENT MAKEFLAGS MAKELEVEL MFLAGS)};
$ENV{NGINX} = $ENV{MESH_NGINX} if $ENV{MESH_NGINX};
$ENV{MODULES} = $ENV{MESH_MODULES} if defined $ENV{MESH_MODULES};

my $agent = $ENV{AGENT_BIN} = $ENV{MESH_AGENT_BIN} || "$root/build/mesh-agent";
my $PASSWORD = 'correct horse battery';
my $https = free_port();
my $http = free_port();
my $relay = free_port();

# --- the first start

my $run = start();
my $text = ready($run);

ok($text, 'the first run gets ready') or BAIL_OUT(output($run));
like($text, qr{ngx_mesh is at  https://[^/\s]+:$https/}, 'it says where it is');
like($text, qr{https://[^/\s]+:$https/\#/setup/[\w-]{43}\s},
     'it prints a set-up link while there is no administrator');
like($text, qr/making keys.*starting mesh-signer.*starting nginx/s,
     'it shows its steps');

my $page = get('/');
like($page, qr{^HTTP/1\.1 200}, 'the page is served');
like($page, qr/^content-security-policy: default-src 'none'; script-src 'self'/mi,
     'the content policy is on the page');
like(get('/health.ashx'), qr{^HTTP/1\.1 200.*^ok$}ms, 'its health is well');

like(get('/', $relay), qr{^HTTP/1\.1 403.*No page of a device is open here}s,
     'S-54: pages of devices have a port of their own');

my $plain = plain("GET /x?y=z HTTP/1.1\r\nHost: localhost\r\n"
                  . "Connection: close\r\n\r\n");
like($plain, qr{^HTTP/1\.1 308.*^Location: https://localhost:$https/x\?y=z\r}ms,
     'port 80 sends to HTTPS, with path and arguments');

my $master = read_file("$data/run/nginx.pid");
chomp $master;
my @workers = split ' ', `pgrep -P $master -f 'worker process\$'`;
cmp_ok(scalar @workers, '>=', 4, 'there are four workers at least');
is((grep { owner($_) ne 'www-data' } @workers), 0,
   'workers run as www-data');

my ($signer) = grep { read_file("/proc/$_/cmdline") =~ /\Q$data\E/ }
               split ' ', `pgrep -x mesh-signer`;
ok($signer && owner($signer) eq 'mesh-signer',
   'mesh-signer runs as a user of its own');

my $open = 0;
for my $file (glob "$data/keys/*.key") {
    $open++ if (stat $file)[2] & 077;
    $open++ if system('setpriv', '--reuid', 'www-data', '--regid', 'www-data',
                      '--clear-groups', 'test', '-r', $file) == 0;
}
is($open, 0, 'S-08: no worker can read a key');

# --- TLS as nginx.conf promises

my @suites = map { ("ECDHE-ECDSA-$_", "ECDHE-RSA-$_") }
             qw(AES128-GCM-SHA256 AES256-GCM-SHA384 AES128-SHA256
                AES256-SHA384 AES128-SHA AES256-SHA);
is((grep { !tls($_) } @suites), 0, 'the twelve suites of TLS 1.2 are taken');
is((grep { tls($_) } qw(AES128-SHA AES256-GCM-SHA384
                        ECDHE-RSA-CHACHA20-POLY1305
                        ECDHE-ECDSA-CHACHA20-POLY1305
                        DHE-RSA-AES128-GCM-SHA256)), 0,
   'no other suite of TLS 1.2 is taken');
ok(!tls('ALL:@SECLEVEL=0', 'TLSv1_1'), 'nothing older than TLS 1.2 is taken');

# --- a secret in the address does not reach the access log

get('/control.ashx?auth=SECRETCOOKIE');
my $log = '';
for (1 .. 100) {
    $log = read_file("$data/logs/access.log");
    last if $log =~ m{/control\.ashx};
    sleep 0.1;      # it is written once a second
}
like($log, qr{/control\.ashx}, 'the request is in the access log');
unlike($log, qr/SECRETCOOKIE/, 'S-05: its arguments are not');

# --- this machine is a device of its own server

my ($device, $agent_pid);

SKIP: {
    if (!-x $agent) {
        like($text, qr/^this machine is no device: there is no \Q$agent\E$/m,
             'without an agent it says so, and goes on');
        skip "no $agent yet", 9;
    }

    like($text, qr/^starting the agent of this machine
this machine is online,.*make run AGENT=no/ms,
         'this machine comes online, and it says how to leave it out');
    admin($PASSWORD, 'user', 'add', 'admin', '--site-admin');

    my @devices = devices();
    is(scalar @devices, 1, 'an administrator sees it as the one device');
    ($device) = @devices;
    is($device->{conn}, 1, 'it is online');
    is($device->{group}, 'My devices', 'in the group that the page would make');

    $agent_pid = agent_pid();
    ok($agent_pid, 'its agent runs');
    is(sprintf('%o', (stat "$data/agent")[2] & 07777), '700',
       'its folder is for root alone');

    my $list = get('/meshagents?list=1');
    like($list, qr/"id":\d+,[^}]*"product":"own"/,
         'the agent is offered to other machines');
    my ($id) = $list =~ /"id":(\d+)/;
    my ($body) = get("/meshagents?id=$id") =~ /\r\n\r\n(.*)/s;
    ok($body eq read_file($agent), 'and is the one that was built');

    kill 'KILL', $agent_pid;
    my $end = time + 30;
    my $again;
    until ($again || time > $end) {
        sleep 0.1;
        ($again) = read_file("$data/agent/state") =~ /^connected=1$/m
                   && output($run) =~ /has ended and is started again/;
    }
    ok($again, 'it is started again when it has ended');
    $agent_pid = agent_pid();
}

# --- a port in use is named

my $second = start(MESH_DATA => "$dir/second");
ended($second);
like(output($second), qr/port $https .*HTTPS_PORT=/,
     'a port in use is named, with the way to choose another');
ok($second->{rc}, 'and that run fails');

my $same = free_port();
for my $case ([{ HTTPS_PORT => free_port(), HTTP_PORT => free_port() },
               qr/port $relay .*RELAY_PORT=/, 'that of pages of devices too'],
              [{ HTTPS_PORT => $same, HTTP_PORT => free_port(),
                 RELAY_PORT => $same },
               qr/HTTPS_PORT and RELAY_PORT are the same port, $same/,
               'which is not the port of the application'])
{
    $second = start(MESH_DATA => "$dir/second", %{ $case->[0] });
    ended($second);
    like(output($second), $case->[1], $case->[2]);
}

# --- Ctrl-C

my $ids = ids();
kill 'INT', -$run->{pid};
ok(ended($run), 'Ctrl-C ends it');
is((grep { kill 0, $_ } $master, @workers, $signer, $agent_pid // ()), 0,
   'Ctrl-C leaves nothing running');
ok(!IO::Socket::INET->new(PeerAddr => "127.0.0.1:$https"), 'the port is free');

# --- the second start

my $begun = time;
$run = start();
$text = ready($run);
my $took = time - $begun;

ok($text, 'the second run gets ready') or diag(output($run));
note(sprintf 'ready after %.1f s', $took);
is(ids(), $ids, 'the second run keeps keys and database');
unlike($text, qr/installing|building|making keys/,
       'it installs, builds and makes nothing anew');

SKIP: {
    skip "no $agent yet", 6 if !$device;

    my @devices = devices();
    is(scalar @devices, 1, 'this machine is no second device');
    is($devices[0]{_id}, $device->{_id}, 'but the same as before');
    is($devices[0]{conn}, 1, 'online again');
    stop($run);

    $run = start(AGENT => 'no');
    $text = ready($run);
    unlike($text, qr/this machine|the agent/, 'AGENT=no leaves it out');
    @devices = devices();
    ok(@devices == 1 && !$devices[0]{conn}, 'then it is offline');

    control()->ask({ action => 'deletemesh', meshid => $devices[0]{meshid},
                     meshname => 'My devices' });
    stop($run);
    $run = start();
    like(ready($run), qr/^this machine is no device: its group was removed/m,
         'when its group was removed it does not come back');
}

stop($run);

# --- the address from outside

$run = start(URL => 'https://mesh.example:8443');
$text = ready($run);
like($text, qr{at  https://mesh\.example:8443/}, 'URL= is the address told');
like(plain("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
     qr{^Location: https://mesh\.example:8443/\r}m,
     'URL= is where port 80 sends to');
stop($run);

# --- an unreadable place and nonsense

for my $case (
    [{ MESH_DATA => '/root/mesh' }, qr{/root/mesh.*cannot enter},
     'a data folder that workers cannot enter is refused'],
    [{ HTTPS_PORT => '44x' }, qr/HTTPS_PORT="44x" is not a port/,
     'a port that is none is refused'],
    [{ URL => 'http://x' }, qr/URL="http:\/\/x" is not/,
     'a URL without TLS is refused'],
    [{ AGENT => 'perhaps' }, qr/AGENT="perhaps" is not/,
     'an agent that is neither yes nor no is refused'],
    [{ DB => 'oracle:x' }, qr/DB="oracle:x" is not/,
     'a database of another kind is refused'])
{
    my ($env, $expect, $name) = @$case;

    SKIP: {
        skip '/root is open here', 1
            if $env->{MESH_DATA} && ((stat '/root')[2] & 001);
        $run = start(%$env);
        ended($run);
        like(output($run), $expect, $name);
    }
}

# --- keys are made only where there is no database yet

{
    rename "$data/keys", "$dir/keys" or die "$data/keys: $!";
    $run = start();
    ended($run);
    ok($run->{rc}, 'without its keys, a server that has a database stays down');
    ok(!-e "$data/keys/agentserver.key", 'and makes no new ones');
    rename "$dir/keys", "$data/keys" if !-e "$data/keys";
}

done_testing();


sub start {
    my (%env) = @_;
    my $out = "$dir/out" . keys %running;
    my %all = (MESH_DATA => $data, HTTPS_PORT => $https, HTTP_PORT => $http,
               RELAY_PORT => $relay, %env);
    my $pid = fork // die "fork: $!";

    if ($pid == 0) {
        setpgrp;
        $SIG{INT} = 'DEFAULT';
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', $out or die "$out: $!";
        open STDERR, '>&', \*STDOUT;
        exec 'make', '-C', $root, '--no-print-directory', 'run',
            map { "$_=$all{$_}" } sort keys %all;
    }

    return $running{$pid} = { pid => $pid, out => $out };
}

sub output { read_file($_[0]{out}) }

# what it has printed when it is ready, or '' when it ended or hangs
sub ready {
    my ($run) = @_;
    my $end = time + 120;

    while (time < $end) {
        my $text = output($run);
        return $text if $text =~ /press Ctrl-C/;
        return '' if gone($run);
        sleep 0.05;
    }
    return '';
}

sub gone {
    my ($run) = @_;
    return 1 if defined $run->{rc};
    return 0 if waitpid($run->{pid}, WNOHANG) == 0;
    $run->{rc} = $?;
    return 1;
}

sub ended {
    my ($run) = @_;
    my $end = time + 40;
    sleep 0.05 while !gone($run) && time < $end;
    return gone($run);
}

sub stop {
    my ($run) = @_;
    kill 'INT', -$run->{pid};
    ended($run) or diag('Ctrl-C did not end it');
}

sub agent_pid {
    my ($pid) = grep { read_file("/proc/$_/cmdline")
                       =~ m{\0--data=\Q$data\E/agent\0} }
                map { m{(\d+)} } glob '/proc/[0-9]*';
    return $pid;
}

sub admin {
    my ($input, @args) = @_;
    my $program = $ENV{MESH_ADMIN_BIN} || "$root/build/mesh-admin";
    return Mesh::Test::run_input($input, $program, '-c', "$data/nginx.conf",
                                 @args);
}

# who came by mesh-admin is known to the workers a moment later
sub control {
    my $client = bless { port => $https, owner => $$, stopped => 1 },
                 'Mesh::Test';
    for (1 .. 50) {
        my $control = Mesh::Control->new($client, 'admin', $PASSWORD);
        return $control if $control->ok;
        sleep 0.2;
    }
    die "no control channel\n";
}

sub devices {
    my $nodes = control()->ask({ action => 'nodes' })->{nodes};
    my %name = map { $_->{_id} => $_->{name} }
               @{ control()->ask({ action => 'meshes' })->{meshes} };
    return map { my $id = $_;
                 map { { %$_, meshid => $id, group => $name{$id} } }
                     @{ $nodes->{$id} } } keys %$nodes;
}

sub ids {
    return join ' ', map { -e $_ ? `sha256sum $_` : "no $_" }
           map { "$data/keys/$_.pem" } qw(root agentserver web-rsa mps);
}

sub owner {
    my ($pid) = @_;
    return getpwuid((stat "/proc/$pid")[4]) // '';
}

sub get {
    my ($path, $port) = @_;
    my $s = IO::Socket::SSL->new(PeerAddr => '127.0.0.1',
                                 PeerPort => $port // $https,
                                 SSL_verify_mode => 0, Timeout => 10)
        or return "no connection: $SSL_ERROR";
    print $s "GET $path HTTP/1.1\r\nHost: localhost:$https\r\n"
        . "Connection: close\r\n\r\n";
    local $/;
    return <$s> // '';
}

sub plain {
    my ($request) = @_;
    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $http)
        or return "no connection: $!";
    print $s $request;
    local $/;
    return <$s> // '';
}

sub tls {
    my ($ciphers, $version) = @_;
    my $s = IO::Socket::SSL->new(PeerAddr => '127.0.0.1', PeerPort => $https,
                                 SSL_verify_mode => 0, Timeout => 10,
                                 SSL_version => $version // 'TLSv1_2',
                                 SSL_cipher_list => $ciphers) or return 0;
    return 1;
}

sub free_port {
    my $s = IO::Socket::INET->new(Listen => 1, LocalAddr => '0.0.0.0')
        or die "socket: $!";
    return $s->sockport;
}

sub read_file {
    open my $in, '<', $_[0] or return '';
    local $/;
    return <$in> // '';
}

END {
    if ($$ == $owner) {
        my $rc = $?;
        for my $run (grep { !gone($_) } values %running) {
            kill 'INT', -$run->{pid};
            kill 'KILL', -$run->{pid} if !ended($run);
        }
        $? = $rc;
    }
}
