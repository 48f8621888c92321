#!/usr/bin/perl
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

# Statements: one table of them, nothing put together from what somebody said,
# each within its domain; and a role that can do no more than it must.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Mesh::Agent;
use Mesh::Control;
use Mesh::Test;

my $root = $Mesh::Test::ROOT;
my $low = "mesh_low_$$";
my $as_low = 0;

{
    no warnings 'redefine';
    my $conf = \&Mesh::Test::conf;
    *Mesh::Test::conf = sub {
        my $text = $conf->(@_);
        $text =~ s/ user=mesh / user=$low / if $as_low;
        return $text;
    };
}

# --- in the sources

my %backend = map { $_ => 1 } qw(ngx_mesh_db_sqlite.c ngx_mesh_db_pg.c
                                 mesh_admin_db.c);
my $sql = qr/\b(?:SELECT\s|INSERT\s+INTO|DELETE\s+FROM|UPDATE\s+\w+\s+SET)/;
my (@texts, @calls, @formats);

for my $file (glob "$root/{ngx_mesh_module,ngx_mesh_relay,mesh-admin}/{,*/}*.c") {
    my ($name) = $file =~ m{([^/]+)$};
    my $text = Mesh::Test::read_file($file) =~ s{/\*.*?\*/}{}gsr;

    if (!$backend{$name}) {
        push @texts, "$name: $1" while $text =~ /("[^"\n]*$sql[^"\n]*")/g;
        push @calls, "$name: $1"
            while $text =~ /\b(sqlite3_\w+|PQ(?:exec|prepare|send)\w*)\(/g;
        next;
    }

    # what is sent there is a literal or a text of the table
    push @formats, "$name: $1"
        while $text =~ /(\w*printf\w*\([^;"]*"[^"]*$sql[^"]*"\s*,[^;]*;)/g;
    push @formats, "$name: $1" while $text =~ /("[^"\n]*$sql[^"\n]*%[^"\n]*")/g;
}

is(join("\n", @texts), '', 'S-70: no statement stands outside of the table');
is(join("\n", @calls), '', 'S-70: only the back ends speak to a database');
is(join("\n", @formats), '', 'S-70: and they print none together');

my @rows = Mesh::Test::read_file("$root/conf/sql/mesh_sql.h")
           =~ s{/\*.*?\*/}{}gsr
           =~ /MESH_SQL_ROW\((\w+,.*?)(?=MESH_SQL_ROW\(|#define)/gs;
cmp_ok(scalar @rows, '>', 80, 'the table of statements is read');

for my $row (@rows) {
    my ($name) = $row =~ /^(\w+)/;
    my $text = $row =~ s/"\s*\\?\s*"//gr;
    my $named = $text =~ /\b(?:wire_id|login|name_key)\s*(?:=\s*\?|IN\s*\()/;

    next if !$named || $text =~ /UPDATE \w+ SET[^"]*name_key = coalesce/;
    next if $text =~ /^\w+[^"]*"UPDATE/ && $text !~ /WHERE[^"]*wire_id|login/;
    like($text, qr/\bdomain_id = \?\d/,
         "S-70: $name finds by a name, and within a domain");
}

# --- a role without rights that it does not need, and a trap in its way

my $mesh = Mesh::Test->new;
my $postgres = $mesh->{db} eq 'postgres';
my $evil = q{x'); DROP TABLE device; --"\\$1?1%s};
my $group;

$mesh->start(prepare => sub {
    if ($postgres) {
        $mesh->sql("CREATE ROLE $low LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE;"
            . " DROP SCHEMA public CASCADE;"
            . " CREATE SCHEMA public AUTHORIZATION $low;"
            . " CREATE SCHEMA $low AUTHORIZATION $low;"
            . " CREATE TABLE $low.meta (key text PRIMARY KEY, value text);"
            . " INSERT INTO $low.meta VALUES ('schema', '999');"
            . " ALTER TABLE $low.meta OWNER TO $low");
        $as_low = 1;
        $mesh->write_conf;
        $mesh->admin('migrate');
    }

    $mesh->admin(\"correct horse battery\n", 'user', 'add', 'boss',
                 '--site-admin');
    $group = $mesh->admin('group', 'add', $evil, '--owner', 'boss');
    chomp $group;
});

my $boss = Mesh::Control->new($mesh, 'boss', 'correct horse battery');
ok($boss->ok, 'S-70: the server works with a role that owns its tables only');

if ($postgres) {
    is(join('', $mesh->sql('SELECT DISTINCT rolsuper FROM pg_stat_activity a'
        . ' JOIN pg_roles r ON r.rolname = a.usename'
        . " WHERE application_name = 'ngx_mesh' AND datname = current_database()"
       )), 'f', 'S-70: which is no superuser');
    is(join('', $mesh->sql("SELECT count(*) FROM $low.meta")), 1,
       'S-70: a table of the same name before ours in its path is not used');
}

# --- what people and devices say is data

my $agent = Mesh::Agent->new($mesh, n => 790, group => $group, name => $evil);
ok($agent->online, 'a device with a name of SQL joins');
my ($id) = map { $_->{_id} } grep { $_->{name} eq $evil }
           @{ $boss->ask({ action => 'meshes' })->{meshes} };
is($id, $group, 'S-70: the name of a group comes back as it went in');
is($boss->ask({ action => 'changedevice', nodeid => $agent->node,
                name => $evil, desc => $evil, tags => [$evil] })->{result},
   'ok', 'name, description and tags are stored');
$boss->ask({ action => 'setNotes', id => $agent->node, notes => $evil });

my $nodes = $boss->ask({ action => 'nodes' })->{nodes};
my ($node) = map { @$_ } values %$nodes;
is($node->{name}, $evil, 'S-70: so does the name of a device');
is($node->{desc}, $evil, 'S-70: and what it is described as');
is_deeply($node->{tags}, [$evil], 'S-70: and its tags');
is($boss->ask({ action => 'getNotes', id => $agent->node })->{notes}, $evil,
   'S-70: and notes on it');
for my $m ({ action => 'nodes', id => $evil },
           { action => 'events', nodeid => $evil },
           { action => 'nodes', meshname => "$evil' OR '1'='1" },
           { action => 'lastconnect', nodeid => "node//' OR 1=1 --" }) {
    my $text = JSON::PP::encode_json($boss->ask($m) // {});
    unlike($text, qr/syntax error|no such|SQLITE|unterminated/i, "S-70: \"$m->{action}\" with SQL "
           . 'for an id is answered like any unknown one');
}
is(join('', $mesh->sql('SELECT count(*) FROM device')), 1,
   'S-70: the table is still there');
unlike($mesh->error_log, qr/mesh db: \w+ failed/,
       'S-70: and no statement has failed');

$_->close for $boss, $agent;
my $name = $mesh->{dbname};
$mesh->stop;
Mesh::Test::run('psql', '-q', '-h', $ENV{MESH_PG}, '-U', 'mesh', '-d',
                'postgres', '-c', "DROP ROLE $low") if $postgres;
done_testing();
