#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# Files of a device with mesh-agent and our core: listing, changes, uploads and
# downloads of protocol 5, and protocol 10.  S-18 and S-52 from the agent's
# side.

use strict;
use warnings;

use Digest::SHA qw(sha384 sha384_hex);
use File::Temp qw(tempdir);
use JSON::PP;
use Test::More;

use Mesh::Test;
use Mesh::Server;

my $core = Mesh::Test::read_file("$Mesh::Test::ROOT/build/core.js");
my $dir = tempdir('/var/tmp/mesh-files.XXXXXX', CLEANUP => 1);
my $server = Mesh::Server->new;
my $pid = $server->start;
my $s = $server->accept;
ok($s->admit, 'the agent is in');
is($s->core($core), sha384("\0\0\0\0$core"), 'with our core');

sub tunnel {
    my (%more) = @_;
    $s->json({ action => 'msg', type => 'tunnel', usage => 5,
               value => '*/meshrelay.ashx?p=5&id=a&rauth=b',
               rights => 4294967295, consent => 0, userid => 'user//a',
               username => 'a', remoteaddr => '127.0.0.1',
               servertlshash => unpack('H*', $s->{web}), soptions => {},
               %more });
    my $t = $server->accept;
    $t->send('c', 1);
    return $t;
}

sub files {
    my $t = tunnel(@_);
    $t->send('5', 1);
    return $t;
}

# as the page sends it; meshctrl sends TEXT
sub say_ {
    my ($t, $command, $opcode) = @_;
    $t->send(encode_json($command), $opcode // 2);
}

# the next message for which it is true
sub next_ {
    my ($t, $want) = @_;
    while (my $m = $t->message) {
        return undef if exists $m->{close};
        return $m if $want->($m);
    }
    return undef;
}

sub action {
    my ($t, $action) = @_;
    my $m = next_($t, sub { ($_[0]{json}{action} // '') eq $action });
    return $m && $m->{json};
}

sub console_ {
    my ($t) = @_;
    my $m = next_($t, sub { ($_[0]{json}{type} // '') eq 'console'
                            && defined $_[0]{json}{msg} });
    return $m && $m->{json}{msg};
}

# the folder's names: name => entry; undef: it cannot be read
sub ls {
    my ($t, $path, $opcode) = @_;
    my $id = 'ls' . rand;
    say_($t, { action => 'ls', path => $path, reqid => $id }, $opcode);
    my $m = next_($t, sub { $_[0]{json} && exists $_[0]{json}{dir}
                            && ($_[0]{json}{reqid} // '') eq $id })
        or return 'gone';
    return undef if !defined $m->{json}{dir};
    return { map { $_->{n} => $_ } @{ $m->{json}{dir} } };
}

sub names { my $list = ls(@_); return $list && [sort keys %$list] }

# data in blocks, with no more under way than the window; the last answer
sub upload {
    my ($t, $command, $data, $block) = @_;
    say_($t, { action => 'upload', reqid => 7, size => length $data,
               %$command });
    return 'not started' if !action($t, 'uploadstart');
    return blocks($t, $data, $block);
}

sub blocks {
    my ($t, $data, $block) = @_;
    my ($sent, $acks) = (0, 0);
    for (my $at = 0; $at < length $data; $at += $block) {
        my $part = substr $data, $at, $block;
        $part = "\0$part" if $part =~ /^[\0{]/;
        $t->send($part);
        $sent++;
        while ($sent - $acks >= 8) {
            action($t, 'uploadack') or return 'gone';
            $acks++;
        }
    }
    while ($acks < $sent) {
        action($t, 'uploadack') or return 'gone';
        $acks++;
    }
    say_($t, { action => 'uploaddone', reqid => 7 });
    my $m = next_($t, sub { ($_[0]{json}{action} // '') =~ /^upload/ });
    return $m && $m->{json}{action};
}

# (data, blocks); undef when it is refused
sub download {
    my ($t, $path, $ack) = @_;
    say_($t, { action => 'download', sub => 'start', id => 3,
               path => $path });
    my $m = action($t, 'download') or return undef;
    return undef if $m->{sub} ne 'start' || $m->{id} != 3;
    say_($t, { action => 'download', sub => 'startack', id => 3,
               $ack ? (ack => $ack) : () });
    my ($data, $count) = ('', 0);
    while (my $block = next_($t, sub { !$_[0]{json} })) {
        my $head = unpack 'N', $block->{data};
        $data .= substr $block->{data}, 4;
        $count++;
        return ($data, $count) if $head == 0x01000001;
        return undef if $head != 0x01000000
                        || length $block->{data} != 16384;
        say_($t, { action => 'download', sub => 'ack', id => 3 });
    }
    return undef;
}

# what the agent has open below the test's folder
sub open_files {
    return grep { /^\Q$dir\E/ } map { readlink($_) // '' }
           glob "/proc/$pid/fd/*";
}

sub all_closed {
    for (1 .. 200) {
        return 1 if !open_files();
        select undef, undef, undef, 0.05;
    }
    return 0;
}

sub put { Mesh::Test::write_file("$dir/$_[0]", $_[1] // '') }
sub get { Mesh::Test::read_file("$dir/$_[0]") }

sub random {
    my ($size) = @_;
    open my $in, '<:raw', '/dev/urandom' or die;
    my $data;
    read $in, $data, $size;

    # a message that begins with { is taken for JSON here
    $data =~ tr/{/z/;
    return $data;
}

# --- rights

for my $rights (0, 8 | 1024, 16, undef, '8') {
    my $t = files(rights => $rights);
    like(console_($t), qr/no right/, 'without the right it is refused');
    ok(defined $t->closed, 'and ends');
}

my $t = files(rights => 8);
is_deeply(names($t, $dir), [], 'with it an empty folder is listed');
is($s->await('sessions')->{json}{type}, 'files', 'the session is counted');
$t->close;

# --- consent

$t = files(consent => 32);
say_($t, { action => 'ls', path => '/', reqid => 1 });
my @said;
while (my $f = $t->message) {
    last if exists $f->{close};
    push @said, $f->{json};
}
ok(@said && !grep({ exists $_->{dir} } @said),
   'nothing is listed while nobody has agreed');
is($said[-1]{msgid}, 2, 'and the viewer is told that nobody did');

# --- listing

put('plain', 'x' x 1234);
utime 1600000000, 1600000000, "$dir/plain";
mkdir "$dir/folder";
symlink 'plain', "$dir/link";
symlink 'nothing', "$dir/dangling";
put("\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80");
put("bad\xe9\xff");
put("quote\"\\\n");

$t = files();
my $list = ls($t, $dir);
is_deeply($list->{plain}, { n => 'plain', t => 3, s => 1234,
                            d => '2020-09-13T12:26:40Z' },
          'a file has its size, kind and time');
is($list->{folder}{t}, 2, 'a folder its kind');
is($list->{link}{s}, 1234, 'a link is what it points to');
ok(!exists $list->{dangling}, 'one to nothing is not there');
ok($list->{"\x{e4} \x{20ac} \x{1f600}"}, 'names are UTF-8');
ok($list->{"bad\x{fffd}\x{fffd}"}, 'what is none has U+FFFD');
ok($list->{"quote\"\\\n"}, 'odd characters arrive');
is_deeply(names($t, $dir, 1), [sort keys %$list], 'a command may be TEXT');
is_deeply(names($t, substr $dir, 1), [sort keys %$list],
          'a path without / is given one');
is(ls($t, "$dir/none"), undef, 'a folder that is missing has no list');
is_deeply(names($t, "$dir/plain"), [], 'a file has an empty one');
ok(ls($t, '')->{var}, 'no path is the root');

for my $path ("$dir\0/x", "$dir/" . 'x' x 5000, undef, 7, [], {}) {
    is(ls($t, $path), undef, 'a path that is none has no list');
}

mkdir "$dir/many";
for my $n (1 .. 20000) {
    open my $out, '>', "$dir/many/name-$n" or die "$n: $!\n";
}
say_($t, { action => 'ls', path => "$dir/many", reqid => 1 });
$t->json({ ctrlChannel => '102938', type => 'ping' });
my $first = $t->message;
is($first->{json}{type}, 'pong', 'a long listing stops nothing else');
my $m = next_($t, sub { $_[0]{json} && exists $_[0]{json}{dir} });
is(scalar @{ $m->{json}{dir} }, 20000, 'and is whole');

# --- changes

say_($t, { action => 'mkdir', path => "$dir/new \x{20ac}" });
is_deeply(names($t, $dir =~ s/$/\/new \x{20ac}/r), [], 'mkdir');
ok(-d "$dir/new \xe2\x82\xac", 'makes a folder');
$m = $s->await('log');
$m = $s->await('log') while $m && $m->{json}{msgid} != 44;
is($m->{json}{msgArgs}[0], "$dir/new \x{20ac}", 'which is logged');
say_($t, { action => 'mkdir', path => "$dir/plain" });
like(console_($t), qr/cannot be created/, 'or says that it cannot');

say_($t, { action => 'rename', path => $dir, oldname => 'plain',
           newname => "p \x{1f600}" });
ok(ls($t, $dir)->{"p \x{1f600}"}, 'rename');
is(-s "$dir/p \xf0\x9f\x98\x80", 1234, 'gives a file the name');
rename "$dir/p \xf0\x9f\x98\x80", "$dir/plain";

for my $name ('../x', '..', '.', '', 'a/b', "a\0b", undef, 7, [], 'x' x 5000) {
    say_($t, { action => 'rename', path => "$dir/folder",
               oldname => '../plain', newname => 'in' });
    say_($t, { action => 'rename', path => $dir, oldname => 'plain',
               newname => $name });
    say_($t, { action => 'rm', path => "$dir/folder", delfiles => [$name],
               rec => \1 });
    say_($t, { action => 'copy', scpath => $dir, dspath => "$dir/folder",
               names => [$name] });
}
is_deeply(names($t, "$dir/folder"), [], 'S-52: a name is no way elsewhere');
is(-s "$dir/plain", 1234, 'S-52: and nothing is lost by one');

put('folder/a', 'a');
put('folder/b', 'b');
mkdir "$dir/outside";
put('outside/precious', 'p');
symlink '../outside', "$dir/folder/out";
say_($t, { action => 'rm', path => $dir, delfiles => ['folder'],
           rec => \0 });
is_deeply(names($t, "$dir/folder"), ['a', 'b', 'out'],
          'a full folder is not removed');
say_($t, { action => 'rm', path => "$dir/folder", delfiles => ['a'] });
is_deeply(names($t, "$dir/folder"), ['b', 'out'], 'a file is');
say_($t, { action => 'rm', path => $dir, delfiles => ['folder'],
           rec => \1 });
ok(!exists ls($t, $dir)->{folder}, 'a full folder is when all of it is meant');
is(get('outside/precious'), 'p', 'but not what a link in it points to');
symlink 'outside', "$dir/way";
say_($t, { action => 'rm', path => $dir, delfiles => ['way'], rec => \1 });
ok(!exists ls($t, $dir)->{way}, 'a link is removed');
is(get('outside/precious'), 'p', 'without what it points to');

say_($t, { action => 'copy', scpath => $dir, dspath => "$dir/outside",
           names => ['plain', 'many'] });
is_deeply(names($t, "$dir/outside"), ['plain', 'precious'],
          'files are copied, folders are not');
say_($t, { action => 'move', scpath => "$dir/outside", dspath => $dir,
           names => ['precious'] });
is_deeply(names($t, "$dir/outside"), ['plain'], 'a file moves away');
is(get('precious'), 'p', 'to where it should');

# --- search

say_($t, { action => 'findfile', path => $dir, filter => 'NAME-1999?',
           reqid => 'f' });
my @found;
while (my $f = action($t, 'findfile')) {
    last if !defined $f->{r};
    push @found, $f->{r};
}
is_deeply([sort @found], [map { "/many/name-1999$_" } 0 .. 9],
          'files are found');
say_($t, { action => 'findfile', path => "$dir/none", filter => '*',
           reqid => 'g' });
ok(!defined action($t, 'findfile')->{r}, 'a search for nothing ends');

# --- transfers

my $data = random(3 * 1024 * 1024 + 77);
is(upload($t, { path => $dir, name => 'up' }, $data, 65536), 'uploaddone',
   'an upload is done');
is(sha384_hex(get('up')), sha384_hex($data), 'and is the same');
is(upload($t, { path => "$dir/up2" }, "{\0\0{" x 5000, 4), 'uploaddone',
   'a path may be without a name');
is(get('up2'), "{\0\0{" x 5000, 'blocks may begin with { and NUL');
is(upload($t, { path => $dir, name => 'empty' }, '', 1), 'uploaddone',
   'it may be empty');
is(-s "$dir/empty", 0, 'and is');

my ($back, $count) = download($t, "$dir/up", 8);
is(sha384_hex($back // ''), sha384_hex($data), 'a download is the same');
is($count, int(length($data) / 16380) + 1, 'in blocks of 16380');
for my $size (0, 1, 16379, 16380, 16381, 32760) {
    put('sized', substr $data, 0, $size);
    ($back, $count) = download($t, "$dir/sized");
    ok(defined $back && $back eq substr($data, 0, $size)
       && $count == int($size / 16380) + 1, "as is one of $size bytes");
}
for my $path ("$dir/none", $dir, '/dev/zero', "$dir\0", undef, []) {
    is(download($t, $path), undef, 'no file is no download');
}

# no more than has been asked for
say_($t, { action => 'download', sub => 'start', id => 'a',
           path => "$dir/up" });
action($t, 'download');
say_($t, { action => 'download', sub => 'startack', id => 'a', ack => 3 });
say_($t, { action => 'download', sub => 'startack', id => 'a', ack => 3 });
say_($t, { action => 'download', sub => 'ack', id => 'other' });
$t->json({ ctrlChannel => '102938', type => 'ping' });
@said = ();
while (my $f = $t->message) {
    last if $f->{json};
    push @said, $f;
}
is(scalar @said, 3, 'no block comes that was not asked for');
is(scalar open_files(), 1, 'the file is open');
say_($t, { action => 'download', sub => 'start', id => 'b',
           path => "$dir/up" });
is_deeply([map { my $d = action($t, 'download'); "$d->{sub} $d->{id}" }
           1 .. 2], ['cancel a', 'start b'], 'another one takes its place');
say_($t, { action => 'download', sub => 'stop', id => 'b' });
ok(all_closed(), 'a stop closes the file');

# --- resume

my $half = 1024 * 1024;
put('part', substr $data, 0, $half);
say_($t, { action => 'uploadhash', reqid => 9, path => $dir, name => 'part',
           tag => { h => 'x', s => 1, skip => \0 } });
$m = action($t, 'uploadhash');
is($m->{hash}, uc sha384_hex(substr $data, 0, $half),
   'the hash of what is there is told');
is($m->{tag}{h}, 'x', 'with what the viewer sent along');
is(upload($t, { path => $dir, name => 'part', append => \1 },
          substr($data, $half), 65536), 'uploaddone', 'the rest is appended');
is(sha384_hex(get('part')), sha384_hex($data), 'and makes it whole');
say_($t, { action => 'uploadhash', reqid => 9, path => $dir,
           name => 'none' });
$m = action($t, 'uploadhash');
ok(exists $m->{hash} && !defined $m->{hash}, 'no file has no hash');

# --- given up, refused

say_($t, { action => 'upload', reqid => 1, path => $dir, name => 'given-up',
           size => 100 });
action($t, 'uploadstart');
$t->send('x' x 50);
action($t, 'uploadack');
say_($t, { action => 'uploadcancel', reqid => 1 });
is(action($t, 'uploadcancel')->{reqid}, 1, 'an upload can be given up');
ok(!-e "$dir/given-up", 'and leaves nothing');
$t->send('late data');

for my $where ({ path => $dir, name => '../x' }, { path => "$dir/none/x" },
               { path => $dir }, { path => '/dev/full' },
               { path => $dir, name => "a\0b" }, { path => [] },
               { name => 'x' })
{
    say_($t, { action => 'upload', reqid => 5, size => 1, %$where });
    is((action($t, 'uploaderror') // {})->{reqid}, 5,
       'to where no file can be it is refused');
}

say_($t, { action => 'upload', reqid => 2, path => $dir, name => 'lost' });
action($t, 'uploadstart');
$t->send('x' x 50);
unlink "$dir/lost";
say_($t, { action => 'uploaddone', reqid => 2 });
is((action($t, 'uploaderror') // {})->{reqid}, 2,
   'a file that is not there at the end is no success');

# --- messages that are none

$t->send($_) for '{', '{}', '{"action":7}', '{"action":"constructor"}',
    '{"action":"nothing"}', '{"action":"rm"}', '{"action":"copy"}',
    '{"action":"zip"}', '{"action":"cancel"}', '{"action":"uploaddone"}',
    '{"action":"download"}', '{"action":"download","sub":"start"}',
    '{"action":"download","sub":"start","id":{},"path":"/etc/passwd"}',
    "{\"action\":\"ls\",\"path\":\"\xff\xfe\"}", 'x', "\0", "\0{";
$t->send('{"action":"ls","path":"' . 'x' x 2000000 . '"}');
like(console_($t), qr/\S/, 'nonsense is answered in words or not at all');
ok(ls($t, $dir)->{up}, 'and the session goes on');

# --- cut frames

say_($t, { action => 'upload', reqid => 3, path => $dir, name => 'pieces' });
action($t, 'uploadstart');
$t->send('one ', 2, 0);
$t->send('two ', 0, 0);
$t->send('three', 0, 1);
action($t, 'uploadack');
is(scalar open_files(), 1, 'an upload has its file open');

# half a frame, then the end
$t->raw(pack('CCn', 0x82, 126, 1000) . 'x' x 10);
$t->close;
ok(all_closed(), 'a tunnel that ends in the middle leaves no file open');
is(get('pieces'), 'one two three', 'and the file what was whole of it');

$t = files();
say_($t, { action => 'download', sub => 'start', id => 1,
           path => "$dir/up" });
action($t, 'download');
say_($t, { action => 'uploadhash', reqid => 1, path => "$dir/up" });
$t->close;
ok(all_closed(), 'as does one that ends in a download');

# --- one file, protocol 10

$t = tunnel();
$t->send(encode_json({ type => 'options', file => "$dir/up" }), 1);
$t->send('10', 1);
$m = $t->message;
is_deeply($m->{json}, { op => 'ok', size => length $data },
          'protocol 10 begins with the size');
$back = '';
while ($m = $t->message) {
    last if exists $m->{close};
    $back .= $m->{data};
}
is(sha384_hex($back), sha384_hex($data), 'and sends the file, to the end');
ok(all_closed(), 'which is closed then');

$t = tunnel();
$t->send(encode_json({ type => 'options', file => "$dir/none" }), 1);
$t->send('10', 1);
is($t->message->{json}{op}, 'cancel', 'or says that there is none');
ok(defined $t->closed, 'and ends');

# --- the agent

$s->json({ action => 'msg', type => 'console', value => 'agentstats',
           rights => 4294967295, sessionid => 'a', userid => 'user//a' });
$m = $s->await('msg');
$m = $s->await('msg') while $m && ($m->{json}{type} // '') ne 'console';
like($m->{json}{value}, qr/Faults: 0\b/, 'the core has met no fault');
$t->close;

# --- a listing that the heap of the script has no room for

my $less = <<'JS' . $core;
(function () {
    var alloc = Buffer.alloc, from = Buffer.from;
    Buffer.alloc = function (size) {
        if (size > 1000000 && size < 3000000) {
            throw new RangeError('alloc failed');
        }
        return alloc(size);
    };
    Buffer.from = function (data, encoding) {
        if (String(data).indexOf('"no room"') >= 0) {
            throw new RangeError('alloc failed');
        }
        return from(data, encoding);
    };
}());
JS
is($s->core($less), sha384("\0\0\0\0$less"), 'the core has less memory');
mkdir "$dir/late";
put('late/no room');
$t = files();
for my $name ('many', 'late') {
    say_($t, { action => 'ls', path => "$dir/$name", reqid => 1 });
    like(console_($t), qr/more entries than can be listed/,
         "$name: a listing without room is refused in words");
    is(ls($t, "$dir/$name"), undef, "$name: and by its answer");
}
is_deeply(names($t, "$dir/new \x{20ac}"), [], 'the next command is answered');

is($server->stop, 0, 'the agent ends');

done_testing;
