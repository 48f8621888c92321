/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * "devicesessions", control.md 6.2: who works on the device now.  Sessions are
 * counted by the relays that run; its core speaks only of what nobody but it
 * can know (agent.md 5.1).  Kept as long as it is connected.
 */

#include "ngx_mesh_agent.h"


#define NGX_MESH_SAID_BYTES   4096    /* of one kind, as JSON */
#define NGX_MESH_SAID_AGAIN   5       /* seconds to the second look */


struct ngx_mesh_said_s {
    ngx_str_t     text[3];            /* JSON objects; owned */
    ngx_uint_t    level;              /* of the battery */
    unsigned      battery:1;          /* it told its level */
    unsigned      mains:1;
};


static ngx_mesh_said_t *ngx_mesh_agent_said_of(ngx_mesh_agent_t *a);
static ngx_int_t ngx_mesh_agent_sessions_count(const char *name,
    ngx_mesh_json_t *value, void *data);


/* in the order of ngx_mesh_said_t.text */
static const char  *ngx_mesh_agent_said_kinds[] = { "msg", "app", "help" };


static ngx_mesh_said_t *
ngx_mesh_agent_said_of(ngx_mesh_agent_t *a)
{
    if (a->said == NULL) {
        a->said = ngx_calloc(sizeof(ngx_mesh_said_t), a->s->c->log);
    }

    return a->said;
}


/* an empty object: no more of that kind */
void
ngx_mesh_agent_sessions(ngx_mesh_agent_t *a, ngx_mesh_json_t *j,
    ngx_pool_t *pool)
{
    u_char           *copy;
    ngx_str_t         type, text;
    ngx_uint_t        i, n;
    ngx_mesh_jw_t     w;
    ngx_mesh_said_t  *said;
    ngx_mesh_json_t  *value;

    if (ngx_mesh_json_str(j, "type", &type) != NGX_OK) {
        return;
    }

    for (i = 0; i < 3; i++) {
        if (type.len == ngx_strlen(ngx_mesh_agent_said_kinds[i])
            && ngx_memcmp(type.data, ngx_mesh_agent_said_kinds[i], type.len)
               == 0)
        {
            break;
        }
    }

    value = i < 3 ? ngx_mesh_json_object(j, "value") : NULL;

    if (value == NULL || ngx_mesh_jw_init(&w, pool, 512) != NGX_OK) {
        return;
    }

    n = 0;
    (void) ngx_mesh_json_members(value, ngx_mesh_agent_sessions_count, &n);

    ngx_mesh_jw_json(&w, NULL, value);

    if (ngx_mesh_jw_done(&w, &text) != NGX_OK
        || text.len > NGX_MESH_SAID_BYTES)
    {
        ngx_mesh_count(NGX_MESH_C_DROPPED);
        return;
    }

    said = ngx_mesh_agent_said_of(a);
    copy = said && n ? ngx_alloc(text.len, a->s->c->log) : NULL;

    if (said == NULL || (n && copy == NULL)) {
        return;
    }

    if (said->text[i].data) {
        ngx_free(said->text[i].data);
    }

    said->text[i].data = copy;
    said->text[i].len = n ? text.len : 0;

    if (n) {
        ngx_memcpy(copy, text.data, text.len);
    }

    ngx_mesh_agent_sessions_changed(a);
}


static ngx_int_t
ngx_mesh_agent_sessions_count(const char *name, ngx_mesh_json_t *value,
    void *data)
{
    ngx_uint_t *n = data;

    (*n)++;

    return NGX_OK;
}


void
ngx_mesh_agent_battery(ngx_mesh_agent_t *a, ngx_mesh_json_t *j,
    ngx_pool_t *pool)
{
    int64_t           level;
    ngx_str_t         state, doc, none;
    ngx_mesh_jw_t     w;
    ngx_mesh_said_t  *said;

    if (ngx_mesh_json_str(j, "state", &state) != NGX_OK || state.len != 2
        || (ngx_memcmp(state.data, "ac", 2) != 0
            && ngx_memcmp(state.data, "dc", 2) != 0)
        || ngx_mesh_json_int(j, "level", &level, 0, 100) != NGX_OK
        || ngx_mesh_jw_init(&w, pool, 256) != NGX_OK)
    {
        return;
    }

    ngx_mesh_jw_open(&w, NULL, '{');
    ngx_mesh_jw_str(&w, "state", &state);
    ngx_mesh_jw_int(&w, "level", level);
    ngx_mesh_jw_shut(&w, '}');

    if (ngx_mesh_jw_done(&w, &doc) == NGX_OK) {
        ngx_str_set(&none, "");
        ngx_mesh_agent_part(a, "battery", &none, &doc);
    }

    said = ngx_mesh_agent_said_of(a);

    if (said) {
        said->battery = 1;
        said->mains = state.data[0] == 'a';
        said->level = level;
        ngx_mesh_agent_sessions_changed(a);
    }
}


void
ngx_mesh_agent_sessions_changed(ngx_mesh_agent_t *a)
{
    a->look_again = 1;

    /* a flood does not put it off */
    if (a->s->deadline_at == 0 || a->s->deadline_at > ngx_time() + 1) {
        ngx_mesh_ws_deadline(a->s, 1);
    }
}


/*
 * Looks twice: the two halves of a relay end in workers of their own, so that
 * the agent's may be heard first.
 */
void
ngx_mesh_agent_sessions_tick(ngx_mesh_agent_t *a)
{
    uint32_t           crc;
    ngx_str_t          text, event;
    ngx_uint_t         i;
    ngx_pool_t        *pool;
    ngx_mesh_jw_t      w, ev;
    ngx_mesh_busy_t    busy;
    ngx_mesh_said_t   *said;
    ngx_mesh_scope_t   scope;

    pool = ngx_create_pool(2048, a->s->c->log);
    if (pool == NULL) {
        return;
    }

    if (ngx_mesh_busy_init(&busy, pool, a->domain_id, a->id) != NGX_OK
        || ngx_mesh_jw_init(&w, pool, 512) != NGX_OK
        || ngx_mesh_jw_init(&ev, pool, 1024) != NGX_OK)
    {
        goto done;
    }

    said = a->said;

    ngx_mesh_jw_open(&w, NULL, '{');
    ngx_mesh_busy_write(&busy, &w, a->id);

    for (i = 0; said && i < 3; i++) {
        if (said->text[i].len) {
            ngx_mesh_jw_raw(&w, ngx_mesh_agent_said_kinds[i], &said->text[i]);
        }
    }

    if (said && said->battery) {
        ngx_mesh_jw_open(&w, "battery", '{');
        ngx_mesh_jw_cstr(&w, "state", said->mains ? "ac" : "dc");
        ngx_mesh_jw_int(&w, "level", said->level);
        ngx_mesh_jw_shut(&w, '}');
    }

    ngx_mesh_jw_shut(&w, '}');

    if (ngx_mesh_jw_done(&w, &text) != NGX_OK) {
        goto done;
    }

    if (a->look_again) {
        a->look_again = 0;
        ngx_mesh_ws_deadline(a->s, NGX_MESH_SAID_AGAIN);
    }

    crc = text.len > 2 ? ngx_crc32_long(text.data, text.len) : 0;

    if (crc == a->busy) {
        goto done;
    }

    a->busy = crc;

    ngx_mesh_jw_open(&ev, NULL, '{');
    ngx_mesh_jw_cstr(&ev, "etype", "node");
    ngx_mesh_jw_cstr(&ev, "action", "devicesessions");
    ngx_mesh_agent_node(a, &ev);
    ngx_mesh_jw_raw(&ev, "sessions", &text);
    ngx_mesh_jw_int(&ev, "nolog", 1);
    ngx_mesh_jw_shut(&ev, '}');

    if (ngx_mesh_jw_done(&ev, &event) == NGX_OK) {
        ngx_mesh_agent_scope(a, &scope);
        scope.flags = NGX_MESH_EVENT_OTHERS;
        ngx_mesh_event_publish(&scope, &event);
    }

done:

    ngx_destroy_pool(pool);
}


void
ngx_mesh_agent_sessions_free(ngx_mesh_agent_t *a)
{
    ngx_uint_t  i;

    if (a->said == NULL) {
        return;
    }

    for (i = 0; i < 3; i++) {
        if (a->said->text[i].data) {
            ngx_free(a->said->text[i].data);
        }
    }

    ngx_free(a->said);
    a->said = NULL;
}
