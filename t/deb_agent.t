#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# The Debian package of our agent: what is in it, and its life on a machine,
# which is an overlay of this one that no change leaves, with a systemctl that
# only writes down what it is told.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use File::Temp qw(tempdir);
use Test::More;
use Mesh::Test;

my $build = $ENV{MESH_BUILD} || "$Mesh::Test::ROOT/build";
chomp(my $arch = `dpkg --print-architecture`);
my @debs = sort { -M $a <=> -M $b } glob "$build/mesh-agent_*_$arch.deb";

plan skip_all => 'no package yet: make deb-agent' if !@debs;
plan skip_all => 'the package has no sanitizers' if $ENV{MESH_ASAN};

my $deb = $debs[0];
my $dir = tempdir('mesh-deb-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my ($name) = $deb =~ m{([^/]+)\z};
my $hex = 'AB' x 48;

# --- what is in it

my $version = `dpkg-deb -f $deb Version`;
chomp $version;
is($name, "mesh-agent_${version}_$arch.deb", 'its name tells its version');

my $depends = `dpkg-deb -f $deb Depends`;
is_deeply([sort map { s/\s*\(.*//sr } split /,\s*/, $depends],
          ['libc6', 'libssl3'], 'it needs OpenSSL and the C library alone');

my @list = map { [(split ' ', $_, 6)[0, 1, 5]] } `dpkg-deb -c $deb`;
is((grep { $_->[1] ne 'root/root' } @list), 0, 'all of it belongs to root');
is((grep { $_->[0] =~ /^.....w|^........w/ && $_->[0] !~ /^l/ } @list), 0,
   'and nobody else may write any of it');

system('dpkg-deb', '-x', $deb, "$dir/x");
is(`find $dir/x -name '*.msh*'`, '', 'there is no policy in it');
is(readlink "$dir/x/usr/sbin/mesh-agent", '../lib/mesh-agent/mesh-agent',
   'the program is in the path of root');
is(`$dir/x/usr/lib/mesh-agent/mesh-agent version`, "mesh-agent $version\n",
   'and says the version of the package');

my $unit = Mesh::Test::read_file("$dir/x/lib/systemd/system/mesh-agent.service");
like($unit, qr{^ExecStart=/usr/lib/mesh-agent/mesh-agent run --data=/var/lib/mesh-agent --selfUpdate=0$}m,
     'the unit starts it, and the server does not replace what is apt\'s');
like($unit, qr/^\[Unit\]/, 'and does not say that another command made it');

SKIP: {
    skip 'no lintian', 1 if !-x '/usr/bin/lintian';

    my $words = `cd $dir && lintian --allow-root --fail-on error $deb 2>&1`;
    is($?, 0, 'lintian finds no error') or diag($words);
}

# --- its life

SKIP: {
    my $script = "$dir/machine.sh";
    Mesh::Test::write_file($script, machine());
    Mesh::Test::write_file("$dir/good.msh", "MeshID=0x$hex\nServerID=$hex\n"
                           . "MeshServer=wss://mesh.example/agent.ashx\n");
    skip 'needs root and overlay mounts', 27
        if $< || system("unshare -m sh $script try > /dev/null 2>&1");

    my $out = `unshare -m sh $script run $deb $dir/good.msh 2>&1`;
    my %part = map { /^(\w+)\n(.*)\z/s ? ($1 => $2) : () } split /^== /m, $out;
    diag($out) if !$part{end};

    like($part{bare}, qr/^rc 0$/m, 'it installs without a policy');
    like($part{bare}, qr/no policy.*\n.*mesh-agent install --policy=FILE/,
         'and says what is missing');
    unlike($part{bare}, qr/^call .*(?:enable|preset|start)/m, 'and starts nothing');
    unlike($part{bare}, qr/^link/m, 'nor will the next start of the machine');
    like($part{version}, qr/^mesh-agent \Q$version\E$/m, 'its program runs');

    like($part{policy}, qr/policy is installed.*package mesh-agent/s,
         'a policy is all that install adds to a package');
    like($part{policy}, qr/^call enable mesh-agent\.service\ncall restart /m,
         'and it starts the service');
    like($part{policy}, qr/^It is online\.$/m, 'which goes online');
    like($part{policy}, qr/^none$/m, 'by the unit of the package');
    like($part{policy}, qr/^same$/m, 'and with the program of the package');
    like($part{other}, qr/^rc 0.*^same$/ms,
         'another copy of the agent does not take its place');
    like($part{uninstall}, qr/apt purge mesh-agent.*^rc 1$/ms,
         'uninstall leaves it to apt');
    like($part{uninstall}, qr/^same$/m, 'and removes nothing');

    like($part{upgrade}, qr/^call restart mesh-agent\.service$/m,
         'an upgrade restarts it');
    unlike($part{disabled}, qr/^link|^call (?:enable|preset|restart)/m,
           'one that an administrator has disabled stays so');

    like($part{remove}, qr/^call stop mesh-agent\.service$/m,
         'to remove it ends it');
    like($part{remove}, qr{^/usr/lib/mesh-agent/mesh-agent\.msh\n/var/lib/mesh-agent/identity$}m,
         'and keeps policy and identity');
    unlike($part{remove}, qr{/usr/lib/mesh-agent/mesh-agent$}m,
           'but not the program');
    like($part{again}, qr/^call restart mesh-agent\.service$/m,
         'installed again it runs at once');
    like($part{again}, qr/^identity$/m, 'as the same device');
    like($part{purge}, qr/^rc 0\n.*^left$/ms, 'purge leaves nothing');

    like($part{fresh}, qr/^rc 0$/m, 'it installs where a policy is there');
    like($part{fresh}, qr/^link$/m, 'is enabled then');
    like($part{fresh}, qr/^call restart mesh-agent\.service$/m, 'and started');
    like($part{own}, qr/^rc 0.*^none$/ms,
         'it takes the unit of one that was installed without it away');
    like($part{own}, qr/^link$/m, 'which was enabled and is so still');
    like($part{since}, qr{^rc 0.*^/var/lib/mesh-agent/identity$}ms,
         'purge leaves one alone that was installed without it since');
}

done_testing();


sub machine {
    return <<'END';
set -eu
mount -t tmpfs tmpfs /mnt
mkdir /mnt/u /mnt/w /mnt/r
mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/u,workdir=/mnt/w /mnt/r
[ "$1" != try ] || exit 0
cp "$2" /mnt/r/agent.deb
cp "$3" /mnt/r/good.msh
mount --rbind /dev /mnt/r/dev
mount -t proc proc /mnt/r/proc
mount -t tmpfs tmpfs /mnt/r/run
mkdir -p /mnt/r/run/systemd/system
rm -f /mnt/r/usr/sbin/policy-rc.d
rm -rf /mnt/r/usr/lib/mesh-agent /mnt/r/var/lib/mesh-agent

cat > /mnt/r/usr/bin/systemctl.new <<'SH'
#!/bin/sh
link=/etc/systemd/system/multi-user.target.wants/mesh-agent.service
for word; do
    shift
    case $word in --version) ;; --*) continue ;; esac
    set -- "$@" "$word"
done
case $1 in
is-enabled)
    [ -L $link ] || { echo disabled; exit 1; }
    echo enabled
    ;;
is-active|--version) exit 0 ;;
*)
    echo "$*" >> /calls
    ;;
esac
case $1 in
enable|preset)
    mkdir -p ${link%/*}
    ln -sf /lib/systemd/system/mesh-agent.service $link
    ;;
disable) rm -f $link ;;
start|restart)
    mkdir -p -m 700 /var/lib/mesh-agent
    [ -e /var/lib/mesh-agent/identity ] || echo > /var/lib/mesh-agent/identity
    printf 'node=x\nserver=wss://x\nconnected=1\nsince=1\n' > /var/lib/mesh-agent/state
    ;;
esac
SH
chmod 755 /mnt/r/usr/bin/systemctl.new
mv /mnt/r/usr/bin/systemctl.new /mnt/r/usr/bin/systemctl

cat > /mnt/r/life.sh <<'SH'
agent=/usr/lib/mesh-agent/mesh-agent
own=/etc/systemd/system/mesh-agent.service
export DEBIAN_FRONTEND=noninteractive

# tell COMMAND...: what it says and does, and to what end
tell() {
    : > /calls
    rc=0
    "$@" || rc=$?
    echo "rc $rc"
    sed 's/^/call /' /calls
    [ ! -L /etc/systemd/system/multi-user.target.wants/mesh-agent.service ] ||
        echo link
}

same() {
    if dpkg -V mesh-agent; then echo same; else echo changed; fi
    if [ -e $own ]; then echo own; else echo none; fi
}

left() {
    find /etc /usr /var/lib /var/cache -xdev -name '*mesh-agent*' | sort
}

left > /list
echo "== bare";      tell dpkg -i /agent.deb
echo "== version";   mesh-agent version
echo "== policy";    tell mesh-agent install --policy=/good.msh; same
cp $agent /other; echo >> /other
echo "== other";     tell /other install --policy=/good.msh; same
echo "== uninstall"; tell mesh-agent uninstall; same
echo "== upgrade";   tell dpkg -i /agent.deb
systemctl disable mesh-agent.service
sed -i 's/is-active|//; s/^\*)$/is-active) exit 3 ;;\n*)/' /usr/bin/systemctl
echo "== disabled";  tell dpkg -i /agent.deb
systemctl enable mesh-agent.service
echo "== remove";    tell dpkg -r mesh-agent
find /usr/lib/mesh-agent /var/lib/mesh-agent -type f ! -name state | sort
echo "== again";     tell dpkg -i /agent.deb; (cd /var/lib/mesh-agent; ls identity)
echo "== purge";     tell dpkg -P mesh-agent
echo "left" $(left | comm -13 /list -)
mkdir -p /usr/lib/mesh-agent; cp /good.msh $agent.msh
echo "== fresh";     tell dpkg -i /agent.deb
dpkg -P mesh-agent > /dev/null
tell /other install --policy=/good.msh > /dev/null
echo "== own";       tell dpkg -i /agent.deb; same
dpkg -r mesh-agent > /dev/null
/other install > /dev/null
echo "== since";     tell dpkg -P mesh-agent
ls $agent /var/lib/mesh-agent/identity
echo "== end"
echo yes
SH
chroot /mnt/r sh /life.sh
END
}
