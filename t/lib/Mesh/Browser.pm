# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# A browser without a page: cookies, the CSRF token, and what they open.

package Mesh::Browser;

use strict;
use warnings;

use IO::Socket::SSL;
use JSON::PP;
use Mesh::Control;

my $n = 0;

sub new {
    my ($class, $mesh) = @_;
    my $self = bless { mesh => $mesh, jar => {}, n => ++$n }, $class;
    $self->session;
    return $self;
}

sub login {
    my ($class, $mesh, $name, $password) = @_;
    my $self = $class->new($mesh);
    my $r = $self->post('login', { username => $name, password => $password });
    die "no login: $r->{status}\n" if $r->{status} != 200;
    return $self;
}

# its control channel
sub control {
    my ($self) = @_;
    return Mesh::Control->new($self->{mesh}, undef, undef,
                              headers => $self->headers);
}

sub cookies {
    my ($self) = @_;
    return join '; ', map { "$_=$self->{jar}{$_}" } sort keys %{ $self->{jar} };
}

sub keep {
    my ($self, $r) = @_;
    while ($r->{head} =~ /^set-cookie: ([^=]+)=([^;\r\n]*)/mgi) {
        length $2 ? ($self->{jar}{$1} = $2) : delete $self->{jar}{$1};
    }
    return $r;
}

sub headers {
    my ($self, %more) = @_;
    my $cookies = $self->cookies;
    return { 'Content-Type' => 'application/json',
             Origin => "https://localhost:$self->{mesh}{port}",
             ($cookies ? (Cookie => $cookies) : ()), %more };
}

sub session {
    my ($self) = @_;
    my $r = $self->keep($self->{mesh}->get('/session.ashx',
                                           headers => $self->headers));
    return $self->{info} = decode_json($r->{body});
}

sub post_raw {
    my ($self, $what, $body) = @_;
    return $self->keep($self->{mesh}->request('POST', "/$what.ashx",
        headers => $self->headers('X-Mesh-CSRF' => $self->{info}{csrf}),
        body => $body));
}

sub post {
    my ($self, $what, $data) = @_;
    my $r = $self->post_raw($what, encode_json($data));
    $self->session if $r->{status} == 200;
    return $r;
}

# the same in two steps, for races
sub begin {
    my ($self, $what, $data) = @_;
    my $body = encode_json($data);
    my $head = $self->headers('X-Mesh-CSRF' => $self->{info}{csrf},
        'Content-Length' => length $body, Connection => 'close',
        Host => "localhost:$self->{mesh}{port}");
    $self->{s} = IO::Socket::SSL->new(PeerAddr => '127.0.0.1',
        PeerPort => $self->{mesh}{port}, SSL_reuse_ctx => $Mesh::WebSocket::TLS,
        SSL_hostname => 'localhost') or die;
    syswrite $self->{s}, "POST /$what.ashx HTTP/1.1\r\n"
        . join('', map { "$_: $head->{$_}\r\n" } sort keys %$head)
        . "\r\n$body";
    return $self;
}

sub finish {
    my ($self) = @_;
    my $text = '';
    1 while sysread $self->{s}, $text, 65536, length $text;
    my ($status) = $text =~ m{^HTTP/1\.1 (\d+)};
    return { status => $status // 0 };
}

1;
