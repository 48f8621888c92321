#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# A real sshd on a free port of the loopback address, of which the system knows
# nothing: it has keys of its own, and one account whose password is its own too.
#
#   perl t/lib/sshd.pl USER PASSWORD
#
# prints the port that it listens on and its folder.  What is in the folder holds
# from the next connection on: authorized_keys, hostkey_*, and lines, which stands
# before the rest of sshd_config.  It ends with its input.

use strict;
use warnings;

use File::Temp qw(tempdir);
use IO::Select;
use IO::Socket::IP;

@ARGV == 2 or die "usage: sshd.pl USER PASSWORD\n";

my ($user, $password) = @ARGV;
my ($uid, $gid) = ($<, (split / /, $()[0]);
my $dir = tempdir('mesh-sshd.XXXXXX', DIR => '/var/tmp', CLEANUP => 1);
my %children;

sub put {
    my ($name, @text) = @_;

    open my $fh, '>', "$dir/$name" or die "$dir/$name: $!";
    print $fh map { "$_\n" } @text;
    close $fh or die "$dir/$name: $!";
}

for my $type ('ed25519', 'ecdsa', 'rsa -b 2048') {
    my ($name) = split / /, $type;
    system('ssh-keygen', '-q', '-t', split(/ /, $type), '-N', '', '-f',
           "$dir/hostkey_$name") == 0 or die 'ssh-keygen failed';
}

# root's sshd wants it, and only the service of the system makes it
mkdir '/run/sshd', 0755 if !$uid && !-d '/run/sshd';

mkdir "$dir/pam";
my ($matrix) = glob '/usr/lib/*/pam_wrapper/pam_matrix.so';
put('pam/sshd', map { "$_ required $matrix passdb=$dir/passdb" }
    qw(auth account session password));
put('passdb', "$user:$password:sshd");
put('passwd', "$user:x:$uid:${gid}::$dir:/bin/sh",
    "sshd:x:65534:65534::/run/sshd:/usr/sbin/nologin");
put('group', "$user:x:${gid}:");
put('authorized_keys');
put('lines');
put('config', "Include $dir/lines", 'UsePAM yes', 'PasswordAuthentication yes',
    'KbdInteractiveAuthentication yes', 'PermitRootLogin yes', 'StrictModes no',
    "AuthorizedKeysFile $dir/authorized_keys", 'PidFile none', 'PrintMotd no',
    'PrintLastLog no', 'UseDNS no',
    map { "HostKey $dir/hostkey_$_" } qw(ed25519 ecdsa rsa));

my ($wrapper) = glob '/usr/lib/*/libpam_wrapper.so';
my ($names) = glob '/usr/lib/*/libnss_wrapper.so';

%ENV = (
    PATH => '/usr/local/bin:/usr/bin:/bin',
    LD_PRELOAD => "$wrapper:$names",
    PAM_WRAPPER => 1,
    PAM_WRAPPER_SERVICE_DIR => "$dir/pam",
    NSS_WRAPPER_PASSWD => "$dir/passwd",
    NSS_WRAPPER_GROUP => "$dir/group",
    TMPDIR => $dir,
);

my $listen = IO::Socket::IP->new(LocalHost => '127.0.0.1', LocalPort => 0,
    Listen => 16) or die "listen: $@";

$SIG{CHLD} = sub {
    while ((my $pid = waitpid -1, 1) > 0) {
        delete $children{$pid};
    }
};

$| = 1;
print $listen->sockport, " $dir\n";

my $select = IO::Select->new($listen, \*STDIN);

for (;;) {
    for my $ready ($select->can_read) {
        if ($ready == $listen) {
            my $socket = $listen->accept or next;

            my $pid = fork // die "fork: $!";
            if (!$pid) {
                open STDIN, '<&', $socket or die "stdin: $!";
                open STDOUT, '>&', $socket or die "stdout: $!";
                exec '/usr/sbin/sshd', '-i', '-e', '-f', "$dir/config";
                die "sshd: $!";
            }

            $children{$pid} = 1;

        } elsif (!sysread STDIN, my $buf, 1) {
            kill 'TERM', keys %children;
            exit 0;
        }
    }
}
