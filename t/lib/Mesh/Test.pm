# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

package Mesh::Test;

# A real nginx with four workers, a real mesh-signer and a real database in a
# folder of their own, and clients for them.  What a test starts ends with it;
# an alert in the error log that was not named before, or a report of a
# sanitizer, fails the test.
#
#   my $mesh = Mesh::Test->new(server => 'mesh_relay_wait 2s;');
#   $mesh->start;
#   my $ws = $mesh->ws('/echo.ashx');
#   $ws->text('hello');
#   is($ws->read->{data}, 'hello', ...);

use strict;
use warnings;

use Carp qw(croak);
use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use File::Path qw(make_path remove_tree);
use File::Temp qw(tempdir);
use IO::Socket::INET;
use IO::Socket::SSL;
use IPC::Open3 qw(open3);
use POSIX qw(WNOHANG);
use Socket qw(SOL_SOCKET SO_REUSEADDR);
use Test::More;
use Time::HiRes qw(sleep time);

use Mesh::WebSocket;

our $ROOT = abs_path(dirname(__FILE__) . '/../../..');
our $DEADLINE = 60;
our @EXPORT_OK = qw(escape);

# a server that closes first must not end the test
$SIG{PIPE} = 'IGNORE';

sub new {
    my ($class, %arg) = @_;

    my $dir = tempdir('mesh-XXXXXX', TMPDIR => 1);
    chmod 0777, $dir;

    my $self = bless {
        dir => $dir,
        port => port(),
        workers => 4, connections => 2048,
        main => '', http => '', server => '', location => '', agents => '',
        dbname => '',
        db => $ENV{MESH_DB} // 'sqlite',
        nginx => $ENV{MESH_NGINX} || '/usr/sbin/nginx',
        modules => $ENV{MESH_MODULES} // "$ROOT/build/modules",
        signer => $ENV{MESH_SIGNER_BIN} || "$ROOT/build/mesh-signer",
        admin => $ENV{MESH_ADMIN_BIN} || "$ROOT/build/mesh-admin",
        alerts => [],
        pids => {},
        owner => $$,
        %arg,
    }, $class;

    make_path(map { "$dir/$_" } qw(data logs html keys agents own-agents));
    write_file("$dir/html/index.html", "<!doctype html><title>mesh</title>\n");

    for my $sub (qw(data logs)) {
        my (undef, undef, $uid, $gid) = getpwnam('www-data');
        chown $uid, $gid, "$dir/$sub";
    }

    $self->make_keys;

    return $self;
}

# keys are made once for all tests: they take seconds
sub make_keys {
    my ($self) = @_;
    my $cache = "$ROOT/build/test-keys";

    if (!-e "$cache/done") {
        my $lock = "$cache.$$";
        remove_tree($lock);
        make_path(dirname($cache));
        my $out = run($self->{signer}, 'create', '--fastcert', $lock);
        open my $f, '>', "$lock/done" or die "$lock: $!\n";
        close $f;
        rename $lock, $cache or remove_tree($lock);
    }

    for my $file (glob "$cache/*.pem $cache/*.key") {
        system('cp', '-p', $file, "$self->{dir}/keys/") == 0
            or die "cannot copy $file\n";
    }
}

sub port {
    for (1 .. 50) {
        my $port = 20000 + int rand 12000;
        my $s = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
                                      LocalPort => $port, Listen => 1,
                                      ReuseAddr => 1) or next;
        close $s;
        return $port;
    }

    die "no free port\n";
}

sub conf {
    my ($self) = @_;
    my $dir = $self->{dir};
    my $load = $self->{modules}
        ? "load_module $self->{modules}/ngx_http_mesh_module.so;" : '';
    my $db = $self->{db} eq 'postgres'
        ? "postgres \"host=$ENV{MESH_PG} user=mesh dbname=$self->{dbname}\""
        : "sqlite $dir/data/mesh.db";

    return <<EOF;
$load
user www-data;
worker_processes $self->{workers};
worker_shutdown_timeout 1h;
pid $dir/nginx.pid;
error_log $dir/logs/error.log info;
mesh_db $db;
mesh_signer unix:$dir/signer.sock;
mesh_ipc_path $dir/ipc;
mesh_core $ROOT/build/core.js recovery=$ROOT/build/recovery.js;
$self->{main}
events { worker_connections $self->{connections}; }
http {
    access_log $dir/logs/access.log;
    client_body_temp_path $dir/tmp-body;
    proxy_temp_path $dir/tmp-proxy;
    fastcgi_temp_path $dir/tmp-fastcgi;
    uwsgi_temp_path $dir/tmp-uwsgi;
    scgi_temp_path $dir/tmp-scgi;
    $self->{http}
    server {
        listen 127.0.0.1:$self->{port} ssl reuseport;
        server_name localhost;
        ssl_certificate $dir/keys/web-ecdsa.pem;
        ssl_certificate_key $dir/keys/web-ecdsa.key;
        ssl_certificate $dir/keys/web-rsa.pem;
        ssl_certificate_key $dir/keys/web-rsa.key;
        ssl_protocols TLSv1.2 TLSv1.3;
        mesh_session_log $dir/logs/session.log;
        mesh_agents $dir/agents $self->{agents};
        mesh_own_agents $dir/own-agents $self->{agents};
        $self->{server}
        location / {
            root $dir/html;
            mesh on;
            mesh_relay on;
            $self->{location}
        }
        location = /status { mesh_status json; }
        location = /metrics { mesh_status prometheus; }
    }
}
EOF
}

# database, signer and nginx; returns when the page says that all is well
sub start {
    my ($self, %arg) = @_;

    $self->{dbname} = "mesh_$$" . '_' . int rand 1e6;
    $self->write_conf;

    if ($self->{db} eq 'postgres') {
        run('psql', '-q', '-h', $ENV{MESH_PG}, '-U', 'mesh', '-d', 'postgres',
            '-c', "CREATE DATABASE $self->{dbname}");
    }

    $self->admin('migrate') if !$arg{no_database};

    # what is in the database before the first worker reads it
    $arg{prepare}->() if $arg{prepare};

    $self->start_signer if !$arg{no_signer};
    $self->start_nginx;

    if (!$arg{no_database} && !$arg{no_signer}) {
        $self->wait_for('health', sub {
            ($self->get('/health.ashx')->{status} // 0) == 200;
        });

        # one worker has answered, which says nothing of the others
        $self->ready;
    }

    return $self;
}

# waits until each worker, but those that were there before, has read the
# accounts: until then it lets nobody in
sub ready {
    my ($self, @before) = @_;
    my %before = map { $_ => 1 } @before;

    $self->{reads} = 1;
    $self->wait_for('every worker', sub {
        my %ready = map { $_ => 1 }
            $self->error_log =~ /(\d+)#\d+: mesh model: /g;
        my @now = grep { !$before{$_} } $self->workers;
        return @now >= $self->{workers} && !grep { !$ready{$_} } @now;
    });
}

# the same with what most tests need: an administrator, and a group of his whose
# id is returned
sub lab {
    my ($self) = @_;
    my $group;

    $self->start(prepare => sub {
        $self->admin(\"correct horse battery\n", 'user', 'add', 'admin',
                     '--site-admin');
        $group = $self->admin('group', 'add', 'Lab', '--owner', 'admin');
        chomp $group;
    });

    return $group;
}

sub write_conf {
    my ($self) = @_;
    write_file("$self->{dir}/nginx.conf", $self->conf);
}

sub start_signer {
    my ($self) = @_;

    $self->{signer_pid} = $self->spawn("$self->{dir}/logs/signer.log",
        $self->{signer}, '-k', "$self->{dir}/keys", '-s',
        "$self->{dir}/signer.sock", '-u', 'nobody', '-w', 'www-data');
    wait_for_file("$self->{dir}/signer.sock");
}

sub start_nginx {
    my ($self) = @_;
    my $dir = $self->{dir};

    local $ENV{ASAN_OPTIONS} = "detect_leaks=1:log_path=$dir/asan";
    local $ENV{UBSAN_OPTIONS} = "print_stacktrace=1:log_path=$dir/ubsan";
    local $ENV{LSAN_OPTIONS} = "suppressions=$ROOT/t/lsan.supp:"
                             . 'print_suppressions=0';

    my @command = ($self->{nginx}, '-p', $dir, '-c', "$dir/nginx.conf", '-e',
                   "$dir/logs/error.log");

    if ($self->{daemon}) {
        # a binary upgrade is for a master that has left its parent
        run(@command);
        wait_for_file("$dir/nginx.pid");
        ($self->{nginx_pid}) = read_file("$dir/nginx.pid") =~ /(\d+)/;
        $self->{pids}{ $self->{nginx_pid} } = 1;

    } else {
        $self->{nginx_pid} = $self->spawn("$dir/logs/nginx.out", @command,
                                          '-g', 'daemon off;');
        wait_for_file("$dir/nginx.pid");
    }

    $self->wait_for('workers', sub { $self->workers == $self->{workers} });
}

# nginx -t: exit status and all that it said
sub check_conf {
    my ($self) = @_;
    my $dir = $self->{dir};

    $self->write_conf;
    local $ENV{ASAN_OPTIONS} = 'detect_leaks=0';
    my $text = `$self->{nginx} -t -p $dir -c $dir/nginx.conf -e stderr 2>&1`;

    return ($? >> 8, $text);
}

sub workers {
    my ($self) = @_;
    my @pids = map { m{/w\.(\d+)$} ? $1 : () } glob "$self->{dir}/ipc/w.*";
    return @pids;
}

# the worker that has the other end of a client's connection
sub worker {
    my ($self, $ws) = @_;
    my $ends = sprintf ':%04X [0-9A-F]+:%04X', $self->{port},
                       $ws->{s}->sockport;
    my ($inode) = read_file('/proc/net/tcp') =~
        /^ *\d+: [0-9A-F]+$ends (?:\S+ +){6}(\d+)/m;
    for my $pid ($self->workers) {
        return $pid if grep { (readlink // '') eq "socket:[$inode]" }
                            glob "/proc/$pid/fd/*";
    }
    die "no worker has it\n";
}

# bytes of all workers, beside what they share
sub memory {
    my ($self) = @_;
    my $sum = 0;
    for my $pid ($self->workers) {
        my ($kb) = read_file("/proc/$pid/status") =~ /^RssAnon:\s+(\d+)/m;
        $sum += ($kb // 0) * 1024;
    }
    return $sum;
}

sub admin {
    my ($self, @args) = @_;
    my $input = ref $args[0] ? ${ shift @args } : undef;
    return run_input($input, $self->{admin}, '-c', "$self->{dir}/nginx.conf",
                     @args);
}

# a statement behind the server's back; its rows, columns joined with '|'
sub sql {
    my ($self, $text) = @_;

    if ($self->{db} eq 'postgres') {
        return split /\n/, run('psql', '-qAt', '-v', 'ON_ERROR_STOP=1', '-h',
                               $ENV{MESH_PG}, '-U', 'mesh', '-d',
                               $self->{dbname}, '-c', $text);
    }

    require DBI;
    my $db = DBI->connect("dbi:SQLite:dbname=$self->{dir}/data/mesh.db", '',
                          '', { RaiseError => 1, PrintError => 0 });
    $db->sqlite_busy_timeout(10000);
    my $st = $db->prepare($text);
    $st->execute;
    my $rows = $st->{NUM_OF_FIELDS} ? $st->fetchall_arrayref : [];
    $st->finish;
    $db->disconnect;

    return map { join '|', map { $_ // '' } @$_ } @$rows;
}

sub reload {
    my ($self) = @_;
    my @old = $self->workers;
    my %old = map { $_ => 1 } @old;

    kill 'HUP', $self->{nginx_pid};
    $self->wait_for('new workers', sub {
        (grep { !$old{$_} } $self->workers) >= $self->{workers};
    });
    $self->ready(@old) if $self->{reads};
}

sub ws {
    my ($self, $path, %arg) = @_;
    return Mesh::WebSocket->connect(port => $self->{port}, path => $path,
                                    %arg);
}

# { status, head, body }
sub request {
    my ($self, $method, $path, %arg) = @_;

    my $s = IO::Socket::SSL->new(
        PeerAddr => '127.0.0.1', PeerPort => $arg{port} // $self->{port},
        SSL_reuse_ctx => $Mesh::WebSocket::TLS, SSL_hostname => 'localhost',
        Timeout => 10, LocalAddr => $arg{from})
        or return { status => 0, body => '', head => '' };
    my $body = $arg{body} // '';
    my $host = $arg{host} // "localhost:$self->{port}";
    my $text = "$method $path HTTP/1.1\r\nHost: $host\r\n"
             . "Connection: close\r\n";
    $text .= "$_: $arg{headers}{$_}\r\n" for sort keys %{ $arg{headers} // {} };
    $text .= 'Content-Length: ' . length($body) . "\r\n"
        if length $body || $method eq 'POST';
    print $s "$text\r\n$body";

    my $answer = '';
    my $until = time + $DEADLINE;
    while (time < $until) {
        my $n = sysread $s, $answer, 65536, length $answer;
        last if !$n;
    }
    close $s;

    my ($head, $rest) = split /\r\n\r\n/, $answer, 2;
    my ($status) = ($head // '') =~ m{^HTTP/1\.1 (\d+)};
    $rest = unchunk($rest) if ($head // '') =~ /^transfer-encoding: chunked/mi;

    return { status => $status // 0, head => $head // '',
             body => $rest // '' };
}

sub get { my $self = shift; return $self->request('GET', @_) }

sub unchunk {
    my ($in) = @_;
    my $out = '';
    while ($in =~ /\G([0-9a-f]+)\r\n/gci) {
        my $n = hex $1 or last;
        $out .= substr $in, pos $in, $n;
        pos($in) = pos($in) + $n + 2;
    }
    return $out;
}

# a counter
sub metric {
    my ($self, $name) = @_;
    my ($n) = $self->get('/metrics')->{body} =~ /^mesh_\Q$name\E_total (\d+)/m;
    return $n;
}

# as a value in an address
sub escape {
    my ($text) = @_;
    $text =~ s/([^A-Za-z0-9_.-])/sprintf '%%%02X', ord $1/ge;
    return $text;
}

# alerts of these patterns are expected
sub expect_alert { my $self = shift; push @{ $self->{alerts} }, @_ }

sub error_log { return read_file("$_[0]{dir}/logs/error.log") }

sub wait_for {
    my ($self, $what, $code) = @_;
    my $until = time + $DEADLINE;

    while (time < $until) {
        return 1 if $code->();
        sleep 0.05;
    }

    croak "waited in vain for $what";
}

sub spawn {
    my ($self, $log, @command) = @_;

    my $pid = fork // die "fork: $!\n";
    if ($pid == 0) {
        open STDOUT, '>>', $log;
        open STDERR, '>>', $log;
        open STDIN, '<', '/dev/null';
        exec @command or POSIX::_exit(127);
    }

    $self->{pids}{$pid} = 1;
    return $pid;
}

sub stop_pid {
    my ($self, $pid, $signal) = @_;

    delete $self->{pids}{$pid} or return;
    kill $signal, $pid;

    my $until = time + $DEADLINE;
    while (time < $until) {
        my $got = waitpid $pid, WNOHANG;
        return if $got == $pid || ($got == -1 && !kill 0, $pid);
        sleep 0.02;
    }

    kill 'KILL', $pid;
    waitpid $pid, 0;
    fail("process $pid ends when it is told to");
}

# ends all, and looks at what was left in the logs
sub stop {
    my ($self) = @_;

    return if $self->{stopped}++;
    my $dir = $self->{dir};

    $self->stop_pid($self->{nginx_pid}, $self->{quit} // 'TERM')
        if $self->{nginx_pid};
    $self->stop_pid($_, $self->{kill}{$_} ? 'KILL' : 'TERM')
        for keys %{ $self->{pids} };

    # nginx kills a worker that has not ended in a second and a half: too soon
    # where sanitizers look for leaks
    my ($log, $end) = split /^(?=.*signal 15 \(SIGTERM\))/m,
                      $self->error_log, 2;
    $end //= '';
    $end =~ s/^.* exited on signal 9$//mg if $ENV{MESH_ASAN};

    my @bad = grep { my $line = $_; !grep { $line =~ $_ } @{ $self->{alerts} } }
              grep { /\[(?:alert|emerg)\]/ } split /\n/, $log . $end;
    is(join("\n", @bad), '', 'nothing alarming is in the error log');

    my @reports = glob "$dir/asan.* $dir/ubsan.*";
    my $report = join '', grep { !thread_ends($_) } map { read_file($_) }
                 @reports;
    is($report, '', 'no sanitizer has anything to report');

    if ($self->{db} eq 'postgres') {
        run('psql', '-q', '-h', $ENV{MESH_PG}, '-U', 'mesh', '-d', 'postgres',
            '-c', "DROP DATABASE IF EXISTS $self->{dbname} WITH (FORCE)");
    }

    if (Test::More->builder->is_passing && !$ENV{MESH_KEEP}) {
        remove_tree($dir);
    } else {
        diag("kept: $dir");
    }
}

# OpenSSL's errors of a thread, 904 bytes and nothing else: nginx does not wait for
# the threads of a pool, so the process may end while one does
sub thread_ends {
    my ($report) = @_;
    return $report =~ /LeakSanitizer: detected memory leaks/
           && $report =~ /^Direct leak of 904 byte\(s\) in 1 object/m
           && $report =~ /^SUMMARY: AddressSanitizer: 904 byte/m
           && $report =~ / CRYPTO_zalloc /
           ? 1 : 0;
}

sub DESTROY {
    my ($self) = @_;
    return if $$ != $self->{owner} || $self->{stopped};
    local ($?, $@);
    kill 'TERM', keys %{ $self->{pids} };
    waitpid $_, 0 for keys %{ $self->{pids} };
    diag("kept: $self->{dir}");
}

sub run { return run_input(undef, @_) }

sub run_input {
    my ($input, @command) = @_;

    my $pid = open3(my $in, my $out, undef, @command);
    print $in $input if defined $input;
    close $in;
    my $text = do { local $/; <$out> } // '';
    waitpid $pid, 0;
    croak "@command: exit $? : $text" if $?;

    return $text;
}

sub wait_for_file {
    my ($file) = @_;
    my $until = time + $DEADLINE;
    while (time < $until) {
        return if -e $file && (-S _ || -s _);
        sleep 0.02;
    }
    croak "$file does not come";
}

sub read_file {
    my ($file) = @_;
    open my $f, '<', $file or return '';
    local $/;
    return <$f> // '';
}

sub write_file {
    my ($file, $text) = @_;
    open my $f, '>', $file or die "$file: $!\n";
    print $f $text;
    close $f or die "$file: $!\n";
}

1;
