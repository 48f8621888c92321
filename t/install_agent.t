#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# mesh-agent install, uninstall and status: below --root, and with a systemctl
# that only writes down what it is told, on a /usr and /etc of its own.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use File::Temp qw(tempdir);
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);
use Mesh::Test;

my $agent = $ENV{MESH_AGENT_BIN} || "$Mesh::Test::ROOT/build/mesh-agent";
plan skip_all => "no $agent yet" if !-x $agent;

my $dir = tempdir('mesh-agent-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $hex = 'AB' x 48;
my $policy = "\r\nMeshName=Lab\r\nMeshType=2\r\nMeshID=0x$hex\r\n"
           . "ServerID=$hex\r\nMeshServer=wss://mesh.example:443/agent.ashx\r\n";
my ($rc, $said);

Mesh::Test::write_file("$dir/good.msh", $policy);

# --- below --root

my $root = "$dir/root";
my $lib = "$root/usr/lib/mesh-agent";
my $unit = "$root/etc/systemd/system/mesh-agent.service";

($rc, $said) = agent('install', "--root=$root");
is($rc, 1, 'without a policy nothing is installed');
like($said, qr/no policy .*\.msh".*--policy=FILE/, 'and it says what to do');
ok(!-e $root, 'and leaves nothing');

for my $bad (['<!doctype html>', 'a page'],
             ["There is no such device group.\n", 'an answer'],
             ['', 'nothing'], ["\0" x 100, 'zeros'],
             [$policy =~ s/MeshID=0x/MeshID=/r, 'another MeshID'],
             [$policy =~ s/^ServerID=.*$/ServerID=zz/mr, 'another ServerID'],
             [$policy =~ s/MeshServer/Server/r, 'no server'])
{
    my ($text, $what) = @$bad;
    Mesh::Test::write_file("$dir/bad.msh", $text);
    ($rc, $said) = agent('install', "--root=$root", "--policy=$dir/bad.msh");
    is($rc, 1, "a policy that is $what is refused");
    like($said, qr/bad\.msh" is not a policy/, 'in words');
    ok(!-e $root, 'before anything is written');
}

($rc, $said) = agent('install', "--root=$root", "--policy=$dir/none.msh");
like($said, qr/none\.msh": No such file/, 'a policy that is not there is named');

umask 077;
($rc, $said) = agent('install', "--root=$root", "--policy=$dir/good.msh");
umask 022;
is($rc, 0, 'with a policy it is installed') or diag($said);
is(mode($lib), '755', 'the folder is open, whatever the umask is');
is(mode("$lib/mesh-agent"), '755', 'the program too');
is(mode("$lib/mesh-agent.msh"), '600', 'the policy is not');
is(mode($unit), '644', 'the unit is as systemd wants it');
ok(Mesh::Test::read_file("$lib/mesh-agent") eq Mesh::Test::read_file($agent),
   'the program is this one');
is(Mesh::Test::read_file("$lib/mesh-agent.msh"), $policy,
   'the policy is as it was given');
is((grep { /\.new$/ } glob "$lib/*"), 0, 'nothing else is left there');

my $text = Mesh::Test::read_file($unit);
for my $line ('ExecStart=/usr/lib/mesh-agent/mesh-agent run '
              . '--data=/var/lib/mesh-agent', 'Restart=always',
              'StateDirectory=mesh-agent', 'StateDirectoryMode=0700',
              'WantedBy=multi-user.target')
{
    like($text, qr/^\Q$line\E$/m, "the unit says $line");
}

SKIP: {
    skip 'no systemd-analyze', 1 if !-x '/usr/bin/systemd-analyze';

    # it looks for the program where the unit says
    my $copy = "$dir/mesh-agent.service";
    Mesh::Test::write_file($copy, $text =~ s{=/usr/lib/}{=$root/usr/lib/}r);
    my $words = `systemd-analyze verify --man=no $copy 2>&1`;
    unlike($words, qr/mesh-agent\.service:\d+:/, 'systemd understands all of it');
}

# --- once more: an upgrade

my $inode = (stat "$lib/mesh-agent")[1];
Mesh::Test::write_file("$dir/other.msh", $policy =~ s/=Lab/=Office/r);
($rc, $said) = agent('install', "--root=$root");
is($rc, 0, 'the second time it needs no policy');
like($said, qr/upgraded/, 'and is an upgrade');
is(Mesh::Test::read_file("$lib/mesh-agent.msh"), $policy,
   'which keeps the policy');
isnt((stat "$lib/mesh-agent")[1], $inode,
     'a program that runs is replaced, not written into');
agent('install', "--root=$root", "--policy=$dir/other.msh");
like(Mesh::Test::read_file("$lib/mesh-agent.msh"), qr/Office/,
     'another policy takes its place');

($rc, $said) = run("$lib/mesh-agent", 'install', "--root=$root");
is($rc, 0, 'what is installed can be installed from where it is');
ok(Mesh::Test::read_file("$lib/mesh-agent") eq Mesh::Test::read_file($agent),
   'and is what it was');

symlink "$dir/good.msh", "$lib/mesh-agent.msh.new";
agent('install', "--root=$root", "--policy=$dir/other.msh");
is(Mesh::Test::read_file("$dir/good.msh"), $policy,
   'it does not write where a link leads');

# --- options

for my $case (['install', '--nothing'], ['install', '--policy'],
              ['install', '--policy='], ['install', 'x.msh'],
              ['install', '--data=/x'], ['uninstall', '--policy=x'],
              ['uninstall', '--root=x'], ['status', '--root'],
              ['status', 'x'])
{
    ($rc, $said) = agent(@$case);
    is($rc, 2, "refused: @$case");
    like($said, qr/^mesh-agent: .*(?:does not take|is not a path)/,
         'with what it takes');
}

# --- status

my $data = "$dir/data";
mkdir $data;
is((agent('status', "--root=$dir/nowhere"))[0], 3, 'no agent is status 3');
($rc, $said) = agent('status', "--root=$root");
is($rc, 1, 'one that has not run yet is not online');
like($said, qr/does not run/, 'and it says so');

state(connected => 1);
($rc, $said) = agent('status', "--data=$data");
is($rc, 0, 'online is status 0');
like($said, qr/^online +yes, since 20\d\d-/m, 'it tells since when');
like($said, qr/^server +wss:\/\/mesh\.example\/agent\.ashx$/m, 'and where');
like($said, qr/^node +abc\@\$def$/m, 'and as whom');

state(connected => 0);
is((agent('status', "--data=$data"))[0], 1, 'not connected is status 1');

state(connected => 1, pid => $$);
is((agent('status', "--data=$data"))[0], 0, 'its process is looked at');

my $gone = fork // die "fork: $!\n";
POSIX::_exit(0) if $gone == 0;
waitpid $gone, 0;
state(connected => 1, pid => $gone);
($rc, $said) = agent('status', "--data=$data");
is($rc, 1, 'one that was killed is not online');
like($said, qr/^running +no$/m, 'nor running');

state(connected => 1, pid => $$);
utime 1, 1, "$data/state";
is((agent('status', "--data=$data"))[0], 1,
   'nor one from before the machine was started');

for my $bad ('', "\0" x 5000, '=' x 5000, "node\nconnected\n",
             'node=' . 'x' x 4000, "pid=-1\nconnected=x\n",
             "since=99999999999999999999\nconnected=2\n")
{
    Mesh::Test::write_file("$data/state", $bad);
    is((agent('status', "--data=$data"))[0], 1,
       'a state that is none is not online');
}

SKIP: {
    skip 'needs root', 4 if $<;
    chmod 0711, $dir;
    chmod 0700, $data;
    state(connected => 1);

    my @user = ('setpriv', '--reuid', 'nobody', '--regid', 'nogroup',
                '--clear-groups');
    my $copy = "$dir/copy";
    system('cp', $agent, $copy);
    chmod 0755, $copy;
    ($rc, $said) = run(@user, $copy, 'status', "--data=$data");
    is($rc, 1, 'who may not read it');
    like($said, qr/only root .*sudo/, 'is told so');
    like((run(@user, $copy, 'install'))[1], qr/only root .*sudo/,
         'nobody else installs');
    like((run(@user, $copy, 'uninstall'))[1], qr/only root .*sudo/,
         'nor removes');
}

# --- uninstall

my $left = "$root/var/lib/mesh-agent";
system('mkdir', '-p', "$left/sub", "$dir/kept");
Mesh::Test::write_file("$left/agent.db", 'x');
Mesh::Test::write_file("$left/sub/file", 'x');
Mesh::Test::write_file("$dir/kept/file", 'x');
symlink "$dir/kept", "$left/link";

($rc, $said) = agent('uninstall', "--root=$root");
is($rc, 0, 'it is removed') or diag($said);
is(`find $root -name '*mesh-agent*'`, '', 'and nothing of it is left');
ok(-e "$dir/kept/file", 'where a link led is left alone');
($rc, $said) = agent('uninstall', "--root=$root");
is($rc, 0, 'once more is no error');
like($said, qr/no agent installed/, 'and says that there was none');

# --- as root, on a machine with systemd

SKIP: {
    my $script = "$dir/machine.sh";
    Mesh::Test::write_file($script, machine());
    skip 'needs root and overlay mounts', 14
        if $< || system('unshare', '-m', 'sh', $script, 'try');

    my $out = `unshare -m sh $script install '$agent' $dir/good.msh 2>&1`;
    my %part = map { /^(\w+)\n(.*)\z/s ? ($1 => $2) : () } split /^== /m, $out;
    diag($out) if !$part{end};

    like($part{install} // '', qr/^The agent is installed/, 'it is installed');
    like($part{install} // '', qr{wss://mesh\.example:443/}, 'tells its server');
    like($part{install} // '', qr/^It is online\.$/m, 'and that it is online');
    like($part{install} // '', qr{^To remove it: sudo /usr/lib/mesh-agent/mesh-agent uninstall$}m,
         'and how to remove it');
    like($part{calls} // '', qr/^daemon-reload\nenable mesh-agent\.service\nrestart mesh-agent\.service\n/,
         'systemd is told');
    like($part{status} // '', qr/^online +yes.*^0$/ms, 'its status is that');
    like($part{remove} // '', qr/^0$/m, 'it is removed');
    like($part{uncalls} // '', qr/^disable --now mesh-agent\.service\ndaemon-reload\n/,
         'systemd is told that, too');
    is($part{running} // '', "none\n", 'what ran of it was ended');
    is($part{left} // '', "\n", 'and nothing of it is left');
    like($part{broken} // '', qr/systemd did not start.*systemctl status mesh-agent.*^1$/ms,
         'what systemd cannot start is said');
    like($part{bare} // '', qr/no systemd.*mesh-agent run --data=\/var\/lib\/mesh-agent.*^0$/ms,
         'without systemd it says how to start it by hand');
    unlike($part{install} // '', qr/WebRTC/, 'nothing is missing for WebRTC');
    like($part{bare} // '', qr/as WebRTC cannot be loaded: .*libnice\.so\.10/,
         'and what is missing, where it is');
}

done_testing();


sub agent { return run($agent, @_) }

# exit status, and all that it said
sub run {
    my (@command) = @_;
    my $pid = open my $out, '-|';

    defined $pid or die "fork: $!\n";

    if ($pid == 0) {
        open STDIN, '<', '/dev/null';
        open STDERR, '>&', \*STDOUT;
        exec @command or POSIX::_exit(127);
    }

    local $/;
    my $text = <$out> // '';
    close $out;

    return ($? & 127 ? "signal $?" : $? >> 8, $text);
}

sub state {
    my (%more) = @_;
    my %line = (node => 'abc@$def', server => 'wss://mesh.example/agent.ashx',
                since => int time, %more);
    Mesh::Test::write_file("$data/state",
                           join '', map { "$_=$line{$_}\n" } sort keys %line);
}

sub mode { return sprintf '%o', (stat $_[0])[2] & 07777 }

# in a mount namespace: its own /usr/lib, /etc/systemd, /run and /var/lib
sub machine {
    return <<'END';
set -eu
mount -t tmpfs tmpfs /mnt
mkdir /mnt/u /mnt/w /mnt/bin
mount -t overlay overlay -o lowerdir=/usr/lib,upperdir=/mnt/u,workdir=/mnt/w /usr/lib
mount -t tmpfs tmpfs /etc/systemd
[ "$1" != try ] || exit 0
cp "$2" /mnt/agent
cp "$3" /mnt/agent.msh
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/lib
mkdir -p /run/systemd/system

cat > /mnt/bin/systemctl <<'SH'
#!/bin/sh
[ "$1" = --version ] || echo "$*" >> /mnt/calls
case $1 in
restart)
    [ ! -e /mnt/broken ] || exit 1
    mkdir -p /var/lib/mesh-agent
    printf 'node=x\nserver=wss://x\nconnected=1\nsince=1\n' > /var/lib/mesh-agent/state
    ;;
esac
SH
chmod 755 /mnt/bin/systemctl
export PATH=/mnt/bin:$PATH

echo "== install"
/mnt/agent install || echo $?
echo "== calls"
cat /mnt/calls
: > /mnt/calls
echo "== status"
/usr/lib/mesh-agent/mesh-agent status
echo $?

# one that somebody started by hand; it is no agent, and has its name
mv /usr/lib/mesh-agent/mesh-agent /usr/lib/mesh-agent/kept
cp /usr/bin/perl /usr/lib/mesh-agent/mesh-agent
mkdir /mnt/cwd
cd /mnt/cwd
echo 'sleep 60' > run
/usr/lib/mesh-agent/mesh-agent run > /dev/null 2>&1 &
old=$!
sleep 0.3
mv /usr/lib/mesh-agent/kept /usr/lib/mesh-agent/mesh-agent
cd /

echo "== remove"
/usr/lib/mesh-agent/mesh-agent uninstall
echo $?
echo "== uncalls"
cat /mnt/calls
echo "== running"
sleep 0.1
if kill -0 $old 2>/dev/null && [ "$(cut -d' ' -f3 /proc/$old/stat)" != Z ]; then
    kill -9 $old; echo one; else echo none; fi
echo "== left"
echo $(find /usr/lib/mesh-agent /var/lib/mesh-agent /etc/systemd -type f 2>/dev/null)

echo "== broken"
touch /mnt/broken
/mnt/agent install && echo 0 || echo $?
/mnt/agent uninstall > /dev/null

echo "== bare"
rmdir /run/systemd/system
nice=$(ldconfig -p | sed -n 's/.*libnice\.so\.10 .*=> //p')
[ -z "$nice" ] || mount --bind /dev/null "$nice"
/mnt/agent install && echo 0 || echo $?
/mnt/agent uninstall > /dev/null
echo "== end"
echo yes
END
}
