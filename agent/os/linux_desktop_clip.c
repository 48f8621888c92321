/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * The clipboard of the user at the screen: ICCCM 2, with INCR for what is
 * larger than one message.  Whoever writes it must stay to hand it out: the
 * program leaves a process behind, until somebody else writes it.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <X11/Xatom.h>

#include "../mesh_agent.h"
#include "linux_desktop.h"


#define MESH_AGENT_DESK_CLIP_WAIT   3000       /* ms, for the owner */
#define MESH_AGENT_DESK_CLIP_PART   16384      /* bytes of one message */
#define MESH_AGENT_DESK_CLIP_READS  8          /* INCR at the same time */


/* somebody who gets it in parts */
typedef struct {
    Window    window;
    Atom      property;
    Atom      type;
    size_t    done;
    uint64_t  at;                         /* ms; of its last sign of life */
} mesh_agent_desk_reader_t;

typedef struct {
    mesh_agent_desk_t         *d;
    Window                     window;
    Atom                       clipboard;
    Atom                       targets;
    Atom                       utf8;
    Atom                       text;
    Atom                       plain;
    Atom                       incr;
    Atom                       property;
    uint8_t                   *data;      /* owns */
    size_t                     len;
    int                        ascii;     /* STRING would be Latin-1 */
    mesh_agent_desk_reader_t   readers[MESH_AGENT_DESK_CLIP_READS];
} mesh_agent_desk_clip_t;


static void mesh_agent_desk_clip_init(mesh_agent_desk_clip_t *c,
    mesh_agent_desk_t *d);
static int mesh_agent_desk_clip_wait(mesh_agent_desk_clip_t *c, int type,
    XEvent *event);
static int mesh_agent_desk_clip_ask(mesh_agent_desk_clip_t *c, Atom target);
static int mesh_agent_desk_clip_take(mesh_agent_desk_clip_t *c, Atom *type);
static int mesh_agent_desk_clip_parts(mesh_agent_desk_clip_t *c);
static void mesh_agent_desk_clip_latin1(mesh_agent_desk_clip_t *c);
static int mesh_agent_desk_clip_input(mesh_agent_desk_clip_t *c);
static int mesh_agent_desk_clip_own(mesh_agent_desk_clip_t *c);
static void mesh_agent_desk_clip_serve(mesh_agent_desk_clip_t *c);
static void mesh_agent_desk_clip_request(mesh_agent_desk_clip_t *c,
    const XSelectionRequestEvent *request);
static int mesh_agent_desk_clip_give(mesh_agent_desk_clip_t *c,
    const XSelectionRequestEvent *request, Atom property);
static void mesh_agent_desk_clip_more(mesh_agent_desk_clip_t *c,
    const XPropertyEvent *event);


static void
mesh_agent_desk_clip_init(mesh_agent_desk_clip_t *c, mesh_agent_desk_t *d)
{
    memset(c, 0, sizeof(mesh_agent_desk_clip_t));
    c->d = d;
    c->window = d->x.XCreateSimpleWindow(d->dpy, d->root, -10, -10, 1, 1, 0, 0,
                                         0);
    (void) d->x.XSelectInput(d->dpy, c->window, PropertyChangeMask);

    c->clipboard = d->x.XInternAtom(d->dpy, "CLIPBOARD", False);
    c->targets = d->x.XInternAtom(d->dpy, "TARGETS", False);
    c->utf8 = d->x.XInternAtom(d->dpy, "UTF8_STRING", False);
    c->text = d->x.XInternAtom(d->dpy, "TEXT", False);
    c->plain = d->x.XInternAtom(d->dpy, "text/plain;charset=utf-8", False);
    c->incr = d->x.XInternAtom(d->dpy, "INCR", False);
    c->property = d->x.XInternAtom(d->dpy, "MESH_AGENT_CLIPBOARD", False);
}


int
mesh_agent_desk_clip_read(mesh_agent_desk_t *d)
{
    int                      rc;
    size_t                   done;
    ssize_t                  n;
    mesh_agent_desk_clip_t   c;

    mesh_agent_desk_clip_init(&c, d);

    /* nobody has one: it is empty */
    if (d->x.XGetSelectionOwner(d->dpy, c.clipboard) == None) {
        return 0;
    }

    rc = mesh_agent_desk_clip_ask(&c, c.utf8);

    if (rc == MESH_DECLINED) {
        rc = mesh_agent_desk_clip_ask(&c, XA_STRING);

        if (rc == MESH_OK) {
            mesh_agent_desk_clip_latin1(&c);
        }
    }

    if (rc == MESH_DECLINED) {
        (void) snprintf(d->why, sizeof(d->why),
                        "What the clipboard holds is no text.");
    }

    for (done = 0; rc == MESH_OK && done < c.len; done += (size_t) n) {
        n = write(STDOUT_FILENO, c.data + done, c.len - done);

        if (n <= 0) {
            break;
        }
    }

    free(c.data);

    return rc == MESH_OK ? 0 : 1;
}


/*
 *   MESH_OK        c->data is what the owner gave
 *   MESH_DECLINED  he has no such form of it
 *   MESH_ERROR     d->why says it
 */
static int
mesh_agent_desk_clip_ask(mesh_agent_desk_clip_t *c, Atom target)
{
    int                 rc;
    Atom                type;
    XEvent              event;
    mesh_agent_desk_t  *d = c->d;

    (void) d->x.XConvertSelection(d->dpy, c->clipboard, target, c->property,
                                  c->window, CurrentTime);

    if (mesh_agent_desk_clip_wait(c, SelectionNotify, &event) != MESH_OK) {
        return MESH_ERROR;
    }

    if (event.xselection.property == None) {
        return MESH_DECLINED;
    }

    rc = mesh_agent_desk_clip_take(c, &type);

    if (rc == MESH_OK && type == c->incr) {
        c->len = 0;
        rc = mesh_agent_desk_clip_parts(c);
    }

    return rc;
}


static int
mesh_agent_desk_clip_wait(mesh_agent_desk_clip_t *c, int type, XEvent *event)
{
    uint64_t            until, now;
    struct pollfd       fd;
    mesh_agent_desk_t  *d = c->d;

    until = mesh_agent_desk_now() + MESH_AGENT_DESK_CLIP_WAIT;

    for ( ;; ) {

        while (d->x.XPending(d->dpy)) {
            (void) d->x.XNextEvent(d->dpy, event);

            if (event->type == type
                && (type != PropertyNotify
                    || (event->xproperty.atom == c->property
                        && event->xproperty.state == PropertyNewValue)))
            {
                return MESH_OK;
            }
        }

        now = mesh_agent_desk_now();

        if (now >= until) {
            (void) snprintf(d->why, sizeof(d->why),
                            "The program that has the clipboard does not "
                            "answer.");
            return MESH_ERROR;
        }

        fd.fd = ConnectionNumber(d->dpy);
        fd.events = POLLIN;
        (void) poll(&fd, 1, (int) (until - now));
    }
}


/* adds the property to what is there, and deletes it */
static int
mesh_agent_desk_clip_take(mesh_agent_desk_clip_t *c, Atom *type)
{
    int                 format;
    unsigned long       n, after;
    unsigned char      *data;
    mesh_agent_desk_t  *d = c->d;

    data = NULL;

    if (d->x.XGetWindowProperty(d->dpy, c->window, c->property, 0,
                                MESH_AGENT_DESK_CLIP / 4, True,
                                AnyPropertyType, type, &format, &n, &after,
                                &data)
        != Success)
    {
        (void) snprintf(d->why, sizeof(d->why),
                        "The clipboard cannot be read.");
        return MESH_ERROR;
    }

    if (format != 8) {
        n = 0;
    }

    if (after != 0 || n > MESH_AGENT_DESK_CLIP - c->len) {
        (void) snprintf(d->why, sizeof(d->why),
                        "The clipboard holds more than %d bytes.",
                        MESH_AGENT_DESK_CLIP);
        (void) d->x.XFree(data);
        return MESH_ERROR;
    }

    if (n > 0) {
        c->data = mesh_agent_realloc(c->data, c->len + n);
        memcpy(c->data + c->len, data, n);
        c->len += n;
    }

    if (data != NULL) {
        (void) d->x.XFree(data);
    }

    return MESH_OK;
}


/* each deleted property asks for the next one; an empty one is the end */
static int
mesh_agent_desk_clip_parts(mesh_agent_desk_clip_t *c)
{
    int     rc;
    Atom    type;
    size_t  before;
    XEvent  event;

    do {
        if (mesh_agent_desk_clip_wait(c, PropertyNotify, &event) != MESH_OK) {
            return MESH_ERROR;
        }

        before = c->len;
        rc = mesh_agent_desk_clip_take(c, &type);

        if (rc != MESH_OK) {
            return rc;
        }

    } while (c->len > before);

    return MESH_OK;
}


/* to UTF-8 */
static void
mesh_agent_desk_clip_latin1(mesh_agent_desk_clip_t *c)
{
    size_t    i, n;
    uint8_t  *out;

    out = mesh_agent_alloc(2 * c->len + 1);

    for (n = 0, i = 0; i < c->len; i++) {

        if (c->data[i] < 0x80) {
            out[n++] = c->data[i];

        } else {
            out[n++] = (uint8_t) (0xc0 | c->data[i] >> 6);
            out[n++] = (uint8_t) (0x80 | (c->data[i] & 0x3f));
        }
    }

    free(c->data);
    c->data = out;
    c->len = n;
}


int
mesh_agent_desk_clip_write(mesh_agent_desk_t *d,
    const mesh_agent_desk_session_t *s)
{
    int                     fds[2];
    char                    ok;
    pid_t                   pid;
    ssize_t                 n;
    mesh_agent_desk_clip_t  c;

    memset(&c, 0, sizeof(mesh_agent_desk_clip_t));
    c.d = d;

    if (mesh_agent_desk_clip_input(&c) != MESH_OK) {
        return 1;
    }

    if (pipe(fds) == -1) {
        (void) snprintf(d->why, sizeof(d->why), "no pipe");
        return 1;
    }

    pid = fork();

    if (pid == 0) {
        (void) close(fds[0]);

        /* the connection is that of the one who stays */
        if (mesh_agent_desk_open(d, s) == MESH_OK
            && mesh_agent_desk_clip_own(&c) == MESH_OK)
        {
            (void) !write(fds[1], "k", 1);
            (void) close(fds[1]);
            mesh_agent_desk_clip_serve(&c);
        }

        free(c.data);
        _exit(0);
    }

    (void) close(fds[1]);
    free(c.data);

    do {
        n = pid == -1 ? -1 : read(fds[0], &ok, 1);
    } while (n == -1 && pid != -1 && errno == EINTR);

    (void) close(fds[0]);

    if (n != 1) {
        (void) snprintf(d->why, sizeof(d->why),
                        "The clipboard cannot be written.");
        return 1;
    }

    return 0;
}


static int
mesh_agent_desk_clip_input(mesh_agent_desk_clip_t *c)
{
    ssize_t  n;

    c->data = mesh_agent_alloc(MESH_AGENT_DESK_CLIP + 1);

    for ( ;; ) {
        n = read(STDIN_FILENO, c->data + c->len,
                 MESH_AGENT_DESK_CLIP + 1 - c->len);

        if (n == -1 && errno == EINTR) {
            continue;
        }

        if (n <= 0) {
            return MESH_OK;
        }

        c->len += (size_t) n;

        if (c->len > MESH_AGENT_DESK_CLIP) {
            (void) snprintf(c->d->why, sizeof(c->d->why),
                            "More than %d bytes do not go into the clipboard.",
                            MESH_AGENT_DESK_CLIP);
            free(c->data);
            return MESH_ERROR;
        }
    }
}


static int
mesh_agent_desk_clip_own(mesh_agent_desk_clip_t *c)
{
    int                      fd;
    size_t                   len;
    uint8_t                 *data;
    mesh_agent_desk_t       *d = c->d;

    data = c->data;
    len = c->len;
    mesh_agent_desk_clip_init(c, d);
    c->data = data;
    c->len = len;
    c->ascii = 1;

    while (len > 0) {
        c->ascii &= data[--len] < 0x80;
    }

    (void) d->x.XSetSelectionOwner(d->dpy, c->clipboard, c->window,
                                   CurrentTime);

    if (d->x.XGetSelectionOwner(d->dpy, c->clipboard) != c->window) {
        return MESH_ERROR;
    }

    /* who started us waits for the end of these */
    fd = open("/dev/null", O_RDWR);

    if (fd == -1 || setsid() == -1 || dup2(fd, STDIN_FILENO) == -1
        || dup2(fd, STDOUT_FILENO) == -1 || dup2(fd, STDERR_FILENO) == -1)
    {
        return MESH_ERROR;
    }

    (void) close(fd);

    return MESH_OK;
}


/* until somebody else has the clipboard, and all have got what they asked for */
static void
mesh_agent_desk_clip_serve(mesh_agent_desk_clip_t *c)
{
    int                 i, owner, busy;
    XEvent              event;
    struct pollfd       fd;
    mesh_agent_desk_t  *d = c->d;

    owner = 1;
    busy = 0;

    while (owner || busy) {

        if (!d->x.XPending(d->dpy)) {
            fd.fd = ConnectionNumber(d->dpy);
            fd.events = POLLIN;

            if (poll(&fd, 1, owner ? -1 : MESH_AGENT_DESK_CLIP_WAIT) == 0) {
                return;
            }

            if (!d->x.XPending(d->dpy)) {
                continue;
            }
        }

        (void) d->x.XNextEvent(d->dpy, &event);

        switch (event.type) {

        case SelectionClear:
            owner = 0;
            break;

        case SelectionRequest:
            mesh_agent_desk_clip_request(c, &event.xselectionrequest);
            break;

        case PropertyNotify:
            mesh_agent_desk_clip_more(c, &event.xproperty);
            break;

        default:
            break;
        }

        for (busy = 0, i = 0; i < MESH_AGENT_DESK_CLIP_READS; i++) {
            busy |= c->readers[i].window != None;
        }
    }
}


static void
mesh_agent_desk_clip_request(mesh_agent_desk_clip_t *c,
    const XSelectionRequestEvent *request)
{
    Atom                property, list[5];
    XEvent              reply;
    mesh_agent_desk_t  *d = c->d;

    /* ICCCM 2.2: an old program names none */
    property = request->property != None ? request->property
                                         : request->target;

    if (request->target == c->targets) {
        list[0] = c->targets;
        list[1] = c->utf8;
        list[2] = c->plain;
        list[3] = c->text;
        list[4] = XA_STRING;
        (void) d->x.XChangeProperty(d->dpy, request->requestor, property,
                                    XA_ATOM, 32, PropModeReplace,
                                    (unsigned char *) list, c->ascii ? 5 : 4);

    } else if (mesh_agent_desk_clip_give(c, request, property) != MESH_OK) {
        property = None;
    }

    memset(&reply, 0, sizeof(XEvent));
    reply.xselection.type = SelectionNotify;
    reply.xselection.requestor = request->requestor;
    reply.xselection.selection = request->selection;
    reply.xselection.target = request->target;
    reply.xselection.property = property;
    reply.xselection.time = request->time;

    (void) d->x.XSendEvent(d->dpy, request->requestor, False, 0, &reply);
    (void) d->x.XFlush(d->dpy);
}


static int
mesh_agent_desk_clip_give(mesh_agent_desk_clip_t *c,
    const XSelectionRequestEvent *request, Atom property)
{
    int                 i;
    Atom                type;
    long                len;
    uint64_t            now;
    mesh_agent_desk_t  *d = c->d;

    if (request->target != c->utf8 && request->target != c->plain
        && request->target != c->text
        && (request->target != XA_STRING || !c->ascii))
    {
        return MESH_DECLINED;
    }

    type = request->target == c->text ? c->utf8 : request->target;

    if (c->len <= MESH_AGENT_DESK_CLIP_PART) {
        (void) d->x.XChangeProperty(d->dpy, request->requestor, property, type,
                                    8, PropModeReplace, c->data,
                                    (int) c->len);
        return MESH_OK;
    }

    now = mesh_agent_desk_now();

    for (i = 0;
         c->readers[i].window != None
         && now - c->readers[i].at < MESH_AGENT_DESK_CLIP_WAIT;
         i++)
    {
        if (i == MESH_AGENT_DESK_CLIP_READS - 1) {
            return MESH_DECLINED;
        }
    }

    c->readers[i].window = request->requestor;
    c->readers[i].property = property;
    c->readers[i].type = type;
    c->readers[i].done = 0;
    c->readers[i].at = now;

    len = (long) c->len;
    (void) d->x.XSelectInput(d->dpy, request->requestor, PropertyChangeMask);
    (void) d->x.XChangeProperty(d->dpy, request->requestor, property, c->incr,
                                32, PropModeReplace, (unsigned char *) &len,
                                1);
    return MESH_OK;
}


/* it took the last part: the next one, and an empty one behind the last */
static void
mesh_agent_desk_clip_more(mesh_agent_desk_clip_t *c,
    const XPropertyEvent *event)
{
    int                        i;
    size_t                     n;
    mesh_agent_desk_t         *d = c->d;
    mesh_agent_desk_reader_t  *reader;

    if (event->state != PropertyDelete) {
        return;
    }

    for (i = 0; i < MESH_AGENT_DESK_CLIP_READS; i++) {
        reader = &c->readers[i];

        if (reader->window != event->window
            || reader->property != event->atom)
        {
            continue;
        }

        n = c->len - reader->done;
        n = n > MESH_AGENT_DESK_CLIP_PART ? MESH_AGENT_DESK_CLIP_PART : n;

        (void) d->x.XChangeProperty(d->dpy, reader->window, reader->property,
                                    reader->type, 8, PropModeReplace,
                                    c->data + reader->done, (int) n);
        (void) d->x.XFlush(d->dpy);
        reader->done += n;
        reader->at = mesh_agent_desk_now();

        if (n == 0) {
            (void) d->x.XSelectInput(d->dpy, reader->window, 0);
            memset(reader, 0, sizeof(mesh_agent_desk_reader_t));
        }
        return;
    }
}
