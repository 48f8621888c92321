#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# Checks who includes whom, and what each part never does: the tree's rooms
# and their doors stand in the table below.  Run from the root of the tree.

use strict;
use warnings;

use File::Basename qw(dirname basename);

# room => [folders it may include from, headers of others it may include,
#          words that must not occur and why]
my $std = qr/^(?:assert|errno|inttypes|limits|stdarg|stdbool|stddef|stdint
               |stdio|stdlib|string|strings)\.h$/x;
my $nginx = qr/^(?:ngx_|nginx)/;
my $crypto = qr{^openssl/};
my $sql = qr/^(?:sqlite3|libpq-fe|mesh_sql)\.h$/;
my $posix = qr{^(?:sys/|netinet/|arpa/|net/|linux/)?\w+\.h$};

my @rooms = (
    ['proto', ['proto'], [qr/^(?:stddef|stdint|string|limits)\.h$/],
     [qr/\b(?:malloc|calloc|realloc|free)\s*\(/, 'allocates'],
     [qr/(?<!->)(?<!\.)\b(?:read|write|open|send|recv|printf|fopen)\s*\(/,
      'does I\/O'],
     [qr/\b(?:time|gettimeofday|clock_gettime)\s*\(/, 'reads a clock'],
     [qr/\bngx_/, 'knows nginx']],

    # ngx_mesh.h, the one header for others, belongs to the core
    ['ngx_mesh_module/core', ['proto', 'conf/sql', 'ngx_mesh_module',
                              'ngx_mesh_module/core'],
     [$nginx, $std, $crypto, $posix, $sql, qr{^(?:json-c|json)/?}],
     [qr{\bngx_(?:http_)?mesh_(?:agent|control|web|relay)_handler\b},
      'knows an endpoint']],

    ['ngx_mesh_module/ws', ['proto', 'ngx_mesh_module',
                            'ngx_mesh_module/core', 'ngx_mesh_module/ws'],
     [$nginx, $std, $crypto, $posix],
     [qr{\bngx_(?:http_)?mesh_(?:agent|control|web|relay)_handler\b},
      'knows an endpoint']],

    (map { [$_, ['proto', 'ngx_mesh_module/core', 'ngx_mesh_module/ws',
                 'ngx_mesh_module', $_],
            [$nginx, $std, $crypto, $posix, qr{^(?:json-c|json)/?}],
            [qr/\b(?:sleep|usleep|nanosleep|poll|select)\s*\(/,
             'blocks the worker'],
            [qr/\bsqlite3_|\bPQ[a-z]/, 'talks to a database itself']] }
     'ngx_mesh_module/agent', 'ngx_mesh_module/control',
     'ngx_mesh_module/web', 'ngx_mesh_relay', 'ngx_mesh_mps_stream'),

    # the modules themselves tie the parts together
    ['ngx_mesh_module', ['proto', 'ngx_mesh_module', 'ngx_mesh_module/core',
                         'ngx_mesh_module/ws', 'ngx_mesh_module/agent',
                         'ngx_mesh_module/control', 'ngx_mesh_module/web',
                         'ngx_mesh_relay'],
     [$nginx, $std, $crypto, $posix]],

    ['mesh-signer', ['proto', 'mesh-signer'],
     [$std, $crypto, $posix, qr/^seccomp\.h$/],
     [qr/\bsocket\s*\(\s*(?!AF_UNIX)/, 'listens on a network'],
     [qr/\bsqlite3_|\bPQ[a-z]/, 'reads the database'],
     [qr/\bngx_/, 'knows nginx']],

    # platforms differ in os/ only
    ['agent', ['proto', 'agent', 'agent/os'],
     [$std, $crypto, qr/^(?:uv|duktape|zlib)\.h$/, qr/^(?:ctype|fcntl|time|signal|unistd)\.h$/],
     [qr/\bngx_/, 'knows nginx'],
     [qr/^\s*#\s*if.*\b(?:__linux__|_WIN32|__APPLE__|__FreeBSD__)\b/m,
      'knows a platform']],

    ['agent/os', ['proto', 'agent', 'agent/os'],
     [$std, $crypto, $posix, qr{^X11/}],
     [qr/\bngx_/, 'knows nginx']],

    # of the agent it knows what the two have agreed on
    ['agent/rtc', ['proto', 'agent', 'agent/rtc'],
     [$std, $crypto, $posix, qr{^(?:nice/\w+|usrsctp)\.h$}],
     [qr/\bduk_|\buv_/, 'knows the loop or the engine of the agent']],

    ['mesh-admin', ['proto', 'conf/sql', 'mesh-admin'],
     [$std, $crypto, $posix, $sql, qr{^(?:json-c|json)/?}],
     [qr/\bdaemon\s*\(/, 'runs as a daemon']],
);

my %is_room = map { $_->[0] => $_ } @rooms;
my $bad = 0;

for my $room (@rooms) {
    my ($folder, $folders, $headers, @never) = @$room;
    my %may = map { $_ => 1 } @$folders;

    for my $file (glob "$folder/*.c $folder/*.h") {
        open my $in, '<', $file or die "$file: $!\n";
        my $text = do { local $/; <$in> };

        check_includes($file, $text, $folder, \%may, $headers);
        check_words($file, $text, @never);
    }
}

check_scripts($_->[0], $_->[1]) for
    ['html/src/wire', [qr/\b(?:document|window)\.|\bHTMLElement\b/,
                       'touches the DOM', qr{from '[./]*/(?:state|view)/},
                       'imports what stands above it']],
    ['html/src/state', [qr{from '[./]*/view/}, 'imports what stands above it',
                        qr/\bdocument\./, 'touches the DOM']],
    ['html/src/view', [qr/\bnew WebSocket\b|\bfetch\s*\(/,
                       'has a socket of its own']];

exit($bad ? 1 : 0);


sub check_includes {
    my ($file, $text, $folder, $may, $headers) = @_;

    while ($text =~ /^[ \t]*#[ \t]*include[ \t]*(?:"([^"]+)"|<([^>]+)>)/mg) {
        my $name = $1 // $2;
        my $line = 1 + (() = substr($text, 0, $-[0]) =~ /\n/g);
        my $room = room_of($name, $folder);

        if (defined $room) {
            complain("$file:$line: includes $name of $room")
                if !$may->{$room};
            next;
        }

        # one of ours that is nowhere is the compiler's to report
        next if $name =~ m{^\.\./};

        complain("$file:$line: includes $name")
            if !grep { $name =~ $_ } @$headers;
    }
}

# the room of a header of ours, wherever it is included from
sub room_of {
    my ($name, $folder) = @_;

    for my $room ($folder, map { $_->[0] } @rooms) {
        return $room if -e "$room/" . basename($name);
    }

    return -e 'conf/sql/' . basename($name) ? 'conf/sql' : undef;
}

# code only: comments and strings may say anything
sub check_words {
    my ($file, $text, @never) = @_;

    $text =~ s{(/\*.*?\*/|"(?:[^"\\\n]|\\.)*")}
              {my $t = $1; $t =~ s/[^\n]/ /g; $t}gse;

    for my $rule (@never) {
        my ($pattern, $what) = @$rule;
        while ($text =~ /$pattern/g) {
            my $line = 1 + (() = substr($text, 0, $-[0]) =~ /\n/g);
            complain("$file:$line: $what");
        }
    }
}

sub check_scripts {
    my ($folder, $rules) = @_;

    for my $file (split /\n/, `find $folder -name '*.ts' 2>/dev/null`) {
        open my $in, '<', $file or die "$file: $!\n";
        my $text = do { local $/; <$in> };

        $text =~ s{(/\*.*?\*/|//[^\n]*)}
                  {my $t = $1; $t =~ s/[^\n]/ /g; $t}gse;

        for (my $i = 0; $i < @$rules; $i += 2) {
            my ($pattern, $what) = @$rules[$i, $i + 1];
            while ($text =~ /$pattern/g) {
                my $line = 1 + (() = substr($text, 0, $-[0]) =~ /\n/g);
                complain("$file:$line: $what");
            }
        }
    }
}

sub complain {
    print STDERR "layers: $_[0]\n";
    $bad = 1;
}
