/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* Actions that ask about devices: lists, inventory, history, notes, events. */

#include "ngx_mesh_control.h"


#define NGX_MESH_CTL_POWER_DAYS  10


static void ngx_mesh_ctl_nodes_got(ngx_mesh_db_req_t *q, ngx_int_t rc);
static void ngx_mesh_ctl_list_got(ngx_mesh_db_req_t *q, ngx_int_t rc);
static void ngx_mesh_ctl_list_row(ngx_mesh_ctl_t *ctl, ngx_mesh_jw_t *w,
    ngx_mesh_device_t *device, ngx_mesh_busy_t *busy);
static ngx_uint_t ngx_mesh_ctl_list_busy(ngx_mesh_device_t *device,
    ngx_mesh_busy_t *busy);
static void ngx_mesh_ctl_status_users(const ngx_str_t *status,
    ngx_str_t *users);
static void ngx_mesh_ctl_splice(ngx_mesh_jw_t *w, const ngx_str_t *object);
static void ngx_mesh_ctl_sysinfo_got(ngx_mesh_db_req_t *q, ngx_int_t rc);
static void ngx_mesh_ctl_network_got(ngx_mesh_db_req_t *q, ngx_int_t rc);
static void ngx_mesh_ctl_network_none(ngx_mesh_ctl_t *ctl);
static void ngx_mesh_ctl_seen_got(ngx_mesh_db_req_t *q, ngx_int_t rc);
static void ngx_mesh_ctl_power_got(ngx_mesh_db_req_t *q, ngx_int_t rc);
static void ngx_mesh_ctl_note_got(ngx_mesh_db_req_t *q, ngx_int_t rc);
static void ngx_mesh_ctl_note_stored(ngx_mesh_db_req_t *q, ngx_int_t rc);
static void ngx_mesh_ctl_events_got(ngx_mesh_db_req_t *q, ngx_int_t rc);
static void ngx_mesh_ctl_events_who(ngx_mesh_jw_t *w, ngx_str_t *row);
static ngx_uint_t ngx_mesh_ctl_says(ngx_str_t *doc, const char *name);


/* { "nodes": { group: [device] } }, the group's devices or all in sight */
void
ngx_mesh_ctl_do_nodes(ngx_mesh_ctl_t *ctl)
{
    u_char                 raw[NGX_MESH_ID_LEN];
    ngx_str_t              groups, devices, ids;
    ngx_uint_t             visible;
    ngx_mesh_db_req_t     *q;
    ngx_mesh_group_t      *group;
    ngx_mesh_ctl_value_t  *meshid, *meshname, *id;

    meshid = ngx_mesh_ctl_value(ctl, "meshid");
    meshname = ngx_mesh_ctl_value(ctl, "meshname");
    id = ngx_mesh_ctl_value(ctl, "id");

    ngx_str_set(&devices, "[]");

    if (meshid->set || meshname->set) {

        group = NULL;
        visible = 0;

        if (meshid->set) {
            if (ngx_mesh_mesh_parse(ctl->who.domain_id, &meshid->s, raw)
                == NGX_OK)
            {
                group = ngx_mesh_group_raw(ctl->who.domain_id, raw);
            }

        } else if (ngx_mesh_ctl_group_name(ctl, &meshname->s, &group) > 1) {
            ngx_mesh_ctl_result(ctl, "Duplicate device groups found");
            return;
        }

        if (group && !group->deleted_at) {
            (void) ngx_mesh_rights(ctl->who.account_id, group->group_id, 0,
                                   &visible);
        }

        if (!visible) {
            ngx_mesh_ctl_result(ctl, ctl->row->unknown);
            return;
        }

        ngx_mesh_ctl_sprintf(ctl, &groups, 32, "[%L]", group->group_id);

    } else if (id->set) {

        if (ngx_mesh_node_parse(ctl->who.domain_id, &id->s, raw) != NGX_OK) {
            ngx_mesh_ctl_result(ctl, "Invalid device id");
            return;
        }

        ids.data = ngx_pnalloc(ctl->pool, ctl->domain.len + 80);
        if (ids.data == NULL) {
            ngx_mesh_ctl_end(ctl);
            return;
        }

        ids.len = ngx_mesh_id_write(ngx_sprintf(ids.data, "[\"node/%V/",
                                                &ctl->domain), raw)
                  - ids.data;
        ids.data[ids.len++] = '"';
        ids.data[ids.len++] = ']';

        q = ngx_mesh_ctl_db(ctl, ngx_mesh_ctl_nodes_got);
        if (q == NULL) {
            return;
        }

        ngx_mesh_db_stmt(q, MESH_SQL_CTL_DEVICES);
        ngx_mesh_db_int(q, ctl->who.domain_id);
        ngx_mesh_db_str(q, &ids);

        (void) ngx_mesh_ctl_db_send(ctl, q);
        return;

    } else if (ngx_mesh_ctl_scope(ctl, &groups, &devices) != NGX_OK) {
        ngx_mesh_ctl_end(ctl);
        return;
    }

    q = ngx_mesh_ctl_db(ctl, ngx_mesh_ctl_nodes_got);
    if (q == NULL) {
        return;
    }

    ngx_mesh_db_stmt(q, MESH_SQL_CTL_NODES);
    ngx_mesh_db_int(q, ctl->who.domain_id);
    ngx_mesh_db_str(q, &groups);
    ngx_mesh_db_str(q, &devices);

    (void) ngx_mesh_ctl_db_send(ctl, q);
}


/* what one device and its row need while a list is written */
static ngx_int_t
ngx_mesh_ctl_list_device(ngx_mesh_ctl_t *ctl, ngx_mesh_device_t *device,
    ngx_str_t *row)
{
    ngx_memzero(device, sizeof(ngx_mesh_device_t));

    if (ngx_mesh_node_parse(ctl->who.domain_id, &row[NGX_MESH_DEV_WIRE],
                            device->raw)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    ngx_mesh_ctl_device(ctl, device, row);

    return device->visible ? NGX_OK : NGX_DECLINED;
}


static int ngx_libc_cdecl
ngx_mesh_ctl_nodes_cmp(const void *one, const void *two)
{
    int64_t      a, b;
    ngx_str_t  **x, **y;

    x = (ngx_str_t **) one;
    y = (ngx_str_t **) two;

    a = ngx_mesh_db_num(&(*x)[NGX_MESH_DEV_GROUP]);
    b = ngx_mesh_db_num(&(*y)[NGX_MESH_DEV_GROUP]);

    if (a != b) {
        return a < b ? -1 : 1;
    }

    /* rows are one behind another in the order of the names */

    return *x < *y ? -1 : *x > *y;
}


static void
ngx_mesh_ctl_nodes_got(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    int64_t              last;
    ngx_str_t          **rows;
    ngx_uint_t           i, n;
    ngx_mesh_jw_t       *w;
    ngx_mesh_ctl_t      *ctl;
    ngx_mesh_busy_t      busy;
    ngx_mesh_group_t    *group;
    ngx_mesh_device_t    device;

    ctl = q->data;

    if (rc != NGX_OK) {
        ngx_mesh_ctl_result(ctl, ngx_mesh_ctl_db_text(rc));
        return;
    }

    n = ngx_mesh_db_rows(q, 0);

    rows = ngx_palloc(ctl->pool, (n + 1) * sizeof(ngx_str_t *));

    if (rows == NULL || ngx_mesh_ctl_account(ctl) == NULL
        || ngx_mesh_busy_init(&busy, ctl->pool, ctl->who.domain_id, NULL)
           != NGX_OK)
    {
        ngx_mesh_ctl_end(ctl);
        return;
    }

    for (i = 0; i < n; i++) {
        rows[i] = ngx_mesh_db_row(q, 0, i);
    }

    ngx_qsort(rows, n, sizeof(ngx_str_t *), ngx_mesh_ctl_nodes_cmp);

    w = ngx_mesh_ctl_open(ctl);
    ngx_mesh_jw_open(w, "nodes", '{');

    last = 0;

    for (i = 0; i < n; i++) {

        if (ngx_mesh_ctl_list_device(ctl, &device, rows[i]) != NGX_OK) {
            continue;
        }

        if (device.group_id != last) {
            group = ngx_mesh_group(device.group_id);

            if (group == NULL) {
                continue;
            }

            if (last) {
                ngx_mesh_jw_shut(w, ']');
            }

            last = device.group_id;
            ngx_mesh_jw_name(w, &group->wire);
            ngx_mesh_jw_open(w, NULL, '[');
        }

        ngx_mesh_jw_open(w, NULL, '{');
        ngx_mesh_ctl_write_node(ctl, w, &device, 0);

        if (ngx_mesh_ctl_list_busy(&device, &busy)) {
            ngx_mesh_jw_open(w, "sessions", '{');
            ngx_mesh_busy_write(&busy, w, device.raw);
            ngx_mesh_jw_shut(w, '}');
        }

        ngx_mesh_jw_shut(w, '}');
    }

    if (last) {
        ngx_mesh_jw_shut(w, ']');
    }

    ngx_mesh_jw_shut(w, '}');
    ngx_mesh_ctl_reply(ctl, w);
}


/* somebody works on it, and the caller is to know who */
static ngx_uint_t
ngx_mesh_ctl_list_busy(ngx_mesh_device_t *device, ngx_mesh_busy_t *busy)
{
    return device->online
           && !ngx_mesh_restricted(device->rights, NGX_MESH_D_LIMITEVENTS)
           && ngx_mesh_busy_has(busy, device->raw);
}


/* control.md 4.5 */
void
ngx_mesh_ctl_write_node(ngx_mesh_ctl_t *ctl, ngx_mesh_jw_t *w,
    ngx_mesh_device_t *device, ngx_uint_t with_group)
{
    ngx_str_t         *row;
    ngx_mesh_group_t  *group;

    row = device->row;

    ngx_mesh_jw_cstr(w, "type", "node");
    ngx_mesh_jw_str(w, "_id", &row[NGX_MESH_DEV_WIRE]);
    ngx_mesh_jw_str(w, "domain", &ctl->domain);

    if (with_group) {
        group = ngx_mesh_group(device->group_id);

        if (group) {
            ngx_mesh_jw_str(w, "meshid", &group->wire);
        }
    }

    ngx_mesh_jw_int(w, "mtype", ngx_mesh_db_num(&row[NGX_MESH_DEV_KIND]));
    ngx_mesh_jw_int(w, "icon", ngx_mesh_db_num(&row[NGX_MESH_DEV_ICON]));
    ngx_mesh_jw_str(w, "name", &row[NGX_MESH_DEV_NAME]);
    ngx_mesh_jw_str(w, "rname", &row[NGX_MESH_DEV_REPORTED]);
    ngx_mesh_jw_str(w, "desc", &row[NGX_MESH_DEV_DESC]);

    if (row[NGX_MESH_DEV_HOST].len) {
        ngx_mesh_jw_str(w, "host", &row[NGX_MESH_DEV_HOST]);

    } else {
        ngx_mesh_jw_null(w, "host");
    }

    if (row[NGX_MESH_DEV_SYSTEM].len) {
        ngx_mesh_jw_str(w, "osdesc", &row[NGX_MESH_DEV_SYSTEM]);
    }

    if (row[NGX_MESH_DEV_ADDRESS].len) {
        ngx_mesh_jw_str(w, "ip", &row[NGX_MESH_DEV_ADDRESS]);
    }

    if (row[NGX_MESH_DEV_TAGS].len > 2) {
        ngx_mesh_jw_raw(w, "tags", &row[NGX_MESH_DEV_TAGS]);
    }

    ngx_mesh_jw_int(w, "consent",
                    ngx_mesh_db_num(&row[NGX_MESH_DEV_CONSENT]));
    ngx_mesh_jw_int(w, "firstconnect",
                    ngx_mesh_db_num(&row[NGX_MESH_DEV_FIRST]));

    ngx_mesh_jw_open(w, "agent", '{');
    ngx_mesh_jw_int(w, "ver", ngx_mesh_db_num(&row[NGX_MESH_DEV_VERSION]));
    ngx_mesh_jw_int(w, "id", ngx_mesh_db_num(&row[NGX_MESH_DEV_AGENT]));
    ngx_mesh_jw_int(w, "caps", ngx_mesh_db_num(&row[NGX_MESH_DEV_CAPS]));
    ngx_mesh_jw_shut(w, '}');

    if (device->online) {
        ngx_mesh_jw_int(w, "conn", 1);
        ngx_mesh_jw_int(w, "pwr", 1);
        ngx_mesh_jw_int(w, "agct", (int64_t) device->presence.since * 1000);
    }

    ngx_mesh_ctl_write_links(w, 0, device->device_id);
    ngx_mesh_ctl_splice(w, &row[NGX_MESH_DEV_STATUS]);
}


/* the members of a stored object, into one that is open and not empty */
static void
ngx_mesh_ctl_splice(ngx_mesh_jw_t *w, const ngx_str_t *object)
{
    size_t      len;
    u_char     *p;
    ngx_str_t   inner;

    p = object->data;
    len = object->len;

    if (len < 5 || p[0] != '{' || p[len - 1] != '}' || p[1] != '"') {
        return;
    }

    inner.data = p + 1;
    inner.len = len - 2;

    ngx_mesh_jw_raw(w, NULL, &inner);
}


/* our page's list: columns named once, a short row for each device */
void
ngx_mesh_ctl_do_device_list(ngx_mesh_ctl_t *ctl)
{
    ngx_str_t           groups, devices;
    ngx_mesh_db_req_t  *q;

    if (ngx_mesh_ctl_scope(ctl, &groups, &devices) != NGX_OK) {
        ngx_mesh_ctl_end(ctl);
        return;
    }

    q = ngx_mesh_ctl_db(ctl, ngx_mesh_ctl_list_got);
    if (q == NULL) {
        return;
    }

    ngx_mesh_db_stmt(q, MESH_SQL_CTL_NODES);
    ngx_mesh_db_int(q, ctl->who.domain_id);
    ngx_mesh_db_str(q, &groups);
    ngx_mesh_db_str(q, &devices);

    (void) ngx_mesh_ctl_db_send(ctl, q);
}


static void
ngx_mesh_ctl_list_got(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    ngx_uint_t          i, n, total;
    ngx_mesh_jw_t      *w;
    ngx_mesh_ctl_t     *ctl;
    ngx_mesh_busy_t     busy;
    ngx_mesh_device_t   device;

    static const char  *columns[] = {
        "id", "group", "name", "icon", "conn", "pwr", "since", "osdesc",
        "users", "ip", "tags", "desc", "agentid", "agentver", "seen",
        "sessions", NULL
    };

    ctl = q->data;

    if (rc != NGX_OK) {
        ngx_mesh_ctl_result(ctl, ngx_mesh_ctl_db_text(rc));
        return;
    }

    if (ngx_mesh_ctl_account(ctl) == NULL
        || ngx_mesh_busy_init(&busy, ctl->pool, ctl->who.domain_id, NULL)
           != NGX_OK)
    {
        ngx_mesh_ctl_end(ctl);
        return;
    }

    w = ngx_mesh_ctl_open(ctl);

    ngx_mesh_jw_open(w, "columns", '[');

    for (i = 0; columns[i]; i++) {
        ngx_mesh_jw_cstr(w, NULL, columns[i]);
    }

    ngx_mesh_jw_shut(w, ']');
    ngx_mesh_jw_open(w, "rows", '[');

    n = ngx_mesh_db_rows(q, 0);
    total = 0;

    for (i = 0; i < n; i++) {
        if (ngx_mesh_ctl_list_device(ctl, &device, ngx_mesh_db_row(q, 0, i))
            == NGX_OK)
        {
            ngx_mesh_ctl_list_row(ctl, w, &device, &busy);
            total++;
        }
    }

    ngx_mesh_jw_shut(w, ']');
    ngx_mesh_jw_int(w, "total", total);
    ngx_mesh_ctl_reply(ctl, w);
}


static void
ngx_mesh_ctl_list_row(ngx_mesh_ctl_t *ctl, ngx_mesh_jw_t *w,
    ngx_mesh_device_t *device, ngx_mesh_busy_t *busy)
{
    u_char             text[NGX_MESH_ID_TEXT];
    ngx_str_t         *row, id, users;
    ngx_mesh_group_t  *group;

    row = device->row;
    group = ngx_mesh_group(device->group_id);

    id.data = text;

    ngx_mesh_jw_open(w, NULL, '[');

    id.len = ngx_mesh_id_write(text, device->raw) - text;
    ngx_mesh_jw_str(w, NULL, &id);

    id.len = group ? ngx_mesh_id_write(text, group->raw) - text : 0;
    ngx_mesh_jw_str(w, NULL, &id);

    ngx_mesh_jw_str(w, NULL, &row[NGX_MESH_DEV_NAME]);
    ngx_mesh_jw_int(w, NULL, ngx_mesh_db_num(&row[NGX_MESH_DEV_ICON]));

    ngx_mesh_jw_int(w, NULL, device->online);
    ngx_mesh_jw_int(w, NULL, device->online);
    ngx_mesh_jw_int(w, NULL, device->online
                             ? (int64_t) device->presence.since * 1000 : 0);

    ngx_mesh_jw_str(w, NULL, &row[NGX_MESH_DEV_SYSTEM]);

    ngx_mesh_ctl_status_users(&row[NGX_MESH_DEV_STATUS], &users);
    ngx_mesh_jw_raw(w, NULL, &users);

    ngx_mesh_jw_str(w, NULL, &row[NGX_MESH_DEV_ADDRESS]);

    if (row[NGX_MESH_DEV_TAGS].len >= 2) {
        ngx_mesh_jw_raw(w, NULL, &row[NGX_MESH_DEV_TAGS]);

    } else {
        ngx_mesh_jw_open(w, NULL, '[');
        ngx_mesh_jw_shut(w, ']');
    }

    ngx_mesh_jw_str(w, NULL, &row[NGX_MESH_DEV_DESC]);
    ngx_mesh_jw_int(w, NULL, ngx_mesh_db_num(&row[NGX_MESH_DEV_AGENT]));
    ngx_mesh_jw_int(w, NULL, ngx_mesh_db_num(&row[NGX_MESH_DEV_VERSION]));
    ngx_mesh_jw_int(w, NULL, ngx_mesh_db_num(&row[NGX_MESH_DEV_SEEN]));

    ngx_mesh_jw_open(w, NULL, '{');

    if (ngx_mesh_ctl_list_busy(device, busy)) {
        ngx_mesh_busy_write(busy, w, device->raw);
    }

    ngx_mesh_jw_shut(w, '}');

    ngx_mesh_jw_shut(w, ']');
}


/*
 * The array "users" of the part status, as it was stored by us: ten thousand
 * objects are not parsed for one member each.  Within a text the quotes of
 * "users" would be escaped, so what is found is the member.
 */
static void
ngx_mesh_ctl_status_users(const ngx_str_t *status, ngx_str_t *users)
{
    u_char      *p, *last;
    ngx_uint_t   quoted;

    static const char  member[] = "\"users\":[";

    ngx_str_set(users, "[]");

    if (status->len < sizeof(member)) {
        return;
    }

    last = status->data + status->len;
    p = ngx_strnstr(status->data, (char *) member, status->len);

    if (p == NULL) {
        return;
    }

    p += sizeof(member) - 2;          /* the bracket */
    users->data = p;
    quoted = 0;

    for ( /* void */ ; p < last; p++) {

        if (quoted) {
            if (*p == '\\') {
                p++;

            } else if (*p == '"') {
                quoted = 0;
            }

        } else if (*p == '"') {
            quoted = 1;

        } else if (*p == ']') {
            users->len = p + 1 - users->data;
            return;
        }
    }

    ngx_str_set(users, "[]");
}


/* a part of the one device of the command */
static void
ngx_mesh_ctl_part(ngx_mesh_ctl_t *ctl, const char *part,
    ngx_mesh_db_done_pt done)
{
    ngx_mesh_db_req_t  *q;

    q = ngx_mesh_ctl_db(ctl, done);
    if (q == NULL) {
        return;
    }

    ngx_mesh_db_stmt(q, MESH_SQL_DEVICE_PART_GET);
    ngx_mesh_db_int(q, ctl->device->device_id);
    ngx_mesh_db_text(q, part);

    (void) ngx_mesh_ctl_db_send(ctl, q);
}


void
ngx_mesh_ctl_do_device_sysinfo(ngx_mesh_ctl_t *ctl)
{
    ngx_mesh_ctl_part(ctl, "hardware", ngx_mesh_ctl_sysinfo_got);
}


static void
ngx_mesh_ctl_sysinfo_got(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    ngx_str_t        *row;
    ngx_mesh_jw_t    *w;
    ngx_mesh_ctl_t   *ctl;
    ngx_mesh_json_t  *doc, *hardware;

    ctl = q->data;

    if (rc != NGX_OK) {
        ngx_mesh_ctl_noinfo(ctl, ngx_mesh_ctl_db_text(rc));
        return;
    }

    row = ngx_mesh_db_row(q, 0, 0);
    doc = row ? ngx_mesh_json_parse(row[0].data, row[0].len) : NULL;

    if (doc == NULL && !ngx_mesh_ctl_value(ctl, "nodeinfo")->n) {
        ngx_mesh_ctl_noinfo(ctl, ctl->row->unknown);
        return;
    }

    w = ngx_mesh_ctl_open(ctl);
    ngx_mesh_jw_str(w, "nodeid", &ctl->device->id);

    if (doc) {
        /* stored as it came, {"hardware":...,"hash":...}, or bare */

        hardware = ngx_mesh_json_object(doc, "hardware");

        ngx_mesh_jw_json(w, "hardware", hardware ? hardware : doc);
        ngx_mesh_jw_int(w, "time", ngx_mesh_db_num(&row[2]));

        if (row[1].len) {
            ngx_mesh_jw_str(w, "hash", &row[1]);
        }

        ngx_mesh_json_free(doc);

    } else {
        ngx_mesh_jw_bool(w, "noinfo", 1);
    }

    if (ngx_mesh_ctl_value(ctl, "nodeinfo")->n) {
        ngx_mesh_jw_open(w, "node", '{');
        ngx_mesh_ctl_write_node(ctl, w, ctl->device, 1);
        ngx_mesh_jw_shut(w, '}');
        ngx_mesh_jw_int(w, "rights", ctl->rights);
    }

    ngx_mesh_ctl_reply(ctl, w);
}


void
ngx_mesh_ctl_do_device_network(ngx_mesh_ctl_t *ctl)
{
    if (!ngx_mesh_right(ctl->rights, NGX_MESH_D_DEVICEDETAILS)) {
        /* seen, but not its inside: nothing, and no error (control.md 5.2) */
        ngx_mesh_ctl_network_none(ctl);
        return;
    }

    ngx_mesh_ctl_part(ctl, "network", ngx_mesh_ctl_network_got);
}


static void
ngx_mesh_ctl_network_got(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    ngx_str_t        *row;
    ngx_mesh_jw_t    *w;
    ngx_mesh_ctl_t   *ctl;
    ngx_mesh_json_t  *doc, *netif, *netif2;

    ctl = q->data;

    if (rc != NGX_OK) {
        ngx_mesh_ctl_noinfo(ctl, ngx_mesh_ctl_db_text(rc));
        return;
    }

    row = ngx_mesh_db_row(q, 0, 0);
    doc = row ? ngx_mesh_json_parse(row[0].data, row[0].len) : NULL;

    if (doc == NULL) {
        ngx_mesh_ctl_network_none(ctl);
        return;
    }

    netif = ngx_mesh_json_get(doc, "netif");
    netif2 = ngx_mesh_json_object(doc, "netif2");

    w = ngx_mesh_ctl_open(ctl);
    ngx_mesh_jw_str(w, "nodeid", &ctl->device->id);
    ngx_mesh_jw_int(w, "updateTime", ngx_mesh_db_num(&row[2]));

    if (netif) {
        ngx_mesh_jw_json(w, "netif", netif);

    } else {
        ngx_mesh_jw_null(w, "netif");
    }

    if (netif2) {
        ngx_mesh_jw_json(w, "netif2", netif2);

    } else {
        ngx_mesh_jw_null(w, "netif2");
    }

    ngx_mesh_json_free(doc);
    ngx_mesh_ctl_reply(ctl, w);
}


static void
ngx_mesh_ctl_network_none(ngx_mesh_ctl_t *ctl)
{
    ngx_mesh_jw_t  *w;

    w = ngx_mesh_ctl_open(ctl);
    ngx_mesh_jw_str(w, "nodeid", &ctl->device->id);
    ngx_mesh_jw_null(w, "netif");
    ngx_mesh_jw_null(w, "netif2");
    ngx_mesh_ctl_reply(ctl, w);
}


void
ngx_mesh_ctl_do_device_seen(ngx_mesh_ctl_t *ctl)
{
    ngx_str_t      *row;
    ngx_mesh_jw_t  *w;

    row = ctl->device->row;

    if (row[NGX_MESH_DEV_SEEN].data == NULL) {
        ngx_mesh_ctl_noinfo(ctl, "No data");
        return;
    }

    w = ngx_mesh_ctl_open(ctl);
    ngx_mesh_jw_str(w, "nodeid", &ctl->device->id);
    ngx_mesh_jw_int(w, "time", ngx_mesh_db_num(&row[NGX_MESH_DEV_SEEN]));
    ngx_mesh_jw_str(w, "addr", &row[NGX_MESH_DEV_ADDRESS]);
    ngx_mesh_jw_int(w, "cause", ngx_mesh_db_num(&row[NGX_MESH_DEV_CAUSE]));
    ngx_mesh_ctl_reply(ctl, w);
}


void
ngx_mesh_ctl_do_devices_seen(ngx_mesh_ctl_t *ctl)
{
    ngx_str_t           groups, devices;
    ngx_mesh_db_req_t  *q;

    if (ngx_mesh_ctl_scope(ctl, &groups, &devices) != NGX_OK) {
        ngx_mesh_ctl_end(ctl);
        return;
    }

    q = ngx_mesh_ctl_db(ctl, ngx_mesh_ctl_seen_got);
    if (q == NULL) {
        return;
    }

    ngx_mesh_db_stmt(q, MESH_SQL_CTL_SEEN);
    ngx_mesh_db_int(q, ctl->who.domain_id);
    ngx_mesh_db_str(q, &groups);
    ngx_mesh_db_str(q, &devices);

    (void) ngx_mesh_ctl_db_send(ctl, q);
}


static void
ngx_mesh_ctl_seen_got(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    ngx_str_t       *row;
    ngx_uint_t       i, n;
    ngx_mesh_jw_t   *w;
    ngx_mesh_ctl_t  *ctl;

    ctl = q->data;

    if (rc != NGX_OK) {
        ngx_mesh_ctl_result(ctl, ngx_mesh_ctl_db_text(rc));
        return;
    }

    w = ngx_mesh_ctl_open(ctl);
    ngx_mesh_jw_open(w, "lastconnects", '{');

    n = ngx_mesh_db_rows(q, 0);

    for (i = 0; i < n; i++) {
        row = ngx_mesh_db_row(q, 0, i);
        ngx_mesh_jw_name(w, &row[0]);
        ngx_mesh_jw_int(w, NULL, ngx_mesh_db_num(&row[1]));
    }

    ngx_mesh_jw_shut(w, '}');
    ngx_mesh_ctl_reply(ctl, w);
}


void
ngx_mesh_ctl_do_device_power(ngx_mesh_ctl_t *ctl)
{
    int64_t             since;
    ngx_mesh_db_req_t  *q;

    q = ngx_mesh_ctl_db(ctl, ngx_mesh_ctl_power_got);
    if (q == NULL) {
        return;
    }

    since = ngx_mesh_now_ms()
            - (int64_t) NGX_MESH_CTL_POWER_DAYS * 24 * 3600 * 1000;

    ngx_mesh_db_stmt(q, MESH_SQL_CTL_POWER_BEFORE);
    ngx_mesh_db_int(q, ctl->device->device_id);
    ngx_mesh_db_int(q, since);
    ngx_mesh_db_stmt(q, MESH_SQL_CTL_POWER);
    ngx_mesh_db_int(q, ctl->device->device_id);
    ngx_mesh_db_int(q, since);

    (void) ngx_mesh_ctl_db_send(ctl, q);
}


/* [state before, time s, state, seconds later, state, ...] */
static void
ngx_mesh_ctl_power_got(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    int64_t          at, before, first, state;
    ngx_str_t       *row;
    ngx_uint_t       i, n;
    ngx_mesh_jw_t   *w;
    ngx_mesh_ctl_t  *ctl;

    ctl = q->data;

    if (rc != NGX_OK) {
        ngx_mesh_ctl_noinfo(ctl, ngx_mesh_ctl_db_text(rc));
        return;
    }

    row = ngx_mesh_db_row(q, 0, 0);
    first = row ? ngx_mesh_db_num(&row[1]) : 0;

    w = ngx_mesh_ctl_open(ctl);
    ngx_mesh_jw_str(w, "nodeid", &ctl->device->id);
    ngx_mesh_jw_open(w, "timeline", '[');
    ngx_mesh_jw_int(w, NULL, first);

    n = ngx_mesh_db_rows(q, 1);
    before = 0;

    for (i = 0; i < n; i++) {
        row = ngx_mesh_db_row(q, 1, i);
        at = ngx_mesh_db_num(&row[0]) / 1000;
        state = ngx_mesh_db_num(&row[1]);

        ngx_mesh_jw_int(w, NULL, i ? at - before : at);
        ngx_mesh_jw_int(w, NULL, state);
        before = at;
    }

    if (n == 0) {
        ngx_mesh_jw_int(w, NULL, ngx_time()
                                 - NGX_MESH_CTL_POWER_DAYS * 24 * 3600);
        ngx_mesh_jw_int(w, NULL, first);
    }

    ngx_mesh_jw_shut(w, ']');
    ngx_mesh_ctl_reply(ctl, w);
}


void
ngx_mesh_ctl_do_note_get(ngx_mesh_ctl_t *ctl)
{
    ngx_mesh_db_req_t  *q;

    q = ngx_mesh_ctl_db(ctl, ngx_mesh_ctl_note_got);
    if (q == NULL) {
        return;
    }

    if (ctl->self) {
        ngx_mesh_db_stmt(q, MESH_SQL_CTL_ACCOUNT_PART_GET);
        ngx_mesh_db_int(q, ctl->who.account_id);
        ngx_mesh_db_text(q, "ntp");

    } else if (ctl->device) {
        ngx_mesh_db_stmt(q, MESH_SQL_CTL_NOTE_DEVICE);
        ngx_mesh_db_int(q, ctl->device->device_id);

    } else {
        ngx_mesh_db_stmt(q, MESH_SQL_CTL_NOTE_GROUP);
        ngx_mesh_db_int(q, ctl->group_id);
    }

    (void) ngx_mesh_ctl_db_send(ctl, q);
}


static void
ngx_mesh_ctl_note_got(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    ngx_str_t       *row;
    ngx_mesh_jw_t   *w;
    ngx_mesh_ctl_t  *ctl;

    ctl = q->data;

    if (rc != NGX_OK) {
        ngx_mesh_ctl_result(ctl, ngx_mesh_ctl_db_text(rc));
        return;
    }

    row = ngx_mesh_db_row(q, 0, 0);

    w = ngx_mesh_ctl_open(ctl);
    ngx_mesh_jw_str(w, "id", &ctl->asked);

    if (row) {
        ngx_mesh_jw_str(w, "notes", &row[0]);

    } else {
        ngx_mesh_jw_null(w, "notes");
    }

    ngx_mesh_ctl_reply(ctl, w);
}


void
ngx_mesh_ctl_do_note_set(ngx_mesh_ctl_t *ctl)
{
    int64_t             key;
    ngx_str_t          *text;
    ngx_mesh_db_req_t  *q;

    text = &ngx_mesh_ctl_value(ctl, "notes")->s;
    key = ngx_mesh_db_key();

    if (key == 0) {
        ngx_mesh_ctl_result(ctl, ngx_mesh_ctl_db_text(NGX_ABORT));
        return;
    }

    q = ngx_mesh_ctl_db(ctl, ngx_mesh_ctl_note_stored);
    if (q == NULL) {
        return;
    }

    if (ctl->self) {
        ngx_mesh_db_stmt(q, MESH_SQL_CTL_ACCOUNT_PART_SET);
        ngx_mesh_db_int(q, ctl->who.account_id);
        ngx_mesh_db_text(q, "ntp");

    } else if (ctl->device) {
        ngx_mesh_db_stmt(q, MESH_SQL_CTL_NOTE_DEVICE_SET);
        ngx_mesh_db_int(q, key);
        ngx_mesh_db_int(q, ctl->device->device_id);

    } else {
        ngx_mesh_db_stmt(q, MESH_SQL_CTL_NOTE_GROUP_SET);
        ngx_mesh_db_int(q, key);
        ngx_mesh_db_int(q, ctl->group_id);
    }

    ngx_mesh_db_str(q, text);

    (void) ngx_mesh_ctl_db_send(ctl, q);
}


static void
ngx_mesh_ctl_note_stored(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    ngx_mesh_ctl_result(q->data, rc == NGX_OK ? "ok"
                                              : ngx_mesh_ctl_db_text(rc));
}


/* which statement an account's question needs: data.md 4 and 6 */
void
ngx_mesh_ctl_do_events(ngx_mesh_ctl_t *ctl)
{
    int64_t                limit;
    ngx_str_t              groups, devices, filter;
    ngx_mesh_jw_t         *w;
    ngx_mesh_db_req_t     *q;
    ngx_mesh_account_t    *account, *other;
    ngx_mesh_ctl_value_t  *value, *user;

    account = ngx_mesh_ctl_account(ctl);

    if (account == NULL) {
        ngx_mesh_ctl_end(ctl);
        return;
    }

    value = ngx_mesh_ctl_value(ctl, "limit");
    limit = value->set ? value->n : (ctl->device ? 1000 : 200);

    filter = ngx_mesh_ctl_value(ctl, "filter")->s;

    if (filter.len == 0) {
        ngx_str_set(&filter, "");
    }

    user = ngx_mesh_ctl_value(ctl, "userid");

    if (!user->set) {
        user = ngx_mesh_ctl_value(ctl, "user");
    }

    other = NULL;

    if (ctl->device == NULL && user->set) {
        other = ngx_mesh_ctl_find(ctl->who.domain_id, &user->s);

        if (other == NULL
            || (other != account
                && !ngx_mesh_right(account->site_rights,
                                   NGX_MESH_S_MANAGEUSERS)))
        {
            ngx_mesh_ctl_result(ctl, "Access denied");
            return;
        }
    }

    if (ctl->device && !ctl->device->visible) {
        /* unseen or unknown: what both would have, nothing */

        w = ngx_mesh_ctl_open(ctl);
        ngx_mesh_jw_str(w, "nodeid", &ctl->asked);
        ngx_mesh_jw_open(w, "events", '[');
        ngx_mesh_jw_shut(w, ']');
        ngx_mesh_ctl_reply(ctl, w);
        return;
    }

    if (ctl->device == NULL && other == NULL
        && ngx_mesh_ctl_scope(ctl, &groups, &devices) != NGX_OK)
    {
        ngx_mesh_ctl_end(ctl);
        return;
    }

    q = ngx_mesh_ctl_db(ctl, ngx_mesh_ctl_events_got);
    if (q == NULL) {
        return;
    }

    if (ctl->device) {
        ngx_mesh_db_stmt(q, MESH_SQL_CTL_EVENTS_DEVICE);
        ngx_mesh_db_int(q, ctl->device->device_id);

    } else if (other) {
        ngx_mesh_db_stmt(q, MESH_SQL_CTL_EVENTS_ACCOUNT);
        ngx_mesh_db_int(q, other->account_id);

    } else if (account->site_rights & NGX_MESH_S_ALLEVENTS) {
        /* a full administrator has this bit too */
        ngx_mesh_db_stmt(q, MESH_SQL_CTL_EVENTS_DOMAIN);
        ngx_mesh_db_int(q, ctl->who.domain_id);

    } else {
        ngx_mesh_db_stmt(q, MESH_SQL_CTL_EVENTS_SCOPE);
        ngx_mesh_db_int(q, ctl->who.account_id);
        ngx_mesh_db_str(q, &groups);
        ngx_mesh_db_str(q, &devices);
    }

    ngx_mesh_db_int(q, limit);
    ngx_mesh_db_str(q, &filter);

    (void) ngx_mesh_ctl_db_send(ctl, q);
}


static void
ngx_mesh_ctl_events_got(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    int64_t                by;
    u_char                 time[24];
    uint32_t               rights;
    ngx_str_t             *row, s;
    ngx_uint_t             i, n, visible;
    ngx_mesh_jw_t         *w;
    ngx_mesh_ctl_t        *ctl;
    ngx_mesh_ctl_value_t  *user;

    ctl = q->data;

    if (rc != NGX_OK) {
        ngx_mesh_ctl_result(ctl, ngx_mesh_ctl_db_text(rc));
        return;
    }

    w = ngx_mesh_ctl_open(ctl);

    if (ctl->device) {
        ngx_mesh_jw_str(w, "nodeid", &ctl->asked);

    } else {
        user = ngx_mesh_ctl_value(ctl, "userid");

        if (user->set) {
            ngx_mesh_jw_str(w, "userid", &user->s);
        }
    }

    ngx_mesh_jw_open(w, "events", '[');

    n = ngx_mesh_db_rows(q, 0);

    for (i = 0; i < n; i++) {
        row = ngx_mesh_db_row(q, 0, i);
        by = ngx_mesh_db_num(&row[7]);

        /* LIMITEVENTS: what others did is not shown */

        if (by && by != ctl->who.account_id && row[8].data) {
            rights = ngx_mesh_rights(ctl->who.account_id,
                                     ngx_mesh_db_num(&row[8]),
                                     ngx_mesh_db_num(&row[9]), &visible);

            if (visible
                && ngx_mesh_restricted(rights, NGX_MESH_D_LIMITEVENTS))
            {
                continue;
            }
        }

        s.data = time;
        s.len = ngx_mesh_ctl_time(time, ngx_mesh_db_num(&row[0])) - time;

        ngx_mesh_jw_open(w, NULL, '{');
        ngx_mesh_jw_str(w, "time", &s);
        ngx_mesh_jw_str(w, "etype", &row[1]);
        ngx_mesh_jw_str(w, "action", &row[2]);

        if (row[3].data) {
            ngx_mesh_jw_int(w, "msgid", ngx_mesh_db_num(&row[3]));
        }

        if (row[5].len > 2) {
            ngx_mesh_jw_raw(w, "msgArgs", &row[5]);
        }

        ngx_mesh_jw_str(w, "msg", &row[4]);
        ngx_mesh_ctl_events_who(w, row);
        ngx_mesh_ctl_splice(w, &row[6]);
        ngx_mesh_jw_shut(w, '}');
    }

    ngx_mesh_jw_shut(w, ']');
    ngx_mesh_ctl_reply(ctl, w);
}


/* who and where, when what was stored does not say it itself */
static void
ngx_mesh_ctl_events_who(ngx_mesh_jw_t *w, ngx_str_t *row)
{
    ngx_str_t           *doc, s;
    ngx_mesh_group_t    *group;
    ngx_mesh_account_t  *account;

    doc = &row[6];

    if (!ngx_mesh_ctl_says(doc, "\"userid\":")) {
        account = ngx_mesh_account(ngx_mesh_db_num(&row[7]));

        if (account) {
            ngx_mesh_ctl_userid(w->pool, account, &s);
            ngx_mesh_jw_str(w, "userid", &s);
            ngx_mesh_jw_str(w, "username", &account->name);
        }
    }

    if (row[10].len && !ngx_mesh_ctl_says(doc, "\"nodeid\":")) {
        ngx_mesh_jw_str(w, "nodeid", &row[10]);
    }

    if (!ngx_mesh_ctl_says(doc, "\"meshid\":")) {
        group = ngx_mesh_group(ngx_mesh_db_num(&row[8]));

        if (group) {
            ngx_mesh_jw_str(w, "meshid", &group->wire);
        }
    }
}


static ngx_uint_t
ngx_mesh_ctl_says(ngx_str_t *doc, const char *name)
{
    return doc->len
           && ngx_strnstr(doc->data, (char *) name, doc->len) != NULL;
}
