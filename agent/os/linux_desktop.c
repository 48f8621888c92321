/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * The modes of "mesh-agent desktop", and the loop of the one that shows the
 * screen.  It writes one picture at a time and looks at the screen again only
 * when that has gone: who reads slowly misses frames, and nothing is kept
 * for him.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "../mesh_agent.h"
#include "linux_desktop.h"
#include "mesh_agent_desktop.h"


#define MESH_AGENT_DESK_INPUT     4096    /* bytes that wait to be read */
#define MESH_AGENT_DESK_PIPE      32768   /* bytes between us and the agent */
#define MESH_AGENT_DESK_TICK      1000    /* ms */
#define MESH_AGENT_DESK_FROZEN    20      /* s without a turn of the loop */
#define MESH_AGENT_DESK_RETURN    2000    /* ms until a lent key goes back */
#define MESH_AGENT_DESK_NOBODY    65534
#define MESH_AGENT_DESK_INTERVAL  100     /* ms; until a viewer says another */
#define MESH_AGENT_DESK_QUALITY   50


/* what is to be told, in this order */
#define MESH_AGENT_DESK_T_SIZE      0x01
#define MESH_AGENT_DESK_T_DISPLAY   0x02
#define MESH_AGENT_DESK_T_LEDS      0x04
#define MESH_AGENT_DESK_T_GEOMETRY  0x08
#define MESH_AGENT_DESK_T_DISPLAYS  0x10
#define MESH_AGENT_DESK_T_CURSOR    0x20
#define MESH_AGENT_DESK_T_ALL       0x3f


typedef struct {
    mesh_agent_desk_t     d;
    uint8_t               in[MESH_AGENT_DESK_INPUT];
    size_t                nin;
    uint8_t              *out;            /* owns */
    size_t                size;           /* of out */
    size_t                at;             /* written up to here */
    size_t                end;

    unsigned              tell;           /* MESH_AGENT_DESK_T_... */
    int                   quality;
    unsigned              scaling;
    unsigned              interval;       /* ms */
    uint64_t              last;           /* ms, of the last look */
    uint8_t               shape;          /* of the cursor, as it was told */
    uint8_t               leds;
    unsigned              started:1;      /* somebody is there */
    unsigned              paused:1;
    unsigned              changed:1;      /* something was drawn */
    unsigned              resize:1;       /* the screen is another */
    unsigned              refresh:1;
} mesh_agent_desk_show_t;

typedef struct {
    const char           *name;
    int                 (*run)(mesh_agent_desk_t *d,
                               const mesh_agent_desk_session_t *s);
    int                   alert;          /* says what is wrong as packet 65 */
    int                   open;           /* wants a connection */
} mesh_agent_desk_mode_t;


static int mesh_agent_desk_fail(const mesh_agent_desk_mode_t *mode,
    const char *why);
static int mesh_agent_desk_read(mesh_agent_desk_t *d,
    const mesh_agent_desk_session_t *s);
static int mesh_agent_desk_list(mesh_agent_desk_t *d,
    const mesh_agent_desk_session_t *s);
static int mesh_agent_desk_show(mesh_agent_desk_t *d,
    const mesh_agent_desk_session_t *s);
static int mesh_agent_desk_turn(mesh_agent_desk_show_t *show);
static int mesh_agent_desk_timeout(const mesh_agent_desk_show_t *show);
static int mesh_agent_desk_is_due(const mesh_agent_desk_show_t *show,
    uint64_t now);
static int mesh_agent_desk_input(mesh_agent_desk_show_t *show);
static void mesh_agent_desk_packet(mesh_agent_desk_show_t *show,
    const mesh_kvm_packet_t *pkt);
static void mesh_agent_desk_hello(mesh_agent_desk_show_t *show);
static void mesh_agent_desk_select(mesh_agent_desk_show_t *show, uint16_t id);
static void mesh_agent_desk_events(mesh_agent_desk_show_t *show);
static int mesh_agent_desk_output(mesh_agent_desk_show_t *show);
static int mesh_agent_desk_resize(mesh_agent_desk_show_t *show);
static void mesh_agent_desk_tell(mesh_agent_desk_show_t *show);
static int mesh_agent_desk_look(mesh_agent_desk_show_t *show);
static int mesh_agent_desk_tile(mesh_agent_desk_show_t *show);
static int mesh_agent_desk_flush(mesh_agent_desk_show_t *show);


static const mesh_agent_desk_mode_t  mesh_agent_desk_modes[] = {
    { "screen",   mesh_agent_desk_show,       1, 1 },
    { "read",     mesh_agent_desk_read,       0, 1 },
    { "write",    mesh_agent_desk_clip_write, 0, 0 },
    { "monitors", mesh_agent_desk_list,       0, 1 },
    { NULL, NULL, 0, 0 }
};


int
mesh_agent_os_has_desktop(void)
{
    size_t              i;
    static const char  *paths[] = {
        "/usr/lib/x86_64-linux-gnu/libX11.so.6",
        "/usr/lib/aarch64-linux-gnu/libX11.so.6",
        "/usr/lib/arm-linux-gnueabihf/libX11.so.6",
        "/usr/lib/riscv64-linux-gnu/libX11.so.6",
        "/usr/lib/i386-linux-gnu/libX11.so.6",
        "/usr/lib64/libX11.so.6",
        "/usr/lib/libX11.so.6",
    };

    for (i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        if (access(paths[i], R_OK) == 0) {
            return 1;
        }
    }

    return 0;
}


const char *
mesh_agent_os_self(void)
{
    /* also when another program has taken the place of ours, or the user of
     * the screen may not look into its folder */
    return "/proc/self/exe";
}


int
mesh_agent_os_desktop(int argc, char **argv)
{
    int                             i;
    long                            uid;
    const char                     *display;
    struct rlimit                   none = { 0, 0 };
    mesh_agent_desk_session_t       session;
    const mesh_agent_desk_mode_t   *mode;
    static mesh_agent_desk_t        d;

    mode = mesh_agent_desk_modes;

    while (mode->name != NULL
           && (argc < 1 || strcmp(argv[0], mode->name) != 0))
    {
        mode++;
    }

    if (mode->name == NULL) {
        (void) fprintf(stderr, "mesh-agent: desktop has no such mode\n");
        return 2;
    }

    uid = -1;
    display = NULL;

    for (i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--uid=", 6) == 0) {
            uid = strtol(argv[i] + 6, NULL, 10);

        } else if (strncmp(argv[i], "--display=", 10) == 0) {
            display = argv[i] + 10;
        }
    }

    (void) setrlimit(RLIMIT_CORE, &none);
    (void) signal(SIGPIPE, SIG_IGN);

    if (mesh_agent_desk_find(&session, display, uid, d.why) != MESH_OK
        || mesh_agent_desk_become(&session, d.why) != MESH_OK
        || mesh_agent_desk_load(&d) != MESH_OK
        || (mode->open && mesh_agent_desk_open(&d, &session) != MESH_OK))
    {
        return mesh_agent_desk_fail(mode, d.why);
    }

    /* a screen without a session: the key is read, and root not needed */
    if (session.nobody && geteuid() == 0
        && (setgid(MESH_AGENT_DESK_NOBODY) == -1
            || setuid(MESH_AGENT_DESK_NOBODY) == -1))
    {
        return mesh_agent_desk_fail(mode, "The agent cannot leave root.");
    }

    if (mode->run(&d, &session) != 0) {
        return mesh_agent_desk_fail(mode, d.why);
    }

    return 0;
}


static int
mesh_agent_desk_fail(const mesh_agent_desk_mode_t *mode, const char *why)
{
    size_t   n;
    uint8_t  buf[MESH_KVM_HEAD + MESH_KVM_MAX_TEXT];

    if (mode->alert) {
        if (why[0] != '\0') {
            n = mesh_kvm_write_text(buf, MESH_KVM_ALERT, why, strlen(why));
            (void) !write(STDOUT_FILENO, buf, n);
        }

    } else {
        (void) fprintf(stderr, "%s\n", why);
    }

    return 1;
}


uint64_t
mesh_agent_desk_now(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000 + (uint64_t) ts.tv_nsec / 1000000;
}


static int
mesh_agent_desk_read(mesh_agent_desk_t *d, const mesh_agent_desk_session_t *s)
{
    (void) s;

    return mesh_agent_desk_clip_read(d);
}


/* [{"id":1,"x":0,"y":0,"width":1280,"height":720},...] */
static int
mesh_agent_desk_list(mesh_agent_desk_t *d, const mesh_agent_desk_session_t *s)
{
    size_t                     i;
    const mesh_kvm_display_t  *m;

    (void) s;

    if (mesh_agent_desk_watch(d) != MESH_OK) {
        return 1;
    }

    for (i = 0; i < d->ndisplays; i++) {
        m = &d->displays[i];
        (void) printf("%s{\"id\":%d,\"x\":%d,\"y\":%d,\"width\":%d,"
                      "\"height\":%d}", i == 0 ? "[" : ",", m->id, m->x, m->y,
                      m->w, m->h);
    }

    (void) printf("]\n");

    return 0;
}


/* Returns 0 at the end of its input, or 1 with d->why. */
static int
mesh_agent_desk_show(mesh_agent_desk_t *d, const mesh_agent_desk_session_t *s)
{
    int                            rc;
    static mesh_agent_desk_show_t  show;

    (void) s;

    if (mesh_agent_desk_watch(d) != MESH_OK) {
        return 1;
    }

    show.d = *d;
    show.quality = MESH_AGENT_DESK_QUALITY;
    show.scaling = MESH_KVM_SCALE_FULL;
    show.interval = MESH_AGENT_DESK_INTERVAL;
    show.resize = 1;

    (void) fcntl(STDOUT_FILENO, F_SETPIPE_SZ, MESH_AGENT_DESK_PIPE);
    (void) fcntl(STDOUT_FILENO, F_SETFL, O_NONBLOCK);
    (void) fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);

    do {
        /* a server that answers no more is the end of us */
        (void) alarm(MESH_AGENT_DESK_FROZEN);
        rc = mesh_agent_desk_turn(&show);
    } while (rc == MESH_AGAIN);

    if (rc == MESH_OK) {
        mesh_agent_desk_release(&show.d);
        mesh_agent_desk_return_keys(&show.d, 0);
        d->why[0] = '\0';

    } else {
        memcpy(d->why, show.d.why, sizeof(d->why));

        /* in the middle of a picture a sentence would be a part of it */
        if (show.at < show.end) {
            d->why[0] = '\0';
        }
    }

    mesh_agent_desk_screen_free(&show.d);
    free(show.out);
    (void) d->x.XCloseDisplay(d->dpy);

    return rc == MESH_OK ? 0 : 1;
}


/*
 *   MESH_AGAIN  once more
 *   MESH_OK     nobody wants it any more
 *   MESH_ERROR  d->why says it
 */
static int
mesh_agent_desk_turn(mesh_agent_desk_show_t *show)
{
    int            rc;
    struct pollfd  fds[3];

    mesh_agent_desk_events(show);
    rc = mesh_agent_desk_output(show);

    if (rc != MESH_OK) {
        return rc == MESH_DECLINED ? MESH_OK : rc;
    }

    fds[0].fd = STDIN_FILENO;
    fds[0].events = POLLIN;
    fds[1].fd = ConnectionNumber(show->d.dpy);
    fds[1].events = POLLIN;
    fds[2].fd = STDOUT_FILENO;
    fds[2].events = show->at < show->end ? POLLOUT : 0;

    if (poll(fds, 3, mesh_agent_desk_timeout(show)) == -1 && errno != EINTR) {
        return MESH_OK;
    }

    if (fds[2].revents & (POLLERR|POLLHUP|POLLNVAL)) {
        return MESH_OK;
    }

    if (fds[0].revents != 0) {
        rc = mesh_agent_desk_input(show);

        if (rc != MESH_OK) {
            return rc == MESH_DECLINED ? MESH_OK : rc;
        }
    }

    mesh_agent_desk_return_keys(&show->d, MESH_AGENT_DESK_RETURN);

    return MESH_AGAIN;
}


static int
mesh_agent_desk_timeout(const mesh_agent_desk_show_t *show)
{
    uint64_t  now, due;

    now = mesh_agent_desk_now();
    due = show->last + show->interval;

    /* events that libX11 has read already make no descriptor ready */
    if (QLength(show->d.dpy) > 0) {
        return 0;
    }

    if (show->at < show->end || !show->started || show->paused) {
        return MESH_AGENT_DESK_TICK;
    }

    /* a picture that took longer than its time goes on */
    if (show->d.screen.ndirty > 0 && !show->refresh) {
        return 0;
    }

    if (!show->changed && !show->refresh && show->d.has_damage) {
        return MESH_AGENT_DESK_TICK;
    }

    return due <= now ? 0
           : due - now < MESH_AGENT_DESK_TICK ? (int) (due - now)
                                              : MESH_AGENT_DESK_TICK;
}


static int
mesh_agent_desk_is_due(const mesh_agent_desk_show_t *show, uint64_t now)
{
    return now - show->last >= show->interval
           && (show->refresh || show->changed || !show->d.has_damage);
}


/* MESH_DECLINED: the agent has closed it */
static int
mesh_agent_desk_input(mesh_agent_desk_show_t *show)
{
    int                rc;
    size_t             at;
    ssize_t            n;
    mesh_kvm_packet_t  pkt;

    n = read(STDIN_FILENO, show->in + show->nin,
             MESH_AGENT_DESK_INPUT - show->nin);

    if (n == -1 && (errno == EAGAIN || errno == EINTR)) {
        return MESH_OK;
    }

    if (n <= 0) {
        return MESH_DECLINED;
    }

    show->nin += (size_t) n;
    at = 0;

    while ((rc = mesh_kvm_parse(&pkt, show->in + at, show->nin - at,
                                MESH_KVM_MAX_INPUT))
           == MESH_OK)
    {
        mesh_agent_desk_packet(show, &pkt);
        at += pkt.size;
    }

    /* the agent has checked them: what cannot be read is not from it */
    if (rc == MESH_ERROR) {
        return MESH_DECLINED;
    }

    memmove(show->in, show->in + at, show->nin - at);
    show->nin -= at;

    return MESH_OK;
}


static void
mesh_agent_desk_packet(mesh_agent_desk_show_t *show,
    const mesh_kvm_packet_t *pkt)
{
    mesh_kvm_event_t    in;
    mesh_agent_desk_t  *d = &show->d;

    if (mesh_kvm_read_input(&in, pkt) != MESH_OK) {
        return;
    }

    switch (in.cmd) {

    case MESH_KVM_KEY:
        mesh_agent_desk_key(d, in.u.key.action == MESH_KVM_KEY_DOWN
                               || in.u.key.action == MESH_KVM_KEY_EXT_DOWN,
                            in.u.key.vk);
        break;

    case MESH_KVM_UNICODE:
        if (in.u.unicode.action == MESH_KVM_KEY_DOWN) {
            mesh_agent_desk_char(d, in.u.unicode.code);
        }
        break;

    case MESH_KVM_MOUSE:
        mesh_agent_desk_mouse(d, &in);
        break;

    case MESH_KVM_CTRL_ALT_DEL:
        mesh_agent_desk_ctrl_alt_del(d);
        break;

    case MESH_KVM_COMPRESSION:
        if (in.u.compression.quality != 0) {
            show->quality = in.u.compression.quality;
        }

        if (in.u.compression.interval != 0) {
            show->interval = in.u.compression.interval;
        }

        if (in.u.compression.scaling != 0
            && in.u.compression.scaling != show->scaling)
        {
            show->scaling = in.u.compression.scaling;
            show->resize = 1;
        }
        break;

    case MESH_KVM_INTERVAL:
        if (in.u.interval != 0) {
            show->interval = in.u.interval;
        }
        break;

    case MESH_KVM_REFRESH:
        show->refresh = 1;
        show->tell |= MESH_AGENT_DESK_T_SIZE;
        break;

    case MESH_KVM_PAUSE:
        show->paused = in.u.pause == 1;
        break;

    case MESH_KVM_DISPLAYS:
        show->tell |= MESH_AGENT_DESK_T_GEOMETRY|MESH_AGENT_DESK_T_DISPLAYS;
        show->resize = 1;
        break;

    case MESH_KVM_DISPLAY:
        mesh_agent_desk_select(show, in.u.display);
        break;

    case MESH_KVM_HELLO:
        mesh_agent_desk_hello(show);
        break;

    case MESH_KVM_RELEASE:
        mesh_agent_desk_release(d);
        break;

    default:
        break;
    }

    (void) d->x.XFlush(d->dpy);
}


/* all that a viewer must know who has seen nothing yet */
static void
mesh_agent_desk_hello(mesh_agent_desk_show_t *show)
{
    show->started = 1;
    show->paused = 0;
    show->refresh = 1;
    show->tell = MESH_AGENT_DESK_T_ALL;
}


static void
mesh_agent_desk_select(mesh_agent_desk_show_t *show, uint16_t id)
{
    size_t              i;
    mesh_agent_desk_t  *d = &show->d;

    show->tell |= MESH_AGENT_DESK_T_DISPLAY;

    for (i = 0; i < d->ndisplays && d->displays[i].id != id; i++) {
        /* void */
    }

    if ((i == d->ndisplays && id != MESH_KVM_ALL) || id == d->selected) {
        return;
    }

    d->selected = id;
    show->resize = 1;
    show->tell |= MESH_AGENT_DESK_T_DISPLAYS;
}


static void
mesh_agent_desk_events(mesh_agent_desk_show_t *show)
{
    XEvent              event;
    mesh_agent_desk_t  *d = &show->d;

    while (d->x.XPending(d->dpy)) {
        (void) d->x.XNextEvent(d->dpy, &event);

        if (d->has_damage && event.type == d->damage_event + XDamageNotify) {
            show->changed = 1;

        } else if (d->has_fixes
                   && event.type == d->fixes_event + XFixesCursorNotify)
        {
            show->tell |= MESH_AGENT_DESK_T_CURSOR;

        } else if (d->has_xkb && event.type == d->xkb_event) {
            show->tell |= MESH_AGENT_DESK_T_LEDS;

        } else if (d->has_randr
                   && (event.type == d->randr_event + RRScreenChangeNotify
                       || event.type == d->randr_event + RRNotify))
        {
            (void) d->x.XRRUpdateConfiguration(&event);
            show->resize = 1;

        } else if (event.type == MappingNotify) {
            (void) d->x.XRefreshKeyboardMapping(&event.xmapping);
        }
    }
}


/*
 *   MESH_OK        all that there is was written, or waits for the reader
 *   MESH_DECLINED  nobody reads any more
 *   MESH_ERROR     d->why says it
 */
static int
mesh_agent_desk_output(mesh_agent_desk_show_t *show)
{
    int       rc;
    uint64_t  until;

    until = mesh_agent_desk_now() + show->interval;

    for ( ;; ) {
        rc = mesh_agent_desk_flush(show);

        if (rc != MESH_OK) {
            return rc == MESH_AGAIN ? MESH_OK : rc;
        }

        if (show->resize && mesh_agent_desk_resize(show) != MESH_OK) {
            return MESH_ERROR;
        }

        if (!show->started) {
            return MESH_OK;
        }

        if (show->tell != 0) {
            mesh_agent_desk_tell(show);
            continue;
        }

        /* keys and clicks come first, and a new look at what has aged */
        if (show->paused || mesh_agent_desk_now() >= until) {
            return MESH_OK;
        }

        rc = mesh_agent_desk_look(show);

        if (rc != MESH_OK) {
            return rc;
        }

        /* behind the size that a refresh begins with comes nothing old */
        if (show->refresh || mesh_agent_desk_tile(show) == MESH_DECLINED) {
            return MESH_OK;
        }
    }
}


static int
mesh_agent_desk_resize(mesh_agent_desk_show_t *show)
{
    size_t                   n;
    mesh_kvm_display_t       before[MESH_KVM_MAX_DISPLAYS];
    mesh_agent_desk_t       *d = &show->d;
    mesh_agent_desk_rect_t   area;
    const mesh_agent_desk_screen_t  *s = &d->screen;

    show->resize = 0;

    n = d->ndisplays;
    memcpy(before, d->displays, sizeof(before));
    mesh_agent_desk_update_displays(d);

    if (n != d->ndisplays
        || memcmp(before, d->displays, n * sizeof(mesh_kvm_display_t)) != 0)
    {
        show->tell |= MESH_AGENT_DESK_T_GEOMETRY|MESH_AGENT_DESK_T_DISPLAYS;
    }

    area = mesh_agent_desk_area(d);

    /* several events tell one change */
    if (s->image != NULL && memcmp(&area, &s->area, sizeof(area)) == 0
        && s->scaling == show->scaling)
    {
        return MESH_OK;
    }

    show->tell |= MESH_AGENT_DESK_T_SIZE;
    show->refresh = 1;

    return mesh_agent_desk_screen_init(d, area, show->scaling);
}


/* packets of a few bytes each, behind one another */
static void
mesh_agent_desk_tell(mesh_agent_desk_show_t *show)
{
    uint8_t             leds, shape, *p;
    unsigned            tell;
    mesh_agent_desk_t  *d = &show->d;

    tell = show->tell;
    show->tell = 0;

    if (show->size < MESH_AGENT_DESK_INPUT) {
        show->size = MESH_AGENT_DESK_INPUT;
        show->out = mesh_agent_realloc(show->out, show->size);
    }

    p = show->out;

    if (tell & MESH_AGENT_DESK_T_SIZE) {
        p += mesh_kvm_write_size(p, (uint16_t) d->screen.w,
                                 (uint16_t) d->screen.h);
    }

    if (tell & MESH_AGENT_DESK_T_DISPLAY) {
        p += mesh_kvm_write_word(p, MESH_KVM_DISPLAY, d->selected);
    }

    if (tell & MESH_AGENT_DESK_T_LEDS) {
        leds = mesh_agent_desk_leds(d);

        if (leds != show->leds || tell == MESH_AGENT_DESK_T_ALL) {
            p += mesh_kvm_write_byte(p, MESH_KVM_LEDS, leds);
            show->leds = leds;
        }
    }

    if (tell & MESH_AGENT_DESK_T_GEOMETRY) {
        p += mesh_kvm_write_geometry(p, d->displays, d->ndisplays);
    }

    if (tell & MESH_AGENT_DESK_T_DISPLAYS) {
        p += mesh_kvm_write_displays(p, d->displays, d->ndisplays,
                                     d->selected);
    }

    if (tell & MESH_AGENT_DESK_T_CURSOR) {
        shape = mesh_agent_desk_cursor(d);

        if (shape != show->shape || tell == MESH_AGENT_DESK_T_ALL) {
            p += mesh_kvm_write_byte(p, MESH_KVM_CURSOR, shape);
            show->shape = shape;
        }
    }

    show->at = 0;
    show->end = (size_t) (p - show->out);
}


static int
mesh_agent_desk_look(mesh_agent_desk_show_t *show)
{
    uint64_t            now;
    mesh_agent_desk_t  *d = &show->d;

    now = mesh_agent_desk_now();

    if (!mesh_agent_desk_is_due(show, now)) {
        return MESH_OK;
    }

    if (show->refresh) {
        mesh_agent_desk_screen_refresh(&d->screen);
    }

    show->refresh = 0;
    show->changed = 0;
    show->last = now;

    if (mesh_agent_desk_screen_capture(d) != MESH_OK) {

        /* it may just be getting another size, which is told soon */
        show->resize = 1;
        mesh_agent_desk_screen_free(d);
    }

    return MESH_OK;
}


/* MESH_DECLINED: the viewers have all of it */
static int
mesh_agent_desk_tile(mesh_agent_desk_show_t *show)
{
    size_t                   n, head;
    mesh_agent_desk_rect_t   rect;
    mesh_agent_desk_t       *d = &show->d;

    if (!mesh_agent_desk_screen_next(&d->screen, &rect)) {
        return MESH_DECLINED;
    }

    n = mesh_agent_desk_jpeg(&d->screen, &rect, show->quality,
                             MESH_KVM_TILE_HEAD, &show->out, &show->size);
    if (n == 0) {
        return MESH_OK;
    }

    head = n > MESH_KVM_JUMBO_FROM ? MESH_KVM_TILE_HEAD : 8;
    show->at = MESH_KVM_TILE_HEAD - head;
    show->end = MESH_KVM_TILE_HEAD + n;
    (void) mesh_kvm_write_tile(show->out + show->at, (uint16_t) rect.x,
                               (uint16_t) rect.y, n);

    return MESH_OK;
}


static int
mesh_agent_desk_flush(mesh_agent_desk_show_t *show)
{
    ssize_t  n;

    while (show->at < show->end) {
        n = write(STDOUT_FILENO, show->out + show->at, show->end - show->at);

        if (n == -1 && errno == EINTR) {
            continue;
        }

        if (n == -1) {
            return errno == EAGAIN ? MESH_AGAIN : MESH_DECLINED;
        }

        show->at += (size_t) n;
    }

    return MESH_OK;
}
