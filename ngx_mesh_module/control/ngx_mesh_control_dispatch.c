/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * From a message to a handler: the row of the table, its arguments, the
 * objects that they name, the rights on these; and the way back.
 */

#include "ngx_mesh_control.h"


/* the table: arguments of each action, then the actions */

#define NEEDED           NGX_MESH_CTL_NEEDED
#define LOOSE            NGX_MESH_CTL_LOOSE
#define ARGS(action)                                                          \
    static const ngx_mesh_ctl_arg_t  ngx_mesh_ctl_args_##action[] = {
#define ARG(name, type, flags, min, max, error)                               \
        { #name, NGX_MESH_CTL_##type, flags, min, max, error },
#define END                                                                   \
        { NULL, 0, 0, 0, 0, NULL }                                            \
    };
#define ACTION(...)

#include "ngx_mesh_control_table.h"

#undef ARGS
#undef ARG
#undef END
#undef ACTION

#define ARGS(action)
#define ARG(name, type, flags, min, max, error)
#define END

/* a row with more arguments than there is room for does not compile */
#define ACTION(action, handler, object, right, site, unknown, denied, flags)  \
    void ngx_mesh_ctl_do_##handler(ngx_mesh_ctl_t *ctl);                      \
    typedef char ngx_mesh_ctl_fits_##action[                                  \
        sizeof(ngx_mesh_ctl_args_##action) / sizeof(ngx_mesh_ctl_arg_t)       \
        <= NGX_MESH_CTL_ARGS + 1 ? 1 : -1];

#include "ngx_mesh_control_table.h"

#undef ACTION
#define ACTION(action, handler, object, right, site, unknown, denied, flags)  \
    { #action, ngx_mesh_ctl_args_##action, ngx_mesh_ctl_do_##handler,         \
      unknown, denied, NGX_MESH_CTL_##object, right, site, flags },

#define NOINFO           NGX_MESH_CTL_NOINFO
#define OWN              NGX_MESH_CTL_OWN
#define DB               NGX_MESH_CTL_DB
#define EXACT            NGX_MESH_CTL_EXACT
#define D_EDITMESH       NGX_MESH_D_EDITMESH
#define D_MANAGEUSERS    NGX_MESH_D_MANAGEUSERS
#define D_MANAGECOMPUTERS  NGX_MESH_D_MANAGECOMPUTERS
#define D_REMOTECONTROL  NGX_MESH_D_REMOTECONTROL
#define D_AGENTCONSOLE   NGX_MESH_D_AGENTCONSOLE
#define D_WAKEDEVICE     NGX_MESH_D_WAKEDEVICE
#define D_SETNOTES       NGX_MESH_D_SETNOTES
#define D_REMOTEVIEWONLY  NGX_MESH_D_REMOTEVIEWONLY
#define D_CHATNOTIFY     NGX_MESH_D_CHATNOTIFY
#define D_UNINSTALL      NGX_MESH_D_UNINSTALL
#define D_REMOTECOMMAND  NGX_MESH_D_REMOTECOMMAND
#define D_RESETOFF       NGX_MESH_D_RESETOFF
#define D_RELAY          NGX_MESH_D_RELAY
#define D_DEVICEDETAILS  NGX_MESH_D_DEVICEDETAILS
#define S_BACKUP         NGX_MESH_S_BACKUP
#define S_MANAGEUSERS    NGX_MESH_S_MANAGEUSERS
#define S_RESTORE        NGX_MESH_S_RESTORE
#define S_UPDATE         NGX_MESH_S_UPDATE
#define S_RECORDINGS     NGX_MESH_S_RECORDINGS

static const ngx_mesh_ctl_action_t  ngx_mesh_ctl_actions[] = {
#include "ngx_mesh_control_table.h"
    { NULL, NULL, NULL, NULL, NULL, 0, 0, 0, 0 }
};


static const ngx_mesh_ctl_action_t *ngx_mesh_ctl_lookup(
    const ngx_str_t *action);
static ngx_mesh_ctl_t *ngx_mesh_ctl_create(ngx_mesh_browser_t *b,
    ngx_mesh_json_t *json, const ngx_str_t *action);
static ngx_mesh_json_t *ngx_mesh_ctl_echo(ngx_mesh_json_t *json,
    const char *name);
static const char *ngx_mesh_ctl_args(ngx_mesh_ctl_t *ctl);
static ngx_int_t ngx_mesh_ctl_parse(ngx_mesh_ctl_t *ctl,
    const ngx_mesh_ctl_arg_t *arg, ngx_mesh_ctl_value_t *value);
static void ngx_mesh_ctl_resolve(ngx_mesh_ctl_t *ctl);
static ngx_int_t ngx_mesh_ctl_resolve_group(ngx_mesh_ctl_t *ctl);
static ngx_int_t ngx_mesh_ctl_named_group(ngx_mesh_group_t *group,
    void *data);
static ngx_int_t ngx_mesh_ctl_resolve_note(ngx_mesh_ctl_t *ctl);
static void ngx_mesh_ctl_resolve_devices(ngx_mesh_ctl_t *ctl,
    ngx_mesh_json_t *list);
static ngx_int_t ngx_mesh_ctl_device_id(ngx_mesh_ctl_t *ctl,
    const ngx_str_t *text);
static void ngx_mesh_ctl_resolved(ngx_mesh_db_req_t *q, ngx_int_t rc);
static void ngx_mesh_ctl_allow(ngx_mesh_ctl_t *ctl);
static ngx_uint_t ngx_mesh_ctl_has(ngx_mesh_ctl_t *ctl, uint32_t rights);
static ngx_uint_t ngx_mesh_ctl_site(ngx_mesh_ctl_t *ctl,
    ngx_mesh_account_t *account);
static void ngx_mesh_ctl_answer(void *data);
static void ngx_mesh_ctl_write(ngx_mesh_ctl_t *ctl, const ngx_str_t *text);


void
ngx_mesh_ctl_dispatch(ngx_mesh_browser_t *b, u_char *data, size_t len)
{
    ngx_str_t            action;
    const char          *error;
    ngx_mesh_ctl_t      *ctl;
    ngx_mesh_json_t     *json;
    ngx_mesh_account_t  *account;

    json = ngx_mesh_json_parse(data, len);

    if (json == NULL) {
        ngx_mesh_count(NGX_MESH_C_BAD_JSON);
        return;
    }

    if (ngx_mesh_json_str(json, "action", &action) != NGX_OK
        || action.len < 3 || action.len > 32)
    {
        ngx_mesh_count(NGX_MESH_C_UNKNOWN_MSG);
        ngx_mesh_json_free(json);
        return;
    }

    ctl = ngx_mesh_ctl_create(b, json, &action);

    if (ctl == NULL) {
        ngx_mesh_json_free(json);
        ngx_mesh_ws_close(b->s, MESH_WS_CODE_POLICY);
        return;
    }

    ctl->row = ngx_mesh_ctl_lookup(&action);

    if (ctl->row == NULL) {
        ngx_mesh_count(NGX_MESH_C_UNKNOWN_MSG);
        ngx_mesh_ctl_result(ctl, "Unsupported action");
        return;
    }

    account = ngx_mesh_ctl_account(ctl);

    if (account == NULL) {
        ngx_mesh_ctl_end(ctl);
        return;
    }

    if ((ctl->row->object != NGX_MESH_CTL_PEER
         && !ngx_mesh_ctl_site(ctl, account))
        || ((ctl->row->flags & NGX_MESH_CTL_OWN)
            && account->site_rights != NGX_MESH_FULL
            && (account->site_rights & NGX_MESH_S_LOCKSETTINGS)))
    {
        ngx_mesh_ctl_result(ctl, ctl->row->denied ? ctl->row->denied
                                                  : "Permission denied");
        return;
    }

    error = ngx_mesh_ctl_args(ctl);

    if (error) {
        ngx_mesh_count(NGX_MESH_C_BAD_JSON);
        ngx_mesh_ctl_noinfo(ctl, error);
        return;
    }

    if ((ctl->row->flags & NGX_MESH_CTL_DB)
        && (!ngx_mesh_db_up() || !ngx_mesh_model_ready()))
    {
        ngx_mesh_ctl_result(ctl, ngx_mesh_ctl_db_text(NGX_ABORT));
        return;
    }

    ngx_mesh_ctl_resolve(ctl);
}


static const ngx_mesh_ctl_action_t *
ngx_mesh_ctl_lookup(const ngx_str_t *action)
{
    const ngx_mesh_ctl_action_t  *row;

    for (row = ngx_mesh_ctl_actions; row->action; row++) {
        if (ngx_strlen(row->action) == action->len
            && ngx_memcmp(row->action, action->data, action->len) == 0)
        {
            return row;
        }
    }

    return NULL;
}


static ngx_mesh_ctl_t *
ngx_mesh_ctl_create(ngx_mesh_browser_t *b, ngx_mesh_json_t *json,
    const ngx_str_t *action)
{
    ngx_pool_t          *pool;
    ngx_mesh_ctl_t      *ctl;
    ngx_mesh_account_t  *account;

    account = ngx_mesh_account(b->who.account_id);
    pool = account ? ngx_create_pool(4096, ngx_cycle->log) : NULL;

    if (pool == NULL) {
        return NULL;
    }

    ctl = ngx_pcalloc(pool, sizeof(ngx_mesh_ctl_t));

    if (ctl == NULL) {
        goto failed;
    }

    ctl->pool = pool;
    ctl->who = b->who;

    /* all that the session may be gone before it is needed */

    ctl->session.data = ngx_pstrdup(pool, &b->id);
    ctl->session.len = b->id.len;
    ctl->address.data = ngx_pstrdup(pool, &b->address);
    ctl->address.len = b->address.len;
    ctl->username.data = ngx_pstrdup(pool, &account->name);
    ctl->username.len = account->name.len;
    ctl->realname.data = ngx_pstrdup(pool, &account->real_name);
    ctl->realname.len = account->real_name.len;
    ctl->domain.data = ngx_pstrdup(pool, &account->domain);
    ctl->domain.len = account->domain.len;

    ngx_mesh_ctl_userid(pool, account, &ctl->user);

    if (ctl->session.data == NULL || ctl->address.data == NULL
        || ctl->username.data == NULL || ctl->realname.data == NULL
        || ctl->domain.data == NULL || ctl->user.data == NULL)
    {
        goto failed;
    }

    ctl->json = json;
    ctl->action = *action;
    ctl->responseid = ngx_mesh_ctl_echo(json, "responseid");
    ctl->tag = ngx_mesh_ctl_echo(json, "tag");

    ctl->b = b;
    ngx_queue_insert_tail(&b->commands, &ctl->queue);
    b->open++;

    return ctl;

failed:

    ngx_destroy_pool(pool);

    return NULL;
}


/* a short text or a number, which is what clients send */
static ngx_mesh_json_t *
ngx_mesh_ctl_echo(ngx_mesh_json_t *json, const char *name)
{
    int64_t    n;
    ngx_str_t  s;

    if ((ngx_mesh_json_str(json, name, &s) == NGX_OK && s.len <= 256)
        || ngx_mesh_json_int(json, name, &n, INT64_MIN, INT64_MAX)
           == NGX_OK)
    {
        return ngx_mesh_json_get(json, name);
    }

    return NULL;
}


static const char *
ngx_mesh_ctl_args(ngx_mesh_ctl_t *ctl)
{
    ngx_int_t                  rc;
    ngx_uint_t                 i;
    const ngx_mesh_ctl_arg_t  *arg;

    for (i = 0, arg = ctl->row->args; arg->name; i++, arg++) {

        rc = ngx_mesh_ctl_parse(ctl, arg, &ctl->value[i]);

        if (rc == NGX_OK) {
            ctl->value[i].set = 1;
            continue;
        }

        ngx_memzero(&ctl->value[i], sizeof(ngx_mesh_ctl_value_t));

        if ((rc == NGX_DECLINED && !(arg->flags & NGX_MESH_CTL_NEEDED))
            || (arg->flags & NGX_MESH_CTL_LOOSE))
        {
            continue;
        }

        return arg->error ? arg->error : "Invalid argument";
    }

    return NULL;
}


static ngx_int_t
ngx_mesh_ctl_parse(ngx_mesh_ctl_t *ctl, const ngx_mesh_ctl_arg_t *arg,
    ngx_mesh_ctl_value_t *value)
{
    ngx_int_t         rc;
    ngx_str_t         s;
    ngx_uint_t        i, n;
    ngx_mesh_json_t  *json;

    json = ngx_mesh_json_get(ctl->json, arg->name);

    if (json == NULL) {
        return NGX_DECLINED;
    }

    switch (arg->type) {

    case NGX_MESH_CTL_STR:
    case NGX_MESH_CTL_TEXT:

        rc = ngx_mesh_json_str(ctl->json, arg->name, &value->s);

        if (rc != NGX_OK) {
            return rc;
        }

        /* a client's way to say nothing (control.md 5.2) */
        if (value->s.len == 0 && arg->min > 0
            && !(arg->flags & NGX_MESH_CTL_NEEDED))
        {
            return NGX_DECLINED;
        }

        if ((int64_t) value->s.len < arg->min
            || (int64_t) value->s.len > arg->max
            || !ngx_mesh_ctl_clean(&value->s, arg->type == NGX_MESH_CTL_TEXT))
        {
            return NGX_ERROR;
        }

        return NGX_OK;

    case NGX_MESH_CTL_INT:

        return ngx_mesh_json_int(ctl->json, arg->name, &value->n, arg->min,
                                 arg->max);

    case NGX_MESH_CTL_BOOL:

        rc = ngx_mesh_json_bool(ctl->json, arg->name, &n);

        if (rc == NGX_OK) {
            value->n = n;
            return NGX_OK;
        }

        return ngx_mesh_json_int(ctl->json, arg->name, &value->n, 0, 1);

    case NGX_MESH_CTL_LIST:

        value->json = ngx_mesh_json_array(ctl->json, arg->name);

        if (value->json == NULL) {
            return NGX_ERROR;
        }

        n = ngx_mesh_json_count(value->json);

        if ((int64_t) n < arg->min || (int64_t) n > arg->max) {
            return NGX_ERROR;
        }

        for (i = 0; i < n; i++) {
            if (ngx_mesh_json_text(ngx_mesh_json_at(value->json, i), &s)
                != NGX_OK
                || s.len == 0 || s.len > 256 || !ngx_mesh_ctl_clean(&s, 0))
            {
                return NGX_ERROR;
            }
        }

        return NGX_OK;

    case NGX_MESH_CTL_OBJ:

        value->json = ngx_mesh_json_object(ctl->json, arg->name);

        return value->json ? NGX_OK : NGX_ERROR;

    default: /* NGX_MESH_CTL_ANY */

        value->json = json;

        return NGX_OK;
    }
}


ngx_mesh_ctl_value_t *
ngx_mesh_ctl_value(ngx_mesh_ctl_t *ctl, const char *name)
{
    ngx_uint_t                 i;
    const ngx_mesh_ctl_arg_t  *arg;

    static ngx_mesh_ctl_value_t  none;

    for (i = 0, arg = ctl->row->args; arg->name; i++, arg++) {
        if (ngx_strcmp(arg->name, name) == 0) {
            return &ctl->value[i];
        }
    }

    ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                  "mesh control: \"%s\" has no argument \"%s\"",
                  ctl->row->action, name);

    ngx_memzero(&none, sizeof(none));

    return &none;
}


static void
ngx_mesh_ctl_resolve(ngx_mesh_ctl_t *ctl)
{
    ngx_int_t              rc;
    ngx_mesh_ctl_value_t  *value;

    switch (ctl->row->object) {

    case NGX_MESH_CTL_GROUP:
        rc = ngx_mesh_ctl_resolve_group(ctl);

        if (rc != NGX_OK) {
            return;
        }

        break;

    case NGX_MESH_CTL_NOTE:
        rc = ngx_mesh_ctl_resolve_note(ctl);

        if (rc != NGX_OK) {
            return;
        }

        break;

    case NGX_MESH_CTL_EVENTS:
        value = ngx_mesh_ctl_value(ctl, "nodeid");

        if (!value->set) {
            break;
        }

        ctl->asked = value->s;

        if (ngx_mesh_ctl_device_id(ctl, &value->s) == NGX_OK) {
            ngx_mesh_ctl_resolve_devices(ctl, NULL);
        }

        return;

    case NGX_MESH_CTL_PEER:

        if (!ngx_mesh_ctl_value(ctl, "nodeid")->set) {

            if (!ngx_mesh_ctl_site(ctl, ngx_mesh_ctl_account(ctl))) {
                ngx_mesh_ctl_result(ctl, ctl->row->denied);
                return;
            }

            break;
        }

        /* fall through */

    case NGX_MESH_CTL_DEVICE:
        value = ngx_mesh_ctl_value(ctl, "nodeid");
        ctl->asked = value->s;

        if (ngx_mesh_ctl_device_id(ctl, &value->s) == NGX_OK) {
            ngx_mesh_ctl_resolve_devices(ctl, NULL);
        }

        return;

    case NGX_MESH_CTL_MOVE:
        rc = ngx_mesh_ctl_resolve_group(ctl);

        if (rc != NGX_OK) {
            return;
        }

        /* fall through */

    case NGX_MESH_CTL_DEVICES:
        ngx_mesh_ctl_resolve_devices(ctl,
                               ngx_mesh_ctl_value(ctl, "nodeids")->json);
        return;

    default: /* NGX_MESH_CTL_NONE */
        break;
    }

    ctl->row->handler(ctl);
}


typedef struct {
    ngx_mesh_ctl_t  *ctl;
    ngx_str_t        name;
    int64_t          group_id;
    ngx_uint_t       found;
} ngx_mesh_ctl_named_t;


/* NGX_OK, or the command is answered */
static ngx_int_t
ngx_mesh_ctl_resolve_group(ngx_mesh_ctl_t *ctl)
{
    u_char                 raw[NGX_MESH_ID_LEN];
    ngx_uint_t             visible, found;
    const char            *byname;
    ngx_mesh_group_t      *group;
    ngx_mesh_ctl_value_t  *id, *name;

    /* editmesh has the new name where others have the name to look for */
    byname = ngx_strcmp(ctl->row->action, "editmesh") == 0 ? "meshidname"
                                                           : "meshname";

    id = ngx_mesh_ctl_value(ctl, "meshid");
    name = ngx_mesh_ctl_value(ctl, byname);
    group = NULL;

    if (id->set) {
        if (ngx_mesh_mesh_parse(ctl->who.domain_id, &id->s, raw) != NGX_OK) {
            ngx_mesh_ctl_result(ctl, ctl->row->unknown);
            return NGX_DONE;
        }

        group = ngx_mesh_group_raw(ctl->who.domain_id, raw);

    } else if (name->set) {

        found = ngx_mesh_ctl_group_name(ctl, &name->s, &group);

        if (found > 1) {
            ngx_mesh_ctl_result(ctl, "Duplicate device groups found");
            return NGX_DONE;
        }

        if (found == 0) {
            ngx_mesh_ctl_result(ctl, ngx_strcmp(byname, "meshidname") == 0
                                || ctl->row->flags & NGX_MESH_CTL_EXACT
                                ? "Invalid group identifier"
                                : "Invalid groupid");
            return NGX_DONE;
        }

    } else {
        ngx_mesh_ctl_result(ctl, ctl->row->unknown);
        return NGX_DONE;
    }

    if (group == NULL || group->deleted_at
        || group->domain_id != ctl->who.domain_id)
    {
        ngx_mesh_ctl_result(ctl, ctl->row->unknown);
        return NGX_DONE;
    }

    ctl->group_id = group->group_id;
    ctl->rights = ngx_mesh_rights(ctl->who.account_id, group->group_id, 0,
                                  &visible);

    if (!visible) {
        ngx_mesh_ctl_result(ctl, ctl->row->unknown);
        return NGX_DONE;
    }

    if (!ngx_mesh_ctl_has(ctl, ctl->rights)) {
        ngx_mesh_ctl_result(ctl, ctl->row->denied);
        return NGX_DONE;
    }

    return NGX_OK;
}


ngx_uint_t
ngx_mesh_ctl_group_name(ngx_mesh_ctl_t *ctl, const ngx_str_t *name,
    ngx_mesh_group_t **group)
{
    ngx_mesh_ctl_named_t  named;

    ngx_memzero(&named, sizeof(ngx_mesh_ctl_named_t));
    named.ctl = ctl;
    named.name = *name;

    (void) ngx_mesh_group_each(ctl->who.domain_id, ngx_mesh_ctl_named_group,
                               &named);

    *group = named.found == 1 ? ngx_mesh_group(named.group_id) : NULL;

    return named.found;
}


/* agent groups only, and those that the caller sees */
static ngx_int_t
ngx_mesh_ctl_named_group(ngx_mesh_group_t *group, void *data)
{
    ngx_mesh_ctl_named_t *named = data;

    ngx_uint_t  visible;

    if (group->deleted_at || group->kind != 2
        || group->name.len != named->name.len
        || ngx_memcmp(group->name.data, named->name.data, group->name.len)
           != 0)
    {
        return NGX_OK;
    }

    (void) ngx_mesh_rights(named->ctl->who.account_id, group->group_id, 0,
                           &visible);

    if (visible) {
        named->group_id = group->group_id;
        named->found++;
    }

    return NGX_OK;
}


/* NGX_OK: the handler may run; else it goes on or is answered */
static ngx_int_t
ngx_mesh_ctl_resolve_note(ngx_mesh_ctl_t *ctl)
{
    u_char             raw[NGX_MESH_ID_LEN];
    ngx_str_t          id;
    ngx_uint_t         visible;
    ngx_mesh_group_t  *group;

    id = ngx_mesh_ctl_value(ctl, "id")->s;
    ctl->asked = id;

    if (id.data == NULL) {
        ngx_mesh_ctl_result(ctl, ctl->row->unknown);
        return NGX_DONE;
    }

    if (id.len == ctl->user.len + 1 && id.data[0] == 'p'
        && ngx_memcmp(id.data + 1, ctl->user.data, ctl->user.len) == 0)
    {
        /* one's own, for nobody else's eyes */
        ctl->self = 1;
        return NGX_OK;
    }

    if (id.len > 5 && ngx_strncmp(id.data, "mesh/", 5) == 0) {

        if (ngx_mesh_mesh_parse(ctl->who.domain_id, &id, raw) != NGX_OK) {
            ngx_mesh_ctl_result(ctl, ctl->row->unknown);
            return NGX_DONE;
        }

        group = ngx_mesh_group_raw(ctl->who.domain_id, raw);
        visible = 0;

        if (group && !group->deleted_at) {
            ctl->group_id = group->group_id;
            ctl->rights = ngx_mesh_rights(ctl->who.account_id,
                                          group->group_id, 0, &visible);
        }

        if (!visible) {
            ngx_mesh_ctl_result(ctl, ctl->row->unknown);
            return NGX_DONE;
        }

        /* a group's note is a manager's matter, to read too */

        if (!ngx_mesh_right(ctl->rights, NGX_MESH_D_EDITMESH)) {
            ngx_mesh_ctl_result(ctl, ctl->row->denied);
            return NGX_DONE;
        }

        return NGX_OK;
    }

    if (id.len > 5 && ngx_strncmp(id.data, "user/", 5) == 0) {
        ngx_mesh_ctl_result(ctl, ctl->row->unknown);
        return NGX_DONE;
    }

    if (ngx_mesh_ctl_device_id(ctl, &id) == NGX_OK) {
        ngx_mesh_ctl_resolve_devices(ctl, NULL);
    }

    return NGX_DONE;
}


/* makes the one device of the command; NGX_DECLINED: it is answered */
static ngx_int_t
ngx_mesh_ctl_device_id(ngx_mesh_ctl_t *ctl, const ngx_str_t *text)
{
    ctl->device = ngx_pcalloc(ctl->pool, sizeof(ngx_mesh_device_t));

    if (ctl->device == NULL) {
        ngx_mesh_ctl_end(ctl);
        return NGX_DECLINED;
    }

    ctl->ndevices = 1;
    ctl->device->id = *text;

    if (ngx_mesh_node_parse(ctl->who.domain_id, text, ctl->device->raw)
        != NGX_OK)
    {
        if (ctl->row->object == NGX_MESH_CTL_EVENTS) {
            /* as for one that cannot be seen: an empty list */
            ctl->row->handler(ctl);
            return NGX_DECLINED;
        }

        ngx_mesh_ctl_noinfo(ctl, ctl->row->unknown);
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* one statement for all devices that the command names */
static void
ngx_mesh_ctl_resolve_devices(ngx_mesh_ctl_t *ctl, ngx_mesh_json_t *list)
{
    u_char              text[NGX_MESH_ID_TEXT + 6 + 256];
    ngx_str_t           id, ids;
    ngx_uint_t          i, n;
    ngx_mesh_jw_t       w;
    ngx_mesh_db_req_t  *q;
    ngx_mesh_device_t  *device;

    if (list) {
        n = ngx_mesh_json_count(list);

        ctl->device = ngx_pcalloc(ctl->pool, n * sizeof(ngx_mesh_device_t));

        if (ctl->device == NULL) {
            ngx_mesh_ctl_end(ctl);
            return;
        }

        ctl->ndevices = n;

        for (i = 0; i < n; i++) {
            (void) ngx_mesh_json_text(ngx_mesh_json_at(list, i),
                                      &ctl->device[i].id);
        }
    }

    if (ngx_mesh_jw_init(&w, ctl->pool, 96 * ctl->ndevices + 16) != NGX_OK) {
        ngx_mesh_ctl_end(ctl);
        return;
    }

    ngx_mesh_jw_open(&w, NULL, '[');

    for (i = 0; i < ctl->ndevices; i++) {
        device = &ctl->device[i];

        if (ngx_mesh_node_parse(ctl->who.domain_id, &device->id, device->raw)
            != NGX_OK)
        {
            ngx_memzero(device->raw, NGX_MESH_ID_LEN);
            continue;
        }

        id.data = text;
        id.len = ngx_mesh_id_write(ngx_snprintf(text, 256, "node/%V/",
                                                &ctl->domain),
                                   device->raw)
                 - text;

        ngx_mesh_jw_str(&w, NULL, &id);
    }

    ngx_mesh_jw_shut(&w, ']');

    if (ngx_mesh_jw_done(&w, &ids) != NGX_OK) {
        ngx_mesh_ctl_end(ctl);
        return;
    }

    q = ngx_mesh_ctl_db(ctl, ngx_mesh_ctl_resolved);
    if (q == NULL) {
        return;
    }

    ngx_mesh_db_stmt(q, MESH_SQL_CTL_DEVICES);
    ngx_mesh_db_int(q, ctl->who.domain_id);
    ngx_mesh_db_str(q, &ids);

    (void) ngx_mesh_ctl_db_send(ctl, q);
}


static void
ngx_mesh_ctl_resolved(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    u_char              raw[NGX_MESH_ID_LEN];
    ngx_str_t          *row, *copy;
    ngx_uint_t          i, j, k, n;
    ngx_mesh_ctl_t     *ctl;
    ngx_mesh_device_t  *device;

    ctl = q->data;

    if (rc != NGX_OK) {
        ngx_mesh_ctl_result(ctl, ngx_mesh_ctl_db_text(rc));
        return;
    }

    n = ngx_mesh_db_rows(q, 0);

    for (i = 0; i < n; i++) {
        row = ngx_mesh_db_row(q, 0, i);

        if (ngx_mesh_node_parse(ctl->who.domain_id, &row[NGX_MESH_DEV_WIRE],
                                raw)
            != NGX_OK)
        {
            continue;
        }

        for (j = 0; j < ctl->ndevices; j++) {
            device = &ctl->device[j];

            if (device->row
                || ngx_memcmp(device->raw, raw, NGX_MESH_ID_LEN) != 0)
            {
                continue;
            }

            /* q's pool goes when we return */

            copy = ngx_palloc(ctl->pool,
                              NGX_MESH_DEV_COLS * sizeof(ngx_str_t));
            if (copy == NULL) {
                ngx_mesh_ctl_end(ctl);
                return;
            }

            for (k = 0; k < NGX_MESH_DEV_COLS; k++) {
                copy[k].len = row[k].len;
                copy[k].data = row[k].data
                               ? ngx_pstrdup(ctl->pool, &row[k]) : NULL;

                if (row[k].len && copy[k].data == NULL) {
                    ngx_mesh_ctl_end(ctl);
                    return;
                }
            }

            ngx_mesh_ctl_device(ctl, device, copy);
        }
    }

    ngx_mesh_ctl_allow(ctl);
}


void
ngx_mesh_ctl_device(ngx_mesh_ctl_t *ctl, ngx_mesh_device_t *device,
    ngx_str_t *row)
{
    ngx_uint_t  visible;

    device->device_id = ngx_mesh_db_num(&row[NGX_MESH_DEV_ID]);
    device->group_id = ngx_mesh_db_num(&row[NGX_MESH_DEV_GROUP]);

    device->rights = ngx_mesh_rights(ctl->who.account_id, device->group_id,
                                     device->device_id, &visible);
    if (!visible) {
        return;
    }

    device->visible = 1;
    device->row = row;
    device->id = row[NGX_MESH_DEV_WIRE];
    device->allowed = ngx_mesh_ctl_has(ctl, device->rights);

    device->online = (ngx_mesh_presence_lookup(NGX_MESH_AGENT,
                                               ctl->who.domain_id,
                                               device->raw, &device->presence)
                      == NGX_OK);
}


static void
ngx_mesh_ctl_allow(ngx_mesh_ctl_t *ctl)
{
    ngx_mesh_device_t  *device;

    /* while the database was asked the account may have lost everything */

    if (ngx_mesh_ctl_account(ctl) == NULL) {
        ngx_mesh_ctl_end(ctl);
        return;
    }

    switch (ctl->row->object) {

    case NGX_MESH_CTL_DEVICE:
    case NGX_MESH_CTL_PEER:
    case NGX_MESH_CTL_NOTE:
        device = ctl->device;

        if (!device->visible) {
            ngx_mesh_ctl_noinfo(ctl, ctl->row->unknown);
            return;
        }

        if (!device->allowed) {
            ngx_mesh_ctl_noinfo(ctl, ctl->row->denied);
            return;
        }

        ctl->rights = device->rights;
        break;

    case NGX_MESH_CTL_MOVE:

        if (ngx_mesh_ctl_group(ctl) == NULL) {
            ngx_mesh_ctl_result(ctl, ctl->row->unknown);
            return;
        }

        break;

    default:
        break;
    }

    ctl->row->handler(ctl);
}


static ngx_uint_t
ngx_mesh_ctl_has(ngx_mesh_ctl_t *ctl, uint32_t rights)
{
    if (ctl->row->flags & NGX_MESH_CTL_EXACT) {
        return rights == NGX_MESH_FULL;
    }

    return ctl->row->right == 0 || ngx_mesh_right(rights, ctl->row->right);
}


static ngx_uint_t
ngx_mesh_ctl_site(ngx_mesh_ctl_t *ctl, ngx_mesh_account_t *account)
{
    return ctl->row->site == 0
           || ngx_mesh_right(account->site_rights, ctl->row->site);
}


ngx_mesh_account_t *
ngx_mesh_ctl_account(ngx_mesh_ctl_t *ctl)
{
    return ngx_mesh_auth_holds(&ctl->who)
           ? ngx_mesh_account(ctl->who.account_id) : NULL;
}


ngx_mesh_group_t *
ngx_mesh_ctl_group(ngx_mesh_ctl_t *ctl)
{
    ngx_mesh_group_t  *group;

    group = ngx_mesh_group(ctl->group_id);

    return group && !group->deleted_at ? group : NULL;
}


ngx_mesh_jw_t *
ngx_mesh_ctl_open(ngx_mesh_ctl_t *ctl)
{
    ngx_mesh_jw_t  *w;

    static ngx_mesh_jw_t  failed;

    w = ngx_palloc(ctl->pool, sizeof(ngx_mesh_jw_t));

    if (w == NULL || ngx_mesh_jw_init(w, ctl->pool, 512) != NGX_OK) {
        /* swallows what is written, and shows it when sent */
        ngx_memzero(&failed, sizeof(ngx_mesh_jw_t));
        failed.failed = 1;
        return &failed;
    }

    ngx_mesh_jw_open(w, NULL, '{');
    ngx_mesh_jw_str(w, "action", &ctl->action);

    return w;
}


void
ngx_mesh_ctl_send(ngx_mesh_ctl_t *ctl, ngx_mesh_jw_t *w)
{
    ngx_str_t  text;

    if (ctl->responseid) {
        ngx_mesh_jw_json(w, "responseid", ctl->responseid);
    }

    if (ctl->tag) {
        ngx_mesh_jw_json(w, "tag", ctl->tag);
    }

    ngx_mesh_jw_shut(w, '}');

    if (ngx_mesh_jw_done(w, &text) != NGX_OK) {
        /* a client that gets no answer waits for ever: let it come again */

        if (ctl->b && !ctl->b->ended) {
            ngx_mesh_ws_close(ctl->b->s, MESH_WS_CODE_POLICY);
        }

        return;
    }

    ngx_mesh_ctl_write(ctl, &text);
}


/* long answers in fragments, which browsers and meshctrl put together */
static void
ngx_mesh_ctl_write(ngx_mesh_ctl_t *ctl, const ngx_str_t *text)
{
    u_char              *p;
    size_t               size, left;
    ngx_mesh_session_t  *s;

    if (ctl->b == NULL || ctl->b->ended) {
        return;
    }

    s = ctl->b->s;

    if (text->len <= 2 * NGX_MESH_CTL_PART) {
        (void) ngx_mesh_ws_send(s, NGX_MESH_WS_TEXT, text->data, text->len);
        return;
    }

    p = text->data;
    left = text->len;

    while (left && ctl->b) {
        size = ngx_min(left, NGX_MESH_CTL_PART);

        if (ngx_mesh_ws_send_part(s, NGX_MESH_WS_TEXT, p, size,
                                  p == text->data, size == left)
            != NGX_OK)
        {
            return;
        }

        p += size;
        left -= size;
    }
}


void
ngx_mesh_ctl_changed(ngx_mesh_ctl_t *ctl, ngx_uint_t kind, int64_t id)
{
    ctl->changed = 1;
    ngx_mesh_model_changed(kind, id);
}


void
ngx_mesh_ctl_reply(ngx_mesh_ctl_t *ctl, ngx_mesh_jw_t *w)
{
    ctl->answer = w;

    if (!ctl->changed) {
        ngx_mesh_ctl_answer(ctl);
        return;
    }

    ctl->wait.done = ngx_mesh_ctl_answer;
    ctl->wait.data = ctl;
    ngx_mesh_model_wait(&ctl->wait);
}


static void
ngx_mesh_ctl_answer(void *data)
{
    ngx_mesh_ctl_t *ctl = data;

    ngx_mesh_ctl_send(ctl, ctl->answer);
    ngx_mesh_ctl_end(ctl);
}


void
ngx_mesh_ctl_result(ngx_mesh_ctl_t *ctl, const char *result)
{
    ngx_mesh_jw_t  *w;

    w = ngx_mesh_ctl_open(ctl);
    ngx_mesh_jw_cstr(w, "result", result);
    ngx_mesh_ctl_reply(ctl, w);
}


void
ngx_mesh_ctl_noinfo(ngx_mesh_ctl_t *ctl, const char *result)
{
    ngx_mesh_jw_t  *w;

    w = ngx_mesh_ctl_open(ctl);

    if (ctl->row->flags & NGX_MESH_CTL_NOINFO) {
        if (ctl->asked.len) {
            ngx_mesh_jw_str(w, "nodeid", &ctl->asked);
        }

        ngx_mesh_jw_bool(w, "noinfo", 1);
    }

    ngx_mesh_jw_cstr(w, "result", result);
    ngx_mesh_ctl_reply(ctl, w);
}


void
ngx_mesh_ctl_partial(ngx_mesh_ctl_t *ctl, ngx_mesh_device_t *device,
    const char *result)
{
    ngx_mesh_jw_t  *w;

    w = ngx_mesh_ctl_open(ctl);
    ngx_mesh_jw_str(w, "nodeid", &device->id);
    ngx_mesh_jw_cstr(w, "result", result);
    ngx_mesh_ctl_send(ctl, w);
}


void
ngx_mesh_ctl_end(ngx_mesh_ctl_t *ctl)
{
    ngx_mesh_browser_t  *b;

    b = ctl->b;

    if (b) {
        ngx_queue_remove(&ctl->queue);
        b->open--;
        ctl->b = NULL;
    }

    ngx_mesh_json_free(ctl->json);
    ngx_destroy_pool(ctl->pool);

    if (b) {
        ngx_mesh_control_resume(b);
    }
}


ngx_mesh_db_req_t *
ngx_mesh_ctl_db(ngx_mesh_ctl_t *ctl, ngx_mesh_db_done_pt done)
{
    ngx_mesh_db_req_t  *q;

    q = ngx_mesh_db_create(done, ctl);

    if (q == NULL) {
        ngx_mesh_ctl_result(ctl, ngx_mesh_ctl_db_text(NGX_ERROR));
    }

    return q;
}


ngx_int_t
ngx_mesh_ctl_db_send(ngx_mesh_ctl_t *ctl, ngx_mesh_db_req_t *q)
{
    if (ngx_mesh_db_send(q) != NGX_OK) {
        ngx_mesh_ctl_result(ctl, ngx_mesh_ctl_db_text(NGX_ABORT));
        return NGX_ERROR;
    }

    return NGX_OK;
}


const char *
ngx_mesh_ctl_db_text(ngx_int_t rc)
{
    switch (rc) {

    case NGX_ABORT:
        return "The database is away";

    case NGX_MESH_DB_FULL:
        return NGX_MESH_DB_FULL_TEXT;

    case NGX_BUSY:
    case NGX_DECLINED:
        return "Changed by another at the same time, try again";

    default:
        return "The server failed";
    }
}


void
ngx_mesh_ctl_sprintf(ngx_mesh_ctl_t *ctl, ngx_str_t *out, size_t size,
    const char *fmt, ...)
{
    u_char   *p;
    va_list   args;

    out->data = ngx_pnalloc(ctl->pool, size + 1);

    if (out->data == NULL) {
        ngx_str_set(out, "");
        return;
    }

    va_start(args, fmt);
    p = ngx_vslprintf(out->data, out->data + size, fmt, args);
    va_end(args);

    *p = '\0';
    out->len = p - out->data;
}


typedef struct {
    ngx_mesh_ctl_t  *ctl;
    ngx_mesh_jw_t   *w;
} ngx_mesh_ctl_scope_t;


static ngx_int_t
ngx_mesh_ctl_scope_group(ngx_mesh_group_t *group, void *data)
{
    ngx_mesh_ctl_scope_t *scope = data;

    ngx_uint_t  visible;

    if (group->deleted_at) {
        return NGX_OK;
    }

    (void) ngx_mesh_rights(scope->ctl->who.account_id, group->group_id, 0,
                           &visible);

    if (visible) {
        ngx_mesh_jw_int(scope->w, NULL, group->group_id);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_ctl_scope_device(ngx_mesh_access_t *access, void *data)
{
    ngx_mesh_ctl_scope_t *scope = data;

    if (access->device_id) {
        ngx_mesh_jw_int(scope->w, NULL, access->device_id);
    }

    return NGX_OK;
}


ngx_int_t
ngx_mesh_ctl_scope(ngx_mesh_ctl_t *ctl, ngx_str_t *groups,
    ngx_str_t *devices)
{
    ngx_mesh_jw_t         w;
    ngx_mesh_ctl_scope_t  scope;

    scope.ctl = ctl;
    scope.w = &w;

    if (ngx_mesh_jw_init(&w, ctl->pool, 1024) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_mesh_jw_open(&w, NULL, '[');
    (void) ngx_mesh_group_each(ctl->who.domain_id, ngx_mesh_ctl_scope_group,
                               &scope);
    ngx_mesh_jw_shut(&w, ']');

    if (ngx_mesh_jw_done(&w, groups) != NGX_OK
        || ngx_mesh_jw_init(&w, ctl->pool, 1024) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_mesh_jw_open(&w, NULL, '[');
    (void) ngx_mesh_access_of(ctl->who.account_id, ngx_mesh_ctl_scope_device,
                              &scope);
    ngx_mesh_jw_shut(&w, ']');

    return ngx_mesh_jw_done(&w, devices);
}


ngx_uint_t
ngx_mesh_ctl_clean(const ngx_str_t *s, ngx_uint_t lines)
{
    u_char    *p, *last;
    uint32_t   n;

    p = s->data;
    last = p + s->len;

    while (p < last) {
        if (*p < 0x80) {
            n = *p++;

        } else {
            n = ngx_utf8_decode(&p, last - p);

            if (n > 0x10ffff) {
                return 0;
            }
        }

        if (n >= ' ' && n != 0x7f) {
            continue;
        }

        if (!lines || (n != '\t' && n != '\n' && n != '\r')) {
            return 0;
        }
    }

    return 1;
}
