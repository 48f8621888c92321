/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* Actions that change devices: their row, their group, their end. */

#include "ngx_mesh_control.h"


#define NGX_MESH_CTL_TAGS  64         /* of a device */


/* one act of a command on one device */
typedef struct {
    ngx_mesh_ctl_t     *ctl;
    ngx_mesh_device_t  *device;
    ngx_str_t           json;         /* what is published */
    ngx_mesh_scope_t    scope;
    int64_t             group_id;     /* where it goes */
} ngx_mesh_ctl_act_t;


static ngx_int_t ngx_mesh_ctl_tags(ngx_mesh_ctl_t *ctl, ngx_str_t *tags);
static ngx_int_t ngx_mesh_ctl_tag(ngx_array_t *list, u_char *p, size_t len);
static int ngx_libc_cdecl ngx_mesh_ctl_tag_cmp(const void *one,
    const void *two);
static void ngx_mesh_ctl_device_changed(ngx_mesh_db_req_t *q, ngx_int_t rc);
static void ngx_mesh_ctl_device_pushed(ngx_mesh_db_req_t *q, ngx_int_t rc);
static ngx_uint_t ngx_mesh_ctl_device_kind(ngx_mesh_device_t *device);
static void ngx_mesh_ctl_device_moved(ngx_mesh_db_req_t *q, ngx_int_t rc);
static void ngx_mesh_ctl_device_removed(ngx_mesh_db_req_t *q, ngx_int_t rc);
static ngx_mesh_ctl_act_t *ngx_mesh_ctl_act(ngx_mesh_ctl_t *ctl,
    ngx_mesh_device_t *device);


void
ngx_mesh_ctl_do_device_change(ngx_mesh_ctl_t *ctl)
{
    size_t                  len;
    u_char                  key[512];
    ngx_int_t               rc;
    ngx_str_t               text, list, s, tags, group_name;
    ngx_uint_t              changed;
    ngx_mesh_group_t       *group;
    ngx_mesh_db_req_t      *q;
    ngx_mesh_device_t      *device;
    ngx_mesh_ctl_act_t     *act;
    ngx_mesh_ctl_event_t    ev;
    ngx_mesh_ctl_value_t   *name, *icon, *desc, *consent;

    device = ctl->device;

    name = ngx_mesh_ctl_value(ctl, "name");
    icon = ngx_mesh_ctl_value(ctl, "icon");
    desc = ngx_mesh_ctl_value(ctl, "desc");
    consent = ngx_mesh_ctl_value(ctl, "consent");

    rc = ngx_mesh_ctl_tags(ctl, &tags);

    if (rc == NGX_ERROR) {
        ngx_mesh_ctl_result(ctl, "Invalid tags");
        return;
    }

    len = 0;

    if (name->set) {
        /* a name without letters has no key: any is found by no text */
        len = ngx_mesh_fold(key, sizeof(key), name->s.data, name->s.len);
    }

    /* control.md 6.3, 140: what changed, as a list of words */

    s.data = key;                     /* unused when len is 0 */
    s.len = len;
    changed = 0;

    list.data = ngx_pnalloc(ctl->pool, 64);
    act = ngx_mesh_ctl_act(ctl, device);

    if (list.data == NULL || act == NULL) {
        ngx_mesh_ctl_end(ctl);
        return;
    }

    list.len = 0;

#define ngx_mesh_ctl_said(what)                                               \
    list.len = ngx_sprintf(list.data + list.len, "%s%s",                      \
                           list.len ? ", " : "", what)                        \
               - list.data;                                                   \
    changed = 1

    if (name->set) {
        ngx_mesh_ctl_said("name");
    }

    if (desc->set) {
        ngx_mesh_ctl_said("description");
    }

    if (icon->set) {
        ngx_mesh_ctl_said("icon");
    }

    if (consent->set) {
        ngx_mesh_ctl_said("consent");
    }

    if (!changed && rc != NGX_OK) {
        ngx_mesh_ctl_result(ctl, "ok");
        return;
    }

    q = ngx_mesh_db_create(ngx_mesh_ctl_device_changed, act);

    if (q == NULL) {
        ngx_mesh_ctl_result(ctl, ngx_mesh_ctl_db_text(NGX_ERROR));
        return;
    }

    ngx_mesh_db_stmt(q, MESH_SQL_CTL_DEVICE_EDIT);
    ngx_mesh_db_int(q, device->device_id);

    if (name->set) {
        ngx_mesh_db_str(q, &name->s);
        ngx_mesh_db_str(q, len ? &s : &name->s);

    } else {
        ngx_mesh_db_null(q);
        ngx_mesh_db_null(q);
    }

    if (icon->set) {
        ngx_mesh_db_int(q, icon->n);

    } else {
        ngx_mesh_db_null(q);
    }

    if (desc->set) {
        ngx_mesh_db_str(q, &desc->s);

    } else {
        ngx_mesh_db_null(q);
    }

    if (consent->set) {
        ngx_mesh_db_int(q, consent->n);

    } else {
        ngx_mesh_db_null(q);
    }

    if (rc == NGX_OK) {
        ngx_mesh_db_stmt(q, MESH_SQL_CTL_TAGS_CLEAR);
        ngx_mesh_db_int(q, device->device_id);

        if (tags.len > 2) {
            ngx_mesh_db_stmt(q, MESH_SQL_CTL_TAGS_ADD);
            ngx_mesh_db_int(q, device->device_id);
            ngx_mesh_db_str(q, &tags);
        }
    }

    group = ngx_mesh_group(device->group_id);

    if (group) {
        group_name = group->name;

    } else {
        ngx_str_set(&group_name, "");
    }

    ngx_mesh_ctl_sprintf(ctl, &text,
                         device->row[NGX_MESH_DEV_NAME].len + group_name.len
                         + list.len + 64,
                         "Changed device %V from group %V: %V",
                         &device->row[NGX_MESH_DEV_NAME], &group_name, &list);

    ngx_mesh_ctl_event(ctl, &ev, "node", "changenode", 140, &text);
    ngx_mesh_ctl_event_arg(ctl, &ev, &device->row[NGX_MESH_DEV_NAME]);
    ngx_mesh_ctl_event_arg(ctl, &ev, &group_name);
    ngx_mesh_ctl_event_arg(ctl, &ev, &list);
    ngx_mesh_ctl_event_device(&ev, device);
    ngx_mesh_ctl_event_store(ctl, &ev, q, &act->json);
    act->scope = ev.row.scope;

    ngx_mesh_model_change(q, NGX_MESH_CHANGE_DEVICE, device->device_id);

    (void) ngx_mesh_ctl_db_send(ctl, q);
}


/*
 * NGX_OK: tags are given, a JSON array without doubles, in order;
 * NGX_DECLINED: not given; NGX_ERROR: not tags
 */
static ngx_int_t
ngx_mesh_ctl_tags(ngx_mesh_ctl_t *ctl, ngx_str_t *tags)
{
    u_char                *p, *last, *comma;
    ngx_str_t              s, *tag;
    ngx_uint_t             i, n;
    ngx_array_t            list;
    ngx_mesh_jw_t          w;
    ngx_mesh_json_t       *json;
    ngx_mesh_ctl_value_t  *value;

    value = ngx_mesh_ctl_value(ctl, "tags");

    if (!value->set) {
        return NGX_DECLINED;
    }

    if (ngx_array_init(&list, ctl->pool, 8, sizeof(ngx_str_t)) != NGX_OK
        || ngx_mesh_jw_init(&w, ctl->pool, 256) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_mesh_json_text(value->json, &s) == NGX_OK) {

        /* "a,b" from the command line */

        if (!ngx_mesh_ctl_clean(&s, 0)) {
            return NGX_ERROR;
        }

        p = s.data;
        last = p + s.len;

        while (p < last) {
            comma = ngx_strlchr(p, last, ',');

            if (comma == NULL) {
                comma = last;
            }

            if (ngx_mesh_ctl_tag(&list, p, comma - p) != NGX_OK) {
                return NGX_ERROR;
            }

            p = comma + 1;
        }

    } else {
        json = ngx_mesh_json_array(ctl->json, "tags");

        if (json == NULL) {
            return NGX_ERROR;
        }

        n = ngx_mesh_json_count(json);

        for (i = 0; i < n; i++) {
            if (ngx_mesh_json_text(ngx_mesh_json_at(json, i), &s) != NGX_OK
                || !ngx_mesh_ctl_clean(&s, 0)
                || ngx_mesh_ctl_tag(&list, s.data, s.len) != NGX_OK)
            {
                return NGX_ERROR;
            }
        }
    }

    ngx_qsort(list.elts, list.nelts, sizeof(ngx_str_t), ngx_mesh_ctl_tag_cmp);

    tag = list.elts;

    ngx_mesh_jw_open(&w, NULL, '[');

    for (i = 0; i < list.nelts; i++) {
        if (i && ngx_mesh_ctl_tag_cmp(&tag[i - 1], &tag[i]) == 0) {
            continue;
        }

        ngx_mesh_jw_str(&w, NULL, &tag[i]);
    }

    ngx_mesh_jw_shut(&w, ']');

    return ngx_mesh_jw_done(&w, tags);
}


static ngx_int_t
ngx_mesh_ctl_tag(ngx_array_t *list, u_char *p, size_t len)
{
    ngx_str_t  *tag;

    while (len && *p == ' ') {
        p++;
        len--;
    }

    while (len && p[len - 1] == ' ') {
        len--;
    }

    if (len == 0) {
        return NGX_OK;
    }

    if (ngx_utf8_length(p, len) > 63 || list->nelts >= NGX_MESH_CTL_TAGS) {
        return NGX_ERROR;
    }

    tag = ngx_array_push(list);

    if (tag == NULL) {
        return NGX_ERROR;
    }

    tag->data = p;
    tag->len = len;

    return NGX_OK;
}


static int ngx_libc_cdecl
ngx_mesh_ctl_tag_cmp(const void *one, const void *two)
{
    const ngx_str_t  *a, *b;

    a = one;
    b = two;

    return (int) ngx_memn2cmp(a->data, b->data, a->len, b->len);
}


static ngx_mesh_ctl_act_t *
ngx_mesh_ctl_act(ngx_mesh_ctl_t *ctl, ngx_mesh_device_t *device)
{
    ngx_mesh_ctl_act_t  *act;

    act = ngx_pcalloc(ctl->pool, sizeof(ngx_mesh_ctl_act_t));

    if (act) {
        act->ctl = ctl;
        act->device = device;
    }

    return act;
}


/* stored: the row is read again, and pushed as it is now */
static void
ngx_mesh_ctl_device_changed(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    ngx_str_t            ids;
    ngx_mesh_ctl_t      *ctl;
    ngx_mesh_db_req_t   *read;
    ngx_mesh_device_t   *device;
    ngx_mesh_ctl_act_t  *act;

    act = q->data;
    ctl = act->ctl;
    device = act->device;

    if (rc != NGX_OK) {
        ngx_mesh_ctl_result(ctl, rc == NGX_DECLINED
                                 ? ctl->row->unknown
                                 : ngx_mesh_ctl_db_text(rc));
        return;
    }

    ngx_mesh_ctl_changed(ctl, NGX_MESH_CHANGE_DEVICE, device->device_id);

    if (device->online) {
        (void) ngx_mesh_agent_changed(&device->presence);
    }

    ngx_mesh_ctl_sprintf(ctl, &ids, device->id.len + 4, "[\"%V\"]",
                         &device->id);

    read = ngx_mesh_db_create(ngx_mesh_ctl_device_pushed, act);

    if (read) {
        ngx_mesh_db_stmt(read, MESH_SQL_CTL_DEVICES);
        ngx_mesh_db_int(read, ctl->who.domain_id);
        ngx_mesh_db_str(read, &ids);

        if (ngx_mesh_db_send(read) == NGX_OK) {
            return;
        }
    }

    ngx_mesh_ctl_result(ctl, "ok");
}


/* appends a member to an object that is text already */
static void
ngx_mesh_ctl_append(ngx_mesh_ctl_t *ctl, ngx_str_t *json, const char *name,
    const ngx_str_t *value)
{
    ngx_str_t  all, head;

    if (json->len < 3) {
        return;
    }

    head = *json;
    head.len--;

    ngx_mesh_ctl_sprintf(ctl, &all, json->len + value->len
                                    + ngx_strlen(name) + 8,
                         "%V,\"%s\":%V}", &head, name, value);
    *json = all;
}


static void
ngx_mesh_ctl_device_pushed(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    ngx_str_t            *row, node;
    ngx_mesh_jw_t         w;
    ngx_mesh_ctl_t       *ctl;
    ngx_mesh_device_t     device;
    ngx_mesh_ctl_act_t   *act;

    act = q->data;
    ctl = act->ctl;

    row = rc == NGX_OK ? ngx_mesh_db_row(q, 0, 0) : NULL;

    if (row && ngx_mesh_jw_init(&w, ctl->pool, 1024) == NGX_OK) {

        device = *act->device;
        device.row = row;

        ngx_mesh_jw_open(&w, NULL, '{');
        ngx_mesh_ctl_write_node(ctl, &w, &device, 1);

        if (row[NGX_MESH_DEV_TAGS].len <= 2) {
            /* said here, so that the last one goes from the page */
            ngx_mesh_jw_open(&w, "tags", '[');
            ngx_mesh_jw_shut(&w, ']');
        }

        ngx_mesh_jw_shut(&w, '}');

        if (ngx_mesh_jw_done(&w, &node) == NGX_OK) {
            ngx_mesh_ctl_append(ctl, &act->json, "node", &node);
        }
    }

    if (act->json.len) {
        ngx_mesh_event_publish(&act->scope, &act->json);
    }

    ngx_mesh_ctl_result(ctl, "ok");
}


/*
 * The right MANAGECOMPUTERS on the target was checked; besides, both groups
 * need EDITMESH (control.md 5.4).
 */
void
ngx_mesh_ctl_do_device_move(ngx_mesh_ctl_t *ctl)
{
    uint32_t               rights;
    ngx_str_t              text;
    ngx_uint_t             i, visible;
    const char            *no;
    ngx_mesh_group_t      *group, *from;
    ngx_mesh_db_req_t     *q;
    ngx_mesh_device_t     *device;
    ngx_mesh_ctl_act_t    *act;
    ngx_mesh_ctl_event_t   ev;

    group = ngx_mesh_ctl_group(ctl);

    if (group == NULL) {
        ngx_mesh_ctl_result(ctl, ctl->row->unknown);
        return;
    }

    ctl->waiting = 1;

    for (i = 0; i < ctl->ndevices; i++) {
        device = &ctl->device[i];
        no = NULL;

        if (!device->visible) {
            ngx_mesh_ctl_partial(ctl, device, "Device not found");
            continue;
        }

        from = ngx_mesh_group(device->group_id);
        rights = ngx_mesh_rights(ctl->who.account_id, device->group_id, 0,
                                 &visible);

        if (device->group_id == group->group_id) {
            no = "Device already in correct group";

        } else if (from == NULL || from->kind != group->kind
                   || !visible
                   || !ngx_mesh_right(rights, NGX_MESH_D_EDITMESH)
                   || !ngx_mesh_right(ctl->rights, NGX_MESH_D_EDITMESH))
        {
            no = "Permission denied";
        }

        if (no) {
            ngx_mesh_ctl_partial(ctl, device, no);
            continue;
        }

        act = ngx_mesh_ctl_act(ctl, device);
        q = act ? ngx_mesh_db_create(ngx_mesh_ctl_device_moved, act) : NULL;

        if (q == NULL) {
            ngx_mesh_ctl_partial(ctl, device, ngx_mesh_ctl_db_text(NGX_ERROR));
            continue;
        }

        act->group_id = group->group_id;

        ngx_mesh_db_stmt(q, MESH_SQL_DEVICE_MOVE);
        ngx_mesh_db_int(q, device->device_id);
        ngx_mesh_db_int(q, group->group_id);

        ngx_mesh_ctl_sprintf(ctl, &text,
                             device->row[NGX_MESH_DEV_NAME].len
                             + group->name.len + 64,
                             "Moved device %V to group %V",
                             &device->row[NGX_MESH_DEV_NAME], &group->name);

        /* a row for each of the two groups: data.md 2 */

        ngx_mesh_ctl_event(ctl, &ev, "node", "nodemeshchange", 85, &text);
        ngx_mesh_ctl_event_arg(ctl, &ev, &device->row[NGX_MESH_DEV_NAME]);
        ngx_mesh_ctl_event_arg(ctl, &ev, &group->name);
        ngx_mesh_ctl_event_device(&ev, device);
        ngx_mesh_jw_str(&ev.w, "oldMeshId", &from->wire);
        ngx_mesh_jw_str(&ev.w, "newMeshId", &group->wire);
        ngx_mesh_ctl_event_store(ctl, &ev, q, &act->json);

        act->scope = ev.row.scope;
        act->scope.group2_id = group->group_id;

        ev.row.scope.group_id = group->group_id;
        ngx_mesh_event_row(q, &ev.row);

        ngx_mesh_model_change(q, ngx_mesh_ctl_device_kind(device),
                              device->device_id);

        if (ngx_mesh_db_send(q) != NGX_OK) {
            ngx_mesh_ctl_partial(ctl, device, ngx_mesh_ctl_db_text(NGX_ABORT));
            continue;
        }

        ctl->waiting++;
    }

    if (--ctl->waiting == 0) {
        ngx_mesh_ctl_end(ctl);
    }
}


/* where it is now nobody knows who knew it by its agent */
static ngx_uint_t
ngx_mesh_ctl_device_kind(ngx_mesh_device_t *device)
{
    return device->online ? NGX_MESH_CHANGE_DEVICE : NGX_MESH_CHANGE_GONE;
}


static void
ngx_mesh_ctl_device_moved(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    ngx_str_t             node;
    ngx_mesh_jw_t         w;
    ngx_mesh_ctl_t       *ctl;
    ngx_mesh_device_t    *device;
    ngx_mesh_ctl_act_t   *act;

    act = q->data;
    ctl = act->ctl;
    device = act->device;

    if (rc == NGX_OK) {

        device->group_id = act->group_id;

        ngx_mesh_ctl_changed(ctl, ngx_mesh_ctl_device_kind(device),
                             device->device_id);

        if (device->online) {
            (void) ngx_mesh_presence_move(NGX_MESH_AGENT, ctl->who.domain_id,
                                          device->raw, act->group_id,
                (uint8_t) ngx_mesh_db_num(
                    &device->row[NGX_MESH_DEV_CONSENT]));
            (void) ngx_mesh_agent_changed(&device->presence);
        }

        if (ngx_mesh_jw_init(&w, ctl->pool, 1024) == NGX_OK) {
            ngx_mesh_jw_open(&w, NULL, '{');
            ngx_mesh_ctl_write_node(ctl, &w, device, 1);
            ngx_mesh_jw_shut(&w, '}');

            if (ngx_mesh_jw_done(&w, &node) == NGX_OK) {
                ngx_mesh_ctl_append(ctl, &act->json, "node", &node);
            }
        }

        if (act->json.len) {
            ngx_mesh_event_publish(&act->scope, &act->json);
        }

        ngx_mesh_ctl_partial(ctl, device, "ok");

    } else {
        ngx_mesh_ctl_partial(ctl, device, rc == NGX_DECLINED
                                          ? "Device not found"
                                          : ngx_mesh_ctl_db_text(rc));
    }

    if (--ctl->waiting == 0) {
        ngx_mesh_ctl_end(ctl);
    }
}


void
ngx_mesh_ctl_do_device_remove(ngx_mesh_ctl_t *ctl)
{
    ngx_str_t              text, group_name;
    ngx_uint_t             i;
    ngx_mesh_group_t      *group;
    ngx_mesh_db_req_t     *q;
    ngx_mesh_device_t     *device;
    ngx_mesh_ctl_act_t    *act;
    ngx_mesh_ctl_event_t   ev;

    ctl->waiting = 1;

    for (i = 0; i < ctl->ndevices; i++) {
        device = &ctl->device[i];

        if (!device->allowed) {
            ngx_mesh_ctl_partial(ctl, device, "Denied");
            continue;
        }

        act = ngx_mesh_ctl_act(ctl, device);
        q = act ? ngx_mesh_db_create(ngx_mesh_ctl_device_removed, act) : NULL;

        if (q == NULL) {
            ngx_mesh_ctl_partial(ctl, device, ngx_mesh_ctl_db_text(NGX_ERROR));
            continue;
        }

        ngx_mesh_db_stmt(q, MESH_SQL_DEVICE_DELETE);
        ngx_mesh_db_int(q, device->device_id);

        group = ngx_mesh_group(device->group_id);

        if (group) {
            group_name = group->name;

        } else {
            ngx_str_set(&group_name, "");
        }

        ngx_mesh_ctl_sprintf(ctl, &text,
                             device->row[NGX_MESH_DEV_NAME].len
                             + group_name.len + 64,
                             "Removed device %V from device group %V",
                             &device->row[NGX_MESH_DEV_NAME], &group_name);

        ngx_mesh_ctl_event(ctl, &ev, "node", "removenode", 87, &text);
        ngx_mesh_ctl_event_arg(ctl, &ev, &device->row[NGX_MESH_DEV_NAME]);
        ngx_mesh_ctl_event_arg(ctl, &ev, &group_name);
        ngx_mesh_ctl_event_device(&ev, device);
        ngx_mesh_ctl_event_store(ctl, &ev, q, &act->json);
        act->scope = ev.row.scope;

        ngx_mesh_model_change(q, NGX_MESH_CHANGE_GONE, device->device_id);

        if (ngx_mesh_db_send(q) != NGX_OK) {
            ngx_mesh_ctl_partial(ctl, device, ngx_mesh_ctl_db_text(NGX_ABORT));
            continue;
        }

        ctl->waiting++;
    }

    if (--ctl->waiting == 0) {
        ngx_mesh_ctl_end(ctl);
    }
}


static void
ngx_mesh_ctl_device_removed(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    ngx_mesh_ctl_t      *ctl;
    ngx_mesh_ctl_act_t  *act;

    act = q->data;
    ctl = act->ctl;

    if (rc == NGX_OK) {

        /* told while those who were granted the device alone still see it */

        if (act->json.len) {
            ngx_mesh_event_publish(&act->scope, &act->json);
        }

        ngx_mesh_ctl_changed(ctl, NGX_MESH_CHANGE_GONE,
                             act->device->device_id);

        if (act->device->online) {
            (void) ngx_mesh_agent_changed(&act->device->presence);
        }

        ngx_mesh_ctl_partial(ctl, act->device, "ok");

    } else {
        ngx_mesh_ctl_partial(ctl, act->device, rc == NGX_DECLINED
                                               ? "Denied"
                                               : ngx_mesh_ctl_db_text(rc));
    }

    if (--ctl->waiting == 0) {
        ngx_mesh_ctl_end(ctl);
    }
}
