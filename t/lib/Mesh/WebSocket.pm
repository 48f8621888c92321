# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

package Mesh::WebSocket;

# A WebSocket client that can also do what no client should.

use strict;
use warnings;

use Digest::SHA qw(sha1_base64);
use IO::Select;
use IO::Socket::SSL;
use MIME::Base64 qw(encode_base64);
use Time::HiRes qw(time);

our $DEADLINE = 60;

# of all clients: to make one reads each certificate of the system
our $TLS = IO::Socket::SSL::SSL_Context->new(SSL_verify_mode => 0)
    or die "TLS: $SSL_ERROR\n";

# status is 101, or what the server answered instead
sub connect {
    my ($class, %arg) = @_;

    my $self = bless { in => '', path => $arg{path} }, $class;
    $self->{s} = IO::Socket::SSL->new(
        PeerAddr => '127.0.0.1', PeerPort => $arg{port},
        SSL_reuse_ctx => $TLS, SSL_hostname => 'localhost', Timeout => 10,
        LocalAddr => $arg{from})
        or die "cannot connect to port $arg{port}: $SSL_ERROR\n";
    $self->{port} = $arg{port};

    my $key = $arg{key} // encode_base64(join('', map { chr rand 256 }
                                              1 .. 16), '');
    my %head = (
        'Upgrade' => 'websocket', 'Connection' => 'Upgrade',
        'Sec-WebSocket-Key' => $key, 'Sec-WebSocket-Version' => 13,
        'Host' => "localhost:$arg{port}", %{ $arg{headers} // {} });
    my $method = $arg{method} // 'GET';
    my $text = "$method $arg{path} HTTP/1.1\r\n"
             . join('', map { "$_: $head{$_}\r\n" }
                    grep { defined $head{$_} } sort keys %head)
             . "\r\n" . ($arg{early} // '');
    syswrite $self->{s}, $text;

    my $until = time + $DEADLINE;
    while ($self->{in} !~ /\r\n\r\n/ && time < $until) {
        last if !$self->fill($until);
    }

    ($self->{head}, $self->{in}) = split /\r\n\r\n/, $self->{in}, 2;
    $self->{in} //= '';
    ($self->{status}) = ($self->{head} // '') =~ m{^HTTP/1\.1 (\d+)};
    $self->{status} //= 0;

    if ($self->{status} == 101) {
        my $want = sha1_base64($key . '258EAFA5-E914-47DA-95CA-C5AB0DC85B11')
                 . '=';
        $self->{head} =~ /^sec-websocket-accept: \Q$want\E\r?$/mi
            or die "wrong Sec-WebSocket-Accept\n";
    }

    return $self;
}

sub status { return $_[0]{status} }

sub fill {
    my ($self, $until) = @_;
    my $s = $self->{s};

    while (!$s->pending) {
        my $left = $until - time;
        return 0 if $left <= 0;
        next if IO::Select->new($s)->can_read($left > 1 ? 1 : $left);
        next;
    } continue {
        last if IO::Select->new($s)->can_read(0);
    }

    my $n = sysread $s, $self->{in}, 65536, length $self->{in};
    $self->{ended} = 1 if !$n;
    return $n ? 1 : 0;
}

sub frame {
    my ($self, $opcode, $data, %arg) = @_;
    my $fin = $arg{fin} // 1;
    my $len = length $data;
    my $first = ($fin ? 0x80 : 0) | ($arg{rsv} // 0) | $opcode;
    my $masked = $arg{unmasked} ? 0 : 0x80;
    my $head = $len < 126 ? pack('CC', $first, $masked | $len)
             : $len < 65536 ? pack('CCn', $first, $masked | 126, $len)
             : pack('CCNN', $first, $masked | 127, $len >> 32,
                    $len & 0xffffffff);
    return $head . $data if $arg{unmasked};

    my $mask = pack 'N', int rand 2**32;
    my $pad = $mask x (int($len / 4) + 1);
    return $head . $mask . ($data ^ substr $pad, 0, $len);
}

sub raw {
    my ($self, $bytes) = @_;
    my $off = 0;
    local $SIG{PIPE} = 'IGNORE';
    while ($off < length $bytes) {
        my $n = syswrite $self->{s}, $bytes, length($bytes) - $off, $off;
        return 0 if !defined $n;
        $off += $n;
    }
    return 1;
}

sub text { my ($self, $data) = @_; return $self->raw($self->frame(1, $data)) }
sub binary { my ($self, $data) = @_; return $self->raw($self->frame(2, $data)) }
sub ping { my ($self, $data) = @_; return $self->raw($self->frame(9, $data // '')) }

# its pong, which comes after all that was sent before it was read
sub alive {
    my ($self, $seconds) = @_;
    my $token = join '', map { chr int rand 256 } 1 .. 8;

    $self->ping($token) or return 0;
    while (my $f = $self->read_frame($seconds)) {
        return 0 if $f->{opcode} == 8;
        return 1 if $f->{opcode} == 10 && $f->{data} eq $token;
    }
    return 0;
}

# the next frame: { opcode, fin, data }; undef at the end or the deadline
sub read_frame {
    my ($self, $seconds) = @_;
    my $until = time + ($seconds // $DEADLINE);

    while (1) {
        my $in = \$self->{in};
        if (length $$in >= 2) {
            my ($a, $b) = unpack 'CC', $$in;
            my $len = $b & 0x7f;
            my $head = 2;
            if ($len == 126 && length $$in >= 4) {
                $len = unpack 'x2n', $$in;
                $head = 4;
            } elsif ($len == 127 && length $$in >= 10) {
                my ($hi, $lo) = unpack 'x2NN', $$in;
                $len = $hi * 2**32 + $lo;
                $head = 10;
            } elsif ($len >= 126) {
                $head = 0;
            }
            if ($head && length $$in >= $head + $len) {
                my $data = substr $$in, $head, $len;
                substr($$in, 0, $head + $len) = '';
                return { opcode => $a & 15, fin => $a >> 7, data => $data };
            }
        }
        return undef if !$self->fill($until);
    }
}

# the next message, control frames (but Close) left out
sub read {
    my ($self, $seconds) = @_;
    my $message;

    while (my $f = $self->read_frame($seconds)) {
        next if $f->{opcode} == 9 || $f->{opcode} == 10;
        return { close => length $f->{data} ? unpack('n', $f->{data}) : 1005 }
            if $f->{opcode} == 8;
        $message //= { opcode => $f->{opcode}, data => '' };
        $message->{data} .= $f->{data};
        return $message if $f->{fin};
    }

    return undef;
}

# close code, 1006 where the connection just ended, 0 where it does not
sub closed {
    my ($self, $seconds) = @_;
    while (1) {
        my $m = $self->read($seconds);
        return $self->{ended} ? 1006 : 0 if !$m;
        return $m->{close} if exists $m->{close};
    }
}

sub close {
    my ($self, $code) = @_;
    $self->raw($self->frame(8, pack 'n', $code // 1000));
}

sub abort {
    my ($self) = @_;
    $self->{s}->close(SSL_no_shutdown => 1);
}

1;
