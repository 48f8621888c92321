#!/usr/bin/perl

# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# Runs the pushed cores under Duktape against a simulated agent: the
# scripts are built, put into one file with host.js and cores.js, and given
# to the duk command, whose TAP goes through.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);

my $here = dirname(abs_path($0));
my $dir = tempdir('mesh-core-XXXXXX', TMPDIR => 1, CLEANUP => 1);

system('node', "$here/../../agent/js/build.js", $dir) == 0
    or bail('agent/js/build.js failed');

my $all = '';
for my $name ('core', 'recovery') {
    my $text = slurp("$dir/$name.js");
    $text =~ s/([\\"])/\\$1/g;
    $text =~ s/\n/\\n/g;
    $all .= 'var ' . uc($name) . " = \"$text\";\n";
}

$all .= slurp("$here/host.js") . slurp("$here/cores.js");

open my $out, '>', "$dir/all.js" or bail("$dir/all.js: $!");
print $out $all;
close $out or bail("$dir/all.js: $!");

my $rc = system('duk', "$dir/all.js");
if ($rc == -1) {
    bail("duk: $!");
}
exit($rc == 0 ? 0 : 1);


sub slurp {
    my ($file) = @_;

    open my $in, '<', $file or bail("$file: $!");
    local $/;
    return scalar <$in>;
}


sub bail {
    my ($why) = @_;

    print "Bail out! $why\n";
    exit 255;
}
