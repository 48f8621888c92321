/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Nothing waits for a viewer but what it has to see: tiles stay in the cache,
 * and of all else the last one of its kind in a slot.  So a slow viewer holds
 * no queue, it skips what newer tiles have covered, and the device is stopped
 * only where nobody takes more.
 *
 * Who is to go is marked, and taken out when the event is over.
 */

#include "ngx_mesh_relay_desk.h"
#include "../ngx_mesh_module/core/ngx_mesh_id.h"
#include "../ngx_mesh_module/core/ngx_mesh_record.h"
#include "../proto/mesh_kvm_cache.h"


#define NGX_MESH_DESK_READ      65536     /* bytes of a pipe at once */
#define NGX_MESH_DESK_TURNS     16        /* reads before others have a turn, */
#define NGX_MESH_DESK_WORK      1000000   /* or cells of the grid, */
#define NGX_MESH_DESK_PACKET    64        /* of which a packet costs so many, */
#define NGX_MESH_DESK_WRITE     1048576   /* or bytes written, */
#define NGX_MESH_DESK_CALL      1024      /* of which a call costs so many */
#define NGX_MESH_DESK_SEATS     64        /* at one desktop */
#define NGX_MESH_DESK_TEXT      8192      /* bytes of a text, or in a slot */
#define NGX_MESH_DESK_ECHO      256
#define NGX_MESH_DESK_INPUT     65536     /* bytes that wait for the device */
#define NGX_MESH_DESK_SNDBUF    16384     /* bytes of a viewer's pipe */
#define NGX_MESH_DESK_AGAIN     2         /* seconds between two whole pictures */
#define NGX_MESH_DESK_LINGER    2000      /* ms: see refused */
#define NGX_MESH_DESK_WHO       44        /* bytes before the address */


/* in the order in which one who comes gets them */
typedef enum {
    NGX_MESH_DESK_START = 0,
    NGX_MESH_DESK_DISPLAYS,
    NGX_MESH_DESK_GEOMETRY,
    NGX_MESH_DESK_CONSOLE,
    NGX_MESH_DESK_LEDS,
    NGX_MESH_DESK_METADATA,
    NGX_MESH_DESK_CURSOR,
    NGX_MESH_DESK_DISPLAY,
    NGX_MESH_DESK_LOCK,
    NGX_MESH_DESK_TOUCH_INIT,
    NGX_MESH_DESK_TOUCH,
    NGX_MESH_DESK_MESSAGE,
    NGX_MESH_DESK_ALERT,
    NGX_MESH_DESK_SLOTS
} ngx_mesh_desk_slot_e;

/* packets of the device that are no picture */
static const struct {
    uint16_t              cmd;
    ngx_mesh_desk_slot_e  slot;
    ngx_uint_t            kept;       /* who comes later gets it too */
} ngx_mesh_desk_kinds[] = {
    { MESH_KVM_DISPLAYS,   NGX_MESH_DESK_DISPLAYS,   1 },
    { MESH_KVM_GEOMETRY,   NGX_MESH_DESK_GEOMETRY,   1 },
    { MESH_KVM_LEDS,       NGX_MESH_DESK_LEDS,       1 },
    { MESH_KVM_CURSOR,     NGX_MESH_DESK_CURSOR,     1 },
    { MESH_KVM_DISPLAY,    NGX_MESH_DESK_DISPLAY,    1 },
    { MESH_KVM_INPUT_LOCK, NGX_MESH_DESK_LOCK,       0 },
    { MESH_KVM_TOUCH_INIT, NGX_MESH_DESK_TOUCH_INIT, 0 },
    { MESH_KVM_TOUCH,      NGX_MESH_DESK_TOUCH,      0 },
    { MESH_KVM_MESSAGE,    NGX_MESH_DESK_MESSAGE,    0 },
    { MESH_KVM_ALERT,      NGX_MESH_DESK_ALERT,      0 }
};


/* owns data */
typedef struct {
    u_char                  *data;
    size_t                   pos, len, size;
} ngx_mesh_desk_buf_t;

typedef struct {
    ngx_mesh_desk_buf_t      buf;
    ngx_uint_t               opcode;
    ngx_uint_t               kept;
} ngx_mesh_desk_said_t;

/* how a picture is wanted; quality 0: not said */
typedef struct {
    uint8_t                  type;
    uint8_t                  quality;
    uint16_t                 scaling;
    uint16_t                 interval;
} ngx_mesh_desk_wish_t;

typedef struct ngx_mesh_desk_s  ngx_mesh_desk_t;

/* a half that is here by a pipe */
typedef struct {
    ngx_queue_t              queue;
    ngx_mesh_desk_t         *desk;
    ngx_connection_t        *c;
    uint8_t                  role;    /* 0: it has not said yet */
    int64_t                  account_id;
    uint64_t                 agent;

    mesh_ws_parse_t          parse;
    u_char                  *text;    /* of NGX_MESH_DESK_TEXT bytes, or NULL */
    size_t                   text_len;
    mesh_kvm_input_t         input;
    u_char                   keys[32];        /* that it holds down, */
    u_char                   extended[32];    /* and how it said so */
    uint8_t                  buttons;
    u_char                   place[4];        /* of its mouse */

    ngx_mesh_desk_buf_t      out;
    mesh_kvm_tile_t         *tile;    /* behind out; counted in its refs */
    size_t                   tile_pos;
    mesh_kvm_view_t          view;
    uint64_t                 echo_after;      /* number of a tile */
    size_t                   echo_len;
    u_char                   echo[NGX_MESH_DESK_ECHO];
    uint32_t                 due;     /* slots, a bit each */
    ngx_mesh_desk_wish_t     wish;

    unsigned                 over:1;      /* the open text is too long */
    unsigned                 started:1;   /* it has sent the protocol */
    unsigned                 paused:1;
    unsigned                 blocked:1;   /* the pipe takes no more */
    unsigned                 stopped:1;   /* it is not read */
    unsigned                 pong:1;
    unsigned                 dead:1;
} ngx_mesh_desk_seat_t;

struct ngx_mesh_desk_s {
    ngx_queue_t              queue;
    ngx_queue_t              seats;
    ngx_uint_t               nseats;
    ngx_mesh_desk_seat_t    *agent;   /* the device's half, or NULL */

    uint64_t                 serial;
    u_char                   key[32];
    u_char                   node[NGX_MESH_ID_LEN];
    int64_t                  domain_id;
    ngx_http_mesh_srv_conf_t  *srv;
    size_t                   max;     /* bytes of the picture */

    mesh_kvm_cache_t         cache;
    size_t                   held;    /* of tiles that only a viewer has */
    ngx_mesh_desk_buf_t      packet;  /* of the device, begun */
    ngx_mesh_desk_said_t     said[NGX_MESH_DESK_SLOTS];
    ngx_mesh_desk_buf_t      options; /* of the first viewer that had any */
    ngx_mesh_desk_wish_t     wish;    /* of all, as the device knows it */

    ngx_mesh_record_t       *record;
    time_t                   deadline;    /* for the other side to come */
    time_t                   refreshed;
    ngx_msec_t               refused; /* until then the viewer may come whose
                                         half of the device was let go; 0 */
    int64_t                  since;       /* ms; 0: the device is not here */
    ngx_event_t              tick;
    ngx_event_t              reap;

    unsigned                 watched:1;   /* a viewer was here */
    unsigned                 begun:1;     /* the device was told to start */
    unsigned                 paused:1;    /* and to stop */
    unsigned                 rewished:1;  /* the picture is of another wish */
    unsigned                 refresh:1;   /* all of it is to be asked for */
    unsigned                 recording:1; /* from the message's start on */
    unsigned                 skip:1;      /* the open message */
    unsigned                 ended:1;
};


static void ngx_mesh_desk_key(u_char *key, int64_t domain_id,
    const u_char *node);
static ngx_mesh_desk_t *ngx_mesh_desk_create(ngx_mesh_session_t *s,
    const u_char *key, const u_char *node, int64_t domain_id);
static ngx_int_t ngx_mesh_desk_introduce(ngx_connection_t *c,
    const ngx_mesh_desk_who_t *who);
static ngx_int_t ngx_mesh_desk_accepted(ngx_connection_t *c,
    const ngx_mesh_hello_t *hello);
static void ngx_mesh_desk_seated(ngx_mesh_desk_seat_t *seat, u_char *p,
    size_t len);
static void ngx_mesh_desk_viewer(ngx_mesh_desk_seat_t *seat,
    const ngx_mesh_desk_who_t *who);
static void ngx_mesh_desk_device(ngx_mesh_desk_seat_t *seat);
static void ngx_mesh_desk_begin(ngx_mesh_desk_t *desk);
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
static void ngx_mesh_desk_viewer_event(ngx_mesh_desk_seat_t *seat,
    mesh_ws_event_t *ev);
static void ngx_mesh_desk_viewer_packet(ngx_mesh_desk_seat_t *seat,
    const u_char *p, size_t len);
static void ngx_mesh_desk_viewer_text(ngx_mesh_desk_seat_t *seat);
static void ngx_mesh_desk_hold(ngx_mesh_desk_seat_t *seat, const u_char *p);
static void ngx_mesh_desk_let_go(ngx_mesh_desk_seat_t *seat);
static void ngx_mesh_desk_forward(ngx_mesh_desk_seat_t *seat,
    ngx_uint_t opcode, const u_char *p, size_t len);
static void ngx_mesh_desk_wishes(ngx_mesh_desk_t *desk);
static void ngx_mesh_desk_pauses(ngx_mesh_desk_t *desk);
static void ngx_mesh_desk_refresh(ngx_mesh_desk_t *desk);

static void ngx_mesh_desk_device_event(ngx_mesh_desk_t *desk,
    mesh_ws_event_t *ev);
static ngx_int_t ngx_mesh_desk_room(ngx_mesh_desk_t *desk, uint64_t len);
static void ngx_mesh_desk_device_message(ngx_mesh_desk_t *desk);
static void ngx_mesh_desk_device_packet(ngx_mesh_desk_t *desk,
    mesh_kvm_packet_t *pkt, u_char *p);
static void ngx_mesh_desk_tile(ngx_mesh_desk_t *desk, u_char *p, size_t len);
static void ngx_mesh_desk_screen(ngx_mesh_desk_t *desk,
    mesh_kvm_packet_t *pkt);
static void ngx_mesh_desk_device_text(ngx_mesh_desk_t *desk);
static void ngx_mesh_desk_say(ngx_mesh_desk_t *desk, ngx_uint_t slot,
    ngx_uint_t opcode, ngx_uint_t kept, const u_char *p, size_t len);
static void ngx_mesh_desk_collect(ngx_mesh_desk_t *desk);
static void ngx_mesh_desk_release(ngx_mesh_desk_seat_t *seat);

static void ngx_mesh_desk_write(ngx_event_t *ev);
static void ngx_mesh_desk_eased(ngx_mesh_desk_seat_t *seat);
static ngx_uint_t ngx_mesh_desk_behind(ngx_mesh_desk_t *desk);
static void ngx_mesh_desk_show(ngx_mesh_desk_t *desk);
static void ngx_mesh_desk_flush(ngx_mesh_desk_seat_t *seat);
static ngx_int_t ngx_mesh_desk_send(ngx_mesh_desk_seat_t *seat);
static ngx_uint_t ngx_mesh_desk_next(ngx_mesh_desk_seat_t *seat);
static void ngx_mesh_desk_put(ngx_mesh_desk_seat_t *seat, ngx_uint_t opcode,
    const u_char *p, size_t len);
static ngx_int_t ngx_mesh_desk_append(ngx_mesh_desk_buf_t *b, const u_char *p,
    size_t len);
static ngx_int_t ngx_mesh_desk_reserve(ngx_mesh_desk_buf_t *b, size_t len);
static void ngx_mesh_desk_clear(ngx_mesh_desk_buf_t *b);
static ngx_uint_t ngx_mesh_desk_full(ngx_mesh_desk_t *desk);
static void ngx_mesh_desk_resume(ngx_mesh_desk_t *desk);

static void ngx_mesh_desk_tick(ngx_event_t *ev);
static void ngx_mesh_desk_kill(ngx_mesh_desk_seat_t *seat);
static void ngx_mesh_desk_end(ngx_mesh_desk_t *desk);
static void ngx_mesh_desk_reap(ngx_event_t *ev);
static ngx_uint_t ngx_mesh_desk_expects(ngx_mesh_desk_t *desk);
static void ngx_mesh_desk_leave(ngx_mesh_desk_seat_t *seat);
static void ngx_mesh_desk_free(ngx_mesh_desk_t *desk);


#define ngx_mesh_desk_first(desk)  ngx_queue_head(&(desk)->seats)
#define ngx_mesh_desk_seat(q)                                                 \
    (ngx_queue_data(q, ngx_mesh_desk_seat_t, queue))


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
static void
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
static void
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


/* also of whoever has not said yet who it is */
static void
ngx_mesh_desk_viewer_event(ngx_mesh_desk_seat_t *seat, mesh_ws_event_t *ev)
{
    size_t          size;
    const uint8_t  *pos, *last, *packet;

    switch (ev->what) {

    case MESH_WS_HEAD:

        if (ev->first) {
            seat->text_len = 0;
            seat->over = 0;
        }

        break;

    case MESH_WS_DATA:

        if (ev->opcode == MESH_WS_BINARY && seat->role) {
            pos = ev->data;
            last = ev->data + ev->size;

            while (!seat->dead) {
                switch (mesh_kvm_input(&seat->input, MESH_KVM_FULL, &pos, last,
                                       &packet, &size))
                {
                case MESH_OK:
                    ngx_mesh_desk_viewer_packet(seat, packet, size);
                    break;

                case MESH_AGAIN:
                    return;

                default:
                    ngx_mesh_desk_kill(seat);
                    return;
                }
            }

            return;
        }

        if (seat->text == NULL) {
            seat->text = ngx_alloc(NGX_MESH_DESK_TEXT, seat->c->log);
        }

        if (seat->text == NULL || seat->over
            || ev->size > NGX_MESH_DESK_TEXT - seat->text_len)
        {
            seat->over = 1;
            break;
        }

        ngx_memcpy(seat->text + seat->text_len, ev->data, ev->size);
        seat->text_len += ev->size;
        break;

    case MESH_WS_END:

        if (seat->over || seat->text_len == 0) {
            break;
        }

        if (!seat->role) {
            ngx_mesh_desk_seated(seat, seat->text, seat->text_len);

        } else if (seat->role == NGX_MESH_VIEWER
                   && ev->opcode == MESH_WS_TEXT)
        {
            ngx_mesh_desk_viewer_text(seat);
        }

        break;

    default:    /* MESH_WS_FRAME_END */
        break;
    }
}


/* which it may send, its own worker has seen to */
static void
ngx_mesh_desk_viewer_packet(ngx_mesh_desk_seat_t *seat, const u_char *p,
    size_t len)
{
    ngx_mesh_desk_t    *desk;
    mesh_kvm_event_t    in;
    mesh_kvm_packet_t   pkt;

    desk = seat->desk;

    if (seat->role != NGX_MESH_VIEWER
        || mesh_kvm_parse(&pkt, p, len, MESH_KVM_MAX_INPUT) != MESH_OK)
    {
        return;
    }

    switch (pkt.cmd) {

    case MESH_KVM_COMPRESSION:

        if (mesh_kvm_read_input(&in, &pkt) != MESH_OK) {
            return;
        }

        seat->wish.type = pkt.data[0];

        if (seat->wish.quality == 0) {
            seat->wish.quality = 30;
            seat->wish.scaling = MESH_KVM_SCALE_FULL;
            seat->wish.interval = 100;
        }

        if (in.u.compression.quality) {
            seat->wish.quality = in.u.compression.quality;
        }

        if (in.u.compression.scaling) {
            seat->wish.scaling = in.u.compression.scaling;
        }

        if (in.u.compression.interval) {
            seat->wish.interval = in.u.compression.interval;
        }

        ngx_mesh_desk_wishes(desk);
        break;

    case MESH_KVM_INTERVAL:

        if (mesh_kvm_read_input(&in, &pkt) == MESH_OK && in.u.interval
            && seat->wish.quality)
        {
            seat->wish.interval = in.u.interval;
            ngx_mesh_desk_wishes(desk);
        }

        break;

    case MESH_KVM_PAUSE:

        seat->paused = (pkt.data[0] != 0);
        ngx_mesh_desk_pauses(desk);
        ngx_mesh_desk_flush(seat);
        ngx_mesh_desk_resume(desk);
        break;

    case MESH_KVM_REFRESH:

        if (desk->rewished || desk->cache.holes) {
            desk->refresh = 1;
            ngx_mesh_desk_refresh(desk);

        } else {
            mesh_kvm_view_rewind(&desk->cache, &seat->view);
            ngx_mesh_desk_flush(seat);
        }

        break;

    case MESH_KVM_DISPLAYS:

        if (desk->said[NGX_MESH_DESK_DISPLAYS].buf.len == 0) {
            ngx_mesh_desk_forward(seat, MESH_WS_BINARY, p, len);
            break;
        }

        seat->due |= 1u << NGX_MESH_DESK_DISPLAYS;

        if (desk->said[NGX_MESH_DESK_GEOMETRY].buf.len) {
            seat->due |= 1u << NGX_MESH_DESK_GEOMETRY;
        }

        ngx_mesh_desk_flush(seat);
        break;

    default:

        ngx_mesh_desk_hold(seat, p);
        ngx_mesh_desk_forward(seat, MESH_WS_BINARY, p, len);
        break;
    }
}


static void
ngx_mesh_desk_viewer_text(ngx_mesh_desk_seat_t *seat)
{
    ngx_str_t         type;
    ngx_mesh_desk_t  *desk;
    ngx_mesh_json_t  *j;

    desk = seat->desk;

    if (seat->text[0] != '{') {
        if (ngx_atoi(seat->text, seat->text_len) == 2) {
            seat->started = 1;
            ngx_mesh_desk_begin(desk);
        }

        return;
    }

    j = ngx_mesh_json_parse(seat->text, seat->text_len);
    if (j == NULL) {
        return;
    }

    if (ngx_mesh_json_str(j, "type", &type) != NGX_OK) {
        ngx_str_null(&type);
    }

#define ngx_mesh_desk_is(s)                                                   \
    (type.len == sizeof(s) - 1 && ngx_memcmp(type.data, s, sizeof(s) - 1) == 0)

    if (ngx_mesh_desk_is("rtt")) {

        /* its echo comes behind all that was to be seen when it came */
        if (seat->text_len <= NGX_MESH_DESK_ECHO) {
            ngx_memcpy(seat->echo, seat->text, seat->text_len);
            seat->echo_len = seat->text_len;
            seat->echo_after = desk->cache.number;
            ngx_mesh_desk_flush(seat);
        }

    } else if (ngx_mesh_desk_is("ping")) {
        seat->pong = 1;
        ngx_mesh_desk_flush(seat);

    } else if (ngx_mesh_desk_is("options")) {

        if (desk->options.len == 0) {
            (void) ngx_mesh_desk_append(&desk->options, seat->text,
                                        seat->text_len);
        }

    } else if (ngx_mesh_desk_is("lock") || ngx_mesh_desk_is("autolock")) {
        ngx_mesh_desk_forward(seat, MESH_WS_TEXT, seat->text, seat->text_len);
    }

#undef ngx_mesh_desk_is

    ngx_mesh_json_free(j);
}


/* what is down, so that it comes up when this viewer goes */
static void
ngx_mesh_desk_hold(ngx_mesh_desk_seat_t *seat, const u_char *p)
{
    u_char   bit;
    uint8_t  b;

    switch (mesh_get16(p)) {

    case MESH_KVM_KEY:

        bit = (u_char) (1 << (p[5] & 7));

        if (p[4] == MESH_KVM_KEY_DOWN || p[4] == MESH_KVM_KEY_EXT_DOWN) {
            seat->keys[p[5] >> 3] |= bit;
            seat->extended[p[5] >> 3] &= (u_char) ~bit;

            if (p[4] == MESH_KVM_KEY_EXT_DOWN) {
                seat->extended[p[5] >> 3] |= bit;
            }

        } else {
            seat->keys[p[5] >> 3] &= (u_char) ~bit;
        }

        break;

    case MESH_KVM_MOUSE:

        ngx_memcpy(seat->place, p + 6, 4);
        b = p[5];

        if (b == MESH_KVM_LEFT || b == MESH_KVM_RIGHT || b == MESH_KVM_MIDDLE)
        {
            seat->buttons |= b;

        } else if (b == 2 * MESH_KVM_LEFT || b == 2 * MESH_KVM_RIGHT
                   || b == 2 * MESH_KVM_MIDDLE)
        {
            seat->buttons &= (uint8_t) ~(b / 2);
        }

        break;
    }
}


static void
ngx_mesh_desk_let_go(ngx_mesh_desk_seat_t *seat)
{
    u_char      p[10];
    ngx_uint_t  i;

    for (i = 0; i < 256; i++) {
        if (seat->keys[i >> 3] & 1 << (i & 7)) {
            mesh_put16(mesh_put16(p, MESH_KVM_KEY), 6);
            p[4] = seat->extended[i >> 3] & 1 << (i & 7)
                   ? MESH_KVM_KEY_EXT_UP : MESH_KVM_KEY_UP;
            p[5] = (u_char) i;
            ngx_mesh_desk_forward(seat, MESH_WS_BINARY, p, 6);
        }
    }

    for (i = MESH_KVM_LEFT; i <= MESH_KVM_MIDDLE; i *= 4) {
        if (seat->buttons & i) {
            mesh_put16(mesh_put16(p, MESH_KVM_MOUSE), 10);
            p[4] = 0;
            p[5] = (u_char) (2 * i);
            ngx_memcpy(p + 6, seat->place, 4);
            ngx_mesh_desk_forward(seat, MESH_WS_BINARY, p, 10);
        }
    }
}


/* a viewer that sends more than the device takes is not read */
static void
ngx_mesh_desk_forward(ngx_mesh_desk_seat_t *seat, ngx_uint_t opcode,
    const u_char *p, size_t len)
{
    ngx_mesh_desk_seat_t  *agent;

    agent = seat->desk->agent;

    if (agent == NULL || agent->dead || !seat->desk->begun) {
        return;
    }

    ngx_mesh_desk_put(agent, opcode, p, len);
    ngx_mesh_desk_flush(agent);

    if (agent->out.len - agent->out.pos > NGX_MESH_DESK_INPUT) {
        seat->stopped = 1;
    }
}


/* the best of what all want, session.md 9 */
static void
ngx_mesh_desk_wishes(ngx_mesh_desk_t *desk)
{
    u_char                *last, p[10];
    ngx_queue_t           *q;
    ngx_mesh_desk_seat_t  *seat;
    ngx_mesh_desk_wish_t   all, *w;

    ngx_memzero(&all, sizeof(ngx_mesh_desk_wish_t));

    for (q = ngx_mesh_desk_first(desk);
         q != ngx_queue_sentinel(&desk->seats);
         q = ngx_queue_next(q))
    {
        seat = ngx_mesh_desk_seat(q);
        w = &seat->wish;

        if (seat->role != NGX_MESH_VIEWER || seat->dead || w->quality == 0) {
            continue;
        }

        if (all.quality == 0) {
            all = *w;
            continue;
        }

        all.type = all.type == w->type ? all.type : 1;
        all.quality = ngx_max(all.quality, w->quality);
        all.scaling = ngx_max(all.scaling, w->scaling);
        all.interval = ngx_min(all.interval, w->interval);
    }

    if (!desk->begun || desk->agent == NULL || all.quality == 0
        || (all.quality == desk->wish.quality
            && all.scaling == desk->wish.scaling
            && all.interval == desk->wish.interval))
    {
        return;
    }

    desk->wish = all;
    desk->rewished = 1;

    last = mesh_put16(mesh_put16(p, MESH_KVM_COMPRESSION), 10);
    *last++ = all.type;
    *last++ = all.quality;
    mesh_put16(mesh_put16(last, all.scaling), all.interval);

    ngx_mesh_desk_put(desk->agent, MESH_WS_BINARY, p, 10);
    ngx_mesh_desk_flush(desk->agent);
}


/* the device rests when nobody wants more */
static void
ngx_mesh_desk_pauses(ngx_mesh_desk_t *desk)
{
    u_char                 p[5];
    ngx_uint_t             viewers, paused;
    ngx_queue_t           *q;
    ngx_mesh_desk_seat_t  *seat;

    viewers = 0;
    paused = 0;

    for (q = ngx_mesh_desk_first(desk);
         q != ngx_queue_sentinel(&desk->seats);
         q = ngx_queue_next(q))
    {
        seat = ngx_mesh_desk_seat(q);

        if (seat->role == NGX_MESH_VIEWER && !seat->dead) {
            viewers++;
            paused += seat->paused;
        }
    }

    if (!desk->begun || desk->agent == NULL || viewers == 0
        || desk->paused == (viewers == paused))
    {
        return;
    }

    desk->paused = (viewers == paused);

    mesh_put16(mesh_put16(p, MESH_KVM_PAUSE), 5);
    p[4] = desk->paused;

    ngx_mesh_desk_put(desk->agent, MESH_WS_BINARY, p, 5);
    ngx_mesh_desk_flush(desk->agent);
}


/* all of the picture, if it is wanted, and not too often */
static void
ngx_mesh_desk_refresh(ngx_mesh_desk_t *desk)
{
    u_char  p[4];

    if (!desk->refresh || !desk->begun || desk->agent == NULL
        || ngx_time() - desk->refreshed < NGX_MESH_DESK_AGAIN)
    {
        return;
    }

    desk->refresh = 0;
    desk->rewished = 0;
    desk->cache.holes = 0;
    desk->cache.missed = 0;
    desk->refreshed = ngx_time();

    mesh_put16(mesh_put16(p, MESH_KVM_REFRESH), 4);
    ngx_mesh_desk_put(desk->agent, MESH_WS_BINARY, p, 4);
    ngx_mesh_desk_flush(desk->agent);
}


static void
ngx_mesh_desk_device_event(ngx_mesh_desk_t *desk, mesh_ws_event_t *ev)
{
    if (ev->what == MESH_WS_HEAD && ev->first) {
        desk->recording = (desk->record != NULL);
    }

    if (desk->record && desk->recording) {
        ngx_mesh_record_event(desk->record, NGX_MESH_RECORD_DEVICE, ev,
                              ev->data, ev->size);
    }

    switch (ev->what) {

    case MESH_WS_HEAD:

        if (ev->first) {
            /* a packet may go over several messages, a text may not */
            if (ev->opcode == MESH_WS_TEXT || desk->skip) {
                ngx_mesh_desk_clear(&desk->packet);
            }

            desk->skip = 0;
        }

        if (!desk->skip
            && ((ev->opcode == MESH_WS_TEXT && ev->len > NGX_MESH_DESK_TEXT)
                || ngx_mesh_desk_room(desk, ev->len) != NGX_OK))
        {
            desk->skip = 1;
            ngx_mesh_desk_clear(&desk->packet);
        }

        break;

    case MESH_WS_DATA:

        if (!desk->skip) {
            ngx_memcpy(desk->packet.data + desk->packet.len, ev->data,
                       ev->size);
            desk->packet.len += ev->size;
        }

        break;

    case MESH_WS_END:

        if (desk->skip) {
            break;
        }

        if (ev->opcode == MESH_WS_TEXT) {
            ngx_mesh_desk_device_text(desk);
            ngx_mesh_desk_clear(&desk->packet);

        } else {
            ngx_mesh_desk_device_message(desk);
        }

        ngx_mesh_desk_show(desk);
        break;

    default:    /* MESH_WS_FRAME_END */
        break;
    }
}


/* for len more bytes of a message: older parts of the picture make it */
static ngx_int_t
ngx_mesh_desk_room(ngx_mesh_desk_t *desk, uint64_t len)
{
    size_t  used;

    used = desk->held + desk->packet.len;

    if (len > desk->max || used + (size_t) len > desk->max) {
        desk->cache.holes = 1;
        ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                      "mesh desktop: a message of %uL bytes is over "
                      "\"mesh_desktop_cache\"", len);
        return NGX_ERROR;
    }

    mesh_kvm_cache_shrink(&desk->cache, desk->max - used - (size_t) len);
    ngx_mesh_desk_collect(desk);

    /* those that a viewer has begun with are still here */
    if (desk->held + desk->packet.len + (size_t) len > desk->max) {
        desk->cache.holes = 1;
        desk->refresh = 1;
        return NGX_ERROR;
    }

    if (desk->cache.missed) {
        desk->refresh = 1;
    }

    return ngx_mesh_desk_reserve(&desk->packet, (size_t) len);
}


/* as a rule one packet; but it may be several, or a part of one */
static void
ngx_mesh_desk_device_message(ngx_mesh_desk_t *desk)
{
    u_char             *p;
    size_t              left, len;
    ngx_int_t           rc;
    mesh_kvm_packet_t   pkt;

    p = desk->packet.data;
    left = desk->packet.len;

    while (left) {
        rc = mesh_kvm_parse(&pkt, p, left, desk->max);

        if (rc != MESH_OK) {
            break;
        }

        /* one message may be all that the cache holds, of smallest tiles */
        desk->cache.work += NGX_MESH_DESK_PACKET;

        if (desk->cache.work > 4 * NGX_MESH_DESK_WORK) {
            ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                          "mesh desktop: a device sent too many tiles at once");
            ngx_mesh_desk_kill(desk->agent);
            break;
        }

        len = pkt.size;
        ngx_mesh_desk_device_packet(desk, &pkt, p);

        if (desk->packet.data == NULL) {
            return;     /* it was all of it, and is in the picture now */
        }

        p += len;
        left -= len;
    }

    if (left >= 4 && rc == MESH_AGAIN && !desk->agent->dead
        && mesh_kvm_need(p, left) <= desk->max)
    {
        ngx_memmove(desk->packet.data, p, left);
        desk->packet.len = left;
        return;
    }

    ngx_mesh_desk_clear(&desk->packet);
}


static void
ngx_mesh_desk_device_packet(ngx_mesh_desk_t *desk, mesh_kvm_packet_t *pkt,
    u_char *p)
{
    ngx_uint_t  i;

    if (pkt->cmd == MESH_KVM_TILE) {
        ngx_mesh_desk_tile(desk, p, pkt->size);
        return;
    }

    if (pkt->cmd == MESH_KVM_SIZE) {
        ngx_mesh_desk_screen(desk, pkt);
        return;
    }

    for (i = 0; i < sizeof(ngx_mesh_desk_kinds)
                    / sizeof(ngx_mesh_desk_kinds[0]); i++)
    {
        if (ngx_mesh_desk_kinds[i].cmd == pkt->cmd) {
            ngx_mesh_desk_say(desk, ngx_mesh_desk_kinds[i].slot,
                              MESH_WS_BINARY, ngx_mesh_desk_kinds[i].kept, p,
                              pkt->size);
            return;
        }
    }
}


/* takes the buffer where it is the tile and nothing else */
static void
ngx_mesh_desk_tile(ngx_mesh_desk_t *desk, u_char *p, size_t len)
{
    mesh_kvm_tile_t  *tile;

    tile = ngx_calloc(sizeof(mesh_kvm_tile_t), ngx_cycle->log);
    if (tile == NULL) {
        return;
    }

    tile->size = len;

    if (p == desk->packet.data && len == desk->packet.len
        && desk->packet.size - len < 256)
    {
        tile->packet = p;
        ngx_memzero(&desk->packet, sizeof(ngx_mesh_desk_buf_t));

    } else {
        tile->packet = ngx_alloc(len, ngx_cycle->log);
        if (tile->packet == NULL) {
            ngx_free(tile);
            return;
        }

        ngx_memcpy(tile->packet, p, len);
    }

    if (mesh_kvm_cache_add(&desk->cache, tile) != MESH_OK) {
        ngx_free(tile->packet);
        ngx_free(tile);
        return;
    }

    ngx_mesh_desk_collect(desk);

    mesh_kvm_cache_shrink(&desk->cache,
                          desk->max - ngx_min(desk->max, desk->held
                                              + desk->packet.size));
    ngx_mesh_desk_collect(desk);

    if (desk->cache.missed) {
        desk->refresh = 1;
    }

    ngx_mesh_desk_refresh(desk);
}


static void
ngx_mesh_desk_screen(ngx_mesh_desk_t *desk, mesh_kvm_packet_t *pkt)
{
    uint16_t           w, h;
    mesh_kvm_tile_t  **grid, **old;

    if (pkt->len < 4) {
        return;
    }

    w = mesh_get16(pkt->data);
    h = mesh_get16(pkt->data + 2);

    if (w == 0 || h == 0
        || (w == desk->cache.width && h == desk->cache.height))
    {
        return;
    }

    grid = ngx_calloc(mesh_kvm_cache_cells(w, h) * sizeof(mesh_kvm_tile_t *),
                      ngx_cycle->log);
    if (grid == NULL) {
        return;
    }

    old = desk->cache.grid;
    mesh_kvm_cache_screen(&desk->cache, w, h, grid);

    if (old) {
        ngx_free(old);
    }

    desk->cache.work += mesh_kvm_cache_cells(w, h);

    ngx_mesh_desk_collect(desk);
}


/* only what it says to the person passes */
static void
ngx_mesh_desk_device_text(ngx_mesh_desk_t *desk)
{
    ngx_str_t         type, msg;
    ngx_mesh_json_t  *j;

    if (desk->packet.len == 0 || desk->packet.data[0] != '{') {
        return;
    }

    j = ngx_mesh_json_parse(desk->packet.data, desk->packet.len);
    if (j == NULL) {
        return;
    }

    if (ngx_mesh_json_str(j, "type", &type) == NGX_OK && type.len == 7
        && ngx_memcmp(type.data, "console", 7) == 0)
    {
        ngx_mesh_desk_say(desk, NGX_MESH_DESK_CONSOLE, MESH_WS_TEXT,
                          ngx_mesh_json_str(j, "msg", &msg) == NGX_OK,
                          desk->packet.data, desk->packet.len);
    }

    ngx_mesh_json_free(j);
}


/* the last one of its kind, for all who are here */
static void
ngx_mesh_desk_say(ngx_mesh_desk_t *desk, ngx_uint_t slot, ngx_uint_t opcode,
    ngx_uint_t kept, const u_char *p, size_t len)
{
    ngx_queue_t           *q;
    ngx_mesh_desk_said_t  *said;

    said = &desk->said[slot];

    if (len > NGX_MESH_DESK_TEXT && slot != NGX_MESH_DESK_METADATA) {
        return;
    }

    said->buf.len = 0;
    said->opcode = opcode;
    said->kept = kept;

    if (ngx_mesh_desk_append(&said->buf, p, len) != NGX_OK
        || slot == NGX_MESH_DESK_START)
    {
        return;
    }

    for (q = ngx_mesh_desk_first(desk);
         q != ngx_queue_sentinel(&desk->seats);
         q = ngx_queue_next(q))
    {
        if (ngx_mesh_desk_seat(q)->role == NGX_MESH_VIEWER) {
            ngx_mesh_desk_seat(q)->due |= 1u << slot;
        }
    }
}


/* tiles that are covered; one that is on its way is freed behind it */
static void
ngx_mesh_desk_collect(ngx_mesh_desk_t *desk)
{
    mesh_kvm_tile_t  *tile;

    while ((tile = desk->cache.dropped) != NULL) {
        desk->cache.dropped = tile->next;

        if (tile->refs) {
            desk->held += tile->size;
            continue;
        }

        ngx_free(tile->packet);
        ngx_free(tile);
    }
}


static void
ngx_mesh_desk_release(ngx_mesh_desk_seat_t *seat)
{
    mesh_kvm_tile_t  *tile;

    tile = seat->tile;
    seat->tile = NULL;

    if (tile && --tile->refs == 0 && !tile->shown) {
        seat->desk->held -= tile->size;
        ngx_free(tile->packet);
        ngx_free(tile);
    }
}


static void
ngx_mesh_desk_write(ngx_event_t *ev)
{
    ngx_connection_t      *c;
    ngx_mesh_desk_seat_t  *seat;

    c = ev->data;
    seat = c->data;

    ngx_mesh_desk_flush(seat);
    ngx_mesh_desk_eased(seat);
}


/* something left: who was stopped for it goes on */
static void
ngx_mesh_desk_eased(ngx_mesh_desk_seat_t *seat)
{
    ngx_queue_t      *q;
    ngx_mesh_desk_t  *desk;

    desk = seat->desk;

    if (seat != desk->agent) {
        ngx_mesh_desk_resume(desk);
        return;
    }

    if (ngx_mesh_desk_behind(desk)) {
        return;
    }

    for (q = ngx_mesh_desk_first(desk);
         q != ngx_queue_sentinel(&desk->seats);
         /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
         q = ngx_queue_next(q))
    {
        seat = ngx_mesh_desk_seat(q);

        if (seat != desk->agent && seat->stopped && !seat->dead) {
            seat->stopped = 0;
            ngx_post_event(seat->c->read, &ngx_posted_events);
        }
    }
}


/* 1: the device does not take what viewers say */
static ngx_uint_t
ngx_mesh_desk_behind(ngx_mesh_desk_t *desk)
{
    ngx_mesh_desk_seat_t  *agent;

    agent = desk->agent;

    return agent && !agent->dead
           && agent->out.len - agent->out.pos > NGX_MESH_DESK_INPUT;
}


static void
ngx_mesh_desk_show(ngx_mesh_desk_t *desk)
{
    ngx_queue_t  *q;

    for (q = ngx_mesh_desk_first(desk);
         q != ngx_queue_sentinel(&desk->seats);
         q = ngx_queue_next(q))
    {
        if (!ngx_mesh_desk_seat(q)->blocked) {
            ngx_mesh_desk_flush(ngx_mesh_desk_seat(q));
        }
    }
}


static void
ngx_mesh_desk_flush(ngx_mesh_desk_seat_t *seat)
{
    size_t     written;
    ngx_int_t  rc;

    written = 0;

    while (!seat->dead) {
        written += NGX_MESH_DESK_CALL + seat->out.len - seat->out.pos
                   + (seat->tile ? seat->tile->size - seat->tile_pos : 0);

        rc = ngx_mesh_desk_send(seat);

        if (rc == NGX_OK && !ngx_mesh_desk_next(seat)) {
            seat->blocked = 0;
            rc = ngx_mesh_pipe_blocked(seat->c, 0);

            if (rc == NGX_OK) {
                /* also where a read led here: there is no write event */
                ngx_mesh_desk_eased(seat);
                return;
            }
        }

        if (rc == NGX_AGAIN) {
            seat->blocked = 1;

            if (ngx_mesh_pipe_blocked(seat->c, 1) == NGX_OK) {
                return;
            }

            rc = NGX_ERROR;
        }

        if (rc == NGX_ERROR) {
            ngx_mesh_desk_kill(seat);
            return;
        }

        if (written > NGX_MESH_DESK_WRITE) {
            seat->blocked = 1;
            ngx_post_event(seat->c->write, &ngx_posted_next_events);
            return;
        }
    }
}


/* NGX_OK: all that was begun has left */
static ngx_int_t
ngx_mesh_desk_send(ngx_mesh_desk_seat_t *seat)
{
    u_char            *p;
    size_t             len;
    ssize_t            n;
    ngx_connection_t  *c;

    c = seat->c;

    for ( ;; ) {

        if (seat->out.pos < seat->out.len) {
            p = seat->out.data + seat->out.pos;
            len = seat->out.len - seat->out.pos;

        } else if (seat->tile) {
            p = seat->tile->packet + seat->tile_pos;
            len = seat->tile->size - seat->tile_pos;

        } else {
            return NGX_OK;
        }

        n = c->send(c, p, len);

        if (n == NGX_AGAIN || n == 0) {
            return NGX_AGAIN;
        }

        if (n < 0) {
            return NGX_ERROR;
        }

        if (seat->out.pos < seat->out.len) {
            seat->out.pos += n;

            if (seat->out.pos == seat->out.len) {
                ngx_mesh_desk_clear(&seat->out);
            }

            continue;
        }

        seat->tile_pos += n;

        if (seat->tile_pos == seat->tile->size) {
            ngx_mesh_desk_release(seat);
        }
    }
}


/* what a viewer gets next; 0: it has all that it is to have now */
static ngx_uint_t
ngx_mesh_desk_next(ngx_mesh_desk_seat_t *seat)
{
    u_char            p[8];
    size_t            n;
    ngx_uint_t        i;
    mesh_kvm_view_t  *view;
    ngx_mesh_desk_t  *desk;

    if (seat->role != NGX_MESH_VIEWER) {
        return 0;
    }

    desk = seat->desk;
    view = &seat->view;

    if (seat->due) {

        for (i = 0; i < NGX_MESH_DESK_SLOTS; i++) {
            if (seat->due & 1u << i) {
                ngx_mesh_desk_put(seat, desk->said[i].opcode,
                                  desk->said[i].buf.data,
                                  desk->said[i].buf.len);
            }
        }

        seat->due = 0;
        return 1;
    }

    if (seat->pong) {
        seat->pong = 0;
        ngx_mesh_desk_put(seat, MESH_WS_TEXT, (u_char *)
                          "{\"ctrlChannel\":\"102938\",\"type\":\"pong\"}",
                          sizeof("{\"ctrlChannel\":\"102938\","
                                 "\"type\":\"pong\"}") - 1);
        return 1;
    }

    if (seat->echo_len
        && (seat->paused
            || (!view->screen && (view->tile == NULL
                                  || view->tile->number > seat->echo_after))))
    {
        ngx_mesh_desk_put(seat, MESH_WS_TEXT, seat->echo, seat->echo_len);
        seat->echo_len = 0;
        return 1;
    }

    if (seat->paused) {
        return 0;
    }

    if (view->screen) {
        view->screen = 0;
        n = mesh_kvm_write_size(p, desk->cache.width, desk->cache.height);
        ngx_mesh_desk_put(seat, MESH_WS_BINARY, p, n);
        return 1;
    }

    seat->tile = mesh_kvm_view_next(view);

    if (seat->tile == NULL) {
        return 0;
    }

    seat->tile->refs++;
    seat->tile_pos = 0;

    if (ngx_mesh_desk_reserve(&seat->out, MESH_WS_MAX_HEAD) != NGX_OK) {
        ngx_mesh_desk_kill(seat);
        return 0;
    }

    seat->out.len += mesh_ws_head(seat->out.data + seat->out.len,
                                  MESH_WS_BINARY, 1, seat->tile->size);

    return 1;
}


static void
ngx_mesh_desk_put(ngx_mesh_desk_seat_t *seat, ngx_uint_t opcode,
    const u_char *p, size_t len)
{
    if (ngx_mesh_desk_reserve(&seat->out, MESH_WS_MAX_HEAD + len) != NGX_OK) {
        ngx_mesh_desk_kill(seat);
        return;
    }

    seat->out.len += mesh_ws_head(seat->out.data + seat->out.len,
                                  (uint8_t) opcode, 1, len);
    (void) ngx_mesh_desk_append(&seat->out, p, len);
}


static ngx_int_t
ngx_mesh_desk_append(ngx_mesh_desk_buf_t *b, const u_char *p, size_t len)
{
    if (ngx_mesh_desk_reserve(b, len) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memcpy(b->data + b->len, p, len);
    b->len += len;

    return NGX_OK;
}


/* room for len more bytes; an empty one gets no more than that */
static ngx_int_t
ngx_mesh_desk_reserve(ngx_mesh_desk_buf_t *b, size_t len)
{
    u_char  *p;
    size_t   left, size;

    if (b->data && len <= b->size - b->len) {
        return NGX_OK;
    }

    /* never none: data says that there is a buffer */
    left = b->len - b->pos;
    size = left + len + 1;

    if (left) {
        size = ngx_max(size, 2 * left);
    }

    p = ngx_alloc(size, ngx_cycle->log);
    if (p == NULL) {
        return NGX_ERROR;
    }

    if (b->data) {
        ngx_memcpy(p, b->data + b->pos, left);
        ngx_free(b->data);
    }

    b->data = p;
    b->pos = 0;
    b->len = left;
    b->size = size;

    return NGX_OK;
}


static void
ngx_mesh_desk_clear(ngx_mesh_desk_buf_t *b)
{
    if (b->data) {
        ngx_free(b->data);
    }

    ngx_memzero(b, sizeof(ngx_mesh_desk_buf_t));
}


/* 1: nobody takes more, so the device is not read */
static ngx_uint_t
ngx_mesh_desk_full(ngx_mesh_desk_t *desk)
{
    ngx_queue_t           *q;
    ngx_mesh_desk_seat_t  *seat;

    if (desk->record
        && ngx_mesh_record_full(desk->record, NGX_MESH_RECORD_DEVICE))
    {
        return 1;
    }

    for (q = ngx_mesh_desk_first(desk);
         q != ngx_queue_sentinel(&desk->seats);
         q = ngx_queue_next(q))
    {
        seat = ngx_mesh_desk_seat(q);

        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): who left is not there */
        if (seat->role == NGX_MESH_VIEWER && !seat->dead && !seat->paused
            && !(seat->blocked && seat->view.tile))
        {
            return 0;
        }
    }

    return 1;
}


static void
ngx_mesh_desk_resume(ngx_mesh_desk_t *desk)
{
    ngx_mesh_desk_seat_t  *agent;

    agent = desk->agent;

    if (agent && !agent->dead && agent->stopped && !ngx_mesh_desk_full(desk)) {
        agent->stopped = 0;
        ngx_post_event(agent->c->read, &ngx_posted_events);
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


static void
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
