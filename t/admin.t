#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# The operator's command line: each command does what it says while the workers
# run, and says why when it does not.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IPC::Open3 qw(open3);
use JSON::PP;
use Symbol qw(gensym);
use Time::HiRes qw(time);
use Test::More;
use Mesh::Agent;
use Mesh::Control;
use Mesh::Test;

my $mesh = Mesh::Test->new;
my $conf = "$mesh->{dir}/nginx.conf";
my $password = 'correct horse battery';
my $wrong = 'battery horse correct';

# --- before there is a database

$mesh->{dbname} = 'mesh_absent';
$mesh->write_conf;
is(admin('exists'), $mesh->{db} eq 'postgres' ? 1 : 3,
   'exists: there is no database yet, or it cannot be reached');
like(refused('user', 'list'), qr/mesh\.db|mesh_absent/,
     'a command without a database names what is missing');

$mesh->start(prepare => sub {
    is(admin('exists'), 0, 'exists: there is one after migrate');
    is(admin('migrate'), 0, 'migrate: twice does no harm');
    is(admin(\"$password\n", 'user', 'add', 'boss', '--site-admin'), 0,
       'user add makes an administrator');
    is(admin(\"$password\n", 'user', 'add', 'Anna'), 0, 'and a user');
});

# --- what is refused

like(refused(\"$password\n", 'user', 'add', 'anna'), qr/already/,
     'user add: a name is taken whatever its case');
like(refused(\"short\n", 'user', 'add', 'eve'), qr/at least 10/,
     'user add: a short password is refused');
like(refused(\"eve-the-first\n", 'user', 'add', 'Eve-The-First'),
     qr/must not be/, 'user add: the name is no password');
like(refused(\'', 'user', 'add', 'eve'), qr/no password/,
     'user add: no password, no account');
like(refused(\"$password\n", 'user', 'add', 'a/b'), qr/1 to 64/,
     'user add: a name that would be an id of another is refused');
like(refused(\"$password\n", 'user', 'add', 'x' x 65), qr/1 to 64/,
     'user add: a long name is refused');
like(refused(\"$password\n", 'user', 'passwd', 'nobody'), qr/no user "nobody"/,
     'user passwd: an unknown user is named');
like(refused('user', 'unlock', 'nobody'), qr/no user "nobody"/,
     'user unlock: an unknown user is named');
like(refused('group', 'add', 'x' x 129), qr/1 to 128/,
     'group add: a long name is refused');
like(refused('group', 'add', ''), qr/1 to 128/,
     'group add: an empty name is refused');
like(refused('group', 'add', 'Lab', '--owner', 'nobody'),
     qr/no user "nobody"/, 'group add: an unknown owner is named');
is(said('group', 'list'), '', 'a refused group is not there');

my $list = said('user', 'list');
like($list, qr/^boss +administrator +never$/m, 'user list shows who may what');
like($list, qr/^Anna +user +never$/m, 'and when they were last here');
unlike($list, qr/^eve|^a\/b|^xxx/im, 'and none that was refused');

# --- accounts and groups, while the workers run

my $boss = login('boss', $password);
my $anna = login('anna', $password);

is(admin('user', 'unlock', 'anna'), 0, 'user unlock: who is not locked stays');
is(admin(\"$password\n", 'user', 'add', 'Late'), 0, 'user add, later');
$mesh->sql("UPDATE account SET site_rights = 32 WHERE login = 'late'");
like(said('user', 'list'), qr/^Late +locked/m, 'user list shows a lock');
is(admin('user', 'unlock', 'late'), 0, 'user unlock unlocks');
unlike(said('user', 'list'), qr/locked/, 'and the lock is gone');
is(admin(\"$wrong\n", 'user', 'passwd', 'ANNA'), 0,
   'user passwd finds the user whatever the case');

my $group = said('group', 'add', 'Lab "1"', '--owner', 'boss');
chomp $group;
like($group, qr{^mesh//[A-Za-z0-9@\$]{64}$}, 'group add says the id');
like(said('group', 'list'), qr/^\Q$group\E +0  Lab "1"$/m,
     'group list shows id, devices and name');

# any worker may be asked, and no worker was told
my @twins = map { Mesh::Agent->new($mesh, n => 760 + $_, group => $group,
                                   name => 'Twin "x"') } 0, 1;
my $single = Mesh::Agent->new($mesh, n => 762, group => $group,
                              name => 'single');
my $stays = Mesh::Agent->new($mesh, n => 763, group => $group,
                             name => 'stays');
ok($_->online, $_->{name} . ' joins the group at once')
    for $stays, @twins, $single;

my $made = $boss->event(sub { $_[0]{action} eq 'createmesh' });
is($made && "$made->{meshid} $made->{name}", "$group Lab \"1\"",
   'its owner is told of the group');
ok(waits(sub { grep { $_->{_id} eq $group }
                    @{ $boss->ask({ action => 'meshes' })->{meshes} } }),
   'and sees it');
for my $new (map { "new$_" } 1 .. 4) {
    is(admin(\"$password\n", 'user', 'add', $new), 0, "user add $new");
    # any worker may be asked, and no worker was told
    ok(login($new, $password), 'who was added gets in at once');
}
# each worker reads the changes at a time of its own: the first tells the others.
# The best of four, as a busy machine may stretch one.
my @near = map { login('boss', $password) } 1 .. 12;
my %in = map { $mesh->worker($_->{ws}) => $_ } @near;
cmp_ok(scalar keys %in, '>', 1, 'sessions in more than one worker');
my $spread = 99;
for my $new (map { "seen$_" } 1 .. 4) {
    is(admin(\"$password\n", 'user', 'add', $new), 0, "user add $new");
    my %at;
    $mesh->wait_for('all workers', sub {
        for my $pid (grep { !$at{$_} } keys %in) {
            $at{$pid} = time if grep { $_->{_id} eq "user//$new" }
                @{ $in{$pid}->ask({ action => 'users' })->{users} };
        }
        return keys %at == keys %in;
    });
    my @at = sort { $a <=> $b } values %at;
    $spread = $at[-1] - $at[0] if $at[-1] - $at[0] < $spread;
}
cmp_ok($spread, '<', 1, 'one worker that knows a user tells the others');
$_->close for @near;
login('new1', 'wrong') for 1 .. 12;
ok(!login('new1', $password), 'who guesses locks the user out');
is(admin('user', 'unlock', 'new1'), 0, 'user unlock');
ok(waits(sub { login('new1', $password) }), 'lets the user in again');
ok(closes($anna), 'who used the old password is out');
ok(login('anna', $wrong), 'the new password works');
ok(!login('anna', $password), 'the old one does not');
ok(waits(sub { said('user', 'list')
               =~ /^boss +administrator +\d{4}-\d\d-\d\d \d\d:\d\d$/m }),
   'user list shows the last login');

# --- devices

$list = said('device', 'list');
for my $agent (@twins, $single) {
    like($list, qr/^\Q@{[$agent->node]}\E  \S.*Lab "1" .*\Q$agent->{name}\E$/m,
         "device list shows $agent->{name}");
}
like(said('group', 'list'), qr/^\Q$group\E +4  /m,
     'group list counts the devices');

like(refused('device', 'remove', 'nothing'), qr/no device "nothing"/,
     'device remove: an unknown device is named');
my $both = refused('device', 'remove', 'TWIN "x"');
like($both, qr/more than one device/,
     'device remove: a name that two have removes none');
like($both, qr/^\Q@{[$_->node]}\E /m, 'and the ids of both are shown')
    for @twins;

$single->close;
ok($boss->event(sub { $_[0]{action} eq 'nodeconnect' && !$_[0]{conn} }),
   'one is offline');
is(admin('device', 'remove', $twins[0]->node), 0,
   'device remove takes an id');
(my $short = $twins[1]->node) =~ s{^node//}{};
is(admin('device', 'remove', $short), 0, 'device remove takes a short id');
is(admin('device', 'remove', 'SINGLE'), 0, 'device remove takes a name');
like(refused('device', 'remove', 'single'), qr/no device/, 'twice is once');

my %gone = map { $_->{nodeid} => $_ } grep { defined }
           map { $boss->event(sub { $_[0]{action} eq 'removenode' }) } 1 .. 3;
is_deeply([sort keys %gone], [sort map { $_->node } @twins, $single],
          'open pages are told which devices went, online or not');
is($gone{$twins[0]->node}{meshid}, $group, 'and of which group');
is($gone{$twins[0]->node}{msgArgs}[0], 'Twin "x"', 'by their names');
is(closes($_), 1001, 'the agent is sent away, as when a page removes it')
    for @twins;
is_deeply([nodes()], [$stays->node], 'they are in no list any more');
ok($stays->{ws}->alive, 'another agent stays connected');

my $back = Mesh::Agent->new($mesh, n => 761, group => $group,
                            name => 'again');
ok($back->online, 'who was removed may come back');
is_deeply([nodes()], [sort map { $_->node } $stays, $back],
          'as a new device');

my $events = $boss->ask({ action => 'events', limit => 100 })->{events};
is(scalar(grep { $_->{action} eq 'removenode' } @$events), 3,
   'each removal is an event');

# --- the whole

my $status = said('status');
my $db = $mesh->{db} eq 'postgres' ? 'PostgreSQL' : 'SQLite';
like($status, qr/^database +$db, schema \d+\naccounts +11\ndevice groups +1\n/,
     'status counts accounts and groups');
like($status, qr/^devices +2\nmesh-signer +answers$/m,
     'and devices, and asks mesh-signer');
is(admin('check'), 0, 'check: key and database belong together');
is(admin('check'), 0, 'check: and again');

$mesh->stop_pid($mesh->{signer_pid}, 'TERM');
unlink "$mesh->{dir}/signer.sock";
like(said('status'), qr/^mesh-signer +cannot reach .*signer\.sock/m,
     'status says that mesh-signer is away');
like(refused('check'), qr/2 devices .* restore the folder "keys"/,
     'check: without the key the devices are lost, and what helps');

# another key, as after a restore of only half
my $other = "$mesh->{dir}/other";
Mesh::Test::run($mesh->{signer}, 'create', '--fastcert', $other);
my $stranger = $mesh->spawn("$mesh->{dir}/logs/signer.log", $mesh->{signer},
                            '-k', $other, '-s', "$mesh->{dir}/signer.sock",
                            '-u', 'nobody', '-w', 'www-data');
Mesh::Test::wait_for_file("$mesh->{dir}/signer.sock");
like(refused('check'), qr/another agent server key .* 2 devices/,
     'check: another key is refused');
unlike(refused('check'), qr/BEGIN|PRIVATE/, 'S-08: and no key is shown');

# --- wrong command lines

for my $line ([], ['nothing'], ['user'], ['user', 'paint'], ['user', 'add'],
              ['user', 'add', 'x', '--admin'],
              ['user', 'add', 'x', '--site-admin', 'y'], ['user', 'passwd'],
              ['user', 'passwd', 'x', 'y'], ['user', 'unlock'],
              ['group', 'add'], ['group', 'add', 'x', 'y'],
              ['group', 'add', 'x', '--of', 'boss'], ['device', 'remove'],
              ['device', 'remove', 'x', 'y'], ['device'],
              ['key'], ['key', 'rotate', 'x'], ['setup-link', 'x']) {
    my ($rc, undef, $err) = all(@$line);
    ok($rc == 2 && $err =~ /^usage: mesh-admin -c nginx\.conf COMMAND$/m,
       "refused with its usage: @$line") or diag("$rc: $err");
}

{
    my ($rc, undef, $err) = command($mesh->{admin}, 'user', 'list');
    ok($rc == 2 && $err =~ /^usage:/, 'no configuration: usage');
}

# --- wrong configurations

my @wrong = (
    ["\n\nmesh_db oracle x;\n", qr/unknown database "oracle" .*:3$/m],
    ["\nmesh_db sqlite;\n", qr/number of arguments in "mesh_db" .*:2$/m],
    ["mesh_db sqlite\n  x\n  y;\n", qr/number of arguments .*:1$/m],
    ["# \"\n\nmesh_db sqlite \"x\n\n", qr/quote does not end .*:3$/m],
    ["mesh_db sqlite x;\nmesh_signer http://x;\n",
     qr/"mesh_signer" needs "unix:" .*:2$/m],
    ["mesh_db sqlite x;\nhttp {\n}\nmesh_signer unix:x\n",
     qr/"mesh_signer" does not end with ";" .*:4$/m],
    ["\n\n\ninclude /does/not/exist.conf;\n",
     qr{cannot read "/does/not/exist.conf": No such file .*:4$}m],
    ["user root;\ninclude $mesh->{dir}/wrong.conf;\n",
     qr/included too deep .*:2$/m],
);

for (@wrong) {
    my ($text, $want) = @$_;
    Mesh::Test::write_file("$mesh->{dir}/wrong.conf", $text);
    my ($rc, undef, $err) = command($mesh->{admin}, '-c',
                                    "$mesh->{dir}/wrong.conf", 'status');
    (my $name = $text) =~ s/\s+/ /g;
    ok($rc == 1 && $err =~ $want && $err =~ m{ in \Q$mesh->{dir}\E/wrong\.conf:},
       "refused with file and line:$name") or diag("$rc: $err");
}

like((command($mesh->{admin}, '-c', "$mesh->{dir}/none.conf", 'status'))[2],
     qr/cannot read ".*none\.conf": No such file/,
     'a configuration that is not there is named');

# ours lies behind includes, quotes and comments as nginx takes them
Mesh::Test::write_file("$mesh->{dir}/part.conf", Mesh::Test::read_file($conf));
Mesh::Test::write_file("$mesh->{dir}/whole.conf",
    "# mesh_db oracle;\n'user' \"www-data\";\ninclude 'par[t].conf';\n");
is((command($mesh->{admin}, '-c', "$mesh->{dir}/whole.conf", 'user',
            'list'))[0], 0, 'a configuration in parts is read like one');

$_->close for $boss, $stays, $back;
$mesh->stop;
done_testing();


# status, standard output, standard error
sub command {
    my @command = @_;
    my $input = ref $command[0] ? ${ shift @command } : '';
    my $pid = open3(my $in, my $out, my $err = gensym, @command);
    print $in $input;
    close $in;
    my @said = map { my $f = $_; local $/; <$f> // '' } $out, $err;
    waitpid $pid, 0;
    return ($? >> 8, @said);
}

sub all {
    my @input = ref $_[0] ? shift : ();
    return command(@input, $mesh->{admin}, '-c', $conf, @_);
}

sub admin {
    my ($rc, undef, $err) = all(@_);
    diag("@_: $err") if $rc && $_[0] ne 'exists';
    return $rc;
}

sub said {
    my ($rc, $out, $err) = all(@_);
    diag("@_: $err") if $rc;
    return $rc ? "status $rc" : $out;
}

# why not; status 1 and nothing on standard output
sub refused {
    my ($rc, $out, $err) = all(@_);
    return $rc == 1 && $out eq '' ? $err : "status $rc, output \"$out\"";
}

sub login {
    my ($user, $with) = @_;
    my $c = Mesh::Control->new($mesh, $user, $with);
    return $c->ok ? $c : undef;
}

# until the workers have read what another process changed
sub waits {
    my ($code) = @_;
    my $got;
    $mesh->wait_for('the workers', sub { $got = $code->() });
    return $got;
}

sub closes {
    my ($peer) = @_;
    while (my $m = $peer->{ws}->read) {
        return $m->{close} || 1 if exists $m->{close};
    }
    return undef;
}

sub nodes {
    my $all = $boss->ask({ action => 'nodes' })->{nodes};
    return sort map { $_->{_id} } map { @$_ } values %$all;
}
