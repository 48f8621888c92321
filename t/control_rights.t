#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# Read from the table of the control channel: each action with each right, on
# a device and a group of one's own, of others, and on what is not there; and
# each argument missing, of a wrong type, too short and too long.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use Test::More;
use Mesh::Agent;
use Mesh::Control;
use Mesh::Test;

my $FULL = 0xffffffff;
my $module = "$Mesh::Test::ROOT/ngx_mesh_module";
my %bit = Mesh::Test::read_file("$module/core/ngx_mesh_model.h")
          =~ /#define NGX_MESH_(D_\w+) +(0x[0-9a-f]+)u/g;
$_ = hex for values %bit;
my %action = table(Mesh::Test::read_file(
    "$module/control/ngx_mesh_control_table.h"));
cmp_ok(scalar keys %bit, '==', 22, 'the 22 rights are known');
cmp_ok(scalar keys %action, '>', 30, 'the table is read');

# what each action about something is asked with; $_[0] is an object
my %ask = (
    editmesh => sub { (meshid => $_[0]{group}, desc => 'changed') },
    deletemesh => sub { (meshid => $_[0]{group}) },
    addmeshuser => sub { (meshid => $_[0]{group}, usernames => ['other'],
                          meshadmin => 0) },
    removemeshuser => sub { (meshid => $_[0]{group},
                             userid => 'user//other') },
    getsysinfo => sub { (nodeid => $_[0]{node}) },
    getnetworkinfo => sub { (nodeid => $_[0]{node}) },
    lastconnect => sub { (nodeid => $_[0]{node}) },
    powertimeline => sub { (nodeid => $_[0]{node}) },
    getNotes => sub { (id => $_[0]{node}) },
    setNotes => sub { (id => $_[0]{node}, notes => 'n') },
    events => sub { (nodeid => $_[0]{node}) },
    changedevice => sub { (nodeid => $_[0]{node}, desc => 'd') },
    changeDeviceMesh => sub { (nodeids => [$_[0]{node}],
                               meshid => $_[0]{group}) },
    removedevices => sub { (nodeids => [$_[0]{spare}->()]) },
    adddeviceuser => sub { (nodeid => $_[0]{node}, usernames => ['other'],
                            rights => 0) },
    msg => sub { (nodeid => $_[0]{node}, type => 'userSessions') },
    getcookie => sub { (nodeid => $_[0]{node}, tcpport => 22) },
    webrelay => sub { (nodeid => $_[0]{node}, port => 80, appid => 1) },
    runcommands => sub { (nodeids => [$_[0]{node}], type => 3, cmds => 'id') },
    poweraction => sub { (nodeids => [$_[0]{node}], actiontype => 3) },
    wakedevices => sub { (nodeids => [$_[0]{node}]) },
    toast => sub { (nodeids => [$_[0]{node}], title => 't', msg => 'm') },
    corerestart => sub { (nodeids => [$_[0]{node}]) },
    meshmessenger => sub { (nodeid => $_[0]{node}) },
);

# actions that even with their right can say no, for another reason
my %more = (
    deletemesh => 'full rights on the group',
    msg => 'a right of its type',
    changeDeviceMesh => 'another group to move to',
    addmeshuser => 'no more rights than one has oneself',
    removemeshuser => 'somebody who is in the group',
    adddeviceuser => 'no more rights than one has oneself',
);

is_deeply([sort grep { $action{$_}{object} ne 'NONE' } keys %action],
          [sort keys %ask],
          'S-30: each action about something is tried by this test');

my $mesh = Mesh::Test->new;
my %group;
$mesh->start(prepare => sub {
    $mesh->admin(\"correct horse battery\n", 'user', 'add', 'admin',
                 '--site-admin');
    $mesh->admin(\"a password for tests\n", 'user', 'add', $_)
        for qw(probe other);
    for my $name (qw(Own Foreign)) {
        $group{$name} = $mesh->admin('group', 'add', $name, '--owner', 'admin');
        chomp $group{$name};
    }
});

my $admin = Mesh::Control->new($mesh, 'admin', 'correct horse battery');
my %agent;
my $n = 500;
for my $name (qw(Own Foreign)) {
    $agent{$name} = Mesh::Agent->new($mesh, n => $n++, group => $group{$name},
                                     name => "in $name");
    $agent{$name}->online or die "no agent\n";
}

# an inventory, so that its absence is a refusal
$agent{Own}->json({ action => 'sysinfo', data => { hash => 'a' x 96,
    hardware => { identifiers => { cpu_name => 'test' } } } });
$mesh->wait_for('the inventory', sub {
    $admin->ask({ action => 'getsysinfo', nodeid => $agent{Own}->node })
          ->{hardware};
});

my %object = (
    own => { group => $group{Own}, node => $agent{Own}->node,
             spare => sub { $agent{Own}->node } },
    foreign => { group => $group{Foreign}, node => $agent{Foreign}->node,
                 spare => sub { $agent{Foreign}->node } },
    missing => { group => 'mesh//' . 'A' x 64, node => 'node//' . 'A' x 64,
                 spare => sub { 'node//' . 'A' x 64 } },
);

my $probe;
$probe = fresh();
ok($probe->ok, 'an account without rights gets in');

# --- without any right: what is there and what is not answer alike

for my $name (sort keys %ask) {
    my %text = map { $_ => answer($name, $object{$_}) } qw(own foreign missing);
    is($text{own}, $text{missing},
       "S-30: $name cannot tell a group unseen from one that is not there");
    is($text{foreign}, $text{missing}, "S-33: $name, another group");
}

# --- with each right alone

for my $right (sort { $bit{$a} <=> $bit{$b} } keys %bit) {
    $probe = fresh();
    give($bit{$right});
    my @wrong;

    for my $name (sort keys %ask) {
        my $row = $action{$name};
        my $may = !@{ $row->{rights} }
                  || grep { $_ eq $right } @{ $row->{rights} };
        next if $may && ($more{$name} || $name eq 'removedevices');

        my $text = answer($name, $object{own});
        push @wrong, "$name: $text"
            if $may ? denied($row, $text) : !denied($row, $text);

        # one's rights here are none there
        my $there = answer($name, $object{foreign});
        push @wrong, "$name on a foreign one: $there"
            if $there ne answer($name, $object{missing});
    }

    is(join("\n", @wrong), '', "S-30: $right opens what it should, and "
                               . 'nothing else');
}

# --- all but one

my %all = map { $_ => 1 } grep { !/^D_(?:NO|LIMIT|DESKLIMIT|REMOTEVIEWONLY)/ }
          keys %bit;
for my $right (sort keys %all) {
    my $rights = 0;
    $probe = fresh();
    $rights |= $bit{$_} for grep { $_ ne $right } keys %all;
    give($rights);
    my @wrong = grep {
        my $row = $action{$_};
        @{ $row->{rights} } == 1 && $row->{rights}[0] eq $right
            && !denied($row, answer($_, $object{own}))
    } sort keys %ask;
    is("@wrong", '', "S-30: all rights but $right do not make up for it");
}

# --- S-31: a right that is taken is gone in the session that is open

give($FULL);
unlike(answer('runcommands', $object{own}), qr/denied/i,
       'full rights run a command');
give(0);
like(answer('runcommands', $object{own}), qr/denied|invalid/i,
     'S-31: and without them the same session does not');

# --- nobody gives what he does not have

give($bit{D_MANAGEUSERS} | $bit{D_WAKEDEVICE});
my $reply = $probe->ask({ action => 'addmeshuser', meshid => $group{Own},
    usernames => ['other'], meshadmin => $FULL });
my $links = links('Own');
ok(($links->{'user//other'}{rights} // 0) != $FULL,
   'S-30: who manages users gives no right that he does not have');
$probe->ask({ action => 'addmeshuser', meshid => $group{Own},
    usernames => ['probe'], meshadmin => $FULL });
is(links('Own')->{'user//probe'}{rights},
   $bit{D_MANAGEUSERS} | $bit{D_WAKEDEVICE}, 'S-30: nor to himself');

my %deviceless = map { $_ => 1 }
                 qw(D_EDITMESH D_MANAGEUSERS D_MANAGECOMPUTERS);
for my $on (qw(group device)) {
    my @given;

    $probe = fresh();
    for my $right (sort { $bit{$a} <=> $bit{$b} } keys %bit) {
        next if $right eq 'D_WAKEDEVICE' || $right eq 'D_MANAGEUSERS'
                || $on eq 'device' && $deviceless{$right};
        grant($on, 'other', $bit{D_WAKEDEVICE} | $bit{$right});
        push @given, $right if (granted($on, 'other') // 0) & $bit{$right};
    }

    is(join(' ', @given), 'D_NOTERMINAL D_NOFILES D_NOAMT D_DESKLIMITEDINPUT '
                          . 'D_LIMITEVENTS D_NODESKTOP',
       "S-30: of what he lacks on a $on he gives only what takes away");

    grant($on, 'other', $bit{D_WAKEDEVICE});
    is(granted($on, 'other'), $bit{D_WAKEDEVICE},
       "and on a $on a right that he has");
    grant($on, 'other', 0x40000000);
    is(granted($on, 'other'), $bit{D_WAKEDEVICE},
       "S-30: but on a $on no right without a name");
    grant($on, 'probe', $_) for 0, $bit{D_WAKEDEVICE};
    is(granted($on, 'probe'), $on eq 'group'
                              ? $bit{D_MANAGEUSERS} | $bit{D_WAKEDEVICE}
                              : undef,
       "S-30: nor does he change what he himself has on a $on");
}

# what binds the giver binds what he gives
give($bit{D_MANAGEUSERS} | $bit{D_REMOTECONTROL} | $bit{D_NOTERMINAL}
     | $bit{D_REMOTEVIEWONLY});
for my $on (qw(group device)) {
    grant($on, 'other', $bit{D_REMOTECONTROL});
    is(granted($on, 'other'), $bit{D_REMOTECONTROL} | $bit{D_NOTERMINAL}
                              | $bit{D_REMOTEVIEWONLY},
       "S-30: who has no terminal on a $on gives control without one");
    grant($on, 'probe', 0, JSON::PP::true);
    grant($on, 'other', 0, JSON::PP::true);
    is(granted($on, 'other'), undef, "and takes it back on a $on");
}

give($bit{D_MANAGEUSERS} | $bit{D_REMOTEVIEWONLY});
grant('group', 'other', 0);
is(granted('group', 'other'), 0,
   'S-30: a limit to viewing is no viewing for who has no control');
grant('group', 'other', 0, JSON::PP::true);
is(granted('group', 'probe'), $bit{D_MANAGEUSERS} | $bit{D_REMOTEVIEWONLY},
   'S-30: who has less than all does not leave his own limits');

# limits of one's own on a device, set by somebody else
give($bit{D_MANAGEUSERS} | $bit{D_REMOTECONTROL});
$admin->ask({ action => 'adddeviceuser', nodeid => $object{own}{node},
              usernames => ['probe'], rights => $bit{D_NOTERMINAL} });
grant('device', 'probe', 0, JSON::PP::true);
is(granted('device', 'probe'), $bit{D_NOTERMINAL},
   'S-30: and does not take them off himself');
$admin->ask({ action => 'adddeviceuser', nodeid => $object{own}{node},
              usernames => ['probe'], rights => 0, remove => JSON::PP::true });
is(granted('device', 'probe'), undef, 'who has all rights does');

# --- sites: what needs a right on the server

give(0);
for my $name (sort grep { @{ $action{$_}{site} } } keys %action) {
    my $r = $probe->ask({ action => $name });
    is($r->{result}, $action{$name}{denied},
       "S-30: $name is for who has a right on the server");
}

# --- an action that is not there

$reply = $probe->ask({ action => 'meshTool', name => 'x' });
is($reply->{result}, 'Unsupported action', 'an unknown action is answered');
$probe->send({ action => 'unknown_without_number' });
ok($probe->wait(sub { $_[0]{action} eq 'unknown_without_number' }),
   'also without a number');

# --- S-22: each argument

my $full = Mesh::Control->new($mesh, 'admin', 'correct horse battery');
my $before = errors();
for my $name (sort keys %action) {
    next if $name eq 'close';
    my %good = $ask{$name} ? $ask{$name}->($object{own}) : ();
    $good{ $_->[0] } //= $_->[1] eq 'INT' ? 0 + $_->[3] : 'a good text'
        for grep { $_->[2] =~ /NEEDED/ } @{ $action{$name}{args} };
    my @wrong;

    for my $arg (@{ $action{$name}{args} }) {
        my ($key, $type, $flags, $min, $max, $error) = @$arg;
        next if !defined $error;

        my @bad = $type eq 'LIST' ? ({}, 'x', 7, [7], [{}], [('x') x ($max + 1)])
                : $type eq 'INT' ? ('x', {}, [], $max + 1, 1.5, -1e18)
                : $type eq 'BOOL' ? ('x', {}, [], 7)
                : $type eq 'ANY' ? ()
                : ({}, [], 7, JSON::PP::true, 'x' x ($max + 1), "a\0b");
        push @bad, undef if $flags =~ /NEEDED/;

        for my $bad (@bad) {
            my %call = (%good, $key => $bad);
            delete $call{$key} if !defined $bad;
            my $r = $full->ask({ %call, action => $name });
            my $text = $r ? said($r) : 'no answer';
            my $shown = ref $bad ? encode_json($bad)
                      : defined $bad ? substr $bad, 0, 10 : 'missing';
            push @wrong, "$key=$shown: $text" if $text ne $error;
        }
    }

    is(join("\n", @wrong), '', "S-22: $name refuses wrong arguments by name");
}
is(errors(), $before, 'nothing of this is an error in the log');

$mesh->stop;
done_testing;


# { action => { object, rights, site, unknown, denied, args } }
sub table {
    my ($text) = @_;
    my (%table, @args);

    $text =~ s{/\*.*?\*/}{}gs;
    while ($text =~ /\b(ARGS|ARG|ACTION)\(((?:"[^"]*"|[^"()])*)\)/g) {
        my ($what, $list) = ($1, $2);
        my @part = map { s/^\s+|\s+$//gr } $list =~ /("[^"]*"|[^,]+)/g;
        my @text = map { /^"(.*)"$/ ? $1 : $_ eq 'NULL' ? undef : $_ } @part;

        if ($what eq 'ARGS') {
            @args = ();
        } elsif ($what eq 'ARG') {
            push @args, [@text];
        } else {
            my ($name, undef, $object, $right, $site, $unknown, $denied,
                $flags) = @text;
            $table{$name} = {
                object => $object, unknown => $unknown, denied => $denied,
                rights => [grep { /^D_/ } split /\|/, $right],
                site => [grep { /^S_/ } split /\|/, $site],
                flags => $flags, args => [@args],
            };
        }
    }

    return %table;
}

sub give {
    my ($rights) = @_;
    my $r = $admin->ask({ action => 'addmeshuser', meshid => $group{Own},
        usernames => ['probe'], meshadmin => $rights });
    die encode_json($r) if ($r->{result} // '') !~ /^added user probe/i
                           && ($r->{result} // '') !~ /ok/i;

    # each worker has it at once; wait until that of the probe does
    $mesh->wait_for('the rights', sub {
        my $meshes = $probe->ask({ action => 'meshes' })->{meshes};
        my ($own) = grep { $_->{_id} eq $group{Own} } @$meshes;
        return $own && ($own->{links}{'user//probe'}{rights} // -1) == $rights;
    });
}

# a session is slowed down after many commands: each part has its own
sub fresh {
    $probe->close if $probe;
    return Mesh::Control->new($mesh, 'probe', 'a password for tests');
}

sub links {
    my ($name) = @_;
    my $meshes = $admin->ask({ action => 'meshes' })->{meshes};
    return (grep { $_->{_id} eq $group{$name} } @$meshes)[0]{links};
}

# the probe gives rights; an answer of either form is no matter here
sub grant {
    my ($on, $name, $rights, $remove) = @_;
    my %act = $on eq 'group'
            ? (action => 'addmeshuser', meshid => $group{Own},
               meshadmin => $rights)
            : (action => 'adddeviceuser', nodeid => $object{own}{node},
               rights => $rights);
    return $probe->ask({ %act, usernames => [$name],
                         $remove ? (remove => $remove) : () });
}

# what the account has of its own on it, as stored; undef: no grant
sub granted {
    my ($on, $name) = @_;
    my $wire = $object{own}{$on eq 'group' ? 'group' : 'node'};
    my $table = $on eq 'group' ? 'device_group' : 'device';
    my ($rights) = $mesh->sql(
        "SELECT a.rights FROM access a"
        . " JOIN account u ON u.account_id = a.account_id"
        . " JOIN $table o ON o.${table}_id = a.${table}_id"
        . " WHERE u.login = '$name' AND o.wire_id = '$wire'");
    return $rights;
}

# what was said, without the ids that were asked for
sub answer {
    my ($name, $object) = @_;
    my $r = $probe->ask({ $ask{$name}->($object), action => $name })
        or return 'no answer';
    return said($r);
}

sub said {
    my ($r) = @_;
    my %r = %$r;
    delete @r{qw(action responseid tag nodeid nodeids id meshid userid)};
    return $r{result} if defined $r{result} && !ref $r{result};
    delete $r{$_} for grep { !defined $r{$_} } keys %r;
    return JSON::PP->new->canonical->encode(\%r);
}

# the table's words of refusal, or an answer with nothing in it
sub denied {
    my ($row, $text) = @_;
    my @no = grep { defined } @$row{qw(denied unknown)};
    return 1 if grep { $text eq $_ } @no;
    return $row->{flags} =~ /NOINFO/ && $text =~ /noinfo/;
}

sub errors {
    return scalar grep { /\[(?:error|crit|alert|emerg)\]/ }
           split /\n/, $mesh->error_log;
}
