#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# Prints a C file with the scripts as arrays of bytes, each as the body of
# function (module, exports, require, native).  Lines keep their numbers.
#
#   embed.pl FILE... > scripts.c

use strict;
use warnings;

use File::Basename qw(basename);

my @table;

print "/* made by agent/js/host/embed.pl */\n\n"
    . "#include \"mesh_agent_js.h\"\n\n\n";

for my $file (sort @ARGV) {
    open my $in, '<:raw', $file or die "embed.pl: $file: $!\n";
    my $text = do { local $/; <$in> };
    close $in;

    die "embed.pl: $file: not ASCII\n" if $text =~ /[^\x00-\x7f]/;
    # the program needs no comments; \/* is of a regular expression
    $text =~ s{('(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")|(?<!\\)/\*.*?\*/}
              { $1 // $& =~ s/[^\n]//gr }gse;

    die "embed.pl: $file: let, const, =>, ` or class\n"
        if $text =~ /^\s*(?:let|const|class)\s+\w|=>|`/m;

    $text =~ s/[ \t]+$//mg;

    my $name = basename($file, '.js');
    my $id = "mesh_agent_js_script_" . @table;
    my $body = "function (module, exports, require, native) { 'use strict'; "
        . "$text\n}";

    print "/* $name.js */\nstatic const uint8_t  $id\[] = {";
    my $i = 0;
    for my $byte (unpack 'C*', $body) {
        print $i++ % 16 == 0 ? "\n    " : ' ';
        printf '%d,', $byte;
    }
    print "\n};\n\n";

    push @table, "    { \"$name\", $id, sizeof($id) }";
}

print "\nconst mesh_agent_js_script_t  mesh_agent_js_scripts[] = {\n"
    . join(",\n", @table, '    { NULL, NULL, 0 }') . "\n};\n";
