# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

package Bench;

# What the measurements share: a server of ours with four workers at least, a
# plain nginx with the same certificates to compare it with, and meshload.
# All of it lives in one folder that goes at the end, and on ports from PORT
# (27020) up.

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter qw(import);
use File::Temp qw(tempdir);
use HTTP::Tiny;
use JSON::PP qw(decode_json);
use POSIX qw(:sys_wait_h);
use Time::HiRes qw(sleep time);

our @EXPORT = qw(server halt restart health reference load load_start load_end
                 wait_for figure get spawn workers median verdict finish
                 keys_file signature_ms);

my $root = abs_path(__FILE__) =~ s{/t/bench/Bench\.pm$}{}r;
my $build = "$root/build";
my $port = $ENV{PORT} || 27020;
my $dir = tempdir('/var/tmp/mesh-bench.XXXXXX', CLEANUP => 1);
my $owner = $$;
my @children;
my $missed = 0;

chmod 0755, $dir;
$| = 1;

$SIG{$_} = sub { exit 1 } for qw(INT TERM);


# Starts a server as make run does.  certificates => 'rsa' leaves the P-256
# one out; conf => what more stands in its server {}.  Returns { port, nginx, signer (pids), mesh, user, pass }.
sub server {
    my (%arg) = @_;
    my $name = 'server' . @children;
    my $data = "$dir/$name";
    my $log = "$data.log";
    my %s = (port => $port++, user => 'bench', pass => 'a long password',
             data => $data);
    my $http = $port++;

    mkdir $data or die "$data: $!\n";

    # all of the load comes from one account and one address
    write_file("$data/local-bench.conf",
               "mesh_limit agent per=address 20000;\n"
               . "mesh_limit relay per=user 4000;\n"
               . "mesh_limit relay per=address 4000;\n"
               . "mesh_limit control per=user 1000;\n"
               . "mesh_limit control per=address 1000;\n"
               . ($arg{conf} // ''));

    if (($arg{certificates} // '') eq 'rsa') {
        command("$build/mesh-signer", 'create', '--web-rsa',
                '--name', 'localhost', "$data/keys");
    }

    local $ENV{MESH_DATA} = $data;
    local $ENV{HTTPS_PORT} = $s{port};
    local $ENV{HTTP_PORT} = $http;
    local $ENV{AGENT} = 'no';
    local $ENV{RELAY_PORT} = 'no';
    delete local @ENV{qw(DB URL)};

    spawn($log, $^X, "$root/conf/run.pl");
    wait_for("the server", sub { read_file($log) =~ /press Ctrl-C/ });

    my @admin = ("$build/mesh-admin", '-c', "$data/nginx.conf");
    input("$s{pass}\n", @admin, 'user', 'add', $s{user}, '--site-admin');
    my $out = output(@admin, 'group', 'add', 'bench', '--owner', $s{user});

    ($s{mesh}) = $out =~ m{([A-Za-z0-9\@\$]{64})}
        or die "mesh-admin group add: $out\n";

    # workers look for what mesh-admin changed every five seconds
    sleep 6;

    $s{run} = $children[-1];
    chomp($s{nginx} = read_file("$data/run/nginx.pid"));
    ($s{signer}) = grep { read_file("/proc/$_/cmdline") =~ /\0\Q$data\E/ }
                   split ' ', `pgrep -x mesh-signer`;

    return \%s;
}

# Ends all of a server; then its signer and its nginx again, as make run starts
# them, but without make run.  Returns nginx's pid.
sub halt {
    my ($s) = @_;
    kill 'TERM', $s->{run};
    waitpid $s->{run}, 0;
    @children = grep { $_ != $s->{run} } @children;
}

sub restart {
    my ($s) = @_;
    my $socket = "$s->{data}/run/signer.sock";

    if (!$s->{again}) {
        unlink $socket;
        spawn("$s->{data}/signer.out", "$build/mesh-signer", '-k',
              "$s->{data}/keys", '-s', $socket, '-u', 'mesh-signer',
              '-w', 'www-data');
        wait_for('mesh-signer', sub { -S $socket });
        $s->{again} = 1;
    }

    unlink "$s->{data}/run/nginx.pid";
    spawn("$s->{data}/nginx.out", '/usr/sbin/nginx', '-p', $s->{data}, '-c',
          "$s->{data}/nginx.conf", '-g', 'daemon off;');

    return $children[-1];
}

sub health {
    my ($s) = @_;
    return get($s, 'health.ashx')->{status} == 200;
}

# A plain nginx with the certificates of a server and as many workers.
# Returns { port (TLS, one page), pid, stream (TLS in, TLS out), hop (TLS in,
# plain out), sink }.
sub reference {
    my ($s) = @_;
    my $data = "$dir/reference" . @children;
    my %r = (port => $port++, stream => $port++, sink => $port++,
             hop => $port++, listen => $port++);
    my $workers = () = workers($s->{nginx});
    my $certificates = read_file("$s->{data}/mesh-site.conf")
                       =~ s/.*?((?:ssl_certificate(?:_key)? [^;]*; ?)+).*/$1/sr;

    mkdir $data or die "$data: $!\n";

    my $head = "load_module /usr/lib/nginx/modules/ngx_stream_module.so;\n"
        . "user www-data; worker_rlimit_nofile 20000;\n"
        . "events { worker_connections 8000; }\n";
    my $tmp = join ' ', map { "${_}_temp_path $data/$_;" }
              qw(client_body proxy fastcgi uwsgi scgi);

    write_file("$data/nginx.conf", <<"END");
$head worker_processes $workers; pid $data/nginx.pid; error_log $data/error.log;
http {
    access_log off; $tmp
    ssl_protocols TLSv1.2 TLSv1.3; ssl_session_tickets off;
    keepalive_timeout 3600s; client_header_timeout 3600s;
    server {
        listen 127.0.0.1:$r{port} ssl reuseport; $certificates
        location / { return 200 "ok\\n"; }
    }
}
stream {
    ssl_protocols TLSv1.2 TLSv1.3;
    server {
        listen 127.0.0.1:$r{stream} ssl reuseport; $certificates
        proxy_timeout 3600s; proxy_ssl on; proxy_pass 127.0.0.1:$r{sink};
    }
    server {
        listen 127.0.0.1:$r{hop} ssl reuseport; $certificates
        tcp_nodelay on; proxy_timeout 3600s; proxy_pass 127.0.0.1:$r{listen};
    }
}
END

    # the far end of the outgoing TLS, not measured
    write_file("$data/sink.conf", <<"END");
$head worker_processes 1; pid $data/sink.pid; error_log $data/sink.log;
stream {
    server {
        listen 127.0.0.1:$r{sink} ssl; $certificates
        proxy_timeout 3600s; proxy_pass 127.0.0.1:$r{listen};
    }
}
END

    for my $conf ('sink', 'nginx') {
        spawn("$data/$conf.out", '/usr/sbin/nginx', '-c', "$data/$conf.conf",
              '-p', $data, '-g', 'daemon off;');
        wait_for("reference $conf", sub { -s "$data/$conf.pid" });
    }

    chomp($r{pid} = read_file("$data/nginx.pid"));

    return \%r;
}

sub workers {
    return split ' ', `pgrep -P $_[0]`;
}

# Runs meshload; its one line of JSON as a hash.
sub load {
    my @arg = @_;
    my $out = output("$build/meshload", @arg, '--quiet');
    return decode_json((split /\n/, $out)[-1] // '');
}

# The same in the background.
sub load_start {
    my @arg = @_;
    my $file = "$dir/load" . @children;
    spawn($file, "$build/meshload", @arg, '--quiet');
    return { pid => $children[-1], file => $file };
}

sub load_end {
    my ($load) = @_;
    waitpid $load->{pid}, 0;
    @children = grep { $_ != $load->{pid} } @children;
    return decode_json((split /\n/, read_file($load->{file}))[-1] // '');
}

# A figure of the server's status, over all of its workers.
sub figure {
    my ($s, $name) = @_;
    my ($n) = get($s, 'metrics')->{content} =~ /^mesh_\Q$name\E (\d+)$/m;
    return $n // -1;
}

sub get {
    my ($s, $path) = @_;
    return HTTP::Tiny->new(verify_SSL => 0, timeout => 10)
           ->get("https://127.0.0.1:$s->{port}/$path");
}

# A pool of keys, made once.
sub keys_file {
    my ($bits, $n) = @_;
    my $file = "$build/keys-$bits-$n.bin";

    if (!-s $file) {
        print "making $n agent keys of $bits bits\n";
        command("$build/meshload", 'keys', '--bits', $bits, '--n', $n,
                '--keys', "$file.new", '--quiet');
        rename "$file.new", $file;
    }

    return $file;
}

# One signature and one verification with RSA 3072, in ms of one processor while
# the others do the same: logins keep all of them at work.
sub signature_ms {
    my @sum = (0, 0);
    my @runs = map {
        open my $run, '-|', 'openssl speed -seconds 1 rsa3072 2>/dev/null'
            or die "openssl speed: $!\n";
        $run;
    } 1 .. `nproc`;

    for my $run (@runs) {
        my $out = do { local $/; <$run> };
        my @ms = $out =~ /^rsa\s+3072 bits\s+([\d.]+)s\s+([\d.]+)s/m
            or die "openssl speed: $out\n";
        $sum[$_] += 1000 * $ms[$_] for 0, 1;
    }

    return map { $_ / @runs } @sum;
}

sub median {
    my @v = sort { $a <=> $b } @_;
    return $v[$#v / 2];
}

# Prints a figure beside what is asked of it.
sub verdict {
    my ($what, $value, $bound, $unit) = @_;
    my $ok = $value <= $bound;

    printf "%-44s %9.3f %s, at most %s: %s\n", $what, $value, $unit, $bound,
        $ok ? 'met' : 'MISSED';
    $missed++ if !$ok;
}

sub finish {
    exit($missed ? 1 : 0);
}


sub spawn {
    my ($log, @command) = @_;
    my $pid = fork // die "fork: $!\n";

    if ($pid == 0) {
        setpgrp;
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', $log or die "$log: $!\n";
        open STDERR, '>&', \*STDOUT;
        exec @command or die "$command[0]: $!\n";
    }

    push @children, $pid;
    return $pid;
}

sub wait_for {
    my ($what, $ready) = @_;
    my $end = time + 120;

    until ($ready->()) {
        die "$what did not start: " . join('', map { read_file($_) }
            glob "$dir/*.log $dir/*/*.out") if time > $end;
        sleep 0.05;
    }
}

sub command {
    output(@_);
    $? == 0 or die "@_ failed\n";
}

sub output {
    open my $out, '-|', @_ or die "$_[0]: $!\n";
    my $text = join '', <$out>;
    close $out;
    return $text;
}

sub input {
    my ($text, @command) = @_;
    open my $in, '|-', @command or die "$command[0]: $!\n";
    print $in $text;
    close $in or die "@command failed\n";
}

sub read_file {
    open my $in, '<', $_[0] or return '';
    local $/;
    return <$in> // '';
}

sub write_file {
    my ($name, $text) = @_;
    open my $out, '>', $name or die "$name: $!\n";
    print $out $text;
    close $out or die "$name: $!\n";
}

END {
    if ($$ == $owner) {
        my $rc = $?;
        for my $pid (reverse @children) {
            kill 'TERM', $pid;
            waitpid $pid, 0;
        }
        $? = $rc;
    }
}

1;
