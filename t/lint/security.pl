#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# SECURITY.md says which of its numbers hold and where that is shown.  The
# numbers stand in the tests; this compares the two.
#
#   security.pl            fails when the table is not what the tests say
#   security.pl --write    puts what the tests say into the table

use strict;
use warnings;

my $page = 'SECURITY.md';
my %where;

for my $file (split /\n/, `find t html/test -type f -not -path '*/node_modules/*' 2>/dev/null`) {
    next if $file !~ /\.(?:t|c|js|mjs|ts|pl|pm)$/ || $file =~ m{^t/lint/};

    open my $in, '<', $file or die "$file: $!\n";
    my $text = do { local $/; <$in> };

    while ($text =~ /\bS-(\d\d)(?:\s+to\s+S-(\d\d))?/g) {
        $where{$_}{$file} = 1 for $1 .. $2 // $1;
    }
}

open my $in, '<', $page or die "$page: $!\n";
my $old = do { local $/; <$in> };
my $new = $old;

$new =~ s{^\| S-(\d\d) \| ([^|]*?) \|[^|\n]*\|$}
         {"| S-$1 | $2 | " . (join(' ', map { "`$_`" } sort keys %{ $where{$1} })
          || 'not shown yet') . ' |'}gme;

my %listed = map { $_ => 1 } $new =~ /^\| S-(\d\d) \|/mg;
my @unknown = grep { !$listed{$_} } sort keys %where;

die "$page has no line for S-$unknown[0], which "
    . join(', ', sort keys %{ $where{$unknown[0]} }) . " shows\n" if @unknown;

exit 0 if $new eq $old;

if (@ARGV && $ARGV[0] eq '--write') {
    open my $out, '>', $page or die "$page: $!\n";
    print $out $new;
    close $out or die "$page: $!\n";
    exit 0;
}

die "$page is not what the tests say: perl t/lint/security.pl --write\n";
