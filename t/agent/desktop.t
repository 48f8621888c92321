#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# The desktop of a device with mesh-agent and our core: an X server of the
# test, a program on it that draws and says what it was typed, and viewers.
# S-18 and S-31 from the agent's side.

use strict;
use warnings;

use Digest::SHA qw(sha384);
use Encode qw(encode);
use IO::Select;
use IPC::Open2;
use Test::More;
use Time::HiRes qw(time sleep);

use Mesh::Test;
use Mesh::Server;

my $root = $Mesh::Test::ROOT;
my $core = Mesh::Test::read_file("$root/build/core.js");
my $bin = Mesh::Server::program();
my $wait = 60;
my ($xvfb, $display) = xvfb(640, 480);
my $app = app($display);
my $server = Mesh::Server->new;
$server->start(display => $display);
my $s = $server->accept;
ok($s->admit, 'the agent is in');
is($s->core($core), sha384("\0\0\0\0$core"), 'with our core');
my ($info) = grep { ($_->{json}{action} // '') eq 'coreinfo' }
             @{ $s->{aside} };
ok($info->{json}{caps} & 1, 'which says that there is a desktop');

# --- the start

my $t = desktop();
my @start = map { $t->packet } 1 .. 6;
is_deeply([map { $_->{cmd} } @start], [7, 12, 18, 82, 11, 88],
          'a viewer is told size, display, lamps, geometry, list, pointer');
is_deeply([size($start[0])], [640, 480], 'the size is that of the screen');
is(unpack('n', $start[1]{body}), 65535, 'all displays are shown');
is_deeply([unpack 'n5', $start[3]{body}], [1, 0, 0, 640, 480],
          'the one display has its place');
is_deeply([unpack 'n4', $start[4]{body}], [2, 65535, 1, 65535],
          'and stands in the list');
my $tile = $t->packet;
is($tile->{cmd}, 3, 'then comes the picture');
is_deeply([covered(640, 480, $tile)], [1], 'all of it');

# the program that captures is not the agent, and has not its rights
my $child = child($server->{pid});
ok($child, 'a program of its own captures');
like(Mesh::Test::read_file("/proc/$child/status"), qr/^Uid:\t65534\t65534/m,
     'a screen without a session is not captured as root');
unlike(Mesh::Test::read_file("/proc/$server->{pid}/maps"), qr/libX11/,
       'the agent itself has no library of X11');

# --- pixels

input($t, 5, 'CCnn', 1, 100, 1024, 20);
draw('pattern');
is_deeply([worst($t, 640, 480)], [4, 1],
          'at quality 100 each channel of each pixel is within 4');

draw('fill 0 0 640 480 204060');
$t->until_covered(640, 480);
draw('fill 100 100 10 10 ff0000');
my @tiles = ($t->tile);
draw('fill 400 200 40 10 00ff00');
push @tiles, $t->tile;
is_deeply([map { [@$_{qw(x y w h)}] } @tiles],
          [[96, 96, 32, 32], [384, 192, 64, 32]],
          'only the cells that changed are sent, each once');

# cells that change together go together
draw('fill 64 64 96 64 ffff00');
$tile = $t->tile;
is_deeply([@$tile{qw(x y w h)}], [64, 64, 96, 64],
          'what belongs together is one picture');

draw('noise 1');
is_deeply([worst($t, 640, 480)], [4, 1], 'noise, too');
ok((grep { $_->{jumbo} } @{ $t->{tiles} }), 'in packets beyond 65500 bytes');

input($t, 5, 'CCnn', 1, 10, 1024, 20);
refresh($t);
my $coarse = $t->until_covered(640, 480);
input($t, 5, 'CCnn', 1, 90, 1024, 20);
refresh($t);
ok($t->until_covered(640, 480) > 2 * $coarse,
   'a higher quality takes more bytes');

# --- refresh, pause

refresh($t);
$tile = $t->packet;
is_deeply([$tile->{cmd}, size($tile)], [7, 640, 480],
          'a refresh begins with the size');
ok($t->until_covered(640, 480), 'and all of the screen follows');

barrier($t);
input($t, 8, 'C', 1);
$t->round;
draw('fill 0 0 32 32 123456');
is($t->round, 0, 'while it pauses no picture comes');
input($t, 8, 'C', 0);
$tile = $t->tile;
is_deeply([@$tile{qw(x y)}], [0, 0], 'what was missed comes afterwards');

# --- pointer, lamps

draw('cursor hand2');
my $m = $t->until(88);
is(unpack('C', $m->{body}), 3, 'a hand is a hand');
draw('cursor none');
is(unpack('C', $t->until(88)->{body}), 14, 'a hidden pointer is hidden');
draw('cursor xterm');
is(unpack('C', $t->until(88)->{body}), 5, 'text is text');

press($t, 0x14);
is(unpack('C', $t->until(18)->{body}), 4, 'Caps Lock lights its lamp');
is_deeply([typed('0xffe5')], ['down 0xffe5', 'up 0xffe5'], 'and is a key');

# with the lock on a letter is still the one that was typed
unicode($t, 'aB');
is(text(2), 'aB', 'characters are those that were typed, whatever the lock');
press($t, 0x14);
is(unpack('C', $t->until(18)->{body}), 0, 'and goes out again');
typed('0xffe5');

# --- keys

press($t, 0x41);
is(text(1), 'a', 'a letter');
input($t, 1, 'CC', 0, 0x10);
press($t, 0x41);
input($t, 1, 'CC', 1, 0x10);
is_deeply([typed('0x41', '0xffe1')],
          ['down 0xffe1', 'down 0x41', 'up 0x41', 'up 0xffe1'],
          'and with Shift');
press($t, 0x27, 4, 3);
is_deeply([typed('0xff53')], ['down 0xff53', 'up 0xff53'],
          'an extended key is the key');
press($t, 0x70);
is_deeply([typed('0xffbe')], ['down 0xffbe', 'up 0xffbe'], 'F1');
input($t, 10);
is_deeply([typed('0xffff', '0xffe3')],
          ['down 0xffe3', 'down 0xffe9', 'down 0xffff', 'up 0xffff',
           'up 0xffe9', 'up 0xffe3'], 'Ctrl-Alt-Del');

my $words = "Aa1!@ \x{e4}\x{df}\x{20ac} \x{416}\x{3a9} \x{65e5}\x{672c}\x{8a9e}";
unicode($t, $words);
is(text(length $words), $words, 'any character is typed, on the layout or not');
# a program looks up a key when it gets to it: some at a time, or a busy machine
# sees what the key means next
my $typed = '';
for my $some (map { $_ * 8 } 0 .. 3) {
    unicode($t, join '', map { chr 0x4e00 + $some + $_ } 0 .. 7);
    $typed .= text(8);
}
is($typed, join('', map { chr } 0x4e00 .. 0x4e1f),
   'and more of them than there are spare keys');
unicode($t, "\x{1f600}");
is(text(1), "\x{1f600}", 'one of two units of UTF-16, too');

# Shift that a viewer holds is not in the way of a character
input($t, 1, 'CC', 0, 0x10);
unicode($t, 'x');
input($t, 1, 'CC', 1, 0x10);
my @keys = typed('0x78', '0xffe1');
ok((grep { $_ eq 'down 0x78' } @keys), 'a small letter while Shift is down');

# --- mouse

input($t, 2, 'CCnn', 0, 0, 300, 200);
is(event(qr/^motion/), 'motion 300 200', 'the pointer moves');
my @buttons = ([2, 1], [8, 3], [0x20, 2]);
for my $button (@buttons) {
    my ($bit, $number) = @$button;
    input($t, 2, 'CCnn', 0, $bit, 300, 200);
    input($t, 2, 'CCnn', 0, 2 * $bit, 300, 200);
    is(event(qr/^button down/) . ', ' . event(qr/^button up/),
       "button down $number 300 200, button up $number 300 200",
       "button $number");
}
input($t, 2, 'CCnnn', 0, 0, 300, 200, 120);
is(event(qr/^button up/), 'button up 4 300 200', 'the wheel turns away');
input($t, 2, 'CCnnn', 0, 0, 300, 200, 0xff87);
is(event(qr/^button up/), 'button up 5 300 200', 'and back');

# --- scaling

input($t, 5, 'CCnn', 1, 90, 512, 20);
is_deeply([size($t->until(7))], [320, 240], 'half the size is half the size');
ok($t->until_covered(320, 240), 'and comes whole');
input($t, 2, 'CCnn', 0, 0, 100, 50);
is(event(qr/^motion/), 'motion 200 100', 'places are those of the picture');
draw('fill 200 200 40 40 ff00ff');
$tile = $t->tile;
is_deeply([@$tile{qw(x y w h)}], [96, 96, 32, 32],
          'a change is one of the smaller picture');
input($t, 5, 'CCnn', 1, 90, 1024, 20);
is_deeply([size($t->until(7))], [640, 480], 'and whole again');

# --- displays

draw('monitor 0 0 320 480');
draw('monitor 320 0 320 480');
barrier($t);
input($t, 11);
is_deeply([unpack 'n10', $t->until(82)->{body}],
          [1, 0, 0, 320, 480, 2, 320, 0, 320, 480], 'two displays, side by side');
is_deeply([unpack 'n4', $t->until(11)->{body}], [4, 65535, 1, 2],
          'stand in the list');
input($t, 12, 'n', 2);
ok($t->until_size(320, 480), 'the second one is shown alone');
ok($t->until_covered(320, 480), 'and whole');
input($t, 2, 'CCnn', 0, 0, 10, 10);
is(event(qr/^motion/), 'motion 330 10', 'the pointer goes to it');
draw('fill 0 0 32 32 00ffff');
draw('fill 352 64 32 32 00ffff');
$tile = $t->tile;
is_deeply([@$tile{qw(x y)}], [32, 64], 'what changes beside it is not sent');
barrier($t);
input($t, 12, 'n', 99);
is(unpack('n', $t->until(12)->{body}), 2, 'one that is not there changes nothing');
input($t, 12, 'n', 65535);
ok($t->until_size(640, 480), 'and all again');

my $list = `$bin desktop monitors --display=$display`;
is(scalar(() = $list =~ /"width":320,"height":480/g), 2,
   'monitor-info lists them');

# --- what is no input

my $before = child($server->{pid});
$t->send(pack 'nnn', 300, 6, 0);
$t->send(pack('nn', 256, 4) . pack('nn', 257, 4));
$t->send(pack 'nnC', 1, 5, 0);
$t->send(pack 'nnCCn', 5, 8, 1, 0, 9999);
$t->send(pack('nn', 15, 149) . 'x' x 145);
$t->send(pack('nnn', 12, 6, 7));
for my $byte (split //, pack 'nnCCnn', 2, 10, 0, 0, 11, 12) {
    $t->send($byte);
}
is(event(qr/^motion/), 'motion 11 12', 'a packet may come byte by byte');
is(child($server->{pid}), $before,
   'S-22: packets that are wrong or unknown end nothing');

# --- a second viewer

my $u = desktop();
ok($u->until(7) && $u->until_covered(640, 480),
   'a second viewer gets all of the picture');
draw('fill 0 0 32 32 808080');
is_deeply([map { my $x = $_->tile; [@$x{qw(x y)}] } $u, $t->settled(640, 480)],
          [[0, 0], [0, 0]], 'a change goes to both');
is(child($server->{pid}), $before, 'of one program');
input($u, 1, 'CC', 0, 0x11);
is(event(qr/^key down/), 'key down 0xffe3', 'a key is held');
$u->close;
is(event(qr/^key up/), 'key up 0xffe3', 'and let go when its viewer goes');

# --- rights (S-31)

my $v = desktop(rights => 0x108);
$v->until(7);
input($v, 1, 'CC', 0, 0x42);
input($v, 11);
$v->until(11);
press($t, 0x43);
is(text(1), 'c', 'S-31: who may only look types nothing');
$v->close;

# --- the screen gets another size

draw('size 320 240');
ok($t->until_size(320, 240), 'another size is told');
draw('pattern');
input($t, 5, 'CCnn', 1, 100, 1024, 20);
is_deeply([worst($t, 320, 240)], [4, 1], 'and the picture has it');
draw('size 640 480');
ok($t->until_size(640, 480), 'back again');

# --- the clipboard

my $clip = "gr\x{fc}n \x{65e5}\n";
is(setclip($clip)->{success}, JSON::PP::true, 'the clipboard is written');
is(xclip('-o'), encode('UTF-8', $clip), 'a program there gets it');
$clip = join '', map { chr 0x20 + $_ * 7 % 90 } 1 .. 60000;
setclip($clip);
is(xclip('-o'), $clip, 'a large one, in parts');
is(getclip()->{data}, $clip, 'and so does the agent');
$clip = substr(join('', map { chr(0x20 + $_ % 90) . "\x{1f600}\x{20ac}" }
                        1 .. 40000), 0, 130_000);
is(setclip_parts($clip, 20000)->{success}, JSON::PP::true,
   'one of half a MB comes in parts');
is(xclip('-o'), encode('UTF-8', $clip), 'and is put together');
my ($got, $parts) = getclip_parts();
is($got, $clip, 'and goes back in parts');
cmp_ok($parts, '>', 5, 'of which each is small');
my $lost = ask_clip('setclip', data => 'x', offset => 5, size => 9);
is_deeply([@$lost{qw(success error)}],
          [JSON::PP::false, 'A part of the text was lost on the way.'],
          'a part without those before it is refused');
like(ask_clip('setclip', data => 'x', offset => 0, size => 1048577)->{error},
     qr/at most 1 MB/, 'a text of more than 1 MB is refused at its first part');
is(xclip('-o'), encode('UTF-8', $clip), 'and nothing of it is put there');
ask_clip('setclip', data => 'x', offset => 0, size => 2);
like(ask_clip('setclip', data => 'y', offset => 1, size => 2,
              sessionid => 'other')->{error}, qr/was lost/,
     'S-18: nor are parts of two people one text');
like(ask_clip('getclip', offset => 3)->{error}, qr/somebody else/,
     'a part of what was not fetched from its start is none');
like(getclip()->{error}, qr/more than 64 KB/,
     'who asks for all of it at once is told that it is too large');
xclip('-i', 'z' x 1048577);
like((getclip_parts())[2], qr/more than (?:1 MB|1048576 bytes)|cannot be reached/,
     'what is too large there is said to be');
xclip('-i', encode('UTF-8', "von dort \x{20ac}"));
is(getclip()->{data}, "von dort \x{20ac}", 'what is copied there comes');

# --- who does not read

my $agent_before = rss($server->{pid});
input($t, 5, 'CCnn', 1, 100, 1024, 20);
refresh($t);
draw("noise $_") for 1 .. 60;
my $grown = rss($server->{pid}) - $agent_before;
cmp_ok($grown, '<', $ENV{MESH_ASAN} ? 60_000 : 20_000, "S-18: a viewer that does not read costs $grown KB");
cmp_ok(rss(child($server->{pid})), '<', $ENV{MESH_ASAN} ? 200_000 : 30_000,
       'nor does the program keep what he has not read');
is_deeply([worst($t, 640, 480)], [4, 1], 'he is up to date when he does');

# --- the program dies

kill 'KILL', child($server->{pid});
my $said = $t->until(65);
like($said->{body}, qr/has unexpectedly ended/, 'its death is told');
ok(defined $t->closed, 'and the session ends');
$t = desktop();
ok($t->until_covered(640, 480), 'a new one has a new program');

# --- the end of it

input($t, 1, 'CC', 0, 0x10);
event(qr/^key down/);
$child = child($server->{pid});
$t->close;
is(event(qr/^key up/), 'key up 0xffe1', 'the last one lets go, too');
ok(gone($child), 'and the program ends with him');

$t = desktop();
$t->until_covered(640, 480);
input($t, 1, 'CC', 0, 0x10);
event(qr/^key down/);
$child = child($server->{pid});
is($server->stop, 0, 'the agent ends with a desktop open');
ok(gone($child), 'and the program with it');
is(event(qr/^key up/), 'key up 0xffe1', 'without a key left down');

# --- no screen

like(`$bin desktop screen --display=:59999`, qr/^\0A..No X server runs/s,
     'where there is no X server a sentence says so');

# a user of Debian's who has no programs
my $uid = getpwnam 'games';

my $wayland = fork // die;
if ($wayland == 0) {
    $) = "$uid $uid";
    $> = $< = $uid;
    %ENV = (WAYLAND_DISPLAY => 'wayland-0', DISPLAY => $display);
    exec '/bin/sleep', '60';
}
like(wait_out(sub { `$bin desktop screen --uid=$uid` }, qr/Wayland/),
     qr/runs on Wayland/, 'nor can a Wayland session be shown yet');
kill 'KILL', $wayland;
waitpid $wayland, 0;

my $session = fork // die;
if ($session == 0) {
    $) = "$uid $uid";
    $> = $< = $uid;
    %ENV = (DISPLAY => $display);
    exec '/bin/sleep', '60';
}
like(wait_out(sub { `$bin desktop monitors --uid=$uid 2>&1` }, qr/"id":1/),
     qr/"id":1/, 'the session of a user is found by his programs');
kill 'KILL', $session;
waitpid $session, 0;

$server->start(display => ':59999');
$s = $server->accept;
$s->admit;
$s->core("$core\n");            # another one, so that it is taken
$t = desktop();
like($t->until(65)->{body}, qr/No X server runs/,
     'a sentence of the program reaches the viewer');
ok($server->says(qr/the desktop says: No X server runs/), 'and the log');
is($server->stop, 0, 'and is none of the agent');

$server->start(display => $display);
$s = $server->accept;
$s->admit;
$s->core($core);
$t = desktop();
$t->until_covered(640, 480);
kill 'TERM', $xvfb;
like($t->until(65)->{body}, qr/The X server of the screen has ended/,
     'the end of the X server is told');
is($server->stop, 0, 'and is none of the agent');
unlike($server->said, qr/Sanitizer|runtime error|desktop: /,
       'nothing has complained');

done_testing;


# an X server; its pid and the name of its display
sub xvfb {
    my ($w, $h) = @_;
    pipe my $in, my $out or die;
    my $pid = fork // die;
    if ($pid == 0) {
        close $in;
        open STDERR, '>', '/dev/null';
        open STDOUT, '>', '/dev/null';
        require POSIX;
        POSIX::dup2(fileno $out, 9);
        exec 'Xvfb', '-displayfd', 9, '-screen', 0, "${w}x${h}x24",
             '-nolisten', 'tcp', '-noreset';
        die;
    }
    close $out;
    my $n = <$in>;
    die "no Xvfb\n" if !defined $n;
    chomp $n;
    return ($pid, ":$n");
}

sub app {
    my ($name) = @_;
    my $pid = open2(my $out, my $in, 'sh', '-c', 'exec "$0" "$1" 2>/dev/null',
                    "$root/build/desktop_client", $name);
    my $self = { pid => $pid, out => $out, in => $in, events => [], buf => '' };
    answer_of($self);
    return $self;
}

# a line of the program
sub line {
    my ($self) = @_;
    while ($self->{buf} !~ /\n/) {
        IO::Select->new($self->{out})->can_read($wait) or return undef;
        sysread $self->{out}, $self->{buf}, 65536, length $self->{buf}
            or return undef;
    }
    $self->{buf} =~ s/^(.*)\n//;
    return $1;
}

sub answer_of {
    my ($self) = @_;
    while (defined(my $line = line($self))) {
        return $line if $line =~ /^done/;
        push @{ $self->{events} }, $line;
    }
    die "the program on the screen has gone\n";
}

sub draw {
    my ($what) = @_;
    syswrite $app->{in}, "$what\n";
    return answer_of($app);
}

# the next event of it that is like that
sub event {
    my ($want) = @_;
    while (1) {
        my $line = @{ $app->{events} } ? shift @{ $app->{events} }
                                       : line($app);
        return '' if !defined $line;
        return $line if $line =~ $want;
    }
}

# key events until those keys are up
sub typed {
    my %left = map { $_ => 1 } @_;
    my @seen;
    while (%left) {
        my $line = event(qr/^key/) or last;
        next if !@seen && $line =~ / up /;      # of what text() read
        push @seen, $line =~ s/^key //r;
        delete $left{$1} if $line =~ /^key up (\S+)/;
    }
    return @seen;
}

# n characters that were pressed
sub text {
    my ($n) = @_;
    my $text = '';
    my %old = (0x20ac => 0x20ac);
    while (length $text < $n) {
        my $line = event(qr/^key down/) or last;
        my $sym = hex(($line =~ /(\S+)$/)[0]);
        next if $sym >= 0xfe00 && $sym <= 0xffff;
        $text .= chr($sym >= 0x01000000 ? $sym - 0x01000000
                     : $old{$sym} // $sym);
    }
    return $text;
}

sub desktop {
    my (%more) = @_;
    $s->json({ action => 'msg', type => 'tunnel', usage => 2,
               value => '*/meshrelay.ashx?p=2&id=a&rauth=b',
               rights => 4294967295, consent => 0, userid => 'user//a',
               username => 'a', remoteaddr => '127.0.0.1',
               servertlshash => unpack('H*', $s->{web}),
               soptions => { usages => [2] }, %more });
    my $viewer = bless $server->accept, 'Viewer';
    $viewer->send('c', 1);
    $viewer->send('2', 1);
    return $viewer;
}

sub size { return unpack 'n2', $_[0]{body} }

sub input {
    my ($viewer, $cmd, $format, @values) = @_;
    my $body = defined $format ? pack $format, @values : '';
    $viewer->send(pack('nn', $cmd, 4 + length $body) . $body);
}

sub refresh { input($_[0], 6) }

sub press {
    my ($viewer, $vk, $down, $up) = @_;
    input($viewer, 1, 'CC', $down // 0, $vk);
    input($viewer, 1, 'CC', $up // 1, $vk);
}

sub unicode {
    my ($viewer, $text) = @_;
    for my $unit (unpack 'n*', encode('UTF-16BE', $text)) {
        input($viewer, 85, 'Cn', 0, $unit);
        input($viewer, 85, 'Cn', 1, $unit);
    }
}

# do these tiles cover the screen?
sub covered {
    my ($w, $h, @list) = @_;
    my %cell;
    for my $tile (@list) {
        for (my $y = $tile->{y}; $y < $tile->{y} + $tile->{h}; $y += 32) {
            for (my $x = $tile->{x}; $x < $tile->{x} + $tile->{w}; $x += 32) {
                $cell{"$x $y"} = 1 if $x < $w && $y < $h;
            }
        }
    }
    my $all = int(($w + 31) / 32) * int(($h + 31) / 32);
    return keys %cell == $all ? 1 : 0;
}

# (4, 1): after a refresh no tile is further away from the screen than that
sub worst {
    my ($viewer, $w, $h) = @_;
    my ($max, $whole) = (0, 1);
    barrier($viewer);
    refresh($viewer);
    $viewer->until(7);
    $viewer->until_covered($w, $h);
    for my $tile (@{ $viewer->{tiles} }) {
        my $file = "$server->{dir}/tile.jpg";
        Mesh::Test::write_file($file, $tile->{image});
        my ($diff, $tw, $th) =
            draw("compare $file $tile->{x} $tile->{y}") =~ /(\d+)/g;
        $max = $diff if $diff > $max;
        $whole = 0 if $tile->{x} % 32 || $tile->{y} % 32 || $tw % 32
                      || $th % 32;
    }
    note("largest difference: $max");
    return ($max <= 4 ? 4 : $max, $whole);
}

# whatever was asked for before has been answered: only a change of the lamp
# is told, never the lamp again
sub barrier {
    my ($viewer) = @_;
    for my $lamp (4, 0) {
        press($viewer, 0x14);
        typed('0xffe5');
        1 while ($_ = $viewer->packet) && ($_->{cmd} != 18
                 || $_->{body} ne chr $lamp);
    }
}

# the program of the agent that captures, or 0
sub child {
    my ($parent) = @_;
    for my $file (glob '/proc/[0-9]*/stat') {
        open my $in, '<', $file or next;
        my $line = <$in> // next;
        my ($pid, $ppid) = $line =~ /^(\d+) .*\) \S (\d+)/ or next;
        return $pid if $ppid == $parent;
    }
    return 0;
}

sub gone {
    my ($pid) = @_;
    for (1 .. $wait * 20) {
        return 1 if !-e "/proc/$pid/exe" || !readlink "/proc/$pid/exe";
        sleep 0.05;
    }
    return 0;
}

sub rss {
    my ($pid) = @_;
    return Mesh::Test::read_file("/proc/$pid/status") =~ /^VmRSS:\s+(\d+)/m
           ? $1 : 0;
}

sub wait_out {
    my ($run, $want) = @_;
    my $out;
    for (1 .. $wait * 10) {
        $out = $run->();
        last if $out =~ $want;
        sleep 0.1;
    }
    return $out;
}

sub xclip {
    my ($way, $text) = @_;
    my @command = ('xclip', '-display', $display, '-selection', 'clipboard');
    if ($way eq '-i') {
        open my $out, '|-', "@command -i >/dev/null 2>&1" or die;
        print $out $text;
        close $out;
        return;
    }
    my $out = `@command -o`;
    return $out;
}

sub ask_clip {
    my ($type, %more) = @_;
    $s->json({ action => 'msg', type => $type, rights => 4294967295, tag => 1,
               userid => 'user//a', username => 'a', sessionid => 'x',
               %more });
    while (my $m = $s->message) {
        return $m->{json} if $m->{json} && ($m->{json}{type} // '') eq $type;
        return undef if exists $m->{close};
    }
}

sub setclip { return ask_clip('setclip', data => $_[0]) }
sub getclip { return ask_clip('getclip') }

# lengths are those of UTF-16, as on the wire
sub units {
    my ($text) = @_;
    return length(encode('UTF-16BE', $text)) / 2;
}

sub setclip_parts {
    my ($text, $size) = @_;
    my ($all, $at, $m) = (units($text), 0);
    while ($text =~ /\G(.{1,$size})/gs) {
        my $part = $1;
        $m = ask_clip('setclip', data => $part, offset => $at, size => $all);
        $at += units($part);
        last if !$m->{success} || $at < $all && $m->{offset} != $at;
    }
    return $m;
}

# the text, how many parts it had, what went wrong
sub getclip_parts {
    my ($text, $at, $n) = ('', 0, 0);
    while (1) {
        my $m = ask_clip('getclip', offset => $at);
        return (undef, $n, $m->{error}) if defined $m->{error};
        $text .= $m->{data};
        $at += units($m->{data});
        return ($text, $n + 1) if ++$n && $at >= $m->{size} || $m->{data} eq '';
    }
}


END {
    local $?;
    kill 'KILL', grep { defined } $xvfb, $app && $app->{pid};
}


package Viewer;

use parent -norequire, 'Mesh::Server::Session';

# the next packet: { cmd, body }, of a tile x, y, w, h and image as well
sub packet {
    my ($self) = @_;
    while (my $m = $self->message) {
        return undef if exists $m->{close};
        next if $m->{opcode} != 2;

        my $bytes = $m->{data};
        my ($cmd, $size) = unpack 'nn', $bytes;
        my $jumbo = $cmd == 27;
        ($cmd, $bytes) = (unpack('n', substr $bytes, 8), substr $bytes, 8)
            if $jumbo;
        die "a message that is not one packet\n"
            if $jumbo ? unpack('x4N', $m->{data}) != length $bytes
                      : $size != length $bytes;

        my $p = { cmd => $cmd, body => substr($bytes, 4), jumbo => $jumbo };
        if ($cmd == 3) {
            @$p{qw(x y)} = unpack 'n2', $p->{body};
            $p->{image} = substr $p->{body}, 4;
            # SOF0: baseline
            my ($h, $w) = $p->{image} =~ /\xff\xc0..\x08(..)(..)/s
                          ? map { unpack 'n', $_ } $1, $2 : (0, 0);
            @$p{qw(w h)} = ($w, $h);
        }
        return $p;
    }
    return undef;
}

# packets until the core has answered
sub round {
    my ($self) = @_;
    my $n = 0;
    $self->send('{"ctrlChannel":"102938","type":"rtt","time":1}', 1);
    while (my $m = $self->message) {
        return $n if $m->{json} && ($m->{json}{type} // '') eq 'rtt';
        $n++ if $m->{opcode} == 2;
    }
    return -1;
}

sub until {
    my ($self, $cmd) = @_;
    while (my $p = $self->packet) {
        return $p if $p->{cmd} == $cmd;
    }
    return { cmd => -1, body => '' };
}

sub until_size {
    my ($self, $w, $h) = @_;
    while (my $p = $self->packet) {
        return 1 if $p->{cmd} == 7 && $p->{body} eq pack 'n2', $w, $h;
    }
    return 0;
}

sub tile { return $_[0]->until(3) }

# bytes of the pictures until the screen is covered by them; 0: it is not
sub until_covered {
    my ($self, $w, $h) = @_;
    my $bytes = 0;
    $self->{tiles} = [];
    while (my $p = $self->packet) {
        next if $p->{cmd} != 3;
        push @{ $self->{tiles} }, $p;
        $bytes += length $p->{image};
        return $bytes if main::covered($w, $h, @{ $self->{tiles} });
    }
    return 0;
}

# itself, when it has what another one's coming has sent to all
sub settled {
    my ($self, $w, $h) = @_;
    $self->until_covered($w, $h);
    return $self;
}
