# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

package Mesh::Server;

# A server of the wire for mesh-agent: it can do each step alone, in any order
# and wrongly; and the agent that calls it.
#
#   my $server = Mesh::Server->new;
#   $server->start;                     # an agent, build/mesh-agent
#   my $s = $server->accept;            # a connection, after the 101
#   $s->admit;                          # the handshake, as it should be
#   my $m = $s->await(11);              # { cmd, data }, { json }, { close }

use strict;
use warnings;

use Crypt::PK::RSA;
use Digest::SHA qw(sha1 sha384);
use File::Copy qw(copy);
use File::Temp qw(tempdir);
use IO::Select;
use IO::Socket::INET;
use IO::Socket::SSL;
use JSON::PP;
use MIME::Base64 qw(encode_base64 decode_base64);
use POSIX qw(:sys_wait_h);
use Time::HiRes qw(time sleep);

use Mesh::Agent;
use Mesh::Test;

my $root = $Mesh::Test::ROOT;
my $wait = 60;

# what two agents' identities are, a server's key and its web certificates are
sub identity { return Mesh::Agent::identity($_[0], $_[1]) }

sub new {
    my ($class, %arg) = @_;
    my $self = bless {
        dir => tempdir('/var/tmp/mesh-agent.XXXXXX', CLEANUP => 1),
        key => 901, web => 902, group => 'g' x 48, %arg,
    }, $class;

    ($self->{rsa}, $self->{cert}) = identity($self->{key});
    $self->{id} = Mesh::Agent::key_hash($self->{rsa});
    $self->{socket} = IO::Socket::INET->new(
        LocalAddr => '127.0.0.1', Listen => 16, ReuseAddr => 1)
        or die "listen: $!\n";
    $self->{port} = $self->{socket}->sockport;
    $self->{log} = "$self->{dir}/log";
    mkdir "$self->{dir}/data", 0700;

    return $self;
}

sub policy {
    my ($self, %more) = @_;
    my $file = "$self->{dir}/policy.msh";
    my %keys = (
        MeshName => 'test', MeshType => 2,
        MeshID => '0x' . uc unpack('H*', $self->{group}),
        ServerID => uc unpack('H*', $self->{id}),
        MeshServer => "wss://127.0.0.1:$self->{port}/agent.ashx",
        %more,
    );
    Mesh::Test::write_file($file, join '', "\r\n", map { "$_=$keys{$_}\r\n" }
                           sort keys %keys);
    return $file;
}

sub program { return $ENV{MESH_AGENT_BIN} || "$root/build/mesh-agent" }

# a copy that may be replaced; its path
sub own_program {
    my ($self, $dir) = @_;
    my $exe = $self->{program} = ($dir // $self->{dir}) . '/mesh-agent';
    copy(program(), $exe) or die "$exe: $!\n";
    chmod 0755, $exe;
    return $exe;
}

# options: of the policy, key => value
sub start {
    my ($self, %more) = @_;
    my $policy = $self->policy(%more);
    my $bin = $self->{program} || program();
    my $pid = fork // die "fork: $!\n";

    if ($pid == 0) {
        open STDERR, '>>', $self->{log} or die;
        open STDOUT, '>&', \*STDERR or die;
        exec $bin, 'run', "--policy=$policy", "--data=$self->{dir}/data",
             '--log=info', @{ $self->{options} // [] };
        die "$bin: $!\n";
    }

    $self->{pid} = $pid;
    return $pid;
}

# its exit status, or undef when it does not end
sub stop {
    my ($self, $signal) = @_;
    my $pid = delete $self->{pid} // return undef;

    kill $signal // 'TERM', $pid;
    for (1 .. $wait * 20) {
        return $? if waitpid($pid, WNOHANG) == $pid;
        sleep 0.05;
    }

    kill 'KILL', $pid;
    waitpid $pid, 0;
    return undef;
}

# has it ended by itself?
sub ended {
    my ($self) = @_;
    my $pid = $self->{pid} // return 1;

    for (1 .. $wait * 20) {
        if (waitpid($pid, WNOHANG) == $pid) {
            delete $self->{pid};
            return 1;
        }
        sleep 0.05;
    }

    return 0;
}

sub DESTROY {
    my ($self) = @_;
    local ($?, $!);
    kill 'KILL', $self->{pid} and waitpid $self->{pid}, 0 if $self->{pid};
}

sub said {
    my ($self) = @_;
    return -e $self->{log} ? Mesh::Test::read_file($self->{log}) : '';
}

# waits until its log has it
sub says {
    my ($self, $what) = @_;
    for (1 .. $wait * 20) {
        return 1 if $self->said =~ $what;
        sleep 0.05;
    }
    return 0;
}

# the next TCP connection, with TLS; undef when none comes
sub tls {
    my ($self, $seconds, $web) = @_;

    return undef
        if !IO::Select->new($self->{socket})->can_read($seconds // $wait);

    my $tcp = $self->{socket}->accept or return undef;
    my $n = $web // $self->{web};
    my ($key) = identity($n);
    my (undef, $der) = identity($n);
    my $dir = "$root/build/test-agents";
    my $pem = "$dir/$n.pem";

    if (!-e $pem) {
        Mesh::Test::write_file("$pem.$$", "-----BEGIN CERTIFICATE-----\n"
            . encode_base64($der) . "-----END CERTIFICATE-----\n");
        rename "$pem.$$", $pem;
    }

    my $s = IO::Socket::SSL->start_SSL($tcp, SSL_server => 1,
        SSL_cert_file => $pem, SSL_key_file => "$dir/$n-2048.key",
        Timeout => $wait) or return undef;

    return bless { server => $self, s => $s, in => '', cert_n => $n,
                   web => sha384($der), nonce => Mesh::Agent::random(48) },
                 'Mesh::Server::Session';
}

# the next WebSocket
sub accept {
    my ($self, $seconds, $web) = @_;
    my $s = $self->tls($seconds, $web) or return undef;
    return $s->upgrade;
}


package Mesh::Server::Session;

use Time::HiRes qw(time sleep);

# reads the request; $self->{request} has it
sub request {
    my ($self) = @_;
    while ($self->{in} !~ /\r\n\r\n/) {
        $self->more($wait) or return undef;
    }
    $self->{in} =~ s/^(.*?\r\n\r\n)//s;
    return $self->{request} = $1;
}

sub upgrade {
    my ($self) = @_;
    my $request = $self->request // return undef;
    my ($key) = $request =~ /^Sec-WebSocket-Key: (\S+)\r$/m or return undef;
    my $accept = MIME::Base64::encode_base64(
        Digest::SHA::sha1($key . '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'), '');

    $self->raw("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
               . "Connection: Upgrade\r\nSec-WebSocket-Accept: $accept\r\n"
               . "\r\n");
    return $self;
}

sub raw { my ($self, $bytes) = @_; return print { $self->{s} } $bytes }

sub more {
    my ($self, $seconds) = @_;
    my $s = $self->{s};
    if (!$s->pending) {
        IO::Select->new($s)->can_read($seconds) or return 0;
    }
    my $n = sysread $s, my $bytes, 65536;
    return 0 if !$n;
    $self->{in} .= $bytes;
    return $n;
}

# one frame: { fin, opcode, masked, data }; undef at the end or after $seconds
sub frame {
    my ($self, $seconds) = @_;
    my $until = time + ($seconds // $wait);

    for (;;) {
        my $in = $self->{in};
        if (length $in >= 2) {
            my ($a, $b) = unpack 'CC', $in;
            my $len = $b & 127;
            my $at = $len == 126 ? 4 : $len == 127 ? 10 : 2;
            if (length $in >= $at) {
                $len = unpack $at == 4 ? 'n' : 'Q>', substr $in, 2 if $at > 2;
                my $masked = $b & 128;
                my $all = $at + ($masked ? 4 : 0) + $len;
                if (length $in >= $all) {
                    my $data = substr $in, $all - $len, $len;
                    if ($masked) {
                        my $mask = substr $in, $at, 4;
                        $data ^= substr $mask x (int($len / 4) + 1), 0, $len;
                    }
                    $self->{in} = substr $in, $all;
                    return { fin => $a >> 7, opcode => $a & 15,
                             masked => $masked ? 1 : 0, data => $data };
                }
            }
        }
        my $left = $until - time;
        return undef if $left <= 0 || !$self->more($left);
    }
}

# a whole message: { cmd, data }, { json, data }, { close }, { pong }
sub message {
    my ($self, $seconds) = @_;
    my $whole = '';

    while (my $f = $self->frame($seconds)) {
        if ($f->{opcode} == 8) {
            return { close => length $f->{data} >= 2
                              ? unpack('n', $f->{data}) : 1005 };
        }
        return { pong => $f->{data} } if $f->{opcode} == 10;
        if ($f->{opcode} == 9) {
            $self->send($f->{data}, 10);
            next;
        }
        $whole .= $f->{data};
        next if !$f->{fin};

        my $m = { data => $whole, opcode => $f->{opcode} };
        if ($whole =~ /^\{/) {
            $m->{json} = JSON::PP::decode_json($whole);
        } elsif (length $whole >= 2) {
            $m->{cmd} = unpack 'n', $whole;
        }
        return $m;
    }

    return undef;
}

# the next of that number, or JSON of that action; others are put aside
sub await {
    my ($self, $what, $seconds) = @_;
    while (my $m = $self->message($seconds)) {
        push @{ $self->{aside} }, $m;
        return undef if exists $m->{close};
        return $m if $what =~ /^\d+$/ ? ($m->{cmd} // 0) == $what
                     : $m->{json} && ($m->{json}{action} // '') eq $what;
    }
    return undef;
}

# what it says until it has answered a ping: a list of commands and actions
sub until_pong {
    my ($self) = @_;
    my @said;
    my $token = 'ping' . rand;
    $self->send($token, 9);
    while (my $m = $self->message) {
        return @said if ($m->{pong} // '') eq $token;
        push @said, $m->{cmd} // ($m->{json} ? $m->{json}{action} : 'end');
        last if exists $m->{close};
    }
    return @said, 'gone';
}

sub send {
    my ($self, $data, $opcode, $fin) = @_;
    my $len = length $data;
    my $head = pack 'C', ($fin // 1) * 128 + ($opcode // 2);
    $head .= $len < 126 ? pack('C', $len) : $len < 65536 ? pack('Cn', 126, $len)
             : pack('CQ>', 127, $len);
    return $self->raw($head . $data);
}

sub json { my ($self, $data) = @_; $self->send(JSON::PP::encode_json($data), 1) }

# the code it closes with; undef: it does not
sub closed {
    my ($self) = @_;
    while (my $m = $self->message) {
        return $m->{close} if exists $m->{close};
    }
    return undef;
}

# --- steps

# its first messages, up to 1: list of their numbers
sub hello {
    my ($self) = @_;
    my @cmds;
    while (my $m = $self->message) {
        push @cmds, $m->{cmd};
        $self->{hello}{ $m->{cmd} // 0 } = $m->{data};
        if (($m->{cmd} // 0) == 1) {
            $self->{agent_web} = substr $m->{data}, 2, 48;
            $self->{agent_nonce} = substr $m->{data}, 50, 48;
            last;
        }
    }
    return @cmds;
}

sub challenge {
    my ($self, %arg) = @_;
    $self->send(pack('n', 1) . ($arg{web} // $self->{agent_web})
                . ($arg{nonce} // $self->{nonce}));
}

sub prove {
    my ($self, %arg) = @_;
    my $server = $self->{server};
    my ($rsa, $cert) = ($arg{rsa} // $server->{rsa},
                        $arg{cert} // $server->{cert});
    my $signature = $arg{signature} // $rsa->sign_message(
        ($arg{web} // $self->{web}) . ($arg{agent} // $self->{agent_nonce})
        . ($arg{nonce} // $self->{nonce}), 'SHA384', 'v1.5');
    $self->send(pack('nn', 2, length $cert) . $cert . $signature);
}

# is its proof right?  sets node
sub proved {
    my ($self, $m) = @_;
    my $len = unpack 'n', substr $m->{data}, 2, 2;
    my $cert = substr $m->{data}, 4, $len;
    my $sig = substr $m->{data}, 4 + $len;
    my $key = Crypt::PK::RSA->new(\$cert);

    $self->{node} = Mesh::Agent::key_hash($key);
    return $key->verify_message($sig, $self->{web} . $self->{nonce}
                                . $self->{agent_nonce}, 'SHA384', 'v1.5');
}

# all of the handshake; true when the agent did its part
sub admit {
    my ($self) = @_;
    my @hello = $self->hello;
    my $skip = grep { $_ == 4 } @hello;

    $self->challenge;
    $self->prove if !$skip;

    my %seen;
    while (!$seen{2} || !$seen{3}) {
        my $m = $self->message or return 0;
        return 0 if !defined $m->{cmd};
        $seen{ $m->{cmd} } = $m;
    }

    return 0 if !$self->proved($seen{2});
    $self->{info} = $seen{3}{data};
    $self->send(pack 'n', 4);
    return $self->await(15) ? 1 : 0;
}

# pushes a script
sub core_now {
    my ($self, $script, %arg) = @_;
    my $core = "\0\0\0\0$script";
    my $hash = $arg{hash} // Digest::SHA::sha384($core);
    $self->send(pack('nn', $arg{cmd} // 10, 0) . $hash
                . ($arg{data} // $core));
}

# pushes a script; the hash in the agent's answer
sub core {
    my ($self, @script) = @_;
    $self->core_now(@script);
    my $m = $self->await(11) or return undef;
    return substr $m->{data}, 4;
}

# the hash of the program that it lets us replace
sub offered {
    my ($self) = @_;
    $self->send(pack('nn', 12, 0));
    my $m = $self->await(12) or return undef;
    return substr $m->{data}, 4;
}

# a program for it; how many blocks were acknowledged
sub send_program {
    my ($self, $program, $hash) = @_;
    my $acks = 0;
    $self->send(pack('nn', 13, 0));
    for (my $at = 0; $at < length $program; $at += 65531) {
        $self->send(pack('nn', 14, 1) . substr $program, $at, 65531);
        $self->await(14, 2) or last;
        $acks++;
    }
    $self->send(pack('nn', 13, 0) . ($hash // Digest::SHA::sha384($program)));
    return $acks;
}

sub close { my ($self) = @_; $self->{s}->close(SSL_no_shutdown => 1) }

1;
