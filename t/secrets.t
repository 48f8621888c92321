#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# What nobody is ever shown: keys, passwords, sessions of others, files of the
# server.  Two people ask for all that can be asked, and whatever came back, to
# them, to a device, to a log, is searched.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw(sha256_hex);
use JSON::PP;
use MIME::Base64 qw(decode_base64 encode_base64);
use Test::More;
use Mesh::Agent;
use Mesh::Control;
use Mesh::Test;

my $PASSWORD = 'correct horse battery';
my $DBPASSWORD = 'only-for-the-database';
my $table = Mesh::Test::read_file("$Mesh::Test::ROOT/ngx_mesh_module/control/"
                                  . 'ngx_mesh_control_table.h');

# all that is read from a WebSocket, by who reads it
my %heard;
{
    no warnings 'redefine';
    my $read = \&Mesh::WebSocket::read;
    *Mesh::WebSocket::read = sub {
        my ($self) = @_;
        my $m = $read->(@_);
        $heard{"$self"} .= "$m->{data}\n" if $m && defined $m->{data};
        return $m;
    };

    # the database may want a password that stands in the configuration
    my $conf = \&Mesh::Test::conf;
    *Mesh::Test::conf = sub {
        return $conf->(@_) =~ s/ user=mesh / user=mesh password=$DBPASSWORD /r;
    };
}

my $mesh = Mesh::Test->new(workers => 1);
my ($group, $marks) = ('', 0);

$mesh->start(prepare => sub {
    $mesh->admin(\"$PASSWORD\n", 'user', 'add', 'boss', '--site-admin');
    $mesh->admin(\"$PASSWORD\n", 'user', 'add', 'anna');
    $group = $mesh->admin('group', 'add', 'Lab', '--owner', 'boss');
    chomp $group;
});

my $agent = Mesh::Agent->new($mesh, n => 780, group => $group, name => 'dev');
ok($agent->online, 'a device is online');
my %who = map { $_ => browser($_) } qw(boss anna);
$who{boss}{c}->ask({ action => 'addmeshuser', meshid => $group,
                     usernames => ['anna'], meshadmin => 0xffffffff });

# --- S-08: keys rotate with an overlap

my $first = ticket();
is(enter($first), 101, 'a ticket opens a channel');
rotate();
is(enter($first), 101, 'S-08: a ticket outlives the change of its key');
my $second = ticket();
is(enter($second), 101, 'S-08: a ticket of the new key opens a channel');
rotate();
isnt(enter($first), 101, 'S-08: with the next change it is void');
is(enter($second), 101, 'S-08: the one after it is not');
$mesh->sql("UPDATE server_key SET created_at = created_at - 86400001");
$mesh->reload;
# a worker of before may still take a connection
ok($mesh->wait_for('workers that have read the keys',
                   sub { enter($second) ne 101 }),
   'S-08: after a day the old key is read no more');
is((grep { /^ticket/ } $mesh->sql('SELECT name FROM server_key')), 2,
   'S-08: two keys are kept, not more');
$_->{c} = channel($_) for values %who;

# --- everything is asked, by both, with what there is and with names of files

my @files = ('/etc/passwd', '../../../../../../etc/passwd',
             "$mesh->{dir}/nginx.conf", "file://$mesh->{dir}/nginx.conf",
             '../keys/agentserver.key', "$mesh->{dir}/written");
my @before = tree();
my $asked = 0;

for my $name (qw(boss anna)) {
    for my $file (undef, @files) {
        for my $m (requests($file)) {
            $who{$name}{c}->send($m);
            $asked++;
        }
    }

    # answers come in the order of the questions, but for the database's
    $who{$name}{c}->ask({ action => 'meshes' }) for 1 .. 3;
}

cmp_ok($asked, '>', 400, 'everything is asked');
while ($agent->message(1)) { }

my %said;
for my $name (keys %who) {
    $said{"to $name"} = join '', map { $heard{"$_"} // '' }
                        @{ $who{$name}{all} };
    my %seen = map { $_ => 1 } $said{"to $name"} =~ /"action":"(\w+)"/g;
    cmp_ok(scalar keys %seen, '>', 15, "$name gets answers of many kinds");
}
$said{'to the device'} = $heard{"$agent->{ws}"};
like($said{'to the device'}, qr/sessionid/, 'the device was asked too');

# --- and every path, with the same names in each argument

my @paths = map { "/$_" } Mesh::Test::read_file(
    "$Mesh::Test::ROOT/ngx_mesh_module/ngx_http_mesh_module.c")
    =~ /"(\w+\.ashx|meshagents|meshsettings)"/g;
cmp_ok(scalar @paths, '>', 8, 'the paths are known');
for my $path (@paths) {
    for my $file (@files) {
        my $value = Mesh::Test::escape($file);
        my @args = map { "$_=$value" } qw(id script meshid meshcmd key tag name);
        $said{'to a browser'} .= answer("$path?" . join '&', @args);
        $said{'to a browser'} .= answer("$path?script=1&id=$value");
        $said{'to a browser'} .= answer("$path/$value");
    }
}
$said{'to a browser'} .= answer($_) for
    '/', '/status', '/metrics', '/nginx.conf', '/../nginx.conf',
    '/%2e%2e/nginx.conf', '/..%2fkeys/agentserver.key', '/data/mesh.db',
    '/mesh.db', "/meshsettings?id=" . Mesh::Test::escape($group),
    "/meshagents?script=1";
$said{'in the logs'} = join '', map { Mesh::Test::read_file($_) }
                       glob "$mesh->{dir}/logs/*";
$said{'by mesh-admin'} = join '', map { $mesh->admin(@$_) }
    ['status'], ['check'], ['user', 'list'], ['group', 'list'],
    ['device', 'list'];

# --- S-08: none of it shows a key

my %secret = (password => $PASSWORD, "the database's password" => $DBPASSWORD);
for ($mesh->sql('SELECT name, secret FROM server_key')) {
    my ($name, $hex) = split /\|/;
    $secret{"key $name in hex"} = $hex;
    $secret{"key $name as bytes"} = pack 'H*', $hex;
    $secret{"key $name in base64"} = encode_base64(pack('H*', $hex), '');
}
for ($mesh->sql('SELECT credential_id, secret FROM credential')) {
    my ($id, $text) = split /\|/;
    $secret{"hash of password $id"} = (split /\$/, $text)[-1];
}
for my $file (glob "$mesh->{dir}/keys/*.key") {
    my @lines = split /\n/, Mesh::Test::read_file($file);
    my ($name) = $file =~ m{([^/]+)$};
    $secret{$name} = $lines[@lines / 2];
    $secret{"$name as bytes"} = substr decode_base64($lines[@lines / 2]), 3, 30;
}
cmp_ok(scalar keys %secret, '>', 15, 'the secrets are known');

for my $where (sort keys %said) {
    cmp_ok(length $said{$where}, '>', 40, "something was said $where");
    is(join(', ', grep { index($said{$where}, $secret{$_}) >= 0 }
                  sort keys %secret), '', "S-08: no key is shown $where");
    unlike($said{$where}, qr/PRIVATE KEY/, "S-08: nor one of another kind, "
           . $where);
}

# --- S-34: none of it shows a session of somebody else

my %mine = map { my $w = $_; $w => { tokens($who{$w}) } } keys %who;
for my $name (keys %who) {
    my ($other) = grep { $_ ne $name } keys %who;
    cmp_ok(scalar keys %{ $mine{$other} }, '==', 4,
           "what the sessions of $other are called is known");
    for my $where ("to $name", 'in the logs') {
        is(join(', ', grep { index($said{$where}, $mine{$other}{$_}) >= 0 }
                      sort keys %{ $mine{$other} }), '',
           "S-34: no session of $other is shown $where");
    }
}

# --- S-36: nor a file of the server

for my $where (sort keys %said) {
    unlike($said{$where}, qr/^root:[^:]*:0:0:|worker_processes|load_module/m,
           "S-36: no file of the server is shown $where");
}
is(join("\n", tree()), join("\n", @before),
   'S-36: no file of the server is made, changed or gone');
unlike($said{$_}, qr{\Q$mesh->{dir}\E/keys}, "S-36: nor where keys lie, $_")
    for 'to boss', 'to anna', 'to a browser';
for my $where ('to anna', 'to boss', 'to a browser', 'to the device') {
    unlike($said{$where}, qr{"[^"]*\Q$mesh->{dir}\E/data},
           "S-36: nor where the database is, $where");
}

$_->{c}->close for values %who;
$agent->close;
$mesh->stop;
done_testing();


# signed in as the page does it, with a channel
sub browser {
    my ($name) = @_;
    my %headers = ('Content-Type' => 'application/json',
                   Origin => "https://localhost:$mesh->{port}");
    my $r = $mesh->get('/session.ashx', headers => \%headers);
    my %jar = $r->{head} =~ /^set-cookie: ([^=]+)=([^;\r\n]*)/mgi;

    $headers{'X-Mesh-CSRF'} = decode_json($r->{body})->{csrf};
    $headers{Cookie} = join '; ', map { "$_=$jar{$_}" } keys %jar;
    $r = $mesh->request('POST', '/login.ashx', headers => \%headers,
        body => encode_json({ username => $name, password => $PASSWORD }));
    is($r->{status}, 200, "$name signs in");
    %jar = (%jar, $r->{head} =~ /^set-cookie: ([^=]+)=([^;\r\n]*)/mgi);

    my $self = { name => $name, jar => \%jar, all => [],
                 cookie => join('; ', map { "$_=$jar{$_}" } keys %jar) };
    $self->{c} = channel($self);
    return $self;
}

sub channel {
    my ($who) = @_;
    my $ws = $mesh->ws('/control.ashx', headers => {
        Cookie => $who->{cookie}, Origin => "https://localhost:$mesh->{port}",
    });
    my $c = bless { ws => $ws, kept => [], n => int rand 1e6 }, 'Mesh::Control';
    $c->wait(sub { $_[0]{action} eq 'userinfo' }) or die "no channel\n";
    push @{ $who->{all} }, "$ws";
    return $c;
}

# what its sessions are known by: cookie, hash, and what the device was told
sub tokens {
    my ($who) = @_;
    my $token = $who->{jar}{'__Host-mesh'};
    my %t = (cookie => $token, 'its hash' => sha256_hex($token),
             'half of it' => substr sha256_hex($token), 0, 32);
    my ($said) = grep { /"username":"\Q$who->{name}\E"/i }
                 split /\n/, $said{'to the device'};
    if (($said // '') =~ /"sessionid":"([^"]+)"/) {
        $t{'id of the channel'} = $1;
    }
    return %t;
}

sub ticket {
    return $who{boss}{c}->ask({ action => 'authcookie' })->{cookie};
}

sub enter {
    my $ws = $mesh->ws('/control.ashx?auth=' . Mesh::Test::escape($_[0]));
    return $ws->status if $ws->status != 101;
    my $m = $ws->read;
    return $m && ($m->{data} // '') =~ /"serverinfo"/ ? 101 : 'closed';
}

# the worker has read the new key when it has read what came after
sub rotate {
    my $name = 'mark' . ++$marks;
    $mesh->admin('key', 'rotate');
    $mesh->admin('group', 'add', $name, '--owner', 'boss');
    $mesh->wait_for($name, sub {
        grep { $_->{name} eq $name }
             @{ $who{boss}{c}->ask({ action => 'meshes' })->{meshes} }
    });
}

# one of each action; with $file every text is that
sub requests {
    my ($file) = @_;
    my %keep = map { $_ => 1 } qw(close deletemesh removedevices changepassword
                                  removemeshuser);
    my %value = (nodeid => $agent->node, id => $agent->node, meshid => $group,
                 userid => 'user//anna', nodeids => [$agent->node],
                 usernames => ['anna'], userids => ['user//anna'],
                 type => 'console');
    my (@list, %args);

    while ($table =~ /\b(ARGS|ARG|ACTION)\(\s*(\w+)(?:,\s*(\w+))?(?:,[^,]*,\s*(\d+))?/g) {
        my ($what, $name, $type, $min) = ($1, $2, $3, $4);
        if ($what eq 'ARGS') {
            %args = ();
        } elsif ($what eq 'ARG') {
            $args{$name} = $value{$name} // (
                $type eq 'LIST' ? ['x'] : $type eq 'INT' ? $min // 1
                : $type eq 'BOOL' ? JSON::PP::false : 'x' x ($min || 1));
            $args{$name} = $file
                if defined $file && $type =~ /^(?:STR|TEXT)$/;
        } elsif (!$keep{$name}) {
            push @list, { %args, action => $name };
        }
    }

    return @list;
}

sub answer {
    my ($path) = @_;
    my $r = $mesh->get($path);
    return "$r->{head}\r\n\r\n$r->{body}\n";
}

# names and sizes of what the server could have written
sub tree {
    my @list;
    for my $file (glob "$mesh->{dir}/* $mesh->{dir}/{html,keys,agents,own-agents}/*") {
        next if $file =~ m{/(?:tmp-|ipc|logs|data|asan|ubsan)};
        push @list, $file . (-f $file ? ' ' . -s _ : '');
    }
    return @list;
}
