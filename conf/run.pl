#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# Makes the data folder and starts what make has built, in the foreground,
# until Ctrl-C.  Uses only what Debian's perl-base brings.  Environment:
#
#   HTTPS_PORT HTTP_PORT MPS_PORT  ports to listen on (443, 80, 4433)
#   RELAY_PORT for pages of devices (the one behind HTTPS_PORT); no: none
#   URL        https://name[:port], the address from outside if it is another
#   DB         postgres:CONNINFO or sqlite:FILE; default: a file in the data
#   MESH_DATA  folder of keys, database and logs; default: run/ in the clone
#   AGENT      no: this machine does not become a device of its own server
#   NGINX      the nginx to start (/usr/sbin/nginx)
#   MODULES    its modules (build/modules); empty: they are linked in
#   AGENT_BIN  the agent of this machine (build/mesh-agent)

use strict;
use warnings;

use Cwd qw(abs_path);
use IO::Socket::INET;
use POSIX qw(:sys_wait_h uname);
use Time::HiRes qw(sleep time);

use constant {
    USER => 'www-data',             # of the workers
    SIGNER_USER => 'mesh-signer',
    WAIT => 15,                     # seconds, for a program to be ready
    GROUP => 'My devices',          # as the page names the first one
    AGENT_WAIT => 10,               # seconds, for it to come online
    AGENT_PAUSE => 5,               # before it is started again
    MAX_FILES => 65536,
    MAX_DATA => 70,                 # bytes; mesh_ipc_path may have 90
};

my $root = abs_path(__FILE__) =~ s{/conf/run\.pl$}{}r;
my $build = "$root/build";
my $nginx = $ENV{NGINX} || '/usr/sbin/nginx';
my $agent = $ENV{AGENT_BIN} || "$build/mesh-agent";

# our agent's number for what uname says, agent.md 2.8
my %agent_id = (x86_64 => 6, aarch64 => 32, riscv64 => 45);

# and for those of other systems, where they were built
my %cross_id = (static => 36, arm64 => 32, armhf => 25);

my %child;                          # pid -> name
my $stopping = 0;
my $agent_due = 0;                  # when it is started again; 0: not due

$| = 1;
umask 022;

main();


sub main {
    $< == 0 or fail("must be root: workers and keys get users of their own");

    my %port = ports();
    my $data = data_folder();
    my $old = -e "$data/nginx.conf";
    my $url = address($port{HTTPS_PORT});
    my $wanted = agent_wanted();

    print "data folder: $data\n";
    make_folders($data);
    make_config($data, \%port, $url);
    make_keys($data, $url);
    make_config($data, \%port, $url);       # now with the keys' names

    print $old ? "checking" : "making", " the database\n";
    run('the database is not usable', admin($data), 'migrate');
    my $group = $wanted ? agent_group($data) : undef;
    chown_tree("$data/db");

    # also a signal between two programs must find both
    $SIG{$_} = sub { $stopping = 1 } for qw(INT TERM HUP);

    print "starting mesh-signer\n";
    unlink "$data/run/signer.sock", "$data/run/nginx.pid";
    start('mesh-signer', "$data/logs/signer.log", "$build/mesh-signer",
          '-k', "$data/keys", '-s', "$data/run/signer.sock",
          '-u', SIGNER_USER, '-w', USER);
    await("$data/logs/signer.log", sub { -S "$data/run/signer.sock" });

    run('not started', admin($data), 'check');

    print "starting nginx\n";
    start('nginx', undef, $nginx, '-p', $data, '-c', "$data/nginx.conf",
          '-g', 'daemon off;');
    await("$data/logs/error.log", sub { -s "$data/run/nginx.pid" });

    print "\nngx_mesh is at  $url/\n";
    setup_link($data, $url);
    agent($data, $port{HTTPS_PORT}, $group) if $wanted;
    print "press Ctrl-C to stop\n";

    supervise($data);
}


# --- before the start

sub ports {
    my %port = (HTTPS_PORT => 443, HTTP_PORT => 80, MPS_PORT => 4433,
                RELAY_PORT => 0);
    my %seen;

    for (sort keys %port) {
        $port{$_} = $ENV{$_} if ($ENV{$_} // '') ne '';

        if ($_ eq 'RELAY_PORT') {
            next if $port{$_} eq 'no';
            $port{$_} ||= $port{HTTPS_PORT} + 1;
        }

        $port{$_} =~ /^[0-9]{1,5}$/ && $port{$_} > 0 && $port{$_} < 65536
            or fail("$_=\"$port{$_}\" is not a port");

        # opened by nothing yet; checked as a number only
        next if $_ eq 'MPS_PORT';

        fail("$seen{$port{$_}} and $_ are the same port, $port{$_}")
            if $seen{ $port{$_} };
        $seen{ $port{$_} } = $_;

        # as nginx binds, but not sharing the port with another nginx
        IO::Socket::INET->new(Listen => 1, ReuseAddr => 1,
                              LocalAddr => '0.0.0.0', LocalPort => $port{$_})
            or fail("port $port{$_} cannot be opened: $!; stop what "
                    . "listens there, or choose another: make run $_=...");
    }

    return %port;
}

# the workers' user must be able to enter it, once it is made
sub data_folder {
    my $asked = $ENV{MESH_DATA} // '';
    my $data = $asked eq '' ? "$root/run"
               : $asked =~ m{^/} ? $asked : "$root/$asked";

    return $data if reachable($data);

    $asked eq ''
        or fail("MESH_DATA=$asked: the user " . USER . " cannot enter that "
                . "folder, or its name has more than " . MAX_DATA . " bytes");

    print "the user ", USER, " cannot enter $data, so the data are kept in "
        . "/var/lib/mesh\n";

    return '/var/lib/mesh';
}

sub reachable {
    my ($dir) = @_;

    return 0 if length $dir > MAX_DATA || $dir =~ /[\s'"\\;{}\$#]/;

    $dir =~ s{/[^/]+/*$}{} while !-d "$dir/";

    return system('setpriv', '--reuid', USER, '--regid', USER,
                  '--clear-groups', 'test', '-x', "$dir/") == 0;
}

sub address {
    my ($port) = @_;
    my $url = $ENV{URL} // '';

    if ($url ne '') {
        $url =~ m{^https://[\w.\-\[\]:]+(?:/[\w./-]*)?$}
            or fail("URL=\"$url\" is not https://name[:port]");
        return $url =~ s{/+$}{}r;
    }

    my $name = host_name();

    return "https://$name" . ($port == 443 ? '' : ":$port");
}

sub host_name {
    my $name = lc `hostname -f 2>/dev/null` || lc `hostname`;
    chomp $name;

    return defined gethostbyname($name) ? $name : 'localhost';
}


# --- the data folder

sub make_folders {
    my ($data) = @_;
    my ($uid, $gid) = (getpwnam(USER))[2, 3];

    defined $uid or fail("there is no user " . USER);

    if (!defined getpwnam(SIGNER_USER)) {
        print "making the user ", SIGNER_USER, "\n";
        run('no user for mesh-signer', 'useradd', '--system',
            '--no-create-home', '--home-dir', '/nonexistent',
            '--shell', '/usr/sbin/nologin', SIGNER_USER);
    }

    run('no data folder', 'mkdir', '-p', $data);

    for (['logs', 0750], ['tmp', 0700], ['db', 0700], ['run', 0755],
         ['run/ipc', 0700], ['agents', 0755], ['own-agents', 0755],
         ['core', 0755])
    {
        my ($name, $mode) = @$_;
        my $dir = "$data/$name";

        -d $dir || mkdir $dir or fail("$dir: $!");
        chmod $mode, $dir;
        chown $uid, $gid, $dir if $name =~ m{^(?:tmp|db|run/ipc)$};
    }

    # served from here: workers need not be able to enter the clone
    run('cannot copy the pages', 'sh', '-euc',
        'cp "$1/core.js" "$1/recovery.js" "$2/core/"
         rm -rf "$2/html.new"; cp -r "$3" "$2/html.new"
         rm -rf "$2/html"; mv "$2/html.new" "$2/html"',
        'copy', $build, $data, "$root/html/dist");

    # what is offered to other machines of this kind
    my %offer = map { ($cross_id{$_} => "$build/mesh-agent-$_") } keys %cross_id;
    my $id = $agent_id{(uname())[4]};
    $offer{$id} = $agent if $id;

    for my $n (grep { -x $offer{$_} } sort keys %offer) {
        run('cannot copy the agent', 'sh', '-euc',
            'cmp -s "$1" "$2" || { cp "$1" "$2.new"; mv "$2.new" "$2"; }',
            'copy', $offer{$n}, "$data/own-agents/$n");
    }
}

sub make_config {
    my ($data, $port, $url) = @_;
    my $files = `sh -c 'ulimit -Hn'`;
    my $v6 = -s '/proc/net/if_inet6';
    my $db = database($data);
    my %common;

    chomp $files;
    $files = MAX_FILES if $files eq 'unlimited' || $files > MAX_FILES;

    chomp(my $cpus = `nproc`);

    my $listen = sub {
        my ($n, $opt) = @_;
        return "listen $n$opt;" . ($v6 ? " listen [::]:$n$opt;" : '');
    };

    my $modules = $ENV{MODULES} // "$build/modules";

    %common = (
        LOAD_MODULE => $modules eq '' ? ''
                       : "load_module $modules/ngx_http_mesh_module.so;",
        FILES => $files,
        DB => $db,
        RUN => "$data/run",
        CORE => "$data/core",
        CONF => $data,
        LOCAL => "$data/local*.conf",
        LOGS => "$data/logs",
        TMP => "$data/tmp",
        HTML => "$data/html",
        AGENTS => "$data/agents",
        OWN_AGENTS => "$data/own-agents",
        WORKERS => $cpus < 4 ? 4 : 'auto',
        CONNECTIONS => $files > 18000 ? 16384 : int($files * 9 / 10),
        LISTEN_HTTP => $listen->($port->{HTTP_PORT}, ''),
        LISTEN_HTTPS => $listen->($port->{HTTPS_PORT}, ' ssl reuseport'),
        LISTEN_RELAY => $listen->($port->{RELAY_PORT}, ' ssl'),
        RELAY_PORT => $port->{RELAY_PORT},
        PAGES => "$root/conf/mesh-web.conf",
        CERTIFICATES => certificates($data),
        MESH_URL => ($ENV{URL} // '') ne '' ? "mesh_url $url;" : '',
        REDIRECT => ($ENV{URL} // '') ne '' ? $url
            : 'https://$host'
              . ($port->{HTTPS_PORT} == 443 ? '' : ":$port->{HTTPS_PORT}"),
    );

    unlink "$data/mesh-pages.conf";

    for my $name ('mesh-main.conf', 'mesh-site.conf', 'nginx.conf',
                  $port->{RELAY_PORT} eq 'no' ? () : 'mesh-pages.conf') {
        run('no configuration', 'sh', "$root/conf/fill.sh",
            "$root/conf/$name.in", "$data/$name",
            map { "$_=$common{$_}" } sort keys %common);
    }
}

# "mesh_db" from DB=, which is sqlite:FILE or postgres:CONNINFO
sub database {
    my ($data) = @_;
    my $db = $ENV{DB} // '';

    return "sqlite $data/db/mesh.db" if $db eq '';

    $db =~ /^(sqlite|postgres):([^"\\\n]+)$/
        or fail("DB=\"$db\" is not sqlite:FILE or postgres:CONNINFO");

    return qq($1 "$2");
}

sub certificates {
    my ($data) = @_;
    my $text = '';

    # P-256 for all clients that can, which costs a fifth of RSA 3072
    for my $name ('web-ecdsa', 'web-rsa') {
        next if !-e "$data/keys/$name.pem";
        $text .= "ssl_certificate $data/keys/$name.pem; "
            . "ssl_certificate_key $data/keys/$name.key; ";
    }

    return $text =~ s/ $//r;
}

sub make_keys {
    my ($data, $url) = @_;

    return if -d "$data/keys";

    # a database with agents needs its old keys: "mesh-admin check" tells
    my $status = system(admin($data), 'exists') >> 8;
    return if $status == 0;
    fail('the database is not usable') if $status != 3;

    my @san = (host_name(), 'localhost', '127.0.0.1',
               split ' ', `hostname -I 2>/dev/null` // '');
    push @san, $1 if $url =~ m{^https://\[?([^\]/]+?)\]?(?::\d+)?(?:/|$)};

    my %seen;
    @san = grep { !$seen{$_}++ } @san;

    print "making keys\n";
    run('no keys', "$build/mesh-signer", 'create', '--name', $san[0],
        (map { ('--san', $_) } @san), "$data/keys");
}


# --- programs

sub admin {
    my ($data) = @_;
    return ("$build/mesh-admin", '-c', "$data/nginx.conf");
}

sub setup_link {
    my ($data, $url) = @_;

    # nothing, when there is an administrator
    open my $out, '-|', admin($data), 'setup-link', '--if-needed' or return;
    my $token = join '', <$out>;
    close $out or return;

    print "to make the first account, open  $url/#/setup/$1\n"
        if $token =~ /([\w-]{43})\s*$/;
}


# --- this machine as a device

sub agent_wanted {
    my $asked = $ENV{AGENT} // '';

    $asked eq '' || $asked eq 'no' || $asked eq 'yes'
        or fail("AGENT=\"$asked\" is not yes or no");

    return $asked ne 'no';
}

# a group that has the name, or a new one, once; before nginx reads them
sub agent_group {
    my ($data) = @_;
    my $dir = "$data/agent";

    return undef if !-x $agent;

    -d $dir || mkdir $dir, 0700 or fail("$dir: $!");
    my $group = read_file("$dir/group");

    if ($group !~ /\S/) {
        my $name = quotemeta GROUP;
        ($group) = capture(admin($data), 'group', 'list')
                   =~ m{^(mesh//\S+) +\d+  $name$}m;
        $group //= capture(admin($data), 'group', 'add', GROUP);
        $group =~ s/\s+$//;
        write_file("$dir/group", "$group\n") if $group ne '';
    }

    return $group =~ m{^(mesh//[\w@\$]+)$}m ? $1 : undef;
}

# whatever goes wrong here is told, and the server goes on without it
sub agent {
    my ($data, $port, $group) = @_;
    my $dir = "$data/agent";

    if (!-x $agent) {
        print "this machine is no device: there is no $agent\n";
        return;
    }

    my $policy = defined $group ? policy($port, $group) : '';

    if ($policy !~ /^MeshID=0x/m) {
        print 'this machine is no device: ',
              $policy =~ /no such/ ? "its group was removed; for another one: "
                                     . "rm -r $dir\n"
              : "the server does not give its settings\n";
        return;
    }

    # it calls here, whatever the name is that others call
    $policy =~ s{^MeshServer=[^\r\n]*}
                {MeshServer=wss://127.0.0.1:$port/agent.ashx}m;
    write_file("$dir/mesh-agent.msh", $policy);

    print "starting the agent of this machine\n";
    start_agent($data);

    my $end = time + AGENT_WAIT;

    until (agent_online($dir)) {
        my $dead = gone() // '';

        stop(0) if $stopping;
        fail("$dead has ended; see the folder logs")
            if $dead && $dead ne 'mesh-agent';

        if ($dead || time > $end) {
            print 'this machine is no device yet: its agent ',
                  $dead ? 'has ended' : 'is not online',
                  "; see $data/logs/agent.log\n";
            $agent_due = time + AGENT_PAUSE if $dead;
            return;
        }

        sleep 0.02;
    }

    print 'this machine is online, in the group "', GROUP, "\"\n",
          "(make run AGENT=no leaves it out; the page then removes it for "
          . "good)\n";
}

sub start_agent {
    my ($data) = @_;
    my $dir = "$data/agent";

    $agent_due = 0;
    unlink "$dir/state";
    start('mesh-agent', "$data/logs/agent.log", $agent, 'run', "--data=$dir",
          "--policy=$dir/mesh-agent.msh",
          '--selfUpdate=0');            # it is built here
}

sub agent_online {
    my ($dir) = @_;
    return read_file("$dir/state") =~ /^connected=1$/m;
}

# what the server says; a moment after its start that it is not ready yet
sub policy {
    my ($port, $group) = @_;
    my $end = time + AGENT_WAIT;
    my $text;

    do {
        stop(0) if $stopping;

        # perl-base has no TLS; Node is there: pages and core are built with it
        $text = capture('node', '-e', <<'END', $port, $group);
const [port, group] = process.argv.slice(1);
require('node:https').get({
    host: '127.0.0.1', port, rejectUnauthorized: false, timeout: 5000,
    path: `/meshsettings?id=${encodeURIComponent(group)}`,
}, (reply) => reply.pipe(process.stdout)).on('timeout', () => process.exit(1))
    .on('error', () => process.exit(1));
END
    } while ($text =~ / is away/ && time < $end);

    return $text;
}


# --- processes

sub start {
    my ($name, $log, @command) = @_;
    my $pid = fork // fail("fork: $!");

    if ($pid == 0) {
        if ($log) {
            open STDERR, '>>', $log or die "$log: $!\n";
        }
        exec @command or die "$command[0]: $!\n";
    }

    $child{$pid} = $name;
}

# waits until a program that was just started is ready
sub await {
    my ($log, $ready) = @_;
    my $end = time + WAIT;

    until ($ready->()) {
        my $dead = gone();

        stop(0) if $stopping;

        if ($dead || time > $end) {
            print STDERR `tail -n 5 '$log' 2>/dev/null`;
            fail($dead ? "$dead did not start" : "no answer within "
                         . WAIT . " seconds");
        }

        sleep 0.02;
    }
}

sub gone {
    while ((my $pid = waitpid(-1, WNOHANG)) > 0) {
        my $name = delete $child{$pid};
        return $name if $name;
    }
    return undef;
}

sub supervise {
    my ($data) = @_;
    my $told = 0;

    until ($stopping) {
        my $name = gone() // '';

        # it ends by itself when it has a new program
        if ($name eq 'mesh-agent') {
            print "the agent of this machine has ended and is started again; "
                . "see $data/logs/agent.log\n" if !$told++;
            $agent_due = time + AGENT_PAUSE;

        } elsif ($name) {
            fail("$name has ended; see the folder logs");
        }

        start_agent($data) if $agent_due && time >= $agent_due;
        sleep 0.2;
    }
    stop(0);
}

# nginx before mesh-signer, so that no worker misses its signer; TERM, as QUIT would wait
# for sessions that may last for days
sub stop {
    my ($rc) = @_;

    $SIG{$_} = 'IGNORE' for qw(INT TERM HUP);
    print "\nstopping\n" if !$rc;

    for my $name ('mesh-agent', 'nginx', 'mesh-signer') {
        for my $pid (grep { $child{$_} eq $name } keys %child) {
            kill 'TERM', $pid;
            my $end = time + WAIT;
            my $rv;
            sleep 0.02 while ($rv = waitpid($pid, WNOHANG)) == 0
                             && time < $end;
            kill 'KILL', $pid if $rv == 0;
        }
    }

    exit $rc;
}

sub run {
    my ($failed, @command) = @_;
    system(@command) == 0 or fail($failed);
}

# what it prints; '' where it fails
sub capture {
    my (@command) = @_;

    open my $out, '-|', @command or return '';
    local $/;
    my $text = <$out> // '';

    return close $out ? $text : '';
}

sub read_file {
    my ($file) = @_;
    open my $in, '<', $file or return '';
    local $/;
    return <$in> // '';
}

# 0600, and the whole of it or nothing
sub write_file {
    my ($file, $text) = @_;
    my $old = umask 077;

    unlink "$file.new";
    open my $out, '>', "$file.new" or fail("$file: $!");
    umask $old;
    print $out $text;
    close $out or fail("$file: $!");
    rename "$file.new", $file or fail("$file: $!");
}

sub chown_tree {
    my ($dir) = @_;
    run('cannot give the database to ' . USER, 'chown', '-R',
        USER . ':' . USER, $dir);
}

sub fail {
    print STDERR "make run: @_\n";
    stop(1);
}
