#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# PostgreSQL: a transaction that stays open hides all changes behind it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use File::Temp qw(tempdir);
use IPC::Open2 qw(open2);
use Test::More;
use Mesh::Test;

plan skip_all => 'SQLite has one writer'
    if ($ENV{MESH_DB} // 'sqlite') ne 'postgres';

# changes of the whole cluster are hidden: the other tests have another one
my $cluster = tempdir('/var/tmp/mesh-held.XXXXXX', CLEANUP => 1);
my $tool = "$Mesh::Test::ROOT/t/postgres.sh";
Mesh::Test::run('sh', $tool, 'start', $cluster);
my $owner = $$;
END { system('sh', $tool, 'stop', $cluster) if $owner && $owner == $$ }
$ENV{MESH_PG} = $cluster;

my $mesh = Mesh::Test->new;
$mesh->start;
$mesh->sql('CREATE ROLE other LOGIN');
is(held(), 0, 'nothing hides changes');

# the oldest of them does, the others when that is over; mesh-admin may take
# its time
my $mine = transaction('mesh', 'forgotten');
my $other = transaction('other', 'backup');
my $admin = transaction('mesh', 'mesh-admin');
ok($mesh->wait_for('the end of our own', sub { gone($mine->{pid}) }),
   'a transaction of our role that stays open is ended');
my ($line) = $mesh->error_log =~ /^(.*pid $mine->{pid}, .*)$/m;
like($line // '',
     qr/\[warn\].*role "mesh", program "forgotten", .* it is ended$/,
     'the log says whose it was');

$mesh->wait_for('the word of another', sub {
    $mesh->error_log =~ /pid $other->{pid}, role "other"/;
});
($line) = $mesh->error_log =~ /^(.*pid $other->{pid}, .*)$/m;
like($line, qr/\[crit\].*program "backup", has hidden .*end it/,
     'of the one of another role the operator is told');
cmp_ok(held(), '>=', 30, 'and the status page for how long');

my $before = held();
$mesh->wait_for('the next look', sub { held() > $before });
is(scalar(() = $mesh->error_log =~ /pid $other->{pid}, role/g), 1,
   'it stands in the log once');
ok(!gone($other->{pid}), 'and is not ended');

print { $other->{in} } "COMMIT;\n";
$mesh->wait_for('the end of it', sub {
    $mesh->error_log =~ /the transaction that hid changes is over/;
});
pass('its end is told');
$mesh->wait_for('the word of mesh-admin', sub {
    $mesh->error_log =~ /\[crit\].*pid $admin->{pid}, /;
});
ok(!gone($admin->{pid}), 'an act of mesh-admin is not ended');
print { $admin->{in} } "COMMIT;\n";
$mesh->wait_for('nothing held', sub { held() == 0 });
pass('then all changes are seen again');

for my $t ($mine, $other, $admin) {
    close $t->{in};
    waitpid $t->{child}, 0;
}
$mesh->stop;
done_testing;


# one that has written and says nothing more
sub transaction {
    my ($role, $program) = @_;
    local $ENV{PGAPPNAME} = $program;
    local $ENV{PGOPTIONS} = '-c idle_in_transaction_session_timeout=0';
    my $child = open2(my $out, my $in, 'psql', '-qAtX', '-h', $ENV{MESH_PG},
                      '-U', $role, '-d', $mesh->{dbname});
    $in->autoflush(1);
    print $in "BEGIN; SELECT pg_backend_pid(); "
            . "SELECT pg_current_xact_id() IS NOT NULL;\n";
    chomp(my $pid = <$out>);
    <$out>;
    return { child => $child, in => $in, out => $out, pid => $pid };
}

# its server process
sub gone { return !-d "/proc/$_[0]" }

sub held {
    my ($n) = $mesh->get('/metrics')->{body} =~ /^mesh_db_held (\d+)/m;
    return $n // 'none';
}
