# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

package Mesh::Wine;

# Our agent for Windows under wine: a program that stands for it, which takes
# paths as they are here.  The file is skipped where there is no wine.
#
#   my $program = Mesh::Wine::program();    # build/windows/mesh-agent.exe
#   my $path = Mesh::Wine::path($here);     # as the agent says it

use strict;
use warnings;

use File::Path qw(make_path);
use File::Temp qw(tempdir);
use POSIX ();
use Test::More;
use Mesh::Test;

my $wine = '/usr/lib/wine/wine64';
my $prefix = ($ENV{MESH_BUILD} || "$Mesh::Test::ROOT/build") . '/wine';
my ($started, $screen);

sub exe {
    return $ENV{MESH_AGENT_EXE}
           || "$Mesh::Test::ROOT/build/windows/mesh-agent.exe";
}

# a service, and what belongs to it, would be wine's own processes
sub program {
    my $exe = exe();

    plan skip_all => 'no wine here' if !-x $wine;
    plan skip_all => "no $exe yet" if !-e $exe;

    my $dir = tempdir('/var/tmp/mesh-wine.XXXXXX', CLEANUP => 1);
    $ENV{WINEPREFIX} = $prefix;
    $ENV{WINEDEBUG} = '-all';
    $ENV{WINEDLLOVERRIDES} = 'mscoree,mshtml=';
    $ENV{DISPLAY} = screen();

    # started in C:, where a path of Unix leads nowhere
    Mesh::Test::write_file("$dir/mesh-agent", <<"SH");
#!/bin/sh
for a; do
    shift
    case \$a in --*=/*) a="\${a%%=*}=Z:\${a#*=}" ;; esac
    set -- "\$@" "\$a"
done
mkdir -p $prefix/drive_c
cd $prefix/drive_c && exec $wine "\${EXE:-$exe}" "\$@"
SH
    chmod 0755, "$dir/mesh-agent";
    $started = 1;

    return "$dir/mesh-agent";
}

# a screen of its own, with nothing on it
sub screen {
    pipe my $told, my $tell or die "pipe: $!\n";
    $screen = fork // die "fork: $!\n";

    if ($screen == 0) {
        POSIX::dup2(fileno $tell, 9);
        open STDERR, '>', '/dev/null';
        exec 'Xvfb', '-displayfd', 9, '-screen', 0, '800x600x24',
             '-nolisten', 'tcp', '-noreset' or POSIX::_exit(1);
    }

    close $tell;
    my $n = <$told> // die "no Xvfb\n";
    return ":$n" =~ s/\s+//r;
}

# presses a key in the window of that title, if it is there: is it?
sub press {
    my ($title, $key) = @_;
    return system("xdotool search --onlyvisible --name '^$title\$' "
                  . "windowfocus key $key > /dev/null 2>&1") == 0;
}

sub path { return 'Z:' . $_[0] =~ tr{/}{\\}r }

sub drive_c { return "$prefix/drive_c" }

END {
    local ($?, $!);
    system '/usr/lib/wine/wineserver', '-k' if $started;
    kill 'TERM', $screen and waitpid $screen, 0 if $screen;
}

1;
