#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# The messenger (session.md 7, 1.15 rule 8): who is invited and hears of it,
# who may take which end, and what ends a conversation.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use Test::More;
use Time::HiRes qw(time);
use Mesh::Agent;
use Mesh::Control;
use Mesh::Relay qw(opened invite flood);
use Mesh::Test qw(escape);

my $mesh = Mesh::Test->new;
my $dir = "$mesh->{dir}/recordings";
$mesh->{server} = 'mesh_relay_wait 8s; '
                . "mesh_relay_record $dir protocols=200; "
                . 'mesh_limit relay per=user 20;';
my %group;
$mesh->start(prepare => sub {
    $mesh->admin(\"correct horse battery\n", 'user', 'add', 'admin',
                 '--site-admin');
    $mesh->admin(\"a password for tests\n", 'user', 'add', $_)
        for qw(mei oona boss);
    # who may see users, and nothing else
    $mesh->sql("UPDATE account SET site_rights = 2 WHERE login = 'boss'");
    for my $name (qw(Lab Other)) {
        $group{$name} = $mesh->admin('group', 'add', $name, '--owner', 'admin');
        chomp $group{$name};
    }
});

my ($mei, $oona, $boss) = map {
    Mesh::Control->new($mesh, $_, 'a password for tests')
} qw(mei oona boss);

# --- who is connected

is_deeply($boss->ask({ action => 'wssessioncount' })->{wssessions},
          { map { ("user//$_" => 1) } qw(mei oona boss) },
          'who manages users sees who is connected');
is_deeply($mei->ask({ action => 'wssessioncount' })->{wssessions}, {},
          'S-30: who does not, sees nobody');

# --- a person is invited

is($boss->ask({ action => 'meshmessenger', userid => 'user//mei' })->{result},
   'ok', 'a person is invited');
my $note = $mei->wait(sub { ($_[0]{type} // '') eq 'notify' });
like(delete $note->{id}, qr/^[0-9a-f]{20}$/, 'and hears of it');
is_deeply($note, { action => 'msg', type => 'notify', title => 'boss',
                   value => 'Chat Request, Click here to accept.',
                   userid => 'user//boss', username => 'boss', msgid => 11,
                   tag => 'meshmessenger/user%2F%2Fmei/user%2F%2Fboss' },
          'in the words of the protocol');
$oona->send({ action => 'ping' });
is($oona->wait(sub { 1 })->{action}, 'pong', 'S-33: and nobody else does');

for (['is not there', 'user//nobody', 'Invalid userid'],
     ['is of another domain', 'user/other/mei', 'Invalid userid'],
     ['asks', 'user//boss', 'Invalid userid'],
     ['is no user', 'node//' . 'A' x 64, 'Invalid userid'])
{
    my ($who, $id, $said) = @$_;
    is($boss->ask({ action => 'meshmessenger', userid => $id })->{result},
       $said, "who $who is not invited");
}
is($boss->ask({ action => 'meshmessenger' })->{result}, 'Invalid userid',
   'nor is nobody at all');
is($mei->ask({ action => 'meshmessenger', userid => 'user//boss' })->{result},
   'Access denied', 'S-30: nor by who does not manage users');
$oona->close;
$mesh->wait_for('her leaving', sub {
    !$boss->ask({ action => 'wssessioncount' })->{wssessions}{'user//oona'};
});
is($boss->ask({ action => 'meshmessenger', userid => 'user//oona' })->{result},
   'User is not connected', 'who is away is said to be');
$oona = Mesh::Control->new($mesh, 'oona', 'a password for tests');

# --- two users meet, in either order, in any two workers

my ($n, $both) = (0, 0);
until ($n >= 8 && $both || $n == 60) {
    my $i = ++$n;
    my @half = $i % 2 ? map({ half($_, 'mei', 'boss') } $boss, $mei)
                      : map({ half($_, 'mei', 'boss') } $mei, $boss);
    my @said = map { ($_->read // {})->{data} // '' } @half;
    my $text = "<script>$i</script>";
    $half[0]->text($text);
    $half[1]->binary("\0file $i");
    my @got = map { ($_->read // {})->{data} // '' } reverse @half;
    is_deeply([@said, @got], ['c', 'c', $text, "\0file $i"],
              "conversation $i carries both ways");
    $half[0]->close;
    $half[1]->closed;
    $both = $mesh->metric('relays_local') && $mesh->metric('relays_cross');
}
ok($both, 'halves met in one worker and in two');

my @pair = pair();
is(half($boss, 'mei', 'boss')->closed, 1008,
   'S-51: a third half, of the one who called, is closed');
is(half($mei, 'mei', 'boss')->closed, 1008, 'S-51: and of the one called');
$pair[0]->text('still here');
is($pair[1]->read->{data}, 'still here', 'S-51: and the pair goes on');
$pair[0]->close;
$pair[1]->closed;

my $waits = half($boss, 'mei', 'boss');
is(half($boss, 'mei', 'boss')->closed, 1008,
   'S-51: two halves of one person do not meet');
my $begun = time;
isnt($waits->closed, 0, 'a half that nobody joins is let go');
cmp_ok(time - $begun, '<', 25, 'after mesh_relay_wait');

# two names for one conversation are one key, two conversations two
$waits = half($boss, 'oona', 'boss');
my $not = half($mei, 'mei', 'boss');
is(($waits->read(0.3) // {})->{data}, undef,
   'S-51: who was called to another conversation is not in this one');
my $joined = half($oona, 'OONA', 'boss');
is($waits->read->{data}, 'c', 'and a name is one in every spelling');
$_->abort for $waits, $joined, $not;

# --- who may not

# idle ones would be let go: they come when they are needed
my $admin = Mesh::Control->new($mesh, 'admin', 'correct horse battery');
my $agent = Mesh::Agent->new($mesh, n => 720, group => $group{Lab},
                             name => 'pc');
my $other = Mesh::Agent->new($mesh, n => 721, group => $group{Other},
                             name => 'other');
$agent->online && $other->online or die "no agents\n";

for (['is not named in it', $oona, id('mei', 'boss')],
     ['has a device and not the right to chat', $mei,
      id($agent->node, 'user//mei')],
     ['is not the one who invited the device', $boss,
      id($agent->node, 'user//admin')],
     ['may not see users and calls', $mei, id('boss', 'mei')])
{
    my ($who, $control, $id) = @$_;
    isnt(opened(chat($control, $id)), 'silent',
         "S-51: who $who does not get in");
}

my $user = 'user%2F%2Fboss';
for (['an id with no second part', 'meshmessenger/user%2F%2Fmei'],
     ['six parts', 'meshmessenger/user%2F%2Fmei/user%2Fboss'],
     ['eight parts', "meshmessenger/user%2F%2Fmei/$user%2Fx"],
     ['two devices', 'meshmessenger/' . join '/',
      map { escape($_->node) } $agent, $other],
     ['a group', "meshmessenger/mesh%2F%2F" . 'A' x 64 . "/$user"],
     ['a short name', "meshmessenger/mei/$user"],
     ['somebody who is not there', "meshmessenger/user%2F%2Fnobody/$user"],
     ['another domain', "meshmessenger/user%2Fother%2Fmei/$user"],
     ['oneself', "meshmessenger/$user/$user"],
     ['a NUL', "meshmessenger/user%2F%2Fmei%00/$user"],
     ['nobody', "meshmessenger/"], ['only slashes', 'meshmessenger//////'],
     ['an id that is too long', 'meshmessenger/user%2F%2F' . 'a' x 640
                                . "/$user"],
     ['an id of 7000 bytes', 'meshmessenger/user%2F%2F' . 'a' x 7000
                             . "/$user"])
{
    my ($what, $id) = @$_;
    isnt(opened(chat($boss, $id)), 'silent', "S-51, S-22: $what is refused");
}
isnt(opened($mesh->ws('/meshrelay.ashx?id=' . id('mei', 'boss'))), 'silent',
     'S-51: nor does who is nobody');
isnt(opened($mesh->ws('/meshrelay.ashx?browser=1&p=200&id=plain&auth='
                      . escape(cookie($admin)) . '&nodeid='
                      . escape($agent->node))), 'silent',
     'S-51: a messenger has a messenger\'s id');

# --- a device is invited

is($mei->ask({ action => 'meshmessenger', nodeid => $agent->node })->{result},
   'Invalid nodeid', 'S-30: who does not see a device does not invite it');
grant('mei', 8);
is($mei->ask({ action => 'meshmessenger', nodeid => $agent->node })->{result},
   'Access denied', 'S-30: nor who may all but chat');
grant('mei', 0x4000);
my $asked = $mei->ask({ action => 'meshmessenger', nodeid => $agent->node });
is($asked->{result}, 'ok', 'who has the right does');
my $open = $agent->await('openUrl')->{json};
is_deeply([@$open{qw(userid username rights)}], ['user//mei', 'mei', 0x4000],
          'the device is told who asks');
my ($ticket) = $open->{url} =~ m{^https://localhost(?::\d+)?/\#/messenger/
                                 node%2F%2F[^/]+/user%2F%2Fmei\?auth=
                                 ([\w\@\$=]+)$}x;
ok($ticket, 'and gets a page with a ticket behind "#", where no log has it')
    or diag $open->{url};
is($mei->ask({ action => 'meshmessenger', nodeid => $other->node })->{result},
   'Invalid nodeid', 'S-30: a right here is none there');

# the device says whether the page opened, and only who asked hears of it
$agent->json({ action => 'openUrl', url => 'https://localhost/',
               success => JSON::PP::false, sessionid => $open->{sessionid},
               userid => 'user//boss' });
my $said = $mei->wait(sub { $_[0]{action} eq 'openUrl' });
ok($said && !$said->{success} && $said->{nodeid} eq $agent->node
   && !exists $said->{userid}, 'who asked hears whether the page opened');

my ($viewer, $device) = device_pair();
is($viewer->read->{data}, 'cr', 'a conversation with a device is recorded');
like($device->read->{data}, qr/^cr?$/, 'and opens there without an account');
$device->text('{"action":"chat","msg":"help"}');
is($viewer->read->{data}, '{"action":"chat","msg":"help"}', 'the device speaks');
$viewer->binary('answer');
is($device->read->{data}, 'answer', 'and is answered');
my ($row) = grep { $_->{protocol} == 200 }
    @{ $mei->ask({ action => 'relays' })->{relays} };
is($row && $row->{nodeid}, $agent->node, 'it is in the list of sessions');
$device->close;
is($viewer->closed, 1000, 'it ends on both sides');
my $event;
$mesh->wait_for('the event', sub {
    ($event) = grep { ($_->{msgid} // 0) == 112 && ($_->{nodeid} // '') }
        @{ $admin->ask({ action => 'events', nodeid => $agent->node,
                         limit => 20 })->{events} };
});
like($event->{msg}, qr/^mei ended a chat session of \d+ seconds from 127\.0\.0\.1, as the other side closed it/,
     'and in the log');
$mesh->wait_for('the recording', sub {
    my ($file) = glob "$dir/*.mcrec" or return 0;
    return Mesh::Test::read_file($file) =~ /"msg":"help".*MeshCentralMCREC/s;
});
pass('and the file has what was said');

# a ticket is of one device, one account and one kind
for (['another device', id($other->node, 'user//mei')],
     ['another account', id($agent->node, 'user//admin')],
     ['two users', id('mei', 'boss')])
{
    my ($what, $id) = @$_;
    isnt(opened($mesh->ws("/meshrelay.ashx?id=$id&rauth=" . escape($ticket))),
         'silent', "S-06: the ticket opens nothing of $what");
}
my $id = id($agent->node, 'user//mei');
isnt(opened($mesh->ws("/meshrelay.ashx?id=$id&rauth="
                      . escape($ticket =~ s/^(.{40})(.)/$1 . ($2 eq 'A' ? 'B' : 'A')/er))),
     'silent', 'S-09: nor with one letter changed');
isnt(opened($mesh->ws("/meshrelay.ashx?id=$id&auth=" . escape($ticket))),
     'silent', 'S-06: nor as that of an account');
isnt(opened($mesh->ws('/control.ashx?auth=' . escape($ticket))), 'silent',
     'S-06: nor the control channel');
isnt(opened($mesh->ws('/meshrelay.ashx?p=1&id=x&rauth=' . escape($ticket))),
     'silent', 'S-06: nor a session of the agent');
grant('mei', 0x4008);
my ($relay_ticket) = invite($mei, $agent, 'term')->{value} =~ /rauth=([^&]+)/;
isnt(opened($mesh->ws("/meshrelay.ashx?id=$id&rauth="
                      . escape($relay_ticket))), 'silent',
     'S-06: nor does a ticket of a session open a conversation');

($viewer, $device) = device_pair();
$_->read for $viewer, $device;
cmp_ok(flood($device, 64 * 1048576), '<', 16 * 1048576,
       'S-18: who sends faster than is read is stopped');
$device->abort;

# --- rights go, and with them what runs

($viewer, $device) = device_pair();
$_->read for $viewer, $device;
$begun = time;
grant('mei', 8);
isnt($viewer->closed, 0, 'S-31: it ends when the right to chat is taken');
isnt($device->closed, 0, 'S-31: on both sides');
cmp_ok(time - $begun, '<', 10, 'S-31: soon');
isnt(opened($mesh->ws("/meshrelay.ashx?id=$id&rauth=" . escape($ticket))),
     'silent', 'S-31: and the ticket with it');

@pair = pair();
$begun = time;
$mei->send({ action => 'changepassword', oldpass => 'a password for tests',
             newpass => 'another one for tests' });
isnt($pair[0]->closed, 0, 'S-07: it ends with the password of one of them');
isnt($pair[1]->closed, 0, 'S-07: on both sides');
$mei = Mesh::Control->new($mesh, 'mei', 'another one for tests');

@pair = pair();
$mesh->sql("UPDATE account SET site_rights = 0, revision = revision + 1 "
           . "WHERE login = 'boss'");
my $tx = $mesh->{db} eq 'sqlite' ? 'NULL'
       : 'pg_current_xact_id()::text::bigint + (SELECT value::bigint FROM meta '
         . "WHERE key = 'tx_offset')";
$mesh->sql("INSERT INTO change (kind, id, tx) SELECT 1, account_id, $tx "
           . "FROM account WHERE login = 'boss'");
isnt($pair[0]->closed, 0, 'S-31: it ends when the one who called may not');
isnt($pair[1]->closed, 0, 'S-31: on both sides');

# --- nothing is without a bound

grant('mei', 0x4000);
my @call = map { $mei->ask({ action => 'meshmessenger',
                             nodeid => $agent->node })->{result} } 1 .. 31;
is($call[30], 'Too many invitations',
   'S-18: nobody calls more than thirty times in a minute');
my @open = map { half($mei, 'oona', 'mei') } 1 .. 3;
is((grep { opened($_) eq 'silent' } @open), 0, 'S-31: nor calls without a right');

unlike($mesh->error_log, qr/\Q$ticket\E/, 'the log has no ticket');

# --- its workers are killed, and nobody is left who knew it

my @last = map { half($_, 'mei', 'admin') } $admin, $mei;
$_->read for @last;
is_deeply($admin->ask({ action => 'relays' })->{relays}, [],
          'S-33: a conversation of two is in nobody\'s list of sessions');
my @workers = $mesh->workers;
$mesh->expect_alert(qr/worker process \d+ exited on signal 9/,
                    qr/^.*: could not lock|ngx_mesh/);
kill $_, @workers for qw(STOP KILL);
$_->closed for @last;
$mesh->ready(@workers);
$mei = Mesh::Control->new($mesh, 'mei', 'another one for tests');
$mesh->wait_for('its end in the log', sub {
    ($event) = grep { $_->{msg} =~ /^admin ended a chat/ }
        @{ $mei->ask({ action => 'events', limit => 20 })->{events} };
});
like($event->{msg}, qr/^admin ended a chat session with mei of \d+ seconds from 127\.0\.0\.1, as a process of the server ended$/,
     'S-26: who was called finds its end in the log too');

$mesh->stop;
done_testing;


sub cookie { return $_[0]->ask({ action => 'authcookie' })->{cookie} }

# called, caller: names or whole ids
sub id {
    return join '/', 'meshmessenger',
        map { escape(m{/} ? $_ : "user//$_") } @_;
}

sub chat {
    my ($control, $id) = @_;
    return $mesh->ws("/meshrelay.ashx?id=$id&auth=" . escape(cookie($control)));
}

sub half {
    my ($control, @who) = @_;
    return chat($control, id(@who));
}

sub pair {
    my @half = map { half($_, 'mei', 'boss') } $boss, $mei;
    is(($_->read // {})->{data}, 'c', 'two users meet') for @half;
    return @half;
}

sub device_pair {
    my $node = id($agent->node, 'user//mei');
    my $half = chat($mei, $node);
    my $there = $mesh->ws("/meshrelay.ashx?id=$node&rauth=" . escape($ticket));
    return ($half, $there);
}

sub grant {
    my ($name, $rights) = @_;
    $admin->ask({ action => 'addmeshuser', meshid => $group{Lab},
                  usernames => [$name], meshadmin => $rights });
    $mesh->wait_for('the rights', sub {
        my ($lab) = grep { $_->{_id} eq $group{Lab} }
            @{ $mei->ask({ action => 'meshes' })->{meshes} };
        return ($lab->{links}{"user//$name"}{rights} // -1) == $rights;
    });
}
