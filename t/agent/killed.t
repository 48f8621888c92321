#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# mesh-agent is killed at each step of what it does to its files, while it
# takes a new program and while it makes its key: it comes back as the same
# device, as one program that is whole, and with nothing beside it.  S-17 from
# the agent's side.

use strict;
use warnings;

use Digest::SHA qw(sha384);
use File::Copy qw(copy);
use IO::Select;
use POSIX qw(WNOHANG);
use Test::More;

use Mesh::Test;
use Mesh::Server;

plan skip_all => 'needs strace, and the right to use it'
    if system('strace -o /dev/null true 2>/dev/null');

$SIG{PIPE} = 'IGNORE';

my @calls = qw(openat pwrite64 write fsync fdatasync ftruncate link linkat
               rename renameat unlink unlinkat chmod fchmod fchmodat execve);
my $server = Mesh::Server->new;
my $dir = $server->{dir};
my $db = "$dir/data/agent.db";
my $exe = $server->own_program;
my $first = Mesh::Test::read_file($exe);
my $second = "${first}2";       # an ELF file does not mind
my @scripts = map { "1;//$_" . 'x' x 200_000 } 1 .. 5;

# the agent, whose nth call of that name on one of the files kills it; without
# a name all of them are written down
sub start {
    my ($files, $call, $n) = @_;
    my $how = $call ? "-o /dev/null -e inject=$call:signal=KILL:when=$n"
                    : "-o $dir/calls";
    Mesh::Test::write_file("$dir/traced", "#!/bin/sh\nexec strace -D -q "
        . join(' ', map { "-P $_" } @$files) . ' -e trace='
        . join(',', @calls) . " $how $exe \"\$@\"\n");
    chmod 0755, "$dir/traced";
    local $server->{program} = "$dir/traced";
    $server->start(selfUpdate => 1);
}

# [call, n]... that it has made; of many only those at both ends
sub steps {
    my (%n, @list);
    $server->stop('KILL');
    for (1 .. 600) {
        last if Mesh::Test::read_file("$dir/calls") =~ /^\+\+\+ /m;
        select undef, undef, undef, 0.1;
    }
    for my $line (split /\n/, Mesh::Test::read_file("$dir/calls")) {
        my ($call) = $line =~ /^(\w+)\(/ or next;
        $n{$call}++;
        next if $call eq 'execve' && $n{execve} == 1;
        last if $call eq 'execve';      # what follows has other numbers
        push @list, [$call, $n{$call}];
    }
    return grep { $_->[1] <= 2 || $_->[1] >= $n{ $_->[0] } - 1 } @list;
}

# a connection; undef: the agent has ended
sub connection {
    for (1 .. 600) {
        return $server->accept
            if IO::Select->new($server->{socket})->can_read(0.1);
        return undef if waitpid($server->{pid}, WNOHANG) == $server->{pid}
                        && delete $server->{pid};
    }
    return undef;
}

# as it is without strace: let in
sub comes_back {
    $server->start(selfUpdate => 1);
    for (1 .. 3) {      # connections of one that was killed may wait before it
        my $s = connection() or last;
        return $s if $s->admit;
    }
    return undef;
}

# puts all as it was before
sub fresh {
    my ($made, $trial) = @_;
    unlink glob "$exe*";
    unlink glob "$dir/data/*";
    $server->own_program;
    copy($made, $db) or die "$db: $!\n" if $made;
    if ($trial) {
        rename $exe, "$exe.old" or die "$exe.old: $!\n";
        Mesh::Test::write_file($exe, $second);
        chmod 0755, $exe;
        Mesh::Test::write_file("$exe.trial", '0');
    }
}

# what goes on, with each step of it cut off
sub each_step {
    my ($what, $made, $files, $run, $check, $trial) = @_;

    fresh($made, $trial);
    start($files);
    ok($run->(), $what);
    my @steps = steps();
    cmp_ok(@steps, '>', 4, 'takes ' . @steps . ' steps');

    for my $step (@steps) {
        fresh($made, $trial);
        start($files, @$step);
        $run->();
        ok($server->ended, "killed at $step->[0] $step->[1]");
        my $s = comes_back();
        ok($s, 'it comes back') or diag $server->said;
        $check->($s) if $s;
        $server->stop('KILL');
    }
}

my $node;
my $same = sub {
    my ($s) = @_;
    is(unpack('H*', $s->{node}), unpack('H*', $node), 'as the same device');
};

# --- while it makes its key

each_step('making a key', undef, [$db], sub {
    my $s = connection() or return 0;
    $s->admit;
    return $node = $s->{node};
}, sub {
    my ($s) = @_;
    is_deeply([glob "$dir/data/agent.db?*"], [], 'with one file');
});

# the last one is as good as any
ok(my $s = comes_back(), 'it has a key');
$node = $s->{node};
$server->stop('KILL');
my $made = "$dir/made";
copy($db, $made) or die "$made: $!\n";

# --- while it writes scripts, and its file anew where that has grown

each_step('keeping scripts', $made, [$db, "$db.new"], sub {
    my $s = connection() or return 0;
    $s->admit or return 0;
    $s->core($_) // return 0 for @scripts;
    return 1;
}, sub {
    my ($s) = @_;
    $same->($s);
    is($s->core($scripts[0]), sha384("\0\0\0\0$scripts[0]"),
       'and takes a script');
    is_deeply([glob "$dir/data/agent.db?*"], [], 'with one file');
});

# --- while it takes a new program

my @programs = ($exe, map { "$exe.$_" } qw(update old trial));
my $whole = sub {
    my ($s) = @_;
    $same->($s);
    is_deeply([$s->until_pong], [], 'it stays');
    my $is = Mesh::Test::read_file($exe);
    ok($is eq $first || $is eq $second, 'as a program that is whole');
    is_deeply([glob "$exe.*"], [], 'and nothing beside it');
};

each_step('taking a program', $made, \@programs, sub {
    my $s = connection() or return 0;
    $s->admit or return 0;
    $s->send_program($second);
    $s = connection() or return 0;
    return $s->admit;
}, $whole);

each_step('proving a new one', $made, \@programs, sub {
    my $s = connection() or return 0;
    return $s->admit && !$s->until_pong;
}, $whole, 1);

done_testing;
