#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# Who guesses at passwords: what a guess costs does not tell whether there is
# such a user (S-44), and whose guess it is says a header only where a trusted
# proxy wrote it (S-45).

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use MIME::Base64 qw(encode_base64);
use Test::More;
use Mesh::Browser;
use Mesh::Test;

my $PASSWORD = 'correct horse battery';
my $TRIES = 5;
my $MOST = 30;      # wrong ones of an address before it is locked out
my $PROXY = '127.0.0.7';
my @told = map { "198.51.100.$_" } 1 .. 3;      # by the proxy

my $mesh = Mesh::Test->new(server => <<"END");
set_real_ip_from $PROXY;
real_ip_header   X-Forwarded-For;
mesh_limit       control per=address 2;
mesh_limit       agent per=address 2;
END
$mesh->start(prepare => sub {
    $mesh->admin(\"$PASSWORD\n", 'user', 'add', 'admin', '--site-admin');
    $mesh->admin(\"$PASSWORD\n", 'user', 'add', $_) for qw(known imported);

    # as control.md 2.6: few rounds, three blocks
    my $hash = join '$', 'pbkdf2-sha384', 12000, 'c2FsdHNhbHQ=',
               encode_base64('x' x 128, '');
    $mesh->sql("UPDATE credential SET secret = '$hash' WHERE account_id ="
               . " (SELECT account_id FROM account WHERE login = 'imported')");
});
my $client = Mesh::Browser->login($mesh, 'admin', $PASSWORD);

# --- S-45: limits

for my $path ('/control.ashx', '/agent.ashx') {
    statuses("$path counts a stranger where he is, whatever he says",
             '101 101 503', map { [$path, forged($_)] } 1 .. 3);

    # twice: each is counted out where it was counted in
    statuses("$path counts who comes by a proxy where that says, time $_",
             '101 101 503 101', map { [$path, proxied($_)] }
             @told[0, 0], "192.0.2.1, $told[0]", $told[1]) for 1, 2;
}

# --- S-44: each in turn, so that what else runs here hits all alike

my ($n, %said, %spent) = (0);
for (1 .. $TRIES) {
    for my $user (qw(known imported nobody)) {
        my $begun = spent();
        my $r = guess($user, 'wrong', forged($n++));
        push @{ $spent{$user} }, spent() - $begun;
        $said{$user} .= "$r->{status} $r->{body}\n";
    }
}
like($said{known}, qr/^(?:401 [^\n]*\n){$TRIES}\z/, 'a wrong password is refused');
is($said{$_}, $said{known}, "S-44: $_ gets the same words") for qw(imported nobody);

my %median = map { $_ => (sort { $a <=> $b } @{ $spent{$_} })[$TRIES / 2] }
             keys %spent;
note(sprintf 'a guess at %s: %.0f ms of a processor', $_, $median{$_} / 1e6)
    for sort keys %median;
cmp_ok($median{known}, '>', 20e6, 'S-44: a guess costs work');
for my $user (qw(imported nobody)) {
    my $ratio = $median{$user} / $median{known};
    cmp_ok($ratio, '>', 0.6, "S-44: $user costs not less of it");
    cmp_ok($ratio, '<', 1.6, 'S-44: nor more');
}

# --- S-45: lockout

my $r;
while ($n < $MOST) {
    $r = guess('name' . $n, 'wrong', forged($n++));
    last if $r->{status} != 401;
}
is($r->{status}, 401, 'S-45: so far each was looked at');
for (1 .. 4) {
    is(guess('admin', $PASSWORD, forged($_))->{status}, 429,
       'S-45: a stranger is locked out where he is, whatever he says');
}
is(guess('admin', $PASSWORD, proxied('192.0.2.1'))->{status}, 200,
   'S-45: and not whom he named');

# a guess at the link of the set-up is one, and costs no hash
for (0 .. $MOST) {
    isnt($r->{status}, 429, 'S-45: each address behind a proxy has its own tries')
        if $_ == $MOST;
    $r = post('/setup.ashx', { token => 'x', username => 'x', password => 'x' },
              proxied($told[2]));
}
is($r->{status}, 429, 'S-45: and not one more');
$r = post('/setup.ashx', { token => 'x', username => 'x', password => 'x' },
          proxied("2001:db8::1:0:0:$_")) for 0 .. $MOST;
is($r->{status}, 429, 'S-45: a whole /64 of IPv6 is one address');
isnt(guess('known', 'wrong', proxied('2001:db8:0:1::1'))->{status}, 429,
     'S-45: the next is another');
is(guess('admin', $PASSWORD, proxied($_))->{status}, 429,
   'S-45: who used them up is locked out, whatever he told the proxy')
    for $told[2], "192.0.2.1, $told[2]";
is(guess('admin', $PASSWORD, proxied($told[1]))->{status}, 200,
   'S-45: and nobody else behind it');

# --- S-45: what is written down

guess('known', 'wrong', proxied($told[0]));
my $written = '';
$mesh->wait_for('the logs', sub {
    $written = join "\n", $mesh->sql('SELECT address, text, args FROM event'),
               map { Mesh::Test::read_file("$mesh->{dir}/logs/$_.log") }
               qw(access session error);
    return $written =~ /^\Q$told[0]\E\|Failed login/m
           && $written =~ /^\Q$told[0]\E - /m;
});
pass('S-45: the address that a proxy told is in the logs');
like($written, qr/ agent \d+ \Q$told[0]\E /, 'S-45: of sessions, too');
unlike($written, qr/192\.0\.2\.(?!1\b)/, 'S-45: what a stranger said is in none');

$mesh->stop;
done_testing;


# of connections that are open together, as soon as that can be
sub statuses {
    my ($what, $want, @to) = @_;
    my $got = '';
    eval {
        $mesh->wait_for($what, sub {
            my @open = map {
                my ($path, %arg) = @$_;
                $mesh->ws($path, %arg, headers => {
                    %{ $client->headers }, %{ $arg{headers} } });
            } @to;
            $got = join ' ', map { $_->status } @open;
            $_->abort for @open;
            return $got eq $want;
        });
    };
    is($got, $want, "S-45: $what");
}

# a sign-in; the answer
sub guess {
    my ($user, $password, %arg) = @_;
    return post('/login.ashx', { username => $user, password => $password },
                %arg);
}

sub post {
    my ($path, $data, %arg) = @_;
    return $mesh->request('POST', $path, from => $arg{from},
        headers => { %{ $client->headers }, %{ $arg{headers} },
                     'X-Mesh-CSRF' => $client->{info}{csrf} },
        body => encode_json($data));
}

# by one with no proxy, each time another lie
sub forged {
    my ($i) = @_;
    my $lie = "192.0.2.$i";
    my @lies = (['X-Forwarded-For' => $lie],
                ['X-Forwarded-For' => "$PROXY, $lie"],
                ['X-Real-IP' => $lie, 'X-Forwarded-For' => $PROXY],
                [Forwarded => "for=$lie;by=$PROXY;proto=https"]);
    return headers => { @{ $lies[$i % @lies] } };
}

sub proxied {
    return from => $PROXY, headers => { 'X-Forwarded-For' => $_[0] };
}

# ns of processors that all threads of all workers have had
sub spent {
    my $sum = 0;
    for my $pid ($mesh->workers) {
        $sum += (split ' ', Mesh::Test::read_file($_))[0] // 0
            for glob "/proc/$pid/task/*/schedstat";
    }
    return $sum;
}
