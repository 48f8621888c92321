#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# The disk under the SQLite file is full for a while: what cannot be stored is
# answered with an error, what can be read is, and nothing is broken after.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use DBI;
use JSON::PP;
use Test::More;
use Mesh::Agent;
use Mesh::Control;
use Mesh::Test;

my $mesh = Mesh::Test->new;
my $data = "$mesh->{dir}/data";

plan(skip_all => 'PostgreSQL has a disk of its own') if $mesh->{db} ne 'sqlite';
my ($uid, $gid) = (stat $data)[4, 5];
my $mounted = $> == 0
              && system('mount', '-t', 'tmpfs', '-o',
                        "size=8m,mode=0755,uid=$uid,gid=$gid", 'tmpfs', $data)
                 == 0;
plan(skip_all => 'only root may mount a small disk') if !$mounted;

END { system('umount', '-l', $data) if $data && $mesh && $mounted }

my $group = $mesh->lab;

my $admin = Mesh::Control->new($mesh, 'admin', 'correct horse battery');
my $agent = Mesh::Agent->new($mesh, n => 740, group => $group, name => 'there');
ok($agent->online, 'an agent is online');

# --- not a byte is left

fill("$data/filler");

my ($made, $refused) = (0, undef);
for my $n (1 .. 200) {
    my $answer = $admin->ask({ action => 'createmesh', meshtype => 2,
                               meshname => "G$n", desc => 'x' x 1000 });
    if (($answer->{result} // '') ne 'ok') {
        $refused = $answer->{result};
        last;
    }
    $made++;
}

ok(defined $refused, 'what cannot be stored is refused');
like($refused // '', qr/^The disk of the server is full: nothing was changed/,
     'in words that name the cause and what helps');
my $signed = sign_in();
is($signed->{status}, 507, 'a sign-in that cannot be remembered is refused');
like($signed->{body}, qr/disk of the server is full/, 'in the same words');
is(scalar @{ $admin->ask({ action => 'meshes' })->{meshes} }, 1 + $made,
   'what was stored before is there, and nothing else');
ok($agent->{ws}->alive, 'the agent stays');
like($mesh->error_log, qr/database or disk is full/, 'the log names the cause');
$agent->json({ action => 'sysinfo', data => { hash => 'h1',
    hardware => { identifiers => { cpu_name => 'test' } } } });
ok($agent->held, 'a device says what it is');
my $errors = errors();
$mesh->wait_for('it to be refused', sub { errors() > $errors + 10 });

# --- room again

unlink "$data/filler";
is($admin->ask({ action => 'createmesh', meshtype => 2,
                 meshname => 'After' })->{result}, 'ok',
   'with room again all goes on, without a restart');
is(sign_in()->{status}, 200, 'and people sign in');
$mesh->wait_for('health', sub { $mesh->get('/health.ashx')->{status} == 200 });

$mesh->wait_for('what a device said meanwhile', sub {
    $mesh->sql("SELECT 1 FROM device_part WHERE part = 'hardware'");
});
pass('what a device said meanwhile is stored when there is room');

my $late = Mesh::Agent->new($mesh, n => 741, group => $group, name => 'late');
ok($late->online, 'and devices get in');

$_->close for $agent, $late;

my $db = DBI->connect("dbi:SQLite:dbname=$data/mesh.db", '', '');
is($db->selectrow_array('PRAGMA integrity_check'), 'ok',
   'the file is not damaged');
is($db->selectrow_array('SELECT count(*) FROM device_group'), 2 + $made,
   'and has what was answered with ok');
$db->disconnect;

# the folder goes with the end, and the disk before it
system 'umount', '-l', $data;
undef $data;
$mesh->stop;
done_testing();


sub errors {
    my ($n) = $mesh->get('/metrics')->{body} =~ /^mesh_db_errors_total (\d+)$/m;
    return $n;
}

sub fill {
    my ($name) = @_;
    open my $out, '>', $name or die "$name: $!\n";
    $out->autoflush;
    1 while syswrite $out, 'x' x 65536;
    1 while syswrite $out, 'x' x 512;
    close $out;
}

# as the page does it; the answer
sub sign_in {
    my %headers = ('Content-Type' => 'application/json',
                   Origin => "https://localhost:$mesh->{port}");
    my $r = $mesh->get('/session.ashx', headers => \%headers);

    $headers{Cookie} = join '; ', $r->{head} =~ /^set-cookie: ([^;\r\n]+)/mgi;
    $headers{'X-Mesh-CSRF'} = decode_json($r->{body})->{csrf};

    return $mesh->request('POST', '/login.ashx', headers => \%headers,
        body => encode_json({ username => 'admin',
                              password => 'correct horse battery' }));
}
