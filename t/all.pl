#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# Runs tests of the named kinds, all of them TAP, and counts them once.
#
#   all.pl [-v] KIND...
#
#   unit        build/unit/*_test
#   fuzz        corpora through the parsers, build/fuzz/*_replay
#   sqlite      t/*.t with MESH_DB=sqlite
#   postgres    t/*.t that use a database, with MESH_DB=postgres, on a
#               cluster of their own
#   html        html/test, Vitest
#   core        t/core, all that core.js answers, on the stock agent
#   agent       t/agent, our agent: scripts in its runtime, and all of it
#               against a server of the test
#   interop     t/interop, stock peers; each with the stock agent and with ours
#   ui          t/ui, a browser
#   cross       t/cross, our agent built for other systems
#
# TESTS=WORD runs only files whose name has WORD in it, JOBS=N so many files at
# a time (4: they wait more than they work); those with a browser come last, one
# after the other.  Started by make, which says in the environment what to test
# (see the Makefile).

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Temp qw(tempdir);
use TAP::Harness;
use Time::HiRes qw(time);

my $root = abs_path(__FILE__) =~ s{/t/all\.pl$}{}r;
my $verbose = @ARGV && $ARGV[0] eq '-v' ? shift : 0;
my $only = $ENV{TESTS} // '';

# what each test says beside its results, and once more at the end
my $said = tempdir(CLEANUP => 1);
my @SAYS = ('bash', '-c', 'exec "${@:2}" 2> >(exec tee "$1" >&2)', 'bash');
my $LAST = 800;

my %kinds = (
    unit => sub { map { [$_] } glob $ENV{MESH_UNIT} || 'build/unit/*_test' },
    fuzz => \&fuzz,
    sqlite => sub { functional('sqlite') },
    postgres => sub { functional('postgres') },
    html => sub {
        -d 'html/test'
            ? ['npm', '--prefix', 'html', '--silent', 'test', '--',
               '--reporter=default', '--reporter=tap-flat'] : ();
    },
    core => sub { scripts('core') },
    agent => \&agent,
    interop => \&interop,
    ui => sub { scripts('ui') },
    cross => sub {
        map { ['env', "MESH_CROSS=$_", $^X, '-It/lib', 't/cross/agent.t'] }
            qw(static arm64 armhf);
    },
);

chdir $root or die "$root: $!\n";
exit main(@ARGV);


sub main {
    my @kinds = @_;
    my (%command, @tests);
    my $start = time;

    for my $kind (@kinds) {
        my $list = $kinds{$kind} or die "all.pl: no kind \"$kind\"\n";
        my @commands = grep { index("@$_", $only) >= 0 } $list->();

        # a kind that lost its files must not pass
        die "all.pl: no test of kind \"$kind\"\n"
            if !@commands && $only eq '';

        for my $command (@commands) {
            my ($name) = grep { m{/} } reverse @$command;
            my $alias = "$kind: " . ($name // $kind);
            $alias =~ s{\Q$root/\E}{};
            $alias .= " $1" if "@$command" =~ /^env MESH_(?:AGENT|CROSS)=(\w+)/;
            $command{$alias} = $command;
            push @tests, [$alias, $alias];
        }
    }

    my $harness = TAP::Harness->new({
        verbosity => $verbose ? 1 : 0,
        timer => 1,
        jobs => $ENV{JOBS} || 4,
        rules => { seq => [
            { par => [map { "$_: **" } grep { $_ ne 'ui' } @kinds] },
            { seq => 'ui: **' },
        ] },
        merge => 0,
        exec => sub { [@SAYS, said($_[1]), @{ $command{$_[1]} }] },
    });

    my $postgres = grep { $_ eq 'postgres' } @kinds;
    if ($postgres) {
        $ENV{MESH_PG} ||= "$root/build/pg";
        system('sh', 't/postgres.sh', 'start', $ENV{MESH_PG}) == 0
            or die "all.pl: no PostgreSQL\n";
    }

    my $sum = $harness->runtests(@tests);

    if ($postgres) {
        system('sh', 't/postgres.sh', 'stop', $ENV{MESH_PG});
    }

    return finish($sum, time - $start);
}

sub finish {
    my ($sum, $seconds) = @_;
    my $failed = $sum->failed;
    my @bad;

    # a file that died, or ran other than it planned, is a failure too
    for my $name ($sum->descriptions) {
        my ($parser) = $sum->parsers($name);
        my $bad = $parser->exit || $parser->wait || $parser->parse_errors;
        $failed++ if $bad && !$parser->failed;
        push @bad, $name if $bad || $parser->failed;
    }

    again($_) for @bad;

    printf "%d s\n", $seconds;
    printf "%d passed, %d failed", scalar $sum->passed - $sum->todo, $failed;
    printf ", %d skipped", scalar $sum->skipped if $sum->skipped;
    print "\n";

    return $failed || !$sum->all_passed ? 1 : 0;
}

sub said {
    my ($name) = @_;
    return "$said/" . ($name =~ s/[^\w.]/_/gr);
}

# whoever sees the end alone sees why
sub again {
    my ($name) = @_;
    open my $in, '<', said($name) or return;
    my $text = do { local $/; <$in> };
    $text = '...' . substr $text, -$LAST if length $text > $LAST;
    print "--- $name said:\n$text";
}

sub functional {
    my ($db) = @_;
    my @files = sort glob 't/*.t';

    if ($db eq 'postgres') {

        # where no database is met, a second run would show nothing new
        @files = ((grep { !m{\bt/(?:run|ws|origin|reload|renewed|lan|hostile
                                   |exhausted|zone|update|install_agent
                                   |deb_agent)\.t$}x }
                        @files),
                  't/interop/terminal.t');
    }

    # make run serves the page: it is tested when there is one
    @files = grep { !m{/run\.t$} } @files if !-d 'html/dist';

    return map { ['env', "MESH_DB=$db", $^X, '-It/lib', $_] } @files;
}

sub fuzz {
    return map {
        my ($name) = m{([^/]+)_fuzz_replay$};
        [$_, "t/fuzz/corpus/$name"];
    } glob 'build/fuzz/*_fuzz_replay';
}

sub agent {
    my $runtime = $ENV{MESH_AGENT_JS} || 'build/agent_js_test';
    return (map { [$runtime, $_] } sort glob 't/agent/*.js'),
           map { [$^X, '-It/lib', $_] } sort glob 't/agent/*.t';
}

# but our agent at a stock server
sub interop {
    my %only = ('server.t' => 'own');

    return map {
        my $test = $_;
        my ($name) = "@$test" =~ m{([^/]+)$};
        map { ['env', "MESH_AGENT=$_", @$test] }
            $only{$name} ? $only{$name} : qw(stock own);
    } scripts('interop');
}

# a script is a test unless others take something from it
sub scripts {
    my ($folder) = @_;

    return (map { [$^X, '-It/lib', $_] } sort glob "t/$folder/*.t"),
           map { ['node', '--test-reporter=./t/lib/tap.mjs', $_] }
           grep { is_test($_) } sort glob "t/$folder/*.js t/$folder/*.mjs";
}

sub is_test {
    my ($file) = @_;
    open my $in, '<', $file or die "$file: $!\n";
    my $text = do { local $/; <$in> };
    return $text !~ /^(?:module\.exports|export )/m;
}
