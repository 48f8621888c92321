# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

package Mesh::Agent;

# An agent of the wire, agent.md 2 and 3: it can do each step alone, in any
# order and wrongly.  $mesh is a Mesh::Test.
#
#   my $agent = Mesh::Agent->new($mesh, group => $id, n => 3);
#   $agent->online or die;
#   $agent->json({ action => 'coreinfo', ... });
#   my $m = $agent->message;        # { cmd, data } or { json }

use strict;
use warnings;

use Crypt::PK::RSA;
use Digest::SHA qw(sha384);
use Fcntl qw(LOCK_EX);
use File::Path qw(make_path);
use JSON::PP;
use MIME::Base64 qw(encode_base64 decode_base64);
use Net::SSLeay;

# key and certificate number n, made once for all tests
sub identity {
    my ($n, $bits) = @_;
    $bits //= 2048;
    my $dir = "$Mesh::Test::ROOT/build/test-agents";
    my $file = "$dir/$n-$bits";

    if (!-e "$file.crt") {
        make_path($dir);

        # another test may be at it
        open my $lock, '>>', "$dir/lock" or die "$dir/lock: $!\n";
        flock $lock, LOCK_EX or die "$dir/lock: $!\n";

        if (!-e "$file.crt") {
            system("openssl req -x509 -newkey rsa:$bits -nodes "
                   . "-keyout $file.key -out $file.new -outform DER "
                   . '-days 3650 -subj /CN=MeshNodeCertificate 2>/dev/null')
                == 0 or die "openssl req failed\n";
            rename "$file.new", "$file.crt";
        }
    }

    return (Crypt::PK::RSA->new("$file.key"),
            Mesh::Test::read_file("$file.crt"));
}

sub new {
    my ($class, $mesh, %arg) = @_;

    my $self = bless {
        mesh => $mesh, n => 1, name => 'agent', agent_id => 6, version => 0,
        platform => 1, caps => 0x118, nonce => random(48), %arg,
    }, $class;

    ($self->{key}, $self->{cert}) = identity($self->{n}, $self->{bits})
        if !$self->{key};
    $self->{id} = key_hash($self->{key});
    $self->{group} = raw_id($self->{group}) if defined $self->{group};

    return $self;
}

# SHA-384 over RSAPublicKey
sub key_hash {
    my ($key) = @_;
    my $h = $key->key2hash;
    my @n = map { integer(pack 'H*', length($_) % 2 ? "0$_" : $_) }
            @$h{qw(N e)};
    my $body = join '', @n;
    return sha384(der(0x30, $body));
}

sub integer {
    my ($bytes) = @_;
    $bytes =~ s/^\0+//;
    $bytes = "\0$bytes" if ord($bytes) & 0x80;
    return der(2, $bytes);
}

sub der {
    my ($tag, $body) = @_;
    my $n = length $body;
    my $len = $n < 128 ? chr $n : $n < 256 ? pack('CC', 0x81, $n)
            : pack('Cn', 0x82, $n);
    return chr($tag) . $len . $body;
}

sub raw_id {
    my ($text) = @_;
    return $text if length $text == 48;
    $text =~ s{.*/}{};
    $text =~ tr/@$/+\//;
    return decode_base64($text);
}

sub wire_id {
    my ($raw) = @_;
    my $text = encode_base64($raw, '');
    $text =~ tr/+\//@$/;
    return $text;
}

sub node { return 'node//' . wire_id($_[0]{id}) }

sub random { return join '', map { chr int rand 256 } 1 .. $_[0] }

# --- steps

sub connect {
    my ($self, %arg) = @_;
    $self->{ws} = $self->{mesh}->ws($self->{path} // '/agent.ashx', %arg);
    return if $self->{ws}->status != 101;

    my $x509 = Net::SSLeay::get_peer_certificate($self->{ws}{s}->_get_ssl_object);
    $self->{web} = sha384(pem_to_der(Net::SSLeay::PEM_get_string_X509($x509)));
    Net::SSLeay::X509_free($x509);

    return $self;
}

sub pem_to_der {
    my ($pem) = @_;
    my ($body) = $pem =~ /-----BEGIN CERTIFICATE-----(.*?)-----END/s;
    return decode_base64($body);
}

sub binary { my ($self, $data) = @_; return $self->{ws}->binary($data) }

sub commit { $_[0]->binary(pack('n', 30) . "2026-Jan-1\0") }
sub host { $_[0]->binary(pack('n', 31) . 'Debian - x64') }
sub server_id { $_[0]->binary(pack('n', 5) . $_[1]) }
sub confirm { $_[0]->binary(pack 'n', 4) }

sub request {
    my ($self, %arg) = @_;
    $self->binary(pack('n', 1) . ($arg{web} // $self->{web})
                  . ($arg{nonce} // $self->{nonce}));
}

sub verify {
    my ($self, %arg) = @_;
    my $cert = $arg{cert} // $self->{cert};
    my $sig = $arg{signature} // $self->{key}->sign_message(
        ($arg{web} // $self->{web}) . ($arg{server} // $self->{server_nonce})
        . ($arg{nonce} // $self->{nonce}), 'SHA384', 'v1.5');
    $self->binary(pack('nn', 2, length $cert) . $cert . $sig);
}

sub info {
    my ($self, %arg) = @_;
    my %a = (%$self, %arg);
    $self->binary(pack('nNNNN', 3, 1, @a{qw(agent_id version platform)})
                  . $a{group} . pack('Nn', $a{caps}, length $a{name})
                  . $a{name});
}

# from its first message to its last, with a proof as asked for
sub prove {
    my ($self, %proof) = @_;
    $self->request;
    $self->await(1);
    $self->verify(%proof);
    $self->info;
}

# --- all of them, as the stock agent does; true when it is let in

sub online {
    my ($self, %arg) = @_;

    $self->connect or return 0;
    $self->commit;
    $self->confirm if $arg{skip};
    $self->request;
    $self->await(1) or return 0;

    if (!$arg{skip}) {
        my $m = $self->await(2) or return 0;
        $self->{proof} = $m->{data};
    }

    $self->verify;
    $self->info;
    return $self->await(4) ? 1 : 0;
}

# the next message; undef at the end or when the seconds are over
sub message {
    my ($self, $seconds) = @_;
    my $m = $self->{ws}->read($seconds) or return undef;
    return $m if exists $m->{close};
    return { json => decode_json($m->{data}) } if $m->{data} =~ /^\{/;
    my $cmd = unpack 'n', $m->{data};
    $self->{server_nonce} = substr $m->{data}, 50 if $cmd == 1;
    return { cmd => $cmd, data => $m->{data} };
}

# the next message of that number, or, as text, JSON of that action
sub await {
    my ($self, $what, $seconds) = @_;
    while (my $m = $self->message($seconds)) {
        return undef if exists $m->{close};
        return $m if $what =~ /^\d+$/ ? ($m->{cmd} // 0) == $what
                     : $m->{json} && ($m->{json}{action} // '') eq $what;
    }
    return undef;
}

# held: nothing comes but answers to pings
sub held {
    my ($self) = @_;
    my $token = random(8);
    $self->{ws}->ping($token);
    while (my $f = $self->{ws}->read_frame(5)) {
        return 0 if $f->{opcode} == 8;
        return 1 if $f->{opcode} == 10;
        return 0 if $f->{opcode} == 2 && unpack('n', $f->{data}) == 4;
    }
    return 0;
}

sub json {
    my ($self, $data) = @_;
    return $self->{ws}->text(ref $data ? encode_json($data) : $data);
}

sub close { $_[0]{ws}->abort if $_[0]{ws} }

1;
