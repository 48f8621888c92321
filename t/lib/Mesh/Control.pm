# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

package Mesh::Control;

# A control channel as meshctrl opens it, and requests over it.
#
#   my $c = Mesh::Control->new($mesh, 'admin', 'password');
#   my $reply = $c->ask({ action => 'nodes' });
#   my $event = $c->event(sub { $_[0]{action} eq 'nodeconnect' });

use strict;
use warnings;

use JSON::PP;
use MIME::Base64 qw(encode_base64);
use Time::HiRes qw(time);

our $DEADLINE = 60;

sub new {
    my ($class, $mesh, $user, $password, %arg) = @_;

    my $headers = $arg{headers} // {
        'x-meshauth' => join ',', map { encode_base64($_, '') } $user, $password
    };
    my $ws = $mesh->ws($arg{path} // '/control.ashx', headers => $headers);
    my $self = bless { ws => $ws, kept => [], n => 0 }, $class;

    return $self if $ws->status != 101;

    # serverinfo, userinfo; or why not
    for my $want ('serverinfo', 'userinfo') {
        my $m = $self->next or last;
        $self->{ $m->{action} } = $m;
        last if $m->{action} ne $want;
    }

    return $self;
}

sub ok { return exists $_[0]{userinfo} }

sub close { $_[0]{ws}->abort }

sub next {
    my ($self, $seconds) = @_;
    my $m = $self->{ws}->read($seconds) or return undef;
    if (exists $m->{close}) {
        $self->{closed} = $m->{close};
        return undef;
    }
    return decode_json($m->{data});
}

# the first message that is wanted, now or kept from before
sub wait {
    my ($self, $want, $seconds) = @_;
    my $until = time + ($seconds // $DEADLINE);
    my $kept = $self->{kept};

    for my $i (0 .. $#$kept) {
        return (splice @$kept, $i, 1)[0] if $want->($kept->[$i]);
    }

    while ((my $left = $until - time) > 0) {
        my $m = $self->next($left) or return undef;
        return $m if $want->($m);
        push @$kept, $m;
    }

    return undef;
}

sub event {
    my ($self, $want, $seconds) = @_;
    my $m = $self->wait(sub { $_[0]{action} eq 'event'
                              && $want->($_[0]{event}) }, $seconds);
    return $m && $m->{event};
}

sub send { my ($self, $m) = @_; return $self->{ws}->text(encode_json($m)) }

# the answer, found by the number that we gave it
sub ask {
    my ($self, $m, $seconds) = @_;
    my $id = 'r' . ++$self->{n};
    $self->send({ %$m, responseid => $id, tag => $id });
    return $self->wait(sub { ($_[0]{responseid} // '') eq $id
                             || ($_[0]{tag} // '') eq $id }, $seconds);
}

1;
