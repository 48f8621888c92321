#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# A folder of a million entries, which no message could carry: the viewer reads
# that in words, and the agent does not grow.  S-18 from the agent's side.

use strict;
use warnings;

use Digest::SHA qw(sha384);
use File::Temp qw(tempdir);
use Test::More;

use Mesh::Test;
use Mesh::Server;

my $COUNT = 1_000_000;
my $GROWTH = $ENV{MESH_ASAN} ? 200_000 : 40_000;        # KB

# links are quick to make, and in memory
my $dir = tempdir((-d '/dev/shm' ? '/dev/shm' : '/var/tmp')
                  . '/mesh-listing.XXXXXX', CLEANUP => 1);
Mesh::Test::write_file("$dir/0", '');
for my $n (1 .. $COUNT - 1) {
    link "$dir/0", "$dir/$n"
        or plan(skip_all => "no room for so many: $!, at $n");
}

my $core = Mesh::Test::read_file("$Mesh::Test::ROOT/build/core.js");
my $server = Mesh::Server->new;
my $pid = $server->start;
my $s = $server->accept;
ok($s->admit, 'the agent is in');

# KB; peak: the most since it was asked last
sub memory {
    my ($peak) = @_;
    my $kb = Mesh::Test::read_file("/proc/$pid/status")
             =~ ($peak ? qr/^VmHWM:\s+(\d+)/m : qr/^VmRSS:\s+(\d+)/m) && $1;
    Mesh::Test::write_file("/proc/$pid/clear_refs", '5');
    return $kb;
}

# what the viewer of a folder is told, and the list that it gets
sub listing {
    my ($path) = @_;
    $s->json({ action => 'msg', type => 'tunnel', usage => 5,
               value => '*/meshrelay.ashx?p=5&id=a&rauth=b',
               rights => 4294967295, consent => 0, userid => 'user//a',
               username => 'a', remoteaddr => '127.0.0.1',
               servertlshash => unpack('H*', $s->{web}), soptions => {} });
    my $t = $server->accept or return ('no tunnel');
    $t->send('c', 1);
    $t->send('5', 1);
    $t->send(qq({"action":"ls","path":"$path","reqid":1}), 2);

    my $told = '';
    while (my $m = $t->message) {
        last if exists $m->{close};
        my $json = $m->{json} or next;
        $told = $json->{msg} // '' if ($json->{type} // '') eq 'console';
        next if !exists $json->{dir};
        $t->close;
        return ($told, $json->{dir});
    }
    return ($told, 'no answer');
}

# where the folder's size tells nothing, as that of some file systems does not,
# its entries are counted
for my $bound ('by its size', 'by its entries') {
    my $script = $bound eq 'by its size' ? $core
                 : $core =~ s/\bMAX_FOLDER = \K\d+/1e12/r;
    is($s->core($script), sha384("\0\0\0\0$script"), "our core, $bound");
    listing('/none');
    my $before = memory();
    my ($told, $dir) = listing($dir);
    my $grown = memory(1) - $before;
    is($told, 'The folder has more entries than can be listed.',
       "S-18: the viewer reads that they are too many, $bound");
    is($dir, undef, "and gets none of a million, $bound");
    cmp_ok($grown, '<', $GROWTH, "S-18: which costs $grown KB, $bound");
    isnt(($s->until_pong)[-1] // '', 'gone', 'the agent stays');
}

is($server->stop, 0, 'it ends');

# quicker than File::Temp, which looks at each
unlink "$dir/$_" for 0 .. $COUNT - 1;

done_testing;
