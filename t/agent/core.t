#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# What mesh-agent does with the scripts and messages of its server: a bad one
# ends neither the agent nor its connection.  S-17, S-18, S-22 to S-24 from
# the agent's side.

use strict;
use warnings;

use Compress::Raw::Zlib;
use Digest::SHA qw(sha384);
use POSIX qw(WNOHANG);
use Test::More;
use Time::HiRes qw(sleep time);

use Mesh::Test;
use Mesh::Server;

# a script that answers what the test asks
my $answer = <<'JS';
var agent = require('MeshAgent');
agent.AddCommandHandler(function (m) {
    if (typeof m === 'object' && m.action === 'eval') {
        var value;
        try { value = eval(m.code); } catch (e) { value = 'threw ' + e; }
        agent.SendCommand({ action: 'value', value: String(value) });
    } else if (m instanceof Uint8Array) {
        agent.SendCommand({ action: 'binary', size: m.length });
    } else if (typeof m === 'string') {
        agent.SendCommand({ action: 'text', size: m.length });
    }
});
agent.AddConnectHandler(function (on) {
    agent.SendCommand({ action: 'connected', on: on });
});
JS

my $server = Mesh::Server->new(options => ['--scriptTimeout=1']);
$server->start;
my $s = $server->accept;
ok($s->admit, 'the agent is in');

sub hash { return sha384("\0\0\0\0$_[0]") }
sub value {
    my ($code) = @_;
    $s->json({ action => 'eval', code => $code });
    my $m = $s->await('value') or return undef;
    return $m->{json}{value};
}

# --- taking a script

is($s->core('1;', hash => 'x' x 48), '', 'a script of another hash is refused');
is($s->core($answer), hash($answer), 'a script is taken');
ok((grep { ($_->{json}{action} // '') eq 'connected' } @{ $s->{aside} }),
   'and runs before the answer');
is(value('1 + 1'), '2', 'it gets messages');

is($s->core($answer), hash($answer), 'the same one again is confirmed');
is_deeply([$s->until_pong], [], 'and not started again');

my $deflate = sub {
    my ($text, @option) = @_;
    my ($d) = Compress::Raw::Zlib::Deflate->new(@option);
    $d->deflate($text, my $a);
    $d->flush(my $b);
    return $a . $b;
};
my $two = "$answer//2\n";
is($s->core($two, cmd => 20,
            data => $deflate->("\0\0\0\0$two", -WindowBits => -MAX_WBITS)),
   hash($two), 'a deflated script is taken');
is(value('2 + 2'), '4', 'and runs');
is($s->core("$two//3", cmd => 20, data => $deflate->("\0\0\0\0$two//3")), '',
   'one with a zlib header is refused');
is($s->core('x', cmd => 20, hash => 'h' x 48, data => $deflate->(
            "\0" x 200_000_000, -WindowBits => -MAX_WBITS)), '',
   'one that swells to 200 MB is refused');
is($s->core('x', cmd => 20, hash => 'h' x 48, data => 'not deflate'), '',
   'one that is no deflate is refused');

$s->send(pack('nn', 10, 5));
is($s->await(11)->{data}, pack('nn', 11, 5), 'a script is cleared');
$s->json({ action => 'eval', code => '1' });
is_deeply([$s->until_pong], [], 'and does not run any more');

# --- bad ones

my %bad = (
    'one that throws' => 'throw new Error("no");',
    'one that is no script' => 'function (',
    'one that loops' => 'for (;;) { }',
    'one that loops while it catches' =>
        'for (;;) { try { for (;;) { } } catch (e) { } }',
    'one that wants all memory' =>
        'var a = []; for (;;) { a.push(Buffer.alloc(1000000)); }',
    'one that recurses' => 'function f() { f(); } f();',
    'one with a regular expression without end' =>
        '/(x+x+)+y/.test("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");',
    'one that is not UTF-8' => "\xff\xfe\x80",
    'one of 3 MB' => '//' . 'x' x 3_000_000,
);

for my $name (sort keys %bad) {
    is($s->core($bad{$name}), hash($bad{$name}), "$name: is kept");
    is_deeply([$s->until_pong], [], "$name: the agent goes on");
}

is($s->core($answer), hash($answer), 'a good one runs after them');
is(value('3'), '3', 'and answers');
like(value('(function f() { f(); return 1; })()'), qr/^threw RangeError/,
     'what it is told may fail');
is(value('typeof require("fs").readFileSync'), 'function', 'and it goes on');

# no descriptor is left: the next one would be the first past the limit
my $udp = 'var d = require("dgram"); d.createSocket("udp6")';
system('prlimit', "--pid=$server->{pid}", '--nofile=3:');
like(value($udp), qr/^threw Error: .*EMFILE/, 'a socket may fail');
system('prlimit', "--pid=$server->{pid}", '--nofile=1024:');
is(value("$udp.close(); 1"), '1', 'and the next one not');
is_deeply([$s->until_pong], [], 'the agent lives');

# --- messages

$s->send('{"action":"eval","code":"7"}', 2);
is($s->await('value')->{json}{value}, '7', 'JSON in a binary frame is JSON');
$s->send('{"action":"ev', 1, 0);
$s->send('al","code"', 0, 0);
$s->send('are you there', 9);
$s->send(':"8"}', 0);
is($s->await('value')->{json}{value}, '8', 'a message in pieces is whole');
$s->send(pack('nn', 1000, 0) . 'x' x 10);
is($s->await('binary')->{json}{size}, 14, 'the script has binary ones');
$s->send('{' . 'x' x 99);
is($s->await('text')->{json}{size}, 100, 'and text that is no JSON');

for my $json ('{"action":null}', '{"action":1}', '{"action":{}}', '{}',
              '{"action":"eval"}', '{"a":' . '[' x 50000, '{"a":1e999}',
              '{"' . 'a' x 100000 . '":1}', "{\"action\":\"\xff\xed\xa0\x80\"}",
              '{"action":"\ud800"}', "{\"action\":\"a\0b\"}")
{
    $s->send($json, 1);
}
ok(defined value('9'), 'no JSON ends the agent');

# --- what is too long

$s->raw(pack('CCQ>', 0x82, 127, 1 << 40));
is($s->closed, 1009, 'a message of a terabyte is refused by its header');
$s->close;

$s = $server->accept;
ok($s && $s->admit, 'and the agent comes back');
$s->send(pack('nn', 11, 0));
is(substr($s->await(11)->{data}, 4), hash($answer), 'with its script');
ok((grep { ($_->{json}{action} // '') eq 'connected' } @{ $s->{aside} }),
   'which has run on and is told');

is($server->stop, 0, 'it ends when it is asked to');

# --- from one start to the next

$server->start;
$s = $server->accept;
ok($s->admit, 'started again it is in');
$s->send(pack('nn', 11, 0));
is(substr($s->await(11)->{data}, 4), hash($answer), 'and has its script');
$s->json({ action => 'eval', code => '1' });
is_deeply([$s->until_pong], [], 'which does not run yet');
$s->send(pack('nn', 16, 0));
ok($s->await('connected'), 'but does when the server says so');
is($server->stop, 0, 'the end');

# --- frames that break the rules

for my $frame (["\xf2\x00", 'reserved bits'], ["\x83\x00", 'opcode 3'],
               ["\x89\x7e\x00\x7e" . 'x' x 126, 'a long ping'],
               ["\x80\x00", 'an end without a start'])
{
    my $one = Mesh::Server->new;
    $one->start;
    my $s = $one->accept;
    $s->admit;
    $s->raw($frame->[0]);
    is($s->closed, 1002, "$frame->[1]: the connection is closed");
    $s->close;
    $s = $one->accept;
    ok($s && $s->admit, "$frame->[1]: the agent comes back");
    is($one->stop, 0, "$frame->[1]: and ends well");
}

# --- a loop that no clock sees

my $hang = Mesh::Server->new(options => ['--scriptTimeout=1',
                                         '--scriptGrace=1']);
$hang->start;
$s = $hang->accept;
$s->admit;
$s->core($answer);
$s->json({ action => 'eval', code => '[].indexOf.call({ length: 2147483647 },'
                                     . ' 1)' });
ok(ended($hang), 'S-18: a script that hangs in the engine ends the agent');
like($hang->said, qr/a script hangs inside of the engine/, 'which says why');

$hang->start;
$s = $hang->accept;
$s->admit;
is(asked($s, hash($answer)), 'not started: it hung',
   'started again it keeps the script and does not run it');
is($s->core("$answer//other"), hash("$answer//other"), 'another one is taken');
$s->json({ action => 'eval', code => '6 * 7' });
is(($s->await('value') // {})->{json}{value}, 42, 'and runs');
is($hang->stop, 0, 'the agent ends when it is asked to');

# --- a script that ends its agent

my $bad = "process._exit(3);//$answer";
$hang->start;
$s = $hang->accept;
$s->admit;
$s->core_now($bad);
ok(ended($hang), 'a script can end the agent');
for my $n (2, 3) {
    $hang->start;
    $s = $hang->accept;
    $s->admit;
    $s->send(pack 'nn', 16, 0);
    ok(ended($hang), "and does so when it is started again, $n");
}
$hang->start;
$s = $hang->accept;
$s->admit;
like(asked($s, hash($bad)), qr/not started: .*three times/,
     'S-18: but not for ever: the server is told');
is($s->core($answer), hash($answer), 'the next script is taken');
$s->json({ action => 'eval', code => '6 * 7' });
is(($s->await('value') // {})->{json}{value}, 42, 'and runs');

# an end that was asked for does not count
for (1 .. 4) {
    $hang->stop;
    $hang->start;
    $s = $hang->accept;
    $s->admit;
    $s->send(pack 'nn', 16, 0);
}
$s->json({ action => 'eval', code => '6 * 7' });
is(($s->await('value') // {})->{json}{value}, 42,
   'an agent that was stopped often runs its script');
$hang->stop;

# --- no room for it on the disk

my $full = Mesh::Server->new;
$full->{program} = "$full->{dir}/agent";
Mesh::Test::write_file($full->{program}, "#!$^X\n\$SIG{XFSZ} = 'IGNORE';\n"
                       . "exec '" . Mesh::Server::program() . "', \@ARGV;\n");
chmod 0755, $full->{program};
$full->start;
$s = $full->accept;
$s->admit;
is($s->core($answer), hash($answer), 'a script is taken');

my $store = 'var s = require("SimpleDataStore").Shared();'
            . 'var b = Buffer.alloc(9000000);';
is(value("$store\[s.Put('a', b), s.Put('b', b), s.Put('a', 'x'),"
         . " s.Put('b', b), s.Delete('b')].join()"), '0,1,0,0,0',
   'scripts store 16 MB and no more');

system('prlimit', "--pid=$full->{pid}", '--fsize=100000:');
my $large = "$answer//" . 'x' x 200_000;
is($s->core($large), hash($large), 'one that cannot be stored is taken');
is(value('6 * 7'), '42', 'and runs');
ok($full->says(qr/the server's script cannot be stored/), 'which is logged');
$s->close;
$s = $full->accept;
$s->admit;
$s->send(pack 'nn', 11, 0);
is(substr($s->await(11)->{data}, 4), hash($large), 'the server is told of it');
value('agent.restartCore()');
ok($s->await('connected'), 'it can start again');

system('prlimit', "--pid=$full->{pid}", '--fsize=unlimited');
is($s->core($two), hash($two), 'the next one is taken');
is(value('6 * 7'), '42', 'and runs');
$full->stop;
$full->start;
$s = $full->accept;
$s->admit;
$s->send(pack 'nn', 11, 0);
is(substr($s->await(11)->{data}, 4), hash($two), 'and is stored');
is($full->stop, 0, 'the end');

sub ended {
    my ($server) = @_;
    for (1 .. 600) {
        return 1 if waitpid($server->{pid}, WNOHANG) == $server->{pid}
                    && delete $server->{pid};
        sleep 0.05;
    }
    return 0;
}

# the server's question after the script, then "run it"; what it is told
sub asked {
    my ($s, $hash) = @_;
    $s->send(pack 'nn', 11, 0);
    my $m = $s->await(11);
    return 'another hash' if substr($m->{data}, 4) ne $hash;
    $s->send(pack 'nn', 16, 0);
    $m = $s->await('coreinfo') or return 'nothing';
    return $m->{json}{value};
}

done_testing;
