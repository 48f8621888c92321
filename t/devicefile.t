#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# devicefile.ashx: a device's file as a download (session.md 1.10), from an
# agent of the test.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Select;
use IO::Socket::SSL;
use JSON::PP;
use Test::More;
use Time::HiRes qw(sleep time);
use Mesh::Agent;
use Mesh::Browser;
use Mesh::Control;
use Mesh::Relay qw(pour);
use Mesh::Test qw(escape);

my $mesh = Mesh::Test->new(server => 'mesh_limit relay per=user 1000; '
                              . 'send_timeout 5s;');
my $group;
$mesh->start(prepare => sub {
    $mesh->admin(\"correct horse battery\n", 'user', 'add', 'admin',
                 '--site-admin');
    $mesh->admin(\"a password for tests\n", 'user', 'add', $_)
        for qw(mei oona);
    $group = $mesh->admin('group', 'add', 'Lab', '--owner', 'admin');
    chomp $group;
});

my $admin = Mesh::Control->new($mesh, 'admin', 'correct horse battery');
my $mei = Mesh::Control->new($mesh, 'mei', 'a password for tests');
my $oona = Mesh::Control->new($mesh, 'oona', 'a password for tests');
my $agent = Mesh::Agent->new($mesh, n => 710, group => $group, name => 'one');
$agent->online or die "no agent\n";

# --- a file, whole

my $path = "/srv/a b/r\xc3\xa9sum\xc3\xa9 \"1\";\r\nX-Evil: 1.html";
my ($s, $device) = fetch($admin, $path);
my $option = $device->read;
is_deeply(decode_json($option->{data}),
          { type => 'options', file => decode_utf8($path) },
          'the agent is told which file');
is($device->read->{data}, '10', 'and to send it as a whole');

$device->text('{"ctrlChannel":"102938","type":"console","msg":"Waiting",'
              . '"msgid":1}');
my $data = join '', map { chr($_ & 255) x 977 } 1 .. 400;
$device->text(encode_json({ op => 'ok', size => length $data }));
for (my $at = 0; $at < length $data; $at += 65536) {
    $device->binary(substr $data, $at, 65536);
}
$device->text('{"ctrlChannel":"102938","type":"ping"}');
my $r = answer($s);
is($r->{status}, 200, 'the file comes');
ok($r->{body} eq $data, 'as it is, whatever else was said in between');
is(header($r, 'content-length'), length $data, 'its length is known before');
is(header($r, 'content-type'), 'application/octet-stream',
   'S-12: its type is none that a browser shows');
is(header($r, 'content-disposition'), 'attachment; '
   . 'filename="r__sum__ _1____X-Evil_ 1.html"; filename*=UTF-8\'\''
   . 'r%C3%A9sum%C3%A9%20%221%22%3B%0D%0AX-Evil%3A%201.html',
   'S-53: a name with quotes and line ends stays within its header');
is(header($r, 'x-evil'), undef, 'S-53: and makes none of its own');
is(header($r, 'x-content-type-options'), 'nosniff', 'S-12: it is not guessed');
like(header($r, 'content-security-policy'), qr/^sandbox; default-src 'none'/,
     'S-12: and has no origin to act in');
is(header($r, 'cache-control'), 'no-store', 'S-14: nothing keeps it');
is(header($r, 'accept-ranges'), 'none', 'that it has no ranges is said');
is($device->closed, 1000, 'the tunnel of the agent ends');

($s, $device) = asked($admin, '/empty');
$device->text('{"op":"ok","size":0}');
$r = answer($s);
is("$r->{status} " . header($r, 'content-length') . $r->{body}, '200 0',
   'an empty file comes too');

($s, $device) = asked($admin, '/range', 'Range: bytes=2-3');
$device->text('{"op":"ok","size":4}');
$device->binary('abcd');
is(answer($s)->{body}, 'abcd', 'a range gets the whole, with 200');

# each frame as the agent cuts it
($s, $device) = asked($admin, '/cut');
$device->text('{"op":"ok","size":6}');
$device->raw($device->frame(2, 'ab', fin => 0) . $device->frame(0, 'cd'));
$device->binary('');
$device->binary('ef');
is(answer($s)->{body}, 'abcdef', 'frames and messages may be cut anyhow');

# --- no file

($s, $device) = asked($admin, '/none');
$device->text('{"op":"cancel"}');
$r = answer($s);
is($r->{status}, 401, 'what the agent cannot read is refused');
is(header($r, 'content-disposition'), undef, 'and is no download');

my @bad = (
    ['no device', '?f=/x'], ['no file', '?n=' . id()],
    ['an empty file', '?f=&n=' . id()],
    ['another device', '?f=/x&n=' . 'A' x 64],
    ['a device that is none', '?f=/x&n=abc'],
    ['S-52: a NUL in the path', '?f=/x%00y&n=' . id()],
    ['S-52: a path that is no UTF-8', '?f=/x%ff&n=' . id()],
    ['S-52: a path of 4097 bytes', '?f=' . 'a' x 4097 . '&n=' . id()],
);
for (@bad) {
    my ($what, $query) = @$_;
    my $cookie = escape($admin->ask({ action => 'authcookie' })->{cookie});
    is($mesh->get("/devicefile.ashx$query&c=$cookie")->{status}, 404,
       "$what: 404");
}
is($mesh->request('POST', '/devicefile.ashx?f=/x&n=' . id())->{status}, 405,
   'a POST is not allowed');
is($mesh->get('/devicefile.ashx?f=/x&n=' . id())->{status}, 404,
   'S-30: who is not signed in gets nothing');
is($mesh->get('/devicefile.ashx?c=AAAA&f=/x&n=' . id())->{status}, 404,
   'S-30: nor who has a ticket that is none');
is(answer(ask($oona, '/x'))->{status}, 404,
   'S-33: to who has no right the device is not there');

# --- rights: of files, at the beginning and while it runs

grant(8 | 1024);
is(answer(ask($mei, '/x'))->{status}, 404,
   'S-31: who may not use files gets none');
grant(8);
($s, $device) = asked($mei, '/long');
$device->text('{"op":"ok","size":1000000}');
$device->binary('x' x 1000);
read_until($s, qr/\r\n\r\nx{1000}$/);
grant(8 | 1024);
$r = answer($s);
is(length($r->{body}), 1000, 'S-31: when the right goes the download is cut');
isnt($device->closed, 0, 'S-31: and the tunnel of the agent ends');

grant(8);
($s, $device) = begun($mei, '/away');
$agent->close;
$mesh->wait_for('the agent to be away', sub { !online() });
$device->binary('x' x 1000);
read_until($s, qr/\r\n\r\nx{2000}$/);
is(length((split /\r\n\r\n/, ${*$s}{in}, 2)[1]), 2000,
   'a download outlives the control channel of its agent');
grant(8 | 1024);
is(reason(2000), 'rights',
   'S-31: and is cut when the right goes while that is closed');
isnt($device->closed, 0, 'S-31: on both sides');
$agent->online or die "no agent\n";

grant(8);
($s, $device) = asked($mei, '/long');
$device->text('{"op":"ok","size":1000000}');
$device->binary('x' x 1000);
read_until($s, qr/\r\n\r\nx{1000}$/);
$mesh->admin(\"another password here\n", 'user', 'passwd', 'mei');
is(length(answer($s)->{body}), 1000,
   'S-07: another password cuts what runs under the old one');
isnt($device->closed, 0, 'S-07: on both sides');

# --- the web session that it runs in, and the list of sessions

my $browser = Mesh::Browser->login($mesh, 'admin', 'correct horse battery');
my $page = $browser->control;
my @web = map { [begun($page, "/web$_")] } 1 .. 4;
my @kept = begun($admin, '/kept');
my @listed = sort { $a->{bytesin} <=> $b->{bytesin} } listed(5);
is("@{[map { qq($_->{username} $_->{protocol} $_->{address}) } @listed]}",
   "@{[('admin 10 127.0.0.1') x 5]}",
   'downloads are in the list of sessions, with whose they are');
$mesh->wait_for('their bytes', sub {
    return 5 == grep { $_->{bytesin} == 1000 } listed(5);
});
$browser->post('logout', {});
my $begun = time;
is((grep { length(answer($_->[0])->{body}) == 1000 } @web), 4,
   'S-07: who signs out ends downloads, in all workers');
cmp_ok(time - $begun, '<', 10, 'S-07: soon');
is((grep { $_->[1]->closed } @web), 4, 'S-07: on both sides');
like(ended('session'), qr/, as its web session was over$/,
     'S-07: and the events say so');

my ($row) = listed(1);
$mei = Mesh::Control->new($mesh, 'mei', 'another password here');
is($mei->ask({ action => 'endrelay', id => $row->{id} })->{result},
   'Permission denied', 'S-31: who may not manage the device ends no download');
is($admin->ask({ action => 'endrelay', id => $row->{id} })->{result}, 'ok',
   'who may does');
is(length(answer($kept[0])->{body}), 1000, 'and it is cut');
isnt($kept[1]->closed, 0, 'on both sides');
like(ended('ended'), qr/^admin ended a files session .*, as admin ended it$/,
     'and the event says who ended it');
listed(0);
($s, $device) = begun($admin, '/event');
$device->binary('x' x 999_000);
is(length(answer($s)->{body}), 1_000_000, 'a download that nobody ends is whole');
my $done = ended('done', 'whole');
like($done, qr/^admin ended a files session of \d+ seconds from 127\.0\.0\.1$/,
     'its event has how long it was, and no reason to speak of');

# --- no false success

($s, $device) = asked($admin, '/gone');
$device->text('{"op":"ok","size":1000000}');
$device->binary('y' x 5000);
$device->abort;
$r = answer($s);
ok($r->{ended} && length $r->{body} < header($r, 'content-length'),
   'an agent that goes leaves a download that is shorter than was said');

($s, $device) = asked($admin, '/more');
$device->text('{"op":"ok","size":3}');
$device->binary('abcdef');
ok(length(answer($s)->{body}) < 3, 'more than was said is an error, not cut');

($s, $device) = asked($admin, '/early');
$device->binary('abc');
is(answer($s)->{status}, 502, 'data before the answer is an error');

($s, $device) = asked($admin, '/size');
$device->text('{"op":"ok","size":-1}');
is(answer($s)->{status}, 401, 'a size below nothing is a refusal');

($s, $device) = asked($admin, '/closed');
$device->close;
is(answer($s)->{status}, 404, 'an agent that goes before its answer: 404');

($s, $device) = asked($admin, '/text');
$device->text('x' x 600);
is(answer($s)->{status}, 502, 'an answer that is too long is none');

# --- who gives up

($s, $device) = asked($admin, '/left');
$device->text('{"op":"ok","size":1000000}');
$device->binary('z' x 5000);
read_until($s, qr/\r\n\r\nz+$/);
close $s;
isnt($device->closed, 0,
     'when the browser gives up, the tunnel of the agent ends');

$s = ask($admin, '/left');
my $command = invitation();
close $s;
sleep 0.2;
my $late = tunnel($command);
is(($late->read(0.5) // {})->{data}, undef,
   'an agent that comes behind that meets nobody');
$late->abort;

# --- S-51: the id is a name, and only its agent gets in

$s = ask($admin, '/x');
$command = invitation();
like($command->{value}, qr{^\*/meshrelay\.ashx\?p=10&id=[0-9a-f]{32}&rauth=},
     'S-51: the id is made here, of 128 bits');
is_deeply($command->{soptions}{usages}, [10],
          'S-51: nothing but the download may run in it');
is($command->{usage}, 10, 'and that is said');
is($command->{userid}, 'user//admin', 'the agent is told for whom');
my ($id) = $command->{value} =~ /&id=(\w+)/;
my $cookie = escape($admin->ask({ action => 'authcookie' })->{cookie});
my $viewer = $mesh->ws("/meshrelay.ashx?browser=1&p=10&id=$id&auth=$cookie");
isnt($viewer->closed, 0, 'S-51: a viewer that knows the id is closed');
my $first = tunnel($command);
is($first->read->{data}, 'c', 'S-51: and the agent is met all the same');
isnt(tunnel($command)->closed, 0, 'S-51: a second half is closed');
$first->read for 1 .. 2;
$first->text('{"op":"ok","size":2}');
$first->binary('ok');
is(answer($s)->{body}, 'ok', 'S-51: the download goes on');

# --- back pressure

($s, $device) = asked($admin, '/big');
my $size = 64 << 20;
$device->text(encode_json({ op => 'ok', size => $size }));
my $rss = $mesh->memory;
my ($sent, $pid) = pour($device, $size);
ok($sent > 0 && $sent < 24 << 20,
   "S-24: a browser that does not read stops the agent (after $sent bytes)");
my $grown = $mesh->memory - $rss;
# a sanitizer keeps what was freed for a while
ok($grown < ($ENV{MESH_ASAN} ? 64 : 8) << 20,
   "S-24: and the workers keep little of it ($grown)");
read_until($s, qr/\r\n\r\n/);
${*$s}{in} =~ s/.*?\r\n\r\n//s;
my $got = length ${*$s}{in};
while ($got < $size && (my $n = sysread $s, my $part, 65536)) { $got += $n }
is($got, $size, 'nothing is lost when it reads on');
waitpid $pid, 0;

# --- the device is removed, its agent there or away

for my $there (1, 0) {
    my $bytes = 3000 + $there;
    ($s, $device) = begun($admin, '/removed');
    $device->binary('x' x ($bytes - 1000));
    read_until($s, qr/\r\n\r\nx{$bytes}$/);
    if (!$there) {
        $agent->close;
        $mesh->wait_for('the agent to be away', sub { !online() });
    }
    $admin->ask({ action => 'removedevices', nodeids => [$agent->node] });
    is(reason($bytes), 'rights',
       'S-31: a download ends with its device, the agent '
       . ($there ? 'there' : 'away'));
    isnt($device->closed, 0, 'S-31: on both sides');
    next if !$there;
    $agent->close;
    $agent->online or die "no agent\n";
}

# --- what happened

my @files;
$mesh->wait_for('the events', sub {
    my $reply = $admin->ask({ action => 'events', limit => 200 });
    @files = grep { ($_->{action} // '') eq 'relaylog'
                       && $_->{msgid} == 12 } @{ $reply->{events} };
    return @files >= 10;
});
like($files[-1]{msg}, qr/^admin ended a files session/,
     'a download is in the log, with who');
is((grep { /devicefile\.ashx\?/ } split /\n/, $mesh->error_log), 0,
   'S-14: no path is in the log of errors');

$mesh->stop;
done_testing;


sub decode_utf8 { my ($t) = @_; utf8::decode($t); return $t }
# one that has begun: of a million bytes the first thousand are there
sub begun {
    my ($s, $device) = asked(@_);
    $device->text('{"op":"ok","size":1000000}');
    $device->binary('x' x 1000);
    read_until($s, qr/\r\n\r\nx{1000}$/);
    return ($s, $device);
}

# sessions on devices, when there are so many
sub listed {
    my ($n) = @_;
    my @list;
    $mesh->wait_for("a list of $n", sub {
        @list = @{ $admin->ask({ action => 'relays' })->{relays} };
        return @list == $n;
    });
    return @list;
}

# the words of the newest event of a session that ended for this reason
sub ended {
    my ($reason, $whole) = @_;
    my $e;
    $mesh->wait_for("an event: $reason", sub {
        ($e) = grep { ($_->{reason} // '') eq $reason
                      && (!$whole || $_->{bytesin} == 1_000_000) }
            @{ $admin->ask({ action => 'events', nodeid => $agent->node,
                             limit => 50 })->{events} };
        return $e;
    });
    return $e->{msg};
}

# is the agent there, as the server sees it?
sub online {
    my %nodes = %{ $admin->ask({ action => 'nodes' })->{nodes} };
    return grep { $_->{_id} eq $agent->node && ($_->{conn} // 0) & 1 }
        map { @$_ } values %nodes;
}

# why the download ended of which so many bytes came
sub reason {
    my ($bytes) = @_;
    my $e;
    $mesh->wait_for("the end of the one of $bytes bytes", sub {
        ($e) = grep { ($_->{bytesin} // 0) == $bytes && $_->{reason} }
            @{ $admin->ask({ action => 'events', limit => 50 })->{events} };
        return $e;
    });
    return $e->{reason};
}

sub id { return escape(Mesh::Agent::wire_id($agent->{id})) }
sub header { return $_[0]{head} =~ /^\Q$_[1]\E: (.*?)\r?$/mi ? $1 : undef }

# a request that is under way
sub ask {
    my ($who, $path, @headers) = @_;
    my $cookie = escape($who->ask({ action => 'authcookie' })->{cookie});
    my $s = IO::Socket::SSL->new(
        PeerAddr => '127.0.0.1', PeerPort => $mesh->{port},
        SSL_verify_mode => 0, SSL_hostname => 'localhost') or die;
    print $s join("\r\n", 'GET /devicefile.ashx?n=' . id() . '&f='
                  . escape($path) . "&c=$cookie HTTP/1.1",
                  "Host: localhost:$mesh->{port}", 'Connection: close',
                  @headers), "\r\n\r\n";
    ${*$s}{in} = '';
    return $s;
}

sub invitation {
    while (my $m = $agent->await('msg')) {
        return $m->{json} if ($m->{json}{type} // '') eq 'tunnel';
    }
    die "no invitation\n";
}

sub tunnel {
    my ($command) = @_;
    my ($path) = $command->{value} =~ m{^\*(/.*)};
    $path =~ s/([\$\@])/sprintf '%%%02X', ord $1/ge;
    return $mesh->ws($path);
}

# the request, and the tunnel of the agent that was asked for it
sub fetch {
    my $s = ask(@_);
    my $device = tunnel(invitation());
    my $m = $device->read;
    die "not joined\n" if ($m->{data} // '') ne 'c';
    return ($s, $device);
}

# the same, when the agent has been told
sub asked {
    my ($s, $device) = fetch(@_);
    $device->read for 1 .. 2;
    return ($s, $device);
}

sub read_until {
    my ($s, $want) = @_;
    my $until = time + $Mesh::Test::DEADLINE;
    while (${*$s}{in} !~ $want && time < $until) {
        sysread($s, ${*$s}{in}, 65536, length ${*$s}{in}) or last;
    }
}

sub answer {
    my ($s) = @_;
    my $until = time + $Mesh::Test::DEADLINE;
    my $ended = 0;
    while (time < $until) {
        my $n = sysread $s, ${*$s}{in}, 65536, length ${*$s}{in};
        if (!$n) { $ended = 1; last }
    }
    my ($head, $body) = split /\r\n\r\n/, ${*$s}{in}, 2;
    my ($status) = ($head // '') =~ m{^HTTP/1\.1 (\d+)};
    return { status => $status // 0, head => $head // '',
             body => $body // '', ended => $ended };
}

sub grant {
    my ($rights) = @_;
    $admin->ask({ action => 'addmeshuser', meshid => $group,
                  usernames => ['mei'], meshadmin => $rights });
}

# bytes of the workers' own memory
