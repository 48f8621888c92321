#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# commands.pl MODULE_MAKEFILE FILE...: prints compile commands of our C files,
# as clang-tidy and cppcheck read them.  Those of the modules are told by the
# Makefile that nginx's configure has made.

use strict;
use warnings;

use Cwd qw(getcwd);

my ($makefile, @files) = @ARGV;
my $root = getcwd();
my $src = '/usr/share/nginx/src';

my ($cflags, $incs);

if (grep { /^ngx_/ } @files) {
    open my $in, '<', $makefile or die "$makefile: $!\n";
    my $text = do { local $/; <$in> } =~ s/\\\n\s*/ /gr;

    ($cflags) = $text =~ /^CFLAGS\s*=\s*(.*)$/m;
    ($incs) = $text =~ /^ALL_INCS\s*=\s*(.*)$/m;

    die "$makefile: no CFLAGS or ALL_INCS\n" if !$cflags || !$incs;
}

my $own = '-std=gnu99 -D_GNU_SOURCE -Wall -Wextra -Iconf/sql '
          . '-Ibuild/duktape/src -I/usr/include/postgresql '
          . `pkg-config --cflags nice 2>/dev/null` =~ s/\s+$//r;
my @rows;

for my $file (@files) {
    my ($dir, $flags) = $file =~ m{^ngx_} ? ($src, "$cflags $incs")
                                          : ($root, $own);

    # a clang does not know all of gcc's
    $flags =~ s/-f(?:file|macro)-prefix-map=\S+|-fcf-protection|-Werror\b//g;
    $flags =~ s/["\\]/\\$&/g;
    push @rows, sprintf '{"directory": "%s", "file": "%s/%s", '
                        . '"command": "cc %s -c %s/%s"}',
                        $dir, $root, $file, $flags, $root, $file;
}

print "[\n", join(",\n", @rows), "\n]\n";
