#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# get.pl PORT PATH: prints the first line and the size of a page of this
# machine's server, over TLS; 0 when it is a 200.  For scripts on a system
# that has no curl: it talks through openssl.

use strict;
use warnings;

my ($port, $path) = @ARGV;

open my $in, '-|', 'sh', '-c',
    'printf "GET $2 HTTP/1.1\r\nHost: localhost:$1\r\nConnection: close\r\n\r\n"'
    . ' | openssl s_client -quiet -connect "127.0.0.1:$1" 2>/dev/null',
    'sh', $port, $path
    or die "openssl: $!\n";

my $answer = join '', <$in>;
my ($line) = $answer =~ /^([^\r\n]*)/;

printf "%s: %s, %d bytes\n", $path, $line, length $answer;
exit($line =~ / 200 / ? 0 : 1);
