/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Nothing waits for a viewer but what it has to see: tiles stay in the cache,
 * and of all else the last one of its kind in a slot.  So a slow viewer holds
 * no queue, it skips what newer tiles have covered, and the device is stopped
 * only where nobody takes more.
 *
 * Who is to go is marked, and taken out when the event is over.
 */

#include "ngx_mesh_relay_desk_in.h"


#define NGX_MESH_DESK_READ      65536     /* bytes of a pipe at once */
#define NGX_MESH_DESK_TURNS     16        /* reads before others have a turn */
#define NGX_MESH_DESK_SEATS     64        /* at one desktop */
#define NGX_MESH_DESK_SNDBUF    16384     /* bytes of a viewer's pipe */
#define NGX_MESH_DESK_LINGER    2000      /* ms: see refused */
#define NGX_MESH_DESK_WHO       44        /* bytes before the address */


static void ngx_mesh_desk_key(u_char *key, int64_t domain_id,
    const u_char *node);
static ngx_mesh_desk_t *ngx_mesh_desk_create(ngx_mesh_session_t *s,
    const u_char *key, const u_char *node, int64_t domain_id);
static ngx_int_t ngx_mesh_desk_introduce(ngx_connection_t *c,
    const ngx_mesh_desk_who_t *who);
static ngx_int_t ngx_mesh_desk_accepted(ngx_connection_t *c,
    const ngx_mesh_hello_t *hello);
static void ngx_mesh_desk_viewer(ngx_mesh_desk_seat_t *seat,
    const ngx_mesh_desk_who_t *who);
static void ngx_mesh_desk_device(ngx_mesh_desk_seat_t *seat);
static void ngx_mesh_desk_record(ngx_mesh_desk_t *desk,
    const ngx_mesh_desk_who_t *who);
static void ngx_mesh_desk_record_ready(void *data);
static void ngx_mesh_desk_record_failed(void *data);
static void ngx_mesh_desk_metadata(ngx_mesh_desk_t *desk);
static ngx_uint_t ngx_mesh_desk_same(ngx_mesh_desk_seat_t *a,
    ngx_mesh_desk_seat_t *b);
static ngx_int_t ngx_mesh_desk_users(ngx_mesh_desk_t *desk, ngx_mesh_jw_t *w,
    ngx_pool_t *pool);
static void ngx_mesh_desk_read(ngx_event_t *ev);
static void ngx_mesh_desk_tick(ngx_event_t *ev);
static void ngx_mesh_desk_end(ngx_mesh_desk_t *desk);
static void ngx_mesh_desk_reap(ngx_event_t *ev);
static ngx_uint_t ngx_mesh_desk_expects(ngx_mesh_desk_t *desk);
static void ngx_mesh_desk_leave(ngx_mesh_desk_seat_t *seat);
static void ngx_mesh_desk_free(ngx_mesh_desk_t *desk);


static ngx_queue_t  ngx_mesh_desks;
static u_char       ngx_mesh_desk_scratch[NGX_MESH_DESK_READ];


void
ngx_mesh_desk_init(void)
{
    ngx_queue_init(&ngx_mesh_desks);
    ngx_mesh_pipe_handler(NGX_MESH_PIPE_DESK, ngx_mesh_desk_accepted);
}


void
ngx_mesh_desk_exit(void)
{
    ngx_queue_t      *q;
    ngx_mesh_desk_t  *desk;

    for (q = ngx_queue_head(&ngx_mesh_desks);
         q != ngx_queue_sentinel(&ngx_mesh_desks);
         q = ngx_queue_next(q))
    {
        desk = ngx_queue_data(q, ngx_mesh_desk_t, queue);

        if (desk->record) {
            ngx_mesh_record_end(desk->record);
            desk->record = NULL;
        }
    }
}


ngx_connection_t *
ngx_mesh_desk_connect(ngx_mesh_session_t *s, const u_char *node,
    const ngx_mesh_desk_who_t *who)
{
    u_char             key[32];
    ngx_int_t          rc;
    ngx_uint_t         tries;
    ngx_mesh_addr_t    owner;
    ngx_connection_t  *c;

    ngx_mesh_desk_key(key, who->domain_id, node);

    for (tries = 0; tries < 3; tries++) {
        ngx_mesh_session_addr(s, &owner);

        rc = ngx_mesh_desk_insert(key, &owner);

        if (rc == NGX_ERROR) {
            return NULL;
        }

        if (rc == NGX_OK
            && ngx_mesh_desk_create(s, key, node, who->domain_id) == NULL)
        {
            ngx_mesh_desk_delete(key, owner.serial);
            return NULL;
        }

        c = ngx_mesh_pipe_connect(&owner, NGX_MESH_PIPE_DESK, 0, node,
                                  NGX_MESH_ID_LEN);

        if (c == NULL) {
            /* of a worker that died; one of ours ends by its deadline */
            ngx_mesh_desk_delete(key, owner.serial);
            continue;
        }

        if (ngx_mesh_desk_introduce(c, who) == NGX_OK) {
            return c;
        }

        ngx_mesh_pipe_close(c);
    }

    return NULL;
}


static void
ngx_mesh_desk_key(u_char *key, int64_t domain_id, const u_char *node)
{
    u_char  buf[8 + NGX_MESH_ID_LEN];

    ngx_memcpy(mesh_put64(buf, (uint64_t) domain_id), node, NGX_MESH_ID_LEN);
    ngx_mesh_sha256(buf, sizeof(buf), key);
}


static ngx_mesh_desk_t *
ngx_mesh_desk_create(ngx_mesh_session_t *s, const u_char *key,
    const u_char *node, int64_t domain_id)
{
    ngx_mesh_desk_t  *desk;

    desk = ngx_calloc(sizeof(ngx_mesh_desk_t), ngx_cycle->log);
    if (desk == NULL) {
        return NULL;
    }

    ngx_queue_init(&desk->seats);
    desk->serial = s->serial;
    ngx_memcpy(desk->key, key, sizeof(desk->key));
    ngx_memcpy(desk->node, node, NGX_MESH_ID_LEN);
    desk->domain_id = domain_id;
    desk->srv = s->srv;
    desk->max = s->conf->desktop_cache;
    desk->deadline = ngx_time() + (s->conf->relay_wait + 999) / 1000;

    /* an old worker lives as long as it has a desktop: not cancelable */
    desk->tick.handler = ngx_mesh_desk_tick;
    desk->tick.data = desk;
    desk->tick.log = ngx_cycle->log;
    ngx_add_timer(&desk->tick, 1000);

    desk->reap.handler = ngx_mesh_desk_reap;
    desk->reap.data = desk;
    desk->reap.log = ngx_cycle->log;

    ngx_queue_insert_tail(&ngx_mesh_desks, &desk->queue);

    return desk;
}


/* the first bytes on a new pipe: it takes them at once */
static ngx_int_t
ngx_mesh_desk_introduce(ngx_connection_t *c, const ngx_mesh_desk_who_t *who)
{
    size_t   n, len;
    u_char  *p, buf[MESH_WS_MAX_HEAD + NGX_MESH_DESK_WHO + 64];

    len = ngx_min(who->address.len, 64);
    n = mesh_ws_head(buf, MESH_WS_BINARY, 1, NGX_MESH_DESK_WHO + len);

    p = mesh_put32(buf + n, who->role);
    p = mesh_put64(p, (uint64_t) who->domain_id);
    p = mesh_put64(p, (uint64_t) who->account_id);
    p = mesh_put64(p, (uint64_t) who->device_id);
    p = mesh_put64(p, who->agent);
    p = mesh_put64(p, who->serial);
    p = ngx_cpymem(p, who->address.data, len);

    return c->send(c, buf, p - buf) == p - buf ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_mesh_desk_accepted(ngx_connection_t *c, const ngx_mesh_hello_t *hello)
{
    int                    size;
    ngx_queue_t           *q;
    ngx_mesh_desk_t       *desk;
    ngx_mesh_desk_seat_t  *seat;

    desk = NULL;

    for (q = ngx_queue_head(&ngx_mesh_desks);
         q != ngx_queue_sentinel(&ngx_mesh_desks);
         q = ngx_queue_next(q))
    {
        desk = ngx_queue_data(q, ngx_mesh_desk_t, queue);

        if (desk->serial == hello->serial) {
            break;
        }

        desk = NULL;
    }

    if (desk == NULL || desk->ended
        || desk->nseats == NGX_MESH_DESK_SEATS
        || ngx_memcmp(desk->node, hello->key, NGX_MESH_ID_LEN) != 0)
    {
        return NGX_ERROR;
    }

    seat = ngx_calloc(sizeof(ngx_mesh_desk_seat_t), c->log);
    if (seat == NULL) {
        return NGX_ERROR;
    }

    size = NGX_MESH_DESK_SNDBUF;

    if (setsockopt(c->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(int)) == -1) {
        ngx_log_error(NGX_LOG_INFO, c->log, ngx_socket_errno,
                      "mesh desktop: setsockopt(SO_SNDBUF) failed");
    }

    seat->desk = desk;
    seat->c = c;
    ngx_queue_insert_tail(&desk->seats, &seat->queue);
    desk->nseats++;

    c->data = seat;
    c->read->handler = ngx_mesh_desk_read;
    c->write->handler = ngx_mesh_desk_write;
    ngx_post_event(c->read, &ngx_posted_events);

    return NGX_OK;
}


/* the first message of a pipe */
void
ngx_mesh_desk_seated(ngx_mesh_desk_seat_t *seat, u_char *p, size_t len)
{
    ngx_mesh_desk_who_t  who;

    if (len < NGX_MESH_DESK_WHO) {
        ngx_mesh_desk_kill(seat);
        return;
    }

    who.role = (uint8_t) mesh_get32(p);
    who.domain_id = (int64_t) mesh_get64(p + 4);
    who.account_id = (int64_t) mesh_get64(p + 12);
    who.device_id = (int64_t) mesh_get64(p + 20);
    who.agent = mesh_get64(p + 28);
    who.serial = mesh_get64(p + 36);
    who.address.data = p + NGX_MESH_DESK_WHO;
    who.address.len = len - NGX_MESH_DESK_WHO;

    seat->role = who.role;
    seat->account_id = who.account_id;
    seat->agent = who.agent;

    if (who.role == NGX_MESH_VIEWER) {
        ngx_mesh_desk_viewer(seat, &who);

    } else {
        ngx_mesh_desk_device(seat);
    }
}


static void
ngx_mesh_desk_viewer(ngx_mesh_desk_seat_t *seat,
    const ngx_mesh_desk_who_t *who)
{
    ngx_uint_t        i;
    ngx_mesh_desk_t  *desk;

    desk = seat->desk;
    desk->watched = 1;

    ngx_mesh_desk_record(desk, who);

    ngx_mesh_desk_say(desk, NGX_MESH_DESK_START, MESH_WS_TEXT, 1,
                      (u_char *) "cr", desk->record ? 2 : 1);

    seat->due = 0;

    for (i = 0; i < NGX_MESH_DESK_SLOTS; i++) {
        if (desk->said[i].kept && desk->said[i].buf.len) {
            seat->due |= 1u << i;
        }
    }

    mesh_kvm_view_join(&desk->cache, &seat->view);

    if (desk->cache.holes) {
        desk->refresh = 1;
    }

    ngx_mesh_desk_metadata(desk);
    ngx_mesh_desk_pauses(desk);
    ngx_mesh_desk_refresh(desk);
    ngx_mesh_desk_show(desk);
    ngx_mesh_desk_resume(desk);
}


/*
 * The first one stays, as each viewer has another one called.  But one that
 * comes by a newer connection of the device takes its place: the former may
 * hang where the network was lost.
 */
static void
ngx_mesh_desk_device(ngx_mesh_desk_seat_t *seat)
{
    mesh_ws_event_t   ev;
    ngx_mesh_desk_t  *desk;

    desk = seat->desk;

    if (desk->agent && !desk->agent->dead
        && (seat->agent == 0 || seat->agent == desk->agent->agent))
    {
        desk->refused = ngx_current_msec + NGX_MESH_DESK_LINGER;
        ngx_mesh_desk_kill(seat);
        return;
    }

    if (desk->agent) {
        /* nothing of it counts from here on, and its message is over */
        if (desk->record) {
            ngx_memzero(&ev, sizeof(mesh_ws_event_t));
            ev.what = MESH_WS_END;
            ngx_mesh_record_event(desk->record, NGX_MESH_RECORD_DEVICE, &ev,
                                  NULL, 0);
        }

        desk->recording = 0;
        ngx_mesh_desk_kill(desk->agent);
        desk->begun = 0;
        desk->paused = 0;
        desk->skip = 0;
        ngx_mesh_desk_clear(&desk->packet);
        ngx_memzero(&desk->wish, sizeof(ngx_mesh_desk_wish_t));
    }

    desk->agent = seat;
    desk->since = ngx_mesh_now_ms();

    ngx_mesh_desk_put(seat, MESH_WS_TEXT, (u_char *) "cr",
                      desk->record ? 2 : 1);
    ngx_mesh_desk_begin(desk);
    ngx_mesh_desk_metadata(desk);
    ngx_mesh_desk_show(desk);

    /* whom the former one had stopped */
    ngx_mesh_desk_eased(seat);
}


/* both sides are here, and a viewer has said what it wants */
void
ngx_mesh_desk_begin(ngx_mesh_desk_t *desk)
{
    ngx_queue_t  *q;

    if (desk->agent == NULL || desk->begun) {
        return;
    }

    for (q = ngx_mesh_desk_first(desk);
         q != ngx_queue_sentinel(&desk->seats);
         q = ngx_queue_next(q))
    {
        if (ngx_mesh_desk_seat(q)->started && !ngx_mesh_desk_seat(q)->dead) {
            break;
        }
    }

    if (q == ngx_queue_sentinel(&desk->seats)) {
        return;
    }

    desk->begun = 1;

    if (desk->options.len) {
        ngx_mesh_desk_put(desk->agent, MESH_WS_TEXT, desk->options.data,
                          desk->options.len);
    }

    ngx_mesh_desk_put(desk->agent, MESH_WS_TEXT, (u_char *) "2", 1);
    ngx_mesh_desk_flush(desk->agent);

    ngx_mesh_desk_wishes(desk);
    ngx_mesh_desk_pauses(desk);
    desk->rewished = 0;
}


/* the first viewer whose sessions are recorded begins it, of the one stream */
static void
ngx_mesh_desk_record(ngx_mesh_desk_t *desk, const ngx_mesh_desk_who_t *who)
{
    ngx_int_t                rc;
    ngx_mesh_presence_t      presence;
    ngx_mesh_record_about_t  about;

    if (desk->record) {
        return;
    }

    ngx_memzero(&about, sizeof(ngx_mesh_record_about_t));

    if (ngx_mesh_presence_lookup(NGX_MESH_AGENT, desk->domain_id, desk->node,
                                 &presence)
        == NGX_OK)
    {
        about.scope.group_id = presence.group_id;
    }

    about.scope.domain_id = desk->domain_id;
    about.scope.account_id = who->account_id;
    about.scope.device_id = who->device_id;
    about.node = desk->node;
    about.address = who->address;
    about.protocol = 2;
    about.serial = who->serial;

    rc = ngx_mesh_record_begin(&desk->record, desk->srv, &about,
                               ngx_mesh_desk_record_ready,
                               ngx_mesh_desk_record_failed, desk);

    if (rc == NGX_DECLINED) {
        return;
    }

    if (rc == NGX_ERROR) {
        ngx_mesh_desk_end(desk);
        return;
    }

    /* it is to begin with a whole picture */
    desk->refresh = (desk->cache.width != 0);
}


static void
ngx_mesh_desk_record_ready(void *data)
{
    ngx_mesh_desk_resume(data);
}


static void
ngx_mesh_desk_record_failed(void *data)
{
    ngx_mesh_desk_end(data);
}


/* who watches, for all who do */
static void
ngx_mesh_desk_metadata(ngx_mesh_desk_t *desk)
{
    ngx_str_t       text;
    ngx_pool_t     *pool;
    ngx_mesh_jw_t   w;

    pool = ngx_create_pool(4096, ngx_cycle->log);
    if (pool == NULL) {
        return;
    }

    if (ngx_mesh_jw_init(&w, pool, 1024) == NGX_OK) {
        ngx_mesh_jw_open(&w, NULL, '{');
        ngx_mesh_jw_cstr(&w, "ctrlChannel", "102938");
        ngx_mesh_jw_cstr(&w, "type", "metadata");
        ngx_mesh_jw_open(&w, "users", '{');

        if (ngx_mesh_desk_users(desk, &w, pool) == NGX_OK) {
            ngx_mesh_jw_shut(&w, '}');

            if (desk->since) {
                ngx_mesh_jw_int(&w, "startTime", desk->since);
            } else {
                ngx_mesh_jw_null(&w, "startTime");
            }

            ngx_mesh_jw_shut(&w, '}');

            if (ngx_mesh_jw_done(&w, &text) == NGX_OK) {
                ngx_mesh_desk_say(desk, NGX_MESH_DESK_METADATA, MESH_WS_TEXT,
                                  1, text.data, text.len);
            }
        }
    }

    ngx_destroy_pool(pool);
}


static ngx_uint_t
ngx_mesh_desk_same(ngx_mesh_desk_seat_t *a, ngx_mesh_desk_seat_t *b)
{
    return a->role == b->role && !a->dead && a->account_id == b->account_id;
}


/* each account once, with how often it is here */
static ngx_int_t
ngx_mesh_desk_users(ngx_mesh_desk_t *desk, ngx_mesh_jw_t *w, ngx_pool_t *pool)
{
    ngx_str_t              name;
    ngx_uint_t             n;
    ngx_queue_t           *q, *o;
    ngx_mesh_account_t    *account;
    ngx_mesh_desk_seat_t  *seat;

    for (q = ngx_mesh_desk_first(desk);
         q != ngx_queue_sentinel(&desk->seats);
         q = ngx_queue_next(q))
    {
        seat = ngx_mesh_desk_seat(q);

        if (seat->role != NGX_MESH_VIEWER || seat->dead) {
            continue;
        }

        for (o = ngx_mesh_desk_first(desk); o != q; o = ngx_queue_next(o)) {
            if (ngx_mesh_desk_same(ngx_mesh_desk_seat(o), seat)) {
                break;
            }
        }

        account = ngx_mesh_account(seat->account_id);

        if (o != q || account == NULL) {
            continue;
        }

        for (n = 0; o != ngx_queue_sentinel(&desk->seats);
             o = ngx_queue_next(o))
        {
            n += ngx_mesh_desk_same(ngx_mesh_desk_seat(o), seat);
        }

        name.len = account->domain.len + account->login.len + 6;
        name.data = ngx_pnalloc(pool, name.len);
        if (name.data == NULL) {
            return NGX_ERROR;
        }

        ngx_sprintf(name.data, "user/%V/%V", &account->domain,
                    &account->login);
        ngx_mesh_jw_name(w, &name);
        ngx_mesh_jw_int(w, NULL, n);
    }

    return NGX_OK;
}


static void
ngx_mesh_desk_read(ngx_event_t *ev)
{
    u_char                *pos;
    ssize_t                n;
    ngx_int_t              rc, turns;
    ngx_mesh_desk_t       *desk;
    mesh_ws_event_t        found;
    mesh_ws_limits_t       limits;
    ngx_connection_t      *c;
    ngx_mesh_desk_seat_t  *seat;

    c = ev->data;
    seat = c->data;
    desk = seat->desk;

    ngx_memzero(&limits, sizeof(mesh_ws_limits_t));
    desk->cache.work = 0;

    for (turns = 0; !seat->dead && !seat->stopped; turns++) {

        if (seat == desk->agent && ngx_mesh_desk_full(desk)) {
            seat->stopped = 1;
            break;
        }

        if (seat != desk->agent && ngx_mesh_desk_behind(desk)) {
            seat->stopped = 1;
            break;
        }

        if (turns == NGX_MESH_DESK_TURNS
            || desk->cache.work > NGX_MESH_DESK_WORK)
        {
            ngx_post_event(ev, &ngx_posted_next_events);
            return;
        }

        n = c->recv(c, ngx_mesh_desk_scratch, NGX_MESH_DESK_READ);

        if (n == NGX_AGAIN) {
            return;
        }

        if (n <= 0) {
            ngx_mesh_desk_kill(seat);
            return;
        }

        pos = ngx_mesh_desk_scratch;

        while (!seat->dead) {
            rc = mesh_ws_parse(&seat->parse, &limits, &pos,
                               ngx_mesh_desk_scratch + n, &found);

            if (rc == MESH_AGAIN) {
                break;
            }

            if (rc == MESH_ERROR) {
                ngx_log_error(NGX_LOG_ALERT, c->log, 0,
                              "mesh desktop: broken frame from a worker");
                ngx_mesh_desk_kill(seat);
                break;
            }

            if (seat == desk->agent) {
                ngx_mesh_desk_device_event(desk, &found);

            } else {
                ngx_mesh_desk_viewer_event(seat, &found);
            }
        }
    }
}


static void
ngx_mesh_desk_tick(ngx_event_t *ev)
{
    ngx_mesh_desk_t *desk = ev->data;

    if ((desk->agent == NULL || !desk->watched)
        && ngx_time() >= desk->deadline)
    {
        ngx_mesh_count(NGX_MESH_C_RELAY_EXPIRED);
        ngx_mesh_desk_end(desk);
    }

    if (desk->nseats == 1 && desk->agent && !ngx_mesh_desk_expects(desk)) {
        ngx_mesh_desk_end(desk);
    }

    /* a desk that is always watched would keep an old worker for ever */
    if (ngx_exiting) {
        ngx_mesh_desk_delete(desk->key, desk->serial);
    }

    ngx_mesh_desk_refresh(desk);
    ngx_mesh_desk_resume(desk);

    ngx_add_timer(ev, 1000);
}


void
ngx_mesh_desk_kill(ngx_mesh_desk_seat_t *seat)
{
    seat->dead = 1;
    ngx_post_event(&seat->desk->reap, &ngx_posted_events);
}


static void
ngx_mesh_desk_end(ngx_mesh_desk_t *desk)
{
    desk->ended = 1;
    ngx_post_event(&desk->reap, &ngx_posted_events);
}


static void
ngx_mesh_desk_reap(ngx_event_t *ev)
{
    ngx_mesh_desk_t *desk = ev->data;

    ngx_uint_t             others, left;
    ngx_queue_t           *q, *next;
    ngx_mesh_desk_seat_t  *seat;

    others = 0;
    left = 0;

    for (q = ngx_mesh_desk_first(desk);
         q != ngx_queue_sentinel(&desk->seats);
         q = next)
    {
        next = ngx_queue_next(q);
        seat = ngx_mesh_desk_seat(q);

        if (!seat->dead) {
            others += (seat != desk->agent);
            continue;
        }

        if (seat == desk->agent) {
            desk->ended = 1;
        }

        left |= (seat->role == NGX_MESH_VIEWER);
        ngx_mesh_desk_leave(seat);
    }

    if (desk->ended
        || (others == 0 && !ngx_mesh_desk_expects(desk)))
    {
        ngx_mesh_desk_free(desk);
        return;
    }

    if (left) {
        ngx_mesh_desk_wishes(desk);
        ngx_mesh_desk_pauses(desk);
        ngx_mesh_desk_metadata(desk);
        ngx_mesh_desk_show(desk);
    }

    ngx_mesh_desk_resume(desk);
}


/* nobody watches: is somebody to come? */
static ngx_uint_t
ngx_mesh_desk_expects(ngx_mesh_desk_t *desk)
{
    if (desk->agent == NULL) {
        return 0;
    }

    return !desk->watched
           || (desk->refused
               && (ngx_msec_int_t) (desk->refused - ngx_current_msec) > 0);
}


static void
ngx_mesh_desk_leave(ngx_mesh_desk_seat_t *seat)
{
    ngx_mesh_desk_t  *desk;

    desk = seat->desk;

    if (seat->role == NGX_MESH_VIEWER) {
        ngx_mesh_desk_let_go(seat);
        mesh_kvm_view_leave(&desk->cache, &seat->view);
    }

    if (seat == desk->agent) {
        desk->agent = NULL;
    }

    ngx_mesh_desk_release(seat);
    ngx_mesh_desk_clear(&seat->out);

    if (seat->text) {
        ngx_free(seat->text);
    }

    ngx_queue_remove(&seat->queue);
    desk->nseats--;

    ngx_mesh_pipe_close(seat->c);
    ngx_free(seat);
}


/* its seats go with it: what they were sent still arrives */
static void
ngx_mesh_desk_free(ngx_mesh_desk_t *desk)
{
    ngx_uint_t        i;
    mesh_kvm_tile_t  *tile;

    ngx_mesh_desk_delete(desk->key, desk->serial);
    ngx_queue_remove(&desk->queue);

    while (!ngx_queue_empty(&desk->seats)) {
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the head is another */
        ngx_mesh_desk_leave(ngx_mesh_desk_seat(ngx_mesh_desk_first(desk)));
    }

    if (desk->record) {
        ngx_mesh_record_end(desk->record);
    }

    while ((tile = desk->cache.oldest) != NULL) {
        desk->cache.oldest = tile->next;
        ngx_free(tile->packet);
        ngx_free(tile);
    }

    if (desk->cache.grid) {
        ngx_free(desk->cache.grid);
    }

    for (i = 0; i < NGX_MESH_DESK_SLOTS; i++) {
        ngx_mesh_desk_clear(&desk->said[i].buf);
    }

    ngx_mesh_desk_clear(&desk->packet);
    ngx_mesh_desk_clear(&desk->options);

    ngx_del_timer(&desk->tick);

    if (desk->reap.posted) {
        ngx_delete_posted_event(&desk->reap);
    }

    ngx_free(desk);
}
