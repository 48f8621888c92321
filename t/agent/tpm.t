#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# With tpm=1 in its policy the key of mesh-agent is made by the TPM, here one
# in software, and is of no use without it.  S-08 from the agent's side.

use strict;
use warnings;

use File::Temp qw(tempdir);
use Test::More;

use Mesh::Test;
use Mesh::Server;

plan skip_all => 'no swtpm' if !-x '/usr/bin/swtpm';
plan skip_all => 'no provider tpm2 for OpenSSL'
    if !glob '/usr/lib/*/ossl-modules/tpm2.so';

my $dir = tempdir('/var/tmp/mesh-tpm.XXXXXX', CLEANUP => 1);
my %tpm;
tpm($_) for qw(one two);

# --- a key of the TPM

my $server = Mesh::Server->new;
$ENV{TPM2OPENSSL_TCTI} = "swtpm:path=$dir/one/s";
$server->start(tpm => 1);
my $s = $server->accept(60);
ok($s && $s->admit, 'an agent proves a key that its TPM has made')
    or diag($server->said);
my $node = unpack 'H*', $s->{node};
is($server->stop, 0, 'and ends');

my $kept = kept();
like($kept, qr/BEGIN TSS2 PRIVATE KEY/, 'what is kept is what the TPM gave');
unlike($kept, qr/agent:key(?!-tpm)|BEGIN (?:RSA )?PRIVATE KEY/,
       'S-08: no other form of the key is on the disk');

$server->start(tpm => 1);
$s = $server->accept(60);
ok($s && $s->admit, 'it comes back');
is(unpack('H*', $s->{node}), $node, 'as the same device');

# as by hibernation
kill 'TERM', $tpm{one};
for (1 .. 200) {
    last if !kill 0, $tpm{one};
    select undef, undef, undef, 0.05;
}
tpm('one');
$s->close;
$s = $server->accept(60);
ok($s && $s->admit, 'a TPM that has forgotten the key gets it again')
    or diag($server->said);
$server->stop;

$server->start;
$s = $server->accept(60);
ok($s && $s->admit, 'also when the policy does not say so any more');
is(unpack('H*', $s->{node}), $node, 'and is that device still');
$server->stop;

# --- elsewhere

$ENV{TPM2OPENSSL_TCTI} = "swtpm:path=$dir/two/s";
$server->start(tpm => 1);
ok($server->says(qr/cannot be used with this TPM/),
   'S-08: a stolen folder is of no use on another machine')
    or diag($server->said);
isnt(ended(), 0, 'the agent ends with an error');
is(kept(), $kept, 'and makes no new key');

$ENV{TPM2OPENSSL_TCTI} = "swtpm:path=$dir/three/s";
my $none = Mesh::Server->new;
$none->start(tpm => 1);
ok($none->says(qr/the TPM of this machine cannot be used.*tpm2-openssl/),
   'without a TPM it says what is missing');
isnt(ended($none), 0, 'and ends: it makes no key of another kind');
unlike(kept($none), qr/agent:key/, 'nor keeps one');

# --- a key from before

$none->start;
$s = $none->accept(60);
ok($s && $s->admit, 'an agent has a key of its own');
$node = unpack 'H*', $s->{node};
$none->stop;
$none->start(tpm => 1);
$s = $none->accept(60);
ok($s && $s->admit, 'when the policy wants a TPM it goes on');
is(unpack('H*', $s->{node}), $node, 'as the same device');
ok($none->says(qr/is not in the TPM: it was made before/), 'and warns');
$none->stop;

END {
    kill 'TERM', $_ for values %tpm;
}
done_testing;


sub tpm {
    my ($name) = @_;
    mkdir "$dir/$name";
    system('swtpm', 'socket', '--tpm2', '--tpmstate', "dir=$dir/$name",
           '--server', "type=unixio,path=$dir/$name/s", '--ctrl',
           "type=unixio,path=$dir/$name/s.ctrl", '--flags',
           'not-need-init,startup-clear', '--daemon', '--pid',
           "file=$dir/$name/pid") == 0 or die "swtpm\n";
    $tpm{$name} = 0 + Mesh::Test::read_file("$dir/$name/pid");
}

sub kept {
    my $data = ($_[0] // $server)->{dir} . '/data';
    return join '', map { Mesh::Test::read_file($_) }
                    sort grep { -f && !m{/(?:state|lock)$} } glob "$data/*";
}

# its exit status
sub ended {
    my $of = $_[0] // $server;
    waitpid delete $of->{pid}, 0;
    return $?;
}
