/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Every statement that the server and mesh-admin send.
 *
 *     MESH_SQL_ROW(NAME, arguments, flags, SQLite's text, PostgreSQL's text)
 *
 * Arguments are ?1, ?2, ... in both texts; the back end for PostgreSQL writes
 * them as $1.  NULL for PostgreSQL: the same text.  Where it cannot know the
 * type of an argument (SELECT ?1, NULLIF) the text says CAST(?1 AS bigint).
 *
 *     WRITE       goes to the writer, in a transaction
 *     IDEMPOTENT  sending it twice does what sending it once does: it is sent
 *                 again when the connection broke.  Reads are anyway.
 *     MUST        must change a row, else its request fails with NGX_DECLINED.
 *                 PostgreSQL's text, unless given, is made of the other one.
 *     WAIT        waits while the database is away; others fail with NGX_ABORT
 *
 * Ids are integers, wire ids the full text ("node//<64>"), times ms UTC.
 */

#ifndef _MESH_SQL_H_INCLUDED_
#define _MESH_SQL_H_INCLUDED_


#include <stddef.h>


/* what meta "schema" says after the last file in conf/sql */
#define MESH_SQL_SCHEMA      1

#define MESH_SQL_WRITE       1
#define MESH_SQL_IDEMPOTENT  2
#define MESH_SQL_MUST        4
#define MESH_SQL_WAIT        8


/* what is read of an event, by the name that its table has there */
#define MESH_SQL_EVENT(event)                                                 \
    "SELECT at, kind, action, msgid, text, args, doc, account_id,"            \
    " device_group_id, device_id, (SELECT wire_id FROM device d"              \
    " WHERE d.device_id = " event ".device_id)"


#define MESH_SQL_TABLE(MESH_SQL_ROW)                                          \
                                                                              \
/* the back ends themselves */                                                \
                                                                              \
MESH_SQL_ROW(META_GET, 1, 0,                                                  \
    "SELECT value FROM meta WHERE key = ?1",                                  \
    NULL)                                                                     \
                                                                              \
MESH_SQL_ROW(META_SET, 2, MESH_SQL_WRITE|MESH_SQL_IDEMPOTENT,                 \
    "INSERT INTO meta (key, value) VALUES (?1, ?2)"                           \
    " ON CONFLICT (key) DO UPDATE SET value = excluded.value",                \
    NULL)                                                                     \
                                                                              \
MESH_SQL_ROW(KEY_BLOCK, 0, MESH_SQL_WRITE,                                    \
    "UPDATE meta SET value = CAST(value AS integer) + 1000"                   \
    " WHERE key = 'next_key' RETURNING CAST(value AS integer) - 1000",        \
    "SELECT nextval('mesh_key')")                                             \
                                                                              \
/* account */                                                                 \
                                                                              \
MESH_SQL_ROW(WEB_META_GET, 1, 0,                                              \
    "SELECT value FROM meta WHERE key = ?1",                                  \
    NULL)                                                                     \
                                                                              \
/* the set-up link works for one */                                           \
MESH_SQL_ROW(WEB_SETUP_CLOSE, 1, MESH_SQL_WRITE|MESH_SQL_MUST,                \
    "UPDATE meta SET value = ''"                                              \
    " WHERE key = 'setup' AND value = ?1 AND value <> ''",                    \
    NULL)                                                                     \
                                                                              \
/* id, domain, login, name, email, site rights, flags, now */                 \
MESH_SQL_ROW(WEB_ACCOUNT_ADD, 8, MESH_SQL_WRITE,                              \
    "INSERT INTO account (account_id, domain_id, login, name, email,"         \
    " site_rights, flags, created_at)"                                        \
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",                               \
    NULL)                                                                     \
                                                                              \
/* credential id, account, text, now */                                       \
MESH_SQL_ROW(WEB_PASSWORD_ADD, 4, MESH_SQL_WRITE,                             \
    "INSERT INTO credential (credential_id, account_id, kind, secret,"        \
    " created_at) VALUES (?1, ?2, 'password', ?3, ?4)",                       \
    NULL)                                                                     \
                                                                              \
MESH_SQL_ROW(WEB_PASSWORD_GET, 1, 0,                                          \
    "SELECT secret, created_at FROM credential"                               \
    " WHERE account_id = ?1 AND kind = 'password'",                           \
    NULL)                                                                     \
                                                                              \
/* domain, login: asked of the database, as the model lags behind others */   \
MESH_SQL_ROW(WEB_LOGIN, 2, 0,                                                 \
    "SELECT a.account_id, c.secret FROM account a"                            \
    " JOIN credential c ON c.account_id = a.account_id"                       \
    " AND c.kind = 'password' WHERE a.domain_id = ?1 AND a.login = ?2",       \
    NULL)                                                                     \
                                                                              \
/* account, new text, old text: the password stays as old as it is */         \
MESH_SQL_ROW(WEB_PASSWORD_REHASH, 3, MESH_SQL_WRITE|MESH_SQL_IDEMPOTENT,      \
    "UPDATE credential SET secret = ?2"                                       \
    " WHERE account_id = ?1 AND kind = 'password' AND secret = ?3",           \
    NULL)                                                                     \
                                                                              \
/* account, text, now, old text: who was faster wins */                       \
MESH_SQL_ROW(CTL_PASSWORD_SET, 4, MESH_SQL_WRITE|MESH_SQL_MUST,               \
    "UPDATE credential SET secret = ?2, created_at = ?3"                      \
    " WHERE account_id = ?1 AND kind = 'password' AND secret = ?4",           \
    NULL)                                                                     \
                                                                              \
/* account, now */                                                            \
MESH_SQL_ROW(WEB_ACCOUNT_SEEN, 2, MESH_SQL_WRITE,                             \
    "INSERT INTO account_seen (account_id, login_at, access_at)"              \
    " SELECT account_id, CAST(?2 AS bigint), CAST(?2 AS bigint)"              \
    " FROM account WHERE account_id = ?1"                                     \
    " ON CONFLICT (account_id) DO UPDATE"                                     \
    " SET previous_at = account_seen.login_at,"                               \
    " login_at = excluded.login_at, access_at = excluded.access_at",          \
    NULL)                                                                     \
                                                                              \
/* web_session: hash, account, now, end, address, agent */                    \
MESH_SQL_ROW(WEB_SESSION_ADD, 6, MESH_SQL_WRITE,                              \
    "INSERT INTO web_session (token_hash, account_id, created_at, used_at,"   \
    " expires_at, address, agent) VALUES (?1, ?2, ?3, ?3, ?4, ?5, ?6)",       \
    NULL)                                                                     \
                                                                              \
MESH_SQL_ROW(WEB_SESSION_GET, 1, 0,                                           \
    "SELECT account_id, used_at, expires_at FROM web_session"                 \
    " WHERE token_hash = ?1",                                                 \
    NULL)                                                                     \
                                                                              \
MESH_SQL_ROW(WEB_SESSION_TOUCH, 2, MESH_SQL_WRITE|MESH_SQL_IDEMPOTENT,        \
    "UPDATE web_session SET used_at = ?2"                                     \
    " WHERE token_hash = ?1 AND used_at < ?2",                                \
    NULL)                                                                     \
                                                                              \
/* hash, account */                                                           \
MESH_SQL_ROW(WEB_SESSION_DELETE, 2, MESH_SQL_WRITE|MESH_SQL_IDEMPOTENT,       \
    "DELETE FROM web_session WHERE token_hash = ?1 AND account_id = ?2",      \
    NULL)                                                                     \
                                                                              \
/* account, hash to keep or '' */                                             \
MESH_SQL_ROW(CTL_WEB_SESSIONS_END, 2, MESH_SQL_WRITE|MESH_SQL_IDEMPOTENT,     \
    "DELETE FROM web_session WHERE account_id = ?1 AND token_hash <> ?2",     \
    NULL)                                                                     \
                                                                              \
/* account, now: those that still count */                                    \
MESH_SQL_ROW(CTL_WEB_SESSIONS, 2, 0,                                          \
    "SELECT token_hash, created_at, used_at, address, agent FROM web_session" \
    " WHERE account_id = ?1 AND expires_at > ?2"                              \
    " ORDER BY used_at DESC LIMIT 100",                                       \
    NULL)                                                                     \
                                                                              \
MESH_SQL_ROW(CTL_WEB_SESSION_DELETE, 2, MESH_SQL_WRITE|MESH_SQL_MUST,         \
    "DELETE FROM web_session WHERE token_hash = ?1 AND account_id = ?2",      \
    NULL)                                                                     \
                                                                              \
/* account_part: account, part, text */                                       \
MESH_SQL_ROW(CTL_ACCOUNT_PART_SET, 3, MESH_SQL_WRITE|MESH_SQL_IDEMPOTENT,     \
    "INSERT INTO account_part (account_id, part, text) VALUES (?1, ?2, ?3)"   \
    " ON CONFLICT (account_id, part) DO UPDATE SET text = excluded.text",     \
    NULL)                                                                     \
                                                                              \
MESH_SQL_ROW(CTL_ACCOUNT_PART_GET, 2, 0,                                      \
    "SELECT text FROM account_part WHERE account_id = ?1 AND part = ?2",      \
    NULL)                                                                     \
                                                                              \
/* domain */                                                                  \
MESH_SQL_ROW(CTL_ACCOUNTS_SEEN, 1, 0,                                         \
    "SELECT s.account_id, s.login_at, s.previous_at, s.access_at"             \
    " FROM account a JOIN account_seen s ON s.account_id = a.account_id"      \
    " WHERE a.domain_id = ?1",                                                \
    NULL)                                                                     \
                                                                              \
/* the caches of core/ngx_mesh_model.c; 0 for all, or one id */               \
                                                                              \
MESH_SQL_ROW(MODEL_DOMAINS, 0, 0,                                             \
    "SELECT domain_id, name, doc FROM domain",                                \
    NULL)                                                                     \
                                                                              \
MESH_SQL_ROW(MODEL_KEYS, 0, 0,                                                \
    "SELECT name, secret, created_at FROM server_key",                        \
    NULL)                                                                     \
                                                                              \
MESH_SQL_ROW(MODEL_ACCOUNTS, 0, 0,                                            \
    "SELECT a.account_id, a.domain_id, a.login, a.name, a.real_name, a.email,"\
    " a.site_rights, a.removed_rights, a.consent, a.flags, a.created_at,"     \
    " a.doc, a.revision, c.created_at FROM account a"                         \
    " LEFT JOIN credential c ON c.account_id = a.account_id"                  \
    " AND c.kind = 'password'",                                               \
    NULL)                                                                     \
                                                                              \
MESH_SQL_ROW(MODEL_ACCOUNT, 1, 0,                                             \
    "SELECT a.account_id, a.domain_id, a.login, a.name, a.real_name, a.email,"\
    " a.site_rights, a.removed_rights, a.consent, a.flags, a.created_at,"     \
    " a.doc, a.revision, c.created_at FROM account a"                         \
    " LEFT JOIN credential c ON c.account_id = a.account_id"                  \
    " AND c.kind = 'password' WHERE a.account_id = ?1",                       \
    NULL)                                                                     \
                                                                              \
MESH_SQL_ROW(MODEL_USER_GROUPS, 0, 0,                                         \
    "SELECT user_group_id, domain_id, wire_id, name, consent, flags"          \
    " FROM user_group",                                                       \
    NULL)                                                                     \
                                                                              \
MESH_SQL_ROW(MODEL_USER_GROUP, 1, 0,                                          \
    "SELECT user_group_id, domain_id, wire_id, name, consent, flags"          \
    " FROM user_group WHERE user_group_id = ?1",                              \
    NULL)                                                                     \
                                                                              \
MESH_SQL_ROW(MODEL_MEMBERS, 0, 0,                                             \
    "SELECT account_id, user_group_id FROM member",                           \
    NULL)                                                                     \
                                                                              \
MESH_SQL_ROW(MODEL_MEMBER, 1, 0,                                              \
    "SELECT account_id, user_group_id FROM member WHERE account_id = ?1",     \
    NULL)                                                                     \
                                                                              \
MESH_SQL_ROW(MODEL_GROUPS, 0, 0,                                              \
    "SELECT device_group_id, domain_id, parent_id, wire_id, name, kind,"      \
    " consent, flags, created_at, created_by, deleted_at, doc, revision"      \
    " FROM device_group",                                                     \
    NULL)                                                                     \
                                                                              \
MESH_SQL_ROW(MODEL_GROUP, 1, 0,                                               \
    "SELECT device_group_id, domain_id, parent_id, wire_id, name, kind,"      \
    " consent, flags, created_at, created_by, deleted_at, doc, revision"      \
    " FROM device_group WHERE device_group_id = ?1",                          \
    NULL)                                                                     \
                                                                              \
MESH_SQL_ROW(MODEL_ACCESSES, 0, 0,                                            \
    "SELECT access_id, account_id, user_group_id, device_group_id, device_id,"\
    " rights, expires_at FROM access",                                        \
    NULL)                                                                     \
                                                                              \
MESH_SQL_ROW(MODEL_ACCESS, 1, 0,                                              \
    "SELECT access_id, account_id, user_group_id, device_group_id, device_id,"\
    " rights, expires_at FROM access WHERE access_id = ?1",                   \
    NULL)                                                                     \
                                                                              \
/* change: kind, id */                                                        \
MESH_SQL_ROW(CHANGE_ADD, 2, MESH_SQL_WRITE,                                   \
    "INSERT INTO change (kind, id) VALUES (?1, ?2)",                          \
    "INSERT INTO change (kind, id, tx) VALUES (?1, ?2,"                       \
    " pg_current_xact_id()::text::bigint"                                     \
    " + (SELECT value::bigint FROM meta WHERE key = 'tx_offset'))")           \
                                                                              \
/* from where to read (-1: nothing, only where to begin): always a row;    */ \
/* bound, floor, kind, id.  The next question begins at the bound.  Bound  */ \
/* and rows are of one snapshot (data.md 5).                               */ \
MESH_SQL_ROW(CHANGES, 1, 0,                                                   \
    "SELECT s.b, s.f, c.kind, c.id FROM (SELECT"                              \
    " coalesce((SELECT max(change_id) + 1 FROM change),"                      \
    " (SELECT seq + 1 FROM sqlite_sequence WHERE name = 'change'), 1) AS b,"  \
    " (SELECT CAST(value AS integer) FROM meta WHERE key = 'change_floor')"   \
    " AS f) s LEFT JOIN change c ON ?1 >= 0 AND c.change_id >= ?1"            \
    " ORDER BY c.change_id",                                                  \
    "SELECT s.b, s.f, c.kind, c.id FROM (SELECT"                              \
    " pg_snapshot_xmin(pg_current_snapshot())::text::bigint"                  \
    " + (SELECT value::bigint FROM meta WHERE key = 'tx_offset') AS b,"       \
    " (SELECT value::bigint FROM meta WHERE key = 'change_floor') AS f) s"    \
    " LEFT JOIN change c ON ?1::bigint >= 0 AND c.tx >= ?1::bigint"           \
    " AND c.tx < s.b ORDER BY c.change_id")                                   \
                                                                              \
/* event: domain, at, kind, action, msgid, text, args, account, address,   */ \
/* subject, device, device group, session, doc                             */ \
MESH_SQL_ROW(EVENT_ADD, 14, MESH_SQL_WRITE,                                   \
    "INSERT INTO event (domain_id, at, kind, action, msgid, text, args,"      \
    " account_id, address, subject_id, device_id, device_group_id, session,"  \
    " doc) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13,"   \
    " ?14)",                                                                  \
    "INSERT INTO event (domain_id, at, kind, action, msgid, text, args,"      \
    " account_id, address, subject_id, device_id, device_group_id, session,"  \
    " doc, tx) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12,"    \
    " ?13, ?14, pg_current_xact_id()::text::bigint"                           \
    " + (SELECT value::bigint FROM meta WHERE key = 'tx_offset'))")           \
                                                                              \
/* one that a process without a bus wrote */                                  \
MESH_SQL_ROW(EVENT_STORED, 1, 0,                                              \
    "SELECT domain_id, device_group_id, device_id, account_id, subject_id,"   \
    " at, kind, action, msgid, text, args, doc FROM event"                    \
    " WHERE event_id = ?1",                                                   \
    NULL)                                                                     \
                                                                              \
/* the oldest transaction, if the bound of changes stands before it: who   */ \
/* has it (pid 0: a prepared one), ms since it began (-1: not to be seen), */ \
/* 1: of our role, and not mesh-admin's                                    */ \
MESH_SQL_ROW(KEEP_HELD, 0, 0,                                                 \
    "SELECT '', 0, '', '', 0, 0 WHERE 0",                                     \
    "SELECT s.b::text, coalesce(l.pid, 0), coalesce(a.usename, ''),"          \
    " coalesce(a.application_name, ''), coalesce(floor(1000 * extract("       \
    "   epoch FROM clock_timestamp() - a.xact_start))::bigint, -1),"          \
    " coalesce(a.usename = current_user"                                      \
    "   AND a.application_name <> 'mesh-admin', false)::int"                  \
    " FROM (SELECT pg_snapshot_xmin(n) AS b, pg_snapshot_xmax(n) AS e"        \
    "   FROM pg_current_snapshot() AS n) AS s"                                \
    " LEFT JOIN pg_locks AS l ON l.locktype = 'transactionid' AND l.granted"  \
    "   AND l.mode = 'ExclusiveLock' AND l.transactionid = s.b::xid"          \
    " LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid"                       \
    " WHERE s.b < s.e OR l.transactionid IS NOT NULL")                        \
                                                                              \
/* transaction, pid: if that has it still */                                  \
MESH_SQL_ROW(KEEP_HELD_END, 2, 0,                                             \
    "SELECT 1 WHERE ?1 IS NULL AND ?2 IS NULL",                               \
    "SELECT pg_terminate_backend(l.pid) FROM pg_locks AS l"                   \
    " WHERE l.locktype = 'transactionid' AND l.granted"                       \
    " AND l.mode = 'ExclusiveLock'"                                           \
    " AND l.transactionid = ?1::text::xid8::xid AND l.pid = ?2::int")         \
                                                                              \
/* housekeeping: floor, and what lies below it goes */                        \
                                                                              \
MESH_SQL_ROW(KEEP_FLOOR, 1, MESH_SQL_WRITE|MESH_SQL_IDEMPOTENT,               \
    "UPDATE meta SET value = CAST(?1 AS text) WHERE key = 'change_floor'"     \
    " AND CAST(value AS bigint) < CAST(?1 AS bigint)",                        \
    "UPDATE meta SET value = ?1::bigint::text WHERE key = 'change_floor'"     \
    " AND value::bigint < ?1::bigint")                                        \
                                                                              \
MESH_SQL_ROW(KEEP_CHANGES, 1, MESH_SQL_WRITE|MESH_SQL_IDEMPOTENT,             \
    "DELETE FROM change WHERE change_id < ?1",                                \
    "DELETE FROM change WHERE tx < ?1")                                       \
                                                                              \
/* now, used before */                                                        \
MESH_SQL_ROW(KEEP_WEB_SESSIONS, 2, MESH_SQL_WRITE|MESH_SQL_IDEMPOTENT,        \
    "DELETE FROM web_session WHERE expires_at < ?1 OR used_at < ?2",          \
    NULL)                                                                     \
                                                                              \
/* now: the partitions of this month and the next three */                    \
MESH_SQL_ROW(KEEP_PARTITIONS, 1, MESH_SQL_WRITE|MESH_SQL_IDEMPOTENT,          \
    "SELECT ?1",                                                              \
    "SELECT mesh_partitions(?1)")                                             \
                                                                              \
/* what is left of a group that was deleted: its id, a hundred of its      */ \
/* devices; null: grants alone                                             */ \
MESH_SQL_ROW(KEEP_GROUP, 0, 0,                                                \
    "SELECT g.device_group_id, d.device_id"                                   \
    " FROM (SELECT device_group_id FROM device_group AS o"                    \
    "   WHERE deleted_at IS NOT NULL AND (EXISTS (SELECT 1 FROM device AS i"  \
    "     WHERE i.device_group_id = o.device_group_id)"                       \
    "   OR EXISTS (SELECT 1 FROM access AS i"                                 \
    "     WHERE i.device_group_id = o.device_group_id))"                      \
    "   ORDER BY device_group_id LIMIT 1) AS g"                               \
    " LEFT JOIN device AS d ON d.device_group_id = g.device_group_id"         \
    " ORDER BY d.device_id LIMIT 100",                                        \
    NULL)                                                                     \
                                                                              \
/* connecting agents: domain, wire id */                                      \
MESH_SQL_ROW(DEVICE_CONNECT, 2, MESH_SQL_WAIT,                                \
    "SELECT d.device_id, device_group_id, kind, icon, name, reported_name,"   \
    " description, system, agent_kind, agent_caps, agent_version, host,"      \
    " consent, first_seen_at, approved_at, revision,"                         \
    " (SELECT hash FROM device_part AS p"                                     \
    "   WHERE p.device_id = d.device_id AND part = 'hardware')"               \
    " FROM device AS d WHERE domain_id = ?1 AND wire_id = ?2",                \
    NULL)                                                                     \
                                                                              \
/* domain, wire id */                                                         \
MESH_SQL_ROW(AGENT_GROUP, 2, 0,                                               \
    "SELECT device_group_id FROM device_group"                                \
    " WHERE domain_id = ?1 AND wire_id = ?2 AND deleted_at IS NULL",          \
    NULL)                                                                     \
                                                                              \
/* id, domain, wire id, group, kind, icon, name, key, reported name,       */ \
/* agent kind, caps, version, host, now, approved or null                  */ \
MESH_SQL_ROW(DEVICE_ADD, 15, MESH_SQL_WRITE,                                  \
    "INSERT INTO device (device_id, domain_id, wire_id, device_group_id,"     \
    " kind, icon, name, name_key, reported_name, agent_kind, agent_caps,"     \
    " agent_version, host, first_seen_at, approved_at)"                       \
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14,"   \
    " ?15)",                                                                  \
    NULL)                                                                     \
                                                                              \
/* id, agent kind, caps, version */                                           \
MESH_SQL_ROW(DEVICE_AGENT, 4,                                                 \
    MESH_SQL_WRITE|MESH_SQL_IDEMPOTENT|MESH_SQL_MUST,                         \
    "UPDATE device SET agent_kind = ?2, agent_caps = ?3, agent_version = ?4"  \
    " WHERE device_id = ?1",                                                  \
    NULL)                                                                     \
                                                                              \
/* late: id, reported name */                                                 \
MESH_SQL_ROW(DEVICE_REPORTED, 2, MESH_SQL_WRITE|MESH_SQL_IDEMPOTENT,          \
    "UPDATE device SET reported_name = ?2"                                    \
    " WHERE device_id = ?1 AND reported_name <> ?2",                          \
    NULL)                                                                     \
                                                                              \
/* late: id, caps; id, system */                                              \
MESH_SQL_ROW(DEVICE_CAPS, 2, MESH_SQL_WRITE|MESH_SQL_IDEMPOTENT,              \
    "UPDATE device SET agent_caps = ?2 WHERE device_id = ?1",                 \
    NULL)                                                                     \
                                                                              \
MESH_SQL_ROW(DEVICE_SYSTEM, 2, MESH_SQL_WRITE|MESH_SQL_IDEMPOTENT,            \
    "UPDATE device SET system = ?2 WHERE device_id = ?1 AND system <> ?2",    \
    NULL)                                                                     \
                                                                              \
/* id, name, key: if it has another one */                                    \
MESH_SQL_ROW(DEVICE_NAME, 3,                                                  \
    MESH_SQL_WRITE|MESH_SQL_IDEMPOTENT|MESH_SQL_MUST,                         \
    "UPDATE device SET name = ?2, name_key = ?3, revision = revision + 1"     \
    " WHERE device_id = ?1 AND name <> ?2",                                   \
    NULL)                                                                     \
                                                                              \
/* id, group */                                                               \
MESH_SQL_ROW(DEVICE_MOVE, 2,                                                  \
    MESH_SQL_WRITE|MESH_SQL_IDEMPOTENT|MESH_SQL_MUST,                         \
    "UPDATE device SET device_group_id = ?2, revision = revision + 1"         \
    " WHERE device_id = ?1",                                                  \
    NULL)                                                                     \
                                                                              \
MESH_SQL_ROW(DEVICE_DELETE, 1, MESH_SQL_WRITE|MESH_SQL_MUST,                  \
    "DELETE FROM device WHERE device_id = ?1",                                \
    NULL)                                                                     \
                                                                              \
/* late: device, at, cause, kind, address */                                  \
MESH_SQL_ROW(DEVICE_SEEN, 5, MESH_SQL_WRITE|MESH_SQL_IDEMPOTENT,              \
    "INSERT INTO device_seen (device_id, at, cause, kind, address)"           \
    " SELECT device_id, CAST(?2 AS bigint), CAST(?3 AS bigint),"              \
    " CAST(?4 AS bigint), CAST(?5 AS text) FROM device WHERE device_id = ?1"  \
    " ON CONFLICT (device_id) DO UPDATE SET at = excluded.at,"                \
    " cause = excluded.cause, kind = excluded.kind,"                          \
    " address = excluded.address WHERE device_seen.at <= excluded.at",        \
    NULL)                                                                     \
                                                                              \
/* device, at, state */                                                       \
MESH_SQL_ROW(POWER_ADD, 3, MESH_SQL_WRITE,                                    \
    "INSERT INTO power (device_id, at, state) VALUES (?1, ?2, ?3)",           \
    NULL)                                                                     \
                                                                              \
/* device, part, hash, now, doc */                                            \
MESH_SQL_ROW(DEVICE_PART_SET, 5, MESH_SQL_WRITE|MESH_SQL_IDEMPOTENT,          \
    "INSERT INTO device_part (device_id, part, hash, updated_at, doc)"        \
    " SELECT device_id, CAST(?2 AS text), CAST(?3 AS text),"                  \
    " CAST(?4 AS bigint), CAST(?5 AS text) FROM device WHERE device_id = ?1"  \
    " ON CONFLICT (device_id, part) DO UPDATE SET hash = excluded.hash,"      \
    " updated_at = excluded.updated_at, doc = excluded.doc",                  \
    NULL)                                                                     \
                                                                              \
MESH_SQL_ROW(DEVICE_PART_GET, 2, 0,                                           \
    "SELECT doc, hash, updated_at FROM device_part"                           \
    " WHERE device_id = ?1 AND part = ?2",                                    \
    NULL)                                                                     \
                                                                              \
/* device groups: id, domain, wire id, kind, name, consent, flags, now,    */ \
/* account, doc                                                            */ \
MESH_SQL_ROW(GROUP_ADD, 10, MESH_SQL_WRITE,                                   \
    "INSERT INTO device_group (device_group_id, domain_id, wire_id, kind,"    \
    " name, consent, flags, created_at, created_by, doc)"                     \
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",                      \
    NULL)                                                                     \
                                                                              \
/* id, name, consent, flags, doc */                                           \
MESH_SQL_ROW(GROUP_EDIT, 5,                                                   \
    MESH_SQL_WRITE|MESH_SQL_IDEMPOTENT|MESH_SQL_MUST,                         \
    "UPDATE device_group SET name = ?2, consent = ?3, flags = ?4, doc = ?5,"  \
    " revision = revision + 1"                                                \
    " WHERE device_group_id = ?1 AND deleted_at IS NULL",                     \
    NULL)                                                                     \
                                                                              \
/* id, now */                                                                 \
MESH_SQL_ROW(GROUP_DELETE, 2, MESH_SQL_WRITE|MESH_SQL_MUST,                   \
    "UPDATE device_group SET deleted_at = ?2, revision = revision + 1"        \
    " WHERE device_group_id = ?1 AND deleted_at IS NULL",                     \
    NULL)                                                                     \
                                                                              \
/* access: id, domain, account, device group or null, device or null,      */ \
/* rights, by, now                                                         */ \
MESH_SQL_ROW(ACCESS_ADD, 8, MESH_SQL_WRITE,                                   \
    "INSERT INTO access (access_id, domain_id, account_id, device_group_id,"  \
    " device_id, rights, created_by, created_at)"                             \
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",                               \
    NULL)                                                                     \
                                                                              \
/* id, rights */                                                              \
MESH_SQL_ROW(ACCESS_SET, 2,                                                   \
    MESH_SQL_WRITE|MESH_SQL_IDEMPOTENT|MESH_SQL_MUST,                         \
    "UPDATE access SET rights = ?2 WHERE access_id = ?1",                     \
    NULL)                                                                     \
                                                                              \
MESH_SQL_ROW(ACCESS_DELETE, 1, MESH_SQL_WRITE|MESH_SQL_MUST,                  \
    "DELETE FROM access WHERE access_id = ?1",                                \
    NULL)                                                                     \
                                                                              \
/* control: devices by domain and JSON array of wire ids; the columns are  */ \
/* NGX_MESH_DEV_*                                                          */ \
MESH_SQL_ROW(CTL_DEVICES, 2, 0,                                               \
    "SELECT d.device_id, d.device_group_id, d.wire_id, d.kind, d.icon,"       \
    " d.name, d.reported_name, d.description, d.system, d.agent_kind,"        \
    " d.agent_caps, d.agent_version, d.host, d.consent, d.first_seen_at,"     \
    " d.doc, s.at, s.cause, s.address,"                                       \
    " (SELECT json_group_array(t.tag) FROM device_tag t"                      \
    " WHERE t.device_id = d.device_id),"                                      \
    " (SELECT p.doc FROM device_part p WHERE p.device_id = d.device_id"       \
    " AND p.part = 'status')"                                                 \
    " FROM device d LEFT JOIN device_seen s ON s.device_id = d.device_id"     \
    " WHERE d.domain_id = ?1"                                                 \
    " AND d.wire_id IN (SELECT value FROM json_each(?2))",                    \
    "SELECT d.device_id, d.device_group_id, d.wire_id, d.kind, d.icon,"       \
    " d.name, d.reported_name, d.description, d.system, d.agent_kind,"        \
    " d.agent_caps, d.agent_version, d.host, d.consent, d.first_seen_at,"     \
    " d.doc, s.at, s.cause, s.address,"                                       \
    " (SELECT coalesce(json_agg(t.tag ORDER BY t.tag), '[]')"                 \
    " FROM device_tag t WHERE t.device_id = d.device_id),"                    \
    " (SELECT p.doc FROM device_part p WHERE p.device_id = d.device_id"       \
    " AND p.part = 'status')"                                                 \
    " FROM device d LEFT JOIN device_seen s ON s.device_id = d.device_id"     \
    " WHERE d.domain_id = ?1"                                                 \
    " AND d.wire_id IN (SELECT json_array_elements_text(?2::json))")          \
                                                                              \
/* domain, JSON arrays of group and device ids; columns as above */           \
MESH_SQL_ROW(CTL_NODES, 3, 0,                                                 \
    "SELECT d.device_id, d.device_group_id, d.wire_id, d.kind, d.icon,"       \
    " d.name, d.reported_name, d.description, d.system, d.agent_kind,"        \
    " d.agent_caps, d.agent_version, d.host, d.consent, d.first_seen_at,"     \
    " d.doc, s.at, s.cause, s.address,"                                       \
    " (SELECT json_group_array(t.tag) FROM device_tag t"                      \
    " WHERE t.device_id = d.device_id),"                                      \
    " (SELECT p.doc FROM device_part p WHERE p.device_id = d.device_id"       \
    " AND p.part = 'status')"                                                 \
    " FROM device d LEFT JOIN device_seen s ON s.device_id = d.device_id"     \
    " WHERE d.domain_id = ?1 AND (d.device_group_id IN"                       \
    " (SELECT value FROM json_each(?2))"                                      \
    " OR d.device_id IN (SELECT value FROM json_each(?3)))"                   \
    " ORDER BY d.name_key, d.device_id",                                      \
    "SELECT d.device_id, d.device_group_id, d.wire_id, d.kind, d.icon,"       \
    " d.name, d.reported_name, d.description, d.system, d.agent_kind,"        \
    " d.agent_caps, d.agent_version, d.host, d.consent, d.first_seen_at,"     \
    " d.doc, s.at, s.cause, s.address,"                                       \
    " (SELECT coalesce(json_agg(t.tag ORDER BY t.tag), '[]')"                 \
    " FROM device_tag t WHERE t.device_id = d.device_id),"                    \
    " (SELECT p.doc FROM device_part p WHERE p.device_id = d.device_id"       \
    " AND p.part = 'status')"                                                 \
    " FROM device d LEFT JOIN device_seen s ON s.device_id = d.device_id"     \
    " WHERE d.domain_id = ?1 AND (d.device_group_id IN"                       \
    " (SELECT json_array_elements_text(?2::json)::bigint)"                    \
    " OR d.device_id IN (SELECT json_array_elements_text(?3::json)::bigint))" \
    " ORDER BY d.name_key, d.device_id")                                      \
                                                                              \
/* account */                                                                 \
MESH_SQL_ROW(CTL_ACCOUNT_SEEN, 1, 0,                                          \
    "SELECT login_at, previous_at, access_at FROM account_seen"               \
    " WHERE account_id = ?1",                                                 \
    NULL)                                                                     \
                                                                              \
/* domain, JSON array of device ids */                                        \
MESH_SQL_ROW(CTL_DEVICE_WIRES, 2, 0,                                          \
    "SELECT device_id, wire_id, name FROM device WHERE domain_id = ?1"        \
    " AND device_id IN (SELECT value FROM json_each(?2))",                    \
    "SELECT device_id, wire_id, name FROM device WHERE domain_id = ?1"        \
    " AND device_id IN"                                                       \
    " (SELECT json_array_elements_text(?2::json)::bigint)")                   \
                                                                              \
/* account: its last logins, and the tries of others */                       \
MESH_SQL_ROW(CTL_LOGINS, 1, 0,                                                \
    "SELECT at, msgid, args FROM event WHERE subject_id = ?1"                 \
    " AND action IN ('login', 'authfail')"                                    \
    " ORDER BY at DESC, event_id DESC LIMIT 100",                             \
    NULL)                                                                     \
                                                                              \
/* events, newest first: device or account, how many, an action or '' */      \
MESH_SQL_ROW(CTL_EVENTS_DEVICE, 3, 0,                                         \
    MESH_SQL_EVENT("event")                                                   \
    " FROM event WHERE device_id = ?1 AND (?3 = '' OR action = ?3)"           \
    " ORDER BY at DESC, event_id DESC LIMIT CAST(?2 AS integer)",             \
    MESH_SQL_EVENT("event")                                                   \
    " FROM event WHERE device_id = ?1"                                        \
    " AND (?3::text = '' OR action = ?3::text)"                               \
    " ORDER BY at DESC, event_id DESC LIMIT ?2::bigint")                      \
                                                                              \
MESH_SQL_ROW(CTL_EVENTS_ACCOUNT, 3, 0,                                        \
    MESH_SQL_EVENT("event")                                                   \
    " FROM event WHERE event_id IN"                                           \
    " (SELECT * FROM (SELECT event_id FROM event WHERE account_id = ?1"       \
    " AND (?3 = '' OR action = ?3)"                                           \
    " ORDER BY at DESC, event_id DESC LIMIT CAST(?2 AS integer))"             \
    " UNION SELECT * FROM (SELECT event_id FROM event WHERE subject_id = ?1"  \
    " AND (?3 = '' OR action = ?3)"                                           \
    " ORDER BY at DESC, event_id DESC LIMIT CAST(?2 AS integer)))"            \
    " ORDER BY at DESC, event_id DESC LIMIT CAST(?2 AS integer)",             \
    MESH_SQL_EVENT("e")                                                       \
    " FROM ((SELECT * FROM event WHERE account_id = ?1"                       \
    " AND (?3::text = '' OR action = ?3::text)"                               \
    " ORDER BY at DESC, event_id DESC LIMIT ?2::bigint)"                      \
    " UNION (SELECT * FROM event WHERE subject_id = ?1"                       \
    " AND (?3::text = '' OR action = ?3::text)"                               \
    " ORDER BY at DESC, event_id DESC LIMIT ?2::bigint)) e"                   \
    " ORDER BY at DESC, event_id DESC LIMIT ?2::bigint")                      \
                                                                              \
/* domain, how many, an action or '' */                                       \
MESH_SQL_ROW(CTL_EVENTS_DOMAIN, 3, 0,                                         \
    MESH_SQL_EVENT("event")                                                   \
    " FROM event WHERE domain_id = ?1 AND (?3 = '' OR action = ?3)"           \
    " ORDER BY at DESC, event_id DESC LIMIT CAST(?2 AS integer)",             \
    MESH_SQL_EVENT("event")                                                   \
    " FROM event WHERE domain_id = ?1"                                        \
    " AND (?3::text = '' OR action = ?3::text)"                               \
    " ORDER BY at DESC, event_id DESC LIMIT ?2::bigint")                      \
                                                                              \
/* account, JSON arrays of groups and devices, how many, an action or '';  */ \
/* one range of an index for each, merged (data.md 4)                      */ \
MESH_SQL_ROW(CTL_EVENTS_SCOPE, 5, 0,                                          \
    MESH_SQL_EVENT("event")                                                   \
    " FROM event WHERE event_id IN (SELECT i.value FROM json_each(?2) g,"     \
    " json_each((SELECT json_group_array(event_id) FROM (SELECT event_id"     \
    " FROM event WHERE device_group_id = g.value AND (?5 = '' OR action = ?5)"\
    " ORDER BY at DESC, event_id DESC LIMIT CAST(?4 AS integer)))) i"         \
    " UNION SELECT i.value FROM json_each(?3) g,"                             \
    " json_each((SELECT json_group_array(event_id) FROM (SELECT event_id"     \
    " FROM event WHERE device_id = g.value AND (?5 = '' OR action = ?5)"      \
    " ORDER BY at DESC, event_id DESC LIMIT CAST(?4 AS integer)))) i"         \
    " UNION SELECT * FROM (SELECT event_id FROM event WHERE account_id = ?1"  \
    " AND (?5 = '' OR action = ?5)"                                           \
    " ORDER BY at DESC, event_id DESC LIMIT CAST(?4 AS integer))"             \
    " UNION SELECT * FROM (SELECT event_id FROM event WHERE subject_id = ?1"  \
    " AND (?5 = '' OR action = ?5)"                                           \
    " ORDER BY at DESC, event_id DESC LIMIT CAST(?4 AS integer)))"            \
    " ORDER BY at DESC, event_id DESC LIMIT CAST(?4 AS integer)",             \
    MESH_SQL_EVENT("e")                                                       \
    " FROM (SELECT x.* FROM json_array_elements_text(?2::json) g,"            \
    " LATERAL (SELECT * FROM event WHERE device_group_id = g::bigint"         \
    " AND (?5::text = '' OR action = ?5::text)"                               \
    " ORDER BY at DESC, event_id DESC LIMIT ?4::bigint) x"                    \
    " UNION SELECT x.* FROM json_array_elements_text(?3::json) g,"            \
    " LATERAL (SELECT * FROM event WHERE device_id = g::bigint"               \
    " AND (?5::text = '' OR action = ?5::text)"                               \
    " ORDER BY at DESC, event_id DESC LIMIT ?4::bigint) x"                    \
    " UNION (SELECT * FROM event WHERE account_id = ?1"                       \
    " AND (?5::text = '' OR action = ?5::text)"                               \
    " ORDER BY at DESC, event_id DESC LIMIT ?4::bigint)"                      \
    " UNION (SELECT * FROM event WHERE subject_id = ?1"                       \
    " AND (?5::text = '' OR action = ?5::text)"                               \
    " ORDER BY at DESC, event_id DESC LIMIT ?4::bigint)) e"                   \
    " ORDER BY at DESC, event_id DESC LIMIT ?4::bigint")                      \
                                                                              \
/* device, since */                                                           \
MESH_SQL_ROW(CTL_POWER, 2, 0,                                                 \
    "SELECT at, state FROM power WHERE device_id = ?1 AND at >= ?2"           \
    " ORDER BY at LIMIT 4000",                                                \
    NULL)                                                                     \
                                                                              \
MESH_SQL_ROW(CTL_POWER_BEFORE, 2, 0,                                          \
    "SELECT at, state FROM power WHERE device_id = ?1 AND at < ?2"            \
    " ORDER BY at DESC LIMIT 1",                                              \
    NULL)                                                                     \
                                                                              \
/* domain, JSON arrays of groups and devices */                               \
MESH_SQL_ROW(CTL_SEEN, 3, 0,                                                  \
    "SELECT d.wire_id, s.at FROM device d"                                    \
    " JOIN device_seen s ON s.device_id = d.device_id"                        \
    " WHERE d.domain_id = ?1 AND (d.device_group_id IN"                       \
    " (SELECT value FROM json_each(?2))"                                      \
    " OR d.device_id IN (SELECT value FROM json_each(?3)))",                  \
    "SELECT d.wire_id, s.at FROM device d"                                    \
    " JOIN device_seen s ON s.device_id = d.device_id"                        \
    " WHERE d.domain_id = ?1 AND (d.device_group_id IN"                       \
    " (SELECT json_array_elements_text(?2::json)::bigint)"                    \
    " OR d.device_id IN (SELECT json_array_elements_text(?3::json)::bigint))")\
                                                                              \
MESH_SQL_ROW(CTL_NOTE_DEVICE, 1, 0,                                           \
    "SELECT text FROM note WHERE device_id = ?1",                             \
    NULL)                                                                     \
                                                                              \
MESH_SQL_ROW(CTL_NOTE_GROUP, 1, 0,                                            \
    "SELECT text FROM note WHERE device_group_id = ?1",                       \
    NULL)                                                                     \
                                                                              \
/* key, device or group, text */                                              \
MESH_SQL_ROW(CTL_NOTE_DEVICE_SET, 3, MESH_SQL_WRITE|MESH_SQL_IDEMPOTENT,      \
    "INSERT INTO note (note_id, device_id, text) VALUES (?1, ?2, ?3)"         \
    " ON CONFLICT (device_id) DO UPDATE SET text = excluded.text",            \
    NULL)                                                                     \
                                                                              \
MESH_SQL_ROW(CTL_NOTE_GROUP_SET, 3, MESH_SQL_WRITE|MESH_SQL_IDEMPOTENT,       \
    "INSERT INTO note (note_id, device_group_id, text) VALUES (?1, ?2, ?3)"   \
    " ON CONFLICT (device_group_id) DO UPDATE SET text = excluded.text",      \
    NULL)                                                                     \
                                                                              \
/* id; then what is to be changed, null: stays: name, its key, icon,       */ \
/* description, consent                                                     */\
MESH_SQL_ROW(CTL_DEVICE_EDIT, 6,                                              \
    MESH_SQL_WRITE|MESH_SQL_IDEMPOTENT|MESH_SQL_MUST,                         \
    "UPDATE device SET name = coalesce(?2, name),"                            \
    " name_key = coalesce(?3, name_key), icon = coalesce(?4, icon),"          \
    " description = coalesce(?5, description),"                               \
    " consent = coalesce(?6, consent), revision = revision + 1"               \
    " WHERE device_id = ?1",                                                  \
    NULL)                                                                     \
                                                                              \
MESH_SQL_ROW(CTL_TAGS_CLEAR, 1, MESH_SQL_WRITE|MESH_SQL_IDEMPOTENT,           \
    "DELETE FROM device_tag WHERE device_id = ?1",                            \
    NULL)                                                                     \
                                                                              \
/* device, JSON array without doubles */                                      \
MESH_SQL_ROW(CTL_TAGS_ADD, 2, MESH_SQL_WRITE,                                 \
    "INSERT INTO device_tag (device_id, tag)"                                 \
    " SELECT CAST(?1 AS integer), value FROM json_each(?2)",                  \
    "INSERT INTO device_tag (device_id, tag)"                                 \
    " SELECT ?1::bigint, json_array_elements_text(?2::json)")                 \
                                                                              \
/* JSON array of devices */                                                   \
MESH_SQL_ROW(CTL_NETWORKS, 1, 0,                                              \
    "SELECT device_id, doc FROM device_part WHERE part = 'network'"           \
    " AND device_id IN (SELECT value FROM json_each(?1))",                    \
    "SELECT device_id, doc FROM device_part WHERE part = 'network'"           \
    " AND device_id IN (SELECT json_array_elements_text(?1::json)::bigint)")  \
                                                                              \
/* group: a hundred of its devices */                                         \
MESH_SQL_ROW(CTL_GROUP_DEVICES, 1, 0,                                         \
    "SELECT device_id, wire_id FROM device WHERE device_group_id = ?1"        \
    " ORDER BY device_id LIMIT 100",                                          \
    NULL)                                                                     \
                                                                              \
/* group, JSON array of devices */                                            \
MESH_SQL_ROW(CTL_DEVICES_DELETE, 2, MESH_SQL_WRITE|MESH_SQL_IDEMPOTENT,       \
    "DELETE FROM device WHERE device_group_id = ?1"                           \
    " AND device_id IN (SELECT value FROM json_each(?2))",                    \
    "DELETE FROM device WHERE device_group_id = ?1"                           \
    " AND device_id IN (SELECT json_array_elements_text(?2::json)::bigint)")  \
                                                                              \
/* kind, JSON array of ids: as CHANGE_ADD for each */                         \
MESH_SQL_ROW(CTL_CHANGES_ADD, 2, MESH_SQL_WRITE,                              \
    "INSERT INTO change (kind, id) SELECT ?1, value FROM json_each(?2)",      \
    "INSERT INTO change (kind, id, tx) SELECT ?1::bigint,"                    \
    " json_array_elements_text(?2::json)::bigint,"                            \
    " pg_current_xact_id()::text::bigint"                                     \
    " + (SELECT value::bigint FROM meta WHERE key = 'tx_offset')")            \
                                                                              \
MESH_SQL_ROW(CTL_ACCESS_GROUP_END, 1, MESH_SQL_WRITE|MESH_SQL_IDEMPOTENT,     \
    "DELETE FROM access WHERE device_group_id = ?1",                          \
    NULL)                                                                     \
                                                                              \
/* mesh-admin */                                                              \
                                                                              \
MESH_SQL_ROW(ADMIN_DOMAIN, 1, 0,                                              \
    "SELECT domain_id FROM domain WHERE name = ?1",                           \
    NULL)                                                                     \
                                                                              \
/* domain, login */                                                           \
MESH_SQL_ROW(ADMIN_ACCOUNT, 2, 0,                                             \
    "SELECT account_id, name, site_rights FROM account"                       \
    " WHERE domain_id = ?1 AND login = ?2",                                   \
    NULL)                                                                     \
                                                                              \
MESH_SQL_ROW(ADMIN_ADMINS, 1, 0,                                              \
    "SELECT count(*) FROM account"                                            \
    " WHERE domain_id = ?1 AND site_rights = 4294967295",                     \
    NULL)                                                                     \
                                                                              \
MESH_SQL_ROW(ADMIN_ACCOUNTS, 1, 0,                                            \
    "SELECT a.name, a.site_rights, a.email, s.login_at FROM account a"        \
    " LEFT JOIN account_seen s ON s.account_id = a.account_id"                \
    " WHERE a.domain_id = ?1 ORDER BY a.login",                               \
    NULL)                                                                     \
                                                                              \
/* account, rights */                                                         \
MESH_SQL_ROW(ADMIN_RIGHTS, 2,                                                 \
    MESH_SQL_WRITE|MESH_SQL_IDEMPOTENT|MESH_SQL_MUST,                         \
    "UPDATE account SET site_rights = ?2, revision = revision + 1"            \
    " WHERE account_id = ?1",                                                 \
    NULL)                                                                     \
                                                                              \
/* account, text, now */                                                      \
MESH_SQL_ROW(ADMIN_PASSWORD_SET, 3, MESH_SQL_WRITE,                           \
    "UPDATE credential SET secret = ?2, created_at = ?3"                      \
    " WHERE account_id = ?1 AND kind = 'password'",                           \
    NULL)                                                                     \
                                                                              \
MESH_SQL_ROW(ADMIN_PASSWORD_DELETE, 1, MESH_SQL_WRITE|MESH_SQL_IDEMPOTENT,    \
    "DELETE FROM credential WHERE account_id = ?1 AND kind = 'password'",     \
    NULL)                                                                     \
                                                                              \
MESH_SQL_ROW(ADMIN_GROUPS, 1, 0,                                              \
    "SELECT g.wire_id, g.name, (SELECT count(*) FROM device d"                \
    " WHERE d.device_group_id = g.device_group_id) FROM device_group g"       \
    " WHERE g.domain_id = ?1 AND g.deleted_at IS NULL ORDER BY g.name",       \
    NULL)                                                                     \
                                                                              \
/* domain */                                                                  \
MESH_SQL_ROW(ADMIN_DEVICES, 1, 0,                                             \
    "SELECT d.wire_id, d.name, g.name, s.at FROM device d"                    \
    " JOIN device_group g ON g.device_group_id = d.device_group_id"           \
    " LEFT JOIN device_seen s ON s.device_id = d.device_id"                   \
    " WHERE d.domain_id = ?1 ORDER BY d.name_key, d.device_id",               \
    NULL)                                                                     \
                                                                              \
/* domain, key of a name, wire id */                                          \
MESH_SQL_ROW(ADMIN_DEVICE, 3, 0,                                              \
    "SELECT d.device_id, d.wire_id, g.name FROM device d"                     \
    " JOIN device_group g ON g.device_group_id = d.device_group_id"           \
    " WHERE d.domain_id = ?1 AND (d.name_key = ?2 OR d.wire_id = ?3)"         \
    " ORDER BY d.device_id LIMIT 20",                                         \
    NULL)                                                                     \
                                                                              \
/* device, now: the event of its removal, while its row is there */           \
MESH_SQL_ROW(ADMIN_DEVICE_EVENT, 2, MESH_SQL_WRITE|MESH_SQL_MUST,             \
    "INSERT INTO event (domain_id, at, kind, action, msgid, text, args,"      \
    " address, device_id, device_group_id, doc)"                              \
    " SELECT d.domain_id, ?2, 'node', 'removenode', 87, 'Removed device '"    \
    " || d.name || ' from device group ' || g.name,"                          \
    " json_array(d.name, g.name), 'mesh-admin', d.device_id,"                 \
    " d.device_group_id,"                                                     \
    " json_object('nodeid', d.wire_id, 'meshid', g.wire_id) FROM device d"    \
    " JOIN device_group g ON g.device_group_id = d.device_group_id"           \
    " WHERE d.device_id = ?1",                                                \
    "INSERT INTO event (domain_id, at, kind, action, msgid, text, args,"      \
    " address, device_id, device_group_id, doc, tx)"                          \
    " SELECT d.domain_id, ?2::bigint, 'node', 'removenode', 87,"              \
    " 'Removed device ' || d.name || ' from device group ' || g.name,"        \
    " json_build_array(d.name, g.name)::text, 'mesh-admin', d.device_id,"     \
    " d.device_group_id,"                                                     \
    " json_build_object('nodeid', d.wire_id, 'meshid', g.wire_id)::text,"     \
    " pg_current_xact_id()::text::bigint"                                     \
    " + (SELECT value::bigint FROM meta WHERE key = 'tx_offset')"             \
    " FROM device d"                                                          \
    " JOIN device_group g ON g.device_group_id = d.device_group_id"           \
    " WHERE d.device_id = ?1")                                                \
                                                                              \
MESH_SQL_ROW(ADMIN_GROUP_EVENT, 2, MESH_SQL_WRITE|MESH_SQL_MUST,              \
    "INSERT INTO event (domain_id, at, kind, action, msgid, text, args,"      \
    " address, device_group_id, doc)"                                         \
    " SELECT domain_id, ?2, 'mesh', 'createmesh', 76,"                        \
    " 'Device group created: ' || name, json_array(name), 'mesh-admin',"      \
    " device_group_id,"                                                       \
    " json_object('meshid', wire_id, 'mtype', kind, 'name', name)"            \
    " FROM device_group WHERE device_group_id = ?1",                          \
    "INSERT INTO event (domain_id, at, kind, action, msgid, text, args,"      \
    " address, device_group_id, doc, tx)"                                     \
    " SELECT domain_id, ?2::bigint, 'mesh', 'createmesh', 76,"                \
    " 'Device group created: ' || name, json_build_array(name)::text,"        \
    " 'mesh-admin', device_group_id,"                                         \
    " json_build_object('meshid', wire_id, 'mtype', kind, 'name', name)"      \
    "::text,"                                                                 \
    " pg_current_xact_id()::text::bigint"                                     \
    " + (SELECT value::bigint FROM meta WHERE key = 'tx_offset')"             \
    " FROM device_group WHERE device_group_id = ?1")                          \
                                                                              \
/* kind of change, device group without a device: its newest event */         \
MESH_SQL_ROW(ADMIN_GROUP_CHANGE, 2, MESH_SQL_WRITE,                           \
    "INSERT INTO change (kind, id)"                                           \
    " SELECT CAST(?1 AS bigint), max(event_id) FROM event"                    \
    " WHERE device_group_id = ?2",                                            \
    "INSERT INTO change (kind, id, tx)"                                       \
    " SELECT ?1::bigint, max(event_id), pg_current_xact_id()::text::bigint"   \
    " + (SELECT value::bigint FROM meta WHERE key = 'tx_offset') FROM event"  \
    " WHERE device_group_id = ?2")                                            \
                                                                              \
/* kind of change, device: its newest event */                                \
MESH_SQL_ROW(ADMIN_EVENT_CHANGE, 2, MESH_SQL_WRITE,                           \
    "INSERT INTO change (kind, id)"                                           \
    " SELECT CAST(?1 AS bigint), max(event_id) FROM event"                    \
    " WHERE device_id = ?2",                                                  \
    "INSERT INTO change (kind, id, tx)"                                       \
    " SELECT ?1::bigint, max(event_id), pg_current_xact_id()::text::bigint"   \
    " + (SELECT value::bigint FROM meta WHERE key = 'tx_offset') FROM event"  \
    " WHERE device_id = ?2")                                                  \
                                                                              \
MESH_SQL_ROW(ADMIN_COUNTS, 0, 0,                                              \
    "SELECT (SELECT count(*) FROM account),"                                  \
    " (SELECT count(*) FROM device_group WHERE deleted_at IS NULL),"          \
    " (SELECT count(*) FROM device),"                                         \
    " (SELECT count(*) FROM device WHERE agent_kind <> 0)",                   \
    NULL)                                                                     \
                                                                              \
/* name, hex, now */                                                          \
MESH_SQL_ROW(ADMIN_KEY_ADD, 3, MESH_SQL_WRITE,                                \
    "INSERT INTO server_key (name, secret, created_at) VALUES (?1, ?2, ?3)",  \
    NULL)                                                                     \
                                                                              \
/* name, other name: what is left after a rotation */                         \
MESH_SQL_ROW(ADMIN_KEY_RENAME, 2, MESH_SQL_WRITE,                             \
    "UPDATE server_key SET name = ?2 WHERE name = ?1",                        \
    NULL)                                                                     \
                                                                              \
MESH_SQL_ROW(ADMIN_KEY_DELETE, 1, MESH_SQL_WRITE|MESH_SQL_IDEMPOTENT,         \
    "DELETE FROM server_key WHERE name = ?1",                                 \
    NULL)


#define MESH_SQL_ENUM(name, nargs, flags, sqlite, postgres)  MESH_SQL_##name,

enum mesh_sql_e {
    MESH_SQL_TABLE(MESH_SQL_ENUM)
    MESH_SQL_STATEMENTS
};

#undef MESH_SQL_ENUM


typedef struct {
    const char  *name;
    unsigned     nargs;
    unsigned     flags;               /* MESH_SQL_WRITE, ... */
    const char  *sqlite;
    const char  *postgres;            /* NULL: as sqlite */
} mesh_sql_t;


#endif /* _MESH_SQL_H_INCLUDED_ */
