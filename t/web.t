#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# The web application's own requests: set-up link, sign-in, cookies, CSRF,
# lockout, tickets, and what ends with a sign-out.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use Test::More;
use Time::HiRes qw(time);
use Mesh::Browser;
use Mesh::Control;
use Mesh::Test qw(escape);

my $PASSWORD = 'correct horse battery';
my $mesh = Mesh::Test->new;
my $token;
$mesh->start(prepare => sub {
    $token = $mesh->admin('setup-link');
    chomp $token;
});
my $port = $mesh->{port};

# --- agents to download: ours, and those of the stock product

my $stock = "\x7fELF stock " . 'x' x 200000;
my $ours = "\x7fELF own " . 'y' x 300000;
is($mesh->get('/meshagents?id=6')->{status}, 404, 'there is no agent yet');
is($mesh->get('/meshagents?list=1')->{body}, '[]', 'the list says so');

Mesh::Test::write_file("$mesh->{dir}/agents/6", $stock);
Mesh::Test::write_file("$mesh->{dir}/agents/5-x86", "$stock 5");
is(agent('id=6'), $stock, 'without one of ours the stock one is given');
is(agent('id=6&product=own'), '404', 'but not as ours');

Mesh::Test::write_file("$mesh->{dir}/own-agents/6-b", 'another');
Mesh::Test::write_file("$mesh->{dir}/own-agents/6-a", $ours);
Mesh::Test::write_file("$mesh->{dir}/own-agents/readme", 'no agent');
is(agent('id=6'), $ours, 'ours is given first');
is(agent('id=6&product=own'), $ours, 'as when it is named');
is(agent('id=6&product=stock'), $stock, 'the stock one when that is named');
is(agent('product=stock&id=6'), $stock, 'in any order');
is(agent('id=5'), "$stock 5", 'and where ours is not made for the machine');
is(agent('id=7'), '404', 'a kind that nobody has is not there');

for my $bad ('product=', 'product=OWN', 'product=owner', 'product=stoc',
             'product=../own', 'product=own%00', 'product=own&product=stock',
             'product=%zz')
{
    is(agent("id=6&$bad"), '400', "another product is none: $bad");
}
for my $bad ('', 'id=', 'id=6-a', 'id=../agents/6', 'id=006666', 'id=-6',
             'id=readme', 'id=%36%2f', 'id=6&id=5')
{
    is(agent($bad), '404', "no file is named by who asks: $bad");
}

is_deeply([map { "$_->{id} $_->{product} $_->{file} $_->{size}" }
           @{ decode_json($mesh->get('/meshagents?list=1')->{body}) }],
          ['5 stock 5-x86 ' . length "$stock 5", '6 own 6-a ' . length $ours,
           '6 stock 6 ' . length $stock], 'the list tells them all');

my $head = $mesh->request('HEAD', '/meshagents?id=6')->{head};
like($head, qr/^content-length: @{[length $ours]}\r?$/mi, 'HEAD tells the size');
like($head, qr/^content-disposition: attachment; filename="mesh-agent"\r?$/mi,
     'S-53: and a name that is always the same');
like($head, qr/^x-content-type-options: nosniff/mi, 'with the headers of safety');
like($mesh->request('HEAD', '/meshagents?id=6&product=stock')->{head},
     qr/filename="meshagent"/, 'the stock one has the name that it knows');
my ($etag) = $head =~ /^etag: (\S+)/mi;
is($mesh->get('/meshagents?id=6', headers => { 'If-None-Match' => $etag })
        ->{status}, 304, 'what one has is not sent again');
my $part = $mesh->get('/meshagents?id=6', headers => { Range => 'bytes=4-7' });
is("$part->{status} $part->{body}", '206  own', 'a part can be asked for');

# --- S-35: the set-up link

my $owner = Client();
is($owner->{info}{setup}, JSON::PP::true, 'the page knows that a link is open');

my @keys = map {
    chomp(my $key = `openssl x509 -in $mesh->{dir}/keys/$_.pem -pubkey -noout |
        openssl pkey -pubin -outform DER | openssl dgst -sha256 -binary |
        openssl base64`);
    $key
} qw(web-ecdsa web-rsa);
is_deeply([sort @{ $owner->{info}{pins} }], [sort @keys],
          'and the keys that a command line may be shown');

for my $fetch (['curl', '-fsSk', '-o'],
               ['wget', '-q', '--no-check-certificate', '-O'])
{
    my ($tool, @options) = @$fetch;
    my $file = "$mesh->{dir}/fetched";
    my $url = "https://localhost:$port/meshagents?product=own&id=6";

    for my $right (1, 0) {
        my $pins = join ';', map { "sha256//$_" } $right ? @keys : 'A' x 43 . '=';
        unlink $file;
        my $option = '--pinnedpubkey' . ($tool eq 'curl' ? ' ' : '=');
        my $rc = system("$tool $option'$pins' @options $file '$url' 2>/dev/null");
        my $got = -e $file ? Mesh::Test::read_file($file) : '';
        $right ? is($got, $ours, "by them $tool fetches an agent from us")
               : is($rc ? $got : 'taken', '', "and from nobody else");
    }
}

for my $wrong ('', 'x' x 43, substr($token, 0, 42), "$token.", "$token\n",
               '../' . $token, { a => 1 }, undef)
{
    my $r = $owner->post('setup', { token => $wrong, username => 'ines',
                                    password => $PASSWORD });
    is($r->{status} == 200 ? 'open' : 'shut', 'shut',
       'S-35: a token that is not the one opens nothing');
}

my %body = (token => $token, username => 'ines', password => $PASSWORD);
for (['username', ''], ['username', 'a b'], ['username', 'a/b'],
     ['username', 'x' x 65], ['username', "a\0b"], ['password', 'short'],
     ['password', ''], ['username', 7], ['password', ['x']])
{
    my ($key, $bad) = @$_;
    my $r = $owner->post('setup', { %body, $key => $bad });
    cmp_ok($r->{status}, '>=', 400, "S-35: a $key that will not do is refused");
}

# many at once: one of them wins
my @racers = map { Client() } 1 .. 8;
my @sent = map { $_->begin('setup', { %body, username => 'racer' . $_->{n} }) }
           @racers;
my @won = grep { $_->finish->{status} == 200 } @racers;
is(scalar @won, 1, 'S-35: the link works once, also when eight use it at once');
my $name = 'racer' . $won[0]{n};

my $late = Client();
is($late->{info}{setup}, JSON::PP::false, 'S-35: and is closed from then on');
is($late->post('setup', \%body)->{status}, 403,
   'S-35: the same token is refused');
is($late->post('setup', { %body, token => 'y' x 43 })->{status}, 403,
   'S-35: so is any other');

# --- S-05: cookies

my $client = Client();
my $r = $client->post('login', { username => $name, password => $PASSWORD });
is($r->{status}, 200, 'who was set up signs in');
my ($cookie) = $r->{head} =~ /^set-cookie: (__Host-mesh=[^\r\n]+)/mi;
like($cookie, qr/; *Secure/i, 'S-05: the cookie goes over TLS alone');
like($cookie, qr/; *HttpOnly/i, 'S-05: no script reads it');
like($cookie, qr/; *SameSite=(?:Lax|Strict)/i, 'S-05: no other site sends it');
like($cookie, qr/; *Path=\//i, 'S-05: it has the prefix __Host-');
unlike($cookie, qr/Domain=/i, 'S-05: and no domain');
unlike(Mesh::Test::read_file("$mesh->{dir}/data/mesh.db"),
       qr/\Q@{[$cookie =~ m{=([^;]+)}]}\E/,
       'S-05: the database does not have the cookie itself')
    if $mesh->{db} eq 'sqlite';
is($client->session->{user}{name}, $name, 'it says who is signed in');

# --- S-10: CSRF

my %post = (login => { username => $name, password => $PASSWORD },
            logout => {}, setup => \%body);
my $other = Client();
for my $what (sort keys %post) {
    my $path = "/$what.ashx";
    my $json = encode_json($post{$what});
    my %head = ('Content-Type' => 'application/json',
                Cookie => $client->cookies);

    is($mesh->request('POST', $path, headers => \%head, body => $json)
            ->{status}, 403, "S-10: $what without a token is refused");
    is($mesh->request('POST', $path, headers => { %head,
            'X-Mesh-CSRF' => 'a' x 64 }, body => $json)->{status}, 403,
       "S-10: $what with a wrong token is refused");
    is($mesh->request('POST', $path, headers => { %head,
            'X-Mesh-CSRF' => $other->{info}{csrf} }, body => $json)->{status},
       403, "S-10: $what with somebody else's token is refused");
    is($mesh->request('POST', $path, headers => { %head,
            'X-Mesh-CSRF' => $client->{info}{csrf},
            Origin => 'https://evil.example' }, body => $json)->{status}, 403,
       "S-10: $what from another site is refused");
    isnt($mesh->request('POST', $path, headers => { %head,
            'X-Mesh-CSRF' => $client->{info}{csrf},
            'Content-Type' => 'text/plain' }, body => $json)->{status}, 200,
       "S-10: $what as a form would send it is refused");
    isnt($mesh->request('GET', $path, headers => \%head)->{status}, 200,
         "S-10: $what is no GET");
}
is($client->session->{user}{name}, $name, 'none of this signed anybody out');

# --- bodies of the worst kind

for my $bad ('', '{', '[]', '7', '{"username":' . '[' x 5000, "\0" x 100,
             '{"username":"\ud800","password":"x"}', 'x' x 17000,
             '{"username":"a","username":"b","password":"c"}',
             encode_json({ username => 'u' x 5000, password => 'p' }),
             encode_json({ username => 'u', password => 'p' x 16000 }))
{
    my $status = $other->post_raw('login', $bad)->{status};
    cmp_ok($status, '>=', 400, 'S-24: a body that will not do is refused');
    cmp_ok($status, '<', 500, 'and that is the fault of who sent it');
}

# --- S-04, S-01: a WebSocket by ambient cookie

my $own = "https://localhost:$port";
is(live($client->cookies, $own), 'live',
   'the page opens its control channel with the cookie');
isnt(live($client->cookies, undef), 'live',
     'S-04: without an Origin the cookie counts for nothing');
isnt(live('__Host-mesh=' . 'A' x 43, $own), 'live', 'a wrong cookie is none');
isnt(live(undef, $own), 'live', 'no cookie is none');

# --- S-09, S-06: tickets

my $control = Mesh::Control->new($mesh, $name, $PASSWORD);
my $tickets = $control->ask({ action => 'authcookie' });
is(ticket($tickets->{cookie}), 'live', 'a ticket opens a control channel');
my $good = $tickets->{cookie};
my @bent = map {
    my $t = $good;
    substr($t, $_, 1) = substr($t, $_, 1) eq 'A' ? 'B' : 'A';
    $t
} grep { $_ % 7 == 0 } 0 .. length($good) - 4;
is((grep { ticket($_) eq 'live' } @bent), 0,
   'S-09: one with another character somewhere opens nothing');
is((grep { ticket(substr $good, 0, $_) eq 'live' }
    grep { $_ % 9 == 0 } 0 .. length($good) - 1), 0,
   'S-09: one that is cut opens nothing');
isnt(ticket($tickets->{rcookie}), 'live',
     'S-06: a ticket for a relay opens no control channel');
is((grep { $tickets->{cookie} eq $_->{cookie} }
    map { $control->ask({ action => 'authcookie' }) } 1 .. 5), 0,
   'S-09: no two tickets are alike');

# --- S-07: what ends with it

my $socket = channel($client->cookies, $own);
is($client->post('logout', {})->{status}, 200, 'somebody signs out');
my $begun = time;
isnt($socket->closed, 0, 'S-07: the control channel ends');
cmp_ok(time - $begun, '<', 10, 'S-07: soon');
isnt(live($client->cookies, $own), 'live', 'S-07: the cookie is worth nothing');

$client = Client();
$client->post('login', { username => $name, password => $PASSWORD });
$client->session;
$socket = channel($client->cookies, $own);
my $ticket = $control->ask({ action => 'authcookie' })->{cookie};
my $third = Mesh::Control->new($mesh, $name, $PASSWORD);
$third->send({ action => 'changepassword', oldpass => $PASSWORD,
               newpass => "$PASSWORD 2", responseid => 'p' });
$begun = time;
isnt($socket->closed, 0, 'S-07: a new password ends other channels');
cmp_ok(time - $begun, '<', 10, 'S-07: soon');
isnt(ticket($ticket), 'live', 'S-07: and tickets made before');
isnt(live($client->cookies, $own), 'live', 'S-07: and cookies');
$PASSWORD .= ' 2';
is(Mesh::Control->new($mesh, $name, $PASSWORD)->ok, 1, 'the new one is taken');

# --- S-45: lockout; S-44: the same words for who is there and who is not

$mesh->admin(\"a password for tests\n", 'user', 'add', 'victim');
sleep 6;
my (%said, %guesser);
for (1 .. 3) {
    for my $user ('victim', 'nobody') {
        $guesser{$user} //= Client();
        $r = $guesser{$user}->post('login', { username => $user,
                                              password => 'wrong' });
        $said{$user} .= "$r->{status} $r->{body}\n";
    }
}
like($said{victim}, qr/^401/, 'a wrong password is refused');
is($said{victim}, $said{nobody},
   'S-44: who guesses does not learn whether there is such a name');
for (1 .. 12) {
    $r = $guesser{victim}->post('login', { username => 'victim',
                                           password => 'wrong' });
    last if $r->{status} == 429;
}
is($r->{status}, 429, 'S-45: and is soon locked out');
my $locked = Client()->post('login', { username => 'victim',
                                       password => 'a password for tests' });
is($locked->{status}, 429, 'S-45: the right password does not help then');
my ($retry) = $locked->{body} =~ /"retry":(\d+)/;
cmp_ok($retry // 0, '>', 0, 'S-45: it is told for how long');
for (1 .. 30) {
    $r = Client()->post('login', { username => "name$_",
                                   password => 'wrong' });
    last if $r->{status} == 429;
}
is($r->{status}, 429, 'S-45: an address that guesses names is locked out');

$mesh->stop;
done_testing;


# the file, or the status where that is not 200
sub agent {
    my $r = $mesh->get("/meshagents?$_[0]");
    return $r->{status} == 200 ? $r->{body} : $r->{status};
}

sub Client { return Mesh::Browser->new($mesh) }

sub channel {
    my ($cookies, $origin) = @_;
    return $mesh->ws('/control.ashx', headers => {
        (defined $cookies ? (Cookie => $cookies) : ()),
        (defined $origin ? (Origin => $origin) : ()) });
}

# live, or how it was refused
sub live {
    my $ws = channel(@_);
    return $ws->status if $ws->status != 101;
    return first($ws);
}

sub ticket {
    my ($ticket) = @_;
    my $ws = $mesh->ws('/control.ashx?auth=' . escape($ticket));
    return $ws->status if $ws->status != 101;
    return first($ws);
}

sub first {
    my ($ws) = @_;
    my $m = $ws->read(5) or return 'silence';
    return "closed $m->{close}" if exists $m->{close};
    return decode_json($m->{data})->{action} eq 'serverinfo' ? 'live' : 'no';
}
