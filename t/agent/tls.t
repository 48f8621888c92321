#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# A script's own connections under TLS: whose certificate is taken, what goes
# over it, and through a proxy.

use strict;
use warnings;

use Digest::SHA qw(sha384_hex);
use IO::Select;
use IO::Socket::INET;
use IO::Socket::SSL;
use IO::Socket::SSL::Utils;
use MIME::Base64 qw(decode_base64);
use Test::More;

use Mesh::Test;
use Mesh::Server;

my $script = <<'JS';
var agent = require('MeshAgent');
var said = [];
function open(options) {
    var text = '';
    said = [];
    options.host = options.host || '127.0.0.1';
    var socket = require('tls').connect(options, function (s) {
        said.push('open ' + s.remoteAddress);
        s.write('hello\n');
    });
    socket.on('secureConnect', function () { said.push('secure'); });
    socket.on('data', function (chunk) { text += chunk.toString(); });
    socket.on('error', function (e) { said.push('error ' + e.message); });
    socket.on('end', function () { socket.end(); });
    socket.on('close', function () {
        agent.SendCommand({ action: 'over', said: said, size: text.length,
                            text: text.substring(0, 40) });
    });
}
agent.AddCommandHandler(function (m) {
    if (typeof m === 'object' && m.action === 'eval') {
        try { eval(m.code); } catch (e) {
            agent.SendCommand({ action: 'over', said: ['threw ' + e.message] });
        }
    }
});
JS

my @children;
my ($cert, $key) = CERT_create(subject => { commonName => 'there' });
my ($body) = PEM_cert2string($cert) =~ /-----\n(.*?)-----END/s;
my $digest = uc sha384_hex(decode_base64($body));
my %kind = (tls => there(1), plain => there(0));
my $proxy = proxy();

my $server = Mesh::Server->new;
$server->start;
my $s = $server->accept;
ok($s->admit, 'the agent is in');
$s->core($script);

my $r = over("open({ port: $kind{tls}, rejectUnauthorized: false })");
is_deeply($r->{said}, ['open 127.0.0.1', 'secure'], 'a connection is made');
is($r->{text}, 'you said hello', 'and carries both ways');

$r = over("open({ port: $kind{tls} })");
is_deeply([@{ $r->{said} }[1 .. 5], $r->{size}], [(undef) x 5, 0],
          'nobody vouches for a certificate: nothing is sent');
like($r->{said}[0], qr/^error \S/, 'and that is said');

$r = over("open({ port: $kind{tls}, checkServerIdentity: function (c) {
              said.push(c.length + ' ' + c[0].digest.replace(/:/g, '')); } })");
is_deeply($r->{said}, ["1 $digest", 'open 127.0.0.1', 'secure'],
          'a script takes it by its digest');

$r = over("open({ port: $kind{tls}, checkServerIdentity: function () {
              throw new Error('not mine'); } })");
is_deeply($r->{said}, ['error not mine'], 'or refuses it, and is told its own reason');

$r = over("open({ port: $kind{plain}, rejectUnauthorized: false })");
like($r->{said}[0], qr/^error \S/, 'who speaks no TLS is no other side');

$r = over("open({ port: 1, rejectUnauthorized: false })");
like($r->{said}[0], qr/^error \S/, 'nor is nobody');

$r = over("open({ port: $kind{tls}, host: '127.0.0.1', proxy:
                 { host: '127.0.0.1', port: $proxy }, rejectUnauthorized: 0 })");
is($r->{text}, 'you said hello', 'a proxy is used')
    or diag(join ' ', @{ $r->{said} });

$r = over("open({ port: $kind{tls}, rejectUnauthorized: false });
           require('net').createConnection({ port: $kind{plain} })");
is($r->{text}, 'you said hello', 'connections without it are beside it');

like(over('require("tls").connect()')->{said}[0], qr/^threw \S/,
     'an address is needed');

$server->stop;
done_testing;


sub over {
    my ($code) = @_;
    $s->json({ action => 'eval', code => $code });
    my $m = $s->await('over') or return { said => ['nothing'] };
    return $m->{json};
}

# somebody who answers one line; its port
sub there {
    my ($tls) = @_;
    my $listen = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1')
        or die "listen: $!\n";
    child(sub {
        while (my $c = $listen->accept) {
            if ($tls) {
                IO::Socket::SSL->start_SSL($c, SSL_server => 1,
                    SSL_cert => $cert, SSL_key => $key) or next;
            }
            my $line = <$c> // next;
            chomp $line;
            print $c "you said $line";
            close $c;
        }
    });
    return $listen->sockport;
}

# CONNECT, and what comes behind it; its port
sub proxy {
    my $listen = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1')
        or die "listen: $!\n";
    child(sub {
        while (my $near = $listen->accept) {
            my ($to) = (<$near> // '') =~ /^CONNECT (\S+) / or next;
            while (my $line = <$near>) { last if $line eq "\r\n" }
            my $far = IO::Socket::INET->new($to) or next;
            syswrite $near, "HTTP/1.1 200 OK\r\n\r\n";
            my $select = IO::Select->new($near, $far);
            PAIR: while (my @ready = $select->can_read) {
                for my $from (@ready) {
                    sysread $from, my $data, 65536 or last PAIR;
                    syswrite $from == $near ? $far : $near, $data;
                }
            }
        }
    });
    return $listen->sockport;
}

sub child {
    my ($run) = @_;
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        $run->();
        exit 0;
    }
    push @children, $pid;
}

END { kill 'KILL', @children }
