/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* Actions: device groups, their members, and who is granted what. */

#include "ngx_mesh_control.h"
#include "../core/ngx_mesh_target.h"


/* rights that take away whatever else there is */
#define NGX_MESH_CTL_LIMITS                                                   \
    (NGX_MESH_D_NOTERMINAL|NGX_MESH_D_NOFILES|NGX_MESH_D_NOAMT                \
     |NGX_MESH_D_DESKLIMITEDINPUT|NGX_MESH_D_LIMITEVENTS                      \
     |NGX_MESH_D_NODESKTOP)


/* a change of rights of one account on a group or a device */
typedef struct {
    ngx_mesh_ctl_t  *ctl;
    ngx_str_t        word;            /* the last part of the id */
    int64_t          account_id;
    int64_t          access_id;
    uint32_t         rights;
    ngx_uint_t       remove;
    ngx_str_t        json;
    ngx_mesh_scope_t scope;
} ngx_mesh_ctl_grant_t;

typedef struct {
    ngx_mesh_jw_t   *w;
    int64_t          skip;            /* account */
} ngx_mesh_ctl_links_t;

/* several of them, answered together */
typedef struct {
    ngx_str_t        words;           /* what was done, joined by ", " */
    ngx_uint_t       done, failed;
    ngx_uint_t       group;           /* on a group, else on a device */
    int64_t          group_id;
    int64_t          device_id;
    ngx_str_t        name;            /* of the group or device */
} ngx_mesh_ctl_grants_t;


static ngx_int_t ngx_mesh_ctl_group_list(ngx_mesh_group_t *group,
    void *data);
static ngx_int_t ngx_mesh_ctl_group_link(ngx_mesh_access_t *access,
    void *data);
static void ngx_mesh_ctl_group_created(ngx_mesh_db_req_t *q, ngx_int_t rc);
static void ngx_mesh_ctl_group_edited(ngx_mesh_db_req_t *q, ngx_int_t rc);
static void ngx_mesh_ctl_group_doc(ngx_mesh_ctl_t *ctl,
    ngx_mesh_group_t *group, ngx_str_t *doc);
static ngx_int_t ngx_mesh_ctl_group_doc_member(const char *name,
    ngx_mesh_json_t *value, void *data);
static void ngx_mesh_ctl_group_deleted(ngx_mesh_db_req_t *q, ngx_int_t rc);
static void ngx_mesh_ctl_group_empty(ngx_mesh_ctl_t *ctl);
static void ngx_mesh_ctl_group_devices(ngx_mesh_db_req_t *q, ngx_int_t rc);
static void ngx_mesh_ctl_group_emptied(ngx_mesh_db_req_t *q, ngx_int_t rc);
static void ngx_mesh_ctl_grants(ngx_mesh_ctl_t *ctl,
    ngx_mesh_ctl_grants_t *grants, ngx_uint_t remove, uint32_t rights);
static void ngx_mesh_ctl_grant(ngx_mesh_ctl_t *ctl,
    ngx_mesh_ctl_grants_t *grants, const ngx_str_t *id, ngx_uint_t ids,
    ngx_uint_t remove, uint32_t rights);
static const char *ngx_mesh_ctl_grant_check(ngx_mesh_ctl_t *ctl,
    ngx_mesh_ctl_grants_t *grants, ngx_mesh_account_t *account,
    ngx_uint_t remove, uint32_t *rights);
static ngx_int_t ngx_mesh_ctl_grant_found(ngx_mesh_access_t *access,
    void *data);
static void ngx_mesh_ctl_granted(ngx_mesh_db_req_t *q, ngx_int_t rc);
static void ngx_mesh_ctl_grants_word(ngx_mesh_ctl_t *ctl,
    ngx_mesh_ctl_grants_t *grants, const char *text, const ngx_str_t *word,
    ngx_uint_t failed);
static void ngx_mesh_ctl_grants_end(ngx_mesh_ctl_t *ctl,
    ngx_mesh_ctl_grants_t *grants);
static ngx_int_t ngx_mesh_ctl_group_link_skip(ngx_mesh_access_t *access,
    void *data);
static void ngx_mesh_ctl_group_publish(ngx_mesh_ctl_t *ctl,
    int64_t group_id, ngx_mesh_ctl_grant_t *grant);


void
ngx_mesh_ctl_do_meshes(ngx_mesh_ctl_t *ctl)
{
    ngx_mesh_jw_t  *w;

    w = ngx_mesh_ctl_open(ctl);
    ctl->data = w;

    ngx_mesh_jw_open(w, "meshes", '[');
    (void) ngx_mesh_group_each(ctl->who.domain_id, ngx_mesh_ctl_group_list,
                               ctl);
    ngx_mesh_jw_shut(w, ']');

    ngx_mesh_ctl_reply(ctl, w);
}


static ngx_int_t
ngx_mesh_ctl_group_list(ngx_mesh_group_t *group, void *data)
{
    ngx_mesh_ctl_t *ctl = data;

    ngx_uint_t      visible;
    ngx_mesh_jw_t  *w;

    if (group->deleted_at) {
        return NGX_OK;
    }

    (void) ngx_mesh_rights(ctl->who.account_id, group->group_id, 0, &visible);

    if (visible) {
        w = ctl->data;

        ngx_mesh_jw_open(w, NULL, '{');
        ngx_mesh_ctl_write_group(w, group);
        ngx_mesh_jw_shut(w, '}');
    }

    return NGX_OK;
}


/* control.md 4.4 */
void
ngx_mesh_ctl_write_group(ngx_mesh_jw_t *w, ngx_mesh_group_t *group)
{
    int64_t              n;
    ngx_str_t            id, s;
    ngx_mesh_json_t     *doc, *list;
    ngx_mesh_account_t  *account;

    ngx_mesh_jw_cstr(w, "type", "mesh");
    ngx_mesh_jw_str(w, "_id", &group->wire);
    ngx_mesh_jw_str(w, "name", &group->name);
    ngx_mesh_jw_int(w, "mtype", group->kind);
    ngx_mesh_jw_str(w, "domain", &group->domain);
    ngx_mesh_jw_int(w, "creation", group->created_at);
    ngx_mesh_jw_int(w, "flags", group->flags);
    ngx_mesh_jw_int(w, "consent", group->consent);

    doc = group->doc.len ? ngx_mesh_json_parse(group->doc.data,
                                               group->doc.len)
                         : NULL;

    if (doc && ngx_mesh_json_str(doc, "desc", &s) == NGX_OK) {
        ngx_mesh_jw_str(w, "desc", &s);

    } else {
        ngx_mesh_jw_cstr(w, "desc", "");
    }

    if (doc && ngx_mesh_json_int(doc, "expireDevs", &n, 1, 2000) == NGX_OK) {
        ngx_mesh_jw_int(w, "expireDevs", n);
    }

    list = doc ? ngx_mesh_json_array(doc, "targets") : NULL;

    if (list) {
        ngx_mesh_jw_json(w, "targets", list);
    }

    account = group->created_by ? ngx_mesh_account(group->created_by) : NULL;

    if (account) {
        ngx_mesh_ctl_userid(w->pool, account, &id);
        ngx_mesh_jw_str(w, "creatorid", &id);
        ngx_mesh_jw_str(w, "creatorname", &account->name);

    } else if (doc && ngx_mesh_json_str(doc, "creatorname", &s) == NGX_OK) {
        ngx_mesh_jw_str(w, "creatorname", &s);
    }

    if (doc) {
        ngx_mesh_json_free(doc);
    }

    ngx_mesh_ctl_write_links(w, group->group_id, 0);
}


void
ngx_mesh_ctl_write_links(ngx_mesh_jw_t *w, int64_t group_id,
    int64_t device_id)
{
    ngx_mesh_jw_open(w, "links", '{');
    (void) ngx_mesh_access_each(group_id, device_id, ngx_mesh_ctl_group_link,
                                w);
    ngx_mesh_jw_shut(w, '}');
}


static ngx_int_t
ngx_mesh_ctl_group_link(ngx_mesh_access_t *access, void *data)
{
    ngx_mesh_jw_t *w = data;

    ngx_str_t            id;
    ngx_mesh_account_t  *account;

    account = access->account_id ? ngx_mesh_account(access->account_id)
                                 : NULL;
    if (account == NULL) {
        return NGX_OK;
    }

    ngx_mesh_ctl_userid(w->pool, account, &id);

    ngx_mesh_jw_name(w, &id);
    ngx_mesh_jw_open(w, NULL, '{');
    ngx_mesh_jw_str(w, "name", account->real_name.len ? &account->real_name
                                                      : &account->name);
    ngx_mesh_jw_int(w, "rights", access->rights);
    ngx_mesh_jw_shut(w, '}');

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_ctl_group_link_skip(ngx_mesh_access_t *access, void *data)
{
    ngx_mesh_ctl_links_t *links = data;

    return access->account_id == links->skip
           ? NGX_OK : ngx_mesh_ctl_group_link(access, links->w);
}


typedef struct {
    int64_t    group_id;
    int64_t    access_id;
    ngx_str_t  wire;
    ngx_str_t  text;
} ngx_mesh_ctl_new_group_t;


void
ngx_mesh_ctl_do_group_create(ngx_mesh_ctl_t *ctl)
{
    int64_t                    now;
    u_char                     raw[NGX_MESH_ID_LEN], id[NGX_MESH_ID_TEXT];
    ngx_str_t                  name, s, doc;
    ngx_mesh_jw_t              w;
    ngx_mesh_db_req_t         *q;
    ngx_mesh_account_t        *account;
    ngx_mesh_ctl_event_t       ev;
    ngx_mesh_ctl_value_t      *desc;
    ngx_mesh_ctl_new_group_t  *new;

    account = ngx_mesh_ctl_account(ctl);

    if (account == NULL
        || (account->site_rights != NGX_MESH_FULL
            && (account->site_rights & NGX_MESH_S_NONEWGROUPS)))
    {
        ngx_mesh_ctl_result(ctl, "Permission denied");
        return;
    }

    new = ngx_pcalloc(ctl->pool, sizeof(ngx_mesh_ctl_new_group_t));

    if (new == NULL || ngx_mesh_random(raw, sizeof(raw)) != NGX_OK
        || ngx_mesh_jw_init(&w, ctl->pool, 2048) != NGX_OK)
    {
        ngx_mesh_ctl_result(ctl, ngx_mesh_ctl_db_text(NGX_ERROR));
        return;
    }

    ctl->data = new;

    new->group_id = ngx_mesh_db_key();
    new->access_id = ngx_mesh_db_key();

    if (new->group_id == 0 || new->access_id == 0) {
        ngx_mesh_ctl_result(ctl, ngx_mesh_ctl_db_text(NGX_ABORT));
        return;
    }

    s.data = id;
    s.len = ngx_mesh_id_write(id, raw) - id;
    ngx_mesh_ctl_sprintf(ctl, &new->wire, ctl->domain.len + s.len + 8,
                         "mesh/%V/%V", &ctl->domain, &s);

    name = ngx_mesh_ctl_value(ctl, "meshname")->s;
    desc = ngx_mesh_ctl_value(ctl, "desc");

    ngx_mesh_jw_open(&w, NULL, '{');

    if (desc->s.len) {
        ngx_mesh_jw_str(&w, "desc", &desc->s);
    }

    /* stays when the account goes */
    ngx_mesh_jw_str(&w, "creatorname", &ctl->username);
    ngx_mesh_jw_shut(&w, '}');

    if (ngx_mesh_jw_done(&w, &doc) != NGX_OK) {
        ngx_mesh_ctl_result(ctl, ngx_mesh_ctl_db_text(NGX_ERROR));
        return;
    }

    q = ngx_mesh_ctl_db(ctl, ngx_mesh_ctl_group_created);
    if (q == NULL) {
        return;
    }

    now = ngx_mesh_now_ms();

    ngx_mesh_db_stmt(q, MESH_SQL_GROUP_ADD);
    ngx_mesh_db_int(q, new->group_id);
    ngx_mesh_db_int(q, ctl->who.domain_id);
    ngx_mesh_db_str(q, &new->wire);
    ngx_mesh_db_int(q, ngx_mesh_ctl_value(ctl, "meshtype")->n);
    ngx_mesh_db_str(q, &name);
    ngx_mesh_db_int(q, ngx_mesh_ctl_value(ctl, "consent")->n);
    ngx_mesh_db_int(q, ngx_mesh_ctl_value(ctl, "flags")->n);
    ngx_mesh_db_int(q, now);
    ngx_mesh_db_int(q, ctl->who.account_id);
    ngx_mesh_db_str(q, &doc);

    ngx_mesh_db_stmt(q, MESH_SQL_ACCESS_ADD);
    ngx_mesh_db_int(q, new->access_id);
    ngx_mesh_db_int(q, ctl->who.domain_id);
    ngx_mesh_db_int(q, ctl->who.account_id);
    ngx_mesh_db_int(q, new->group_id);
    ngx_mesh_db_null(q);
    ngx_mesh_db_int(q, NGX_MESH_FULL);
    ngx_mesh_db_int(q, ctl->who.account_id);
    ngx_mesh_db_int(q, now);

    ngx_mesh_ctl_sprintf(ctl, &new->text, name.len + 64,
                         "Device group created: %V", &name);

    ngx_mesh_ctl_event(ctl, &ev, "mesh", "createmesh", 76, &new->text);
    ngx_mesh_ctl_event_arg(ctl, &ev, &name);
    ev.row.scope.group_id = new->group_id;
    ngx_mesh_jw_str(&ev.w, "meshid", &new->wire);
    ngx_mesh_jw_int(&ev.w, "mtype", ngx_mesh_ctl_value(ctl, "meshtype")->n);
    ngx_mesh_jw_str(&ev.w, "name", &name);
    ngx_mesh_ctl_event_store(ctl, &ev, q, &s);

    ngx_mesh_model_change(q, NGX_MESH_CHANGE_GROUP, new->group_id);
    ngx_mesh_model_change(q, NGX_MESH_CHANGE_ACCESS, new->access_id);

    (void) ngx_mesh_ctl_db_send(ctl, q);
}


/*
 * The model is told by ids, and reads the rows itself: what the answer and the
 * event say is written from what was stored.
 */
static void
ngx_mesh_ctl_group_created(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    ngx_str_t                  links, json, args;
    ngx_mesh_jw_t             *w, l;
    ngx_mesh_ctl_t            *ctl;
    ngx_mesh_scope_t           scope;
    ngx_mesh_ctl_new_group_t  *new;

    ctl = q->data;
    new = ctl->data;

    if (rc != NGX_OK) {
        ngx_mesh_ctl_result(ctl, ngx_mesh_ctl_db_text(rc));
        return;
    }

    ngx_mesh_ctl_changed(ctl, NGX_MESH_CHANGE_GROUP, new->group_id);
    ngx_mesh_ctl_changed(ctl, NGX_MESH_CHANGE_ACCESS, new->access_id);

    ngx_str_null(&links);

    if (ngx_mesh_jw_init(&l, ctl->pool, 512) == NGX_OK) {
        ngx_mesh_jw_open(&l, NULL, '{');
        ngx_mesh_jw_name(&l, &ctl->user);
        ngx_mesh_jw_open(&l, NULL, '{');
        ngx_mesh_jw_str(&l, "name", ctl->realname.len ? &ctl->realname
                                                      : &ctl->username);
        ngx_mesh_jw_int(&l, "rights", NGX_MESH_FULL);
        ngx_mesh_jw_shut(&l, '}');
        ngx_mesh_jw_shut(&l, '}');

        if (ngx_mesh_jw_done(&l, &links) != NGX_OK) {
            ngx_str_null(&links);
        }
    }

    if (links.len && ngx_mesh_jw_init(&l, ctl->pool, 1024) == NGX_OK) {
        ngx_mesh_jw_open(&l, NULL, '{');
        ngx_mesh_jw_cstr(&l, "etype", "mesh");
        ngx_mesh_jw_cstr(&l, "action", "createmesh");
        ngx_mesh_jw_str(&l, "domain", &ctl->domain);
        ngx_mesh_jw_str(&l, "userid", &ctl->user);
        ngx_mesh_jw_str(&l, "username", &ctl->username);
        ngx_mesh_jw_str(&l, "meshid", &new->wire);
        ngx_mesh_jw_int(&l, "mtype", ngx_mesh_ctl_value(ctl, "meshtype")->n);
        ngx_mesh_jw_str(&l, "msg", &new->text);
        ngx_mesh_jw_int(&l, "msgid", 76);

        ngx_mesh_jw_open(&l, "msgArgs", '[');
        ngx_mesh_jw_str(&l, NULL, &ngx_mesh_ctl_value(ctl, "meshname")->s);
        ngx_mesh_jw_shut(&l, ']');

        ngx_mesh_jw_open(&l, "mesh", '{');
        ngx_mesh_jw_cstr(&l, "type", "mesh");
        ngx_mesh_jw_str(&l, "_id", &new->wire);
        ngx_mesh_jw_str(&l, "name", &ngx_mesh_ctl_value(ctl, "meshname")->s);
        ngx_mesh_jw_str(&l, "desc", &ngx_mesh_ctl_value(ctl, "desc")->s);
        ngx_mesh_jw_int(&l, "mtype", ngx_mesh_ctl_value(ctl, "meshtype")->n);
        ngx_mesh_jw_str(&l, "domain", &ctl->domain);
        ngx_mesh_jw_int(&l, "flags", ngx_mesh_ctl_value(ctl, "flags")->n);
        ngx_mesh_jw_int(&l, "consent", ngx_mesh_ctl_value(ctl, "consent")->n);
        ngx_mesh_jw_int(&l, "creation", ngx_mesh_now_ms());
        ngx_mesh_jw_str(&l, "creatorid", &ctl->user);
        ngx_mesh_jw_str(&l, "creatorname", &ctl->username);
        ngx_mesh_jw_raw(&l, "links", &links);
        ngx_mesh_jw_shut(&l, '}');
        ngx_mesh_jw_shut(&l, '}');

        if (ngx_mesh_jw_done(&l, &json) == NGX_OK) {
            ngx_memzero(&scope, sizeof(ngx_mesh_scope_t));
            scope.domain_id = ctl->who.domain_id;
            scope.account_id = ctl->who.account_id;
            scope.group_id = new->group_id;
            ngx_mesh_event_publish(&scope, &json);
        }
    }

    ngx_str_set(&args, "{}");

    w = ngx_mesh_ctl_open(ctl);
    ngx_mesh_jw_cstr(w, "result", "ok");
    ngx_mesh_jw_str(w, "meshid", &new->wire);
    ngx_mesh_jw_raw(w, "links", links.len ? &links : &args);
    ngx_mesh_ctl_reply(ctl, w);
}


typedef struct {
    ngx_str_t  name;
    int64_t    consent, flags;
    ngx_str_t  json;                  /* what is published */
} ngx_mesh_ctl_group_edit_t;


void
ngx_mesh_ctl_do_group_edit(ngx_mesh_ctl_t *ctl)
{
    u_char                      list[64], *p;
    ngx_str_t                   text, doc, s, old;
    ngx_uint_t                  n, rename;
    ngx_mesh_group_t           *group;
    ngx_mesh_db_req_t          *q;
    ngx_mesh_ctl_event_t        ev;
    const char                 *why;
    ngx_mesh_ctl_value_t       *name, *desc, *flags, *consent, *expire;
    ngx_mesh_ctl_value_t       *targets;
    ngx_mesh_ctl_group_edit_t  *edit;

    group = ngx_mesh_ctl_group(ctl);
    edit = ngx_pcalloc(ctl->pool, sizeof(ngx_mesh_ctl_group_edit_t));

    if (group == NULL || edit == NULL) {
        ngx_mesh_ctl_result(ctl, ctl->row->unknown);
        return;
    }

    ctl->data = edit;

    name = ngx_mesh_ctl_value(ctl, "meshname");
    desc = ngx_mesh_ctl_value(ctl, "desc");
    flags = ngx_mesh_ctl_value(ctl, "flags");
    consent = ngx_mesh_ctl_value(ctl, "consent");
    expire = ngx_mesh_ctl_value(ctl, "expireDevs");
    targets = ngx_mesh_ctl_value(ctl, "targets");

    if (targets->set && ngx_mesh_json_array(ctl->json, "targets") == NULL) {
        ngx_mesh_ctl_result(ctl, "Targets are a list of texts.");
        return;
    }

    if (targets->set
        && ngx_mesh_target_list(targets->json, &s, &why) != NGX_OK)
    {
        text.len = ngx_strlen(why) + s.len + 4;
        text.data = ngx_pnalloc(ctl->pool, text.len + 1);

        if (text.data == NULL || s.len == 0 || s.len > MESH_TARGET_ENTRY) {
            ngx_mesh_ctl_result(ctl, why);
            return;
        }

        *ngx_snprintf(text.data, text.len, "%V: %s", &s, why) = '\0';
        ngx_mesh_ctl_result(ctl, (char *) text.data);
        return;
    }

    rename = name->set
             && (name->s.len != group->name.len
                 || ngx_memcmp(name->s.data, group->name.data, name->s.len)
                    != 0);

    edit->name.data = ngx_pstrdup(ctl->pool, rename ? &name->s
                                                    : &group->name);
    edit->name.len = rename ? name->s.len : group->name.len;
    edit->flags = flags->set ? flags->n : group->flags;
    edit->consent = consent->set ? consent->n : group->consent;

    old.data = ngx_pstrdup(ctl->pool, &group->name);
    old.len = group->name.len;

    /* control.md 6.3, 142: the list of what changed */

    n = 0;
    p = list;
    text.data = ngx_pnalloc(ctl->pool, edit->name.len + old.len + 256);

    if (text.data == NULL || edit->name.data == NULL || old.data == NULL) {
        ngx_mesh_ctl_result(ctl, ngx_mesh_ctl_db_text(NGX_ERROR));
        return;
    }

    text.len = 0;

#define ngx_mesh_ctl_group_said(what, number)                                 \
    text.len = (n++ ? ngx_sprintf(text.data + text.len, " and %s changed",    \
                                  what)                                       \
                    : ngx_sprintf(text.data, "Device group \"%V\" %s changed",\
                                  &edit->name, what))                         \
               - text.data;                                                   \
    p = ngx_sprintf(p, "%s%d", p == list ? "" : ",", number)

    if (rename) {
        text.len = ngx_sprintf(text.data, "Device group name changed from "
                               "\"%V\" to \"%V\"", &old, &edit->name)
                   - text.data;
        p = ngx_sprintf(p, "1");
        n++;
    }

    if (desc->set) {
        ngx_mesh_ctl_group_said("description", 2);
    }

    if (flags->set && edit->flags != group->flags) {
        ngx_mesh_ctl_group_said("flags", 3);
    }

    if (consent->set && edit->consent != group->consent) {
        ngx_mesh_ctl_group_said("consent", 4);
    }

    if (expire->set) {
        ngx_mesh_ctl_group_said("expiry", 5);
    }

    /* a number of ours: stock clients show the text */
    if (targets->set) {
        ngx_mesh_ctl_group_said("reachable addresses", 100);
    }

    if (n == 0) {
        ngx_mesh_ctl_result(ctl, "ok");
        return;
    }

    ngx_mesh_ctl_group_doc(ctl, group, &doc);

    if (doc.len == 0) {
        ngx_mesh_ctl_result(ctl, ngx_mesh_ctl_db_text(NGX_ERROR));
        return;
    }

    q = ngx_mesh_ctl_db(ctl, ngx_mesh_ctl_group_edited);
    if (q == NULL) {
        return;
    }

    ngx_mesh_db_stmt(q, MESH_SQL_GROUP_EDIT);
    ngx_mesh_db_int(q, group->group_id);
    ngx_mesh_db_str(q, &edit->name);
    ngx_mesh_db_int(q, edit->consent);
    ngx_mesh_db_int(q, edit->flags);
    ngx_mesh_db_str(q, &doc);

    ngx_mesh_ctl_event(ctl, &ev, "mesh", "meshchange", 142, &text);
    ngx_mesh_ctl_event_arg(ctl, &ev, &edit->name);
    s.data = list;
    s.len = p - list;
    ngx_mesh_ctl_event_arg(ctl, &ev, &s);
    ngx_mesh_ctl_event_group(&ev, group);
    ngx_mesh_jw_str(&ev.w, "name", &edit->name);
    ngx_mesh_jw_int(&ev.w, "mtype", group->kind);
    ngx_mesh_jw_int(&ev.w, "flags", edit->flags);
    ngx_mesh_jw_int(&ev.w, "consent", edit->consent);

    if (desc->set) {
        ngx_mesh_jw_str(&ev.w, "desc", &desc->s);
    }

    if (targets->set) {
        ngx_mesh_jw_json(&ev.w, "targets", targets->json);
    }

    ngx_mesh_ctl_event_store(ctl, &ev, q, &edit->json);

    ngx_mesh_model_change(q, NGX_MESH_CHANGE_GROUP, group->group_id);

    (void) ngx_mesh_ctl_db_send(ctl, q);
}


/* the rest of the document, with what the command changes in it */
static void
ngx_mesh_ctl_group_doc(ngx_mesh_ctl_t *ctl, ngx_mesh_group_t *group,
    ngx_str_t *doc)
{
    ngx_mesh_jw_t          w;
    ngx_mesh_json_t       *old;
    ngx_mesh_ctl_value_t  *desc, *expire, *targets;

    ngx_str_null(doc);

    if (ngx_mesh_jw_init(&w, ctl->pool, 1024) != NGX_OK) {
        return;
    }

    desc = ngx_mesh_ctl_value(ctl, "desc");
    expire = ngx_mesh_ctl_value(ctl, "expireDevs");
    targets = ngx_mesh_ctl_value(ctl, "targets");
    old = group->doc.len ? ngx_mesh_json_parse(group->doc.data,
                                               group->doc.len)
                         : NULL;

    ngx_mesh_jw_open(&w, NULL, '{');

    if (old) {
        ctl->waiting = (desc->set ? 1 : 0) | (expire->set ? 2 : 0)
                       | (targets->set ? 4 : 0);

        {
            void  *args[2];

            args[0] = &w;
            args[1] = ctl;

            (void) ngx_mesh_json_members(old, ngx_mesh_ctl_group_doc_member,
                                         args);
        }

        ctl->waiting = 0;
        ngx_mesh_json_free(old);
    }

    if (desc->set && desc->s.len) {
        ngx_mesh_jw_str(&w, "desc", &desc->s);
    }

    if (expire->set && expire->n) {
        ngx_mesh_jw_int(&w, "expireDevs", expire->n);
    }

    if (targets->set && ngx_mesh_json_count(targets->json)) {
        ngx_mesh_jw_json(&w, "targets", targets->json);
    }

    ngx_mesh_jw_shut(&w, '}');

    if (ngx_mesh_jw_done(&w, doc) != NGX_OK) {
        ngx_str_null(doc);
    }
}


static ngx_int_t
ngx_mesh_ctl_group_doc_member(const char *name, ngx_mesh_json_t *value,
    void *data)
{
    void **args = data;

    ngx_str_t        s;
    ngx_mesh_ctl_t  *ctl;

    ctl = args[1];

    if (((ctl->waiting & 1) && ngx_strcmp(name, "desc") == 0)
        || ((ctl->waiting & 2) && ngx_strcmp(name, "expireDevs") == 0)
        || ((ctl->waiting & 4) && ngx_strcmp(name, "targets") == 0))
    {
        return NGX_OK;
    }

    s.data = (u_char *) name;
    s.len = ngx_strlen(name);

    ngx_mesh_jw_name(args[0], &s);
    ngx_mesh_jw_json(args[0], NULL, value);

    return NGX_OK;
}


static void
ngx_mesh_ctl_group_edited(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    ngx_mesh_ctl_t             *ctl;
    ngx_mesh_scope_t            scope;
    ngx_mesh_ctl_group_edit_t  *edit;

    ctl = q->data;
    edit = ctl->data;

    if (rc != NGX_OK) {
        ngx_mesh_ctl_result(ctl, rc == NGX_DECLINED
                                 ? ctl->row->unknown
                                 : ngx_mesh_ctl_db_text(rc));
        return;
    }

    ngx_mesh_ctl_changed(ctl, NGX_MESH_CHANGE_GROUP, ctl->group_id);

    if (edit->json.len) {
        ngx_memzero(&scope, sizeof(ngx_mesh_scope_t));
        scope.domain_id = ctl->who.domain_id;
        scope.account_id = ctl->who.account_id;
        scope.group_id = ctl->group_id;
        ngx_mesh_event_publish(&scope, &edit->json);
    }

    ngx_mesh_ctl_result(ctl, "ok");
}


/*
 * The group is marked first and its devices go after, a hundred in an act, so
 * that nothing is locked for long; what a crash leaves behind belongs to a
 * group that nobody sees.
 */
void
ngx_mesh_ctl_do_group_delete(ngx_mesh_ctl_t *ctl)
{
    ngx_str_t                   text;
    ngx_mesh_group_t           *group;
    ngx_mesh_db_req_t          *q;
    ngx_mesh_ctl_event_t        ev;
    ngx_mesh_ctl_group_edit_t  *edit;

    group = ngx_mesh_ctl_group(ctl);
    edit = ngx_pcalloc(ctl->pool, sizeof(ngx_mesh_ctl_group_edit_t));

    if (group == NULL || edit == NULL) {
        ngx_mesh_ctl_result(ctl, ctl->row->unknown);
        return;
    }

    ctl->data = edit;

    q = ngx_mesh_ctl_db(ctl, ngx_mesh_ctl_group_deleted);
    if (q == NULL) {
        return;
    }

    ngx_mesh_db_stmt(q, MESH_SQL_GROUP_DELETE);
    ngx_mesh_db_int(q, group->group_id);
    ngx_mesh_db_int(q, ngx_mesh_now_ms());

    ngx_mesh_ctl_sprintf(ctl, &text, group->name.len + 64,
                         "Device group deleted: %V", &group->name);

    ngx_mesh_ctl_event(ctl, &ev, "mesh", "deletemesh", 77, &text);
    ngx_mesh_ctl_event_arg(ctl, &ev, &group->name);
    ngx_mesh_ctl_event_group(&ev, group);
    ngx_mesh_jw_str(&ev.w, "name", &group->name);
    ngx_mesh_jw_int(&ev.w, "mtype", group->kind);
    ngx_mesh_ctl_event_store(ctl, &ev, q, &edit->json);

    ngx_mesh_model_change(q, NGX_MESH_CHANGE_GROUP, group->group_id);

    (void) ngx_mesh_ctl_db_send(ctl, q);
}


static void
ngx_mesh_ctl_group_deleted(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    ngx_mesh_ctl_t             *ctl;
    ngx_mesh_scope_t            scope;
    ngx_mesh_ctl_group_edit_t  *edit;

    ctl = q->data;
    edit = ctl->data;

    if (rc != NGX_OK) {
        ngx_mesh_ctl_result(ctl, rc == NGX_DECLINED
                                 ? ctl->row->unknown
                                 : ngx_mesh_ctl_db_text(rc));
        return;
    }

    /* published while the members can still see it */

    if (edit->json.len) {
        ngx_memzero(&scope, sizeof(ngx_mesh_scope_t));
        scope.domain_id = ctl->who.domain_id;
        scope.account_id = ctl->who.account_id;
        scope.group_id = ctl->group_id;
        ngx_mesh_event_publish(&scope, &edit->json);
    }

    ngx_mesh_ctl_group_empty(ctl);
}


static void
ngx_mesh_ctl_group_empty(ngx_mesh_ctl_t *ctl)
{
    ngx_mesh_db_req_t  *q;

    q = ngx_mesh_ctl_db(ctl, ngx_mesh_ctl_group_devices);
    if (q == NULL) {
        return;
    }

    ngx_mesh_db_stmt(q, MESH_SQL_CTL_GROUP_DEVICES);
    ngx_mesh_db_int(q, ctl->group_id);

    (void) ngx_mesh_ctl_db_send(ctl, q);
}


static void
ngx_mesh_ctl_group_devices(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    int64_t            *ids;
    ngx_str_t           json, *row;
    ngx_uint_t          i, n;
    ngx_mesh_jw_t       w;
    ngx_mesh_ctl_t     *ctl;
    ngx_mesh_db_req_t  *act;

    ctl = q->data;

    if (rc != NGX_OK) {
        /* deleted it is: ngx_mesh_model_keep.c does the rest */
        ngx_mesh_ctl_changed(ctl, NGX_MESH_CHANGE_GROUP, ctl->group_id);
        ngx_mesh_ctl_result(ctl, ngx_mesh_ctl_db_text(rc));
        return;
    }

    n = ngx_mesh_db_rows(q, 0);
    ids = ngx_palloc(ctl->pool, (n + 1) * sizeof(int64_t));

    if (ids == NULL || ngx_mesh_jw_init(&w, ctl->pool, 24 * n + 16)
                       != NGX_OK)
    {
        ngx_mesh_ctl_end(ctl);
        return;
    }

    ngx_mesh_jw_open(&w, NULL, '[');

    for (i = 0; i < n; i++) {
        row = ngx_mesh_db_row(q, 0, i);
        ids[i] = ngx_mesh_db_num(&row[0]);
        ngx_mesh_jw_int(&w, NULL, ids[i]);
    }

    ngx_mesh_jw_shut(&w, ']');

    if (ngx_mesh_jw_done(&w, &json) != NGX_OK) {
        ngx_mesh_ctl_end(ctl);
        return;
    }

    ctl->waiting = n;
    ctl->data = ids;

    act = ngx_mesh_ctl_db(ctl, ngx_mesh_ctl_group_emptied);
    if (act == NULL) {
        return;
    }

    if (n) {
        ngx_mesh_db_stmt(act, MESH_SQL_CTL_DEVICES_DELETE);
        ngx_mesh_db_int(act, ctl->group_id);
        ngx_mesh_db_str(act, &json);
        ngx_mesh_db_stmt(act, MESH_SQL_CTL_CHANGES_ADD);
        ngx_mesh_db_int(act, NGX_MESH_CHANGE_DEVICE);
        ngx_mesh_db_str(act, &json);

    } else {
        /* the grants go last, so that it was a group to the end */
        ngx_mesh_db_stmt(act, MESH_SQL_CTL_ACCESS_GROUP_END);
        ngx_mesh_db_int(act, ctl->group_id);
        ngx_mesh_model_change(act, NGX_MESH_CHANGE_GROUP, ctl->group_id);
    }

    (void) ngx_mesh_ctl_db_send(ctl, act);
}


static void
ngx_mesh_ctl_group_emptied(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    int64_t         *ids;
    ngx_uint_t       i;
    ngx_mesh_ctl_t  *ctl;

    ctl = q->data;
    ids = ctl->data;

    if (rc != NGX_OK) {
        ngx_mesh_ctl_changed(ctl, NGX_MESH_CHANGE_GROUP, ctl->group_id);
        ngx_mesh_ctl_result(ctl, ngx_mesh_ctl_db_text(rc));
        return;
    }

    if (ctl->waiting) {
        for (i = 0; i < ctl->waiting; i++) {
            ngx_mesh_ctl_changed(ctl, NGX_MESH_CHANGE_GONE, ids[i]);
        }

        ngx_mesh_ctl_group_empty(ctl);
        return;
    }

    ngx_mesh_ctl_changed(ctl, NGX_MESH_CHANGE_GROUP, ctl->group_id);
    ngx_mesh_ctl_result(ctl, "ok");
}


void
ngx_mesh_ctl_do_group_user(ngx_mesh_ctl_t *ctl)
{
    ngx_mesh_group_t       *group;
    ngx_mesh_ctl_grants_t  *grants;

    group = ngx_mesh_ctl_group(ctl);
    grants = ngx_pcalloc(ctl->pool, sizeof(ngx_mesh_ctl_grants_t));

    if (group == NULL || grants == NULL) {
        ngx_mesh_ctl_result(ctl, ctl->row->unknown);
        return;
    }

    grants->group = 1;
    grants->group_id = group->group_id;
    grants->name.data = ngx_pstrdup(ctl->pool, &group->name);
    grants->name.len = grants->name.data ? group->name.len : 0;

    ngx_mesh_ctl_grants(ctl, grants, ngx_mesh_ctl_value(ctl, "remove")->n,
                        (uint32_t) ngx_mesh_ctl_value(ctl, "meshadmin")->n);
}


void
ngx_mesh_ctl_do_group_user_remove(ngx_mesh_ctl_t *ctl)
{
    ngx_str_t               id;
    ngx_mesh_group_t       *group;
    ngx_mesh_account_t     *account;
    ngx_mesh_ctl_grants_t  *grants;

    group = ngx_mesh_ctl_group(ctl);
    grants = ngx_pcalloc(ctl->pool, sizeof(ngx_mesh_ctl_grants_t));

    if (group == NULL || grants == NULL) {
        ngx_mesh_ctl_result(ctl, ctl->row->unknown);
        return;
    }

    grants->group = 1;
    grants->group_id = group->group_id;
    grants->name.data = ngx_pstrdup(ctl->pool, &group->name);
    grants->name.len = grants->name.data ? group->name.len : 0;

    ctl->data = grants;

    id = ngx_mesh_ctl_value(ctl, "userid")->s;
    account = ngx_mesh_ctl_find(ctl->who.domain_id, &id);

    if (account && account->account_id == ctl->who.account_id
        && ctl->rights != NGX_MESH_FULL)
    {
        ngx_mesh_ctl_result(ctl, "Can't remove self");
        return;
    }

    ctl->waiting = 1;
    ngx_mesh_ctl_grant(ctl, grants, &id, 1, 1, 0);
    ngx_mesh_ctl_grants_end(ctl, grants);
}


/* called for a device by ngx_mesh_control_device.c */
void
ngx_mesh_ctl_do_device_user(ngx_mesh_ctl_t *ctl)
{
    int64_t                 rights;
    ngx_mesh_ctl_grants_t  *grants;

    rights = ngx_mesh_ctl_value(ctl, "rights")->n;

    /* a device has no members to manage and no devices: data.md 2 */

    if (rights & 7) {
        ngx_mesh_ctl_result(ctl, "Invalid rights");
        return;
    }

    grants = ngx_pcalloc(ctl->pool, sizeof(ngx_mesh_ctl_grants_t));
    if (grants == NULL) {
        ngx_mesh_ctl_end(ctl);
        return;
    }

    grants->group_id = ctl->device->group_id;
    grants->device_id = ctl->device->device_id;
    grants->name = ctl->device->row[NGX_MESH_DEV_NAME];

    ngx_mesh_ctl_grants(ctl, grants, ngx_mesh_ctl_value(ctl, "remove")->n,
                        (uint32_t) rights);
}


static void
ngx_mesh_ctl_grants(ngx_mesh_ctl_t *ctl, ngx_mesh_ctl_grants_t *grants,
    ngx_uint_t remove, uint32_t rights)
{
    ngx_str_t              id;
    ngx_uint_t             i, n, ids;
    ngx_mesh_ctl_value_t  *list, *one;

    ctl->data = grants;

    ids = 0;
    list = ngx_mesh_ctl_value(ctl, "usernames");
    one = ngx_mesh_ctl_value(ctl, "userid");

    if (!list->set) {
        list = ngx_mesh_ctl_value(ctl, "userids");
        ids = 1;
    }

    if (!list->set && !one->set) {
        ngx_mesh_ctl_result(ctl, "Invalid usernames");
        return;
    }

    /* the command itself is one that is waited for, so that it ends last */
    ctl->waiting = 1;

    if (!list->set) {
        ngx_mesh_ctl_grant(ctl, grants, &one->s, 1, remove, rights);

    } else {
        n = ngx_mesh_json_count(list->json);

        for (i = 0; i < n; i++) {
            (void) ngx_mesh_json_text(ngx_mesh_json_at(list->json, i), &id);
            ngx_mesh_ctl_grant(ctl, grants, &id, ids, remove, rights);
        }
    }

    ngx_mesh_ctl_grants_end(ctl, grants);
}


typedef struct {
    int64_t   account_id;
    int64_t   access_id;
    uint32_t  rights;
} ngx_mesh_ctl_had_t;


static ngx_int_t
ngx_mesh_ctl_grant_found(ngx_mesh_access_t *access, void *data)
{
    ngx_mesh_ctl_had_t *had = data;

    if (access->account_id != had->account_id) {
        return NGX_OK;
    }

    had->access_id = access->access_id;
    had->rights = access->rights;

    return NGX_DONE;
}


/*
 * Nobody gives what he does not have there; returns why not, or NULL.  Bits
 * that take away may be given by everybody; but view-only opens the desktop to
 * who has no control.  What binds the giver is added to what he gives:
 * otherwise a second account of his would be without it.
 */
static const char *
ngx_mesh_ctl_grant_check(ngx_mesh_ctl_t *ctl, ngx_mesh_ctl_grants_t *grants,
    ngx_mesh_account_t *account, ngx_uint_t remove, uint32_t *rights)
{
    uint32_t    have, limits;
    ngx_uint_t  full, self;

    full = (ctl->rights == NGX_MESH_FULL);
    self = (account->account_id == ctl->who.account_id);

    /* a grant that is removed could be one that takes away */

    if (self && (!full || (grants->group && !remove))) {
        return "Can't change self";
    }

    if (full || remove) {
        return NULL;
    }

    if (grants->group && *rights == NGX_MESH_FULL) {
        return "Can't set device group administrator, if not administrator";
    }

    have = ctl->rights | NGX_MESH_CTL_LIMITS;

    if (ctl->rights & NGX_MESH_D_REMOTECONTROL) {
        have |= NGX_MESH_D_REMOTEVIEWONLY;
    }

    if (*rights & ~have) {
        return "Can't give rights that one does not have";
    }

    limits = NGX_MESH_CTL_LIMITS;

    if (*rights & (NGX_MESH_D_REMOTECONTROL|NGX_MESH_D_RELAY)) {
        limits |= NGX_MESH_D_REMOTEVIEWONLY;
    }

    *rights |= ctl->rights & limits;

    return NULL;
}


/* one account: an act of its own, with its own event */
static void
ngx_mesh_ctl_grant(ngx_mesh_ctl_t *ctl, ngx_mesh_ctl_grants_t *grants,
    const ngx_str_t *id, ngx_uint_t ids, ngx_uint_t remove, uint32_t rights)
{
    u_char                *p;
    int64_t                access_id;
    ngx_str_t              text, word, userid;
    const char            *no;
    ngx_mesh_db_req_t     *q;
    ngx_mesh_group_t      *group;
    ngx_mesh_account_t    *account;
    ngx_mesh_ctl_had_t     had;
    ngx_mesh_ctl_event_t   ev;
    ngx_mesh_ctl_grant_t  *grant;

    word = *id;

    for (p = word.data + word.len; p > word.data && p[-1] != '/'; p--) {
        /* void */
    }

    word.len -= p - word.data;
    word.data = p;

    account = ngx_mesh_ctl_find(ctl->who.domain_id, id);

    if (account == NULL) {
        /* unknown names are passed over, unknown ids named */

        if (ids) {
            ngx_mesh_ctl_grants_word(ctl, grants, "Unknown user %V", &word, 1);
        }

        return;
    }

    no = ngx_mesh_ctl_grant_check(ctl, grants, account, remove, &rights);

    if (no) {
        ngx_mesh_ctl_grants_word(ctl, grants, no, NULL, 1);
        return;
    }

    had.account_id = account->account_id;
    had.access_id = 0;
    had.rights = 0;

    (void) ngx_mesh_access_each(grants->group ? grants->group_id : 0,
                                grants->device_id, ngx_mesh_ctl_grant_found,
                                &had);

    if (had.rights == NGX_MESH_FULL && ctl->rights != NGX_MESH_FULL) {
        ngx_mesh_ctl_grants_word(ctl, grants,
            "Can't change rights of device group administrator", NULL, 1);
        return;
    }

    if (remove && had.access_id == 0) {
        return;
    }

    if (!remove && had.access_id && had.rights == rights) {
        ngx_mesh_ctl_grants_word(ctl, grants, "Added user %V", &word, 0);
        return;
    }

    if (had.access_id == 0) {
        access_id = ngx_mesh_db_key();

    } else {
        access_id = had.access_id;
    }

    grant = ngx_pcalloc(ctl->pool, sizeof(ngx_mesh_ctl_grant_t));
    q = grant && access_id ? ngx_mesh_db_create(ngx_mesh_ctl_granted, grant)
                           : NULL;

    if (q == NULL) {
        ngx_mesh_ctl_grants_word(ctl, grants, "The database is away", NULL, 1);
        return;
    }

    grant->ctl = ctl;
    grant->word = word;
    grant->account_id = account->account_id;
    grant->access_id = access_id;
    grant->rights = rights;
    grant->remove = remove;

    if (remove) {
        ngx_mesh_db_stmt(q, MESH_SQL_ACCESS_DELETE);
        ngx_mesh_db_int(q, grant->access_id);

    } else if (had.access_id) {
        ngx_mesh_db_stmt(q, MESH_SQL_ACCESS_SET);
        ngx_mesh_db_int(q, grant->access_id);
        ngx_mesh_db_int(q, rights);

    } else {
        ngx_mesh_db_stmt(q, MESH_SQL_ACCESS_ADD);
        ngx_mesh_db_int(q, grant->access_id);
        ngx_mesh_db_int(q, ctl->who.domain_id);
        ngx_mesh_db_int(q, grant->account_id);

        if (grants->group) {
            ngx_mesh_db_int(q, grants->group_id);
            ngx_mesh_db_null(q);

        } else {
            ngx_mesh_db_null(q);
            ngx_mesh_db_int(q, grants->device_id);
        }

        ngx_mesh_db_int(q, rights);
        ngx_mesh_db_int(q, ctl->who.account_id);
        ngx_mesh_db_int(q, ngx_mesh_now_ms());
    }

    if (grants->group) {
        ngx_mesh_ctl_sprintf(ctl, &text, account->name.len + grants->name.len
                                         + 64,
                             remove ? "Removed user %V from device group %V"
                                    : "Added user %V to device group %V",
                             &account->name, &grants->name);

        ngx_mesh_ctl_event(ctl, &ev, "mesh", "meshchange", remove ? 83 : 0,
                           &text);
        ngx_mesh_ctl_event_arg(ctl, &ev, &account->name);
        ngx_mesh_ctl_event_arg(ctl, &ev, &grants->name);

        group = ngx_mesh_ctl_group(ctl);

        if (group) {
            ngx_mesh_ctl_event_group(&ev, group);
        }

    } else {
        ngx_mesh_ctl_sprintf(ctl, &text, account->name.len + 64,
                             remove ? "Removed user device rights for %V"
                                    : "Changed user device rights for %V",
                             &account->name);

        ngx_mesh_ctl_event(ctl, &ev, "node", "changenode", remove ? 81 : 82,
                           &text);
        ngx_mesh_ctl_event_arg(ctl, &ev, &account->name);
        ngx_mesh_ctl_event_device(&ev, ctl->device);
    }

    ngx_mesh_ctl_userid(ctl->pool, account, &userid);
    ngx_mesh_jw_str(&ev.w, "subject", &userid);
    ev.row.scope.subject_id = grant->account_id;

    ngx_mesh_ctl_event_store(ctl, &ev, q, &grant->json);
    grant->scope = ev.row.scope;

    ngx_mesh_model_change(q, NGX_MESH_CHANGE_ACCESS, grant->access_id);

    if (ngx_mesh_db_send(q) != NGX_OK) {
        ngx_mesh_ctl_grants_word(ctl, grants, "The database is away", NULL, 1);
        return;
    }

    ctl->waiting++;
}


static void
ngx_mesh_ctl_granted(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    ngx_mesh_ctl_t         *ctl;
    ngx_mesh_ctl_grant_t   *grant;
    ngx_mesh_ctl_grants_t  *grants;

    grant = q->data;
    ctl = grant->ctl;
    grants = ctl->data;

    if (rc == NGX_OK) {

        /* a member who goes must see it, so the event is told to him too */

        ngx_mesh_ctl_changed(ctl, NGX_MESH_CHANGE_ACCESS, grant->access_id);
        ngx_mesh_ctl_group_publish(ctl, grants->group ? grants->group_id : 0,
                                   grant);

        ngx_mesh_ctl_grants_word(ctl, grants, grant->remove
                                              ? "Removed user %V"
                                              : "Added user %V",
                                 &grant->word, 0);

    } else {
        ngx_mesh_ctl_grants_word(ctl, grants, ngx_mesh_ctl_db_text(rc), NULL,
                                 1);
    }

    ngx_mesh_ctl_grants_end(ctl, grants);
}


/* what was stored, and with it the links as they are now */
static void
ngx_mesh_ctl_group_publish(ngx_mesh_ctl_t *ctl, int64_t group_id,
    ngx_mesh_ctl_grant_t *grant)
{
    u_char                *p;
    ngx_str_t              json, head;
    ngx_uint_t             kept;
    ngx_mesh_jw_t          w;
    ngx_mesh_group_t      *group;
    ngx_mesh_account_t    *account;
    ngx_mesh_ctl_links_t   links;

    if (grant->json.len < 2) {
        return;
    }

    head = grant->json;

    group = group_id ? ngx_mesh_group(group_id) : NULL;
    account = ngx_mesh_account(grant->account_id);

    if (group && account && ngx_mesh_jw_init(&w, ctl->pool, 1024) == NGX_OK) {

        /*
         * The cache may hear of the grant after this: its row is asked from
         * the database.  So the one that changed is written from the command.
         */
        links.w = &w;
        links.skip = grant->account_id;
        kept = !grant->remove;

        ngx_mesh_jw_open(&w, NULL, '{');
        ngx_mesh_jw_str(&w, "name", &group->name);
        ngx_mesh_jw_int(&w, "mtype", group->kind);
        ngx_mesh_jw_int(&w, "flags", group->flags);
        ngx_mesh_jw_int(&w, "consent", group->consent);
        ngx_mesh_jw_open(&w, "links", '{');
        (void) ngx_mesh_access_each(group_id, 0, ngx_mesh_ctl_group_link_skip,
                                    &links);

        if (kept) {
            ngx_mesh_ctl_userid(ctl->pool, account, &json);
            ngx_mesh_jw_name(&w, &json);
            ngx_mesh_jw_open(&w, NULL, '{');
            ngx_mesh_jw_str(&w, "name", account->real_name.len
                                        ? &account->real_name
                                        : &account->name);
            ngx_mesh_jw_int(&w, "rights", grant->rights);
            ngx_mesh_jw_shut(&w, '}');
        }

        ngx_mesh_jw_shut(&w, '}');
        ngx_mesh_jw_shut(&w, '}');

        if (ngx_mesh_jw_done(&w, &json) == NGX_OK) {

            p = ngx_pnalloc(ctl->pool, grant->json.len + json.len);

            if (p) {
                head.data = p;
                p = ngx_cpymem(p, grant->json.data, grant->json.len - 1);
                *p++ = ',';
                p = ngx_cpymem(p, json.data + 1, json.len - 1);
                head.len = p - head.data;
            }
        }
    }

    ngx_mesh_event_publish(&grant->scope, &head);
}


static void
ngx_mesh_ctl_grants_word(ngx_mesh_ctl_t *ctl, ngx_mesh_ctl_grants_t *grants,
    const char *text, const ngx_str_t *word, ngx_uint_t failed)
{
    ngx_str_t  said, all;

    if (failed) {
        grants->failed++;

    } else {
        grants->done++;
    }

    ngx_mesh_ctl_sprintf(ctl, &said, 128 + (word ? word->len : 0), text, word);

    if (grants->words.len == 0) {
        grants->words = said;
        return;
    }

    ngx_mesh_ctl_sprintf(ctl, &all, grants->words.len + said.len + 2,
                         "%V, %V", &grants->words, &said);
    grants->words = all;
}


static void
ngx_mesh_ctl_grants_end(ngx_mesh_ctl_t *ctl, ngx_mesh_ctl_grants_t *grants)
{
    ngx_str_t        said, *result;
    ngx_mesh_jw_t   *w;

    static ngx_str_t  ok = ngx_string("ok");
    static ngx_str_t  nothing = ngx_string("Nothing done");
    static ngx_str_t  stranger = ngx_string("User not in group");

    if (--ctl->waiting) {
        return;
    }

    w = ngx_mesh_ctl_open(ctl);

    if (ngx_strcmp(ctl->row->action, "addmeshuser") == 0) {

        result = grants->words.len ? &grants->words : &nothing;

        /* "Can't change self, Nothing done": control.md 5.2 */

        if (grants->words.len && grants->done == 0) {
            ngx_mesh_ctl_sprintf(ctl, &said, result->len + nothing.len + 2,
                                 "%V, %V", result, &nothing);
            result = &said;
        }

        ngx_mesh_jw_str(w, "result", result);
        ngx_mesh_jw_int(w, "success", grants->done);
        ngx_mesh_jw_int(w, "failed", grants->failed);

    } else if (ngx_strcmp(ctl->row->action, "removemeshuser") == 0) {

        /* an unknown one is no member either; a refusal has its own words */

        result = grants->done ? &ok
                 : grants->words.len
                   && ngx_strncmp(grants->words.data, "Unknown user", 12) != 0
                 ? &grants->words : &stranger;
        ngx_mesh_jw_str(w, "result", result);

    } else {
        result = grants->failed && grants->done == 0
                 && ngx_strncmp(grants->words.data, "Unknown user", 12) != 0
                 ? &grants->words : &ok;
        ngx_mesh_jw_str(w, "result", result);
    }

    ngx_mesh_ctl_reply(ctl, w);
}
