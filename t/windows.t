#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# Our agent for Windows, under wine: the channel, what it reports, terminal,
# files, programs; then the same program at a real nginx.  By hand, make
# test-windows: wine is large.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw(sha384 sha384_hex);
use Encode qw(decode_utf8 encode_utf8);
use JSON::PP;
use MIME::Base64 qw(encode_base64);
use Test::More;

use Mesh::Test qw(escape);
use Mesh::Server;
use Mesh::Wine;

my $program = Mesh::Wine::program();
my $core = Mesh::Test::read_file("$Mesh::Test::ROOT/build/core.js");

sub wine { return qx($program @_ 2>&1) =~ tr/\r//dr }

# of a test that was stopped
wine('uninstall');

# --- the command line

like(wine('version'), qr/^mesh-agent \d+$/m, 'it says its version');
like(wine('help'), qr/^  mesh-agent install /m, 'and its commands');

# --- the channel

my $server = Mesh::Server->new;
$server->{program} = $program;
$server->start;
my $s = $server->accept(60);
ok($s && $s->admit, 'it gets in, with proofs of both sides');
is(unpack('N', substr $s->{info}, 6, 4), 4, 'as the agent of x86-64');
like($s->{hello}{31} // '', qr/Windows/, 'it says which Windows it is');

my $file = "$server->{dir}/data/agent.db";
is((stat $file)[2] & 07, 0, 'the file with its key is not for everybody');

is($s->core($core), sha384("\0\0\0\0$core"), 'it takes our core');

sub aside {
    my ($action) = @_;
    my ($m) = grep { ($_->{json}{action} // '') eq $action }
              @{ $s->{aside} };
    return ($m // $s->await($action) // {})->{json};
}

my $info = aside('coreinfo');
like($info->{osdesc}, qr/Windows/, 'which reports the system');
is($info->{root}, JSON::PP::true, 'an administrator');
ok($info->{lastbootuptime} > 1500000000000, 'and when it was started');

my $net = aside('netinfo')->{netif2};
my ($local) = grep { ($_->{address} // '') eq '127.0.0.1' }
              map { @$_ } values %$net;
is($local->{netmask}, '255.0.0.0', 'its adapters with their addresses');
is($local->{type}, 'loopback', 'and kinds');

sub ask {
    my (%message) = @_;
    $s->json({ action => 'msg', rights => 4294967295, sessionid => 'x',
               userid => 'user//a', username => 'a', %message });
    my $m;
    while ($m = $s->message) {
        next if !$m->{json} || ($m->{json}{action} // '') ne 'msg';
        last if $m->{json}{type} eq $message{type};
    }
    return $m && $m->{json};
}

$s->json({ action => 'sysinfo', hash => '' });
my $data = $s->await('sysinfo')->{json}{data};
my $hardware = $data->{hardware};
ok($hardware->{windows}{volumes}{C}{size} > 0, 'the inventory has its volumes');
ok((grep { $_->{Capacity} } @{ $hardware->{windows}{memory} }) > 0,
   'its memory');
ok($hardware->{identifiers}{cpu_threads} > 0, 'and its processor');
like($hardware->{windows}{osinfo}{Version}, qr/^\d+\.\d+\.\d+$/,
     'and its version');

my $load = ask(type => 'cpuinfo');
ok($load->{memory}{total} > 0 && @{ $load->{cpu}{cpus} } > 0,
   'its load is measured');

# --- programs

my $ps = decode_json(ask(type => 'ps')->{value});
my ($own) = grep { $_->{cmd} =~ /mesh-agent\.exe/ } values %$ps;
ok($own, 'it is among its processes');
is(ask(type => 'psinfo', pid => $own->{pid} + 0)->{value}{Name},
   'mesh-agent.exe', 'of which it says more');

ok((grep { $_->{name} eq 'RpcSs' }
    @{ decode_json(ask(type => 'services')->{value}) }), 'it knows services');

sub commands {
    my ($text, %more) = @_;
    $s->json({ action => 'runcommands', type => 1, cmds => $text, reply => JSON::PP::true,
               responseid => 'r' . rand, rights => 4294967295,
               sessionid => 'x', %more });
    my $m = $s->message;
    $m = $s->message while $m && ($m->{json}{type} // '') ne 'runcommands';
    return $m && ($m->{json}{result} =~ tr/\r//dr, $m->{json}{exitcode});
}

is_deeply([commands("echo one\necho \"two three\" %OS%\nexit /b 7")],
          ["one\n\"two three\" Windows_NT\n", 7],
          'it runs commands, and says what they print and end with');
is_deeply([glob Mesh::Wine::drive_c() . '/users/*/Temp/mesh-*.cmd'], [],
          'of which no file is left');
is_deeply([commands('x', type => 3)],
          ['This device has no such command interpreter.', -1],
          'a shell of Unix it has not');

# --- sessions

sub tunnel {
    my ($protocol, %more) = @_;
    $s->json({ action => 'msg', type => 'tunnel', usage => $protocol,
               value => "*/meshrelay.ashx?p=$protocol&id=a&rauth=b",
               rights => 4294967295, consent => 0, userid => 'user//a',
               username => 'a', remoteaddr => '127.0.0.1',
               servertlshash => unpack('H*', $s->{web}), soptions => {},
               %more });
    my $t = $server->accept or return undef;
    $t->send('c', 1);
    $t->send($protocol, 1);
    return $t;
}

# what the terminal shows until it is like $want
sub shows {
    my ($t, $want) = @_;
    my $text = '';
    while (my $m = $t->message) {
        return undef if exists $m->{close};
        $text .= $m->{data};
        return $text if $text =~ $want;
    }
    diag "shown: $text";
    return undef;
}

my $t = tunnel(1);
ok(shows($t, qr/C:\\>/), 'a terminal shows the prompt');
$t->send("echo mesh-%OS%\r");
ok(shows($t, qr/mesh-Windows_NT/), 'and what a command prints');
$t->send("exit\r");
isnt($t->closed, 0, 'it ends with the shell');

$t = tunnel(1);
shows($t, qr/C:\\.*>/s);
my ($shell) = shells();
ok($shell, 'another one runs');
$t->close;
my $gone = 0;
for (1 .. 100) {
    $gone = !grep { $_ eq $shell } shells();
    last if $gone;
    select undef, undef, undef, 0.1;
}
ok($gone, 'and ends with its viewer');

sub shells {
    my $list = decode_json(ask(type => 'ps')->{value});
    return map { $_->{pid} } grep { $_->{cmd} =~ /cmd\.exe/i } values %$list;
}

# --- files

sub next_ {
    my ($t, $want) = @_;
    while (my $m = $t->message) {
        return undef if exists $m->{close};
        return $m if $want->($m);
    }
    return undef;
}

sub say_ { my ($t, $command) = @_; $t->send(encode_json($command)) }

sub action {
    my ($t, $action) = @_;
    my $m = next_($t, sub { ($_[0]{json}{action} // '') eq $action });
    return $m && $m->{json};
}

# the folder's names: name => entry; undef: it cannot be read
sub ls {
    my ($t, $path) = @_;
    my $id = 'ls' . rand;
    say_($t, { action => 'ls', path => $path, reqid => $id });
    my $m = next_($t, sub { $_[0]{json} && exists $_[0]{json}{dir}
                            && ($_[0]{json}{reqid} // '') eq $id })
        or return 'gone';
    return undef if !defined $m->{json}{dir};
    return { map { $_->{n} => $_ } @{ $m->{json}{dir} } };
}

sub names { my $list = ls(@_); return $list && [sort keys %$list] }

sub upload {
    my ($t, $command, $data) = @_;
    say_($t, { action => 'upload', reqid => 7, size => length $data,
               %$command });
    return 'not started' if !action($t, 'uploadstart');
    for (my $at = 0; $at < length $data; $at += 65000) {
        my $part = substr $data, $at, 65000;
        $part = "\0$part" if $part =~ /^[\0{]/;
        $t->send($part);
        action($t, 'uploadack') or return 'gone';
    }
    say_($t, { action => 'uploaddone', reqid => 7 });
    my $m = next_($t, sub { ($_[0]{json}{action} // '') =~ /^upload/ });
    return $m && $m->{json}{action};
}

sub download {
    my ($t, $path) = @_;
    say_($t, { action => 'download', sub => 'start', id => 3,
               path => $path });
    my $m = action($t, 'download');
    return undef if !$m || $m->{sub} ne 'start';
    say_($t, { action => 'download', sub => 'startack', id => 3 });
    my $data = '';
    while (my $block = next_($t, sub { !$_[0]{json} })) {
        $data .= substr $block->{data}, 4;
        return $data if unpack('N', $block->{data}) == 0x01000001;
        say_($t, { action => 'download', sub => 'ack', id => 3 });
    }
    return undef;
}

my $dir = "$server->{dir}/files";
my $there = Mesh::Wine::path($dir);
mkdir $dir;
Mesh::Test::write_file("$dir/plain", 'x' x 1234);
utime 1600000000, 1600000000, "$dir/plain";
mkdir "$dir/folder";

$t = tunnel(5);
my $drives = ls($t, '');
is($drives->{'C:\\'}{t}, 1, 'without a path the drives are listed');
is($drives->{'C:\\'}{dt}, 'FIXED', 'with their kinds');
ok($drives->{'C:\\'}{f} > 0, 'and room');
ok(ls($t, 'C:')->{windows}, 'a drive is a folder, without its backslash too');
is_deeply(ls($t, $there)->{plain},
          { n => 'plain', t => 3, s => 1234, d => '2020-09-13T12:26:40Z' },
          'a file has size and time');
is(ls($t, $there)->{folder}{t}, 2, 'a folder is one');

for my $path ('\\\\server\\share', '\\\\.\\pipe', '/etc', '\\etc',
              'C:\\x:stream', '..\\..') {
    is(ls($t, $path), undef, "$path is no path");
}

my $name = "gr\x{fc}n \x{20ac} \x{1f600}";
my $bytes = join '', map { chr int rand 256 } 1 .. 300_000;
$bytes =~ tr/{/z/;
is(upload($t, { path => $there, name => $name }, $bytes), 'uploaddone',
   'a file with an odd name is taken');
is(sha384_hex(Mesh::Test::read_file("$dir/" . encode_utf8($name))),
   sha384_hex($bytes), 'and is whole');
is_deeply(names($t, $there), ['folder', $name, 'plain'], 'it is listed so');
is(sha384_hex(download($t, "$there\\$name") // ''), sha384_hex($bytes),
   'and comes back the same');

say_($t, { action => 'mkdir', path => "$there\\new" });
say_($t, { action => 'rename', path => $there, oldname => $name,
           newname => 'second' });
say_($t, { action => 'copy', scpath => $there, dspath => "$there\\new",
           names => ['second'], answer => JSON::PP::true, reqid => 8 });
action($t, 'done');
is_deeply(names($t, "$there\\new"), ['second'],
          'folders are made, files renamed and copied');
is(-s "$dir/new/second", 300_000, 'to their end');
say_($t, { action => 'move', scpath => $there, dspath => "$there\\folder",
           names => ['plain'] });
is_deeply(names($t, "$there\\folder"), ['plain'], 'and moved');

say_($t, { action => 'findfile', path => $there, filter => '*SEC*',
           reqid => 5 });
my @found;
while (my $m = action($t, 'findfile')) {
    last if !defined $m->{r};
    push @found, $m->{r};
}
is_deeply([sort @found], ['\\new\\second', '\\second'],
          'a search goes through folders');

say_($t, { action => 'rm', path => $there, delfiles => ['new'],
           rec => JSON::PP::true });
is_deeply(names($t, $there), ['folder', 'second'], 'a full folder is deleted');

$t->close;

# --- the data file

my $size = -s $file;
my $store = "var d = require('SimpleDataStore').Shared(), i, "
            . "x = new Array(9001).join('x');\n"
            . "for (i = 0; i < 200; i++) { d.Put('grows', x + i); }\n"
            . "setTimeout(function () { require('MeshAgent').SendCommand("
            . "{ action: 'stored' }); }, 100);";
$s->core($store);
ok(aside('stored'), 'a script keeps 1.8 MB, all but the last of it old');
ok(-s $file < $size + 600_000, 'the file is made anew without that');
$s->core($core);

# --- words to who sits there

# what a session says while the key is pressed, until it is like that or ends
sub decide {
    my ($key, $want) = @_;
    my @said;
    for (1 .. 120) {
        Mesh::Wine::press('Remote session', $key);
        my $m = $t->message(0.5) or next;
        push @said, $m;
        last if exists $m->{close} || $want->($m);
    }
    return @said;
}

$t = tunnel(1, consent => 16);
my @said = decide('alt+n', sub { ($_[0]{json}{msgid} // 0) == 2 });
is($said[-1]{json}{msgid}, 2, 'who says no has not agreed');
ok(!grep({ !$_->{json} } @said), 'and no terminal was shown');
$t->close;

$t = tunnel(1, consent => 16);
@said = decide('alt+y', sub { ($_[0]{data} // '') =~ /C:\\/ });
like($said[-1]{data}, qr/C:\\/, 'who says yes gets one opened');
$t->close;

for my $message ({ action => 'msg', type => 'messagebox' },
                 { action => 'toast' })
{
    my $title = "To you $message->{action}";
    $s->json({ %$message, title => $title, msg => 'Words', userid => 'user//a',
               username => 'a', sessionid => 'x', rights => 4294967295 });
    my $shown = 0;
    for (1 .. 120) {
        $s->until_pong;
        last if $shown = Mesh::Wine::press($title, 'Return');
    }
    ok($shown, "$message->{action}: words are shown");
}

# --- the second time

$s->close;
$s = $server->accept(60);
my $again = $s && $s->admit;
ok($again, 'a server that went is called again');
ok((grep { $_ == 4 } keys %{ $s->{hello} }) > 0,
   'and needs no second proof of it');

my $other = qx($program run --policy=$server->{dir}/policy.msh --data=$server->{dir}/data 2>&1);
like($other, qr/another agent runs with/, 'no second agent has the same data');
ok(defined $server->stop, 'it can be ended');

# --- another program

my $exe = "$server->{dir}/mesh-agent.exe";
my $first = Mesh::Test::read_file(Mesh::Wine::exe());
my ($second, $third) = ("${first}2", "${first}3");  # behind its sections

Mesh::Test::write_file($exe, $first);
chmod 0755, $exe;
$ENV{EXE} = $exe;
$server->{options} = ['--updateTrial=15'];
$server->start(selfUpdate => 1);
$s = $server->accept(60);
$s->admit;

sub in_place { return sha384(Mesh::Test::read_file($exe)) }

sub offered {
    $s->send(pack('nn', 12, 7));
    return substr $s->await(12)->{data}, 4;
}

sub send_program {
    my ($program) = @_;
    $s->send(pack('nn', 13, 0));
    for (my $at = 0; $at < length $program; $at += 65531) {
        $s->send(pack('nn', 14, 1) . substr $program, $at, 65531);
        $s->await(14) or last;
    }
    $s->send(pack('nn', 13, 0) . sha384($program));
}

is(offered(), sha384($first), 'where the policy says so it offers itself');
send_program('MZ' . 'no program' x 100);
ok($server->says(qr/program is not taken/), 'what is no program is not taken');
is(in_place(), sha384($first), 'and it stays what it was');

send_program($second);
$s = $server->accept(60);
is(in_place(), sha384($second), 'another program takes the place of one that runs');
ok(-e "$exe.old", 'with the old one beside it');
ok($s && $s->admit, 'and gets in');
ok($server->says(qr/the new program is in use/), 'it is in use');
is(offered(), sha384($second), 'it offers itself');

send_program($third);
$s = $server->accept(60);
is(in_place(), sha384($third), 'a third one takes its place');
$s->hello;                      # and is not let in
ok($server->says(qr/does not reach the server: the old one comes back/),
   'one that is not let in gives up');
my $back;
for (1 .. 5) {
    $s = $server->accept(60);
    last if $back = $s && $s->admit;
}
ok($back, 'the one before comes back');
is(in_place(), sha384($second), 'as what it was');
is(offered(), "\0" x 48, 'and offers nothing for a day');
end_agents();
$server->stop;
delete $ENV{EXE};

# they are not our children any more
sub end_agents {
    for my $file (glob '/proc/[0-9]*/cmdline') {
        my ($pid) = $file =~ /(\d+)/;
        my $line = eval { Mesh::Test::read_file($file) } // '';
        kill 'KILL', $pid if index($line, $server->{dir} =~ tr{/}{\\}r) >= 0;
    }
}

# --- as a service; wine ends its services with its last program

my $holder = open my $stdin, '|-', "EXE=cmd.exe $program /d /c pause >/dev/null";
my $policy = $server->policy(selfUpdate => 1);
is(wine('status') =~ /^installed  no\n/, 1, 'it is not installed');

my $installer = fork // die;
if (!$installer) {
    exec 'sh', '-c', "$program install --policy=$policy >$server->{dir}/said 2>&1";
}
$s = $server->accept(60);
ok($s && $s->admit, 'installed as a service it comes');
waitpid $installer, 0;
like(Mesh::Test::read_file("$server->{dir}/said"),
     qr/^The agent is installed, and online at wss:/, 'which is said');
is($s->core("var a = require('MeshAgent'); setTimeout(function () { "
            . "a.SendCommand({ action: 'is', service: a.isService }); }, 100)")
   ? 1 : 0, 1, 'it runs a script');
is(aside('is')->{service}, JSON::PP::true,
   'which learns that it is in a service');
like(wine('status'), qr/^installed  C:.*\nrunning    yes, .*\nonline     yes,/s,
     'status says so too');

like(wine('uninstall'), qr/^The agent is removed/m, 'it is removed');
is($s->closed, 1001, 'and has said goodbye');
is(wine('status') =~ /^installed  no\n/, 1, 'it is gone');
is_deeply([glob Mesh::Wine::drive_c() . '/Program*/mesh-agent'], [],
          'and nothing is left of it');
print $stdin "\n";
close $stdin;

# --- a real server

my $mesh = Mesh::Test->new;
my $group;
$mesh->start(prepare => sub {
    $mesh->admin(\"correct horse battery\n", 'user', 'add', 'Admin',
                 '--site-admin');
    $group = $mesh->admin('group', 'add', 'Lab', '--owner', 'admin');
    chomp $group;
});

my $home = "$mesh->{dir}/windows";
mkdir $home;
Mesh::Test::write_file("$home/policy.msh",
    $mesh->get('/meshsettings?id=' . escape($group =~ s{^mesh//}{}r))->{body}
    =~ s/localhost/127.0.0.1/r);

my $control = $mesh->ws('/control.ashx', headers => { 'x-meshauth' =>
    join ',', map { encode_base64($_, '') } 'admin',
                  'correct horse battery' });
for (1 .. 2) { $control->read or die "no control channel\n" }

my $agent = $mesh->spawn("$mesh->{dir}/logs/agent.log", $program, 'run',
                         "--policy=$home/policy.msh", "--data=$home/data");
my $event = wait_for(sub { ($_[0]{event}{action} // '') eq 'nodeconnect'
                           && $_[0]{event}{conn} == 1 });
like($event->{event}{nodeid}, qr{^node//}, 'our server lets it in');

my $node = $event->{event}{nodeid};
my $device;
$mesh->wait_for('its core', sub {
    $control->text(encode_json({ action => 'nodes' }));
    my $nodes = wait_for(sub { $_[0]{action} eq 'nodes' })->{nodes};
    ($device) = map { @$_ } values %$nodes;
    return ($device->{core} // '') =~ /^ngx_mesh core/;
});
like($device->{osdesc}, qr/Windows/, 'and knows its system from its core');
is($device->{agent}{id}, 4, 'and what kind of agent it is');

$control->text(encode_json({ action => 'runcommands', nodeids => [$node],
    type => 1, cmds => 'echo via-%OS%', reply => JSON::PP::true,
    responseid => 'r1' }));
my $ran = wait_for(sub { $_[0]{action} eq 'msg'
                         && ($_[0]{type} // '') eq 'runcommands' });
is($ran->{result} =~ tr/\r//dr, "via-Windows_NT\n",
   'a command goes through it');

$mesh->stop_pid($agent, 'TERM');
ok(wait_for(sub { ($_[0]{event}{action} // '') eq 'nodeconnect'
                  && $_[0]{event}{conn} == 0 }), 'its end is seen');

$mesh->stop;

sub wait_for {
    my ($want) = @_;
    while (my $m = $control->read(30)) {
        my $json = eval { decode_json($m->{data}) } or next;
        return $json if $want->($json);
    }
    return {};
}

done_testing;
