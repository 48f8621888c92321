#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# A real agent, the stock one or ours, with our core: its files through our
# server's relay.  A listing, a file of 2 MB there and back, and the changes
# that a page makes.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Digest::SHA qw(sha384_hex);
use Encode qw(encode_utf8);
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
$program->enroll($mesh, $group =~ s{^mesh//}{}r);

my $control = $mesh->ws('/control.ashx', headers => { 'x-meshauth' =>
    join ',', map { encode_base64($_, '') } 'admin',
                  'correct horse battery' });
for (1 .. 2) { $control->read or die "no control channel\n" }

my $agent = $program->start;
my $node = wait_for(sub { $_[0]{action} eq 'event'
    && $_[0]{event}{action} eq 'nodeconnect'
    && $_[0]{event}{conn} == 1 })->{event}{nodeid};
like($node, qr{^node//}, 'the device is online');

# it may be asked before it has its core
$mesh->wait_for('coreinfo', sub {
    my $nodes = ask({ action => 'nodes' });
    my ($device) = map { @$_ } values %{ $nodes->{nodes} };
    return ($device->{core} // '') =~ /^ngx_mesh core/;
});

my $dir = "$mesh->{dir}/files";
mkdir $dir;
Mesh::Test::write_file("$dir/plain", 'x' x 1234);
utime 1600000000, 1600000000, "$dir/plain";
mkdir "$dir/folder";
Mesh::Test::write_file("$dir/" . encode_utf8("\x{e4}\x{20ac}\x{1f600}"), '');
Mesh::Test::write_file("$dir/bad\xe9\xff", '');

my $viewer = files('files1');

# --- listing

my $list = ls($dir);
is_deeply($list->{plain}, { n => 'plain', t => 3, s => 1234,
                            d => '2020-09-13T12:26:40Z' },
          'a file has its size, kind and time');
is($list->{folder}{t}, 2, 'a folder its kind');
ok($list->{"\x{e4}\x{20ac}\x{1f600}"}, 'a name is UTF-8');
ok($list->{"bad\x{fffd}\x{fffd}"}, 'what is none has U+FFFD');
is(ls("$dir/none"), undef, 'a folder that is missing has no list');

# --- 2 MB there and back

my $data = join '', map { pack 'N', ($_ * 2654435761) % 4294967296 }
           1 .. 524288;
my $before = time;
command({ action => 'upload', reqid => 1, path => $dir, name => 'up',
          size => length $data });
ok(action('uploadstart'), 'an upload starts');
my ($sent, $acks) = (0, 0);
for (my $at = 0; $at < length $data; $at += 65536) {
    my $block = substr $data, $at, 65536;
    $viewer->binary($block =~ /^[\0{]/ ? "\0$block" : $block);
    $sent++;
    while ($sent - $acks >= 8) {
        action('uploadack') or last;
        $acks++;
    }
}
while ($acks < $sent) {
    action('uploadack') or last;
    $acks++;
}
command({ action => 'uploaddone', reqid => 1 });
ok(action('uploaddone'), 'and is done');
note(sprintf 'upload in %.3f s', time - $before);
is(sha384_hex(Mesh::Test::read_file("$dir/up")), sha384_hex($data),
   'the file is the same');

command({ action => 'uploadhash', reqid => 2, path => $dir, name => 'up' });
is(action('uploadhash')->{hash}, uc sha384_hex($data), 'its hash is told');

$before = time;
my $back = download("$dir/up");
note(sprintf 'download in %.3f s', time - $before);
is(sha384_hex($back // ''), sha384_hex($data), 'a download is the same');

# what a page asks for to go on where a connection broke
is(action('uploadhash', { action => 'uploadhash', reqid => 4, path => $dir,
                          name => 'up' })->{size}, length $data,
   'the hash comes with the size that it is of');
my ($started, $rest) = rest("$dir/up", 2_000_000);
is("$started->{size} $started->{offset}", length($data) . ' 2000000',
   'a download begins in the middle');
ok($rest eq substr($data, 2_000_000), 'and is the rest of the file');

# the stock host knows positions of 31 bits
my $far = 2**31 - 50_000;
open my $sparse, '>', "$dir/far" or die "$dir/far: $!\n";
seek $sparse, $far, 0;
print $sparse substr $data, 0, 400_000;
close $sparse;
for my $at (0, 20_000, 80_000, 300_000) {
    ($started, $rest) = rest("$dir/far", $far + $at);
    ok($rest eq substr($data, $at, 400_000 - $at),
       "so it is about 2 GB, from $started->{offset}");
}
unlink "$dir/far";

# protocol 10, as devicefile.ashx of the server asks for it
my $ticket = escape(ask({ action => 'authcookie' })->{cookie});
my $got = $mesh->get('/devicefile.ashx?n=' . escape($node) . '&f='
                     . escape("$dir/up") . "&c=$ticket");
is($got->{status}, 200, 'the server fetches a file for a browser');
is(sha384_hex($got->{body}), sha384_hex($data), 'which is the same');
is($mesh->get('/devicefile.ashx?n=' . escape($node) . '&f='
              . escape("$dir/none") . "&c=$ticket")->{status}, 401,
   'and says so when there is none');

# --- archives

mkdir "$dir/-tree";
Mesh::Test::write_file("$dir/-tree/\$(touch x) 'a", 'odd');
command({ action => 'zip', path => $dir, files => ['-tree', 'plain'],
          output => '-packed.zip' });
is(action('dialogmessage')->{msg}, 'zipping', 'an archive is begun');
is(action('dialogmessage')->{msg}, undef, 'and made');
ok(action('refresh'), 'and the page is to look again');
mkdir "$dir/unpacked";
command({ action => 'unzip', input => "$dir/-packed.zip",
          dest => "$dir/unpacked" });
is(action('dialogmessage')->{msg}, 'unzipping', 'it is unpacked');
is(action('dialogmessage')->{msg}, undef, 'to its end');
is(Mesh::Test::read_file("$dir/unpacked/-tree/\$(touch x) 'a"), 'odd',
   'S-52: names that look like options and commands are names');
ok(!-e "$dir/x" && !-e "$dir/unpacked/x", 'S-52: none of them runs');
Mesh::Test::write_file("$dir/bad.zip", 'PK no archive');
command({ action => 'unzip', input => "$dir/bad.zip", dest => $dir });
action('dialogmessage');
is(action('dialogmessage')->{msg}, 'unziperror', 'what is none is said');

# --- changes, and how they went

for (['mkdir', { path => "$dir/said" }, 1],
     ['mkdir', { path => "$dir/said" }, 0],
     ['rename', { path => $dir, oldname => 'said', newname => 'plain' }, 0],
     ['rename', { path => $dir, oldname => 'said', newname => 'told' }, 1],
     ['copy', { scpath => $dir, dspath => "$dir/told", names => ['-tree'],
                rec => JSON::PP::true }, 1],
     ['copy', { scpath => $dir, dspath => "$dir/told/-tree",
                names => ['told'], rec => JSON::PP::true }, 0],
     ['move', { scpath => "$dir/told", dspath => "$dir/unpacked/-tree",
                names => ['-tree'], rec => JSON::PP::true }, 1],
     ['rm', { path => $dir, delfiles => ['told', 'unpacked', '-tree'],
              rec => JSON::PP::true }, 1],
     ['rm', { path => $dir, delfiles => ['none'] }, 0])
{
    my ($what, $members, $ok) = @$_;
    my $said = action('done', { action => $what, reqid => 9,
                                answer => JSON::PP::true, %$members });
    is("$said->{command} $said->{reqid} " . ($said->{ok} ? 1 : 0),
       "$what 9 $ok", "$what is answered with " . ($ok ? 'yes' : 'no'));
}

# --- changes

command({ action => 'mkdir', path => "$dir/new \x{1f600}" });
is_deeply(ls("$dir/new \x{1f600}"), {}, 'a folder is made');
ok(-d "$dir/" . encode_utf8("new \x{1f600}"), 'with the name asked for');
command({ action => 'rename', path => $dir, oldname => 'up',
          newname => "there \x{1f600}" });
ok(ls($dir)->{"there \x{1f600}"}, 'a file is renamed');
ok(-e "$dir/" . encode_utf8("there \x{1f600}"), 'to the name asked for');
command({ action => 'copy', scpath => $dir, dspath => "$dir/folder",
          names => ["there \x{1f600}", 'plain'] });
is_deeply([sort keys %{ ls("$dir/folder") }], ['plain', "there \x{1f600}"],
          'files are copied');

mkdir "$dir/outside";
Mesh::Test::write_file("$dir/outside/precious", 'p');
symlink '../outside', "$dir/folder/out";
command({ action => 'rm', path => $dir, delfiles => ['folder'],
          rec => JSON::PP::false });
ok(ls($dir)->{folder}, 'a full folder stays');
command({ action => 'rm', path => $dir, delfiles => ['folder'],
          rec => JSON::PP::true });
ok(!ls($dir)->{folder}, 'unless all of it is meant');
ok(-e "$dir/outside/precious", 'which is not what a link in it points to');

# --- a folder of many

mkdir "$dir/many";
for my $n (1 .. 5000) {
    open my $out, '>', "$dir/many/$n" or die "$n: $!\n";
}
is(scalar keys %{ ls("$dir/many") }, 5000, 'a long listing arrives whole');

# --- the connection broke, and nobody has told the device yet

my @halves = map { $_ x 10_001 } 'a' .. 'c';
my @viewers = $viewer;
for my $n (0 .. $#halves) {
    if ($n) {
        $viewer = files('again' . $n);
        push @viewers, $viewer;
        is(action('uploadhash', { action => 'uploadhash', reqid => 20 + $n,
                                  path => $dir, name => 'cut' })->{size},
           $n * length $halves[0], 'all that was taken is counted');
    }
    action('uploadstart', { action => 'upload', reqid => 30 + $n, path => $dir,
                            name => 'cut', size => 3 * length $halves[0],
                            append => $n ? JSON::PP::true : JSON::PP::false });
    $viewer->binary($halves[$n]);
    action('uploadack');
}
$viewers[0]->binary('late');
$viewers[1]->close;
action('uploaddone', { action => 'uploaddone', reqid => 32 });
($viewer, my $last) = ($viewers[0], $viewer);
ok(action('uploaderror'), 'who still writes is told that another goes on');
ok(ls($dir)->{cut}, 'and can go on with something else');
ok(Mesh::Test::read_file("$dir/cut") eq join('', @halves),
   'what the first ones had is not written behind the others');
$last->close;

# --- the end

command({ action => 'upload', reqid => 3, path => $dir, name => 'part',
          size => 100 });
action('uploadstart');
$viewer->binary('half');
action('uploadack');
$viewer->close;
$mesh->wait_for('the file to be closed', sub {
    return !grep { (readlink($_) // '') eq "$dir/part" }
           glob "/proc/$agent/fd/*";
});
is(Mesh::Test::read_file("$dir/part"), 'half',
   'what had come when the viewer went is kept');

$mesh->stop_pid($agent, 'KILL');
$mesh->stop;
done_testing;

sub wait_for {
    my ($want) = @_;
    while (my $m = $control->read) {
        die "control channel closed\n" if !defined $m->{data};
        my $j = decode_json($m->{data});
        return $j if $want->($j);
    }
    die "waited in vain on the control channel\n";
}

sub ask {
    my ($request) = @_;
    $control->text(encode_json($request));
    return wait_for(sub { $_[0]{action} eq $request->{action} });
}

sub files {
    my ($id) = @_;
    my $cookie = ask({ action => 'authcookie' });
    $control->text(encode_json({ action => 'msg', type => 'tunnel',
        nodeid => $node, usage => 5, value => '*/meshrelay.ashx?p=5&nodeid='
        . "$node&id=$id&rauth=$cookie->{rcookie}" }));
    my $ws = $mesh->ws('/meshrelay.ashx?browser=1&p=5&nodeid='
        . escape($node) . "&id=$id&auth=" . escape($cookie->{cookie}));
    is($ws->read->{data}, 'c', 'a file session opens');
    $ws->text('5');
    return $ws;
}

sub command {
    my ($object) = @_;
    $viewer->binary(encode_json($object));
}

# the next message of the agent: its JSON, or a block of a download
sub message {
    my $m = $viewer->read(30) or return undef;
    return undef if !defined $m->{data};
    return $m->{data} =~ /^\{/ ? { json => decode_json($m->{data}) }
                               : { block => $m->{data} };
}

# the next message of that action, after a command
sub action {
    my ($action, $command) = @_;
    command($command) if $command;
    while (my $m = message()) {
        return $m->{json} if $m->{json}
                             && ($m->{json}{action} // '') eq $action;
    }
    return undef;
}

sub ls {
    my ($path) = @_;
    my $id = 'ls' . rand;
    command({ action => 'ls', path => $path, reqid => $id });
    while (my $m = message()) {
        next if !$m->{json} || ($m->{json}{reqid} // '') ne $id;
        return undef if !defined $m->{json}{dir};
        return { map { $_->{n} => $_ } @{ $m->{json}{dir} } };
    }
    return { gone => {} };
}

# a download from offset on: the agent's word of it, and what came
sub rest {
    my ($path, $offset) = @_;
    command({ action => 'download', sub => 'start', id => 5, path => $path,
              offset => $offset });
    my $start = action('download');
    command({ action => 'download', sub => 'startack', id => 5 });
    my $got = '';
    while (my $m = message()) {
        next if $m->{json};
        $got .= substr $m->{block}, 4;
        last if ord(substr $m->{block}, 3, 1) & 1;
        command({ action => 'download', sub => 'ack', id => 5 });
    }
    return ($start, $got);
}

sub download {
    my ($path) = @_;
    my $data = '';
    command({ action => 'download', sub => 'start', id => 1,
              path => $path });
    my $start = action('download');
    return undef if !$start || $start->{sub} ne 'start';
    command({ action => 'download', sub => 'startack', id => 1 });
    while (my $m = message()) {
        next if !$m->{block};
        $data .= substr $m->{block}, 4;
        return $data if unpack('N', $m->{block}) == 0x01000001;
        command({ action => 'download', sub => 'ack', id => 1 });
    }
    return undef;
}
