#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# What mesh-agent has of WebRTC: nothing until a script asks, a certificate of
# its own, and offers of every kind.  S-18 and S-22 from the agent's side.  What
# a browser does with it is in t/interop/webrtc.mjs.

use strict;
use warnings;

use Digest::SHA qw(sha384);
use File::Temp qw(tempdir);
use JSON::PP;
use Test::More;

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
    }
});
JS

my $offer = join "\r\n", 'v=0', 'o=- 1 2 IN IP4 127.0.0.1', 's=-', 't=0 0',
    'a=group:BUNDLE 0',
    'm=application 9 UDP/DTLS/SCTP webrtc-datachannel', 'c=IN IP4 0.0.0.0',
    'a=candidate:1 1 udp 2113937151 127.0.0.1 9 typ host',
    'a=ice-ufrag:mmLC', 'a=ice-pwd:KqKUGsNSW+9KgdClHNxhzEUb',
    'a=fingerprint:sha-256 ' . join(':', ('A1') x 32), 'a=setup:actpass',
    'a=mid:0', 'a=sctp-port:5000', 'a=max-message-size:262144', '';

my ($server, $s);
my $started = 0;

sub value {
    my ($code) = @_;
    $s->json({ action => 'eval', code => $code });
    my $m = $s->await('value') or return undef;
    return $m->{json}{value};
}

sub begin {
    my (%arg) = @_;
    $server = Mesh::Server->new(%arg);
    return again();
}

sub again {
    my $pid = $server->start;
    $s = $server->accept;
    $s->admit or die "the agent is not in\n";
    # another one each time: what it has already it would not start
    my $script = $answer . '//' . $started++;
    is($s->core($script), sha384("\0\0\0\0$script"), 'a script runs') or die;
    return $pid;
}

sub loaded {
    my ($pid) = @_;
    return Mesh::Test::read_file("/proc/$pid/maps") =~ /libnice|libusrsctp/;
}

sub kilobytes {
    my ($pid) = @_;
    return Mesh::Test::read_file("/proc/$pid/status") =~ /VmRSS:\s+(\d+)/
           && $1;
}

sub print_of { return ($_[0] // '') =~ /fingerprint:sha-256 ([0-9A-F:]{95})/
                      ? $1 : '' }

my $quoted = JSON::PP->new->allow_nonref->encode($offer);
my $set = "require('ILibWebRTC').createConnection().setOffer($quoted)";
my $none = qr/^threw Error: Module: ILibWebRTC \(NOT FOUND\)/;

# --- where a library that it stands on is not there

# every machine has this address
my @options = ('--webrtcAddress=127.0.0.1');

SKIP: {
    my ($nice) = `ldconfig -p` =~ m{libnice\.so\.10 .*=> (/\S+)};
    skip 'needs root and mount namespaces', 4
        if $< || system('unshare', '-m', 'true') || !$nice;

    my $dir = tempdir('/var/tmp/mesh-rtc.XXXXXX', CLEANUP => 1);
    Mesh::Test::write_file("$dir/agent", "#!/bin/sh\nexec unshare -m sh -euc "
        . "'mount --bind /dev/null $nice; exec \"\$0\" \"\$@\"' "
        . Mesh::Server::program() . ' "$@"' . "\n");
    chmod 0755, "$dir/agent";

    begin(program => "$dir/agent", options => \@options);
    like(value($set), $none, 'without a library of it there is no module');
    ok($server->says(qr/WebRTC cannot be loaded: .*libnice\.so\.10/),
       'which is the one, is said');
    is(value('agent.hasWebRTC'), 'false', 'and the agent says that it has none');
    is($server->stop, 0, 'it works without');
}

# --- what it costs whom

my $pid = begin(options => \@options);
is(value('1 + 1'), 2, 'the agent works');
is(value('agent.hasWebRTC'), 'true', 'it has the part in itself');
ok(!loaded($pid), 'an agent that nobody has asked has not loaded it');
my $first = value($set);
ok(loaded($pid), 'one that was asked has');

like($first, qr/a=candidate:\S+ 1 UDP \d+ 127\.0\.0\.1 \d+ typ host\r\n/,
     'the answer has the address that the policy names');
is(() = $first =~ /a=candidate/g, 1, 'and no other');
like($first, qr/m=application 9 UDP\/DTLS\/SCTP webrtc-datachannel\r\n/,
     'in the form of the offer');
like($first, qr/a=setup:passive\r\n/, 'and leaves the start to the browser');

ok(print_of($first), 'it has a certificate');
is(print_of(value($set)), print_of($first), 'the same one for all');
is($server->stop, 0, 'the agent ends with connections open');
$pid = again();
is(print_of(value($set)), print_of($first), 'and after a restart');

# --- offers that are none

for my $bad (q(undefined), q(null), q(7), q({}), q(''), q('v=0'),
             q(new Array(65538).join('a')), q('m=\\u0000'))
{
    like(value("require('ILibWebRTC').createConnection().setOffer($bad)"),
         qr/^threw (?:Type)?Error: /, "no answer to $bad");
}
like(value("var c = require('ILibWebRTC').createConnection(); "
           . "c.setOffer($quoted); c.setOffer($quoted)"),
     qr/^threw Error: the connection has had its offer/,
     'a connection has one offer');

my $cut = <<"JS";
(function () {
    var offer = $quoted;
    var rtc = require('ILibWebRTC');
    var good = 0, bad = 0, i, c;
    for (i = 0; i <= offer.length; i++) {
        c = rtc.createConnection();
        try {
            c.setOffer(offer.slice(0, i));
            good++;
        } catch (e) {
            bad++;
        }
        c.close();
    }
    return good + ' ' + bad;
}())
JS

like(value($cut), qr/^[1-9]\d* [1-9]\d*$/,
     'S-22: an offer cut at each byte has an answer or none');
SKIP: {
    skip 'a sanitizer keeps what was freed', 1 if $ENV{MESH_ASAN};
    value($cut) for 1 .. 4;
    my $before = kilobytes($pid);
    value($cut) for 1 .. 8;
    my $grown = kilobytes($pid) - $before;
    ok($grown < 4_000, 'S-18: and many of them leave nothing behind')
        or diag("$grown KB");
}

# --- how many at once

is($server->stop, 0, 'the agent ends');
$pid = again();
like(value(<<"JS"), qr/^10 threw Error: the offer has no answer/,
(function () {
    var rtc = require('ILibWebRTC');
    var n = 0;
    globalThis.open = [];
    try {
        for (;;) {
            open.push(rtc.createConnection());
            open[n].setOffer($quoted);
            n++;
        }
    } catch (e) {
        return n + ' threw ' + e;
    }
}())
JS
     'S-18: ten connections at once');
like(value("open[0].close(); $set"), qr/^v=0/, 'another one behind the first');
like(value("open.forEach(function (c) { c.close(); }); $set"), qr/^v=0/,
     'and when they are closed');

# --- a person who is to be asked

my $core = Mesh::Test::read_file("$Mesh::Test::ROOT/build/core.js");
is($s->core($core), sha384("\0\0\0\0$core"), 'our core comes');

sub answers {
    my (%more) = @_;
    $s->json({ action => 'msg', type => 'tunnel', usage => 5,
               value => '*/meshrelay.ashx?p=5&id=a&rauth=b',
               rights => 4294967295, consent => 0, userid => 'user//a',
               username => 'a', remoteaddr => '127.0.0.1',
               servertlshash => unpack('H*', $s->{web}),
               soptions => { webrtc => JSON::PP::true }, %more });
    my $t = $server->accept;
    $t->send('c', 1);
    $t->send('5', 1);
    $t->send(encode_json({ type => 'offer', sdp => $offer }), 1);
    $t->send(encode_json({ ctrlChannel => 102938, type => 'rtt', time => 1 }),
             1) if !$more{consent};
    my $n = 0;
    while (my $m = $t->message) {
        last if exists $m->{close} || ($m->{json}{type} // '') eq 'rtt';
        $n++ if ($m->{json}{type} // '') eq 'answer';
    }
    $t->close;
    return $n;
}

is(answers(), 1, 'an offer has its answer');
is(answers(consent => 32), 0, 'but not before somebody has agreed');
is(answers(soptions => {}), 0, 'nor without a word of the server');

is($server->stop, 0, 'the agent ends');

done_testing;
