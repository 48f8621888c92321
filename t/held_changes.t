#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# PostgreSQL: a transaction that stays open hides all changes behind it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IPC::Open2 qw(open2);
use Test::More;
use Mesh::Test;

plan skip_all => 'SQLite has one writer'
    if ($ENV{MESH_DB} // 'sqlite') ne 'postgres';

my $mesh = Mesh::Test->new;
$mesh->start;
my $role = "mesh_other_$$";
$mesh->sql("CREATE ROLE $role LOGIN");
is(held(), 0, 'nothing hides changes');

my $mine = transaction('mesh', 'forgotten');
ok($mesh->wait_for('the end of our own', sub { gone($mine->{pid}) }),
   'a transaction of our role that stays open is ended');
my ($line) = $mesh->error_log =~ /^(.*pid $mine->{pid}, .*)$/m;
like($line // '',
     qr/\[warn\].*role "mesh", program "forgotten", .* it is ended$/,
     'the log says whose it was');

my $other = transaction($role, 'backup');
$mesh->wait_for('the word of another', sub {
    $mesh->error_log =~ /pid $other->{pid}, role "$role"/;
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

# mesh-admin may take its time
my $admin = transaction('mesh', 'mesh-admin');
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
$mesh->sql("DROP ROLE $role");
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
