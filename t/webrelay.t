#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# The web relay (session.md 1.12): pages of a device that the test plays, down
# to each byte.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw(sha1_base64);
use File::Path;
use IO::Select;
use IO::Socket::SSL;
use JSON::PP;
use Test::More;
use Time::HiRes qw(time);
use Mesh::Agent;
use Mesh::Control;
use Mesh::Relay qw(answer pour);
use Mesh::Test qw(escape);

my $relay = Mesh::Test::port();
my $mesh = Mesh::Test->new(server => 'mesh_limit relay per=user 1000;');
$mesh->{http} = server("mesh_web_relay :$relay;");

my $group;
$mesh->start(prepare => sub {
    $mesh->admin(\"correct horse battery\n", 'user', 'add', 'admin',
                 '--site-admin');
    $mesh->admin(\"a password for tests\n", 'user', 'add', $_)
        for qw(mei oona yun);
    $group = $mesh->admin('group', 'add', 'Lab', '--owner', 'admin');
    chomp $group;
});

my $admin = Mesh::Control->new($mesh, 'admin', 'correct horse battery');
my ($mei, $oona, $yun) = map { Mesh::Control->new($mesh, $_, 'a password for tests') }
                         qw(mei oona yun);
my $agent = Mesh::Agent->new($mesh, n => 720, group => $group, name => 'one');
$agent->online or die "no agent\n";

# --- the way in

my $link = link_of($admin, port => 8080, appid => 1);
like($link, qr{^https://localhost:$relay/control-redirect\.ashx\?n=},
     'a page is opened at a port of its own');

my $r = get($link);
is($r->{status}, 200, 'the link opens it');
my $cookie = session($r);
like($r->{head}, qr/^set-cookie: __Host-mesh-web=[^;]+; Path=\/; Secure;\ HttpOnly;\ SameSite=Strict\r?$/mi,
     'S-54: with a cookie for this host alone, and for no script');
is(header($r, 'clear-site-data'), '"storage"',
   'S-54: what the page of another device left in the browser is gone');
is(header($r, 'referrer-policy'), 'no-referrer', 'S-05: the link goes nowhere');
like($r->{body}, qr{<meta http-equiv=refresh content="0;url=/">},
     'it leads to the page');

$r = get($link);
is($r->{status}, 403, 'S-06: the link opens it once');
like($r->{body}, qr/This link was used already/, 'and says so');
is(session($r), undef, 'and gives no cookie');

my $other = link_of($admin, port => 81, appid => 1);
for my $case (['no ticket', '/control-redirect.ashx'],
              ['one bit less', $other =~ s/c=(.)/'c=' . ($1 eq 'A' ? 'B' : 'A')/er],
              ['a cookie of the control channel', '/control-redirect.ashx?c='
               . escape($admin->ask({ action => 'authcookie' })->{cookie})],
              ['the cookie of a page', '/control-redirect.ashx?c='
               . escape($cookie =~ s/.*?=//r)])
{
    is(get($case->[1])->{status}, 403, "S-06: $case->[0] opens nothing");
}
like($other, qr/[?&]c=([^&]+)/, 'a link has a ticket');
my ($ticket) = $other =~ /[?&]c=([^&]+)/;
is(get('/', Cookie => "__Host-mesh-web=$ticket")->{status}, 403,
   'S-06: the ticket of a link is no cookie');

for my $case (['no cookie', undef], ['a cookie that is none', 'x'])
{
    $r = get('/', defined $case->[1]
             ? (Cookie => "__Host-mesh-web=$case->[1]") : ());
    is($r->{status}, 403, "without a session there is no page: $case->[0]");
    like($r->{body}, qr/No page of a device is open here/, 'and it says so');
}

for my $case ([{ port => 0, appid => 1 }, 'Invalid port'],
              [{ port => 80, appid => 3 }, 'Invalid appid'],
              [{ port => 80, appid => 1, addr => '10.1.2.3' }, qr/group/],
              [{ port => 80, appid => 1, addr => '169.254.169.254' }, qr/./],
              [{ port => 80, appid => 1, addr => '0x7f.1' }, qr/./])
{
    my $reply = $admin->ask({ action => 'webrelay', nodeid => $agent->node,
                              %{ $case->[0] } });
    like($reply->{result}, ref $case->[1] ? $case->[1] : qr/^$case->[1]$/,
         'S-50: refused: ' . encode_json($case->[0]));
    is($reply->{url}, undef, 'S-50: and there is no link');
}
is($oona->ask({ action => 'webrelay', nodeid => $agent->node, port => 80,
                appid => 1 })->{result}, 'Invalid node id',
   'S-33: who does not see the device is told that there is none');

# --- a page, byte for byte

my ($s, $device) = asked("$cookie; __Host-mesh=secret; a=b; theme=dark",
    '/index.html?x=1&y=%2f..%20', headers => {
        'User-Agent' => 'test', DNT => 1, 'Sec-Fetch-Mode' => 'navigate',
        'Sec-CH-UA' => '"x"', 'Upgrade-Insecure-Requests' => 1,
        'X-Meshauth' => '*', 'X-Own' => 'kept', Upgrade => 'h2c',
        Origin => "https://localhost:$relay",
        Referer => "https://localhost:$relay/before?q" });
is_deeply([@{ $device->{asked} }{qw(tcpport tcpaddr)}], [8080, '127.0.0.1'],
          'the agent is told where to connect');
my $q = request($device);
is($q->{line}, 'GET /index.html?x=1&y=%2f..%20 HTTP/1.1',
   'the device is asked as the browser asks');
is(header($q, 'host'), '127.0.0.1:8080', 'by its own name');
is(header($q, 'x-own'), 'kept', 'with the browser\'s headers');
is(header($q, 'user-agent'), 'test', 'all that say something');
is(header($q, 'cookie'), undef, 'S-54: no cookie that is not its own');
is(header($q, 'upgrade'), undef, 'S-54: and no other protocol');
is(header($q, 'origin'), 'http://127.0.0.1:8080', 'its page is from itself');
is(header($q, 'referer'), 'http://127.0.0.1:8080/before?q', 'and led to it');
is(join(' ', grep { defined header($q, $_) } qw(dnt sec-fetch-mode sec-ch-ua
        upgrade-insecure-requests x-meshauth)), '',
   'what is for us or for nobody is left out');

reply($device, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
    . "Content-Length: 5\r\nSet-Cookie: sid=abc; Path=/x; HttpOnly\r\n"
    . "Set-Cookie: __Host-mesh=stolen; Path=/; Secure\r\n"
    . "Set-Cookie: __Host-mesh-web=stolen; Secure; Path=/\r\n"
    . "Set-Cookie: all=1; Domain=localhost; Max-Age=99\r\n"
    . "Clear-Site-Data: \"cookies\"\r\nStrict-Transport-Security: max-age=0\r\n"
    . "Alt-Svc: h2=\"evil.example:443\"\r\nX-Accel-Redirect: /secret\r\n"
    . "X-Accel-Limit-Rate: 1\r\nContent-Security-Policy: default-src *\r\n"
    . "Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\n"
    . "Cache-Control: public, max-age=99\r\nX-Frame-Options: DENY\r\n"
    . "X-Device: kept\r\n\r\nhello");
$r = got($s);
is("$r->{status} $r->{body}", '200 hello', 'its answer is the browser\'s');
is(header($r, 'x-device'), 'kept', 'with the device\'s headers');
is(header($r, 'x-frame-options'), 'DENY', 'those of its own safety too');
is(header($r, 'cache-control'), 'no-store', 'nothing of it is kept');
is(join(' ', grep { defined header($r, $_) } qw(clear-site-data last-modified
        strict-transport-security alt-svc content-security-policy
        x-accel-redirect x-accel-limit-rate)), '',
   'S-54: a device says nothing for the other ports of the host');
my @set = $r->{head} =~ /^set-cookie: (.*?)\r?$/mig;
is(scalar @set, 4, 'its cookies come');
is((grep { /^__Host-mesh-web-[0-9a-f]{16}-[^;]+; Path=\/; Secure; HttpOnly; SameSite=Strict$/ }
    @set), 4,
   'S-54: under names of their own, for no other host and no script')
    or diag(join "\n", @set);
is((grep { /^__Host-mesh(?:-web)?=/i } @set), 0,
   'S-54: a device cannot set those of the application');

my $jar = join '; ', map { /^([^;]+)/ } @set;
my ($tag) = $jar =~ /__Host-mesh-web-([0-9a-f]{16})-sid=/;
($s, $device) = asked("$jar; $cookie; __Host-mesh-web-" . '0' x 16
                      . '-sid=other; sid=plain', '/');
is(header(request($device), 'cookie'),
   'sid=abc; __Host-mesh=stolen; __Host-mesh-web=stolen; all=1',
   'S-54: a device gets back its own, and no other\'s');
reply($device, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"
    . "Set-Cookie: sid=; Expires=Thu, 01 Jan 1970 00:00:00 GMT\r\n"
    . "Set-Cookie: new=1; Expires=Thu, 01 Jan 2099 00:00:00 GMT\r\n"
    . "Set-Cookie: all=; Max-Age=0\r\nSet-Cookie: =x\r\nSet-Cookie: noname\r\n"
    . 'Set-Cookie: big=' . 'x' x 4050 . "\r\n\r\n");
$r = got($s);
is_deeply([sort map { s/^__Host-mesh-web-\Q$tag\E-//r =~ s/Path.*?Strict//r }
           $r->{head} =~ /^set-cookie: (.*?)\r?$/mig],
          ['all=; ; Max-Age=0', 'new=1; ', 'sid=; ; Max-Age=0'],
          'it can delete them; what is none, or too many, is left out');

$r = get(link_of($admin, port => 8081, appid => 1),
         Cookie => "$jar; __Host-mesh=secret");
is((grep { /^__Host-mesh-web-$tag-.*; Max-Age=0$/ }
    $r->{head} =~ /^set-cookie: (.*?)\r?$/mig), 4,
   'S-54: the page of another device finds none of them');
unlike($r->{head}, qr/^set-cookie: __Host-mesh=/mi,
       'S-54: and the application keeps its own');

# --- bodies

($s, $device) = asked($cookie, '/upload', method => 'POST',
    headers => { 'Content-Length' => 300_000 }, body => 'u' x 300_000);
$q = request($device);
is($q->{line}, 'POST /upload HTTP/1.1', 'a POST is one');
is(header($q, 'content-length'), 300_000, 'of its length');
is(length body($device, 300_000), 300_000, 'and arrives whole');
reply($device, "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n"
               . "5\r\nfirst\r\n");
reply($device, "6;x=y\r\n last \r\n0\r\n\r\n");
$r = got($s);
is("$r->{status} $r->{body}", '201 first last ', 'an answer in chunks comes');

($s, $device) = asked($cookie, '/chunked', method => 'POST',
    headers => { 'Transfer-Encoding' => 'chunked' },
    body => "4\r\nabcd\r\n");
$q = request($device);
print $s "3\r\nefg\r\n0\r\n\r\n";
is(header($q, 'transfer-encoding'), 'chunked', 'so does a request');
like(body($device, qr/0\r\n\r\n$/), qr/abcd.*efg/s, 'with all of it');
reply($device, "HTTP/1.0 404 Not Found\r\n\r\nuntil the end");
$device->raw($device->frame(8, pack 'n', 1000));
$r = got($s);
is("$r->{status} $r->{body}", '404 until the end',
   'an answer that ends with the connection comes, whatever its status');

# a tunnel that is free serves the next request
($s, $device) = asked($cookie, '/one');
request($device);
reply($device, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none", 1);
is(got($s)->{body}, 'one', 'a request');
my $again = 0;
for my $n (1 .. 40) {       # by chance another worker has it
    $s = ask($cookie, "/again$n");
    my $select = IO::Select->new($device->{s}, $agent->{ws}{s});
    my ($ready) = $select->can_read($Mesh::Test::DEADLINE);
    if ($ready == $device->{s}) {
        like(request($device)->{line}, qr{/again$n }, 'its tunnel is used again');
        reply($device, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nagain");
        is(got($s)->{body}, 'again', 'and the answer is that of the request');
        $again = 1;
        last;
    }
    my $next = joined();
    request($next);
    reply($next, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0"
                 . "\r\n\r\n");
    got($s);
}
ok($again, 'a tunnel serves more than one request');

# one that dies then: the next try is watched as the first one was
my $tried = 0;
for my $n (1 .. 60) {
    ($s, $device) = asked($cookie, "/dies$n");
    request($device);
    reply($device, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none", 1);
    got($s);
    $s = ask($cookie, "/retry$n");
    my $select = IO::Select->new($device->{s}, $agent->{ws}{s});
    my ($ready) = $select->can_read($Mesh::Test::DEADLINE);
    $tried = $ready == $device->{s};
    $device->close;
    my $next = joined();
    request($next);
    reply($next, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
                 . "Set-Cookie: __Host-mesh=theirs; Secure; Path=/\r\n"
                 . "Clear-Site-Data: \"*\"\r\n\r\nok");
    $r = got($s);
    last if $tried || $r->{body} ne 'ok';
}
ok($tried, 'a device may end a tunnel when it is used again');
is($r->{body}, 'ok', 'the request is made once more');
unlike($r->{head}, qr/^set-cookie: __Host-mesh=|^clear-site-data:/mi,
       'S-54: and its answer is no less read');

# --- WebSocket, and the end of rights

grant(8);
my $his = page_of($mei, port => 8080, appid => 1);
my ($ws, $q2);
($ws, $device, $q2) = websocket($his, '/socket');
is(header($q2, 'upgrade'), 'websocket', 'a WebSocket is asked for');
is(lc(header($q2, 'connection') // ''), 'upgrade', 'as one');
is(header($q2, 'origin'), 'http://127.0.0.1:8080', 'from its own page');
$ws->text('hello device');
like($device->read->{data}, qr/^\x81\x8c/, 'frames go as they are');
reply($device, "\x81\x05world");
is($ws->read->{data}, 'world', 'both ways');
my $since = time;
grant(0);
is($ws->closed, 1006, 'S-07: it ends with the right to it');
cmp_ok(time - $since, '<', 10, 'S-07: soon');
ok($device->closed, 'S-07: for the device too');
$r = get('/', Cookie => $his);
is($r->{status}, 403, 'S-31: and no request gets through any more');
is($mei->ask({ action => 'webrelay', nodeid => $agent->node, port => 80,
               appid => 1 })->{result}, 'Permission denied',
   'S-31: nor is there another link');

# a right to its network alone is enough
grant(0x200000);
$his = page_of($mei, port => 8080, appid => 1);
($s, $device) = asked($his, '/relay');
request($device);
reply($device, "HTTP/1.1 204 No Content\r\n\r\n");
is(got($s)->{status}, 204, 'the right to relay is enough');

# --- signing out

grant(8);
my $web = sign_in('mei', 'a password for tests');
my $page = bless { ws => $mesh->ws('/control.ashx', headers => $web), kept => [],
                    n => 0 }, 'Mesh::Control';
$his = session(get(link_of($page, port => 8080, appid => 1)));
my $stays = page_of($mei, port => 8080, appid => 1);
($ws, $device) = websocket($his, '/signed-in');
my ($ws2, $device2) = websocket($stays, '/other');
$since = time;
sign_out($web);
is($ws->closed, 1006, 'S-07: signing out ends its pages');
cmp_ok(time - $since, '<', 10, 'S-07: soon');
is(get('/', Cookie => $his)->{status}, 403, 'S-07: the cookie is of no use');
reply($device2, "\x81\x02on");
is($ws2->read->{data}, 'on', 'what others have open goes on');
$ws2->abort;
ok($device2->closed, 'a browser that goes ends the connection of the device');

# --- its session, as lists and the log have it

grant(8, 'yun', $yun);
my $opens = session(get(link_of($yun, port => 9001, appid => 1)));
my ($row) = rows(9001);
is_deeply([@{ $row }{qw(username nodeid protocol tcpaddr address bytesin
                        bytesout)}],
          ['yun', $agent->node, 14, '127.0.0.1', '127.0.0.1', 0, 0],
          'a page that is open is a session in the list');
my $told = $admin->event(sub { $_[0]{action} eq 'devicesessions'
                               && ($_[0]{sessions}{tcp} // {})->{'user//yun'} });
is(($told // {})->{nodeid}, $agent->node, 'lists of devices are told of it');
@{ $admin->{kept} } = ();
is(scalar(rows(9001, $oona)), 0, 'S-33: who does not see the device is not');

my ($up, $down) = (0, 0);
for my $n (1 .. 12) {
    ($s, $device) = asked($opens, "/part$n");
    $q = request($device);
    $up += length($q->{head}) + 4;
    my $bytes = "HTTP/1.1 200 OK\r\nConnection: close\r\n"
              . "Content-Length: 1000\r\n\r\n" . 'x' x 1000;
    $down += length $bytes;
    reply($device, $bytes, 1);
    got($s);
}
($ws, $device, $q) = websocket($opens, '/open', \my $said);
$up += length($q->{head}) + 4;
$down += $said;
reply($device, "\x81\x05world");
is($ws->read->{data}, 'world', 'a WebSocket of it');
$down += 7;
my @rows;
$mesh->wait_for('its bytes in the list', sub {
    @rows = rows(9001);
    return @rows != 1 || $rows[0]{bytesin} >= $down
                         && $rows[0]{bytesout} >= $up;
});
is_deeply([map { [@$_{qw(id bytesin bytesout)}] } @rows],
          [[$row->{id}, $down, $up]],
          'which is one, whatever it asks for and whoever serves it');

is($oona->ask({ action => 'endrelay', id => $row->{id} })->{result},
   'Invalid session', 'S-33: who does not see the device cannot end it');
is($admin->ask({ action => 'endrelay', id => $row->{id} })->{result}, 'ok',
   'who manages the device can');
is($ws->closed, 1006, 'what it had open ends');
ok($device->closed, 'for the device too');
is(scalar(rows(9001)), 0, 'it is in no list any more');
for (1 .. 8) {              # by chance in each worker
    $r = get('/', Cookie => $opens);
    last if $r->{status} != 403;
}
is($r->{status}, 403, 'and its cookie opens nothing');
my ($e) = ends(9001);
like($e->{msg}, qr/^yun ended a web session to 127\.0\.0\.1 port 9001 of \d+ seconds from 127\.0\.0\.1, as admin ended it$/,
     'the log says how it ended');
is_deeply([@$e{qw(protocol tcpaddr tcpport bytesin bytesout reason)}],
          [14, '127.0.0.1', 9001, $down, $up, 'ended'],
          'with its bytes and why');
ok($admin->event(sub { $_[0]{action} eq 'devicesessions'
                       && !($_[0]{sessions}{tcp} // {})->{'user//yun'} }),
   'and lists of devices are told');

# what nobody asked of yet, and what is open
$opens = page_of($mei, port => 9002, appid => 1);
$his = page_of($mei, port => 9003, appid => 1);
($ws, $device) = websocket($his, '/open');
grant(0);
is($ws->closed, 1006, 'a right goes');
is_deeply([map { (ends($_))[0]{reason} } 9002, 9003], [qw(rights rights)],
          'S-07: the sessions that needed it end with it');

grant(8);
$web = sign_in('mei', 'a password for tests');
$page = bless { ws => $mesh->ws('/control.ashx', headers => $web), kept => [],
                n => 0 }, 'Mesh::Control';
$his = session(get(link_of($page, port => 9004, appid => 1)));
($ws, $device) = websocket($his, '/open');
sign_out($web);
is($ws->closed, 1006, 'somebody signs out');
is((ends(9004))[0]{reason}, 'session', 'S-07: the session ends with that');

# --- hostile devices

my @hostile = (
    ['endless headers', "HTTP/1.1 200 OK\r\n" . ('X: ' . 'a' x 1000 . "\r\n")
                        x 64, qr/./],
    ['one endless header', "HTTP/1.1 200 OK\r\nX: " . 'a' x 65536, qr/./],
    ['no HTTP', "SSH-2.0-OpenSSH_9.2\r\n", qr/does not speak HTTP/],
    ['HTTP behind something else', "x HTTP/1.1 200 OK\r\nSet-Cookie: evil=1"
     . "\r\nContent-Length: 4\r\n\r\nevil", qr/does not speak HTTP/],
    ['an answer before the answer', "HTTP/1.1 103 Early Hints\r\n\r\n"
     . "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", qr/not asked for/],
    ['a change of protocol', "HTTP/1.1 101 Switching Protocols\r\n"
     . "Upgrade: evil\r\nConnection: upgrade\r\n\r\nevil", qr/not asked for/],
    ['nothing', '', qr/Nothing answers at this port/],
    ['half a header', "HTTP/1.1 200 OK\r\nX:", qr/./],
    map({ my $to = $_;
          ["a redirect to $to", "HTTP/1.1 302 Found\r\nLocation: $to\r\n"
           . "Content-Length: 0\r\n\r\n", qr/leads elsewhere/] }
        "https://localhost:$mesh->{port}/", '//evil.example/',
        '/\\evil.example/', "https://127.0.0.1:8080/", 'http://127.0.0.1/',
        'http://127.0.0.1:8080@evil.example/', 'javascript:alert(1)',
        "\t//evil.example", "http://<script>x</script>/"));
for (@hostile) {
    my ($what, $bytes, $words) = @$_;
    my ($s, $device) = asked($cookie, '/hostile');
    request($device);
    reply($device, $bytes);
    $device->close;
    my $r = got($s);
    is($r->{status}, 502, "S-54: $what is no answer");
    unlike("$r->{head}$r->{body}", qr/evil=|^evil|^location:|<script/mi,
           "S-54: and nothing of it gets through: $what");
    like($r->{body}, $words, "in words: $what");
}

for my $case (['/next?x#y', '/next?x#y'], ['next', 'next'],
              ['http://127.0.0.1:8080/a?b', '/a?b'],
              ['HTTP://127.0.0.1:8080', '/'],
              ['http://127.0.0.1:8080//evil.example/', '/evil.example/'])
{
    ($s, $device) = asked($cookie, '/redirect');
    request($device);
    reply($device, "HTTP/1.1 302 Found\r\nLocation: $case->[0]\r\n"
                   . "Content-Length: 0\r\n\r\n");
    is(header(got($s), 'location') =~ s{^https://localhost:$relay(?=/)}{}r,
       $case->[1], "S-54: a redirect within the page stays there: $case->[0]");
}

($s, $device) = asked($cookie, '/split');
request($device);
reply($device, "HTTP/1.1 200 OK\r\nX: a\nSet-Cookie: __Host-mesh=evil\r\n"
               . "Content-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\nevil");
$r = got($s);
unlike($r->{head}, qr/^set-cookie: __Host-mesh=/mi,
       'S-54: a header within a header is none of ours');
is($r->{body}, 'ok', 'S-54: what follows the answer is not passed on');

($s, $device) = asked($cookie, '/both');
request($device);
reply($device, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n"
               . "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n");
$r = got($s);
ok($r->{status} == 502 || !defined header($r, 'content-length'),
   'S-54: an answer of two lengths has one, or is none');

for my $case (['Basic realm="router"', undef],
              ['Digest realm="router", nonce="x"', qr/^Digest realm="router", /],
              ['Negotiate', undef], ['NTLM', undef],
              ['Digest realm="x", Basic realm="y"', undef])
{
    ($s, $device) = asked($cookie, '/password');
    request($device);
    reply($device, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n"
                   . "WWW-Authenticate: $case->[0]\r\n\r\n");
    my $said = header(got($s), 'www-authenticate');
    ok($case->[1] ? ($said // '') =~ $case->[1] : !defined $said,
       "S-54: who asks for a password is named, or may not: $case->[0]");
}

# --- much of it

($s, $device) = asked($cookie, '/big');
request($device);
my $size = 48 << 20;
my $rss = $mesh->memory;
my ($sent, $pid) = pour($device, $size,
    "HTTP/1.1 200 OK\r\nContent-Length: $size\r\n\r\n");
ok($sent > 0 && $sent < 24 << 20,
   "S-24: a browser that does not read stops the device (after $sent bytes)");
my $grown = $mesh->memory - $rss;
ok($grown < ($ENV{MESH_ASAN} ? 64 : 8) << 20,
   "S-24: and the workers keep little of it ($grown)");
$r = got($s);
is(length $r->{body}, $size, 'nothing is lost when it reads on');
waitpid $pid, 0;

# --- what happened

my @log;
$mesh->wait_for('the events', sub {
    @log = grep { ($_->{msg} // '') =~ /opened the web page/ }
           @{ $admin->ask({ action => 'events', limit => 200 })->{events} };
    return @log >= 10;
});
is((grep { $_->{msg} =~ /^(?:admin|mei|yun) opened the web page at 127\.0\.0\.1 port (?:808[01]|900[1-4]) from 127\.0\.0\.1$/ } @log),
   scalar @log, 'who opened which page is in the log');
unlike(join('', $mesh->error_log, Mesh::Test::read_file("$mesh->{dir}/logs/error.log")),
       qr/\Q$ticket\E/, 'S-05: no ticket is in the log of errors');

# --- too many of them

grant(8);
page_of($mei, port => 9005, appid => 1);
for (1 .. 100) {
    $r = get(link_of($mei, port => 9005, appid => 1));
    last if $r->{status} != 200;
}
is($r->{status}, 503, 'S-18: one account has no more than a number of pages');
like($r->{body}, qr/Too many pages of devices are open/, 'and is told so');
@rows = grep { $_->{username} eq 'mei' }
        @{ $admin->ask({ action => 'relays' })->{relays} };
is(scalar @rows, 64, 'S-18: those that it has stay');
is(get(link_of($admin, port => 9005, appid => 1))->{status}, 200,
   'S-18: and others may open theirs');

# --- what nobody ends

$mesh->stop;
$mesh = Mesh::Test->new(alerts => [qr/exited on signal 9/, qr/could not lock/]);
$mesh->{http} = server("mesh_web_relay :$relay; mesh_relay_idle 5s;");
$mesh->start(prepare => sub {
    $mesh->admin(\"correct horse battery\n", 'user', 'add', 'admin',
                 '--site-admin');
    $group = $mesh->admin('group', 'add', 'Lab', '--owner', 'admin');
    chomp $group;
});
again();

$opens = session(get(link_of($admin, port => 9001, appid => 1)));
($ws, $device) = websocket($opens, '/open', \$said);
session(get(link_of($admin, port => 9002, appid => 1)));
($e) = ends(9002);
like($e->{msg}, qr/^admin ended a web session to 127\.0\.0\.1 port 9002 of \d+ seconds from 127\.0\.0\.1, as nothing moved in it for long$/,
     'a page that nobody uses ends');
is("$e->{reason} $e->{bytesin} $e->{bytesout}", 'idle 0 0', 'in the log too');
is(scalar(rows(9002)), 0, 'and is in no list');
is(scalar(rows(9001)), 1, 'one with something open does not');

$mesh->reload;
($s, $device) = asked($opens, '/reloaded');
request($device);
my $bytes = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
reply($device, $bytes, 1);
is(got($s)->{body}, 'ok', 'and goes on in the workers of a new configuration');
$said += length $bytes;
$mesh->wait_for('its bytes in the list', sub {
    @rows = rows(9001);
    return @rows != 1 || $rows[0]{bytesin} >= $said;
});
is_deeply([map { $_->{bytesin} } @rows], [$said], 'as the same session');

# none of them sees another go
my @all = $mesh->workers;
kill $_, @all for qw(STOP KILL);
is($ws->closed, 1006, 'all workers are killed');
again(@all);
($e) = ends(9001);
is("$e->{reason} $e->{bytesin}", "idle $said",
   'S-26: what ran in them ends, with the bytes that were seen last');
session(get(link_of($admin, port => 9003, appid => 1)));
is(scalar(ends(9003)), 1, 'each of them once');
is(scalar(ends(9001)), 1, 'S-26: those of killed workers too');

$opens = session(get(link_of($admin, port => 9004, appid => 1)));
($ws, $device) = websocket($opens, '/open', \$said);
reply($device, "\x81\x05world");
is($ws->read->{data}, 'world', 'a page is in use');
$mesh->stop_pid($mesh->{nginx_pid}, 'TERM');
my @docs = map { decode_json($_) }
    $mesh->sql("SELECT doc FROM event WHERE doc LIKE '%9004%'
                ORDER BY event_id");
is_deeply([map { [@$_{qw(reason bytesin)}] } grep { $_->{reason} } @docs],
          [['worker', $said + 7]],
          'when the server stops, one event has the end of each');
$mesh->stop;

# --- where it may be served

for my $case (
    [server("mesh_web_relay :$relay; location /app { mesh on; }"), '',
     qr/"mesh_web_relay" and "mesh on" are in one server/],
    [server("mesh_web_relay :$mesh->{port};") =~ s/:\Q$relay\E ssl/:$mesh->{port} ssl/r,
     '', qr/is the address of the application/],
    [server("mesh_web_relay https://localhost:$mesh->{port};"), '',
     qr/is the address of the application/],
    [server('mesh_web_relay https://Mesh.example;'),
     'mesh_url https://mesh.example/path;', qr/is the address of the application/],
    [server("mesh_web_relay :$relay; mesh_domain other;"), '',
     qr/needs a server with "mesh on" of the same "mesh_domain"/],
    [server("mesh_web_relay :$relay;") . server('mesh_web_relay :9;'), '',
     qr/two servers of one domain have "mesh_web_relay"/],
    (map { [server("mesh_web_relay $_;"), '', qr/needs an address like/] }
     'http://x', 'https://x/path', ':0', ':70000', 'x', '"https://a b"'))
{
    my $bad = Mesh::Test->new(server => $case->[1], port => $mesh->{port});
    $bad->{http} = $case->[0] =~ s/\Q$mesh->{dir}\E/$bad->{dir}/gr;
    my ($rc, $text) = $bad->check_conf;
    ok($rc && $text =~ $case->[2],
       "S-54: refused at the start: $case->[2]") or diag($text);
    $bad->{stopped} = 1;
    File::Path::remove_tree($bad->{dir});
}

done_testing;


sub server {
    my ($directive) = @_;
    return "server { listen 127.0.0.1:$relay ssl; server_name localhost; "
         . "ssl_certificate $mesh->{dir}/keys/web-ecdsa.pem; "
         . "ssl_certificate_key $mesh->{dir}/keys/web-ecdsa.key; $directive "
         . "include $Mesh::Test::ROOT/conf/mesh-web.conf; }";
}

# whom a server has that has just started, or lost those workers
sub again {
    $mesh->ready(@_);
    $agent = Mesh::Agent->new($mesh, n => 720, group => $group, name => 'one');
    $agent->online or die "no agent\n";
    $admin = Mesh::Control->new($mesh, 'admin', 'correct horse battery');
}

sub link_of {
    my ($who, %arg) = @_;
    my $reply = $who->ask({ action => 'webrelay', nodeid => $agent->node,
                            %arg });
    diag(encode_json($reply)) if ($reply->{result} // '') ne 'OK';
    return $reply->{url};
}

# the cookie of a page, once the worker that is asked knows of the right to it
sub page_of {
    my (@link) = @_;
    my $cookie;
    $mesh->wait_for('a page', sub {
        return $cookie = session(get(link_of(@link)));
    });
    return $cookie;
}

sub get {
    my ($url, %headers) = @_;
    my ($path) = $url =~ m{^(?:https://[^/]+)?(/.*)};
    return $mesh->request('GET', $path, port => $relay, headers => \%headers,
                          host => "localhost:$relay");
}

sub session { return $_[0]{head} =~ /^set-cookie: (__Host-mesh-web=[^;]+)/mi ? $1 : undef }
sub header { return $_[0]{head} =~ /^\Q$_[1]\E: (.*?)\r?$/mi ? $1 : undef }

# the sessions of pages at a port of the device, as somebody's list has them
sub rows {
    my ($port, $who) = @_;
    return grep { ($_->{tcpport} // 0) == $port }
        @{ ($who // $admin)->ask({ action => 'relays' })->{relays} };
}

# the events of their ends, of which there is one at least
sub ends {
    my ($port) = @_;
    my @end;
    $mesh->wait_for("the end of the page at port $port", sub {
        @end = grep { ($_->{tcpport} // 0) == $port && exists $_->{reason} }
            @{ $admin->ask({ action => 'events', nodeid => $agent->node,
                             limit => 1000 })->{events} };
        return @end;
    });
    return @end;
}

# a request that is under way
sub ask {
    my ($cookie, $path, %arg) = @_;
    my $s = IO::Socket::SSL->new(
        PeerAddr => '127.0.0.1', PeerPort => $relay, SSL_verify_mode => 0,
        SSL_hostname => 'localhost') or die;
    my %head = (Host => "localhost:$relay", Connection => 'close',
                Cookie => $cookie, %{ $arg{headers} // {} });
    print $s join("\r\n", ($arg{method} // 'GET') . " $path HTTP/1.1",
                  map({ "$_: $head{$_}" } sort keys %head), '',
                  $arg{body} // '');
    ${*$s}{in} = '';
    return $s;
}

sub invitation {
    while (my $m = $agent->await('msg')) {
        return $m->{json} if ($m->{json}{type} // '') eq 'tunnel';
    }
    die "no invitation\n";
}

# the device's half of what was asked for
sub joined {
    my $command = invitation();
    my $device = answer($mesh, $command);
    my $m = $device->read;
    die "not joined\n" if ($m->{data} // '') ne 'c';
    $device->{asked} = $command;
    $device->{bytes} = '';
    return $device;
}

sub asked { my $s = ask(@_); return ($s, joined()) }

# both ends, open, and what the device was asked; bytes: of its answer
sub websocket {
    my ($cookie, $path, $bytes) = @_;
    my $key = 'dGhlIHNhbXBsZSBub25jZQ==';
    my ($s, $device) = asked($cookie, $path, headers => {
        Connection => 'Upgrade', Upgrade => 'websocket',
        'Sec-WebSocket-Version' => 13, 'Sec-WebSocket-Key' => $key,
        Origin => "https://localhost:$relay" });
    my $q = request($device);
    my $switch = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
               . "Connection: Upgrade\r\nSec-WebSocket-Accept: "
               . sha1_base64($key . '258EAFA5-E914-47DA-95CA-C5AB0DC85B11')
               . "=\r\n\r\n";
    $$bytes = length $switch if $bytes;
    reply($device, $switch);
    while (${*$s}{in} !~ /\r\n\r\n/) {
        sysread($s, ${*$s}{in}, 4096, length ${*$s}{in}) or last;
    }
    my ($head, $rest) = split /\r\n\r\n/, ${*$s}{in}, 2;
    like($head, qr{^HTTP/1.1 101 .*^upgrade: websocket\r?$}msi,
         'a WebSocket opens');
    return (bless({ s => $s, in => $rest // '' }, 'Mesh::WebSocket'), $device,
            $q);
}

# what the device reads, up to the end of the headers
sub request {
    my ($device) = @_;
    while ($device->{bytes} !~ /\r\n\r\n/) {
        my $m = $device->read or last;
        last if !defined $m->{data};
        $device->{bytes} .= $m->{data};
    }
    my ($head, $rest) = split /\r\n\r\n/, $device->{bytes}, 2;
    $device->{bytes} = $rest // '';
    my ($line) = ($head // '') =~ /^(.*?)\r?$/m;
    return { line => $line, head => $head // '' };
}

# the body, up to a number of bytes or what it ends with
sub body {
    my ($device, $to) = @_;
    while (ref $to ? $device->{bytes} !~ $to
                   : length $device->{bytes} < $to)
    {
        my $m = $device->read or last;
        last if !defined $m->{data};
        $device->{bytes} .= $m->{data};
    }
    return $device->{bytes};
}

# an answer, and the end of its connection if nothing else is said
sub reply {
    my ($device, $bytes, $keep) = @_;
    $bytes =~ s{^(HTTP/1\.1 [2-5].*?\r\n)}{$1Connection: close\r\n} if !$keep;
    $device->binary($bytes) if length $bytes;
}

# the answer, to its end
sub got {
    my ($s) = @_;
    my $until = time + $Mesh::Test::DEADLINE;
    while (time < $until) {
        sysread($s, ${*$s}{in}, 65536, length ${*$s}{in}) or last;
    }
    my ($head, $body) = split /\r\n\r\n/, ${*$s}{in}, 2;
    my ($status) = ($head // '') =~ m{^HTTP/1\.1 (\d+)};
    $body = Mesh::Test::unchunk($body)
        if ($head // '') =~ /^transfer-encoding: chunked/mi;
    return { status => $status // 0, head => $head // '',
             body => $body // '' };
}

# the headers of a browser that is signed in
sub sign_in {
    my ($user, $password) = @_;
    my %head = (Origin => "https://localhost:$mesh->{port}");
    my $r = $mesh->get('/session.ashx', headers => \%head);
    $head{Cookie} = join '; ', $r->{head} =~ /^set-cookie: ([^;\r\n]+)/mgi;
    my %post = (%head, 'Content-Type' => 'application/json',
                'X-Mesh-CSRF' => decode_json($r->{body})->{csrf});
    $r = $mesh->request('POST', '/login.ashx', headers => \%post,
        body => encode_json({ username => $user, password => $password }));
    die "login: $r->{status} $r->{body}\n" if $r->{status} != 200;
    $head{Cookie} .= '; ' . join '; ', $r->{head} =~ /^set-cookie: (__Host-mesh=[^;\r\n]+)/mgi;
    return \%head;
}

sub sign_out {
    my ($head) = @_;
    my $r = $mesh->get('/session.ashx', headers => $head);
    $r = $mesh->request('POST', '/logout.ashx', headers => {
        %$head, 'Content-Type' => 'application/json', 'X-Mesh-CSRF' => decode_json($r->{body})->{csrf} },
        body => '{}');
    die "logout: $r->{status} $r->{body}\n" if $r->{status} >= 300;
}

sub grant {
    my ($rights, $name, $who) = @_;
    $admin->ask({ action => 'addmeshuser', meshid => $group,
                  usernames => [$name // 'mei'], meshadmin => $rights });
    return if !$rights;
    $mesh->wait_for('the right', sub {
        (($who // $mei)->ask({ action => 'webrelay', nodeid => $agent->node, port => 80,
                     appid => 1 })->{result} // '') eq 'OK';
    });
}

# bytes of the workers' own memory
